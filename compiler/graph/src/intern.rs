//! Hash-consing: equal nodes are one node, so that common subexpressions meet by themselves.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::ir::{Graph, Node, NodeId, Op, Place, Tensor};

/// Nodes by their hash. Only looked up, never walked, so its order shows nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interned {
    by_hash: HashMap<u64, Vec<NodeId>>,
}

impl Graph {
    /// The node, made if there is none like it; neither simplified nor checked.
    pub(crate) fn intern(&mut self, node: Node) -> NodeId {
        let mut hasher = DefaultHasher::new();
        hash_node(&node, &mut hasher);
        let known = self.interned.by_hash.entry(hasher.finish()).or_default();
        if let Some(id) = known.iter().find(|id| same(&self.nodes[id.0 as usize], &node)) {
            return *id;
        }
        let id = NodeId(self.nodes.len() as u32);
        known.push(id);
        self.nodes.push(node);
        id
    }
}

fn same(a: &Node, b: &Node) -> bool {
    a.args == b.args && a.batched == b.batched && a.shape == b.shape && same_op(&a.op, &b.op)
}

/// Equality of ops in which a constant is its bits.
fn same_op(a: &Op, b: &Op) -> bool {
    match (a, b) {
        (Op::Const(a), Op::Const(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

fn hash_node(node: &Node, hasher: &mut impl Hasher) {
    hash_op(&node.op, hasher);
    node.args.hash(hasher);
    node.shape.hash(hasher);
    node.batched.hash(hasher);
}

fn hash_op(op: &Op, hasher: &mut impl Hasher) {
    std::mem::discriminant(op).hash(hasher);
    match op {
        Op::Const(value) => value.to_bits().hash(hasher),
        Op::Tensor(tensor) => hash_tensor(tensor, hasher),
        Op::Read { var, place } => {
            var.hash(hasher);
            hash_place(place, hasher);
        }
        Op::Count(int) => int.hash(hasher),
        Op::Draw { draw, key, step, first } => {
            (draw, key).hash(hasher);
            (step, first).hash(hasher);
        }
        _ => hash_attributes(op, hasher),
    }
}

/// The attributes of ops that are not leaves.
fn hash_attributes(op: &Op, hasher: &mut impl Hasher) {
    match op {
        Op::Unary(unary) => unary.hash(hasher),
        Op::Binary(binary) => binary.hash(hasher),
        Op::Permute(axes) => axes.hash(hasher),
        Op::Slice { axis, start, step } | Op::Unslice { axis, start, step } => (axis, start, step).hash(hasher),
        Op::Reduce { reduce, axes } => (reduce, axes).hash(hasher),
        Op::Concat { axis } | Op::Gather { axis } => axis.hash(hasher),
        Op::Scatter { axis, reduce } => (axis, reduce).hash(hasher),
        Op::Reverse { axis } | Op::ArgMax { axis } => axis.hash(hasher),
        Op::ArgSort { descending } => descending.hash(hasher),
        Op::CumSum { axis, reverse } => (axis, reverse).hash(hasher),
        Op::MatMul { transpose_a, transpose_b } => (transpose_a, transpose_b).hash(hasher),
        Op::Conv2d(conv) | Op::Conv2dInputGrad(conv) | Op::Conv2dWeightGrad(conv) => conv.hash(hasher),
        Op::MaxPool(pool) | Op::MaxPoolGrad(pool) | Op::MaxPoolTake(pool) => pool.hash(hasher),
        Op::AvgPool(pool) | Op::AvgPoolGrad(pool) => pool.hash(hasher),
        _ => {}
    }
}

/// Shape and a few elements: equality looks at all.
fn hash_tensor(tensor: &Tensor, hasher: &mut impl Hasher) {
    tensor.0.shape().hash(hasher);
    for value in tensor.0.iter().take(16) {
        value.to_bits().hash(hasher);
    }
}

fn hash_place(place: &Place, hasher: &mut impl Hasher) {
    std::mem::discriminant(place).hash(hasher);
    match place {
        Place::Time(time) => time.hash(hasher),
        Place::Gather(index) => index.hash(hasher),
        Place::Whole | Place::Edge | Place::Own | Place::Other => {}
    }
}
