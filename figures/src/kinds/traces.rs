//! Recordings under one another over a common axis of time.

use super::line;
use crate::axes::Axes;
use crate::decimate::line_path;
use crate::figure::{Axis, Panel};
use crate::page::{Area, Page, RIM, Swatch, WIDTH};
use crate::scale::{bounds, padded, short};
use crate::theme::Theme;

const GAP: f64 = 10.0;

pub fn render(title: &str, panels: &[Panel], x_axis: &Axis, theme: Theme) -> String {
    let mut page = Page::new(title, WIDTH, theme);
    let values = panels.iter().flat_map(|panel| panel.series.iter().flat_map(|series| series.y.iter().copied()));
    let (Some(x_range), Some(_)) =
        (line::x_range(panels.iter().flat_map(|panel| panel.time.iter().copied()), x_axis.scale), bounds(values))
    else {
        return page.nothing("no data");
    };
    let longest = panels.iter().max_by_key(|panel| panel.series.len());
    let names: Vec<&str> =
        longest.map(|panel| panel.series.iter().map(|s| s.name.as_str()).collect()).unwrap_or_default();
    if panels.iter().all(|panel| panel.series.iter().map(|s| s.name.as_str()).eq(names.iter().copied())) {
        page.legend(&names, Swatch::Line);
    }
    let height = if panels.len() == 1 { 260.0 } else { 116.0 };
    let ranges: Vec<(f64, f64)> = panels.iter().map(panel_range).collect();
    let axes_of = |place: usize| Axes::new(x_axis, x_range, &panels[place].axis, ranges[place]);
    let margin = (0..panels.len()).map(|place| axes_of(place).left_margin(height)).fold(0.0, f64::max);
    let mut top = page.top + 6.0;
    for (place, panel) in panels.iter().enumerate() {
        let last = place + 1 == panels.len();
        let below = match (last, x_axis.caption().is_empty()) {
            (false, _) => 8.0,
            (true, true) => 24.0,
            (true, false) => 44.0,
        };
        let area = Area { left: RIM, top, right: WIDTH - RIM - 6.0, bottom: top + height + below };
        let axes = Axes { x_labels: last, margin, ..axes_of(place) };
        let frame = axes.draw(&mut page.svg, area);
        for (index, series) in panel.series.iter().enumerate() {
            let mark = page.mark(index, panel.series.len());
            let thin = if panel.series.len() > 1 { " thin" } else { "" };
            page.svg.path(&format!("{}{thin}", mark.class), &line_path(&frame, &panel.time, &series.y), &mark.stroke);
        }
        top = area.bottom + if last { 0.0 } else { GAP };
    }
    page.finish(top + RIM, title, &describe(panels, x_axis, x_range))
}

fn panel_range(panel: &Panel) -> (f64, f64) {
    let values = panel.series.iter().flat_map(|series| series.y.iter().copied());
    padded(bounds(values).unwrap_or((0.0, 1.0)), panel.axis.scale)
}

fn describe(panels: &[Panel], x_axis: &Axis, range: (f64, f64)) -> String {
    let one = |panel: &Panel| {
        let values = panel.series.iter().flat_map(|series| series.y.iter().copied());
        let (low, high) = bounds(values).unwrap_or((f64::NAN, f64::NAN));
        format!("{} from {} to {}", line::or_values(&panel.axis.caption()), short(low), short(high))
    };
    let parts: Vec<String> = panels.iter().take(12).map(one).collect();
    let time = line::or_values(&x_axis.caption()).to_string();
    format!("Traces over {time} from {} to {}: {}.", short(range.0), short(range.1), parts.join("; "))
}
