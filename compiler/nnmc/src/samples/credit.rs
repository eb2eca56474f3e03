//! Credit: a rule with the objective that it serves, what carries errors back, and what arrives at each connection.

use nnm_graph::ir::{Binary, NodeId, Unary};
use nnm_kir::ir::{Int, SlotId};
use nnm_syntax::ast::{ExprId, Init};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::passes::Passes;
use super::slot;
use super::target::Link;
use crate::failure::Noted;
use crate::hir::{ItemKind, Rule};
use crate::network::{FrameId, Holder, NetId, Projection};
use crate::program::{Feedback, NewLeaf, Role};
use crate::session::{ScopeId, Session};
use crate::unit::Unit;
use crate::value::{Argument, Kind, Num, Owner, Repr, Value};

/// A rule with the objective that it serves.
pub struct Credit<'c> {
    pub kind: &'c Kind,
    pub rule: &'c Rule,
    /// The objective of each sample; none for rules that need none.
    pub objective: Option<NodeId>,
    /// Names of data and schedules.
    pub scope: ScopeId,
    pub span: Span,
    /// What the rule's own passes gave.
    pub passes: Passes,
}

/// The connection for which a rule keeps tensors of its own.
pub struct Tensors<'t> {
    pub net: NetId,
    pub connection: &'t str,
    /// Those of the weights.
    pub shape: &'t [usize],
    pub unit: &'t Unit,
    /// How many cells there are at each end, and how many numbers the objective reads; 0 where that is not known.
    pub targets: usize,
    pub senders: usize,
    pub outputs: usize,
}

/// Fixed weights from the objective's outputs straight to a connection's targets.
pub struct Direct {
    link: Link,
    expr: ExprId,
    span: Span,
    pub outputs: Vec<NodeId>,
}

impl Tensors<'_> {
    /// The shape of a tensor `like w`, `like post`, `like pre` or `like direct`; none where its ends are not known.
    fn shape_like(&self, like: &str) -> Option<Vec<usize>> {
        match like.split_whitespace().last() {
            Some("post" | "pre" | "direct") if self.targets == 0 => None,
            Some("post") => Some(vec![self.targets, 1]),
            Some("pre") => Some(vec![1, self.senders]),
            Some("direct") => (self.outputs > 0).then(|| vec![self.targets, self.outputs]),
            _ => Some(self.shape.to_vec()),
        }
    }
}

