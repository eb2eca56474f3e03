//! Lowered programs against the host evaluator, on the checked interpreter.

mod common;

use std::collections::{BTreeSet, HashMap};

use common::flat;
use common::machine::{both, lowered, read};
use common::random::Random;
use nnm_graph::ir::{Assign, Binary, Node, NodeId, Op, Place, Program, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::Precision;
use nnm_runtime::array::Array;

/// A stage that stores some nodes in new vars, and others in the vars they have the extent of.
fn stage(random: &mut Random, count: usize) -> Vec<Assign> {
    let mut assigns = vec![];
    let mut taken = vec![];
    for _ in 0..count {
        let value = random.any();
        let node = random.graph.node(value).clone();
        let fits = |(_, var): &(usize, &Var)| var.shape == node.shape && (var.batched || !node.batched);
        let free = |k: usize| !taken.contains(&k) && !random.indices.contains(&VarId(k as u32));
        let known = random.graph.vars.iter().enumerate().find(|(k, var)| fits(&(*k, var)) && free(*k));
        let to = match known {
            Some((k, _)) if random.numbers.below(2) == 0 => VarId(k as u32),
            _ => random.graph.add_var(Var {
                name: format!("out{}", random.graph.vars.len()),
                elem: VarElem::Real,
                shape: node.shape.clone(),
                batched: node.batched,
                times: None,
            }),
        };
        taken.push(to.0 as usize);
        let add = random.values.of.contains_key(&to) && random.numbers.below(2) == 0;
        assigns.push(Assign { to, place: Place::Whole, add, value });
    }
    assigns
}

fn program(random: Random, batch: usize, precision: Precision, body: Vec<Stmt>) -> (Program, HashMap<VarId, Array>) {
    let slots = vec!["batch".to_string()];
    let program = Program {
        name: "test".into(),
        precision,
        graph: random.graph,
        batch,
        slots,
        loops: 0,
        records: Default::default(),
        body,
    };
    (program, random.values.of)
}

/// What the assigned vars hold after a stage.
fn expected(random: &Random, assigns: &[Assign]) -> Vec<(VarId, Array)> {
    let batch = random.values.batch;
    assigns
        .iter()
        .map(|assign| {
            let var = random.graph.var(assign.to);
            let value = random.values.eval(&random.graph, &[assign.value])[0].clone();
            let dims = if var.batched { [&[batch], &var.shape[..]].concat() } else { var.shape.clone() };
            let mut array = value.broadcast(dims.clone()).unwrap().to_owned();
            if assign.add {
                array += &random.values.of[&assign.to];
            }
            (assign.to, array.into_shared())
        })
        .collect()
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + b.abs())
}

/// Two random stages with `present` samples of at most `batch`, as they are and optimised.
fn check(seed: u64, present: usize, batch: usize) {
    let mut random = Random::new(seed, present);
    random.grow(25);
    let mut body = vec![];
    let mut start: HashMap<VarId, Array> = HashMap::new();
    for _ in 0..2 {
        for (var, value) in &random.values.of {
            start.entry(*var).or_insert_with(|| value.clone());
        }
        let assigns = stage(&mut random, 4);
        let stored = expected(&random, &assigns);
        body.push(Stmt::Stage { about: String::new(), assigns });
        random.values.of.extend(stored);
        random.restart();
        random.grow(15);
    }
    let end: Vec<(VarId, Array)> = random.values.of.iter().map(|(var, value)| (*var, value.clone())).collect();
    let (mut program, _) = program(random, batch, Precision::F64, body);
    let end: Vec<(VarId, Array)> =
        end.into_iter().filter(|(var, _)| start.contains_key(var) || is_stored(&program.body, *var)).collect();
    compare(seed, &program, &start, &end, present);
    nnm_graph::optimise(&mut program, &mut |_, pass, program| {
        let faults = nnm_graph::verify(program);
        assert!(faults.is_empty(), "{}: {faults:?}\n{}", pass.name, nnm_graph::print(program));
    })
    .unwrap();
    assert_eq!(program.body.len(), 1, "the stages are merged");
    compare(seed, &program, &start, &end, present);
}

