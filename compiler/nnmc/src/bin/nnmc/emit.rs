//! `nnmc emit`: the stages of a model on its way to machine code, as text.

use std::path::PathBuf;

use clap::ValueEnum;
use nnm_compiler::settings::Settings;
use nnm_runtime::prims;
use nnm_syntax::span::{FileId, SourceMap};

use crate::exit::{Exit, Stop};
use crate::host::CommandHost;
use crate::model::Model;
use crate::options::RunOptions;
use crate::progress::Meter;
use crate::render;
use crate::shell::Shell;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    Tokens,
    /// The tree of the text
    Ast,
    /// Declarations with their parts sorted
    Hir,
    /// What each program computes, without units and names
    Graph,
    /// Loops over buffers
    Kernels,
    /// Before machine code is made of it
    Clif,
    /// Machine code
    Asm,
}

#[derive(Clone, Debug, clap::Args)]
pub struct EmitArgs {
    pub file: PathBuf,
    /// Which stage
    #[arg(long, value_enum, default_value = "graph")]
    pub stage: Stage,
    /// Only the programs of this experiment
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
    #[command(flatten)]
    pub options: RunOptions,
}

pub fn emit(shell: &Shell, args: &EmitArgs) -> Result<Exit, Stop> {
    let model = Model::read(&args.file)?;
    match args.stage {
        Stage::Tokens => {
            shell.out(&nnm_syntax::print_tokens(&model.text));
            Ok(Exit::Good)
        }
        Stage::Ast => Ok(emit_tree(shell, &model)),
        Stage::Hir | Stage::Graph => emit_checked(shell, args, &model),
        Stage::Kernels | Stage::Clif | Stage::Asm => emit_kernels(shell, args, &model),
    }
}

/// The tree, whether or not there are errors.
fn emit_tree(shell: &Shell, model: &Model) -> Exit {
    let parsed = nnm_syntax::parse(FileId(0), &model.text);
    let mut sources = SourceMap::default();
    sources.add(model.name(), model.text.clone());
    render::show(shell, &sources, &parsed.diagnostics);
    shell.out(&nnm_syntax::print_ast(&parsed.file));
    crate::exit::of_findings(&parsed.diagnostics)
}

fn emit_checked(shell: &Shell, args: &EmitArgs, model: &Model) -> Result<Exit, Stop> {
    let settings = Settings {
        emit_graph: args.stage == Stage::Graph,
        experiment: args.experiment.clone(),
        ..args.options.settings()
    };
    let host = CommandHost::new(&model.path, &args.options.data, Meter::silent());
    let checked = model.check_aloud(shell, &host, &settings)?;
    if args.stage == Stage::Hir {
        shell.out(&checked.hir);
    } else if checked.dumps.is_empty() {
        shell.note("no experiment computes anything");
    }
    for (name, text) in &checked.dumps {
        show(shell, name, text);
    }
    Ok(Exit::Good)
}

/// The kernels of all programs of the experiments, which are built but not run.
fn emit_kernels(shell: &Shell, args: &EmitArgs, model: &Model) -> Result<Exit, Stop> {
    let settings = Settings { emit_kernels: true, experiment: args.experiment.clone(), ..args.options.settings() };
    let host = CommandHost::new(&model.path, &args.options.data, Meter::silent());
    let checked = model.check_aloud(shell, &host, &settings)?;
    for (name, kernel) in &checked.dumps {
        show(shell, name, &lowered(args.stage, kernel)?);
    }
    Ok(Exit::Good)
}

/// A kernel's text at a later stage.
fn lowered(stage: Stage, kernel: &str) -> Result<String, Stop> {
    if stage == Stage::Kernels {
        return Ok(kernel.to_string());
    }
    let bug = |message: String| Stop { exit: Exit::Bug, message: crate::crash::text(&message) };
    let parsed = nnm_kir::parse::parse(kernel).map_err(|e| bug(format!("a kernel's own text does not parse: {e}")))?;
    let options = nnm_codegen::Options { prims: &prims::find, ..Default::default() };
    let text = match stage {
        Stage::Asm => nnm_codegen::emit_asm(&parsed, &options),
        _ => nnm_codegen::emit_clif(&parsed, &options),
    };
    text.map_err(|e| bug(e.to_string()))
}

fn show(shell: &Shell, name: &str, text: &str) {
    shell.out(&format!("// {name}\n{}\n", text.trim_end()));
}
