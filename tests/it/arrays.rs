//! Arrays of each cell: elements at computed places, matrix products, changes of single elements, and training through
//! them. The number of cells is that of elements too, so that one is not taken for the other.

use std::collections::BTreeMap;

use nnm_compiler::engine::Backend;
use nnm_compiler::settings::Settings;
use nnm_compiler::value::Value;

use crate::support::{differences, errors, outcomes, root};

/// What an experiment reports, of compiled code and the interpreter the same bits.
fn reports(text: &str) -> BTreeMap<String, Vec<f64>> {
    let path = root().join("tests/stages/inline.nnm");
    let run = |backend| outcomes(&path, text, &Settings { backend, ..Settings::default() });
    let all = run(Backend::Jit);
    assert_eq!(differences(&all, &run(Backend::Interpreter)), Vec::<String>::new());
    let named = all.iter().flat_map(|o| &o.reports);
    let numbers = named.filter_map(|(name, value)| match value {
        Value::Num(num) => num.as_const().map(|a| (name.clone(), a.iter().copied().collect())),
        _ => None,
    });
    numbers.collect()
}

fn near(found: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{found:?} instead of {wanted:?}");
    for (f, w) in found.iter().zip(wanted) {
        assert!((f - w).abs() <= tolerance * w.abs().max(1e-12), "{found:?} instead of {wanted:?}");
    }
}

/// A status of failure with its code.
fn failure(text: &str) -> String {
    let run = crate::support::run(&root().join("tests/stages/inline.nnm"), text, &Settings::default());
    format!("{:?} {:?}", run.failure, run.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>())
}

const TABLES: &str = "fn at(table, k) = table[k]
neuron Cell {
  param tab: real[4] = [1, 2, 4, 8]
  param own: real[4] = [0, 0, 0, 0]
  param grid: real[2, 4] = [[1, 2, 3, 4], [10, 20, 30, 40]]
  state v: real = 0
  state a: real = 0
  state b: real = 0
  state c: real = 0
  state d: real = 0
  state e: real = 0
  state f: real = 0
  state g: real = 0
  state h: real[2] = 0
  state i: real = 0
  state j: real = 0
  state x: real[3] = [5, 6, 7]
  let k = clamp(floor(v), 0, 3)
  let m = tab[k] + own[3 - k]
  v' = 1 / (1 ms)
  next a = tab[k]
  next b = own[k]
  next c = tab[index]
  d' = (tab[k] - d) / (10 ms)
  next e = m
  next f = take(tab, k) + 100 * sum(own * one_hot(k, 4))
  next g = grid[1, k] + at(own, k)
  next h = grid[.., k]
  next i = if k < 3 then x[k] else -1
  when tab[k] > 3 { j = x[min(k, 2)] + own[k] }
  output y = own[k] + x[2 - index]
}
architecture N { population c: Cell(v = [0.5, 1.5, 3.5], own = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])[3] }
experiment E {
  let net = N()
  let run = simulate net for 1 ms step 1 ms {
    record net.c.y
  }
  report all = [net.c.a, net.c.b, net.c.c, net.c.e, net.c.f, net.c.g, net.c.i, net.c.j].reshape(24)
  report h = net.c.h
  report d = net.c.d
  report y = run.c.y[0]
}
";

