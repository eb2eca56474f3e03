//! Passes over a program, as values: what each is for can be listed, and the program looked at after each.

mod clean;
mod merge;
mod postpone;
mod separate;
mod undress;

use crate::error::ShapeError;
use crate::ir::{NodeId, Program, Stmt};

/// One rewriting of a program that keeps what it computes (up to rounding).
pub struct Pass {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&mut Program) -> Result<(), ShapeError>,
}

/// All passes, in the order in which they act.
pub static PASSES: &[Pass] = &[
    Pass {
        name: "undress",
        about: "marks, surrogates and stops, which only derivatives see, give way to the values in them",
        run: undress::run,
    },
    Pass {
        name: "merge",
        about: "neighbouring stages become one: the second takes the values that the first stores",
        run: merge::run,
    },
    Pass {
        name: "separate",
        about: "sums over samples or an axis of products of rows and columns become matrix products",
        run: separate::run,
    },
    Pass {
        name: "postpone",
        about: "what a loop sums up through products with what it does not change is summed up before the product",
        run: postpone::run,
    },
    Pass {
        name: "clean",
        about: "nodes that nothing needs are dropped, the rest is simplified again",
        run: clean::run,
    },
];

/// Runs all passes; `look` sees the program after each, with the number and name of the pass.
pub fn optimise(program: &mut Program, look: &mut dyn FnMut(usize, &Pass, &Program)) -> Result<(), ShapeError> {
    for (number, pass) in PASSES.iter().enumerate() {
        (pass.run)(program)?;
        look(number, pass, program);
    }
    Ok(())
}

/// Visits the values that a body computes, to exchange them.
pub(crate) fn each_value(body: &mut [Stmt], visit: &mut dyn FnMut(&mut NodeId)) {
    for stmt in body {
        match stmt {
            Stmt::Stage { assigns, .. } | Stmt::Deliver { body: assigns, .. } => {
                assigns.iter_mut().for_each(|a| visit(&mut a.value));
            }
            Stmt::Compact { flags, .. } => visit(flags),
            Stmt::For { body, .. } | Stmt::IfEqual { body, .. } | Stmt::IfLess { body, .. } => each_value(body, visit),
            _ => {}
        }
    }
}

/// The values that a body computes, in order.
pub(crate) fn values(body: &[Stmt]) -> Vec<NodeId> {
    let mut body = body.to_vec();
    let mut values = vec![];
    each_value(&mut body, &mut |id| values.push(*id));
    values
}

/// Puts other values in the place of those that [`values`] lists.
pub(crate) fn replace_values(body: &mut [Stmt], values: Vec<NodeId>) {
    let mut values = values.into_iter();
    each_value(body, &mut |id| {
        if let Some(new) = values.next() {
            *id = new;
        }
    });
}
