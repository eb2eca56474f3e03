//! Optimizers: from a proposed direction to a change, with states of their own for each trained quantity.

use nnm_graph::ir::{Assign, Binary, NodeId, Place, Reduce, Unary};
use nnm_syntax::ast::Init;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::given::with_fields;
use super::target::{Directions, Target};
use crate::failure::Noted;
use crate::hir::{ItemKind, Optimizer};
use crate::network::Holder;
use crate::program::{NewLeaf, Role};
use crate::session::{Lazy, ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Argument, Kind, Num, Value};

/// An optimizer at work: it keeps states of its own for each quantity.
pub struct Optimizing<'o> {
    pub kind: &'o Kind,
    pub optimizer: &'o Optimizer,
    /// Tells its states from those of others for the same quantity.
    pub number: usize,
    /// Names of data and schedules.
    pub scope: ScopeId,
}

impl Session<'_> {
    pub fn optimizer_of(&mut self, value: &Value, span: Span) -> Option<(std::sync::Arc<Kind>, Optimizer)> {
        match value {
            Value::Kind(kind) => match &self.modules.item(kind.item).kind {
                ItemKind::Optimizer(o) if o.change.is_some() => Some((kind.clone(), o.clone())),
                ItemKind::Optimizer(_) => {
                    // Said where it is declared, too: at one place both are one.
                    let place = self.modules.item(kind.item).name.span;
                    let d = Diagnostic::error("E0222", place, format!("`{}` needs its `change`", kind.text))
                        .label(span, "used here")
                        .help("`change EXPR` is what is added to a weight, in its scale: `change rate * dw`");
                    self.report(d);
                    None
                }
                other => {
                    let message = format!(
                        "`with` takes an optimizer; `{}` is {}",
                        kind.text,
                        crate::suggest::with_article(other.word())
                    );
                    self.error("E0523", span, message);
                    None
                }
            },
            Value::Missing => None,
            other => {
                self.error("E0523", span, format!("`with` takes an optimizer, found {}", other.describe()));
                None
            }
        }
    }

    /// What an optimizer adds to a target for the direction `dw`; its states' next values go to `assigns`.
    pub fn optimized(
        &mut self,
        o: &Optimizing,
        target: &Target,
        dw: NodeId,
        assigns: &mut Vec<Assign>,
    ) -> Option<NodeId> {
        let inner = self.formula_scope(self.modules.item(o.kind.item).module, o.scope);
        if let Some(kink) = self.local(o.scope, "kink", o.kind.span) {
            self.bind(inner, "kink", kink);
        }
        self.bind_optimizer_params(inner, o)?;
        let scale = target.unit.shown().factor;
        let w = self.scaled_node(target.read, 1.0 / scale)?;
        let dw = self.scaled_node(dw, scale)?;
        self.bind(inner, "w", Value::Num(Num::node(Unit::REAL, w)));
        self.bind(inner, "dw", Value::Num(Num::node(Unit::REAL, dw)));
        self.bind_optimizer_states(inner, o, target)?;
        let out = self.operand(inner, o.optimizer.change?)?;
        self.optimizer_assigns(inner, o, target, assigns)?;
        let node = self.lift(&out.num);
        let node = self.graph.broadcast_to(node, &target.shape).noted(self)?;
        self.scaled_node(node, scale)
    }

    fn bind_optimizer_params(&mut self, inner: ScopeId, o: &Optimizing) -> Option<()> {
        let Optimizing { kind, optimizer, scope, .. } = *o;
        for decl in &optimizer.dynamics.params {
            let given = kind.args.iter().find(|(n, _)| *n == decl.name.text).map(|(_, a)| a.clone());
            let num = match (given, decl.init) {
                (Some(Argument::Value(v)), _) => self.number(v, decl.span)?,
                (Some(Argument::Expr(c) | Argument::Draw(c)), _) => {
                    let c = with_fields(self, c, scope);
                    self.operand(c.scope, c.expr.id)?.num
                }
                (None, Some(Init::Value(e))) => self.operand(inner, e)?.num,
                _ => {
                    let d =
                        Diagnostic::error("E0222", kind.span, format!("`{}` needs `{}`", kind.text, decl.name.text))
                            .label(decl.span, "declared here");
                    self.report(d);
                    return None;
                }
            };
            if !num.unit.is_real() {
                let message = format!("`{}` is a plain number: optimizers see weights in their scale", decl.name.text);
                self.error("E0524", kind.span, message);
                return None;
            }
            self.bind(inner, decl.name.text.clone(), Value::Num(num));
        }
        let holder = Holder { item: kind.item, args: &kind.args, span: kind.span };
        self.hold_conditions(inner, &optimizer.dynamics.params, &holder);
        Some(())
    }

    fn scaled_node(&mut self, node: NodeId, by: f64) -> Option<NodeId> {
        if by == 1.0 {
            return Some(node);
        }
        let by = self.graph.constant(by);
        self.graph.binary(Binary::Mul, by, node).noted(self)
    }

    fn state_path(target: &Target, number: usize, name: &str) -> String {
        format!("{}@{number}.{name}", target.path)
    }

    fn bind_optimizer_states(&mut self, inner: ScopeId, o: &Optimizing, target: &Target) -> Option<()> {
        for decl in &o.optimizer.dynamics.states {
            let path = Self::state_path(target, o.number, &decl.name.text);
            let leaf = NewLeaf {
                path: &path,
                role: Role::Work,
                unit: Unit::REAL,
                shape: &target.shape,
                batched: target.batched,
                home: None,
            };
            let num = self.leaf(leaf);
            self.bind(inner, decl.name.text.clone(), Value::Num(num));
        }
        for decl in &o.optimizer.dynamics.lets {
            if let Some(Init::Value(e)) = decl.init {
                let closure = self.closure(inner, e);
                self.bind_lazy(inner, decl.name.text.clone(), Lazy::Expr(closure, decl.ty.clone()));
            }
        }
        for next in &o.optimizer.dynamics.nexts {
            let closure = self.closure(inner, next.value);
            self.bind_lazy(inner, format!("next {}", next.name.text), Lazy::Expr(closure, None));
        }
        Some(())
    }

    fn optimizer_assigns(
        &mut self,
        inner: ScopeId,
        o: &Optimizing,
        target: &Target,
        assigns: &mut Vec<Assign>,
    ) -> Option<()> {
        for next in &o.optimizer.dynamics.nexts {
            let value = self.local(inner, &format!("next {}", next.name.text), next.span)?;
            let num = self.number(value, next.span)?;
            let node = self.lift(&num);
            let node = self.graph.broadcast_to(node, &target.shape).noted(self)?;
            let Some(leaf) = self.leaf_of(&Self::state_path(target, o.number, &next.name.text)) else {
                let message = format!("`next {0}` needs `state {0}`", next.name.text);
                self.error("E0431", next.span, message);
                return None;
            };
            assigns.push(Assign { to: leaf.var, place: Place::Whole, add: false, value: node });
        }
        Some(())
    }

    /// Where an optimizer's states begin anew: at 0, as they do in a training.
    pub fn fresh_states(&mut self, o: &Optimizing, target: &Target) -> Option<Vec<Assign>> {
        let scope = self.scope(self.modules.item(o.kind.item).module, None);
        let mut out = vec![];
        for decl in &o.optimizer.dynamics.states {
            let Some(leaf) = self.leaf_of(&Self::state_path(target, o.number, &decl.name.text)) else { continue };
            let first = match decl.init {
                Some(Init::Value(e)) => self.operand(scope, e)?.num,
                _ => Num::real(0.0),
            };
            let node = self.lift(&first);
            let value = self.graph.broadcast_to(node, &target.shape).noted(self)?;
            out.push(Assign { to: leaf.var, place: Place::Whole, add: false, value });
        }
        Some(out)
    }

    /// Scales directions so that their common norm is at most `limit`.
    pub fn clipped(&mut self, directions: Directions, limit: f64) -> Option<Directions> {
        let mut total = self.graph.constant(0.0);
        for (_, d) in &directions {
            let square = self.graph.binary(Binary::Mul, *d, *d).noted(self)?;
            let sum = self.graph.reduce_all(Reduce::Sum, square).noted(self)?;
            total = self.graph.binary(Binary::Add, total, sum).noted(self)?;
        }
        let norm = self.graph.unary(Unary::Sqrt, total).noted(self)?;
        let limit = self.graph.constant(limit);
        let larger = self.graph.binary(Binary::Max, norm, limit).noted(self)?;
        let factor = self.graph.binary(Binary::Div, limit, larger).noted(self)?;
        let scaled = directions.into_iter().map(|(target, d)| {
            let d = self.graph.binary(Binary::Mul, factor, d).noted(self)?;
            Some((target, d))
        });
        scaled.collect()
    }
}
