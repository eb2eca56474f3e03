//! Trees of parameters: arithmetic on them is element by element, name by name.

use nnm_syntax::ast::BinaryOp;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::operators::Operand;
use crate::session::Session;
use crate::value::{Num, Params, Value};

impl Session<'_> {
    /// A tree whose tensors are each given by a function of one tensor.
    pub fn map_tree(&mut self, tree: &Params, f: impl Fn(&mut Self, &Num) -> Num) -> Value {
        let out: Params = tree.iter().map(|(name, num)| (name.clone(), f(self, num))).collect();
        Value::Params(out.into())
    }

    /// `a OP b` where at least one is a tree; a number acts on every tensor of the other.
    pub fn tree_binary(&mut self, op: BinaryOp, a: (Value, Span), b: (Value, Span), span: Span) -> Value {
        let names: Vec<String> = match (&a.0, &b.0) {
            (Value::Missing, _) | (_, Value::Missing) => return Value::Missing,
            (Value::Params(x), Value::Params(y)) => {
                if let Some(name) = x.keys().find(|n| !y.contains_key(*n)).or(y.keys().find(|n| !x.contains_key(*n))) {
                    let d = Diagnostic::error("E0570", span, format!("only one of these trees has `{name}`"))
                        .label(a.1, format!("{} tensors", x.len()))
                        .label(b.1, format!("{} tensors", y.len()))
                        .help("trees of parameters go together where they come from networks of one architecture");
                    return self.fail(d);
                }
                x.keys().cloned().collect()
            }
            (Value::Params(x), _) | (_, Value::Params(x)) => x.keys().cloned().collect(),
            _ => return Value::Missing,
        };
        let mut out = Params::new();
        for name in names {
            let (Some(x), Some(y)) = (self.tree_operand(&a, &name), self.tree_operand(&b, &name)) else {
                return Value::Missing;
            };
            let Some(num) = self.eval_binary(op, x, y, span) else { return Value::Missing };
            out.insert(name, num);
        }
        Value::Params(out.into())
    }

    /// `if c then a else b` between two trees of one network.
    pub fn choose_tree(&mut self, cond: &Num, a: &Params, b: &Params, span: Span) -> Value {
        let mut out = Params::new();
        for (name, x) in a {
            let chosen = match b.get(name) {
                Some(y) => self.select(cond, x, y, span),
                None => return self.error("E0570", span, format!("only one of these trees has `{name}`")),
            };
            out.insert(name.clone(), chosen);
        }
        Value::Params(out.into())
    }

    fn tree_operand(&mut self, side: &(Value, Span), name: &str) -> Option<Operand> {
        let num = match &side.0 {
            Value::Params(tree) => tree.get(name).cloned()?,
            other => self.number(other.clone(), side.1)?,
        };
        Some(Operand { num, span: side.1 })
    }

    /// `p.x_h`: the tensors below a name; `p.x_h.w`: one of them.
    pub fn tree_field(&mut self, tree: &Params, name: &nnm_syntax::ast::Name) -> Value {
        if let Some(num) = tree.get(&name.text) {
            return Value::Num(num.clone());
        }
        let prefix = format!("{}.", name.text);
        let below: Params =
            tree.iter().filter_map(|(n, x)| Some((n.strip_prefix(&prefix)?.to_string(), x.clone()))).collect();
        if below.is_empty() {
            let names: Vec<String> = tree.keys().cloned().collect();
            return self.no_field(name, &names);
        }
        Value::Params(below.into())
    }
}
