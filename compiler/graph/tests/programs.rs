//! Whole programs, with loops, events and data, against the host.

mod common;

use std::collections::HashMap;

use common::host::Host;
use common::machine::{both, lowered};
use common::{Numbers, array};
use nnm_graph::ir::*;
use nnm_kir::ir::{BufId, Draw, Int, LoopId, Precision, Ref, SlotId, Stmt as KirStmt};
use nnm_kir::print::print;
use nnm_runtime::array::Array;

struct Builder {
    graph: Graph,
    values: HashMap<VarId, Array>,
    numbers: Numbers,
    samples: usize,
}

impl Builder {
    fn new(seed: u64, samples: usize) -> Builder {
        Builder { graph: Graph::default(), values: HashMap::new(), numbers: Numbers(seed), samples }
    }

    fn var(&mut self, name: &str, elem: VarElem, shape: &[usize], batched: bool, times: Option<usize>) -> VarId {
        self.graph.add_var(Var { name: name.into(), elem, shape: shape.to_vec(), batched, times })
    }

    /// A real var with random values.
    fn real(&mut self, name: &str, shape: &[usize], batched: bool) -> VarId {
        let var = self.var(name, VarElem::Real, shape, batched, None);
        let dims = if batched { [&[self.samples], shape].concat() } else { shape.to_vec() };
        let value = self.numbers.array(&dims, -1.0, 1.0);
        self.values.insert(var, value);
        var
    }

    fn index(&mut self, name: &str, values: &[usize]) -> VarId {
        let var = self.var(name, VarElem::Index, &[values.len()], false, None);
        self.values.insert(var, array(&[values.len()], values.iter().map(|x| *x as f64).collect()));
        var
    }

    fn read(&mut self, var: VarId) -> NodeId {
        self.graph.read(var, Place::Whole).unwrap()
    }

    fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> NodeId {
        self.graph.binary(op, a, b).unwrap()
    }

    fn c(&mut self, value: f64) -> NodeId {
        self.graph.constant(value)
    }

    fn program(self, batch: usize, slots: &[&str], loops: u32, body: Vec<Stmt>) -> (Program, HashMap<VarId, Array>) {
        let slots = slots.iter().map(|s| s.to_string()).collect();
        let (name, precision) = ("test".to_string(), Precision::F64);
        (
            Program { name, precision, graph: self.graph, batch, slots, loops, records: Default::default(), body },
            self.values,
        )
    }
}

fn set(to: VarId, value: NodeId) -> Assign {
    Assign { to, place: Place::Whole, add: false, value }
}

fn stage(assigns: Vec<Assign>) -> Stmt {
    Stmt::Stage { about: String::new(), assigns }
}

/// Runs a program, as it is and optimised, against the host; gives the first kernel's text and status.
fn check(program: &Program, values: &HashMap<VarId, Array>, slots: &[i64]) -> (String, i32) {
    let mut optimised = program.clone();
    nnm_graph::optimise(&mut optimised, &mut |_, _, _| ()).unwrap();
    check_one(&optimised, program, values, slots);
    check_one(program, program, values, slots)
}

/// Runs one form of a program and compares all vars with what the host makes of another.
fn check_one(program: &Program, reference: &Program, values: &HashMap<VarId, Array>, slots: &[i64]) -> (String, i32) {
    let lowered = lowered(program);
    let mut host = Host::new(reference, values, slots.to_vec());
    let text = print(&lowered.kernel);
    let (memory, _, status) = both(program, &lowered, values, slots);
    assert_eq!(host.run(), status, "{text}");
    for (k, var) in reference.graph.vars.iter().enumerate() {
        let (size, stride) = (host.size(VarId(k as u32)), lowered.strides[k] as usize);
        for copy in 0..var.times.unwrap_or(1) {
            let at = |k: usize| copy * stride + k;
            let buffer = &memory[lowered.buffers[k].0 as usize];
            for i in 0..size {
                let found = match var.elem {
                    VarElem::Real => buffer.f64()[at(i)],
                    VarElem::Index => f64::from(buffer.u32()[at(i)]),
                    VarElem::Count => buffer.i64()[at(i)] as f64,
                };
                let expected = host.vars[&VarId(k as u32)][copy * size + i];
                let close = (found - expected).abs() <= 1e-11 * (1.0 + expected.abs());
                let same = close || found == expected || (found.is_nan() && expected.is_nan());
                assert!(same, "{}[{copy}][{i}] is {found}, expected {expected}\n{text}", var.name);
            }
        }
    }
    (text, status)
}

