//! What the passes of a sweep gave: a table for all, means over seeds, a file of values and a picture for each report.

use nnm_compiler::table::plain;
use nnm_figures::report::{Block, Section, report_html};
use nnm_figures::terminal::{Ink, draw_in};
use nnm_figures::{Axis, Figure, Kind, Series, Theme, render};
use nnm_runtime::results::{RunFolder, column_name};
use serde_json::json;

use crate::exit::{Exit, Stop};
use crate::model::Model;
use crate::recorded::file_name;
use crate::run::Number;
use crate::shell::{self, Shell, Style};
use crate::tables::Table;

/// One combination of values, and what it gave.
#[derive(Clone, Debug)]
pub struct Pass {
    pub values: Vec<(String, String)>,
    pub seed: Option<u64>,
    pub exit: Exit,
    pub numbers: Vec<Number>,
    /// Expectations that held, and all.
    pub held: (usize, usize),
}

impl Default for Pass {
    fn default() -> Pass {
        Pass { values: vec![], seed: None, exit: Exit::Good, numbers: vec![], held: (0, 0) }
    }
}

impl Pass {
    /// Names and values, the seed last.
    pub fn labels(&self) -> Vec<(String, String)> {
        let seed = self.seed.map(|seed| ("seed".to_string(), seed.to_string()));
        self.values.iter().cloned().chain(seed).collect()
    }

    fn number(&self, report: &Report) -> Option<f64> {
        self.numbers.iter().find(|number| number.name == report.name).map(|number| number.value)
    }

    fn verdict(&self) -> String {
        match (self.exit, self.held) {
            (Exit::Good | Exit::Numeric, (held, all)) if all > 0 => format!("{held}/{all}"),
            (Exit::Good, _) => String::new(),
            _ => "failed".into(),
        }
    }
}

/// A sweep with the passes that are over, in order.
pub struct Swept {
    experiment: String,
    axes: Vec<String>,
    seeded: bool,
    pub passes: Vec<Pass>,
}

/// A report that is one number in every pass that gave it.
struct Report {
    name: String,
    unit: String,
}

impl Swept {
    pub fn new(experiment: String, axes: Vec<String>, seeded: bool) -> Swept {
        Swept { experiment, axes, seeded, passes: vec![] }
    }

    pub fn exit(&self) -> Exit {
        self.passes.iter().map(|pass| pass.exit).max().unwrap_or(Exit::Good)
    }

    fn reports(&self) -> Vec<Report> {
        let mut reports: Vec<Report> = vec![];
        for number in self.passes.iter().flat_map(|pass| &pass.numbers) {
            if !reports.iter().any(|known| known.name == number.name) {
                reports.push(Report { name: number.name.clone(), unit: number.unit.clone() });
            }
        }
        reports
    }

    /// One row a pass.
    fn table(&self) -> Table {
        let reports = self.reports();
        let checks = self.passes.iter().any(|pass| !pass.verdict().is_empty());
        let mut columns = self.axes.clone();
        columns.extend(self.seeded.then(|| "seed".to_string()));
        columns.extend(reports.iter().map(Report::caption));
        columns.extend(checks.then(|| "held".to_string()));
        let row = |pass: &Pass| {
            let mut row: Vec<String> = pass.labels().into_iter().map(|(_, value)| value).collect();
            row.extend(reports.iter().map(|report| pass.number(report).map_or_else(String::new, plain)));
            row.extend(checks.then(|| pass.verdict()));
            row
        };
        Table { columns, rows: self.passes.iter().map(row).collect() }
    }

    /// The values of each combination, and its passes: one a seed.
    fn groups(&self) -> Vec<(Vec<String>, Vec<&Pass>)> {
        let mut groups: Vec<(Vec<String>, Vec<&Pass>)> = vec![];
        for pass in &self.passes {
            let values: Vec<String> = pass.values.iter().map(|(_, value)| value.clone()).collect();
            match groups.iter_mut().find(|(known, _)| *known == values) {
                Some((_, passes)) => passes.push(pass),
                None => groups.push((values, vec![pass])),
            }
        }
        groups
    }

