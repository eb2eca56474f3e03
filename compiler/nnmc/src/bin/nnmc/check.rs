//! `nnmc check`: everything that can be known of models without running them.

use std::path::PathBuf;

use serde_json::json;

use crate::exit::{Exit, Stop};
use crate::host::CommandHost;
use crate::model::{self, Model};
use crate::options::RunOptions;
use crate::progress::Meter;
use crate::shell::Shell;

#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Files, and folders with all models below them
    #[arg(default_value = ".", value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub options: RunOptions,
}

pub fn check(shell: &Shell, args: &CheckArgs) -> Result<Exit, Stop> {
    let files = model::find(&args.paths)?;
    if files.is_empty() {
        return Err(Stop::usage("there is no model file (`*.nnm`) here"));
    }
    let mut worst = Exit::Good;
    let mut good = 0;
    for file in &files {
        match check_one(shell, args, file) {
            Ok(()) => good += 1,
            Err(stop) => {
                if !stop.message.is_empty() {
                    shell.error(&stop.message);
                }
                worst = worst.max(stop.exit);
            }
        }
    }
    if shell.json {
        shell.event("check", json!({ "files": files.len(), "good": good }));
    } else {
        let total = files.len();
        shell.note(&match (total, total - good) {
            (1, 0) => "no errors".to_string(),
            (_, 0) => format!("{total} models, no errors"),
            (1, _) => return Ok(worst),
            (_, bad) => format!("{total} models, {bad} with errors"),
        });
    }
    Ok(worst)
}

fn check_one(shell: &Shell, args: &CheckArgs, file: &std::path::Path) -> Result<(), Stop> {
    let model = Model::read(file)?;
    let host = CommandHost::new(file, &args.options.data, Meter::silent());
    model.check_aloud(shell, &host, &args.options.settings()).map(|_| ())
}
