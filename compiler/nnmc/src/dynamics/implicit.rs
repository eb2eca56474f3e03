//! Rosenbrock's implicit steps for stiff systems, with the Jacobian that differentiation gives.
//!
//! The L-stable pair of order 2 (Verwer et al. 1999): with g = 1 - 1/sqrt(2),
//! (1 - g h J) k1 = f(x, t) + g h f_t, (1 - g h J) k2 = f(x + h k1, t + h) - 2 k1 - g h f_t, x + h (3 k1 + k2) / 2.
//! No iteration, so that every cell does the same work and the result has no tolerance. The linear systems are eliminated
//! symbolically, once for all cells; what is zero by the equations' form is never multiplied.

use nnm_graph::ir::{Binary, NodeId, Unary};

use super::solver::{Built, System, scaled};
use crate::program::{NewLeaf, Role};
use crate::session::Session;
use crate::unit::Unit;

/// A square matrix of nodes; `None` is zero.
type Matrix = Vec<Vec<Option<NodeId>>>;

impl System<'_> {
    pub(super) fn implicit(&self, s: &mut Session, part: &[usize], dt: f64) -> Built<Vec<NodeId>> {
        let gamma = 1.0 - 0.5f64.sqrt();
        let lu = self.factored(s, part, gamma * dt)?;
        let start: Vec<NodeId> = part.iter().map(|k| self.equations[*k].state).collect();
        let first = self.rates_at(s, part, &start, None)?;
        let drift = self.drift(s, part, gamma)?;
        let mut right = vec![];
        for (rate, drift) in first.iter().zip(&drift) {
            right.push(sum(s, *rate, *drift, Binary::Add)?);
        }
        let k1 = solved(s, &lu, right)?;
        let ahead = self.moved(s, part, &k1, dt)?;
        let whole = s.graph.constant(1.0);
        let second = self.rates_at(s, part, &ahead, Some(whole))?;
        let mut right = vec![];
        for ((rate, k), drift) in second.iter().zip(&k1).zip(&drift) {
            let twice = scaled(s, *k, 2.0)?;
            let less = s.graph.binary(Binary::Sub, *rate, twice)?;
            right.push(sum(s, less, *drift, Binary::Sub)?);
        }
        let k2 = solved(s, &lu, right)?;
        let mut total = vec![];
        for (a, b) in k1.iter().zip(&k2) {
            let three = scaled(s, *a, 3.0)?;
            total.push(s.graph.binary(Binary::Add, three, *b)?);
        }
        let new = self.moved(s, part, &total, dt / 2.0)?;
        let Some(fast) = self.runs_away(s, part, dt)? else { return Ok(new) };
        let along = self.moved(s, part, &first, dt)?;
        along.iter().zip(new).map(|(along, new)| s.graph.select(fast, *along, new)).collect()
    }

    /// Where a state with a threshold runs away within the step, faster than a linear system can follow: beyond 1 / (g h)
    /// it would turn back, so that the system goes where its slope says, over the threshold.
    fn runs_away(&self, s: &mut Session, part: &[usize], dt: f64) -> Built<Option<NodeId>> {
        let mut any: Option<NodeId> = None;
        for k in part.iter().filter(|k| self.equations[**k].ceiling.is_some()) {
            let Some(slope) = self.jacobian[*k][*k] else { continue };
            let slope = self.restored(s, slope)?;
            let growth = scaled(s, slope, dt)?;
            let limit = s.graph.constant(0.5);
            let fast = s.graph.binary(Binary::Gt, growth, limit)?;
            any = Some(match any {
                Some(any) => s.graph.binary(Binary::Or, any, fast)?,
                None => fast,
            });
        }
        Ok(any)
    }

    /// g h times the derivative of the right sides by the time that stands in them.
    pub(super) fn drift(&self, s: &mut Session, part: &[usize], gamma: f64) -> Built<Vec<Option<NodeId>>> {
        let count = self.step_count(s);
        let mut out = vec![];
        for k in part {
            let rate = self.rates[*k];
            let shape = s.graph.shape(rate).to_vec();
            // A number of the step for each element, so that the derivative is each element's own.
            let path = format!("solver step {shape:?}");
            let step = s.leaf(NewLeaf {
                path: &path,
                role: Role::Work,
                unit: Unit::REAL,
                shape: &shape,
                batched: false,
                home: None,
            });
            let step = s.lift(&step);
            let moving = nnm_graph::substitute(&mut s.graph, rate, &|_, n| {
                self.kept(n).or_else(|| (Some(n) == count).then_some(step))
            })?;
            let one = s.graph.filled(1.0, &shape);
            // The step counts in units of dt, so that g h f_t is g times the derivative by it.
            let slope = nnm_graph::grad(&mut s.graph, &[(moving, one)], &[step])?.first().copied().flatten();
            out.push(match (slope, count) {
                (Some(slope), Some(count)) => {
                    let back = nnm_graph::substitute(&mut s.graph, slope, &|_, n| (n == step).then_some(count))?;
                    let restored = self.restored(s, back)?;
                    Some(scaled(s, restored, gamma)?)
                }
                _ => None,
            });
        }
        Ok(out)
    }

    /// 1 - c J, factored in place: multipliers below the diagonal, the upper triangle on and above it.
    fn factored(&self, s: &mut Session, part: &[usize], c: f64) -> Built<Matrix> {
        let n = part.len();
        let mut a: Matrix = vec![vec![None; n]; n];
        for (i, ki) in part.iter().enumerate() {
            for (j, kj) in part.iter().enumerate() {
                let mut entry = match self.jacobian[*ki][*kj] {
                    Some(slope) => {
                        let slope = self.restored(s, slope)?;
                        Some(scaled(s, slope, -c)?)
                    }
                    None => None,
                };
                for held in [self.equations[*ki].held, self.equations[*kj].held].into_iter().flatten() {
                    if let Some(e) = entry {
                        let zero = s.graph.constant(0.0);
                        entry = Some(s.graph.select(held, zero, e)?);
                    }
                }
                if i == j {
                    let one = s.graph.constant(1.0);
                    entry = Some(match entry {
                        Some(e) => s.graph.binary(Binary::Add, one, e)?,
                        None => one,
                    });
                }
                a[i][j] = entry;
            }
        }
        for k in 0..n {
            let Some(pivot) = a[k][k] else { continue };
            let upper: Vec<Option<NodeId>> = a[k].to_vec();
            for row in a.iter_mut().skip(k + 1) {
                let Some(below) = row[k] else { continue };
                let factor = s.graph.binary(Binary::Div, below, pivot)?;
                row[k] = Some(factor);
                for (j, above) in upper.iter().enumerate().skip(k + 1) {
                    let Some(above) = above else { continue };
                    let product = s.graph.binary(Binary::Mul, factor, *above)?;
                    row[j] = Some(match row[j] {
                        Some(old) => s.graph.binary(Binary::Sub, old, product)?,
                        None => s.graph.unary(Unary::Neg, product)?,
                    });
                }
            }
        }
        Ok(a)
    }
}

fn sum(s: &mut Session, a: NodeId, b: Option<NodeId>, op: Binary) -> Built<NodeId> {
    match b {
        Some(b) => s.graph.binary(op, a, b),
        None => Ok(a),
    }
}

/// Forward and back substitution.
fn solved(s: &mut Session, lu: &Matrix, right: Vec<NodeId>) -> Built<Vec<NodeId>> {
    let n = right.len();
    let mut x = right;
    for i in 0..n {
        for j in 0..i {
            if let Some(factor) = lu[i][j] {
                let product = s.graph.binary(Binary::Mul, factor, x[j])?;
                x[i] = s.graph.binary(Binary::Sub, x[i], product)?;
            }
        }
    }
    for i in (0..n).rev() {
        for j in i + 1..n {
            if let Some(above) = lu[i][j] {
                let product = s.graph.binary(Binary::Mul, above, x[j])?;
                x[i] = s.graph.binary(Binary::Sub, x[i], product)?;
            }
        }
        if let Some(pivot) = lu[i][i] {
            x[i] = s.graph.binary(Binary::Div, x[i], pivot)?;
        }
    }
    Ok(x)
}
