//! Synapses, plasticity and solvers of simulations against closed forms and independent integration.

use std::path::PathBuf;

use nnm_compiler::failure::Failure;
use nnm_compiler::settings::Settings;

use crate::support::reports;

fn one(text: &str, name: &str) -> f64 {
    reports(text)[name][0]
}

fn near(found: f64, wanted: f64, tolerance: f64) {
    assert!((found - wanted).abs() <= tolerance * wanted.abs().max(1e-300), "{found:e} instead of {wanted:e}");
}

/// Fires once in 200 steps, stamped 198, 398, …
const CLOCK: &str = "neuron Clock {
  state c: real = 0
  next c = if c == 199 then 0 else c + 1
  spike when c == 198
}
neuron Cell {
  input I: nA
  state v: mV = -60 mV
  v' = 0 * v / 1 ms
}
";

#[test]
fn short_term_plasticity_reaches_its_steady_amplitudes() {
    for (u0, rec, facil) in [(0.5, 100.0, 0.001), (0.1, 50.0, 500.0)] {
        let text = format!(
            "use std.synapses.TsodyksMarkram\n{CLOCK}architecture A {{\n  population s: Clock[3]\n  population t: Cell[2]\n  \
             connect s -> t as syn: all() via TsodyksMarkram(w ~ uniform(1 nA, 1 nA), U = {u0}, tau_rec = {rec} ms, \
             tau_facil = {facil} ms, tau = 3 ms)\n}}\nexperiment E {{\n  let net = A()\n  \
             let run = simulate net for 6000 ms step 0.1 ms {{ record net.t.I }}\n  report I = last(run.t.I)\n}}\n"
        );
        let (gap, ef, er): (f64, f64, f64) = (20.0, (-20.0_f64 / facil).exp(), (-20.0_f64 / rec).exp());
        let u = u0 / (1.0 - (1.0 - u0) * ef);
        let x = (1.0 - er) / (1.0 - (1.0 - u) * er);
        // The last arrival is two steps before the end; what earlier ones left decays over each interval.
        let current = u * x * (-0.2f64 / 3.0).exp() / (1.0 - (-gap / 3.0).exp());
        near(one(&text, "I"), 3.0 * current * 1e-9, 1e-12);
    }
}

#[test]
fn a_state_per_connection_gives_what_a_state_per_target_gives() {
    let with = |tau: &str| {
        format!(
            "use std.synapses.ExpConductance\n{CLOCK}architecture A {{\n  population s: Clock[3]\n  population t: Cell[2]\n  \
             connect s -> t as syn: all() via ExpConductance(w ~ uniform(1 nS, 2 nS), tau = {tau})\n}}\n\
             experiment E {{\n  seed 2\n  let net = A()\n  let run = simulate net for 100 ms step 0.1 ms {{ record net.t.I }}\n  \
             report I = last(run.t.I)\n}}\n"
        )
    };
    let (lumped, apart) = (one(&with("5 ms"), "I"), one(&with("5 ms + 0 ms * i"), "I"));
    assert!(lumped > 0.0);
    near(apart, lumped, 1e-12);
    let differs = one(&with("5 ms + 1 ms * i"), "I");
    assert!((differs - lumped).abs() > 1e-3 * lumped, "the control has other time constants");
}

#[test]
fn alpha_and_double_exponential_have_their_forms() {
    let run = |synapse: &str| {
        let text = format!(
            "use std.synapses.{{AlphaCurrent, BiexpCurrent}}\n{CLOCK}architecture A {{\n  population s: Clock[1]\n  \
             population t: Cell[1]\n  connect s -> t as syn: all() via {synapse}\n}}\nexperiment E {{\n  let net = A()\n  \
             let run = simulate net for 30 ms step 0.1 ms {{ record net.t.I }}\n  report peak = max(run.t.I)\n  \
             report late = last(run.t.I)\n}}\n"
        );
        reports(&text)
    };
    // Arrived at 19.8 ms, seen 10.2 ms later.
    let late = 10.2f64;
    let alpha = run("AlphaCurrent(w = 1 nA, tau = 2 ms)");
    near(alpha["peak"][0], 1e-9, 1e-12);
    near(alpha["late"][0], 1e-9 * (late / 2.0) * (1.0 - late / 2.0).exp(), 1e-12);
    let two = run("BiexpCurrent(w = 1 nA, tau_rise = 1 ms, tau_decay = 5 ms)");
    near(two["late"][0], 1e-9 * ((-late / 5.0).exp() - (-late).exp()) * 5.0 / 4.0, 1e-12);
    let equal = run("BiexpCurrent(w = 1 nA, tau_rise = 5 ms, tau_decay = 5 ms)");
    near(equal["late"][0], 1e-9 * late / 5.0 * (-late / 5.0).exp(), 1e-12);
}

#[test]
fn nmda_saturates_as_an_independent_integration_says() {
    let text = format!(
        "use std.synapses.NMDA\n{CLOCK}architecture A {{\n  population s: Clock[4]\n  population t: Cell[2]\n  \
         connect s -> t as syn: all() via NMDA(w = 1 nS)\n}}\nexperiment E {{\n  let net = A()\n  \
         let run = simulate net for 500 ms step 0.1 ms {{ record net.t.I }}\n  report I = last(run.t.I)\n}}\n"
    );
    let (mut x, mut s, h) = (0.0f64, 0.0f64, 1e-3f64);
    for k in 0..500_000u32 {
        let at = f64::from(k) * h;
        if (0..25).any(|n| (at - (19.8 + 20.0 * f64::from(n))).abs() < 0.5 * h) {
            x += 1.0;
        }
        let middle = x * (-0.25 * h).exp();
        s += h * (-s / 100.0 + 0.5 * middle * (1.0 - s));
        x *= (-0.5 * h).exp();
    }
    let v = -60.0f64;
    let wanted = 4.0 * 1e-9 * s / (1.0 + (-v / 16.13).exp() / 3.57) * 0.060;
    // What drives the gate is taken at the start of a step: at most dt / (2 tau_rise) too much of each pulse.
    near(one(&text, "I"), wanted, 1e-2);
}

