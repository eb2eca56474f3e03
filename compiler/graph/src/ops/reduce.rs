//! Reductions over axes: sum, extremes, product, the place of the largest, running sums.
//!
//! An extreme of NaN and anything is NaN; for the place of the largest, the first NaN is the largest of all.

use crate::error::{Built, ShapeError};
use crate::eval::Sample;
use crate::grad::Diff;
use crate::ir::{Binary, Graph, Node, NodeId, Op, Reduce};
use crate::shape;

/// One reduction: its name, neutral element and step.
pub struct ReduceDef {
    pub reduce: Reduce,
    pub name: &'static str,
    /// Its primitives at places: given as numbers, and as indices.
    pub scatter: [&'static str; 2],
    pub start: f64,
    pub step: fn(f64, f64) -> f64,
}

/// All of them, in the order of [`Reduce`].
pub static REDUCES: &[ReduceDef] = &[
    ReduceDef {
        reduce: Reduce::Sum,
        name: "sum",
        scatter: ["scatter_add", "scatter_add_at"],
        start: 0.0,
        step: |a, b| a + b,
    },
    ReduceDef {
        reduce: Reduce::Max,
        name: "max",
        scatter: ["scatter_max", "scatter_max_at"],
        start: f64::NEG_INFINITY,
        step: |a, b| if a > b || a.is_nan() { a } else { b },
    },
    ReduceDef {
        reduce: Reduce::Min,
        name: "min",
        scatter: ["scatter_min", "scatter_min_at"],
        start: f64::INFINITY,
        step: |a, b| if a < b || a.is_nan() { a } else { b },
    },
    ReduceDef { reduce: Reduce::Prod, name: "prod", scatter: ["", ""], start: 1.0, step: |a, b| a * b },
];

impl Reduce {
    pub fn def(self) -> &'static ReduceDef {
        &REDUCES[self as usize]
    }
}

impl Graph {
    /// Over the given axes, which go from the shape.
    pub fn reduce(&mut self, reduce: Reduce, a: NodeId, axes: &[usize]) -> Built {
        let node = self.node(a).clone();
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        axes.dedup();
        if axes.last().is_some_and(|k| *k >= node.shape.len()) {
            let reason = format!("it has no axes {axes:?}");
            return Err(ShapeError { op: reduce.def().name, shapes: vec![node.shape], reason });
        }
        let to = shape::without(&node.shape, &axes);
        if axes.iter().all(|k| node.shape[*k] == 1) {
            return self.reshape(a, &to);
        }
        if let Some(simple) = self.reduced_broadcast(reduce, &node, &axes, &to)? {
            return Ok(simple);
        }
        Ok(self.intern(Node { op: Op::Reduce { reduce, axes }, args: vec![a], shape: to, batched: node.batched }))
    }

    /// Over axes along which values only repeat: a multiple, or the value itself.
    fn reduced_broadcast(
        &mut self,
        reduce: Reduce,
        node: &Node,
        axes: &[usize],
        to: &[usize],
    ) -> Result<Option<NodeId>, ShapeError> {
        if !matches!(node.op, Op::Broadcast) || reduce == Reduce::Prod {
            return Ok(None);
        }
        let inner = node.args[0];
        let repeated = shape::broadcast_strides(self.shape(inner), &node.shape);
        if axes.iter().any(|k| repeated[*k] != 0 && node.shape[*k] != 1) {
            return Ok(None);
        }
        let missing = node.shape.len() - self.shape(inner).len();
        let kept: Vec<usize> = (0..self.shape(inner).len())
            .filter(|k| !axes.contains(&(k + missing)))
            .map(|k| self.shape(inner)[k])
            .collect();
        let mut value = self.reshape(inner, &kept)?;
        if reduce == Reduce::Sum {
            let times = self.constant(axes.iter().map(|k| node.shape[*k]).product::<usize>() as f64);
            value = self.binary(Binary::Mul, value, times)?;
        }
        self.broadcast_to(value, to).map(Some)
    }

