//! Lines and points on a canvas, with numbers at the ends of both axes.

use super::canvas::{Canvas, coloured};
use super::{Ink, fitted};
use crate::figure::{Axis, Panel, Scale, SpikeGroup};
use crate::kinds::line::Line;
use crate::scale::{Mapping, bounds, drawable, padded, short};

pub struct Plot<'a> {
    pub width: usize,
    pub height: usize,
    pub ink: Ink,
    pub x_axis: &'a Axis,
    pub y_axis: &'a Axis,
}

pub struct Group<'a> {
    pub name: &'a str,
    pub points: Vec<(f64, f64)>,
}

struct Field {
    canvas: Canvas,
    x: Mapping,
    y: Mapping,
    /// Characters kept for numbers on the left.
    margin: usize,
}

/// How wide the numbers at both ends of an axis are.
fn margin_of(range: (f64, f64)) -> usize {
    short(range.0).chars().count().max(short(range.1).chars().count())
}

fn panel_range(panel: &Panel) -> Option<(f64, f64)> {
    let values = panel.series.iter().flat_map(|series| series.y.iter().copied());
    Some(padded(bounds(values)?, panel.axis.scale))
}

impl Field {
    fn dot(&self, x: f64, y: f64) -> Option<(i64, i64)> {
        let (x, y) = (self.x.place(x), self.y.place(y));
        (x.is_finite() && y.is_finite()).then(|| (x.round() as i64, y.round() as i64))
    }

    fn trace(&mut self, line: &Line, series: usize) {
        let mut last = None;
        for (&x, &y) in line.x.iter().zip(line.y) {
            let dot = self.dot(x, y);
            match (last, dot) {
                (Some(from), Some(to)) => self.canvas.line(from, to, series),
                (None, Some((x, y))) => self.canvas.set(x, y, series),
                _ => {}
            }
            last = dot;
        }
    }
}

