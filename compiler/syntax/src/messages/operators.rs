//! Sentences for operators of other languages, and for signs in the wrong place.

use crate::diag::Diagnostic;
use crate::messages::{Fault, Rule};
use crate::span::Span;
use crate::token::{Symbol, Tok};
use crate::words::Class;

pub const RULES: &[Rule] = &[
    colon_equal,
    power,
    arrow_of_other_languages,
    swapped_comparison,
    percent,
    dotted_product,
    value_without_equal,
    compares,
    split_comparison,
    gives_value,
    anonymous_function,
    derivative_in_expression,
    range_chain,
];

/// The previous sign and the found one, where they touch.
fn joined(fault: &Fault<'_>, first: Symbol, second: Symbol) -> Option<Span> {
    let fits = fault.previous_symbol(first) && fault.found_symbol(second) && fault.touches();
    fits.then(|| fault.previous_span().to(fault.found_span()))
}

/// `x**2`
fn power(fault: &Fault<'_>) -> Option<Diagnostic> {
    let span = joined(fault, Symbol::Star, Symbol::Star)?;
    Some(Diagnostic::error("E0010", span, "a power is written `^`: `x^2`, not `x**2`").fix(span, "^"))
}

/// `=>`
fn arrow_of_other_languages(fault: &Fault<'_>) -> Option<Diagnostic> {
    let span = joined(fault, Symbol::Equal, Symbol::Greater)?;
    let message = "`=>` is no operator; \"greater or equal\" is `>=`, an arrow is `->`";
    Some(Diagnostic::error("E0010", span, message))
}

/// `=<`
fn swapped_comparison(fault: &Fault<'_>) -> Option<Diagnostic> {
    let next = fault.token(fault.found + 1)?;
    let touches = fault.found()?.end == next.start && next.is_symbol(Symbol::Less);
    let span = match fault.found_symbol(Symbol::Equal) && touches {
        true => fault.found_span().to(fault.span_of(next)),
        false => joined(fault, Symbol::Equal, Symbol::Less)?,
    };
    Some(Diagnostic::error("E0010", span, "\"less or equal\" is written `<=`").fix(span, "<="))
}

/// `x := 3`, `state v: = 3`
fn colon_equal(fault: &Fault<'_>) -> Option<Diagnostic> {
    let colon = if fault.found_symbol(Symbol::Colon) { fault.found } else { fault.found.checked_sub(1)? };
    if !fault.is_symbol_at(colon, Symbol::Colon) || !fault.is_symbol_at(colon + 1, Symbol::Equal) {
        return None;
    }
    let span = fault.span_at(colon).to(fault.span_at(colon + 1));
    Some(Diagnostic::error("E0010", span, "a value follows `=`, and a type stands between `:` and `=`").fix(span, "="))
}

/// `n++`
pub fn increment(fault: &Fault<'_>) -> Option<Diagnostic> {
    let plus = fault.is_symbol_at(1, Symbol::Plus) && fault.is_symbol_at(2, Symbol::Plus);
    let first = fault.tokens.first()?;
    if !plus || fault.tokens.len() != 3 || !first.is_word() {
        return None;
    }
    let name = fault.first_text();
    let span = fault.span_of(first).to(fault.end_span());
    let fixed = format!("{name} += 1");
    Some(Diagnostic::error("E0010", span, format!("there is no `++`; write `{fixed}`")).fix(span, fixed))
}

/// `i % 4`
fn percent(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.found_symbol(Symbol::Percent) {
        return None;
    }
    let error = fault.error("E0010", "`%` is per cent and follows a number; the remainder is `mod(a, b)`");
    Some(error)
}

/// `a .* b`
fn dotted_product(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.found_symbol(Symbol::DotStar) {
        return None;
    }
    let message = "`*` is already element by element: write `a * b`; the matrix product is `a @ b`";
    Some(fault.error("E0010", message).fix(fault.found_span(), "*"))
}

