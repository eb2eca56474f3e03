//! `train`: objectives, rules and optimizers joined into one program per update, run over epochs of shuffled batches.

use indexmap::IndexMap;
use nnm_graph::ir::{Assign, Binary, NodeId, Place, Program as GraphProgram, Stmt, VarId};
use nnm_kir::ir::{Int, SlotId};
use nnm_runtime::abi::status;
use nnm_runtime::random;
use nnm_syntax::ast::{self, ClauseValue, ExprId, Name, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::credit::{Credit, Target, What};
use super::evaluate::rounds_loop;
use super::gradient::Sum;
use super::{Presentation, ROUND, slot};
use crate::engine::Engine;
use crate::events::Event;
use crate::failure::Failure;
use crate::failure::Noted;
use crate::hir::{Optimizer, Rule, clause};
use crate::network::{FrameId, NetId};
use crate::session::{Mode, ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Dataset, Kind, Num, Repr, Value, vector};

/// What a `train` statement says.
#[derive(Clone, Debug)]
pub struct Training<'s> {
    pub scope: ScopeId,
    pub net: NetId,
    pub data: Option<std::rc::Rc<Dataset>>,
    pub clauses: &'s [ast::Clause],
    pub block: &'s [ast::Stmt],
    pub span: Span,
}

/// `minimize E over PARTS by RULE with OPTIMIZER during epochs a .. b`, or `learn PARTS by RULE`.
struct Aim {
    /// None for `learn`.
    objective: Option<ExprId>,
    maximize: bool,
    over: Option<Vec<ExprId>>,
    rule: (std::rc::Rc<Kind>, Rule),
    optimizer: Option<(std::rc::Rc<Kind>, Optimizer)>,
    during: Option<(i64, i64)>,
    span: Span,
}

struct Plan {
    aims: Vec<Aim>,
    batch: usize,
    epochs: usize,
    /// With `updates N`: so many updates, whatever the data.
    updates: Option<usize>,
    clip: Option<f64>,
    stop: Option<ExprId>,
    records: Vec<(Name, ExprId, i64)>,
    validate: Option<(ExprId, usize)>,
    frozen: Vec<ExprId>,
}

/// A recorded value of a training.
struct TrainRecord {
    name: String,
    var: VarId,
    unit: Unit,
    every: i64,
    samples: i64,
}

/// The program of an update, with what is read from it.
struct Built {
    program: GraphProgram,
    losses: Vec<VarId>,
    stop: Option<VarId>,
    records: Vec<TrainRecord>,
}

