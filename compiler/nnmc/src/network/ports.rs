//! What arrives at the ports of populations in a step: what each connection brings, and the sum.

use nnm_syntax::diag::Diagnostic;

use super::*;
use crate::program::{NewLeaf, Purpose, Role};
use crate::session::Session;
use crate::value::{Repr, Value};

impl Session<'_> {
    /// What arrives at a port in this step, from the scope's point of view.
    pub fn port_value(&mut self, frame: FrameId, population: usize, port: usize) -> Value {
        self.port_of_frame(frame, population, port).map_or(Value::Missing, Value::Num)
    }

    pub(super) fn port_of_frame(&mut self, frame: FrameId, population: usize, port: usize) -> Option<Num> {
        let key = (frame, population, port);
        let id = self.frame(frame).net;
        if self.program.as_ref().is_some_and(|p| p.purpose == Purpose::Simulate) {
            self.ensure_unit(frame)?;
        }
        let declared = self.net(id).populations[population].ports[port].clone();
        if let Some(node) = self.program.as_ref().and_then(|p| p.port_nodes.get(&key)) {
            let stepwise = self.program.as_ref().is_some_and(|p| p.stepped);
            return Some(Num { stepwise, ..Num::node(declared.unit, *node) });
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
        let Some(total) = total else { return self.unreached_port(frame, population, &declared) };
        let total = Num { unit: declared.unit, ..total };
        Some(self.marked_port(key, total))
    }

    /// What a port has in which nothing ends: its default, else 0.
    fn unreached_port(&mut self, frame: FrameId, population: usize, port: &Port) -> Option<Num> {
        let Some(default) = port.default else { return Some(Num::scalar(port.unit.clone(), 0.0)) };
        let scope = self.frame(frame).populations[population].scope;
        let given = self.operand(scope, default)?;
        let declared = crate::eval::types::Declared { unit: port.unit.clone(), ..crate::eval::types::Declared::real() };
        let num = self.hold_number(given.num, &declared, port.span, given.span)?;
        Some(Num { unit: port.unit.clone(), ..num })
    }

    /// Keeps a port's sum. Where errors that arrive there may be asked for, it is a node of its own: two ports may receive
    /// the same, and what follows may be computed around a sum.
    fn marked_port(&mut self, key: (FrameId, usize, usize), total: Num) -> Num {
        let Repr::Node(node) = total.repr else { return total };
        let (frame, population, port) = key;
        let place = format!("{}.{port}", self.state_base(frame, population));
        let Some(program) = &mut self.program else { return total };
        let mut node = node;
        if matches!(program.purpose, Purpose::Samples { .. }) {
            // Each objective of a training sees the network in a frame of its own: the port is the same.
            node = *program.marks.entry((node, place)).or_insert_with(|| self.graph.marked(node));
            // Solvers hold it over the step, as they do the contributions in it.
            program.foreign.push(node);
        }
        program.port_nodes.insert(key, node);
        Num { repr: Repr::Node(node), ..total }
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
        let whole = self.net(id).populations[p.target].size();
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
        if let Some((from, to)) = cells.map(|cells| population.rows_of(cells)) {
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
}