#[test]
fn gap_junctions_and_rate_synapses_carry_values() {
    let text = "use std.synapses.{GapJunction, Excitatory, Inhibitory, Filtered}
neuron Passive {
  param C = 100 pF
  input I: pA
  state v: mV = -60 mV
  v' = (I - 5 nS * (v + 60 mV)) / C
}
neuron Level {
  param r = 0.5
  output r
}
neuron Clockwork {
  state k: real = 0
  next k = k + 1
  output k
}
neuron Sum { input u: real
  output y = u }
neuron Rate { input u: real
  state r: real = 0
  r' = (u - r) / 1 ms
  output r }
architecture A {
  population g: Passive(v = [-60 mV, -40 mV])[2]
  population a: Level(r = [0.1, 0.2, 0.4])[3]
  population k: Clockwork[2]
  population e: Sum[2]
  population f: Sum[2]
  population h: Sum[2]
  population l: Sum[2]
  population m: Rate[2]
  connect g -> g as gap: all(autapses = false) via GapJunction(w = 1 nS)
  connect a -> e as ex: all() via Excitatory(w = if i == 0 then -5 else 2)
  connect a -> f as inh: all(autapses = true) via Inhibitory(w = 2 + 0 * i)
  connect a -> h as fi: all() via Filtered(w = 3, tau = 5 ms)
  connect k -> l as late: all() via Direct(w = 1, delay = if i == 0 then 3 steps else 5 steps)
  connect m -> m as self: one_to_one() via Excitatory(w = 0.5, delay = 2 ms)
}
experiment E {
  let net = A()
  let run = simulate net for 40 ms step 0.01 ms { record net.h.u, net.e.u, net.f.u, net.l.u, net.g.v }
  report difference = net.g.v[1] - net.g.v[0]
  report e = last(run.e.u)
  report f = last(run.f.u)
  report h = last(run.h.u)
  report l = last(run.l.u)
  report early = run.l.u[4]
}
";
    let found = reports(text);
    // Held over a step, the exchange is of first order: 7 per ms times 0.01 ms.
    near(found["difference"][0], 0.020 * (-40.0 * (5.0 + 2.0) / 100.0f64).exp(), 2e-3);
    near(found["e"][0], 2.0 * 0.6, 1e-12);
    near(found["f"][0], -2.0 * 0.7, 1e-12);
    near(found["h"][0], 3.0 * 0.7 * (1.0 - (-8.0f64).exp()), 1e-10);
    assert_eq!(found["l"][0], (4000.0 - 3.0) + (4000.0 - 5.0));
    assert_eq!(found["early"][0], 1.0 + 0.0, "before the start there is the initial value");
}

/// The change of a weight by one pair of spikes, the target's `lag` steps after the sender's.
fn pair(lag: i64, delay: &str, rule: &str) -> f64 {
    let text = format!(
        "{rule}
neuron At {{
  param k = 0
  state n: real = 0
  next n = n + 1
  spike when n == k
}}
neuron Listening {{
  param k = 0
  input u: real
  state n: real = 0
  next n = n + 1
  spike when n == k
}}
architecture A {{
  population s: At(k = 500)[1]
  population t: Listening(k = {})[1]
  connect s -> t as syn: all() via Direct(w = 0.5{delay})
}}
experiment E {{
  let net = A()
  simulate net for 100 ms step 0.1 ms {{ learn net.syn by Rule() }}
  report change = net.syn.w - 0.5
}}
",
        500 + lag
    );
    one(&text, "change")
}

