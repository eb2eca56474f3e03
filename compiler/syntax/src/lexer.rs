//! Text to tokens. A byte that fits nothing becomes a [`Tok::Bad`]; comments and blank lines go to the trivia table.

use logos::{Lexer, Logos};

use crate::diag::Diagnostic;
use crate::span::{FileId, Span};
use crate::token::{Bad, Symbol, Tok, Token};
use crate::trivia::{Comment, CommentKind, Trivia};
use crate::{units, words};

/// The most tokens of a file.
pub const MAX_TOKENS: usize = 5_000_000;
/// The most bytes of a file.
pub const MAX_BYTES: usize = 64 << 20;
/// The most bytes of an identifier.
pub const MAX_NAME_BYTES: usize = 1024;

/// What the pattern of a number found after it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum NumberForm {
    Plain,
    WithUnit,
    Bad(Bad),
}

#[derive(Logos, Clone, Copy, Debug, PartialEq)]
#[logos(skip r"[ \t\r\u{feff}]+")]
enum Raw {
    #[token("\n")]
    NewLine,
    #[regex(r"//[^\n]*", allow_greedy = true)]
    Comment,
    /// `# …` and `/* … */`, the comments of other languages.
    #[regex(r"#[^\n]*", allow_greedy = true)]
    #[token("/*", block_comment)]
    ForeignComment,
    #[regex(r"[\p{XID_Start}_]\p{XID_Continue}*")]
    Word,
    #[regex(r"[0-9][0-9_]*(\.[0-9][0-9_]*)?([eE][+-]?[0-9][0-9_]*)?", number)]
    Number(NumberForm),
    #[regex(r#""([^"\\\n]|\\[^\n])*""#)]
    Text,
    #[regex(r#""([^"\\\n]|\\[^\n])*\\?"#)]
    OpenText,
    #[token("'", prime)]
    Prime(bool),
    #[token("&&", |_| Bad::AndAnd)]
    #[token("&", |_| Bad::AndAnd)]
    #[token("||", |_| Bad::OrOr)]
    #[token("|", |_| Bad::OrOr)]
    #[token("!", |_| Bad::Bang)]
    Foreign(Bad),
    #[token("+", |_| Symbol::Plus)]
    #[token("-", |_| Symbol::Minus)]
    #[token("*", |_| Symbol::Star)]
    #[token("/", |_| Symbol::Slash)]
    #[token("@", |_| Symbol::At)]
    #[token("^", |_| Symbol::Caret)]
    #[token("=", |_| Symbol::Equal)]
    #[token("==", |_| Symbol::EqualEqual)]
    #[token("!=", |_| Symbol::NotEqual)]
    #[token("<", |_| Symbol::Less)]
    #[token("<=", |_| Symbol::LessEqual)]
    #[token(">", |_| Symbol::Greater)]
    #[token(">=", |_| Symbol::GreaterEqual)]
    #[token("+=", |_| Symbol::PlusEqual)]
    #[token("-=", |_| Symbol::MinusEqual)]
    #[token("*=", |_| Symbol::StarEqual)]
    #[token("/=", |_| Symbol::SlashEqual)]
    #[token("..", |_| Symbol::DotDot)]
    #[token(".", |_| Symbol::Dot)]
    #[token(".*", |_| Symbol::DotStar)]
    #[token(".{", |_| Symbol::DotBrace)]
    #[token(",", |_| Symbol::Comma)]
    #[token(":", |_| Symbol::Colon)]
    #[token(";", |_| Symbol::Semicolon)]
    #[token("(", |_| Symbol::OpenParen)]
    #[token(")", |_| Symbol::CloseParen)]
    #[token("[", |_| Symbol::OpenBracket)]
    #[token("]", |_| Symbol::CloseBracket)]
    #[token("{", |_| Symbol::OpenBrace)]
    #[token("}", |_| Symbol::CloseBrace)]
    #[token("->", |_| Symbol::Arrow)]
    #[token("|>", |_| Symbol::Pipe)]
    #[token("~", |_| Symbol::Tilde)]
    #[token("%", |_| Symbol::Percent)]
    Symbol(Symbol),
}

