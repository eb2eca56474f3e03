//! Walks over the graph: what a node needs, what it depends on, and rebuilding it with parts exchanged.

use std::collections::{BTreeSet, HashMap};

use crate::error::{Built, ShapeError};
use crate::ir::{Graph, Node, NodeId, Op, Place, VarId};

/// The nodes that the given ones need, themselves included, arguments first.
pub fn needed(graph: &Graph, roots: &[NodeId]) -> Vec<NodeId> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<NodeId> = roots.to_vec();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(&graph.node(id).args);
        }
    }
    seen.into_iter().collect()
}

/// Whether any node that this one needs (or itself) is such.
pub fn depends_on(graph: &Graph, node: NodeId, such: &dyn Fn(NodeId, &Node) -> bool) -> bool {
    needed(graph, &[node]).into_iter().any(|id| such(id, graph.node(id)))
}

/// The vars whose values a node needs, in order; the index vars of gathers included.
pub fn free_vars(graph: &Graph, node: NodeId) -> Vec<VarId> {
    let mut vars = BTreeSet::new();
    for id in needed(graph, &[node]) {
        if let Op::Read { var, place } = &graph.node(id).op {
            vars.insert(*var);
            if let Place::Gather(index) = place {
                vars.insert(*index);
            }
        }
    }
    vars.into_iter().collect()
}

/// The node with parts exchanged: where `map` names another node, that is taken, and all that depends on it is built anew
/// (and simplified). What `map` gives is not looked into.
pub fn substitute(graph: &mut Graph, node: NodeId, map: &dyn Fn(&Graph, NodeId) -> Option<NodeId>) -> Built {
    let built = substitute_all(graph, &[node], map)?;
    Ok(built.first().copied().unwrap_or(node))
}

/// [`substitute`] for several nodes at once.
pub fn substitute_all(
    graph: &mut Graph,
    nodes: &[NodeId],
    map: &dyn Fn(&Graph, NodeId) -> Option<NodeId>,
) -> Result<Vec<NodeId>, ShapeError> {
    let mut built: HashMap<NodeId, NodeId> = HashMap::new();
    for id in needed(graph, nodes) {
        let new = match map(graph, id) {
            Some(new) => new,
            None => rebuilt(graph, id, &built)?,
        };
        built.insert(id, new);
    }
    Ok(nodes.iter().map(|id| built.get(id).copied().unwrap_or(*id)).collect())
}

/// [`substitute`] of reads: what `map` gives stands for the var at that place.
pub fn substitute_reads(graph: &mut Graph, node: NodeId, map: &dyn Fn(VarId, &Place) -> Option<NodeId>) -> Built {
    substitute(graph, node, &|graph, id| match &graph.node(id).op {
        Op::Read { var, place } => map(*var, place),
        _ => None,
    })
}

/// The nodes built anew, arguments first: `exchange` sees each node and what was built for it, and gives what stands for it.
pub fn rewrite(
    graph: &mut Graph,
    nodes: &[NodeId],
    exchange: &mut dyn FnMut(&mut Graph, NodeId, NodeId) -> Built,
) -> Result<Vec<NodeId>, ShapeError> {
    let mut built: HashMap<NodeId, NodeId> = HashMap::new();
    for id in needed(graph, nodes) {
        let new = rebuilt(graph, id, &built)?;
        let new = exchange(graph, id, new)?;
        built.insert(id, new);
    }
    Ok(nodes.iter().map(|id| built.get(id).copied().unwrap_or(*id)).collect())
}

fn rebuilt(graph: &mut Graph, id: NodeId, built: &HashMap<NodeId, NodeId>) -> Built {
    let node = graph.node(id).clone();
    let args: Vec<NodeId> = node.args.iter().map(|a| built.get(a).copied().unwrap_or(*a)).collect();
    if args == node.args { Ok(id) } else { graph.rebuild(&node, &args) }
}

impl Graph {
    /// The op of a node on other arguments, through the builder.
    pub fn rebuild(&mut self, node: &Node, args: &[NodeId]) -> Built {
        let shape = &node.shape;
        match (&node.op, args) {
            (Op::Unary(op), [a]) => self.unary(*op, *a),
            (Op::Binary(op), [a, b]) => self.binary(*op, *a, *b),
            (Op::Select, [c, a, b]) => self.select(*c, *a, *b),
            (Op::Surrogate, [a, b]) => self.surrogate(*a, *b),
            (Op::StopGradient, [a]) => self.stop_gradient(*a),
            (Op::Stored, [a]) => Ok(self.stored(*a)),
            (Op::Draw { draw, key, step, first }, [mean]) => {
                self.draw(*draw, *key, [step.clone(), first.clone()], shape, node.batched, Some(*mean))
            }
            (Op::Broadcast, [a]) => self.broadcast_to(*a, shape),
            (Op::Reshape, [a]) => self.reshape(*a, shape),
            (Op::Permute(axes), [a]) => self.permute(*a, axes),
            (Op::Slice { axis, start, step }, [a]) => self.slice(*a, *axis, *start, *step, shape[*axis]),
            (Op::Unslice { axis, start, step }, [a]) => self.unslice(*a, *axis, *start, *step, shape[*axis]),
            (Op::Concat { axis }, parts) => self.concat(*axis, parts),
            (Op::Reverse { axis }, [a]) => self.reverse(*a, *axis),
            _ => self.rebuild_heavy(node, args),
        }
    }

    /// The ops with arithmetic over many elements.
    fn rebuild_heavy(&mut self, node: &Node, args: &[NodeId]) -> Built {
        let shape = &node.shape;
        match (&node.op, args) {
            (Op::Gather { axis }, [a, i]) => self.gather(*a, *axis, *i),
            (Op::Scatter { axis, reduce }, [a, i]) => self.scatter(*reduce, *a, *axis, *i, shape),
            (Op::Reduce { reduce, axes }, [a]) => self.reduce(*reduce, *a, axes),
            (Op::ArgMax { axis }, [a]) => self.argmax(*a, *axis),
            (Op::ArgSort { descending }, [a]) => self.argsort(*a, shape.len().saturating_sub(1), *descending),
            (Op::CumSum { axis, reverse }, [a]) => self.cumsum(*a, *axis, *reverse),
            (Op::BatchSum, [a]) => self.batch_sum(*a),
            (Op::TreeSolve, [d, u, l, r, p, o]) => self.tree_solve([*d, *u, *l, *r], *p, *o),
            (Op::MatMul { transpose_a, transpose_b }, [a, b]) => {
                self.matmul_transposed(*a, *b, *transpose_a, *transpose_b)
            }
            (Op::Conv2d(conv), [x, w]) => self.conv2d(*x, *w, *conv),
            (Op::Conv2dInputGrad(conv), [g, w]) => self.conv2d_input_grad(*g, *w, *conv, shape),
            (Op::Conv2dWeightGrad(conv), [x, g]) => self.conv2d_weight_grad(*x, *g, *conv, shape),
            (Op::MaxPool(pool), [x]) => self.max_pool(*x, *pool),
            (Op::MaxPoolGrad(pool), [x, g]) => self.max_pool_grad(*x, *g, *pool),
            (Op::MaxPoolTake(pool), [x, v]) => self.max_pool_take(*x, *v, *pool),
            (Op::AvgPool(pool), [x]) => self.avg_pool(*x, *pool),
            (Op::AvgPoolGrad(pool), [g]) => self.avg_pool_grad(*g, *pool, shape),
            _ => Ok(self.intern(node.clone())),
        }
    }
}
