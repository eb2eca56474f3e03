//! A stage: its nodes and stores in an order of maps and calls that sees every var as it was.
//!
//! Calls go as soon as their arguments are in memory, then the largest sensible map (see `fuse`). A value that only later
//! elements of the same extent need waits for them. A store goes straight to its var where nothing still needs what the
//! var held; else to a temporary, which is copied when all else is done.

use std::collections::{BTreeSet, HashMap, HashSet};

use nnm_kir::ir::{BufId, Ref};

use super::plan::Role;
use super::{Extent, LowerError, Lowering, args};
use crate::ir::{NodeId, Op, Place, VarId};

/// A value and where it goes.
pub(super) struct Root {
    pub value: NodeId,
    pub place: Ref,
    /// The var that `place` is in, where its old value may still be needed.
    pub var: Option<VarId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    Node(NodeId),
    Root(usize),
}

pub(super) struct Stage<'l, 'a> {
    pub low: &'l mut Lowering<'a>,
    pub roots: Vec<Root>,
    pub users: HashMap<NodeId, Vec<User>>,
    /// Nodes still to be computed, in order.
    pub pending: BTreeSet<NodeId>,
    pub open_roots: BTreeSet<usize>,
    /// Where computed values are.
    pub places: HashMap<NodeId, Ref>,
    /// The temporaries among those.
    temps: HashMap<NodeId, BufId>,
    /// Stores that wait until all is computed: (root, source).
    copies: Vec<(usize, Ref)>,
}

impl Lowering<'_> {
    /// Evaluates all values and stores them.
    pub(super) fn run_stage(&mut self, roots: Vec<Root>) -> Result<(), LowerError> {
        let roots: Vec<Root> = roots.into_iter().map(|r| Root { value: self.plan.alias(r.value), ..r }).collect();
        let hoisted = &self.hoisted;
        let plan = self.plan;
        let needed = plan.needed(roots.iter().map(|r| r.value), &|id| hoisted.contains_key(&id));
        let mut users: HashMap<NodeId, Vec<User>> = HashMap::new();
        for id in &needed {
            for input in plan.inputs(*id) {
                let users = users.entry(*input).or_default();
                if !users.contains(&User::Node(*id)) {
                    users.push(User::Node(*id));
                }
            }
        }
        for (k, root) in roots.iter().enumerate() {
            users.entry(root.value).or_default().push(User::Root(k));
        }
        let called = |id: &NodeId| {
            users.get(id).into_iter().flatten().any(|u| matches!(u, User::Node(u) if plan.role(*u) == Role::Call))
        };
        let pending = needed
            .into_iter()
            .filter(|id| match plan.role(*id) {
                Role::Memory => false,
                Role::Inline => called(id),
                Role::Map | Role::Call => true,
            })
            .collect();
        let open_roots = (0..roots.len()).collect();
        let stage = Stage {
            low: self,
            roots,
            users,
            pending,
            open_roots,
            places: HashMap::new(),
            temps: HashMap::new(),
            copies: vec![],
        };
        stage.run()
    }
}

impl Stage<'_, '_> {
    fn run(mut self) -> Result<(), LowerError> {
        loop {
            if self.run_calls()? || self.run_map(false)? {
                continue;
            }
            if self.pending.is_empty() && self.open_roots.is_empty() {
                break;
            }
            if !self.run_map(true)? {
                return Err(LowerError("a stage has values that depend on one another".into()));
            }
        }
        self.run_copies()
    }

    /// Every call whose arguments are there; whether there was any.
    fn run_calls(&mut self) -> Result<bool, LowerError> {
        let mut any = false;
        for id in self.pending.clone() {
            let ready = self.low.plan.role(id) == Role::Call
                && self.low.plan.inputs(id).to_vec().into_iter().all(|input| self.memory(input).is_some());
            if ready {
                self.run_call(id)?;
                any = true;
            }
        }
        Ok(any)
    }

    fn run_call(&mut self, id: NodeId) -> Result<(), LowerError> {
        let inputs: Vec<Ref> = self.low.plan.inputs(id).to_vec().into_iter().filter_map(|i| self.memory(i)).collect();
        let root = self.root_for_call(id, &inputs);
        let out = match root {
            Some(root) => {
                self.open_roots.remove(&root);
                self.roots[root].place.clone()
            }
            None => self.new_temp(id),
        };
        self.low.emit_call(id, &out, &inputs)?;
        self.places.insert(id, out);
        self.pending.remove(&id);
        self.release();
        Ok(())
    }