const PAIRS: &str = "local rule Rule {
  pre  trace x = 0 { x' = -x / 17 ms; on spike { x += 1 } }
  post trace y = 0 { y' = -y / 34 ms; on spike { y += 1 } }
  on pre  { w -= 0.012 * y }
  on post { w += 0.01 * x }
}";

#[test]
fn spike_timing_windows_are_exact_and_shift_with_delays() {
    let window = |lag: f64| match lag {
        0.0 => 0.0,
        lag if lag > 0.0 => 0.01 * (-lag / 17.0).exp(),
        lag => -0.012 * (lag / 34.0).exp(),
    };
    for lag in [-200i64, -35, -1, 0, 1, 20, 150] {
        for (delay, shift) in [
            ("", 0),
            (", delay = 1.5 ms", -15),
            (", delay = 2 ms dendritic", 20),
            (", delay = 1 ms axonal + 2 ms dendritic", 10),
        ] {
            let found = pair(lag, delay, PAIRS);
            let wanted = window((lag + shift) as f64 * 0.1);
            assert!((found - wanted).abs() < 1e-12, "lag {lag}{delay}: {found:e} instead of {wanted:e}");
        }
    }
}

#[test]
fn blocks_of_one_time_read_the_weight_as_it_was() {
    let rule = "local rule Rule {\n  on pre { w -= 0.1 * w }\n  on post { w += 0.2 * w }\n}";
    near(pair(0, "", rule), 0.5 * (0.2 - 0.1), 1e-14);
    near(pair(10, "", rule), 0.5 * (0.9 * 1.2 - 1.0), 1e-13);
    near(pair(-10, "", rule), 0.5 * (0.9 * 1.2 - 1.0), 1e-13);
}

#[test]
fn pre_traces_know_the_delay_of_each_synapse() {
    let text = format!(
        "{PAIRS}
neuron At {{
  param k = 0
  input u: real
  state n: real = 0
  next n = n + 1
  spike when n == k
}}
architecture A {{
  population s: At(k = 500)[3]
  population t: At(k = 600)[1]
  connect s -> t as syn: all() via Direct(w = 0.5, delay = 1 ms + 2 ms * i)
}}
experiment E {{
  let net = A()
  simulate net for 100 ms step 0.1 ms {{ learn net.syn by Rule() }}
  report w = net.syn.w
}}
"
    );
    let w = reports(&text)["w"].clone();
    for (i, w) in w.iter().enumerate() {
        let lag = 10.0 - (1.0 + 2.0 * i as f64);
        assert!((w - 0.5 - 0.01 * (-lag / 17.0f64).exp()).abs() < 1e-12, "synapse {i}: {w}");
    }
}

#[test]
fn rate_rules_and_periods_change_weights_in_simulations() {
    let text = "neuron Level { param r = 0.5
  input u: real
  output r }
local rule Correlate { param tau = 20 ms
  w' = (pre.y * post.y - w) / tau }
local rule Scale { param total = 3
  every 10 ms { w *= total / sum(w over post) } }
local rule Count { running n = 0
  next n = n + 1
  every 5 ms: w += 0.25 }
neuron Beat { state k: real = 0
  every 3 ms { k += 1 } }
architecture A {
  population a: Level(r = [0.2, 0.6])[2]
  population b: Level(r = [0.5, 1.0, 2.0])[3]
  population beat: Beat[2]
  connect a -> b as full: all() via Direct(w = 0.1)
  connect a -> b as some: where(i != j) via Direct(w = 0.2 + 0.1 * i)
  connect a -> b as counted: one_to_one_pairs() via Direct(w = 1)
}
experiment E {
  let net = A()
  simulate net for 40 ms step 0.1 ms {
    learn net.full by Correlate()
    learn net.some by Scale()
    learn net.counted by Count()
  }
  report full = net.full.w
  report some = net.some.w
  report counted = net.counted.w
  report beats = net.beat.k
}
"
    .replace("one_to_one_pairs()", "where(i == j)");
    let found = reports(&text);
    let left = (-2.0f64).exp();
    for (t, b) in [0.5, 1.0, 2.0].into_iter().enumerate() {
        for (s, a) in [0.2, 0.6].into_iter().enumerate() {
            near(found["full"][2 * t + s], a * b * (1.0 - left) + 0.1 * left, 1e-10);
        }
    }
    // Edges by sender: 0 -> 1, 0 -> 2, 1 -> 0, 1 -> 2; target 2 has two.
    for (k, wanted) in [3.0, 3.0 * 0.2 / 0.5, 3.0, 3.0 * 0.3 / 0.5].into_iter().enumerate() {
        near(found["some"][k], wanted, 1e-12);
    }
    near(found["counted"][0], 1.0 + 8.0 * 0.25, 1e-14);
    assert_eq!(found["beats"][0], 13.0);
}

#[test]
fn synapses_are_pruned_and_grow_again_each_by_its_own_chance() {
    let text = format!(
        "use std.rules.StructuralPlasticity\n{CLOCK}architecture A {{
  population s: Clock[40]
  population t: Cell[50]
  connect s -> t as syn: all() via Direct(w ~ uniform(0 nA, 1 nA))
}}
experiment E {{
  seed 8
  let net = A()
  let before = net.syn.w
  simulate net for 10 ms step 0.1 ms {{
    learn net.syn by StructuralPlasticity(least = 0.5 nA, w_new = 2 nA, growth = 30 %, period = 10 ms)
  }}
  report weak = fraction(before < 0.5 nA)
  report pruned = fraction(net.syn.w == 0)
  report grown = fraction(net.syn.w == 2 nA)
}}
"
    );
    let found = reports(&text);
    let (weak, pruned, grown) = (found["weak"][0], found["pruned"][0], found["grown"][0]);
    assert!((pruned + grown - weak).abs() < 1e-12);
    // Four standard errors over about 1000 chances.
    assert!((grown / weak - 0.3).abs() < 4.0 * (0.21f64 / 1000.0).sqrt(), "{grown} of {weak}");
}

#[test]
fn normalize_holds_the_sum_of_a_targets_weights() {
    let text = format!(
        "use std.sources.Poisson\n{}
neuron Cell {{
  input u: real
  state v: real = 0
  v' = -v / 20 ms + u / 1 ms
  spike when v > 0.3 {{ v = 0 }}
}}
architecture A {{
  population s: Poisson(rate = 80 Hz)[10]
  population t: Cell[2]
  connect s -> t as syn: all() via Direct(w ~ uniform(0.5, 1))
}}
experiment E {{
  seed 4
  let net = A()
  let before = net.syn.w
  simulate net for 1 s step 0.5 ms {{ learn net.syn by Rule() }}
  report sums = sum(net.syn.w, axis = 1) - sum(before, axis = 1)
  report moved = max(abs(net.syn.w - before))
}}
",
        PAIRS.replace("  on pre ", "  normalize\n  on pre ")
    );
    let found = reports(&text);
    assert!(found["moved"][0] > 1e-2, "{found:?}");
    assert!(found["sums"].iter().all(|s| s.abs() < 1e-12), "{found:?}");
}

