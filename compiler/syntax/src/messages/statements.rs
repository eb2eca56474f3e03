//! Sentences for statements: their first word, their form, the left side of equations.

mod forms;

use crate::diag::Diagnostic;
use crate::messages::operators::increment;
use crate::messages::{Fault, Rule, Scope, nearest, shown};
use crate::token::{Symbol, Tok};
use crate::units;
use crate::words::{self, Class};

pub const RULES: &[Rule] = &[
    loose_else,
    if_statement,
    fraction_derivative,
    derivative_with_factor,
    unit_of_equation,
    held_in_equation,
    left_side_is_a_name,
    foreign_statement,
    colon_equal,
    drawn_in_block,
    word_missing,
    name_before_dot,
    misspelled_statement,
    increment,
    bare_expression,
    forms::trace,
    forms::hold,
    forms::report_without_name,
    forms::called_run,
    forms::condition,
    forms::every,
    forms::clip_and_constrain,
    forms::connect,
    forms::member,
    forms::misspelled_run,
    forms::word_before_block,
    forms::run,
    forms::nothing_before_clause,
    forms::act,
    forms::given,
    forms::for_loop,
    forms::needs_block,
    forms::needs_equal,
    type_without_colon,
    type_first,
    value_as_type,
    second_name,
    missing_name,
];

fn loose_else(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.found > 0 || fault.class_at(0)? != Class::Else {
        return None;
    }
    let error = fault.error("E0017", "`else` belongs to an `if` expression; a block has none");
    Some(error.help("say the opposite condition in a second `when c { … }`"))
}

/// `if (x > 0) { y = 1 }`
fn if_statement(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.found > 0 || fault.class_at(0)? != Class::If || fault.scope == Scope::File {
        return None;
    }
    let (acts, help) = match fault.scope {
        Scope::Block(word) if EVENTS.contains(&word) => (
            "in a block it chooses a value: `x = if c then a else x`",
            "to change something on a condition: `x += if c then 1 else 0`",
        ),
        Scope::Block("synapse") => {
            ("it chooses a value: `x = if c then a else b`", "what happens at a spike stands in `on pre { … }`")
        }
        _ => ("to act on a condition use `when c { … }`", "to choose a value write `x = if c then a else b`"),
    };
    Some(fault.error("E0017", format!("`if` is an expression; {acts}")).help(help))
}

/// `dv/dt = -v / tau`
fn fraction_derivative(fault: &Fault<'_>) -> Option<Diagnostic> {
    let equal = fault.tokens.iter().position(|token| token.is_symbol(Symbol::Equal))?;
    let start = equal.checked_sub(3)?;
    let variable = fault.text_at(start).strip_prefix('d').filter(|rest| !rest.is_empty())?;
    if !fault.is_symbol_at(start + 1, Symbol::Slash) || !fault.text_at(start + 2).starts_with('d') {
        return None;
    }
    let span = fault.span_at(start).to(fault.span_at(start + 2));
    if start > 0 {
        let message = format!(
            "the left side of an equation is the bare derivative: `{variable}' = (…) / {}`",
            fault.first_text()
        );
        return Some(Diagnostic::error("E0012", span, message));
    }
    let error = Diagnostic::error("E0012", span, format!("a derivative is written with a prime: `{variable}' = …`"));
    Some(error.fix(span, format!("{variable}'")))
}

/// `tau * v' = -v`
fn derivative_with_factor(fault: &Fault<'_>) -> Option<Diagnostic> {
    let operator = |symbol| fault.is_symbol_at(1, symbol);
    if !fault.is_name_at(0) || ![Symbol::Star, Symbol::Slash, Symbol::Plus, Symbol::Minus].into_iter().any(operator) {
        return None;
    }
    let prime = (2..fault.tokens.len()).find(|index| fault.is_symbol_at(*index, Symbol::Prime))?;
    if !fault.is_symbol_at(prime + 1, Symbol::Equal) {
        return None;
    }
    let name = fault.text_at(prime - 1);
    let fixed = match operator(Symbol::Star) && prime == 3 {
        true => format!("`{name}' = (…) / {}`", fault.first_text()),
        false => format!("`{name}' = …`"),
    };
    let span = fault.span_at(0).to(fault.span_at(prime));
    Some(Diagnostic::error("E0012", span, format!("the left side of an equation is the bare derivative: {fixed}")))
}

/// Whether the statement is `v' = …`, and the fault is behind its sign.
fn in_equation(fault: &Fault<'_>) -> bool {
    fault.is_name_at(0)
        && fault.is_symbol_at(1, Symbol::Prime)
        && fault.is_symbol_at(2, Symbol::Equal)
        && fault.found > 3
}

