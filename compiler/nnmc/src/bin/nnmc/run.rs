//! `nnmc run`: checks a model, runs its experiments, shows what they report and keeps everything in a run folder.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use nnm_compiler::engine::Threads;
use nnm_compiler::experiment::{Expectation, Outcome};
use nnm_compiler::failure::Failure;
use nnm_compiler::parallel;
use nnm_compiler::pipeline::{Checked, Run};
use nnm_compiler::settings::Settings;
use nnm_compiler::unit::from_si;
use nnm_compiler::value::Value;
use nnm_figures::terminal::{Ink, draw_in};
use nnm_runtime::results::RunFolder;
use nnm_syntax::diag::{Diagnostic, Severity};
use nnm_syntax::span::Span;
use serde_json::{Value as Json, json};

use crate::exit::{self, Exit, Stop};
use crate::folder::{self, Ended};
use crate::host::{self, CommandHost, Seen};
use crate::model::Model;
use crate::options::ModelArgs;
use crate::progress::Meter;
use crate::shell::{self, Shell, Style};
use crate::{provenance, render, resume, tables};

#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The run folder, instead of `runs/MODEL-EXPERIMENT-N`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with a run that was cut off, in its folder
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
    /// Threads: for experiments beside one another, and within one where there are more than experiments; without it
    /// one, and as many as the machine has for the passes of a `for … parallel`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Whether this run was begun before.
    #[arg(skip)]
    pub goes_on: bool,
}

impl RunArgs {
    pub fn threads(&self) -> u32 {
        self.threads.unwrap_or(1)
    }
}

/// What all experiments of a command share.
pub struct Job<'a> {
    pub shell: &'a Shell,
    pub args: &'a RunArgs,
    pub model: &'a Model,
    pub checked: &'a Checked,
    pub names: &'a [String],
}

/// What became of one experiment; all text is ready to be shown.
pub struct Done {
    pub exit: Exit,
    /// The reports of one number.
    pub numbers: Vec<Number>,
    /// Expectations that held, and all.
    pub held: (usize, usize),
    pub out: String,
    pub remarks: String,
    /// Names given by `--set` that nothing asked for.
    pub unused: Vec<String>,
}

pub fn run(shell: &Shell, args: &RunArgs) -> Result<Exit, Stop> {
    if let Some(folder) = &args.resume {
        return run(shell, &resume::arguments(folder, args)?);
    }
    let path = args.model.path()?;
    let model = Model::read(&path)?;
    let host = CommandHost::new(&path, &args.model.options.data, Meter::silent());
    let checked = model.check_aloud(shell, &host, &args.model.options.settings())?;
    let names = chosen(&model, args.model.experiment.as_deref())?;
    let job = Job { shell, args, model: &model, checked: &checked, names: &names };
    let ended = AtomicBool::new(false);
    let work = |k: usize| {
        let done = run_experiment(&job, &names[k]);
        let over = done.as_ref().map_or(true, |d| ends_all(d.exit));
        ended.fetch_or(over, Ordering::Relaxed);
        done
    };
    let mut all: Vec<Done> = vec![];
    let mut stop = None;
    let stopped = || ended.load(Ordering::Relaxed) || host::interrupted();
    parallel::in_order(args.threads() as usize, names.len(), stopped, work, |_, done| match done {
        Some(Ok(done)) => {
            say(shell, &done);
            all.push(done);
        }
        Some(Err(error)) => stop = Some(error),
        None => stop = Some(Stop::said(Exit::Bug)),
    });
    if let Some(stop) = stop {
        return Err(stop);
    }
    for (name, _) in &args.model.options.set {
        if all.iter().all(|done| done.unused.contains(name)) {
            shell.warning(&format!("nothing in the model asks for `{name}`, given by `--set`"));
        }
    }
    let worst = all.iter().map(|done| done.exit).max().unwrap_or(Exit::Good);
    // A request that came when everything had been done already changes nothing.
    let left = &names[all.len()..];
    if host::interrupted() && !left.is_empty() {
        let list: Vec<String> = left.iter().map(|name| format!("`{name}`")).collect();
        let (name, verb) = (model.name(), if left.len() == 1 { "was" } else { "were" });
        shell.note(&format!(
            "{} {verb} not begun, and `--resume` leaves them out: `nnmc run {name} --experiment NAME` runs one",
            list.join(", ")
        ));
        return Ok(host::asked_exit().max(worst));
    }
    Ok(worst)
}