impl Session<'_> {
    pub fn rule_of(&mut self, value: &Value, span: Span) -> Option<(std::sync::Arc<Kind>, Rule)> {
        let Value::Kind(kind) = value else {
            if !matches!(value, Value::Missing) {
                self.error("E0513", span, format!("`by` takes a rule, found {}", value.describe()));
            }
            return None;
        };
        match &self.modules.item(kind.item).kind {
            ItemKind::Rule(rule) => Some((kind.clone(), rule.clone())),
            other => {
                let message =
                    format!("`by` takes a rule; `{}` is {}", kind.text, crate::suggest::with_article(other.word()));
                self.error("E0513", span, message);
                None
            }
        }
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
        let scope = self.formula_scope(self.modules.item(credit.kind.item).module, credit.scope);
        let q = p.weight.clone()?;
        let w = self.projection_weight(id, &p.name, &q);
        let w = self.matrix_of(&w, &q.shape, p.span);
        self.bind(scope, "w", Value::Num(w));
        self.bind_rule_params(scope, credit)?;
        // The ends have not been evaluated: what belongs to them is not read.
        let (targets, senders, outputs) = (0, 0, 0);
        let (connection, shape, unit) = (p.name.as_str(), q.shape.as_slice(), &q.unit);
        let tensors = Tensors { net: id, connection, shape, unit, targets, senders, outputs };
        let names = self.bind_rule_tensors(scope, credit, &tensors)?;
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
                    let c = super::given::with_fields(self, c, credit.scope);
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
        let Credit { kind, rule, span, .. } = credit;
        self.hold_conditions(scope, &rule.dynamics.params, &Holder { item: kind.item, args: &kind.args, span: *span });
        Some(())
    }

    /// `const` and `running` tensors of a rule, which are stored with the network.
    pub fn bind_rule_tensors(&mut self, scope: ScopeId, credit: &Credit, of: &Tensors) -> Option<Vec<String>> {
        let mut names = vec![];
        let rule_name = self.modules.item(credit.kind.item).name.text.clone();
        for decl in credit.rule.consts.iter().chain(&credit.rule.dynamics.running) {
            let like = decl.ty.as_ref().map(|t| self.text(t.span).to_string()).unwrap_or_default();
            let Some(shape) = of.shape_like(&like) else { continue };
            let unit = if like.ends_with('w') { of.unit.clone() } else { Unit::REAL };
            let local = format!("{}.{rule_name}.{}", of.connection, decl.name.text);
            let path = format!("{}.{local}", self.net(of.net).path);
            if !self.net(of.net).store.contains_key(&local) {
                let num = match decl.init {
                    Some(Init::Draw(e)) => self.draw_values(self.closure(scope, e), scope, &shape, &path)?,
                    Some(Init::Value(e)) => self.operand(scope, e)?.num,
                    None => Num::real(0.0),
                };
                let array = self.spread(&num, &shape, decl.span)?;
                self.net_mut(of.net).store.insert(local.clone(), array);
            }
            let home = Some((of.net, local));
            let leaf = NewLeaf { path: &path, role: Role::Weight, unit, shape: &shape, batched: false, home };
            let num = self.leaf(leaf);
            names.push(decl.name.text.clone());
            self.bind(scope, decl.name.text.clone(), Value::Num(num));
        }
        Some(names)
    }

    pub fn per_sample(&mut self, node: NodeId) -> Option<NodeId> {
        if self.graph.node(node).batched {
            return Some(node);
        }
        let count = self.graph.count(Int::Slot(SlotId(slot("batch"))));
        self.graph.binary(Binary::Div, node, count).noted(self)
    }

    pub fn minus_gradient(&mut self, of: NodeId, by: NodeId, span: Span) -> Option<NodeId> {
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
                self.no_derivative(span, &error);
                None
            }
        }
    }

    /// `post.error`: minus the objective's derivative by the target's total input, as the rule's feedback delivers it.
    pub fn delivered_error(&mut self, credit: &Credit, link: Link, out: NodeId, port: NodeId) -> Option<Num> {
        match self.direct_feedback(credit, link, out) {
            Some(direct) => self.direct_error(credit, &direct, out, port),
            None => self.true_error(credit, link),
        }
    }

    /// The node at which a connection's contributions are summed, and its unit.
    pub fn port_at(&mut self, link: Link) -> Option<(NodeId, Unit)> {
        let net = self.net(self.frame(link.frame).net);
        let p = &net.projections[link.projection];
        let (target, port) = (p.target, p.port?);
        let node = *self.program.as_ref()?.port_nodes.get(&(link.frame, target, port))?;
        Some((node, net.populations[target].ports[port].unit.clone()))
    }

    /// Minus the objective's derivative by a connection's port, over whatever carries errors back.
    pub fn true_error(&mut self, credit: &Credit, link: Link) -> Option<Num> {
        let (port, unit) = self.port_at(link)?;
        let error = match self.graph.node(port).batched {
            true => self.minus_gradient(credit.objective?, port, credit.span)?,
            // Where the samples share what arrives, each still has an error of its own.
            false => self.minus_gradient_each(credit.objective?, port)?,
        };
        Some(Num::node(Unit::REAL.over(&unit), error))
    }

    fn minus_gradient_each(&mut self, of: NodeId, by: NodeId) -> Option<NodeId> {
        let one = self.graph.constant(1.0);
        let seeds = self.program.as_ref().and_then(|p| p.seeds.clone()).unwrap_or_else(|| vec![(of, one)]);
        let found = nnm_graph::grad_each(&mut self.graph, &seeds, &[by]).noted(self)?;
        match found.first().copied().flatten() {
            Some(node) => self.graph.unary(Unary::Neg, node).noted(self),
            None => {
                let shape = self.graph.shape(by).to_vec();
                Some(self.graph.filled(0.0, &shape))
            }
        }
    }

    /// How many numbers the objective reads of the network.
    pub fn outputs_size(&mut self, credit: &Credit) -> usize {
        self.output_nodes(credit).iter().map(|n| self.graph.shape(*n).iter().product::<usize>()).sum()
    }

    /// Outputs of populations that the objective reads with nothing of the network in between.
    pub fn output_nodes(&mut self, credit: &Credit) -> Vec<NodeId> {
        let Some(objective) = credit.objective else { return vec![] };
        // Over time the objective reads what is reduced over the steps.
        let steps = self.program.as_ref().map(|p| p.reductions.iter().map(|r| r.step).collect()).unwrap_or_default();
        let roots: Vec<NodeId> = if self.program.as_ref().is_some_and(|p| p.stepped) { steps } else { vec![objective] };
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
                let cut = nnm_graph::substitute_all(&mut self.graph, &roots, &|_, n| zeros.get(&n).copied());
                let reads = |c: &NodeId| nnm_graph::depends_on(&self.graph, *c, &|n, _| n == node);
                if cut.is_ok_and(|cut| cut.iter().any(reads)) && !out.contains(&node) {
                    out.push(node);
                }
            }
        }
        out
    }

    /// `feedback direct B`, where it is what reaches a target: those that the objective reads themselves need none.
    pub fn direct_feedback(&mut self, credit: &Credit, link: Link, out: NodeId) -> Option<Direct> {
        let Some((true, expr, span)) = credit.rule.feedback else { return None };
        let outputs = self.output_nodes(credit);
        (!outputs.contains(&out)).then_some(Direct { link, expr, span, outputs })
    }

    /// Errors at the objective's outputs, one after the other, as the fixed weights bring them to the target's cells.
    pub fn brought(&mut self, credit: &Credit, direct: &Direct, errors: NodeId, shape: &[usize]) -> Option<NodeId> {
        let net = self.frame(direct.link.frame).net;
        let p = self.net(net).projections[direct.link.projection].clone();
        let scope = self.formula_scope(self.modules.item(credit.kind.item).module, credit.scope);
        self.bind_rule_params(scope, credit)?;
        let weights = p.weight.clone()?;
        let meeting = self.meeting(direct.link)?;
        let tensors = Tensors {
            net,
            connection: &p.name,
            shape: &weights.shape,
            unit: &weights.unit,
            targets: meeting.targets(),
            senders: meeting.senders(),
            outputs: direct.outputs.iter().map(|n| self.graph.shape(*n).iter().product::<usize>()).sum(),
        };
        self.bind_rule_tensors(scope, credit, &tensors)?;
        let b = self.operand(scope, direct.expr)?;
        let b = self.lift(&b.num);
        match self.graph.matmul(b, errors).and_then(|node| self.graph.reshape(node, shape)) {
            Ok(node) => Some(node),
            Err(error) => {
                let message = format!("direct feedback has the shape (target, outputs): {error}");
                self.error("E0515", direct.span, message);
                None
            }
        }
    }

    /// Minus the objective's derivatives by its outputs, one after the other.
    fn errors_at(&mut self, credit: &Credit, outputs: &[NodeId], span: Span) -> Option<NodeId> {
        let mut errors = vec![];
        for node in outputs {
            let error = self.minus_gradient(credit.objective?, *node, span)?;
            let length: usize = self.graph.shape(error).iter().product();
            errors.push(self.graph.reshape(error, &[length]).noted(self)?);
        }
        self.graph.concat(0, &errors).noted(self)
    }

    /// `post.signal` of one moment: minus the objective's derivative by the target's output, as the feedback delivers it.
    pub fn delivered_signal(&mut self, credit: &Credit, link: Link) -> Option<Num> {
        let num = self.output_of(link)?;
        let unit = Unit::REAL.over(&num.unit);
        let out = self.lift(&num);
        let node = match self.direct_feedback(credit, link, out) {
            Some(direct) => {
                let errors = self.errors_at(credit, &direct.outputs, direct.span)?;
                let shape = self.graph.shape(out).to_vec();
                self.brought(credit, &direct, errors, &shape)?
            }
            None => self.minus_gradient(credit.objective?, out, credit.span)?,
        };
        Some(Num::node(unit, node))
    }

    fn direct_error(&mut self, credit: &Credit, direct: &Direct, out: NodeId, port: NodeId) -> Option<Num> {
        let (_, unit) = self.port_at(direct.link)?;
        let errors = self.errors_at(credit, &direct.outputs, direct.span)?;
        let shape = self.graph.shape(out).to_vec();
        let delivered = self.brought(credit, direct, errors, &shape)?;
        let error = self.derivatives(&[(out, Some(delivered))], &[port], direct.span)?;
        Some(Num::node(Unit::REAL.over(&unit), error[0]))
    }
}

