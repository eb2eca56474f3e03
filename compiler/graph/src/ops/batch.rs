//! The sum over the samples of a batch: the only op that mixes them.

use nnm_kir::ir::{Int, SlotId};

use crate::error::{Built, ShapeError};
use crate::grad::Diff;
use crate::ir::{Binary, Graph, Node, NodeId, Op, Unary};

/// The slot in which the number of samples present is.
pub const BATCH: SlotId = SlotId(0);

impl Graph {
    /// The sum over the samples present. Shared factors come out of the sum; a shared value counts once a sample.
    pub fn batch_sum(&mut self, a: NodeId) -> Built {
        let node = self.node(a).clone();
        if !node.batched {
            let samples = self.count(Int::Slot(BATCH));
            return self.binary(Binary::Mul, a, samples);
        }
        if let Some(simple) = self.simpler_batch_sum(&node)? {
            return Ok(simple);
        }
        Ok(self.intern(Node { op: Op::BatchSum, args: vec![a], shape: node.shape, batched: false }))
    }

    fn simpler_batch_sum(&mut self, node: &Node) -> Result<Option<NodeId>, ShapeError> {
        let inner = node.args.first().copied();
        Ok(match (&node.op, inner) {
            (Op::Unary(Unary::Neg), Some(x)) => {
                let sum = self.batch_sum(x)?;
                Some(self.unary(Unary::Neg, sum)?)
            }
            (Op::Binary(Binary::Mul), Some(_)) => self.sum_of_product(node)?,
            (Op::Binary(Binary::Div), Some(x)) if !self.node(node.args[1]).batched => {
                let sum = self.sum_spread(x, &node.shape)?;
                Some(self.binary(Binary::Div, sum, node.args[1])?)
            }
            (Op::Reshape, Some(x)) => {
                let sum = self.batch_sum(x)?;
                Some(self.reshape(sum, &node.shape)?)
            }
            (Op::Broadcast, Some(x)) => {
                let sum = self.batch_sum(x)?;
                Some(self.broadcast_to(sum, &node.shape)?)
            }
            (Op::Permute(axes), Some(x)) => {
                let sum = self.batch_sum(x)?;
                Some(self.permute(sum, axes)?)
            }
            _ => None,
        })
    }

    /// `sum(x * u)` is `sum(x) * u` for a shared u.
    fn sum_of_product(&mut self, node: &Node) -> Result<Option<NodeId>, ShapeError> {
        let (a, b) = (node.args[0], node.args[1]);
        let (x, factor) = match (self.node(a).batched, self.node(b).batched) {
            (true, false) => (a, b),
            (false, true) => (b, a),
            _ => return Ok(None),
        };
        let sum = self.sum_spread(x, &node.shape)?;
        self.binary(Binary::Mul, sum, factor).map(Some)
    }

    fn sum_spread(&mut self, x: NodeId, shape: &[usize]) -> Built {
        let sum = self.batch_sum(x)?;
        self.broadcast_to(sum, shape)
    }
}

/// Each sample has the sum's derivative.
pub(crate) fn derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    Ok(vec![Some(d.dy)])
}
