//! Poisson draws: inversion for small means, transformed rejection (Hoermann's PTRS, 1993) for large ones.
//!
//! Below a mean of 10 the draw of (key, step, index) is the inverse of the distribution at that index's uniform f64, so
//! nearly all of a block of rare events is decided by one vector comparison. From 10 on each attempt has a generator
//! of its own, keyed by the attempt's number. All arithmetic is f64 in both precisions.

use super::fill::{Draws, Uniform, unit_f64};
use super::host::{attempt, derived, log_factorial};
use super::philox;
use crate::math;
use crate::math::block::clones;
use crate::math::exponential::exp;

/// `out[i]` = the draw of mean `mean[i]` and index base + i. `out` is `mean` or does not overlap it.
pub type FillPoisson<T> = unsafe extern "C" fn(out: *mut T, mean: *const T, n: usize, key: u64, step: u64, base: u64);

/// Elements at a time.
const PART: usize = 64;
/// Up to so many elements that are not 0, each is decided by itself.
const FEW: u32 = 4;
/// From this mean on by rejection.
const LARGE: f64 = 10.0;
/// From this mean on the distribution is, to the precision of an f64, a normal one.
const HUGE: f64 = 1e14;

/// A float type that counts are given in.
pub trait Count: Copy + Default + 'static {
    fn to_f64(self) -> f64;
    fn from_f64(x: f64) -> Self;
}

impl Count for f64 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn from_f64(x: f64) -> f64 {
        x
    }
}

impl Count for f32 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
}

/// # Safety
/// `mean` is readable and `out` writable for n elements; they are the same or do not overlap.
#[inline(always)]
unsafe fn fill<T: Count, const F: bool>(out: *mut T, mean: *const T, n: usize, key: u64, step: u64, base: u64) {
    let mut done = 0;
    while done < n {
        let mut means = [T::default(); PART];
        let index = base.wrapping_add(done as u64);
        if done + PART <= n {
            // Copies of a known size need no call.
            // SAFETY: done + PART <= n elements are readable and writable.
            unsafe {
                std::ptr::copy_nonoverlapping(mean.add(done), means.as_mut_ptr(), PART);
                let values = decide::<T, F>(&means, key, step, index);
                std::ptr::copy_nonoverlapping(values.as_ptr(), out.add(done), PART);
            }
        } else {
            // SAFETY: n - done < PART elements are readable and writable.
            unsafe {
                std::ptr::copy_nonoverlapping(mean.add(done), means.as_mut_ptr(), n - done);
                let values = decide::<T, F>(&means, key, step, index);
                std::ptr::copy_nonoverlapping(values.as_ptr(), out.add(done), n - done);
            }
        }
        done += PART;
    }
}

/// The uniform numbers of PART indices.
#[inline(always)]
fn uniforms<const F: bool>(key: u64, step: u64, index: u64) -> [f64; PART] {
    let mut uniform = [0.0; PART];
    Uniform::blocks::<F, 32>(&mut uniform, key, step, index / 2);
    if index % 2 == 1 {
        uniform.copy_within(1.., 0);
        let [high, low, ..] = philox::block(key, step, (index / 2).wrapping_add(PART as u64 / 2));
        uniform[PART - 1] = unit_f64(high, low);
    }
    uniform
}

