//! Presenting samples: rows fetched from data, for one moment or over steps of time, and what is reduced over these.

use nnm_graph::ir::{Assign, Binary, Place, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::{Int, SlotId};
use nnm_runtime::array::Array;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::given::with_fields;
use super::{OverTime, ROUND, Reduction, TIME, slot};
use crate::failure::Noted;
use crate::network::{FrameId, Given, NetId};
use crate::program::{Leaf, Program, Purpose};
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
        if let Some(data) = data.filter(|d| d.rows == 0 && self.mode == crate::session::Mode::Run) {
            let what = if training { "train on" } else { "evaluate" };
            let message = format!("there is nothing to {what}: `{}` has no rows", data.name);
            let d = Diagnostic::error("E0324", span, message)
                .help("look at what makes the data: a file without lines, an empty slice, a split that leaves nothing");
            self.report(d);
            return None;
        }
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
        let evaluates =
            self.program.as_ref().is_some_and(|x| x.purpose == Purpose::Samples { training: false } && x.batched);
        if evaluates && p.steps == 0 {
            self.refuse_timeless(nets, span)?;
        }
        let Some(program) = &mut self.program else { return None };
        program.stepped = p.steps > 0;
        program.steps = usize::try_from(p.steps).unwrap_or(0);
        program.dt = p.dt;
        if p.steps > 0 {
            // Draws differ between presentations and between steps.
            let before = Int::Mul(Box::new(program.presentation.clone()), Box::new(Int::Const(p.steps)));
            program.step = Int::Add(Box::new(before), Box::new(Int::Loop(TIME)));
        }
        Some(())
    }

    /// A network over time that has not been told how long it sees a sample: its states would never move.
    fn refuse_timeless(&mut self, nets: &[(NetId, Vec<Given>)], span: Span) -> Option<()> {
        for (net, givens) in nets {
            let Some(name) = self.acts_over_time(*net).filter(|_| givens.is_empty()) else { continue };
            let path = self.net(*net).path.clone();
            let message = format!("`{path}` acts over time (`{name}`), and nothing says how long it sees a sample");
            let d = Diagnostic::error("E0510", span, message)
                .help("`evaluate(… on DATA given x = image for 25 ms step 1 ms)`, or after a `train` that says it");
            self.report(d);
            return None;
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
            let shown = with_fields(self, given.value, p.scope);
            let value = self.operand(shown.scope, shown.expr.id)?;
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
            OverTime::Max => self.graph.extreme_so_far(Binary::Max, r.read, r.step).noted(self)?,
            OverTime::Mean => {
                let part = self.graph.constant(1.0 / steps as f64);
                let scaled = self.graph.binary(Binary::Mul, part, r.step).noted(self)?;
                self.graph.binary(Binary::Add, r.read, scaled).noted(self)?
            }
        };
        Some(Assign { to: r.total, place: Place::Whole, add: false, value })
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
