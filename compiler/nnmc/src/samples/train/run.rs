//! The course of a training: epochs of shuffled batches, validation, what is kept of it.

use indexmap::IndexMap;
use nnm_runtime::abi::status;
use nnm_runtime::random;
use nnm_syntax::ast::ExprId;
use nnm_syntax::diag::Diagnostic;

use super::super::Presentation;
use super::Training;
use super::plan::Plan;
use super::program::Built;
use crate::engine::Engine;
use crate::events::Event;
use crate::failure::Failure;
use crate::session::{Mode, Session};
use crate::unit::Unit;
use crate::value::{Num, Value, vector};

impl Session<'_> {
    pub(super) fn run_training(
        &mut self,
        t: &Training,
        plan: &Plan,
        p: &Presentation,
        built: Built,
        per_epoch: usize,
        updates: usize,
    ) -> Result<Value, Failure> {
        self.dump(&built.program, &[], &[]);
        if self.mode == Mode::Check {
            return Ok(self.unknown_run(&built));
        }
        let mut engine = Engine::new(&built.program, self.settings.backend).map_err(|e| self.engine_failure(e))?;
        if self.settings.emit_kernels {
            self.dump_kernel(engine.kernel());
        }
        self.fill_samples(&mut engine, p);
        let epochs = updates.div_ceil(per_epoch);
        let key = random::key(self.seed, &format!("{}.shuffle", self.net(t.net).path));
        let mut history: Vec<Vec<f64>> = vec![vec![]; built.losses.len()];
        let mut validation = vec![];
        let mut done = 0;
        for epoch in 0..epochs {
            let order = random::permutation(key, epoch as u64, p.rows as u32);
            engine.write_index(p.index, &order);
            let stopped =
                self.run_epoch(t, &built, p, &mut engine, epoch, per_epoch, updates, &mut history, &mut done)?;
            let loss = history.first().and_then(|h| h.last()).copied().unwrap_or(f64::NAN);
            let what = self.net(t.net).path.clone();
            let fraction = (epoch + 1) as f64 / epochs as f64;
            self.host.progress(&Event::Epoch { what, epoch: epoch + 1, epochs, loss, done: fraction });
            if let Some((on, every)) = plan.validate
                && (epoch + 1) % every == 0
            {
                self.keep_weights(&engine);
                validation.push(self.validate(t, plan, on)?);
            }
            if self.host.interrupted() {
                self.keep_weights(&engine);
                return Err(Failure::Interrupted);
            }
            if stopped {
                break;
            }
        }
        self.keep_weights(&engine);
        Ok(self.training_run(&engine, &built, history, validation, done))
    }

    /// One epoch; whether `stop when` held.
    #[allow(clippy::too_many_arguments)]
    fn run_epoch(
        &mut self,
        t: &Training,
        built: &Built,
        p: &Presentation,
        engine: &mut Engine,
        epoch: usize,
        per_epoch: usize,
        updates: usize,
        history: &mut [Vec<f64>],
        done: &mut usize,
    ) -> Result<bool, Failure> {
        let full = p.rows / p.batch;
        let first = epoch * per_epoch;
        let rest = p.rows - full * p.batch;
        let mut pieces = vec![];
        if built.stop.is_some() {
            pieces.extend((0..full).map(|k| (k, k + 1, p.batch)));
        } else {
            pieces.push((0, full, p.batch));
        }
        if rest > 0 {
            pieces.push((full, full + 1, rest));
        }
        let mut stopped = false;
        for (a, b, here) in pieces {
            let (from, to) = (first + a, (first + b).min(updates));
            if from >= to {
                continue;
            }
            engine.set_slot("batch", here as i64);
            engine.set_slot("offset", (a * p.batch) as i64);
            engine.set_slot("from", from as i64);
            engine.set_slot("to", to as i64);
            match engine.run().map_err(|e| self.engine_failure(e))? {
                status::OK => {}
                status::NOT_FINITE => return Err(self.diverged(t, engine, from)),
                code => return Err(Failure::bug(format!("a training ended with status {code}"))),
            }
            *done = to;
            if let Some(stop) = built.stop
                && engine.read(stop, 0).first().is_some_and(|s| *s != 0.0)
            {
                stopped = true;
                break;
            }
        }
        for (k, var) in built.losses.iter().enumerate() {
            let steps = (*done - first.min(*done)).min(per_epoch);
            let mean = (0..steps).map(|s| engine.read(*var, s)[0]).sum::<f64>() / steps.max(1) as f64;
            history[k].push(mean);
        }
        Ok(stopped)
    }

    fn diverged(&mut self, t: &Training, engine: &Engine, from: usize) -> Failure {
        self.keep_weights(engine);
        let d = Diagnostic::error(
            "E0702",
            t.span,
            format!("the loss is no longer finite, at an update from {} on", from + 1),
        )
        .help("a smaller `rate`, `clip norm 1.0`, or a look at the data");
        Failure::Numeric(Box::new(d))
    }

    /// Weights and running values back into their networks.
    fn keep_weights(&mut self, engine: &Engine) {
        let leaves = self.program.as_ref().map(|p| p.leaves.clone()).unwrap_or_default();
        for leaf in leaves.values() {
            if let (Some((id, local)), crate::program::Role::Weight) = (&leaf.home, leaf.role) {
                let array = engine.read_array(leaf.var);
                self.net_mut(*id).store.insert(local.clone(), array);
            }
        }
    }

    /// The mean of the first objective over other data.
    fn validate(&mut self, t: &Training, plan: &Plan, on: ExprId) -> Result<f64, Failure> {
        let Some(objective) = plan.aims.first().and_then(|a| a.objective) else { return Ok(f64::NAN) };
        let Value::Data(data) = self.eval(t.scope, on) else { return Ok(f64::NAN) };
        let mean = self.mean_over(t.scope, objective, &data, t.span);
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(mean.unwrap_or(f64::NAN)),
        }
    }

    fn unknown_run(&mut self, built: &Built) -> Value {
        let mut run = IndexMap::new();
        for name in ["loss", "validation"] {
            run.insert(name.to_string(), Value::Num(Num::unknown(Unit::REAL)));
        }
        let objectives = built.losses.len() - built.terms.len();
        let each = vec![Value::Num(Num::unknown(Unit::REAL)); objectives];
        run.insert("objectives".into(), Value::List(each.into()));
        for term in &built.terms {
            run.insert(term.clone(), Value::Num(Num::unknown(Unit::REAL)));
        }
        for record in &built.records {
            run.insert(record.name.clone(), Value::Num(Num::unknown(record.unit.clone())));
        }
        Value::Record(run.into())
    }

    fn training_run(
        &mut self,
        engine: &Engine,
        built: &Built,
        mut history: Vec<Vec<f64>>,
        validation: Vec<f64>,
        done: usize,
    ) -> Value {
        let mut run = IndexMap::new();
        let series = |values: Vec<f64>| Value::Num(Num::array(Unit::REAL, vector(values)));
        let terms = history.split_off(history.len() - built.terms.len());
        for (name, values) in built.terms.iter().zip(terms) {
            run.insert(name.clone(), series(values));
        }
        let epochs = history.first().map_or(0, Vec::len);
        let total = (0..epochs).map(|e| history.iter().map(|h| h[e]).sum()).collect();
        run.insert("loss".to_string(), series(total));
        run.insert("validation".into(), series(validation));
        run.insert("objectives".into(), Value::List(history.into_iter().map(series).collect::<Vec<_>>().into()));
        for record in &built.records {
            let kept = (done as i64 / record.every).min(record.samples) as usize;
            let array = engine.read_times(record.var, kept);
            run.insert(record.name.clone(), Value::Num(Num::array(record.unit.clone(), array)));
        }
        Value::Record(run.into())
    }
}
