//! What a declaration asks of a parameter's value: `param tau = 20 ms where tau > 0 ms`.

use nnm_syntax::ast::ExprKind;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::eval::Call;
use crate::hir::{Decl, ItemId, clause};
use crate::network::Population;
use crate::session::{ScopeId, Session};
use crate::table::quantity;
use crate::value::{Argument, Value};

/// Whose parameters are held to their conditions: what was declared, what it was given, and where.
pub struct Holder<'a> {
    pub item: ItemId,
    pub args: &'a [(String, Argument)],
    pub span: Span,
}

impl Holder<'_> {
    /// A declaration on its own, with its defaults.
    pub fn alone(item: ItemId, span: Span) -> Self {
        Holder { item, args: &[], span }
    }
}

impl Session<'_> {
    /// Looks at the conditions of parameters that are all bound in `scope`; gives the names of those that are not met.
    /// What only a run knows is not looked at.
    pub fn hold_conditions(&mut self, scope: ScopeId, decls: &[Decl], of: &Holder) -> Vec<String> {
        let mut wrong = vec![];
        let owner = self.modules.item(of.item).name.text.clone();
        for decl in decls {
            let Some(cond) = clause(&decl.clauses, "where") else { continue };
            let Some(found) = self.operand(scope, cond) else { continue };
            if !found.num.unit.is_real() {
                let message = format!("a condition is true or false, not {}", found.num.unit.describe());
                self.error("E0310", found.span, message);
                continue;
            }
            let Some(failing) = found.num.as_const().and_then(|a| a.iter().position(|x| *x == 0.0)) else { continue };
            let shape = self.shape(&found.num).unwrap_or_default();
            let name = &decl.name.text;
            let shown = match self.local(scope, name, decl.span) {
                Some(Value::Num(num)) => num.as_const().and_then(|values| {
                    let all = values.broadcast(shape.clone())?;
                    all.iter().nth(failing).map(|value| quantity(*value, &num.unit))
                }),
                _ => None,
            };
            let place = if shape.len() == 1 { format!("{name}[{failing}]") } else { name.clone() };
            let message = match shown {
                Some(value) => format!("`{place}` of `{owner}` is {value}: that is not allowed"),
                None => format!("`{place}` of `{owner}` has a value that is not allowed"),
            };
            let d = Diagnostic::error("E0448", self.given_at(of, name), message);
            self.report(d.label(found.span, "its declaration asks for this"));
            wrong.push(name.clone());
        }
        wrong
    }

    /// The same for a population, each condition as one of its cells sees it.
    pub fn hold_population(&mut self, population: &Population, of: &Holder) -> Vec<String> {
        let neuron = self.neuron_of(population);
        let scope = self.cell_scope(self.modules.item(population.item).module, population);
        for (name, num) in &population.params {
            let inside = self.param_inside(population, name, num);
            self.bind(scope, name.clone(), Value::Num(inside));
        }
        self.hold_conditions(scope, &neuron.dynamics.params, of)
    }

    /// Where a population gives its neuron the parameter that an argument of a call in it is.
    pub fn given_to_cells(&self, call: &Call, k: usize) -> Option<Span> {
        let ExprKind::Name(param) = self.bare_expr(call.scope, call.positional(k)?).1.kind else { return None };
        let scopes = std::iter::successors(Some(call.scope), |id| self.scopes[id.0 as usize].parent);
        let owner = scopes.filter_map(|id| self.scopes[id.0 as usize].owner.as_deref()).next()?;
        let nets = self.program.as_ref()?.frames.keys();
        let population = nets.flat_map(|id| &self.net(*id).populations).find(|p| p.name == owner)?;
        let holder = Holder { item: population.item, args: &population.kind.args, span: population.span };
        Some(self.given_at(&holder, &param))
    }

    /// Where a parameter got its value.
    fn given_at(&self, of: &Holder, name: &str) -> Span {
        match of.args.iter().find(|(n, _)| n == name) {
            Some((_, Argument::Expr(c) | Argument::Draw(c))) => self.expr_span(c.scope, c.expr.id),
            _ => of.span,
        }
    }
}
