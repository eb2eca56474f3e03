//! Synapses at work: their states where they live, what arrivals do to them, and how they change in time.

use std::collections::BTreeSet;
use std::sync::Arc;

use nnm_graph::ir::{Assign, NodeId, Place, Rows, VarElem, VarId};
use nnm_syntax::ast::{AssignOp, ExprId, ExprKind, Init, Name, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::ends::{Seen, Site};
use super::pairs::Formula;
use super::placement;
use super::transport::{Path, Route};
use super::{Build, Lumped};
use crate::dynamics::Equation;
use crate::failure::Noted;
use crate::hir::Synapse;
use crate::network::{Home, Projection, State};
use crate::program::{Jump, NewLeaf, Role};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Argument, Num, Value};

impl Session<'_> {
    /// Decides where the synapse's states live and makes their storage.
    pub fn declare_states(&mut self, b: &mut Build, k: usize) -> Option<()> {
        let site = Site { frame: b.frame, projection: k, seen: Seen::Edges, route: 0, after: false };
        let mut path = (*self.path_of(site)?).clone();
        let Some((item, synapse)) = path.synapse.clone() else { return Some(()) };
        let p = self.net(b.net).projections[k].clone();
        let homes = placement::place(&synapse, &self.around(&path)?);
        if path.edges.is_none() && homes.iter().any(|(_, home, _)| *home == Home::Connection) {
            let edges = self.make_edges(b.net, k, path.senders)?;
            if let (true, Some(q)) = (b.learned.contains(&k) || p.plastic, &p.weight) {
                path.weight = self.edge_weight(b, &p, q, &edges, true)?;
            }
            path.edges = Some(edges);
        }
        if homes.is_empty() {
            b.placements.push((p.name.clone(), "has no state".into()));
        }
        let units = self.synapse_state_units(b.net, k, item, &synapse)?;
        for ((name, home, reason), (_, unit)) in homes.iter().zip(&units) {
            let shape = match home {
                Home::Sender => self.net(b.net).populations[p.source?.0].shape.clone(),
                Home::Target => self.net(b.net).populations[p.target].shape.clone(),
                Home::Connection => vec![path.edge_count()],
            };
            let local = format!("{}.{name}", p.name);
            let full = format!("{}.{local}", self.net(b.net).path);
            let home_in_store = Some((b.net, local));
            let (role, unit) = (Role::State, unit.clone());
            let leaf =
                NewLeaf { path: &full, role, unit: unit.clone(), shape: &shape, batched: false, home: home_in_store };
            let var = self.leaf_var(&leaf);
            if let Some(kept) = self.net_mut(b.net).kept.get_mut(&format!("{}.{name}", p.name)) {
                kept.home = Some(*home);
            }
            path.vars.insert(name.clone(), (var, unit, *home));
            let first = self.initial_state(b, &path, name, *home, &shape)?;
            b.tables.push((var, first));
            b.placements.push((p.name.clone(), format!("state {name} {}: {reason}", home.name())));
        }
        let frame = b.frame;
        self.program.as_mut()?.paths.insert((frame, k), Arc::new(path));
        Some(())
    }

    /// A state's first values: as `via` gives them, else as the synapse declares.
    fn initial_state(&mut self, b: &Build, path: &Path, name: &str, home: Home, shape: &[usize]) -> Option<Vec<f64>> {
        let (item, synapse) = path.synapse.clone()?;
        let p = self.net(b.net).projections[path.projection].clone();
        let full = format!("{}.{}.{name}", self.net(b.net).path, p.name);
        let scope = self.scope(self.modules.item(item).module, None);
        let decl = synapse.dynamics.states.iter().find(|s| s.name.text == name)?;
        let given = p.args.iter().find(|(n, _)| n == name).map(|(_, a)| a.clone());
        let (num, at) = match (given, decl.init) {
            (Some(argument), _) => {
                let at = match &argument {
                    Argument::Expr(c) | Argument::Draw(c) => self.expr_span(c.scope, c.expr.id),
                    Argument::Value(_) => p.span,
                };
                let num = match (&argument, home) {
                    (_, Home::Connection) => self.pair_argument(b.net, &p, &argument, shape, path.senders, &full)?,
                    (Argument::Draw(c), _) => self.draw_values(*c, c.scope, shape, &full)?,
                    (Argument::Expr(c), _) => self.operand(c.scope, c.expr.id)?.num,
                    (Argument::Value(v), _) => self.number(v.clone(), p.span)?,
                };
                (num, at)
            }
            (None, None) => return Some(vec![0.0]),
            (None, Some(Init::Value(e))) => (self.operand(scope, e)?.num, decl.span),
            (None, Some(Init::Draw(e))) => (self.draw_values(self.closure(scope, e), scope, shape, &full)?, decl.span),
        };
        let unit = path.vars.get(name)?.1.clone();
        let declared = crate::eval::types::Declared { unit, ..crate::eval::types::Declared::real() };
        let num = self.hold_number(num, &declared, decl.span, at)?;
        let values = num.as_const().map_or(vec![0.0], |a| a.iter().copied().collect::<Vec<f64>>());
        let size: usize = shape.iter().product();
        if values.len() != 1 && values.len() != size && self.mode == crate::session::Mode::Run {
            let found = values.len();
            let message = format!("`{name}` begins with one number, or with {size} of them; here are {found}");
            self.error("E0313", at, message);
            return None;
        }
        Some(values)
    }

    /// Storage for what the default synapse of a spiking sender brings in a step.
    pub fn direct_arrivals(&mut self, b: &mut Build, k: usize) -> Option<()> {
        let site = Site { frame: b.frame, projection: k, seen: Seen::FromPre, route: 0, after: false };
        let path = self.path_of(site)?;
        let p = self.net(b.net).projections[k].clone();
        let Some(output) = self.event_output(&path)? else { return Some(()) };
        let target = self.net(b.net).populations[p.target].clone();
        let port = target.ports.get(p.port?).cloned()?;
        let name = format!("{}.{}", self.net(b.net).path, p.name);
        let (sum, value) = self.accumulator(b, &format!("{name}.in"), port.unit.clone(), &target.shape);
        let mut counted = None;
        if port.event {
            let (count, num) = self.accumulator(b, &format!("{name}.events"), Unit::REAL, &target.shape);
            counted = Some(count);
            let entry = self.program.as_mut()?.events.entry((b.frame, p.target, port.name.clone())).or_default();
            entry.push((num, value.clone()));
        }
        let others = b.deliveries.len();
        for (number, route) in path.routes.iter().enumerate() {
            let site = Site { route: number, ..site };
            let each = match &output {
                None => self.weight_seen(site, &path)?,
                Some((name, span)) => {
                    let scope = self.synapse_names(site, &[])?;
                    let value = self.local(scope, name, *span)?;
                    self.number(value, *span)?
                }
            };
            self.fits_port(&each, &port, &p)?;
            let value = self.lift(&each);
            let mut body = vec![Assign { to: sum, place: Place::Other, add: true, value }];
            if let Some(count) = counted {
                let one = self.graph.constant(1.0);
                body.push(Assign { to: count, place: Place::Other, add: true, value: one });
            }
            self.deliver(b, &p, route, true, &format!("{}: arrivals", p.name), body);
        }
        b.arrivals.extend(b.deliveries.drain(others..));
        self.program.as_mut()?.arrivals.insert((b.frame, k), value);
        Some(())
    }

    /// The output that arrives with spikes alone: none of a connection with states, `Some(None)` of the default synapse.
    #[allow(clippy::option_option)]
    fn event_output(&mut self, path: &Path) -> Option<Option<Option<(String, Span)>>> {
        if !path.spiking {
            return Some(None);
        }
        let Some((_, synapse)) = &path.synapse else { return Some(Some(None)) };
        let Some(output) = synapse.dynamics.outputs.first() else { return Some(None) };
        let name = output.name.text.clone();
        let follows = placement::follows_spikes(synapse, &self.around(path)?, &name);
        Some(follows.then_some(Some((name, output.span))))
    }

    /// A port's sum over the events of this step, emptied after use.
    pub fn accumulator(&mut self, b: &mut Build, name: &str, unit: Unit, shape: &[usize]) -> (VarId, Num) {
        let leaf = NewLeaf { path: name, role: Role::Work, unit: unit.clone(), shape, batched: false, home: None };
        let var = self.leaf_var(&leaf);
        let node = self.read_whole(var);
        let zero = self.graph.filled(0.0, shape);
        if !b.assigns.iter().any(|a| a.to == var) {
            b.assigns.push(Assign { to: var, place: Place::Whole, add: false, value: zero });
        }
        if let Some(program) = &mut self.program {
            program.sums.insert(var);
        }
        (var, Num::node(unit, node))
    }

    /// What `on pre` does at arrivals: on each edge first, then to what all synapses of a sender share.
    pub fn synapse_arrivals(&mut self, b: &mut Build, k: usize) -> Option<()> {
        let site = Site { frame: b.frame, projection: k, seen: Seen::FromPre, route: 0, after: false };
        let path = self.path_of(site)?;
        let Some((_, synapse)) = path.synapse.clone() else { return Some(()) };
        if !synapse.dynamics.ons.iter().any(|o| o.event.text == "pre") {
            return Some(());
        }
        let p = self.net(b.net).projections[k].clone();
        for (number, route) in path.routes.iter().enumerate() {
            let site = Site { route: number, ..site };
            let (body, own) = self.arrival(b, site, &path, &p, &synapse)?;
            self.deliver(b, &p, route, true, &format!("{}: on pre", p.name), body);
            self.deliver_to_senders(b, &p, route, own)?;
        }
        Some(())
    }

    /// The effects of one arrival: on the edge and its target, and on the sender's states.
    fn arrival(
        &mut self,
        b: &mut Build,
        site: Site,
        path: &Path,
        p: &Projection,
        synapse: &Synapse,
    ) -> Option<(Vec<Assign>, Vec<Assign>)> {
        let mut here: Vec<(String, Num)> = vec![];
        for (name, (_, _, home)) in &path.vars {
            if *home != Home::Target {
                here.push((name.clone(), self.state_seen(site, path, name)?));
            }
        }
        let before = here.clone();
        let mut lets: Vec<(String, Value)> = vec![];
        let mut body = vec![];
        for stmt in synapse.dynamics.ons.iter().filter(|o| o.event.text == "pre").flat_map(|o| &o.block) {
            let scope = self.synapse_names(site, &here)?;
            lets.iter().for_each(|(name, value)| self.bind(scope, name.clone(), value.clone()));
            match &stmt.kind {
                StmtKind::Let { name, value, .. } => lets.push((name.text.clone(), self.eval(scope, *value))),
                StmtKind::Assign { place, index, op, value } => {
                    let right = self.operand(scope, *value)?.num;
                    match place.as_slice() {
                        [_] if !index.is_empty() => {
                            self.refuse_elements(stmt.span);
                            return None;
                        }
                        [name] => match here.iter_mut().find(|(n, _)| *n == name.text) {
                            Some((_, old)) => {
                                let new = self.assigned(*op, &old.clone(), &right, stmt.span);
                                *old = new;
                            }
                            None => {
                                let var = path.vars.get(&name.text)?.0;
                                let value = self.signed(*op, &right)?;
                                body.push(Assign { to: var, place: Place::Other, add: true, value });
                            }
                        },
                        [end, name] if end.text == "post" && matches!(op, AssignOp::Add | AssignOp::Sub) => {
                            let value = self.signed(*op, &right)?;
                            let Some(declared) = self.jumping_state(b, p.target, name) else {
                                self.no_state_to_jump(b, p.target, name);
                                return None;
                            };
                            let elements = self.jumping_elements(scope, &declared, index, (p.target, b), stmt.span)?;
                            let var = self.jump(b, p.target, &declared, elements)?;
                            body.push(Assign { to: var, place: Place::Other, add: true, value });
                        }
                        _ => {
                            let message = "a synapse's block changes its own states, or adds to `post.…`";
                            self.error("E0439", stmt.span, message);
                            return None;
                        }
                    }
                }
                _ => {}
            }
        }
        let mut own = vec![];
        for ((name, old), (_, new)) in before.iter().zip(&here) {
            let (old, value) = (self.lift(old), self.lift(new));
            if old == value {
                continue;
            }
            let (to, _, home) = path.vars.get(name).cloned()?;
            match home {
                Home::Sender => own.push(Assign { to, place: Place::Own, add: false, value }),
                _ => body.push(Assign { to, place: Place::Edge, add: false, value }),
            }
        }
        Some((body, own))
    }

    fn signed(&mut self, op: AssignOp, value: &Num) -> Option<NodeId> {
        let value = self.lift(value);
        match op {
            AssignOp::Sub => self.graph.unary(nnm_graph::ir::Unary::Neg, value).noted(self),
            _ => Some(value),
        }
    }

    /// Says what of a target spikes can change.
    fn no_state_to_jump(&mut self, b: &Build, target: usize, name: &Name) {
        if self.has_errors() {
            return;
        }
        let population = &self.net(b.net).populations[target];
        let states: Vec<&str> = population.states.iter().map(|s| s.name.as_str()).collect();
        let near = crate::suggest::nearest(&name.text, states.iter().copied());
        let port = population.ports.iter().find(|p| p.name == name.text);
        let message = format!("a spike changes states of `{}`, and `{}` is none", population.name, name.text);
        let d = Diagnostic::error("E0439", name.span, message);
        let d = match (port, states.as_slice()) {
            (Some(port), _) => {
                d.help(format!("what goes into the port is the synapse's output: `output {} = …`", port.name))
            }
            (None, []) => d,
            (None, states) => d.help(format!("its states are `{}`", states.join("`, `"))),
        };
        self.report(crate::suggest::did_you_mean(d, name.span, near));
    }

    fn jumping_state(&self, b: &Build, target: usize, name: &Name) -> Option<State> {
        self.net(b.net).populations[target].states.iter().find(|s| s.name == name.text).cloned()
    }

    /// The elements of a target's array that spikes change, from one place up to another on each axis that is named.
    fn jumping_elements(
        &mut self,
        scope: ScopeId,
        state: &State,
        index: &[ExprId],
        (target, b): (usize, &Build),
        span: Span,
    ) -> Option<Vec<(usize, usize)>> {
        let cells = self.net(b.net).populations[target].shape.len();
        let own = &state.initial.shape()[cells..];
        if index.len() > own.len() {
            self.no_axis(own, own.len(), span);
            return None;
        }
        let mut out = vec![];
        for (id, length) in index.iter().zip(own) {
            let (_, expr) = self.bare_expr(scope, *id);
            let known = matches!(expr.kind, ExprKind::Range { .. }) || self.operand(scope, *id)?.num.as_f64().is_some();
            if !known {
                let message = "which element spikes change is known before the run";
                let d = Diagnostic::error("E0661", expr.span, message);
                self.report(d.help(format!(
                    "let them arrive at an `input k: event` of the neuron, and change it there: `on k {{ {}[…] += k }}`",
                    state.name
                )));
                return None;
            }
            out.push(self.index_range(scope, *id, *length)?);
        }
        Some(out)
    }

    /// Where jumps of a target's state are summed up before they act.
    fn jump(&mut self, b: &mut Build, target: usize, state: &State, elements: Vec<(usize, usize)>) -> Option<VarId> {
        let population = self.net(b.net).populations[target].clone();
        let of: String = elements.iter().map(|(from, to)| format!("[{from} .. {to}]")).collect();
        let name = format!("{}.{}.{}{of}.jump", self.net(b.net).path, population.name, state.name);
        let (var, sum) = self.accumulator(b, &name, state.unit.clone(), &population.shape);
        let jump = Jump { frame: b.frame, population: target, state: state.name.clone(), elements };
        self.program.as_mut()?.jumps.entry(jump).or_insert(sum);
        Some(var)
    }

    /// A delivery in which each sender that fired has one edge, to itself.
    fn deliver_to_senders(&mut self, b: &mut Build, p: &Projection, route: &Route, body: Vec<Assign>) -> Option<()> {
        if body.is_empty() {
            return Some(());
        }
        let source = p.source?.0;
        let population = &self.net(b.net).populations[source];
        let (n, name) = (population.size(), format!("{}.{}.self", self.net(b.net).path, population.name));
        let ptr = match self.leaf_of(&name) {
            Some(leaf) => leaf.var,
            None => {
                let ptr = self.index_var(name, vec![n + 1], None, VarElem::Index);
                b.indices.push((ptr, (0..=n as u32).collect::<Vec<u32>>().into()));
                ptr
            }
        };
        let own = Route { rows: Some(Rows { ptr, edge: None, other: ptr }), ..route.clone() };
        self.deliver(b, p, &own, true, &format!("{}: on pre, senders", p.name), body);
        Some(())
    }

    /// The equations of a synapse's states, each where it lives.
    pub fn synapse_equations(&mut self, b: &mut Build, k: usize) -> Option<()> {
        let site = Site { frame: b.frame, projection: k, seen: Seen::Edges, route: 0, after: false };
        let path = self.path_of(site)?;
        let Some((_, synapse)) = path.synapse.clone() else { return Some(()) };
        self.own_equations(b, Site { seen: Seen::Senders, ..site }, &path, &synapse, Home::Sender)?;
        self.own_equations(b, site, &path, &synapse, Home::Connection)?;
        self.summed_equations(b, Site { seen: Seen::Targets, ..site }, &path, &synapse)
    }

    fn own_equations(&mut self, b: &mut Build, site: Site, path: &Path, synapse: &Synapse, home: Home) -> Option<()> {
        let names = path.at_home(home);
        if names.is_empty() {
            return Some(());
        }
        let p = self.net(b.net).projections[path.projection].clone();
        let scope = self.synapse_names(site, &[])?;
        let mut equations = vec![];
        let mut to = vec![];
        for equation in synapse.dynamics.equations.iter().filter(|e| names.contains(&e.name.text)) {
            let state = self.state_seen(site, path, &equation.name.text)?;
            let shape = self.shape(&state)?;
            let rate = self.operand(scope, equation.value)?.num;
            let rate = self.to_shape(rate, &shape, equation.span);
            let unit = state.unit.shown().factor;
            let (state, rate) = (self.lift(&state), self.lift(&rate));
            let method = self.method_of(scope, &synapse.dynamics.solves, &equation.name.text);
            let name = format!("{}.{}", p.name, equation.name.text);
            equations.push(Equation {
                name,
                state,
                rate,
                held: None,
                ceiling: None,
                mixed: false,
                method,
                unit,
                span: equation.span,
            });
            to.push(path.vars.get(&equation.name.text)?.0);
        }
        let foreign = self.program.as_ref().map_or(vec![], |x| x.foreign.clone());
        let (new, choices) = self.advance(&equations, &foreign, b.dt).noted(self)?;
        b.choices.extend(choices.into_iter().map(|c| (p.name.clone(), c)));
        b.assigns.extend(to.into_iter().zip(new).map(|(to, value)| Assign {
            to,
            place: Place::Whole,
            add: false,
            value,
        }));
        for next in synapse.dynamics.nexts.iter().filter(|e| names.contains(&e.name.text)) {
            let to = path.vars.get(&next.name.text)?.0;
            let shape = self.graph.var(to).shape.clone();
            let num = self.operand(scope, next.value)?.num;
            let num = self.to_shape(num, &shape, next.span);
            b.assigns.push(Assign { to, place: Place::Whole, add: false, value: self.lift(&num) });
        }
        Some(())
    }

    /// Sums over a target's synapses: the linear part once a target, what is left of each connection summed.
    fn summed_equations(&mut self, b: &mut Build, site: Site, path: &Path, synapse: &Synapse) -> Option<()> {
        let names = path.at_home(Home::Target);
        if names.is_empty() {
            return Some(());
        }
        let p = self.net(b.net).projections[path.projection].clone();
        let target = self.net(b.net).populations[p.target].clone();
        let scope = self.synapse_names(site, &[])?;
        let dynamics = &synapse.dynamics;
        for (equation, rate) in
            dynamics.equations.iter().map(|e| (e, true)).chain(dynamics.nexts.iter().map(|e| (e, false)))
        {
            let Some((var, unit, Home::Target)) = path.vars.get(&equation.name.text).cloned() else { continue };
            let right = self.summed_right(site, path, synapse, equation, &names)?;
            let right = self.to_shape(right, &target.shape, equation.span);
            let node = self.lift(&right);
            if !rate {
                b.assigns.push(Assign { to: var, place: Place::Whole, add: false, value: node });
                continue;
            }
            let state = self.read_whole(var);
            let method = self.method_of(scope, &dynamics.solves, &equation.name.text);
            let name = format!("{}.{}", p.name, equation.name.text);
            let unit = unit.shown().factor;
            b.lumped[p.target].push(Lumped { name, var, state, rate: node, method, unit, span: equation.span });
        }
        Some(())
    }

    fn summed_right(
        &mut self,
        site: Site,
        path: &Path,
        synapse: &Synapse,
        equation: &crate::hir::Equation,
        names: &BTreeSet<String>,
    ) -> Option<Num> {
        let rest = placement::has_rest(synapse, &self.around(path)?, equation.value, names);
        let scope = self.synapse_names(site, &[])?;
        if !rest {
            return self.operand(scope, equation.value).map(|x| x.num);
        }
        let zeros = self.zero_states(path, names);
        let drive = self.pair_sum(site, &Formula::Expr(equation.value, equation.span), &zeros)?;
        let linear = placement::reads_states(synapse, &self.around(path)?, equation.value, names);
        if !linear {
            return Some(drive);
        }
        let formula = Formula::Expr(equation.value, equation.span);
        let own = self.multiple_of(site, path, &formula, names)?;
        Some(self.add(&own, &drive, equation.span))
    }
}
