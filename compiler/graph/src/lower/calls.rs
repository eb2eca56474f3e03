//! Calls: which primitive computes a node, with which arguments. Products, strided copies and images have files of their
//! own.

use nnm_kir::ir::{Int, Ref};

use super::plan::{index_var, sums_inside};
use super::{IntoArg, LowerError, Lowering, args};
use crate::ir::{NodeId, Op, Place, Reduce, VarElem};
use crate::ops::{self};
use crate::shape;

impl Lowering<'_> {
    /// Writes the calls that compute a node into `out`; `inputs` are its inputs' places.
    pub(super) fn emit_call(&mut self, id: NodeId, out: &Ref, inputs: &[Ref]) -> Result<(), LowerError> {
        if let Some(collected) = self.plan.collected(id).cloned() {
            return self.emit_collected(id, &collected, out, inputs);
        }
        let node = self.graph.node(id);
        match &node.op {
            Op::MatMul { .. } => self.emit_product(id, out, inputs, false),
            Op::BatchSum if sums_inside(self.graph, id) => self.emit_summed(id, out, inputs),
            Op::BatchSum => {
                let (n, size) = (self.samples(node.args[0]), shape::size(&node.shape));
                self.call("sum", args![out, &inputs[0], 1, n, size]);
                Ok(())
            }
            Op::Broadcast | Op::Permute(_) | Op::Slice { .. } | Op::Reverse { .. } => self.emit_take(id, out, inputs),
            Op::Unslice { .. } | Op::Concat { .. } => self.emit_put(id, out, inputs),
            Op::Gather { axis } => self.emit_gather(id, *axis, out, inputs),
            Op::Scatter { .. } => self.emit_scatter(id, out, inputs, false),
            Op::Reduce { reduce, axes } => self.emit_reduce(id, *reduce, axes, out, &inputs[0]),
            Op::ArgMax { axis } => self.emit_axis("argmax", id, *axis, out, &inputs[0], None),
            Op::ArgSort { descending } => {
                let n = node.shape.last().copied().unwrap_or(1);
                let rows: Int = self.samples(id) * (shape::size(&node.shape) / n.max(1)) as i64;
                self.call("argsort", args![out, &inputs[0], rows, n, *descending]);
                Ok(())
            }
            Op::CumSum { axis, reverse } => self.emit_axis("cumsum", id, *axis, out, &inputs[0], Some(*reverse)),
            Op::TreeSolve => {
                let n = shape::size(self.graph.shape(node.args[0]));
                let [diag, up, down, right, parent, order] = inputs else {
                    return Err(LowerError("a tree has six inputs".into()));
                };
                self.call("tree_solve", args![out, diag, up, down, right, parent, order, n]);
                Ok(())
            }
            Op::Read { .. } => self.emit_read(id, out),
            _ => self.emit_image(id, out, inputs),
        }
    }

    /// A batch sum with the op inside of it.
    fn emit_summed(&mut self, id: NodeId, out: &Ref, inputs: &[Ref]) -> Result<(), LowerError> {
        let inner = self.graph.node(id).args[0];
        match self.graph.node(inner).op {
            Op::MatMul { .. } => self.emit_product(id, out, inputs, false),
            Op::Scatter { .. } => self.emit_scatter(inner, out, inputs, true),
            _ => self.emit_weight_grad(inner, out, inputs, true),
        }
    }

    /// The distance between samples of a node: 0 where they share it.
    pub(super) fn step(&self, id: NodeId) -> usize {
        let extent = self.extent(id);
        if extent.batched { extent.size } else { 0 }
    }

    fn emit_gather(&mut self, id: NodeId, axis: usize, out: &Ref, inputs: &[Ref]) -> Result<(), LowerError> {
        let node = self.graph.node(id);
        let (source, index) = (node.args[0], node.args[1]);
        let (outer, extent, inner) = shape::around(self.graph.shape(source), axis);
        let (prim, place) = self.indices(["gather", "gather_at"], index, inputs)?;
        let count = shape::size(self.graph.shape(index));
        let steps = (self.step(source), self.step(index));
        let samples = self.samples(id);
        self.call(prim, args![out, &inputs[0], place, samples, outer, extent, count, inner, steps.0, steps.1]);
        Ok(())
    }

    fn emit_scatter(&mut self, id: NodeId, out: &Ref, inputs: &[Ref], sum: bool) -> Result<(), LowerError> {
        let node = self.graph.node(id);
        let Op::Scatter { axis, reduce } = node.op else { return Err(LowerError(ops::def(&node.op).name.into())) };
        let (source, index) = (node.args[0], node.args[1]);
        let (outer, extent, inner) = shape::around(&node.shape, axis);
        let (prim, place) = self.indices(reduce.def().scatter, index, inputs)?;
        let count = shape::size(self.graph.shape(index));
        let (step_source, step_index) = (self.step(source), self.step(index));
        let step_out = if sum { 0 } else { shape::size(&node.shape) };
        let samples = self.samples(id);
        let sizes = args![samples, outer, extent, count, inner, step_out, step_source, step_index];
        let buffers = args![out, &inputs[0], place];
        self.call(prim, [buffers, sizes].concat());
        Ok(())
    }

    /// The form of an access by index, and where the indices are.
    fn indices(
        &self,
        [real, whole]: [&'static str; 2],
        index: NodeId,
        inputs: &[Ref],
    ) -> Result<(&'static str, Ref), LowerError> {
        let is_whole = index_var(self.graph, index);
        let name = if is_whole { whole } else { real };
        let place = if is_whole { self.index_place(index) } else { inputs.get(1).cloned() };
        place.map(|place| (name, place)).ok_or_else(|| LowerError("indices without memory".into()))
    }

    /// Runs of adjacent axes are reduced one after another, the last first.
    fn emit_reduce(
        &mut self,
        id: NodeId,
        reduce: Reduce,
        axes: &[usize],
        out: &Ref,
        input: &Ref,
    ) -> Result<(), LowerError> {
        let source = self.graph.node(id).args[0];
        let mut shape = self.graph.shape(source).to_vec();
        let samples = self.samples(source);
        let most = self.extent_len(source) / shape::size(&shape).max(1);
        let runs = runs(axes);
        let mut from = input.clone();
        let mut temps = vec![];
        for (k, (first, last)) in runs.iter().rev().enumerate() {
            let (outer, n) = (shape::size(&shape[..*first]), shape::size(&shape[*first..=*last]));
            let inner = shape::size(&shape[*last + 1..]);
            shape.drain(*first..=*last);
            let to = if k + 1 == runs.len() {
                out.clone()
            } else {
                temps.push(self.memory.take(most * shape::size(&shape)));
                Ref::new(temps[temps.len() - 1], 0)
            };
            self.call(reduce.def().name, args![&to, &from, samples.clone() * outer as i64, n, inner]);
            from = to;
        }
        temps.into_iter().for_each(|temp| self.memory.give_back(temp));
        Ok(())
    }

    fn emit_axis(
        &mut self,
        prim: &str,
        id: NodeId,
        axis: usize,
        out: &Ref,
        input: &Ref,
        reverse: Option<bool>,
    ) -> Result<(), LowerError> {
        let source = self.graph.node(id).args[0];
        let (outer, n, inner) = shape::around(self.graph.shape(source), axis);
        let rows: Int = self.samples(source) * outer as i64;
        let mut args = args![out, input, rows, n, inner];
        args.extend(reverse.map(IntoArg::into_arg));
        self.call(prim, args);
        Ok(())
    }

    /// Indices and counts as numbers; elements of a var of each sample at indices.
    fn emit_read(&mut self, id: NodeId, out: &Ref) -> Result<(), LowerError> {
        let node = self.graph.node(id);
        let Op::Read { var, place } = &node.op else { return Err(LowerError(ops::def(&node.op).name.into())) };
        let known = self.graph.var(*var);
        if let Place::Gather(index) = place {
            let (size, count) = (shape::size(&known.shape), shape::size(&node.shape));
            let samples = self.samples(id);
            let (from, index) = (Ref::new(self.buffer(*var), 0), Ref::new(self.buffer(*index), 0));
            self.call("gather_at", args![out, from, index, samples, 1, size, count, 1, size, 0]);
            return Ok(());
        }
        let prim = if known.elem == VarElem::Index { "from_index" } else { "from_count" };
        let (from, len) = (self.place(*var, place)?, self.len_of(id));
        self.call(prim, args![out, from, len]);
        Ok(())
    }
}

/// Runs of adjacent axes, as first and last.
fn runs(axes: &[usize]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = vec![];
    for axis in axes {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *axis => *last = *axis,
            _ => runs.push((*axis, *axis)),
        }
    }
    runs
}
