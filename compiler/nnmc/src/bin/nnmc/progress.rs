//! Progress on standard error: a bar on a terminal, elsewhere a line every ten seconds, so that logs stay readable.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nnm_compiler::events::Event;
use nnm_compiler::table::plain;

use crate::shell::Shell;

const LINE_PERIOD: Duration = Duration::from_secs(10);
const BAR_PERIOD: Duration = Duration::from_millis(100);
const TICKS: u64 = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Silent,
    Bar,
    Lines,
}

/// Shows how far a run has come.
pub struct Meter {
    form: Form,
    bar: Option<ProgressBar>,
    /// What is under way, how far it is, since when, and when that was last shown.
    part: String,
    done: f64,
    since: Instant,
    shown: Instant,
}

impl Meter {
    pub fn new(shell: &Shell) -> Meter {
        let terminal = std::io::stderr().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb");
        Meter::of(match (shell.quiet || shell.json, terminal) {
            (true, _) => Form::Silent,
            (false, true) => Form::Bar,
            (false, false) => Form::Lines,
        })
    }

    pub fn silent() -> Meter {
        Meter::of(Form::Silent)
    }

    /// For runs beside others: lines, since bars would fight for the terminal.
    pub fn beside_others(shell: &Shell) -> Meter {
        Meter::of(if shell.quiet || shell.json { Form::Silent } else { Form::Lines })
    }

    fn of(form: Form) -> Meter {
        let now = Instant::now();
        Meter { form, bar: None, part: String::new(), done: 0.0, since: now, shown: now }
    }

    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Steps { what, done, seconds } => {
                let at = seconds.map(|s| format!("t = {} s", plain(s))).unwrap_or_default();
                self.advance(what, *done, &at);
            }
            Event::Epoch { what, epoch, epochs, loss, done } => {
                let loss = if loss.is_nan() { String::new() } else { format!("  loss {}", plain(*loss)) };
                self.advance(what, *done, &format!("epoch {epoch}/{epochs}{loss}"));
            }
            Event::ExperimentEnded { .. } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
            Event::ExperimentStarted { .. } | Event::Reported { .. } | Event::Expected { .. } => {}
        }
    }

    fn advance(&mut self, what: &str, done: f64, at: &str) {
        if self.part != what || done < self.done {
            self.part = what.to_string();
            self.since = Instant::now();
        }
        self.done = done;
        let period = if self.form == Form::Bar { BAR_PERIOD } else { LINE_PERIOD };
        if self.form == Form::Silent || self.shown.elapsed() < period {
            return;
        }
        self.shown = Instant::now();
        let left = remaining(self.since.elapsed(), done);
        if self.form == Form::Lines {
            let _ = writeln!(std::io::stderr().lock(), "{what}: {:.0} %  {at}{left}", done * 100.0);
            return;
        }
        let bar = self.bar.get_or_insert_with(new_bar);
        bar.set_prefix(what.to_string());
        bar.set_message(format!("{at}{left}"));
        bar.set_position((done.clamp(0.0, 1.0) * TICKS as f64) as u64);
    }
}

fn remaining(spent: Duration, done: f64) -> String {
    if spent.as_secs() < 1 || !(0.001..1.0).contains(&done) {
        return String::new();
    }
    let left = (spent.as_secs_f64() * (1.0 - done) / done).round() as u64;
    format!("  {}:{:02} left", left / 60, left % 60)
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(TICKS), ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {percent:>3} %  {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
