//! Plasticity while a simulation runs: traces, changes at spikes, changes per time, over the edges of a connection.

use std::sync::Arc;

use indexmap::IndexMap;
use nnm_graph::ir::{Assign, Binary, Place, Stmt, VarId};
use nnm_kir::ir::Int;
use nnm_syntax::ast::{self, AssignOp, ExprKind, Init, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::ends::{Seen, Site};
use super::transport::{Path, Weight};
use super::{Build, STEP, Simulation, add, rem};
use crate::dynamics::Equation;
use crate::eval::operators::Operand;
use crate::failure::Noted;
use crate::hir::{Decl, Rule, clause};
use crate::network::{Home, NetId, Projection};
use crate::program::{NewLeaf, Role};
use crate::samples::Credit;
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Argument, Kind, Num, Repr, Value, vector};

/// A `learn PART by RULE` of a simulation.
#[derive(Clone)]
pub struct Learn {
    pub net: NetId,
    pub projection: usize,
    pub kind: Arc<Kind>,
    pub rule: Rule,
    pub span: Span,
}

/// A rule at work on one connection.
pub struct Work<'l> {
    pub learn: &'l Learn,
    pub p: Projection,
    pub path: Arc<Path>,
    /// The weight's storage.
    pub w: VarId,
    pub w_unit: Unit,
    /// Where the connection's values are seen over all its edges or pairs.
    pub all: Site,
    /// One value a sender or a target: by name, with one instance a delay.
    pub traces: IndexMap<String, TraceVars>,
    /// One value a connection.
    pub states: IndexMap<String, (VarId, Unit)>,
    /// One value a sender (`false`) or a target (`true`) that outlives presentations.
    pub cells: IndexMap<String, (VarId, bool, Unit)>,
    /// Drawn once for each connection.
    pub consts: IndexMap<String, Num>,
}

#[derive(Clone, Debug)]
pub struct TraceVars {
    pub post: bool,
    pub unit: Unit,
    /// By delay of its side, in steps.
    pub vars: Vec<(i64, VarId)>,
}

