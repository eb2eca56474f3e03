//! Access by index: gather, its reverse, and the rows of a data set. An index outside of its axis is refused.

use super::call::{Args, Float, Prim, def, span};
use super::reduce::{Join, Max, Min, Sum};
use crate::abi::ArgKind::{In, InIndex, Int, Out};
use crate::abi::{PrimDef, status};

/// A row of the table for one way of joining what has the same index.
macro_rules! scatter {
    ($index:ident, $join:ident, $name:literal, $kind:ident, $formula:literal) => {
        def::<Scatter<$index, $join>>(
            $name,
            $formula,
            &[
                ("out", Out),
                ("src", In),
                ("index", $kind),
                ("batch", Int),
                ("outer", Int),
                ("extent", Int),
                ("count", Int),
                ("inner", Int),
                ("step_out", Int),
                ("step_src", Int),
                ("step_index", Int),
            ],
            scatter_reach,
        )
    };
}

pub(super) static PRIMS: &[PrimDef] = &[
    def::<Gather<Real>>(
        "gather",
        "out[p, o, j, i] = src[p·step_src ..][o, index[p·step_index + j], i] for p < batch, o < outer, j < count, i < inner; \
         index < extent",
        &[
            ("out", Out),
            ("src", In),
            ("index", In),
            ("batch", Int),
            ("outer", Int),
            ("extent", Int),
            ("count", Int),
            ("inner", Int),
            ("step_src", Int),
            ("step_index", Int),
        ],
        gather_reach,
    ),
    def::<Gather<Whole>>(
        "gather_at",
        "`gather` with an array of u32 indices",
        &[
            ("out", Out),
            ("src", In),
            ("index", InIndex),
            ("batch", Int),
            ("outer", Int),
            ("extent", Int),
            ("count", Int),
            ("inner", Int),
            ("step_src", Int),
            ("step_index", Int),
        ],
        gather_reach,
    ),
    scatter!(
        Real,
        Sum,
        "scatter_add",
        In,
        "out = 0, then out[p·step_out ..][o, index[p·step_index + j], i] += src[p·step_src ..][o, j, i]; step_out 0 sums over p"
    ),
    scatter!(Whole, Sum, "scatter_add_at", InIndex, "`scatter_add` with an array of u32 indices"),
    scatter!(Real, Max, "scatter_max", In, "`scatter_add` with -inf and the larger in place of 0 and the sum"),
    scatter!(Whole, Max, "scatter_max_at", InIndex, "`scatter_max` with an array of u32 indices"),
    scatter!(Real, Min, "scatter_min", In, "`scatter_add` with inf and the smaller in place of 0 and the sum"),
    scatter!(Whole, Min, "scatter_min_at", InIndex, "`scatter_min` with an array of u32 indices"),
    def::<Fetch>(
        "fetch",
        "into[b, j] = from[index[b], j] for b < batch, j < width; index < rows",
        &[("into", Out), ("from", In), ("index", InIndex), ("batch", Int), ("width", Int), ("rows", Int)],
        |ints| {
            let [batch, width, rows] = *ints else { return vec![] };
            vec![batch * width, rows * width, batch]
        },
    ),
];

fn gather_reach(ints: &[i64]) -> Vec<i64> {
    let [batch, outer, extent, count, inner, step_src, step_index] = *ints else { return vec![] };
    let out = batch.max(0) * outer * count * inner;
    vec![out, span(batch, step_src, outer * extent * inner), span(batch, step_index, count)]
}

fn scatter_reach(ints: &[i64]) -> Vec<i64> {
    let [batch, outer, extent, count, inner, step_out, step_src, step_index] = *ints else { return vec![] };
    let (whole, part) = (outer * extent * inner, outer * count * inner);
    let out = if step_out == 0 { whole } else { span(batch, step_out, whole) };
    vec![out, span(batch, step_src, part), span(batch, step_index, count)]
}