/// Cells at 0.5, 1.5, 3.5 look up places 0, 1, 3: in tables that they share and in their own.
#[test]
fn a_table_is_looked_up_anywhere_in_a_neuron() {
    let found = reports(TABLES);
    let (tab, own) = ([1.0, 2.0, 4.0, 8.0], |c: usize, k: usize| (4 * c + k + 1) as f64);
    let cells = [(0usize, 0usize), (1, 1), (2, 3)];
    let each = |f: &dyn Fn(usize, usize) -> f64| cells.map(|(c, k)| f(c, k)).to_vec();
    let wanted = [
        each(&|_, k| tab[k]),
        each(&own),
        each(&|c, _| tab[c]),
        each(&|c, k| tab[k] + own(c, 3 - k)),
        each(&|c, k| tab[k] + 100.0 * own(c, k)),
        each(&|c, k| [10.0, 20.0, 30.0, 40.0][k] + own(c, k)),
        each(&|_, k| if k < 3 { 5.0 + k as f64 } else { -1.0 }),
        // Blocks see what the step has made of v: 1.5, 2.5, 4.5.
        vec![0.0, 7.0 + own(1, 2), 7.0 + own(2, 3)],
    ];
    near(&found["all"], &wanted.concat(), 1e-14);
    near(&found["h"], &[1.0, 10.0, 2.0, 20.0, 4.0, 40.0], 0.0);
    let grown = 1.0 - (-0.1f64).exp();
    near(&found["d"], &each(&|_, k| tab[k] * grown), 1e-12);
    near(&found["y"], &[1.0 + 7.0, 6.0 + 6.0, 12.0 + 5.0], 0.0);
}

/// A place that is none ends the run, but where a branch or a block does not ask for it.
#[test]
fn a_place_beyond_a_table_is_refused() {
    let with = |change: &str| {
        format!(
            "neuron Cell {{
  param tab: real[4] = [1, 2, 4, 8]
  state k: real = 0
  state a: real = 0
  next k = k + 1
  {change}
}}
architecture N {{ population c: Cell[4] }}
experiment E {{
  let net = N()
  simulate net for 6 ms step 1 ms
  report a = net.c.a
}}
"
        )
    };
    for wrong in ["next a = tab[k]", "next a = tab[k / 2]", "when k > 4 { a = tab[k] }", "next a = sum(one_hot(k, 4))"]
    {
        assert!(failure(&with(wrong)).contains("E0237"), "{wrong}: {}", failure(&with(wrong)));
    }
    near(&reports(&with("next a = if k < 4 then tab[k] else -1"))["a"], &[-1.0; 4], 0.0);
    near(&reports(&with("when k < 4 { a = tab[k] }"))["a"], &[8.0; 4], 0.0);
}

/// What enters an equation in steps is neither linear nor nothing: x' = (s(x) - x) / tau with s(x) = 2 above 1.
#[test]
fn what_goes_in_steps_is_not_taken_for_nothing() {
    for step in ["if x > 1 then 2 else 0", "2 * (x > 1)", "tab[min(floor(x), 2)]", "floor(min(x, 2) / 2 + 0.5) * 2"] {
        let text = format!(
            "neuron Cell {{
  param tab: real[3] = [0, 2, 2]
  state x: real = 0
  x' = (({step}) - x) / (10 ms)
}}
architecture N {{ population c: Cell(x = [0.8, 3])[2] }}
experiment E {{
  let net = N()
  simulate net for 5 ms step 1 ms
  report x = net.c.x
}}
"
        );
        let fall = (-0.5f64).exp();
        near(&reports(&text)["x"], &[0.8 * fall, 2.0 + fall], 1e-12);
    }
}

const PRODUCTS: &str = "neuron Cell {
  param A: real[3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, -1]]
  param B: real[2, 3] = [[1, 2, 3], [4, 5, 6]]
  param u: real[3] = [1, 10, 100]
  param tau = 10 ms
  state x: real[3] = [1, 0, 1]
  state y: real[2] = 0
  state z: real[3] = 0
  state s: real = 0
  state P: real[2, 2] = 0
  state q: real[3] = [3, 5, 7]
  let m: real[2] = B @ q
  x' = (A @ x) / tau
  next y = m
  next z = y @ B + [1, 0, 1] * q
  next s = u @ q + [1, 1, 1] @ (A @ q)
  next P = B @ transpose(B)
}
";

