//! Units: a dimension (exponents of the seven SI bases), and how a number of it is shown to the user.

use std::sync::Arc;

use nnm_syntax::units;

/// Twice the exponents of kg-less SI bases in the order m kg s A K mol cd, so that square roots are whole.
pub type Dim = [i8; 7];

pub const NONE: Dim = [0; 7];
pub const TIME: Dim = [0, 0, 2, 0, 0, 0, 0];
pub const FREQUENCY: Dim = [0, 0, -2, 0, 0, 0, 0];

/// The unit in which a quantity is shown: its name as the user wrote it and its size in SI.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub name: Arc<str>,
    pub factor: f64,
    pub offset: f64,
}

/// What is known of a number's unit.
#[derive(Clone, Debug, PartialEq)]
pub enum Unit {
    /// The literal 0: fits every unit.
    Zero,
    /// Not known (a generic parameter, or a part already reported): fits everything.
    Unknown,
    Known {
        dim: Dim,
        shown: Option<Shown>,
    },
}

impl Unit {
    pub const REAL: Unit = Unit::Known { dim: NONE, shown: None };

    pub fn of(dim: Dim) -> Unit {
        Unit::Known { dim, shown: None }
    }

    pub fn dim(&self) -> Option<Dim> {
        match self {
            Unit::Known { dim, .. } => Some(*dim),
            Unit::Zero | Unit::Unknown => None,
        }
    }

    pub fn is_real(&self) -> bool {
        self.dim().is_none_or(|d| d == NONE)
    }

    /// Whether numbers of the two units may be added or compared.
    pub fn fits(&self, other: &Unit) -> bool {
        match (self.dim(), other.dim()) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        }
    }

    /// The unit of a sum of the two, the more telling spelling kept.
    pub fn join(&self, other: &Unit) -> Unit {
        match (self, other) {
            (Unit::Zero, u) | (u, Unit::Zero) => u.clone(),
            (Unit::Unknown, u) | (u, Unit::Unknown) => u.clone(),
            (Unit::Known { shown: Some(_), .. }, _) => self.clone(),
            _ => other.clone(),
        }
    }

    pub fn times(&self, other: &Unit) -> Unit {
        self.combine(other, 1)
    }

    /// The unit of a square, in the spelling that it had: `mV^2`.
    pub fn squared(&self) -> Unit {
        let name = self.shown().name;
        let spelled = name.chars().all(char::is_alphabetic) && !name.is_empty();
        let pretty = if spelled { Unit::parse(&format!("{name}^2")) } else { None };
        pretty.unwrap_or_else(|| self.times(self))
    }

    pub fn over(&self, other: &Unit) -> Unit {
        self.combine(other, -1)
    }

    fn combine(&self, other: &Unit, sign: i8) -> Unit {
        if matches!(self, Unit::Unknown) || matches!(other, Unit::Unknown) {
            return Unit::Unknown;
        }
        let (a, b) = (self.dim().unwrap_or(NONE), other.dim().unwrap_or(NONE));
        if b == NONE {
            // Twice an angle is an angle, the ratio of two and their product are not.
            return match (self, a == NONE && other.has_name(), sign) {
                (Unit::Zero, ..) => Unit::REAL,
                (_, true, 1) if !self.has_name() => other.clone(),
                (_, true, _) => Unit::REAL,
                _ => self.clone(),
            };
        }
        if a == NONE && sign == 1 {
            return other.clone();
        }
        let mut dim = a;
        for (x, y) in dim.iter_mut().zip(b) {
            *x = x.saturating_add(sign * y);
        }
        Unit::of(dim)
    }

    /// Whether numbers of it are shown in a unit that was named: `deg` and `%` of plain numbers.
    fn has_name(&self) -> bool {
        matches!(self, Unit::Known { shown: Some(_), .. })
    }

    /// The unit to a power; `None` where an exponent would be no half integer.
    pub fn power(&self, exponent: f64) -> Option<Unit> {
        let Unit::Known { dim, .. } = self else { return Some(self.clone()) };
        if *dim == NONE {
            return Some(Unit::REAL);
        }
        if exponent == 1.0 {
            return Some(self.clone());
        }
        let mut out = NONE;
        for (o, d) in out.iter_mut().zip(dim) {
            let x = f64::from(*d) * exponent;
            if x.fract() != 0.0 || x.abs() > 100.0 {
                return None;
            }
            *o = x as i8;
        }
        Some(Unit::of(out))
    }

    /// How to show numbers of this unit: the user's spelling, else the usual one.
    pub fn shown(&self) -> Shown {
        match self {
            Unit::Known { shown: Some(shown), .. } => shown.clone(),
            Unit::Known { dim, shown: None } => usual(*dim),
            Unit::Zero | Unit::Unknown => plain(),
        }
    }

    /// The user's spelling for messages: `mV`, `1/ms`, or `a plain number`.
    pub fn describe(&self) -> String {
        match self {
            Unit::Zero | Unit::Unknown => "anything".into(),
            Unit::Known { dim, .. } if *dim == NONE => match self.shown().name.as_ref() {
                "" => "a plain number".into(),
                name => format!("`{name}`"),
            },
            Unit::Known { .. } => format!("`{}`", self.shown().name),
        }
    }

    /// The name of a unit that has one of its own (`Mohm`, `nS`, `ms`), not one made of others.
    pub fn own_name(&self) -> Option<Arc<str>> {
        let Unit::Known { dim, .. } = self else { return None };
        let name = Unit::of(*dim).shown().name;
        (!name.is_empty() && name.chars().all(char::is_alphabetic)).then_some(name)
    }

    /// Whether numbers of it count from a point that is not nothing, as degrees Celsius do.
    pub fn is_offset(&self) -> bool {
        matches!(self, Unit::Known { shown: Some(shown), .. } if shown.offset != 0.0)
    }

    /// From the text of a unit after a number or in a type: `mV`, `uF/cm^2`, `real`, `int`, `bool`.
    pub fn parse(text: &str) -> Option<Unit> {
        if matches!(text, "real" | "int" | "bool") {
            return Some(Unit::REAL);
        }
        let value = units::resolve(text).ok()?;
        let name = if value.dims == NONE && matches!(text, "steps" | "step" | "epochs" | "episodes" | "updates") {
            ""
        } else {
            text
        };
        let shown = Shown { name: name.into(), factor: value.factor, offset: value.offset };
        let shown = if name.is_empty() { None } else { Some(shown) };
        Some(Unit::Known { dim: value.dims, shown })
    }
}

