//! Parts of arrays: slice and its reverse, concatenation, reversal.

use crate::error::{Built, ShapeError};
use crate::eval::Sample;
use crate::grad::Diff;
use crate::ir::{Graph, Node, NodeId, Op};
use crate::shape;

impl Graph {
    /// `len` elements start, start + step, … of an axis.
    pub fn slice(&mut self, a: NodeId, axis: usize, start: usize, step: usize, len: usize) -> Built {
        let node = self.node(a).clone();
        let last = start + step * len.saturating_sub(1);
        if axis >= node.shape.len() || step == 0 || len == 0 || last >= node.shape[axis] {
            let reason = match len {
                0 => "nothing would be left of it".to_string(),
                _ => format!("there are no {len} elements from {start} by {step} in axis {axis}"),
            };
            return Err(ShapeError { op: "slice", shapes: vec![node.shape], reason });
        }
        let to = shape::with_axis(&node.shape, axis, len);
        if to == node.shape {
            return Ok(a);
        }
        if let Some(scalar) = self.spread_scalar(a) {
            return Ok(self.spread(scalar, &to));
        }
        match node.op {
            Op::Slice { axis: inner, start: first, step: by } if inner == axis => {
                return self.slice(node.args[0], axis, first + by * start, by * step, len);
            }
            Op::Unslice { axis: inner, start: first, step: by }
                if (inner, first, by) == (axis, start, step) && self.shape(node.args[0]) == to =>
            {
                return Ok(node.args[0]);
            }
            Op::Concat { axis: inner } if inner == axis => {
                if let Some((part, start)) = self.part_with(&node.args, axis, start, last) {
                    return self.slice(part, axis, start, step, len);
                }
            }
            _ => {}
        }
        Ok(self.intern(Node { op: Op::Slice { axis, start, step }, args: vec![a], shape: to, batched: node.batched }))
    }

    /// The part of a concatenation in which elements `start ..= last` are, and where they start in it.
    fn part_with(&self, parts: &[NodeId], axis: usize, start: usize, last: usize) -> Option<(NodeId, usize)> {
        let mut before = 0;
        for part in parts {
            let extent = self.shape(*part)[axis];
            if before <= start && last < before + extent {
                return Some((*part, start - before));
            }
            before += extent;
        }
        None
    }

    /// One element of an axis, which goes from the shape.
    pub fn at(&mut self, a: NodeId, axis: usize, index: usize) -> Built {
        let part = self.slice(a, axis, index, 1, 1)?;
        let to = shape::without(self.shape(part), &[axis]);
        self.reshape(part, &to)
    }

    /// Zeros around: an axis of `extent` with the argument's elements at start, start + step, …
    pub fn unslice(&mut self, a: NodeId, axis: usize, start: usize, step: usize, extent: usize) -> Built {
        let node = self.node(a).clone();
        let fits = axis < node.shape.len() && step > 0 && start + step * node.shape[axis].saturating_sub(1) < extent;
        if !fits {
            let reason = format!("they do not fit into {extent} from {start} by {step} in axis {axis}");
            return Err(ShapeError { op: "unslice", shapes: vec![node.shape], reason });
        }
        let to = shape::with_axis(&node.shape, axis, extent);
        if to == node.shape {
            return Ok(a);
        }
        if self.constant_value(a) == Some(0.0) {
            return Ok(self.filled(0.0, &to));
        }
        Ok(self.intern(Node { op: Op::Unslice { axis, start, step }, args: vec![a], shape: to, batched: node.batched }))
    }

    /// One after another along an axis; all other axes are equal.
    pub fn concat(&mut self, axis: usize, parts: &[NodeId]) -> Built {
        let shapes: Vec<Vec<usize>> = parts.iter().map(|a| self.shape(*a).to_vec()).collect();
        let Some(first) = shapes.first() else {
            return Err(ShapeError { op: "concat", shapes, reason: "there is nothing to put together".into() });
        };
        let fits = |s: &Vec<usize>| axis < s.len() && shape::without(s, &[axis]) == shape::without(first, &[axis]);
        if !shapes.iter().all(|s| fits(s) && s.len() == first.len()) {
            let reason = format!("they differ outside of axis {axis}");
            return Err(ShapeError { op: "concat", shapes, reason });
        }
        if parts.len() == 1 {
            return Ok(parts[0]);
        }
        let to = shape::with_axis(first, axis, shapes.iter().map(|s| s[axis]).sum());
        let batched = parts.iter().any(|a| self.node(*a).batched);
        Ok(self.intern(Node { op: Op::Concat { axis }, args: parts.to_vec(), shape: to, batched }))
    }

