//! Kernel IR: loops, element-wise maps, event deliveries and calls over flat buffers.
//!
//! A kernel owns nothing: buffers and integer slots are given by the caller. All real arithmetic is done in the kernel's
//! [`Precision`]; a load from another float type converts, a store converts back.
//!
//! **Padding.** Every buffer is 64-byte aligned and its allocation is rounded up to a multiple of 16 elements (at least
//! 16). A [`Map`] of length n may compute and store elements n .. round_up(n, 16) of what it stores to with
//! [`At::Unit`]; their values mean nothing. Whoever lays out several rows in one buffer pads each row's stride to 16.
//!
//! **Order.** Statements act one after another. The elements of one map are independent: a map stores with [`At::Unit`]
//! alone, and it may store to a buffer that it loads only with the same [`Ref`] and [`At::Unit`] (in place), or not at
//! all. Two places whose offsets differ by a known constant of at least the padded length count as two buffers. The
//! verifier refuses anything else. Every [`Int`] of a map or of [`Rows`] is evaluated once, before the first element.
//! In [`Rows`], list entries and edges are visited in order and each edge is finished before the next begins. Different
//! buffers never share memory.
//!
//! **Bits.** Every instruction is defined on one element, so the interpreter and compiled code agree to the bit: `Fma`
//! rounds once, `Min`/`Max` are `a < b ? a : b` and `a > b ? a : b` (so they return `b` where either is NaN), division and
//! square root are IEEE, and the block functions and draws are the runtime's own. Kernels run with denormal results and
//! operands of arithmetic taken as zero. The sign and payload of a NaN are not defined, nor whether `Min`, `Max` and
//! conversions keep a denormal operand.

/// What "real" is in a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    F32,
    F64,
}

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Elem {
    F32,
    F64,
    U32,
    I64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufId(pub u32);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoopId(pub u32);
/// An instruction's place in its [`Body`]; it is also the value that the instruction gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Val(pub u32);

#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    pub name: String,
    pub precision: Precision,
    pub buffers: Vec<Buffer>,
    /// Names of the integer slots, which outlive a call.
    pub slots: Vec<String>,
    pub body: Vec<Stmt>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    pub name: String,
    pub elem: Elem,
    /// Elements in use; the allocation is padded.
    pub len: u64,
}

/// Integer arithmetic on offsets, extents and steps. `Div` and `Rem` are of non-negative numbers by positive ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Int {
    Const(i64),
    Slot(SlotId),
    Loop(LoopId),
    /// Element `offset` of a buffer of U32 or I64 (a count, a row's start).
    Load(Box<Ref>),
    Add(Box<Int>, Box<Int>),
    Sub(Box<Int>, Box<Int>),
    Mul(Box<Int>, Box<Int>),
    Div(Box<Int>, Box<Int>),
    Rem(Box<Int>, Box<Int>),
}

/// A place in a buffer: its element `offset`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ref {
    pub buffer: BufId,
    pub offset: Int,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// `index` runs from `from` up to (not including) `to`; with `down`, from `to - 1` down to `from`.
    For {
        index: LoopId,
        from: Int,
        to: Int,
        down: bool,
        body: Vec<Stmt>,
    },
    If {
        cond: Cond,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    Set {
        slot: SlotId,
        value: Int,
    },
    Map(Map),
    Rows(Rows),
    /// A primitive of the runtime's table, by name.
    Call {
        prim: String,
        args: Vec<Arg>,
    },
    /// Ends the kernel with a status.
    Return {
        status: i32,
    },
    /// For the reader of a printed kernel.
    Note(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Cond {
    pub op: IntCmp,
    pub a: Int,
    pub b: Int,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntCmp {
    Eq,
    Ne,
    Lt,
    Le,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    Buf(Ref),
    Int(Int),
    Real(f64),
}

/// The body once for each i in 0 .. len.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    pub len: Int,
    pub body: Body,
}

/// Event delivery: for each of the first `count` entries s of the index list, for each k in `ptr[s] .. ptr[s + 1]`, or
/// `ptr[s] .. end[s]`, the body.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// U32 cell indices.
    pub list: Ref,
    pub count: Int,
    /// U32 row starts, one more than cells.
    pub ptr: Ref,
    /// U32 row ends, where a row does not end where the next one begins.
    pub end: Option<Ref>,
    /// U32, by k: the edge's number where rows are not the order of edges; edge number = k without it.
    pub edge: Option<Ref>,
    /// U32, by k: the cell at the other end.
    pub other: Ref,
    pub body: Body,
}

/// Straight-line code in single-assignment form; `Val(k)` is what `insts[k]` gives.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Body {
    pub insts: Vec<Inst>,
}

/// Which element a load or store takes, counted from its [`Ref`]. In a map, stores are [`At::Unit`]; real values live in
/// buffers of F32 and F64 only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// Map: element i. Rows: not allowed.
    Unit,
    /// The element of the `Ref` itself, the same for all.
    Splat,
    /// Map: element `index[i]`, where index is a U32 buffer.
    Gather(Ref),
    /// Rows: the edge's element.
    Edge,
    /// Rows: the element of the list entry s.
    Own,
    /// Rows: the element of the cell at the other end.
    Other,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Inst {
    Const(f64),
    /// An integer as a real, the same for all elements.
    Int(Int),
    /// Map: the element's number i as a real.
    Index,
    Load {
        from: Ref,
        at: At,
    },
    Unary {
        op: Unary,
        a: Val,
    },
    Binary {
        op: Binary,
        a: Val,
        b: Val,
    },
    /// `a * b + c`, rounded once.
    Fma {
        a: Val,
        b: Val,
        c: Val,
    },
    /// A mask.
    Compare {
        op: Compare,
        a: Val,
        b: Val,
    },
    /// Masks to a mask.
    And {
        a: Val,
        b: Val,
    },
    Or {
        a: Val,
        b: Val,
    },
    Not {
        a: Val,
    },
    /// `mask ? a : b`
    Select {
        mask: Val,
        a: Val,
        b: Val,
    },
    /// A block function of one or two arguments.
    Math {
        f: Math,
        args: Vec<Val>,
    },
    /// The random number of (key, step, base + i), in [`Rows`] with the edge's number as i; see the runtime's `random`.
    Draw {
        draw: Draw,
        key: u64,
        step: Int,
        base: Int,
        args: Vec<Val>,
    },
    /// Gives no value.
    Store {
        to: Ref,
        at: At,
        value: Val,
    },
    /// `to[at] += value`; in Rows only. Gives no value.
    AddTo {
        to: Ref,
        at: At,
        value: Val,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    Neg,
    Abs,
    Sqrt,
    Floor,
    Ceil,
    Trunc,
    /// To the nearest, ties to even.
    Round,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Block functions; accuracy is stated in the runtime's `math`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Math {
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
    /// Two arguments.
    Pow,
    Atan2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Draw {
    /// In [0, 1).
    Uniform,
    /// Mean 0, variance 1.
    Normal,
    /// One argument: the mean.
    Poisson,
}
