//! Sums are regrouped so that matrix products stand together, and with the row that is added to them: then one memory
//! place collects them all (see `plan`).

use std::collections::HashMap;

use super::legal::repeats_rows;
use crate::ir::{Binary, Graph, Node, NodeId, Op};
use crate::shape;
use crate::walk;

/// How often each node is an argument or a root.
pub(super) fn uses(graph: &Graph, roots: &[NodeId]) -> HashMap<NodeId, usize> {
    let mut uses = HashMap::new();
    for id in walk::needed(graph, roots) {
        graph.node(id).args.iter().for_each(|a| *uses.entry(*a).or_insert(0) += 1);
    }
    roots.iter().for_each(|id| *uses.entry(*id).or_insert(0) += 1);
    uses
}

/// The nodes that stand for others after regrouping. What `own` values alone use once is theirs: records, which are roots
/// too, change no sum.
pub(super) fn regroup(graph: &mut Graph, roots: &[NodeId], own: &[NodeId]) -> HashMap<NodeId, NodeId> {
    let order = walk::needed(graph, roots);
    let uses = uses(graph, own);
    let mut known: HashMap<NodeId, NodeId> = HashMap::new();
    for id in order {
        let node = graph.node(id).clone();
        let new = match node.op {
            Op::Binary(Binary::Add) => regrouped(graph, id, &uses, &known),
            _ => None,
        };
        let new = new.unwrap_or_else(|| with_args(graph, &node, &known));
        known.insert(id, new);
    }
    known
}

fn with_args(graph: &mut Graph, node: &Node, known: &HashMap<NodeId, NodeId>) -> NodeId {
    let args = node.args.iter().map(|a| known.get(a).copied().unwrap_or(*a)).collect();
    graph.intern(Node { args, ..node.clone() })
}

fn is_add(graph: &Graph, id: NodeId) -> bool {
    graph.node(id).op == Op::Binary(Binary::Add)
}

pub(super) fn same_extent(graph: &Graph, a: NodeId, b: NodeId) -> bool {
    let (a, b) = (graph.node(a), graph.node(b));
    a.batched == b.batched && shape::size(&a.shape) == shape::size(&b.shape)
}

/// The terms of a sum, inner sums opened.
fn terms(graph: &Graph, id: NodeId, uses: &HashMap<NodeId, usize>) -> Vec<NodeId> {
    let (mut terms, mut open) = (vec![], vec![id]);
    while let Some(next) = open.pop() {
        if next == id || (is_add(graph, next) && uses.get(&next) == Some(&1) && same_extent(graph, next, id)) {
            open.extend(graph.node(next).args.iter().rev());
        } else {
            terms.push(next);
        }
    }
    terms
}

/// The matrix product that a term is and nobody else needs.
pub(super) fn product_of(graph: &Graph, term: NodeId, uses: &HashMap<NodeId, usize>) -> Option<NodeId> {
    let mut id = term;
    while uses.get(&id) == Some(&1) {
        match graph.node(id).op {
            Op::Reshape => id = graph.node(id).args[0],
            Op::MatMul { .. } => return Some(id),
            Op::BatchSum => {
                let inner = graph.node(id).args[0];
                return matches!(graph.node(inner).op, Op::MatMul { .. }).then_some(id);
            }
            _ => return None,
        }
    }
    None
}

/// The sum with its products, and a row, last; `None` where that changes nothing.
fn regrouped(
    graph: &mut Graph,
    id: NodeId,
    uses: &HashMap<NodeId, usize>,
    known: &HashMap<NodeId, NodeId>,
) -> Option<NodeId> {
    let terms = terms(graph, id, uses);
    let (mut products, mut rest) = (vec![], vec![]);
    for term in terms {
        let product = product_of(graph, term, uses).is_some() && same_extent(graph, term, id);
        if product { products.push(term) } else { rest.push(term) }
    }
    if products.is_empty() {
        return None;
    }
    if let Some(row) =
        rest.iter().position(|term| repeats_rows(graph, *term).is_some() && same_extent(graph, *term, id))
    {
        products.push(rest.remove(row));
    }
    if products.len() < 2 {
        return None;
    }
    let node = graph.node(id).clone();
    let collected = sum(graph, &node, products, known)?;
    if rest.is_empty() {
        return Some(collected);
    }
    let others = sum(graph, &node, rest, known)?;
    Some(graph.intern(Node { args: vec![others, collected], ..node }))
}

/// The sum of some terms, in the place of a node.
fn sum(graph: &mut Graph, node: &Node, terms: Vec<NodeId>, known: &HashMap<NodeId, NodeId>) -> Option<NodeId> {
    let mut terms = terms.into_iter().map(|t| known.get(&t).copied().unwrap_or(t));
    let first = terms.next()?;
    Some(terms.fold(first, |sum, term| graph.intern(Node { args: vec![sum, term], ..node.clone() })))
}
