//! Tests of compiled kernels: agreement with the interpreter, and what code generators are prone to.

mod agreement;
mod hazards;
mod sample;
