//! Running a simulation: filling the memory, steps in pieces, draining logs, writing states back.

use std::ops::Range;

use nnm_graph::ir::Program as GraphProgram;
use nnm_runtime::abi::{LARGEST, status};
use nnm_syntax::ast::StmtKind;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::build::Duration;
use super::record::{Kept, Record, summary_value};
use super::{Build, Log, Logged, Recorded, SLOTS, Simulation, View};
use crate::checkpoint::Checkpoint;
use crate::engine::{Engine, EngineError};
use crate::events::Event;
use crate::failure::Failure;
use crate::network::{NetId, Population};
use crate::program::{Leaf, Role};
use crate::session::{Mode, Session};
use crate::value::{Num, Spikes, Times, Value};

impl Session<'_> {
    /// Runs (or, when checking, only builds) a simulation; gives what it recorded.
    pub fn simulate(&mut self, sim: &Simulation) -> Result<Value, Failure> {
        let Some(duration) = self.duration(sim.scope, sim.clauses, sim.span) else { return Ok(Value::Missing) };
        self.check_simulate_block(sim);
        let checkpoints = self.checkpoint_period(sim, duration);
        let outer_graph = std::mem::take(&mut self.graph);
        let outer = self.program.take();
        let errors = self.error_count();
        let built = self.build_simulation(sim, duration);
        let result = match built {
            Some(mut b) if self.error_count() == errors => {
                b.checkpoints = checkpoints;
                let clock = &mut self.net_mut(sim.net).clock;
                clock.step = duration.dt;
                if self.mode == Mode::Check {
                    self.net_mut(sim.net).clock.steps += duration.steps;
                }
                let body = self.simulation_body(&b, duration);
                let program = self.graph_program(sim, &b, body);
                self.run_built(sim, duration, b, program)
            }
            _ => self.nothing_built("simulate", errors),
        };
        self.graph = outer_graph;
        self.program = outer;
        result
    }

    fn check_simulate_block(&mut self, sim: &Simulation) {
        for stmt in sim.block {
            let known = match &stmt.kind {
                StmtKind::Stimulate { .. } | StmtKind::Error => true,
                StmtKind::Bare { word, .. } => word.text == "checkpoint",
                StmtKind::List { word, .. } => matches!(word.text.as_str(), "record" | "learn" | "interpolate"),
                _ => false,
            };
            if !known {
                let message = "in `simulate` there go `record`, `stimulate`, `learn`, `interpolate` and `checkpoint`";
                self.error("E0509", stmt.span, message);
            }
        }
        self.refuse_said_twice(sim);
    }

    /// `interpolate` of one population twice, or one connection that learns twice by one rule.
    fn refuse_said_twice(&mut self, sim: &Simulation) {
        let mut said: Vec<(String, Span)> = vec![];
        for stmt in sim.block {
            let StmtKind::List { word, items, clauses } = &stmt.kind else { continue };
            if word.text == "record" {
                continue;
            }
            let by = crate::hir::clause(clauses, "by").map(|e| self.expr_span(sim.scope, e));
            let by = by.map_or(String::new(), |span| self.text(span).trim().to_string());
            for item in items {
                let span = self.expr_span(sim.scope, item.expr);
                let key = format!("{} {} {by}", word.text, self.text(span).trim());
                match said.iter().find(|(other, _)| *other == key) {
                    Some((_, first)) => {
                        let d = Diagnostic::error("E0649", span, format!("`{}` is said twice of this", word.text));
                        let first = *first;
                        self.report(d.label(first, "the first").help("leave one of them out"));
                    }
                    None => said.push((key, span)),
                }
            }
        }
    }

    /// `checkpoint every 1 s`, in steps.
    fn checkpoint_period(&mut self, sim: &Simulation, d: Duration) -> Option<i64> {
        let found = sim.block.iter().find_map(|stmt| match &stmt.kind {
            StmtKind::Bare { word, clauses } if word.text == "checkpoint" => Some((word, clauses)),
            _ => None,
        });
        let (word, clauses) = found?;
        if crate::hir::clause(clauses, "every").is_none() {
            let d = Diagnostic::error("E0593", word.span, "how often? `checkpoint every 10 s`");
            self.report(d.help("or `checkpoint every 1000 steps`"));
            return None;
        }
        self.period_steps(sim.scope, clauses, d).flatten()
    }

    fn graph_program(&mut self, sim: &Simulation, b: &Build, body: Vec<nnm_graph::ir::Stmt>) -> GraphProgram {
        GraphProgram {
            name: format!("simulate {}", self.net(sim.net).path),
            precision: self.settings.simulate_precision(),
            graph: std::mem::take(&mut self.graph),
            batch: 1,
            slots: SLOTS.iter().map(|s| s.to_string()).collect(),
            loops: 4,
            records: b.records.iter().map(|record| record.var).collect(),
            body,
        }
    }

    fn run_built(
        &mut self,
        sim: &Simulation,
        d: Duration,
        mut b: Build,
        program: GraphProgram,
    ) -> Result<Value, Failure> {
        self.dump(&program, &b.choices, &b.placements);
        if self.mode == Mode::Check {
            let table = self.memory_table(sim.net);
            self.memory_tables.push(table);
            self.graph = program.graph;
            return Ok(self.recorded_unknown(&b, d));
        }
        if self.refuse_too_large_run(sim.net, &program, sim.span).is_none() {
            return Err(Failure::Model);
        }
        let mut engine = match Engine::new(&program, self.settings.backend) {
            Ok(engine) => engine,
            Err(error) => return Err(self.engine_failure(error)),
        };
        engine.use_threads(self.settings.threads);
        let dump = self.settings.emit_kernels;
        if dump {
            self.dump_kernel(engine.kernel());
        }
        let leaves = self.program.as_ref().map(|p| p.leaves.clone()).unwrap_or_default();
        self.fill(&mut engine, &b, &leaves);
        // What has been filled in is not needed twice.
        b.tables = vec![];
        b.indices = vec![];
        let mut logs = vec![Logged::default(); b.logs.len()];
        let driven = self.drive(sim, d, &b, &mut engine, &mut logs);
        if let Err(failure) = driven {
            let reached = engine.slot("to") as f64 * b.dt;
            self.unfinished = Some(self.recorded(&engine, &b, logs, b.start as f64 * b.dt, reached));
            return Err(failure);
        }
        self.write_back(&engine, &b, &leaves);
        let from = b.start as f64 * b.dt;
        let clock = &mut self.net_mut(sim.net).clock;
        clock.steps += d.steps;
        clock.step = d.dt;
        clock.seconds = clock.steps as f64 * d.dt;
        let to = clock.seconds;
        Ok(self.recorded(&engine, &b, logs, from, to))
    }

    /// First values of everything: weights and states from the network's store, tables, index lists.
    fn fill(&mut self, engine: &mut Engine, b: &Build, leaves: &indexmap::IndexMap<String, Leaf>) {
        let fresh = b.start == 0;
        for (var, values) in &b.tables {
            engine.write(*var, 0, values);
        }
        for (path, leaf) in leaves {
            let begun = matches!(leaf.role, Role::State | Role::History);
            let first = begun && fresh && b.tables.iter().any(|(v, _)| *v == leaf.var);
            let kept = match &leaf.home {
                Some((id, local)) if !first => self.net(*id).store.get(local),
                None if begun && !fresh => self.net(b.net).store.get(&self.kept_as(b.net, path)),
                _ => None,
            };
            if let Some(array) = kept {
                engine.write_all(leaf.var, &array.iter().copied().collect::<Vec<_>>());
            }
        }
        for (var, values) in &b.indices {
            engine.write_index(*var, values);
        }
        if !fresh {
            self.restore_lists(engine, b);
        }
    }

    fn restore_lists(&mut self, engine: &mut Engine, b: &Build) {
        let lists = b.all().flat_map(|unit| unit.lists.iter().enumerate().map(|(k, list)| (unit.net, k, list)));
        for (net, index, list) in lists {
            let Some(list) = list else { continue };
            let Some(kept) = self.net(net).store.get(&format!("@spikes {index}")).cloned() else { continue };
            // One row a kept step: stamp, count, cells.
            for row in kept.outer_iter() {
                let values: Vec<f64> = row.iter().copied().collect();
                let [stamp, count, cells @ ..] = values.as_slice() else { continue };
                let slot = (*stamp as i64).rem_euclid(list.ring) as usize;
                let mut counts = engine.read(list.count, 0);
                if let Some(c) = counts.get_mut(slot) {
                    *c = *count;
                }
                engine.write(list.count, 0, &counts);
                let mut all = engine.read(list.list, slot);
                for (k, cell) in cells.iter().enumerate().take(*count as usize) {
                    if let Some(x) = all.get_mut(k) {
                        *x = *cell;
                    }
                }
                engine.write(list.list, slot, &all);
            }
        }
    }

    fn drive(
        &mut self,
        sim: &Simulation,
        d: Duration,
        b: &Build,
        engine: &mut Engine,
        logs: &mut [Logged],
    ) -> Result<(), Failure> {
        const CHECK: i64 = 64;
        let (first, last) = (b.start, b.start + d.steps);
        engine.set_slot("batch", 1);
        engine.set_slot("start", first);
        engine.set_slot("check_every", CHECK);
        let piece = (d.steps / 100).clamp(1, 20_000);
        let (moving, states) = (self.moving_vars(b), self.checked_states());
        let course = self.next_course(&format!("simulate-{}", self.net(sim.net).path));
        let mut at = self.taken_up(&course, first, engine, logs)?;
        if at >= last && d.steps > 0 {
            engine.set_slot("to", last);
            return Ok(());
        }
        loop {
            let to = (at + engine.next_piece(piece)).min(last).min(b.checkpoints.map_or(last, |n| (at / n + 1) * n));
            engine.set_slot("from", at);
            engine.set_slot("to", to);
            engine.set_slot("final", i64::from(to == last));
            let kept = engine.snapshot(&moving).map_err(|e| self.engine_failure(e))?;
            let lost = |engine: &Engine| states.iter().any(|v| engine.read(*v, 0).into_iter().any(has_diverged));
            match engine.run_steps(to - at).map_err(|e| self.engine_failure(e))? {
                // Within a piece states are looked at now and then; so what began it is known to be good.
                status::OK if lost(engine) => {
                    engine.restore(kept);
                    return Err(self.not_finite(sim, d, b, engine));
                }
                status::OK => {}
                status::LOG_FULL => {
                    // Drain and repeat the piece in halves: a piece never holds more than the log.
                    engine.restore(kept);
                    b.logs.iter().for_each(|l| engine.write(l.count, 0, &[0.0]));
                    self.drain_in_steps(engine, b, logs, at, to, last)?;
                    at = to;
                    if at >= last {
                        return Ok(());
                    }
                    continue;
                }
                status::NOT_FINITE => {
                    engine.restore(kept);
                    return Err(self.not_finite(sim, d, b, engine));
                }
                status::BUG if b.often => return Err(self.too_many_spikes(sim)),
                code => return Err(Failure::ended(code, "this simulation", sim.span)),
            }
            drain(engine, b, logs);
            at = to;
            let done = (at - first) as f64 / d.steps.max(1) as f64;
            let name = self.net(sim.net).path.clone();
            self.host.progress(&Event::Steps { what: name, done, seconds: d.timed.then_some(at as f64 * d.dt) });
            let interrupted = self.host.interrupted() && at < last;
            let due = b.checkpoints.is_some_and(|n| at % n == 0 || at == last);
            if due || interrupted || self.checkpoint_due() {
                self.keep(&course, &checkpoint_of(at, engine, logs))?;
            }
            if interrupted {
                return Err(Failure::Interrupted);
            }
            if at >= last {
                return Ok(());
            }
        }
    }

    /// There is room for sixteen spikes of a cell in a step, and some.
    fn too_many_spikes(&self, sim: &Simulation) -> Failure {
        let message = "a source fires more than 16 times a cell in one step";
        let d = Diagnostic::error("E0556", sim.span, message).at("in this simulation");
        Failure::Numeric(Box::new(d.help("a smaller `step`, or more cells with a smaller rate each")))
    }

    /// The step from which to go on, where a run that was cut off had come to.
    fn taken_up(&mut self, course: &str, first: i64, engine: &mut Engine, logs: &mut [Logged]) -> Result<i64, Failure> {
        let Some(kept) = self.kept(course)? else { return Ok(first) };
        let whole = kept.indices.len() == 2 * logs.len() && kept.series.len() == logs.len();
        let (&[at], true) = (kept.counters.as_slice(), whole) else {
            return Err(Failure::Data(format!("the checkpoint `{course}` is of another simulation")));
        };
        self.put_back(engine, &[], &kept.memory)?;
        for ((log, pair), fractions) in logs.iter_mut().zip(kept.indices.chunks(2)).zip(kept.series) {
            log.cells.clone_from(&pair[0]);
            log.steps.clone_from(&pair[1]);
            log.fractions = fractions;
        }
        Ok(at)
    }

    /// The vars that a piece of a simulation changes and that it needs as they were to be repeated.
    fn moving_vars(&self, b: &Build) -> Vec<nnm_graph::ir::VarId> {
        let mut stored = std::collections::BTreeSet::new();
        let equations = b.assigns.iter().map(|a| a.to);
        stored.extend(equations);
        if let Some(program) = &self.program {
            stored.extend(program.kept.iter().map(|k| k.var).chain(program.rings.values().map(|r| r.var)));
            stored_by(&program.before_equations, &mut stored);
        }
        // A summary goes on from what it was; a series is written anew.
        stored.extend(b.records.iter().filter(|r| r.kept != Kept::Series).map(|r| r.var));
        for part in [&b.arrivals, &b.deliveries, &b.events, &b.after, &b.rules] {
            stored_by(part, &mut stored);
        }
        for log in b.logs.iter().flat_map(|l| [l.cell, l.step, l.count]) {
            stored.remove(&log);
        }
        stored.into_iter().collect()
    }

    fn drain_in_steps(
        &mut self,
        engine: &mut Engine,
        b: &Build,
        logs: &mut [Logged],
        from: i64,
        to: i64,
        last: i64,
    ) -> Result<(), Failure> {
        for at in from..to {
            engine.set_slot("from", at);
            engine.set_slot("to", at + 1);
            engine.set_slot("final", i64::from(at + 1 == last));
            match engine.run().map_err(|e| self.engine_failure(e))? {
                status::OK => drain(engine, b, logs),
                code => return Err(Failure::bug(format!("a kernel ended with status {code}"))),
            }
        }
        Ok(())
    }

    /// Repeats the piece step by step to find where a state diverged.
    fn not_finite(&mut self, sim: &Simulation, d: Duration, b: &Build, engine: &mut Engine) -> Failure {
        engine.set_slot("check_every", 1);
        let (from, to) = (engine.slot("from"), engine.slot("to"));
        let kept = engine.snapshot(&self.moving_vars(b)).unwrap_or_default();
        let _ = engine.run();
        let (code, index) = (engine.slot("fault"), engine.slot("fault_index"));
        // A weight that a rule lost first is the cause of what it then reached.
        let (path, index) = self
            .lost_weight(b, engine)
            .or_else(|| Some((self.leaf_path(code)?, index.max(0) as usize)))
            .unwrap_or_default();
        engine.restore(kept);
        let leaf = self.leaf_of(&path);
        let value = |engine: &Engine| leaf.as_ref().and_then(|l| engine.read(l.var, 0).get(index).copied());
        let begun = value(engine);
        let (mut before, mut step) = (None, from);
        // The kernel does not say the step: the first that fails is found by going on one by one.
        for at in from..to {
            if value(engine).is_some_and(has_diverged) {
                break;
            }
            before = value(engine);
            engine.set_slot("from", at);
            engine.set_slot("to", at + 1);
            let _ = engine.run();
            step = at + 1;
        }
        let blame = self.blame(sim, &path);
        let time = |step: i64| match d.timed {
            true => format!("t = {} ms", crate::table::plain(step as f64 * d.dt * 1e3)),
            false => format!("step {step}"),
        };
        let now = value(engine).unwrap_or(f64::NAN);
        let lost = match &leaf {
            Some(leaf) if now.is_finite() => format!("has grown to {}", crate::table::quantity(now, &leaf.unit)),
            _ => "is no longer finite".to_string(),
        };
        let when = match begun.filter(|x| has_diverged(*x)) {
            Some(_) if from == b.start => "is not finite as the simulation begins".to_string(),
            // It was lost in a piece before, since the last look at it.
            Some(_) => format!("{lost} by {}", time(from)),
            None => format!("{lost} at {}", time(step)),
        };
        let what = match path.strip_suffix("@edges") {
            Some(weights) => format!("`{weights}`, synapse {index} by senders,"),
            None => format!("`{path}`, index {index},"),
        };
        let mut d = Diagnostic::error("E0701", blame.span, format!("{what} {when}"))
            .at("by this equation")
            .label(sim.span, "in this simulation");
        if !blame.zeros.is_empty() {
            return Failure::Numeric(Box::new(d.help(blame.zeros.join(", "))));
        }
        if let (Some(before), Some(leaf)) = (before.filter(|x| !has_diverged(*x)), &leaf) {
            d = d.help(format!("its last value was {}", crate::table::quantity(before, &leaf.unit)));
        }
        let d = d.help("a smaller `step`, another `solve … by`, or a look at the parameters");
        Failure::Numeric(Box::new(d))
    }

    fn leaf_path(&self, code: i64) -> Option<String> {
        let leaves = &self.program.as_ref()?.leaves;
        leaves.get_index(usize::try_from(code).ok()?).map(|(path, _)| path.clone())
    }

    /// The first learned weight that is not finite.
    fn lost_weight(&self, b: &Build, engine: &Engine) -> Option<(String, usize)> {
        self.learned_weights(b).into_iter().find_map(|path| {
            let values = engine.read(self.leaf_of(&path)?.var, 0);
            Some((path, values.iter().copied().position(has_diverged)?))
        })
    }

    /// Under which name a network keeps what has no other: of its own, so that a copy finds it.
    fn kept_as(&self, net: NetId, path: &str) -> String {
        let own = path.strip_prefix(self.net(net).path.as_str()).and_then(|rest| rest.strip_prefix('.'));
        format!("@{}", own.unwrap_or(path))
    }

    fn write_back(&mut self, engine: &Engine, b: &Build, leaves: &indexmap::IndexMap<String, Leaf>) {
        for (path, leaf) in leaves {
            match &leaf.home {
                Some((id, local)) => {
                    let array = engine.read_array(leaf.var);
                    self.net_mut(*id).store.insert(local.clone(), array);
                }
                None if matches!(leaf.role, Role::State | Role::History) => {
                    let array = engine.read_all(leaf.var);
                    let name = self.kept_as(b.net, path);
                    self.net_mut(b.net).store.insert(name, array);
                }
                None => {}
            }
        }
        self.keep_lists(engine, b);
        for (net, k) in b.all().flat_map(|unit| unit.learned.iter().map(|k| (unit.net, *k))) {
            let p = self.net(net).projections[k].clone();
            let path = format!("{}.{}.w@edges", self.net(net).path, p.name);
            if let (Some(leaf), Some(edges)) = (leaves.get(&path), &p.edges) {
                let values = engine.read(leaf.var, 0);
                self.store_edge_weights(net, &p, edges, &values);
            }
        }
    }

    /// The spikes still under way, for a simulation that goes on.
    fn keep_lists(&mut self, engine: &Engine, b: &Build) {
        let end = engine.slot("to");
        let lists = b.all().flat_map(|unit| unit.lists.iter().enumerate().map(move |(k, list)| (unit, k, list)));
        for (unit, index, list) in lists {
            let (Some(list), net) = (list, unit.net) else { continue };
            if unit.unlisted.contains(&index) {
                self.keep_fired(engine, net, index, end);
                continue;
            }
            let counts = engine.read(list.count, 0);
            let longest = counts.iter().copied().fold(0.0, f64::max) as usize;
            let mut rows = vec![];
            for back in 0..list.ring {
                let stamp = end - back;
                let slot = stamp.rem_euclid(list.ring) as usize;
                let mut row = vec![stamp as f64, counts[slot]];
                row.extend(engine.read(list.list, slot).into_iter().take(longest));
                rows.extend(row);
            }
            let array = crate::value::shaped(&[list.ring as usize, longest + 2], rows);
            self.net_mut(net).store.insert(format!("@spikes {index}"), array);
        }
    }

    /// The spikes of the last step of a population without a list.
    fn keep_fired(&mut self, engine: &Engine, net: NetId, index: usize, end: i64) {
        let name = format!("{}.{}.spike", self.net(net).path, self.net(net).populations[index].name);
        let Some(leaf) = self.leaf_of(&name) else { return };
        let fired = engine.read(leaf.var, 0);
        let cells =
            fired.iter().enumerate().flat_map(|(k, n)| std::iter::repeat_n(k as f64, n.ceil().max(0.0) as usize));
        let cells: Vec<f64> = cells.collect();
        let row: Vec<f64> = [end as f64, cells.len() as f64].into_iter().chain(cells).collect();
        let array = crate::value::shaped(&[1, row.len()], row);
        self.net_mut(net).store.insert(format!("@spikes {index}"), array);
    }

    fn recorded_unknown(&mut self, b: &Build, d: Duration) -> Value {
        let mut out = Recorded::new();
        for record in &b.records {
            let shape = match record.kept {
                Kept::Series => [&[record.when.samples() as usize], self.graph.shape(record.value)].concat(),
                Kept::Var | Kept::Std => self.graph.shape(record.value)[1..].to_vec(),
                _ => self.graph.shape(record.value).to_vec(),
            };
            let outer = std::mem::take(&mut self.graph);
            let num = self.unknown_shape(record.unit.clone(), &shape);
            self.graph = outer;
            let num = Num { repr: crate::value::Repr::Unknown, ..num };
            Self::put(&mut out, &record.key, Value::Num(num));
        }
        for log in &b.logs {
            let p = &self.net(log.net).populations[log.population];
            for view in &log.views {
                // As long as it will be, so that what is made of it has its lengths.
                let (first, last) = ((view.window.0 - 1).max(b.start), view.window.1.min(b.start + d.steps));
                let (from, to) = (first as f64 * b.dt, last as f64 * b.dt);
                let spikes = Spikes { from, to, ..view.silent(p, log.grain(b.dt)) };
                Self::put(&mut out, &view.key, Value::Spikes(spikes.into()));
            }
        }
        Value::Record(out.into())
    }

    fn recorded(&mut self, engine: &Engine, b: &Build, logs: Vec<Logged>, from: f64, to: f64) -> Value {
        let untimed = self.program.as_ref().is_some_and(|p| p.dt.is_none());
        let mut out = Recorded::new();
        for record in &b.records {
            let num = recorded_value(engine, record, b.dt, untimed);
            Self::put(&mut out, &record.key, Value::Num(num));
        }
        for (log, logged) in b.logs.iter().zip(logs) {
            let p = &self.net(log.net).populations[log.population];
            for view in &log.views {
                let (first, last) = view.window;
                let (cells, times) = logged.inside(view.window, view.range(p), b.dt);
                let (from, to) = (from.max((first - 1) as f64 * b.dt), to.min(last as f64 * b.dt));
                let spikes = Spikes { cells, times, from, to, untimed, ..view.silent(p, log.grain(b.dt)) };
                Self::put(&mut out, &view.key, Value::Spikes(spikes.into()));
            }
        }
        Value::Record(out.into())
    }

    pub fn engine_failure(&self, error: EngineError) -> Failure {
        match error {
            EngineError::Memory { .. } => Failure::Limit(error.to_string()),
            EngineError::Bug(message) => Failure::bug(message),
        }
    }
}

