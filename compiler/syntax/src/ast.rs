//! The syntax tree: items and statements as the user wrote them, expressions in one arena per file.
//!
//! Statements are kept by *form*, not by meaning: `param tau = 20 ms` and `report r = x` are both a [`StmtKind::Decl`]
//! with another word. What may stand where is decided later, by a table. A part that could not be parsed is an `Error`
//! node, already reported.

use crate::span::{FileId, Span};

/// An expression's place in its file's arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExprId(pub u32);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// A parsed file. Comments and blank lines live in the trivia table beside it, not in the tree.
#[derive(Clone, Debug, Default)]
pub struct File {
    pub id: FileId,
    /// The lines of the leading `//!` comment.
    pub doc: Vec<String>,
    pub items: Vec<Item>,
    pub exprs: Vec<Expr>,
}

impl File {
    pub fn expr(&self, id: ExprId) -> &Expr {
        &self.exprs[id.0 as usize]
    }
}

#[derive(Clone, Debug)]
pub struct Item {
    pub kind: ItemKind,
    pub span: Span,
    /// The lines of the `///` comments in front.
    pub doc: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum ItemKind {
    /// `use std.neurons.{LIF, ReLU}`
    Use {
        path: Vec<Name>,
        names: UseNames,
    },
    /// `fn f(x: mV, k = 2) -> Hz = BODY`
    Fn {
        name: Name,
        params: Vec<Param>,
        result: Option<Type>,
        body: Body,
    },
    /// `neuron synapse rule optimizer architecture objective environment experiment`
    Decl {
        local: bool,
        word: Name,
        name: Name,
        params: Vec<Param>,
        body: Body,
    },
    Error,
}

#[derive(Clone, Debug)]
pub enum UseNames {
    /// `use a.b`: the last segment itself.
    Last,
    /// `use a.b.*`
    All,
    /// `use a.b.{x, y}`
    Set(Vec<Name>),
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: Name,
    pub ty: Option<Type>,
    pub default: Option<ExprId>,
}

#[derive(Clone, Debug)]
pub enum Body {
    /// `= EXPR`
    Value(ExprId),
    /// `= { let …; EXPR }`
    Lets { lets: Vec<Stmt>, value: ExprId },
    /// `{ … }`
    Block(Vec<Stmt>),
}

#[derive(Clone, Debug)]
pub struct Type {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum TypeKind {
    /// `like w`, `like post`, `like pre`
    Like(Name),
    /// `event`, `event mV`
    Event { unit: Option<Name>, shape: Vec<ExprId> },
    /// `real`, `mV[n]`, `uF/cm^2`, `class[10]`, `params`, `neuron`, `Classifier`; the unit's text without blanks.
    Named { name: Name, shape: Vec<ExprId> },
}

#[derive(Clone, Debug)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
    pub doc: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum StmtKind {
    /// `let x: mV = EXPR`
    Let {
        name: Name,
        ty: Option<Type>,
        value: ExprId,
    },
    /// `let run = simulate …`, `train …`: with a name or without
    Run {
        name: Option<Name>,
        word: Name,
        subject: ExprId,
        world: Option<ExprId>,
        clauses: Vec<Clause>,
        block: Vec<Stmt>,
    },
    /// `param p: T = V clauses`, also `state input weight running const noise modulator latent report data output action …`
    Decl {
        word: Name,
        name: Name,
        ty: Option<Type>,
        value: Option<Init>,
        clauses: Vec<Clause>,
    },
    /// `record a, b as c every 1 ms`, also `plot expect minimize learn seed batch solve freeze observe reward change save …`
    List {
        word: Name,
        items: Vec<ListItem>,
        clauses: Vec<Clause>,
    },
    /// `normalize`, `checkpoint every 5 epochs`, `validate on D every 5 epochs`, `early_stop …`
    Bare {
        word: Name,
        clauses: Vec<Clause>,
    },
    /// `given x = EXPR for 25 steps`
    Given {
        name: Name,
        value: ExprId,
        clauses: Vec<Clause>,
    },
    /// `set net.loop.w = EXPR` or `~ EXPR`
    Set {
        target: ExprId,
        value: Init,
    },
    /// `stimulate PORT = EXPR from a to b`
    Stimulate {
        target: ExprId,
        value: Init,
        clauses: Vec<Clause>,
    },
    /// `act push ~ DIST`
    Act {
        name: Name,
        value: ExprId,
    },
    /// `population E: LIF(…)[n] at ring()`, `part enc: Encoder(8)`
    Member {
        word: Name,
        name: Name,
        kind: ExprId,
        clauses: Vec<Clause>,
    },
    /// `connect a |> f(2) -> b.{i, f} as c: dense() via Direct(…)`; a set end `{E, I}` is an [`ExprKind::Braces`]
    Connect {
        from: ExprId,
        to: ExprId,
        name: Option<Name>,
        pattern: Option<ExprId>,
        clauses: Vec<Clause>,
    },
    /// `v' = EXPR`
    Equation {
        place: Vec<Name>,
        value: ExprId,
    },
    /// `v = EXPR`, `g += w`, `post.v -= 1 mV`, `dw = EXPR`
    Assign {
        place: Vec<Name>,
        /// `x[1] += EXPR`: of which elements; none for the whole.
        index: Vec<ExprId>,
        op: AssignOp,
        value: ExprId,
    },
    /// `next c = EXPR`
    Next {
        place: Vec<Name>,
        value: ExprId,
    },
    /// `hold v for 2 ms`
    Hold {
        name: Name,
        clauses: Vec<Clause>,
    },
    /// `spike when COND surrogate F through reset { … }`
    SpikeWhen {
        cond: ExprId,
        clauses: Vec<Clause>,
        block: Vec<Stmt>,
    },
    /// `when COND { … }`
    When {
        cond: ExprId,
        block: Vec<Stmt>,
    },
    /// `on pre { … }`, `on kick { … }`, `on spike { … }`
    On {
        place: Vec<Name>,
        block: Vec<Stmt>,
    },
    /// `every 500 ms: { … }` is written `every 500 ms { … }`
    Every {
        period: ExprId,
        block: Vec<Stmt>,
    },
    /// `stop when COND`, `done when COND`; `word` is the first
    CondWhen {
        word: Name,
        cond: ExprId,
    },
    /// `pre trace x = 0 { x' = …; on spike { x += 1 } }`
    Trace {
        side: Name,
        name: Name,
        ty: Option<Type>,
        value: Option<Init>,
        block: Vec<Stmt>,
    },
    /// `perturbed NAME { w = w + z }`
    Perturbed {
        name: Name,
        block: Vec<Stmt>,
    },
    /// `feedback EXPR`, `feedback direct B`
    Feedback {
        direct: bool,
        value: ExprId,
    },
    /// `clip norm 1.0`
    Clip {
        what: Name,
        value: ExprId,
    },
    /// `constrain columns(net.D) to norm 1`
    Constrain {
        target: ExprId,
        what: Name,
        value: ExprId,
    },
    /// `bound w in a .. b`: `value` is the chain `w in a .. b`
    Bound {
        value: ExprId,
    },
    /// `for k in LIST parallel { … }`
    For {
        name: Name,
        list: ExprId,
        clauses: Vec<Clause>,
        block: Vec<Stmt>,
    },
    Error,
}

impl StmtKind {
    /// The clauses at the end of a statement.
    pub fn clauses(&self) -> &[Clause] {
        match self {
            StmtKind::Run { clauses, .. }
            | StmtKind::Decl { clauses, .. }
            | StmtKind::List { clauses, .. }
            | StmtKind::Bare { clauses, .. }
            | StmtKind::Given { clauses, .. }
            | StmtKind::Stimulate { clauses, .. }
            | StmtKind::Member { clauses, .. }
            | StmtKind::Connect { clauses, .. }
            | StmtKind::Hold { clauses, .. }
            | StmtKind::SpikeWhen { clauses, .. }
            | StmtKind::For { clauses, .. } => clauses,
            _ => &[],
        }
    }

