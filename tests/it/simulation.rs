//! What a simulation is asked for: some cells and synapses, windows, crossings, recordings, tables of connections.

use std::path::Path;

use nnm_compiler::settings::Settings;
use nnm_compiler::value::Value;

use crate::support::{outcomes, reports};

fn close(found: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{found:?} instead of {wanted:?}");
    for (f, w) in found.iter().zip(wanted) {
        assert!((f - w).abs() <= tolerance, "{found:?} instead of {wanted:?}");
    }
}

#[test]
fn an_index_names_cells_and_synapses() {
    let found = reports(
        r#"
use std.neurons.LIF
use std.sources.Poisson
use std.synapses.ExpCurrent
neuron Sum { input I: pA; state q: pA = 0 pA; param k = 1; next q = q + k * I }
architecture N {
  population a: Sum[3]
  population b: Sum[2, 2]
  population p: Poisson(rate = 100 Hz)[4]
  population q: LIF[3]
  connect p -> q as full: all() via ExpCurrent(w = 0.2 nA)
  connect p -> q as some: where(i == j) via ExpCurrent(w = 0.2 nA)
}
experiment A {
  let net = N()
  set net.full[0, 1 .. 3].w = 5 pA
  set net.some[1 .. 4, 0 .. 3].w = [1 pA, 2 pA]
  set net.a[2].k = 10
  set net.b[1].q = [1, 2] * 1 pA
  let run = simulate net for 10 ms step 1 ms {
    stimulate net.a[0].I = 5 pA
    stimulate net.a[1 .. 3].I = [2, 1] * 1 pA from 5 ms
    stimulate net.b[0].I = [1, 2] * 1 pA from 3 ms to 5 ms
    record net.p.spikes, net.p[1 .. 3].spikes as some
  }
  report a = net.a.q / 1 pA
  report b = net.b.q / 1 pA
  report full = net.full.w / 1 pA
  report some = net.some.w / 1 pA
  report all = count(run.p)
  report two = count(run.some)
}
"#,
    );
    close(&found["a"], &[50.0, 10.0, 50.0], 1e-9);
    close(&found["b"], &[2.0, 4.0, 1.0, 2.0], 1e-9);
    let mut full = [200.0; 12];
    [full[4], full[8]] = [5.0; 2];
    close(&found["full"], &full, 1e-9);
    close(&found["some"], &[200.0, 1.0, 2.0], 1e-9);
    close(&found["two"], &found["all"][1..3], 0.0);
    assert!(found["all"].iter().sum::<f64>() > 0.0);
}

