//! What a simulation keeps and takes in, and who is connected to whom: windows, summaries, inputs over time, patterns.

use nnm_compiler::settings::Settings;
use nnm_compiler::value::Value;

use crate::support::{outcomes, root};

/// All numbers of the reports of a model given as text, by name.
fn reports(text: &str) -> Vec<(String, Vec<f64>)> {
    let path = root().join("tests/stages/inline.nnm");
    let all = outcomes(&path, text, &Settings::default());
    let numbers = |v: &Value| match v {
        Value::Num(num) => num.as_const().map(|a| a.iter().copied().collect()).unwrap_or_default(),
        _ => vec![],
    };
    all.iter().flat_map(|o| &o.reports).map(|(n, v)| (n.clone(), numbers(v))).collect()
}

fn get<'r>(reports: &'r [(String, Vec<f64>)], name: &str) -> &'r [f64] {
    reports.iter().find(|(n, _)| n == name).map_or(&[], |(_, v)| v)
}

const CELLS: &str = "neuron Cell {
  param tau = 10 ms
  input I: real
  state v: real = 0
  v' = (I + normal(0, 1) - v) / tau
  spike when v > 1 { v = 0 }
  output v
}
architecture A { population n: Cell[7] }
";

#[test]
fn a_window_is_a_part_of_the_whole_record() {
    let text = format!(
        "{CELLS}experiment E {{
  seed 3
  let net = A()
  let all = simulate net for 100 ms step 1 ms {{ stimulate net.n.I = 2; record net.n.v }}
  let other = A()
  let some = simulate other for 100 ms step 1 ms {{ stimulate other.n.I = 2; record other.n.v every 3 ms from 20 ms to 50 ms }}
  report parts = flatten(window(all.n.v, from = 20 ms, to = 50 ms))
  report cut = flatten(some.n.v)
  report times = times(some.n.v)
}}
"
    );
    let found = reports(&text);
    let (parts, cut) = (get(&found, "parts"), get(&found, "cut"));
    assert_eq!(get(&found, "times").len(), 10);
    let expected: Vec<f64> = (0..10).flat_map(|k| parts[k * 21..k * 21 + 7].to_vec()).collect();
    // The networks have names of their own, so their draws differ: only the shape and the instants are the same.
    assert_eq!(cut.len(), expected.len());
    let times = get(&found, "times");
    assert!((times[0] - 0.02).abs() < 1e-12 && (times[9] - 0.047).abs() < 1e-12, "{times:?}");
}

#[test]
fn the_end_is_recorded_where_the_period_does_not_meet_it() {
    let text = "neuron N {\n  state k: real = 0\n  next k = k + 1\n  output k\n}\narchitecture A { population n: N[1] }\n\
        experiment E {\n  let net = A()\n  let run = simulate net for 10 steps { record net.n.k every 4 }\n  report k = flatten(run.n.k)\n}\n";
    assert_eq!(get(&reports(text), "k"), [0.0, 4.0, 8.0, 10.0]);
}

#[test]
fn summaries_are_the_reductions_of_the_record() {
    let text = format!(
        "{CELLS}experiment E {{
  seed 5
  let net = A()
  let run = simulate net for 200 ms step 0.5 ms {{
    stimulate net.n.I = 1.5
    record net.n.v, net.n.spikes
    record mean_t(net.n.v) as m, var_t(net.n.v) as v, std_t(net.n.v) as s, max_t(net.n.v) as top, min_t(net.n.v) as low
    record last(net.n.v) as end, sum_t(net.n.v) as total, count(net.n.spikes) as fired
    record mean_t(net.n.v) as late from 100 ms
    record count(net.n[1 .. 3].spikes) as few from 50 ms to 150 ms
  }}
  report m = max(abs(run.m - mean_t(run.n.v)))
  report v = max(abs(run.v - var_t(run.n.v)))
  report s = max(abs(run.s - std_t(run.n.v)))
  report top = max(abs(run.top - max_t(run.n.v)))
  report low = max(abs(run.low - min_t(run.n.v)))
  report end = max(abs(run.end - last(run.n.v)))
  report total = max(abs(run.total - sum_t(run.n.v)))
  report fired = max(abs(run.fired - count(run.n)))
  report late = max(abs(run.late - mean_t(window(run.n.v, from = 100 ms))))
  report few = max(abs(run.few - count(run.n, from = 50 ms, to = 150 ms)[1 .. 3]))
  report spikes = sum(run.fired)
}}
"
    );
    let found = reports(&text);
    for name in ["m", "v", "s", "top", "low", "end", "total", "fired", "late", "few"] {
        // 400 sums of numbers near 1, each rounded by half a last place.
        assert!(get(&found, name)[0] < 1e-10, "{name}: {:?}", get(&found, name));
    }
    assert!(get(&found, "spikes")[0] > 10.0);
}

