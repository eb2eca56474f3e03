//! Environments: a world and the networks in it advance together, one step after the other, a batch of episodes at a time.
//!
//! A step observes, acts, advances the world's equations, and then earns the reward of the new state and sees whether it is
//! the end. After its end an episode stands still: its state is held, its rewards are 0.

use std::sync::Arc;

use indexmap::IndexMap;
use nnm_graph::ir::{Assign, Binary, NodeId, Place, Unary, Var, VarElem, VarId};
use nnm_kir::ir::Int;
use nnm_syntax::ast::{ExprId, Init};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::act::Act;
use super::{Presentation, ROUND, TIME};
use crate::dynamics::Equation;
use crate::eval::Call;
use crate::failure::Noted;
use crate::hir::{Environment, ItemId, ItemKind};
use crate::network::{Given, NetId};
use crate::program::{NewLeaf, Program, Purpose, Role};
use crate::session::{Lazy, ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Kind, Num, Value};

/// `World(step = 20 ms, max_steps = 500)`.
#[derive(Clone, Debug)]
pub struct Setting {
    pub kind: Arc<Kind>,
    pub steps: i64,
    pub dt: Option<f64>,
    pub span: Span,
}

/// A world in the program being built.
#[derive(Clone, Debug)]
pub struct World {
    /// 1 while the episode goes on, as of the step's beginning.
    pub alive: NodeId,
    /// What this step earns.
    pub reward: NodeId,
    /// The sum of an episode's rewards, once its steps are over.
    pub earned: VarId,
    /// Sums of what is still to come.
    pub sums: Vec<ToCome>,
    /// Values after a step of all that a step reads, and of the sums over the episode.
    pub states: Vec<Assign>,
    pub totals: Vec<Assign>,
    pub initial: Vec<Assign>,
}

/// `discounted(x, g)`: x of this step plus g times the same of the next; `following(x)`: x of the next step.
#[derive(Clone, Debug)]
pub struct ToCome {
    pub of: NodeId,
    /// None for the next step's value alone.
    pub factor: Option<NodeId>,
    pub var: VarId,
    pub read: NodeId,
}

/// Who acts, as the last training in a world said.
#[derive(Clone, Debug)]
pub struct Actor {
    pub net: NetId,
    pub given: Vec<Given>,
    pub acts: Vec<Act>,
}

/// The names of a world in one step.
struct Step<'w> {
    item: ItemId,
    world: &'w Environment,
    scope: ScopeId,
    states: IndexMap<String, Num>,
    span: Span,
}

