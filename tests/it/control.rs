//! The course of runs: cut off and gone on with, ended early, saved and loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use nnm_compiler::checkpoint::Keeper;
use nnm_compiler::engine::Threads;
use nnm_compiler::events::Event;
use nnm_compiler::failure::Failure;
use nnm_compiler::pipeline::{Parsed, Run};
use nnm_compiler::session::Host;
use nnm_compiler::settings::Settings;
use nnm_compiler::value::Value;
use nnm_runtime::data::Files;

use crate::support::{bits, differences, numbers, outcomes, root};

/// Keeps checkpoints in memory and asks the run to stop after so many looks.
struct Cut {
    files: Files,
    looks: AtomicUsize,
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    epochs: Mutex<Vec<(usize, u64)>>,
}

impl Cut {
    fn after(looks: usize, kept: BTreeMap<String, Vec<u8>>) -> Cut {
        let files = Files::new([root().join("models")]);
        Cut { files, looks: AtomicUsize::new(looks), kept: Mutex::new(kept), epochs: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.kept.lock().expect("no thread has panicked")
    }

    fn epochs(&self) -> MutexGuard<'_, Vec<(usize, u64)>> {
        self.epochs.lock().expect("no thread has panicked")
    }
}

impl Keeper for Cut {
    fn load(&self, name: &str) -> Option<Vec<u8>> {
        self.kept().get(name).cloned()
    }

    fn store(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        self.kept().insert(name.to_string(), bytes.to_vec());
        Ok(())
    }

    fn due(&self) -> bool {
        false
    }
}

impl Host for Cut {
    fn module(&self, _: &str) -> Option<String> {
        None
    }

    fn files(&self) -> &Files {
        &self.files
    }

    fn progress(&self, event: &Event) {
        if let Event::Epoch { epoch, loss, .. } = event {
            self.epochs().push((*epoch, loss.to_bits()));
        }
    }

    fn interrupted(&self) -> bool {
        let fewer = |left: usize| Some(left.saturating_sub(1));
        self.looks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer) == Ok(0)
    }

    fn keeper(&self) -> Option<&dyn Keeper> {
        Some(self)
    }
}

fn run_with(host: &Cut, text: &str) -> Run {
    run_as(host, text, &Settings::default())
}

fn run_as(host: &Cut, text: &str, settings: &Settings) -> Run {
    let checked = Parsed::new("cut.nnm", text, host).check(text, host, settings);
    let checked = checked.unwrap_or_else(|r| panic!("{:#?}", r.diagnostics));
    checked.run(host, settings)
}

const TRAINED: &str = r#"
use std.neurons.{Tanh, Linear, Elman}
use std.objectives.{CrossEntropy, SquaredError}
use std.rules.{Backprop, Reinforce, STDP}
use std.optimizers.{Adam, SGD}
use std.environments.GridWorld
use std.sources.Poisson
use std.neurons.LIF
use std.synapses.ExpCurrent

architecture Classifier {
  input x: real[64]
  population h: Tanh[12]
  population y: Linear[10]
  connect x -> h: dense()
  connect h -> y: dense()
}

architecture Reader {
  input x: real[8]
  population h: Elman[6]
  population y: Linear[10]
  connect x -> h: dense()
  connect h -> h as memory: dense(bias = false) via Direct(delay = 1 step)
  connect h -> y: dense()
}

architecture Policy {
  input x: real[9]
  population y: Linear[4]
  connect x -> y: dense()
}

architecture Cells {
  population source: Poisson(rate = 40 Hz)[30]
  population cell: LIF[3]
  connect source -> cell as syn: all() via ExpCurrent(w = 0.2 nA, delay = 1.5 ms)
}

