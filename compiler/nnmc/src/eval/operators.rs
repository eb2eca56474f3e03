//! Operators, with the unit rule of each.

use nnm_graph::ir::{Binary, Unary};
use nnm_syntax::ast::{BinaryOp, CmpOp, ExprId, ExprKind, UnaryOp};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::session::{ScopeId, Session};
use crate::unit::{self, Unit};
use crate::value::{Num, Value};

/// A number with the place where it was written.
#[derive(Clone, Debug)]
pub struct Operand {
    pub num: Num,
    pub span: Span,
}

impl Session<'_> {
    pub fn operand(&mut self, scope: ScopeId, id: ExprId) -> Option<Operand> {
        let span = self.expr_span(scope, id);
        let value = self.eval(scope, id);
        let num = self.number(value, span)?;
        Some(Operand { num, span })
    }

    /// Holds two operands to one unit; reports where they differ.
    pub fn same_unit(&mut self, what: &str, a: &Operand, b: &Operand, span: Span) -> bool {
        if a.num.unit.fits(&b.num.unit) {
            return true;
        }
        let (left, right) = (a.num.unit.describe(), b.num.unit.describe());
        let mut d = Diagnostic::error("E0302", span, format!("cannot {what} {left} and {right}"))
            .label(a.span, format!("this is {left}"))
            .label(b.span, format!("this is {right}"));
        if let Some((declared, help)) = self.port_without_unit(a, b) {
            d = d.label(declared, "declared here, without a unit").help(help);
        } else if let Some(help) = unit_help(&a.num.unit, &b.num.unit) {
            d = d.help(help);
        }
        self.report(d);
        false
    }

    /// `input I` is a plain number: where it meets volts, its declaration is what lacks them.
    fn port_without_unit(&self, a: &Operand, b: &Operand) -> Option<(Span, String)> {
        let (plain, other) = if a.num.unit.is_real() { (a, b) } else { (b, a) };
        let name = self.text(plain.span).trim();
        let within =
            |span: Span| span.file == plain.span.file && span.start <= plain.span.start && plain.span.end <= span.end;
        let item = self.modules.items.iter().find(|item| within(item.span))?;
        let crate::hir::ItemKind::Neuron(neuron) = &item.kind else { return None };
        let port = neuron.inputs.iter().find(|d| d.name.text == name && d.ty.is_none() && d.init.is_none())?;
        Some((port.span, format!("a port says its unit: `input {name}: {}`", other.num.unit.shown().name)))
    }

    pub fn eval_unary(&mut self, scope: ScopeId, op: UnaryOp, id: ExprId, span: Span) -> Value {
        if op == UnaryOp::Neg
            && let ExprKind::Quantity { value, unit, .. } = self.bare_expr(scope, id).1.kind
        {
            // The sign is the number's: -10 Celsius is ten degrees below the freezing point.
            return self.quantity(-value, &unit);
        }
        let at = self.expr_span(scope, id);
        let value = match self.eval(scope, id) {
            Value::Params(tree) if op == UnaryOp::Neg => {
                return self.map_tree(&tree, |s, x| s.unary(Unary::Neg, x, Unit::REAL, span));
            }
            value => value,
        };
        let Some(a) = self.number(value, at).map(|num| Operand { num, span: at }) else { return Value::Missing };
        let num = match op {
            UnaryOp::Neg if self.hold_scale(&a, span).is_none() => return Value::Missing,
            UnaryOp::Neg => self.unary(Unary::Neg, &a.num, a.num.unit.clone(), span),
            UnaryOp::Not => self.unary(Unary::Not, &a.num, Unit::REAL, span),
        };
        Value::Num(num)
    }

    pub fn eval_binary(&mut self, op: BinaryOp, a: Operand, b: Operand, span: Span) -> Option<Num> {
        if matches!(op, BinaryOp::Mul | BinaryOp::Div | BinaryOp::MatMul | BinaryOp::Pow) {
            self.hold_scale(&a, span)?;
            self.hold_scale(&b, span)?;
        }
        match op {
            BinaryOp::Add => self.sum("add", Binary::Add, &a, &b, span),
            BinaryOp::Sub => self.sum("subtract", Binary::Sub, &a, &b, span),
            BinaryOp::Mul => Some(self.binary_of(Binary::Mul, &a, &b, a.num.unit.times(&b.num.unit), span)),
            BinaryOp::Div => Some(self.binary_of(Binary::Div, &a, &b, a.num.unit.over(&b.num.unit), span)),
            BinaryOp::MatMul => {
                let unit = a.num.unit.times(&b.num.unit);
                let places = [a.span, b.span];
                Some(self.apply_at(span, &places, unit, &[&a.num, &b.num], |g, n| g.matmul(n[0], n[1])))
            }
            BinaryOp::Pow => self.power(&a, &b, span),
            BinaryOp::And => Some(self.binary_of(Binary::And, &a, &b, Unit::REAL, span)),
            BinaryOp::Or => Some(self.binary_of(Binary::Or, &a, &b, Unit::REAL, span)),
        }
    }

    /// Twice 20 degrees Celsius is nothing: what counts from an offset is not scaled.
    fn hold_scale(&mut self, a: &Operand, span: Span) -> Option<()> {
        if !a.num.unit.is_offset() {
            return Some(());
        }
        let name = a.num.unit.describe();
        let d = Diagnostic::error("E0321", span, format!("a temperature in {name} is not scaled"))
            .label(a.span, format!("this counts in {name} from the freezing point"))
            .help("take a difference first, which is in K: `T - 20 Celsius`, `T - -273.15 Celsius`");
        self.report(d);
        None
    }

    fn sum(&mut self, what: &str, op: Binary, a: &Operand, b: &Operand, span: Span) -> Option<Num> {
        if !self.same_unit(what, a, b, span) {
            return None;
        }
        Some(self.binary_of(op, a, b, sum_unit(op, &a.num.unit, &b.num.unit), span))
    }

    fn power(&mut self, a: &Operand, b: &Operand, span: Span) -> Option<Num> {
        if !b.num.unit.is_real() {
            let message = format!("an exponent is a plain number, not {}", b.num.unit.describe());
            self.error("E0303", b.span, message);
            return None;
        }
        let unit = if a.num.unit.is_real() {
            Unit::REAL
        } else {
            let exponent = b.num.as_f64();
            match exponent.and_then(|e| a.num.unit.power(e)) {
                Some(unit) => unit,
                None if matches!(a.num.unit, Unit::Unknown) => Unit::Unknown,
                None => {
                    let what = a.num.unit.describe();
                    let message =
                        format!("{what} can be raised to whole and half powers that are known now, not to this one");
                    self.error("E0303", b.span, message);
                    return None;
                }
            }
        };
        Some(self.binary_of(Binary::Pow, a, b, unit, span))
    }

    /// `a < b`, `0 < x <= 1`, `x in 1 .. 2`: 1 where all hold, else 0.
    pub fn eval_compare(&mut self, scope: ScopeId, first: ExprId, rest: &[(CmpOp, ExprId)], span: Span) -> Value {
        let left_value = self.eval(scope, first);
        let left_span = self.expr_span(scope, first);
        if let [(op @ (CmpOp::Eq | CmpOp::Ne), right)] = rest
            && !matches!(left_value, Value::Num(_) | Value::Population(_) | Value::Missing)
        {
            let right = self.eval(scope, *right);
            let equal = self.same_value(&left_value, &right);
            return Value::real(f64::from(equal == (*op == CmpOp::Eq)));
        }
        let Some(num) = self.number(left_value, left_span) else { return Value::Missing };
        let mut left = Operand { num, span: left_span };
        let mut all: Option<Num> = None;
        for (op, right) in rest {
            let Some((held, next)) = self.compare_one(scope, &left, *op, *right, span) else { return Value::Missing };
            all = Some(match all {
                None => held,
                Some(before) => self.binary(Binary::And, &before, &held, Unit::REAL, span),
            });
            left = next;
        }
        all.map_or(Value::Missing, Value::Num)
    }

    fn compare_one(
        &mut self,
        scope: ScopeId,
        left: &Operand,
        op: CmpOp,
        right: ExprId,
        span: Span,
    ) -> Option<(Num, Operand)> {
        let op = match op {
            CmpOp::Eq => Binary::Eq,
            CmpOp::Ne => Binary::Ne,
            CmpOp::Lt => Binary::Lt,
            CmpOp::Le => Binary::Le,
            CmpOp::Gt => Binary::Gt,
            CmpOp::Ge => Binary::Ge,
            CmpOp::In => return self.inside(scope, left, right, span),
            CmpOp::CrossesUp | CmpOp::CrossesDown => {
                let message = "`crosses` stands as the whole condition of `when` or `spike when`";
                let d = Diagnostic::error("E0304", span, message);
                self.report(d.help(
                    "what else is asked goes into the block: `when a crosses b upward { n += if c then 1 else 0 }`",
                ));
                return None;
            }
        };
        let right = self.operand(scope, right)?;
        if !self.same_unit("compare", left, &right, span) {
            return None;
        }
        let [a, b] = self.meet_in_cell(scope, (op.def().name, span), [left.clone(), right.clone()])?;
        let held = self.binary_of(op, &a, &b, Unit::REAL, span);
        Some((held, right))
    }

    fn inside(&mut self, scope: ScopeId, left: &Operand, right: ExprId, span: Span) -> Option<(Num, Operand)> {
        let place = self.expr_span(scope, right);
        let (from, to) = match self.eval(scope, right) {
            Value::Range(from, to) => (from, to),
            Value::Missing => return None,
            _ => {
                self.error("E0305", place, "`in` takes a range: `x in a .. b`");
                return None;
            }
        };
        let mut held = Num::real(1.0);
        for (end, op) in [(&from, Binary::Ge), (&to, Binary::Le)] {
            let Some(end) = end else { continue };
            let end = Operand { num: end.clone(), span: place };
            if !self.same_unit("compare", left, &end, span) {
                return None;
            }
            let one = self.binary(op, &left.num, &end.num, Unit::REAL, span);
            held = self.binary(Binary::And, &held, &one, Unit::REAL, span);
        }
        Some((held, left.clone()))
    }

    fn same_value(&self, a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Kind(a), Value::Kind(b)) => {
                a.item == b.item && (a.text == b.text || a.args.is_empty() || b.args.is_empty())
            }
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| self.same_value(a, b))
            }
            (Value::Num(a), Value::Num(b)) => match (a.as_const(), b.as_const()) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
            _ => false,
        }
    }
}