fn has_diverged(x: f64) -> bool {
    x.is_nan() || x.abs() > LARGEST
}

impl Log {
    /// What the times of its spikes are whole numbers of; 0 where spikes are placed inside of steps.
    fn grain(&self, dt: f64) -> f64 {
        if self.fractions.is_some() { 0.0 } else { dt }
    }
}

impl View {
    /// The spikes that it shows, without any yet.
    fn silent(&self, population: &Population, grain: f64) -> Spikes {
        let range = self.range(population);
        let name = match self.cells {
            Some((from, to)) if range.len() < population.size() => format!("{}[{from} .. {to}]", population.name),
            _ => population.name.clone(),
        };
        let (n, first) = (range.len(), range.start);
        Spikes { name, cells: vec![], times: vec![], n, first, from: 0.0, to: 0.0, grain, untimed: false }
    }

    /// The numbers of its cells.
    fn range(&self, population: &Population) -> Range<usize> {
        let row: usize = population.shape.iter().skip(1).product();
        self.cells.map_or(0..population.size(), |(from, to)| from * row..to * row)
    }
}

impl Logged {
    /// Cells, counted from the range's first, and times in seconds of the spikes stamped within a window, in order of time.
    fn inside(&self, (first, last): (i64, i64), range: Range<usize>, dt: f64) -> (Vec<u32>, Vec<f64>) {
        let time = |k: usize| match self.fractions.get(k) {
            Some(share) => (f64::from(self.steps[k]) - 1.0 + share) * dt,
            None => f64::from(self.steps[k]) * dt,
        };
        let kept = (0..self.cells.len()).filter(|k| {
            (first..=last).contains(&i64::from(self.steps[*k])) && range.contains(&(self.cells[*k] as usize))
        });
        let mut spikes: Vec<(u32, f64)> = kept.map(|k| (self.cells[k] - range.start as u32, time(k))).collect();
        if !self.fractions.is_empty() {
            spikes.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        }
        spikes.into_iter().unzip()
    }
}

