//! Presenting samples: rows fetched from data, given to inputs, for one moment or over steps of time.

use nnm_graph::ir::{Assign, Binary, Place, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::{Int, SlotId};
use nnm_runtime::array::Array;
use nnm_syntax::ast::{Clause, ClauseValue, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::{OverTime, ROUND, Reduction, TIME, slot};
use crate::eval::Closure;
use crate::failure::Noted;
use crate::hir::clause;
use crate::network::{FrameId, Given, NetId};
use crate::program::{Leaf, NewLeaf, Program, Purpose, Role};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Dataset, Num, Repr, Value};

/// What is presented: the data, the names of its fields, and the steps of a presentation.
#[derive(Clone, Debug)]
pub struct Presentation {
    pub scope: ScopeId,
    /// Rows of each field that is read: where they lie, where a batch of them goes.
    pub fields: Vec<Field>,
    pub rows: usize,
    pub batch: usize,
    /// Steps of a presentation, 0 where there is no time.
    pub steps: i64,
    pub dt: Option<f64>,
    /// Credit goes back within pieces of so many steps.
    pub truncate: Option<i64>,
    pub index: VarId,
    /// Numbers that fill vars before the first batch.
    pub tables: Vec<(VarId, Array)>,
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub data: VarId,
    pub here: VarId,
    pub values: Array,
}

/// What is done before an update: the steps of the presentation, and what follows them.
#[derive(Default)]
pub struct Timeline {
    /// The states' values after a step, and their first ones.
    pub new: Vec<Assign>,
    pub initial: Vec<Assign>,
    /// What else each step keeps, and where that begins.
    pub step: Vec<Assign>,
    pub begin: Vec<Assign>,
    /// After the last step.
    pub after: Vec<Stmt>,
    pub started: bool,
}

impl Session<'_> {
    /// The states of the presentation, once what the objective reads is known.
    pub fn start_timeline(&mut self, p: &mut Presentation, at: &mut Timeline) -> Option<()> {
        if p.steps > 0 && !at.started {
            self.settle_histories()?;
            (at.new, at.initial) = self.step_assigns(p)?;
        }
        at.started = true;
        Some(())
    }

    /// All statements before the update.
    pub fn timeline_stmts(&mut self, p: &Presentation, at: Timeline) -> Vec<Stmt> {
        let step: Vec<Assign> = at.new.into_iter().chain(at.step).collect();
        let initial: Vec<Assign> = at.initial.into_iter().chain(at.begin).collect();
        let mut out = self.presentation_stmts(p, &step, &initial);
        out.extend(at.after);
        out
    }

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

    /// Begins a program over the samples of a data set and gives the inputs of its networks what they are given.
    pub fn begin_samples(
        &mut self,
        scope: ScopeId,
        data: Option<&Dataset>,
        nets: &[(NetId, Vec<Given>)],
        batch: usize,
        training: bool,
        span: Span,
    ) -> Option<Presentation> {
        let mut program = Program::new(Purpose::Samples { training }, data.is_some());
        let schedule = if training { self.schedule.take() } else { None };
        if let Some((per_epoch, _)) = schedule {
            // A sample's draws are those of the epoch and of its place in it, whatever the size of a batch.
            program.presentation = Int::Div(Box::new(Int::Loop(ROUND)), Box::new(Int::Const(per_epoch as i64)));
        }
        program.first = if data.is_some() { first_sample(batch) } else { Int::Const(0) };
        program.step = program.presentation.clone();
        self.program = Some(program);
        let inner = self.inner(scope);
        let index = self.graph.add_var(Var {
            name: "rows".into(),
            elem: VarElem::Index,
            shape: vec![data.map_or(1, |d| d.rows).max(1)],
            batched: false,
            times: None,
        });
        let mut p = Presentation {
            scope: inner,
            fields: vec![],
            rows: data.map_or(1, |d| d.rows),
            batch,
            steps: 0,
            dt: None,
            truncate: None,
            index,
            tables: vec![],
        };
        if let Some((per_epoch, updates)) = schedule {
            self.bind_schedule(inner, per_epoch, updates);
        }
        if let Some(data) = data {
            self.bind_fields(&mut p, data);
        }
        self.find_time(&mut p, nets, span)?;
        for (net, givens) in nets {
            let frame = self.frame_of(*net);
            self.give(&p, frame, givens, data)?;
        }
        Some(p)
    }

    fn bind_fields(&mut self, p: &mut Presentation, data: &Dataset) {
        for (name, num) in &data.fields {
            let Some(array) = num.as_const() else {
                self.bind(p.scope, name.clone(), Value::Num(Num::unknown(num.unit.clone())));
                continue;
            };
            let shape = array.shape()[1..].to_vec();
            let var = |name: String, shape: Vec<usize>, batched| Var {
                name,
                elem: VarElem::Real,
                shape,
                batched,
                times: None,
            };
            let stored = self.graph.add_var(var(format!("data.{name}"), array.shape().to_vec(), false));
            let here = self.graph.add_var(var(name.clone(), shape, true));
            let node = self.read_whole(here);
            let value = Num { class: num.class, ..Num::node(num.unit.clone(), node) };
            self.bind(p.scope, name.clone(), Value::Num(value));
            p.fields.push(Field { name: name.clone(), data: stored, here, values: array.clone() });
        }
    }

    /// How long a presentation lasts: as the `given`s say.
    fn find_time(&mut self, p: &mut Presentation, nets: &[(NetId, Vec<Given>)], span: Span) -> Option<()> {
        for (net, givens) in nets {
            for given in givens {
                self.given_time(p, *net, given, span)?;
            }
        }
        let Some(program) = &mut self.program else { return None };
        program.stepped = p.steps > 0;
        program.dt = p.dt;
        if p.steps > 0 {
            // Draws differ between presentations and between steps.
            let before = Int::Mul(Box::new(program.presentation.clone()), Box::new(Int::Const(p.steps)));
            program.step = Int::Add(Box::new(before), Box::new(Int::Loop(TIME)));
        }
        Some(())
    }

    fn given_time(&mut self, p: &mut Presentation, net: NetId, given: &Given, span: Span) -> Option<()> {
        let ms = Unit::parse("ms").unwrap_or(Unit::REAL);
        let step = match given.step {
            Some(c) => Some(self.known_quantity(c.scope, c.expr.id, "`step`", &ms)?),
            None => None,
        };
        if let Some(dt) = step {
            p.dt = Some(dt);
        }
        if let Some(c) = given.duration {
            let length = self.known(c.scope, c.expr.id, "a duration")?;
            let x = length.as_f64()?;
            p.steps = match (length.unit.is_real(), step) {
                (true, _) => x as i64,
                (false, Some(dt)) => (x / dt).round() as i64,
                (false, None) => {
                    self.error("E0502", span, "a duration in time needs its step: `for 25 ms step 1 ms`");
                    return None;
                }
            };
        } else if given.over_time {
            let scope = self_scope(self, given, p.scope);
            let value = self.operand(scope, given.value.expr.id)?;
            let steps = self.shape(&value.num).and_then(|s| s.first().copied()).unwrap_or(1);
            p.steps = steps as i64;
        } else if p.steps == 0 && self.has_time(net) {
            let d = Diagnostic::error(
                "E0510",
                given.name.span,
                "this network has equations in time: say how long it is shown each sample",
            )
            .help("`given x = image for 25 ms step 1 ms`, or `given x = rows over time`");
            self.report(d);
            return None;
        }
        Some(())
    }

    /// Whether a network's neurons have states.
    pub fn has_time(&self, id: NetId) -> bool {
        self.nets_below(id)
            .iter()
            .flat_map(|id| &self.net(*id).populations)
            .any(|p| p.spiking || p.states.iter().any(|s| !s.running))
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
            let scope = self_scope(self, given, p.scope);
            let x = self.operand(scope, given.value.expr.id)?;
            let mut num = x.num;
            if given.over_time {
                num = self.row_of_step(&num, x.span);
            }
            let declared = crate::eval::types::Declared {
                unit: input.unit.clone(),
                shape: input.shape.clone(),
                ..crate::eval::types::Declared::real()
            };
            let num = self.hold_number(num, &declared, input.span, x.span)?;
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

    /// A reduction over the steps of the presentation: a value after the loop.
    pub fn reduce_steps(&mut self, num: &Num, how: OverTime, span: Span) -> Num {
        let Repr::Node(step) = num.repr else { return Num { stepwise: false, ..num.clone() } };
        let known = self.program.as_ref().and_then(|p| p.reductions.iter().find(|r| r.step == step && r.how == how));
        if let Some(known) = known {
            return Num { stepwise: false, ..Num::node(num.unit.clone(), known.read) };
        }
        let node = self.graph.node(step);
        let (shape, batched) = (node.shape.clone(), node.batched);
        let number = self.program.as_ref().map_or(0, |p| p.reductions.len());
        let total = self.graph.add_var(Var {
            name: format!("over time {number}"),
            elem: VarElem::Real,
            shape,
            batched,
            times: None,
        });
        let read = self.read_whole(total);
        if let Some(program) = &mut self.program {
            program.reductions.push(Reduction { how, step, total, read });
        }
        let _ = span;
        Num { class: num.class, ..Num::node(num.unit.clone(), read) }
    }

    /// What each cell fires in this very step (its flag of the next).
    pub fn fired(&mut self, frame: FrameId, index: usize) -> Num {
        self.spike_flags(frame, index)
    }

    /// Fetches of the fields that something reads.
    pub fn fetches(&self, p: &Presentation, body: &[Stmt]) -> Vec<Stmt> {
        let read = crate::lowering::vars_read(&self.graph, body);
        let offset = first_sample(p.batch);
        p.fields
            .iter()
            .filter(|f| read.contains(&f.here))
            .map(|f| Stmt::Fetch { into: f.here, from: f.data, index: p.index, offset: offset.clone() })
            .collect()
    }

    /// The presentation itself: states at their beginning, then all steps; `new` are the states' values after a step.
    pub fn presentation_stmts(&mut self, p: &Presentation, new: &[Assign], initial: &[Assign]) -> Vec<Stmt> {
        if p.steps == 0 {
            return vec![];
        }
        let reductions = self.program.as_ref().map(|p| p.reductions.clone()).unwrap_or_default();
        let mut first = initial.to_vec();
        let mut step = new.to_vec();
        for r in &reductions {
            let shape = self.graph.shape(r.step).to_vec();
            let start = if r.how == OverTime::Max { f64::NEG_INFINITY } else { 0.0 };
            let zero = self.graph.filled(start, &shape);
            first.push(Assign { to: r.total, place: Place::Whole, add: false, value: zero });
            step.extend(self.reduction_step(r, p.steps));
        }
        let mut out = vec![];
        if !first.is_empty() {
            out.push(Stmt::Stage { about: "a presentation begins".into(), assigns: first });
        }
        let body = vec![Stmt::Stage { about: "step".into(), assigns: step }];
        out.push(Stmt::For { index: TIME, from: Int::Const(0), to: Int::Const(p.steps), down: false, body });
        out
    }

    pub fn reduction_step(&mut self, r: &Reduction, steps: i64) -> Option<Assign> {
        let value = match r.how {
            OverTime::Last => r.step,
            OverTime::Sum => self.graph.binary(Binary::Add, r.read, r.step).noted(self)?,
            OverTime::Max => self.graph.binary(Binary::Max, r.read, r.step).noted(self)?,
            OverTime::Mean => {
                let part = self.graph.constant(1.0 / steps as f64);
                let scaled = self.graph.binary(Binary::Mul, part, r.step).noted(self)?;
                self.graph.binary(Binary::Add, r.read, scaled).noted(self)?
            }
        };
        Some(Assign { to: r.total, place: Place::Whole, add: false, value })
    }

    /// The states of all networks in the program after a step, and their first values.
    pub fn step_assigns(&mut self, p: &mut Presentation) -> Option<(Vec<Assign>, Vec<Assign>)> {
        let (mut new, mut initial) = (vec![], vec![]);
        let frames = self.live_frames().into_iter().filter(|f| !self.frame(*f).fresh);
        for frame in frames.collect::<Vec<_>>() {
            let id = self.frame(frame).net;
            for index in 0..self.net(id).populations.len() {
                let (done, _) = self.advance_population(frame, index, &[])?;
                let population = self.net(id).populations[index].clone();
                let base = self.state_base(frame, index);
                for (name, num) in done.states.iter().chain(&done.holds) {
                    let path = if done.holds.contains_key(name) && !done.states.contains_key(name) {
                        format!("{base}.{name}.hold")
                    } else {
                        format!("{base}.{name}")
                    };
                    self.push_state(&path, num, &mut new);
                }
                for (name, num) in &done.holds {
                    self.push_state(&format!("{base}.{name}.hold"), num, &mut new);
                }
                if let Some(spike) = &done.spike {
                    self.spike_flags(frame, index);
                    self.push_state(&format!("{base}.spike"), spike, &mut new);
                }
                for state in population.states.iter().filter(|s| !s.running) {
                    self.push_initial(p, &format!("{base}.{}", state.name), &state.initial, &mut initial);
                }
            }
        }
        self.histories(&mut new);
        self.rest_begin_at_zero(&new, &mut initial);
        if let Some(world) = &self.program.as_ref()?.world {
            new.extend(world.states.iter().chain(&world.totals).cloned());
            initial.extend(world.initial.iter().cloned());
        }
        Some((new, initial))
    }

    fn push_state(&mut self, path: &str, num: &Num, out: &mut Vec<Assign>) {
        let Some(leaf) = self.program.as_ref().and_then(|p| p.leaves.get(path)).cloned() else { return };
        if leaf.role != Role::State || out.iter().any(|a| a.to == leaf.var) {
            return;
        }
        let value = self.lift(num);
        out.push(Assign { to: leaf.var, place: Place::Whole, add: false, value });
    }

    fn push_initial(&mut self, p: &mut Presentation, path: &str, initial: &Array, out: &mut Vec<Assign>) {
        let Some(leaf) = self.program.as_ref().and_then(|x| x.leaves.get(path)).cloned() else { return };
        let first = initial.iter().next().copied().unwrap_or(0.0);
        let shape = self.graph.var(leaf.var).shape.clone();
        let value = if initial.iter().all(|x| *x == first) {
            self.graph.filled(first, &shape)
        } else {
            self.graph.tensor(initial.clone())
        };
        let _ = p;
        out.push(Assign { to: leaf.var, place: Place::Whole, add: false, value });
    }

    /// What delayed connections keep of their senders: each step moves the history on by one.
    fn histories(&mut self, new: &mut Vec<Assign>) {
        let shifts = self.program.as_ref().map(|p| p.shifts.clone()).unwrap_or_default();
        for (to, value) in shifts {
            new.push(Assign { to, place: Place::Whole, add: false, value });
        }
    }

    /// Spike flags, hold counters and histories begin at 0.
    fn rest_begin_at_zero(&mut self, new: &[Assign], initial: &mut Vec<Assign>) {
        for assign in new {
            if initial.iter().any(|a| a.to == assign.to) {
                continue;
            }
            let shape = self.graph.var(assign.to).shape.clone();
            let zero = self.graph.filled(0.0, &shape);
            initial.push(Assign { to: assign.to, place: Place::Whole, add: false, value: zero });
        }
    }

    /// The sender of a connection as it was `steps` steps ago, from a history of that length.
    pub fn history(&mut self, frame: FrameId, p: &crate::network::Projection, steps: usize) -> Option<Num> {
        let id = self.frame(frame).net;
        let (source, cells) = match p.source {
            Some(s) => s,
            None => {
                self.error("E0512", p.span, "a delay needs a population as its sender");
                return None;
            }
        };
        let population = self.net(id).populations[source].clone();
        let unit = self.output_unit(&population);
        let base = format!("{}.before", self.state_base(frame, source));
        let batched = self.program.as_ref().is_some_and(|p| p.batched);
        let stepwise = self.program.as_ref().is_some_and(|p| p.stepped);
        let mut last = None;
        let mut fresh = vec![];
        for k in 1..=steps {
            let path = format!("{base}@{k}");
            if self.program.as_ref().is_some_and(|p| !p.leaves.contains_key(&path)) {
                fresh.push(k);
            }
            let leaf = NewLeaf {
                path: &path,
                role: Role::State,
                unit: unit.clone(),
                shape: &population.shape,
                batched,
                home: None,
            };
            last = Some(self.leaf(leaf));
        }
        for k in fresh {
            self.program.as_mut()?.pending_shifts.push((frame, source, k));
        }
        let num = Num { stepwise, ..last? };
        Some(match cells {
            Some((from, to)) => self.cells_of(&num, from, to, p.span),
            None => num,
        })
    }

    /// Gives histories their next values, once all outputs can be evaluated.
    pub fn settle_histories(&mut self) -> Option<()> {
        while let Some((frame, source, k)) = self.program.as_mut()?.pending_shifts.pop() {
            let id = self.frame(frame).net;
            let population = self.net(id).populations[source].clone();
            let base = format!("{}.before", self.state_base(frame, source));
            let to = self.program.as_ref()?.leaves.get(&format!("{base}@{k}"))?.var;
            let value = if k == 1 {
                let whole = crate::value::PopulationRef {
                    owner: crate::value::Owner::Frame(frame),
                    index: source,
                    cells: None,
                };
                let value = self.population_output(&whole, population.span);
                let num = self.number(value, population.span)?;
                self.lift(&num)
            } else {
                let before = self.program.as_ref()?.leaves.get(&format!("{base}@{}", k - 1))?.var;
                self.read_whole(before)
            };
            self.program.as_mut()?.shifts.push((to, value));
        }
        Some(())
    }

    /// The next values of neurons' running quantities, from the batch that is presented: once an update.
    pub fn running_assigns(&mut self, assigns: &mut Vec<Assign>) -> Option<()> {
        for frame in self.live_frames() {
            let id = self.frame(frame).net;
            for index in 0..self.net(id).populations.len() {
                let population = self.net(id).populations[index].clone();
                let neuron = self.neuron_of(&population);
                let scope = self.frame(frame).populations[index].scope;
                for next in &neuron.dynamics.nexts {
                    let name = &next.name.text;
                    if !population.states.iter().any(|s| s.running && s.name == *name) {
                        continue;
                    }
                    let path = format!("{}.{}.{name}", self.net(id).path, population.name);
                    let value = self.local(scope, &format!("next {name}"), next.span)?;
                    let num = self.number(value, next.span)?;
                    self.running_assign(&path, num, next.span, assigns)?;
                }
            }
        }
        Some(())
    }

    fn running_assign(&mut self, path: &str, num: Num, span: Span, assigns: &mut Vec<Assign>) -> Option<()> {
        let var = self.leaf_of(path)?.var;
        // Over the steps of a presentation, the last one counts.
        let stepped = self.program.as_ref().is_some_and(|p| p.stepped);
        let num = if stepped { self.reduce_steps(&num, OverTime::Last, span) } else { num };
        let mut value = self.lift(&num);
        if self.graph.node(value).batched {
            let d = Diagnostic::error("E0301", span, "a running value is shared by the samples of a batch")
                .help("take `batch_mean(…)` or `batch_var(…)` of what differs between them");
            self.report(d);
            return None;
        }
        let shape = self.graph.var(var).shape.clone();
        value = self.graph.broadcast_to(value, &shape).noted(self)?;
        // Used several times, each use goes on from the one before.
        if let Some(before) = assigns.iter_mut().find(|a| a.to == var) {
            let so_far = before.value;
            let on = nnm_graph::substitute_reads(&mut self.graph, value, &|v, _| (v == var).then_some(so_far))
                .noted(self)?;
            before.value = on;
            return Some(());
        }
        assigns.push(Assign { to: var, place: Place::Whole, add: false, value });
        Some(())
    }

    /// A leaf of this program by its path.
    pub fn leaf_of(&self, path: &str) -> Option<Leaf> {
        self.program.as_ref().and_then(|p| p.leaves.get(path)).cloned()
    }
}

/// The place in the epoch of a batch's first sample.
fn first_sample(batch: usize) -> Int {
    let at = |name| Int::Slot(SlotId(slot(name)));
    let done = Int::Sub(Box::new(Int::Loop(ROUND)), Box::new(at("from")));
    let rows = Int::Mul(Box::new(done), Box::new(Int::Const(batch as i64)));
    Int::Add(Box::new(at("offset")), Box::new(rows))
}

/// The scope of a `given`'s expression: the data's fields in front of where it was written.
fn self_scope(s: &mut Session, given: &Given, fields: ScopeId) -> ScopeId {
    let names = s.scopes[fields.0 as usize].names.clone();
    let inner = s.inner(given.value.scope);
    s.scopes[inner.0 as usize].names = names;
    inner
}

/// A closure seen with the data's fields.
pub fn with_fields(s: &mut Session, closure: Closure, fields: ScopeId) -> Closure {
    let names = s.scopes[fields.0 as usize].names.clone();
    let inner = s.inner(closure.scope);
    s.scopes[inner.0 as usize].names = names;
    closure.within(inner)
}
