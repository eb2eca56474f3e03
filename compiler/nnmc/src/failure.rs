//! Why a run ended before its end.

use nnm_syntax::diag::Diagnostic;

#[derive(Clone, Debug)]
pub enum Failure {
    /// The model has errors; they are in the session's diagnostics.
    Model,
    /// NaN, divergence.
    Numeric(Box<Diagnostic>),
    /// Refused by a limit.
    Limit(String),
    /// A fault of ours.
    Bug(String),
    Interrupted,
}

impl Failure {
    pub fn bug(message: impl Into<String>) -> Failure {
        Failure::Bug(message.into())
    }
}
