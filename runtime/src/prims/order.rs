//! Sorting along rows.

use std::cmp::Ordering;

use super::call::{Args, Float, Prim, def};
use crate::abi::ArgKind::{In, Int, Out};
use crate::abi::{PrimDef, status};

pub(super) static PRIMS: &[PrimDef] = &[def::<ArgSort>(
    "argsort",
    "out[o, k] = the place of the k-th number of src[o, ..] in order, equal ones by place; NaN is largest",
    &[("out", Out), ("src", In), ("outer", Int), ("n", Int), ("descending", Int)],
    |ints| {
        let [outer, n, ..] = *ints else { return vec![] };
        vec![outer * n; 2]
    },
)];

/// Which of two numbers comes first; NaN counts as larger than any.
pub fn in_order<T: PartialOrd>(a: T, b: T, descending: bool) -> Ordering {
    let rising = a.partial_cmp(&b).unwrap_or_else(|| {
        let nan = |x: &T| x.partial_cmp(x).is_none();
        nan(&a).cmp(&nan(&b))
    });
    if descending { rising.reverse() } else { rising }
}

struct ArgSort;
impl Prim for ArgSort {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [outer, n] = [args.size(2), args.size(3)];
        let descending = args.int(4) != 0;
        // SAFETY: both reach the product of the extents.
        let (out, src) = unsafe { (args.slice_mut::<T>(0, outer * n), args.slice::<T>(1, outer * n)) };
        if n == 0 {
            return status::OK;
        }
        for (places, row) in out.chunks_exact_mut(n).zip(src.chunks_exact(n)) {
            places.iter_mut().enumerate().for_each(|(k, place)| *place = T::from_f64(k as f64));
            let number = |place: &T| row[place.to_f64() as usize];
            places.sort_unstable_by(|a, b| in_order(number(a), number(b), descending).then(in_order(*a, *b, false)));
        }
        status::OK
    }
}
