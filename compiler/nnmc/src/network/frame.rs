//! A network inside a program: its inputs, weights and states, and the names that its populations see in one step.

use indexmap::IndexMap;
use nnm_syntax::ast::Init;
use nnm_syntax::span::Span;

use super::*;
use crate::hir::{ItemKind, Neuron};
use crate::program::{NewLeaf, Role};
use crate::session::{Lazy, Session};
use crate::value::{Owner, PopulationRef, ProjectionRef, Value};

#[derive(Clone, Debug)]
pub struct Frame {
    pub net: NetId,
    pub scope: ScopeId,
    pub populations: Vec<PopulationFrame>,
    /// States are at their beginning: a network that is called on tensors.
    pub fresh: bool,
    /// What the inputs hold, once given.
    pub inputs: IndexMap<String, Value>,
    /// The frame in which this one is a part.
    pub owner: Option<FrameId>,
    /// What tells the states of several runs of one part from each other: nothing for the first.
    pub run: String,
}

#[derive(Clone, Debug)]
pub struct PopulationFrame {
    /// Values of this step, before its equations act.
    pub scope: ScopeId,
    /// The states' values in that scope.
    pub states: IndexMap<String, Num>,
}

impl Session<'_> {
    /// The frame of a network in the program being built.
    pub fn frame_of(&mut self, id: NetId) -> FrameId {
        if let Some(frame) = self.program.as_ref().and_then(|p| p.frames.get(&id)) {
            return *frame;
        }
        let frame = self.new_frame(id, false, None, String::new());
        if let Some(program) = &mut self.program {
            program.frames.insert(id, frame);
        }
        frame
    }

    pub fn new_frame(&mut self, id: NetId, fresh: bool, owner: Option<FrameId>, run: String) -> FrameId {
        let net = self.net(id).clone();
        let scope = self.inner(net.scope);
        let frame = FrameId(self.frames.len() as u32);
        self.frames.push(Frame { net: id, scope, populations: vec![], fresh, inputs: IndexMap::new(), owner, run });
        for input in &net.inputs {
            self.bind_lazy(scope, input.name.clone(), Lazy::Input { frame, name: input.name.clone() });
        }
        for (quantities, role) in [(&net.weights, Role::Weight), (&net.latents, Role::State)] {
            for q in quantities {
                let value = self.net_weight(id, &net.path, q, role);
                self.bind(scope, q.name.clone(), Value::Num(value));
            }
        }
        for (index, population) in net.populations.iter().enumerate() {
            let value = PopulationRef { owner: Owner::Frame(frame), index, cells: None };
            self.bind(scope, population.name.clone(), Value::Population(value));
            let made = self.population_frame(frame, index);
            self.frame_mut(frame).populations.push(made);
        }
        for (index, projection) in net.projections.iter().enumerate() {
            if !self.scopes[scope.0 as usize].names.contains_key(&projection.name) {
                let value = ProjectionRef { owner: Owner::Frame(frame), index, select: None };
                self.bind(scope, projection.name.clone(), Value::Projection(value));
            }
        }
        self.bind_parts(frame, &net, scope);
        let last = self.bind_net_lets(&net.lets, scope);
        for output in &net.outputs {
            if let Some(Init::Value(id)) = output.init {
                let closure = self.closure(last, id);
                self.bind_lazy(scope, output.name.text.clone(), Lazy::Expr(closure, output.ty.clone()));
            }
        }
        self.frame_mut(frame).scope = last;
        frame
    }

    fn bind_parts(&mut self, frame: FrameId, net: &Network, scope: ScopeId) {
        for part in &net.parts {
            let mut frames = vec![];
            for id in &part.nets {
                let inner = self.new_frame(*id, self.frame(frame).fresh, Some(frame), String::new());
                frames.push(Value::Frame(inner));
            }
            let value = match (part.array, frames.as_slice()) {
                (false, [one]) => one.clone(),
                _ => Value::Many(frames.into()),
            };
            self.bind(scope, part.name.clone(), value);
        }
    }

    /// A weight of the architecture, or a latent of each sample.
    fn net_weight(&mut self, id: NetId, path: &str, q: &Quantity, role: Role) -> Num {
        if let Some(num) = self.overridden(id, &q.name) {
            return num;
        }
        if q.open {
            return Num::unknown(q.unit.clone());
        }
        let batched = role == Role::State && self.program.as_ref().is_some_and(|p| p.batched);
        let full = format!("{path}.{}", q.name);
        let home = Some((id, q.name.clone()));
        self.leaf(NewLeaf { path: &full, role, unit: q.unit.clone(), shape: &q.shape, batched, home })
    }

    fn population_frame(&mut self, frame: FrameId, index: usize) -> PopulationFrame {
        let id = self.frame(frame).net;
        let population = self.net(id).populations[index].clone();
        let base = self.state_base(frame, index);
        let stored = format!("{}.{}", self.net(id).path, population.name);
        let mut states = IndexMap::new();
        let batched = self.program.as_ref().is_some_and(|p| p.batched);
        for state in &population.states {
            if self.frame(frame).fresh && !state.running {
                states.insert(state.name.clone(), Num::array(state.unit.clone(), state.initial.clone()));
                continue;
            }
            let full = format!("{}.{}", if state.running { &stored } else { &base }, state.name);
            let home = Some((id, format!("{}.{}", population.name, state.name)));
            let (role, batched) = if state.running { (Role::Weight, false) } else { (Role::State, batched) };
            let shape = state.initial.shape().to_vec();
            let leaf = NewLeaf { path: &full, role, unit: state.unit.clone(), shape: &shape, batched, home };
            states.insert(state.name.clone(), self.leaf(leaf));
        }
        let scope = self.population_scope(frame, index, &states);
        PopulationFrame { scope, states }
    }

    /// A scope with a population's names, its states at the values given.
    pub fn population_scope(&mut self, frame: FrameId, index: usize, states: &IndexMap<String, Num>) -> ScopeId {
        let id = self.frame(frame).net;
        let population = self.net(id).populations[index].clone();
        let item = self.modules.item(population.item).clone();
        let scope = self.cell_scope(item.module, &population);
        self.scopes[scope.0 as usize].owner = Some(population.name.clone());
        self.scopes[scope.0 as usize].place = Some(self.state_base(frame, index));
        self.bind_time(scope);
        for (name, num) in &population.params {
            let num = self.param_inside(&population, name, num);
            self.bind(scope, name.clone(), Value::Num(num));
        }
        for q in &population.weights {
            let value = self.population_weight(id, &population, q);
            let each = q.shape == population.shape;
            self.bind(scope, q.name.clone(), Value::Num(Num { each, ..value }));
        }
        for (name, num) in self.states_inside(&population, states) {
            self.bind(scope, name, Value::Num(num));
        }
        for (port, declared) in population.ports.iter().enumerate() {
            self.bind_lazy(scope, declared.name.clone(), Lazy::Port { frame, population: index, port });
        }
        if let ItemKind::Neuron(neuron) = &item.kind {
            self.bind_equations(scope, neuron);
        }
        scope
    }

    fn population_weight(&mut self, id: NetId, population: &Population, q: &Quantity) -> Num {
        let path = format!("{}.{}", population.name, q.name);
        if let Some(num) = self.overridden(id, &path) {
            return num;
        }
        let full = format!("{}.{path}", self.net(id).path);
        let home = Some((id, path));
        self.leaf(NewLeaf {
            path: &full,
            role: Role::Weight,
            unit: q.unit.clone(),
            shape: &q.shape,
            batched: false,
            home,
        })
    }

    /// `t`, `dt`, `training` of the program being built.
    pub fn bind_time(&mut self, scope: ScopeId) {
        let Some(program) = &self.program else { return };
        let seconds = Unit::parse("ms").unwrap_or(Unit::REAL);
        let (dt, step) = (program.dt, program.step.clone());
        let training = self.is_training();
        self.bind(scope, "training", Value::real(f64::from(training)));
        if let Some(dt) = dt {
            let length = Num::scalar(seconds.clone(), dt);
            let count = self.graph.count(step);
            let t = self.mul(&Num::node(Unit::REAL, count), &length, Span::default());
            self.bind(scope, "dt", Value::Num(length));
            self.bind(scope, "t", Value::Num(Num { unit: seconds, ..t }));
        }
    }

    pub fn bind_equations(&mut self, scope: ScopeId, neuron: &Neuron) {
        for decl in neuron.dynamics.lets.iter().chain(&neuron.dynamics.outputs) {
            if let Some(Init::Value(id)) = decl.init {
                let closure = self.closure(scope, id);
                self.bind_lazy(scope, decl.name.text.clone(), Lazy::Expr(closure, decl.ty.clone()));
            }
        }
        for next in &neuron.dynamics.nexts {
            let closure = self.closure(scope, next.value);
            self.bind_lazy(scope, format!("next {}", next.name.text), Lazy::Expr(closure, None));
        }
    }

    /// What an input of a frame holds: what was given, else a place for data.
    pub fn input_value(&mut self, frame: FrameId, name: &str) -> Value {
        if let Some(value) = self.frame(frame).inputs.get(name) {
            return value.clone();
        }
        let id = self.frame(frame).net;
        let net = self.net(id);
        let Some(q) = net.inputs.iter().find(|q| q.name == name).cloned() else { return Value::Missing };
        if q.open {
            return Value::Num(Num { class: q.class, ..Num::unknown(q.unit) });
        }
        if let Some(fed) = self.program.as_ref().and_then(|p| p.fed.get(&(frame, name.to_string()))).cloned() {
            let sum = fed.into_iter().reduce(|sum, more| self.add(&sum, &more, q.span));
            return sum.map_or(Value::Missing, |num| Value::Num(Num { class: q.class, unit: q.unit, ..num }));
        }
        let path = format!("{}{}.{name}", self.net(id).path, self.frame(frame).run);
        let batched = self.program.as_ref().is_some_and(|p| p.batched);
        let leaf =
            NewLeaf { path: &path, role: Role::Input, unit: q.unit.clone(), shape: &q.shape, batched, home: None };
        let num = self.leaf(leaf);
        Value::Num(Num { class: q.class, ..num })
    }
}
