//! Tensor operations on numbers: known ones are computed at once, others become nodes of the program being built.

use nnm_graph::ShapeError;
use nnm_graph::ir::{Binary, Graph, NodeId, Op, Unary};
use nnm_runtime::array::Array;
use nnm_syntax::span::Span;

use super::operators::Operand;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Repr};

impl Session<'_> {
    /// Applies a tensor operation. The result carries the unit given; what differs from step to step stays so.
    pub fn apply(
        &mut self,
        span: Span,
        unit: Unit,
        args: &[&Num],
        op: impl FnOnce(&mut Graph, &[NodeId]) -> Result<NodeId, ShapeError>,
    ) -> Num {
        self.apply_at(span, &[], unit, args, op)
    }

    /// As [`Self::apply`], with the places of the arguments for messages.
    pub fn apply_at(
        &mut self,
        span: Span,
        places: &[Span],
        unit: Unit,
        args: &[&Num],
        op: impl FnOnce(&mut Graph, &[NodeId]) -> Result<NodeId, ShapeError>,
    ) -> Num {
        let repr = match self.apply_repr(args, op) {
            Ok(repr) => repr,
            Err(error) => {
                self.shape_error(span, places, &error);
                Repr::Unknown
            }
        };
        let stepwise = args.iter().any(|a| a.stepwise);
        Num { unit, repr, class: None, times: None, stepwise, single: false }
    }

    fn apply_repr(
        &mut self,
        args: &[&Num],
        op: impl FnOnce(&mut Graph, &[NodeId]) -> Result<NodeId, ShapeError>,
    ) -> Result<Repr, ShapeError> {
        if args.iter().any(|a| matches!(a.repr, Repr::Unknown)) {
            return Ok(Repr::Unknown);
        }
        if args.iter().all(|a| matches!(a.repr, Repr::Const(_))) {
            let mut graph = Graph::default();
            let nodes: Vec<NodeId> =
                args.iter().filter_map(|a| a.as_const()).map(|a| graph.tensor(a.clone())).collect();
            let node = op(&mut graph, &nodes)?;
            return Ok(Repr::Const(nnm_graph::eval(&graph, node, &|_, _| unreachable_array())));
        }
        let nodes: Vec<NodeId> = args.iter().map(|a| self.lift(a)).collect();
        let node = op(&mut self.graph, &nodes)?;
        Ok(match (&self.graph.node(node).op, self.graph.node(node).batched) {
            (Op::Const(value), _) => Repr::Const(crate::value::scalar(*value)),
            (Op::Tensor(tensor), false) => Repr::Const((*tensor.0).clone()),
            _ => Repr::Node(node),
        })
    }

    /// The node of a number in the program being built.
    pub fn lift(&mut self, num: &Num) -> NodeId {
        match &num.repr {
            Repr::Node(node) => *node,
            Repr::Const(array) => self.graph.tensor(array.clone()),
            Repr::Unknown => self.graph.constant(f64::NAN),
        }
    }

    pub fn unary(&mut self, op: Unary, a: &Num, unit: Unit, span: Span) -> Num {
        let times = a.times.clone();
        let out = self.apply(span, unit, &[a], |g, n| g.unary(op, n[0]));
        Num { times, ..out }
    }

    pub fn binary(&mut self, op: Binary, a: &Num, b: &Num, unit: Unit, span: Span) -> Num {
        let times = a.times.clone().or_else(|| b.times.clone());
        let out = self.apply(span, unit, &[a, b], |g, n| g.binary(op, n[0], n[1]));
        Num { times, ..out }
    }

    /// A binary operator as written: its message shows both sides.
    pub fn binary_of(&mut self, op: Binary, a: &Operand, b: &Operand, unit: Unit, span: Span) -> Num {
        let times = a.num.times.clone().or_else(|| b.num.times.clone());
        let out = self.apply_at(span, &[a.span, b.span], unit, &[&a.num, &b.num], |g, n| g.binary(op, n[0], n[1]));
        Num { times, ..out }
    }

    pub fn add(&mut self, a: &Num, b: &Num, span: Span) -> Num {
        self.binary(Binary::Add, a, b, a.unit.join(&b.unit), span)
    }

    pub fn mul(&mut self, a: &Num, b: &Num, span: Span) -> Num {
        self.binary(Binary::Mul, a, b, a.unit.times(&b.unit), span)
    }

    pub fn select(&mut self, cond: &Num, a: &Num, b: &Num, span: Span) -> Num {
        let times = a.times.clone().or_else(|| b.times.clone());
        let unit = a.unit.join(&b.unit);
        let out = self.apply(span, unit, &[cond, a, b], |g, n| g.select(n[0], n[1], n[2]));
        Num { times, ..out }
    }

    /// The shape, where it is known.
    pub fn shape(&self, num: &Num) -> Option<Vec<usize>> {
        match &num.repr {
            Repr::Const(array) => Some(array.shape().to_vec()),
            Repr::Node(node) => Some(self.graph.node(*node).shape.clone()),
            Repr::Unknown => None,
        }
    }
}

fn unreachable_array() -> Array {
    crate::value::scalar(f64::NAN)
}
