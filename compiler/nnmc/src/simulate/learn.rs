//! Plasticity while a simulation runs: traces, changes at spikes, changes per time, over the edges of a connection.

use std::rc::Rc;

use indexmap::IndexMap;
use nnm_graph::ir::{Assign, Binary, NodeId, Place, Rows, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::Int;
use nnm_syntax::ast::{self, AssignOp, ExprKind, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::transport::{EventPath, Weight};
use super::{Build, STEP, Simulation, add, rem};
use crate::dynamics::Equation;
use crate::hir::{Rule, Trace, clause};
use crate::network::Projection;
use crate::program::{NewLeaf, Role};
use crate::samples::Credit;
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Argument, Kind, Num, Value, vector};

/// A `learn PART by RULE` of a simulation.
#[derive(Clone)]
pub struct Learn {
    pub projection: usize,
    pub kind: Rc<Kind>,
    pub rule: Rule,
    pub span: Span,
}

/// A rule at work on one connection.
struct Site<'l> {
    learn: &'l Learn,
    p: Projection,
    path: &'l EventPath,
    /// The weight by edge.
    w: VarId,
    w_unit: Unit,
    /// Traces by name: storage, whether of the target, unit.
    traces: IndexMap<String, (VarId, bool, Unit)>,
    /// States of each edge.
    states: IndexMap<String, (VarId, Unit)>,
}

/// From which end an edge is looked at.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    /// In a delivery of senders' spikes.
    FromPre,
    /// In a delivery of targets' spikes.
    FromPost,
    /// In a pass over all edges.
    All { sender: VarId, target: VarId },
}