/// Three cells of three elements: a rotation in time, and products by hand.
#[test]
fn matrices_of_a_cell_multiply_its_arrays() {
    for cells in [1, 2, 3] {
        let text = format!(
            "{PRODUCTS}architecture N {{ population c: Cell(tau = 10 ms * (1 + arange({cells})))[{cells}] }}
experiment E {{
  let net = N()
  let run = simulate net for 10 ms step 0.1 ms {{
    record net.c.y
  }}
  report x = net.c.x
  report y = net.c.y
  report z = net.c.z
  report s = net.c.s
  report P = net.c.P
}}
"
        );
        let found = reports(&text);
        let turned = |c: usize| {
            let t = 1.0 / (c + 1) as f64;
            [t.cos(), t.sin(), (-t).exp()]
        };
        let all = |one: &[f64]| one.repeat(cells);
        near(&found["x"], &(0..cells).flat_map(turned).collect::<Vec<_>>(), 1e-9);
        near(&found["y"], &all(&[34.0, 79.0]), 0.0);
        // [34, 79] @ B, and q where the list is 1.
        near(&found["z"], &all(&[34.0 + 316.0 + 3.0, 68.0 + 395.0, 102.0 + 474.0 + 7.0]), 0.0);
        // A @ q = [-5, 3, -7].
        near(&found["s"], &all(&[3.0 + 50.0 + 700.0 - 9.0]), 0.0);
        near(&found["P"], &all(&[14.0, 32.0, 32.0, 77.0]), 0.0);
    }
}

/// What is wrong with shapes is said as they are written, without the cells.
#[test]
fn shapes_of_cells_are_said_as_they_are_written() {
    let path = root().join("tests/stages/inline.nnm");
    let wrong = |line: &str| {
        let text = format!(
            "neuron Cell {{
  param A: real[3, 2] = [[1, 2], [3, 4], [5, 6]]
  state x: real[3] = 0
  state v: real = 0
  {line}
}}
architecture N {{ population c: Cell[7] }}
experiment E {{
  let net = N()
  simulate net for 1 ms step 1 ms
}}
"
        );
        errors(&path, &text).into_iter().map(|f| format!("{} {}", f.code, f.message)).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(wrong("next x = A @ x"), "E0301 the inner lengths of `@` differ: [3, 2] @ [3] has 2 against 3");
    assert_eq!(wrong("next x = x + A"), "E0301 the shapes of `+` do not fit: [3] and [3, 2]");
    assert_eq!(wrong("next v = x"), "E0313 expected the shape one number, found [3]");
    assert_eq!(wrong("when v > 0 { x = A[0] }"), "E0313 expected the shape [3], found [2]");
    assert_eq!(wrong("next v = x[1, 0]"), "E0317 [3] has no axis 1 to index");
    assert_eq!(wrong("next v = v * [1, 2, 3, 4, 5, 6, 7]"), "E0313 expected the shape one number, found [7]");
    assert_eq!(wrong("next v = x @ v"), "E0301 `@` takes vectors and matrices, not [3] and one number");
}

const ELEMENTS: &str = "use std.sources.SpikeTimes
neuron Ring {
  input kick: event
  param n = 4
  state k: real = 0
  state v: real = 0
  state past: real[4] = 0
  state x: real[3] = [1, 2, 3]
  state M: real[2, 3] = 0
  next v = v + 1
  on kick { x[0] += kick
    x[2] *= 2 }
  when v > 0 { past[k] = v + index
    k = mod(k + 1, n) }
  spike when mod(v, 3) < 0.5 { x[1] += 1
    M[1, 0 .. 2] += x[1 ..]
    M[0] = x
    M[.., 2] -= 1 }
  every 4 ms { past[0 .. 2] = [-1, -2] }
}
architecture N {
  population s: SpikeTimes(times = [1.5 ms, 4.5 ms])[2]
  population c: Ring[3]
  connect s -> c.kick: all() via Direct(w = 10 * (1 + j))
}
experiment E {
  let net = N()
  let run = simulate net for 7 ms step 1 ms {
    record net.c.past
  }
  report past = net.c.past
  report x = net.c.x
  report M = net.c.M
}
";

