//! Evaluation: an expression becomes a value that is known now, or nodes of the program being built.
//!
//! Units are held here, on every operation, so checking a model is evaluating it without running it; what is not known
//! while checking is a value with a unit and perhaps no shape, which fits every shape.

mod body;
mod builtins;
mod call;
mod cells;
mod draws;
mod expr;
mod field;
mod index;
mod names;
pub mod operators;
mod shapes;
mod synapses;
pub mod tensor;
mod trees;
pub mod types;
mod walk;

pub use builtins::{
    Builtin, Stretch, all as builtins, learning_angle as angle_between, learning_flat as flat_numbers, spikes_of,
};
pub use builtins::{distributions, draws};

/// Whether a name is that of a function which every file sees.
pub fn is_builtin(name: &str) -> bool {
    builtins::find(name).is_some()
}

pub use call::{Call, Written, parameter_names};
pub use walk::{children, name_in, names_in, names_through, only_counts};

use crate::hir::{ExprRef, ModuleId};
use crate::session::ScopeId;
use nnm_syntax::ast::ExprId;

/// An expression with the scope of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Closure {
    pub scope: ScopeId,
    pub expr: ExprRef,
}

impl Closure {
    pub fn new(scope: ScopeId, module: ModuleId, id: ExprId) -> Closure {
        Closure { scope, expr: ExprRef { module, id } }
    }

    /// The same expression, seen from another scope.
    pub fn within(self, scope: ScopeId) -> Closure {
        Closure { scope, ..self }
    }
}
