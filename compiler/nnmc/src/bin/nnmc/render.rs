//! Findings about a model: excerpts for people, JSON lines for programs.

use codespan_reporting::diagnostic::{Diagnostic as Shown, Label, Severity as ShownSeverity};
use codespan_reporting::files::SimpleFiles;
use codespan_reporting::term::{self, Chars, Config, termcolor};
use nnm_syntax::diag::{Diagnostic, Severity};
use nnm_syntax::span::{SourceMap, Span};
use serde_json::{Value, json};

use crate::shell::{Shell, event_line};

/// More than so many are counted, not shown.
const MOST: usize = 50;

/// Shows all findings: excerpts on standard error, or JSON lines on standard output.
pub fn show(shell: &Shell, sources: &SourceMap, diagnostics: &[Diagnostic]) {
    let (mut out, mut remarks) = (String::new(), String::new());
    put(shell, sources, diagnostics, &mut out, &mut remarks);
    if !out.is_empty() {
        shell.out(&out);
    }
    if !remarks.is_empty() {
        shell.say(&remarks);
    }
}

/// All findings for one of two texts that will go to the two streams.
pub fn put(shell: &Shell, sources: &SourceMap, findings: &[Diagnostic], out: &mut String, remarks: &mut String) {
    if shell.json {
        out.extend(findings.iter().map(|d| event_line("diagnostic", as_json(sources, d))));
    } else {
        remarks.push_str(&text(shell, sources, findings));
    }
}

/// All findings as text, at most fifty of them, and where to read on.
pub fn text(shell: &Shell, sources: &SourceMap, diagnostics: &[Diagnostic]) -> String {
    let mut files = SimpleFiles::new();
    for (_, source) in sources.files() {
        files.add(source.name.clone(), source.text.clone());
    }
    let config =
        Config { chars: if shell.unicode { Chars::box_drawing() } else { Chars::ascii() }, ..Config::default() };
    let mut buffer = if shell.colour_err { termcolor::Buffer::ansi() } else { termcolor::Buffer::no_color() };
    for diagnostic in diagnostics.iter().take(MOST) {
        let shown = converted(sources, diagnostic);
        if term::emit_to_write_style(&mut buffer, &config, &files, &shown).is_err() {
            let (line, column) = sources.line_column(diagnostic.span);
            let place = format!("{}:{line}:{column}", sources.get(diagnostic.span.file).name);
            let plain = format!("{place}: {}: {}\n", diagnostic.code, diagnostic.message);
            let _ = std::io::Write::write_all(&mut buffer, plain.as_bytes());
        }
    }
    let mut out = String::from_utf8_lossy(buffer.as_slice()).into_owned();
    if diagnostics.len() > MOST {
        out.push_str(&format!("… and {} more\n", diagnostics.len() - MOST));
    }
    out
}

/// `3 errors, 1 warning`
pub fn counts(diagnostics: &[Diagnostic]) -> String {
    let number = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let part = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    match (number(Severity::Error), number(Severity::Warning)) {
        (0, 0) => "no errors".into(),
        (errors, 0) => part(errors, "error"),
        (0, warnings) => part(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", part(errors, "error"), part(warnings, "warning")),
    }
}

/// The line that says where to read on about the first error that has a page.
pub fn read_on(diagnostics: &[Diagnostic]) -> Option<String> {
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error);
    let first = errors.map(|d| d.code).find(|code| crate::explain::has_page(code))?;
    Some(format!("`nnmc explain {first}` says more"))
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn converted(sources: &SourceMap, d: &Diagnostic) -> Shown<usize> {
    let severity = match d.severity {
        Severity::Error => ShownSeverity::Error,
        Severity::Warning => ShownSeverity::Warning,
        Severity::Note => ShownSeverity::Note,
    };
    let primary = Label::primary(d.span.file.0 as usize, range(sources, d.span)).with_message(&d.at);
    let others = d.labels.iter().map(|label| {
        Label::secondary(label.span.file.0 as usize, range(sources, label.span)).with_message(&label.text)
    });
    let mut notes: Vec<String> = d.help.iter().map(|help| format!("help: {help}")).collect();
    notes.extend(fix_note(sources, d));
    Shown::new(severity)
        .with_code(d.code)
        .with_message(&d.message)
        .with_labels(std::iter::once(primary).chain(others).collect())
        .with_notes(notes)
}

/// The fix in words, unless a help says it already.
fn fix_note(sources: &SourceMap, d: &Diagnostic) -> Option<String> {
    let fix = d.fix.as_ref()?;
    let new = fix.replacement.trim();
    if new.is_empty() || d.help.iter().any(|help| help.contains(new)) {
        return None;
    }
    let old = sources.text(fix.span).trim();
    Some(if old.is_empty() { format!("help: add `{new}`") } else { format!("help: write `{new}` instead of `{old}`") })
}

/// The bytes of a span, held inside the text and on whole characters.
fn range(sources: &SourceMap, span: Span) -> std::ops::Range<usize> {
    let text = &sources.get(span.file).text;
    let inside = |at: u32| {
        let mut at = (at as usize).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (inside(span.start), inside(span.end));
    start..end.max(start)
}

fn as_json(sources: &SourceMap, d: &Diagnostic) -> Value {
    let labels: Vec<Value> =
        d.labels.iter().map(|label| json!({ "place": place(sources, label.span), "text": label.text })).collect();
    let fix = d.fix.as_ref().map(|fix| json!({ "place": place(sources, fix.span), "replacement": fix.replacement }));
    json!({
        "severity": severity_word(d.severity),
        "code": d.code,
        "message": d.message,
        "at": d.at,
        "place": place(sources, d.span),
        "labels": labels,
        "help": d.help,
        "fix": fix,
    })
}

fn place(sources: &SourceMap, span: Span) -> Value {
    let (line, column) = sources.line_column(span);
    let (end_line, end_column) = sources.line_column(Span { start: span.end, ..span });
    json!({
        "file": sources.get(span.file).name,
        "line": line, "column": column, "end_line": end_line, "end_column": end_column,
        "start": span.start, "end": span.end,
    })
}
