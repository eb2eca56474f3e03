//! Draws by block: `out[i]` is the random number of (key, step, base + i), however a range is cut.
//!
//! One Philox block serves two neighbouring indices in f64 and four in f32. Uniform numbers and normal pairs are
//! computed for whole blocks into a local array, of which the wanted part is copied out.

// Plain loops over indices of several arrays are what the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

use super::philox;
use crate::math::block::clones;
use crate::math::circular::turn;
use crate::math::logarithm::log_normal;
use crate::math::real::Real;

/// `out[i]` = the draw of index base + i, for i < n.
pub type Fill<T> = unsafe extern "C" fn(out: *mut T, n: usize, key: u64, step: u64, base: u64);

/// Philox blocks computed at a time: many for vectors, few where few draws are left.
const MANY: usize = 32;
const FEW: usize = 4;

/// What a Philox block becomes: some neighbouring draws.
pub trait Draws<T> {
    /// Draws of one block.
    const PER_BLOCK: usize;
    /// The draws of blocks first .. first + N, in order of index.
    fn blocks<const F: bool, const N: usize>(out: &mut [T], key: u64, step: u64, first: u64);
}

pub struct Bits;
pub struct Uniform;
pub struct Normal;

/// 53 bits as a number in [0, 1).
#[inline(always)]
pub fn unit_f64(high: u64, low: u64) -> f64 {
    // An integer below 2^52 becomes a float by standing in the mantissa of 2^52; both parts and their sum are exact.
    const BASE: f64 = 4_503_599_627_370_496.0;
    let coarse = f64::from_bits(BASE.to_bits() | high) - BASE;
    let fine = f64::from_bits(BASE.to_bits() | low >> 11) - BASE;
    coarse * (1.0 / 4_294_967_296.0) + fine * (0.5 / BASE)
}

/// 24 bits as a number in [0, 1).
#[inline(always)]
fn unit_f32(word: u64) -> f32 {
    (word as u32 >> 8) as i32 as f32 * (1.0 / 16_777_216.0)
}

impl Draws<u64> for Bits {
    const PER_BLOCK: usize = 2;
    #[inline(always)]
    fn blocks<const F: bool, const N: usize>(out: &mut [u64], key: u64, step: u64, first: u64) {
        let mut parts = [[0; N]; 2];
        for i in 0..N {
            let [a, b, c, d] = philox::block(key, step, first.wrapping_add(i as u64));
            parts[0][i] = (a << 32) | b;
            parts[1][i] = (c << 32) | d;
        }
        interleave(out, &parts);
    }
}

impl Draws<f64> for Uniform {
    const PER_BLOCK: usize = 2;
    #[inline(always)]
    fn blocks<const F: bool, const N: usize>(out: &mut [f64], key: u64, step: u64, first: u64) {
        let mut parts = [[0.0; N]; 2];
        for i in 0..N {
            let [a, b, c, d] = philox::block(key, step, first.wrapping_add(i as u64));
            parts[0][i] = unit_f64(a, b);
            parts[1][i] = unit_f64(c, d);
        }
        interleave(out, &parts);
    }
}

impl Draws<f32> for Uniform {
    const PER_BLOCK: usize = 4;
    #[inline(always)]
    fn blocks<const F: bool, const N: usize>(out: &mut [f32], key: u64, step: u64, first: u64) {
        let mut parts = [[0.0; N]; 4];
        for i in 0..N {
            let words = philox::block(key, step, first.wrapping_add(i as u64));
            for (part, word) in parts.iter_mut().zip(words) {
                part[i] = unit_f32(word);
            }
        }
        interleave(out, &parts);
    }
}

/// Two normal numbers of a u in (0, 1] and an angle in turns (Box and Muller).
#[inline(always)]
fn normal_pair<T: Real, const F: bool>(u: T, angle: T) -> (T, T) {
    let radius = (-(T::TWO * log_normal::<T, F>(u))).sqrt();
    let (sin, cos) = turn::<T, F>(angle);
    (radius * cos, radius * sin)
}

