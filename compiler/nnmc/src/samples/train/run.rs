//! The course of a training: epochs of shuffled batches, validation, early stopping, checkpoints, what is kept of it.

use indexmap::IndexMap;
use nnm_graph::ir::VarId;
use nnm_runtime::abi::{LARGEST, status};
use nnm_runtime::random;
use nnm_syntax::ast::ExprId;
use nnm_syntax::diag::Diagnostic;

use super::super::Presentation;
use super::Training;
use super::plan::{Every, Plan};
use super::program::Built;
use crate::checkpoint::Checkpoint;
use crate::engine::Engine;
use crate::events::Event;
use crate::failure::Failure;
use crate::program::Role;
use crate::session::{Mode, Session};
use crate::unit::Unit;
use crate::value::{Num, Value, vector};

/// Updates between two looks at whether to stop.
const PIECE: usize = 32;

/// How far a training has come.
#[derive(Default)]
struct Course {
    name: String,
    /// Updates done.
    done: usize,
    /// `stop when` or `early_stop` held.
    stopped: bool,
    /// Each objective by epoch, then their terms.
    history: Vec<Vec<f64>>,
    objectives: usize,
    validation: Vec<f64>,
    best: Option<Best>,
    per_epoch: usize,
    updates: usize,
}

/// The best weights so far.
struct Best {
    value: f64,
    /// Epochs since.
    age: usize,
    weights: Vec<Vec<f64>>,
}

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
            let data: Vec<VarId> = p.fields.iter().map(|field| field.data).collect();
            self.memory_tables.push(self.training_table(t.net, &built.program, p.batch, &data));
            return Ok(self.unknown_run(&built));
        }
        let name = self.next_course(&format!("train-{}", self.net(t.net).path));
        let mut engine = Engine::new(&built.program, self.settings.backend).map_err(|e| self.engine_failure(e))?;
        if self.settings.emit_kernels {
            self.dump_kernel(engine.kernel());
        }
        self.fill_samples(&mut engine, p);
        let history = vec![vec![]; built.losses.len()];
        let objectives = built.losses.len() - built.terms.len();
        let mut course = Course { name, history, objectives, per_epoch, updates, ..Course::default() };
        self.take_up(t, p, &mut engine, &mut course)?;
        let result = self.run_epochs(t, plan, p, &built, &mut engine, &mut course);
        if let Some(best) = &course.best {
            for (var, values) in self.weight_vars().iter().zip(&best.weights) {
                engine.write(*var, 0, values);
            }
        }
        self.keep_weights(&engine);
        let value = self.training_run(&engine, &built, &course);
        match result {
            Ok(()) => Ok(value),
            Err(failure) => {
                self.unfinished = Some(value);
                Err(failure)
            }
        }
    }

    fn run_epochs(
        &mut self,
        t: &Training,
        plan: &Plan,
        p: &Presentation,
        built: &Built,
        engine: &mut Engine,
        course: &mut Course,
    ) -> Result<(), Failure> {
        let key = random::key(self.seed, &format!("{}.shuffle", self.net(t.net).path));
        while course.done < course.updates && !course.stopped {
            let epoch = course.done / course.per_epoch;
            let order = random::permutation(key, epoch as u64, p.rows as u32);
            engine.write_index(p.index, &order);
            let good = engine.snapshot(&self.weight_vars()).map_err(|e| self.engine_failure(e))?;
            match self.run_epoch(t, plan, built, p, engine, course) {
                Ok(()) => {}
                Err(failure) => {
                    if matches!(failure, Failure::Numeric(_)) {
                        // What the last whole epoch left is worth keeping; what made the loss infinite is not.
                        engine.restore(good);
                    }
                    return Err(failure);
                }
            }
            self.end_epoch(t, plan, engine, epoch, course)?;
            let over = course.done >= course.updates || course.stopped;
            let interrupted = !over && self.host.interrupted();
            let due = plan.checkpoint.is_some_and(|e| e.is_due(course.done, course.per_epoch));
            if due || interrupted || self.checkpoint_due() {
                self.keep(&course.name, &checkpoint_of(p, engine, course))?;
            }
            if interrupted {
                return Err(Failure::Interrupted);
            }
        }
        if plan.checkpoint.is_some() {
            self.keep(&course.name, &checkpoint_of(p, engine, course))?;
        }
        Ok(())
    }

    /// Goes on where a run that was cut off had come to.
    fn take_up(
        &mut self,
        t: &Training,
        p: &Presentation,
        engine: &mut Engine,
        course: &mut Course,
    ) -> Result<(), Failure> {
        let Some(kept) = self.kept(&course.name)? else { return Ok(()) };
        let wrong = || Failure::Data(format!("the checkpoint `{}` is of another training", course.name));
        let &[done, stopped, best, age] = kept.counters.as_slice() else { return Err(wrong()) };
        let n = course.history.len();
        let [history @ .., validation, value] = &kept.series[..kept.series.len().min(n + 2)] else {
            return Err(wrong());
        };
        if history.len() != n {
            return Err(wrong());
        }
        self.put_back(engine, &skipped(p), &kept.memory)?;
        course.history = history.to_vec();
        course.validation = validation.clone();
        if best != 0 {
            let value = value.first().copied().unwrap_or(f64::NAN);
            course.best = Some(Best { value, age: age as usize, weights: kept.series[n + 2..].to_vec() });
        }
        (course.done, course.stopped) = (done as usize, stopped != 0);
        for epoch in 0..course.history.first().map_or(0, Vec::len) {
            self.tell_epoch(t, course, epoch);
        }
        Ok(())
    }

    fn tell_epoch(&self, t: &Training, course: &Course, epoch: usize) {
        let epochs = course.updates.div_ceil(course.per_epoch);
        let loss = course.history.first().and_then(|h| h.get(epoch)).copied().unwrap_or(f64::NAN);
        let what = self.net(t.net).path.clone();
        let done = (epoch + 1) as f64 / epochs.max(1) as f64;
        self.host.progress(&Event::Epoch { what, epoch: epoch + 1, epochs, loss, done });
    }

    /// What is left of the epoch that the training is in.
    fn run_epoch(
        &mut self,
        t: &Training,
        plan: &Plan,
        built: &Built,
        p: &Presentation,
        engine: &mut Engine,
        course: &mut Course,
    ) -> Result<(), Failure> {
        let epoch = course.done / course.per_epoch;
        let first = epoch * course.per_epoch;
        let end = (first + course.per_epoch).min(course.updates);
        let full = p.rows / p.batch;
        while course.done < end && !course.stopped {
            let at = course.done - first;
            // A piece has one size of batch: the last of an epoch may be smaller.
            let (here, most) = match full.checked_sub(at) {
                _ if plan.accumulate > 1 => (p.batch, 1),
                Some(left) if left > 0 => (p.batch, left),
                _ => (p.rows - full * p.batch, 1),
            };
            let piece = if built.stop.is_some() { 1 } else { most.min(PIECE) };
            let piece = plan.checkpoint.map_or(piece, |e| e.piece(course.done, piece));
            let to = (course.done + piece).min(end);
            engine.set_slot("from", course.done as i64);
            engine.set_slot("to", to as i64);
            for batch in 0..plan.accumulate {
                let offset = (at * plan.accumulate + batch) * p.batch;
                if offset >= p.rows {
                    break;
                }
                let due = batch + 1 == plan.accumulate || offset + p.batch >= p.rows;
                engine.set_slot("batch", here.min(p.rows - offset) as i64);
                engine.set_slot("offset", offset as i64);
                engine.set_slot("fresh", i64::from(batch == 0));
                engine.set_slot("due", i64::from(due));
                match engine.run().map_err(|e| self.engine_failure(e))? {
                    status::OK => {}
                    status::NOT_FINITE => return Err(self.diverged(t, built, engine, course, to)),
                    code => return Err(Failure::ended(code, "this training", t.span)),
                }
            }
            course.done = to;
            if let Some(stop) = built.stop {
                course.stopped = engine.read(stop, 0).first().is_some_and(|s| *s != 0.0);
            }
            let over = course.done >= end || course.stopped;
            if !over && plan.checkpoint.is_some_and(|e| e.is_due(course.done, course.per_epoch)) {
                self.keep(&course.name, &checkpoint_of(p, engine, course))?;
            }
            if !over && self.host.interrupted() {
                self.keep(&course.name, &checkpoint_of(p, engine, course))?;
                return Err(Failure::Interrupted);
            }
        }
        for (k, var) in built.losses.iter().enumerate() {
            let steps = (course.done - first).min(course.per_epoch);
            let mean = (0..steps).map(|s| engine.read(*var, s)[0]).sum::<f64>() / steps.max(1) as f64;
            course.history[k].push(mean);
        }
        self.tell_epoch(t, course, epoch);
        Ok(())
    }

    /// Validation, and whether it has ceased to get better.
    fn end_epoch(
        &mut self,
        t: &Training,
        plan: &Plan,
        engine: &mut Engine,
        epoch: usize,
        course: &mut Course,
    ) -> Result<(), Failure> {
        let watched = match plan.validate {
            Some((on, every)) if (epoch + 1).is_multiple_of(every) => {
                self.keep_weights(engine);
                let value = self.validate(t, plan, on)?;
                course.validation.push(value);
                Some(value)
            }
            Some(_) => None,
            None => Some(course.history[..course.objectives].iter().filter_map(|h| h.last()).sum()),
        };
        let Some(patience) = plan.patience else { return Ok(()) };
        if let Some(best) = &mut course.best {
            best.age += 1;
        }
        if let Some(value) = watched
            && course.best.as_ref().is_none_or(|b| value < b.value)
        {
            let weights = self.weight_vars().iter().map(|v| engine.read(*v, 0)).collect();
            course.best = Some(Best { value, age: 0, weights });
        }
        course.stopped |= course.best.as_ref().is_some_and(|b| b.age >= patience);
        Ok(())
    }

    fn diverged(&mut self, t: &Training, built: &Built, engine: &Engine, course: &Course, to: usize) -> Failure {
        let losses =
            |n: usize| built.losses.iter().map(|v| engine.read(*v, n % course.per_epoch)[0]).collect::<Vec<_>>();
        let update = (course.done..to)
            .find(|n| losses(*n).iter().any(|x| x.is_nan() || x.abs() > LARGEST))
            .unwrap_or(course.done);
        let epoch = update / course.per_epoch + 1;
        let message = format!("the loss is no longer finite at update {} (epoch {epoch})", update + 1);
        let before = (update > epoch.saturating_sub(1) * course.per_epoch).then(|| losses(update - 1));
        let last = before.and_then(|l| l.first().copied()).or(course.history.first().and_then(|h| h.last()).copied());
        let mut d = Diagnostic::error("E0702", t.span, message).help(
            "a smaller `rate`, `clip norm 1.0`, or a look at the data; the weights of the last whole epoch are kept",
        );
        if let Some(last) = last {
            d = d.at(format!("it was {} before", crate::table::plain(last)));
        }
        Failure::Numeric(Box::new(d))
    }

    /// Storage of weights and running values, in order.
    fn weight_vars(&self) -> Vec<VarId> {
        let leaves = self.program.iter().flat_map(|p| p.leaves.values());
        leaves.filter(|l| l.home.is_some() && l.role == Role::Weight).map(|l| l.var).collect()
    }

    /// Weights and running values back into their networks.
    fn keep_weights(&mut self, engine: &Engine) {
        let leaves = self.program.as_ref().map(|p| p.leaves.clone()).unwrap_or_default();
        for leaf in leaves.values() {
            if let (Some((id, local)), Role::Weight) = (&leaf.home, leaf.role) {
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

    fn training_run(&mut self, engine: &Engine, built: &Built, course: &Course) -> Value {
        let mut run = IndexMap::new();
        let series = |values: Vec<f64>| Value::Num(Num::array(Unit::REAL, vector(values)));
        let (history, terms) = course.history.split_at(course.history.len() - built.terms.len());
        for (name, values) in built.terms.iter().zip(terms) {
            run.insert(name.clone(), series(values.clone()));
        }
        let epochs = history.first().map_or(0, Vec::len);
        let total = (0..epochs).map(|e| history.iter().map(|h| h[e]).sum()).collect();
        run.insert("loss".to_string(), series(total));
        run.insert("validation".into(), series(course.validation.clone()));
        let objectives: Vec<Value> = history.iter().cloned().map(series).collect();
        run.insert("objectives".into(), Value::List(objectives.into()));
        for record in &built.records {
            let kept = (course.done as i64 / record.every).min(record.samples) as usize;
            let array = engine.read_times(record.var, kept);
            run.insert(record.name.clone(), Value::Num(Num::array(record.unit.clone(), array)));
        }
        Value::Record(run.into())
    }
}

impl Every {
    /// Whether a checkpoint is due after so many updates.
    fn is_due(self, done: usize, per_epoch: usize) -> bool {
        match self {
            Every::Epochs(n) => done.is_multiple_of(n * per_epoch),
            Every::Updates(n) => done.is_multiple_of(n),
        }
    }

    /// A piece that ends where a checkpoint is due.
    fn piece(self, done: usize, piece: usize) -> usize {
        match self {
            Every::Epochs(_) => piece,
            Every::Updates(n) => piece.min(n - done % n),
        }
    }
}

/// Data come from the model, not from a checkpoint.
fn skipped(p: &Presentation) -> Vec<VarId> {
    p.fields.iter().map(|f| f.data).collect()
}

fn checkpoint_of(p: &Presentation, engine: &Engine, course: &Course) -> Checkpoint {
    let best = course.best.as_ref();
    let counters = vec![
        course.done as i64,
        i64::from(course.stopped),
        i64::from(best.is_some()),
        best.map_or(0, |b| b.age as i64),
    ];
    let mut series = course.history.clone();
    series.push(course.validation.clone());
    series.push(best.map(|b| b.value).into_iter().collect());
    series.extend(best.map(|b| b.weights.clone()).unwrap_or_default());
    Checkpoint { counters, series, indices: vec![], memory: engine.image(&skipped(p)) }
}