#[test]
fn rules_of_voltage_and_rate_run() {
    let text = "use std.rules.{Clopath, SynapticScaling, InhibitorySTDP, TripletSTDP, NearestSTDP, PostSTDP}
use std.sources.Poisson
use std.synapses.{ExpCurrent, Jump}
use std.neurons.LIF
architecture A {
  population s: Poisson(rate = 40 Hz)[20]
  population t: LIF[2]
  connect s -> t as a: all() via ExpCurrent(w = 0.3 nA)
  connect s -> t as b: all() via ExpCurrent(w = 0.3 nA)
  connect s -> t as c: all() via ExpCurrent(w = 0.3 nA)
}
experiment E {
  seed 5
  let net = A()
  simulate net for 2 s step 0.1 ms {
    learn net.a by Clopath(w_max = 1 nA)
    learn net.b by SynapticScaling(rate = 20 Hz, tau = 1 s, w_max = 2 nA)
    learn net.c by TripletSTDP(w_max = 1 nA)
  }
  report a = net.a.w
  report b = net.b.w
  report c = net.c.w
}
";
    let found = reports(text);
    for name in ["a", "b", "c"] {
        let moved = found[name].iter().map(|w| (w - 0.3e-9).abs()).fold(0.0, f64::max);
        assert!(moved > 1e-13 && found[name].iter().all(|w| w.is_finite()), "{name}: {:?}", found[name]);
    }
    // All synapses of a cell scale alike.
    assert!((found["b"][0] / found["b"][1] - 1.0).abs() < 1e-12);
}

/// The error of a method on x' = f at 8 ms, for a step.
fn error_of(equation: &str, method: &str, step: &str, exact: f64) -> f64 {
    let text = format!(
        "neuron N {{\n  state x: real = 0.2\n  x' = {equation}\n  solve x by {method}\n  output x\n}}\n\
         architecture A {{ population n: N[1] }}\nexperiment E {{\n  let net = A()\n  simulate net for 8 ms step {step}\n  \
         report x = net.n.x\n}}\n"
    );
    (one(&text, "x") - exact).abs()
}

#[test]
fn solvers_have_their_orders_where_equations_are_not_linear_and_where_time_stands_in_them() {
    let logistic = "x * (1 - x) / 2 ms";
    let growth = 0.2 / (0.2 + 0.8 * (-4.0f64).exp());
    // x' = cos(t / 2 ms) / 2 ms - x / 4 ms with x(0) = 0.2, in units of 4 ms: x' = 2 cos(2 t) - x.
    let driven = "cos(t / 2 ms) / 2 ms - x / 4 ms";
    let forced = |t: f64| 0.4 * (2.0 * t).cos() + 0.8 * (2.0 * t).sin();
    let moved = forced(2.0) + (0.2 - 0.4) * (-2.0f64).exp();
    for (method, order) in [("euler", 1.0), ("heun", 2.0), ("rk4", 4.0), ("implicit", 2.0)] {
        for (equation, exact) in [(logistic, growth), (driven, moved)] {
            let found =
                (error_of(equation, method, "0.2 ms", exact) / error_of(equation, method, "0.1 ms", exact)).log2();
            assert!((found - order).abs() < 0.25, "{method}, {equation}: order {found} instead of {order}");
        }
    }
}

#[test]
fn step_control_keeps_to_its_tolerance_at_any_step() {
    let growth = 0.2 / (0.2 + 0.8 * (-4.0f64).exp());
    for step in ["0.1 ms", "8 ms"] {
        for tolerance in [1e-4, 1e-7, 1e-10] {
            let method = format!("rk45(tol = {tolerance})");
            let error = error_of("x * (1 - x) / 2 ms", &method, step, growth);
            assert!(error < 20.0 * tolerance, "step {step}, tolerance {tolerance}: {error:e}");
        }
    }
    let coarse = error_of("x * (1 - x) / 2 ms", "rk45(tol = 1e-3)", "8 ms", growth);
    assert!(coarse > 1e-7, "the control is coarse: {coarse:e}");
}

#[test]
fn implicit_steps_stay_stable_where_explicit_ones_do_not() {
    let stiff = "(cos(t / 8 ms) - x) / 0.001 ms";
    let exact = 1f64.cos() + 1e-3 / 8.0 * 1f64.sin();
    assert!(error_of(stiff, "implicit", "0.1 ms", exact) < 1e-4);
}

/// A cable of one space constant with sealed ends, in pieces, with 1 at its start (in units of current times the
/// resistance of a space constant).
fn cable(pieces: usize, step: &str, time: &str, solver: &str) -> Vec<f64> {
    // A membrane of 1 ms; a piece has the conductance 1 / pieces, its neighbours are joined by `pieces`.
    let text = format!(
        "use std.synapses.Axial
neuron Piece {{
  param leak = 1 nS
  param C = 1 pF
  input I: pA
  state v: mV = 0 mV
  v' = (I - leak * v) / C
  {solver}
}}
architecture A {{
  population cable: Piece(leak = {g} nS, C = {g} pF)[{pieces}]
  connect cable -> cable as axial: tree(linspace(-1, {last}, {pieces})) via Axial(w = {pieces} nS)
}}
experiment E {{
  let net = A()
  simulate net for {time} step {step} {{ stimulate net.cable.I = if index == 0 then 1 pA else 0 pA }}
  report v = net.cable.v
}}
",
        g = 1.0 / pieces as f64,
        last = pieces as f64 - 2.0
    );
    reports(&text)["v"].iter().map(|v| v * 1e3).collect()
}