fn count(body: &[KirStmt], what: &dyn Fn(&KirStmt) -> bool) -> usize {
    body.iter()
        .map(|stmt| {
            let inner = match stmt {
                KirStmt::For { body, .. } => count(body, what),
                KirStmt::If { then, .. } => count(then, what),
                _ => 0,
            };
            inner + usize::from(what(stmt))
        })
        .sum()
}

const STEP: LoopId = LoopId(0);

/// Leaky integrate-and-fire cells with a delay of two steps between them.
fn spiking(b: &mut Builder, n: usize, steps: i64) -> Vec<Stmt> {
    let (v, g, w) = (b.real("v", &[n], false), b.real("g", &[n], false), b.real("w", &[3 * n], false));
    let spikes = b.var("spikes", VarElem::Real, &[n], false, None);
    let tau = b.real("tau", &[n], false);
    let list = b.var("list", VarElem::Index, &[n], false, Some(3));
    let counts = b.var("count", VarElem::Count, &[3], false, None);
    let ptr: Vec<usize> = (0..=n).map(|k| 3 * k).collect();
    let other: Vec<usize> = (0..3 * n).map(|_| b.numbers.below(n)).collect();
    let (ptr, other) = (b.index("ptr", &ptr), b.index("other", &other));
    let edges: Vec<usize> = (0..3 * n).rev().collect();
    let edge = b.index("edge", &edges);
    let cells = b.var("log_cell", VarElem::Index, &[200], false, None);
    let when = b.var("log_step", VarElem::Index, &[200], false, None);
    let used = b.var("log_count", VarElem::Count, &[], false, None);
    let (rv, rg, rt) = (b.read(v), b.read(g), b.read(tau));
    let decay = b.graph.unary(Unary::Exp, rt).unwrap();
    let half = b.c(0.1);
    let decay = b.binary(Binary::Mul, decay, half);
    let noise = b.graph.draw(Draw::Normal, 7, [Int::Loop(STEP), Int::Const(0)], &[n], false, None).unwrap();
    let drive = b.binary(Binary::Add, rg, noise);
    let kept = b.binary(Binary::Mul, rv, decay);
    let moved = b.binary(Binary::Add, kept, drive);
    let threshold = b.c(1.0);
    let spike = b.binary(Binary::Gt, moved, threshold);
    let zero = b.c(0.0);
    let reset = b.graph.select(spike, zero, moved).unwrap();
    let leak = b.c(0.8);
    let left = b.binary(Binary::Mul, rg, leak);
    let about = "cells".to_string();
    let assigns = vec![set(v, reset), set(g, left), set(spikes, spike)];
    let weight = b.graph.read(w, Place::Edge).unwrap();
    let target = b.graph.read(v, Place::Other).unwrap();
    let source = b.graph.read(tau, Place::Own).unwrap();
    let jump = b.binary(Binary::Mul, weight, source);
    let factor = b.graph.count(Int::Loop(STEP));
    let factor = b.graph.unary(Unary::Sqrt, factor).unwrap();
    let change = b.binary(Binary::Mul, target, factor);
    let less = b.binary(Binary::Mul, weight, leak);
    let body = vec![
        Assign { to: g, place: Place::Other, add: true, value: jump },
        Assign { to: v, place: Place::Own, add: true, value: change },
        Assign { to: w, place: Place::Edge, add: false, value: less },
    ];
    let slot = Int::Loop(STEP).remainder(3);
    let old = (Int::Loop(STEP) + 1).remainder(3);
    let rows = Rows { ptr, edge: Some(edge), other };
    let flags = b.read(spikes);
    let log = Stmt::Log {
        list,
        count: counts,
        slot: slot.clone(),
        step: Int::Loop(STEP),
        log_cell: cells,
        log_step: when,
        log_count: used,
    };
    let deliver = Stmt::Deliver { about: "synapses".into(), list, count: counts, slot: old, rows, body };
    let step = vec![
        deliver,
        Stmt::Stage { about, assigns },
        Stmt::Compact { flags, list, count: counts, slot },
        log,
        Stmt::CheckFinite { var: v, place: Place::Whole, code: 5 },
    ];
    vec![Stmt::For { index: STEP, from: Int::Const(0), to: Int::Const(steps), down: false, body: step }]
}

