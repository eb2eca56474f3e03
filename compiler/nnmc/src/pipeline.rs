//! The way from a file's text to results, one stage after the other; a stage that failed cannot be passed.

use nnm_syntax::diag::{Diagnostic, Severity};
use nnm_syntax::span::SourceMap;

use crate::experiment::Outcome;
use crate::failure::Failure;
use crate::hir::{ItemKind, ModuleId, Modules, Reader};
use crate::session::{Host, Mode, Session};
use crate::settings::Settings;
use crate::value::{Kind, Value};

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
    /// Rules at work, for `explain --rules`.
    pub rules: Vec<String>,
    /// Printed graphs, where the settings ask for them.
    pub dumps: Vec<(String, String)>,
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
            return Err(Box::new(Rejected { diagnostics, sources: session.modules.sources }));
        }
        Ok(Checked {
            name,
            text: text.to_string(),
            warnings: diagnostics,
            sources: session.modules.sources,
            solvers: dedup(session.solvers),
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
        let unused =
            settings.set.iter().map(|(n, _)| n.clone()).filter(|n| !session.settings.used.contains(n)).collect();
        Run {
            outcomes,
            failure,
            diagnostics: session.diagnostics,
            sources: session.modules.sources,
            dumps: session.dumps,
            unused,
        }
    }
}

impl Session<'_> {
    /// Looks at every declaration of a module, used or not.
    pub fn check_declarations(&mut self, module: ModuleId) {
        let items: Vec<_> = self.modules.get(module).own.values().copied().collect();
        for item in items {
            let declared = self.modules.item(item).clone();
            let span = declared.name.span;
            match &declared.kind {
                ItemKind::Architecture(_) => {
                    let kind = Kind { item, args: vec![], span, text: declared.name.text.as_str().into() };
                    self.build_network(&kind, &declared.name.text);
                }
                ItemKind::Neuron(_) => self.check_neuron(item),
                ItemKind::Function(_) | ItemKind::Objective(_) => self.check_function(item),
                ItemKind::Rule(_) => self.check_rule(item),
                ItemKind::Environment(_) => self.check_environment(item),
                ItemKind::Synapse(_) | ItemKind::Optimizer(_) | ItemKind::Experiment(_) => {}
            }
        }
    }

    fn check_rule(&mut self, item: crate::hir::ItemId) {
        if let ItemKind::Rule(rule) = self.modules.item(item).kind.clone() {
            let span = self.modules.item(item).name.span;
            let kind = Kind { item, args: vec![], span, text: "".into() };
            self.check_local(&kind, &rule);
        }
    }

    /// A function's body with parameters of which only their types are known.
    fn check_function(&mut self, item: crate::hir::ItemId) {
        let declared = self.modules.item(item).clone();
        let scope = self.scope(declared.module, None);
        // A network among the parameters has weights: storage of a program that is never run.
        let graph = std::mem::take(&mut self.graph);
        let program = self.program.take();
        if declared.params.iter().any(|p| p.ty.as_ref().is_some_and(|t| self.architecture_of(scope, t).is_some())) {
            self.program = Some(crate::program::Program::new(crate::program::Purpose::Probe, false));
        }
        for param in &declared.params {
            let value = match (&param.ty, param.default) {
                (Some(ty), _) => self.unknown_of_type(scope, ty),
                (None, Some(default)) => match self.eval(scope, default) {
                    Value::Num(num) => Value::Num(crate::value::Num::unknown(num.unit)),
                    other => other,
                },
                (None, None) => Value::Num(crate::value::Num::unknown(crate::unit::Unit::Unknown)),
            };
            self.bind(scope, param.name.text.clone(), value);
        }
        self.check_body(&declared, scope);
        self.graph = graph;
        self.program = program;
    }

    /// The architecture that a type names.
    fn architecture_of(
        &self,
        scope: crate::session::ScopeId,
        ty: &nnm_syntax::ast::Type,
    ) -> Option<crate::hir::ItemId> {
        let nnm_syntax::ast::TypeKind::Named { name, .. } = &ty.kind else { return None };
        let item = *self.modules.get(self.module_of(scope)).seen.get(&name.text)?;
        (self.item_word(item) == "architecture").then_some(item)
    }

    fn unknown_of_type(&mut self, scope: crate::session::ScopeId, ty: &nnm_syntax::ast::Type) -> Value {
        if let Some(item) = self.architecture_of(scope, ty) {
            let text = self.text(ty.span).into();
            let kind = Kind { item, args: vec![], span: ty.span, text };
            let Some(net) = self.build_network(&kind, "net") else { return Value::Missing };
            // Its members have values in the function, as they have where it is called.
            self.frame_of(net);
            return Value::Network(net);
        }
        let unknown = Value::Num(crate::value::Num::unknown(crate::unit::Unit::Unknown));
        match self.hold_at(scope, unknown, ty, ty.span) {
            Value::Missing => Value::Missing,
            value => value,
        }
    }
}
