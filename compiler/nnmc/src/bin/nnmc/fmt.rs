//! `nnmc fmt`: one layout for all models, without options. Files with errors are left as they are.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use nnm_syntax::span::SourceMap;
use serde_json::json;
use similar::TextDiff;

use crate::exit::{Exit, Stop};
use crate::model::{self, Model};
use crate::render;
use crate::shell::{Shell, Style};

#[derive(Clone, Debug, clap::Args)]
pub struct FormatArgs {
    /// Files, folders with all models below them, or `-` for standard input
    #[arg(default_value = ".", value_name = "FILE|DIR|-")]
    pub paths: Vec<PathBuf>,
    /// Change nothing; show what would change and exit with 1 if anything would
    #[arg(long)]
    pub check: bool,
}

pub fn format(shell: &Shell, args: &FormatArgs) -> Result<Exit, Stop> {
    if args.paths == [PathBuf::from("-")] {
        return format_input(shell, args.check);
    }
    let files = model::find(&args.paths)?;
    let mut worst = Exit::Good;
    let mut changed = 0;
    for file in &files {
        let model = Model::read(file)?;
        let Some(formatted) = formatted(shell, &model) else {
            worst = worst.max(Exit::Model);
            continue;
        };
        if formatted == model.text {
            continue;
        }
        changed += 1;
        if args.check {
            show_difference(shell, &model, &formatted);
            worst = worst.max(Exit::Model);
        } else {
            replace(file, &formatted)?;
            shell.note(&format!("formatted {}", model.name()));
        }
    }
    if shell.json {
        shell.event("format", json!({ "files": files.len(), "changed": changed, "check": args.check }));
    } else if changed == 0 && worst == Exit::Good {
        let plural = if files.len() == 1 { "" } else { "s" };
        shell.note(&format!("{} file{plural}, nothing to change", files.len()));
    }
    Ok(worst)
}

fn format_input(shell: &Shell, check: bool) -> Result<Exit, Stop> {
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text);
    read.map_err(|e| Stop::data(format!("cannot read standard input: {e}")))?;
    let model = Model { path: PathBuf::from("<standard input>"), text };
    let Some(formatted) = formatted(shell, &model) else { return Ok(Exit::Model) };
    if !check {
        let _ = std::io::stdout().lock().write_all(formatted.as_bytes());
        return Ok(Exit::Good);
    }
    if formatted == model.text {
        return Ok(Exit::Good);
    }
    show_difference(shell, &model, &formatted);
    Ok(Exit::Model)
}

/// The formatted text, or nothing where the file has errors, which are shown.
fn formatted(shell: &Shell, model: &Model) -> Option<String> {
    match nnm_syntax::format(&model.text) {
        Ok(text) => Some(text),
        Err(diagnostics) => {
            let mut sources = SourceMap::default();
            sources.add(model.name(), model.text.clone());
            render::show(shell, &sources, &diagnostics);
            shell.note(&format!("{}: {}; left as it is", model.name(), render::counts(&diagnostics)));
            None
        }
    }
}

fn show_difference(shell: &Shell, model: &Model, formatted: &str) {
    let name = model.name();
    if shell.json {
        shell.event("unformatted", json!({ "file": name }));
        return;
    }
    let difference = TextDiff::from_lines(model.text.as_str(), formatted);
    let text = difference.unified_diff().context_radius(2).header(&name, &format!("{name} (formatted)")).to_string();
    let painted = text.lines().map(|line| match line.as_bytes().first() {
        Some(b'+') => shell.paint(Style::Good, line),
        Some(b'-') => shell.paint(Style::Bad, line),
        _ => line.to_string(),
    });
    shell.out(&painted.collect::<Vec<_>>().join("\n"));
}

/// Writes beside the file and renames, so that no half of it is ever seen; permissions are kept.
fn replace(file: &Path, text: &str) -> Result<(), Stop> {
    let failed = |e: std::io::Error| Stop::data(format!("cannot write `{}`: {e}", file.display()));
    let real = file.canonicalize().map_err(failed)?;
    let mut temporary = real.clone().into_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = std::fs::metadata(&real).and_then(|meta| {
        std::fs::write(&temporary, text)?;
        std::fs::set_permissions(&temporary, meta.permissions())?;
        std::fs::rename(&temporary, &real)
    });
    written.map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        failed(e)
    })
}
