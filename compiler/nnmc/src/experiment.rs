//! Experiments: statements in order, reports, expectations, pictures, and sweeps.

use indexmap::IndexMap;
use nnm_figures::Figure;
use nnm_syntax::ast::{self, ExprKind, Init, Name, Stmt, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::events::Event;
use crate::failure::Failure;
use crate::hir::{ItemId, ItemKind, clause};
use crate::network::NetId;
use crate::samples::Training;
use crate::session::{Mode, ScopeId, Session};
use crate::simulate::Simulation;
use crate::sweep::Sweep;
use crate::value::{Num, Repr, Value};

/// What an experiment gave.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub name: String,
    pub seed: u64,
    pub reports: Vec<(String, Value)>,
    pub expectations: Vec<Expectation>,
    pub figures: Vec<(String, Figure)>,
    /// What was recorded, by the names of the runs.
    pub runs: Vec<(String, Value)>,
    /// `save net to "file"`: weights by name.
    pub saved: Vec<(String, Vec<(String, nnm_runtime::array::Array)>)>,
    /// What each training was made of.
    pub components: Vec<crate::components::Components>,
    /// What `check-gradients` found.
    pub gradients: Vec<crate::samples::GradientRow>,
    /// Weights of all networks at the end.
    pub weights: Vec<(String, nnm_runtime::array::Array)>,
}

#[derive(Clone, Debug)]
pub struct Expectation {
    pub text: String,
    pub held: bool,
    /// What was found, in the user's units.
    pub found: String,
    pub span: Span,
}

impl Outcome {
    /// Adds weights; what has been called so before is replaced.
    pub fn put_weights(&mut self, weights: Vec<(String, nnm_runtime::array::Array)>) {
        let mut all: IndexMap<String, nnm_runtime::array::Array> = self.weights.drain(..).collect();
        all.extend(weights);
        self.weights = all.into_iter().collect();
    }
}

/// `simulate NET …` or `train NET …`, as written.
struct Course<'s> {
    word: &'s Name,
    subject: ast::ExprId,
    world: Option<ast::ExprId>,
    clauses: &'s [ast::Clause],
    block: &'s [Stmt],
    span: Span,
}

