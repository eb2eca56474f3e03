//! Rules through the steps of a presentation: states of each connection, eligibilities, and the signals that meet them.
//!
//! An eligibility is the derivative of a target's output by a weight through the target's own states alone. It is carried
//! forward beside the network: `e' = J e + b pre`, J and b the derivatives of one update by the states before it and by
//! what arrives. Its shape is what the equations need: where J and b are the same for all targets, one row of senders.

use std::collections::BTreeMap;

use nnm_graph::ir::{Assign, Binary, NodeId, Op, Place, Stmt, Unary, VarId};
use nnm_graph::{needed, substitute_reads};
use nnm_kir::ir::Int;
use nnm_syntax::ast::{ExprKind, Init};

use super::credit::{Credit, Direct};
use super::formula::Formula;
use super::present::Timeline;
use super::target::{Link, Target};
use super::{OverTime, Presentation, Reduction, TIME};
use crate::failure::Noted;
use crate::session::{Lazy, Session};
use crate::unit::Unit;
use crate::value::{Num, Repr, Value};

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
    /// The rule's states after the last step, by target and name.
    states: BTreeMap<(String, String), Num>,
}

/// The target population of a connection in a step: its output, its states, and the port at which the connection arrives.
struct Cell {
    link: Link,
    out: NodeId,
    /// That of its output.
    unit: Unit,
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
        credit.passes.states = std::mem::take(&mut sweep.states);
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
        credit: &Credit,
        target: &Target,
        at: &Timeline,
        sweep: &mut Sweep,
    ) -> Option<()> {
        let f = self.formula_in_step(credit, target)?;
        let eligibility = credit.reads(self, &["eligibility"]);
        let signal = credit.reads(self, &["post.signal", "Post.signal"]);
        if eligibility || signal {
            let Some(link) = target.link() else {
                return self.needs_connection(credit, target, "post", credit.span);
            };
            let cell = self.cell_of(link, at)?;
            if eligibility {
                let e = self.eligibility(&f, &cell, sweep)?;
                self.bind(f.scope, "eligibility", Value::Num(e));
            }
            if signal {
                let signal = self.signal(p, &f, &cell, at, sweep)?;
                self.bind(f.post, "signal", Value::Num(signal));
            }
        }
        self.carry_rule(&f, sweep)
    }

    fn cell_of(&mut self, link: Link, at: &Timeline) -> Option<Cell> {
        let Link { frame, projection } = link;
        let id = self.frame(frame).net;
        let index = self.net(id).projections[projection].target;
        let population = self.net(id).populations[index].clone();
        let (port, _) = self.port_at(link)?;
        let nodes = &self.program.as_ref()?.port_nodes;
        let ports = (0..population.ports.len()).filter_map(|k| nodes.get(&(frame, index, k)).copied()).collect();
        let num = self.output_of(link)?;
        let out = self.lift(&num);
        let base = format!("{}.{}.", self.net(id).path, population.name);
        let leaves = &self.program.as_ref()?.leaves;
        let own: Vec<VarId> = leaves.iter().filter(|(path, _)| path.starts_with(&base)).map(|(_, l)| l.var).collect();
        let mut cell = Cell { link, out, unit: num.unit, port, ports, states: vec![], own };
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
    fn eligibility(&mut self, f: &Formula, cell: &Cell, sweep: &mut Sweep) -> Option<Num> {
        let Some(Value::Num(pre)) = self.local(f.pre, "slope", f.span()) else { return None };
        let pre = self.lift(&pre);
        let reads: Vec<NodeId> = cell.states.iter().map(|(var, _)| self.read_whole(*var)).collect();
        let by: Vec<NodeId> = reads.iter().chain(&cell.ports).copied().collect();
        let arrives = reads.len() + cell.ports.iter().position(|n| *n == cell.port)?;
        let mut rows = vec![];
        for (_, new) in &cell.states {
            rows.push(self.slopes(f, *new, &by)?);
        }
        let last = self.slopes(f, cell.out, &by)?;
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
                    let name = format!("{}@eligibility {k}", f.target.path);
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
        Some(Num::node(Self::per(&f.target.unit), node))
    }

    /// Derivatives of a value of each cell by others of the same cell: columns, or one number where all cells agree.
    fn slopes(&mut self, f: &Formula, of: NodeId, by: &[NodeId]) -> Option<Vec<Option<NodeId>>> {
        let shape = self.graph.shape(of).to_vec();
        let one = self.graph.filled(1.0, &shape);
        let found = nnm_graph::grad(&mut self.graph, &[(of, one)], by).noted(self)?;
        let mut out = vec![];
        for slope in found {
            out.push(match slope {
                None => None,
                Some(node) => Some(self.seen_or_number(f, node)?),
            });
        }
        Some(out)
    }

    fn seen_or_number(&mut self, f: &Formula, node: NodeId) -> Option<NodeId> {
        let mut inner = node;
        while matches!(self.graph.node(inner).op, Op::Broadcast | Op::Reshape) {
            inner = self.graph.node(inner).args[0];
        }
        if self.graph.shape(inner).is_empty() {
            return Some(inner);
        }
        f.of_targets(&mut self.graph, node).noted(self)
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
    fn signal(&mut self, p: &Presentation, f: &Formula, cell: &Cell, at: &Timeline, sweep: &Sweep) -> Option<Num> {
        let (mut now, mut next) = (vec![], vec![]);
        for seed in &sweep.seeds {
            now.push((seed.reduction.step, self.seed_at(p, seed, false)?));
            next.push((seed.reduction.step, self.seed_at(p, seed, true)?));
        }
        let flows = self.flows_into_next(&next, cell, at)?;
        let node = match self.direct_feedback(f.credit, cell.link, cell.out) {
            Some(direct) => self.direct_signal(f, &direct, cell, &now, &flows)?,
            None => {
                let seeds: Vec<_> = now.into_iter().chain(flows.iter().map(|f| (f.new, f.seed))).collect();
                let found = nnm_graph::grad(&mut self.graph, &seeds, &[cell.out]).noted(self)?;
                match found.first().copied().flatten() {
                    Some(node) => node,
                    None => self.graph.constant(0.0),
                }
            }
        };
        let node = self.graph.unary(Unary::Neg, node).noted(self)?;
        let node = self.seen_or_number(f, node)?;
        Some(Num::node(Self::per(&cell.unit), node))
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

    /// The objective's derivatives at its outputs, through fixed weights straight to the target.
    fn direct_signal(
        &mut self,
        f: &Formula,
        direct: &Direct,
        cell: &Cell,
        now: &[(NodeId, NodeId)],
        flows: &[Flow],
    ) -> Option<NodeId> {
        let mut errors = vec![];
        for node in &direct.outputs {
            let error = match flows.iter().find(|f| f.read == *node) {
                Some(flow) => flow.seed,
                None => {
                    let seeds: Vec<_> = now.iter().map(|(node, seed)| (*node, Some(*seed))).collect();
                    self.derivatives(&seeds, &[*node], f.span())?[0]
                }
            };
            let shape = self.graph.shape(*node).to_vec();
            let length: usize = shape.iter().product();
            let error = self.graph.broadcast_to(error, &shape).noted(self)?;
            errors.push(self.graph.reshape(error, &[length]).noted(self)?);
        }
        let errors = self.graph.concat(0, &errors).noted(self)?;
        let shape = self.graph.shape(cell.out).to_vec();
        self.brought(f.credit, direct, errors, &shape)
    }

    /// The rule's own states of this target: their next values in each step.
    fn carry_rule(&mut self, f: &Formula, sweep: &mut Sweep) -> Option<()> {
        let (dynamics, target) = (&f.credit.rule.dynamics, f.target);
        let mut firsts = vec![];
        for decl in &dynamics.states {
            firsts.push(match decl.init {
                Some(Init::Value(e)) => self.operand(f.scope, e)?.num,
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
            let news = self.next_states(f, &vars, &firsts)?;
            let found: Vec<Vec<usize>> = news.iter().map(|n| self.shape(n).unwrap_or_default()).collect();
            if found != shapes {
                shapes = found;
                continue;
            }
            for (k, decl) in dynamics.states.iter().enumerate() {
                let value = self.lift(&news[k]);
                let first = self.lift(&firsts[k]);
                let read = match self.summed_alone(f, k, &vars, &news)? {
                    Some((var, more)) => {
                        let begin = self.graph.filled(0.0, &target.shape);
                        sweep.begin.push(Assign { to: var, place: Place::Whole, add: false, value: begin });
                        sweep.step.push(Assign { to: var, place: Place::Whole, add: false, value: more });
                        let read = self.read_whole(var);
                        f.own(&mut self.graph, read).noted(self)?
                    }
                    None => {
                        let first = self.graph.broadcast_to(first, &shapes[k]).noted(self)?;
                        sweep.begin.push(Assign { to: vars[k], place: Place::Whole, add: false, value: first });
                        sweep.step.push(Assign { to: vars[k], place: Place::Whole, add: false, value });
                        self.read_whole(vars[k])
                    }
                };
                let num = Num { stepwise: false, ..Num::node(news[k].unit.clone(), read) };
                sweep.states.insert((target.key(), decl.name.text.clone()), num);
            }
            return Some(());
        }
    }

    fn next_states(&mut self, f: &Formula, vars: &[VarId], firsts: &[Num]) -> Option<Vec<Num>> {
        let scope = self.inner(f.scope);
        let dynamics = &f.credit.rule.dynamics;
        // The unit of a state is that of what is added to it, where it begins at 0.
        for ((decl, var), first) in dynamics.states.iter().zip(vars).zip(firsts) {
            let read = self.read_whole(*var);
            let unit = if first.as_f64() == Some(0.0) { Unit::Unknown } else { first.unit.clone() };
            self.bind(scope, decl.name.text.clone(), Value::Num(Num::node(unit, read)));
        }
        self.bind_rule_lets(scope, f.credit.rule);
        for next in &dynamics.nexts {
            let closure = self.closure(scope, next.value);
            self.bind_lazy(scope, format!("next {}", next.name.text), Lazy::Expr(closure, None));
        }
        let mut out = vec![];
        for (k, decl) in dynamics.states.iter().enumerate() {
            let name = format!("next {}", decl.name.text);
            out.push(match self.local(scope, &name, decl.span) {
                Some(value) => self.number(value, decl.span)?,
                // What only events change stays as it is here.
                None => firsts.get(k).cloned()?,
            });
        }
        Some(out)
    }

    /// A state that only gathers (`next g = g + E`) and is itself the change is summed over the samples at once.
    fn summed_alone(&mut self, f: &Formula, k: usize, vars: &[VarId], news: &[Num]) -> Option<Option<(VarId, NodeId)>> {
        let (credit, target) = (f.credit, f.target);
        if self.program.as_ref().is_some_and(|p| p.world.is_some()) {
            // There each step's value counts, not the last one.
            return Some(None);
        }
        let (var, name) = (vars[k], credit.rule.dynamics.states[k].name.text.as_str());
        let value = self.lift(&news[k]);
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
        let total = self.work_var(&format!("{}@{name} summed", target.path), &target.shape, false, None);
        let mean = f.mean(&mut self.graph, rest).noted(self)?;
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
