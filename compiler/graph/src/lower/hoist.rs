//! What does not change in a loop is computed before it and stays in memory.

use std::collections::{BTreeSet, HashMap, HashSet};

use nnm_kir::ir::{BufId, LoopId, Ref};

use super::plan::Role;
use super::stage::Root;
use super::{LowerError, Lowering};
use crate::effects::Effects;
use crate::ir::{NodeId, Stmt, VarId};

impl Lowering<'_> {
    /// Computes before a loop what its body does not change; gives what was known before.
    pub(super) fn hoist(&mut self, index: LoopId, body: &[Stmt]) -> Result<HashMap<NodeId, Ref>, LowerError> {
        let known = self.hoisted.clone();
        let effects = Effects::of_loop(index, body);
        let plan = self.plan;
        let values: Vec<NodeId> = super::legal::roots(body).into_iter().map(|id| plan.alias(id)).collect();
        let order = plan.needed(values.iter().copied(), &|id| known.contains_key(&id));
        let mut fixed: HashSet<NodeId> = known.keys().copied().collect();
        for id in &order {
            if effects.keeps(self.graph, *id) && plan.inputs(*id).iter().all(|input| fixed.contains(input)) {
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

    /// The buffer of a var.
    pub(super) fn buffer(&self, var: VarId) -> BufId {
        BufId(var.0)
    }
}
