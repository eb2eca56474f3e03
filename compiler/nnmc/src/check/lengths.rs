//! Shapes for lengths of any size: a declaration is looked at with several unrelated values of its integer parameters.
//!
//! Two lengths that are equal as formulas are equal at every choice of values; two that differ are equal at few. What
//! fails at unrelated values and is no consequence of the defaults is therefore wrong for the formula, and what is right
//! for it never fails: a choice respects whatever the defaults divide (`d / heads`). Messages spell a length as the user
//! does, since each value stands for one parameter.

use std::collections::BTreeMap;

use nnm_syntax::ast::{ExprId, ExprKind};
use nnm_syntax::diag::Diagnostic;

use crate::session::{ScopeId, Session};

/// A parameter that may have any value from 1 on.
#[derive(Clone, Debug)]
pub struct Length {
    /// As messages spell it: `n`, `sizes[0]`.
    pub name: String,
    pub default: Option<usize>,
}

/// Values for all lengths, in their order.
pub type Point = Vec<usize>;

/// The size from which values without default grow: divisible by most small numbers.
const BASE: usize = 12;
/// Where factors are no longer made distinct: tensors would grow too large.
const LARGEST_FACTOR: usize = 16;

/// How many points are looked at where something is wrong at the first.
pub const POINTS: usize = 6;

/// The `round`-th choice of values that have nothing to do with each other.
pub fn unrelated(lengths: &[Length], taken: &[usize], round: usize) -> Point {
    let first = 2 + round % 2;
    let (factors, mut values) = default_factors(lengths, taken, first);
    let free: Vec<usize> = (0..lengths.len()).filter(|k| lengths[*k].default.is_none()).collect();
    let common = factors.iter().fold(1, |m, f| lcm(m, *f)).min(LARGEST_FACTOR);
    let mut out: Point = lengths.iter().zip(&factors).map(|(l, f)| l.default.unwrap_or(0) * f).collect();
    for (place, k) in free.iter().enumerate() {
        let mut value = (BASE * common * (first - 1)) << chain_place(place, free.len(), round).min(6);
        while values.contains(&value) {
            value += BASE * common;
        }
        values.push(value);
        out[*k] = value;
    }
    out
}

/// Where a length without default stands in the chain of those of which each divides the next: in every round elsewhere.
fn chain_place(place: usize, count: usize, round: usize) -> usize {
    let turned = (place + round / 2) % count;
    if round.is_multiple_of(2) { count - 1 - turned } else { turned }
}

/// Factors of the defaults, all different where that does not break what one default divides of another; and the values
/// that are taken thereby.
fn default_factors(lengths: &[Length], taken: &[usize], first: usize) -> (Vec<usize>, Vec<usize>) {
    let mut factors = vec![1; lengths.len()];
    let mut values = taken.to_vec();
    let mut used = vec![];
    let own = |k: usize| lengths[k].default.unwrap_or(1).max(1);
    let mut order: Vec<usize> = (0..lengths.len()).filter(|k| lengths[*k].default.is_some()).collect();
    order.sort_by_key(|k| own(*k));
    for (place, k) in order.iter().enumerate() {
        let below = order[..place].iter().filter(|e| own(**e) < own(*k) && own(*k).is_multiple_of(own(**e)));
        let step = below.fold(1, |m, e| lcm(m, factors[*e]));
        let mut factor = step * first.div_ceil(step);
        while factor + step <= LARGEST_FACTOR && (used.contains(&factor) || values.contains(&(factor * own(*k)))) {
            factor += step;
        }
        factors[*k] = factor;
        used.push(factor);
        values.push(factor * own(*k));
    }
    (factors, values)
}

/// Every default scaled alike: relations among defaults that hold whatever the scale go on holding.
pub fn scaled(lengths: &[Length], base: &[usize]) -> Point {
    lengths.iter().zip(base).map(|(l, b)| if l.default.is_some() { b * 3 } else { *b }).collect()
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x.max(1) * b
}

impl Session<'_> {
    /// What `look` finds at a point, kept apart from the findings of the session.
    pub fn findings_at(
        &mut self,
        lengths: &[Length],
        point: &[usize],
        look: impl FnOnce(&mut Self),
    ) -> Vec<Diagnostic> {
        let mut table = BTreeMap::new();
        for (length, value) in lengths.iter().zip(point).filter(|(_, v)| **v > 1) {
            table.entry(*value).or_insert_with(|| length.name.clone());
        }
        let before = std::mem::replace(&mut self.lengths, table);
        let found = self.aside(look);
        self.lengths = before;
        found
    }

    /// Remembers how a length that is looked at for any size was written.
    pub fn spell_length(&mut self, scope: ScopeId, id: ExprId, length: usize) {
        if self.lengths.is_empty() || self.lengths.contains_key(&length) {
            return;
        }
        let (id, expr) = self.bare_expr(scope, id);
        let text = self.text(self.expr_span(scope, id)).trim().to_string();
        if !matches!(expr.kind, ExprKind::Number { .. }) && text.len() <= 40 && !text.contains('\n') {
            self.lengths.insert(length, text);
        }
    }

    /// Whole numbers that a module's text mentions: no stand-in for a length may look like one.
    pub fn written_numbers(&self, module: crate::hir::ModuleId) -> Vec<usize> {
        let file = &self.modules.get(module).file;
        let whole = |kind: &ExprKind| match kind {
            ExprKind::Number { value, .. } if value.fract() == 0.0 && *value >= 2.0 && *value < 1e9 => {
                Some(*value as usize)
            }
            _ => None,
        };
        file.exprs.iter().filter_map(|e| whole(&e.kind)).collect()
    }
}

/// Codes that say that shapes or numbers of things differ.
pub fn is_mismatch(code: &str) -> bool {
    matches!(code, "E0301" | "E0313" | "E0315" | "E0318" | "E0420")
}

/// Codes that say that a number is not one that is allowed: a choice of values may break what its parameters ask for.
pub fn is_constraint(code: &str) -> bool {
    matches!(code, "E0307" | "E0308" | "E0316" | "E0317" | "E0414" | "E0421" | "E0422") || code.starts_with('W')
}

pub fn contains(found: &[Diagnostic], d: &Diagnostic) -> bool {
    find(found, d).is_some()
}

pub fn find<'d>(found: &'d [Diagnostic], d: &Diagnostic) -> Option<&'d Diagnostic> {
    found.iter().find(|f| f.code == d.code && f.span == d.span)
}
