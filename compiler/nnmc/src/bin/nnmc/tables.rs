//! Reports as tables of text: one value a line, sweeps with a line for each pass.

use nnm_compiler::sweep::sweep_parts;
use nnm_compiler::table;
use nnm_compiler::unit::from_si;
use nnm_compiler::value::{Num, Value};
use nnm_figures::terminal::sparkline;

/// A table of text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Empty for a list of names and values.
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// All reports: first those of one value, then one table for each sweep.
pub fn of_reports(reports: &[(String, Value)], unicode: bool) -> Vec<Table> {
    let mut single = Table::default();
    let mut sweeps: Vec<(Vec<Vec<String>>, Table)> = vec![];
    for (name, value) in reports {
        if sweep_parts(value).is_none() {
            single.rows.push(vec![name.clone(), cell(value, unicode)]);
            continue;
        }
        let (axes, all) = passes(value);
        let keys: Vec<Vec<String>> = all.iter().map(|(keys, _)| keys.clone()).collect();
        let place = sweeps.iter().position(|(known, t)| *known == keys && t.columns.starts_with(&axes));
        let place = place.unwrap_or_else(|| {
            sweeps.push((keys.clone(), Table { columns: axes, rows: keys }));
            sweeps.len() - 1
        });
        let sweep = &mut sweeps[place].1;
        sweep.columns.push(name.clone());
        for (row, (_, value)) in sweep.rows.iter_mut().zip(all) {
            row.push(cell(&value, unicode));
        }
    }
    let single = (!single.rows.is_empty()).then_some(single);
    single.into_iter().chain(sweeps.into_iter().map(|(_, table)| table)).collect()
}

/// The axes of a sweep, outermost first, and for each innermost pass its keys and value.
pub fn passes(value: &Value) -> (Vec<String>, Vec<(Vec<String>, Value)>) {
    let Some((keys, values)) = sweep_parts(value) else {
        return (vec![], vec![(vec![], value.clone())]);
    };
    let mut axes = vec![axis(value)];
    let mut all = vec![];
    for (number, (key, value)) in keys.iter().zip(&values).enumerate() {
        let (inner_axes, inner) = passes(value);
        if number == 0 {
            axes.extend(inner_axes);
        }
        for (mut names, value) in inner {
            names.insert(0, label(key));
            all.push((names, value));
        }
    }
    (axes, all)
}

/// The name of a sweep's loop.
pub fn axis(value: &Value) -> String {
    match value {
        Value::Record(record) => match record.get("sweep axis") {
            Some(Value::Text(name)) => name.to_string(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// How a pass of a sweep is called: `Backprop`, `0.2 mV`.
pub fn label(key: &Value) -> String {
    match key {
        Value::Kind(kind) => kind.text.strip_suffix("()").unwrap_or(&kind.text).to_string(),
        Value::Text(text) => text.to_string(),
        Value::Num(num) => num.as_f64().map_or_else(|| table::summary(num), |x| table::quantity(x, &num.unit)),
        other => other.describe().to_string(),
    }
}

/// A value in one line.
pub fn cell(value: &Value, unicode: bool) -> String {
    match value {
        Value::Num(num) => number(num, unicode),
        Value::Spikes(spikes) => format!("{} spikes of {} cells", spikes.times.len(), spikes.n),
        Value::Record(record) => {
            let parts: Vec<String> = record.iter().map(|(name, v)| format!("{name} {}", cell(v, unicode))).collect();
            parts.join(", ")
        }
        Value::List(items) => items.iter().map(|v| cell(v, unicode)).collect::<Vec<_>>().join("; "),
        Value::Missing => "unknown".into(),
        other => label(other),
    }
}

/// One number; a series as a small curve with its ends; anything else in summary.
fn number(num: &Num, unicode: bool) -> String {
    let Some(array) = num.as_const() else { return table::summary(num) };
    if array.ndim() != 1 || array.len() <= 10 {
        return table::summary(num);
    }
    let shown = num.unit.shown();
    let values: Vec<f64> = array.iter().map(|v| from_si(*v, &shown)).collect();
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return String::new() };
    let unit = if shown.name.is_empty() { String::new() } else { format!(" {}", shown.name) };
    if unicode {
        format!("{} {} → {}{unit}", sparkline(&values, 12), table::plain(*first), table::plain(*last))
    } else {
        format!("{} values, {} to {}{unit}", values.len(), table::plain(*first), table::plain(*last))
    }
}

impl Table {
    /// The table as lines, columns aligned, numbers flush right.
    pub fn lines(&self) -> Vec<String> {
        let count = self.rows.iter().map(Vec::len).chain([self.columns.len()]).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&self.columns]).filter_map(|row| row.get(column));
            cells.map(|cell| console::measure_text_width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..count).map(width).collect();
        let right: Vec<bool> = (0..count).map(|c| c > 0 && !self.columns.is_empty() && self.is_numeric(c)).collect();
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for (column, text) in row.iter().enumerate() {
                let fill = " ".repeat(widths[column].saturating_sub(console::measure_text_width(text)));
                let gap = if column == 0 { "  " } else { "   " };
                line.push_str(gap);
                line.push_str(&if right[column] { format!("{fill}{text}") } else { format!("{text}{fill}") });
            }
            line.trim_end().to_string()
        };
        let head = (!self.columns.is_empty()).then(|| line(&self.columns));
        head.into_iter().chain(self.rows.iter().map(line)).collect()
    }

    fn is_numeric(&self, column: usize) -> bool {
        let number = |text: &String| text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        self.rows.iter().filter_map(|row| row.get(column)).all(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a", "9 mV"], ["longer", "10.5 mV"]].map(|r| r.map(String::from).to_vec()).to_vec();
        let table = Table { columns: vec!["rule".into(), "v".into()], rows };
        assert_eq!(table.lines(), ["  rule           v", "  a           9 mV", "  longer   10.5 mV"]);
    }

    #[test]
    fn single_values_come_first() {
        let reports = [("x".to_string(), Value::real(2.0)), ("y".to_string(), Value::Text("word".into()))];
        let tables = of_reports(&reports, true);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].rows, [["x", "2"], ["y", "word"]]);
    }
}
