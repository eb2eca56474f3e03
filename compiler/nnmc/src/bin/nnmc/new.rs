//! `nnmc new`: a folder with a model that runs.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::exit::{Exit, Stop};
use crate::shell::Shell;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// One spiking neuron and its firing rate
    Lif,
    /// Excitatory and inhibitory populations
    Network,
    /// A network trained by backpropagation
    Mlp,
    /// A learning rule of your own
    LearningRule,
}

#[derive(Clone, Debug, clap::Args)]
pub struct NewArgs {
    /// The folder to make
    pub name: PathBuf,
    #[arg(long, value_enum, default_value = "lif")]
    pub template: Template,
}

impl Template {
    fn text(self) -> &'static str {
        match self {
            Template::Lif => include_str!("templates/lif.nnm"),
            Template::Network => include_str!("templates/network.nnm"),
            Template::Mlp => include_str!("templates/mlp.nnm"),
            Template::LearningRule => include_str!("templates/learning_rule.nnm"),
        }
    }

    fn file(self) -> &'static str {
        match self {
            Template::Lif => "lif.nnm",
            Template::Network => "network.nnm",
            Template::Mlp => "mlp.nnm",
            Template::LearningRule => "learning_rule.nnm",
        }
    }
}

pub fn new(shell: &Shell, args: &NewArgs) -> Result<Exit, Stop> {
    let folder = &args.name;
    let Some(name) = folder.file_name().and_then(|n| n.to_str()).filter(|n| is_name(n)) else {
        let given = folder.display();
        return Err(Stop::usage(format!("`{given}` is no name: letters, digits, `-` and `_`, a letter first")));
    };
    let failed = |e: std::io::Error| Stop::data(format!("cannot make `{}`: {e}", folder.display()));
    if folder.exists() {
        return Err(Stop::usage(format!("`{}` is there already", folder.display())));
    }
    std::fs::create_dir_all(folder).map_err(failed)?;
    let file = args.template.file();
    let files = [
        ("nnm.toml", format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n")),
        (file, args.template.text().to_string()),
        ("README.md", readme(name, file)),
        (".gitignore", "runs/\n".to_string()),
    ];
    for (file, text) in files {
        std::fs::write(Path::new(folder).join(file), text).map_err(failed)?;
    }
    shell.note(&format!("made {0}; next: cd {0} && nnmc run", folder.display()));
    Ok(Exit::Good)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn readme(name: &str, file: &str) -> String {
    format!(
        "# {name}\n\n\
         ```\n\
         nnmc run                # run {file}; results, figures and report.html go to runs/\n\
         nnmc check              # look for errors without running\n\
         nnmc test               # run, and hold the model to its `expect`s\n\
         nnmc fmt                # lay the text out\n\
         ```\n"
    )
}