    /// The root to whose place a call can write: its var is not read by anything open, nor by the call.
    fn root_for_call(&self, id: NodeId, inputs: &[Ref]) -> Option<usize> {
        let roots = self.users.get(&id).into_iter().flatten();
        let mut roots = roots.filter_map(|user| if let User::Root(k) = user { Some(*k) } else { None });
        roots.find(|k| {
            let root = &self.roots[*k];
            let others: HashSet<NodeId> = HashSet::from([id]);
            self.open_roots.contains(k)
                && inputs.iter().all(|input| input.buffer != root.place.buffer)
                && self.is_free(root, &others, &HashSet::from([*k]))
        })
    }

    /// Whether a store to a root's place disturbs nobody but, perhaps, the nodes and roots given.
    pub fn is_free(&self, root: &Root, nodes: &HashSet<NodeId>, roots: &HashSet<usize>) -> bool {
        let Some(var) = root.var else { return true };
        let single = self.roots.iter().filter(|r| r.var == Some(var)).count() == 1;
        let node_reads = self.pending.iter().any(|id| !nodes.contains(id) && self.low.reads_var(*id, var));
        let root_reads =
            self.open_roots.iter().any(|k| !roots.contains(k) && self.low.is_read_of(self.roots[*k].value, var));
        single && !node_reads && !root_reads
    }

    /// Where a node's value is, if it is in memory.
    pub fn memory(&mut self, id: NodeId) -> Option<Ref> {
        self.places.get(&id).cloned().or_else(|| self.low.leaf_memory(id))
    }

    pub fn new_temp(&mut self, id: NodeId) -> Ref {
        let buffer = self.low.memory.take(self.low.extent_len(id));
        self.temps.insert(id, buffer);
        Ref::new(buffer, 0)
    }

    /// Gives back the temporaries that nobody needs any more.
    pub fn release(&mut self) {
        let mut over: Vec<NodeId> = self.temps.keys().copied().filter(|id| self.is_over(*id)).collect();
        over.sort_unstable();
        for id in over {
            self.forget(id);
        }
    }

    pub fn forget(&mut self, id: NodeId) {
        if let Some(buffer) = self.temps.remove(&id) {
            self.places.remove(&id);
            self.low.memory.give_back(buffer);
        }
    }

    pub fn is_temp(&self, id: NodeId) -> bool {
        self.temps.contains_key(&id)
    }

    /// Whether nobody will read a value any more.
    fn is_over(&self, id: NodeId) -> bool {
        let waits = self.copies.iter().any(|(k, _)| self.roots[*k].value == id);
        !waits && self.users.get(&id).into_iter().flatten().all(|user| !self.is_open(*user))
    }

    pub fn is_open(&self, user: User) -> bool {
        match user {
            User::Node(id) => self.pending.contains(&id),
            User::Root(k) => self.open_roots.contains(&k),
        }
    }

    /// The root's value is at `source`; it is stored when all else is done.
    pub fn copy_later(&mut self, root: usize, source: Ref) {
        self.open_roots.remove(&root);
        self.copies.push((root, source));
    }

    fn run_copies(mut self) -> Result<(), LowerError> {
        self.copies.sort_by_key(|(root, _)| *root);
        for (root, source) in std::mem::take(&mut self.copies) {
            let len = self.low.len_of(self.roots[root].value);
            let place = self.roots[root].place.clone();
            self.low.call("copy", args![place, source, len]);
        }
        let mut left: Vec<NodeId> = self.temps.keys().copied().collect();
        left.sort_unstable();
        for id in left {
            self.forget(id);
        }
        Ok(())
    }

    pub fn extent(&self, id: NodeId) -> Extent {
        self.low.extent(id)
    }
}

impl Lowering<'_> {
    /// Whether the computation of a node reads a var, itself or by an argument that is a read.
    pub(super) fn reads_var(&self, id: NodeId, var: VarId) -> bool {
        let direct = |id: NodeId| match &self.graph.node(id).op {
            Op::Read { var: read, place } => *read == var || *place == Place::Gather(var),
            _ => false,
        };
        direct(id)
            || self.plan.inputs(id).iter().any(|input| !self.hoisted.contains_key(input) && direct(*input))
            || self.graph.node(id).args.iter().any(|arg| direct(*arg))
    }

    /// Whether a value is just what a var holds.
    pub(super) fn is_read_of(&self, id: NodeId, var: VarId) -> bool {
        matches!(&self.graph.node(id).op, Op::Read { var: read, .. } if *read == var)
    }
}
