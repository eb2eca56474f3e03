//! Bookkeeping of a stage: which nodes and stores are open, which of them can go next, and who reads which var.
//!
//! A node waits for its inputs: a call for all of them in memory, an element-wise node for those that are not computed
//! together with it. All is counted down as values arrive, so that a stage costs little more than its edges.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::plan::Role;
use super::stage::Root;
use super::{Extent, Lowering};
use crate::ir::{NodeId, Op, Place, VarId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    Node(NodeId),
    Root(usize),
}

#[derive(Default)]
pub(super) struct Order {
    /// Who takes a node's value.
    users: HashMap<NodeId, Vec<User>>,
    /// Nodes to be computed, with what they are.
    open: HashMap<NodeId, (Role, Extent)>,
    open_roots: BTreeMap<Extent, BTreeSet<usize>>,
    roots: HashMap<usize, Extent>,
    /// How many inputs an open node waits for, and which: (input, node).
    waiting: HashMap<NodeId, usize>,
    missing: HashSet<(NodeId, NodeId)>,
    /// Calls whose inputs are all in memory.
    pub calls: BTreeSet<NodeId>,
    /// Element-wise nodes that can be computed now.
    ready: BTreeMap<Extent, BTreeSet<NodeId>>,
    /// How many element-wise nodes of an extent are open.
    left: HashMap<Extent, usize>,
    /// Who reads a var's old value, and how many roots store to it.
    readers: HashMap<VarId, Vec<User>>,
    stores: HashMap<VarId, usize>,
}

impl Order {
    pub fn of(low: &mut Lowering, roots: &[Root]) -> Order {
        let plan = low.plan;
        let needed = plan.needed(roots.iter().map(|r| r.value), &|id| low.hoisted.contains_key(&id));
        let mut order = Order::default();
        for id in &needed {
            for input in distinct(plan.inputs(*id)) {
                order.users.entry(input).or_default().push(User::Node(*id));
            }
        }
        for (k, root) in roots.iter().enumerate() {
            let extent = low.extent(root.value);
            order.users.entry(root.value).or_default().push(User::Root(k));
            order.open_roots.entry(extent).or_default().insert(k);
            order.roots.insert(k, extent);
            if let Some(var) = root.var {
                *order.stores.entry(var).or_insert(0) += 1;
            }
            order.note_reads(low, root.value, User::Root(k));
        }
        for id in needed.iter().copied() {
            order.note_reads(low, id, User::Node(id));
            for input in distinct(plan.inputs(id)) {
                order.note_reads(low, input, User::Node(id));
            }
            let called = order.users(id).iter().any(|u| matches!(u, User::Node(u) if plan.role(*u) == Role::Call));
            let open = match plan.role(id) {
                Role::Memory => false,
                Role::Inline => called,
                Role::Map | Role::Call => true,
            };
            if open {
                order.open(low, id);
            }
        }
        let free: Vec<NodeId> = needed.into_iter().filter(|id| order.waiting.get(id) == Some(&0)).collect();
        free.into_iter().for_each(|id| order.release(low, id));
        order
    }

    fn open(&mut self, low: &mut Lowering, id: NodeId) {
        let (role, extent) = (low.plan.role(id), low.extent(id));
        self.open.insert(id, (role, extent));
        if role != Role::Call {
            *self.left.entry(extent).or_insert(0) += 1;
        }
        let inputs = distinct(low.plan.inputs(id));
        let there = |low: &mut Lowering, input: NodeId| {
            let inline = role != Role::Call && low.plan.role(input) == Role::Inline;
            inline || low.leaf_memory(input).is_some()
        };
        let missing: Vec<NodeId> = inputs.into_iter().filter(|input| !there(low, *input)).collect();
        self.waiting.insert(id, missing.len());
        self.missing.extend(missing.into_iter().map(|input| (input, id)));
    }

    /// A read of a var, or by a var's indices, that a user makes.
    fn note_reads(&mut self, low: &Lowering, id: NodeId, user: User) {
        if low.hoisted.contains_key(&id) {
            return;
        }
        if let Op::Read { var, place } = &low.graph.node(id).op {
            self.readers.entry(*var).or_default().push(user);
            if let Place::Gather(index) = place {
                self.readers.entry(*index).or_default().push(user);
            }
        }
    }

    pub fn users(&self, id: NodeId) -> &[User] {
        self.users.get(&id).map_or(&[], Vec::as_slice)
    }

