//! What is said about a mistake: each row of the collections in `mistakes/`, with its message, in one snapshot a file.
//!
//! In the collections a line is the body of a declaration that the file is named after; in `files.txt` whole files are
//! separated by dashes.

use std::fmt::Write;

use nnm_syntax::diag::Diagnostic;
use nnm_syntax::parse;
use nnm_syntax::span::FileId;

fn read(name: &str) -> String {
    let path = format!("{}/tests/mistakes/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a collection of mistakes")
}

/// `2:7 E0008 the message [fix …]`, and what else is said, indented.
fn rendered(text: &str, diagnostic: &Diagnostic, out: &mut String) {
    let place = |start: u32| {
        let before = &text[..start as usize];
        let line = before.matches('\n').count() + 1;
        format!("{line}:{}", before.rsplit('\n').next().unwrap_or("").chars().count() + 1)
    };
    write!(out, "  {} {} {}", place(diagnostic.span.start), diagnostic.code, diagnostic.message).expect("text");
    if let Some(fix) = &diagnostic.fix {
        write!(out, "  [{:?} -> {:?}]", &text[fix.span.range()], fix.replacement).expect("text");
    }
    out.push('\n');
    for label in &diagnostic.labels {
        writeln!(out, "      {} {}", place(label.span.start), label.text).expect("text");
    }
    for help in &diagnostic.help {
        writeln!(out, "      help: {help}").expect("text");
    }
}

/// The collection's texts, each with the lines shown for it.
fn texts(name: &str) -> Vec<(String, String)> {
    let collection = read(name);
    if name == "files" {
        return collection.split("----\n").map(|text| (text.to_owned(), text.trim_end().to_owned())).collect();
    }
    let wrapped = |line: &str| (format!("{name} X {{\n  {line}\n}}\n"), line.to_owned());
    collection.lines().map(wrapped).collect()
}

fn messages(name: &str) -> String {
    let mut out = String::new();
    for (text, shown) in texts(name) {
        let diagnostics = parse(FileId(0), &text).diagnostics;
        assert!(!diagnostics.is_empty(), "nothing is said about\n{text}");
        assert!(diagnostics.len() <= 3, "too much is said about\n{text}{diagnostics:#?}");
        out.push_str(&shown);
        out.push('\n');
        for diagnostic in &diagnostics {
            rendered(&text, diagnostic, &mut out);
        }
        out.push('\n');
    }
    out
}

#[test]
fn in_a_neuron() {
    insta::assert_snapshot!(messages("neuron"));
}

#[test]
fn in_an_experiment() {
    insta::assert_snapshot!(messages("experiment"));
}

#[test]
fn in_an_architecture() {
    insta::assert_snapshot!(messages("architecture"));
}

#[test]
fn in_whole_files() {
    insta::assert_snapshot!(messages("files"));
}

#[test]
fn a_fix_mends_what_it_is_for() {
    for name in ["neuron", "experiment", "architecture", "files"] {
        for (text, _) in texts(name) {
            for diagnostic in parse(FileId(0), &text).diagnostics {
                let Some(fix) = &diagnostic.fix else { continue };
                let mut mended = text.clone();
                mended.replace_range(fix.span.range(), &fix.replacement);
                let after = parse(FileId(0), &mended).diagnostics;
                let again =
                    after.iter().any(|other| (other.code, &other.message) == (diagnostic.code, &diagnostic.message));
                assert!(!again, "the fix of `{}` leaves it as it is:\n{mended}", diagnostic.message);
            }
        }
    }
}

#[test]
fn messages_have_the_house_style() {
    for name in ["neuron", "experiment", "architecture", "files"] {
        for (text, _) in texts(name) {
            for diagnostic in parse(FileId(0), &text).diagnostics {
                let message = &diagnostic.message;
                assert!(!message.contains('\n') && !message.ends_with('.'), "{message}");
                assert!(message.matches('`').count() % 2 == 0, "{message}");
                assert!(!message.starts_with(|c: char| c.is_uppercase()), "{message}");
                let names = ["Tok", "IDENT", "NUMBER", "CLAUSE", "BLOCK", "SPAN", "DECL"];
                assert!(names.iter().all(|name| !message.contains(name)), "{message}");
                assert!(nnm_syntax::CODES.iter().any(|row| row.0 == diagnostic.code), "{}", diagnostic.code);
            }
        }
    }
}
