//! Calls: of the library's functions, of declared ones, and of kinds, whose arguments are kept for where they are used.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nnm_syntax::ast::{Arg, Clause, ClauseValue, ExprId, ExprKind, Init};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::Closure;
use crate::hir::{self, ItemId, ItemKind};
use crate::session::{ScopeId, Session};
use crate::suggest;
use crate::value::{Argument, Function, FunctionKind, Kind, Num, Repr, Value};

/// How deep declared functions may call one another.
const DEPTH: usize = 100;
/// Calls that one call may lead to.
const MOST_CALLS: usize = 1 << 14;
const FEW_CALLS: usize = 1 << 10;

/// What is written in a call beside the name of what is called.
pub struct Written<'a> {
    /// What stands before the dot or the `|>`: the first argument.
    pub receiver: Option<Value>,
    pub args: &'a [Arg],
    pub clauses: &'a [Clause],
    pub span: Span,
    /// The call's own text; of a kind, what it is called in tables.
    pub text: &'a str,
}

/// A call of a library function: its arguments are evaluated when the function asks for them.
#[derive(Clone, Debug)]
pub struct Call {
    pub scope: ScopeId,
    pub name: String,
    /// What stands before the dot or the `|>`, or was bound before: the first argument.
    pub receiver: Option<Value>,
    pub bound: Vec<(String, Value)>,
    pub args: Vec<Arg>,
    pub clauses: Vec<Clause>,
    pub span: Span,
    pub asked: Asked,
}

/// Which arguments a function has looked for; one that it never asks for is none of its own.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<Mutex<Sought>>);

#[derive(Debug, Default)]
struct Sought {
    names: BTreeSet<String>,
    /// One more than the last place.
    places: usize,
    /// It took all that there are.
    all: bool,
}

impl Asked {
    fn sought(&self) -> MutexGuard<'_, Sought> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// A call as it stands, with nothing before it and no clauses.
    pub fn written(scope: ScopeId, name: impl Into<String>, args: Vec<Arg>, span: Span) -> Call {
        Call {
            scope,
            name: name.into(),
            receiver: None,
            bound: vec![],
            args,
            clauses: vec![],
            span,
            asked: Asked::default(),
        }
    }

    /// The k-th argument without a name, as written.
    pub fn positional(&self, k: usize) -> Option<ExprId> {
        let k = match &self.receiver {
            Some(_) => k.checked_sub(1)?,
            None => k,
        };
        let mut sought = self.asked.sought();
        sought.places = sought.places.max(k + 1);
        let plain = self.args.iter().filter(|a| a.name.is_none()).nth(k)?;
        match plain.value {
            Init::Value(id) | Init::Draw(id) => Some(id),
        }
    }

    pub fn named(&self, name: &str) -> Option<ExprId> {
        self.asked.sought().names.insert(name.to_string());
        self.args.iter().find(|a| a.name.as_ref().is_some_and(|n| n.text == name)).map(|a| match a.value {
            Init::Value(id) | Init::Draw(id) => id,
        })
    }

    /// How many arguments have no name.
    pub fn count(&self) -> usize {
        self.args.iter().filter(|a| a.name.is_none()).count() + usize::from(self.receiver.is_some())
    }

    /// A clause of the call: `on DATA`, `by AXIS`.
    pub fn clause(&self, word: &str) -> Option<ExprId> {
        self.clauses.iter().find(|c| c.word.text == word).and_then(|c| match &c.value {
            ClauseValue::Expr(e) | ClauseValue::Counted(e, _) | ClauseValue::Named(_, e) => Some(*e),
            ClauseValue::Given(_, e) => Some(*e),
            ClauseValue::None => None,
        })
    }

    pub fn named_args(&self) -> impl Iterator<Item = (&str, Span, ExprId)> {
        self.asked.sought().all = true;
        self.args.iter().filter_map(|a| match (&a.name, a.value) {
            (Some(name), Init::Value(id) | Init::Draw(id)) => Some((name.text.as_str(), name.span, id)),
            _ => None,
        })
    }
}

