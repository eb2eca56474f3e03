//! Declared types: their unit and shape, and holding values to them.

use nnm_syntax::ast::{self, ExprId, ExprKind, TypeKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;
use nnm_syntax::units;

use crate::hir::ExprRef;
use crate::session::{ScopeId, Session};
use crate::suggest;
use crate::unit::Unit;
use crate::value::{Num, Value};

/// What a declared type says.
#[derive(Clone, Debug)]
pub struct Declared {
    pub unit: Unit,
    pub shape: Vec<usize>,
    pub class: Option<usize>,
    pub event: bool,
    /// Its shape has a length that is not known yet, as while a declaration is checked alone.
    pub open: bool,
    /// `neuron`, `rule`, an architecture's name, `params`: not a number
    pub kind: Option<String>,
}

impl Declared {
    pub fn real() -> Declared {
        Declared { unit: Unit::REAL, shape: vec![], class: None, event: false, open: false, kind: None }
    }
}

const KINDS: [&str; 7] = ["neuron", "synapse", "rule", "optimizer", "architecture", "objective", "environment"];

impl Session<'_> {
    /// The unit and shape that a type declares; `None` after a report.
    pub fn declared(&mut self, scope: ScopeId, ty: &ast::Type) -> Option<Declared> {
        match &ty.kind {
            TypeKind::Like(name) => Some(self.declared_like(scope, &name.text, name.span)),
            TypeKind::Event { unit, shape } => {
                let unit = match unit {
                    Some(name) => self.type_unit(&name.text, name.span)?,
                    None => Unit::REAL,
                };
                let (shape, open) = self.type_shape(scope, shape)?;
                Some(Declared { unit, shape, event: true, open, ..Declared::real() })
            }
            TypeKind::Named { name, shape } if name.text == "class" => {
                let (shape, _) = self.type_shape(scope, shape)?;
                Some(Declared { class: Some(shape.first().copied().unwrap_or(0)), ..Declared::real() })
            }
            TypeKind::Named { name, .. } if self.is_kind_name(scope, &name.text) => {
                Some(Declared { kind: Some(name.text.clone()), ..Declared::real() })
            }
            TypeKind::Named { name, shape } => {
                let unit = self.type_unit(&name.text, name.span)?;
                let (shape, open) = self.type_shape(scope, shape)?;
                Some(Declared { unit, shape, open, ..Declared::real() })
            }
        }
    }

    /// `like w`, `like post`: the unit of that name here; its shape is the place's own.
    fn declared_like(&mut self, scope: ScopeId, name: &str, span: Span) -> Declared {
        let unit = match self.local(scope, name, span) {
            Some(Value::Num(num)) => num.unit,
            _ => Unit::Unknown,
        };
        Declared { unit, ..Declared::real() }
    }

    fn is_kind_name(&self, scope: ScopeId, name: &str) -> bool {
        let module = self.module_of(scope);
        let declared = self.modules.get(module).seen.get(name);
        KINDS.contains(&name)
            || matches!(name, "params" | "text")
            || declared.is_some_and(|i| self.item_word(*i) == "architecture")
    }

    /// The unit of a type's text.
    pub fn type_unit(&mut self, text: &str, span: Span) -> Option<Unit> {
        if let Some(unit) = Unit::parse(text) {
            return Some(unit);
        }
        let d = Diagnostic::error("E0311", span, format!("`{text}` is no unit and no type"));
        let known = ["real", "int", "bool", "mV", "ms", "nA", "nS", "Hz", "event", "class", "Mohm", "pF", "uA", "pA"];
        let d = suggest::did_you_mean(d, span, suggest::nearest(text, known.into_iter()));
        let d = d.help("types are units (`mV`, `nS`, `uF/cm^2`), `real`, `int`, `bool`, `event`, `class[n]`");
        self.report(d);
        None
    }

    /// The lengths of a shape, or none and that it is open.
    fn type_shape(&mut self, scope: ScopeId, shape: &[ExprId]) -> Option<(Vec<usize>, bool)> {
        let mut out = vec![];
        for id in shape {
            if let Value::Num(Num { repr: crate::value::Repr::Unknown, .. }) = self.eval(scope, *id) {
                // A length that is not known yet holds nothing to it.
                return Some((vec![], true));
            }
            let length = self.known_int(scope, *id, "a length", 0)? as usize;
            self.spell_length(scope, *id, length);
            out.push(length);
        }
        Some((out, false))
    }

    /// The value as of the declared type: unit and shape are checked, and it is shown in the type's unit from now on.
    pub fn hold_to_type(&mut self, scope: ScopeId, value: Value, ty: &ast::Type, at: ExprRef) -> Value {
        let span = self.modules.get(at.module).file.expr(at.id).span;
        self.hold_at(scope, value, ty, span)
    }

    pub fn hold_at(&mut self, scope: ScopeId, value: Value, ty: &ast::Type, span: Span) -> Value {
        if matches!(value, Value::Missing) {
            return value;
        }
        let value = match value {
            Value::Population(_) => match self.number(value, span) {
                Some(num) => Value::Num(num),
                None => return Value::Missing,
            },
            other => other,
        };
        if let TypeKind::Named { shape, .. } | TypeKind::Event { shape, .. } = &ty.kind {
            self.bind_lengths(scope, &value, ty, shape);
        }
        let Some(declared) = self.declared(scope, ty) else { return Value::Missing };
        if let Some(kind) = &declared.kind {
            return self.hold_to_kind(value, kind, span);
        }
        if matches!(value, Value::Function(_)) {
            return value;
        }
        let Some(num) = self.number(value, span) else { return Value::Missing };
        let shape = self.declared_shape(scope, &num);
        self.hold_shaped(num, shape, &declared, (ty.span, span)).map_or(Value::Missing, Value::Num)
    }

    /// Holds a number to a declared unit and (where it says one) shape.
    pub fn hold_number(&mut self, num: Num, declared: &Declared, declared_at: Span, span: Span) -> Option<Num> {
        let shape = self.shape(&num);
        self.hold_shaped(num, shape, declared, (declared_at, span))
    }

    fn hold_shaped(
        &mut self,
        num: Num,
        shape: Option<Vec<usize>>,
        declared: &Declared,
        (declared_at, span): (Span, Span),
    ) -> Option<Num> {
        if !num.unit.fits(&declared.unit) {
            let (found, wanted) = (num.unit.describe(), declared.unit.describe());
            let d = Diagnostic::error("E0312", span, format!("expected {wanted}, found {found}"))
                .at(format!("this is {found}"))
                .label(declared_at, format!("{wanted} is declared here"));
            self.report(match self.meant_as_size(span, declared_at) {
                Some(help) => d.help(help),
                None => d,
            });
            return None;
        }
        if let Some(shape) = shape
            && !declared.shape.is_empty()
            && !ends_with(&shape, &declared.shape)
            && !shape.is_empty()
        {
            let (found, wanted) = (self.shape_text(&shape), self.shape_text(&declared.shape));
            let d = Diagnostic::error("E0313", span, format!("expected the shape {wanted}, found {found}"))
                .label(declared_at, format!("{wanted} is declared here"));
            self.report(d);
            return None;
        }
        if let (Some(classes), Some(found)) = (declared.class, num.class)
            && found > classes
            && classes > 0
        {
            let d = Diagnostic::error(
                "E0318",
                span,
                format!(
                    "a label of {} classes stands where there are {}",
                    self.length_text(found),
                    self.length_text(classes)
                ),
            )
            .label(declared_at, format!("{} classes are declared here", self.length_text(classes)));
            self.report(d);
            return None;
        }
        let unit = match (&num.unit, &declared.unit) {
            (Unit::Known { .. }, Unit::Unknown) => num.unit.clone(),
            _ => declared.unit.clone(),
        };
        Some(Num { unit, class: declared.class.or(num.class), ..num })
    }

    /// `LIF(5)`: the kind's name and a number alone in parentheses, where a size stands in brackets.
    fn meant_as_size(&self, span: Span, declared_at: Span) -> Option<String> {
        let source = &self.modules.sources.get(span.file).text;
        let before = source.get(..span.start as usize)?.strip_suffix('(')?;
        let after = source.get(span.end as usize..)?;
        let kind: String = before.chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let kind: String = kind.chars().rev().collect();
        let number = self.text(span);
        let of = |item: &&crate::hir::Item| {
            item.name.text == kind && item.span.file == declared_at.file && item.span.start <= declared_at.start
        };
        let item = self.modules.items.iter().find(of)?;
        let population = matches!(item.kind, crate::hir::ItemKind::Neuron(_));
        (population && after.starts_with(')') && number.parse::<u64>().is_ok())
            .then(|| format!("a size stands in brackets: `{kind}[{number}]`"))
    }

    /// `y: real[n]`, where `n` is not known yet: it is the length found.
    fn bind_lengths(&mut self, scope: ScopeId, value: &Value, ty: &ast::Type, shape: &[ExprId]) {
        let class = matches!(&ty.kind, TypeKind::Named { name, .. } if name.text == "class");
        let Value::Num(num) = value else {
            self.bind_unknown_lengths(scope, shape);
            return;
        };
        let found = self.declared_shape(scope, num);
        for (k, id) in shape.iter().enumerate() {
            let expr = self.expr(scope, *id);
            let ExprKind::Name(name) = expr.kind else { continue };
            if self.local(scope, &name, expr.span).is_some() {
                continue;
            }
            let length = match &found {
                _ if class => num.class,
                Some(found) if found.len() >= shape.len() => found.get(found.len() - shape.len() + k).copied(),
                _ => None,
            };
            let length = match length {
                Some(n) => Num::real(n as f64),
                None => Num::unknown(Unit::REAL),
            };
            self.bind(scope, name, Value::Num(length));
        }
    }

    /// Binds the lengths that a type leaves open to those of a number.
    pub fn bind_lengths_of(&mut self, scope: ScopeId, num: &Num, ty: &ast::Type) {
        if let TypeKind::Named { shape, .. } = &ty.kind {
            self.bind_lengths(scope, &Value::Num(num.clone()), ty, shape);
        }
    }

    pub fn bind_unknown_lengths(&mut self, scope: ScopeId, shape: &[ExprId]) {
        for id in shape {
            let expr = self.expr(scope, *id);
            if let ExprKind::Name(name) = expr.kind
                && self.local(scope, &name, expr.span).is_none()
            {
                self.bind(scope, name, Value::Num(Num::unknown(Unit::REAL)));
            }
        }
    }

    fn hold_to_kind(&mut self, value: Value, wanted: &str, span: Span) -> Value {
        let found = match &value {
            Value::Kind(kind) => {
                let word = self.item_word(kind.item);
                if word == wanted || self.modules.item(kind.item).name.text == wanted {
                    return value;
                }
                format!("`{}`, which is declared as `{word}`", kind.text)
            }
            Value::Network(_) | Value::Frame(_) => {
                let id = match &value {
                    Value::Frame(frame) => self.frame(*frame).net,
                    Value::Network(id) => *id,
                    _ => return value,
                };
                let name = self.modules.item(self.net(id).item).name.text.clone();
                if name == wanted {
                    return value;
                }
                format!("a network of `{name}`")
            }
            Value::Params(_) if wanted == "params" => return value,
            // Known by its type alone, while a function is checked.
            Value::Num(Num { repr: crate::value::Repr::Unknown, .. }) => return value,
            Value::Text(_) if wanted == "text" => return value,
            Value::Function(_) if wanted == "objective" => return value,
            other => other.describe().to_string(),
        };
        self.error("E0314", span, format!("expected {} here, found {found}", crate::suggest::with_article(wanted)))
    }

    /// Whether a word is a unit; for messages about names that look like one.
    pub fn is_unit(&self, word: &str) -> bool {
        units::is_unit(word)
    }
}

fn ends_with(shape: &[usize], tail: &[usize]) -> bool {
    shape.len() >= tail.len() && shape[shape.len() - tail.len()..] == *tail
}

/// `[3, 4]`, or `one number`.
pub fn shape_text(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "one number".into();
    }
    let parts: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", parts.join(", "))
}
