//! The sheet that a figure is drawn on: title, legend, and what is left for the plot.

use crate::colours::{self, Map};
use crate::svg::{Anchor, Svg, escape, number, text_width};
use crate::theme::{SERIES, Theme};

/// The usual width of a figure.
pub const WIDTH: f64 = 640.0;
/// The usual height of what is below title and legend.
pub const PLOT_HEIGHT: f64 = 320.0;
/// The free rim.
pub const RIM: f64 = 14.0;

/// A part of the sheet.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }
}

pub struct Page {
    pub svg: Svg,
    pub theme: Theme,
    pub width: f64,
    /// Where the plot begins.
    pub top: f64,
    /// Series with a palette colour, for the style rules.
    series: usize,
}

/// How a series is marked: a class where the palette suffices, else a colour from a scale.
#[derive(Clone, Debug)]
pub struct Mark {
    pub class: String,
    pub fill_class: String,
    pub stroke: String,
    pub fill: String,
}

impl Page {
    pub fn new(title: &str, width: f64, theme: Theme) -> Self {
        let mut page = Page { svg: Svg::default(), theme, width, top: RIM, series: 0 };
        if !title.is_empty() {
            page.svg.label("title", (RIM, RIM + 14.0), Anchor::Start, title);
            page.top += 28.0;
        }
        page
    }

    /// The colour of series `place` of `count`.
    pub fn mark(&mut self, place: usize, count: usize) -> Mark {
        if count <= SERIES {
            self.series = self.series.max(place + 1);
            let (class, fill_class) = (format!("s s{place}"), format!("f{place}"));
            return Mark { class, fill_class, stroke: String::new(), fill: String::new() };
        }
        let share = 0.12 + 0.76 * place as f64 / (count - 1) as f64;
        let colour = colours::hex(colours::colour(Map::Amount, share));
        let (stroke, fill) = (format!(r#" style="stroke:{colour}""#), format!(r#" style="fill:{colour}""#));
        Mark { class: "s".into(), fill_class: String::new(), stroke, fill }
    }

    /// A row or more of names with their colours; nothing for a single name.
    pub fn legend(&mut self, names: &[&str], shape: Swatch) {
        let count = names.len();
        if count < 2 || names.iter().all(|name| name.is_empty()) {
            return;
        }
        const SHOWN: usize = 16;
        let every = count.div_ceil(SHOWN);
        let (mut x, mut y) = (RIM, self.top + 9.0);
        for (place, name) in names.iter().enumerate().filter(|(place, _)| place % every == 0 || place + 1 == count) {
            let width = 26.0 + text_width(name, 13.0) + 16.0;
            if x + width > self.width && x > RIM {
                (x, y) = (RIM, y + 19.0);
            }
            let mark = self.mark(place, count);
            match shape {
                Swatch::Line => {
                    let data = format!("M{} {}H{}", number(x), number(y), number(x + 20.0));
                    self.svg.path(&mark.class, &data, &mark.stroke);
                }
                Swatch::Box => self.svg.rect(&mark.fill_class, (x + 4.0, y - 6.0), (12.0, 12.0), &mark.fill),
            }
            self.svg.label("name", (x + 26.0, y + 4.5), Anchor::Start, name);
            x += width;
        }
        self.top = y + 17.0;
    }

    /// Says that there is nothing to show.
    pub fn nothing(mut self, why: &str) -> String {
        let height = self.top + 120.0;
        self.svg.label("name", (self.width / 2.0, self.top + 60.0), Anchor::Middle, why);
        self.finish(height, "", why)
    }

    /// Closes the sheet at a height and writes it out.
    pub fn finish(self, height: f64, title: &str, description: &str) -> String {
        let (width, height, class) = (number(self.width), number(height), self.theme.class());
        let name = if title.is_empty() { description } else { title };
        let (name, description, style) = (escape(name), escape(description), self.theme.style(self.series));
        let body = self.svg.into_text();
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" "#,
                r#"role="img" class="{c}" aria-label="{n}">"#,
                "\n<title>{n}</title>\n<desc>{d}</desc>\n<style>{s}</style>\n",
                r#"<rect class="page" width="{w}" height="{h}"/>"#,
                "\n{b}</svg>\n"
            ),
            w = width,
            h = height,
            c = class,
            n = name,
            d = description,
            s = style,
            b = body
        )
    }
}

/// What stands for a series in the legend.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Swatch {
    Line,
    Box,
}
