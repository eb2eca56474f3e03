//! Quantities of each sample that settle on an energy before the weights move: a rule's activities, a model's latents.

use std::collections::BTreeMap;
use std::sync::Arc;

use nnm_graph::ir::{Assign, Binary, NodeId, Op, Place, Stmt, Unary, VarId};
use nnm_graph::{substitute, substitute_all};
use nnm_kir::ir::Int;
use nnm_syntax::ast::{Clause, ExprId, ListItem};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::credit::Credit;
use super::formula::Formula;
use super::optimizer::Optimizing;
use super::present::Timeline;
use super::target::{Link, Target, What};
use super::{Presentation, SETTLE};
use crate::eval::{Call, Closure};
use crate::failure::Noted;
use crate::hir::{Optimizer, Settle, clause};
use crate::network::FrameId;
use crate::program::Role;
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Kind, Num, Owner, PopulationRef, Repr, Value};

/// The activities of a rule after they have settled.
#[derive(Clone, Debug)]
pub struct Settled {
    /// With `as NAME` they are read as `NAME.post.y`; else they are what `pre.y` and `post.y` mean.
    pub name: Option<String>,
    pub cells: Vec<Activity>,
}

/// The output of a population as a free variable.
#[derive(Clone, Debug)]
pub struct Activity {
    frame: FrameId,
    population: usize,
    /// The output of the forward pass.
    out: NodeId,
    free: Free,
}

/// A free variable of each sample.
#[derive(Clone, Debug)]
pub struct Free {
    pub name: String,
    pub var: VarId,
    pub read: NodeId,
    pub unit: Unit,
    pub shape: Vec<usize>,
}

/// How free variables move: a step along the gradient, or what an optimizer makes of it.
pub enum Mover<'m> {
    Rate(NodeId),
    Optimizer(&'m Kind, &'m Optimizer),
}

/// `settle LATENTS minimizing ENERGY by OPTIMIZER for N steps` of a training.
#[derive(Clone, Debug)]
pub struct Settling {
    latents: Vec<Closure>,
    energy: Closure,
    optimizer: (Arc<Kind>, Optimizer),
    steps: Closure,
    span: Span,
}

/// A descent on an energy.
pub struct Descent<'d> {
    pub free: &'d [Free],
    pub energy: NodeId,
    pub mover: Mover<'d>,
    pub steps: i64,
    /// Tells the states of this optimizer from others.
    pub number: usize,
    pub scope: ScopeId,
    pub span: Span,
}

impl Settled {
    fn reads(&self, but: Option<NodeId>) -> BTreeMap<NodeId, NodeId> {
        self.cells.iter().filter(|a| Some(a.out) != but).map(|a| (a.out, a.free.read)).collect()
    }
}

