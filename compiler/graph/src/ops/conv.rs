//! Convolution of images `[channels, height, width]` with weights `[out, in / groups, h, w]`.
//!
//! `y[o, i, j] = Σ x[c, i·s - p + u, j·s - p + v] · w[o, c, u, v]`. The op and its two gradients are the three derivatives
//! of one trilinear form in (x, w, dy), so they are closed under differentiation.

use crate::error::{Built, ShapeError};
use crate::eval::Sample;
use crate::grad::Diff;
use crate::ir::{Conv, Graph, Node, NodeId, Op};
use crate::shape;

impl Graph {
    /// Forward.
    pub fn conv2d(&mut self, x: NodeId, w: NodeId, conv: Conv) -> Built {
        let to = output_shape(self.shape(x), self.shape(w), &conv)?;
        self.conv_node(Op::Conv2d(conv), x, w, to)
    }

    /// The gradient by the input (of shape `input`) from the gradient by the output.
    pub fn conv2d_input_grad(&mut self, dy: NodeId, w: NodeId, conv: Conv, input: &[usize]) -> Built {
        let expected = output_shape(input, self.shape(w), &conv)?;
        if self.shape(dy) != expected {
            return Err(self.conv_error(dy, w, "the gradient has another shape than the output"));
        }
        self.conv_node(Op::Conv2dInputGrad(conv), dy, w, input.to_vec())
    }

    /// The gradient by the weights (of shape `weights`).
    pub fn conv2d_weight_grad(&mut self, x: NodeId, dy: NodeId, conv: Conv, weights: &[usize]) -> Built {
        let expected = output_shape(self.shape(x), weights, &conv)?;
        if self.shape(dy) != expected {
            return Err(self.conv_error(x, dy, "the gradient has another shape than the output"));
        }
        self.conv_node(Op::Conv2dWeightGrad(conv), x, dy, weights.to_vec())
    }

    fn conv_node(&mut self, op: Op, a: NodeId, b: NodeId, to: Vec<usize>) -> Built {
        if self.constant_value(a) == Some(0.0) || self.constant_value(b) == Some(0.0) {
            return Ok(self.filled(0.0, &to));
        }
        let batched = self.node(a).batched || self.node(b).batched;
        Ok(self.intern(Node { op, args: vec![a, b], shape: to, batched }))
    }

    fn conv_error(&self, a: NodeId, b: NodeId, reason: &str) -> ShapeError {
        let shapes = vec![self.shape(a).to_vec(), self.shape(b).to_vec()];
        ShapeError { op: "conv2d", shapes, reason: reason.into() }
    }
}

fn output_shape(x: &[usize], w: &[usize], conv: &Conv) -> Result<Vec<usize>, ShapeError> {
    let wrong = |reason: String| ShapeError { op: "conv2d", shapes: vec![x.to_vec(), w.to_vec()], reason };
    let (&[channels, height, width], &[out, per_group, kernel_h, kernel_w]) = (x, w) else {
        return Err(wrong("an image has 3 axes and its weights have 4".into()));
    };
    let groups = conv.groups;
    if groups == 0 || per_group * groups != channels || !out.is_multiple_of(groups) {
        return Err(wrong(format!("{channels} channels in {groups} groups do not fit the weights")));
    }
    let along = |extent: usize, kernel: usize, axis: usize| {
        let padded = extent + conv.pad[axis][0] + conv.pad[axis][1];
        if kernel == 0 || kernel > padded || conv.stride[axis] == 0 {
            return Err(wrong("the weights are larger than the padded image".into()));
        }
        Ok((padded - kernel) / conv.stride[axis] + 1)
    };
    Ok(vec![out, along(height, kernel_h, 0)?, along(width, kernel_w, 1)?])
}

