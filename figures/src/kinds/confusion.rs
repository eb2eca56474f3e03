//! Which class was taken for which: rows are true classes, columns what was answered.

use crate::page::{Page, RIM};
use crate::scale::short;
use crate::svg::{Anchor, text_width};
use crate::theme::Theme;

pub fn render(title: &str, labels: &[String], counts: &[Vec<f64>], theme: Theme) -> String {
    let classes = counts.len();
    let widest = labels.iter().map(|label| text_width(label, 12.0)).fold(12.0, f64::max).min(140.0);
    let cell = (400.0 / classes.max(1) as f64).clamp(14.0, 64.0);
    let left = RIM + 22.0 + widest + 8.0;
    let width = (left + cell * classes as f64 + RIM).max(300.0);
    let mut page = Page::new(title, width, theme);
    let total: f64 = counts.iter().flatten().filter(|count| count.is_finite()).sum();
    if total <= 0.0 {
        return page.nothing("no data");
    }
    let top = page.top + 6.0;
    page.mark(0, 1);
    for (row, line) in counts.iter().enumerate() {
        let sum: f64 = line.iter().filter(|count| count.is_finite()).sum();
        let y = top + row as f64 * cell;
        page.svg.label("tick", (left - 7.0, y + cell / 2.0 + 4.2), Anchor::End, &name(labels, row));
        for (column, &count) in line.iter().enumerate().take(classes) {
            let share = if sum > 0.0 && count.is_finite() { count / sum } else { 0.0 };
            draw_cell(&mut page, (left + column as f64 * cell, y), cell, (count, share));
        }
    }
    let bottom = top + cell * classes as f64;
    for column in 0..classes {
        let middle = left + (column as f64 + 0.5) * cell;
        if text_width(&name(labels, column), 12.0) <= cell + 2.0 || classes <= 2 {
            page.svg.label("tick", (middle, bottom + 17.0), Anchor::Middle, &name(labels, column));
        } else {
            page.svg.upright(
                "tick",
                (middle + 4.0, bottom + 10.0 + text_width(&name(labels, column), 12.0) / 2.0),
                &name(labels, column),
            );
        }
    }
    let slanted = (0..classes).any(|c| text_width(&name(labels, c), 12.0) > cell + 2.0) && classes > 2;
    let foot = bottom + if slanted { widest + 16.0 } else { 22.0 };
    page.svg.label("name", (left + cell * classes as f64 / 2.0, foot + 16.0), Anchor::Middle, "answered");
    page.svg.upright("name", (RIM + 10.0, (top + bottom) / 2.0), "true class");
    let right: f64 = counts.iter().enumerate().filter_map(|(row, line)| line.get(row)).sum();
    let description = format!("Confusion of {classes} classes, {} of {} right.", short(right), short(total));
    page.finish(foot + 22.0 + RIM / 2.0, title, &description)
}

fn draw_cell(page: &mut Page, corner: (f64, f64), cell: f64, (count, share): (f64, f64)) {
    let size = (cell - 1.0, cell - 1.0);
    page.svg.rect("blank", corner, size, r#" fill-opacity=".45""#);
    if share > 0.0 {
        let opacity = 0.08 + 0.92 * share;
        page.svg.rect("f0", corner, size, &format!(r#" fill-opacity="{opacity:.2}""#));
    }
    let text = short(count);
    if count != 0.0 && text_width(&text, 12.0) < cell - 2.0 {
        let class = if share > 0.55 { "note bright" } else { "note" };
        page.svg.label(class, (corner.0 + cell / 2.0, corner.1 + cell / 2.0 + 4.2), Anchor::Middle, &text);
    }
}

fn name(labels: &[String], place: usize) -> String {
    labels.get(place).cloned().unwrap_or_else(|| place.to_string())
}
