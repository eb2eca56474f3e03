//! From values to places: ranges, ticks and how ticks are written.

use crate::figure::Scale;

/// The least and the largest finite value.
pub fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// A range on an axis and where it lies on the page.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    pub low: f64,
    pub high: f64,
    /// Page coordinates of `low` and `high`.
    pub from: f64,
    pub to: f64,
    pub scale: Scale,
}

impl Mapping {
    pub fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log if value <= 0.0 => f64::NAN,
            Scale::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        self.from + share * (self.to - self.from)
    }
}

/// A range that can be drawn: never empty, on a log axis never touching zero.
pub fn drawable(range: (f64, f64), scale: Scale) -> (f64, f64) {
    let (low, high) = range;
    match scale {
        Scale::Log if low == high => (low / 2.0, high * 2.0),
        Scale::Linear if low == high => {
            let reach = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low - reach, high + reach)
        }
        _ => range,
    }
}

/// A little air around the data; an amount that comes near zero starts at zero.
pub fn padded(range: (f64, f64), scale: Scale) -> (f64, f64) {
    let (low, high) = drawable(range, scale);
    if scale == Scale::Log {
        let air = (high / low).powf(0.04);
        return (low / air, high * air);
    }
    let air = 0.05 * (high - low);
    let near_zero = |end: f64, other: f64| end * other >= 0.0 && end.abs() <= 0.3 * other.abs();
    let bottom = if low >= 0.0 && near_zero(low, high) { 0.0 } else { low - air };
    let top = if high <= 0.0 && near_zero(high, low) { 0.0 } else { high + air };
    (bottom, top)
}

/// Labelled places on an axis.
#[derive(Clone, Debug, Default)]
pub struct Ticks {
    pub major: Vec<(f64, String)>,
    pub minor: Vec<f64>,
    /// A power of ten that all labels share, as `×10³`; empty for none.
    pub factor: String,
}

/// Places at round numbers, about `count` of them.
pub fn ticks(low: f64, high: f64, count: usize, scale: Scale) -> Ticks {
    let (low, high) = (low.min(high), high.max(low));
    match scale {
        Scale::Linear => linear_ticks(low, high, count),
        Scale::Log => log_ticks(low, high, count),
    }
}

/// A range whose upper end, if it misses a tick by less than `share` of the range, is moved there: a recording of one
/// second ends a step before the label that says so.
pub fn snapped(range: (f64, f64), share: f64) -> (f64, f64) {
    let (low, high) = range;
    let reach = high + share * (high - low);
    let found = linear_ticks(low, reach, 8);
    let last = found.major.last().map_or(high, |&(value, _)| value);
    (low, high.max(last))
}

fn linear_ticks(low: f64, high: f64, count: usize) -> Ticks {
    let rough = (high - low) / count.max(1) as f64;
    if !(rough.is_finite() && rough > 0.0) {
        return Ticks::default();
    }
    let decade = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * decade).into_iter().find(|&s| s >= rough * 0.999).unwrap_or(rough);
    let slack = 1e-9 * (high - low);
    let first = ((low - slack) / step).ceil() as i64;
    let last = ((high + slack) / step).floor() as i64;
    let values: Vec<f64> = (first..=last).map(|k| k as f64 * step).collect();
    let largest = values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let exponent = if (1e-3..1e5).contains(&largest) || largest == 0.0 {
        0
    } else {
        (largest.log10() / 3.0 + 1e-9).floor() as i32 * 3
    };
    let unit = 10f64.powi(exponent);
    let decimals = decimals_of(step / unit);
    let major = values.iter().map(|&value| (value, plain(value / unit, decimals))).collect();
    let factor = if exponent == 0 { String::new() } else { format!("×10{}", superscript(exponent)) };
    Ticks { major, minor: Vec::new(), factor }
}

fn decimals_of(step: f64) -> usize {
    (0..8).find(|&d| (step * 10f64.powi(d) - (step * 10f64.powi(d)).round()).abs() < 1e-6).unwrap_or(8) as usize
}

