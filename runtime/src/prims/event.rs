//! Events: from flags to index lists, from lists to logs, and the search for what has diverged.

use super::call::{Args, Float, Prim, def};
use super::level::by_level;
use crate::abi::ArgKind::{In, InIndex, Int, Out, OutCount, OutIndex};
use crate::abi::{PrimDef, status};

pub(super) static PRIMS: &[PrimDef] = &[
    def::<Compact>(
        "compact",
        "list = each i < n as often as flags[i] says (rounded up), in order; count[0] = their number, at most room",
        &[("list", OutIndex), ("count", OutCount), ("flags", In), ("n", Int), ("room", Int)],
        |ints| vec![ints[1], 1, ints[0]],
    ),
    def::<Log>(
        "log",
        "appends list[k] to log_cell and step to log_step for k < n, and adds n to log_count[0]; status 1 without room",
        &[
            ("log_cell", OutIndex),
            ("log_step", OutIndex),
            ("log_count", OutCount),
            ("list", InIndex),
            ("n", Int),
            ("step", Int),
            ("room", Int),
        ],
        |ints| vec![ints[2], ints[2], 1, ints[0]],
    ),
    def::<LogValues>(
        "log_values",
        "log[log_count[0] + k] = values[list[k]] for k < n, as far as there is room",
        &[
            ("log", Out),
            ("log_count", OutCount),
            ("values", In),
            ("list", InIndex),
            ("n", Int),
            ("cells", Int),
            ("room", Int),
        ],
        |ints| vec![ints[2], 1, ints[1], ints[0]],
    ),
    def::<FindBad>(
        "find_bad",
        "place[0] = the first i < n for which src[i] is NaN, infinite or beyond 1e100, else -1",
        &[("place", OutCount), ("src", In), ("n", Int)],
        |ints| vec![1, ints[0]],
    ),
];

const BLOCK: usize = 32;
/// So many flags are looked at one by one.
const FEW: usize = 4;

/// Writes the indices and gives their number, or `None` without room.
#[inline(always)]
fn compact_loop<T: Float>(list: &mut [u32], flags: &[T]) -> Option<usize> {
    let mut len = 0;
    for (block, values) in flags.chunks(BLOCK).enumerate() {
        if values.iter().fold(false, |any, x| any | (*x != T::ZERO)) {
            len = listed(list, len, block * BLOCK, values)?;
        }
    }
    Some(len)
}

fn listed<T: Float>(list: &mut [u32], mut len: usize, first: usize, values: &[T]) -> Option<usize> {
    for (i, x) in values.iter().enumerate() {
        if *x != T::ZERO {
            let times = x.to_f64().ceil().max(0.0) as usize;
            let end = len.checked_add(times)?;
            list.get_mut(len..end)?.fill((first + i) as u32);
            len = end;
        }
    }
    Some(len)
}

by_level! { fn compact<T>(list: &mut [u32], flags: &[T]) -> Option<usize> = compact_loop::<T> }

struct Compact;
impl Prim for Compact {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [n, room] = args.sizes(3);
        // SAFETY: each reaches as far as the formula.
        let (list, count, flags) =
            unsafe { (args.slice_mut::<u32>(0, room), args.slice_mut::<i64>(1, 1), args.slice::<T>(2, n)) };
        // Of a few cells mostly none has fired, and choosing code for the machine would take longer than looking.
        if n <= FEW && flags.iter().all(|x| *x == T::ZERO) {
            count[0] = 0;
            return status::OK;
        }
        let Some(len) = compact(list, flags) else { return status::BUG };
        count[0] = len as i64;
        status::OK
    }
}

struct Log;
impl Prim for Log {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let (n, step, room) = (args.size(4), args.int(5), args.size(6));
        // SAFETY: each reaches as far as the formula.
        let (cells, steps, count, list) = unsafe {
            (
                args.slice_mut::<u32>(0, room),
                args.slice_mut::<u32>(1, room),
                args.slice_mut::<i64>(2, 1),
                args.slice::<u32>(3, n),
            )
        };
        let used = usize::try_from(count[0]).unwrap_or(0);
        if n > room.saturating_sub(used) {
            return status::LOG_FULL;
        }
        cells[used..used + n].copy_from_slice(list);
        steps[used..used + n].fill(step as u32);
        count[0] += n as i64;
        status::OK
    }
}

struct LogValues;
impl Prim for LogValues {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let (n, cells, room) = (args.size(4), args.size(5), args.size(6));
        // SAFETY: each reaches as far as the formula.
        let (log, count, values, list) = unsafe {
            (
                args.slice_mut::<T>(0, room),
                args.slice_mut::<i64>(1, 1),
                args.slice::<T>(2, cells),
                args.slice::<u32>(3, n),
            )
        };
        let used = usize::try_from(count[0]).unwrap_or(0).min(room);
        for (to, cell) in log[used..].iter_mut().zip(list) {
            let Some(value) = values.get(*cell as usize) else { return status::BUG };
            *to = *value;
        }
        status::OK
    }
}

#[inline(always)]
fn bad_loop<T: Float>(values: &[T]) -> Option<usize> {
    for (block, part) in values.chunks(BLOCK).enumerate() {
        let is_bad = |x: &T| x.is_nan() | (x.abs() > T::LARGEST);
        if part.iter().fold(false, |any, x| any | is_bad(x)) {
            return part.iter().position(is_bad).map(|i| block * BLOCK + i);
        }
    }
    None
}

by_level! { fn bad<T>(values: &[T]) -> Option<usize> = bad_loop::<T> }

struct FindBad;
impl Prim for FindBad {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        // SAFETY: place reaches 1 and src n.
        let (place, src) = unsafe { (args.slice_mut::<i64>(0, 1), args.slice::<T>(1, args.size(2))) };
        place[0] = bad(src).map_or(-1, |i| i as i64);
        status::OK
    }
}
