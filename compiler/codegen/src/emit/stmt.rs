//! Statements: control flow, slots, and calls of primitives.

use super::{Emitted, Emitter, memory};
use crate::callees::Callee;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, TrapCode, types};
use nnm_kir::ir::{Arg, Cond, Int, LoopId, Stmt};

impl<'a> Emitter<'a> {
    /// Statements in a row; whether their end can be reached.
    pub fn block(&mut self, body: &'a [Stmt]) -> Emitted<bool> {
        let mut reached = true;
        for stmt in body {
            if reached {
                self.forget();
                reached = self.stmt(stmt)?;
            } else {
                self.drop_plans(stmt);
            }
        }
        Ok(reached)
    }

    fn stmt(&mut self, stmt: &'a Stmt) -> Emitted<bool> {
        match stmt {
            Stmt::For { index, from, to, down, body } => self.for_loop(*index, (from, to), *down, body)?,
            Stmt::If { cond, then, otherwise } => return self.branch(cond, then, otherwise),
            Stmt::Set { slot, value } => {
                let value = self.int(value)?;
                if let Some((variable, _)) = self.slots[slot.0 as usize] {
                    self.builder.def_var(variable, value);
                }
            }
            Stmt::Map(map) => {
                let plan = self.plans.pop_front().unwrap_or_default();
                self.map(map, &plan)?;
            }
            Stmt::Rows(rows) => self.rows(rows)?,
            Stmt::Call { prim, args } => self.call(prim, args)?,
            Stmt::Return { status } => {
                let status = self.builder.ins().iconst(types::I32, i64::from(*status));
                self.leave(status);
                return Ok(false);
            }
            Stmt::Note(_) => {}
        }
        Ok(true)
    }

    /// The plans of maps that are never reached.
    fn drop_plans(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Map(_) => {
                self.plans.pop_front();
            }
            Stmt::For { body, .. } => body.iter().for_each(|stmt| self.drop_plans(stmt)),
            Stmt::If { then, otherwise, .. } => then.iter().chain(otherwise).for_each(|stmt| self.drop_plans(stmt)),
            _ => {}
        }
    }

    /// A loop that tests at its end.
    fn for_loop(&mut self, id: LoopId, (from, to): (&Int, &Int), down: bool, body: &'a [Stmt]) -> Emitted<()> {
        let (from, to) = (self.int(from)?, self.int(to)?);
        if self.loops.is_empty() {
            self.keep_invariants(body)?;
        }
        let (inside, after) = (self.builder.create_block(), self.builder.create_block());
        let index = self.builder.append_block_param(inside, types::I64);
        let any = self.builder.ins().icmp(IntCC::SignedLessThan, from, to);
        let first = if down { self.builder.ins().iadd_imm_s(to, -1) } else { from };
        self.builder.ins().brif(any, inside, &[first.into()], after, &[]);
        self.builder.switch_to_block(inside);
        self.loops.push((id, index));
        let reached = self.block(body)?;
        self.loops.pop();
        if reached {
            let next = self.builder.ins().iadd_imm_s(index, if down { -1 } else { 1 });
            let more = match down {
                true => self.builder.ins().icmp(IntCC::SignedGreaterThanOrEqual, next, from),
                false => self.builder.ins().icmp(IntCC::SignedLessThan, next, to),
            };
            self.builder.ins().brif(more, inside, &[next.into()], after, &[]);
        }
        self.builder.seal_block(inside);
        self.continue_in(after);
        Ok(())
    }

    fn branch(&mut self, cond: &Cond, then: &'a [Stmt], otherwise: &'a [Stmt]) -> Emitted<bool> {
        let cond = self.cond(cond)?;
        let (yes, no, after) = (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        self.builder.ins().brif(cond, yes, &[], no, &[]);
        let mut reached = false;
        for (block, body) in [(yes, then), (no, otherwise)] {
            self.continue_in(block);
            if self.block(body)? {
                self.builder.ins().jump(after, &[]);
                reached = true;
            }
        }
        self.continue_in(after);
        if !reached {
            self.builder.ins().trap(TrapCode::unwrap_user(1));
        }
        Ok(reached)
    }

    /// A primitive; a status other than zero ends the kernel.
    fn call(&mut self, prim: &str, args: &[Arg]) -> Emitted<()> {
        let Some(words) = self.words else { return Ok(()) };
        for (number, arg) in args.iter().enumerate() {
            let word = match arg {
                Arg::Buf(place) => self.address(place)?,
                Arg::Int(value) => self.int(value)?,
                Arg::Real(value) => self.iconst(value.to_bits() as i64),
            };
            let slot = self.builder.ins().stack_addr(types::I64, words, 0);
            self.builder.ins().store(memory(), word, slot, number as i32 * 8);
        }
        let callee = self.callee(Callee::Prim(prim))?;
        let slot = self.builder.ins().stack_addr(types::I64, words, 0);
        let call = self.builder.ins().call(callee, &[slot]);
        let status = self.builder.inst_results(call)[0];
        let (bad, good) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(bad);
        self.builder.ins().brif(status, bad, &[], good, &[]);
        self.continue_in(bad);
        self.leave(status);
        self.continue_in(good);
        Ok(())
    }
}
