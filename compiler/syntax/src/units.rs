//! Units: their names, prefixes, dimensions and factors to SI, and the text form `uF/cm^2`, `mV*ms^0.5`, `1/s`.

use std::fmt;

/// What a unit's text means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitValue {
    /// Value in SI base units of one of this unit.
    pub factor: f64,
    /// What is added after scaling; not zero for `Celsius` alone.
    pub offset: f64,
    /// Half-exponents of m, kg, s, A, K, mol, cd: 2 is the first power.
    pub dims: [i8; 7],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitError {
    /// No unit of this name; perhaps the other was meant.
    Unknown { word: String, suggestion: Option<String> },
    /// An exponent that is no multiple of one half.
    Exponent(String),
    /// `Celsius` in a product or power.
    Offset,
    /// A power beyond every physical one.
    TooLarge,
    /// Not of the form of a unit.
    Malformed,
}

impl fmt::Display for UnitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnitError::Unknown { word, suggestion: Some(other) } => {
                write!(out, "`{word}` is not a unit; did you mean `{other}`?")
            }
            UnitError::Unknown { word, suggestion: None } => write!(out, "`{word}` is not a unit"),
            UnitError::Exponent(text) => write!(out, "a unit's exponent is a multiple of one half, not `{text}`"),
            UnitError::Offset => {
                write!(out, "`Celsius` has an offset and cannot be multiplied; a difference is in `K`")
            }
            UnitError::TooLarge => write!(out, "this power of a unit is too large"),
            UnitError::Malformed => write!(out, "this is not a unit"),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Prefixes {
    None,
    All,
    /// The ones in use for concentrations.
    Molar,
}

/// One unit: SI exponents of m, kg, s, A, K, mol, cd; its factor is `mantissa * 10^power`.
struct Unit {
    name: &'static str,
    dims: [i8; 7],
    power: i32,
    mantissa: f64,
    prefixes: Prefixes,
}

const fn si(name: &'static str, dims: [i8; 7]) -> Unit {
    Unit { name, dims, power: 0, mantissa: 1.0, prefixes: Prefixes::All }
}

const fn count(name: &'static str) -> Unit {
    Unit { name, dims: [0; 7], power: 0, mantissa: 1.0, prefixes: Prefixes::None }
}

const OHM: [i8; 7] = [2, 1, -3, -2, 0, 0, 0];

const UNITS: &[Unit] = &[
    si("m", [1, 0, 0, 0, 0, 0, 0]),
    Unit { power: -3, ..si("g", [0, 1, 0, 0, 0, 0, 0]) },
    si("s", [0, 0, 1, 0, 0, 0, 0]),
    si("A", [0, 0, 0, 1, 0, 0, 0]),
    si("K", [0, 0, 0, 0, 1, 0, 0]),
    si("mol", [0, 0, 0, 0, 0, 1, 0]),
    si("cd", [0, 0, 0, 0, 0, 0, 1]),
    si("Hz", [0, 0, -1, 0, 0, 0, 0]),
    si("N", [1, 1, -2, 0, 0, 0, 0]),
    si("Pa", [-1, 1, -2, 0, 0, 0, 0]),
    si("J", [2, 1, -2, 0, 0, 0, 0]),
    si("W", [2, 1, -3, 0, 0, 0, 0]),
    si("C", [0, 0, 1, 1, 0, 0, 0]),
    si("V", [2, 1, -3, -1, 0, 0, 0]),
    si("F", [-2, -1, 4, 2, 0, 0, 0]),
    si("ohm", OHM),
    si("\u{3a9}", OHM),
    si("\u{2126}", OHM),
    si("S", [-2, -1, 3, 2, 0, 0, 0]),
    si("Wb", [2, 1, -2, -1, 0, 0, 0]),
    si("T", [0, 1, -2, -1, 0, 0, 0]),
    si("H", [2, 1, -2, -2, 0, 0, 0]),
    si("lm", [0, 0, 0, 0, 0, 0, 1]),
    si("lx", [-2, 0, 0, 0, 0, 0, 1]),
    si("Bq", [0, 0, -1, 0, 0, 0, 0]),
    si("Gy", [2, 0, -2, 0, 0, 0, 0]),
    si("Sv", [2, 0, -2, 0, 0, 0, 0]),
    si("kat", [0, 0, -1, 0, 0, 1, 0]),
    Unit { power: -3, ..si("L", [3, 0, 0, 0, 0, 0, 0]) },
    Unit { power: 3, prefixes: Prefixes::Molar, ..si("M", [-3, 0, 0, 0, 0, 1, 0]) },
    si("rad", [0; 7]),
    si("sr", [0; 7]),
    Unit { mantissa: std::f64::consts::PI / 180.0, ..count("deg") },
    Unit { power: -2, ..count("%") },
    count("spike"),
    count("spikes"),
    count("step"),
    count("steps"),
    count("epoch"),
    count("epochs"),
    count("episode"),
    count("episodes"),
    count("update"),
    count("updates"),
    Unit { dims: [0, 0, 0, 0, 1, 0, 0], ..count(CELSIUS) },
];

