//! The trained quantities of a network by name: `net.params`, networks with other weights, and what a call on tensors is.

use std::sync::Arc;

use nnm_graph::ir::{Binary, NodeId, Op};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::*;
use crate::eval::operators::Operand;
use crate::program::{NewLeaf, Program, Purpose, Role};
use crate::session::{Mode, Session};
use crate::value::{Params, Repr, Value};

/// A trained quantity of a network or of a part of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `x_h.w`, `enc.x_h.b`, `block[2].W`
    pub name: String,
    /// Where it is stored, and under which path there.
    pub net: NetId,
    pub local: String,
    pub unit: Unit,
    pub shape: Vec<usize>,
}

impl Session<'_> {
    /// All that is trained without further word, and what is plastic, in the order of the declarations.
    pub fn entries(&self, id: NetId) -> Vec<Entry> {
        let mut out = vec![];
        self.add_entries(id, "", &mut out);
        out
    }

    fn add_entries(&self, id: NetId, prefix: &str, out: &mut Vec<Entry>) {
        let net = self.net(id);
        let mut add = |local: String, q: &Quantity| {
            let name = format!("{prefix}{local}");
            out.push(Entry { name, net: id, local, unit: q.unit.clone(), shape: q.shape.clone() });
        };
        for p in net.projections.iter().filter(|p| p.trained || p.plastic) {
            for q in [&p.weight, &p.bias].into_iter().flatten() {
                add(format!("{}.{}", p.name, q.name), q);
            }
        }
        for q in &net.weights {
            add(q.name.clone(), q);
        }
        for population in &net.populations {
            for q in &population.weights {
                add(format!("{}.{}", population.name, q.name), q);
            }
        }
        for part in &net.parts {
            for (k, inner) in part.nets.iter().enumerate() {
                let here =
                    if part.array { format!("{prefix}{}[{k}].", part.name) } else { format!("{prefix}{}.", part.name) };
                self.add_entries(*inner, &here, out);
            }
        }
    }

    /// `net.params`: every trained quantity as plain numbers in its scale; inside a program as the program holds it.
    pub fn net_params(&mut self, id: NetId) -> Value {
        let mut out = Params::new();
        for entry in self.entries(id) {
            let factor = Num::real(1.0 / entry.unit.shown().factor);
            let num = self.entry_number(&entry);
            let plain = if factor.as_f64() == Some(1.0) { num } else { self.mul(&factor, &num, Span::default()) };
            out.insert(entry.name, Num { unit: Unit::REAL, ..plain });
        }
        Value::Params(out.into())
    }

    fn entry_number(&mut self, entry: &Entry) -> Num {
        if let Some(num) = self.overridden(entry.net, &entry.local) {
            return num;
        }
        let Some(array) = self.stored_weight(entry.net, &entry.local) else {
            return Num::unknown(entry.unit.clone());
        };
        if !self.building() {
            return Num::array(entry.unit.clone(), array);
        }
        let path = format!("{}.{}", self.net(entry.net).path, entry.local);
        self.leaf(NewLeaf {
            path: &path,
            role: Role::Weight,
            unit: entry.unit.clone(),
            shape: array.shape(),
            batched: false,
            home: Some((entry.net, entry.local.clone())),
        })
    }

    /// What stands in place of a stored weight in a network made by `net.with(params)`.
    pub fn overridden(&self, id: NetId, local: &str) -> Option<Num> {
        self.net(id).with.as_ref().and_then(|tree| tree.get(local)).cloned()
    }

    /// `net.with(params)`.
    pub fn network_with(&mut self, id: NetId, tree: &Params, span: Span) -> Value {
        let entries = self.entries(id);
        let unknown = tree.keys().find(|n| !entries.iter().any(|e| e.name == **n));
        let missing = entries.iter().map(|e| &e.name).find(|n| !tree.contains_key(*n));
        if let Some(name) = unknown.or(missing) {
            let path = self.net(id).path.clone();
            let whose =
                if unknown.is_some() { format!("`{path}` has no `{name}`") } else { format!("`{name}` is missing") };
            let d = Diagnostic::error("E0571", span, format!("this tree is not shaped like `{path}.params`: {whose}"));
            return self.fail(d);
        }
        for entry in &entries {
            let (Some(num), Some(wanted)) = (tree.get(&entry.name), self.stored_weight(entry.net, &entry.local)) else {
                continue;
            };
            let (found, wanted) = (self.shape(num), wanted.shape().to_vec());
            if let Some(found) = found.filter(|f| *f != wanted) {
                let (a, b) = (self.shape_text(&wanted), self.shape_text(&found));
                let message = format!("`{}` has the shape {a}, here is {b}", entry.name);
                return self.error("E0571", span, message);
            }
        }
        let known = tree.values().all(|n| matches!(n.repr, Repr::Const(_)));
        let copy = self.copy_network(id);
        for entry in self.entries(copy) {
            let Some(num) = tree.get(&entry.name) else { continue };
            let scale = Num { unit: entry.unit.clone(), ..Num::real(entry.unit.shown().factor) };
            let num = self.mul(&scale, num, span);
            let num = Num { unit: entry.unit.clone(), ..num };
            let net = self.net_mut(entry.net);
            match (num.as_const(), known) {
                (Some(array), true) => {
                    net.store.insert(entry.local, array.clone());
                }
                _ => {
                    let with = net.with.get_or_insert_with(|| Arc::new(Params::new()));
                    Arc::make_mut(with).insert(entry.local, num);
                }
            }
        }
        Value::Network(copy)
    }

    /// A network with weights and states of its own.
    pub fn copy_network(&mut self, id: NetId) -> NetId {
        let path = format!("{}.copy", self.net(id).path);
        let copy = self.copied(id);
        let number = copy.0;
        self.rename_network(copy, &format!("{path}{number}"));
        copy
    }

    fn copied(&mut self, id: NetId) -> NetId {
        let mut net = self.net(id).clone();
        let parts = net.parts.clone();
        for (k, part) in parts.iter().enumerate() {
            net.parts[k].nets = part.nets.iter().map(|n| self.copied(*n)).collect();
        }
        self.nets.push(net);
        NetId(self.nets.len() as u32 - 1)
    }

    /// Gives a network and its parts the path by which the experiment calls it.
    pub fn rename_network(&mut self, id: NetId, path: &str) {
        self.net_mut(id).path = path.to_string();
        for part in self.net(id).parts.clone() {
            for (k, inner) in part.nets.iter().enumerate() {
                let here =
                    if part.array { format!("{path}.{}[{k}]", part.name) } else { format!("{path}.{}", part.name) };
                self.rename_network(*inner, &here);
            }
        }
    }

    /// `net(a, b)`: one evaluation on tensors, from fresh states. Outside of a program it is computed at once.
    pub fn call_on_tensors(&mut self, id: NetId, args: Vec<Operand>, span: Span) -> Value {
        if let Some(name) = self.acts_over_time(id) {
            let path = self.net(id).path.clone();
            let message = format!("`{path}` acts over time (`{name}`): a call evaluates a network once");
            let d = Diagnostic::error("E0572", span, message)
                .help("give its input over steps: `evaluate(… on DATA given x = image for 25 ms step 1 ms)`");
            return self.fail(d);
        }
        if self.building() {
            return self.run_frame(id, None, args, true, span);
        }
        self.at_once(span, |s| s.run_frame(id, None, args, true, span))
    }

    /// A population of the network whose step cannot be taken as one evaluation.
    pub fn acts_over_time(&self, id: NetId) -> Option<String> {
        let net = self.net(id);
        let own = net.populations.iter().find(|p| {
            let equations = match &self.modules.item(p.item).kind {
                crate::hir::ItemKind::Neuron(n) => !n.dynamics.equations.is_empty(),
                _ => false,
            };
            p.spiking || equations
        });
        let parts = || net.parts.iter().flat_map(|p| &p.nets).find_map(|n| self.acts_over_time(*n));
        own.map(|p| p.name.clone()).or_else(parts)
    }

    /// Evaluates something that needs a program where there is none: its numbers are known at once, in f64.
    pub fn at_once(&mut self, span: Span, f: impl FnOnce(&mut Self) -> Value) -> Value {
        let graph = std::mem::take(&mut self.graph);
        let outer = self.program.replace(Program::new(Purpose::Samples { training: false }, false));
        let value = f(self);
        let value = match value {
            Value::Num(num) => self.known_at_once(num, span).map_or(Value::Missing, Value::Num),
            Value::Params(tree) => {
                let known: Option<Params> =
                    tree.iter().map(|(n, x)| Some((n.clone(), self.known_at_once(x.clone(), span)?))).collect();
                known.map_or(Value::Missing, |t| Value::Params(t.into()))
            }
            other => other,
        };
        self.graph = graph;
        self.program = outer;
        value
    }

    fn known_at_once(&mut self, num: Num, span: Span) -> Option<Num> {
        let Repr::Node(node) = num.repr else { return Some(num) };
        let free = nnm_graph::free_vars(&self.graph, node);
        let given = |var| self.program.iter().flat_map(|p| p.leaves.values()).any(|l| l.var == var && l.home.is_none());
        if let Some(var) = free.iter().find(|v| given(**v)) {
            let name = self.graph.var(*var).name.clone();
            let message = format!("this needs `{name}`, which has a value only while data are given");
            self.report(Diagnostic::error("E0440", span, message).help("use it in `evaluate(… on DATA)`"));
            return None;
        }
        if self.mode == Mode::Check {
            return Some(Num { repr: Repr::Unknown, ..num });
        }
        let homes: Vec<(nnm_graph::ir::VarId, NetId, String)> = self
            .program
            .iter()
            .flat_map(|p| p.leaves.values())
            .filter_map(|l| l.home.clone().map(|(id, local)| (l.var, id, local)))
            .collect();
        let stored =
            |var| homes.iter().find(|(v, ..)| *v == var).and_then(|(_, id, local)| self.stored_weight(*id, local));
        let read = |var, _: &nnm_graph::ir::Place| stored(var).unwrap_or_else(|| crate::value::scalar(f64::NAN));
        match nnm_graph::eval_inside(&self.graph, node, &read) {
            Ok(array) => Some(Num { repr: Repr::Const(array), stepwise: false, ..num }),
            Err(outside) => {
                self.outside_error(span, &outside);
                None
            }
        }
    }

    /// A node that is a stored value times a number: that value and the number.
    pub fn scaled_read(&self, node: NodeId) -> (NodeId, f64) {
        let n = self.graph.node(node);
        if let (Op::Binary(Binary::Mul), [a, b]) = (&n.op, n.args.as_slice()) {
            for (factor, read) in [(a, b), (b, a)] {
                if let (Op::Const(value), Op::Read { .. }) = (&self.graph.node(*factor).op, &self.graph.node(*read).op)
                {
                    return (*read, *value);
                }
            }
        }
        (node, 1.0)
    }
}
