//! Tensor operations on numbers: known ones are computed at once, others become nodes of the program being built.

use nnm_graph::ir::{Binary, Graph, NodeId, Op, Unary};
use nnm_graph::{Outside, ShapeError};
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
            Ok(Ok(repr)) => repr,
            Ok(Err(outside)) => {
                self.outside_error(span, &outside);
                Repr::Unknown
            }
            Err(error) => {
                self.shape_error(span, places, &error);
                Repr::Unknown
            }
        };
        let stepwise = args.iter().any(|a| a.stepwise);
        let each = args.iter().any(|a| a.each);
        Num { unit, repr, class: None, times: None, stepwise, single: false, each }
    }

    fn apply_repr(
        &mut self,
        args: &[&Num],
        op: impl FnOnce(&mut Graph, &[NodeId]) -> Result<NodeId, ShapeError>,
    ) -> Result<Result<Repr, Outside>, ShapeError> {
        if args.iter().any(|a| matches!(a.repr, Repr::Unknown)) {
            return Ok(Ok(Repr::Unknown));
        }
        if args.iter().all(|a| matches!(a.repr, Repr::Const(_))) {
            let mut graph = Graph::default();
            let nodes: Vec<NodeId> =
                args.iter().filter_map(|a| a.as_const()).map(|a| graph.tensor(a.clone())).collect();
            let node = op(&mut graph, &nodes)?;
            return Ok(nnm_graph::eval_inside(&graph, node, &|_, _| crate::value::scalar(f64::NAN)).map(Repr::Const));
        }
        let nodes: Vec<NodeId> = args.iter().map(|a| self.lift(a)).collect();
        let node = op(&mut self.graph, &nodes)?;
        Ok(Ok(match (&self.graph.node(node).op, self.graph.node(node).batched) {
            (Op::Const(value), _) => Repr::Const(crate::value::scalar(*value)),
            (Op::Tensor(tensor), false) => Repr::Const((*tensor.0).clone()),
            _ => Repr::Node(node),
        }))
    }

    /// Reports an index that is no place of its axis.
    pub fn outside_error(&mut self, span: Span, outside: &Outside) {
        let Outside { index, extent } = outside;
        if index.fract() != 0.0 {
            self.error("E0308", span, format!("an index is a whole number, not {index}"));
            return;
        }
        let length = self.length_text(*extent);
        self.error("E0316", span, format!("the index {index} is outside of 0 .. {length}"));
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
        if self.meets_whole_series([a, b], span) {
            return Num::unknown(unit);
        }
        let times = a.times.clone().or_else(|| b.times.clone());
        let out = self.apply(span, unit, &[a, b], |g, n| g.binary(op, n[0], n[1]));
        Num { times, ..out }
    }

    /// A binary operator as written: its message shows both sides.
    pub fn binary_of(&mut self, op: Binary, a: &Operand, b: &Operand, unit: Unit, span: Span) -> Num {
        if self.meets_whole_series([&a.num, &b.num], span) {
            return Num::unknown(unit);
        }
        let times = a.num.times.clone().or_else(|| b.num.times.clone());
        let out = self.apply_at(span, &[a.span, b.span], unit, &[&a.num, &b.num], |g, n| g.binary(op, n[0], n[1]));
        Num { times, ..out }
    }

    /// Reports a value of one step against a series of all steps: shapes would make each step meet all of them.
    fn meets_whole_series(&mut self, pair: [&Num; 2], span: Span) -> bool {
        let steps = self.program.as_ref().map_or(0, |p| p.steps);
        if steps < 2 || pair[0].stepwise == pair[1].stepwise {
            return false;
        }
        let [step, series] = if pair[0].stepwise { pair } else { [pair[1], pair[0]] };
        let (Some(one), Some(all)) = (self.shape(step), self.shape(series)) else { return false };
        if all.first() != Some(&steps) || one == all {
            return false;
        }
        let rows = !one.is_empty() && one == all[1..];
        let numbers = all.len() == 1 && one.iter().all(|n| *n == 1) && self.is_field(series);
        if !rows && !numbers {
            return false;
        }
        let (one, all) = (self.shape_text(&one), self.shape_text(&all));
        let message = format!("a value of one step, {one}, meets a series of all {steps} steps, {all}");
        let d = nnm_syntax::diag::Diagnostic::error("E0323", span, message).help(
            "what goes with each step is given step by step, as an input: `input wanted: …` in the architecture, \
             `given wanted = series over time`, and `net.wanted` in place of the series",
        );
        self.report(d);
        true
    }

    /// Whether a number is a field of the data as it stands there.
    fn is_field(&self, num: &Num) -> bool {
        let Repr::Node(node) = num.repr else { return false };
        let Op::Read { var, .. } = self.graph.node(node).op else { return false };
        let leaves = self.program.iter().flat_map(|p| p.leaves.values());
        self.graph.var(var).batched && !leaves.into_iter().any(|leaf| leaf.var == var)
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
