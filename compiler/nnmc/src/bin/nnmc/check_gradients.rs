//! `nnmc check-gradients`: holds the derivatives of a model's objectives against differences.

use nnm_compiler::samples::{GradientRow, Verdict};
use nnm_compiler::settings::Settings;
use serde_json::json;

use crate::exit::{Exit, Stop};
use crate::host::CommandHost;
use crate::model::Model;
use crate::options::ModelArgs;
use crate::progress::Meter;
use crate::shell::{Shell, Style};
use crate::tables::Table;
use crate::{render, run};

#[derive(Clone, Debug, clap::Args)]
pub struct CheckGradientsArgs {
    #[command(flatten)]
    pub model: ModelArgs,
}

pub fn check_gradients(shell: &Shell, args: &CheckGradientsArgs) -> Result<Exit, Stop> {
    let path = args.model.path()?;
    let model = Model::read(&path)?;
    let host = CommandHost::new(&path, &args.model.options.data, Meter::silent());
    let checked = model.check_aloud(shell, &host, &args.model.options.settings())?;
    let mut worst = Exit::Good;
    let mut found = 0;
    for name in run::chosen(&model, args.model.experiment.as_deref())? {
        let settings =
            Settings { experiment: Some(name.clone()), check_gradients: true, ..args.model.options.settings() };
        let result = checked.run(&host, &settings);
        let rows: Vec<GradientRow> = result.outcomes.iter().flat_map(|o| o.gradients.clone()).collect();
        found += rows.len();
        show(shell, &name, &rows);
        let bad = rows.iter().any(|r| r.verdict == Verdict::Differs);
        worst = worst.max(if bad { Exit::Numeric } else { Exit::Good });
        let ending = run::ending(&result, &result.diagnostics);
        if ending.exit != Exit::Good {
            render::show(shell, &result.sources, &result.diagnostics);
            ending.message.iter().for_each(|m| shell.error(m));
            worst = worst.max(ending.exit);
        }
    }
    if found == 0 && worst == Exit::Good {
        return Err(Stop::usage(format!("`{}` minimizes nothing: there are no gradients to check", model.name())));
    }
    Ok(worst)
}

fn show(shell: &Shell, experiment: &str, rows: &[GradientRow]) {
    if rows.is_empty() {
        return;
    }
    if shell.json {
        for r in rows {
            let verdict = word(r.verdict);
            let fields = json!({
                "experiment": experiment, "objective": r.objective, "parameter": r.parameter, "moved": r.moved,
                "size": r.size, "derivative": r.derivative, "quotient": r.quotient, "verdict": verdict,
            });
            shell.event("gradient", fields);
        }
        return;
    }
    let mut lines = vec![shell.paint(Style::Bold, experiment)];
    let mut objective = "";
    let mut table = Table::default();
    let mut tables = vec![];
    for r in rows {
        if r.objective != objective {
            objective = &r.objective;
            tables.push((objective, std::mem::take(&mut table)));
        }
        table.columns = ["parameter", "moved", "derivative", "difference quotient", ""].map(String::from).to_vec();
        let moved = format!("{} of {}", r.moved, r.size);
        let numbers = [r.derivative, r.quotient].map(|x| format!("{x:.9e}"));
        let [derivative, quotient] = numbers;
        table.rows.push(vec![r.parameter.clone(), moved, derivative, quotient, word(r.verdict).into()]);
        if let Some((_, last)) = tables.last_mut() {
            *last = table.clone();
        }
    }
    for (objective, table) in tables {
        lines.push(format!("  {objective}"));
        lines.extend(table.lines());
    }
    shell.out(&(lines.join("\n") + "\n"));
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Agrees => "agrees",
        Verdict::Differs => "differs",
        Verdict::Replaced => "replaced on purpose",
    }
}
