//! Architectures: with their defaults, and with integer parameters that may be any number.

use nnm_syntax::ast::{self, ExprKind, TypeKind};
use nnm_syntax::diag::Diagnostic;

use super::lengths::{self, Length, Point};
use crate::hir::{Item, ItemId};
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Argument, Kind, Num, Value, vector};

impl Session<'_> {
    pub(super) fn check_architecture(&mut self, item: ItemId) {
        let declared = self.modules.item(item).clone();
        let any = self.open_lengths(&declared);
        if any.is_empty() {
            self.build_alone(&declared, item, &any, &[]);
            return;
        }
        let taken = self.written_numbers(declared.module);
        let given = any.iter().all(|l| l.default.is_some());
        let base: Point = match given {
            true => any.iter().filter_map(|l| l.default).collect(),
            false => base_point(&any, &taken),
        };
        let look = |s: &mut Self, point: &[usize], named: &[Length]| {
            s.findings_at(named, point, |s| s.build_alone(&declared, item, &any, point))
        };
        // With the defaults themselves lengths are shown as the numbers that they are.
        let at_base = if given { look(self, &base, &[]) } else { look(self, &base, &any) };
        let first = look(self, &lengths::unrelated(&any, &taken, 0), &any);
        if at_base.is_empty() && first.is_empty() {
            return;
        }
        let mut found = vec![first];
        for round in 1..lengths::POINTS {
            found.push(look(self, &lengths::unrelated(&any, &taken, round), &any));
        }
        let alike = look(self, &lengths::scaled(&any, &base), &any);
        for d in decided(given, &at_base, &found, &alike) {
            self.report(d);
        }
    }

    /// Builds an architecture with values for its integer parameters; what it lacks beside them is not known.
    fn build_alone(&mut self, declared: &Item, item: ItemId, any: &[Length], point: &[usize]) {
        let mut args = vec![];
        for param in &declared.params {
            let name = param.name.text.as_str();
            let own: Vec<f64> =
                any.iter().zip(point).filter(|(l, _)| belongs(&l.name, name)).map(|(_, v)| *v as f64).collect();
            let value = match own.as_slice() {
                [one] if any.iter().any(|l| l.name == name) => Value::real(*one),
                [_, ..] => Value::Num(Num::array(Unit::REAL, vector(own))),
                [] if param.default.is_none() && !point.is_empty() => Value::Num(Num::unknown(Unit::Unknown)),
                [] => continue,
            };
            args.push((name.to_string(), Argument::Value(value)));
        }
        let span = declared.name.span;
        let text = declared.name.text.as_str();
        self.build_network(&Kind { item, args, span, text: text.into() }, text);
    }

    /// The integer parameters whose value no other parameter gives.
    fn open_lengths(&self, declared: &Item) -> Vec<Length> {
        let file = &self.modules.get(declared.module).file;
        let mut out = vec![];
        for param in &declared.params {
            let name = param.name.text.clone();
            let number = param.default.and_then(|d| whole(&file.expr(d).kind));
            match &param.ty {
                Some(ty) if is_int(ty) && axes(ty) == 0 && (param.default.is_none() || number.is_some()) => {
                    out.push(Length { name, default: number });
                }
                Some(ty) if is_int(ty) && axes(ty) == 1 && param.default.is_none() => {
                    let TypeKind::Named { shape, .. } = &ty.kind else { continue };
                    let count = shape.first().and_then(|e| whole(&file.expr(*e).kind)).unwrap_or(0);
                    out.extend((0..count).map(|k| Length { name: format!("{name}[{k}]"), default: None }));
                }
                None if number.is_some_and(|n| n > 1) => out.push(Length { name, default: number }),
                _ => {}
            }
        }
        out
    }
}

/// Which findings hold for the declaration, and not only for a choice of values. `any` are those at unrelated values.
fn decided(given: bool, base: &[Diagnostic], any: &[Vec<Diagnostic>], alike: &[Diagnostic]) -> Vec<Diagnostic> {
    let mut out: Vec<Diagnostic> = vec![];
    let allowed = |found: &[Diagnostic]| !found.iter().any(|d| lengths::is_constraint(d.code));
    let valid = any.iter().any(|found| allowed(found));
    let everywhere =
        |d: &Diagnostic| any.iter().filter(|f| !valid || allowed(f)).all(|found| lengths::contains(found, d));
    for d in base {
        let spelled = any.iter().find_map(|found| lengths::find(found, d));
        let held = match lengths::is_mismatch(d.code) {
            _ if given => true,
            true => everywhere(d),
            false => !lengths::is_constraint(d.code) || !valid,
        };
        if held {
            out.push(spelled.filter(|_| lengths::is_mismatch(d.code)).unwrap_or(d).clone());
        }
    }
    for d in any.iter().flatten() {
        let generic = match lengths::is_mismatch(d.code) {
            true => everywhere(d) && !(given && lengths::contains(alike, d)),
            false => !given && !lengths::is_constraint(d.code),
        };
        if generic && !lengths::contains(&out, d) {
            out.push(d.clone());
        }
    }
    out
}

/// Values for a look at an architecture that cannot do without: parameters without default are free, others as they are.
fn base_point(any: &[Length], taken: &[usize]) -> Point {
    let free = lengths::unrelated(any, taken, 1);
    any.iter().zip(free).map(|(l, v)| l.default.unwrap_or(v)).collect()
}

/// Whether a length is the parameter itself or an element of it.
fn belongs(length: &str, param: &str) -> bool {
    length.strip_prefix(param).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
}

fn is_int(ty: &ast::Type) -> bool {
    matches!(&ty.kind, TypeKind::Named { name, .. } if name.text == "int")
}

fn axes(ty: &ast::Type) -> usize {
    match &ty.kind {
        TypeKind::Named { shape, .. } => shape.len(),
        _ => 0,
    }
}

fn whole(kind: &ExprKind) -> Option<usize> {
    match kind {
        ExprKind::Number { value, .. } if value.fract() == 0.0 && *value >= 0.0 && *value < 1e6 => {
            Some(*value as usize)
        }
        _ => None,
    }
}
