//! Matrix products: last two axes, leading axes equal.
//!
//! The canonical form of a dense layer is `[1, k] · [m, k]ᵀ`: the samples of a batch are then the rows of one product.

use crate::error::{Built, ShapeError};
use crate::eval::Sample;
use crate::grad::Diff;
use crate::ir::{Binary, Graph, Node, NodeId, Op, Reduce};
use crate::shape;

impl Graph {
    /// As numpy's `@`: matrices, stacks of matrices (leading axes broadcast), and vectors on either side.
    pub fn matmul(&mut self, a: NodeId, b: NodeId) -> Built {
        let (sa, sb) = (self.shape(a).to_vec(), self.shape(b).to_vec());
        match (sa.len(), sb.len()) {
            (0, _) | (_, 0) => Err(mismatch(&sa, &sb, "a scalar is no matrix: write `*`")),
            (1, 1) if sa == sb => {
                let products = self.binary(Binary::Mul, a, b)?;
                self.reduce_all(Reduce::Sum, products)
            }
            (1, 1) => Err(mismatch(&sa, &sb, "the lengths differ")),
            (1, _) => {
                let row = self.reshape(a, &[1, sa[0]])?;
                let product = self.matmul_of(row, b, false, false, (&sa, &sb))?;
                let rank = self.shape(product).len();
                let to = shape::without(self.shape(product), &[rank - 2]);
                self.reshape(product, &to)
            }
            (2, 1) => {
                let row = self.reshape(b, &[1, sb[0]])?;
                let product = self.matmul_of(row, a, false, true, (&sa, &sb))?;
                self.reshape(product, &[sa[0]])
            }
            (_, 1) => {
                let column = self.reshape(b, &[sb[0], 1])?;
                let product = self.matmul_of(a, column, false, false, (&sa, &sb))?;
                let to = self.shape(product)[..sa.len() - 1].to_vec();
                self.reshape(product, &to)
            }
            _ => self.matmul_of(a, b, false, false, (&sa, &sb)),
        }
    }

    /// `op(a) · op(b)` of matrices or stacks of them, where op is the transpose or nothing.
    pub fn matmul_transposed(&mut self, a: NodeId, b: NodeId, transpose_a: bool, transpose_b: bool) -> Built {
        let (sa, sb) = (self.shape(a).to_vec(), self.shape(b).to_vec());
        if sa.len() < 2 || sb.len() < 2 {
            return Err(mismatch(&sa, &sb, "both must be matrices"));
        }
        self.matmul_of(a, b, transpose_a, transpose_b, (&sa, &sb))
    }

    /// `a[i] * b[j]` for all i and j (of the flattened arguments).
    pub fn outer(&mut self, a: NodeId, b: NodeId) -> Built {
        let (m, n) = (shape::size(self.shape(a)), shape::size(self.shape(b)));
        let (a, b) = (self.reshape(a, &[1, m])?, self.reshape(b, &[1, n])?);
        self.matmul_transposed(a, b, true, false)
    }

    /// Leading axes made equal, transposes taken into the op. `said` are the shapes for messages.
    fn matmul_of(&mut self, a: NodeId, b: NodeId, ta: bool, tb: bool, said: (&[usize], &[usize])) -> Built {
        let (a, ta) = self.untransposed(a, ta);
        let (b, tb) = self.untransposed(b, tb);
        let (sa, sb) = (self.shape(a).to_vec(), self.shape(b).to_vec());
        let (m, k) = extents(&sa, ta);
        let (inner, n) = extents(&sb, tb);
        if k != inner {
            return Err(mismatch(said.0, said.1, &format!("{k} columns meet {inner} rows")));
        }
        if sb.len() == 2 && sa.len() > 2 && !ta {
            let rows = self.reshape(a, &[shape::size(&sa[..sa.len() - 1]), k])?;
            let product = self.matmul_of(rows, b, false, tb, said)?;
            return self.reshape(product, &[&sa[..sa.len() - 1], &[n]].concat());
        }
        let Some(leading) = shape::broadcast(&sa[..sa.len() - 2], &sb[..sb.len() - 2]) else {
            return Err(mismatch(said.0, said.1, "the leading axes do not broadcast"));
        };
        let to = [&leading[..], &[m, n]].concat();
        if self.constant_value(a) == Some(0.0) || self.constant_value(b) == Some(0.0) {
            return Ok(self.filled(0.0, &to));
        }
        let a = self.broadcast_to(a, &[&leading[..], &sa[sa.len() - 2..]].concat())?;
        let b = self.broadcast_to(b, &[&leading[..], &sb[sb.len() - 2..]].concat())?;
        let batched = self.node(a).batched || self.node(b).batched;
        let op = Op::MatMul { transpose_a: ta, transpose_b: tb };
        Ok(self.intern(Node { op, args: vec![a, b], shape: to, batched }))
    }

    /// The argument without a transposition of its own, and a row or column vector in the form of a row.
    fn untransposed(&mut self, a: NodeId, transpose: bool) -> (NodeId, bool) {
        let node = self.node(a);
        let Op::Permute(axes) = &node.op else { return (a, transpose) };
        let rank = axes.len();
        let leading = axes.iter().take(rank.saturating_sub(2)).enumerate().all(|(k, axis)| k == *axis);
        if leading && rank >= 2 && axes[rank - 2] == rank - 1 { (node.args[0], !transpose) } else { (a, transpose) }
    }
}

fn mismatch(a: &[usize], b: &[usize], reason: &str) -> ShapeError {
    ShapeError { op: "matmul", shapes: vec![a.to_vec(), b.to_vec()], reason: reason.to_string() }
}

/// Rows and columns of the last two axes.
pub(crate) fn extents(shape: &[usize], transpose: bool) -> (usize, usize) {
    let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    if transpose { (columns, rows) } else { (rows, columns) }
}

pub(crate) fn matmul_sample(s: &Sample, out: &mut [f64]) {
    let Op::MatMul { transpose_a, transpose_b } = s.node.op else { return };
    let (m, k) = extents(s.shapes[0], transpose_a);
    let (_, n) = extents(s.shapes[1], transpose_b);
    let at = |t: bool, rows: usize, columns: usize, i: usize, j: usize| if t { j * rows + i } else { i * columns + j };
    for p in 0..shape::size(&s.node.shape) / (m * n).max(1) {
        let (a, b) = (&s.args[0][p * m * k..], &s.args[1][p * k * n..]);
        for i in 0..m {
            for j in 0..n {
                let product = |q: usize| a[at(transpose_a, m, k, i, q)] * b[at(transpose_b, k, n, q, j)];
                out[(p * m + i) * n + j] = (0..k).map(product).sum();
            }
        }
    }
}

/// With C = A·B: dA = dC·Bᵀ, dB = Aᵀ·dC; transposed arguments have the transposed formula.
pub(crate) fn derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::MatMul { transpose_a: ta, transpose_b: tb } = d.node.op else { return Ok(vec![None, None]) };
    let (a, b, dy) = (d.node.args[0], d.node.args[1], d.dy);
    let da = match (d.wanted[0], ta) {
        (false, _) => None,
        (true, false) => Some(d.graph.matmul_transposed(dy, b, false, !tb)?),
        (true, true) => Some(d.graph.matmul_transposed(b, dy, tb, true)?),
    };
    let db = match (d.wanted[1], tb) {
        (false, _) => None,
        (true, false) => Some(d.graph.matmul_transposed(a, dy, !ta, false)?),
        (true, true) => Some(d.graph.matmul_transposed(dy, a, true, ta)?),
    };
    Ok(vec![da, db])
}
