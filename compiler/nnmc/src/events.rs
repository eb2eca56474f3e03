//! What happens while a model runs, as one stream: progress lines, tables and files are made from it.

use crate::value::Num;

#[derive(Clone, Debug)]
pub enum Event {
    ExperimentStarted {
        name: String,
    },
    /// A simulation's progress, 0 to 1.
    Steps {
        what: String,
        done: f64,
        seconds: Option<f64>,
    },
    /// A training's progress.
    Epoch {
        what: String,
        epoch: usize,
        epochs: usize,
        loss: f64,
        done: f64,
    },
    Reported {
        name: String,
        value: Num,
    },
    Expected {
        text: String,
        held: bool,
        found: String,
    },
    ExperimentEnded {
        name: String,
    },
}
