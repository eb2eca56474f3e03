//! `sin`, `cos` and `tan`, with a range reduction that is right for every finite argument.
//!
//! x = q pi / 2 + r with |r| <= pi / 4, r as a sum of two numbers. Up to [`Real::TRIG_LIMIT`] pi / 2 is subtracted in
//! three parts; beyond it x is multiplied by as many bits of 2 / pi as matter (Payne and Hanek).

use super::block::Unary;
use super::real::{Real, poly, two_sum};

pub struct Sin;
pub struct Cos;
pub struct Tan;

/// An argument reduced: x = quadrant pi / 2 + high + low.
#[derive(Clone, Copy)]
struct Reduced<T> {
    quadrant: u32,
    high: T,
    low: T,
}

/// The first difference is exact, since it is a multiple of the last bit of pi / 2 and below 1.
#[inline(always)]
fn reduce<T: Real, const F: bool>(x: T) -> Reduced<T> {
    let shifted = x.fma::<F>(T::TWO_OVER_PI, T::MAGIC);
    let n = shifted - T::MAGIC;
    let first = T::minus_product::<F>(x, n, T::HALF_PI.0);
    let (second, second_low) = T::product::<F>(n, T::HALF_PI.1);
    let (high, low) = two_sum(first, -second);
    Reduced { quadrant: T::quadrant(shifted), high, low: n.fma::<F>(-T::HALF_PI.2, low - second_low) }
}

#[inline(always)]
fn sine<T: Real, const F: bool>(r: Reduced<T>) -> T {
    let z = r.high * r.high;
    let tail = z.fma::<F>(-T::HALF * r.low, r.low);
    r.high + (r.high * z).fma::<F>(poly::<T, F>(z, T::SIN), tail)
}

#[inline(always)]
fn cosine<T: Real, const F: bool>(r: Reduced<T>) -> T {
    let z = r.high * r.high;
    let half = T::HALF * z;
    let w = T::ONE - half;
    let tail = (z * z).fma::<F>(poly::<T, F>(z, T::COS), -(r.high * r.low));
    w + (((T::ONE - w) - half) + tail)
}

/// (sin x, cos x) of a reduced argument.
#[inline(always)]
fn both<T: Real, const F: bool>(r: Reduced<T>) -> (T, T) {
    let (s, c) = (sine::<T, F>(r), cosine::<T, F>(r));
    let swap = r.quadrant & 1 != 0;
    let (sin, cos) = (if swap { c } else { s }, if swap { s } else { c });
    let sin = if r.quadrant & 2 != 0 { -sin } else { sin };
    (sin, if (r.quadrant + 1) & 2 != 0 { -cos } else { cos })
}

/// (sin, cos) of 2 pi u for u in [0, 1].
#[inline(always)]
pub fn turn<T: Real, const F: bool>(u: T) -> (T, T) {
    let shifted = (u * (T::TWO + T::TWO)) + T::MAGIC;
    let r = (shifted - T::MAGIC).fma::<F>(-(T::HALF * T::HALF), u);
    let high = r * (T::PI.0 + T::PI.0);
    both::<T, F>(Reduced { quadrant: T::quadrant(shifted), high, low: T::ZERO })
}

#[inline(always)]
fn sin_of<T: Real, const F: bool>(x: T, r: Reduced<T>) -> T {
    both::<T, F>(r).0 * T::ONE.copysign(x)
}

#[inline(always)]
fn cos_of<T: Real, const F: bool>(_: T, r: Reduced<T>) -> T {
    both::<T, F>(r).1
}

#[inline(always)]
fn tan_of<T: Real, const F: bool>(x: T, r: Reduced<T>) -> T {
    let (s, c) = (sine::<T, F>(r), cosine::<T, F>(r));
    let swap = r.quadrant & 1 != 0;
    let (numerator, denominator) = (if swap { -c } else { s }, if swap { s } else { c });
    numerator / denominator * T::ONE.copysign(x)
}

