//! What an expression of the language gives: numbers with units (known now or computed by a kernel), kinds, networks, data.

use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::{ArrayD, IxDyn};
use nnm_graph::ir::NodeId;
use nnm_runtime::array::Array;
use nnm_syntax::span::Span;

use crate::hir::ItemId;
use crate::network::{FrameId, NetId};
use crate::unit::Unit;

/// Any value.
#[derive(Clone, Debug)]
pub enum Value {
    Num(Num),
    Text(Arc<str>),
    List(Arc<Vec<Value>>),
    /// `a .. b`, either end may be open
    Range(Option<Num>, Option<Num>),
    /// A declared neuron, synapse, rule, optimizer, architecture, environment or objective with arguments
    Kind(Arc<Kind>),
    /// A function of the library or of the user, perhaps with arguments bound
    Function(Arc<Function>),
    /// A network of an experiment
    Network(NetId),
    /// A network, or a part of one, inside the program being built
    Frame(FrameId),
    /// One population of a network: `net.E`
    Population(PopulationRef),
    /// One connection of a network: `net.x_h`
    Projection(ProjectionRef),
    /// Several at once: `net.{a, b}`, an array of parts
    Many(Arc<Vec<Value>>),
    Data(Arc<Dataset>),
    /// What a library function gives under names: `pca(x).components`
    Record(Arc<IndexMap<String, Value>>),
    Spikes(Arc<Spikes>),
    /// The trained quantities of a network by name, as plain numbers in their scales: `net.params`
    Params(Arc<Params>),
    /// Names of a place: `pre`, `post`
    Names(crate::session::ScopeId),
    /// Already reported, or not known while checking.
    Missing,
}

/// The instants of a series' rows, in seconds; or numbers of steps, where steps have no length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    at: Vec<f64>,
    pub untimed: bool,
}

impl Times {
    pub fn new(at: Vec<f64>, untimed: bool) -> Times {
        Times { at, untimed }
    }

    /// Those of some rows.
    pub fn part(&self, rows: std::ops::Range<usize>) -> Arc<Times> {
        Times::new(self.at.get(rows).unwrap_or_default().to_vec(), self.untimed).into()
    }
}

impl std::ops::Deref for Times {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.at
    }
}

/// A number or tensor with its unit.
#[derive(Clone, Debug)]
pub struct Num {
    pub unit: Unit,
    pub repr: Repr,
    /// A label of so many classes.
    pub class: Option<usize>,
    /// The leading axis is time, at these instants.
    pub times: Option<Arc<Times>>,
    /// Differs from step to step of a presentation; must be reduced over time before it leaves the time loop.
    pub stepwise: bool,
    /// Recorded in 32 bits: files keep it so.
    pub single: bool,
    /// In a cell's equations: one of each cell, the population's axes last. Else all axes are the value's own.
    pub each: bool,
}

#[derive(Clone, Debug)]
pub enum Repr {
    /// Known now, in SI.
    Const(Array),
    /// Computed by the program being built.
    Node(NodeId),
    /// Known by its unit alone.
    Unknown,
}

/// A declaration applied to arguments.
#[derive(Clone, Debug)]
pub struct Kind {
    pub item: ItemId,
    pub args: Vec<(String, Argument)>,
    /// Positional arguments in order, before they have names.
    pub span: Span,
    /// How the user wrote it, for tables and look-ups.
    pub text: Arc<str>,
}

/// An argument: a value, an expression to be evaluated where it is used, or a distribution.
#[derive(Clone, Debug)]
pub enum Argument {
    Value(Value),
    /// Evaluated per cell or per connection, in the scope of the call.
    Expr(crate::eval::Closure),
    Draw(crate::eval::Closure),
}

