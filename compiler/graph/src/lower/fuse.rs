//! Which element-wise nodes and stores go into the next map.
//!
//! All nodes of a map have one flat extent. It takes what can be computed now and somebody outside needs, or a root
//! stores; cheap nodes that are needed again later are computed again rather than stored.

use std::collections::{BTreeSet, HashMap, HashSet};

use nnm_kir::affine::apart;
use nnm_kir::ir::Ref;

use super::plan::Role;
use super::stage::{Stage, User};
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
        let Some(fused) = self.next_map(force) else { return Ok(false) };
        self.emit_map(&fused)?;
        Ok(true)
    }

    fn next_map(&mut self, force: bool) -> Option<Fused> {
        let mut best: Option<(bool, Fused)> = None;
        for extent in self.extents() {
            let (ready, blocked) = self.ready(extent);
            let Some(fused) = self.choose(extent, &ready, force) else { continue };
            let whole = blocked == 0;
            if extent == Extent::SCALAR {
                return Some(fused);
            }
            let better = match &best {
                None => true,
                Some((known, other)) => (whole, first(other)) > (*known, first(&fused)),
            };
            if better {
                best = Some((whole, fused));
            }
        }
        best.map(|(_, fused)| fused)
    }

    /// The extents of pending maps and open roots, in order.
    fn extents(&self) -> BTreeSet<Extent> {
        let maps = self.pending.iter().copied().filter(|id| self.low.plan.role(*id) != Role::Call);
        let roots = self.open_roots.iter().map(|k| self.roots[*k].value);
        maps.chain(roots).map(|id| self.extent(id)).collect()
    }

    /// The pending nodes of an extent that can be computed now, and the number of those that cannot.
    fn ready(&mut self, extent: Extent) -> (BTreeSet<NodeId>, usize) {
        let mut ready = BTreeSet::new();
        let mut blocked = 0;
        let candidates: Vec<NodeId> = self.pending.iter().copied().collect();
        for id in candidates {
            if self.low.plan.role(id) == Role::Call || self.extent(id) != extent {
                continue;
            }
            let loads = matches!(self.low.graph.node(id).op, Op::Gather { .. });
            let inputs = self.low.plan.inputs(id).to_vec();
            let can = inputs.into_iter().all(|input| {
                self.low.plan.role(input) == Role::Inline
                    || self.memory(input).is_some()
                    || (!loads && ready.contains(&input) && self.extent(input) == extent)
            });
            if can {
                ready.insert(id);
            } else {
                blocked += 1;
            }
        }
        (ready, blocked)
    }

    /// The part of what is ready that somebody waits for.
    fn choose(&mut self, extent: Extent, ready: &BTreeSet<NodeId>, force: bool) -> Option<Fused> {
        let mut roots: Vec<usize> = vec![];
        for k in self.open_roots.clone() {
            let value = self.roots[k].value;
            let there =
                ready.contains(&value) || self.low.plan.role(value) == Role::Inline || self.memory(value).is_some();
            if there && self.extent(value) == extent {
                roots.push(k);
            }
        }
        let mut delayed = vec![];
        loop {
            let nodes = self.demanded(extent, ready, &roots, &delayed);
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
        let outside = |user: &User| match user {
            User::Node(id) => {
                self.pending.contains(id)
                    && !ready.contains(id)
                    && (self.low.plan.role(*id) == Role::Call || self.extent(*id) != extent || self.gathers(*id))
            }
            User::Root(_) => false,
        };
        let demanded = ready.iter().copied().filter(|id| self.users.get(id).into_iter().flatten().any(outside));
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

    fn gathers(&self, id: NodeId) -> bool {
        matches!(self.low.graph.node(id).op, Op::Gather { .. })
    }

    /// Whether a root's value can go to its place in this map.
    fn can_store(&mut self, k: usize, nodes: &BTreeSet<NodeId>, roots: &[usize], extent: Extent) -> bool {
        let inside: HashSet<NodeId> = nodes.iter().copied().filter(|id| !self.again(*id, nodes)).collect();
        let root = &self.roots[k];
        let Some(_) = root.var else { return true };
        if !self.is_free(root, &inside, &roots.iter().copied().collect()) {
            return false;
        }
        let place = root.place.clone();
        let mut loads: Vec<NodeId> = nodes.iter().flat_map(|id| self.low.plan.inputs(*id).to_vec()).collect();
        loads.extend(roots.iter().map(|k| self.roots[*k].value));
        let in_place = loads.into_iter().filter(|id| !nodes.contains(id)).all(|id| {
            let elementwise = self.extent(id) == extent;
            self.memory(id).is_none_or(|source| {
                source.buffer != place.buffer
                    || (elementwise && (source == place || apart(&source, &place, &extent.len())))
            })
        });
        let var = self.roots[k].var;
        let gathered = nodes.iter().any(|id| {
            matches!(&self.low.graph.node(*id).op, Op::Read { var: read, .. } if Some(*read) == var)
                || (self.gathers(*id) && self.source_is(*id, &place))
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
        self.is_cheap(id) && self.needed_after(id, nodes)
    }

    /// Whether anybody outside of the map's nodes waits for a node.
    fn needed_after(&self, id: NodeId, nodes: &BTreeSet<NodeId>) -> bool {
        self.users.get(&id).into_iter().flatten().any(|user| match user {
            User::Node(user) => self.pending.contains(user) && !nodes.contains(user),
            User::Root(k) => self.open_roots.contains(k),
        })
    }

    fn fused(&mut self, extent: Extent, nodes: BTreeSet<NodeId>, roots: Vec<usize>, delayed: Vec<usize>) -> Fused {
        let mut stored = vec![];
        for id in &nodes {
            let users = self.users.get(id).map_or(&[][..], Vec::as_slice);
            let waiting: Vec<User> = users
                .iter()
                .copied()
                .filter(|user| match user {
                    User::Node(user) => self.pending.contains(user) && !nodes.contains(user),
                    User::Root(k) => self.open_roots.contains(k) && !roots.contains(k),
                })
                .collect();
            let recomputed = |user: &User| match user {
                User::Node(user) => self.low.plan.role(*user) != Role::Call && self.extent(*user) == extent,
                User::Root(k) => !delayed.contains(k),
            };
            let spared = waiting.is_empty() || (self.is_cheap(*id) && waiting.iter().all(recomputed));
            if !spared {
                stored.push(*id);
            }
        }
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
                    || self.places.contains_key(input)
                    || self.low.hoisted.contains_key(input)
                    || (self.low.plan.role(*input) == Role::Memory && !self.is_assigned(*input))
            })
    }

    /// Whether a read's var is stored to by this stage.
    fn is_assigned(&self, id: NodeId) -> bool {
        self.roots.iter().any(|root| root.var.is_some_and(|var| self.low.is_read_of(id, var)))
    }

    /// What a map leaves behind: computed nodes, stored values, roots.
    pub fn after_map(&mut self, fused: &Fused, places: HashMap<NodeId, Ref>) {
        for k in &fused.roots {
            self.open_roots.remove(k);
        }
        for k in &fused.delayed {
            let value = self.roots[*k].value;
            if let Some(source) = places.get(&value).cloned().or_else(|| self.memory(value)) {
                self.copy_later(*k, source);
            }
        }
        self.places.extend(places);
        for id in fused.nodes.iter().rev() {
            let waits = self.users.get(id).into_iter().flatten().any(|user| self.is_open(*user));
            if self.places.contains_key(id) || !waits {
                self.pending.remove(id);
            }
        }
        self.release();
    }
}

fn first(fused: &Fused) -> Option<NodeId> {
    fused.nodes.first().copied()
}
