//! Claims of the dynamics against closed forms: exact steps, orders of convergence, noise, spike timing.

use nnm_compiler::settings::Settings;

use crate::support::{Quiet, root};

/// The first number of a report of a model given as text.
pub fn report(text: &str, name: &str) -> f64 {
    let path = root().join("tests/stages/inline.nnm");
    let host = Quiet::beside(&path);
    let settings = Settings::default();
    let parsed = nnm_compiler::pipeline::Parsed::new("inline.nnm", text, &host);
    let checked = match parsed.check(text, &host, &settings) {
        Ok(checked) => checked,
        Err(rejected) => panic!("{:?}", rejected.diagnostics),
    };
    let run = checked.run(&host, &settings);
    let value = run.outcomes.iter().flat_map(|o| &o.reports).find(|(n, _)| n == name).map(|(_, v)| v.clone());
    match value {
        Some(nnm_compiler::value::Value::Num(num)) => {
            num.as_const().and_then(|a| a.iter().next().copied()).unwrap_or(f64::NAN)
        }
        other => panic!("no report `{name}`: {other:?}, {:?}", run.failure),
    }
}

fn decay(method: &str, step: &str) -> f64 {
    let solve = if method.is_empty() { String::new() } else { format!("solve x by {method}") };
    let text = format!(
        "neuron N {{\n  state x: real = 1\n  x' = -x / 10 ms\n  {solve}\n  output x\n}}\narchitecture A {{ population n: N[1] }}\n\
         experiment E {{\n  let net = A()\n  simulate net for 20 ms step {step}\n  report x = net.n.x\n}}\n"
    );
    (report(&text, "x") - (-2.0f64).exp()).abs()
}

#[test]
fn exact_propagator_is_exact_at_any_step() {
    for step in ["0.1 ms", "1 ms", "20 ms"] {
        let error = decay("", step);
        // 200 products of the finest step round by half a last place each: 200 * 1.1e-16 * 0.14.
        assert!(error < 4e-15, "step {step}: {error}");
    }
}

#[test]
fn solvers_have_their_orders() {
    for (method, order) in [("euler", 1.0), ("heun", 2.0), ("rk4", 4.0)] {
        let ratio = decay(method, "1 ms") / decay(method, "0.5 ms");
        let found = ratio.log2();
        assert!((found - order).abs() < 0.2, "{method}: order {found} instead of {order}");
    }
}

#[test]
fn coupled_equations_with_equal_time_constants_are_exact() {
    let text = "neuron N {\n  state x: real = 1\n  state y: real = 0\n  x' = -x / 5 ms\n  y' = (x - y) / 5 ms\n  output y\n}\n\
        architecture A { population n: N[1] }\nexperiment E {\n  let net = A()\n  simulate net for 10 ms step 0.5 ms\n  report y = net.n.y\n}\n";
    let error = (report(text, "y") - 2.0 * (-2.0f64).exp()).abs();
    assert!(error < 1e-14, "{error}");
}

#[test]
fn noise_has_the_variance_of_its_process() {
    // dx = -x / tau dt + sigma sqrt(2 / tau) dW has variance sigma^2, whatever the step.
    for step in ["0.1 ms", "5 ms"] {
        let text = format!(
            "neuron N {{\n  state x: real ~ normal(0, 2)\n  x' = -x / 10 ms + 2 * sqrt(2 / 10 ms) * xi()\n  output x\n}}\n\
             architecture A {{ population n: N[4000] }}\nexperiment E {{\n  seed 4\n  let net = A()\n  \
             simulate net for 100 ms step {step}\n  report v = var(net.n.x)\n}}\n"
        );
        let variance = report(&text, "v");
        // Four standard errors of a variance over 4000 cells.
        assert!((variance - 4.0).abs() < 4.0 * 4.0 * (2.0f64 / 4000.0).sqrt(), "step {step}: {variance}");
    }
}

#[test]
fn spike_reaches_its_target_after_delay_and_one_step() {
    let text = "use std.synapses.Jump\nneuron S {\n  spike when t >= 0.95 ms and t < 1.05 ms\n}\nneuron T {\n  state v: mV = 0 mV\n  v' = 0 * v / 1 ms\n}\n\
        architecture A {\n  population s: S[1]\n  population t: T[1]\n  connect s -> t: all() via Jump(w = 1 mV, delay = 0.5 ms)\n}\n\
        experiment E {\n  let net = A()\n  let run = simulate net for 3 ms step 0.1 ms { record net.t.v, net.s.spikes }\n  \
        report fired = min(spike_times(run.s))\n  report early = max(window(run.t.v, to = 1.65 ms))\n  report late = max(run.t.v)\n}\n";
    assert!((report(text, "fired") - 1.1e-3).abs() < 1e-12, "a spike found in the step from 1.0 ms is stamped 1.1 ms");
    assert_eq!(report(text, "early"), 0.0, "stamped 1.1 ms and 0.5 ms under way, it acts in the step from 1.6 ms");
    assert!((report(text, "late") - 1e-3).abs() < 1e-15);
}

/// How far the change that a rule makes to the first layer of a small network is from backpropagation's.
fn distance_from_backprop(rule: &str, declared: &str) -> f64 {
    let text = format!(
        "use std.neurons.{{Tanh, Linear}}\nuse std.objectives.SquaredError\nuse std.rules.*\n{declared}\n\
         architecture Net {{\n  input x: real[3]\n  population h: Tanh[4]\n  population k: Tanh[4]\n  population y: Linear[2]\n  \
         connect x -> h: dense()\n  connect h -> k: dense()\n  connect k -> y: dense()\n}}\n\
         experiment E {{\n  seed 2\n  precision f64\n  data d = table(x = [[1, -1, 0.5], [0.2, 0.4, -2]], z = [[1, 0], [-1, 2]])\n  \
         let net = Net()\n  let a = update(net, Backprop(), SquaredError(net.y, z) on d)\n  \
         let b = update(net, {rule}, SquaredError(net.y, z) on d)\n  report far = max(abs(a.x_h.w - b.x_h.w))\n}}\n"
    );
    report(&text, "far")
}

#[test]
fn rules_that_are_backpropagation_are_so_to_the_last_bits() {
    let own = "rule Own {\n  feedback transpose(w)\n  dw = post.error * pre.y\n}";
    assert_eq!(distance_from_backprop("Own()", own), 0.0, "feedback through the own weights");
    assert_eq!(distance_from_backprop("Minus()", "rule Minus {\n  dw = -gradient\n}"), 0.0, "the gradient itself");
    let moment = distance_from_backprop("EProp()", "");
    assert!(moment < 1e-15, "eligibilities of one moment: {moment}");
    let fixed = distance_from_backprop("FixedPredictionCoding()", "");
    assert!(fixed < 1e-14, "predictions of the forward pass: {fixed}");
    // Other feedback, and predictions that move, are other rules.
    for other in ["FeedbackAlignment()", "PredictiveCoding()"] {
        assert!(distance_from_backprop(other, "") > 1e-3, "{other}");
    }
}

#[test]
fn a_nudge_that_vanishes_measures_the_gradient() {
    let error =
        |beta: &str| distance_from_backprop(&format!("EquilibriumPropagation(beta = {beta}, steps = 1500)"), "");
    let order = (error("0.04") / error("0.02")).log2();
    assert!((order - 2.0).abs() < 0.2, "order {order} instead of 2");
}