/// A cell by hand: what blocks make of elements and slices, in the order of a step.
fn ring(cell: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut k, mut past, mut x, mut m) = (0, [0.0; 4], [1.0, 2.0, 3.0], [[0.0; 3]; 2]);
    for step in 1..=7 {
        // Two spikes arrive in the steps that follow on 1.5 and 4.5 ms.
        if step == 3 || step == 6 {
            x[0] += 2.0 * 10.0 * (1 + cell) as f64;
            x[2] *= 2.0;
        }
        if step % 4 == 0 {
            (past[0], past[1]) = (-1.0, -2.0);
        }
        past[k] = (step + cell) as f64;
        k = (k + 1) % 4;
        if step % 3 == 0 {
            x[1] += 1.0;
            (m[1][0], m[1][1]) = (m[1][0] + x[1], m[1][1] + x[2]);
            m[0] = x;
            (m[0][2], m[1][2]) = (m[0][2] - 1.0, m[1][2] - 1.0);
        }
    }
    (past.to_vec(), x.to_vec(), m.concat())
}

#[test]
fn elements_and_slices_change_in_blocks() {
    let found = reports(ELEMENTS);
    let cells: Vec<_> = (0..3).map(ring).collect();
    near(&found["past"], &cells.iter().flat_map(|c| c.0.clone()).collect::<Vec<_>>(), 0.0);
    near(&found["x"], &cells.iter().flat_map(|c| c.1.clone()).collect::<Vec<_>>(), 0.0);
    near(&found["M"], &cells.iter().flat_map(|c| c.2.clone()).collect::<Vec<_>>(), 0.0);
}

/// Spikes change elements of their targets' arrays: each connection its own, and all elements where none is named.
#[test]
fn synapses_change_elements_of_their_targets() {
    let text = "use std.sources.SpikeTimes
neuron Cell {
  state x: real[3] = 0
  state M: real[2, 2] = 0
  next x = 0.5 * x
}
synapse To {
  param k = 0
  weight w: real = 1
  on pre { post.x[k] += w
    post.x[k + 1 ..] -= 100
    post.M[0, 1] += w
    post.M += 1000 }
}
architecture N {
  population s: SpikeTimes(times = [1 ms])[2]
  population c: Cell[3]
  connect s -> c as a: all() via To(k = 0, w = 1 + j)
  connect s -> c as b: all() via To(k = 1, w = 10 * (1 + j))
}
experiment E {
  let net = N()
  simulate net for 3 ms step 1 ms
  report x = net.c.x
  report M = net.c.M
}
";
    let found = reports(text);
    let cell = |c: f64| [2.0 * c, -200.0 + 20.0 * c, -400.0];
    // They act at 2 ms, and two steps halve them.
    near(&found["x"], &(1..=3).flat_map(|c| cell(c as f64).map(|x| x / 4.0)).collect::<Vec<_>>(), 1e-14);
    let wanted = (1..=3).flat_map(|c| [4000.0, 4000.0 + 22.0 * c as f64, 4000.0, 4000.0]).collect::<Vec<_>>();
    near(&found["M"], &wanted, 1e-14);
}

