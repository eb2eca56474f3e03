//! Thresholds that are crossed inside a step: when, what a spike does there, and how the rest of the step is spent.
//!
//! The solver's own step, cut short at a share of it, is the trajectory. Its root is found by Newton's method from that of
//! the chord, held inside the step; a hold ends inside a step as well. Of linear equations all of this is exact. A step
//! has one spike at most.

use indexmap::IndexMap;
use nnm_graph::ir::{Binary, NodeId, Op};
use nnm_syntax::ast::{CmpOp, ExprKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::cell::{Advanced, Walk};
use super::solver::{Built, Choice, Equation, Length, Method, System, scaled};
use crate::failure::Noted;
use crate::hir::{Neuron, When};
use crate::network::{FrameId, Population};
use crate::program::{NewLeaf, Role};
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Repr};

/// Newton's steps: from a chord's root each doubles the digits.
const REFINEMENTS: usize = 5;
/// A linear system's norm times the length of one Taylor series, and how many of them a step may take.
const SERIES_NORM: f64 = 2.0;
const MOST_SERIES: f64 = 64.0;

/// A population whose spikes are placed inside the step.
pub(super) struct Inside<'a> {
    pub frame: FrameId,
    pub index: usize,
    pub population: &'a Population,
    pub neuron: &'a Neuron,
    pub equations: &'a [Equation],
    /// How many of the equations are the population's own.
    pub own: usize,
    pub holds: &'a IndexMap<String, Num>,
    pub dt: f64,
}

/// New states as a function of old ones and of the share of the step that goes by.
struct Flow {
    from: Vec<NodeId>,
    to: Vec<NodeId>,
    share: NodeId,
    count: NodeId,
    foreign: Vec<NodeId>,
}

/// How far beyond the threshold, how fast that grows, and what counts as beyond.
struct Threshold {
    distance: NodeId,
    speed: NodeId,
    op: CmpOp,
    /// Of a crossing: whether it was below before what arrives at the step's beginning.
    was_below: Option<NodeId>,
}

/// A step until its threshold: states at its begin, its end and the crossing; shares of the step.
struct Course {
    free_from: NodeId,
    end: Vec<NodeId>,
    fired: NodeId,
    at: NodeId,
    crossing: Vec<NodeId>,
}

impl Flow {
    fn run(&self, s: &mut Session, start: &[NodeId], share: NodeId, later: NodeId) -> Built<Vec<NodeId>> {
        let now = s.graph.binary(Binary::Add, self.count, later)?;
        nnm_graph::substitute_all(&mut s.graph, &self.to, &|_, n| {
            if self.foreign.contains(&n) {
                return Some(n);
            }
            match n {
                n if n == self.share => Some(share),
                n if n == self.count => Some(now),
                n => self.from.iter().position(|f| *f == n).map(|k| start[k]),
            }
        })
    }

    fn seen(&self, s: &mut Session, node: NodeId, states: &[NodeId]) -> Built<NodeId> {
        nnm_graph::substitute(&mut s.graph, node, &|_, n| {
            if self.foreign.contains(&n) {
                return Some(n);
            }
            self.from.iter().position(|f| *f == n).map(|k| states[k])
        })
    }
}

