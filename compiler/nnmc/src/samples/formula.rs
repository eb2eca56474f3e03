//! A rule's formula for one trained quantity: the names that it reads, and what it proposes over the batch.

use nnm_graph::Built;
use nnm_graph::ir::{Binary, Graph, NodeId, Unary};
use nnm_kir::ir::{Int, SlotId};
use nnm_syntax::ast::Init;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::credit::Credit;
use super::meeting::Meeting;
use super::target::{Target, What};
use super::{separate, slot};
use crate::failure::Noted;
use crate::hir::Rule;
use crate::network::FrameId;
use crate::session::{Lazy, ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Argument, Num, Owner, Value};

impl Session<'_> {
    /// What a rule proposes for a target: the mean over the batch of its `dw`.
    pub fn proposed(&mut self, credit: &Credit, target: &Target) -> Option<NodeId> {
        let Some(change) = credit.rule.change.as_ref().or(credit.rule.matrix_change.as_ref()) else {
            let name = &credit.kind.text;
            let d = Diagnostic::error("E0516", credit.span, format!("`{name}` has no `dw`: it cannot act in `train`"))
                .help("rules of spikes and of time (`on pre`, `w' = …`) act in `simulate … { learn … }`");
            self.report(d);
            return None;
        };
        if let What::Weight { frame, projection } = target.what {
            self.hold_differentiable(credit.kind, change.value, frame, projection)?;
        }
        let (scope, meeting) = self.rule_scope(credit, target)?;
        if credit.rule.change.is_none() {
            self.bind_matrix_form(scope, credit)?;
        }
        let x = self.operand(scope, change.value)?;
        self.hold_change(credit, target, &x.num, x.span)?;
        let node = self.lift(&x.num);
        let node = match self.program.as_ref().and_then(|p| p.world.as_ref()).map(|w| w.alive) {
            Some(alive) => self.graph.binary(Binary::Mul, alive, node).noted(self)?,
            None => node,
        };
        let count = self.graph.count(Int::Slot(SlotId(slot("batch"))));
        let biases = target.shape.first().copied().unwrap_or(1);
        let g = &mut self.graph;
        let made = match (target.what, &meeting) {
            (What::Weight { .. }, Some(meeting)) => meeting.summed(g, node, &target.shape, count),
            (What::Bias { .. }, Some(meeting)) => meeting.summed_bias(g, node, biases, count),
            _ => separate::batch_sum(g, node, &target.shape, count),
        };
        let made = made.and_then(|sum| self.graph.binary(Binary::Div, sum, count));
        match made {
            Ok(node) => Some(node),
            Err(error) => {
                let message =
                    format!("`dw` of `{}` does not fit the weights {}: {error}", credit.kind.text, target.path);
                self.error("E0517", change.span, message);
                None
            }
        }
    }

    pub fn hold_change(&mut self, credit: &Credit, target: &Target, num: &Num, span: Span) -> Option<()> {
        let wanted = if credit.reads_credit(self) { Unit::REAL.over(&target.unit) } else { target.unit.clone() };
        if num.unit.fits(&wanted) {
            return Some(());
        }
        let (found, expected) = (num.unit.describe(), wanted.describe());
        let message =
            format!("`dw` of `{}` is in {found}, but for `{}` it is in {expected}", credit.kind.text, target.path);
        self.error("E0518", span, message);
        None
    }

    /// The names of a rule's formula for one target, and how its ends meet.
    fn rule_scope(&mut self, credit: &Credit, target: &Target) -> Option<(ScopeId, Option<Meeting>)> {
        let (scope, meeting) = self.formula_names(credit, target)?;
        self.bind_states(scope, credit, target)?;
        Some((scope, meeting))
    }

    /// The names of a rule's formula for one target, but its own states, and how its ends meet.
    pub fn formula_names(&mut self, credit: &Credit, target: &Target) -> Option<(ScopeId, Option<Meeting>)> {
        let module = self.modules.item(credit.kind.item).module;
        let scope = self.scope(module, Some(credit.scope));
        let (pre, post) = (self.scope(module, None), self.scope(module, None));
        let w = Num::node(target.unit.clone(), target.read);
        let for_types = Num::unknown(target.unit.clone());
        self.bind(scope, "w", Value::Num(for_types));
        self.bind_rule_params(scope, credit)?;
        let mut meeting = match target.what {
            What::Weight { frame, projection } | What::Bias { frame, projection } => {
                Some(self.meeting(frame, projection)?)
            }
            What::Plain => None,
        };
        match (target.what, &mut meeting) {
            (What::Weight { frame, projection }, Some(meeting)) => {
                let w = self.viewed(&w, credit.span, |g, n| meeting.weight(g, n));
                self.bind(scope, "w", Value::Num(w));
                self.bind_sender(pre, frame, projection, meeting)?;
                self.bind_receiver(post, credit, frame, projection, meeting)?;
                let name = self.net(target.net).projections[projection].name.clone();
                self.bind_viewed_tensors(scope, credit, target, &name, &target.shape, meeting)?;
            }
            (What::Bias { frame, projection }, Some(meeting)) => {
                let w = self.viewed(&w, credit.span, |g, n| meeting.bias(g, n));
                self.bind(scope, "w", Value::Num(w));
                self.bind(pre, "y", Value::real(1.0));
                self.bind_receiver(post, credit, frame, projection, meeting)?;
                let shape = vec![target.shape.first().copied().unwrap_or(1), 1];
                let name = format!("{}.bias", self.net(target.net).projections[projection].name);
                self.bind_viewed_tensors(scope, credit, target, &name, &shape, meeting)?;
            }
            _ => {
                self.bind(scope, "w", Value::Num(w));
                self.bind(pre, "y", Value::real(1.0));
                if let Some(objective) = credit.objective {
                    let error = self.minus_gradient(objective, target.read, credit.span)?;
                    let unit = Unit::REAL.over(&target.unit);
                    // What is shared by the samples has their sum; here the mean is wanted.
                    let error = self.per_sample(error)?;
                    self.bind(post, "error", Value::Num(Num::node(unit, error)));
                }
            }
        }
        self.bind(scope, "pre", Value::Names(pre));
        self.bind(scope, "post", Value::Names(post));
        if let Some(objective) = credit.objective {
            self.bind(scope, "objective", Value::Num(Num::node(Unit::REAL, objective)));
        }
        self.bind_gradient(scope, credit, target, pre, post)?;
        self.bind_score(scope, credit, target, pre)?;
        self.bind_modulators(scope, credit, meeting.as_ref())?;
        self.bind_noises(scope, credit, target, meeting.as_ref())?;
        for (name, node) in credit.passes.perturbed.clone() {
            let names = self.scope(module, None);
            self.bind(names, "objective", Value::Num(Num::node(Unit::REAL, node)));
            self.bind(scope, name, Value::Names(names));
        }
        self.bind_settled(scope, credit, target, meeting.as_ref(), pre, post)?;
        self.bind_moment(scope, credit, target, meeting.as_ref(), pre, post)?;
        self.forbid_credit(scope, credit);
        self.bind_rule_lets(scope, credit.rule);
        Some((scope, meeting))
    }

    /// A rule's tensors as its formula sees them.
    fn bind_viewed_tensors(
        &mut self,
        scope: ScopeId,
        credit: &Credit,
        target: &Target,
        name: &str,
        w_shape: &[usize],
        meeting: &mut Meeting,
    ) -> Option<()> {
        let sizes = [meeting.targets(), meeting.senders(), self.outputs_size(credit)];
        let names = self.bind_rule_tensors(scope, credit, target.net, name, w_shape, &target.unit, sizes)?;
        let weight = matches!(target.what, What::Weight { .. });
        for name in names {
            let Some(Value::Num(num)) = self.local(scope, &name, credit.span) else { continue };
            let shape = self.shape(&num).unwrap_or_default();
            let num = match shape.as_slice() {
                [] => continue,
                shape if shape == w_shape && weight => self.viewed(&num, credit.span, |g, n| meeting.weight(g, n)),
                shape if shape == w_shape => self.viewed(&num, credit.span, |g, n| meeting.bias(g, n)),
                [_, 1] => self.viewed(&num, credit.span, |g, n| meeting.target(g, n)),
                [1, _] => self.viewed(&num, credit.span, |g, n| meeting.sender(g, n)),
                _ => continue,
            };
            self.bind(scope, name, Value::Num(num));
        }
        Some(())
    }

    /// `eligibility` and `post.signal` of one moment: there is no state through which they could come.
    fn bind_moment(
        &mut self,
        scope: ScopeId,
        credit: &Credit,
        target: &Target,
        meeting: Option<&Meeting>,
        pre: ScopeId,
        post: ScopeId,
    ) -> Option<()> {
        let (What::Weight { frame, projection } | What::Bias { frame, projection }, Some(meeting)) =
            (target.what, meeting)
        else {
            return Some(());
        };
        if self.program.as_ref().is_some_and(|p| p.stepped) {
            return Some(());
        }
        let slope = self.local(post, "slope", credit.span);
        if let (Some(Value::Num(slope)), Some(Value::Num(y))) = (slope, self.local(pre, "y", credit.span)) {
            let eligibility = self.mul(&slope, &y, credit.span);
            self.bind(scope, "eligibility", Value::Num(eligibility));
        }
        if credit.objective.is_some() && credit.reads(self, &["post.signal", "Post.signal"]) {
            let signal = self.delivered_signal(credit, frame, projection)?;
            let signal = self.viewed(&signal, credit.span, |g, n| meeting.target(g, n));
            self.bind(post, "signal", Value::Num(signal));
        }
        Some(())
    }

    /// The rule's own `let`s, evaluated where they are read.
    pub fn bind_rule_lets(&mut self, scope: ScopeId, rule: &Rule) {
        for decl in &rule.dynamics.lets {
            if let Some(Init::Value(e)) = decl.init {
                let closure = self.closure(scope, e);
                self.bind_lazy(scope, decl.name.text.clone(), Lazy::Expr(closure, decl.ty.clone()));
            }
        }
    }

    /// A rule's states of each connection as they are after the presentation; in one moment, after their one step.
    fn bind_states(&mut self, scope: ScopeId, credit: &Credit, target: &Target) -> Option<()> {
        let dynamics = &credit.rule.dynamics;
        let during = self.inner(scope);
        for decl in &dynamics.states {
            let first = match decl.init {
                Some(Init::Value(e)) => self.operand(scope, e)?.num,
                _ => Num::real(0.0),
            };
            let known = credit.passes.states.get(&(target.key(), decl.name.text.clone())).cloned();
            let at_end = known.unwrap_or_else(|| first.clone());
            self.bind(during, decl.name.text.clone(), Value::Num(first));
            self.bind(scope, decl.name.text.clone(), Value::Num(at_end));
        }
        if !credit.passes.states.is_empty() {
            return Some(());
        }
        self.bind_rule_lets(during, credit.rule);
        let own = |name: &str| dynamics.states.iter().any(|s| s.name.text == name);
        let nexts: Vec<_> = dynamics.nexts.iter().filter(|n| own(&n.name.text)).cloned().collect();
        for next in &nexts {
            let closure = self.closure(during, next.value);
            self.bind_lazy(during, format!("next {}", next.name.text), Lazy::Expr(closure, None));
        }
        for next in &nexts {
            let value = self.local(during, &format!("next {}", next.name.text), next.span)?;
            self.bind(scope, next.name.text.clone(), value);
        }
        Some(())
    }

    /// `W`, `Pre` and `Post` of the matrix form: the same names as `w`, `pre` and `post`, as a matrix and vectors.
    fn bind_matrix_form(&mut self, scope: ScopeId, credit: &Credit) -> Option<()> {
        if let Some(w) = self.local(scope, "w", credit.span) {
            self.bind(scope, "W", w);
        }
        for (from, to) in [("pre", "Pre"), ("post", "Post")] {
            let Some(Value::Names(names)) = self.local(scope, from, credit.span) else { continue };
            let vectors = self.scope(self.modules.item(credit.kind.item).module, None);
            for name in self.scopes[names.0 as usize].names.keys().cloned().collect::<Vec<_>>() {
                let Some(Value::Num(num)) = self.local(names, &name, credit.span) else { continue };
                let unit = num.unit.clone();
                let flat = self.apply(credit.span, unit, &[&num], |g, n| {
                    let length: usize = g.shape(n[0]).iter().product();
                    g.reshape(n[0], &[length])
                });
                self.bind(vectors, name, Value::Num(flat));
            }
            self.bind(scope, to, Value::Names(vectors));
        }
        Some(())
    }

    /// `gradient`: the objective's derivative by this weight, of one sample.
    fn bind_gradient(
        &mut self,
        scope: ScopeId,
        credit: &Credit,
        target: &Target,
        pre: ScopeId,
        post: ScopeId,
    ) -> Option<()> {
        if credit.objective.is_none() {
            return Some(());
        }
        let error = match target.what {
            What::Plain => self.local(post, "error", credit.span),
            What::Weight { frame, projection } | What::Bias { frame, projection } => {
                let true_error = self.true_error(credit, frame, projection)?;
                let meeting = self.meeting(frame, projection)?;
                let seen = self.viewed(&true_error, credit.span, |g, n| meeting.target(g, n));
                Some(Value::Num(seen))
            }
        };
        let (Some(Value::Num(error)), Some(Value::Num(y))) = (error, self.local(pre, "y", credit.span)) else {
            return Some(());
        };
        let product = self.mul(&error, &y, credit.span);
        let minus = self.unary(Unary::Neg, &product, product.unit.clone(), credit.span);
        self.bind(scope, "gradient", Value::Num(minus));
        Some(())
    }

    fn bind_sender(&mut self, pre: ScopeId, frame: FrameId, k: usize, meeting: &mut Meeting) -> Option<()> {
        let sender = self.program.as_ref()?.senders.get(&(frame, k)).cloned()?;
        let span = self.net(self.frame(frame).net).projections[k].span;
        let y = self.viewed(&sender, span, |g, n| meeting.sender(g, n));
        self.bind(pre, "y", Value::Num(Num { stepwise: false, ..y }));
        let source = self.net(self.frame(frame).net).projections[k].source;
        if let Some((index, None)) = source {
            let states = self.frame(frame).populations[index].states.clone();
            for (name, num) in states {
                let seen = self.viewed(&num, span, |g, n| meeting.sender(g, n));
                self.bind(pre, name, Value::Num(seen));
            }
        }
        Some(())
    }

    fn bind_receiver(
        &mut self,
        post: ScopeId,
        credit: &Credit,
        frame: FrameId,
        k: usize,
        meeting: &Meeting,
    ) -> Option<()> {
        let id = self.frame(frame).net;
        let p = self.net(id).projections[k].clone();
        let span = p.span;
        let whole = crate::value::PopulationRef { owner: Owner::Frame(frame), index: p.target, cells: None };
        let value = self.population_output(&whole, span);
        let output = self.number(value, span)?;
        let y = self.viewed(&Num { stepwise: false, ..output.clone() }, span, |g, n| meeting.target(g, n));
        self.bind(post, "y", Value::Num(y));
        let port = p.port?;
        let node = *self.program.as_ref()?.port_nodes.get(&(frame, p.target, port))?;
        let unit = self.net(id).populations[p.target].ports[port].unit.clone();
        let input = self.viewed(&Num::node(unit.clone(), node), span, |g, n| meeting.target(g, n));
        self.bind(post, "input", Value::Num(input));
        let out = self.lift(&output);
        if let Some(slope) = self.derivative(out, node) {
            let slope = Num::node(output.unit.over(&unit), slope);
            let slope = self.viewed(&slope, span, |g, n| meeting.target(g, n));
            self.bind(post, "slope", Value::Num(slope));
        }
        let states = self.frame(frame).populations[p.target].states.clone();
        for (name, num) in states {
            let seen = self.viewed(&num, span, |g, n| meeting.target(g, n));
            self.bind(post, name, Value::Num(seen));
        }
        if credit.objective.is_some() {
            let error = self.delivered_error(credit, frame, k, out, node)?;
            let error = self.viewed(&error, span, |g, n| meeting.target(g, n));
            self.bind(post, "error", Value::Num(error));
        }
        Some(())
    }

    fn bind_modulators(&mut self, scope: ScopeId, credit: &Credit, meeting: Option<&Meeting>) -> Option<()> {
        for decl in &credit.rule.modulators {
            let given = credit.kind.args.iter().find(|(n, _)| *n == decl.name.text).map(|(_, a)| a.clone());
            let Some(Argument::Expr(c) | Argument::Draw(c)) = given else {
                let d = Diagnostic::error(
                    "E0520",
                    credit.span,
                    format!("`{}` needs its modulator `{}`", credit.kind.text, decl.name.text),
                )
                .label(decl.span, "declared here")
                .help(format!("`by {}({} = …)`", credit.kind.text, decl.name.text));
                self.report(d);
                return None;
            };
            let c = super::present::with_fields(self, c, credit.scope);
            let x = self.operand(c.scope, c.expr.id)?;
            let cells = meeting.map_or(1, Meeting::targets);
            let like_post = decl.ty.as_ref().is_some_and(|t| self.text(t.span).ends_with("post"));
            let num = match self.shape(&x.num) {
                Some(shape) if like_post && shape.iter().product::<usize>() == cells => match meeting {
                    Some(meeting) => self.viewed(&x.num, x.span, |g, n| meeting.target(g, n)),
                    None => x.num,
                },
                Some(shape) if like_post && !shape.is_empty() => {
                    let found = crate::eval::types::shape_text(&shape);
                    let message =
                        format!("`{}` is one number for each of {cells} targets, this has {found}", decl.name.text);
                    self.error("E0521", x.span, message);
                    return None;
                }
                _ => x.num,
            };
            self.bind(scope, decl.name.text.clone(), Value::Num(num));
        }
        Some(())
    }

    /// A local rule sees neither objective nor errors.
    fn forbid_credit(&mut self, scope: ScopeId, credit: &Credit) {
        if credit.rule.local {
            for name in ["objective", "gradient"] {
                self.scopes[scope.0 as usize].names.shift_remove(name);
            }
        }
    }

    /// The next values of a rule's running tensors for one connection.
    pub fn running_of(
        &mut self,
        credit: &Credit,
        target: &Target,
        new: NodeId,
        assigns: &mut Vec<nnm_graph::ir::Assign>,
    ) -> Option<()> {
        let (scope, meeting) = self.rule_scope(credit, target)?;
        let new = Num::node(target.unit.clone(), new);
        let new = match (&meeting, target.what) {
            (Some(meeting), What::Bias { .. }) => self.viewed(&new, credit.span, |g, n| meeting.bias(g, n)),
            (Some(meeting), _) => self.viewed(&new, credit.span, |g, n| meeting.weight(g, n)),
            (None, _) => new,
        };
        self.bind(scope, "next w", Value::Num(new));
        let name = match target.what {
            What::Weight { projection, .. } => self.net(target.net).projections[projection].name.clone(),
            What::Bias { projection, .. } => format!("{}.bias", self.net(target.net).projections[projection].name),
            What::Plain => return Some(()),
        };
        let rule = self.modules.item(credit.kind.item).name.text.clone();
        let own = &credit.rule.dynamics.running;
        let nexts = credit.rule.dynamics.nexts.iter().filter(|n| own.iter().any(|r| r.name.text == n.name.text));
        for next in nexts.cloned().collect::<Vec<_>>() {
            let x = self.operand(scope, next.value)?;
            let path = format!("{}.{name}.{rule}.{}", self.net(target.net).path, next.name.text);
            let Some(leaf) = self.leaf_of(&path) else { continue };
            let shape = self.graph.var(leaf.var).shape.clone();
            let node = self.lift(&x.num);
            let whole = self.graph.shape(node).iter().product::<usize>() == shape.iter().product::<usize>();
            let node = if whole { self.graph.reshape(node, &shape).noted(self)? } else { node };
            let value = self.graph.broadcast_to(node, &shape).noted(self)?;
            assigns.push(nnm_graph::ir::Assign { to: leaf.var, place: nnm_graph::ir::Place::Whole, add: false, value });
        }
        Some(())
    }

    /// How the ends of a connection that has been evaluated meet.
    pub fn meeting(&mut self, frame: FrameId, k: usize) -> Option<Meeting> {
        let sender = self.program.as_ref()?.senders.get(&(frame, k)).cloned()?;
        let from = self.shape(&sender)?;
        let net = self.net(self.frame(frame).net);
        let p = &net.projections[k];
        Some(Meeting::of(p, &from, &net.populations[p.target].shape))
    }

    /// A number in the form in which a formula sees it.
    pub fn viewed(&mut self, num: &Num, span: Span, view: impl FnOnce(&mut Graph, NodeId) -> Built) -> Num {
        self.apply(span, num.unit.clone(), &[num], |g, n| view(g, n[0]))
    }

    pub fn column(&mut self, num: &Num, span: Span) -> Num {
        let unit = num.unit.clone();
        self.apply(span, unit, &[num], |g, n| {
            let length: usize = g.shape(n[0]).iter().product();
            g.reshape(n[0], &[length, 1])
        })
    }

    /// The element-wise derivative of a node by another of the same shape.
    fn derivative(&mut self, of: NodeId, by: NodeId) -> Option<NodeId> {
        let shape = self.graph.shape(of).to_vec();
        let one = self.graph.filled(1.0, &shape);
        match nnm_graph::grad(&mut self.graph, &[(of, one)], &[by]) {
            Ok(slopes) => slopes.first().copied().flatten(),
            Err(_) => None,
        }
    }
}
