//! What a simulation keeps: spikes, and values at the times asked for.

use indexmap::IndexMap;
use ndarray::Axis;
use nnm_graph::ir::{Assign, Binary, NodeId, Place, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::Int;
use nnm_runtime::array::Array;
use nnm_syntax::ast::{Clause, ExprId, ExprKind, ListItem, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::build::Duration;
use super::{Build, STEP, Simulation, View};
use crate::failure::Noted;
use crate::hir::clause;
use crate::network::FrameId;
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Owner, PopulationRef, Value};

/// A value kept every so many steps, or a summary of such values that keeps none of them.
#[derive(Clone, Debug)]
pub struct Record {
    pub key: Vec<String>,
    pub var: VarId,
    pub value: NodeId,
    pub unit: Unit,
    pub when: When,
    pub kept: Kept,
    /// In 32 bits, of one of its unit.
    pub single: bool,
}

/// The steps at whose start a value is taken: `first`, `first + every`, … up to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct When {
    pub first: i64,
    pub last: i64,
    pub every: i64,
    /// The end of the simulation is taken too, where the period does not meet it.
    pub at_end: bool,
}

impl When {
    /// The same steps by their ends, with which spikes are stamped.
    fn of_stamps(self) -> When {
        When { first: self.first + 1, last: if self.at_end { self.last } else { self.last + 1 }, ..self }
    }

    pub fn samples(self) -> i64 {
        let span = self.last - self.first;
        match (span < 0, self.at_end) {
            (true, _) => 0,
            (false, true) => (span + self.every - 1) / self.every + 1,
            (false, false) => span / self.every + 1,
        }
    }
}

/// What becomes of the values of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of them, along a leading axis of time.
    Series,
    /// Their sum, of which the mean is made afterwards.
    Sum,
    Mean,
    Max,
    Min,
    Last,
    /// Running mean and sum of squared distances from it (Welford): two rows.
    Var,
    Std,
}

/// The functions of a series that `record` also computes on the way, without keeping the series.
const SUMMARIES: [(&str, Kept); 7] = [
    ("mean_t", Kept::Mean),
    ("sum_t", Kept::Sum),
    ("max_t", Kept::Max),
    ("min_t", Kept::Min),
    ("last", Kept::Last),
    ("var_t", Kept::Var),
    ("std_t", Kept::Std),
];

/// What was recorded, by the names under which the run shows it.
pub type Recorded = IndexMap<String, Value>;

