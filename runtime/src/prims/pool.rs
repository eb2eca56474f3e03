//! Pooling of planes `[height, width]`: whole windows only, the first maximum wins, NaN being the largest.

use super::call::{Args, Float, Prim, def};
use super::reduce::is_larger;
use crate::abi::ArgKind::{self, In, Int, Out};
use crate::abi::{PrimDef, status};

const INTS: usize = 9;

const fn with_sizes<const N: usize>(buffers: &[(&'static str, ArgKind)]) -> [(&'static str, ArgKind); N] {
    let names = ["planes", "height", "width", "out_h", "out_w", "size_h", "size_w", "stride_h", "stride_w"];
    let mut args = [("", Int); N];
    let mut k = 0;
    while k < N {
        args[k] = if k < buffers.len() { buffers[k] } else { (names[k - buffers.len()], Int) };
        k += 1;
    }
    args
}

static TWO: [(&str, ArgKind); 2 + INTS] = with_sizes(&[("out", Out), ("src", In)]);
static THREE: [(&str, ArgKind); 3 + INTS] = with_sizes(&[("out", Out), ("x", In), ("src", In)]);

pub(super) static PRIMS: &[PrimDef] = &[
    def::<MaxPool>("max_pool", "out[p, i, j] = the largest of window (i, j) of src[p]", &TWO, |n| {
        vec![small(n), large(n)]
    }),
    def::<MaxPoolGrad>(
        "max_pool_grad",
        "out = 0, then out[p, place of the first maximum of window (i, j) of x[p]] += src[p, i, j]",
        &THREE,
        |n| vec![large(n), large(n), small(n)],
    ),
    def::<MaxPoolTake>(
        "max_pool_take",
        "out[p, i, j] = src[p, place of the first maximum of window (i, j) of x[p]]",
        &THREE,
        |n| vec![small(n), large(n), large(n)],
    ),
    def::<AvgPool>("avg_pool", "out[p, i, j] = the mean of window (i, j) of src[p]", &TWO, |n| {
        vec![small(n), large(n)]
    }),
    def::<AvgPoolGrad>(
        "avg_pool_grad",
        "out = 0, then out[p, each place of window (i, j)] += src[p, i, j] / window",
        &TWO,
        |n| vec![large(n), small(n)],
    ),
];

fn large(n: &[i64]) -> i64 {
    n[0] * n[1] * n[2]
}

fn small(n: &[i64]) -> i64 {
    n[0] * n[3] * n[4]
}

/// The sizes of a call: planes, image, output, window, stride.
struct Sizes([usize; INTS]);

impl Sizes {
    fn large(&self) -> usize {
        self.0[..3].iter().product()
    }

    fn small(&self) -> usize {
        self.0[0] * self.0[3] * self.0[4]
    }

    fn window(&self) -> usize {
        self.0[5] * self.0[6]
    }

    /// Each window, by its place in the output, with the place of its first element.
    fn for_each_window(&self, mut visit: impl FnMut(usize, usize)) {
        let [planes, height, width, out_h, out_w, _, _, stride_h, stride_w] = self.0;
        for p in 0..planes {
            for i in 0..out_h {
                for j in 0..out_w {
                    visit((p * out_h + i) * out_w + j, (p * height + i * stride_h) * width + j * stride_w);
                }
            }
        }
    }

    /// The places of a window's elements.
    fn places(&self, first: usize) -> impl Iterator<Item = usize> {
        let (rows, columns, width) = (self.0[5], self.0[6], self.0[2]);
        (0..rows).flat_map(move |u| (0..columns).map(move |v| first + u * width + v))
    }

    /// The largest of each window, tile by tile of a row of the output: `visit(first output, first element of the
    /// first window, the largest, where in its window each is)`. The first maximum wins.
    fn for_each_largest<T: Float>(&self, x: &[T], mut visit: impl FnMut(usize, usize, &[T], &[u32])) {
        let [planes, height, width, out_h, out_w, _, columns, stride_h, stride_w] = self.0;
        let (mut best, mut place) = ([T::ZERO; TILE], [0u32; TILE]);
        for row in 0..planes * out_h {
            let (p, i) = (row / out_h, row % out_h);
            for j in (0..out_w).step_by(TILE) {
                let n = TILE.min(out_w - j);
                let first = (p * height + i * stride_h) * width + j * stride_w;
                let (best, place) = (&mut best[..n], &mut place[..n]);
                if self.halves() && x.len() >= first + width + 2 * n {
                    largest_of_four(&x[first..first + 2 * n], &x[first + width..first + width + 2 * n], best, place);
                } else {
                    for k in 0..self.window() {
                        let from = first + k / columns * width + k % columns;
                        larger(&x[from..], stride_w, k as u32, best, place);
                    }
                }
                visit(row * out_w + j, first, best, place);
            }
        }
    }

    /// Whether the windows are the usual ones, of two rows and two columns side by side.
    fn halves(&self) -> bool {
        self.0[5..] == [2, 2, 2, 2]
    }

    /// The place of a window's k-th element, from that of its first.
    fn offset(&self, k: u32) -> usize {
        let (columns, width) = (self.0[6], self.0[2]);
        k as usize / columns * width + k as usize % columns
    }
}

/// Outputs that are looked for at a time.
const TILE: usize = 64;

/// The largest of each two by two, whose rows are given.
fn largest_of_four<T: Float>(top: &[T], bottom: &[T], best: &mut [T], place: &mut [u32]) {
    let pairs = top.chunks_exact(2).zip(bottom.chunks_exact(2));
    for ((best, place), (a, b)) in best.iter_mut().zip(place).zip(pairs) {
        let (upper, up) = if is_larger(a[1], a[0]) { (a[1], 1) } else { (a[0], 0) };
        let (third, at) = if is_larger(b[0], upper) { (b[0], 2) } else { (upper, up) };
        (*best, *place) = if is_larger(b[1], third) { (b[1], 3) } else { (third, at) };
    }
}

/// Takes the k-th elements of the windows where they are larger than those before; the first ones always.
fn larger<T: Float>(x: &[T], stride: usize, k: u32, best: &mut [T], place: &mut [u32]) {
    let n = best.len();
    match stride {
        1 => take_larger(x[..n].iter().copied(), k, best, place),
        // Whole pairs, so that the loop has no end to look out for.
        2 if x.len() >= 2 * n => take_larger(x[..2 * n].chunks_exact(2).map(|pair| pair[0]), k, best, place),
        _ => take_larger(x.iter().step_by(stride).copied(), k, best, place),
    }
}

#[inline(always)]
fn take_larger<T: Float>(x: impl Iterator<Item = T>, k: u32, best: &mut [T], place: &mut [u32]) {
    for ((x, best), place) in x.zip(best).zip(place) {
        let take = k == 0 || is_larger(x, *best);
        *best = if take { x } else { *best };
        *place = if take { k } else { *place };
    }
}

struct MaxPool;
impl Prim for MaxPool {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let s = Sizes(args.sizes(2));
        // SAFETY: each reaches its size.
        let (out, src) = unsafe { (args.slice_mut::<T>(0, s.small()), args.slice::<T>(1, s.large())) };
        s.for_each_largest(src, |y, _, best, _| out[y..y + best.len()].copy_from_slice(best));
        status::OK
    }
}