impl Session<'_> {
    /// Lets the activities of a rule's targets settle.
    pub fn settle_activities(
        &mut self,
        p: &Presentation,
        credit: &Credit,
        targets: &[Target],
        settle: &Settle,
        at: &mut Timeline,
    ) -> Option<Settled> {
        if p.steps > 0 {
            let message = format!("`{}` lets activities settle, but this network runs over time", credit.kind.text);
            let d = Diagnostic::error("E0585", credit.span, message)
                .label(settle.span, "activities are free variables of one moment")
                .help("rules of errors and eligibilities act over time: `Backprop`, `EProp`");
            self.report(d);
            return None;
        }
        self.only_post_y(credit, settle)?;
        let cells = self.free_activities(credit, targets, settle)?;
        let mut begin = vec![];
        for cell in &cells {
            let before = credit.passes.settled.last().and_then(|s| s.cells.iter().find(|c| c.out == cell.out));
            let value = before.map_or(cell.out, |b| b.free.read);
            begin.push(Assign { to: cell.free.var, place: Place::Whole, add: false, value });
        }
        at.after.push(Stmt::Stage { about: "activities are set free".into(), assigns: begin });
        let settled = Settled { name: settle.name.as_ref().map(|n| n.text.clone()), cells };
        let scope = self.energy_scope(credit, &settled)?;
        let energy = self.energy(scope, settle.energy)?;
        let steps = self.settle_steps(scope, settle.steps, settle.span)?;
        let free: Vec<Free> = settled.cells.iter().map(|c| c.free.clone()).collect();
        let number = 1000 + credit.passes.settled.len();
        let optimizer = match settle.by {
            Some(e) => {
                let value = self.eval(scope, e);
                let span = self.expr_span(scope, e);
                Some(self.optimizer_of(&value, span)?)
            }
            None => None,
        };
        let mover = match (&optimizer, settle.rate) {
            (Some((kind, optimizer)), _) => Mover::Optimizer(kind, optimizer),
            (None, Some(e)) => {
                let rate = self.operand(scope, e)?;
                Mover::Rate(self.lift(&rate.num))
            }
            (None, None) => {
                let d = Diagnostic::error("E0586", settle.span, "`settle` needs to know how far each step goes")
                    .help("`settle post.y minimizing ENERGY for 50 steps at 0.1`");
                self.report(d);
                return None;
            }
        };
        let descent = Descent { free: &free, energy, mover, steps, number, scope: credit.scope, span: settle.span };
        self.descend(descent, at)?;
        Some(settled)
    }

    fn only_post_y(&mut self, credit: &Credit, settle: &Settle) -> Option<()> {
        let module = self.modules.item(credit.kind.item).module;
        let span = self.modules.get(module).file.expr(settle.target).span;
        if self.text(span).trim() == "post.y" {
            return Some(());
        }
        let d = Diagnostic::error("E0586", span, "what settles in a rule are the activities of its targets, `post.y`")
            .help("`settle post.y minimizing ENERGY for N steps at RATE`");
        self.report(d);
        None
    }

    /// The populations behind the rule's connections, each once.
    fn free_activities(&mut self, credit: &Credit, targets: &[Target], settle: &Settle) -> Option<Vec<Activity>> {
        let mut out: Vec<Activity> = vec![];
        for target in targets {
            let Some(Link { frame, projection }) = target.link() else {
                return self.needs_connection(credit, target, "post.y", settle.span);
            };
            let id = self.frame(frame).net;
            let population = self.net(id).projections[projection].target;
            if out.iter().any(|a| (a.frame, a.population) == (frame, population)) {
                continue;
            }
            let whole = PopulationRef { owner: Owner::Frame(frame), index: population, cells: None };
            let span = self.net(id).populations[population].span;
            let value = self.population_output(&whole, span);
            let num = self.number(value, span)?;
            let Repr::Node(node) = num.repr else { continue };
            let shape = self.graph.shape(node).to_vec();
            let name = format!("{}.{}", self.net(id).path, self.net(id).populations[population].name);
            let count = credit.passes.settled.len();
            let batched = self.graph.node(node).batched;
            let var = self.work_var(&format!("{name}@settled{count}"), &shape, batched, None);
            let read = self.read_whole(var);
            let free = Free { name, var, read, unit: num.unit, shape };
            out.push(Activity { frame, population, out: node, free });
        }
        Some(out)
    }

    /// In an energy `post.y` is the vector of all settling activities, `objective` its value for them.
    fn energy_scope(&mut self, credit: &Credit, settled: &Settled) -> Option<ScopeId> {
        let module = self.modules.item(credit.kind.item).module;
        let (scope, post) = (self.formula_scope(module, credit.scope), self.scope(module, None));
        self.bind_rule_params(scope, credit)?;
        let all = settled.reads(None);
        if let Some(objective) = credit.objective {
            let node = substitute(&mut self.graph, objective, &|_, id| all.get(&id).copied()).noted(self)?;
            self.bind(scope, "objective", Value::Num(Num::node(Unit::REAL, node)));
        }
        let mut parts: BTreeMap<&str, Vec<NodeId>> = BTreeMap::new();
        let mut inputs = Unit::REAL;
        for cell in &settled.cells {
            let others = settled.reads(Some(cell.out));
            let predicted = substitute(&mut self.graph, cell.out, &|_, id| others.get(&id).copied()).noted(self)?;
            parts.entry("y").or_default().push(cell.free.read);
            parts.entry("predicted").or_default().push(predicted);
            parts.entry("before").or_default().push(cell.out);
            if let Some((port, unit)) = self.first_port(cell) {
                let input = substitute(&mut self.graph, port, &|_, id| others.get(&id).copied()).noted(self)?;
                parts.entry("input").or_default().push(input);
                inputs = unit;
            }
        }
        let unit = settled.cells.first().map_or(Unit::REAL, |c| c.free.unit.clone());
        for (name, nodes) in parts {
            if nodes.len() < settled.cells.len() {
                continue;
            }
            let unit = if name == "input" { inputs.clone() } else { unit.clone() };
            let node = self.gathered(&nodes)?;
            self.bind(post, name, Value::Num(Num::node(unit, node)));
        }
        self.bind(scope, "post", Value::Names(post));
        let forward: Vec<(NodeId, NodeId)> = settled.cells.iter().map(|c| (c.free.read, c.out)).collect();
        self.program.as_mut()?.forward_of = forward;
        Some(scope)
    }

    /// The port at which the connections of a settling population arrive.
    fn first_port(&self, cell: &Activity) -> Option<(NodeId, Unit)> {
        let ports = &self.net(self.frame(cell.frame).net).populations[cell.population].ports;
        let nodes = &self.program.as_ref()?.port_nodes;
        (0..ports.len())
            .find_map(|k| nodes.get(&(cell.frame, cell.population, k)).map(|node| (*node, ports[k].unit.clone())))
    }

    fn gathered(&mut self, nodes: &[NodeId]) -> Option<NodeId> {
        let mut flat = vec![];
        for node in nodes {
            let length: usize = self.graph.shape(*node).iter().product();
            flat.push(self.graph.reshape(*node, &[length]).noted(self)?);
        }
        self.graph.concat(0, &flat).noted(self)
    }

    /// One plain number for each sample.
    pub fn energy(&mut self, scope: ScopeId, e: ExprId) -> Option<NodeId> {
        let x = self.operand(scope, e)?;
        let shape = self.shape(&x.num)?;
        if !shape.is_empty() || !x.num.unit.is_real() {
            let found = match shape.is_empty() {
                true => format!("in {}", x.num.unit.describe()),
                false => crate::eval::types::shape_text(&shape),
            };
            let message = format!("an energy is one plain number for each sample, this is {found}");
            self.report(Diagnostic::error("E0587", x.span, message).help("reduce it: `sum(…)` or `mean(…)`"));
            return None;
        }
        Some(self.lift(&x.num))
    }

    pub fn settle_steps(&mut self, scope: ScopeId, steps: Option<ExprId>, span: Span) -> Option<i64> {
        match steps {
            Some(e) => self.known_int(scope, e, "a number of steps", 1),
            None => {
                let d = Diagnostic::error("E0586", span, "`settle` needs its number of steps")
                    .help("`settle … minimizing ENERGY … for 50 steps`");
                self.report(d);
                None
            }
        }
    }

    /// What a `settle` of a training says.
    pub fn settling(&mut self, scope: ScopeId, items: &[ListItem], clauses: &[Clause], span: Span) -> Option<Settling> {
        let found = [clause(clauses, "minimizing"), clause(clauses, "by"), clause(clauses, "for")];
        let [Some(energy), Some(by), Some(steps)] = found else {
            let d = Diagnostic::error("E0586", span, "`settle` needs an energy, an optimizer and a number of steps")
                .help("`settle net.a minimizing net.energy by SGD(rate = 0.1) for 40 steps`");
            self.report(d);
            return None;
        };
        let value = self.eval(scope, by);
        let at = self.expr_span(scope, by);
        let optimizer = self.optimizer_of(&value, at)?;
        let latents = items.iter().map(|i| self.closure(scope, i.expr)).collect();
        let (energy, steps) = (self.closure(scope, energy), self.closure(scope, steps));
        Some(Settling { latents, energy, optimizer, steps, span })
    }

    /// Lets latents settle: each sample begins with their declared value and goes down the energy.
    pub fn settle_latents(&mut self, p: &Presentation, settles: &[Settling], at: &mut Timeline) -> Option<()> {
        for (number, s) in settles.iter().enumerate() {
            if p.steps > 0 {
                self.error("E0585", s.span, "latents settle for one moment, but this network runs over time");
                return None;
            }
            let mut free = vec![];
            let mut begin = vec![];
            for latent in &s.latents {
                let latent = super::given::with_fields(self, *latent, p.scope);
                let x = self.operand(latent.scope, latent.expr.id)?;
                let node = self.lift(&x.num);
                let leaves = self.program.as_ref().map(|p| p.leaves.clone()).unwrap_or_default();
                let found = leaves.into_iter().find(|(_, l)| l.role == Role::State && self.read_whole(l.var) == node);
                let Some((path, leaf)) = found else {
                    let d = Diagnostic::error("E0586", x.span, "what settles in a training are latents of the network")
                        .help("declare it in the architecture: `latent a: real[k] = 0`");
                    self.report(d);
                    return None;
                };
                let first = leaf.home.as_ref().and_then(|(id, local)| self.net(*id).store.get(local).cloned());
                let value = match first {
                    Some(array) => self.graph.tensor(array),
                    None => self.graph.filled(0.0, &self.graph.var(leaf.var).shape.clone()),
                };
                begin.push(Assign { to: leaf.var, place: Place::Whole, add: false, value });
                let shape = self.graph.var(leaf.var).shape.clone();
                free.push(Free { name: path, var: leaf.var, read: node, unit: leaf.unit, shape });
            }
            at.after.push(Stmt::Stage { about: "latents begin".into(), assigns: begin });
            let c = super::given::with_fields(self, s.energy, p.scope);
            let energy = self.energy(c.scope, c.expr.id)?;
            let steps = self.known_int(s.steps.scope, s.steps.expr.id, "a number of steps", 1)?;
            let mover = Mover::Optimizer(&s.optimizer.0, &s.optimizer.1);
            let number = 2000 + number;
            self.descend(Descent { free: &free, energy, mover, steps, number, scope: p.scope, span: s.span }, at)?;
        }
        Some(())
    }

    /// The loop that moves free variables down an energy.
    pub fn descend(&mut self, d: Descent, at: &mut Timeline) -> Option<()> {
        let reads: Vec<NodeId> = d.free.iter().map(|f| f.read).collect();
        let slopes = self.derivatives(&[(d.energy, None)], &reads, d.span)?;
        let inner = self.inner(d.scope);
        let n = self.graph.count(Int::Add(Box::new(Int::Loop(SETTLE)), Box::new(Int::Const(1))));
        self.bind(inner, "n", Value::Num(Num::node(Unit::REAL, n)));
        let (mut assigns, mut begin) = (vec![], vec![]);
        for (free, slope) in d.free.iter().zip(slopes) {
            let direction = self.graph.unary(Unary::Neg, slope).noted(self)?;
            let change = match &d.mover {
                Mover::Rate(rate) => {
                    let scale = free.unit.shown().factor;
                    let scale = self.graph.constant(scale * scale);
                    let step = self.graph.binary(Binary::Mul, *rate, direction).noted(self)?;
                    self.graph.binary(Binary::Mul, scale, step).noted(self)?
                }
                Mover::Optimizer(kind, optimizer) => {
                    let kink = self.kink(d.energy, free.read);
                    self.bind(inner, "kink", Value::Num(Num::node(Unit::REAL, kink?)));
                    let target = free.as_target(self);
                    let mut own = vec![];
                    let optimizing = Optimizing { kind, optimizer, number: d.number, scope: inner };
                    let change = self.optimized(&optimizing, &target, direction, &mut own)?;
                    begin.extend(self.fresh_states(&optimizing, &target)?);
                    assigns.extend(own);
                    change
                }
            };
            let value = self.graph.binary(Binary::Add, free.read, change).noted(self)?;
            assigns.push(Assign { to: free.var, place: Place::Whole, add: false, value });
        }
        if !begin.is_empty() {
            at.after.push(Stmt::Stage { about: "settling begins".into(), assigns: begin });
        }
        let body = vec![Stmt::Stage { about: "settle".into(), assigns }];
        at.after.push(Stmt::For { index: SETTLE, from: Int::Const(0), to: Int::Const(d.steps), down: false, body });
        Some(())
    }

    /// What stands before `abs(x)` in an energy: the size of its kink at 0.
    pub fn kink(&mut self, energy: NodeId, x: NodeId) -> Option<NodeId> {
        let node = self.graph.node(x).clone();
        let var = self.work_var("@size", &node.shape, node.batched, None);
        let size = self.read_whole(var);
        let cut = substitute(&mut self.graph, energy, &|g, id| {
            let node = g.node(id);
            (node.op == Op::Unary(Unary::Abs) && node.args == [x]).then_some(size)
        });
        let cut = cut.noted(self)?;
        let one = self.graph.constant(1.0);
        let found = nnm_graph::grad(&mut self.graph, &[(cut, one)], &[size]).noted(self)?;
        match found.first().copied().flatten() {
            Some(node) => {
                // Of a kink whose height depends on its own size only the value at 0 matters.
                let zero = self.graph.filled(0.0, &node_shape(&self.graph, size));
                substitute(&mut self.graph, node, &|_, id| (id == size).then_some(zero)).noted(self)
            }
            None => Some(self.graph.filled(0.0, &node.shape)),
        }
    }

    /// Names of the settled activities, seen from one connection.
    pub fn bind_settled(&mut self, f: &Formula) -> Option<()> {
        let Some(Link { frame, projection }) = f.target.link() else { return Some(()) };
        let (scope, pre, post, credit) = (f.scope, f.pre, f.post, f.credit);
        let module = self.modules.item(credit.kind.item).module;
        let population = self.net(self.frame(frame).net).projections[projection].target;
        for settled in &credit.passes.settled {
            let found = settled.cells.iter().find(|c| (c.frame, c.population) == (frame, population));
            let Some(cell) = found.cloned() else { continue };
            let (all, others) = (settled.reads(None), settled.reads(Some(cell.out)));
            let pre_names = self.moved_names(pre, &all)?;
            let mut post_names = self.moved_names(post, &others)?;
            let unit = cell.free.unit.clone();
            let predicted = substitute(&mut self.graph, cell.out, &|_, id| others.get(&id).copied()).noted(self)?;
            for (name, node) in [("y", cell.free.read), ("predicted", predicted), ("before", cell.out)] {
                let seen = self.viewed(&Num::node(unit.clone(), node), credit.span, |g, n| f.of_targets(g, n));
                post_names.retain(|(n, _)| n != name);
                post_names.push((name.into(), seen));
            }
            let (a, b) = match &settled.name {
                None => (pre, post),
                Some(name) => {
                    let (a, b) = (self.scope(module, None), self.scope(module, None));
                    let names = self.scope(module, None);
                    self.bind(names, "pre", Value::Names(a));
                    self.bind(names, "post", Value::Names(b));
                    self.bind(scope, name.clone(), Value::Names(names));
                    (a, b)
                }
            };
            for (at, names) in [(a, pre_names), (b, post_names)] {
                for (name, num) in names {
                    self.bind(at, name, Value::Num(num));
                }
            }
        }
        Some(())
    }

    /// The numbers of a scope with the settled activities in the place of those of the forward pass.
    fn moved_names(&mut self, scope: ScopeId, map: &BTreeMap<NodeId, NodeId>) -> Option<Vec<(String, Num)>> {
        let mut out = vec![];
        let names: Vec<String> = self.scopes[scope.0 as usize].names.keys().cloned().collect();
        for name in names {
            // What a forward pass delivers stays what it is.
            if matches!(name.as_str(), "error" | "signal") {
                continue;
            }
            let Some(Value::Num(num)) = self.local(scope, &name, Span::default()) else { continue };
            let Repr::Node(node) = num.repr else {
                out.push((name, num));
                continue;
            };
            let moved = substitute(&mut self.graph, node, &|_, id| map.get(&id).copied()).noted(self)?;
            out.push((name, Num { repr: Repr::Node(moved), ..num }));
        }
        Some(out)
    }

    /// `linearized(E)`: E to first order around the forward pass, in an energy that activities settle on.
    pub fn linearized_call(&mut self, call: &Call) -> Value {
        let Some(x) = self.num_arg(call, 0, "E") else { return Value::Missing };
        let around = self.program.as_ref().map(|p| p.forward_of.clone()).unwrap_or_default();
        if around.is_empty() {
            // An energy that is looked at by itself has no forward pass.
            if self.in_energy {
                return Value::Num(x.num);
            }
            return self.error("E0588", call.span, "`linearized` belongs in the energy of a rule's `settle`");
        }
        let Repr::Node(node) = x.num.repr else { return Value::Num(x.num) };
        match self.first_order(node, &around) {
            Some(node) => Value::Num(Num { repr: Repr::Node(node), ..x.num }),
            None => Value::Missing,
        }
    }

    /// E(b) + dE(b) · (f - b) for pairs (f, b) of free variables and where they began.
    fn first_order(&mut self, node: NodeId, around: &[(NodeId, NodeId)]) -> Option<NodeId> {
        let scratch = |s: &mut Self, like: NodeId| {
            let n = s.graph.node(like).clone();
            let var = s.work_var("@direction", &n.shape, n.batched, None);
            s.read_whole(var)
        };
        let free: Vec<NodeId> = around.iter().map(|(f, _)| *f).collect();
        let weight = scratch(self, node);
        let slopes = nnm_graph::grad(&mut self.graph, &[(node, weight)], &free).noted(self)?;
        let mut sum: Option<NodeId> = None;
        let mut shifts = vec![];
        for (slope, (f, b)) in slopes.into_iter().zip(around) {
            let Some(slope) = slope else { continue };
            let shift = scratch(self, *f);
            shifts.push((shift, self.graph.binary(Binary::Sub, *f, *b).noted(self)?));
            let product = self.graph.binary(Binary::Mul, slope, shift).noted(self)?;
            let part = self.graph.reduce_all(nnm_graph::ir::Reduce::Sum, product).noted(self)?;
            sum = Some(match sum {
                None => part,
                Some(before) => self.graph.binary(Binary::Add, before, part).noted(self)?,
            });
        }
        let Some(sum) = sum else { return Some(node) };
        // The sum is linear in the weight, so its derivative by it is the change along the shifts.
        let one = self.graph.constant(1.0);
        let along = nnm_graph::grad(&mut self.graph, &[(sum, one)], &[weight]).noted(self)?;
        let Some(along) = along.first().copied().flatten() else { return Some(node) };
        let there: BTreeMap<NodeId, NodeId> = around.iter().copied().collect();
        let both = substitute_all(&mut self.graph, &[node, along], &|_, id| there.get(&id).copied()).noted(self)?;
        let shifts: BTreeMap<NodeId, NodeId> = shifts.into_iter().collect();
        let change = substitute(&mut self.graph, both[1], &|_, id| shifts.get(&id).copied()).noted(self)?;
        self.graph.binary(Binary::Add, both[0], change).noted(self)
    }
}

fn node_shape(graph: &nnm_graph::ir::Graph, node: NodeId) -> Vec<usize> {
    graph.shape(node).to_vec()
}

impl Free {
    /// As what an optimizer moves.
    pub fn as_target(&self, s: &Session) -> Target {
        Target {
            net: crate::network::NetId(0),
            what: What::Plain,
            path: s.graph.var(self.var).name.clone(),
            var: self.var,
            read: self.read,
            unit: self.unit.clone(),
            shape: self.shape.clone(),
            batched: s.graph.var(self.var).batched,
        }
    }
}