fn block_comment(lexer: &mut Lexer<'_, Raw>) {
    let length = lexer.remainder().find("*/").map_or(lexer.remainder().len(), |end| end + 2);
    lexer.bump(length);
}

/// Takes `text'` too where a quote opens a text as in other languages; true if so.
fn prime(lexer: &mut Lexer<'_, Raw>) -> bool {
    let before = lexer.source()[..lexer.span().start].chars().next_back();
    let after_operand = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ')' | ']' | '\'' | '}'));
    let line = lexer.remainder().split('\n').next().unwrap_or("");
    match line.find('\'') {
        Some(end) if !after_operand => {
            lexer.bump(end + 1);
            true
        }
        _ => false,
    }
}

/// Takes the unit after a number, if the first word there is one.
fn number(lexer: &mut Lexer<'_, Raw>) -> NumberForm {
    let parsed: f64 = number_value(lexer.slice());
    if !parsed.is_finite() {
        return NumberForm::Bad(Bad::NumberRange);
    }
    let rest = lexer.remainder();
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    let word = unit_word(&rest[blanks..]);
    if word == 0 || !units::is_unit(&rest[blanks..blanks + word]) {
        return NumberForm::Plain;
    }
    let (length, bad) = unit_tail(&rest[blanks..], word);
    lexer.bump(blanks + length);
    bad.map_or(NumberForm::WithUnit, NumberForm::Bad)
}

/// The length of a unit whose first word has `end` bytes: all `*word`, `/word` and exponents that touch it.
fn unit_tail(text: &str, mut end: usize) -> (usize, Option<Bad>) {
    loop {
        if let Some(tail) = text[end..].strip_prefix('^') {
            let exponent = units::exponent_length(tail);
            end += 1 + exponent;
            if exponent == 0 {
                return (end + unit_word(tail), Some(Bad::UnitPower));
            }
        }
        let tail = &text[end..];
        let Some(next) = tail.strip_prefix(['*', '/']) else { return (end, None) };
        if next.starts_with(['*', '/', '=']) {
            return (end, None);
        }
        let word = unit_word(next);
        if word == 0 || !units::is_unit(&next[..word]) {
            return (end + 1 + word, Some(Bad::UnitTail));
        }
        end += 1 + word;
    }
}

/// How many bytes at the start of the text could be one unit's name.
fn unit_word(text: &str) -> usize {
    if text.starts_with('%') {
        return 1;
    }
    let starts = text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if !starts {
        return 0;
    }
    text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// The value of a number as written, `_` allowed between digits.
pub fn number_value(text: &str) -> f64 {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    digits.parse().unwrap_or(f64::NAN)
}

/// A quantity's number and unit as written.
pub fn split_quantity(text: &str) -> (&str, &str) {
    let mut end = text.find(|c: char| !(c.is_ascii_digit() || c == '_' || c == '.')).unwrap_or(text.len());
    if let Some(tail) = text[end..].strip_prefix(['e', 'E']) {
        let signed = tail.strip_prefix(['+', '-']).unwrap_or(tail);
        if signed.starts_with(|c: char| c.is_ascii_digit()) {
            let digits = signed.find(|c: char| !(c.is_ascii_digit() || c == '_')).unwrap_or(signed.len());
            end = text.len() - signed.len() + digits;
        }
    }
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start_matches([' ', '\t']))
}

/// A text's value, or none if an escape is unknown.
pub fn unescape(quoted: &str) -> Option<String> {
    let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(quoted);
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()? {
            'n' => '\n',
            't' => '\t',
            c @ ('"' | '\\') => c,
            _ => return None,
        });
    }
    Some(out)
}