    /// Means and standard deviations over seeds, one row a combination.
    fn over_seeds(&self) -> Option<Table> {
        let groups = self.groups();
        if !self.seeded || groups.iter().all(|(_, passes)| passes.len() < 2) {
            return None;
        }
        let reports = self.reports();
        let columns = self.axes.iter().cloned().chain(["seeds".to_string()]);
        let columns = columns.chain(reports.iter().map(Report::caption)).collect();
        let row = |(values, passes): &(Vec<String>, Vec<&Pass>)| {
            let spread = |report: &Report| {
                let found: Vec<f64> = passes.iter().filter_map(|pass| pass.number(report)).collect();
                mean_and_deviation(&found).map_or_else(String::new, |(m, s)| format!("{} ± {}", plain(m), plain(s)))
            };
            let row = values.iter().cloned().chain([passes.len().to_string()]);
            row.chain(reports.iter().map(spread)).collect()
        };
        Some(Table { columns, rows: groups.iter().map(row).collect() })
    }

    /// The values of an axis as a file has them: numbers under a name with their unit, where all are such.
    fn file_axes(&self, rows: &[Vec<String>]) -> Vec<(String, Vec<String>)> {
        let column = |(k, axis): (usize, &String)| {
            let values: Vec<String> = rows.iter().map(|row| row.get(k).cloned().unwrap_or_default()).collect();
            match numbers(&values) {
                Some((x, unit)) => (column_name(axis, &unit), x.into_iter().map(|x| x.to_string()).collect()),
                None => (axis.clone(), values),
            }
        };
        self.axes.iter().enumerate().map(column).collect()
    }

    /// One row a pass, for programs: whole numbers of digits, units in the head alone.
    fn file_of_passes(&self) -> Table {
        let values = |pass: &Pass| pass.values.iter().map(|(_, value)| value.clone()).collect();
        let mut columns = self.file_axes(&self.passes.iter().map(values).collect::<Vec<_>>());
        let each = |of: &dyn Fn(&Pass) -> String| self.passes.iter().map(of).collect::<Vec<_>>();
        if self.seeded {
            columns.push(("seed".into(), each(&|pass| pass.seed.map_or_else(String::new, |seed| seed.to_string()))));
        }
        for report in self.reports() {
            let cell = |pass: &Pass| pass.number(&report).map_or_else(String::new, |x| x.to_string());
            columns.push((column_name(&report.name, &report.unit), each(&cell)));
        }
        if self.passes.iter().any(|pass| !pass.verdict().is_empty()) {
            columns.push(("held".into(), each(&Pass::verdict)));
        }
        of_columns(columns)
    }

    /// Means and standard deviations over seeds, each a column of numbers.
    fn file_over_seeds(&self) -> Table {
        let groups = self.groups();
        let mut columns = self.file_axes(&groups.iter().map(|(values, _)| values.clone()).collect::<Vec<_>>());
        columns.push(("seeds".into(), groups.iter().map(|(_, passes)| passes.len().to_string()).collect()));
        for report in self.reports() {
            let spread: Vec<Option<(f64, f64)>> = groups
                .iter()
                .map(|(_, passes)| {
                    mean_and_deviation(&passes.iter().filter_map(|p| p.number(&report)).collect::<Vec<_>>())
                })
                .collect();
            let cells = |of: fn((f64, f64)) -> f64| {
                spread.iter().map(|found| found.map_or_else(String::new, |x| of(x).to_string())).collect::<Vec<_>>()
            };
            columns.push((column_name(&format!("{}_mean", report.name), &report.unit), cells(|(mean, _)| mean)));
            columns.push((column_name(&format!("{}_std", report.name), &report.unit), cells(|(_, std)| std)));
        }
        of_columns(columns)
    }

