//! What becomes of each node: whether it is memory, part of a map or a call, and which nodes it then needs.

use std::collections::{HashMap, HashSet};

use super::contract::{Contracted, contracted};
use super::legal::repeats_rows;
use super::regroup::{product_of, same_extent, uses};
use crate::ir::{Binary, Graph, NodeId, Op, Place, Reduce, VarElem};
use crate::ops::matmul::extents;
use crate::shape;
use crate::walk;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A scalar that an instruction can be: a constant, an integer.
    Inline,
    /// In memory before any statement.
    Memory,
    /// Computed element by element.
    Map,
    /// Computed by primitives.
    Call,
}

/// Matrix products that one memory place collects, begun with a repeated row or with nothing.
#[derive(Clone, Debug)]
pub(super) struct Collected {
    pub row: Option<NodeId>,
    pub products: Vec<NodeId>,
}

#[derive(Default)]
pub(super) struct Plan {
    /// The node whose memory holds the same flat elements; itself where that is no other.
    alias: HashMap<NodeId, NodeId>,
    roles: HashMap<NodeId, Role>,
    inputs: HashMap<NodeId, Vec<NodeId>>,
    collected: HashMap<NodeId, Collected>,
    contracted: HashMap<NodeId, Contracted>,
}

impl Plan {
    /// For all values of `roots`, as the `own` among them need it: the others are records.
    pub fn of(graph: &Graph, roots: &[NodeId], own: &[NodeId]) -> Plan {
        let order = walk::needed(graph, roots);
        let uses = uses(graph, own);
        let mut plan = Plan::default();
        plan.collect(graph, &order, &uses);
        for id in &order {
            let alias = plan.alias_of(graph, *id);
            plan.alias.insert(*id, alias);
            plan.roles.insert(*id, role(graph, *id, plan.collected.contains_key(id)));
        }
        for id in order.iter().filter(|id| !plan.collected.contains_key(id)) {
            plan.contracted.extend(contracted(graph, *id).map(|c| (*id, c)));
        }
        for id in &order {
            let inputs = plan.inputs_of(graph, *id).into_iter().map(|a| plan.alias(a)).collect();
            plan.inputs.insert(*id, inputs);
        }
        plan
    }

    pub fn alias(&self, id: NodeId) -> NodeId {
        self.alias.get(&id).copied().unwrap_or(id)
    }

    pub fn role(&self, id: NodeId) -> Role {
        self.roles.get(&id).copied().unwrap_or(Role::Call)
    }

    /// The nodes whose values (not aliases) the computation of this one takes.
    pub fn inputs(&self, id: NodeId) -> &[NodeId] {
        self.inputs.get(&id).map_or(&[], Vec::as_slice)
    }

    pub fn collected(&self, id: NodeId) -> Option<&Collected> {
        self.collected.get(&id)
    }

    /// The product that a sum takes in, of the sum's inputs `[a, b, c]`: `±a · b + c`.
    pub fn contracted(&self, id: NodeId) -> Option<&Contracted> {
        self.contracted.get(&id)
    }

    /// The nodes that some need, in order, through what lowering takes as inputs.
    pub fn needed(&self, roots: impl IntoIterator<Item = NodeId>, stop: &dyn Fn(NodeId) -> bool) -> Vec<NodeId> {
        let mut seen = HashSet::new();
        let mut open: Vec<NodeId> = roots.into_iter().map(|id| self.alias(id)).collect();
        while let Some(id) = open.pop() {
            if !stop(id) && seen.insert(id) {
                open.extend(self.inputs(id));
            }
        }
        let mut needed: Vec<NodeId> = seen.into_iter().collect();
        needed.sort_unstable();
        needed
    }

    fn alias_of(&self, graph: &Graph, id: NodeId) -> NodeId {
        let node = graph.node(id);
        let same = match node.op {
            Op::Reshape | Op::Stored => true,
            Op::Broadcast => {
                let inner = graph.node(node.args[0]);
                inner.batched == node.batched && shape::size(&inner.shape) == shape::size(&node.shape)
            }
            _ => false,
        };
        if same { self.alias(node.args[0]) } else { id }
    }

    /// Sums of nothing but products and at most one row, from the outermost in.
    fn collect(&mut self, graph: &Graph, order: &[NodeId], uses: &HashMap<NodeId, usize>) {
        let mut taken = HashSet::new();
        for id in order.iter().rev().filter(|id| graph.node(**id).op == Op::Binary(Binary::Add)) {
            if taken.contains(id) {
                continue;
            }
            let mut found = Collected { row: None, products: vec![] };
            let mut inner = vec![];
            let all = graph.node(*id).args.iter().all(|a| gather(graph, *a, *id, uses, &mut found, &mut inner));
            if all && !found.products.is_empty() && found.products.len() + usize::from(found.row.is_some()) > 1 {
                taken.extend(inner);
                self.collected.insert(*id, found);
            }
        }
    }

