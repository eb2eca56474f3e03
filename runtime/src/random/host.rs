//! Distributions that are drawn outside of kernels, one number at a time.
//!
//! Those that reject draw from generators of their own, one for each attempt, so that each is a pure function of (key,
//! step, index) and its parameters.

use super::fill::unit_f64;
use super::{bits, normal_f64, philox, uniform_f64};
use crate::math;

/// A bijection of 64-bit numbers that scatters them (the finaliser of SplitMix64).
pub fn scatter(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A key for the `number`th further use of a key.
pub fn derived(key: u64, number: u64) -> u64 {
    scatter(key ^ scatter(number.wrapping_add(0x9E37_79B9_7F4A_7C15)))
}

/// Two uniform numbers in [0, 1) of an attempt.
pub fn attempt(key: u64, step: u64, index: u64, number: u64) -> (f64, f64) {
    let [a, b, c, d] = philox::block(derived(key, number), step, index);
    (unit_f64(a, b), unit_f64(c, d))
}

/// An integer in [lo, hi), each equally likely to within 2^-64; `lo` where there is none.
pub fn integers(lo: i64, hi: i64, key: u64, step: u64, index: u64) -> i64 {
    let span = hi.wrapping_sub(lo) as u64;
    if hi <= lo {
        return lo;
    }
    lo.wrapping_add(below(span, bits(key, step, index)) as i64)
}

/// A random number of 64 bits scaled to 0 .. n.
pub fn below(n: u64, random: u64) -> u64 {
    ((u128::from(random) * u128::from(n)) >> 64) as u64
}

/// A permutation of 0 .. n (Fisher and Yates): place i, from the last to the second, takes one of the places 0 ..= i by
/// draw i of step `epoch`.
pub fn permutation(key: u64, epoch: u64, n: u32) -> Vec<u32> {
    let mut draws = vec![0; n as usize];
    super::fill_bits(&mut draws, key, epoch, 0);
    let mut order: Vec<u32> = (0..n).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, below(i as u64 + 1, draws[i]) as usize);
    }
    order
}

/// Exponential with mean 1.
pub fn exponential(key: u64, step: u64, index: u64) -> f64 {
    -math::log1p(-uniform_f64(key, step, index))
}

/// Gamma with this shape and scale 1 (Marsaglia and Tsang, 2000); NaN for a shape that is not positive.
pub fn gamma(shape: f64, key: u64, step: u64, index: u64) -> f64 {
    if shape.is_nan() || shape <= 0.0 {
        return f64::NAN;
    }
    if shape < 1.0 {
        let u = 1.0 - uniform_f64(derived(key, u64::MAX), step, index);
        return gamma(shape + 1.0, key, step, index) * math::pow(u, 1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    for number in 0..10_000 {
        let x = normal_f64(derived(key, 2 * number), step, index);
        let u = 1.0 - uniform_f64(derived(key, 2 * number + 1), step, index);
        let v = (1.0 + c * x) * (1.0 + c * x) * (1.0 + c * x);
        if v > 0.0 && math::log(u) < 0.5 * x * x + d - d * v + d * math::log(v) {
            return d * v;
        }
    }
    // An attempt succeeds with probability above 0.95, so this is out of reach.
    shape
}

/// The number of successes in n trials of probability p: inversion while the mean is below 10, else transformed
/// rejection (Hoermann's BTRS, 1993). NaN for p outside of 0 ..= 1.
pub fn binomial(n: u64, p: f64, key: u64, step: u64, index: u64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    let count = n as f64;
    if p > 0.5 {
        return count - binomial(n, 1.0 - p, key, step, index);
    }
    if count * p < 10.0 {
        return binomial_inversion(count, p, uniform_f64(key, step, index));
    }
    binomial_rejection(count, p, key, step, index)
}

fn binomial_inversion(n: f64, p: f64, u: f64) -> f64 {
    let odds = p / (1.0 - p);
    let mut k = 0.0;
    let mut term = math::exp(n * math::log1p(-p));
    let mut sum = term;
    while u >= sum && k < n && k < 200.0 {
        k += 1.0;
        term *= odds * (n - k + 1.0) / k;
        sum += term;
    }
    k
}

fn binomial_rejection(n: f64, p: f64, key: u64, step: u64, index: u64) -> f64 {
    let deviation = (n * p * (1.0 - p)).sqrt();
    let b = 1.15 + 2.53 * deviation;
    let a = -0.0873 + 0.0248 * b + 0.01 * p;
    let alpha = (2.83 + 5.1 / b) * deviation;
    let v_r = 0.92 - 4.2 / b;
    let log_odds = math::log(p / (1.0 - p));
    let mode = ((n + 1.0) * p).floor();
    let at_mode = log_factorial(mode) + log_factorial(n - mode);
    for number in 0..10_000 {
        let (u, v) = attempt(key, step, index, number);
        let (u, v) = (u - 0.5, 1.0 - v);
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + n * p + 0.5).floor();
        if !(0.0..=n).contains(&k) {
            continue;
        }
        if us >= 0.07 && v <= v_r {
            return k;
        }
        let left = math::log(v * alpha / (a / (us * us) + b));
        if left <= at_mode - log_factorial(k) - log_factorial(n - k) + (k - mode) * log_odds {
            return k;
        }
    }
    // An attempt succeeds with probability above 0.7, so this is out of reach.
    mode
}

/// ln k! for a whole k >= 0: by a product below 16, by Stirling's series from there on, to about 1e-14.
pub fn log_factorial(k: f64) -> f64 {
    if k < 16.0 {
        let mut product = 1.0;
        let mut i = 2.0;
        while i <= k {
            product *= i;
            i += 1.0;
        }
        return math::log(product);
    }
    const HALF_LOG_TWO_PI: f64 = 0.9189385332046728;
    let r = 1.0 / k;
    let s = r * r;
    let series = r * (1.0 / 12.0 - s * (1.0 / 360.0 - s * (1.0 / 1260.0 - s / 1680.0)));
    (k + 0.5) * math::log(k) - k + HALF_LOG_TWO_PI + series
}
