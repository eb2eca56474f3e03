//! One step of a population inside a frame: equations, `next` values, then `when` and `spike when` in source order.

use indexmap::IndexMap;
use nnm_graph::ir::{Binary, NodeId, Unary};
use nnm_syntax::ast::{AssignOp, CmpOp, ExprId, ExprKind, Name, Stmt, StmtKind};
use nnm_syntax::span::Span;

use super::elements::Change;
use super::interpolate::Inside;
use super::solver::{Choice, Equation, Method};
use crate::failure::Noted;
use crate::hir::{ItemKind, Neuron, When};
use crate::network::{FrameId, Population, clause_of};
use crate::program::{NewLeaf, Role};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Value};

/// A population's values after a step.
#[derive(Clone, Debug, Default)]
pub struct Advanced {
    pub states: IndexMap<String, Num>,
    /// Steps left for which states are held.
    pub holds: IndexMap<String, Num>,
    /// How often each cell spikes in this step.
    pub spike: Option<Num>,
    /// The share of the step after which it does, where spikes are placed inside the step.
    pub fraction: Option<Num>,
    /// What the next step compares with, by the path where it is kept.
    pub past: Vec<(String, Num)>,
    pub choices: Vec<Choice>,
}

/// What arrived at an event port: how many events, and their values' sum.
#[derive(Clone, Debug)]
pub struct EventArrival {
    pub port: String,
    pub count: Num,
    pub value: Num,
}

/// A population on its way through a step.
pub(super) struct Walk {
    pub(super) frame: FrameId,
    pub(super) index: usize,
    pub(super) states: IndexMap<String, Num>,
    pub(super) holds: IndexMap<String, Num>,
    pub(super) ports: Vec<(String, Value)>,
    /// Of the block at hand.
    pub(super) lets: Vec<(String, Value)>,
    /// States that are not held where the block at hand acts, and those that a block of this step has held.
    pub(super) free: Vec<String>,
    pub(super) held: Vec<String>,
    pub(super) scope: ScopeId,
    /// Holds last whole steps.
    pub(super) whole: bool,
    /// Ports of which the next step asks what they were.
    pub(super) past: Vec<(String, Num)>,
}

