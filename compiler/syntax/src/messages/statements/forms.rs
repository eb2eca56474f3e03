//! Sentences for the statements that have a form of their own.

use crate::diag::Diagnostic;
use crate::messages::{Fault, Scope, nearest, shown};
use crate::span::Span;
use crate::token::{Symbol, Tok};
use crate::words::{self, Class};

const CONNECT_FORM: &str = "a connection is written `connect source -> target: pattern()`";

fn place(fault: &Fault<'_>) -> Span {
    if fault.at_end() { fault.end_span() } else { fault.found_span() }
}

pub fn connect(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.class_at(0)? != Class::Connect || fault.found == 0 || fault.scope == Scope::File {
        return None;
    }
    let arrow = fault.tokens.iter().position(|token| token.is_symbol(Symbol::Arrow));
    let seen_arrow = arrow.is_some_and(|arrow| arrow < fault.found);
    if !seen_arrow {
        return connect_without_arrow(fault);
    }
    if fault.found_symbol(Symbol::Comma) && fault.expects(":") {
        return Some(fault.error("E0014", "several targets stand in braces: `connect a -> {b, c}: pattern()`"));
    }
    let names_synapse = fault.is_name_at(fault.found)
        && fault.text_at(fault.found).starts_with(char::is_uppercase)
        && fault.previous_symbol(Symbol::CloseParen);
    if names_synapse && !fault.expects(":") {
        let error = fault.error("E0014", format!("a synapse follows `via`: `… via {}`", fault.found_text()));
        return Some(error.fix(fault.gap(), " via"));
    }
    if let Some(error) = loose_argument(fault, arrow?) {
        return Some(error);
    }
    let names_pattern = fault.is_name_at(fault.found) && fault.is_symbol_at(fault.found + 1, Symbol::OpenParen);
    if names_pattern && fault.expects(":") {
        let error = fault.error(
            "E0014",
            format!("the pattern follows a colon: `{}: {}(…)`", fault.source(0, fault.found - 1), fault.found_text()),
        );
        return Some(error.fix(fault.gap(), ":"));
    }
    if fault.at_end() && fault.previous_symbol(Symbol::Arrow) {
        return Some(Diagnostic::error("E0014", fault.end_span(), format!("the target is missing; {CONNECT_FORM}")));
    }
    None
}

/// `… via ExpCurrent(w = 1 nA) delay 1 ms`, `…: all() w = 100 pA`
fn loose_argument(fault: &Fault<'_>, arrow: usize) -> Option<Diagnostic> {
    let equal = usize::from(fault.is_symbol_at(fault.found + 1, Symbol::Equal));
    let value = fault.found + 1 + equal;
    let closed = fault.previous_symbol(Symbol::CloseParen) && fault.is_name_at(fault.found);
    if !closed || !fault.is_operand_at(value) && !fault.is_symbol_at(value, Symbol::Minus) {
        return None;
    }
    let via = (arrow..fault.found).find(|k| fault.text_at(*k) == "via");
    let argument = format!("{} = {}", fault.found_text(), fault.source(value, fault.tokens.len() - 1));
    let argument = shown(&argument);
    let written = match via {
        Some(k) => format!("`{}(…, {argument})`", fault.text_at(k + 1)),
        None => format!("`via SYNAPSE({argument})`"),
    };
    let message = format!("weights and delays are arguments of the synapse: {written}");
    Some(fault.error("E0014", message))
}

fn connect_without_arrow(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !fault.expects("->") && !fault.previous_symbol(Symbol::Equal) && !fault.at_end() && fault.found > 1 {
        let split_arrow = fault.found_symbol(Symbol::Greater) && fault.previous_symbol(Symbol::Minus);
        if !split_arrow {
            return None;
        }
    }
    if matches!(fault.found().map(|token| token.tok), Some(Tok::OpenBlock | Tok::OpenSet)) {
        return None;
    }
    let error = Diagnostic::error("E0014", place(fault), CONNECT_FORM);
    let foreign = fault.class_at(fault.found) == Some(Class::To);
    Some(if foreign { error.fix(fault.found_span(), "->") } else { error })
}

