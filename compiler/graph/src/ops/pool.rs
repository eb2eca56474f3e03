//! Pooling of images `[channels, height, width]`: whole windows only, the first maximum wins, NaN being the
//! largest.
//!
//! `MaxPoolGrad` puts values where the windows have their maxima, `MaxPoolTake` fetches values from there: each is the
//! derivative of the other. `AvgPool` and its gradient are linear and each other's derivatives too.

use crate::error::{Built, ShapeError};
use crate::eval::Sample;
use crate::grad::Diff;
use crate::ir::{Graph, Node, NodeId, Op, Pool};
use crate::ops::reduce::is_larger;

impl Graph {
    /// The largest of each window.
    pub fn max_pool(&mut self, x: NodeId, pool: Pool) -> Built {
        let to = pooled(self.shape(x), &pool)?;
        if let Some(scalar) = self.spread_scalar(x) {
            return Ok(self.spread(scalar, &to));
        }
        let batched = self.node(x).batched;
        Ok(self.intern(Node { op: Op::MaxPool(pool), args: vec![x], shape: to, batched }))
    }

    /// Zeros of the input's shape, plus `dy` where the input's windows have their maxima.
    pub fn max_pool_grad(&mut self, x: NodeId, dy: NodeId, pool: Pool) -> Built {
        let from = self.shape(x).to_vec();
        if pooled(&from, &pool)? != self.shape(dy) {
            return Err(self.pool_error(x, dy));
        }
        if self.constant_value(dy) == Some(0.0) {
            return Ok(self.filled(0.0, &from));
        }
        let batched = self.node(x).batched || self.node(dy).batched;
        Ok(self.intern(Node { op: Op::MaxPoolGrad(pool), args: vec![x, dy], shape: from, batched }))
    }

    /// The elements of `values` where the windows of `x` have their maxima.
    pub fn max_pool_take(&mut self, x: NodeId, values: NodeId, pool: Pool) -> Built {
        let to = pooled(self.shape(x), &pool)?;
        if self.shape(x) != self.shape(values) {
            return Err(self.pool_error(x, values));
        }
        if let Some(scalar) = self.spread_scalar(values) {
            return Ok(self.spread(scalar, &to));
        }
        let batched = self.node(x).batched || self.node(values).batched;
        Ok(self.intern(Node { op: Op::MaxPoolTake(pool), args: vec![x, values], shape: to, batched }))
    }

    /// The mean of each window.
    pub fn avg_pool(&mut self, x: NodeId, pool: Pool) -> Built {
        let to = pooled(self.shape(x), &pool)?;
        if let Some(scalar) = self.spread_scalar(x) {
            return Ok(self.spread(scalar, &to));
        }
        let batched = self.node(x).batched;
        Ok(self.intern(Node { op: Op::AvgPool(pool), args: vec![x], shape: to, batched }))
    }

    /// `dy` spread evenly over its windows, in the input's shape.
    pub fn avg_pool_grad(&mut self, dy: NodeId, pool: Pool, from: &[usize]) -> Built {
        if pooled(from, &pool)? != self.shape(dy) {
            return Err(self.pool_error(dy, dy));
        }
        if self.constant_value(dy) == Some(0.0) {
            return Ok(self.filled(0.0, from));
        }
        let batched = self.node(dy).batched;
        Ok(self.intern(Node { op: Op::AvgPoolGrad(pool), args: vec![dy], shape: from.to_vec(), batched }))
    }

    fn pool_error(&self, a: NodeId, b: NodeId) -> ShapeError {
        let shapes = vec![self.shape(a).to_vec(), self.shape(b).to_vec()];
        ShapeError { op: "pool", shapes, reason: "input and gradient do not fit".into() }
    }
}

fn pooled(x: &[usize], pool: &Pool) -> Result<Vec<usize>, ShapeError> {
    let wrong = |reason: &str| ShapeError { op: "pool", shapes: vec![x.to_vec()], reason: reason.into() };
    let &[channels, height, width] = x else { return Err(wrong("an image has 3 axes")) };
    let along = |extent: usize, axis: usize| {
        let (size, stride) = (pool.size[axis], pool.stride[axis]);
        if size == 0 || stride == 0 || size > extent {
            return Err(wrong("the window is larger than the image"));
        }
        Ok((extent - size) / stride + 1)
    };
    Ok(vec![channels, along(height, 0)?, along(width, 1)?])
}