#[test]
fn spiking_cells_with_delays() {
    let mut b = Builder::new(3, 1);
    let body = spiking(&mut b, 21, 12);
    let (program, values) = b.program(1, &["batch", "fault", "fault_index"], 1, body);
    let (text, status) = check(&program, &values, &[1, 0, 0]);
    assert_eq!(status, 0);
    let lowered = lowered(&program);
    let maps = count(&lowered.kernel.body, &|s| matches!(s, KirStmt::Map(_)));
    assert_eq!(maps, 3, "one map of a step, one of the decays before, one of the edges' factor\n{text}");
}

#[test]
fn a_full_log_ends_the_kernel() {
    let mut b = Builder::new(3, 1);
    let body = spiking(&mut b, 21, 400);
    let (program, values) = b.program(1, &["batch", "fault", "fault_index"], 1, body);
    assert_eq!(check(&program, &values, &[1, 0, 0]).1, 1);
}

#[test]
fn what_is_not_finite_ends_the_kernel() {
    let mut b = Builder::new(1, 3);
    let x = b.real("x", &[7], true);
    let r = b.read(x);
    let log = b.graph.unary(Unary::Log, r).unwrap();
    let body = vec![stage(vec![set(x, log)]), Stmt::CheckFinite { var: x, place: Place::Whole, code: 9 }];
    let (program, values) = b.program(4, &["batch", "fault", "fault_index"], 0, body);
    let lowered = lowered(&program);
    let (memory, slots, status) = both(&program, &lowered, &values, &[3, 0, 0]);
    assert_eq!(status, 2);
    let bad = memory[0].f64()[..21].iter().position(|x| !x.is_finite()).unwrap();
    assert_eq!(slots, vec![3, 9, bad as i64]);
}

/// A recurrent layer over time, forward and back, in loops over copies in time.
fn recurrent(b: &mut Builder, steps: usize) -> Vec<Stmt> {
    let (n, m) = (5, 3);
    let (w, u, bias) = (b.real("w", &[n, m], false), b.real("u", &[n, n], false), b.real("b", &[n], false));
    let tau = b.real("tau", &[n], false);
    let x = b.var("x", VarElem::Real, &[m], true, Some(steps));
    let h = b.var("h", VarElem::Real, &[n], true, Some(steps + 1));
    let dh = b.var("dh", VarElem::Real, &[n], true, None);
    let (dw, du) = (b.real("dw", &[n, m], false), b.real("du", &[n, n], false));
    let db = b.real("db", &[n], false);
    let t = Int::Loop(STEP);
    let noise = b.graph.draw(Draw::Uniform, 11, [t.clone(), Int::Const(0)], &[m], true, None).unwrap();
    let input = vec![Assign { to: x, place: Place::Time(t.clone()), add: false, value: noise }];
    let (rw, ru, rb, rt) = (b.read(w), b.read(u), b.read(bias), b.read(tau));
    let rx = b.graph.read(x, Place::Time(t.clone())).unwrap();
    let rh = b.graph.read(h, Place::Time(t.clone())).unwrap();
    let wx = b.graph.matmul(rw, rx).unwrap();
    let uh = b.graph.matmul(ru, rh).unwrap();
    let sum = b.binary(Binary::Add, wx, rb);
    let sum = b.binary(Binary::Add, sum, uh);
    let rate = b.graph.unary(Unary::Sigmoid, rt).unwrap();
    let leak = b.binary(Binary::Mul, rate, rh);
    let sum = b.binary(Binary::Add, leak, sum);
    let next = b.graph.unary(Unary::Tanh, sum).unwrap();
    let forward = vec![Assign { to: h, place: Place::Time(t.clone() + 1), add: false, value: next }];
    let rdh = b.read(dh);
    let grads = nnm_graph::grad(&mut b.graph, &[(next, rdh)], &[rw, ru, rb, rh]).unwrap();
    let [gw, gu, gb, gh] = [0, 1, 2, 3].map(|k| grads[k].unwrap());
    let add = |to, value| Assign { to, place: Place::Whole, add: true, value };
    let backward = vec![add(dw, gw), add(du, gu), add(db, gb), set(dh, gh)];
    let one = b.c(1.0);
    let loop_of = |down, body| Stmt::For { index: STEP, from: Int::Const(0), to: Int::Const(steps as i64), down, body };
    vec![
        loop_of(false, vec![stage(input), stage(forward)]),
        stage(vec![set(dh, one)]),
        loop_of(true, vec![stage(backward)]),
    ]
}

