//! `nnmc`, the command line of NNM: checks, runs, tests and formats network models, and shows how they are compiled.

mod check;
mod check_gradients;
mod crash;
mod emit;
mod exit;
mod explain;
mod fmt;
mod folder;
mod host;
mod keeper;
mod model;
mod new;
mod options;
mod page;
mod progress;
mod provenance;
mod recorded;
mod render;
mod resume;
mod run;
mod shell;
mod sweep;
mod swept;
mod tables;
mod test;

use clap::{Parser, Subcommand};

use exit::{Exit, Stop};
use shell::{Colour, Format, Shell};

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Check, run and test network models: neurons, learning rules and architectures in one language
#[derive(Parser)]
#[command(name = "nnmc", version, after_help = exit::HELP, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
    /// When to use colour; `NO_COLOR` and `CLICOLOR` are honoured
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    color: Colour,
    /// How to speak: text, or JSON lines on standard output
    #[arg(long, global = true, value_enum, default_value = "human", value_name = "FORMAT")]
    message_format: Format,
    /// No progress, no remarks, no pictures
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a model's experiments and keep the results
    Run(run::RunArgs),
    /// Run an experiment for many values and seeds, into one table
    Sweep(sweep::SweepArgs),
    /// Look for errors without running anything
    Check(check::CheckArgs),
    /// Hold the derivatives of a model's objectives against differences
    CheckGradients(check_gradients::CheckGradientsArgs),
    /// Run models and hold them to their expectations
    Test(test::TestArgs),
    /// Lay models out in the one way
    Fmt(fmt::FormatArgs),
    /// Make a folder with a model that runs
    New(new::NewArgs),
    /// Say what an error code means, or which solvers a model gets
    Explain(explain::ExplainArgs),
    /// Print a stage of compilation
    Emit(emit::EmitArgs),
}

fn main() {
    crash::install();
    host::watch_interrupts();
    let command = Command::parse();
    let exit = crash::guarded(move || obey(&command));
    std::process::exit(exit as i32);
}

fn obey(command: &Command) -> Exit {
    let shell = Shell::new(command.color, command.message_format, command.quiet);
    match dispatch(&shell, &command.verb) {
        Ok(exit) => exit,
        Err(Stop { exit, message }) => {
            if !message.is_empty() {
                shell.error(&message);
            }
            exit
        }
    }
}

fn dispatch(shell: &Shell, verb: &Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::Run(args) => run::run(shell, args),
        Verb::Sweep(args) => sweep::sweep(shell, args),
        Verb::Check(args) => check::check(shell, args),
        Verb::CheckGradients(args) => check_gradients::check_gradients(shell, args),
        Verb::Test(args) => test::test(shell, args),
        Verb::Fmt(args) => fmt::format(shell, args),
        Verb::New(args) => new::new(shell, args),
        Verb::Explain(args) => explain::explain(shell, args),
        Verb::Emit(args) => emit::emit(shell, args),
    }
}
