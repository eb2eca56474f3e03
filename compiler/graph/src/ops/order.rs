//! Order: the places that elements take when they are sorted.

use nnm_runtime::prims::in_order;

use crate::error::{Built, ShapeError};
use crate::eval::Sample;
use crate::ir::{Graph, Node, NodeId, Op};

impl Graph {
    /// The places of the elements along an axis in rising or falling order; equal ones stay in the order of their places.
    pub fn argsort(&mut self, a: NodeId, axis: usize, descending: bool) -> Built {
        let node = self.node(a).clone();
        let rank = node.shape.len();
        if axis >= rank {
            let reason = format!("there is no axis {axis}");
            return Err(ShapeError { op: "argsort", shapes: vec![node.shape], reason });
        }
        if axis + 1 < rank {
            let mut axes: Vec<usize> = (0..rank).collect();
            axes.swap(axis, rank - 1);
            let last = self.permute(a, &axes)?;
            let places = self.argsort(last, rank - 1, descending)?;
            return self.permute(places, &axes);
        }
        let Node { shape, batched, .. } = node;
        Ok(self.intern(Node { op: Op::ArgSort { descending }, args: vec![a], shape, batched }))
    }
}

pub(crate) fn argsort_sample(s: &Sample, out: &mut [f64]) {
    let Op::ArgSort { descending } = s.node.op else { return };
    let n = s.node.shape.last().copied().unwrap_or(1).max(1);
    for (places, row) in out.chunks_exact_mut(n).zip(s.args[0].chunks_exact(n)) {
        places.iter_mut().enumerate().for_each(|(k, place)| *place = k as f64);
        places.sort_unstable_by(|a, b| in_order(row[*a as usize], row[*b as usize], descending).then(a.total_cmp(b)));
    }
}
