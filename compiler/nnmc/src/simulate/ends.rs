//! The two ends of a connection as its formulas see them: from a delivery, over all edges, over all pairs, or alone.
//!
//! Names of an end are bound lazily, and come from the population's own names of this step, so that `pre` and `post` know
//! states, parameters, ports, lets and outputs alike. `pre` is what the sender was a delay ago, read from a ring.

use std::sync::Arc;

use nnm_graph::ir::{Assign, NodeId, Op, Place, Reduce, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::{Int, LoopId};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::transport::{Path, Weight};
use super::{STEP, add, rem};
use crate::failure::Noted;
use crate::network::FrameId;
use crate::program::{Leaf, NewLeaf, Role};
use crate::session::{Lazy, ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, PopulationRef, Repr, Value, vector};

/// From where a connection is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// In a delivery of senders' spikes: one edge.
    FromPre,
    /// In a delivery of targets' spikes: one edge.
    FromPost,
    /// In a stage over all edges.
    Edges,
    /// In a stage over all pairs of a full pattern, as [targets, senders].
    Pairs,
    /// One value a sender.
    Senders,
    /// One value a target.
    Targets,
    /// Each name a number that is not known: to look at a formula's form.
    Symbols,
}

/// A view of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    pub frame: FrameId,
    pub projection: usize,
    pub seen: Seen,
    /// Which of the path's routes a delivery goes over.
    pub route: usize,
    /// After the equations of the step, where rules act.
    pub after: bool,
}

/// A value that is computed in one part of a step and read in another.
#[derive(Clone, Debug)]
pub struct Kept {
    pub node: NodeId,
    pub var: VarId,
    /// It reads what arrives at ports, so that it is known only when the equations are.
    pub of_ports: bool,
}

/// The values that a population had in the last steps.
#[derive(Clone, Debug)]
pub struct Ring {
    pub var: VarId,
    pub depth: i64,
    pub unit: Unit,
    /// What it keeps of each step.
    pub value: Option<NodeId>,
}

/// The loop over a ring's places, before the first step.
const PLACES: LoopId = LoopId(1);

