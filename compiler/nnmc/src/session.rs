//! All that is known while a model is checked or run: modules, findings, scopes, networks, and the program being built.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use nnm_graph::ir::Graph;
use nnm_syntax::diag::{Diagnostic, Severity};
use nnm_syntax::span::Span;

use crate::eval::Closure;
use crate::hir::{ItemId, ModuleId, Modules};
use crate::network::{Frame, FrameId, NetId, Network};
use crate::program::Program;
use crate::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScopeId(pub u32);

/// Names and what they stand for; a name that is not here is looked for in the parent, then in the module.
#[derive(Clone, Debug)]
pub struct Scope {
    pub module: ModuleId,
    pub parent: Option<ScopeId>,
    /// Whose names these are, where that is a population: `E`.
    pub owner: Option<String>,
    /// For the columns of a table: its file.
    pub table: Option<String>,
    /// Of names that are evaluated in several scopes of a step: what they are names of, so that a draw is one.
    pub place: Option<String>,
    /// For the parameters of a function: where it is called.
    pub caller: Option<ScopeId>,
    pub names: IndexMap<String, Slot>,
}

/// A name that is being evaluated.
#[derive(Clone, Debug)]
pub struct Naming {
    pub name: String,
    pub span: Span,
    pub scope: ScopeId,
    /// The draws made for it so far, by their places in the text.
    pub drawn: Vec<String>,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Slot {
    Value(Value),
    /// Evaluated when first read.
    Lazy(Lazy),
    /// Being evaluated: reading it now is a cycle.
    Busy,
}

#[derive(Clone, Debug)]
pub enum Lazy {
    /// An expression, held to a declared type if there is one.
    Expr(Closure, Option<nnm_syntax::ast::Type>),
    /// What arrives at a port of a population in this step.
    Port { frame: FrameId, population: usize, port: usize },
    /// The output of an architecture's part or of the architecture itself.
    Input { frame: FrameId, name: String },
    /// A name of one end of a connection, as a part of a simulation's step sees it.
    End { site: crate::simulate::Site, post: bool, name: String },
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is computed; every part of the model is looked at once.
    Check,
    Run,
}

pub struct Session<'a> {
    pub modules: Arc<Modules>,
    pub mode: Mode,
    pub seed: u64,
    pub scopes: Vec<Scope>,
    pub nets: Vec<Network>,
    pub frames: Vec<Frame>,
    /// The graph of the program being built, or a scratch one.
    pub graph: Graph,
    pub program: Option<Program>,
    /// Names being evaluated with their scopes, innermost last: the chain of a cycle.
    pub chain: Vec<Naming>,
    /// The draw being made for a parameter, state or weight; `None` inside equations.
    pub drawing: Option<crate::network::Drawing>,
    /// What `check-gradients` found.
    pub gradients: Vec<crate::samples::GradientRow>,
    /// What the trainings so far were made of.
    pub made_of: Vec<crate::components::Components>,
    /// Updates in an epoch and in all, of the training being built.
    pub schedule: Option<(usize, usize)>,
    /// Trainings and simulations begun so far.
    pub courses: usize,
    /// What a training or simulation that ended early had given.
    pub unfinished: Option<Value>,
    /// Who acts where episodes are evaluated.
    pub actor: Option<crate::samples::Actor>,
    /// Whether a rule is looked at by itself, of no connection; and whether what is looked at is its energy.
    pub lone_rule: bool,
    pub in_energy: bool,
    /// Whether an expression over samples may keep an axis of time: for pictures.
    pub keeps_series: bool,
    /// The connection over whose edges a rule's formula is being evaluated.
    pub edges_in_sight: Option<crate::simulate::Site>,
    /// Calls of declared functions under way, outermost first; and how many the outermost has led to.
    pub calls: Vec<Span>,
    pub written_out: usize,
    /// The first that led to too many.
    pub too_far: Option<Span>,
    /// Conditions under which what is being evaluated in a cell counts, outermost first.
    pub acting: Vec<crate::value::Num>,
    pub host: &'a dyn Host,
    pub settings: crate::settings::Settings,
    /// Why a computation inside an expression ended early.
    pub failure: Option<crate::failure::Failure>,
    /// Solvers and placements chosen, with their reasons.
    pub solvers: Vec<String>,
    /// What simulated networks take of the memory, for `explain --memory`.
    pub memory_tables: Vec<String>,
    /// Rules at work in trainings: what they need and whom they reach.
    pub rules: Vec<String>,
    /// Printed graphs and kernels, in the order in which they were made.
    pub dumps: Vec<(String, String)>,
    /// While a declaration is looked at for lengths of any size: what each stands for. Nothing is drawn then.
    pub lengths: BTreeMap<usize, String>,
    seen: BTreeSet<(&'static str, Span)>,
    pub diagnostics: Vec<Diagnostic>,
}

/// What a fork of a session leaves besides its results.
#[derive(Default)]
pub struct Findings {
    diagnostics: Vec<Diagnostic>,
    used: BTreeSet<String>,
    gradients: Vec<crate::samples::GradientRow>,
    made_of: Vec<crate::components::Components>,
    dumps: Vec<(String, String)>,
}

/// What the library asks of its surroundings: data files. The only way to anything outside.
pub trait Host: Sync {
    /// The text of a module beside the user's file.
    fn module(&self, path: &str) -> Option<String>;
    fn files(&self) -> &nnm_runtime::data::Files;
    /// Bytes of memory that can be had, where that is known.
    fn memory(&self) -> Option<u64> {
        None
    }
    /// A line of progress; `None` when the work is over.
    fn progress(&self, event: &crate::events::Event);
    /// Whether the user asked to stop.
    fn interrupted(&self) -> bool;
    /// Where checkpoints are kept, if anywhere.
    fn keeper(&self) -> Option<&dyn crate::checkpoint::Keeper> {
        None
    }
}

impl<'a> Session<'a> {
    pub fn new(modules: Modules, mode: Mode, host: &'a dyn Host) -> Session<'a> {
        let mut modules = modules;
        let found = std::mem::take(&mut modules.diagnostics);
        let mut session = Session {
            modules: Arc::new(modules),
            mode,
            seed: 0,
            scopes: vec![],
            nets: vec![],
            frames: vec![],
            graph: Graph::default(),
            program: None,
            chain: vec![],
            lone_rule: false,
            in_energy: false,
            drawing: None,
            gradients: vec![],
            made_of: vec![],
            schedule: None,
            courses: 0,
            unfinished: None,
            actor: None,
            keeps_series: false,
            edges_in_sight: None,
            calls: vec![],
            written_out: 0,
            too_far: None,
            acting: vec![],
            host,
            settings: crate::settings::Settings::default(),
            failure: None,
            solvers: vec![],
            memory_tables: vec![],
            rules: vec![],
            dumps: vec![],
            lengths: BTreeMap::new(),
            seen: BTreeSet::new(),
            diagnostics: vec![],
        };
        for diagnostic in found {
            session.report(diagnostic);
        }
        session
    }

    /// A session that goes on from here by itself, beside this one.
    pub fn fork<'h>(&self, host: &'h dyn Host) -> Session<'h> {
        let kept = Session::new(Modules::default(), self.mode, host);
        Session {
            modules: self.modules.clone(),
            seed: self.seed,
            scopes: self.scopes.clone(),
            nets: self.nets.clone(),
            frames: self.frames.clone(),
            settings: self.settings.clone(),
            seen: self.seen.clone(),
            ..kept
        }
    }

