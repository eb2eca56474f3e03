//! Exact propagators of linear systems: x' = A x + b with b held over the step.
//!
//! x(t + dt) = exp(A dt) x + dt phi1(A dt) b, both read off the exponential of the augmented matrix [[A, 1], [0, 0]] dt,
//! so that equal time constants, zero leak and rotations need no case of their own (Van Loan 1978).

use nalgebra::DMatrix;
use nnm_runtime::array::Array;

use crate::value::{scalar, vector};

/// `state[i][j]` multiplies x_j, `input[i][j]` multiplies b_j; one number each, or one a cell.
pub struct Propagator {
    pub state: Vec<Vec<Array>>,
    pub input: Vec<Vec<Array>>,
}

/// The propagator of a system whose coefficients `a[i][j]` are one number each or one a cell.
pub fn propagator(a: &[Vec<Array>], dt: f64) -> Propagator {
    let m = a.len();
    let cells = a.iter().flatten().map(|x| x.len()).max().unwrap_or(1);
    let uniform = cells == 1;
    let mut state = vec![vec![Vec::with_capacity(cells); m]; m];
    let mut input = state.clone();
    for cell in 0..cells {
        let at = |x: &Array| if x.len() == 1 { x.iter().next().copied() } else { x.iter().nth(cell).copied() };
        let augmented = DMatrix::from_fn(2 * m, 2 * m, |i, j| {
            if i >= m {
                0.0
            } else if j < m {
                at(&a[i][j]).unwrap_or(0.0) * dt
            } else {
                f64::from(j - m == i) * dt
            }
        });
        let e = exponential(&augmented);
        for i in 0..m {
            for j in 0..m {
                state[i][j].push(e[(i, j)]);
                input[i][j].push(e[(i, m + j)]);
            }
        }
    }
    let pack = |table: Vec<Vec<Vec<f64>>>| {
        let one = |v: Vec<f64>| if uniform { scalar(v.first().copied().unwrap_or(0.0)) } else { vector(v) };
        table.into_iter().map(|row| row.into_iter().map(one).collect()).collect()
    };
    Propagator { state: pack(state), input: pack(input) }
}

/// exp(M), of the balanced matrix: units in which one state moves another by a million must not cost digits.
pub fn exponential(m: &DMatrix<f64>) -> DMatrix<f64> {
    let scales = balance(m);
    let scaled = |m: &DMatrix<f64>, sign: i32| {
        DMatrix::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] * power_of_two(sign * (scales[j] - scales[i])))
    };
    scaled(&squared(&scaled(m, 1)), -1)
}

fn power_of_two(exponent: i32) -> f64 {
    2.0f64.powi(exponent.clamp(-1000, 1000))
}

/// Off the diagonal, rows and columns below this need no scaling.
const SMALL: f64 = 0.25;

/// Exponents e of a scaling 2^-e M 2^e that makes rows and columns of M alike off the diagonal (Osborne 1960); where one of
/// the two is empty, the other is made small.
fn balance(m: &DMatrix<f64>) -> Vec<i32> {
    let n = m.nrows();
    let mut scales = vec![0i32; n];
    for _ in 0..100 {
        let before = scales.clone();
        for i in 0..n {
            let others = || (0..n).filter(|j| *j != i);
            let column: f64 = others().map(|j| m[(j, i)].abs() * power_of_two(scales[i] - scales[j])).sum();
            let row: f64 = others().map(|j| m[(i, j)].abs() * power_of_two(scales[j] - scales[i])).sum();
            let wanted = match (column > 0.0, row > 0.0) {
                (false, false) => 0.0,
                (true, false) => -(column / SMALL).log2().max(0.0),
                (false, true) => (row / SMALL).log2().max(0.0),
                (true, true) if row + column <= SMALL => 0.0,
                (true, true) => 0.5 * (row / column).log2(),
            };
            scales[i] += if wanted.abs() < 1.0 { 0 } else { wanted.round() as i32 };
        }
        if scales == before {
            break;
        }
    }
    scales
}