    /// A picture for each report: over the first axis, with a line or a bar for each combination of the others.
    fn figures(&self) -> Vec<(String, Figure)> {
        self.reports().iter().map(|report| (report.name.clone(), self.figure(report))).collect()
    }

    fn figure(&self, report: &Report) -> Figure {
        let mut places: Vec<String> = vec![];
        let mut families: Vec<(String, Vec<(usize, f64)>)> = vec![];
        let groups: Vec<(Vec<String>, Vec<&Pass>)> = if self.axes.is_empty() {
            let label = |pass: &Pass| pass.seed.map_or_else(String::new, |seed| format!("seed {seed}"));
            self.passes.iter().map(|pass| (vec![label(pass)], vec![pass])).collect()
        } else {
            self.groups()
        };
        for (values, passes) in groups {
            let found: Vec<f64> = passes.iter().filter_map(|pass| pass.number(report)).collect();
            let mean = mean_and_deviation(&found).map_or(f64::NAN, |(mean, _)| mean);
            let (first, rest) = values.split_first().map_or((String::new(), &[][..]), |(f, rest)| (f.clone(), rest));
            let place = places.iter().position(|known| *known == first).unwrap_or_else(|| {
                places.push(first);
                places.len() - 1
            });
            let name = self.axes.iter().skip(1).zip(rest).map(|(axis, value)| format!("{axis} = {value}"));
            let name = name.collect::<Vec<_>>().join(", ");
            match families.iter_mut().find(|(known, _)| *known == name) {
                Some((_, points)) => points.push((place, mean)),
                None => families.push((name, vec![(place, mean)])),
            }
        }
        let series = |(name, points): (String, Vec<(usize, f64)>)| {
            let mut y = vec![f64::NAN; places.len()];
            points.iter().for_each(|(place, value)| y[*place] = *value);
            Series { name: if name.is_empty() { report.name.clone() } else { name }, y }
        };
        let series = families.into_iter().map(series).collect();
        let y_axis = Axis::new(report.name.clone(), report.unit.clone());
        let kind = match numbers(&places) {
            Some((x, unit)) if x.len() > 1 => {
                let x_axis = Axis::new(self.axes.first().cloned().unwrap_or_default(), unit);
                Kind::Line { x, series, x_axis, y_axis }
            }
            _ => Kind::Bar { categories: places, series, y_axis },
        };
        Figure::new(String::new(), kind)
    }

    /// `sweep.csv`, a figure for each report, and the page.
    pub fn write(&self, place: &RunFolder, model: &Model) -> Result<(), Stop> {
        let table = self.table();
        place.write("sweep.csv", csv_text(&self.file_of_passes())?.as_bytes())?;
        let mut tables = vec![];
        if let Some(means) = self.over_seeds() {
            place.write("means.csv", csv_text(&self.file_over_seeds())?.as_bytes())?;
            tables.push(Section { heading: "Mean ± standard deviation".into(), blocks: vec![block(means)] });
        }
        tables.push(Section { heading: "Passes".into(), blocks: vec![block(table)] });
        let mut figures = vec![];
        for (name, figure) in self.figures() {
            let svg = render(&figure, Theme::Auto);
            place.write(&format!("figures/{}.svg", file_name(&name)), svg.as_bytes())?;
            figures.push(Block::Figure { svg, caption: name });
        }
        let model = Section { heading: "Model".into(), blocks: vec![Block::Code(model.text.clone())] };
        let figures = Section { heading: "Figures".into(), blocks: figures };
        let sections: Vec<Section> = tables.into_iter().chain([figures, model]).collect();
        let page = report_html(&format!("{}, swept", self.experiment), &sections);
        place.write("report.html", page.as_bytes())?;
        Ok(())
    }