/// `v' = -v / tau : volt`
fn unit_of_equation(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !in_equation(fault) || !fault.found_symbol(Symbol::Colon) || fault.expects_value() {
        return None;
    }
    let name = fault.first_text();
    let unit = Some(fault.text_at(fault.found + 1)).filter(|unit| units::is_unit(unit)).unwrap_or("UNIT");
    let message = format!("an equation has no unit of its own; the state's is declared: `state {name}: {unit} = …`");
    Some(fault.error("E0012", message))
}

/// `v' = -v / tau (unless refractory)`
fn held_in_equation(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !in_equation(fault) || fault.found_text() != "refractory" || fault.previous_text() != "unless" {
        return None;
    }
    let name = fault.first_text();
    let message = format!("a state stands still after a spike by `spike when c {{ …; hold {name} for 2 ms }}`");
    Some(Diagnostic::error("E0012", fault.previous_span().to(fault.found_span()), message))
}

/// `(a + b)' = 3`, `x[3] = 1`, `2 = x`
fn left_side_is_a_name(fault: &Fault<'_>) -> Option<Diagnostic> {
    let changes = |index: usize| {
        let signs = [Symbol::Equal, Symbol::PlusEqual, Symbol::MinusEqual, Symbol::Prime];
        signs.iter().any(|sign| fault.is_symbol_at(index, *sign))
    };
    let assigns = (1..fault.tokens.len()).any(changes);
    let in_block = matches!(fault.scope, Scope::Block(_));
    let indexed = fault.found == 1 && fault.found_symbol(Symbol::OpenBracket) && fault.is_name_at(0);
    let other = fault.found == 0 && !fault.tokens.first()?.is_word();
    if !in_block || !assigns || !(indexed || other) {
        return None;
    }
    let error = fault.error("E0012", "the left side of an equation is one name");
    Some(if indexed {
        error.help("an equation is that of the whole array; in a block one element changes, `x[1] += 1`")
    } else {
        error
    })
}

/// What statements are called in other languages, and in other model descriptions.
const FOREIGN: &[(&str, &str)] = &[
    ("print", "to show a value write `report name = value`"),
    ("return", "the value of a body is its last line"),
    ("while", "what happens step by step is an equation or `when c { … }`"),
    ("repeat", "a sweep is `for x in LIST { … }`"),
    ("var", "a name gets its value by `let name = value`"),
    ("def", "a function is declared outside: `fn NAME(x) = EXPR`"),
    ("import", "a module's names are brought in by `use`, at the top of the file"),
    ("parameter", "write `param name = value`"),
    ("parameters", "write `param name = value`, one a line"),
    ("equation", "an equation is written alone: `v' = …`"),
    ("equations", "an equation is written alone: `v' = …`"),
    ("threshold", "a threshold is `spike when v > v_th { … }`"),
    ("refractory", "a state stands still after a spike by `hold v for 2 ms` in the block of `spike when c { … }`"),
    ("reset_to", "what a spike resets stands in the block of `spike when c { … }`"),
    ("relax", "activities settle by `settle NAME minimizing ENERGY for N steps`"),
    ("trial", "what one presentation is stands in `given x = … for T step dt`"),
    ("optimize", "write `minimize OBJECTIVE by RULE with OPTIMIZER`"),
    ("loss", "write `minimize OBJECTIVE by RULE with OPTIMIZER`"),
    ("monitor", "write `record net.cells.v every 1 ms`"),
    ("assert", "what must hold is `expect CONDITION`"),
    ("layer", "a layer is `population NAME: KIND[size]`"),
    ("synapse", "a synapse is chosen by `via`: `connect a -> b: all() via ExpCurrent(…)`"),
    ("projection", "a projection is `connect a -> b: all()`"),
    ("run", "write `simulate net for 1 s step 0.1 ms { … }`"),
];

fn foreign_statement(fault: &Fault<'_>) -> Option<Diagnostic> {
    let word = fault.first_text();
    let optimizer_step = fault.scope == Scope::Block("optimizer") && word == "step";
    if fault.found > 1 || fault.scope == Scope::File || !fault.is_name_at(0) {
        return None;
    }
    let instead = if optimizer_step {
        "an optimizer says what changes with `change EXPR`"
    } else {
        FOREIGN.iter().find(|row| row.0 == word)?.1
    };
    Some(Diagnostic::error("E0004", fault.span_at(0), format!("there is no statement `{word}`; {instead}")))
}

