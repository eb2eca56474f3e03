//! Which solver a system of equations gets, and the new values that it gives.
//!
//! Linear with constant coefficients: the exact propagator. Each equation linear in its own variable: exponential Euler.
//! Otherwise RK4. With white noise: Euler-Maruyama, or the exact step of an Ornstein-Uhlenbeck process.

use std::collections::{BTreeMap, BTreeSet};

use nnm_graph::ir::{Binary, NodeId, Op, Unary};
use nnm_runtime::array::Array;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::propagator::propagator;
use crate::program::Purpose;
use crate::session::Session;
use crate::value::scalar;

/// One equation of a system: the state's node, the right side's node, and where it is held.
#[derive(Clone, Debug)]
pub struct Equation {
    pub name: String,
    pub state: NodeId,
    pub rate: NodeId,
    /// Not 0 while the state is held.
    pub held: Option<NodeId>,
    /// A threshold at which the state is set anew: right sides inside a step do not see it above.
    pub ceiling: Option<NodeId>,
    /// The elements of an array state act on one another.
    pub mixed: bool,
    pub method: Option<Method>,
    /// One of the state's declared unit, in SI: what an error is held against.
    pub unit: f64,
    pub span: Span,
}

/// The error allowed in a step, relative to the state and to one of its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance(pub f64);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    Exact,
    ExponentialEuler,
    Euler,
    Heun,
    Rk4,
    /// Order 5 with step control inside the step.
    Rk45(Tolerance),
    /// Rosenbrock's, of order 2, for stiff systems.
    Implicit,
    /// Euler with noise (Maruyama 1955).
    EulerMaruyama,
}

impl Method {
    pub const NAMES: [(&'static str, Method); 8] = [
        ("exact", Method::Exact),
        ("exponential_euler", Method::ExponentialEuler),
        ("euler", Method::Euler),
        ("heun", Method::Heun),
        ("rk4", Method::Rk4),
        ("rk45", Method::Rk45(Tolerance(1e-6))),
        ("implicit", Method::Implicit),
        ("euler_maruyama", Method::EulerMaruyama),
    ];

    pub fn name(self) -> &'static str {
        let same = |m: &Method| std::mem::discriminant(m) == std::mem::discriminant(&self);
        Method::NAMES.iter().find(|(_, m)| same(m)).map_or("", |(n, _)| n)
    }
}

/// What was chosen for a system, and why: for `explain --solvers`.
#[derive(Clone, Debug)]
pub struct Choice {
    pub states: Vec<String>,
    pub method: Method,
    pub reason: &'static str,
}

pub(super) type Built<T> = Result<T, nnm_graph::ShapeError>;

impl Session<'_> {
    /// New values of all states of the equations, in order, and what was chosen. `foreign` are nodes from elsewhere, which
    /// are held over the step.
    pub fn advance(
        &mut self,
        equations: &[Equation],
        foreign: &[NodeId],
        dt: f64,
    ) -> Built<(Vec<NodeId>, Vec<Choice>)> {
        self.needs_time(equations);
        for e in equations {
            self.hold_noise_linear(e.rate, &format!("`{}'`", e.name), e.span);
        }
        let system = System::new(self, equations, foreign)?;
        let mut out: Vec<NodeId> = equations.iter().map(|e| e.state).collect();
        let mut choices = vec![];
        for part in system.parts() {
            let (method, reason) = system.choose(self, &part);
            if let Some(k) = part.iter().find(|k| equations[**k].method.is_some())
                && let Some(why) = system.refused(self, &part, method)
            {
                self.report(Diagnostic::error("E0437", equations[*k].span, why.0).help(why.1));
            }
            choices.push(Choice { states: part.iter().map(|k| equations[*k].name.clone()).collect(), method, reason });
            let new = system.step(self, &part, method, Length { whole: dt, part: None })?;
            for (k, node) in part.iter().zip(new) {
                out[*k] = match equations[*k].held {
                    Some(held) => self.graph.select(held, equations[*k].state, node)?,
                    None => node,
                };
            }
        }
        Ok((out, choices))
    }
}