#[test]
fn compartments_follow_the_cable_equation() {
    let pieces = 200;
    let v = cable(pieces, "0.5 ms", "40 ms", "solve v by implicit");
    for (k, v) in v.iter().enumerate() {
        // Steady state (Rall 1959): cosh(1 - x) / sinh(1), x at the middle of the piece.
        let x = (k as f64 + 0.5) / pieces as f64;
        let wanted = (1.0 - x).cosh() / 1f64.sinh();
        assert!((v - wanted).abs() < 2e-5, "piece {k}: {v} instead of {wanted}");
    }
}

#[test]
fn compartments_have_order_two_in_time_and_charge_as_the_series_says() {
    // The mean of all pieces charges like one piece, whatever flows between them: 1 - exp(-t).
    let error = |step: &str| {
        let v = cable(20, step, "1.6 ms", "solve v by implicit");
        let mean = v.iter().sum::<f64>() / 20.0;
        let wanted = 1.0 - (-1.6f64).exp();
        (mean - wanted).abs()
    };
    let order = (error("0.2 ms") / error("0.1 ms")).log2();
    assert!((order - 2.0).abs() < 0.2, "order {order}");
    // The start of the cable: 1 - exp(-t) + 2 Σ (1 - exp(-(1 + (n pi)^2) t)) / (1 + (n pi)^2), at the middle of its piece.
    let v = cable(100, "0.002 ms", "0.4 ms", "solve v by implicit");
    let x = 0.005;
    let mut wanted = 1.0 - (-0.4f64).exp();
    for n in 1..2000 {
        let rate = 1.0 + (std::f64::consts::PI * f64::from(n)).powi(2);
        wanted += 2.0 * (1.0 - (-rate * 0.4).exp()) / rate * (std::f64::consts::PI * f64::from(n) * x).cos();
    }
    assert!((v[0] - wanted).abs() < 2e-4, "{} instead of {wanted}", v[0]);
}

#[test]
fn a_branched_tree_is_solved_as_its_matrix() {
    // Two cells of four compartments; at rest of the current, G v = I.
    let text = "use std.synapses.Axial
neuron Piece {
  param leak = 1 nS
  input I: pA
  state v: mV = 0 mV
  v' = (I - leak * v) / 1 pF
  solve v by implicit
}
architecture A {
  population cell: Piece(leak = [1 nS, 2 nS, 3 nS, 4 nS, 1 nS, 2 nS, 3 nS, 4 nS])[8]
  connect cell -> cell as axial: tree([-1, 0, 0, 2]) via Axial(w = (1 + i + j) * 1 nS)
}
experiment E {
  let net = A()
  simulate net for 100 ms step 1 ms { stimulate net.cell.I = if index == 3 or index == 4 then 1 pA else 0 pA }
  report v = net.cell.v
}
";
    let v: Vec<f64> = reports(text)["v"].iter().map(|v| v * 1e3).collect();
    for (first, fed) in [(0usize, 3usize), (4, 4)] {
        let joined = [(0usize, 1usize), (0, 2), (2, 3)];
        for k in 0..4 {
            let mut current = if first + k == fed { 1.0 } else { 0.0 } - (k as f64 + 1.0) * v[first + k];
            for (a, b) in joined {
                let g = 1.0 + (2 * first + a + b) as f64;
                if k == a {
                    current += g * (v[first + b] - v[first + a]);
                }
                if k == b {
                    current += g * (v[first + a] - v[first + b]);
                }
            }
            assert!(current.abs() < 1e-9, "compartment {}: {current} is left", first + k);
        }
    }
}

#[test]
fn an_upstroke_ends_at_the_threshold_that_resets_it() {
    // At 20 mV the exponential of the upstroke leaves all numbers' range inside one step of 0.1 ms.
    for (v_th, dt) in [(0.0, 0.1), (20.0, 0.1), (40.0, 0.1), (20.0, 0.01)] {
        let text = format!(
            "use std.neurons.AdEx\narchitecture A {{ population n: AdEx(v_th = {v_th} mV)[1] }}\nexperiment E {{\n  \
             let net = A()\n  let run = simulate net for 600 ms step {dt} ms {{\n    stimulate net.n.I = 500 pA\n    \
             record net.n.spikes\n  }}\n  report n = count(run.n)\n}}\n"
        );
        let n = one(&text, "n");
        assert!((60.0..=62.0).contains(&n), "{n} spikes with a threshold of {v_th} mV at {dt} ms");
    }
}

#[test]
fn spikes_inside_the_step_converge_with_the_solver() {
    // Synapses in front of a cell are solved with it: a linear system of two and of three equations, exactly.
    let at = |dt: f64, synapse: &str| {
        let text = format!(
            "use std.neurons.LIF\nuse std.sources.SpikeTimes\nuse std.synapses.*\narchitecture A {{\n  \
             population s: SpikeTimes(times = [2 ms, 6 ms, 10 ms])[1]\n  population n: LIF[1]\n  \
             connect s -> n: all() via {synapse}\n}}\nexperiment E {{\n  let net = A()\n  \
             let run = simulate net for 60 ms step {dt} ms {{\n    stimulate net.n.I = 0.15 nA\n    \
             interpolate net.n.spikes\n    record net.n.spikes\n  }}\n  report t = spike_times(run.n)[0] / 1 ms\n}}\n"
        );
        one(&text, "t")
    };
    for synapse in ["ExpCurrent(w = 400 pA)", "AlphaCurrent(w = 400 pA)"] {
        near(at(0.4, synapse), at(0.05, synapse), 1e-12);
    }
}

