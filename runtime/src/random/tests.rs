//! The laws of the draws: independence of the cut, agreement of the instruction sets, moments and distributions, pinned
//! values.

use super::*;

const KEY: u64 = 0x1234_5678_9ABC_DEF0;

/// Whatever the cut, the same numbers.
fn cut_does_not_matter<T: Copy + Default + PartialEq + std::fmt::Debug>(fill: impl Fn(&mut [T], u64)) {
    let mut whole = vec![T::default(); 1000];
    fill(&mut whole, 5);
    let mut at = 0;
    for (i, size) in [1usize, 2, 3, 63, 64, 65, 127, 128, 129, 5, 7, 130].into_iter().cycle().enumerate() {
        let size = size.min(1000 - at);
        let mut part = vec![T::default(); size];
        fill(&mut part, 5 + at as u64);
        assert_eq!(part, whole[at..at + size], "piece {i} at {at}");
        at += size;
        if at == 1000 {
            break;
        }
    }
}

#[test]
fn blocks_equal_scalars_however_cut() {
    cut_does_not_matter(|out, base| uniforms_f64(out, KEY, 3, base));
    cut_does_not_matter(|out, base| uniforms_f32(out, KEY, 3, base));
    cut_does_not_matter(|out, base| normals_f64(out, KEY, 3, base));
    cut_does_not_matter(|out, base| normals_f32(out, KEY, 3, base));
    cut_does_not_matter(|out, base| fill_bits(out, KEY, 3, base));
    cut_does_not_matter(|out: &mut [f64], base| {
        let means: Vec<f64> = (0..out.len()).map(|i| mean_at(base + i as u64)).collect();
        // SAFETY: both have the same length.
        unsafe { fill_poisson_f64(out.as_mut_ptr(), means.as_ptr(), out.len(), KEY, 3, base) }
    });
}

fn mean_at(index: u64) -> f64 {
    [0.0, 0.001, 0.5, 3.0, 9.99, 10.0, 40.0, 1e6][(index % 8) as usize]
}

#[test]
fn poisson_works_in_place_and_in_f32() {
    let means: Vec<f64> = (0..300).map(mean_at).collect();
    let mut in_place = means.clone();
    // SAFETY: in place, over the vector's length.
    unsafe { fill_poisson_f64(in_place.as_mut_ptr(), in_place.as_ptr(), 300, KEY, 1, 0) };
    for (i, mean) in means.iter().enumerate() {
        assert_eq!(in_place[i], poisson_f64(*mean, KEY, 1, i as u64));
        let single = *mean as f32;
        assert_eq!(poisson_f32(single, KEY, 1, i as u64), poisson_f64(f64::from(single), KEY, 1, i as u64) as f32);
    }
}

#[test]
fn instruction_sets_agree() {
    let (v3, v4) = (Level::V3, Level::V4);
    fn numbers<T: Copy + Default>(fill: Fill<T>) -> Vec<T> {
        let mut out = vec![T::default(); 4096];
        // SAFETY: the vector's length.
        unsafe { fill(out.as_mut_ptr(), out.len(), KEY, 9, 1) };
        out
    }
    let normal = fill::fills::<f64, fill::Normal>();
    let bits = |v: Vec<f64>| v.into_iter().map(f64::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(numbers(v3.pick(&normal))), bits(numbers(v4.pick(&normal))));
    let normal = fill::fills::<f32, fill::Normal>();
    let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(numbers(v3.pick(&normal))), bits(numbers(v4.pick(&normal))));
    let uniform = fill::fills::<f64, fill::Uniform>();
    assert_eq!(numbers(Level::Base.pick(&uniform)), numbers(v4.pick(&uniform)));
}

/// The law of the module's documentation, written down once more.
#[test]
fn uniform_numbers_follow_their_law() {
    for index in [0u64, 1, 2, 77, 1 << 40] {
        let w = philox::block(KEY, 7, index / 2);
        let half = if index % 2 == 0 { (w[0], w[1]) } else { (w[2], w[3]) };
        let bits = (half.0 << 32 | half.1) >> 11;
        assert_eq!(uniform_f64(KEY, 7, index), bits as f64 * 2f64.powi(-53));
        assert_eq!(super::bits(KEY, 7, index) >> 11, bits);
        let word = philox::block(KEY, 7, index / 4)[(index % 4) as usize];
        assert_eq!(uniform_f32(KEY, 7, index), (word >> 8) as f32 * 2f32.powi(-24));
    }
    assert_eq!(fill::unit_f64(0xFFFF_FFFF, 0xFFFF_FFFF), 1.0 - 2f64.powi(-53));
    assert_eq!(fill::unit_f64(0, 0), 0.0);
}