/// A series with its instants, or a summary, in as many bits as asked for.
fn recorded_value(engine: &Engine, record: &Record, dt: f64, untimed: bool) -> Num {
    let num = recorded_number(engine, record, dt, untimed);
    let (true, Some(array)) = (record.single, num.as_const()) else { return num };
    let shown = num.unit.shown();
    let rounded = array.mapv(|x| crate::unit::to_si(f64::from(crate::unit::from_si(x, &shown) as f32), &shown));
    Num { repr: crate::value::Repr::Const(rounded.into_shared()), single: true, ..num }
}

fn recorded_number(engine: &Engine, record: &Record, dt: f64, untimed: bool) -> Num {
    let when = record.when;
    if record.kept != Kept::Series {
        return Num::array(record.unit.clone(), summary_value(record, engine.read_array(record.var)));
    }
    let array = engine.read_times(record.var, when.samples() as usize);
    let at = |k: i64| (when.first + k * when.every).min(when.last) as f64 * dt;
    let times = Times::new((0..when.samples()).map(at).collect(), untimed);
    Num { times: Some(times.into()), ..Num::array(record.unit.clone(), array) }
}

fn checkpoint_of(at: i64, engine: &Engine, logs: &[Logged]) -> Checkpoint {
    let indices = logs.iter().flat_map(|log| [log.cells.clone(), log.steps.clone()]).collect();
    let series = logs.iter().map(|log| log.fractions.clone()).collect();
    Checkpoint { counters: vec![at], series, indices, memory: engine.image(&[]) }
}

