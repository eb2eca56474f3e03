//! What the passes ask of an instruction: its operands, whether it gives a real, a mask or nothing, what it touches.

use crate::ir::{Arg, At, BufId, Inst, Int, Ref, Stmt, Val};

/// The kind of value that an instruction gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    Real,
    Mask,
    Nothing,
}

impl Inst {
    pub fn gives(&self) -> Gives {
        match self {
            Inst::Compare { .. } | Inst::And { .. } | Inst::Or { .. } | Inst::Not { .. } => Gives::Mask,
            Inst::Store { .. } | Inst::AddTo { .. } => Gives::Nothing,
            _ => Gives::Real,
        }
    }

    /// The values that the instruction takes, in written order.
    pub fn operands(&self) -> impl Iterator<Item = Val> + '_ {
        let (few, many): ([Option<Val>; 3], &[Val]) = match self {
            Inst::Const(_) | Inst::Int(_) | Inst::Index | Inst::Load { .. } => ([None; 3], &[]),
            Inst::Unary { a, .. } | Inst::Not { a } => ([Some(*a), None, None], &[]),
            Inst::Binary { a, b, .. } | Inst::Compare { a, b, .. } | Inst::And { a, b } | Inst::Or { a, b } => {
                ([Some(*a), Some(*b), None], &[])
            }
            Inst::Fma { a, b, c } => ([Some(*a), Some(*b), Some(*c)], &[]),
            Inst::Select { mask, a, b } => ([Some(*mask), Some(*a), Some(*b)], &[]),
            Inst::Math { args, .. } | Inst::Draw { args, .. } => ([None; 3], args),
            Inst::Store { value, .. } | Inst::AddTo { value, .. } => ([Some(*value), None, None], &[]),
        };
        few.into_iter().flatten().chain(many.iter().copied())
    }

    /// Replaces each value taken by what `rename` gives for it.
    pub fn rename(&mut self, mut rename: impl FnMut(Val) -> Val) {
        match self {
            Inst::Const(_) | Inst::Int(_) | Inst::Index | Inst::Load { .. } => {}
            Inst::Unary { a, .. } | Inst::Not { a } => *a = rename(*a),
            Inst::Binary { a, b, .. } | Inst::Compare { a, b, .. } | Inst::And { a, b } | Inst::Or { a, b } => {
                (*a, *b) = (rename(*a), rename(*b));
            }
            Inst::Fma { a, b, c } => (*a, *b, *c) = (rename(*a), rename(*b), rename(*c)),
            Inst::Select { mask, a, b } => (*mask, *a, *b) = (rename(*mask), rename(*a), rename(*b)),
            Inst::Math { args, .. } | Inst::Draw { args, .. } => args.iter_mut().for_each(|v| *v = rename(*v)),
            Inst::Store { value, .. } | Inst::AddTo { value, .. } => *value = rename(*value),
        }
    }

    /// The place that the instruction writes.
    pub fn written(&self) -> Option<(&Ref, &At)> {
        match self {
            Inst::Store { to, at, .. } | Inst::AddTo { to, at, .. } => Some((to, at)),
            _ => None,
        }
    }

    /// The place of reals that the instruction reads.
    pub fn read(&self) -> Option<(&Ref, &At)> {
        match self {
            Inst::Load { from, at } | Inst::AddTo { to: from, at, .. } => Some((from, at)),
            _ => None,
        }
    }

    /// Whether the instruction changes a buffer.
    pub fn has_effect(&self) -> bool {
        self.written().is_some()
    }

    /// Whether the instruction is a call of a block function of the runtime.
    pub fn is_block_call(&self) -> bool {
        matches!(self, Inst::Math { .. } | Inst::Draw { .. })
    }
}

/// The buffers that a body writes, in order of first writing.
pub fn written_buffers(insts: &[Inst]) -> Vec<BufId> {
    let mut found = Vec::new();
    for (place, _) in insts.iter().filter_map(Inst::written) {
        if !found.contains(&place.buffer) {
            found.push(place.buffer);
        }
    }
    found
}

impl Inst {
    /// The integer expressions that the instruction evaluates.
    pub fn ints(&self) -> impl Iterator<Item = &Int> {
        let pair = match self {
            Inst::Int(value) => [Some(value), None],
            Inst::Load { from, at: At::Gather(index) } => [Some(&from.offset), Some(&index.offset)],
            Inst::Draw { step, base, .. } => [Some(step), Some(base)],
            _ => [self.read().or(self.written()).map(|(place, _)| &place.offset), None],
        };
        pair.into_iter().flatten()
    }
}

impl Stmt {
    /// The integer expressions of the statement itself, without those of the blocks in it.
    pub fn ints(&self) -> Box<dyn Iterator<Item = &Int> + '_> {
        match self {
            Stmt::For { from, to, .. } => Box::new([from, to].into_iter()),
            Stmt::If { cond, .. } => Box::new([&cond.a, &cond.b].into_iter()),
            Stmt::Set { value, .. } => Box::new(std::iter::once(value)),
            Stmt::Map(map) => Box::new(std::iter::once(&map.len).chain(map.body.insts.iter().flat_map(Inst::ints))),
            Stmt::Rows(rows) => {
                let places =
                    [Some(&rows.list), Some(&rows.ptr), rows.end.as_ref(), rows.edge.as_ref(), Some(&rows.other)];
                let offsets = places.into_iter().flatten().map(|place| &place.offset);
                let inner = rows.body.insts.iter().flat_map(Inst::ints);
                Box::new(std::iter::once(&rows.count).chain(offsets).chain(inner))
            }
            Stmt::Call { args, .. } => Box::new(args.iter().filter_map(|arg| match arg {
                Arg::Buf(place) => Some(&place.offset),
                Arg::Int(value) => Some(value),
                Arg::Real(_) => None,
            })),
            Stmt::Return { .. } | Stmt::Note(_) => Box::new(std::iter::empty()),
        }
    }
}
