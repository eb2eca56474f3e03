//! What the statements of a `train` block ask for.

use nnm_syntax::ast::{self, ClauseValue, ExprId, Init, Name, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::super::credit::Credit;
use super::super::settle::Settling;
use super::Training;
use crate::hir::{Optimizer, Rule, clause};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Kind, Value};

/// `minimize E over PARTS by RULE with OPTIMIZER during epochs a .. b`, or `learn PARTS by RULE`.
pub(super) struct Aim {
    /// None for `learn`.
    pub(super) objective: Option<ExprId>,
    pub(super) maximize: bool,
    pub(super) over: Option<Vec<ExprId>>,
    pub(super) rule: (std::sync::Arc<Kind>, Rule),
    /// As they are written: the rule and the optimizer.
    pub(super) written: Vec<ExprId>,
    pub(super) optimizer: Option<(std::sync::Arc<Kind>, Optimizer)>,
    pub(super) during: Option<(i64, i64)>,
    pub(super) span: Span,
}

pub(super) struct Plan {
    pub(super) aims: Vec<Aim>,
    pub(super) batch: usize,
    /// `accumulate n`: so many batches make one update.
    pub(super) accumulate: usize,
    pub(super) epochs: usize,
    /// With `updates N`: so many updates, whatever the data.
    pub(super) updates: Option<usize>,
    pub(super) clip: Option<f64>,
    pub(super) stop: Option<ExprId>,
    pub(super) records: Vec<(Name, ExprId, i64)>,
    pub(super) validate: Option<(ExprId, usize)>,
    pub(super) frozen: Vec<ExprId>,
    pub(super) settles: Vec<Settling>,
    pub(super) constraints: Vec<Constraint>,
    /// `early_stop after n epochs`: so many without a better value end the training.
    pub(super) patience: Option<usize>,
    pub(super) checkpoint: Option<Every>,
    /// `truncate n steps`: credit goes back no further than to the start of such a piece of the presentation.
    pub(super) truncate: Option<i64>,
}

/// `constrain columns(net.D) to norm 1`
pub(super) struct Constraint {
    /// The weight, and the axis along which each part has its norm; none for the whole.
    pub(super) target: ExprId,
    pub(super) axis: Option<usize>,
    pub(super) norm: ExprId,
    pub(super) span: Span,
}

impl Plan {
    pub(super) fn objectives(&self) -> Vec<ExprId> {
        self.aims.iter().filter_map(|a| a.objective).collect()
    }

    pub(super) fn rules(&self) -> Vec<ExprId> {
        self.aims.iter().flat_map(|a| a.written.clone()).collect()
    }
}

/// `every 5 epochs`, `every 100 updates`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Every {
    Epochs(usize),
    Updates(usize),
}