impl Session<'_> {
    /// Equations in time need a step that has a length.
    fn needs_time(&mut self, equations: &[Equation]) {
        let untimed = self.program.as_ref().is_some_and(|p| p.purpose == Purpose::Simulate && p.dt.is_none());
        if let (true, Some(first)) = (untimed, equations.first()) {
            let message = format!("`{}\'` is a change in time, but the simulation's steps have no length", first.name);
            let d = Diagnostic::error("E0502", first.span, message);
            self.report(d.help("`simulate net for 1 s step 0.1 ms`"));
        }
    }
}

/// How far equations advance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    /// The step, in seconds.
    pub(super) whole: f64,
    /// Instead of the whole step: seconds for each cell, at most as many.
    pub(super) part: Option<NodeId>,
}

impl Length {
    /// A rate times this length over a divisor.
    fn times(self, s: &mut Session, rate: NodeId, divisor: f64) -> Built<NodeId> {
        let Some(part) = self.part else { return scaled(s, rate, self.whole / divisor) };
        let share = scaled(s, part, 1.0 / divisor)?;
        s.graph.binary(Binary::Mul, share, rate)
    }
}

/// Equations with their Jacobian.
pub(super) struct System<'e> {
    pub(super) equations: &'e [Equation],
    /// Right sides in which what comes from elsewhere cannot be differentiated through.
    pub(super) rates: Vec<NodeId>,
    pub(super) jacobian: Vec<Vec<Option<NodeId>>>,
    /// From stand-ins back to the nodes from elsewhere.
    pub(super) back: BTreeMap<NodeId, NodeId>,
    /// Which right sides read the time.
    timed: Vec<bool>,
}

