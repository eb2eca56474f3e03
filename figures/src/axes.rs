//! Axes: the frame of a plot with ticks, grid and names.

use crate::figure::Axis;
use crate::page::Area;
use crate::scale::{Mapping, Ticks, drawable, ticks};
use crate::svg::{Anchor, Svg, text_width};

const TICK: f64 = 5.0;
const TICK_SIZE: f64 = 12.0;

/// The inside of a plot: where values lie on the page.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub x: Mapping,
    pub y: Mapping,
    pub inside: Area,
}

/// What to draw around a plot.
pub struct Axes<'a> {
    pub x: &'a Axis,
    pub x_range: (f64, f64),
    pub y: &'a Axis,
    pub y_range: (f64, f64),
    /// Whether the lower axis carries labels; stacked panels share the last one's.
    pub x_labels: bool,
    /// x counts something: no labels between whole numbers.
    pub x_whole: bool,
    pub grid: bool,
    /// The least width kept for labels on the left, so that stacked panels line up.
    pub margin: f64,
}

impl<'a> Axes<'a> {
    pub fn new(x: &'a Axis, x_range: (f64, f64), y: &'a Axis, y_range: (f64, f64)) -> Self {
        let (x_range, y_range) = (drawable(x_range, x.scale), drawable(y_range, y.scale));
        Axes { x, x_range, y, y_range, x_labels: true, x_whole: false, grid: true, margin: 0.0 }
    }

    /// The width that the labels on the left need in a plot of this height.
    pub fn left_margin(&self, height: f64) -> f64 {
        let found = self.y_ticks(height);
        let widest = found.major.iter().map(|(_, text)| text_width(text, TICK_SIZE)).fold(0.0, f64::max);
        let caption = if self.y.caption().is_empty() { 0.0 } else { 22.0 };
        (widest + TICK + 5.0 + caption).max(self.margin)
    }

    fn y_ticks(&self, height: f64) -> Ticks {
        ticks(self.y_range.0, self.y_range.1, (height / 36.0).clamp(2.0, 8.0) as usize, self.y.scale)
    }

    /// Draws everything but the data, and says where the data goes.
    pub fn draw(&self, svg: &mut Svg, area: Area) -> Frame {
        let below = match (self.x_labels, self.x.caption().is_empty()) {
            (false, _) => 8.0,
            (true, true) => 24.0,
            (true, false) => 44.0,
        };
        let left = area.left + self.left_margin(area.height() - below);
        let inside = Area { left, top: area.top, right: area.right, bottom: area.bottom - below };
        let x = Mapping {
            low: self.x_range.0,
            high: self.x_range.1,
            from: inside.left,
            to: inside.right,
            scale: self.x.scale,
        };
        let y = Mapping {
            low: self.y_range.0,
            high: self.y_range.1,
            from: inside.bottom,
            to: inside.top,
            scale: self.y.scale,
        };
        self.draw_y(svg, &inside, &y, area.left);
        self.draw_x(svg, &inside, &x, area.bottom);
        Frame { x, y, inside }
    }

    fn draw_y(&self, svg: &mut Svg, inside: &Area, y: &Mapping, outer: f64) {
        let found = self.y_ticks(inside.height());
        if self.grid {
            for &(value, _) in &found.major {
                let at = y.place(value);
                if (at - inside.bottom).abs() > 1.0 {
                    svg.line("grid", (inside.left, at), (inside.right, at));
                }
            }
        }
        for &(value, ref text) in &found.major {
            let at = y.place(value);
            svg.line("axis", (inside.left - TICK, at), (inside.left, at));
            svg.label("tick", (inside.left - TICK - 4.0, at + 4.2), Anchor::End, text);
        }
        for &value in &found.minor {
            svg.line("axis", (inside.left - 2.5, y.place(value)), (inside.left, y.place(value)));
        }
        svg.line("axis", (inside.left, inside.top), (inside.left, inside.bottom));
        let caption = with_factor(self.y.caption(), &found.factor);
        if !self.y.caption().is_empty() {
            svg.upright("name", (outer + 11.0, (inside.top + inside.bottom) / 2.0), &caption);
        } else if !found.factor.is_empty() {
            svg.label("tick", (inside.left, inside.top - 5.0), Anchor::Start, &found.factor);
        }
    }

    fn x_ticks(&self, width: f64) -> Ticks {
        let most = (width / 75.0).clamp(2.0, 10.0) as usize;
        let with = |count| ticks(self.x_range.0, self.x_range.1, count, self.x.scale);
        let whole = |found: &Ticks| found.factor.is_empty() && found.major.iter().all(|(_, text)| !text.contains('.'));
        let fitting = (1..=most).rev().map(with).find(|found| self.x_whole && whole(found));
        fitting.unwrap_or_else(|| with(most))
    }

    fn draw_x(&self, svg: &mut Svg, inside: &Area, x: &Mapping, outer: f64) {
        let found = self.x_ticks(inside.width());
        for &(value, ref text) in &found.major {
            let at = x.place(value);
            svg.line("axis", (at, inside.bottom), (at, inside.bottom + TICK));
            if self.x_labels {
                svg.label("tick", (at, inside.bottom + TICK + 13.0), Anchor::Middle, text);
            }
        }
        for &value in &found.minor {
            svg.line("axis", (x.place(value), inside.bottom), (x.place(value), inside.bottom + 2.5));
        }
        svg.line("axis", (inside.left, inside.bottom), (inside.right, inside.bottom));
        if self.x_labels {
            let caption = with_factor(self.x.caption(), &found.factor);
            svg.label("name", ((inside.left + inside.right) / 2.0, outer - 4.0), Anchor::Middle, &caption);
        }
    }
}

fn with_factor(caption: String, factor: &str) -> String {
    match (caption.is_empty(), factor.is_empty()) {
        (_, true) => caption,
        (true, false) => factor.to_string(),
        (false, false) => format!("{caption} {factor}"),
    }
}