impl TraceVars {
    pub fn at(&self, delay: i64) -> Option<VarId> {
        self.vars.iter().find(|(d, _)| *d == delay).map(|(_, v)| *v)
    }
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
            self.hold_to_simulation(&kind, &rule, clauses, stmt.span)?;
            for item in items {
                for (net, projection) in self.learned_parts(b, sim.scope, item.expr)? {
                    match net == b.net {
                        true => b.learned.push(projection),
                        false => self.program.as_mut()?.learned.push((net, projection)),
                    }
                    out.push(Learn { net, projection, kind: kind.clone(), rule: rule.clone(), span: stmt.span });
                }
            }
        }
        Some(out)
    }

    /// Reports what acts in trainings only, and a rule that does nothing while a simulation runs.
    fn hold_to_simulation(&mut self, kind: &Kind, rule: &Rule, clauses: &[ast::Clause], span: Span) -> Option<()> {
        let name = &kind.text;
        let d = &rule.dynamics;
        let (what, at) = if rule.change.is_some() || rule.matrix_change.is_some() {
            return Some(());
        } else if let Some(with) = clauses.iter().find(|c| c.word.text == "with") {
            ("`with` gives an optimizer, which acts on updates of a training".to_string(), with.word.span)
        } else if let Some(settle) = rule.settles.first() {
            (format!("`{name}` settles activities, which is done for the samples of a training"), settle.span)
        } else if let Some((perturbed, _)) = rule.perturbed.first() {
            (format!("`{name}` asks for another pass with a perturbation: that is one of a training"), perturbed.span)
        } else if let Some((.., feedback)) = rule.feedback {
            (format!("`{name}` says what carries errors back, and a simulation has none"), feedback)
        } else if !rule.normalize && d.ons.is_empty() && d.equations.is_empty() && d.nexts.is_empty() {
            (format!("`{name}` changes nothing while a simulation runs"), span)
        } else {
            return Some(());
        };
        let d = Diagnostic::error("E0632", at, what)
            .help("in `simulate` act `w' = …`, `next w = …`, `on pre { … }`, `on post { … }` and `every T { … }`");
        self.report(if at == span { d } else { d.label(span, "used here, in `simulate`") });
        None
    }

    fn learned_parts(&mut self, b: &Build, scope: ScopeId, e: ast::ExprId) -> Option<Vec<(NetId, usize)>> {
        let span = self.expr_span(scope, e);
        let value = self.eval(scope, e);
        let parts = match value {
            Value::Many(parts) => parts.to_vec(),
            other => vec![other],
        };
        let mut out = vec![];
        for part in parts {
            match part {
                Value::Projection(p) if p.select.is_some() => {
                    let message = "`learn` takes whole connections: all synapses of one follow the same rule";
                    let help =
                        "declare these synapses as a connection of their own: `connect a[0 .. 5] -> b as NAME: …`";
                    self.report(Diagnostic::error("E0514", span, message).help(help));
                    return None;
                }
                Value::Projection(p) if self.nets_below(b.net).contains(&self.owner_net(&p.owner)) => {
                    out.push((self.owner_net(&p.owner), p.index));
                }
                Value::Missing => return None,
                other => {
                    self.error("E0514", span, format!("`learn` takes a connection, found {}", other.describe()));
                    return None;
                }
            }
        }
        Some(out)
    }

    pub fn add_rules(&mut self, b: &mut Build, sim: &Simulation, learns: &[Learn]) -> Option<()> {
        let mut works = vec![];
        for learn in learns {
            if learn.rule.change.is_some() || learn.rule.matrix_change.is_some() {
                let message = format!("`{}` has a `dw`: that is a change per update of a training", learn.kind.text);
                let d = Diagnostic::error("E0549", learn.span, message).help(
                    "in `simulate` act `w' = …`, `next w = …`, `on pre { … }`, `on post { … }` and `every T { … }`",
                );
                self.report(d);
                return None;
            }
            let work = self.rule_work(b, sim, learn)?;
            self.explain_work(b, &work);
            works.push(work);
        }
        self.rule_events(b, sim, &works)?;
        for work in &works {
            self.trace_increments(b, sim, work)?;
        }
        for work in &works {
            self.rule_step(b, sim, work)?;
            self.rule_periods(b, sim, work)?;
            self.normalized(b, work)?;
        }
        self.edges_in_sight = None;
        Some(())
    }

    fn rule_work<'l>(&mut self, b: &mut Build, sim: &Simulation, learn: &'l Learn) -> Option<Work<'l>> {
        let p = self.net(b.net).projections[learn.projection].clone();
        let site = Site { frame: b.frame, projection: learn.projection, seen: Seen::Edges, route: 0, after: true };
        let path = self.path_of(site);
        let waits = !learn.rule.dynamics.ons.iter().all(|o| o.period.is_some())
            || learn.rule.traces.iter().any(|t| !t.on_spike.is_empty());
        let Some(path) = path.filter(|path| path.spiking || !waits) else {
            let message = format!("`{}` carries no spikes, so nothing happens at them", p.name);
            let d = Diagnostic::error("E0548", learn.span, message)
                .label(p.span, "this connection")
                .help("rate neurons learn by `w' = …`, `next w = …` or `every T { … }`");
            self.report(d);
            return None;
        };
        let (w, w_unit) = match &path.weight {
            Weight::ByEdge { var, unit } | Weight::Matrix { var, unit } => (*var, unit.clone()),
            Weight::Same(num) => {
                // Only where sizes are not known, while a model is checked.
                let (var, _) =
                    self.work(&format!("{}.{}.w@edges", self.net(b.net).path, p.name), num.unit.clone(), &[1]);
                (var, num.unit.clone())
            }
        };
        let matrix = matches!(path.weight, Weight::Matrix { .. }) && path.edges.is_none();
        let all = Site { seen: if matrix { Seen::Pairs } else { Seen::Edges }, ..site };
        let mut work = Work {
            learn,
            p,
            path,
            w,
            w_unit,
            all,
            traces: IndexMap::new(),
            states: IndexMap::new(),
            cells: IndexMap::new(),
            consts: IndexMap::new(),
        };
        self.rule_states(b, sim, &mut work)?;
        self.rule_running(b, sim, &mut work)?;
        self.rule_traces(b, sim, &mut work)?;
        Some(work)
    }

    fn site_path(&self, b: &Build, work: &Work, name: &str) -> (String, String) {
        let rule = self.modules.item(work.learn.kind.item).name.text.clone();
        let local = format!("{}.{rule}.{name}", work.p.name);
        (format!("{}.{local}", self.net(b.net).path), local)
    }

    /// The shape of one value a connection.
    pub fn shape_of_all(&self, work: &Work) -> Vec<usize> {
        self.graph.var(work.w).shape.clone()
    }

    /// Parameters and `w`'s unit, for what has no edge in sight.
    pub fn rule_names(&mut self, sim: &Simulation, work: &Work) -> Option<ScopeId> {
        let scope = self.scope(self.modules.item(work.learn.kind.item).module, None);
        self.bind_time(scope);
        self.bind(scope, "w", Value::Num(Num::unknown(work.w_unit.clone())));
        let credit = Credit::new(&work.learn.kind, &work.learn.rule, sim.scope, work.learn.span);
        self.bind_rule_params(scope, &credit)?;
        Some(scope)
    }

    /// The unit and first value of a declared quantity of a rule.
    fn rule_quantity(
        &mut self,
        scope: ScopeId,
        ty: Option<&ast::Type>,
        init: Option<Init>,
        path: &str,
        shape: &[usize],
    ) -> Option<(Unit, Vec<f64>)> {
        let first = match init {
            Some(Init::Value(e)) => Some(self.operand(scope, e)?.num),
            Some(Init::Draw(e)) => Some(self.draw_values(self.closure(scope, e), scope, shape, path)?),
            None => None,
        };
        let unit = match (ty, &first) {
            (Some(ty), _) => match &ty.kind {
                ast::TypeKind::Like(name) if matches!(name.text.as_str(), "post" | "pre") => Unit::REAL,
                _ => self.declared(scope, ty)?.unit,
            },
            (None, Some(num)) if !matches!(num.unit, Unit::Zero) => num.unit.clone(),
            _ => Unit::REAL,
        };
        let values = first.and_then(|n| n.as_const().map(|a| a.iter().copied().collect())).unwrap_or(vec![0.0]);
        Some((unit, values))
    }

    fn rule_states(&mut self, b: &mut Build, sim: &Simulation, work: &mut Work) -> Option<()> {
        let shape = self.shape_of_all(work);
        for decl in &work.learn.rule.dynamics.states {
            self.connection_state(b, sim, work, decl, &shape, Role::State)?;
        }
        for decl in &work.learn.rule.consts {
            let scope = self.rule_names(sim, work)?;
            let (full, _) = self.site_path(b, work, &decl.name.text);
            let (unit, values) = self.rule_quantity(scope, decl.ty.as_ref(), decl.init, &full, &shape)?;
            let num = match values.as_slice() {
                [one] => Num::scalar(unit, *one),
                _ => Num::array(unit, crate::value::shaped(&shape, values)),
            };
            work.consts.insert(decl.name.text.clone(), num);
        }
        Some(())
    }

    fn connection_state(
        &mut self,
        b: &mut Build,
        sim: &Simulation,
        work: &mut Work,
        decl: &Decl,
        shape: &[usize],
        role: Role,
    ) -> Option<()> {
        let scope = self.rule_names(sim, work)?;
        let (full, local) = self.site_path(b, work, &decl.name.text);
        let (unit, first) = self.rule_quantity(scope, decl.ty.as_ref(), decl.init, &full, shape)?;
        let home = Some((b.net, local.clone()));
        let leaf = NewLeaf { path: &full, role, unit: unit.clone(), shape, batched: false, home };
        let var = self.leaf_var(&leaf);
        if let Some(kept) = self.net_mut(b.net).kept.get_mut(&local) {
            kept.home = Some(Home::Connection);
        }
        if role == Role::State || !self.net(b.net).store.contains_key(&local) {
            b.tables.push((var, first));
        }
        work.states.insert(decl.name.text.clone(), (var, unit));
        Some(())
    }

    /// `running` quantities: one a connection, or with `like pre` and `like post` one a cell.
    fn rule_running(&mut self, b: &mut Build, sim: &Simulation, work: &mut Work) -> Option<()> {
        for decl in &work.learn.rule.dynamics.running {
            let like = decl.ty.as_ref().and_then(|t| match &t.kind {
                ast::TypeKind::Like(name) => Some(name.text.clone()),
                _ => None,
            });
            let post = match like.as_deref() {
                Some("post") => true,
                Some("pre") => false,
                _ => {
                    let shape = self.shape_of_all(work);
                    self.connection_state(b, sim, work, decl, &shape, Role::Weight)?;
                    continue;
                }
            };
            let population = if post { work.p.target } else { work.p.source?.0 };
            let shape = self.net(b.net).populations[population].shape.clone();
            let scope = self.rule_names(sim, work)?;
            let (full, local) = self.site_path(b, work, &decl.name.text);
            let (unit, first) = self.rule_quantity(scope, decl.ty.as_ref(), decl.init, &full, &shape)?;
            let home = Some((b.net, local.clone()));
            let leaf =
                NewLeaf { path: &full, role: Role::Weight, unit: unit.clone(), shape: &shape, batched: false, home };
            let var = self.leaf_var(&leaf);
            if !self.net(b.net).store.contains_key(&local) {
                b.tables.push((var, first));
            }
            work.cells.insert(decl.name.text.clone(), (var, post, unit));
        }
        Some(())
    }

    fn rule_traces(&mut self, b: &mut Build, sim: &Simulation, work: &mut Work) -> Option<()> {
        for trace in &work.learn.rule.traces {
            let population = if trace.post { work.p.target } else { work.p.source?.0 };
            let shape = self.net(b.net).populations[population].shape.clone();
            let mut delays: Vec<i64> =
                work.path.routes.iter().map(|r| if trace.post { r.dendritic } else { r.axonal }).collect();
            delays.sort_unstable();
            delays.dedup();
            let mut vars = vec![];
            let mut unit = Unit::REAL;
            for delay in delays {
                let name = match delay {
                    0 => trace.name.text.clone(),
                    _ => format!("{}@{delay}", trace.name.text),
                };
                let (full, local) = self.site_path(b, work, &name);
                let scope = self.rule_names(sim, work)?;
                let (own, first) = self.rule_quantity(scope, trace.ty.as_ref(), trace.init, &full, &shape)?;
                let home = Some((b.net, local));
                let leaf =
                    NewLeaf { path: &full, role: Role::State, unit: own.clone(), shape: &shape, batched: false, home };
                let var = self.leaf_var(&leaf);
                b.tables.push((var, first));
                vars.push((delay, var));
                unit = own;
            }
            work.traces.insert(trace.name.text.clone(), TraceVars { post: trace.post, unit, vars });
        }
        for trace in &work.learn.rule.traces {
            self.trace_equation(b, sim, work, trace)?;
        }
        Some(())
    }

    /// The names of one side's cells: its traces, its running values, its population.
    fn side_names(&mut self, sim: &Simulation, work: &Work, post: bool, delay: i64) -> Option<ScopeId> {
        let scope = self.rule_names(sim, work)?;
        // What is not one for a cell of this side: the check of the rule has said so.
        let foreign = work.traces.iter().filter(|(_, t)| t.post != post).map(|(name, _)| name.clone());
        let foreign: Vec<String> = foreign.chain(work.states.keys().cloned()).collect();
        for name in foreign.iter().map(String::as_str).chain(["w", if post { "pre" } else { "post" }]) {
            self.bind(scope, name, Value::Missing);
        }
        for (name, trace) in work.traces.iter().filter(|(_, t)| t.post == post) {
            let node = self.read_whole(trace.at(delay)?);
            self.bind(scope, name.clone(), Value::Num(Num::node(trace.unit.clone(), node)));
        }
        for (name, (var, _, unit)) in work.cells.iter().filter(|(_, c)| c.1 == post) {
            let node = self.read_whole(*var);
            self.bind(scope, name.clone(), Value::Num(Num::node(unit.clone(), node)));
        }
        let site = Site { seen: if post { Seen::Targets } else { Seen::Senders }, after: false, ..work.all };
        let names = self.end_names(site, post)?;
        self.bind(scope, if post { "post" } else { "pre" }, names);
        let shape = self.side_shape(work, post)?;
        self.bind_shape(scope, &shape);
        Some(scope)
    }

    /// The shape of the senders' or the targets' population.
    pub fn side_shape(&self, work: &Work, post: bool) -> Option<Vec<usize>> {
        let population = if post { work.p.target } else { work.p.source?.0 };
        Some(self.net_of_site(work.all).populations[population].shape.clone())
    }

    fn trace_equation(
        &mut self,
        b: &mut Build,
        sim: &Simulation,
        work: &Work,
        trace: &crate::hir::Trace,
    ) -> Option<()> {
        let Some(equation) = trace.equation.as_ref().or(trace.next.as_ref()) else { return Some(()) };
        let known = work.traces.get(&trace.name.text)?.clone();
        for (delay, var) in known.vars {
            let scope = self.side_names(sim, work, trace.post, delay)?;
            let state = self.read_whole(var);
            let shape = self.graph.var(var).shape.clone();
            let rate = self.operand(scope, equation.value)?;
            let second = Unit::parse("s").unwrap_or(Unit::REAL);
            let wanted = if trace.equation.is_some() { known.unit.over(&second) } else { known.unit.clone() };
            if !rate.num.unit.fits(&wanted) {
                let (found, wanted) = (rate.num.unit.describe(), wanted.describe());
                let message = format!("the trace `{}` changes by {wanted}, but this is in {found}", trace.name.text);
                self.error("E0432", rate.span, message);
                return None;
            }
            let rate = self.to_shape(rate.num, &shape, equation.span);
            let mut value = self.lift(&rate);
            if trace.equation.is_some() {
                let name = format!("{}.{}", work.p.name, trace.name.text);
                let unit = known.unit.shown().factor;
                let one = Equation {
                    name,
                    state,
                    rate: value,
                    held: None,
                    ceiling: None,
                    mixed: false,
                    method: None,
                    unit,
                    span: equation.span,
                };
                let foreign = self.program.as_ref().map_or(vec![], |p| p.foreign.clone());
                let (new, choices) = self.advance(&[one], &foreign, b.dt).noted(self)?;
                if delay == work.path.routes.first().map_or(0, |r| if trace.post { r.dendritic } else { r.axonal }) {
                    b.choices.extend(choices.into_iter().map(|c| (work.p.name.clone(), c)));
                }
                value = *new.first()?;
            }
            b.assigns.push(Assign { to: var, place: Place::Whole, add: false, value });
        }
        Some(())
    }

    /// `w` and the rule's states at a site, before anything changes them.
    pub fn connection_values(&mut self, work: &Work, site: Site) -> IndexMap<String, Num> {
        let delivery = matches!(site.seen, Seen::FromPre | Seen::FromPost);
        let place = if delivery { Place::Edge } else { Place::Whole };
        let mut here = IndexMap::new();
        let w = self.read_at(work.w, place.clone());
        here.insert("w".to_string(), Num::node(work.w_unit.clone(), w));
        for (name, (var, unit)) in &work.states {
            let node = self.read_at(*var, place.clone());
            here.insert(name.clone(), Num::node(unit.clone(), node));
        }
        here
    }

    /// The names of a rule's formula at one edge, or over all of them; `here` are `w` and the rule's states.
    pub fn edge_names(
        &mut self,
        sim: &Simulation,
        work: &Work,
        site: Site,
        here: &IndexMap<String, Num>,
    ) -> Option<ScopeId> {
        let scope = self.rule_names(sim, work)?;
        for (name, num) in here {
            self.bind(scope, name.clone(), Value::Num(num.clone()));
        }
        let route = work.path.routes.get(site.route)?.clone();
        for (name, trace) in &work.traces {
            let delay = if trace.post { route.dendritic } else { route.axonal };
            let num = match site.seen {
                Seen::Edges if trace.vars.len() > 1 => self.trace_by_edge(work, trace)?,
                _ => self.cell_value_at(site, trace.at(delay)?, trace.post, &trace.unit)?,
            };
            self.bind(scope, name.clone(), Value::Num(num));
        }
        for (name, (var, post, unit)) in &work.cells {
            let num = self.cell_value_at(site, *var, *post, unit)?;
            self.bind(scope, name.clone(), Value::Num(num));
        }
        for (name, num) in &work.consts {
            let num = self.param_seen(site, &work.path, &format!("{}.{name}", work.learn.kind.text), num)?;
            self.bind(scope, name.clone(), Value::Num(num));
        }
        let (pre, post) = (self.end_names(site, false)?, self.end_names(site, true)?);
        self.bind(scope, "pre", pre);
        self.bind(scope, "post", post);
        self.bind_extent(site, scope);
        self.bind_rule_modulators(work, site, scope)?;
        let rule = &self.modules.item(work.learn.kind.item).name.text;
        self.scopes[scope.0 as usize].place = Some(format!("{}.{rule}", self.place_of(site)));
        self.bind_rule_lets(scope, &work.learn.rule);
        self.edges_in_sight = Some(site);
        Some(scope)
    }

    /// A value of each cell of one side, at a site.
    fn cell_value_at(&mut self, site: Site, var: VarId, post: bool, unit: &Unit) -> Option<Num> {
        let size: usize = self.graph.var(var).shape.iter().product();
        let node = match (site.seen, post) {
            (Seen::FromPre, false) | (Seen::FromPost, true) => self.read_at(var, Place::Own),
            (Seen::FromPre, true) | (Seen::FromPost, false) => self.read_at(var, Place::Other),
            (Seen::Edges, _) => {
                let index = self.edge_index(site, post)?;
                self.read_at(var, Place::Gather(index))
            }
            (Seen::Pairs, _) => {
                let node = self.read_whole(var);
                let num = Num::node(unit.clone(), node);
                let shape = if post { [size, 1] } else { [1, size] };
                return Some(self.reshaped(&num, &shape));
            }
            _ => self.read_whole(var),
        };
        Some(Num::node(unit.clone(), node))
    }

    /// A trace over edges with different delays: each route's from its own instance.
    fn trace_by_edge(&mut self, work: &Work, trace: &TraceVars) -> Option<Num> {
        let edges = work.path.edge_count();
        let cells = work.path.edge_cells(trace.post);
        let mut sum = Num::scalar(trace.unit.clone(), 0.0);
        for route in &work.path.routes {
            let var = trace.at(if trace.post { route.dendritic } else { route.axonal })?;
            let node = self.read_whole(var);
            let chosen = route.chosen.clone()?;
            let from = vector(chosen.iter().map(|e| f64::from(cells[*e as usize])).collect());
            let to = vector(chosen.iter().map(|e| f64::from(*e)).collect());
            let (from, to) = (Num::array(Unit::REAL, from), Num::array(Unit::REAL, to));
            let all = Num::node(trace.unit.clone(), node);
            let size: usize = self.graph.var(var).shape.iter().product();
            let part = self.apply(work.p.span, trace.unit.clone(), &[&all, &from, &to], |g, n| {
                let flat = g.reshape(n[0], &[size])?;
                let picked = g.gather(flat, 0, n[1])?;
                g.scatter_add(picked, 0, n[2], &[edges])
            });
            sum = self.add(&sum, &part, work.p.span);
        }
        Some(sum)
    }

    fn bind_rule_modulators(&mut self, work: &Work, site: Site, scope: ScopeId) -> Option<()> {
        for decl in &work.learn.rule.modulators {
            let given = work.learn.kind.args.iter().find(|(n, _)| *n == decl.name.text).map(|(_, a)| a.clone());
            let Some(Argument::Expr(c) | Argument::Draw(c)) = given else {
                let message = format!("`{}` needs its modulator `{}`", work.learn.kind.text, decl.name.text);
                let d = Diagnostic::error("E0520", work.learn.span, message)
                    .label(decl.span, "declared here")
                    .help(format!("`by {}({} = …)`", work.learn.kind.text, decl.name.text));
                self.report(d);
                return None;
            };
            let inner = self.inner(c.scope);
            self.bind_time(inner);
            let x = self.operand(inner, c.expr.id)?;
            let num = self.held_modulator(&x, work, decl)?;
            let num = self.signal_at(work, &decl.name.text, &num, site, x.span)?;
            self.bind(scope, decl.name.text.clone(), Value::Num(num));
        }
        Some(())
    }

    /// Holds a modulator to the unit that it is declared in; `like post` leaves it open.
    fn held_modulator(&mut self, x: &Operand, work: &Work, decl: &Decl) -> Option<Num> {
        let Some(ty) = decl.ty.as_ref().filter(|t| matches!(t.kind, ast::TypeKind::Named { .. })) else {
            return Some(x.num.clone());
        };
        let module = self.scope(self.modules.item(work.learn.kind.item).module, None);
        let unit = self.declared(module, ty)?.unit;
        if x.num.unit.fits(&unit) {
            return Some(x.num.clone());
        }
        let (found, wanted) = (x.num.unit.describe(), unit.describe());
        let d = Diagnostic::error("E0312", x.span, format!("expected {wanted}, found {found}"))
            .label(decl.span, format!("the modulator `{}` is {wanted}", decl.name.text));
        self.report(d);
        None
    }

    /// A signal for all, or for each target, at a site.
    fn signal_at(&mut self, work: &Work, name: &str, num: &Num, site: Site, span: Span) -> Option<Num> {
        let cells = self.net_of_site(site).populations[work.p.target].size();
        let shape = self.shape(num).unwrap_or_default();
        let size: usize = shape.iter().product();
        if size != 1 && size != cells {
            let found = crate::eval::types::shape_text(&shape);
            let message = format!("`{name}` is one number, or one for each of {cells} targets; this has {found}");
            self.error("E0521", span, message);
            return None;
        }
        let delivery = matches!(site.seen, Seen::FromPre | Seen::FromPost);
        if matches!(num.repr, Repr::Unknown) || (size == 1 && !delivery) {
            let flat = if size == 1 { self.reshaped(num, &[]) } else { num.clone() };
            return Some(flat);
        }
        let var = match &num.repr {
            Repr::Const(array) if size == 1 => {
                return Some(Num::scalar(num.unit.clone(), array.iter().next().copied()?));
            }
            _ => {
                let node = self.lift(num);
                self.kept_value(node, &num.unit)
            }
        };
        if size == 1 && cells != 1 {
            let node = self.read_whole(var);
            return Some(Num::node(num.unit.clone(), node));
        }
        self.cell_value_at(site, var, true, &num.unit)
    }

    fn net_of_site(&self, site: Site) -> &crate::network::Network {
        self.net(self.frame(site.frame).net)
    }

    /// What a block makes of `w` and the rule's states.
    pub fn rule_block(
        &mut self,
        sim: &Simulation,
        work: &Work,
        site: Site,
        block: &[ast::Stmt],
        before: &IndexMap<String, Num>,
        bounded: bool,
    ) -> Option<IndexMap<String, Num>> {
        let mut here = before.clone();
        for stmt in block {
            match &stmt.kind {
                StmtKind::Let { name, value, .. } => {
                    let scope = self.edge_names(sim, work, site, &here)?;
                    if self.local(scope, &name.text, name.span).is_some() {
                        self.error("E0201", name.span, format!("`{}` is declared twice", name.text));
                        return None;
                    }
                    let value = self.operand(scope, *value)?;
                    here.insert(name.text.clone(), value.num);
                }
                _ => self.rule_assign(sim, work, site, stmt, &mut here, bounded)?,
            }
        }
        // Names of values last until the block's end.
        here.retain(|name, _| before.contains_key(name));
        Some(here)
    }

    /// Applies one statement of a block to what it changes.
    fn rule_assign(
        &mut self,
        sim: &Simulation,
        work: &Work,
        site: Site,
        stmt: &ast::Stmt,
        here: &mut IndexMap<String, Num>,
        bounded: bool,
    ) -> Option<()> {
        let StmtKind::Assign { place, op, value, .. } = &stmt.kind else {
            self.error("E0434", stmt.span, "a rule's block changes `w` and the rule's own states");
            return None;
        };
        let [name] = place.as_slice() else {
            self.error("E0439", stmt.span, "a rule's block changes `w` and the rule's own states");
            return None;
        };
        let Some(old) = here.get(&name.text).cloned() else {
            let message = format!("`{}` is neither `w` nor a state of this rule", name.text);
            let d = Diagnostic::error("E0439", name.span, message);
            self.report(d.help("traces change in their own `on spike { … }`"));
            return None;
        };
        let scope = self.edge_names(sim, work, site, here)?;
        let right = self.operand(scope, *value)?;
        let sum = matches!(op, AssignOp::Set | AssignOp::Add | AssignOp::Sub);
        if (sum && !right.num.unit.fits(&old.unit)) || (!sum && !right.num.unit.is_real()) {
            let wanted = if sum { old.unit.describe() } else { "a plain number".into() };
            let found = right.num.unit.describe();
            let message = format!("`{}` takes {wanted} here, but this is in {found}", name.text);
            let d = Diagnostic::error("E0436", right.span, message);
            self.report(d.label(work.learn.span, "by this rule, with these arguments"));
            return None;
        }
        let new = self.assigned(*op, &old, &right.num, stmt.span);
        let new = if name.text == "w" && bounded { self.bounded_weight(sim, work, site, here, new)? } else { new };
        here.insert(name.text.clone(), new);
        Some(())
    }

    /// `bound w in a .. b`
    pub fn bounded_weight(
        &mut self,
        sim: &Simulation,
        work: &Work,
        site: Site,
        here: &IndexMap<String, Num>,
        w: Num,
    ) -> Option<Num> {
        let Some(bound) = work.learn.rule.bound else { return Some(w) };
        let scope = self.edge_names(sim, work, site, here)?;
        let (_, expr) = self.bare_expr(scope, bound);
        let ExprKind::Compare { rest, .. } = &expr.kind else { return Some(w) };
        let Some((_, range)) = rest.first() else { return Some(w) };
        let Value::Range(from, to) = self.eval(scope, *range) else { return Some(w) };
        self.check_bound([&from, &to], expr.span, work.learn.span)?;
        let mut out = w;
        for (end, op) in [(from, Binary::Max), (to, Binary::Min)] {
            let Some(end) = end else { continue };
            if !end.unit.fits(&work.w_unit) {
                let (found, wanted) = (end.unit.describe(), work.w_unit.describe());
                let message = format!("`w` is in {wanted}, but the bound is in {found}");
                let d = Diagnostic::error("E0436", expr.span, message);
                self.report(d.label(work.learn.span, "by this rule, with these arguments"));
                return None;
            }
            let unit = out.unit.clone();
            out = self.binary(op, &out, &end, unit, expr.span);
        }
        Some(out)
    }

    /// The ends of a bound are in order, where both are known.
    pub fn check_bound(&mut self, ends: [&Option<Num>; 2], at: Span, used: Span) -> Option<()> {
        let [Some(low), Some(high)] = ends.map(|end| end.as_ref().and_then(Num::as_f64)) else { return Some(()) };
        if low <= high {
            return Some(());
        }
        let [low, high] = ends.map(|end| end.as_ref().map(crate::table::summary).unwrap_or_default());
        let d = Diagnostic::error("E0563", at, format!("this bound is empty: it goes from {low} to {high}"));
        self.report(d.label(used, "by this rule, with these arguments"));
        None
    }

    /// `w' = …`, `next w = …`, equations of the rule's states and its running values, in each step.
    fn rule_step(&mut self, b: &mut Build, sim: &Simulation, work: &Work) -> Option<()> {
        let dynamics = &work.learn.rule.dynamics;
        if dynamics.equations.is_empty() && dynamics.nexts.is_empty() {
            return Some(());
        }
        let shape = self.shape_of_all(work);
        let here = self.connection_values(work, work.all);
        let scope = self.edge_names(sim, work, work.all, &here)?;
        let mut equations = vec![];
        for e in &dynamics.equations {
            let Some(state) = here.get(&e.name.text) else { return self.no_equation(e) };
            let rate = self.right_side(scope, work, e, &state.unit, true)?;
            let rate = self.to_shape(rate, &shape, e.span);
            let unit = state.unit.shown().factor;
            let (state, rate) = (self.lift(&state.clone()), self.lift(&rate));
            let method = self.method_of(scope, &dynamics.solves, &e.name.text);
            let name = format!("{}.{}", work.p.name, e.name.text);
            equations.push(Equation {
                name,
                state,
                rate,
                held: None,
                ceiling: None,
                mixed: false,
                method,
                unit,
                span: e.span,
            });
        }
        let foreign = self.program.as_ref().map(|p| p.foreign.clone()).unwrap_or_default();
        let (new, choices) = self.advance(&equations, &foreign, b.dt).noted(self)?;
        b.choices.extend(choices.into_iter().map(|c| (work.p.name.clone(), c)));
        let mut assigns = vec![];
        let mut results: Vec<(String, Num)> = vec![];
        for (e, node) in dynamics.equations.iter().zip(new) {
            let unit = here.get(&e.name.text)?.unit.clone();
            results.push((e.name.text.clone(), Num::node(unit, node)));
        }
        for e in &dynamics.nexts {
            if let Some((var, post, unit)) = work.cells.get(&e.name.text).cloned() {
                let scope = self.side_names(sim, work, post, self.first_delay(work, post))?;
                let num = self.right_side(scope, work, e, &unit, false)?;
                let shape = self.graph.var(var).shape.clone();
                let num = self.to_shape(num, &shape, e.span);
                assigns.push(Assign { to: var, place: Place::Whole, add: false, value: self.lift(&num) });
                continue;
            }
            let Some(state) = here.get(&e.name.text) else { return self.no_equation(e) };
            let num = self.right_side(scope, work, e, &state.unit, false)?;
            results.push((e.name.text.clone(), self.to_shape(num, &shape, e.span)));
        }
        for (name, num) in results {
            let num = if name == "w" { self.bounded_weight(sim, work, work.all, &here, num)? } else { num };
            let to = if name == "w" { work.w } else { work.states.get(&name)?.0 };
            assigns.push(Assign { to, place: Place::Whole, add: false, value: self.lift(&num) });
        }
        b.rules.push(Stmt::Stage { about: format!("{}: {} in each step", work.p.name, work.learn.kind.text), assigns });
        Some(())
    }

    /// The right side of an equation, held to the unit of what it changes.
    fn right_side(
        &mut self,
        scope: ScopeId,
        work: &Work,
        e: &crate::hir::Equation,
        unit: &Unit,
        rate: bool,
    ) -> Option<Num> {
        let right = self.operand(scope, e.value)?;
        let d = &work.learn.rule.dynamics;
        let own = d.states.iter().chain(&d.running).find(|s| s.name.text == e.name.text);
        let declared = own.map_or(work.p.span, |s| s.span);
        self.hold_right_side(&right, e, unit, declared, rate).then_some(right.num)
    }

    fn first_delay(&self, work: &Work, post: bool) -> i64 {
        work.path.routes.first().map_or(0, |r| if post { r.dendritic } else { r.axonal })
    }

    fn no_equation(&mut self, e: &crate::hir::Equation) -> Option<()> {
        let message = format!("there is no `state {0}` or `running {0}` in this rule for the equation", e.name.text);
        self.error("E0431", e.name.span, message);
        None
    }

    /// `every T { … }`: at T, 2 T, and so on, with the values of that time.
    fn rule_periods(&mut self, b: &mut Build, sim: &Simulation, work: &Work) -> Option<()> {
        for on in &work.learn.rule.dynamics.ons {
            let Some(period) = on.period else { continue };
            let scope = self.rule_names(sim, work)?;
            let steps = self.whole_period(scope, period, "every")?;
            let before = self.connection_values(work, work.all);
            let here = self.rule_block(sim, work, work.all, &on.block, &before, true)?;
            let shape = self.shape_of_all(work);
            let mut assigns = vec![];
            for (name, num) in &here {
                let num = self.to_shape(num.clone(), &shape, on.span);
                let (old, value) = (self.lift(before.get(name)?), self.lift(&num));
                if old != value {
                    let to = if name == "w" { work.w } else { work.states.get(name)?.0 };
                    assigns.push(Assign { to, place: Place::Whole, add: false, value });
                }
            }
            let about = format!("{}: {} every {steps} steps", work.p.name, work.learn.kind.text);
            let phase = rem(add(Int::Loop(STEP), 1), steps);
            b.rules.push(Stmt::IfEqual { a: phase, b: Int::Const(0), body: vec![Stmt::Stage { about, assigns }] });
        }
        Some(())
    }

    /// A period in whole steps, rounded with a warning.
    pub fn whole_period(&mut self, scope: ScopeId, period: ast::ExprId, word: &str) -> Option<i64> {
        let num = self.known(scope, period, "a period")?;
        let span = self.expr_span(scope, period);
        let ms = Unit::parse("ms").unwrap_or(Unit::REAL);
        let dt = self.program.as_ref().and_then(|p| p.dt).unwrap_or(1.0);
        if !num.unit.is_real() && !num.unit.fits(&ms) {
            let message = format!("`{word}` is a time or a number of steps, not {}", num.unit.describe());
            self.error("E0309", span, message);
            return None;
        }
        if num.unit.is_real() && self.program.as_ref().is_some_and(|p| p.dt.is_some()) {
            self.refuse_bare_number(scope, period, word)?;
        }
        let steps = if num.unit.is_real() { num.as_f64()? } else { num.as_f64()? / dt };
        if steps.is_nan() || steps <= 0.0 {
            self.error("E0562", span, format!("a period is longer than 0, this is {}", crate::table::summary(&num)));
            return None;
        }
        let rounded = steps.round().max(1.0);
        if (steps - rounded).abs() > 1e-6 {
            let message = format!("this is no whole number of steps of {} ms: it is rounded", dt * 1e3);
            self.report(Diagnostic::warning("W0001", span, message));
        }
        Some(rounded as i64)
    }

    /// `normalize`: the sum of each target's weights is held at what it was when learning began.
    fn normalized(&mut self, b: &mut Build, work: &Work) -> Option<()> {
        if !work.learn.rule.normalize {
            return Some(());
        }
        let span = work.learn.span;
        let target = self.net(b.net).populations[work.p.target].clone();
        let (full, local) = self.site_path(b, work, "normalize");
        let home = Some((b.net, local.clone()));
        let unit = work.w_unit.clone();
        let leaf =
            NewLeaf { path: &full, role: Role::Weight, unit: unit.clone(), shape: &target.shape, batched: false, home };
        let held = self.leaf_var(&leaf);
        let w = self.read_whole(work.w);
        let w = Num::node(unit.clone(), w);
        let sum = self.summed_at_targets(work.all, &w, span)?;
        let fresh = !self.net(b.net).store.contains_key(&local);
        if fresh {
            let value = self.lift(&sum);
            let assigns = vec![Assign { to: held, place: Place::Whole, add: false, value }];
            let first = Stmt::Stage { about: format!("{}: sums to hold", work.p.name), assigns };
            let start = super::read_slot("start");
            b.deliveries.insert(0, Stmt::IfEqual { a: Int::Loop(STEP), b: start, body: vec![first] });
        }
        let wanted = self.read_whole(held);
        let ratio = self.binary(Binary::Div, &Num::node(unit.clone(), wanted), &sum, Unit::REAL, span);
        let one = Num::real(1.0);
        let factor = self.select(&sum, &ratio, &one, span);
        let places = self.laid_over_edges(work.all, &factor, true, span)?;
        let new = self.mul(&w, &places, span);
        let assigns = vec![Assign { to: work.w, place: Place::Whole, add: false, value: self.lift(&new) }];
        b.rules.push(Stmt::Stage { about: format!("{}: sums held", work.p.name), assigns });
        Some(())
    }

    /// A value of each cell of one end, laid over its connections.
    pub(super) fn laid_over_edges(&mut self, site: Site, num: &Num, post: bool, span: Span) -> Option<Num> {
        let size: usize = self.shape(num).unwrap_or_default().iter().product();
        if site.seen == Seen::Pairs {
            return Some(self.reshaped(num, &if post { [size, 1] } else { [1, size] }));
        }
        let places = self.edge_places(site, post)?;
        Some(self.apply(span, num.unit.clone(), &[num, &places], |g, n| {
            let flat = g.reshape(n[0], &[size])?;
            g.gather(flat, 0, n[1])
        }))
    }
}