/// The draws of a part. What lies beyond the wanted elements has a mean of 0.
#[inline(always)]
fn decide<T: Count, const F: bool>(means: &[T; PART], key: u64, step: u64, index: u64) -> [T; PART] {
    let mut values = [T::default(); PART];
    let u = uniforms::<F>(key, step, index);
    // e^-mean > 1 - mean: usually no element needs more than this to be 0.
    let mut loud = 0u64;
    for i in 0..PART {
        let mean = means[i].to_f64();
        loud |= u64::from(mean.is_nan()) | u64::from(mean < 0.0) | u64::from(u[i] + mean >= 1.0 - 1e-9);
    }
    if loud == 0 {
        return values;
    }
    let mut none = [0.0; PART];
    for i in 0..PART {
        none[i] = exp::<f64, F>(-means[i].to_f64());
    }
    let (mut some, mut odd) = (0u64, 0u64);
    for i in 0..PART {
        let mean = means[i].to_f64();
        odd |= (u64::from(mean.is_nan()) | u64::from(mean < 0.0) | u64::from(mean >= LARGE)) << i;
        some |= u64::from(u[i] >= none[i]) << i;
    }
    if (some & !odd).count_ones() > FEW {
        values = together(means, &u, &none);
        some = 0;
    }
    some |= odd;
    while some != 0 {
        let i = some.trailing_zeros() as usize;
        some &= some - 1;
        let at = index.wrapping_add(i as u64);
        values[i] = T::from_f64(one(means[i].to_f64(), u[i], none[i], key, step, at));
    }
    values
}

/// The draw of one index, given its uniform number and e^-mean.
fn one(mean: f64, uniform: f64, none: f64, key: u64, step: u64, index: u64) -> f64 {
    if mean.is_nan() || mean < 0.0 {
        f64::NAN
    } else if mean < LARGE {
        inversion(mean, uniform, none)
    } else if mean < HUGE {
        rejection(mean, key, step, index)
    } else if mean == f64::INFINITY {
        mean
    } else {
        let normal = super::normal_f64(derived(key, u64::MAX), step, index);
        round(mean + mean.sqrt() * normal)
    }
}

fn round(x: f64) -> f64 {
    (x + 0.5).floor()
}

/// Beyond this a mean below LARGE has nothing left but rounding.
const MOST: f64 = 200.0;

/// The number of k for which P(N <= k) <= u.
fn inversion(mean: f64, u: f64, none: f64) -> f64 {
    let (mut k, mut term, mut sum) = (0.0, none, none);
    while u >= sum && k < MOST {
        k += 1.0;
        term *= mean * (1.0 / k);
        sum += term;
    }
    k
}

/// `inversion` of all elements of a part at once, with the same arithmetic; those with a mean of LARGE or more are not
/// to be used.
#[inline(always)]
fn together<T: Count>(means: &[T; PART], u: &[f64; PART], none: &[f64; PART]) -> [T; PART] {
    let mut mean = [0.0; PART];
    for i in 0..PART {
        mean[i] = means[i].to_f64();
    }
    let (mut count, mut term, mut sum) = ([0.0; PART], *none, *none);
    let mut k = 0.0;
    while k < MOST {
        let mut any = 0u64;
        k += 1.0;
        for i in 0..PART {
            let open = u64::from(u[i] >= sum[i]) & u64::from(mean[i] < LARGE);
            any |= open;
            count[i] += open as f64;
            term[i] *= mean[i] * (1.0 / k);
            sum[i] += term[i];
        }
        if any == 0 {
            break;
        }
    }
    let mut values = [T::default(); PART];
    for i in 0..PART {
        values[i] = T::from_f64(count[i]);
    }
    values
}

fn rejection(mean: f64, key: u64, step: u64, index: u64) -> f64 {
    let b = 0.931 + 2.53 * mean.sqrt();
    let a = -0.059 + 0.02483 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let v_r = 0.9277 - 3.6224 / (b - 2.0);
    for number in 0..10_000 {
        let (u, v) = attempt(key, step, index, number);
        let (u, v) = (u - 0.5, 1.0 - v);
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
        if us >= 0.07 && v <= v_r {
            return k;
        }
        if k < 0.0 || (us < 0.013 && v > us) {
            continue;
        }
        let left = math::log(v) + math::log(inverse_alpha) - math::log(a / (us * us) + b);
        if left <= k * math::log(mean) - mean - log_factorial(k) {
            return k;
        }
    }
    // An attempt succeeds with probability above 0.7, so this is out of reach.
    round(mean)
}

clones! {
    /// The block form.
    fills_poisson[T: Count][T] =
        fill, (out: *mut T, mean: *const T, n: usize, key: u64, step: u64, base: u64) -> FillPoisson<T>
}
