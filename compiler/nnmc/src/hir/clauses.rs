//! Which clauses each statement takes. One that nothing reads would be lost in silence, so it is an error.

use nnm_syntax::ast::{Clause, Stmt};
use nnm_syntax::diag::Diagnostic;

/// `(statement, clauses)`; what is not listed takes none.
const TABLE: &[(&str, &[&str])] = &[
    ("param", &["where"]),
    ("weight", &["shared"]),
    ("spike", &["surrogate", "through"]),
    ("hold", &["for"]),
    ("solve", &["by"]),
    ("settle", &["minimizing", "for", "at", "by"]),
    ("population", &["at"]),
    ("connect", &["via", "plastic"]),
    ("for", &["parallel"]),
    ("simulate", &["for", "step"]),
    ("train", &["on", "for"]),
    ("given", &["for", "step", "over"]),
    ("stimulate", &["from", "to", "over", "step"]),
    ("record", &["every", "from", "to", "with"]),
    ("minimize", &["by", "with", "over", "during"]),
    ("maximize", &["by", "with", "over", "during"]),
    ("learn", &["by", "with", "during"]),
    ("save", &["to"]),
    ("load", &["from"]),
    ("validate", &["on", "every"]),
    ("early_stop", &["after"]),
    ("checkpoint", &["every"]),
];

/// Reports clauses of statements, and of those within, that have no meaning in a declaration of this kind; `text` is the
/// whole file's.
pub fn check((home, text): (&str, &str), stmts: &[Stmt], out: &mut Vec<Diagnostic>) {
    for stmt in stmts {
        if let Some((word, _)) = super::build::statement_word(stmt) {
            check_clauses((home, text), &word, stmt.kind.clauses(), out);
        }
        check((home, text), stmt.kind.block(), out);
    }
}

fn check_clauses((home, text): (&str, &str), word: &str, clauses: &[Clause], out: &mut Vec<Diagnostic>) {
    let taken = TABLE.iter().find(|(statement, _)| *statement == word).map_or(&[][..], |(_, taken)| taken);
    // Only the passes of an experiment's loop are independent of one another.
    let taken = if word == "for" && home != "experiment" { &[] } else { taken };
    for (number, clause) in clauses.iter().enumerate() {
        let name = clause.word.text.as_str();
        if !taken.contains(&name) {
            let d = Diagnostic::error("E0630", clause.span, format!("`{word}` takes no `{name}`"));
            let mut d = d.help(said(word, taken));
            let before = text.get(..clause.span.start as usize).unwrap_or("");
            if before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty()) {
                d = d.help(format!("a line that begins with `{name}` belongs to the statement on the line before"));
            }
            out.push(d);
        } else if clauses[..number].iter().any(|before| before.word.text == name) {
            let d = Diagnostic::error("E0631", clause.span, format!("`{name}` stands twice in one `{word}`"));
            out.push(d.help("which of the two is meant? leave one out"));
        }
    }
}

fn said(word: &str, taken: &[&str]) -> String {
    match taken {
        [] => format!("`{word}` takes no clauses"),
        _ => {
            let taken: Vec<String> = taken.iter().map(|name| format!("`{name}`")).collect();
            format!("`{word}` takes {}", taken.join(", "))
        }
    }
}
