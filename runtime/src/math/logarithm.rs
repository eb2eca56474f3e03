//! `log`, `log1p` and `softplus`.
//!
//! x = m 2^k with m in [sqrt 1/2, sqrt 2), and log m = 2 atanh(s) with s = (m - 1) / (m + 1), |s| < 0.172.

use super::block::Unary;
use super::exponential::exp;
use super::real::{Real, poly, two_sum};

pub struct Log;
pub struct Log1p;
pub struct Softplus;

/// log(1 + f) + k ln 2 for f in [sqrt 1/2 - 1, sqrt 2 - 1).
#[inline(always)]
fn reduced<T: Real, const F: bool>(f: T, k: T) -> T {
    let s = f / (T::TWO + f);
    let z = s * s;
    let rest = z * poly::<T, F>(z, T::LOG);
    let half_square = T::HALF * f * f;
    let low = s.fma::<F>(half_square + rest, k * T::LN2.1);
    k.fma::<F>(T::LN2.0, f - (half_square - low))
}

/// log x of a normal, finite, positive x.
#[inline(always)]
pub fn log_normal<T: Real, const F: bool>(x: T) -> T {
    let (m, k, _) = T::split(x);
    reduced::<T, F>(m - T::ONE, k)
}

impl<T: Real> Unary<T> for Log {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        let (lifted, by) = T::lift(x);
        let (m, k, _) = T::split(lifted);
        let value = reduced::<T, F>(m - T::ONE, k - by);
        let special = if x == T::ZERO { -T::INFINITY } else { x };
        let special = if x < T::ZERO { T::NAN } else { special };
        if x > T::ZERO && x < T::INFINITY { value } else { special }
    }
}

/// 1 + x = m 2^k - c exactly; c goes into the reduced argument.
#[inline(always)]
fn log1p<T: Real, const F: bool>(x: T) -> T {
    let (u, c) = two_sum(T::ONE, x);
    let (m, k, scale) = T::split(u);
    let correction = if x < T::SHRINK.0 { c * scale } else { T::ZERO };
    reduced::<T, F>((m - T::ONE) + correction, k).copysign(x)
}

impl<T: Real> Unary<T> for Log1p {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        let value = log1p::<T, F>(x);
        let special = if x == -T::ONE { -T::INFINITY } else { x };
        let special = if x < -T::ONE { T::NAN } else { special };
        if x > -T::ONE && x < T::INFINITY { value } else { special }
    }
}

/// max(x, 0) + log1p(e^-|x|).
impl<T: Real> Unary<T> for Softplus {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        let e = exp::<T, F>(-x.abs());
        let positive = if x > T::ZERO { x } else { T::ZERO };
        let value = positive + log1p::<T, F>(e);
        if x.abs() >= T::ZERO { value } else { x }
    }
}