    fn inputs_of(&self, graph: &Graph, id: NodeId) -> Vec<NodeId> {
        if let Some(collected) = self.collected.get(&id) {
            let row = collected.row.into_iter().flat_map(|row| graph.node(row).args.clone());
            return row.chain(collected.products.iter().flat_map(|p| self.inputs_of(graph, *p))).collect();
        }
        if let Some(contracted) = self.contracted.get(&id) {
            return contracted.inputs.to_vec();
        }
        let node = graph.node(id);
        match &node.op {
            Op::BatchSum if sums_inside(graph, id) => self.inputs_of(graph, node.args[0]),
            Op::Gather { .. } | Op::Scatter { .. } if index_var(graph, node.args[1]) => vec![node.args[0]],
            _ => node.args.clone(),
        }
    }
}

/// Whether a term is products and rows only; those found are noted, and the additions inside.
fn gather(
    graph: &Graph,
    term: NodeId,
    top: NodeId,
    uses: &HashMap<NodeId, usize>,
    found: &mut Collected,
    inner: &mut Vec<NodeId>,
) -> bool {
    if !same_extent(graph, term, top) {
        return false;
    }
    if let Some(product) = product_of(graph, term, uses) {
        let fits = graph.node(product).op != Op::BatchSum || sums_inside(graph, product);
        found.products.push(product);
        return fits;
    }
    if found.row.is_none() && repeats_rows(graph, term).is_some() {
        found.row = Some(term);
        return true;
    }
    if graph.node(term).op != Op::Binary(Binary::Add) || uses.get(&term) != Some(&1) {
        return false;
    }
    inner.push(term);
    graph.node(term).args.iter().all(|a| gather(graph, *a, top, uses, found, inner))
}

/// Whether a batch sum is taken by the primitive that computes its argument.
pub(super) fn sums_inside(graph: &Graph, id: NodeId) -> bool {
    let inner = graph.node(graph.node(id).args[0]);
    match inner.op {
        Op::MatMul { .. } => inner.shape.len() == 2,
        Op::Conv2dWeightGrad(_) | Op::Scatter { reduce: Reduce::Sum, .. } => true,
        _ => false,
    }
}

/// Whether a node is a var of indices, which gathers take as it is.
pub(super) fn index_var(graph: &Graph, id: NodeId) -> bool {
    match &graph.node(id).op {
        Op::Read { var, place: Place::Whole | Place::Time(_) } => graph.var(*var).elem == VarElem::Index,
        Op::Reshape => index_var(graph, graph.node(id).args[0]),
        _ => false,
    }
}

/// Whether a gather is a load of a map: single elements of a vector at a var's indices.
pub(super) fn loads(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let Op::Gather { axis: 0 } = node.op else { return false };
    let source = graph.node(node.args[0]);
    source.shape.len() == 1 && !node.batched && index_var(graph, node.args[1])
}

fn role(graph: &Graph, id: NodeId, collected: bool) -> Role {
    let node = graph.node(id);
    match &node.op {
        _ if collected => Role::Call,
        Op::Const(_) | Op::Count(_) => Role::Inline,
        Op::Tensor(_) => Role::Memory,
        Op::Read { var, place } => match (graph.var(*var).elem, place) {
            (VarElem::Real, Place::Whole | Place::Time(_)) => Role::Memory,
            (VarElem::Real, Place::Gather(_)) if node.batched => Role::Call,
            (VarElem::Real, _) => Role::Map,
            (VarElem::Count, _) if shape::size(&node.shape) == 1 => Role::Inline,
            _ => Role::Call,
        },
        Op::Draw { .. } | Op::Unary(_) | Op::Binary(_) | Op::Select => Role::Map,
        Op::Broadcast if is_scalar(graph, node.args[0]) => Role::Map,
        Op::Gather { .. } if loads(graph, id) => Role::Map,
        _ => Role::Call,
    }
}

/// A scalar that is the same for all samples.
fn is_scalar(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    !node.batched && shape::size(&node.shape) == 1
}

/// How a matrix product's argument is stored: rows and columns of op(a), and whether transposed.
pub(super) fn matrix(graph: &Graph, id: NodeId, transpose: bool) -> (usize, usize) {
    extents(graph.shape(id), transpose)
}
