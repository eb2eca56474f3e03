//! The compiler of NNM: what a model means, and running it.
//!
//! Text becomes declarations ([`hir`]); an experiment's statements are evaluated in order ([`experiment`]); networks are
//! built ([`network`]), and each `simulate`, `train` and `evaluate` becomes one graph program ([`simulate`], [`samples`]),
//! which [`engine`] lowers, compiles and runs. The library reads no file but through [`session::Host`] and prints nothing.

mod analysis;
mod check;
pub mod checkpoint;
pub mod components;
pub mod dynamics;
pub mod engine;
pub mod eval;
pub mod events;
pub mod experiment;
pub mod failure;
mod files;
pub mod hir;
mod lowering;
pub mod network;
pub mod parallel;
pub mod pipeline;
mod plots;
pub mod program;
pub mod samples;
pub mod session;
mod set;
pub mod settings;
pub mod simulate;
mod suggest;
pub mod sweep;
pub mod table;
pub mod unit;
pub mod value;
mod weights;

/// The point of the unit circle at an angle in rad.
pub(crate) fn ring_point(angle: f64) -> [f64; 2] {
    [nnm_runtime::math::cos(angle), nnm_runtime::math::sin(angle)]
}
