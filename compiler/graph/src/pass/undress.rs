//! Values without what only differentiation sees: marks, surrogates and stops.

use super::{replace_values, values};
use crate::error::ShapeError;
use crate::ir::{Op, Program};
use crate::walk;

pub(super) fn run(program: &mut Program) -> Result<(), ShapeError> {
    let roots = values(&program.body);
    let new = walk::rewrite(&mut program.graph, &roots, &mut |graph, _, new| {
        let node = graph.node(new);
        Ok(if matches!(node.op, Op::Surrogate | Op::StopGradient) { node.args[0] } else { new })
    })?;
    replace_values(&mut program.body, new);
    Ok(())
}
