//! Random numbers: each is a pure function of (key, step, index), so none depends on threads, on the order of the draws
//! or on how a range is cut.
//!
//! A key stands for a place in a model, see [`key`]. With the Philox4x32-10 words w0 .. w3 of counter (block, step):
//! - f64: block = index / 2; the index's half (w0, w1) or (w2, w3) gives the uniform (2^32 w0 + w1) >> 11 times 2^-53.
//! - f32: block = index / 4; word w(index mod 4) gives the uniform (w >> 8) times 2^-24.
//! - normal numbers come in pairs (r cos a, r sin a), r = sqrt(-2 ln u), a = 2 pi v: in f64 u = 1 - uniform of (w0, w1)
//!   and v of (w2, w3); in f32 of (w0, w1) and of (w2, w3), u from 31 bits.
//! - `poisson`: see the module; `bits` are the 64 bits of an f64's half.

mod fill;
mod host;
mod philox;
mod poisson;
#[cfg(test)]
mod tests;

pub use fill::Fill;
pub(crate) use host::{below, derived};
pub use host::{binomial, exponential, gamma, integers, log_factorial, permutation};
pub use poisson::FillPoisson;

use crate::math::Level;

/// The key of a path of names under a seed: FNV-1a of the path's bytes, scattered together with the seed.
pub fn key(seed: u64, path: &str) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325u64;
    for byte in path.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    host::scatter(host::scatter(seed.wrapping_add(0x9E37_79B9_7F4A_7C15)) ^ host::scatter(hash))
}

/// `fill_uniform_f64`, in [0, 1).
pub fn uniform_f64_block() -> Fill<f64> {
    Level::best().pick(&fill::fills::<f64, fill::Uniform>())
}

/// `fill_uniform_f32`, in [0, 1).
pub fn uniform_f32_block() -> Fill<f32> {
    Level::best().pick(&fill::fills::<f32, fill::Uniform>())
}

/// `fill_normal_f64`, mean 0 and variance 1.
pub fn normal_f64_block() -> Fill<f64> {
    Level::best().pick(&fill::fills::<f64, fill::Normal>())
}

/// `fill_normal_f32`, mean 0 and variance 1.
pub fn normal_f32_block() -> Fill<f32> {
    Level::best().pick(&fill::fills::<f32, fill::Normal>())
}

/// `fill_poisson_f64`.
pub fn poisson_f64_block() -> FillPoisson<f64> {
    Level::best().pick(&poisson::fills_poisson::<f64>())
}

/// `fill_poisson_f32`.
pub fn poisson_f32_block() -> FillPoisson<f32> {
    Level::best().pick(&poisson::fills_poisson::<f32>())
}

macro_rules! forms {
    ($($fill:ident, $slice:ident, $scalar:ident, $t:ty, $block:expr, $what:literal;)*) => {
        $(
            #[doc = concat!("Block form for compiled code: `out[i]` = the ", $what, " of index base + i.")]
            /// # Safety
            /// `out` is writable for n elements.
            pub unsafe extern "C" fn $fill(out: *mut $t, n: usize, key: u64, step: u64, base: u64) {
                // SAFETY: the caller's.
                unsafe { $block(out, n, key, step, base) }
            }

            #[doc = concat!("`out[i]` = the ", $what, " of index base + i.")]
            pub fn $slice(out: &mut [$t], key: u64, step: u64, base: u64) {
                // SAFETY: the slice is writable for its length.
                unsafe { $block(out.as_mut_ptr(), out.len(), key, step, base) }
            }

            #[doc = concat!("The ", $what, " of (key, step, index).")]
            pub fn $scalar(key: u64, step: u64, index: u64) -> $t {
                let mut value = Default::default();
                $slice(std::slice::from_mut(&mut value), key, step, index);
                value
            }
        )*
    };
}
forms! {
    fill_uniform_f64, uniforms_f64, uniform_f64, f64, uniform_f64_block(), "uniform number in [0, 1)";
    fill_uniform_f32, uniforms_f32, uniform_f32, f32, uniform_f32_block(), "uniform number in [0, 1)";
    fill_normal_f64, normals_f64, normal_f64, f64, normal_f64_block(), "standard normal number";
    fill_normal_f32, normals_f32, normal_f32, f32, normal_f32_block(), "standard normal number";
    fill_bits_u64, fill_bits, bits, u64, Level::best().pick(&fill::fills::<u64, fill::Bits>()), "64 random bits";
}

/// Block form for compiled code: `out[i]` = the Poisson number of mean `mean[i]` and index base + i.
///
/// # Safety
/// `mean` is readable and `out` writable for n elements; they are the same or do not overlap.
pub unsafe extern "C" fn fill_poisson_f64(out: *mut f64, mean: *const f64, n: usize, key: u64, step: u64, base: u64) {
    // SAFETY: the caller's.
    unsafe { poisson_f64_block()(out, mean, n, key, step, base) }
}

/// Block form for compiled code: `out[i]` = the Poisson number of mean `mean[i]` and index base + i.
///
/// # Safety
/// `mean` is readable and `out` writable for n elements; they are the same or do not overlap.
pub unsafe extern "C" fn fill_poisson_f32(out: *mut f32, mean: *const f32, n: usize, key: u64, step: u64, base: u64) {
    // SAFETY: the caller's.
    unsafe { poisson_f32_block()(out, mean, n, key, step, base) }
}

/// The Poisson number of this mean; NaN for a mean that is negative or NaN.
pub fn poisson_f64(mean: f64, key: u64, step: u64, index: u64) -> f64 {
    let mut value = 0.0;
    // SAFETY: both pointers are to one element.
    unsafe { fill_poisson_f64(&mut value, &mean, 1, key, step, index) };
    value
}

/// The Poisson number of this mean: that of `poisson_f64` of the same mean, rounded.
pub fn poisson_f32(mean: f32, key: u64, step: u64, index: u64) -> f32 {
    let mut value = 0.0;
    // SAFETY: both pointers are to one element.
    unsafe { fill_poisson_f32(&mut value, &mean, 1, key, step, index) };
    value
}
