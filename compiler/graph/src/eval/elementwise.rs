//! Element-wise ops of the host evaluator: an argument of one element acts on all.

use super::Sample;
use crate::ir::Op;

impl Sample<'_> {
    /// Element i of argument k.
    fn at(&self, k: usize, i: usize) -> f64 {
        let arg = self.args[k];
        if arg.len() == 1 { arg[0] } else { arg.get(i).copied().unwrap_or(f64::NAN) }
    }
}

pub(crate) fn unary_sample(s: &Sample, out: &mut [f64]) {
    let Op::Unary(op) = s.node.op else { return };
    let f = op.def().host;
    out.iter_mut().enumerate().for_each(|(i, y)| *y = f(s.at(0, i)));
}

pub(crate) fn binary_sample(s: &Sample, out: &mut [f64]) {
    let Op::Binary(op) = s.node.op else { return };
    let f = op.def().host;
    out.iter_mut().enumerate().for_each(|(i, y)| *y = f(s.at(0, i), s.at(1, i)));
}

pub(crate) fn select_sample(s: &Sample, out: &mut [f64]) {
    out.iter_mut().enumerate().for_each(|(i, y)| *y = if s.at(0, i) != 0.0 { s.at(1, i) } else { s.at(2, i) });
}
