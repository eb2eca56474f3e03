//! From a syntax fault to the sentence that it deserves: a list of rules, tried in order, the first that fits speaks.
//!
//! A rule looks at the token found, the ones before it, the statement's first word and a few probes of what the grammar
//! expected; never at the whole list of expectations, which names half the language.

mod characters;
mod clauses;
mod expressions;
mod headers;
mod nearest;
mod numbers;
mod operators;
mod statements;

pub use nearest::nearest;

use crate::diag::Diagnostic;
use crate::span::{FileId, Span};
use crate::token::{Bad, Symbol, Tok, Token};
use crate::words::Class;

/// Every code of this crate and what it is about, for the `explain` pages.
pub const CODES: &[(&str, &str)] = &[
    ("E0001", "a word or sign where it cannot stand"),
    ("E0002", "a value is missing"),
    ("E0003", "a name is missing, or is a reserved word"),
    ("E0004", "no such statement"),
    ("E0005", "no such declaration, or a statement outside of one"),
    ("E0006", "a bracket that is never closed"),
    ("E0007", "a closing bracket without its opening one"),
    ("E0008", "a number followed by something that is no unit"),
    ("E0009", "a unit that runs into what follows"),
    ("E0010", "an operator of another language"),
    ("E0011", "`=` and `==`"),
    ("E0012", "the left side of an equation"),
    ("E0013", "a body is in braces"),
    ("E0014", "the form of `connect`"),
    ("E0015", "the form of a statement"),
    ("E0016", "no such clause, or a clause that is not complete"),
    ("E0017", "`if` is an expression"),
    ("E0018", "lists, slices and arguments"),
    ("E0019", "the name comes first, then the type"),
    ("E0020", "there are no anonymous functions"),
    ("E0021", "`crosses` needs a direction"),
    ("E0022", "two values side by side"),
    ("E0023", "a declaration stands at the top of the file"),
    ("E0024", "the body of a function"),
    ("E0101", "a character that is not part of the language"),
    ("E0102", "comments start with `//`"),
    ("E0103", "text goes in double quotes"),
    ("E0104", "a number that is malformed or too large"),
    ("E0111", "nested too deeply"),
    ("E0112", "too many tokens"),
    ("E0113", "the file is too large"),
    ("E0114", "an identifier is too long"),
];

/// Where a fault stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// At the top of the file.
    File,
    /// In the block of a header that starts with this word.
    Block(&'a str),
    /// In the value of a body of `let`s.
    Value,
}

/// A fault: one declaration's or statement's tokens, the one that does not fit, and what the grammar wanted.
pub struct Fault<'a> {
    pub file: FileId,
    pub text: &'a str,
    pub tokens: &'a [Token],
    /// The token that does not fit; the number of tokens if more was wanted at the end.
    pub found: usize,
    pub expected: &'a [String],
    pub scope: Scope<'a>,
}

