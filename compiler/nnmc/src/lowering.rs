//! From a graph program to its kernel; looking through a program's statements.

use std::collections::BTreeSet;

use nnm_graph::ir::{Graph, NodeId, Op, Program, Stmt, VarId};
use nnm_graph::{Lowered, lower, optimise};

/// The program after all passes, as a kernel; the message of a fault, which is ours.
pub fn lowered(program: &Program) -> Result<Lowered, String> {
    let fault = |what: &str, e: &dyn std::fmt::Display| format!("{what} `{}`: {e}", program.name);
    let mut program = program.clone();
    optimise(&mut program, &mut |_, _, _| ()).map_err(|e| fault("optimising", &e))?;
    lower(&program).map_err(|e| fault("lowering", &e))
}

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

/// The values that the statements compute.
pub fn values(body: &[Stmt]) -> Vec<NodeId> {
    let mut roots = vec![];
    collect(body, &mut roots);
    roots
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
