//! "Did you mean": the nearest of the names that could stand in a place.

use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

/// The candidate that a slip of the pen would turn into `word`, if there is one.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match word.chars().count() {
        0 | 1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    candidates
        .filter(|c| !c.is_empty() && *c != word)
        .map(|c| {
            let same_letters = c.to_lowercase() == word.to_lowercase();
            (if same_letters { 0 } else { strsim::damerau_levenshtein(word, c) }, c)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(b.1)))
        .map(|(_, c)| c)
}

/// Adds the suggestion and the fix, where a name was near.
pub fn did_you_mean(diagnostic: Diagnostic, span: Span, near: Option<&str>) -> Diagnostic {
    match near {
        Some(name) => diagnostic.help(format!("did you mean `{name}`?")).fix(span, name),
        None => diagnostic,
    }
}

/// A word in backticks with its article: "a `rule`", "an `optimizer`".
pub fn with_article(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    format!("{article} `{word}`")
}

/// "1 argument", "2 arguments".
pub fn counted(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}
