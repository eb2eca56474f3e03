//! One step of a population: which solver its equations get, how they advance, and what thresholds and events do.

mod adaptive;
mod cell;
mod compartments;
mod crossing;
mod elements;
mod implicit;
mod interpolate;
mod propagator;
mod solver;
mod white;

pub use cell::{Advanced, EventArrival};
pub use solver::{Choice, Equation, Method, Tolerance};