const CELSIUS: &str = "Celsius";
const CELSIUS_OFFSET: f64 = 273.15;

const PREFIXES: &[(&str, i32)] = &[
    ("da", 1),
    ("h", 2),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
    ("Z", 21),
    ("Y", 24),
    ("R", 27),
    ("Q", 30),
    ("d", -1),
    ("c", -2),
    ("m", -3),
    ("u", -6),
    ("\u{b5}", -6),
    ("\u{3bc}", -6),
    ("n", -9),
    ("p", -12),
    ("f", -15),
    ("a", -18),
    ("z", -21),
    ("y", -24),
    ("r", -27),
    ("q", -30),
];

const MOLAR_PREFIXES: &[&str] = &["m", "u", "\u{b5}", "\u{3bc}", "n", "p", "f"];

/// Names from prefix and unit that would be words of the language.
const NOT_UNITS: &[&str] = &["as"];

/// Common spellings of units that are not their symbols.
const OTHER_SPELLINGS: &[(&str, &str)] = &[
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("msec", "ms"),
    ("millisecond", "ms"),
    ("milliseconds", "ms"),
    ("usec", "us"),
    ("volt", "V"),
    ("volts", "V"),
    ("millivolt", "mV"),
    ("millivolts", "mV"),
    ("amp", "A"),
    ("amps", "A"),
    ("hertz", "Hz"),
    ("ohms", "ohm"),
    ("siemens", "S"),
    ("farad", "F"),
    ("meter", "m"),
    ("metre", "m"),
    ("micron", "um"),
    ("degree", "deg"),
    ("degrees", "deg"),
    ("radian", "rad"),
    ("radians", "rad"),
    ("percent", "%"),
    ("degC", "Celsius"),
    ("celsius", "Celsius"),
];

fn named(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.name == name)
}

/// The unit of a single word, and the power of ten of its prefix.
fn lookup(word: &str) -> Option<(&'static Unit, i32)> {
    if NOT_UNITS.contains(&word) {
        return None;
    }
    if let Some(unit) = named(word) {
        return Some((unit, 0));
    }
    PREFIXES.iter().find_map(|(prefix, power)| {
        let unit = named(word.strip_prefix(prefix)?)?;
        allows(unit, prefix).then_some((unit, *power))
    })
}

fn allows(unit: &Unit, prefix: &str) -> bool {
    match unit.prefixes {
        Prefixes::None => false,
        Prefixes::All => true,
        Prefixes::Molar => MOLAR_PREFIXES.contains(&prefix),
    }
}

/// Whether a single word, with its prefix, is a unit: `mV`, `Mohm`, `%`, `steps`.
pub fn is_unit(word: &str) -> bool {
    lookup(word).is_some()
}

