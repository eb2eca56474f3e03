//! How white noise enters an equation: by a factor alone. Its powers and functions are of the step, not of the model.

use std::collections::BTreeMap;

use nnm_graph::ir::{Binary, NodeId, Op, Reduce, Unary};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::session::Session;

/// What of white noise is in a value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Nothing,
    /// Noise times what has none, and sums of such.
    Linear,
    /// A product of noises, or a function of one.
    Other,
}

impl Session<'_> {
    /// Refuses a right side in which white noise stands other than by a factor.
    pub fn hold_noise_linear(&mut self, right: NodeId, what: &str, span: Span) {
        if self.noise_in(right) != Part::Other {
            return;
        }
        let message = format!("{what} takes white noise other than by a factor");
        let d = Diagnostic::error("E0671", span, message)
            .at("a product or a function of `xi()`")
            .help("the power of white noise grows without bound as the step shrinks, so this is a number of the step, not of the model")
            .help("noise enters by a factor without noise, `sigma * xi()`; a function of it takes noise with a memory: `y' = -y / tau + sqrt(2 / tau) * xi()`, and then `exp(y)`");
        self.report(d);
    }

    /// Refuses a condition that is tested against white noise.
    pub fn hold_no_noise(&mut self, value: NodeId, span: Span) {
        if self.noise_in(value) == Part::Nothing {
            return;
        }
        let d = Diagnostic::error("E0671", span, "a condition is held against white noise, which has no bound")
            .help("how often it holds is a matter of the step; compare a state that integrates the noise, or draw: `spike when poisson(15 Hz)`");
        self.report(d);
    }

    fn noise_in(&self, value: NodeId) -> Part {
        let white = match &self.program {
            Some(program) if !program.white.is_empty() => &program.white,
            _ => return Part::Nothing,
        };
        let mut parts: BTreeMap<NodeId, Part> = BTreeMap::new();
        for id in nnm_graph::needed(&self.graph, &[value]) {
            let node = self.graph.node(id);
            let of: Vec<Part> = node.args.iter().map(|a| parts.get(a).copied().unwrap_or(Part::Nothing)).collect();
            let part = if white.contains(&id) { Part::Linear } else { through(&node.op, &of) };
            parts.insert(id, part);
        }
        parts.get(&value).copied().unwrap_or(Part::Nothing)
    }
}

/// What an operation makes of noise in its arguments.
fn through(op: &Op, of: &[Part]) -> Part {
    if matches!(op, Op::Surrogate) {
        // Its second argument stands for the derivative alone.
        return of.first().copied().unwrap_or(Part::Nothing);
    }
    let most = of.iter().copied().max().unwrap_or(Part::Nothing);
    if most != Part::Linear {
        return most;
    }
    let only_first = of.iter().skip(1).all(|p| *p == Part::Nothing);
    let linear = match op {
        Op::Binary(Binary::Add | Binary::Sub)
        | Op::Unary(Unary::Neg)
        | Op::StopGradient
        | Op::Broadcast
        | Op::Reshape
        | Op::Permute(_)
        | Op::Slice { .. }
        | Op::Unslice { .. }
        | Op::Concat { .. }
        | Op::Reverse { .. }
        | Op::Reduce { reduce: Reduce::Sum, .. }
        | Op::BatchSum
        | Op::AvgPool(_)
        | Op::CumSum { .. } => true,
        Op::Binary(Binary::Mul) | Op::MatMul { .. } | Op::Conv2d(_) => {
            of.iter().filter(|p| **p != Part::Nothing).count() == 1
        }
        Op::Binary(Binary::Div) | Op::Gather { .. } | Op::Scatter { reduce: Reduce::Sum, .. } => only_first,
        Op::Select => of.first() == Some(&Part::Nothing),
        _ => false,
    };
    if linear { Part::Linear } else { Part::Other }
}