#[derive(Clone, Debug)]
pub enum FunctionKind {
    Builtin(&'static crate::eval::Builtin),
    User(ItemId),
}

#[derive(Clone, Debug)]
pub struct Function {
    pub kind: FunctionKind,
    /// Named arguments that are already given: `fast_sigmoid(slope = 25)`
    pub bound: Vec<(String, Value)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PopulationRef {
    pub owner: Owner,
    pub index: usize,
    /// Selected cells along the leading axis: `net.E[0 .. 5]`
    pub cells: Option<(usize, usize)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ProjectionRef {
    pub owner: Owner,
    pub index: usize,
    /// `net.syn[sender, target]` ranges
    pub select: Option<[(usize, usize); 2]>,
}

/// Whether a part is meant as it stands in the experiment, or inside the program being built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Owner {
    Net(NetId),
    Frame(FrameId),
}

/// A table of samples: named fields with a leading axis of rows.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub name: String,
    pub fields: IndexMap<String, Num>,
    /// Named parts (`train`, `test`).
    pub parts: IndexMap<String, Arc<Dataset>>,
    pub rows: usize,
}

/// Tensors by the names of what is trained.
pub type Params = IndexMap<String, Num>;

/// Recorded spikes of a population: cell and time (in seconds), in order of time.
#[derive(Clone, Debug)]
pub struct Spikes {
    pub name: String,
    pub cells: Vec<u32>,
    pub times: Vec<f64>,
    /// How many cells there are.
    pub n: usize,
    /// The number in its population of the cell that is 0 here: spikes of a slice are numbered from its beginning.
    pub first: usize,
    pub from: f64,
    pub to: f64,
    /// The times are whole numbers of this; 0 where they lie anywhere.
    pub grain: f64,
    /// The times are numbers of steps, which have no length.
    pub untimed: bool,
}

impl Dataset {
    /// Whether it is not known yet how many rows there are: while a model is checked, data may be made of a recording.
    pub fn is_open(&self) -> bool {
        let open = |num: &Num| matches!(num.repr, Repr::Unknown);
        !self.fields.is_empty() && self.fields.values().all(open)
    }
}

impl Num {
    pub fn new(unit: Unit, repr: Repr) -> Num {
        Num { unit, repr, class: None, times: None, stepwise: false, single: false, each: false }
    }

    pub fn array(unit: Unit, array: Array) -> Num {
        Num::new(unit, Repr::Const(array))
    }

    pub fn scalar(unit: Unit, value: f64) -> Num {
        Num::array(unit, scalar(value))
    }

    pub fn real(value: f64) -> Num {
        Num::scalar(Unit::REAL, value)
    }

    pub fn unknown(unit: Unit) -> Num {
        Num::new(unit, Repr::Unknown)
    }

    pub fn node(unit: Unit, node: NodeId) -> Num {
        Num::new(unit, Repr::Node(node))
    }

    pub fn as_const(&self) -> Option<&Array> {
        match &self.repr {
            Repr::Const(a) => Some(a),
            _ => None,
        }
    }

    /// The number, where it is one number known now.
    pub fn as_f64(&self) -> Option<f64> {
        self.as_const().filter(|a| a.len() == 1).and_then(|a| a.iter().next().copied())
    }
}

pub fn scalar(value: f64) -> Array {
    ArrayD::from_elem(IxDyn(&[]), value).into_shared()
}

pub fn vector(values: Vec<f64>) -> Array {
    let n = values.len();
    ArrayD::from_shape_vec(IxDyn(&[n]), values).unwrap_or_else(|_| ArrayD::zeros(IxDyn(&[0]))).into_shared()
}

pub fn shaped(shape: &[usize], values: Vec<f64>) -> Array {
    ArrayD::from_shape_vec(IxDyn(shape), values).unwrap_or_else(|_| ArrayD::zeros(IxDyn(shape))).into_shared()
}

impl Value {
    pub fn real(value: f64) -> Value {
        Value::Num(Num::real(value))
    }

    /// What it is, for messages: `a number`, `a neuron`.
    pub fn describe(&self) -> &'static str {
        match self {
            Value::Num(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Range(..) => "a range",
            Value::Kind(_) => "a declared kind",
            Value::Function(_) => "a function",
            Value::Network(_) | Value::Frame(_) => "a network",
            Value::Population(_) => "a population",
            Value::Projection(_) => "a connection",
            Value::Many(_) => "several parts",
            Value::Data(_) => "a data set",
            Value::Record(_) => "a record",
            Value::Spikes(_) => "recorded spikes",
            Value::Params(_) => "a tree of parameters",
            Value::Names(_) => "one end of a connection",
            Value::Missing => "nothing",
        }
    }
}