/// `population h ReLU[3]`, `population h: ReLU, 128`
pub fn member(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.class_at(0)? != Class::Member || fault.scope == Scope::File || fault.found < 2 {
        return None;
    }
    let word = fault.first_text();
    if fault.found == 2 && fault.expects(":") {
        let error = Diagnostic::error(
            "E0015",
            place(fault),
            format!("`{word}` takes its kind after a colon: `{word} {}: KIND[size]`", fault.text_at(1)),
        );
        if fault.found_symbol(Symbol::Equal) {
            return Some(error.fix(fault.gap().to(fault.found_span()), ":"));
        }
        return Some(if fault.at_end() { error } else { error.fix(fault.gap(), ":") });
    }
    // Inside parentheses it is not the size that is written.
    let opened =
        |symbol| fault.tokens[..fault.found.min(fault.tokens.len())].iter().filter(|t| t.is_symbol(symbol)).count();
    if opened(Symbol::OpenParen) > opened(Symbol::CloseParen) {
        return None;
    }
    let size = fault.text_at(fault.found + 1);
    if fault.found_symbol(Symbol::Comma) || fault.found().is_some_and(|token| token.tok == Tok::Number) {
        let size = if size.is_empty() { fault.found_text() } else { size };
        let message = format!("a {word}'s size is in brackets: `{}[{size}]`", fault.source(3, fault.found - 1));
        return Some(fault.error("E0015", message));
    }
    None
}

/// `hold v 2 ms`, `hold for 2 ms`
pub fn hold(fault: &Fault<'_>) -> Option<Diagnostic> {
    let value = matches!(fault.found()?.tok, Tok::Number | Tok::Quantity);
    if fault.class_at(0)? != Class::Hold || fault.found != 2 || !value || fault.scope == Scope::File {
        return None;
    }
    if fault.text_at(1) == "for" {
        let message = format!("`hold` says which state stands still: `hold STATE for {}`", fault.found_text());
        return Some(Diagnostic::error("E0015", fault.span_at(0), message));
    }
    let message = format!("`hold` says for how long: `hold {} for {}`", fault.text_at(1), fault.found_text());
    Some(fault.error("E0015", message).fix(fault.gap(), " for"))
}

/// `report mean_rate(run.E)`, `report run.E.v`
pub fn report_without_name(fault: &Fault<'_>) -> Option<Diagnostic> {
    let goes_on =
        [Symbol::OpenParen, Symbol::OpenBracket, Symbol::Dot].into_iter().any(|sign| fault.found_symbol(sign));
    if fault.first_text() != "report" || fault.found != 2 || !goes_on || !matches!(fault.scope, Scope::Block(_)) {
        return None;
    }
    let value = shown(&fault.source(1, fault.tokens.len() - 1));
    let message = format!("what is reported has a name: `report NAME = {value}`");
    let span = fault.span_at(1).to(fault.end_span());
    Some(Diagnostic::error("E0015", span, message))
}

/// `let run = simulate(net, 100 ms) {`
pub fn called_run(fault: &Fault<'_>) -> Option<Diagnostic> {
    let start = if fault.class_at(0)? == Class::Let { 3 } else { 0 };
    let called = fault.class_at(start) == Some(Class::Sim) && fault.is_symbol_at(start + 1, Symbol::OpenParen);
    if !called || fault.scope == Scope::File || fault.found < start + 2 {
        return None;
    }
    let (word, net) = (fault.text_at(start), fault.text_at(start + 2));
    let message = format!("`{word}` is a statement, not a function: `{word} {net} {} {{ … }}`", tail(word));
    Some(Diagnostic::error("E0015", fault.span_at(start), message))
}

/// `train net digits {`, `simulate net 1 s {`, `train {`
pub fn run(fault: &Fault<'_>) -> Option<Diagnostic> {
    let start = if fault.class_at(0)? == Class::Let { 3 } else { 0 };
    if fault.class_at(start)? != Class::Sim || fault.scope == Scope::File {
        return None;
    }
    let word = fault.text_at(start);
    let block = matches!(fault.found().map(|token| token.tok), Some(Tok::OpenBlock));
    if fault.found == start + 1 && (block || fault.at_end() || fault.class_at(fault.found).is_some()) {
        let message = format!("`{word}` needs a network after it: `{word} net {} {{ … }}`", tail(word));
        return Some(Diagnostic::error("E0015", place(fault), message));
    }
    if fault.found == start + 2 && words::is_clause_word(fault.text_at(start + 1)) && fault.is_operand_at(fault.found) {
        let message =
            format!("`{word}` needs a network before `{}`: `{word} net {} {{ … }}`", fault.previous_text(), tail(word));
        return Some(Diagnostic::error("E0015", fault.previous_span(), message));
    }
    let subject = fault.is_name_at(fault.found.checked_sub(1)?) || fault.previous_symbol(Symbol::CloseParen);
    if !subject || fault.found < start + 2 || !fault.expects("CLAUSE") || fault.at_end() {
        return None;
    }
    let plain_name = fault.is_name_at(fault.found) && nearest(fault.found_text(), words::clause_words()).is_none();
    let value = matches!(fault.found()?.tok, Tok::Number | Tok::Quantity);
    let inserted = match (word, value, plain_name) {
        ("train", false, true) => "on",
        (_, true, _) => "for",
        _ => return None,
    };
    let what = if inserted == "on" { "data" } else { "duration" };
    let message = format!("`{word}` takes its {what} after `{inserted}`: `{word} … {inserted} {}`", fault.found_text());
    Some(fault.error("E0015", message).fix(fault.gap(), format!(" {inserted}")))
}

