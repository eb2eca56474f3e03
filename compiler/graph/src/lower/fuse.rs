//! Which element-wise nodes and stores go into the next map.
//!
//! All nodes of a map have one flat extent. It takes what can be computed now and somebody outside needs, or a root
//! stores; cheap nodes that are needed again later are computed again rather than stored.

use std::collections::BTreeSet;

use nnm_kir::affine::apart;
use nnm_kir::ir::Ref;

use super::order::User;
use super::plan::Role;
use super::stage::Stage;
use super::{Extent, LowerError};
use crate::ir::{Binary, NodeId, Op, Unary};

/// What one map computes.
pub(super) struct Fused {
    pub extent: Extent,
    pub nodes: BTreeSet<NodeId>,
    /// Nodes whose values later maps and calls need.
    pub stored: Vec<NodeId>,
    /// Roots that are stored in their places.
    pub roots: Vec<usize>,
    /// Roots whose values wait in a temporary.
    pub delayed: Vec<usize>,
}

impl Stage<'_, '_> {
    /// The next map; whether there was one. With `force`, stores that would disturb others go to temporaries.
    pub fn run_map(&mut self, force: bool) -> Result<bool, LowerError> {
        for extent in self.order.extents() {
            if let Some(fused) = self.choose(extent, force) {
                self.emit_map(&fused)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The part of what is ready that somebody waits for.
    fn choose(&mut self, extent: Extent, force: bool) -> Option<Fused> {
        let ready = self.order.ready(extent);
        let mut roots = self.order.open_roots(extent);
        roots.retain(|k| {
            let value = self.roots[*k].value;
            ready.contains(&value) || self.low.plan.role(value) == Role::Inline || self.memory(value).is_some()
        });
        let mut delayed = vec![];
        loop {
            let nodes = self.demanded(extent, &ready, &roots, &delayed);
            let legal: Vec<usize> =
                roots.iter().copied().filter(|k| self.can_store(*k, &nodes, &roots, extent)).collect();
            if legal.len() == roots.len() {
                let nothing = nodes.is_empty() && roots.is_empty() && delayed.is_empty();
                return if nothing { None } else { Some(self.fused(extent, nodes, roots, delayed)) };
            }
            if force {
                delayed.extend(roots.iter().copied().filter(|k| !legal.contains(k)));
            }
            roots = legal;
        }
    }

    /// The ready nodes that calls, other extents or the given roots need, with what they need of the same map.
    fn demanded(
        &self,
        extent: Extent,
        ready: &BTreeSet<NodeId>,
        roots: &[usize],
        delayed: &[usize],
    ) -> BTreeSet<NodeId> {
        let outside = |user: User| match user {
            User::Node(id) if ready.contains(&id) => false,
            User::Node(id) => self.low.plan.role(id) == Role::Call || self.extent(id) != extent || self.low.gathers(id),
            User::Root(_) => false,
        };
        let demanded = ready.iter().copied().filter(|id| self.order.open_users(*id).any(outside));
        let stored = roots.iter().chain(delayed).map(|k| self.roots[*k].value).filter(|id| ready.contains(id));
        let mut open: Vec<NodeId> = demanded.chain(stored).collect();
        let mut nodes = BTreeSet::new();
        while let Some(id) = open.pop() {
            if nodes.insert(id) {
                open.extend(self.low.plan.inputs(id).iter().filter(|input| ready.contains(input)));
            }
        }
        nodes
    }

    /// Whether a root's value can go to its place in this map.
    fn can_store(&mut self, k: usize, nodes: &BTreeSet<NodeId>, roots: &[usize], extent: Extent) -> bool {
        let root = &self.roots[k];
        let Some(var) = root.var else { return true };
        let inside = |user: User| match user {
            User::Node(id) => nodes.contains(&id) && !self.again(id, nodes),
            User::Root(k) => roots.contains(&k),
        };
        if !self.is_free(root, inside) {
            return false;
        }
        let (place, len) = (root.place.clone(), self.low.map_len(extent));
        let mut loads: Vec<NodeId> = nodes.iter().flat_map(|id| self.low.plan.inputs(*id).to_vec()).collect();
        loads.extend(roots.iter().map(|k| self.roots[*k].value));
        let in_place = loads.into_iter().filter(|id| !nodes.contains(id)).all(|id| {
            let elementwise = self.extent(id) == extent;
            self.memory(id).is_none_or(|source| {
                source.buffer != place.buffer || (elementwise && (source == place || apart(&source, &place, &len)))
            })
        });
        let gathered = nodes.iter().any(|id| {
            matches!(&self.low.graph.node(*id).op, Op::Read { var: read, .. } if *read == var)
                || (self.low.gathers(*id) && self.source_is(*id, &place))
        });
        in_place && !gathered
    }

    /// Whether a gather loads from the buffer of a place.
    fn source_is(&mut self, id: NodeId, place: &Ref) -> bool {
        let inputs = self.low.plan.inputs(id).to_vec();
        inputs.into_iter().any(|input| self.memory(input).is_some_and(|source| source.buffer == place.buffer))
    }

    /// Whether a node of a map is needed after it and then computed again.
    fn again(&self, id: NodeId, nodes: &BTreeSet<NodeId>) -> bool {
        self.is_cheap(id) && self.waiting(id, nodes, &[]).next().is_some()
    }

    /// Who will need a node after a map of some nodes and roots.
    pub fn waiting<'s>(
        &'s self,
        id: NodeId,
        nodes: &'s BTreeSet<NodeId>,
        roots: &'s [usize],
    ) -> impl Iterator<Item = User> + 's {
        self.order.open_users(id).filter(move |user| match user {
            User::Node(user) => !nodes.contains(user),
            User::Root(k) => !roots.contains(k),
        })
    }

    fn fused(&mut self, extent: Extent, nodes: BTreeSet<NodeId>, roots: Vec<usize>, delayed: Vec<usize>) -> Fused {
        let recomputed = |user: User| match user {
            User::Node(user) => self.low.plan.role(user) != Role::Call && self.extent(user) == extent,
            User::Root(k) => !delayed.contains(&k),
        };
        let spared = |id: NodeId| {
            let mut waiting = self.waiting(id, &nodes, &roots).peekable();
            waiting.peek().is_none() || (self.is_cheap(id) && waiting.all(recomputed))
        };
        let stored = nodes.iter().copied().filter(|id| !spared(*id)).collect();
        Fused { extent, nodes, stored, roots, delayed }
    }

    /// One simple instruction on values that are in memory anyway, and will stay there.
    fn is_cheap(&self, id: NodeId) -> bool {
        let simple = match self.low.graph.node(id).op {
            Op::Unary(op) => matches!(op, Unary::Neg | Unary::Abs | Unary::Not),
            Op::Binary(op) => !matches!(op, Binary::Div | Binary::Pow | Binary::Atan2),
            _ => false,
        };
        simple
            && self.low.plan.inputs(id).iter().all(|input| {
                self.low.plan.role(*input) == Role::Inline
                    || self.is_computed(*input)
                    || self.low.hoisted.contains_key(input)
                    || (self.low.plan.role(*input) == Role::Memory && !self.is_assigned(*input))
            })
    }

    /// Whether a read's var is stored to by this stage.
    fn is_assigned(&self, id: NodeId) -> bool {
        matches!(&self.low.graph.node(id).op, Op::Read { var, .. } if self.order.is_assigned(*var))
    }

    /// What a map leaves behind: computed nodes, stored values, roots.
    pub fn after_map(&mut self, fused: &Fused, places: Vec<(NodeId, Ref)>) {
        for k in &fused.roots {
            self.order.close_root(*k);
        }
        let mut touched: BTreeSet<NodeId> = fused.nodes.clone();
        touched.extend(fused.nodes.iter().flat_map(|id| self.low.plan.inputs(*id).to_vec()));
        touched.extend(fused.roots.iter().map(|k| self.roots[*k].value));
        for (id, place) in places {
            self.put(id, place);
        }
        for k in &fused.delayed {
            if let Some(source) = self.memory(self.roots[*k].value) {
                self.copy_later(*k, source);
            }
        }
        for id in fused.nodes.iter().rev() {
            if self.is_computed(*id) || self.order.open_users(*id).next().is_none() {
                self.order.close(*id);
            }
        }
        self.release(touched);
    }
}
