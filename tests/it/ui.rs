//! Wrong models: each file of `ui/` gives the codes marked by `//~` on their lines and no other; its twin is right.

use std::path::{Path, PathBuf};

use crate::support::{errors, files_below, read, root};

fn wrong_files() -> Vec<PathBuf> {
    let mut files = files_below(&root().join("tests/ui"), ".nnm");
    files.retain(|f| !f.to_string_lossy().ends_with(".ok.nnm"));
    files
}

/// Lines and codes that a file says it gives.
fn marked(text: &str) -> Vec<(usize, String)> {
    let mut out = vec![];
    for (k, line) in text.lines().enumerate() {
        for code in line.split("//~").skip(1) {
            out.push((k + 1, code.trim().to_string()));
        }
    }
    out
}

fn twin(path: &Path) -> PathBuf {
    path.with_extension("ok.nnm")
}

#[test]
fn each_wrong_model_gives_what_it_is_marked_with() {
    let files = wrong_files();
    assert!(files.len() >= 80, "only {} files", files.len());
    let mut failures = vec![];
    for path in &files {
        let text = read(path);
        let found = errors(path, &text);
        let given: Vec<(usize, String)> = found.iter().map(|f| (f.line, f.code.to_string())).collect();
        let wanted = marked(&text);
        if given != wanted {
            failures.push(format!("{}: marked {wanted:?}, found {found:?}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), files.len(), failures.join("\n"));
}

#[test]
fn each_corrected_twin_is_right() {
    let mut failures = vec![];
    for path in wrong_files() {
        let ok = twin(&path);
        if !ok.exists() {
            failures.push(format!("{}: no twin", path.display()));
            continue;
        }
        let found = errors(&ok, &read(&ok));
        if !found.is_empty() {
            failures.push(format!("{}: {found:?}", ok.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_marked_file_has_a_mark() {
    for path in wrong_files() {
        assert!(!marked(&read(&path)).is_empty(), "{}: no `//~`", path.display());
    }
}

/// A message is one line in lower case, or begins with a name in backticks.
#[test]
fn messages_are_single_lines() {
    for path in wrong_files() {
        for found in errors(&path, &read(&path)) {
            assert!(!found.message.contains('\n'), "{}: {}", path.display(), found.message);
            assert!(!found.message.ends_with('.'), "{}: {}", path.display(), found.message);
        }
    }
}
