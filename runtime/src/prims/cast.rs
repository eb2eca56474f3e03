//! Between real numbers, indices and counts.

use super::call::{Args, Float, Prim, def};
use crate::abi::ArgKind::{In, InIndex, Int, Out, OutCount, OutIndex};
use crate::abi::{PrimDef, status};

fn reach(ints: &[i64]) -> Vec<i64> {
    vec![ints[0]; 2]
}

pub(super) static PRIMS: &[PrimDef] = &[
    def::<FromIndex>("from_index", "out[i] = src[i] for i < n", &[("out", Out), ("src", InIndex), ("n", Int)], reach),
    def::<FromCount>("from_count", "out[i] = src[i] for i < n", &[("out", Out), ("src", OutCount), ("n", Int)], reach),
    def::<ToIndex>(
        "to_index",
        "out[i] = src[i], cut to a whole number of u32, for i < n",
        &[("out", OutIndex), ("src", In), ("n", Int)],
        reach,
    ),
    def::<ToCount>(
        "to_count",
        "out[i] = src[i], cut to a whole number, for i < n",
        &[("out", OutCount), ("src", In), ("n", Int)],
        reach,
    ),
];

struct FromIndex;
impl Prim for FromIndex {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let n = args.size(2);
        // SAFETY: both reach n.
        let (out, src) = unsafe { (args.slice_mut::<T>(0, n), args.slice::<u32>(1, n)) };
        out.iter_mut().zip(src).for_each(|(y, x)| *y = T::from_f64(f64::from(*x)));
        status::OK
    }
}

struct FromCount;
impl Prim for FromCount {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let n = args.size(2);
        // SAFETY: both reach n.
        let (out, src) = unsafe { (args.slice_mut::<T>(0, n), args.slice::<i64>(1, n)) };
        out.iter_mut().zip(src).for_each(|(y, x)| *y = T::from_f64(*x as f64));
        status::OK
    }
}

struct ToIndex;
impl Prim for ToIndex {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let n = args.size(2);
        // SAFETY: both reach n.
        let (out, src) = unsafe { (args.slice_mut::<u32>(0, n), args.slice::<T>(1, n)) };
        out.iter_mut().zip(src).for_each(|(y, x)| *y = x.to_f64() as u32);
        status::OK
    }
}

struct ToCount;
impl Prim for ToCount {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let n = args.size(2);
        // SAFETY: both reach n.
        let (out, src) = unsafe { (args.slice_mut::<i64>(0, n), args.slice::<T>(1, n)) };
        out.iter_mut().zip(src).for_each(|(y, x)| *y = x.to_f64() as i64);
        status::OK
    }
}
