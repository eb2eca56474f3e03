//! Spikes: a tick each, or their density where there are too many, and the rate of each population below.

use super::line::filled;
use crate::axes::{Axes, Frame};
use crate::figure::{Axis, Scale, SpikeGroup};
use crate::page::{Area, Page, RIM, WIDTH};
use crate::png::Image;
use crate::scale::{Mapping, bounds, drawable, short, snapped};
use crate::svg::{Anchor, number, text_width};
use crate::theme::Theme;

/// Beyond this many spikes the raster becomes an image.
const MARKS: usize = 5_000;
/// Image pixels for one unit of the page.
const FINENESS: f64 = 2.0;
const GAP: f64 = 6.0;

pub fn render(title: &str, groups: &[SpikeGroup], x_axis: &Axis, theme: Theme) -> String {
    let mut page = Page::new(title, WIDTH, theme);
    let Some(x_range) = time_range(groups) else {
        return page.nothing(if groups.is_empty() { "no data" } else { "no spikes" });
    };
    let names = groups.iter().map(|group| text_width(&group.name, 13.0)).fold(40.0, f64::max);
    let (left, right) = (RIM + names + 12.0, WIDTH - RIM - 6.0);
    let x = Mapping { low: x_range.0, high: x_range.1, from: left, to: right, scale: Scale::Linear };
    let rows: usize = groups.iter().map(SpikeGroup::rows).sum();
    let height = (rows as f64 * 9.0).clamp(70.0, 300.0);
    let total: usize = groups.iter().map(|group| group.spikes.len()).sum();
    let mut top = page.top + 6.0;
    for (place, group) in groups.iter().enumerate() {
        let share = if rows == 0 { 1.0 / groups.len() as f64 } else { group.rows() as f64 / rows as f64 };
        let band = Area { left, top, right, bottom: top + (height * share).max(24.0) };
        draw_group(&mut page, group, (place, groups.len()), &x, band, total > MARKS);
        top = band.bottom + GAP;
    }
    let bottom =
        draw_rates(&mut page, groups, x_axis, x_range, Area { left, top: top + 4.0, right, bottom: top + 116.0 });
    page.finish(bottom + RIM, title, &describe(groups, x_axis, x_range))
}

/// All of the time that was looked at; where that is not said from 0, if the first spike comes early, to the last spike
/// or the tick that it nearly reaches.
pub fn time_range(groups: &[SpikeGroup]) -> Option<(f64, f64)> {
    let times = groups.iter().flat_map(|group| group.spikes.iter().map(|&(time, _)| time));
    let (first, last) = drawable(bounds(times)?, Scale::Linear);
    if let Some(seen) = bounds(groups.iter().filter_map(|group| group.seen).flat_map(|(from, to)| [from, to]))
        && groups.iter().all(|group| group.seen.is_some())
    {
        return Some(drawable(seen, Scale::Linear));
    }
    let start = if first > 0.0 && first < 0.2 * last { 0.0 } else { first };
    Some(snapped((start, last), 0.04))
}