impl Session<'_> {
    /// The experiments of the user's file, in order.
    pub fn experiments(&self, module: crate::hir::ModuleId) -> Vec<ItemId> {
        let own = &self.modules.get(module).own;
        own.values().copied().filter(|i| matches!(self.modules.item(*i).kind, ItemKind::Experiment(_))).collect()
    }

    /// Runs an experiment; where it ends early, what was reached comes with the reason.
    pub fn run_experiment(&mut self, item: ItemId) -> (Outcome, Option<Failure>) {
        let declared = self.modules.item(item).clone();
        let ItemKind::Experiment(stmts) = &declared.kind else { return (Outcome::default(), None) };
        let mut outcome = Outcome { name: declared.name.text.clone(), ..Outcome::default() };
        self.seed = self.settings.seed.unwrap_or(0);
        let precision = self.settings.precision;
        let scope = self.scope(declared.module, None);
        self.host.progress(&Event::ExperimentStarted { name: outcome.name.clone() });
        let first_net = self.nets.len();
        self.hold_reports(stmts, &mut vec![]);
        let result = self.run_stmts(scope, stmts, &mut outcome);
        outcome.seed = self.seed;
        self.settings.precision = precision;
        outcome.put_weights(self.weights_since(first_net));
        outcome.components = std::mem::take(&mut self.made_of);
        outcome.gradients = std::mem::take(&mut self.gradients);
        self.host.progress(&Event::ExperimentEnded { name: outcome.name.clone() });
        (outcome, result.err())
    }

    pub fn weights_since(&self, first: usize) -> Vec<(String, nnm_runtime::array::Array)> {
        let mut out: IndexMap<String, nnm_runtime::array::Array> = IndexMap::new();
        for net in self.nets[first..].iter().filter(|n| n.with.is_none() && !is_unnamed_copy(&n.path)) {
            for (name, array) in &net.store {
                if !name.starts_with('@') {
                    out.insert(format!("{}.{name}", net.path), array.clone());
                }
            }
        }
        out.into_iter().collect()
    }

    pub fn run_stmts(&mut self, scope: ScopeId, stmts: &[Stmt], outcome: &mut Outcome) -> Result<(), Failure> {
        for stmt in stmts {
            if self.settings.check_gradients && self.mode == Mode::Run && tells_results(stmt) {
                continue;
            }
            self.run_stmt(scope, stmt, outcome)?;
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.mode == Mode::Run && self.has_errors() {
                return Err(Failure::Model);
            }
        }
        Ok(())
    }

    /// Two reports of one name would be one in everything that is written of a run.
    fn hold_reports(&mut self, stmts: &[Stmt], before: &mut Vec<Name>) {
        for stmt in stmts {
            match &stmt.kind {
                StmtKind::For { block, .. } => self.hold_reports(block, before),
                StmtKind::Decl { word, name, .. } if word.text == "report" => {
                    if let Some(first) = before.iter().find(|n| n.text == name.text) {
                        let d = Diagnostic::error("E0201", name.span, format!("`{}` is reported twice", name.text))
                            .label(first.span, "the first is here");
                        self.report(d);
                    }
                    before.push(name.clone());
                }
                _ => {}
            }
        }
    }

    fn run_stmt(&mut self, scope: ScopeId, stmt: &Stmt, outcome: &mut Outcome) -> Result<(), Failure> {
        match &stmt.kind {
            StmtKind::Let { name, ty, value } => self.run_let(scope, name, ty.as_ref(), *value),
            StmtKind::Decl { word, name, value, .. } => self.run_decl(scope, word, name, *value, outcome),
            StmtKind::Run { name, word, subject, world, clauses, block } => {
                let course = Course { word, subject: *subject, world: *world, clauses, block, span: stmt.span };
                let value = match self.run_course(scope, &course) {
                    Ok(value) => value,
                    Err(failure) => {
                        let name = name.as_ref().map_or("unfinished", |n| &n.text);
                        outcome.runs.extend(self.unfinished.take().map(|value| (name.to_string(), value)));
                        return Err(failure);
                    }
                };
                if let Some(name) = name {
                    if self.mode == Mode::Run {
                        outcome.runs.push((name.text.clone(), value.clone()));
                    }
                    self.bind(scope, name.text.clone(), value);
                }
            }
            StmtKind::List { word, items, clauses } => self.run_list(scope, word, items, clauses, outcome),
            StmtKind::For { name, list, clauses, block } => {
                let parallel = clauses.iter().any(|c| c.word.text == "parallel");
                self.run_sweep(scope, &Sweep { name, list: *list, block, parallel }, outcome)?;
            }
            StmtKind::Set { target, value } => self.run_set(scope, *target, *value, stmt.span),
            StmtKind::Error => {}
            StmtKind::Assign { place, op: ast::AssignOp::Set, .. } if place.len() == 1 => {
                let name = &place[0];
                let message = format!("a name gets its value by `let`: `let {}`", self.text(stmt.span).trim());
                let d = Diagnostic::error("E0212", stmt.span, message);
                self.report(d.fix(name.span, format!("let {}", name.text)));
                self.bind(scope, name.text.clone(), Value::Missing);
            }
            StmtKind::Assign { place, .. } if place.len() > 1 => {
                let message =
                    format!("what a network holds is written by `set`: `set {}`", self.text(stmt.span).trim());
                self.report(Diagnostic::error("E0212", stmt.span, message));
            }
            _ => {
                let d = Diagnostic::error("E0212", stmt.span, "this does not belong in `experiment`")
                    .help("there go `seed`, `data`, `let`, `simulate`, `train`, `report`, `plot`, `expect`, `save`, `load`, `set`, `reset`, `for`");
                self.report(d);
            }
        }
        Ok(())
    }

    fn run_let(&mut self, scope: ScopeId, name: &Name, ty: Option<&ast::Type>, value: ast::ExprId) {
        let given = self.setting(&name.text);
        let value_of = match given {
            Some(value) => value,
            None => self.eval(scope, value),
        };
        let value_of = match ty {
            Some(ty) => {
                let span = self.expr_span(scope, value);
                self.hold_at(scope, value_of, ty, span)
            }
            None => value_of,
        };
        let value_of = self.made_network(value_of, &name.text);
        self.bind(scope, name.text.clone(), value_of);
    }

    /// A `let` of an architecture is a network of that name.
    fn made_network(&mut self, value: Value, name: &str) -> Value {
        match value {
            Value::Kind(kind) if self.item_word(kind.item) == "architecture" => {
                self.build_network(&kind, name).map_or(Value::Missing, Value::Network)
            }
            Value::Network(id) => {
                self.rename_network(id, name);
                Value::Network(id)
            }
            other => other,
        }
    }

    fn run_decl(&mut self, scope: ScopeId, word: &Name, name: &Name, value: Option<Init>, outcome: &mut Outcome) {
        let Some(Init::Value(e)) = value else {
            self.error("E0541", name.span, format!("`{} {}` needs a value", word.text, name.text));
            return;
        };
        let value = self.eval(scope, e);
        match word.text.as_str() {
            "data" => {
                let value = self.named_data(value, &name.text);
                self.bind(scope, name.text.clone(), value);
            }
            "report" => {
                let taken = self.local(scope, &name.text, name.span);
                if matches!(taken, Some(Value::Network(_) | Value::Data(_) | Value::Record(_))) {
                    self.error("E0201", name.span, format!("`{}` is the name of something else already", name.text));
                    return;
                }
                let span = self.expr_span(scope, e);
                let value = match value {
                    Value::Population(_) => self.number(value, span).map_or(Value::Missing, Value::Num),
                    other => other,
                };
                if matches!(value, Value::Missing) && self.mode == Mode::Run {
                    return;
                }
                if let Value::Num(num) = &value
                    && self.mode == Mode::Run
                {
                    self.host.progress(&Event::Reported { name: name.text.clone(), value: num.clone() });
                }
                outcome.reports.push((name.text.clone(), value.clone()));
                self.bind(scope, name.text.clone(), value);
            }
            other => {
                let d = Diagnostic::error("E0212", word.span, format!("`{other}` does not belong in `experiment`"));
                self.report(d);
            }
        }
    }

    fn named_data(&mut self, value: Value, name: &str) -> Value {
        match value {
            Value::Data(data) => {
                let mut data = (*data).clone();
                data.name = name.to_string();
                Value::Data(data.into())
            }
            other => other,
        }
    }

    fn run_course(&mut self, scope: ScopeId, course: &Course) -> Result<Value, Failure> {
        let Course { word, subject, world, clauses, block, span } = *course;
        let at = self.expr_span(scope, subject);
        let net = match self.eval(scope, subject) {
            Value::Network(id) => id,
            Value::Missing => return Ok(Value::Missing),
            other => {
                let message = format!("`{}` takes a network, found {}", word.text, other.describe());
                self.error("E0542", at, message);
                return Ok(Value::Missing);
            }
        };
        if let (Some(world), "simulate") = (world, word.text.as_str()) {
            let at = self.expr_span(scope, world);
            self.error("E0543", at, "`simulate` takes no environment: networks act in one while they are trained");
            return Ok(Value::Missing);
        }
        if word.text == "simulate" {
            return self.simulate(&Simulation { scope, net, clauses, block, span });
        }
        let data = match clause(clauses, "on") {
            Some(e) => match self.eval(scope, e) {
                Value::Data(data) => Some(data),
                Value::Missing => return Ok(Value::Missing),
                other => {
                    let at = self.expr_span(scope, e);
                    self.error("E0526", at, format!("`on` takes a data set, found {}", other.describe()));
                    return Ok(Value::Missing);
                }
            },
            None if world.is_some() || clause(clauses, "for").is_some() => None,
            None => {
                self.error("E0544", span, "on which data? `train net on DATA { … }`");
                return Ok(Value::Missing);
            }
        };
        self.train(&Training { scope, net, data, world, clauses, block, span })
    }

    fn run_list(
        &mut self,
        scope: ScopeId,
        word: &Name,
        items: &[ast::ListItem],
        clauses: &[ast::Clause],
        outcome: &mut Outcome,
    ) {
        match word.text.as_str() {
            "seed" => {
                if let Some(e) = items.first().map(|i| i.expr)
                    && let Some(seed) = self.known_int(scope, e, "a seed", 0)
                {
                    self.seed = self.settings.seed.unwrap_or(seed as u64);
                }
            }
            "precision" => self.run_precision(scope, items),
            "plot" => {
                for item in items {
                    let figure = self.figure(scope, item.expr);
                    if let (Some(figure), Mode::Run) = (figure, self.mode) {
                        outcome.figures.push(figure);
                    }
                }
            }
            "expect" => {
                for item in items {
                    self.expectation(scope, item.expr, outcome);
                }
            }
            "save" => self.run_save(scope, items, clauses, outcome),
            "load" => self.run_load(scope, items, clauses),
            "reset" => {
                for item in items {
                    let value = self.eval(scope, item.expr);
                    self.run_reset(scope, item.expr, value);
                }
            }
            other => {
                let d = Diagnostic::error("E0212", word.span, format!("`{other}` does not belong in `experiment`"));
                let homes = match other {
                    "record" | "learn" => "`simulate … { }` or `train … { }`",
                    "interpolate" => "`simulate … { }`",
                    "minimize" | "batch" | "epochs" => "`train … { }`",
                    _ => "another block",
                };
                self.report(d.help(format!("`{other}` goes inside {homes}")));
            }
        }
    }

    fn run_precision(&mut self, scope: ScopeId, items: &[ast::ListItem]) {
        let Some(e) = items.first().map(|i| i.expr) else { return };
        let span = self.expr_span(scope, e);
        match crate::engine::precision(self.text(span).trim()) {
            Some(precision) => {
                if self.settings.precision.is_none() {
                    self.settings.precision = Some(precision);
                }
            }
            None => {
                self.error("E0545", span, "`precision` is `f32` or `f64`");
            }
        }
    }

    fn run_reset(&mut self, scope: ScopeId, e: ast::ExprId, value: Value) {
        match value {
            Value::Network(id) => self.reset_network(id),
            Value::Many(parts) => parts.iter().for_each(|part| self.run_reset(scope, e, part.clone())),
            Value::Missing => {}
            other => {
                let span = self.expr_span(scope, e);
                let text = self.text(span).trim().to_string();
                let message = format!("`reset` takes a network, or a part of one; `{text}` is {}", other.describe());
                let state = match other {
                    Value::Num(_) => text,
                    _ => format!("{text}.STATE"),
                };
                let d = Diagnostic::error("E0682", span, message);
                self.report(d.help(format!("one state is written by `set`: `set {state} = …`")));
            }
        }
    }

    fn reset_network(&mut self, id: NetId) {
        self.nets_below(id).into_iter().for_each(|id| self.reset_own(id));
    }

    fn reset_own(&mut self, id: NetId) {
        let net = self.net_mut(id);
        net.clock = crate::network::Clock::default();
        net.store.retain(|name, _| !name.starts_with('@'));
        for population in net.populations.clone() {
            for state in population.states.iter().filter(|s| !s.running) {
                net.store.insert(format!("{}.{}", population.name, state.name), state.initial.clone());
            }
            let hold = format!("{}.", population.name);
            net.store.retain(|name, _| !(name.starts_with(&hold) && name.ends_with(".hold")));
        }
    }

    fn run_save(&mut self, scope: ScopeId, items: &[ast::ListItem], clauses: &[ast::Clause], outcome: &mut Outcome) {
        if let Some((id, file, _)) = self.net_and_file(scope, items, clauses, ["save", "to"])
            && self.mode == Mode::Run
        {
            outcome.saved.push((file, self.weights_of(id)));
        }
    }

    /// `expect A < B`: whether it holds, and what was found.
    fn expectation(&mut self, scope: ScopeId, e: ast::ExprId, outcome: &mut Outcome) {
        let span = self.expr_span(scope, e);
        let Some(x) = self.operand(scope, e) else { return };
        let module = self.module_of(scope);
        let file = &self.modules.get(module).file;
        if matches!(file.expr(e).kind, ExprKind::Number { .. }) || crate::eval::only_counts(file, e) {
            self.error("E0310", span, "an expectation is a condition, `expect a < b`; this is a number");
            return;
        }
        if !x.num.unit.is_real() {
            let message = format!("an expectation holds or does not; this is in {}", x.num.unit.describe());
            self.error("E0310", span, message);
            return;
        }
        if self.mode == Mode::Check {
            return;
        }
        let held = x.num.as_const().is_some_and(|a| a.iter().all(|v| *v != 0.0));
        let found = self.found(scope, e);
        let text = self.text(span).to_string();
        self.host.progress(&Event::Expected { text: text.clone(), held, found: found.clone() });
        outcome.expectations.push(Expectation { text, held, found, span });
    }

    /// The values of the sides of a comparison.
    fn found(&mut self, scope: ScopeId, e: ast::ExprId) -> String {
        let (_, expr) = self.bare_expr(scope, e);
        let ExprKind::Compare { first, .. } = expr.kind else { return String::new() };
        match self.operand(scope, first) {
            Some(x) => {
                let text = self.text(x.span).to_string();
                format!("{text} = {}", crate::table::summary(&x.num))
            }
            None => String::new(),
        }
    }

    /// The value that `--set NAME=VALUE` gives.
    pub fn setting(&mut self, name: &str) -> Option<Value> {
        let text = self.settings.set.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone())?;
        self.settings.used.insert(name.to_string());
        let modules = std::sync::Arc::make_mut(&mut self.modules);
        let file = modules.sources.add(format!("--set {name}"), format!("fn value() = {text}\n"));
        let module = modules.add_setting(file);
        let scope = self.scope(module, None);
        let body = self.modules.get(module).file.items.iter().find_map(|i| match &i.kind {
            ast::ItemKind::Fn { body: ast::Body::Value(e), .. } => Some(*e),
            _ => None,
        });
        match body {
            Some(e) => Some(self.eval(scope, e)),
            None => Some(self.error("E0002", Span::new(file, 0, 0), format!("`--set {name}={text}` is no value"))),
        }
    }
}

/// Whether a value is one number or tensor known now.
pub fn known(value: &Value) -> Option<&Num> {
    match value {
        Value::Num(num) if matches!(num.repr, Repr::Const(_)) => Some(num),
        _ => None,
    }
}

/// Whether a statement is about the results of what was done.
fn tells_results(stmt: &Stmt) -> bool {
    match &stmt.kind {
        StmtKind::List { word, .. } => matches!(word.text.as_str(), "plot" | "expect" | "save"),
        StmtKind::Decl { word, .. } => word.text == "report",
        _ => false,
    }
}

/// Whether a network is a copy that the experiment gave no name.
fn is_unnamed_copy(path: &str) -> bool {
    path.split('.')
        .any(|part| part.strip_prefix("copy").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())))
}
