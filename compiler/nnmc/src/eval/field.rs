//! What stands after a dot: members of networks, fields of data and runs, and functions written as methods.

use nnm_syntax::ast::{Arg, Clause, ExprId, Name};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::{Call, Written, builtins};
use crate::network::InStore;
use crate::session::{ScopeId, Session};
use crate::suggest;
use crate::value::{Num, Owner, PopulationRef, ProjectionRef, Repr, Value};

impl Session<'_> {
    pub fn eval_field(&mut self, scope: ScopeId, base: ExprId, name: &Name, _span: Span) -> Value {
        let value = self.eval(scope, base);
        self.field(value, name)
    }

    pub fn eval_fields(&mut self, scope: ScopeId, base: ExprId, names: &[Name], _span: Span) -> Value {
        let value = self.eval(scope, base);
        let parts: Vec<Value> = names.iter().map(|n| self.field(value.clone(), n)).collect();
        Value::Many(parts.into())
    }

    /// `value.name`
    pub fn field(&mut self, value: Value, name: &Name) -> Value {
        let span = name.span;
        match value {
            Value::Missing => Value::Missing,
            Value::Network(id) => self.net_member(id, name),
            Value::Frame(frame) => self.frame_field(frame, name),
            Value::Population(p) => self.population_field(&p, name),
            Value::Projection(p) => self.projection_field(&p, name),
            Value::Names(scope) => self.end_field(scope, name),
            Value::Data(data) => self.data_field(&data, name),
            Value::Params(tree) => self.tree_field(&tree, name),
            Value::Record(record) => match record.get(&name.text) {
                Some(value) => value.clone(),
                None if record.is_empty() => {
                    let d = Diagnostic::error(
                        "E0225",
                        span,
                        format!("there is no `{}` here: nothing was recorded", name.text),
                    );
                    let help =
                        format!("a simulation keeps what its block says: `{{ record net.{}.spikes }}`", name.text);
                    self.fail(d.help(help))
                }
                None => {
                    let names: Vec<String> = record.keys().cloned().collect();
                    self.no_field(name, &names)
                }
            },
            Value::Num(num) if matches!(num.repr, Repr::Unknown) && matches!(num.unit, crate::unit::Unit::Unknown) => {
                Value::Num(Num::unknown(crate::unit::Unit::Unknown))
            }
            other => {
                let message = format!("{} has no field `{}`", other.describe(), name.text);
                self.error("E0225", span, message)
            }
        }
    }

    /// A member of a network in the program being built; of a part, in its last use.
    fn frame_field(&mut self, frame: crate::network::FrameId, name: &Name) -> Value {
        let id = self.frame(frame).net;
        if self.refuse_twins(id, name) {
            return Value::Missing;
        }
        let net = self.net(id);
        let fixed =
            net.weights.iter().chain(&net.latents).any(|q| q.name == name.text) || net.projection(&name.text).is_some();
        let frame = if fixed { frame } else { self.run_of(frame) };
        let scope = self.frame(frame).scope;
        match self.local(scope, &name.text, name.span) {
            Some(value) => self.stepwise_value(value),
            None => self.no_member(self.frame(frame).net, name),
        }
    }

    /// Connections without names of their own between the same ends: which is meant, nobody knows.
    fn refuse_twins(&mut self, id: crate::network::NetId, name: &Name) -> bool {
        let net = self.net(id);
        let same: Vec<_> =
            net.projections.iter().filter(|p| p.by_ends.as_deref() == Some(name.text.as_str())).collect();
        let [first, second, ..] = same.as_slice() else { return false };
        let target = &net.populations[first.target].name;
        let source = self.text(self.expr_span(first.from.scope, first.from.expr.id)).trim();
        let message = format!("`{}` is any of several connections between the same populations", name.text);
        let d = Diagnostic::error("E0674", name.span, message)
            .label(first.span, "this one")
            .label(second.span, "or this one")
            .help(format!("give each a name: `connect {source} -> {target} as NAME: …`"));
        self.report(d);
        true
    }

    pub fn no_field(&mut self, name: &Name, names: &[String]) -> Value {
        let d = Diagnostic::error("E0225", name.span, format!("there is no `{}` here", name.text));
        let near = suggest::nearest(&name.text, names.iter().map(String::as_str));
        let mut d = suggest::did_you_mean(d, name.span, near);
        if near.is_none() && !names.is_empty() && names.len() <= 24 {
            let list: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
            d = d.help(format!("there are {}", list.join(", ")));
        }
        self.fail(d)
    }

    fn no_member(&mut self, id: crate::network::NetId, name: &Name) -> Value {
        if self.net(id).broken.contains(&name.text) {
            return Value::Missing;
        }
        let names = self.net(id).member_names();
        self.no_field(name, &names)
    }

    /// `net.NAME` in an experiment: inside the program being built its value there, else what it holds now.
    fn net_member(&mut self, id: crate::network::NetId, name: &Name) -> Value {
        if name.text == "params" {
            return self.net_params(id);
        }
        if let Some(frame) = self.program.as_ref().and_then(|p| p.frames.get(&id)).copied() {
            return self.field(Value::Frame(frame), name);
        }
        if self.refuse_twins(id, name) {
            return Value::Missing;
        }
        let net = self.net(id);
        if let Some(index) = net.population(&name.text) {
            return Value::Population(PopulationRef { owner: Owner::Net(id), index, cells: None });
        }
        if let Some(index) = net.projection(&name.text) {
            return Value::Projection(ProjectionRef { owner: Owner::Net(id), index, select: None });
        }
        if let Some(part) = net.parts.iter().find(|p| p.name == name.text) {
            let nets: Vec<Value> = part.nets.iter().map(|n| Value::Network(*n)).collect();
            return match (part.array, nets.as_slice()) {
                (false, [one]) => one.clone(),
                _ => Value::Many(nets.into()),
            };
        }
        if let Some(q) = net.weights.iter().chain(&net.latents).find(|q| q.name == name.text) {
            let (unit, array) = (q.unit.clone(), net.store.get(&q.name).cloned());
            return array.map_or(Value::Missing, |a| Value::Num(Num::array(unit, a)));
        }
        if net.member_names().contains(&name.text) {
            return self.member_at_once(id, name);
        }
        self.no_member(id, name)
    }

    /// A member that is computed, outside of any program: what it is with the weights as they are, where it needs no data.
    pub fn member_at_once(&mut self, id: crate::network::NetId, name: &Name) -> Value {
        if self.has_time(id) {
            let path = format!("{}.{}", self.net(id).path, name.text);
            let message = format!("`{path}` has a value only while the network runs");
            let d = Diagnostic::error("E0440", name.span, message)
                .help(format!("`record {path}` in a `simulate`, or use it in `evaluate(… on DATA)`"));
            return self.fail(d);
        }
        self.at_once(name.span, |s| {
            let frame = s.new_frame(id, true, None, String::new());
            let value = s.field(Value::Frame(frame), name);
            match s.number(value, name.span) {
                Some(num) => Value::Num(Num { stepwise: false, ..num }),
                None => Value::Missing,
            }
        })
    }

    fn population_field(&mut self, p: &PopulationRef, name: &Name) -> Value {
        let span = name.span;
        let frame = match p.owner {
            Owner::Frame(frame) => Some(frame),
            Owner::Net(id) => self.program.as_ref().and_then(|x| x.frames.get(&id)).copied(),
        };
        let value = match (frame, p.owner) {
            (Some(frame), _) => {
                let value = self.population_name(frame, p.index, &name.text, span);
                self.one_a_cell(frame, p.index, name, value)
            }
            (None, Owner::Net(id)) => self.population_now(id, p.index, name),
            (None, Owner::Frame(_)) => Value::Missing,
        };
        match (value, p.cells) {
            (Value::Num(num), Some((from, to))) if self.shape(&num).is_some_and(|s| !s.is_empty()) => {
                Value::Num(self.cells_of(&num, from, to, span))
            }
            (value, _) => value,
        }
    }

    /// In a simulation a port, or what is computed in each cell, is one value a cell, also where all have the same: the
    /// shape of a recording does not depend on what reaches the cells.
    fn one_a_cell(&mut self, frame: crate::network::FrameId, index: usize, name: &Name, value: Value) -> Value {
        let simulates = self.program.as_ref().is_some_and(|p| p.purpose == crate::program::Purpose::Simulate);
        let population = &self.net(self.frame(frame).net).populations[index];
        let neuron = self.neuron_of(population);
        let computed = neuron.dynamics.lets.iter().chain(&neuron.dynamics.outputs).any(|d| d.name.text == name.text);
        let shape = population.shape.clone();
        match value {
            Value::Num(num)
                if simulates
                    && (computed || population.ports.iter().any(|p| p.name == name.text))
                    && self.shape(&num).is_some_and(|s| s.is_empty()) =>
            {
                Value::Num(self.to_shape(num, &shape, name.span))
            }
            other => other,
        }
    }

    /// A population's state, parameter or place, as it is now.
    fn population_now(&mut self, id: crate::network::NetId, index: usize, name: &Name) -> Value {
        let population = self.net(id).populations[index].clone();
        let path = format!("{}.{}", population.name, name.text);
        if let Some(state) = population.states.iter().find(|s| s.name == name.text) {
            let array = self.net(id).store.get(&path).cloned().unwrap_or_else(|| state.initial.clone());
            return Value::Num(Num::array(state.unit.clone(), array));
        }
        if let Some((_, num)) = population.params.iter().find(|(n, _)| *n == name.text) {
            return Value::Num(num.clone());
        }
        if let Some(q) = population.weights.iter().find(|q| q.name == name.text) {
            let (unit, array) = (q.unit.clone(), self.net(id).store.get(&path).cloned());
            return array.map_or(Value::Missing, |a| Value::Num(Num::array(unit, a)));
        }
        let place = match name.text.as_str() {
            "angle" => population.angle.clone(),
            "position" => population.position.clone(),
            "n" => Some(Num::real(population.size() as f64)),
            "index" => Some(Num::array(
                crate::unit::Unit::REAL,
                crate::value::vector((0..population.size()).map(|k| k as f64).collect()),
            )),
            _ => None,
        };
        if let Some(place) = place {
            return Value::Num(place);
        }
        let mut names: Vec<String> = population.states.iter().map(|s| s.name.clone()).collect();
        names.extend(population.params.iter().map(|(n, _)| n.clone()));
        names.extend(population.ports.iter().map(|p| p.name.clone()));
        self.no_field(name, &names)
    }

    fn projection_field(&mut self, p: &ProjectionRef, name: &Name) -> Value {
        let (id, frame) = match p.owner {
            Owner::Net(id) => (id, self.program.as_ref().and_then(|x| x.frames.get(&id)).copied()),
            Owner::Frame(frame) => (self.frame(frame).net, Some(frame)),
        };
        let projection = self.net(id).projections[p.index].clone();
        if matches!(name.text.as_str(), "pre" | "post" | "delay" | "w")
            && self.has_unknown_edges(&projection.pattern)
            && frame.is_none()
        {
            let unit = match name.text.as_str() {
                "delay" => crate::unit::Unit::parse("ms"),
                "w" => projection.weight.as_ref().map(|q| q.unit.clone()),
                _ => None,
            };
            return Value::Num(Num::unknown(unit.unwrap_or(crate::unit::Unit::REAL)));
        }
        if name.text == "delay" {
            return match self.delay_of(id, p.index) {
                Some(num) => {
                    let shape = projection.weight.as_ref().map_or(vec![], |w| w.shape.clone());
                    let num = self.laid_out(&num, &shape);
                    self.selected_weights(num, p, &projection, name.span)
                }
                None => Value::Missing,
            };
        }
        if let (Some(edges), "pre" | "post") = (&projection.edges, name.text.as_str()) {
            let (cells, first) = match name.text.as_str() {
                "pre" => (edges.sender().into(), projection.first_sender()),
                _ => (edges.target.clone(), 0),
            };
            let cells = crate::value::vector(cells.iter().map(|c| f64::from(*c) + first as f64).collect());
            let shape = projection.weight.as_ref().map_or(vec![], |w| w.shape.clone());
            let cells = self.laid_out(&Num::array(crate::unit::Unit::REAL, cells), &shape);
            return self.selected_weights(cells, p, &projection, name.span);
        }
        if let (None, "pre" | "post", true) = (&projection.edges, name.text.as_str(), projection.pattern.is_full()) {
            return match self.ends_of_full(&projection, name.text == "pre") {
                Value::Num(num) => self.selected_weights(num, p, &projection, name.span),
                other => other,
            };
        }
        let quantity = [&projection.weight, &projection.bias].into_iter().flatten().find(|q| q.name == name.text);
        let Some(q) = quantity else {
            if name.text == "w" && projection.pattern.has_weight() && self.error_count() > 0 {
                // Why the weight could not be made has been said.
                return Value::Missing;
            }
            if let Some(kept) = self.kept_by_rule(id, p, name) {
                return kept;
            }
            let states = self.synapse_states(&projection);
            if states.contains(&name.text) {
                return self.synapse_state(id, frame, p, name);
            }
            // What is wrong with the connection has been said.
            if matches!(name.text.as_str(), "w" | "b" | "pre" | "post") && self.has_errors() {
                return Value::Missing;
            }
            if let Some(rule) = self.rule_that_keeps(id, &projection, &name.text) {
                let message = format!("`{}` belongs to the rule `{rule}`", name.text);
                let d = Diagnostic::error("E0225", name.span, message).help(format!("write `{rule}.{}`", name.text));
                return self.fail(d);
            }
            let own = [&projection.weight, &projection.bias].into_iter().flatten().map(|q| q.name.clone());
            let names = own.chain(["delay", "pre", "post"].map(String::from)).chain(states);
            return self.no_field(name, &names.collect::<Vec<_>>());
        };
        let num = match frame {
            Some(_) => {
                let num = self.current_weight(id, &projection.name, q);
                return self.selected_weights(num, p, &projection, name.span);
            }
            // While checking nothing is wired: how many synapses a sparse pattern has is not known.
            None if self.mode == crate::session::Mode::Check && !projection.pattern.is_full() && q.name == "w" => None,
            None => self.stored_weight(id, &format!("{}.{}", projection.name, q.name)),
        };
        match num {
            Some(array) => self.selected_weights(Num::array(q.unit.clone(), array), p, &projection, name.span),
            None => Value::Num(Num::unknown(q.unit.clone())),
        }
    }

    /// Where the synapses of a full connection begin or end, laid out as its weights are.
    fn ends_of_full(&self, projection: &crate::network::Projection, pre: bool) -> Value {
        let Some(shape) = projection.weight.as_ref().map(|w| w.shape.clone()).filter(|s| s.len() == 2) else {
            return Value::Num(Num::unknown(crate::unit::Unit::REAL));
        };
        let first = match pre {
            true => projection.source.and_then(|(_, c)| c),
            false => projection.target_cells,
        };
        let first = first.map_or(0, |(a, _)| a);
        let place = |k: usize| if pre { k % shape[1] } else { k / shape[1] };
        let cells = (0..shape[0] * shape[1]).map(|k| (place(k) + first) as f64).collect();
        Value::Num(Num::array(crate::unit::Unit::REAL, crate::value::shaped(&shape, cells)))
    }

    pub fn synapse_states(&self, projection: &crate::network::Projection) -> Vec<String> {
        let synapse = projection.synapse.and_then(|item| self.synapse_item(item));
        synapse.map_or(vec![], |s| s.dynamics.states.iter().map(|d| d.name.text.clone()).collect())
    }

    /// A state of a connection's synapses, one number for each place where it lives.
    fn synapse_state(
        &mut self,
        id: crate::network::NetId,
        frame: Option<crate::network::FrameId>,
        p: &ProjectionRef,
        name: &Name,
    ) -> Value {
        let projection = self.net(id).projections[p.index].clone();
        let path = frame.and_then(|f| self.program.as_ref()?.paths.get(&(f, p.index)).cloned());
        if let Some((var, unit, home)) = path.and_then(|path| path.vars.get(&name.text).cloned()) {
            let node = self.read_whole(var);
            return self.at_synapses(Num::node(unit, node), Some(home), p, name);
        }
        let units = projection.synapse.zip(projection.synapse.and_then(|item| self.synapse_item(item)));
        let units = units.and_then(|(item, synapse)| self.synapse_state_units(id, p.index, item, &synapse));
        let unit = units.into_iter().flatten().find(|(n, _)| *n == name.text).map_or(crate::unit::Unit::REAL, |u| u.1);
        if self.mode == crate::session::Mode::Check {
            return Value::Num(Num::unknown(unit));
        }
        match self.net(id).store.get(&format!("{}.{}", projection.name, name.text)).cloned() {
            Some(array) => {
                let home = self.net(id).kept.get(&format!("{}.{}", projection.name, name.text)).and_then(|k| k.home);
                self.at_synapses(Num::array(unit, array), home, p, name)
            }
            None => {
                let message = format!("`{}.{}` has values once it has been simulated", projection.name, name.text);
                self.error("E0440", name.span, message)
            }
        }
    }

    /// What a rule keeps of a connection, under the rule's name: `net.x_h.KolenPollack.B`, `net.syn.STDP.x`.
    fn kept_by_rule(&mut self, id: crate::network::NetId, p: &ProjectionRef, rule: &Name) -> Option<Value> {
        let prefix = format!("{}.{}.", self.net(id).projections[p.index].name, rule.text);
        let kept = self.net(id).kept.iter();
        let found = kept.filter_map(|(path, kept)| Some((path.strip_prefix(&prefix)?.to_string(), kept.clone())));
        let found: Vec<(String, InStore)> = found.collect();
        if found.is_empty() {
            return None;
        }
        let scope = self.scope(crate::hir::ModuleId(0), None);
        for (name, InStore { unit, home }) in &found {
            // A trace has an instance for each delay, and is one value where there is one delay.
            let own = name.split('@').next().unwrap_or(name);
            if found.iter().filter(|(other, _)| other.split('@').next() == Some(own)).count() > 1 {
                continue;
            }
            let local = format!("{prefix}{name}");
            let leaf = self.leaf_of(&format!("{}.{local}", self.net(id).path));
            let num = match (leaf, self.net(id).store.get(&local).cloned()) {
                (Some(leaf), _) => Num::node(unit.clone(), self.read_whole(leaf.var)),
                (None, Some(array)) => Num::array(unit.clone(), array),
                (None, None) => Num::unknown(unit.clone()),
            };
            let name = Name { text: own.to_string(), span: rule.span };
            let value = self.at_synapses(num, *home, p, &name);
            self.bind(scope, own.to_string(), value);
        }
        Some(Value::Names(scope))
    }

    /// The rule that keeps something of this name for a connection.
    fn rule_that_keeps(
        &self,
        id: crate::network::NetId,
        projection: &crate::network::Projection,
        name: &str,
    ) -> Option<String> {
        let prefix = format!("{}.", projection.name);
        self.net(id).kept.keys().find_map(|path| {
            let (rule, own) = path.strip_prefix(&prefix)?.split_once('.')?;
            (own.split('@').next() == Some(name)).then(|| rule.to_string())
        })
    }

    /// A weight as the program holds it: per edge where events travel, else as declared.
    fn current_weight(&mut self, id: crate::network::NetId, name: &str, q: &crate::network::Quantity) -> Num {
        let edge_path = format!("{}.{name}.{}@edges", self.net(id).path, q.name);
        let leaf = self.program.as_ref().and_then(|p| p.leaves.get(&edge_path)).cloned();
        match leaf {
            Some(leaf) => {
                let node = self.read_whole(leaf.var);
                self.laid_out(&Num::node(q.unit.clone(), node), &q.shape)
            }
            None => self.projection_weight(id, name, q),
        }
    }

    fn end_field(&mut self, scope: ScopeId, name: &Name) -> Value {
        if let Some(value) = self.local(scope, &name.text, name.span) {
            return value;
        }
        let names: Vec<String> =
            self.scopes[scope.0 as usize].names.keys().filter(|n| !n.contains(' ')).cloned().collect();
        let message = match &self.scopes[scope.0 as usize].table {
            Some(file) => format!("`{file}` has no column `{}`", name.text),
            None => format!("this end of the connection has no `{}`", name.text),
        };
        let d = Diagnostic::error("E0418", name.span, message);
        let near = suggest::nearest(&name.text, names.iter().map(String::as_str));
        let d = suggest::did_you_mean(d, name.span, near);
        self.fail(match (near, name.text.as_str()) {
            (None, "angle" | "position") => d.help(format!(
                "a population has places where it says so: `population E: LIF[n] at {}`",
                if name.text == "angle" { "ring()" } else { "grid()" }
            )),
            (None, _) if !names.is_empty() && names.len() <= 24 => {
                let list: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
                d.help(format!("there are {}", list.join(", ")))
            }
            _ => d,
        })
    }

    fn data_field(&mut self, data: &crate::value::Dataset, name: &Name) -> Value {
        if let Some(part) = data.parts.get(&name.text) {
            return Value::Data(part.clone());
        }
        if let Some(field) = data.fields.get(&name.text) {
            return Value::Num(field.clone());
        }
        let names: Vec<String> = data.parts.keys().chain(data.fields.keys()).cloned().collect();
        self.no_field(name, &names)
    }

    /// `value.f(…)`: a member that is called, else the library's function with the value in front.
    pub fn call_method(
        &mut self,
        scope: ScopeId,
        base: ExprId,
        name: &Name,
        args: &[Arg],
        clauses: &[Clause],
        span: Span,
    ) -> Value {
        let receiver = self.eval(scope, base);
        if matches!(receiver, Value::Missing) {
            return Value::Missing;
        }
        let call = Call {
            scope,
            name: name.text.clone(),
            receiver: Some(receiver.clone()),
            bound: vec![],
            args: args.to_vec(),
            clauses: clauses.to_vec(),
            span,
            asked: Default::default(),
        };
        if let Some(method) = builtins::method(&receiver, &name.text) {
            return (method.run)(self, &call);
        }
        let is_member = matches!(&receiver, Value::Network(_) | Value::Frame(_) | Value::Record(_));
        if is_member {
            let callee = self.field(receiver, name);
            return self.call_value(scope, callee, Written { receiver: None, args, clauses, span, text: "" });
        }
        let module = self.module_of(scope);
        if let Some(item) = self.modules.get(module).seen.get(&name.text).copied() {
            let callee = self.item_value(item, name.span);
            return self.call_value(scope, callee, Written { receiver: Some(receiver), args, clauses, span, text: "" });
        }
        match builtins::find(&name.text) {
            Some(builtin) => (builtin.run)(self, &call),
            None => {
                let d = Diagnostic::error(
                    "E0226",
                    name.span,
                    format!("{} has no method `{}`", receiver.describe(), name.text),
                );
                let names: Vec<&str> = builtins::all().map(|b| b.name).collect();
                let near = suggest::nearest(&name.text, names.into_iter());
                self.fail(suggest::did_you_mean(d, name.span, near))
            }
        }
    }
}
