//! Sentences for expressions: `if`, lists and slices, values that are missing or stand side by side.

use crate::diag::Diagnostic;
use crate::messages::{Fault, Rule, shown};
use crate::span::Span;
use crate::token::{Symbol, Tok};
use crate::words::{self, Class};

/// What separates statements, arguments and clauses; before the rules on numbers.
pub const SEPARATION_RULES: &[Rule] = &[two_statements, missing_comma, comma_before_clause, comma_between_clauses];

pub const RULES: &[Rule] = &[
    late_not,
    missing_branch,
    choice_after_value,
    slice,
    semicolon,
    tuple,
    braces_for_list,
    shape,
    prime_of_other_things,
    missing_value,
    missing_name,
    missing_equal,
    clause_in_parentheses,
    surplus_comma,
    surplus_clause,
    surplus_block,
    two_operands,
];

fn place(fault: &Fault<'_>) -> Span {
    if fault.at_end() { fault.end_span() } else { fault.found_span() }
}

/// `if x > 0 then 1`, `if x > 0 { 1 } else { 2 }`
fn missing_branch(fault: &Fault<'_>) -> Option<Diagnostic> {
    let form = "`if c then a else b`";
    if fault.found_symbol(Symbol::Equal) || fault.expects_value() {
        return None;
    }
    if fault.expects("then") {
        let error = Diagnostic::error("E0017", place(fault), format!("an `if` expression needs its `then`: {form}"));
        return Some(match fault.found().map(|token| token.tok) {
            Some(Tok::OpenBlock | Tok::OpenSet) => {
                error.help("braces hold the blocks of statements, not the branches of an `if`")
            }
            _ => error,
        });
    }
    if fault.expects("else") {
        return Some(Diagnostic::error("E0017", place(fault), format!("an `if` expression needs its `else`: {form}")));
    }
    None
}

/// `1 if x > 0 else 0`, `1 + if c then a else b`
fn choice_after_value(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.class_at(fault.found)? != Class::If || fault.found == 0 {
        return None;
    }
    if fault.expects_value() {
        return Some(
            fault.error(
                "E0017",
                "inside arithmetic an `if` expression stands in parentheses: `1 + (if c then a else b)`",
            ),
        );
    }
    Some(fault.error("E0017", "a choice is written `if c then a else b`"))
}

/// `x[0:5]`
fn slice(fault: &Fault<'_>) -> Option<Diagnostic> {
    let open = innermost_open(fault)?;
    if !fault.found_symbol(Symbol::Colon) {
        return None;
    }
    if fault.is_symbol_at(open, Symbol::OpenBracket) {
        let error = fault.error("E0018", "a slice is written with two dots: `x[0 .. 5]`");
        return Some(error.fix(fault.found_span(), " .. "));
    }
    if fault.is_symbol_at(open, Symbol::OpenParen) && !fault.expects(":") {
        return Some(
            fault.error("E0018", "a named argument is written with `=`: `f(x = 3)`").fix(fault.found_span(), " ="),
        );
    }
    None
}

/// The bracket that is open at the found token.
fn innermost_open(fault: &Fault<'_>) -> Option<usize> {
    let mut depth = 0usize;
    for index in (0..fault.found.min(fault.tokens.len())).rev() {
        match fault.tokens[index].tok {
            Tok::Symbol(Symbol::CloseParen | Symbol::CloseBracket) | Tok::CloseSet => depth += 1,
            Tok::Symbol(Symbol::OpenParen | Symbol::OpenBracket | Symbol::DotBrace) | Tok::OpenSet => {
                if depth == 0 {
                    return Some(index);
                }
                depth -= 1;
            }
            _ => {}
        }
    }
    None
}

/// `f(a; b)`
fn semicolon(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.found_symbol(Symbol::Semicolon) {
        return None;
    }
    let error = fault.error("E0018", "`;` separates statements; inside brackets use `,`");
    Some(error.fix(fault.found_span(), ","))
}

/// `(1, 2)`
fn tuple(fault: &Fault<'_>) -> Option<Diagnostic> {
    let open = innermost_open(fault)?;
    if !fault.found_symbol(Symbol::Comma)
        || !fault.is_symbol_at(open, Symbol::OpenParen)
        || !fault.expects(")")
        || fault.expects_value()
    {
        return None;
    }
    Some(fault.error("E0018", "parentheses hold one value; a list is in brackets: `[1, 2]`"))
}

/// `x = {1, 2}`
fn braces_for_list(fault: &Fault<'_>) -> Option<Diagnostic> {
    let set = fault.found()?.tok == Tok::OpenSet && fault.expects_value();
    let list = fault.previous_symbol(Symbol::Equal) || fault.previous_text() == "in";
    let block = list && fault.found()?.tok == Tok::OpenBlock;
    if !set && !block {
        return None;
    }
    Some(fault.error("E0018", "a list is in brackets, `[a, b]`; braces hold statements, or names after a dot"))
}

