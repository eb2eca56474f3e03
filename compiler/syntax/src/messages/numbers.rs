//! Sentences for what follows a number: units that are none, products without a sign, malformed numbers.

use crate::diag::Diagnostic;
use crate::messages::characters::spelled_power;
use crate::messages::{Fault, Rule, nearest};
use crate::token::{Symbol, Tok};
use crate::{units, words};

pub const RULES: &[Rule] = &[
    malformed,
    leading_dot,
    range_of_one_dot,
    trailing_dot,
    wrong_unit,
    counted_step,
    clause_after_quantity,
    misspelled_direction,
    product,
    one_over_unit,
    side_by_side,
];

fn after(fault: &Fault<'_>, tok: Tok) -> bool {
    fault.previous().is_some_and(|token| token.tok == tok) && !fault.at_end()
}

/// `1e`, `0x1F`, `1_ms`
fn malformed(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !after(fault, Tok::Number) || !fault.touches() || !fault.found()?.is_word() {
        return None;
    }
    let (number, word) = (fault.previous_text(), fault.found_text());
    let span = fault.previous_span().to(fault.found_span());
    if matches!(word, "e" | "E") {
        let message = format!("`{number}{word}` lacks its exponent: `{number}e-3`");
        return Some(Diagnostic::error("E0104", span, message));
    }
    if number == "0" && word.starts_with(['x', 'b', 'o']) {
        return Some(Diagnostic::error("E0104", span, "numbers are written in decimal"));
    }
    None
}

/// `.5`
fn leading_dot(fault: &Fault<'_>) -> Option<Diagnostic> {
    let next = fault.token(fault.found + 1)?;
    let number = matches!(next.tok, Tok::Number | Tok::Quantity);
    if !fault.found_symbol(Symbol::Dot) || !number || !fault.expects_value() {
        return None;
    }
    let span = fault.found_span();
    let digits = fault.text_at(fault.found + 1);
    Some(Diagnostic::error("E0104", span, format!("a number starts with a digit: `0.{digits}`")).fix(span, "0."))
}

fn next_is_number(fault: &Fault<'_>) -> bool {
    fault.token(fault.found + 1).is_some_and(|token| matches!(token.tok, Tok::Number | Tok::Quantity))
}

/// `35 mV . 45 mV`
fn range_of_one_dot(fault: &Fault<'_>) -> Option<Diagnostic> {
    let number = matches!(fault.previous()?.tok, Tok::Number | Tok::Quantity);
    if !fault.found_symbol(Symbol::Dot) || !number || !next_is_number(fault) {
        return None;
    }
    Some(fault.error("E0018", "a range is written with two dots: `a .. b`").fix(fault.found_span(), " .. "))
}

/// `3. * x`
fn trailing_dot(fault: &Fault<'_>) -> Option<Diagnostic> {
    let number = matches!(fault.previous()?.tok, Tok::Number);
    if !fault.found_symbol(Symbol::Dot) || !number || next_is_number(fault) {
        return None;
    }
    let text = fault.previous_text();
    Some(
        fault
            .error("E0104", format!("a number does not end in a dot: write `{text}` or `{text}.0`"))
            .fix(fault.found_span(), ""),
    )
}

/// Units of time that are common and no SI units.
const LONG_TIMES: &[(&str, &str)] = &[
    ("min", "60 s"),
    ("minute", "60 s"),
    ("minutes", "60 s"),
    ("h", "3600 s"),
    ("hour", "3600 s"),
    ("hours", "3600 s"),
    ("day", "86400 s"),
    ("days", "86400 s"),
];

/// `20 mv`, `1 uF/cm2`, `5 min`
fn wrong_unit(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !after(fault, Tok::Number) || !fault.found()?.is_name(fault.text) {
        return None;
    }
    let (number, word) = (fault.previous_text(), fault.found_text());
    if let Some(unit) = spelled_power(word).or_else(|| units::suggest(word)) {
        let message = format!("`{word}` is not a unit; did you mean `{number} {unit}`?");
        return Some(fault.error("E0008", message).fix(fault.found_span(), unit));
    }
    let (_, seconds) = LONG_TIMES.iter().find(|row| row.0 == word)?;
    let message = format!("`{word}` is not a unit; durations are in seconds: `1 {word}` is `{seconds}`");
    Some(fault.error("E0008", message))
}

