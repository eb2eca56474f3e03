//! Convolution by image: the windows as columns, then a matrix product for each group.
//!
//! Images are `[channels, height, width]`, weights `[outs, channels / groups, kernel_h, kernel_w]`; `work` holds the columns of
//! one group of one image, `[channels / groups · kernel_h · kernel_w, out_h · out_w]`.

use super::call::{Args, Float, Prim, def, span};
use crate::abi::ArgKind::{self, In, Int, Out};
use crate::abi::{PrimDef, status};

const INTS: usize = 17;

const fn arguments(buffers: [&'static str; 3]) -> [(&'static str, ArgKind); 4 + INTS] {
    let names = [
        "batch", "channels", "height", "width", "outs", "kernel_h", "kernel_w", "out_h", "out_w", "stride_h",
        "stride_w", "pad_h", "pad_w", "groups", "step_x", "step_w", "step_y",
    ];
    let mut args = [(buffers[0], Out); 4 + INTS];
    args[1] = (buffers[1], In);
    args[2] = (buffers[2], In);
    args[3] = ("work", Out);
    let mut k = 0;
    while k < INTS {
        args[4 + k] = (names[k], Int);
        k += 1;
    }
    args
}

static FORWARD: [(&str, ArgKind); 21] = arguments(["y", "x", "w"]);
static INPUT_GRAD: [(&str, ArgKind); 21] = arguments(["dx", "dy", "w"]);
static WEIGHT_GRAD: [(&str, ArgKind); 21] = arguments(["dw", "x", "dy"]);

pub(super) static PRIMS: &[PrimDef] = &[
    def::<Forward>(
        "conv2d",
        "y[o, i, j] = Σ x[c, i·stride_h - pad_h + u, j·stride_w - pad_w + v] · w[o, c, u, v], for each sample",
        &FORWARD,
        |ints| reach(ints, |[x, w, y]| [y, x, w]),
    ),
    def::<InputGrad>(
        "conv2d_input_grad",
        "dx[c, i·stride_h - pad_h + u, …] = Σ dy[o, i, j] · w[o, c, u, v], for each sample",
        &INPUT_GRAD,
        |ints| reach(ints, |[x, w, y]| [x, y, w]),
    ),
    def::<WeightGrad>(
        "conv2d_weight_grad",
        "dw[o, c, u, v] = Σ x[c, i·stride_h - pad_h + u, …] · dy[o, i, j], for each sample; step_w 0 sums over samples",
        &WEIGHT_GRAD,
        |ints| reach(ints, |[x, w, y]| [w, x, y]),
    ),
];

fn reach(ints: &[i64], order: fn([i64; 3]) -> [i64; 3]) -> Vec<i64> {
    let [batch, channels, height, width, outs, kh, kw, oh, ow, _, _, _, _, groups, sx, sw, sy] = *ints else {
        return vec![];
    };
    let columns = channels / groups.max(1) * kh * kw;
    let weights = if sw == 0 { outs * columns } else { span(batch, sw, outs * columns) };
    let buffers = [span(batch, sx, channels * height * width), weights, span(batch, sy, outs * oh * ow)];
    [&order(buffers)[..], &[columns * oh * ow]].concat()
}

/// The sizes of a call.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    height: usize,
    width: usize,
    kernel: [usize; 2],
    out: [usize; 2],
    stride: [usize; 2],
    pad: [usize; 2],
    groups: usize,
    /// Channels and outputs of one group.
    channels: usize,
    outs: usize,
    steps: [usize; 3],
}

impl Sizes {
    fn of(args: Args) -> Sizes {
        let n = args.sizes::<INTS>(4);
        let groups = n[13].max(1);
        Sizes {
            batch: n[0],
            height: n[2],
            width: n[3],
            kernel: [n[5], n[6]],
            out: [n[7], n[8]],
            stride: [n[9], n[10]],
            pad: [n[11], n[12]],
            groups,
            channels: n[1] / groups,
            outs: n[4] / groups,
            steps: [n[14], n[15], n[16]],
        }
    }

