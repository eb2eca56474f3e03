//! Values that are the same for all elements of a map or for all edges of a delivery: computed once, before the loop.

use super::element::Place;
use super::{Emitted, Emitter, memory, misplaced};
use crate::plan::Kept;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nnm_kir::ir::{At, Inst, Val};
use std::collections::BTreeMap;

/// By instruction, what is known already.
pub(super) type Known = Vec<Option<Value>>;

impl Emitter<'_> {
    /// Computes the uniform values that other instructions use, but for those that are kept from before.
    ///
    /// `line` is scratch memory for block calls on one element.
    pub fn uniforms(
        &mut self,
        insts: &[Inst],
        uniform: &[bool],
        kept: &BTreeMap<Val, Kept>,
        line: Option<Place>,
    ) -> Emitted<Known> {
        let of_others = insts.iter().zip(uniform).filter(|(_, uniform)| !**uniform);
        let mut wanted: Vec<Val> = of_others.flat_map(|(inst, _)| inst.operands()).collect();
        wanted.retain(|value| uniform[value.0 as usize]);
        self.values(insts, uniform, &wanted, kept, line)
    }

    /// Computes these uniform values and whatever they are made of.
    pub fn values(
        &mut self,
        insts: &[Inst],
        uniform: &[bool],
        wanted: &[Val],
        kept: &BTreeMap<Val, Kept>,
        line: Option<Place>,
    ) -> Emitted<Known> {
        let mut needed = vec![false; insts.len()];
        wanted.iter().for_each(|value| needed[value.0 as usize] = true);
        for number in (0..insts.len()).rev() {
            if needed[number] && !kept.contains_key(&Val(number as u32)) {
                insts[number].operands().for_each(|operand| needed[operand.0 as usize] = true);
            }
        }
        let mut known: Known = vec![None; insts.len()];
        for (number, inst) in insts.iter().enumerate().filter(|(number, _)| uniform[*number] && needed[*number]) {
            known[number] = Some(match kept.get(&Val(number as u32)) {
                Some((slot, distance, ty)) => {
                    let address = self.builder.ins().stack_addr(types::I64, *slot, *distance);
                    self.builder.ins().load(*ty, memory(), address, 0)
                }
                None => self.uniform(inst, &known, line)?,
            });
        }
        Ok(known)
    }

    fn uniform(&mut self, inst: &Inst, known: &Known, line: Option<Place>) -> Emitted<Value> {
        let operands: Vec<Value> = inst.operands().filter_map(|value| known[value.0 as usize]).collect();
        match (inst, line) {
            (Inst::Int(value), _) => {
                let value = self.int(value)?;
                Ok(self.real_of(value))
            }
            (Inst::Load { from, at: At::Splat }, _) => {
                let (base, elem) = (self.address(from)?, self.elem(from));
                Ok(self.load_splat(elem, Place { base, distance: 0 }))
            }
            (Inst::Math { .. }, Some(line)) => {
                let result = self.single_call(inst, &operands, line, None)?;
                Ok(self.load_splat(self.shape.elem(), result))
            }
            _ => self.arithmetic(inst, &operands).ok_or_else(|| misplaced(inst)),
        }
    }
}