    /// Over the given axes, which stay with extent 1.
    pub fn reduce_keep(&mut self, reduce: Reduce, a: NodeId, axes: &[usize]) -> Built {
        let to = shape::with_ones(self.shape(a), axes);
        let value = self.reduce(reduce, a, axes)?;
        self.reshape(value, &to)
    }

    /// Over all axes.
    pub fn reduce_all(&mut self, reduce: Reduce, a: NodeId) -> Built {
        let axes: Vec<usize> = (0..self.shape(a).len()).collect();
        self.reduce(reduce, a, &axes)
    }

    /// The mean over the given axes.
    pub fn mean(&mut self, a: NodeId, axes: &[usize]) -> Built {
        let sum = self.reduce(Reduce::Sum, a, axes)?;
        let count = shape::size(self.shape(a)) as f64 / shape::size(self.shape(sum)) as f64;
        let count = self.constant(count);
        self.binary(Binary::Div, sum, count)
    }

    /// The first index of the largest element along an axis.
    pub fn argmax(&mut self, a: NodeId, axis: usize) -> Built {
        let node = self.node(a).clone();
        if axis >= node.shape.len() || node.shape[axis] == 0 {
            return Err(ShapeError {
                op: "argmax",
                shapes: vec![node.shape],
                reason: format!("axis {axis} has no elements"),
            });
        }
        let to = shape::without(&node.shape, &[axis]);
        if node.shape[axis] == 1 || self.spread_scalar(a).is_some() {
            return Ok(self.filled(0.0, &to));
        }
        Ok(self.intern(Node { op: Op::ArgMax { axis }, args: vec![a], shape: to, batched: node.batched }))
    }

    /// The sum of all elements up to each (from each on, with `reverse`) along an axis.
    pub fn cumsum(&mut self, a: NodeId, axis: usize, reverse: bool) -> Built {
        let Node { shape, batched, .. } = self.node(a).clone();
        if axis >= shape.len() {
            return Err(ShapeError { op: "cumsum", shapes: vec![shape], reason: format!("there is no axis {axis}") });
        }
        if shape[axis] == 1 || self.constant_value(a) == Some(0.0) {
            return Ok(a);
        }
        Ok(self.intern(Node { op: Op::CumSum { axis, reverse }, args: vec![a], shape, batched }))
    }

    /// Where the elements of x are the extreme y: equal to it, or NaN, as it is then.
    pub(crate) fn is_extreme(&mut self, x: NodeId, y: NodeId) -> Built {
        let equal = self.binary(Binary::Eq, x, y)?;
        let nan = self.binary(Binary::Ne, x, x)?;
        self.binary(Binary::Or, equal, nan)
    }

    /// The extreme of what was met so far and x: NaN once anything was.
    pub fn extreme_so_far(&mut self, op: Binary, so_far: NodeId, x: NodeId) -> Built {
        let extreme = self.binary(op, so_far, x)?;
        let lost = self.binary(Binary::Ne, so_far, so_far)?;
        self.select(lost, so_far, extreme)
    }

    /// A reduced value back in the shape it was reduced from.
    fn unreduced(&mut self, a: NodeId, from: &[usize], axes: &[usize]) -> Built {
        let ones = self.reshape(a, &shape::with_ones(from, axes))?;
        self.broadcast_to(ones, from)
    }
}

pub(crate) fn reduce_sample(s: &Sample, out: &mut [f64]) {
    let Op::Reduce { reduce, axes } = &s.node.op else { return };
    let def = reduce.def();
    let kept = shape::strides(&s.node.shape);
    let mut kept = kept.into_iter();
    let strides: Vec<isize> =
        (0..s.shapes[0].len()).map(|k| if axes.contains(&k) { 0 } else { kept.next().unwrap_or(0) as isize }).collect();
    out.fill(def.start);
    shape::for_each_offset(s.shapes[0], &strides, 0, |flat, to| {
        out[to as usize] = (def.step)(out[to as usize], s.args[0][flat]);
    });
}

