//! The host evaluator: what a node's value is, in f64, element by element. It is the reference that kernels are tested
//! against, and what constants and solver coefficients are computed with.

pub(crate) mod elementwise;

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use ndarray::{ArcArray, IxDyn};
use nnm_kir::ir::{Draw, Int};
use nnm_runtime::array::{self, Array};
use nnm_runtime::random;

use crate::ir::{Graph, Node, NodeId, Op, Place, VarId};
use crate::ops;
use crate::shape;
use crate::walk;

/// What an evaluation needs of its surroundings.
pub struct Env<'a> {
    /// A var's value at a place; of a batched var with a leading axis of samples.
    pub read: &'a dyn Fn(VarId, &Place) -> Array,
    /// The value of an integer of the surrounding loops.
    pub int: &'a dyn Fn(&Int) -> i64,
    /// How many samples are present.
    pub batch: usize,
}

/// One sample of a node and of its arguments.
pub(crate) struct Sample<'a> {
    pub node: &'a Node,
    pub shapes: &'a [&'a [usize]],
    pub args: &'a [&'a [f64]],
    /// The last index met that is no place of its axis.
    pub outside: &'a Cell<Option<Outside>>,
}

/// An index that is no whole number from 0 on below the length of its axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outside {
    pub index: f64,
    pub extent: usize,
}

/// A node's value: one sample, or one after another where the node is batched.
#[derive(Clone)]
enum Value {
    Own(Rc<Vec<f64>>),
    /// What is stored elsewhere, in row-major order.
    Stored(Array),
}

impl Value {
    fn stored(array: Array) -> Value {
        match array.is_standard_layout() {
            true => Value::Stored(array),
            false => Value::Own(Rc::new(array::to_vec(&array))),
        }
    }

    fn numbers(&self) -> &[f64] {
        match self {
            Value::Own(numbers) => numbers,
            Value::Stored(array) => array.as_slice().unwrap_or(&[]),
        }
    }

    fn into_vec(self) -> Vec<f64> {
        match self {
            Value::Own(numbers) => Rc::try_unwrap(numbers).unwrap_or_else(|shared| shared.as_ref().clone()),
            Value::Stored(array) => array::to_vec(&array),
        }
    }
}

/// The value of a node; of a batched one with a leading axis of samples. The number of samples is that of the first
/// batched var read, else 1. Integers must be constants: see [`eval_all`] for others.
pub fn eval(graph: &Graph, node: NodeId, read: &dyn Fn(VarId, &Place) -> Array) -> Array {
    eval_noting(graph, node, read, &Cell::new(None))
}

/// [`eval`], or the index met in it that is outside of its axis.
pub fn eval_inside(graph: &Graph, node: NodeId, read: &dyn Fn(VarId, &Place) -> Array) -> Result<Array, Outside> {
    let outside = Cell::new(None);
    let value = eval_noting(graph, node, read, &outside);
    outside.get().map_or(Ok(value), Err)
}

fn eval_noting(
    graph: &Graph,
    node: NodeId,
    read: &dyn Fn(VarId, &Place) -> Array,
    outside: &Cell<Option<Outside>>,
) -> Array {
    let batched = walk::needed(graph, &[node]).into_iter().find_map(|id| match &graph.node(id).op {
        Op::Read { var, place } if graph.node(id).batched => Some(read(*var, place)),
        _ => None,
    });
    let batch = batched.and_then(|array| array.shape().first().copied()).unwrap_or(1);
    let int = |int: &Int| constant_int(int, batch);
    let values = values_of(graph, &[node], &Env { read, int: &int, batch }, outside);
    values.into_iter().next().unwrap_or_else(|| ArcArray::zeros(IxDyn(&[])))
}

/// The values of several nodes.
pub fn eval_all(graph: &Graph, nodes: &[NodeId], env: &Env) -> Vec<Array> {
    values_of(graph, nodes, env, &Cell::new(None))
}

fn values_of(graph: &Graph, nodes: &[NodeId], env: &Env, outside: &Cell<Option<Outside>>) -> Vec<Array> {
    let mut values: HashMap<NodeId, Value> = HashMap::new();
    for id in walk::needed(graph, nodes) {
        let value = node_value(graph, id, &values, env, outside);
        values.insert(id, value);
    }
    let results: Vec<Option<Value>> = nodes.iter().map(|id| values.get(id).cloned()).collect();
    drop(values);
    nodes.iter().zip(results).map(|(id, value)| to_array(graph.node(*id), value, env.batch)).collect()
}

fn to_array(node: &Node, value: Option<Value>, batch: usize) -> Array {
    let mut dims = node.shape.clone();
    if node.batched {
        dims.insert(0, batch);
    }
    let data = value.map(Value::into_vec).unwrap_or_default();
    ArcArray::from_shape_vec(IxDyn(&dims), data).unwrap_or_else(|_| ArcArray::from_elem(IxDyn(&dims), f64::NAN))
}

