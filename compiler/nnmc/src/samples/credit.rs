//! Rules over samples: what a rule's formula reads, and the change that it proposes for each trained quantity.

use nnm_graph::Built;
use nnm_graph::ir::{Binary, Graph, NodeId, Unary, VarId};
use nnm_kir::ir::{Int, SlotId};
use nnm_syntax::ast::Init;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::meeting::Meeting;
use super::{separate, slot};
use crate::failure::Noted;
use crate::hir::{ItemKind, Rule};
use crate::network::{FrameId, NetId, Projection};
use crate::program::{Feedback, NewLeaf, Role};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Argument, Kind, Num, Owner, Repr, Value};

/// A trained quantity.
#[derive(Clone, Debug)]
pub struct Target {
    pub net: NetId,
    pub what: What,
    /// Its path with the network's, and its storage.
    pub path: String,
    pub var: VarId,
    pub read: NodeId,
    pub unit: Unit,
    pub shape: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// `w` of a connection of a frame.
    Weight { frame: FrameId, projection: usize },
    /// `b` of a connection: a weight from a sender whose output is 1.
    Bias { frame: FrameId, projection: usize },
    /// A `weight` of an architecture or a neuron: its own input, from a sender whose output is 1.
    Plain,
}

impl Target {
    /// The frame whose connection it is.
    pub fn frame(&self) -> Option<FrameId> {
        match self.what {
            What::Weight { frame, .. } | What::Bias { frame, .. } => Some(frame),
            What::Plain => None,
        }
    }
}

/// A rule with the objective that it serves.
pub struct Credit<'c> {
    pub kind: &'c Kind,
    pub rule: &'c Rule,
    /// The objective of each sample; none for rules that need none.
    pub objective: Option<NodeId>,
    /// Names of data and schedules.
    pub scope: ScopeId,
    pub span: Span,
}

