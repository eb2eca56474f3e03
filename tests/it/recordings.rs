//! What is kept of a run, drawn and analysed: values that are lost are said to be, and a picture shows what was asked for.

use nnm_compiler::failure::Failure;
use nnm_compiler::settings::Settings;
use nnm_figures::{Curve, Figure, Kind};
use nnm_syntax::diag::Diagnostic;

use crate::support::{check, close, outcomes, reports, root, run};

/// What a run that must fail says.
fn refusal(text: &str) -> Diagnostic {
    let run = run(&root().join("tests/stages/inline.nnm"), text, &Settings::default());
    match run.failure {
        Some(Failure::Numeric(d)) => *d,
        Some(Failure::Model) => run.diagnostics.into_iter().next().unwrap_or_else(|| panic!("nothing was said")),
        other => panic!("{other:?}"),
    }
}

fn code_and_place(text: &str) -> (&'static str, String) {
    let d = refusal(text);
    (d.code, text.get(d.span.start as usize..d.span.end as usize).unwrap_or_default().to_string())
}

fn figures(text: &str) -> Vec<Figure> {
    let all = outcomes(&root().join("tests/stages/inline.nnm"), text, &Settings::default());
    all.into_iter().flat_map(|o| o.figures).map(|(_, figure)| figure).collect()
}

#[test]
fn nan_comes_through_a_summary_wherever_it_was() {
    let text = "neuron P {
  state x: real = 0
  next x = x + 1
  output early = sqrt(x - 5)
  output late = sqrt(5 - x)
  output whole = x
}
architecture N { population p: P[2] }
experiment A {
  let net = N()
  let r = simulate net for 10 steps {
    record max_t(net.p.early) as a, min_t(net.p.early) as b, max_t(net.p.late) as c, min_t(net.p.late) as d
    record max_t(net.p.whole) as top, min_t(net.p.whole) as low
  }
  report a = r.a
  report b = r.b
  report c = r.c
  report d = r.d
  report top = r.top
  report low = r.low
}
";
    let found = reports(text);
    for name in ["a", "b", "c", "d"] {
        assert!(found[name].len() == 2 && found[name].iter().all(|x| x.is_nan()), "{name}: {:?}", found[name]);
    }
    assert_eq!((&found["top"], &found["low"]), (&vec![10.0; 2], &vec![0.0; 2]));
}

const DRIVEN: &str = "use std.neurons.LIF
use std.sources.Regular
use std.synapses.ExpCurrent
local rule R {
  param tau = 1 ms
  w' = -w / tau
}
architecture N(w = 1 nA) {
  population s: Regular(rate = 1 kHz)[2]
  population g: LIF[3]
  connect s -> g: all() via ExpCurrent(w = w)
}
";

#[test]
fn what_is_no_number_is_said_of_what_made_it() {
    let set = format!("{DRIVEN}experiment A {{\n  let net = N()\n  let x = 0 / 0\n  set net.g.v = x * 1 mV\n}}\n");
    assert_eq!(code_and_place(&set), ("E0640", "set net.g.v = x * 1 mV".into()));
    let given = format!(
        "{DRIVEN}experiment A {{\n  let net = N(w = sqrt(-1) * 1 nA)\n  simulate net for 9 ms step 0.1 ms\n}}\n"
    );
    assert_eq!(code_and_place(&given).0, "E0640");
    let learn = |tau: &str| {
        format!(
            "{DRIVEN}experiment A {{\n  let net = N()\n  simulate net for 10 ms step 0.1 ms {{ learn net.s_g by R(tau = {tau}) }}\n}}\n"
        )
    };
    // The cell is the first to be looked at, and the last to blame.
    assert_eq!(code_and_place(&learn("0 ms")), ("E0701", "w' = -w / tau".into()));
    assert!(run(&root().join("tests/stages/inline.nnm"), &learn("5 ms"), &Settings::default()).failure.is_none());
}

#[test]
fn a_weight_or_state_that_is_lost_in_the_last_steps_is_lost_too() {
    // No spike carries the weight anywhere, and the state is read by nobody.
    let weight = DRIVEN.replace("1 kHz", "1 Hz").replace("-w / tau", "sqrt(1 - t / (5 ms)) * 1 nA / (1 s)");
    let weight = format!(
        "{weight}experiment A {{\n  let net = N()\n  simulate net for 10 ms step 0.1 ms {{ learn net.s_g by R() }}\n}}\n"
    );
    assert_eq!(code_and_place(&weight), ("E0701", "w' = sqrt(1 - t / (5 ms)) * 1 nA / (1 s)".into()));
    let state = |steps: usize| {
        format!(
            "neuron P {{\n  state x: real = 0\n  state y: real = 0\n  next x = x + 1\n  next y = sqrt(70 - x)\n}}
architecture N {{ population p: P[2] }}
experiment A {{\n  let net = N()\n  simulate net for {steps} steps\n}}\n"
        )
    };
    assert_eq!(code_and_place(&state(73)), ("E0701", "next y = sqrt(70 - x)".into()));
    assert!(run(&root().join("tests/stages/inline.nnm"), &state(71), &Settings::default()).failure.is_none());
}

