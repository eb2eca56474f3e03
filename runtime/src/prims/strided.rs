//! Copies between an array and a regular part of another: broadcast, permutation, slices, concatenation, reversal.

use super::call::{Args, Float, Prim, def};
use crate::abi::ArgKind::{In, Int, Out};
use crate::abi::{ArgKind, PrimDef, status};

/// Axes that a call can have; unused leading ones have extent 1.
pub const AXES: usize = 8;

const fn arguments() -> [(&'static str, ArgKind); 2 + 2 * AXES + 1] {
    let mut args = [("start", Int); 2 + 2 * AXES + 1];
    args[0] = ("out", Out);
    args[1] = ("src", In);
    let (extents, strides) =
        (["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"], ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"]);
    let mut k = 0;
    while k < AXES {
        args[2 + k] = (extents[k], Int);
        args[2 + AXES + k] = (strides[k], Int);
        k += 1;
    }
    args
}

static ARGUMENTS: [(&str, ArgKind); 2 + 2 * AXES + 1] = arguments();

pub(super) static PRIMS: &[PrimDef] = &[
    def::<Take>("take", "out[i0, …, i7] = src[start + Σ i·s] for each i < n, out dense", &ARGUMENTS, |ints| {
        vec![dense(ints), part(ints)]
    }),
    def::<Put>(
        "put",
        "out[start + Σ i·s] = src[i0, …, i7] for each i < n, src dense; the places are distinct",
        &ARGUMENTS,
        |ints| vec![part(ints), dense(ints)],
    ),
];

fn dense(ints: &[i64]) -> i64 {
    ints.iter().take(AXES).product()
}

/// One more than the largest place.
fn part(ints: &[i64]) -> i64 {
    if dense(ints) <= 0 {
        return 0;
    }
    let last = |k: usize| ((ints[k] - 1) * ints[AXES + k]).max(0);
    ints[2 * AXES] + (0..AXES).map(last).sum::<i64>() + 1
}

/// The rows of a strided part: `visit(place of the row's first element, row number)`.
fn for_each_row(n: &[usize; AXES], s: &[i64; AXES], start: i64, mut visit: impl FnMut(i64, usize)) {
    let rows: usize = n[..AXES - 1].iter().product();
    let (mut index, mut place) = ([0usize; AXES], start);
    for row in 0..rows {
        visit(place, row);
        for k in (0..AXES - 1).rev() {
            index[k] += 1;
            place += s[k];
            if index[k] < n[k] {
                break;
            }
            place -= s[k] * n[k] as i64;
            index[k] = 0;
        }
    }
}

struct Take;
impl Prim for Take {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let (n, s, start) = (args.sizes::<AXES>(2), args.ints::<AXES>(2 + AXES), args.int(2 + 2 * AXES));
        let (len, stride) = (n[AXES - 1], s[AXES - 1]);
        let src = args.pointer::<T>(1);
        // SAFETY: out reaches the product of the extents.
        let out = unsafe { args.slice_mut::<T>(0, n.iter().product()) };
        for_each_row(&n, &s, start, |place, row| {
            let to = &mut out[row * len..(row + 1) * len];
            // SAFETY: the places of this row lie in src.
            unsafe {
                let from = src.offset(place as isize);
                match stride {
                    0 if len > 0 => to.fill(*from),
                    1 => to.copy_from_slice(std::slice::from_raw_parts(from, len)),
                    _ => to.iter_mut().enumerate().for_each(|(i, x)| *x = *from.offset(i as isize * stride as isize)),
                }
            }
        });
        status::OK
    }
}

struct Put;
impl Prim for Put {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let (n, s, start) = (args.sizes::<AXES>(2), args.ints::<AXES>(2 + AXES), args.int(2 + 2 * AXES));
        let (len, stride) = (n[AXES - 1], s[AXES - 1]);
        let out = args.pointer::<T>(0);
        // SAFETY: src reaches the product of the extents.
        let src = unsafe { args.slice::<T>(1, n.iter().product()) };
        for_each_row(&n, &s, start, |place, row| {
            let from = &src[row * len..(row + 1) * len];
            // SAFETY: the places of this row lie in out.
            unsafe {
                let to = out.offset(place as isize);
                match stride {
                    1 => std::slice::from_raw_parts_mut(to, len).copy_from_slice(from),
                    _ => from.iter().enumerate().for_each(|(i, x)| *to.offset(i as isize * stride as isize) = *x),
                }
            }
        });
        status::OK
    }
}