/// Words 0 and 1 give the radius, 2 and 3 the angle.
impl Draws<f64> for Normal {
    const PER_BLOCK: usize = 2;
    #[inline(always)]
    fn blocks<const F: bool, const N: usize>(out: &mut [f64], key: u64, step: u64, first: u64) {
        let mut parts = [[0.0; N]; 2];
        for i in 0..N {
            let [a, b, c, d] = philox::block(key, step, first.wrapping_add(i as u64));
            parts[0][i] = 1.0 - unit_f64(a, b);
            parts[1][i] = unit_f64(c, d);
        }
        for i in 0..N {
            (parts[0][i], parts[1][i]) = normal_pair::<f64, F>(parts[0][i], parts[1][i]);
        }
        interleave(out, &parts);
    }
}

/// Words 0 and 1 give the radius and angle of the first two, words 2 and 3 of the others. 31 bits make the radius, so
/// that the tail reaches 6.6.
impl Draws<f32> for Normal {
    const PER_BLOCK: usize = 4;
    #[inline(always)]
    fn blocks<const F: bool, const N: usize>(out: &mut [f32], key: u64, step: u64, first: u64) {
        const UNIT: f32 = 1.0 / 2_147_483_648.0;
        let radius = |word: u64| ((word as u32 >> 1) as i32 as f32).fma::<F>(UNIT, UNIT * 0.5);
        let mut parts = [[0.0; N]; 4];
        for i in 0..N {
            let [a, b, c, d] = philox::block(key, step, first.wrapping_add(i as u64));
            parts[0][i] = radius(a);
            parts[1][i] = unit_f32(b);
            parts[2][i] = radius(c);
            parts[3][i] = unit_f32(d);
        }
        for i in 0..N {
            (parts[0][i], parts[1][i]) = normal_pair::<f32, F>(parts[0][i], parts[1][i]);
            (parts[2][i], parts[3][i]) = normal_pair::<f32, F>(parts[2][i], parts[3][i]);
        }
        interleave(out, &parts);
    }
}

/// `out[i * parts + j] = parts[j][i]`.
#[inline(always)]
fn interleave<T: Copy, const P: usize, const N: usize>(out: &mut [T], parts: &[[T; N]; P]) {
    for (i, group) in out.chunks_exact_mut(P).take(N).enumerate() {
        for j in 0..P {
            group[j] = parts[j][i];
        }
    }
}

/// # Safety
/// `out` is writable for n elements.
#[inline(always)]
unsafe fn fill<T: Copy + Default, D: Draws<T>, const F: bool>(out: *mut T, n: usize, key: u64, step: u64, base: u64) {
    let mut done = 0;
    while done < n {
        let index = base.wrapping_add(done as u64);
        let skip = (index % D::PER_BLOCK as u64) as usize;
        // SAFETY: done < n, and `part` writes at most n - done elements.
        done += unsafe {
            match n - done + skip <= FEW * D::PER_BLOCK {
                true => part::<T, D, F, FEW>(out.add(done), n - done, key, step, index),
                false => part::<T, D, F, MANY>(out.add(done), n - done, key, step, index),
            }
        };
    }
}

/// The draws from an index on that N blocks give, at most `left`; how many they are.
///
/// # Safety
/// `out` is writable for `left` elements.
#[inline(always)]
unsafe fn part<T: Copy + Default, D: Draws<T>, const F: bool, const N: usize>(
    out: *mut T,
    left: usize,
    key: u64,
    step: u64,
    index: u64,
) -> usize {
    let piece = N * D::PER_BLOCK;
    let per_block = D::PER_BLOCK as u64;
    let skip = (index % per_block) as usize;
    let count = (piece - skip).min(left);
    if skip == 0 && count == piece {
        // SAFETY: piece <= left elements are writable, and nothing else refers to them meanwhile.
        let whole = unsafe { std::slice::from_raw_parts_mut(out, piece) };
        D::blocks::<F, N>(whole, key, step, index / per_block);
    } else {
        let mut local = [T::default(); MANY * 4];
        D::blocks::<F, N>(&mut local[..piece], key, step, index / per_block);
        // SAFETY: count <= left elements are writable; skip + count <= piece.
        unsafe { std::ptr::copy_nonoverlapping(local.as_ptr().add(skip), out, count) };
    }
    count
}

clones! {
    /// The block form of a kind of draw.
    fills[T: Copy + Default + 'static, D: Draws<T> + 'static][T, D] =
        fill, (out: *mut T, n: usize, key: u64, step: u64, base: u64) -> Fill<T>
}
