//! What can go wrong when a kernel is compiled or run.

use cranelift_module::ModuleError;
use std::error::Error;
use std::fmt;

/// Why there is no code for a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodegenError {
    /// The kernel does not verify: its faults.
    Invalid(Vec<String>),
    /// This machine is none that code can be made for.
    Machine(String),
    /// The back end refused what was made of a valid kernel.
    Backend(String),
}

impl fmt::Display for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodegenError::Invalid(faults) => write!(f, "the kernel is not valid: {}", faults.join("; ")),
            CodegenError::Machine(why) => write!(f, "no code for this machine: {why}"),
            CodegenError::Backend(why) => write!(f, "code generation failed: {why}"),
        }
    }
}

impl Error for CodegenError {}

impl From<ModuleError> for CodegenError {
    fn from(error: ModuleError) -> CodegenError {
        CodegenError::Backend(format!("{error:?}"))
    }
}

/// Why a kernel was not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    Buffers {
        expected: usize,
        given: usize,
    },
    Slots {
        expected: usize,
        given: usize,
    },
    /// A buffer's memory is shorter than declared.
    Short {
        buffer: String,
        needed: u64,
        given: u64,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Buffers { expected, given } => write!(f, "the kernel has {expected} buffers, given {given}"),
            RunError::Slots { expected, given } => write!(f, "the kernel has {expected} slots, given {given}"),
            RunError::Short { buffer, needed, given } => {
                write!(f, "`{buffer}` needs {needed} bytes with padding, given {given}")
            }
        }
    }
}

impl Error for RunError {}
