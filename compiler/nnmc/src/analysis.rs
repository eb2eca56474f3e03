//! Statistics of recorded activity on plain numbers: intervals, bursts, correlations, spectra. Times are in seconds.

use std::f64::consts::PI;

use nnm_runtime::math;

/// Mean and variance (over n).
pub fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, var)
}

pub fn intervals(times: &[f64]) -> Vec<f64> {
    times.windows(2).map(|w| w[1] - w[0]).collect()
}

/// Standard deviation over mean of the intervals between spikes; needs three of them.
pub fn cv(times: &[f64]) -> Option<f64> {
    let between = intervals(times);
    (between.len() >= 3).then(|| {
        let (mean, var) = moments(&between);
        var.sqrt() / mean
    })
}

/// The mean of `2 |b - a| / (a + b)` over neighbouring intervals: a variation that slow drifts of the rate leave alone.
pub fn cv2(times: &[f64]) -> Option<f64> {
    let between = intervals(times);
    let parts: Vec<f64> = between.windows(2).map(|w| 2.0 * (w[1] - w[0]).abs() / (w[0] + w[1])).collect();
    (parts.len() >= 2).then(|| parts.iter().sum::<f64>() / parts.len() as f64)
}

/// Runs of at least `least` spikes, neighbours at most `gap` apart, as (first, last) places.
pub fn bursts(times: &[f64], gap: f64, least: usize) -> Vec<(usize, usize)> {
    let mut out = vec![];
    let mut first = 0;
    for k in 1..=times.len() {
        // A grain of tolerance: times are whole numbers of steps that decimals do not meet exactly.
        let goes_on = k < times.len() && times[k] - times[k - 1] <= gap * (1.0 + 1e-9);
        if !goes_on {
            if k - first >= least {
                out.push((first, k - 1));
            }
            first = k;
        }
    }
    out
}

/// Pearson's correlation; NaN where one side does not vary.
pub fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let ((ma, va), (mb, vb)) = (moments(a), moments(b));
    let joint = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum::<f64>() / a.len() as f64;
    joint / (va * vb).sqrt()
}

/// The mean of Pearson's correlation over all pairs of rows; rows that do not vary are left out.
pub fn mean_pair_correlation(rows: &[Vec<f64>]) -> f64 {
    let mut sum = vec![0.0; rows.first().map_or(0, Vec::len)];
    let mut n = 0.0;
    for row in rows {
        let (mean, var) = moments(row);
        if var > 0.0 {
            n += 1.0;
            sum.iter_mut().zip(row).for_each(|(s, x)| *s += (x - mean) / var.sqrt());
        }
    }
    if n < 2.0 {
        return f64::NAN;
    }
    // The squared sum of n standardized rows holds n of their own and n (n - 1) mixed products.
    let square = sum.iter().map(|s| s * s).sum::<f64>() / sum.len() as f64;
    (square - n) / (n * (n - 1.0))
}