type Rule = fn(&Fault<'_>) -> Option<Diagnostic>;

/// The rules, the particular before the general.
const RULES: &[&[Rule]] = &[
    &[body_without_value],
    characters::RULES,
    headers::RULES,
    statements::RULES,
    operators::RULES,
    expressions::SEPARATION_RULES,
    numbers::RULES,
    clauses::RULES,
    expressions::RULES,
];

/// The message for a fault.
pub fn sentence(fault: &Fault<'_>) -> Diagnostic {
    RULES.iter().copied().flatten().find_map(|rule| rule(fault)).unwrap_or_else(|| fallback(fault))
}

/// `fn f() = { }`
pub fn empty_body(span: Span) -> Diagnostic {
    Diagnostic::error("E0024", span, "this body has no value: it is `let`s and then one expression")
}

/// `fn f(x) = { let a = 3 }`, `fn f(x) = { a = 3 }`
fn body_without_value(fault: &Fault<'_>) -> Option<Diagnostic> {
    let only_let = fault.found == 0 && fault.class_at(0) == Some(Class::Let);
    let assigns = fault.found == 1 && fault.is_name_at(0) && fault.found_symbol(Symbol::Equal);
    let wrong = fault.scope == Scope::Value && (only_let || assigns);
    wrong.then(|| fault.error("E0024", "a body ends with its value: `let`s come first, then one expression"))
}

/// A statement other than `let` and `for` in the body of a function.
pub fn not_a_let(span: Span, word: &str) -> Diagnostic {
    let message = format!("only `let`, and `for` with `let`s inside, may stand before a body's value, not `{word}`");
    let help = match word {
        "term" => {
            "an objective of several terms has no `=`: `objective NAME(…) { term a = …` and so on `}`, and is their sum"
        }
        _ => "a function computes one value; it has no state and no effects",
    };
    Diagnostic::error("E0024", span, message).help(help)
}

impl<'a> Fault<'a> {
    fn token(&self, index: usize) -> Option<&'a Token> {
        self.tokens.get(index)
    }

    fn found(&self) -> Option<&'a Token> {
        self.token(self.found)
    }

    /// The token that is `back` places before the one found.
    fn before(&self, back: usize) -> Option<&'a Token> {
        self.token(self.found.checked_sub(back)?)
    }

    fn previous(&self) -> Option<&'a Token> {
        self.before(1)
    }

    fn text_at(&self, index: usize) -> &'a str {
        self.token(index).map_or("", |token| token.text(self.text))
    }

    fn found_text(&self) -> &'a str {
        self.text_at(self.found)
    }

    fn previous_text(&self) -> &'a str {
        self.previous().map_or("", |token| token.text(self.text))
    }

    fn first_text(&self) -> &'a str {
        self.text_at(0)
    }

    fn class_at(&self, index: usize) -> Option<Class> {
        match self.token(index)?.tok {
            Tok::Word(class) => Some(class),
            _ => None,
        }
    }

    fn is_symbol_at(&self, index: usize, symbol: Symbol) -> bool {
        self.token(index).is_some_and(|token| token.is_symbol(symbol))
    }

    fn found_symbol(&self, symbol: Symbol) -> bool {
        self.is_symbol_at(self.found, symbol)
    }

    fn previous_symbol(&self, symbol: Symbol) -> bool {
        self.previous().is_some_and(|token| token.is_symbol(symbol))
    }

    fn found_bad(&self) -> Option<Bad> {
        match self.found()?.tok {
            Tok::Bad(bad) => Some(bad),
            _ => None,
        }
    }

    /// Whether the found token touches the one before.
    fn touches(&self) -> bool {
        self.found().zip(self.previous()).is_some_and(|(found, previous)| found.start == previous.end)
    }

    fn at_end(&self) -> bool {
        self.found >= self.tokens.len()
    }

    fn is_name_at(&self, index: usize) -> bool {
        self.token(index).is_some_and(|token| token.is_name(self.text))
    }

    /// Whether the grammar would have taken this terminal.
    fn expects(&self, terminal: &str) -> bool {
        self.expected.iter().any(|expected| expected.trim_matches('"') == terminal)
    }

    fn expects_value(&self) -> bool {
        self.expects("NUMBER") && self.expects("TEXT")
    }

    /// Whether an operator could have stood here: what is before is a complete value.
    fn expects_operator(&self) -> bool {
        self.expects("+") && self.expects("*")
    }

    fn is_operand_at(&self, index: usize) -> bool {
        self.token(index).is_some_and(|token| match token.tok {
            Tok::Ident | Tok::Number | Tok::Quantity | Tok::Text => true,
            Tok::Word(_) => token.is_name(self.text),
            Tok::Symbol(symbol) => matches!(symbol, Symbol::OpenParen | Symbol::OpenBracket),
            _ => false,
        })
    }

    fn span_of(&self, token: &Token) -> Span {
        Span { file: self.file, start: token.start, end: token.end }
    }

    fn span_at(&self, index: usize) -> Span {
        self.token(index).map_or_else(|| self.end_span(), |token| self.span_of(token))
    }

    /// The last real token, for faults at the end.
    fn end_span(&self) -> Span {
        let last = self.tokens.iter().rev().find(|token| token.end > token.start);
        last.map_or(Span { file: self.file, ..Span::default() }, |token| self.span_of(token))
    }

    fn found_span(&self) -> Span {
        self.span_at(self.found)
    }

    fn previous_span(&self) -> Span {
        self.previous().map_or_else(|| self.found_span(), |token| self.span_of(token))
    }

    /// Just before the found token, of no width.
    fn gap(&self) -> Span {
        let at = self.previous().map_or(self.found_span().start, |token| token.end);
        Span { file: self.file, start: at, end: at }
    }

    fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self.found_span(), message)
    }

    /// The source from one token to another, both included, in one line.
    fn source(&self, from: usize, to: usize) -> String {
        let (Some(first), Some(last)) = (self.token(from), self.token(to)) else { return String::new() };
        let slice = self.text.get(first.start as usize..last.end as usize).unwrap_or("");
        slice.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The class of the statement's first word, if it was taken.
    fn statement(&self) -> Option<Class> {
        (self.found > 0).then(|| self.class_at(0)).flatten()
    }
}

/// What could have stood here, in at most four kinds.
fn expectations(fault: &Fault<'_>) -> Vec<&'static str> {
    let mut kinds = vec![];
    if fault.expects_value() {
        kinds.push("a value");
    } else if fault.expects("NUMBER") {
        kinds.push("a number");
    } else if fault.expects("IDENT") {
        kinds.push("a name");
    }
    if fault.expects_operator() {
        kinds.push("an operator");
    }
    let signs = ["=", ":", "->", "in", "then", "else", "to", "~", ")", "]", "}", "'", ","];
    let clause = fault.expects("CLAUSE");
    for sign in signs.into_iter().filter(|sign| fault.expects(sign) && !(clause && *sign == "to")) {
        kinds.push(sign);
    }
    if clause && !fault.expects_value() && !fault.expects("IDENT") {
        kinds.push("a clause");
    }
    if fault.expects("BLOCK") {
        kinds.push("a block in braces");
    }
    kinds.truncate(4);
    kinds
}

fn fallback(fault: &Fault<'_>) -> Diagnostic {
    let kinds = expectations(fault)
        .into_iter()
        .map(|kind| if kind.len() > 4 || kind.starts_with("a ") { kind.to_owned() } else { format!("`{kind}`") });
    let kinds: Vec<_> = kinds.collect();
    let list = match kinds.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "the end of the statement".to_owned(),
    };
    if fault.at_end() {
        let message = format!("the statement is not complete: {list} should follow `{}`", fault.previous_text());
        return Diagnostic::error("E0001", fault.end_span(), message);
    }
    fault.error("E0001", format!("`{}` cannot stand here; expected {list}", shown(fault.found_text())))
}

/// Source text as it may stand in a message: one line, not too long.
fn shown(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    if line.chars().count() <= 40 { line.to_owned() } else { line.chars().take(37).chain("...".chars()).collect() }
}