impl Plot<'_> {
    /// Nothing if there is no finite point.
    pub fn lines(&self, lines: &[Line]) -> Option<String> {
        let range = |values: Vec<f64>, axis: &Axis| {
            bounds(values.into_iter().filter(|&v| axis.scale == Scale::Linear || v > 0.0))
        };
        let x = range(lines.iter().flat_map(|line| line.x.iter().copied()).collect(), self.x_axis)?;
        let y = range(lines.iter().flat_map(|line| line.y.iter().copied()).collect(), self.y_axis)?;
        let names: Vec<&str> = lines.iter().map(|line| line.name).collect();
        let mut field = self.field(x, padded(y, self.y_axis.scale), self.around(&names));
        for (series, line) in lines.iter().enumerate() {
            field.trace(line, series);
        }
        Some(self.framed(&field, &names))
    }

    /// Panels under one another with one x axis; each has its name above it.
    pub fn stacked(&self, panels: &[Panel]) -> Option<String> {
        let x = bounds(panels.iter().flat_map(|panel| panel.time.iter().copied()))?;
        let each = (self.height.saturating_sub(2) / panels.len().max(1)).max(3);
        let ranges: Vec<(f64, f64)> = panels.iter().map(|panel| panel_range(panel).unwrap_or((0.0, 1.0))).collect();
        panels.iter().find_map(panel_range)?;
        let margin = ranges.iter().map(|&range| margin_of(range)).max()?;
        let mut lines = Vec::new();
        let mut foot = String::new();
        for (panel, &range) in panels.iter().zip(&ranges) {
            let room = Plot { height: each, y_axis: &panel.axis, ..*self };
            let mut field = room.field(x, range, 1);
            field.margin = margin;
            field.canvas = Canvas::new(self.width.saturating_sub(margin + 2).max(4), each - 1);
            field.x.to = field.canvas.size().0 as f64 - 1.0;
            for (series, one) in panel.series.iter().enumerate() {
                field.trace(&Line { name: &one.name, x: &panel.time, y: &one.y }, series);
            }
            lines.push(format!(
                "{:margin$} {}",
                "",
                fitted(&panel.axis.caption(), self.width.saturating_sub(margin + 1))
            ));
            lines.extend(room.rows(&field));
            foot = [room.rule(&field), room.foot(&field)].join("\n");
        }
        lines.push(foot);
        Some(lines.join("\n"))
    }

    /// A dot a spike; where the dots would fill the field, only every so many spikes are drawn.
    pub fn spikes(&self, groups: &[SpikeGroup], x: (f64, f64)) -> Option<String> {
        let cells: usize = groups.iter().map(SpikeGroup::rows).sum();
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        let mut field = self.field(x, (0.0, cells as f64), self.around(&names));
        let mut first = cells;
        let dots = field.canvas.size().0 * field.canvas.size().1;
        let total: usize = groups.iter().map(|group| group.spikes.len()).sum();
        let every = (2 * total).div_ceil(dots).max(1);
        for (series, group) in groups.iter().enumerate() {
            first -= group.rows();
            for &(time, cell) in group.spikes.iter().step_by(every) {
                if let Some((x, y)) = field.dot(time, first as f64 + f64::from(cell) + 0.5) {
                    field.canvas.set(x, y, series);
                }
            }
        }
        Some(self.framed(&field, &names))
    }

    pub fn points(&self, groups: &[Group]) -> Option<String> {
        let all = || groups.iter().flat_map(|group| group.points.iter()).filter(|p| p.0.is_finite() && p.1.is_finite());
        let x = bounds(all().map(|point| point.0))?;
        let y = padded(bounds(all().map(|point| point.1))?, self.y_axis.scale);
        let names: Vec<&str> = groups.iter().map(|group| group.name).collect();
        let mut field = self.field(x, y, self.around(&names));
        for (series, group) in groups.iter().enumerate() {
            for &(x, y) in &group.points {
                if let Some((x, y)) = field.dot(x, y) {
                    field.canvas.set(x, y, series);
                }
            }
        }
        Some(self.framed(&field, &names))
    }

    /// Lines that are not part of the field: the axis, its numbers, the legend.
    fn around(&self, names: &[&str]) -> usize {
        2 + usize::from(!self.legend(names).is_empty())
    }

    fn field(&self, x: (f64, f64), y: (f64, f64), around: usize) -> Field {
        let (x, y) = (drawable(x, self.x_axis.scale), drawable(y, self.y_axis.scale));
        let margin = margin_of(y);
        let columns = self.width.saturating_sub(margin + 2).max(4);
        let canvas = Canvas::new(columns, self.height.saturating_sub(around).max(2));
        let (width, height) = canvas.size();
        let (x_scale, y_scale) = (self.x_axis.scale, self.y_axis.scale);
        let x = Mapping { low: x.0, high: x.1, from: 0.0, to: width as f64 - 1.0, scale: x_scale };
        let y = Mapping { low: y.0, high: y.1, from: height as f64 - 1.0, to: 0.0, scale: y_scale };
        Field { canvas, x, y, margin }
    }

    fn framed(&self, field: &Field, names: &[&str]) -> String {
        let mut lines = self.rows(field);
        lines.push(self.rule(field));
        lines.push(self.foot(field));
        let legend = self.legend(names);
        if !legend.is_empty() {
            lines.push(legend);
        }
        lines.join("\n")
    }

    /// The field with its y axis.
    fn rows(&self, field: &Field) -> Vec<String> {
        let (rows, margin) = (field.canvas.rows, field.margin);
        let row = |row: usize| {
            let number = match row {
                0 => short(field.y.high),
                _ if row + 1 == rows => short(field.y.low),
                _ => String::new(),
            };
            let side = if number.is_empty() { '│' } else { '┤' };
            format!("{number:>margin$} {side}{}", field.canvas.row(row, self.ink))
        };
        (0..rows).map(row).collect()
    }

    fn rule(&self, field: &Field) -> String {
        format!("{:margin$} └{}", "", "─".repeat(field.canvas.columns), margin = field.margin)
    }

    /// The ends of the x axis with its name between.
    fn foot(&self, field: &Field) -> String {
        let margin = field.margin + 2;
        let (low, high) = (short(field.x.low), short(field.x.high));
        let room = field.canvas.columns.saturating_sub(low.chars().count() + high.chars().count());
        let name = fitted(&self.x_axis.caption(), room.saturating_sub(2));
        format!("{:margin$}{low}{name:^room$}{high}", "")
    }

    fn legend(&self, names: &[&str]) -> String {
        let y_name = self.y_axis.caption();
        let known: Vec<String> = names
            .iter()
            .enumerate()
            .filter(|(_, name)| !name.is_empty())
            .take(12)
            .map(|(series, name)| coloured(name, series, self.ink))
            .collect();
        match (y_name.is_empty(), known.len() > 1 || (known.len() == 1 && y_name.is_empty())) {
            (true, false) => String::new(),
            (false, false) => fitted(&format!("  {y_name}"), self.width),
            (true, true) => self.cut(format!("  {}", known.join(" · "))),
            (false, true) => self.cut(format!("  {y_name}: {}", known.join(" · "))),
        }
    }

    fn cut(&self, text: String) -> String {
        if self.ink == Ink::Ansi { text } else { fitted(&text, self.width) }
    }
}