/// The unit that was probably meant by a word that is none: other capitals, or another spelling.
pub fn suggest(word: &str) -> Option<String> {
    if let Some((_, unit)) = OTHER_SPELLINGS.iter().find(|(other, _)| *other == word) {
        return Some((*unit).to_owned());
    }
    let spellings = UNITS.iter().flat_map(|unit| {
        let prefixed = PREFIXES.iter().filter(|row| allows(unit, row.0)).map(|row| format!("{}{}", row.0, unit.name));
        std::iter::once(unit.name.to_owned()).chain(prefixed)
    });
    let different = |a: &str, b: &str| a.chars().zip(b.chars()).filter(|(x, y)| x != y).count();
    spellings
        .filter(|spelling| spelling.to_lowercase() == word.to_lowercase() && is_unit(spelling))
        .min_by_key(|spelling| different(spelling, word))
}

/// One `word^exponent` of a unit, with the sign that its `*` or `/` gives.
struct Factor<'text> {
    word: &'text str,
    /// In halves.
    exponent: i32,
}

/// Resolves a unit as written, without blanks: `uF/cm^2`, `ms^-1`, `mV*ms^0.5`, `s^(1/2)`, `1/ms`, `%`.
pub fn resolve(unit_text: &str) -> Result<UnitValue, UnitError> {
    let factors = factors(unit_text)?;
    if let [Factor { word: CELSIUS, exponent: 2 }] = factors[..] {
        return Ok(UnitValue { factor: 1.0, offset: CELSIUS_OFFSET, dims: [0, 0, 0, 0, 2, 0, 0] });
    }
    let mut dims = [0i32; 7];
    let mut half_power = 0i32;
    let mut mantissa = 1.0;
    for Factor { word, exponent } in factors {
        if word == CELSIUS {
            return Err(UnitError::Offset);
        }
        let Some((unit, prefix)) = lookup(word) else {
            return Err(UnitError::Unknown { word: word.to_owned(), suggestion: suggest(word) });
        };
        for (sum, dim) in dims.iter_mut().zip(unit.dims) {
            *sum += i32::from(dim) * exponent;
        }
        half_power += (unit.power + prefix) * exponent;
        mantissa *= unit.mantissa.powf(f64::from(exponent) / 2.0);
    }
    let mut out = [0i8; 7];
    for (slot, sum) in out.iter_mut().zip(dims) {
        *slot = i8::try_from(sum).map_err(|_| UnitError::TooLarge)?;
    }
    let factor = mantissa * power_of_ten(half_power);
    if !factor.is_finite() || factor == 0.0 {
        return Err(UnitError::TooLarge);
    }
    Ok(UnitValue { factor, offset: 0.0, dims: out })
}

/// Ten to the power of `halves / 2`, correctly rounded for whole powers.
fn power_of_ten(halves: i32) -> f64 {
    let whole: f64 = format!("1e{}", halves.div_euclid(2)).parse().unwrap_or(f64::NAN);
    if halves.rem_euclid(2) == 1 { whole * 10f64.sqrt() } else { whole }
}

fn factors(text: &str) -> Result<Vec<Factor<'_>>, UnitError> {
    let mut rest = text;
    let mut sign = 1;
    if let Some(tail) = rest.strip_prefix("1/") {
        rest = tail;
        sign = -1;
    }
    let mut factors = vec![];
    loop {
        let end = rest.find(['*', '/', '^']).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        if word.is_empty() {
            return Err(UnitError::Malformed);
        }
        rest = tail;
        let mut exponent = 2;
        if let Some(tail) = rest.strip_prefix('^') {
            let end = exponent_length(tail);
            exponent = half_exponent(&tail[..end])?;
            rest = &tail[end..];
        }
        factors.push(Factor { word, exponent: sign * exponent });
        sign = match rest.chars().next() {
            None => return Ok(factors),
            Some('*') => 1,
            Some('/') => -1,
            Some(_) => return Err(UnitError::Malformed),
        };
        rest = &rest[1..];
    }
}

