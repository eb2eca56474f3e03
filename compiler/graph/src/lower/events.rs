//! Statements about events, data rows and checks: each a primitive call.

use nnm_kir::ir as kir;
use nnm_kir::ir::{Elem, Int, IntCmp, Ref, SlotId};
use nnm_runtime::abi::status;

use super::stage::Root;
use super::{LowerError, Lowering, args};
use crate::ir::{NodeId, Place, Stmt, VarElem, VarId};
use crate::ops::batch::BATCH;
use crate::shape;

impl Lowering<'_> {
    pub(super) fn event(&mut self, stmt: &Stmt) -> Result<(), LowerError> {
        match stmt {
            Stmt::Compact { flags, list, count, slot } => self.compact(*flags, *list, *count, slot),
            Stmt::Fetch { into, from, index, offset } => self.fetch(*into, *from, *index, offset),
            Stmt::Log { list, count, slot, step, log_cell, log_step, log_count } => {
                let list = self.place(*list, &Place::Time(slot.clone()))?;
                let room = shape::size(&self.graph.var(*log_cell).shape);
                let logs = [*log_cell, *log_step, *log_count].map(|var| Ref::new(self.buffer(var), 0));
                let [cells, steps, used] = logs;
                let n = self.count_of(*count, slot);
                self.where_any(n.clone(), |s| s.call("log", args![cells, steps, used, list, n, step.clone(), room]));
                Ok(())
            }
            Stmt::LogValues { list, count, slot, values, log_value, log_count } => {
                let list = self.place(*list, &Place::Time(slot.clone()))?;
                let room = shape::size(&self.graph.var(*log_value).shape);
                let cells = shape::size(&self.graph.var(*values).shape);
                let to = [*log_value, *values, *log_count].map(|var| Ref::new(self.buffer(var), 0));
                let [logged, values, used] = to;
                let n = self.count_of(*count, slot);
                self.where_any(n.clone(), |s| s.call("log_values", args![logged, used, values, list, n, cells, room]));
                Ok(())
            }
            Stmt::CheckFinite { var, place, code } => self.check_finite(*var, place, *code),
            _ => Err(LowerError("this statement has no lowering".into())),
        }
    }

    fn compact(&mut self, flags: NodeId, list: VarId, count: VarId, slot: &Int) -> Result<(), LowerError> {
        let flags = self.plan.alias(flags);
        let n = self.len_of(flags);
        let room = shape::size(&self.graph.var(list).shape);
        let to = self.place(list, &Place::Time(slot.clone()))?;
        let counts = Ref::new(self.buffer(count), slot.clone());
        let memory = self.leaf_memory(flags);
        let temp = match &memory {
            Some(_) => None,
            None => Some(self.memory.take(self.extent_len(flags))),
        };
        let place = memory.or(temp.map(|temp| Ref::new(temp, 0)));
        let Some(place) = place else { return Ok(()) };
        if temp.is_some() {
            self.run_stage(vec![Root { value: flags, place: place.clone(), var: None }])?;
        }
        self.call("compact", args![to, counts, place, n, room]);
        temp.into_iter().for_each(|temp| self.memory.give_back(temp));
        Ok(())
    }

    fn fetch(&mut self, into: VarId, from: VarId, index: VarId, offset: &Int) -> Result<(), LowerError> {
        let samples = if self.graph.var(into).batched { Int::Slot(BATCH) } else { Int::Const(1) };
        let width = shape::size(&self.graph.var(into).shape);
        let rows = self.graph.var(from).shape.first().copied().unwrap_or(0);
        let places = [Ref::new(self.buffer(into), 0), Ref::new(self.buffer(from), 0)];
        let [to, source] = places;
        let index = Ref::new(self.buffer(index), offset.clone());
        self.call("fetch", args![to, source, index, samples, width, rows]);
        Ok(())
    }

    /// What is done only where a count is above 0: in most steps of a few cells nothing happens.
    fn where_any(&mut self, count: Int, act: impl FnOnce(&mut Self)) {
        let outer = std::mem::take(&mut self.out);
        act(self);
        let then = std::mem::replace(&mut self.out, outer);
        let cond = kir::Cond { op: IntCmp::Lt, a: Int::Const(0), b: count };
        self.out.push(kir::Stmt::If { cond, then, otherwise: vec![] });
    }

    /// Looks for what is not finite; where something is, says so in the slots and ends.
    fn check_finite(&mut self, var: VarId, place: &Place, code: i64) -> Result<(), LowerError> {
        let known = self.graph.var(var);
        if known.elem != VarElem::Real {
            return Ok(());
        }
        let size = shape::size(&known.shape) as i64;
        let len = if known.batched { Int::Slot(BATCH) * size } else { Int::Const(size) };
        let source = self.place(var, place)?;
        let found = Ref::new(self.memory.found(), 0);
        self.call("find_bad", args![&found, source, len]);
        let at = Int::Load(Box::new(found));
        let mut then = vec![];
        for (name, value) in [("fault", Int::Const(code)), ("fault_index", at.clone())] {
            if let Some(slot) = self.program.slots.iter().position(|s| s == name) {
                then.push(kir::Stmt::Set { slot: SlotId(slot as u32), value });
            }
        }
        then.push(kir::Stmt::Return { status: status::NOT_FINITE });
        let cond = kir::Cond { op: IntCmp::Le, a: Int::Const(0), b: at };
        self.out.push(kir::Stmt::If { cond, then, otherwise: vec![] });
        Ok(())
    }
}

impl super::memory::Memory {
    /// The buffer in which a search puts what it found.
    fn found(&mut self) -> kir::BufId {
        let known = self.temporaries.iter().copied().find(|id| self.buffers[id.0 as usize].elem == Elem::I64);
        known.unwrap_or_else(|| self.keep(1, Elem::I64))
    }
}
