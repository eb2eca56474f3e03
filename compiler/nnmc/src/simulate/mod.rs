//! `simulate`: a network's step as one program, run for as many steps as asked, recording on the way.

mod abreast;
mod blame;
mod build;
mod ends;
mod events;
mod explain;
mod learn;
mod over;
mod pairs;
mod placement;
mod record;
mod run;
mod stimuli;
mod synapse;
mod ties;
mod transport;
mod units;

pub use ends::{Kept, Ring, Site};
pub use record::{Record, Recorded};
pub use ties::Tie;
pub use transport::Path;

use nnm_graph::ir::{Assign, NodeId, Stmt, VarId};
use nnm_kir::ir::{Int, LoopId, SlotId};
use nnm_syntax::ast::{Clause, ExprId};
use nnm_syntax::span::Span;

use crate::network::{FrameId, NetId};
use crate::session::ScopeId;

/// What a `simulate` statement says.
#[derive(Clone, Debug)]
pub struct Simulation<'s> {
    pub scope: ScopeId,
    pub net: NetId,
    pub clauses: &'s [Clause],
    pub block: &'s [nnm_syntax::ast::Stmt],
    pub span: Span,
}

/// The loop over steps.
pub const STEP: LoopId = LoopId(0);

/// Integer slots of a simulation's kernel.
pub const SLOTS: [&str; 8] = ["batch", "from", "to", "final", "fault", "fault_index", "check_every", "start"];

pub fn slot(name: &str) -> u32 {
    SLOTS.iter().position(|s| *s == name).unwrap_or(0) as u32
}

pub fn read_slot(name: &str) -> Int {
    Int::Slot(SlotId(slot(name)))
}

pub fn add(a: Int, b: i64) -> Int {
    match b {
        0 => a,
        _ => Int::Add(Box::new(a), Box::new(Int::Const(b))),
    }
}

pub fn rem(a: Int, b: i64) -> Int {
    if b == 1 { Int::Const(0) } else { Int::Rem(Box::new(a), Box::new(Int::Const(b))) }
}

/// A step under construction: of a network, or of a part in it.
#[derive(Debug)]
pub struct Build {
    pub frame: FrameId,
    pub net: NetId,
    pub dt: f64,
    /// Before anything looks at a port: deliveries of what is due to the ports' sums, which change nothing else.
    pub arrivals: Vec<Stmt>,
    /// Before the equations: what else events do.
    pub deliveries: Vec<Stmt>,
    /// Then blocks of events at ports.
    pub events: Vec<Stmt>,
    /// The equations' results, all at once.
    pub assigns: Vec<Assign>,
    /// After the equations: lists of spikes, logs.
    pub after: Vec<Stmt>,
    /// Rules' parts of each step.
    pub rules: Vec<Stmt>,
    /// Spike lists by population.
    pub lists: Vec<Option<SpikeList>>,
    /// Populations whose lists nobody reads, so that they are not made.
    pub unlisted: Vec<usize>,
    /// Numbers that fill vars before the first step: constant tables.
    pub tables: Vec<(VarId, Vec<f64>)>,
    pub indices: Vec<(VarId, std::sync::Arc<Vec<u32>>)>,
    /// Equations of synapses' states in front of each population.
    pub lumped: Vec<Vec<Lumped>>,
    pub learned: Vec<usize>,
    /// Connections with a path of their own, in order.
    pub paths: Vec<usize>,
    pub choices: Vec<(String, crate::dynamics::Choice)>,
    pub placements: Vec<(String, String)>,
    pub logs: Vec<Log>,
    pub records: Vec<Record>,
    pub start: i64,
    /// Parts that run beside, their statements taken over.
    pub units: Vec<Build>,
    /// Cells of it may fire more than once in a step.
    pub often: bool,
    /// After how many steps each what has been reached is kept.
    pub checkpoints: Option<i64>,
}

/// The spikes of a population of the last steps: lists in a ring of `ring` places.
#[derive(Clone, Copy, Debug)]
pub struct SpikeList {
    pub list: VarId,
    pub count: VarId,
    pub ring: i64,
}

/// One synaptic state that lives in front of a population.
#[derive(Clone, Debug)]
pub struct Lumped {
    pub name: String,
    pub var: VarId,
    pub state: NodeId,
    pub rate: NodeId,
    pub method: Option<crate::dynamics::Method>,
    /// One of the declared unit, in SI.
    pub unit: f64,
    pub span: Span,
}

/// The spikes that a log gave so far.
#[derive(Clone, Debug, Default)]
pub struct Logged {
    pub cells: Vec<u32>,
    /// The step at whose end each is stamped.
    pub steps: Vec<u32>,
    /// The share of that step after which it was, where that is known.
    pub fractions: Vec<f64>,
}

#[derive(Clone, Debug)]
pub struct Log {
    pub net: NetId,
    pub population: usize,
    pub views: Vec<View>,
    pub cell: VarId,
    pub step: VarId,
    pub count: VarId,
    /// Where spikes are placed inside the step: the share of each cell, and those of the spikes that were logged.
    pub fractions: Option<(VarId, VarId)>,
    pub capacity: usize,
}

/// The spikes of a log that the run shows under one name.
#[derive(Clone, Debug)]
pub struct View {
    pub key: Vec<String>,
    /// Of the leading axis.
    pub cells: Option<(usize, usize)>,
    /// The steps, first and last, at whose ends they are stamped.
    pub window: (i64, i64),
}

/// `stimulate PORT = EXPR [over time [step T]] [from a] [to b]`
#[derive(Clone, Debug)]
pub struct Window {
    pub from: Option<ExprId>,
    pub to: Option<ExprId>,
    pub over: Option<ExprId>,
    pub step: Option<ExprId>,
}
