//! Words of printed kernels.

use super::ParseError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    /// A name in quotes, unescaped.
    Quoted(String),
    /// `%3`
    Value(u32),
    /// Digits, maybe with `0x`.
    Integer(String),
    Real(String),
    /// `# text`, unescaped.
    Note(String),
    Symbol(&'static str),
    End,
}

const SYMBOLS: [&str; 24] = [
    "..", "+=", "==", "!=", "<=", "{", "}", "(", ")", "[", "]", ",", ":", "=", "<", "+", "-", "*", "/", "%", "$", "&",
    "@", ";",
];

/// The words with their lines; the last is [`Token::End`].
pub(super) fn lex(text: &str) -> Result<Vec<(Token, u32)>, ParseError> {
    let mut tokens = Vec::new();
    let mut line = 0;
    for source in text.split('\n') {
        line += 1;
        let mut rest = source.trim_start();
        while !rest.is_empty() && !rest.starts_with("//") {
            let (token, length) = next(rest).map_err(|message| ParseError { line, message })?;
            tokens.push((token, line));
            rest = rest[length..].trim_start();
        }
    }
    tokens.push((Token::End, line));
    Ok(tokens)
}

/// The first word of a line's rest and its length.
fn next(rest: &str) -> Result<(Token, usize), String> {
    let bytes = rest.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    match bytes[0] {
        b'#' => Ok((Token::Note(unescape(rest[1..].strip_prefix(' ').unwrap_or(&rest[1..]))?), rest.len())),
        b'"' => quoted(rest),
        b'%' if digit(1) => {
            let length = 1 + bytes[1..].iter().take_while(|b| b.is_ascii_digit()).count();
            let number =
                rest[1..length].parse().map_err(|_| format!("value number `{}` is too large", &rest[..length]))?;
            Ok((Token::Value(number), length))
        }
        b'0'..=b'9' => Ok(number(rest)),
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
            let length = bytes.iter().take_while(|b| word_byte(**b)).count();
            let word = &rest[..length];
            if word == "nan" && bytes.get(length) == Some(&b':') {
                let digits = bytes[length + 1..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
                let end = length + 1 + digits;
                return Ok((Token::Real(rest[..end].to_string()), end));
            }
            Ok((Token::Word(word.to_string()), length))
        }
        _ => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) => Ok((Token::Symbol(symbol), symbol.len())),
            None => Err(format!("unexpected character `{}`", rest.chars().next().unwrap_or(' '))),
        },
    }
}

fn word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.'
}

/// Digits are an integer; with a fraction or an exponent, a real.
fn number(rest: &str) -> (Token, usize) {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    if rest.starts_with("0x") {
        let length = 2 + bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        return (Token::Integer(rest[..length].to_string()), length);
    }
    let mut length = digits(0);
    let mut real = false;
    if bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
        real = true;
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
            real = true;
        }
    }
    let text = rest[..length].to_string();
    (if real { Token::Real(text) } else { Token::Integer(text) }, length)
}

fn quoted(rest: &str) -> Result<(Token, usize), String> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Ok((Token::Quoted(unescape(&rest[1..at])?), at + 1)),
            _ => {}
        }
    }
    Err(String::from("a name in quotes has no end"))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('u') => {
                let digits: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                out.push(code.ok_or_else(|| format!("`\\u{{{digits}}}` is no character"))?);
            }
            Some(c) => out.push(c),
            None => return Err(String::from("a line ends in a backslash")),
        }
    }
    Ok(out)
}