#[test]
fn a_recurrent_layer_over_time() {
    for (samples, batch) in [(3, 4), (1, 1)] {
        let mut b = Builder::new(5, samples);
        let body = recurrent(&mut b, 4);
        let (program, values) = b.program(batch, &["batch"], 1, body);
        let (text, _) = check(&program, &values, &[samples as i64]);
        assert!(!text.contains("call copy"), "states go straight to their next place in time\n{text}");
    }
}

/// Vars that exchange their values, shift along, and are stored twice.
#[test]
fn stores_see_the_old_values() {
    let mut b = Builder::new(8, 2);
    let [x, y, z] = ["x", "y", "z"].map(|name| b.real(name, &[6], true));
    let shared = b.real("shared", &[6], false);
    let line = b.var("line", VarElem::Real, &[6], true, Some(4));
    let (rx, ry, rz, rs) = (b.read(x), b.read(y), b.read(z), b.read(shared));
    let total = b.graph.reduce_all(Reduce::Sum, rz).unwrap();
    let total = b.graph.broadcast_to(total, &[6]).unwrap();
    let shifted = b.graph.slice(ry, 0, 1, 1, 5).unwrap();
    let shifted = b.graph.unslice(shifted, 0, 0, 1, 6).unwrap();
    let back = b.binary(Binary::Sub, total, rx);
    let mut body = vec![
        stage(vec![set(x, ry), set(y, rx)]),
        stage(vec![set(x, shifted), set(y, back), set(z, rx), set(shared, rs)]),
        stage(vec![set(z, rs), set(z, rx)]),
        stage(vec![set(y, rs)]),
    ];
    for k in (1..4).rev() {
        let place = |k: i64| Place::Time(Int::Const(k));
        let before = b.graph.read(line, place(k - 1)).unwrap();
        let sum = b.binary(Binary::Add, before, rx);
        body.push(stage(vec![
            Assign { to: line, place: place(k), add: false, value: sum },
            Assign { to: line, place: place(0), add: true, value: rx },
        ]));
    }
    let (program, values) = b.program(3, &["batch"], 0, body);
    check(&program, &values, &[2]);
}

#[test]
fn edges_of_a_projection() {
    for (samples, batch) in [(1, 1), (2, 3)] {
        let mut b = Builder::new(9, samples);
        let (n, edges) = (7, 12);
        let (v, sum) = (b.real("v", &[n], true), b.real("sum", &[n], true));
        let w = b.real("w", &[edges], false);
        let (pre, post): (Vec<usize>, Vec<usize>) = (0..edges).map(|k| (k * 5 % n, k * 3 % n)).unzip();
        let (pre, post) = (b.index("pre", &pre), b.index("post", &post));
        let rv = b.graph.read(v, Place::Gather(pre)).unwrap();
        let rw = b.read(w);
        let current = b.binary(Binary::Mul, rw, rv);
        let whole = b.read(v);
        let indices = b.read(post);
        let again = b.graph.gather(whole, 0, indices).unwrap();
        let square = b.binary(Binary::Mul, again, again);
        let total = b.graph.scatter_add(square, 0, indices, &[n]).unwrap();
        let number = b.binary(Binary::Mul, indices, rw);
        let body = vec![
            stage(vec![Assign { to: sum, place: Place::Gather(post), add: true, value: current }]),
            stage(vec![set(v, total), set(w, number)]),
        ];
        let (program, values) = b.program(batch, &["batch"], 0, body);
        check(&program, &values, &[samples as i64]);
    }
}

