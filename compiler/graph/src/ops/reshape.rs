//! Rearrangement without arithmetic: broadcast, reshape, permute.

use crate::error::{Built, ShapeError};
use crate::eval::Sample;
use crate::grad::Diff;
use crate::ir::{Graph, Node, NodeId, Op, Reduce};
use crate::shape;

impl Graph {
    /// To a larger shape, trailing axes aligned, axes of 1 repeated.
    pub fn broadcast_to(&mut self, a: NodeId, to: &[usize]) -> Built {
        let node = self.node(a).clone();
        if node.shape == to {
            return Ok(a);
        }
        if !shape::broadcasts_to(&node.shape, to) {
            let shapes = vec![node.shape, to.to_vec()];
            return Err(ShapeError {
                op: "broadcast",
                shapes,
                reason: "the first does not broadcast to the second".into(),
            });
        }
        if shape::size(&node.shape) == 1 {
            let scalar = self.reshape(a, &[])?;
            return Ok(self.spread(scalar, to));
        }
        if shape::size(&node.shape) == shape::size(to) {
            return self.reshape(a, to);
        }
        let inner = if matches!(node.op, Op::Broadcast) { node.args[0] } else { a };
        Ok(self.intern(Node { op: Op::Broadcast, args: vec![inner], shape: to.to_vec(), batched: node.batched }))
    }

    /// A scalar repeated.
    pub(crate) fn spread(&mut self, scalar: NodeId, to: &[usize]) -> NodeId {
        let node = self.node(scalar).clone();
        if node.shape == to {
            return scalar;
        }
        let inner = if matches!(node.op, Op::Broadcast) { node.args[0] } else { scalar };
        self.intern(Node { op: Op::Broadcast, args: vec![inner], shape: to.to_vec(), batched: node.batched })
    }

    /// The scalar of which the node is a repetition.
    pub(crate) fn spread_scalar(&self, a: NodeId) -> Option<NodeId> {
        let node = self.node(a);
        (matches!(node.op, Op::Broadcast) && self.shape(node.args[0]).is_empty()).then(|| node.args[0])
    }

    /// The same elements in row-major order under another shape.
    pub fn reshape(&mut self, a: NodeId, to: &[usize]) -> Built {
        let node = self.node(a).clone();
        if node.shape == to {
            return Ok(a);
        }
        if shape::size(&node.shape) != shape::size(to) {
            let shapes = vec![node.shape, to.to_vec()];
            return Err(ShapeError { op: "reshape", shapes, reason: "the numbers of elements differ".into() });
        }
        if let Some(scalar) = self.spread_scalar(a) {
            return Ok(self.spread(scalar, to));
        }
        match &node.op {
            Op::Reshape => self.reshape(node.args[0], to),
            Op::Tensor(tensor) => match tensor.0.as_ref().clone().into_shape_with_order(to.to_vec()) {
                Ok(array) => Ok(self.tensor(array)),
                Err(_) => Err(ShapeError {
                    op: "reshape",
                    shapes: vec![node.shape, to.to_vec()],
                    reason: "memory order".into(),
                }),
            },
            _ => Ok(self.intern(Node { op: Op::Reshape, args: vec![a], shape: to.to_vec(), batched: node.batched })),
        }
    }

    /// Axis k of the result is axis `axes[k]` of the argument.
    pub fn permute(&mut self, a: NodeId, axes: &[usize]) -> Built {
        let node = self.node(a).clone();
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if sorted.len() != node.shape.len() || sorted.iter().enumerate().any(|(k, axis)| k != *axis) {
            let reason = format!("{axes:?} is not an order of its axes");
            return Err(ShapeError { op: "permute", shapes: vec![node.shape], reason });
        }
        let to: Vec<usize> = axes.iter().map(|k| node.shape[*k]).collect();
        if let Some(scalar) = self.spread_scalar(a) {
            return Ok(self.spread(scalar, &to));
        }
        if let Op::Permute(first) = &node.op {
            let both: Vec<usize> = axes.iter().map(|k| first[*k]).collect();
            return self.permute(node.args[0], &both);
        }
        if keeps_order(&node.shape, axes) {
            return self.reshape(a, &to);
        }
        Ok(self.intern(Node { op: Op::Permute(axes.to_vec()), args: vec![a], shape: to, batched: node.batched }))
    }

    /// The last two axes exchanged.
    pub fn transpose(&mut self, a: NodeId) -> Built {
        let rank = self.shape(a).len();
        if rank < 2 {
            let shapes = vec![self.shape(a).to_vec()];
            return Err(ShapeError { op: "transpose", shapes, reason: "at least two axes are needed".into() });
        }
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(rank - 2, rank - 1);
        self.permute(a, &axes)
    }

    /// With an axis of extent 1 before `axis`.
    pub fn expand(&mut self, a: NodeId, axis: usize) -> Built {
        let mut to = self.shape(a).to_vec();
        if axis > to.len() {
            return Err(ShapeError { op: "expand", shapes: vec![to], reason: format!("there is no place {axis}") });
        }
        to.insert(axis, 1);
        self.reshape(a, &to)
    }
}

/// Whether only axes of extent 1 move.
fn keeps_order(shape: &[usize], axes: &[usize]) -> bool {
    let long: Vec<usize> = axes.iter().copied().filter(|k| shape[*k] != 1).collect();
    long.windows(2).all(|pair| pair[0] < pair[1])
}

/// The inverse of an order of axes.
pub(crate) fn inverse(axes: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; axes.len()];
    for (k, axis) in axes.iter().enumerate() {
        inverse[*axis] = k;
    }
    inverse
}

pub(crate) fn broadcast_sample(s: &Sample, out: &mut [f64]) {
    let strides: Vec<isize> =
        shape::broadcast_strides(s.shapes[0], &s.node.shape).into_iter().map(|k| k as isize).collect();
    shape::for_each_offset(&s.node.shape, &strides, 0, |flat, from| out[flat] = s.args[0][from as usize]);
}

pub(crate) fn copy_sample(s: &Sample, out: &mut [f64]) {
    out.copy_from_slice(s.args[0]);
}

pub(crate) fn permute_sample(s: &Sample, out: &mut [f64]) {
    let Op::Permute(axes) = &s.node.op else { return };
    let own = shape::strides(s.shapes[0]);
    let strides: Vec<isize> = axes.iter().map(|k| own[*k] as isize).collect();
    shape::for_each_offset(&s.node.shape, &strides, 0, |flat, from| out[flat] = s.args[0][from as usize]);
}

/// The sum over what was repeated.
pub(crate) fn broadcast_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let from = d.graph.shape(d.node.args[0]).to_vec();
    let repeated = shape::broadcast_strides(&from, &d.node.shape);
    let missing = d.node.shape.len() - from.len();
    let axes: Vec<usize> =
        (0..d.node.shape.len()).filter(|k| *k < missing || (repeated[*k] == 0 && d.node.shape[*k] != 1)).collect();
    let sum = d.graph.reduce(Reduce::Sum, d.dy, &axes)?;
    Ok(vec![Some(d.graph.reshape(sum, &from)?)])
}

pub(crate) fn reshape_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let from = d.graph.shape(d.node.args[0]).to_vec();
    Ok(vec![Some(d.graph.reshape(d.dy, &from)?)])
}

pub(crate) fn permute_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Permute(axes) = &d.node.op else { return Ok(vec![None]) };
    let back = inverse(axes);
    Ok(vec![Some(d.graph.permute(d.dy, &back)?)])
}
