//! The binary interface between compiled kernels and the precompiled primitives they call.
//!
//! A kernel is `fn(buffers, slots) -> status`. A primitive gets one 64-bit word an argument: a buffer argument is the
//! address of its first element, an integer is an `i64`, a real the bits of an `f64`. Each primitive exists for both
//! precisions of "real" buffers. Status 0 is good; anything else ends the kernel at once with that status.

/// A compiled kernel: base addresses of its buffers in declared order, and its integer slots.
pub type KernelFn = unsafe extern "C" fn(buffers: *const *mut u8, slots: *mut i64) -> i32;

/// A primitive's entry point.
pub type PrimFn = unsafe extern "C" fn(args: *const u64) -> i32;

/// What one argument of a primitive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// A buffer of the kernel's precision that is read.
    In,
    /// A buffer of the kernel's precision that is written (and may be read).
    Out,
    /// A buffer of `u32` that is read / written.
    InIndex,
    OutIndex,
    /// A buffer of `i64` that is written.
    OutCount,
    Int,
    Real,
}

/// One primitive: its name in printed kernels, what it computes, its arguments.
pub struct PrimDef {
    pub name: &'static str,
    /// The formula, in terms of the argument names.
    pub about: &'static str,
    pub args: &'static [(&'static str, ArgKind)],
    pub f32: PrimFn,
    pub f64: PrimFn,
    /// How many elements of each buffer argument a call touches, in order of the buffer arguments, given the integer
    /// arguments in their order: what the checked interpreter holds against the buffers' lengths.
    pub reach: fn(ints: &[i64]) -> Vec<i64>,
}

/// What is larger has diverged: no quantity comes near it, in any unit.
pub const LARGEST: f64 = 1e100;

/// Status words that a kernel may return.
pub mod status {
    pub const OK: i32 = 0;
    /// A spike or event log is full: drain it and go on from the step in slot 0.
    pub const LOG_FULL: i32 = 1;
    /// A primitive met a value that is NaN, infinite or beyond [`LARGEST`](super::LARGEST).
    pub const NOT_FINITE: i32 = 2;
    /// An index is no whole number inside of its axis.
    pub const OUTSIDE: i32 = 3;
    /// Another of the threads that go through the kernel together has ended it.
    pub const LEFT: i32 = 71;
    /// A primitive panicked or met an impossible argument.
    pub const BUG: i32 = 70;
}
