//! A rule's formula for one trained quantity: the names that it reads, and what it proposes over the batch.

use nnm_graph::Built;
use nnm_graph::ir::{Assign, Binary, Graph, NodeId, Place};
use nnm_kir::ir::{Int, SlotId};
use nnm_syntax::ast::Init;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::credit::{Credit, Tensors};
use super::meeting::Meeting;
use super::target::{Link, Target, What};
use super::{separate, slot};
use crate::failure::Noted;
use crate::hir::{ModuleId, Rule};
use crate::session::{Lazy, ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Argument, Num, Value};

/// A rule's formula for one trained quantity: the names that it sees, and how the ends meet whose values they are.
pub struct Formula<'f> {
    pub credit: &'f Credit<'f>,
    pub target: &'f Target,
    /// How the connection's ends meet; a plain weight has none.
    pub meeting: Option<Meeting>,
    pub scope: ScopeId,
    pub pre: ScopeId,
    pub post: ScopeId,
}

impl Formula<'_> {
    pub fn span(&self) -> Span {
        self.credit.span
    }

    /// A tensor of the quantity's own shape, as the formula sees it.
    pub fn own(&self, g: &mut Graph, x: NodeId) -> Built {
        match (self.target.what, &self.meeting) {
            (What::Bias(_), Some(meeting)) => meeting.bias(g, x),
            (_, Some(meeting)) => meeting.weight(g, x),
            (_, None) => Ok(x),
        }
    }

    /// One value a target, as the formula sees it.
    pub fn of_targets(&self, g: &mut Graph, x: NodeId) -> Built {
        match &self.meeting {
            Some(meeting) => meeting.target(g, x),
            None => Ok(x),
        }
    }

    /// How many cells receive.
    pub fn targets(&self) -> usize {
        self.meeting.as_ref().map_or(1, Meeting::targets)
    }

    /// The mean over the samples of the formula's value, summed over the pairs that share a weight.
    pub fn mean(&self, g: &mut Graph, value: NodeId) -> Built {
        let count = g.count(Int::Slot(SlotId(slot("batch"))));
        let shape = &self.target.shape;
        let sum = match (self.target.what, &self.meeting) {
            (What::Weight(_), Some(meeting)) => meeting.summed(g, value, shape, count),
            (What::Bias(_), Some(meeting)) => meeting.summed_bias(g, value, self.target.rows(), count),
            _ => separate::batch_sum(g, value, shape, count),
        };
        g.binary(Binary::Div, sum?, count)
    }
}

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
        if let What::Weight(link) = target.what {
            self.hold_differentiable(credit.kind, change.value, link.frame, link.projection)?;
        }
        let formula = self.formula(credit, target)?;
        if credit.rule.change.is_none() {
            self.bind_matrix_form(&formula)?;
        }
        let x = self.operand(formula.scope, change.value)?;
        self.hold_change(credit, target, &x.num, x.span)?;
        let node = self.lift(&x.num);
        let node = match self.program.as_ref().and_then(|p| p.world.as_ref()).map(|w| w.alive) {
            Some(alive) => self.graph.binary(Binary::Mul, alive, node).noted(self)?,
            None => node,
        };
        match formula.mean(&mut self.graph, node) {
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

    /// What the formulas of a rule or an optimizer see of a training: its time and its progress, none of its data.
    pub fn formula_scope(&mut self, module: ModuleId, training: ScopeId) -> ScopeId {
        let scope = self.scope(module, None);
        self.bind_time(scope);
        for name in ["training", "epoch", "n", "progress"] {
            if let Some(value) = self.local(training, name, Span::default()) {
                self.bind(scope, name, value);
            }
        }
        scope
    }

    /// A rule's formula for one target, with the rule's own states as they are after the presentation.
    fn formula<'f>(&mut self, credit: &'f Credit, target: &'f Target) -> Option<Formula<'f>> {
        let formula = self.formula_in_step(credit, target)?;
        self.bind_states(&formula)?;
        Some(formula)
    }

    /// A rule's formula for one target, without the rule's own states.
    pub fn formula_in_step<'f>(&mut self, credit: &'f Credit, target: &'f Target) -> Option<Formula<'f>> {
        let module = self.modules.item(credit.kind.item).module;
        let scope = self.formula_scope(module, credit.scope);
        let (pre, post) = (self.scope(module, None), self.scope(module, None));
        self.bind(scope, "w", Value::Num(Num::unknown(target.unit.clone())));
        self.bind_rule_params(scope, credit)?;
        let meeting = match target.link() {
            Some(link) => Some(self.meeting(link)?),
            None => None,
        };
        let mut f = Formula { credit, target, meeting, scope, pre, post };
        let w = self.viewed(&Num::node(target.unit.clone(), target.read), f.span(), |g, n| f.own(g, n));
        self.bind(scope, "w", Value::Num(w));
        self.bind_ends(&mut f)?;
        self.bind(scope, "pre", Value::Names(pre));
        self.bind(scope, "post", Value::Names(post));
        if let Some(objective) = credit.objective {
            self.bind(scope, "objective", Value::Num(Num::node(Unit::REAL, objective)));
        }
        self.bind_gradient(&f)?;
        self.bind_score(&f)?;
        self.bind_modulators(&f)?;
        self.bind_noises(&f)?;
        for (name, node) in credit.passes.perturbed.clone() {
            let names = self.scope(module, None);
            self.bind(names, "objective", Value::Num(Num::node(Unit::REAL, node)));
            self.bind(scope, name, Value::Names(names));
        }
        self.bind_settled(&f)?;
        self.bind_moment(&f)?;
        self.forbid_credit(&f);
        self.bind_rule_lets(scope, credit.rule);
        Some(f)
    }

    /// A rule's tensors as its formula sees them.
    pub fn bind_own_tensors(&mut self, f: &mut Formula, link: Link) -> Option<()> {
        let (credit, target) = (f.credit, f.target);
        let Some(meeting) = &mut f.meeting else { return Some(()) };
        let connection = self.net(target.net).projections[link.projection].name.clone();
        let (connection, shape) = match target.what {
            What::Bias(_) => (format!("{connection}.bias"), vec![target.rows(), 1]),
            _ => (connection, target.shape.clone()),
        };
        let tensors = Tensors {
            net: target.net,
            connection: &connection,
            shape: &shape,
            unit: &target.unit,
            targets: meeting.targets(),
            // A bias has one sender, whose output is 1.
            senders: if target.is_bias() { 1 } else { meeting.senders() },
            outputs: self.outputs_size(credit),
        };
        let names = self.bind_rule_tensors(f.scope, credit, &tensors)?;
        let weight = matches!(target.what, What::Weight(_));
        for name in names {
            let Some(Value::Num(num)) = self.local(f.scope, &name, credit.span) else { continue };
            let found = self.shape(&num).unwrap_or_default();
            let num = match found.as_slice() {
                [] => continue,
                found if found == shape && weight => self.viewed(&num, credit.span, |g, n| meeting.weight(g, n)),
                found if found == shape => self.viewed(&num, credit.span, |g, n| meeting.bias(g, n)),
                [n, 1] if *n == meeting.targets() => self.viewed(&num, credit.span, |g, n| meeting.target(g, n)),
                [1, n] if *n == meeting.senders() => self.viewed(&num, credit.span, |g, n| meeting.sender(g, n)),
                // One number for the one sender of a bias fits as it is.
                _ => continue,
            };
            self.bind(f.scope, name, Value::Num(num));
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
    fn bind_states(&mut self, f: &Formula) -> Option<()> {
        let (scope, credit) = (f.scope, f.credit);
        let dynamics = &credit.rule.dynamics;
        let during = self.inner(scope);
        for decl in &dynamics.states {
            let first = match decl.init {
                Some(Init::Value(e)) => self.operand(scope, e)?.num,
                _ => Num::real(0.0),
            };
            let known = credit.passes.states.get(&(f.target.key(), decl.name.text.clone())).cloned();
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
    fn bind_matrix_form(&mut self, f: &Formula) -> Option<()> {
        let (scope, credit) = (f.scope, f.credit);
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

    fn bind_modulators(&mut self, f: &Formula) -> Option<()> {
        let credit = f.credit;
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
            let c = super::given::with_fields(self, c, credit.scope);
            let x = self.operand(c.scope, c.expr.id)?;
            let cells = f.targets();
            let like_post = decl.ty.as_ref().is_some_and(|t| self.text(t.span).ends_with("post"));
            let num = match self.shape(&x.num) {
                Some(shape) if like_post && shape.iter().product::<usize>() == cells => {
                    self.viewed(&x.num, x.span, |g, n| f.of_targets(g, n))
                }
                Some(shape) if like_post && !shape.is_empty() => {
                    let found = crate::eval::types::shape_text(&shape);
                    let message =
                        format!("`{}` is one number for each of {cells} targets, this has {found}", decl.name.text);
                    self.error("E0521", x.span, message);
                    return None;
                }
                _ => x.num,
            };
            self.bind(f.scope, decl.name.text.clone(), Value::Num(num));
        }
        Some(())
    }

    /// A local rule sees neither objective nor errors.
    fn forbid_credit(&mut self, f: &Formula) {
        if f.credit.rule.local {
            for name in ["objective", "gradient"] {
                self.scopes[f.scope.0 as usize].names.shift_remove(name);
            }
        }
    }

    /// The next values of a rule's running tensors for one connection.
    pub fn running_of(
        &mut self,
        credit: &Credit,
        target: &Target,
        new: NodeId,
        assigns: &mut Vec<Assign>,
    ) -> Option<()> {
        let f = self.formula(credit, target)?;
        let new = self.viewed(&Num::node(target.unit.clone(), new), credit.span, |g, n| f.own(g, n));
        self.bind(f.scope, "next w", Value::Num(new));
        let connection = |s: &Self, link: Link| s.net(target.net).projections[link.projection].name.clone();
        let name = match target.what {
            What::Weight(link) => connection(self, link),
            What::Bias(link) => format!("{}.bias", connection(self, link)),
            What::Plain => return Some(()),
        };
        let rule = self.modules.item(credit.kind.item).name.text.clone();
        let own = &credit.rule.dynamics.running;
        let nexts = credit.rule.dynamics.nexts.iter().filter(|n| own.iter().any(|r| r.name.text == n.name.text));
        for next in nexts {
            let x = self.operand(f.scope, next.value)?;
            let path = format!("{}.{name}.{rule}.{}", self.net(target.net).path, next.name.text);
            let Some(leaf) = self.leaf_of(&path) else { continue };
            let shape = self.graph.var(leaf.var).shape.clone();
            let node = self.lift(&x.num);
            let whole = self.graph.shape(node).iter().product::<usize>() == shape.iter().product::<usize>();
            let fitted = if whole { self.graph.reshape(node, &shape) } else { Ok(node) };
            let value = match fitted.and_then(|node| self.graph.broadcast_to(node, &shape)) {
                Ok(value) => value,
                Err(error) => {
                    let name = &next.name.text;
                    let message = format!(
                        "`next {name}` of `{}` does not fit `{name}` at {}: {error}",
                        credit.kind.text, target.path
                    );
                    self.error("E0517", next.span, message);
                    return None;
                }
            };
            assigns.push(Assign { to: leaf.var, place: Place::Whole, add: false, value });
        }
        Some(())
    }
}
