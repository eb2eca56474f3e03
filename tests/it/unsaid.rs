//! What a model means without saying it: defaults, rounding, which end of a window counts; and what is refused instead.

use nnm_compiler::failure::Failure;
use nnm_compiler::settings::Settings;
use nnm_figures::Kind;

use crate::support::{errors, outcomes, reports, root, run};

/// The code of what is said of a model, before it runs or then.
fn refusal(text: &str) -> &'static str {
    if let Some(found) = errors(&root().join("tests/stages/inline.nnm"), text).first() {
        return found.code;
    }
    let run = run(&root().join("tests/stages/inline.nnm"), text, &Settings::default());
    match run.failure {
        Some(Failure::Numeric(d)) => d.code,
        Some(Failure::Model) => run.diagnostics.first().map_or("", |d| d.code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_port_that_nothing_reaches_has_its_default() {
    let text = "
neuron Cell {
  param g = 2
  input I: real
  input gain: real = 3 * g
  state v: real = 0
  next v = v + gain * (I + 1)
}
architecture N {
  population free: Cell(g = [1, 2])[2]
  population driven: Cell[2]
  population joined: Cell[2]
  population one: Cell[2]
  connect free -> joined.gain as into: one_to_one() via Direct(w = 0)
}
experiment E {
  let net = N()
  let run = simulate net for 1 steps {
    stimulate net.driven.gain = 5
    stimulate net.one[0].gain = 5
    record net.free.v, net.driven.v, net.joined.v, net.one.v
  }
  report free = last(run.free.v)
  report driven = last(run.driven.v)
  report joined = last(run.joined.v)
  report one = last(run.one.v)
  set net.free.g = 10
  let again = simulate net for 1 steps { record net.free.v }
  report more = last(again.free.v)
}
";
    let text = text.replace("  next v = v + gain * (I + 1)\n", "  next v = v + gain * (I + 1)\n  output v\n");
    let found = reports(&text);
    assert_eq!(found["free"], [3.0, 6.0]);
    assert_eq!(found["driven"], [5.0, 5.0], "the stimulus is in place of the default");
    assert_eq!(found["joined"], [0.0, 0.0], "and so is a connection, whatever it brings");
    assert_eq!(found["one"], [5.0, 0.0], "a stimulus to some cells is one to their population");
    assert_eq!(found["more"], [33.0, 36.0], "parameters are read as they are");
}

#[test]
fn noise_enters_by_a_factor_however_it_comes() {
    let text = |equation: &str, stimulus: &str| {
        format!(
            "fn pass(x) = x
neuron Cell {{
  input I: Hz
  state v: real = 1
  let noise = pass(0.1 * xi())
  v' = {equation}
}}
architecture N {{ population c: Cell[4] }}
experiment E {{
  let net = N()
  let run = simulate net for 5 ms step 1 ms {{ stimulate net.c.I = {stimulus}\n record net.c.v }}
  report v = last(run.c.v)
}}
"
        )
    };
    for good in
        ["I + v^2 * noise * 1 s^(-1/2)", "I + (noise + xi()) / 2 ms^(1/2)", "I + sum([1, 2]) * noise / 1 s^(1/2)"]
    {
        let found = reports(&text(good, "1 Hz"));
        assert!(found["v"].iter().all(|v| v.is_finite()) && found["v"][0] != found["v"][1], "{good}: {found:?}");
    }
    for bad in [
        "I + noise^2",
        "I + noise * xi()",
        "I + abs(noise) * 1 s^(-1/2)",
        "I + 1 s^(-1) * (if noise > 0 s^(-1/2) then 1 else 0)",
    ] {
        assert_eq!(refusal(&text(bad, "1 Hz")), "E0671", "{bad}");
    }
    reports(&text("I", "xi() * 1 s^(-1/2)"));
    assert_eq!(refusal(&text("I", "xi()^2")), "E0671");
    assert_eq!(refusal(&text("I^2 / 1 Hz", "xi() * 1 s^(-1/2)")), "E0671", "by the port that it comes through");
}

#[test]
fn noise_comes_through_connections() {
    let text = "
use std.neurons.Linear
use std.objectives.SquaredError
use std.rules.Backprop
use std.optimizers.SGD
neuron Src { input I: real
  output y = I + xi() * 1 ms^(1/2) }
neuron R { input I: real
  state r: real = 0
  r' = (I - r) / (10 ms)
  output r }
architecture N { input x: real[2]
  population s: Src[2]
  population h: R[2]
  connect x -> s: one_to_one() via Direct(w = 1)
  connect s -> h: dense() }
experiment E { let net = N()
  data d = table(x = [[1, 2]], g = [[1, 1]])
  let r = train net on d { given x = x for 10 ms step 1 ms
     minimize SquaredError(mean_t(net.h), g) by Backprop with SGD(rate = 0.1) }
  let run = simulate net for 5 ms step 1 ms { record net.h.r }
  report v = last(run.h.r) }
";
    assert!(reports(text)["v"].iter().all(|v| v.is_finite()));
    assert_eq!(refusal(&text.replace("output y = I + xi() * 1 ms^(1/2)", "output y = I + xi()^2 * 1 ms")), "E0671");
}

const PAIRS: &str = "
use std.sources.SpikeTimes
neuron Sum { input I: real
  state v: real = 0
  next v = v + I }
architecture N {
  population s: SpikeTimes(times = [1 ms])[3]
  population t: Sum[1]
  connect s -> t as z: all() via Direct(w = 1, delay = DELAY)
}
experiment E {
  let net = N()
  let run = simulate net for 6 ms step 0.1 ms { record net.t.v }
  report v = run.t.v
  report delays = net.z.delay / (1 ms)
}
";

#[test]
fn delays_of_pairs_are_rounded_to_steps() {
    let (rounded, exact) =
        (PAIRS.replace("DELAY", "0.52 ms + 1.17 ms * i"), PAIRS.replace("DELAY", "[[0.5, 1.7, 2.9]] * 1 ms"));
    let (rounded, exact) = (reports(&rounded), reports(&exact));
    assert_eq!(rounded["v"], exact["v"]);
    assert_eq!(rounded["v"].last(), Some(&3.0));
    assert_eq!(refusal(&PAIRS.replace("DELAY", "0.52 ms")), "E0427", "what is one number is meant as it is written");
}

#[test]
fn both_sides_of_a_delay_act_in_a_presentation() {
    let text = |delay: &str| {
        format!(
            "use std.neurons.Linear
architecture N {{ input x: real[2]
  population h: Linear[2]
  population y: Linear[1]
  connect x -> h: dense(bias = false) via Direct(w = if i == j then 1 else 0)
  connect h -> y: all() via Direct(w = 1, delay = {delay})
}}
experiment E {{
  let net = N()
  data d = table(x = [[1, 10]])
  report three = evaluate(sum(last(net.y)) on d given x = x for 3 steps)
  report four = evaluate(sum(last(net.y)) on d given x = x for 4 steps)
}}
"
        )
    };
    for delay in ["3 step", "1 step axonal + 2 step dendritic", "3 step dendritic"] {
        let found = reports(&text(delay));
        assert_eq!((found["three"][0], found["four"][0]), (0.0, 11.0), "{delay}");
    }
    for delay in ["[[1, 3]] * 1 step", "1 step + 2 step * i", "1 step axonal + (2 step * i) dendritic"] {
        assert_eq!(refusal(&text(delay)), "E0676", "{delay}");
    }
}

#[test]
fn names_in_the_blocks_of_rules() {
    let text = |block: &str| {
        format!(
            "use std.sources.Regular
local rule R {{
  state c = 0
  on pre {{ {block} }}
  every 5 ms {{ let kept = 0.5 * c; c = kept; w += kept }}
}}
neuron Cell {{ input I: real
  state v: real = 0
  v' = (I - v) / (10 ms) }}
architecture N {{
  population s: Regular(rate = 100 Hz)[3]
  population t: Cell[2]
  connect s -> t as z: all() via Direct(w = 1 + i + j)
}}
experiment E {{
  let net = N()
  simulate net for 50 ms step 1 ms {{ learn net.z by R() }}
  report w = net.z.w
}}
"
        )
    };
    let named = reports(&text("let grown = w + 1; c += grown; w = 0.5 * grown"));
    assert_eq!(named["w"], reports(&text("c += w + 1; w = 0.5 * (w + 1)"))["w"]);
    assert_ne!(named["w"], reports(&text("c += w; w = 0.5 * (w + 1)"))["w"]);
    assert_eq!(refusal(&text("let c = w; c += 1")), "E0201");
}

#[test]
fn a_raster_shows_the_spikes_that_are_counted() {
    let text = "
use std.sources.SpikeTimes
architecture N { population s: SpikeTimes(times = [10 ms, 20 ms, 30 ms])[1] }
experiment E {
  let net = N()
  let run = simulate net for 40 ms step 1 ms { record net.s.spikes }
  report n = count(run.s, from = 10 ms, to = 30 ms)
  plot raster(run.s, from = 10 ms, to = 30 ms)
}
";
    let all = outcomes(&root().join("tests/stages/inline.nnm"), text, &Settings::default());
    let Kind::Raster { groups, .. } = &all[0].figures[0].1.kind else { panic!("no raster") };
    let shown: Vec<f64> = groups[0].spikes.iter().map(|(t, _)| t.round()).collect();
    assert_eq!(shown, [20.0, 30.0]);
    assert_eq!(reports(text)["n"], [2.0]);
}

#[test]
fn steps_without_length_are_an_axis_of_steps() {
    let text = "
neuron Count { state n: real = 0
  next n = n + 1
  spike when n > 2 { n = 0 } }
architecture N { population c: Count[2] }
experiment E {
  let net = N()
  let run = simulate net for 20 steps { record net.c.n, net.c.spikes }
  plot line(run.c.n), traces(run.c.n), raster(run.c), line(run.c.n[5 .. 10])
}
";
    let text = text
        .replace("record net.c.n, net.c.spikes", "record net.c.n\n record net.c.spikes as fired")
        .replace("raster(run.c)", "raster(run.fired)");
    let all = outcomes(&root().join("tests/stages/inline.nnm"), &text, &Settings::default());
    for (name, figure) in &all[0].figures {
        let (Kind::Line { x_axis, .. } | Kind::Traces { x_axis, .. } | Kind::Raster { x_axis, .. }) = &figure.kind
        else {
            panic!("{name}")
        };
        assert_eq!((x_axis.label.as_str(), x_axis.unit.as_str()), ("step", ""), "{name}");
    }
    let Kind::Line { x, .. } = &all[0].figures[3].1.kind else { panic!("no line") };
    assert_eq!(x, &[5.0, 6.0, 7.0, 8.0, 9.0]);
}

#[test]
fn correlations_and_phases_of_nothing_are_no_numbers() {
    let text = "
use std.sources.SpikeTimes
architecture N { population s: SpikeTimes(times = [10 ms])[3]
  population t: SpikeTimes(times = [100 ms])[1] }
experiment E {
  let net = N()
  let run = simulate net for 40 ms step 1 ms { record net.s.spikes, net.t.spikes }
  report silent = vector_strength(run.t, 10 Hz)
  report alone = spike_correlation(run.s, from = 20 ms)
  report same = spike_correlation(run.s)
}
";
    let found = reports(text);
    assert!(found["silent"][0].is_nan() && found["alone"][0].is_nan(), "{found:?}");
    assert!((found["same"][0] - 1.0).abs() < 1e-12);
}

#[test]
fn cells_that_are_not_joined_have_no_synapse() {
    let text = |statement: &str| {
        format!(
            "neuron Sum {{ input I: real
  state v: real = 0
  next v = v + I
  output v }}
architecture N {{
  population a: Sum[6]
  connect a[1 .. 5] -> a as z: where(i != j) via Direct(w = 10 * i + j)
}}
experiment E {{
  let net = N()
  {statement}
}}
"
        )
    };
    for wrong in [
        "set net.z[3, 3].w = 1",
        "report x = net.z[3, 3].w",
        "report x = net.z[0, 2].w",
        "report x = net.z[5 .. 6, 0 .. 6].w",
    ] {
        assert_eq!(refusal(&text(wrong)), "E0675", "{wrong}");
    }
    assert_eq!(reports(&text("report x = net.z[0 .. 3, 2].w"))["x"], [12.0]);
}

#[test]
fn a_let_of_numbers_is_a_size() {
    let text = "
neuron C { state v: real = 0 }
architecture N(n = 2) {
  let cells = 2 * n + 1
  population c: C[cells]
  population d: C(v = linspace(0, 1, cells))[cells]
}
experiment E {
  let net = N(n = 3)
  report c = length(net.c.v)
  report d = length(net.d.v)
}
";
    let found = reports(text);
    assert_eq!((&found["c"], &found["d"]), (&vec![7.0], &vec![7.0]));
}
