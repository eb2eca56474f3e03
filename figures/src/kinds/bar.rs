//! Groups of bars: upright while the names fit below, lying where they do not.

use crate::axes::Axes;
use crate::figure::{Axis, Scale, Series};
use crate::page::{Area, PLOT_HEIGHT, Page, RIM, Swatch, WIDTH};
use crate::scale::{Mapping, bounds, short, ticks};
use crate::svg::{Anchor, text_width};
use crate::theme::Theme;

/// The share of a category's room that its bars fill.
const FILLED: f64 = 0.74;

pub fn render(title: &str, categories: &[String], series: &[Series], y_axis: &Axis, theme: Theme) -> String {
    let mut page = Page::new(title, WIDTH, theme);
    let found = bounds(series.iter().flat_map(|one| one.y.iter().copied()));
    let (Some((low, high)), false) = (found, categories.is_empty()) else {
        return page.nothing("no data");
    };
    let names: Vec<&str> = series.iter().map(|one| one.name.as_str()).collect();
    page.legend(&names, Swatch::Box);
    let air = 0.08 * (high.max(0.0) - low.min(0.0)).max(1e-300);
    let range = (if low < 0.0 { low - air } else { 0.0 }, if high > 0.0 { high + air } else { 0.0 });
    let range = if range.0 == range.1 { (0.0, 1.0) } else { range };
    let axis = super::line::sole_name(&names, y_axis);
    let chart = Chart { categories, series, axis: &axis, range };
    let widest = categories.iter().map(|name| text_width(name, 13.0)).fold(0.0, f64::max);
    let bottom = if widest + 8.0 > (WIDTH - 90.0) / categories.len() as f64 {
        chart.lying(&mut page, widest)
    } else {
        chart.upright(&mut page)
    };
    let description = chart.describe();
    page.finish(bottom + RIM, title, &description)
}

struct Chart<'a> {
    categories: &'a [String],
    series: &'a [Series],
    axis: &'a Axis,
    range: (f64, f64),
}

impl Chart<'_> {
    fn upright(&self, page: &mut Page) -> f64 {
        let none = Axis::default();
        let area = Area { left: RIM, top: page.top + 6.0, right: WIDTH - RIM, bottom: page.top + 6.0 + PLOT_HEIGHT };
        let axes = Axes { x_labels: false, ..Axes::new(&none, (0.0, 1.0), self.axis, self.range) };
        let mut hidden = crate::svg::Svg::default();
        let frame = axes.draw(&mut hidden, area);
        let margin = axes.left_margin(frame.inside.height());
        self.grid(page, &frame.y, &frame.inside, margin);
        let slot = frame.inside.width() / self.categories.len() as f64;
        let thick = (slot * FILLED / self.series.len() as f64).min(64.0);
        let zero = frame.y.place(0.0);
        for (place, name) in self.categories.iter().enumerate() {
            let middle = frame.inside.left + (place as f64 + 0.5) * slot;
            page.svg.label("name", (middle, frame.inside.bottom + 18.0), Anchor::Middle, name);
            for (index, value) in self.values(place) {
                let mark = page.mark(index, self.series.len());
                let left = middle + (index as f64 - self.series.len() as f64 / 2.0) * thick;
                let end = frame.y.place(value);
                let size = ((thick - 1.5).max(1.0), (end - zero).abs());
                page.svg.rect(&mark.fill_class, (left, end.min(zero)), size, &mark.fill);
                if text_width(&short(value), 12.0) < thick + 6.0 {
                    let above = if value < 0.0 { end + 13.0 } else { end - 4.0 };
                    page.svg.label("note", (left + thick / 2.0, above), Anchor::Middle, &short(value));
                }
            }
        }
        page.svg.line("axis", (frame.inside.left, zero), (frame.inside.right, zero));
        frame.inside.bottom + 24.0
    }

    /// Horizontal lines and numbers of the value axis.
    fn grid(&self, page: &mut Page, y: &Mapping, inside: &Area, margin: f64) {
        let found = ticks(self.range.0, self.range.1, 6, Scale::Linear);
        for (value, text) in &found.major {
            let at = y.place(*value);
            page.svg.line("grid", (inside.left, at), (inside.right, at));
            page.svg.label("tick", (inside.left - 8.0, at + 4.2), Anchor::End, text);
        }
        let caption = [self.axis.caption(), found.factor].join(" ");
        let middle = (inside.top + inside.bottom) / 2.0;
        page.svg.upright("name", (inside.left - margin + 11.0, middle), caption.trim());
    }

    fn lying(&self, page: &mut Page, widest: f64) -> f64 {
        let slot = (self.series.len() as f64 * 16.0 / FILLED).clamp(24.0, 80.0);
        let top = page.top + 6.0;
        let left = RIM + widest.min(260.0) + 10.0;
        let bottom = top + slot * self.categories.len() as f64;
        let inside = Area { left, top, right: WIDTH - RIM - 24.0, bottom };
        let x = Mapping { low: self.range.0, high: self.range.1, from: left, to: inside.right, scale: Scale::Linear };
        let found = ticks(self.range.0, self.range.1, 7, Scale::Linear);
        for (value, text) in &found.major {
            let at = x.place(*value);
            page.svg.line("grid", (at, top), (at, bottom));
            page.svg.label("tick", (at, bottom + 17.0), Anchor::Middle, text);
        }
        let thick = slot * FILLED / self.series.len() as f64;
        let zero = x.place(0.0);
        for (place, name) in self.categories.iter().enumerate() {
            let middle = top + (place as f64 + 0.5) * slot;
            page.svg.label("name", (left - 8.0, middle + 4.5), Anchor::End, name);
            for (index, value) in self.values(place) {
                let mark = page.mark(index, self.series.len());
                let upper = middle + (index as f64 - self.series.len() as f64 / 2.0) * thick;
                let end = x.place(value);
                let size = ((end - zero).abs(), (thick - 1.5).max(1.0));
                page.svg.rect(&mark.fill_class, (end.min(zero), upper), size, &mark.fill);
                let (at, anchor) = if value < 0.0 { (end - 5.0, Anchor::End) } else { (end + 5.0, Anchor::Start) };
                page.svg.label("note", (at, upper + thick / 2.0 + 4.0), anchor, &short(value));
            }
        }
        page.svg.line("axis", (zero, top), (zero, bottom));
        let caption = [self.axis.caption(), found.factor].join(" ");
        if caption.trim().is_empty() {
            return bottom + 22.0;
        }
        page.svg.label("name", ((left + inside.right) / 2.0, bottom + 38.0), Anchor::Middle, caption.trim());
        bottom + 42.0
    }

    /// The values of one category that are known, with their series.
    fn values(&self, category: usize) -> Vec<(usize, f64)> {
        let value = |one: &Series| one.y.get(category).copied().unwrap_or(f64::NAN);
        self.series.iter().map(value).enumerate().filter(|(_, value)| value.is_finite()).collect()
    }

    fn describe(&self) -> String {
        let one = |(place, name): (usize, &String)| {
            let values: Vec<String> = self.values(place).into_iter().map(|(_, value)| short(value)).collect();
            format!("{name} {}", values.join(", "))
        };
        let parts: Vec<String> = self.categories.iter().enumerate().take(24).map(one).collect();
        format!("Bars of {}: {}.", super::line::or_values(&self.axis.caption()), parts.join("; "))
    }
}
