//! The examples of the documentation: right where they are shown as right, and wrong in the way they are to show.
//!
//! A page `docs/errors/CODE.md` shows under `## Wrong` a file that gives just that code, checked or, where checking
//! finds nothing, run; under `## Right` the mended one, which gives none. Data beside the model are blocks with a file's
//! name (`csv cells.csv`). What no file can show is a command in a block of `sh`, which the tests of the command run. The
//! blocks of `docs/reference.md` that hold whole declarations have no errors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nnm_compiler::failure::Failure;
use nnm_compiler::pipeline::Parsed;
use nnm_compiler::settings::Settings;
use nnm_syntax::diag::Severity;

use crate::support::{Quiet, errors, files_below, name, read, root, run};

/// Files too large to be printed.
const SHOWN_BY_COMMANDS: [&str; 7] = ["E0112", "E0113", "E0114", "E0611", "E0612", "E0613", "E0620"];

/// A block of code: the line at which it begins, the heading above it, what follows its backticks, its text.
struct Block {
    line: usize,
    heading: String,
    info: String,
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
            None if line.starts_with("```") => {
                let info = line.trim_start_matches('`').trim().to_string();
                open = Some(Block { line: k + 1, heading: heading.clone(), info, text: String::new() });
            }
            None if line.starts_with('#') => heading = line.trim_start_matches('#').trim().to_string(),
            None => {}
        }
    }
    out
}

/// The model and the data files of a page's section.
struct Example {
    line: usize,
    model: String,
    data: Vec<(String, String)>,
}

fn example(blocks: &[Block], heading: &str) -> Option<Example> {
    let here: Vec<&Block> = blocks.iter().filter(|b| b.heading == heading).collect();
    let model = here.iter().find(|b| b.info == "nnm")?;
    let file = |b: &&Block| b.info.split_once(' ').map(|(_, name)| (name.to_string(), b.text.clone()));
    let data = here.iter().filter_map(file).collect();
    Some(Example { line: model.line, model: model.text.clone(), data })
}

