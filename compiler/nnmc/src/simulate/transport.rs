//! Over what connections act in a simulation: routes of events by delay, lists of spikes, weights by edge.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use nnm_graph::ir::{Assign, Rows, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::Int;
use nnm_runtime::array::Array;
use nnm_syntax::ast::Init;
use nnm_syntax::span::Span;

use super::ends::{Seen, Site};
use super::placement::Surroundings;
use super::{Build, SpikeList, add, rem};
use crate::hir::{ItemId, Synapse};
use crate::network::{Edges, Home, NetId, Projection};
use crate::program::{Leaf, NewLeaf, Role};
use crate::session::Session;
use crate::simulate::STEP;
use crate::unit::Unit;
use crate::value::{Num, shaped, vector};

/// Spikes of a cell in a step for which there is room, where it may fire more than once.
const MOST_SPIKES: usize = 16;

/// A connection with what it needs to act in each step.
#[derive(Clone, Debug)]
pub struct Path {
    pub projection: usize,
    /// `None` where every sender meets every target and nothing differs but the weight.
    pub edges: Option<Arc<Edges>>,
    pub routes: Vec<Route>,
    pub weight: Weight,
    /// The declared synapse; none for the default one.
    pub synapse: Option<(ItemId, Arc<Synapse>)>,
    pub params: IndexMap<String, Num>,
    /// Those that may differ between pairs.
    pub uneven: Vec<String>,
    /// The synapse's states: storage, unit, and where they live.
    pub vars: IndexMap<String, (VarId, Unit, Home)>,
    /// Which of the sender's cells.
    pub cells: Option<(usize, usize)>,
    pub senders: usize,
    pub first_target: u32,
    pub spiking: bool,
    /// Whether the delay is said once for all synapses.
    pub one_delay: bool,
    pub span: Span,
}

/// Edges of one pair of delays.
#[derive(Clone, Debug)]
pub struct Route {
    /// From the sender to the synapse, in steps.
    pub axonal: i64,
    /// Between the synapse and the target's soma, in steps.
    pub dendritic: i64,
    /// The edges, where they are not all.
    pub chosen: Option<Arc<Vec<u32>>>,
    /// By sender, for deliveries of its spikes.
    pub rows: Option<Rows>,
}

impl Route {
    /// The delay with which a site sees senders: events and rules act at the synapse, all else at the target.
    pub fn seen(&self, site: Site) -> i64 {
        let at_synapse = site.after || matches!(site.seen, Seen::FromPre | Seen::FromPost);
        if at_synapse { self.axonal } else { self.axonal + self.dendritic }
    }
}

#[derive(Clone, Debug)]
pub enum Weight {
    Same(Num),
    ByEdge {
        var: VarId,
        unit: Unit,
    },
    /// [targets, senders]
    Matrix {
        var: VarId,
        unit: Unit,
    },
}

impl Weight {
    pub fn unit(&self) -> Unit {
        match self {
            Weight::Same(num) => num.unit.clone(),
            Weight::ByEdge { unit, .. } | Weight::Matrix { unit, .. } => unit.clone(),
        }
    }

    pub fn var(&self) -> Option<VarId> {
        match self {
            Weight::Same(_) => None,
            Weight::ByEdge { var, .. } | Weight::Matrix { var, .. } => Some(*var),
        }
    }
}

impl Path {
    /// How a formula over all pairs is laid out.
    pub fn pair_view(&self) -> Seen {
        if self.edges.is_none() { Seen::Pairs } else { Seen::Edges }
    }

    pub fn at_home(&self, home: Home) -> BTreeSet<String> {
        self.vars.iter().filter(|(_, v)| v.2 == home).map(|(n, _)| n.clone()).collect()
    }
}