#[test]
fn data_rows_and_slots() {
    let mut b = Builder::new(4, 3);
    let data = b.real("data", &[10, 2, 3], false);
    let label = b.real("label", &[10], false);
    let order = b.index("order", &[4, 9, 0, 3, 7, 1, 2, 2, 5, 6]);
    let (x, y) = (b.var("x", VarElem::Real, &[2, 3], true, None), b.var("y", VarElem::Real, &[], true, None));
    let total = b.real("total", &[2, 3], false);
    let (rx, ry) = (b.read(x), b.read(y));
    let product = b.binary(Binary::Mul, rx, ry);
    let sum = b.graph.batch_sum(product).unwrap();
    let n = b.graph.count(Int::Slot(SlotId(0)));
    let mean = b.binary(Binary::Div, sum, n);
    let counted = b.var("counted", VarElem::Count, &[], false, None);
    let seen = b.graph.count(Int::Slot(SlotId(1)));
    let old = b.read(counted);
    let seen = b.binary(Binary::Add, old, seen);
    let offset = Int::Slot(SlotId(1)) * 3;
    let fetch = |into, from| Stmt::Fetch { into, from, index: order, offset: offset.clone() };
    let inner = vec![
        fetch(x, data),
        fetch(y, label),
        stage(vec![Assign { to: total, place: Place::Whole, add: true, value: mean }, set(counted, seen)]),
        Stmt::SetSlot { slot: 1, value: Int::Slot(SlotId(1)) + 1 },
    ];
    let last = Int::Load(Box::new(Ref::new(BufId(counted.0), 0)));
    let body = vec![
        Stmt::For { index: STEP, from: Int::Const(0), to: Int::Const(3), down: false, body: inner },
        Stmt::IfEqual { a: last.clone(), b: Int::Const(3), body: vec![stage(vec![set(label, n)])] },
        Stmt::IfLess { a: last, b: Int::Const(3), body: vec![stage(vec![set(data, n)])] },
    ];
    let (program, values) = b.program(4, &["batch", "number"], 1, body);
    check(&program, &values, &[3, 0]);
}

/// Rules written for each connection become products along the samples.
#[test]
fn rules_separate() {
    let mut b = Builder::new(6, 3);
    let (n, m) = (4, 5);
    let (w, dw) = (b.real("w", &[n, m], false), b.real("dw", &[n, m], false));
    let (pre, post, gain) = (b.real("pre", &[m], true), b.real("post", &[n], true), b.real("gain", &[], true));
    let out = b.real("out", &[n], true);
    let [rw, rx, ry, rg] = [w, pre, post, gain].map(|var| b.read(var));
    let column = b.graph.reshape(ry, &[n, 1]).unwrap();
    let hebb = b.binary(Binary::Mul, column, rx);
    let square = b.binary(Binary::Mul, column, column);
    let decay = b.binary(Binary::Mul, square, rw);
    let oja = b.binary(Binary::Sub, hebb, decay);
    let modulated = b.binary(Binary::Mul, oja, rg);
    let three = b.c(3.0);
    let scaled = b.binary(Binary::Div, modulated, three);
    let sum = b.graph.batch_sum(scaled).unwrap();
    let input = b.binary(Binary::Mul, rw, rx);
    let total = b.graph.reduce(Reduce::Sum, input, &[1]).unwrap();
    let body = vec![stage(vec![set(dw, sum), set(out, total)])];
    let (program, values) = b.program(4, &["batch"], 0, body);
    check(&program, &values, &[3]);
    let mut optimised = program.clone();
    nnm_graph::optimise(&mut optimised, &mut |_, _, _| ()).unwrap();
    let text = print(&lowered(&optimised).kernel);
    assert_eq!(text.matches("call gemm").count(), 2, "{text}");
    assert!(!text.contains("map 80 "), "nothing is as large as samples times connections\n{text}");
}

