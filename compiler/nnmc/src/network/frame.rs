//! A network inside a program: the scopes of its populations in one step, and how values reach their ports.

use indexmap::IndexMap;
use nnm_graph::ir::Op;
use nnm_syntax::ast::Init;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::*;
use crate::hir::{ItemKind, Neuron};
use crate::program::{Feedback, NewLeaf, Program, Purpose, Role};
use crate::session::{Lazy, Mode, Session};
use crate::value::{Owner, PopulationRef, ProjectionRef, Repr, Value};

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
    /// Looks at every port and output of a network once, in a program that is never run: finds the sizes of weights,
    /// and everything that is wrong.
    pub fn probe(&mut self, id: NetId) {
        let graph = std::mem::take(&mut self.graph);
        let program = self.program.replace(Program::new(Purpose::Probe, false));
        if let Some(program) = &mut self.program {
            program.dt = Some(1e-3);
        }
        let frame = self.frame_of(id);
        for p in 0..self.net(id).populations.len() {
            self.probe_population(frame, p);
        }
        let scope = self.frame(frame).scope;
        let names: Vec<(String, Span)> = self
            .net(id)
            .lets
            .iter()
            .map(|l| &l.decl)
            .chain(&self.net(id).outputs)
            .map(|d| (d.name.text.clone(), d.span))
            .collect();
        for (name, span) in names {
            self.local(scope, &name, span);
        }
        self.graph = graph;
        self.program = program;
    }

    fn probe_population(&mut self, frame: FrameId, p: usize) {
        let population = self.net(self.frame(frame).net).populations[p].clone();
        for k in 0..population.ports.len() {
            self.port_of_frame(frame, p, k);
        }
        self.check_dynamics(frame, p);
        let id = self.frame(frame).net;
        for k in 0..self.net(id).projections.len() {
            let projection = &self.net(id).projections[k];
            if projection.target == p && projection.port.is_none() {
                self.probe_portless(frame, k);
            }
        }
    }

    /// A synapse that acts on its target's states alone: its weight is sized, its blocks are looked at.
    fn probe_portless(&mut self, frame: FrameId, k: usize) -> Option<()> {
        let sender = self.sender(frame, k)?;
        let id = self.frame(frame).net;
        let p = self.net(id).projections[k].clone();
        let none = Port { name: String::new(), unit: Unit::Unknown, event: false, span: p.span };
        self.size_weights(id, k, &sender, &none)?;
        let item = p.synapse?;
        self.synapse_output(frame, k, item, &sender);
        Some(())
    }

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
        self.bind_time(scope);
        for (name, num) in &population.params {
            let num = self.param_inside(&population, name, num);
            self.bind(scope, name.clone(), Value::Num(num));
        }
        for q in &population.weights {
            let value = self.population_weight(id, &population, q);
            self.bind(scope, q.name.clone(), Value::Num(value));
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

    /// What arrives at a port in this step, from the scope's point of view.
    pub fn port_value(&mut self, frame: FrameId, population: usize, port: usize) -> Value {
        self.port_of_frame(frame, population, port).map_or(Value::Missing, Value::Num)
    }

    fn port_of_frame(&mut self, frame: FrameId, population: usize, port: usize) -> Option<Num> {
        let key = (frame, population, port);
        let id = self.frame(frame).net;
        if self.program.as_ref().is_some_and(|p| p.purpose == Purpose::Simulate) {
            self.ensure_unit(frame)?;
        }
        let declared = self.net(id).populations[population].ports[port].clone();
        if let Some(node) = self.program.as_ref().and_then(|p| p.port_nodes.get(&key)) {
            let stepwise = self.program.as_ref().is_some_and(|p| p.stepped);
            let num = Num { stepwise, ..Num::node(declared.unit, *node) };
            let shape = self.net(id).populations[population].shape.clone();
            let whole = self
                .shape(&num)
                .is_some_and(|found| shape.iter().product::<usize>() == found.iter().product::<usize>());
            return Some(if whole { self.reshaped(&num, &shape) } else { num });
        }
        let mut parts: Vec<Num> = vec![];
        let here: Vec<usize> = (0..self.net(id).projections.len())
            .filter(|k| {
                let p = &self.net(id).projections[*k];
                p.target == population && p.port == Some(port)
            })
            .collect();
        for k in here {
            parts.push(self.contribution(frame, k, &declared)?);
        }
        parts.extend(self.program.as_ref().and_then(|p| p.stimuli.get(&key)).cloned().unwrap_or_default());
        let mut total: Option<Num> = None;
        for part in parts {
            total = Some(match total {
                None => part,
                Some(sum) => self.add(&sum, &part, declared.span),
            });
        }
        let Some(total) = total else { return Some(Num::scalar(declared.unit, 0.0)) };
        let total = Num { unit: declared.unit, ..total };
        let total = self.marked_port(key, total);
        Some(total)
    }

    /// Keeps a port's sum as a node of its own, so that errors that arrive there can be asked for.
    fn marked_port(&mut self, key: (FrameId, usize, usize), total: Num) -> Num {
        let Repr::Node(node) = total.repr else { return total };
        // Another reshape would go around this one: what is kept is the product itself.
        let node = match (&self.graph.node(node).op, self.graph.node(node).args.first()) {
            (Op::Reshape, Some(inner)) if matches!(self.graph.node(*inner).op, Op::MatMul { .. }) => *inner,
            _ => node,
        };
        if let Some(program) = &mut self.program {
            program.port_nodes.insert(key, node);
        }
        total
    }

    /// What one connection adds to its port.
    fn contribution(&mut self, frame: FrameId, k: usize, port: &Port) -> Option<Num> {
        if let Some(num) = self.program.as_ref().and_then(|p| p.arrivals.get(&(frame, k))) {
            return Some(num.clone());
        }
        let id = self.frame(frame).net;
        if self.program.as_ref().is_some_and(|p| p.paths.contains_key(&(frame, k))) {
            let num = self.path_contribution(frame, k)?;
            let num = self.with_bias(id, k, num);
            let projection = self.net(id).projections[k].clone();
            self.fits_port(&num, port, &projection)?;
            return Some(num);
        }
        let sender = self.sender(frame, k)?;
        self.size_weights(id, k, &sender, port)?;
        if self.acts_by_edges(id, k) {
            let w = self.net(id).projections[k].weight.as_ref().map_or(Unit::REAL, |q| q.unit.clone());
            let num = Num::unknown(w.times(&sender.unit));
            let projection = self.net(id).projections[k].clone();
            return self.fits_port(&num, port, &projection).map(|()| num);
        }
        let num = match self.net(id).projections[k].synapse {
            None => self.direct(frame, k, &sender)?,
            Some(item) => {
                let num = self.synapse_output(frame, k, item, &sender)?;
                self.with_bias(id, k, num)
            }
        };
        let projection = self.net(id).projections[k].clone();
        self.fits_port(&num, port, &projection)?;
        if let Some(program) = &mut self.program {
            program.senders.insert((frame, k), sender);
            if let Repr::Node(node) = num.repr {
                program.foreign.push(node);
            }
        }
        Some(num)
    }

    /// Whether a connection to a part of a population is looked at in a probe: single synapses carry it in a simulation.
    fn acts_by_edges(&self, id: NetId, k: usize) -> bool {
        let p = &self.net(id).projections[k];
        let whole = self.net(id).populations[p.target].shape[0];
        let part = p.target_cells.is_some_and(|c| c != (0, whole));
        let probe = self.program.as_ref().is_some_and(|x| x.purpose == Purpose::Probe);
        probe && part && p.source.is_some() && p.synapse.is_none()
    }

    pub fn fits_port(&mut self, num: &Num, port: &Port, projection: &Projection) -> Option<()> {
        if num.unit.fits(&port.unit) {
            return Some(());
        }
        let (found, wanted) = (num.unit.describe(), port.unit.describe());
        let message = format!("`{}` brings {found} to the port `{}`, which takes {wanted}", projection.name, port.name);
        let d =
            Diagnostic::error("E0415", projection.span, message).label(port.span, format!("the port takes {wanted}"));
        self.report(d);
        None
    }

    /// What a connection's sender gives in this step, delayed as the connection says.
    pub fn sender(&mut self, frame: FrameId, k: usize) -> Option<Num> {
        let id = self.frame(frame).net;
        let projection = self.net(id).projections[k].clone();
        if let Some(num) = self.delayed_sender(frame, k, &projection) {
            return num;
        }
        if let Some(silent) = self.silent_sender(frame, k, &projection) {
            return Some(silent);
        }
        let scope = self.closure_scope(frame, projection.from);
        let span = self.expr_span(scope, projection.from.expr.id);
        let value = self.eval(scope, projection.from.expr.id);
        self.number(value, span)
    }

    /// A sender without output, of which a declared synapse reads states: its shape alone.
    fn silent_sender(&mut self, frame: FrameId, k: usize, projection: &Projection) -> Option<Num> {
        let (source, cells) = projection.source?;
        projection.synapse?;
        let id = self.frame(frame).net;
        let population = self.net(id).populations[source].clone();
        if population.spiking || self.default_output(&population).is_some() {
            return None;
        }
        let mut shape = population.shape.clone();
        if let Some((from, to)) = cells {
            shape[0] = to - from;
        }
        let path = format!("{}.{k}.silent", self.net(id).path);
        let unit = Unit::Unknown;
        Some(self.leaf(NewLeaf { path: &path, role: Role::Work, unit, shape: &shape, batched: false, home: None }))
    }

    /// The scope in which an architecture's closure is evaluated inside a frame.
    pub fn closure_scope(&mut self, frame: FrameId, closure: Closure) -> ScopeId {
        let scope = self.frame(frame).scope;
        let outer = self.net(self.frame(frame).net).scope;
        if closure.scope == outer {
            return scope;
        }
        let names = self.scopes[closure.scope.0 as usize].names.clone();
        let inner = self.inner(scope);
        self.scopes[inner.0 as usize].names = names;
        inner
    }

    /// The default synapse: the pattern's linear operation, and the bias.
    fn direct(&mut self, frame: FrameId, k: usize, sender: &Num) -> Option<Num> {
        let id = self.frame(frame).net;
        let projection = self.net(id).projections[k].clone();
        let span = projection.span;
        let target = self.net(id).populations[projection.target].clone();
        let w = projection.weight.as_ref().map(|q| self.projection_weight(id, &projection.name, q));
        let unit = match &w {
            Some(w) => w.unit.times(&sender.unit),
            None => sender.unit.clone(),
        };
        let out = self.linear(&projection, &target, w.as_ref(), sender, unit.clone(), span)?;
        let path = format!("{}.{}", self.net(id).path, projection.name);
        let out = self.with_feedback(&path, &projection, &target, out, sender)?;
        Some(self.with_bias(id, k, out))
    }

    /// What a connection brings, and its bias.
    fn with_bias(&mut self, id: NetId, k: usize, out: Num) -> Num {
        let projection = self.net(id).projections[k].clone();
        let Some(q) = &projection.bias else { return out };
        let target = self.net(id).populations[projection.target].clone();
        let b = self.projection_weight(id, &projection.name, q);
        let b = self.shaped_bias(&projection, &target, &b, projection.span);
        let sum = self.add(&out, &b, projection.span);
        Num { unit: out.unit, ..sum }
    }

    /// `w` or `b` of a connection in the program being built.
    pub fn projection_weight(&mut self, id: NetId, name: &str, q: &Quantity) -> Num {
        let local = format!("{name}.{}", q.name);
        if let Some(num) = self.overridden(id, &local) {
            return num;
        }
        let path = format!("{}.{local}", self.net(id).path);
        let home = Some((id, local));
        if q.shape.is_empty() && self.mode == Mode::Check {
            return Num::unknown(q.unit.clone());
        }
        self.leaf(NewLeaf {
            path: &path,
            role: Role::Weight,
            unit: q.unit.clone(),
            shape: &q.shape,
            batched: false,
            home,
        })
    }

    fn shaped_bias(&mut self, projection: &Projection, target: &Population, b: &Num, span: Span) -> Num {
        let shape = match &projection.pattern {
            Pattern::Conv { .. } => vec![target.shape[0], 1, 1],
            _ => target.shape.clone(),
        };
        self.apply(span, b.unit.clone(), &[b], |g, n| g.reshape(n[0], &shape))
    }

    /// The pattern's linear operation on a sender's value: what a rule's outer product is the adjoint of.
    pub fn linear(
        &mut self,
        projection: &Projection,
        target: &Population,
        w: Option<&Num>,
        x: &Num,
        unit: Unit,
        span: Span,
    ) -> Option<Num> {
        let shape = target.shape.clone();
        if let Some((from, to)) = projection.target_cells
            && (from, to) != (0, shape[0])
        {
            self.error(
                "E0416",
                span,
                "a connection to some of a population's cells takes a pattern of single synapses",
            );
            return None;
        }
        let out = match (&projection.pattern, w) {
            (Pattern::Conv { conv, .. }, Some(w)) => {
                let conv = *conv;
                self.apply(span, unit, &[x, w], |g, n| g.conv2d(n[0], n[1], conv))
            }
            (Pattern::MaxPool(pool), _) => {
                let pool = *pool;
                self.apply(span, unit, &[x], |g, n| g.max_pool(n[0], pool))
            }
            (Pattern::AvgPool(pool), _) => {
                let pool = *pool;
                self.apply(span, unit, &[x], |g, n| g.avg_pool(n[0], pool))
            }
            (Pattern::Upsample(pool), _) => {
                let pool = *pool;
                self.apply(span, unit, &[x], |g, n| {
                    let Some(&[channels, height, width]) = g.shape(n[0]).first_chunk::<3>() else {
                        return g.avg_pool(n[0], pool);
                    };
                    // The adjoint of the mean over a window, times the window's size.
                    let to = [channels, height * pool.size[0], width * pool.size[1]];
                    let spread = g.avg_pool_grad(n[0], pool, &to)?;
                    let size = g.constant((pool.size[0] * pool.size[1]) as f64);
                    g.binary(nnm_graph::ir::Binary::Mul, spread, size)
                })
            }
            (Pattern::OneToOne, Some(w)) => {
                let x = self.apply(span, x.unit.clone(), &[x], |g, n| g.reshape(n[0], &shape));
                let w = self.apply(span, w.unit.clone(), &[w], |g, n| g.reshape(n[0], &shape));
                self.mul(&w, &x, span)
            }
            (_, Some(w)) => {
                let w = self.masked(projection, w, span);
                self.apply(span, unit, &[&w, x], |g, n| {
                    let length: usize = g.shape(n[1]).iter().product();
                    let flat = g.reshape(n[1], &[length])?;
                    let y = g.matmul(n[0], flat)?;
                    g.reshape(y, &shape)
                })
            }
            (_, None) => x.clone(),
        };
        let found = self.shape(&out);
        if let Some(found) = found
            && found != shape
        {
            let (found, wanted) = (self.shape_text(&found), self.shape_text(&shape));
            let message = format!("`{}` gives the shape {found}, `{}` has {wanted}", projection.name, target.name);
            let d = Diagnostic::error("E0315", projection.pattern_span, message)
                .label(target.span, format!("this has {wanted}"));
            self.report(d);
            return None;
        }
        Some(out)
    }

    /// A sparse pattern as a full matrix of weights with zeros, where a dense product is wanted.
    fn masked(&mut self, projection: &Projection, w: &Num, span: Span) -> Num {
        let Some(edges) = projection.edges.as_ref().filter(|_| !projection.pattern.is_full()) else { return w.clone() };
        let size = edges.senders * edges.targets;
        let places: Vec<f64> = edges
            .sender()
            .iter()
            .zip(edges.target.iter())
            .map(|(s, t)| (*t as usize * edges.senders + *s as usize) as f64)
            .collect();
        let places = Num::array(Unit::REAL, crate::value::vector(places));
        let (targets, senders) = (edges.targets, edges.senders);
        self.apply(span, w.unit.clone(), &[w, &places], |g, n| {
            let flat = g.scatter_add(n[0], 0, n[1], &[size])?;
            g.reshape(flat, &[targets, senders])
        })
    }

    /// The value of the connection, with the derivative of what carries errors back in its place.
    fn with_feedback(
        &mut self,
        path: &str,
        projection: &Projection,
        target: &Population,
        out: Num,
        x: &Num,
    ) -> Option<Num> {
        let span = projection.span;
        let Some(feedback) = self.program.as_ref().and_then(|p| p.feedback.get(path)).cloned() else {
            return Some(out);
        };
        let Feedback::Matrix(b) = feedback else {
            return Some(self.apply(span, out.unit.clone(), &[&out], |g, n| g.stop_gradient(n[0])));
        };
        let shape = projection.weight.as_ref().map(|q| q.shape.clone()).unwrap_or_default();
        let rows = shape.first().copied().unwrap_or(1);
        let columns: usize = shape.iter().skip(1).product();
        let forward = self.apply(span, b.unit.clone(), &[&b], |g, n| {
            let whole = g.broadcast_to(n[0], &[columns, rows])?;
            let forward = g.transpose(whole)?;
            g.reshape(forward, &shape)
        });
        let back = self.linear(projection, target, Some(&forward), x, out.unit.clone(), span)?;
        Some(self.apply(span, out.unit.clone(), &[&out, &back], |g, n| g.surrogate(n[0], n[1])))
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
        let path = format!("{}{}.{name}", self.net(id).path, self.frame(frame).run);
        let batched = self.program.as_ref().is_some_and(|p| p.batched);
        let leaf =
            NewLeaf { path: &path, role: Role::Input, unit: q.unit.clone(), shape: &q.shape, batched, home: None };
        let num = self.leaf(leaf);
        Value::Num(Num { class: q.class, ..num })
    }

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
        let names: Vec<String> =
            self.scopes[scope.0 as usize].names.keys().filter(|n| !n.contains(' ')).cloned().collect();
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

    /// A population's output now, outside of any program: its first output, where that is a state.
    pub fn value_now(&mut self, p: &PopulationRef, span: Span) -> Value {
        let Owner::Net(id) = p.owner else { return Value::Missing };
        let population = self.net(id).populations[p.index].clone();
        match self.default_output(&population) {
            Some(name) if population.states.iter().any(|s| s.name == name) => {
                self.field(Value::Population(p.clone()), &Name { text: name, span })
            }
            _ => {
                let message = format!(
                    "`{}` has a value only while data are given: use it in `evaluate(… on DATA)`",
                    population.name
                );
                self.error("E0440", span, message)
            }
        }
    }
}
