//! Lowering: from a program to one kernel.
//!
//! Each stage becomes as few maps and calls as its data dependencies allow (see `stage`), what does not change in a loop is
//! computed before it (see `hoist`), and values that live in memory between them share buffers (see `memory`).
//!
//! **Layout.** Var k is buffer k: samples one after another without gaps, copies in time at a stride that is padded to 16
//! elements. Constants and temporaries have the buffers behind.

mod calls;
mod contract;
mod deliver;
mod events;
mod fuse;
mod hoist;
mod images;
mod legal;
mod map;
mod memory;
mod order;
mod plan;
mod products;
mod regroup;
mod stage;
mod strided;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use nnm_kir::ir as kir;
use nnm_kir::ir::{BufId, Int, Ref};
use nnm_runtime::array::Array;

use crate::error::ShapeError;
use crate::ir::{Assign, Graph, NodeId, Op, Place, Program, Stmt, VarElem, VarId};
use crate::ops::batch::BATCH;
use crate::shape;
use memory::Memory;
use plan::Plan;
use stage::Root;

/// A program as a kernel, with what its caller has to know about buffers.
#[derive(Clone, Debug)]
pub struct Lowered {
    pub kernel: kir::Kernel,
    /// The buffer of each var.
    pub buffers: Vec<BufId>,
    /// For each var, the elements from one copy in time to the next.
    pub strides: Vec<u64>,
    /// Buffers that the caller fills once, in row-major order.
    pub constants: Vec<(BufId, Arc<Array>)>,
    /// Buffers whose contents mean nothing between calls.
    pub temporaries: Vec<BufId>,
}

/// What lowering cannot express: a program that [`crate::verify`] refuses, or a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowerError(pub String);

impl fmt::Display for LowerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LowerError {}

impl From<ShapeError> for LowerError {
    fn from(error: ShapeError) -> LowerError {
        LowerError(error.to_string())
    }
}

/// The kernel of a program.
pub fn lower(program: &Program) -> Result<Lowered, LowerError> {
    let (graph, body) = legal::legalise(program)?;
    let plan = Plan::of(&graph, &legal::roots(&body), &legal::own_roots(&body, &program.records));
    let memory = Memory::of(program);
    let mut lowering = Lowering { program, graph: &graph, plan: &plan, memory, hoisted: HashMap::new(), out: vec![] };
    lowering.statements(&body)?;
    Ok(lowering.finish())
}

/// The state of one lowering.
struct Lowering<'a> {
    program: &'a Program,
    /// The legal graph: broadcasts explicit, nothing batched where batches have one sample.
    graph: &'a Graph,
    plan: &'a Plan,
    memory: Memory,
    /// Nodes that hold their value in memory throughout the loops being lowered.
    hoisted: HashMap<NodeId, Ref>,
    /// The block being written.
    out: Vec<kir::Stmt>,
}

