//! `exp`, `expm1` and what is made of them: `sinh`, `cosh`, `tanh`, `sigmoid`.
//!
//! x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial in r, and a scaling by 2^n in two factors, so that overflow and
//! gradual underflow come out right without a branch.

use super::block::Unary;
use super::real::{Real, max, min, poly};

pub struct Exp;
pub struct Expm1;
pub struct Sinh;
pub struct Cosh;
pub struct Tanh;
pub struct Sigmoid;

/// r and n + `MAGIC` with x = n ln 2 + r.
#[inline(always)]
fn reduce<T: Real, const F: bool>(x: T) -> (T, T) {
    let shifted = x.fma::<F>(T::LOG2_E, T::MAGIC);
    let n = shifted - T::MAGIC;
    let r = n.fma::<F>(-T::LN2.0, x);
    (n.fma::<F>(-T::LN2.1, r), shifted)
}

/// e^r 2^n by factors: the first two multiplied never overflow or lose bits.
#[inline(always)]
fn exp_factors<T: Real, const F: bool>(x: T) -> (T, T) {
    let x = max(min(x, T::EXP_RANGE.1), T::EXP_RANGE.0);
    let (r, shifted) = reduce::<T, F>(x);
    let q = poly::<T, F>(r, T::EXP);
    let p = (r * r).fma::<F>(q, r) + T::ONE;
    let (first, second, _) = T::scales(shifted);
    (p * first, second)
}

#[inline(always)]
pub fn exp<T: Real, const F: bool>(x: T) -> T {
    let (value, scale) = exp_factors::<T, F>(x);
    value * scale
}

/// e^x - 1 as a product of two numbers.
#[inline(always)]
fn expm1_factors<T: Real, const F: bool>(x: T) -> (T, T) {
    let x = max(min(x, T::EXP_RANGE.1), T::EXPM1_LOW);
    let (r, shifted) = reduce::<T, F>(x);
    let q = poly::<T, F>(r, T::EXPM1);
    let p = (r * r).fma::<F>(q, r);
    let (first, second, inverse) = T::scales(shifted);
    (first.fma::<F>(p, first - inverse), second)
}

#[inline(always)]
pub fn expm1<T: Real, const F: bool>(x: T) -> T {
    let (value, scale) = expm1_factors::<T, F>(x);
    (value * scale).copysign(x)
}

impl<T: Real> Unary<T> for Exp {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        exp::<T, F>(x)
    }
}

impl<T: Real> Unary<T> for Expm1 {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        expm1::<T, F>(x)
    }
}

/// With e = e^|x| - 1: (e + e / (e + 1)) / 2, halved early so that it overflows no sooner than it must.
impl<T: Real> Unary<T> for Sinh {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        let a = x.abs();
        let (value, scale) = expm1_factors::<T, F>(a);
        let half = value * (scale * T::HALF);
        let whole = value.fma::<F>(scale, T::ONE);
        let sinh = half + if whole < T::INFINITY { half / whole } else { T::ZERO };
        let sinh = if a < T::SINH_TINY { a } else { sinh };
        sinh.copysign(x)
    }
}

/// With h = e^|x| / 2: h + 1 / (4 h).
impl<T: Real> Unary<T> for Cosh {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        let (value, scale) = exp_factors::<T, F>(x.abs());
        let half = value * (scale * T::HALF);
        half + (T::HALF * T::HALF) / half
    }
}

/// With e = e^(2 |x|) - 1: e / (e + 2).
impl<T: Real> Unary<T> for Tanh {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        let a = min(x.abs(), T::TANH_ONE);
        let (value, scale) = expm1_factors::<T, F>(a + a);
        let e = value * scale;
        (e / (e + T::TWO)).copysign(x)
    }
}

/// With e = e^-|x|: 1 / (1 + e), or e / (1 + e) where x < 0.
impl<T: Real> Unary<T> for Sigmoid {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        let e = exp::<T, F>(-x.abs());
        (if x < T::ZERO { e } else { T::ONE }) / (T::ONE + e)
    }
}
