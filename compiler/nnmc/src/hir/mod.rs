//! Declarations with their parts sorted: what a neuron's ports, states and equations are, before any is given a size.
//!
//! Expressions stay where they were parsed and are referred to by [`ExprRef`].

mod build;
mod clauses;
mod modules;
mod placement;
mod print;

pub use build::clause;
pub use modules::{ModuleId, Modules, Reader};
pub use print::print;

use nnm_syntax::ast::{self, ExprId, Name, Stmt};
use nnm_syntax::span::Span;

/// A declaration of any module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub u32);

/// An expression of some module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExprRef {
    pub module: ModuleId,
    pub id: ExprId,
}

#[derive(Clone, Debug)]
pub struct Item {
    pub module: ModuleId,
    pub name: Name,
    pub doc: Vec<String>,
    pub span: Span,
    pub params: Vec<ast::Param>,
    pub kind: ItemKind,
}

#[derive(Clone, Debug)]
pub enum ItemKind {
    Function(Function),
    Objective(Objective),
    Neuron(Neuron),
    Synapse(Synapse),
    Rule(Rule),
    Optimizer(Optimizer),
    Architecture(Architecture),
    Environment(Environment),
    Experiment(Vec<Stmt>),
}

impl ItemKind {
    /// The word that declares it.
    pub fn word(&self) -> &'static str {
        match self {
            ItemKind::Function(_) => "fn",
            ItemKind::Objective(_) => "objective",
            ItemKind::Neuron(_) => "neuron",
            ItemKind::Synapse(_) => "synapse",
            ItemKind::Rule(_) => "rule",
            ItemKind::Optimizer(_) => "optimizer",
            ItemKind::Architecture(_) => "architecture",
            ItemKind::Environment(_) => "environment",
            ItemKind::Experiment(_) => "experiment",
        }
    }
}

/// `name: type = value clauses`
#[derive(Clone, Debug)]
pub struct Decl {
    pub name: Name,
    pub ty: Option<ast::Type>,
    pub init: Option<ast::Init>,
    pub clauses: Vec<ast::Clause>,
    pub span: Span,
    pub doc: Vec<String>,
}

impl Decl {
    pub fn flag(&self, word: &str) -> bool {
        self.clauses.iter().any(|c| c.word.text == word)
    }
}

#[derive(Clone, Debug)]
pub struct Function {
    pub result: Option<ast::Type>,
    pub lets: Vec<Stmt>,
    pub value: Option<ExprId>,
}

/// A function, or terms that are added and reported by name.
#[derive(Clone, Debug)]
pub struct Objective {
    pub lets: Vec<Stmt>,
    pub value: Option<ExprId>,
    pub terms: Vec<Decl>,
}

/// `name' = value` or `next name = value`
#[derive(Clone, Debug)]
pub struct Equation {
    pub name: Name,
    pub value: ExprId,
    pub span: Span,
}

/// `when COND { … }`, `spike when COND { … }`
#[derive(Clone, Debug)]
pub struct When {
    pub cond: ExprId,
    pub block: Vec<Stmt>,
    pub spike: bool,
    pub surrogate: Option<ExprId>,
    pub through_reset: bool,
    pub span: Span,
}

/// `on pre { … }`, `on kick { … }`, `every T { … }`
#[derive(Clone, Debug)]
pub struct On {
    pub event: Name,
    pub period: Option<ExprId>,
    pub block: Vec<Stmt>,
    pub span: Span,
}

/// What neurons, synapses, traces and worlds share: quantities that change in time.
#[derive(Clone, Debug, Default)]
pub struct Dynamics {
    pub params: Vec<Decl>,
    pub weights: Vec<Decl>,
    pub states: Vec<Decl>,
    pub running: Vec<Decl>,
    pub lets: Vec<Decl>,
    pub equations: Vec<Equation>,
    pub nexts: Vec<Equation>,
    pub outputs: Vec<Decl>,
    pub whens: Vec<When>,
    pub ons: Vec<On>,
    /// `solve a, b by METHOD`
    pub solves: Vec<(Vec<Name>, ExprId)>,
}

