//! Flushing of subnormal numbers to zero around compiled code: decaying traces would otherwise cost two to three times.
//!
//! The mode is a thread's. It applies to inputs (DAZ) and results (FTZ) of vector and scalar arithmetic.

use crate::abi::KernelFn;
use std::arch::{asm, naked_asm};
use std::marker::PhantomData;

/// Flush to zero, and denormals are zero.
const FLUSH: u32 = 1 << 15 | 1 << 6;

/// Sets the mode until it is dropped, then puts back what was there.
pub struct Flush {
    before: u32,
    /// The register belongs to the thread.
    not_send: PhantomData<*const ()>,
}

impl Flush {
    pub fn new() -> Flush {
        let before = control();
        set_control(before | FLUSH);
        Flush { before, not_send: PhantomData }
    }
}

impl Default for Flush {
    fn default() -> Flush {
        Flush::new()
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        set_control(self.before);
    }
}

fn control() -> u32 {
    let mut value = 0u32;
    // SAFETY: stores the control register in a variable.
    unsafe { asm!("stmxcsr [{}]", in(reg) &mut value, options(nostack)) };
    value
}

fn set_control(value: u32) {
    // SAFETY: loads a value that this register had, or one with the two flush bits added.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &value, options(nostack)) };
}

/// Calls a kernel with subnormal numbers flushed; the mode changes outside of Rust code.
///
/// # Safety
/// What the kernel asks of its arguments.
pub unsafe fn call(kernel: KernelFn, buffers: *const *mut u8, slots: *mut i64) -> i32 {
    // SAFETY: the caller's.
    unsafe { trampoline(buffers, slots, kernel) }
}

/// # Safety
/// As for `call`.
#[unsafe(naked)]
unsafe extern "C" fn trampoline(buffers: *const *mut u8, slots: *mut i64, kernel: KernelFn) -> i32 {
    naked_asm!(
        "sub rsp, 24",
        "stmxcsr [rsp]",
        "mov eax, [rsp]",
        "or eax, {flush}",
        "mov [rsp + 4], eax",
        "ldmxcsr [rsp + 4]",
        "call rdx",
        "ldmxcsr [rsp]",
        "add rsp, 24",
        "ret",
        flush = const FLUSH,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    fn halved_smallest() -> f64 {
        black_box(f64::MIN_POSITIVE) * black_box(0.5)
    }

    #[test]
    fn guard_sets_and_restores() {
        let before = control();
        {
            let _flush = Flush::new();
            assert_eq!(halved_smallest().to_bits(), 0);
            {
                let _inner = Flush::new();
            }
            assert_eq!(halved_smallest().to_bits(), 0);
        }
        assert_eq!(before & FLUSH, control() & FLUSH);
        assert!(halved_smallest() > 0.0);
    }

    unsafe extern "C" fn kernel(buffers: *const *mut u8, slots: *mut i64) -> i32 {
        // SAFETY: the test below gives one f64 and one slot.
        unsafe {
            *(*buffers).cast::<f64>() = halved_smallest();
            *slots += 1;
        }
        7
    }

    #[test]
    fn kernels_run_flushed() {
        let mut out = 1.0f64;
        let mut slot = 41i64;
        let buffers = [(&raw mut out).cast::<u8>()];
        // SAFETY: the kernel above wants one f64 and one slot.
        let status = unsafe { call(kernel, buffers.as_ptr(), &mut slot) };
        assert_eq!((status, out.to_bits(), slot), (7, 0, 42));
        assert!(halved_smallest() > 0.0);
    }
}
