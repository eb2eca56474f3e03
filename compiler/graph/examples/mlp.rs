//! One training step of a perceptron 64-32-10 on batches of 32, by stochastic gradient descent: its graph and kernel with
//! `print`, else its time through compiled code.

use std::time::Instant;

use nnm_graph::ir::{Assign, Binary, Graph, NodeId, Place, Program, Reduce, Stmt, Unary, Var, VarElem, VarId};
use nnm_graph::{Lowered, ShapeError, grad, lower};
use nnm_kir::ir::{Elem, Int, Precision, SlotId};
use nnm_runtime::memory::Aligned;
use nnm_runtime::prims;

const BATCH: usize = 32;
const SIZES: [usize; 3] = [64, 32, 10];

fn var(graph: &mut Graph, name: &str, shape: &[usize], batched: bool) -> VarId {
    let (name, shape) = (name.to_string(), shape.to_vec());
    graph.add_var(Var { name, elem: VarElem::Real, shape, batched, times: None })
}

/// Cross-entropy of a rectified layer and a linear one; every parameter goes down its gradient.
fn perceptron() -> Result<Program, ShapeError> {
    let mut g = Graph::default();
    let input = var(&mut g, "x", &[SIZES[0]], true);
    let label = var(&mut g, "label", &[], true);
    let loss_sum = var(&mut g, "loss", &[], false);
    let shapes: [&[usize]; 4] = [&[SIZES[1], SIZES[0]], &[SIZES[1]], &[SIZES[2], SIZES[1]], &[SIZES[2]]];
    let names = ["w1", "b1", "w2", "b2"];
    let params: Vec<VarId> = (0..4).map(|k| var(&mut g, names[k], shapes[k], false)).collect();
    let reads = params.iter().map(|p| g.read(*p, Place::Whole)).collect::<Result<Vec<NodeId>, _>>()?;
    let x = g.read(input, Place::Whole)?;
    let target = g.read(label, Place::Whole)?;
    let zero = g.constant(0.0);
    let z1 = g.matmul(reads[0], x)?;
    let z1 = g.binary(Binary::Add, z1, reads[1])?;
    let h = g.binary(Binary::Max, z1, zero)?;
    let z2 = g.matmul(reads[2], h)?;
    let z2 = g.binary(Binary::Add, z2, reads[3])?;
    let scores = g.log_softmax(z2, 0)?;
    let score = g.gather(scores, 0, target)?;
    let loss = g.unary(Unary::Neg, score)?;
    let samples = g.count(Int::Slot(SlotId(0)));
    let one = g.constant(1.0);
    let weight = g.binary(Binary::Div, one, samples)?;
    let grads = grad(&mut g, &[(loss, weight)], &reads)?;
    let rate = g.constant(0.05);
    let mut assigns = vec![];
    for (k, grad) in grads.into_iter().enumerate() {
        let Some(grad) = grad else { continue };
        let change = g.binary(Binary::Mul, grad, rate)?;
        let value = g.binary(Binary::Sub, reads[k], change)?;
        assigns.push(Assign { to: params[k], place: Place::Whole, add: false, value });
    }
    let total = g.batch_sum(loss)?;
    let total = g.reduce_all(Reduce::Sum, total)?;
    assigns.push(Assign { to: loss_sum, place: Place::Whole, add: false, value: total });
    let body = vec![Stmt::Stage { about: "step".into(), assigns }];
    let (name, slots) = ("mlp".to_string(), vec!["batch".to_string()]);
    Ok(Program {
        name,
        precision: Precision::F32,
        graph: g,
        batch: BATCH,
        slots,
        loops: 0,
        records: Default::default(),
        body,
    })
}

/// Two classes of noise per label, and small weights.
fn memory(lowered: &Lowered) -> Vec<Aligned> {
    let mut memory = vec![];
    let mut state = 1u64;
    for buffer in &lowered.kernel.buffers {
        let aligned = match buffer.elem {
            Elem::F64 => Aligned::zeroed::<f64>(buffer.len as usize),
            _ => Aligned::zeroed::<f32>(buffer.len as usize),
        };
        let mut aligned = aligned.expect("memory");
        for (k, x) in aligned.f32_mut().iter_mut().enumerate() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let uniform = (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
            *x = if buffer.name == "label" { (k % SIZES[2]) as f32 } else { 0.3 * uniform };
        }
        memory.push(aligned);
    }
    memory
}

fn main() {
    let program = perceptron().expect("shapes fit");
    let lowered = lower(&program).expect("the program has a kernel");
    if std::env::args().any(|arg| arg == "print") {
        println!("{}\n{}", nnm_graph::print(&program), nnm_kir::print::print(&lowered.kernel));
    }
    let options = nnm_codegen::Options { prims: &prims::find, ..Default::default() };
    let start = Instant::now();
    let code = nnm_codegen::compile(&lowered.kernel, &options).expect("the kernel compiles");
    println!("compiled in {:.2} ms, {} bytes of code", start.elapsed().as_secs_f64() * 1e3, code.size());
    let mut memory = memory(&lowered);
    let mut slots = [BATCH as i64];
    let mut best = f64::INFINITY;
    for _ in 0..200 {
        let start = Instant::now();
        for _ in 0..50 {
            code.run(&mut memory, &mut slots).expect("the buffers are the kernel's");
        }
        best = best.min(start.elapsed().as_secs_f64() / 50.0);
    }
    println!("{:.2} µs a step, loss {:.4}", best * 1e6, memory[2].f32()[0] / BATCH as f32);
}
