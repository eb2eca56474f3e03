//! Declared synapses: the scope of their equations, and what a stateless one adds to its port.

use indexmap::IndexMap;
use nnm_syntax::ast::Init;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::*;
use crate::hir::{ItemKind, Synapse};
use crate::program::{NewLeaf, Purpose, Role};
use crate::samples::Meeting;
use crate::session::{Lazy, Session};
use crate::value::{Repr, Value};

/// How a synapse's names are filled in: per target, per connection, or for a look at units.
#[derive(Clone, Debug)]
pub struct SynapseView {
    pub weight: Num,
    pub params: IndexMap<String, Num>,
    pub states: IndexMap<String, Num>,
    pub pre: Option<Value>,
    pub post: Value,
}

impl Session<'_> {
    pub fn synapse_item(&self, item: ItemId) -> Option<Synapse> {
        match &self.modules.item(item).kind {
            ItemKind::Synapse(s) => Some(s.clone()),
            _ => None,
        }
    }

    /// A synapse's parameters, one number each or one an edge.
    pub fn synapse_params(&mut self, id: NetId, k: usize, synapse: &Synapse) -> Option<IndexMap<String, Num>> {
        let p = self.net(id).projections[k].clone();
        let item = p.synapse?;
        let scope = self.scope(self.modules.item(item).module, None);
        let population = p.source.map(|(s, cells)| cells.map_or(self.net(id).populations[s].size(), |(a, b)| b - a));
        let senders = p.edges.as_ref().map_or(population.unwrap_or(1), |e| e.senders);
        let shape: Vec<usize> = match (&p.edges, population) {
            (Some(e), _) => vec![e.count()],
            (None, Some(senders)) if p.pattern.is_full() => vec![self.net(id).populations[p.target].size(), senders],
            _ => vec![],
        };
        let mut out = IndexMap::new();
        for decl in &synapse.dynamics.params {
            let path = format!("{}.{}.{}", self.net(id).origin, p.name, decl.name.text);
            let given = p.args.iter().find(|(n, _)| *n == decl.name.text).map(|(_, a)| a.clone());
            let (num, at) = match (given, decl.init) {
                (Some(argument), _) => {
                    let at = match &argument {
                        Argument::Expr(c) | Argument::Draw(c) => self.expr_span(c.scope, c.expr.id),
                        Argument::Value(_) => p.span,
                    };
                    (self.pair_argument(id, &p, &argument, &shape, senders, &path)?, at)
                }
                (None, Some(Init::Value(e))) => (self.operand(scope, e)?.num, decl.span),
                (None, Some(Init::Draw(e))) => {
                    (self.draw_values(self.closure(scope, e), scope, &shape, &path)?, decl.span)
                }
                (None, None) => {
                    self.error("E0222", p.span, format!("the synapse needs `{}`", decl.name.text));
                    return None;
                }
            };
            let unit = match (&decl.ty, decl.init) {
                (Some(ty), _) => self.declared(scope, ty)?.unit,
                (None, Some(Init::Value(e))) => self.operand(scope, e)?.num.unit,
                _ => Unit::Unknown,
            };
            let declared = crate::eval::types::Declared { unit, ..crate::eval::types::Declared::real() };
            let num = self.hold_number(num, &declared, decl.span, at)?;
            self.bind(scope, decl.name.text.clone(), Value::Num(num.clone()));
            out.insert(decl.name.text.clone(), num);
        }
        self.hold_conditions(scope, &synapse.dynamics.params, &Holder { item, args: &p.args, span: p.span });
        Some(out)
    }

    /// The scope of a synapse's equations and blocks.
    pub fn synapse_scope(&mut self, item: ItemId, synapse: &Synapse, view: &SynapseView) -> ScopeId {
        let module = self.modules.item(item).module;
        let scope = self.scope(module, None);
        self.bind_time(scope);
        for (name, num) in view.params.iter().chain(&view.states) {
            self.bind(scope, name.clone(), Value::Num(num.clone()));
        }
        let weight = synapse.dynamics.weights.first().map_or("w".to_string(), |w| w.name.text.clone());
        self.bind(scope, weight, Value::Num(view.weight.clone()));
        if let Some(pre) = &view.pre {
            self.bind(scope, "pre", pre.clone());
        }
        self.bind(scope, "post", view.post.clone());
        for decl in synapse.dynamics.lets.iter().chain(&synapse.dynamics.outputs) {
            if let Some(Init::Value(id)) = decl.init {
                let closure = self.closure(scope, id);
                self.bind_lazy(scope, decl.name.text.clone(), Lazy::Expr(closure, decl.ty.clone()));
            }
        }
        for next in &synapse.dynamics.nexts {
            let closure = self.closure(scope, next.value);
            self.bind_lazy(scope, format!("next {}", next.name.text), Lazy::Expr(closure, None));
        }
        scope
    }

    /// The units of a synapse's states.
    pub fn synapse_state_units(
        &mut self,
        id: NetId,
        k: usize,
        item: ItemId,
        synapse: &Synapse,
    ) -> Option<Vec<(String, Unit)>> {
        let scope = self.scope(self.modules.item(item).module, None);
        let p = &self.net(id).projections[k];
        if let Some(port) = p.port {
            let unit = self.net(id).populations[p.target].ports[port].unit.clone();
            self.bind(scope, "port", Value::Num(Num::unknown(unit)));
        }
        let mut units = vec![];
        for decl in &synapse.dynamics.states {
            let unit = match (&decl.ty, decl.init) {
                (Some(ty), _) => self.declared(scope, ty)?.unit,
                (None, Some(Init::Value(e))) => match self.operand(scope, e)?.num.unit {
                    Unit::Zero => Unit::REAL,
                    unit => unit,
                },
                _ => Unit::REAL,
            };
            units.push((decl.name.text.clone(), unit));
        }
        Some(units)
    }

    /// What a declared synapse adds to its port where it is no event synapse; in a probe, its unit alone.
    pub fn synapse_output(&mut self, frame: FrameId, k: usize, item: ItemId, sender: &Num) -> Option<Num> {
        let id = self.frame(frame).net;
        let synapse = self.synapse_item(item)?;
        let p = self.net(id).projections[k].clone();
        let stateful = !synapse.dynamics.states.is_empty() || synapse.dynamics.ons.iter().any(|o| o.period.is_none());
        let probe = self.program.as_ref().is_some_and(|p| p.purpose == Purpose::Probe);
        if stateful && !probe {
            let simulates = self.program.as_ref().is_some_and(|p| p.purpose == Purpose::Simulate);
            let message = match simulates {
                true => {
                    format!("`{}` has state or events: its sender is a population of the same architecture", p.name)
                }
                false => format!("`{}` has state or events: it acts in `simulate`, not in a presentation", p.name),
            };
            let d = Diagnostic::error("E0428", p.span, message);
            self.report(match simulates {
                true => d.help("`Direct` carries the values and spikes of a part's population"),
                false => d,
            });
            return None;
        }
        if probe {
            return self.probe_synapse(frame, k, &synapse, sender);
        }
        self.formula_of_pairs(frame, k, item, &synapse, sender)
    }

    fn probe_synapse(&mut self, frame: FrameId, k: usize, synapse: &Synapse, sender: &Num) -> Option<Num> {
        let id = self.frame(frame).net;
        let p = self.net(id).projections[k].clone();
        let item = p.synapse?;
        let params = self.synapse_params(id, k, synapse)?;
        let params = params.into_iter().map(|(n, v)| (n, Num::unknown(v.unit))).collect();
        let states =
            self.synapse_state_units(id, k, item, synapse)?.into_iter().map(|(n, u)| (n, Num::unknown(u))).collect();
        let weight = Num::unknown(p.weight.as_ref().map_or(Unit::REAL, |w| w.unit.clone()));
        let post = Value::Names(self.unit_scope(frame, p.target));
        let pre = match p.source {
            Some((source, _)) => self.unit_scope(frame, source),
            None => {
                let names = self.scope(self.modules.item(item).module, None);
                self.bind(names, "y", Value::Num(Num::unknown(sender.unit.clone())));
                names
            }
        };
        let pre = Some(Value::Names(pre));
        let scope = self.synapse_scope(item, synapse, &SynapseView { weight, params, states, pre, post });
        self.check_synapse(synapse, scope);
        let output = synapse.dynamics.outputs.first()?;
        let span = output.span;
        let value = self.local(scope, &output.name.text, span)?;
        let unit = self.number(value, span)?.unit;
        // What comes behind the target needs its shape.
        let path = format!("{}.{}.probed", self.net(id).path, p.name);
        let shape = self.net(id).populations[p.target].shape.clone();
        Some(self.leaf(NewLeaf { path: &path, role: Role::Work, unit, shape: &shape, batched: false, home: None }))
    }

    /// The names of a population with their units alone.
    pub fn unit_scope(&mut self, frame: FrameId, index: usize) -> ScopeId {
        let id = self.frame(frame).net;
        let population = self.net(id).populations[index].clone();
        let scope = self.scope(self.modules.item(population.item).module, None);
        for (name, num) in &population.params {
            self.bind(scope, name.clone(), Value::Num(Num::unknown(num.unit.clone())));
        }
        for state in &population.states {
            self.bind(scope, state.name.clone(), Value::Num(Num::unknown(state.unit.clone())));
        }
        for port in &population.ports {
            self.bind(scope, port.name.clone(), Value::Num(Num::unknown(port.unit.clone())));
        }
        let declared = self.neuron_of(&population);
        let computed = declared.dynamics.lets.iter().chain(&declared.dynamics.outputs).map(|d| d.name.text.clone());
        let names: Vec<String> =
            ["index", "n", "angle", "position", "y", "spikes"].map(String::from).into_iter().chain(computed).collect();
        for name in names {
            if !self.scopes[scope.0 as usize].names.contains_key(&name) {
                self.bind(scope, name, Value::Num(Num::unknown(Unit::Unknown)));
            }
        }
        scope
    }

    /// The synapse's formula for every pair that it joins, summed at the targets.
    fn formula_of_pairs(
        &mut self,
        frame: FrameId,
        k: usize,
        item: ItemId,
        synapse: &Synapse,
        sender: &Num,
    ) -> Option<Num> {
        let id = self.frame(frame).net;
        let p = self.net(id).projections[k].clone();
        let span = p.span;
        let target = self.net(id).populations[p.target].shape.clone();
        let Some(from) = self.shape(sender) else { return Some(Num::unknown(Unit::Unknown)) };
        let mut meeting = Meeting::of(&p, &from, &target);
        if matches!(meeting, Meeting::Windows(_)) {
            let message = format!("`{}` is a convolution: in a presentation its synapse is `Direct`", p.name);
            let d = Diagnostic::error("E0596", span, message)
                .help("leave `via` out, or say the formula in the neurons at its ends");
            self.report(d);
            return None;
        }
        let params = self.synapse_params(id, k, synapse)?;
        let q = p.weight.clone()?;
        let weight = self.projection_weight(id, &p.name, &q);
        let pre = self.scope(self.modules.item(item).module, None);
        let seen = self.apply(span, sender.unit.clone(), &[sender], |g, n| meeting.sender(g, n[0]));
        self.bind(pre, "y", Value::Num(seen));
        let post = self.receiver_scope(frame, p.target, &meeting, span);
        let view = SynapseView {
            weight,
            params,
            states: IndexMap::new(),
            pre: Some(Value::Names(pre)),
            post: Value::Names(post),
        };
        let scope = self.synapse_scope(item, synapse, &view);
        let output = synapse.dynamics.outputs.first()?;
        let value = self.local(scope, &output.name.text, output.span)?;
        let all = self.number(value, output.span)?;
        if let (Repr::Node(node), Some(program)) = (&all.repr, &mut self.program) {
            program.transmitted.insert((frame, k), *node);
        }
        Some(self.apply(span, all.unit.clone(), &[&all], |g, n| {
            let sum = meeting.sum_of_pairs(g, n[0])?;
            g.reshape(sum, &target)
        }))
    }

    /// A population's states and parameters, one for each pair that it is the target of.
    fn receiver_scope(&mut self, frame: FrameId, index: usize, meeting: &Meeting, span: Span) -> ScopeId {
        let id = self.frame(frame).net;
        let population = self.net(id).populations[index].clone();
        let scope = self.scope(self.modules.item(population.item).module, None);
        let states = self.frame(frame).populations[index].states.clone();
        for (name, num) in states.iter().chain(population.params.iter().map(|(n, v)| (n, v))) {
            let seen = match self.shape(num) {
                Some(shape) if shape.iter().product::<usize>() == population.size() && !shape.is_empty() => {
                    self.apply(span, num.unit.clone(), &[num], |g, n| meeting.target(g, n[0]))
                }
                _ => num.clone(),
            };
            self.bind(scope, name.clone(), Value::Num(seen));
        }
        scope
    }

    /// The sender's value where a delay of whole steps stands before it: read from its history.
    pub fn delayed_sender(&mut self, frame: FrameId, k: usize, p: &Projection) -> Option<Option<Num>> {
        let (_, delay) = p.args.iter().find(|(n, _)| n == "delay")?;
        let program = self.program.as_ref()?;
        let (id, dt) = (self.frame(frame).net, program.dt.unwrap_or(1.0));
        if program.purpose == Purpose::Probe {
            return self.undelayed_probe(frame, p);
        }
        let presented = matches!(program.purpose, Purpose::Samples { .. });
        if presented && self.varies_by_pair(delay) {
            self.refuse_own_delays(p);
            return Some(None);
        }
        let Some(sides) = self.delays(id, k, dt) else { return Some(None) };
        let mut steps = 0.0;
        for side in sides {
            let first = side.iter().next().copied().unwrap_or(0.0);
            if presented && side.iter().any(|d| *d != first) {
                self.refuse_own_delays(p);
                return Some(None);
            }
            steps += side.iter().copied().fold(0.0, f64::max);
        }
        if steps == 0.0 {
            return None;
        }
        Some(self.history(frame, p, steps as usize))
    }

    /// In a presentation a connection carries what its senders were at one time: its synapses have one delay.
    fn refuse_own_delays(&mut self, p: &Projection) {
        let Some((_, Argument::Expr(c) | Argument::Draw(c))) = p.args.iter().find(|(n, _)| n == "delay") else {
            return;
        };
        let span = self.expr_span(c.scope, c.expr.id);
        let message = format!("the synapses of `{}` have delays of their own: they act in `simulate`", p.name);
        let d = Diagnostic::error("E0676", span, message)
            .help("in `train`, `evaluate` and `collect` a connection has one delay: make one for each, `where(mod(i + j, 2) == 0) via Direct(delay = 1 step)` and so on");
        self.report(d);
    }

    /// In a probe a delayed sender is looked at by its unit and shape, so that a loop is none.
    fn undelayed_probe(&mut self, frame: FrameId, p: &Projection) -> Option<Option<Num>> {
        let (source, cells) = p.source?;
        let id = self.frame(frame).net;
        let population = self.net(id).populations[source].clone();
        let mut shape = population.shape.clone();
        if let Some((a, b)) = cells.map(|cells| population.rows_of(cells)) {
            shape[0] = b - a;
        }
        let unit = self.output_unit(&population);
        let path = format!("{}.{}.delayed", self.net(id).path, p.name);
        let leaf = NewLeaf { path: &path, role: Role::Work, unit, shape: &shape, batched: false, home: None };
        Some(Some(self.leaf(leaf)))
    }

    /// The unit of a population's output, from its declaration.
    pub fn output_unit(&mut self, population: &Population) -> Unit {
        if population.spiking {
            return Unit::REAL;
        }
        let Some(name) = self.default_output(population) else { return Unit::Unknown };
        population.states.iter().find(|s| s.name == name).map_or(Unit::Unknown, |s| s.unit.clone())
    }
}
