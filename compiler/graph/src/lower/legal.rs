//! Before lowering: a copy of the graph in which every broadcast is a node, values without a meaning for kernels are gone,
//! and nothing is batched where a batch has one sample.
//!
//! Afterwards the arguments of an element-wise node have its flat extent or are shared scalars.

use std::collections::{BTreeSet, HashMap};

use super::{LowerError, regroup};
use crate::ir::{Assign, Binary, Graph, Node, NodeId, Op, Place, Program, Reduce, Stmt, VarId};
use crate::shape;
use crate::walk;

/// The legal graph, and the body over it.
pub(super) fn legalise(program: &Program) -> Result<(Graph, Vec<Stmt>), LowerError> {
    let mut legal = Legal { graph: program.graph.clone(), batch: program.batch, known: HashMap::new() };
    for id in walk::needed(&legal.graph, &roots(&program.body)) {
        let new = legal.node(id)?;
        legal.known.insert(id, new);
    }
    let body = legal.body(&program.body)?;
    let mut graph = legal.graph;
    let regrouped = regroup::regroup(&mut graph, &roots(&body), &own_roots(&body, &program.records));
    let body = map_values(&body, &|id| regrouped.get(&id).copied().unwrap_or(id));
    Ok((graph, body))
}

/// Every value that a body needs.
pub(super) fn roots(body: &[Stmt]) -> Vec<NodeId> {
    own_roots(body, &BTreeSet::new())
}

/// Every value that a body needs for other vars than its records.
pub(super) fn own_roots(body: &[Stmt], records: &BTreeSet<VarId>) -> Vec<NodeId> {
    let mut roots = vec![];
    for stmt in body {
        match stmt {
            Stmt::Stage { assigns, .. } | Stmt::Deliver { body: assigns, .. } => {
                roots.extend(assigns.iter().filter(|a| !records.contains(&a.to)).map(|a| a.value));
            }
            Stmt::Compact { flags, .. } => roots.push(*flags),
            Stmt::For { body, .. } | Stmt::IfEqual { body, .. } | Stmt::IfLess { body, .. } => {
                roots.extend(own_roots(body, records));
            }
            _ => {}
        }
    }
    roots
}

/// The body with other values.
fn map_values(body: &[Stmt], map: &dyn Fn(NodeId) -> NodeId) -> Vec<Stmt> {
    let mut body = body.to_vec();
    for stmt in &mut body {
        match stmt {
            Stmt::Stage { assigns, .. } | Stmt::Deliver { body: assigns, .. } => {
                assigns.iter_mut().for_each(|a| a.value = map(a.value));
            }
            Stmt::Compact { flags, .. } => *flags = map(*flags),
            Stmt::For { body, .. } | Stmt::IfEqual { body, .. } | Stmt::IfLess { body, .. } => {
                *body = map_values(body, map);
            }
            _ => {}
        }
    }
    body
}

struct Legal {
    graph: Graph,
    batch: usize,
    /// Legal nodes by the nodes that they stand for.
    known: HashMap<NodeId, NodeId>,
}

impl Legal {
    fn node(&mut self, id: NodeId) -> Result<NodeId, LowerError> {
        let Node { op, args, shape, batched } = self.graph.node(id).clone();
        let args: Vec<NodeId> = args.iter().map(|a| self.known.get(a).copied().unwrap_or(*a)).collect();
        let any = args.iter().any(|a| self.graph.node(*a).batched);
        match op {
            Op::Surrogate | Op::StopGradient => Ok(args[0]),
            Op::BatchSum if self.batch == 1 => Ok(args[0]),
            Op::BatchSum if !any => Ok(self.graph.batch_sum(args[0])?),
            Op::BatchSum => Ok(self.made(op, args, shape, false)),
            Op::Read { .. } => Ok(self.made(op, args, shape, batched && self.batch > 1)),
            Op::Draw { .. } => {
                let batched = batched && self.batch > 1;
                let args = args.into_iter().map(|a| self.fitted(a, &shape, batched)).collect();
                Ok(self.made(op, args, shape, batched))
            }
            Op::Unary(_) | Op::Binary(_) | Op::Select => {
                let args = args.into_iter().map(|a| self.fitted(a, &shape, any)).collect();
                Ok(self.made(op, args, shape, any))
            }
            Op::Concat { .. } | Op::MaxPoolGrad(_) | Op::MaxPoolTake(_) => {
                let args = args.into_iter().map(|a| self.in_batch(a, any)).collect();
                Ok(self.made(op, args, shape, any))
            }
            Op::MatMul { .. } if shape.len() > 2 => {
                let args = args.into_iter().map(|a| self.in_batch(a, any)).collect();
                Ok(self.made(op, args, shape, any))
            }
            op => Ok(self.made(op, args, shape, any)),
        }
    }

    fn made(&mut self, op: Op, args: Vec<NodeId>, shape: Vec<usize>, batched: bool) -> NodeId {
        self.graph.intern(Node { op, args, shape, batched })
    }

