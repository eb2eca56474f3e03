//! Differences between integer expressions: whether two places in one buffer are known to be apart.

use crate::ir::{Int, LoopId, Ref};

/// A constant and a sum of terms with factors; a term is any expression that is not a sum or a multiple.
#[derive(Default)]
pub(crate) struct Affine<'a> {
    constant: i64,
    terms: Vec<(&'a Int, i64)>,
}

impl<'a> Affine<'a> {
    pub(crate) fn of(expression: &'a Int) -> Option<Affine<'a>> {
        let mut sum = Affine::default();
        sum.add(expression, 1)?;
        Some(sum)
    }

    /// The loop and the constant of a sum of the two.
    pub(crate) fn loop_and_constant(&self) -> Option<(LoopId, i64)> {
        match self.terms.as_slice() {
            [(Int::Loop(index), 1)] => Some((*index, self.constant)),
            _ => None,
        }
    }

    fn add(&mut self, expression: &'a Int, factor: i64) -> Option<()> {
        match expression {
            Int::Const(value) => self.constant = self.constant.checked_add(value.checked_mul(factor)?)?,
            Int::Add(a, b) => {
                self.add(a, factor)?;
                self.add(b, factor)?;
            }
            Int::Sub(a, b) => {
                self.add(a, factor)?;
                self.add(b, factor.checked_neg()?)?;
            }
            Int::Mul(a, b) => match (a.as_const(), b.as_const()) {
                (Some(by), _) => self.add(b, factor.checked_mul(by)?)?,
                (_, Some(by)) => self.add(a, factor.checked_mul(by)?)?,
                _ => self.add_term(expression, factor)?,
            },
            _ => self.add_term(expression, factor)?,
        }
        Some(())
    }

    fn add_term(&mut self, term: &'a Int, factor: i64) -> Option<()> {
        match self.terms.iter_mut().find(|(known, _)| *known == term) {
            Some((_, sum)) => *sum = sum.checked_add(factor)?,
            None => self.terms.push((term, factor)),
        }
        Some(())
    }
}

/// `a - b` where it does not depend on anything unknown.
pub fn difference(a: &Int, b: &Int) -> Option<i64> {
    let mut sum = Affine::default();
    sum.add(a, 1)?;
    sum.add(b, -1)?;
    sum.terms.iter().all(|(_, factor)| *factor == 0).then_some(sum.constant)
}

/// `n` rounded up to the padding of buffers.
pub fn padded(n: i64) -> i64 {
    n.max(1).saturating_add(15) / 16 * 16
}

/// What an integer that is not negative does not exceed, where that is plain.
fn most(int: &Int) -> Option<i64> {
    match int {
        Int::Rem(_, by) => by.as_const().map(|by| by - 1),
        _ => int.as_const(),
    }
}

/// Whether the padded `len` elements from `a` and from `b` are known to be different elements.
pub fn apart(a: &Ref, b: &Ref, len: &Int) -> bool {
    if a.buffer != b.buffer {
        return true;
    }
    match (difference(&a.offset, &b.offset), most(len)) {
        (Some(distance), Some(len)) => distance.unsigned_abs() >= padded(len).unsigned_abs(),
        _ => false,
    }
}