/// A network over time whose cells have arrays in every role; `change` is put in for its control.
fn trained(rule: &str, spiking: bool) -> String {
    let fires = if spiking {
        "spike when z[1] > 0.4 surrogate fast_sigmoid(slope = 2) { z[1] -= 0.4\n    n[0] += 1 }"
    } else {
        ""
    };
    let output = if spiking { "" } else { "output y = x[0] - 0.3 * x[1] + z[1] + tab[index]" };
    format!(
        "use std.objectives.SquaredError
use std.rules.{rule}
use std.optimizers.SGD
use std.surrogates.fast_sigmoid
neuron Bank {{
  param A: real[2, 2] = [[0.6, 0.3], [-0.2, 0.7]]
  param tab: real[4] = [0.1, -0.2, 0.3, 0]
  param tau: ms[2] = [3 ms, 8 ms]
  weight gain: real = 0.8
  input I: real
  state x: real[2] = 0
  state z: real[2] = 0
  state n: real[2] = 0
  next x = tanh(A @ x + gain * I)
  z' = (I * [1, 0.5] + x - z) / tau
  {fires}
  {output}
}}
neuron Out {{ input u: real
  state r: real[2] = 0
  next r = 0.7 * r + u * [1, 0.2]
  output y = sum(r) }}
architecture N {{
  input x: real[3]
  population h: Bank[4]
  population y: Out[2]
  connect x -> h: dense()
  connect h -> h: all() via Direct(w = 0.05 * (i - j), delay = 2 ms)
  connect h -> y: dense()
}}
experiment E {{
  precision f64
  let net = N()
  data d = table(x = [[1, 2, 0.5], [2.5, 0.3, 1.2]], g = [[1, 0], [0, 1]])
  let t = train net on d {{
    given x = x for 12 ms step 1 ms
    minimize SquaredError(mean_t(net.y), g) by {rule} with SGD(rate = 0.02)
    epochs 3
  }}
  report loss = t.loss
}}
"
    )
}

/// The same network with a number for each element.
fn written_out(text: &str, spiking: bool) -> String {
    let begin = text.find("neuron Bank").expect("the neuron");
    let end = text.find("architecture N").expect("the network");
    let fires = if spiking {
        "spike when z1 > 0.4 surrogate fast_sigmoid(slope = 2) { z1 -= 0.4\n    n0 += 1 }"
    } else {
        "output y = x0 - 0.3 * x1 + z1 + tab"
    };
    let cells = format!(
        "neuron Bank {{
  param tab = 0
  weight gain: real = 0.8
  input I: real
  state x0: real = 0
  state x1: real = 0
  state z0: real = 0
  state z1: real = 0
  state n0: real = 0
  next x0 = tanh(0.6 * x0 + 0.3 * x1 + gain * I)
  next x1 = tanh(0.7 * x1 - 0.2 * x0 + gain * I)
  z0' = (I + x0 - z0) / (3 ms)
  z1' = (0.5 * I + x1 - z1) / (8 ms)
  {fires}
}}
neuron Out {{ input u: real
  state r0: real = 0
  state r1: real = 0
  next r0 = 0.7 * r0 + u
  next r1 = 0.7 * r1 + 0.2 * u
  output y = r0 + r1 }}
"
    );
    let network = text[end..].replace("h: Bank[4]", "h: Bank(tab = [0.1, -0.2, 0.3, 0])[4]");
    format!("{}{cells}{network}", &text[..begin])
}

/// Derivatives through arrays of cells over time, against quotients of differences, and the whole course of a training
/// against that of the network with a number for each element.
#[test]
fn cells_with_arrays_are_trained() {
    use nnm_compiler::samples::Verdict;
    let path = root().join("tests/stages/inline.nnm");
    for spiking in [false, true] {
        let text = trained("Backprop", spiking);
        let settings = Settings { check_gradients: true, ..Settings::default() };
        let found = outcomes(&path, &text, &settings);
        let rows = &found[0].gradients;
        assert!(rows.len() >= 5, "{rows:?}");
        for row in rows {
            let through_spikes = spiking && !row.parameter.contains("h_y");
            let wanted = if through_spikes { Verdict::Replaced } else { Verdict::Agrees };
            assert_eq!(row.verdict, wanted, "{row:?}");
            assert!(row.derivative != 0.0, "{row:?}");
        }
        let loss = |text: &str| {
            let all = outcomes(&path, text, &Settings::default());
            let loss = all[0].reports.iter().find(|(name, _)| *name == "loss").map(|(_, value)| value.clone());
            match loss {
                Some(Value::Num(num)) => num.as_const().map(|a| a.iter().copied().collect()).unwrap_or_default(),
                _ => vec![],
            }
        };
        let here: Vec<f64> = loss(&text);
        assert!(here.len() == 3 && here[2] < here[0], "{here:?}");
        near(&here, &loss(&written_out(&text, spiking)), 1e-9);
        // The control: another time constant of one element is seen.
        let other = loss(&text.replace("[3 ms, 8 ms]", "[3 ms, 7 ms]"));
        assert!((other[2] - here[2]).abs() > 1e-6, "{other:?} and {here:?}");
        reports(&text);
    }
}