fn draw_group(page: &mut Page, group: &SpikeGroup, place: (usize, usize), x: &Mapping, band: Area, dense: bool) {
    let middle = (band.top + band.bottom) / 2.0;
    page.svg.label(
        "name",
        (band.left - 12.0, middle + if band.height() > 34.0 { -2.0 } else { 4.5 }),
        Anchor::End,
        &group.name,
    );
    if band.height() > 34.0 {
        page.svg.label("note", (band.left - 12.0, middle + 14.0), Anchor::End, &group.rows().to_string());
    }
    page.svg.line("axis", (band.left - 3.0, band.top), (band.left - 3.0, band.bottom));
    let row = band.height() / group.rows().max(1) as f64;
    if dense {
        let image = density(group, x, &band, page.theme.image_colour(place.0));
        page.svg.image((band.left, band.top), (band.width(), band.height()), &image.address());
        return;
    }
    let mark = page.mark(place.0, place.1);
    let tick = (row * 0.8).clamp(1.2, 12.0);
    let mut path = String::new();
    for &(time, cell) in group.spikes.iter().filter(|(time, _)| time.is_finite()) {
        let centre = band.bottom - (f64::from(cell) + 0.5) * row;
        path.push_str(&format!("M{} {}v{}", number(x.place(time)), number(centre - tick / 2.0), number(tick)));
    }
    page.svg.path(&format!("{} thin", mark.class), &path, &format!(r#"{} stroke-linecap="butt""#, mark.stroke));
}

/// Spikes counted on a pixel grid; the more, the more opaque.
fn density(group: &SpikeGroup, x: &Mapping, band: &Area, [r, g, b]: [u8; 3]) -> Image {
    let width = (band.width() * FINENESS) as usize;
    let height = ((band.height() * FINENESS) as usize).max(1);
    let rows = group.rows().max(1) as f64;
    let mut counts = vec![0u32; width * height];
    for &(time, cell) in group.spikes.iter().filter(|(time, _)| time.is_finite()) {
        let column = ((x.place(time) - band.left) * FINENESS) as usize;
        let row = ((1.0 - (f64::from(cell) + 0.5) / rows) * height as f64) as usize;
        counts[row.min(height - 1) * width + column.min(width - 1)] += 1;
    }
    let mut filled: Vec<u32> = counts.iter().copied().filter(|&count| count > 0).collect();
    filled.sort_unstable();
    let typical = filled.get(filled.len() * 9 / 10).copied().unwrap_or(1).max(1);
    let levels = [0u8, 110, 150, 190, 225, 255];
    let pixels = counts.iter().map(|&count| if count == 0 { 0 } else { (1 + 4 * count.min(typical) / typical) as u8 });
    let palette = levels.iter().map(|&opacity| [r, g, b, opacity]).collect();
    Image { width, height, pixels: pixels.collect(), palette }
}

/// The rate of each population in a strip with the time axis; returns where it ends.
fn draw_rates(page: &mut Page, groups: &[SpikeGroup], x_axis: &Axis, x_range: (f64, f64), strip: Area) -> f64 {
    let seconds = match x_axis.unit.as_str() {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        _ => f64::NAN,
    };
    let (unit, per) = if seconds.is_nan() { ("", 1.0) } else { ("Hz", seconds) };
    let rates: Vec<Vec<f64>> = groups.iter().map(|group| rate(group, x_range, per)).collect();
    let most = bounds(rates.iter().flatten().copied()).map_or(1.0, |(_, high)| high.max(1e-9));
    let y_axis = Axis::new("rate", unit);
    let axes = Axes::new(x_axis, x_range, &y_axis, drawable((0.0, most * 1.05), Scale::Linear));
    let margin = axes.left_margin(strip.height() - 44.0);
    let frame = axes.draw(&mut page.svg, Area { left: strip.left - margin, ..strip });
    for (place, rates) in rates.iter().enumerate() {
        let points = steps(&frame, x_range, rates);
        let mark = page.mark(place, groups.len());
        if groups.len() == 1 {
            page.svg.path(&format!("{} area", mark.fill_class), &filled(&points, frame.inside.bottom), &mark.fill);
        }
        let outline: String = points.iter().map(|&(x, y)| format!("L{} {}", number(x), number(y))).collect();
        page.svg.path(&format!("{} thin", mark.class), &outline.replacen('L', "M", 1), &mark.stroke);
    }
    strip.bottom
}

const BINS: usize = 100;

/// Spikes per cell and second in each of 100 bins.
fn rate(group: &SpikeGroup, (low, high): (f64, f64), seconds: f64) -> Vec<f64> {
    let mut counts = vec![0.0; BINS];
    for &(time, _) in group.spikes.iter().filter(|(time, _)| time.is_finite()) {
        let bin = ((time - low) / (high - low) * BINS as f64) as usize;
        counts[bin.min(BINS - 1)] += 1.0;
    }
    let scale = group.rows().max(1) as f64 * (high - low) / BINS as f64 * seconds;
    counts.iter().map(|count| count / scale).collect()
}

fn steps(frame: &Frame, (low, high): (f64, f64), values: &[f64]) -> Vec<(f64, f64)> {
    let edge = |k: usize| frame.x.place(low + (high - low) * k as f64 / values.len() as f64);
    values
        .iter()
        .enumerate()
        .flat_map(|(k, &value)| [edge(k), edge(k + 1)].map(|x| (x, frame.y.place(value))))
        .collect()
}

fn describe(groups: &[SpikeGroup], x_axis: &Axis, range: (f64, f64)) -> String {
    let parts: Vec<String> =
        groups.iter().map(|g| format!("{}, {} spikes of {} cells", g.name, g.spikes.len(), g.rows())).collect();
    let unit = if x_axis.unit.is_empty() { String::new() } else { format!(" {}", x_axis.unit) };
    format!("Spikes from {} to {}{unit}: {}.", short(range.0), short(range.1), parts.join("; "))
}
