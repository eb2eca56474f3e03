//! Implicit steps of compartments joined into trees: the same Rosenbrock pair, its linear systems solved along the trees.
//!
//! The state that the compartments share takes the implicit step; what else belongs to its system (gates) takes an
//! exponential Euler step beside it, on the values at the step's start.

use nnm_graph::ir::{Binary, NodeId};

use super::solver::{Built, Length, System, scaled};
use crate::session::Session;
use crate::simulate::Tie;

impl System<'_> {
    /// The joined state of a part, and how it is joined.
    pub(super) fn tie_of(&self, s: &Session, part: &[usize]) -> Option<(usize, Tie)> {
        let ties = s.program.as_ref().map(|p| p.ties.clone())?;
        part.iter().find_map(|k| {
            let tie = ties.iter().find(|t| t.state == self.equations[*k].state && self.stand_in(t).is_some())?;
            Some((*k, tie.clone()))
        })
    }

    fn stand_in(&self, tie: &Tie) -> Option<NodeId> {
        self.back.iter().find(|(_, node)| **node == tie.sum).map(|(stand_in, _)| *stand_in)
    }

    pub(super) fn joined(&self, s: &mut Session, part: &[usize], k: usize, tie: &Tie, dt: f64) -> Built<Vec<NodeId>> {
        let mut out = vec![];
        for other in part {
            out.push(match *other == k {
                true => self.joined_step(s, k, tie, dt)?,
                false => self.exponential_euler(s, *other, Length { whole: dt, part: None })?,
            });
        }
        Ok(out)
    }

    fn joined_step(&self, s: &mut Session, k: usize, tie: &Tie, dt: f64) -> Built<NodeId> {
        let gamma = 1.0 - 0.5f64.sqrt();
        let state = self.equations[k].state;
        let first = self.rates_at(s, &[k], &[state], None)?[0];
        let drift = self.drift(s, &[k], gamma)?[0];
        let rows = self.rows(s, k, tie, gamma * dt)?;
        let right = match drift {
            Some(drift) => s.graph.binary(Binary::Add, first, drift)?,
            None => first,
        };
        let k1 = solved(s, tie, rows, right)?;
        let moved = scaled(s, k1, dt)?;
        let second = self.rate_ahead(s, k, tie, moved)?;
        let twice = scaled(s, k1, 2.0)?;
        let mut right = s.graph.binary(Binary::Sub, second, twice)?;
        if let Some(drift) = drift {
            right = s.graph.binary(Binary::Sub, right, drift)?;
        }
        let k2 = solved(s, tie, rows, right)?;
        let three = scaled(s, k1, 3.0)?;
        let total = s.graph.binary(Binary::Add, three, k2)?;
        let change = scaled(s, total, dt / 2.0)?;
        s.graph.binary(Binary::Add, state, change)
    }

    /// By how much the right side changes with the joined sum; nothing where the state is held.
    fn weight_of_sum(&self, s: &mut Session, k: usize, tie: &Tie) -> Built<NodeId> {
        let rate = self.rates[k];
        let shape = s.graph.shape(rate).to_vec();
        let Some(stand_in) = self.stand_in(tie) else { return Ok(s.graph.filled(0.0, &shape)) };
        let one = s.graph.filled(1.0, &shape);
        let slope = nnm_graph::grad(&mut s.graph, &[(rate, one)], &[stand_in])?.first().copied().flatten();
        let slope = match slope {
            Some(slope) => self.restored(s, slope)?,
            None => s.graph.filled(0.0, &shape),
        };
        let slope = s.graph.broadcast_to(slope, &shape)?;
        self.unless_held(s, k, slope)
    }

    fn unless_held(&self, s: &mut Session, k: usize, node: NodeId) -> Built<NodeId> {
        match self.equations[k].held {
            Some(held) => {
                let zero = s.graph.constant(0.0);
                s.graph.select(held, zero, node)
            }
            None => Ok(node),
        }
    }

    /// Diagonal, and the coefficients of parents and of children, of 1 - c J.
    fn rows(&self, s: &mut Session, k: usize, tie: &Tie, c: f64) -> Built<[NodeId; 3]> {
        let weight = self.weight_of_sum(s, k, tie)?;
        let shape = s.graph.shape(weight).to_vec();
        let mut own = s.graph.binary(Binary::Mul, weight, tie.own)?;
        if let Some(slope) = self.jacobian[k][k] {
            let slope = self.restored(s, slope)?;
            let slope = self.unless_held(s, k, slope)?;
            own = s.graph.binary(Binary::Add, own, slope)?;
        }
        let own = scaled(s, own, -c)?;
        let one = s.graph.filled(1.0, &shape);
        let diag = s.graph.binary(Binary::Add, one, own)?;
        let up = s.graph.binary(Binary::Mul, weight, tie.up)?;
        let above = s.graph.gather(weight, 0, tie.above)?;
        let down = s.graph.binary(Binary::Mul, above, tie.down)?;
        Ok([diag, scaled(s, up, -c)?, scaled(s, down, -c)?])
    }

    /// The right side where the state has moved, and the sum over the neighbours with it.
    fn rate_ahead(&self, s: &mut Session, k: usize, tie: &Tie, moved: NodeId) -> Built<NodeId> {
        let state = self.equations[k].state;
        let n = s.graph.shape(state).to_vec();
        let ahead = s.graph.binary(Binary::Add, state, moved)?;
        let own = s.graph.binary(Binary::Mul, tie.own, moved)?;
        let of_parent = s.graph.gather(moved, 0, tie.above)?;
        let up = s.graph.binary(Binary::Mul, tie.up, of_parent)?;
        let down = s.graph.binary(Binary::Mul, tie.down, moved)?;
        let down = s.graph.scatter_add(down, 0, tie.above, &n)?;
        let mut sum = tie.sum;
        for part in [own, up, down] {
            sum = s.graph.binary(Binary::Add, sum, part)?;
        }
        let stand_in = self.stand_in(tie);
        let count = self.step_count(s);
        let later = match count {
            Some(count) => {
                let one = s.graph.constant(1.0);
                Some((count, s.graph.binary(Binary::Add, count, one)?))
            }
            None => None,
        };
        let rate = nnm_graph::substitute(&mut s.graph, self.rates[k], &|_, node| {
            if Some(node) == stand_in {
                return Some(sum);
            }
            let time = later.filter(|(count, _)| *count == node).map(|(_, later)| later);
            self.kept(node).or(time).or_else(|| (node == state).then_some(ahead))
        })?;
        let rate = self.restored(s, rate)?;
        self.unless_held(s, k, rate)
    }
}

/// The solution of the system along the trees.
fn solved(s: &mut Session, tie: &Tie, [diag, up, down]: [NodeId; 3], right: NodeId) -> Built<NodeId> {
    let n = s.graph.shape(diag).to_vec();
    let (up, down) = (s.graph.broadcast_to(up, &n)?, s.graph.broadcast_to(down, &n)?);
    let right = s.graph.broadcast_to(right, &n)?;
    let both = s.graph.tree_solve([diag, up, down, right], tie.parent, tie.order)?;
    s.graph.at(both, 0, 0)
}
