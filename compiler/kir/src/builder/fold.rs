//! Identities that hold to the bit for every operand, and arithmetic on constants whose result is exact to define.
//!
//! Arithmetic takes denormals as zero, so `x * 1` is `x` only where `x` is itself a result of arithmetic. Constants are
//! folded where operands and result are normal or zero; everything else is left to the machine.

use super::{BodyBuilder, is_arithmetic};
use crate::ir::{Binary, Inst, Precision, Unary, Val};

/// What became of an instruction.
pub(super) enum Folded {
    Known(Val),
    Inst(Inst),
}

/// The nearest value of the precision.
pub(super) fn round(precision: Precision, value: f64) -> f64 {
    match precision {
        Precision::F32 => f64::from(value as f32),
        Precision::F64 => value,
    }
}

pub(super) fn fold(body: &mut BodyBuilder, inst: Inst) -> Folded {
    let known = match &inst {
        Inst::Unary { op, a } => return fold_unary(body, *op, *a),
        Inst::Binary { op, a, b } => return fold_binary(body, *op, *a, *b),
        Inst::Fma { a, b, c } => return fold_fma(body, *a, *b, *c),
        Inst::Not { a } => match body.inst(*a) {
            Some(Inst::Not { a }) => Some(*a),
            _ => None,
        },
        Inst::And { a, b } | Inst::Or { a, b } | Inst::Select { a, b, .. } if a == b => Some(*a),
        _ => None,
    };
    known.map_or(Folded::Inst(inst), Folded::Known)
}

fn fold_unary(body: &mut BodyBuilder, op: Unary, a: Val) -> Folded {
    match (op, body.inst(a)) {
        (Unary::Neg, Some(Inst::Unary { op: Unary::Neg, a })) => return Folded::Known(*a),
        (Unary::Abs, Some(Inst::Unary { op: Unary::Abs, .. })) => return Folded::Known(a),
        (Unary::Abs, Some(Inst::Unary { op: Unary::Neg, a })) => return fold_unary(body, Unary::Abs, *a),
        _ => {}
    }
    let Some(value) = constant(body, a) else { return Folded::Inst(Inst::Unary { op, a }) };
    let result = match op {
        Unary::Neg => -value,
        Unary::Abs => value.abs(),
        Unary::Sqrt => round(body.precision, value.sqrt()),
        Unary::Floor => value.floor(),
        Unary::Ceil => value.ceil(),
        Unary::Trunc => value.trunc(),
        Unary::Round => value.round_ties_even(),
    };
    if plain(body.precision, result) { Folded::Inst(Inst::Const(result)) } else { Folded::Inst(Inst::Unary { op, a }) }
}

fn fold_binary(body: &mut BodyBuilder, op: Binary, a: Val, b: Val) -> Folded {
    let same = Inst::Binary { op, a, b };
    let (left, right) = (constant(body, a), constant(body, b));
    if let (Some(x), Some(y)) = (left, right) {
        let result = arithmetic(body.precision, op, x, y);
        let inst = if plain(body.precision, result) { Inst::Const(result) } else { same };
        return Folded::Inst(inst);
    }
    let keeps = |value: Val| body.inst(value).is_some_and(is_arithmetic);
    match (op, left, right) {
        (Binary::Min | Binary::Max, ..) if a == b => Folded::Known(a),
        (Binary::Add, _, Some(y)) if y == 0.0 && y.is_sign_negative() && keeps(a) => Folded::Known(a),
        (Binary::Add, Some(x), _) if x == 0.0 && x.is_sign_negative() && keeps(b) => Folded::Known(b),
        (Binary::Sub, _, Some(y)) if y == 0.0 && y.is_sign_positive() && keeps(a) => Folded::Known(a),
        (Binary::Mul | Binary::Div, _, Some(1.0)) if keeps(a) => Folded::Known(a),
        (Binary::Mul, Some(1.0), _) if keeps(b) => Folded::Known(b),
        (Binary::Div, _, Some(y)) => match exact_reciprocal(body.precision, y) {
            Some(by) => {
                let b = body.constant(by);
                Folded::Inst(Inst::Binary { op: Binary::Mul, a, b })
            }
            None => Folded::Inst(same),
        },
        _ => Folded::Inst(same),
    }
}

fn fold_fma(body: &mut BodyBuilder, a: Val, b: Val, c: Val) -> Folded {
    let (left, right, addend) = (constant(body, a), constant(body, b), constant(body, c));
    match (left, right, addend) {
        (Some(1.0), ..) => fold_binary(body, Binary::Add, b, c),
        (_, Some(1.0), _) => fold_binary(body, Binary::Add, a, c),
        (.., Some(z)) if z == 0.0 && z.is_sign_negative() => fold_binary(body, Binary::Mul, a, b),
        _ => Folded::Inst(Inst::Fma { a, b, c }),
    }
}

/// A normal or zero constant.
fn constant(body: &BodyBuilder, value: Val) -> Option<f64> {
    match body.inst(value) {
        Some(Inst::Const(value)) if plain(body.precision, *value) => Some(*value),
        _ => None,
    }
}

/// Zero, or normal and not the least normal: that one may be rounded from a result that the machine takes as zero.
fn plain(precision: Precision, value: f64) -> bool {
    let least = match precision {
        Precision::F32 => f64::from(f32::MIN_POSITIVE),
        Precision::F64 => f64::MIN_POSITIVE,
    };
    value == 0.0 || (value.is_finite() && value.abs() > least)
}

/// One operation in the kernel's precision: double precision holds more than twice the digits of single, so rounding its
/// result once more gives the same as rounding once.
fn arithmetic(precision: Precision, op: Binary, x: f64, y: f64) -> f64 {
    let result = match op {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Min => {
            if x < y {
                x
            } else {
                y
            }
        }
        Binary::Max => {
            if x > y {
                x
            } else {
                y
            }
        }
    };
    round(precision, result)
}

/// `1 / y` where `y` is a power of two and both are normal: then `x / y` is `x * (1 / y)`.
fn exact_reciprocal(precision: Precision, y: f64) -> Option<f64> {
    let reciprocal = 1.0 / y;
    let mantissa = y.to_bits() & ((1 << 52) - 1);
    (y != 0.0 && mantissa == 0 && plain(precision, y) && plain(precision, reciprocal)).then_some(reciprocal)
}