experiment Several {
  seed 7
  data digits = csv("data/digits.csv", image = columns(0 .. 64) / 16, label = column("label")).split(test = every(5))
  let few = digits.train[0 .. 200]

  let net = Classifier()
  let first = train net on few {
    given x = image + 0.05 * normal(0, 1)
    minimize CrossEntropy(net.y, label) by Backprop with Adam(rate = 5e-3)
    validate on digits.test every 2 epochs
    early_stop after 3 epochs
    checkpoint every 5 updates
    record norm(net.x_h.w) as length every 3 updates
    batch 32
    epochs 9
  }

  let reader = Reader()
  let second = train reader on few {
    given x = image.reshape(8, 8) over time
    minimize CrossEntropy(last(reader.y), label) by Backprop with SGD(rate = 0.1, momentum = 0.9)
    truncate 4 steps
    batch 50
    epochs 3
  }

  let policy = Policy()
  let third = train policy in GridWorld(size = 3, max_steps = 30) {
    given x = observation
    act go ~ categorical(softmax(policy.y))
    maximize discounted(reward, 0.9) by Reinforce() with Adam(rate = 0.05)
    batch 8 episodes
    updates 6
  }

  let cells = Cells()
  let fourth = simulate cells for 300 ms step 0.1 ms {
    record cells.cell.spikes
    record cells.cell.v every 1 ms
  }
  report accuracy = evaluate(accuracy(net.y, label) on digits.test)
  report spikes = count(fourth.cell)
}
"#;

#[test]
fn a_run_that_was_cut_off_goes_on_to_the_same_bits() {
    let whole_host = Cut::after(usize::MAX, BTreeMap::new());
    let whole = run_with(&whole_host, TRAINED);
    assert!(whole.failure.is_none(), "{:?} {:?}", whole.failure, whole.diagnostics);
    let looks = usize::MAX - whole_host.looks.load(Ordering::SeqCst);
    assert!(looks > 40, "only {looks} looks");
    for cut in [0, 1, 3, looks / 4, looks / 3, looks / 2, looks - 60, looks - 3] {
        let host = Cut::after(cut, BTreeMap::new());
        let part = run_with(&host, TRAINED);
        assert!(matches!(part.failure, Some(Failure::Interrupted)), "{cut} of {looks}: {:?}", part.failure);
        assert!(!host.kept().is_empty(), "nothing kept at {cut} of {looks}");
        let again = Cut::after(usize::MAX, std::mem::take(&mut *host.kept()));
        let run = run_with(&again, TRAINED);
        assert!(run.failure.is_none(), "{:?} {:?}", run.failure, run.diagnostics);
        assert_eq!(differences(&whole.outcomes, &run.outcomes), Vec::<String>::new(), "cut at {cut} of {looks}");
        assert_eq!(*whole_host.epochs(), *again.epochs(), "cut at {cut} of {looks}");
    }
}

#[test]
fn a_run_cut_off_twice_goes_on_too() {
    let whole = run_with(&Cut::after(usize::MAX, BTreeMap::new()), TRAINED);
    let mut kept = BTreeMap::new();
    let mut cuts = 0;
    let last = loop {
        let host = Cut::after(11, kept);
        let run = run_with(&host, TRAINED);
        if run.failure.is_none() {
            break run;
        }
        cuts += 1;
        assert!(cuts < 200, "no progress");
        kept = std::mem::take(&mut *host.kept());
    };
    assert!(cuts > 3, "{cuts}");
    assert_eq!(differences(&whole.outcomes, &last.outcomes), Vec::<String>::new());
}

const SIMULATED: &str = r#"
use std.neurons.LIF
use std.rules.STDP
use std.sources.Poisson
use std.synapses.{ExpCurrent, TsodyksMarkram}

architecture Net {
  population source: Poisson(rate = 30 Hz)[200]
  population a: LIF[150]
  population b: LIF[130]
  connect source -> a as drive: random(p = 20 %) via ExpCurrent(w = 90 pA, delay ~ uniform(0.5 ms, 3 ms))
  connect a -> b as syn: random(p = 20 %) via ExpCurrent(w = 80 pA, delay = 1.5 ms)
  connect a -> a as own: fan_in(k = 8) via TsodyksMarkram(w = 40 pA)
}

experiment Cut {
  seed 3
  let net = Net()
  let run = simulate net for 200 ms step 0.1 ms {
    learn net.syn by STDP(w_max = 0.2 nA)
    record net.a.spikes, net.b.spikes
    record net.b[0 .. 5].v every 1 ms
    checkpoint every 10 ms
  }
  report w = net.syn.w
  report spikes = count(run.b)
}
"#;