/// The vars to which statements store.
fn stored_by(body: &[nnm_graph::ir::Stmt], out: &mut std::collections::BTreeSet<nnm_graph::ir::VarId>) {
    use nnm_graph::ir::Stmt;
    for stmt in body {
        match stmt {
            Stmt::Stage { assigns, .. } | Stmt::Deliver { body: assigns, .. } => {
                out.extend(assigns.iter().map(|a| a.to))
            }
            Stmt::For { body, .. } | Stmt::IfEqual { body, .. } | Stmt::IfLess { body, .. } => stored_by(body, out),
            Stmt::Compact { list, count, .. } => out.extend([*list, *count]),
            Stmt::Fetch { into, .. } => {
                out.insert(*into);
            }
            Stmt::Log { .. }
            | Stmt::LogValues { .. }
            | Stmt::SetSlot { .. }
            | Stmt::CheckFinite { .. }
            | Stmt::Note(_) => {}
        }
    }
}

fn drain(engine: &mut Engine, b: &Build, logs: &mut [Logged]) {
    for (log, logged) in b.logs.iter().zip(logs) {
        let count = engine.read(log.count, 0).first().copied().unwrap_or(0.0) as usize;
        if count == 0 {
            continue;
        }
        logged.cells.extend_from_slice(engine.indices(log.cell, count));
        logged.steps.extend_from_slice(engine.indices(log.step, count));
        if let Some((_, fractions)) = log.fractions {
            logged.fractions.extend(engine.read(fractions, 0).into_iter().take(count));
        }
        engine.write(log.count, 0, &[0.0]);
    }
}