    /// The statements inside a statement.
    pub fn block(&self) -> &[Stmt] {
        match self {
            StmtKind::Run { block, .. }
            | StmtKind::SpikeWhen { block, .. }
            | StmtKind::When { block, .. }
            | StmtKind::On { block, .. }
            | StmtKind::Every { block, .. }
            | StmtKind::Trace { block, .. }
            | StmtKind::Perturbed { block, .. }
            | StmtKind::For { block, .. } => block,
            _ => &[],
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Init {
    /// `= EXPR`
    Value(ExprId),
    /// `~ EXPR`
    Draw(ExprId),
}

#[derive(Clone, Debug)]
pub struct ListItem {
    pub expr: ExprId,
    pub alias: Option<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AssignOp {
    Set,
    Add,
    Sub,
    Mul,
    Div,
}

/// `by Backprop with Adam()`, `during epochs 0 .. 5`, `every 1 ms`, `over net.{a, b}`, `shared`, `for 40 steps`.
#[derive(Clone, Debug)]
pub struct Clause {
    /// The clause's word: `by with on over via at scale surrogate through minimizing from to every step for during given as …`
    pub word: Name,
    pub value: ClauseValue,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ClauseValue {
    /// A flag: `shared`, `plastic`, `upward`.
    None,
    Expr(ExprId),
    /// `for N steps` where N is not a literal: the count and the word after it.
    Counted(ExprId, Name),
    /// `during epochs a .. b`: the word and the range
    Named(Name, ExprId),
    /// `given x = EXPR` in a call
    Given(Name, ExprId),
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A plain number; `text` as written.
    Number {
        value: f64,
        text: String,
    },
    /// `10 ms`, `80 %`, `40 steps`: a value and the unit's text without blanks, as written
    Quantity {
        value: f64,
        number: String,
        unit: Name,
    },
    Text(String),
    Bool(bool),
    Name(String),
    /// `[a, b]`
    List(Vec<ExprId>),
    /// `{E, I}` at a connection's end
    Braces(Vec<ExprId>),
    Paren(ExprId),
    Unary(UnaryOp, ExprId),
    /// `+` and `*` chains are built to the left; passes over them are iterative.
    Binary(BinaryOp, ExprId, ExprId),
    /// `a < b`, `0 < x <= 1`, `x in 1 .. 2`, `v crosses 0 mV upward`
    Compare {
        first: ExprId,
        rest: Vec<(CmpOp, ExprId)>,
    },
    /// `a .. b`, `5 ..`, `..`
    Range {
        from: Option<ExprId>,
        to: Option<ExprId>,
    },
    If {
        cond: ExprId,
        then: ExprId,
        otherwise: ExprId,
    },
    /// `a |> f(b)`
    Pipe(ExprId, ExprId),
    Call {
        callee: ExprId,
        args: Vec<Arg>,
        clauses: Vec<Clause>,
    },
    Index {
        base: ExprId,
        indices: Vec<ExprId>,
    },
    Field {
        base: ExprId,
        name: Name,
    },
    /// `h.{i, f, g, o}`
    Fields {
        base: ExprId,
        names: Vec<Name>,
    },
    /// `next c`
    Next(ExprId),
    /// `before x`
    Before(Name),
    /// `1 ms axonal`, `0.5 ms dendritic`
    Sided(ExprId, Name),
    Error,
}

#[derive(Clone, Debug)]
pub struct Arg {
    /// `name = value` or `name ~ value`
    pub name: Option<Name>,
    pub value: Init,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnaryOp {
    Neg,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    MatMul,
    Pow,
    And,
    Or,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CmpOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    /// `crosses X upward`: the flag word says the direction
    CrossesUp,
    CrossesDown,
}

impl ExprKind {
    /// Calls `visit` with each direct part that is an expression, in source order.
    pub fn for_each_child(&self, mut visit: impl FnMut(ExprId)) {
        match self {
            ExprKind::Number { .. } | ExprKind::Quantity { .. } | ExprKind::Text(_) | ExprKind::Bool(_) => {}
            ExprKind::Name(_) | ExprKind::Before(_) | ExprKind::Error => {}
            ExprKind::List(parts) | ExprKind::Braces(parts) => parts.iter().copied().for_each(visit),
            ExprKind::Paren(part)
            | ExprKind::Unary(_, part)
            | ExprKind::Next(part)
            | ExprKind::Sided(part, _)
            | ExprKind::Field { base: part, .. }
            | ExprKind::Fields { base: part, .. } => visit(*part),
            ExprKind::Binary(_, left, right) | ExprKind::Pipe(left, right) => {
                [*left, *right].into_iter().for_each(visit)
            }
            ExprKind::Compare { first, rest } => {
                std::iter::once(*first).chain(rest.iter().map(|part| part.1)).for_each(visit)
            }
            ExprKind::Range { from, to } => from.iter().chain(to).copied().for_each(visit),
            ExprKind::If { cond, then, otherwise } => [*cond, *then, *otherwise].into_iter().for_each(visit),
            ExprKind::Index { base, indices } => std::iter::once(*base).chain(indices.iter().copied()).for_each(visit),
            ExprKind::Call { callee, args, clauses } => {
                visit(*callee);
                args.iter().for_each(|arg| visit(arg.value.expr()));
                clauses.iter().filter_map(|clause| clause.value.expr()).for_each(visit);
            }
        }
    }
}

impl Init {
    pub fn expr(self) -> ExprId {
        match self {
            Init::Value(expr) | Init::Draw(expr) => expr,
        }
    }
}

impl ClauseValue {
    pub fn expr(&self) -> Option<ExprId> {
        match self {
            ClauseValue::None => None,
            ClauseValue::Expr(expr)
            | ClauseValue::Counted(expr, _)
            | ClauseValue::Named(_, expr)
            | ClauseValue::Given(_, expr) => Some(*expr),
        }
    }
}