impl Session<'_> {
    /// What stands where a plain name with or without arguments is meant (a pattern, a place): without a name where it is
    /// something else.
    pub fn call_by_name(&self, scope: ScopeId, id: ExprId) -> Option<Call> {
        let (_, expr) = self.bare_expr(scope, id);
        let (name, args) = match expr.kind {
            ExprKind::Call { callee, args, .. } => match self.bare_expr(scope, callee).1.kind {
                ExprKind::Name(name) => (name, args),
                _ => (String::new(), args),
            },
            ExprKind::Name(name) => (name, vec![]),
            ExprKind::Error => return None,
            _ => (String::new(), vec![]),
        };
        Some(Call::written(scope, name, args, expr.span))
    }

    pub fn call(
        &mut self,
        scope: ScopeId,
        id: ExprId,
        callee: ExprId,
        args: &[Arg],
        clauses: &[Clause],
        span: Span,
    ) -> Value {
        let (_, callee_expr) = self.bare_expr(scope, callee);
        if let ExprKind::Field { base, name } = &callee_expr.kind {
            return self.call_method(scope, *base, name, args, clauses, span);
        }
        let value = self.eval(scope, callee);
        if let ExprKind::Name(name) = &callee_expr.kind
            && self.hides_function(scope, name, &value)
        {
            return self.name_taken(name, callee_expr.span);
        }
        let text = self.text(span).to_string();
        let _ = id;
        self.call_value(scope, value, Written { receiver: None, args, clauses, span, text: &text })
    }

    /// Whether a value that is no function has the name of one.
    fn hides_function(&self, scope: ScopeId, name: &str, value: &Value) -> bool {
        let called = match value {
            Value::Num(num) => !matches!(num.unit, crate::unit::Unit::Unknown),
            Value::Text(_) | Value::Record(_) | Value::Data(_) | Value::List(_) => true,
            _ => false,
        };
        let module = self.modules.get(self.module_of(scope));
        called && (super::builtins::find(name).is_some() || module.seen.contains_key(name))
    }

    /// A function that something else has the name of.
    fn name_taken(&mut self, name: &str, span: Span) -> Value {
        let taker = self.modules.taker(name, span);
        let by = taker.as_ref().map_or("something here".to_string(), |(at, word)| {
            let line = self.modules.sources.line_column(at.span).0;
            format!("the `{word}` of line {line}")
        });
        let d = Diagnostic::error("E0220", span, format!("`{name}` is no function here: {by} has taken its name"));
        let d = d.help("give what has taken it another name");
        self.fail(match taker {
            Some((at, _)) => d.label(at.span, format!("from here on `{name}` is this")),
            None => d,
        })
    }

    /// `a |> f`, `a |> f(b)`, `x |> part`.
    pub fn pipe(&mut self, scope: ScopeId, a: ExprId, f: ExprId, span: Span) -> Value {
        let input = self.eval(scope, a);
        if matches!(input, Value::Missing) {
            return input;
        }
        let (_, target) = self.bare_expr(scope, f);
        let (callee, args, clauses) = match target.kind {
            ExprKind::Call { callee, args, clauses } => (callee, args, clauses),
            _ => (f, vec![], vec![]),
        };
        let value = self.eval(scope, callee);
        self.call_value(scope, value, Written { receiver: Some(input), args: &args, clauses: &clauses, span, text: "" })
    }

    /// A call of whatever a name or expression gave.
    pub fn call_value(&mut self, scope: ScopeId, callee: Value, written: Written) -> Value {
        let Written { receiver, args, clauses, span, text } = written;
        match callee {
            Value::Function(function) => {
                let function = (*function).clone();
                let call = Call {
                    scope,
                    name: String::new(),
                    receiver,
                    bound: function.bound.clone(),
                    args: args.to_vec(),
                    clauses: clauses.to_vec(),
                    span,
                    asked: Asked::default(),
                };
                self.call_function(&function, call)
            }
            Value::Kind(kind) => self.apply_kind(scope, &kind, args, span, text),
            Value::Network(_) | Value::Frame(_) | Value::Many(_) => {
                self.call_network(scope, callee, receiver, args, span)
            }
            Value::Num(num) if matches!(num.unit, crate::unit::Unit::Unknown) => {
                Value::Num(crate::value::Num::unknown(crate::unit::Unit::Unknown))
            }
            Value::Missing => Value::Missing,
            other => {
                let message = format!("{} is not called: it is no function", other.describe());
                self.error("E0220", span, message)
            }
        }
    }

    pub fn call_function(&mut self, function: &Function, mut call: Call) -> Value {
        match function.kind {
            FunctionKind::Builtin(builtin) => {
                call.name = builtin.name.to_string();
                let value = self.called_over_end(&call).unwrap_or_else(|| (builtin.run)(self, &call));
                self.hold_to_asked(&call, &value);
                value
            }
            FunctionKind::User(item) => self.call_user(item, &call),
        }
    }

    /// Reports arguments that a library function did not look at. One that ended early, on what is not known yet or wrong,
    /// may not have come to them.
    fn hold_to_asked(&mut self, call: &Call, value: &Value) {
        let known = |num: &Num| !matches!(num.repr, Repr::Unknown);
        if !matches!(value, Value::Num(num) if known(num)) {
            return;
        }
        let sought = call.asked.sought();
        let spare = call.args.iter().filter(|a| a.name.is_none()).count();
        if sought.places < spare && sought.places > 0 {
            let message = format!(
                "`{}` takes {}, not {}",
                call.name,
                suggest::counted(call.count() - spare + sought.places, "argument"),
                call.count()
            );
            self.error("E0223", call.span, message);
        }
        if sought.all {
            return;
        }
        let unknown = |a: &&Arg| a.name.as_ref().is_some_and(|n| !sought.names.contains(&n.text));
        let unknown: Vec<_> = call.args.iter().filter(unknown).filter_map(|a| a.name.clone()).collect();
        let names: Vec<String> = sought.names.iter().cloned().collect();
        for name in unknown {
            self.no_parameter(&call.name, &name.text, name.span, &names);
        }
    }

    /// A call of a declared `fn` or `objective`: parameters get their arguments, then the body is evaluated.
    pub fn call_user(&mut self, item: ItemId, call: &Call) -> Value {
        let modules = self.modules.clone();
        let declared = modules.item(item);
        if self.calls.len() >= DEPTH {
            let message =
                format!("`{}` calls itself more than {DEPTH} times: functions do not recur", declared.name.text);
            return self.error("E0221", call.span, message);
        }
        if !self.may_write_out(call) {
            return Value::Missing;
        }
        // Fewer arguments than parameters without default: the function itself, with what was given bound.
        if call.receiver.is_none() && call.count() == 0 && self.lacks_arguments(declared, call) {
            return self.bind_arguments(item, call);
        }
        let inner = self.scope(declared.module, None);
        self.scopes[inner.0 as usize].caller = Some(call.scope);
        if !self.bind_params(declared, call, inner) {
            return Value::Missing;
        }
        self.calls.push(call.span);
        let value = self.user_body(declared, inner);
        self.calls.pop();
        value
    }

    /// Functions are written out where they are called: one that calls two that call two, and so on, has no end.
    fn may_write_out(&mut self, call: &Call) -> bool {
        if self.calls.is_empty() {
            self.written_out = 0;
        }
        self.written_out += 1;
        // Once one was too many, others are not followed as far, and nothing more is said of them.
        let most = if self.too_far.is_some() { FEW_CALLS } else { MOST_CALLS };
        if self.written_out <= most {
            return true;
        }
        let at = self.calls.first().copied().unwrap_or(call.span);
        if *self.too_far.get_or_insert(at) == at {
            let message = format!("this call leads to more than {MOST_CALLS} calls of functions, each written out");
            let d = Diagnostic::error("E0677", at, message)
                .help("what is called twice is computed once by a name: `let a = f(x)`, and `a + a`");
            self.report(d);
        }
        false
    }

    fn lacks_arguments(&self, declared: &hir::Item, call: &Call) -> bool {
        let given = |name: &str| call.named(name).is_some() || call.bound.iter().any(|(n, _)| n == name);
        declared.params.iter().any(|p| p.default.is_none() && !given(&p.name.text)) && !call.args.is_empty()
    }

    fn bind_arguments(&mut self, item: ItemId, call: &Call) -> Value {
        let mut bound = call.bound.clone();
        let named: Vec<(String, ExprId)> = call.named_args().map(|(n, _, id)| (n.to_string(), id)).collect();
        for (name, id) in named {
            bound.push((name, self.eval(call.scope, id)));
        }
        Value::Function(Function { kind: FunctionKind::User(item), bound }.into())
    }

    /// Gives every parameter its argument or default; false after a report.
    fn bind_params(&mut self, declared: &hir::Item, call: &Call, inner: ScopeId) -> bool {
        let mut good = true;
        self.check_arguments(declared, call);
        for (k, param) in declared.params.iter().enumerate() {
            let name = param.name.text.as_str();
            let bound = call.bound.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            let (value, at) = if k == 0 && call.receiver.is_some() {
                (call.receiver.clone().unwrap_or(Value::Missing), call.span)
            } else if let Some(id) = call.named(name).or_else(|| call.positional(k)) {
                (self.eval(call.scope, id), self.expr_span(call.scope, id))
            } else if let Some(value) = bound {
                (value, call.span)
            } else if let Some(id) = param.default {
                (self.eval(inner, id), param.name.span)
            } else {
                let message = format!("`{}` needs `{name}`", declared.name.text);
                let d = Diagnostic::error("E0222", call.span, message).label(param.name.span, "declared here");
                self.report(d);
                good = false;
                continue;
            };
            if matches!(value, Value::Missing) {
                good = false;
            }
            let value = match &param.ty {
                Some(ty) => self.hold_at(inner, value, ty, at),
                None => value,
            };
            self.bind(inner, name, value);
        }
        good
    }

    /// Reports arguments that no parameter takes.
    fn check_arguments(&mut self, declared: &hir::Item, call: &Call) {
        if call.count() > declared.params.len() {
            let (n, m) = (declared.params.len(), call.count());
            let message = format!("`{}` takes {}, not {m}", declared.name.text, suggest::counted(n, "argument"));
            self.error("E0223", call.span, message);
        }
        let named: Vec<(String, Span)> = call.named_args().map(|(n, s, _)| (n.to_string(), s)).collect();
        for (name, span) in named {
            if declared.params.iter().any(|p| p.name.text == name) {
                continue;
            }
            let names: Vec<String> = declared.params.iter().map(|p| p.name.text.clone()).collect();
            self.no_parameter(&declared.name.text, &name, span, &names);
        }
    }

    pub fn no_parameter(&mut self, owner: &str, name: &str, span: Span, names: &[String]) {
        let d = Diagnostic::error("E0224", span, format!("`{owner}` has no parameter `{name}`"));
        let near = suggest::nearest(name, names.iter().map(String::as_str));
        let mut d = suggest::did_you_mean(d, span, near);
        if near.is_none() && !names.is_empty() {
            let list: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
            d = d.help(format!("its parameters are {}", list.join(", ")));
        }
        self.report(d);
    }

    /// Evaluates a function's body for what is wrong with it.
    pub fn check_body(&mut self, declared: &hir::Item, scope: ScopeId) {
        self.user_body(declared, scope);
    }

    fn user_body(&mut self, declared: &hir::Item, inner: ScopeId) -> Value {
        let (lets, value, result) = match &declared.kind {
            ItemKind::Function(f) => (&f.lets, f.value, f.result.clone()),
            ItemKind::Objective(o) if o.value.is_some() => (&o.lets, o.value, None),
            ItemKind::Objective(o) => return self.objective_terms(o, inner),
            _ => return Value::Missing,
        };
        let inner = self.bind_lets(lets, inner);
        let Some(value) = value else { return Value::Missing };
        let out = self.eval(inner, value);
        match result {
            Some(ty) => {
                let span = self.expr_span(inner, value);
                self.hold_at(inner, out, &ty, span)
            }
            None => out,
        }
    }

    /// A block of terms: their sum.
    fn objective_terms(&mut self, objective: &hir::Objective, inner: ScopeId) -> Value {
        let inner = self.bind_lets(&objective.lets, inner);
        let mut total: Option<super::operators::Operand> = None;
        for term in &objective.terms {
            let Some(Init::Value(id)) = term.init else { continue };
            let Some(one) = self.operand(inner, id) else { return Value::Missing };
            if let Some(program) = &mut self.program {
                program.terms.push((term.name.text.clone(), one.num.clone()));
            }
            total = match total {
                None => Some(one),
                Some(sum) => {
                    if !self.same_unit("add", &sum, &one, term.span) {
                        return Value::Missing;
                    }
                    let num = self.add(&sum.num, &one.num, term.span);
                    Some(super::operators::Operand { num, span: term.span })
                }
            };
        }
        total.map_or(Value::Missing, |t| Value::Num(t.num))
    }

    /// A kind with (more) arguments. They stay expressions: a parameter may be given per cell or per connection.
    fn apply_kind(&mut self, scope: ScopeId, kind: &Kind, args: &[Arg], span: Span, text: &str) -> Value {
        let item = self.modules.item(kind.item).clone();
        let names = parameter_names(&item);
        let module = self.module_of(scope);
        let mut out = kind.args.clone();
        let mut given: Vec<String> = vec![];
        let (mut place, mut good) = (0, true);
        for arg in args {
            let (Init::Value(id) | Init::Draw(id)) = arg.value;
            let name = match &arg.name {
                Some(name) => {
                    if !names.contains(&name.text) {
                        self.no_parameter(&item.name.text, &name.text, name.span, &names);
                        good = false;
                        continue;
                    }
                    name.text.clone()
                }
                None => {
                    let Some(name) = names.get(place) else {
                        let message =
                            format!("`{}` takes {} at most", item.name.text, suggest::counted(names.len(), "argument"));
                        self.error("E0223", span, message);
                        break;
                    };
                    place += 1;
                    name.clone()
                }
            };
            if given.contains(&name) {
                let at = arg.name.as_ref().map_or(span, |n| n.span);
                self.error("E0223", at, format!("`{name}` is given twice"));
            }
            given.push(name.clone());
            let closure = Closure::new(scope, module, id);
            let argument = match arg.value {
                Init::Value(_) => Argument::Expr(closure),
                Init::Draw(_) => Argument::Draw(closure),
            };
            out.retain(|(n, _)| *n != name);
            out.push((name, argument));
        }
        if !good {
            // Without what was meant to be given, it would be wrong in other places too.
            return Value::Missing;
        }
        let text = if text.is_empty() || args.is_empty() { kind.text.clone() } else { text.into() };
        Value::Kind(Kind { item: kind.item, args: out, span, text }.into())
    }
}