    /// An argument of an element-wise node: a shared scalar, or of the node's extent.
    fn fitted(&mut self, a: NodeId, shape: &[usize], batched: bool) -> NodeId {
        if let Some(scalar) = self.graph.spread_scalar(a).filter(|s| !self.graph.node(*s).batched) {
            return scalar;
        }
        let node = self.graph.node(a);
        if !node.batched && shape::size(&node.shape) == 1 {
            return a;
        }
        self.spread_to(a, shape, batched)
    }

    /// The node in a given shape and for each sample.
    fn spread_to(&mut self, a: NodeId, shape: &[usize], batched: bool) -> NodeId {
        let node = self.graph.node(a);
        let same_size = shape::size(&node.shape) == shape::size(shape);
        if same_size && node.batched == batched {
            return a;
        }
        let inner = if matches!(node.op, Op::Broadcast) { node.args[0] } else { a };
        if !shape::broadcasts_to(self.graph.shape(inner), shape) && same_size {
            let own = self.graph.node(a).batched;
            let reshaped = self.made(Op::Reshape, vec![a], shape.to_vec(), own);
            return self.made(Op::Broadcast, vec![reshaped], shape.to_vec(), batched);
        }
        self.made(Op::Broadcast, vec![inner], shape.to_vec(), batched)
    }

    fn in_batch(&mut self, a: NodeId, batched: bool) -> NodeId {
        let shape = self.graph.shape(a).to_vec();
        if batched { self.spread_to(a, &shape, true) } else { a }
    }

    fn body(&mut self, body: &[Stmt]) -> Result<Vec<Stmt>, LowerError> {
        body.iter().map(|stmt| self.statement(stmt)).collect()
    }

    fn statement(&mut self, stmt: &Stmt) -> Result<Stmt, LowerError> {
        let mut stmt = stmt.clone();
        match &mut stmt {
            Stmt::Stage { assigns, .. } => {
                for assign in assigns.iter_mut() {
                    *assign = self.assign(assign)?;
                }
            }
            Stmt::Deliver { body, .. } => body.iter_mut().for_each(|a| a.value = self.mapped(a.value)),
            Stmt::Compact { flags, .. } => *flags = self.mapped(*flags),
            Stmt::For { body, .. } | Stmt::IfEqual { body, .. } | Stmt::IfLess { body, .. } => {
                *body = self.body(body)?
            }
            _ => {}
        }
        Ok(stmt)
    }

    fn mapped(&self, id: NodeId) -> NodeId {
        self.known.get(&id).copied().unwrap_or(id)
    }

    /// A plain store of a value of just the var's extent: `+=` is an addition, a sum over edges a scatter.
    fn assign(&mut self, assign: &Assign) -> Result<Assign, LowerError> {
        let (shape, batched) = (self.graph.var(assign.to).shape.clone(), self.graph.var(assign.to).batched);
        let batched = batched && self.batch > 1;
        let mut value = self.mapped(assign.value);
        let mut place = assign.place.clone();
        if let Place::Gather(index) = place {
            value = self.scattered(value, index, assign, &shape)?;
            place = Place::Whole;
        }
        let mut value = self.spread_to(value, &shape, batched);
        if assign.add {
            let old = self.made(Op::Read { var: assign.to, place: place.clone() }, vec![], shape.clone(), batched);
            value = self.made(Op::Binary(Binary::Add), vec![old, value], shape, batched);
        }
        Ok(Assign { to: assign.to, place, add: false, value })
    }

    fn scattered(
        &mut self,
        value: NodeId,
        index: VarId,
        assign: &Assign,
        shape: &[usize],
    ) -> Result<NodeId, LowerError> {
        if !assign.add {
            return Err(LowerError(format!("`{}`: only sums go to gathered places", self.graph.var(assign.to).name)));
        }
        let edges = self.graph.var(index).shape.clone();
        let batched = self.graph.node(value).batched;
        let value = self.spread_to(value, &edges, batched);
        let indices = self.made(Op::Read { var: index, place: Place::Whole }, vec![], edges, false);
        let flat = vec![shape::size(shape)];
        let sums = self.made(Op::Scatter { axis: 0, reduce: Reduce::Sum }, vec![value, indices], flat, batched);
        Ok(self.made(Op::Reshape, vec![sums], shape.to_vec(), batched))
    }
}

/// Whether a broadcast repeats its whole argument: (times, size), also once for each sample.
pub(super) fn repeats_rows(graph: &Graph, id: NodeId) -> Option<(usize, usize)> {
    let node = graph.node(id);
    let inner = *node.args.first().filter(|_| matches!(node.op, Op::Broadcast))?;
    let from = graph.node(inner);
    if from.batched && node.batched && shape::size(&from.shape) != shape::size(&node.shape) {
        return None;
    }
    let size = shape::size(&from.shape);
    let strides = shape::broadcast_strides(&from.shape, &node.shape);
    let leading = strides.iter().zip(&node.shape).take_while(|(s, n)| **s == 0 || **n == 1).count();
    let own = shape::size(&node.shape[leading..]) == size;
    let dense = own && strides[leading..].iter().zip(&node.shape[leading..]).all(|(s, n)| *s != 0 || *n == 1);
    dense.then(|| (shape::size(&node.shape[..leading]), size))
}
