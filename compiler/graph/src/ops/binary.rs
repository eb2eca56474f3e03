//! Functions of two numbers: names, values, derivatives, and numpy's broadcasting. Simplification is in `simplify`.

use nnm_runtime::math as host;

use crate::error::{Built, ShapeError};
use crate::grad::Diff;
use crate::ir::{Binary, Graph, Node, NodeId, Op, Unary};
use crate::shape;

/// One function of two numbers.
pub struct BinaryDef {
    pub op: Binary,
    pub name: &'static str,
    pub host: fn(f64, f64) -> f64,
    /// Whether the arguments may be exchanged.
    pub commutes: bool,
    /// Whether its value is 0 or 1.
    pub boolean: bool,
    /// `dy * ∂f/∂a` and `dy * ∂f/∂b`.
    derivative: Rules,
}

/// The derivative by each argument, from both arguments.
type Rules = Option<[Rule; 2]>;
type Rule = fn(&mut Diff, NodeId, NodeId) -> Built;

const fn number(op: Binary, name: &'static str, host: fn(f64, f64) -> f64, derivative: Rules) -> BinaryDef {
    let commutes = matches!(op, Binary::Add | Binary::Mul);
    BinaryDef { op, name, host, commutes, boolean: false, derivative }
}

const fn truth(op: Binary, name: &'static str, host: fn(f64, f64) -> f64) -> BinaryDef {
    let commutes = matches!(op, Binary::Eq | Binary::Ne | Binary::And | Binary::Or);
    BinaryDef { op, name, host, commutes, boolean: true, derivative: None }
}

/// All of them, in the order of [`Binary`].
pub static BINARIES: &[BinaryDef] = &[
    number(Binary::Add, "add", |a, b| a + b, Some([|d, _, _| Ok(d.dy), |d, _, _| Ok(d.dy)])),
    number(Binary::Sub, "sub", |a, b| a - b, Some([|d, _, _| Ok(d.dy), |d, _, _| d.unary(Unary::Neg, d.dy)])),
    number(Binary::Mul, "mul", |a, b| a * b, Some([|d, _, b| d.mul(d.dy, b), |d, a, _| d.mul(d.dy, a)])),
    number(Binary::Div, "div", |a, b| a / b, Some([|d, _, b| d.div(d.dy, b), d_div])),
    number(Binary::Min, "min", |a, b| if a < b { a } else { b }, Some([d_min_a, d_min_b])),
    number(Binary::Max, "max", |a, b| if a > b { a } else { b }, Some([d_max_a, d_max_b])),
    number(Binary::Pow, "pow", host::pow, Some([d_pow_base, d_pow_exponent])),
    number(Binary::Atan2, "atan2", host::atan2, Some([d_atan2_y, d_atan2_x])),
    truth(Binary::Eq, "eq", |a, b| f64::from(a == b)),
    truth(Binary::Ne, "ne", |a, b| f64::from(a != b)),
    truth(Binary::Lt, "lt", |a, b| f64::from(a < b)),
    truth(Binary::Le, "le", |a, b| f64::from(a <= b)),
    truth(Binary::Gt, "gt", |a, b| f64::from(a > b)),
    truth(Binary::Ge, "ge", |a, b| f64::from(a >= b)),
    truth(Binary::And, "and", |a, b| f64::from(a != 0.0 && b != 0.0)),
    truth(Binary::Or, "or", |a, b| f64::from(a != 0.0 || b != 0.0)),
];

impl Binary {
    pub fn def(self) -> &'static BinaryDef {
        &BINARIES[self as usize]
    }
}

impl Graph {
    /// `op(a, b)` for each element, shapes broadcast as in numpy.
    pub fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> Built {
        let Some(shape) = shape::broadcast(self.shape(a), self.shape(b)) else {
            let shapes = vec![self.shape(a).to_vec(), self.shape(b).to_vec()];
            return Err(ShapeError { op: op.def().name, shapes, reason: "the shapes do not broadcast".into() });
        };
        let (a, b) = (self.operand(a, &shape)?, self.operand(b, &shape)?);
        if let Some(simple) = self.simpler_binary(op, a, b, &shape)? {
            return self.broadcast_to(simple, &shape);
        }
        let (a, b) =
            if op.def().commutes && self.rank_of_operand(b) < self.rank_of_operand(a) { (b, a) } else { (a, b) };
        let batched = self.node(a).batched || self.node(b).batched;
        let own = self.shape(if self.shape(a).is_empty() { b } else { a }).to_vec();
        let made = self.intern(Node { op: Op::Binary(op), args: vec![a, b], shape: own, batched });
        self.broadcast_to(made, &shape)
    }

