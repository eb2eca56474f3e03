//! Every module of the library parses, is documented, and says nothing it cannot show: the examples parse too.

use nnm_syntax::ast::{Body, File, Item, ItemKind};
use nnm_syntax::span::FileId;

/// Parses a text; its errors as `line: message`.
fn parse(text: &str) -> (File, Vec<String>) {
    let parsed = nnm_syntax::parse(FileId(0), text);
    let line = |start: u32| text[..start as usize].matches('\n').count() + 1;
    let errors = parsed.diagnostics.iter().map(|d| format!("{}: {}", line(d.span.start), d.message)).collect();
    (parsed.file, errors)
}

fn name_of(item: &Item) -> Option<&str> {
    match &item.kind {
        ItemKind::Fn { name, .. } | ItemKind::Decl { name, .. } => Some(&name.text),
        _ => None,
    }
}

#[test]
fn modules_parse() {
    for (module, text) in nnm_stdlib::modules() {
        let (file, errors) = parse(text);
        assert!(errors.is_empty(), "std.{module}:\n{}", errors.join("\n"));
        assert!(!file.doc.is_empty(), "std.{module} begins with a `//!` line");
    }
}

#[test]
fn names_are_unique_and_documented() {
    for (module, text) in nnm_stdlib::modules() {
        let (file, _) = parse(text);
        let mut names: Vec<&str> = file.items.iter().filter_map(name_of).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "std.{module} names something twice");
        for item in &file.items {
            if let Some(name) = name_of(item) {
                assert!(!item.doc.is_empty(), "std.{module}.{name} has no `///` text");
            }
        }
    }
}

#[test]
fn examples_parse() {
    let mut seen = 0;
    for (module, text) in nnm_stdlib::modules() {
        for example in examples(text) {
            let whole = in_context(&example);
            let (_, errors) = parse(&whole);
            assert!(errors.is_empty(), "an example of std.{module}:\n{whole}\n{}", errors.join("\n"));
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} examples found");
}

/// The text between "```nnm" and "```" in `///` comments.
fn examples(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        let Some(doc) = line.strip_prefix("///") else { continue };
        let doc = doc.strip_prefix(' ').unwrap_or(doc);
        match (doc.trim(), open.take()) {
            ("```nnm", _) => open = Some(String::new()),
            ("```", Some(example)) => found.push(example),
            (_, Some(example)) => open = Some(example + doc + "\n"),
            (_, None) => {}
        }
    }
    found
}

/// Puts a fragment where its first word may stand.
fn in_context(example: &str) -> String {
    let first = example.split_whitespace().next().unwrap_or_default();
    match first {
        "population" | "connect" | "input" | "part" | "weight" => format!("architecture A {{\n{example}}}\n"),
        "let" if !example.contains("train ") => format!("architecture A {{\n{example}}}\n"),
        "minimize" | "maximize" | "learn" | "settle" => format!("experiment E {{ train net on d {{\n{example}}} }}\n"),
        "let" | "report" => format!("experiment E {{\n{example}}}\n"),
        _ => example.to_string(),
    }
}

#[test]
fn every_declaration_has_a_body() {
    for (module, text) in nnm_stdlib::modules() {
        for item in parse(text).0.items {
            let empty = matches!(&item.kind, ItemKind::Decl { body: Body::Block(block), .. } if block.is_empty());
            assert!(!empty, "std.{module}.{:?} is empty", name_of(&item));
        }
    }
}

#[test]
fn lookup_by_name() {
    assert!(nnm_stdlib::module("neurons").is_some_and(|text| text.contains("neuron LIF")));
    assert!(nnm_stdlib::module("nothing").is_none());
    assert!(nnm_stdlib::modules().windows(2).all(|pair| pair[0].0 < pair[1].0));
}
