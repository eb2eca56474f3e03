//! What stands inside of cells and synapses: names in blocks, arrays, draws, holds; and synapses by place.

use crate::support::{close, reports};

fn one(text: &str, name: &str) -> f64 {
    reports(text)[name][0]
}

fn near(found: f64, wanted: f64, tolerance: f64) {
    assert!((found - wanted).abs() <= tolerance * wanted.abs().max(1e-300), "{found:e} instead of {wanted:e}");
}

/// States that read the weight, the target or chance by a name of their block are the target's own, as if they read it
/// themselves.
#[test]
fn a_name_in_a_block_hides_nothing_of_what_it_reads() {
    let text = "use std.sources.Regular
fn coin(p: real) -> real = if bernoulli(p) then 1 else 0
neuron Cell { input I: real
  param p = 0
  state v: real = 0
  v' = (I - v) / (20 ms) }
synapse S {
  weight w: real = 1
  state a: real = 0
  state b: real = 0
  state c: real = 0
  state d: real = 0
  state e: real = 0
  state f: real = 0
  on pre {
    let k = w
    let q = k * post.p
    let r = if bernoulli(0.5) then 1 else 0
    a += k
    b += w
    c += q
    d += w * post.p
    e += r
    f += coin(0.5)
  }
  output I = a + b + c + d + e + f
}
architecture N {
  population s: Regular(rate = 50 Hz, start = 10 ms)[1]
  population c: Cell(p = linspace(1, 2, 20))[20]
  connect s -> c as y: all() via S(w = 1 + j)
}
experiment E {
  let net = N()
  let run = simulate net for 400 ms step 1 ms {
    record net.y.a as a, net.y.b as b, net.y.c as c, net.y.d as d, net.y.e as e, net.y.f as f
  }
  report a = last(run.a) - last(run.b)
  report c = last(run.c) - last(run.d)
  report spread_b = std(last(run.b))
  report spread_e = std(last(run.e))
  report spread_f = std(last(run.f))
}
";
    let found = reports(text);
    assert!(found["a"].iter().chain(&found["c"]).all(|x| *x == 0.0), "{found:?}");
    for name in ["spread_b", "spread_e", "spread_f"] {
        assert!(found[name][0] > 0.5, "{name}: {:?}", found[name]);
    }
}

/// Names of a neuron's block hold until its end; what is computed from an event's value counts all that arrived.
#[test]
fn blocks_of_neurons_have_names_of_their_own() {
    let text = "use std.sources.SpikeTimes
neuron Cell {
  input kick: event
  param up = 2
  state n: real = 0
  state v: real = 0
  next v = v + 1
  when v > 50 { let start = v - 51
    v = start }
  on kick {
    let j = 2 * kick
    n += j
    let z = up
    n += z
  }
}
architecture N {
  population a: SpikeTimes(times = [5 ms, 5 ms, 7 ms])[1]
  population c: Cell[2]
  connect a -> c.kick: all() via Direct(w = 3)
}
experiment E {
  let net = N()
  simulate net for 60 ms step 1 ms
  report n = net.c.n
  report v = net.c.v
}
";
    let found = reports(text);
    assert_eq!((found["n"][0], found["v"][1]), (3.0 * 6.0 + 3.0 * 2.0, 9.0));
}

/// `net.syn[i, j]` counts in the populations, as `i`, `j`, `pre` and `post` do, whatever the pattern.
#[test]
fn synapses_of_slices_are_picked_by_place() {
    for pattern in ["all()", "where(i != j)", "random(p = 1)"] {
        let text = format!(
            "neuron Acc {{ input I: real\n state v: real = 0\n next v = v + I\n output v }}
architecture N {{
  population s: Acc[8]
  population a: Acc[6]
  connect s[2 .. 6] -> a[1 .. 5] as z: {pattern} via Direct(w = 10 * i + j)
}}
experiment E {{
  let net = N()
  report one = net.z[5, 4].w
  report some = net.z[3, 0 .. 6].w
  report senders = net.z[4 .. 6, 1].pre
  report targets = net.z[5, 1 .. 3].post
  set net.z[2, 1].w = -1
  report changed = net.z[2, 1 .. 6].w
}}
"
        );
        let found = reports(&text);
        let some: Vec<f64> =
            [31.0, 32.0, 33.0, 34.0].into_iter().filter(|w| *w != 33.0 || pattern != "where(i != j)").collect();
        let left = if pattern == "where(i != j)" { vec![-1.0, 23.0, 24.0] } else { vec![-1.0, 22.0, 23.0, 24.0] };
        assert_eq!((&found["one"], &found["some"]), (&vec![54.0], &some), "{pattern}");
        assert_eq!((&found["senders"], &found["targets"]), (&vec![4.0, 5.0], &vec![1.0, 2.0]), "{pattern}");
        assert_eq!(found["changed"], left, "{pattern}");
    }
}

/// A shorter hold does not end a longer one.
#[test]
fn the_longer_hold_lasts() {
    let text = "use std.sources.SpikeTimes
neuron Cell {
  input long: event
  input short: event
  state v: real = 0
  v' = 1 / (1 ms)
  on long { hold v for 10 ms }
  on short { hold v for 2 ms }
}
architecture N {
  population s: SpikeTimes(times = [5 ms, 8 ms], cells = [0, 1])[2]
  population c: Cell[1]
  connect s[0 .. 1] -> c.long: all() via Direct()
  connect s[1 .. 2] -> c.short: all() via Direct()
}
experiment E {
  let net = N()
  simulate net for 30 ms step 1 ms
  report v = net.c.v
}
";
    near(one(text, "v"), 20.0, 1e-9);
}

/// A function draws for whom it is called: cells, stimulated cells and synapses each for themselves.
#[test]
fn functions_draw_for_each_cell() {
    let text = "fn jitter(x) = x + normal(0, 1)
fn twice(x) = jitter(jitter(x))
fn wiener() = xi()
local rule Drift { next w = w + jitter(0) }
neuron Cell {
  input I: real
  state b: real = 0
  state c: real = 0
  state d: real = 0
  next b = jitter(0)
  next c = twice(0)
  next d = I
  state e: real = 0
  e' = wiener() * 1 ms^(-1/2)
  output y = d
}
architecture N {
  population q: Cell[4]
  population r: Cell[4]
  connect q -> r as z: all() via Direct(w = 0.1)
}
experiment E {
  let net = N()
  simulate net for 3 ms step 1 ms {
    stimulate net.q.I = jitter(1)
    learn net.z by Drift()
  }
  report b = net.q.b
  report c = net.q.c
  report d = net.q.d
  report e = net.q.e
  report w = net.z.w.reshape(16)
  report other = net.r.b
}
";
    let found = reports(text);
    for (name, values) in &found {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        assert_eq!(sorted.len(), values.len(), "{name}: {values:?}");
    }
    assert_ne!(found["b"], found["other"]);
}

/// Sources of times lose nothing in single precision.
#[test]
fn regular_sources_keep_their_rate_in_both_precisions() {
    for precision in ["f64", "f32"] {
        let text = format!(
            "use std.sources.{{Regular, TimeSeries}}
architecture N {{
  population a: Regular(rate = 100 Hz)[1]
  population b: Regular(rate = 33 Hz, start = 3 ms)[1]
  population s: TimeSeries(values = arange(400), width = 1 ms)[1]
}}
experiment E {{
  precision {precision}
  let net = N()
  let run = simulate net for 4 s step 0.1 ms {{
    record net.a.spikes, net.b.spikes
    record sum_t(net.s.y) as total
  }}
  report counts = [count(run.a)[0], count(run.b)[0]]
  report total = run.total[0]
}}
"
        );
        let found = reports(&text);
        assert_eq!(found["counts"], [400.0, 132.0], "{precision}");
        near(found["total"][0], 10.0 * 399.0 * 200.0, 1e-6);
    }
}

/// A coefficient that reads the time: x' = -(1 + t / T) x / T, of order 2 and more by every choice.
#[test]
fn coefficients_follow_the_time() {
    let error = |step: &str| {
        let text = format!(
            "neuron Cell {{ param tau = 10 ms\n state b: real = 1\n state c: real = 1\n state d: real = 0
  b' = -(1 + t / tau) * b / tau
  c' = -sin(t / tau) * c / tau
  d' = (b - d) * (1 + t / tau) / tau }}
architecture N {{ population c: Cell[1] }}
experiment E {{
  let net = N()
  simulate net for 10 ms step {step}
  report b = net.c.b
  report c = net.c.c
}}
"
        );
        let found = reports(&text);
        let exact = [(-1.5f64).exp(), (1.0f64.cos() - 1.0).exp()];
        [(found["b"][0] - exact[0]).abs(), (found["c"][0] - exact[1]).abs()]
    };
    let (coarse, fine) = (error("1 ms"), error("0.5 ms"));
    // Of a line the middle of a step is exact.
    assert!(coarse[0] < 1e-12 && coarse[1] < 1e-3, "{coarse:?}");
    let order = (coarse[1] / fine[1]).log2();
    assert!((1.9..2.1).contains(&order), "{order}");
}

/// `net.syn.w` has one layout, in recordings as elsewhere.
#[test]
fn recorded_weights_are_laid_out_as_weights() {
    let text = "use std.sources.SpikeTimes
neuron A { input I: real\n state v: real = 0\n next v = v + I\n output v }
architecture N {
  population s: SpikeTimes(times = [1 ms])[3]
  population a: A[2]
  connect s -> a as z: all() via Direct(w = 10 * i + j, delay = (1 + i + 2 * j) * 1 ms)
}
experiment E {
  let net = N()
  let run = simulate net for 2 ms step 1 ms {
    record net.z.w as w, mean(net.z.w, axis = 0) as m, net.z[1, 0 .. 2].w as p, net.z.w[0, 1] as q
  }
  report w = (last(run.w) - net.z.w).reshape(6)
  report m = last(run.m)
  report p = last(run.p)
  report q = last(run.q)
  report delay = (net.z.delay / (1 ms) - (1 + net.z.pre + 2 * net.z.post)).reshape(6)
}
";
    let found = reports(text);
    assert_eq!((&found["w"], &found["delay"]), (&vec![0.0; 6], &vec![0.0; 6]));
    assert_eq!((&found["m"], &found["p"]), (&vec![0.5, 10.5, 20.5], &vec![10.0, 11.0]));
    assert_eq!(found["q"], [10.0]);
}

/// In a neuron an array is one of each cell: what reduces it stays within the cell, in functions too.
#[test]
fn arrays_in_cells_are_reduced_within_the_cell() {
    let text = "fn high(x) = std(x) + mean(x)
neuron Cell {
  param p: real[2] = [10, 20]
  state x: real[2] = [1, 3]
  state a: real = 0
  state b: real = 0
  state c: real = 0
  state d: real = 0
  state e: real = 0
  state f: real = 0
  state g: real[2] = 0
  state h: real[2] = 0
  state i: real = 0
  next a = argmax(x)
  next b = max(x)
  next c = sum(x)
  next d = norm(x)^2
  next e = dot(x, p)
  next f = high(x)
  next g = softmax(x)
  next h = cumsum(x)
  next i = mean(x, axis = -1)
}
architecture N { population c: Cell[5] }
experiment E {
  let net = N()
  simulate net for 1 ms step 1 ms
  report numbers = [net.c.a, net.c.b, net.c.c, net.c.d, net.c.e, net.c.f, net.c.i].reshape(35)
  report g = net.c.g[3]
  report h = net.c.h[4]
}
";
    let found = reports(text);
    for (row, wanted) in found["numbers"].chunks(5).zip([1.0, 3.0, 4.0, 10.0, 70.0, 3.0, 2.0]) {
        row.iter().for_each(|x| near(*x, wanted, 1e-12));
    }
    near(found["g"][0], 1.0 / (1.0 + 2.0f64.exp()), 1e-12);
    assert_eq!(found["h"], [1.0, 4.0]);
}

/// The objective of an architecture `N` as training, validation and evaluation see it; nothing is learned.
fn objectives(architecture: &str, data: &str, steps: &str) -> [f64; 3] {
    let text = format!(
        "use std.objectives.SquaredError
use std.rules.Backprop
use std.optimizers.SGD
{architecture}
experiment E {{
  let net = N()
  data d = {data}
  let t = train net on d {{
    given x = x for {steps}
    minimize SquaredError(last(net.z), g) by Backprop with SGD(rate = 0)
    validate on d
    batch 2
  }}
  report loss = t.loss
  report validation = t.validation
  report evaluated = evaluate(SquaredError(last(net.z), g) on d)
  report silent = evaluate(SquaredError(0 * last(net.z), g) on d)
}}
"
    );
    let found = reports(&text);
    let loss = found["loss"][0];
    assert!((loss - found["silent"][0]).abs() > 0.05, "nothing reaches the output: {found:?}");
    [loss, found["validation"][0], found["evaluated"][0]]
}

/// What a delayed connection brings is the same in training and in evaluation.
#[test]
fn evaluation_hears_delayed_connections() {
    for kind in ["all()", "one_to_one()"] {
        let architecture = format!(
            "neuron Leaky {{
  input I: real
  state r: real = 0
  r' = (I - r) / (10 ms)
  output r
}}
architecture N {{
  input x: real[1]
  population r: Leaky[1]
  population z: Leaky[1]
  connect x -> r as b: dense(bias = false) via Direct(w = 1)
  connect r -> z: {kind} via Direct(w = 1, delay = 3 ms)
}}"
        );
        let [loss, validation, evaluated] =
            objectives(&architecture, "table(x = [[1], [2]], g = [[0], [0]])", "20 ms step 1 ms");
        near(validation, loss, 1e-6);
        near(evaluated, loss, 1e-6);
    }
}

