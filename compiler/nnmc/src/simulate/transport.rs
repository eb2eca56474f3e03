//! How connections act in a simulation: event deliveries over edges, synapses' states where they live, delays.

use indexmap::IndexMap;
use nnm_graph::ir::{Assign, Place, Rows, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::Int;
use nnm_runtime::array::Array;
use nnm_syntax::ast::{AssignOp, StmtKind};

use super::{Build, Lumped, SpikeList, add, rem};
use crate::failure::Noted;
use crate::hir::Synapse;
use crate::network::{Edges, FrameId, NetId, Projection, SynapseView};
use crate::program::{Leaf, NewLeaf, Role};
use crate::session::{ScopeId, Session};
use crate::simulate::STEP;
use crate::unit::Unit;
use crate::value::{Num, Value, shaped, vector};

/// A connection over which events travel.
#[derive(Clone)]
pub struct EventPath {
    pub projection: usize,
    pub edges: std::rc::Rc<Edges>,
    /// Axonal delays in steps, with the rows of the edges that have each.
    pub rows: Vec<(i64, Rows)>,
    /// `w` by edge, where it is not one constant number.
    pub weight: Weight,
    /// Dendritic delay, in steps.
    pub dendritic: i64,
}

#[derive(Clone)]
pub enum Weight {
    Same(Num),
    ByEdge { var: VarId, unit: Unit },
}

impl Session<'_> {
    /// Prepares every connection whose sender spikes.
    pub fn event_paths(&mut self, b: &mut Build) -> Option<Vec<EventPath>> {
        let id = b.net;
        let mut paths = vec![];
        for k in 0..self.net(id).projections.len() {
            let p = self.net(id).projections[k].clone();
            let spiking = p.source.is_some_and(|(s, _)| self.net(id).populations[s].spiking);
            if !spiking {
                let on_pre = p.synapse.and_then(|i| self.synapse_item(i)).is_some_and(|s| !s.dynamics.ons.is_empty());
                if on_pre {
                    self.error(
                        "E0429",
                        p.span,
                        format!("the synapse of `{}` waits for spikes, but its sender has none", p.name),
                    );
                    return None;
                }
                continue;
            }
            paths.push(self.event_path(b, k, &p)?);
        }
        Some(paths)
    }

    fn event_path(&mut self, b: &mut Build, k: usize, p: &Projection) -> Option<EventPath> {
        let id = b.net;
        let (source, cells) = p.source?;
        let senders = cells.map_or(self.net(id).populations[source].size(), |(a, b)| b - a);
        let edges = self.make_edges(id, k, senders)?;
        let first = cells.map_or(0, |(a, _)| a) as u32;
        let [axonal, dendritic] = self.delays(id, k, b.dt)?;
        let path = format!("{}.{}", self.net(id).path, p.name);
        let rows = self.rows_by_delay(b, &path, &edges, &axonal, first, source);
        let weight = self.edge_weight(b, k, p, &edges, &path)?;
        let dendritic = dendritic.iter().copied().fold(0.0, f64::max) as i64;
        let longest = rows.iter().map(|(d, _)| *d).max().unwrap_or(0);
        self.need_list(b, source, longest);
        Some(EventPath { projection: k, edges, rows, weight, dendritic })
    }

    /// Makes sure that a population's spikes of the last `delay` steps are kept.
    pub fn need_list(&mut self, b: &mut Build, population: usize, delay: i64) {
        let ring = (delay + 2).max(2);
        let id = b.net;
        let name = format!("{}.{}", self.net(id).path, self.net(id).populations[population].name);
        let n = self.net(id).populations[population].size();
        match &mut b.lists[population] {
            Some(list) => {
                list.ring = list.ring.max(ring);
                let (l, c, r) = (list.list, list.count, list.ring as usize);
                self.graph.vars[l.0 as usize].times = Some(r);
                self.graph.vars[c.0 as usize].shape = vec![r];
            }
            None => {
                let list =
                    self.index_var(format!("{name}.spikes@list"), vec![n * 4], Some(ring as usize), VarElem::Index);
                let count = self.index_var(format!("{name}.spikes@count"), vec![ring as usize], None, VarElem::Count);
                b.lists[population] = Some(SpikeList { list, count, ring });
            }
        }
    }

    pub fn index_var(&mut self, name: String, shape: Vec<usize>, times: Option<usize>, elem: VarElem) -> VarId {
        let var = self.graph.add_var(Var { name: name.clone(), elem, shape, batched: false, times });
        if let Some(program) = &mut self.program {
            let leaf = Leaf { var, role: Role::Work, unit: Unit::REAL, class: None, home: None };
            program.leaves.insert(name, leaf);
        }
        var
    }

    /// CSR rows for each distinct delay; `first` is the first sender among the population's cells.
    fn rows_by_delay(
        &mut self,
        b: &mut Build,
        path: &str,
        edges: &Edges,
        delay: &Array,
        first: u32,
        source: usize,
    ) -> Vec<(i64, Rows)> {
        let n = self.net(b.net).populations[source].size();
        let other = self.index_var(format!("{path}.target"), vec![edges.target.len().max(1)], None, VarElem::Index);
        b.indices.push((other, edges.target.clone()));
        let delays: Vec<i64> = delay.iter().map(|d| *d as i64).collect();
        let of = |e: usize| if delays.len() == 1 { delays[0] } else { delays[e] };
        let mut distinct: Vec<i64> = delays.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let mut out = vec![];
        for d in &distinct {
            let mut ptr = vec![0u32; n + 1];
            let mut chosen = vec![];
            for s in 0..edges.senders {
                for e in edges.rows[s] as usize..edges.rows[s + 1] as usize {
                    if of(e) == *d {
                        ptr[s + first as usize + 1] += 1;
                        chosen.push(e as u32);
                    }
                }
            }
            for k in 0..n {
                ptr[k + 1] += ptr[k];
            }
            let ptr_var = self.index_var(format!("{path}.rows@{d}"), vec![n + 1], None, VarElem::Index);
            b.indices.push((ptr_var, ptr));
            let (edge, here) = if distinct.len() == 1 {
                (None, other)
            } else {
                let targets: Vec<u32> = chosen.iter().map(|e| edges.target[*e as usize]).collect();
                let size = vec![chosen.len().max(1)];
                let edge = self.index_var(format!("{path}.edges@{d}"), size.clone(), None, VarElem::Index);
                let here = self.index_var(format!("{path}.target@{d}"), size, None, VarElem::Index);
                b.indices.push((edge, chosen));
                b.indices.push((here, targets));
                (Some(edge), here)
            };
            out.push((*d, Rows { ptr: ptr_var, edge, other: here }));
        }
        out
    }

    /// The weights of a connection's edges: one number where all are equal and none learns.
    fn edge_weight(&mut self, b: &mut Build, k: usize, p: &Projection, edges: &Edges, path: &str) -> Option<Weight> {
        let id = b.net;
        let Some(q) = self.net(id).projections[k].weight.clone() else { return Some(Weight::Same(Num::real(1.0))) };
        let stored = self.net(id).store.get(&format!("{}.w", p.name)).cloned()?;
        let values = by_edge(&stored, p, edges);
        let same = values.windows(2).all(|w| w[0] == w[1]);
        let learns = b.learned.contains(&k) || p.plastic;
        if same && !learns && !values.is_empty() {
            return Some(Weight::Same(Num::scalar(q.unit.clone(), values[0])));
        }
        let leaf_path = format!("{path}.w@edges");
        let size = [edges.sender.len().max(1)];
        let leaf = NewLeaf {
            path: &leaf_path,
            role: Role::Work,
            unit: q.unit.clone(),
            shape: &size,
            batched: false,
            home: None,
        };
        let var = self.leaf_var(&leaf);
        b.tables.push((var, values));
        Some(Weight::ByEdge { var, unit: q.unit })
    }

    /// The weight of the edge that is being delivered.
    pub fn weight_here(&mut self, weight: &Weight) -> Num {
        match weight {
            Weight::Same(num) => num.clone(),
            Weight::ByEdge { var, unit } => {
                let node = self.read_at(*var, Place::Edge);
                Num::node(unit.clone(), node)
            }
        }
    }

    /// Builds what one event connection does at arrivals and brings to its port.
    pub fn event_synapse(&mut self, b: &mut Build, path: &EventPath) -> Option<()> {
        let p = self.net(b.net).projections[path.projection].clone();
        match p.synapse.and_then(|item| self.synapse_item(item).map(|s| (item, s))) {
            None => self.direct_events(b, path, &p),
            Some((item, synapse)) => {
                let lumps = self.is_lumped(item, &synapse, &p);
                let place = if lumps { "per target" } else { "per connection" };
                let reason = match (lumps, synapse.dynamics.states.is_empty()) {
                    (_, true) => "it has no state",
                    (true, _) => "its states change alike for all senders",
                    (false, _) => "its states differ between connections",
                };
                b.placements.push((p.name.clone(), place, reason));
                if lumps {
                    self.lumped_events(b, path, &p, item, &synapse)
                } else {
                    self.edge_events(b, path, &p, item, &synapse)
                }
            }
        }
    }

    /// A port's sum over the events of this step, emptied after use.
    fn accumulator(&mut self, b: &mut Build, name: &str, unit: Unit, shape: &[usize]) -> (VarId, Num) {
        let leaf = NewLeaf { path: name, role: Role::Work, unit: unit.clone(), shape, batched: false, home: None };
        let var = self.leaf_var(&leaf);
        let node = self.read_whole(var);
        let zero = self.graph.filled(0.0, shape);
        if !b.assigns.iter().any(|a| a.to == var) {
            b.assigns.push(Assign { to: var, place: Place::Whole, add: false, value: zero });
        }
        (var, Num::node(unit, node))
    }

    fn direct_events(&mut self, b: &mut Build, path: &EventPath, p: &Projection) -> Option<()> {
        let target = self.net(b.net).populations[p.target].clone();
        let port = target.ports.get(p.port?).cloned()?;
        let name = format!("{}.{}", self.net(b.net).path, p.name);
        let w = self.weight_here(&path.weight);
        self.fits_port(&w, &port, p)?;
        let (sum, value) = self.accumulator(b, &format!("{name}.in"), port.unit.clone(), &target.shape);
        let mut body = vec![Assign { to: sum, place: Place::Other, add: true, value: self.lift(&w) }];
        if port.event {
            let (count, counted) = self.accumulator(b, &format!("{name}.events"), Unit::REAL, &target.shape);
            let one = self.graph.constant(1.0);
            body.push(Assign { to: count, place: Place::Other, add: true, value: one });
            b.placements.push((p.name.clone(), "none", "its events act on the target at once"));
            let entry = self.program.as_mut()?.events.entry((b.frame, p.target, port.name.clone())).or_default();
            entry.push((counted, value.clone()));
        }
        self.deliver(b, path, p, &format!("{}: arrivals", p.name), body);
        if let Some(program) = &mut self.program {
            program.arrivals.insert((b.frame, path.projection), value);
        }
        Some(())
    }

    /// The delivery of all that is due over a connection, one statement for each delay.
    pub fn deliver(&mut self, b: &mut Build, path: &EventPath, p: &Projection, about: &str, body: Vec<Assign>) {
        let Some((source, _)) = p.source else { return };
        let Some(list) = b.lists[source] else { return };
        for (delay, rows) in &path.rows {
            b.deliveries.push(Stmt::Deliver {
                about: about.to_string(),
                list: list.list,
                count: list.count,
                slot: list.slot(*delay),
                rows: rows.clone(),
                body: body.clone(),
            });
        }
    }

    /// States that all senders share: one value a target, equations with the target's own.
    fn lumped_events(
        &mut self,
        b: &mut Build,
        path: &EventPath,
        p: &Projection,
        item: crate::hir::ItemId,
        synapse: &Synapse,
    ) -> Option<()> {
        let id = b.net;
        let target = self.net(id).populations[p.target].clone();
        let name = format!("{}.{}", self.net(id).path, p.name);
        let params = self.synapse_params(id, path.projection, synapse)?;
        let units = self.synapse_state_units(id, path.projection, item, synapse)?;
        let mut states = IndexMap::new();
        let mut vars = IndexMap::new();
        for (state, unit) in units {
            let local = format!("{}.{state}", p.name);
            let full = format!("{name}.{state}");
            let home = Some((id, local));
            let leaf = NewLeaf {
                path: &full,
                role: Role::State,
                unit: unit.clone(),
                shape: &target.shape,
                batched: false,
                home,
            };
            let var = self.leaf_var(&leaf);
            let node = self.read_whole(var);
            vars.insert(state.clone(), var);
            states.insert(state, Num::node(unit, node));
        }
        let post = Value::Names(self.frame(b.frame).populations[p.target].scope);
        let unknown = Num::unknown(path.unit());
        let view = SynapseView { weight: unknown, params: params.clone(), states: states.clone(), pre: None, post };
        let scope = self.synapse_scope(item, synapse, &view);
        for equation in &synapse.dynamics.equations {
            let rate = self.operand(scope, equation.value)?;
            let state = states.get(&equation.name.text)?.clone();
            let rate = self.to_shape(rate.num, &target.shape, equation.span);
            let lumped = Lumped {
                name: format!("{}.{}", p.name, equation.name.text),
                var: *vars.get(&equation.name.text)?,
                state: self.lift(&state),
                rate: self.lift(&rate),
                span: equation.span,
            };
            b.lumped[p.target].push(lumped);
        }
        self.lumped_arrivals(b, path, p, item, synapse, &params, &vars)?;
        self.synapse_contribution(b, path.projection, p, synapse, scope)
    }

    fn synapse_contribution(
        &mut self,
        b: &mut Build,
        k: usize,
        p: &Projection,
        synapse: &Synapse,
        scope: ScopeId,
    ) -> Option<()> {
        let Some(output) = synapse.dynamics.outputs.first() else { return Some(()) };
        let value = self.local(scope, &output.name.text, output.span)?;
        let num = self.number(value, output.span)?;
        let port = self.net(b.net).populations[p.target].ports.get(p.port?).cloned()?;
        self.fits_port(&num, &port, p)?;
        self.program.as_mut()?.arrivals.insert((b.frame, k), num);
        Some(())
    }

    #[allow(clippy::too_many_arguments)]
    fn lumped_arrivals(
        &mut self,
        b: &mut Build,
        path: &EventPath,
        p: &Projection,
        item: crate::hir::ItemId,
        synapse: &Synapse,
        params: &IndexMap<String, Num>,
        vars: &IndexMap<String, VarId>,
    ) -> Option<()> {
        let states = vars
            .iter()
            .map(|(n, v)| {
                let unit = self
                    .program
                    .as_ref()
                    .and_then(|p| p.leaves.values().find(|l| l.var == *v))
                    .map_or(Unit::Unknown, |l| l.unit.clone());
                (n.clone(), *v, unit)
            })
            .collect::<Vec<_>>();
        let here =
            states.iter().map(|(n, v, u)| (n.clone(), Num::node(u.clone(), self.read_at(*v, Place::Other)))).collect();
        let view = SynapseView {
            weight: self.weight_here(&path.weight),
            params: params.clone(),
            states: here,
            pre: None,
            post: Value::Names(self.post_end(b.frame, p.target, &Place::Other)),
        };
        let scope = self.synapse_scope(item, synapse, &view);
        let mut body = vec![];
        for on in synapse.dynamics.ons.iter().filter(|o| o.event.text == "pre") {
            for stmt in &on.block {
                let StmtKind::Assign { place, op, value } = &stmt.kind else { continue };
                let right = self.operand(scope, *value)?.num;
                let value = self.lift(&right);
                match place.as_slice() {
                    [name] => {
                        let var = *vars.get(&name.text)?;
                        let value = self.signed(*op, value)?;
                        body.push(Assign { to: var, place: Place::Other, add: true, value });
                    }
                    [end, name] if end.text == "post" => {
                        let value = self.signed(*op, value)?;
                        let var = self.jump(b, p.target, &name.text)?;
                        body.push(Assign { to: var, place: Place::Other, add: true, value });
                    }
                    _ => {
                        self.error("E0439", stmt.span, "a synapse's block changes its own states or `post.…`");
                        return None;
                    }
                }
            }
        }
        self.deliver(b, path, p, &format!("{}: on pre", p.name), body);
        Some(())
    }

    fn signed(&mut self, op: AssignOp, value: nnm_graph::ir::NodeId) -> Option<nnm_graph::ir::NodeId> {
        match op {
            AssignOp::Sub => self.graph.unary(nnm_graph::ir::Unary::Neg, value).noted(self),
            _ => Some(value),
        }
    }

    /// Where jumps of a target's state are summed up before they act.
    fn jump(&mut self, b: &mut Build, target: usize, state: &str) -> Option<VarId> {
        let population = self.net(b.net).populations[target].clone();
        // A state that is not there was reported when the synapse was looked at.
        let declared = population.states.iter().find(|s| s.name == state)?;
        let name = format!("{}.{}.{state}.jump", self.net(b.net).path, population.name);
        let (var, sum) = self.accumulator(b, &name, declared.unit.clone(), &population.shape);
        let entry = self.program.as_mut()?.jumps.entry((b.frame, target, state.to_string())).or_insert(sum);
        let _ = entry;
        Some(var)
    }

    /// The names of one end's cell in a delivery or in a pass over the edges.
    pub fn post_end(&mut self, frame: FrameId, index: usize, place: &Place) -> ScopeId {
        let id = self.frame(frame).net;
        let population = self.net(id).populations[index].clone();
        let scope = self.scope(self.modules.item(population.item).module, None);
        let states = self.frame(frame).populations[index].states.clone();
        for (name, num) in states {
            let path = format!("{}.{}.{name}", self.net(id).path, population.name);
            let var = self.program.as_ref().and_then(|p| p.leaves.get(&path)).map(|l| l.var);
            if let Some(var) = var {
                let node = self.read_at(var, place.clone());
                self.bind(scope, name, Value::Num(Num::node(num.unit, node)));
            }
        }
        for (name, num) in &population.params {
            if num.as_f64().is_some() {
                self.bind(scope, name.clone(), Value::Num(num.clone()));
            }
        }
        scope
    }

    /// States of each connection: stages over all edges, and deliveries that act on one.
    fn edge_events(
        &mut self,
        b: &mut Build,
        path: &EventPath,
        p: &Projection,
        item: crate::hir::ItemId,
        synapse: &Synapse,
    ) -> Option<()> {
        let id = b.net;
        let name = format!("{}.{}", self.net(id).path, p.name);
        let edges = path.edges.sender.len().max(1);
        let params = self.synapse_params(id, path.projection, synapse)?;
        let units = self.synapse_state_units(id, path.projection, item, synapse)?;
        let mut vars = IndexMap::new();
        for (state, unit) in &units {
            let full = format!("{name}.{state}");
            let home = Some((id, format!("{}.{state}", p.name)));
            let leaf =
                NewLeaf { path: &full, role: Role::State, unit: unit.clone(), shape: &[edges], batched: false, home };
            vars.insert(state.clone(), self.leaf_var(&leaf));
        }
        let initial = self.synapse_initials(item, synapse)?;
        for (state, value) in initial {
            if let Some(var) = vars.get(&state) {
                b.tables.push((*var, vec![value]));
            }
        }
        self.edge_step(b, path, p, item, synapse, &params, &units, &vars)?;
        self.edge_arrivals(b, path, p, item, synapse, &params, &units, &vars)
    }

    fn synapse_initials(&mut self, item: crate::hir::ItemId, synapse: &Synapse) -> Option<Vec<(String, f64)>> {
        let scope = self.scope(self.modules.item(item).module, None);
        let mut out = vec![];
        for decl in &synapse.dynamics.states {
            let value = match decl.init {
                Some(nnm_syntax::ast::Init::Value(e)) => self.operand(scope, e)?.num.as_f64().unwrap_or(0.0),
                _ => 0.0,
            };
            out.push((decl.name.text.clone(), value));
        }
        Some(out)
    }

    #[allow(clippy::too_many_arguments)]
    fn edge_step(
        &mut self,
        b: &mut Build,
        path: &EventPath,
        p: &Projection,
        item: crate::hir::ItemId,
        synapse: &Synapse,
        params: &IndexMap<String, Num>,
        units: &[(String, Unit)],
        vars: &IndexMap<String, VarId>,
    ) -> Option<()> {
        let n = path.edges.sender.len().max(1);
        let target =
            self.index_var(format!("{}.{}.post@edges", self.net(b.net).path, p.name), vec![n], None, VarElem::Index);
        b.indices.push((target, path.edges.target.clone()));
        let mut states = IndexMap::new();
        for (name, unit) in units {
            let node = self.read_whole(*vars.get(name)?);
            states.insert(name.clone(), Num::node(unit.clone(), node));
        }
        let weight = match &path.weight {
            Weight::Same(num) => num.clone(),
            Weight::ByEdge { var, unit } => {
                let node = self.read_whole(*var);
                Num::node(unit.clone(), node)
            }
        };
        let post = Value::Names(self.post_end(b.frame, p.target, &Place::Gather(target)));
        let view = SynapseView { weight, params: params.clone(), states: states.clone(), pre: None, post };
        let scope = self.synapse_scope(item, synapse, &view);
        let mut equations = vec![];
        for equation in &synapse.dynamics.equations {
            let rate = self.operand(scope, equation.value)?.num;
            let rate = self.to_shape(rate, &[n], equation.span);
            let state = states.get(&equation.name.text)?.clone();
            equations.push(crate::dynamics::Equation {
                name: format!("{}.{}", p.name, equation.name.text),
                state: self.lift(&state),
                rate: self.lift(&rate),
                held: None,
                method: None,
                span: equation.span,
            });
        }
        let names: Vec<String> = synapse.dynamics.equations.iter().map(|e| e.name.text.clone()).collect();
        let (new, choices) = self.advance(&equations, &[], b.dt).ok()?;
        b.choices.extend(choices.into_iter().map(|c| (p.name.clone(), c)));
        for (name, value) in names.iter().zip(new) {
            b.assigns.push(Assign { to: *vars.get(name)?, place: Place::Whole, add: false, value });
        }
        let Some(output) = synapse.dynamics.outputs.first() else { return Some(()) };
        let value = self.local(scope, &output.name.text, output.span)?;
        let each = self.number(value, output.span)?;
        let each = self.to_shape(each, &[n], output.span);
        let population = self.net(b.net).populations[p.target].clone();
        let places = Num::array(Unit::REAL, vector(path.edges.target.iter().map(|t| f64::from(*t)).collect()));
        let (size, shape) = (population.size(), population.shape.clone());
        let sum = self.apply(output.span, each.unit.clone(), &[&each, &places], |g, m| {
            let flat = g.scatter_add(m[0], 0, m[1], &[size])?;
            g.reshape(flat, &shape)
        });
        let port = population.ports.get(p.port?).cloned()?;
        self.fits_port(&sum, &port, p)?;
        self.program.as_mut()?.arrivals.insert((b.frame, path.projection), sum);
        Some(())
    }

    #[allow(clippy::too_many_arguments)]
    fn edge_arrivals(
        &mut self,
        b: &mut Build,
        path: &EventPath,
        p: &Projection,
        item: crate::hir::ItemId,
        synapse: &Synapse,
        params: &IndexMap<String, Num>,
        units: &[(String, Unit)],
        vars: &IndexMap<String, VarId>,
    ) -> Option<()> {
        let mut here: IndexMap<String, Num> = IndexMap::new();
        for (name, unit) in units {
            let node = self.read_at(*vars.get(name)?, Place::Edge);
            here.insert(name.clone(), Num::node(unit.clone(), node));
        }
        let mut at_edge = IndexMap::new();
        for (name, num) in params {
            at_edge.insert(name.clone(), self.param_at_edge(b, p, name, num));
        }
        let mut body: Vec<Assign> = vec![];
        for on in synapse.dynamics.ons.iter().filter(|o| o.event.text == "pre") {
            for stmt in &on.block {
                let StmtKind::Assign { place, op, value } = &stmt.kind else { continue };
                let view = SynapseView {
                    weight: self.weight_here(&path.weight),
                    params: at_edge.clone(),
                    states: here.clone(),
                    pre: None,
                    post: Value::Names(self.post_end(b.frame, p.target, &Place::Other)),
                };
                let scope = self.synapse_scope(item, synapse, &view);
                let right = self.operand(scope, *value)?.num;
                match place.as_slice() {
                    [name] => {
                        let old = here.get(&name.text)?.clone();
                        let new = self.assigned(*op, &old, &right, stmt.span);
                        here.insert(name.text.clone(), new);
                    }
                    [_, name] => {
                        let value = self.lift(&right);
                        let value = self.signed(*op, value)?;
                        let var = self.jump(b, p.target, &name.text)?;
                        body.push(Assign { to: var, place: Place::Other, add: true, value });
                    }
                    [] | [_, _, ..] => {}
                }
            }
        }
        for (name, num) in &here {
            let value = self.lift(num);
            body.push(Assign { to: *vars.get(name)?, place: Place::Edge, add: false, value });
        }
        self.deliver(b, path, p, &format!("{}: on pre", p.name), body);
        Some(())
    }

    /// A parameter in a delivery: a number, or this edge's of a table.
    fn param_at_edge(&mut self, b: &mut Build, p: &Projection, name: &str, num: &Num) -> Num {
        let Some(array) = num.as_const().filter(|a| a.len() > 1) else { return num.clone() };
        let path = format!("{}.{}.{name}@edges", self.net(b.net).path, p.name);
        let size = [array.len()];
        let leaf =
            NewLeaf { path: &path, role: Role::Work, unit: num.unit.clone(), shape: &size, batched: false, home: None };
        let var = self.leaf_var(&leaf);
        b.tables.push((var, array.iter().copied().collect()));
        let node = self.read_at(var, Place::Edge);
        Num::node(num.unit.clone(), node)
    }

    /// A connection's weights, from edges back to how they are stored.
    pub fn store_edge_weights(&mut self, id: NetId, p: &Projection, edges: &Edges, values: &[f64]) {
        let name = format!("{}.w", p.name);
        let Some(stored) = self.net(id).store.get(&name).cloned() else { return };
        let array = if p.pattern.is_full() {
            let senders = edges.senders;
            let mut full: Vec<f64> = stored.iter().copied().collect();
            for (e, v) in values.iter().enumerate().take(edges.sender.len()) {
                let at = edges.target[e] as usize * senders + edges.sender[e] as usize;
                if let Some(x) = full.get_mut(at) {
                    *x = *v;
                }
            }
            shaped(stored.shape(), full)
        } else {
            vector(values[..edges.sender.len()].to_vec())
        };
        self.net_mut(id).store.insert(name, array);
    }
}