#[test]
fn each_series_is_drawn_over_its_own_times() {
    let text = "neuron A {
  state v: mV = 0 mV
  v' = 1 mV / (1 ms)
}
architecture N { population a: A[40] }
experiment X {
  let net = N()
  let r = simulate net for 50 ms step 0.1 ms {
    record net.a.v every 5 ms
    record net.a[0].v as late from 20 ms to 30 ms
    record net.a[0 .. 2].v as all
  }
  plot traces(r.a.v, r.late, r.all), line(r.late, r.all), line(r.all, mean(r.all, axis = 1)), traces(r.a.v, stacked = true)
}
";
    let found = figures(text);
    let Kind::Traces { panels, .. } = &found[0].kind else { panic!("{:?}", found[0]) };
    let ends: Vec<(f64, f64)> = panels.iter().map(|p| (p.time[0], p.time[p.time.len() - 1])).collect();
    assert_eq!(panels.iter().map(|p| p.time.len()).collect::<Vec<_>>(), [11, 100, 501]);
    for ((first, last), (a, b)) in ends.iter().zip([(0.0, 50.0), (20.0, 29.9), (0.0, 50.0)]) {
        assert!((first - a).abs() < 1e-9 && (last - b).abs() < 1e-9, "{ends:?}");
    }
    // v is the time, in each panel.
    let apart = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(t, v)| (t - v).abs()).fold(0.0, f64::max);
    for (x, y) in panels.iter().flat_map(|p| p.series.iter().map(|s| (&p.time, &s.y))) {
        assert_eq!(x.len(), y.len());
        assert!(apart(x, y) < 1e-9);
    }
    assert_eq!((panels[0].series.len(), panels[0].axis.label.as_str()), (12, "r.a.v, the first 12 of 40"));
    let Kind::Curves { curves, .. } = &found[1].kind else { panic!("{:?}", found[1]) };
    assert_eq!(curves.len(), 3);
    assert!(curves.iter().all(|Curve { x, y, .. }| x.len() == y.len() && apart(x, y) < 1e-9));
    assert!(matches!(&found[2].kind, Kind::Line { series, .. } if series.len() == 3));
    let Kind::Traces { panels, .. } = &found[3].kind else { panic!("{:?}", found[3]) };
    assert_eq!((panels.len(), panels[11].axis.label.as_str()), (12, "11, the first 12 of 40"));
}

#[test]
fn what_is_drawn_along_an_axis_is_in_one_unit_and_above_0_where_that_is_logarithmic() {
    let text = "experiment X {
  plot line([1, 2], [1 mV, 2 mV], [0.003 V, 0.004 V]), line([1, 2, 3], [-1, 0, 5], log = \"y\", y_label = \"y\")
}
";
    let found = figures(text);
    let Kind::Line { series, y_axis, .. } = &found[0].kind else { panic!("{:?}", found[0]) };
    assert_eq!((y_axis.unit.as_str(), &series[0].y, &series[1].y), ("mV", &vec![1.0, 2.0], &vec![3.0, 4.0]));
    let Kind::Line { y_axis, .. } = &found[1].kind else { panic!("{:?}", found[1]) };
    assert_eq!(y_axis.label, "y, without 2 at or below 0");
}

const CLOCK: &str = "neuron Clock {
  state v: mV = -60 mV
  v' = 0 mV / (1 ms)
  spike when true
}
architecture N { population c: Clock[4] }
";

#[test]
fn analysis_stays_inside_of_the_recording() {
    let with = |what: &str| {
        format!(
            "{CLOCK}experiment A {{
  let net = N()
  let r = simulate net for 100 ms step 1 ms {{ record net.c.spikes, net.c.v }}
  {what}
}}
"
        )
    };
    // Nothing is known of the time after the end.
    let found =
        reports(&with("report a = mean_rate(r.c, to = 1 s)\n  report b = mean_rate(r.c, from = 50 ms, to = 200 ms)"));
    for name in ["a", "b"] {
        assert!(found[name].iter().all(|x| (x - 1000.0).abs() < 1e-6), "{name}: {:?}", found[name]);
    }
    for (what, code) in [
        ("report a = population_vector(r.c.v, at = 5 s).angle", "E0566"),
        ("report a = population_vector(r.c.v, at = 50 ms).angle", "E0644"),
        ("report a = population_vector(r.c.v).angle", "E0644"),
        ("report a = mean_rate(r.c, from = 200 ms)", "E0566"),
        ("let x = inf - inf\n  report a = mean_rate(r.c, from = x * 1 ms)", "E0446"),
        ("plot heatmap(mean(r.c.v, axis = 1))", "E0642"),
        ("plot traces(mean(r.c.v, axis = 0))", "E0553"),
    ] {
        assert_eq!(code_and_place(&with(what)).0, code, "{what}");
    }
}