    /// What a fork has found, when it is at its end.
    pub fn into_findings(self) -> Findings {
        Findings {
            diagnostics: self.diagnostics,
            used: self.settings.used,
            gradients: self.gradients,
            made_of: self.made_of,
            dumps: self.dumps,
        }
    }

    /// Takes over what a fork has found.
    pub fn join(&mut self, fork: Findings) {
        fork.diagnostics.into_iter().for_each(|d| self.report(d));
        self.settings.used.extend(fork.used);
        self.gradients.extend(fork.gradients);
        self.made_of.extend(fork.made_of);
        self.dumps.extend(fork.dumps);
    }

    /// Keeps a finding; the same code at the same place is said once.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        let diagnostic = self.where_called(diagnostic);
        if self.seen.insert((diagnostic.code, diagnostic.span)) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// What is wrong inside a function of the library is wrong with how it was called.
    fn where_called(&self, mut d: Diagnostic) -> Diagnostic {
        let library = |span: &Span| self.modules.sources.get(span.file).name.starts_with("std/");
        let Some(call) = self.calls.iter().rev().find(|call| library(&d.span) && !library(call)) else { return d };
        let said = std::mem::take(&mut d.at);
        let inside = std::mem::replace(&mut d.span, *call);
        d.fix = None;
        d.label(inside, if said.is_empty() { "found here".to_string() } else { said })
    }

