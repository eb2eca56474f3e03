//! Bodies of functions and objectives: `let`s and loops of them before a value.

use indexmap::IndexMap;
use nnm_syntax::ast::{ExprId, Name, Stmt, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::Closure;
use crate::session::{Lazy, Mode, ScopeId, Session, Slot};
use crate::unit::Unit;
use crate::value::{Num, Repr, Value};

/// How many passes of a loop are looked at while a model is checked.
const LOOKED_AT: usize = 3;

/// What a loop goes through.
enum Passes {
    Known(Vec<Value>),
    /// Known in every use, not yet while the declaration is checked on its own.
    Open,
    /// Reported.
    Wrong,
}

impl Session<'_> {
    /// Binds a body's `let`s and runs its loops; the scope in which its value is seen.
    ///
    /// A `let` of a name that this body has already reads the old value and takes its place for what follows.
    pub fn bind_lets(&mut self, stmts: &[Stmt], scope: ScopeId) -> ScopeId {
        let mut at = scope;
        for stmt in stmts {
            match &stmt.kind {
                StmtKind::Let { name, ty, value } => {
                    let from = at;
                    if self.is_bound(from, &name.text) {
                        at = self.inner(from);
                    }
                    let closure = Closure::new(from, self.module_of(from), *value);
                    self.bind_lazy(at, name.text.clone(), Lazy::Expr(closure, ty.clone()));
                }
                StmtKind::For { name, list, block, .. } => at = self.run_loop(name, *list, block, at),
                _ => {}
            }
        }
        at
    }

    /// Whether the body or what surrounds it has a name already.
    fn is_bound(&self, scope: ScopeId, name: &str) -> bool {
        let parent = |id: &ScopeId| self.scopes[id.0 as usize].parent;
        std::iter::successors(Some(scope), parent).any(|id| self.scopes[id.0 as usize].names.contains_key(name))
    }

    /// `for k in 0 .. n { let s = s + x[k] }`: what a pass binds, the next one and all that follows sees.
    fn run_loop(&mut self, name: &Name, list: ExprId, block: &[Stmt], scope: ScopeId) -> ScopeId {
        let carried = self.inner(scope);
        let values = match self.loop_passes(scope, list) {
            Passes::Known(values) => values,
            Passes::Open => {
                self.run_pass(name, Value::Num(Num::unknown(Unit::REAL)), block, carried);
                self.forget(carried);
                return carried;
            }
            Passes::Wrong => {
                self.silence(block, carried);
                return carried;
            }
        };
        let all = self.mode == Mode::Run || values.len() <= LOOKED_AT;
        let count = if all { values.len() } else { LOOKED_AT };
        for value in values.into_iter().take(count) {
            self.run_pass(name, value, block, carried);
        }
        if !all {
            self.forget(carried);
        }
        carried
    }

    /// One pass: what it binds is computed, and from then on known under `carried`.
    fn run_pass(&mut self, name: &Name, value: Value, block: &[Stmt], carried: ScopeId) {
        let outside = self.inner(carried);
        self.bind(outside, name.text.clone(), value);
        let body = self.inner(outside);
        let mut at = self.bind_lets(block, body);
        let mut bound: IndexMap<String, Value> = IndexMap::new();
        while at != outside {
            let names: Vec<String> = self.scopes[at.0 as usize].names.keys().cloned().collect();
            for text in names {
                let value = self.force(at, &text, name.span);
                bound.entry(text).or_insert(value);
            }
            at = self.scopes[at.0 as usize].parent.unwrap_or(outside);
        }
        for (text, value) in bound {
            self.bind(carried, text, value);
        }
    }

    /// After a loop of which not every pass was looked at, only the units are known.
    fn forget(&mut self, scope: ScopeId) {
        for slot in self.scopes[scope.0 as usize].names.values_mut() {
            if let Slot::Value(Value::Num(num)) = slot {
                *num = Num::unknown(num.unit.clone());
            }
        }
    }

    /// After a report: what a loop would have bound is silent.
    fn silence(&mut self, block: &[Stmt], scope: ScopeId) {
        for stmt in block {
            match &stmt.kind {
                StmtKind::Let { name, .. } => self.bind(scope, name.text.clone(), Value::Missing),
                StmtKind::For { block, .. } => self.silence(block, scope),
                _ => {}
            }
        }
    }

    /// What a loop goes through: numbers of a range, elements of a list, rows of a tensor.
    fn loop_passes(&mut self, scope: ScopeId, list: ExprId) -> Passes {
        let span = self.expr_span(scope, list);
        let found = match self.eval(scope, list) {
            Value::Range(Some(from), Some(to)) => match (from.as_f64(), to.as_f64()) {
                (Some(a), Some(b)) => {
                    return Passes::Known((a as i64..b as i64).map(|k| Value::real(k as f64)).collect());
                }
                _ => return self.open_range([&from, &to], span),
            },
            Value::Num(num) => match self.shape(&num).map(|s| s.first().copied()) {
                Some(Some(rows)) => {
                    return Passes::Known((0..rows).map(|k| Value::Num(self.row_of(&num, k, span))).collect());
                }
                Some(None) => "one number",
                None => return Passes::Open,
            },
            Value::List(items) => return Passes::Known(items.to_vec()),
            Value::Missing => return Passes::Wrong,
            other => other.describe(),
        };
        self.error("E0209", span, format!("`for` goes through a list or a range, not {found}"));
        Passes::Wrong
    }

    /// A range whose ends are not known now: never, where they come from what is computed during the run.
    fn open_range(&mut self, ends: [&Num; 2], span: Span) -> Passes {
        if ends.iter().all(|n| !matches!(n.repr, Repr::Node(_))) {
            return Passes::Open;
        }
        let d = Diagnostic::error("E0322", span, "how often this loop runs is not known before the run")
            .help("a loop is written out before anything is computed: its ends are numbers, lengths or parameters");
        self.report(d);
        Passes::Wrong
    }

    fn row_of(&mut self, num: &Num, row: usize, span: Span) -> Num {
        let place = Num::real(row as f64);
        self.apply(span, num.unit.clone(), &[num, &place], |g, n| g.gather(n[0], 0, n[1]))
    }
}
