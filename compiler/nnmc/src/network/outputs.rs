//! What populations and networks give: spikes, outputs and other names, in a step or outside of any program.

use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::*;
use crate::hir::ItemKind;
use crate::program::{NewLeaf, Role};
use crate::session::Session;
use crate::value::{Owner, PopulationRef, Repr, Value};

impl Session<'_> {
    /// What a population gives in this step: its spikes, else its first output.
    pub fn population_output(&mut self, p: &PopulationRef, span: Span) -> Value {
        let frame = match p.owner {
            Owner::Frame(frame) => frame,
            Owner::Net(id) => match self.program.as_ref().and_then(|p| p.frames.get(&id)) {
                Some(frame) => *frame,
                None => return self.value_now(p, span),
            },
        };
        let value = self.frame_population_output(frame, p.index, span);
        match (value, p.cells) {
            (Value::Num(num), Some((from, to))) => Value::Num(self.cells_of(&num, from, to, span)),
            (value, _) => value,
        }
    }

    pub fn cells_of(&mut self, num: &Num, from: usize, to: usize, span: Span) -> Num {
        self.apply(span, num.unit.clone(), &[num], |g, n| g.slice(n[0], 0, from, 1, to - from))
    }

    fn frame_population_output(&mut self, frame: FrameId, index: usize, span: Span) -> Value {
        let id = self.frame(frame).net;
        let population = self.net(id).populations[index].clone();
        if population.spiking {
            return Value::Num(self.spike_flags(frame, index));
        }
        match self.default_output(&population) {
            // An output that is the same for all cells is still one value a cell.
            Some(name) => match self.population_name(frame, index, &name, span) {
                Value::Num(num) => Value::Num(self.to_shape(num, &population.shape, span)),
                other => other,
            },
            None => {
                let message = format!("`{}` has no output", population.name);
                let d = Diagnostic::error("E0417", span, message).label(population.span, "declared here");
                self.fail(d)
            }
        }
    }

    pub fn default_output(&self, population: &Population) -> Option<String> {
        let ItemKind::Neuron(neuron) = &self.modules.item(population.item).kind else { return None };
        neuron.dynamics.outputs.first().map(|o| o.name.text.clone())
    }

    /// Whether each cell fired in the step before (how often, of a source).
    pub fn spike_flags(&mut self, frame: FrameId, index: usize) -> Num {
        let id = self.frame(frame).net;
        let population = self.net(id).populations[index].clone();
        let path = format!("{}.spike", self.state_base(frame, index));
        let batched = self.program.as_ref().is_some_and(|p| p.batched);
        let stepwise = self.program.as_ref().is_some_and(|p| p.stepped);
        let leaf =
            NewLeaf { path: &path, role: Role::State, unit: Unit::REAL, shape: &population.shape, batched, home: None };
        let num = self.leaf(leaf);
        Num { stepwise, ..num }
    }

    /// A name of a population in this step.
    pub fn population_name(&mut self, frame: FrameId, index: usize, name: &str, span: Span) -> Value {
        let scope = self.frame(frame).populations[index].scope;
        if name == "spikes" {
            return Value::Num(self.spike_flags(frame, index));
        }
        if self.scopes[scope.0 as usize].names.contains_key(name) {
            let value = match self.force(scope, name, span) {
                Value::Num(num) => {
                    let cells = self.net(self.frame(frame).net).populations[index].shape.len();
                    Value::Num(self.cells_first(&num, cells))
                }
                other => other,
            };
            return self.stepwise_value(value);
        }
        let id = self.frame(frame).net;
        let population = self.net(id).populations[index].clone();
        let mut names: Vec<String> =
            self.scopes[scope.0 as usize].names.keys().filter(|n| !n.contains(' ')).cloned().collect();
        names.extend(population.spiking.then(|| "spikes".to_string()));
        let d = Diagnostic::error("E0418", span, format!("`{}` has no `{name}`", population.name))
            .label(population.span, "declared here");
        let near = crate::suggest::nearest(name, names.iter().map(String::as_str));
        self.fail(crate::suggest::did_you_mean(d, span, near))
    }

    /// Marks a value of a step in a program with steps.
    pub fn stepwise_value(&self, value: Value) -> Value {
        match value {
            Value::Num(num) if matches!(num.repr, Repr::Node(_)) => {
                let stepwise = self.program.as_ref().is_some_and(|p| p.stepped);
                Value::Num(Num { stepwise: stepwise || num.stepwise, ..num })
            }
            value => value,
        }
    }

    /// What a network gives: its first output, else its last population.
    pub fn frame_output(&mut self, frame: FrameId, span: Span) -> Value {
        let frame = self.run_of(frame);
        let id = self.frame(frame).net;
        let net = self.net(id);
        if let Some(output) = net.outputs.first() {
            let name = output.name.text.clone();
            let scope = self.frame(frame).scope;
            return self.local(scope, &name, span).unwrap_or(Value::Missing);
        }
        match net.populations.len() {
            0 => {
                let message = format!("`{}` has no output", net.path);
                self.error("E0417", span, message)
            }
            n => self.frame_population_output(frame, n - 1, span),
        }
    }

    /// A population's output now, outside of any program: its first output, a state as it is.
    pub fn value_now(&mut self, p: &PopulationRef, span: Span) -> Value {
        let Owner::Net(id) = p.owner else { return Value::Missing };
        let population = self.net(id).populations[p.index].clone();
        match self.default_output(&population) {
            Some(name) if population.states.iter().any(|s| s.name == name) => {
                self.field(Value::Population(p.clone()), &Name { text: name, span })
            }
            _ => self.member_at_once(id, &Name { text: population.name, span }),
        }
    }
}