    /// The tables, and the first report's picture, on standard output.
    pub fn show(&self, shell: &Shell) {
        if shell.json {
            for pass in &self.passes {
                let reports: serde_json::Map<String, serde_json::Value> = self
                    .reports()
                    .iter()
                    .map(|r| (r.name.clone(), json!({ "value": pass.number(r), "unit": r.unit })))
                    .collect();
                let set: serde_json::Map<_, _> = pass.values.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
                let fields = json!({ "set": set, "seed": pass.seed, "reports": reports, "exit": pass.exit as i32 });
                shell.out(&shell::event_line("pass", fields));
            }
            return;
        }
        let mut lines = vec![shell.paint(Style::Bold, &self.experiment)];
        lines.extend(self.table().lines());
        if let Some(means) = self.over_seeds() {
            lines.push(String::new());
            lines.extend(means.lines());
        }
        if let Some((_, figure)) = self.figures().first()
            && shell.unicode
            && !shell.quiet
        {
            let ink = if shell.colour_out { Ink::Ansi } else { Ink::Plain };
            lines.push(format!("\n{}\n", draw_in(figure, shell.width(), 18, ink)));
        }
        shell.out(&(lines.join("\n") + "\n"));
    }
}

impl Report {
    fn caption(&self) -> String {
        if self.unit.is_empty() { self.name.clone() } else { format!("{} ({})", self.name, self.unit) }
    }
}

/// The mean, and the standard deviation with n - 1 below; none of nothing.
fn mean_and_deviation(x: &[f64]) -> Option<(f64, f64)> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let squares: f64 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
    (!x.is_empty()).then(|| (mean, if x.len() < 2 { 0.0 } else { (squares / (n - 1.0)).sqrt() }))
}

/// The numbers of values as written, and their unit, if all have the same.
fn numbers(values: &[String]) -> Option<(Vec<f64>, String)> {
    let parted = |value: &String| {
        let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
        Some((number.parse::<f64>().ok()?, unit.trim().to_string()))
    };
    let parted: Vec<(f64, String)> = values.iter().map(parted).collect::<Option<_>>()?;
    let unit = parted.first()?.1.clone();
    parted.iter().all(|(_, known)| *known == unit).then(|| (parted.iter().map(|(x, _)| *x).collect(), unit))
}

/// A table from its columns, each with its head.
fn of_columns(columns: Vec<(String, Vec<String>)>) -> Table {
    let rows = columns.first().map_or(0, |(_, cells)| cells.len());
    let row = |k: usize| columns.iter().map(|(_, cells)| cells.get(k).cloned().unwrap_or_default()).collect();
    Table { rows: (0..rows).map(row).collect(), columns: columns.into_iter().map(|(head, _)| head).collect() }
}

fn block(table: Table) -> Block {
    Block::Table { columns: table.columns, rows: table.rows }
}

fn csv_text(table: &Table) -> Result<String, Stop> {
    let failed = |e: &dyn std::fmt::Display| Stop::data(format!("cannot write the table: {e}"));
    let mut writer = csv::Writer::from_writer(vec![]);
    writer.write_record(&table.columns).map_err(|e| failed(&e))?;
    for row in &table.rows {
        writer.write_record(row).map_err(|e| failed(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(&e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_unit_are_numbers() {
        let texts = |texts: &[&str]| texts.iter().map(|t| t.to_string()).collect::<Vec<_>>();
        assert_eq!(numbers(&texts(&["1 mV", "2.5 mV"])), Some((vec![1.0, 2.5], "mV".into())));
        assert_eq!(numbers(&texts(&["1 mV", "2 V"])), None);
        assert_eq!(numbers(&texts(&["Adam()", "2"])), None);
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(mean_and_deviation(&[1.0, 3.0]), Some((2.0, 2f64.sqrt())));
        assert_eq!(mean_and_deviation(&[5.0]), Some((5.0, 0.0)));
        assert_eq!(mean_and_deviation(&[]), None);
    }
}
