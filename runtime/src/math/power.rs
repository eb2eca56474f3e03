//! `pow`: in f64 by a logarithm of 2 x 53 bits, in f32 through f64.

use super::block::Binary;
use super::exponential::exp;
use super::real::{Real, poly, quick_sum, two_sum};

pub struct Pow;

/// (2 atanh s - 2 s - 2/3 s^3) / s^5 in s^2; 2^-65.9 of the logarithm.
const LOG_TAIL: [f64; 7] = [
    0.4000000000000141,
    0.28571428570436563,
    0.2222222246809742,
    0.1818178835774354,
    0.1538659310146835,
    0.13260272995661734,
    0.13167100213878702,
];
/// (2 atanh s - 2 s) / s^3 in s^2; 2^-44.9.
const LOG_SHORT: [f64; 5] =
    [0.6666666667537272, 0.3999999572401958, 0.2857210123196018, 0.2217643236317019, 0.19581627308646338];
/// (e^r - 1) / r; 2^-28.9 of e^r.
const EXP_SHORT: [f64; 6] = [
    1.0000000375308769,
    0.5000000138490219,
    0.16666414736198465,
    0.0416661161912562,
    0.008375246564173787,
    0.0013954969199577979,
];
const TWO_THIRDS: (f64, f64) = (0.6666666666666666, 3.700743415417188e-17);
/// ln 2 to 106 bits; an integer below 2^11 times the first part is exact.
const LN2: (f64, f64, f64) = (0.6931471805598903, 5.497923018708371e-14, 1.94704509238075e-31);

/// log x of a normal x as a sum of two numbers, to about 2^-65 of its value.
#[inline(always)]
fn log_wide<const F: bool>(x: f64, lifted_by: f64) -> (f64, f64) {
    let (m, k, _) = f64::split(x);
    let k = k - lifted_by;
    let f = m - 1.0;
    let (d, d_low) = quick_sum(2.0, f);
    let s = f / d;
    let (back, back_low) = f64::product::<F>(s, d);
    let s_low = (((f - back) - back_low) - s * d_low) / d;
    // z = s^2
    let (z, z_error) = f64::product::<F>(s, s);
    let z_low = z_error + 2.0 * s * s_low;
    // inner = z (2/3 + z tail)
    let tail = z * poly::<f64, F>(z, &LOG_TAIL);
    let (c, c_low) = quick_sum(TWO_THIRDS.0, tail);
    let c_low = c_low + TWO_THIRDS.1;
    let (inner, inner_error) = f64::product::<F>(z, c);
    let inner_low = inner_error + (z * c_low + z_low * c);
    // log m = 2 s + s inner
    let (third, third_error) = f64::product::<F>(s, inner);
    let third_low = third_error + (s * inner_low + s_low * inner);
    let (high, low) = quick_sum(2.0 * s, third);
    let low = low + (2.0 * s_low + third_low);
    // k ln 2 + log m
    let (middle, middle_error) = f64::product::<F>(k, LN2.1);
    let (a, a_low) = two_sum(k * LN2.0, high);
    let (b, b_low) = two_sum(a, middle);
    let rest = a_low + b_low + (low + middle_error) + k * LN2.2;
    quick_sum(b, rest)
}

/// |x|^y without the special cases of sign.
#[inline(always)]
fn magnitude<const F: bool>(a: f64, y: f64) -> f64 {
    let (lifted, by) = f64::lift(a);
    let (high, low) = log_wide::<F>(lifted, by);
    let high = if a == 0.0 { -f64::INFINITY } else { high };
    let high = if a == f64::INFINITY { f64::INFINITY } else { high };
    // No x but 1 has a logarithm so small that an exponent beyond this bound matters.
    let y = if y > 1e25 { 1e25 } else { y };
    let y = if y < -1e25 { -1e25 } else { y };
    let (p, error) = f64::product::<F>(y, high);
    let error = error + y * low;
    let near = p.abs() < 1000.0;
    let error = if near { error } else { 0.0 };
    // e^(p + error) = e^p (1 + error): |error| is below 2^-43.
    let power = exp::<f64, F>(p);
    let value = if power < f64::INFINITY { power.fma::<F>(error, power) } else { power };
    if a == 1.0 { 1.0 } else { value }
}

/// Whether y is an integer, and an odd one.
#[inline(always)]
fn parity(y: f64) -> (bool, bool) {
    const BIG: f64 = 4_503_599_627_370_496.0;
    let a = y.abs();
    let moved = a + BIG;
    let integer = a >= BIG || moved - BIG == a;
    let bits = if a >= BIG { a } else { moved }.to_bits();
    (integer, integer && a < 2.0 * BIG && bits & 1 != 0)
}

/// Signs, zeros, infinities and NaN, as IEEE 754 says of `pow`.
#[inline(always)]
fn finish(x: f64, y: f64, value: f64) -> f64 {
    let (integer, odd) = parity(y);
    let negative = 1f64.copysign(x) < 0.0;
    let value = if x < 0.0 && !integer && x > -f64::INFINITY { f64::NAN } else { value };
    let value = if negative && odd { -value } else { value };
    let value = if x.is_nan() || y.is_nan() { f64::NAN } else { value };
    if y == 0.0 || x == 1.0 { 1.0 } else { value }
}

impl Binary<f64> for Pow {
    #[inline(always)]
    fn eval<const F: bool>(x: f64, y: f64) -> f64 {
        finish(x, y, magnitude::<F>(Real::abs(x), y))
    }
}

impl Binary<f32> for Pow {
    #[inline(always)]
    fn eval<const F: bool>(x: f32, y: f32) -> f32 {
        let (x, y) = (f64::from(x), f64::from(y));
        let a = Real::abs(x);
        let (m, k, _) = f64::split(a);
        let f = m - 1.0;
        let s = f / (2.0 + f);
        let z = s * s;
        let log = (s * z).fma::<F>(poly::<f64, F>(z, &LOG_SHORT), 2.0 * s);
        let log = k.fma::<F>(std::f64::consts::LN_2, log);
        let log = if a == 0.0 { -f64::INFINITY } else { log };
        let log = if a == f64::INFINITY { f64::INFINITY } else { log };
        let p = y * log;
        let p = if p > 150.0 { 150.0 } else { p };
        let p = if p < -150.0 { -150.0 } else { p };
        let shifted = p.fma::<F>(f64::LOG2_E, f64::MAGIC);
        let n = shifted - f64::MAGIC;
        let r = n.fma::<F>(-std::f64::consts::LN_2, p);
        let (first, second, _) = f64::scales(shifted);
        let value = r.fma::<F>(poly::<f64, F>(r, &EXP_SHORT), 1.0) * first * second;
        let value = if a == 1.0 { 1.0 } else { value };
        finish(x, y, value) as f32
    }
}
