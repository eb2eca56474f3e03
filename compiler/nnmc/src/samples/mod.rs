//! Programs over samples: a batch is presented, what is asked for is computed, and in training the weights move.

mod act;
mod credit;
mod derivative;
mod directions;
mod ends;
mod evaluate;
mod fisher;
mod formula;
mod gradient;
mod meeting;
mod optimizer;
mod passes;
mod present;
mod score;
mod separate;
mod settle;
mod sweep;
mod target;
mod train;
mod update;
mod world;

use nnm_graph::ir::{NodeId, VarId};
use nnm_kir::ir::LoopId;

pub use act::{Act, class_below};
pub use credit::Credit;
pub use present::Presentation;
pub use settle::Settling;
pub use train::{GradientRow, Training, Verdict};
pub use world::{Actor, World};

/// The loop over batches or updates, and that over the steps of a presentation.
pub const ROUND: LoopId = LoopId(0);
pub const TIME: LoopId = LoopId(1);
/// The loop in which free variables settle.
pub const SETTLE: LoopId = LoopId(2);

pub const SLOTS: [&str; 6] = ["batch", "from", "to", "fault", "fault_index", "offset"];

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
