//! Building of bodies: value numbering as instructions arrive, exact folding, and removal of what nothing uses.

use crate::insts::Gives;
use crate::ir::{At, Binary, Body, BufId, Compare, Draw, Inst, Int, Math, Precision, Ref, Unary, Val};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

mod fold;

/// Collects the instructions of one body. Equal instructions give the same value; identities that hold to the bit are
/// folded; [`BodyBuilder::finish`] drops whatever no store needs.
pub struct BodyBuilder {
    precision: Precision,
    insts: Vec<Inst>,
    /// Instructions by fingerprint, those of equal fingerprint in order.
    known: HashMap<u64, Vec<Val>>,
    constants: HashMap<u64, Val>,
    /// How often each buffer has been written: a load is the same only between two writes.
    writes: HashMap<BufId, u32>,
}

impl BodyBuilder {
    pub fn new(precision: Precision) -> BodyBuilder {
        BodyBuilder {
            precision,
            insts: Vec::new(),
            known: HashMap::new(),
            constants: HashMap::new(),
            writes: HashMap::new(),
        }
    }

    /// Appends an instruction, or gives the value already known to equal it.
    pub fn push(&mut self, inst: Inst) -> Val {
        let inst = match fold::fold(self, inst) {
            fold::Folded::Known(value) => return value,
            fold::Folded::Inst(inst) => inst,
        };
        if let Inst::Const(value) = inst {
            return self.constant(value);
        }
        if let Some((place, _)) = inst.written() {
            *self.writes.entry(place.buffer).or_insert(0) += 1;
            return self.append(inst);
        }
        let fingerprint = self.fingerprint(&inst);
        let same = self.known.get(&fingerprint).into_iter().flatten();
        if let Some(value) = same.copied().find(|value| self.inst(*value) == Some(&inst)) {
            return value;
        }
        let value = self.append(inst);
        self.known.entry(fingerprint).or_default().push(value);
        value
    }

    /// The body: instructions that no store needs are gone, the others keep their order.
    pub fn finish(self) -> Body {
        remove_dead(self.insts)
    }

    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The instruction that gives a value.
    pub fn inst(&self, value: Val) -> Option<&Inst> {
        self.insts.get(value.0 as usize)
    }

    pub fn constant(&mut self, value: f64) -> Val {
        let value = fold::round(self.precision, value);
        if let Some(known) = self.constants.get(&value.to_bits()) {
            return *known;
        }
        let made = self.append(Inst::Const(value));
        self.constants.insert(value.to_bits(), made);
        made
    }

    pub fn int(&mut self, value: impl Into<Int>) -> Val {
        self.push(Inst::Int(value.into()))
    }

    pub fn index(&mut self) -> Val {
        self.push(Inst::Index)
    }

    pub fn load(&mut self, from: Ref, at: At) -> Val {
        self.push(Inst::Load { from, at })
    }

    pub fn unary(&mut self, op: Unary, a: Val) -> Val {
        self.push(Inst::Unary { op, a })
    }

    pub fn binary(&mut self, op: Binary, a: Val, b: Val) -> Val {
        self.push(Inst::Binary { op, a, b })
    }

    pub fn add(&mut self, a: Val, b: Val) -> Val {
        self.binary(Binary::Add, a, b)
    }

    pub fn sub(&mut self, a: Val, b: Val) -> Val {
        self.binary(Binary::Sub, a, b)
    }

    pub fn mul(&mut self, a: Val, b: Val) -> Val {
        self.binary(Binary::Mul, a, b)
    }

    pub fn div(&mut self, a: Val, b: Val) -> Val {
        self.binary(Binary::Div, a, b)
    }

    pub fn fma(&mut self, a: Val, b: Val, c: Val) -> Val {
        self.push(Inst::Fma { a, b, c })
    }

    pub fn compare(&mut self, op: Compare, a: Val, b: Val) -> Val {
        self.push(Inst::Compare { op, a, b })
    }

    pub fn and(&mut self, a: Val, b: Val) -> Val {
        self.push(Inst::And { a, b })
    }

    pub fn or(&mut self, a: Val, b: Val) -> Val {
        self.push(Inst::Or { a, b })
    }

    pub fn not(&mut self, a: Val) -> Val {
        self.push(Inst::Not { a })
    }

    pub fn select(&mut self, mask: Val, a: Val, b: Val) -> Val {
        self.push(Inst::Select { mask, a, b })
    }

    pub fn math(&mut self, f: Math, args: &[Val]) -> Val {
        self.push(Inst::Math { f, args: args.to_vec() })
    }

    pub fn draw(&mut self, draw: Draw, key: u64, step: impl Into<Int>, base: impl Into<Int>, args: &[Val]) -> Val {
        self.push(Inst::Draw { draw, key, step: step.into(), base: base.into(), args: args.to_vec() })
    }

    pub fn store(&mut self, to: Ref, at: At, value: Val) {
        self.push(Inst::Store { to, at, value });
    }

    pub fn add_to(&mut self, to: Ref, at: At, value: Val) {
        self.push(Inst::AddTo { to, at, value });
    }

    fn append(&mut self, inst: Inst) -> Val {
        let value = Val(self.insts.len() as u32);
        self.insts.push(inst);
        value
    }

    fn fingerprint(&self, inst: &Inst) -> u64 {
        let mut hasher = DefaultHasher::new();
        std::mem::discriminant(inst).hash(&mut hasher);
        inst.operands().for_each(|value| value.hash(&mut hasher));
        match inst {
            Inst::Unary { op, .. } => op.hash(&mut hasher),
            Inst::Binary { op, .. } => op.hash(&mut hasher),
            Inst::Compare { op, .. } => op.hash(&mut hasher),
            Inst::Math { f, .. } => f.hash(&mut hasher),
            Inst::Draw { draw, key, step, base, .. } => (draw, key, step, base).hash(&mut hasher),
            Inst::Int(value) => value.hash(&mut hasher),
            Inst::Load { from, at } => (from, at, self.writes.get(&from.buffer)).hash(&mut hasher),
            _ => {}
        }
        hasher.finish()
    }
}

/// Drops the instructions that no store needs and renumbers the rest.
pub fn remove_dead(insts: Vec<Inst>) -> Body {
    let mut live: Vec<bool> = insts.iter().map(Inst::has_effect).collect();
    for place in (0..insts.len()).rev() {
        if live[place] {
            insts[place].operands().for_each(|value| live[value.0 as usize] = true);
        }
    }
    let mut renumbered = vec![Val(0); insts.len()];
    let mut kept = Vec::new();
    for (place, mut inst) in insts.into_iter().enumerate().filter(|(place, _)| live[*place]) {
        inst.rename(|value| renumbered[value.0 as usize]);
        renumbered[place] = Val(kept.len() as u32);
        kept.push(inst);
    }
    Body { insts: kept }
}

/// Whether arithmetic gave the value, so that it is no denormal.
fn is_arithmetic(inst: &Inst) -> bool {
    inst.gives() == Gives::Real
        && matches!(
            inst,
            Inst::Binary { op: Binary::Add | Binary::Sub | Binary::Mul | Binary::Div, .. }
                | Inst::Fma { .. }
                | Inst::Unary { op: Unary::Sqrt, .. }
                | Inst::Int(_)
                | Inst::Index
        )
}

#[cfg(test)]
mod tests;
