//! The options that say how a model is run.

use std::path::PathBuf;

use clap::ValueEnum;
use nnm_compiler::engine::Backend;
use nnm_compiler::settings::Settings;
use serde_json::{Value as Json, json};

use crate::exit::Stop;
use crate::model;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrecisionName {
    F32,
    F64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendName {
    /// Machine code.
    Jit,
    /// The slow evaluator that checks every access.
    Interp,
}

/// The model that a command is about, and how it is run.
#[derive(Clone, Debug, clap::Args)]
pub struct ModelArgs {
    /// The model; without one, the package's only model file
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub options: RunOptions,
    /// Only this experiment
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
}

impl ModelArgs {
    /// The model's file.
    pub fn path(&self) -> Result<PathBuf, Stop> {
        self.file.clone().map_or_else(model::of_package, Ok)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct RunOptions {
    /// Give a parameter or `let` another value: `--set rate=3`
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Seed instead of the experiment's
    #[arg(long)]
    pub seed: Option<u64>,
    /// Precision instead of the experiment's
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionName>,
    /// How kernels are executed
    #[arg(long, value_enum, default_value = "jit")]
    pub backend: BackendName,
    /// Memory that a network may take, such as `4G` or `500M`, instead of what the machine has available
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub memory: Option<u64>,
    /// Another folder in which to look for data files
    #[arg(long, value_name = "DIR")]
    pub data: Vec<PathBuf>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Ok((name.trim().to_string(), value.trim().to_string()))
        }
        _ => Err("write it as NAME=VALUE".into()),
    }
}

/// `4G`, `500M`, `64k` or a number of bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim().trim_end_matches(['B', 'b']);
    let (digits, factor) = match text.char_indices().last() {
        Some((at, letter)) if letter.is_alphabetic() => match "kMGT".find(if letter == 'K' { 'k' } else { letter }) {
            Some(power) => (&text[..at], 1000f64.powi(power as i32 + 1)),
            None => return Err("a size ends with k, M, G or T".into()),
        },
        _ => (text, 1.0),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok((number * factor) as u64),
        _ => Err("write it as 4G or 500M".into()),
    }
}

impl RunOptions {
    pub fn settings(&self) -> Settings {
        let precision = self.precision.and_then(|p| nnm_compiler::engine::precision(p.name()));
        let backend = match self.backend {
            BackendName::Jit => Backend::Jit,
            BackendName::Interp => Backend::Interpreter,
        };
        Settings {
            backend,
            precision,
            seed: self.seed,
            set: self.set.clone(),
            memory: self.memory,
            ..Settings::default()
        }
    }

    /// The options that a manifest holds.
    pub fn of_manifest(settings: &Json) -> RunOptions {
        let set = settings["set"].as_object().into_iter().flatten();
        let set = set.filter_map(|(n, v)| Some((n.clone(), v.as_str()?.to_string()))).collect();
        let precision = settings["precision"].as_str().and_then(|p| PrecisionName::from_str(p, true).ok());
        let backend = settings["backend"].as_str().and_then(|b| BackendName::from_str(b, true).ok());
        let data = settings["data"].as_array().into_iter().flatten();
        RunOptions {
            set,
            seed: settings["seed"].as_u64(),
            precision,
            backend: backend.unwrap_or(BackendName::Jit),
            memory: settings["memory"].as_u64(),
            data: data.filter_map(|d| d.as_str().map(PathBuf::from)).collect(),
        }
    }

    /// The options for the manifest.
    pub fn as_json(&self) -> Json {
        let set: serde_json::Map<String, Json> = self.set.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
        json!({
            "set": set,
            "seed": self.seed,
            "precision": self.precision.map(PrecisionName::name),
            "backend": match self.backend { BackendName::Jit => "jit", BackendName::Interp => "interp" },
            "memory": self.memory,
            "data": self.data.iter().map(|p| p.display().to_string()).collect::<Vec<_>>(),
        })
    }
}

impl PrecisionName {
    fn name(self) -> &'static str {
        match self {
            PrecisionName::F32 => "f32",
            PrecisionName::F64 => "f64",
        }
    }
}