impl EventPath {
    pub fn unit(&self) -> Unit {
        match &self.weight {
            Weight::Same(num) => num.unit.clone(),
            Weight::ByEdge { unit, .. } => unit.clone(),
        }
    }
}

/// Stored weights by edge: a full matrix is `[target, sender]`.
fn by_edge(stored: &Array, p: &Projection, edges: &Edges) -> Vec<f64> {
    if stored.len() == 1 {
        return vec![stored.iter().next().copied().unwrap_or(0.0); edges.sender.len()];
    }
    let flat: Vec<f64> = stored.iter().copied().collect();
    if p.pattern.is_full() {
        let place = |e: usize| edges.target[e] as usize * edges.senders + edges.sender[e] as usize;
        return (0..edges.sender.len()).map(|e| flat[place(e)]).collect();
    }
    flat
}

impl Session<'_> {
    /// Whether a synapse's states are the same for all its senders: linear in what arrives, with common parameters.
    fn is_lumped(&self, item: crate::hir::ItemId, synapse: &Synapse, p: &Projection) -> bool {
        let drawn =
            p.args.iter().any(|(n, a)| n != "w" && n != "delay" && matches!(a, crate::value::Argument::Draw(_)));
        if drawn || !synapse.dynamics.nexts.is_empty() {
            return false;
        }
        let file = &self.modules.get(self.modules.item(item).module).file;
        let states: Vec<&str> = synapse.dynamics.states.iter().map(|s| s.name.text.as_str()).collect();
        synapse.dynamics.ons.iter().filter(|o| o.event.text == "pre").flat_map(|o| &o.block).all(|stmt| {
            match &stmt.kind {
                StmtKind::Assign { op: AssignOp::Add | AssignOp::Sub, value, .. } => {
                    !crate::eval::names_in(file, *value).iter().any(|n| states.contains(&n.as_str()))
                }
                _ => false,
            }
        })
    }
}

impl SpikeList {
    /// The place in the ring of what was stamped `delay` steps ago.
    pub fn slot(&self, delay: i64) -> Int {
        let back = (self.ring - delay % self.ring) % self.ring;
        rem(add(Int::Loop(STEP), back), self.ring)
    }
}
