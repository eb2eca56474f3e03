//! The program of one update: all aims see the same weights, their changes are added, then bounds act.

use nnm_graph::ir::{Assign, Binary, NodeId, Place, Program as GraphProgram, Reduce, Stmt, Unary, VarId};
use nnm_kir::ir::{Int, SlotId};
use nnm_syntax::ast;
use nnm_syntax::diag::Diagnostic;

use super::super::credit::Credit;
use super::super::evaluate::rounds_loop;
use super::super::meeting::Meeting;
use super::super::target::{Target, What};
use super::super::{Presentation, ROUND, slot};
use super::Training;
use super::aim::{Change, Gather, Update};
use super::plan::Plan;
use crate::failure::Noted;
use crate::network::FrameId;
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Value};

/// A recorded value of a training.
pub(super) struct TrainRecord {
    pub(super) name: String,
    pub(super) var: VarId,
    pub(super) unit: Unit,
    pub(super) every: i64,
    pub(super) samples: i64,
}

/// The program of an update, with what is read from it.
pub(super) struct Built {
    pub(super) program: GraphProgram,
    /// The objectives' means of each update, then those of their terms.
    pub(super) losses: Vec<VarId>,
    pub(super) terms: Vec<String>,
    pub(super) stop: Option<VarId>,
    pub(super) records: Vec<TrainRecord>,
}