/// `let run = simualte net for 1 s`
pub fn misspelled_run(fault: &Fault<'_>) -> Option<Diagnostic> {
    let after_let = fault.class_at(0)? == Class::Let && fault.found == 4 && fault.is_symbol_at(2, Symbol::Equal);
    let other_word = fault.token(3)?.tok == Tok::Ident;
    if !after_let || !other_word || !fault.is_name_at(4) || fault.scope == Scope::File {
        return None;
    }
    let meant = nearest(fault.text_at(3), ["simulate", "train"])?;
    let message = format!("there is no statement `{}`; did you mean `{meant}`?", fault.text_at(3));
    Some(Diagnostic::error("E0004", fault.span_at(3), message).fix(fault.span_at(3), meant))
}

/// `spike when v > 10 mV reset { v = 0 mV }`
pub fn word_before_block(fault: &Fault<'_>) -> Option<Diagnostic> {
    let word = fault.found_text();
    let reset = matches!(word, "reset" | "then" | "do") && fault.class_at(0)? == Class::Spike;
    let block = fault.token(fault.found + 1).is_some_and(|t| matches!(t.tok, Tok::OpenBlock | Tok::OpenSet));
    if !reset || !block || fault.scope == Scope::File {
        return None;
    }
    let message = format!("what a spike resets stands in the block after its condition, without `{word}`");
    Some(fault.error("E0016", message).fix(fault.gap().to(fault.found_span()), ""))
}

fn tail(word: &str) -> &'static str {
    if word == "train" { "on data" } else { "for 1 s step 0.1 ms" }
}

/// `trace x = 0`, `pre x = 0`
pub fn trace(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !matches!(fault.class_at(0)?, Class::Trace | Class::PrePost) || fault.found != 1 || !fault.is_name_at(1) {
        return None;
    }
    let form = "a trace belongs to one side: `pre trace x = 0 { x' = -x / tau; on spike { x += 1 } }`";
    Some(Diagnostic::error("E0015", fault.span_at(0), form))
}

/// `spike v > 3 { … }`, `stop loss < 1`
pub fn condition(fault: &Fault<'_>) -> Option<Diagnostic> {
    let word = fault.first_text();
    let conditional =
        matches!(fault.class_at(0)?, Class::Spike | Class::Cond) && matches!(fault.scope, Scope::Block(_));
    let assigns = fault.found_symbol(Symbol::Equal) || fault.found_symbol(Symbol::EqualEqual);
    if !conditional || fault.found != 1 || assigns || fault.class_at(1) == Some(Class::When) {
        return None;
    }
    Some(
        Diagnostic::error("E0015", place(fault), format!("a condition follows `when`: `{word} when CONDITION`"))
            .fix(fault.gap(), " when"),
    )
}

/// `every 5 ms v = 3`
pub fn every(fault: &Fault<'_>) -> Option<Diagnostic> {
    let complete = fault.class_at(0)? == Class::Every && fault.found >= 2 && fault.expects("BLOCK");
    if !complete || fault.scope == Scope::File {
        return None;
    }
    let message = format!("what `every` does stands in braces: `{} {{ … }}`", shown(&fault.source(0, fault.found - 1)));
    Some(Diagnostic::error("E0013", place(fault), message))
}

/// `clip 1.0`, `constrain net.D to 1`
pub fn clip_and_constrain(fault: &Fault<'_>) -> Option<Diagnostic> {
    let form = match fault.class_at(0)? {
        Class::Clip => "gradients are clipped by `clip norm VALUE` or `clip value VALUE`",
        Class::Constrain => "a constraint is written `constrain PARAMETER to norm VALUE`",
        _ => return None,
    };
    let out_of_form = fault.found == 1 || fault.expects("to") || (fault.expects("IDENT") && !fault.expects_value());
    if !out_of_form || fault.scope == Scope::File || fault.found == 0 {
        return None;
    }
    Some(Diagnostic::error("E0015", place(fault), form))
}