/// `state v: real(3)`, `population h: ReLU{3}`
fn shape(fault: &Fault<'_>) -> Option<Diagnostic> {
    let brace = matches!(fault.found()?.tok, Tok::OpenBlock | Tok::OpenSet);
    let paren = fault.found_symbol(Symbol::OpenParen);
    if !(brace || paren) || !fault.expects("[") || !fault.touches() {
        return None;
    }
    let name = fault.previous_text();
    Some(fault.error("E0018", format!("a shape is in brackets: `{name}[…]`")))
}

/// `'a'` after a value, or any other prime that the derivative rules left over.
fn prime_of_other_things(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.found_symbol(Symbol::Prime) {
        return None;
    }
    Some(fault.error("E0012", "a prime follows the name of a state at the left of its equation: `v' = …`"))
}

/// `v' = a +`, `f(a, , b)`, `(a + )`
fn missing_value(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.expects_value() || fault.found == 0 {
        return None;
    }
    let previous = shown(fault.previous_text());
    if fault.at_end() {
        let message = format!("the line ends after `{previous}`, where a value should follow");
        return Some(Diagnostic::error("E0002", fault.end_span(), message));
    }
    let found = shown(fault.found_text());
    let closing = matches!(fault.found()?.tok, Tok::Symbol(_) | Tok::CloseSet | Tok::OpenBlock | Tok::Word(_));
    closing.then(|| fault.error("E0002", format!("a value is missing between `{previous}` and `{found}`")))
}

/// `net.`, `record x as every 1 ms`, `input x: [8]`
fn missing_name(fault: &Fault<'_>) -> Option<Diagnostic> {
    let name_wanted = fault.expects("IDENT") && !fault.expects("NUMBER") && !fault.expects_operator();
    let type_wanted = fault.expects("like") && fault.expects("%");
    if !(name_wanted || type_wanted) || fault.found < 2 {
        return None;
    }
    let what = if type_wanted { "type" } else { "name" };
    let (previous, found) = (shown(fault.previous_text()), shown(fault.found_text()));
    if fault.at_end() {
        let message = format!("the line ends after `{previous}`, where a {what} should follow");
        return Some(Diagnostic::error("E0003", fault.end_span(), message));
    }
    Some(fault.error("E0003", format!("a {what} should follow `{previous}`, not `{found}`")))
}

/// `param tau 20 ms`, `state v: mV -65 mV`, `f(given x image)`
fn missing_equal(fault: &Fault<'_>) -> Option<Diagnostic> {
    let literal = matches!(fault.found()?.tok, Tok::Number | Tok::Quantity | Tok::Text);
    let call = fault.is_name_at(fault.found) && fault.is_symbol_at(fault.found + 1, Symbol::OpenParen);
    if !(literal || call || fault.found_symbol(Symbol::Minus)) || !fault.expects("=") || fault.expects_operator() {
        return None;
    }
    if fault.first_text() == "checkpoint" {
        let message = format!("how often is said by `every`: `checkpoint every {}`", shown(fault.found_text()));
        return Some(fault.error("E0015", message).fix(fault.gap(), " every"));
    }
    let signs = if fault.expects("~") && call { "`=` or `~`" } else { "`=`" };
    let message = format!("{signs} is missing before `{}`", shown(fault.found_text()));
    Some(fault.error("E0015", message).fix(fault.gap(), " ="))
}

/// `(x on data)`
fn clause_in_parentheses(fault: &Fault<'_>) -> Option<Diagnostic> {
    let open = innermost_open(fault)?;
    let word = fault.found_text();
    if !words::is_clause_word(word) || fault.expects("CLAUSE") || fault.expects_value() {
        return None;
    }
    let bracket = fault.text_at(open);
    let message = format!("`{word}` belongs to a call or a statement, and cannot stand inside this `{bracket}`");
    Some(fault.error("E0016", message))
}

/// `let a = 1, b = 2`
fn surplus_comma(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.found_symbol(Symbol::Comma) || innermost_open(fault).is_some() || fault.expects(",") {
        return None;
    }
    if fault.class_at(0) == Some(Class::Hold) {
        let message =
            format!("`hold` stops one state: `hold {} for T`, and one `hold` for each other", fault.text_at(1));
        return Some(fault.error("E0018", message));
    }
    let error = fault.error("E0018", "a `,` separates the values of a list, and this statement takes one value");
    Some(error.help("a list of values is in brackets, `[a, b]`; several statements stand on lines of their own"))
}

/// `y' = -y on spike { … }`, `let run = net for 1 s`
fn surplus_clause(fault: &Fault<'_>) -> Option<Diagnostic> {
    let word = fault.found_text();
    let surplus = words::is_clause_word(word) && !fault.expects("CLAUSE") && innermost_open(fault).is_none();
    if !surplus || fault.expects_value() || fault.found < 2 {
        return None;
    }
    if words::is_statement_word(word)
        && fault.tokens.last()?.tok == Tok::OpenBlock
        && fault.class_at(0) != Some(Class::Let)
    {
        let error =
            fault.error("E0022", format!("a new statement, `{word}`, stands on a line of its own, or after `;`"));
        return Some(error.fix(fault.gap(), ";"));
    }
    if word == "for" && fault.is_name_at(fault.found + 1) && fault.is_symbol_at(fault.found + 2, Symbol::Equal) {
        return Some(super::operators::loop_by_equal(fault, fault.text_at(fault.found + 1)));
    }
    let error = fault.error("E0016", format!("this statement takes no `{word}`"));
    Some(match (fault.class_at(0), word) {
        (Some(Class::Let), "for" | "step" | "on") => {
            error.help("a run is `let run = simulate net for …` or `let run = train net on …`")
        }
        _ => error,
    })
}

