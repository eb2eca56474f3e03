//! Expressions in prefix form, without recursion: a sum of a million terms is nested a million deep.

use crate::ast::{Arg, BinaryOp, Clause, ClauseValue, CmpOp, ExprId, ExprKind, File, Init, UnaryOp};

/// What is still to be printed, the next thing last.
enum Piece<'a> {
    Expr(ExprId),
    Text(&'a str),
}

/// The expression as one line.
pub fn print(file: &File, id: ExprId) -> String {
    let mut out = String::new();
    let mut work = vec![Piece::Expr(id)];
    let mut parts = vec![];
    while let Some(piece) = work.pop() {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Expr(id) => {
                expand(&file.expr(id).kind, &mut out, &mut parts);
                work.extend(parts.drain(..).rev());
            }
        }
    }
    out
}

/// Prints an expression's head and lists the rest.
fn expand<'a>(kind: &'a ExprKind, out: &mut String, parts: &mut Vec<Piece<'a>>) {
    match kind {
        ExprKind::Number { text, .. } => out.push_str(text),
        ExprKind::Quantity { number, unit, .. } => {
            out.push_str(number);
            out.push('_');
            out.push_str(&unit.text);
        }
        ExprKind::Text(text) => out.push_str(&format!("{text:?}")),
        ExprKind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        ExprKind::Name(name) => out.push_str(name),
        ExprKind::Error => out.push_str("(error)"),
        ExprKind::Before(name) => {
            out.push_str("(before ");
            out.push_str(&name.text);
            out.push(')');
        }
        ExprKind::Range { from, to } => {
            out.push_str("(..");
            for end in [from, to] {
                parts.push(Piece::Text(" "));
                parts.push(end.map_or(Piece::Text("-"), Piece::Expr));
            }
            parts.push(Piece::Text(")"));
        }
        ExprKind::Compare { first, rest } => {
            out.push_str("(compare ");
            parts.push(Piece::Expr(*first));
            for (op, operand) in rest {
                parts.extend([Piece::Text(compare_text(*op)), Piece::Expr(*operand)]);
            }
            parts.push(Piece::Text(")"));
        }
        ExprKind::Call { callee, args, clauses } => {
            out.push_str("(call ");
            parts.push(Piece::Expr(*callee));
            args.iter().for_each(|arg| expand_arg(arg, parts));
            clauses.iter().for_each(|clause| expand_clause(clause, parts));
            parts.push(Piece::Text(")"));
        }
        other => expand_plain(other, out, parts),
    }
}

/// Forms that are a head, their operands, and perhaps names.
fn expand_plain<'a>(kind: &'a ExprKind, out: &mut String, parts: &mut Vec<Piece<'a>>) {
    out.push('(');
    out.push_str(head(kind));
    kind.for_each_child(|child| parts.extend([Piece::Text(" "), Piece::Expr(child)]));
    let names = match kind {
        ExprKind::Field { name, .. } | ExprKind::Sided(_, name) => std::slice::from_ref(name),
        ExprKind::Fields { names, .. } => names,
        _ => &[],
    };
    for name in names {
        parts.extend([Piece::Text(" "), Piece::Text(&name.text)]);
    }
    parts.push(Piece::Text(")"));
}

fn head(kind: &ExprKind) -> &'static str {
    match kind {
        ExprKind::List(_) => "list",
        ExprKind::Braces(_) => "set",
        ExprKind::Paren(_) => "paren",
        ExprKind::Unary(UnaryOp::Neg, _) => "neg",
        ExprKind::Unary(UnaryOp::Not, _) => "not",
        ExprKind::Binary(op, _, _) => binary_text(*op),
        ExprKind::If { .. } => "if",
        ExprKind::Pipe(..) => "|>",
        ExprKind::Index { .. } => "index",
        ExprKind::Field { .. } => "field",
        ExprKind::Fields { .. } => "fields",
        ExprKind::Next(_) => "next",
        ExprKind::Sided(..) => "sided",
        _ => "",
    }
}

fn expand_arg<'a>(arg: &'a Arg, parts: &mut Vec<Piece<'a>>) {
    parts.push(Piece::Text(" "));
    if let Some(name) = &arg.name {
        parts.push(Piece::Text(&name.text));
        parts.push(Piece::Text(if matches!(arg.value, Init::Value(_)) { " = " } else { " ~ " }));
    }
    parts.push(Piece::Expr(arg.value.expr()));
}

fn expand_clause<'a>(clause: &'a Clause, parts: &mut Vec<Piece<'a>>) {
    parts.extend([Piece::Text(" :"), Piece::Text(&clause.word.text)]);
    match &clause.value {
        ClauseValue::Named(what, _) => parts.extend([Piece::Text(" "), Piece::Text(&what.text)]),
        ClauseValue::Given(name, _) => parts.extend([Piece::Text(" "), Piece::Text(&name.text), Piece::Text(" =")]),
        _ => {}
    }
    if let Some(value) = clause.value.expr() {
        parts.extend([Piece::Text(" "), Piece::Expr(value)]);
    }
    if let ClauseValue::Counted(_, count) = &clause.value {
        parts.extend([Piece::Text(" "), Piece::Text(&count.text)]);
    }
}

fn binary_text(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::MatMul => "@",
        BinaryOp::Pow => "^",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
    }
}

fn compare_text(op: CmpOp) -> &'static str {
    match op {
        CmpOp::Eq => " == ",
        CmpOp::Ne => " != ",
        CmpOp::Lt => " < ",
        CmpOp::Le => " <= ",
        CmpOp::Gt => " > ",
        CmpOp::Ge => " >= ",
        CmpOp::In => " in ",
        CmpOp::CrossesUp => " crosses-up ",
        CmpOp::CrossesDown => " crosses-down ",
    }
}
