//! Programs over samples: a batch is presented, what is asked for is computed, and in training the weights move.

mod act;
mod credit;
mod derivative;
mod directions;
mod ends;
mod evaluate;
mod fisher;
mod formula;
mod given;
mod gradient;
mod meeting;
mod optimizer;
mod passes;
mod present;
mod score;
mod separate;
mod settle;
mod steps;
mod sweep;
mod target;
mod train;
mod update;
mod world;

use nnm_graph::ir::{NodeId, VarId};
use nnm_kir::ir::LoopId;

pub use act::{Act, class_below};
pub use credit::Credit;
pub use meeting::Meeting;
pub use present::Presentation;
pub use score::{Drawn, log_of_class, log_of_coin, log_of_exponential, log_of_normal, log_of_poisson};
pub use settle::Settling;
pub use train::{GradientRow, Training, Verdict};
pub use world::{Actor, World};

/// The loop over batches or updates, and that over the steps of a presentation.
pub const ROUND: LoopId = LoopId(0);
pub const TIME: LoopId = LoopId(1);
/// The loop in which free variables settle.
pub const SETTLE: LoopId = LoopId(2);

/// `fresh` and `due`: whether what an update gathers from several batches begins anew, and whether it is made.
pub const SLOTS: [&str; 8] = ["batch", "from", "to", "fault", "fault_index", "offset", "fresh", "due"];

pub fn slot(name: &str) -> u32 {
    SLOTS.iter().position(|s| *s == name).unwrap_or(0) as u32
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverTime {
    Mean,
    Sum,
    Max,
    Last,
}

/// A reduction over the steps of a presentation: a running value, read after the loop.
#[derive(Clone, Debug)]
pub struct Reduction {
    pub how: OverTime,
    pub step: NodeId,
    pub total: VarId,
    /// The read of the total after the loop.
    pub read: NodeId,
}