#[test]
fn threads_may_change_where_a_run_was_cut_off() {
    let settings = |most| Settings { threads: Threads { most, always: true }, ..Settings::default() };
    let whole = run_with(&Cut::after(usize::MAX, BTreeMap::new()), SIMULATED);
    assert!(whole.failure.is_none(), "{:?} {:?}", whole.failure, whole.diagnostics);
    for (before, after, cut) in [(2, 2, 3), (1, 3, 6), (3, 1, 6), (2, 4, 9)] {
        let host = Cut::after(cut, BTreeMap::new());
        let part = run_as(&host, SIMULATED, &settings(before));
        assert!(matches!(part.failure, Some(Failure::Interrupted)), "{cut}: {:?}", part.failure);
        let again = Cut::after(usize::MAX, std::mem::take(&mut *host.kept()));
        let run = run_as(&again, SIMULATED, &settings(after));
        assert!(run.failure.is_none(), "{:?} {:?}", run.failure, run.diagnostics);
        assert_eq!(differences(&whole.outcomes, &run.outcomes), Vec::<String>::new(), "{before}, then {after} threads");
    }
}

/// A loop whose passes run at the same time, and what they say.
const PASSES: &str = r#"
use std.neurons.{LIF, Tanh, Linear}
use std.synapses.ExpCurrent
use std.objectives.SquaredError
use std.optimizers.Adam
use std.rules.Backprop

architecture Cells(J: pA = 20 pA) {
  population e: LIF[60]
  connect e -> e: random(p = 10 %) via ExpCurrent(w = J)
}

architecture Line {
  input x: real[2]
  population y: Linear[1]
  connect x -> y as fc: dense()
}

experiment Passes {
  seed 5
  data d = table(x = [[0, 0], [0, 1], [1, 0], [1, 1]], y = [[0], [0], [0], [1]])
  let line = Line()
  train line on d { minimize SquaredError(line.y, y) by Backprop with Adam(); batch 2; epochs 1 }
  for J in linspace(10 pA, 60 pA, 7) parallel {
    let net = Cells(J = J)
    let run = simulate net for 60 ms step 0.1 ms {
      stimulate net.e.I = 0.3 nA + 0.1 nA * normal(0, 1)
      record net.e.spikes
    }
    train line on d { minimize SquaredError(line.y, y) by Backprop with Adam(rate = J / 1 nA); batch 2; epochs 2 }
    report fired = sum(count(run.e))
    report w = line.fc.w[0, 1]
    expect fired > 0
  }
  report left = line.fc.w[0, 1]
  report spread = max(w) - min(w)
}
"#;

#[test]
fn passes_beside_one_another_give_what_they_give_alone() {
    let run = |text: &str, workers, cut, kept| {
        let host = Cut::after(cut, kept);
        let done = run_as(&host, text, &Settings { workers, ..Settings::default() });
        let (kept, epochs) = (std::mem::take(&mut *host.kept()), host.epochs().clone());
        (done, kept, epochs)
    };
    let (whole, _, epochs) = run(PASSES, 1, usize::MAX, BTreeMap::new());
    assert!(whole.failure.is_none(), "{:?} {:?}", whole.failure, whole.diagnostics);
    assert_eq!(epochs.len(), 1 + 7 * 2);
    assert_eq!(whole.outcomes[0].expectations.len(), 7);
    // Networks of before the loop are as they were; in passes one after another they go on.
    let in_turn = run(&PASSES.replace(" parallel", ""), 1, usize::MAX, BTreeMap::new()).0;
    let [apart, on] = [&whole, &in_turn].map(|run| report(&run.outcomes, "spread"));
    assert!(apart > 0.0 && on > 0.0 && apart != on, "{apart} {on}");
    for workers in [2, 3, 16] {
        let (beside, _, said) = run(PASSES, workers, usize::MAX, BTreeMap::new());
        assert_eq!(differences(&whole.outcomes, &beside.outcomes), Vec::<String>::new(), "{workers} at the same time");
        assert_eq!(epochs, said);
    }
    let (part, kept, _) = run(PASSES, 3, 20, BTreeMap::new());
    assert!(matches!(part.failure, Some(Failure::Interrupted)), "{:?}", part.failure);
    let (again, _, _) = run(PASSES, 2, usize::MAX, kept);
    assert_eq!(differences(&whole.outcomes, &again.outcomes), Vec::<String>::new());
}

