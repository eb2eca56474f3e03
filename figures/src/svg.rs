//! SVG text: elements, numbers and escapes. Knows nothing about figures.

use std::fmt::Write as _;

/// Text that grows by one element at a time.
#[derive(Default)]
pub struct Svg {
    text: String,
}

/// Where a text's anchor lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub fn into_text(self) -> String {
        self.text
    }

    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let (x1, y1, x2, y2) = (number(from.0), number(from.1), number(to.0), number(to.1));
        let _ = writeln!(self.text, r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#);
    }

    /// A rectangle; `extra` holds further attributes, each with a blank in front.
    pub fn rect(&mut self, class: &str, corner: (f64, f64), size: (f64, f64), extra: &str) {
        let (x, y, width, height) = (number(corner.0), number(corner.1), number(size.0), number(size.1));
        let _ =
            writeln!(self.text, r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"{extra}/>"#);
    }

    pub fn path(&mut self, class: &str, data: &str, extra: &str) {
        if !data.is_empty() {
            let _ = writeln!(self.text, r#"<path class="{class}" d="{data}"{extra}/>"#);
        }
    }

    pub fn circle(&mut self, class: &str, centre: (f64, f64), radius: f64, extra: &str) {
        let (x, y, r) = (number(centre.0), number(centre.1), number(radius));
        let _ = writeln!(self.text, r#"<circle class="{class}" cx="{x}" cy="{y}" r="{r}"{extra}/>"#);
    }

    pub fn label(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let (x, y) = (number(at.0), number(at.1));
        let anchor = anchor_attribute(anchor);
        let _ = writeln!(self.text, r#"<text class="{class}" x="{x}" y="{y}"{anchor}>{}</text>"#, escape(text));
    }

    /// Text that reads upwards, around its middle.
    pub fn upright(&mut self, class: &str, at: (f64, f64), text: &str) {
        let (x, y) = (number(at.0), number(at.1));
        let anchor = anchor_attribute(Anchor::Middle);
        let _ = writeln!(
            self.text,
            r#"<text class="{class}" transform="translate({x} {y}) rotate(-90)"{anchor}>{}</text>"#,
            escape(text)
        );
    }

    /// A picture given as a data address, stretched without smoothing.
    pub fn image(&mut self, corner: (f64, f64), size: (f64, f64), address: &str) {
        let (x, y, width, height) = (number(corner.0), number(corner.1), number(size.0), number(size.1));
        let _ = writeln!(
            self.text,
            concat!(
                r#"<image x="{}" y="{}" width="{}" height="{}" preserveAspectRatio="none" "#,
                r#"style="image-rendering:pixelated" href="{}"/>"#
            ),
            x, y, width, height, address
        );
    }
}

fn anchor_attribute(anchor: Anchor) -> &'static str {
    match anchor {
        Anchor::Start => "",
        Anchor::Middle => r#" text-anchor="middle""#,
        Anchor::End => r#" text-anchor="end""#,
    }
}

/// A coordinate with at most one digit behind the point.
pub fn number(value: f64) -> String {
    let tenths = (value * 10.0).round();
    if !tenths.is_finite() {
        return "0".into();
    }
    let whole = tenths as i64;
    if whole % 10 == 0 { (whole / 10).to_string() } else { format!("{:.1}", whole as f64 / 10.0) }
}

/// Makes text safe between tags and inside quotes. Control characters, which XML forbids, are dropped.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' => safe.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            other if other.is_control() => {}
            other => safe.push(other),
        }
    }
    safe
}

/// About how wide a text is, in the figures' font at `size`.
pub fn text_width(text: &str, size: f64) -> f64 {
    let ems: f64 = text.chars().map(character_width).sum();
    ems * size * 1.06
}

fn character_width(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '\'' | '!' => 0.28,
        'f' | 't' | 'r' | ' ' | '(' | ')' | '[' | ']' | '/' | '-' => 0.36,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.88,
        'A'..='Z' => 0.68,
        _ => 0.57,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts: Vec<String> = [0.0, -0.04, 12.0, 12.34, -7.25, f64::NAN].iter().map(|&v| number(v)).collect();
        assert_eq!(texts, ["0", "0", "12", "12.3", "-7.3", "0"]);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("a<b & \"c\"\u{1}\n"), "a&lt;b &amp; &quot;c&quot; ");
    }
}
