//! Rules through the steps of a presentation: states of each connection, eligibilities, and the signals that meet them.
//!
//! An eligibility is the derivative of a target's output by a weight through the target's own states alone. It is carried
//! forward beside the network: `e' = J e + b pre`, J and b the derivatives of one update by the states before it and by
//! what arrives. Its shape is what the equations need: where J and b are the same for all targets, one row of senders.

use std::collections::BTreeMap;

use nnm_graph::ir::{Assign, Binary, NodeId, Op, Place, Stmt, Unary, VarId};
use nnm_graph::{needed, substitute_reads};
use nnm_kir::ir::{Int, SlotId};
use nnm_syntax::ast::{ExprKind, Init};
use nnm_syntax::diag::Diagnostic;

use super::credit::Credit;
use super::meeting::Meeting;
use super::present::Timeline;
use super::target::{Target, What};
use super::{OverTime, Presentation, Reduction, TIME, separate, slot};
use crate::failure::Noted;
use crate::network::FrameId;
use crate::session::{Lazy, ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Num, Owner, PopulationRef, Repr, Value};

/// A reduction with what the objective's derivative by it is, as a stored value.
struct Seed {
    reduction: Reduction,
    by: NodeId,
}

/// What the steps of the sweep do, and where that begins.
#[derive(Default)]
struct Sweep {
    begin: Vec<Assign>,
    step: Vec<Assign>,
    seeds: Vec<Seed>,
}

/// The target population of a connection in a step: its output, its states, and the port at which the connection arrives.
struct Cell {
    out: NodeId,
    port: NodeId,
    /// All ports: derivatives stop there.
    ports: Vec<NodeId>,
    /// The states that its output depends on: storage and value after the step.
    states: Vec<(VarId, NodeId)>,
    /// All states of the population.
    own: Vec<VarId>,
}

