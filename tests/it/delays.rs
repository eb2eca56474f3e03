//! What comes through delays: on which side of the synapse, before the start, and as rules see it.

use crate::support::{close, reports};

/// A clock whose output is the time in milliseconds, and cells that keep what has come to them.
const CELLS: &str = "
neuron Clock {
  state u: real = 1
  u' = 1 / (1 ms)
  output u
}
neuron Kept {
  input I: real
  state v: real = 0
  next v = I
}
";

#[test]
fn both_sides_of_a_delay_lie_between_a_sender_and_its_target() {
    let text = format!(
        "{CELLS}
architecture N {{
  population r: Clock[2]
  population t: Kept[5]
  connect r[0 .. 1] -> t[0 .. 1] as c0: all() via Direct(w = 1, delay = 6 ms)
  connect r[0 .. 1] -> t[1 .. 2] as c1: all() via Direct(w = 1, delay = 4 ms axonal + 2 ms dendritic)
  connect r[0 .. 1] -> t[2 .. 3] as c2: all() via Direct(w = 1, delay = 6 ms dendritic)
  connect r -> t[3 .. 5] as c3: one_to_one() via Direct(w = 1, delay = 4 ms axonal + (1 ms * (1 + i)) dendritic)
}}
experiment E {{
  let net = N()
  simulate net for 10 ms step 1 ms
  report v = net.t.v
}}
"
    );
    // At 9 ms the clock of 9 - 6 ms.
    assert_eq!(reports(&text)["v"], [4.0, 4.0, 4.0, 5.0, 4.0]);
}

#[test]
fn first_values_go_through_a_chain_of_delays() {
    let text = format!(
        "{CELLS}
neuron Through {{
  input I: real
  output y = I
}}
neuron Held {{
  state u: real = 2
  u' = 0 / (1 ms)
  output u
}}
architecture N {{
  population c: Kept[1]
  population b: Through[1]
  population a: Held[1]
  connect b -> c: all() via Direct(w = 1, delay = 3 ms)
  connect a -> b: all() via Direct(w = 1, delay = 1 ms)
}}
experiment E {{
  let net = N()
  let run = simulate net for 5 ms step 1 ms {{ record net.b.y, net.c.v }}
  report y = run.b.y[.., 0]
  report v = run.c.v[.., 0]
}}
"
    );
    let found = reports(&text);
    assert_eq!(found["y"], [2.0; 6]);
    assert_eq!(found["v"], [0.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
}

/// The integral of `t - d + 1` from the step that ends at `dt` to the one that ends at 10 ms.
fn integral(delay: f64) -> f64 {
    (1..=1000).map(|k| (f64::from(k) * 0.01 - delay).max(0.0) + 1.0).sum::<f64>() * 0.01
}

#[test]
fn a_rule_looks_back_from_the_end_of_the_step() {
    let text = format!(
        "{CELLS}
local rule Sum {{ w' = pre.u / (1 ms) }}
architecture N {{
  population a: Clock[2]
  population b: Kept[3]
  connect a -> b as none: all() via Direct(w = 0)
  connect a -> b as one: all() via Direct(w = 0, delay = 0.01 ms)
  connect a -> b as long: all() via Direct(w = 0, delay = 5 ms)
  connect a -> b as uneven: all() via Direct(w = 0, delay = 5 ms + 1 ms * i)
  connect a -> b[1 .. 3] as some: all() via Direct(w = 0, delay = 5 ms)
}}
experiment E {{
  let net = N()
  simulate net for 10 ms step 0.01 ms {{ learn net.none, net.one, net.long, net.uneven, net.some by Sum() }}
  report none = net.none.w
  report one = net.one.w
  report long = net.long.w
  report uneven = net.uneven.w
  report some = net.some.w
}}
"
    );
    let found = reports(&text);
    for (name, delay, len) in [("none", 0.0, 6), ("one", 0.01, 6), ("long", 5.0, 6), ("some", 5.0, 4)] {
        assert_eq!(found[name].len(), len, "{name}");
        assert!(found[name].iter().all(|w| close(*w, integral(delay))), "{name}: {:?}", found[name]);
    }
    let by_sender = [integral(5.0), integral(6.0)];
    assert!(found["uneven"].iter().enumerate().all(|(k, w)| close(*w, by_sender[k % 2])), "{:?}", found["uneven"]);
}

#[test]
fn a_presentation_counts_both_sides_and_begins_with_silence() {
    let text = "neuron Count {
  input u: real
  state r: real = 1
  next r = r + u
  output r
}
neuron Shown {
  input u: real
  output y = u
}
architecture N {
  input x: real[1]
  population h: Count[2]
  population a: Shown[3]
  population b: Shown[3]
  connect x -> h: dense(bias = false) via Direct(w = 1)
  connect h -> a: all() via Direct(w = 1, delay = 2 ms)
  connect h -> b: all() via Direct(w = 1, delay = 1 ms axonal + 2 ms dendritic)
}
experiment E {
  let net = N()
  data d = table(x = [[1]])
  report a = collect(last(net.a) on d given x = x for 5 ms step 1 ms)
  report b = collect(last(net.b) on d given x = x for 5 ms step 1 ms)
  report first = collect(last(net.b) on d given x = x for 3 ms step 1 ms)
}
";
    let found = reports(text);
    assert_eq!(found["a"], [6.0; 3]);
    assert_eq!(found["b"], [4.0; 3]);
    assert_eq!(found["first"], [0.0; 3]);
}

#[test]
fn rules_change_weights_of_synapses_that_have_states_of_their_own() {
    let text = "neuron A {
  state v: real = 1
  next v = 0.9 * v
  output v
}
neuron B {
  input I: real
  state u: real = 0
  next u = I
}
synapse S {
  weight w: real = 1
  state g: real = 0.25
  g' = w / (1 ms)
  output I = g
}
local rule L { next w = w * pre.v }
architecture Net {
  population a: A[2]
  population c: B[3]
  connect a -> c as z: all() via S(w = 1 + i + 10 * j)
}
experiment E {
  let net = Net()
  simulate net for 1 ms step 0.5 ms { learn net.z by L() }
  report w = net.z.w
  report g = net.z.g
}
";
    let found = reports(text);
    let first = |target: usize, sender: usize| (1 + sender + 10 * target) as f64;
    let w: Vec<f64> = (0..6).map(|k| first(k / 2, k % 2) * 0.9 * 0.81).collect();
    let g: Vec<f64> = (0..6).map(|k| 0.25 + 0.5 * first(k / 2, k % 2) * 1.9).collect();
    assert!(found["w"].iter().zip(&w).all(|(a, b)| close(*a, *b)), "{:?}", found["w"]);
    assert!(found["g"].iter().zip(&g).all(|(a, b)| close(*a, *b)), "{:?}", found["g"]);
}
