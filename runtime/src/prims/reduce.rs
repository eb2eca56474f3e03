//! Reductions along one axis (or adjacent ones), in a fixed order.
//!
//! The array is `[outer, n, inner]`. With inner 1, element j goes to lane j mod 16 and the lanes are joined pairwise
//! (l with l + 8, + 4, + 2, + 1); else the n rows are taken one after another. An extreme of NaN and anything is NaN.

use super::call::{Args, Float, Prim, def};
use super::level::by_level;
use crate::abi::ArgKind::{self, In, Int, Out};
use crate::abi::{PrimDef, status};

static AXIS: [(&str, ArgKind); 5] = [("out", Out), ("src", In), ("outer", Int), ("n", Int), ("inner", Int)];

fn reach(ints: &[i64]) -> Vec<i64> {
    let [outer, n, inner, ..] = *ints else { return vec![] };
    vec![outer * inner, outer * n * inner]
}

pub(super) static PRIMS: &[PrimDef] = &[
    def::<Along<Sum>>("sum", "out[o, i] = Σ_j src[o, j, i]", &AXIS, reach),
    def::<Along<Max>>("max", "out[o, i] = the largest src[o, j, i]", &AXIS, reach),
    def::<Along<Min>>("min", "out[o, i] = the smallest src[o, j, i]", &AXIS, reach),
    def::<Along<Prod>>("prod", "out[o, i] = Π_j src[o, j, i]", &AXIS, reach),
    def::<ArgMax>("argmax", "out[o, i] = the first j with the largest src[o, j, i]; NaN is largest", &AXIS, reach),
    def::<CumSum>(
        "cumsum",
        "out[o, j, i] = Σ src[o, k, i] over k <= j, or k >= j with reverse",
        &[("out", Out), ("src", In), ("outer", Int), ("n", Int), ("inner", Int), ("reverse", Int)],
        |ints| {
            let [outer, n, inner, ..] = *ints else { return vec![] };
            vec![outer * n * inner; 2]
        },
    ),
];

/// One way of joining two numbers.
pub(super) trait Join {
    fn start<T: Float>() -> T;
    fn join<T: Float>(a: T, b: T) -> T;
}

pub(super) struct Sum;
impl Join for Sum {
    fn start<T: Float>() -> T {
        T::ZERO
    }
    #[inline(always)]
    fn join<T: Float>(a: T, b: T) -> T {
        a + b
    }
}

pub(super) struct Max;
impl Join for Max {
    fn start<T: Float>() -> T {
        T::NEG_INFINITY
    }
    #[inline(always)]
    fn join<T: Float>(a: T, b: T) -> T {
        if (a > b) | a.is_nan() { a } else { b }
    }
}

pub(super) struct Min;
impl Join for Min {
    fn start<T: Float>() -> T {
        T::INFINITY
    }
    #[inline(always)]
    fn join<T: Float>(a: T, b: T) -> T {
        if (a < b) | a.is_nan() { a } else { b }
    }
}

struct Prod;
impl Join for Prod {
    fn start<T: Float>() -> T {
        T::ONE
    }
    #[inline(always)]
    fn join<T: Float>(a: T, b: T) -> T {
        a * b
    }
}

/// Whether x takes the place of the largest so far: the first NaN is the largest of all.
#[inline(always)]
pub(super) fn is_larger<T: Float>(x: T, best: T) -> bool {
    (x > best) | (x.is_nan() & !best.is_nan())
}

const LANES: usize = 16;

#[inline(always)]
fn joined<T: Float, J: Join>(row: &[T]) -> T {
    let mut lanes = [J::start::<T>(); LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *lane = J::join(*lane, *x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = J::join(*lane, *x);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] = J::join(lanes[l], lanes[l + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn along<T: Float, J: Join>(out: &mut [T], src: &[T], n: usize, inner: usize) {
    if n * inner == 0 {
        return out.fill(J::start());
    }
    if inner == 1 {
        for (y, row) in out.iter_mut().zip(src.chunks_exact(n)) {
            *y = joined::<T, J>(row);
        }
        return;
    }
    for (sums, rows) in out.chunks_exact_mut(inner).zip(src.chunks_exact(n * inner)) {
        sums.fill(J::start());
        for row in rows.chunks_exact(inner) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum = J::join(*sum, *x);
            }
        }
    }
}

/// A [`Join`] with its loop for each instruction set.
trait Reduction {
    fn run<T: Float>(out: &mut [T], src: &[T], n: usize, inner: usize);
}

macro_rules! reduction {
    ($($join:ident, $name:ident;)*) => {
        $(
            by_level! { fn $name<T>(out: &mut [T], src: &[T], n: usize, inner: usize) = along::<T, $join> }
            impl Reduction for $join {
                fn run<T: Float>(out: &mut [T], src: &[T], n: usize, inner: usize) {
                    $name(out, src, n, inner);
                }
            }
        )*
    };
}
reduction! { Sum, sum; Max, max; Min, min; Prod, prod; }

struct Along<J>(std::marker::PhantomData<J>);
impl<J: Reduction> Prim for Along<J> {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [outer, n, inner] = args.sizes(2);
        // SAFETY: each reaches the product of its extents.
        let (out, src) = unsafe { (args.slice_mut::<T>(0, outer * inner), args.slice::<T>(1, outer * n * inner)) };
        J::run(out, src, n, inner);
        status::OK
    }
}

struct ArgMax;
impl Prim for ArgMax {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [outer, n, inner] = args.sizes(2);
        // SAFETY: each reaches the product of its extents.
        let (out, src) = unsafe { (args.slice_mut::<T>(0, outer * inner), args.slice::<T>(1, outer * n * inner)) };
        for (at, y) in out.iter_mut().enumerate() {
            let first = at / inner * n * inner + at % inner;
            let value = |j: usize| src[first + j * inner];
            let best = (1..n).fold(0, |best, j| if is_larger(value(j), value(best)) { j } else { best });
            *y = T::from_f64(best as f64);
        }
        status::OK
    }
}

struct CumSum;
impl Prim for CumSum {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [outer, n, inner] = args.sizes(2);
        let reverse = args.int(5) != 0;
        // SAFETY: both reach the product of the extents.
        let (out, src) = unsafe { (args.slice_mut::<T>(0, outer * n * inner), args.slice::<T>(1, outer * n * inner)) };
        for o in 0..outer {
            let mut before = None;
            for j in 0..n {
                let row = (o * n + if reverse { n - 1 - j } else { j }) * inner;
                for i in 0..inner {
                    let sum = before.map_or(T::ZERO, |place: usize| out[place + i]);
                    out[row + i] = sum + src[row + i];
                }
                before = Some(row);
            }
        }
        status::OK
    }
}
