//! Matrix products: one, one for each sample, or their sum.

use super::call::{Args, Float, Prim, def, span};
use crate::abi::ArgKind::{In, Int, Out};
use crate::abi::{PrimDef, status};

pub(super) static PRIMS: &[PrimDef] = &[def::<Gemm>(
    "gemm",
    "c[p·step_c ..] = op(a[p·step_a ..]) · op(b[p·step_b ..]) for p < count; op(a) is m x k and op(b) k x n, stored \
     transposed with ta / tb; with step_c 0 the sum over p; with add, + what c held",
    &[
        ("c", Out),
        ("a", In),
        ("b", In),
        ("count", Int),
        ("m", Int),
        ("n", Int),
        ("k", Int),
        ("step_c", Int),
        ("step_a", Int),
        ("step_b", Int),
        ("ta", Int),
        ("tb", Int),
        ("add", Int),
    ],
    |ints| {
        let [count, m, n, k, step_c, step_a, step_b, ..] = *ints else { return vec![] };
        let c = if step_c == 0 { (m * n).max(0) } else { span(count, step_c, m * n) };
        vec![c, span(count, step_a, m * k), span(count, step_b, k * n)]
    },
)];

struct Gemm;

impl Prim for Gemm {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [count, m, n, k, step_c, step_a, step_b] = args.sizes(3);
        let (ta, tb, add) = (args.int(10) != 0, args.int(11) != 0, args.int(12) != 0);
        let (c, a, b) = (args.pointer::<T>(0), args.pointer::<T>(1), args.pointer::<T>(2));
        let strides = |transposed: bool, rows: usize, columns: usize| {
            if transposed { [1, rows as isize] } else { [columns as isize, 1] }
        };
        let (sa, sb) = (strides(ta, m, k), strides(tb, k, n));
        if m * n == 0 {
            return status::OK;
        }
        if count == 0 && step_c == 0 && !add {
            // SAFETY: the elements of c that the formula names.
            unsafe { args.slice_mut::<T>(0, m * n) }.fill(T::ZERO);
        }
        for p in 0..count {
            let add = add || (step_c == 0 && p > 0);
            // SAFETY: the caller's buffers reach as far as the formula, and c overlaps neither a nor b.
            unsafe {
                T::gemm([m, k, n], (a.add(p * step_a), sa), (b.add(p * step_b), sb), c.add(p * step_c), add);
            }
        }
        status::OK
    }
}