impl Session<'_> {
    pub fn find_learns(&mut self, b: &mut Build, sim: &Simulation) -> Option<Vec<Learn>> {
        let mut out = vec![];
        for stmt in sim.block {
            let StmtKind::List { word, items, clauses } = &stmt.kind else { continue };
            if word.text != "learn" {
                continue;
            }
            let Some(by) = clause(clauses, "by") else {
                self.error("E0531", stmt.span, "by which rule? `learn net.syn by STDP()`");
                return None;
            };
            let at = self.expr_span(sim.scope, by);
            let value = self.eval(sim.scope, by);
            let (kind, rule) = self.rule_of(&value, at)?;
            self.check_local(&kind, &rule);
            for item in items {
                for projection in self.learned_parts(b, sim.scope, item.expr)? {
                    b.learned.push(projection);
                    out.push(Learn { projection, kind: kind.clone(), rule: rule.clone(), span: stmt.span });
                }
            }
        }
        Some(out)
    }

    fn learned_parts(&mut self, b: &Build, scope: ScopeId, e: ast::ExprId) -> Option<Vec<usize>> {
        let span = self.expr_span(scope, e);
        let value = self.eval(scope, e);
        let parts = match value {
            Value::Many(parts) => parts.to_vec(),
            other => vec![other],
        };
        let mut out = vec![];
        for part in parts {
            match part {
                Value::Projection(p) if self.owner_net(&p.owner) == b.net => out.push(p.index),
                Value::Missing => return None,
                other => {
                    self.error("E0514", span, format!("`learn` takes a connection, found {}", other.describe()));
                    return None;
                }
            }
        }
        Some(out)
    }

    pub fn add_rules(&mut self, b: &mut Build, sim: &Simulation, learns: &[Learn], paths: &[EventPath]) -> Option<()> {
        // How many steps of spikes are kept must be known before anything says where in the ring they are.
        for path in paths.iter().filter(|p| learns.iter().any(|l| l.projection == p.projection)) {
            let target = self.net(b.net).projections[path.projection].target;
            self.need_list(b, target, path.dendritic);
        }
        for learn in learns {
            let p = self.net(b.net).projections[learn.projection].clone();
            let Some(path) = paths.iter().find(|x| x.projection == learn.projection) else {
                let d = Diagnostic::error(
                    "E0548",
                    learn.span,
                    format!("`{}` carries no spikes, so nothing happens at them", p.name),
                )
                .label(p.span, "this connection")
                .help("rules act in `simulate` on connections of spiking senders; rate networks learn in `train`");
                self.report(d);
                return None;
            };
            if learn.rule.change.is_some() || learn.rule.matrix_change.is_some() {
                let d = Diagnostic::error(
                    "E0549",
                    learn.span,
                    format!("`{}` has a `dw`: that is a change per update of a training", learn.kind.text),
                )
                .help("in `simulate` act `w' = …`, `next w = …`, `on pre { … }` and `on post { … }`");
                self.report(d);
                return None;
            }
            self.add_rule(b, sim, learn, p, path)?;
        }
        Some(())
    }

    fn add_rule(
        &mut self,
        b: &mut Build,
        sim: &Simulation,
        learn: &Learn,
        p: Projection,
        path: &EventPath,
    ) -> Option<()> {
        let Weight::ByEdge { var, unit } = &path.weight else { return Some(()) };
        let mut site =
            Site { learn, p, path, w: *var, w_unit: unit.clone(), traces: IndexMap::new(), states: IndexMap::new() };
        self.rule_traces(b, &mut site)?;
        self.rule_states(b, &mut site)?;
        self.rule_events(b, sim, &site, false)?;
        self.rule_events(b, sim, &site, true)?;
        self.trace_increments(b, &site)?;
        self.rule_step(b, sim, &site)
    }

    fn site_path(&self, b: &Build, site: &Site, name: &str) -> (String, String) {
        let rule = self.modules.item(site.learn.kind.item).name.text.clone();
        let local = format!("{}.{rule}.{name}", site.p.name);
        (format!("{}.{local}", self.net(b.net).path), local)
    }

    /// Parameters and `w`'s unit, for what has no edge in sight.
    fn rule_names(&mut self, sim: Option<&Simulation>, site: &Site) -> Option<ScopeId> {
        let scope = self.scope(self.modules.item(site.learn.kind.item).module, None);
        self.bind_time(scope);
        self.bind(scope, "w", Value::Num(Num::unknown(site.w_unit.clone())));
        let outer = sim.map_or(scope, |s| s.scope);
        let credit = Credit::new(&site.learn.kind, &site.learn.rule, outer, site.learn.span);
        self.bind_rule_params(scope, &credit)?;
        Some(scope)
    }

    fn rule_traces(&mut self, b: &mut Build, site: &mut Site) -> Option<()> {
        for trace in &site.learn.rule.traces {
            let (source, _) = site.p.source?;
            let population = if trace.post { site.p.target } else { source };
            let shape = self.net(b.net).populations[population].shape.clone();
            let (full, local) = self.site_path(b, site, &trace.name.text);
            let home = Some((b.net, local));
            let leaf =
                NewLeaf { path: &full, role: Role::State, unit: Unit::REAL, shape: &shape, batched: false, home };
            let var = self.leaf_var(&leaf);
            site.traces.insert(trace.name.text.clone(), (var, trace.post, Unit::REAL));
            self.trace_equation_step(b, site, trace, var, &shape)?;
        }
        Some(())
    }

    fn trace_equation_step(
        &mut self,
        b: &mut Build,
        site: &Site,
        trace: &Trace,
        var: VarId,
        shape: &[usize],
    ) -> Option<()> {
        let Some(equation) = trace.equation.as_ref().or(trace.next.as_ref()) else { return Some(()) };
        let scope = self.rule_names(None, site)?;
        let node = self.read_whole(var);
        self.bind(scope, trace.name.text.clone(), Value::Num(Num::node(Unit::REAL, node)));
        let rate = self.operand(scope, equation.value)?.num;
        let rate = self.to_shape(rate, shape, equation.span);
        let rate = self.lift(&rate);
        let value = if trace.equation.is_some() {
            let name = format!("{}.{}", site.p.name, trace.name.text);
            let one = Equation { name, state: node, rate, held: None, method: None, span: equation.span };
            let (new, choices) = self.advance(&[one], &[], b.dt).ok()?;
            b.choices.extend(choices.into_iter().map(|c| (site.p.name.clone(), c)));
            *new.first()?
        } else {
            rate
        };
        b.assigns.push(Assign { to: var, place: Place::Whole, add: false, value });
        Some(())
    }

    fn rule_states(&mut self, b: &mut Build, site: &mut Site) -> Option<()> {
        let edges = site.path.edges.sender.len().max(1);
        for decl in &site.learn.rule.dynamics.states {
            let scope = self.rule_names(None, site)?;
            let unit = match &decl.ty {
                Some(ty) => self.declared(scope, ty)?.unit,
                None => Unit::REAL,
            };
            let (full, local) = self.site_path(b, site, &decl.name.text);
            let home = Some((b.net, local));
            let leaf =
                NewLeaf { path: &full, role: Role::State, unit: unit.clone(), shape: &[edges], batched: false, home };
            let var = self.leaf_var(&leaf);
            if let Some(ast::Init::Value(e)) = decl.init {
                let first = self.operand(scope, e)?.num.as_f64().unwrap_or(0.0);
                if first != 0.0 && b.start == 0 {
                    b.tables.push((var, vec![first]));
                }
            }
            site.states.insert(decl.name.text.clone(), (var, unit));
        }
        Some(())
    }

    /// The names of a rule's formula at one edge, or over all edges.
    fn edge_names(
        &mut self,
        b: &mut Build,
        sim: &Simulation,
        site: &Site,
        seen: Seen,
        here: &IndexMap<String, Num>,
    ) -> Option<ScopeId> {
        let scope = self.rule_names(Some(sim), site)?;
        for (name, num) in here {
            self.bind(scope, name.clone(), Value::Num(num.clone()));
        }
        for (name, (var, post, unit)) in &site.traces {
            let place = end_place(seen, *post);
            let node = self.read_at(*var, place);
            self.bind(scope, name.clone(), Value::Num(Num::node(unit.clone(), node)));
        }
        let (source, _) = site.p.source?;
        let pre = self.post_end(b.frame, source, &end_place(seen, false));
        let post = self.post_end(b.frame, site.p.target, &end_place(seen, true));
        self.bind(scope, "pre", Value::Names(pre));
        self.bind(scope, "post", Value::Names(post));
        self.bind_rule_modulators(b, sim, site, seen, scope)?;
        Some(scope)
    }

    fn bind_rule_modulators(
        &mut self,
        b: &mut Build,
        sim: &Simulation,
        site: &Site,
        seen: Seen,
        scope: ScopeId,
    ) -> Option<()> {
        for decl in &site.learn.rule.modulators {
            let given = site.learn.kind.args.iter().find(|(n, _)| *n == decl.name.text).map(|(_, a)| a.clone());
            let Some(Argument::Expr(c) | Argument::Draw(c)) = given else {
                let d = Diagnostic::error(
                    "E0520",
                    site.learn.span,
                    format!("`{}` needs its modulator `{}`", site.learn.kind.text, decl.name.text),
                )
                .label(decl.span, "declared here")
                .help(format!("`by {}({} = …)`", site.learn.kind.text, decl.name.text));
                self.report(d);
                return None;
            };
            let inner = self.inner(c.scope);
            self.bind_time(inner);
            let x = self.operand(inner, c.expr.id)?;
            let size: usize = self.shape(&x.num).unwrap_or_default().iter().product();
            let num = if size == 1 {
                let unit = x.num.unit.clone();
                self.apply(x.span, unit, &[&x.num], |g, n| g.reshape(n[0], &[]))
            } else {
                self.signal_at(b, site, &decl.name.text, &x.num, seen, x.span)?
            };
            let num = match (&num.repr, seen) {
                (crate::value::Repr::Node(_), Seen::FromPre | Seen::FromPost) => {
                    self.held_signal(b, site, &decl.name.text, &num)?
                }
                _ => num,
            };
            self.bind(scope, decl.name.text.clone(), Value::Num(num));
        }
        let _ = sim;
        Some(())
    }

    /// A signal for each target, picked for the edges.
    fn signal_at(&mut self, b: &mut Build, site: &Site, name: &str, num: &Num, seen: Seen, span: Span) -> Option<Num> {
        let cells = self.net(b.net).populations[site.p.target].size();
        let shape = self.shape(num).unwrap_or_default();
        if shape.iter().product::<usize>() != cells {
            let found = crate::eval::types::shape_text(&shape);
            self.error(
                "E0521",
                span,
                format!("`{name}` is one number, or one for each of {cells} targets; this has {found}"),
            );
            return None;
        }
        let Seen::All { .. } = seen else { return Some(num.clone()) };
        let places = Num::array(Unit::REAL, vector(site.path.edges.target.iter().map(|t| f64::from(*t)).collect()));
        let unit = num.unit.clone();
        Some(self.apply(span, unit, &[num, &places], |g, n| {
            let flat = g.reshape(n[0], &[cells])?;
            g.gather(flat, 0, n[1])
        }))
    }

    /// A signal stored before the deliveries of a step, so that they can read it.
    fn held_signal(&mut self, b: &mut Build, site: &Site, name: &str, num: &Num) -> Option<Num> {
        let (full, _) = self.site_path(b, site, &format!("{name}@now"));
        let shape = self.shape(num).unwrap_or_default();
        let leaf = NewLeaf {
            path: &full,
            role: Role::Work,
            unit: num.unit.clone(),
            shape: &shape,
            batched: false,
            home: None,
        };
        let var = self.leaf_var(&leaf);
        let value = self.lift(num);
        let assigns = vec![Assign { to: var, place: Place::Whole, add: false, value }];
        b.deliveries.push(Stmt::Stage { about: format!("{}: {name}", site.p.name), assigns });
        let place = if shape.is_empty() { Place::Whole } else { Place::Other };
        let node = self.read_at(var, place);
        Some(Num::node(num.unit.clone(), node))
    }

    /// `on pre { … }` at arrivals, `on post { … }` at the target's spikes.
    fn rule_events(&mut self, b: &mut Build, sim: &Simulation, site: &Site, post: bool) -> Option<()> {
        let word = if post { "post" } else { "pre" };
        let blocks: Vec<_> = site.learn.rule.dynamics.ons.iter().filter(|o| o.event.text == word).cloned().collect();
        if blocks.is_empty() {
            return Some(());
        }
        let seen = if post { Seen::FromPost } else { Seen::FromPre };
        let mut here: IndexMap<String, Num> = IndexMap::new();
        let w = self.read_at(site.w, Place::Edge);
        here.insert("w".into(), Num::node(site.w_unit.clone(), w));
        for (name, (var, unit)) in &site.states {
            let node = self.read_at(*var, Place::Edge);
            here.insert(name.clone(), Num::node(unit.clone(), node));
        }
        let before = here.clone();
        for on in blocks {
            for stmt in &on.block {
                self.rule_assign(b, sim, site, seen, stmt, &mut here)?;
            }
        }
        let body = self.edge_changes(site, &before, &here)?;
        if post { self.deliver_back(b, site, body) } else { self.deliver_on(b, site, body) }
    }

    fn rule_assign(
        &mut self,
        b: &mut Build,
        sim: &Simulation,
        site: &Site,
        seen: Seen,
        stmt: &ast::Stmt,
        here: &mut IndexMap<String, Num>,
    ) -> Option<()> {
        let StmtKind::Assign { place, op, value } = &stmt.kind else {
            self.error("E0434", stmt.span, "a rule's block changes `w` and the rule's own states");
            return None;
        };
        let [name] = place.as_slice() else {
            self.error("E0439", stmt.span, "a rule's block changes `w` and the rule's own states");
            return None;
        };
        let Some(old) = here.get(&name.text).cloned() else {
            let d = Diagnostic::error(
                "E0439",
                name.span,
                format!("`{}` is neither `w` nor a state of this rule", name.text),
            );
            self.report(d.help("traces change in their own `on spike { … }`"));
            return None;
        };
        let scope = self.edge_names(b, sim, site, seen, here)?;
        let right = self.operand(scope, *value)?;
        if matches!(op, AssignOp::Set | AssignOp::Add | AssignOp::Sub) && !right.num.unit.fits(&old.unit) {
            let (found, wanted) = (right.num.unit.describe(), old.unit.describe());
            let message = format!("`{}` is in {wanted}, but this is in {found}", name.text);
            self.error("E0436", right.span, message);
            return None;
        }
        let new = self.assigned(*op, &old, &right.num, stmt.span);
        let new = if name.text == "w" { self.bounded_weight(b, sim, site, seen, here, new)? } else { new };
        here.insert(name.text.clone(), new);
        Some(())
    }

    /// `bound w in a .. b`
    fn bounded_weight(
        &mut self,
        b: &mut Build,
        sim: &Simulation,
        site: &Site,
        seen: Seen,
        here: &IndexMap<String, Num>,
        w: Num,
    ) -> Option<Num> {
        let Some(bound) = site.learn.rule.bound else { return Some(w) };
        let scope = self.edge_names(b, sim, site, seen, here)?;
        let (_, expr) = self.bare_expr(scope, bound);
        let ExprKind::Compare { rest, .. } = &expr.kind else { return Some(w) };
        let Some((_, range)) = rest.first() else { return Some(w) };
        let Value::Range(from, to) = self.eval(scope, *range) else { return Some(w) };
        let mut out = w;
        for (end, op) in [(from, Binary::Max), (to, Binary::Min)] {
            let Some(end) = end else { continue };
            if !end.unit.fits(&site.w_unit) {
                let (found, wanted) = (end.unit.describe(), site.w_unit.describe());
                self.error("E0436", expr.span, format!("`w` is in {wanted}, but the bound is in {found}"));
                return None;
            }
            let unit = out.unit.clone();
            out = self.binary(op, &out, &end, unit, expr.span);
        }
        Some(out)
    }

    fn edge_changes(
        &mut self,
        site: &Site,
        before: &IndexMap<String, Num>,
        here: &IndexMap<String, Num>,
    ) -> Option<Vec<Assign>> {
        let mut body = vec![];
        for (name, num) in here {
            let (old, new) = (self.lift(before.get(name)?), self.lift(num));
            if old == new {
                continue;
            }
            let to = if name == "w" { site.w } else { site.states.get(name)?.0 };
            body.push(Assign { to, place: Place::Edge, add: false, value: new });
        }
        Some(body)
    }

    fn deliver_on(&mut self, b: &mut Build, site: &Site, body: Vec<Assign>) -> Option<()> {
        if !body.is_empty() {
            self.deliver(b, site.path, &site.p, &format!("{}: {} on pre", site.p.name, site.learn.kind.text), body);
        }
        Some(())
    }

    /// The same edges by target, for the target's spikes.
    fn deliver_back(&mut self, b: &mut Build, site: &Site, body: Vec<Assign>) -> Option<()> {
        if body.is_empty() {
            return Some(());
        }
        self.need_list(b, site.p.target, site.path.dendritic);
        let n = self.net(b.net).populations[site.p.target].size();
        let edges = &site.path.edges;
        let mut order: Vec<u32> = (0..edges.sender.len() as u32).collect();
        order.sort_by_key(|e| (edges.target[*e as usize], *e));
        let mut ptr = vec![0u32; n + 1];
        for t in &edges.target {
            ptr[*t as usize + 1] += 1;
        }
        for k in 0..n {
            ptr[k + 1] += ptr[k];
        }
        let first = site.p.source.and_then(|(_, c)| c).map_or(0, |(a, _)| a) as u32;
        let senders: Vec<u32> = order.iter().map(|e| edges.sender[*e as usize] + first).collect();
        let name = format!("{}.{}", self.net(b.net).path, site.p.name);
        let size = vec![order.len().max(1)];
        let ptr_var = self.index_var(format!("{name}.columns"), vec![n + 1], None, VarElem::Index);
        let edge = self.index_var(format!("{name}.columns@edge"), size.clone(), None, VarElem::Index);
        let other = self.index_var(format!("{name}.columns@sender"), size, None, VarElem::Index);
        b.indices.extend([(ptr_var, ptr), (edge, order), (other, senders)]);
        let list = b.lists[site.p.target]?;
        b.deliveries.push(Stmt::Deliver {
            about: format!("{}: {} on post", site.p.name, site.learn.kind.text),
            list: list.list,
            count: list.count,
            slot: list.slot(site.path.dendritic),
            rows: Rows { ptr: ptr_var, edge: Some(edge), other },
            body,
        });
        Some(())
    }

    /// Traces jump after all blocks of their time have read them.
    fn trace_increments(&mut self, b: &mut Build, site: &Site) -> Option<()> {
        let mut assigns = vec![];
        for trace in &site.learn.rule.traces {
            let (var, post, unit) = site.traces.get(&trace.name.text)?.clone();
            let (source, _) = site.p.source?;
            let (population, delay) = match post {
                true => (site.p.target, site.path.dendritic),
                false => (source, site.path.rows.iter().map(|(d, _)| *d).max().unwrap_or(0)),
            };
            if !post && site.path.rows.len() > 1 {
                self.error(
                    "E0554",
                    site.learn.span,
                    "a rule with a `pre trace` needs one axonal delay for all synapses",
                );
                return None;
            }
            let fired = self.fired_before(b, population, delay)?;
            let node = self.read_whole(var);
            let mut value = Num::node(unit, node);
            for stmt in &trace.on_spike {
                let StmtKind::Assign { op, value: right, .. } = &stmt.kind else { continue };
                let scope = self.rule_names(None, site)?;
                self.bind(scope, trace.name.text.clone(), Value::Num(value.clone()));
                let right = self.operand(scope, *right)?.num;
                value = match op {
                    AssignOp::Add => {
                        let amount = self.mul(&fired, &right, stmt.span);
                        self.add(&value, &amount, stmt.span)
                    }
                    _ => {
                        let new = self.assigned(*op, &value, &right, stmt.span);
                        self.select(&fired, &new, &value, stmt.span)
                    }
                };
            }
            let shape = self.net(b.net).populations[population].shape.clone();
            let value = self.to_shape(value, &shape, trace.span);
            assigns.push(Assign { to: var, place: Place::Whole, add: false, value: self.lift(&value) });
        }
        if !assigns.is_empty() {
            b.deliveries.push(Stmt::Stage { about: format!("{}: traces", site.p.name), assigns });
        }
        Some(())
    }

    /// How often each cell fired at the time that now reaches the synapse, `delay` steps ago.
    fn fired_before(&mut self, b: &mut Build, population: usize, delay: i64) -> Option<Num> {
        let flags = self.spike_flags(b.frame, population);
        if delay == 0 {
            return Some(flags);
        }
        let p = self.net(b.net).populations[population].clone();
        let name = format!("{}.{}.spike@{delay}", self.net(b.net).path, p.name);
        let ring = delay + 1;
        let var = self.graph.add_var(Var {
            name,
            elem: VarElem::Real,
            shape: p.shape,
            batched: false,
            times: Some(ring as usize),
        });
        let value = self.lift(&flags);
        let now = rem(Int::Loop(STEP), ring);
        b.deliveries.push(Stmt::Stage {
            about: format!("{}: spikes kept", p.name),
            assigns: vec![Assign { to: var, place: Place::Time(now), add: false, value }],
        });
        let node: NodeId = self.read_at(var, Place::Time(rem(add(Int::Loop(STEP), 1), ring)));
        Some(Num::node(Unit::REAL, node))
    }

    /// `w' = …`, `next w = …`, and equations of the rule's states, over all edges in each step.
    fn rule_step(&mut self, b: &mut Build, sim: &Simulation, site: &Site) -> Option<()> {
        let dynamics = &site.learn.rule.dynamics;
        if dynamics.equations.is_empty() && dynamics.nexts.is_empty() {
            return Some(());
        }
        let n = site.path.edges.sender.len().max(1);
        let base = format!("{}.{}", self.net(b.net).path, site.p.name);
        let sender = self.index_var(format!("{base}.edges@sender"), vec![n], None, VarElem::Index);
        let target = self.index_var(format!("{base}.edges@target"), vec![n], None, VarElem::Index);
        b.indices.extend([(sender, site.path.edges.sender.clone()), (target, site.path.edges.target.clone())]);
        let seen = Seen::All { sender, target };
        let mut here: IndexMap<String, Num> = IndexMap::new();
        let w = self.read_whole(site.w);
        here.insert("w".into(), Num::node(site.w_unit.clone(), w));
        for (name, (var, unit)) in &site.states {
            let node = self.read_whole(*var);
            here.insert(name.clone(), Num::node(unit.clone(), node));
        }
        let scope = self.edge_names(b, sim, site, seen, &here)?;
        let mut equations = vec![];
        for e in &dynamics.equations {
            let rate = self.operand(scope, e.value)?.num;
            let rate = self.to_shape(rate, &[n], e.span);
            let state = self.lift(here.get(&e.name.text)?);
            let rate = self.lift(&rate);
            let name = format!("{}.{}", site.p.name, e.name.text);
            equations.push(Equation { name, state, rate, held: None, method: None, span: e.span });
        }
        let foreign = self.program.as_ref().map(|p| p.foreign.clone()).unwrap_or_default();
        let (new, choices) = self.advance(&equations, &foreign, b.dt).ok()?;
        b.choices.extend(choices.into_iter().map(|c| (site.p.name.clone(), c)));
        let mut assigns = vec![];
        let mut results: Vec<(String, Num)> = vec![];
        for (e, node) in dynamics.equations.iter().zip(new) {
            let unit = here.get(&e.name.text)?.unit.clone();
            results.push((e.name.text.clone(), Num::node(unit, node)));
        }
        for e in &dynamics.nexts {
            let num = self.operand(scope, e.value)?.num;
            results.push((e.name.text.clone(), self.to_shape(num, &[n], e.span)));
        }
        for (name, num) in results {
            let num = if name == "w" { self.bounded_weight(b, sim, site, seen, &here, num)? } else { num };
            let to = if name == "w" { site.w } else { site.states.get(&name)?.0 };
            assigns.push(Assign { to, place: Place::Whole, add: false, value: self.lift(&num) });
        }
        b.rules.push(Stmt::Stage { about: format!("{}: {} in each step", site.p.name, site.learn.kind.text), assigns });
        Some(())
    }
}

/// Where an end's value is read.
fn end_place(seen: Seen, post: bool) -> Place {
    match (seen, post) {
        (Seen::FromPre, false) | (Seen::FromPost, true) => Place::Own,
        (Seen::FromPre, true) | (Seen::FromPost, false) => Place::Other,
        (Seen::All { sender, .. }, false) => Place::Gather(sender),
        (Seen::All { target, .. }, true) => Place::Gather(target),
    }
}
