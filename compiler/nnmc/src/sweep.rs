//! Sweeps: `for x in LIST { … }` repeats its block, and a report inside becomes a table over x. With `parallel` each pass
//! has a copy of everything to itself, so that several can run at the same time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use nnm_runtime::data::Files;
use nnm_syntax::ast::{ExprId, Name, Stmt};
use nnm_syntax::diag::Diagnostic;

use crate::checkpoint::Keeper;
use crate::events::Event;
use crate::experiment::Outcome;
use crate::failure::Failure;
use crate::parallel;
use crate::session::{Findings, Host, Mode, ScopeId, Session};
use crate::value::Value;

/// A `for` of an experiment.
pub struct Sweep<'a> {
    pub name: &'a Name,
    pub list: ExprId,
    pub block: &'a [Stmt],
    pub parallel: bool,
}

/// What the passes have given so far: reports by name, each with its values, and all else.
struct Gathered<'a> {
    tables: IndexMap<String, Vec<Value>>,
    outcome: &'a mut Outcome,
}

impl Session<'_> {
    /// The passes of a sweep. Where one ends early, the tables hold those before it.
    pub fn run_sweep(&mut self, scope: ScopeId, sweep: &Sweep, outcome: &mut Outcome) -> Result<(), Failure> {
        let errors = self.error_count();
        let mut keys = self.loop_values(scope, sweep.list);
        if keys.is_empty() && self.error_count() == errors {
            let span = self.expr_span(scope, sweep.list);
            let message = "this sweep goes through nothing: its list is empty";
            self.report(Diagnostic::error("E0325", span, message).help("a range `a .. b` has no numbers where b is a"));
        }
        if self.mode == Mode::Check && keys.iter().all(|k| matches!(k, Value::Num(_))) {
            keys.truncate(1);
        }
        let mut gathered = Gathered { tables: IndexMap::new(), outcome };
        let ended = match sweep.parallel && self.mode == Mode::Run {
            true => self.passes_beside(scope, sweep, &keys, &mut gathered),
            false => self.passes_in_turn(scope, sweep, &keys, &mut gathered),
        };
        let Gathered { tables, outcome } = gathered;
        for (report, values) in tables {
            let value = sweep_value(&sweep.name.text, &keys[..values.len().min(keys.len())], values);
            outcome.reports.push((report.clone(), value.clone()));
            self.bind(scope, report, value);
        }
        ended
    }

    fn passes_in_turn(
        &mut self,
        scope: ScopeId,
        sweep: &Sweep,
        keys: &[Value],
        gathered: &mut Gathered,
    ) -> Result<(), Failure> {
        let seed = self.seed;
        for key in keys {
            self.seed = seed;
            let mut pass = Outcome::default();
            let ended = self.pass(scope, sweep, key, &mut pass);
            gathered.take_in(pass, &self.label(key));
            ended?;
        }
        self.seed = seed;
        Ok(())
    }

    fn pass(&mut self, scope: ScopeId, sweep: &Sweep, key: &Value, pass: &mut Outcome) -> Result<(), Failure> {
        let inner = self.inner(scope);
        self.bind(inner, sweep.name.text.clone(), key.clone());
        self.run_stmts(inner, sweep.block, pass)
    }

    /// Each pass begins with what there is now; what it changes is its own and ends with it.
    fn passes_beside(
        &mut self,
        scope: ScopeId,
        sweep: &Sweep,
        keys: &[Value],
        gathered: &mut Gathered,
    ) -> Result<(), Failure> {
        let what = format!("for {}", sweep.name.text);
        let (course, host, known) = (self.next_course(&what), self.host, self.nets.len());
        let hosts: Vec<PassHost> = (0..keys.len()).map(|k| PassHost::new(host, format!("{course}-{k:04}"))).collect();
        let labels: Vec<String> = keys.iter().map(|key| self.label(key)).collect();
        let workers = self.settings.workers.clamp(1, keys.len().max(1));
        let over = AtomicBool::new(false);
        let from = &*self;
        let work = |k: usize| {
            let mut fork = from.fork(&hosts[k]);
            fork.settings.workers = 1;
            fork.settings.threads.most = (fork.settings.threads.most / workers as u32).max(1);
            let mut pass = Outcome::default();
            let ended = fork.pass(scope, sweep, &keys[k], &mut pass);
            pass.put_weights(fork.weights_since(known));
            over.fetch_or(ended.is_err(), Ordering::Relaxed);
            (fork.into_findings(), pass, ended)
        };
        let stopped = || over.load(Ordering::Relaxed) || host.interrupted();
        let (mut ended, mut found) = (Ok(()), vec![]);
        parallel::in_order(workers, keys.len(), stopped, work, |k, done| {
            let done = done.unwrap_or_else(|| (Findings::default(), Outcome::default(), Err(panicked())));
            let (findings, pass, end) = done;
            found.push(findings);
            if ended.is_ok() {
                hosts[k].said().drain(..).for_each(|event| host.progress(&event));
                let done = (k + 1) as f64 / keys.len() as f64;
                host.progress(&Event::Steps { what: what.clone(), done, seconds: None });
                gathered.take_in(pass, &labels[k]);
                ended = end;
            }
        });
        let all = found.len() == keys.len();
        found.into_iter().for_each(|findings| self.join(findings));
        ended.and(if all { Ok(()) } else { Err(Failure::Interrupted) })
    }
}