/// How indices are stored.
trait Index {
    /// Index k of an argument, where it is a whole number below `extent`.
    ///
    /// # Safety
    /// The argument reaches k.
    unsafe fn get<T: Float>(args: Args, arg: usize, k: usize, extent: usize) -> Option<usize>;
}

/// As numbers of the kernel's precision.
struct Real;
impl Index for Real {
    unsafe fn get<T: Float>(args: Args, arg: usize, k: usize, extent: usize) -> Option<usize> {
        // SAFETY: the caller's.
        let value = unsafe { *args.pointer::<T>(arg).add(k) }.to_f64();
        let place = value as usize;
        (value >= 0.0 && place < extent && place as f64 == value).then_some(place)
    }
}

/// As u32.
struct Whole;
impl Index for Whole {
    unsafe fn get<T: Float>(args: Args, arg: usize, k: usize, extent: usize) -> Option<usize> {
        // SAFETY: the caller's.
        let value = unsafe { *args.pointer::<u32>(arg).add(k) } as usize;
        (value < extent).then_some(value)
    }
}

struct Gather<I>(std::marker::PhantomData<I>);
impl<I: Index> Prim for Gather<I> {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [batch, outer, extent, count, inner, step_src, step_index] = args.sizes(3);
        let src = args.pointer::<T>(1);
        // SAFETY: out reaches the product of its extents.
        let out = unsafe { args.slice_mut::<T>(0, batch * outer * count * inner) };
        if inner == 0 {
            return status::OK;
        }
        for (row, to) in out.chunks_exact_mut(inner).enumerate() {
            let (p, o, j) = (row / (outer * count), row / count % outer, row % count);
            // SAFETY: index j of sample p is within reach.
            let Some(index) = (unsafe { I::get::<T>(args, 2, p * step_index + j, extent) }) else {
                return status::OUTSIDE;
            };
            // SAFETY: the row lies in sample p of src.
            let from =
                unsafe { std::slice::from_raw_parts(src.add(p * step_src + (o * extent + index) * inner), inner) };
            to.copy_from_slice(from);
        }
        status::OK
    }
}

struct Scatter<I, J>(std::marker::PhantomData<(I, J)>);
impl<I: Index, J: Join> Prim for Scatter<I, J> {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [batch, outer, extent, count, inner, step_out, step_src, step_index] = args.sizes(3);
        let whole = outer * extent * inner;
        let reach = if step_out == 0 { whole } else { batch.saturating_sub(1) * step_out + whole * batch.min(1) };
        // SAFETY: out reaches that far.
        let out = unsafe { args.slice_mut::<T>(0, reach) };
        out.fill(J::start());
        for p in 0..batch {
            // SAFETY: src reaches sample p.
            let src =
                unsafe { std::slice::from_raw_parts(args.pointer::<T>(1).add(p * step_src), outer * count * inner) };
            for j in 0..count {
                // SAFETY: index j of sample p is within reach.
                let Some(index) = (unsafe { I::get::<T>(args, 2, p * step_index + j, extent) }) else {
                    return status::OUTSIDE;
                };
                for o in 0..outer {
                    let to = p * step_out + (o * extent + index) * inner;
                    let from = (o * count + j) * inner;
                    out[to..to + inner]
                        .iter_mut()
                        .zip(&src[from..from + inner])
                        .for_each(|(to, from)| *to = J::join(*to, *from));
                }
            }
        }
        status::OK
    }
}

struct Fetch;
impl Prim for Fetch {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [batch, width, rows] = args.sizes(3);
        // SAFETY: each reaches as far as the formula.
        let (into, from, index) = unsafe {
            (args.slice_mut::<T>(0, batch * width), args.slice::<T>(1, rows * width), args.slice::<u32>(2, batch))
        };
        for (row, index) in into.chunks_exact_mut(width.max(1)).zip(index) {
            let start = *index as usize * width;
            let Some(source) = from.get(start..start + width) else { return status::BUG };
            row.copy_from_slice(source);
        }
        status::OK
    }
}
