//! From a `simulate` statement to the program of its steps.

use std::collections::BTreeSet;

use nnm_graph::ir::{Assign, Place, Stmt, VarElem, VarId};
use nnm_kir::ir::Int;
use nnm_syntax::ast::{self, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::abreast::is_listed;
use super::{Build, Log, Lumped, STEP, Simulation, View, add, read_slot, rem};
use crate::dynamics::{Equation, EventArrival};
use crate::hir::clause;
use crate::program::{Jump, Leaf, NewLeaf, Program, Purpose, Role};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Owner, PopulationRef, Value};

/// Spikes are stamped with the number of their step in 32 bits.
const MOST_STEPS: f64 = 4e9;

/// How long, in how many steps of which length.
#[derive(Clone, Copy, Debug)]
pub struct Duration {
    pub steps: i64,
    pub dt: f64,
    /// Whether the steps have a length in time.
    pub timed: bool,
}

impl Session<'_> {
    /// `for 1 s step 0.1 ms`, or `for 20 steps`.
    pub fn duration(&mut self, scope: ScopeId, clauses: &[ast::Clause], span: Span) -> Option<Duration> {
        let Some(how_long) = clause(clauses, "for") else {
            self.error("E0501", span, "how long? `simulate net for 1 s step 0.1 ms`");
            return None;
        };
        let length = self.known(scope, how_long, "a duration")?;
        let step = clause(clauses, "step").map(|e| (self.known(scope, e, "a step"), e));
        let ms = Unit::parse("ms").unwrap_or(Unit::REAL);
        match step {
            None if length.unit.is_real() => {
                let steps = length.as_f64()?;
                if !(0.0..MOST_STEPS).contains(&steps) || steps.fract() != 0.0 {
                    let at = self.expr_span(scope, how_long);
                    self.error(
                        "E0503",
                        at,
                        format!("a simulation has a whole number of steps from 0 on, this is {steps}"),
                    );
                    return None;
                }
                Some(Duration { steps: steps as i64, dt: 1.0, timed: false })
            }
            None => {
                self.error("E0502", span, "a duration in time needs its step: `for 1 s step 0.1 ms`");
                None
            }
            Some((step, e)) => {
                let step = step?;
                let at = self.expr_span(scope, e);
                if !step.unit.fits(&ms) || !length.unit.fits(&ms) {
                    let message = format!(
                        "`for` and `step` are times, not {} and {}",
                        length.unit.describe(),
                        step.unit.describe()
                    );
                    self.error("E0309", at, message);
                    return None;
                }
                let (total, dt) = (length.as_f64()?, step.as_f64()?);
                if dt <= 0.0 || !dt.is_finite() {
                    self.error(
                        "E0503",
                        at,
                        format!("a step is a time above 0, this is {}", crate::table::summary(&step)),
                    );
                    return None;
                }
                let steps = total / dt;
                if !(0.0..MOST_STEPS).contains(&steps) {
                    let at = self.expr_span(scope, how_long);
                    let message = match total.is_finite() && total >= 0.0 {
                        true => format!("this is {steps:.1e} steps: a simulation has at most {MOST_STEPS:.1e}"),
                        false => format!(
                            "a simulation goes on for a time from 0 on, this is {}",
                            crate::table::summary(&length)
                        ),
                    };
                    self.error("E0503", at, message);
                    return None;
                }
                if (steps - steps.round()).abs() > 1e-6 * steps.max(1.0) {
                    self.error(
                        "E0504",
                        at,
                        format!("the duration is no whole number of steps: it is {steps:.3} of them"),
                    );
                    return None;
                }
                Some(Duration { steps: steps.round() as i64, dt, timed: true })
            }
        }
    }

    /// Builds the program of a simulation's step. The program stays in place for the caller to take.
    pub fn build_simulation(&mut self, sim: &Simulation, duration: Duration) -> Option<Build> {
        let mut program = Program::new(Purpose::Simulate, false);
        program.dt = duration.timed.then_some(duration.dt);
        program.step = Int::Loop(STEP);
        self.program = Some(program);
        let frame = self.frame_of(sim.net);
        let populations = self.net(sim.net).populations.len();
        let start = self.net(sim.net).clock.steps;
        self.same_step(sim, duration)?;
        let mut b = Build::new(frame, sim.net, populations, duration.dt, start);
        self.start_parts(frame);
        let learns = self.find_learns(&mut b, sim)?;
        self.program.as_mut()?.learning = !learns.is_empty();
        self.make_paths(&mut b)?;
        self.stimulate_all(&mut b, sim)?;
        self.interpolate_all(&b, sim)?;
        // First what events bring, then what reads it: nothing may ask for a port before all that arrives is known.
        self.prepare(&mut b)?;
        let own: Vec<super::learn::Learn> = learns.iter().filter(|l| l.net == sim.net).cloned().collect();
        self.add_rules(&mut b, sim, &own)?;
        for index in 0..populations {
            self.step_population(&mut b, index)?;
        }
        self.step_units(&b, sim, &learns)?;
        self.record_all(&mut b, sim, duration)?;
        self.take_units(&mut b);
        self.settle_rings()?;
        self.tell_unfed(frame, sim.span);
        let program = self.program.as_mut()?;
        b.tables.append(&mut program.tables);
        b.indices.append(&mut program.indices);
        Some(b)
    }

    /// What is on its way, and held states, count in steps: a network keeps its step.
    fn same_step(&mut self, sim: &Simulation, d: Duration) -> Option<()> {
        let clock = self.net(sim.net).clock;
        if clock.steps as f64 + d.steps as f64 >= MOST_STEPS {
            let message = format!(
                "`{}` has been simulated for {} steps: with these it has too many",
                self.net(sim.net).path,
                clock.steps
            );
            self.report(
                Diagnostic::error("E0503", sim.span, message).at("in this simulation").help("`reset net` begins anew"),
            );
            return None;
        }
        let shown = |dt: f64| crate::table::quantity(dt, &Unit::parse("ms").unwrap_or(Unit::REAL));
        if clock.steps > 0 && (clock.step - d.dt).abs() > 1e-9 * d.dt {
            let name = self.net(sim.net).path.clone();
            let message =
                format!("`{name}` has been simulated in steps of {}, this one has {}", shown(clock.step), shown(d.dt));
            let at = clause(sim.clauses, "step").map_or(sim.span, |e| self.expr_span(sim.scope, e));
            let d = Diagnostic::error("E0567", at, message);
            self.report(d.help(format!("`reset {name}` before it begins anew, with any step")));
            return None;
        }
        Some(())
    }

    /// `interpolate net.E.spikes`: thresholds are met inside the step.
    fn interpolate_all(&mut self, b: &Build, sim: &Simulation) -> Option<()> {
        for stmt in sim.block {
            let StmtKind::List { word, items, .. } = &stmt.kind else { continue };
            for item in items.iter().filter(|_| word.text == "interpolate") {
                let at = self.expr_span(sim.scope, item.expr);
                let (_, expr) = self.bare_expr(sim.scope, item.expr);
                let inner = match &expr.kind {
                    ast::ExprKind::Field { base, name } if name.text == "spikes" => Some(*base),
                    _ => None,
                };
                let of = inner.map(|base| self.eval(sim.scope, base));
                let Some(Value::Population(PopulationRef { owner, index, cells: None })) = of else {
                    let message = "what is interpolated are the spikes of a population";
                    self.report(Diagnostic::error("E0555", at, message).help("`interpolate net.E.spikes`"));
                    return None;
                };
                let frame = match owner {
                    Owner::Frame(frame) => frame,
                    Owner::Net(_) => b.frame,
                };
                let p = &self.net(self.frame(frame).net).populations[index];
                if !p.spiking {
                    let message = format!("`{}` has no spikes: its neuron has no `spike when`", p.name);
                    self.error("E0507", at, message);
                    return None;
                }
                self.program.as_mut()?.interpolated.insert((frame, index), at);
            }
        }
        Some(())
    }

    /// Blocks `on PORT` of the events that arrived in this step.
    pub fn port_events(&mut self, b: &mut Build) -> Option<()> {
        let events = self.program.as_ref().map(|p| p.events.clone()).unwrap_or_default();
        let jumps = self.program.as_ref().map(|p| p.jumps.clone()).unwrap_or_default();
        for index in 0..b.lists.len() {
            self.apply_jumps(b, index, &jumps)?;
            let population = self.net(b.net).populations[index].clone();
            let mut arrivals = vec![];
            for port in population.ports.iter().filter(|p| p.event) {
                let Some(parts) = events.get(&(b.frame, index, port.name.clone())) else { continue };
                let mut parts = parts.iter();
                let Some((mut count, mut value)) = parts.next().cloned() else { continue };
                for (c, v) in parts {
                    count = self.add(&count, c, port.span);
                    value = self.add(&value, v, port.span);
                }
                arrivals.push(EventArrival { port: port.name.clone(), count, value });
            }
            if arrivals.is_empty() {
                continue;
            }
            let done = self.deliver_events(b.frame, index, &arrivals)?;
            let assigns = self.state_assigns(b, index, &done.states, &done.holds);
            b.events.push(Stmt::Stage { about: format!("{}: events at ports", population.name), assigns });
        }
        Some(())
    }

    /// Adds jumps to states; what arrives while a state is held is lost.
    fn apply_jumps(&mut self, b: &mut Build, index: usize, jumps: &indexmap::IndexMap<Jump, Num>) -> Option<()> {
        let population = self.net(b.net).populations[index].clone();
        let neuron = self.neuron_of(&population);
        let holds = self.hold_counters(b.frame, &population, &neuron);
        let mut changed: indexmap::IndexMap<&str, Num> = indexmap::IndexMap::new();
        for (jump, sum) in jumps.iter().filter(|(j, _)| (j.frame, j.population) == (b.frame, index)) {
            let before = self.frame(b.frame).populations[index].states.get(&jump.state)?.clone();
            let old = changed.get(jump.state.as_str()).cloned().unwrap_or(before);
            let shape = self.shape(&old)?;
            let amount = self.beside(sum, &shape);
            let amount = self.at_elements(&amount, &jump.elements, &shape[population.shape.len()..]);
            let mut new = self.add(&old, &amount, population.span);
            if let Some(counter) = holds.get(&jump.state) {
                let counter = self.beside(counter, &shape);
                new = self.select(&counter, &old, &new, population.span);
            }
            changed.insert(&jump.state, new);
        }
        let mut assigns = vec![];
        for (state, new) in changed {
            let path = format!("{}.{}.{state}", self.net(b.net).path, population.name);
            let to = self.program.as_ref()?.leaves.get(&path)?.var;
            assigns.push(Assign { to, place: Place::Whole, add: false, value: self.lift(&new) });
        }
        if !assigns.is_empty() {
            b.events.push(Stmt::Stage { about: format!("{}: jumps", population.name), assigns });
        }
        Some(())
    }

    /// What is added to an array of this shape in each cell: 0 but at the elements named.
    fn at_elements(&mut self, amount: &Num, elements: &[(usize, usize)], own: &[usize]) -> Num {
        if elements.is_empty() {
            return amount.clone();
        }
        let named = |place: usize| {
            let mut rest = place;
            let mut places = vec![0; own.len()];
            for (k, length) in own.iter().enumerate().rev() {
                (places[k], rest) = (rest % length, rest / length);
            }
            elements.iter().zip(places).all(|((from, to), k)| (*from..*to).contains(&k))
        };
        let size: usize = own.iter().product();
        let mask = crate::value::shaped(own, (0..size).map(|k| f64::from(named(k))).collect());
        self.mul(amount, &Num::array(Unit::REAL, mask), Span::default())
    }

    pub fn step_population(&mut self, b: &mut Build, index: usize) -> Option<()> {
        let population = self.net(b.net).populations[index].clone();
        let lumped: Vec<Lumped> = b.lumped[index].clone();
        let equations: Vec<Equation> = lumped
            .iter()
            .map(|l| Equation {
                name: l.name.clone(),
                state: l.state,
                rate: l.rate,
                held: None,
                ceiling: None,
                mixed: false,
                method: l.method,
                unit: l.unit,
                span: l.span,
            })
            .collect();
        let (done, lumped_new) = self.advance_population(b.frame, index, &equations)?;
        b.choices.extend(done.choices.iter().map(|c| (population.name.clone(), c.clone())));
        let assigns = self.state_assigns(b, index, &done.states, &done.holds);
        b.assigns.extend(assigns);
        for (path, num) in &done.past {
            let mut kept = vec![];
            self.assign_leaf(path, num, &mut kept);
            b.assigns.extend(kept);
        }
        for (l, value) in lumped.iter().zip(lumped_new) {
            b.assigns.push(Assign { to: l.var, place: Place::Whole, add: false, value });
        }
        if let Some(spike) = done.spike {
            self.spike_flags(b.frame, index);
            let path = format!("{}.{}.spike", self.net(b.net).path, population.name);
            let to = self.program.as_ref()?.leaves.get(&path)?.var;
            b.assigns.push(Assign { to, place: Place::Whole, add: false, value: self.lift(&spike) });
        }
        if let Some(fraction) = done.fraction {
            let (to, _) = self.fraction_of(b, index, &population.shape);
            b.assigns.push(Assign { to, place: Place::Whole, add: false, value: self.lift(&fraction) });
        }
        Some(())
    }

    /// The share of the step after which each cell of a population fired in it.
    fn fraction_of(&mut self, b: &Build, index: usize, shape: &[usize]) -> (VarId, Num) {
        let path = format!("{}.{}.spike@fraction", self.net(b.net).path, self.net(b.net).populations[index].name);
        self.work(&path, Unit::REAL, shape)
    }

    /// Stores of the states and hold counters that changed.
    pub fn state_assigns(
        &mut self,
        b: &Build,
        index: usize,
        states: &indexmap::IndexMap<String, Num>,
        holds: &indexmap::IndexMap<String, Num>,
    ) -> Vec<Assign> {
        let population = self.net(b.net).populations[index].name.clone();
        let base = format!("{}.{population}", self.net(b.net).path);
        let before = self.frame(b.frame).populations[index].states.clone();
        let mut out = vec![];
        let frozen = !self.program.as_ref().is_some_and(|p| p.learning);
        let running =
            |name: &str| self.net(b.net).populations[index].states.iter().any(|s| s.running && s.name == name);
        let fixed: Vec<&String> = states.keys().filter(|n| frozen && running(n)).collect();
        for (name, num) in states.iter().filter(|(n, _)| !fixed.contains(n)) {
            let same = before.get(name).is_some_and(|old| self.same_node(old, num));
            if !same {
                self.assign_leaf(&format!("{base}.{name}"), num, &mut out);
            }
        }
        for (name, num) in holds {
            self.assign_leaf(&format!("{base}.{name}.hold"), num, &mut out);
        }
        out
    }

    fn same_node(&self, a: &Num, b: &Num) -> bool {
        matches!((&a.repr, &b.repr), (crate::value::Repr::Node(x), crate::value::Repr::Node(y)) if x == y)
    }

    fn assign_leaf(&mut self, path: &str, num: &Num, out: &mut Vec<Assign>) {
        let Some(to) = self.program.as_ref().and_then(|p| p.leaves.get(path)).map(|l| l.var) else { return };
        let value = self.lift(num);
        out.push(Assign { to, place: Place::Whole, add: false, value });
    }

    /// The lists of spikes that a delivery or a log of any unit reads.
    pub fn lists_read<'b>(&self, units: impl Iterator<Item = &'b Build> + Clone) -> BTreeSet<VarId> {
        let before = self.program.as_ref().map_or(&[][..], |p| &p.before_equations);
        let is_read = |unit: &Build, index: usize, list: VarId| {
            units.clone().any(|other| {
                let logged = other.logs.iter().any(|log| log.net == unit.net && log.population == index);
                let bodies = [&other.arrivals[..], &other.deliveries, &other.events, &other.rules, before];
                logged || bodies.iter().any(|body| is_listed(body, list))
            })
        };
        let lists = units.clone().flat_map(|unit| unit.lists.iter().enumerate().map(move |(k, list)| (unit, k, list)));
        lists.filter_map(|(unit, k, list)| list.map(|l| l.list).filter(|l| is_read(unit, k, *l))).collect()
    }

    /// Lists of the cells that fired, for deliveries and logs.
    pub fn spike_lists(&mut self, b: &mut Build, read: &BTreeSet<VarId>) {
        for index in 0..b.lists.len() {
            let Some(list) = b.lists[index] else { continue };
            if !read.contains(&list.list) {
                b.unlisted.push(index);
                continue;
            }
            let flags = self.spike_flags(b.frame, index);
            let flags = self.lift(&flags);
            let slot = rem(add(Int::Loop(STEP), 1), list.ring);
            b.after.push(Stmt::Compact { flags, list: list.list, count: list.count, slot: slot.clone() });
            for log in b.logs.iter().filter(|l| (l.net, l.population) == (b.net, index)) {
                if let Some((values, log_value)) = log.fractions {
                    let (list, count, log_count, slot) = (list.list, list.count, log.count, slot.clone());
                    b.after.push(Stmt::LogValues { list, count, slot, values, log_value, log_count });
                }
                b.after.push(Stmt::Log {
                    list: list.list,
                    count: list.count,
                    slot: slot.clone(),
                    step: add(Int::Loop(STEP), 1),
                    log_cell: log.cell,
                    log_step: log.step,
                    log_count: log.count,
                });
            }
        }
    }

    /// A view of a population's spikes, and a log for them.
    pub fn log_spikes(&mut self, b: &mut Build, population: usize, view: View) {
        if let Some(log) = b.logs.iter_mut().find(|l| l.population == population) {
            log.views.push(view);
            return;
        }
        self.need_list(b, population, 0);
        let p = self.net(b.net).populations[population].clone();
        let capacity = (p.size() * 64).max(1 << 16);
        let name = format!("{}.{}", self.net(b.net).path, p.name);
        let cell = self.index_var(format!("{name}.log@cell"), vec![capacity], None, VarElem::Index);
        let step = self.index_var(format!("{name}.log@step"), vec![capacity], None, VarElem::Index);
        let count = self.index_var(format!("{name}.log@count"), vec![1], None, VarElem::Count);
        let inside = self.program.as_ref().is_some_and(|p| p.interpolated.contains_key(&(b.frame, population)));
        let fractions = inside.then(|| {
            let (values, _) = self.fraction_of(b, population, &p.shape);
            let log = self.work(&format!("{name}.log@fraction"), Unit::REAL, &[capacity]).0;
            (values, log)
        });
        b.logs.push(Log { net: b.net, population, views: vec![view], cell, step, count, fractions, capacity });
    }

    /// The whole program: the loop over steps with all its parts in the order in which a step acts.
    pub fn simulation_body(&mut self, b: &Build, d: Duration) -> Vec<Stmt> {
        let last = b.start + d.steps;
        let mut step = vec![];
        let (first, rings) = self.ring_statements();
        step.extend(first);
        step.extend(self.arrivals(b));
        step.extend(self.record_statements(b, last, false));
        step.extend(b.deliveries.iter().cloned());
        step.extend(b.events.iter().cloned());
        step.extend(self.program.iter().flat_map(|p| p.before_equations.iter().cloned()));
        let mut assigns = b.assigns.clone();
        assigns.extend(self.kept_assigns(true));
        assigns.extend(rings);
        step.push(Stmt::Stage { about: "equations".into(), assigns });
        step.extend(b.after.iter().cloned());
        step.extend(b.rules.iter().cloned());
        let checks = self.finite_checks(&[]);
        if !checks.is_empty() {
            let phase = Int::Rem(Box::new(Int::Loop(STEP)), Box::new(read_slot("check_every")));
            step.push(Stmt::IfEqual { a: phase, b: Int::Const(0), body: checks });
        }
        let mut body =
            vec![Stmt::For { index: STEP, from: read_slot("from"), to: read_slot("to"), down: false, body: step }];
        let mut at_end = self.record_statements(b, last, true);
        if self.reads_sums(&at_end) {
            // What comes at the end is looked at, and comes again where the next simulation begins.
            let empty = b.assigns.iter().filter(|a| self.is_sum(a.to)).cloned().collect();
            at_end.splice(0..0, self.arrivals(b));
            at_end.push(Stmt::Stage { about: "not yet arrived".into(), assigns: empty });
        }
        at_end.extend(self.finite_checks(&self.learned_weights(b)));
        if !at_end.is_empty() {
            let end = Int::Add(Box::new(read_slot("to")), Box::new(read_slot("final")));
            body.push(Stmt::For { index: STEP, from: read_slot("to"), to: end, down: false, body: at_end });
        }
        body
    }

    /// What reaches the ports at the start of a step.
    fn arrivals(&self, b: &Build) -> Vec<Stmt> {
        let kept = self.kept_assigns(false);
        let about = "values that events read".to_string();
        let kept = (!kept.is_empty()).then_some(Stmt::Stage { about, assigns: kept });
        kept.into_iter().chain(b.arrivals.iter().cloned()).collect()
    }

    fn is_sum(&self, var: VarId) -> bool {
        self.program.as_ref().is_some_and(|p| p.sums.contains(&var))
    }

    fn reads_sums(&self, body: &[Stmt]) -> bool {
        crate::lowering::vars_read(&self.graph, body).into_iter().any(|var| self.is_sum(var))
    }

    /// States are held to be finite, and what else is asked for: at the end, learned weights too.
    fn finite_checks(&self, also: &[String]) -> Vec<Stmt> {
        let Some(program) = &self.program else { return vec![] };
        let all = program.leaves.iter().enumerate();
        all.filter(|(_, (path, leaf))| is_checked(path, leaf) || also.contains(path))
            .map(|(k, (_, leaf))| Stmt::CheckFinite { var: leaf.var, place: Place::Whole, code: k as i64 })
            .collect()
    }

    /// The states that are held to be finite.
    pub fn checked_states(&self) -> Vec<nnm_graph::ir::VarId> {
        let leaves = self.program.iter().flat_map(|p| &p.leaves);
        leaves.filter(|(path, leaf)| is_checked(path, leaf)).map(|(_, leaf)| leaf.var).collect()
    }

    /// The paths of the weights that rules change.
    pub fn learned_weights(&self, b: &Build) -> Vec<String> {
        let Some(program) = &self.program else { return vec![] };
        let learned = b.all().flat_map(|unit| unit.learned.iter().map(|k| (unit.net, *k)));
        let named = learned.map(|(net, k)| format!("{}.{}.w", self.net(net).path, self.net(net).projections[k].name));
        let paths = named.flat_map(|path| [format!("{path}@edges"), path]);
        paths.filter(|path| program.leaves.contains_key(path)).collect()
    }

    /// Storage of the program's own, read as a whole.
    pub fn work(&mut self, path: &str, unit: Unit, shape: &[usize]) -> (nnm_graph::ir::VarId, Num) {
        let leaf = NewLeaf { path, role: Role::Work, unit: unit.clone(), shape, batched: false, home: None };
        let var = self.leaf_var(&leaf);
        let node = self.read_whole(var);
        (var, Num::node(unit, node))
    }
}

fn is_checked(path: &str, leaf: &Leaf) -> bool {
    leaf.role == Role::State && !path.contains('@') && !path.ends_with(".hold") && !path.ends_with(".spike")
}
