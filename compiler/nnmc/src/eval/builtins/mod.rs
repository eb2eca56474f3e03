//! The functions that every file sees without `use`, by family; each is one row: name, what it is, how it acts.

mod activity;
mod arrays;
mod convolve;
mod data;
mod einsum;
mod images;
mod learning;
mod math;
mod random;
mod reduce;
mod spikes;
mod stretch;
mod tensors;
mod time;

pub use learning::{angle_between as learning_angle, flat as learning_flat};
pub use spikes::spikes_of;
pub use stretch::Stretch;

use super::Call;
use crate::eval::operators::Operand;
use crate::session::Session;
use crate::value::{Num, Value};

/// A function of the library that is not written in the language.
pub struct Builtin {
    pub name: &'static str,
    /// Its call and what it gives, for the reference.
    pub about: &'static str,
    pub run: fn(&mut Session, &Call) -> Value,
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const FAMILIES: [&[Builtin]; 13] = [
    math::FUNCTIONS,
    reduce::FUNCTIONS,
    tensors::FUNCTIONS,
    arrays::FUNCTIONS,
    einsum::FUNCTIONS,
    convolve::FUNCTIONS,
    random::FUNCTIONS,
    spikes::FUNCTIONS,
    activity::FUNCTIONS,
    time::FUNCTIONS,
    data::FUNCTIONS,
    images::FUNCTIONS,
    learning::FUNCTIONS,
];

pub fn all() -> impl Iterator<Item = &'static Builtin> {
    FAMILIES.iter().flat_map(|f| f.iter())
}

/// What `~` draws from.
pub fn distributions() -> impl Iterator<Item = &'static str> {
    random::FUNCTIONS.iter().map(|b| b.name).filter(|name| *name != "xi")
}

/// Whether a function of the library draws random numbers.
pub fn draws(name: &str) -> bool {
    random::FUNCTIONS.iter().any(|b| b.name == name)
}

pub fn find(name: &str) -> Option<&'static Builtin> {
    all().find(|b| b.name == name)
}

/// A function that only values of one kind have: `data.split(…)`, `sweep.at(k)`.
pub fn method(receiver: &Value, name: &str) -> Option<&'static Builtin> {
    let family: &[Builtin] = match receiver {
        Value::Data(_) if images::METHODS.iter().any(|b| b.name == name) => images::METHODS,
        Value::Data(_) => data::METHODS,
        Value::Network(_) => learning::NETWORK_METHODS,
        Value::Many(_) => learning::PART_METHODS,
        Value::Record(_) => learning::SWEEP_METHODS,
        _ => return None,
    };
    family.iter().find(|b| b.name == name)
}

impl Session<'_> {
    /// The k-th argument (or the one of that name) as a value.
    pub fn arg(&mut self, call: &Call, k: usize, name: &str) -> Option<Value> {
        if k == 0
            && let Some(receiver) = &call.receiver
        {
            return Some(receiver.clone());
        }
        if let Some((_, value)) = call.bound.iter().find(|(n, _)| n == name) {
            return Some(value.clone());
        }
        let id = call.named(name).or_else(|| call.positional(k))?;
        Some(self.eval(call.scope, id))
    }

    /// The k-th argument as a number; reports where it is missing or none.
    pub fn num_arg(&mut self, call: &Call, k: usize, name: &str) -> Option<Operand> {
        let span = match call.named(name).or_else(|| call.positional(k)) {
            Some(id) => self.expr_span(call.scope, id),
            None => call.span,
        };
        match self.arg(call, k, name) {
            Some(value) => self.number(value, span).map(|num| Operand { num, span }),
            None => {
                self.error("E0222", call.span, format!("`{}` needs `{name}`", call.name));
                None
            }
        }
    }

    /// As [`Self::num_arg`], where the argument may be left out.
    pub fn optional_arg(&mut self, call: &Call, k: usize, name: &str) -> Option<Option<Operand>> {
        if call.named(name).is_none() && call.positional(k).is_none() && !(k == 0 && call.receiver.is_some()) {
            return Some(None);
        }
        self.num_arg(call, k, name).map(Some)
    }

    pub fn int_arg(&mut self, call: &Call, k: usize, name: &str, least: i64) -> Option<i64> {
        match call.named(name).or_else(|| call.positional(k)) {
            Some(id) => self.known_int(call.scope, id, &format!("`{name}`"), least),
            None => {
                self.error("E0222", call.span, format!("`{}` needs `{name}`", call.name));
                None
            }
        }
    }

    pub fn optional_int(&mut self, call: &Call, name: &str, least: i64) -> Option<Option<i64>> {
        match call.named(name) {
            Some(id) => self.known_int(call.scope, id, &format!("`{name}`"), least).map(Some),
            None => Some(None),
        }
    }

    pub fn text_arg(&mut self, call: &Call, k: usize, name: &str) -> Option<String> {
        match self.arg(call, k, name) {
            Some(Value::Text(text)) => Some(text.to_string()),
            Some(Value::Missing) => None,
            _ => {
                self.error("E0230", call.span, format!("`{}` takes a text for `{name}`", call.name));
                None
            }
        }
    }

    /// Reports a number that should be plain.
    pub fn plain(&mut self, operand: &Operand, function: &str) -> Option<()> {
        if operand.num.unit.is_real() {
            return Some(());
        }
        let found = operand.num.unit.describe();
        let shown = operand.num.unit.shown().name;
        let message = format!("`{function}` takes a plain number, not {found}");
        let d = nnm_syntax::diag::Diagnostic::error("E0319", operand.span, message)
            .help(format!("divide by a unit or a scale first: `x / 1 {shown}`"));
        self.report(d);
        None
    }
}

/// A number out of a value that a builtin made.
pub fn done(num: Option<Num>) -> Value {
    num.map_or(Value::Missing, Value::Num)
}
