//! Numbers and tables as people read them.

use crate::unit::{Unit, from_si};
use crate::value::{Num, Repr};

/// `95.3 %`, `12.5 mV`, `3`: a number in its unit, with five digits.
pub fn quantity(si: f64, unit: &Unit) -> String {
    let shown = unit.shown();
    let value = plain(from_si(si, &shown));
    if shown.name.is_empty() { value } else { format!("{value} {}", shown.name) }
}

/// A number with at most five significant digits.
pub fn plain(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return format!("{value}");
    }
    let size = value.abs();
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let digits = (4 - size.log10().floor() as i32).clamp(0, 10) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// A value in a table: one number, a few, or a summary of many.
pub fn summary(num: &Num) -> String {
    let Repr::Const(array) = &num.repr else { return "?".into() };
    let shown = num.unit.shown();
    let values: Vec<f64> = array.iter().map(|v| from_si(*v, &shown)).collect();
    let unit = if shown.name.is_empty() { String::new() } else { format!(" {}", shown.name) };
    match values.as_slice() {
        [] => "nothing".into(),
        [one] => format!("{}{unit}", plain(*one)),
        few if few.len() <= 10 && array.ndim() == 1 => {
            format!("[{}]{unit}", few.iter().map(|v| plain(*v)).collect::<Vec<_>>().join(", "))
        }
        many => {
            let mean = many.iter().sum::<f64>() / many.len() as f64;
            let low = many.iter().copied().fold(f64::INFINITY, f64::min);
            let high = many.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("{} values, mean {}, {} to {}{unit}", many.len(), plain(mean), plain(low), plain(high))
        }
    }
}
