//! Compositions that everybody needs: softmax and its relatives, shifted by the maximum.

use crate::error::Built;
use crate::ir::{Binary, Graph, NodeId, Reduce, Unary};
use crate::shape;

impl Graph {
    /// `log Σ exp(x)` along an axis, which goes from the shape.
    pub fn logsumexp(&mut self, x: NodeId, axis: usize) -> Built {
        let (shifted, largest) = self.shifted(x, axis)?;
        let to = shape::without(self.shape(x), &[axis]);
        let log = self.log_of_sum(shifted, axis)?;
        let sum = self.binary(Binary::Add, log, largest)?;
        self.reshape(sum, &to)
    }

    /// `x - logsumexp(x)` along an axis.
    pub fn log_softmax(&mut self, x: NodeId, axis: usize) -> Built {
        let (shifted, _) = self.shifted(x, axis)?;
        let log = self.log_of_sum(shifted, axis)?;
        self.binary(Binary::Sub, shifted, log)
    }

    /// `exp(x) / Σ exp(x)` along an axis.
    pub fn softmax(&mut self, x: NodeId, axis: usize) -> Built {
        let (shifted, _) = self.shifted(x, axis)?;
        let exp = self.unary(Unary::Exp, shifted)?;
        let sum = self.reduce_keep(Reduce::Sum, exp, &[axis])?;
        self.binary(Binary::Div, exp, sum)
    }

    /// `x - max(x)` and the maximum, both with the axis; the maximum counts as a constant (its derivative cancels).
    fn shifted(&mut self, x: NodeId, axis: usize) -> Result<(NodeId, NodeId), crate::error::ShapeError> {
        let largest = self.reduce_keep(Reduce::Max, x, &[axis])?;
        let largest = self.stop_gradient(largest)?;
        Ok((self.binary(Binary::Sub, x, largest)?, largest))
    }

    fn log_of_sum(&mut self, shifted: NodeId, axis: usize) -> Built {
        let exp = self.unary(Unary::Exp, shifted)?;
        let sum = self.reduce_keep(Reduce::Sum, exp, &[axis])?;
        self.unary(Unary::Log, sum)
    }
}