/// `recrod net.h.v every 1 ms`
fn misspelled_statement(fault: &Fault<'_>) -> Option<Diagnostic> {
    let first = fault.tokens.first()?;
    let operand = fault.is_operand_at(1) || fault.class_at(1).is_some() || fault.is_symbol_at(1, Symbol::Minus);
    let followed = fault.found == 1 && operand;
    if !followed || first.tok != Tok::Ident || fault.scope == Scope::File {
        return None;
    }
    let word = fault.first_text();
    let looks_called = matches!(fault.token(1)?.tok, Tok::Symbol(_));
    let meant = nearest(word, words::statement_words());
    let span = fault.span_at(0);
    match meant {
        Some(meant) => {
            let message = format!("there is no statement `{word}`; did you mean `{meant}`?");
            Some(Diagnostic::error("E0004", span, message).fix(span, meant))
        }
        None if looks_called => None,
        None => {
            let error = Diagnostic::error("E0004", span, format!("there is no statement `{}`", shown(word)));
            Some(
                error.help("a statement starts with a word such as `param`, `record`, `connect`, or is `name = value`"),
            )
        }
    }
}

/// `v := 0 mV`
fn colon_equal(fault: &Fault<'_>) -> Option<Diagnostic> {
    let written = fault.found == 1 && fault.found_symbol(Symbol::Colon) && fault.is_symbol_at(2, Symbol::Equal);
    let inside = matches!(fault.scope, Scope::Block(word) if EVENTS.contains(&word));
    if !written || !inside || !fault.is_name_at(0) || fault.span_at(2).start != fault.found_span().end {
        return None;
    }
    let span = fault.found_span().to(fault.span_at(2));
    let message = format!("a value is given by `=` alone: `{} = …`", fault.first_text());
    Some(Diagnostic::error("E0015", span, message).fix(span, "="))
}

/// Blocks of what happens at an instant.
const EVENTS: [&str; 6] = ["on", "spike", "when", "every", "pre", "post"];

/// `v ~ normal(0 mV, 1 mV)` at a spike
fn drawn_in_block(fault: &Fault<'_>) -> Option<Diagnostic> {
    let inside = matches!(fault.scope, Scope::Block(word) if EVENTS.contains(&word));
    if !inside || fault.found != 1 || !fault.found_symbol(Symbol::Tilde) || !fault.is_name_at(0) {
        return None;
    }
    let name = fault.first_text();
    let message =
        format!("`~` says what a declaration is drawn from; in a block a draw is a value: `{name} = normal(…)`");
    Some(fault.error("E0015", message).fix(fault.found_span(), "="))
}

/// `y: Linear[10]` without its word.
fn word_missing(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.found != 1 || !fault.found_symbol(Symbol::Colon) || !fault.is_name_at(0) || fault.scope == Scope::File {
        return None;
    }
    let name = fault.first_text();
    let words = match fault.scope {
        Scope::Block("architecture") => "`population`, `input`, `weight` or `part`",
        _ => "`param`, `state`, `input` or `weight`",
    };
    let message = format!("what `{name}` is stands before its name: {words}");
    Some(Diagnostic::error("E0004", fault.span_at(0), message))
}

/// `record .axon.v`
fn name_before_dot(fault: &Fault<'_>) -> Option<Diagnostic> {
    let word = fault.first_text();
    let dotted = fault.is_symbol_at(1, Symbol::Dot) && fault.found > 1 && fault.expects("'") && fault.expects("=");
    if !dotted || !words::is_statement_word(word) || fault.scope == Scope::File {
        return None;
    }
    Some(Diagnostic::error("E0003", fault.span_at(1), format!("a name is missing between `{word}` and `.`")))
}

const OPERATORS: [Symbol; 11] = [
    Symbol::Plus,
    Symbol::Minus,
    Symbol::Star,
    Symbol::Slash,
    Symbol::OpenParen,
    Symbol::OpenBracket,
    Symbol::Caret,
    Symbol::Less,
    Symbol::LessEqual,
    Symbol::Greater,
    Symbol::GreaterEqual,
];