impl Session<'_> {
    pub fn path_of(&self, site: Site) -> Option<Arc<Path>> {
        self.program.as_ref().and_then(|p| p.paths.get(&(site.frame, site.projection))).cloned()
    }

    /// The names of one end, each evaluated when it is read.
    pub fn end_names(&mut self, site: Site, post: bool) -> Option<Value> {
        let id = self.frame(site.frame).net;
        let p = &self.net(id).projections[site.projection];
        let index = if post { p.target } else { p.source?.0 };
        let population = self.net(id).populations[index].clone();
        let inside = self.frame(site.frame).populations[index].scope;
        let scope = self.scope(self.modules.item(population.item).module, None);
        let mut names: Vec<String> = self.scopes[inside.0 as usize].names.keys().cloned().collect();
        names.retain(|n| !n.contains(' '));
        names.extend(["y".to_string(), "n".to_string(), "spikes".to_string()]);
        for name in names {
            self.bind_lazy(scope, name.clone(), Lazy::End { site, post, name });
        }
        Some(Value::Names(scope))
    }

    /// One name of one end, as the site sees it.
    pub fn end_value(&mut self, site: Site, post: bool, name: &str) -> Value {
        let id = self.frame(site.frame).net;
        let p = &self.net(id).projections[site.projection];
        let (span, source) = (p.span, p.source);
        let Some(index) = (if post { Some(p.target) } else { source.map(|s| s.0) }) else { return Value::Missing };
        if name == "n" {
            return Value::real(self.net(id).populations[index].size() as f64);
        }
        let placed = match post {
            true => {
                self.own_number(site.frame, index, name, span).and_then(|num| self.at_target(site, &num, index, name))
            }
            false => self.at_sender(site, index, name, span),
        };
        placed.map_or(Value::Missing, Value::Num)
    }

    /// A name of a population in this step, `y` being its output.
    fn own_number(&mut self, frame: FrameId, index: usize, name: &str, span: Span) -> Option<Num> {
        let value = match name {
            "y" => {
                let whole = PopulationRef { owner: crate::value::Owner::Frame(frame), index, cells: None };
                self.population_output(&whole, span)
            }
            _ => self.population_name(frame, index, name, span),
        };
        let num = self.number(value, span)?;
        let cells = self.net(self.frame(frame).net).populations[index].shape.len();
        match self.shape(&num) {
            Some(shape) if shape.len() > cells => {
                self.refuse_array(name, &shape[cells..], span);
                None
            }
            _ => Some(num),
        }
    }

    /// Reports that a formula of a connection reads an array of each cell.
    pub fn refuse_array(&mut self, name: &str, own: &[usize], span: Span) {
        let own = self.shape_text(own);
        let message = format!("`{name}` is an array of {own} in each cell: a connection reads numbers of its ends");
        let d = Diagnostic::error("E0660", span, message);
        self.report(d.help(format!("let the neuron put out an element, `output {name}0 = {name}[0]`, and read that")));
    }

    fn at_target(&mut self, site: Site, num: &Num, index: usize, name: &str) -> Option<Num> {
        let id = self.frame(site.frame).net;
        let cells = self.net(id).populations[index].size();
        if self.is_single(num, cells) {
            return Some(num.clone());
        }
        match site.seen {
            Seen::Targets => Some(num.clone()),
            Seen::Pairs => Some(self.reshaped(num, &[cells, 1])),
            Seen::Symbols => Some(self.symbol(site, true, name, num)),
            Seen::FromPre => self.in_delivery(site, num, Place::Other, (index, name)),
            Seen::FromPost => self.in_delivery(site, num, Place::Own, (index, name)),
            Seen::Edges => self.by_edge(site, num, true),
            Seen::Senders => None,
        }
    }

    fn at_sender(&mut self, site: Site, index: usize, name: &str, span: Span) -> Option<Num> {
        let id = self.frame(site.frame).net;
        let population = self.net(id).populations[index].clone();
        let cells = population.size();
        let path = self.path_of(site)?;
        let mut delays: Vec<i64> = path.routes.iter().map(|r| r.seen(site)).collect();
        delays.sort_unstable();
        delays.dedup();
        let fixed = population.params.iter().any(|(n, _)| n == name)
            || matches!(name, "index" | "angle" | "position" | "dt" | "training");
        if site.seen == Seen::Edges && delays.len() > 1 && !fixed {
            return self.by_delayed_edge(site, &path, (index, name), span);
        }
        let delay = match site.seen {
            Seen::FromPre | Seen::FromPost => path.routes.get(site.route).map_or(0, |r| r.seen(site)),
            _ => delays.first().copied().unwrap_or(0),
        };
        let num = match delay {
            delay if delay > 0 && !fixed => self.delayed_value(site, (index, name), delay)?,
            _ => self.own_number(site.frame, index, name, span)?,
        };
        if self.is_single(&num, cells) && (cells > 1 || num.as_const().is_some()) {
            return Some(num);
        }
        if site.seen == Seen::Symbols {
            return Some(self.symbol(site, false, name, &num));
        }
        match site.seen {
            Seen::Senders => Some(num),
            Seen::Pairs => {
                let row = self.sliced(&num, path.cells, cells);
                let length = self.shape(&row).map_or(cells, |s| s.iter().product());
                Some(self.reshaped(&row, &[1, length]))
            }
            Seen::FromPre => self.in_delivery(site, &num, Place::Own, (index, name)),
            Seen::FromPost => self.in_delivery(site, &num, Place::Other, (index, name)),
            Seen::Edges => self.by_edge(site, &num, false),
            Seen::Targets | Seen::Symbols => None,
        }
    }

    /// Whether a value is one for all cells.
    fn is_single(&self, num: &Num, cells: usize) -> bool {
        match self.shape(num) {
            Some(shape) => shape.is_empty() || (cells > 1 && shape.iter().product::<usize>() == 1),
            None => true,
        }
    }

    pub fn reshaped(&mut self, num: &Num, shape: &[usize]) -> Num {
        self.apply(Span::default(), num.unit.clone(), &[num], |g, n| g.reshape(n[0], shape))
    }

    fn sliced(&mut self, num: &Num, cells: Option<(usize, usize)>, n: usize) -> Num {
        match cells {
            Some((from, to)) if (from, to) != (0, n) => {
                let row = self.reshaped(num, &[n]);
                self.cells_of(&row, from, to, Span::default())
            }
            _ => num.clone(),
        }
    }

    /// A number of its own for a name, kept so that it can be exchanged for its values.
    fn symbol(&mut self, site: Site, post: bool, name: &str, like: &Num) -> Num {
        let end = if post { "post" } else { "pre" };
        let path = format!("?{}.{}.{end}.{name}", site.frame.0, site.projection);
        let leaf =
            NewLeaf { path: &path, role: Role::Work, unit: like.unit.clone(), shape: &[], batched: false, home: None };
        let var = self.leaf_var(&leaf);
        if let Some(program) = &mut self.program {
            program.symbols.insert(var, (post, name.to_string()));
        }
        let node = self.read_whole(var);
        Num::node(like.unit.clone(), node)
    }

    /// A cell's value at the end of a delivery's edge: read where it is stored, else kept before.
    fn in_delivery(&mut self, site: Site, num: &Num, place: Place, of: (usize, &str)) -> Option<Num> {
        let var = match &num.repr {
            Repr::Unknown => return Some(num.clone()),
            Repr::Const(array) => {
                let id = self.frame(site.frame).net;
                let owner = self.net(id).populations[of.0].name.clone();
                let path = format!("{}.{owner}.{}@cells", self.net(id).path, of.1);
                let size = array.len();
                let shape = [size];
                let fresh = self.leaf_of(&path).is_none();
                let unit = num.unit.clone();
                let leaf = NewLeaf { path: &path, role: Role::Work, unit, shape: &shape, batched: false, home: None };
                let var = self.leaf_var(&leaf);
                if fresh {
                    let values = array.iter().copied().collect();
                    self.program.as_mut()?.tables.push((var, values));
                }
                var
            }
            Repr::Node(node) => match self.graph.node(*node).op {
                Op::Read { var, place: Place::Whole } => var,
                _ => self.kept_value(*node, &num.unit),
            },
        };
        let node = self.read_at(var, place);
        Some(Num::node(num.unit.clone(), node))
    }

    /// Storage for a value that another part of the step reads.
    pub fn kept_value(&mut self, node: NodeId, unit: &Unit) -> VarId {
        if let Some(kept) = self.program.as_ref().and_then(|p| p.kept.iter().find(|k| k.node == node)) {
            return kept.var;
        }
        let number = self.program.as_ref().map_or(0, |p| p.kept.len());
        let shape = self.graph.shape(node).to_vec();
        let path = format!("kept@{number}");
        let leaf =
            NewLeaf { path: &path, role: Role::Work, unit: unit.clone(), shape: &shape, batched: false, home: None };
        let var = self.leaf_var(&leaf);
        let of_ports = self.reads_ports(node);
        if let Some(program) = &mut self.program {
            program.kept.push(Kept { node, var, of_ports });
        }
        var
    }

    /// Whether a value reads what this step's events brought.
    pub fn reads_ports(&self, node: NodeId) -> bool {
        let Some(program) = &self.program else { return false };
        nnm_graph::free_vars(&self.graph, node).iter().any(|v| program.sums.contains(v))
    }

    fn by_edge(&mut self, site: Site, num: &Num, post: bool) -> Option<Num> {
        if let Repr::Const(array) = &num.repr {
            let path = self.path_of(site)?;
            let cells = path.edge_cells(post);
            let flat: Vec<f64> = array.iter().copied().collect();
            let mut values: Vec<f64> =
                cells.iter().map(|c| flat.get(*c as usize).copied().unwrap_or(f64::NAN)).collect();
            values.resize(path.edge_count(), flat.first().copied().unwrap_or(0.0));
            return Some(Num::array(num.unit.clone(), vector(values)));
        }
        let node = self.lift(num);
        if site.after && self.reads_ports(node) {
            let var = self.kept_value(node, &num.unit);
            let index = self.edge_index(site, post)?;
            let node = self.read_at(var, Place::Gather(index));
            return Some(Num::node(num.unit.clone(), node));
        }
        if let Op::Read { var, place: Place::Whole } = self.graph.node(node).op {
            let index = self.edge_index(site, post)?;
            let node = self.read_at(var, Place::Gather(index));
            return Some(Num::node(num.unit.clone(), node));
        }
        let places = self.edge_places(site, post)?;
        let size: usize = self.graph.shape(node).iter().product();
        Some(self.apply(Span::default(), num.unit.clone(), &[num, &places], |g, n| {
            let flat = g.reshape(n[0], &[size])?;
            g.gather(flat, 0, n[1])
        }))
    }

    /// Senders' values where edges have different delays: each route's picked, then laid in the order of the edges.
    fn by_delayed_edge(&mut self, site: Site, path: &Path, of: (usize, &str), span: Span) -> Option<Num> {
        let edges = path.edge_count();
        let cells = path.edge_cells(false);
        let mut sum: Option<Num> = None;
        for route in &path.routes {
            let there = match route.seen(site) {
                0 => self.own_number(site.frame, of.0, of.1, span)?,
                delay => self.delayed_value(site, of, delay)?,
            };
            let chosen = route.chosen.clone()?;
            let from = vector(chosen.iter().map(|e| f64::from(cells[*e as usize])).collect());
            let to = vector(chosen.iter().map(|e| f64::from(*e)).collect());
            let (from, to) = (Num::array(Unit::REAL, from), Num::array(Unit::REAL, to));
            let size = self.shape(&there)?.iter().product();
            let part = self.apply(span, there.unit.clone(), &[&there, &from, &to], |g, n| {
                let flat = g.reshape(n[0], &[size])?;
                let picked = g.gather(flat, 0, n[1])?;
                g.scatter_add(picked, 0, n[2], &[edges])
            });
            sum = Some(match sum {
                None => part,
                Some(before) => self.add(&before, &part, span),
            });
        }
        sum
    }

    /// The cell at one end of each edge, as a var of indices.
    pub fn edge_index(&mut self, site: Site, post: bool) -> Option<VarId> {
        let id = self.frame(site.frame).net;
        let end = if post { "target" } else { "sender" };
        let name = format!("{}.{}.edges@{end}", self.net(id).path, self.net(id).projections[site.projection].name);
        if let Some(leaf) = self.leaf_of(&name) {
            return Some(leaf.var);
        }
        let path = self.path_of(site)?;
        let var = self.index_var(name, vec![path.edge_count()], None, VarElem::Index);
        self.program.as_mut()?.indices.push((var, path.edge_cells(post)));
        Some(var)
    }

    /// The same as a constant, for operations that take one.
    pub fn edge_places(&mut self, site: Site, post: bool) -> Option<Num> {
        let path = self.path_of(site)?;
        let mut cells: Vec<f64> = path.edge_cells(post).iter().map(|c| f64::from(*c)).collect();
        cells.resize(path.edge_count(), 0.0);
        Some(Num::array(Unit::REAL, vector(cells)))
    }

    /// What a site sees of a sender behind a delay.
    fn delayed_value(&mut self, site: Site, (index, name): (usize, &str), delay: i64) -> Option<Num> {
        // What acts at the end of a step looks back from there; a ring counts from the step's beginning.
        self.ring_value(site.frame, index, name, delay - i64::from(site.after))
    }

    /// What a name of a population was some steps ago. Its present value is asked for when all else is known, so that a
    /// loop through a delay is none.
    pub fn ring_value(&mut self, frame: FrameId, index: usize, name: &str, delay: i64) -> Option<Num> {
        let key = (frame, index, name.to_string());
        if self.program.as_ref()?.rings.get(&key).is_none() {
            let depth = self.longest_delay(frame, index)? + 1;
            let id = self.frame(frame).net;
            let owner = self.net(id).populations[index].clone();
            let path = format!("{}.{}.{name}.before", self.net(id).path, owner.name);
            let state = owner.states.iter().find(|s| s.name == name);
            let (unit, shape) = match state {
                Some(state) => (state.unit.clone(), state.initial.shape().to_vec()),
                None if name == "y" => (self.output_unit(&owner), owner.shape.clone()),
                None => (Unit::Unknown, owner.shape.clone()),
            };
            let elem = VarElem::Real;
            let times = Some(depth as usize);
            let var = self.graph.add_var(Var { name: path.clone(), elem, shape, batched: false, times });
            let leaf = Leaf { var, role: Role::History, unit: unit.clone(), class: None, home: None };
            let program = self.program.as_mut()?;
            program.leaves.insert(path, leaf);
            program.rings.insert(key.clone(), Ring { var, depth, unit, value: None });
        }
        let ring = self.program.as_ref()?.rings.get(&key)?.clone();
        let node = self.read_at(ring.var, Place::Time(ring.place(delay)));
        Some(Num::node(ring.unit, node))
    }

    /// Gives rings what they keep, once all that reaches ports is known.
    pub fn settle_rings(&mut self) -> Option<()> {
        let mut done = 0;
        while let Some(((frame, index, name), ring)) =
            self.program.as_ref().and_then(|p| p.rings.get_index(done)).map(|(k, r)| (k.clone(), r.clone()))
        {
            let shape = self.graph.var(ring.var).shape.clone();
            let span = self.net(self.frame(frame).net).populations[index].span;
            let now = self.own_number(frame, index, &name, span)?;
            let now = self.to_shape(now, &shape, span);
            let value = self.lift(&now);
            if let Some(ring) = self.program.as_mut()?.rings.get_mut(&(frame, index, name)) {
                ring.value = Some(value);
            }
            done += 1;
        }
        Some(())
    }

    /// The most steps that anything of a population is under way.
    fn longest_delay(&mut self, frame: FrameId, index: usize) -> Option<i64> {
        let id = self.frame(frame).net;
        let dt = self.program.as_ref()?.dt.unwrap_or(1.0);
        let mut longest = 0.0f64;
        for k in 0..self.net(id).projections.len() {
            if self.net(id).projections[k].source.is_some_and(|(s, _)| s == index) {
                let sides = self.delays(id, k, dt)?;
                let most = sides.map(|side| side.iter().fold(0.0f64, |most, d| most.max(*d)));
                longest = longest.max(most[0] + most[1]);
            }
        }
        Some(longest as i64)
    }

    /// The rings, each after those whose past its present value reads: so first values go through a chain of delays. In a
    /// loop of delays the one that is met first sees zeros.
    fn rings_in_order(&self) -> Vec<Ring> {
        let rings: Vec<Ring> = self.program.iter().flat_map(|p| p.rings.values().cloned()).collect();
        let read: Vec<Vec<usize>> = rings
            .iter()
            .map(|ring| {
                let vars = ring.value.map(|value| nnm_graph::free_vars(&self.graph, value)).unwrap_or_default();
                (0..rings.len()).filter(|k| vars.contains(&rings[*k].var)).collect()
            })
            .collect();
        let (mut order, mut met) = (vec![], vec![false; rings.len()]);
        for first in 0..rings.len() {
            let mut stack = vec![(first, 0)];
            while let Some((ring, next)) = stack.pop() {
                if next == 0 && std::mem::replace(&mut met[ring], true) {
                    continue;
                }
                match read[ring].get(next) {
                    Some(before) => stack.extend([(ring, next + 1), (*before, 0)]),
                    None => order.push(rings[ring].clone()),
                }
            }
        }
        order
    }

    /// Stores of the rings' present values; before the first step of all, the initial one stands everywhere.
    pub fn ring_statements(&mut self) -> (Vec<Stmt>, Vec<Assign>) {
        let rings = self.rings_in_order();
        if rings.is_empty() {
            return (vec![], vec![]);
        }
        let mut begin = vec![];
        let mut each = vec![];
        for ring in rings {
            let Some(value) = ring.value else { continue };
            let everywhere = Place::Time(Int::Loop(PLACES));
            let assigns = vec![Assign { to: ring.var, place: everywhere, add: false, value }];
            let body = vec![Stmt::Stage { about: "before the start".into(), assigns }];
            let (from, to) = (Int::Const(0), Int::Const(ring.depth));
            begin.push(Stmt::For { index: PLACES, from, to, down: false, body });
            let now = Place::Time(ring.place(0));
            each.push(Assign { to: ring.var, place: now, add: false, value });
        }
        (vec![Stmt::IfEqual { a: Int::Loop(STEP), b: Int::Const(0), body: begin }], each)
    }

    /// The values that events and rules read: those known at the start of a step, and those known with the equations.
    pub fn kept_assigns(&self, of_ports: bool) -> Vec<Assign> {
        let kept = self.program.iter().flat_map(|p| &p.kept).filter(|k| k.of_ports == of_ports);
        kept.map(|k| Assign { to: k.var, place: Place::Whole, add: false, value: k.node }).collect()
    }

    /// The weight as the site sees it.
    pub fn weight_seen(&mut self, site: Site, path: &Path) -> Option<Num> {
        Some(match (&path.weight, site.seen) {
            (Weight::Same(num), _) => num.clone(),
            (weight, Seen::Symbols) => self.symbol(site, false, "w@", &Num::unknown(weight.unit())),
            (weight, Seen::Senders | Seen::Targets) => Num::unknown(weight.unit()),
            (Weight::ByEdge { var, unit }, Seen::FromPre | Seen::FromPost) => {
                let node = self.read_at(*var, Place::Edge);
                Num::node(unit.clone(), node)
            }
            (Weight::ByEdge { var, unit } | Weight::Matrix { var, unit }, Seen::Edges | Seen::Pairs) => {
                let node = self.read_whole(*var);
                let num = Num::node(unit.clone(), node);
                match (&path.weight, site.seen) {
                    (Weight::Matrix { .. }, Seen::Edges) => self.matrix_by_edge(path, &num)?,
                    _ => num,
                }
            }
            (Weight::Matrix { .. }, _) => return None,
        })
    }

    fn matrix_by_edge(&mut self, path: &Path, num: &Num) -> Option<Num> {
        let edges = path.edges.clone()?;
        let (first, senders) = (path.first_target as usize, edges.senders);
        let place = |(s, t): (u32, &u32)| ((*t as usize - first) * senders + s as usize) as f64;
        let ends = edges.sender().into_iter().zip(edges.target.iter());
        let places = Num::array(Unit::REAL, vector(ends.map(place).collect()));
        let size = self.shape(num)?.iter().product();
        Some(self.apply(Span::default(), num.unit.clone(), &[num, &places], |g, n| {
            let flat = g.reshape(n[0], &[size])?;
            g.gather(flat, 0, n[1])
        }))
    }

    /// A parameter that may differ between synapses, as the site sees it.
    pub fn param_seen(&mut self, site: Site, path: &Path, name: &str, num: &Num) -> Option<Num> {
        let Some(array) = num.as_const().filter(|a| a.len() != 1).cloned() else { return Some(num.clone()) };
        if array.is_empty() {
            return Some(Num::unknown(num.unit.clone()));
        }
        match site.seen {
            Seen::Symbols => Some(self.symbol(site, false, &format!("{name}@"), num)),
            Seen::FromPre | Seen::FromPost => {
                let id = self.frame(site.frame).net;
                let owner = &self.net(id).projections[site.projection].name;
                let full = format!("{}.{owner}.{name}@edges", self.net(id).path);
                let fresh = self.leaf_of(&full).is_none();
                let (unit, shape) = (num.unit.clone(), [array.len()]);
                let leaf = NewLeaf { path: &full, role: Role::Work, unit, shape: &shape, batched: false, home: None };
                let var = self.leaf_var(&leaf);
                if fresh {
                    self.program.as_mut()?.tables.push((var, array.iter().copied().collect()));
                }
                let node = self.read_at(var, Place::Edge);
                Some(Num::node(num.unit.clone(), node))
            }
            Seen::Edges if array.ndim() == 2 => self.matrix_by_edge(path, num),
            Seen::Edges | Seen::Pairs => Some(num.clone()),
            Seen::Senders | Seen::Targets => Some(Num::unknown(num.unit.clone())),
        }
    }

    /// Sums the values of edges, or of pairs, at their targets.
    pub fn summed_at_targets(&mut self, site: Site, each: &Num, span: Span) -> Option<Num> {
        self.summed_at(site, each, true, span)
    }

    /// Sums the values of edges, or of pairs, at the cells of one end.
    pub fn summed_at(&mut self, site: Site, each: &Num, post: bool, span: Span) -> Option<Num> {
        self.reduced_at(site, each, post, Reduce::Sum, span)
    }

    /// The sum, or an extreme, of the values of edges, or of pairs, at the cells of one end.
    pub fn reduced_at(&mut self, site: Site, each: &Num, post: bool, how: Reduce, span: Span) -> Option<Num> {
        let id = self.frame(site.frame).net;
        let p = self.net(id).projections[site.projection].clone();
        let population = if post { p.target } else { p.source?.0 };
        let cells = self.net(id).populations[population].clone();
        let path = self.path_of(site)?;
        let (size, shape, unit) = (cells.size(), cells.shape.clone(), each.unit.clone());
        if site.seen == Seen::Pairs {
            let targets = self.net(id).populations[p.target].size();
            let each = self.to_shape(each.clone(), &[targets, path.senders], span);
            let sum = self.apply(span, unit.clone(), &[&each], |g, n| g.reduce(how, n[0], &[usize::from(post)]));
            return match post {
                true => Some(self.reshaped(&sum, &shape)),
                false => Some(sum),
            };
        }
        if path.edges.as_ref().is_some_and(|e| e.count() == 0) {
            return Some(self.to_shape(Num::scalar(unit, 0.0), &shape, span));
        }
        let each = self.to_shape(each.clone(), &[path.edge_count()], span);
        let places = self.edge_places(site, post)?;
        Some(self.apply(span, unit, &[&each, &places], |g, n| {
            let flat = g.scatter(how, n[0], 0, n[1], &[size])?;
            g.reshape(flat, &shape)
        }))
    }

    /// Exchanges symbols for what the site sees of them.
    pub fn at_site(&mut self, site: Site, node: NodeId) -> Option<NodeId> {
        let path = self.path_of(site)?;
        let mut values = std::collections::BTreeMap::new();
        for var in nnm_graph::free_vars(&self.graph, node) {
            let Some((post, name)) = self.program.as_ref()?.symbols.get(&var).cloned() else { continue };
            let num = match (name.as_str(), name.strip_suffix('@'), name.strip_suffix('#')) {
                ("w@", ..) => self.weight_seen(site, &path)?,
                (_, Some(param), _) => {
                    let num = path.params.get(param).cloned()?;
                    self.param_seen(site, &path, param, &num)?
                }
                (_, _, Some(state)) => self.state_seen(site, &path, state)?,
                _ => match self.end_value(site, post, &name) {
                    Value::Num(num) => num,
                    _ => return None,
                },
            };
            values.insert(var, self.lift(&num));
        }
        nnm_graph::substitute_reads(&mut self.graph, node, &|var, _| values.get(&var).copied()).noted(self)
    }

    /// A state of the synapse, as the site sees it.
    pub fn state_seen(&mut self, site: Site, path: &Path, name: &str) -> Option<Num> {
        use crate::network::Home;
        let (var, unit, home) = path.vars.get(name).cloned()?;
        let whole = |s: &mut Self| {
            let node = s.read_whole(var);
            Num::node(unit.clone(), node)
        };
        Some(match (home, site.seen) {
            (_, Seen::Symbols) => self.symbol(site, false, &format!("{name}#"), &Num::unknown(unit.clone())),
            (Home::Sender, Seen::Senders) | (Home::Target, Seen::Targets) => whole(self),
            (Home::Sender, Seen::Edges) => {
                let num = whole(self);
                self.by_edge(site, &num, false)?
            }
            (Home::Sender, Seen::Pairs) => {
                let num = whole(self);
                let cells = self.shape(&num)?.iter().product();
                let row = self.sliced(&num, path.cells, cells);
                let length = self.shape(&row)?.iter().product();
                self.reshaped(&row, &[1, length])
            }
            (Home::Sender, Seen::FromPre) | (Home::Target, Seen::FromPost) => self.at(var, &unit, Place::Own),
            (Home::Sender, Seen::FromPost) | (Home::Target, Seen::FromPre) => self.at(var, &unit, Place::Other),
            (Home::Connection, Seen::FromPre | Seen::FromPost) => self.at(var, &unit, Place::Edge),
            (Home::Connection, Seen::Edges) => whole(self),
            _ => Num::unknown(unit.clone()),
        })
    }

    fn at(&mut self, var: VarId, unit: &Unit, place: Place) -> Num {
        let node = self.read_at(var, place);
        Num::node(unit.clone(), node)
    }

    /// The names of a synapse at a site; `states` overrides what its states are there.
    pub fn synapse_names(&mut self, site: Site, states: &[(String, Num)]) -> Option<ScopeId> {
        let path = self.path_of(site)?;
        let (item, synapse) = path.synapse.clone()?;
        let mut params = indexmap::IndexMap::new();
        for (name, num) in &path.params {
            params.insert(name.clone(), self.param_seen(site, &path, name, num)?);
        }
        let mut all = indexmap::IndexMap::new();
        for name in path.vars.keys() {
            let given = states.iter().find(|(n, _)| n == name).map(|(_, num)| num.clone());
            let num = match given {
                Some(num) => num,
                None => self.state_seen(site, &path, name)?,
            };
            all.insert(name.clone(), num);
        }
        let view = crate::network::SynapseView {
            weight: self.weight_seen(site, &path)?,
            params,
            states: all,
            pre: self.end_names(site, false),
            post: self.end_names(site, true)?,
        };
        let scope = self.synapse_scope(item, &synapse, &view);
        self.scopes[scope.0 as usize].place = Some(self.place_of(site));
        self.bind_extent(site, scope);
        Some(scope)
    }

    /// What the names of a connection belong to.
    pub fn place_of(&self, site: Site) -> String {
        let frame = self.frame(site.frame);
        let net = self.net(frame.net);
        format!("{}{}.{}", net.path, frame.run, net.projections[site.projection].name)
    }

    /// How many there are of what a formula is about, so that draws are made for each: `index` carries the shape.
    pub fn bind_extent(&mut self, site: Site, scope: ScopeId) {
        let Some(path) = self.path_of(site) else { return };
        let id = self.frame(site.frame).net;
        let target = self.net(id).projections[site.projection].target;
        let shape = match site.seen {
            Seen::Edges => vec![path.edge_count()],
            Seen::Pairs => vec![self.net(id).populations[target].size(), path.senders],
            _ => return,
        };
        self.bind_shape(scope, &shape);
    }

    /// `index` of what has this shape: a place for each element.
    pub fn bind_places(&mut self, scope: ScopeId, shape: &[usize]) {
        let size: usize = shape.iter().product();
        let places = crate::value::shaped(shape, (0..size).map(|k| k as f64).collect());
        self.bind(scope, "index", Value::Num(Num::array(Unit::REAL, places)));
    }

    pub fn bind_shape(&mut self, scope: ScopeId, shape: &[usize]) {
        let node = self.graph.filled(0.0, shape);
        self.bind(scope, "index", Value::Num(Num::node(Unit::REAL, node)));
    }
}

impl Ring {
    /// The place in the ring of what was a value `delay` steps ago.
    pub fn place(&self, delay: i64) -> Int {
        rem(add(Int::Loop(STEP), (self.depth - delay % self.depth) % self.depth), self.depth)
    }
}

impl Path {
    /// The distinct axonal delays, in steps.
    pub fn delays(&self) -> Vec<i64> {
        let mut delays: Vec<i64> = self.routes.iter().map(|r| r.axonal).collect();
        delays.sort_unstable();
        delays.dedup();
        delays
    }

    /// At least one, so that storage by edge is never empty.
    pub fn edge_count(&self) -> usize {
        self.edges.as_ref().map_or(1, |e| e.count().max(1))
    }

    /// The cell of its population at one end of each edge.
    pub fn edge_cells(&self, post: bool) -> Arc<Vec<u32>> {
        let Some(edges) = &self.edges else { return vec![0].into() };
        if post {
            return edges.target.clone();
        }
        let first = self.cells.map_or(0, |(a, _)| a as u32);
        edges.sender().into_iter().map(|s| s + first).collect::<Vec<u32>>().into()
    }
}
