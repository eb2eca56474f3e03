//! The result of a simulation depends neither on how it is cut into pieces, nor on what is recorded of it, nor on threads.

use std::path::Path;

use nnm_compiler::engine::{Backend, Threads};
use nnm_compiler::settings::Settings;

use crate::support::{differences, files_below, outcomes, read, root};

/// The weights and reports at the end, by name without the experiment's.
fn end_of(path: &Path, text: &str, threads: u32) -> Vec<(String, Vec<u64>)> {
    let all = outcomes(path, text, &with_threads(threads));
    let mut out = vec![];
    for outcome in &all {
        out.extend(outcome.weights.iter().map(|(n, a)| (n.clone(), a.iter().map(|x| x.to_bits()).collect())));
        for (name, value) in outcome.reports.iter().filter(|(n, _)| n.starts_with("end")) {
            let mut bits = vec![];
            crate::support::bits(value, &mut bits);
            out.push((name.clone(), bits));
        }
    }
    out
}

/// So many threads, whether or not that is faster.
fn with_threads(most: u32) -> Settings {
    Settings { threads: Threads { most, always: true }, ..Settings::default() }
}

/// A model of `run/` whose simulation is replaced by these statements.
fn with_runs(file: &str, network: &str, runs: &str) -> (std::path::PathBuf, String) {
    let path = root().join("tests/run").join(file);
    let text = read(&path);
    let experiment = text.find("experiment ").unwrap_or(text.len());
    let text =
        format!("{}experiment Cut {{\n  seed 9\n  let net = Net()\n{runs}\n  {network}\n}}\n", &text[..experiment]);
    (path, text)
}

fn same(file: &str, network: &str, one: &str, other: &str) {
    same_with(1, file, network, one, other);
}

fn same_with(threads: u32, file: &str, network: &str, one: &str, other: &str) {
    let (path, text) = with_runs(file, network, one);
    let left = end_of(&path, &text, 1);
    let (path, text) = with_runs(file, network, other);
    let right = end_of(&path, &text, threads);
    assert!(!left.is_empty());
    for ((name, a), (_, b)) in left.iter().zip(&right) {
        assert!(a == b, "{file}: `{name}` differs between\n{one}\nand\n{other}");
    }
}

#[test]
fn a_simulation_in_two_pieces_is_the_simulation_in_one() {
    let whole = "  simulate net for 100 ms step 0.1 ms { }";
    let cut = "  simulate net for 33 ms step 0.1 ms { }\n  simulate net for 67 ms step 0.1 ms { }";
    same("spikes.nnm", "report end_v = net.E.v", whole, cut);
}

#[test]
fn learning_in_two_pieces_is_learning_in_one() {
    let learn = "{ learn net.syn by Pairs(w_max = 2 nS) }";
    let whole = format!("  simulate net for 300 ms step 0.5 ms {learn}");
    let cut = format!("  simulate net for 140 ms step 0.5 ms {learn}\n  simulate net for 160 ms step 0.5 ms {learn}");
    same("stdp.nnm", "report end_v = net.cell.v", &whole, &cut);
}

#[test]
fn recording_changes_nothing() {
    let silent = "  simulate net for 300 ms step 0.5 ms { learn net.syn by Pairs(w_max = 2 nS) }";
    let seen = "  simulate net for 300 ms step 0.5 ms {\n    learn net.syn by Pairs(w_max = 2 nS)\n    \
                record net.cell.spikes, net.source.spikes\n    record net.cell.v\n    \
                record mean(net.syn.w) as m every 5 ms\n  }";
    same("stdp.nnm", "report end_v = net.cell.v", silent, seen);
}

#[test]
fn recording_changes_no_noise() {
    let silent = "  simulate net for 100 ms step 0.1 ms { }";
    let seen = "  simulate net for 100 ms step 0.1 ms { record net.E.spikes, net.I.spikes\n record net.E[0 .. 3].v every 1 ms }";
    same("spikes.nnm", "report end_v = net.E.v", silent, seen);
}

/// Rate cells with a delay of 7 ms, coloured noise, spikes placed inside the step: what lives on between pieces.
const DELAYED: &str = "use std.sources.NoiseCurrent
use std.synapses.{ExpCurrent, TsodyksMarkram}
neuron Rate {
  input u: real
  state r: real = 0.3
  r' = (tanh(u) - r) / 5 ms
  output r
}
neuron Cell {
  input I: nA
  state v: mV = 0 mV
  v' = (100 Mohm * I - v) / 20 ms
  spike when v > 15 mV { v = 0 mV; hold v for 2.03 ms }
}
architecture Net {
  population a: Rate(r ~ uniform(0, 1))[4]
  population noise: NoiseCurrent(mu = 0.2 nA, sigma = 50 pA)[3]
  population c: Cell[3]
  connect a -> a: all() via Direct(w ~ normal(0, 1), delay = 7 ms)
  connect a -> a as each: all() via Direct(w ~ normal(0, 1), delay ~ uniform(1 ms, 9 ms))
  connect noise -> c: one_to_one() via Direct(w = 1)
  connect c -> c: all() via ExpCurrent(w = 50 pA, delay = 11 ms)
  connect c -> c as short: all() via TsodyksMarkram(w = 50 pA, delay = 13 ms)
}
";