/// exp(M) by scaling and squaring of the Taylor series: 20 terms of a matrix of norm below 1/2 leave less than 1e-25.
fn squared(m: &DMatrix<f64>) -> DMatrix<f64> {
    let n = m.nrows();
    let norm = (0..n).map(|i| m.row(i).iter().map(|x| x.abs()).sum::<f64>()).fold(0.0, f64::max);
    let mut squarings = 0;
    let mut scale = 1.0;
    while norm * scale > 0.5 && squarings < 1000 {
        scale *= 0.5;
        squarings += 1;
    }
    let small = m * scale;
    let mut term = DMatrix::identity(n, n);
    let mut sum = term.clone();
    for k in 1..=20 {
        term = &term * &small / f64::from(k);
        sum += &term;
    }
    for _ in 0..squarings {
        sum = &sum * &sum;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &[&[f64]], dt: f64, want: &[&[f64]]) {
        let a: Vec<Vec<Array>> = a.iter().map(|r| r.iter().map(|x| scalar(*x)).collect()).collect();
        let p = propagator(&a, dt);
        for (i, row) in want.iter().enumerate() {
            for (j, w) in row.iter().enumerate() {
                let got = p.state[i][j].iter().next().copied().unwrap_or(f64::NAN);
                assert!((got - w).abs() < 1e-13, "({i}, {j}): {got} instead of {w}");
            }
        }
    }

    #[test]
    fn equal_time_constants_need_no_case() {
        let (tau, dt) = (0.005, 0.001);
        let e = f64::exp(-dt / tau);
        check(&[&[-1.0 / tau, 1.0 / tau], &[0.0, -1.0 / tau]], dt, &[&[e, dt / tau * e], &[0.0, e]]);
    }

    #[test]
    fn units_cost_no_digits() {
        // A current that decays and moves a leaky voltage, in units further and further apart.
        let (tau, synapse, dt) = (0.02, 0.005, 1e-4);
        let (slow, fast) = (f64::exp(-dt / tau), f64::exp(-dt / synapse));
        for gain in [1.0, 1e6, 1e11, 1e18, 1e-18] {
            let rate = gain / tau;
            let moved = rate * (slow - fast) / (1.0 / synapse - 1.0 / tau);
            let a: Vec<Vec<Array>> =
                vec![vec![scalar(-1.0 / tau), scalar(rate)], vec![scalar(0.0), scalar(-1.0 / synapse)]];
            let p = propagator(&a, dt);
            let got = |x: &Array| x.iter().next().copied().unwrap_or(f64::NAN);
            for (x, want) in [(&p.state[0][0], slow), (&p.state[1][1], fast), (&p.state[0][1], moved)] {
                assert!((got(x) / want - 1.0).abs() < 1e-14, "{gain}: {} instead of {want}", got(x));
            }
            let rest = got(&p.state[0][0]) + got(&p.input[0][0]) / tau;
            assert!((rest - 1.0).abs() < 3e-16, "{gain}: {rest:e}");
        }
    }

    #[test]
    fn a_loop_between_units_costs_no_digits() {
        let (w, dt) = (40.0, 0.01);
        let (s, c) = f64::sin_cos(w * dt);
        let a = [[0.0, w * 1e9], [-w * 1e-9, 0.0]];
        let a: Vec<Vec<Array>> = a.iter().map(|r| r.iter().map(|x| scalar(*x)).collect()).collect();
        let p = propagator(&a, dt);
        let got = |i: usize, j: usize| p.state[i][j].iter().next().copied().unwrap_or(f64::NAN);
        for (x, want) in [(got(0, 0), c), (got(0, 1), s * 1e9), (got(1, 0), -s * 1e-9)] {
            assert!((x / want - 1.0).abs() < 1e-14, "{x} instead of {want}");
        }
    }

    #[test]
    fn zero_leak_and_rotation() {
        check(&[&[0.0]], 0.1, &[&[1.0]]);
        let (w, dt) = (40.0, 0.01);
        let (s, c) = f64::sin_cos(w * dt);
        check(&[&[0.0, w], &[-w, 0.0]], dt, &[&[c, s], &[-s, c]]);
    }

    #[test]
    fn input_is_held_over_the_step() {
        let p = propagator(&[vec![scalar(-50.0)]], 0.001);
        let got = p.input[0][0].iter().next().copied().unwrap_or(0.0);
        assert!((got - (1.0 - (-0.05f64).exp()) / 50.0).abs() < 1e-15);
    }
}