impl Session<'_> {
    pub fn rule_of(&mut self, value: &Value, span: Span) -> Option<(std::rc::Rc<Kind>, Rule)> {
        let Value::Kind(kind) = value else {
            if !matches!(value, Value::Missing) {
                self.error("E0513", span, format!("`by` takes a rule, found {}", value.describe()));
            }
            return None;
        };
        match &self.modules.item(kind.item).kind {
            ItemKind::Rule(rule) => Some((kind.clone(), rule.clone())),
            other => {
                let message = format!("`by` takes a rule; `{}` is a `{}`", kind.text, other.word());
                self.error("E0513", span, message);
                None
            }
        }
    }

    /// All trained quantities of a network's frame, or those of the parts named.
    pub fn targets(&mut self, frame: FrameId, over: Option<&[Value]>, span: Span) -> Option<Vec<Target>> {
        let mut out = vec![];
        match over {
            None => self.all_targets(frame, &mut out),
            Some(parts) => {
                for part in parts {
                    self.part_targets(frame, part, span, &mut out)?;
                }
            }
        }
        Some(out)
    }

    fn all_targets(&mut self, frame: FrameId, out: &mut Vec<Target>) {
        for frame in self.frames_below(self.frame(frame).net) {
            self.frame_targets(frame, out);
        }
    }

    fn frame_targets(&mut self, frame: FrameId, out: &mut Vec<Target>) {
        let id = self.frame(frame).net;
        for k in 0..self.net(id).projections.len() {
            let p = self.net(id).projections[k].clone();
            if p.trained || p.plastic {
                self.projection_targets(frame, k, out);
            }
        }
        let path = self.net(id).path.clone();
        for q in self.net(id).weights.clone() {
            self.plain_target(id, &format!("{path}.{}", q.name), out);
        }
        for population in self.net(id).populations.clone() {
            for q in &population.weights {
                self.plain_target(id, &format!("{path}.{}.{}", population.name, q.name), out);
            }
        }
    }

    /// A connection's targets in every frame in which its network runs.
    fn shared_targets(&mut self, frame: FrameId, k: usize, out: &mut Vec<Target>) {
        let id = self.frame(frame).net;
        let frames: Vec<FrameId> = self.live_frames().into_iter().filter(|f| self.frame(*f).net == id).collect();
        for frame in frames {
            self.projection_targets(frame, k, out);
        }
    }

    /// Targets that are one weight, used in several places, become one: their directions add up.
    pub fn merged(&mut self, targets: Vec<Target>, directions: Vec<NodeId>) -> Option<(Vec<Target>, Vec<NodeId>)> {
        let mut merged: indexmap::IndexMap<VarId, (Target, NodeId)> = indexmap::IndexMap::new();
        for (target, direction) in targets.into_iter().zip(directions) {
            let sum = match merged.get(&target.var) {
                Some((_, before)) => self.graph.binary(Binary::Add, *before, direction).noted(self)?,
                None => direction,
            };
            let target = merged.get(&target.var).map_or(target, |(first, _)| first.clone());
            merged.insert(target.var, (target, sum));
        }
        Some(merged.into_values().unzip())
    }

    fn projection_targets(&mut self, frame: FrameId, k: usize, out: &mut Vec<Target>) {
        let id = self.frame(frame).net;
        let p = self.net(id).projections[k].clone();
        let parts =
            [(&p.weight, What::Weight { frame, projection: k }), (&p.bias, What::Bias { frame, projection: k })];
        for (q, what) in parts {
            let Some(q) = q else { continue };
            let num = self.projection_weight(id, &p.name, q);
            let path = format!("{}.{}.{}", self.net(id).path, p.name, q.name);
            let (Repr::Node(read), Some(leaf)) = (num.repr, self.leaf_of(&path)) else { continue };
            out.push(Target { net: id, what, path, var: leaf.var, read, unit: q.unit.clone(), shape: q.shape.clone() });
        }
    }

    fn plain_target(&mut self, id: NetId, path: &str, out: &mut Vec<Target>) {
        let Some(leaf) = self.leaf_of(path) else { return };
        // Its derivative counts all uses already.
        if out.iter().any(|t| t.var == leaf.var) {
            return;
        }
        let read = self.read_whole(leaf.var);
        let shape = self.graph.var(leaf.var).shape.clone();
        let (path, unit) = (path.to_string(), leaf.unit);
        out.push(Target { net: id, what: What::Plain, path, var: leaf.var, read, unit, shape });
    }

    fn part_targets(&mut self, frame: FrameId, part: &Value, span: Span, out: &mut Vec<Target>) -> Option<()> {
        match part {
            Value::Many(parts) => {
                for part in parts.iter() {
                    self.part_targets(frame, part, span, out)?;
                }
            }
            Value::Projection(p) => {
                let at = match p.owner {
                    Owner::Frame(f) => f,
                    Owner::Net(_) => frame,
                };
                self.shared_targets(at, p.index, out);
            }
            Value::Population(p) => {
                let at = match p.owner {
                    Owner::Frame(f) => f,
                    Owner::Net(_) => frame,
                };
                let id = self.frame(at).net;
                let population = self.net(id).populations[p.index].clone();
                for q in &population.weights {
                    let path = format!("{}.{}.{}", self.net(id).path, population.name, q.name);
                    self.plain_target(id, &path, out);
                }
            }
            Value::Frame(f) => self.all_targets(*f, out),
            Value::Num(Num { repr: Repr::Node(node), .. }) => {
                let leaves = self.program.as_ref().map(|p| p.leaves.clone()).unwrap_or_default();
                for (path, leaf) in leaves {
                    let read = self.read_whole(leaf.var);
                    if read == *node && leaf.role == Role::Weight {
                        let id = leaf.home.as_ref().map_or(self.frame(frame).net, |(id, _)| *id);
                        self.plain_target(id, &path, out);
                    }
                }
            }
            Value::Missing => return None,
            other => {
                self.error(
                    "E0514",
                    span,
                    format!("{} is nothing to train: name a connection or a weight", other.describe()),
                );
                return None;
            }
        }
        Some(())
    }

    /// Sets what carries errors back over the connections of a frame, before anything in it is evaluated.
    pub fn set_feedback(&mut self, frame: FrameId, credit: &Credit) -> Option<()> {
        let Some((direct, expr, span)) = credit.rule.feedback else { return Some(()) };
        if direct {
            return Some(());
        }
        let nets = self.nets_below(self.frame(frame).net);
        let all = nets.iter().flat_map(|id| self.net(*id).projections.iter().map(|p| (*id, p.clone())));
        for (id, p) in all.collect::<Vec<_>>() {
            if !(p.trained || p.plastic) || p.weight.is_none() {
                continue;
            }
            let path = format!("{}.{}", self.net(id).path, p.name);
            let scope = self.feedback_scope(id, &p, credit)?;
            let (_, bare) = self.bare_expr(scope, expr);
            let is_none = matches!(&bare.kind, nnm_syntax::ast::ExprKind::Name(n) if n == "none");
            let feedback = if is_none {
                Feedback::None
            } else {
                let x = self.operand(scope, expr)?;
                let w = p.weight.as_ref().map(|q| q.shape.clone()).unwrap_or_default();
                let [rows, columns] = as_matrix(&w);
                let wanted = vec![columns, rows];
                let found = self.shape(&x.num).unwrap_or_default();
                if !found.is_empty() && found != wanted {
                    let (a, b) = (crate::eval::types::shape_text(&wanted), crate::eval::types::shape_text(&found));
                    let message =
                        format!("feedback over `{}` has the shape {a} (sender, target), this has {b}", p.name);
                    self.error("E0515", span, message);
                    return None;
                }
                Feedback::Matrix(x.num)
            };
            self.program.as_mut()?.feedback.insert(path, feedback);
        }
        Some(())
    }

    /// The names that a `feedback` expression sees: `w`, and the rule's own parameters and tensors.
    fn feedback_scope(&mut self, id: NetId, p: &Projection, credit: &Credit) -> Option<ScopeId> {
        let scope = self.scope(self.modules.item(credit.kind.item).module, None);
        let q = p.weight.clone()?;
        let w = self.projection_weight(id, &p.name, &q);
        let w = self.matrix_of(&w, &q.shape, p.span);
        self.bind(scope, "w", Value::Num(w));
        self.bind_rule_params(scope, credit)?;
        let names = self.bind_rule_tensors(scope, credit, id, &p.name, &q.shape, &q.unit, [0; 3])?;
        for name in names {
            let Some(Value::Num(num)) = self.local(scope, &name, p.span) else { continue };
            if self.shape(&num).is_some_and(|s| s == q.shape) {
                let num = self.matrix_of(&num, &q.shape, p.span);
                self.bind(scope, name, Value::Num(num));
            }
        }
        Some(scope)
    }

    /// Weights of any shape as targets by senders: of a convolution, outputs by places of the window.
    fn matrix_of(&mut self, num: &Num, w_shape: &[usize], span: Span) -> Num {
        let matrix = as_matrix(w_shape);
        self.apply(span, num.unit.clone(), &[num], |g, n| g.reshape(n[0], &matrix))
    }

    pub fn bind_rule_params(&mut self, scope: ScopeId, credit: &Credit) -> Option<()> {
        for decl in &credit.rule.dynamics.params {
            let given = credit.kind.args.iter().find(|(n, _)| *n == decl.name.text).map(|(_, a)| a.clone());
            let num = match (given, decl.init) {
                (Some(Argument::Value(v)), _) => self.number(v, decl.span)?,
                (Some(Argument::Expr(c) | Argument::Draw(c)), _) => {
                    let c = super::present::with_fields(self, c, credit.scope);
                    self.operand(c.scope, c.expr.id)?.num
                }
                (None, Some(Init::Value(e))) => self.operand(scope, e)?.num,
                _ => {
                    let name = &decl.name.text;
                    let d = Diagnostic::error(
                        "E0222",
                        credit.span,
                        format!("the rule `{}` needs `{name}`", credit.kind.text),
                    )
                    .label(decl.span, "declared here");
                    self.report(d);
                    return None;
                }
            };
            let num = match &decl.ty {
                Some(ty) => match self.hold_at(scope, Value::Num(num), ty, credit.span) {
                    Value::Num(num) => num,
                    _ => return None,
                },
                None => num,
            };
            self.bind(scope, decl.name.text.clone(), Value::Num(num));
        }
        Some(())
    }

    /// `const` and `running` tensors of a rule: stored with the network, one for each connection. `sizes` are how many
    /// targets, senders and numbers that the objective reads there are.
    #[allow(clippy::too_many_arguments)]
    fn bind_rule_tensors(
        &mut self,
        scope: ScopeId,
        credit: &Credit,
        id: NetId,
        connection: &str,
        w_shape: &[usize],
        w_unit: &Unit,
        [targets, senders, outputs]: [usize; 3],
    ) -> Option<Vec<String>> {
        let mut names = vec![];
        let rule_name = self.modules.item(credit.kind.item).name.text.clone();
        for decl in credit.rule.consts.iter().chain(&credit.rule.dynamics.running) {
            let like = decl.ty.as_ref().map(|t| self.text(t.span).to_string()).unwrap_or_default();
            let shape: Vec<usize> = match like.split_whitespace().last() {
                Some("w") => w_shape.to_vec(),
                // Where the ends are not known, what is theirs is not read.
                Some("post" | "pre" | "direct") if targets == 0 => continue,
                Some("post") => vec![targets, 1],
                Some("pre") => vec![1, senders],
                Some("direct") if outputs > 0 => vec![targets, outputs],
                Some("direct") => continue,
                _ => vec![],
            };
            let unit = if like.ends_with('w') { w_unit.clone() } else { Unit::REAL };
            let local = format!("{connection}.{rule_name}.{}", decl.name.text);
            let path = format!("{}.{local}", self.net(id).path);
            if !self.net(id).store.contains_key(&local) {
                let num = match decl.init {
                    Some(Init::Draw(e)) => self.draw_values(self.closure(scope, e), scope, &shape, &path)?,
                    Some(Init::Value(e)) => self.operand(scope, e)?.num,
                    None => Num::real(0.0),
                };
                let array = self.spread(&num, &shape, decl.span)?;
                self.net_mut(id).store.insert(local.clone(), array);
            }
            let leaf = NewLeaf {
                path: &path,
                role: Role::Weight,
                unit,
                shape: &shape,
                batched: false,
                home: Some((id, local)),
            };
            let num = self.leaf(leaf);
            names.push(decl.name.text.clone());
            self.bind(scope, decl.name.text.clone(), Value::Num(num));
        }
        Some(names)
    }

    /// What a rule proposes for a target: the mean over the batch of its `dw`.
    pub fn proposed(&mut self, credit: &Credit, target: &Target) -> Option<NodeId> {
        let Some(change) = &credit.rule.change else {
            let name = &credit.kind.text;
            let d = Diagnostic::error("E0516", credit.span, format!("`{name}` has no `dw`: it cannot act in `train`"))
                .help("rules of spikes and of time (`on pre`, `w' = …`) act in `simulate … { learn … }`");
            self.report(d);
            return None;
        };
        let (scope, meeting) = self.rule_scope(credit, target)?;
        let x = self.operand(scope, change.value)?;
        self.hold_change(credit, target, &x.num, x.span)?;
        let node = self.lift(&x.num);
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

    fn hold_change(&mut self, credit: &Credit, target: &Target, num: &Num, span: Span) -> Option<()> {
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

    /// How the ends of a connection that has been evaluated meet.
    fn meeting(&mut self, frame: FrameId, k: usize) -> Option<Meeting> {
        let sender = self.program.as_ref()?.senders.get(&(frame, k)).cloned()?;
        let from = self.shape(&sender)?;
        let net = self.net(self.frame(frame).net);
        let p = &net.projections[k];
        Some(Meeting::of(p, &from, &net.populations[p.target].shape))
    }

    /// The names of a rule's formula for one target, and how its ends meet.
    fn rule_scope(&mut self, credit: &Credit, target: &Target) -> Option<(ScopeId, Option<Meeting>)> {
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
        self.bind_modulators(scope, credit, meeting.as_ref())?;
        self.forbid_credit(scope, credit);
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

    /// A number in the form in which a formula sees it.
    fn viewed(&mut self, num: &Num, span: Span, view: impl FnOnce(&mut Graph, NodeId) -> Built) -> Num {
        self.apply(span, num.unit.clone(), &[num], |g, n| view(g, n[0]))
    }

    fn per_sample(&mut self, node: NodeId) -> Option<NodeId> {
        if self.graph.node(node).batched {
            return Some(node);
        }
        let count = self.graph.count(Int::Slot(SlotId(slot("batch"))));
        self.graph.binary(Binary::Div, node, count).noted(self)
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

    /// The element-wise derivative of a node by another of the same shape.
    fn derivative(&mut self, of: NodeId, by: NodeId) -> Option<NodeId> {
        let shape = self.graph.shape(of).to_vec();
        let one = self.graph.filled(1.0, &shape);
        match nnm_graph::grad(&mut self.graph, &[(of, one)], &[by]) {
            Ok(slopes) => slopes.first().copied().flatten(),
            Err(_) => None,
        }
    }

    fn minus_gradient(&mut self, of: NodeId, by: NodeId, span: Span) -> Option<NodeId> {
        let one = self.graph.constant(1.0);
        let seeds = self.program.as_ref().and_then(|p| p.seeds.clone()).unwrap_or_else(|| vec![(of, one)]);
        match nnm_graph::grad(&mut self.graph, &seeds, &[by]) {
            Ok(found) => match found.first().copied().flatten() {
                Some(node) => self.graph.unary(Unary::Neg, node).noted(self),
                None => {
                    let shape = self.graph.shape(by).to_vec();
                    Some(self.graph.filled(0.0, &shape))
                }
            },
            Err(error) => {
                self.error("E0519", span, format!("the objective cannot be differentiated: {error}"));
                None
            }
        }
    }

    /// `post.error`: minus the objective's derivative by the target's total input, as the rule's feedback delivers it.
    fn delivered_error(&mut self, credit: &Credit, frame: FrameId, k: usize, out: NodeId, port: NodeId) -> Option<Num> {
        if let Some((true, expr, span)) = credit.rule.feedback {
            return self.direct_error(credit, frame, k, out, port, expr, span);
        }
        self.port_error(credit, frame, k)
    }

    fn port_error(&mut self, credit: &Credit, frame: FrameId, k: usize) -> Option<Num> {
        let id = self.frame(frame).net;
        let p = self.net(id).projections[k].clone();
        let port = p.port?;
        let node = *self.program.as_ref()?.port_nodes.get(&(frame, p.target, port))?;
        let unit = Unit::REAL.over(&self.net(id).populations[p.target].ports[port].unit);
        let error = self.minus_gradient(credit.objective?, node, credit.span)?;
        Some(Num::node(unit, error))
    }

    /// The error by the network's own weights, whatever the rule's feedback: what `gradient` means.
    fn true_error(&mut self, credit: &Credit, frame: FrameId, k: usize) -> Option<Num> {
        self.port_error(credit, frame, k)
    }

    /// How many numbers the objective reads of the network.
    fn outputs_size(&mut self, credit: &Credit) -> usize {
        self.output_nodes(credit).iter().map(|n| self.graph.shape(*n).iter().product::<usize>()).sum()
    }

    /// Outputs of populations that the objective reads with nothing of the network in between.
    fn output_nodes(&mut self, credit: &Credit) -> Vec<NodeId> {
        let Some(objective) = credit.objective else { return vec![] };
        let frames: Vec<(NetId, FrameId)> =
            self.live_frames().into_iter().map(|frame| (self.frame(frame).net, frame)).collect();
        let ports: Vec<NodeId> =
            self.program.as_ref().map(|p| p.port_nodes.values().copied().collect()).unwrap_or_default();
        let mut out = vec![];
        for (id, frame) in frames {
            for index in 0..self.net(id).populations.len() {
                let span = self.net(id).populations[index].span;
                let whole = crate::value::PopulationRef { owner: Owner::Frame(frame), index, cells: None };
                let Value::Num(num) = self.population_output(&whole, span) else { continue };
                let Repr::Node(node) = num.repr else { continue };
                // Without this output, does the objective still reach its port? Then it is read through others only.
                let later: Vec<NodeId> = ports
                    .iter()
                    .copied()
                    .filter(|p| *p != node && nnm_graph::depends_on(&self.graph, *p, &|n, _| n == node))
                    .collect();
                let mut zeros = std::collections::BTreeMap::new();
                for port in later {
                    let shape = self.graph.shape(port).to_vec();
                    zeros.insert(port, self.graph.filled(0.0, &shape));
                }
                let cut = nnm_graph::substitute(&mut self.graph, objective, &|_, n| zeros.get(&n).copied());
                if cut.is_ok_and(|c| nnm_graph::depends_on(&self.graph, c, &|n, _| n == node)) && !out.contains(&node) {
                    out.push(node);
                }
            }
        }
        out
    }

    #[allow(clippy::too_many_arguments)]
    fn direct_error(
        &mut self,
        credit: &Credit,
        frame: FrameId,
        k: usize,
        out: NodeId,
        port: NodeId,
        expr: nnm_syntax::ast::ExprId,
        span: Span,
    ) -> Option<Num> {
        let outputs = self.output_nodes(credit);
        if outputs.contains(&out) {
            return self.port_error(credit, frame, k);
        }
        let id = self.frame(frame).net;
        let p = self.net(id).projections[k].clone();
        let size: usize = outputs.iter().map(|n| self.graph.shape(*n).iter().product::<usize>()).sum();
        let scope = self.scope(self.modules.item(credit.kind.item).module, None);
        self.bind_rule_params(scope, credit)?;
        let weights = p.weight.clone()?;
        let meeting = self.meeting(frame, k)?;
        let sizes = [meeting.targets(), meeting.senders(), size];
        self.bind_rule_tensors(scope, credit, id, &p.name, &weights.shape, &weights.unit, sizes)?;
        let b = self.operand(scope, expr)?;
        let b = self.lift(&b.num);
        let mut errors = vec![];
        for node in outputs {
            let error = self.minus_gradient(credit.objective?, node, span)?;
            let length: usize = self.graph.shape(error).iter().product();
            errors.push(self.graph.reshape(error, &[length]).noted(self)?);
        }
        let shape = self.graph.shape(out).to_vec();
        let made = self.graph.concat(0, &errors).and_then(|e| {
            let delivered = self.graph.matmul(b, e)?;
            let delivered = self.graph.reshape(delivered, &shape)?;
            Ok(nnm_graph::grad(&mut self.graph, &[(out, delivered)], &[port])?.first().copied().flatten())
        });
        match made {
            Ok(Some(node)) => {
                let unit = Unit::REAL.over(&self.net(id).populations[p.target].ports[p.port?].unit);
                Some(Num::node(unit, node))
            }
            Ok(None) => {
                let zero = self.graph.filled(0.0, &shape);
                Some(Num::node(Unit::REAL, zero))
            }
            Err(error) => {
                self.error("E0515", span, format!("direct feedback has the shape (target, outputs): {error}"));
                None
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
        let new = match &meeting {
            Some(meeting) => self.viewed(&new, credit.span, |g, n| meeting.weight(g, n)),
            None => new,
        };
        self.bind(scope, "next w", Value::Num(new));
        let What::Weight { projection, .. } = target.what else { return Some(()) };
        let name = self.net(target.net).projections[projection].name.clone();
        let rule = self.modules.item(credit.kind.item).name.text.clone();
        for next in credit.rule.dynamics.nexts.clone() {
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
}

/// The two axes of weights of any shape: targets, and all that each has.
fn as_matrix(w_shape: &[usize]) -> [usize; 2] {
    let rows = w_shape.first().copied().unwrap_or(1);
    [rows, w_shape.iter().skip(1).product()]
}

impl Credit<'_> {
    /// Whether the rule reads anything that only an objective gives.
    pub fn reads_credit(&self, s: &Session) -> bool {
        let Some(change) = &self.rule.change else { return false };
        let file = &s.modules.get(s.modules.item(self.kind.item).module).file;
        crate::hir::reads_credit(file, change.value)
    }
}