fn say(shell: &Shell, done: &Done) {
    if !done.out.is_empty() {
        shell.out(&done.out);
    }
    if !done.remarks.is_empty() {
        shell.say(&done.remarks);
    }
}

/// The experiments to run.
pub fn chosen(model: &Model, wanted: Option<&str>) -> Result<Vec<String>, Stop> {
    let names = model.experiments();
    let Some(wanted) = wanted else {
        if names.is_empty() {
            let name = model.name();
            return Err(Stop::usage(format!("`{name}` has no experiment to run; `nnmc check {name}` checks it")));
        }
        return Ok(names);
    };
    if names.iter().any(|name| name == wanted) {
        return Ok(vec![wanted.to_string()]);
    }
    let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let has = if list.is_empty() { "it has none".into() } else { format!("it has {}", list.join(", ")) };
    Err(Stop::usage(format!("`{}` has no experiment `{wanted}`; {has}", model.name())))
}

/// Whether an exit ends the command before its other experiments.
fn ends_all(exit: Exit) -> bool {
    !matches!(exit, Exit::Good | Exit::Numeric)
}

/// The threads that each of the experiments has for itself: within a simulation, and for passes of a loop.
fn within(given: Option<u32>, experiments: usize) -> (Threads, usize) {
    let threads = given.unwrap_or(1);
    let beside = experiments.clamp(1, threads as usize) as u32;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let own = (threads / beside).max(1);
    let workers = if given.is_some() { own } else { cores };
    (Threads { most: own.min(cores), always: false }, workers as usize)
}

pub fn run_experiment(job: &Job, name: &str) -> Result<Done, Stop> {
    let (shell, options) = (job.shell, &job.args.model.options);
    let folder = folder::place(job.args.out.as_ref(), &job.model.stem(), name, job.names.len() == 1)?;
    let (threads, workers) = within(job.args.threads, job.names.len());
    let settings = Settings { experiment: Some(name.to_string()), threads, workers, ..options.settings() };
    let meter =
        if job.args.threads() > 1 && job.names.len() > 1 { Meter::beside_others(shell) } else { Meter::new(shell) };
    let host = CommandHost::new(&job.model.path, &options.data, meter).keeping(folder.clone());
    let (started, clock) = (SystemTime::now(), Instant::now());
    // A run that is killed is known by what it was asked to do.
    let mut begun = begun(job, name, started);
    if !job.args.goes_on {
        folder::clear(&folder);
    }
    begun["status"] = json!("running");
    folder.write_manifest(&begun)?;
    let run = job.checked.run(&host, &settings);
    let seconds = clock.elapsed().as_secs_f64();
    let seen = host.take_seen();
    let news = news(job.checked, &run);
    let ending = ending(&run, &news);
    let partial = run.failure.is_some();
    let outcome = run.outcomes.first().cloned().unwrap_or_else(|| reached(name, &seen));
    let outcome = if partial { with_what_was_said(outcome, &seen) } else { outcome };
    let failed = ending.exit == Exit::Good && outcome.expectations.iter().any(|e| !e.held);
    let (exit, status) = if failed { (Exit::Numeric, "failed") } else { (ending.exit, ending.status) };
    let mut out = result(shell, &outcome);
    let mut remarks = String::new();
    render::put(shell, &run.sources, &news, &mut out, &mut remarks);
    if let Some(message) = &ending.message {
        shell.put_error(message, &mut out, &mut remarks);
    }
    if partial && matches!(exit, Exit::Model | Exit::Data) && seen.reports.is_empty() {
        // There is nothing to keep: only an empty folder goes.
        let _ = std::fs::remove_file(folder.path().join("manifest.json"));
        let _ = std::fs::remove_dir(folder.path());
        let out = if shell.json { out } else { String::new() };
        return Ok(Done { exit, numbers: vec![], held: (0, 0), out, remarks, unused: run.unused });
    }
    let ended = Ended {
        model: &job.model.name(),
        source: &job.model.text,
        outcome: &outcome,
        seed: if partial { options.seed } else { Some(outcome.seed) },
        seen: &seen,
        status,
        manifest: manifest(job, &run, name, started, seconds),
    };
    folder::write(&folder, &ended)?;
    if !partial {
        host.forget_checkpoints();
    } else if run.failure.as_ref().is_some_and(|f| matches!(f, Failure::Interrupted))
        && folder.path().join("checkpoints").is_dir()
    {
        let place = folder.path().display().to_string();
        shell.put_note(&format!("`nnmc run --resume {place}` goes on from here"), &mut remarks);
    }
    put_place(shell, &folder, seconds, &mut out, &mut remarks);
    let held = (outcome.expectations.iter().filter(|e| e.held).count(), outcome.expectations.len());
    Ok(Done { exit, numbers: numbers(&outcome), held, out, remarks, unused: run.unused })
}

