//! `train`: what a training says, its program, and the course of it, brought together.

mod aim;
mod explain;
mod plan;
mod program;
mod run;

use nnm_syntax::ast::{self, ExprId};
use nnm_syntax::span::Span;

use crate::failure::Failure;
use crate::network::NetId;
use crate::session::{ScopeId, Session};
use crate::value::{Dataset, Repr, Value};

/// What a `train` statement says.
#[derive(Clone, Debug)]
pub struct Training<'s> {
    pub scope: ScopeId,
    pub net: NetId,
    pub data: Option<std::rc::Rc<Dataset>>,
    pub clauses: &'s [ast::Clause],
    pub block: &'s [ast::Stmt],
    pub span: Span,
}

impl Session<'_> {
    pub fn train(&mut self, t: &Training) -> Result<Value, Failure> {
        let Some(plan) = self.training_plan(t) else { return Ok(Value::Missing) };
        let given = self.givens(t.scope, t.block);
        self.net_mut(t.net).given = given.clone();
        self.net_mut(t.net).settles = plan.settles.clone();
        let outer_graph = std::mem::take(&mut self.graph);
        let outer = self.program.take();
        let errors = self.error_count();
        let rows = t.data.as_ref().map_or(1, |d| d.rows);
        let batch = plan.batch.min(rows.max(1));
        let per_epoch = rows.div_ceil(batch).max(1);
        let updates = plan.updates.unwrap_or(plan.epochs * per_epoch);
        let data = t.data.clone();
        let presented = self.begin_samples(t.scope, data.as_deref(), &[(t.net, given)], batch, true, t.span);
        let result = match presented {
            Some(mut p) => match self.build_update(t, &plan, &mut p, per_epoch, updates) {
                Some(built) if self.error_count() == errors => {
                    self.run_training(t, &plan, &p, built, per_epoch, updates)
                }
                _ => self.nothing_built("train", errors),
            },
            None => self.nothing_built("train", errors),
        };
        self.graph = outer_graph;
        self.program = outer;
        result
    }

    /// After a build without result: errors of the model have been reported, anything else is a fault of ours.
    pub fn nothing_built(&mut self, what: &str, errors: usize) -> Result<Value, Failure> {
        if self.error_count() > errors || self.has_errors() {
            return Ok(Value::Missing);
        }
        Err(self
            .failure
            .take()
            .unwrap_or_else(|| Failure::bug(format!("`{what}` could not be built, and nothing said why"))))
    }

    /// The mean of an expression over data, with what the networks' inputs were last given.
    pub fn mean_over(&mut self, scope: ScopeId, e: ExprId, data: &Dataset, span: Span) -> Option<f64> {
        let num = self.values_over(scope, e, data, span)?;
        match &num.repr {
            Repr::Const(a) => Some(a.sum() / a.len().max(1) as f64),
            _ => None,
        }
    }
}
