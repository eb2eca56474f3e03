//! `nnmc explain`: what an error code means, and which solvers a model gets.

use std::path::PathBuf;

use nnm_compiler::settings::Settings;
use serde_json::json;

use crate::exit::{Exit, Stop};
use crate::host::CommandHost;
use crate::model::Model;
use crate::progress::Meter;
use crate::shell::Shell;

// `PAGES`: codes and their pages, in order of the codes.
include!(concat!(env!("OUT_DIR"), "/pages.rs"));

#[derive(Clone, Debug, clap::Args)]
pub struct ExplainArgs {
    /// A code such as `E0203`, or a model with `--solvers`, `--rules` or `--memory`; without it, all codes
    #[arg(value_name = "CODE|FILE")]
    pub subject: Option<String>,
    /// Show how the equations of a model are solved, and why so
    #[arg(long)]
    pub solvers: bool,
    /// Show what the rules of a model read and need, and which weights they reach
    #[arg(long, conflicts_with = "solvers")]
    pub rules: bool,
    /// Show what the simulated networks of a model take of the memory
    #[arg(long, conflicts_with_all = ["solvers", "rules"])]
    pub memory: bool,
}

pub fn explain(shell: &Shell, args: &ExplainArgs) -> Result<Exit, Stop> {
    if args.rules {
        let Some(file) = &args.subject else {
            return Err(Stop::usage("of which model? `nnmc explain model.nnm --rules`"));
        };
        return rules(shell, PathBuf::from(file));
    }
    if args.memory {
        let Some(file) = &args.subject else {
            return Err(Stop::usage("of which model? `nnmc explain model.nnm --memory`"));
        };
        return memory(shell, PathBuf::from(file));
    }
    match (&args.subject, args.solvers) {
        (Some(file), true) => solvers(shell, PathBuf::from(file)),
        (None, true) => Err(Stop::usage("of which model? `nnmc explain model.nnm --solvers`")),
        (Some(code), false) => page(shell, code),
        (None, false) => {
            list(shell);
            Ok(Exit::Good)
        }
    }
}

pub fn has_page(code: &str) -> bool {
    PAGES.iter().any(|(known, _)| *known == code)
}

fn page(shell: &Shell, subject: &str) -> Result<Exit, Stop> {
    let code = subject.to_ascii_uppercase();
    let text = match PAGES.iter().find(|(known, _)| *known == code) {
        Some((_, text)) => (*text).to_string(),
        None => match title(&code) {
            Some(title) => format!("# {code}: {title}\n"),
            None if subject.ends_with(".nnm") => {
                return Err(Stop::usage(format!(
                    "what of it? `nnmc explain {subject} --solvers`, `--rules` or `--memory`"
                )));
            }
            None => return Err(Stop::usage(format!("there is no code `{subject}`; `nnmc explain` lists them"))),
        },
    };
    if shell.json {
        shell.event("explanation", json!({ "code": code, "text": text }));
    } else {
        shell.out(&text);
    }
    Ok(Exit::Good)
}

/// The title of a code: its page's heading, or that of the table of codes.
fn title(code: &str) -> Option<String> {
    let page = PAGES.iter().find(|(known, _)| *known == code).and_then(|(_, text)| text.lines().next());
    let heading = page.map(|line| {
        let line = line.trim_start_matches('#').trim();
        line.strip_prefix(code).unwrap_or(line).trim_start_matches([':', '.', '—', '-', ' ']).to_string()
    });
    let listed = nnm_syntax::CODES.iter().find(|(known, _)| *known == code).map(|(_, title)| (*title).to_string());
    heading.filter(|h| !h.is_empty()).or(listed)
}

fn list(shell: &Shell) {
    let mut codes: Vec<&str> = PAGES.iter().map(|(code, _)| *code).collect();
    codes.extend(nnm_syntax::CODES.iter().map(|(code, _)| *code));
    codes.sort_unstable();
    codes.dedup();
    for code in codes {
        let title = title(code).unwrap_or_default();
        if shell.json {
            shell.event("code", json!({ "code": code, "title": title }));
        } else {
            shell.out(&format!("{code}  {title}"));
        }
    }
}

fn solvers(shell: &Shell, path: PathBuf) -> Result<Exit, Stop> {
    let model = Model::read(&path)?;
    let host = CommandHost::new(&path, &[], Meter::silent());
    let checked = model.check_aloud(shell, &host, &Settings::default())?;
    for line in &checked.solvers {
        if shell.json {
            shell.event("solver", json!({ "text": line }));
        } else {
            shell.out(line);
        }
    }
    if checked.solvers.is_empty() {
        shell.note("no experiment simulates anything, so there is nothing to solve");
    }
    Ok(Exit::Good)
}

fn rules(shell: &Shell, path: PathBuf) -> Result<Exit, Stop> {
    let model = Model::read(&path)?;
    let host = CommandHost::new(&path, &[], Meter::silent());
    let checked = model.check_aloud(shell, &host, &Settings::default())?;
    for text in &checked.rules {
        if shell.json {
            shell.event("rule", json!({ "text": text }));
        } else {
            shell.out(text);
        }
    }
    if checked.rules.is_empty() {
        shell.note("no experiment trains anything or lets anything learn, so no rule is at work");
    }
    Ok(Exit::Good)
}

fn memory(shell: &Shell, path: PathBuf) -> Result<Exit, Stop> {
    let model = Model::read(&path)?;
    let host = CommandHost::new(&path, &[], Meter::silent());
    let checked = model.check_aloud(shell, &host, &Settings::default())?;
    for text in &checked.memory {
        if shell.json {
            shell.event("memory", json!({ "text": text }));
        } else {
            shell.out(text);
        }
    }
    if checked.memory.is_empty() {
        shell.note("no experiment simulates anything");
    }
    Ok(Exit::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_parser_has_a_title() {
        assert!(nnm_syntax::CODES.iter().all(|(code, _)| title(code).is_some()));
        assert_eq!(title("E9999"), None);
    }

    #[test]
    fn pages_are_sorted() {
        assert!(PAGES.is_sorted());
    }
}
