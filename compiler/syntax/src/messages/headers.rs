//! Sentences for declarations: `neuron`, `fn`, `use`, and what stands at the top of a file that should not.

use crate::diag::Diagnostic;
use crate::messages::{Fault, Rule, Scope, nearest, shown};
use crate::token::{Symbol, Tok};
use crate::words::{self, Class};

pub const RULES: &[Rule] = &[
    loose_block,
    inner_declaration,
    reserved_name,
    foreign_declaration,
    loose_statement,
    misspelled_declaration,
    local_of_what,
    use_form,
    header_name,
    fn_form,
    header_body,
    parameter_type,
];

fn in_file(fault: &Fault<'_>) -> bool {
    fault.scope == Scope::File
}

/// A block without a header.
fn loose_block(fault: &Fault<'_>) -> Option<Diagnostic> {
    if fault.found > 0 || fault.found()?.tok != Tok::OpenBlock {
        return None;
    }
    let error = fault.error("E0013", "this block belongs to nothing");
    Some(error.help("a block follows a header on the same line or the line before: `neuron A {`, `when c {`"))
}

/// A `neuron` inside an `experiment`.
fn inner_declaration(fault: &Fault<'_>) -> Option<Diagnostic> {
    let Scope::Block(outer) = fault.scope else { return None };
    let is_item = matches!(fault.class_at(0)?, Class::Item | Class::Use | Class::Fn | Class::Local);
    if !is_item || !fault.is_name_at(1) {
        return None;
    }
    let word = fault.first_text();
    let message = format!("`{word}` stands at the top of a file, not inside `{outer}`");
    let span = fault.span_at(0);
    Some(Diagnostic::error("E0023", span, message).help("perhaps a `}` is missing before it"))
}

/// `state next = 0`
fn reserved_name(fault: &Fault<'_>) -> Option<Diagnostic> {
    let word = fault.found_text();
    let name_wanted = fault.expects("IDENT") && !fault.expects("NUMBER") && !fault.expects_operator();
    let signs = [Symbol::Equal, Symbol::Prime, Symbol::Colon, Symbol::PlusEqual, Symbol::MinusEqual];
    let used_as_name = fault.found > 0 || signs.iter().any(|sign| fault.is_symbol_at(1, *sign));
    if !words::is_reserved(word) || !name_wanted || !used_as_name {
        return None;
    }
    Some(fault.error("E0003", format!("`{word}` is a reserved word and cannot be a name")))
}

/// What declarations are called in other languages.
const FOREIGN: &[(&str, &str)] = &[
    ("import", "a module's names are brought in by `use`: `use std.neurons.{LIF, ReLU}`"),
    ("include", "a module's names are brought in by `use`: `use std.neurons.{LIF, ReLU}`"),
    ("from", "a module's names are brought in by `use`: `use std.neurons.{LIF, ReLU}`"),
    ("def", "a function is `fn NAME(x) = EXPR`"),
    ("function", "a function is `fn NAME(x) = EXPR`"),
    ("func", "a function is `fn NAME(x) = EXPR`"),
    ("class", "what a network is made of is a `neuron`, a `synapse` or an `architecture`"),
    ("struct", "what a network is made of is a `neuron`, a `synapse` or an `architecture`"),
    ("model", "what a network is made of is a `neuron`, a `synapse` or an `architecture`"),
    ("network", "a network is an `architecture`"),
    ("layer", "a layer is a `population` of an `architecture`"),
    ("loss", "what a network is for is an `objective`"),
    ("world", "a world to act in is an `environment`"),
    ("plasticity", "how connections learn is a `rule`"),
];

fn foreign_declaration(fault: &Fault<'_>) -> Option<Diagnostic> {
    let word = fault.first_text();
    if !in_file(fault) || fault.found > 1 {
        return None;
    }
    let (_, instead) = FOREIGN.iter().find(|row| row.0 == word)?;
    Some(Diagnostic::error("E0005", fault.span_at(0), format!("there is no declaration `{word}`; {instead}")))
}

/// `param tau = 3` outside of braces.
fn loose_statement(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !in_file(fault) || fault.found > 0 {
        return None;
    }
    let word = fault.first_text();
    let changes = (1..fault.tokens.len().min(4)).any(|index| {
        let signs = [Symbol::Equal, Symbol::Prime, Symbol::PlusEqual, Symbol::MinusEqual];
        signs.iter().any(|sign| fault.is_symbol_at(index, *sign))
    });
    let equation = fault.is_name_at(0) && changes;
    if !words::is_statement_word(word) && !equation {
        return None;
    }
    let what = if words::is_statement_word(word) { format!("`{word}`") } else { "an equation".to_owned() };
    let error = fault.error("E0005", format!("{what} belongs inside a declaration's braces"));
    Some(error.help("at the top of a file stand `use`, `fn`, `neuron`, `architecture`, `experiment` and their like"))
}

