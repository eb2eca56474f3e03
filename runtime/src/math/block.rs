//! From a function of one element to block functions for the three instruction sets.
//!
//! A block is read in pieces into a local array, computed there and written back: so a call in place (`dst == src`)
//! runs at full speed, where a plain loop would fall back to scalar code because the compiler cannot exclude overlap.

use super::real::Real;

/// `dst[i] = f(src[i])` for i < n. `dst` and `src` are the same or do not overlap.
pub type Block<T> = unsafe extern "C" fn(dst: *mut T, src: *const T, n: usize);
/// `dst[i] = f(a[i], b[i])` for i < n. `dst` is one of the others or overlaps neither.
pub type Block2<T> = unsafe extern "C" fn(dst: *mut T, a: *const T, b: *const T, n: usize);

/// A function of one argument; `F` says whether a fused multiply-add is one instruction.
pub trait Unary<T: Real>: 'static {
    /// Whether some arguments need `eval_rare`.
    const CHECKED: bool = false;
    fn eval<const F: bool>(x: T) -> T;
    fn rare(_: T) -> bool {
        false
    }
    fn eval_rare<const F: bool>(x: T) -> T {
        Self::eval::<F>(x)
    }
}

/// A function of two arguments.
pub trait Binary<T: Real>: 'static {
    fn eval<const F: bool>(a: T, b: T) -> T;
}

/// The instruction sets that the block functions are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Whatever every x86-64 machine has; no fused multiply-add, so results differ in the last bits.
    Base,
    /// x86-64-v3: AVX2 and FMA.
    V3,
    /// x86-64-v4: AVX-512 F, BW, DQ, VL. The same bits as V3.
    V4,
}

impl Level {
    /// The best level of this machine.
    pub fn best() -> Level {
        static BEST: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
        *BEST.get_or_init(|| [Level::V4, Level::V3].into_iter().find(|level| level.available()).unwrap_or(Level::Base))
    }

