//! Broadcasts, permutations, slices, concatenations: copies with strides, or whole rows where those suffice.

use nnm_kir::ir::{Int, Ref};

use super::legal::repeats_rows;
use super::{IntoArg, LowerError, Lowering, args};
use crate::ir::{NodeId, Op};
use crate::ops::slice::part_strides;
use crate::shape;

/// Axes that `take` and `put` have.
const AXES: usize = 8;

/// One axis of a strided copy.
#[derive(Clone)]
struct Axis {
    extent: Int,
    stride: i64,
}

impl Lowering<'_> {
    /// Elements of the argument in another order.
    pub(super) fn emit_take(&mut self, id: NodeId, out: &Ref, inputs: &[Ref]) -> Result<(), LowerError> {
        if matches!(self.graph.node(id).op, Op::Broadcast) && self.emit_repeated(id, out, &inputs[0]) {
            return Ok(());
        }
        let node = self.graph.node(id);
        let source = node.args[0];
        let (strides, start) = self.source_strides(id);
        let mut axes = vec![Axis { extent: self.samples(id), stride: self.step(source) as i64 }];
        axes.extend(
            node.shape.iter().zip(strides).map(|(n, s)| Axis { extent: Int::Const(*n as i64), stride: s as i64 }),
        );
        self.strided("take", out, &inputs[0], axes, start as i64)
    }

    /// Whole rows or columns repeated.
    fn emit_repeated(&mut self, id: NodeId, out: &Ref, input: &Ref) -> bool {
        let node = self.graph.node(id);
        let source = node.args[0];
        let from = self.graph.node(source);
        let size = shape::size(&from.shape);
        if let Some((times, size)) = repeats_rows(self.graph, id).filter(|_| !from.batched) {
            let rows = self.samples(id) * times as i64;
            self.call("rows", args![out, input, rows, size]);
            return true;
        }
        let strides = shape::broadcast_strides(&from.shape, &node.shape);
        let trailing = strides.iter().zip(&node.shape).rev().take_while(|(s, n)| **s == 0 || **n == 1).count();
        let kept = shape::size(&node.shape[..node.shape.len() - trailing]);
        if kept == size && from.batched == node.batched {
            let rows = self.samples(id) * size as i64;
            self.call("columns", args![out, input, rows, shape::size(&node.shape) / size.max(1)]);
            return true;
        }
        false
    }

    /// The stride of each axis in the argument, and where its first element is.
    fn source_strides(&self, id: NodeId) -> (Vec<isize>, isize) {
        let node = self.graph.node(id);
        let from = self.graph.shape(node.args[0]);
        let own = shape::strides(from);
        match &node.op {
            Op::Permute(axes) => (axes.iter().map(|k| own[*k] as isize).collect(), 0),
            Op::Slice { axis, start, step } => part_strides(from, *axis, *start, *step),
            Op::Reverse { axis } => {
                let sign = |k: usize| if k == *axis { -1 } else { 1 };
                let strides = own.iter().enumerate().map(|(k, s)| *s as isize * sign(k)).collect();
                (strides, (own[*axis] * (from[*axis] - 1)) as isize)
            }
            _ => (shape::broadcast_strides(from, &node.shape).into_iter().map(|s| s as isize).collect(), 0),
        }
    }

    /// Arguments as parts of the result.
    pub(super) fn emit_put(&mut self, id: NodeId, out: &Ref, inputs: &[Ref]) -> Result<(), LowerError> {
        let node = self.graph.node(id);
        let (axis, mut start, step) = match node.op {
            Op::Unslice { axis, start, step } => {
                let len = self.len_of(id);
                self.call("zero", args![out, len]);
                (axis, start, step)
            }
            Op::Concat { axis } => (axis, 0, 1),
            _ => return Err(LowerError("no part of an array".into())),
        };
        for (part, input) in node.args.iter().zip(inputs) {
            let (strides, first) = part_strides(&node.shape, axis, start, step);
            let mut axes = vec![Axis { extent: self.samples(id), stride: shape::size(&node.shape) as i64 }];
            let shape = self.graph.shape(*part);
            axes.extend(
                shape.iter().zip(strides).map(|(n, s)| Axis { extent: Int::Const(*n as i64), stride: s as i64 }),
            );
            self.strided("put", out, input, axes, first as i64)?;
            start += shape[axis];
        }
        Ok(())
    }

    fn strided(&mut self, prim: &str, out: &Ref, input: &Ref, axes: Vec<Axis>, start: i64) -> Result<(), LowerError> {
        let mut axes = merged(axes);
        if axes.len() > AXES {
            return Err(LowerError(format!("a copy with more than {AXES} axes")));
        }
        while axes.len() < AXES {
            axes.insert(0, Axis { extent: Int::Const(1), stride: 0 });
        }
        let mut args = args![out, input];
        args.extend(axes.iter().map(|axis| axis.extent.clone().into_arg()));
        args.extend(axes.iter().map(|axis| Int::Const(axis.stride).into_arg()));
        args.push(Int::Const(start).into_arg());
        self.call(prim, args);
        Ok(())
    }
}

/// Without axes of extent 1, and with axes joined that are one in the strided array.
fn merged(axes: Vec<Axis>) -> Vec<Axis> {
    let mut merged: Vec<Axis> = vec![];
    for axis in axes {
        let Some(n) = axis.extent.as_const() else {
            merged.push(axis);
            continue;
        };
        if n == 1 {
            continue;
        }
        match merged.last_mut() {
            Some(last) if last.stride == axis.stride * n => {
                *last = Axis { extent: last.extent.clone() * n, stride: axis.stride };
            }
            _ => merged.push(axis),
        }
    }
    merged
}