/// The lexer's result.
#[derive(Default)]
pub struct Lexed {
    pub tokens: Vec<Token>,
    pub trivia: Trivia,
    pub diagnostics: Vec<Diagnostic>,
}

/// Splits the text; `file` is for the places.
pub fn lex(file: FileId, text: &str) -> Lexed {
    let mut out = Lexed::default();
    let mut lexer = Raw::lexer(text);
    let mut line_start = 0;
    let mut line_is_empty = true;
    while let Some(raw) = lexer.next() {
        let range = lexer.span();
        let tok = match raw {
            Ok(Raw::NewLine) => {
                if line_is_empty {
                    out.trivia.blank_lines.push(line_start);
                }
                line_start = range.end as u32;
                line_is_empty = true;
                continue;
            }
            Ok(Raw::Comment) => {
                out.trivia.comments.push(comment(Span::new(file, range.start, range.end), text, line_is_empty));
                line_is_empty = false;
                continue;
            }
            Ok(Raw::ForeignComment) => {
                out.diagnostics.push(foreign_comment(Span::new(file, range.start, range.end), text));
                continue;
            }
            Ok(raw) => token_kind(raw, lexer.slice()),
            Err(()) => Tok::Bad(Bad::Character),
        };
        if out.tokens.len() >= MAX_TOKENS {
            out.diagnostics.push(too_many_tokens(Span::new(file, range.start, range.end)));
            return out;
        }
        out.tokens.push(Token { tok, start: range.start as u32, end: range.end as u32, first_on_line: line_is_empty });
        line_is_empty = false;
    }
    out
}

fn token_kind(raw: Raw, slice: &str) -> Tok {
    match raw {
        Raw::Word if slice.len() > MAX_NAME_BYTES => Tok::Bad(Bad::LongName),
        Raw::Word => words::class(slice).map_or(Tok::Ident, Tok::Word),
        Raw::Number(NumberForm::Plain) => Tok::Number,
        Raw::Number(NumberForm::WithUnit) => Tok::Quantity,
        Raw::Number(NumberForm::Bad(bad)) | Raw::Foreign(bad) => Tok::Bad(bad),
        Raw::Text if unescape(slice).is_none() => Tok::Bad(Bad::Escape),
        Raw::Text => Tok::Text,
        Raw::OpenText => Tok::Bad(Bad::OpenText),
        Raw::Prime(false) => Tok::Symbol(Symbol::Prime),
        Raw::Prime(true) => Tok::Bad(Bad::SingleQuoted),
        Raw::Symbol(symbol) => Tok::Symbol(symbol),
        Raw::NewLine | Raw::Comment | Raw::ForeignComment => Tok::Bad(Bad::Character),
    }
}

fn comment(span: Span, text: &str, own_line: bool) -> Comment {
    let body = text.get(span.range()).unwrap_or("");
    let kind = match body.as_bytes().get(2) {
        Some(b'!') => CommentKind::FileDoc,
        Some(b'/') if !body.starts_with("////") => CommentKind::Doc,
        _ => CommentKind::Line,
    };
    let blanks = body.len() - body.trim_end().len();
    Comment { span: Span { end: span.end - blanks as u32, ..span }, kind, own_line }
}

fn foreign_comment(span: Span, text: &str) -> Diagnostic {
    let body = text.get(span.range()).unwrap_or("");
    let opening = if body.starts_with('#') { 1 } else { 2 };
    let mark = Span { end: span.start + opening, ..span };
    let found = &body[..opening as usize];
    let diagnostic = Diagnostic::error("E0102", mark, format!("comments start with `//`, not `{found}`"));
    if opening == 1 { diagnostic.fix(mark, "//") } else { diagnostic.help("put `//` in front of each line") }
}

fn too_many_tokens(span: Span) -> Diagnostic {
    Diagnostic::error("E0112", span, format!("the file has more than {MAX_TOKENS} tokens; the rest is not read"))
        .help("put large arrays into a data file and read it with `npy`, `npz` or `csv`")
}