/// Two columns and a smoothing part, once as parts, once written out.
fn columns(parts: bool) -> String {
    let cells = "  population E: LIF(v ~ uniform(-70 mV, -55 mV))[6]
  population out: Leaky(tau = 5 ms)[6]
  connect E -> E: all(autapses = false) via ExpCurrent(w = 60 pA, delay = 2 ms)
  connect E -> out: one_to_one() via Direct(w = 1)";
    let smooth = "  population h: Leaky(tau = 5 ms)[6]";
    let written = |k: usize| {
        let name = |text: &str| text.replace("out", &format!("out{k}")).replace("E ", &format!("E{k} "));
        name(cells).replace("E:", &format!("E{k}:")).replace("E ->", &format!("E{k} ->"))
    };
    let uses = "use std.neurons.{LIF, Leaky}\nuse std.synapses.ExpCurrent\nuse std.rules.STDP\n";
    let body = if parts {
        format!(
            "architecture Column {{\n{}\n}}\narchitecture Smooth {{\n  input x: real[6]\n{smooth}\n  \
             connect x -> h: one_to_one() via Direct(w = 2)\n}}\narchitecture Net {{\n  part c: Column()[2]\n  \
             part smooth: Smooth()\n  population y: Leaky(tau = 3 ms)[6]\n  \
             connect smooth(c[1].out) -> y: one_to_one() via Direct(w = 1)\n}}\n",
            cells.replace(" ~ uniform(-70 mV, -55 mV)", " = linspace(-70 mV, -55 mV, 6)")
        )
    } else {
        let both = format!("{}\n{}", written(0), written(1))
            .replace(" ~ uniform(-70 mV, -55 mV)", " = linspace(-70 mV, -55 mV, 6)");
        format!(
            "architecture Net {{\n{both}\n{smooth}\n  connect out1 -> h: one_to_one() via Direct(w = 2)\n  \
             population y: Leaky(tau = 3 ms)[6]\n  connect h -> y: one_to_one() via Direct(w = 1)\n}}\n"
        )
    };
    let e = |k: usize| if parts { format!("c[{k}].E") } else { format!("E{k}") };
    let syn = |k: usize| if parts { format!("c[{k}].E_E") } else { format!("E{k}_E{k}") };
    let piece = |t: &str| {
        format!(
            "simulate net for {t} step 0.1 ms {{\n    stimulate net.{}.I = 0.3 nA\n    stimulate net.{}.I = 0.4 nA\n    \
             interpolate net.{}.spikes\n    record net.{}.spikes, net.{}.spikes\n    record count(net.{}.spikes) as fired\n    learn net.{} by STDP(w_max = 200 pA)\n  }}\n",
            e(0),
            e(1),
            e(0),
            e(0),
            e(1),
            e(1),
            syn(1)
        )
    };
    format!(
        "{uses}{body}experiment E {{\n  let net = Net()\n  {}  let run = {}  report t = spike_times(run.{}) / 1 ms\n  \
         report n = count(run.{})\n  report fired = run.fired\n  report w = sum(net.{}.w) / 1 pA\n  report y = net.y.y\n}}\n",
        piece("31 ms"),
        piece("69 ms"),
        e(0),
        e(1),
        syn(1)
    )
}

#[test]
fn parts_run_as_what_they_are_written_out() {
    let (parts, plain) = (reports(&columns(true)), reports(&columns(false)));
    assert!(parts["t"].len() > 10 && parts["n"].iter().sum::<f64>() > 10.0 && parts["y"][0] > 0.0, "{parts:?}");
    assert_eq!(parts, plain);
}

#[test]
fn arrays_in_a_neuron_belong_to_each_cell() {
    // A bank of filters, and three values that are drawn to their mean.
    let text = "neuron Bank {
  param tau: ms[3] = [5 ms, 20 ms, 80 ms]
  param gain = 1
  input u: real
  state x: real[3] = [0, 0.5, 1]
  param by: real[2] = [1, 10]
  state pool: real[3] = [0, 3, 6]
  state count: real[2] = [1, 2]
  x' = (gain * u - x) / tau
  pool' = (sum(pool, axis = 0) / 3 - pool) / 10 ms
  next count = count + by
  output y = x[0] + 10 * x[2]
  output total = sum(x, axis = 0)
  when pool[2] > 100 { x = 0 }
}
architecture A { population b: Bank(gain = [1, 2, 3, 4])[4] }
experiment E {
  let net = A()
  let run = simulate net for 100 ms step 1 ms {
    stimulate net.b.u = 1
    record net.b.x, net.b.y, net.b.total, net.b.pool
  }
  report x = run.b.x[40]
  report y = run.b.y[40]
  report total = run.b.total[40]
  report pool = run.b.pool[30, 2]
  report count = net.b.count
}
";
    let found = reports(text);
    let wanted = |cell: usize, k: usize| {
        let (tau, gain) = ([5.0, 20.0, 80.0][k], [1.0, 2.0, 3.0, 4.0][cell]);
        gain + ([0.0, 0.5, 1.0][k] - gain) * (-40.0_f64 / tau).exp()
    };
    for cell in 0..4 {
        (0..3).for_each(|k| near(found["x"][3 * cell + k], wanted(cell, k), 1e-12));
        near(found["y"][cell], wanted(cell, 0) + 10.0 * wanted(cell, 2), 1e-12);
        near(found["total"][cell], wanted(cell, 0) + wanted(cell, 1) + wanted(cell, 2), 1e-12);
    }
    near(found["pool"][0], 3.0 - 3.0 * (-3.0_f64).exp(), 1e-6);
    near(found["pool"][2], 3.0 + 3.0 * (-3.0_f64).exp(), 1e-6);
    assert_eq!(found["count"], [101.0, 1002.0, 101.0, 1002.0, 101.0, 1002.0, 101.0, 1002.0]);
}

