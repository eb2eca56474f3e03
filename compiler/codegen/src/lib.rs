//! Native code for kernels.
//!
//! A kernel becomes one function `fn(buffers, slots) -> status` that gives the bits of the interpreter in `nnm-kir`, and
//! checks nothing: it is for kernels that verify, on buffers whose index arrays are within their bounds.
mod callees;
mod emit;
mod error;
mod jit;
mod plan;
mod shape;

pub use error::{CodegenError, RunError};
pub use jit::{JitCode, Together};

use nnm_kir::Prims;
use nnm_kir::ir::Kernel;
use std::sync::Arc;

/// How to compile.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The primitives that kernels may call.
    pub prims: Prims<'a>,
    /// Checks the code on its way, for tests.
    pub check: bool,
    /// At most so many neighbouring vectors are computed together: 1, 2 or 4. By default as many as registers allow.
    pub unroll: Option<u32>,
    /// Lets the back end optimise too. It reorders what is laid out to overlap, so this is rarely faster.
    pub reorder: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { prims: &nnm_kir::no_prims, check: cfg!(debug_assertions), unroll: None, reorder: false }
    }
}

/// Compiles a kernel for this machine.
pub fn compile(kernel: &Kernel, options: &Options<'_>) -> Result<Arc<JitCode>, CodegenError> {
    jit::compile(kernel, options)
}

/// The function before machine code is made of it.
pub fn emit_clif(kernel: &Kernel, options: &Options<'_>) -> Result<String, CodegenError> {
    jit::clif(kernel, options)
}

/// The machine code, as text.
pub fn emit_asm(kernel: &Kernel, options: &Options<'_>) -> Result<String, CodegenError> {
    jit::asm(kernel, options)
}
