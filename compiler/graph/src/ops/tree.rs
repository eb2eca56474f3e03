//! Linear systems over a forest, solved by elimination from the leaves to the roots (Hines 1984).
//!
//! Row i is `diag[i] x[i] + up[i] x[parent[i]] + Σ_children c: down[c] x[c] = right[i]`: `up[i]` stands in the row of i,
//! `down[i]` in the row of its parent. Roots have the parent -1. `order` lists parents before children. The node has the
//! shape [2, n]: x, and what is left of the diagonal. It has no derivative.

use crate::error::{Built, ShapeError};
use crate::eval::Sample;
use crate::ir::{Graph, Node, NodeId, Op};

impl Graph {
    /// `[diag, up, down, right]` of one shape [n], with `parent` and `order` as numbers.
    pub fn tree_solve(&mut self, rows: [NodeId; 4], parent: NodeId, order: NodeId) -> Built {
        let args: Vec<NodeId> = rows.into_iter().chain([parent, order]).collect();
        let shape = self.shape(rows[0]).to_vec();
        let fits = shape.len() == 1 && args.iter().all(|a| self.shape(*a) == shape && !self.node(*a).batched);
        if !fits {
            let shapes = args.iter().map(|a| self.shape(*a).to_vec()).collect();
            let reason = "a tree's parts are vectors of one length, the same for all samples".to_string();
            return Err(ShapeError { op: "tree_solve", shapes, reason });
        }
        Ok(self.intern(Node { op: Op::TreeSolve, args, shape: vec![2, shape[0]], batched: false }))
    }
}

pub(crate) fn solve_sample(s: &Sample, out: &mut [f64]) {
    let [diag, up, down, right, parent, order] = [0, 1, 2, 3, 4, 5].map(|k| s.args[k]);
    let n = diag.len();
    let (x, rest) = out.split_at_mut(n);
    x.copy_from_slice(right);
    rest.copy_from_slice(diag);
    for at in order.iter().rev() {
        let i = *at as usize;
        if parent[i] >= 0.0 {
            let p = parent[i] as usize;
            let factor = down[i] / rest[i];
            rest[p] -= factor * up[i];
            x[p] -= factor * x[i];
        }
    }
    for at in order {
        let i = *at as usize;
        if parent[i] >= 0.0 {
            x[i] -= up[i] * x[parent[i] as usize];
        }
        x[i] /= rest[i];
    }
}
