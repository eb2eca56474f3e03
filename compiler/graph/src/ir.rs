//! The graph: what a network computes, without names, units or syntax.
//!
//! A [`Program`] is a list of statements over [`Var`]s (storage) and a pure graph of [`Node`]s (values). Shapes are per
//! sample; a node or var that differs between the samples of a batch is `batched`, and what is not is shared by them. All
//! values are real: a comparison gives 1 or 0, a label is its number. Numbers are in SI base units.
//!
//! **Stages.** A [`Stmt::Stage`] evaluates all its right sides with the vars as they were, then stores. Nodes have no
//! other notion of time: the same node evaluated by two stages reads the vars anew.
//!
//! **Batch.** Sample-wise ops never mix samples. Only [`Op::BatchSum`] does: the sum over the samples present (slot
//! `batch`, at most [`Program::batch`]), in one canonical order.

use std::collections::BTreeSet;
use std::sync::Arc;

use nnm_kir::ir::{Int, LoopId, Precision};
use nnm_runtime::array::Array;

use crate::intern::Interned;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VarId(pub u32);

/// Values and storage. Nodes are made by the builder methods, which infer shapes, simplify, and give equal nodes one id;
/// a node's arguments always have smaller ids.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub vars: Vec<Var>,
    pub(crate) interned: Interned,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    pub args: Vec<NodeId>,
    pub shape: Vec<usize>,
    pub batched: bool,
}

/// Storage that outlives a stage.
#[derive(Clone, Debug)]
pub struct Var {
    /// Dotted path as the user would write it (`E.v`, `x_h.w`); for printers and error messages.
    pub name: String,
    pub elem: VarElem,
    pub shape: Vec<usize>,
    pub batched: bool,
    /// With `Some(n)`: n copies one after another, picked by [`Place::Time`].
    pub times: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarElem {
    /// In the program's precision.
    Real,
    /// U32: cell or row indices.
    Index,
    /// I64: counts.
    Count,
}

/// Which part of a var is read or stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Whole,
    /// One of the var's copies in time.
    Time(Int),
    /// In a stage over the edges of a projection: element `index[e]` for edge e, where `index` is an Index var [edges].
    Gather(VarId),
    /// In a delivery: this edge's element / the element of the cell whose list entry is delivered / of the other end.
    Edge,
    Own,
    Other,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    // ---- leaves
    Const(f64),
    Tensor(Tensor),
    Read {
        var: VarId,
        place: Place,
    },
    /// An integer of the surrounding loops as a real scalar.
    Count(Int),
    /// A draw for each element, keyed by (key, step, flat index over samples and shape). Poisson takes its mean as
    /// argument.
    Draw {
        draw: Draw,
        key: u64,
        step: Int,
        /// The number of the batch's first sample.
        first: Int,
    },
    // ---- element-wise; an argument of shape [] acts on every element, other shapes are equal
    Unary(Unary),
    Binary(Binary),
    /// `args[0] != 0 ? args[1] : args[2]`
    Select,
    /// The value of `args[0]`; its derivative is that of `args[1]`.
    Surrogate,
    StopGradient,
    /// The value of `args[0]`, stored by an earlier stage and read by a later one before both became one: nothing is
    /// simplified, regrouped or rounded together across it, so that the bits are those of two stages.
    Stored,
    // ---- structure
    /// To a larger shape, as in numpy (trailing axes aligned). In lowering also from a shared value to a batched one.
    Broadcast,
    Reshape,
    Permute(Vec<usize>),
    /// Elements start, start + step, … (`len` of them: the node's shape) of one axis.
    Slice {
        axis: usize,
        start: usize,
        step: usize,
    },
    /// Zeros around: the reverse of `Slice`, the node's shape says how many.
    Unslice {
        axis: usize,
        start: usize,
        step: usize,
    },
    Concat {
        axis: usize,
    },
    /// `args[0]` along `axis` at the indices `args[1]`, whose shape replaces that axis.
    Gather {
        axis: usize,
    },
    /// The reverse: the neutral elements of `reduce` in the node's shape, joined with `args[0]` at the indices `args[1]`.
    /// `reduce` is a sum or an extreme.
    Scatter {
        axis: usize,
        reduce: Reduce,
    },
    Reverse {
        axis: usize,
    },
    // ---- reductions over axes (removed from the shape)
    Reduce {
        reduce: Reduce,
        axes: Vec<usize>,
    },
    /// The (first) index of the largest along the axis.
    ArgMax {
        axis: usize,
    },
    /// The places of the elements in order along the last axis, equal ones in the order of their places; NaN is largest.
    ArgSort {
        descending: bool,
    },
    CumSum {
        axis: usize,
        reverse: bool,
    },
    BatchSum,
    /// A linear system whose unknowns form a forest: see `ops/tree.rs`.
    TreeSolve,
    // ---- linear algebra: the last two axes, leading axes equal
    MatMul {
        transpose_a: bool,
        transpose_b: bool,
    },
    // ---- images [channels, height, width]; weights [out, in / groups, h, w]
    Conv2d(Conv),
    Conv2dInputGrad(Conv),
    Conv2dWeightGrad(Conv),
    MaxPool(Pool),
    /// args: input, output's gradient
    MaxPoolGrad(Pool),
    /// args: input, a value of its shape; the elements of the second where the windows of the first have their maxima
    MaxPoolTake(Pool),
    AvgPool(Pool),
    AvgPoolGrad(Pool),
}

