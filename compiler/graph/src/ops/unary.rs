//! Functions of one number: names, values, derivatives and simplification.

use nnm_runtime::math as host;

use crate::error::Built;
use crate::grad::Diff;
use crate::ir::{Binary, Graph, Node, NodeId, Op, Unary};

/// One function of one number.
pub struct UnaryDef {
    pub op: Unary,
    pub name: &'static str,
    pub host: fn(f64) -> f64,
    /// `dy * f'(x)`, from the function's value and argument; `None` where the derivative is 0.
    derivative: Option<fn(&mut Diff, x: NodeId) -> Built>,
}

const fn def(
    op: Unary,
    name: &'static str,
    host: fn(f64) -> f64,
    derivative: Option<fn(&mut Diff, NodeId) -> Built>,
) -> UnaryDef {
    UnaryDef { op, name, host, derivative }
}

/// All of them, in the order of [`Unary`].
pub static UNARIES: &[UnaryDef] = &[
    def(Unary::Neg, "neg", |x| -x, Some(|d, _| d.unary(Unary::Neg, d.dy))),
    def(Unary::Abs, "abs", f64::abs, Some(d_abs)),
    def(Unary::Sign, "sign", sign, None),
    def(Unary::Sqrt, "sqrt", f64::sqrt, Some(d_sqrt)),
    def(Unary::Floor, "floor", f64::floor, None),
    def(Unary::Ceil, "ceil", f64::ceil, None),
    def(Unary::Trunc, "trunc", f64::trunc, None),
    def(Unary::Round, "round", f64::round_ties_even, None),
    def(Unary::Exp, "exp", host::exp, Some(|d, _| d.mul(d.dy, d.y))),
    def(Unary::Expm1, "expm1", host::expm1, Some(d_expm1)),
    def(Unary::Log, "log", host::log, Some(|d, x| d.div(d.dy, x))),
    def(Unary::Log1p, "log1p", host::log1p, Some(d_log1p)),
    def(Unary::Sin, "sin", host::sin, Some(d_sin)),
    def(Unary::Cos, "cos", host::cos, Some(d_cos)),
    def(Unary::Tan, "tan", host::tan, Some(d_tan)),
    def(Unary::Asin, "asin", host::asin, Some(d_asin)),
    def(Unary::Acos, "acos", host::acos, Some(d_acos)),
    def(Unary::Atan, "atan", host::atan, Some(d_atan)),
    def(Unary::Sinh, "sinh", host::sinh, Some(d_sinh)),
    def(Unary::Cosh, "cosh", host::cosh, Some(d_cosh)),
    def(Unary::Tanh, "tanh", host::tanh, Some(d_tanh)),
    def(Unary::Sigmoid, "sigmoid", host::sigmoid, Some(d_sigmoid)),
    def(Unary::Softplus, "softplus", host::softplus, Some(d_softplus)),
    def(Unary::Erf, "erf", host::erf, Some(d_erf)),
    def(Unary::Not, "not", |x| f64::from(x == 0.0), None),
];

impl Unary {
    pub fn def(self) -> &'static UnaryDef {
        &UNARIES[self as usize]
    }
}

/// 1, -1, or 0 (also of a NaN).
fn sign(x: f64) -> f64 {
    f64::from(x > 0.0) - f64::from(x < 0.0)
}

impl Graph {
    /// `op(a)` for each element.
    pub fn unary(&mut self, op: Unary, a: NodeId) -> Built {
        if let Some(simple) = self.simpler_unary(op, a)? {
            return Ok(simple);
        }
        let Node { shape, batched, .. } = self.node(a).clone();
        Ok(self.intern(Node { op: Op::Unary(op), args: vec![a], shape, batched }))
    }

    fn simpler_unary(&mut self, op: Unary, a: NodeId) -> Result<Option<NodeId>, crate::error::ShapeError> {
        let inner = self.node(a).clone();
        Ok(match (op, &inner.op) {
            (_, Op::Const(x)) => Some(self.constant((op.def().host)(*x))),
            (_, Op::Tensor(x)) => {
                let image = x.0.mapv(op.def().host).into_shared();
                Some(self.tensor(image))
            }
            (_, Op::Broadcast) => {
                let small = self.unary(op, inner.args[0])?;
                Some(self.broadcast_to(small, &inner.shape)?)
            }
            (Unary::Neg, Op::Unary(Unary::Neg)) => Some(inner.args[0]),
            (Unary::Neg, Op::Binary(Binary::Sub)) => Some(self.binary(Binary::Sub, inner.args[1], inner.args[0])?),
            (Unary::Abs, Op::Unary(Unary::Abs)) => Some(a),
            (Unary::Abs, Op::Unary(Unary::Neg)) => Some(self.unary(op, inner.args[0])?),
            _ => None,
        })
    }
}

