//! Learning from episodes: what each step proposes, gone through backwards, so that every step knows what came after it.

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
#[derive(Default)]
struct Back {
    begin: Vec<Assign>,
    flows: Vec<(VarId, NodeId)>,
    sums: Vec<(VarId, NodeId)>,
}

impl Session<'_> {
    /// Directions of a network that acts in a world, and the mean objective of a step.
    pub(super) fn directions_in_world(
        &mut self,
        t: &Training,
        p: &mut Presentation,
        credit: &Credit,
        targets: Vec<Target>,
        called: &[Target],
        at: &mut Timeline,
    ) -> Option<(Directions, Option<NodeId>)> {
        self.refuse_passes(credit)?;
        self.start_timeline(p, at)?;
        let world = self.program.as_ref()?.world.clone()?;
        let is_total = |a: &Assign| world.totals.iter().any(|t| t.to == a.to);
        let stepped: Vec<Assign> = at.new.iter().filter(|a| !is_total(a)).cloned().collect();
        let kept = self.kept_states(p, &stepped);
        let mut back = Back::default();
        let seeds = self.seeds_of_step(p, credit, &world, &stepped, &mut back)?;
        self.program.as_mut()?.seeds = Some(seeds);
        let proposed: Option<Vec<NodeId>> = targets.iter().map(|target| self.proposed(credit, target)).collect();
        let directions = targets.into_iter().zip(proposed?).collect();
        let directions = self.with_credit_elsewhere(t, p, credit, world.alive, directions, called)?;
        self.program.as_mut()?.seeds = None;
        let mut out = vec![];
        for (target, direction) in directions {
            let total = self.work_var(&format!("{}@direction", target.path), &target.shape, false, None);
            back.sums.push((total, direction));
            out.push((target, self.read_whole(total)));
        }
        let loss = self.loss_of_steps(credit.objective, &world, &mut back.sums)?;
        self.go_back(p, &world, &kept, back, at)?;
        Some((out, loss))
    }

    /// Where derivatives of a step begin: at its objective, and at the network's states, by which the steps after it come.
    /// Credit flows back through these, not through the world.
    fn seeds_of_step(
        &mut self,
        p: &Presentation,
        credit: &Credit,
        world: &World,
        stepped: &[Assign],
        back: &mut Back,
    ) -> Option<Vec<(NodeId, NodeId)>> {
        let is_world = |a: &Assign| world.states.iter().any(|w| w.to == a.to);
        let own: Vec<&Assign> = stepped.iter().filter(|a| !is_world(a)).collect();
        let (mut seeds, mut flows) = (vec![], vec![]);
        for state in &own {
            let var = self.graph.var(state.to).clone();
            let flow = self.work_var(&format!("{}@back", var.name), &var.shape, true, None);
            seeds.push((state.value, self.flow_back(p, flow)?));
            back.begin.push(self.zeroed(flow));
            flows.push(flow);
        }
        if let Some(objective) = credit.objective {
            seeds.push((objective, world.alive));
        }
        let reads: Vec<NodeId> = own.iter().map(|s| self.read_whole(s.to)).collect();
        let with_seeds: Vec<_> = seeds.iter().map(|(of, by)| (*of, Some(*by))).collect();
        let flowing = self.derivatives(&with_seeds, &reads, credit.span)?;
        back.flows = flows.into_iter().zip(flowing).collect();
        Some(seeds)
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
        let Back { mut begin, flows, sums } = back;
        let mut assigns = vec![];
        for (flow, value) in flows {
            let value = self.at_kept(value, kept)?;
            assigns.push(Assign { to: flow, place: Place::Whole, add: false, value });
        }
        for (total, step) in sums {
            begin.push(self.zeroed(total));
            let step = self.at_kept(step, kept)?;
            let sum = self.read_whole(total);
            let value = self.graph.binary(Binary::Add, sum, step).noted(self)?;
            assigns.push(Assign { to: total, place: Place::Whole, add: false, value });
        }
        let to_come = self.sums_to_come(world, kept, &mut begin)?;
        at.step.extend(self.keeps(kept));
        let body = vec![
            Stmt::Stage { about: "what is still to come".into(), assigns: to_come },
            Stmt::Stage { about: "step backwards".into(), assigns },
        ];
        at.after.push(Stmt::Stage { about: "back from the end".into(), assigns: begin });
        at.after.push(Stmt::For { index: TIME, from: Int::Const(0), to: Int::Const(p.steps), down: true, body });
        Some(())
    }

    /// What is still to come, a step further back.
    fn sums_to_come(&mut self, world: &World, kept: &[(VarId, VarId)], begin: &mut Vec<Assign>) -> Option<Vec<Assign>> {
        let mut to_come = vec![];
        for sum in &world.sums {
            begin.push(self.zeroed(sum.var));
            let later = self.graph.binary(Binary::Mul, sum.factor, sum.read).noted(self)?;
            let value = self.graph.binary(Binary::Add, sum.of, later).noted(self)?;
            let value = self.at_kept(value, kept)?;
            to_come.push(Assign { to: sum.var, place: Place::Whole, add: false, value });
        }
        Some(to_come)
    }

    /// A rule that needs passes of its own cannot have them in a world: it goes its way once.
    fn refuse_passes(&mut self, credit: &Credit) -> Option<()> {
        let rule = credit.rule;
        let what =
            match (rule.settles.first(), rule.perturbed.first(), rule.noises.first(), rule.dynamics.states.first()) {
                (Some(_), ..) => "settle",
                (_, Some(_), ..) => "perturbed",
                (_, _, Some(_), _) => "noise",
                (_, _, _, Some(_)) => "state",
                _ => return Some(()),
            };
        let message = format!(
            "`{}` uses `{what}`, which has no meaning while the network acts in an environment",
            credit.kind.text
        );
        let d = Diagnostic::error("E0595", credit.span, message)
            .help("rules of `score` and of errors act in environments: `Reinforce`, `Backprop` …");
        self.report(d);
        None
    }

    fn zeroed(&mut self, var: VarId) -> Assign {
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
        ExprKind::Call { callee, .. } if matches!(&file.expr(*callee).kind, ExprKind::Name(n) if n == "discounted") => {
            None
        }
        kind => crate::eval::children(kind).into_iter().find_map(|child| bare_reward(file, child)),
    }
}