impl Session<'_> {
    /// The program of one update.
    pub(super) fn build_update(
        &mut self,
        t: &Training,
        plan: &Plan,
        p: &mut Presentation,
        per_epoch: usize,
        updates: usize,
    ) -> Option<Built> {
        let mut losses = vec![];
        let mut update = Update::default();
        self.settle_latents(p, &plan.settles, &mut update.at)?;
        for number in 0..plan.aims.len() {
            losses.extend(self.build_aim(t, plan, p, number, &mut update)?);
            if number == 0 {
                self.running_assigns(&mut update.running)?;
            }
        }
        let terms = self.term_means(p)?;
        losses.extend(terms.iter().map(|(_, mean)| *mean));
        if plan.accumulate > 1 {
            for (k, loss) in losses.iter_mut().enumerate() {
                *loss = self.gathered_mean(&format!("loss {k}@gathered"), *loss, &mut update.gather)?;
            }
        }
        let Update { changes, mut assigns, running, gather, at, reach } = update;
        self.check_reach(t, &reach)?;
        for change in changes.values() {
            let new = self.new_weights(t, plan, p, change)?;
            assigns.push(Assign { to: change.target.var, place: Place::Whole, add: false, value: new });
        }
        let mut made = vec![];
        let loss_vars = self.update_stage(&losses, per_epoch, assigns, &mut made);
        let stop = self.after_update(t, plan, p, &mut made)?;
        let mut records = self.train_records(plan, p, updates, &mut made)?;
        records.extend(self.returns(updates, &mut made)?);
        let mut body = self.timeline_stmts(p, at);
        body.extend(update_of_batches(plan, gather, running, made));
        let mut round = self.fetches(p, &body);
        round.extend(body);
        let name = format!("train {}", self.net(t.net).path);
        let program = self.samples_program(&name, vec![rounds_loop(round)], p.batch);
        let terms = terms.into_iter().map(|(name, _)| name).collect();
        Some(Built { program, losses: loss_vars, terms, stop, records })
    }

    /// Weights with all that is added to them, as rules and constraints hold them.
    fn new_weights(&mut self, t: &Training, plan: &Plan, p: &Presentation, change: &Change) -> Option<NodeId> {
        let mut new = change.target.read;
        for part in &change.parts {
            new = self.graph.binary(Binary::Add, new, *part).noted(self)?;
        }
        let new = self.held(plan, p, change, new)?;
        self.constrained_to(t, plan, &change.target, new)
    }

    /// The update itself, with the objectives' means; these must be finite.
    fn update_stage(
        &mut self,
        losses: &[NodeId],
        per_epoch: usize,
        mut assigns: Vec<Assign>,
        body: &mut Vec<Stmt>,
    ) -> Vec<VarId> {
        let place = Int::Rem(Box::new(Int::Loop(ROUND)), Box::new(Int::Const(per_epoch as i64)));
        let mut vars = vec![];
        for (k, loss) in losses.iter().enumerate() {
            let var = self.work_var(&format!("loss {k}"), &[], false, Some(per_epoch));
            assigns.push(Assign { to: var, place: Place::Time(place.clone()), add: false, value: *loss });
            vars.push(var);
        }
        body.push(Stmt::Stage { about: "update".into(), assigns });
        for (k, var) in vars.iter().enumerate() {
            body.push(Stmt::CheckFinite { var: *var, place: Place::Time(place.clone()), code: k as i64 });
        }
        vars
    }

    /// `epoch`, `n`, `progress` of a training, in every expression of it.
    pub fn bind_schedule(&mut self, scope: ScopeId, per_epoch: usize, updates: usize) {
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

    /// The means over the batch of the terms of which objectives are made, by name.
    fn term_means(&mut self, p: &Presentation) -> Option<Vec<(String, NodeId)>> {
        let terms = self.program.as_mut().map(|x| std::mem::take(&mut x.terms)).unwrap_or_default();
        let mut out: Vec<(String, NodeId)> = vec![];
        for (name, num) in terms {
            if num.stepwise && p.steps > 0 {
                continue;
            }
            let node = self.lift(&num);
            let mean = self.batch_mean_of(node)?;
            let again = out.iter().filter(|(n, _)| n.trim_end_matches(|c: char| c.is_ascii_digit()) == name).count();
            let name = if again == 0 { name } else { format!("{name}{}", again + 1) };
            out.push((name, mean));
        }
        Some(out)
    }

    /// Each aim sees the network through a frame of its own: rules differ in what flows back.
    pub(super) fn aim_frame(&mut self, t: &Training, number: usize) -> Option<FrameId> {
        if number == 0 {
            return Some(self.frame_of(t.net));
        }
        let first = self.frame_of(t.net);
        let inputs = self.frame(first).inputs.clone();
        let program = self.program.as_mut()?;
        program.frames.shift_remove(&t.net);
        program.feedback.clear();
        program.runs.clear();
        let frame = self.frame_of(t.net);
        self.frame_mut(frame).inputs = inputs;
        Some(frame)
    }

    /// `bound w in a .. b` and `normalize` of the rules that act on a connection's weights.
    fn held(&mut self, plan: &Plan, p: &Presentation, change: &Change, new: NodeId) -> Option<NodeId> {
        let What::Weight(link) = change.target.what else { return Some(new) };
        let mut out = new;
        for aim in change.aims.iter().map(|number| &plan.aims[*number]) {
            let credit = Credit::new(&aim.rule.0, &aim.rule.1, p.scope, aim.span);
            if let Some(bound) = aim.rule.1.bound {
                out = self.bounded(&credit, &change.target, bound, out)?;
            }
            if aim.rule.1.normalize {
                let meeting = self.meeting(link)?;
                out = self.sums_held(&meeting, change.target.read, out)?;
            }
        }
        Some(out)
    }

    fn bounded(&mut self, credit: &Credit, target: &Target, bound: ast::ExprId, new: NodeId) -> Option<NodeId> {
        let scope = self.formula_scope(self.modules.item(credit.kind.item).module, credit.scope);
        self.bind(scope, "w", Value::Num(Num::node(target.unit.clone(), target.read)));
        self.bind_rule_params(scope, credit)?;
        let (_, expr) = self.bare_expr(scope, bound);
        let ast::ExprKind::Compare { rest, .. } = &expr.kind else { return Some(new) };
        let Some((_, range)) = rest.first() else { return Some(new) };
        let Value::Range(low, high) = self.eval(scope, *range) else { return Some(new) };
        self.check_bound([&low, &high], expr.span, credit.span)?;
        let mut out = new;
        for (end, op) in [(low, Binary::Max), (high, Binary::Min)] {
            let Some(end) = end else { continue };
            let end = self.lift(&end);
            out = self.graph.binary(op, out, end).noted(self)?;
        }
        Some(out)
    }

    /// New weights whose sum at each target is that of the old ones.
    fn sums_held(&mut self, meeting: &Meeting, old: NodeId, new: NodeId) -> Option<NodeId> {
        let g = &mut self.graph;
        let made = (|| {
            let (before, after) = (meeting.sum_at_targets(g, old)?, meeting.sum_at_targets(g, new)?);
            let ratio = g.binary(Binary::Div, before, after)?;
            let one = g.constant(1.0);
            let factor = g.select(after, ratio, one)?;
            g.binary(Binary::Mul, factor, new)
        })();
        made.noted(self)
    }

    /// The norms that parts of a weight are held to.
    fn constrained_to(&mut self, t: &Training, plan: &Plan, target: &Target, new: NodeId) -> Option<NodeId> {
        let mut out = new;
        for c in &plan.constraints {
            let value = self.eval(t.scope, c.target);
            let frame = self.frame_of(t.net);
            let named = self.targets(frame, Some(&[value]), c.span)?;
            // Of a connection that is its weights; a bias is constrained where it is named itself.
            if !named.iter().any(|n| n.var == target.var && !n.is_bias()) {
                continue;
            }
            let norm = self.known_quantity(t.scope, c.norm, "a norm", &target.unit)?;
            out = match self.of_norm(out, c.axis, norm) {
                Ok(node) => node,
                Err(error) => {
                    let d = Diagnostic::error("E0590", c.span, format!("this weight has no such parts: {error}"));
                    self.report(d.help("`columns(…)` and `rows(…)` are of a matrix"));
                    return None;
                }
            };
        }
        Some(out)
    }

    fn of_norm(&mut self, node: NodeId, axis: Option<usize>, norm: f64) -> nnm_graph::Built {
        let g = &mut self.graph;
        let shape = g.shape(node).to_vec();
        let square = g.binary(Binary::Mul, node, node)?;
        let sum = match axis {
            Some(axis) => g.reduce(Reduce::Sum, square, &[axis])?,
            None => g.reduce_all(Reduce::Sum, square)?,
        };
        let mut kept = shape.clone();
        match axis {
            Some(axis) => kept[axis] = 1,
            None => kept.clear(),
        }
        let length = g.unary(Unary::Sqrt, sum)?;
        let tiny = g.constant(f64::from(f32::MIN_POSITIVE));
        let length = g.binary(Binary::Max, length, tiny)?;
        let wanted = g.constant(norm);
        let factor = g.binary(Binary::Div, wanted, length)?;
        let factor = g.reshape(factor, &kept)?;
        let factor = g.broadcast_to(factor, &shape)?;
        g.binary(Binary::Mul, factor, node)
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

    /// The mean return of an update's episodes.
    fn returns(&mut self, updates: usize, body: &mut Vec<Stmt>) -> Option<Option<TrainRecord>> {
        let Some(world) = &self.program.as_ref()?.world else { return Some(None) };
        let earned = self.read_whole(world.earned);
        let mean = self.batch_mean_of(earned)?;
        let var = self.work_var("episode_return of an update", &[], false, Some(updates.max(1)));
        let assign = Assign { to: var, place: Place::Time(Int::Loop(ROUND)), add: false, value: mean };
        body.push(Stmt::Stage { about: "episode_return".into(), assigns: vec![assign] });
        let (name, unit) = ("episode_return".to_string(), Unit::REAL);
        Some(Some(TrainRecord { name, var, unit, every: 1, samples: updates as i64 }))
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
}

/// An update after each batch, or after several, whose directions are gathered.
fn update_of_batches(plan: &Plan, gather: Gather, running: Vec<Assign>, mut made: Vec<Stmt>) -> Vec<Stmt> {
    if plan.accumulate == 1 {
        if let Some(Stmt::Stage { assigns, .. }) = made.first_mut() {
            assigns.extend(running);
        }
        return made;
    }
    let when = |name: &str, body| Stmt::IfEqual { a: Int::Slot(SlotId(slot(name))), b: Int::Const(1), body };
    let begin = Stmt::Stage { about: "batches are gathered anew".into(), assigns: gather.begin };
    let assigns = gather.add.into_iter().chain(running).collect();
    let add = Stmt::Stage { about: "a batch is gathered".into(), assigns };
    vec![when("fresh", vec![begin]), add, when("due", made)]
}