/// Codes and places of the warnings of a model.
fn warnings(text: &str) -> Vec<(&'static str, String)> {
    let checked = check(&root().join("tests/stages/inline.nnm"), text).unwrap_or_else(|found| panic!("{found:#?}"));
    let place = |d: &Diagnostic| text.get(d.span.start as usize..d.span.end as usize).unwrap_or_default().to_string();
    checked.warnings.iter().map(|d| (d.code, place(d))).collect()
}

#[test]
fn what_is_moved_onto_the_grid_is_said() {
    let with = |times: &str, step: &str, from: &str, bin: &str| {
        format!(
            "use std.sources.SpikeTimes
neuron C {{
  input I: real
  state v: real = 0
  v' = (I - v) / (5 ms)
}}
architecture N {{
  population s: SpikeTimes(times = {times})[1]
  population c: C[2]
}}
experiment A {{
  let net = N()
  let r = simulate net for 20 ms step 0.1 ms {{
    record net.s.spikes
    stimulate net.c.I = ones(10, 2) over time step {step} from {from}
  }}
  report a = psth(r.s, bin = {bin})
  report times = spike_times(r.s)
}}
"
        )
    };
    assert_eq!(warnings(&with("[5 ms, 7.1 ms]", "1 ms", "0.7 ms", "1 ms")), []);
    let odd = with("[5.03 ms, 7.1 ms]", "0.25 ms", "0.72 ms", "0.55 ms");
    let found = warnings(&odd);
    for place in ["[5.03 ms, 7.1 ms]", "0.25 ms", "0.72 ms", "0.55 ms"] {
        assert!(found.contains(&("W0001", place.to_string())), "{place}: {found:?}");
    }
    assert_eq!(found.len(), 4, "{found:?}");
    let times = &reports(&odd)["times"];
    assert!((times[0] - 5.0e-3).abs() < 1e-12 && (times[1] - 7.1e-3).abs() < 1e-12, "{times:?}");
}

#[test]
fn spikes_inside_of_steps_go_into_any_bins() {
    let text = "neuron C {
  state v: real = 0
  v' = 1 / (7.3 ms)
  spike when v > 1 { v = 0 }
}
architecture N { population c: C[1] }
experiment A {
  let net = N()
  let r = simulate net for 100 ms step 1 ms {
    interpolate net.c.spikes
    record net.c.spikes
  }
  report a = sum(psth(r.c, bin = 0.05 ms))
}
";
    assert_eq!(warnings(text), []);
    assert!((reports(text)["a"][0] - 13.0 / 0.05e-3).abs() < 1.0);
}

#[test]
fn spikes_of_a_slice_are_numbered_from_its_beginning() {
    let text = format!(
        "{CLOCK}experiment A {{
  let net = N()
  let r = simulate net for 2 ms step 1 ms {{ record net.c[2 .. 4].spikes }}
  plot raster(r.c), raster(r.c, from = 0.5 ms, to = 1.5 ms)
}}
"
    );
    let found = figures(&text);
    let Kind::Raster { groups, .. } = &found[0].kind else { panic!("{:?}", found[0]) };
    assert_eq!((groups[0].name.as_str(), groups[0].cells), ("c[2 .. 4]", 2));
    // The axis shows what was asked for, with or without spikes there.
    assert_eq!(groups[0].seen, Some((0.0, 2.0)));
    assert!(matches!(&found[1].kind, Kind::Raster { groups, .. } if groups[0].seen == Some((0.5, 1.5))));
    assert_eq!(groups[0].spikes.iter().map(|s| s.1).collect::<Vec<_>>(), [0, 1, 0, 1]);
}

#[test]
fn a_ratio_of_angles_is_a_plain_number() {
    let text = "experiment A {
  let x = 2 mV
  report half = 90 deg / 180 deg
  report both = [2 * 90 deg, 90 deg * 2]
  report square = 90 deg * 90 deg
  report share = x^2 / 4 mV^2
}
";
    let all = outcomes(&root().join("tests/stages/inline.nnm"), text, &Settings::default());
    let shown: Vec<(String, String)> = all
        .iter()
        .flat_map(|o| &o.reports)
        .map(|(name, value)| match value {
            nnm_compiler::value::Value::Num(num) => (name.clone(), num.unit.shown().name.to_string()),
            other => panic!("{other:?}"),
        })
        .collect();
    let units = [("half", ""), ("both", "deg"), ("square", ""), ("share", "")];
    assert_eq!(shown, units.map(|(n, u)| (n.to_string(), u.to_string())));
    assert_eq!((reports(text)["half"][0], reports(text)["share"][0]), (0.5, 1.0));
}

