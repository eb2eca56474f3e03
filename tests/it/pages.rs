//! `docs/library.md` is what the library's declarations say: `NNM_WRITE_DOCS=1` writes it anew.

use std::fmt::Write;

use nnm_syntax::ast::{Body, File, Init, Item, ItemKind, Param, Stmt, StmtKind, Type};
use nnm_syntax::span::{FileId, Span};

use crate::support::{read, root};

const HEAD: &str = "# The library

Every item of `std`, as its declaration and its comment say: what it is, its equation and source, its parameters with
units and defaults, its ports, states and outputs, and how it is used. The sources are in `stdlib/std/`; this page is
made of them, and a test holds the two together. [The reference](reference.md#the-library) has one line for each.

A part without a type has the unit of its default. `like port` is the unit of the port that a synapse ends in, `like w`
that of the weight that a rule changes.
";

fn text(module: &str, span: Span) -> &str {
    &module[span.start as usize..span.end as usize]
}

/// `rate: Hz = 10 Hz`
fn quantity(module: &str, file: &File, name: &str, ty: Option<&Type>, value: Option<Init>) -> String {
    let mut out = name.to_string();
    if let Some(ty) = ty {
        let _ = write!(out, ": {}", text(module, ty.span));
    }
    let (sign, value) = match value {
        Some(Init::Value(e)) => ("=", Some(e)),
        Some(Init::Draw(e)) => ("~", Some(e)),
        None => ("", None),
    };
    if let Some(e) = value {
        let shown = text(module, file.expr(e).span).split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = write!(out, " {sign} {shown}");
    }
    format!("`{out}`")
}

fn parameters(module: &str, file: &File, params: &[Param]) -> Vec<String> {
    params.iter().map(|p| quantity(module, file, &p.name.text, p.ty.as_ref(), p.default.map(Init::Value))).collect()
}

/// What users of an item read and set, by what it is to them.
fn parts(module: &str, file: &File, params: &[Param], block: &[Stmt]) -> Vec<(&'static str, Vec<String>)> {
    let mut of_params = parameters(module, file, params);
    let of = |word: &str| {
        let one = |stmt: &Stmt| match &stmt.kind {
            StmtKind::Decl { word: w, name, ty, value, .. } if w.text == word => {
                // How an output is computed is in the equation; its name is what it is read by.
                let value = value.filter(|_| word != "output");
                Some(quantity(module, file, &name.text, ty.as_ref(), value))
            }
            _ => None,
        };
        block.iter().filter_map(one).collect::<Vec<_>>()
    };
    of_params.extend(of("param"));
    let spikes = block.iter().any(|stmt| matches!(stmt.kind, StmtKind::SpikeWhen { .. }));
    let mut outputs = of("output");
    outputs.extend(spikes.then(|| "spikes".to_string()));
    let traces = block.iter().filter_map(|stmt| match &stmt.kind {
        StmtKind::Trace { side, name, ty, value, .. } => {
            Some(format!("{} {}", side.text, quantity(module, file, &name.text, ty.as_ref(), *value)))
        }
        _ => None,
    });
    let states = [of("state"), of("running"), of("const")].concat();
    vec![
        ("parameters", of_params),
        ("weights", of("weight")),
        ("ports", of("input")),
        ("modulators", of("modulator")),
        ("actions", of("action")),
        ("traces", traces.collect()),
        ("states", states),
        ("outputs", outputs),
    ]
}

fn item(module: &str, file: &File, item: &Item) -> Option<String> {
    let (name, kind, parts) = match &item.kind {
        ItemKind::Decl { local, word, name, params, body } => {
            let block: &[Stmt] = match body {
                Body::Block(stmts) => stmts,
                _ => &[],
            };
            let kind = if *local { format!("local {}", word.text) } else { word.text.clone() };
            (name, kind, parts(module, file, params, block))
        }
        ItemKind::Fn { name, params, .. } => {
            (name, "fn".to_string(), vec![("arguments", parameters(module, file, params))])
        }
        _ => return None,
    };
    let mut out = format!("\n### {}\n\n", name.text);
    let mut code = false;
    for line in &item.doc {
        let fence = line.trim_start().starts_with("```");
        if fence && !code {
            out.push_str("\n```text\n");
        } else {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        code ^= fence;
    }
    out.push_str(&format!("\n- {kind}\n"));
    for (what, list) in parts.into_iter().filter(|(_, list)| !list.is_empty()) {
        let _ = writeln!(out, "- {what}: {}", list.join(", "));
    }
    Some(out)
}

fn page() -> String {
    let mut out = HEAD.to_string();
    for (name, module) in nnm_stdlib::modules() {
        let file = nnm_syntax::parse(FileId(0), module).file;
        let items: Vec<String> = file.items.iter().filter_map(|i| item(module, &file, i)).collect();
        let _ = write!(out, "\n## std.{name}\n{}", items.concat());
    }
    while out.contains("\n\n\n") {
        out = out.replace("\n\n\n", "\n\n");
    }
    out
}

#[test]
fn the_page_of_the_library_says_what_its_declarations_say() {
    let place = root().join("docs/library.md");
    let page = page();
    if std::env::var_os("NNM_WRITE_DOCS").is_some() {
        std::fs::write(&place, &page).expect("the page is written");
    }
    assert!(read(&place) == page, "docs/library.md is not what the library says: run with NNM_WRITE_DOCS=1");
    assert!(page.contains("- ports: `I: nA`"), "the port of a cell is not on the page");
}

/// Every item says what it is.
#[test]
fn every_item_of_the_library_has_a_comment() {
    for (name, module) in nnm_stdlib::modules() {
        let file = nnm_syntax::parse(FileId(0), module).file;
        for item in &file.items {
            let named = match &item.kind {
                ItemKind::Decl { name, .. } | ItemKind::Fn { name, .. } => &name.text,
                _ => continue,
            };
            assert!(!item.doc.is_empty(), "std.{name}.{named} has no comment");
        }
    }
}