#[test]
fn states_of_synapses_are_seen() {
    let text = "use std.sources.SpikeTimes
use std.synapses.TsodyksMarkram
neuron Cell { input I: nA\n state v: mV = 0 mV\n v' = (100 Mohm * I - v) / 20 ms }
architecture A {
  population s: SpikeTimes(times = [5 ms])[2]
  population n: Cell[3]
  connect s -> n as syn: all() via TsodyksMarkram(w = 1 nA, U = 0.4, tau_rec = 100 ms)
}
experiment E {
  let net = A()
  let run = simulate net for 20 ms step 1 ms { record mean(net.syn.x) as x, net.syn.x as all }
  report x = run.x[15]
  report now = net.syn.x
}
";
    let found = reports(text);
    near(found["x"][0], 1.0 - 0.4 * (-0.10_f64).exp(), 1e-2);
    assert_eq!(found["now"].len(), 2);
    near(found["now"][0], 1.0 - 0.4 * (-0.15_f64).exp(), 1e-12);
}

#[test]
fn a_series_in_32_bits_has_seven_digits() {
    let text = "neuron Cell { state v: mV = 1 mV\n v' = -v / 7 ms }
architecture A { population n: Cell[1] }
experiment E {
  let net = A()
  let run = simulate net for 5 ms step 1 ms { record net.n.v as short with f32\n record net.n.v as long }
  report difference = max(abs(run.short / run.long - 1))
}
";
    let difference = one(text, "difference");
    assert!(difference > 0.0 && difference < 6e-8, "{difference}");
}

#[test]
fn parameters_change_between_pieces() {
    let text = "neuron Cell { param tau = 10 ms\n input u: real\n state v: real = 1\n v' = (u - v) / tau\n output v }
architecture A {
  population n: Cell[3]
  population s: Cell(tau = 1e9 ms)[2]
  connect s -> n[1 .. 3]: all() via Direct(w = 2)
}
experiment E {
  let net = A()
  simulate net for 10 ms step 1 ms
  report first = net.n.v
  set net.n.tau = [20 ms, 5 ms, 40 ms]
  let run = simulate net for 20 ms step 1 ms { record net.n.v }
  report second = net.n.v
}
";
    let found = reports(text);
    let e = |t: f64| (-t).exp();
    let first = [e(1.0), 4.0 - 3.0 * e(1.0), 4.0 - 3.0 * e(1.0)];
    let second = [first[0] * e(1.0), 4.0 + (first[1] - 4.0) * e(4.0), 4.0 + (first[2] - 4.0) * e(0.5)];
    for k in 0..3 {
        near(found["first"][k], first[k], 1e-6);
        near(found["second"][k], second[k], 1e-6);
    }
}

/// Strong coupling of neighbours is held over a step and swings up: the run ends long before numbers do.
#[test]
fn what_grows_beyond_all_measure_ends_a_run() {
    let text = |coupling: &str| {
        format!(
            "use std.synapses.GapJunction
neuron Passive {{
  input I: nA
  state v: mV = -65 mV
  v' = (5 nS * (-65 mV - v) + I) / (100 pF)
}}
architecture Chain {{
  population c: Passive(v = linspace(-65 mV, -45 mV, 5))[5]
  connect c -> c: where(abs(i - j) == 1) via GapJunction(w = {coupling})
}}
experiment E {{
  let net = Chain()
  simulate net for 20 ms step 0.1 ms
}}
"
        )
    };
    let run = |coupling| crate::support::run(&PathBuf::from("chain.nnm"), &text(coupling), &Settings::default());
    assert!(run("10 nS").failure.is_none());
    let Some(Failure::Numeric(d)) = run("10 uS").failure else { panic!("it went on") };
    assert_eq!(d.code, "E0701");
    assert!(d.message.contains("has grown to"), "{}", d.message);
}

/// Whatever the length of a run, what diverged first is named, and when.
#[test]
fn the_first_state_to_diverge_is_named() {
    for length in ["5 ms", "60 ms", "1 s"] {
        let text = format!(
            "neuron Cell {{
  state v: real = 1
  state u: real = 1
  v' = (u - v) / (10 ms)
  u' = u^3 / (1 ms)
}}
architecture N {{ population c: Cell[3] }}
experiment E {{
  let net = N()
  simulate net for {length} step 1 ms
}}
"
        );
        let run = crate::support::run(&PathBuf::from("cubic.nnm"), &text, &Settings::default());
        let Some(Failure::Numeric(d)) = run.failure else { panic!("{length}: it went on") };
        assert!(d.message.contains("`net.c.u`, index 0") && d.message.contains("at t = 2 ms"), "{}", d.message);
    }
}

