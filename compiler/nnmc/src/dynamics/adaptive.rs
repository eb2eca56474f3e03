//! Runge-Kutta of order 5 with step control inside a step: Dormand and Prince (1980).
//!
//! Each cell divides the step as its own error asks: the difference to the embedded order 4 stays below the tolerance,
//! relative to the state and to one of its declared unit. All cells take part in each attempt, those that have arrived
//! keep what they have; so a cell's result depends on nothing but itself, and is the same on any machine and in any
//! population. A cell that has not arrived after all attempts becomes NaN, which stops the run.

use nnm_graph::ir::{Assign, Binary, NodeId, Place, Stmt, Unary, VarElem, VarId};
use nnm_kir::ir::{Int, LoopId, Ref};

use super::solver::{Built, System, scaled};
use crate::program::{NewLeaf, Role};
use crate::session::Session;
use crate::unit::Unit;

/// Attempts at most: the square of this.
const ATTEMPTS: i64 = 100;

const STAGES: [&[f64]; 6] = [
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
    &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
    &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];
const TIMES: [f64; 6] = [1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];
/// Order 5 minus order 4.
const ERRORS: [f64; 7] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0];

/// What an attempt reads and writes: the states so far, the share of the step done, the share tried next, who is on the way.
struct Progress {
    states: Vec<VarId>,
    done: VarId,
    next: VarId,
    active: VarId,
    list: VarId,
    count: VarId,
}

impl System<'_> {
    pub(super) fn rk45(&self, s: &mut Session, part: &[usize], dt: f64, tolerance: f64) -> Built<Vec<NodeId>> {
        let shape = s.graph.shape(self.equations[part[0]].state).to_vec();
        if part.iter().any(|k| s.graph.shape(self.equations[*k].state) != shape.as_slice()) {
            let shapes = part.iter().map(|k| s.graph.shape(self.equations[*k].state).to_vec()).collect();
            let reason = "states that `rk45` solves together have one shape".to_string();
            return Err(nnm_graph::ShapeError { op: "rk45", shapes, reason });
        }
        let progress = progress(s, part.len(), &shape);
        let mut start = vec![];
        for (k, var) in part.iter().zip(&progress.states) {
            start.push(assign(*var, self.equations[*k].state));
        }
        let (zero, one) = (s.graph.filled(0.0, &shape), s.graph.filled(1.0, &shape));
        start.extend([assign(progress.done, zero), assign(progress.next, one), assign(progress.active, one)]);
        let attempt = self.attempt(s, part, dt, tolerance, &progress)?;
        let active = s.read_whole(progress.active);
        let compact = Stmt::Compact { flags: active, list: progress.list, count: progress.count, slot: Int::Const(0) };
        let about = || "rk45".to_string();
        let once = vec![Stmt::Stage { about: about(), assigns: attempt }, compact.clone()];
        let inner = vec![while_active(&progress, once)];
        let (from, to) = (Int::Const(0), Int::Const(ATTEMPTS));
        let few = Stmt::For { index: LoopId(3), from: from.clone(), to: to.clone(), down: false, body: inner };
        let many =
            Stmt::For { index: LoopId(2), from, to, down: false, body: vec![while_active(&progress, vec![few])] };
        let mut new = vec![];
        for var in &progress.states {
            let value = s.read_whole(*var);
            let lost = s.graph.constant(f64::NAN);
            new.push(s.graph.select(active, lost, value)?);
        }
        if let Some(program) = &mut s.program {
            program.before_equations.extend([Stmt::Stage { about: about(), assigns: start }, compact, many]);
        }
        Ok(new)
    }

    /// One attempt of every cell: its stages, its error, and what becomes of its progress.
    fn attempt(&self, s: &mut Session, part: &[usize], dt: f64, tolerance: f64, p: &Progress) -> Built<Vec<Assign>> {
        let (done, next, active) = (s.read_whole(p.done), s.read_whole(p.next), s.read_whole(p.active));
        let one = s.graph.constant(1.0);
        let left = s.graph.binary(Binary::Sub, one, done)?;
        let share = s.graph.binary(Binary::Min, next, left)?;
        let h = scaled(s, share, dt)?;
        let x: Vec<NodeId> = p.states.iter().map(|v| s.read_whole(*v)).collect();
        let mut slopes = vec![self.rates_at(s, part, &x, Some(done))?];
        let mut end = x.clone();
        for (weights, time) in STAGES.iter().zip(TIMES) {
            end = combined(s, &x, h, &slopes, weights)?;
            let ahead = scaled(s, share, time)?;
            let at = s.graph.binary(Binary::Add, done, ahead)?;
            slopes.push(self.rates_at(s, part, &end, Some(at))?);
        }
        let error = self.error(s, part, tolerance, h, &x, &end, &slopes)?;
        let fits = s.graph.binary(Binary::Le, error, one)?;
        let moves = s.graph.binary(Binary::And, fits, active)?;
        let factor = grown(s, error)?;
        let mut assigns = vec![];
        for (k, var) in p.states.iter().enumerate() {
            let value = s.graph.select(moves, end[k], x[k])?;
            assigns.push(assign(*var, value));
        }
        let advanced = s.graph.binary(Binary::Add, done, share)?;
        let last = s.graph.binary(Binary::Ge, next, left)?;
        let advanced = s.graph.select(last, one, advanced)?;
        let done_new = s.graph.select(moves, advanced, done)?;
        let tried = s.graph.binary(Binary::Mul, share, factor)?;
        let next_new = s.graph.select(active, tried, next)?;
        let going = s.graph.binary(Binary::Lt, done_new, one)?;
        let going = s.graph.binary(Binary::And, going, active)?;
        assigns.extend([assign(p.done, done_new), assign(p.next, next_new), assign(p.active, going)]);
        Ok(assigns)
    }

    /// The largest error over the states, in units of what is allowed.
    #[allow(clippy::too_many_arguments)]
    fn error(
        &self,
        s: &mut Session,
        part: &[usize],
        tolerance: f64,
        h: NodeId,
        x: &[NodeId],
        end: &[NodeId],
        slopes: &[Vec<NodeId>],
    ) -> Built<NodeId> {
        let mut worst = s.graph.constant(0.0);
        for (i, k) in part.iter().enumerate() {
            let mut sum = s.graph.constant(0.0);
            for (slope, weight) in slopes.iter().zip(ERRORS) {
                let term = scaled(s, slope[i], weight)?;
                sum = s.graph.binary(Binary::Add, sum, term)?;
            }
            let off = s.graph.binary(Binary::Mul, h, sum)?;
            let off = s.graph.unary(Unary::Abs, off)?;
            let (before, after) = (s.graph.unary(Unary::Abs, x[i])?, s.graph.unary(Unary::Abs, end[i])?);
            let size = s.graph.binary(Binary::Max, before, after)?;
            let unit = s.graph.constant(self.equations[*k].unit);
            let size = s.graph.binary(Binary::Add, size, unit)?;
            let allowed = scaled(s, size, tolerance)?;
            let ratio = s.graph.binary(Binary::Div, off, allowed)?;
            worst = s.graph.binary(Binary::Max, worst, ratio)?;
            // A ratio that is no number is worse than any.
            let same = s.graph.binary(Binary::Eq, ratio, ratio)?;
            let endless = s.graph.constant(f64::INFINITY);
            worst = s.graph.select(same, worst, endless)?;
        }
        Ok(worst)
    }
}