#[test]
fn spikes_are_kept_within_their_window() {
    let text = format!(
        "{CELLS}experiment E {{
  seed 5
  let net = A()
  let all = simulate net for 200 ms step 0.5 ms {{ stimulate net.n.I = 1.5; record net.n.spikes }}
  reset net
  let some = simulate net for 200 ms step 0.5 ms {{ stimulate net.n.I = 1.5; record net.n.spikes from 50 ms to 150 ms }}
  report off = max(abs(count(some.n) - count(all.n, from = 50 ms, to = 150 ms)))
  report rate = max(abs(mean_rate(some.n) - mean_rate(all.n, from = 50 ms, to = 150 ms)))
  report spikes = sum(count(some.n))
}}
"
    );
    let found = reports(&text);
    assert_eq!(get(&found, "off"), [0.0]);
    assert!(get(&found, "rate")[0] < 1e-9);
    assert!(get(&found, "spikes")[0] > 5.0);
}

#[test]
fn counting_goes_on_over_pieces() {
    let text = format!(
        "{CELLS}experiment E {{
  seed 5
  let net = A()
  let a = simulate net for 60 ms step 0.5 ms {{ stimulate net.n.I = 1.5; record net.n.spikes; record count(net.n.spikes) as fired }}
  let b = simulate net for 60 ms step 0.5 ms {{ stimulate net.n.I = 1.5; record net.n.spikes; record count(net.n.spikes) as fired }}
  report off = max(abs(a.fired + b.fired - count(a.n, to = 1 s) - count(b.n, to = 1 s)))
  report spikes = sum(a.fired)
}}
"
    );
    let found = reports(&text);
    assert_eq!(get(&found, "off"), [0.0]);
    assert!(get(&found, "spikes")[0] > 5.0);
}

#[test]
fn an_array_over_time_is_presented_row_by_row() {
    let text = "neuron N {\n  input I: mV\n  output y = I\n}\narchitecture A { population n: N[2] }\nexperiment E {\n  let net = A()\n  \
        let run = simulate net for 9 ms step 1 ms {\n    stimulate net.n.I = [[1, 2], [3, 4], [5, 6]] * 1 mV over time step 2 ms from 1 ms\n    record net.n.y\n  }\n  \
        report y = run.n.y / 1 mV\n}\n";
    let y = get(&reports(text), "y").to_vec();
    let rows: Vec<f64> = y.chunks(2).map(|r| r[0]).collect();
    assert_eq!(rows[..9], [0.0, 1.0, 1.0, 3.0, 3.0, 5.0, 5.0, 0.0, 0.0]);
    assert_eq!(y[3], 2.0);
}

