//! What the inputs of networks are given: what `given` says, else the field of their name.

use nnm_graph::ir::VarId;
use nnm_kir::ir::Int;
use nnm_syntax::ast::{Clause, ClauseValue, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::{Presentation, TIME};
use crate::eval::Closure;
use crate::hir::clause;
use crate::network::{FrameId, Given};
use crate::program::Role;
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Dataset, Num, Repr, Value};

impl Session<'_> {
    /// The `given` statements of a block.
    pub fn givens(&self, scope: ScopeId, block: &[nnm_syntax::ast::Stmt]) -> Vec<Given> {
        let found = block.iter().filter_map(|stmt| match &stmt.kind {
            StmtKind::Given { name, value, clauses } => Some(self.given(scope, name, *value, clauses)),
            _ => None,
        });
        found.collect()
    }

    /// `given x = E [for T step dt]` inside a call's clauses.
    pub fn given_clauses(&self, scope: ScopeId, clauses: &[Clause]) -> Vec<Given> {
        let found = clauses.iter().filter_map(|c| match &c.value {
            ClauseValue::Given(name, value) => Some(self.given(scope, name, *value, clauses)),
            _ => None,
        });
        found.collect()
    }

    fn given(
        &self,
        scope: ScopeId,
        name: &nnm_syntax::ast::Name,
        value: nnm_syntax::ast::ExprId,
        clauses: &[Clause],
    ) -> Given {
        let over_time = clauses.iter().any(|c| {
            c.word.text == "over"
                && matches!(&c.value, ClauseValue::Expr(e) if self.text(self.expr_span(scope, *e)).trim() == "time")
        });
        Given {
            name: name.clone(),
            value: self.closure(scope, value),
            duration: clause(clauses, "for").map(|e| self.closure(scope, e)),
            step: clause(clauses, "step").map(|e| self.closure(scope, e)),
            over_time,
        }
    }

    /// Gives the inputs of a network's frame what the `given`s say, else the field of their name.
    pub fn give(&mut self, p: &Presentation, frame: FrameId, givens: &[Given], data: Option<&Dataset>) -> Option<()> {
        let id = self.frame(frame).net;
        let inputs = self.net(id).inputs.clone();
        for given in givens {
            let Some(input) = inputs.iter().find(|q| q.name == given.name.text).cloned() else {
                let net = self.net(id).path.clone();
                let names: Vec<String> = inputs.iter().map(|q| q.name.clone()).collect();
                let d =
                    Diagnostic::error("E0511", given.name.span, format!("`{net}` has no input `{}`", given.name.text));
                let near = crate::suggest::nearest(&given.name.text, names.iter().map(String::as_str));
                self.report(crate::suggest::did_you_mean(d, given.name.span, near));
                return None;
            };
            let shown = with_fields(self, given.value, p.scope);
            let x = self.operand(shown.scope, shown.expr.id)?;
            let mut num = x.num;
            if given.over_time {
                num = self.row_of_step(&num, x.span);
            }
            let elements: usize = input.shape.iter().product();
            if !input.open && elements != 1 && self.shape(&num).is_some_and(|found| found.is_empty()) {
                let message = format!("expected the shape {}, found one number", self.shape_text(&input.shape));
                self.report(Diagnostic::error("E0313", x.span, message).label(input.span, "of this input"));
                return None;
            }
            let declared = crate::eval::types::Declared {
                unit: input.unit.clone(),
                shape: input.shape.clone(),
                ..crate::eval::types::Declared::real()
            };
            let num = self.hold_number(num, &declared, input.span, x.span)?;
            let num = self.labelled(num, &input, x.span)?;
            let num = self.as_data(num, x.span);
            let stepwise = self.program.as_ref().is_some_and(|p| p.stepped);
            self.frame_mut(frame).inputs.insert(input.name.clone(), Value::Num(Num { stepwise, ..num }));
        }
        // A field of an input's name is given to it.
        for input in &inputs {
            if self.frame(frame).inputs.contains_key(&input.name)
                || !data.is_some_and(|d| d.fields.contains_key(&input.name))
            {
                continue;
            }
            if let Some(value) = self.local(p.scope, &input.name, input.span) {
                self.frame_mut(frame).inputs.insert(input.name.clone(), value);
            }
        }
        Some(())
    }

    /// What is given is data: where a network has a part in it, as in adversarial examples, nothing flows back through it.
    fn as_data(&mut self, num: Num, span: Span) -> Num {
        let Repr::Node(node) = num.repr else { return num };
        let trained: Vec<VarId> = self
            .program
            .iter()
            .flat_map(|p| p.leaves.values())
            .filter(|l| l.role == Role::Weight)
            .map(|l| l.var)
            .collect();
        if !nnm_graph::free_vars(&self.graph, node).iter().any(|v| trained.contains(v)) {
            return num;
        }
        let out = self.apply(span, num.unit.clone(), &[&num], |g, n| g.stop_gradient(n[0]));
        Num { class: num.class, ..out }
    }

    /// The row of a series that this step presents.
    fn row_of_step(&mut self, num: &Num, span: Span) -> Num {
        let count = self.graph.count(Int::Loop(TIME));
        let step = Num::node(Unit::REAL, count);
        let out = self.apply(span, num.unit.clone(), &[num, &step], |g, n| g.gather(n[0], 0, n[1]));
        Num { class: num.class, ..out }
    }
}

/// A closure seen with the data's fields.
pub fn with_fields(s: &mut Session, closure: Closure, fields: ScopeId) -> Closure {
    let names = s.scopes[fields.0 as usize].names.clone();
    let inner = s.inner(closure.scope);
    s.scopes[inner.0 as usize].names = names;
    closure.within(inner)
}