impl Session<'_> {
    /// The step of a population whose spikes are placed inside it, and the new states of the lumped equations.
    pub(super) fn advance_inside(&mut self, inside: &Inside) -> Option<(Advanced, Vec<NodeId>)> {
        let spiking: Vec<&When> = inside.neuron.dynamics.whens.iter().filter(|w| w.spike).collect();
        let [when] = spiking.as_slice() else {
            return self.not_inside(inside, inside.population.span, "it has more than one `spike when`");
        };
        let held = self.held_state(inside, when)?;
        self.refuse_noise(inside)?;
        let share = self.share_symbol(inside);
        let (free, choices) = self.flow_of(inside, share, None)?;
        let still = match &held {
            Some((k, _)) => Some(self.flow_of(inside, share, Some(*k))?.0),
            None => None,
        };
        let threshold = self.threshold_of(inside, when)?;
        let counter = held.as_ref().map(|(_, counter)| self.lift(counter));
        let course = self.course(inside, &free, still.as_ref(), counter, &threshold).noted(self)?;
        let states = self.states_at(inside, &course.crossing, true)?;
        let mut walk = self.walk_at(inside, states);
        let fired = Num::node(Unit::REAL, course.fired);
        self.walk_block(&mut walk, &when.block, &fired, &None)?;
        let after = self.equation_nodes(inside, &walk, &course.crossing);
        let pause = walk.holds.values().next().cloned().map(|n| self.lift(&n));
        let (last, left) = self.rest(&course, &free, still.as_ref(), &after, pause).noted(self)?;
        let ended = self.states_after(inside, &walk, &last[..inside.own]);
        walk = self.walk_at(inside, ended);
        if let (Some(left), Some(counter)) = (left, counter) {
            let left = self.counter_left(&course, counter, left).noted(self)?;
            walk.holds.values_mut().for_each(|n| *n = Num::node(Unit::REAL, left));
        }
        self.walk_others(&mut walk, inside)?;
        let fraction = self.fraction(&course).noted(self)?;
        let fraction = Some(Num::node(Unit::REAL, fraction));
        let Walk { states, holds, past, .. } = walk;
        let done = Advanced { states, holds, spike: Some(fired), fraction, past, choices };
        Some((done, last[inside.own..].to_vec()))
    }

    fn not_inside<T>(&mut self, inside: &Inside, at: Span, why: &str) -> Option<T> {
        let message = format!("the spikes of `{}` cannot be placed inside a step: {why}", inside.population.name);
        let asked = self.program.as_ref().and_then(|p| p.interpolated.get(&(inside.frame, inside.index)).copied());
        let mut d = Diagnostic::error("E0554", at, message);
        if let Some(asked) = asked {
            d = d.label(asked, "asked for here");
        }
        self.report(d.help("without `interpolate` they are stamped with the end of the step"));
        None
    }

    /// The one state that blocks hold, its place among the equations and its counter.
    fn held_state(&mut self, inside: &Inside, when: &When) -> Option<Option<(usize, Num)>> {
        let mut holds = inside.holds.iter();
        let Some((name, counter)) = holds.next() else { return Some(None) };
        if holds.next().is_some() {
            return self.not_inside(inside, when.span, "its blocks hold more than one state");
        }
        let scope = self.frame(inside.frame).populations[inside.index].scope;
        let file = &self.modules.get(self.module_of(scope)).file;
        let read = crate::eval::names_through(file, when.cond, &inside.neuron.dynamics.lets);
        let place = inside.equations[..inside.own].iter().position(|e| e.name == *name);
        match place {
            Some(k) if read.contains(name) => Some(Some((k, counter.clone()))),
            _ => {
                let why = format!("its threshold does not read `{name}`, which it holds");
                self.not_inside(inside, when.span, &why)
            }
        }
    }

    fn refuse_noise(&mut self, inside: &Inside) -> Option<()> {
        let noisy = |e: &&Equation| nnm_graph::depends_on(&self.graph, e.rate, &|_, n| matches!(n.op, Op::Draw { .. }));
        match inside.equations[..inside.own].iter().find(noisy).map(|e| e.span) {
            Some(at) => self.not_inside(inside, at, "with noise there is no trajectory inside it"),
            None => Some(()),
        }
    }

    /// Stands for the share of the step that goes by, one for each cell.
    fn share_symbol(&mut self, inside: &Inside) -> NodeId {
        let shape = inside.population.shape.clone();
        let path = format!("share of a step {shape:?}");
        let leaf =
            NewLeaf { path: &path, role: Role::Work, unit: Unit::REAL, shape: &shape, batched: false, home: None };
        let var = self.leaf_var(&leaf);
        self.read_whole(var)
    }

    fn flow_of(&mut self, inside: &Inside, share: NodeId, still: Option<usize>) -> Option<(Flow, Vec<Choice>)> {
        let foreign = self.program.as_ref().map_or(vec![], |p| p.foreign.clone());
        let free = |e: &Equation| Equation { held: None, ..e.clone() };
        let places: Vec<usize> = (0..inside.equations.len()).filter(|k| Some(*k) != still).collect();
        let moving: Vec<Equation> = places.iter().map(|k| free(&inside.equations[*k])).collect();
        let system = System::new(self, &moving, &foreign).noted(self)?;
        let from: Vec<NodeId> = inside.equations.iter().map(|e| e.state).collect();
        let mut to = from.clone();
        let mut choices = vec![];
        let seconds = scaled(self, share, inside.dt).noted(self)?;
        for part in system.parts() {
            let (method, reason) = system.choose(self, &part);
            if matches!(method, Method::Rk45(_) | Method::Implicit) {
                let why = format!("`{}` takes whole steps", method.name());
                return self.not_inside(inside, moving[part[0]].span, &why);
            }
            let length = Length { whole: inside.dt, part: Some(seconds) };
            let new = match system.step(self, &part, method, length) {
                Ok(new) => new,
                Err(error) if error.op == "taylor" => {
                    return self.not_inside(inside, moving[part[0]].span, &error.reason);
                }
                Err(error) => return Err(error).noted(self),
            };
            part.iter().zip(new).for_each(|(k, node)| to[places[*k]] = node);
            choices.push(Choice { states: part.iter().map(|k| moving[*k].name.clone()).collect(), method, reason });
        }
        let step = self.program.as_ref().map(|p| p.step.clone())?;
        let count = self.graph.count(step);
        Some((Flow { from, to, share, count, foreign }, choices))
    }

    /// The threshold's distance as a function of the states at the step's start.
    fn threshold_of(&mut self, inside: &Inside, when: &When) -> Option<Threshold> {
        let scope = self.frame(inside.frame).populations[inside.index].scope;
        let (_, expr) = self.bare_expr(scope, when.cond);
        let why = "`spike when` is no comparison of a value with a threshold";
        let ExprKind::Compare { first, rest } = &expr.kind else { return self.not_inside(inside, expr.span, why) };
        let [(op, level)] = rest.as_slice() else { return self.not_inside(inside, expr.span, why) };
        let (x, level) = (self.operand(scope, *first)?, self.operand(scope, *level)?);
        if !self.same_unit("compare", &x, &level, expr.span) {
            return None;
        }
        let (above, below) = match op {
            CmpOp::Gt | CmpOp::Ge | CmpOp::CrossesUp => (x, level),
            CmpOp::Lt | CmpOp::Le | CmpOp::CrossesDown => (level, x),
            _ => return self.not_inside(inside, expr.span, why),
        };
        let unit = above.num.unit.join(&below.num.unit);
        let distance = self.binary(Binary::Sub, &above.num, &below.num, unit, expr.span);
        let distance = self.to_shape(distance, &inside.population.shape, expr.span);
        if matches!(distance.repr, Repr::Const(_)) {
            return self.not_inside(inside, expr.span, why);
        }
        let distance = self.lift(&distance);
        let speed = self.speed(inside, distance).noted(self)?;
        let jumps = matches!(op, CmpOp::CrossesUp | CmpOp::CrossesDown) && self.has_events(inside.frame, inside.index);
        let was_below = match jumps {
            true => {
                let zero = self.graph.constant(0.0);
                let below = self.graph.binary(Binary::Lt, distance, zero).noted(self)?;
                let below = self.before_events(Num::node(Unit::REAL, below));
                Some(self.lift(&below))
            }
            false => None,
        };
        Some(Threshold { distance, speed, op: *op, was_below })
    }

    /// How fast a function of the states grows along the equations.
    fn speed(&mut self, inside: &Inside, of: NodeId) -> Built<NodeId> {
        let shape = self.graph.shape(of).to_vec();
        let states: Vec<NodeId> = inside.equations.iter().map(|e| e.state).collect();
        let one = self.graph.filled(1.0, &shape);
        let slopes = nnm_graph::grad(&mut self.graph, &[(of, one)], &states)?;
        let mut sum = self.graph.filled(0.0, &shape);
        for (equation, slope) in inside.equations.iter().zip(slopes) {
            let Some(slope) = slope else { continue };
            let term = self.graph.binary(Binary::Mul, slope, equation.rate)?;
            sum = self.graph.binary(Binary::Add, sum, term)?;
        }
        Ok(sum)
    }

    /// Through what is held of the step and what is free, to the threshold if it is met.
    fn course(
        &mut self,
        inside: &Inside,
        free: &Flow,
        still: Option<&Flow>,
        counter: Option<NodeId>,
        threshold: &Threshold,
    ) -> Built<Course> {
        let (zero, one) = (self.graph.constant(0.0), self.graph.constant(1.0));
        let free_from = match counter {
            Some(counter) => self.graph.binary(Binary::Min, counter, one)?,
            None => zero,
        };
        let length = self.graph.binary(Binary::Sub, one, free_from)?;
        let begin = match still {
            Some(still) => still.run(self, &free.from, free_from, zero)?,
            None => free.from.clone(),
        };
        let end = free.run(self, &begin, length, free_from)?;
        let first = free.seen(self, threshold.distance, &begin)?;
        let last = free.seen(self, threshold.distance, &end)?;
        let fired = self.beyond(threshold, first, last, length)?;
        // The chord's root; what begins beyond the threshold fires there and then.
        let way = self.graph.binary(Binary::Sub, last, first)?;
        let shape = inside.population.shape.clone();
        let ones = self.graph.filled(1.0, &shape);
        let way = self.graph.select(fired, way, ones)?;
        let back = scaled(self, first, -1.0)?;
        let ratio = self.graph.binary(Binary::Div, back, way)?;
        let chord = self.graph.binary(Binary::Mul, length, ratio)?;
        let at = self.between(chord, length)?;
        let (begins_beyond, none) = (self.graph.binary(Binary::Gt, first, zero)?, self.graph.filled(0.0, &shape));
        let mut at = self.graph.select(begins_beyond, none, at)?;
        let mut crossing = free.run(self, &begin, at, free_from)?;
        for _ in 0..REFINEMENTS {
            let distance = free.seen(self, threshold.distance, &crossing)?;
            let speed = free.seen(self, threshold.speed, &crossing)?;
            let speed = scaled(self, speed, inside.dt)?;
            let rising = self.graph.binary(Binary::Gt, speed, zero)?;
            let safe = self.graph.select(rising, speed, ones)?;
            let error = self.graph.binary(Binary::Div, distance, safe)?;
            let better = self.graph.binary(Binary::Sub, at, error)?;
            let better = self.between(better, length)?;
            at = self.graph.select(rising, better, at)?;
            crossing = free.run(self, &begin, at, free_from)?;
        }
        Ok(Course { free_from, end, fired, at, crossing })
    }

    fn between(&mut self, x: NodeId, most: NodeId) -> Built<NodeId> {
        let zero = self.graph.constant(0.0);
        let x = self.graph.binary(Binary::Max, x, zero)?;
        self.graph.binary(Binary::Min, x, most)
    }

    fn beyond(&mut self, threshold: &Threshold, first: NodeId, last: NodeId, length: NodeId) -> Built<NodeId> {
        let g = &mut self.graph;
        let zero = g.constant(0.0);
        let met = match threshold.op {
            CmpOp::CrossesUp | CmpOp::CrossesDown => {
                let (below, above) = (g.binary(Binary::Lt, first, zero)?, g.binary(Binary::Ge, last, zero)?);
                let moved = g.binary(Binary::And, below, above)?;
                match threshold.was_below {
                    Some(was_below) => {
                        let above = g.binary(Binary::Ge, first, zero)?;
                        let carried = g.binary(Binary::And, was_below, above)?;
                        g.binary(Binary::Or, moved, carried)?
                    }
                    None => moved,
                }
            }
            op => {
                let past = if matches!(op, CmpOp::Gt | CmpOp::Lt) { Binary::Gt } else { Binary::Ge };
                let (before, now) = (g.binary(past, first, zero)?, g.binary(past, last, zero)?);
                g.binary(Binary::Or, before, now)?
            }
        };
        let free = g.binary(Binary::Gt, length, zero)?;
        g.binary(Binary::And, met, free)
    }

    /// The rest of the step after a spike: held as long as the block says, then free. Also how much of the hold is left.
    fn rest(
        &mut self,
        course: &Course,
        free: &Flow,
        still: Option<&Flow>,
        after: &[NodeId],
        pause: Option<NodeId>,
    ) -> Built<(Vec<NodeId>, Option<NodeId>)> {
        let one = self.graph.constant(1.0);
        let spent = self.graph.binary(Binary::Add, course.free_from, course.at)?;
        let rest = self.graph.binary(Binary::Sub, one, spent)?;
        let (begin, rest, later, left) = match (still, pause) {
            (Some(still), Some(pause)) => {
                let held = self.graph.binary(Binary::Min, pause, rest)?;
                let states = still.run(self, after, held, spent)?;
                let later = self.graph.binary(Binary::Add, spent, held)?;
                let left = self.graph.binary(Binary::Sub, pause, held)?;
                (states, self.graph.binary(Binary::Sub, rest, held)?, later, Some(left))
            }
            _ => (after.to_vec(), rest, spent, None),
        };
        let moved = free.run(self, &begin, rest, later)?;
        let mut last = vec![];
        for (moved, end) in moved.iter().zip(&course.end) {
            last.push(self.graph.select(course.fired, *moved, *end)?);
        }
        Ok((last, left))
    }

    fn counter_left(&mut self, course: &Course, counter: NodeId, left: NodeId) -> Built<NodeId> {
        let (zero, one) = (self.graph.constant(0.0), self.graph.constant(1.0));
        let less = self.graph.binary(Binary::Sub, counter, one)?;
        let less = self.graph.binary(Binary::Max, less, zero)?;
        self.graph.select(course.fired, left, less)
    }

    fn fraction(&mut self, course: &Course) -> Built<NodeId> {
        let spent = self.graph.binary(Binary::Add, course.free_from, course.at)?;
        let one = self.graph.constant(1.0);
        self.graph.select(course.fired, spent, one)
    }

    /// All states: those of equations as given, those of recurrences as they become in this step.
    fn states_at(&mut self, inside: &Inside, nodes: &[NodeId], nexts: bool) -> Option<IndexMap<String, Num>> {
        let mut states = self.frame(inside.frame).populations[inside.index].states.clone();
        if nexts {
            self.next_values(inside, &mut states)?;
        }
        for (equation, node) in inside.equations[..inside.own].iter().zip(nodes) {
            let unit = states.get(&equation.name).map_or(Unit::Unknown, |n| n.unit.clone());
            states.insert(equation.name.clone(), Num::node(unit, *node));
        }
        Some(states)
    }

    fn next_values(&mut self, inside: &Inside, states: &mut IndexMap<String, Num>) -> Option<()> {
        self.take_nexts((inside.frame, inside.index), inside.population, inside.neuron, inside.holds, states)
    }

    /// A walk through blocks, with the hold counter at 0.
    fn walk_at(&mut self, inside: &Inside, states: IndexMap<String, Num>) -> Walk {
        let scope = self.frame(inside.frame).populations[inside.index].scope;
        let ports = self.port_values(scope, inside.population);
        let shape = inside.population.shape.clone();
        let none = self.graph.filled(0.0, &shape);
        let holds = inside.holds.keys().map(|n| (n.clone(), Num::node(Unit::REAL, none))).collect();
        let free = inside.holds.keys().cloned().collect();
        let (frame, index) = (inside.frame, inside.index);
        let mut walk = Walk {
            frame,
            index,
            states,
            holds,
            ports,
            lets: vec![],
            free,
            held: vec![],
            scope,
            whole: false,
            past: vec![],
        };
        walk.scope = self.walk_scope(&walk);
        walk
    }

    fn equation_nodes(&mut self, inside: &Inside, walk: &Walk, all: &[NodeId]) -> Vec<NodeId> {
        let mut out = all.to_vec();
        for (k, equation) in inside.equations[..inside.own].iter().enumerate() {
            if let Some(num) = walk.states.get(&equation.name).cloned() {
                out[k] = self.lift(&num);
            }
        }
        out
    }

    fn states_after(&mut self, inside: &Inside, walk: &Walk, last: &[NodeId]) -> IndexMap<String, Num> {
        let mut states = walk.states.clone();
        for (equation, node) in inside.equations[..inside.own].iter().zip(last) {
            let unit = states.get(&equation.name).map_or(Unit::Unknown, |n| n.unit.clone());
            states.insert(equation.name.clone(), Num::node(unit, *node));
        }
        states
    }

    /// What acts at the end of a step: periods, and conditions without spikes.
    fn walk_others(&mut self, walk: &mut Walk, inside: &Inside) -> Option<()> {
        self.walk_periods(walk, inside.population, inside.neuron)?;
        let mut others = inside.neuron.clone();
        others.dynamics.whens.retain(|w| !w.spike);
        let before = self.frame(inside.frame).populations[inside.index].scope;
        self.walk_whens(walk, before, inside.holds, inside.population, &others).map(|_| ())
    }
}