/// `y = g(x) { … }`
fn surplus_block(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.found()?.tok != Tok::OpenBlock || fault.expects("BLOCK") || fault.expects_value() || fault.found == 0 {
        return None;
    }
    let header = shown(&fault.source(0, fault.found - 1));
    Some(fault.error("E0013", format!("`{header}` takes no block")))
}

/// `let a = 3 let b = 4`, `for 3 epochs batch 3`
fn two_statements(fault: &Fault<'_>) -> Option<Diagnostic> {
    let word = fault.found_text();
    let starts = words::is_statement_word(word) && !words::is_clause_word(word) && fault.is_operand_at(fault.found + 1);
    if !starts || fault.found == 0 || fault.expects_value() || innermost_open(fault).is_some() {
        return None;
    }
    let error = fault.error("E0022", format!("a new statement, `{word}`, stands on a line of its own, or after `;`"));
    Some(error.fix(fault.gap(), ";"))
}

/// `f(a = 1 b = 2)`
fn missing_comma(fault: &Fault<'_>) -> Option<Diagnostic> {
    let open = innermost_open(fault)?;
    let named =
        fault.is_symbol_at(fault.found + 1, Symbol::Equal) || fault.is_symbol_at(fault.found + 1, Symbol::Tilde);
    let in_call = fault.is_symbol_at(open, Symbol::OpenParen) && fault.found > open + 1;
    if !in_call || !named || !fault.is_name_at(fault.found) || fault.expects_value() {
        return None;
    }
    let message = format!("a comma is missing before `{}`", fault.found_text());
    Some(fault.error("E0022", message).fix(fault.gap(), ","))
}

/// `learn net.a, by Hebb()`, `f(a, on data)`
fn comma_before_clause(fault: &Fault<'_>) -> Option<Diagnostic> {
    let comma = fault.found.checked_sub(2)?;
    let clause = words::is_clause_word(fault.previous_text()) && fault.is_operand_at(fault.found);
    if !clause || !fault.is_symbol_at(comma, Symbol::Comma) || fault.expects_value() {
        return None;
    }
    let message = format!("no comma stands before the clause `{}`", fault.previous_text());
    Some(Diagnostic::error("E0016", fault.span_at(comma), message).fix(fault.span_at(comma), ""))
}

/// `minimize E by Backprop, Adam()`
fn comma_between_clauses(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.found_symbol(Symbol::Comma) || !fault.expects("CLAUSE") || innermost_open(fault).is_some() {
        return None;
    }
    let has_clause =
        fault.tokens[..fault.found].iter().skip(1).any(|token| words::is_clause_word(token.text(fault.text)));
    let error = fault.error("E0016", "clauses follow one another without commas");
    has_clause.then(|| error.help("the list of a statement comes before its clauses: `record a, b every 1 ms`"))
}

/// `a not b`, `a not in b`
fn late_not(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.class_at(fault.found)? != Class::Not || fault.found == 0 || fault.expects_value() {
        return None;
    }
    Some(fault.error("E0010", "`not` stands before the whole condition: `not (a in b)`; unequal is `!=`"))
}

/// `x = foo bar`
fn two_operands(fault: &Fault<'_>) -> Option<Diagnostic> {
    let value_before = fault.found > 0 && (fault.is_operand_at(fault.found - 1) || closes_value(fault));
    let listed = fault.expects(",") && innermost_open(fault).is_some();
    let separable = fault.expects_operator() || listed;
    if !value_before || !fault.is_operand_at(fault.found) || !separable || fault.found < 2 {
        return None;
    }
    let (previous, found) = (shown(fault.previous_text()), shown(fault.found_text()));
    if fault.is_name_at(0) && fault.is_symbol_at(1, Symbol::Equal) && matches!(fault.text_at(2), "simulate" | "train") {
        let (name, what) = (fault.text_at(0), fault.text_at(2));
        let message = format!("a run gets its name by `let`: `let {name} = {what} …`");
        return Some(
            Diagnostic::error("E0022", fault.span_at(0), message).fix(fault.span_at(0), format!("let {name}")),
        );
    }
    if !fault.expects_operator() {
        let message = format!("a comma is missing between `{previous}` and `{found}`");
        return Some(fault.error("E0022", message).fix(fault.gap(), ","));
    }
    let message = format!("an operator or a comma is missing between `{previous}` and `{found}`");
    Some(fault.error("E0022", message))
}

fn closes_value(fault: &Fault<'_>) -> bool {
    fault.previous_symbol(Symbol::CloseParen) || fault.previous_symbol(Symbol::CloseBracket)
}
