//! Learning from episodes: what each step proposes, gone through backwards, so that every step knows what came after it.

use std::collections::BTreeMap;

use nnm_graph::ir::{Assign, Binary, NodeId, Place, Stmt, VarId};
use nnm_kir::ir::Int;
use nnm_syntax::ast::{ExprId, ExprKind, File};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::super::credit::Credit;
use super::super::present::Timeline;
use super::super::target::{Directions, Target};
use super::super::{Presentation, TIME, World};
use super::Training;
use crate::failure::Noted;
use crate::session::Session;

/// What a step gives on the way back: what flows into the states before it, and what is added up.
struct Back {
    flows: Vec<(VarId, NodeId)>,
    sums: Vec<(VarId, NodeId)>,
}

impl Session<'_> {
    /// Directions of a network that acts in a world, and the mean objective of a step.
    pub(super) fn directions_in_world(
        &mut self,
        t: &Training,
        p: &mut Presentation,
        credit: &mut Credit,
        targets: Vec<Target>,
        called: &[Target],
        at: &mut Timeline,
    ) -> Option<(Directions, Option<NodeId>)> {
        self.refuse_passes(credit)?;
        self.start_timeline(p, at)?;
        self.passes(p, credit, &targets, at)?;
        let world = self.program.as_ref()?.world.clone()?;
        if !credit.rule.dynamics.states.is_empty() {
            return self.directions_on_the_way(t, p, credit, targets, called, at);
        }
        let is_total = |a: &Assign| world.totals.iter().any(|t| t.to == a.to);
        let stepped: Vec<Assign> = at.new.iter().filter(|a| !is_total(a)).cloned().collect();
        let kept = self.kept_states(p, &stepped);
        // Credit flows back through the network's states, not through the world.
        let is_world = |a: &Assign| world.states.iter().any(|w| w.to == a.to);
        let own: Vec<Assign> = stepped.into_iter().filter(|a| !is_world(a)).collect();
        let objective: Vec<_> = credit.objective.iter().map(|node| (*node, world.alive)).collect();
        let flows = self.flows(p, &own, &objective, &[], credit.span)?;
        let score = self.score_flows(p, credit, &own)?;
        self.program.as_mut()?.seeds = Some(flows.seeds);
        let directions = self.proposed_in_step(t, p, credit, targets, called)?;
        let program = self.program.as_mut()?;
        (program.seeds, program.score_seeds) = (None, None);
        // Formulas, too, may look ahead.
        let world = program.world.clone()?;
        let mut back = Back { flows: flows.into.into_iter().chain(score.into).collect(), sums: vec![] };
        let out = self.totals_of(directions, &mut back.sums);
        let loss = self.loss_of_steps(credit.objective, &world, &mut back.sums)?;
        self.go_back(p, &world, &kept, back, at)?;
        Some((out, loss))
    }

    /// Directions by a rule with states: what each step proposes while the episode goes on, from what it knows then. Of
    /// an objective that is this step's value; credit goes back through no state.
    fn directions_on_the_way(
        &mut self,
        t: &Training,
        p: &Presentation,
        credit: &Credit,
        targets: Vec<Target>,
        called: &[Target],
        at: &mut Timeline,
    ) -> Option<(Directions, Option<NodeId>)> {
        let world = self.program.as_ref()?.world.clone()?;
        let one = self.graph.constant(1.0);
        self.program.as_mut()?.seeds = Some(credit.objective.iter().map(|node| (*node, one)).collect());
        let mut directions = self.proposed_in_step(t, p, credit, targets, called)?;
        self.program.as_mut()?.seeds = None;
        let news: BTreeMap<VarId, NodeId> = at.step.iter().map(|a| (a.to, a.value)).collect();
        for (_, direction) in &mut directions {
            self.refuse_the_future(credit, *direction)?;
            let new = |var, place: &Place| if *place == Place::Whole { news.get(&var).copied() } else { None };
            *direction = nnm_graph::substitute_reads(&mut self.graph, *direction, &new).noted(self)?;
        }
        let mut sums = vec![];
        let out = self.totals_of(directions, &mut sums);
        let loss = match credit.objective {
            Some(objective) if self.is_to_come(objective) => None,
            objective => self.loss_of_steps(objective, &world, &mut sums)?,
        };
        for (total, step) in sums {
            at.begin.push(self.zeroed(total));
            at.step.push(self.added_to(total, step)?);
        }
        Some((out, loss))
    }

    /// What a rule proposes for each target in a step, as far as the episode goes on.
    fn proposed_in_step(
        &mut self,
        t: &Training,
        p: &Presentation,
        credit: &Credit,
        targets: Vec<Target>,
        called: &[Target],
    ) -> Option<Directions> {
        let alive = self.program.as_ref()?.world.as_ref()?.alive;
        let proposed: Option<Vec<NodeId>> = targets.iter().map(|target| self.proposed(credit, target)).collect();
        let directions = targets.into_iter().zip(proposed?).collect();
        self.with_credit_elsewhere(t, p, credit, alive, directions, called)
    }

    /// Storage in which the directions of all steps are added up; `sums` is what each step adds.
    fn totals_of(&mut self, directions: Directions, sums: &mut Vec<(VarId, NodeId)>) -> Directions {
        let mut out = vec![];
        for (target, direction) in directions {
            let total = self.work_var(&format!("{}@direction", target.path), &target.shape, false, None);
            sums.push((total, direction));
            out.push((target, self.read_whole(total)));
        }
        out
    }

    /// A total with one more part.
    pub(super) fn added_to(&mut self, total: VarId, part: NodeId) -> Option<Assign> {
        let sum = self.read_whole(total);
        let value = self.graph.binary(Binary::Add, sum, part).noted(self)?;
        Some(Assign { to: total, place: Place::Whole, add: false, value })
    }

    /// Whether a value is known only once later steps have been made.
    fn is_to_come(&self, node: NodeId) -> bool {
        let sums = self.program.iter().filter_map(|p| p.world.as_ref()).flat_map(|w| &w.sums);
        let reads: Vec<NodeId> = sums.map(|s| s.read).collect();
        nnm_graph::depends_on(&self.graph, node, &|id, _| reads.contains(&id))
    }

    /// A rule with states acts on the way: what is still to come is not known there.
    fn refuse_the_future(&mut self, credit: &Credit, direction: NodeId) -> Option<()> {
        if !self.is_to_come(direction) {
            return Some(());
        }
        let message =
            format!("`{}` has states, which go forwards, but what it reads is still to come", credit.kind.text);
        let d = Diagnostic::error("E0597", credit.span, message)
            .at("`discounted` and `following` are known only after the episode")
            .help("a step knows its own reward, `discounted(reward, 0)`; or take a rule without states");
        self.report(d);
        None
    }

    /// The loop that goes through the steps backwards and adds up.
    fn go_back(
        &mut self,
        p: &Presentation,
        world: &World,
        kept: &[(VarId, VarId)],
        back: Back,
        at: &mut Timeline,
    ) -> Option<()> {
        let Back { flows, sums } = back;
        let (mut begin, mut assigns) = (vec![], vec![]);
        for (flow, value) in flows {
            begin.push(self.zeroed(flow));
            let value = self.at_kept(value, kept)?;
            assigns.push(Assign { to: flow, place: Place::Whole, add: false, value });
        }
        for (total, step) in sums {
            begin.push(self.zeroed(total));
            let step = self.at_kept(step, kept)?;
            assigns.push(self.added_to(total, step)?);
        }
        let (to_come, seen) = self.sums_to_come(world, kept, &mut begin)?;
        assigns.extend(seen);
        at.step.extend(self.keeps(kept));
        let body = vec![
            Stmt::Stage { about: "what is still to come".into(), assigns: to_come },
            Stmt::Stage { about: "step backwards".into(), assigns },
        ];
        at.after.push(Stmt::Stage { about: "back from the end".into(), assigns: begin });
        at.after.push(Stmt::For { index: TIME, from: Int::Const(0), to: Int::Const(p.steps), down: true, body });
        Some(())
    }

    /// What is still to come, a step further back: sums with this step in them, and what the step leaves for the one
    /// before it.
    fn sums_to_come(
        &mut self,
        world: &World,
        kept: &[(VarId, VarId)],
        begin: &mut Vec<Assign>,
    ) -> Option<(Vec<Assign>, Vec<Assign>)> {
        let (mut to_come, mut seen) = (vec![], vec![]);
        for sum in &world.sums {
            begin.push(self.zeroed(sum.var));
            let assign = |value| Assign { to: sum.var, place: Place::Whole, add: false, value };
            match sum.factor {
                Some(factor) => {
                    let later = self.graph.binary(Binary::Mul, factor, sum.read).noted(self)?;
                    let value = self.graph.binary(Binary::Add, sum.of, later).noted(self)?;
                    to_come.push(assign(self.at_kept(value, kept)?));
                }
                None => seen.push(assign(self.at_kept(sum.of, kept)?)),
            }
        }
        Some((to_come, seen))
    }

    /// A world goes its way once.
    fn refuse_passes(&mut self, credit: &Credit) -> Option<()> {
        let rule = credit.rule;
        let signal = credit.reads(self, &["post.signal", "Post.signal"]);
        let (what, why) = match (rule.settles.first(), rule.perturbed.first()) {
            _ if signal => ("post.signal", "an episode has no presentation after which the objective is known"),
            (Some(_), _) => ("settle", "activities settle for one moment, and acting is a course of them"),
            (_, Some(_)) => ("perturbed", "another pass would be another course of the world, which goes its way once"),
            _ => return Some(()),
        };
        let message = format!(
            "`{}` uses `{what}`, which has no meaning while the network acts in an environment",
            credit.kind.text
        );
        let d = Diagnostic::error("E0595", credit.span, message)
            .at(why)
            .help("rules of `score`, of errors and of traces act in environments: `Reinforce`, `Backprop` …");
        self.report(d);
        None
    }

    pub(super) fn zeroed(&mut self, var: VarId) -> Assign {
        let shape = self.graph.var(var).shape.clone();
        let value = self.graph.filled(0.0, &shape);
        Assign { to: var, place: Place::Whole, add: false, value }
    }

    /// The mean of the objective over the steps of all episodes.
    fn loss_of_steps(
        &mut self,
        objective: Option<NodeId>,
        world: &World,
        sums: &mut Vec<(VarId, NodeId)>,
    ) -> Option<Option<NodeId>> {
        let Some(objective) = objective else { return Some(None) };
        let here = self.graph.binary(Binary::Mul, world.alive, objective).noted(self)?;
        let mut ends = vec![];
        for (name, node) in [("objective", here), ("steps", world.alive)] {
            let total = self.work_var(&format!("{name} of all steps"), &[], false, None);
            let value = self.graph.batch_sum(node).noted(self)?;
            sums.push((total, value));
            ends.push(self.read_whole(total));
        }
        let one = self.graph.constant(1.0);
        let steps = self.graph.binary(Binary::Max, ends[1], one).noted(self)?;
        self.graph.binary(Binary::Div, ends[0], steps).noted(self).map(Some)
    }

    /// A bare `reward` in an objective is that of the step before, which no action of this step can change.
    pub(super) fn refuse_bare_reward(&mut self, t: &Training, objective: ExprId) -> Option<()> {
        let file = &self.modules.get(self.module_of(t.scope)).file;
        let Some(span) = bare_reward(file, objective) else { return Some(()) };
        let d = Diagnostic::error(
            "E0592",
            span,
            "`reward` is that of the step before: an objective takes what follows from now on",
        )
        .help("`discounted(reward, 0.99)`, or `discounted(reward, 0)` for this step's alone");
        self.report(d);
        None
    }
}

fn bare_reward(file: &File, expr: ExprId) -> Option<Span> {
    let e = file.expr(expr);
    match &e.kind {
        ExprKind::Name(name) if name == "reward" => Some(e.span),
        ExprKind::Call { callee, .. } if matches!(&file.expr(*callee).kind, ExprKind::Name(n) if n == "discounted" || n == "following") => {
            None
        }
        kind => crate::eval::children(kind).into_iter().find_map(|child| bare_reward(file, child)),
    }
}