/// `for 100 step 1 ms`
fn counted_step(fault: &Fault<'_>) -> Option<Diagnostic> {
    let text = fault.previous_text();
    let number = text.strip_suffix("step")?.trim_end();
    if !after(fault, Tok::Quantity) || !matches!(fault.found()?.tok, Tok::Number | Tok::Quantity) {
        return None;
    }
    let message = format!(
        "`{text}` is a duration of {number} steps; with a unit before `step` this is `{number} ms step {}`",
        fault.found_text()
    );
    Some(Diagnostic::error("E0008", fault.previous_span(), message))
}

/// `every 1 ms frm 3 ms`
fn clause_after_quantity(fault: &Fault<'_>) -> Option<Diagnostic> {
    let value = matches!(fault.previous()?.tok, Tok::Quantity | Tok::Number);
    if !value || !fault.expects("CLAUSE") || fault.found()?.tok != Tok::Ident || !fault.is_operand_at(fault.found + 1) {
        return None;
    }
    let word = fault.found_text();
    let step = matches!(word, "dt" | "timestep" | "resolution");
    let meant = if step { "step" } else { nearest(word, words::clause_words())? };
    let message = format!("there is no clause `{word}`; did you mean `{meant}`?");
    Some(fault.error("E0016", message).fix(fault.found_span(), meant))
}

/// `v crosses 3 mV upwards`
fn misspelled_direction(fault: &Fault<'_>) -> Option<Diagnostic> {
    let before = fault.tokens.get(..fault.found)?;
    let crosses = before.iter().any(|token| token.tok == Tok::Word(words::Class::Crosses));
    if !crosses || !matches!(fault.previous()?.tok, Tok::Quantity | Tok::Number) {
        return None;
    }
    let word = fault.found_text();
    let meant = match word {
        "up" | "rising" | "above" => "upward",
        "down" | "falling" | "below" => "downward",
        _ => nearest(word, ["upward", "downward"])?,
    };
    let message = format!("`crosses` goes `upward` or `downward`, not `{word}`; did you mean `{meant}`?");
    Some(fault.error("E0021", message).fix(fault.found_span(), meant))
}

/// `2 x`, `10 mV tau`, `2 (a + b)`
fn product(fault: &Fault<'_>) -> Option<Diagnostic> {
    let found = fault.found()?;
    let operand = found.tok == Tok::Ident || found.is_symbol(Symbol::OpenParen) || names_a_value(fault);
    if !operand || !matches!(fault.previous()?.tok, Tok::Number | Tok::Quantity) {
        return None;
    }
    let value = fault.previous_text();
    let factor = if found.is_symbol(Symbol::OpenParen) { "( … )" } else { fault.found_text() };
    let what = if fault.previous()?.tok == Tok::Number { "number only a unit" } else { "quantity no second value" };
    let message = format!("after a {what} may follow; for a product write `{value} * {factor}`");
    Some(
        fault
            .error("E0008", message)
            .fix(fault.previous_span().to(fault.found_span()), format!("{value} * {}", fault.found_text())),
    )
}

/// A word of the grammar that stands where only a variable makes sense, as in `2 rate`.
fn names_a_value(fault: &Fault<'_>) -> bool {
    fault.is_name_at(fault.found) && !words::follows_value(fault.found_text()) && !fault.found_text().is_empty()
}

/// `20 1/s`
fn one_over_unit(fault: &Fault<'_>) -> Option<Diagnostic> {
    let unit = fault.text_at(fault.found + 2);
    let written = after(fault, Tok::Number) && fault.found_text() == "1";
    if !written || !fault.is_symbol_at(fault.found + 1, Symbol::Slash) || !units::is_unit(unit) {
        return None;
    }
    let (number, span) = (fault.previous_text(), fault.found_span().to(fault.span_at(fault.found + 2)));
    let also = if unit == "s" { format!(", or `{number} Hz`") } else { String::new() };
    let message = format!("per {unit} is written with a power: `{number} {unit}^-1`{also}");
    Some(Diagnostic::error("E0008", span, message).fix(span, format!("{unit}^-1")))
}

/// `1 2`
fn side_by_side(fault: &Fault<'_>) -> Option<Diagnostic> {
    let literal = |tok| matches!(tok, Tok::Number | Tok::Quantity | Tok::Text);
    if !literal(fault.previous()?.tok) || !literal(fault.found()?.tok) {
        return None;
    }
    let message =
        format!("an operator or a comma is missing between `{}` and `{}`", fault.previous_text(), fault.found_text());
    Some(fault.error("E0022", message))
}