/// A loop that adds up `sum over samples of error_t · input` with an input that stays: one product after the loop.
#[test]
fn products_with_what_a_loop_keeps_come_after_it() {
    let mut b = Builder::new(31, 3);
    let input = b.real("input", &[5], true);
    let error = b.real("error", &[4], true);
    let (change, other, twice) =
        (b.real("change", &[4, 5], false), b.real("other", &[4, 5], false), b.real("twice", &[4, 5], false));
    let (x, e) = (b.read(input), b.read(error));
    let half = b.c(0.5);
    let next = b.binary(Binary::Mul, e, half);
    let product = |b: &mut Builder, rows: NodeId, columns: NodeId| {
        let outer = b.graph.outer(rows, columns).unwrap();
        let sum = b.graph.batch_sum(outer).unwrap();
        let three = b.c(3.0);
        b.binary(Binary::Div, sum, three)
    };
    let kept = product(&mut b, e, x);
    let size = b.graph.reduce_all(Reduce::Sum, e).unwrap();
    let scaled = b.binary(Binary::Mul, x, size);
    let changing = product(&mut b, e, scaled);
    let (old, others, doubled) = (b.read(change), b.read(other), b.read(twice));
    let change_value = b.binary(Binary::Add, kept, old);
    // Not linear in what is summed: the factor changes too.
    let other_value = b.binary(Binary::Add, changing, others);
    // D is looked at elsewhere: it must not wait.
    let seen = b.binary(Binary::Mul, others, half);
    let twice_value = b.binary(Binary::Add, doubled, seen);
    let body =
        stage(vec![set(error, next), set(change, change_value), set(other, other_value), set(twice, twice_value)]);
    let body =
        vec![Stmt::For { index: LoopId(0), from: Int::Const(0), to: Int::Const(6), down: false, body: vec![body] }];
    let (program, values) = b.program(3, &["batch"], 1, body);
    let mut optimised = program.clone();
    nnm_graph::optimise(&mut optimised, &mut |_, _, _| ()).unwrap();
    let [_, Stmt::For { body, .. }, Stmt::Stage { .. }] = optimised.body.as_slice() else {
        panic!("{}", nnm_graph::print(&optimised))
    };
    let Stmt::Stage { assigns, .. } = &body[0] else { panic!("a stage") };
    assert!(assigns.iter().all(|a| a.to != change), "{}", nnm_graph::print(&optimised));
    assert!(assigns.iter().any(|a| a.to == other) && assigns.iter().any(|a| a.to == twice));
    check(&program, &values, &[3]);
}

/// Two rows of 40 with a NaN at a place of each, but for the last row.
fn rows_with_nan(b: &mut Builder) -> (VarId, NodeId) {
    let x = b.real("x", &[3, 40], false);
    let mut values = nnm_runtime::array::to_vec(&b.values[&x]);
    (values[17], values[40 + 39]) = (f64::NAN, f64::NAN);
    b.values.insert(x, array(&[3, 40], values));
    (x, b.read(x))
}

#[test]
fn an_extreme_of_nan_is_nan() {
    let mut b = Builder::new(5, 1);
    let (_, x) = rows_with_nan(&mut b);
    let mut assigns = vec![];
    for (name, reduce) in [("largest", Reduce::Max), ("smallest", Reduce::Min)] {
        for axis in [0, 1] {
            let value = b.graph.reduce(reduce, x, &[axis]).unwrap();
            let shape = b.graph.shape(value).to_vec();
            assigns.push(set(b.real(&format!("{name} {axis}"), &shape, false), value));
        }
    }
    let place = b.graph.argmax(x, 1).unwrap();
    assigns.push(set(b.real("place", &[3], false), place));
    let image = b.graph.reshape(x, &[3, 4, 10]).unwrap();
    let pools = [([2, 2], [2, 2]), ([3, 3], [1, 1])];
    for (k, (size, stride)) in pools.into_iter().enumerate() {
        let value = b.graph.max_pool(image, Pool { size, stride }).unwrap();
        let shape = b.graph.shape(value).to_vec();
        assigns.push(set(b.real(&format!("pool {k}"), &shape, false), value));
    }
    let at = b.graph.tensor(array(&[3], vec![1.0, 0.0, 1.0]));
    for (name, reduce) in [("max", Reduce::Max), ("min", Reduce::Min)] {
        let value = b.graph.scatter(reduce, x, 0, at, &[4, 40]).unwrap();
        assigns.push(set(b.real(&format!("scatter {name}"), &[4, 40], false), value));
    }
    let (program, values) = b.program(1, &["batch"], 0, vec![stage(assigns)]);
    check(&program, &values, &[1]);
    let mut host = Host::new(&program, &values, vec![1]);
    host.run();
    let found = |name: &str| {
        let k = program.graph.vars.iter().position(|v| v.name == name).unwrap();
        host.vars[&VarId(k as u32)].clone()
    };
    for name in ["largest 1", "smallest 1"] {
        assert_eq!(found(name).iter().map(|x| x.is_nan()).collect::<Vec<_>>(), [true, true, false], "{name}");
    }
    for name in ["largest 0", "smallest 0"] {
        assert_eq!((0..40).filter(|k| found(name)[*k].is_nan()).collect::<Vec<_>>(), [17, 39], "{name}");
    }
    assert_eq!(found("place")[..2], [17.0, 39.0]);
    assert_eq!((0..30).filter(|k| found("pool 0")[*k].is_nan()).collect::<Vec<_>>(), [3, 19]);
    for name in ["scatter max", "scatter min"] {
        assert_eq!((0..160).filter(|k| found(name)[*k].is_nan()).collect::<Vec<_>>(), [39, 57], "{name}");
    }
    assert_eq!(found("scatter max")[80], f64::NEG_INFINITY);
    assert_eq!(found("scatter min")[120], f64::INFINITY);
}

