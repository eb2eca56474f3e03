//! Patterns keep their laws, orders are canonical, and large networks are wired fast.

use super::*;

const KEY: u64 = 77;
const RECURRENT: Options = Options { apart: Some(0), multapses: false };

fn wire(pattern: Pattern, sources: u32, targets: u32, options: Options) -> Csr {
    let rows = connect(pattern, sources, targets, options, KEY).unwrap();
    assert!(rows.is_valid(targets) && rows.rows() == sources as usize);
    for at in 0..rows.rows() {
        assert!(rows.row(at).is_sorted(), "{pattern:?} row {at}");
        if let Some(apart) = options.apart {
            assert!(!rows.row(at).iter().any(|t| i64::from(*t) == at as i64 + apart), "{pattern:?} row {at}");
        }
        if !options.multapses {
            assert!(rows.row(at).windows(2).all(|pair| pair[0] < pair[1]), "{pattern:?} row {at}");
        }
    }
    rows
}

#[test]
fn regular_patterns() {
    let all = wire(Pattern::All, 3, 2, Options::default());
    assert_eq!(all, Csr { ptr: vec![0, 2, 4, 6], other: vec![0, 1, 0, 1, 0, 1] });
    assert_eq!(wire(Pattern::All, 3, 3, RECURRENT).other, [1, 2, 0, 2, 0, 1]);
    assert_eq!(wire(Pattern::OneToOne, 3, 3, Options::default()).other, [0, 1, 2]);
    assert_eq!(wire(Pattern::OneToOne, 3, 3, RECURRENT).edges(), 0);
}