    pub fn is_open(&self, user: User) -> bool {
        match user {
            User::Node(id) => self.open.contains_key(&id),
            User::Root(k) => self.roots.contains_key(&k),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.roots.is_empty()
    }

    pub fn open_users(&self, id: NodeId) -> impl Iterator<Item = User> {
        self.users(id).iter().copied().filter(|user| self.is_open(*user))
    }

    pub fn ready(&self, extent: Extent) -> BTreeSet<NodeId> {
        self.ready.get(&extent).cloned().unwrap_or_default()
    }

    pub fn open_roots(&self, extent: Extent) -> Vec<usize> {
        self.open_roots.get(&extent).into_iter().flatten().copied().collect()
    }

    /// Extents with something to compute or to store, the most promising first: scalars, then those of which nothing waits.
    pub fn extents(&self) -> Vec<Extent> {
        let ready = self.ready.iter().filter(|(_, ready)| !ready.is_empty()).map(|(extent, _)| *extent);
        let roots = self.open_roots.iter().filter(|(_, roots)| !roots.is_empty()).map(|(extent, _)| *extent);
        let mut extents: Vec<Extent> = ready.chain(roots).collect::<BTreeSet<_>>().into_iter().collect();
        extents.sort_by_key(|extent| {
            let ready = self.ready.get(extent);
            let blocked = self.left.get(extent).copied().unwrap_or(0) > ready.map_or(0, BTreeSet::len);
            (*extent != Extent::SCALAR, blocked, ready.and_then(|ready| ready.first().copied()), *extent)
        });
        extents
    }

    /// Who needs what a var held before the stage.
    pub fn readers(&self, var: VarId) -> impl Iterator<Item = User> {
        self.readers.get(&var).into_iter().flatten().copied().filter(|user| self.is_open(*user))
    }

    /// Whether several roots store to a var.
    pub fn is_contested(&self, var: VarId) -> bool {
        self.stores.get(&var).is_some_and(|stores| *stores > 1)
    }

    pub fn is_assigned(&self, var: VarId) -> bool {
        self.stores.contains_key(&var)
    }

    pub fn close_root(&mut self, k: usize) {
        if let Some(extent) = self.roots.remove(&k)
            && let Some(roots) = self.open_roots.get_mut(&extent)
        {
            roots.remove(&k);
        }
    }

    /// The node is computed, and nobody will compute it again.
    pub fn close(&mut self, id: NodeId) {
        let Some((role, extent)) = self.open.remove(&id) else { return };
        self.calls.remove(&id);
        if role != Role::Call {
            if let Some(left) = self.left.get_mut(&extent) {
                *left -= 1;
            }
            if let Some(ready) = self.ready.get_mut(&extent) {
                ready.remove(&id);
            }
        }
    }

    /// A value is in memory now.
    pub fn stored(&mut self, low: &Lowering, id: NodeId) {
        for user in self.users(id).to_vec() {
            if let User::Node(user) = user {
                self.arrive(low, id, user);
            }
        }
    }

    fn arrive(&mut self, low: &Lowering, input: NodeId, user: NodeId) {
        if self.is_last(input, user) {
            self.release(low, user);
        }
    }

    /// Takes an input off the list; whether the node waited for nothing else.
    fn is_last(&mut self, input: NodeId, user: NodeId) -> bool {
        if !self.missing.remove(&(input, user)) {
            return false;
        }
        let waiting = self.waiting.entry(user).or_insert(1);
        *waiting -= 1;
        *waiting == 0
    }

    /// A node that waits for nothing more can go, and lets those go that are computed together with it.
    fn release(&mut self, low: &Lowering, id: NodeId) {
        let mut free = vec![id];
        while let Some(id) = free.pop() {
            let Some((role, extent)) = self.open.get(&id).copied() else { continue };
            if role == Role::Call {
                self.calls.insert(id);
                continue;
            }
            if !self.ready.entry(extent).or_default().insert(id) {
                continue;
            }
            for user in self.users(id).to_vec() {
                let User::Node(user) = user else { continue };
                let together = self.open.get(&user).is_some_and(|(role, other)| *role == Role::Map && *other == extent);
                if together && !low.gathers(user) && self.is_last(id, user) {
                    free.push(user);
                }
            }
        }
    }
}

impl Lowering<'_> {
    /// Whether an element-wise node loads single elements of an array, which then must be in memory.
    pub(super) fn gathers(&self, id: NodeId) -> bool {
        matches!(self.graph.node(id).op, Op::Gather { .. })
    }
}

fn distinct(ids: &[NodeId]) -> Vec<NodeId> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}
