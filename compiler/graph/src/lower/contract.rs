//! Products that are taken into the sums which need them, rounded once: `a · b + c` is one instruction.
//!
//! Which product, if any, depends on the sum and its terms alone. So the bits of a value are the same whoever else needs the
//! product, in whichever loop it is computed, and whether or not it is looked at.

use super::regroup::same_extent;
use crate::ir::{Binary, Graph, NodeId, Op};
use crate::shape;

/// A sum with its product: `±a · b + c`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contracted {
    /// a, b and c; a is a number that all elements share, where one of the factors is.
    pub inputs: [NodeId; 3],
    /// The product is subtracted.
    pub negative: bool,
}

pub(super) fn contracted(graph: &Graph, id: NodeId) -> Option<Contracted> {
    let node = graph.node(id);
    let negative = match node.op {
        Op::Binary(Binary::Add) => false,
        Op::Binary(Binary::Sub) => true,
        _ => return None,
    };
    let [left, right] = node.args[..] else { return None };
    let product = |term: NodeId, other: NodeId| -> Option<Contracted> {
        let [a, b] = factors(graph, term, id).filter(|_| term != other)?;
        Some(Contracted { inputs: [a, b, other], negative })
    };
    match negative {
        false => product(left, right).or_else(|| product(right, left)),
        // The sign goes to a number, once and not for each element.
        true => product(right, left).filter(|c| is_number(graph, c.inputs[0])),
    }
}

/// The factors of a term that is a product for each element of the sum.
fn factors(graph: &Graph, term: NodeId, sum: NodeId) -> Option<[NodeId; 2]> {
    let mut at = term;
    while graph.node(at).op == Op::Reshape {
        at = graph.node(at).args[0];
    }
    let (Op::Binary(Binary::Mul), &[a, b]) = (&graph.node(at).op, &graph.node(at).args[..]) else { return None };
    same_extent(graph, at, sum).then(|| if is_number(graph, b) { [b, a] } else { [a, b] })
}

fn is_number(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    !node.batched && shape::size(&node.shape) == 1
}