impl Session<'_> {
    pub fn train(&mut self, t: &Training) -> Result<Value, Failure> {
        let Some(plan) = self.training_plan(t) else { return Ok(Value::Missing) };
        let given = self.givens(t.scope, t.block);
        self.net_mut(t.net).given = given.clone();
        let outer_graph = std::mem::take(&mut self.graph);
        let outer = self.program.take();
        let errors = self.error_count();
        let rows = t.data.as_ref().map_or(1, |d| d.rows);
        let batch = plan.batch.min(rows.max(1));
        let per_epoch = rows.div_ceil(batch).max(1);
        let updates = plan.updates.unwrap_or(plan.epochs * per_epoch);
        let data = t.data.clone();
        let presented = self.begin_samples(t.scope, data.as_deref(), &[(t.net, given)], batch, true, t.span);
        let result = match presented {
            Some(mut p) => match self.build_update(t, &plan, &mut p, per_epoch, updates) {
                Some(built) if self.error_count() == errors => {
                    self.run_training(t, &plan, &p, built, per_epoch, updates)
                }
                _ => self.nothing_built("train", errors),
            },
            None => self.nothing_built("train", errors),
        };
        self.graph = outer_graph;
        self.program = outer;
        result
    }

    /// After a build without result: errors of the model have been reported, anything else is a fault of ours.
    pub fn nothing_built(&mut self, what: &str, errors: usize) -> Result<Value, Failure> {
        if self.error_count() > errors || self.has_errors() {
            return Ok(Value::Missing);
        }
        Err(self
            .failure
            .take()
            .unwrap_or_else(|| Failure::bug(format!("`{what}` could not be built, and nothing said why"))))
    }

    fn training_plan(&mut self, t: &Training) -> Option<Plan> {
        let mut plan = Plan {
            aims: vec![],
            batch: 32,
            epochs: 1,
            updates: None,
            clip: None,
            stop: None,
            records: vec![],
            validate: None,
            frozen: vec![],
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
            StmtKind::List { word, items, clauses } => {
                let first = items.first().map(|i| i.expr)?;
                match word.text.as_str() {
                    "minimize" | "maximize" => {
                        let aim = self.aim(t, Some(first), word.text == "maximize", None, clauses, stmt.span)?;
                        plan.aims.push(aim);
                    }
                    "learn" => {
                        let over = items.iter().map(|i| i.expr).collect();
                        let aim = self.aim(t, None, false, Some(over), clauses, stmt.span)?;
                        plan.aims.push(aim);
                    }
                    "batch" => plan.batch = self.known_int(t.scope, first, "`batch`", 1)? as usize,
                    "epochs" => plan.epochs = self.known_int(t.scope, first, "`epochs`", 0)? as usize,
                    "updates" => plan.updates = Some(self.known_int(t.scope, first, "`updates`", 0)? as usize),
                    "record" => self.plan_record(t, items, clauses, plan)?,
                    "freeze" => plan.frozen.extend(items.iter().map(|i| i.expr)),
                    other => self.not_in_train(other, word.span)?,
                }
            }
            StmtKind::Clip { what, value } => {
                if what.text != "norm" {
                    self.error("E0529", what.span, "`clip` is by norm: `clip norm 1.0`");
                    return None;
                }
                plan.clip = self.known_quantity(t.scope, *value, "a norm", &Unit::REAL);
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
            StmtKind::Bare { word, .. } => self.not_in_train(&word.text, word.span)?,
            _ => self.not_in_train("this", stmt.span)?,
        }
        Some(())
    }

    fn not_in_train(&mut self, word: &str, span: Span) -> Option<()> {
        let words =
            "given, minimize, maximize, learn, batch, epochs, updates, clip, record, stop when, validate, freeze";
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
        self.settling_or_perturbing(&rule.1, &rule.0.text, at)?;
        let optimizer = match clause(clauses, "with") {
            Some(e) => {
                let at = self.expr_span(t.scope, e);
                let value = self.eval(t.scope, e);
                Some(self.optimizer_of(&value, at)?)
            }
            None => None,
        };
        let credit = Credit { kind: &rule.0, rule: &rule.1, objective: None, scope: t.scope, span: at };
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
        Some(Aim { objective, maximize, over, rule, optimizer, during, span })
    }

    /// Rules that need further phases of a presentation are refused.
    fn settling_or_perturbing(&mut self, rule: &Rule, name: &str, span: Span) -> Option<()> {
        let what = match (&rule.settle, rule.perturbed.first(), rule.noises.first()) {
            (Some(_), _, _) => "settle",
            (None, Some(_), _) => "perturbed",
            (None, None, Some(_)) => "noise",
            _ => return Some(()),
        };
        let message = format!("`{name}` uses `{what}`, which `train` does not carry out");
        let d = Diagnostic::error("E0555", span, message)
            .help("rules of errors and of activity act: `Backprop`, `FeedbackAlignment`, `Oja` …");
        self.report(d);
        None
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
        let mut found = vec![];
        for equation in equations {
            found.extend(crate::hir::credit_reads(&self.modules.get(module).file, equation.value));
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

    /// The program of one update.
    fn build_update(
        &mut self,
        t: &Training,
        plan: &Plan,
        p: &mut Presentation,
        per_epoch: usize,
        updates: usize,
    ) -> Option<Built> {
        self.bind_schedule(p.scope, per_epoch, updates);
        let mut losses = vec![];
        let mut changes: IndexMap<VarId, (Target, Vec<NodeId>)> = IndexMap::new();
        let mut assigns = vec![];
        let mut forward = None;
        let mut before: Vec<Stmt> = vec![];
        for (number, aim) in plan.aims.iter().enumerate() {
            let frame = self.aim_frame(t, p, number)?;
            let loss =
                self.build_aim(t, plan, p, aim, number, frame, &mut changes, &mut assigns, &mut forward, &mut before)?;
            losses.extend(loss);
        }
        for (target, change) in changes.values() {
            let mut new = target.read;
            for c in change {
                new = self.graph.binary(Binary::Add, new, *c).noted(self)?;
            }
            let new = self.bounded(plan, target, new)?;
            assigns.push(Assign { to: target.var, place: Place::Whole, add: false, value: new });
        }
        let mut body = before;
        let mut loss_vars = vec![];
        for (k, loss) in losses.iter().enumerate() {
            let var = self.work_var(&format!("loss {k}"), &[], false, Some(per_epoch));
            let place = Int::Rem(Box::new(Int::Loop(ROUND)), Box::new(Int::Const(per_epoch as i64)));
            assigns.push(Assign { to: var, place: Place::Time(place.clone()), add: false, value: *loss });
            loss_vars.push(var);
        }
        body.push(Stmt::Stage { about: "update".into(), assigns });
        for (k, var) in loss_vars.iter().enumerate() {
            let place = Int::Rem(Box::new(Int::Loop(ROUND)), Box::new(Int::Const(per_epoch as i64)));
            body.push(Stmt::CheckFinite { var: *var, place: Place::Time(place), code: k as i64 });
        }
        let stop = self.after_update(t, plan, p, &mut body)?;
        let records = self.train_records(plan, p, updates, &mut body)?;
        let mut round = self.fetches(p, &body);
        round.extend(body);
        let name = format!("train {}", self.net(t.net).path);
        let program = self.samples_program(&name, vec![rounds_loop(round)], p.batch);
        Some(Built { program, losses: loss_vars, stop, records })
    }

    /// `epoch`, `n`, `progress` of a training, in every expression of it.
    fn bind_schedule(&mut self, scope: ScopeId, per_epoch: usize, updates: usize) {
        let round = self.graph.count(Int::Loop(ROUND));
        let epoch = self.graph.count(Int::Div(Box::new(Int::Loop(ROUND)), Box::new(Int::Const(per_epoch as i64))));
        let n = self.graph.count(Int::Add(Box::new(Int::Loop(ROUND)), Box::new(Int::Const(1))));
        let total = self.graph.constant(1.0 / updates.max(1) as f64);
        let progress = self.graph.binary(Binary::Mul, total, round).unwrap_or(round);
        for (name, node) in [("epoch", epoch), ("n", n), ("progress", progress)] {
            self.bind(scope, name, Value::Num(Num::node(Unit::REAL, node)));
        }
        self.bind(scope, "training", Value::real(1.0));
    }

    /// Each aim sees the network through a frame of its own: rules differ in what flows back.
    fn aim_frame(&mut self, t: &Training, p: &mut Presentation, number: usize) -> Option<FrameId> {
        if number == 0 {
            return Some(self.frame_of(t.net));
        }
        let first = self.frame_of(t.net);
        let inputs = self.frame(first).inputs.clone();
        let program = self.program.as_mut()?;
        program.frames.shift_remove(&t.net);
        program.feedback.clear();
        let frame = self.frame_of(t.net);
        self.frame_mut(frame).inputs = inputs;
        let _ = p;
        Some(frame)
    }

    #[allow(clippy::too_many_arguments)]
    fn build_aim(
        &mut self,
        t: &Training,
        plan: &Plan,
        p: &mut Presentation,
        aim: &Aim,
        number: usize,
        frame: FrameId,
        changes: &mut IndexMap<VarId, (Target, Vec<NodeId>)>,
        assigns: &mut Vec<Assign>,
        forward: &mut Option<(Vec<Assign>, Vec<Assign>)>,
        before: &mut Vec<Stmt>,
    ) -> Option<Option<NodeId>> {
        let mut credit =
            Credit { kind: &aim.rule.0, rule: &aim.rule.1, objective: None, scope: p.scope, span: aim.span };
        self.set_feedback(frame, &credit)?;
        let objective = match aim.objective {
            Some(e) => Some(self.objective_node(p, e, aim.maximize)?),
            None => None,
        };
        self.reach_ports(frame);
        if p.steps > 0 && forward.is_none() {
            self.settle_histories()?;
            *forward = Some(self.step_assigns(p)?);
        }
        credit.objective = objective;
        let over = aim.over.as_ref().map(|list| list.iter().map(|e| self.eval(t.scope, *e)).collect::<Vec<_>>());
        let mut targets = self.targets(frame, over.as_deref(), aim.span)?;
        self.without_frozen(t, plan, frame, &mut targets)?;
        if targets.is_empty() {
            let d = Diagnostic::error(
                "E0536",
                aim.span,
                "there is nothing to train: the network has no trained weights here",
            )
            .help("`dense` and `conv` connections and `weight`s are trained; others when `over` or `learn` names them");
            self.report(d);
            return None;
        }
        let directions = match (p.steps > 0, objective) {
            (true, Some(objective)) => {
                let (new, initial) = forward.clone()?;
                self.directions_over_time(p, &credit, objective, &targets, &new, &initial, before)?
            }
            (true, None) => {
                self.error(
                    "E0537",
                    aim.span,
                    "in a presentation over time a rule needs an objective; without one it acts in `simulate`",
                );
                return None;
            }
            (false, _) => targets.iter().map(|target| self.proposed(&credit, target)).collect::<Option<Vec<_>>>()?,
        };
        let directions = match plan.clip {
            Some(limit) => self.clipped(&directions, limit)?,
            None => directions,
        };
        for (target, direction) in targets.iter().zip(directions) {
            let mut own = vec![];
            let change = match &aim.optimizer {
                Some((kind, optimizer)) => {
                    self.optimized(kind, optimizer, target, direction, number, p.scope, &mut own)?
                }
                None => direction,
            };
            let change = self.gated(aim, p, change, &mut own)?;
            assigns.extend(own);
            changes.entry(target.var).or_insert_with(|| (target.clone(), vec![])).1.push(change);
        }
        self.rule_nexts(&credit, &targets, changes, assigns)?;
        match objective {
            Some(node) => self.batch_mean_of(node).map(Some),
            None => Some(None),
        }
    }

    fn without_frozen(&mut self, t: &Training, plan: &Plan, frame: FrameId, targets: &mut Vec<Target>) -> Option<()> {
        for e in &plan.frozen {
            let value = self.eval(t.scope, *e);
            let span = self.expr_span(t.scope, *e);
            let frozen = self.targets(frame, Some(&[value]), span)?;
            targets.retain(|x| !frozen.iter().any(|f| f.var == x.var));
        }
        Some(())
    }

    /// Evaluates every port, so that rules without an objective find their ends.
    fn reach_ports(&mut self, frame: FrameId) {
        let id = self.frame(frame).net;
        for index in 0..self.net(id).populations.len() {
            let scope = self.frame(frame).populations[index].scope;
            for port in self.net(id).populations[index].ports.clone() {
                self.local(scope, &port.name, port.span);
            }
        }
    }

    pub fn objective_node(&mut self, p: &Presentation, e: ExprId, maximize: bool) -> Option<NodeId> {
        let x = self.operand(p.scope, e)?;
        if x.num.stepwise {
            let d = Diagnostic::error("E0527", x.span, "this objective differs from step to step: reduce it over time")
                .help("`mean_t(net.y)`, `last(net.y)` or `sum_t(…)` inside it");
            self.report(d);
            return None;
        }
        let shape = self.shape(&x.num)?;
        if !shape.is_empty() {
            let found = crate::eval::types::shape_text(&shape);
            let d = Diagnostic::error(
                "E0538",
                x.span,
                format!("an objective is one number for each sample, this is {found}"),
            )
            .help("reduce it: `sum(…)` or `mean(…)`");
            self.report(d);
            return None;
        }
        if !x.num.unit.is_real() {
            let message = format!("an objective is a plain number, not in {}", x.num.unit.describe());
            self.error("E0539", x.span, message);
            return None;
        }
        let node = self.lift(&x.num);
        if maximize { self.graph.unary(nnm_graph::ir::Unary::Neg, node).noted(self) } else { Some(node) }
    }

    pub fn batch_mean_of(&mut self, node: NodeId) -> Option<NodeId> {
        if !self.graph.node(node).batched {
            return Some(node);
        }
        let sum = self.graph.batch_sum(node).noted(self)?;
        let count = self.graph.count(Int::Slot(SlotId(slot("batch"))));
        self.graph.binary(Binary::Div, sum, count).noted(self)
    }

    /// Directions of a network over time: what each step proposes, added up on the way back.
    #[allow(clippy::too_many_arguments)]
    fn directions_over_time(
        &mut self,
        p: &mut Presentation,
        credit: &Credit,
        objective: NodeId,
        targets: &[Target],
        new: &[Assign],
        initial: &[Assign],
        before: &mut Vec<Stmt>,
    ) -> Option<Vec<NodeId>> {
        let reductions = self.program.as_ref()?.reductions.clone();
        let reads: Vec<NodeId> = reductions.iter().map(|r| r.read).collect();
        let by = self.derivatives(&[(objective, None)], &reads, credit.span)?;
        let with_seeds: Vec<_> = reductions.into_iter().zip(by).collect();
        let mut totals = vec![];
        for target in targets {
            totals.push(self.work_var(&format!("{}@direction", target.path), &target.shape, false, None));
        }
        let mut sums = |s: &mut Session, seeds: &[(NodeId, NodeId)]| -> Option<Vec<Sum>> {
            s.program.as_mut()?.seeds = Some(seeds.to_vec());
            let mut out = vec![];
            for (target, total) in targets.iter().zip(&totals) {
                out.push(Sum { total: *total, step: s.proposed(credit, target)? });
            }
            s.program.as_mut()?.seeds = None;
            Some(out)
        };
        let back = self.backward(p, new, &with_seeds, &mut sums, credit.span)?;
        let mut step = new.to_vec();
        step.extend(back.keep);
        if before.is_empty() {
            before.extend(self.presentation_stmts(p, &step, initial));
        } else if let Some(Stmt::For { body, .. }) = before.iter_mut().find(|s| matches!(s, Stmt::For { .. }))
            && let Some(Stmt::Stage { assigns, .. }) = body.first_mut()
        {
            assigns.extend(step.into_iter().skip(new.len()));
        }
        before.extend(back.stmts);
        Some(totals.iter().map(|t| self.read_whole(*t)).collect())
    }

    /// A change that acts only during some epochs.
    fn gated(&mut self, aim: &Aim, p: &Presentation, change: NodeId, own: &mut [Assign]) -> Option<NodeId> {
        let Some((from, to)) = aim.during else { return Some(change) };
        let Some(Value::Num(epoch)) = self.local(p.scope, "epoch", aim.span) else { return None };
        let epoch = self.lift(&epoch);
        let (a, b) = (self.graph.constant(from as f64), self.graph.constant(to as f64));
        let after = self.graph.binary(Binary::Ge, epoch, a).noted(self)?;
        let until = self.graph.binary(Binary::Lt, epoch, b).noted(self)?;
        let active = self.graph.binary(Binary::And, after, until).noted(self)?;
        for assign in own {
            let old = self.read_whole(assign.to);
            assign.value = self.graph.select(active, assign.value, old).noted(self)?;
        }
        let zero = self.graph.constant(0.0);
        self.graph.select(active, change, zero).noted(self)
    }

    /// `bound w in a .. b` and `normalize` of the rules that act on a target.
    fn bounded(&mut self, plan: &Plan, target: &Target, new: NodeId) -> Option<NodeId> {
        let mut out = new;
        for aim in &plan.aims {
            let rule = &aim.rule.1;
            if let Some(bound) = rule.bound
                && matches!(target.what, What::Weight { .. })
            {
                let scope = self.scope(self.modules.item(aim.rule.0.item).module, None);
                self.bind(scope, "w", Value::Num(Num::node(target.unit.clone(), target.read)));
                let (_, expr) = self.bare_expr(scope, bound);
                if let ast::ExprKind::Compare { rest, .. } = &expr.kind
                    && let Some((_, range)) = rest.first()
                    && let Value::Range(a, b) = self.eval(scope, *range)
                {
                    for (end, op) in [(a, Binary::Max), (b, Binary::Min)] {
                        let Some(end) = end else { continue };
                        let end = self.lift(&end);
                        out = self.graph.binary(op, out, end).noted(self)?;
                    }
                }
            }
        }
        Some(out)
    }

    /// `next` values of a rule's own running tensors, which see the new weights as `next w`.
    fn rule_nexts(
        &mut self,
        credit: &Credit,
        targets: &[Target],
        changes: &IndexMap<VarId, (Target, Vec<NodeId>)>,
        assigns: &mut Vec<Assign>,
    ) -> Option<()> {
        if credit.rule.dynamics.nexts.is_empty() {
            return Some(());
        }
        for target in targets.iter().filter(|t| matches!(t.what, What::Weight { .. })) {
            let mut new = target.read;
            for change in changes.get(&target.var).map(|(_, c)| c.clone()).unwrap_or_default() {
                new = self.graph.binary(Binary::Add, new, change).noted(self)?;
            }
            self.running_of(credit, target, new, assigns)?;
        }
        Some(())
    }

    fn after_update(
        &mut self,
        _t: &Training,
        plan: &Plan,
        p: &Presentation,
        body: &mut Vec<Stmt>,
    ) -> Option<Option<VarId>> {
        let Some(cond) = plan.stop else { return Some(None) };
        let x = self.operand(p.scope, cond)?;
        let node = self.lift(&x.num);
        let var = self.work_var("stop", &[], false, None);
        let assign = Assign { to: var, place: Place::Whole, add: false, value: node };
        body.push(Stmt::Stage { about: "stop when".into(), assigns: vec![assign] });
        Some(Some(var))
    }

    fn train_records(
        &mut self,
        plan: &Plan,
        p: &Presentation,
        updates: usize,
        body: &mut Vec<Stmt>,
    ) -> Option<Vec<TrainRecord>> {
        let mut out = vec![];
        for (name, e, every) in &plan.records {
            let x = self.operand(p.scope, *e)?;
            let node = self.lift(&x.num);
            let shape = self.graph.shape(node).to_vec();
            let samples = (updates as i64 / every).max(1);
            let var = self.work_var(&format!("record {}", name.text), &shape, false, Some(samples as usize));
            let n = Int::Add(Box::new(Int::Loop(ROUND)), Box::new(Int::Const(1)));
            let phase = Int::Rem(Box::new(n), Box::new(Int::Const(*every)));
            let place = Int::Div(Box::new(Int::Loop(ROUND)), Box::new(Int::Const(*every)));
            let assign = Assign { to: var, place: Place::Time(place), add: false, value: node };
            let stage = Stmt::Stage { about: format!("record {}", name.text), assigns: vec![assign] };
            body.push(Stmt::IfEqual { a: phase, b: Int::Const(0), body: vec![stage] });
            out.push(TrainRecord { name: name.text.clone(), var, unit: x.num.unit, every: *every, samples });
        }
        Some(out)
    }

    fn run_training(
        &mut self,
        t: &Training,
        plan: &Plan,
        p: &Presentation,
        built: Built,
        per_epoch: usize,
        updates: usize,
    ) -> Result<Value, Failure> {
        self.dump(&built.program, &[], &[]);
        if self.mode == Mode::Check {
            return Ok(self.unknown_run(&built));
        }
        let mut engine = Engine::new(&built.program, self.settings.backend).map_err(|e| self.engine_failure(e))?;
        if self.settings.emit_kernels {
            self.dump_kernel(engine.kernel());
        }
        self.fill_samples(&mut engine, p);
        let epochs = updates.div_ceil(per_epoch);
        let key = random::key(self.seed, &format!("{}.shuffle", self.net(t.net).path));
        let mut history: Vec<Vec<f64>> = vec![vec![]; built.losses.len()];
        let mut validation = vec![];
        let mut done = 0;
        for epoch in 0..epochs {
            let order = random::permutation(key, epoch as u64, p.rows as u32);
            engine.write_index(p.index, &order);
            let stopped =
                self.run_epoch(t, &built, p, &mut engine, epoch, per_epoch, updates, &mut history, &mut done)?;
            let loss = history.first().and_then(|h| h.last()).copied().unwrap_or(f64::NAN);
            let what = self.net(t.net).path.clone();
            let fraction = (epoch + 1) as f64 / epochs as f64;
            self.host.progress(&Event::Epoch { what, epoch: epoch + 1, epochs, loss, done: fraction });
            if let Some((on, every)) = plan.validate
                && (epoch + 1) % every == 0
            {
                self.keep_weights(&engine);
                validation.push(self.validate(t, plan, on)?);
            }
            if self.host.interrupted() {
                self.keep_weights(&engine);
                return Err(Failure::Interrupted);
            }
            if stopped {
                break;
            }
        }
        self.keep_weights(&engine);
        Ok(self.training_run(&engine, &built, history, validation, done))
    }

    /// One epoch; whether `stop when` held.
    #[allow(clippy::too_many_arguments)]
    fn run_epoch(
        &mut self,
        t: &Training,
        built: &Built,
        p: &Presentation,
        engine: &mut Engine,
        epoch: usize,
        per_epoch: usize,
        updates: usize,
        history: &mut [Vec<f64>],
        done: &mut usize,
    ) -> Result<bool, Failure> {
        let full = p.rows / p.batch;
        let first = epoch * per_epoch;
        let rest = p.rows - full * p.batch;
        let mut pieces = vec![];
        if built.stop.is_some() {
            pieces.extend((0..full).map(|k| (k, k + 1, p.batch)));
        } else {
            pieces.push((0, full, p.batch));
        }
        if rest > 0 {
            pieces.push((full, full + 1, rest));
        }
        let mut stopped = false;
        for (a, b, here) in pieces {
            let (from, to) = (first + a, (first + b).min(updates));
            if from >= to {
                continue;
            }
            engine.set_slot("batch", here as i64);
            engine.set_slot("offset", (a * p.batch) as i64);
            engine.set_slot("from", from as i64);
            engine.set_slot("to", to as i64);
            match engine.run().map_err(|e| self.engine_failure(e))? {
                status::OK => {}
                status::NOT_FINITE => return Err(self.diverged(t, engine, from)),
                code => return Err(Failure::bug(format!("a training ended with status {code}"))),
            }
            *done = to;
            if let Some(stop) = built.stop
                && engine.read(stop, 0).first().is_some_and(|s| *s != 0.0)
            {
                stopped = true;
                break;
            }
        }
        for (k, var) in built.losses.iter().enumerate() {
            let steps = (*done - first.min(*done)).min(per_epoch);
            let mean = (0..steps).map(|s| engine.read(*var, s)[0]).sum::<f64>() / steps.max(1) as f64;
            history[k].push(mean);
        }
        Ok(stopped)
    }

    fn diverged(&mut self, t: &Training, engine: &Engine, from: usize) -> Failure {
        self.keep_weights(engine);
        let d = Diagnostic::error(
            "E0702",
            t.span,
            format!("the loss is no longer finite, at an update from {} on", from + 1),
        )
        .help("a smaller `rate`, `clip norm 1.0`, or a look at the data");
        Failure::Numeric(Box::new(d))
    }

    /// Weights and running values back into their networks.
    fn keep_weights(&mut self, engine: &Engine) {
        let leaves = self.program.as_ref().map(|p| p.leaves.clone()).unwrap_or_default();
        for leaf in leaves.values() {
            if let (Some((id, local)), crate::program::Role::Weight) = (&leaf.home, leaf.role) {
                let array = engine.read_array(leaf.var);
                self.net_mut(*id).store.insert(local.clone(), array);
            }
        }
    }

    /// The mean of the first objective over other data.
    fn validate(&mut self, t: &Training, plan: &Plan, on: ExprId) -> Result<f64, Failure> {
        let Some(objective) = plan.aims.first().and_then(|a| a.objective) else { return Ok(f64::NAN) };
        let Value::Data(data) = self.eval(t.scope, on) else { return Ok(f64::NAN) };
        let mean = self.mean_over(t.scope, objective, &data, t.span);
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(mean.unwrap_or(f64::NAN)),
        }
    }

    fn unknown_run(&mut self, built: &Built) -> Value {
        let mut run = IndexMap::new();
        for name in ["loss", "validation"] {
            run.insert(name.to_string(), Value::Num(Num::unknown(Unit::REAL)));
        }
        run.insert("objectives".into(), Value::List(vec![Value::Num(Num::unknown(Unit::REAL))].into()));
        for record in &built.records {
            run.insert(record.name.clone(), Value::Num(Num::unknown(record.unit.clone())));
        }
        Value::Record(run.into())
    }

    fn training_run(
        &mut self,
        engine: &Engine,
        built: &Built,
        history: Vec<Vec<f64>>,
        validation: Vec<f64>,
        done: usize,
    ) -> Value {
        let mut run = IndexMap::new();
        let series = |values: Vec<f64>| Value::Num(Num::array(Unit::REAL, vector(values)));
        let epochs = history.first().map_or(0, Vec::len);
        let total = (0..epochs).map(|e| history.iter().map(|h| h[e]).sum()).collect();
        run.insert("loss".to_string(), series(total));
        run.insert("validation".into(), series(validation));
        run.insert("objectives".into(), Value::List(history.into_iter().map(series).collect::<Vec<_>>().into()));
        for record in &built.records {
            let kept = (done as i64 / record.every).min(record.samples) as usize;
            let array = engine.read_times(record.var, kept);
            run.insert(record.name.clone(), Value::Num(Num::array(record.unit.clone(), array)));
        }
        Value::Record(run.into())
    }

    /// The mean of an expression over data, with what the networks' inputs were last given.
    pub fn mean_over(&mut self, scope: ScopeId, e: ExprId, data: &Dataset, span: Span) -> Option<f64> {
        let num = self.values_over(scope, e, data, span)?;
        match &num.repr {
            Repr::Const(a) => Some(a.sum() / a.len().max(1) as f64),
            _ => None,
        }
    }
}
