//! The direction that a rule proposes for each trained quantity: in one moment, after a presentation, or through its steps.

use std::collections::BTreeMap;

use nnm_graph::ir::{Binary, NodeId, Op, Unary};
use nnm_graph::substitute;
use nnm_kir::ir::{Int, LoopId, SlotId};
use nnm_syntax::span::Span;

use super::credit::Credit;
use super::gradient::{Flows, Sum};
use super::present::Timeline;
use super::target::{Directions, Target};
use super::{Presentation, TIME, slot};
use crate::failure::Noted;
use crate::session::Session;

/// Given the seeds of a step, what the step gives for each target.
type EachStep<'f> = dyn FnMut(&mut Session<'_>, &[(NodeId, NodeId)]) -> Option<Vec<NodeId>> + 'f;

/// What is gone through backwards.
struct Backwards<'b> {
    objective: NodeId,
    targets: &'b [Target],
    /// What else flows back.
    more: Flows,
    span: Span,
}

impl Session<'_> {
    /// What a rule proposes for its targets. Its passes, and the steps backwards, go to the timeline.
    pub fn rule_directions(
        &mut self,
        p: &mut Presentation,
        credit: &mut Credit,
        targets: &[Target],
        at: &mut Timeline,
    ) -> Option<Directions> {
        self.start_timeline(p, at)?;
        self.passes(p, credit, targets, at)?;
        let nodes: Vec<NodeId> = match credit.objective {
            Some(objective) if p.steps > 0 && credit.sums_over_steps(self) => {
                self.directions_over_time(p, credit, objective, targets, at)?
            }
            _ => {
                let proposed = targets.iter().map(|target| self.proposed(credit, target));
                let proposed = proposed.collect::<Option<Vec<_>>>()?;
                proposed.into_iter().map(|node| self.at_last_step(p, node)).collect::<Option<_>>()?
            }
        };
        Some(targets.iter().cloned().zip(nodes).collect())
    }

    /// Minus the objective's own derivative, by no rule: the mean over the batch.
    pub fn descent(
        &mut self,
        p: &mut Presentation,
        objective: NodeId,
        targets: &[Target],
        at: &mut Timeline,
        span: Span,
    ) -> Option<Vec<NodeId>> {
        self.start_timeline(p, at)?;
        let reads: Vec<NodeId> = targets.iter().map(|t| t.read).collect();
        if p.steps == 0 {
            let mean = self.batch_mean_of(objective)?;
            let slopes = self.derivatives(&[(mean, None)], &reads, span)?;
            return slopes.into_iter().map(|slope| self.graph.unary(Unary::Neg, slope).noted(self)).collect();
        }
        let mut sums = |s: &mut Session, seeds: &[(NodeId, NodeId)]| -> Option<Vec<NodeId>> {
            let seeds: Vec<_> = seeds.iter().map(|(a, b)| (*a, Some(*b))).collect();
            let slopes = s.derivatives(&seeds, &reads, span)?;
            let count = s.graph.count(Int::Slot(SlotId(slot("batch"))));
            let mut out = vec![];
            for slope in slopes {
                let slope = s.graph.unary(Unary::Neg, slope).noted(s)?;
                out.push(s.graph.binary(Binary::Div, slope, count).noted(s)?);
            }
            Some(out)
        };
        let back = Backwards { objective, targets, more: Flows::default(), span };
        self.summed_backwards(p, back, at, &mut sums)
    }

    /// A value of the last step, seen after the loop.
    fn at_last_step(&mut self, p: &Presentation, node: NodeId) -> Option<NodeId> {
        if p.steps == 0 {
            return Some(node);
        }
        let last = Int::Const(p.steps - 1);
        let mut late: BTreeMap<NodeId, NodeId> = BTreeMap::new();
        for id in nnm_graph::needed(&self.graph, &[node]) {
            let found = self.graph.node(id).clone();
            let new = match &found.op {
                Op::Count(count) => Some(self.graph.count(with_loop(count, TIME, &last))),
                Op::Draw { draw, key, step, first } => {
                    let place = [with_loop(step, TIME, &last), first.clone()];
                    let mean = found.args.first().copied();
                    Some(self.graph.draw(*draw, *key, place, &found.shape, found.batched, mean).noted(self)?)
                }
                _ => None,
            };
            late.extend(new.filter(|new| *new != id).map(|new| (id, new)));
        }
        substitute(&mut self.graph, node, &|_, id| late.get(&id).copied()).noted(self)
    }

    /// Directions of a network over time: what each step proposes, added up on the way back.
    fn directions_over_time(
        &mut self,
        p: &mut Presentation,
        credit: &Credit,
        objective: NodeId,
        targets: &[Target],
        at: &mut Timeline,
    ) -> Option<Vec<NodeId>> {
        let new = at.new.clone();
        let score = self.score_flows(p, credit, &new)?;
        let mut sums = |s: &mut Session, seeds: &[(NodeId, NodeId)]| -> Option<Vec<NodeId>> {
            s.program.as_mut()?.seeds = Some(seeds.to_vec());
            let out = targets.iter().map(|target| s.proposed(credit, target)).collect::<Option<Vec<_>>>()?;
            s.program.as_mut()?.seeds = None;
            Some(out)
        };
        let back = Backwards { objective, targets, more: score, span: credit.span };
        let out = self.summed_backwards(p, back, at, &mut sums)?;
        self.program.as_mut()?.score_seeds = None;
        Some(out)
    }

    /// Adds up, going backwards through the steps, what each of them gives for the targets.
    fn summed_backwards(
        &mut self,
        p: &mut Presentation,
        of: Backwards,
        at: &mut Timeline,
        each: &mut EachStep<'_>,
    ) -> Option<Vec<NodeId>> {
        let Backwards { objective, targets, more, span } = of;
        let reductions = self.program.as_ref()?.reductions.clone();
        let reads: Vec<NodeId> = reductions.iter().map(|r| r.read).collect();
        let by = self.derivatives(&[(objective, None)], &reads, span)?;
        let with_seeds: Vec<_> = reductions.into_iter().zip(by).collect();
        let mut totals = vec![];
        for target in targets {
            totals.push(self.work_var(&format!("{}@direction", target.path), &target.shape, false, None));
        }
        let mut sums = |s: &mut Session<'_>, seeds: &[(NodeId, NodeId)]| -> Option<Vec<Sum>> {
            let steps = each(s, seeds)?;
            Some(totals.iter().zip(steps).map(|(total, step)| Sum { total: *total, step }).collect())
        };
        let new = at.new.clone();
        let back = self.backward(p, &new, &with_seeds, &mut sums, more, span)?;
        at.step.extend(back.keep);
        at.after.extend(back.stmts);
        Some(totals.iter().map(|t| self.read_whole(*t)).collect())
    }
}

/// An integer with a loop's index exchanged.
fn with_loop(int: &Int, index: LoopId, by: &Int) -> Int {
    let both = |make: fn(Box<Int>, Box<Int>) -> Int, a: &Int, b: &Int| {
        make(Box::new(with_loop(a, index, by)), Box::new(with_loop(b, index, by)))
    };
    match int {
        Int::Loop(id) if *id == index => by.clone(),
        Int::Add(a, b) => both(Int::Add, a, b),
        Int::Sub(a, b) => both(Int::Sub, a, b),
        Int::Mul(a, b) => both(Int::Mul, a, b),
        Int::Div(a, b) => both(Int::Div, a, b),
        Int::Rem(a, b) => both(Int::Rem, a, b),
        other => other.clone(),
    }
}