impl System<'_> {
    /// A linear system over a part of the step: the Taylor series of its exponential, as long as its norm asks.
    pub(super) fn taylor(&self, s: &mut Session, part: &[usize], dt: Length) -> Built<Vec<NodeId>> {
        let a = self.coefficients(s, part);
        let norm = balanced_norm(&a) * dt.whole;
        let pieces = (norm / SERIES_NORM).ceil().max(1.0);
        if pieces.is_nan() || pieces > MOST_SERIES {
            let reason = format!("its fastest time constant is below 1 / {} of the step", MOST_SERIES * SERIES_NORM);
            return Err(nnm_graph::ShapeError { op: "taylor", shapes: vec![], reason });
        }
        let length = match dt.part {
            Some(part) => scaled(s, part, 1.0 / pieces)?,
            None => s.graph.constant(dt.whole / pieces),
        };
        let mut states: Vec<NodeId> = part.iter().map(|k| self.equations[*k].state).collect();
        let mut rates: Vec<NodeId> = part.iter().map(|k| self.equations[*k].rate).collect();
        for piece in 0..pieces as usize {
            let change = self.series(s, &a, &rates, length, norm / pieces)?;
            for (state, by) in states.iter_mut().zip(&change) {
                *state = s.graph.binary(Binary::Add, *state, *by)?;
            }
            if piece + 1 < pieces as usize {
                let by = multiplied(s, &a, &change)?;
                for (rate, by) in rates.iter_mut().zip(by) {
                    *rate = s.graph.binary(Binary::Add, *rate, by)?;
                }
            }
        }
        Ok(states)
    }

    /// h f + h^2 A f / 2! + h^3 A^2 f / 3! + …
    fn series(
        &self,
        s: &mut Session,
        a: &[Vec<nnm_runtime::array::Array>],
        rates: &[NodeId],
        length: NodeId,
        norm: f64,
    ) -> Built<Vec<NodeId>> {
        let mut term = vec![];
        for rate in rates {
            term.push(s.graph.binary(Binary::Mul, length, *rate)?);
        }
        let mut sum = term.clone();
        let (mut k, mut size) = (1.0, 1.0);
        while size > 1e-18 && k < 60.0 {
            k += 1.0;
            size *= norm / k;
            let share = scaled(s, length, 1.0 / k)?;
            let next = multiplied(s, a, &term)?;
            for ((term, next), sum) in term.iter_mut().zip(next).zip(&mut sum) {
                *term = s.graph.binary(Binary::Mul, share, next)?;
                *sum = s.graph.binary(Binary::Add, *sum, *term)?;
            }
        }
        Ok(sum)
    }
}

