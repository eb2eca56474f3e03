//! What an assignment of a block changes of a state: all of it, or the elements and slices of a cell's array that it names.

use nnm_graph::ir::Binary;
use nnm_syntax::ast::{AssignOp, ExprId, ExprKind, Name};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::eval::operators::Operand;
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, shaped};

/// `x = …`, `x[1] += …`
pub(super) struct Change<'s> {
    pub place: &'s [Name],
    pub index: &'s [ExprId],
    pub op: AssignOp,
    pub value: ExprId,
    pub span: Span,
}

/// What is named of one axis.
enum Named {
    /// One place in each cell.
    Place(Num),
    /// From one place up to another.
    Slice(usize, usize),
}

impl Session<'_> {
    /// The new value of a state, as the cell's equations see it.
    pub(super) fn changed(
        &mut self,
        scope: ScopeId,
        change: &Change,
        cells: &[usize],
        old: &Num,
        right: &Operand,
    ) -> Option<Num> {
        let span = change.span;
        let whole = change.index.is_empty();
        let Some(own) = self.own_shape(old, cells).filter(|own| !(whole && own.is_empty())) else {
            return Some(self.assigned(change.op, old, &right.num, span));
        };
        let named = self.named_elements(scope, change.index, (&own, cells), span)?;
        let lengths: Vec<usize> = named.iter().filter_map(Named::length).collect();
        let right = self.right_in_cell(right, cells, &lengths)?;
        if whole {
            return Some(self.assigned(change.op, old, &right, span));
        }
        let mask = self.mask_of(&named, (&own, cells), span);
        let right = self.spread_out(&right, &named, (&own, cells), span);
        // Beside a slice stands nothing, by which nothing is divided.
        let right = match change.op {
            AssignOp::Div => self.select(&mask, &right, &Num { unit: right.unit.clone(), ..Num::real(1.0) }, span),
            _ => right,
        };
        let new = self.assigned(change.op, old, &right, span);
        Some(self.select(&mask, &new, old, span))
    }

    fn named_elements(
        &mut self,
        scope: ScopeId,
        index: &[ExprId],
        (own, cells): (&[usize], &[usize]),
        span: Span,
    ) -> Option<Vec<Named>> {
        if index.len() > own.len() {
            self.no_axis(own, own.len(), span);
            return None;
        }
        let mut out = vec![];
        for (id, length) in index.iter().zip(own) {
            if matches!(self.bare_expr(scope, *id).1.kind, ExprKind::Range { .. }) {
                let (from, to) = self.index_range(scope, *id, *length)?;
                out.push(Named::Slice(from, to));
                continue;
            }
            let at = self.operand(scope, *id)?;
            self.hold_place(&at, *length, at.span)?;
            if self.own_axes(&at.num, cells) != Some(0) {
                let d = Diagnostic::error("E0660", at.span, "one element is changed at a time, or a slice");
                self.report(d.help("`x[1] = 0`, `x[k] += 1`, `x[0 .. 2] = 0`"));
                return None;
            }
            out.push(Named::Place(self.place_within(&at.num, *length, at.span)));
        }
        out.extend(own[index.len()..].iter().map(|length| Named::Slice(0, *length)));
        Some(out)
    }

    /// A right side, held against the lengths of what it changes.
    fn right_in_cell(&mut self, right: &Operand, cells: &[usize], lengths: &[usize]) -> Option<Num> {
        let Some((num, own)) = self.as_array(&right.num, cells) else { return Some(right.num.clone()) };
        let found = self.shape(&num)?[..own].to_vec();
        if nnm_graph::shape::broadcasts_to(&found, lengths) {
            return Some(num);
        }
        let (found, wanted) = (self.shape_text(&found), self.shape_text(lengths));
        self.error("E0313", right.span, format!("expected the shape {wanted}, found {found}"));
        None
    }

    /// 1 at the elements that are named, over the whole array.
    fn mask_of(&mut self, named: &[Named], (own, cells): (&[usize], &[usize]), span: Span) -> Num {
        let mut mask = Num { each: true, ..Num::real(1.0) };
        for (axis, (named, length)) in named.iter().zip(own).enumerate() {
            let mut along = vec![1; own.len() + cells.len()];
            along[axis] = *length;
            let places =
                |f: &dyn Fn(usize) -> f64| Num::array(Unit::REAL, shaped(&along, (0..*length).map(f).collect()));
            let here = match named {
                Named::Place(at) => self.binary(Binary::Eq, &places(&|k| k as f64), at, Unit::REAL, span),
                Named::Slice(from, to) => places(&|k| f64::from((*from..*to).contains(&k))),
            };
            mask = self.binary(Binary::And, &mask, &here, Unit::REAL, span);
        }
        mask
    }

    /// A right side over the whole array: its own axes are those of the slices.
    fn spread_out(&mut self, right: &Num, named: &[Named], (own, cells): (&[usize], &[usize]), span: Span) -> Num {
        let rank = self.own_axes(right, cells).unwrap_or(0);
        if rank == 0 {
            return right.clone();
        }
        let behind = self.shape(right).map_or(vec![], |s| s[rank..].to_vec());
        let lengths: Vec<usize> = named.iter().filter_map(Named::length).collect();
        let with_ones: Vec<usize> = named.iter().map(|n| n.length().unwrap_or(1)).collect();
        self.apply(span, right.unit.clone(), &[right], |g, n| {
            let mut node = g.broadcast_to(n[0], &[&lengths[..], &behind[..]].concat())?;
            node = g.reshape(node, &[&with_ones[..], &behind[..]].concat())?;
            for (axis, named) in named.iter().enumerate() {
                if let Named::Slice(from, _) = named {
                    node = g.unslice(node, axis, *from, 1, own[axis])?;
                }
            }
            Ok(node)
        })
    }
}

impl Named {
    fn length(&self) -> Option<usize> {
        match self {
            Named::Place(_) => None,
            Named::Slice(from, to) => Some(to - from),
        }
    }
}