    /// Whether this machine can run it.
    pub fn available(self) -> bool {
        let v3 = || {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt")
        };
        match self {
            Level::Base => true,
            Level::V3 => v3(),
            Level::V4 => {
                v3() && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
        }
    }

    /// The function for this level, or for the best one that this machine has.
    pub fn pick<P: Copy>(self, clones: &Clones<P>) -> P {
        let best = Level::best();
        match if self == best || self.available() { self } else { best } {
            Level::Base => clones.base,
            Level::V3 => clones.v3,
            Level::V4 => clones.v4,
        }
    }
}

/// One function compiled for each level.
#[derive(Clone, Copy)]
pub struct Clones<P> {
    pub base: P,
    pub v3: P,
    pub v4: P,
}

/// Defines three functions of one body, generic over `F`, and a constant of their addresses.
macro_rules! clones {
    ($(#[$doc:meta])* $name:ident [$($bound:tt)*] [$($generic:ident),*] =
        $body:ident, ($($arg:ident: $ty:ty),*) -> $pointer:ty) => {
        $(#[$doc])*
        pub const fn $name<$($bound)*>() -> $crate::math::block::Clones<$pointer> {
            /// # Safety
            /// As for the body.
            unsafe extern "C" fn base<$($bound)*>($($arg: $ty),*) {
                // SAFETY: the caller's.
                unsafe { $body::<$($generic,)* false>($($arg),*) }
            }
            /// # Safety
            /// As for the body; the machine has the features.
            #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
            unsafe extern "C" fn v3<$($bound)*>($($arg: $ty),*) {
                // SAFETY: the caller's.
                unsafe { $body::<$($generic,)* true>($($arg),*) }
            }
            /// # Safety
            /// As for the body; the machine has the features.
            #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512dq,avx512vl")]
            unsafe extern "C" fn v4<$($bound)*>($($arg: $ty),*) {
                // SAFETY: the caller's.
                unsafe { $body::<$($generic,)* true>($($arg),*) }
            }
            $crate::math::block::Clones {
                base: base::<$($generic),*>,
                v3: v3::<$($generic),*>,
                v4: v4::<$($generic),*>,
            }
        }
    };
}
pub(crate) use clones;

/// Elements in a piece: enough for the loop to stay a loop, few enough to stay in L1.
const PIECE: usize = 64;
/// Elements in a piece of what is left; below that come pieces of 4, 2 and 1, so that every piece has a size known to
/// the compiler: a copy of any size is a call, which costs more than the function for a few elements.
const SMALL: usize = 8;

/// Cuts n elements into pieces and does `$piece!(first, length)` for each.
macro_rules! pieces {
    ($n:ident, $piece:ident) => {
        let mut done = 0;
        while done + PIECE <= $n {
            $piece!(done, PIECE);
            done += PIECE;
        }
        while done + SMALL <= $n {
            $piece!(done, SMALL);
            done += SMALL;
        }
        if $n & 4 != 0 {
            $piece!(done, 4);
            done += 4;
        }
        if $n & 2 != 0 {
            $piece!(done, 2);
            done += 2;
        }
        if $n & 1 != 0 {
            $piece!(done, 1);
        }
    };
}

/// # Safety
/// `src` is readable and `dst` writable for n elements; they are the same or do not overlap.
#[inline(always)]
unsafe fn run<T: Real, O: Unary<T>, const F: bool>(dst: *mut T, src: *const T, n: usize) {
    macro_rules! piece {
        ($first:ident, $length:expr) => {
            // SAFETY: the pieces lie within n.
            unsafe { piece::<T, O, F, { $length }>(dst.add($first), src.add($first)) }
        };
    }
    pieces!(n, piece);
}

/// L elements; few of them one by one. A kernel may have stored these just before, each for itself, and a wide load waits
/// until all narrow stores that it spans are in the cache, where a narrow one takes its element from the store. Volatile,
/// for else the compiler makes one wide load of them.
///
/// # Safety
/// `src` is readable for L elements.
#[inline(always)]
unsafe fn read<T: Real, const L: usize>(src: *const T) -> [T; L] {
    if L <= SMALL {
        // SAFETY: the caller's.
        std::array::from_fn(|i| unsafe { src.add(i).read_volatile() })
    } else {
        // SAFETY: the caller's.
        unsafe { src.cast::<[T; L]>().read_unaligned() }
    }
}

/// One piece of L elements.
///
/// # Safety
/// As for `run`, for L elements.
#[inline(always)]
unsafe fn piece<T: Real, O: Unary<T>, const F: bool, const L: usize>(dst: *mut T, src: *const T) {
    let mut y = [T::ONE; L];
    // SAFETY: the caller's: L elements are readable.
    let x = unsafe { read::<T, L>(src) };
    for i in 0..L {
        y[i] = O::eval::<F>(x[i]);
    }
    if O::CHECKED {
        let mut rare = false;
        for &value in &x {
            rare |= O::rare(value);
        }
        if rare {
            repair::<T, O, F>(&x, &mut y);
        }
    }
    // SAFETY: the caller's: L elements are writable.
    unsafe { dst.cast::<[T; L]>().write_unaligned(y) };
}

/// The elements that the fast way does not serve.
#[cold]
fn repair<T: Real, O: Unary<T>, const F: bool>(x: &[T], y: &mut [T]) {
    for (&x, y) in x.iter().zip(y) {
        if O::rare(x) {
            *y = O::eval_rare::<F>(x);
        }
    }
}

/// # Safety
/// As for `run`, with two sources.
#[inline(always)]
unsafe fn run2<T: Real, O: Binary<T>, const F: bool>(dst: *mut T, a: *const T, b: *const T, n: usize) {
    macro_rules! piece {
        ($first:ident, $length:expr) => {
            // SAFETY: the pieces lie within n.
            unsafe { piece2::<T, O, F, { $length }>(dst.add($first), a.add($first), b.add($first)) }
        };
    }
    pieces!(n, piece);
}

/// # Safety
/// As for `run2`, for L elements.
#[inline(always)]
unsafe fn piece2<T: Real, O: Binary<T>, const F: bool, const L: usize>(dst: *mut T, a: *const T, b: *const T) {
    let mut y = [T::ONE; L];
    // SAFETY: the caller's: L elements are readable.
    let (x, w) = unsafe { (read::<T, L>(a), read::<T, L>(b)) };
    for i in 0..L {
        y[i] = O::eval::<F>(x[i], w[i]);
    }
    // SAFETY: the caller's: L elements are writable.
    unsafe { dst.cast::<[T; L]>().write_unaligned(y) };
}

clones! {
    /// The block functions of one argument.
    unary[T: Real, O: Unary<T>][T, O] = run, (dst: *mut T, src: *const T, n: usize) -> Block<T>
}
clones! {
    /// The block functions of two arguments.
    binary[T: Real, O: Binary<T>][T, O] = run2, (dst: *mut T, a: *const T, b: *const T, n: usize) -> Block2<T>
}