/// `for 1 s step = 0.1 ms`, `minimize = E`
fn value_without_equal(fault: &Fault<'_>) -> Option<Diagnostic> {
    let Tok::Word(_) = fault.previous()?.tok else { return None };
    let word = fault.previous_text();
    let is_clause = crate::words::is_clause_word(word) && fault.expects_value() && !fault.expects_operator();
    if !is_clause || fault.found < 2 || !(fault.found_symbol(Symbol::Equal) || fault.found_symbol(Symbol::Colon)) {
        return None;
    }
    let sign = fault.found_text();
    let message = format!("`{word}` takes its value without `{sign}`");
    Some(fault.error("E0016", message).fix(fault.found_span(), ""))
}

/// `param tau == 20 ms`
fn compares(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.found_symbol(Symbol::EqualEqual) || !fault.expects("=") {
        return None;
    }
    Some(fault.error("E0011", "`==` compares; to give a value write `=`").fix(fault.found_span(), "="))
}

/// `x = = 3`
fn split_comparison(fault: &Fault<'_>) -> Option<Diagnostic> {
    let start = if fault.found_symbol(Symbol::Equal) && fault.is_symbol_at(fault.found + 1, Symbol::Equal) {
        fault.found
    } else if fault.found_symbol(Symbol::Equal) && fault.previous_symbol(Symbol::Equal) {
        fault.found - 1
    } else {
        return None;
    };
    let span = fault.span_at(start).to(fault.span_at(start + 1));
    Some(Diagnostic::error("E0011", span, "the comparison `==` is written without a blank").fix(span, "=="))
}

/// `for k = 1 to 3`
pub(super) fn loop_by_equal(fault: &Fault<'_>, name: &str) -> Diagnostic {
    let error = fault.error("E0015", format!("a loop goes through values: `for {name} in …`"));
    error.help(format!("`for {name} in [1, 2, 3] {{ … }}`, or through a range, `for {name} in 1 .. 4 {{ … }}`"))
}

/// `expect x = 3`
fn gives_value(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.found_symbol(Symbol::Equal) || !fault.expects("==") {
        return None;
    }
    if fault.found >= 2 && fault.text_at(fault.found - 2) == "for" {
        return Some(loop_by_equal(fault, fault.previous_text()));
    }
    Some(fault.error("E0011", "`=` gives a value; to compare write `==`").fix(fault.found_span(), "=="))
}

/// `x -> x + 1`
fn anonymous_function(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.found_symbol(Symbol::Arrow) || fault.statement() == Some(Class::Connect) {
        return None;
    }
    Some(fault.error("E0020", "there are no anonymous functions; declare a `fn` and give its name"))
}

/// `x = v' + 1`, `x'' = 3`, `x' += 3`
fn derivative_in_expression(fault: &Fault<'_>) -> Option<Diagnostic> {
    let repeated = fault.previous_symbol(Symbol::Prime);
    if repeated && fault.found_symbol(Symbol::Prime) {
        let message = "an equation gives a first derivative; for a second one add a state: `x' = u`, `u' = …`";
        return Some(fault.error("E0012", message));
    }
    if repeated {
        let message =
            format!("an equation gives the whole derivative: after `'` comes `=`, not `{}`", fault.found_text());
        return Some(fault.error("E0012", message));
    }
    if !fault.found_symbol(Symbol::Prime) {
        return None;
    }
    let name = fault.previous_text();
    let message = format!(
        "a derivative stands only at the left of its equation; name its right side: `let slope = …`, `{name}' = slope`"
    );
    Some(fault.error("E0012", message))
}

/// `0 .. 10 .. 2`
fn range_chain(fault: &Fault<'_>) -> Option<Diagnostic> {
    let earlier =
        fault.tokens[..fault.found.min(fault.tokens.len())].iter().any(|token| token.is_symbol(Symbol::DotDot));
    if !fault.found_symbol(Symbol::DotDot) || !earlier || fault.expects_value() {
        return None;
    }
    Some(fault.error("E0018", "a range has two ends, `a .. b`; for other steps use `linspace(a, b, n)`"))
}
