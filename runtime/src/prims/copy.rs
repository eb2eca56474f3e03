//! Plain copies: whole arrays, a row for each sample, a number for each row.

use super::call::{Args, Float, Prim, def};
use crate::abi::ArgKind::{In, Int, Out};
use crate::abi::{PrimDef, status};

pub(super) static PRIMS: &[PrimDef] = &[
    def::<Copy>("copy", "out[i] = src[i] for i < n", &[("out", Out), ("src", In), ("n", Int)], |i| vec![i[0], i[0]]),
    def::<Zero>("zero", "out[i] = 0 for i < n", &[("out", Out), ("n", Int)], |i| vec![i[0]]),
    def::<Rows>(
        "rows",
        "out[r, j] = src[j] for r < rows, j < n",
        &[("out", Out), ("src", In), ("rows", Int), ("n", Int)],
        |i| vec![i[0] * i[1], i[1]],
    ),
    def::<Columns>(
        "columns",
        "out[r, j] = src[r] for r < rows, j < n",
        &[("out", Out), ("src", In), ("rows", Int), ("n", Int)],
        |i| vec![i[0] * i[1], i[0]],
    ),
];

struct Copy;
impl Prim for Copy {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let n = args.size(2);
        // SAFETY: both reach n, and do not overlap.
        unsafe { args.slice_mut::<T>(0, n).copy_from_slice(args.slice(1, n)) };
        status::OK
    }
}

struct Zero;
impl Prim for Zero {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        // SAFETY: out reaches n.
        unsafe { args.slice_mut::<T>(0, args.size(1)) }.fill(T::ZERO);
        status::OK
    }
}

struct Rows;
impl Prim for Rows {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [rows, n] = args.sizes(2);
        // SAFETY: out reaches rows · n and src n.
        let (out, src) = unsafe { (args.slice_mut::<T>(0, rows * n), args.slice::<T>(1, n)) };
        out.chunks_exact_mut(n.max(1)).for_each(|row| row.copy_from_slice(src));
        status::OK
    }
}

struct Columns;
impl Prim for Columns {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [rows, n] = args.sizes(2);
        // SAFETY: out reaches rows · n and src rows.
        let (out, src) = unsafe { (args.slice_mut::<T>(0, rows * n), args.slice::<T>(1, rows)) };
        out.chunks_exact_mut(n.max(1)).zip(src).for_each(|(row, value)| row.fill(*value));
        status::OK
    }
}