/// Differences of Celsius are kelvins; every other sum keeps its spelling.
fn sum_unit(op: Binary, a: &Unit, b: &Unit) -> Unit {
    if op == Binary::Sub && a.is_offset() && b.is_offset() {
        return Unit::parse("K").unwrap_or(Unit::REAL);
    }
    a.join(b)
}

/// What would make the two fit, where one can guess.
fn unit_help(a: &Unit, b: &Unit) -> Option<String> {
    let root = Unit::parse("s").and_then(|s| s.power(0.5)).unwrap_or(Unit::REAL);
    if a.times(&root).fits(b) || b.times(&root).fits(a) {
        return Some("white noise goes with the root of a time constant: `… * xi() / tau^(1/2)`".into());
    }
    let (da, db) = (a.dim()?, b.dim()?);
    let ratio = a.over(b);
    if da == unit::NONE || db == unit::NONE {
        let shown = if da == unit::NONE { b.shown().name } else { a.shown().name };
        return Some(format!("give the plain number a unit (`{shown}`), or divide the other by one (`x / 1 {shown}`)"));
    }
    let made = |factor: Unit, from: &Unit, to: &Unit| {
        let factor = factor.own_name()?;
        Some(format!("to get {} from {}, multiply by something in `{factor}`", to.describe(), from.describe()))
    };
    made(ratio, b, a).or_else(|| made(b.over(a), a, b))
}