impl Session<'_> {
    pub fn neuron_of(&self, population: &Population) -> Neuron {
        match &self.modules.item(population.item).kind {
            ItemKind::Neuron(n) => n.clone(),
            _ => Neuron::default(),
        }
    }

    /// The step of one population. `lumped` are further equations in front of it: synapses' states, with their names.
    pub fn advance_population(
        &mut self,
        frame: FrameId,
        index: usize,
        lumped: &[Equation],
    ) -> Option<(Advanced, Vec<NodeId>)> {
        let population = self.net(self.frame(frame).net).populations[index].clone();
        let neuron = self.neuron_of(&population);
        let scope = self.frame(frame).populations[index].scope;
        let holds = self.hold_counters(frame, &population, &neuron);
        let mut equations = self.equations_of(frame, index, &population, &neuron, &holds)?;
        let own = equations.len();
        equations.extend(lumped.iter().cloned());
        let foreign = self.program.as_ref().map_or(vec![], |p| p.foreign.clone());
        let dt = self.program.as_ref().and_then(|p| p.dt).unwrap_or(1.0);
        let span = population.span;
        self.refuse_adaptive(&equations);
        if self.program.as_ref().is_some_and(|p| p.interpolated.contains_key(&(frame, index))) {
            let (population, neuron, holds, equations) = (&population, &neuron, &holds, &equations);
            return self.advance_inside(&Inside { frame, index, population, neuron, equations, own, holds, dt });
        }
        let (new, choices) = match self.advance(&equations, &foreign, dt) {
            Ok(done) => done,
            Err(error) => {
                self.error("E0301", span, error.to_string());
                return None;
            }
        };
        let mut states = self.frame(frame).populations[index].states.clone();
        for (equation, node) in equations[..own].iter().zip(&new) {
            let unit = states.get(&equation.name).map_or(Unit::Unknown, |n| n.unit.clone());
            let shape = self.state_shape(&population, &equation.name);
            let num = self.to_shape(Num::node(unit, *node), &shape, equation.span);
            states.insert(equation.name.clone(), num);
        }
        self.take_nexts((frame, index), &population, &neuron, &holds, &mut states)?;
        let counted = self.counted_down(&holds, span);
        let mut walk = Walk {
            frame,
            index,
            states,
            holds: counted,
            ports: self.port_values(scope, &population),
            lets: vec![],
            free: vec![],
            held: vec![],
            scope,
            whole: true,
            past: vec![],
        };
        walk.scope = self.walk_scope(&walk);
        self.walk_periods(&mut walk, &population, &neuron)?;
        let spike = self.walk_whens(&mut walk, scope, &holds, &population, &neuron)?;
        let lumped_new = new[own..].to_vec();
        let Walk { states, holds, past, .. } = walk;
        Some((Advanced { states, holds, spike, fraction: None, past, choices }, lumped_new))
    }

    /// What recurrences make of their states in this step.
    pub(super) fn take_nexts(
        &mut self,
        (frame, index): (FrameId, usize),
        population: &Population,
        neuron: &Neuron,
        holds: &IndexMap<String, Num>,
        states: &mut IndexMap<String, Num>,
    ) -> Option<()> {
        let scope = self.frame(frame).populations[index].scope;
        let frozen =
            self.program.as_ref().is_some_and(|p| p.purpose == crate::program::Purpose::Simulate && !p.learning);
        let runs = |name: &str| population.states.iter().any(|s| s.running && s.name == name);
        for next in neuron.dynamics.nexts.iter().filter(|n| !(frozen && runs(&n.name.text))) {
            let value = self.local(scope, &format!("next {}", next.name.text), next.span)?;
            let num = self.number(value, next.span)?;
            let unit = states.get(&next.name.text).map_or(Unit::Unknown, |n| n.unit.clone());
            let shape = self.state_shape(population, &next.name.text);
            let span = self.expr_span(scope, next.value);
            let num = self.stored_state(population, Num { unit, ..num }, &shape, span);
            let num = self.unless_held(holds, &next.name.text, num, frame, index);
            states.insert(next.name.text.clone(), num);
        }
        Some(())
    }

    /// Step control has no derivative: it acts in simulations.
    fn refuse_adaptive(&mut self, equations: &[Equation]) {
        let simulates = self.program.as_ref().is_some_and(|p| p.purpose == crate::program::Purpose::Simulate);
        if simulates {
            return;
        }
        for e in equations.iter().filter(|e| matches!(e.method, Some(Method::Rk45(_)))) {
            self.error("E0437", e.span, "`rk45` acts in `simulate`; for training take `rk4` or `implicit`");
        }
    }

    fn state_shape(&self, population: &Population, name: &str) -> Vec<usize> {
        population
            .states
            .iter()
            .find(|s| s.name == name)
            .map_or(population.shape.clone(), |s| s.initial.shape().to_vec())
    }

    /// A value spread over the cells, where an equation gave one number for all.
    pub fn to_shape(&mut self, num: Num, shape: &[usize], span: Span) -> Num {
        if self.shape(&num).is_none_or(|s| s == shape) {
            return num;
        }
        let unit = num.unit.clone();
        self.apply(span, unit, &[&num], |g, n| g.broadcast_to(n[0], shape))
    }

    /// A number of each cell beside values of this shape, the population's axes first.
    pub fn beside(&mut self, num: &Num, shape: &[usize]) -> Num {
        let own = shape.len().saturating_sub(self.shape(num).map_or(0, |s| s.len()));
        if own == 0 {
            return num.clone();
        }
        let with_own = [self.shape(num).unwrap_or_default(), vec![1; own]].concat();
        self.apply(Span::default(), num.unit.clone(), &[num], |g, n| g.reshape(n[0], &with_own))
    }

    fn unless_held(
        &mut self,
        holds: &IndexMap<String, Num>,
        name: &str,
        new: Num,
        frame: FrameId,
        index: usize,
    ) -> Num {
        let Some(counter) = holds.get(name).cloned() else { return new };
        let old = self.frame(frame).populations[index].states.get(name).cloned();
        let Some(old) = old else { return new };
        let shape = self.shape(&old).unwrap_or_default();
        let counter = self.beside(&counter, &shape);
        self.select(&counter, &old, &new, Span::default())
    }

    pub(super) fn port_values(&mut self, scope: ScopeId, population: &Population) -> Vec<(String, Value)> {
        population.ports.iter().map(|p| (p.name.clone(), self.force(scope, &p.name, p.span))).collect()
    }

    /// States that some block holds, with the counter of steps left (as of the step's start).
    pub fn hold_counters(&mut self, frame: FrameId, population: &Population, neuron: &Neuron) -> IndexMap<String, Num> {
        let blocks = neuron.dynamics.whens.iter().map(|w| &w.block).chain(neuron.dynamics.ons.iter().map(|o| &o.block));
        let mut names: Vec<String> = vec![];
        for stmt in blocks.flatten() {
            if let StmtKind::Hold { name, .. } = &stmt.kind
                && !names.contains(&name.text)
            {
                names.push(name.text.clone());
            }
        }
        let id = self.frame(frame).net;
        let batched = self.program.as_ref().is_some_and(|p| p.batched);
        let run = self.frame(frame).run.clone();
        let mut out = IndexMap::new();
        for name in names {
            let local = format!("{}.{name}.hold", population.name);
            let path = format!("{}{run}.{local}", self.net(id).path);
            let leaf = NewLeaf {
                path: &path,
                role: Role::State,
                unit: Unit::REAL,
                shape: &population.shape,
                batched,
                home: Some((id, local)),
            };
            out.insert(name, self.leaf(leaf));
        }
        out
    }

    fn counted_down(&mut self, holds: &IndexMap<String, Num>, span: Span) -> IndexMap<String, Num> {
        let mut out = IndexMap::new();
        for (name, counter) in holds {
            let one = Num::real(1.0);
            let less = self.binary(Binary::Sub, counter, &one, Unit::REAL, span);
            let floor = self.binary(Binary::Max, &less, &Num::real(0.0), Unit::REAL, span);
            out.insert(name.clone(), floor);
        }
        out
    }

    fn equations_of(
        &mut self,
        frame: FrameId,
        index: usize,
        population: &Population,
        neuron: &Neuron,
        holds: &IndexMap<String, Num>,
    ) -> Option<Vec<Equation>> {
        let scope = self.frame(frame).populations[index].scope;
        let states = self.frame(frame).populations[index].states.clone();
        let mut out = vec![];
        for equation in &neuron.dynamics.equations {
            let name = &equation.name.text;
            let right = self.operand(scope, equation.value)?;
            let Some(state) = states.get(name) else { continue };
            let unit = state.unit.shown().factor;
            let shape = self.state_shape(population, name);
            let right = self.stored_state(population, right.num, &shape, right.span);
            let (state, rate) = (self.lift(state), self.lift(&right));
            let held = holds.get(name).cloned().map(|h| self.beside(&h, &shape)).map(|h| self.lift(&h));
            let mixed = self.mixes(&states, rate, population.shape.len());
            let method = self.method_of(scope, &neuron.dynamics.solves, name);
            // What a block has set higher stays as it is.
            let ceiling = self.ceiling_of(scope, neuron, name, &shape);
            let ceiling = match ceiling {
                Some(level) => Some(self.graph.binary(Binary::Max, level, state).noted(self)?),
                None => None,
            };
            let (name, span) = (name.clone(), equation.span);
            out.push(Equation { name, state, rate, held, ceiling, mixed, method, unit, span });
        }
        Some(out)
    }

    /// A threshold known before the run at which `spike when` sets a state anew. An upstroke that would leave the numbers'
    /// range within a step ends there.
    fn ceiling_of(&mut self, scope: ScopeId, neuron: &Neuron, state: &str, shape: &[usize]) -> Option<NodeId> {
        let sets = |w: &&When| {
            w.block
                .iter()
                .any(|s| matches!(&s.kind, StmtKind::Assign { place, index, op: AssignOp::Set, .. } if place[0].text == state && index.is_empty()))
        };
        let when = neuron.dynamics.whens.iter().filter(|w| w.spike).find(sets)?;
        let (_, expr) = self.bare_expr(scope, when.cond);
        let ExprKind::Compare { first, rest } = &expr.kind else { return None };
        let [(CmpOp::Gt | CmpOp::Ge, level)] = rest.as_slice() else { return None };
        let ExprKind::Name(name) = &self.bare_expr(scope, *first).1.kind else { return None };
        let level = self.operand(scope, *level).filter(|_| name == state)?.num;
        level.as_const()?;
        let level = self.to_shape(level, shape, when.span);
        Some(self.lift(&level))
    }

    /// The method that a `solve` asks for.
    pub fn method_of(&mut self, scope: ScopeId, solves: &[(Vec<Name>, ExprId)], state: &str) -> Option<Method> {
        let (_, method) = solves.iter().find(|(names, _)| names.iter().any(|n| n.text == state))?;
        let (_, expr) = self.bare_expr(scope, *method);
        let (name, tolerance) = match &expr.kind {
            ExprKind::Name(name) => (name.clone(), None),
            ExprKind::Call { callee, args, .. } => match (&self.bare_expr(scope, *callee).1.kind, args.as_slice()) {
                (ExprKind::Name(name), [arg]) if arg.name.as_ref().is_none_or(|n| n.text == "tol") => {
                    let nnm_syntax::ast::Init::Value(value) = arg.value else { return None };
                    (name.clone(), self.known_quantity(scope, value, "a tolerance", &Unit::REAL))
                }
                (ExprKind::Name(_), [arg]) => {
                    let at = arg.name.as_ref().map_or(expr.span, |n| n.span);
                    let d = nnm_syntax::diag::Diagnostic::error("E0437", at, "a method is told its tolerance as `tol`");
                    self.report(d.help("`solve … by rk45(tol = 1e-6)`").fix(at, "tol"));
                    return None;
                }
                _ => (String::new(), None),
            },
            _ => (String::new(), None),
        };
        if name.is_empty() {
            self.error("E0437", expr.span, "`solve … by` takes the name of a method: `rk4`, `rk45(tol = 1e-6)`");
            return None;
        }
        if tolerance.is_some() {
            return self.with_tolerance(&name, tolerance, expr.span);
        }
        let name = &name;
        let found = Method::NAMES.iter().find(|(n, _)| n == name).map(|(_, m)| *m);
        if found.is_none() {
            let names = Method::NAMES.map(|(n, _)| format!("`{n}`")).join(", ");
            let d = nnm_syntax::diag::Diagnostic::error("E0437", expr.span, format!("there is no method `{name}`"));
            let d = crate::suggest::did_you_mean(
                d,
                expr.span,
                crate::suggest::nearest(name, Method::NAMES.iter().map(|(n, _)| *n)),
            );
            self.report(d.help(format!("the methods are {names}")));
        }
        found
    }

    /// A method with the error that it may make.
    fn with_tolerance(&mut self, name: &str, tolerance: Option<f64>, span: Span) -> Option<Method> {
        let tolerance = tolerance?;
        if name != "rk45" || tolerance <= 0.0 {
            let message = "a tolerance above 0 belongs to `rk45`: `solve v by rk45(tol = 1e-6)`";
            self.error("E0437", span, message);
            return None;
        }
        Some(Method::Rk45(super::solver::Tolerance(tolerance)))
    }

    pub(super) fn walk_scope(&mut self, walk: &Walk) -> ScopeId {
        let scope = self.population_scope(walk.frame, walk.index, &walk.states);
        for (name, value) in walk.ports.iter().chain(&walk.lets) {
            self.bind(scope, name.clone(), value.clone());
        }
        scope
    }

    /// `every T { … }`: at T, 2 T, and so on, before thresholds are tested.
    pub(super) fn walk_periods(&mut self, walk: &mut Walk, population: &Population, neuron: &Neuron) -> Option<()> {
        for on in &neuron.dynamics.ons {
            let Some(period) = on.period else { continue };
            let steps = self.whole_period(walk.scope, period, "every")?;
            let step = self.program.as_ref().map(|p| p.step.clone())?;
            let count = self.graph.count(step);
            let now = self.add(&Num::node(Unit::REAL, count), &Num::real(1.0), on.span);
            let period = Num::real(steps as f64);
            let times = self.binary(Binary::Div, &now, &period, Unit::REAL, on.span);
            let whole = self.unary(Unary::Floor, &times, Unit::REAL, on.span);
            let back = self.mul(&whole, &period, on.span);
            let due = self.binary(Binary::Eq, &back, &now, Unit::REAL, on.span);
            let due = self.to_shape(due, &population.shape, on.span);
            self.walk_block(walk, &on.block, &due, &None)?;
            self.leave_block(walk);
        }
        Some(())
    }

    /// What a block called by a name is gone after it.
    fn leave_block(&mut self, walk: &mut Walk) {
        if !walk.lets.is_empty() {
            walk.lets.clear();
            walk.scope = self.walk_scope(walk);
        }
    }

    pub(super) fn walk_whens(
        &mut self,
        walk: &mut Walk,
        before: ScopeId,
        held_before: &IndexMap<String, Num>,
        population: &Population,
        neuron: &Neuron,
    ) -> Option<Option<Num>> {
        let mut spikes: Option<Num> = None;
        for when in &neuron.dynamics.whens {
            walk.free.clear();
            let flag = self.condition(before, walk, neuron, when)?;
            let flag = self.to_shape(flag, &population.shape, when.span);
            let flag = if when.spike { self.unless_reading_held(walk, held_before, neuron, when, flag) } else { flag };
            let flag = self.with_surrogate(walk, when, flag, population)?;
            let soft = when.through_reset.then(|| flag.clone());
            self.walk_block(walk, &when.block, &flag, &soft)?;
            self.leave_block(walk);
            if when.spike {
                spikes = Some(match spikes {
                    None => flag,
                    Some(sum) => self.add(&sum, &flag, when.span),
                });
            }
        }
        Some(spikes)
    }

    /// Whether (how often) a condition holds in this step.
    fn condition(&mut self, before: ScopeId, walk: &mut Walk, neuron: &Neuron, when: &When) -> Option<Num> {
        let after = walk.scope;
        let (_, expr) = self.bare_expr(after, when.cond);
        if let ExprKind::Compare { first, rest } = &expr.kind
            && let [(op @ (CmpOp::CrossesUp | CmpOp::CrossesDown), level)] = rest.as_slice()
        {
            return self.crossing(before, walk, neuron, [*first, *level], *op, expr.span);
        }
        Some(self.operand(after, when.cond)?.num)
    }

    /// `spike when` is not tested while a state that it reads is held.
    fn unless_reading_held(
        &mut self,
        walk: &mut Walk,
        held: &IndexMap<String, Num>,
        neuron: &Neuron,
        when: &When,
        flag: Num,
    ) -> Num {
        let file = &self.modules.get(self.module_of(walk.scope)).file;
        let read = crate::eval::names_through(file, when.cond, &neuron.dynamics.lets);
        let mut flag = flag;
        for (name, counter) in held {
            if read.contains(name) {
                flag = self.select(counter, &Num::real(0.0), &flag, when.span);
                walk.free.push(name.clone());
            }
        }
        flag
    }

    /// The flag with the derivative of the surrogate of the distance from threshold.
    fn with_surrogate(&mut self, walk: &Walk, when: &When, flag: Num, population: &Population) -> Option<Num> {
        let Some(surrogate) = when.surrogate else { return Some(flag) };
        let (_, expr) = self.bare_expr(walk.scope, when.cond);
        let ExprKind::Compare { first, rest } = &expr.kind else {
            self.error("E0438", expr.span, "a surrogate needs a threshold: `spike when v > v_th surrogate F`");
            return None;
        };
        let [(op, level)] = rest.as_slice() else { return Some(flag) };
        let (x, level) = (self.operand(walk.scope, *first)?, self.operand(walk.scope, *level)?);
        let (a, b) = if matches!(op, CmpOp::Lt | CmpOp::Le) { (level, x) } else { (x, level) };
        let unit = a.num.unit.join(&b.num.unit);
        let distance = self.binary(Binary::Sub, &a.num, &b.num, unit.clone(), when.span);
        let factor = unit.shown().factor;
        let distance = self.binary(Binary::Div, &distance, &Num::real(factor), Unit::REAL, when.span);
        let distance = self.to_shape(distance, &population.shape, when.span);
        let span = self.expr_span(walk.scope, surrogate);
        let function = self.eval(walk.scope, surrogate);
        let slope = self.call_value(
            walk.scope,
            function,
            crate::eval::Written { receiver: Some(Value::Num(distance)), args: &[], clauses: &[], span, text: "" },
        );
        let slope = self.number(slope, span)?;
        Some(self.apply(span, Unit::REAL, &[&flag, &slope], |g, n| g.surrogate(n[0], n[1])))
    }

    /// A block under a mask: statements act in sequence, each on the cells where the mask is not 0.
    pub(super) fn walk_block(&mut self, walk: &mut Walk, block: &[Stmt], mask: &Num, soft: &Option<Num>) -> Option<()> {
        self.where_acts(mask, |s| block.iter().try_for_each(|stmt| s.walk_stmt(walk, stmt, mask, soft)))
    }

    fn walk_stmt(&mut self, walk: &mut Walk, stmt: &Stmt, mask: &Num, soft: &Option<Num>) -> Option<()> {
        match &stmt.kind {
            StmtKind::Assign { place, index, op, value } => {
                let change = Change { place, index, op: *op, value: *value, span: stmt.span };
                self.walk_assign(walk, &change, mask, soft)
            }
            StmtKind::Hold { name, clauses } => self.walk_hold(walk, name, clauses, mask),
            StmtKind::Let { name, value, .. } => {
                let value = self.eval(walk.scope, *value);
                walk.lets.push((name.text.clone(), value));
                walk.scope = self.walk_scope(walk);
                Some(())
            }
            _ => Some(()),
        }
    }

    fn walk_assign(&mut self, walk: &mut Walk, change: &Change, mask: &Num, soft: &Option<Num>) -> Option<()> {
        let span = change.span;
        let [name] = change.place else {
            self.error("E0439", span, "a neuron's block changes its own states");
            return None;
        };
        let Some(old) = walk.states.get(&name.text).cloned() else {
            self.error("E0439", name.span, format!("`{}` is no state of this neuron", name.text));
            return None;
        };
        let right = self.operand(walk.scope, change.value)?;
        let population = self.net(self.frame(walk.frame).net).populations[walk.index].clone();
        let old = self.state_inside(&population, &old);
        let new = self.changed(walk.scope, change, &population.shape, &old, &right)?;
        let merged = match soft {
            Some(s) => {
                let change = self.binary(Binary::Sub, &new, &old, old.unit.clone(), span);
                let part = self.mul(s, &change, span);
                self.binary(Binary::Add, &old, &part, old.unit.clone(), span)
            }
            None => self.select(mask, &new, &old, span),
        };
        let shape = self.state_shape(&population, &name.text);
        let merged = self.stored_state(&population, Num { unit: old.unit.clone(), ..merged }, &shape, span);
        walk.states.insert(name.text.clone(), merged);
        walk.scope = self.walk_scope(walk);
        Some(())
    }

    pub fn assigned(&mut self, op: AssignOp, old: &Num, right: &Num, span: Span) -> Num {
        let unit = old.unit.clone();
        match op {
            AssignOp::Set => Num { unit, ..right.clone() },
            AssignOp::Add => self.binary(Binary::Add, old, right, unit, span),
            AssignOp::Sub => self.binary(Binary::Sub, old, right, unit, span),
            AssignOp::Mul => self.binary(Binary::Mul, old, right, unit, span),
            AssignOp::Div => self.binary(Binary::Div, old, right, unit, span),
        }
    }

    fn walk_hold(
        &mut self,
        walk: &mut Walk,
        name: &Name,
        clauses: &[nnm_syntax::ast::Clause],
        mask: &Num,
    ) -> Option<()> {
        let time = self.operand(walk.scope, clause_of(clauses, "for")?)?;
        let dt = self.program.as_ref().and_then(|p| p.dt).unwrap_or(1.0);
        let seconds = Unit::parse("s").unwrap_or(Unit::REAL);
        let steps = self.binary(Binary::Div, &time.num, &Num::scalar(seconds, dt), Unit::REAL, time.span);
        if let Some(array) = steps.as_const()
            && array.iter().any(|x| x.is_nan() || *x < 0.0)
        {
            let message = format!("a state is held for a time from 0 on, this is {}", crate::table::summary(&time.num));
            self.error("E0562", time.span, message);
            return None;
        }
        if let Some(known) = steps.as_f64()
            && walk.whole
            && (known - known.round()).abs() > 1e-6
        {
            let message = format!("this time is no whole number of steps of {} ms: it is rounded", dt * 1e3);
            self.report(nnm_syntax::diag::Diagnostic::warning("W0001", time.span, message));
        }
        let steps = match walk.whole {
            true => self.unary(Unary::Round, &steps, Unit::REAL, time.span),
            false => steps,
        };
        let old = walk.holds.get(&name.text).cloned()?;
        // Of two holds the longer lasts.
        let is_free = walk.free.contains(&name.text) && !walk.held.contains(&name.text);
        let steps = if is_free { steps } else { self.binary(Binary::Max, &steps, &old, Unit::REAL, name.span) };
        walk.held.push(name.text.clone());
        let new = self.select(mask, &steps, &old, name.span);
        let shape = self.net(self.frame(walk.frame).net).populations[walk.index].shape.clone();
        let new = self.to_shape(new, &shape, name.span);
        walk.holds.insert(name.text.clone(), new);
        Some(())
    }

    /// What `on PORT` blocks make of the events that arrived: new states and holds. An increment counts once an event.
    pub fn deliver_events(&mut self, frame: FrameId, index: usize, arrivals: &[EventArrival]) -> Option<Advanced> {
        let population = self.net(self.frame(frame).net).populations[index].clone();
        let neuron = self.neuron_of(&population);
        let holds = self.hold_counters(frame, &population, &neuron);
        let states = self.frame(frame).populations[index].states.clone();
        let before = self.frame(frame).populations[index].scope;
        let mut walk = Walk {
            frame,
            index,
            states,
            holds,
            ports: vec![],
            lets: vec![],
            free: vec![],
            held: vec![],
            scope: before,
            whole: true,
            past: vec![],
        };
        for arrival in arrivals {
            let Some(on) = neuron.dynamics.ons.iter().find(|o| o.event.text == arrival.port) else { continue };
            let value = Num { each: true, ..arrival.value.clone() };
            walk.ports.push((arrival.port.clone(), Value::Num(value)));
            walk.scope = self.walk_scope(&walk);
            // What has been computed from the event's value counts all events that arrived.
            let mut of_port = vec![arrival.port.clone()];
            for stmt in &on.block {
                let reads_port = |id: ExprId| {
                    let file = &self.modules.get(self.module_of(walk.scope)).file;
                    let names = crate::eval::names_through(file, id, &neuron.dynamics.lets);
                    names.iter().any(|n| of_port.contains(n))
                };
                let repeated = match &stmt.kind {
                    StmtKind::Assign { index, op: AssignOp::Add | AssignOp::Sub, value, .. } => {
                        !index.iter().chain([value]).any(|id| reads_port(*id))
                    }
                    StmtKind::Let { name, value, .. } if reads_port(*value) => {
                        of_port.push(name.text.clone());
                        false
                    }
                    _ => false,
                };
                let soft = repeated.then(|| arrival.count.clone());
                self.walk_block(&mut walk, std::slice::from_ref(stmt), &arrival.count, &soft)?;
            }
            self.leave_block(&mut walk);
        }
        Some(Advanced { states: walk.states, holds: walk.holds, ..Advanced::default() })
    }
}
