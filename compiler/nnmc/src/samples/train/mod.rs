//! `train`: what a training says, its program, and the course of it, brought together.

mod aim;
mod check;
mod episodes;
mod explain;
mod plan;
mod program;
mod run;

use nnm_syntax::ast::{self, ExprId};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::{Actor, Presentation};
use crate::failure::Failure;
use crate::network::NetId;
use crate::session::{Mode, ScopeId, Session};
use crate::value::{Dataset, Repr, Value};

pub use check::{GradientRow, Verdict};

/// What a `train` statement says.
#[derive(Clone, Debug)]
pub struct Training<'s> {
    pub scope: ScopeId,
    pub net: NetId,
    pub data: Option<std::sync::Arc<Dataset>>,
    /// `train net in World(…)`
    pub world: Option<ExprId>,
    pub clauses: &'s [ast::Clause],
    pub block: &'s [ast::Stmt],
    pub span: Span,
}

impl Session<'_> {
    pub fn train(&mut self, t: &Training) -> Result<Value, Failure> {
        let Some(mut plan) = self.training_plan(t) else { return Ok(Value::Missing) };
        if self.mode == Mode::Run {
            let made_of = self.components(t.scope, t.net, &plan.objectives(), &plan.rules());
            self.made_of.push(made_of);
        }
        if self.mode == Mode::Run && self.settings.check_gradients {
            if t.world.is_none() {
                self.check_gradients(t, &plan)?;
            }
            (plan.epochs, plan.updates) = (0, None);
        }
        let given = self.givens(t.scope, t.block);
        let acts = self.acts(t.scope, t.block);
        let world = match t.world {
            Some(e) => match self.world_setting(t.scope, e) {
                Some(setting) => Some(setting),
                None => return Ok(Value::Missing),
            },
            None => None,
        };
        if world.is_none() {
            self.net_mut(t.net).given = given.clone();
            self.net_mut(t.net).settles = plan.settles.clone();
        }
        let outer_graph = std::mem::take(&mut self.graph);
        let outer = self.program.take();
        let errors = self.error_count();
        let rows = t.data.as_ref().map_or(if world.is_some() { plan.batch } else { 1 }, |d| d.rows);
        let batch = plan.batch.min(rows.max(1));
        let per_epoch = rows.div_ceil(batch * plan.accumulate).max(1);
        let updates = plan.updates.unwrap_or(plan.epochs * per_epoch);
        let data = t.data.clone();
        self.schedule = Some((per_epoch, updates));
        let presented = match &world {
            Some(setting) => {
                self.actor = Some(Actor { net: t.net, given: given.clone(), acts: acts.clone() });
                self.begin_world(t.scope, setting, &[(t.net, given)], &acts, [rows, batch], true)
            }
            None => self.begin_samples(t.scope, data.as_deref(), &[(t.net, given)], batch, true, t.span),
        };
        let result = match presented.map(|p| Presentation { truncate: plan.truncate, ..p }) {
            Some(p) if p.steps == 0 && plan.truncate.is_some() => {
                let d = Diagnostic::error(
                    "E0594",
                    t.span,
                    "`truncate` cuts a presentation over time into pieces, and here there is none",
                )
                .help("`given x = rows over time`, or drop `truncate`");
                self.report(d);
                self.nothing_built("train", errors)
            }
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
