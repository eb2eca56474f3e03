//! Uniform values that no step of an outermost loop changes: computed before the loop and kept in memory.
//!
//! Only values with a block call, a division or a square root in them are worth it. Their loads are of known elements, so
//! that they may be made even where the loop would not come to the map.

use super::element::Place;
use super::map::Layout;
use super::{Emitted, Emitter};
use crate::plan::Plan;
use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, types};
use nnm_kir::insts::written_buffers;
use nnm_kir::ir::{Arg, At, Binary, BufId, Inst, Int, Map, SlotId, Stmt, Unary, Val};
use nnm_runtime::abi::ArgKind;
use std::collections::{BTreeMap, BTreeSet};

/// What the statements of a loop change, and the maps among them, in order.
#[derive(Default)]
struct Changes<'k> {
    buffers: BTreeSet<BufId>,
    slots: BTreeSet<SlotId>,
    maps: Vec<&'k Map>,
}

impl<'a> Emitter<'a> {
    /// Computes what the maps of a loop need of this kind, and notes it in their plans.
    pub fn keep_invariants(&mut self, body: &'a [Stmt]) -> Emitted<()> {
        let mut changes = Changes::default();
        self.changes(body, &mut changes);
        for (number, map) in changes.maps.iter().enumerate() {
            let Some(mut plan) = self.plans.get_mut(number).map(std::mem::take) else { continue };
            self.keep(map, &mut plan, &changes)?;
            self.plans[number] = plan;
        }
        Ok(())
    }

    fn keep(&mut self, map: &Map, plan: &mut Plan, changes: &Changes<'_>) -> Emitted<()> {
        let insts = &map.body.insts;
        let invariant = self.invariant(insts, &plan.uniform, changes);
        let kept = worth_keeping(insts, &invariant);
        if kept.is_empty() {
            return Ok(());
        }
        let Layout { line, .. } = self.layout(map, plan);
        let base = self.scratch_address();
        let line = Some(Place { base, distance: line as i32 });
        let known = self.values(insts, &invariant, &kept, &BTreeMap::new(), line)?;
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, kept.len() as u32 * 16, 4);
        let slot = self.builder.create_sized_stack_slot(data);
        for (number, value) in kept.into_iter().enumerate() {
            if let Some(vector) = known[value.0 as usize] {
                let distance = number as i32 * 16;
                let address = self.builder.ins().stack_addr(types::I64, slot, distance);
                self.builder.ins().store(super::memory(), vector, address, 0);
                plan.kept.insert(value, (slot, distance, self.builder.func.dfg.value_type(vector)));
            }
        }
        Ok(())
    }

    /// The uniform values that are the same in each step.
    fn invariant(&self, insts: &[Inst], uniform: &[bool], changes: &Changes<'_>) -> Vec<bool> {
        let mut invariant: Vec<bool> = Vec::with_capacity(insts.len());
        for (inst, uniform) in insts.iter().zip(uniform) {
            let same = match inst {
                Inst::Int(Int::Const(_)) => true,
                Inst::Int(Int::Slot(slot)) => !changes.slots.contains(slot),
                Inst::Int(_) => false,
                Inst::Load { from, at: At::Splat } => {
                    let len = self.kernel.buffers.get(from.buffer.0 as usize).map_or(0, |buffer| buffer.len);
                    let inside = from.offset.as_const().is_some_and(|at| at >= 0 && (at as u64) < len);
                    inside && !changes.buffers.contains(&from.buffer)
                }
                _ => inst.operands().all(|operand| invariant[operand.0 as usize]),
            };
            invariant.push(*uniform && same);
        }
        invariant
    }

    fn changes(&self, body: &'a [Stmt], changes: &mut Changes<'a>) {
        for stmt in body {
            match stmt {
                Stmt::For { body, .. } => self.changes(body, changes),
                Stmt::If { then, otherwise, .. } => {
                    self.changes(then, changes);
                    self.changes(otherwise, changes);
                }
                Stmt::Set { slot, .. } => {
                    changes.slots.insert(*slot);
                }
                Stmt::Map(map) => {
                    changes.buffers.extend(written_buffers(&map.body.insts));
                    changes.maps.push(map);
                }
                Stmt::Rows(rows) => changes.buffers.extend(written_buffers(&rows.body.insts)),
                Stmt::Call { prim, args } => changes.buffers.extend(self.written_by(prim, args)),
                Stmt::Return { .. } | Stmt::Note(_) => {}
            }
        }
    }

    fn written_by(&self, prim: &str, args: &[Arg]) -> Vec<BufId> {
        let kinds = (self.options.prims)(prim).map_or(&[][..], |def| def.args);
        let written = args.iter().zip(kinds).filter_map(|(arg, (_, kind))| match (arg, kind) {
            (Arg::Buf(place), ArgKind::Out | ArgKind::OutIndex | ArgKind::OutCount) => Some(place.buffer),
            _ => None,
        });
        written.collect()
    }
}

/// The invariant values that something else uses and that are dear.
fn worth_keeping(insts: &[Inst], invariant: &[bool]) -> Vec<Val> {
    let mut dear: Vec<bool> = Vec::with_capacity(insts.len());
    let mut wanted = vec![false; insts.len()];
    for (number, inst) in insts.iter().enumerate() {
        let is_dear = matches!(
            inst,
            Inst::Math { .. } | Inst::Binary { op: Binary::Div, .. } | Inst::Unary { op: Unary::Sqrt, .. }
        );
        dear.push(invariant[number] && (is_dear || inst.operands().any(|operand| dear[operand.0 as usize])));
        if !invariant[number] {
            inst.operands().for_each(|operand| wanted[operand.0 as usize] = true);
        }
    }
    (0..insts.len()).filter(|number| dear[*number] && wanted[*number]).map(|number| Val(number as u32)).collect()
}
