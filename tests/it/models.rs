//! Every model of `models/` keeps its expectations.
//!
//! Those that take long run where `NNM_LONG` is set; those that read data from elsewhere where `NNM_DATA` is.

use std::path::Path;

use nnm_compiler::settings::Settings;

use crate::support::{files_below, name, outcomes, read, root};

/// The families of models, each with a test of its own.
const FOLDERS: [&str; 18] = [
    "neurons",
    "synapses",
    "sources",
    "rates",
    "networks",
    "plasticity",
    "learning",
    "credit",
    "perception",
    "memory",
    "attention",
    "continual",
    "meta",
    "reinforcement",
    "brain",
    "development",
    "navigation",
    "information",
];

/// Models that take more than a few seconds.
const LONG: [&str; 1] = ["convnet.nnm"];

/// Whether a model reads data that is not in the repository.
fn needs_data(text: &str) -> bool {
    text.contains("\"mnist/")
}

fn failures(path: &Path) -> Vec<String> {
    let text = read(path);
    let mut out = vec![];
    for outcome in outcomes(path, &text, &Settings::default()) {
        for e in outcome.expectations.iter().filter(|e| !e.held) {
            out.push(format!("{}, {}: {} ({})", path.display(), outcome.name, e.text, e.found));
        }
    }
    out
}

fn hold(folder: &str) {
    let long = std::env::var_os("NNM_LONG").is_some();
    let mut failed = vec![];
    for path in files_below(&root().join("models").join(folder), ".nnm") {
        let skipped = (LONG.contains(&name(&path).as_str()) && !long)
            || (needs_data(&read(&path)) && std::env::var_os("NNM_DATA").is_none());
        if skipped {
            println!("skipped: {} (NNM_LONG, NNM_DATA)", path.display());
        } else {
            failed.extend(failures(&path));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn neurons() {
    hold("neurons");
}

#[test]
fn development() {
    hold("development");
}

#[test]
fn navigation() {
    hold("navigation");
}

#[test]
fn information() {
    hold("information");
}

#[test]
fn networks() {
    hold("networks");
}

#[test]
fn synapses() {
    hold("synapses");
}

#[test]
fn sources() {
    hold("sources");
}

#[test]
fn rates() {
    hold("rates");
}

#[test]
fn plasticity() {
    hold("plasticity");
}

#[test]
fn credit() {
    hold("credit");
}

#[test]
fn learning() {
    hold("learning");
}

#[test]
fn perception() {
    hold("perception");
}

#[test]
fn memory() {
    hold("memory");
}

#[test]
fn attention() {
    hold("attention");
}

#[test]
fn every_model_is_in_a_tested_folder() {
    for path in files_below(&root().join("models"), ".nnm") {
        let folder = path.parent().map(name).unwrap_or_default();
        assert!(FOLDERS.contains(&folder.as_str()), "{}", path.display());
    }
}

#[test]
fn continual() {
    hold("continual");
}

#[test]
fn meta() {
    hold("meta");
}

#[test]
fn reinforcement() {
    hold("reinforcement");
}

#[test]
fn brain() {
    hold("brain");
}