/// A constant; equal when it is the same or holds the same numbers.
#[derive(Clone, Debug)]
pub struct Tensor(pub Arc<Array>);

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    pub stride: [usize; 2],
    /// Zeros before and after, for each axis.
    pub pad: [[usize; 2]; 2],
    pub groups: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    pub size: [usize; 2],
    pub stride: [usize; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduce {
    Sum,
    Max,
    Min,
    Prod,
}

pub use nnm_kir::ir::Draw;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unary {
    Neg,
    Abs,
    Sign,
    Sqrt,
    Floor,
    Ceil,
    Trunc,
    Round,
    Exp,
    Expm1,
    Log,
    Log1p,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Sigmoid,
    Softplus,
    Erf,
    /// 1 where the argument is 0, else 0.
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Pow,
    Atan2,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

/// A whole step, batch or simulation: storage, values, and what is done in which order.
#[derive(Clone, Debug)]
pub struct Program {
    pub name: String,
    pub precision: Precision,
    pub graph: Graph,
    /// The most samples in a batch; 1 without one. The number present is in the slot `batch`.
    pub batch: usize,
    /// Names of integer slots that the caller sets and reads; slot 0 is `batch`.
    pub slots: Vec<String>,
    /// How many loops' indices are in use: `LoopId(0) .. LoopId(loops)`.
    pub loops: u32,
    /// Vars that onlookers alone read: what is computed for them has no say in how other values are rounded.
    pub records: BTreeSet<VarId>,
    pub body: Vec<Stmt>,
}

#[derive(Clone, Debug)]
pub enum Stmt {
    /// Right sides with the vars as they are, then stores; `about` is for the reader of a dump.
    Stage {
        about: String,
        assigns: Vec<Assign>,
    },
    For {
        index: LoopId,
        from: Int,
        to: Int,
        down: bool,
        body: Vec<Stmt>,
    },
    /// When `a == b`.
    IfEqual {
        a: Int,
        b: Int,
        body: Vec<Stmt>,
    },
    /// When `a < b`.
    IfLess {
        a: Int,
        b: Int,
        body: Vec<Stmt>,
    },
    SetSlot {
        slot: u32,
        value: Int,
    },
    /// For each listed cell (Index var `list`, copy `slot`; their number in Count var `count`, element `slot`), each edge of
    /// its row: evaluate all right sides, then act.
    Deliver {
        about: String,
        list: VarId,
        count: VarId,
        slot: Int,
        rows: Rows,
        body: Vec<Assign>,
    },
    /// The indices of the elements of `flags` that are not 0 (element value = how often), in order, into list and count.
    Compact {
        flags: NodeId,
        list: VarId,
        count: VarId,
        slot: Int,
    },
    /// `into[b] = from[index[offset + b]]` for each sample b of the batch; `from` is unbatched with a leading axis of rows.
    Fetch {
        into: VarId,
        from: VarId,
        index: VarId,
        offset: Int,
    },
    /// Appends the list's cells with their step to a log: `log_cell`, `log_step` (Index vars), number in `log_count`
    /// (Count var of one element); returns `LOG_FULL` before writing where less than `n` places are free.
    Log {
        list: VarId,
        count: VarId,
        slot: Int,
        step: Int,
        log_cell: VarId,
        log_step: VarId,
        log_count: VarId,
    },
    /// Puts `values` of the list's cells where the next [`Stmt::Log`] will put the cells: to be done before it.
    LogValues {
        list: VarId,
        count: VarId,
        slot: Int,
        values: VarId,
        log_value: VarId,
        log_count: VarId,
    },
    /// Ends with `NOT_FINITE` after writing `code` to slot `fault` and the flat index to slot `fault_index`.
    CheckFinite {
        var: VarId,
        place: Place,
        code: i64,
    },
    Note(String),
}

#[derive(Clone, Debug)]
pub struct Assign {
    pub to: VarId,
    pub place: Place,
    /// `+=` instead of `=` (in a delivery: the target's end may be met several times).
    pub add: bool,
    pub value: NodeId,
}

/// Where the rows of a delivery are: Index vars (see `kir::Rows`).
#[derive(Clone, Debug)]
pub struct Rows {
    pub ptr: VarId,
    pub edge: Option<VarId>,
    pub other: VarId,
}