#[test]
fn what_was_reached_is_in_an_interrupted_outcome() {
    let part = run_with(&Cut::after(5, BTreeMap::new()), TRAINED);
    let outcome = part.outcomes.first().expect("an outcome");
    assert!(outcome.runs.iter().any(|(name, _)| name == "first"), "{:?}", outcome.runs.len());
    assert!(outcome.weights.iter().any(|(name, _)| name == "net.x_h.w"));
}

#[test]
fn a_checkpoint_of_another_model_or_with_a_flipped_bit_is_refused() {
    let host = Cut::after(5, BTreeMap::new());
    run_with(&host, TRAINED);
    let kept = std::mem::take(&mut *host.kept());
    let other = TRAINED.replace("rate = 5e-3", "rate = 6e-3");
    let run = run_with(&Cut::after(usize::MAX, kept.clone()), &other);
    assert!(matches!(&run.failure, Some(Failure::Data(why)) if why.contains("another model")), "{:?}", run.failure);
    let mut broken = kept;
    broken.values_mut().for_each(|bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let run = run_with(&Cut::after(usize::MAX, broken), TRAINED);
    assert!(matches!(run.failure, Some(Failure::Data(_))), "{:?}", run.failure);
}

fn file(name: &str) -> PathBuf {
    root().join("models/learning").join(name)
}

fn report(run: &[nnm_compiler::experiment::Outcome], name: &str) -> f64 {
    let value = run.iter().flat_map(|o| &o.reports).find(|(n, _)| n == name).map(|(_, v)| v);
    match value {
        Some(Value::Num(num)) => num.as_f64().unwrap_or(f64::NAN),
        other => panic!("{name}: {other:?}"),
    }
}

const HEAD: &str = r#"
use std.neurons.{Tanh, Linear, Elman}
use std.objectives.{CrossEntropy, SquaredError}
use std.rules.Backprop
use std.optimizers.{Adam, SGD}
architecture Classifier {
  input x: real[64]
  population h: Tanh[12]
  population y: Linear[10]
  connect x -> h as fc1: dense()
  connect h -> y as fc2: dense()
}
architecture Reader {
  input x: real[8]
  population h: Elman[6]
  population y: Linear[10]
  connect x -> h: dense()
  connect h -> h as memory: dense(bias = false) via Direct(delay = 1 step)
  connect h -> y: dense()
}
"#;

#[test]
fn early_stopping_ends_at_the_best_weights() {
    let text = format!(
        "{HEAD}{}",
        r#"
experiment E {
  data d = csv("data/digits.csv", image = columns(0 .. 64) / 16, label = column("label")).split(test = every(5))
  let net = Classifier()
  let run = train net on d.train[0 .. 60] {
    given x = image
    minimize CrossEntropy(net.y, label) by Backprop with Adam(rate = 0.03)
    validate on d.test
    early_stop after 4 epochs
    epochs 200
  }
  report checks = length(run.validation)
  report best = min(run.validation)
  report last = run.validation[length(run.validation) - 1]
  report kept = evaluate(CrossEntropy(net.y, label) on d.test)
}
"#
    );
    let run = outcomes(&file("early.nnm"), &text, &Settings::default());
    assert!(report(&run, "checks") < 200.0, "{}", report(&run, "checks"));
    assert!((report(&run, "kept") - report(&run, "best")).abs() < 1e-6);
    assert!(report(&run, "last") > report(&run, "best"));
}

#[test]
fn truncation_to_the_whole_presentation_changes_no_bit_and_to_less_does() {
    let weights = |truncate: &str| {
        let text = format!(
            "{HEAD}{}",
            r#"
experiment E {
  data d = csv("data/digits.csv", image = columns(0 .. 64) / 16, label = column("label")).split(test = every(5))
  let net = Reader()
  train net on d.train[0 .. 60] {
    given x = image.reshape(8, 8) over time
    minimize CrossEntropy(last(net.y), label) by Backprop with SGD(rate = 0.1)
    TRUNCATE
    epochs 2
  }
}
"#
            .replace("TRUNCATE", truncate)
        );
        numbers(&outcomes(&file("truncated.nnm"), &text, &Settings::default())[0])
    };
    let whole = weights("");
    assert_eq!(whole, weights("truncate 8 steps"));
    assert_eq!(whole, weights("truncate 100 steps"));
    assert_ne!(whole, weights("truncate 3 steps"));
}

#[test]
fn divergence_says_when_and_keeps_the_weights_of_the_last_whole_epoch() {
    let text = format!(
        "{HEAD}{}",
        r#"
experiment E {
  data d = csv("data/digits.csv", image = columns(0 .. 64), label = column("label")).split(test = every(5))
  let net = Classifier()
  let run = train net on d.train[0 .. 60] {
    given x = if epoch >= 3 then image * 1e30 else image
    minimize SquaredError(net.y, one_hot(label)) * (if epoch >= 3 then 1e30 else 1)
      by Backprop with SGD(rate = if epoch >= 3 then 1e30 else 1e-4)
    epochs 9
  }
}
"#
    );
    let run = crate::support::run(&file("diverges.nnm"), &text, &Settings::default());
    let Some(Failure::Numeric(d)) = &run.failure else { panic!("{:?}", run.failure) };
    assert!(d.message.contains("(epoch 4)"), "{}", d.message);
    let outcome = &run.outcomes[0];
    assert!(outcome.weights.iter().all(|(_, w)| w.iter().all(|x| x.is_finite() && x.abs() < 1e3)));
    let (_, value) = outcome.runs.iter().find(|(n, _)| n == "run").expect("the part of the run");
    let Value::Record(record) = value else { panic!("{value:?}") };
    let Some(Value::Num(loss)) = record.get("loss") else { panic!("no loss") };
    assert_eq!(loss.as_const().map(|a| a.len()), Some(3));
}

/// A module with a file of weights beside it.
fn loading(folder: &Path, statements: &str) -> Run {
    let text = format!(
        "{HEAD}\nexperiment E {{\n  seed 3\n  let net = Classifier()\n  {statements}\n  report sum = sum(net.fc1.w)\n  report y = net(range(64))\n}}\n"
    );
    crate::support::run(&folder.join("load.nnm"), &text, &Settings::default())
}

fn store(folder: &Path, tensors: &[(&str, Vec<usize>, Vec<f32>)]) {
    use safetensors::tensor::{Dtype, TensorView};
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(.., v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), b)| {
        (name.to_string(), TensorView::new(Dtype::F32, shape.clone(), b).expect("a tensor"))
    });
    let file = safetensors::serialize(views.collect::<Vec<_>>(), None).expect("a file");
    std::fs::write(folder.join("net.safetensors"), file).expect("written");
}