impl Session<'_> {
    /// Carries a rule's states through the steps of the presentation, for all its targets.
    pub fn carry_states(
        &mut self,
        p: &Presentation,
        credit: &mut Credit,
        targets: &[Target],
        at: &mut Timeline,
    ) -> Option<()> {
        if p.steps == 0 || credit.rule.dynamics.states.is_empty() {
            return Some(());
        }
        let mut sweep = Sweep::default();
        let again = credit.reads(self, &["post.signal", "Post.signal"]);
        if again {
            sweep.seeds = self.seeds_of(credit, &mut sweep.begin)?;
        }
        for target in targets {
            self.carry_target(p, credit, target, at, &mut sweep)?;
        }
        if !again {
            at.begin.extend(sweep.begin);
            at.step.extend(sweep.step);
            return Some(());
        }
        // What the objective makes of the presentation is known after it: the network goes through it once more.
        let begin = at.initial.iter().cloned().chain(sweep.begin).collect();
        let step = at.new.iter().cloned().chain(sweep.step).collect();
        at.after.push(Stmt::Stage { about: "the presentation once more".into(), assigns: begin });
        let body = vec![Stmt::Stage { about: "step with the rule's states".into(), assigns: step }];
        at.after.push(Stmt::For { index: TIME, from: Int::Const(0), to: Int::Const(p.steps), down: false, body });
        Some(())
    }

    fn seeds_of(&mut self, credit: &Credit, begin: &mut Vec<Assign>) -> Option<Vec<Seed>> {
        let reductions = self.program.as_ref()?.reductions.clone();
        let reads: Vec<NodeId> = reductions.iter().map(|r| r.read).collect();
        let by = self.derivatives(&[(credit.objective?, None)], &reads, credit.span)?;
        let mut out = vec![];
        for (k, (reduction, by)) in reductions.into_iter().zip(by).enumerate() {
            let shape = self.graph.shape(reduction.step).to_vec();
            let var = self.work_var(&format!("over time {k}@signal"), &shape, true, None);
            begin.push(Assign { to: var, place: Place::Whole, add: false, value: by });
            let by = self.read_whole(var);
            out.push(Seed { reduction, by });
        }
        Some(out)
    }

    /// What a reduction hands to this step, or with `ahead` to the next.
    fn seed_at(&mut self, p: &Presentation, seed: &Seed, ahead: bool) -> Option<NodeId> {
        let now = self.graph.count(Int::Loop(TIME));
        let shift = self.graph.constant(f64::from(ahead));
        let at = self.graph.binary(Binary::Add, now, shift).noted(self)?;
        let last = self.graph.constant((p.steps - 1) as f64);
        let zero = self.graph.constant(0.0);
        let (read, value) = match seed.reduction.how {
            OverTime::Last => (self.graph.binary(Binary::Eq, at, last), seed.by),
            OverTime::Sum => (self.graph.binary(Binary::Le, at, last), seed.by),
            OverTime::Mean => {
                let part = self.graph.constant(1.0 / p.steps as f64);
                let value = self.graph.binary(Binary::Mul, part, seed.by).noted(self)?;
                (self.graph.binary(Binary::Le, at, last), value)
            }
            OverTime::Max => (self.graph.binary(Binary::Eq, seed.reduction.step, seed.reduction.read), seed.by),
        };
        let read = read.noted(self)?;
        self.graph.select(read, value, zero).noted(self)
    }

    fn carry_target(
        &mut self,
        p: &Presentation,
        credit: &mut Credit,
        target: &Target,
        at: &Timeline,
        sweep: &mut Sweep,
    ) -> Option<()> {
        let (scope, meeting) = self.formula_names(credit, target)?;
        let wants = |s: &Self, what: &str, matrix: &str| credit.reads(s, &[what, matrix]);
        let (eligibility, signal) = (wants(self, "eligibility", ""), wants(self, "post.signal", "Post.signal"));
        if eligibility || signal {
            let (What::Weight { frame, projection } | What::Bias { frame, projection }) = target.what else {
                return self.needs_connection(credit, target, "post", credit.span);
            };
            let cell = self.cell_of(frame, projection, at)?;
            let Some(meeting) = &meeting else { return None };
            if eligibility {
                let e = self.eligibility(target, scope, meeting, &cell, sweep)?;
                self.bind(scope, "eligibility", Value::Num(e));
            }
            if signal {
                let signal = self.signal(p, credit, frame, projection, &cell, at, sweep)?;
                let signal = self.viewed_or_same(&signal, meeting);
                if let Some(Value::Names(post)) = self.local(scope, "post", credit.span) {
                    self.bind(post, "signal", Value::Num(signal));
                }
            }
        }
        self.carry_rule(credit, target, scope, meeting.as_ref(), sweep)
    }

    fn cell_of(&mut self, frame: FrameId, k: usize, at: &Timeline) -> Option<Cell> {
        let id = self.frame(frame).net;
        let index = self.net(id).projections[k].target;
        let population = self.net(id).populations[index].clone();
        let (port, _) = self.port_at(frame, k)?;
        let nodes = &self.program.as_ref()?.port_nodes;
        let ports = (0..population.ports.len()).filter_map(|k| nodes.get(&(frame, index, k)).copied()).collect();
        let whole = PopulationRef { owner: Owner::Frame(frame), index, cells: None };
        let value = self.population_output(&whole, population.span);
        let num = self.number(value, population.span)?;
        let out = self.lift(&num);
        let base = format!("{}.{}.", self.net(id).path, population.name);
        let leaves = &self.program.as_ref()?.leaves;
        let own: Vec<VarId> = leaves.iter().filter(|(path, _)| path.starts_with(&base)).map(|(_, l)| l.var).collect();
        let mut cell = Cell { out, port, ports, states: vec![], own };
        cell.states = self.states_behind(&cell, at);
        Some(cell)
    }

    /// The population's states on which its output depends, through one another, not through its ports.
    fn states_behind(&self, cell: &Cell, at: &Timeline) -> Vec<(VarId, NodeId)> {
        let mut found: Vec<(VarId, NodeId)> = vec![];
        let mut open = vec![cell.out];
        while let Some(node) = open.pop() {
            for var in self.vars_before(node, &cell.ports) {
                let new = at.new.iter().find(|a| a.to == var && cell.own.contains(&var));
                if let Some(assign) = new.filter(|_| !found.iter().any(|(v, _)| *v == var)) {
                    found.push((var, assign.value));
                    open.push(assign.value);
                }
            }
        }
        found
    }

    /// The vars that a node reads with nothing of `stops` in between.
    fn vars_before(&self, node: NodeId, stops: &[NodeId]) -> Vec<VarId> {
        let (mut open, mut seen, mut vars) = (vec![node], std::collections::BTreeSet::new(), vec![]);
        while let Some(id) = open.pop() {
            if stops.contains(&id) || !seen.insert(id) {
                continue;
            }
            if let Op::Read { var, place: Place::Whole } = &self.graph.node(id).op {
                vars.push(*var);
            }
            open.extend(&self.graph.node(id).args);
        }
        vars
    }

    /// The derivative of the target's output by the weight, as carried up to this step.
    fn eligibility(
        &mut self,
        target: &Target,
        scope: ScopeId,
        meeting: &Meeting,
        cell: &Cell,
        sweep: &mut Sweep,
    ) -> Option<Num> {
        let Some(Value::Names(pre)) = self.local(scope, "pre", Default::default()) else { return None };
        let Some(Value::Num(pre)) = self.local(pre, "y", Default::default()) else { return None };
        let pre = self.lift(&pre);
        let reads: Vec<NodeId> = cell.states.iter().map(|(var, _)| self.read_whole(*var)).collect();
        let by: Vec<NodeId> = reads.iter().chain(&cell.ports).copied().collect();
        let arrives = reads.len() + cell.ports.iter().position(|n| *n == cell.port)?;
        let mut rows = vec![];
        for (_, new) in &cell.states {
            rows.push(self.slopes(*new, &by, meeting)?);
        }
        let last = self.slopes(cell.out, &by, meeting)?;
        // Shapes grow until they are those of the equations.
        let mut shapes: Vec<Option<Vec<usize>>> = vec![None; reads.len()];
        let mut carried: Vec<Option<NodeId>> = vec![None; reads.len()];
        let mut vars: Vec<Option<VarId>> = vec![None; reads.len()];
        loop {
            let mut same = true;
            let mut news = vec![];
            for row in &rows {
                news.push(self.carried(row, &carried, row[arrives], pre)?);
            }
            for (k, new) in news.iter().enumerate() {
                let shape = new.map(|n| self.graph.shape(n).to_vec());
                if shape != shapes[k] {
                    same = false;
                    shapes[k] = shape.clone();
                    let name = format!("{}@eligibility {k}", target.path);
                    vars[k] = shape.map(|shape| self.work_var(&name, &shape, true, None));
                    carried[k] = vars[k].map(|var| self.read_whole(var));
                }
            }
            if same {
                for (var, new) in vars.iter().zip(news) {
                    let (Some(var), Some(value)) = (var, new) else { continue };
                    let shape = self.graph.var(*var).shape.clone();
                    let zero = self.graph.filled(0.0, &shape);
                    sweep.begin.push(Assign { to: *var, place: Place::Whole, add: false, value: zero });
                    sweep.step.push(Assign { to: *var, place: Place::Whole, add: false, value });
                }
                break;
            }
        }
        let node = self.carried(&last, &carried, last[arrives], pre)?;
        let node = node.unwrap_or_else(|| self.graph.constant(0.0));
        Some(Num::node(Self::per(&target.unit), node))
    }

    /// Derivatives of a value of each cell by others of the same cell: columns, or one number where all cells agree.
    fn slopes(&mut self, of: NodeId, by: &[NodeId], meeting: &Meeting) -> Option<Vec<Option<NodeId>>> {
        let shape = self.graph.shape(of).to_vec();
        let one = self.graph.filled(1.0, &shape);
        let found = nnm_graph::grad(&mut self.graph, &[(of, one)], by).noted(self)?;
        let mut out = vec![];
        for slope in found {
            out.push(match slope {
                None => None,
                Some(node) => Some(self.seen_or_number(node, meeting)?),
            });
        }
        Some(out)
    }

    fn seen_or_number(&mut self, node: NodeId, meeting: &Meeting) -> Option<NodeId> {
        let mut inner = node;
        while matches!(self.graph.node(inner).op, Op::Broadcast | Op::Reshape) {
            inner = self.graph.node(inner).args[0];
        }
        if self.graph.shape(inner).is_empty() {
            return Some(inner);
        }
        meeting.target(&mut self.graph, node).noted(self)
    }

    fn viewed_or_same(&mut self, num: &Num, meeting: &Meeting) -> Num {
        match self.shape(num) {
            Some(shape) if !shape.is_empty() => self.viewed(num, Default::default(), |g, n| meeting.target(g, n)),
            _ => num.clone(),
        }
    }

    /// `sum of slope · carried + slope by what arrives · pre`; none where nothing contributes.
    fn carried(
        &mut self,
        slopes: &[Option<NodeId>],
        carried: &[Option<NodeId>],
        arrives: Option<NodeId>,
        pre: NodeId,
    ) -> Option<Option<NodeId>> {
        let own = slopes.iter().zip(carried).filter_map(|(s, c)| Some(((*s)?, (*c)?)));
        let all: Vec<(NodeId, NodeId)> = own.chain(arrives.map(|s| (s, pre))).collect();
        let mut sum: Option<NodeId> = None;
        for (slope, value) in all {
            let part = self.graph.binary(Binary::Mul, slope, value).noted(self)?;
            if matches!(self.graph.node(part).op, Op::Const(0.0)) {
                continue;
            }
            sum = Some(match sum {
                None => part,
                Some(before) => self.graph.binary(Binary::Add, before, part).noted(self)?,
            });
        }
        Some(sum)
    }

    /// Minus the objective's derivative by the target's output, through what this step does with it and no more.
    #[allow(clippy::too_many_arguments)]
    fn signal(
        &mut self,
        p: &Presentation,
        credit: &Credit,
        frame: FrameId,
        k: usize,
        cell: &Cell,
        at: &Timeline,
        sweep: &Sweep,
    ) -> Option<Num> {
        let id = self.frame(frame).net;
        let target = self.net(id).projections[k].target;
        let unit = Self::per(&self.output_unit(&self.net(id).populations[target].clone()));
        let (mut now, mut next) = (vec![], vec![]);
        for seed in &sweep.seeds {
            now.push((seed.reduction.step, self.seed_at(p, seed, false)?));
            next.push((seed.reduction.step, self.seed_at(p, seed, true)?));
        }
        let flows = self.flows_into_next(&next, cell, at)?;
        if let Some((true, expr, span)) = credit.rule.feedback {
            let outputs = self.output_nodes(credit);
            if !outputs.contains(&cell.out) {
                return self.direct_signal(credit, frame, k, expr, span, &outputs, &now, &flows, unit);
            }
        }
        let out = cell.out;
        let seeds: Vec<_> = now.into_iter().chain(flows.iter().map(|f| (f.new, f.seed))).collect();
        let found = nnm_graph::grad(&mut self.graph, &seeds, &[out]).noted(self)?;
        let node = match found.first().copied().flatten() {
            Some(node) => self.graph.unary(Unary::Neg, node).noted(self)?,
            None => self.graph.constant(0.0),
        };
        Some(Num::node(unit, node))
    }

    /// What the objective reads in the next step of states that this one updates, the target's own left out.
    fn flows_into_next(&mut self, next: &[(NodeId, NodeId)], cell: &Cell, at: &Timeline) -> Option<Vec<Flow>> {
        let news: BTreeMap<VarId, NodeId> = at.new.iter().map(|a| (a.to, a.value)).collect();
        let roots: Vec<NodeId> = next.iter().map(|(n, _)| *n).collect();
        let mut states = vec![];
        for id in needed(&self.graph, &roots) {
            if let Op::Read { var, place: Place::Whole } = self.graph.node(id).op.clone()
                && news.contains_key(&var)
                && !cell.own.contains(&var)
                && !self.graph.var(var).name.ends_with(".spike")
            {
                states.push((var, id));
            }
        }
        let reads: Vec<NodeId> = states.iter().map(|(_, id)| *id).collect();
        let slopes = nnm_graph::grad(&mut self.graph, next, &reads).noted(self)?;
        let mut out = vec![];
        for ((var, read), slope) in states.into_iter().zip(slopes) {
            let Some(slope) = slope else { continue };
            let there = |v: VarId, place: &Place| if *place == Place::Whole { news.get(&v).copied() } else { None };
            let seed = substitute_reads(&mut self.graph, slope, &there).noted(self)?;
            out.push(Flow { read, new: news[&var], seed });
        }
        Some(out)
    }

    /// Signals through fixed weights from the objective's outputs straight to the target.
    #[allow(clippy::too_many_arguments)]
    fn direct_signal(
        &mut self,
        credit: &Credit,
        frame: FrameId,
        k: usize,
        expr: nnm_syntax::ast::ExprId,
        span: nnm_syntax::span::Span,
        outputs: &[NodeId],
        now: &[(NodeId, NodeId)],
        flows: &[Flow],
        unit: Unit,
    ) -> Option<Num> {
        let b = self.direct_matrix(credit, frame, k, expr, outputs)?;
        let mut errors = vec![];
        for node in outputs {
            let error = match flows.iter().find(|f| f.read == *node) {
                Some(flow) => flow.seed,
                None => {
                    let found = nnm_graph::grad(&mut self.graph, now, &[*node]).noted(self)?;
                    let shape = self.graph.shape(*node).to_vec();
                    match found.first().copied().flatten() {
                        Some(node) => node,
                        None => self.graph.filled(0.0, &shape),
                    }
                }
            };
            let shape = self.graph.shape(*node).to_vec();
            let length: usize = shape.iter().product();
            let error = self.graph.broadcast_to(error, &shape).noted(self)?;
            errors.push(self.graph.reshape(error, &[length]).noted(self)?);
        }
        let made = self.graph.concat(0, &errors).and_then(|e| self.graph.matmul(b, e));
        match made.and_then(|node| self.graph.unary(Unary::Neg, node)) {
            Ok(node) => Some(Num::node(unit, node)),
            Err(error) => {
                self.error("E0515", span, format!("direct feedback has the shape (target, outputs): {error}"));
                None
            }
        }
    }

    /// The rule's own states of this target: their next values in each step.
    fn carry_rule(
        &mut self,
        credit: &mut Credit,
        target: &Target,
        names: ScopeId,
        meeting: Option<&Meeting>,
        sweep: &mut Sweep,
    ) -> Option<()> {
        let dynamics = credit.rule.dynamics.clone();
        let mut firsts = vec![];
        for decl in &dynamics.states {
            firsts.push(match decl.init {
                Some(Init::Value(e)) => self.operand(names, e)?.num,
                _ => Num::real(0.0),
            });
        }
        let mut shapes: Vec<Vec<usize>> = vec![vec![]; firsts.len()];
        loop {
            let vars: Vec<VarId> = dynamics
                .states
                .iter()
                .zip(&shapes)
                .map(|(decl, shape)| self.work_var(&format!("{}@{}", target.path, decl.name.text), shape, true, None))
                .collect();
            let news = self.next_states(credit, names, &vars, &firsts)?;
            let found: Vec<Vec<usize>> = news.iter().map(|n| self.shape(n).unwrap_or_default()).collect();
            if found != shapes {
                shapes = found;
                continue;
            }
            for (k, decl) in dynamics.states.iter().enumerate() {
                let value = self.lift(&news[k]);
                let first = self.lift(&firsts[k]);
                let read = match self.summed_alone(credit, target, meeting, k, value, &vars, &news)? {
                    Some((var, more)) => {
                        let begin = self.graph.filled(0.0, &target.shape);
                        sweep.begin.push(Assign { to: var, place: Place::Whole, add: false, value: begin });
                        sweep.step.push(Assign { to: var, place: Place::Whole, add: false, value: more });
                        let read = self.read_whole(var);
                        self.as_formula(read, target, meeting)?
                    }
                    None => {
                        let first = self.graph.broadcast_to(first, &shapes[k]).noted(self)?;
                        sweep.begin.push(Assign { to: vars[k], place: Place::Whole, add: false, value: first });
                        sweep.step.push(Assign { to: vars[k], place: Place::Whole, add: false, value });
                        self.read_whole(vars[k])
                    }
                };
                let num = Num { stepwise: false, ..Num::node(news[k].unit.clone(), read) };
                credit.passes.states.insert((target.key(), decl.name.text.clone()), num);
            }
            return Some(());
        }
    }

    /// A tensor of a weight's shape as the formula sees it.
    fn as_formula(&mut self, node: NodeId, target: &Target, meeting: Option<&Meeting>) -> Option<NodeId> {
        let g = &mut self.graph;
        let seen = match (target.what, meeting) {
            (What::Bias { .. }, Some(meeting)) => meeting.bias(g, node),
            (_, Some(meeting)) => meeting.weight(g, node),
            _ => Ok(node),
        };
        seen.noted(self)
    }

    fn next_states(&mut self, credit: &Credit, names: ScopeId, vars: &[VarId], firsts: &[Num]) -> Option<Vec<Num>> {
        let scope = self.inner(names);
        let dynamics = &credit.rule.dynamics;
        // The unit of a state is that of what is added to it, where it begins at 0.
        for ((decl, var), first) in dynamics.states.iter().zip(vars).zip(firsts) {
            let read = self.read_whole(*var);
            let unit = if first.as_f64() == Some(0.0) { Unit::Unknown } else { first.unit.clone() };
            self.bind(scope, decl.name.text.clone(), Value::Num(Num::node(unit, read)));
        }
        self.bind_rule_lets(scope, credit.rule);
        for next in &dynamics.nexts {
            let closure = self.closure(scope, next.value);
            self.bind_lazy(scope, format!("next {}", next.name.text), Lazy::Expr(closure, None));
        }
        let mut out = vec![];
        for (k, decl) in dynamics.states.iter().enumerate() {
            let name = format!("next {}", decl.name.text);
            out.push(match self.local(scope, &name, decl.span) {
                Some(value) => self.number(value, decl.span)?,
                None => {
                    let d =
                        Diagnostic::error("E0589", decl.span, format!("the state `{}` never changes", decl.name.text))
                            .help(format!("say what each step does: `next {} = …`", decl.name.text));
                    self.report(d);
                    firsts.get(k).cloned()?
                }
            });
        }
        Some(out)
    }

    /// A state that only gathers (`next g = g + E`) and is itself the change is summed over the samples at once.
    #[allow(clippy::too_many_arguments)]
    fn summed_alone(
        &mut self,
        credit: &Credit,
        target: &Target,
        meeting: Option<&Meeting>,
        k: usize,
        value: NodeId,
        vars: &[VarId],
        news: &[Num],
    ) -> Option<Option<(VarId, NodeId)>> {
        let (var, name) = (vars[k], credit.rule.dynamics.states[k].name.text.as_str());
        let module = self.modules.item(credit.kind.item).module;
        let is_change = credit.rule.change.as_ref().is_some_and(
            |c| matches!(&self.modules.get(module).file.expr(c.value).kind, ExprKind::Name(n) if n == name),
        );
        let read = self.read_whole(var);
        let node = self.graph.node(value).clone();
        let rest = match node.args.as_slice() {
            [a, b] if node.op == Op::Binary(Binary::Add) && *a == read => *b,
            [a, b] if node.op == Op::Binary(Binary::Add) && *b == read => *a,
            _ => return Some(None),
        };
        let alone = |s: &Self, n: NodeId| !nnm_graph::depends_on(&s.graph, n, &|id, _| id == read);
        let others = vars.iter().zip(news).filter(|(v, _)| **v != var).all(|(_, n)| match n.repr {
            Repr::Node(n) => alone(self, n),
            _ => true,
        });
        if !is_change || !others || !alone(self, rest) {
            return Some(None);
        }
        let count = self.graph.count(Int::Slot(SlotId(slot("batch"))));
        let total = self.work_var(&format!("{}@{name} summed", target.path), &target.shape, false, None);
        let (g, biases) = (&mut self.graph, target.shape.first().copied().unwrap_or(1));
        let sum = match (target.what, meeting) {
            (What::Weight { .. }, Some(meeting)) => meeting.summed(g, rest, &target.shape, count),
            (What::Bias { .. }, Some(meeting)) => meeting.summed_bias(g, rest, biases, count),
            _ => separate::batch_sum(g, rest, &target.shape, count),
        };
        let sum = sum.noted(self)?;
        let mean = self.graph.binary(Binary::Div, sum, count).noted(self)?;
        let before = self.read_whole(total);
        let more = self.graph.binary(Binary::Add, before, mean).noted(self)?;
        Some(Some((total, more)))
    }
}

/// A state that the objective reads in the next step: its value now, after this step, and the derivative by that.
struct Flow {
    read: NodeId,
    new: NodeId,
    seed: NodeId,
}
