//! Expressions, one kind after the other.

use nnm_graph::ir::Unary;
use nnm_syntax::ast::{BinaryOp, Expr, ExprId, ExprKind, Name};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::operators::Operand;
use crate::session::{ScopeId, Session};
use crate::unit::{Shown, Unit, to_si};
use crate::value::{FunctionKind, Num, Value, scalar};

impl Session<'_> {
    pub fn expr(&self, scope: ScopeId, id: ExprId) -> Expr {
        self.modules.get(self.module_of(scope)).file.expr(id).clone()
    }

    pub fn expr_span(&self, scope: ScopeId, id: ExprId) -> Span {
        self.modules.get(self.module_of(scope)).file.expr(id).span
    }

    /// The expression without parentheses around it.
    pub fn bare_expr(&self, scope: ScopeId, mut id: ExprId) -> (ExprId, Expr) {
        let file = &self.modules.get(self.module_of(scope)).file;
        while let ExprKind::Paren(inner) = &file.expr(id).kind {
            id = *inner;
        }
        (id, file.expr(id).clone())
    }

    /// The value of an expression; what is wrong with it has been reported when it is `Missing`.
    pub fn eval(&mut self, scope: ScopeId, id: ExprId) -> Value {
        let expr = self.expr(scope, id);
        let span = expr.span;
        match expr.kind {
            ExprKind::Number { value, .. } => number_literal(value),
            ExprKind::Quantity { value, unit, .. } => self.quantity(value, &unit),
            ExprKind::Text(text) => Value::Text(text.into()),
            ExprKind::Bool(value) => Value::real(f64::from(value)),
            ExprKind::Name(name) => self.name(scope, &name, span),
            ExprKind::List(items) => self.list(scope, &items),
            ExprKind::Paren(inner) => self.eval(scope, inner),
            ExprKind::Unary(op, a) => self.eval_unary(scope, op, a, span),
            ExprKind::Binary(..) => self.eval_chain(scope, id),
            ExprKind::Compare { first, rest } => self.eval_compare(scope, first, &rest, span),
            ExprKind::Range { from, to } => self.range(scope, from, to),
            ExprKind::If { cond, then, otherwise } => self.eval_if(scope, cond, then, otherwise, span),
            ExprKind::Pipe(a, f) => self.pipe(scope, a, f, span),
            ExprKind::Call { callee, args, clauses } => self.call(scope, id, callee, &args, &clauses, span),
            ExprKind::Index { base, indices } => self.eval_index(scope, base, &indices, span),
            ExprKind::Field { base, name } => self.eval_field(scope, base, &name, span),
            ExprKind::Fields { base, names } => self.eval_fields(scope, base, &names, span),
            ExprKind::Next(inner) => self.eval_next(scope, inner, span),
            ExprKind::Before(name) => self.name(scope, &format!("before {}", name.text), span),
            ExprKind::Sided(..) => self.error(
                "E0207",
                span,
                "`axonal` and `dendritic` follow a whole part of a delay: `delay = (i * 0.3 ms) axonal + 1 ms dendritic`",
            ),
            // Sets in braces are parsed at the ends of a `connect` alone, which takes them apart.
            ExprKind::Braces(_) | ExprKind::Error => Value::Missing,
        }
    }

    /// A number, or nothing where the value is none; a population stands for its output.
    pub fn number(&mut self, value: Value, span: Span) -> Option<Num> {
        match value {
            Value::Num(num) => Some(num),
            Value::Missing => None,
            Value::Population(p) => match self.population_output(&p, span) {
                Value::Num(num) => Some(num),
                _ => None,
            },
            Value::Frame(f) => match self.frame_output(f, span) {
                Value::Num(num) => Some(num),
                _ => None,
            },
            Value::List(items) => self.stack_list(&items, span),
            Value::Record(record) if record.contains_key("sweep values") => self.sweep_number(&record, span),
            Value::Names(end) => match self.local(end, "y", span) {
                Some(Value::Num(num)) => Some(num),
                Some(_) => None,
                None => {
                    self.error("E0306", span, "this end of the connection has no output that could be a number");
                    None
                }
            },
            other => {
                let text = self.text(span).trim().to_string();
                let d = Diagnostic::error("E0306", span, format!("expected a number here, found {}", other.describe()));
                let called = match &other {
                    Value::Function(function) => match function.kind {
                        FunctionKind::Builtin(builtin) => builtin.about.split('`').nth(1).map(str::to_string),
                        FunctionKind::User(_) => Some(format!("{text}(…)")),
                    },
                    _ => None,
                };
                let spikes = super::builtins::spikes_of(&other).is_some();
                self.report(match called {
                    None if spikes => {
                        d.help("of spikes numbers are made by `count`, `mean_rate`, `spike_times` and others, in a window by their `from` and `to`")
                    }
                    Some(called) => d.help(format!("a function gives a number where it is called: `{called}`")),
                    None => d,
                });
                None
            }
        }
    }

    /// What a sweep reported, along a new first axis; while checking, only the first pass over numbers is there.
    fn sweep_number(&mut self, record: &indexmap::IndexMap<String, Value>, span: Span) -> Option<Num> {
        let Some(Value::List(values)) = record.get("sweep values") else { return None };
        match values.first() {
            Some(Value::Num(num)) if self.mode == crate::session::Mode::Check => Some(Num::unknown(num.unit.clone())),
            _ => self.stack_list(values, span),
        }
    }

    /// One number known now.
    pub fn known(&mut self, scope: ScopeId, id: ExprId, what: &str) -> Option<Num> {
        let operand = self.operand(scope, id)?;
        if operand.num.as_f64().is_none() {
            if self.shape(&operand.num).is_some() {
                let message = format!("{what} is one number that is known before the run");
                self.error("E0307", operand.span, message);
            }
            return None;
        }
        Some(operand.num)
    }

    /// A whole number known now, at least `least`.
    pub fn known_int(&mut self, scope: ScopeId, id: ExprId, what: &str, least: i64) -> Option<i64> {
        let num = self.known(scope, id, what)?;
        let value = num.as_f64()?;
        if !num.unit.is_real() || value.fract() != 0.0 || value < least as f64 || value > 1e15 {
            let span = self.expr_span(scope, id);
            let found = if num.unit.is_real() { format!("{value}") } else { num.unit.describe() };
            self.error("E0308", span, format!("{what} is a whole number from {least} on, not {found}"));
            return None;
        }
        Some(value as i64)
    }

    /// A number with a unit of the dimension given, in SI.
    pub fn known_quantity(&mut self, scope: ScopeId, id: ExprId, what: &str, unit: &Unit) -> Option<f64> {
        let num = self.known(scope, id, what)?;
        if !num.unit.fits(unit) {
            let span = self.expr_span(scope, id);
            let message = format!("{what} is in {}, not in {}", unit.describe(), num.unit.describe());
            self.error("E0309", span, message);
            return None;
        }
        num.as_f64()
    }

    pub(super) fn quantity(&mut self, value: f64, unit: &Name) -> Value {
        match Unit::parse(&unit.text) {
            Some(parsed) => {
                let shown = match &parsed {
                    Unit::Known { shown: Some(shown), .. } => shown.clone(),
                    _ => Shown { name: "".into(), factor: 1.0, offset: 0.0 },
                };
                Value::Num(Num::array(parsed, scalar(to_si(value, &shown))))
            }
            None => self.error("E0101", unit.span, format!("`{}` is not a unit", unit.text)),
        }
    }

    fn list(&mut self, scope: ScopeId, items: &[ExprId]) -> Value {
        let values: Vec<Value> = items.iter().map(|i| self.eval(scope, *i)).collect();
        if values.iter().any(|v| matches!(v, Value::Missing)) {
            return Value::Missing;
        }
        let numbers = !values.is_empty() && values.iter().all(|v| matches!(v, Value::Num(_)));
        if numbers {
            let span = items.iter().map(|i| self.expr_span(scope, *i)).reduce(Span::to).unwrap_or_default();
            return self.stack_list(&values, span).map_or(Value::Missing, Value::Num);
        }
        Value::List(values.into())
    }

    /// A list of numbers as one tensor with a new first axis.
    pub fn stack_list(&mut self, items: &[Value], span: Span) -> Option<Num> {
        let mut nums = vec![];
        for item in items {
            nums.push(self.number(item.clone(), span)?);
        }
        let mut unit = Unit::Zero;
        for num in &nums {
            if !unit.fits(&num.unit) {
                let (a, b) = (unit.describe(), num.unit.describe());
                self.error("E0302", span, format!("the elements of a list have one unit, here are {a} and {b}"));
                return None;
            }
            unit = unit.join(&num.unit);
        }
        if nums.is_empty() {
            return Some(Num::array(unit, crate::value::vector(vec![])));
        }
        let refs: Vec<&Num> = nums.iter().collect();
        Some(self.apply(span, unit, &refs, |g, n| g.stack(0, n)))
    }

    /// A chain of binary operators: the left spine is walked, not recursed into.
    fn eval_chain(&mut self, scope: ScopeId, id: ExprId) -> Value {
        let mut spine: Vec<(BinaryOp, ExprId, Span)> = vec![];
        let mut at = id;
        loop {
            let expr = self.expr(scope, at);
            match expr.kind {
                ExprKind::Binary(op, a, b) => {
                    spine.push((op, b, expr.span));
                    at = a;
                }
                _ => break,
            }
        }
        let mut left = self.term(scope, at);
        for (op, right, span) in spine.into_iter().rev() {
            let right = self.term(scope, right);
            left = (self.operated(scope, op, left, right, span), span);
        }
        left.0
    }

    /// An operand of a chain: a number or a tree of parameters, or nothing.
    fn term(&mut self, scope: ScopeId, id: ExprId) -> (Value, Span) {
        let span = self.expr_span(scope, id);
        match self.eval(scope, id) {
            tree @ Value::Params(_) => (tree, span),
            value => (self.number(value, span).map_or(Value::Missing, Value::Num), span),
        }
    }

    /// `a OP b` of numbers, or element by element of trees of parameters.
    fn operated(&mut self, scope: ScopeId, op: BinaryOp, a: (Value, Span), b: (Value, Span), span: Span) -> Value {
        match (a.0, b.0) {
            (Value::Num(x), Value::Num(y)) => {
                let sides = [Operand { num: x, span: a.1 }, Operand { num: y, span: b.1 }];
                self.operated_numbers(scope, op, sides, span).map_or(Value::Missing, Value::Num)
            }
            (x, y) => self.tree_binary(op, (x, a.1), (y, b.1), span),
        }
    }

    fn operated_numbers(&mut self, scope: ScopeId, op: BinaryOp, sides: [Operand; 2], span: Span) -> Option<Num> {
        if op == BinaryOp::MatMul {
            let [a, b] = sides;
            return match self.product_in_cell(scope, &a, &b, span) {
                Some(product) => product,
                None => self.eval_binary(op, a, b, span),
            };
        }
        let [a, b] = self.meet_in_cell(scope, (super::cells::operation(op), span), sides)?;
        self.eval_binary(op, a, b, span)
    }

    fn range(&mut self, scope: ScopeId, from: Option<ExprId>, to: Option<ExprId>) -> Value {
        let mut end = |id: Option<ExprId>| match id {
            None => Some(None),
            Some(id) => self.operand(scope, id).map(Some),
        };
        let (Some(from), Some(to)) = (end(from), end(to)) else { return Value::Missing };
        if let (Some(a), Some(b)) = (&from, &to) {
            let span = a.span.to(b.span);
            if !self.same_unit("make a range of", a, b, span) {
                return Value::Missing;
            }
        }
        Value::Range(from.map(|o| o.num), to.map(|o| o.num))
    }

    fn eval_if(&mut self, scope: ScopeId, cond: ExprId, then: ExprId, otherwise: ExprId, span: Span) -> Value {
        let Some(c) = self.operand(scope, cond) else { return Value::Missing };
        if !c.num.unit.is_real() {
            let message = format!("a condition is true or false, not {}", c.num.unit.describe());
            return self.error("E0310", c.span, message);
        }
        if let Some(known) = c.num.as_f64()
            && !matches!(c.num.repr, crate::value::Repr::Node(_))
        {
            let (taken, other) = if known != 0.0 { (then, otherwise) } else { (otherwise, then) };
            let value = self.eval(scope, taken);
            return self.hold_to_other_branch(scope, value, taken, other, span);
        }
        let branches = match self.cells_in(scope) {
            Some(_) => {
                let not = self.unary(Unary::Not, &c.num, Unit::REAL, c.span);
                let value = self.where_acts(&c.num, |s| s.eval(scope, then));
                (value, self.where_acts(&not, |s| s.eval(scope, otherwise)))
            }
            None => (self.eval(scope, then), self.eval(scope, otherwise)),
        };
        let (a, b) = match branches {
            (Value::Params(a), Value::Params(b)) => return self.choose_tree(&c.num, &a, &b, span),
            (a, b) => (self.number(a, self.expr_span(scope, then)), self.number(b, self.expr_span(scope, otherwise))),
        };
        let (Some(a), Some(b)) = (a, b) else { return Value::Missing };
        let a = Operand { num: a, span: self.expr_span(scope, then) };
        let b = Operand { num: b, span: self.expr_span(scope, otherwise) };
        if !self.same_unit("choose between", &a, &b, span) {
            return Value::Missing;
        }
        let Some([a, b]) = self.meet_in_cell(scope, ("if", span), [a, b]) else { return Value::Missing };
        Value::Num(self.select(&c.num, &a.num, &b.num, span))
    }

    /// While checking, the branch that is not taken is looked at too.
    fn hold_to_other_branch(
        &mut self,
        scope: ScopeId,
        value: Value,
        taken: ExprId,
        other: ExprId,
        span: Span,
    ) -> Value {
        if self.mode != crate::session::Mode::Check {
            return value;
        }
        let unseen = self.eval(scope, other);
        if let (Value::Num(a), Value::Num(b)) = (&value, &unseen) {
            let (a, b) = (
                Operand { num: a.clone(), span: self.expr_span(scope, taken) },
                Operand { num: b.clone(), span: self.expr_span(scope, other) },
            );
            self.same_unit("choose between", &a, &b, span);
        }
        value
    }

    fn eval_next(&mut self, scope: ScopeId, inner: ExprId, span: Span) -> Value {
        let (_, expr) = self.bare_expr(scope, inner);
        let ExprKind::Name(name) = expr.kind else {
            return self.error("E0208", span, "`next` stands before the name of a state");
        };
        match self.local(scope, &format!("next {name}"), span) {
            Some(value) => value,
            None => {
                let message = format!("`{name}` has no `next {name} = …` here");
                let d = Diagnostic::error("E0208", span, message).help(format!("read the present value as `{name}`"));
                self.fail(d)
            }
        }
    }
}

fn number_literal(value: f64) -> Value {
    let unit = if value == 0.0 { Unit::Zero } else { Unit::REAL };
    Value::Num(Num::array(unit, scalar(value)))
}