/// Values that must never change: results of users depend on them.
#[test]
fn pinned() {
    let bits: [u64; 4] = [key(0, ""), key(1, "net.E.v"), uniform_f64(KEY, 0, 0).to_bits(), super::bits(KEY, 2, 3)];
    assert_eq!(bits, [0xD84D1F8EA453246E, 0xD1E20BFA38163899, 0x3FA2593688F07090, 0x31A15053D2A4EC66]);
    assert_eq!(permutation(KEY, 0, 8), [4, 1, 5, 0, 2, 3, 6, 7]);
}

#[test]
fn keys_differ() {
    let keys: Vec<u64> = ["a", "b", "ab", "a.b", "", "net.E", "net.I"].iter().map(|p| key(1, p)).collect();
    for (i, a) in keys.iter().enumerate() {
        assert!(keys[i + 1..].iter().all(|b| a != b));
        assert_ne!(*a, key(2, ["a", "b", "ab", "a.b", "", "net.E", "net.I"][i]));
    }
}

/// Mean, variance, skewness, kurtosis.
fn moments(values: &[f64]) -> [f64; 4] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let central = |p: i32| values.iter().map(|x| (x - mean).powi(p)).sum::<f64>() / n;
    let variance = central(2);
    [mean, variance, central(3) / variance.powf(1.5), central(4) / (variance * variance)]
}

/// Five standard errors, for the moments of about normal samples.
fn assert_moments(name: &str, got: [f64; 4], want: [f64; 4], n: f64) {
    let deviation = want[1].sqrt();
    let allowed = [deviation, want[1] * (want[3] - 1.0).sqrt(), 6f64.sqrt() + want[2].abs() * 6.0, 10.0 * want[3]];
    for i in 0..4 {
        let limit = 5.0 * allowed[i] / n.sqrt();
        assert!((got[i] - want[i]).abs() < limit, "{name} moment {}: {} for {}", i + 1, got[i], want[i]);
    }
}

#[test]
fn moments_are_right() {
    const N: usize = 1 << 18;
    let n = N as f64;
    let mut x = vec![0.0; N];
    uniforms_f64(&mut x, KEY, 0, 0);
    assert!(x.iter().all(|u| (0.0..1.0).contains(u)));
    assert_moments("uniform", moments(&x), [0.5, 1.0 / 12.0, 0.0, 1.8], n);
    normals_f64(&mut x, KEY, 0, 0);
    assert_moments("normal", moments(&x), [0.0, 1.0, 0.0, 3.0], n);
    let mut y = vec![0f32; N];
    normals_f32(&mut y, KEY, 0, 0);
    let y: Vec<f64> = y.into_iter().map(f64::from).collect();
    assert_moments("normal f32", moments(&y), [0.0, 1.0, 0.0, 3.0], n);
    for mean in [0.05, 2.0, 9.5, 10.5, 120.0, 1e5] {
        let means = vec![mean; N];
        // SAFETY: both have N elements.
        unsafe { fill_poisson_f64(x.as_mut_ptr(), means.as_ptr(), N, KEY, 1, 0) };
        let skew = 1.0 / f64::sqrt(mean);
        assert_moments("poisson", moments(&x), [mean, mean, skew, 3.0 + 1.0 / mean], n / (1.0 + 30.0 * skew));
    }
    let host = |f: &dyn Fn(u64) -> f64| (0..100_000).map(f).collect::<Vec<f64>>();
    let n = 100_000.0;
    assert_moments("exponential", moments(&host(&|i| exponential(KEY, 0, i))), [1.0, 1.0, 2.0, 9.0], n / 20.0);
    for shape in [0.3, 1.0, 7.5] {
        let (skew, kurtosis) = (2.0 / f64::sqrt(shape), 3.0 + 6.0 / shape);
        let got = moments(&host(&|i| gamma(shape, KEY, 2, i)));
        assert_moments("gamma", got, [shape, shape, skew, kurtosis], n / 100.0);
    }
    for (trials, p) in [(20, 0.1), (1000, 0.4), (50, 0.9), (1_000_000, 1e-5)] {
        let (mean, q) = (trials as f64 * p, 1.0 - p);
        let (variance, skew) = (mean * q, (q - p) / (mean * q).sqrt());
        let kurtosis = 3.0 + (1.0 - 6.0 * p * q) / variance;
        let got = moments(&host(&|i| binomial(trials, p, KEY, 3, i)));
        assert_moments("binomial", got, [mean, variance, skew, kurtosis], n / 10.0);
    }
}

