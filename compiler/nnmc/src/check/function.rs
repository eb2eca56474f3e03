//! Functions and objectives: parameters of which only the types are known, lengths of any size.

use nnm_syntax::ast::{ExprId, ExprKind, Param, Type, TypeKind};

use super::lengths::{self, Length};
use crate::hir::{Item, ItemId, ItemKind};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Kind, Num, Value};

impl Session<'_> {
    pub(super) fn check_function(&mut self, item: ItemId) {
        let declared = self.modules.item(item).clone();
        let any = self.lengths_in_types(&declared);
        if any.is_empty() {
            self.look_at_body(&declared, &any, &[]);
            return;
        }
        let taken = self.written_numbers(declared.module);
        let look = |s: &mut Self, round: usize| {
            let point = lengths::unrelated(&any, &taken, round);
            s.findings_at(&any, &point, |s| s.look_at_body(&declared, &any, &point))
        };
        let first = look(self, 0);
        // A label may have fewer classes than there are values: which it has depends on the point.
        if first.is_empty() && any.len() == 1 {
            return;
        }
        let found: Vec<_> = std::iter::once(first).chain((1..lengths::POINTS).map(|round| look(self, round))).collect();
        for d in found.iter().flatten() {
            let everywhere = found.iter().all(|f| lengths::contains(f, d));
            let bound = lengths::is_constraint(d.code) || lengths::is_mismatch(d.code) && d.code != "E0318";
            if everywhere || !bound {
                self.report(d.clone());
            }
        }
    }

    /// Names that stand in the shapes of parameters' types, and nowhere else get a value.
    fn lengths_in_types(&self, declared: &Item) -> Vec<Length> {
        let file = &self.modules.get(declared.module).file;
        let result = match &declared.kind {
            ItemKind::Function(f) => f.result.as_ref(),
            _ => None,
        };
        let mut out: Vec<Length> = vec![];
        for ty in declared.params.iter().filter_map(|p| p.ty.as_ref()).chain(result) {
            for name in axes(ty).iter().flat_map(|e| crate::eval::names_in(file, *e)) {
                let given = declared.params.iter().find(|p| p.name.text == name);
                if out.iter().any(|l| l.name == name) || given.is_some_and(|p| !is_size(p)) {
                    continue;
                }
                let default = given.and_then(|p| p.default).and_then(|d| match file.expr(d).kind {
                    ExprKind::Number { value, .. } if value >= 1.0 && value.fract() == 0.0 => Some(value as usize),
                    _ => None,
                });
                out.push(Length { name, default });
            }
        }
        out
    }

    fn look_at_body(&mut self, declared: &Item, any: &[Length], point: &[usize]) {
        self.in_probe(|s| s.look_inside(declared, any, point));
    }

    fn look_inside(&mut self, declared: &Item, any: &[Length], point: &[usize]) {
        let scope = self.scope(declared.module, None);
        for (length, value) in any.iter().zip(point) {
            self.bind(scope, length.name.clone(), Value::real(*value as f64));
        }
        for param in declared.params.iter().filter(|p| !any.iter().any(|l| l.name == p.name.text)) {
            let value = match (&param.ty, param.default) {
                (Some(ty), default) => {
                    if let Some(default) = default {
                        let value = self.eval(scope, default);
                        let at = self.expr_span(scope, default);
                        self.hold_at(scope, value, ty, at);
                    }
                    self.value_of_type(scope, ty, &param.name.text)
                }
                (None, Some(default)) => match self.eval(scope, default) {
                    Value::Num(num) => Value::Num(Num::unknown(num.unit)),
                    other => other,
                },
                (None, None) => Value::Num(Num::unknown(Unit::Unknown)),
            };
            self.bind(scope, param.name.text.clone(), value);
        }
        self.check_body(declared, scope);
    }

    /// The architecture that a type names.
    fn architecture_of(&self, scope: ScopeId, ty: &Type) -> Option<ItemId> {
        let TypeKind::Named { name, .. } = &ty.kind else { return None };
        let item = *self.modules.get(self.module_of(scope)).seen.get(&name.text)?;
        (self.item_word(item) == "architecture").then_some(item)
    }

    /// Anything of a type: a tensor, where its shape is known.
    fn value_of_type(&mut self, scope: ScopeId, ty: &Type, name: &str) -> Value {
        if let Some(item) = self.architecture_of(scope, ty) {
            let text = self.text(ty.span).into();
            let kind = Kind { item, args: vec![], span: ty.span, text };
            let Some(net) = self.build_network(&kind, "net") else { return Value::Missing };
            // Its members have values in the function, as they have where it is called.
            self.frame_of(net);
            return Value::Network(net);
        }
        let unknown = Value::Num(Num::unknown(Unit::Unknown));
        let axes = axes(ty);
        let class = matches!(&ty.kind, TypeKind::Named { name, .. } if name.text == "class");
        let whole = matches!(&ty.kind, TypeKind::Named { name, .. } if matches!(name.text.as_str(), "int" | "bool"));
        match self.declared(scope, ty) {
            Some(d) if d.kind.is_none() && class => {
                let num = self.tensor_of(d.unit, &[], name);
                Value::Num(Num { class: d.class.filter(|n| *n > 0), ..num })
            }
            Some(d) if d.kind.is_none() && !whole && !d.shape.is_empty() && d.shape.len() == axes.len() => {
                Value::Num(self.tensor_of(d.unit, &d.shape, name))
            }
            Some(d) if d.kind.is_some() => unknown,
            Some(_) => match self.hold_at(scope, unknown, ty, ty.span) {
                Value::Missing => Value::Missing,
                value => value,
            },
            None => Value::Missing,
        }
    }
}

fn axes(ty: &Type) -> &[ExprId] {
    match &ty.kind {
        TypeKind::Named { shape, .. } | TypeKind::Event { shape, .. } => shape,
        TypeKind::Like(_) => &[],
    }
}

/// Whether a parameter is a whole number, which may be a length.
fn is_size(param: &Param) -> bool {
    match &param.ty {
        Some(ty) => matches!(&ty.kind, TypeKind::Named { name, shape } if name.text == "int" && shape.is_empty()),
        None => true,
    }
}
