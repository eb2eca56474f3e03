//! `act a ~ DIST`: what a network does in a world, drawn at each step, and how probable that was.

use nnm_graph::ir::{Binary, Draw, NodeId};
use nnm_kir::ir::Int;
use nnm_syntax::ast::{Arg, ExprKind, Init, Name, StmtKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::Presentation;
use super::given::with_fields;
use super::score::{Drawn, log_of_class, log_of_coin, log_of_normal};
use crate::eval::Closure;
use crate::eval::operators::Operand;
use crate::failure::Noted;
use crate::hir::Decl;
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::Num;

/// An `act` statement.
#[derive(Clone, Debug)]
pub struct Act {
    pub name: Name,
    pub draw: Closure,
}

/// What an action is drawn from.
enum Source {
    Categorical(Operand),
    Bernoulli(Operand),
    Normal(Operand, Operand),
}

impl Session<'_> {
    /// The `act` statements of a block.
    pub fn acts(&self, scope: ScopeId, block: &[nnm_syntax::ast::Stmt]) -> Vec<Act> {
        let found = block.iter().filter_map(|stmt| match &stmt.kind {
            StmtKind::Act { name, value } => Some(Act { name: name.clone(), draw: self.closure(scope, *value) }),
            _ => None,
        });
        found.collect()
    }

    /// Draws every action that the world waits for, by name.
    pub(super) fn actions_of(
        &mut self,
        p: &Presentation,
        scope: ScopeId,
        declared: &[Decl],
        acts: &[Act],
        span: Span,
    ) -> Option<Vec<(String, Num)>> {
        if let Some(act) = acts.iter().find(|a| !declared.iter().any(|d| d.name.text == a.name.text)) {
            let d = Diagnostic::error(
                "E0578",
                act.name.span,
                format!("this environment has no action `{}`", act.name.text),
            );
            let near = crate::suggest::nearest(&act.name.text, declared.iter().map(|d| d.name.text.as_str()));
            self.report(crate::suggest::did_you_mean(d, act.name.span, near));
            return None;
        }
        let mut values = vec![];
        for decl in declared {
            let Some(act) = acts.iter().find(|a| a.name.text == decl.name.text) else {
                let message = format!("the environment waits for its action `{}`", decl.name.text);
                let d = Diagnostic::error("E0578", span, message)
                    .label(decl.span, "declared here")
                    .help(format!("`act {} ~ categorical(softmax(net.y))`", decl.name.text));
                self.report(d);
                return None;
            };
            let num = self.drawn(p, scope, act, decl)?;
            values.push((decl.name.text.clone(), num));
        }
        Some(values)
    }

    fn drawn(&mut self, p: &Presentation, world: ScopeId, act: &Act, decl: &Decl) -> Option<Num> {
        let draw = with_fields(self, act.draw, p.scope);
        let span = self.expr_span(draw.scope, draw.expr.id);
        let source = self.action_source(draw, span)?;
        let declared = match &decl.ty {
            Some(ty) => self.declared(world, ty)?,
            None => crate::eval::types::Declared::real(),
        };
        let (num, log) = match &source {
            Source::Categorical(p) => self.draw_class(p, &act.name.text)?,
            Source::Bernoulli(p) => self.draw_coin(p, &act.name.text)?,
            Source::Normal(m, s) => self.draw_normal(m, s, &act.name.text, span)?,
        };
        if let crate::value::Repr::Node(value) = num.repr {
            self.program.as_mut()?.drawn.push(Drawn { value, log_probability: log });
        }
        let held = self.hold_number(num, &declared, decl.span, span)?;
        if let (Some(classes), Source::Categorical(p)) = (declared.class, &source) {
            let found = self.shape(&p.num).and_then(|s| s.last().copied());
            if found.is_some_and(|n| n != classes) {
                let message =
                    format!("`{}` is one of {classes}, here are {} probabilities", decl.name.text, found.unwrap_or(0));
                let d = Diagnostic::error("E0578", p.span, message).label(decl.span, "declared here");
                self.report(d);
                return None;
            }
        }
        self.action_of_shape(held, &declared.shape, decl, span)
    }

    /// One number stands for a tensor of one element; any other shape is the declared one.
    fn action_of_shape(&mut self, num: Num, wanted: &[usize], decl: &Decl, span: Span) -> Option<Num> {
        let found = self.shape(&num)?;
        if found == wanted {
            return Some(num);
        }
        if found.iter().product::<usize>() == wanted.iter().product::<usize>() {
            let out = self.apply(span, num.unit.clone(), &[&num], |g, n| g.reshape(n[0], wanted));
            return Some(Num { class: num.class, ..out });
        }
        let (a, b) = (crate::eval::types::shape_text(wanted), crate::eval::types::shape_text(&found));
        let d = Diagnostic::error("E0578", span, format!("`{}` is {a}, here is {b}", decl.name.text))
            .label(decl.span, "declared here");
        self.report(d);
        None
    }

    fn action_source(&mut self, draw: Closure, span: Span) -> Option<Source> {
        let (_, expr) = self.bare_expr(draw.scope, draw.expr.id);
        let call = match &expr.kind {
            ExprKind::Call { callee, args, .. } => match self.bare_expr(draw.scope, *callee).1.kind {
                ExprKind::Name(name) => Some((name, args.clone())),
                _ => None,
            },
            _ => None,
        };
        let mut arg = |k: usize| -> Option<Operand> {
            let (_, args): &(String, Vec<Arg>) = call.as_ref()?;
            let (Init::Value(e) | Init::Draw(e)) = args.get(k)?.value;
            let x = self.operand(draw.scope, e)?;
            Some(x)
        };
        let source = match call.as_ref().map(|(n, _)| n.as_str()) {
            Some("categorical") => Source::Categorical(arg(0)?),
            Some("bernoulli") => Source::Bernoulli(arg(0)?),
            Some("normal") => Source::Normal(arg(0)?, arg(1)?),
            _ => {
                let d = Diagnostic::error(
                    "E0578",
                    span,
                    "an action is drawn from `categorical(p)`, `bernoulli(p)` or `normal(m, s)`",
                )
                .help("`act push ~ categorical(softmax(net.y))`");
                self.report(d);
                return None;
            }
        };
        Some(source)
    }

    /// A standard draw of the step for an action, one for each element of a shape.
    fn draw_like(&mut self, draw: Draw, shape: &[usize], action: &str) -> Option<NodeId> {
        let key = self.draw_key(format!("act {action}"))?;
        let step = self.program.as_ref()?.step.clone();
        self.graph.draw(draw, key, [step, Int::Const(0)], shape, true, None).noted(self)
    }

    fn draw_class(&mut self, p: &Operand, action: &str) -> Option<(Num, NodeId)> {
        self.plain(p, "categorical")?;
        let shape = self.shape(&p.num)?;
        let [n] = shape.as_slice() else {
            self.error("E0578", p.span, "`categorical` takes one row of probabilities");
            return None;
        };
        let u = self.draw_like(Draw::Uniform, &[], action)?;
        let p = self.lift(&p.num);
        let made = class_below(&mut self.graph, p, u, *n)
            .and_then(|class| Ok((class, log_of_class(&mut self.graph, class, p)?)));
        let (class, log) = made.noted(self)?;
        Some((Num { class: Some(*n), ..Num::node(Unit::REAL, class) }, log))
    }

    fn draw_coin(&mut self, p: &Operand, action: &str) -> Option<(Num, NodeId)> {
        self.plain(p, "bernoulli")?;
        let shape = self.shape(&p.num)?;
        let u = self.draw_like(Draw::Uniform, &shape, action)?;
        let p = self.lift(&p.num);
        let g = &mut self.graph;
        let made = (|| {
            let coin = g.binary(Binary::Lt, u, p)?;
            Ok((coin, log_of_coin(g, coin, p)?))
        })();
        let (coin, log) = made.noted(self)?;
        Some((Num::node(Unit::REAL, coin), log))
    }

    fn draw_normal(&mut self, m: &Operand, s: &Operand, action: &str, span: Span) -> Option<(Num, NodeId)> {
        if !self.same_unit("draw with", m, s, span) {
            return None;
        }
        let unit = m.num.unit.join(&s.num.unit);
        let shape = self.shape(&m.num)?;
        let z = self.draw_like(Draw::Normal, &shape, action)?;
        let (m, s) = (self.lift(&m.num), self.lift(&s.num));
        let g = &mut self.graph;
        let made = (|| {
            let part = g.binary(Binary::Mul, z, s)?;
            let value = g.binary(Binary::Add, m, part)?;
            // What was done is done: credit goes to its probability alone.
            let value = g.stop_gradient(value)?;
            Ok((value, log_of_normal(g, value, m, s)?))
        })();
        let (value, log) = made.noted(self)?;
        Some((Num::node(unit, value), log))
    }
}

/// The class whose part of [0, 1) holds u: how many of the running sums of p do not exceed it.
pub fn class_below(
    g: &mut nnm_graph::ir::Graph,
    p: NodeId,
    u: NodeId,
    n: usize,
) -> Result<NodeId, nnm_graph::ShapeError> {
    let running = g.cumsum(p, 0, false)?;
    let axis = g.node(u).shape.len();
    let each = [g.node(u).shape.as_slice(), &[1]].concat();
    let u = g.reshape(u, &each)?;
    let passed = g.binary(Binary::Le, running, u)?;
    let class = g.reduce(nnm_graph::ir::Reduce::Sum, passed, &[axis])?;
    // Rounding may leave the last sum below 1.
    let last = g.constant(n as f64 - 1.0);
    g.binary(Binary::Min, class, last)
}
