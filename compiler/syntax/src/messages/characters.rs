//! Sentences for what the lexer could not read.

use crate::diag::Diagnostic;
use crate::messages::{Fault, Rule, shown};
use crate::span::Span;
use crate::token::{Bad, Tok};
use crate::units;

pub const RULES: &[Rule] = &[bad_token];

fn bad_token(fault: &Fault<'_>) -> Option<Diagnostic> {
    Some(match fault.found_bad()? {
        Bad::Character => character(fault),
        Bad::AndAnd => foreign_word(fault, "and"),
        Bad::OrOr => foreign_word(fault, "or"),
        Bad::Bang => foreign_word(fault, "not"),
        Bad::SingleQuoted => single_quoted(fault),
        Bad::OpenText => open_text(fault),
        Bad::Escape => escape(fault),
        Bad::UnitTail => unit_tail(fault),
        Bad::UnitPower => unit_power(fault),
        Bad::NumberRange => fault.error("E0104", format!("the number `{}` is too large", shown(fault.found_text()))),
        Bad::LongName => fault.error("E0114", "this identifier is longer than 1024 bytes"),
    })
}

fn foreign_word(fault: &Fault<'_>, word: &str) -> Diagnostic {
    let message = format!("write `{word}`, not `{}`", fault.found_text());
    let replacement = if fault.found_text() == "!" { format!("{word} ") } else { word.to_owned() };
    fault.error("E0010", message).fix(fault.found_span(), replacement)
}

/// Characters that look like ones of the language, what to write, and what to call them.
const LOOK_ALIKES: &[(&[char], &str, &str)] = &[
    (&['\u{2212}', '\u{2013}', '\u{2014}', '\u{2010}', '\u{2011}'], "-", "a typographic minus"),
    (&['\u{d7}', '\u{b7}', '\u{22c5}', '\u{2217}'], "*", "a typographic product sign"),
    (&['\u{f7}', '\u{2215}'], "/", "a typographic division sign"),
    (&['\u{2264}'], "<=", "a typographic comparison"),
    (&['\u{2265}'], ">=", "a typographic comparison"),
    (&['\u{2260}'], "!=", "a typographic comparison"),
    (&['\u{2192}'], "->", "a typographic arrow"),
    (&['\u{2026}'], "..", "a typographic ellipsis"),
    (&['\u{b2}'], "^2", "a typographic power"),
    (&['\u{b3}'], "^3", "a typographic power"),
    (&['\u{2032}', '\u{2019}', '\u{b4}', '`'], "'", "not the prime of a derivative"),
    (&['\u{201c}', '\u{201d}', '\u{201e}', '\u{ab}', '\u{bb}', '\u{2018}'], "\"", "a typographic quotation mark"),
    (&['\u{a0}', '\u{2009}', '\u{202f}', '\u{2002}', '\u{2003}', '\u{3000}'], " ", "a space of a special width"),
];

fn character(fault: &Fault<'_>) -> Diagnostic {
    let found = fault.found_text();
    let Some(first) = found.chars().next() else { return fault.error("E0101", "this is not part of the language") };
    let span = Span { end: fault.found_span().start + first.len_utf8() as u32, ..fault.found_span() };
    let named = if first.is_control() || first.is_whitespace() || is_invisible(first) {
        format!("U+{:04X}", u32::from(first))
    } else {
        first.to_string()
    };
    if let Some((_, plain, what)) = LOOK_ALIKES.iter().find(|row| row.0.contains(&first)) {
        let message = format!("`{named}` is {what}; write {}", quoted(plain));
        return Diagnostic::error("E0101", span, message).fix(span, *plain);
    }
    let error = Diagnostic::error("E0101", span, format!("the character `{named}` is not part of the language"));
    match first {
        '?' => error.help("a choice is written `if c then a else b`"),
        '\\' => error.help("a statement goes on to the next line after an operator, a comma or inside parentheses"),
        '$' => error.help("names start with a letter or `_`"),
        '\u{b0}' => error.help("an angle is in `deg`, a temperature in `Celsius` or `K`"),
        '\u{221a}' => error.help("a square root is `sqrt(x)`"),
        _ => error,
    }
}

fn quoted(plain: &str) -> String {
    match plain {
        " " => "a plain space".to_owned(),
        other => format!("`{other}`"),
    }
}

/// Characters that steer the direction of text or have no width.
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c), 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb)
}

fn single_quoted(fault: &Fault<'_>) -> Diagnostic {
    let inner = fault.found_text().trim_matches('\'');
    let fixed = format!("\"{inner}\"");
    fault.error("E0103", format!("text goes in double quotes: `{}`", shown(&fixed))).fix(fault.found_span(), fixed)
}

fn open_text(fault: &Fault<'_>) -> Diagnostic {
    let end = Span { start: fault.found_span().end, ..fault.found_span() };
    let mark = Span { end: fault.found_span().start + 1, ..fault.found_span() };
    Diagnostic::error("E0103", mark, "this text is not closed by a `\"` on its line").fix(end, "\"")
}

fn escape(fault: &Fault<'_>) -> Diagnostic {
    let text = fault.found_text();
    let mut wrong = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            let next = chars.next();
            if !matches!(next, Some('n' | 't' | '"' | '\\')) {
                wrong = std::iter::once(c).chain(next).collect();
                break;
            }
        }
    }
    let message = format!("`{wrong}` means nothing in a text; a backslash itself is written `\\\\`");
    fault.error("E0103", message).help("paths are written with `/` on every system")
}

/// `10 mV/tau`, `10 uF/cm2`
fn unit_tail(fault: &Fault<'_>) -> Diagnostic {
    let text = fault.found_text();
    let word_start = text.rfind(['*', '/']).map_or(text.len(), |at| at + 1);
    let (head, word) = text.split_at(word_start);
    let (unit, sign) = head.split_at(head.len().saturating_sub(1));
    if let Some(unit) = spelled_power(word).or_else(|| units::suggest(word)) {
        let fixed = format!("{head}{unit}");
        let message = format!("`{word}` is not a unit; did you mean `{fixed}`?");
        return fault.error("E0009", message).fix(fault.found_span(), fixed);
    }
    let fixed = format!("{unit} {sign} {word}");
    let subject = if word.is_empty() {
        format!("a `{sign}` that touches a unit belongs to it")
    } else {
        format!("`{word}` is not a unit")
    };
    let message = format!("{subject}; put spaces around the `{sign}`: `{}`", fixed.trim_end());
    fault.error("E0009", message).fix(fault.found_span(), fixed)
}

/// `cm2`: a unit and its power without `^`.
pub fn spelled_power(word: &str) -> Option<String> {
    let digits = word.len() - word.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (unit, power) = word.split_at(word.len() - digits);
    (digits > 0 && units::is_unit(unit)).then(|| format!("{unit}^{power}"))
}

fn unit_power(fault: &Fault<'_>) -> Diagnostic {
    let text = fault.found_text();
    let message = "the exponent of a unit is a number: `5 mV^2`, `1 s^-0.5`";
    let Some((quantity, power)) = text.split_once('^') else { return fault.error("E0009", message) };
    let next = fault.token(fault.found + 1);
    let closed = next.is_none_or(|token| !matches!(token.tok, Tok::Symbol(_)));
    let error = fault.error("E0009", message);
    if power.is_empty() || !closed {
        return error.help("the power of a quantity is written with parentheses: `(5 mV)^n`");
    }
    error.fix(fault.found_span(), format!("({quantity})^{power}"))
}