/// The derivative of a unary op.
pub(crate) fn derivative(d: &mut Diff) -> Result<Vec<Option<NodeId>>, crate::error::ShapeError> {
    let Op::Unary(op) = d.node.op else { return Ok(vec![None]) };
    let x = d.node.args[0];
    match op.def().derivative {
        Some(rule) => Ok(vec![Some(rule(d, x)?)]),
        None => Ok(vec![None]),
    }
}

fn d_abs(d: &mut Diff, x: NodeId) -> Built {
    let sign = d.unary(Unary::Sign, x)?;
    d.mul(d.dy, sign)
}

/// dy / (2 sqrt(x))
fn d_sqrt(d: &mut Diff, _: NodeId) -> Built {
    let half = d.scale(d.dy, 0.5)?;
    d.div(half, d.y)
}

/// dy (y + 1)
fn d_expm1(d: &mut Diff, _: NodeId) -> Built {
    let slope = d.offset(d.y, 1.0)?;
    d.mul(d.dy, slope)
}

fn d_log1p(d: &mut Diff, x: NodeId) -> Built {
    let below = d.offset(x, 1.0)?;
    d.div(d.dy, below)
}

fn d_sin(d: &mut Diff, x: NodeId) -> Built {
    let cos = d.unary(Unary::Cos, x)?;
    d.mul(d.dy, cos)
}

fn d_cos(d: &mut Diff, x: NodeId) -> Built {
    let sin = d.unary(Unary::Sin, x)?;
    let product = d.mul(d.dy, sin)?;
    d.unary(Unary::Neg, product)
}

/// dy (1 + y²)
fn d_tan(d: &mut Diff, _: NodeId) -> Built {
    let square = d.mul(d.y, d.y)?;
    let slope = d.offset(square, 1.0)?;
    d.mul(d.dy, slope)
}

/// dy / sqrt(1 - x²)
fn d_asin(d: &mut Diff, x: NodeId) -> Built {
    let square = d.mul(x, x)?;
    let rest = d.one_minus(square)?;
    let root = d.unary(Unary::Sqrt, rest)?;
    d.div(d.dy, root)
}

fn d_acos(d: &mut Diff, x: NodeId) -> Built {
    let opposite = d_asin(d, x)?;
    d.unary(Unary::Neg, opposite)
}

/// dy / (1 + x²)
fn d_atan(d: &mut Diff, x: NodeId) -> Built {
    let square = d.mul(x, x)?;
    let below = d.offset(square, 1.0)?;
    d.div(d.dy, below)
}

fn d_sinh(d: &mut Diff, x: NodeId) -> Built {
    let cosh = d.unary(Unary::Cosh, x)?;
    d.mul(d.dy, cosh)
}

fn d_cosh(d: &mut Diff, x: NodeId) -> Built {
    let sinh = d.unary(Unary::Sinh, x)?;
    d.mul(d.dy, sinh)
}

/// dy (1 - y²)
fn d_tanh(d: &mut Diff, _: NodeId) -> Built {
    let square = d.mul(d.y, d.y)?;
    let slope = d.one_minus(square)?;
    d.mul(d.dy, slope)
}

/// dy y (1 - y)
fn d_sigmoid(d: &mut Diff, _: NodeId) -> Built {
    let rest = d.one_minus(d.y)?;
    let slope = d.mul(d.y, rest)?;
    d.mul(d.dy, slope)
}

fn d_softplus(d: &mut Diff, x: NodeId) -> Built {
    let slope = d.unary(Unary::Sigmoid, x)?;
    d.mul(d.dy, slope)
}

/// dy (2 / sqrt(pi)) exp(-x²)
fn d_erf(d: &mut Diff, x: NodeId) -> Built {
    let square = d.mul(x, x)?;
    let minus = d.unary(Unary::Neg, square)?;
    let bell = d.unary(Unary::Exp, minus)?;
    let slope = d.scale(bell, std::f64::consts::FRAC_2_SQRT_PI)?;
    d.mul(d.dy, slope)
}