fn is_stored(body: &[Stmt], var: VarId) -> bool {
    body.iter().any(|stmt| assigns_of(stmt).iter().any(|a| a.to == var))
}

fn assigns_of(stmt: &Stmt) -> &[Assign] {
    if let Stmt::Stage { assigns, .. } = stmt { assigns } else { &[] }
}

fn compare(seed: u64, program: &Program, start: &HashMap<VarId, Array>, end: &[(VarId, Array)], present: usize) {
    let lowered = lowered(program);
    let (memory, _, status) = both(program, &lowered, start, &[present as i64]);
    assert_eq!(status, 0, "seed {seed}");
    for (var, array) in end {
        let found = read(&lowered.kernel, &memory, *var, array.shape());
        for (f, e) in flat(&found).iter().zip(flat(array)) {
            assert!(
                close(*f, e, 1e-11),
                "seed {seed}: var {} is {found}, expected {array}\n{}\n{}",
                var.0,
                nnm_graph::print(program),
                nnm_kir::print::print(&lowered.kernel)
            );
        }
    }
}

/// Two random stages and what their vars hold before.
fn two_stages(seed: u64) -> (Random, Vec<Stmt>, HashMap<VarId, Array>) {
    let mut random = Random::new(seed, 3);
    let mut start: HashMap<VarId, Array> = HashMap::new();
    let mut body = vec![];
    for _ in 0..2 {
        random.grow(25);
        start.extend(random.values.of.iter().map(|(var, value)| (*var, value.clone())));
        let assigns = stage(&mut random, 4);
        random.values.of.extend(expected(&random, &assigns));
        body.push(Stmt::Stage { about: String::new(), assigns });
        random.restart();
    }
    (random, body, start)
}

/// What some vars hold at the end, bit by bit.
fn outcome(program: &Program, start: &HashMap<VarId, Array>, vars: &[VarId]) -> Vec<Vec<u64>> {
    let lowered = lowered(program);
    let (memory, _, status) = both(program, &lowered, start, &[program.batch.min(3) as i64]);
    assert_eq!(status, 0);
    let held = |var: &VarId| {
        let Var { shape, batched, .. } = program.graph.var(*var);
        let dims = if *batched { [&[3], &shape[..]].concat() } else { shape.clone() };
        flat(&read(&lowered.kernel, &memory, *var, &dims)).iter().map(|x| x.to_bits()).collect()
    };
    vars.iter().map(held).collect()
}

/// The vars that hold something before or after.
fn own_vars(random: &Random, body: &[Stmt], start: &HashMap<VarId, Array>) -> Vec<VarId> {
    let all = (0..random.graph.vars.len() as u32).map(VarId);
    all.filter(|var| start.contains_key(var) || is_stored(body, *var)).collect()
}

/// A stage that stores values in new vars.
fn look(random: &mut Random, values: &[NodeId]) -> (Stmt, BTreeSet<VarId>) {
    let mut assigns = vec![];
    for value in values {
        let Node { shape, batched, .. } = random.graph.node(*value).clone();
        let name = format!("look{}", random.graph.vars.len());
        let to = random.graph.add_var(Var { name, elem: VarElem::Real, shape, batched, times: None });
        assigns.push(Assign { to, place: Place::Whole, add: false, value: *value });
    }
    let records = assigns.iter().map(|a| a.to).collect();
    (Stmt::Stage { about: "look".into(), assigns }, records)
}

/// What is only looked at has no say in how the rest is rounded.
#[test]
fn records_change_no_bits() {
    for seed in 3000..3300 {
        let (mut random, body, start) = two_stages(seed);
        let vars = own_vars(&random, &body, &start);
        let stored: Vec<NodeId> = body.iter().flat_map(|s| assigns_of(s).iter().map(|a| a.value)).collect();
        let inner = nnm_graph::needed(&random.graph, &stored);
        let inner: Vec<NodeId> =
            inner.into_iter().filter(|id| !matches!(random.graph.node(*id).op, Op::Read { .. })).collect();
        let seen: Vec<NodeId> = (0..6).map(|_| inner[random.numbers.below(inner.len())]).collect();
        let (look, records) = look(&mut random, &seen);
        let (mut plain, _) = program(random, 4, Precision::F64, body);
        let mut seen = Program { records, ..plain.clone() };
        seen.body.insert(0, look);
        for program in [&mut plain, &mut seen] {
            nnm_graph::optimise(program, &mut |_, _, _| ()).unwrap();
        }
        let expected = outcome(&plain, &start, &vars);
        assert_eq!(expected, outcome(&seen, &start, &vars), "seed {seed}\n{}", nnm_graph::print(&seen));
    }
}

