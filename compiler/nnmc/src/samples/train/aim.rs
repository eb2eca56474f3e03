//! One aim of an update: the objective, what its rule proposes for each trained quantity, and how far the optimizer goes.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use nnm_graph::ir::{Assign, Binary, NodeId, Op, VarId};
use nnm_kir::ir::{Int, SlotId};
use nnm_syntax::ast::{ExprId, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::super::credit::Credit;
use super::super::optimizer::Optimizing;
use super::super::present::Timeline;
use super::super::target::{Directions, Target, What};
use super::super::{Presentation, slot};
use super::Training;
use super::plan::{Aim, Plan};
use crate::failure::Noted;
use crate::network::FrameId;
use crate::session::Session;
use crate::value::Value;

/// A trained quantity to which a rule gives nothing.
struct Missed {
    target: Target,
    rule: String,
    /// Whether the rule asks for what only an objective gives.
    reads_credit: bool,
    span: Span,
}

/// Which trained quantities something reaches, and which only rules that do not.
#[derive(Default)]
pub(super) struct Reach {
    reached: BTreeSet<VarId>,
    missed: Vec<Missed>,
}

/// What is added to a trained quantity, and by which aims.
pub(super) struct Change {
    pub(super) target: Target,
    pub(super) parts: Vec<NodeId>,
    pub(super) aims: BTreeSet<usize>,
}

impl Change {
    fn of(target: &Target) -> Change {
        Change { target: target.clone(), parts: vec![], aims: BTreeSet::new() }
    }
}

/// Sums over the samples of several batches.
#[derive(Default)]
pub(super) struct Gather {
    /// How many samples there have been.
    samples: Option<NodeId>,
    pub(super) begin: Vec<Assign>,
    pub(super) add: Vec<Assign>,
}

/// What an update gathers from its aims.
#[derive(Default)]
pub(super) struct Update {
    pub(super) changes: IndexMap<VarId, Change>,
    /// New values of what optimizers and rules keep.
    pub(super) assigns: Vec<Assign>,
    /// What is added up over the batches of an update, where it is made of several.
    pub(super) gather: Gather,
    /// Neurons' running values, which advance with each batch.
    pub(super) running: Vec<Assign>,
    pub(super) at: Timeline,
    pub(super) reach: Reach,
}

impl Session<'_> {
    /// Keeps which targets a rule gives a direction other than 0. A rule without feedback leaves some out on purpose.
    fn note_reached(&mut self, credit: &Credit, directions: &Directions, reach: &mut Reach) {
        let wants_none = credit.rule.feedback.is_some_and(|(_, e, _)| {
            let file = &self.modules.get(self.modules.item(credit.kind.item).module).file;
            matches!(&file.expr(e).kind, nnm_syntax::ast::ExprKind::Name(n) if n == "none")
        });
        for (target, direction) in directions {
            if wants_none || !self.is_zero(*direction) {
                reach.reached.insert(target.var);
            } else {
                reach.missed.push(Missed {
                    target: target.clone(),
                    rule: credit.kind.text.to_string(),
                    reads_credit: credit.reads_credit(self),
                    span: credit.span,
                });
            }
        }
    }

    pub(super) fn is_zero(&self, node: NodeId) -> bool {
        let node = self.graph.node(node);
        match &node.op {
            Op::Const(x) => *x == 0.0,
            Op::Tensor(t) => t.0.iter().all(|x| *x == 0.0),
            Op::Broadcast | Op::Reshape | Op::BatchSum => self.is_zero(node.args[0]),
            _ => false,
        }
    }

    /// A trained weight that nothing reaches would stay as it was drawn: an error.
    pub(super) fn check_reach(&mut self, t: &Training, reach: &Reach) -> Option<()> {
        let mut fine = Some(());
        for Missed { target, rule, reads_credit, span } in &reach.missed {
            if reach.reached.contains(&target.var) {
                continue;
            }
            let why = match reads_credit {
                true => "the objective does not reach it",
                false => "what its formula reads is 0 here from the first step to the last",
            };
            let message = format!("`{}` is trained, but `{rule}` gives it nothing: {why}", target.path);
            let path = target.path.rsplit_once('.').map_or(target.path.as_str(), |(part, _)| part);
            let d = Diagnostic::error("E0580", *span, message)
                .label(t.span, "in this training")
                .help(format!("leave it as it is with `freeze {path}`, or name what is trained: `minimize … over …`"));
            self.report(d);
            fine = None;
        }
        fine
    }

    /// Adds what one aim changes to what the update gathers; its value is the mean objective.
    pub(super) fn build_aim(
        &mut self,
        t: &Training,
        plan: &Plan,
        p: &mut Presentation,
        number: usize,
        update: &mut Update,
    ) -> Option<Option<NodeId>> {
        let aim = &plan.aims[number];
        let frame = self.aim_frame(t, number)?;
        let mut credit = Credit::new(&aim.rule.0, &aim.rule.1, p.scope, aim.span);
        self.set_feedback(frame, &credit)?;
        let objective = match aim.objective {
            Some(e) => {
                if t.world.is_some() {
                    self.refuse_bare_reward(t, e)?;
                }
                Some(self.objective_node(p, e, aim.maximize)?)
            }
            None => None,
        };
        self.reach_ports(frame);
        credit.objective = objective;
        let over = aim.over.as_ref().map(|list| list.iter().map(|e| self.eval(t.scope, *e)).collect::<Vec<_>>());
        let targets = self.targets(frame, over.as_deref(), aim.span)?;
        // Where the network is called on tensors, it is evaluated once, whatever its own presentation.
        let (called, mut targets): (Vec<Target>, Vec<Target>) =
            targets.into_iter().partition(|t| t.frame().is_some_and(|f| self.frame(f).fresh));
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
        let (directions, loss) = self.aim_directions(t, p, &mut credit, targets, &called, &mut update.at)?;
        self.note_reached(&credit, &directions, &mut update.reach);
        if self.mode == crate::session::Mode::Check {
            let net = self.net(t.net).path.clone();
            self.explain_aim(&net, &credit, &directions);
        }
        let directions = match plan.accumulate {
            1 => directions,
            _ => self.over_batches(directions, update)?,
        };
        let directions = match plan.clip {
            Some(limit) => self.clipped(directions, limit)?,
            None => directions,
        };
        self.add_changes(p, aim, number, &directions, update)?;
        self.rule_nexts(&credit, &directions, update)?;
        match objective {
            _ if loss.is_some() => Some(loss),
            Some(node) => self.batch_mean_of(node).map(Some),
            None => Some(None),
        }
    }

    /// The directions of all batches of an update: means over their samples.
    fn over_batches(&mut self, directions: Directions, update: &mut Update) -> Option<Directions> {
        let mut out = vec![];
        for (target, direction) in directions {
            let mean = self.gathered_mean(&format!("{}@gathered", target.path), direction, &mut update.gather)?;
            out.push((target, mean));
        }
        Some(out)
    }

    /// The mean over the samples of all batches of an update of what is a mean over those of one.
    pub(super) fn gathered_mean(&mut self, name: &str, mean: NodeId, gather: &mut Gather) -> Option<NodeId> {
        let count = self.graph.count(Int::Slot(SlotId(slot("batch"))));
        let samples = match gather.samples {
            Some(samples) => samples,
            None => self.gathered_sum("samples@gathered", count, gather)?,
        };
        gather.samples = Some(samples);
        let weighted = self.graph.binary(Binary::Mul, count, mean).noted(self)?;
        let sum = self.gathered_sum(name, weighted, gather)?;
        self.graph.binary(Binary::Div, sum, samples).noted(self)
    }

    fn gathered_sum(&mut self, name: &str, part: NodeId, gather: &mut Gather) -> Option<NodeId> {
        let shape = self.graph.shape(part).to_vec();
        let var = self.work_var(name, &shape, false, None);
        gather.begin.push(self.zeroed(var));
        gather.add.push(self.added_to(var, part)?);
        Some(self.read_whole(var))
    }

    /// How far the optimizer goes along each direction.
    fn add_changes(
        &mut self,
        p: &Presentation,
        aim: &Aim,
        number: usize,
        directions: &Directions,
        update: &mut Update,
    ) -> Option<()> {
        for (target, direction) in directions {
            let mut own = vec![];
            let change = match &aim.optimizer {
                Some((kind, optimizer)) => {
                    let optimizing = Optimizing { kind, optimizer, number, scope: p.scope };
                    self.optimized(&optimizing, target, *direction, &mut own)?
                }
                None => *direction,
            };
            let change = self.gated(aim, p, change, &mut own)?;
            update.assigns.extend(own);
            let changes = update.changes.entry(target.var).or_insert_with(|| Change::of(target));
            changes.parts.push(change);
            changes.aims.insert(number);
        }
        Some(())
    }

    /// What the rule proposes for each target; in a world also the mean objective of a step.
    fn aim_directions(
        &mut self,
        t: &Training,
        p: &mut Presentation,
        credit: &mut Credit,
        targets: Vec<Target>,
        called: &[Target],
        at: &mut Timeline,
    ) -> Option<(Directions, Option<NodeId>)> {
        if t.world.is_some() {
            return self.directions_in_world(t, p, credit, targets, called, at);
        }
        let directions = self.rule_directions(p, credit, &targets, at)?;
        let always = self.graph.constant(1.0);
        Some((self.with_credit_elsewhere(t, p, credit, always, directions, called)?, None))
    }

    /// Adds what else an objective says about the weights: where the network is called on tensors the rule acts as in
    /// its own presentation, and what is said about a weight itself (a penalty, another network made of it) is
    /// differentiated. `counts` is how much the objective counts in each sample.
    pub(super) fn with_credit_elsewhere(
        &mut self,
        t: &Training,
        p: &Presentation,
        credit: &Credit,
        counts: NodeId,
        mut directions: Directions,
        called: &[Target],
    ) -> Option<Directions> {
        let Some(objective) = credit.objective.filter(|_| credit.reads_credit(self)) else {
            return self.merged(credit, directions);
        };
        for extra in called {
            if directions.iter().any(|(t, _)| t.var == extra.var) {
                let direction = self.proposed(credit, extra)?;
                directions.push((extra.clone(), direction));
            }
        }
        let mut directions = self.merged(credit, directions)?;
        // A pass with other weights has met what the objective says of them.
        let other_weights =
            |s: &nnm_syntax::ast::Stmt| matches!(&s.kind, StmtKind::Assign { place, .. } if place.len() == 1);
        if credit.rule.perturbed.iter().any(|(_, block)| block.iter().any(other_weights)) {
            return Some(directions);
        }
        let said = self.said_of_weights(t, p, (objective, counts), &directions, credit.span)?;
        for ((_, direction), said) in directions.iter_mut().zip(said) {
            if let Some(said) = said {
                *direction = self.graph.binary(Binary::Sub, *direction, said).noted(self)?;
            }
        }
        Some(directions)
    }

    /// The mean derivative of an objective by the weights of connections, but not through what they transmit.
    fn said_of_weights(
        &mut self,
        t: &Training,
        p: &Presentation,
        (objective, seed): (NodeId, NodeId),
        directions: &Directions,
        span: Span,
    ) -> Option<Vec<Option<NodeId>>> {
        let mut own = vec![t.net];
        own.extend(self.entries(t.net).iter().map(|e| e.net));
        let program = self.program.as_ref()?;
        let ports = program.port_nodes.iter().filter(|((f, ..), _)| own.contains(&self.frame(*f).net));
        let mut wrt: Vec<NodeId> = ports.map(|(_, node)| *node).collect();
        if p.steps > 0 {
            wrt.extend(program.reductions.iter().map(|r| r.read));
        }
        let stops = wrt.len();
        wrt.extend(directions.iter().map(|(t, _)| t.read));
        let found = match nnm_graph::grad(&mut self.graph, &[(objective, seed)], &wrt) {
            Ok(found) => found,
            Err(error) => {
                self.no_derivative(span, &error);
                return None;
            }
        };
        let batched = self.graph.node(objective).batched || self.graph.node(seed).batched;
        let mut out = vec![];
        for ((target, _), slope) in directions.iter().zip(&found[stops..]) {
            out.push(match slope {
                // The whole derivative is what a plain weight's rule has seen already.
                _ if target.what == What::Plain => None,
                Some(sum) if batched => {
                    let count = self.graph.count(Int::Slot(SlotId(slot("batch"))));
                    Some(self.graph.binary(Binary::Div, *sum, count).noted(self)?)
                }
                slope => *slope,
            });
        }
        Some(out)
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
    pub fn reach_ports(&mut self, frame: FrameId) {
        self.reach_own_ports(frame);
        // Parts are met on the way, and parts of theirs.
        let mut done = 0;
        while let Some(run) = self.program.as_ref().and_then(|p| p.runs.get(done)).copied() {
            self.reach_own_ports(run);
            done += 1;
        }
    }

    fn reach_own_ports(&mut self, frame: FrameId) {
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
        if x.num.stepwise && self.program.as_ref()?.world.is_none() {
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

    /// `next` values of a rule's own running tensors, which see the new weights as `next w`.
    fn rule_nexts(&mut self, credit: &Credit, directions: &Directions, update: &mut Update) -> Option<()> {
        if credit.rule.dynamics.nexts.is_empty() {
            return Some(());
        }
        for (target, _) in directions {
            let mut new = target.read;
            for change in update.changes.get(&target.var).map(|c| c.parts.clone()).unwrap_or_default() {
                new = self.graph.binary(Binary::Add, new, change).noted(self)?;
            }
            self.running_of(credit, target, new, &mut update.assigns)?;
        }
        Some(())
    }
}
