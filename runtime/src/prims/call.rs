//! How a primitive gets its arguments: from words to slices and sizes, with panics caught at the border.

use std::ops::{Add, AddAssign, Div, Mul, Sub};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::abi::{ArgKind, PrimDef, status};
use crate::matmul;

/// "Real" of either precision.
pub(super) trait Float:
    Copy
    + PartialOrd
    + Default
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + 'static
{
    const ZERO: Self;
    const ONE: Self;
    const INFINITY: Self;
    const NEG_INFINITY: Self;
    /// What is larger has diverged; in single precision infinity alone.
    const LARGEST: Self;
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn abs(self) -> Self;
    fn is_nan(self) -> bool;
    /// `c = a · b`, or `c += a · b`; a of m x k, b of k x n, c of m x n, strides from a row and a column to the next.
    ///
    /// # Safety
    /// As for [`matmul::gemm_f64`].
    unsafe fn gemm(
        size: [usize; 3],
        a: (*const Self, [isize; 2]),
        b: (*const Self, [isize; 2]),
        c: *mut Self,
        add: bool,
    );
}

macro_rules! float {
    ($t:ident, $gemm:ident, $largest:expr) => {
        impl Float for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const INFINITY: Self = $t::INFINITY;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;
            const LARGEST: Self = $largest;
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn abs(self) -> Self {
                $t::abs(self)
            }
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
            unsafe fn gemm(
                [m, k, n]: [usize; 3],
                (a, sa): (*const Self, [isize; 2]),
                (b, sb): (*const Self, [isize; 2]),
                c: *mut Self,
                add: bool,
            ) {
                let beta = if add { 1.0 } else { 0.0 };
                // SAFETY: the caller's.
                unsafe { matmul::$gemm(m, k, n, 1.0, a, sa[0], sa[1], b, sb[0], sb[1], beta, c, n as isize, 1) }
            }
        }
    };
}
float!(f32, gemm_f32, f32::MAX);
float!(f64, gemm_f64, crate::abi::LARGEST);

/// The words of one call, by their place in the primitive's list of arguments.
#[derive(Clone, Copy)]
pub(super) struct Args(*const u64);

impl Args {
    fn word(self, k: usize) -> u64 {
        // SAFETY: a kernel passes as many words as the table lists, and a primitive asks for those only.
        unsafe { *self.0.add(k) }
    }

    pub fn int(self, k: usize) -> i64 {
        self.word(k) as i64
    }

    /// An integer as a size: negative counts as none.
    pub fn size(self, k: usize) -> usize {
        usize::try_from(self.int(k)).unwrap_or(0)
    }

    pub fn sizes<const N: usize>(self, from: usize) -> [usize; N] {
        std::array::from_fn(|k| self.size(from + k))
    }

    pub fn ints<const N: usize>(self, from: usize) -> [i64; N] {
        std::array::from_fn(|k| self.int(from + k))
    }

    pub fn pointer<T>(self, k: usize) -> *mut T {
        self.word(k) as *mut T
    }

    /// The first `len` elements of a buffer argument.
    ///
    /// # Safety
    /// Argument k is a buffer of T with that many elements, which nothing writes while the slice is used.
    pub unsafe fn slice<'a, T>(self, k: usize, len: usize) -> &'a [T] {
        // SAFETY: the caller's; buffers are aligned to their elements.
        unsafe { std::slice::from_raw_parts(self.pointer(k), len) }
    }

    /// The same to write to.
    ///
    /// # Safety
    /// Argument k is a buffer of T with that many elements, which overlaps no other argument.
    pub unsafe fn slice_mut<'a, T>(self, k: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's; buffers are aligned to their elements.
        unsafe { std::slice::from_raw_parts_mut(self.pointer(k), len) }
    }
}

/// A primitive's body, for either precision.
pub(super) trait Prim {
    /// # Safety
    /// The words are as the table says, each buffer has the elements that `reach` names, and a written buffer overlaps no
    /// other argument.
    unsafe fn run<T: Float>(args: Args) -> i32;
}

unsafe extern "C" fn entry<P: Prim, T: Float>(args: *const u64) -> i32 {
    // SAFETY: the kernel's side of the contract of `Prim::run`.
    catch_unwind(AssertUnwindSafe(|| unsafe { P::run::<T>(Args(args)) })).unwrap_or(status::BUG)
}

/// A row of the table.
pub(super) const fn def<P: Prim>(
    name: &'static str,
    about: &'static str,
    args: &'static [(&'static str, ArgKind)],
    reach: fn(&[i64]) -> Vec<i64>,
) -> PrimDef {
    PrimDef { name, about, args, f32: entry::<P, f32>, f64: entry::<P, f64>, reach }
}

/// How far `count` blocks of `block` elements reach that lie `step` apart: 0 without blocks.
pub(super) fn span(count: i64, step: i64, block: i64) -> i64 {
    if count <= 0 || block <= 0 { 0 } else { (count - 1) * step + block }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Panicking;

    impl Prim for Panicking {
        unsafe fn run<T: Float>(args: Args) -> i32 {
            assert!(args.int(0) == 0, "on purpose");
            status::OK
        }
    }

    /// A panic that unwound into compiled code would end the process.
    #[test]
    fn a_panic_stops_at_the_border() {
        let words = [0u64, 1];
        // SAFETY: the primitive reads one word.
        let called = |k: usize| unsafe { entry::<Panicking, f64>(words[k..].as_ptr()) };
        assert_eq!((called(0), called(1)), (status::OK, status::BUG));
    }
}
