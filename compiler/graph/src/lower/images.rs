//! Convolution and pooling.

use nnm_kir::ir::{Int, Ref};

use super::{IntoArg, LowerError, Lowering, args};
use crate::ir::{Conv, NodeId, Op, Pool};
use crate::ops;

impl Lowering<'_> {
    pub(super) fn emit_image(&mut self, id: NodeId, out: &Ref, inputs: &[Ref]) -> Result<(), LowerError> {
        let node = self.graph.node(id);
        match &node.op {
            Op::Conv2d(conv) => self.emit_conv("conv2d", [node.args[0], node.args[1], id], conv, (id, out), inputs),
            Op::Conv2dInputGrad(conv) => {
                let nodes = [id, node.args[1], node.args[0]];
                self.emit_conv("conv2d_input_grad", nodes, conv, (id, out), inputs)
            }
            Op::Conv2dWeightGrad(_) => self.emit_weight_grad(id, out, inputs, false),
            Op::MaxPool(pool) | Op::AvgPool(pool) => self.emit_pool([node.args[0], id], pool, id, out, inputs),
            Op::MaxPoolGrad(pool) => self.emit_pool([id, node.args[1]], pool, id, out, inputs),
            Op::MaxPoolTake(pool) => self.emit_pool([node.args[0], id], pool, id, out, inputs),
            Op::AvgPoolGrad(pool) => self.emit_pool([id, node.args[0]], pool, id, out, inputs),
            op => Err(LowerError(format!("`{}` has no lowering", ops::def(op).name))),
        }
    }

    /// The gradient by the weights, summed over the samples where `sum`.
    pub(super) fn emit_weight_grad(
        &mut self,
        id: NodeId,
        out: &Ref,
        inputs: &[Ref],
        sum: bool,
    ) -> Result<(), LowerError> {
        let node = self.graph.node(id);
        let Op::Conv2dWeightGrad(conv) = node.op else { return Err(LowerError("no gradient by weights".into())) };
        let nodes = [node.args[0], id, node.args[1]];
        self.conv_call("conv2d_weight_grad", nodes, &conv, (id, out), inputs, sum)
    }

    fn emit_conv(
        &mut self,
        prim: &str,
        nodes: [NodeId; 3],
        conv: &Conv,
        result: (NodeId, &Ref),
        inputs: &[Ref],
    ) -> Result<(), LowerError> {
        self.conv_call(prim, nodes, conv, result, inputs, false)
    }

    /// `nodes` are image, weights and output, whichever of them is the result.
    fn conv_call(
        &mut self,
        prim: &str,
        [x, w, y]: [NodeId; 3],
        conv: &Conv,
        (id, out): (NodeId, &Ref),
        inputs: &[Ref],
        sum: bool,
    ) -> Result<(), LowerError> {
        let (sx, sw, sy) = (self.graph.shape(x), self.graph.shape(w), self.graph.shape(y));
        let columns = sw[1] * sw[2] * sw[3] * sy[1] * sy[2];
        let step_w = if sum { 0 } else { self.step(w) };
        let sizes = [
            &[sx[0], sx[1], sx[2], sw[0], sw[2], sw[3], sy[1], sy[2]][..],
            &[conv.stride[0], conv.stride[1], conv.pad[0][0], conv.pad[1][0], conv.groups],
            &[self.step(x), step_w, self.step(y)],
        ]
        .concat();
        let work = self.memory.take(columns);
        let samples: Int = self.samples(id);
        let mut args = args![out, &inputs[0], &inputs[1], Ref::new(work, 0), samples];
        args.extend(sizes.into_iter().map(IntoArg::into_arg));
        self.call(prim, args);
        self.memory.give_back(work);
        Ok(())
    }

    /// `nodes` are the large and the small image.
    fn emit_pool(
        &mut self,
        [large, small]: [NodeId; 2],
        pool: &Pool,
        id: NodeId,
        out: &Ref,
        inputs: &[Ref],
    ) -> Result<(), LowerError> {
        let (x, y) = (self.graph.shape(large), self.graph.shape(small));
        let planes = self.samples(id) * x[0] as i64;
        let mut args: Vec<_> = [out].into_iter().chain(inputs).map(IntoArg::into_arg).collect();
        args.push(planes.into_arg());
        let sizes = [x[1], x[2], y[1], y[2], pool.size[0], pool.size[1], pool.stride[0], pool.stride[1]];
        args.extend(sizes.into_iter().map(IntoArg::into_arg));
        self.call(ops::def(&self.graph.node(id).op).name, args);
        Ok(())
    }
}