fn log_ticks(low: f64, high: f64, count: usize) -> Ticks {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let inside = |value: f64| value >= low * 0.999_999 && value <= high * 1.000_001;
    let decades: Vec<i32> = (first..=last).filter(|&e| inside(10f64.powi(e))).collect();
    let every = decades.len().div_ceil(count.max(2)).max(1);
    let mut found = Ticks::default();
    let digits: &[f64] = if decades.len() <= 1 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    for exponent in first..=last {
        let power = 10f64.powi(exponent);
        for &digit in digits.iter().filter(|&&digit| inside(digit * power)) {
            if ((exponent - first) as usize).is_multiple_of(every) {
                found.major.push((digit * power, power_label(digit, exponent)));
            }
        }
        if every == 1 {
            found.minor.extend((2..10).map(|digit| f64::from(digit) * power).filter(|&value| inside(value)));
        }
    }
    found
}

fn power_label(digit: f64, exponent: i32) -> String {
    if (-2..=3).contains(&exponent) {
        return plain(digit * 10f64.powi(exponent), (-exponent).max(0) as usize);
    }
    let power = format!("10{}", superscript(exponent));
    if digit == 1.0 { power } else { format!("{digit}·{power}") }
}

/// A number with a real minus sign.
pub fn plain(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| c == '0' || c == '.') => rest.to_string(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// A value for a label or a description: three significant digits.
pub fn short(value: f64) -> String {
    if !value.is_finite() {
        return "—".into();
    }
    if value == 0.0 {
        return "0".into();
    }
    let exponent = value.abs().log10().floor() as i32;
    if !(-4..6).contains(&exponent) {
        let mantissa = value / 10f64.powi(exponent);
        return format!("{}·10{}", trim(&plain(mantissa, 2)), superscript(exponent));
    }
    trim(&plain(value, (2 - exponent).max(0) as usize))
}

fn trim(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text.to_string() }
}

fn superscript(number: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let sign = if number < 0 { "⁻" } else { "" };
    let digits: String = number.unsigned_abs().to_string().bytes().map(|b| DIGITS[usize::from(b - b'0')]).collect();
    format!("{sign}{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, scale: Scale) -> String {
        let found = ticks(low, high, 5, scale);
        let texts: Vec<String> = found.major.into_iter().map(|(_, text)| text).collect();
        format!("{} {}", texts.join(" "), found.factor).trim_end().to_string()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(0.0, 1.0, Scale::Linear), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(labels(-70.0, 30.0, Scale::Linear), "−60 −40 −20 0 20");
        assert_eq!(labels(0.0, 2e6, Scale::Linear), "0.0 0.5 1.0 1.5 2.0 ×10⁶");
        assert_eq!(labels(0.0, 4e-4, Scale::Linear), "0 100 200 300 400 ×10⁻⁶");
        assert_eq!(labels(0.01, 100.0, Scale::Log), "0.01 0.1 1 10 100");
        assert_eq!(labels(1e-9, 1e9, Scale::Log), "10⁻⁹ 10⁻⁵ 0.1 1000 10⁷");
        assert_eq!(labels(2.0, 9.0, Scale::Log), "2 5");
    }

    #[test]
    fn odd_ranges_do_not_panic() {
        assert!(ticks(0.0, f64::NAN, 5, Scale::Linear).major.is_empty());
        assert_eq!(drawable((0.0, 0.0), Scale::Linear), (-1.0, 1.0));
        assert_eq!(padded((0.5, 20.0), Scale::Linear).0, 0.0);
    }

    #[test]
    fn short_numbers() {
        let texts: Vec<String> = [0.0, 0.98765, 1234.5, -2e-9, 7e12].iter().map(|&v| short(v)).collect();
        assert_eq!(texts, ["0", "0.988", "1234", "−2·10⁻⁹", "7·10¹²"]);
    }
}