/// What crosses may move by its input or by the time alone: it is compared with what it was at the end of the step before.
#[test]
fn ports_and_times_cross_levels() {
    let model = |pieces: &str| {
        format!(
            r#"
use std.sources.SpikeTimes
neuron C {{
  input I: real
  input kick: event
  state v: real = 0
  state f: real = 0
  state g: real = 0
  state h: real = 0
  state e: real = 0
  state arrived: real = 0
  let drive = 2 * I - v
  next v = v
  on kick {{ v += 0.01 }}
  when I crosses 0.5 upward {{ f += 1 }}
  when drive crosses 1 downward {{ g += 1 }}
  when sin(2 * pi * 100 Hz * t) crosses 0.5 upward {{ e += 1 }}
  when I > 0.5 {{ h += 1 }}
  spike when I crosses 1.5 upward {{ arrived += 1 }}
}}
architecture N {{
  population s: SpikeTimes(times = [30 ms, 35 ms, 35.5 ms])[1]
  population c: C[2]
  connect s -> c.I as a: all() via Direct(w = 2)
  connect s -> c.kick as b: all() via Direct(w = 1)
}}
experiment E {{
  let net = N()
  {pieces}
  report f = net.c.f
  report g = net.c.g
  report h = net.c.h
  report e = net.c.e
  report arrived = net.c.arrived
}}
"#
        )
    };
    let body = "{ stimulate net.c[0 .. 1].I = 1 from 10 ms to 20 ms }";
    let whole = reports(&model(&format!("simulate net for 50 ms step 0.5 ms {body}")));
    // The stimulus, and spikes at 30 ms and in two steps on end, which are one crossing.
    assert_eq!(whole["f"], [3.0, 2.0]);
    assert_eq!(whole["g"], [3.0, 2.0]);
    assert_eq!(whole["h"], [23.0, 3.0]);
    assert_eq!(whole["e"], [5.0, 5.0]);
    assert_eq!(whole["arrived"], [2.0, 2.0]);
    let cut = reports(&model(&format!(
        "simulate net for 10 ms step 0.5 ms {body}\n simulate net for 20.5 ms step 0.5 ms {body}\n simulate net for 19.5 ms step 0.5 ms {body}"
    )));
    assert_eq!(whole, cut);
    // A level that the input is above from the start is not crossed.
    let above = reports(&model("simulate net for 20 ms step 0.5 ms { stimulate net.c.I = 1 }"));
    assert_eq!(above["f"], [0.0, 0.0]);
}

/// What a `let` draws is one number in a step, wherever conditions, blocks and equations read it.
#[test]
fn a_draw_with_a_name_is_one_draw() {
    let found = reports(
        r#"
use std.sources.Poisson
neuron Q {
  input kick: event
  state k: real = 0
  state a: real = 0
  state b: real = 0
  state c: real = 0
  state d: real = 0
  state p: real = 0
  state q: real = 0
  let u = uniform(0, 1) + uniform(0, 1)
  next k = u
  next p = p
  next q = q
  when u > 1 { a += u; b += u }
  on kick { c += u; d += u }
}
synapse Release {
  weight w: real = 1
  state left: real = 0
  state used: real = 0
  let u = uniform(0, 1) + 0 * w
  next left = left
  next used = used
  on pre { post.p += u; left += u; used += u; post.q += u }
}
local rule Noisy {
  state e = 0
  state f = 0
  let u = uniform(0, 1)
  next e = e
  next f = f
  on pre { e += u; f += u }
}
architecture N {
  population s: Poisson(rate = 100 Hz)[5]
  population q: Q[4]
  connect s -> q.kick as x: all() via Direct(w = 1)
  connect s -> q as y: all() via Release()
  connect s -> q.kick as z: all() via Direct(w = 0)
}
experiment E {
  seed 4
  let net = N()
  let run = simulate net for 100 ms step 1 ms {
    learn net.z by Noisy()
    record net.q.k, net.q.a
  }
  let k = window(run.q.k, from = 1 ms, to = 101 ms)
  report a = max(abs(net.q.a - net.q.b))
  report sum = max(abs(net.q.a - sum(if k > 1 then k else 0, axis = 0)))
  report c = max(abs(net.q.c - net.q.d))
  report p = max(abs(net.q.p - net.q.q))
  report left = max(abs(net.y.left - net.y.used))
  report rule = max(abs(net.z.Noisy.e - net.z.Noisy.f))
  report moved = [min(net.q.a), min(net.q.c), min(net.q.p), min(net.y.left), min(net.z.Noisy.e)]
  report different = min(abs(net.q.k - net.q[0].k) + (if net.q.index == 0 then 1 else 0))
}
"#,
    );
    for same in ["a", "c", "p", "left", "rule"] {
        assert_eq!(found[same], [0.0], "{same}");
    }
    assert!(found["sum"][0] < 1e-9, "{:?}", found["sum"]);
    assert!(found["moved"].iter().all(|x| *x > 0.5), "{:?}", found["moved"]);
    assert!(found["different"][0] > 0.0);
}

/// Sums, means and extremes over the synapses of one end are those of each cell.
#[test]
fn rules_reduce_over_the_synapses_of_one_end() {
    let found = reports(
        r#"
neuron C { input I: real
  state v: real = 0
  next v = I
  output v }
local rule Largest { every 1 step { w = w / max(w over post) } }
local rule Smallest { every 1 step { w = w - min(w over pre) } }
local rule Mean { next w = w / mean(w over post) }
architecture N {
  population S: C[2]
  population D: C[3]
  connect S -> D as a: all() via Direct(w = [[1, 2], [3, 4], [5, 10]])
  connect S -> D as b: all() via Direct(w = [[1, 2], [3, 4], [5, 10]])
  connect S -> D as c: where(i + j != 1) via Direct(w = 1 + i + 3 * j)
}
experiment E {
  let net = N()
  simulate net for 1 steps {
    learn net.a by Largest()
    learn net.b by Smallest()
    learn net.c by Mean()
  }
  report a = net.a.w.reshape(6)
  report b = net.b.w.reshape(6)
  report c = net.c.w
}
"#,
    );
    assert_eq!(found["a"], [0.5, 1.0, 0.75, 1.0, 0.5, 1.0]);
    assert_eq!(found["b"], [0.0, 0.0, 2.0, 2.0, 4.0, 8.0]);
    // By sender, then by target: 0-0 alone, 0-2 and 1-2 together, 1-1 alone.
    assert_eq!(found["c"], [1.0, 14.0 / 15.0, 1.0, 16.0 / 15.0]);
}
