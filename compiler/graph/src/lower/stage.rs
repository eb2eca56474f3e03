//! A stage: its nodes and stores in an order of maps and calls that sees every var as it was.
//!
//! Calls go as soon as their arguments are in memory, then the most promising map (see `fuse`). A value that only later
//! elements of the same extent need waits for them. A store goes straight to its var where nothing still needs what the
//! var held; else to a temporary, which is copied when all else is done.

use std::collections::HashMap;

use nnm_kir::ir::{BufId, Ref};

use super::order::{Order, User};
use super::{Extent, LowerError, Lowering, args};
use crate::ir::{NodeId, VarId};

/// A value and where it goes.
pub(super) struct Root {
    pub value: NodeId,
    pub place: Ref,
    /// The var that `place` is in, where its old value may still be needed.
    pub var: Option<VarId>,
}

pub(super) struct Stage<'l, 'a> {
    pub low: &'l mut Lowering<'a>,
    pub roots: Vec<Root>,
    pub order: Order,
    /// Where computed values are.
    places: HashMap<NodeId, Ref>,
    /// The temporaries among those.
    temps: HashMap<NodeId, BufId>,
    /// Stores that wait until all is computed: (root, source).
    copies: Vec<(usize, Ref)>,
}

impl Lowering<'_> {
    /// Evaluates all values and stores them.
    pub(super) fn run_stage(&mut self, roots: Vec<Root>) -> Result<(), LowerError> {
        let roots: Vec<Root> = roots.into_iter().map(|r| Root { value: self.plan.alias(r.value), ..r }).collect();
        let order = Order::of(self, &roots);
        let (places, temps, copies) = (HashMap::new(), HashMap::new(), vec![]);
        Stage { low: self, roots, order, places, temps, copies }.run()
    }
}

impl Stage<'_, '_> {
    fn run(mut self) -> Result<(), LowerError> {
        loop {
            if let Some(id) = self.order.calls.first().copied() {
                self.run_call(id)?;
            } else if self.order.is_empty() {
                return self.run_copies();
            } else if !self.run_map(false)? && !self.run_map(true)? {
                return Err(LowerError("a stage has values that depend on one another".into()));
            }
        }
    }

    fn run_call(&mut self, id: NodeId) -> Result<(), LowerError> {
        let inputs = self.low.plan.inputs(id).to_vec();
        let sources: Vec<Ref> = inputs.iter().filter_map(|input| self.memory(*input)).collect();
        let out = match self.root_for_call(id, &sources) {
            Some(root) => {
                self.order.close_root(root);
                self.roots[root].place.clone()
            }
            None => self.new_temp(id),
        };
        self.low.emit_call(id, &out, &sources)?;
        self.order.close(id);
        self.put(id, out);
        self.release(inputs.into_iter().chain([id]));
        Ok(())
    }

    /// The root to whose place a call can write: its var is not read by anything open, nor by the call.
    fn root_for_call(&self, id: NodeId, sources: &[Ref]) -> Option<usize> {
        self.order.open_users(id).find_map(|user| {
            let User::Root(k) = user else { return None };
            let root = &self.roots[k];
            let apart = sources.iter().all(|source| source.buffer != root.place.buffer);
            let own = |user: User| user == User::Node(id) || user == User::Root(k);
            (apart && self.is_free(root, own)).then_some(k)
        })
    }

    /// Whether a store to a root's place disturbs nobody but, perhaps, some users.
    pub fn is_free(&self, root: &Root, but: impl Fn(User) -> bool) -> bool {
        let Some(var) = root.var else { return true };
        !self.order.is_contested(var) && self.order.readers(var).all(but)
    }

    /// Where a node's value is, if it is in memory.
    pub fn memory(&mut self, id: NodeId) -> Option<Ref> {
        self.places.get(&id).cloned().or_else(|| self.low.leaf_memory(id))
    }

    pub fn is_computed(&self, id: NodeId) -> bool {
        self.places.contains_key(&id)
    }

    /// A value is at a place now.
    pub fn put(&mut self, id: NodeId, place: Ref) {
        self.places.insert(id, place);
        self.order.stored(self.low, id);
    }

    pub fn new_temp(&mut self, id: NodeId) -> Ref {
        let buffer = self.low.memory.take(self.low.extent_len(id));
        self.temps.insert(id, buffer);
        Ref::new(buffer, 0)
    }

    pub fn is_temp(&self, id: NodeId) -> bool {
        self.temps.contains_key(&id)
    }

    /// Gives back those temporaries that nobody needs any more.
    pub fn release(&mut self, ids: impl IntoIterator<Item = NodeId>) {
        for id in ids {
            let waits = self.copies.iter().any(|(k, _)| self.roots[*k].value == id);
            if !waits && self.order.open_users(id).next().is_none() {
                self.forget(id);
            }
        }
    }

    pub fn forget(&mut self, id: NodeId) {
        if let Some(buffer) = self.temps.remove(&id) {
            self.places.remove(&id);
            self.low.memory.give_back(buffer);
        }
    }

    /// The root's value is at `source`; it is stored when all else is done.
    pub fn copy_later(&mut self, root: usize, source: Ref) {
        self.order.close_root(root);
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
        left.into_iter().for_each(|id| self.forget(id));
        Ok(())
    }

    pub fn extent(&self, id: NodeId) -> Extent {
        self.low.extent(id)
    }
}
