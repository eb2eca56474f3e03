//! How a command ends: the exit codes, and errors that end it early.

use nnm_syntax::diag::{Diagnostic, Severity};

/// The exit codes, which `--help` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    Good = 0,
    /// The model has errors.
    Model = 1,
    Usage = 2,
    /// NaN, divergence, or an expectation that failed.
    Numeric = 3,
    /// A file that cannot be read or written.
    Data = 4,
    Limit = 5,
    Tests = 6,
    /// A fault of ours.
    Bug = 70,
    /// By Ctrl-C.
    Interrupted = 130,
    /// By a request to terminate.
    Terminated = 143,
}

/// Why a command ended early.
#[derive(Clone, Debug)]
pub struct Stop {
    pub exit: Exit,
    /// Empty if everything has been said already.
    pub message: String,
}

impl Stop {
    pub fn usage(message: impl Into<String>) -> Stop {
        Stop { exit: Exit::Usage, message: message.into() }
    }

    pub fn data(message: impl Into<String>) -> Stop {
        Stop { exit: Exit::Data, message: message.into() }
    }

    /// What there was to say has been said.
    pub fn said(exit: Exit) -> Stop {
        Stop { exit, message: String::new() }
    }
}

impl From<nnm_runtime::results::ResultError> for Stop {
    fn from(error: nnm_runtime::results::ResultError) -> Stop {
        Stop::data(error.to_string())
    }
}

/// The exit of a model with these findings: files that cannot be read are told apart from errors of the text.
pub fn of_findings(diagnostics: &[Diagnostic]) -> Exit {
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    match errors.as_slice() {
        [] => Exit::Good,
        errors if errors.iter().all(|d| FILES.contains(&d.code)) => Exit::Data,
        errors if errors.iter().all(|d| LIMITS.contains(&d.code)) => Exit::Limit,
        _ => Exit::Model,
    }
}

/// A text longer than is read.
const LIMITS: &[&str] = &["E0112", "E0113", "E0620"];

/// What is wrong with a file beside the model rather than with the model.
const FILES: &[&str] = &["E0601", "E0602", "E0603"];

pub const HELP: &str = "\
Exit codes: 0 good; 1 the model has errors; 2 misuse of the command; 3 numeric failure or a failed `expect`;
4 a file that cannot be read or written; 5 refused by a limit; 6 tests failed; 70 a bug of ours;
130 interrupted; 143 terminated; both after saving what was reached.
Results go to standard output, all else to standard error.";
