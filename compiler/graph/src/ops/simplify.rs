//! Cheap simplification of functions of two numbers, one small function per op.
//!
//! `x * 0` is 0 whatever x, and `x - x` is 0: a non-finite x is found where it is stored.

use crate::error::{Built, ShapeError};
use crate::ir::{Binary, Graph, NodeId, Op, Unary};

type Simpler = Result<Option<NodeId>, ShapeError>;

/// The arguments of the op being made, with their values where they are constants.
struct Pair {
    a: NodeId,
    b: NodeId,
    ca: Option<f64>,
    cb: Option<f64>,
}

impl Graph {
    /// A node that equals `op(a, b)` up to broadcasting to `shape`, if there is a simpler one.
    pub(crate) fn simpler_binary(&mut self, op: Binary, a: NodeId, b: NodeId, shape: &[usize]) -> Simpler {
        let p = Pair { a, b, ca: self.constant_value(a), cb: self.constant_value(b) };
        if let (Some(x), Some(y)) = (p.ca, p.cb) {
            return Ok(Some(self.constant((op.def().host)(x, y))));
        }
        if let Some(folded) = self.folded_tensors(op, &p) {
            return Ok(Some(folded));
        }
        let simple = match op {
            Binary::Add => self.simpler_add(&p)?,
            Binary::Sub => self.simpler_sub(&p)?,
            Binary::Mul => self.simpler_mul(&p)?,
            Binary::Div => self.simpler_div(&p)?,
            Binary::Pow => self.simpler_pow(&p)?,
            Binary::Min | Binary::Max => self.simpler_extreme(op, &p)?,
            Binary::And | Binary::Or => self.simpler_logic(op, &p)?,
            Binary::Ne if p.cb == Some(0.0) && self.is_boolean(a) => Some(a),
            _ => None,
        };
        match simple {
            Some(simple) => Ok(Some(simple)),
            None => self.through_broadcast(op, &p, shape),
        }
    }

    /// Tensors of constants are computed at once.
    fn folded_tensors(&mut self, op: Binary, p: &Pair) -> Option<NodeId> {
        let f = op.def().host;
        let (a, b) = (self.node(p.a).op.clone(), self.node(p.b).op.clone());
        let array = match (a, b, p.ca, p.cb) {
            (Op::Tensor(a), _, _, Some(y)) => a.0.mapv(|x| f(x, y)).into_shared(),
            (_, Op::Tensor(b), Some(x), _) => b.0.mapv(|y| f(x, y)).into_shared(),
            (Op::Tensor(a), Op::Tensor(b), _, _) => {
                let mut out = a.0.view().to_owned();
                out.zip_mut_with(&b.0, |x, y| *x = f(*x, *y));
                out.into_shared()
            }
            _ => return None,
        };
        Some(self.tensor(array))
    }

    fn simpler_add(&mut self, p: &Pair) -> Simpler {
        if p.cb == Some(0.0) {
            return Ok(Some(p.a));
        }
        if p.ca == Some(0.0) {
            return Ok(Some(p.b));
        }
        if p.a == p.b {
            let two = self.constant(2.0);
            return self.binary(Binary::Mul, p.a, two).map(Some);
        }
        if let Some(minus) = self.negated(p.b) {
            return self.binary(Binary::Sub, p.a, minus).map(Some);
        }
        match self.negated(p.a) {
            Some(minus) => self.binary(Binary::Sub, p.b, minus).map(Some),
            None => Ok(None),
        }
    }

    fn simpler_sub(&mut self, p: &Pair) -> Simpler {
        if p.cb == Some(0.0) {
            return Ok(Some(p.a));
        }
        if p.ca == Some(0.0) {
            return self.unary(Unary::Neg, p.b).map(Some);
        }
        if p.a == p.b {
            return Ok(Some(self.constant(0.0)));
        }
        match self.negated(p.b) {
            Some(plus) => self.binary(Binary::Add, p.a, plus).map(Some),
            None => Ok(None),
        }
    }

    fn simpler_mul(&mut self, p: &Pair) -> Simpler {
        let (x, c) = match (p.ca, p.cb) {
            (Some(c), _) => (p.b, c),
            (_, Some(c)) => (p.a, c),
            _ => return self.product_of_negatives(p),
        };
        if c == 0.0 {
            return Ok(Some(self.constant(0.0)));
        }
        if c == 1.0 {
            return Ok(Some(x));
        }
        if c == -1.0 {
            return self.unary(Unary::Neg, x).map(Some);
        }
        self.merged_factor(x, c)
    }

    fn product_of_negatives(&mut self, p: &Pair) -> Simpler {
        match (self.negated(p.a), self.negated(p.b)) {
            (Some(a), Some(b)) => self.binary(Binary::Mul, a, b).map(Some),
            _ => Ok(None),
        }
    }

    /// `(y * d) * c` is `y * (d * c)` where the new factor is an ordinary number; `-y * c` is `y * -c`.
    fn merged_factor(&mut self, x: NodeId, c: f64) -> Simpler {
        if let Some(inner) = self.negated(x) {
            let minus = self.constant(-c);
            return self.binary(Binary::Mul, inner, minus).map(Some);
        }
        let Op::Binary(Binary::Mul) = self.node(x).op else { return Ok(None) };
        let (y, last) = (self.node(x).args[0], self.node(x).args[1]);
        let factor = match self.constant_value(last) {
            Some(d) if (d * c).is_normal() => self.constant(d * c),
            _ => return Ok(None),
        };
        self.binary(Binary::Mul, y, factor).map(Some)
    }