/// `f(x)`, `x + 1`, `3`
fn bare_expression(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !matches!(fault.scope, Scope::Block(_)) || fault.found > 1 {
        return None;
    }
    let first = fault.tokens.first()?;
    let literal = fault.found == 0 && (fault.expects("DECL") && !first.is_word());
    let continued = fault.found == 1 && first.is_name(fault.text) && OPERATORS.iter().any(|s| fault.found_symbol(*s));
    let alone = fault.at_end() && fault.tokens.len() == 1 && first.tok == Tok::Ident;
    if let Some(meant) = nearest(fault.first_text(), ["normalize"]).filter(|_| alone) {
        let (span, word) = (fault.span_at(0), fault.first_text());
        let message = format!("there is no statement `{word}`; did you mean `{meant}`?");
        return Some(Diagnostic::error("E0004", span, message).fix(span, meant));
    }
    if !(literal || continued || alone) {
        return None;
    }
    let compares =
        [Symbol::Less, Symbol::Greater, Symbol::LessEqual, Symbol::GreaterEqual].iter().any(|s| fault.found_symbol(*s));
    let text = shown(&fault.source(0, fault.tokens.len() - 1));
    let message = format!("`{text}` computes a value and does nothing with it");
    let span = fault.span_at(0).to(fault.end_span());
    let error = Diagnostic::error("E0004", span, message);
    let help = match fault.scope {
        Scope::Block("experiment") if compares => "to check a condition write `expect CONDITION`",
        Scope::Block("experiment" | "train" | "simulate" | "for") => {
            "to keep a value write `let name = …`, to show it `report name = …`"
        }
        _ => "to name a value write `let name = …`, to send it out `output name = …`",
    };
    Some(error.help(help))
}

fn names_a_type(word: &str) -> bool {
    matches!(word, "real" | "int" | "bool" | "event" | "class" | "float" | "double") || units::is_unit(word)
}

fn is_declaration(fault: &Fault<'_>) -> bool {
    matches!(fault.class_at(0), Some(Class::Decl | Class::Let)) && fault.scope != Scope::File
}

/// `state real v = 0`
fn type_first(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !is_declaration(fault) || fault.found != 2 || !fault.is_name_at(2) || !names_a_type(fault.text_at(1)) {
        return None;
    }
    let (ty, name) = (fault.text_at(1), fault.text_at(2));
    let span = fault.span_at(1).to(fault.span_at(2));
    let fixed = format!("{name}: {ty}");
    let message = format!("the name comes first, then the type: `{} {fixed}`", fault.first_text());
    Some(Diagnostic::error("E0019", span, message).fix(span, fixed))
}

/// `state v mV = 3`
fn type_without_colon(fault: &Fault<'_>) -> Option<Diagnostic> {
    let after_name = is_declaration(fault) && fault.found == 2 && fault.found()?.is_word();
    let plain_type = matches!(fault.found_text(), "real" | "int" | "bool" | "event" | "class");
    if !after_name || !(plain_type || names_a_type(fault.found_text()) && !names_a_type(fault.text_at(1))) {
        return None;
    }
    let fixed = format!("{}: {}", fault.text_at(1), fault.found_text());
    let error = fault.error("E0019", format!("the type follows a colon: `{} {fixed}`", fault.first_text()));
    Some(error.fix(fault.gap(), ":"))
}

/// `param x y`
fn second_name(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !is_declaration(fault) || fault.found != 2 || !fault.is_name_at(2) || !fault.expects("=") {
        return None;
    }
    let (word, name) = (fault.first_text(), fault.text_at(1));
    let message =
        format!("after `{word} {name}` comes a type, `: mV`, or a value, `= 3 mV`, not `{}`", fault.found_text());
    Some(fault.error("E0015", message))
}

/// `param tau: 20 ms`
fn value_as_type(fault: &Fault<'_>) -> Option<Diagnostic> {
    let value = matches!(fault.found()?.tok, Tok::Number | Tok::Quantity | Tok::Text);
    if !fault.previous_symbol(Symbol::Colon) || !value || !is_declaration(fault) {
        return None;
    }
    let message =
        format!("after `:` comes a type; a value follows `=`: `{} = {}`", fault.text_at(1), fault.found_text());
    let colon = fault.previous_span();
    Some(fault.error("E0019", message).fix(colon, " ="))
}

/// `param = 3` is an assignment; `param 3` and `param` alone come here.
fn missing_name(fault: &Fault<'_>) -> Option<Diagnostic> {
    let needs_name = matches!(
        fault.class_at(0)?,
        Class::Decl | Class::Let | Class::Member | Class::Hold | Class::Perturbed | Class::For | Class::On
    );
    if !needs_name || fault.found != 1 || fault.scope == Scope::File {
        return None;
    }
    let word = fault.first_text();
    let span = if fault.at_end() { fault.end_span() } else { fault.found_span() };
    Some(Diagnostic::error("E0003", span, format!("`{word}` needs a name after it")))
}