/// What was recorded becomes data of as many rows as the run has.
#[test]
fn rows_of_a_recording_are_as_many_as_it_has() {
    let text = "neuron Cell {
  state y: real = 0
  next y = y + 1 + index
}
architecture N { population c: Cell[3] }
experiment E {
  let net = N()
  let run = simulate net for 100 ms step 1 ms { record net.c.y }
  data d = table(x = run.c.y, k = arange(101))
  report a = collect(sum(x) on d[2 .. 5])
  data e = table(x = run.c.y)
  report n = length(e)
  report m = length(e.sample(7))
}
";
    let found = reports(text);
    assert_eq!(found["a"], [12.0, 18.0, 24.0]);
    assert_eq!((found["n"][0], found["m"][0]), (101.0, 7.0));
    let beyond = text.replace("sum(x) on d[2 .. 5]", "sum(x) on table(x = run.c.y)[99 .. 102]");
    assert!(failure(&beyond).contains("E0316"), "{}", failure(&beyond));
}

/// An architecture's input is driven as a port is: the network acts as with the same at its cells.
#[test]
fn inputs_of_architectures_are_stimulated() {
    let text = |stimulus: &str| {
        format!(
            "neuron Cell {{
  input I: real
  state v: real = 0
  v' = (I - v) / (10 ms)
}}
architecture N {{
  input x: real[2]
  population c: Cell[3]
  connect x -> c: all() via Direct(w = 1 + i + j)
}}
experiment E {{
  let net = N()
  let run = simulate net for 20 ms step 1 ms {{
    {stimulus}
    record net.c.v, net.c.I
  }}
  report v = last(run.c.v)
  report I = run.c.I[12]
}}
"
        )
    };
    // [targets, senders] of 1 + i + j times [1, 10].
    let of = |w: [f64; 2]| (0..3).map(|j| (1 + j) as f64 * w[0] + (2 + j) as f64 * w[1]).collect::<Vec<_>>();
    let found = reports(&text("stimulate net.x = [1, 10] from 5 ms to 15 ms"));
    near(&found["I"], &of([1.0, 10.0]), 1e-14);
    let grown = (1.0 - (-1.0f64).exp()) * (-0.5f64).exp();
    near(&found["v"], &of([grown, 10.0 * grown]), 1e-12);
    // Stimuli add up; one number is that of all elements; rows follow one another.
    let found = reports(&text(
        "stimulate net.x = 2 from 10 ms to 14 ms\n    stimulate net.x = [1, 10] * (1 + index) from 5 ms to 15 ms",
    ));
    near(&found["I"], &of([3.0, 22.0]), 1e-14);
    let found = reports(&text("stimulate net.x = [[1, 2], [3, 4], [5, 6]] over time step 5 ms"));
    near(&found["I"], &of([5.0, 6.0]), 1e-14);
    assert!(reports(&text(""))["v"].iter().all(|v| *v == 0.0));
    let host = crate::support::Quiet::beside(&root().join("tests/stages/inline.nnm"));
    let warned = |text: &str| {
        let checked = nnm_compiler::pipeline::Parsed::new("inline.nnm", text, &host);
        let checked = checked.check(text, &host, &Settings::default()).map_err(|_| "refused");
        checked.map(|c| c.warnings.iter().map(|d| d.code).collect::<Vec<_>>())
    };
    assert_eq!(warned(&text("")), Ok(vec!["W0002"]));
    assert_eq!(warned(&text("stimulate net.x = 1")), Ok(vec![]));
}
