//! Kernel IR: definition, builder, printer, parser, verifier and interpreter.
//!
//! [`ir`] defines what a kernel means. [`builder`] makes bodies, [`print`] and [`parse`] are inverse to each other,
//! [`verify`] lists a kernel's faults, and [`interp`] executes a kernel with every access checked.
pub mod affine;
pub mod builder;
pub mod general;
pub mod insts;
pub mod interp;
pub mod ints;
pub mod ir;
pub mod names;
pub mod parse;
pub mod print;
pub mod runtime;
pub mod split;
pub mod verify;

use nnm_runtime::abi::PrimDef;

/// How a primitive is found by its name.
pub type Prims<'a> = &'a dyn Fn(&str) -> Option<&'static PrimDef>;

/// The lookup for kernels that call no primitives.
pub fn no_prims(_: &str) -> Option<&'static PrimDef> {
    None
}
