//! Bars, shades and small tables of block characters.

use super::fitted;
use crate::figure::{Axis, Series};
use crate::scale::{bounds, short};

const RISING: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const GROWING: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

pub fn spark(values: &[f64]) -> String {
    let Some((low, high)) = bounds(values.iter().copied()) else { return " ".repeat(values.len()) };
    let level = |value: f64| match (value.is_finite(), high > low) {
        (false, _) => ' ',
        (true, false) => RISING[4],
        (true, true) => RISING[1 + ((value - low) / (high - low) * 7.0).round() as usize],
    };
    values.iter().map(|&value| level(value)).collect()
}

/// A shade for a share between 0 and 1.
pub fn shade(share: f64) -> char {
    if share.is_finite() { SHADES[(share.clamp(0.0, 1.0) * 4.0).round() as usize] } else { '·' }
}

/// Upright columns, one character wide.
pub fn columns(counts: &[f64], height: usize, range: (f64, f64), caption: &str) -> String {
    let most = counts.iter().copied().fold(1.0, f64::max);
    let rows = height.saturating_sub(2).max(1);
    let mut lines: Vec<String> = Vec::with_capacity(rows + 2);
    for row in (0..rows).rev() {
        let level = |count: f64| {
            let eighths = count / most * 8.0 * rows as f64 - 8.0 * row as f64;
            RISING[eighths.round().clamp(0.0, 8.0) as usize]
        };
        lines.push(counts.iter().map(|&count| level(count)).collect());
    }
    lines.push("─".repeat(counts.len()));
    let (low, high) = (short(range.0), short(range.1));
    let room = counts.len().saturating_sub(low.chars().count() + high.chars().count());
    lines.push(format!("{low}{:^room$}{high}", fitted(caption, room.saturating_sub(2))));
    lines.join("\n")
}

/// Lying bars with their values.
pub fn bars(categories: &[String], series: &[Series], axis: &Axis, width: usize, height: usize) -> Option<String> {
    let (low, high) = bounds(series.iter().flat_map(|one| one.y.iter().copied()))?;
    let reach = high.max(-low).max(f64::MIN_POSITIVE);
    let name = |category: &str, one: &Series| match (series.len(), one.name.is_empty()) {
        (1, _) | (_, true) => category.to_string(),
        _ => format!("{category}, {}", one.name),
    };
    let rows: Vec<(String, f64)> = categories
        .iter()
        .enumerate()
        .flat_map(|(place, category)| {
            series.iter().map(move |one| (name(category, one), one.y.get(place).copied().unwrap_or(f64::NAN)))
        })
        .collect();
    let names = rows.iter().map(|(name, _)| name.chars().count()).max()?.min(width / 2);
    let values = rows.iter().map(|(_, value)| short(*value).chars().count()).max()?;
    let room = width.saturating_sub(names + values + 4).max(4);
    let mut lines: Vec<String> = rows
        .iter()
        .take(height.max(2) - 1)
        .map(|(name, value)| {
            let eighths = (value.abs() / reach * 8.0 * room as f64).round();
            let bar = if eighths.is_finite() { lying(eighths as usize) } else { String::new() };
            format!("{:>names$} ▕{bar} {}", fitted(name, names), short(*value))
        })
        .collect();
    if !axis.caption().is_empty() {
        lines.push(format!("{:>names$}  {}", "", axis.caption()));
    }
    Some(lines.join("\n"))
}

fn lying(eighths: usize) -> String {
    let mut bar: String = std::iter::repeat_n('█', eighths / 8).collect();
    if !eighths.is_multiple_of(8) {
        bar.push(GROWING[eighths % 8]);
    }
    bar
}

/// Counts as a table where it fits, else as shades.
pub fn confusion(labels: &[String], counts: &[Vec<f64>], width: usize) -> Option<String> {
    let most = bounds(counts.iter().flatten().copied()).map(|(_, high)| high).filter(|&high| high > 0.0)?;
    let name = |place: usize| labels.get(place).cloned().unwrap_or_else(|| place.to_string());
    let names = (0..counts.len()).map(|place| name(place).chars().count()).max()?.min(12);
    let cell = short(most).chars().count().max(names.min(5)) + 1;
    let head = "true ↓  answered →";
    if names + 1 + cell * counts.len() > width {
        let row = |line: &Vec<f64>| line.iter().flat_map(|&count| [shade(count / most); 2]).collect::<String>();
        return Some(counts.iter().map(row).collect::<Vec<_>>().join("\n"));
    }
    let mut lines = vec![fitted(head, width)];
    let columns: String = (0..counts.len()).map(|place| format!("{:>cell$}", fitted(&name(place), cell - 1))).collect();
    lines.push(format!("{:names$} {columns}", ""));
    for (place, line) in counts.iter().enumerate() {
        let value =
            |&count: &f64| if count == 0.0 { format!("{:>cell$}", "·") } else { format!("{:>cell$}", short(count)) };
        lines.push(format!("{:>names$} {}", fitted(&name(place), names), line.iter().map(value).collect::<String>()));
    }
    Some(lines.join("\n"))
}
