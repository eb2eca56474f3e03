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
    match s.args[0] {
        [x] => out.fill(f(*x)),
        xs => out.iter_mut().zip(xs).for_each(|(y, x)| *y = f(*x)),
    }
}

pub(crate) fn binary_sample(s: &Sample, out: &mut [f64]) {
    let Op::Binary(op) = s.node.op else { return };
    let f = op.def().host;
    match (s.args[0], s.args[1]) {
        ([a], [b]) => out.fill(f(*a, *b)),
        ([a], bs) => out.iter_mut().zip(bs).for_each(|(y, b)| *y = f(*a, *b)),
        (xs, [b]) => out.iter_mut().zip(xs).for_each(|(y, a)| *y = f(*a, *b)),
        (xs, bs) => out.iter_mut().zip(xs.iter().zip(bs)).for_each(|(y, (a, b))| *y = f(*a, *b)),
    }
}

pub(crate) fn select_sample(s: &Sample, out: &mut [f64]) {
    out.iter_mut().enumerate().for_each(|(i, y)| *y = if s.at(0, i) != 0.0 { s.at(1, i) } else { s.at(2, i) });
}
