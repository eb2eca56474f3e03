//! `asin`, `acos`, `atan` and `atan2`.

use super::block::{Binary, Unary};
use super::real::{Real, poly};

pub struct Asin;
pub struct Acos;
pub struct Atan;
pub struct Atan2;

/// a and asin(a) - a, where a is |x| up to 1/2 and sqrt((1 - |x|) / 2) beyond it (`far`).
#[inline(always)]
fn arc<T: Real, const F: bool>(x: T) -> (T, T, bool) {
    let a = x.abs();
    let far = a > T::HALF;
    let z = if far { (T::ONE - a) * T::HALF } else { a * a };
    let base = if far { z.sqrt() } else { a };
    (base, (base * z) * poly::<T, F>(z, T::ASIN), far)
}

/// Up to 1/2: a + tail. Beyond: pi / 2 - 2 asin(root).
impl<T: Real> Unary<T> for Asin {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        let (base, tail, far) = arc::<T, F>(x);
        let (half_pi, half_pi_low, _) = T::HALF_PI;
        let twice = base + base;
        let first = half_pi - twice;
        let error = (half_pi - first) - twice;
        let beyond = first + (error + (half_pi_low - T::TWO * tail));
        let value = if far { beyond } else { base + tail };
        if x.abs() <= T::ONE { value.copysign(x) } else { T::NAN }
    }
}

/// Up to 1/2: pi / 2 - asin x. Beyond: 2 asin(root), taken from pi where x < 0.
impl<T: Real> Unary<T> for Acos {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        let (base, tail, far) = arc::<T, F>(x);
        let negative = x < T::ZERO;
        let (half_pi, half_pi_low, _) = T::HALF_PI;
        let signed = base.copysign(x);
        let first = half_pi - signed;
        let error = (half_pi - first) - signed;
        let near = first + (error + (half_pi_low - tail.copysign(x)));
        let small = T::TWO * (base + tail);
        let twice = base + base;
        let large = T::PI.0 - twice;
        let large_error = (T::PI.0 - large) - twice;
        let large = large + (large_error + (T::PI.1 - T::TWO * tail));
        let beyond = if negative { large } else { small };
        let value = if far { beyond } else { near };
        if x.abs() <= T::ONE { value } else { T::NAN }
    }
}

/// atan(y / x) for y, x >= 0 by the ranges below tan(pi / 8), between, and above tan(3 pi / 8).
#[inline(always)]
fn quotient<T: Real, const F: bool>(y: T, x: T) -> (T, T, T) {
    let low = y <= x * T::TAN_PI_8;
    let high = y > x * T::TAN_3_PI_8;
    let numerator = if low { y } else { y - x };
    let numerator = if high { -x } else { numerator };
    let denominator = if low { x } else { y + x };
    let denominator = if high { y } else { denominator };
    let denominator = if denominator == T::ZERO { T::ONE } else { denominator };
    let t = numerator / denominator;
    let z = t * t;
    let (quarter, quarter_low) = T::QUARTER_PI;
    let base = if low { T::ZERO } else { quarter };
    let base_low = if low { T::ZERO } else { quarter_low };
    let base = if high { T::HALF_PI.0 } else { base };
    let base_low = if high { T::HALF_PI.1 } else { base_low };
    (base, t, (t * z).fma::<F>(poly::<T, F>(z, T::ATAN), base_low))
}

impl<T: Real> Unary<T> for Atan {
    #[inline(always)]
    fn eval<const F: bool>(x: T) -> T {
        let (base, t, tail) = quotient::<T, F>(x.abs(), T::ONE);
        (base + (t + tail)).copysign(x)
    }
}

/// The angle of the point (x, y): first argument y.
impl<T: Real> Binary<T> for Atan2 {
    #[inline(always)]
    fn eval<const F: bool>(y: T, x: T) -> T {
        let (ay, ax) = (y.abs(), x.abs());
        let large = ay > T::SHRINK.0 || ax > T::SHRINK.0;
        let factor = if large { T::SHRINK.1 } else { T::ONE };
        let (sy, sx) = (ay * factor, ax * factor);
        let both_infinite = sy == T::INFINITY && sx == T::INFINITY;
        let sy = if both_infinite { T::ONE } else { sy };
        let sx = if both_infinite { T::ONE } else { sx };
        let (base, t, tail) = quotient::<T, F>(sy, sx);
        let right = base + (t + tail);
        let turned = T::PI.0 - base;
        let left = turned + ((((T::PI.0 - turned) - base) - t) + (T::PI.1 - tail));
        let negative = T::ONE.copysign(x) < T::ZERO;
        (if negative { left } else { right }).copysign(y)
    }
}