/// A part with states, met only by the next state of what it reaches, is evaluated as it is trained.
#[test]
fn evaluation_hears_parts_with_states() {
    let architecture = "neuron Slow {
  input I: real
  state r: real = 0
  next r = I + 0.5 * r
  output r
}
architecture Encoder(n: int = 3) {
  input x: real[2]
  population h: Slow[n]
  connect x -> h: dense()
  output y = h
}
architecture N {
  input x: real[2]
  part encoder: Encoder
  population z: Slow[2]
  connect x |> encoder -> z: dense()
}";
    let data = "table(x = [[1, 2], [0.5, -1]], g = [[1, 0], [0, 1]])";
    let [loss, validation, evaluated] = objectives(architecture, data, "10 steps");
    near(validation, loss, 1e-6);
    near(evaluated, loss, 1e-6);
}

/// Noise is one number a cell: in an array's equation the elements share it, and in a rule's trace no two cells do.
#[test]
fn noise_belongs_to_the_cell() {
    let text = "use std.sources.Regular
neuron Cell {
  input I: real
  param rate = 100 Hz
  state y: real[3] = 0
  state p: real = 0
  y' = -y / (10 ms) + xi() * 1 ms^(-1/2)
  p' = rate
  spike when p >= 1 { p = 0 }
}
local rule Wander { post trace y = 0 { y' = -y / (10 ms) + xi() * 1 ms^(-1/2) }
  next w = y }
local rule Jumps { pre trace x = 0 { on spike { x += normal(0, 1) } }
  next w = x }
architecture N {
  population s: Regular(rate = 100 Hz)[3]
  population c: Cell[3]
  connect s -> c as a: all() via Direct(w = 0)
  connect s -> c as b: all() via Direct(w = 0)
}
experiment E {
  let net = N()
  simulate net for 50 ms step 1 ms {
    learn net.a by Wander()
    learn net.b by Jumps()
  }
  report within = std(net.c.y, axis = 1)
  report between = std(net.c.y, axis = 0)
  report of_targets = std(net.a.w, axis = 0)
  report of_senders = std(net.b.w, axis = 1)
  report same_sender = std(net.b.w, axis = 0)
}
";
    let found = reports(text);
    assert!(found["within"].iter().chain(&found["same_sender"]).all(|x| x.abs() < 1e-12), "{found:?}");
    let spread = ["between", "of_targets", "of_senders"];
    assert!(spread.iter().all(|name| found[*name].iter().all(|x| *x > 0.1)), "{found:?}");
}

/// A temperature below freezing is that: the sign is the number's.
#[test]
fn temperatures_below_freezing() {
    let text = "neuron Cell { param U = -10 Celsius\n state y: real = 0\n next y = (U - -20 Celsius) / (1 K) }
architecture N { population c: Cell[1] }
experiment E {
  let net = N()
  simulate net for 1 ms step 1 ms
  report y = net.c.y
  report warm = (37 Celsius - -273.15 Celsius) / (1 K)
  report list = ([-10 Celsius, 10 Celsius] - 0 Celsius) / (1 K)
}
";
    let found = reports(text);
    near(found["y"][0], 10.0, 1e-12);
    near(found["warm"][0], 310.15, 1e-12);
    near(found["list"][0], -10.0, 1e-12);
}

#[test]
fn a_connection_without_pairs_brings_nothing_and_breaks_nothing() {
    let text = "use std.sources.SpikeTimes
neuron C {
  param p = 2
  input I: real
  state v: real = 0.25
  v' = I / (10 ms)
  output v
}
synapse S {
  param a = 1
  weight w: real = 1
  state g: real = 0
  g' = -a * g / (3 ms)
  on pre { g += w }
  output I = g
}
synapse Loose {
  param a = 1
  output I = a + pre.v
}
synapse Own {
  param a = 1
  state g: real = 0
  g' = (a + pre.v) / (1 ms)
  output I = g
}
synapse Between {
  state g: real = 0
  next g = pre.v + post.p
  output I = g * post.v
}
architecture N {
  population s: SpikeTimes(times = [1 ms])[2]
  population c: C[3]
  population one: C[1]
  population two: C[1]
  connect s -> c as x: where(j < 0) via S(a = 1 + 0.1 * j)
  connect c -> c as y: where(j < 0) via Loose(a = 1 + 0.1 * j)
  connect one -> one as z: all(autapses = false) via Loose(a = 1 + 0.1 * j)
  connect one -> one as o: all() via Own(a = 0.5 + 0.1 * j)
  connect two -> two as e: where(i > j) via Between()
}
experiment E {
  let net = N()
  let run = simulate net for 1 ms step 0.5 ms { record net.c.v, net.one.v }
  report v = net.c.v
  report two = net.two.v
  report g = net.o.g
}
";
    let found = reports(text);
    assert_eq!(found["v"], [0.25; 3]);
    assert_eq!(found["two"], [0.25]);
    // With the sender's v held over each step: g goes to 0.375 and takes v to 0.259375, then on with 0.759375 per ms.
    assert!(close(found["g"][0], 0.375 + 0.759375 * 0.5), "{:?}", found["g"]);
}

#[test]
fn slices_of_one_population_have_no_autapses_where_none_are_asked_for() {
    let pairs = |pattern: &str, from: &str, to: &str| {
        let text = format!(
            "neuron C {{
  input I: real
  state v: real = 0
  next v = I
  output v
}}
synapse One {{
  weight w: real = 1
  output I = w
}}
architecture N {{
  population c: C[6]
  connect c{from} -> c{to} as x: {pattern} via One(w = 10 * i + j)
}}
experiment E {{
  let net = N()
  simulate net for 1 steps
  report w = net.x.w
}}
"
        );
        reports(&text)["w"].clone()
    };
    let without_selves = |from: std::ops::Range<i32>, to: std::ops::Range<i32>| -> Vec<f64> {
        let all = from.flat_map(|i| to.clone().filter(move |j| *j != i).map(move |j| f64::from(10 * i + j)));
        all.collect()
    };
    for pattern in ["all(autapses = false)", "random(p = 1, autapses = false)", "probability(1, autapses = false)"] {
        assert_eq!(pairs(pattern, "[1 .. 4]", ""), without_selves(1..4, 0..6), "{pattern}");
        assert_eq!(pairs(pattern, "", "[2 .. 5]"), without_selves(0..6, 2..5), "{pattern}");
        assert_eq!(pairs(pattern, "[2 .. 6]", "[1 .. 4]"), without_selves(2..6, 1..4), "{pattern}");
        assert_eq!(pairs(pattern, "", ""), without_selves(0..6, 0..6), "{pattern}");
    }
    let fan = pairs("fan_in(k = 2, autapses = false)", "[1 .. 4]", "[0 .. 3]");
    let wanted = [[0.0, 1.0, 2.0], [10.0, 0.0, 12.0], [20.0, 21.0, 0.0], [30.0, 31.0, 32.0]];
    assert!(fan.len() == 6 && fan.iter().all(|w| wanted.iter().flatten().any(|x| x == w)), "{fan:?}");
}

