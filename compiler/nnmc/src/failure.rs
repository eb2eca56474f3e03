//! Why a run ended before its end.

use nnm_runtime::abi::status;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

#[derive(Clone, Debug)]
pub enum Failure {
    /// The model has errors; they are in the session's diagnostics.
    Model,
    /// NaN, divergence.
    Numeric(Box<Diagnostic>),
    /// A file that cannot be used.
    Data(String),
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

    /// A program that ended early, for a reason that has no better place; `what` it was, and where it is written.
    pub fn ended(status: i32, what: &str, span: Span) -> Failure {
        if status != status::OUTSIDE {
            return Failure::bug(format!("{what} ended with status {status}"));
        }
        let message = format!("an index in {what} is no whole number inside of its axis");
        let help =
            "places and labels count from 0 up to the length of the axis: look at the data, `min(x)` and `max(x)`";
        Failure::Numeric(Box::new(Diagnostic::error("E0237", span, message).help(help)))
    }
}

/// A graph operation that the compiler itself got wrong: kept, so that the stage that sees nothing come out can say why.
pub trait Noted<T> {
    fn noted(self, session: &mut crate::session::Session) -> Option<T>;
}

impl<T> Noted<T> for Result<T, nnm_graph::ShapeError> {
    fn noted(self, session: &mut crate::session::Session) -> Option<T> {
        match self {
            Ok(value) => Some(value),
            Err(error) => {
                session.failure.get_or_insert_with(|| Failure::bug(error.to_string()));
                None
            }
        }
    }
}

impl crate::session::Session<'_> {
    /// Every operation has a derivative or none to give: shapes that do not fit on the way back are a fault of ours.
    pub fn no_derivative(&mut self, span: nnm_syntax::span::Span, error: &nnm_graph::ShapeError) {
        let bug = format!("`{}` cannot be differentiated: {error}", self.text(span));
        self.failure.get_or_insert_with(|| Failure::bug(bug));
    }
}
