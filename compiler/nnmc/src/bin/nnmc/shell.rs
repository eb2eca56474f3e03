//! The two streams: what was asked for goes to standard output, all else to standard error.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Human,
    /// One JSON object a line on standard output.
    Json,
}

/// How to speak to whoever started the command.
#[derive(Clone, Copy, Debug)]
pub struct Shell {
    pub colour_out: bool,
    pub colour_err: bool,
    /// Whether signs beyond ASCII can be shown.
    pub unicode: bool,
    pub json: bool,
    pub quiet: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Style {
    Bold,
    Dim,
    Good,
    Bad,
    Warning,
}

impl Shell {
    pub fn new(colour: Colour, format: Format, quiet: bool) -> Shell {
        let wanted = |terminal: bool| match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => colour_by_environment(terminal),
        };
        Shell {
            colour_out: wanted(std::io::stdout().is_terminal()),
            colour_err: wanted(std::io::stderr().is_terminal()),
            unicode: unicode_by_environment(),
            json: format == Format::Json,
            quiet,
        }
    }

    /// What was asked for. Nobody listening any more is no error.
    pub fn out(&self, text: &str) {
        write_text(&mut std::io::stdout().lock(), text);
    }

    /// One JSON object of the stream that programs read; `kind` becomes its `type`.
    pub fn event(&self, kind: &str, fields: Value) {
        self.out(&event_line(kind, fields));
    }

    /// A remark on standard error, left out if quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// A remark on standard error that is always made.
    pub fn say(&self, text: &str) {
        write_text(&mut std::io::stderr().lock(), text);
    }

    pub fn error(&self, message: &str) {
        let (mut out, mut remarks) = (String::new(), String::new());
        self.put_error(message, &mut out, &mut remarks);
        if self.json { self.out(&out) } else { self.say(&remarks) }
    }

    /// An error for one of two texts that will go to the two streams.
    pub fn put_error(&self, message: &str, out: &mut String, remarks: &mut String) {
        if self.json {
            out.push_str(&event_line("error", json!({ "message": message })));
        } else {
            remarks.push_str(&format!("{} {message}\n", self.paint_err(Style::Bad, "error:")));
        }
    }

    /// A line of advice for the remarks at the end.
    pub fn put_note(&self, message: &str, remarks: &mut String) {
        if !self.json && !self.quiet {
            remarks.push_str(&format!("{message}\n"));
        }
    }

    pub fn warning(&self, message: &str) {
        if self.json {
            self.event("warning", json!({ "message": message }));
        } else {
            self.say(&format!("{} {message}", self.paint_err(Style::Warning, "warning:")));
        }
    }

    pub fn paint(&self, style: Style, text: &str) -> String {
        painted(self.colour_out, style, text)
    }

    pub fn paint_err(&self, style: Style, text: &str) -> String {
        painted(self.colour_err, style, text)
    }

    /// The sign of an expectation that held or failed; the words carry it where signs cannot.
    pub fn mark(&self, held: bool) -> String {
        let sign = match (held, self.unicode) {
            (true, true) => "✓",
            (false, true) => "✗",
            (true, false) => "ok  ",
            (false, false) => "FAIL",
        };
        self.paint(if held { Style::Good } else { Style::Bad }, sign)
    }

    /// Columns of the terminal that standard output is, or a usual width.
    pub fn width(&self) -> usize {
        let columns = console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        columns.unwrap_or(80).clamp(40, 110)
    }
}

/// A line of the stream that programs read.
pub fn event_line(kind: &str, mut fields: Value) -> String {
    if let Value::Object(map) = &mut fields {
        map.insert("schema".into(), json!(1));
        map.insert("type".into(), json!(kind));
    }
    format!("{fields}\n")
}

fn painted(colour: bool, style: Style, text: &str) -> String {
    let code = match style {
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Good => "32",
        Style::Bad => "1;31",
        Style::Warning => "1;33",
    };
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
}

fn write_text(to: &mut impl Write, text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.write_all(end.as_bytes())).and_then(|()| to.flush());
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The customs of `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR` and `TERM`, in this order.
fn colour_by_environment(terminal: bool) -> bool {
    if variable("NO_COLOR").is_some() {
        return false;
    }
    if variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    terminal && variable("CLICOLOR").is_none_or(|value| value != "0") && variable("TERM").is_none_or(|t| t != "dumb")
}

/// The first locale variable that is set decides; without one, only the plainest terminals are ASCII.
fn unicode_by_environment() -> bool {
    match ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable) {
        Some(locale) => {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
        None => variable("TERM").is_none_or(|term| term != "linux"),
    }
}