#[test]
fn of_several_states_that_may_be_held_each_stands_still_for_the_others() {
    let text = |solve: &str| {
        format!(
            "neuron C {{
  state v: real = 0
  state u: real = 1
  state q: real = 0
  v' = (u + q) / (1 ms)
  u' = 1 / (1 ms)
  q' = (u - v) / (4 ms)
  when v > 100 {{ hold v for 1 ms }}
  every 2 ms {{ hold u for 2 ms }}
  every 3 ms {{ hold q for 1 ms }}
  {solve}
}}
architecture N {{ population c: C[1] }}
experiment E {{
  let net = N()
  simulate net for 7 ms step 1 ms
  report v = net.c.v
  report u = net.c.u
  report q = net.c.q
}}
"
        )
    };
    let (exact, small) = (reports(&text("")), reports(&text("solve v, u, q by rk45(tol = 1e-10)")));
    for name in ["v", "u", "q"] {
        assert!((exact[name][0] - small[name][0]).abs() < 1e-7, "{name}: {:?} {:?}", exact[name], small[name]);
    }
}

/// Second-order equations in the form of two, as of neural masses: an equation without its own state gets Runge-Kutta.
#[test]
fn oscillators_of_two_equations_are_solved_to_order_four() {
    let model = |solve: &str, step: &str| {
        format!(
            "neuron Mass {{
  state y: real = 0.2
  state z: real = 0.1
  y' = z / (1 ms)
  z' = (3 * tanh(1 - y) - 0.3 * z - 0.5 * y) / (1 ms)
  {solve}
}}
architecture N {{ population m: Mass[1] }}
experiment E {{
  let net = N()
  simulate net for 10 ms step {step}
  report y = net.m.y
}}
"
        )
    };
    let exact = reports(&model("solve y, z by rk45(tol = 1e-13)", "0.05 ms"))["y"][0];
    let error = |solve: &str, step: &str| (reports(&model(solve, step))["y"][0] - exact).abs();
    let (coarse, fine) = (error("", "0.05 ms"), error("", "0.025 ms"));
    assert!(coarse < 1e-6 && (14.0..19.0).contains(&(coarse / fine)), "{coarse:e} {fine:e}");
    // The control: of order 1.
    assert!(error("solve y, z by exponential_euler", "0.05 ms") > 1e-3);
}
