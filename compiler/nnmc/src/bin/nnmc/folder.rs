//! The run folder: manifest, results, metrics, recordings, weights, figures and the report.

use std::path::{Component, Path, PathBuf};

use nnm_compiler::experiment::Outcome;
use nnm_compiler::sweep::sweep_parts;
use nnm_compiler::unit::from_si;
use nnm_compiler::value::{Num, Value};
use nnm_figures::Theme;
use nnm_runtime::array::Array;
use nnm_runtime::data::{Kind, Tensor};
use nnm_runtime::results::{ResultError, RunFolder};
use serde_json::{Value as Json, json};

use crate::exit::Stop;
use crate::host::Seen;
use crate::recorded::{self, file_name};
use crate::tables;

/// A run that has ended, well or not.
pub struct Ended<'a> {
    pub model: &'a str,
    pub source: &'a str,
    pub outcome: &'a Outcome,
    /// Not known of a run that did not come to its end.
    pub seed: Option<u64>,
    pub seen: &'a Seen,
    /// `held`, `failed`, `interrupted`, …
    pub status: &'static str,
    /// What does not come from the outcome: command, settings, hashes, times.
    pub manifest: Json,
}

/// Makes a new folder `runs/NAME-1`, `runs/NAME-2`, … .
pub fn next(name: &str) -> Result<RunFolder, Stop> {
    let runs = Path::new("runs");
    let failed = |e: std::io::Error| Stop::data(format!("cannot make a folder in `runs`: {e}"));
    std::fs::create_dir_all(runs).map_err(failed)?;
    let prefix = format!("{}-", file_name(name));
    let taken = std::fs::read_dir(runs).map_err(failed)?.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.strip_prefix(&prefix)?.parse::<u32>().ok()
    });
    let mut number = taken.max().map_or(1, |n| n.saturating_add(1));
    loop {
        let path = runs.join(format!("{prefix}{number}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(RunFolder::create(path)?),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && number < u32::MAX => number += 1,
            Err(e) => return Err(failed(e)),
        }
    }
}

/// Writes everything that a run gave.
pub fn write(folder: &RunFolder, ended: &Ended) -> Result<(), ResultError> {
    let outcome = ended.outcome;
    let mut recorded = vec![];
    for (name, value) in &outcome.runs {
        recorded::write(folder, name, value, &mut recorded)?;
    }
    for (name, value) in &outcome.reports {
        recorded::write_report(folder, name, value, &mut recorded)?;
    }
    folder.write_json("results.json", &results(ended))?;
    write_metrics(folder, ended.seen)?;
    write_weights(folder, "weights.safetensors", &outcome.weights)?;
    for (file, weights) in &outcome.saved {
        write_weights(folder, file, weights)?;
    }
    let figures = write_figures(folder, outcome)?;
    folder.write("report.html", crate::page::report(ended, &figures).as_bytes())?;
    let mut manifest = ended.manifest.clone();
    manifest["status"] = json!(ended.status);
    manifest["seed"] = json!(ended.seed);
    manifest["recorded"] = Json::Array(recorded);
    manifest["figures"] = figures.iter().map(|(name, file, _)| json!({ "name": name, "file": file })).collect();
    folder.write_manifest(&manifest)?;
    Ok(())
}

/// `results.json`: reports with their units, and expectations.
fn results(ended: &Ended) -> Json {
    let outcome = ended.outcome;
    let reports: Vec<Json> = outcome
        .reports
        .iter()
        .map(|(name, value)| {
            let mut entry = value_json(value);
            entry["name"] = json!(name);
            entry
        })
        .collect();
    let expectations: Vec<Json> =
        outcome.expectations.iter().map(|e| json!({ "text": e.text, "held": e.held, "found": e.found })).collect();
    json!({
        "schema": 1, "experiment": outcome.name, "seed": ended.seed, "status": ended.status,
        "reports": reports, "expectations": expectations, "components": components(outcome),
    })
}

/// Hashes of the three components of each training.
fn components(outcome: &Outcome) -> Json {
    let one = |c: &nnm_compiler::components::Component| json!({ "text": c.text, "hash": c.hash });
    let all = outcome.components.iter().map(|c| {
        json!({
            "network": c.network, "architecture": one(&c.architecture), "objective": one(&c.objective), "rule": one(&c.rule),
        })
    });
    all.collect()
}