/// How many bytes of the text are an exponent: `2`, `-1`, `0.5`, `(1/2)`; 0 if it starts with none.
pub fn exponent_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if let Some(inner) = text.strip_prefix('(') {
        return inner.find(')').map_or(0, |end| end + 2);
    }
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(sign);
    if whole == 0 {
        return 0;
    }
    let mut end = sign + whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        end += if fraction > 0 { fraction + 1 } else { 0 };
    }
    end
}

/// An exponent's text in halves.
fn half_exponent(text: &str) -> Result<i32, UnitError> {
    let wrong = || UnitError::Exponent(text.to_owned());
    let number = match text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => {
            let (over, under) = inner.split_once('/').unwrap_or((inner, "1"));
            let parse = |part: &str| part.trim().parse::<f64>().map_err(|_| wrong());
            parse(over)? / parse(under)?
        }
        None => text.parse::<f64>().map_err(|_| wrong())?,
    };
    let halves = number * 2.0;
    if halves.fract() != 0.0 || halves.abs() > 100.0 || !halves.is_finite() {
        return Err(wrong());
    }
    Ok(halves as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> (f64, [i8; 7]) {
        let unit = resolve(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (unit.factor, unit.dims)
    }

    #[test]
    fn base_and_derived_units() {
        assert_eq!(value("ms"), (1e-3, [0, 0, 2, 0, 0, 0, 0]));
        assert_eq!(value("kg"), (1.0, [0, 2, 0, 0, 0, 0, 0]));
        assert_eq!(value("uF/cm^2"), (1e-2, [-8, -2, 8, 4, 0, 0, 0]));
        assert_eq!(value("Mohm").0, 1e6);
        assert_eq!(value("MΩ"), value("Mohm"));
        assert_eq!(value("%").0, 0.01);
        assert_eq!(value("mM"), (1.0, [-6, 0, 0, 0, 0, 2, 0]));
        assert_eq!(value("µm"), value("μm"));
        assert_eq!(value("um"), value("µm"));
        assert!((value("deg").0 - 0.017_453_292_519_943_295).abs() < 1e-18);
        assert_eq!(value("dag").0, 1e-2);
        assert_eq!(value("cd").1, [0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(value("mm^2").0, 1e-6);
    }

    #[test]
    fn half_powers() {
        assert_eq!(value("s^-0.5").1, [0, 0, -1, 0, 0, 0, 0]);
        assert_eq!(value("s^(1/2)").1, [0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(value("s^(-1/2)"), value("s^-0.5"));
        assert_eq!(value("1/ms"), value("ms^-1"));
        assert_eq!(value("mV*ms^0.5").1, [4, 2, -5, -2, 0, 0, 0]);
        assert!((value("ms^0.5").0 - 1e-3f64.sqrt()).abs() < 1e-16);
        assert!(matches!(resolve("s^0.3"), Err(UnitError::Exponent(_))));
    }

    #[test]
    fn celsius_is_offset_and_alone() {
        let celsius = resolve("Celsius").map(|unit| unit.offset);
        assert_eq!(celsius, Ok(273.15));
        assert_eq!(resolve("mV/Celsius"), Err(UnitError::Offset));
    }

    #[test]
    fn words_that_are_no_units() {
        for word in ["as", "min", "h", "d", "by", "then", "in", "to", "for", "at", "or", "x", "tau", ""] {
            assert!(!is_unit(word), "{word}");
        }
        for text in ["", "mV/", "/s", "mV*", "s^", "mV//s", "s^2x"] {
            assert!(resolve(text).is_err(), "{text}");
        }
        assert_eq!(resolve("m^50*m^50"), Err(UnitError::TooLarge));
    }

    #[test]
    fn suggestions() {
        assert_eq!(suggest("mv").as_deref(), Some("mV"));
        assert_eq!(suggest("hz").as_deref(), Some("Hz"));
        assert_eq!(suggest("khz").as_deref(), Some("kHz"));
        assert_eq!(suggest("msec").as_deref(), Some("ms"));
        assert_eq!(suggest("na").as_deref(), Some("nA"));
        assert_eq!(suggest("foo"), None);
    }
}
