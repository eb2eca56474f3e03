//! What a body of statements changes, and which values it leaves as they are.

use std::collections::HashSet;

use nnm_kir::ir::{Int, LoopId};

use crate::ir::{Assign, Graph, NodeId, Op, Place, Stmt, VarId};
use crate::ops::batch::BATCH;

/// What a body changes.
#[derive(Default)]
pub(crate) struct Effects {
    vars: HashSet<VarId>,
    slots: HashSet<u32>,
    loops: HashSet<LoopId>,
}

impl Effects {
    /// Of all passes of a loop.
    pub fn of_loop(index: LoopId, body: &[Stmt]) -> Effects {
        let mut effects = Effects::default();
        effects.loops.insert(index);
        effects.add(body);
        effects
    }

    fn add(&mut self, body: &[Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::Stage { assigns, .. } | Stmt::Deliver { body: assigns, .. } => self.add_assigns(assigns),
                Stmt::For { index, body, .. } => {
                    self.loops.insert(*index);
                    self.add(body);
                }
                Stmt::IfEqual { body, .. } | Stmt::IfLess { body, .. } => self.add(body),
                Stmt::SetSlot { slot, .. } => {
                    self.slots.insert(*slot);
                }
                Stmt::Compact { list, count, .. } => self.vars.extend([*list, *count]),
                Stmt::Fetch { into, .. } => {
                    self.vars.insert(*into);
                }
                Stmt::Log { log_cell, log_step, log_count, .. } => {
                    self.vars.extend([*log_cell, *log_step, *log_count]);
                }
                Stmt::LogValues { log_value, .. } => {
                    self.vars.insert(*log_value);
                }
                Stmt::CheckFinite { .. } | Stmt::Note(_) => {}
            }
        }
    }

    pub fn add_assigns(&mut self, assigns: &[Assign]) {
        self.vars.extend(assigns.iter().map(|a| a.to));
    }

    fn keeps_int(&self, int: &Int) -> bool {
        match int {
            Int::Const(_) => true,
            Int::Slot(slot) => !self.slots.contains(&slot.0),
            Int::Loop(index) => !self.loops.contains(index),
            Int::Load(place) => !self.vars.contains(&VarId(place.buffer.0)) && self.keeps_int(&place.offset),
            Int::Add(a, b) | Int::Sub(a, b) | Int::Mul(a, b) | Int::Div(a, b) | Int::Rem(a, b) => {
                self.keeps_int(a) && self.keeps_int(b)
            }
        }
    }

    /// Whether a node, apart from its inputs, has the same value throughout.
    pub fn keeps(&self, graph: &Graph, id: NodeId) -> bool {
        let node = graph.node(id);
        if node.batched && self.slots.contains(&BATCH.0) {
            return false;
        }
        let reads_indices = node.args.iter().all(|arg| match &graph.node(*arg).op {
            Op::Read { var, place } => self.keeps_read(*var, place),
            _ => true,
        });
        reads_indices
            && match &node.op {
                Op::Read { var, place } => self.keeps_read(*var, place),
                Op::Count(int) => self.keeps_int(int),
                Op::Draw { step, first, .. } => self.keeps_int(step) && self.keeps_int(first),
                Op::BatchSum => !self.slots.contains(&BATCH.0),
                _ => true,
            }
    }

    fn keeps_read(&self, var: VarId, place: &Place) -> bool {
        !self.vars.contains(&var)
            && match place {
                Place::Time(time) => self.keeps_int(time),
                Place::Gather(index) => !self.vars.contains(index),
                Place::Whole => true,
                Place::Edge | Place::Own | Place::Other => false,
            }
    }
}
