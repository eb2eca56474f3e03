//! Compositions that everybody needs: softmax and its relatives, shifted by the maximum.

use crate::error::{Built, ShapeError};
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

    /// The product of all elements up to each along an axis; from each on with `reverse`, without it with `others`.
    ///
    /// In as many steps as the length can be halved: each joins what lies twice as far away. So there is no division, and
    /// zeros have derivatives of every order.
    pub fn cumprod(&mut self, x: NodeId, axis: usize, reverse: bool, others: bool) -> Built {
        let shape = self.shape(x).to_vec();
        let Some(extent) = shape.get(axis).copied() else {
            let reason = format!("there is no axis {axis}");
            return Err(ShapeError { op: "cumprod", shapes: vec![shape], reason });
        };
        let mut out = if others { self.moved(x, axis, 1, reverse)? } else { x };
        let mut reach = 1;
        while reach < extent {
            let further = self.moved(out, axis, reach, reverse)?;
            out = self.binary(Binary::Mul, out, further)?;
            reach *= 2;
        }
        Ok(out)
    }

    /// Elements moved on along an axis by so many places, with ones in those left.
    fn moved(&mut self, x: NodeId, axis: usize, by: usize, back: bool) -> Built {
        let shape = self.shape(x).to_vec();
        let ones = self.filled(1.0, &shape::with_axis(&shape, axis, by.min(shape[axis])));
        if by >= shape[axis] {
            return Ok(ones);
        }
        let kept = self.slice(x, axis, if back { by } else { 0 }, 1, shape[axis] - by)?;
        let parts = if back { [kept, ones] } else { [ones, kept] };
        self.concat(axis, &parts)
    }

    /// `x - max(x)` and the maximum, both with the axis; the maximum counts as a constant (its derivative cancels).
    fn shifted(&mut self, x: NodeId, axis: usize) -> Result<(NodeId, NodeId), ShapeError> {
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
