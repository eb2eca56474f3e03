//! A graph without what nothing needs, its nodes made anew by the builder.

use std::collections::HashMap;

use super::{replace_values, values};
use crate::error::ShapeError;
use crate::ir::{Graph, NodeId, Program};
use crate::walk;

pub(super) fn run(program: &mut Program) -> Result<(), ShapeError> {
    let old = std::mem::take(&mut program.graph);
    let mut graph = Graph { vars: old.vars.clone(), ..Graph::default() };
    let roots = values(&program.body);
    let mut known: HashMap<NodeId, NodeId> = HashMap::new();
    for id in walk::needed(&old, &roots) {
        let node = old.node(id);
        let args: Vec<NodeId> = node.args.iter().map(|a| known.get(a).copied().unwrap_or(*a)).collect();
        let new = graph.rebuild(node, &args)?;
        known.insert(id, new);
    }
    let new = roots.iter().map(|id| known.get(id).copied().unwrap_or(*id)).collect();
    replace_values(&mut program.body, new);
    program.graph = graph;
    Ok(())
}
