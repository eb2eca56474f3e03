//! What is given to ports and inputs from outside while a network is simulated.

use nnm_graph::ir::{Binary, NodeId};
use nnm_kir::ir::Int;
use nnm_syntax::ast::{self, ExprId, Init, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::{Build, STEP, Simulation, Window, add};
use crate::eval::operators::Operand;
use crate::failure::Noted;
use crate::hir::clause;
use crate::network::FrameId;
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Owner, PopulationRef, Value};

/// What a stimulus goes to.
struct Aim {
    frame: FrameId,
    to: To,
    /// Of the leading axis; all of them without.
    cells: Option<(usize, usize)>,
}

enum To {
    /// A population's port, by their numbers.
    Port(usize, usize),
    /// An input of the architecture.
    Input(String),
}

impl Session<'_> {
    /// `stimulate PORT = EXPR from a to b`
    pub(super) fn stimulate_all(&mut self, b: &mut Build, sim: &Simulation) -> Option<()> {
        for stmt in sim.block {
            let StmtKind::Stimulate { target, value, clauses } = &stmt.kind else { continue };
            let Init::Value(value) = value else {
                self.error("E0505", stmt.span, "a stimulus is given by `=`; for chance write `… = normal(…)`");
                return None;
            };
            let window = Window {
                from: clause(clauses, "from"),
                to: clause(clauses, "to"),
                over: clause(clauses, "over"),
                step: clause(clauses, "step"),
            };
            self.stimulate(b, sim.scope, *target, *value, &window, stmt.span)?;
        }
        Some(())
    }

    fn stimulate(
        &mut self,
        b: &mut Build,
        scope: ScopeId,
        target: ExprId,
        value: ExprId,
        window: &Window,
        span: Span,
    ) -> Option<()> {
        let Aim { frame, to, cells: chosen } = self.aim_of(b.frame, scope, target)?;
        let inner = self.inner(scope);
        self.bind_time(inner);
        let (name, unit, shape, declared) = self.aimed_at(frame, &to)?;
        self.refuse_events(frame, &to, span)?;
        let index = self.scope(self.module_of(scope), None);
        match to {
            To::Port(population, _) => {
                let cells = self.net(self.frame(frame).net).populations[population].clone();
                self.bind_cells(index, &cells);
            }
            To::Input(_) => self.bind_places(index, &shape),
        }
        let inner = self.overlay(inner, index);
        let mut x = self.operand(inner, value)?;
        if let Some(over) = window.over {
            x.num = self.over_time(b, scope, &x, over, window)?;
        }
        let held = crate::eval::types::Declared { unit, ..crate::eval::types::Declared::real() };
        // A port whose declaration lacks its unit has been spoken of in its neuron.
        let bare = self.has_errors() && !self.text(declared).contains(':');
        if bare && !x.num.unit.fits(&held.unit) {
            return None;
        }
        let num = self.hold_number(x.num, &held, declared, x.span)?;
        if let Some(array) = num.as_const()
            && let Some(wrong) = array.iter().find(|x| !x.is_finite())
        {
            self.error("E0564", x.span, format!("a stimulus is finite, this is {wrong}"));
            return None;
        }
        let num = match chosen {
            None => self.stimulus_of(num, &shape, &name, x.span)?,
            Some(rows) => self.stimulus_of_rows(num, &shape, rows, &name, x.span)?,
        };
        let num = self.to_shape(num, &shape, span);
        let num = self.windowed_stimulus(scope, num, window, span)?;
        self.mark_foreign(&num);
        let program = self.program.as_mut()?;
        let stimuli = match to {
            To::Port(population, port) => program.stimuli.entry((frame, population, port)).or_default(),
            To::Input(name) => program.fed.entry((frame, name)).or_default(),
        };
        stimuli.push(num);
        Some(())
    }

    /// What a stimulus goes to: its name, unit and shape, and where it is declared.
    fn aimed_at(&self, frame: FrameId, to: &To) -> Option<(String, Unit, Vec<usize>, Span)> {
        let net = self.net(self.frame(frame).net);
        Some(match to {
            To::Port(population, port) => {
                let (cells, port) = (&net.populations[*population], &net.populations[*population].ports[*port]);
                (cells.name.clone(), port.unit.clone(), cells.shape.clone(), port.span)
            }
            To::Input(name) => {
                let input = net.inputs.iter().find(|q| q.name == *name)?;
                (name.clone(), input.unit.clone(), input.shape.clone(), input.span)
            }
        })
    }

    /// A stimulus is a number that a port has over a time; an event has no duration.
    fn refuse_events(&mut self, frame: FrameId, to: &To, span: Span) -> Option<()> {
        let To::Port(population, port) = *to else { return Some(()) };
        let population = &self.net(self.frame(frame).net).populations[population];
        let (name, port) = (population.name.clone(), population.ports[port].clone());
        if !port.event {
            return Some(());
        }
        let message = format!("`{}` waits for events, and a stimulus is a number over a time", port.name);
        let d = Diagnostic::error("E0672", span, message)
            .label(port.span, "declared as `event`")
            .help(format!(
                "events come from cells that spike: `population kick: SpikeTimes(times = [10 ms])[1]` and `connect kick -> {name}.{}: all()`",
                port.name
            ));
        self.report(d);
        None
    }

    /// One number, or one for each cell.
    fn stimulus_of(&mut self, num: Num, shape: &[usize], name: &str, span: Span) -> Option<Num> {
        let found = self.shape(&num).unwrap_or_default();
        if found.is_empty() || found == shape {
            return Some(num);
        }
        let (wanted, found) = (crate::eval::types::shape_text(shape), crate::eval::types::shape_text(&found));
        self.error("E0313", span, format!("`{name}` has the shape {wanted}, this has {found}"));
        None
    }

    /// The same for some rows of the cells; the others get nothing. What has a value for each cell of the population is
    /// as it is there.
    fn stimulus_of_rows(
        &mut self,
        num: Num,
        shape: &[usize],
        (from, to): (usize, usize),
        name: &str,
        span: Span,
    ) -> Option<Num> {
        let rows = [&[to - from], &shape[1..]].concat();
        let num = match self.shape(&num) {
            Some(found) if found == shape => self.cells_of(&num, from, to, span),
            Some(found) if to - from == 1 && found == shape[1..] => num,
            _ => self.stimulus_of(num, &rows, &format!("{name}[{from} .. {to}]"), span)?,
        };
        let num = match self.shape(&num) {
            Some(found) if found == shape[1..] && !found.is_empty() => {
                self.apply(span, num.unit.clone(), &[&num], |g, n| g.reshape(n[0], &rows))
            }
            _ => self.to_shape(num, &rows, span),
        };
        let unit = num.unit.clone();
        Some(self.apply(span, unit, &[&num], |g, n| {
            let before = g.filled(0.0, &[&[from], &shape[1..]].concat());
            let after = g.filled(0.0, &[&[shape[0] - to], &shape[1..]].concat());
            let parts = [(from, before), (to - from, n[0]), (shape[0] - to, after)];
            let parts: Vec<NodeId> = parts.into_iter().filter(|(rows, _)| *rows > 0).map(|(_, node)| node).collect();
            g.concat(0, &parts)
        }))
    }

    /// `X over time step 1 ms`: a row of X for each period, from the window's begin (or 0) on, then 0.
    fn over_time(&mut self, b: &mut Build, scope: ScopeId, x: &Operand, over: ExprId, window: &Window) -> Option<Num> {
        let over_span = self.expr_span(scope, over);
        if self.text(over_span).trim() != "time" {
            self.error("E0565", over_span, "a stimulus goes `over time`: `stimulate net.E.I = X over time step 1 ms`");
            return None;
        }
        let Some(array) = x.num.as_const().filter(|a| a.ndim() > 0).cloned() else {
            if self.shape(&x.num).is_none() || matches!(x.num.repr, crate::value::Repr::Unknown) {
                return Some(Num::unknown(x.num.unit.clone()));
            }
            self.error("E0565", x.span, "`over time` takes an array known before the run, one row a step");
            return None;
        };
        let ms = Unit::parse("ms").unwrap_or(Unit::REAL);
        let mut steps = [1.0, 0.0];
        for (k, end) in [window.step, window.from].into_iter().enumerate() {
            let Some(end) = end else { continue };
            if k == 0 {
                steps[k] = self.whole_period(scope, end, "step")? as f64;
                continue;
            }
            let time = self.known_quantity(scope, end, "a time of a stimulus", &ms)?;
            self.hold_window_end(scope, end, time)?;
            steps[k] = self.on_the_grid(scope, end, time, b.dt);
        }
        let rows = array.shape().first().copied().unwrap_or(1);
        let path = format!("{}.stimulus {}", self.net(b.net).path, b.tables.len());
        let (var, table) = self.work(&path, x.num.unit.clone(), array.shape());
        b.tables.push((var, array.iter().copied().collect()));
        let (row_steps, first) = (steps[0].max(1.0) as i64, steps[1] as i64);
        // Whole rows are added and taken off again, for only what is not negative may be divided.
        let ahead = (first.max(0) + row_steps - 1) / row_steps;
        let since = add(Int::Loop(STEP), ahead * row_steps - first);
        let row = self.graph.count(Int::Div(Box::new(since), Box::new(Int::Const(row_steps))));
        let row = Num::node(Unit::REAL, row);
        let row = self.binary(Binary::Sub, &row, &Num::real(ahead as f64), Unit::REAL, x.span);
        let last = Num::real(rows.saturating_sub(1) as f64);
        let place = self.binary(Binary::Min, &row, &last, Unit::REAL, x.span);
        let place = self.binary(Binary::Max, &place, &Num::real(0.0), Unit::REAL, x.span);
        let value = self.apply(x.span, x.num.unit.clone(), &[&table, &place], |g, n| g.gather(n[0], 0, n[1]));
        let inside = self.binary(Binary::Le, &row, &last, Unit::REAL, x.span);
        let zero = Num::scalar(x.num.unit.clone(), 0.0);
        Some(self.select(&inside, &value, &zero, x.span))
    }

    fn windowed_stimulus(&mut self, scope: ScopeId, num: Num, window: &Window, span: Span) -> Option<Num> {
        let ms = Unit::parse("ms").unwrap_or(Unit::REAL);
        let dt = self.program.as_ref().and_then(|p| p.dt).unwrap_or(1.0);
        let mut inside: Option<NodeId> = None;
        let mut begins = f64::NEG_INFINITY;
        for (end, is_from) in [(window.from, true), (window.to, false)] {
            let Some(end) = end else { continue };
            let time = self.known_quantity(scope, end, "the time of a stimulus", &ms)?;
            if is_from || time.is_nan() {
                self.hold_window_end(scope, end, time)?;
            }
            if is_from {
                begins = time;
            } else if time <= begins {
                let span = self.expr_span(scope, end);
                self.error("E0566", span, "this window ends before it begins, so the stimulus never acts");
                return None;
            }
            let step = self.on_the_grid(scope, end, time, dt);
            let step = self.graph.constant(step);
            let now = self.graph.count(Int::Loop(STEP));
            let op = if is_from { Binary::Ge } else { Binary::Lt };
            let one = self.graph.binary(op, now, step).noted(self)?;
            inside = Some(match inside {
                None => one,
                Some(before) => self.graph.binary(Binary::And, before, one).noted(self)?,
            });
        }
        let Some(inside) = inside else { return Some(num) };
        let zero = Num::scalar(num.unit.clone(), 0.0);
        Some(self.select(&Num::node(Unit::REAL, inside), &num, &zero, span))
    }

    /// A time in whole steps, rounded with a warning.
    fn on_the_grid(&mut self, scope: ScopeId, at: ExprId, time: f64, dt: f64) -> f64 {
        let steps = (time / dt).round();
        if (time / dt - steps).abs() > 1e-6 {
            let span = self.expr_span(scope, at);
            let message =
                format!("this is no whole number of steps of {} ms: it is rounded", crate::table::plain(dt * 1e3));
            self.report(Diagnostic::warning("W0001", span, message));
        }
        steps
    }

    /// A window begins at a time that comes.
    fn hold_window_end(&mut self, scope: ScopeId, end: ExprId, time: f64) -> Option<()> {
        if time.is_finite() {
            return Some(());
        }
        let span = self.expr_span(scope, end);
        self.error("E0566", span, format!("{time} is no time that comes, so the stimulus never acts"));
        None
    }

    /// An input of the simulated architecture, `net.x`.
    fn input_named(&mut self, frame: FrameId, scope: ScopeId, target: ExprId) -> Option<Aim> {
        let (_, expr) = self.bare_expr(scope, target);
        let ast::ExprKind::Field { base, name } = &expr.kind else { return None };
        let of = match self.eval(scope, *base) {
            Value::Network(id) => id,
            Value::Frame(f) if f == frame => self.frame(f).net,
            _ => return None,
        };
        let simulated = self.frame(frame).net;
        let found = of == simulated && self.net(simulated).inputs.iter().any(|q| q.name == name.text);
        found.then(|| Aim { frame, to: To::Input(name.text.clone()), cells: None })
    }

    fn aim_of(&mut self, frame: FrameId, scope: ScopeId, target: ExprId) -> Option<Aim> {
        match self.input_named(frame, scope, target) {
            Some(aim) => Some(aim),
            None => self.port_named(frame, scope, target),
        }
    }

    /// Tells which inputs of the architecture are read and not fed.
    pub(super) fn tell_unfed(&mut self, frame: FrameId, span: Span) {
        let id = self.frame(frame).net;
        for input in self.net(id).inputs.clone() {
            let path = format!("{}{}.{}", self.net(id).path, self.frame(frame).run, input.name);
            if self.leaf_of(&path).is_none() {
                continue;
            }
            let message = format!("nothing feeds the input `{}` of `{}` here: it is 0", input.name, self.net(id).path);
            let d = Diagnostic::warning("W0002", span, message).label(input.span, "declared here");
            self.report(d.help(format!("a stimulus feeds it: `stimulate {}.{} = …`", self.net(id).path, input.name)));
        }
    }

    /// The port that `net.E.I` or `net.E[0 .. 5].I` names.
    fn port_named(&mut self, frame: FrameId, scope: ScopeId, target: ExprId) -> Option<Aim> {
        let (_, expr) = self.bare_expr(scope, target);
        let span = expr.span;
        if let ast::ExprKind::Field { base, name } = &expr.kind
            && let Some((owner, index, cells)) = match self.eval(scope, *base) {
                Value::Population(PopulationRef { owner, index, cells }) => Some((owner, index, cells)),
                Value::Missing => return None,
                _ => None,
            }
        {
            let of = match owner {
                Owner::Frame(f) => f,
                Owner::Net(_) => frame,
            };
            let population = self.net(self.owner_net(&owner)).populations[index].clone();
            let running = of == frame || self.program.as_ref().is_some_and(|p| p.runs.contains(&of));
            if let Some(port) = population.ports.iter().position(|p| p.name == name.text) {
                if running {
                    return Some(Aim { frame: of, to: To::Port(index, port), cells });
                }
                let message =
                    format!("`{}` is in a part that does not run: nothing in the network uses it", population.name);
                self.report(Diagnostic::error("E0560", name.span, message).label(population.span, "declared here"));
                return None;
            }
            let names: Vec<&str> = population.ports.iter().map(|p| p.name.as_str()).collect();
            let d = Diagnostic::error("E0408", name.span, format!("`{}` has no port `{}`", population.name, name.text))
                .label(population.span, "declared here");
            let near = crate::suggest::nearest(&name.text, names.iter().copied());
            self.report(crate::suggest::did_you_mean(d, name.span, near));
            return None;
        }
        self.error("E0506", span, "a stimulus goes to a port, `stimulate net.E.I = …`, or to an input of the network");
        None
    }
}
