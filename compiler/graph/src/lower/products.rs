//! Matrix products: all samples as the rows of one where the weights are shared, sums over samples as one long product,
//! several products and a row collected in one place.

use nnm_kir::ir::{Int, Ref};

use super::legal::repeats_rows;
use super::plan::{Collected, matrix};
use super::{LowerError, Lowering, args};
use crate::ir::{NodeId, Op};
use crate::shape;

/// The sizes of a call of `gemm`.
struct Gemm {
    count: Int,
    m: Int,
    n: usize,
    k: Int,
    steps: [usize; 3],
    transpose: [bool; 2],
}

impl Lowering<'_> {
    /// A product, or the batch sum of one.
    pub(super) fn emit_product(&mut self, id: NodeId, out: &Ref, inputs: &[Ref], add: bool) -> Result<(), LowerError> {
        let node = self.graph.node(id);
        let (product, summed) = if node.op == Op::BatchSum { (node.args[0], true) } else { (id, false) };
        let Op::MatMul { transpose_a, transpose_b } = self.graph.node(product).op else {
            return Err(LowerError("a product that is none".into()));
        };
        let args = self.graph.node(product).args.clone();
        let swap = !summed && self.is_column(&args, transpose_b);
        let (a, b) = if swap { (&inputs[1], &inputs[0]) } else { (&inputs[0], &inputs[1]) };
        let gemm = match (summed, swap) {
            (true, _) => self.summed([args[0], args[1]], [transpose_a, transpose_b]),
            (_, true) => self.columns([args[1], args[0]], !transpose_a),
            _ => self.plain([args[0], args[1]], [transpose_a, transpose_b], product),
        };
        let Gemm { count, m, n, k, steps, transpose: [ta, tb] } = gemm;
        let sizes = args![count, m, n, k, steps[0], steps[1], steps[2], ta, tb, add];
        let buffers = args![out, a, b];
        self.call("gemm", [buffers, sizes].concat());
        Ok(())
    }

    /// Whether shared weights act on one column of each sample: the columns are then the rows of one product.
    fn is_column(&self, args: &[NodeId], transpose_b: bool) -> bool {
        let [a, b] = [self.graph.node(args[0]), self.graph.node(args[1])];
        !a.batched && b.batched && b.shape.len() == 2 && matrix(self.graph, args[1], transpose_b).1 == 1
    }

    /// `x · bᵀ` for the column x of each sample.
    fn columns(&self, [x, b]: [NodeId; 2], transpose_b: bool) -> Gemm {
        let (k, n) = matrix(self.graph, b, transpose_b);
        let (count, k) = (Int::Const(1), Int::Const(k as i64));
        Gemm { count, m: self.samples(x), n, k, steps: [0; 3], transpose: [false, transpose_b] }
    }

    fn plain(&self, [a, b]: [NodeId; 2], [ta, tb]: [bool; 2], product: NodeId) -> Gemm {
        let (shape, samples) = (&self.graph.node(product).shape, self.samples(product));
        let matrices = shape::size(&shape[..shape.len() - 2]);
        let ((m, k), (_, n)) = (matrix(self.graph, a, ta), matrix(self.graph, b, tb));
        let k_int = Int::Const(k as i64);
        let stacks = !ta || m == 1 || k == 1;
        if self.graph.node(a).batched && !self.graph.node(b).batched && matrices == 1 && stacks {
            let m = samples * m as i64;
            return Gemm { count: Int::Const(1), m, n, k: k_int, steps: [0; 3], transpose: [false, tb] };
        }
        let step = |id: NodeId, size: usize| if matrices > 1 { size } else { self.step(id) };
        Gemm {
            count: samples * matrices as i64,
            m: Int::Const(m as i64),
            n,
            k: k_int,
            steps: [m * n, step(a, m * k), step(b, k * n)],
            transpose: [ta, tb],
        }
    }

    /// The sum over samples: one product along samples and k, where both arguments can be stacked.
    fn summed(&self, [a, b]: [NodeId; 2], [ta, tb]: [bool; 2]) -> Gemm {
        let ((m, k), (_, n)) = (matrix(self.graph, a, ta), matrix(self.graph, b, tb));
        let samples = Int::Slot(crate::ops::batch::BATCH);
        let both = self.graph.node(a).batched && self.graph.node(b).batched;
        let stacks_a = ta || m == 1 || k == 1;
        let stacks_b = !tb || n == 1 || k == 1;
        if both && stacks_a && stacks_b {
            let (m, k) = (Int::Const(m as i64), samples * k as i64);
            return Gemm { count: Int::Const(1), m, n, k, steps: [0; 3], transpose: [true, false] };
        }
        Gemm {
            count: samples,
            m: Int::Const(m as i64),
            n,
            k: Int::Const(k as i64),
            steps: [0, self.step(a), self.step(b)],
            transpose: [ta, tb],
        }
    }

    /// Products, begun with a row, in one place.
    pub(super) fn emit_collected(
        &mut self,
        id: NodeId,
        collected: &Collected,
        out: &Ref,
        inputs: &[Ref],
    ) -> Result<(), LowerError> {
        let mut rest = inputs;
        let mut add = false;
        if let Some(row) = collected.row {
            let (times, size) = repeats_rows(self.graph, row).unwrap_or((1, shape::size(self.graph.shape(row))));
            let inner = self.graph.node(row).args[0];
            let samples = if self.graph.node(inner).batched { Int::Const(1) } else { self.samples(id) };
            if self.graph.node(inner).batched {
                let len = self.len_of(id);
                self.call("copy", args![out, &rest[0], len]);
            } else {
                self.call("rows", args![out, &rest[0], samples * times as i64, size]);
            }
            rest = &rest[1..];
            add = true;
        }
        for product in &collected.products {
            let (own, others) = rest.split_at(2.min(rest.len()));
            self.emit_product(*product, out, own, add)?;
            rest = others;
            add = true;
        }
        Ok(())
    }
}