/// Correlation of a series with itself, later by 0, 1, … `lags` places; normalized to 1 at 0.
pub fn autocorrelation(x: &[f64], lags: usize) -> Vec<f64> {
    let (mean, var) = moments(x);
    let whole = var * x.len() as f64;
    (0..=lags.min(x.len().saturating_sub(1)))
        .map(|k| x.iter().zip(&x[k..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / whole)
        .collect()
}

/// How often a spike of `b` follows one of `a` by a lag: counts in bins of width `bin` around the lags `-m … m` bins.
/// `same` leaves out a spike's coincidence with itself.
pub fn correlogram(a: &[f64], b: &[f64], bin: f64, m: usize, same: bool) -> Vec<f64> {
    let reach = (m as f64 + 0.5) * bin;
    let mut counts = vec![0.0; 2 * m + 1];
    let mut first = 0;
    for (k, t) in a.iter().enumerate() {
        while first < b.len() && b[first] < t - reach - 1e-9 {
            first += 1;
        }
        for (l, u) in b.iter().enumerate().skip(first).take_while(|(_, u)| **u < t + reach + 1e-9) {
            if same && k == l {
                continue;
            }
            let place = (u - t) / bin + m as f64 + 0.5;
            // A lag at the edge of two bins is half in each: so the correlogram of a train with itself is even.
            let sides = [place - 1e-9, place + 1e-9].map(f64::floor);
            for side in sides.into_iter().filter(|side| *side >= 0.0) {
                if let Some(c) = counts.get_mut(side as usize) {
                    *c += 0.5;
                }
            }
        }
    }
    counts
}

/// The square root of the variance over time of the mean of all columns over the mean of their variances: 1 where all
/// go together, about `1 / sqrt(n)` where they are independent.
pub fn synchrony(values: &[f64], columns: usize) -> f64 {
    let means: Vec<f64> = values.chunks(columns).map(|row| row.iter().sum::<f64>() / columns as f64).collect();
    let own: f64 = (0..columns)
        .map(|c| moments(&values.iter().skip(c).step_by(columns).copied().collect::<Vec<f64>>()).1)
        .sum::<f64>()
        / columns as f64;
    (moments(&means).1 / own).sqrt()
}

/// A series smoothed by a Gaussian of standard deviation `width` samples, cut at four of them and renormalized there
/// and at the ends.
pub fn smooth(x: &[f64], width: f64) -> Vec<f64> {
    let reach = (4.0 * width).ceil() as usize;
    let weights: Vec<f64> = (0..=reach).map(|k| math::exp(-0.5 * (k as f64 / width).powi(2))).collect();
    (0..x.len())
        .map(|k| {
            let (from, to) = (k.saturating_sub(reach), (k + reach + 1).min(x.len()));
            let (mut sum, mut mass) = (0.0, 0.0);
            for (l, value) in x.iter().enumerate().take(to).skip(from) {
                let w = weights[l.abs_diff(k)];
                sum += w * value;
                mass += w;
            }
            sum / mass
        })
        .collect()
}

/// Power spectral density by Welch's method: segments of `length` that overlap by half, each less its mean and under a
/// Hann window, one-sided. Gives the powers at frequencies `k / (length dt)`.
pub fn welch(x: &[f64], length: usize, dt: f64) -> Vec<f64> {
    let length = length.clamp(1, x.len().max(1));
    let window: Vec<f64> = (0..length).map(|k| 0.5 - 0.5 * math::cos(2.0 * PI * k as f64 / length as f64)).collect();
    let scale = dt / window.iter().map(|w| w * w).sum::<f64>();
    let hop = (length - length / 2).max(1);
    let bins = length / 2 + 1;
    let mut power = vec![0.0; bins];
    let mut segments = 0.0;
    let mut from = 0;
    while from + length <= x.len() {
        let piece = &x[from..from + length];
        let mean = piece.iter().sum::<f64>() / length as f64;
        let signal: Vec<[f64; 2]> = piece.iter().zip(&window).map(|(v, w)| [(v - mean) * w, 0.0]).collect();
        for (k, [re, im]) in fourier(&signal).into_iter().take(bins).enumerate() {
            // Frequencies below 0 are the mirror of those above; 0 and the highest even one have no mirror.
            let sides = if k == 0 || 2 * k == length { 1.0 } else { 2.0 };
            power[k] += sides * scale * (re * re + im * im);
        }
        segments += 1.0;
        from += hop;
    }
    power.iter().map(|p| p / segments).collect()
}

/// The discrete Fourier transform, by the smallest prime factor of the length at each level.
pub fn fourier(x: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let n = x.len();
    if n <= 1 {
        return x.to_vec();
    }
    let radix =
        (2..=n).find(|p| n.is_multiple_of(*p) || p * p > n).map_or(n, |p| if n.is_multiple_of(p) { p } else { n });
    let turn: Vec<[f64; 2]> = (0..n)
        .map(|k| {
            let angle = -2.0 * PI * k as f64 / n as f64;
            [math::cos(angle), math::sin(angle)]
        })
        .collect();
    let parts: Vec<Vec<[f64; 2]>> = match radix == n {
        true => x.iter().map(|v| vec![*v]).collect(),
        false => (0..radix).map(|r| fourier(&x.iter().skip(r).step_by(radix).copied().collect::<Vec<_>>())).collect(),
    };
    let inner = n / radix;
    (0..n)
        .map(|k| {
            parts.iter().enumerate().fold([0.0, 0.0], |[re, im], (r, part)| {
                let ([a, b], [c, s]) = (part[k % inner], turn[r * k % n]);
                [re + a * c - b * s, im + a * s + b * c]
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signal without chance, the same in the reference script.
    fn signal(n: usize) -> Vec<f64> {
        (0..n)
            .map(|k| (0.3 * k as f64).sin() + 0.5 * (1.1 * k as f64).cos() + ((k * 7919) % 13) as f64 / 13.0)
            .collect()
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-10 * (1.0 + b.abs()), "{a} instead of {b}");
    }
    #[test]
    fn spectra_are_those_of_scipy() {
        let x = signal(300);
        let power = welch(&x, 90, 1e-3);
        for (k, value) in [
            (0, 0.00012871038613383127),
            (4, 0.02674767833480978),
            (15, 0.0018694090181321774),
            (45, 2.4995794478698415e-08),
        ] {
            near(power[k], value);
        }
        let odd = welch(&x, 77, 1e-3);
        assert_eq!(odd.len(), 39);
        for (k, value) in [
            (0, 0.00025078863311860024),
            (4, 0.022420034203807813),
            (13, 0.0050701915455672025),
            (38, 2.2195843246527818e-07),
        ] {
            near(odd[k], value);
        }
    }

    #[test]
    fn correlations_are_those_of_numpy() {
        near(correlation(&signal(50), &signal(120)[70..]), -0.39528307737948915);
        let rows: Vec<Vec<f64>> = signal(240).chunks(40).map(|r| r.iter().map(|v| v * v).collect()).collect();
        near(mean_pair_correlation(&rows), 0.1801386559309211);
        let own = autocorrelation(&signal(100), 20);
        for (k, value) in [(0, 1.0), (1, 0.7633125410786331), (7, -0.25357641291750077), (20, 0.4649773231655177)] {
            near(own[k], value);
        }
        near(synchrony(&signal(240), 4), 0.83499552195948);
    }

    #[test]
    fn smoothing_is_a_gaussian_weight() {
        let out = smooth(&signal(60), 3.0);
        for (k, value) in
            [(0, 0.8381324660455916), (5, 1.1855676116220872), (30, 0.7529226971765853), (59, -0.2422205964911126)]
        {
            near(out[k], value);
        }
    }

    #[test]
    fn intervals_and_bursts() {
        let times = [0.01, 0.012, 0.015, 0.1, 0.2, 0.203, 0.206, 0.209, 0.5];
        near(cv(&times).unwrap_or(0.0), 1.548155248369134);
        near(cv2(&times).unwrap_or(0.0), 0.8954967635569998);
        assert_eq!(bursts(&times, 0.003, 3), [(0, 2), (4, 7)]);
        assert_eq!(bursts(&times, 0.003, 4), [(4, 7)]);
        assert!(bursts(&times, 0.001, 2).is_empty());
        assert!(bursts(&[], 0.001, 2).is_empty());
    }

    #[test]
    fn correlograms_count_pairs() {
        let (a, b) = ([0.010, 0.020], [0.009, 0.012, 0.030]);
        // lags of b after a, in ms: -1 2 20 and -11 -8 10.
        assert_eq!(correlogram(&a, &b, 1e-3, 2, false), [0.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(correlogram(&a, &a, 10e-3, 1, true), [1.0, 0.0, 1.0]);
        assert_eq!(correlogram(&a, &a, 10e-3, 1, false), [1.0, 2.0, 1.0]);
        // A lag of half a bin belongs to both, so that a train's own correlogram is even.
        assert_eq!(correlogram(&[0.010, 0.011], &[0.010, 0.011], 2e-3, 2, true), [0.0, 0.5, 1.0, 0.5, 0.0]);
    }
}