/// Whether x takes the place of the largest so far.
pub(crate) fn is_larger(x: f64, best: f64) -> bool {
    x > best || (x.is_nan() && !best.is_nan())
}

pub(crate) fn argmax_sample(s: &Sample, out: &mut [f64]) {
    let Op::ArgMax { axis } = s.node.op else { return };
    let (outer, extent, inner) = shape::around(s.shapes[0], axis);
    for o in 0..outer {
        for i in 0..inner {
            let value = |j: usize| s.args[0][(o * extent + j) * inner + i];
            let best = (1..extent).fold(0, |best, j| if is_larger(value(j), value(best)) { j } else { best });
            out[o * inner + i] = best as f64;
        }
    }
}

pub(crate) fn cumsum_sample(s: &Sample, out: &mut [f64]) {
    let Op::CumSum { axis, reverse } = s.node.op else { return };
    let (outer, extent, inner) = shape::around(s.shapes[0], axis);
    for o in 0..outer {
        for i in 0..inner {
            let mut sum = 0.0;
            for j in 0..extent {
                let j = if reverse { extent - 1 - j } else { j };
                let k = (o * extent + j) * inner + i;
                sum += s.args[0][k];
                out[k] = sum;
            }
        }
    }
}

pub(crate) fn derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Reduce { reduce, axes } = d.node.op.clone() else { return Ok(vec![None]) };
    let x = d.node.args[0];
    let from = d.graph.shape(x).to_vec();
    let dy = d.graph.unreduced(d.dy, &from, &axes)?;
    let dx = match reduce {
        Reduce::Sum => dy,
        Reduce::Max | Reduce::Min => extreme_derivative(d, x, &axes, dy)?,
        Reduce::Prod => product_derivative(d, x, &axes, dy)?,
    };
    Ok(vec![Some(dx)])
}

/// Shared equally by all elements that equal the extreme, or by all that are NaN.
fn extreme_derivative(d: &mut Diff, x: NodeId, axes: &[usize], dy: NodeId) -> Built {
    let from = d.graph.shape(x).to_vec();
    let y = d.graph.unreduced(d.y, &from, axes)?;
    let mask = d.graph.is_extreme(x, y)?;
    let count = d.graph.reduce(Reduce::Sum, mask, axes)?;
    let count = d.graph.unreduced(count, &from, axes)?;
    let share = d.div(dy, count)?;
    let zero = d.graph.constant(0.0);
    d.graph.select(mask, share, zero)
}

/// The product of the others: of those before and of those after, along one axis that holds all that are reduced.
fn product_derivative(d: &mut Diff, x: NodeId, axes: &[usize], dy: NodeId) -> Built {
    let from = d.graph.shape(x).to_vec();
    let kept: Vec<usize> = (0..from.len()).filter(|k| !axes.contains(k)).collect();
    let order = [&kept[..], axes].concat();
    let moved = d.graph.permute(x, &order)?;
    let apart = d.graph.shape(moved).to_vec();
    let last = kept.len();
    let flat = d.graph.reshape(moved, &[&apart[..last], &[shape::size(&apart[last..])]].concat())?;
    let before = d.graph.cumprod(flat, last, false, true)?;
    let after = d.graph.cumprod(flat, last, true, true)?;
    let slope = d.mul(before, after)?;
    let slope = d.graph.reshape(slope, &apart)?;
    let back: Vec<usize> = (0..from.len()).map(|k| order.iter().position(|o| *o == k).unwrap_or(k)).collect();
    let slope = d.graph.permute(slope, &back)?;
    d.mul(dy, slope)
}

pub(crate) fn cumsum_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::CumSum { axis, reverse } = d.node.op else { return Ok(vec![None]) };
    Ok(vec![Some(d.graph.cumsum(d.dy, axis, !reverse)?)])
}