/// A report of one number, in its unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    pub name: String,
    pub value: f64,
    pub unit: String,
}

fn numbers(outcome: &Outcome) -> Vec<Number> {
    let number = |(name, value): &(String, Value)| {
        let Value::Num(num) = value else { return None };
        let unit = num.unit.shown();
        Some(Number { name: name.clone(), value: from_si(num.as_f64()?, &unit), unit: unit.name.to_string() })
    };
    outcome.reports.iter().filter_map(number).collect()
}

/// What the run found that checking had not.
fn news(checked: &Checked, run: &Run) -> Vec<Diagnostic> {
    let known = |d: &Diagnostic| checked.warnings.iter().any(|w| w.code == d.code && w.span == d.span);
    let mut news: Vec<Diagnostic> = run.diagnostics.iter().filter(|d| !known(d)).cloned().collect();
    if let Some(Failure::Numeric(d)) = &run.failure {
        news.push((**d).clone());
    }
    news
}

/// How a run ended.
pub struct Ending {
    pub exit: Exit,
    /// A word for the manifest.
    pub status: &'static str,
    /// What is to be said beside the findings.
    pub message: Option<String>,
}

pub fn ending(run: &Run, news: &[Diagnostic]) -> Ending {
    let ending = |exit, status, message| Ending { exit, status, message };
    match &run.failure {
        None if news.iter().any(|d| d.severity == Severity::Error) => {
            ending(exit::of_findings(news), "the model has errors", None)
        }
        None => ending(Exit::Good, "held", None),
        Some(Failure::Model) => ending(exit::of_findings(news).max(Exit::Model), "the model has errors", None),
        Some(Failure::Numeric(_)) => ending(Exit::Numeric, "numeric failure", None),
        Some(Failure::Limit(message)) => ending(Exit::Limit, "refused by a limit", Some(message.clone())),
        Some(Failure::Data(message)) => ending(Exit::Data, "a file cannot be used", Some(message.clone())),
        Some(Failure::Bug(message)) => ending(Exit::Bug, "a bug of the compiler", Some(crate::crash::text(message))),
        Some(Failure::Interrupted) => {
            ending(host::asked_exit(), "interrupted", Some("interrupted; what was reached is kept".into()))
        }
    }
}

