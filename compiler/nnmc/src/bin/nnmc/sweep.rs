//! `nnmc sweep`: runs an experiment once for every combination of values and seeds, and puts all reports into one table.

use std::path::PathBuf;

use nnm_compiler::parallel;
use nnm_runtime::results::RunFolder;

use crate::exit::{Exit, Stop};
use crate::host::{self, CommandHost};
use crate::model::Model;
use crate::options::{ModelArgs, RunOptions};
use crate::progress::Meter;
use crate::run::{Done, Job, RunArgs, chosen, run_experiment};
use crate::shell::{Shell, Style};
use crate::swept::{Pass, Swept};
use crate::{folder, recorded};

/// More passes than that are taken for a slip.
const MOST_PASSES: usize = 100_000;

#[derive(Clone, Debug, clap::Args)]
pub struct SweepArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// A parameter or `let` and its values: `--over rate=0.1,0.01`, `--over n=1..5`; several are combined
    #[arg(long, value_name = "NAME=VALUES", value_parser = axis)]
    pub over: Vec<Axis>,
    /// Seeds: `--seeds 1..10`, `--seeds 3,7`; the tables then hold means and deviations too
    #[arg(long, value_name = "SEEDS", value_parser = seeds)]
    pub seeds: Option<Seeds>,
    /// The folder of all results, instead of `runs/MODEL-EXPERIMENT-sweep-N`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Passes that are run at the same time
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: u32,
}

/// A name and the values that it takes in turn, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub name: String,
    pub values: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Seeds(Vec<u64>);

fn axis(text: &str) -> Result<Axis, String> {
    let (name, values) = text.split_once('=').ok_or("write it as NAME=VALUES: `rate=0.1,0.01`")?;
    let values = values_of(values)?;
    if name.trim().is_empty() {
        return Err("a name goes before `=`".into());
    }
    Ok(Axis { name: name.trim().to_string(), values })
}

fn seeds(text: &str) -> Result<Seeds, String> {
    let seed = |text: &String| text.parse().map_err(|_| format!("`{text}` is no seed: seeds are whole numbers from 0"));
    values_of(text)?.iter().map(seed).collect::<Result<Vec<u64>, String>>().map(Seeds)
}

/// `a, b, c`, or the whole numbers from a to b of `a..b`, both ends included. Commas within brackets do not part values.
fn values_of(text: &str) -> Result<Vec<String>, String> {
    if let Some((from, to)) = text.split_once("..")
        && let (Ok(from), Ok(to)) = (from.trim().parse::<i64>(), to.trim().parse::<i64>())
    {
        if to < from || (to - from) as usize >= MOST_PASSES {
            return Err(format!("`{}` is no range of whole numbers that can be run", text.trim()));
        }
        return Ok((from..=to).map(|n| n.to_string()).collect());
    }
    let mut values = vec![String::new()];
    let mut depth = 0_i32;
    for c in text.chars() {
        depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
        match (c, values.last_mut()) {
            (',', _) if depth == 0 => values.push(String::new()),
            (c, Some(last)) => last.push(c),
            (_, None) => {}
        }
    }
    let values: Vec<String> = values.iter().map(|value| value.trim().to_string()).collect();
    if values.iter().any(String::is_empty) {
        return Err("a value is missing".into());
    }
    Ok(values)
}

pub fn sweep(shell: &Shell, args: &SweepArgs) -> Result<Exit, Stop> {
    let path = args.model.path()?;
    let model = Model::read(&path)?;
    let name = one_experiment(&model, args.model.experiment.as_deref())?;
    let passes = passes(args)?;
    let host = CommandHost::new(&path, &args.model.options.data, Meter::silent());
    let checked = model.check_aloud(shell, &host, &first_options(args, &passes).settings())?;
    if let Some(axis) = args.over.iter().find(|axis| checked.unused.contains(&axis.name)) {
        return Err(Stop::usage(format!("nothing in `{}` asks for `{}`, given by `--over`", model.name(), axis.name)));
    }
    let place = match &args.out {
        Some(path) => RunFolder::create(path.clone())?,
        None => folder::next(&format!("{}-{name}-sweep", model.stem()))?,
    };
    let names = [name];
    let work = |k: usize| {
        let run = RunArgs {
            model: ModelArgs { file: Some(path.clone()), options: options(args, &passes[k]), experiment: None },
            out: Some(place.path().join("passes").join(folder_name(k, &passes[k]))),
            resume: None,
            threads: Some(1),
            goes_on: false,
        };
        let quiet = Shell { quiet: true, ..*shell };
        run_experiment(&Job { shell: &quiet, args: &run, model: &model, checked: &checked, names: &names }, &names[0])
    };
    let axes = args.over.iter().map(|axis| axis.name.clone()).collect();
    let mut swept = Swept::new(names[0].clone(), axes, args.seeds.is_some());
    let mut stop = None;
    parallel::in_order(args.jobs as usize, passes.len(), host::interrupted, work, |k, done| match done {
        Some(Ok(done)) => {
            say(shell, k, passes.len(), &passes[k], &done);
            swept.passes.push(Pass { exit: done.exit, numbers: done.numbers, held: done.held, ..passes[k].clone() });
        }
        Some(Err(error)) => stop = Some(error),
        None => stop = Some(Stop::said(Exit::Bug)),
    });
    if let Some(stop) = stop {
        return Err(stop);
    }
    for (name, _) in args.model.options.set.iter().filter(|(name, _)| checked.unused.contains(name)) {
        shell.warning(&format!("nothing in the model asks for `{name}`, given by `--set`"));
    }
    swept.write(&place, &model)?;
    swept.show(shell);
    if !shell.json && !shell.quiet {
        shell.say(&format!("{}\n", shell.paint_err(Style::Dim, &format!("{}/report.html", place.path().display()))));
    }
    Ok(if host::interrupted() { host::asked_exit() } else { swept.exit() })
}