fn ramp(n: usize) -> Vec<f32> {
    (0..n).map(|k| (k as f32 * 0.37).sin()).collect()
}

#[test]
fn weights_written_elsewhere_are_loaded_by_pytorch_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = [
        ("fc1.weight", vec![12, 64], ramp(768)),
        ("fc1.bias", vec![12], ramp(12)),
        ("fc2.weight", vec![10, 12], ramp(120)),
        ("fc2.bias", vec![10], ramp(10)),
    ];
    store(folder.path(), &good);
    let run = loading(folder.path(), "load net from \"net.safetensors\"");
    assert!(run.failure.is_none(), "{:?} {:?}", run.failure, run.diagnostics);
    let expected: f64 = ramp(768).iter().map(|x| f64::from(*x)).sum();
    assert!((report(&run.outcomes, "sum") - expected).abs() < 1e-9);
    // The layout is [out, in]: the first output by hand.
    let x: Vec<f64> = (0..64).map(f64::from).collect();
    let (w1, b1, w2, b2) = (ramp(768), ramp(12), ramp(120), ramp(10));
    let h: Vec<f64> = (0..12)
        .map(|o| ((0..64).map(|i| f64::from(w1[o * 64 + i]) * x[i]).sum::<f64>() + f64::from(b1[o])).tanh())
        .collect();
    let y0 = (0..12).map(|i| f64::from(w2[i]) * h[i]).sum::<f64>() + f64::from(b2[0]);
    let Some((_, Value::Num(y))) = run.outcomes[0].reports.iter().find(|(n, _)| n == "y") else { panic!("no y") };
    assert!((y.as_const().expect("known")[[0].as_slice()] - y0).abs() < 1e-9);
}