    /// Arrays of one shape along a new axis.
    pub fn stack(&mut self, axis: usize, parts: &[NodeId]) -> Built {
        let parts: Result<Vec<NodeId>, ShapeError> = parts.iter().map(|a| self.expand(*a, axis)).collect();
        self.concat(axis, &parts?)
    }

    /// An axis backwards.
    pub fn reverse(&mut self, a: NodeId, axis: usize) -> Built {
        let Node { op, args, shape, batched } = self.node(a).clone();
        if axis >= shape.len() {
            return Err(ShapeError { op: "reverse", shapes: vec![shape], reason: format!("there is no axis {axis}") });
        }
        if shape[axis] == 1 || self.spread_scalar(a).is_some() {
            return Ok(a);
        }
        if op == (Op::Reverse { axis }) {
            return Ok(args[0]);
        }
        Ok(self.intern(Node { op: Op::Reverse { axis }, args: vec![a], shape, batched }))
    }
}

/// The place in an array of shape `whole` of each element of its part, as strides and a start.
pub(crate) fn part_strides(whole: &[usize], axis: usize, start: usize, step: usize) -> (Vec<isize>, isize) {
    let own = shape::strides(whole);
    let strides = own.iter().enumerate().map(|(k, s)| (if k == axis { s * step } else { *s }) as isize).collect();
    (strides, (own[axis] * start) as isize)
}

pub(crate) fn slice_sample(s: &Sample, out: &mut [f64]) {
    let Op::Slice { axis, start, step } = s.node.op else { return };
    let (strides, first) = part_strides(s.shapes[0], axis, start, step);
    shape::for_each_offset(&s.node.shape, &strides, first, |flat, from| out[flat] = s.args[0][from as usize]);
}

pub(crate) fn unslice_sample(s: &Sample, out: &mut [f64]) {
    let Op::Unslice { axis, start, step } = s.node.op else { return };
    let (strides, first) = part_strides(&s.node.shape, axis, start, step);
    out.fill(0.0);
    shape::for_each_offset(s.shapes[0], &strides, first, |flat, to| out[to as usize] = s.args[0][flat]);
}

pub(crate) fn concat_sample(s: &Sample, out: &mut [f64]) {
    let Op::Concat { axis } = s.node.op else { return };
    let mut start = 0;
    for (part, shape) in s.args.iter().zip(s.shapes) {
        let (strides, first) = part_strides(&s.node.shape, axis, start, 1);
        shape::for_each_offset(shape, &strides, first, |flat, to| out[to as usize] = part[flat]);
        start += shape[axis];
    }
}

pub(crate) fn reverse_sample(s: &Sample, out: &mut [f64]) {
    let Op::Reverse { axis } = s.node.op else { return };
    let own = shape::strides(&s.node.shape);
    let strides: Vec<isize> =
        own.iter().enumerate().map(|(k, s)| if k == axis { -(*s as isize) } else { *s as isize }).collect();
    let first = (own[axis] * (s.node.shape[axis] - 1)) as isize;
    shape::for_each_offset(&s.node.shape, &strides, first, |flat, from| out[flat] = s.args[0][from as usize]);
}

pub(crate) fn slice_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Slice { axis, start, step } = d.node.op else { return Ok(vec![None]) };
    let extent = d.graph.shape(d.node.args[0])[axis];
    Ok(vec![Some(d.graph.unslice(d.dy, axis, start, step, extent)?)])
}

pub(crate) fn unslice_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Unslice { axis, start, step } = d.node.op else { return Ok(vec![None]) };
    let extent = d.graph.shape(d.node.args[0])[axis];
    Ok(vec![Some(d.graph.slice(d.dy, axis, start, step, extent)?)])
}

pub(crate) fn concat_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Concat { axis } = d.node.op else { return Ok(vec![]) };
    let mut parts = vec![];
    let mut start = 0;
    for (part, wanted) in d.node.args.clone().into_iter().zip(d.wanted.clone()) {
        let extent = d.graph.shape(part)[axis];
        parts.push(if wanted { Some(d.graph.slice(d.dy, axis, start, 1, extent)?) } else { None });
        start += extent;
    }
    Ok(parts)
}

pub(crate) fn reverse_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Reverse { axis } = d.node.op else { return Ok(vec![None]) };
    Ok(vec![Some(d.graph.reverse(d.dy, axis)?)])
}
