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

/// exp(M) by scaling and squaring of the Taylor series: 20 terms of a matrix of norm below 1/2 leave less than 1e-25.
pub fn exponential(m: &DMatrix<f64>) -> DMatrix<f64> {
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
