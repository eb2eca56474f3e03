//! Figures in a terminal: Braille dots for lines and points, blocks for bars, shades for matrices.

mod blocks;
mod canvas;
mod plot;

use crate::colours::Grading;
use crate::decimate::block_means;
use crate::figure::{Axis, Figure, Heatmap, Kind};
use crate::kinds::{filters, histogram, line, raster};
use crate::scale::short;
use plot::{Group, Plot};

/// How series are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ink {
    /// Characters alone, for files and pipes.
    #[default]
    Plain,
    /// Sixteen-colour escapes.
    Ansi,
}

/// One line of eighth blocks, the values averaged into at most `width` columns; a blank where there is no value.
pub fn sparkline(values: &[f64], width: usize) -> String {
    let (means, _, _) = block_means(values, 1, values.len(), (width, 1));
    blocks::spark(&means)
}

/// Draws a figure in at most `width` by `height` characters.
pub fn draw(figure: &Figure, width: usize, height: usize) -> String {
    draw_in(figure, width, height, Ink::Plain)
}

/// Draws a figure in at most `width` by `height` characters, in colour if wanted.
pub fn draw_in(figure: &Figure, width: usize, height: usize, ink: Ink) -> String {
    let (width, height) = (width.max(20), height.max(5));
    let title = if figure.title.is_empty() { String::new() } else { fitted(&figure.title, width) + "\n" };
    let room = height - usize::from(!title.is_empty());
    let body = body(&figure.kind, width, room, ink).unwrap_or_else(|| "no data".into());
    format!("{title}{}", body.trim_end_matches('\n'))
}

fn body(kind: &Kind, width: usize, height: usize, ink: Ink) -> Option<String> {
    let plot = |x_axis, y_axis| Plot { width, height, ink, x_axis, y_axis };
    match kind {
        Kind::Line { x, series, x_axis, y_axis } => plot(x_axis, y_axis).lines(&line::of_series(x, series)),
        Kind::Spectrum { frequency, series, x_axis, y_axis } => {
            plot(x_axis, y_axis).lines(&line::of_series(frequency, series))
        }
        Kind::Curves { curves, x_axis, y_axis } => plot(x_axis, y_axis).lines(&line::of_curves(curves)),
        Kind::Traces { panels, x_axis } => {
            let shown = &panels[..panels.len().min((height / 4).max(1))];
            plot(x_axis, &Axis::default()).stacked(shown)
        }
        Kind::Raster { groups, x_axis } => {
            let range = raster::time_range(groups)?;
            plot(x_axis, &Axis::new("cell", "")).spikes(groups, range)
        }
        Kind::Scatter { clouds, x_axis, y_axis } => {
            let groups: Vec<Group> =
                clouds.iter().map(|cloud| Group { name: &cloud.name, points: cloud.points.clone() }).collect();
            plot(x_axis, y_axis).points(&groups)
        }
        Kind::Histogram { series, bins, x_axis } => {
            let grid = histogram::Grid::of(series, Some(bins.unwrap_or(usize::MAX).min(width - 2)))?;
            let counts: Vec<f64> = series.iter().map(|one| grid.count(&one.y)).fold(vec![0.0; grid.bins], added);
            Some(blocks::columns(&counts, height.min(12), (grid.low, grid.high), &x_axis.caption()))
        }
        Kind::Bar { categories, series, y_axis } => blocks::bars(categories, series, y_axis, width, height),
        Kind::Heatmap(map) => shades(map, true, width, height),
        Kind::ConnectivityMatrix { pre, post, entries, .. } => {
            shades(&dense(*pre, *post, entries), false, width, height)
        }
        Kind::Filters { height: h, width: w, images } => pictures(images, (*h, *w), width, height),
        Kind::Confusion { labels, counts } => blocks::confusion(labels, counts, width),
    }
}

fn added(mut sum: Vec<f64>, more: Vec<f64>) -> Vec<f64> {
    for (total, value) in sum.iter_mut().zip(more) {
        *total += value;
    }
    sum
}

/// How many connections there are in each place of a coarse grid, for shading.
fn dense(pre: usize, post: usize, entries: &[(u32, u32, f64)]) -> Heatmap {
    let (rows, columns) = (post.min(400), pre.min(400));
    let mut values = vec![0.0; rows * columns];
    for &(i, j, weight) in entries.iter().filter(|(i, j, _)| (*i as usize) < pre && (*j as usize) < post) {
        values[j as usize * rows / post * columns + i as usize * columns / pre] += f64::from(u8::from(weight != 0.0));
    }
    Heatmap { rows, columns, values, value_axis: Axis::new("connections", ""), ..Heatmap::default() }
}

fn shades(map: &Heatmap, upwards: bool, width: usize, height: usize) -> Option<String> {
    if map.rows == 0 || map.columns == 0 || !map.values.iter().any(|value| value.is_finite()) {
        return None;
    }
    let tall = (height.max(3) - 1).min(map.rows);
    // A character is about twice as high as it is wide.
    let wide = match map.is_even() {
        true => (2 * tall * map.columns / map.rows).clamp(1, width),
        false => width,
    };
    let (means, rows, columns) = block_means(&map.values, map.rows, map.columns, (wide, tall));
    let times = if map.is_even() { (wide / columns).clamp(1, 2) } else { 1 };
    let grading = Grading::of(&means);
    let shades = |row: &[f64]| row.iter().map(|&x| blocks::shade(grading.place(x)).to_string().repeat(times)).collect();
    let mut lines: Vec<String> = means.chunks(columns).take(rows).map(shades).collect();
    if upwards {
        lines.reverse();
    }
    let name = map.value_axis.caption();
    lines.push(fitted(&format!("{} {} … █ {}  {name}", '░', short(grading.low), short(grading.high)), width));
    Some(lines.join("\n"))
}

fn pictures(images: &[Vec<f64>], (rows, columns): (usize, usize), width: usize, height: usize) -> Option<String> {
    if rows == 0 || columns == 0 || images.is_empty() {
        return None;
    }
    let (h, w) = (rows.min(height), (2 * columns).min(width));
    let across = ((width + 1) / (w + 1)).max(1);
    let down = ((height + 1) / (h + 1)).max(1);
    let mut blocks_of_rows = Vec::new();
    for group in images.chunks(across).take(down) {
        let line = |y: usize| {
            let one = |image: &Vec<f64>| {
                let (low, high) = filters::contrast(image);
                let value = |x: usize| image.get(y * rows / h * columns + x * columns / w).copied().unwrap_or(f64::NAN);
                (0..w).map(|x| blocks::shade((value(x) - low) / (high - low))).collect::<String>()
            };
            group.iter().map(one).collect::<Vec<_>>().join(" ")
        };
        blocks_of_rows.push((0..h).map(line).collect::<Vec<_>>().join("\n"));
    }
    Some(blocks_of_rows.join("\n\n"))
}

/// A text cut to a width.
fn fitted(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}