/// The one experiment of a sweep.
fn one_experiment(model: &Model, wanted: Option<&str>) -> Result<String, Stop> {
    let names = chosen(model, wanted)?;
    match names.as_slice() {
        [only] => Ok(only.clone()),
        many => {
            let list: Vec<String> = many.iter().map(|name| format!("`{name}`")).collect();
            let message = format!("a sweep is over one experiment: `--experiment NAME`; there are {}", list.join(", "));
            Err(Stop::usage(message))
        }
    }
}

/// Every combination of values, the last name and then the seed changing fastest.
fn passes(args: &SweepArgs) -> Result<Vec<Pass>, Stop> {
    if args.over.is_empty() && args.seeds.is_none() {
        return Err(Stop::usage("over what? `--over rate=0.1,0.01` takes values in turn, `--seeds 1..10` seeds"));
    }
    for (number, axis) in args.over.iter().enumerate() {
        if args.over[..number].iter().any(|before| before.name == axis.name) {
            return Err(Stop::usage(format!("`--over {}` stands twice; write all its values in one list", axis.name)));
        }
    }
    let seeds = args.seeds.as_ref().map_or(1, |seeds| seeds.0.len());
    let count = args.over.iter().try_fold(seeds, |n, axis| n.checked_mul(axis.values.len()));
    if count.is_none_or(|count| count > MOST_PASSES) {
        return Err(Stop::usage(format!("these are more than {MOST_PASSES} combinations")));
    }
    let mut all = vec![Pass::default()];
    for axis in &args.over {
        let with = |pass: &Pass, value: &String| {
            let mut pass = pass.clone();
            pass.values.push((axis.name.clone(), value.clone()));
            pass
        };
        all = all.iter().flat_map(|pass| axis.values.iter().map(move |value| with(pass, value))).collect();
    }
    if let Some(seeds) = &args.seeds {
        let with = |pass: &Pass, seed: u64| Pass { seed: Some(seed), ..pass.clone() };
        all = all.iter().flat_map(|pass| seeds.0.iter().map(move |seed| with(pass, *seed))).collect();
    }
    Ok(all)
}

fn options(args: &SweepArgs, pass: &Pass) -> RunOptions {
    let mut options = args.model.options.clone();
    options.set.extend(pass.values.iter().cloned());
    options.seed = pass.seed.or(options.seed);
    options
}

/// What the model is checked with before anything runs.
fn first_options(args: &SweepArgs, passes: &[Pass]) -> RunOptions {
    passes.first().map_or_else(|| args.model.options.clone(), |pass| options(args, pass))
}

/// `0003-rate_0.1-seed_2`
fn folder_name(number: usize, pass: &Pass) -> String {
    let parts = pass.labels().into_iter().map(|(name, value)| format!("-{name}={value}")).collect::<String>();
    recorded::file_name(&format!("{:04}{parts}", number + 1))
}

/// A line for a pass that is over, and what it had to say.
fn say(shell: &Shell, number: usize, count: usize, pass: &Pass, done: &Done) {
    if shell.json {
        shell.out(&done.out);
    }
    let labels: Vec<String> = pass.labels().into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
    if !shell.quiet && !shell.json {
        shell.say(&format!("{} of {count}: {}\n", number + 1, labels.join(", ")));
    }
    if !done.remarks.is_empty() {
        shell.say(&done.remarks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parted_outside_brackets() {
        let values = |text: &str| values_of(text).map(|values| values.join("|"));
        assert_eq!(values("0.1 mV, 0.2 mV").as_deref(), Ok("0.1 mV|0.2 mV"));
        assert_eq!(values("[1, 2], Adam(rate = 1, beta1 = 0)").as_deref(), Ok("[1, 2]|Adam(rate = 1, beta1 = 0)"));
        assert_eq!(values("-1..2").as_deref(), Ok("-1|0|1|2"));
        assert!(values("1,,2").is_err());
        assert!(values("5..1").is_err());
    }

    #[test]
    fn combinations_change_the_last_fastest() {
        let axis =
            |name: &str, values: [&str; 2]| Axis { name: name.into(), values: values.map(String::from).to_vec() };
        let args = SweepArgs {
            model: ModelArgs {
                file: None,
                options: RunOptions::of_manifest(&serde_json::Value::Null),
                experiment: None,
            },
            over: vec![axis("a", ["1", "2"]), axis("b", ["x", "y"])],
            seeds: Some(Seeds(vec![7])),
            out: None,
            jobs: 1,
        };
        let all = passes(&args).unwrap_or_default();
        let labels: Vec<String> = all.iter().enumerate().map(|(k, pass)| folder_name(k, pass)).collect();
        assert_eq!(
            labels,
            ["0001-a_1-b_x-seed_7", "0002-a_1-b_y-seed_7", "0003-a_2-b_x-seed_7", "0004-a_2-b_y-seed_7"]
        );
    }
}