impl Session<'_> {
    /// A network or a part used as a function: `net(x)`, `x |> enc`; of an array of parts, one after the other.
    fn call_network(
        &mut self,
        scope: ScopeId,
        callee: Value,
        receiver: Option<Value>,
        args: &[Arg],
        span: Span,
    ) -> Value {
        let mut operands = vec![];
        if let Some(value) = receiver {
            let Some(num) = self.number(value, span) else { return Value::Missing };
            operands.push(super::operators::Operand { num, span });
        }
        for arg in args {
            let (Init::Value(id) | Init::Draw(id)) = arg.value;
            let Some(operand) = self.operand(scope, id) else { return Value::Missing };
            operands.push(operand);
        }
        match callee {
            Value::Network(id) => self.call_on_tensors(id, operands, span),
            Value::Frame(frame) => self.run_part(frame, operands, span),
            Value::Many(parts) => {
                for part in parts.iter() {
                    let value = match part {
                        Value::Network(id) => self.call_on_tensors(*id, operands, span),
                        Value::Frame(frame) => self.run_part(*frame, operands, span),
                        _ => return self.error("E0220", span, "these parts are no networks"),
                    };
                    let Some(num) = self.number(value, span) else { return Value::Missing };
                    operands = vec![super::operators::Operand { num, span }];
                }
                operands.pop().map_or(Value::Missing, |o| Value::Num(o.num))
            }
            _ => Value::Missing,
        }
    }
}

/// The names that may be given in a call of a kind, in order.
pub fn parameter_names(item: &hir::Item) -> Vec<String> {
    let decls =
        |lists: &[&[hir::Decl]]| lists.iter().flat_map(|l| l.iter()).map(|d| d.name.text.clone()).collect::<Vec<_>>();
    let mut names: Vec<String> = item.params.iter().map(|p| p.name.text.clone()).collect();
    names.extend(match &item.kind {
        ItemKind::Neuron(n) => {
            decls(&[&n.dynamics.params, &n.dynamics.states, &n.dynamics.weights, &n.dynamics.running])
        }
        ItemKind::Synapse(s) => {
            let mut names = decls(&[&s.dynamics.params, &s.dynamics.weights, &s.dynamics.states]);
            names.push("delay".into());
            names
        }
        ItemKind::Rule(r) => decls(&[&r.dynamics.params, &r.modulators, &r.consts]),
        ItemKind::Optimizer(o) => decls(&[&o.dynamics.params]),
        ItemKind::Environment(e) => {
            let mut names = decls(&[&e.dynamics.params]);
            names.extend(["step".into(), "max_steps".into()]);
            names
        }
        ItemKind::Architecture(a) => decls(&[&a.params]),
        _ => vec![],
    });
    names
}
