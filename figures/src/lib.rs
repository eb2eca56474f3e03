//! Figures that a paper could print, from plain descriptions: SVG text, terminal drawings and a report page.
//!
//! A [`Figure`] says what is shown. [`render`] draws it as one self-contained SVG; [`terminal::draw`] draws it with
//! Braille dots; [`report::report_html`] puts figures, tables and numbers on one page. Nothing here reads or writes
//! files, and equal input gives equal output, byte for byte.
//!
//! Figures stay small however much data they show: lines keep the first, least, largest and last value of each pixel
//! column, rasters and matrices become images on a pixel grid. NaN and infinite values are gaps. A figure without data
//! says so.

mod axes;
mod colours;
mod decimate;
pub mod figure;
mod kinds;
mod page;
mod png;
pub mod report;
mod scale;
mod svg;
pub mod terminal;
pub mod theme;

pub use figure::{Axis, Cloud, Curve, Figure, Heatmap, Kind, Panel, Scale, Series, SpikeGroup};
pub use theme::Theme;

use kinds::{bar, confusion, filters, histogram, line, matrix, raster, scatter, traces};

/// Draws a figure as SVG text. With [`Theme::Auto`] the colours follow the reader's light or dark setting.
pub fn render(figure: &Figure, theme: Theme) -> String {
    let title = figure.title.as_str();
    match &figure.kind {
        Kind::Line { x, series, x_axis, y_axis } => {
            line::render(title, &line::of_series(x, series), x_axis, y_axis, theme)
        }
        Kind::Spectrum { frequency, series, x_axis, y_axis } => {
            line::render(title, &line::of_series(frequency, series), x_axis, y_axis, theme)
        }
        Kind::Curves { curves, x_axis, y_axis } => line::render(title, &line::of_curves(curves), x_axis, y_axis, theme),
        Kind::Traces { panels, x_axis } => traces::render(title, panels, x_axis, theme),
        Kind::Raster { groups, x_axis } => raster::render(title, groups, x_axis, theme),
        Kind::Histogram { series, bins, x_axis } => histogram::render(title, series, *bins, x_axis, theme),
        Kind::Heatmap(map) => matrix::heatmap(title, map, theme),
        Kind::Bar { categories, series, y_axis } => bar::render(title, categories, series, y_axis, theme),
        Kind::Filters { height, width, images } => filters::render(title, (*height, *width), images, theme),
        Kind::Scatter { clouds, x_axis, y_axis } => scatter::render(title, clouds, x_axis, y_axis, theme),
        Kind::Confusion { labels, counts } => confusion::render(title, labels, counts, theme),
        Kind::ConnectivityMatrix { pre, post, entries, pre_name, post_name, value_axis } => {
            matrix::connectivity(title, (*pre, *post), entries, (pre_name, post_name), value_axis, theme)
        }
    }
}