impl Lowering<'_> {
    fn finish(self) -> Lowered {
        let vars = self.program.graph.vars.len();
        let Memory { buffers, strides, constants, temporaries, .. } = self.memory;
        let kernel = kir::Kernel {
            name: self.program.name.clone(),
            precision: self.program.precision,
            buffers,
            slots: self.program.slots.clone(),
            body: self.out,
        };
        let constants = constants.into_iter().map(|(_, buffer, values)| (buffer, values)).collect();
        Lowered { kernel, buffers: (0..vars as u32).map(BufId).collect(), strides, constants, temporaries }
    }

    fn statements(&mut self, body: &[Stmt]) -> Result<(), LowerError> {
        body.iter().try_for_each(|stmt| self.statement(stmt))
    }

    fn statement(&mut self, stmt: &Stmt) -> Result<(), LowerError> {
        match stmt {
            Stmt::Stage { about, assigns } => self.stage(about, assigns),
            Stmt::For { index, from, to, down, body } => {
                let known = self.hoist(*index, body)?;
                let block = self.block(body)?;
                self.hoisted = known;
                let (from, to) = (from.clone(), to.clone());
                self.out.push(kir::Stmt::For { index: *index, from, to, down: *down, body: block });
                Ok(())
            }
            Stmt::IfEqual { a, b, body } => self.branch(kir::IntCmp::Eq, a, b, body),
            Stmt::IfLess { a, b, body } => self.branch(kir::IntCmp::Lt, a, b, body),
            Stmt::SetSlot { slot, value } => {
                self.out.push(kir::Stmt::Set { slot: kir::SlotId(*slot), value: value.clone() });
                Ok(())
            }
            Stmt::Deliver { about, list, count, slot, rows, body } => {
                self.note(about);
                self.deliver((*list, *count, slot), rows, body)
            }
            Stmt::Note(text) => {
                self.out.push(kir::Stmt::Note(text.clone()));
                Ok(())
            }
            _ => self.event(stmt),
        }
    }

    fn branch(&mut self, op: kir::IntCmp, a: &Int, b: &Int, body: &[Stmt]) -> Result<(), LowerError> {
        let then = self.block(body)?;
        let cond = kir::Cond { op, a: a.clone(), b: b.clone() };
        self.out.push(kir::Stmt::If { cond, then, otherwise: vec![] });
        Ok(())
    }

    /// A block of its own.
    fn block(&mut self, body: &[Stmt]) -> Result<Vec<kir::Stmt>, LowerError> {
        let outer = std::mem::take(&mut self.out);
        let result = self.statements(body);
        let block = std::mem::replace(&mut self.out, outer);
        result.map(|()| block)
    }

    fn note(&mut self, about: &str) {
        if !about.is_empty() {
            self.out.push(kir::Stmt::Note(about.to_string()));
        }
    }

    fn stage(&mut self, about: &str, assigns: &[Assign]) -> Result<(), LowerError> {
        self.note(about);
        let mut casts = vec![];
        let mut roots = vec![];
        for assign in assigns {
            let place = self.place(assign.to, &assign.place)?;
            let elem = self.program.graph.var(assign.to).elem;
            if elem == VarElem::Real {
                roots.push(Root { value: assign.value, place, var: Some(assign.to) });
            } else {
                let temp = self.memory.take(self.extent_len(assign.value));
                roots.push(Root { value: assign.value, place: Ref::new(temp, 0), var: None });
                casts.push((place, temp, elem, self.len_of(assign.value)));
            }
        }
        self.run_stage(roots)?;
        for (place, temp, elem, len) in casts {
            let prim = if elem == VarElem::Index { "to_index" } else { "to_count" };
            self.call(prim, vec![place.into_arg(), Ref::new(temp, 0).into_arg(), len.into_arg()]);
            self.memory.give_back(temp);
        }
        Ok(())
    }

    /// Where a stage reads or writes a var.
    fn place(&self, var: VarId, place: &Place) -> Result<Ref, LowerError> {
        let buffer = BufId(var.0);
        match place {
            Place::Whole => Ok(Ref::new(buffer, 0)),
            Place::Time(time) => Ok(Ref::new(buffer, time.clone() * self.memory.strides[var.0 as usize] as i64)),
            _ => {
                let name = &self.program.graph.var(var).name;
                Err(LowerError(format!("`{name}` cannot be stored at {place:?} in a stage")))
            }
        }
    }

    fn call(&mut self, prim: &str, args: Vec<kir::Arg>) {
        self.out.push(kir::Stmt::Call { prim: prim.to_string(), args });
    }

    // ---- extents

    /// Whether a node differs between samples, and its size per sample.
    fn extent(&self, node: NodeId) -> Extent {
        let node = self.graph.node(node);
        Extent { batched: node.batched, size: shape::size(&node.shape) }
    }

    /// The most elements of a node.
    fn extent_len(&self, node: NodeId) -> usize {
        let extent = self.extent(node);
        if extent.batched { extent.size * self.program.batch } else { extent.size }
    }

    /// How far a map goes: over all samples that a batch may have, so that it is known in advance. What it makes of samples
    /// that are not there means nothing, and nothing but maps reads it.
    fn map_len(&self, extent: Extent) -> Int {
        let samples = if extent.batched { self.program.batch } else { 1 };
        Int::Const((samples * extent.size) as i64)
    }

    /// How many elements of a node are present.
    fn len_of(&self, node: NodeId) -> Int {
        self.extent(node).len()
    }

    /// How many samples of a node are present.
    fn samples(&self, node: NodeId) -> Int {
        if self.graph.node(node).batched { Int::Slot(BATCH) } else { Int::Const(1) }
    }

    /// The memory of a node whose value is there before any statement.
    fn leaf_memory(&mut self, node: NodeId) -> Option<Ref> {
        if let Some(place) = self.hoisted.get(&node) {
            return Some(place.clone());
        }
        match &self.graph.node(node).op {
            Op::Tensor(tensor) => Some(Ref::new(self.memory.constant(node, tensor), 0)),
            Op::Read { var, place: place @ (Place::Whole | Place::Time(_)) }
                if self.program.graph.var(*var).elem == VarElem::Real =>
            {
                self.place(*var, place).ok()
            }
            _ => None,
        }
    }
}

/// The flat extent of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Extent {
    batched: bool,
    size: usize,
}

impl Extent {
    const SCALAR: Extent = Extent { batched: false, size: 1 };

    fn len(self) -> Int {
        if self.batched { Int::Slot(BATCH) * self.size as i64 } else { Int::Const(self.size as i64) }
    }
}

/// What can be an argument of a call.
trait IntoArg {
    fn into_arg(self) -> kir::Arg;
}

impl IntoArg for Ref {
    fn into_arg(self) -> kir::Arg {
        kir::Arg::Buf(self)
    }
}

impl IntoArg for &Ref {
    fn into_arg(self) -> kir::Arg {
        kir::Arg::Buf(self.clone())
    }
}

impl IntoArg for Int {
    fn into_arg(self) -> kir::Arg {
        kir::Arg::Int(self)
    }
}

impl IntoArg for usize {
    fn into_arg(self) -> kir::Arg {
        kir::Arg::Int(Int::Const(self as i64))
    }
}

impl IntoArg for bool {
    fn into_arg(self) -> kir::Arg {
        kir::Arg::Int(Int::Const(i64::from(self)))
    }
}

/// The arguments of a call, each converted.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { vec![$($crate::lower::IntoArg::into_arg($arg)),*] };
}
use args;
