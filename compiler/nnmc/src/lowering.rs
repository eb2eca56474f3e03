//! Looking through a graph program's statements.

use std::collections::BTreeSet;

use nnm_graph::ir::{Graph, NodeId, Op, Stmt, VarId};

/// The vars that the statements' values read.
pub fn vars_read(graph: &Graph, body: &[Stmt]) -> BTreeSet<VarId> {
    let mut roots = vec![];
    collect(body, &mut roots);
    let mut read = BTreeSet::new();
    for id in nnm_graph::needed(graph, &roots) {
        if let Op::Read { var, .. } = &graph.node(id).op {
            read.insert(*var);
        }
    }
    read
}

fn collect(body: &[Stmt], roots: &mut Vec<NodeId>) {
    for stmt in body {
        match stmt {
            Stmt::Stage { assigns, .. } => roots.extend(assigns.iter().map(|a| a.value)),
            Stmt::For { body, .. } | Stmt::IfEqual { body, .. } | Stmt::IfLess { body, .. } => collect(body, roots),
            Stmt::Deliver { body, .. } => roots.extend(body.iter().map(|a| a.value)),
            Stmt::Compact { flags, .. } => roots.push(*flags),
            _ => {}
        }
    }
}
