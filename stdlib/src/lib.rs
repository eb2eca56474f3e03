//! The library of the language: `std.neurons`, `std.synapses`, `std.rules` and so on, embedded as source text.
//!
//! Every item is written in the language itself and documented in `///` comments; nothing here is known to the compiler
//! by name. A module may be kept in several files, which are joined in order.

/// One module: its name below `std`, and its text.
pub type Module = (&'static str, &'static str);

/// All modules, sorted by name.
pub fn modules() -> &'static [Module] {
    MODULES
}

/// The text of the module `std.NAME`.
pub fn module(name: &str) -> Option<&'static str> {
    MODULES.iter().find(|(known, _)| *known == name).map(|&(_, text)| text)
}

macro_rules! text {
    ($($file:literal),+) => { concat!($(include_str!(concat!("../std/", $file, ".nnm"))),+) };
}

const MODULES: &[Module] = &[
    ("analysis", text!("analysis")),
    ("environments", text!("environments")),
    ("functions", text!("functions")),
    ("layers", text!("layers")),
    ("matrices", text!("matrices")),
    ("neurons", text!("neurons", "neurons_spiking")),
    ("objectives", text!("objectives")),
    ("optimizers", text!("optimizers")),
    ("prelude", text!("prelude")),
    ("rules", text!("rules", "rules_spiking")),
    ("schedules", text!("schedules")),
    ("sources", text!("sources")),
    ("surrogates", text!("surrogates")),
    ("synapses", text!("synapses")),
    ("tensors", text!("tensors")),
];