/// Every product of the convolution: `visit(place in x, place in w, place in y)`.
fn for_each_product(x: &[usize], w: &[usize], y: &[usize], conv: &Conv, mut visit: impl FnMut(usize, usize, usize)) {
    let (outs, channels) = (w[0] / conv.groups, w[1]);
    let extents = [y[0], y[1], y[2], channels, w[2], w[3]];
    for flat in 0..shape::size(&extents) {
        let (mut rest, mut index) = (flat, [0; 6]);
        for (k, n) in extents.iter().enumerate().rev() {
            index[k] = rest % n;
            rest /= n;
        }
        let [o, i, j, c, u, v] = index;
        let row = (i * conv.stride[0] + u).checked_sub(conv.pad[0][0]).filter(|r| *r < x[1]);
        let column = (j * conv.stride[1] + v).checked_sub(conv.pad[1][0]).filter(|r| *r < x[2]);
        if let (Some(row), Some(column)) = (row, column) {
            let channel = o / outs * channels + c;
            let place = (channel * x[1] + row) * x[2] + column;
            visit(place, ((o * channels + c) * w[2] + u) * w[3] + v, (o * y[1] + i) * y[2] + j);
        }
    }
}

pub(crate) fn forward_sample(s: &Sample, out: &mut [f64]) {
    let Op::Conv2d(conv) = s.node.op else { return };
    out.fill(0.0);
    let visit = |x: usize, w: usize, y: usize| out[y] += s.args[0][x] * s.args[1][w];
    for_each_product(s.shapes[0], s.shapes[1], &s.node.shape, &conv, visit);
}

pub(crate) fn input_grad_sample(s: &Sample, out: &mut [f64]) {
    let Op::Conv2dInputGrad(conv) = s.node.op else { return };
    out.fill(0.0);
    let visit = |x: usize, w: usize, y: usize| out[x] += s.args[0][y] * s.args[1][w];
    for_each_product(&s.node.shape, s.shapes[1], s.shapes[0], &conv, visit);
}

pub(crate) fn weight_grad_sample(s: &Sample, out: &mut [f64]) {
    let Op::Conv2dWeightGrad(conv) = s.node.op else { return };
    out.fill(0.0);
    let visit = |x: usize, w: usize, y: usize| out[w] += s.args[0][x] * s.args[1][y];
    for_each_product(s.shapes[0], &s.node.shape, s.shapes[1], &conv, visit);
}

/// By x: the input gradient; by w: the weight gradient.
pub(crate) fn forward_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Conv2d(conv) = d.node.op else { return Ok(vec![None, None]) };
    let (x, w) = (d.node.args[0], d.node.args[1]);
    let (sx, sw) = (d.graph.shape(x).to_vec(), d.graph.shape(w).to_vec());
    let dx = if d.wanted[0] { Some(d.graph.conv2d_input_grad(d.dy, w, conv, &sx)?) } else { None };
    let dw = if d.wanted[1] { Some(d.graph.conv2d_weight_grad(x, d.dy, conv, &sw)?) } else { None };
    Ok(vec![dx, dw])
}

/// The incoming derivative has the input's shape: forward by the output's gradient, a weight gradient by w.
pub(crate) fn input_grad_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Conv2dInputGrad(conv) = d.node.op else { return Ok(vec![None, None]) };
    let (g, w) = (d.node.args[0], d.node.args[1]);
    let sw = d.graph.shape(w).to_vec();
    let dg = if d.wanted[0] { Some(d.graph.conv2d(d.dy, w, conv)?) } else { None };
    let dw = if d.wanted[1] { Some(d.graph.conv2d_weight_grad(d.dy, g, conv, &sw)?) } else { None };
    Ok(vec![dg, dw])
}

/// The incoming derivative has the weights' shape: an input gradient by x, forward by the output's gradient.
pub(crate) fn weight_grad_derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Conv2dWeightGrad(conv) = d.node.op else { return Ok(vec![None, None]) };
    let (x, g) = (d.node.args[0], d.node.args[1]);
    let sx = d.graph.shape(x).to_vec();
    let dx = if d.wanted[0] { Some(d.graph.conv2d_input_grad(g, d.dy, conv, &sx)?) } else { None };
    let dg = if d.wanted[1] { Some(d.graph.conv2d(x, d.dy, conv)?) } else { None };
    Ok(vec![dx, dg])
}