impl Dynamics {
    /// Whether a block of a synapse makes a state of the target jump, `post.v += w`.
    pub fn changes_target(&self) -> bool {
        let jumps = |stmt: &Stmt| {
            let ast::StmtKind::Assign { place, .. } = &stmt.kind else { return false };
            place.first().is_some_and(|end| end.text == "post")
        };
        self.ons.iter().flat_map(|on| &on.block).any(jumps)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Neuron {
    pub dynamics: Dynamics,
    pub inputs: Vec<Decl>,
}

#[derive(Clone, Debug, Default)]
pub struct Synapse {
    pub dynamics: Dynamics,
}

#[derive(Clone, Debug)]
pub struct Trace {
    pub post: bool,
    pub name: Name,
    pub ty: Option<ast::Type>,
    pub init: Option<ast::Init>,
    pub equation: Option<Equation>,
    pub next: Option<Equation>,
    pub on_spike: Vec<Stmt>,
    pub span: Span,
}

/// `settle post.y [as NAME] minimizing E for N steps at RATE`
#[derive(Clone, Debug)]
pub struct Settle {
    pub name: Option<Name>,
    pub target: ExprId,
    pub energy: ExprId,
    pub steps: Option<ExprId>,
    pub rate: Option<ExprId>,
    pub by: Option<ExprId>,
    pub span: Span,
}

#[derive(Clone, Debug, Default)]
pub struct Rule {
    pub local: bool,
    pub dynamics: Dynamics,
    pub traces: Vec<Trace>,
    pub modulators: Vec<Decl>,
    pub consts: Vec<Decl>,
    pub noises: Vec<Decl>,
    /// `dw = …`
    pub change: Option<Equation>,
    /// `dW = …`
    pub matrix_change: Option<Equation>,
    pub feedback: Option<(bool, ExprId, Span)>,
    pub perturbed: Vec<(Name, Vec<Stmt>)>,
    pub settles: Vec<Settle>,
    pub bound: Option<ExprId>,
    pub normalize: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Optimizer {
    pub dynamics: Dynamics,
    pub change: Option<ExprId>,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub name: Name,
    pub kind: ExprId,
    pub place: Option<ExprId>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Connect {
    pub from: ExprId,
    pub to: ExprId,
    pub name: Option<Name>,
    pub pattern: Option<ExprId>,
    pub via: Option<ExprId>,
    pub plastic: bool,
    pub span: Span,
}

#[derive(Clone, Debug, Default)]
pub struct Architecture {
    pub inputs: Vec<Decl>,
    pub weights: Vec<Decl>,
    pub latents: Vec<Decl>,
    pub params: Vec<Decl>,
    /// Populations, parts, connections, lets and loops in source order.
    pub body: Vec<Build>,
    pub outputs: Vec<Decl>,
}

#[derive(Clone, Debug)]
pub enum Build {
    Population(Member),
    Part(Member),
    Connect(Connect),
    Let(Decl),
    For { name: Name, list: ExprId, body: Vec<Build> },
}

#[derive(Clone, Debug, Default)]
pub struct Environment {
    pub dynamics: Dynamics,
    pub actions: Vec<Decl>,
    pub observe: Option<ExprId>,
    pub reward: Option<ExprId>,
    pub done: Option<ExprId>,
}

/// Whether an expression of a rule reads what only an objective gives.
pub fn reads_credit(file: &ast::File, expr: ExprId) -> bool {
    credit_reads(file, expr).next().is_some()
}

/// The places at which an expression of a rule reads an objective, its derivatives, or errors.
pub fn credit_reads(file: &ast::File, expr: ExprId) -> impl Iterator<Item = (String, Span)> {
    let mut found = vec![];
    let mut stack = vec![expr];
    while let Some(id) = stack.pop() {
        let e = file.expr(id);
        match &e.kind {
            ast::ExprKind::Name(n) if matches!(n.as_str(), "objective" | "gradient" | "score") => {
                found.push((n.clone(), e.span));
            }
            ast::ExprKind::Field { base, name } if matches!(name.text.as_str(), "error" | "signal" | "objective") => {
                if let ast::ExprKind::Name(end) = &file.expr(*base).kind {
                    found.push((format!("{end}.{}", name.text), e.span));
                }
            }
            _ => {}
        }
        stack.extend(crate::eval::children(&e.kind));
    }
    found.into_iter()
}

/// Whether an expression of a rule reads one of these, `gradient` or `post.signal`.
pub fn reads_any(file: &ast::File, expr: ExprId, what: &[&str]) -> bool {
    let mut stack = vec![expr];
    while let Some(id) = stack.pop() {
        let e = file.expr(id);
        let found = match &e.kind {
            ast::ExprKind::Name(n) => what.contains(&n.as_str()),
            ast::ExprKind::Field { base, name } => match &file.expr(*base).kind {
                ast::ExprKind::Name(end) => what.contains(&format!("{end}.{}", name.text).as_str()),
                _ => false,
            },
            _ => false,
        };
        if found {
            return true;
        }
        stack.extend(crate::eval::children(&e.kind));
    }
    false
}
