//! Buffers for kernels: 64-byte aligned, zeroed, and padded so that whole vectors may be computed at the end.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Alignment of every buffer, in bytes.
pub const ALIGNMENT: usize = 64;
/// Allocations are rounded up to a multiple of this many elements.
pub const PADDING: usize = 16;

/// Buffers of so many bytes lie on large pages where the system has them: rows of connections are read in no order, and
/// with small pages most of the time goes into finding them.
const LARGE: usize = 8 << 20;
const LARGE_PAGE: usize = 2 << 20;

/// The number types that a buffer can be seen as: every bit pattern of theirs is a value.
///
/// # Safety
/// Implementors have no padding, no invalid bit patterns and an alignment of at most [`ALIGNMENT`].
pub unsafe trait Plain: Copy + 'static {}
// SAFETY: numbers of 1, 4 or 8 bytes.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for i64 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for f64 {}

/// An allocation failed, or its size is beyond what can be addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot allocate {elements} elements of {size} bytes")]
pub struct OutOfMemory {
    pub elements: usize,
    pub size: usize,
}

/// A buffer of plain numbers.
pub struct Aligned {
    start: NonNull<u8>,
    layout: Layout,
    /// Bytes in use, without padding.
    used: usize,
}

// SAFETY: the buffer owns its bytes; shared access is read-only.
unsafe impl Send for Aligned {}
// SAFETY: as above.
unsafe impl Sync for Aligned {}

impl Aligned {
    /// `len` elements of zero, padded.
    pub fn zeroed<T: Plain>(len: usize) -> Result<Aligned, OutOfMemory> {
        let size = size_of::<T>();
        let error = OutOfMemory { elements: len, size };
        let padded = len.max(1).checked_next_multiple_of(PADDING).ok_or(error)?;
        let bytes = padded.checked_mul(size).ok_or(error)?;
        let alignment = if bytes >= LARGE { LARGE_PAGE } else { ALIGNMENT };
        let layout = Layout::from_size_align(bytes, alignment).map_err(|_| error)?;
        let start = zeros(layout).ok_or(error)?;
        Ok(Aligned { start, layout, used: len * size })
    }

    pub fn from_slice<T: Plain>(values: &[T]) -> Result<Aligned, OutOfMemory> {
        let mut buffer = Aligned::zeroed::<T>(values.len())?;
        buffer.view_mut::<T>().copy_from_slice(values);
        Ok(buffer)
    }

    /// The elements in use, without padding.
    pub fn view<T: Plain>(&self) -> &[T] {
        // SAFETY: the bytes in use are initialised, aligned for every plain type, and any bits are a value.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.used / size_of::<T>()) }
    }

    /// The elements in use, without padding.
    pub fn view_mut<T: Plain>(&mut self) -> &mut [T] {
        // SAFETY: as for `view`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.used / size_of::<T>()) }
    }

    pub fn f32(&self) -> &[f32] {
        self.view()
    }

    pub fn f64(&self) -> &[f64] {
        self.view()
    }

    pub fn u32(&self) -> &[u32] {
        self.view()
    }

    pub fn i64(&self) -> &[i64] {
        self.view()
    }

    pub fn f32_mut(&mut self) -> &mut [f32] {
        self.view_mut()
    }

    pub fn f64_mut(&mut self) -> &mut [f64] {
        self.view_mut()
    }

    pub fn u32_mut(&mut self) -> &mut [u32] {
        self.view_mut()
    }

    pub fn i64_mut(&mut self) -> &mut [i64] {
        self.view_mut()
    }

    /// The address of the first element, for compiled code.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub fn as_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    /// Bytes in use, without padding.
    pub fn used_bytes(&self) -> usize {
        self.used
    }

    /// Bytes with padding.
    pub fn allocated_bytes(&self) -> usize {
        self.layout.size()
    }

    /// A copy, padding included.
    pub fn duplicate(&self) -> Result<Aligned, OutOfMemory> {
        let error = OutOfMemory { elements: self.layout.size(), size: 1 };
        let start = zeros(self.layout).ok_or(error)?;
        // SAFETY: both allocations have the layout's size and are distinct.
        unsafe { std::ptr::copy_nonoverlapping(self.start.as_ptr(), start.as_ptr(), self.layout.size()) };
        Ok(Aligned { start, layout: self.layout, used: self.used })
    }

    pub fn set_zero(&mut self) {
        // SAFETY: the whole allocation is ours.
        unsafe { std::ptr::write_bytes(self.start.as_ptr(), 0, self.layout.size()) };
    }
}

/// Memory of a layout of at least 16 bytes, all zero.
fn zeros(layout: Layout) -> Option<NonNull<u8>> {
    if layout.align() < LARGE_PAGE {
        // SAFETY: the layout has at least 16 bytes.
        return NonNull::new(unsafe { alloc_zeroed(layout) });
    }
    // SAFETY: as above.
    let start = NonNull::new(unsafe { alloc(layout) })?;
    advise_large(start, layout.size());
    // SAFETY: the whole allocation is ours.
    unsafe { std::ptr::write_bytes(start.as_ptr(), 0, layout.size()) };
    Some(start)
}

/// Asks for large pages, before the first touch of the memory decides.
#[cfg(target_os = "linux")]
fn advise_large(start: NonNull<u8>, bytes: usize) {
    use std::ffi::{c_int, c_void};
    unsafe extern "C" {
        fn madvise(start: *mut c_void, bytes: usize, advice: c_int) -> c_int;
    }
    const MADV_HUGEPAGE: c_int = 14;
    // SAFETY: the memory is ours, and the advice changes nothing that a program sees. Refusal costs time alone.
    let _ = unsafe { madvise(start.as_ptr().cast(), bytes, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise_large(_: NonNull<u8>, _: usize) {}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, freed once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

impl std::fmt::Debug for Aligned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Aligned({} bytes)", self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_aligned_padded_and_zero() {
        for len in [0usize, 1, 15, 16, 17, 1000, 1_100_000] {
            let buffer = Aligned::zeroed::<f64>(len).unwrap();
            assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0);
            assert_eq!(buffer.allocated_bytes() % (PADDING * 8), 0);
            assert!(buffer.allocated_bytes() >= 128 && buffer.allocated_bytes() >= len * 8);
            assert_eq!(buffer.f64(), vec![0.0; len]);
        }
    }

    #[test]
    fn views_and_copies_agree() {
        let mut a = Aligned::from_slice(&[1u32, 2, 3]).unwrap();
        let b = a.duplicate().unwrap();
        a.u32_mut()[1] = 7;
        assert_eq!((a.u32(), b.u32()), (&[1, 7, 3][..], &[1, 2, 3][..]));
        a.set_zero();
        assert_eq!(a.u32(), [0; 3]);
    }

    #[test]
    fn refuses_what_cannot_be_addressed() {
        let error = Aligned::zeroed::<f64>(usize::MAX / 4).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot allocate {} elements of 8 bytes", usize::MAX / 4));
        assert!(Aligned::zeroed::<f64>(usize::MAX).is_err());
    }
}