impl Session<'_> {
    /// Prepares every connection whose sender spikes, or whose synapse, delay or pattern asks for more than a product.
    pub fn make_paths(&mut self, b: &mut Build) -> Option<()> {
        for k in 0..self.net(b.net).projections.len() {
            let p = self.net(b.net).projections[k].clone();
            let Some((source, _)) = p.source else { continue };
            let spiking = self.net(b.net).populations[source].spiking;
            let synapse = p.synapse.and_then(|item| self.synapse_item(item).map(|s| (item, Arc::new(s))));
            if !spiking && synapse.as_ref().is_some_and(|(_, s)| s.dynamics.ons.iter().any(|o| o.event.text == "pre")) {
                let message = format!("the synapse of `{}` waits for spikes, but its sender has none", p.name);
                self.error("E0429", p.span, message);
                return None;
            }
            let delayed = p.args.iter().any(|(n, _)| n == "delay");
            let target = self.net(b.net).populations[p.target].size();
            let part = p.target_cells.is_some_and(|c| c != (0, target));
            let pairs = synapse.is_some() || delayed || part || !p.pattern.is_plain_product();
            let learns = b.learned.contains(&k);
            if spiking || ((pairs || learns) && p.pattern.has_weight()) {
                let path = self.make_path(b, k, &p, synapse, spiking)?;
                let frame = b.frame;
                self.program.as_mut()?.paths.insert((frame, k), Arc::new(path));
                b.paths.push(k);
                self.declare_states(b, k)?;
            }
        }
        Some(())
    }

    fn make_path(
        &mut self,
        b: &mut Build,
        k: usize,
        p: &Projection,
        synapse: Option<(ItemId, Arc<Synapse>)>,
        spiking: bool,
    ) -> Option<Path> {
        let id = b.net;
        let (source, cells) = p.source?;
        let population = self.net(id).populations[source].size();
        let senders = cells.map_or(population, |(from, to)| to - from);
        let target = self.net(id).populations[p.target].size();
        let part = p.target_cells.is_some_and(|c| c != (0, target));
        self.sized(k, p, b)?;
        let q = self.net(id).projections[k].weight.clone();
        let single = !spiking && p.pattern.is_full() && !part && self.has_one_delay(p);
        let edges = if single { None } else { Some(self.make_edges(id, k, senders)?) };
        let [axonal, dendritic] = self.delays(id, k, b.dt)?;
        let routes = self.routes(b, p, edges.as_deref(), [&axonal, &dendritic], spiking);
        let learns = b.learned.contains(&k) || p.plastic;
        let weight = match (&q, spiking) {
            (None, _) => Weight::Same(Num::real(1.0)),
            (Some(q), true) => self.edge_weight(b, p, q, edges.as_deref()?, learns)?,
            // A rule changes what has edges edge by edge.
            (Some(q), false) if learns && p.pattern.is_full() && edges.is_some() => {
                self.edge_weight(b, p, q, edges.as_deref()?, learns)?
            }
            (Some(q), false) => self.pair_weight(id, p, q, learns, p.pattern.is_full())?,
        };
        let mut params = match &synapse {
            Some((_, s)) => self.synapse_params(id, k, s)?,
            None => IndexMap::new(),
        };
        let uneven = synapse.as_ref().map_or(vec![], |(item, s)| self.uneven(p, s, *item, &params));
        for num in params.values_mut() {
            // One value, of one pair or of the storage that a connection without pairs has, stands without axes.
            if let Some(array) = num.as_const().filter(|a| a.len() < 2 && a.ndim() > 0) {
                *num = Num::scalar(num.unit.clone(), array.first().copied().unwrap_or(1.0));
            }
            // A table over all pairs; where there are edges, in their order.
            if num.as_const().is_some_and(|a| a.ndim() == 2) && p.pattern.is_full() {
                let targets = p.target_cells.map_or(target, |(from, to)| to - from);
                let table = self.spread(num, &[targets, senders], p.span)?;
                *num = match &edges {
                    Some(edges) => Num::array(num.unit.clone(), vector(by_edge(&table, p, edges))),
                    None => Num::array(num.unit.clone(), table),
                };
            }
        }
        if spiking {
            let longest = routes.iter().map(|r| r.axonal + r.dendritic).max().unwrap_or(0);
            self.need_list(b, source, longest);
            if learns && self.net(id).populations[p.target].spiking {
                let longest = routes.iter().map(|r| r.dendritic).max().unwrap_or(0);
                self.need_list(b, p.target, longest);
            }
        }
        let first_target = p.target_cells.map_or(0, |(from, _)| from as u32);
        let (vars, span) = (IndexMap::new(), p.span);
        Some(Path {
            projection: k,
            edges,
            routes,
            weight,
            synapse,
            params,
            uneven,
            vars,
            cells,
            senders,
            first_target,
            spiking,
            one_delay: self.has_one_delay(p),
            span,
        })
    }

    /// The weight's size and first values, where nothing has asked for them yet.
    fn sized(&mut self, k: usize, p: &Projection, b: &Build) -> Option<()> {
        if p.weight.is_some() || !p.pattern.has_weight() {
            return Some(());
        }
        let scope = self.closure_scope(b.frame, p.from);
        let span = self.expr_span(scope, p.from.expr.id);
        let value = self.eval(scope, p.from.expr.id);
        let sender = self.number(value, span)?;
        let target = self.net(b.net).populations[p.target].clone();
        let port = match p.port {
            Some(port) => target.ports.get(port).cloned()?,
            None => crate::network::Port {
                name: String::new(),
                unit: Unit::Unknown,
                event: false,
                default: None,
                span: p.span,
            },
        };
        self.size_weights(b.net, k, &sender, &port)
    }

    fn has_one_delay(&self, p: &Projection) -> bool {
        p.args.iter().find(|(n, _)| n == "delay").is_none_or(|(_, argument)| !self.varies_by_pair(argument))
    }

    /// Parameters of a synapse that may differ between pairs: as the model says it, so that sizes decide nothing.
    fn uneven(&self, p: &Projection, synapse: &Synapse, item: ItemId, params: &IndexMap<String, Num>) -> Vec<String> {
        let file = &self.modules.get(self.modules.item(item).module).file;
        let mut out: Vec<String> = vec![];
        for decl in &synapse.dynamics.params {
            let name = &decl.name.text;
            let given = p.args.iter().find(|(n, _)| n == name).map(|(_, a)| a);
            let said = match (given, decl.init) {
                (Some(argument), _) => self.varies_by_pair(argument),
                (None, Some(Init::Draw(_))) => true,
                (None, Some(Init::Value(e))) => crate::eval::names_in(file, e).iter().any(|n| out.contains(n)),
                (None, None) => false,
            };
            let found = params.get(name).and_then(Num::as_const).is_some_and(|a| a.len() != 1);
            if said || found {
                out.push(name.clone());
            }
        }
        out
    }

    /// What decides where states live.
    pub fn around(&self, path: &Path) -> Option<Surroundings<'_>> {
        let (item, _) = path.synapse.as_ref()?;
        let module = self.modules.get(self.modules.item(*item).module);
        let drawing = module.seen.iter().filter(|(_, item)| self.modules.draws(**item)).map(|(n, _)| n.as_str());
        let (file, drawing) = (&module.file, drawing.collect());
        let uneven = path.uneven.clone();
        Some(Surroundings { file, drawing, uneven, one_delay: path.delays().len() <= 1 && path.one_delay })
    }

    /// Makes sure that a population's spikes of the last `delay` steps are kept.
    pub fn need_list(&mut self, b: &mut Build, population: usize, delay: i64) {
        let ring = (delay + 2).max(2);
        let id = b.net;
        let name = format!("{}.{}", self.net(id).path, self.net(id).populations[population].name);
        let room = self.room_for_spikes(id, population);
        b.often |= self.fires_often(&self.net(id).populations[population]);
        match &mut b.lists[population] {
            Some(list) => {
                list.ring = list.ring.max(ring);
                let (l, c, r) = (list.list, list.count, list.ring as usize);
                self.graph.vars[l.0 as usize].times = Some(r);
                self.graph.vars[c.0 as usize].shape = vec![r];
            }
            None => {
                let list =
                    self.index_var(format!("{name}.spikes@list"), vec![room], Some(ring as usize), VarElem::Index);
                let count = self.index_var(format!("{name}.spikes@count"), vec![ring as usize], None, VarElem::Count);
                b.lists[population] = Some(SpikeList { list, count, ring });
            }
        }
    }

    /// How many spikes of a population a step may have: one for each threshold of a cell, of a number of spikes many.
    fn room_for_spikes(&self, id: NetId, population: usize) -> usize {
        let population = &self.net(id).populations[population];
        let whens = self.neuron_of(population).dynamics.whens.iter().filter(|w| w.spike).count();
        let n = population.size();
        if self.fires_often(population) { n * MOST_SPIKES + 256 } else { n * whens.max(1) }
    }

    /// Whether a cell may fire more than once in a step: where `spike when` gives a number and no condition.
    pub fn fires_often(&self, population: &crate::network::Population) -> bool {
        use nnm_syntax::ast::{BinaryOp, ExprKind, UnaryOp};
        let module = self.modules.item(population.item).module;
        let file = &self.modules.get(module).file;
        self.neuron_of(population).dynamics.whens.iter().filter(|w| w.spike).any(|w| {
            !matches!(
                file.expr(w.cond).kind,
                ExprKind::Compare { .. }
                    | ExprKind::Binary(BinaryOp::And | BinaryOp::Or, ..)
                    | ExprKind::Unary(UnaryOp::Not, _)
            )
        })
    }

    pub fn index_var(&mut self, name: String, shape: Vec<usize>, times: Option<usize>, elem: VarElem) -> VarId {
        let var = self.graph.add_var(Var { name: name.clone(), elem, shape, batched: false, times });
        if let Some(program) = &mut self.program {
            let leaf = Leaf { var, role: Role::Work, unit: Unit::REAL, class: None, home: None };
            program.leaves.insert(name, leaf);
        }
        var
    }

    /// The edges by delays; for events with the rows of each sender.
    fn routes(
        &mut self,
        b: &mut Build,
        p: &Projection,
        edges: Option<&Edges>,
        delays: [&Array; 2],
        spiking: bool,
    ) -> Vec<Route> {
        let steps = delays.map(|d| d.iter().map(|x| *x as i64).collect::<Vec<i64>>());
        let of = |side: usize, e: usize| steps[side].get(e).or(steps[side].first()).copied().unwrap_or(0);
        let count = edges.map_or(1, |e| e.count().max(1));
        let mut distinct = std::collections::BTreeSet::new();
        match steps.iter().all(|s| s.len() <= 1) {
            true => distinct.insert((of(0, 0), of(1, 0))),
            false => (0..count).fold(false, |_, e| distinct.insert((of(0, e), of(1, e)))),
        };
        let several = distinct.len() > 1;
        let mut out = vec![];
        for (axonal, dendritic) in distinct {
            let chosen = several.then(|| {
                let here = |e: &u32| (of(0, *e as usize), of(1, *e as usize)) == (axonal, dendritic);
                Arc::new((0..count as u32).filter(here).collect::<Vec<u32>>())
            });
            let mut route = Route { axonal, dendritic, chosen, rows: None };
            if let (Some(edges), true) = (edges, spiking) {
                route.rows = self.rows(b, p, edges, &route, out.len());
            }
            out.push(route);
        }
        out
    }

    /// A route's edges in rows, one for each cell of the sending population.
    fn rows(&mut self, b: &mut Build, p: &Projection, edges: &Edges, route: &Route, number: usize) -> Option<Rows> {
        let (source, cells) = p.source?;
        let n = self.net(b.net).populations[source].size();
        let first = cells.map_or(0, |(from, _)| from);
        let base = format!("{}.{}", self.net(b.net).path, p.name);
        let mut ptr = vec![0u32; n + 1];
        match &route.chosen {
            // Both ascend.
            Some(chosen) => {
                let mut from = 0;
                for (k, start) in ptr.iter_mut().enumerate() {
                    let end = edges.rows[k.saturating_sub(first).min(edges.senders)];
                    from += chosen[from..].partition_point(|e| *e < end);
                    *start = from as u32;
                }
            }
            None => {
                let start = |k: usize| edges.rows[k.saturating_sub(first).min(edges.senders)];
                ptr.iter_mut().enumerate().for_each(|(k, to)| *to = start(k));
            }
        }
        let name = |what: &str| {
            if route.chosen.is_some() { format!("{base}.{what}@{number}") } else { format!("{base}.{what}") }
        };
        let targets: Arc<Vec<u32>> = match &route.chosen {
            Some(chosen) => chosen.iter().map(|e| edges.target[*e as usize]).collect::<Vec<u32>>().into(),
            None => edges.target.clone(),
        };
        let size = vec![targets.len().max(1)];
        let ptr_var = self.index_var(name("rows"), vec![n + 1], None, VarElem::Index);
        let other = self.index_var(name("target"), size.clone(), None, VarElem::Index);
        b.indices.extend([(ptr_var, ptr.into()), (other, targets)]);
        let edge = route.chosen.as_ref().map(|chosen| {
            let edge = self.index_var(name("edges"), size, None, VarElem::Index);
            b.indices.push((edge, chosen.clone()));
            edge
        });
        Some(Rows { ptr: ptr_var, edge, other })
    }

    /// The weights of an event connection: one number where all are equal and none learns.
    pub(super) fn edge_weight(
        &mut self,
        b: &mut Build,
        p: &Projection,
        q: &crate::network::Quantity,
        edges: &Edges,
        learns: bool,
    ) -> Option<Weight> {
        let id = b.net;
        let stored = self.net(id).store.get(&format!("{}.w", p.name)).cloned()?;
        if let (false, 1, Some(one)) = (learns, stored.len(), stored.first()) {
            return Some(Weight::Same(Num::scalar(q.unit.clone(), *one)));
        }
        let values = by_edge(&stored, p, edges);
        if !learns && let Some(one) = all_equal(&values) {
            return Some(Weight::Same(Num::scalar(q.unit.clone(), one)));
        }
        let leaf_path = format!("{}.{}.w@edges", self.net(id).path, p.name);
        let (unit, size) = (q.unit.clone(), [edges.count().max(1)]);
        let leaf = NewLeaf { path: &leaf_path, role: Role::Work, unit, shape: &size, batched: false, home: None };
        let var = self.leaf_var(&leaf);
        b.tables.push((var, values));
        Some(Weight::ByEdge { var, unit: q.unit.clone() })
    }

    /// The weights of a connection without events, as they are stored.
    fn pair_weight(
        &mut self,
        id: NetId,
        p: &Projection,
        q: &crate::network::Quantity,
        learns: bool,
        full: bool,
    ) -> Option<Weight> {
        if q.shape.iter().product::<usize>() == 0 || q.shape.is_empty() {
            return Some(Weight::Same(Num::scalar(q.unit.clone(), 0.0)));
        }
        let stored = self.net(id).store.get(&format!("{}.w", p.name)).cloned()?;
        let values: Vec<f64> = stored.iter().copied().collect();
        if !learns && let Some(one) = all_equal(&values) {
            return Some(Weight::Same(Num::scalar(q.unit.clone(), one)));
        }
        self.projection_weight(id, &p.name, q);
        let var = self.leaf_of(&format!("{}.{}.{}", self.net(id).path, p.name, q.name))?.var;
        let unit = q.unit.clone();
        Some(if full { Weight::Matrix { var, unit } } else { Weight::ByEdge { var, unit } })
    }

    /// The deliveries of a route's due spikes: to the synapse after the axon, to the target after the dendrite too.
    pub fn deliver(
        &mut self,
        b: &mut Build,
        p: &Projection,
        route: &Route,
        whole: bool,
        about: &str,
        body: Vec<Assign>,
    ) {
        let Some((source, _)) = p.source else { return };
        let (Some(list), Some(rows)) = (b.lists[source], route.rows.clone()) else { return };
        if body.is_empty() {
            return;
        }
        if whole && let Some(stage) = self.deliver_abreast(b, p, route, about, &body) {
            return b.deliveries.push(stage);
        }
        let delay = if whole { route.axonal + route.dendritic } else { route.axonal };
        b.deliveries.push(Stmt::Deliver {
            about: about.to_string(),
            list: list.list,
            count: list.count,
            slot: list.slot(delay),
            rows,
            body,
        });
    }

    /// A connection's weights, from edges back to how they are stored.
    pub fn store_edge_weights(&mut self, id: NetId, p: &Projection, edges: &Edges, values: &[f64]) {
        let name = format!("{}.w", p.name);
        let Some(stored) = self.net(id).store.get(&name).cloned() else { return };
        let array = if p.pattern.is_full() {
            let senders = edges.senders;
            let first = p.target_cells.map_or(0, |(from, _)| from);
            let mut full: Vec<f64> = stored.iter().copied().collect();
            for ((s, t), v) in edges.sender().into_iter().zip(edges.target.iter()).zip(values) {
                let at = (*t as usize - first) * senders + s as usize;
                if let Some(x) = full.get_mut(at) {
                    *x = *v;
                }
            }
            shaped(stored.shape(), full)
        } else {
            vector(values[..edges.count()].to_vec())
        };
        self.net_mut(id).store.insert(name, array);
    }
}

/// Stored weights by edge: a full matrix is `[target, sender]`.
fn by_edge(stored: &Array, p: &Projection, edges: &Edges) -> Vec<f64> {
    if stored.len() == 1 {
        return vec![stored.iter().next().copied().unwrap_or(0.0); edges.count()];
    }
    let flat: Vec<f64> = stored.iter().copied().collect();
    if p.pattern.is_full() {
        let first = p.target_cells.map_or(0, |(from, _)| from);
        let place = |(s, t): (u32, &u32)| (*t as usize - first) * edges.senders + s as usize;
        return edges.sender().into_iter().zip(edges.target.iter()).map(|ends| flat[place(ends)]).collect();
    }
    flat
}

fn all_equal(values: &[f64]) -> Option<f64> {
    let first = values.first().copied()?;
    values.iter().all(|v| *v == first).then_some(first)
}

impl SpikeList {
    /// The place in the ring of what was stamped `delay` steps ago.
    pub fn slot(&self, delay: i64) -> Int {
        let back = (self.ring - delay % self.ring) % self.ring;
        rem(add(Int::Loop(STEP), back), self.ring)
    }
}