/// Chi squared of counts against probabilities, per degree of freedom, over classes with at least ten expected.
fn chi_squared(counts: &[f64], probabilities: &[f64]) -> (f64, f64) {
    let total: f64 = counts.iter().sum();
    let (mut sum, mut classes) = (0.0, 0.0);
    for (count, p) in counts.iter().zip(probabilities) {
        if total * p >= 10.0 {
            sum += (count - total * p).powi(2) / (total * p);
            classes += 1.0;
        }
    }
    (sum, classes - 1.0)
}

#[test]
fn counts_have_the_poisson_distribution() {
    for mean in [0.3, 4.0, 9.9, 10.1, 30.0] {
        let mut counts = vec![0.0; 200];
        for i in 0..300_000 {
            counts[poisson_f64(mean, KEY, 4, i) as usize] += 1.0;
        }
        let p: Vec<f64> = (0..200).map(|k| (k as f64 * f64::ln(mean) - mean - log_factorial(k as f64)).exp()).collect();
        let (chi, freedom) = chi_squared(&counts, &p);
        assert!(chi < freedom + 5.0 * (2.0 * freedom).sqrt(), "mean {mean}: {chi} at {freedom}");
    }
}

#[test]
fn counts_have_the_binomial_distribution() {
    for (n, p) in [(30u64, 0.2), (100, 0.3), (60, 0.75)] {
        let mut counts = vec![0.0; 101];
        for i in 0..300_000 {
            counts[binomial(n, p, KEY, 5, i) as usize] += 1.0;
        }
        let choose = |k: f64| log_factorial(n as f64) - log_factorial(k) - log_factorial(n as f64 - k);
        let law = |k: f64| (choose(k) + k * f64::ln(p) + (n as f64 - k) * f64::ln(1.0 - p)).exp();
        let probabilities: Vec<f64> = (0..=n).map(|k| law(k as f64)).collect();
        let (chi, freedom) = chi_squared(&counts, &probabilities);
        assert!(chi < freedom + 5.0 * (2.0 * freedom).sqrt(), "{n} {p}: {chi} at {freedom}");
    }
}

#[test]
fn odd_means_have_answers() {
    assert_eq!(poisson_f64(0.0, KEY, 0, 0), 0.0);
    assert!(poisson_f64(-1.0, KEY, 0, 0).is_nan());
    assert!(poisson_f64(f64::NAN, KEY, 0, 0).is_nan());
    assert_eq!(poisson_f64(f64::INFINITY, KEY, 0, 0), f64::INFINITY);
    assert!((poisson_f64(1e15, KEY, 0, 0) - 1e15).abs() < 1e9);
    assert!(gamma(0.0, KEY, 0, 0).is_nan() && binomial(3, 1.5, KEY, 0, 0).is_nan());
    assert_eq!((binomial(9, 0.0, KEY, 0, 0), binomial(9, 1.0, KEY, 0, 0)), (0.0, 9.0));
}

#[test]
fn permutations_and_integers_are_uniform() {
    let mut seen = permutation(KEY, 3, 1000);
    assert_ne!(seen, permutation(KEY, 4, 1000));
    seen.sort_unstable();
    assert!(seen.iter().enumerate().all(|(i, v)| i as u32 == *v));
    assert_eq!((permutation(KEY, 0, 0), permutation(KEY, 0, 1)), (vec![], vec![0]));
    let mut orders = std::collections::BTreeMap::new();
    for epoch in 0..24_000 {
        *orders.entry(permutation(KEY, epoch, 4)).or_insert(0.0) += 1.0;
    }
    let counts: Vec<f64> = orders.into_values().collect();
    let (chi, freedom) = chi_squared(&counts, &[1.0 / 24.0; 24]);
    assert!(counts.len() == 24 && chi < freedom + 34.0, "{chi}");
    let mut rolls = [0.0; 6];
    for i in 0..60_000 {
        rolls[(integers(-3, 3, KEY, 0, i) + 3) as usize] += 1.0;
    }
    let (chi, freedom) = chi_squared(&rolls, &[1.0 / 6.0; 6]);
    assert!(chi < freedom + 16.0, "{chi}");
    assert_eq!(integers(5, 5, KEY, 0, 0), 5);
}
