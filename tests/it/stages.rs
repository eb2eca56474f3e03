//! What the compiler makes of a small model, stage by stage, as snapshots.

use nnm_compiler::settings::Settings;
use nnm_syntax::span::FileId;

use crate::support::{Quiet, read, root};

fn model() -> (std::path::PathBuf, String) {
    let path = root().join("tests/stages/cell.nnm");
    let text = read(&path);
    (path, text)
}

fn dumps(settings: Settings) -> String {
    let (path, text) = model();
    let host = Quiet::beside(&path);
    let parsed = nnm_compiler::pipeline::Parsed::new("cell.nnm", &text, &host);
    let Ok(checked) = parsed.check(&text, &host, &settings) else { panic!("the model has errors") };
    checked.dumps.into_iter().map(|(name, text)| format!("// {name}\n{text}\n")).collect()
}

#[test]
fn tokens() {
    insta::assert_snapshot!(nnm_syntax::print_tokens(&model().1));
}

#[test]
fn tree() {
    insta::assert_snapshot!(nnm_syntax::print_ast(&nnm_syntax::parse(FileId(0), &model().1).file));
}

#[test]
fn declarations() {
    let (path, text) = model();
    let host = Quiet::beside(&path);
    let parsed = nnm_compiler::pipeline::Parsed::new("cell.nnm", &text, &host);
    let Ok(checked) = parsed.check(&text, &host, &Settings::default()) else { panic!("the model has errors") };
    insta::assert_snapshot!(checked.hir);
    insta::assert_snapshot!("solvers", checked.solvers.join("\n"));
}

#[test]
fn graph() {
    insta::assert_snapshot!(dumps(Settings { emit_graph: true, ..Settings::default() }));
}

#[test]
fn kernel_of_a_step_is_one_function() {
    let text = dumps(Settings { emit_kernels: true, ..Settings::default() });
    insta::assert_snapshot!(text);
    assert_eq!(text.matches("kernel ").count(), 1, "all parts of a step are in one kernel");
}
