//! Deliveries: for each spike of a list, for each edge of its row, all right sides, then all effects.

use std::collections::{BTreeSet, HashMap, HashSet};

use nnm_kir::ir as kir;
use nnm_kir::ir::{At, Int, Ref};

use super::map::Values;
use super::plan::Role;
use super::stage::Root;
use super::{LowerError, Lowering};
use crate::ir::{Assign, NodeId, Op, Place, Rows, VarId};
use crate::shape;

impl Lowering<'_> {
    /// `list`, `count` and `slot` say whose spikes; what does not depend on the edge is computed before.
    pub(super) fn deliver(
        &mut self,
        (list, count, slot): (VarId, VarId, &Int),
        rows: &Rows,
        body: &[Assign],
    ) -> Result<(), LowerError> {
        let plan = self.plan;
        let roots: Vec<NodeId> = body.iter().map(|a| plan.alias(a.value)).collect();
        let order = plan.needed(roots.iter().copied(), &|id| self.hoisted.contains_key(&id));
        let changing = self.changing(&order, body);
        let ahead = self.compute_shared(&order, &changing, &roots)?;
        let sources = self.edge_sources(&order, &ahead)?;
        let mut values = Values::new(self, sources);
        for id in order.iter().filter(|id| changing.contains(id) && plan.role(**id) == Role::Map) {
            if !matches!(values.low.graph.node(*id).op, Op::Read { .. }) {
                values.node(*id)?;
            }
        }
        let results = roots.iter().map(|id| values.value(*id)).collect::<Result<Vec<_>, _>>()?;
        let mut builder = values.builder;
        for (assign, value) in body.iter().zip(results) {
            let (to, at) = self.event_place(assign.to, &assign.place)?;
            match assign.add {
                true => builder.add_to(to, at, value),
                false => builder.store(to, at, value),
            }
        }
        let list = self.place(list, &Place::Time(slot.clone()))?;
        self.out.push(kir::Stmt::Rows(kir::Rows {
            list,
            count: self.count_of(count, slot),
            ptr: Ref::new(self.buffer(rows.ptr), 0),
            end: None,
            edge: rows.edge.map(|edge| Ref::new(self.buffer(edge), 0)),
            other: Ref::new(self.buffer(rows.other), 0),
            body: builder.finish(),
        }));
        ahead.values().for_each(|place| self.memory.give_back(place.buffer));
        Ok(())
    }

    /// Element `slot` of a var of counts.
    pub(super) fn count_of(&self, count: VarId, slot: &Int) -> Int {
        Int::Load(Box::new(Ref::new(self.buffer(count), slot.clone())))
    }

    /// The nodes that differ between edges, or read what the delivery changes.
    fn changing(&self, order: &[NodeId], body: &[Assign]) -> HashSet<NodeId> {
        let mut changing = HashSet::new();
        for id in order {
            let own = match &self.graph.node(*id).op {
                Op::Read { place: Place::Edge | Place::Own | Place::Other, .. } | Op::Draw { .. } => true,
                Op::Read { var, .. } => body.iter().any(|a| a.to == *var),
                _ => false,
            };
            if own || self.plan.inputs(*id).iter().any(|input| changing.contains(input)) {
                changing.insert(*id);
            }
        }
        changing
    }

    /// Computes what edges share; gives where it is.
    fn compute_shared(
        &mut self,
        order: &[NodeId],
        changing: &HashSet<NodeId>,
        roots: &[NodeId],
    ) -> Result<HashMap<NodeId, Ref>, LowerError> {
        let plan = self.plan;
        let used = order.iter().filter(|id| changing.contains(id)).flat_map(|id| plan.inputs(*id).to_vec());
        let shared: BTreeSet<NodeId> = used
            .chain(roots.iter().copied())
            .filter(|id| !changing.contains(id) && !self.hoisted.contains_key(id))
            .filter(|id| matches!(plan.role(*id), Role::Map | Role::Call))
            .collect();
        let mut ahead = HashMap::new();
        let mut stores = vec![];
        for id in shared {
            let place = Ref::new(self.memory.take(self.extent_len(id)), 0);
            ahead.insert(id, place.clone());
            stores.push(Root { value: id, place, var: None });
        }
        self.run_stage(stores)?;
        Ok(ahead)
    }

    /// How the delivery loads what it takes from memory.
    fn edge_sources(
        &mut self,
        order: &[NodeId],
        ahead: &HashMap<NodeId, Ref>,
    ) -> Result<HashMap<NodeId, (Ref, At)>, LowerError> {
        let shared = ahead.iter().chain(&self.hoisted).map(|(id, place)| (*id, (place.clone(), At::Splat)));
        let mut sources: HashMap<NodeId, (Ref, At)> = shared.collect();
        for id in order {
            if let Op::Read { var, place } = &self.graph.node(*id).op
                && self.plan.role(*id) != Role::Inline
            {
                sources.insert(*id, self.event_place(*var, place)?);
            }
        }
        Ok(sources)
    }

    /// Where a delivery reads or writes a var.
    fn event_place(&self, var: VarId, place: &Place) -> Result<(Ref, At), LowerError> {
        let own = Ref::new(self.buffer(var), 0);
        let single = shape::size(&self.graph.var(var).shape) == 1;
        match place {
            Place::Edge => Ok((own, At::Edge)),
            Place::Own => Ok((own, At::Own)),
            Place::Other => Ok((own, At::Other)),
            Place::Whole | Place::Time(_) if single => Ok((self.place(var, place)?, At::Splat)),
            _ => Err(LowerError(format!("`{}` has no single element for an edge", self.graph.var(var).name))),
        }
    }
}