#[test]
fn pieces_shorter_than_delays_change_nothing() {
    let path = root().join("tests/run/delayed.nnm");
    let end = |lengths: &[f64], inside: &str| {
        let piece = |t: &f64| format!("  simulate net for {t} ms step 0.1 ms {{ {inside} }}\n");
        let runs: String = lengths.iter().map(piece).collect();
        let reports = ["a.r", "noise.I", "c.v"].map(|p| format!("  report end_{p} = net.{p}\n").replace("end_", "end"));
        let reports: String = reports.iter().map(|r| r.replacen('.', "_", 1)).collect();
        end_of(&path, &format!("{DELAYED}experiment Cut {{\n  seed 3\n  let net = Net()\n{runs}{reports}}}\n"), 1)
    };
    for inside in ["", "interpolate net.c.spikes"] {
        let whole = end(&[60.0], inside);
        assert!(whole.len() >= 3);
        assert!(whole == end(&[0.5, 3.0, 2.0, 24.5, 30.0], inside), "{inside}");
        assert!(whole == end(&[59.9, 0.1], inside), "{inside}");
    }
}

/// Draws of all kinds: of a world, of actions, in functions and layers, of a rule, of samples and sources.
const DRAWS: &str = "use std.neurons.{Linear, Sigmoid}
use std.layers.dropout
use std.objectives.SquaredError
use std.rules.{Backprop, Reinforce, NodePerturbation}
use std.optimizers.SGD
use std.sources.NoiseCurrent

fn noisy(x) = x + normal(0, 0.1)

environment Corridor {
  state place: int = 2
  state wind ~ uniform(0, 1)
  action go: class[2]
  action push: real
  next place = clamp(place + (if go == 1 then 1 else -1) * bernoulli(0.9), 0, 4)
  next wind = wind + 0.1 * normal(0, 1)
  observe concat(one_hot(place, 5), [wind])
  reward if place == 4 then 1 else wind + push
  done when place == 0
}

architecture Policy {
  input x: real[6]
  population y: Linear[3]
  connect x -> y: dense(bias = false)
}

architecture Net {
  input x: real[2]
  let noise = noisy(x)
  population h: Sigmoid[5]
  connect noise -> h: dense()
  let thin = dropout(h, p = 30 %)
  population y: Linear[1]
  connect thin -> y: dense()
}

architecture Bank { population noise: NoiseCurrent(mu = 0.2 nA, sigma = 50 pA)[3] }

experiment Acting {
  seed 4
  let policy = Policy()
  let run = train policy in Corridor(max_steps = 20) {
    given x = observation
    act go ~ categorical(softmax(policy.y[0 .. 2]))
    act push ~ normal(policy.y[2], 0.5)
    maximize discounted(reward, 0.9) by Reinforce() with SGD(rate = 0.1)
    batch 4 episodes
    updates 5
  }
  report earned = run.episode_return
}

experiment Learning {
  seed 4
  data gates = table(x = [[0, 0], [0, 1], [1, 0], [1, 1]], target = [[0], [1], [1], [0]])
  for rule in [Backprop, NodePerturbation] {
    let net = Net()
    let run = train net on gates {
      minimize SquaredError(net.y, target) by rule with SGD(rate = 0.1)
      batch 4
      epochs 5
    }
    report loss = run.loss
  }
  report drawn = sample(normal(0, 1), [3])
  report other = sample(normal(0, 1), [3])
}

experiment Noise {
  let net = Bank()
  let run = simulate net for 10 ms step 1 ms { record net.noise.I }
  report end = run.noise.I
}
";

#[test]
fn moving_lines_changes_no_draw() {
    let settings = Settings::default();
    let held = |path: &Path, text: &str| {
        let moved = format!("// One more line.\n{}", text.replace('\n', "\n\n  "));
        let differ = differences(&outcomes(path, text, &settings), &outcomes(path, &moved, &settings));
        assert_eq!(differ, Vec::<String>::new(), "{}", path.display());
    };
    let path = root().join("tests/run/draws.nnm");
    held(&path, DRAWS);
    for path in files_below(&root().join("tests/run"), ".nnm") {
        held(&path, &read(&path));
    }
    let drawn = outcomes(&path, DRAWS, &settings);
    let of = |name: &str| {
        let mut bits = vec![];
        let found = drawn.iter().flat_map(|o| &o.reports).find(|(n, _)| n == name);
        crate::support::bits(&found.unwrap_or_else(|| panic!("{name}")).1, &mut bits);
        bits
    };
    assert_ne!(of("drawn"), of("other"), "two draws are two");
}