struct MaxPoolGrad;
impl Prim for MaxPoolGrad {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let s = Sizes(args.sizes(3));
        // SAFETY: each reaches its size.
        let (out, x, src) = unsafe {
            (args.slice_mut::<T>(0, s.large()), args.slice::<T>(1, s.large()), args.slice::<T>(2, s.small()))
        };
        out.fill(T::ZERO);
        let stride = s.0[8];
        s.for_each_largest(x, |y, first, _, place| {
            for (j, (k, dy)) in place.iter().zip(&src[y..]).enumerate() {
                out[first + j * stride + s.offset(*k)] += *dy;
            }
        });
        status::OK
    }
}

struct MaxPoolTake;
impl Prim for MaxPoolTake {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let s = Sizes(args.sizes(3));
        // SAFETY: each reaches its size.
        let (out, x, src) = unsafe {
            (args.slice_mut::<T>(0, s.small()), args.slice::<T>(1, s.large()), args.slice::<T>(2, s.large()))
        };
        let stride = s.0[8];
        s.for_each_largest(x, |y, first, _, place| {
            for (j, (k, out)) in place.iter().zip(&mut out[y..]).enumerate() {
                *out = src[first + j * stride + s.offset(*k)];
            }
        });
        status::OK
    }
}

struct AvgPool;
impl Prim for AvgPool {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let s = Sizes(args.sizes(2));
        // SAFETY: each reaches its size.
        let (out, src) = unsafe { (args.slice_mut::<T>(0, s.small()), args.slice::<T>(1, s.large())) };
        let window = T::from_f64(s.window() as f64);
        s.for_each_window(|y, first| out[y] = s.places(first).fold(T::ZERO, |sum, k| sum + src[k]) / window);
        status::OK
    }
}

struct AvgPoolGrad;
impl Prim for AvgPoolGrad {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let s = Sizes(args.sizes(2));
        // SAFETY: each reaches its size.
        let (out, src) = unsafe { (args.slice_mut::<T>(0, s.large()), args.slice::<T>(1, s.small())) };
        let window = T::from_f64(s.window() as f64);
        out.fill(T::ZERO);
        s.for_each_window(|y, first| s.places(first).for_each(|k| out[k] += src[y] / window));
        status::OK
    }
}