/// The least norm that scaling the variables gives a matrix, so that their units do not count: Osborne (1960).
fn balanced_norm(a: &[Vec<nnm_runtime::array::Array>]) -> f64 {
    let size = |x: &nnm_runtime::array::Array| x.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let mut m: Vec<Vec<f64>> = a.iter().map(|row| row.iter().map(size).collect()).collect();
    for _ in 0..20 {
        (0..m.len()).for_each(|k| balance(&mut m, k));
    }
    m.iter().map(|row| row.iter().sum()).fold(0.0, f64::max)
}

/// Scales one variable so that what drives it and what it drives are of one size.
fn balance(m: &mut [Vec<f64>], k: usize) {
    let others: Vec<usize> = (0..m.len()).filter(|i| *i != k).collect();
    let row: f64 = others.iter().map(|i| m[k][*i]).sum();
    let column: f64 = others.iter().map(|i| m[*i][k]).sum();
    // What nothing drives, or what drives nothing, has any scale that is wanted.
    let small = (1e-3 * m[k][k]).max(f64::MIN_POSITIVE);
    let scale = match (row > 0.0, column > 0.0) {
        (false, false) => return,
        (true, true) => (row / column).sqrt(),
        (true, false) => row / small,
        (false, true) => small / column,
    };
    for i in others {
        m[k][i] /= scale;
        m[i][k] *= scale;
    }
}

/// A matrix of numbers, one each or one a cell, times a vector of nodes.
fn multiplied(s: &mut Session, a: &[Vec<nnm_runtime::array::Array>], x: &[NodeId]) -> Built<Vec<NodeId>> {
    let mut out = vec![];
    for (i, row) in a.iter().enumerate() {
        let shape = s.graph.shape(x[i]).to_vec();
        let mut sum = None;
        for (factor, node) in row.iter().zip(x) {
            super::solver::add_term(s, &mut sum, factor, *node, &shape)?;
        }
        out.push(match sum {
            Some(sum) => sum,
            None => s.graph.filled(0.0, &shape),
        });
    }
    Ok(out)
}
