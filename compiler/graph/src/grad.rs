//! Reverse-mode differentiation: a pass that appends to the graph the derivatives of sums of values.
//!
//! The result is made of ordinary nodes, so it can be differentiated again.

use std::collections::{BTreeMap, HashSet};

use crate::error::{Built, ShapeError};
use crate::ir::{Binary, Graph, Node, NodeId, Op, Reduce, Unary};
use crate::ops;
use crate::walk;

/// One node while its derivative is made.
pub(crate) struct Diff<'a> {
    pub graph: &'a mut Graph,
    pub node: Node,
    /// The node itself: its value.
    pub y: NodeId,
    /// The derivative by its value, of the node's shape.
    pub dy: NodeId,
    /// Which arguments' derivatives are asked for.
    pub wanted: Vec<bool>,
}

impl Diff<'_> {
    pub fn unary(&mut self, op: Unary, a: NodeId) -> Built {
        self.graph.unary(op, a)
    }

    pub fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> Built {
        self.graph.binary(op, a, b)
    }

    pub fn mul(&mut self, a: NodeId, b: NodeId) -> Built {
        self.graph.binary(Binary::Mul, a, b)
    }

    pub fn div(&mut self, a: NodeId, b: NodeId) -> Built {
        self.graph.binary(Binary::Div, a, b)
    }

    pub fn scale(&mut self, a: NodeId, factor: f64) -> Built {
        let factor = self.graph.constant(factor);
        self.mul(a, factor)
    }

    pub fn offset(&mut self, a: NodeId, by: f64) -> Built {
        let by = self.graph.constant(by);
        self.binary(Binary::Add, a, by)
    }

    pub fn one_minus(&mut self, a: NodeId) -> Built {
        let one = self.graph.constant(1.0);
        self.binary(Binary::Sub, one, a)
    }

    /// `dy` where the condition holds, else 0.
    pub fn when(&mut self, condition: NodeId) -> Built {
        let zero = self.graph.constant(0.0);
        self.graph.select(condition, self.dy, zero)
    }

    /// 0 where the condition holds, else `dy`.
    pub fn unless(&mut self, condition: NodeId) -> Built {
        let zero = self.graph.constant(0.0);
        self.graph.select(condition, zero, self.dy)
    }
}

/// The derivatives of Σ y · dy by each of `wrt`, in its shape; `None` where nothing depends on it.
///
/// `dy` is a scalar or has the shape of its y. The nodes of `wrt` count as independent: differentiation stops at them. What
/// a shared value does in a batched node is summed over the samples present, each with its own `dy` (so the derivative by
/// a shared node is shared).
pub fn grad(graph: &mut Graph, seeds: &[(NodeId, NodeId)], wrt: &[NodeId]) -> Result<Vec<Option<NodeId>>, ShapeError> {
    derivatives(graph, seeds, wrt, Samples::Summed)
}

/// As [`grad`], but what a shared value does in a batched node is kept for each sample: the derivative by a shared node
/// is batched.
pub fn grad_each(
    graph: &mut Graph,
    seeds: &[(NodeId, NodeId)],
    wrt: &[NodeId],
) -> Result<Vec<Option<NodeId>>, ShapeError> {
    derivatives(graph, seeds, wrt, Samples::Apart)
}

/// What becomes of the samples of a batch that share a value.
#[derive(Clone, Copy, PartialEq)]
enum Samples {
    Summed,
    Apart,
}

fn derivatives(
    graph: &mut Graph,
    seeds: &[(NodeId, NodeId)],
    wrt: &[NodeId],
    samples: Samples,
) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let roots: Vec<NodeId> = seeds.iter().map(|(y, _)| *y).collect();
    let order = walk::needed(graph, &roots);
    let reach = reaching(graph, &order, wrt);
    let mut deltas: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    for (y, dy) in seeds {
        let shape = graph.shape(*y).to_vec();
        let dy = graph.broadcast_to(*dy, &shape)?;
        add_delta(graph, &mut deltas, *y, dy)?;
    }
    let stops: HashSet<NodeId> = wrt.iter().copied().collect();
    for y in order.into_iter().rev() {
        if !reach.contains(&y) || stops.contains(&y) {
            continue;
        }
        if let Some(dy) = deltas.get(&y).copied() {
            propagate(graph, &mut deltas, &reach, y, dy, samples)?;
        }
    }
    Ok(wrt.iter().map(|x| deltas.get(x).copied().filter(|_| reach.contains(x))).collect())
}

/// The nodes through which a derivative can come to one of `wrt`.
fn reaching(graph: &Graph, order: &[NodeId], wrt: &[NodeId]) -> HashSet<NodeId> {
    let mut reach: HashSet<NodeId> = wrt.iter().copied().collect();
    for id in order {
        let node = graph.node(*id);
        let args = match node.op {
            Op::Surrogate => &node.args[1..],
            _ => &node.args[..],
        };
        if ops::def(&node.op).derivative.is_some() && args.iter().any(|a| reach.contains(a)) {
            reach.insert(*id);
        }
    }
    reach
}

fn propagate(
    graph: &mut Graph,
    deltas: &mut BTreeMap<NodeId, NodeId>,
    reach: &HashSet<NodeId>,
    y: NodeId,
    dy: NodeId,
    samples: Samples,
) -> Result<(), ShapeError> {
    let node = graph.node(y).clone();
    let Some(rule) = ops::def(&node.op).derivative else { return Ok(()) };
    let wanted: Vec<bool> = node.args.iter().map(|a| reach.contains(a)).collect();
    let (args, batched) = (node.args.clone(), node.batched && samples == Samples::Summed);
    let parts = rule(&mut Diff { graph, node, y, dy, wanted: wanted.clone() })?;
    for ((arg, part), wanted) in args.into_iter().zip(parts).zip(wanted) {
        let (Some(part), true) = (part, wanted) else { continue };
        let part = fitted(graph, arg, part, batched)?;
        add_delta(graph, deltas, arg, part)?;
    }
    Ok(())
}

/// A derivative in the shape of the argument: summed over what a scalar acted on, and over the samples that shared it.
fn fitted(graph: &mut Graph, arg: NodeId, part: NodeId, node_is_batched: bool) -> Built {
    let shape = graph.shape(arg).to_vec();
    let mut part = part;
    if shape.is_empty() && !graph.shape(part).is_empty() {
        part = graph.reduce_all(Reduce::Sum, part)?;
    }
    if node_is_batched && !graph.node(arg).batched {
        part = graph.batch_sum(part)?;
    }
    graph.broadcast_to(part, &shape)
}

fn add_delta(
    graph: &mut Graph,
    deltas: &mut BTreeMap<NodeId, NodeId>,
    at: NodeId,
    part: NodeId,
) -> Result<(), ShapeError> {
    let sum = match deltas.get(&at) {
        Some(known) => graph.binary(Binary::Add, *known, part)?,
        None => part,
    };
    deltas.insert(at, sum);
    Ok(())
}