/// A number of a unit's text in SI: `10` and `ms` give 0.01, correctly rounded where the factor is a power of ten below 1.
pub fn to_si(value: f64, shown: &Shown) -> f64 {
    scale(value, shown.factor) + shown.offset
}

/// A number in SI as it is shown in the unit.
pub fn from_si(value: f64, shown: &Shown) -> f64 {
    let x = value - shown.offset;
    if shown.factor < 1.0 { x * (1.0 / shown.factor).round_if_close() } else { x / shown.factor }
}

fn scale(value: f64, factor: f64) -> f64 {
    let inverse = (1.0 / factor).round_if_close();
    if factor < 1.0 && inverse.fract() == 0.0 { value / inverse } else { value * factor }
}

trait RoundIfClose {
    fn round_if_close(self) -> f64;
}

impl RoundIfClose for f64 {
    fn round_if_close(self) -> f64 {
        let r = self.round();
        if r != 0.0 && ((self - r) / r).abs() < 1e-12 { r } else { self }
    }
}

fn plain() -> Shown {
    Shown { name: "".into(), factor: 1.0, offset: 0.0 }
}

/// The spelling that the field uses for a dimension when the user gave none.
fn usual(dim: Dim) -> Shown {
    const NAMES: [&str; 22] = [
        "ms", "mV", "nA", "nS", "Mohm", "pF", "Hz", "m", "m/s", "m/s^2", "kg", "K", "N", "J", "W", "uA/cm^2",
        "mS/cm^2", "uF/cm^2", "mM", "C", "mV/ms", "ms^-0.5",
    ];
    if dim == NONE {
        return plain();
    }
    for name in NAMES {
        if let Ok(value) = units::resolve(name)
            && value.dims == dim
        {
            return Shown { name: name.into(), factor: value.factor, offset: 0.0 };
        }
    }
    per_time(dim).unwrap_or_else(|| Shown { name: base_spelling(dim).into(), factor: 1.0, offset: 0.0 })
}

/// A usual unit by a power of time: `mV/ms^0.5`.
fn per_time(dim: Dim) -> Option<Shown> {
    ["mV", "nA", "nS", "Mohm", "pF", "uA/cm^2", "mS/cm^2", "uF/cm^2", "mM"].iter().find_map(|name| {
        let of = units::resolve(name).ok()?.dims;
        let differs = (0..dim.len()).filter(|k| dim[*k] != of[*k]).collect::<Vec<_>>();
        let twice = f64::from(dim[2]) - f64::from(of[2]);
        let power = match twice.abs() / 2.0 {
            1.0 => String::new(),
            power => format!("^{power}"),
        };
        let text = format!("{name}{}ms{power}", if twice > 0.0 { '*' } else { '/' });
        let value = units::resolve(&text).ok().filter(|value| differs == [2] && value.dims == dim)?;
        Some(Shown { name: text.into(), factor: value.factor, offset: 0.0 })
    })
}

/// The dimension in base units: `kg*m^2/s^3/A`.
pub fn base_spelling(dim: Dim) -> String {
    const BASES: [&str; 7] = ["m", "kg", "s", "A", "K", "mol", "cd"];
    let part = |name: &str, twice: i32| match twice {
        2 => name.to_string(),
        t if t % 2 == 0 => format!("{name}^{}", t / 2),
        t => format!("{name}^{}", f64::from(t) / 2.0),
    };
    let mut above: Vec<String> = vec![];
    let mut below: Vec<String> = vec![];
    for (name, twice) in BASES.iter().zip(dim) {
        match twice {
            0 => {}
            t if t > 0 => above.push(part(name, t.into())),
            t => below.push(part(name, -i32::from(t))),
        }
    }
    match (above.is_empty(), below.is_empty()) {
        (true, true) => "1".into(),
        (true, false) => format!("1/{}", below.join("/")),
        (false, true) => above.join("*"),
        (false, false) => format!("{}/{}", above.join("*"), below.join("/")),
    }
}
