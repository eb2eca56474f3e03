//! Colours and styles: black on white, light on dark, or both in one text.
//!
//! Series take the palette of Okabe and Ito (2008), which readers with any form of colour vision can tell apart; its
//! two light colours come last on white.

use std::fmt::Write as _;

/// Which colours a figure uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
    /// One text with both, chosen by `prefers-color-scheme`.
    #[default]
    Auto,
}

/// Series with a colour of their own; more of them run through a scale.
pub const SERIES: usize = 8;

struct Colours {
    page: &'static str,
    ink: &'static str,
    quiet: &'static str,
    grid: &'static str,
    series: [&'static str; SERIES],
}

const LIGHT: Colours = Colours {
    page: "#ffffff",
    ink: "#1a1a1a",
    quiet: "#595959",
    grid: "#e4e4e4",
    series: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1a1a1a", "#8c8510"],
};

const DARK: Colours = Colours {
    page: "#16181c",
    ink: "#ececec",
    quiet: "#a8abb0",
    grid: "#33363c",
    series: ["#56b4e9", "#e8702a", "#1fb88d", "#d993bb", "#e69f00", "#2f8fcf", "#ececec", "#f0e442"],
};

const FONT: &str = "font-family:Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif";

impl Theme {
    /// The class of a figure's root, under which its rules stand, so that figures on one page do not mix.
    pub fn class(self) -> &'static str {
        match self {
            Theme::Light => "nnm-light",
            Theme::Dark => "nnm-dark",
            Theme::Auto => "nnm-auto",
        }
    }

    /// The rules for a figure that uses the first `series` colours.
    pub fn style(self, series: usize) -> String {
        let root = format!(".{}", self.class());
        let mut rules = format!(
            concat!(
                "{r} text{{{f};font-size:13px}}{r} .title{{font-size:16px;font-weight:600}}",
                "{r} .tick,{r} .note{{font-size:12px}}{r} .name{{font-size:13px}}",
                "{r} .s{{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}}",
                "{r} .thin{{stroke-width:1.1}}{r} .dash{{stroke-dasharray:5 7;stroke-linecap:butt}}",
                "{r} .axis{{fill:none;stroke-width:1.1}}{r} .grid{{fill:none;stroke-width:1}}",
                "{r} .area{{fill-opacity:.35}}{r} .dot{{fill-opacity:.75}}",
            ),
            r = root,
            f = FONT
        );
        let (first, second) = match self {
            Theme::Light => (&LIGHT, None),
            Theme::Dark => (&DARK, None),
            Theme::Auto => (&LIGHT, Some(&DARK)),
        };
        first.write(&mut rules, &root, series);
        if let Some(colours) = second {
            rules.push_str("@media (prefers-color-scheme:dark){");
            colours.write(&mut rules, &root, series);
            rules.push('}');
        }
        let _ = write!(rules, "{root} .bright{{fill:#fff}}");
        rules
    }

    /// The colour of a series in a picture that cannot follow the reader's setting.
    pub fn image_colour(self, series: usize) -> [u8; 3] {
        let colours = if self == Theme::Dark { &DARK } else { &LIGHT };
        let name = match (self, series % SERIES) {
            (Theme::Auto, 0) => "#2f8fcf", // between the two blues, visible on both grounds
            (Theme::Auto, 6) => "#808080",
            (_, place) => colours.series[place],
        };
        let channel = |at: usize| u8::from_str_radix(&name[at..at + 2], 16).unwrap_or(0);
        [channel(1), channel(3), channel(5)]
    }
}

impl Colours {
    fn write(&self, rules: &mut String, root: &str, series: usize) {
        let Colours { page, ink, quiet, grid, .. } = self;
        let _ = write!(
            rules,
            concat!(
                "{r} .page{{fill:{p}}}{r} text{{fill:{i}}}{r} .tick,{r} .note{{fill:{q}}}",
                "{r} .axis{{stroke:{i}}}{r} .grid{{stroke:{g}}}{r} .blank{{fill:{g}}}"
            ),
            r = root,
            p = page,
            i = ink,
            q = quiet,
            g = grid
        );
        for (place, colour) in self.series.iter().enumerate().take(series) {
            let _ = write!(rules, "{root} .s{place}{{stroke:{colour}}}{root} .f{place}{{fill:{colour}}}");
        }
    }
}