#[test]
fn a_file_of_weights_that_does_not_fit_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let codes = |run: &Run| run.diagnostics.iter().map(|d| (d.code, d.message.clone())).collect::<Vec<_>>();
    let mut tensors = vec![
        ("fc1.weight", vec![64, 12], ramp(768)),
        ("fc1.bias", vec![12], ramp(12)),
        ("fc2.weight", vec![10, 12], ramp(120)),
        ("fc2.bias", vec![10], ramp(10)),
    ];
    store(folder.path(), &tensors);
    let found = codes(&loading(folder.path(), "load net from \"net.safetensors\""));
    assert!(
        matches!(found.as_slice(), [("E0611", m)] if m.contains("[12, 64]") && m.contains("[64, 12]")),
        "{found:?}"
    );
    tensors[0].1 = vec![12, 64];
    tensors[3].0 = "head.bias";
    store(folder.path(), &tensors);
    let found = codes(&loading(folder.path(), "load net from \"net.safetensors\""));
    assert!(
        matches!(found.as_slice(), [("E0612", m)] if m.contains("head.bias") && m.contains("fc2.bias")),
        "{found:?}"
    );
}

#[test]
fn weights_of_single_pairs_are_loaded_onto_their_pairs_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let wired = |seed: u32, statements: &str| {
        let text = format!(
            "use std.neurons.LIF\nuse std.synapses.ExpCurrent\narchitecture Net {{\n  population a: LIF[30]\n  \
             connect a[5 .. 30] -> a as aa: fan_in(k = 4) via ExpCurrent(w = 1 pA * (i + 100 * j), tau = 5 ms)\n}}\n\
             experiment E {{\n  seed {seed}\n  let net = Net()\n  {statements}\n  report w = net.aa.w\n}}\n"
        );
        crate::support::run(&folder.path().join("wired.nnm"), &text, &Settings::default())
    };
    let first = wired(1, "save net to \"net.safetensors\"");
    let (_, saved) = first.outcomes[0].saved.first().expect("saved");
    let names: Vec<&str> = saved.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["aa.weight", "aa.pre", "aa.post"]);
    // The file says by itself which pair has which weight.
    let by_pair = saved[1].1.iter().zip(&saved[2].1).map(|(i, j)| (i + 100.0 * j) / 1000.0);
    assert!(saved[0].1.iter().zip(by_pair).all(|(w, by_pair)| (w - by_pair).abs() < 1e-9));
    let tensors: Vec<_> =
        saved.iter().map(|(n, v)| (n.as_str(), v.shape().to_vec(), v.iter().map(|x| *x as f32).collect())).collect();
    store(folder.path(), &tensors);
    let again = wired(1, "set net.aa.w = 0 pA\n  load net from \"net.safetensors\"");
    assert!(again.failure.is_none() && again.diagnostics.is_empty(), "{:?}", again.diagnostics);
    let other = wired(2, "load net from \"net.safetensors\"");
    assert_eq!(other.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), ["E0613"]);
}

#[test]
fn what_is_saved_is_loaded_to_the_same_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = loading(folder.path(), "save net to \"net.safetensors\"");
    let (_, saved) = run.outcomes[0].saved.first().expect("saved");
    assert_eq!(
        saved.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(),
        ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    );
    let tensors: Vec<nnm_runtime::data::Tensor> = saved
        .iter()
        .map(|(name, values)| nnm_runtime::data::Tensor {
            name: name.clone(),
            values: values.clone(),
            kind: nnm_runtime::data::Kind::F64,
        })
        .collect();
    let bytes = nnm_runtime::data::write_safetensors(&tensors).expect("bytes");
    std::fs::write(folder.path().join("net.safetensors"), bytes).expect("written");
    let again = loading(folder.path(), "set net.fc1.w = 0\n  load net from \"net.safetensors\"");
    let value = |run: &Run| {
        let mut out = vec![];
        run.outcomes[0].reports.iter().for_each(|(_, v)| bits(v, &mut out));
        out
    };
    assert!(again.failure.is_none(), "{:?}", again.diagnostics);
    assert_eq!(value(&run), value(&again));
}
