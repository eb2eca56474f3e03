//! Why a run ended before its end.

use nnm_syntax::diag::Diagnostic;

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
