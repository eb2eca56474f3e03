//! Values that are the same for all elements of a map or for all edges of a delivery: computed once, before the loop.

use super::element::Place;
use super::{Emitted, Emitter, misplaced};
use cranelift_codegen::ir::Value;
use nnm_kir::ir::{At, Inst, Val};

/// By instruction, what is known already.
pub(super) type Known = Vec<Option<Value>>;

impl Emitter<'_> {
    /// Computes the uniform values that anything uses. `line` is scratch memory for block calls on one element.
    pub fn uniforms(&mut self, insts: &[Inst], uniform: &[bool], line: Option<Place>) -> Emitted<Known> {
        let mut used = vec![false; insts.len()];
        for inst in insts {
            // constants are made where they are used, unless another uniform value is made of them
            inst.operands().for_each(|value| used[value.0 as usize] = true);
        }
        let mut known: Known = vec![None; insts.len()];
        for (number, inst) in insts.iter().enumerate().filter(|(number, _)| uniform[*number] && used[*number]) {
            known[number] = Some(self.uniform(inst, &known, line)?);
        }
        Ok(known)
    }

    fn uniform(&mut self, inst: &Inst, known: &Known, line: Option<Place>) -> Emitted<Value> {
        let operands: Vec<Value> = inst.operands().filter_map(|value| self.known(known, value)).collect();
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

    fn known(&self, known: &Known, value: Val) -> Option<Value> {
        known.get(value.0 as usize).copied().flatten()
    }
}