/// `nueron A {`
fn misspelled_declaration(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !in_file(fault) || fault.found > 0 {
        return None;
    }
    let word = fault.first_text();
    if !fault.tokens.first()?.is_word() {
        let message = format!("a declaration starts with a word, not with `{}`", shown(word));
        return Some(fault.error("E0005", message));
    }
    let declarations: Vec<_> = words::declaration_words();
    let error = |message: String| fault.error("E0005", message);
    Some(match nearest(word, declarations.iter().copied()) {
        Some(meant) => {
            error(format!("there is no declaration `{word}`; did you mean `{meant}`?")).fix(fault.found_span(), meant)
        }
        None => error(format!("there is no declaration `{}`", shown(word)))
            .help(format!("declarations are {}", quoted_list(&declarations))),
    })
}

fn quoted_list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// `local Hebb {`
fn local_of_what(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !in_file(fault) || fault.class_at(0) != Some(Class::Local) || fault.found != 1 {
        return None;
    }
    Some(fault.error("E0005", "`local` stands before `rule`: `local rule NAME { … }`"))
}

fn use_form(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !in_file(fault) || fault.class_at(0) != Some(Class::Use) {
        return None;
    }
    let form = "`use` takes a path: `use std.neurons.LIF`, `use std.neurons.{LIF, ReLU}` or `use std.rules.*`";
    let error = |message: &str| match fault.at_end() {
        true => Diagnostic::error("E0003", fault.end_span(), message),
        false => fault.error("E0003", message),
    };
    if fault.found_symbol(Symbol::Comma) {
        return Some(error("several modules take several `use`s; several names of one module stand in `.{ }`"));
    }
    if matches!(fault.found().map(|token| token.tok), Some(Tok::OpenBlock)) {
        return Some(error("a list of names follows a dot: `use std.neurons.{LIF, ReLU}`"));
    }
    Some(error(form))
}

/// The place of a header's word: after `local`.
fn word_place(fault: &Fault<'_>) -> usize {
    usize::from(fault.class_at(0) == Some(Class::Local))
}

fn is_header(fault: &Fault<'_>) -> bool {
    in_file(fault) && matches!(fault.class_at(word_place(fault)), Some(Class::Item | Class::Fn))
}

/// `neuron {`, `neuron 3`
fn header_name(fault: &Fault<'_>) -> Option<Diagnostic> {
    let place = word_place(fault);
    if !is_header(fault) || fault.found != place + 1 {
        return None;
    }
    let word = fault.text_at(place);
    let message = format!("`{word}` needs a name: `{word} NAME {}`", if word == "fn" { "(x) = …" } else { "{ … }" });
    let span = if fault.at_end() { fault.end_span() } else { fault.found_span() };
    Some(Diagnostic::error("E0003", span, message))
}

/// `fn f x = 3`, `fn f(x) { … }`, `fn f(x): …`
fn fn_form(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !in_file(fault) || fault.class_at(0) != Some(Class::Fn) {
        return None;
    }
    let name = fault.text_at(1);
    let span = if fault.at_end() { fault.end_span() } else { fault.found_span() };
    if fault.found == 2 {
        let message = format!("a function's parameters are in parentheses: `fn {name}(x) = …`");
        return Some(Diagnostic::error("E0024", span, message));
    }
    let closed = fault.previous_symbol(Symbol::CloseParen);
    let block = matches!(fault.found().map(|token| token.tok), Some(Tok::OpenBlock));
    if fault.expects("=") && block {
        let error =
            Diagnostic::error("E0024", span, "the body of a function follows `=`: `fn f(x) = { let …; value }`");
        return Some(error.fix(fault.gap(), " ="));
    }
    if fault.expects("=") && (closed || fault.at_end()) {
        let message = "after its parameters a function has a type or a value: `fn f(x) -> mV = …`";
        return Some(Diagnostic::error("E0024", span, message));
    }
    None
}

/// `neuron A`, `neuron A:`, `neuron A(…) extends B {`
fn header_body(fault: &Fault<'_>) -> Option<Diagnostic> {
    if !is_header(fault) || !fault.expects("BLOCK") {
        return None;
    }
    let (word, name) = (fault.text_at(word_place(fault)), fault.text_at(word_place(fault) + 1));
    if fault.at_end() {
        let message = format!("`{word} {name}` has no body; a body is in braces: `{word} {name} {{ … }}`");
        return Some(Diagnostic::error("E0013", fault.end_span(), message));
    }
    if fault.found_symbol(Symbol::Colon) {
        return Some(fault.error("E0013", "a body is in braces, not after a colon").fix(fault.found_span(), " {"));
    }
    let message = format!(
        "after `{word} {name}` come parameters in parentheses or a body in braces, not `{}`",
        shown(fault.found_text())
    );
    Some(fault.error("E0013", message))
}

/// `neuron A(int n = 3)`
fn parameter_type(fault: &Fault<'_>) -> Option<Diagnostic> {
    let in_parameters = is_header(fault) && fault.is_symbol_at(word_place(fault) + 2, Symbol::OpenParen);
    let two_names = fault.is_name_at(fault.found) && fault.is_name_at(fault.found.checked_sub(1)?);
    if !in_parameters || !two_names || !fault.expects(":") {
        return None;
    }
    let (ty, name) = (fault.previous_text(), fault.found_text());
    let fixed = format!("{name}: {ty}");
    let error = Diagnostic::error(
        "E0019",
        fault.previous_span().to(fault.found_span()),
        format!("the name comes first, then the type: `{fixed}`"),
    );
    Some(error.fix(fault.previous_span().to(fault.found_span()), fixed))
}