/// An integer without loops; the only slot known is the number of samples.
fn constant_int(int: &Int, batch: usize) -> i64 {
    let at = |int: &Int| constant_int(int, batch);
    match int {
        Int::Const(value) => *value,
        Int::Slot(ops::batch::BATCH) => batch as i64,
        Int::Slot(_) | Int::Loop(_) | Int::Load(_) => 0,
        Int::Add(a, b) => at(a) + at(b),
        Int::Sub(a, b) => at(a) - at(b),
        Int::Mul(a, b) => at(a) * at(b),
        Int::Div(a, b) => at(a).checked_div(at(b)).unwrap_or(0),
        Int::Rem(a, b) => at(a).checked_rem(at(b)).unwrap_or(0),
    }
}

fn node_value(
    graph: &Graph,
    id: NodeId,
    values: &HashMap<NodeId, Value>,
    env: &Env,
    outside: &Cell<Option<Outside>>,
) -> Value {
    let node = graph.node(id);
    let samples = if node.batched { env.batch } else { 1 };
    let args: Vec<&[f64]> = node.args.iter().map(|a| values.get(a).map_or(&[][..], Value::numbers)).collect();
    let numbers = match &node.op {
        Op::Const(value) => vec![*value],
        Op::Tensor(tensor) => return Value::stored(tensor.0.as_ref().clone()),
        Op::Count(int) => vec![(env.int)(int) as f64],
        Op::Read { var, place } => return read_value(node, (env.read)(*var, place), samples),
        Op::Draw { draw, key, step, first } => {
            let place = [(env.int)(step), (env.int)(first)];
            draw_value(node, *draw, *key, place, &args, samples)
        }
        Op::BatchSum => batch_sum(node, &args, env.batch),
        op => match ops::def(op).sample {
            Some(sample) => by_sample(graph, node, &args, samples, |args, shapes, out| {
                sample(&Sample { node, shapes, args, outside }, out);
            }),
            None => vec![],
        },
    };
    Value::Own(Rc::new(numbers))
}

fn read_value(node: &Node, array: Array, samples: usize) -> Value {
    let size = samples * shape::size(&node.shape);
    if array.len() == size {
        return Value::stored(array);
    }
    let mut data = array::to_vec(&array);
    data.resize(size, f64::NAN);
    Value::Own(Rc::new(data))
}

fn draw_value(node: &Node, draw: Draw, key: u64, place: [i64; 2], args: &[&[f64]], samples: usize) -> Vec<f64> {
    let [step, first] = place;
    let size = samples * shape::size(&node.shape);
    let base = first as u64 * shape::size(&node.shape) as u64;
    let mean = |i: usize| args.first().and_then(|a| a.get(i % a.len().max(1))).copied().unwrap_or(0.0);
    let number = |i: usize| match draw {
        Draw::Uniform => random::uniform_f64(key, step as u64, base + i as u64),
        Draw::Normal => random::normal_f64(key, step as u64, base + i as u64),
        Draw::Poisson => random::poisson_f64(mean(i), key, step as u64, base + i as u64),
    };
    (0..size).map(number).collect()
}

fn batch_sum(node: &Node, args: &[&[f64]], batch: usize) -> Vec<f64> {
    let size = shape::size(&node.shape);
    let mut sum = vec![0.0; size];
    for sample in args.iter().flat_map(|a| a.chunks(size.max(1))).take(batch) {
        sum.iter_mut().zip(sample).for_each(|(s, x)| *s += x);
    }
    sum
}

fn by_sample(
    graph: &Graph,
    node: &Node,
    args: &[&[f64]],
    samples: usize,
    sample: impl Fn(&[&[f64]], &[&[usize]], &mut [f64]),
) -> Vec<f64> {
    let size = shape::size(&node.shape);
    let mut out = vec![0.0; samples * size];
    let shapes: Vec<&[usize]> = node.args.iter().map(|a| graph.shape(*a)).collect();
    for (k, out) in out.chunks_mut(size.max(1)).enumerate() {
        let part = |(value, id): (&&[f64], &NodeId)| -> (usize, usize) {
            let len = shape::size(graph.shape(*id));
            let start = if graph.node(*id).batched { k * len } else { 0 };
            (start, (start + len).min(value.len()))
        };
        let parts: Vec<(usize, usize)> = args.iter().zip(&node.args).map(part).collect();
        let slices: Vec<&[f64]> =
            args.iter().zip(parts).map(|(value, (start, end))| value.get(start..end).unwrap_or(&[])).collect();
        sample(&slices, &shapes, out);
    }
    out
}
