//! Further passes that a rule asks for: noise, and the network once more with something changed.

use std::collections::BTreeMap;

use nnm_graph::ir::{Assign, Binary, NodeId, Op, Place, VarId};
use nnm_graph::{Built, rewrite, substitute};
use nnm_syntax::ast::{self, AssignOp, Init, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::credit::Credit;
use super::formula::Formula;
use super::present::Timeline;
use super::settle::Settled;
use super::target::{Link, Target, What};
use super::{OverTime, Presentation, Reduction};
use crate::failure::Noted;
use crate::hir::Decl;
use crate::session::{Naming, Session};
use crate::unit::Unit;
use crate::value::{Num, Value, shaped};

/// What a rule's passes gave, for the formulas of its connections.
#[derive(Clone, Debug, Default)]
pub struct Passes {
    /// Draws, by the noise's name and the place that it is for.
    noises: BTreeMap<String, Num>,
    /// The objective of each `perturbed`, by its name.
    pub perturbed: Vec<(String, NodeId)>,
    pub settled: Vec<Settled>,
    /// States of each connection after the presentation, by target path and name.
    pub states: BTreeMap<(String, String), Num>,
}

/// What a `perturbed` block puts in the place of values of the network, each in terms of the value itself.
type Exchange = BTreeMap<NodeId, NodeId>;

impl Session<'_> {
    /// Carries out the passes that a rule asks for, before its formulas are looked at.
    pub fn passes(
        &mut self,
        p: &Presentation,
        credit: &mut Credit,
        targets: &[Target],
        at: &mut Timeline,
    ) -> Option<()> {
        let rule = credit.rule;
        for target in targets {
            for decl in &rule.noises {
                self.draw_noise(credit, decl, target)?;
            }
        }
        self.carry_states(p, credit, targets, at)?;
        for (name, block) in &rule.perturbed {
            let objective = self.perturbed_objective(p, credit, targets, block, at)?;
            credit.passes.perturbed.push((name.text.clone(), objective));
        }
        for settle in &rule.settles {
            let settled = self.settle_activities(p, credit, targets, settle, at)?;
            credit.passes.settled.push(settled);
        }
        Some(())
    }

    /// Where a noise is drawn: for each weight, or for each cell of the target population.
    fn noise_place(&mut self, credit: &Credit, decl: &Decl, target: &Target) -> Option<(String, Vec<usize>, bool)> {
        let like = decl.ty.as_ref().map(|t| self.text(t.span).to_string()).unwrap_or_default();
        match (like.as_str(), target.what) {
            ("like w", What::Bias(_)) => {
                Some((format!("{}@{}", decl.name.text, target.path), vec![target.rows(), 1], false))
            }
            ("like w", _) => Some((format!("{}@{}", decl.name.text, target.path), target.shape.clone(), false)),
            ("like post", What::Weight(Link { frame, projection }) | What::Bias(Link { frame, projection })) => {
                let net = self.net(self.frame(frame).net);
                let p = &net.projections[projection];
                let population = &net.populations[p.target];
                let port = p.port.map_or(String::new(), |k| population.ports[k].name.clone());
                let place = format!("{}@{}.{}.{port}", decl.name.text, net.path, population.name);
                Some((place, vec![population.size(), 1], true))
            }
            ("like post", What::Plain) => self.needs_connection(credit, target, &decl.name.text, decl.span),
            _ => {
                let d =
                    Diagnostic::error("E0581", decl.span, "noise is drawn for each weight or for each target neuron")
                        .help(format!("`noise {0}: like w ~ …` or `noise {0}: like post ~ …`", decl.name.text));
                self.report(d);
                None
            }
        }
    }

    /// A rule reads or changes what only a connection has, and is to act on a weight that is none.
    pub fn needs_connection<T>(&mut self, credit: &Credit, target: &Target, what: &str, place: Span) -> Option<T> {
        let (rule, path) = (&credit.kind.text, &target.path);
        let message = format!("`{rule}` needs a connection: `{path}` is a plain weight, with no neuron behind it");
        let d = Diagnostic::error("E0582", credit.span, message)
            .label(place, format!("`{what}` belongs to the target neuron of a connection"))
            .help("name the connections that it is for: `minimize … over net.x_h by …`");
        self.report(d);
        None
    }

    /// Draws one noise for one target, unless another target of the same cells has it already.
    fn draw_noise(&mut self, credit: &mut Credit, decl: &Decl, target: &Target) -> Option<()> {
        let (key, shape, stepwise) = self.noise_place(credit, decl, target)?;
        if credit.passes.noises.contains_key(&key) {
            return Some(());
        }
        let Some(Init::Draw(e)) = decl.init else {
            let d = Diagnostic::error("E0581", decl.span, "a noise needs its distribution")
                .help(format!("`noise {}: like w ~ normal(0, 0.01)`", decl.name.text));
            self.report(d);
            return None;
        };
        let scope = self.formula_scope(self.modules.item(credit.kind.item).module, credit.scope);
        self.bind(scope, "w", Value::Num(Num::unknown(target.unit.clone())));
        self.bind_rule_params(scope, credit)?;
        let size = shape.iter().product();
        self.bind(scope, "index", Value::Num(Num::array(Unit::REAL, shaped(&shape, vec![0.0; size]))));
        let step = self.program.as_ref().map(|p| p.step.clone())?;
        if !stepwise {
            // One draw for the whole presentation.
            let program = self.program.as_mut()?;
            program.step = program.presentation.clone();
        }
        self.chain.push(Naming { name: key.clone(), span: decl.span, scope, drawn: vec![] });
        let drawn = self.operand(scope, e);
        self.chain.pop();
        self.program.as_mut()?.step = step;
        let num = self.to_shape(drawn?.num, &shape, decl.span);
        credit.passes.noises.insert(key, num);
        Some(())
    }

    /// The rule's noises under their names, as drawn for this target.
    pub fn bind_noises(&mut self, f: &Formula) -> Option<()> {
        for (name, num, of_cells) in self.noises_of(f.credit, f.target)? {
            let num = self.viewed(&num, f.span(), |g, n| if of_cells { f.of_targets(g, n) } else { f.own(g, n) });
            self.bind(f.scope, name, Value::Num(num));
        }
        Some(())
    }

    /// The noises drawn for a target, by name, and whether they are those of its cells.
    fn noises_of(&mut self, credit: &Credit, target: &Target) -> Option<Vec<(String, Num, bool)>> {
        let mut out = vec![];
        for decl in &credit.rule.noises {
            let (key, _, of_cells) = self.noise_place(credit, decl, target)?;
            let Some(num) = credit.passes.noises.get(&key).cloned() else { continue };
            out.push((decl.name.text.clone(), num, of_cells));
        }
        Some(out)
    }

    fn perturbed_objective(
        &mut self,
        p: &Presentation,
        credit: &Credit,
        targets: &[Target],
        block: &[ast::Stmt],
        at: &mut Timeline,
    ) -> Option<NodeId> {
        let Some(objective) = credit.objective else {
            self.error(
                "E0533",
                credit.span,
                format!("`{}` reads an objective: it goes with `minimize`", credit.kind.text),
            );
            return None;
        };
        let mut exchange = Exchange::new();
        for target in targets {
            for stmt in block {
                self.perturbation(credit, target, stmt, &mut exchange)?;
            }
        }
        if p.steps == 0 {
            return self.exchanged(&[objective], &exchange, &BTreeMap::new())?.first().copied();
        }
        self.perturbed_over_time(p, objective, &exchange, at)
    }

    /// One statement of a `perturbed` block, for one target.
    fn perturbation(&mut self, credit: &Credit, target: &Target, stmt: &ast::Stmt, out: &mut Exchange) -> Option<()> {
        let StmtKind::Assign { place, index, op, value } = &stmt.kind else { return self.not_perturbed(stmt.span) };
        if !index.is_empty() {
            return self.not_perturbed(stmt.span);
        }
        let place: Vec<&str> = place.iter().map(|n| n.text.as_str()).collect();
        let (old, shape, unit) = match (place.as_slice(), target.what) {
            (["w"], _) => (target.read, target.shape.clone(), target.unit.clone()),
            (["post", "input"], What::Plain) => return self.needs_connection(credit, target, "post.input", stmt.span),
            (["post", "input"], What::Weight(link) | What::Bias(link)) => {
                let (port, unit) = self.port_at(link)?;
                (port, self.graph.shape(port).to_vec(), unit)
            }
            _ => return self.not_perturbed(stmt.span),
        };
        if out.contains_key(&old) {
            return Some(());
        }
        let scope = self.formula_scope(self.modules.item(credit.kind.item).module, credit.scope);
        let column = if target.is_bias() { vec![target.rows(), 1] } else { target.shape.clone() };
        let w = Num::node(target.unit.clone(), target.read);
        let w = self.apply(stmt.span, target.unit.clone(), &[&w], |g, n| g.reshape(n[0], &column));
        self.bind(scope, "w", Value::Num(w.clone()));
        self.bind_rule_params(scope, credit)?;
        for (name, num, _) in self.noises_of(credit, target)? {
            self.bind(scope, name, Value::Num(num));
        }
        let mut before = w;
        if place.len() == 2 {
            let post = self.scope(self.modules.item(credit.kind.item).module, None);
            let port = Num::node(unit.clone(), old);
            before = self.viewed(&port, stmt.span, |g, n| {
                let length: usize = g.shape(n).iter().product();
                g.reshape(n, &[length, 1])
            });
            self.bind(post, "input", Value::Num(before.clone()));
            self.bind(scope, "post", Value::Names(post));
        }
        let x = self.operand(scope, *value)?;
        let changed = match op {
            AssignOp::Set => x.num.clone(),
            AssignOp::Add => self.add(&before, &x.num, stmt.span),
            AssignOp::Sub => self.binary(Binary::Sub, &before, &x.num, before.unit.clone(), stmt.span),
            AssignOp::Mul => self.mul(&before, &x.num, stmt.span),
            AssignOp::Div => self.binary(Binary::Div, &before, &x.num, before.unit.over(&x.num.unit), stmt.span),
        };
        if !changed.unit.fits(&unit) {
            let (found, wanted) = (changed.unit.describe(), unit.describe());
            let message = format!("what is put in its place is in {found}, `{}` is in {wanted}", place.join("."));
            self.error("E0302", x.span, message);
            return None;
        }
        let node = self.lift(&changed);
        let size: usize = shape.iter().product();
        let node = match self.graph.shape(node).iter().product::<usize>() == size {
            true => self.graph.reshape(node, &shape),
            false => self.graph.broadcast_to(node, &shape),
        };
        out.insert(old, node.noted(self)?);
        Some(())
    }

    fn not_perturbed<T>(&mut self, span: Span) -> Option<T> {
        let d = Diagnostic::error("E0583", span, "a `perturbed` pass changes weights or what arrives at the target")
            .help("`perturbed tried { w = w + z }` or `perturbed tried { post.input = post.input + z }`");
        self.report(d);
        None
    }

    /// Nodes with the exchange made, and vars' reads replaced.
    fn exchanged(
        &mut self,
        nodes: &[NodeId],
        exchange: &Exchange,
        reads: &BTreeMap<VarId, NodeId>,
    ) -> Option<Vec<NodeId>> {
        let mut hook = |g: &mut nnm_graph::ir::Graph, old: NodeId, new: NodeId| -> Built {
            if let Op::Read { var, place: Place::Whole } = &g.node(old).op
                && let Some(read) = reads.get(var)
            {
                return Ok(*read);
            }
            match exchange.get(&old) {
                Some(value) => substitute(g, *value, &|_, id| (id == old).then_some(new)),
                None => Ok(new),
            }
        };
        rewrite(&mut self.graph, nodes, &mut hook).noted(self)
    }

    /// The changed network runs beside the other through the same steps, with states of its own.
    fn perturbed_over_time(
        &mut self,
        p: &Presentation,
        objective: NodeId,
        exchange: &Exchange,
        at: &mut Timeline,
    ) -> Option<NodeId> {
        let mut reads = BTreeMap::new();
        let mut vars = BTreeMap::new();
        for state in &at.new {
            let var = self.graph.var(state.to).clone();
            let twin = self.work_var(&format!("{}@tried", var.name), &var.shape, true, None);
            reads.insert(state.to, self.read_whole(twin));
            vars.insert(state.to, twin);
        }
        let values: Vec<NodeId> = at.new.iter().map(|a| a.value).collect();
        let values = self.exchanged(&values, exchange, &reads)?;
        let twins: Vec<VarId> = at.new.iter().filter_map(|a| vars.get(&a.to).copied()).collect();
        for (to, value) in twins.iter().zip(values) {
            at.step.push(Assign { to: *to, place: Place::Whole, add: false, value });
        }
        for first in at.initial.clone() {
            if let Some(to) = vars.get(&first.to) {
                at.begin.push(Assign { to: *to, ..first });
            }
        }
        let mut totals = BTreeMap::new();
        for r in self.program.as_ref()?.reductions.clone() {
            let step = *self.exchanged(&[r.step], exchange, &reads)?.first()?;
            let shape = self.graph.shape(step).to_vec();
            let total = self.work_var(&format!("{}@tried", self.graph.var(r.total).name.clone()), &shape, true, None);
            let read = self.read_whole(total);
            let start = if r.how == OverTime::Max { f64::NEG_INFINITY } else { 0.0 };
            let value = self.graph.filled(start, &shape);
            at.begin.push(Assign { to: total, place: Place::Whole, add: false, value });
            let twin = Reduction { how: r.how, step, total, read };
            at.step.extend(self.reduction_step(&twin, p.steps));
            totals.insert(r.total, read);
        }
        self.exchanged(&[objective], exchange, &totals)?.first().copied()
    }
}
