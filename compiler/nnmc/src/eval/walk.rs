//! Looking through expressions without evaluating them.

use nnm_syntax::ast::{Arg, Clause, ClauseValue, ExprId, ExprKind, File, Init};

use crate::hir::Decl;

/// All plain names that an expression reads, each once, in order of appearance.
pub fn names_in(file: &File, id: ExprId) -> Vec<String> {
    let mut names = vec![];
    let mut stack = vec![id];
    while let Some(id) = stack.pop() {
        let expr = file.expr(id);
        if let ExprKind::Name(name) = &expr.kind
            && !names.contains(name)
        {
            names.push(name.clone());
        }
        stack.extend(children(&expr.kind).into_iter().rev());
    }
    names
}

/// Where an expression first reads a name.
pub fn name_in(file: &File, id: ExprId, name: &str) -> Option<ExprId> {
    match &file.expr(id).kind {
        ExprKind::Name(found) if found == name => Some(id),
        kind => children(kind).into_iter().find_map(|child| name_in(file, child, name)),
    }
}

/// The same, and what the `let`s among them are computed from.
pub fn names_through(file: &File, id: ExprId, lets: &[Decl]) -> Vec<String> {
    let mut names = names_in(file, id);
    let mut seen = 0;
    while seen < names.len() {
        let inner = lets.iter().find(|d| d.name.text == names[seen]).and_then(|d| d.init);
        if let Some(Init::Value(e)) = inner {
            let more = names_in(file, e).into_iter().filter(|n| !names.contains(n));
            names.extend(more.collect::<Vec<_>>());
        }
        seen += 1;
    }
    names
}

/// The expressions inside one.
pub fn children(kind: &ExprKind) -> Vec<ExprId> {
    match kind {
        ExprKind::List(items) | ExprKind::Braces(items) => items.clone(),
        ExprKind::Paren(a) | ExprKind::Unary(_, a) | ExprKind::Next(a) | ExprKind::Sided(a, _) => vec![*a],
        ExprKind::Binary(_, a, b) | ExprKind::Pipe(a, b) => vec![*a, *b],
        ExprKind::Compare { first, rest } => std::iter::once(*first).chain(rest.iter().map(|(_, e)| *e)).collect(),
        ExprKind::Range { from, to } => from.iter().chain(to).copied().collect(),
        ExprKind::If { cond, then, otherwise } => vec![*cond, *then, *otherwise],
        ExprKind::Call { callee, args, clauses } => call_children(*callee, args, clauses),
        ExprKind::Index { base, indices } => std::iter::once(*base).chain(indices.iter().copied()).collect(),
        ExprKind::Field { base, .. } | ExprKind::Fields { base, .. } => vec![*base],
        _ => vec![],
    }
}

fn call_children(callee: ExprId, args: &[Arg], clauses: &[Clause]) -> Vec<ExprId> {
    let mut out = vec![callee];
    out.extend(args.iter().map(|a| match a.value {
        Init::Value(e) | Init::Draw(e) => e,
    }));
    out.extend(clauses.iter().filter_map(|c| match &c.value {
        ClauseValue::Expr(e) | ClauseValue::Counted(e, _) | ClauseValue::Named(_, e) | ClauseValue::Given(_, e) => {
            Some(*e)
        }
        ClauseValue::None => None,
    }));
    out
}

/// Whether an expression is plain arithmetic of names and numbers, in which nothing is compared or called.
pub fn only_counts(file: &File, id: ExprId) -> bool {
    use nnm_syntax::ast::BinaryOp::{Add, Div, Mul, Sub};
    match &file.expr(id).kind {
        ExprKind::Binary(Add | Sub | Mul | Div, a, b) => {
            let plain = |e: ExprId| {
                let kind = &file.expr(e).kind;
                matches!(kind, ExprKind::Name(_) | ExprKind::Number { .. } | ExprKind::Quantity { .. })
                    || only_counts(file, e)
            };
            plain(*a) && plain(*b)
        }
        ExprKind::Paren(inner) => only_counts(file, *inner),
        _ => false,
    }
}