impl Session<'_> {
    pub fn record_all(&mut self, b: &mut Build, sim: &Simulation, duration: Duration) -> Option<()> {
        let mut good = Some(());
        let mut names = IndexMap::new();
        for stmt in sim.block {
            let StmtKind::List { word, items, clauses } = &stmt.kind else { continue };
            if word.text != "record" {
                continue;
            }
            let when = self.record_when(b, sim.scope, clauses, duration);
            let (Some(when), Some(single)) = (when, self.record_single(sim.scope, clauses)) else {
                good = None;
                continue;
            };
            let before = b.records.len();
            for item in items {
                // All of them are looked at, so that each mistake is said.
                let key = self.record_name(sim.scope, item, stmt.span, &mut names);
                if key.and_then(|key| self.record_item(b, sim.scope, item, (when, clauses), key)).is_none() {
                    good = None;
                }
            }
            b.records[before..].iter_mut().for_each(|record| record.single = single);
        }
        good
    }

    /// The name under which the run shows an item; no other has it.
    fn record_name(
        &mut self,
        scope: ScopeId,
        item: &ListItem,
        span: Span,
        names: &mut IndexMap<Vec<String>, Span>,
    ) -> Option<Vec<String>> {
        let key = match &item.alias {
            Some(alias) => vec![alias.text.clone()],
            None => self.record_key(scope, item.expr, span)?,
        };
        let at = self.expr_span(scope, item.expr);
        if let Some(first) = names.insert(key.clone(), at) {
            let shown = key.iter().filter(|k| *k != "spikes").cloned().collect::<Vec<_>>().join(".");
            let d = Diagnostic::error("E0561", at, format!("two records have the name `{shown}`"));
            self.report(d.label(first, "the first").help("give one of them another: `record EXPR as NAME`"));
            return None;
        }
        Some(key)
    }

    /// `every 1 ms from 100 ms to 200 ms`: of absolute time, `to` not included; the whole simulation without them.
    fn record_when(&mut self, b: &Build, scope: ScopeId, clauses: &[Clause], d: Duration) -> Option<When> {
        let every = self.period_steps(scope, clauses, d)?.unwrap_or(1);
        let (start, end) = (b.start, b.start + d.steps);
        let (from, to) = (self.record_steps(scope, clauses, "from", d)?, self.record_steps(scope, clauses, "to", d)?);
        if let (Some(a), Some(b), Some(e)) = (from, to, clause(clauses, "to"))
            && b <= a
        {
            let span = self.expr_span(scope, e);
            self.error("E0566", span, "this window ends before it begins, so nothing is recorded");
            return None;
        }
        if let Some(e) = clause(clauses, "from")
            .filter(|_| from > Some(end))
            .or(clause(clauses, "to").filter(|_| to <= Some(start) && to.is_some()))
        {
            let span = self.expr_span(scope, e);
            let time = |steps: i64| {
                if d.timed {
                    crate::table::quantity(steps as f64 * d.dt, &Unit::parse("ms").unwrap_or(Unit::REAL))
                } else {
                    format!("step {steps}")
                }
            };
            let message = format!("nothing is recorded: this simulation goes from {} to {}", time(start), time(end));
            self.error("E0566", span, message);
            return None;
        }
        let first = from.unwrap_or(start).max(start);
        let to = to.filter(|to| *to <= end);
        Some(When { first, last: to.map_or(end, |to| to - 1), every, at_end: to.is_none() })
    }

    /// `with f32`: half the size, seven digits.
    fn record_single(&mut self, scope: ScopeId, clauses: &[Clause]) -> Option<bool> {
        let Some(e) = clause(clauses, "with") else { return Some(false) };
        let span = self.expr_span(scope, e);
        match crate::engine::precision(self.text(span).trim()) {
            Some(precision) => Some(precision == nnm_kir::ir::Precision::F32),
            None => {
                self.error("E0545", span, "a record is `with f32` or `with f64`");
                None
            }
        }
    }

    /// `every T`: at least a step.
    pub fn period_steps(&mut self, scope: ScopeId, clauses: &[Clause], d: Duration) -> Option<Option<i64>> {
        let Some(e) = clause(clauses, "every") else { return Some(None) };
        let num = self.known(scope, e, "`every`")?;
        if num.as_f64().is_some_and(|x| x.is_nan() || x <= 0.0) {
            let span = self.expr_span(scope, e);
            self.error("E0562", span, format!("a period is longer than 0, this is {}", crate::table::summary(&num)));
            return None;
        }
        Some(self.record_steps(scope, clauses, "every", d)?.map(|steps| steps.max(1)))
    }

    pub fn record_steps(&mut self, scope: ScopeId, clauses: &[Clause], word: &str, d: Duration) -> Option<Option<i64>> {
        let Some(e) = clause(clauses, word) else { return Some(None) };
        let num = self.known(scope, e, &format!("`{word}`"))?;
        let x = num.as_f64()?;
        let ms = Unit::parse("ms").unwrap_or(Unit::REAL);
        if !num.unit.is_real() && !num.unit.fits(&ms) {
            let span = self.expr_span(scope, e);
            self.error("E0309", span, format!("`{word}` is a time or a number of steps, not {}", num.unit.describe()));
            return None;
        }
        if d.timed && num.unit.is_real() && x != 0.0 {
            self.refuse_bare_number(scope, e, word)?;
        }
        let steps = if num.unit.is_real() { x } else { x / d.dt };
        if steps.is_nan() || steps.abs() >= 1e15 {
            let span = self.expr_span(scope, e);
            self.error(
                "E0562",
                span,
                format!("`{word}` is a time that comes, this is {}", crate::table::summary(&num)),
            );
            return None;
        }
        let rounded = steps.round();
        if (steps - rounded).abs() > 1e-6 {
            let span = self.expr_span(scope, e);
            let message = format!("this is no whole number of steps of {} ms: it is rounded", d.dt * 1e3);
            self.report(nnm_syntax::diag::Diagnostic::warning("W0001", span, message));
        }
        Some(Some(rounded as i64))
    }

    /// Where steps have a length, a number says whether it counts them: `every 1 step`, `every 1 ms`.
    pub fn refuse_bare_number(&mut self, scope: ScopeId, e: nnm_syntax::ast::ExprId, word: &str) -> Option<()> {
        let span = self.expr_span(scope, e);
        let text = self.text(span).trim();
        if let Some(unit) = ["epoch", "update", "episode"].iter().find(|unit| text.contains(**unit)) {
            let d = Diagnostic::error("E0647", span, format!("a simulation has no {unit}s: they are of training"));
            self.report(d.help(format!("`{word} 10 s` is a time, `{word} 1000 steps` counts steps")));
            return None;
        }
        // Of a name nothing is known.
        if !self.is_bare_number(span) {
            return Some(());
        }
        let d =
            Diagnostic::error("E0647", span, format!("this simulation goes in time, and `{word} {text}` has no unit"));
        self.report(d.help(format!("`{word} {text} ms` is a time, `{word} {text} steps` counts steps")));
        None
    }

    /// Digits and signs alone: `1 step` says what it counts, of a name nothing is known.
    pub fn is_bare_number(&self, span: Span) -> bool {
        self.text(span).chars().all(|c| !c.is_alphabetic() || matches!(c, 'i' | 'j' | 'e'))
    }

    fn record_item(
        &mut self,
        b: &mut Build,
        scope: ScopeId,
        item: &ListItem,
        (when, clauses): (When, &[Clause]),
        key: Vec<String>,
    ) -> Option<()> {
        let (_, expr) = self.bare_expr(scope, item.expr);
        if item.alias.is_none()
            && matches!(expr.kind, ExprKind::Field { .. } | ExprKind::Index { .. })
            && let Value::Population(p) = self.eval(scope, item.expr)
        {
            self.refuse_whole_cells(&p, self.expr_span(scope, item.expr))?;
        }
        if let ExprKind::Field { base, name } = &expr.kind
            && name.text == "spikes"
            && let Value::Population(p) = self.eval(scope, *base)
        {
            self.refuse_thinning(clauses)?;
            let frame = self.need_spikes(b, &p, name.span)?;
            let stamps = when.of_stamps();
            let view = View { key, cells: p.cells, window: (stamps.first, stamps.last) };
            return self.with_unit(b, frame, |s, unit| {
                s.log_spikes(unit, p.index, view);
                Some(())
            });
        }
        self.refuse_inner_summary(scope, item.expr)?;
        let inner = self.inner(scope);
        self.bind_time(inner);
        if let Some((kept, value)) = self.summarized(b, inner, &expr.kind)? {
            // A spike counts once, at the time that it is stamped with: not again where the next piece begins.
            let counts = matches!(kept, Kept::Sum) && is_count(self, scope, &expr.kind);
            let when = if counts { when.of_stamps() } else { when };
            return self.add_summary(b, key, kept, when, value);
        }
        let value = self.operand(inner, item.expr)?;
        let node = self.lift(&value.num);
        let var = self.graph.add_var(Var {
            name: format!("record {}", key.join(".")),
            elem: VarElem::Real,
            shape: self.graph.shape(node).to_vec(),
            batched: false,
            times: Some(when.samples().max(1) as usize),
        });
        b.records.push(Record { key, var, value: node, unit: value.num.unit, when, kept: Kept::Series, single: false });
        Some(())
    }

    /// A summary is formed over the simulation, so that there is nothing of it yet to compute with in a step.
    fn refuse_inner_summary(&mut self, scope: ScopeId, item: ExprId) -> Option<()> {
        let (_, expr) = self.bare_expr(scope, item);
        let file = self.modules.get(self.module_of(scope)).file.clone();
        let called = |e: ExprId| match &file.expr(e).kind {
            ExprKind::Call { callee, .. } => match &file.expr(*callee).kind {
                ExprKind::Name(name) => SUMMARIES.iter().map(|s| s.0).find(|s| s == name),
                _ => None,
            },
            _ => None,
        };
        let mut open = crate::eval::children(&expr.kind);
        while let Some(e) = open.pop() {
            if let Some(name) = called(e).filter(|name| self.local(scope, name, expr.span).is_none()) {
                let at = self.expr_span(scope, e);
                let message = format!("`{name}` is known at the end, and what is recorded is computed in each step");
                let d = Diagnostic::error("E0690", at, message);
                let d = d.help(format!("`record {} as NAME`, and compute with `run.NAME` afterwards", self.text(at)));
                self.report(d.help(format!("or with `{name}` around all of it")));
                return None;
            }
            open.extend(crate::eval::children(&file.expr(e).kind));
        }
        Some(())
    }

    /// Of cells that spike there is no one value: `record net.E` says too little.
    fn refuse_whole_cells(&mut self, p: &PopulationRef, span: Span) -> Option<()> {
        let population = &self.net(self.owner_net(&p.owner)).populations[p.index];
        if !population.spiking {
            return Some(());
        }
        let whose = self.text(span);
        let states: Vec<String> = population.states.iter().map(|s| format!("`record {whose}.{}`", s.name)).collect();
        let message = format!("`{whose}` is a population, and what of it is recorded is not said");
        let fields = [vec![format!("`record {whose}.spikes`")], states].concat();
        let d = Diagnostic::error("E0646", span, message).label(population.span, "declared here");
        self.report(d.help(format!("there are {}", fields.join(", "))));
        None
    }

    /// Spikes are kept one by one, with their times.
    fn refuse_thinning(&mut self, clauses: &[Clause]) -> Option<()> {
        let Some(c) = clauses.iter().find(|c| matches!(c.word.text.as_str(), "every" | "with")) else {
            return Some(());
        };
        let word = &c.word.text;
        let d = Diagnostic::error(
            "E0648",
            c.word.span,
            format!("spikes are kept one by one: there is nothing to take `{word}` of"),
        );
        self.report(d.help("leave it out, or record series and spikes in two statements"));
        None
    }

    /// The frame in which a population runs that is to spike.
    fn need_spikes(&mut self, b: &Build, p: &PopulationRef, span: Span) -> Option<FrameId> {
        let frame = match p.owner {
            Owner::Frame(frame) => frame,
            Owner::Net(_) => b.frame,
        };
        let p = &self.net(self.frame(frame).net).populations[p.index];
        if p.spiking {
            return Some(frame);
        }
        let message = format!("`{}` has no spikes: its neuron has no `spike when`", p.name);
        self.error("E0507", span, message);
        None
    }

    /// `record mean_t(net.E.v) as m`, `record count(net.E.spikes) as n`: how, and the value of each step.
    fn summarized(&mut self, b: &Build, scope: ScopeId, expr: &ExprKind) -> Option<Option<(Kept, Num)>> {
        let ExprKind::Call { callee, args, .. } = expr else { return Some(None) };
        let ([arg], ExprKind::Name(name)) = (args.as_slice(), self.bare_expr(scope, *callee).1.kind) else {
            return Some(None);
        };
        let inside = arg.value.expr();
        if name == "count" {
            let (_, counted) = self.bare_expr(scope, inside);
            let of = match &counted.kind {
                ExprKind::Field { base, name } if name.text == "spikes" => *base,
                _ => inside,
            };
            let Value::Population(p) = self.eval(scope, of) else { return Some(None) };
            let frame = self.need_spikes(b, &p, counted.span)?;
            let flags = self.spike_flags(frame, p.index);
            let flags = match p.cells {
                Some((from, to)) => self.cells_of(&flags, from, to, counted.span),
                None => flags,
            };
            return Some(Some((Kept::Sum, flags)));
        }
        let Some((_, kept)) = SUMMARIES.iter().find(|(n, _)| *n == name) else { return Some(None) };
        Some(Some((*kept, self.operand(scope, inside)?.num)))
    }

    fn add_summary(&mut self, b: &mut Build, key: Vec<String>, kept: Kept, when: When, value: Num) -> Option<()> {
        let x = self.lift(&value);
        let mut shape = self.graph.shape(x).to_vec();
        let (unit, first) = match kept {
            Kept::Max => (value.unit.clone(), f64::NEG_INFINITY),
            Kept::Min => (value.unit.clone(), f64::INFINITY),
            Kept::Var => (value.unit.squared(), 0.0),
            _ => (value.unit.clone(), 0.0),
        };
        if matches!(kept, Kept::Var | Kept::Std) {
            shape.insert(0, 2);
        }
        let size = shape.iter().product();
        let (var, so_far) = self.work(&format!("record {}", key.join(".")), value.unit.clone(), &shape);
        b.tables.push((var, vec![first; size]));
        let old = self.lift(&so_far);
        let next = match kept {
            Kept::Series | Kept::Last => x,
            Kept::Sum | Kept::Mean => self.graph.binary(Binary::Add, old, x).noted(self)?,
            Kept::Max => self.graph.extreme_so_far(Binary::Max, old, x).noted(self)?,
            Kept::Min => self.graph.extreme_so_far(Binary::Min, old, x).noted(self)?,
            Kept::Var | Kept::Std => self.welford(old, x, when).noted(self)?,
        };
        b.records.push(Record { key, var, value: next, unit, when, kept, single: false });
        Some(())
    }

    /// One more value in running mean and sum of squared distances.
    fn welford(&mut self, old: NodeId, x: NodeId, when: When) -> Result<NodeId, nnm_graph::ShapeError> {
        let number = self.graph.count(taken_before(when));
        let g = &mut self.graph;
        let one = g.constant(1.0);
        let number = g.binary(Binary::Add, number, one)?;
        let (mean, squares) = (g.at(old, 0, 0)?, g.at(old, 0, 1)?);
        let before = g.binary(Binary::Sub, x, mean)?;
        let share = g.binary(Binary::Div, before, number)?;
        let mean = g.binary(Binary::Add, mean, share)?;
        let after = g.binary(Binary::Sub, x, mean)?;
        let square = g.binary(Binary::Mul, before, after)?;
        let squares = g.binary(Binary::Add, squares, square)?;
        g.stack(0, &[mean, squares])
    }

    /// The name under which a run shows what was recorded: `net.E.v` is `run.E.v`.
    fn record_key(&mut self, scope: ScopeId, expr: nnm_syntax::ast::ExprId, span: Span) -> Option<Vec<String>> {
        let mut key = vec![];
        let mut at = expr;
        loop {
            let (_, e) = self.bare_expr(scope, at);
            match e.kind {
                ExprKind::Field { base, name } => {
                    key.push(name.text);
                    at = base;
                }
                ExprKind::Index { base, indices } => {
                    // Of an array of parts it matters which; of a population's cells all are columns of one series.
                    if let (Value::Many(parts), [index]) = (self.eval(scope, base), indices.as_slice()) {
                        let k = self.index_range(scope, *index, parts.len())?.0;
                        key.push(format!("[{k}]"));
                    }
                    at = base;
                }
                ExprKind::Name(_) if !key.is_empty() => break,
                _ => {
                    self.error("E0508", span, "give what is recorded a name: `record EXPR as NAME`");
                    return None;
                }
            }
        }
        key.reverse();
        Some(key)
    }

    /// The statements that keep the values of the step's start; `at_end`, those of the simulation's end.
    pub fn record_statements(&mut self, b: &Build, end: i64, at_end: bool) -> Vec<Stmt> {
        let mut by_period: IndexMap<When, Vec<Assign>> = IndexMap::new();
        for record in b.records.iter().filter(|r| !at_end || r.when.last >= end) {
            let place = match record.kept {
                Kept::Series => Place::Time(taken_before(record.when)),
                _ => Place::Whole,
            };
            let assign = Assign { to: record.var, place, add: false, value: record.value };
            by_period.entry(record.when).or_default().push(assign);
        }
        let mut out = vec![];
        for (when, assigns) in by_period {
            let mut body = vec![Stmt::Stage { about: "record".into(), assigns }];
            if when.every > 1 && !(at_end && when.at_end) {
                let phase = Int::Rem(Box::new(since(when)), Box::new(Int::Const(when.every)));
                body = vec![Stmt::IfEqual { a: phase, b: Int::Const(0), body }];
            }
            if when.first > b.start {
                body = vec![Stmt::IfLess { a: Int::Const(when.first - 1), b: Int::Loop(STEP), body }];
            }
            if when.last < end {
                body = vec![Stmt::IfLess { a: Int::Loop(STEP), b: Int::Const(when.last + 1), body }];
            }
            out.extend(body);
        }
        out
    }

    /// A recorded name in check mode: its unit and shape, with a time axis in front.
    pub fn unknown_shape(&mut self, unit: Unit, shape: &[usize]) -> Num {
        let var = self.graph.add_var(Var {
            name: "unknown".into(),
            elem: VarElem::Real,
            shape: shape.to_vec(),
            batched: false,
            times: None,
        });
        let node = self.read_whole(var);
        Num::node(unit, node)
    }

    /// Puts a recorded value under its dotted name.
    pub fn put(recorded: &mut Recorded, key: &[String], value: Value) {
        match key {
            [] => {}
            [name] => {
                recorded.insert(name.clone(), value);
            }
            [name, rest @ ..] => {
                let mut inner = match recorded.get(name) {
                    Some(Value::Record(r)) => (**r).clone(),
                    _ => IndexMap::new(),
                };
                Self::put(&mut inner, rest, value);
                recorded.insert(name.clone(), Value::Record(inner.into()));
            }
        }
    }

    /// The network that a value is or is part of.
    pub fn owner_net(&self, owner: &Owner) -> crate::network::NetId {
        match owner {
            Owner::Net(id) => *id,
            Owner::Frame(f) => self.frame(*f).net,
        }
    }
}

