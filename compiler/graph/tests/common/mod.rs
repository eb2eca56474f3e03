//! Inputs for tests: reproducible numbers, vars with values, evaluation.
#![allow(dead_code)]

pub mod host;
pub mod machine;
pub mod random;

use std::collections::HashMap;

use ndarray::{ArcArray, IxDyn};
use nnm_graph::ir::{Graph, NodeId, Place, Var, VarElem, VarId};
use nnm_graph::{Env, eval_all};
use nnm_kir::ir::Int;
use nnm_runtime::array::Array;

/// A small reproducible generator of uniform numbers.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n as u64) as usize
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn array(&mut self, shape: &[usize], low: f64, high: f64) -> Array {
        let data = (0..shape.iter().product()).map(|_| self.between(low, high)).collect();
        array(shape, data)
    }
}

pub fn array(shape: &[usize], data: Vec<f64>) -> Array {
    ArcArray::from_shape_vec(IxDyn(shape), data).unwrap()
}

/// Values of vars read whole.
#[derive(Clone, Default)]
pub struct Values {
    pub of: HashMap<VarId, Array>,
    pub batch: usize,
}

impl Values {
    pub fn new(batch: usize) -> Values {
        Values { of: HashMap::new(), batch }
    }

    /// A new var with random values, and its read.
    pub fn var(
        &mut self,
        graph: &mut Graph,
        numbers: &mut Numbers,
        shape: &[usize],
        batched: bool,
        range: (f64, f64),
    ) -> NodeId {
        let dims = if batched { [&[self.batch], shape].concat() } else { shape.to_vec() };
        let value = numbers.array(&dims, range.0, range.1);
        self.var_of(graph, value, batched)
    }

    pub fn var_of(&mut self, graph: &mut Graph, value: Array, batched: bool) -> NodeId {
        let name = format!("x{}", graph.vars.len());
        let shape = value.shape()[usize::from(batched)..].to_vec();
        let var = graph.add_var(Var { name, elem: VarElem::Real, shape, batched, times: None });
        self.of.insert(var, value);
        graph.read(var, Place::Whole).unwrap()
    }

    pub fn eval(&self, graph: &Graph, nodes: &[NodeId]) -> Vec<Array> {
        let read = |var: VarId, _: &Place| self.of[&var].clone();
        let batch = self.batch as i64;
        let int = |int: &Int| match int {
            Int::Const(value) => *value,
            Int::Slot(_) => batch,
            _ => 0,
        };
        eval_all(graph, nodes, &Env { read: &read, int: &int, batch: self.batch })
    }
}

pub fn flat(array: &Array) -> Vec<f64> {
    array.iter().copied().collect()
}