fn panicked() -> Failure {
    Failure::bug("a pass of a loop came to no end")
}

impl Gathered<'_> {
    /// Takes over what a pass gave.
    fn take_in(&mut self, pass: Outcome, label: &str) {
        for (report, value) in pass.reports {
            self.tables.entry(report).or_default().push(value);
        }
        self.outcome.runs.extend(pass.runs.into_iter().map(|(n, v)| (format!("{label}/{n}"), v)));
        self.outcome.expectations.extend(pass.expectations);
        self.outcome.figures.extend(pass.figures.into_iter().map(|(n, f)| (format!("{n} {label}"), f)));
        self.outcome.saved.extend(pass.saved);
        self.outcome.put_weights(pass.weights);
    }
}

/// The surroundings of a pass beside others: what it says waits for its turn, and its checkpoints have its number.
struct PassHost<'h> {
    outer: &'h dyn Host,
    course: String,
    said: Mutex<Vec<Event>>,
}

impl<'h> PassHost<'h> {
    fn new(outer: &'h dyn Host, course: String) -> PassHost<'h> {
        PassHost { outer, course, said: Mutex::default() }
    }

    fn said(&self) -> MutexGuard<'_, Vec<Event>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for PassHost<'_> {
    fn module(&self, path: &str) -> Option<String> {
        self.outer.module(path)
    }

    fn files(&self) -> &Files {
        self.outer.files()
    }

    fn memory(&self) -> Option<u64> {
        self.outer.memory()
    }

    fn progress(&self, event: &Event) {
        if !matches!(event, Event::Steps { .. }) {
            self.said().push(event.clone());
        }
    }

    fn interrupted(&self) -> bool {
        self.outer.interrupted()
    }

    fn keeper(&self) -> Option<&dyn Keeper> {
        self.outer.keeper().map(|_| self as &dyn Keeper)
    }
}

impl Keeper for PassHost<'_> {
    fn load(&self, name: &str) -> Option<Vec<u8>> {
        self.outer.keeper()?.load(&format!("{}-{name}", self.course))
    }

    fn store(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        match self.outer.keeper() {
            Some(keeper) => keeper.store(&format!("{}-{name}", self.course), bytes),
            None => Ok(()),
        }
    }

    fn due(&self) -> bool {
        self.outer.keeper().is_some_and(Keeper::due)
    }
}

/// A report of a sweep: its values by the passes' keys.
fn sweep_value(axis: &str, keys: &[Value], values: Vec<Value>) -> Value {
    let mut record = IndexMap::new();
    record.insert("sweep axis".to_string(), Value::Text(axis.into()));
    record.insert("sweep keys".to_string(), Value::List(keys.to_vec().into()));
    record.insert("sweep values".to_string(), Value::List(values.into()));
    Value::Record(record.into())
}

/// The passes of a sweep: their keys and values.
pub fn sweep_parts(value: &Value) -> Option<(Vec<Value>, Vec<Value>)> {
    let Value::Record(record) = value else { return None };
    match (record.get("sweep keys"), record.get("sweep values")) {
        (Some(Value::List(keys)), Some(Value::List(values))) => Some((keys.to_vec(), values.to_vec())),
        _ => None,
    }
}
