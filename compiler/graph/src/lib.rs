//! The graph of a network: IR, op table, differentiation, passes, and lowering to kernel IR.
//!
//! [`ir::Graph`] is built by its methods (in [`ops`], one file per family), which infer shapes, simplify and share equal
//! nodes. [`eval`] says what a node means, [`grad`] differentiates, [`walk`] searches and substitutes.
mod effects;
pub mod error;
pub mod eval;
pub mod grad;
mod intern;
pub mod ir;
pub mod lower;
pub mod ops;
pub mod pass;
pub mod print;
pub mod shape;
pub mod verify;
pub mod walk;

pub use error::{Built, ShapeError};
pub use eval::{Env, Outside, eval, eval_all, eval_inside};
pub use grad::{grad, grad_each};
pub use lower::{LowerError, Lowered, lower};
pub use pass::{PASSES, Pass, optimise};
pub use print::{dot, print};
pub use verify::verify;
pub use walk::{depends_on, free_vars, needed, rewrite, substitute, substitute_all, substitute_reads};
