//! Points without lines; where they are many, their density.

use crate::axes::{Axes, Frame};
use crate::figure::{Axis, Cloud};
use crate::page::{Area, PLOT_HEIGHT, Page, RIM, Swatch, WIDTH};
use crate::png::Image;
use crate::scale::{bounds, padded, short};
use crate::theme::Theme;

/// Beyond this many points the clouds become images.
const MARKS: usize = 3_000;
const FINENESS: f64 = 1.5;

pub fn render(title: &str, clouds: &[Cloud], x_axis: &Axis, y_axis: &Axis, theme: Theme) -> String {
    let mut page = Page::new(title, WIDTH, theme);
    let points = || clouds.iter().flat_map(|cloud| cloud.points.iter()).filter(|p| p.0.is_finite() && p.1.is_finite());
    let (Some(x_range), Some(y_range)) = (bounds(points().map(|p| p.0)), bounds(points().map(|p| p.1))) else {
        return page.nothing("no data");
    };
    let names: Vec<&str> = clouds.iter().map(|cloud| cloud.name.as_str()).collect();
    page.legend(&names, Swatch::Box);
    let area = Area { left: RIM, top: page.top + 6.0, right: WIDTH - RIM - 6.0, bottom: page.top + 6.0 + PLOT_HEIGHT };
    let (x_range, y_range) = (padded(x_range, x_axis.scale), padded(y_range, y_axis.scale));
    let frame = Axes::new(x_axis, x_range, y_axis, y_range).draw(&mut page.svg, area);
    let count = points().count();
    for (place, cloud) in clouds.iter().enumerate() {
        if count > MARKS {
            let image = density(&frame, cloud, page.theme.image_colour(place));
            let inside = frame.inside;
            page.svg.image((inside.left, inside.top), (inside.width(), inside.height()), &image.address());
            page.mark(place, clouds.len());
            continue;
        }
        let mark = page.mark(place, clouds.len());
        for &(x, y) in &cloud.points {
            let at = (frame.x.place(x), frame.y.place(y));
            if at.0.is_finite() && at.1.is_finite() {
                page.svg.circle(&format!("{} dot", mark.fill_class), at, 3.0, &mark.fill);
            }
        }
    }
    let what = |axis: &Axis| super::line::or_values(&axis.caption()).to_string();
    let description = format!(
        "{count} points, {} from {} to {}, {} from {} to {}.",
        what(x_axis),
        short(x_range.0),
        short(x_range.1),
        what(y_axis),
        short(y_range.0),
        short(y_range.1)
    );
    page.finish(area.bottom + RIM, title, &description)
}

fn density(frame: &Frame, cloud: &Cloud, [r, g, b]: [u8; 3]) -> Image {
    let inside = frame.inside;
    let width = (inside.width() * FINENESS) as usize;
    let height = (inside.height() * FINENESS) as usize;
    let mut counts = vec![0u32; width * height];
    for &(x, y) in &cloud.points {
        let (x, y) = ((frame.x.place(x) - inside.left) * FINENESS, (frame.y.place(y) - inside.top) * FINENESS);
        if x.is_finite() && y.is_finite() {
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let (column, row) = ((x as usize + dx).min(width - 1), (y as usize + dy).min(height - 1));
                counts[row * width + column] += 1;
            }
        }
    }
    let level = |count: u32| if count == 0 { 0 } else { (32 - count.leading_zeros()).min(5) as u8 };
    let palette = [0u8, 120, 160, 195, 225, 255].iter().map(|&opacity| [r, g, b, opacity]).collect();
    Image { width, height, pixels: counts.into_iter().map(level).collect(), palette }
}