/// Each window: its place in y and the places of its elements in x.
fn for_each_window(x: &[usize], y: &[usize], pool: &Pool, mut visit: impl FnMut(usize, &[usize])) {
    let mut places = vec![];
    for flat in 0..y.iter().product() {
        let (channel, i, j) = (flat / (y[1] * y[2]), flat / y[2] % y[1], flat % y[2]);
        places.clear();
        for u in 0..pool.size[0] {
            let row = (channel * x[1] + i * pool.stride[0] + u) * x[2] + j * pool.stride[1];
            places.extend(row..row + pool.size[1]);
        }
        visit(flat, &places);
    }
}

/// The place of the first largest of some elements.
fn best(x: &[f64], places: &[usize]) -> usize {
    places.iter().copied().reduce(|best, k| if is_larger(x[k], x[best]) { k } else { best }).unwrap_or(0)
}

pub(crate) fn max_sample(s: &Sample, out: &mut [f64]) {
    let Op::MaxPool(pool) = s.node.op else { return };
    for_each_window(s.shapes[0], &s.node.shape, &pool, |y, places| out[y] = s.args[0][best(s.args[0], places)]);
}

pub(crate) fn max_grad_sample(s: &Sample, out: &mut [f64]) {
    let Op::MaxPoolGrad(pool) = s.node.op else { return };
    out.fill(0.0);
    for_each_window(s.shapes[0], s.shapes[1], &pool, |y, places| out[best(s.args[0], places)] += s.args[1][y]);
}

pub(crate) fn max_take_sample(s: &Sample, out: &mut [f64]) {
    let Op::MaxPoolTake(pool) = s.node.op else { return };
    for_each_window(s.shapes[0], &s.node.shape, &pool, |y, places| out[y] = s.args[1][best(s.args[0], places)]);
}

pub(crate) fn avg_sample(s: &Sample, out: &mut [f64]) {
    let Op::AvgPool(pool) = s.node.op else { return };
    let count = (pool.size[0] * pool.size[1]) as f64;
    for_each_window(s.shapes[0], &s.node.shape, &pool, |y, places| {
        out[y] = places.iter().map(|k| s.args[0][*k]).sum::<f64>() / count;
    });
}

pub(crate) fn avg_grad_sample(s: &Sample, out: &mut [f64]) {
    let Op::AvgPoolGrad(pool) = s.node.op else { return };
    let count = (pool.size[0] * pool.size[1]) as f64;
    out.fill(0.0);
    for_each_window(&s.node.shape, s.shapes[0], &pool, |y, places| {
        places.iter().for_each(|k| out[*k] += s.args[0][y] / count);
    });
}

pub(crate) fn max_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::MaxPool(pool) = d.node.op else { return Ok(vec![None]) };
    Ok(vec![Some(d.graph.max_pool_grad(d.node.args[0], d.dy, pool)?)])
}

pub(crate) fn max_grad_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::MaxPoolGrad(pool) = d.node.op else { return Ok(vec![None, None]) };
    Ok(vec![None, Some(d.graph.max_pool_take(d.node.args[0], d.dy, pool)?)])
}

pub(crate) fn max_take_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::MaxPoolTake(pool) = d.node.op else { return Ok(vec![None, None]) };
    Ok(vec![None, Some(d.graph.max_pool_grad(d.node.args[0], d.dy, pool)?)])
}

pub(crate) fn avg_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::AvgPool(pool) = d.node.op else { return Ok(vec![None]) };
    let from = d.graph.shape(d.node.args[0]).to_vec();
    Ok(vec![Some(d.graph.avg_pool_grad(d.dy, pool, &from)?)])
}

pub(crate) fn avg_grad_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::AvgPoolGrad(pool) = d.node.op else { return Ok(vec![None]) };
    Ok(vec![Some(d.graph.avg_pool(d.dy, pool)?)])
}
