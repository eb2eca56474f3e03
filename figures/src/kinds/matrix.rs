//! Matrices as colours with a scale beside them: heat maps and connectivity.

use crate::axes::Axes;
use crate::colours::{Grading, MISSING, palette};
use crate::decimate::block_means;
use crate::figure::{Axis, Heatmap, Scale};
use crate::page::{Area, Page, RIM, WIDTH};
use crate::png::Image;
use crate::scale::{bounds, short, ticks};
use crate::svg::{Anchor, text_width};
use crate::theme::Theme;

const BAR: f64 = 12.0;

pub fn heatmap(title: &str, map: &Heatmap, theme: Theme) -> String {
    let page = Page::new(title, WIDTH, theme);
    if map.rows == 0 || map.columns == 0 || bounds(map.values.iter().copied()).is_none() {
        return page.nothing("no data");
    }
    let height = (map.rows as f64 * 26.0).clamp(120.0, 300.0);
    let sheet = Sheet { map, upwards: true, height };
    let description = format!(
        "Matrix of {} rows and {} columns, {} from {} to {}.",
        map.rows,
        map.columns,
        super::line::or_values(&map.value_axis.caption()),
        short(bounds(map.values.iter().copied()).map_or(f64::NAN, |b| b.0)),
        short(bounds(map.values.iter().copied()).map_or(f64::NAN, |b| b.1))
    );
    sheet.draw(page, title, &description)
}

/// Senders from left to right, targets from top to bottom; the colour is the weight.
pub fn connectivity(
    title: &str,
    (pre, post): (usize, usize),
    entries: &[(u32, u32, f64)],
    names: (&str, &str),
    value_axis: &Axis,
    theme: Theme,
) -> String {
    let page = Page::new(title, WIDTH, theme);
    if pre == 0 || post == 0 || entries.is_empty() {
        return page.nothing("no connections");
    }
    let (columns, rows) = (pre.min(800), post.min(800));
    let mut sums = vec![(0.0, 0u32); rows * columns];
    for &(i, j, weight) in entries.iter().filter(|(i, j, _)| (*i as usize) < pre && (*j as usize) < post) {
        let place = j as usize * rows / post * columns + i as usize * columns / pre;
        sums[place] = (sums[place].0 + weight, sums[place].1 + 1);
    }
    let values = sums.iter().map(|&(sum, count)| sum / f64::from(count)).collect();
    let map = Heatmap {
        rows,
        columns,
        values,
        x_axis: Axis::new(format!("sender in {}", names.0), ""),
        x_range: (0.0, pre as f64),
        y_axis: Axis::new(format!("target in {}", names.1), ""),
        y_range: (post as f64, 0.0),
        value_axis: value_axis.clone(),
    };
    let height = (380.0 * rows as f64 / columns as f64).clamp(140.0, 460.0);
    let description = format!("Connectivity: {} connections from {pre} senders to {post} targets.", entries.len());
    Sheet { map: &map, upwards: false, height }.draw(page, title, &description)
}

struct Sheet<'a> {
    map: &'a Heatmap,
    /// Row 0 at the bottom.
    upwards: bool,
    /// How high the picture is where its cells are not square.
    height: f64,
}

/// The largest and the least that a side of a picture of square cells may be.
const TALLEST: f64 = 420.0;
const LEAST: f64 = 48.0;

/// Width and height of square cells in a picture at most so wide, as high as the rows ask for; `None` where it would be
/// a mere line.
fn squares(map: &Heatmap, room: f64) -> Option<(f64, f64)> {
    let (rows, columns) = (map.rows as f64, map.columns as f64);
    let side = (room / columns).min((rows * 26.0).clamp(120.0, TALLEST) / rows);
    let (width, height) = (side * columns, side * rows);
    (map.is_even() && width.min(height) >= LEAST).then_some((width, height))
}

impl Sheet<'_> {
    fn draw(&self, mut page: Page, title: &str, description: &str) -> String {
        let map = self.map;
        let grading = Grading::of(&map.values);
        let beside = bar_width(&grading, &map.value_axis);
        let below = if map.x_axis.caption().is_empty() { 24.0 } else { 44.0 };
        let top = page.top + 6.0;
        let axes = Axes { grid: false, ..Axes::new(&map.x_axis, map.x_range, &map.y_axis, map.y_range) };
        let room = WIDTH - RIM - beside - RIM - axes.left_margin(TALLEST);
        let (right, height) = match squares(map, room) {
            Some((width, height)) => (RIM + axes.left_margin(height) + width, height),
            None => (WIDTH - RIM - beside, self.height),
        };
        let area = Area { left: RIM, top, right, bottom: top + height + below };
        let frame = axes.draw(&mut page.svg, area);
        let inside = frame.inside;
        let limit = (inside.width() as usize * 2, inside.height() as usize * 2);
        let image = self.image(&grading, limit);
        page.svg.image((inside.left, inside.top), (inside.width(), inside.height()), &image.address());
        let bar = Area { left: inside.right + 14.0, right: inside.right + 14.0 + BAR, ..inside };
        draw_bar(&mut page, &grading, &map.value_axis, bar, right + beside);
        page.finish(area.bottom + RIM, title, description)
    }

    fn image(&self, grading: &Grading, limit: (usize, usize)) -> Image {
        let (values, rows, columns) = block_means(&self.map.values, self.map.rows, self.map.columns, limit);
        let mut pixels = vec![MISSING; rows * columns];
        for (row, line) in values.chunks(columns).enumerate().take(rows) {
            let at = if self.upwards { rows - 1 - row } else { row };
            for (pixel, &value) in pixels[at * columns..].iter_mut().zip(line) {
                *pixel = grading.step(value);
            }
        }
        let image = Image { width: columns, height: rows, pixels, palette: palette(grading.map) };
        image.enlarged((limit.0 / columns).max(1), (limit.1 / rows).max(1))
    }
}

/// How much room the colour bar takes: distance, bar, numbers and name.
fn bar_width(grading: &Grading, axis: &Axis) -> f64 {
    let found = ticks(grading.low, grading.high, 5, Scale::Linear);
    let widest = found.major.iter().map(|(_, text)| text_width(text, 12.0)).fold(0.0, f64::max);
    let name = if axis.caption().is_empty() { 0.0 } else { 20.0 };
    14.0 + BAR + 8.0 + widest + name
}

fn draw_bar(page: &mut Page, grading: &Grading, axis: &Axis, bar: Area, right: f64) {
    let pixels = (0..=254u8).rev().collect();
    let image = Image { width: 1, height: 255, pixels, palette: palette(grading.map) };
    page.svg.image((bar.left, bar.top), (bar.width(), bar.height()), &image.address());
    let found = ticks(grading.low, grading.high, 5, Scale::Linear);
    for (value, text) in &found.major {
        let at = bar.bottom - grading.place(*value) * bar.height();
        page.svg.line("axis", (bar.right, at), (bar.right + 4.0, at));
        page.svg.label("tick", (bar.right + 7.0, at + 4.2), Anchor::Start, text);
    }
    let caption = [axis.caption(), found.factor].join(" ");
    if !caption.trim().is_empty() {
        page.svg.upright("name", (right - 2.0, (bar.top + bar.bottom) / 2.0), caption.trim());
    }
}