/// In- and out-degrees of a pattern between 400 senders and 300 targets (or 400 to themselves).
fn degrees(pattern: &str, own: bool) -> (Vec<f64>, Vec<f64>, Vec<(u32, u32)>) {
    let target = if own { "s" } else { "t" };
    let n = if own { 400 } else { 300 };
    let text = format!(
        "neuron S {{\n  input kick: event\n  state x: real = 0\n  on kick {{ x += 1 }}\n  spike when poisson(1 Hz)\n}}\n\
         architecture A {{\n  population s: S[400] at grid(20, 20, spacing = 1 mm)\n  population t: S[300]\n  \
         connect s -> {target} as c: {pattern}\n}}\nexperiment E {{\n  seed 7\n  let net = A()\n  simulate net for 1 ms step 1 ms\n  \
         report pre = net.c.pre\n  report post = net.c.post\n}}\n"
    );
    let found = reports(&text);
    let (mut into, mut out) = (vec![0.0; n], vec![0.0; 400]);
    let pairs: Vec<(u32, u32)> =
        get(&found, "pre").iter().zip(get(&found, "post")).map(|(a, b)| (*a as u32, *b as u32)).collect();
    for (a, b) in &pairs {
        out[*a as usize] += 1.0;
        into[*b as usize] += 1.0;
    }
    (into, out, pairs)
}

/// Mean and variance within five standard errors of what a distribution of n values has (fourth moment of a normal one).
fn near(what: &str, values: &[f64], mean: f64, variance: f64) {
    let n = values.len() as f64;
    let found = values.iter().sum::<f64>() / n;
    let spread = values.iter().map(|v| (v - found).powi(2)).sum::<f64>() / (n - 1.0);
    assert!((found - mean).abs() <= 5.0 * (variance / n).sqrt() + 1e-9, "{what}: mean {found}, not {mean}");
    let room = 5.0 * variance * (2.0 / (n - 1.0)).sqrt() + 1e-9;
    assert!((spread - variance).abs() <= room, "{what}: variance {spread}, not {variance}");
}

#[test]
fn patterns_have_the_degrees_of_their_distributions() {
    let (p, senders, targets) = (0.1, 400.0, 300.0);
    let (into, out, _) = degrees("random(p = 0.1)", false);
    near("random, in", &into, p * senders, senders * p * (1.0 - p));
    near("random, out", &out, p * targets, targets * p * (1.0 - p));

    let (into, out, _) = degrees("poisson(mean = 0.1)", false);
    near("poisson, in", &into, p * senders, p * senders);
    near("poisson, out", &out, p * targets, p * targets);

    let (into, out, _) = degrees("fan_in(k = 40)", false);
    near("fan_in, in", &into, 40.0, 0.0);
    // 300 * 40 balls into 400 boxes.
    near("fan_in, out", &out, 30.0, 12_000.0 * (1.0 / senders) * (1.0 - 1.0 / senders));

    let (into, out, pairs) = degrees("fan_out(k = 30, multapses = false)", false);
    near("fan_out, out", &out, 30.0, 0.0);
    near("fan_out, in", &into, 40.0, senders * 0.1 * 0.9);
    let mut once = pairs.clone();
    once.dedup();
    assert_eq!(once.len(), pairs.len(), "no pair twice");

    let (into, out, pairs) = degrees("total(n = 12_000)", false);
    assert_eq!(pairs.len(), 12_000);
    near("total, in", &into, 40.0, 12_000.0 * (1.0 / targets) * (1.0 - 1.0 / targets));
    near("total, out", &out, 30.0, 12_000.0 * (1.0 / senders) * (1.0 - 1.0 / senders));

    let (into, _, _) = degrees("probability(0.1)", false);
    near("probability, in", &into, p * senders, senders * p * (1.0 - p));
}

#[test]
fn symmetric_pairs_go_both_ways() {
    let (into, out, pairs) = degrees("random(p = 0.1, symmetric = true, autapses = false)", true);
    let set: std::collections::BTreeSet<_> = pairs.iter().copied().collect();
    assert!(pairs.iter().all(|(a, b)| set.contains(&(*b, *a)) && a != b));
    assert_eq!(into, out);
    near("symmetric", &into, 39.9, 399.0 * 0.1 * 0.9);
}

