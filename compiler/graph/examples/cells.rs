//! Leaky integrate-and-fire cells with exponential synapses, 80 connections each: the kernel with `print`, else the time of
//! a cell's step and of an event through compiled code.

use std::time::Instant;

use nnm_graph::ir::{Assign, Binary, Graph, NodeId, Place, Program, Rows, Stmt, Var, VarElem, VarId};
use nnm_graph::{ShapeError, lower};
use nnm_kir::ir::{Elem, Int, LoopId, Precision};
use nnm_runtime::memory::Aligned;
use nnm_runtime::prims;

const CELLS: usize = 4000;
const EDGES: usize = 80;
const STEPS: i64 = 1000;
const STEP: LoopId = LoopId(0);

struct Cells {
    graph: Graph,
}

impl Cells {
    fn var(&mut self, name: &str, elem: VarElem, shape: &[usize], times: Option<usize>) -> VarId {
        self.graph.add_var(Var { name: name.into(), elem, shape: shape.to_vec(), batched: false, times })
    }

    fn real(&mut self, name: &str) -> Result<(VarId, NodeId), ShapeError> {
        let var = self.var(name, VarElem::Real, &[CELLS], None);
        let read = self.graph.read(var, Place::Whole)?;
        Ok((var, read))
    }

    fn scaled(&mut self, a: NodeId, factor: f64) -> Result<NodeId, ShapeError> {
        let factor = self.graph.constant(factor);
        self.graph.binary(Binary::Mul, a, factor)
    }
}

/// v and g decay, v is driven by g and by a current; above 1 a spike, then some steps of rest.
fn network() -> Result<Program, ShapeError> {
    let mut c = Cells { graph: Graph::default() };
    let ((v, rv), (g, rg), (rest, rr)) = (c.real("v")?, c.real("g")?, c.real("rest")?);
    let ((_, drive), (spikes, flags)) = (c.real("drive")?, c.real("spikes")?);
    let list = c.var("list", VarElem::Index, &[CELLS], Some(2));
    let count = c.var("count", VarElem::Count, &[2], None);
    let ptr = c.var("ptr", VarElem::Index, &[CELLS + 1], None);
    let other = c.var("other", VarElem::Index, &[CELLS * EDGES], None);
    let weight = c.var("weight", VarElem::Real, &[CELLS * EDGES], None);
    let total = c.var("total", VarElem::Count, &[], None);
    let (zero, one, hold) = (c.graph.constant(0.0), c.graph.constant(1.0), c.graph.constant(20.0));
    let (kept, left) = (c.scaled(rv, 0.995)?, c.scaled(rg, 0.98)?);
    let input = c.graph.binary(Binary::Add, rg, drive)?;
    let moved = c.graph.binary(Binary::Add, kept, input)?;
    let resting = c.graph.binary(Binary::Gt, rr, zero)?;
    let moved = c.graph.select(resting, rv, moved)?;
    let spike = c.graph.binary(Binary::Gt, moved, one)?;
    let next = c.graph.select(spike, zero, moved)?;
    let less = c.graph.binary(Binary::Sub, rr, one)?;
    let less = c.graph.binary(Binary::Max, zero, less)?;
    let waits = c.graph.select(spike, hold, less)?;
    let jump = c.graph.read(weight, Place::Edge)?;
    let set = |to, value| Assign { to, place: Place::Whole, add: false, value };
    let rows = Rows { ptr, edge: None, other };
    let (now, before) = (Int::Loop(STEP).remainder(2), (Int::Loop(STEP) + 1).remainder(2));
    let effect = Assign { to: g, place: Place::Other, add: true, value: jump };
    let one_step = c.graph.count(Int::Load(Box::new(nnm_kir::ir::Ref::new(nnm_kir::ir::BufId(count.0), now.clone()))));
    let assigns = vec![set(v, next), set(g, left), set(rest, waits), set(spikes, spike)];
    let body = vec![
        Stmt::Deliver { about: "synapses".into(), list, count, slot: before, rows, body: vec![effect] },
        Stmt::Stage { about: "cells".into(), assigns },
        Stmt::Compact { flags, list, count, slot: now },
        Stmt::Stage { about: "events".into(), assigns: vec![Assign { add: true, ..set(total, one_step) }] },
    ];
    let body = vec![Stmt::For { index: STEP, from: Int::Const(0), to: Int::Const(STEPS), down: false, body }];
    let (name, slots) = ("cells".to_string(), vec!["batch".to_string()]);
    Ok(Program {
        name,
        precision: Precision::F64,
        graph: c.graph,
        batch: 1,
        slots,
        loops: 1,
        records: Default::default(),
        body,
    })
}

fn main() {
    let program = network().expect("shapes fit");
    let lowered = lower(&program).expect("the program has a kernel");
    if std::env::args().any(|arg| arg == "print") {
        println!("{}\n{}", nnm_graph::print(&program), nnm_kir::print::print(&lowered.kernel));
    }
    let options = nnm_codegen::Options { prims: &prims::find, ..Default::default() };
    let code = nnm_codegen::compile(&lowered.kernel, &options).expect("the kernel compiles");
    let total = lowered.kernel.buffers.iter().position(|b| b.name == "total").expect("it counts");
    for connected in [false, true] {
        let mut memory: Vec<Aligned> = vec![];
        for buffer in &lowered.kernel.buffers {
            let len = buffer.len as usize;
            let aligned = match buffer.elem {
                Elem::F32 => Aligned::zeroed::<f32>(len),
                Elem::F64 => Aligned::zeroed::<f64>(len),
                Elem::U32 => Aligned::zeroed::<u32>(len),
                Elem::I64 => Aligned::zeroed::<i64>(len),
            };
            memory.push(aligned.expect("memory"));
            let Some(last) = memory.last_mut() else { continue };
            match buffer.name.as_str() {
                "drive" => {
                    last.f64_mut().iter_mut().enumerate().for_each(|(k, x)| *x = 0.0055 + 1e-6 * (k % 997) as f64)
                }
                "ptr" if connected => last.u32_mut().iter_mut().enumerate().for_each(|(k, x)| *x = (k * EDGES) as u32),
                "other" => last.u32_mut().iter_mut().enumerate().for_each(|(k, x)| *x = (k * 7919 % CELLS) as u32),
                _ => {}
            }
        }
        let (mut best, mut events) = (f64::INFINITY, 0);
        for _ in 0..20 {
            let before = memory[total].i64()[0];
            let start = Instant::now();
            code.run(&mut memory, &mut [1]).expect("the buffers are the kernel's");
            let time = start.elapsed().as_secs_f64();
            if time < best {
                (best, events) = (time, (memory[total].i64()[0] - before) * EDGES as i64);
            }
        }
        let per_step = best * 1e9 / STEPS as f64 / CELLS as f64;
        println!("connected {connected}: {per_step:.3} ns a cell and step, {events} events in {:.2} ms", best * 1e3);
    }
}