/// A sum of matrix products and others is regrouped; a look at a part of it leaves it so. The control: a part that is not
/// a record counts, and the sum is rounded in another order.
#[test]
fn a_look_at_a_part_of_a_sum_changes_no_bits() {
    let mut random = Random::new(1, 1);
    let mut real = |name: &str, shape: &[usize]| {
        let var = random.graph.add_var(Var {
            name: name.into(),
            elem: VarElem::Real,
            shape: shape.to_vec(),
            batched: false,
            times: None,
        });
        let value = random.numbers.array(shape, -1.0, 1.0);
        (var, value, random.graph.read(var, Place::Whole).unwrap())
    };
    let [x, y, z] = ["x", "y", "z"].map(|name| real(name, &[1, 40]));
    let [v, w] = ["v", "w"].map(|name| real(name, &[40, 40]));
    let out = real("out", &[1, 40]);
    let g = &mut random.graph;
    let (first, second) = (g.matmul(x.2, v.2).unwrap(), g.matmul(x.2, w.2).unwrap());
    let part = g.binary(Binary::Add, y.2, first).unwrap();
    let sum = g.binary(Binary::Add, z.2, part).unwrap();
    let sum = g.binary(Binary::Add, sum, second).unwrap();
    let body = vec![Stmt::Stage {
        about: String::new(),
        assigns: vec![Assign { to: out.0, place: Place::Whole, add: false, value: sum }],
    }];
    let (look, records) = look(&mut random, &[part, first, second]);
    let start: HashMap<VarId, Array> = [x, y, z, v, w].into_iter().map(|(var, value, _)| (var, value)).collect();
    let (plain, _) = program(random, 1, Precision::F64, body);
    let mut control = plain.clone();
    control.body.insert(0, look);
    let seen = Program { records, ..control.clone() };
    let expected = outcome(&plain, &start, &[out.0]);
    assert_eq!(expected, outcome(&seen, &start, &[out.0]));
    assert_ne!(expected, outcome(&control, &start, &[out.0]));
}

/// Two stages that became one give the bits of two.
#[test]
fn merging_changes_no_bits() {
    let merge = nnm_graph::PASSES.iter().find(|pass| pass.name == "merge").unwrap();
    for seed in 4000..4300 {
        let (random, body, start) = two_stages(seed);
        let vars = own_vars(&random, &body, &start);
        let (mut program, _) = program(random, 4, Precision::F64, body);
        let apart = outcome(&program, &start, &vars);
        (merge.run)(&mut program).unwrap();
        assert_eq!(program.body.len(), 1);
        assert_eq!(apart, outcome(&program, &start, &vars), "seed {seed}\n{}", nnm_graph::print(&program));
    }
}

/// In f32 the interpreter and compiled code agree too.
#[test]
fn random_stages_in_single_precision() {
    for seed in 2000..2100 {
        let mut random = Random::new(seed, 3);
        random.grow(30);
        let assigns = stage(&mut random, 6);
        let body = vec![Stmt::Stage { about: String::new(), assigns }];
        let (program, values) = program(random, 4, Precision::F32, body);
        let lowered = lowered(&program);
        assert_eq!(both(&program, &lowered, &values, &[3]).2, 0);
    }
}

#[test]
fn random_stages_with_batches() {
    for seed in 0..400 {
        check(seed, 3, 4);
    }
}

#[test]
fn random_stages_with_one_sample() {
    for seed in 1000..1200 {
        check(seed, 1, 1);
    }
}