macro_rules! circular {
    ($name:ident, $of:expr) => {
        impl<T: Real> Unary<T> for $name {
            const CHECKED: bool = true;
            #[inline(always)]
            fn eval<const F: bool>(x: T) -> T {
                $of(x, reduce::<T, F>(x.abs()))
            }
            #[inline(always)]
            fn rare(x: T) -> bool {
                x.abs() > T::TRIG_LIMIT && x.abs() < T::INFINITY
            }
            fn eval_rare<const F: bool>(x: T) -> T {
                $of(x, reduce_huge::<T>(x.abs()))
            }
        }
    };
}
circular!(Sin, sin_of::<T, F>);
circular!(Cos, cos_of::<T, F>);
circular!(Tan, tan_of::<T, F>);

/// The bits of 2 / pi after the point.
const TWO_OVER_PI: [u64; 20] = [
    0xA2F9836E4E441529,
    0xFC2757D1F534DDC0,
    0xDB6295993C439041,
    0xFE5163ABDEBBC561,
    0xB7246E3A424DD2E0,
    0x06492EEA09D1921C,
    0xFE1DEB1CB129A73E,
    0xE88235F52EBB4484,
    0xE99C7026B45F7E41,
    0x3991D639835339F4,
    0x9C845F8BBDF9283B,
    0x1FF897FFDE05980F,
    0xEF2F118B5A0A6D1F,
    0x6D367ECF27CB09B7,
    0x4F463F669E5FEA2D,
    0x7527BAC7EBE5F17B,
    0x3D0739F78A5292EA,
    0x6BFB5FB11F8D5D08,
    0x56033046FC7B6BAB,
    0xF0CFBC209AF4361D,
];

/// 64 bits of 2 / pi from bit `start` after the point; bits before the point are 0.
fn two_over_pi_bits(start: i32) -> u64 {
    let word = |i: i32| usize::try_from(i).ok().and_then(|i| TWO_OVER_PI.get(i)).copied().unwrap_or(0);
    let (at, shift) = (start.div_euclid(64), start.rem_euclid(64) as u32);
    if shift == 0 { word(at) } else { word(at) << shift | word(at + 1) >> (64 - shift) }
}

/// The reduction of a finite x > 2^17: with x = m 2^e, the fraction of m 2^e (2 / pi) to 128 bits, of which the terms
/// that are multiples of 4 are never formed.
fn reduce_huge<T: Real>(x: T) -> Reduced<T> {
    let bits = x.to_f64().to_bits();
    let mantissa = (bits & ((1 << 52) - 1)) | 1 << 52;
    let exponent = (bits >> 52) as i32 - 1075;
    // m times 192 bits of 2 / pi that begin two bits before the point of the product 2^e (2 / pi).
    let start = exponent - 2;
    let part = |i: i32| u128::from(two_over_pi_bits(start + 64 * i)) * u128::from(mantissa);
    let low = part(2) >> 64;
    let middle = part(1) + low;
    let product = (part(0) << 64).wrapping_add(middle);
    // Now the point stands after the two highest bits; rounding to the nearest integer gives the quadrant.
    let rounded = product.wrapping_add(1 << 125);
    let quadrant = (rounded >> 126) as u32;
    let fraction = (product << 2) as i128;
    let (negative, magnitude) = (fraction < 0, fraction.unsigned_abs());
    let shift = magnitude.leading_zeros();
    let aligned = magnitude << (shift % 128);
    let scale = f64::from_bits(u64::from(1023 - 53 - shift) << 52);
    let high = (aligned >> 75) as f64 * scale;
    let low = (aligned << 53 >> 75) as f64 * (scale * f64::from_bits((1023 - 53) << 52));
    let (high, low) = angle(high, low);
    let (high, low) = if negative { (-high, -low) } else { (high, low) };
    let rounded = T::from_f64(high);
    Reduced { quadrant, high: rounded, low: T::from_f64((high - rounded.to_f64()) + low) }
}

/// (high + low) pi / 2.
fn angle(high: f64, low: f64) -> (f64, f64) {
    let (c, c_low, _) = f64::HALF_PI;
    let (product, error) = f64::product::<false>(high, c);
    super::real::quick_sum(product, error + (high * c_low + low * c))
}