/// A value with its unit; long arrays by their shape alone, for they have files of their own.
pub fn value_json(value: &Value) -> Json {
    if let Some((keys, values)) = sweep_parts(value) {
        let passes: Vec<Json> = keys
            .iter()
            .zip(&values)
            .map(|(key, value)| {
                let mut entry = value_json(value);
                entry["key"] = json!(tables::label(key));
                entry
            })
            .collect();
        return json!({ "sweep": tables::axis(value), "passes": passes });
    }
    match value {
        Value::Num(num) => number_json(num),
        other => json!({ "value": tables::cell(other, true) }),
    }
}

fn number_json(num: &Num) -> Json {
    let Some(array) = num.as_const() else { return json!({ "value": null }) };
    let shown = num.unit.shown();
    let unit = &*shown.name;
    if let Some(x) = num.as_f64() {
        return json!({ "value": from_si(x, &shown), "unit": unit });
    }
    let mut entry = json!({ "unit": unit, "shape": array.shape() });
    if array.len() <= 1000 {
        entry["values"] = array.iter().map(|v| json!(from_si(*v, &shown))).collect();
    }
    entry
}

/// `metrics.csv`: the loss by network and epoch.
fn write_metrics(folder: &RunFolder, seen: &Seen) -> Result<(), ResultError> {
    if seen.epochs.is_empty() {
        return Ok(());
    }
    let mut text = String::from("network,epoch,loss\n");
    for (network, epoch, loss) in &seen.epochs {
        let loss = if loss.is_nan() { String::new() } else { loss.to_string() };
        text.push_str(&format!("{network},{epoch},{loss}\n"));
    }
    folder.write("metrics.csv", text.as_bytes()).map(|_| ())
}

fn write_weights(folder: &RunFolder, file: &str, weights: &[(String, Array)]) -> Result<(), ResultError> {
    if weights.is_empty() {
        return Ok(());
    }
    let tensors: Vec<Tensor> = weights
        .iter()
        .map(|(name, values)| Tensor { name: name.clone(), values: values.clone(), kind: narrowest(values) })
        .collect();
    folder.write_weights(file, &tensors).map(|_| ())
}

/// Single precision where it loses nothing.
fn narrowest(values: &Array) -> Kind {
    let exact = values.iter().all(|v| v.is_nan() || f64::from(*v as f32) == *v);
    if exact { Kind::F32 } else { Kind::F64 }
}

/// Names, files and SVG texts of the figures.
fn write_figures(folder: &RunFolder, outcome: &Outcome) -> Result<Vec<(String, String, String)>, ResultError> {
    let mut written: Vec<(String, String, String)> = vec![];
    for (name, figure) in &outcome.figures {
        let base = format!("figures/{}", file_name(name));
        let mut file = format!("{base}.svg");
        let mut number = 2;
        while written.iter().any(|(_, known, _)| *known == file) {
            file = format!("{base}-{number}.svg");
            number += 1;
        }
        let svg = nnm_figures::render(figure, Theme::Auto);
        folder.write(&file, svg.as_bytes())?;
        let title = if figure.title.is_empty() { name.clone() } else { figure.title.clone() };
        written.push((title, file, svg));
    }
    Ok(written)
}

/// What every run writes.
const ALWAYS: [&str; 4] = ["results.json", "report.html", "metrics.csv", "weights.safetensors"];

/// Removes what an earlier run, by its manifest, left in a folder that is used again.
pub fn clear(folder: &RunFolder) {
    let text = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap_or_default();
    let Ok(manifest) = serde_json::from_str::<Json>(&text) else { return };
    let listed = ["recorded", "figures"].iter().filter_map(|list| manifest[*list].as_array()).flatten();
    let named = |entry: &Json| ["file", "times", "text"].map(|key| entry[key].as_str().map(str::to_string));
    let files = listed.flat_map(named).flatten().chain(ALWAYS.map(String::from));
    let inside = |file: &String| Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    for file in files.filter(inside) {
        let _ = std::fs::remove_file(folder.path().join(file));
    }
    let _ = std::fs::remove_dir_all(folder.path().join("checkpoints"));
}

/// The folder of a run: given by `--out`, or the next one of its name.
pub fn place(out: Option<&PathBuf>, model: &str, experiment: &str, alone: bool) -> Result<RunFolder, Stop> {
    match out {
        Some(path) if alone => Ok(RunFolder::create(path)?),
        Some(path) => Ok(RunFolder::create(path.join(file_name(experiment)))?),
        None => next(&format!("{model}-{experiment}")),
    }
}