#[test]
fn threads_change_nothing() {
    for path in files_below(&root().join("tests/run"), ".nnm") {
        let text = read(&path);
        let alone = outcomes(&path, &text, &Settings::default());
        for threads in [2, 3, 4, 8] {
            let together = outcomes(&path, &text, &with_threads(threads));
            assert_eq!(differences(&alone, &together), Vec::<String>::new(), "{}, {threads}", path.display());
        }
    }
}

#[test]
fn both_back_ends_place_spikes_inside_the_step_alike() {
    let path = root().join("models/neurons/exact_spikes.nnm");
    let run = |backend| outcomes(&path, &read(&path), &Settings { backend, ..Settings::default() });
    let differ = crate::support::differences(&run(Backend::Jit), &run(Backend::Interpreter));
    assert!(differ.is_empty(), "{differ:?}");
}

#[test]
fn threads_and_pieces_and_recordings_change_nothing() {
    let learn = "learn net.plastic by Pairs(w_max = 1 mV)";
    let whole = format!("  simulate net for 40 ms step 0.1 ms {{ {learn} }}");
    let all = "record net.E.spikes, net.I.spikes, net.E.v, net.I.v\n    record mean(net.plastic.w) as m every 1 ms";
    let cut = format!(
        "  simulate net for 13.3 ms step 0.1 ms {{ {learn} }}\n  simulate net for 26.7 ms step 0.1 ms {{\n    \
         {learn}\n    {all}\n  }}"
    );
    for threads in [1, 2, 8] {
        same_with(threads, "crowd.nnm", "report end_v = net.E.v", &whole, &cut);
    }
}

/// A population without a list of its spikes hands them on to a simulation that makes one, and the other way round.
#[test]
fn spikes_of_the_last_step_are_not_lost_between_pieces() {
    let silent = "  simulate net for 40 ms step 0.1 ms { }";
    let seen = "{ record net.source.spikes }";
    let parts = [("{ }", seen), (seen, "{ }"), ("{ }", "{ }")];
    for (first, second) in parts {
        let cut =
            format!("  simulate net for 20.1 ms step 0.1 ms {first}\n  simulate net for 19.9 ms step 0.1 ms {second}");
        same("crowd.nnm", "report end_v = net.E.v", silent, &cut);
    }
}

/// Sums that take a product in and round once: the product is recorded too, or its sum is computed at a piece's end alone.
const ROUNDED: &str = "neuron Cell {
  input I: real
  state v: real = 0.129
  state g: real = 0.4
  let m = 0.3 * v
  let drive = m + I
  let bent = atan(0.4 * v + I)
  v' = (bent - v * abs(v) + 0.2 * sin(drive)) / (10 ms)
  g' = (0.7 * drive - g) / (4 ms)
  output y = tanh(v)
}
architecture N {
  population a: Cell(v = 0.1 * index)[70]
  population b: Cell(v = 0.37 - 0.1 * index)[9]
  connect a -> a as aa: all() via Direct(w = 0.05 * sin(i * 5 + 1.3 * j))
  connect a -> b as ab: all() via Direct(w = sin(i + 2.0 * j))
  connect b -> a as ba: all() via Direct(w = sin(i * 3 + 1.3 * j))
  connect b -> b as bb: where(i != j) via Direct(w = sin(i * 3 + 1.3 * j))
  connect a -> b as late: all() via Direct(w = sin(i + 7.0 * j), delay = 1 ms)
}
experiment E {
  let net = N()
@
  report a = net.a.v
  report ag = net.a.g
  report b = net.b.v
  report end = last(run.b.drive)
  report bent = last(run.b.bent)
}
";

#[test]
fn what_is_recorded_has_no_say_in_how_sums_are_rounded() {
    let path = root().join("tests/run/rounded.nnm");
    let input = "stimulate net.b.I = 0.3";
    let ended = "record net.b.drive, net.b.bent every 20 ms";
    let of = |pieces: &str| outcomes(&path, &ROUNDED.replace('@', pieces), &Settings::default());
    let seldom = of(&format!("  let run = simulate net for 20 ms step 0.5 ms {{ {input}\n {ended} }}"));
    let all = "record net.a.m, net.a.I, net.a.drive, net.b.m, net.b.I, net.a.y, net.b.y, net.b.g";
    for pieces in [
        format!("  let run = simulate net for 20 ms step 0.5 ms {{ {input}\n {ended}\n {all} }}"),
        format!("  let run = simulate net for 20 ms step 0.5 ms {{ {input}\n {ended}\n {all} every 1 ms }}"),
        format!(
            "  simulate net for 7 ms step 0.5 ms {{ {input}\n {all} }}\n  let run = simulate net for 13 ms step 0.5 ms \
             {{ {input}\n record net.b.drive, net.b.bent }}"
        ),
    ] {
        let differ = differences(&seldom, &of(&pieces));
        // What is recorded itself is another.
        let differ: Vec<String> = differ.into_iter().filter(|d| !d.starts_with("E.run:")).collect();
        assert_eq!(differ, Vec::<String>::new(), "{pieces}");
    }
}