    /// A division by a number with a plain reciprocal is a product, as `(u - v) / (1 ms)` is `(u - v) * 1000 / s`.
    fn simpler_div(&mut self, p: &Pair) -> Simpler {
        if p.ca == Some(0.0) {
            return Ok(Some(self.constant(0.0)));
        }
        let Some(c) = p.cb else { return Ok(None) };
        if c == 1.0 {
            return Ok(Some(p.a));
        }
        let Some(factor) = plain_reciprocal(c) else { return Ok(None) };
        let factor = self.constant(factor);
        self.binary(Binary::Mul, p.a, factor).map(Some)
    }

    fn simpler_pow(&mut self, p: &Pair) -> Simpler {
        if p.ca == Some(1.0) {
            return Ok(Some(self.constant(1.0)));
        }
        let Some(c) = p.cb else { return Ok(None) };
        let x = p.a;
        Ok(Some(match c {
            0.0 => self.constant(1.0),
            1.0 => x,
            0.5 => self.unary(Unary::Sqrt, x)?,
            -1.0 => self.reciprocal(x)?,
            2.0 => self.square(x)?,
            3.0 => {
                let square = self.square(x)?;
                self.binary(Binary::Mul, square, x)?
            }
            4.0 => {
                let square = self.square(x)?;
                self.square(square)?
            }
            -2.0 => {
                let square = self.square(x)?;
                self.reciprocal(square)?
            }
            _ => return Ok(None),
        }))
    }

    fn square(&mut self, x: NodeId) -> Built {
        self.binary(Binary::Mul, x, x)
    }

    fn reciprocal(&mut self, x: NodeId) -> Built {
        let one = self.constant(1.0);
        self.binary(Binary::Div, one, x)
    }

    /// Constants go first: then a NaN argument gives NaN, and a tie has no derivative.
    fn simpler_extreme(&mut self, op: Binary, p: &Pair) -> Simpler {
        if p.a == p.b {
            return Ok(Some(p.a));
        }
        if p.cb.is_some() {
            return self.binary(op, p.b, p.a).map(Some);
        }
        Ok(None)
    }

    fn simpler_logic(&mut self, op: Binary, p: &Pair) -> Simpler {
        let (x, c) = match (p.ca, p.cb) {
            (Some(c), _) => (p.b, c != 0.0),
            (_, Some(c)) => (p.a, c != 0.0),
            _ if p.a == p.b => (p.a, op == Binary::And),
            _ => return Ok(None),
        };
        if c == (op == Binary::And) {
            return self.truth(x).map(Some);
        }
        Ok(Some(self.constant(f64::from(c))))
    }

    /// 1 where x is not 0, else 0.
    pub fn truth(&mut self, x: NodeId) -> Built {
        if self.is_boolean(x) {
            return Ok(x);
        }
        let zero = self.constant(0.0);
        self.binary(Binary::Ne, x, zero)
    }

    /// Whether a node's values are all 0 or 1.
    pub fn is_boolean(&self, x: NodeId) -> bool {
        let node = self.node(x);
        match &node.op {
            Op::Const(c) => *c == 0.0 || *c == 1.0,
            Op::Unary(op) => *op == Unary::Not,
            Op::Binary(op) => op.def().boolean,
            Op::Broadcast | Op::Reshape | Op::Permute(_) | Op::Slice { .. } => self.is_boolean(node.args[0]),
            _ => false,
        }
    }

    /// `y` where the node is `-y` (also a negative constant factor is left alone: it costs nothing).
    fn negated(&self, x: NodeId) -> Option<NodeId> {
        match self.node(x).op {
            Op::Unary(Unary::Neg) => Some(self.node(x).args[0]),
            _ => None,
        }
    }

    /// Values that repeat are computed once, then broadcast.
    fn through_broadcast(&mut self, op: Binary, p: &Pair, shape: &[usize]) -> Simpler {
        let (a, b) = (self.unspread(p.a), self.unspread(p.b));
        let (small_a, small_b) = match (a, b) {
            (Some(a), Some(b)) if self.shape(a) == self.shape(b) => (a, b),
            (Some(a), None) if self.shape(p.b).is_empty() => (a, p.b),
            (None, Some(b)) if self.shape(p.a).is_empty() => (p.a, b),
            _ => return Ok(None),
        };
        let small = self.binary(op, small_a, small_b)?;
        self.broadcast_to(small, shape).map(Some)
    }

    fn unspread(&self, x: NodeId) -> Option<NodeId> {
        matches!(self.node(x).op, Op::Broadcast).then(|| self.node(x).args[0])
    }
}

/// The reciprocal of a power of two, which is exact, and of one of a unit with a small prefix: a thousandth is not a
/// binary number but its reciprocal is, so the product with 1000 is the nearer result, in a third of the time.
fn plain_reciprocal(c: f64) -> Option<f64> {
    const PREFIXES: [f64; 4] = [1e3, 1e6, 1e9, 1e12];
    let factor = 1.0 / c;
    let is_power_of_two = c.to_bits() << 12 == 0;
    let is_unit = PREFIXES.contains(&factor.abs()) && 1.0 / factor == c;
    (c.is_normal() && factor.is_normal() && (is_power_of_two || is_unit)).then_some(factor)
}