/// Cells 2 to 6 of a population to its cells 0 to 5, or 4 to 9: source i is target i + 2, or i - 2.
#[test]
fn slices_of_one_population_leave_out_their_common_cells() {
    for apart in [2, -2, 7] {
        let options = Options { apart: Some(apart), multapses: false };
        let pairs = |s: u32| (0..6).filter(move |t| i64::from(*t) != i64::from(s) + apart).map(move |t| (s, t));
        let wanted: Vec<(u32, u32)> = (0..5).flat_map(pairs).collect();
        let found = |pattern| {
            let rows = wire(pattern, 5, 6, options);
            (0..5)
                .flat_map(|s| rows.row(s as usize).iter().map(move |t| (s, *t)).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        assert_eq!(found(Pattern::All), wanted, "{apart}");
        assert_eq!(found(Pattern::Total { n: wanted.len() as u64 }), wanted, "{apart}");
        let certain = by_probability(5, 6, options, KEY, |_, row| row.fill(1.0)).unwrap();
        assert_eq!(certain, wire(Pattern::All, 5, 6, options));
        for k in 1..4 {
            assert_eq!(found(Pattern::FanIn { k }).len(), 6 * k as usize);
            assert_eq!(found(Pattern::FanOut { k }).len(), 5 * k as usize);
        }
        // A target whose own cell is among five sources has four to choose from.
        let most = connect(Pattern::FanIn { k: 5 }, 5, 6, options, KEY);
        assert_eq!(most.is_ok(), apart == 7);
        wire(Pattern::Random { p: 0.5 }, 5, 6, options);
        wire(Pattern::Poisson { mean: 1.5 }, 5, 6, Options { multapses: true, ..options });
    }
    assert_eq!(wire(Pattern::OneToOne, 3, 3, Options { apart: Some(1), multapses: true }).edges(), 3);
}

#[test]
fn random_connects_each_pair_with_probability_p() {
    for p in [0.001, 0.02, 0.5, 0.97] {
        for options in [Options::default(), RECURRENT] {
            let rows = wire(Pattern::Random { p }, 1500, 1500, options);
            let pairs = 1500.0 * if options.apart.is_none() { 1500.0 } else { 1499.0 };
            let spread = (pairs * p * (1.0 - p)).sqrt();
            assert!((rows.edges() as f64 - pairs * p).abs() < 4.0 * spread, "p {p}: {}", rows.edges());
            // In-degrees and out-degrees are binomial too.
            for degrees in [degrees(&rows), degrees(&rows.transpose(1500).rows)] {
                let mean = rows.edges() as f64 / 1500.0;
                let variance = degrees.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / 1500.0;
                let ratio = variance / (1500.0 * p * (1.0 - p));
                assert!((ratio - 1.0).abs() < 0.2, "p {p}: variance ratio {ratio}");
            }
        }
    }
    assert_eq!(wire(Pattern::Random { p: 0.0 }, 5, 5, Options::default()).edges(), 0);
    assert_eq!(wire(Pattern::Random { p: 1.0 }, 5, 5, RECURRENT).edges(), 20);
    assert_eq!(wire(Pattern::Random { p: 0.5 }, 5, 0, Options::default()).edges(), 0);
}

fn degrees(rows: &Csr) -> Vec<f64> {
    rows.ptr.windows(2).map(|pair| f64::from(pair[1] - pair[0])).collect()
}

#[test]
fn fans_and_totals_have_exact_counts() {
    for options in [Options::default(), RECURRENT, Options { multapses: true, ..RECURRENT }] {
        let fan_in = wire(Pattern::FanIn { k: 30 }, 100, 100, options).transpose(100).rows;
        assert!(degrees(&fan_in).iter().all(|d| *d == 30.0));
        let fan_out = wire(Pattern::FanOut { k: 30 }, 100, 100, options);
        assert!(degrees(&fan_out).iter().all(|d| *d == 30.0));
        for n in [0, 1, 500, 9000] {
            assert_eq!(wire(Pattern::Total { n }, 100, 100, options).edges(), n as usize);
        }
    }
    assert_eq!(wire(Pattern::FanIn { k: 4 }, 5, 5, RECURRENT), wire(Pattern::All, 5, 5, RECURRENT));
    assert_eq!(wire(Pattern::Total { n: 20 }, 5, 5, RECURRENT), wire(Pattern::All, 5, 5, RECURRENT));
    assert_eq!(wire(Pattern::FanOut { k: 0 }, 5, 5, RECURRENT).edges(), 0);
}

/// Every partner is equally likely.
#[test]
fn choices_are_uniform() {
    let without = Options { multapses: false, ..Options::default() };
    let patterns = [
        (Pattern::FanIn { k: 5 }, without),
        (Pattern::FanIn { k: 5 }, Options::default()),
        (Pattern::FanOut { k: 15 }, without),
        (Pattern::Total { n: 40_000 }, without),
        (Pattern::Total { n: 100_000 }, Options::default()),
    ];
    for (pattern, options) in patterns {
        let (sources, targets) = if matches!(pattern, Pattern::FanIn { .. }) { (20, 5000) } else { (5000, 20) };
        let rows = wire(pattern, sources, targets, options);
        let counts = if sources == 20 { degrees(&rows) } else { degrees(&rows.transpose(targets).rows) };
        let mean = rows.edges() as f64 / 20.0;
        let chi = counts.iter().map(|c| (c - mean) * (c - mean) / mean).sum::<f64>();
        assert!(chi < 19.0 + 5.0 * 38f64.sqrt(), "{pattern:?}: {chi}");
    }
}

#[test]
fn what_cannot_be_wired_is_refused() {
    let fails = |pattern, options| connect(pattern, 10, 10, options, KEY).unwrap_err().to_string();
    assert_eq!(
        fails(Pattern::FanIn { k: 10 }, RECURRENT),
        "`fan_in` wants 10 different partners where there are 9; allow multapses or ask for fewer"
    );
    assert!(
        fails(Pattern::Total { n: 91 }, RECURRENT)
            .starts_with("`total` wants 91 different partners where there are 90")
    );
    assert_eq!(fails(Pattern::Random { p: 1.5 }, RECURRENT), "a probability is a number from 0 to 1, found 1.5");
    assert!(fails(Pattern::Random { p: f64::NAN }, RECURRENT).ends_with("found NaN"));
    let error = connect(Pattern::All, 100_000, 100_000, Options::default(), KEY).unwrap_err();
    assert_eq!(error, TopologyError::TooMany { edges: 10_000_000_000 });
    let error = connect(Pattern::OneToOne, 2, 3, Options::default(), KEY).unwrap_err();
    assert_eq!(error.to_string(), "`one_to_one` connects populations of one size, found 2 and 3");
    assert!(connect(Pattern::FanOut { k: 1 }, 3, 0, Options::default(), KEY).is_err());
    assert!(connect(Pattern::FanOut { k: 1 }, 0, 0, Options::default(), KEY).is_ok());
}

#[test]
fn pairs_are_put_in_canonical_order() {
    let pairs = [(2, 1), (0, 3), (2, 0), (0, 3), (0, 1)];
    let (rows, order) = Csr::from_pairs(3, 4, &pairs).unwrap();
    assert_eq!(rows, Csr { ptr: vec![0, 3, 3, 5], other: vec![1, 3, 3, 0, 1] });
    assert_eq!(order, [4, 1, 3, 2, 0]);
    assert_eq!(rows.owners(), [0, 0, 0, 2, 2]);
    let error = Csr::from_pairs(3, 4, &[(0, 0), (1, 4)]).unwrap_err();
    assert_eq!(error.to_string(), "pair 1 names target 4 of 4");
}

#[test]
fn transposing_twice_changes_nothing() {
    let rows = wire(Pattern::Random { p: 0.1 }, 200, 300, Options::default());
    let transposed = rows.transpose(300);
    assert!(transposed.rows.is_valid(200));
    let owners = transposed.rows.owners();
    for (place, &edge) in transposed.edge.iter().enumerate() {
        assert_eq!(rows.other[edge as usize], owners[place]);
    }
    let back = transposed.rows.transpose(200);
    assert_eq!(back.rows, rows);
    assert!(back.edge.iter().enumerate().all(|(edge, &place)| transposed.edge[place as usize] == edge as u32));
}

#[test]
fn segments_hold_each_edge_once_by_delay() {
    let rows = wire(Pattern::Random { p: 0.2 }, 50, 60, Options::default());
    let delays: Vec<u32> = (0..rows.edges() as u32).map(|k| 3 + k * k % 5).collect();
    let grouped = segment_by_delay(&rows, &delays);
    let owners = rows.owners();
    let mut seen = vec![false; rows.edges()];
    for segment in &grouped.segments {
        for source in 0..50 {
            let places = segment.ptr[source] as usize..segment.ptr[source + 1] as usize;
            assert!(grouped.other[places.clone()].is_sorted());
            for place in places {
                let edge = grouped.edge[place] as usize;
                assert_eq!((delays[edge], owners[edge]), (segment.delay, source as u32));
                assert_eq!(rows.other[edge], grouped.other[place]);
                assert!(!std::mem::replace(&mut seen[edge], true));
            }
        }
    }
    assert!(seen.iter().all(|s| *s) && grouped.segments.iter().map(|s| s.delay).is_sorted());
    assert!(segment_by_delay(&wire(Pattern::OneToOne, 0, 0, Options::default()), &[]).segments.is_empty());
}

#[test]
fn probabilities_are_per_pair() {
    let rows = by_probability(400, 400, RECURRENT, KEY, |i, row| {
        row.iter_mut().enumerate().for_each(|(j, p)| *p = if j as u32 > i { 1.0 } else { 0.25 });
    })
    .unwrap();
    let above = rows.owners().iter().zip(&rows.other).filter(|(i, j)| j > i).count();
    let below = rows.edges() - above;
    assert_eq!(above, 400 * 399 / 2);
    assert!((below as f64 - 0.25 * 79_800.0).abs() < 4.0 * (79_800f64 * 0.1875).sqrt(), "{below}");
    let error = by_probability(2, 2, RECURRENT, KEY, |_, row| row.fill(-1.0)).unwrap_err();
    assert_eq!(error, TopologyError::Probability { found: -1.0 });
}

/// Networks of users must stay the same.
#[test]
fn pinned() {
    let rows = wire(Pattern::Random { p: 0.3 }, 4, 10, Options::default());
    assert_eq!(rows.other, [0, 5, 6, 8, 9, 3, 4, 5, 9, 4, 5, 8, 9, 0, 2, 4, 9]);
    assert_eq!(wire(Pattern::FanIn { k: 2 }, 10, 3, RECURRENT).owners(), [0, 2, 3, 6, 7, 8]);
    assert_eq!(wire(Pattern::Total { n: 6 }, 5, 5, RECURRENT).other, [1, 3, 0, 4, 4, 3]);
}

/// The CUBA benchmark's 320 000 synapses in 30 ms, and millions in a tenth of a second; measured only where optimised.
#[test]
fn large_networks_are_wired_fast() {
    if cfg!(debug_assertions) {
        return;
    }
    let cases = [
        (Pattern::Random { p: 0.02 }, 4000, 0.03),
        (Pattern::Random { p: 0.1 }, 10_000, 1.0),
        (Pattern::FanIn { k: 1000 }, 4000, 0.4),
        (Pattern::FanOut { k: 1000 }, 4000, 0.4),
        (Pattern::Total { n: 4_000_000 }, 4000, 0.8),
        (Pattern::Total { n: 1_000_000 }, 100_000, 0.4),
    ];
    for (pattern, size, limit) in cases {
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let start = std::time::Instant::now();
            let rows = connect(pattern, size, size, RECURRENT, KEY).unwrap();
            best = best.min(start.elapsed().as_secs_f64());
            assert!(rows.edges() > 300_000);
        }
        println!("{pattern:?} of {size}: {:.1} ms", best * 1e3);
        assert!(best < limit, "{pattern:?}: {best} s");
    }
}