#[test]
fn cells_need_not_meet_themselves() {
    for pattern in ["all", "random", "poisson", "fan_in", "fan_out", "total", "probability"] {
        let first = match pattern {
            "random" | "probability" => "p = 0.5, ",
            "poisson" => "mean = 1, ",
            "fan_in" | "fan_out" => "k = 100, ",
            "total" => "n = 40_000, ",
            _ => "",
        };
        let (_, _, with) = degrees(&format!("{pattern}({first}autapses = true)"), true);
        let (_, _, without) = degrees(&format!("{pattern}({first}autapses = false)"), true);
        assert!(with.iter().any(|(a, b)| a == b), "{pattern}: autapses by default");
        assert!(without.iter().all(|(a, b)| a != b) && !without.is_empty(), "{pattern}: none where forbidden");
    }
}

#[test]
fn kernels_of_distance_go_around_a_torus() {
    let within = "distance(pre.position, post.position, period = 20 mm) < 1.5 mm and i != j";
    let (into, _, pairs) = degrees(&format!("where({within})"), true);
    // Eight neighbours each, at the edges too.
    assert!(into.iter().all(|n| *n == 8.0), "{into:?}");
    assert!(pairs.contains(&(0, 399)) && pairs.contains(&(0, 19)));
    let (into, _, _) = degrees("where(distance(pre.position, post.position) < 1.5 mm and i != j)", true);
    assert_eq!(into.iter().filter(|n| **n == 3.0).count(), 4, "four corners without the torus");
    let (into, _, _) =
        degrees("probability(exp(-distance(pre.position, post.position, period = 20 mm)^2 / (2 * (3 mm)^2)))", true);
    // The sum of the kernel over the torus, and of its Bernoulli variances.
    let (mut mean, mut variance) = (0.0, 0.0);
    for x in 0..20 {
        for y in 0..20 {
            let d = |k: i32| f64::from(if k > 10 { k - 20 } else { k });
            let q = (-(d(x).powi(2) + d(y).powi(2)) / 18.0).exp();
            mean += q;
            variance += q * (1.0 - q);
        }
    }
    near("gaussian kernel", &into, mean, variance);
}

#[test]
fn slices_are_named_by_places_in_their_populations() {
    let text = "synapse Kick {\n  weight w\n  on pre { post.x += w }\n}\nneuron S {\n  param p = 0\n  state x: real = 0\n  spike when poisson(1 Hz)\n}\n\
        architecture A {\n  population s: S(p = range(10))[10]\n  population t: S[10]\n  connect s[4 .. 8] -> t[2 .. 6] as c: where(i == j + 2) via Kick(w = 10 * i + j + 100 * pre.p)\n}\n\
        experiment E {\n  let net = A()\n  simulate net for 1 ms step 1 ms\n  report pre = net.c.pre\n  report post = net.c.post\n  report w = net.c.w\n}\n";
    let found = reports(text);
    assert_eq!(get(&found, "pre"), [4.0, 5.0, 6.0, 7.0]);
    assert_eq!(get(&found, "post"), [2.0, 3.0, 4.0, 5.0]);
    assert_eq!(get(&found, "w"), [442.0, 553.0, 664.0, 775.0]);
}

#[test]
fn weights_may_be_lets_of_parameters() {
    let text = "neuron Source {\n  output y = 1\n}\nneuron Cell {\n  input u: real\n  state v: real = 0\n  next v = u\n  output v\n}\n\
        architecture A(p: real = 3) {\n  let half = p / 2\n  let w = 4 * half\n  population s: Source[2]\n  population c: Cell[1]\n  \
        connect s -> c: all() via Direct(w = w)\n}\n\
        experiment E {\n  let net = A(p = 5)\n  let run = simulate net for 5 ms step 1 ms { record net.c.v }\n  report v = flatten(run.c.v)\n}\n";
    // Two senders whose output is one number for both count as two.
    assert_eq!(get(&reports(text), "v"), [0.0, 20.0, 20.0, 20.0, 20.0, 20.0]);
}