#[test]
fn what_an_arrival_carries_over_the_threshold_fires_at_that_moment() {
    let text = "use std.sources.SpikeTimes
use std.synapses.Jump
neuron C {
  state v: mV = 0 mV
  v' = -v / (10 ms)
  spike when v > 3 mV {
    v = 0 mV
    hold v for 2.2 ms
  }
}
neuron Edge {
  state v: mV = 0 mV
  v' = -v / (10 ms)
  spike when v crosses 3 mV upward { v = 0 mV }
}
architecture N {
  population s: SpikeTimes(times = [1 ms, 3.5 ms, 20 ms])[1]
  population a: C[1]
  population e: Edge[1]
  connect s -> a: all() via Jump(w = 4 mV, delay = 1 ms)
  connect s -> e: all() via Jump(w = 4 mV, delay = 1 ms)
}
experiment A {
  let net = N()
  set net.a.v = 5 mV
  let r = simulate net for 40 ms step 0.5 ms {
    interpolate net.a.spikes, net.e.spikes
    record net.a.spikes, net.e.spikes
  }
  report times = spike_times(r.a)
  report edges = spike_times(r.e)
  report n = count(r.a)
  report binned = sum(psth(r.a, bin = 20 ms)) * 20 ms
  report later = count(r.a, from = 0.1 ms)
}
";
    let found = reports(text);
    // The first is over it as the run begins; the second arrives while v is held, and is lost.
    let wanted = [0.0, 4.5e-3, 21e-3];
    assert_eq!(found["times"].len(), 3, "{:?}", found["times"]);
    assert!(found["times"].iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{:?}", found["times"]);
    let edges = [2e-3, 4.5e-3, 21e-3];
    assert_eq!(found["edges"].len(), 3, "{:?}", found["edges"]);
    assert!(found["edges"].iter().zip(edges).all(|(a, b)| (a - b).abs() < 1e-12), "{:?}", found["edges"]);
    assert_eq!((found["n"][0], found["binned"][0].round(), found["later"][0]), (3.0, 3.0, 2.0));
}

#[test]
fn what_a_rule_keeps_is_recorded_under_its_name() {
    let text = "use std.sources.SpikeTimes
neuron Cell {
  input I: real
  state v: real = 0
  v' = (I - v) / (10 ms)
  output v
}
local rule Eligible {
  state c: nS = 0 nS
  pre trace x = 0 {
    x' = -x / (20 ms)
    on spike { x += 1 }
  }
  c' = -c / (100 ms)
  on pre { c += 1 nS * (1 + w) }
}
architecture N {
  population s: SpikeTimes(times = [10 ms])[2]
  population b: Cell[3]
  connect s -> b as full: all() via Direct(w = i + 10 * j, delay = 1 ms)
  connect s -> b as some: where(i != j) via Direct(w = i + 10 * j)
}
experiment E {
  let net = N()
  let run = simulate net for 50 ms step 1 ms {
    learn net.full, net.some by Eligible()
    record net.full.Eligible.c as c
    record net.full.Eligible.x as x every 10 ms
    record mean(net.some.Eligible.c) as m
  }
  report c = last(run.c) / (1 nS)
  report now = net.full.Eligible.c / (1 nS)
  report some = net.some.Eligible.c / (1 nS)
  report x = run.x[.., 0]
  report m = last(run.m) / (1 nS)
}
";
    let found = reports(text);
    let decayed = (-39.0f64 / 100.0).exp();
    let by_hand: Vec<f64> = (0..6).map(|k| f64::from(1 + k % 2 + 10 * (k / 2)) * decayed).collect();
    assert!(found["c"].iter().zip(&by_hand).all(|(c, by_hand)| close(*c, *by_hand)), "{:?}", found["c"]);
    assert_eq!(found["c"], found["now"]);
    let decayed = (-40.0f64 / 100.0).exp();
    let by_hand = [11.0, 21.0, 2.0, 22.0].map(|w| w * decayed);
    assert!(found["some"].iter().zip(&by_hand).all(|(c, by_hand)| close(*c, *by_hand)), "{:?}", found["some"]);
    assert!(close(found["m"][0], by_hand.iter().sum::<f64>() / 4.0));
    let trace = [0.0, 0.0, (-9.0f64 / 20.0).exp(), (-19.0f64 / 20.0).exp()];
    assert!(found["x"].iter().zip(&trace).all(|(x, by_hand)| close(*x, *by_hand)), "{:?}", found["x"]);
}
