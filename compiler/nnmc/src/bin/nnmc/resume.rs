//! `nnmc run --resume DIR`: what a run that was cut off was asked to do, out of its folder.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::exit::Stop;
use crate::options::{ModelArgs, RunOptions};
use crate::run::RunArgs;

/// The arguments of the run whose folder this is.
pub fn arguments(folder: &Path, given: &RunArgs) -> Result<RunArgs, Stop> {
    let place = folder.join("manifest.json");
    let text = std::fs::read_to_string(&place).map_err(|e| {
        Stop::data(format!("`{}` is no run folder: cannot read `{}`: {e}", folder.display(), place.display()))
    })?;
    let manifest: Json =
        serde_json::from_str(&text).map_err(|e| Stop::data(format!("`{}` is no manifest: {e}", place.display())))?;
    let status = manifest["status"].as_str().unwrap_or_default();
    if status == "held" || status == "failed" {
        return Err(Stop::usage(format!(
            "the run in `{}` has come to its end: there is nothing to resume",
            folder.display()
        )));
    }
    let text = |key: &str| manifest[key].as_str().map(str::to_string);
    let (Some(path), Some(experiment)) = (text("path"), text("experiment")) else {
        return Err(Stop::data(format!("`{}` does not say which model it ran", place.display())));
    };
    let asked = !given.model.options.set.is_empty()
        || given.model.options.seed.is_some()
        || given.model.options.precision.is_some();
    if asked || given.out.is_some() || given.model.experiment.is_some() {
        return Err(Stop::usage("a run is resumed as it was begun: `--resume DIR` goes without other settings"));
    }
    let mut options = RunOptions::of_manifest(&manifest["settings"]);
    options.data.extend(given.model.options.data.iter().cloned());
    let file = given.model.file.clone().unwrap_or_else(|| PathBuf::from(path));
    let (experiment, out) = (Some(experiment), Some(folder.to_path_buf()));
    let model = ModelArgs { file: Some(file), options, experiment };
    Ok(RunArgs { model, out, resume: None, threads: given.threads, goes_on: true })
}