    /// Elements of a group's image, columns' height, columns' width.
    fn image(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn column(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }

    fn places(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// Whether every window lies in the image.
    fn within(&self) -> bool {
        let reach = |axis: usize| (self.out[axis] - 1) * self.stride[axis] + self.kernel[axis];
        reach(0) <= self.height + self.pad[0] && reach(1) <= self.width + self.pad[1]
    }

    /// Whether the columns are the image itself.
    fn plain(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.pad == [0, 0] && self.out == [self.height, self.width]
    }

    /// Each row of the columns that meets the image: its range in the columns, and the first element in the image.
    fn for_each_run(&self, mut visit: impl FnMut(std::ops::Range<usize>, usize)) {
        for row in 0..self.column() {
            let (c, u, v) =
                (row / (self.kernel[0] * self.kernel[1]), row / self.kernel[1] % self.kernel[0], row % self.kernel[1]);
            let (low, high) = inside(self.out[1], self.stride[1], self.pad[1], v, self.width);
            for i in 0..self.out[0] {
                let y = (i * self.stride[0] + u).wrapping_sub(self.pad[0]);
                if y < self.height && low < high {
                    let to = row * self.places() + i * self.out[1];
                    let from = (c * self.height + y) * self.width + low * self.stride[1] + v - self.pad[1];
                    visit(to + low..to + high, from);
                }
            }
        }
    }

    /// The columns of one image; what lies outside of it is 0.
    fn columns<T: Float>(&self, image: &[T], columns: &mut [T]) {
        if self.pad != [0, 0] || !self.within() {
            columns.fill(T::ZERO);
        }
        let stride = self.stride[1];
        self.for_each_run(|to, from| {
            let run = &mut columns[to];
            if stride == 1 {
                let len = run.len();
                run.copy_from_slice(&image[from..from + len]);
            } else {
                run.iter_mut().enumerate().for_each(|(j, x)| *x = image[from + j * stride]);
            }
        });
    }

    /// The reverse: the columns' elements added to where they come from.
    fn add_columns<T: Float>(&self, columns: &[T], image: &mut [T]) {
        let stride = self.stride[1];
        self.for_each_run(|from, to| {
            let run = &columns[from];
            if stride == 1 {
                image[to..to + run.len()].iter_mut().zip(run).for_each(|(y, x)| *y += *x);
            } else {
                run.iter().enumerate().for_each(|(j, x)| image[to + j * stride] += *x);
            }
        });
    }
}

/// The outputs j in low .. high for which `j * stride + v - pad` lies in the image.
fn inside(outs: usize, stride: usize, pad: usize, v: usize, width: usize) -> (usize, usize) {
    let low = pad.saturating_sub(v).div_ceil(stride.max(1));
    let high = (width + pad).saturating_sub(v).div_ceil(stride.max(1)).min(outs);
    (low, high)
}

/// `c (+)= a · b`, a of m x k and b of k x n, stored transposed where `t` says so.
fn product<T: Float>([m, k, n]: [usize; 3], a: &[T], b: &[T], c: &mut [T], t: [bool; 2], add: bool) {
    let strides = |t: bool, rows: usize, columns: usize| if t { [1, rows as isize] } else { [columns as isize, 1] };
    assert!(a.len() >= m * k && b.len() >= k * n && c.len() >= m * n);
    // SAFETY: the slices are long enough, and c is borrowed mutably.
    unsafe {
        T::gemm([m, k, n], (a.as_ptr(), strides(t[0], m, k)), (b.as_ptr(), strides(t[1], k, n)), c.as_mut_ptr(), add);
    }
}

/// Part `index` of size `len` of what starts at `pointer`.
///
/// # Safety
/// The pointer's buffer reaches that far.
unsafe fn part<'a, T>(pointer: *mut T, start: usize, len: usize) -> &'a [T] {
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts(pointer.add(start), len) }
}

/// # Safety
/// The pointer's buffer reaches that far and overlaps nothing else in use.
unsafe fn part_mut<'a, T>(pointer: *mut T, start: usize, len: usize) -> &'a mut [T] {
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts_mut(pointer.add(start), len) }
}

struct Forward;
impl Prim for Forward {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let s = Sizes::of(args);
        let (m, k, n) = (s.outs, s.column(), s.places());
        for (p, g) in (0..s.batch).flat_map(|p| (0..s.groups).map(move |g| (p, g))) {
            // SAFETY: sample p and group g lie within what the steps and sizes reach.
            unsafe {
                let x = part(args.pointer::<T>(1), p * s.steps[0] + g * s.image(), s.image());
                let w = part(args.pointer::<T>(2), p * s.steps[1] + g * m * k, m * k);
                let y = part_mut(args.pointer::<T>(0), p * s.steps[2] + g * m * n, m * n);
                let work = args.slice_mut::<T>(3, k * n);
                if s.plain() {
                    product([m, k, n], w, x, y, [false, false], false);
                } else {
                    s.columns(x, work);
                    product([m, k, n], w, work, y, [false, false], false);
                }
            }
        }
        status::OK
    }
}

struct InputGrad;
impl Prim for InputGrad {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let s = Sizes::of(args);
        let (m, k, n) = (s.outs, s.column(), s.places());
        for (p, g) in (0..s.batch).flat_map(|p| (0..s.groups).map(move |g| (p, g))) {
            // SAFETY: sample p and group g lie within what the steps and sizes reach.
            unsafe {
                let dx = part_mut(args.pointer::<T>(0), p * s.steps[0] + g * s.image(), s.image());
                let dy = part(args.pointer::<T>(1), p * s.steps[2] + g * m * n, m * n);
                let w = part(args.pointer::<T>(2), p * s.steps[1] + g * m * k, m * k);
                let work = args.slice_mut::<T>(3, k * n);
                if s.plain() {
                    product([k, m, n], w, dy, dx, [true, false], false);
                } else {
                    product([k, m, n], w, dy, work, [true, false], false);
                    dx.fill(T::ZERO);
                    s.add_columns(work, dx);
                }
            }
        }
        status::OK
    }
}

struct WeightGrad;
impl Prim for WeightGrad {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let s = Sizes::of(args);
        let (m, k, n) = (s.outs, s.column(), s.places());
        let sums = s.steps[1] == 0;
        if sums {
            // SAFETY: the gradient reaches its size.
            unsafe { args.slice_mut::<T>(0, s.groups * m * k) }.fill(T::ZERO);
        }
        for (p, g) in (0..s.batch).flat_map(|p| (0..s.groups).map(move |g| (p, g))) {
            // SAFETY: sample p and group g lie within what the steps and sizes reach.
            unsafe {
                let dw = part_mut(args.pointer::<T>(0), p * s.steps[1] + g * m * k, m * k);
                let x = part(args.pointer::<T>(1), p * s.steps[0] + g * s.image(), s.image());
                let dy = part(args.pointer::<T>(2), p * s.steps[2] + g * m * n, m * n);
                let work = args.slice_mut::<T>(3, k * n);
                if s.plain() {
                    product([m, n, k], dy, x, dw, [false, true], sums);
                } else {
                    s.columns(x, work);
                    product([m, n, k], dy, work, dw, [false, true], sums);
                }
            }
        }
        status::OK
    }
}