/// As in other frameworks, what flows back to an extreme goes to the elements that are NaN.
#[test]
fn credit_of_an_extreme_that_is_nan_goes_to_what_is_nan() {
    let mut b = Builder::new(5, 1);
    let (_, x) = rows_with_nan(&mut b);
    let largest = b.graph.reduce(Reduce::Max, x, &[1]).unwrap();
    let total = b.graph.reduce_all(Reduce::Sum, largest).unwrap();
    let one = b.c(1.0);
    let slopes = nnm_graph::grad(&mut b.graph, &[(total, one)], &[x]).unwrap();
    let to = b.real("slope", &[3, 40], false);
    let (program, values) = b.program(1, &["batch"], 0, vec![stage(vec![set(to, slopes[0].unwrap())])]);
    check(&program, &values, &[1]);
    let mut host = Host::new(&program, &values, vec![1]);
    host.run();
    let slope = &host.vars[&to];
    assert_eq!((0..80).filter(|k| slope[*k] != 0.0).collect::<Vec<_>>(), [17, 79]);
    assert_eq!(slope.iter().sum::<f64>(), 3.0);
}

/// Two values that are computed alike are one node, but each has a derivative of its own once it is marked.
#[test]
fn marked_values_are_apart_and_cost_nothing() {
    let mut b = Builder::new(7, 1);
    let x = b.real("x", &[4], false);
    let x = b.read(x);
    let double = b.binary(Binary::Mul, x, x);
    let (one, other) = (b.graph.marked(double), b.graph.marked(double));
    assert_ne!(one, other);
    let c = b.c(3.0);
    let scaled = b.binary(Binary::Mul, other, c);
    let sum = b.binary(Binary::Add, one, scaled);
    let total = b.graph.reduce_all(Reduce::Sum, sum).unwrap();
    let seed = b.c(1.0);
    let slopes = nnm_graph::grad(&mut b.graph, &[(total, seed)], &[one, other]).unwrap();
    let to: Vec<VarId> = ["one", "other", "value"].map(|name| b.real(name, &[4], false)).to_vec();
    let values = [slopes[0].unwrap(), slopes[1].unwrap(), sum];
    let assigns = to.iter().zip(values).map(|(to, value)| set(*to, value)).collect();
    let (program, values) = b.program(1, &["batch"], 0, vec![stage(assigns)]);
    check(&program, &values, &[1]);
    let mut host = Host::new(&program, &values, vec![1]);
    host.run();
    assert_eq!(host.vars[&to[0]], [1.0; 4]);
    assert_eq!(host.vars[&to[1]], [3.0; 4]);
    let mut program = program;
    nnm_graph::optimise(&mut program, &mut |_, _, _| ()).unwrap();
    assert!(program.graph.nodes.iter().all(|n| !matches!(n.op, Op::Surrogate)));
}
