//! Lowered programs against the host evaluator, on the checked interpreter.

mod common;

use std::collections::HashMap;

use common::flat;
use common::machine::{both, lowered, read};
use common::random::Random;
use nnm_graph::ir::{Assign, Place, Program, Stmt, Var, VarElem, VarId};
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
    let program = Program { name: "test".into(), precision, graph: random.graph, batch, slots, loops: 0, body };
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
    body.iter().any(|stmt| matches!(stmt, Stmt::Stage { assigns, .. } if assigns.iter().any(|a| a.to == var)))
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