/// How much longer the next share is: 0.9 error^(-1/5), between 1/5 and 5.
fn grown(s: &mut Session, error: NodeId) -> Built<NodeId> {
    let (least, most) = (s.graph.constant(1e-10), s.graph.constant(1e10));
    let held = s.graph.binary(Binary::Max, error, least)?;
    let held = s.graph.binary(Binary::Min, held, most)?;
    let exponent = s.graph.constant(-0.2);
    let power = s.graph.binary(Binary::Pow, held, exponent)?;
    let factor = scaled(s, power, 0.9)?;
    let (low, high) = (s.graph.constant(0.2), s.graph.constant(5.0));
    let factor = s.graph.binary(Binary::Max, factor, low)?;
    s.graph.binary(Binary::Min, factor, high)
}

fn combined(s: &mut Session, x: &[NodeId], h: NodeId, slopes: &[Vec<NodeId>], weights: &[f64]) -> Built<Vec<NodeId>> {
    let mut out = vec![];
    for (i, start) in x.iter().enumerate() {
        let mut sum = s.graph.constant(0.0);
        for (slope, weight) in slopes.iter().zip(weights).filter(|(_, w)| **w != 0.0) {
            let term = scaled(s, slope[i], *weight)?;
            sum = s.graph.binary(Binary::Add, sum, term)?;
        }
        let change = s.graph.binary(Binary::Mul, h, sum)?;
        out.push(s.graph.binary(Binary::Add, *start, change)?);
    }
    Ok(out)
}

fn assign(to: VarId, value: NodeId) -> Assign {
    Assign { to, place: Place::Whole, add: false, value }
}

/// The body, while cells are on the way.
fn while_active(p: &Progress, body: Vec<Stmt>) -> Stmt {
    let count = Ref::new(nnm_kir::ir::BufId(p.count.0), Int::Const(0));
    Stmt::IfLess { a: Int::Const(0), b: Int::Load(Box::new(count)), body }
}

fn progress(s: &mut Session, states: usize, shape: &[usize]) -> Progress {
    let number = s.program.as_mut().map_or(0, |p| {
        p.solved += 1;
        p.solved
    });
    let real = |s: &mut Session, what: String| {
        let path = format!("solver {number}.{what}");
        s.leaf_var(&NewLeaf { path: &path, role: Role::Work, unit: Unit::REAL, shape, batched: false, home: None })
    };
    let states = (0..states).map(|k| real(s, format!("x{k}"))).collect();
    let (done, next, active) = (real(s, "done".into()), real(s, "next".into()), real(s, "active".into()));
    let cells: usize = shape.iter().product();
    let list = s.index_var(format!("solver {number}.list"), vec![cells], Some(1), VarElem::Index);
    let count = s.index_var(format!("solver {number}.count"), vec![1], None, VarElem::Count);
    Progress { states, done, next, active, list, count }
}