impl<'e> System<'e> {
    pub(super) fn new(s: &mut Session, equations: &'e [Equation], foreign: &[NodeId]) -> Built<System<'e>> {
        let mut stand_in: BTreeMap<NodeId, NodeId> = BTreeMap::new();
        let mut back = BTreeMap::new();
        for node in foreign {
            let stopped = s.graph.stop_gradient(*node)?;
            stand_in.insert(*node, stopped);
            back.insert(stopped, *node);
        }
        let states: Vec<NodeId> = equations.iter().map(|e| e.state).collect();
        let (mut rates, mut jacobian, mut timed) = (vec![], vec![], vec![]);
        for e in equations {
            let rate = nnm_graph::substitute(&mut s.graph, e.rate, &|_, n| stand_in.get(&n).copied())?;
            let shape = s.graph.shape(rate).to_vec();
            let one = s.graph.filled(1.0, &shape);
            jacobian.push(nnm_graph::grad(&mut s.graph, &[(rate, one)], &states)?);
            rates.push(rate);
            timed.push(reads_time(s, rate, &back)?);
        }
        Ok(System { equations, rates, jacobian, back, timed })
    }

    /// Connected parts of the system, each in order.
    pub(super) fn parts(&self) -> Vec<Vec<usize>> {
        let n = self.equations.len();
        let mut part: Vec<usize> = (0..n).collect();
        for i in 0..n {
            for j in 0..n {
                if self.jacobian[i][j].is_some() && part[i] != part[j] {
                    let (a, b) = (part[i].min(part[j]), part[i].max(part[j]));
                    part.iter_mut().filter(|p| **p == b).for_each(|p| *p = a);
                }
            }
        }
        let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (k, p) in part.iter().enumerate() {
            parts.entry(*p).or_default().push(k);
        }
        parts.into_values().collect()
    }

    pub(super) fn choose(&self, s: &Session, part: &[usize]) -> (Method, &'static str) {
        if let Some(method) = part.iter().find_map(|k| self.equations[*k].method) {
            return (method, "asked for by `solve`");
        }
        let (noisy, constant) = (self.is_noisy(s, part), self.is_linear(s, part));
        let shape = |k: &usize| s.graph.shape(self.equations[*k].state);
        let mixed = self.is_mixed(s, part);
        if mixed && !noisy {
            return (Method::Rk4, "the elements of an array act on one another");
        }
        // A cell's noise is one for all elements of its array.
        let fits = |k: &usize| self.draws(s, self.rates[*k]).iter().all(|d| s.graph.shape(*d) == shape(k));
        if noisy && constant && part.len() == 1 && !mixed && part.iter().all(fits) {
            return (Method::Exact, "an Ornstein-Uhlenbeck process: linear, with white noise");
        }
        if noisy {
            return (Method::EulerMaruyama, "it has white noise");
        }
        if constant && part.iter().any(|k| self.timed[*k]) {
            return (Method::Rk4, "it reads the time, which does not stand still within a step");
        }
        if constant {
            return (Method::Exact, "it is linear with constant coefficients");
        }
        let own = part.iter().all(|k| match self.jacobian[*k][*k] {
            None => true,
            Some(slope) => {
                let state = self.equations[*k].state;
                !nnm_graph::depends_on(&s.graph, slope, &|id, _| id == state)
            }
        });
        if own && self.swings(part) {
            return (Method::Rk4, "an equation has no decay of its own and acts back on itself through others");
        }
        if own {
            return (Method::ExponentialEuler, "each equation is linear in its own variable");
        }
        (Method::Rk4, "an equation is not linear in its own variable")
    }

    /// Whether an equation without its own state (`x' = u` of an oscillator) is in a loop of the part's equations:
    /// exponential Euler would take it for a constant.
    fn swings(&self, part: &[usize]) -> bool {
        let acts = |on: usize, from: usize| self.jacobian[on][from].is_some();
        part.iter().any(|k| {
            let back = part.iter().any(|j| j != k && acts(*k, *j));
            let forth = part.iter().any(|j| j != k && acts(*j, *k));
            !acts(*k, *k) && back && forth
        })
    }

    /// Why a method that was asked for cannot solve a part, and what to do.
    fn refused(&self, s: &Session, part: &[usize], method: Method) -> Option<(String, String)> {
        let name = method.name();
        let noisy = self.is_noisy(s, part);
        if noisy && !matches!(method, Method::Euler | Method::EulerMaruyama | Method::Exact) {
            let why =
                format!("`{name}` has no meaning for white noise: its steps are smaller than what `xi` stands for");
            return Some((
                why,
                "`euler_maruyama` takes the noise at the step's start (Itô); leave `solve` out for it".into(),
            ));
        }
        if self.is_mixed(s, part) && matches!(method, Method::Exact | Method::ExponentialEuler | Method::Implicit) {
            let why = format!("`{name}` takes each element of an array by itself, and here they act on one another");
            return Some((why, "leave `solve` out, and the compiler chooses; or take `rk4`, `rk45`, `heun`".into()));
        }
        if method == Method::Exact && !self.is_linear(s, part) {
            let why = "`exact` solves linear equations with constant coefficients, this is none".to_string();
            return Some((
                why,
                "leave `solve` out, and the compiler chooses; or take `rk4`, `rk45`, `implicit`".into(),
            ));
        }
        None
    }

    /// Whether an element's change depends on other elements, so that no slope is a number for each.
    fn is_mixed(&self, s: &Session, part: &[usize]) -> bool {
        let shape = |k: &usize| s.graph.shape(self.equations[*k].state);
        part.iter().any(|k| self.equations[*k].mixed || shape(k) != shape(&part[0]))
    }

    fn is_noisy(&self, s: &Session, part: &[usize]) -> bool {
        part.iter().any(|k| depends(s, self.rates[*k], &|op| matches!(op, Op::Draw { .. })))
    }

    /// Whether right sides are a matrix of numbers times the states, and what does not read them.
    fn is_linear(&self, s: &Session, part: &[usize]) -> bool {
        self.is_constant(s, part) && !self.is_stepped(s, part)
    }

    /// Whether a state enters where nothing can be differentiated: a comparison, a rounding, a place in a table.
    fn is_stepped(&self, s: &Session, part: &[usize]) -> bool {
        let states: Vec<NodeId> = part.iter().map(|k| self.equations[*k].state).collect();
        let rates: Vec<NodeId> = part.iter().map(|k| self.rates[*k]).collect();
        let moved = self.reading(s, &rates, &states);
        moved.iter().any(|id| {
            let node = s.graph.node(*id);
            node.args.iter().enumerate().any(|(place, arg)| moved.contains(arg) && has_steps(&node.op, place))
        })
    }

    /// What the rates are made of that reads the states, but for what comes from elsewhere.
    fn reading(&self, s: &Session, rates: &[NodeId], states: &[NodeId]) -> BTreeSet<NodeId> {
        let mut moved: BTreeSet<NodeId> = BTreeSet::new();
        for id in nnm_graph::needed(&s.graph, rates) {
            let reads = s.graph.node(id).args.iter().any(|arg| moved.contains(arg));
            if states.contains(&id) || (reads && self.kept(id).is_none()) {
                moved.insert(id);
            }
        }
        moved
    }

    /// Whether the Jacobian is a matrix of numbers.
    fn is_constant(&self, s: &Session, part: &[usize]) -> bool {
        let mut entries = part.iter().flat_map(|i| part.iter().filter_map(move |j| self.jacobian[*i][*j]));
        entries.all(|n| !depends(s, n, &|op| matches!(op, Op::Read { .. } | Op::Count(_) | Op::Draw { .. })))
    }

    pub(super) fn step(&self, s: &mut Session, part: &[usize], method: Method, dt: Length) -> Built<Vec<NodeId>> {
        match method {
            Method::Exact if dt.part.is_some() && part.len() > 1 => self.taylor(s, part, dt),
            Method::Exact if dt.part.is_none() => self.exact(s, part, dt.whole),
            // Of one linear equation it is exact.
            Method::ExponentialEuler | Method::Exact => {
                part.iter().map(|k| self.exponential_euler(s, *k, dt)).collect()
            }
            Method::Euler | Method::EulerMaruyama => part.iter().map(|k| self.euler(s, *k, dt)).collect(),
            Method::Heun => self.heun(s, part, dt),
            Method::Rk4 => self.rk4(s, part, dt),
            Method::Rk45(Tolerance(tolerance)) => self.rk45(s, part, dt.whole, tolerance),
            Method::Implicit => match self.tie_of(s, part) {
                Some((k, tie)) => self.joined(s, part, k, &tie, dt.whole),
                None => self.implicit(s, part, dt.whole),
            },
        }
    }

    /// The right side as it was, with what comes from elsewhere in it.
    pub(super) fn restored(&self, s: &mut Session, node: NodeId) -> Built<NodeId> {
        nnm_graph::substitute(&mut s.graph, node, &|_, n| self.back.get(&n).copied())
    }

    /// What comes from elsewhere stays as it is, whatever is replaced around it.
    pub(super) fn kept(&self, node: NodeId) -> Option<NodeId> {
        self.back.contains_key(&node).then_some(node)
    }

    fn draws(&self, s: &Session, rate: NodeId) -> Vec<NodeId> {
        let all = nnm_graph::needed(&s.graph, &[rate]);
        all.into_iter().filter(|n| matches!(s.graph.node(*n).op, Op::Draw { .. })).collect()
    }

    fn euler(&self, s: &mut Session, k: usize, dt: Length) -> Built<NodeId> {
        let change = dt.times(s, self.equations[k].rate, 1.0)?;
        s.graph.binary(Binary::Add, self.equations[k].state, change)
    }

    fn exact(&self, s: &mut Session, part: &[usize], dt: f64) -> Built<Vec<NodeId>> {
        let a = self.coefficients(s, part);
        let felt = |h: usize| (0..part.len()).any(|i| i != h && a[i][h].iter().any(|x| *x != 0.0));
        let stops: Vec<(usize, NodeId)> = part
            .iter()
            .enumerate()
            .filter(|(h, _)| felt(*h))
            .filter_map(|(h, k)| Some((h, self.equations[*k].held?)))
            .collect();
        self.with_stops(s, part, &a, dt, &stops, &[])
    }

    /// The exact step where any of some states may be held, besides those that are: what depends on one that is held sees
    /// it stand still.
    fn with_stops(
        &self,
        s: &mut Session,
        part: &[usize],
        a: &[Vec<Array>],
        dt: f64,
        stops: &[(usize, NodeId)],
        held: &[usize],
    ) -> Built<Vec<NodeId>> {
        let Some(((h, mask), rest)) = stops.split_first() else { return self.propagated(s, part, a, dt, held) };
        let free = self.with_stops(s, part, a, dt, rest, held)?;
        let mut still = a.to_vec();
        still[*h].iter_mut().for_each(|x| *x = scalar(0.0));
        let stopped = self.with_stops(s, part, &still, dt, rest, &[held, &[*h]].concat())?;
        free.iter().zip(stopped).map(|(f, t)| s.graph.select(*mask, t, *f)).collect()
    }

    /// The Jacobian's numbers, where it is constant.
    pub(super) fn coefficients(&self, s: &Session, part: &[usize]) -> Vec<Vec<Array>> {
        let value = |i: usize, j: usize| match self.jacobian[i][j] {
            None => scalar(0.0),
            Some(node) => match s.graph.constant_value(node) {
                Some(x) => scalar(x),
                None => nnm_graph::eval(&s.graph, node, &|_, _| scalar(f64::NAN)),
            },
        };
        part.iter().map(|i| part.iter().map(|j| value(*i, *j)).collect()).collect()
    }

    fn propagated(
        &self,
        s: &mut Session,
        part: &[usize],
        a: &[Vec<Array>],
        dt: f64,
        held: &[usize],
    ) -> Built<Vec<NodeId>> {
        let p = propagator(a, dt);
        let mut inputs = vec![];
        for k in part {
            inputs.push(self.affine(s, *k, part)?);
        }
        let mut out = vec![];
        for (i, k) in part.iter().enumerate() {
            let mut sum: Option<NodeId> = None;
            let shape = s.graph.shape(self.equations[*k].state).to_vec();
            for (j, m) in part.iter().enumerate() {
                let state = self.equations[*m].state;
                add_term(s, &mut sum, &p.state[i][j], state, &shape)?;
                if !held.contains(&j) {
                    add_term(s, &mut sum, &p.input[i][j], inputs[j], &shape)?;
                }
            }
            let noise = self.noise(s, *k, &a[i][i], dt, part.len())?;
            let sum = match (sum, noise) {
                (Some(sum), Some(noise)) => s.graph.binary(Binary::Add, sum, noise)?,
                (Some(sum), None) => sum,
                (None, _) => s.graph.filled(0.0, &shape),
            };
            out.push(sum);
        }
        Ok(out)
    }

    /// The right side without its linear part: with all states of the part, and all noise, at 0.
    fn affine(&self, s: &mut Session, k: usize, part: &[usize]) -> Built<NodeId> {
        let mut zeros = BTreeMap::new();
        for m in part {
            let state = self.equations[*m].state;
            let shape = s.graph.shape(state).to_vec();
            zeros.insert(state, s.graph.filled(0.0, &shape));
        }
        for draw in self.draws(s, self.rates[k]) {
            let shape = s.graph.shape(draw).to_vec();
            zeros.insert(draw, s.graph.filled(0.0, &shape));
        }
        let rate = nnm_graph::substitute(&mut s.graph, self.rates[k], &|_, n| {
            self.kept(n).or_else(|| zeros.get(&n).copied())
        })?;
        self.restored(s, rate)
    }

    /// The exact noise of an Ornstein-Uhlenbeck step: the coefficient of the draw, with the variance integrated over dt.
    fn noise(&self, s: &mut Session, k: usize, a: &Array, dt: f64, size: usize) -> Built<Option<NodeId>> {
        let rate = self.rates[k];
        if size != 1 || !depends(s, rate, &|op| matches!(op, Op::Draw { .. })) {
            return Ok(None);
        }
        let draws = self.draws(s, rate);
        // The draw enters as z / sqrt(dt); over the step its variance is (exp(2 a dt) - 1) / (2 a) instead of dt^2 / dt.
        let gain = a.mapv(|a| if a == 0.0 { dt } else { ((2.0 * a * dt).exp_m1() / (2.0 * a) * dt).sqrt() });
        let shape = s.graph.shape(rate).to_vec();
        let one = s.graph.filled(1.0, &shape);
        let slopes = nnm_graph::grad(&mut s.graph, &[(rate, one)], &draws)?;
        let mut sum: Option<NodeId> = None;
        for (draw, slope) in draws.iter().zip(slopes) {
            let Some(slope) = slope else { continue };
            let term = s.graph.binary(Binary::Mul, slope, *draw)?;
            add_term(s, &mut sum, &gain.clone().into_shared(), term, &shape)?;
        }
        match sum {
            Some(sum) => self.restored(s, sum).map(Some),
            None => Ok(None),
        }
    }

    /// x + dt phi1(a dt) f, with a = df/dx, all as at the step's start but for the time, which is that of its middle.
    pub(super) fn exponential_euler(&self, s: &mut Session, k: usize, dt: Length) -> Built<NodeId> {
        let e = &self.equations[k];
        let Some(slope) = self.jacobian[k][k] else { return self.euler(s, k, dt) };
        let (rate, slope) = match self.timed[k] {
            true => {
                let half = self.share(s, dt, 2.0)?;
                (self.later(s, self.rates[k], half)?, self.later(s, slope, half)?)
            }
            false => (e.rate, self.restored(s, slope)?),
        };
        let z = dt.times(s, slope, 1.0)?;
        let phi = phi1(s, z)?;
        let rate = dt.times(s, rate, 1.0)?;
        let change = s.graph.binary(Binary::Mul, rate, phi)?;
        s.graph.binary(Binary::Add, e.state, change)
    }

    /// What a right side is a share of the step later, all but the time as it was.
    fn later(&self, s: &mut Session, node: NodeId, share: NodeId) -> Built<NodeId> {
        let moved = match self.step_count(s) {
            Some(count) => Some((count, s.graph.binary(Binary::Add, count, share)?)),
            None => None,
        };
        let later = nnm_graph::substitute(&mut s.graph, node, &|_, n| {
            self.kept(n).or(moved.filter(|(count, _)| *count == n).map(|(_, moved)| moved))
        })?;
        self.restored(s, later)
    }

    /// The number of the step as the right sides read it, if they do.
    pub(super) fn step_count(&self, s: &mut Session) -> Option<NodeId> {
        let step = s.program.as_ref().map(|p| p.step.clone())?;
        let count = s.graph.count(step);
        let read = self.rates.iter().any(|r| nnm_graph::depends_on(&s.graph, *r, &|id, _| id == count));
        read.then_some(count)
    }

    /// The right sides at other values of the part's states, `later` by a share of the step; what is held has none.
    pub(super) fn rates_at(
        &self,
        s: &mut Session,
        part: &[usize],
        states: &[NodeId],
        later: Option<NodeId>,
    ) -> Built<Vec<NodeId>> {
        let from: Vec<NodeId> = part.iter().map(|k| self.equations[*k].state).collect();
        let count = self.step_count(s);
        let mut states = states.to_vec();
        for (k, state) in part.iter().zip(&mut states) {
            if let Some(ceiling) = self.equations[*k].ceiling {
                *state = s.graph.binary(Binary::Min, *state, ceiling)?;
            }
        }
        let moved = match (count, later) {
            (Some(count), Some(later)) => Some((count, s.graph.binary(Binary::Add, count, later)?)),
            _ => None,
        };
        let mut out = vec![];
        for k in part {
            let rate = nnm_graph::substitute(&mut s.graph, self.rates[*k], &|_, n| {
                let time = moved.filter(|(count, _)| *count == n).map(|(_, moved)| moved);
                self.kept(n).or(time).or_else(|| from.iter().position(|f| *f == n).map(|p| states[p]))
            })?;
            let rate = self.restored(s, rate)?;
            out.push(match self.equations[*k].held {
                Some(held) => {
                    let zero = s.graph.constant(0.0);
                    s.graph.select(held, zero, rate)?
                }
                None => rate,
            });
        }
        Ok(out)
    }

    pub(super) fn moved(&self, s: &mut Session, part: &[usize], rates: &[NodeId], by: f64) -> Built<Vec<NodeId>> {
        self.moved_by(s, part, rates, Length { whole: by, part: None }, 1.0)
    }

    /// The part's states after a length over a divisor, at these rates.
    fn moved_by(
        &self,
        s: &mut Session,
        part: &[usize],
        rates: &[NodeId],
        dt: Length,
        divisor: f64,
    ) -> Built<Vec<NodeId>> {
        let mut out = vec![];
        for (k, rate) in part.iter().zip(rates) {
            let change = dt.times(s, *rate, divisor)?;
            out.push(s.graph.binary(Binary::Add, self.equations[*k].state, change)?);
        }
        Ok(out)
    }

    fn heun(&self, s: &mut Session, part: &[usize], dt: Length) -> Built<Vec<NodeId>> {
        let start: Vec<NodeId> = part.iter().map(|k| self.equations[*k].state).collect();
        let k1 = self.rates_at(s, part, &start, None)?;
        let ahead = self.moved_by(s, part, &k1, dt, 1.0)?;
        let whole = self.share(s, dt, 1.0)?;
        let k2 = self.rates_at(s, part, &ahead, Some(whole))?;
        let mut mean = vec![];
        for (a, b) in k1.iter().zip(&k2) {
            mean.push(s.graph.binary(Binary::Add, *a, *b)?);
        }
        self.moved_by(s, part, &mean, dt, 2.0)
    }

    /// A length over a divisor as a share of the step.
    fn share(&self, s: &mut Session, dt: Length, divisor: f64) -> Built<NodeId> {
        match dt.part {
            None => Ok(s.graph.constant(1.0 / divisor)),
            Some(part) => scaled(s, part, 1.0 / (divisor * dt.whole)),
        }
    }

    fn rk4(&self, s: &mut Session, part: &[usize], dt: Length) -> Built<Vec<NodeId>> {
        let start: Vec<NodeId> = part.iter().map(|k| self.equations[*k].state).collect();
        let k1 = self.rates_at(s, part, &start, None)?;
        let (half, whole) = (self.share(s, dt, 2.0)?, self.share(s, dt, 1.0)?);
        let x2 = self.moved_by(s, part, &k1, dt, 2.0)?;
        let k2 = self.rates_at(s, part, &x2, Some(half))?;
        let x3 = self.moved_by(s, part, &k2, dt, 2.0)?;
        let k3 = self.rates_at(s, part, &x3, Some(half))?;
        let x4 = self.moved_by(s, part, &k3, dt, 1.0)?;
        let k4 = self.rates_at(s, part, &x4, Some(whole))?;
        let mut total = vec![];
        for i in 0..part.len() {
            let middle = s.graph.binary(Binary::Add, k2[i], k3[i])?;
            let middle = scaled(s, middle, 2.0)?;
            let ends = s.graph.binary(Binary::Add, k1[i], k4[i])?;
            total.push(s.graph.binary(Binary::Add, ends, middle)?);
        }
        self.moved_by(s, part, &total, dt, 6.0)
    }
}

fn depends(s: &Session, node: NodeId, such: &dyn Fn(&Op) -> bool) -> bool {
    nnm_graph::depends_on(&s.graph, node, &|_, n| such(&n.op))
}

/// Whether a right side reads the time by itself, not through what comes from elsewhere.
fn reads_time(s: &mut Session, rate: NodeId, back: &BTreeMap<NodeId, NodeId>) -> Built<bool> {
    if !depends(s, rate, &|op| matches!(op, Op::Count(_))) {
        return Ok(false);
    }
    let mut zeros = BTreeMap::new();
    for stopped in back.keys() {
        let shape = s.graph.shape(*stopped).to_vec();
        zeros.insert(*stopped, s.graph.filled(0.0, &shape));
    }
    let own = nnm_graph::substitute(&mut s.graph, rate, &|_, n| zeros.get(&n).copied())?;
    Ok(depends(s, own, &|op| matches!(op, Op::Count(_))))
}

pub(super) fn scaled(s: &mut Session, node: NodeId, by: f64) -> Built<NodeId> {
    let by = s.graph.constant(by);
    s.graph.binary(Binary::Mul, by, node)
}

/// (exp(z) - 1) / z, whole at 0.
fn phi1(s: &mut Session, z: NodeId) -> Built<NodeId> {
    if let Some(known) = s.graph.constant_value(z) {
        let phi = if known.abs() < 1e-12 { 1.0 + known / 2.0 } else { nnm_runtime::math::expm1(known) / known };
        return Ok(s.graph.constant(phi));
    }
    let (one, tiny) = (s.graph.constant(1.0), s.graph.constant(1e-9));
    let size = s.graph.unary(Unary::Abs, z)?;
    let small = s.graph.binary(Binary::Lt, size, tiny)?;
    let safe = s.graph.select(small, one, z)?;
    let e = s.graph.unary(Unary::Expm1, safe)?;
    let ratio = s.graph.binary(Binary::Div, e, safe)?;
    let near = scaled(s, z, 0.5)?;
    let near = s.graph.binary(Binary::Add, one, near)?;
    s.graph.select(small, near, ratio)
}

pub(super) fn add_term(
    s: &mut Session,
    sum: &mut Option<NodeId>,
    factor: &Array,
    node: NodeId,
    shape: &[usize],
) -> Built<()> {
    if factor.iter().all(|x| *x == 0.0) || s.graph.constant_value(node) == Some(0.0) {
        return Ok(());
    }
    let factor = match factor.len() {
        1 => s.graph.constant(factor.iter().next().copied().unwrap_or(0.0)),
        _ => {
            let values = factor.iter().copied().collect();
            s.graph.tensor(crate::value::shaped(shape, values))
        }
    };
    let term = s.graph.binary(Binary::Mul, factor, node)?;
    *sum = Some(match *sum {
        None => term,
        Some(before) => s.graph.binary(Binary::Add, before, term)?,
    });
    Ok(())
}

/// Whether an operation goes in steps along an argument, so that a derivative does not show that it is read.
fn has_steps(op: &Op, place: usize) -> bool {
    match op {
        Op::Unary(u) => {
            matches!(u, Unary::Floor | Unary::Ceil | Unary::Trunc | Unary::Round | Unary::Sign | Unary::Not)
        }
        Op::Binary(b) => b.def().boolean,
        Op::Select => place == 0,
        Op::Gather { .. } | Op::Scatter { .. } => place == 1,
        Op::ArgMax { .. } | Op::ArgSort { .. } | Op::StopGradient | Op::Draw { .. } => true,
        _ => false,
    }
}