/// The two axes of weights of any shape: targets, and all that each has.
fn as_matrix(w_shape: &[usize]) -> [usize; 2] {
    let rows = w_shape.first().copied().unwrap_or(1);
    [rows, w_shape.iter().skip(1).product()]
}

impl<'c> Credit<'c> {
    pub fn new(kind: &'c Kind, rule: &'c Rule, scope: ScopeId, span: Span) -> Credit<'c> {
        Credit { kind, rule, objective: None, scope, span, passes: Passes::default() }
    }

    /// Whether `dw` is of a step, to be added up over them: where it reads errors, which differ from step to step.
    pub fn sums_over_steps(&self, s: &Session) -> bool {
        let file = &s.modules.get(s.modules.item(self.kind.item).module).file;
        let nexts: Vec<ExprId> = self.rule.dynamics.nexts.iter().map(|n| n.value).collect();
        let what = ["post.error", "Post.error", "gradient", "score"];
        self.expressions().filter(|e| !nexts.contains(e)).any(|e| crate::hir::reads_any(file, e, &what))
    }

    /// Whether the rule reads anything that only an objective gives.
    pub fn reads_credit(&self, s: &Session) -> bool {
        let rule = self.rule;
        let energies = rule.settles.iter().map(|settle| settle.energy);
        let file = &s.modules.get(s.modules.item(self.kind.item).module).file;
        let mut read = self.expressions().chain(energies);
        !rule.perturbed.is_empty() || read.any(|e| crate::hir::reads_credit(file, e))
    }

    /// The formulas of the rule.
    pub fn expressions(&self) -> impl Iterator<Item = ExprId> {
        let rule = self.rule;
        let lets = rule.dynamics.lets.iter().filter_map(|l| l.init.map(Init::expr));
        let equations = rule.change.iter().chain(&rule.matrix_change).chain(&rule.dynamics.nexts).map(|e| e.value);
        equations.chain(lets)
    }

    /// Whether a formula of the rule reads one of these.
    pub fn reads(&self, s: &Session, what: &[&str]) -> bool {
        let file = &s.modules.get(s.modules.item(self.kind.item).module).file;
        self.expressions().any(|e| crate::hir::reads_any(file, e, what))
    }
}
