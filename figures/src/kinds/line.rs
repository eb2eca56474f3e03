//! Lines over a common x, learning curves and spectra.

use crate::axes::{Axes, Frame};
use crate::decimate::line_path;
use crate::figure::{Axis, Curve, Scale, Series};
use crate::page::{Area, PLOT_HEIGHT, Page, RIM, Swatch, WIDTH};
use crate::scale::{bounds, drawable, padded, short, snapped};
use crate::svg::{Svg, number};
use crate::theme::Theme;

/// One line: its name and its points.
pub struct Line<'a> {
    pub name: &'a str,
    pub x: &'a [f64],
    pub y: &'a [f64],
}

pub fn of_series<'a>(x: &'a [f64], series: &'a [Series]) -> Vec<Line<'a>> {
    series.iter().map(|one| Line { name: &one.name, x, y: &one.y }).collect()
}

pub fn of_curves(curves: &[Curve]) -> Vec<Line<'_>> {
    curves.iter().map(|one| Line { name: &one.name, x: &one.x, y: &one.y }).collect()
}

/// Draws the lines in one plot.
pub fn render(title: &str, lines: &[Line], x_axis: &Axis, y_axis: &Axis, theme: Theme) -> String {
    let mut page = Page::new(title, WIDTH, theme);
    let x_found = x_range(lines.iter().flat_map(|line| visible(line.x, x_axis.scale)), x_axis.scale);
    let y_found = bounds(lines.iter().flat_map(|line| visible(line.y, y_axis.scale)));
    let (Some(x_found), Some(y_found)) = (x_found, y_found) else {
        return page.nothing("no data");
    };
    let names: Vec<&str> = lines.iter().map(|line| line.name).collect();
    page.legend(&names, Swatch::Line);
    let caption = sole_name(&names, y_axis);
    let area = Area { left: RIM, top: page.top + 6.0, right: WIDTH - RIM - 6.0, bottom: page.top + 6.0 + PLOT_HEIGHT };
    let x_whole = lines.iter().all(|line| line.x.iter().all(|x| x.fract() == 0.0));
    let axes = Axes { x_whole, ..Axes::new(x_axis, x_found, &caption, padded(y_found, y_axis.scale)) };
    let frame = axes.draw(&mut page.svg, area);
    for (place, line) in lines.iter().enumerate() {
        draw_line(&mut page, &frame, lines, place, line);
    }
    let description = describe(lines, x_axis, y_axis);
    page.finish(area.bottom + RIM, title, &description)
}

/// A single series names the axis, if nothing else does.
pub fn sole_name(names: &[&str], axis: &Axis) -> Axis {
    match names {
        [only] if axis.label.is_empty() => Axis { label: only.to_string(), ..axis.clone() },
        _ => axis.clone(),
    }
}

fn visible(values: &[f64], scale: Scale) -> impl Iterator<Item = f64> {
    values.iter().copied().filter(move |&value| scale == Scale::Linear || value > 0.0)
}

fn draw_line(page: &mut Page, frame: &Frame, lines: &[Line], place: usize, line: &Line) {
    let mark = page.mark(place, lines.len());
    let hides = lines[..place].iter().any(|earlier| coincide(frame, earlier, line));
    let class = if hides { format!("{} dash", mark.class) } else { mark.class.clone() };
    page.svg.path(&class, &line_path(frame, line.x, line.y), &mark.stroke);
    if line.x.len() <= 30 && lines.len() <= 8 {
        dots(&mut page.svg, frame, line, &mark.fill_class, &mark.fill);
    }
}

fn dots(svg: &mut Svg, frame: &Frame, line: &Line, class: &str, extra: &str) {
    for (&x, &y) in line.x.iter().zip(line.y) {
        let (x, y) = (frame.x.place(x), frame.y.place(y));
        if x.is_finite() && y.is_finite() {
            svg.circle(class, (x, y), 2.6, extra);
        }
    }
}

/// Whether two lines run so close that the later one would hide the earlier: then it is dashed.
fn coincide(frame: &Frame, a: &Line, b: &Line) -> bool {
    if a.x != b.x || a.y.len() != b.y.len() {
        return false;
    }
    let gaps: Vec<f64> = a.y.iter().zip(b.y).map(|(&a, &b)| (frame.y.place(a) - frame.y.place(b)).abs()).collect();
    let known: Vec<f64> = gaps.into_iter().filter(|gap| gap.is_finite()).collect();
    known.len() > 1 && known.iter().filter(|&&gap| gap < 1.5).count() * 10 > known.len() * 7
}

/// A sentence that says what can be seen.
pub fn describe(lines: &[Line], x_axis: &Axis, y_axis: &Axis) -> String {
    let over = if x_axis.caption().is_empty() { String::new() } else { format!(" over {}", x_axis.caption()) };
    let one = |line: &Line| {
        let name = if line.name.is_empty() { "values" } else { line.name };
        match bounds(line.y.iter().copied()) {
            Some((low, high)) => format!("{name} from {} to {}", short(low), short(high)),
            None => format!("{name} without data"),
        }
    };
    let parts: Vec<String> = lines.iter().take(12).map(one).collect();
    format!("{} lines of {}{over}: {}.", lines.len(), or_values(&y_axis.caption()), parts.join("; "))
}

pub fn or_values(text: &str) -> &str {
    if text.is_empty() { "values" } else { text }
}

/// The outline of a filled curve down to a base line.
pub fn filled(points: &[(f64, f64)], base: f64) -> String {
    let Some((first, last)) = points.first().zip(points.last()) else { return String::new() };
    let mut path = format!("M{} {}", number(first.0), number(base));
    for &(x, y) in points {
        path.push_str(&format!("L{} {}", number(x), number(y)));
    }
    path.push_str(&format!("L{} {}Z", number(last.0), number(base)));
    path
}

/// The range of a common x: the data's, up to a tick that it nearly reaches.
pub fn x_range(values: impl Iterator<Item = f64>, scale: Scale) -> Option<(f64, f64)> {
    let range = drawable(bounds(values)?, scale);
    Some(if scale == Scale::Linear { snapped(range, 0.01) } else { range })
}