    /// What is found meanwhile, kept apart from the session's own findings.
    pub fn aside(&mut self, look: impl FnOnce(&mut Self)) -> Vec<Diagnostic> {
        let seen = std::mem::take(&mut self.seen);
        let diagnostics = std::mem::take(&mut self.diagnostics);
        look(self);
        self.seen = seen;
        std::mem::replace(&mut self.diagnostics, diagnostics)
    }

    /// Reports an error and gives the value that is silent about what follows from it.
    pub fn fail(&mut self, diagnostic: Diagnostic) -> Value {
        self.report(diagnostic);
        Value::Missing
    }

    pub fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> Value {
        self.fail(Diagnostic::error(code, span, message))
    }

    /// Keeps the printed form of a program, where it is asked for.
    pub fn dump(
        &mut self,
        program: &nnm_graph::ir::Program,
        choices: &[(String, crate::dynamics::Choice)],
        placements: &[(String, String)],
    ) {
        if self.settings.emit_graph {
            self.dumps.push((program.name.clone(), nnm_graph::print::print(program)));
        }
        if self.settings.emit_kernels
            && self.mode == Mode::Check
            && let Ok(lowered) = crate::lowering::lowered(program)
        {
            self.dump_kernel(&lowered.kernel);
        }
        for (owner, choice) in choices {
            let states = choice.states.join(", ");
            self.solvers.push(format!("{owner}: {states} by {}: {}", choice.method.name(), choice.reason));
        }
        for (connection, place) in placements {
            self.solvers.push(format!("{connection}: {place}"));
        }
    }

    pub fn dump_kernel(&mut self, kernel: &nnm_kir::ir::Kernel) {
        self.dumps.push((kernel.name.clone(), nnm_kir::print::print(kernel)));
    }

    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    pub fn error_count(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
    }

    pub fn scope(&mut self, module: ModuleId, parent: Option<ScopeId>) -> ScopeId {
        let names = IndexMap::new();
        self.scopes.push(Scope { module, parent, owner: None, table: None, place: None, caller: None, names });
        ScopeId(self.scopes.len() as u32 - 1)
    }

    /// A scope inside another, of the same module.
    pub fn inner(&mut self, parent: ScopeId) -> ScopeId {
        let module = self.scopes[parent.0 as usize].module;
        self.scope(module, Some(parent))
    }

    pub fn bind(&mut self, scope: ScopeId, name: impl Into<String>, value: Value) {
        self.scopes[scope.0 as usize].names.insert(name.into(), Slot::Value(value));
    }

    pub fn bind_lazy(&mut self, scope: ScopeId, name: impl Into<String>, lazy: Lazy) {
        self.scopes[scope.0 as usize].names.insert(name.into(), Slot::Lazy(lazy));
    }

    pub fn module_of(&self, scope: ScopeId) -> ModuleId {
        self.scopes[scope.0 as usize].module
    }

    pub fn text(&self, span: Span) -> &str {
        self.modules.sources.text(span)
    }

    pub fn item_word(&self, item: ItemId) -> &'static str {
        self.modules.item(item).kind.word()
    }

    pub fn net(&self, id: NetId) -> &Network {
        &self.nets[id.0 as usize]
    }

    pub fn net_mut(&mut self, id: NetId) -> &mut Network {
        &mut self.nets[id.0 as usize]
    }

    pub fn frame(&self, id: FrameId) -> &Frame {
        &self.frames[id.0 as usize]
    }

    pub fn frame_mut(&mut self, id: FrameId) -> &mut Frame {
        &mut self.frames[id.0 as usize]
    }
}