impl Session<'_> {
    /// What stands after `in`: an environment with its step and its longest episode.
    pub fn world_setting(&mut self, scope: ScopeId, expr: ExprId) -> Option<Setting> {
        let span = self.expr_span(scope, expr);
        let kind = match self.eval(scope, expr) {
            Value::Kind(kind) if self.item_word(kind.item) == "environment" => kind,
            Value::Missing => return None,
            other => {
                let message = format!("`in` takes an environment, found {}", other.describe());
                let d = Diagnostic::error("E0543", span, message)
                    .help("`train net in CartPole(step = 20 ms, max_steps = 500)`");
                self.report(d);
                return None;
            }
        };
        let given = |name: &str| kind.args.iter().find(|(n, _)| n == name).map(|(_, a)| a.clone());
        let steps = match given("max_steps").map(|a| self.argument_value(&a)) {
            Some(Value::Num(num)) => num.as_f64().filter(|n| num.unit.is_real() && *n >= 1.0 && n.fract() == 0.0),
            _ => None,
        };
        let Some(steps) = steps else {
            let message =
                format!("how long may an episode in `{}` be? `max_steps` is a whole number from 1 on", kind.text);
            let d = Diagnostic::error("E0575", span, message).help("`World(max_steps = 500)`");
            self.report(d);
            return None;
        };
        let ms = Unit::parse("ms").unwrap_or(Unit::REAL);
        let dt = match given("step").map(|a| self.argument_value(&a)) {
            Some(Value::Num(num)) if num.unit.fits(&ms) => num.as_f64().filter(|x| *x > 0.0),
            Some(_) => {
                self.error("E0575", span, "`step` of an environment is a time: `step = 20 ms`");
                return None;
            }
            None => None,
        };
        if let (ItemKind::Environment(world), None) = (&self.modules.item(kind.item).kind, dt)
            && let Some(equation) = world.dynamics.equations.first().cloned()
        {
            let d = Diagnostic::error(
                "E0575",
                span,
                "this environment has equations in time: say its step, `step = 20 ms`",
            )
            .label(equation.span, "such as this one");
            self.report(d);
            return None;
        }
        Some(Setting { kind, steps: steps as i64, dt, span })
    }

    /// Begins a program in which networks act in a world: `rows` episodes, `batch` of them at a time.
    pub fn begin_world(
        &mut self,
        scope: ScopeId,
        place: &Setting,
        nets: &[(NetId, Vec<Given>)],
        acts: &[Act],
        [rows, batch]: [usize; 2],
        training: bool,
    ) -> Option<Presentation> {
        let mut program = Program::new(Purpose::Samples { training }, true);
        program.stepped = true;
        program.dt = place.dt;
        if !training {
            program.salt = ".evaluation".into();
        }
        program.presentation = Int::Loop(ROUND);
        program.step = Int::Loop(ROUND);
        self.program = Some(program);
        let inner = self.inner(scope);
        let index = self.graph.add_var(Var {
            name: "rows".into(),
            elem: VarElem::Index,
            shape: vec![rows],
            batched: false,
            times: None,
        });
        let p = Presentation {
            scope: inner,
            fields: vec![],
            rows,
            batch,
            steps: place.steps,
            dt: place.dt,
            truncate: None,
            index,
            tables: vec![],
        };
        if let (true, Some((per_epoch, updates))) = (training, self.schedule.take()) {
            self.bind_schedule(inner, per_epoch, updates);
        }
        self.put_into_world(&p, place, nets, acts)?;
        Some(p)
    }

    fn put_into_world(
        &mut self,
        p: &Presentation,
        place: &Setting,
        nets: &[(NetId, Vec<Given>)],
        acts: &[Act],
    ) -> Option<()> {
        let item = self.modules.item(place.kind.item).clone();
        let ItemKind::Environment(world) = &item.kind else { return None };
        let name = item.name.text.clone();
        let scope = self.world_scope(place.kind.item, world, &place.kind)?;
        let mut initial = vec![];
        let states = self.world_states(scope, world, &name, &mut initial)?;
        // From here on draws are those of a step.
        let per_round = Int::Mul(Box::new(Int::Loop(ROUND)), Box::new(Int::Const(p.steps)));
        self.program.as_mut()?.step = Int::Add(Box::new(per_round), Box::new(Int::Loop(TIME)));
        self.bind_time(scope);
        let alive = self.world_var(&name, "alive", 1.0, &mut initial);
        let earned_before = self.world_var(&name, "reward", 0.0, &mut initial);
        let earned = self.world_var(&name, "episode_return", 0.0, &mut initial);
        let lasted = self.world_var(&name, "episode_steps", 0.0, &mut initial);
        let step = Step { item: place.kind.item, world, scope, states, span: place.span };
        let observation = self.observation(&step)?;
        let going = self.read_whole(alive);
        let over = self.graph.unary(Unary::Not, going).noted(self)?;
        let last_reward = self.read_whole(earned_before);
        for (name, num) in [
            ("observation", observation),
            ("reward", Num::node(Unit::REAL, last_reward)),
            ("done", Num::node(Unit::REAL, over)),
        ] {
            self.bind(p.scope, name, Value::Num(Num { stepwise: true, ..num }));
        }
        for (name, var) in [("episode_return", earned), ("episode_steps", lasted)] {
            let read = self.read_whole(var);
            self.bind(p.scope, name, Value::Num(Num::node(Unit::REAL, read)));
        }
        for (net, givens) in nets {
            let frame = self.frame_of(*net);
            self.give(p, frame, givens, None)?;
        }
        let actions = self.actions_of(p, step.scope, &world.actions, acts, place.span)?;
        for (name, num) in &actions {
            self.bind(step.scope, name.clone(), Value::Num(num.clone()));
            self.bind(p.scope, name.clone(), Value::Num(Num { stepwise: true, ..num.clone() }));
        }
        let new = self.advanced_world(&step, place.dt)?;
        let (reward, done) = self.outcome_of_step(&step, &new, &actions)?;
        let zero = self.graph.constant(0.0);
        let reward = self.graph.select(going, reward, zero).noted(self)?;
        let mut states = self.unless_over(&step, &name, new, going)?;
        let still = self.graph.unary(Unary::Not, done).noted(self)?;
        let still = self.graph.binary(Binary::And, going, still).noted(self)?;
        states.push(Assign { to: alive, place: Place::Whole, add: false, value: still });
        states.push(Assign { to: earned_before, place: Place::Whole, add: false, value: reward });
        let mut totals = vec![];
        for (var, by) in [(earned, reward), (lasted, going)] {
            let before = self.read_whole(var);
            let value = self.graph.binary(Binary::Add, before, by).noted(self)?;
            totals.push(Assign { to: var, place: Place::Whole, add: false, value });
        }
        self.program.as_mut()?.world =
            Some(World { alive: going, reward, earned, sums: vec![], states, totals, initial });
        Some(())
    }

    /// The world's states after a step; those of an episode that is over stand still.
    fn unless_over(
        &mut self,
        step: &Step,
        world: &str,
        new: IndexMap<String, Num>,
        going: NodeId,
    ) -> Option<Vec<Assign>> {
        let mut states = vec![];
        for ((state, old), value) in step.states.iter().zip(new.values()) {
            let var = self.leaf_of(&format!("{world}.{state}"))?.var;
            let (old, value) = (self.lift(old), self.lift(value));
            let value = self.graph.select(going, value, old).noted(self)?;
            states.push(Assign { to: var, place: Place::Whole, add: false, value });
        }
        Some(states)
    }

    fn world_scope(&mut self, item: ItemId, world: &Environment, kind: &Kind) -> Option<ScopeId> {
        let declared = self.modules.item(item).clone();
        let scope = self.scope(declared.module, None);
        self.scopes[scope.0 as usize].owner = Some(declared.name.text.clone());
        let errors = self.error_count();
        self.bind_kind_params(&declared, &world.dynamics.params, kind, scope);
        self.bind_time(scope);
        (self.error_count() == errors).then_some(scope)
    }

    /// Storage of a world's states, drawn anew for each episode.
    fn world_states(
        &mut self,
        scope: ScopeId,
        world: &Environment,
        name: &str,
        initial: &mut Vec<Assign>,
    ) -> Option<IndexMap<String, Num>> {
        let mut states = IndexMap::new();
        for decl in &world.dynamics.states {
            let q = self.quantity_of_cell(decl, scope)?;
            let inner = self.inner(scope);
            if !q.shape.is_empty() {
                // A draw has the shape of the cells that it is about.
                let size: usize = q.shape.iter().product();
                let places = crate::value::shaped(&q.shape, (0..size).map(|k| k as f64).collect());
                self.bind(inner, "index", Value::Num(Num::array(Unit::REAL, places)));
            }
            let first = match decl.init {
                Some(Init::Value(e) | Init::Draw(e)) => self.operand(inner, e)?.num,
                None => Num::scalar(Unit::Zero, 0.0),
            };
            let declared = crate::eval::types::Declared {
                unit: q.unit.clone(),
                shape: q.shape.clone(),
                ..crate::eval::types::Declared::real()
            };
            let first = self.hold_number(first, &declared, decl.name.span, decl.span)?;
            let path = format!("{name}.{}", decl.name.text);
            let leaf =
                NewLeaf { path: &path, role: Role::State, unit: q.unit, shape: &q.shape, batched: true, home: None };
            let num = self.leaf(leaf);
            let node = self.lift(&first);
            let value = self.graph.broadcast_to(node, &q.shape).noted(self)?;
            let to = self.leaf_of(&path)?.var;
            initial.push(Assign { to, place: Place::Whole, add: false, value });
            self.bind(scope, decl.name.text.clone(), Value::Num(num.clone()));
            states.insert(decl.name.text.clone(), num);
        }
        self.bind_world_lets(scope, world);
        Some(states)
    }

    fn bind_world_lets(&mut self, scope: ScopeId, world: &Environment) {
        for decl in &world.dynamics.lets {
            if let Some(Init::Value(e)) = decl.init {
                let closure = self.closure(scope, e);
                self.bind_lazy(scope, decl.name.text.clone(), Lazy::Expr(closure, decl.ty.clone()));
            }
        }
        for next in &world.dynamics.nexts {
            let closure = self.closure(scope, next.value);
            self.bind_lazy(scope, format!("next {}", next.name.text), Lazy::Expr(closure, None));
        }
    }

    /// A number that goes along with each episode.
    fn world_var(&mut self, world: &str, name: &str, first: f64, initial: &mut Vec<Assign>) -> VarId {
        let var = self.work_var(&format!("{world}.{name}"), &[], true, None);
        let value = self.graph.constant(first);
        initial.push(Assign { to: var, place: Place::Whole, add: false, value });
        var
    }

    fn observation(&mut self, step: &Step) -> Option<Num> {
        match step.world.observe {
            Some(e) => Some(self.operand(step.scope, e)?.num),
            None => {
                let declared = self.modules.item(step.item).name.clone();
                let message = format!("`{}` shows nothing of itself: it needs `observe`", declared.text);
                let d = Diagnostic::error("E0576", step.span, message).label(declared.span, "declared here");
                self.report(d);
                None
            }
        }
    }

    /// The world's states after a step, in the order of the declarations.
    fn advanced_world(&mut self, step: &Step, dt: Option<f64>) -> Option<IndexMap<String, Num>> {
        let dynamics = &step.world.dynamics;
        let seconds = Unit::parse("s").unwrap_or(Unit::REAL);
        let mut equations = vec![];
        for equation in &dynamics.equations {
            let name = &equation.name.text;
            let Some(state) = step.states.get(name).cloned() else {
                self.error("E0431", equation.span, format!("`{name}'` needs `state {name}`"));
                return None;
            };
            let right = self.operand(step.scope, equation.value)?;
            let wanted = state.unit.over(&seconds);
            if !right.num.unit.fits(&wanted) {
                let (found, wanted) = (right.num.unit.describe(), wanted.describe());
                let message = format!("`{name}'` is in {wanted}, this is in {found}");
                self.error("E0312", right.span, message);
                return None;
            }
            let shape = self.shape(&state).unwrap_or_default();
            let rate = self.to_shape(right.num, &shape, equation.span);
            let (node, rate) = (self.lift(&state), self.lift(&rate));
            let method = self.method_of(step.scope, &dynamics.solves, name);
            let (name, unit) = (name.clone(), state.unit.shown().factor);
            equations.push(Equation {
                name,
                state: node,
                rate,
                held: None,
                ceiling: None,
                mixed: false,
                method,
                unit,
                span: equation.span,
            });
        }
        let mut new = step.states.clone();
        let advanced = match self.advance(&equations, &[], dt.unwrap_or(1.0)) {
            Ok((advanced, _)) => advanced,
            Err(error) => {
                self.error("E0301", step.span, error.to_string());
                return None;
            }
        };
        for (equation, node) in equations.iter().zip(advanced) {
            let unit = step.states.get(&equation.name)?.unit.clone();
            new.insert(equation.name.clone(), Num::node(unit, node));
        }
        for next in &dynamics.nexts {
            let Some(state) = step.states.get(&next.name.text).cloned() else {
                self.error("E0431", next.span, format!("`next {0}` needs `state {0}`", next.name.text));
                return None;
            };
            let value = self.local(step.scope, &format!("next {}", next.name.text), next.span)?;
            let num = self.number(value, next.span)?;
            let declared =
                crate::eval::types::Declared { unit: state.unit.clone(), ..crate::eval::types::Declared::real() };
            let num = self.hold_number(num, &declared, next.span, next.span)?;
            let shape = self.shape(&state).unwrap_or_default();
            new.insert(next.name.text.clone(), self.to_shape(num, &shape, next.span));
        }
        Some(new)
    }

    /// Reward and end, of the new state: `before x` is the old.
    fn outcome_of_step(
        &mut self,
        step: &Step,
        new: &IndexMap<String, Num>,
        actions: &[(String, Num)],
    ) -> Option<(NodeId, NodeId)> {
        let scope = self.inner(step.scope);
        for ((name, old), new) in step.states.iter().zip(new.values()) {
            self.bind(scope, format!("before {name}"), Value::Num(old.clone()));
            self.bind(scope, name.clone(), Value::Num(new.clone()));
        }
        for (name, num) in actions {
            self.bind(scope, name.clone(), Value::Num(num.clone()));
        }
        self.bind_world_lets(scope, step.world);
        let reward = match step.world.reward {
            Some(e) => self.scalar_of_world(scope, e, "a reward")?,
            None => self.graph.constant(0.0),
        };
        let done = match step.world.done {
            Some(e) => self.scalar_of_world(scope, e, "`done when`")?,
            None => self.graph.constant(0.0),
        };
        Some((reward, done))
    }

    fn scalar_of_world(&mut self, scope: ScopeId, e: ExprId, what: &str) -> Option<NodeId> {
        let x = self.operand(scope, e)?;
        if !x.num.unit.is_real() {
            let message = format!("{what} is a plain number, not in {}", x.num.unit.describe());
            self.error("E0576", x.span, message);
            return None;
        }
        if let Some(shape) = self.shape(&x.num).filter(|s| !s.is_empty()) {
            let found = crate::eval::types::shape_text(&shape);
            self.error("E0576", x.span, format!("{what} is one number for each episode, this is {found}"));
            return None;
        }
        Some(self.lift(&x.num))
    }

    /// `discounted(reward, g)`: what this step earns, plus g times the same of the next step, to the episode's end.
    pub fn discounted(&mut self, call: &Call) -> Value {
        if self.lone_rule {
            return self.earned_somewhere(call);
        }
        let (Some(x), Some(g)) = (self.earned(call, "reward"), self.num_arg(call, 1, "g")) else {
            return Value::Missing;
        };
        if self.plain(&g, "discounted").is_none() {
            return Value::Missing;
        }
        let factor = self.lift(&g.num);
        if self.graph.constant_value(factor) == Some(0.0) {
            // This step's alone is known in the step.
            return Value::Num(Num { stepwise: true, ..Num::node(Unit::REAL, x) });
        }
        self.known_later(x, Some(factor))
    }

    /// `following(x)`: x of the next step, 0 after the episode's end.
    pub fn following(&mut self, call: &Call) -> Value {
        if self.lone_rule {
            return self.earned_somewhere(call);
        }
        match self.earned(call, "x") {
            Some(x) => self.known_later(x, None),
            None => Value::Missing,
        }
    }

    /// In a rule on its own there is no environment yet: what is looked at is, all the same.
    fn earned_somewhere(&mut self, call: &Call) -> Value {
        let scope = self.inner(call.scope);
        self.bind(scope, "reward", Value::Num(Num::unknown(Unit::REAL)));
        self.num_arg(&Call { scope, ..call.clone() }, 0, "x");
        Value::Num(Num::unknown(Unit::REAL))
    }

    /// What is looked at later: a plain number of a step, in which `reward` is what that step earns.
    fn earned(&mut self, call: &Call, what: &str) -> Option<NodeId> {
        let Some(world) = self.program.as_ref().and_then(|p| p.world.clone()) else {
            let message = format!("`{}` is about what follows in an environment, and there is none here", call.name);
            let d = Diagnostic::error("E0577", call.span, message)
                .help("`train net in World(…) { maximize discounted(reward, 0.99) by … }`");
            self.report(d);
            return None;
        };
        let scope = self.inner(call.scope);
        self.bind(scope, "reward", Value::Num(Num { stepwise: true, ..Num::node(Unit::REAL, world.reward) }));
        let x = self.num_arg(&Call { scope, ..call.clone() }, 0, what)?;
        self.plain(&x, &call.name)?;
        let x = self.lift(&x.num);
        self.graph.binary(Binary::Mul, world.alive, x).noted(self)
    }

    fn known_later(&mut self, of: NodeId, factor: Option<NodeId>) -> Value {
        let sums = self.program.iter().filter_map(|p| p.world.as_ref()).flat_map(|w| &w.sums);
        let (known, count) = sums.fold((None, 0), |(known, count), s| {
            (known.or((s.of == of && s.factor == factor).then_some(s.read)), count + 1)
        });
        let read = known.unwrap_or_else(|| {
            let shape = self.graph.shape(of).to_vec();
            let var = self.work_var(&format!("to come {count}"), &shape, true, None);
            let read = self.read_whole(var);
            if let Some(world) = self.program.as_mut().and_then(|p| p.world.as_mut()) {
                world.sums.push(ToCome { of, factor, var, read });
            }
            read
        });
        Value::Num(Num { stepwise: true, ..Num::node(Unit::REAL, read) })
    }

    /// An environment on its own: its equations, reward and end are looked at, whether or not anything acts in it.
    pub fn check_environment(&mut self, item: ItemId) {
        let declared = self.modules.item(item).clone();
        let ItemKind::Environment(world) = &declared.kind else { return };
        let graph = std::mem::take(&mut self.graph);
        let mut program = Program::new(Purpose::Probe, true);
        program.dt = Some(1e-3);
        let outer = self.program.replace(program);
        let text = declared.name.text.as_str().into();
        let kind = Kind { item, args: vec![], span: declared.name.span, text };
        self.check_world(item, world, &kind);
        self.graph = graph;
        self.program = outer;
    }

    fn check_world(&mut self, item: ItemId, world: &Environment, kind: &Kind) -> Option<()> {
        let scope = self.world_scope(item, world, kind)?;
        let mut initial = vec![];
        let states = self.world_states(scope, world, &kind.text, &mut initial)?;
        let step = Step { item, world, scope, states, span: kind.span };
        let mut actions = vec![];
        for decl in &world.actions {
            let declared = match &decl.ty {
                Some(ty) => self.declared(scope, ty)?,
                None => crate::eval::types::Declared::real(),
            };
            let num = Num { class: declared.class, ..Num::unknown(declared.unit) };
            self.bind(scope, decl.name.text.clone(), Value::Num(num.clone()));
            actions.push((decl.name.text.clone(), num));
        }
        self.observation(&step)?;
        let new = self.advanced_world(&step, Some(1e-3))?;
        self.outcome_of_step(&step, &new, &actions)?;
        Some(())
    }
}
