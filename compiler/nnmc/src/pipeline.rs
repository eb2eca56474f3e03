//! The way from a file's text to results, one stage after the other; a stage that failed cannot be passed.

use nnm_syntax::diag::{Diagnostic, Severity};
use nnm_syntax::span::SourceMap;

use crate::experiment::Outcome;
use crate::failure::Failure;
use crate::hir::{ModuleId, Modules, Reader};
use crate::session::{Host, Mode, Session};
use crate::settings::Settings;

struct HostReader<'h>(&'h dyn Host);

impl Reader for HostReader<'_> {
    fn read(&self, path: &str) -> Option<String> {
        self.0.module(path)
    }
}

/// A model whose text has been read, with its modules.
pub struct Parsed {
    modules: Modules,
    main: ModuleId,
}

/// A model without errors.
pub struct Checked {
    name: String,
    text: String,
    pub warnings: Vec<Diagnostic>,
    pub sources: SourceMap,
    /// Solvers and placements chosen, for `explain --solvers`.
    pub solvers: Vec<String>,
    /// What simulated networks take of the memory, for `explain --memory`.
    pub memory: Vec<String>,
    /// Rules at work, for `explain --rules`.
    pub rules: Vec<String>,
    /// Printed graphs, where the settings ask for them.
    pub dumps: Vec<(String, String)>,
    /// Names given by `--set` that nothing asked for.
    pub unused: Vec<String>,
    pub hir: String,
}

/// What is wrong with a model, and its texts.
pub struct Rejected {
    pub diagnostics: Vec<Diagnostic>,
    pub sources: SourceMap,
}

/// What a run gave, as far as it came.
pub struct Run {
    /// The last is not whole where there is a failure.
    pub outcomes: Vec<Outcome>,
    pub failure: Option<Failure>,
    pub diagnostics: Vec<Diagnostic>,
    pub sources: SourceMap,
    pub dumps: Vec<(String, String)>,
    /// Names given by `--set` that nothing asked for.
    pub unused: Vec<String>,
}

impl Parsed {
    pub fn new(name: &str, text: &str, host: &dyn Host) -> Parsed {
        let (modules, main) = Modules::load(name, text, &HostReader(host));
        Parsed { modules, main }
    }

    /// Looks at everything once: every declaration on its own, then every experiment without running it.
    pub fn check(self, text: &str, host: &dyn Host, settings: &Settings) -> Result<Checked, Box<Rejected>> {
        let hir = crate::hir::print(&self.modules, self.main);
        let name = self.modules.get(self.main).path.clone();
        let mut session = Session::new(self.modules, Mode::Check, host);
        session.settings = settings.clone();
        if !session.has_errors() {
            session.check_declarations(self.main);
            for item in session.experiments(self.main) {
                let _ = session.run_experiment(item);
            }
        }
        let mut diagnostics = std::mem::take(&mut session.diagnostics);
        diagnostics.sort_by_key(|d| (d.span.file, d.span.start, d.severity));
        if diagnostics.iter().any(|d| d.severity == Severity::Error) {
            return Err(Box::new(Rejected { diagnostics, sources: session.modules.sources.clone() }));
        }
        let unused = session.settings.unused();
        Ok(Checked {
            unused,
            name,
            text: text.to_string(),
            warnings: diagnostics,
            sources: session.modules.sources.clone(),
            solvers: dedup(session.solvers),
            memory: dedup(session.memory_tables),
            rules: dedup(session.rules),
            dumps: session.dumps,
            hir,
        })
    }
}

fn dedup(lines: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = vec![];
    for line in lines {
        if !out.contains(&line) {
            out.push(line);
        }
    }
    out
}

impl Checked {
    /// Runs the experiments in order. A failure ends the run; what was reached is kept.
    pub fn run(&self, host: &dyn Host, settings: &Settings) -> Run {
        let parsed = Parsed::new(&self.name, &self.text, host);
        let mut session = Session::new(parsed.modules, Mode::Run, host);
        session.settings = settings.clone();
        let mut outcomes = vec![];
        let mut failure = None;
        for item in session.experiments(parsed.main) {
            let name = session.modules.item(item).name.text.clone();
            if settings.experiment.as_ref().is_some_and(|wanted| *wanted != name) {
                continue;
            }
            let (outcome, error) = session.run_experiment(item);
            outcomes.push(outcome);
            if error.is_some() {
                failure = error;
                break;
            }
        }
        let unused = session.settings.unused();
        Run {
            outcomes,
            failure,
            diagnostics: session.diagnostics,
            sources: session.modules.sources.clone(),
            dumps: session.dumps,
            unused,
        }
    }
}
