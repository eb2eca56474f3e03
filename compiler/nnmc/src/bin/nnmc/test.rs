//! `nnmc test`: runs every experiment below some paths and holds it to its expectations.

use std::path::PathBuf;
use std::time::Instant;

use nnm_compiler::failure::Failure;
use nnm_compiler::parallel;
use nnm_compiler::pipeline::{Checked, Run};
use nnm_compiler::settings::Settings;
use nnm_syntax::diag::{Diagnostic, Severity};
use serde_json::json;

use crate::exit::{Exit, Stop};
use crate::host::{self, CommandHost};
use crate::model::{self, Model};
use crate::options::RunOptions;
use crate::progress::Meter;
use crate::render;
use crate::shell::{Shell, Style};

#[derive(Clone, Debug, clap::Args)]
pub struct TestArgs {
    /// Files, and folders with all models below them
    #[arg(default_value = ".", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub options: RunOptions,
    /// Models that are run at the same time
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Held,
    Failed,
    Skipped,
}

/// One line of the result.
#[derive(Clone, Debug)]
struct Line {
    verdict: Verdict,
    experiment: String,
    text: String,
    found: String,
}

/// What became of one model file.
#[derive(Clone, Debug, Default)]
struct Tested {
    lines: Vec<Line>,
    /// Findings, ready to be shown.
    details: String,
    seconds: f64,
}

pub fn test(shell: &Shell, args: &TestArgs) -> Result<Exit, Stop> {
    let files = model::find(&args.paths)?;
    let mut models = vec![];
    for file in files {
        let model = Model::read(&file)?;
        if !model.experiments().is_empty() {
            models.push(model);
        }
    }
    if models.is_empty() {
        return Err(Stop::usage("there is no model with an experiment here"));
    }
    let mut counts = [0usize; 3];
    let work = |k: usize| test_model(shell, args, &models[k]);
    parallel::in_order(args.threads as usize, models.len(), host::interrupted, work, |k, tested| {
        let tested = tested.unwrap_or_else(|| broken("a bug of the compiler: it panicked"));
        for line in &tested.lines {
            counts[line.verdict as usize] += 1;
        }
        show(shell, &models[k], &tested);
    });
    let [held, failed, skipped] = counts;
    if shell.json {
        shell.event("summary", json!({ "passed": held, "failed": failed, "skipped": skipped }));
    } else {
        let style = if failed == 0 { Style::Good } else { Style::Bad };
        let text = format!("{held} passed, {failed} failed, {skipped} skipped");
        shell.out(&shell.paint(style, &text));
    }
    Ok(match failed {
        _ if host::interrupted() => host::asked_exit(),
        0 => Exit::Good,
        _ => Exit::Tests,
    })
}

fn broken(text: &str) -> Tested {
    Tested { lines: vec![line(Verdict::Failed, "", text)], ..Tested::default() }
}

fn line(verdict: Verdict, experiment: &str, text: &str) -> Line {
    Line { verdict, experiment: experiment.into(), text: text.into(), found: String::new() }
}

fn test_model(shell: &Shell, args: &TestArgs, model: &Model) -> Tested {
    let start = Instant::now();
    let meter = if args.threads > 1 { Meter::beside_others(shell) } else { Meter::new(shell) };
    let host = CommandHost::new(&model.path, &args.options.data, meter);
    let mut tested = match model.check(&host, &args.options.settings()) {
        Ok(checked) => test_experiments(shell, args, model, &host, &checked),
        Err(rejected) => match missing_data(&rejected.diagnostics) {
            Some(why) => Tested { lines: vec![line(Verdict::Skipped, "", &why)], ..Tested::default() },
            None => Tested {
                lines: vec![line(Verdict::Failed, "", &render::counts(&rejected.diagnostics))],
                details: render::text(shell, &rejected.sources, &rejected.diagnostics),
                ..Tested::default()
            },
        },
    };
    tested.seconds = start.elapsed().as_secs_f64();
    tested
}