/// An outcome that is not whole: passes of a sweep that had ended are known by what they said.
fn with_what_was_said(outcome: Outcome, seen: &Seen) -> Outcome {
    let said = reached(&outcome.name, seen);
    let more =
        said.reports.into_iter().filter(|(n, _)| !outcome.reports.iter().any(|(m, _)| m == n)).collect::<Vec<_>>();
    let mut whole = outcome;
    whole.reports.extend(more);
    if whole.expectations.len() < said.expectations.len() {
        whole.expectations = said.expectations;
    }
    whole
}

/// What an experiment that did not come to its end had reported.
fn reached(name: &str, seen: &Seen) -> Outcome {
    let expectation = |(text, held, found): &(String, bool, String)| Expectation {
        text: text.clone(),
        held: *held,
        found: found.clone(),
        span: Span::default(),
    };
    Outcome {
        name: name.to_string(),
        reports: seen.reports.iter().map(|(n, v)| (n.clone(), Value::Num(v.clone()))).collect(),
        expectations: seen.expectations.iter().map(expectation).collect(),
        ..Outcome::default()
    }
}

/// An outcome as it is shown on standard output.
fn result(shell: &Shell, outcome: &Outcome) -> String {
    if shell.json {
        return result_json(outcome);
    }
    let mut lines = vec![shell.paint(Style::Bold, &outcome.name)];
    for table in tables::of_reports(&outcome.reports, shell.unicode) {
        lines.extend(table.lines());
    }
    for e in &outcome.expectations {
        let found = if e.found.is_empty() { String::new() } else { format!("   ({})", e.found) };
        lines.push(format!("  {} {}{}", shell.mark(e.held), e.text, shell.paint(Style::Dim, &found)));
    }
    if let Some((_, figure)) = outcome.figures.first()
        && shell.unicode
        && !shell.quiet
    {
        let ink = if shell.colour_out { Ink::Ansi } else { Ink::Plain };
        lines.push(format!("\n{}\n", draw_in(figure, shell.width(), 18, ink)));
    }
    lines.join("\n") + "\n"
}

fn result_json(outcome: &Outcome) -> String {
    let mut out = String::new();
    for (name, value) in &outcome.reports {
        let mut fields = folder::value_json(value);
        fields["name"] = json!(name);
        fields["experiment"] = json!(outcome.name);
        out.push_str(&shell::event_line("report", fields));
    }
    for e in &outcome.expectations {
        let fields = json!({ "experiment": outcome.name, "text": e.text, "held": e.held, "found": e.found });
        out.push_str(&shell::event_line("expectation", fields));
    }
    out
}

fn put_place(shell: &Shell, folder: &RunFolder, seconds: f64, out: &mut String, remarks: &mut String) {
    let path = folder.path().display().to_string();
    if shell.json {
        out.push_str(&shell::event_line("run", json!({ "folder": path, "seconds": seconds })));
    } else if !shell.quiet {
        let text = format!("{path}/report.html   ({})", provenance::duration(seconds));
        remarks.push_str(&shell.paint_err(Style::Dim, &text));
        remarks.push('\n');
    }
}

/// What is known of a run when it begins.
fn begun(job: &Job, name: &str, started: SystemTime) -> Json {
    let path = job.model.path.canonicalize().unwrap_or_else(|_| job.model.path.clone());
    json!({
        "schema": 1,
        "nnmc": crate::VERSION,
        "model": job.model.name(),
        "path": path.display().to_string(),
        "experiment": name,
        "command": std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>(),
        "settings": job.args.model.options.as_json(),
        "started": provenance::time(started),
        "machine": { "os": std::env::consts::OS, "arch": std::env::consts::ARCH },
    })
}

fn manifest(job: &Job, run: &Run, name: &str, started: SystemTime, seconds: f64) -> Json {
    let sources: Vec<Json> = run
        .sources
        .files()
        .map(|(_, source)| json!({ "name": source.name, "sha256": provenance::sha256(source.text.as_bytes()) }))
        .collect();
    let mut manifest = begun(job, name, started);
    manifest["wall_seconds"] = json!(seconds);
    manifest["sources"] = json!(sources);
    manifest
}
