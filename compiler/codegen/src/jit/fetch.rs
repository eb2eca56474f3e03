//! Prefetching of the connections of a cell whose turn comes soon.

/// At most so many bytes of an array are asked for: a row's first lines; the machine follows from there.
const MOST: usize = 1024;
const LINE: usize = 64;

/// Asks for the elements `ptr[cell] .. end[cell]` of two arrays.
///
/// # Safety
/// `ptr` and `end` have an element `cell`. The arrays may be anywhere: prefetching does not access.
pub(crate) unsafe extern "C" fn fetch_row(
    cell: u64,
    ptr: *const u32,
    end: *const u32,
    a: usize,
    a_size: usize,
    b: usize,
    b_size: usize,
) {
    // SAFETY: the caller's.
    let (from, to) = unsafe { (*ptr.add(cell as usize) as usize, *end.add(cell as usize) as usize) };
    for (array, size) in [(a, a_size), (b, b_size)] {
        let start = array.wrapping_add(from.wrapping_mul(size));
        let bytes = to.saturating_sub(from).wrapping_mul(size).min(MOST);
        for distance in (0..bytes).step_by(LINE) {
            prefetch(start.wrapping_add(distance));
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch(address: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint; any address may be given.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address as *const i8) };
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: usize) {}