fn test_experiments(shell: &Shell, args: &TestArgs, model: &Model, host: &CommandHost, checked: &Checked) -> Tested {
    let mut tested = Tested::default();
    for name in model.experiments() {
        let settings = Settings { experiment: Some(name.clone()), ..args.options.settings() };
        let run = checked.run(host, &settings);
        let seen = host.take_seen();
        for (text, held, found) in &seen.expectations {
            let verdict = if *held { Verdict::Held } else { Verdict::Failed };
            let found = found.clone();
            tested.lines.push(Line { verdict, experiment: name.clone(), text: text.clone(), found });
        }
        match failure(&run) {
            Some(why) => {
                let skip = missing_data(&run.diagnostics);
                let verdict = if skip.is_some() { Verdict::Skipped } else { Verdict::Failed };
                tested.lines.push(line(verdict, &name, &skip.unwrap_or(why)));
                if verdict == Verdict::Failed {
                    tested.details.push_str(&render::text(shell, &run.sources, &findings(&run)));
                }
            }
            None if seen.expectations.is_empty() => tested.lines.push(line(Verdict::Held, &name, "runs to its end")),
            None => {}
        }
    }
    tested
}

/// Why an experiment did not come to its end.
fn failure(run: &Run) -> Option<String> {
    match &run.failure {
        Some(Failure::Model) => Some(render::counts(&run.diagnostics)),
        Some(Failure::Numeric(d)) => Some(d.message.clone()),
        Some(Failure::Limit(message) | Failure::Data(message)) => Some(message.clone()),
        Some(Failure::Bug(message)) => Some(format!("a bug of the compiler: {message}")),
        Some(Failure::Interrupted) => Some("interrupted".into()),
        None if run.diagnostics.iter().any(|d| d.severity == Severity::Error) => Some(render::counts(&run.diagnostics)),
        None => None,
    }
}

fn findings(run: &Run) -> Vec<Diagnostic> {
    let mut findings = run.diagnostics.clone();
    if let Some(Failure::Numeric(d)) = &run.failure {
        findings.push((**d).clone());
    }
    findings
}

/// Data sets that are too large to lie beside models; they are found through `NNM_DATA`.
const OUTSIDE: &[&str] = &["mnist"];

/// What is missing, where the only fault of a model is that such a data set is not here.
fn missing_data(diagnostics: &[Diagnostic]) -> Option<String> {
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    let outside = |d: &&Diagnostic| {
        let text = d.message.to_ascii_lowercase();
        d.code == "E0601" && text.starts_with("no file") && OUTSIDE.iter().any(|name| text.contains(name))
    };
    let first = errors.first()?;
    let file = first.message.split(';').next().unwrap_or_default().to_string();
    errors.iter().all(outside).then(|| format!("{file}; `NNM_DATA` names the folder of large data sets"))
}

fn show(shell: &Shell, model: &Model, tested: &Tested) {
    for line in &tested.lines {
        if shell.json {
            show_json(shell, model, line);
            continue;
        }
        let mark = match line.verdict {
            Verdict::Skipped => shell.paint(Style::Warning, if shell.unicode { "–" } else { "skip" }),
            verdict => shell.mark(verdict == Verdict::Held),
        };
        let experiment = if line.experiment.is_empty() { String::new() } else { format!(" {}", line.experiment) };
        let word = if line.verdict == Verdict::Skipped { "skipped: " } else { "" };
        let found = if line.found.is_empty() { String::new() } else { format!("   ({})", line.found) };
        let found = shell.paint(Style::Dim, &found);
        shell.out(&format!("{mark} {}{experiment}: {word}{}{found}", model.name(), line.text));
    }
    if !tested.details.is_empty() && !shell.json {
        shell.say(&tested.details);
    }
    if !shell.json && tested.seconds > 1.0 {
        shell.note(&shell.paint_err(Style::Dim, &format!("  {}: {:.1} s", model.path.display(), tested.seconds)));
    }
}

fn show_json(shell: &Shell, model: &Model, line: &Line) {
    let verdict = match line.verdict {
        Verdict::Held => "held",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
    };
    let fields = json!({
        "file": model.name(),
        "experiment": line.experiment,
        "verdict": verdict,
        "text": line.text,
        "found": line.found,
    });
    shell.event("expectation", fields);
}