/// `record every 1 ms`
pub fn nothing_before_clause(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !matches!(fault.class_at(0)?, Class::List | Class::Span | Class::Feedback | Class::Bound)
        || fault.scope == Scope::File
    {
        return None;
    }
    let word = fault.first_text();
    let clause = fault.text_at(1);
    if fault.found == 1 && fault.at_end() {
        return Some(Diagnostic::error("E0002", fault.end_span(), format!("`{word}` needs a value after it")));
    }
    if fault.found != 2 || !words::is_clause_word(clause) || !fault.is_operand_at(2) {
        return None;
    }
    Some(Diagnostic::error("E0002", fault.span_at(1), format!("`{word}` needs something before `{clause}`")))
}

/// `act push = …`
pub fn act(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.class_at(0)? != Class::Act || fault.found != 2 || !fault.found_symbol(Symbol::Equal) {
        return None;
    }
    let message = format!("an action is drawn from a distribution: `act {} ~ …`", fault.text_at(1));
    Some(fault.error("E0015", message).fix(fault.found_span(), "~"))
}

/// `given image`, `given x: image`
pub fn given(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.class_at(0)? != Class::Given || fault.scope == Scope::File || fault.found == 0 {
        return None;
    }
    if fault.found_symbol(Symbol::Comma) {
        return Some(fault.error("E0015", "one binding a `given`: write a second `given` on the next line"));
    }
    let form = fault.found <= 2 && (fault.expects("=") || fault.found == 1);
    form.then(|| Diagnostic::error("E0015", place(fault), "an input is bound by `given port = value`"))
}

/// `for x [1, 2] {`, `for (x in y) {`, `for i = 0`
pub fn for_loop(fault: &Fault<'_>) -> Option<Diagnostic> {
    let in_form = fault.found == 1 || (fault.found == 2 && fault.expects("in"));
    if fault.class_at(0)? != Class::For || !in_form || fault.scope == Scope::File {
        return None;
    }
    Some(Diagnostic::error("E0015", place(fault), "a sweep is written `for x in LIST { … }`"))
}

/// `when v > 3: y = 1`, `on kick v += 1`, `for x in y:`
pub fn needs_block(fault: &Fault<'_>) -> Option<Diagnostic> {
    let word = fault.first_text();
    let class = fault.class_at(0)?;
    let takes_block = matches!(class, Class::When | Class::On | Class::For | Class::Perturbed | Class::Every);
    if !takes_block || !fault.expects("BLOCK") || fault.scope == Scope::File || fault.found < 2 {
        return None;
    }
    if fault.at_end() {
        let message =
            format!("`{word}` needs a block in braces: `{} {{ … }}`", shown(&fault.source(0, fault.tokens.len() - 1)));
        return Some(Diagnostic::error("E0013", fault.end_span(), message));
    }
    let begins = fault.found_symbol(Symbol::Colon) || fault.class_at(fault.found) == Some(Class::Then);
    if !begins && class != Class::On {
        return None;
    }
    let message =
        format!("what `{word}` does stands in braces: `{} {{ … }}`", shown(&fault.source(0, fault.found - 1)));
    Some(fault.error("E0013", message))
}

/// `let x 3`, `set net.w 3`, `stimulate net.I 3`, `next c + 1`, `bound w`
pub fn needs_equal(fault: &Fault<'_>) -> Option<Diagnostic> {
    let word = fault.first_text();
    let class = fault.class_at(0)?;
    let assigns = matches!(class, Class::Let | Class::Next | Class::Set | Class::Stimulate);
    if !assigns
        || !fault.expects("=")
        || fault.scope == Scope::File
        || fault.found < 2
        || fault.found_symbol(Symbol::EqualEqual)
    {
        return None;
    }
    let earlier =
        fault.tokens[..fault.found.min(fault.tokens.len())].iter().any(|token| token.is_symbol(Symbol::Equal));
    if earlier || super::names_a_type(fault.found_text()) || super::names_a_type(fault.text_at(1)) {
        return None;
    }
    Some(Diagnostic::error("E0015", place(fault), format!("`{word}` gives a value by `=`: `{word} NAME = VALUE`")))
}