#[test]
fn a_window_is_as_long_as_it_says_and_time_in_an_equation_goes_on_within_a_step() {
    let found = reports(
        r#"
neuron Leak { input I: mV; state v: mV = 0 mV; v' = (I - v) / (10 ms) }
neuron Swing { state x = 0; x' = cos(2 * pi * 10 Hz * t) * 100 Hz }
architecture N { population a: Leak[1]; population b: Leak[2]; population s: Swing[1] }
experiment X {
  let net = N()
  let run = simulate net for 50 ms step 0.1 ms {
    stimulate net.a.I = 10 mV from 5 ms to 8 ms
    stimulate net.b.I = [10 mV, 5 mV] from 5 ms to 8 ms
    record net.a.v, net.b.v
  }
  report a = run.a.v[49 .. 53, 0] / 1 mV
  report b = run.b.v[49 .. 53, 1] / 1 mV
  report late = run.a.v[100, 0] / 1 mV
  report s = net.s.x
}
"#,
    );
    let rise = |steps: f64| 10.0 * (1.0 - (-steps * 0.01f64).exp());
    close(&found["a"], &[0.0, 0.0, rise(1.0), rise(2.0)], 1e-14);
    close(&found["b"], &[0.0, 0.0, rise(1.0) / 2.0, rise(2.0) / 2.0], 1e-14);
    close(&found["late"], &[rise(30.0) * (-0.2f64).exp()], 1e-13);
    let turn = 2.0 * std::f64::consts::PI * 10.0;
    close(&found["s"], &[100.0 * (turn * 0.05).sin() / turn], 1e-9);
}

#[test]
fn a_jump_crosses_a_level_once() {
    let found = reports(
        r#"
use std.sources.SpikeTimes
neuron Cell {
  input kick: event mV
  state v: mV = 0 mV
  state up = 0
  state down = 0
  v' = -v / (10 ms)
  on kick { v += kick }
  when v crosses 3 mV upward { up += 1 }
  when v crosses 3 mV downward { down += 1 }
  spike when v crosses 20 mV upward { v = 0 mV }
}
synapse Kick { weight w: mV; on pre { post.v += w } }
architecture N {
  population s: SpikeTimes(times = [10 ms, 30 ms, 31 ms])[1]
  population port: Cell[1]
  population jump: Cell[1]
  population none: Cell[1]
  connect s -> port.kick: all() via Direct(w = 4 mV)
  connect s -> jump: all() via Kick(w = 4 mV)
  connect s -> none.kick: all() via Direct(w = 2.5 mV)
}
experiment A {
  let net = N()
  simulate net for 30.5 ms step 0.1 ms
  simulate net for 30 ms step 0.1 ms
  report up = [net.port.up[0], net.jump.up[0], net.none.up[0]]
  report down = [net.port.down[0], net.jump.down[0], net.none.down[0]]
}
"#,
    );
    // The second and third jump come one after another, the cell still above the level or not.
    close(&found["up"], &[2.0, 2.0, 1.0], 0.0);
    close(&found["down"], &[2.0, 2.0, 1.0], 0.0);
}

/// A port is recorded with the spikes that arrive, wherever the simulation is cut: each arrives once.
#[test]
fn a_recorded_port_has_what_arrives() {
    let model = |pieces: &str| {
        reports(&format!(
            r#"
use std.sources.SpikeTimes
neuron C {{
  input I: real
  state v: real = 0
  let double = 2 * I + v
  next v = v + I
}}
architecture N {{
  population s: SpikeTimes(times = [2 ms, 6 ms, 7 ms, 10 ms])[1]
  population c: C[2]
  population d: C[1]
  connect s -> c as x: where(j == 1) via Direct(w = 10)
  connect s -> d as y: one_to_one() via Direct(w = 3, delay = 2 ms)
}}
experiment A {{
  let net = N()
  {pieces}
  report v = net.c.v
}}
"#
        ))
    };
    let keep = "{ stimulate net.c.I = 1 from 2 ms to 4 ms\n record net.c.I, net.c.double, net.c.v, net.d.I }";
    let found = model(&format!(
        "let run = simulate net for 10 ms step 1 ms {keep}
        report I = run.c.I[.., 1]\n report seen = run.c.v[.., 1]\n report double = run.c.double[.., 1]\n report late = run.d.I"
    ));
    close(&found["I"], &[0.0, 0.0, 11.0, 1.0, 0.0, 0.0, 10.0, 10.0, 0.0, 0.0, 10.0], 0.0);
    close(&found["seen"], &[0.0, 0.0, 0.0, 11.0, 12.0, 12.0, 12.0, 22.0, 32.0, 32.0, 32.0], 0.0);
    close(&found["double"], &[0.0, 0.0, 22.0, 13.0, 12.0, 12.0, 32.0, 42.0, 32.0, 32.0, 52.0], 0.0);
    close(&found["late"], &[0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 3.0, 3.0, 0.0], 0.0);
    let cut = model(&format!(
        "let a = simulate net for 6 ms step 1 ms {keep}\n let b = simulate net for 4 ms step 1 ms {keep}
        report end = a.c.I[6, 1]\n report I = b.c.I[.., 1]\n report late = b.d.I\n report all = [sum(a.d.I), a.d.I[6, 0]]"
    ));
    close(&cut["end"], &[10.0], 0.0);
    close(&cut["I"], &[10.0, 10.0, 0.0, 0.0, 10.0], 0.0);
    close(&cut["late"], &[0.0, 0.0, 3.0, 3.0, 0.0], 0.0);
    close(&cut["all"], &[3.0, 0.0], 0.0);
    close(&cut["v"], &found["v"], 0.0);
}

#[test]
fn a_recording_holds_its_last_step() {
    let found = reports(
        r#"
use std.sources.SpikeTimes
architecture N { population s: SpikeTimes(times = [0.1 ms, 5 ms, 9.9 ms, 10 ms, 10.1 ms, 1450 ms, 1500 ms])[1] }
experiment A {
  let net = N()
  let first = simulate net for 10 ms step 0.1 ms { record net.s.spikes; record count(net.s.spikes) as n; record net.s.spikes as late from 9.9 ms }
  let second = simulate net for 90 ms step 0.1 ms { record net.s.spikes }
  let third = simulate net for 3 s step 0.1 ms { record net.s.spikes }
  report n = [count(first.s)[0], first.n[0], count(second.s)[0], count(first.s, to = 9.9 ms)[0]]
  report part = [count(first.s, from = 0.1 ms, to = 5 ms)[0], count(first.late)[0], count(first.s, from = 5 ms)[0]]
  report rate = mean_rate(first.s) / 1 Hz
  report fano = fano(third.s, window = 100 ms)
  report bins = sum(psth(first.s, bin = 5 ms)) * 5 ms
}
"#,
    );
    close(&found["n"], &[4.0, 4.0, 1.0, 3.0], 0.0);
    close(&found["part"], &[1.0, 1.0, 2.0], 0.0);
    close(&found["rate"], &[400.0], 1e-9);
    // Both are in the window that ends with the second.
    close(&found["fano"], &[29.0 / 15.0], 1e-12);
    close(&found["bins"], &[4.0], 1e-12);
}

#[test]
fn a_table_gives_pairs_weights_and_delays() {
    let folder = std::env::temp_dir().join(format!("nnm-pairs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let table = "pre,post,weight,late\n5,6,2,1.5\n3,2,1.5,2\n0,1,0.5,0.1\n";
    std::fs::write(folder.join("pairs.csv"), table).expect("a file");
    let text = r#"
use std.sources.SpikeTimes
neuron Sum { input k: event real; state n = 0; state at: ms = 0 ms; on k { n += k; at = t } }
architecture N {
  population s: SpikeTimes(times = [5 ms])[7]
  population a: Sum[7]
  population b: Sum[3]
  connect s -> a.k as table: from("pairs.csv") via Direct(w = row.weight, delay = row.late * 1 ms)
  connect s[0 .. 4] -> b.k as full: all() via Direct(w = linspace(0, 11, 12).reshape(3, 4)[j, i], delay = linspace(1, 12, 12).reshape(3, 4) * 1 ms)
}
experiment A {
  let net = N()
  report w = net.table.w
  report delay = net.table.delay / 1 ms
  report ends = [net.table.pre, net.table.post]
  simulate net for 12 ms step 0.1 ms
  report n = net.a.n
  report at = net.a.at / 1 ms
  report full = net.b.n
  set net.table.w = [1, 2, 3]
  report set = net.table.w
}
"#;
    let all = outcomes(&folder.join("model.nnm"), text, &Settings::default());
    let found = |name: &str| -> Vec<f64> {
        let value = all.iter().flat_map(|o| &o.reports).find(|(n, _)| n == name).map(|(_, v)| v);
        match value {
            Some(Value::Num(num)) => num.as_const().expect("numbers").iter().copied().collect(),
            other => panic!("{name}: {other:?}"),
        }
    };
    close(&found("w"), &[0.5, 1.5, 2.0], 1e-12);
    close(&found("delay"), &[0.1, 2.0, 1.5], 1e-12);
    close(&found("ends"), &[0.0, 3.0, 5.0, 1.0, 2.0, 6.0], 0.0);
    close(&found("n"), &[0.0, 0.5, 1.5, 0.0, 0.0, 0.0, 2.0], 1e-12);
    close(&found("at"), &[0.0, 5.1, 7.0, 0.0, 0.0, 0.0, 6.5], 1e-9);
    // What takes 7 ms and more comes too late: of the first target all, of the second those of 5 and 6 ms, of the third none.
    close(&found("full"), &[6.0, 9.0, 0.0], 1e-12);
    close(&found("set"), &[1.0, 2.0, 3.0], 0.0);
    std::fs::remove_dir_all(Path::new(&folder)).expect("it is ours");
}

#[test]
fn implicit_steps_follow_an_upstroke() {
    let counts = |solve: &str| {
        let text = format!(
            "neuron A {{
  input I: pA
  state v: mV = -70 mV
  state w: pA = 0 pA
  v' = (-10 nS * (v + 70 mV) + 20 pA * exp((v + 50 mV) / 2 mV) - w + I) / (200 pF)
  w' = (2 nS * (v + 70 mV) - w) / (30 ms)
  spike when v > 0 mV {{ v = -58 mV; w += 50 pA; hold v for 2 ms }}
  {solve}
}}
architecture N {{ population a: A[5] }}
experiment X {{
  let net = N()
  let r = simulate net for 300 ms step 0.05 ms {{
    stimulate net.a.I = linspace(300 pA, 900 pA, 5)
    record net.a.spikes
    record max_t(abs(net.a.w)) as w
  }}
  report c = count(r.a)
  report w = max(r.w) / 1 pA
}}"
        );
        reports(&text)
    };
    let (explicit, implicit) = (counts("solve v, w by rk4"), counts("solve v, w by implicit"));
    close(&implicit["c"], &explicit["c"], 1.0);
    assert!(explicit["c"][0] >= 7.0 && implicit["w"][0] < 1.2 * explicit["w"][0], "{implicit:?} {explicit:?}");
}

#[test]
fn a_cell_knows_its_own_place() {
    let found = reports(
        r#"
neuron P { param bias = 0; state x: um = 0 um; state y: um = 0 um; next x = position[0]; next y = position[1] + bias * 1 um }
neuron R { state x = 0; next x = position[0] }
architecture N {
  population p: P(bias = position[0] / 1 um)[3, 2] at grid(3, 2, spacing = 10 um)
  population q: P[4] at grid(2, 2, spacing = 10 um)
  population r: R[4] at ring()
}
experiment A {
  let net = N()
  simulate net for 1 ms step 1 ms
  report x = [net.p.x / 1 um, net.p.y / 1 um]
  report q = net.q.x / 1 um
  report wanted = net.p.position / 1 um
  report places = net.q.position[.., 0] / 1 um
  report r = net.r.x
}
"#,
    );
    let places: Vec<&[f64]> = found["wanted"].chunks(2).collect();
    let (x, y): (Vec<f64>, Vec<f64>) = places.iter().map(|p| (p[0], p[0] + p[1])).unzip();
    close(&found["x"], &[x, y].concat(), 1e-9);
    close(&found["q"], &found["places"], 1e-9);
    close(&found["r"], &[1.0, 0.0, -1.0, 0.0], 1e-12);
}

/// States of synapses by sender and target: of those that cells share, what is at the pair; written where each has its own.
#[test]
fn states_of_synapses_are_picked_by_pair() {
    let found = reports(
        r#"
use std.sources.SpikeTimes
neuron Cell { input I: mV
  state v: mV = 0 mV
  v' = (I - v) / (10 ms) }
synapse Alike { weight w: mV
  state g: mV = 0 mV
  g' = -g / (5 ms)
  on pre { g += w }
  output I = g }
synapse Apart { weight w: mV
  param tau = 5 ms
  state g: mV = 0 mV
  state u: real = 0.5
  g' = -g / tau
  on pre { g += w * u
    u += 0.1 }
  output I = g }
architecture N {
  population s: SpikeTimes(times = [1 ms])[2]
  population c: Cell[3]
  connect s -> c as few: where(i == 1 or j == 2) via Alike(w = 2 mV)
  connect s -> c as own: where(i == 1 or j == 2) via Apart(w = 2 mV, tau = 5 ms * (1 + i + j))
  connect s -> c as full: all() via Apart(w = 2 mV, tau = 5 ms * (1 + i + j))
}
experiment E {
  let net = N()
  simulate net for 0.5 ms step 0.1 ms
  set net.few.g = [1, 2, 9] * 1 mV
  set net.own[1, 2].g = 9 mV
  set net.own.u = [0.1, 0.2]
  set net.full[1, 0 .. 2].g = [3, 7] * 1 mV
  report few = net.few[0, 2].g / 1 mV
  report both = net.few[1, 1 .. 3].g / 1 mV
  report own = net.own.g / 1 mV
  report of_sender = net.own[1, 1 .. 3].u
  report full = net.full.g / 1 mV
  report one = net.full[1, 1].g / 1 mV
  let run = simulate net for 0.2 ms step 0.1 ms { record net.few[0, 2].g as a, net.full[1, 0 .. 2].g as b, net.own[1, 2].g as c }
  report a = run.a / 1 mV
  report b = run.b / 1 mV
  report c = run.c / 1 mV
}
"#,
    );
    close(&found["few"], &[9.0], 0.0);
    close(&found["both"], &[2.0, 9.0], 0.0);
    close(&found["own"], &[0.0, 0.0, 0.0, 9.0], 0.0);
    close(&found["of_sender"], &[0.2, 0.2], 0.0);
    close(&found["full"], &[0.0, 3.0, 0.0, 7.0, 0.0, 0.0], 0.0);
    close(&found["one"], &[7.0], 0.0);
    let decayed = |x: f64, tau: f64| [0.0, 0.1, 0.2].map(|t: f64| x * (-t / tau).exp());
    close(&found["a"], &decayed(9.0, 5.0), 1e-12);
    let (first, second) = (decayed(3.0, 10.0), decayed(7.0, 15.0));
    close(&found["b"], &[first[0], second[0], first[1], second[1], first[2], second[2]], 1e-12);
    close(&found["c"], &decayed(9.0, 20.0), 1e-12);
}

/// Slices of populations with several axes are rows, whose cells are counted in the population.
#[test]
fn ends_may_be_rows_of_populations_with_several_axes() {
    let found = reports(
        r#"
use std.sources.SpikeTimes
neuron G { state v: real = 0
  next v = v
  output v }
neuron T { input I: real
  state v: real = 0
  next v = I }
synapse Gap { weight w: real = 1
  output I = w * (pre.v - 2 * post.v) }
architecture N {
  population g: G(v = 1 * index)[3, 4]
  population s: SpikeTimes(times = [1 ms])[3, 4]
  population m1: T[3, 4]
  population m2: T[3, 4]
  population m3: T[3, 4]
  population m4: T[12]
  population m5: T[3, 4]
  population m6: T[2, 4]
  connect g -> m1[1 .. 3] as a: all() via Direct(w = 1)
  connect g[1 .. 3] -> m2 as b: all() via Direct(w = 1 + i * 0.1 + j)
  connect g[1 .. 3] -> m3[0 .. 2] as c: one_to_one() via Direct(w = 1)
  connect g[1 .. 3] -> m4 as d: where(i == j) via Direct(w = 1)
  connect s[1 .. 3] -> m5[2 .. 3] as e: all() via Direct(w = 1)
  connect g[1 .. 3] -> m6 as f: one_to_one() via Gap(w = 1)
}
experiment E {
  let net = N()
  report ends = [min(net.a.post), max(net.a.post), min(net.b.pre), max(net.b.pre), length(net.b.pre)]
  report picked = [net.a[3, 5].w, net.b[5, 1].w]
  report pre = net.c.pre
  report post = net.c.post
  report same = net.d.pre
  simulate net for 2 ms step 1 ms
  report m1 = net.m1.v.reshape(12)
  report m2 = net.m2.v.reshape(12)
  report m3 = net.m3.v.reshape(12)
  report m4 = net.m4.v
  report m5 = net.m5.v.reshape(12)
  report m6 = net.m6.v.reshape(8)
}
"#,
    );
    let numbers = |from: usize, to: usize| (from..to).map(|k| k as f64).collect::<Vec<f64>>();
    let after = |zeros: usize, rest: Vec<f64>| [vec![0.0; zeros], rest].concat();
    close(&found["ends"], &[4.0, 11.0, 4.0, 11.0, 12.0], 0.0);
    close(&found["picked"], &[1.0, 2.5], 1e-12);
    close(&found["pre"], &numbers(4, 12), 0.0);
    close(&found["post"], &numbers(0, 8), 0.0);
    close(&found["same"], &numbers(4, 12), 0.0);
    close(&found["m1"], &after(4, vec![66.0; 8]), 0.0);
    let sums: Vec<f64> = (0..12).map(|j| (4..12).map(|i| (1.0 + 0.1 * i as f64 + j as f64) * i as f64).sum()).collect();
    close(&found["m2"], &sums, 1e-11);
    close(&found["m3"], &[numbers(4, 12), vec![0.0; 4]].concat(), 0.0);
    close(&found["m4"], &after(4, numbers(4, 12)), 0.0);
    close(&found["m5"], &after(8, vec![8.0; 4]), 0.0);
    close(&found["m6"], &numbers(4, 12).iter().map(|v| -v).collect::<Vec<f64>>(), 0.0);
}

/// The shape of what is recorded does not depend on what reaches the cells.
#[test]
fn what_is_the_same_for_all_cells_is_recorded_for_each() {
    let found = reports(
        r#"
neuron C {
  input I: real
  input J: real = 0.5
  state v: real = 0
  let twice = 2 * J
  output y = twice
  next v = v + I
}
architecture N { population c: C[3] }
experiment E {
  let net = N()
  let run = simulate net for 2 steps { record net.c.I, net.c.J, net.c.twice, net.c.y, net.c[0 .. 2].J as part, mean_t(net.c.J) as mean }
  report I = run.c.I
  report J = run.c.J[.., 2]
  report twice = run.c.twice[2, ..]
  report y = run.c.y[0, ..]
  report part = run.part
  report mean = run.mean
}
"#,
    );
    close(&found["I"], &[0.0; 9], 0.0);
    close(&found["J"], &[0.5; 3], 0.0);
    close(&found["twice"], &[1.0; 3], 0.0);
    close(&found["y"], &[1.0; 3], 0.0);
    close(&found["part"], &[0.5; 6], 0.0);
    close(&found["mean"], &[0.5; 3], 0.0);
}
