//! Choice by a condition, and what stands for a value: surrogate and stop, which only differentiation sees, and stored.

use crate::error::{Built, ShapeError};
use crate::grad::Diff;
use crate::ir::{Graph, Node, NodeId, Op, Unary};
use crate::shape;

impl Graph {
    /// `condition != 0 ? a : b` for each element, shapes broadcast.
    pub fn select(&mut self, condition: NodeId, a: NodeId, b: NodeId) -> Built {
        let shapes = || vec![self.shape(condition).to_vec(), self.shape(a).to_vec(), self.shape(b).to_vec()];
        let shape = shape::broadcast(self.shape(a), self.shape(b))
            .and_then(|values| shape::broadcast(&values, self.shape(condition)));
        let Some(shape) = shape else {
            return Err(ShapeError { op: "select", shapes: shapes(), reason: "the shapes do not broadcast".into() });
        };
        if let Some(simple) = self.simpler_select(condition, a, b)? {
            return self.broadcast_to(simple, &shape);
        }
        let args = vec![self.operand(condition, &shape)?, self.operand(a, &shape)?, self.operand(b, &shape)?];
        let own = args.iter().map(|a| self.shape(*a).to_vec()).find(|s| !s.is_empty()).unwrap_or_default();
        let batched = args.iter().any(|a| self.node(*a).batched);
        let made = self.intern(Node { op: Op::Select, args, shape: own, batched });
        self.broadcast_to(made, &shape)
    }

    fn simpler_select(&mut self, condition: NodeId, a: NodeId, b: NodeId) -> Result<Option<NodeId>, ShapeError> {
        if let Some(c) = self.constant_value(condition) {
            return Ok(Some(if c != 0.0 { a } else { b }));
        }
        if a == b {
            return Ok(Some(a));
        }
        if let Op::Unary(Unary::Not) = self.node(condition).op {
            let opposite = self.node(condition).args[0];
            return self.select(opposite, b, a).map(Some);
        }
        match (self.constant_value(a), self.constant_value(b)) {
            (Some(1.0), Some(0.0)) => self.truth(condition).map(Some),
            (Some(0.0), Some(1.0)) => self.unary(Unary::Not, condition).map(Some),
            _ => Ok(None),
        }
    }

    /// The value of `value` with the derivative of `slope`.
    pub fn surrogate(&mut self, value: NodeId, slope: NodeId) -> Built {
        let shapes = vec![self.shape(value).to_vec(), self.shape(slope).to_vec()];
        let Some(shape) = shape::broadcast(&shapes[0], &shapes[1]) else {
            return Err(ShapeError { op: "surrogate", shapes, reason: "the shapes do not broadcast".into() });
        };
        if value == slope {
            return Ok(value);
        }
        let args = vec![self.broadcast_to(value, &shape)?, self.broadcast_to(slope, &shape)?];
        let batched = args.iter().any(|a| self.node(*a).batched);
        Ok(self.intern(Node { op: Op::Surrogate, args, shape, batched }))
    }

    /// A node of its own with this value, so that derivatives by it can be asked for: no other node is the same, and
    /// nothing is simplified across it. It is the surrogate of itself, which the builder makes nothing of.
    pub fn marked(&mut self, a: NodeId) -> NodeId {
        let Node { shape, batched, .. } = self.node(a).clone();
        self.nodes.push(Node { op: Op::Surrogate, args: vec![a, a], shape, batched });
        NodeId(self.nodes.len() as u32 - 1)
    }

    /// Whether a node is a mark: see [`Graph::marked`].
    pub fn is_mark(&self, a: NodeId) -> bool {
        let node = self.node(a);
        matches!(node.op, Op::Surrogate) && node.args[0] == node.args[1]
    }

    /// The same value, without a derivative.
    pub fn stop_gradient(&mut self, a: NodeId) -> Built {
        if matches!(self.node(a).op, Op::Const(_) | Op::Tensor(_) | Op::StopGradient | Op::Count(_)) {
            return Ok(a);
        }
        let Node { shape, batched, .. } = self.node(a).clone();
        Ok(self.intern(Node { op: Op::StopGradient, args: vec![a], shape, batched }))
    }
}

impl Graph {
    /// The value as a later stage reads it: see [`Op::Stored`].
    pub fn stored(&mut self, a: NodeId) -> NodeId {
        if self.node(a).op == Op::Stored {
            return a;
        }
        let Node { shape, batched, .. } = self.node(a).clone();
        self.intern(Node { op: Op::Stored, args: vec![a], shape, batched })
    }

    /// The value without the stages between.
    pub fn bare(&self, mut a: NodeId) -> NodeId {
        while self.node(a).op == Op::Stored {
            a = self.node(a).args[0];
        }
        a
    }
}

pub(crate) fn derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let condition = d.node.args[0];
    let da = if d.wanted[1] { Some(d.when(condition)?) } else { None };
    let db = if d.wanted[2] { Some(d.unless(condition)?) } else { None };
    Ok(vec![None, da, db])
}

pub(crate) fn stored_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    Ok(vec![Some(d.dy)])
}

pub(crate) fn surrogate_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    Ok(vec![None, Some(d.dy)])
}