    /// The argument as an element-wise op of this shape takes it: a scalar, or of just that shape.
    pub(crate) fn operand(&mut self, a: NodeId, shape: &[usize]) -> Built {
        if self.shape(a) == shape && !matches!(self.node(a).op, Op::Broadcast) {
            return Ok(a);
        }
        let inner = if matches!(self.node(a).op, Op::Broadcast) { self.node(a).args[0] } else { a };
        if shape::size(self.shape(inner)) == 1 {
            return self.reshape(inner, &[]);
        }
        self.broadcast_to(a, shape)
    }

    /// Where a commuting op has its arguments: constants last, else in order of making.
    fn rank_of_operand(&self, a: NodeId) -> (bool, NodeId) {
        (matches!(self.node(a).op, Op::Const(_)), a)
    }
}

/// The derivative of a binary op.
pub(crate) fn derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, ShapeError> {
    let Op::Binary(op) = d.node.op else { return Ok(vec![None, None]) };
    let Some(rules) = op.def().derivative else { return Ok(vec![None, None]) };
    let (a, b) = (d.node.args[0], d.node.args[1]);
    let da = if d.wanted[0] { Some(rules[0](d, a, b)?) } else { None };
    let db = if d.wanted[1] { Some(rules[1](d, a, b)?) } else { None };
    Ok(vec![da, db])
}

/// - dy y / b
fn d_div(d: &mut Diff, _: NodeId, b: NodeId) -> Built {
    let ratio = d.div(d.y, b)?;
    let product = d.mul(d.dy, ratio)?;
    d.unary(Unary::Neg, product)
}

/// A tie is the first argument's, which is where the builder puts a constant: `max(x, 0)` has derivative 0 at 0.
fn d_min_a(d: &mut Diff, a: NodeId, b: NodeId) -> Built {
    let taken = d.binary(Binary::Lt, b, a)?;
    d.unless(taken)
}

fn d_min_b(d: &mut Diff, a: NodeId, b: NodeId) -> Built {
    let taken = d.binary(Binary::Lt, b, a)?;
    d.when(taken)
}

fn d_max_a(d: &mut Diff, a: NodeId, b: NodeId) -> Built {
    let taken = d.binary(Binary::Gt, b, a)?;
    d.unless(taken)
}

fn d_max_b(d: &mut Diff, a: NodeId, b: NodeId) -> Built {
    let taken = d.binary(Binary::Gt, b, a)?;
    d.when(taken)
}

/// dy b a^(b - 1)
fn d_pow_base(d: &mut Diff, a: NodeId, b: NodeId) -> Built {
    let less = d.offset(b, -1.0)?;
    let power = d.binary(Binary::Pow, a, less)?;
    let slope = d.mul(b, power)?;
    d.mul(d.dy, slope)
}

/// dy y log(a), 0 where a is 0
fn d_pow_exponent(d: &mut Diff, a: NodeId, _: NodeId) -> Built {
    let log = d.unary(Unary::Log, a)?;
    let slope = d.mul(d.y, log)?;
    let product = d.mul(d.dy, slope)?;
    let zero = d.graph.constant(0.0);
    let none = d.binary(Binary::Eq, a, zero)?;
    d.graph.select(none, zero, product)
}

/// dy x / (x² + y²)
fn d_atan2_y(d: &mut Diff, y: NodeId, x: NodeId) -> Built {
    let slope = over_square(d, x, y, x)?;
    d.mul(d.dy, slope)
}

/// - dy y / (x² + y²)
fn d_atan2_x(d: &mut Diff, y: NodeId, x: NodeId) -> Built {
    let slope = over_square(d, y, y, x)?;
    let product = d.mul(d.dy, slope)?;
    d.unary(Unary::Neg, product)
}

fn over_square(d: &mut Diff, above: NodeId, y: NodeId, x: NodeId) -> Built {
    let (xx, yy) = (d.mul(x, x)?, d.mul(y, y)?);
    let below = d.binary(Binary::Add, xx, yy)?;
    d.div(above, below)
}
