//! Whether a blank stands between two tokens of a line.

use crate::builder::Notes;
use crate::token::{Symbol, Tok};

pub struct Spacing<'notes> {
    notes: &'notes Notes,
    /// Units in types by place, sorted.
    units: Vec<(u32, u32)>,
}

/// A token and where it starts.
type Placed = (Tok, usize);

impl<'notes> Spacing<'notes> {
    pub fn new(notes: &'notes Notes) -> Self {
        let mut units = notes.units.clone();
        units.sort_unstable();
        Spacing { notes, units }
    }

    /// Whether the token continues the unit that the one before it is part of.
    fn within_unit(&self, left: usize, right: usize) -> bool {
        let after = self.units.partition_point(|unit| unit.0 as usize <= left);
        let unit = after.checked_sub(1).and_then(|index| self.units.get(index));
        unit.is_some_and(|unit| right < unit.1 as usize)
    }

    pub fn between(&self, left: Placed, right: Placed) -> bool {
        use Symbol as S;
        if self.within_unit(left.1, right.1) {
            return false;
        }
        if left.0 == Tok::OpenBlock || right.0 == Tok::CloseBlock {
            return (left.0, right.0) != (Tok::OpenBlock, Tok::CloseBlock);
        }
        let tight_left = match left.0 {
            Tok::Symbol(S::OpenParen | S::OpenBracket | S::DotBrace | S::Dot | S::Caret) | Tok::OpenSet => true,
            Tok::Symbol(S::Minus) => self.notes.unary.contains(&(left.1 as u32)),
            _ => false,
        };
        let tight_right = match right.0 {
            Tok::Symbol(S::CloseParen | S::CloseBracket | S::Comma | S::Colon | S::Prime) | Tok::CloseSet => true,
            Tok::Symbol(S::Dot | S::DotBrace | S::DotStar | S::Caret) => true,
            Tok::Symbol(S::OpenParen | S::OpenBracket) => self.notes.tight.contains(&(right.1 as u32)),
            _ => false,
        };
        !tight_left && !tight_right
    }
}
