//! What a simulation keeps: spikes, and values at the times asked for.

use indexmap::IndexMap;
use nnm_graph::ir::{Assign, Place, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::Int;
use nnm_syntax::ast::{ExprKind, ListItem, StmtKind};
use nnm_syntax::span::Span;

use super::build::Duration;
use super::{Build, STEP, Simulation, read_slot};
use crate::hir::clause;
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Owner, Value};

/// A value kept every so many steps.
#[derive(Clone, Debug)]
pub struct Record {
    pub key: Vec<String>,
    pub var: VarId,
    pub value: nnm_graph::ir::NodeId,
    pub unit: Unit,
    pub every: i64,
    pub samples: i64,
}

/// What was recorded, by the names under which the run shows it.
pub type Recorded = IndexMap<String, Value>;

impl Session<'_> {
    pub fn record_all(&mut self, b: &mut Build, sim: &Simulation, duration: Duration) -> Option<()> {
        for stmt in sim.block {
            let StmtKind::List { word, items, clauses } = &stmt.kind else { continue };
            if word.text != "record" {
                continue;
            }
            let every = self.record_every(sim.scope, clauses, duration)?;
            for item in items {
                self.record_item(b, sim.scope, item, every, duration, stmt.span)?;
            }
        }
        Some(())
    }

    fn record_every(&mut self, scope: ScopeId, clauses: &[nnm_syntax::ast::Clause], duration: Duration) -> Option<i64> {
        let Some(e) = clause(clauses, "every") else { return Some(1) };
        let num = self.known(scope, e, "`every`")?;
        let x = num.as_f64()?;
        let ms = Unit::parse("ms").unwrap_or(Unit::REAL);
        if !num.unit.is_real() && !num.unit.fits(&ms) {
            let span = self.expr_span(scope, e);
            self.error("E0309", span, format!("`every` is a time or a number of steps, not {}", num.unit.describe()));
            return None;
        }
        let steps = if num.unit.is_real() { x } else { x / duration.dt };
        let rounded = steps.round().max(1.0);
        if (steps - rounded).abs() > 1e-6 {
            let span = self.expr_span(scope, e);
            let message = format!("this is no whole number of steps of {} ms: it is rounded", duration.dt * 1e3);
            self.report(nnm_syntax::diag::Diagnostic::warning("W0001", span, message));
        }
        Some(rounded as i64)
    }

    fn record_item(
        &mut self,
        b: &mut Build,
        scope: ScopeId,
        item: &ListItem,
        every: i64,
        d: Duration,
        span: Span,
    ) -> Option<()> {
        let (_, expr) = self.bare_expr(scope, item.expr);
        if let ExprKind::Field { base, name } = &expr.kind
            && name.text == "spikes"
            && let Value::Population(p) = self.eval(scope, *base)
        {
            if !self.net(b.net).populations[p.index].spiking {
                let who = self.net(b.net).populations[p.index].name.clone();
                self.error("E0507", name.span, format!("`{who}` has no spikes: its neuron has no `spike when`"));
                return None;
            }
            self.log_spikes(b, p.index);
            return Some(());
        }
        let inner = self.inner(scope);
        self.bind_time(inner);
        let value = self.operand(inner, item.expr)?;
        let key = match &item.alias {
            Some(alias) => vec![alias.text.clone()],
            None => self.record_key(scope, item.expr, span)?,
        };
        let node = self.lift(&value.num);
        let shape = self.graph.shape(node).to_vec();
        let samples = (d.steps + every - 1) / every + 1;
        let var = self.graph.add_var(Var {
            name: format!("record {}", key.join(".")),
            elem: VarElem::Real,
            shape,
            batched: false,
            times: Some(samples as usize),
        });
        b.records.push(Record { key, var, value: node, unit: value.num.unit, every, samples });
        Some(())
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
                ExprKind::Index { base, .. } => at = base,
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

    /// The statements that keep the values of the step's start.
    pub fn record_statements(&mut self, b: &Build) -> Vec<Stmt> {
        let mut by_period: IndexMap<i64, Vec<Assign>> = IndexMap::new();
        for record in &b.records {
            let since = Int::Sub(Box::new(Int::Loop(STEP)), Box::new(read_slot("start")));
            // The last sample is that of the end, whether or not the period divides the duration.
            let rounded = Int::Add(Box::new(since), Box::new(Int::Const(record.every - 1)));
            let place = Int::Div(Box::new(rounded), Box::new(Int::Const(record.every)));
            let assign = Assign { to: record.var, place: Place::Time(place), add: false, value: record.value };
            by_period.entry(record.every).or_default().push(assign);
        }
        let mut out = vec![];
        for (every, assigns) in by_period {
            let stage = Stmt::Stage { about: "record".into(), assigns };
            if every == 1 {
                out.push(stage);
                continue;
            }
            let since = Int::Sub(Box::new(Int::Loop(STEP)), Box::new(read_slot("start")));
            let phase = Int::Rem(Box::new(since), Box::new(Int::Const(every)));
            out.push(Stmt::IfEqual { a: phase, b: Int::Const(0), body: vec![stage] });
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
