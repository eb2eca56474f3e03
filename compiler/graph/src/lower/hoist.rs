//! What does not change in a loop is computed before it and stays in memory.

use std::collections::{BTreeSet, HashMap, HashSet};

use nnm_kir::ir::{BufId, Int, LoopId, Ref};

use super::plan::Role;
use super::stage::Root;
use super::{LowerError, Lowering};
use crate::ir::{Assign, NodeId, Op, Place, Stmt, VarId};
use crate::ops::batch::BATCH;

/// What a body changes.
#[derive(Default)]
pub(super) struct Effects {
    vars: HashSet<VarId>,
    slots: HashSet<u32>,
    loops: HashSet<LoopId>,
}

impl Effects {
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
                Stmt::CheckFinite { .. } | Stmt::Note(_) => {}
            }
        }
    }

    pub fn add_assigns(&mut self, assigns: &[Assign]) {
        self.vars.extend(assigns.iter().map(|a| a.to));
    }

    fn keeps(&self, int: &Int) -> bool {
        match int {
            Int::Const(_) => true,
            Int::Slot(slot) => !self.slots.contains(&slot.0),
            Int::Loop(index) => !self.loops.contains(index),
            Int::Load(place) => !self.vars.contains(&VarId(place.buffer.0)) && self.keeps(&place.offset),
            Int::Add(a, b) | Int::Sub(a, b) | Int::Mul(a, b) | Int::Div(a, b) | Int::Rem(a, b) => {
                self.keeps(a) && self.keeps(b)
            }
        }
    }
}

impl Lowering<'_> {
    /// Computes before a loop what its body does not change; gives what was known before.
    pub(super) fn hoist(&mut self, index: LoopId, body: &[Stmt]) -> Result<HashMap<NodeId, Ref>, LowerError> {
        let known = self.hoisted.clone();
        let mut effects = Effects::default();
        effects.loops.insert(index);
        effects.add(body);
        let plan = self.plan;
        let values: Vec<NodeId> = super::legal::roots(body).into_iter().map(|id| plan.alias(id)).collect();
        let order = plan.needed(values.iter().copied(), &|id| known.contains_key(&id));
        let mut fixed: HashSet<NodeId> = known.keys().copied().collect();
        for id in &order {
            if self.keeps(&effects, *id) && plan.inputs(*id).iter().all(|input| fixed.contains(input)) {
                fixed.insert(*id);
            }
        }
        let changing = order.iter().filter(|id| !fixed.contains(id)).flat_map(|id| plan.inputs(*id).to_vec());
        let worth = |id: &NodeId| {
            fixed.contains(id) && !known.contains_key(id) && matches!(plan.role(*id), Role::Map | Role::Call)
        };
        let edge: BTreeSet<NodeId> = changing.chain(values).filter(worth).collect();
        self.compute_ahead(edge.into_iter().collect())?;
        Ok(known)
    }

    /// Evaluates nodes into buffers of their own, where they stay.
    fn compute_ahead(&mut self, nodes: Vec<NodeId>) -> Result<(), LowerError> {
        if nodes.is_empty() {
            return Ok(());
        }
        let mut roots = vec![];
        for id in nodes {
            let place = Ref::new(self.memory.keep_real(self.extent_len(id)), 0);
            roots.push(Root { value: id, place, var: None });
        }
        let places: Vec<(NodeId, Ref)> = roots.iter().map(|r| (r.value, r.place.clone())).collect();
        self.run_stage(roots)?;
        self.hoisted.extend(places);
        Ok(())
    }

    /// Whether a node, apart from its inputs, has the same value throughout.
    pub(super) fn keeps(&self, effects: &Effects, id: NodeId) -> bool {
        let node = self.graph.node(id);
        if node.batched && effects.slots.contains(&BATCH.0) {
            return false;
        }
        let reads_indices = node.args.iter().all(|arg| match &self.graph.node(*arg).op {
            Op::Read { var, place } => self.keeps_read(effects, *var, place),
            _ => true,
        });
        reads_indices
            && match &node.op {
                Op::Read { var, place } => self.keeps_read(effects, *var, place),
                Op::Count(int) => effects.keeps(int),
                Op::Draw { step, .. } => effects.keeps(step),
                Op::BatchSum => !effects.slots.contains(&BATCH.0),
                _ => true,
            }
    }

    fn keeps_read(&self, effects: &Effects, var: VarId, place: &Place) -> bool {
        !effects.vars.contains(&var)
            && match place {
                Place::Time(time) => effects.keeps(time),
                Place::Gather(index) => !effects.vars.contains(index),
                Place::Whole => true,
                Place::Edge | Place::Own | Place::Other => false,
            }
    }

    /// The buffer of a var.
    pub(super) fn buffer(&self, var: VarId) -> BufId {
        BufId(var.0)
    }
}
