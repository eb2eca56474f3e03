//! Tests that look inside: separators, precedence, and that no input breaks the parser.

mod precedence;
mod robust;
mod separators;

use crate::parser::{Parsed, parse};
use crate::print::print_ast;
use crate::span::FileId;

fn parsed(text: &str) -> Parsed {
    parse(FileId(0), text)
}

fn messages(text: &str) -> Vec<String> {
    parsed(text).diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect()
}

/// The printed statements of a neuron with this body, which must be right.
fn body(text: &str) -> Vec<String> {
    let source = format!("neuron A {{\n{text}\n}}\n");
    let parsed = parsed(&source);
    assert!(parsed.diagnostics.is_empty(), "{source}{:?}", parsed.diagnostics);
    print_ast(&parsed.file).lines().skip(1).map(|line| line[2..].to_owned()).collect()
}

/// The printed expression.
fn expr(text: &str) -> String {
    let statements = body(&format!("  y = {text}"));
    assert_eq!(statements.len(), 1, "{statements:?}");
    statements[0].strip_prefix("y = ").unwrap_or_default().to_owned()
}

fn models() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models");
    let entries = std::fs::read_dir(folder).expect("the folder of models");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a model");
        (path.file_name().expect("a name").to_string_lossy().into_owned(), text)
    };
    paths.into_iter().map(read).collect()
}