fn since(when: When) -> Int {
    Int::Sub(Box::new(Int::Loop(STEP)), Box::new(Int::Const(when.first)))
}

/// How many values were taken before this step's. The last may come before its period is over.
fn taken_before(when: When) -> Int {
    if when.every == 1 {
        return since(when);
    }
    let rounded = Int::Add(Box::new(since(when)), Box::new(Int::Const(when.every - 1)));
    Int::Div(Box::new(rounded), Box::new(Int::Const(when.every)))
}

fn is_count(s: &Session, scope: ScopeId, expr: &ExprKind) -> bool {
    match expr {
        ExprKind::Call { callee, .. } => {
            matches!(s.bare_expr(scope, *callee).1.kind, ExprKind::Name(n) if n == "count")
        }
        _ => false,
    }
}

/// What a summary's storage says once the simulation is over.
pub fn summary_value(record: &Record, stored: Array) -> Array {
    let taken = record.when.samples().max(1) as f64;
    match record.kept {
        Kept::Mean => stored / taken,
        Kept::Var => stored.index_axis(Axis(0), 1).mapv(|v| v / taken).into_shared(),
        Kept::Std => stored.index_axis(Axis(0), 1).mapv(|v| (v / taken).sqrt()).into_shared(),
        Kept::Series | Kept::Sum | Kept::Max | Kept::Min | Kept::Last => stored,
    }
}
