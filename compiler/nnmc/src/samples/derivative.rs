//! `gradient(EXPR, x)` as an expression: by a tensor, by a name, or by all parameters of a network.

use nnm_graph::ir::{NodeId, Place, Var, VarElem};
use nnm_syntax::ast::ExprKind;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::eval::Call;
use crate::eval::operators::Operand;
use crate::failure::Noted;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Params, Repr, Value};

impl Session<'_> {
    /// `gradient(E, x)`: the derivative of the number E; of a sample's number by what the samples share, this sample's.
    pub fn gradient_call(&mut self, call: &Call) -> Value {
        if self.building() {
            return self.gradient_in_program(call);
        }
        self.at_once(call.span, |s| {
            for id in [call.positional(0), call.positional(1)].into_iter().flatten() {
                for (net, _) in s.networks_in(call.scope, id, &[]) {
                    s.frame_of(net);
                }
            }
            s.gradient_in_program(call)
        })
    }

    fn gradient_in_program(&mut self, call: &Call) -> Value {
        let at = call.positional(1).map_or(call.span, |id| self.expr_span(call.scope, id));
        let by = match self.arg(call, 1, "x") {
            Some(Value::Params(tree)) => return self.gradient_by_tree(call, &tree),
            Some(value) => self.number(value, at),
            None => return self.error("E0222", call.span, "`gradient(E, x)` needs `x`"),
        };
        let Some(by) = by else { return Value::Missing };
        if matches!(by.repr, Repr::Const(_)) {
            return self.gradient_by_name(call, &by, at);
        }
        let Some(e) = self.differentiated(call) else { return Value::Missing };
        let unit = e.num.unit.over(&by.unit);
        let (Repr::Node(_) | Repr::Const(_), Repr::Node(node)) = (&e.num.repr, &by.repr) else {
            return Value::Num(Num::unknown(unit));
        };
        let of = self.lift(&e.num);
        match self.each_derivative(of, &[*node], call.span) {
            Some(found) => Value::Num(Num { stepwise: e.num.stepwise, ..Num::node(unit, found[0]) }),
            None => Value::Missing,
        }
    }

    /// What is differentiated: one number, and not one that was reduced over the steps of a presentation.
    fn differentiated(&mut self, call: &Call) -> Option<Operand> {
        let e = self.num_arg(call, 0, "E")?;
        if self.shape(&e.num).is_some_and(|s| !s.is_empty()) {
            self.error("E0522", e.span, "a gradient is of one number, this is a tensor");
            return None;
        }
        let reads: Vec<NodeId> = self.program.iter().flat_map(|p| &p.reductions).map(|r| r.read).collect();
        if let Repr::Node(of) = e.num.repr
            && nnm_graph::depends_on(&self.graph, of, &|n, _| reads.contains(&n))
        {
            let d = Diagnostic::error(
                "E0573",
                e.span,
                "this was reduced over the steps of a presentation: `gradient` does not go back through them",
            )
            .help(
                "training does: `minimize … by` a rule; or differentiate what one step gives, and reduce the gradient",
            );
            self.report(d);
            return None;
        }
        Some(e)
    }

    /// By a number that is known now: its name stands for a variable inside E.
    fn gradient_by_name(&mut self, call: &Call, by: &Num, at: Span) -> Value {
        let name = call.positional(1).map(|id| self.bare_expr(call.scope, id).1.kind);
        let (Some(ExprKind::Name(name)), Some(array)) = (name, by.as_const().cloned()) else {
            let d = Diagnostic::error(
                "E0574",
                at,
                "a gradient is by something that the expression depends on; this is a constant",
            )
            .help("give it a name first: `let x = …`, then `gradient(f(x), x)`");
            return self.fail(d);
        };
        let var = self.graph.add_var(Var {
            name: name.clone(),
            elem: VarElem::Real,
            shape: array.shape().to_vec(),
            batched: false,
            times: None,
        });
        let read = self.read_whole(var);
        let scope = self.inner(call.scope);
        self.bind(scope, name.clone(), Value::Num(Num { repr: Repr::Node(read), ..by.clone() }));
        let Some(e) = self.differentiated(&Call { scope, ..call.clone() }) else { return Value::Missing };
        let unit = e.num.unit.over(&by.unit);
        if matches!(e.num.repr, Repr::Unknown) {
            return Value::Num(Num::unknown(unit));
        }
        let of = self.lift(&e.num);
        if !nnm_graph::depends_on(&self.graph, of, &|n, _| n == read) {
            let d = Diagnostic::error("E0574", e.span, format!("this does not depend on `{name}`"))
                .at("it was computed before, or has another variable")
                .help(format!("write it as a function of `{name}` inside `gradient(…)`"));
            return self.fail(d);
        }
        let Some(found) = self.each_derivative(of, &[read], call.span) else { return Value::Missing };
        let known = self.graph.tensor(array);
        let place = |v, _: &Place| (v == var).then_some(known);
        match nnm_graph::substitute_reads(&mut self.graph, found[0], &place).noted(self) {
            Some(node) => Value::Num(Num { stepwise: e.num.stepwise, ..Num::node(unit, node) }),
            None => Value::Missing,
        }
    }

    fn gradient_by_tree(&mut self, call: &Call, tree: &Params) -> Value {
        let Some(e) = self.differentiated(call) else { return Value::Missing };
        if matches!(e.num.repr, Repr::Unknown) {
            return self.map_tree(tree, |_, num| Num { repr: Repr::Unknown, ..num.clone() });
        }
        let of = self.lift(&e.num);
        let nodes: Vec<NodeId> = tree.values().map(|num| self.lift(num)).collect();
        // In its scale a quantity is what is stored times a number: E depends on what is stored.
        let reads: Vec<(NodeId, f64)> = nodes.iter().map(|n| self.scaled_read(*n)).collect();
        let by: Vec<NodeId> = reads.iter().map(|(n, _)| *n).collect();
        let Some(found) = self.each_derivative(of, &by, call.span) else { return Value::Missing };
        let mut out = Params::new();
        for ((name, node), (_, factor)) in tree.keys().zip(found).zip(reads) {
            let num = Num { stepwise: e.num.stepwise, ..Num::node(Unit::REAL, node) };
            let scale = Num::real(1.0 / factor);
            let num = if factor == 1.0 { num } else { self.mul(&scale, &num, call.span) };
            out.insert(name.clone(), num);
        }
        Value::Params(out.into())
    }

    /// Derivatives of one number by others, each sample's own; zeros where it does not depend.
    pub fn each_derivative(&mut self, of: NodeId, by: &[NodeId], span: Span) -> Option<Vec<NodeId>> {
        let one = self.graph.constant(1.0);
        match nnm_graph::grad_each(&mut self.graph, &[(of, one)], by) {
            Ok(found) => {
                let mut out = vec![];
                for (found, by) in found.into_iter().zip(by) {
                    let shape = self.graph.shape(*by).to_vec();
                    out.push(found.unwrap_or_else(|| self.graph.filled(0.0, &shape)));
                }
                Some(out)
            }
            Err(error) => {
                self.no_derivative(span, &error);
                None
            }
        }
    }
}
