//! The order of the crates: who may depend on whom, who may touch files and the terminal, and how long a file may be.

use std::path::{Path, PathBuf};

use crate::support::{files_below, read, root};

/// A crate's folder and the crates of this workspace that it may use.
const LAYERS: [(&str, &[&str]); 7] = [
    ("compiler/syntax", &[]),
    ("runtime", &[]),
    ("figures", &[]),
    ("stdlib", &[]),
    ("compiler/kir", &["runtime"]),
    ("compiler/graph", &["kir", "runtime"]),
    ("compiler/codegen", &["kir", "runtime"]),
];

/// The text of a manifest's table of dependencies.
fn dependencies(manifest: &str) -> String {
    let after = manifest.split("[dependencies]").nth(1).unwrap_or("");
    after.split("\n[").next().unwrap_or("").to_string()
}

fn sources() -> Vec<PathBuf> {
    ["compiler", "runtime", "figures", "stdlib", "tests"]
        .iter()
        .flat_map(|f| files_below(&root().join(f), ".rs"))
        .collect()
}

/// A file's code without its comments and without the tests at its end.
fn code(path: &Path) -> String {
    let text = read(path);
    let text = text.split("#[cfg(test)]").next().unwrap_or("").to_string();
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_crate_depends_only_on_those_below_it() {
    for (folder, allowed) in LAYERS {
        let listed = dependencies(&read(&root().join(folder).join("Cargo.toml")));
        for line in listed.lines().filter_map(|l| l.trim().strip_prefix("nnm-")) {
            let used = line.split([' ', '.', '=']).next().unwrap_or("");
            assert!(allowed.contains(&used), "{folder} depends on nnm-{used}");
        }
    }
}

#[test]
fn only_codegen_names_cranelift() {
    for path in sources() {
        let shown = path.to_string_lossy().into_owned();
        if !shown.contains("/codegen/") && !shown.contains("/tests/it/") {
            assert!(!code(&path).contains("cranelift"), "{shown}");
        }
    }
}

/// Only what reads data, writes results, or is a program touches files and the terminal.
#[test]
fn libraries_neither_read_files_nor_print() {
    for path in sources() {
        let shown = path.to_string_lossy().into_owned();
        let may = [
            "/bin/",
            "/tests/",
            "/tests.rs",
            "/examples/",
            "/benches/",
            "build.rs",
            "/runtime/src/data",
            "/runtime/src/results",
        ];
        if may.iter().any(|m| shown.contains(m)) {
            continue;
        }
        let code = code(&path);
        for word in ["std::fs", "println!", "eprintln!", "print!(", "dbg!"] {
            assert!(!code.contains(word), "{shown}: {word}");
        }
    }
}

#[test]
fn no_file_is_longer_than_a_thousand_lines() {
    let long: Vec<_> = sources().into_iter().filter(|p| read(p).lines().count() > 1000).collect();
    assert!(long.is_empty(), "{long:?}");
}

/// Pools of threads of others cost more than a step: products are sequential, under a splitter of our own.
#[test]
fn no_pool_of_threads_but_our_own() {
    for folder in ["runtime", "compiler/codegen", "compiler/nnmc", "compiler/graph", "compiler/kir"] {
        let listed = dependencies(&read(&root().join(folder).join("Cargo.toml")));
        assert!(!listed.contains("rayon"), "{folder}");
    }
    let parallel: Vec<_> = sources().into_iter().filter(|p| code(p).contains(&["Par::", "rayon"].concat())).collect();
    assert!(parallel.is_empty(), "{parallel:?}");
}
