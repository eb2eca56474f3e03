//! Sentences for clauses: misspelled, without a value, in the wrong form.

use crate::diag::Diagnostic;
use crate::messages::{Fault, Rule, Scope, nearest};
use crate::span::Span;
use crate::token::{Symbol, Tok};
use crate::words::{self, Class};

pub const RULES: &[Rule] =
    &[name_after_clause, misspelled, during, direction, positional_after_clause, set_of_parts, without_value];

fn place(fault: &Fault<'_>) -> Span {
    if fault.at_end() { fault.end_span() } else { fault.found_span() }
}

/// `record v evry 1 ms`
fn misspelled(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.expects("CLAUSE") || fault.found()?.tok != Tok::Ident {
        return None;
    }
    let word = fault.found_text();
    let operators = ["and", "or", "in", "crosses", "as"];
    let candidates =
        words::clause_words().into_iter().chain(operators).filter(|word| word.len() > 2 || fault.expects(word));
    let meant = nearest(word, candidates)?;
    let message = format!("`{word}` cannot stand here; did you mean `{meant}`?");
    Some(fault.error("E0016", message).fix(fault.found_span(), meant))
}

/// `record net.g.v every 1 ms as v`
fn name_after_clause(fault: &Fault<'_>) -> Option<Diagnostic> {
    let list = fault.class_at(0)? == Class::List && fault.found >= 3;
    if !list || fault.found_text() != "as" || !fault.expects("CLAUSE") || !fault.is_name_at(fault.found + 1) {
        return None;
    }
    let name = fault.text_at(fault.found + 1);
    let message = format!("a name comes before the clauses: `{} … as {name} every …`", fault.first_text());
    Some(fault.error("E0016", message))
}

/// `during 0 .. 5`
fn during(fault: &Fault<'_>) -> Option<Diagnostic> {
    let after = fault.previous().is_some_and(|token| token.tok == Tok::Word(Class::During));
    if !after || !fault.expects("SPAN") || fault.expects_value() {
        return None;
    }
    Some(Diagnostic::error(
        "E0016",
        place(fault),
        "`during` says of what: `during epochs 0 .. 5` or `during updates 0 .. 100`",
    ))
}

/// `v crosses 0 mV {`
fn direction(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.expects("DIRECTION")
        || fault.expects_value()
        || !fault.tokens.iter().any(|token| token.tok == Tok::Word(Class::Crosses))
    {
        return None;
    }
    let error = Diagnostic::error(
        "E0021",
        place(fault),
        "`crosses` needs a direction: `crosses x upward` or `crosses x downward`",
    );
    Some(error.fix(fault.gap(), " upward"))
}

/// `bar(a by b, c)`
fn positional_after_clause(fault: &Fault<'_>) -> Option<Diagnostic> {
    let closes = fault.found_symbol(Symbol::Comma) || fault.found_symbol(Symbol::CloseParen);
    if !closes || !fault.expects("~") || !fault.expects("=") || !fault.is_name_at(fault.found.checked_sub(1)?) {
        return None;
    }
    let value = fault.previous_text();
    let error = Diagnostic::error(
        "E0018",
        fault.previous_span(),
        format!("after a call's clauses only named arguments follow, not `{value}`"),
    );
    Some(error.help("values come first, clauses belong to the whole call: `bar(old, new by method, title = \"…\")`"))
}

/// `minimize E over {net.a, net.b}`
fn set_of_parts(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.previous_text() != "over" || fault.found()?.tok != Tok::OpenSet || fault.scope == Scope::File {
        return None;
    }
    let error = fault.error("E0016", "the braces of several parts follow the network: `over net.{a, b}`");
    Some(error.help("of parts of a network inside: `over net.enc.{a, b}`"))
}

/// `record v every`, `minimize E by with Adam()`
fn without_value(fault: &Fault<'_>) -> Option<Diagnostic> {
    let word = fault.previous_text();
    let clause = words::is_clause_word(word) && fault.found >= 2 && fault.expects_value() && !fault.expects_operator();
    if !clause || fault.scope == Scope::File {
        return None;
    }
    Some(Diagnostic::error("E0016", fault.previous_span(), format!("`{word}` needs a value after it")))
}
