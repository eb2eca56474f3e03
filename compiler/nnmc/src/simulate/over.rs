//! `sum(w over post)`, `mean`, `max`, `min`: over the synapses of the same target (or sender), at each of them.

use nnm_graph::ir::{Binary, Reduce};
use nnm_syntax::ast::ExprKind;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::ends::{Seen, Site};
use crate::eval::Call;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Value};

impl Session<'_> {
    /// The value of a function of the synapses of one end; `None` where the call is no such.
    pub fn called_over_end(&mut self, call: &Call) -> Option<Value> {
        let end = call.clause("over")?;
        let (_, expr) = self.bare_expr(call.scope, end);
        let known = ["sum", "mean", "max", "min"].contains(&call.name.as_str());
        let post = match &expr.kind {
            ExprKind::Name(name) if name == "post" => true,
            ExprKind::Name(name) if name == "pre" => false,
            _ if known => {
                let message = "a sum goes over the synapses of one end: `sum(w over post)`";
                return Some(self.error("E0557", expr.span, message));
            }
            _ => return None,
        };
        if !known {
            let message = format!("`{}` does not go over the synapses of one end", call.name);
            let d = Diagnostic::error("E0557", call.span, message);
            return Some(self.fail(d.help("`sum`, `mean`, `max` and `min` do: `max(w over post)`")));
        }
        Some(self.over_end(call, post).map_or(Value::Missing, Value::Num))
    }

    fn over_end(&mut self, call: &Call, post: bool) -> Option<Num> {
        let x = self.num_arg(call, 0, "x")?;
        if self.lone_rule {
            return Some(Num::unknown(x.num.unit));
        }
        let span = call.span;
        let Some(site) = self.edges_in_sight.filter(|s| matches!(s.seen, Seen::Edges | Seen::Pairs)) else {
            if self.edges_in_sight.is_some() || self.program.is_some() {
                let message = "a sum over synapses stands in a rule's `every T { … }`, `w' = …` or `next w = …`";
                self.error("E0557", span, message);
            }
            return None;
        };
        let at_cells = match call.name.as_str() {
            "max" => self.reduced_at(site, &x.num, post, Reduce::Max, span)?,
            "min" => self.reduced_at(site, &x.num, post, Reduce::Min, span)?,
            "mean" => {
                let sum = self.summed_at(site, &x.num, post, span)?;
                self.shared_out(site, &sum, post, span)?
            }
            _ => self.summed_at(site, &x.num, post, span)?,
        };
        self.laid_over_edges(site, &at_cells, post, span)
    }

    /// A sum at cells over how many synapses each has.
    fn shared_out(&mut self, site: Site, sum: &Num, post: bool, span: Span) -> Option<Num> {
        let count = self.summed_at(site, &Num::real(1.0), post, span)?;
        let one = Num::real(1.0);
        let count = self.binary(Binary::Max, &one, &count, Unit::REAL, span);
        Some(self.binary(Binary::Div, sum, &count, sum.unit.clone(), span))
    }
}
