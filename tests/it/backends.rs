//! Compiled kernels and the interpreter give the same bits.

use nnm_compiler::engine::Backend;
use nnm_compiler::settings::Settings;

use crate::support::{differences, files_below, outcomes, read, root};

fn settings(backend: Backend) -> Settings {
    Settings { backend, ..Settings::default() }
}

#[test]
fn interpreter_and_compiled_code_agree_on_every_bit() {
    let files = files_below(&root().join("tests/run"), ".nnm");
    assert!(files.len() >= 5, "only {} files", files.len());
    let mut failures = vec![];
    for path in files {
        let text = read(&path);
        let compiled = outcomes(&path, &text, &settings(Backend::Jit));
        let interpreted = outcomes(&path, &text, &settings(Backend::Interpreter));
        assert!(compiled.iter().any(|o| !o.reports.is_empty()), "{}: no report", path.display());
        failures.extend(differences(&compiled, &interpreted).iter().map(|d| format!("{}: {d}", path.display())));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_second_run_gives_the_same_bits() {
    for path in files_below(&root().join("tests/run"), ".nnm") {
        let text = read(&path);
        let first = outcomes(&path, &text, &settings(Backend::Jit));
        let second = outcomes(&path, &text, &settings(Backend::Jit));
        assert_eq!(differences(&first, &second), Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn the_small_models_keep_their_expectations() {
    for path in files_below(&root().join("tests/run"), ".nnm") {
        for outcome in outcomes(&path, &read(&path), &settings(Backend::Jit)) {
            for e in &outcome.expectations {
                assert!(e.held, "{}: {} ({})", path.display(), e.text, e.found);
            }
        }
    }
}

/// Models of `models/` made small by their parameters, so that the interpreter gets through them.
const REDUCED: [(&str, &[(&str, &str)]); 3] = [
    ("networks/balanced_network.nnm", &[("n_e", "40"), ("n_i", "10")]),
    ("networks/ring_attractor.nnm", &[("n", "16")]),
    ("learning/perceptron_xor.nnm", &[]),
];

#[test]
fn reduced_models_agree_on_every_bit() {
    for (file, parameters) in REDUCED {
        let path = root().join("models").join(file);
        let text = read(&path);
        let with = |backend| {
            let set = parameters.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            outcomes(&path, &text, &Settings { set, ..settings(backend) })
        };
        let found = differences(&with(Backend::Jit), &with(Backend::Interpreter));
        assert!(found.is_empty(), "{file}: {found:?}");
    }
}
