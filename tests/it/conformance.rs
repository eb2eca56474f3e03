//! Operators against other implementations: their cases as models, see `tests/conformance/`. A share of them lies there;
//! `NNM_ONNX` and `NNM_TORCH` name folders with all that the exporters write.

use std::path::{Path, PathBuf};

use nnm_compiler::engine::Backend;
use nnm_compiler::settings::Settings;

use crate::support::{differences_but_nan, files_below, outcomes, read, root};

/// Every expectation of every model below a folder holds, compiled and interpreted, to the same bits.
fn hold(folder: &Path, least: usize) {
    let mut failed = vec![];
    let mut count = 0;
    for path in files_below(folder, ".nnm") {
        let text = read(&path);
        let run = |backend| outcomes(&path, &text, &Settings { backend, ..Settings::default() });
        let (machine, checked) = (run(Backend::Jit), run(Backend::Interpreter));
        for outcome in machine.iter().chain(&checked) {
            let wrong = outcome.expectations.iter().filter(|e| !e.held);
            failed.extend(wrong.map(|e| format!("{} {}: {}", path.display(), outcome.name, e.text)));
        }
        failed.extend(differences_but_nan(&machine, &checked).into_iter().map(|d| format!("{}: {d}", path.display())));
        count += machine.len();
    }
    assert!(count >= least, "{}: only {count} cases", folder.display());
    assert!(failed.is_empty(), "{} of {count}:\n{}", failed.len(), failed.join("\n"));
}

fn hold_all(variable: &str, least: usize) {
    match std::env::var_os(variable) {
        Some(folder) => hold(&PathBuf::from(folder), least),
        None => println!("skipped: {variable} names no folder of cases"),
    }
}

#[test]
fn operators_of_onnx() {
    hold(&root().join("tests/conformance/onnx"), 700);
}

#[test]
fn operators_and_derivatives_of_pytorch() {
    hold(&root().join("tests/conformance/torch"), 400);
}

#[test]
fn all_operators_of_onnx() {
    hold_all("NNM_ONNX", 800);
}

#[test]
fn all_operators_and_derivatives_of_pytorch() {
    hold_all("NNM_TORCH", 400);
}
