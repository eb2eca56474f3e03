//! Plasticity while a simulation runs.

use nnm_syntax::ast::StmtKind;

use super::transport::EventPath;
use super::{Build, Simulation};
use crate::session::Session;

/// A `learn PART by RULE` of a simulation.
#[derive(Clone)]
pub struct Learn {
    pub projection: usize,
}

impl Session<'_> {
    pub fn find_learns(&mut self, _b: &mut Build, sim: &Simulation) -> Option<Vec<Learn>> {
        for stmt in sim.block {
            if let StmtKind::List { word, .. } = &stmt.kind
                && word.text == "learn"
            {
                self.error("E0548", word.span, "rules do not act in `simulate` yet");
            }
        }
        Some(vec![])
    }

    pub fn add_rules(&mut self, _b: &mut Build, _sim: &Simulation, _learns: &[Learn], _paths: &[EventPath]) -> Option<()> {
        Some(())
    }
}
