//! Shape errors: what an op was given that it cannot take.

use std::fmt;

use crate::ir::NodeId;

/// What every builder method of [`crate::ir::Graph`] that can fail returns.
pub type Built = Result<NodeId, ShapeError>;

/// An op met arguments whose shapes do not fit each other or the op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// The op's name as printers write it (`add`, `matmul`, `conv2d`).
    pub op: &'static str,
    /// The shapes of all arguments, in order.
    pub shapes: Vec<Vec<usize>>,
    /// What is wrong, in a clause without the shapes.
    pub reason: String,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes: Vec<String> = self.shapes.iter().map(|s| format!("{s:?}")).collect();
        write!(f, "`{}` of {}: {}", self.op, shapes.join(" and "), self.reason)
    }
}

impl std::error::Error for ShapeError {}
