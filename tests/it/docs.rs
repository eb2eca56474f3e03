//! The examples of the documentation: right where they are shown as right, and wrong in the way they are to show.
//!
//! In `docs/errors/CODE.md` a block of `nnm` after a heading with "Wrong" gives that code, one after "Right" none. The
//! blocks of `docs/reference.md` that hold whole declarations have no errors.

use std::path::{Path, PathBuf};

use crate::support::{errors, files_below, name, read, root};

/// A block of code, the line at which it begins, and the last heading (or line of words) before it.
struct Block {
    line: usize,
    heading: String,
    text: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut out: Vec<Block> = vec![];
    let mut heading = String::new();
    let mut open: Option<Block> = None;
    for (k, line) in text.lines().enumerate() {
        match &mut open {
            Some(block) if line.trim_end() != "```" => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            Some(_) => out.extend(open.take()),
            None if line.trim_end() == "```nnm" => {
                open = Some(Block { line: k + 1, heading: heading.clone(), text: String::new() });
            }
            None if !line.trim().is_empty() => heading = line.to_lowercase(),
            None => {}
        }
    }
    out
}

fn beside_models() -> PathBuf {
    root().join("models/learning/example.nnm")
}

fn holds_declarations(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with("//")).unwrap_or("");
    let words = [
        "use",
        "fn",
        "neuron",
        "synapse",
        "rule",
        "local",
        "optimizer",
        "architecture",
        "objective",
        "environment",
        "experiment",
    ];
    let word = first.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
    words.contains(&word) && (word != "objective" || first.contains('('))
}

fn fault(page: &Path, code: &str, block: &Block) -> Option<String> {
    let found = errors(&beside_models(), &block.text);
    let good = if block.heading.contains("wrong") {
        !found.is_empty() && found.iter().all(|f| f.code == code)
    } else {
        found.is_empty()
    };
    (!good).then(|| format!("{}:{} ({}): {found:?}", page.display(), block.line, block.heading))
}

#[test]
fn pages_of_errors_show_what_they_say() {
    let mut faults = vec![];
    for page in files_below(&root().join("docs/errors"), ".md") {
        let code = name(&page).trim_end_matches(".md").to_string();
        for block in blocks(&read(&page)) {
            let said = block.heading.contains("wrong") || block.heading.contains("right");
            faults.extend(said.then(|| fault(&page, &code, &block)).flatten());
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_reference_shows_right_models() {
    let page = root().join("docs/reference.md");
    if !page.exists() {
        return;
    }
    let mut faults = vec![];
    for block in blocks(&read(&page)).iter().filter(|b| holds_declarations(&b.text)) {
        faults.extend(fault(&page, "", block));
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}
