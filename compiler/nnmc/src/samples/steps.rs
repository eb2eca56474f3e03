//! States of networks from step to step of a presentation, what they were before, and running values beside them.

use nnm_graph::ir::{Assign, Place};
use nnm_runtime::array::Array;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::{OverTime, Presentation};
use crate::failure::Noted;
use crate::network::FrameId;
use crate::program::{NewLeaf, Role};
use crate::session::Session;
use crate::value::Num;

impl Session<'_> {
    /// The states of all networks in the program after a step, and their first values.
    pub fn step_assigns(&mut self, p: &mut Presentation) -> Option<(Vec<Assign>, Vec<Assign>)> {
        let (mut new, mut initial) = (vec![], vec![]);
        let mut seen = vec![];
        // Parts may be met only where the next state of a cell that they reach is computed.
        while let Some(frame) = self.unseen_frame(&seen)? {
            seen.push(frame);
            let id = self.frame(frame).net;
            for index in 0..self.net(id).populations.len() {
                let (done, _) = self.advance_population(frame, index, &[])?;
                let population = self.net(id).populations[index].clone();
                let base = self.state_base(frame, index);
                for (name, num) in done.states.iter().chain(&done.holds) {
                    let path = if done.holds.contains_key(name) && !done.states.contains_key(name) {
                        format!("{base}.{name}.hold")
                    } else {
                        format!("{base}.{name}")
                    };
                    self.push_state(&path, num, &mut new);
                }
                for (name, num) in &done.holds {
                    self.push_state(&format!("{base}.{name}.hold"), num, &mut new);
                }
                for (path, num) in &done.past {
                    self.push_state(path, num, &mut new);
                }
                if let Some(spike) = &done.spike {
                    self.spike_flags(frame, index);
                    self.push_state(&format!("{base}.spike"), spike, &mut new);
                }
                for state in population.states.iter().filter(|s| !s.running) {
                    self.push_initial(p, &format!("{base}.{}", state.name), &state.initial, &mut initial);
                }
            }
        }
        self.histories(&mut new);
        self.rest_begin_at_zero(&new, &mut initial);
        if let Some(world) = &self.program.as_ref()?.world {
            new.extend(world.states.iter().chain(&world.totals).cloned());
            initial.extend(world.initial.iter().cloned());
        }
        Some((new, initial))
    }

    /// A network that has not been seen yet, or one that what a delayed connection keeps brings in.
    fn unseen_frame(&mut self, seen: &[FrameId]) -> Option<Option<FrameId>> {
        let next = |s: &Self| s.live_frames().into_iter().find(|f| !seen.contains(f) && !s.frame(*f).fresh);
        if let Some(frame) = next(self) {
            return Some(Some(frame));
        }
        self.settle_histories()?;
        Some(next(self))
    }

    fn push_state(&mut self, path: &str, num: &Num, out: &mut Vec<Assign>) {
        let Some(leaf) = self.program.as_ref().and_then(|p| p.leaves.get(path)).cloned() else { return };
        if leaf.role != Role::State || out.iter().any(|a| a.to == leaf.var) {
            return;
        }
        let value = self.lift(num);
        out.push(Assign { to: leaf.var, place: Place::Whole, add: false, value });
    }

    fn push_initial(&mut self, p: &mut Presentation, path: &str, initial: &Array, out: &mut Vec<Assign>) {
        let Some(leaf) = self.program.as_ref().and_then(|x| x.leaves.get(path)).cloned() else { return };
        let first = initial.iter().next().copied().unwrap_or(0.0);
        let shape = self.graph.var(leaf.var).shape.clone();
        let value = if initial.iter().all(|x| *x == first) {
            self.graph.filled(first, &shape)
        } else {
            self.graph.tensor(initial.clone())
        };
        let _ = p;
        out.push(Assign { to: leaf.var, place: Place::Whole, add: false, value });
    }

    /// What delayed connections keep of their senders: each step moves the history on by one.
    fn histories(&mut self, new: &mut Vec<Assign>) {
        let shifts = self.program.as_ref().map(|p| p.shifts.clone()).unwrap_or_default();
        for (to, value) in shifts {
            new.push(Assign { to, place: Place::Whole, add: false, value });
        }
    }

    /// Spike flags, hold counters and histories begin at 0.
    fn rest_begin_at_zero(&mut self, new: &[Assign], initial: &mut Vec<Assign>) {
        for assign in new {
            if initial.iter().any(|a| a.to == assign.to) {
                continue;
            }
            let shape = self.graph.var(assign.to).shape.clone();
            let zero = self.graph.filled(0.0, &shape);
            initial.push(Assign { to: assign.to, place: Place::Whole, add: false, value: zero });
        }
    }

    /// The sender of a connection as it was `steps` steps ago, from a history of that length.
    pub fn history(&mut self, frame: FrameId, p: &crate::network::Projection, steps: usize) -> Option<Num> {
        let id = self.frame(frame).net;
        let (source, cells) = match p.source {
            Some(s) => s,
            None => {
                let scope = self.closure_scope(frame, p.from);
                if matches!(self.eval(scope, p.from.expr.id), crate::value::Value::Missing) {
                    // That there is no such sender has been said.
                    return None;
                }
                let message =
                    format!("what `{}` sends has no past: only what a population puts out first is kept", p.name);
                let d = Diagnostic::error("E0512", p.span, message)
                    .help("of a population's other outputs, take a synapse that reads them: `output I = w * pre.NAME`")
                    .help("what a part hands on goes to a population first, without delay, and on from there with it");
                self.report(d);
                return None;
            }
        };
        let population = self.net(id).populations[source].clone();
        let unit = self.output_unit(&population);
        let base = format!("{}.before", self.state_base(frame, source));
        let batched = self.program.as_ref().is_some_and(|p| p.batched);
        let stepwise = self.program.as_ref().is_some_and(|p| p.stepped);
        let mut last = None;
        let mut fresh = vec![];
        for k in 1..=steps {
            let path = format!("{base}@{k}");
            if self.program.as_ref().is_some_and(|p| !p.leaves.contains_key(&path)) {
                fresh.push(k);
            }
            let leaf = NewLeaf {
                path: &path,
                role: Role::State,
                unit: unit.clone(),
                shape: &population.shape,
                batched,
                home: None,
            };
            last = Some(self.leaf(leaf));
        }
        for k in fresh {
            self.program.as_mut()?.pending_shifts.push((frame, source, k));
        }
        let num = Num { stepwise, ..last? };
        Some(match cells.map(|cells| population.rows_of(cells)) {
            Some((from, to)) => self.cells_of(&num, from, to, p.span),
            None => num,
        })
    }

    /// Gives histories their next values, once all outputs can be evaluated.
    fn settle_histories(&mut self) -> Option<()> {
        while let Some((frame, source, k)) = self.program.as_mut()?.pending_shifts.pop() {
            let id = self.frame(frame).net;
            let population = self.net(id).populations[source].clone();
            let base = format!("{}.before", self.state_base(frame, source));
            let to = self.program.as_ref()?.leaves.get(&format!("{base}@{k}"))?.var;
            let value = if k == 1 {
                let whole = crate::value::PopulationRef {
                    owner: crate::value::Owner::Frame(frame),
                    index: source,
                    cells: None,
                };
                let value = self.population_output(&whole, population.span);
                let num = self.number(value, population.span)?;
                self.lift(&num)
            } else {
                let before = self.program.as_ref()?.leaves.get(&format!("{base}@{}", k - 1))?.var;
                self.read_whole(before)
            };
            self.program.as_mut()?.shifts.push((to, value));
        }
        Some(())
    }

    /// The next values of neurons' running quantities, from the batch that is presented: once an update.
    pub fn running_assigns(&mut self, assigns: &mut Vec<Assign>) -> Option<()> {
        for frame in self.live_frames() {
            let id = self.frame(frame).net;
            for index in 0..self.net(id).populations.len() {
                let population = self.net(id).populations[index].clone();
                let neuron = self.neuron_of(&population);
                let scope = self.frame(frame).populations[index].scope;
                for next in &neuron.dynamics.nexts {
                    let name = &next.name.text;
                    if !population.states.iter().any(|s| s.running && s.name == *name) {
                        continue;
                    }
                    let path = format!("{}.{}.{name}", self.net(id).path, population.name);
                    let value = self.local(scope, &format!("next {name}"), next.span)?;
                    let num = self.number(value, next.span)?;
                    self.running_assign(&path, num, next.span, assigns)?;
                }
            }
        }
        Some(())
    }

    fn running_assign(&mut self, path: &str, num: Num, span: Span, assigns: &mut Vec<Assign>) -> Option<()> {
        let var = self.leaf_of(path)?.var;
        // Over the steps of a presentation, the last one counts.
        let stepped = self.program.as_ref().is_some_and(|p| p.stepped);
        let num = if stepped { self.reduce_steps(&num, OverTime::Last, span) } else { num };
        let mut value = self.lift(&num);
        if self.graph.node(value).batched {
            let d = Diagnostic::error("E0301", span, "a running value is shared by the samples of a batch")
                .help("take `batch_mean(…)` or `batch_var(…)` of what differs between them");
            self.report(d);
            return None;
        }
        let shape = self.graph.var(var).shape.clone();
        value = self.graph.broadcast_to(value, &shape).noted(self)?;
        // Used several times, each use goes on from the one before.
        if let Some(before) = assigns.iter_mut().find(|a| a.to == var) {
            let so_far = before.value;
            let on = nnm_graph::substitute_reads(&mut self.graph, value, &|v, _| (v == var).then_some(so_far))
                .noted(self)?;
            before.value = on;
            return Some(());
        }
        assigns.push(Assign { to: var, place: Place::Whole, add: false, value });
        Some(())
    }
}
