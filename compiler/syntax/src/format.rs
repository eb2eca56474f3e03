//! The formatter: it has no options, keeps line breaks where the author put them, and normalises the rest.
//!
//! It works on tokens, not on the tree, so that no comment can be lost: indentation by block, one blank between tokens
//! or none, at most one blank line, columns kept where the author aligned them. The parser tells it what the tokens
//! alone do not: which minus signs have one operand, which brackets are calls.

mod align;
mod elements;
mod layout;
mod spacing;

use crate::diag::{Diagnostic, Severity};
use crate::parser;
use crate::print;
use crate::span::FileId;

/// Formats a file. A file with errors is refused with its diagnostics.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let formatted = reformat(text)?;
    // The text is the author's: if the layout were ever to change its meaning, it stays as it is.
    Ok(if keeps_meaning(text, &formatted) { formatted } else { text.to_owned() })
}

fn reformat(text: &str) -> Result<String, Vec<Diagnostic>> {
    let (parsed, details) = parser::parse_with_notes(FileId(0), text);
    if parsed.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(parsed.diagnostics);
    }
    let elements = elements::elements(text, &details, &parsed.trivia);
    Ok(layout::layout(&elements))
}

fn keeps_meaning(before: &str, after: &str) -> bool {
    let (before, after) = (parser::parse(FileId(0), before), parser::parse(FileId(0), after));
    after.diagnostics.is_empty() && print::equal_modulo_spans(&before.file, &after.file)
}

#[cfg(test)]
mod tests;
