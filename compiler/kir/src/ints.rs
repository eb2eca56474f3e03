//! Conveniences for integer expressions: operators that fold constants, and visits of what an expression reads.

use crate::ir::{BufId, Int, LoopId, Ref, SlotId};
use std::ops::{Add, Mul, Sub};

impl From<i64> for Int {
    fn from(value: i64) -> Int {
        Int::Const(value)
    }
}

impl From<SlotId> for Int {
    fn from(slot: SlotId) -> Int {
        Int::Slot(slot)
    }
}

impl From<LoopId> for Int {
    fn from(index: LoopId) -> Int {
        Int::Loop(index)
    }
}

impl Int {
    /// The value, where it is written down.
    pub fn as_const(&self) -> Option<i64> {
        if let Int::Const(value) = self { Some(*value) } else { None }
    }

    /// Quotient of a non-negative number by a positive one.
    pub fn quotient(self, by: impl Into<Int>) -> Int {
        match (self, by.into()) {
            (Int::Const(a), Int::Const(b)) if a >= 0 && b > 0 => Int::Const(a / b),
            (a, Int::Const(1)) => a,
            (a, b) => Int::Div(Box::new(a), Box::new(b)),
        }
    }

    /// Remainder of a non-negative number by a positive one.
    pub fn remainder(self, by: impl Into<Int>) -> Int {
        match (self, by.into()) {
            (Int::Const(a), Int::Const(b)) if a >= 0 && b > 0 => Int::Const(a % b),
            (_, Int::Const(1)) => Int::Const(0),
            (a, b) => Int::Rem(Box::new(a), Box::new(b)),
        }
    }

    /// The two operands of an arithmetic operation.
    pub fn operands(&self) -> Option<(&Int, &Int)> {
        match self {
            Int::Add(a, b) | Int::Sub(a, b) | Int::Mul(a, b) | Int::Div(a, b) | Int::Rem(a, b) => Some((a, b)),
            Int::Const(_) | Int::Slot(_) | Int::Loop(_) | Int::Load(_) => None,
        }
    }
}

impl<T: Into<Int>> Add<T> for Int {
    type Output = Int;
    fn add(self, other: T) -> Int {
        match (self, other.into()) {
            (Int::Const(a), Int::Const(b)) => Int::Const(a.wrapping_add(b)),
            (a, Int::Const(0)) => a,
            (Int::Const(0), b) => b,
            (a, b) => Int::Add(Box::new(a), Box::new(b)),
        }
    }
}

impl<T: Into<Int>> Sub<T> for Int {
    type Output = Int;
    fn sub(self, other: T) -> Int {
        match (self, other.into()) {
            (Int::Const(a), Int::Const(b)) => Int::Const(a.wrapping_sub(b)),
            (a, Int::Const(0)) => a,
            (a, b) => Int::Sub(Box::new(a), Box::new(b)),
        }
    }
}

impl<T: Into<Int>> Mul<T> for Int {
    type Output = Int;
    fn mul(self, other: T) -> Int {
        match (self, other.into()) {
            (Int::Const(a), Int::Const(b)) => Int::Const(a.wrapping_mul(b)),
            (_, Int::Const(0)) | (Int::Const(0), _) => Int::Const(0),
            (a, Int::Const(1)) => a,
            (Int::Const(1), b) => b,
            (a, b) => Int::Mul(Box::new(a), Box::new(b)),
        }
    }
}

impl Ref {
    /// Element `offset` of `buffer`.
    pub fn new(buffer: BufId, offset: impl Into<Int>) -> Ref {
        Ref { buffer, offset: offset.into() }
    }
}
