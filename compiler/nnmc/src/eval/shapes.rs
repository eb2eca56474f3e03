//! Shapes in messages: lengths as the user spells them, and what is wrong with an operation's shapes in its own words.

use nnm_graph::ShapeError;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::session::Session;

/// Operators as they are written, by the name of the operation.
const OPERATORS: [(&str, &str); 13] = [
    ("add", "+"),
    ("sub", "-"),
    ("mul", "*"),
    ("div", "/"),
    ("pow", "^"),
    ("eq", "=="),
    ("ne", "!="),
    ("lt", "<"),
    ("le", "<="),
    ("gt", ">"),
    ("ge", ">="),
    ("and", "and"),
    ("or", "or"),
];

impl Session<'_> {
    /// `[n, 4]`, or `one number`.
    pub fn shape_text(&self, shape: &[usize]) -> String {
        if shape.is_empty() {
            return "one number".into();
        }
        let parts: Vec<String> = shape.iter().map(|n| self.length_text(*n)).collect();
        format!("[{}]", parts.join(", "))
    }

    /// A length; while a declaration is looked at for lengths of any size, the expression that it stands for.
    pub fn length_text(&self, length: usize) -> String {
        if let Some(text) = self.lengths.get(&length) {
            return text.clone();
        }
        let named = |n: usize| self.lengths.get(&n);
        for (value, text) in &self.lengths {
            if let Some(other) = length.checked_sub(*value).and_then(named) {
                return format!("{text} + {other}");
            }
            if *value > 1
                && length.is_multiple_of(*value)
                && let Some(other) = named(length / value)
            {
                return format!("{} * {}", factor(text), factor(other));
            }
        }
        length.to_string()
    }

    /// Reports an operation on shapes that do not fit; `places` are those of its arguments, where they are known.
    pub fn shape_error(&mut self, span: Span, places: &[Span], error: &ShapeError) {
        let shapes: Vec<String> = error.shapes.iter().map(|s| self.shape_text(s)).collect();
        let written = self.text(span).trim_start().to_string();
        let message = match OPERATORS.iter().find(|(op, _)| *op == error.op) {
            _ if error.op == "matmul" => self.product_message(error),
            Some((_, sign)) if !is_call(&written) => {
                format!("the shapes of `{sign}` do not fit: {}", shapes.join(" and "))
            }
            _ if written.starts_with('[') && error.op == "concat" => self.list_message(error),
            _ => format!("{}: {}, here {}", self.operation(&written, error.op), error.reason, shapes.join(" and ")),
        };
        let mut d = Diagnostic::error("E0301", span, message);
        if places.len() == shapes.len() {
            for (place, shape) in places.iter().zip(&shapes) {
                let said = if shape.starts_with('[') { format!("this has the shape {shape}") } else { shape.clone() };
                d = d.label(*place, said);
            }
        }
        for help in self.shape_help(error) {
            d = d.help(help);
        }
        self.report(d);
    }

    fn product_message(&self, error: &ShapeError) -> String {
        let [a, b] = error.shapes.as_slice() else { return "the shapes of `@` do not fit".into() };
        let (left, right) = (self.shape_text(a), self.shape_text(b));
        if a.is_empty() || b.is_empty() {
            return format!("`@` takes vectors and matrices, not {left} and {right}");
        }
        let (inner, outer) = (inner_left(a), inner_right(b));
        if inner == outer {
            return format!("the leading axes of `@` do not fit: {left} @ {right}");
        }
        let (inner, outer) = (self.length_text(inner), self.length_text(outer));
        format!("the inner lengths of `@` differ: {left} @ {right} has {inner} against {outer}")
    }

    fn list_message(&self, error: &ShapeError) -> String {
        let own = |s: &Vec<usize>| self.shape_text(s.get(1..).unwrap_or_default());
        let mut shapes: Vec<String> = error.shapes.iter().map(own).collect();
        shapes.dedup();
        format!("the elements of a list have one shape, here are {}", shapes.join(" and "))
    }

    /// What an operation is called where it was written.
    fn operation(&self, written: &str, op: &str) -> String {
        let name: String = written.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let name = if is_call(written) { name } else { op.to_string() };
        format!("`{name}`")
    }

    fn shape_help(&self, error: &ShapeError) -> Vec<String> {
        let [a, b] = error.shapes.as_slice() else { return vec![] };
        if error.op != "matmul" {
            let sides = OPERATORS.iter().any(|(op, _)| *op == error.op);
            return if sides {
                vec!["axes are matched from the last one on; one of length 1 fits any".into()]
            } else {
                vec![]
            };
        }
        if a.is_empty() || b.is_empty() {
            return vec!["for a product with one number write `*`".into()];
        }
        if b.len() == 2 && inner_left(a) == b[1] {
            return vec![format!(
                "transposed, the right side fits: `… @ transpose(…)` is {} @ {}",
                self.shape_text(a),
                self.shape_text(&[b[1], b[0]])
            )];
        }
        if a.len() == 2 && a[0] == inner_right(b) {
            return vec![format!(
                "transposed, the left side fits: `transpose(…) @ …` is {} @ {}",
                self.shape_text(&[a[1], a[0]]),
                self.shape_text(b)
            )];
        }
        vec![]
    }
}

/// The length over which `@` sums, on the left and on the right.
fn inner_left(shape: &[usize]) -> usize {
    shape.last().copied().unwrap_or(1)
}

fn inner_right(shape: &[usize]) -> usize {
    shape.get(shape.len().saturating_sub(2)).copied().unwrap_or(1)
}

fn is_call(written: &str) -> bool {
    let rest = written.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
    rest.len() < written.len() && rest.starts_with('(') && rest.trim_end().ends_with(')')
}

/// A term as a factor: in parentheses where it is a sum.
fn factor(text: &str) -> String {
    if text.contains([' ']) && !text.contains('(') { format!("({text})") } else { text.to_string() }
}
