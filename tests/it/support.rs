//! What all tests share: a host that reads from a folder, checking, running, and numbers as bits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nnm_compiler::events::Event;
use nnm_compiler::experiment::Outcome;
use nnm_compiler::pipeline::{Checked, Parsed, Run};
use nnm_compiler::session::Host;
use nnm_compiler::settings::Settings;
use nnm_compiler::value::{Repr, Value};
use nnm_runtime::data::Files;

/// Reads modules and data beside a file, and says nothing.
pub struct Quiet {
    folder: PathBuf,
    files: Files,
}

impl Quiet {
    pub fn beside(file: &Path) -> Quiet {
        let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
        let roots = [Some(folder.clone()), folder.parent().map(Path::to_path_buf)];
        Quiet { files: Files::new(roots.into_iter().flatten()), folder }
    }
}

impl Host for Quiet {
    fn module(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.join(path)).ok()
    }

    fn files(&self) -> &Files {
        &self.files
    }

    fn progress(&self, _: &Event) {}

    fn interrupted(&self) -> bool {
        false
    }
}

/// An error of a model: its code, line and message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub line: usize,
    pub code: &'static str,
    pub message: String,
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All files below a folder whose names end so, in order; none where there is no folder.
pub fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut out = vec![];
    let Ok(entries) = std::fs::read_dir(folder) else { return out };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            out.extend(files_below(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            out.push(path);
        }
    }
    out.sort();
    out
}

pub fn name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

pub fn check(path: &Path, text: &str) -> Result<Checked, Vec<Found>> {
    let host = Quiet::beside(path);
    let shown = name(path);
    Parsed::new(&shown, text, &host).check(text, &host, &Settings::default()).map_err(|rejected| {
        let errors = rejected.diagnostics.iter().filter(|d| d.severity == nnm_syntax::diag::Severity::Error);
        let mut found: Vec<Found> = errors
            .map(|d| Found { line: rejected.sources.line_column(d.span).0, code: d.code, message: d.message.clone() })
            .collect();
        found.sort();
        found
    })
}

/// What is wrong with a text; nothing for a good one.
pub fn errors(path: &Path, text: &str) -> Vec<Found> {
    check(path, text).err().unwrap_or_default()
}

/// Checks and runs a model.
pub fn run(path: &Path, text: &str, settings: &Settings) -> Run {
    let host = Quiet::beside(path);
    let checked = check(path, text).unwrap_or_else(|found| panic!("{}: {found:#?}", path.display()));
    checked.run(&host, settings)
}

/// A run that has to come to its end.
pub fn outcomes(path: &Path, text: &str, settings: &Settings) -> Vec<Outcome> {
    let run = run(path, text, settings);
    assert!(run.failure.is_none(), "{}: {:?}\n{:?}", path.display(), run.failure, run.diagnostics);
    run.outcomes
}

/// The bits of all numbers of a value, in order.
pub fn bits(value: &Value, out: &mut Vec<u64>) {
    match value {
        Value::Num(num) => {
            if let Repr::Const(array) = &num.repr {
                out.extend(array.shape().iter().map(|n| *n as u64));
                out.extend(array.iter().map(|x| x.to_bits()));
            }
            out.extend(num.times.iter().flat_map(|t| t.iter().map(|x| x.to_bits())));
        }
        Value::List(list) | Value::Many(list) => list.iter().for_each(|v| bits(v, out)),
        Value::Record(fields) => fields.values().for_each(|v| bits(v, out)),
        Value::Spikes(spikes) => {
            out.extend(spikes.cells.iter().map(|c| u64::from(*c)));
            out.extend(spikes.times.iter().map(|t| t.to_bits()));
        }
        _ => {}
    }
}

/// Every number that an experiment gave, under its name.
pub fn numbers(outcome: &Outcome) -> Vec<(String, Vec<u64>)> {
    let named = outcome.reports.iter().chain(&outcome.runs).map(|(name, value)| {
        let mut all = vec![];
        bits(value, &mut all);
        (name.clone(), all)
    });
    let weights = outcome.weights.iter().map(|(n, a)| (n.clone(), a.iter().map(|x| x.to_bits()).collect()));
    named.chain(weights).collect()
}

/// As [`differences`], where one NaN is as good as another: its sign and payload are not defined.
pub fn differences_but_nan(left: &[Outcome], right: &[Outcome]) -> Vec<String> {
    differing(left, right, |x, y| x == y || f64::from_bits(x).is_nan() && f64::from_bits(y).is_nan())
}

/// Names of what differs between two runs of the same experiments.
pub fn differences(left: &[Outcome], right: &[Outcome]) -> Vec<String> {
    differing(left, right, |x, y| x == y)
}

fn differing(left: &[Outcome], right: &[Outcome], same: impl Fn(u64, u64) -> bool) -> Vec<String> {
    assert_eq!(left.len(), right.len());
    let mut out = vec![];
    for (a, b) in left.iter().zip(right) {
        let (a_all, b_all) = (numbers(a), numbers(b));
        assert_eq!(a_all.len(), b_all.len(), "{}", a.name);
        for ((name, x), (_, y)) in a_all.iter().zip(&b_all) {
            if x.len() != y.len() || !x.iter().zip(y).all(|(x, y)| same(*x, *y)) {
                out.push(format!("{}.{name}: {}", a.name, first_difference(x, y)));
            }
        }
    }
    out
}

fn first_difference(x: &[u64], y: &[u64]) -> String {
    match x.iter().zip(y).position(|(a, b)| a != b) {
        Some(k) => format!("{:e} and {:e} at {k} of {}", f64::from_bits(x[k]), f64::from_bits(y[k]), x.len()),
        None => format!("{} and {} numbers", x.len(), y.len()),
    }
}

/// A small generator of numbers for tests: xorshift64*.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n.max(1)
    }
}

/// All numbers that an experiment reports, by name.
pub fn reports(text: &str) -> BTreeMap<String, Vec<f64>> {
    let path = root().join("tests/stages/inline.nnm");
    let all = outcomes(&path, text, &Settings::default());
    let named = all.iter().flat_map(|o| &o.reports);
    let numbers = named.filter_map(|(name, value)| match value {
        Value::Num(num) => num.as_const().map(|a| (name.clone(), a.iter().copied().collect())),
        _ => None,
    });
    numbers.collect()
}

/// Equal but for rounding.
pub fn close(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() <= 1e-9 * (1.0 + wanted.abs())
}
