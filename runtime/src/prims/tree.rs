//! Linear systems over a forest: elimination from the leaves to the roots, then back.

use super::call::{Args, Float, Prim, def};
use crate::abi::ArgKind::{In, Int, Out};
use crate::abi::{PrimDef, status};

pub(super) static PRIMS: &[PrimDef] = &[def::<TreeSolve>(
    "tree_solve",
    "out[0] = x with diag[i] x[i] + up[i] x[parent[i]] + Σ_children c down[c] x[c] = right[i]; out[1] = the diagonal left",
    &[("out", Out), ("diag", In), ("up", In), ("down", In), ("right", In), ("parent", In), ("order", In), ("n", Int)],
    |ints| {
        let [n, ..] = *ints else { return vec![] };
        vec![2 * n, n, n, n, n, n, n]
    },
)];

struct TreeSolve;
impl Prim for TreeSolve {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let n = args.size(7);
        // SAFETY: the output has 2 n elements and overlaps no input.
        let out = unsafe { args.slice_mut::<T>(0, 2 * n) };
        // SAFETY: each input has n elements.
        let [diag, up, down, right, parent, order] = [1, 2, 3, 4, 5, 6].map(|k| unsafe { args.slice::<T>(k, n) });
        let (x, rest) = out.split_at_mut(n);
        x.copy_from_slice(right);
        rest.copy_from_slice(diag);
        let index = |v: T| v.to_f64() as usize;
        for at in order.iter().rev() {
            let i = index(*at);
            if parent[i] >= T::ZERO {
                let p = index(parent[i]);
                let factor = down[i] / rest[i];
                rest[p] = rest[p] - factor * up[i];
                x[p] = x[p] - factor * x[i];
            }
        }
        for at in order {
            let i = index(*at);
            if parent[i] >= T::ZERO {
                x[i] = x[i] - up[i] * x[index(parent[i])];
            }
            x[i] = x[i] / rest[i];
        }
        status::OK
    }
}
