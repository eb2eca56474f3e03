//! Access by index: gather and its reverse.
//!
//! Indices are values of the graph (labels, table rows) or a var of indices read whole. An index that is no whole number
//! inside the axis is an error of the run: the host evaluator notes it, gives NaN for it and adds nothing.

use crate::error::{Built, ShapeError};
use crate::eval::{Outside, Sample};
use crate::grad::Diff;
use crate::ir::{Binary, Graph, Node, NodeId, Op, Reduce};
use crate::shape;

impl Graph {
    /// `a` along `axis` at the indices, whose shape replaces that axis.
    pub fn gather(&mut self, a: NodeId, axis: usize, indices: NodeId) -> Built {
        let (source, index) = (self.node(a).clone(), self.node(indices).clone());
        if axis >= source.shape.len() {
            let reason = format!("there is no axis {axis}");
            return Err(ShapeError { op: "gather", shapes: vec![source.shape, index.shape], reason });
        }
        let to = gathered(&source.shape, axis, &index.shape);
        if let Some(scalar) = self.spread_scalar(a) {
            return Ok(self.spread(scalar, &to));
        }
        if let (Op::Const(k), true) = (&index.op, index.shape.is_empty())
            && *k >= 0.0
            && k.fract() == 0.0
            && (*k as usize) < source.shape[axis]
        {
            return self.at(a, axis, *k as usize);
        }
        let batched = source.batched || index.batched;
        Ok(self.intern(Node { op: Op::Gather { axis }, args: vec![a, indices], shape: to, batched }))
    }

    /// Zeros of shape `to`, plus the elements of `a` at the indices along `axis`.
    pub fn scatter_add(&mut self, a: NodeId, axis: usize, indices: NodeId, to: &[usize]) -> Built {
        self.scatter(Reduce::Sum, a, axis, indices, to)
    }

    /// The sums or extremes of the elements of `a` that have the same index along `axis`, in the shape `to`; where none
    /// has, the neutral element.
    pub fn scatter(&mut self, reduce: Reduce, a: NodeId, axis: usize, indices: NodeId, to: &[usize]) -> Built {
        let (source, index) = (self.node(a).clone(), self.node(indices).clone());
        if axis >= to.len() || gathered(to, axis, &index.shape) != source.shape {
            let reason = format!("they are not the gathered form of {to:?} at axis {axis}");
            return Err(ShapeError { op: "scatter", shapes: vec![source.shape, index.shape], reason });
        }
        if reduce == Reduce::Prod {
            let reason = "products are not made by place".into();
            return Err(ShapeError { op: "scatter", shapes: vec![source.shape, index.shape], reason });
        }
        if reduce == Reduce::Sum && self.constant_value(a) == Some(0.0) {
            return Ok(self.filled(0.0, to));
        }
        let batched = source.batched || index.batched;
        let shape = to.to_vec();
        Ok(self.intern(Node { op: Op::Scatter { axis, reduce }, args: vec![a, indices], shape, batched }))
    }
}

/// The shape of a gather.
fn gathered(from: &[usize], axis: usize, indices: &[usize]) -> Vec<usize> {
    [&from[..axis], indices, &from[axis + 1..]].concat()
}

/// Each index with the place of its rows: `visit(place in the indexed array, place in the gathered one, inner)`.
fn for_each_row(s: &Sample, whole: &[usize], axis: usize, mut visit: impl FnMut(Option<usize>, usize, usize)) {
    let indices = s.args[1];
    let (outer, extent, inner) = shape::around(whole, axis);
    for o in 0..outer {
        for (j, index) in indices.iter().enumerate() {
            let inside = *index >= 0.0 && *index < extent as f64 && index.fract() == 0.0;
            if !inside {
                s.outside.set(Some(Outside { index: *index, extent }));
            }
            let place = inside.then(|| (o * extent + *index as usize) * inner);
            visit(place, (o * indices.len() + j) * inner, inner);
        }
    }
}

pub(crate) fn gather_sample(s: &Sample, out: &mut [f64]) {
    let Op::Gather { axis } = s.node.op else { return };
    for_each_row(s, s.shapes[0], axis, |from, to, n| match from {
        Some(from) => out[to..to + n].copy_from_slice(&s.args[0][from..from + n]),
        None => out[to..to + n].fill(f64::NAN),
    });
}

pub(crate) fn scatter_sample(s: &Sample, out: &mut [f64]) {
    let Op::Scatter { axis, reduce } = s.node.op else { return };
    let def = reduce.def();
    out.fill(def.start);
    for_each_row(s, &s.node.shape, axis, |to, from, n| {
        let Some(to) = to else { return };
        for k in 0..n {
            out[to + k] = (def.step)(out[to + k], s.args[0][from + k]);
        }
    });
}

pub(crate) fn gather_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Gather { axis } = d.node.op else { return Ok(vec![None, None]) };
    let to = d.graph.shape(d.node.args[0]).to_vec();
    Ok(vec![Some(d.graph.scatter_add(d.dy, axis, d.node.args[1], &to)?), None])
}

pub(crate) fn scatter_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Scatter { axis, reduce } = d.node.op else { return Ok(vec![None, None]) };
    let (x, indices) = (d.node.args[0], d.node.args[1]);
    if reduce == Reduce::Sum {
        return Ok(vec![Some(d.graph.gather(d.dy, axis, indices)?), None]);
    }
    // Shared equally by the elements that are the extreme of their place.
    let to = d.node.shape.clone();
    let y = d.graph.gather(d.y, axis, indices)?;
    let mask = d.graph.is_extreme(x, y)?;
    let count = d.graph.scatter_add(mask, axis, indices, &to)?;
    let share = d.graph.binary(Binary::Div, d.dy, count)?;
    let share = d.graph.gather(share, axis, indices)?;
    let zero = d.graph.constant(0.0);
    Ok(vec![Some(d.graph.select(mask, share, zero)?), None])
}