impl Session<'_> {
    pub(super) fn training_plan(&mut self, t: &Training) -> Option<Plan> {
        let mut plan = Plan {
            aims: vec![],
            batch: 32,
            accumulate: 1,
            epochs: 1,
            updates: None,
            clip: None,
            stop: None,
            records: vec![],
            validate: None,
            frozen: vec![],
            settles: vec![],
            constraints: vec![],
            patience: None,
            checkpoint: None,
            truncate: None,
        };
        if let Some(e) = clause(t.clauses, "for") {
            plan.updates = Some(self.known_int(t.scope, e, "a number of updates", 1)? as usize);
        }
        for stmt in t.block {
            self.plan_stmt(t, stmt, &mut plan)?;
        }
        if plan.aims.is_empty() {
            let d = Diagnostic::error(
                "E0528",
                t.span,
                "nothing is trained here: say what is to be minimized, or which rule acts",
            )
            .help("`minimize CrossEntropy(net.y, label) by Backprop with Adam()`, `learn net.x_y by Oja()`");
            self.report(d);
            return None;
        }
        Some(plan)
    }

    fn plan_stmt(&mut self, t: &Training, stmt: &ast::Stmt, plan: &mut Plan) -> Option<()> {
        match &stmt.kind {
            StmtKind::Given { .. } | StmtKind::Error => {}
            StmtKind::Act { .. } if t.world.is_some() => {}
            StmtKind::Act { name, .. } => {
                let d =
                    Diagnostic::error("E0577", name.span, "a network acts in an environment, and there is none here")
                        .help("`train net in World(…) { act a ~ categorical(softmax(net.y)) … }`");
                self.report(d);
                return None;
            }
            StmtKind::List { word, items, clauses } => {
                self.plan_list(t, stmt.span, (word, items.as_slice(), clauses.as_slice()), plan)?
            }
            StmtKind::Clip { what, value } => {
                if what.text != "norm" {
                    self.error("E0529", what.span, "`clip` is by norm: `clip norm 1.0`");
                    return None;
                }
                plan.clip = self.known_quantity(t.scope, *value, "a norm", &Unit::REAL);
            }
            StmtKind::Constrain { target, what, value } => {
                if what.text != "norm" {
                    let d = Diagnostic::error("E0590", what.span, "weights are constrained to a norm")
                        .help("`constrain columns(net.D) to norm 1`");
                    self.report(d);
                    return None;
                }
                let (target, axis) = self.constrained(t.scope, *target);
                plan.constraints.push(Constraint { target, axis, norm: *value, span: stmt.span });
            }
            StmtKind::CondWhen { word, cond } if word.text == "stop" => plan.stop = Some(*cond),
            StmtKind::Bare { word, clauses } if word.text == "validate" => {
                let on = clause(clauses, "on")?;
                let every = match clause(clauses, "every") {
                    Some(e) => self.known_int(t.scope, e, "`every`", 1)? as usize,
                    None => 1,
                };
                plan.validate = Some((on, every));
            }
            StmtKind::Bare { word, clauses } if word.text == "early_stop" => {
                let patience = clause(clauses, "after").map(|e| self.known_int(t.scope, e, "`after`", 1));
                plan.patience = Some(patience.unwrap_or(Some(10))? as usize);
            }
            StmtKind::Bare { word, clauses } if word.text == "checkpoint" => {
                let Some(e) = clause(clauses, "every") else {
                    let d = Diagnostic::error("E0593", word.span, "how often? `checkpoint every 5 epochs`")
                        .help("or `checkpoint every 100 updates`");
                    self.report(d);
                    return None;
                };
                let n = self.known_int(t.scope, e, "`every`", 1)? as usize;
                let updates =
                    self.text(self.expr_span(t.scope, e)).trim_end().trim_end_matches('s').ends_with("update");
                plan.checkpoint = Some(if updates { Every::Updates(n) } else { Every::Epochs(n) });
            }
            StmtKind::Bare { word, .. } => self.not_in_train(&word.text, word.span)?,
            _ => self.not_in_train("this", stmt.span)?,
        }
        Some(())
    }

    /// A statement that begins with a word and lists expressions.
    fn plan_list(
        &mut self,
        t: &Training,
        span: Span,
        (word, items, clauses): (&Name, &[ast::ListItem], &[ast::Clause]),
        plan: &mut Plan,
    ) -> Option<()> {
        let first = items.first().map(|i| i.expr)?;
        match word.text.as_str() {
            "minimize" | "maximize" => {
                let aim = self.aim(t, Some(first), word.text == "maximize", None, clauses, span)?;
                plan.aims.push(aim);
            }
            "learn" => {
                let over = items.iter().map(|i| i.expr).collect();
                let aim = self.aim(t, None, false, Some(over), clauses, span)?;
                plan.aims.push(aim);
            }
            "batch" => plan.batch = self.known_int(t.scope, first, "`batch`", 1)? as usize,
            "accumulate" if t.world.is_some() => {
                let message = "`accumulate` gathers batches of data, and an environment has none";
                let d = Diagnostic::error("E0598", word.span, message)
                    .help("say how many episodes make an update: `batch 64 episodes`");
                self.report(d);
                return None;
            }
            "accumulate" => plan.accumulate = self.known_int(t.scope, first, "`accumulate`", 1)? as usize,
            "epochs" => plan.epochs = self.known_int(t.scope, first, "`epochs`", 0)? as usize,
            "updates" => plan.updates = Some(self.known_int(t.scope, first, "`updates`", 0)? as usize),
            "record" => self.plan_record(t, items, clauses, plan)?,
            "settle" => {
                let settling = self.settling(t.scope, items, clauses, span)?;
                plan.settles.push(settling);
            }
            "truncate" => plan.truncate = Some(self.known_int(t.scope, first, "`truncate`", 1)?),
            "freeze" => plan.frozen.extend(items.iter().map(|i| i.expr)),
            other => self.not_in_train(other, word.span)?,
        }
        Some(())
    }

    /// `columns(W)` and `rows(W)`: the weight, and the axis of one of its parts.
    fn constrained(&mut self, scope: ScopeId, target: ExprId) -> (ExprId, Option<usize>) {
        let (_, expr) = self.bare_expr(scope, target);
        if let ast::ExprKind::Call { callee, args, .. } = &expr.kind
            && let ast::ExprKind::Name(name) = &self.bare_expr(scope, *callee).1.kind
            && let (Some(axis), [arg]) = (["columns", "rows"].iter().position(|n| n == name), args.as_slice())
        {
            return (arg.value.expr(), Some(axis));
        }
        (target, None)
    }

    fn not_in_train(&mut self, word: &str, span: Span) -> Option<()> {
        let words = "given, act, minimize, maximize, learn, batch, accumulate, epochs, updates, clip, record, stop when, validate, early_stop, checkpoint, truncate, freeze, settle, constrain";
        let d = Diagnostic::error("E0530", span, format!("`{word}` does not belong in `train`"))
            .help(format!("there go {words}"));
        self.report(d);
        None
    }

    fn plan_record(
        &mut self,
        t: &Training,
        items: &[ast::ListItem],
        clauses: &[ast::Clause],
        plan: &mut Plan,
    ) -> Option<()> {
        let every = match clause(clauses, "every") {
            Some(e) => self.known_int(t.scope, e, "`every`", 1)?,
            None => 1,
        };
        for item in items {
            let Some(alias) = &item.alias else {
                let span = self.expr_span(t.scope, item.expr);
                self.error("E0508", span, "give what is recorded a name: `record EXPR as NAME`");
                return None;
            };
            plan.records.push((alias.clone(), item.expr, every));
        }
        Some(())
    }

    fn aim(
        &mut self,
        t: &Training,
        objective: Option<ExprId>,
        maximize: bool,
        over: Option<Vec<ExprId>>,
        clauses: &[ast::Clause],
        span: Span,
    ) -> Option<Aim> {
        let Some(by) = clause(clauses, "by") else {
            let d = Diagnostic::error("E0531", span, "by which rule?").help("`minimize … by Backprop with Adam()`");
            self.report(d);
            return None;
        };
        let at = self.expr_span(t.scope, by);
        let value = self.eval(t.scope, by);
        let rule = self.rule_of(&value, at)?;
        let optimizer = match clause(clauses, "with") {
            Some(e) => {
                let at = self.expr_span(t.scope, e);
                let value = self.eval(t.scope, e);
                Some(self.optimizer_of(&value, at)?)
            }
            None => None,
        };
        let credit = Credit::new(&rule.0, &rule.1, t.scope, at);
        let reads = credit.reads_credit(self);
        if reads && optimizer.is_none() {
            let message = format!("`{}` gives a direction: an optimizer must say how far to go", rule.0.text);
            let d =
                Diagnostic::error("E0532", at, message).help(format!("`by {} with Adam(rate = 1e-3)`", rule.0.text));
            self.report(d);
            return None;
        }
        if reads && objective.is_none() {
            let message = format!("`{}` reads an objective: it goes with `minimize`, not with `learn`", rule.0.text);
            self.error("E0533", at, message);
            return None;
        }
        self.check_local(&rule.0, &rule.1);
        let over = match over {
            Some(over) => Some(over),
            None => clause(clauses, "over").map(|e| vec![e]),
        };
        let during = self.during(t.scope, clauses)?;
        let written = [Some(by), clause(clauses, "with")].into_iter().flatten().collect();
        Some(Aim { objective, maximize, over, rule, written, optimizer, during, span })
    }

    fn during(&mut self, scope: ScopeId, clauses: &[ast::Clause]) -> Option<Option<(i64, i64)>> {
        let Some(c) = clauses.iter().find(|c| c.word.text == "during") else { return Some(None) };
        let ClauseValue::Named(_, e) = &c.value else { return Some(None) };
        match self.eval(scope, *e) {
            Value::Range(Some(a), Some(b)) => Some(Some((a.as_f64()? as i64, b.as_f64()? as i64))),
            _ => {
                self.error("E0534", c.span, "`during epochs a .. b` takes a range");
                None
            }
        }
    }

    /// A rule declared `local` may read nothing that is not at hand where the connection is.
    pub fn check_local(&mut self, kind: &Kind, rule: &Rule) {
        if !rule.local {
            return;
        }
        let module = self.modules.item(kind.item).module;
        let equations = rule.change.iter().chain(&rule.dynamics.equations).chain(&rule.dynamics.nexts);
        let file = &self.modules.get(module).file;
        let (mut found, mut sums) = (vec![], vec![]);
        for e in equations.map(|e| e.value).chain(rule.dynamics.lets.iter().filter_map(|l| l.init.map(Init::expr))) {
            found.extend(crate::hir::credit_reads(file, e));
            sums.extend(super::explain::sum_over_end(file, e));
        }
        for span in sums {
            let name = self.modules.item(kind.item).name.clone();
            let message = format!("`{}` is declared `local`, but sums over other connections", name.text);
            let d = Diagnostic::error("E0552", span, message)
                .at("what other cells of the same end do is not known where the connection is")
                .label(name.span, "declared local here")
                .help("drop `local`, or bring the sum in as a `modulator`");
            self.report(d);
        }
        for (what, span) in found {
            let name = self.modules.item(kind.item).name.clone();
            let message = format!("`{}` is declared `local`, but reads `{what}`", name.text);
            let d = Diagnostic::error("E0535", span, message)
                .at("this is known only from the objective, not where the connection is")
                .label(name.span, "declared local here")
                .help("drop `local`, or bring the signal in as a `modulator`");
            self.report(d);
        }
    }
}