/// A folder of its own for an example with data; examples without lie beside the models and may use theirs.
fn placed(example: &Example, code: &str, heading: &str) -> PathBuf {
    if example.data.is_empty() {
        return root().join("models/learning/example.nnm");
    }
    let folder = std::env::temp_dir().join(format!("nnm-pages-{}-{code}-{heading}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for (name, text) in &example.data {
        std::fs::write(folder.join(name), text).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    folder.join("example.nnm")
}

/// The codes that an example gives when it is checked, and when it is run.
fn codes(path: &Path, text: &str, ran: bool) -> Vec<String> {
    let host = Quiet::beside(path);
    let checked = match Parsed::new("example.nnm", text, &host).check(text, &host, &Settings::default()) {
        Ok(checked) => checked,
        Err(rejected) => {
            let wrong = rejected.diagnostics.iter().filter(|d| d.severity == Severity::Error);
            return wrong.map(|d| d.code.to_string()).collect();
        }
    };
    if !ran || !checked.warnings.is_empty() {
        return checked.warnings.iter().map(|d| d.code.to_string()).collect();
    }
    let run = run(path, text, &Settings::default());
    let mut out: Vec<String> = run.diagnostics.iter().map(|d| d.code.to_string()).collect();
    match run.failure {
        Some(Failure::Numeric(d)) => out.push(d.code.to_string()),
        Some(Failure::Model) | None => {}
        Some(other) => out.push(format!("{other:?}")),
    }
    out
}

/// What is not as it should be with a page.
fn faults(page: &Path) -> Vec<String> {
    let code = name(page).trim_end_matches(".md").to_string();
    let blocks = blocks(&read(page));
    let mut out = vec![];
    let by_command = |heading: &str| blocks.iter().any(|b| b.heading == heading && b.info == "sh");
    if SHOWN_BY_COMMANDS.contains(&code.as_str()) && by_command("Wrong") && by_command("Right") {
        return out;
    }
    let (Some(wrong), Some(right)) = (example(&blocks, "Wrong"), example(&blocks, "Right")) else {
        return vec![format!("{}: no example under `## Wrong` or `## Right`", page.display())];
    };
    let path = placed(&wrong, &code, "wrong");
    let checked = codes(&path, &wrong.model, false);
    let ran = checked.is_empty();
    let found = if ran { codes(&path, &wrong.model, true) } else { checked };
    if found.is_empty() || found.iter().any(|c| *c != code) {
        out.push(format!("{}:{} (Wrong): {found:?}", page.display(), wrong.line));
    }
    let path = placed(&right, &code, "right");
    let found = codes(&path, &right.model, ran);
    if !found.is_empty() {
        let said = errors(&path, &right.model);
        out.push(format!("{}:{} (Right): {found:?} {said:?}", page.display(), right.line));
    }
    for example in [("wrong", &wrong), ("right", &right)].iter().filter(|(_, e)| !e.data.is_empty()) {
        let folder = placed(example.1, &code, example.0);
        let _ = std::fs::remove_dir_all(folder.parent().unwrap_or(&folder));
    }
    out
}

fn pages() -> Vec<PathBuf> {
    files_below(&root().join("docs/errors"), ".md")
}

#[test]
fn every_page_shows_a_wrong_and_a_right_model() {
    let faults: Vec<String> = pages().iter().flat_map(|p| faults(p)).collect();
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

/// The codes in the sources of the compiler, outside of tests.
fn codes_in_use() -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for path in files_below(&root().join("compiler"), ".rs") {
        let text = read(&path);
        let text = text.split("#[cfg(test)]").next().unwrap_or("");
        let shown = path.to_string_lossy().into_owned();
        let inside = shown.rsplit("/compiler/").next().unwrap_or("");
        if inside.contains("/tests") {
            continue;
        }
        for quoted in text.split('"').filter(|q| q.len() == 5 && q.starts_with(['E', 'W'])) {
            if quoted[1..].bytes().all(|b| b.is_ascii_digit()) {
                out.insert(quoted.to_string());
            }
        }
    }
    out
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let paged: BTreeSet<String> = pages().iter().map(|p| name(p).trim_end_matches(".md").to_string()).collect();
    let used = codes_in_use();
    let without: Vec<_> = used.difference(&paged).collect();
    let unused: Vec<_> = paged.difference(&used).collect();
    assert!(used.len() > 150, "{}", used.len());
    assert!(without.is_empty() && unused.is_empty(), "without a page: {without:?}; without a use: {unused:?}");
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

#[test]
fn the_reference_shows_right_models() {
    let page = root().join("docs/reference.md");
    let path = root().join("models/learning/example.nnm");
    let mut faults = vec![];
    let all = blocks(&read(&page));
    for block in all.iter().filter(|b| b.info == "nnm" && holds_declarations(&b.text)) {
        let found = errors(&path, &block.text);
        if !found.is_empty() && example(&all, &block.heading).is_none_or(|e| e.data.is_empty()) {
            faults.push(format!("{}:{}: {found:?}", page.display(), block.line));
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

/// Models beside which the reference shows their data are run.
#[test]
fn the_reference_shows_models_that_read_files() {
    let all = blocks(&read(&root().join("docs/reference.md")));
    let headings: BTreeSet<&str> = all.iter().filter(|b| b.info.starts_with("csv ")).map(|b| &*b.heading).collect();
    assert!(!headings.is_empty());
    for heading in headings {
        let shown = example(&all, heading).unwrap_or_else(|| panic!("{heading}: data without a model"));
        let path = placed(&shown, "reference", "data");
        let ran = run(&path, &shown.model, &Settings::default());
        assert!(ran.failure.is_none(), "{heading}: {:?}", ran.diagnostics);
        let claims: Vec<_> = ran.outcomes.iter().flat_map(|o| &o.expectations).collect();
        assert!(!claims.is_empty() && claims.iter().all(|e| e.held), "{heading}: {:?}", claims.len());
        let _ = std::fs::remove_dir_all(path.parent().unwrap_or(&path));
    }
}
