//! Networks: an architecture with its arguments, of known size, holding its weights and states between runs.

mod build;
mod check;
mod conditions;
mod connect;
mod ends;
mod frame;
mod linear;
mod outputs;
mod own_axes;
mod params;
mod parts;
mod pattern;
mod populate;
mod ports;
mod probe;
mod receptive;
mod size;
mod synapse;
mod weights;

pub use check::clause_of;
pub use conditions::Holder;
pub use ends::Drawing;
pub use frame::{Frame, PopulationFrame};
pub use params::Entry;
pub use pattern::Pattern;
pub use size::bytes_text;
pub use synapse::SynapseView;

use std::sync::Arc;

use indexmap::IndexMap;
use nnm_runtime::array::Array;
use nnm_syntax::ast::Name;
use nnm_syntax::span::Span;

use crate::eval::Closure;
use crate::hir::{Decl, ItemId};
use crate::session::ScopeId;
use crate::unit::Unit;
use crate::value::{Argument, Kind, Num, Params};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetId(pub u32);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub u32);

#[derive(Clone, Debug)]
pub struct Network {
    pub item: ItemId,
    /// As the experiment calls it: `net`, `net.block[0].attend`.
    pub path: String,
    /// The path under which its draws are made, which a copy shares.
    pub origin: String,
    /// The architecture's arguments and members.
    pub scope: ScopeId,
    pub inputs: Vec<Quantity>,
    pub weights: Vec<Quantity>,
    pub latents: Vec<Quantity>,
    pub populations: Vec<Population>,
    pub projections: Vec<Projection>,
    pub parts: Vec<Part>,
    /// Members whose declaration is wrong, and has been reported.
    pub broken: Vec<String>,
    pub lets: Vec<NetLet>,
    pub outputs: Vec<Decl>,
    /// Weights, states and running values by their path inside the network, in SI.
    pub store: IndexMap<String, Array>,
    /// What a program keeps in the store, by the same paths.
    pub kept: IndexMap<String, InStore>,
    /// Steps done and the seconds they took, of a simulation that may go on.
    pub clock: Clock,
    /// What the last training or evaluation gave to the inputs.
    pub given: Vec<Given>,
    /// In place of the stored weights, by their path inside the network: `net.with(params)`, of one program.
    pub with: Option<Arc<Params>>,
    /// How its latents settled in the last training.
    pub settles: Vec<crate::samples::Settling>,
    pub span: Span,
}

/// A number that is kept from one program to the next.
#[derive(Clone, Debug)]
pub struct InStore {
    pub unit: Unit,
    /// Of what belongs to a connection: where it lives.
    pub home: Option<Home>,
}

/// Where a number of a connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    Sender,
    Target,
    Connection,
}

impl Home {
    pub fn name(self) -> &'static str {
        match self {
            Home::Sender => "per source",
            Home::Target => "per target",
            Home::Connection => "per connection",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clock {
    pub steps: i64,
    pub seconds: f64,
    pub step: f64,
}

/// A `let` of the architecture; in a loop, with the scope of its pass.
#[derive(Clone, Debug)]
pub struct NetLet {
    pub decl: Decl,
    pub pass: Option<ScopeId>,
}

/// A named number of the architecture: an input, a weight, a latent.
#[derive(Clone, Debug)]
pub struct Quantity {
    pub name: String,
    pub unit: Unit,
    pub shape: Vec<usize>,
    /// Its shape has a length that is not known yet.
    pub open: bool,
    pub class: Option<usize>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Population {
    pub name: String,
    pub item: ItemId,
    pub kind: Arc<Kind>,
    pub shape: Vec<usize>,
    pub ports: Vec<Port>,
    pub params: Vec<(String, Num)>,
    pub states: Vec<State>,
    /// Trained parameters: `weight a: real`.
    pub weights: Vec<Quantity>,
    /// One row a cell, in metres.
    pub position: Option<Num>,
    pub angle: Option<Num>,
    pub spiking: bool,
    pub span: Span,
}

impl Population {
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// The cells of some rows along the first axis.
    pub fn cells_in(&self, (from, to): (usize, usize)) -> (usize, usize) {
        let row: usize = self.shape.iter().skip(1).product();
        (from * row, to * row)
    }

    /// The rows that some cells fill: the reverse.
    pub fn rows_of(&self, (from, to): (usize, usize)) -> (usize, usize) {
        let row = self.shape.iter().skip(1).product::<usize>().max(1);
        (from / row, to / row)
    }
}

#[derive(Clone, Debug)]
pub struct Port {
    pub name: String,
    pub unit: Unit,
    /// Axes of one cell's port, before the population's.
    pub event: bool,
    /// Its value where nothing ends in it, by the names of a cell.
    pub default: Option<nnm_syntax::ast::ExprId>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct State {
    pub name: String,
    pub unit: Unit,
    pub initial: Array,
    /// Outlives presentations.
    pub running: bool,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Projection {
    pub name: String,
    /// The name that its ends give it, where it has no own; others may have the same.
    pub by_ends: Option<String>,
    /// The sender, an expression over the architecture's members.
    pub from: Closure,
    /// The sender where it is a population: its place, and which of its cells.
    pub source: Option<(usize, Option<(usize, usize)>)>,
    pub target: usize,
    pub target_cells: Option<(usize, usize)>,
    pub port: Option<usize>,
    pub pattern: Pattern,
    /// The pattern as written, for messages.
    pub pattern_span: Span,
    /// `None` for the default synapse.
    pub synapse: Option<ItemId>,
    pub args: Vec<(String, Argument)>,
    /// Unit and shape of `w`, once the sender's shape is known.
    pub weight: Option<Quantity>,
    pub bias: Option<Quantity>,
    /// Trained without further word.
    pub trained: bool,
    pub plastic: bool,
    /// Edges of a sparse pattern, or of any pattern once events travel over it.
    pub edges: Option<Arc<Edges>>,
    /// The columns of the table that the edges come from, in their order.
    pub columns: Vec<(String, Array)>,
    pub span: Span,
}

impl Projection {
    /// The first sender's place in its population.
    /// Whether its weights are those of single pairs, which only its edges tell.
    pub fn has_pairs_of_its_own(&self) -> bool {
        let each = self.weight.as_ref().is_some_and(|w| w.shape.len() == 1);
        each && self.edges.is_some() && !self.pattern.is_plain_product()
    }

    pub fn first_sender(&self) -> usize {
        self.source.and_then(|(_, cells)| cells).map_or(0, |(from, _)| from)
    }

    /// The shape in which what belongs to each synapse is laid out: by target and sender where all are joined.
    pub fn layout(&self) -> Vec<usize> {
        match (&self.weight, &self.edges) {
            (Some(weight), _) => weight.shape.clone(),
            (None, Some(edges)) => vec![edges.target.len()],
            (None, None) => vec![],
        }
    }

    /// Sender and target of some synapses, counted in their populations.
    pub fn ends(&self, synapses: &[usize], shape: &[usize]) -> Vec<[usize; 2]> {
        let (first, first_target) = (self.first_sender(), self.target_cells.map_or(0, |(from, _)| from));
        match (&self.edges, shape) {
            (_, [_, senders]) => synapses.iter().map(|k| [k % senders + first, k / senders + first_target]).collect(),
            (Some(edges), _) => {
                let sender = edges.sender();
                synapses.iter().map(|k| [sender[*k] as usize + first, edges.target[*k] as usize]).collect()
            }
            (None, _) => vec![],
        }
    }

    /// The places, among weights of this shape, of the synapses between some senders and some targets, all of them named
    /// by their places in their populations.
    pub fn synapses(&self, [pre, post]: [(usize, usize); 2], shape: &[usize]) -> Vec<usize> {
        let first = self.first_sender();
        match &self.edges {
            Some(edges) if shape.len() == 1 => {
                let inside = |(s, t): (u32, &u32)| {
                    (pre.0..pre.1).contains(&(s as usize + first)) && (post.0..post.1).contains(&(*t as usize))
                };
                let ends = edges.sender().into_iter().zip(edges.target.iter());
                ends.enumerate().filter(|(_, ends)| inside(*ends)).map(|(e, _)| e).collect()
            }
            _ => {
                let (targets, senders) = (shape.first().copied().unwrap_or(1), shape.get(1).copied().unwrap_or(1));
                let first_target = self.target_cells.map_or(0, |(from, _)| from);
                // Those of a slice, from its first cell on.
                let within = |(from, to): (usize, usize), first: usize, count: usize| {
                    from.saturating_sub(first).min(count)..to.saturating_sub(first).min(count)
                };
                let senders_picked = within(pre, first, senders);
                within(post, first_target, targets)
                    .flat_map(|t| senders_picked.clone().map(move |s| t * senders + s))
                    .collect()
            }
        }
    }
}

/// The edges of a projection, sorted by sender, then target.
#[derive(Clone, Debug, Default)]
pub struct Edges {
    pub senders: usize,
    pub targets: usize,
    pub target: Arc<Vec<u32>>,
    /// Row starts by sender.
    pub rows: Vec<u32>,
}

impl Edges {
    pub fn count(&self) -> usize {
        self.target.len()
    }

    /// The sender of each edge.
    pub fn sender(&self) -> Vec<u32> {
        let mut out = Vec::with_capacity(self.count());
        for (sender, ends) in self.rows.windows(2).enumerate() {
            out.resize(ends[1] as usize, sender as u32);
        }
        out
    }
}

#[derive(Clone, Debug)]
pub struct Part {
    pub name: String,
    pub nets: Vec<NetId>,
    /// Declared with a size: `Block(d)[depth]`
    pub array: bool,
}

/// `given x = image over time`
#[derive(Clone, Debug)]
pub struct Given {
    pub name: Name,
    pub value: Closure,
    pub duration: Option<Closure>,
    pub step: Option<Closure>,
    pub over_time: bool,
}

impl Network {
    pub fn population(&self, name: &str) -> Option<usize> {
        self.populations.iter().position(|p| p.name == name)
    }

    pub fn projection(&self, name: &str) -> Option<usize> {
        self.projections.iter().position(|p| p.name == name)
    }

    /// All names after `net.`
    pub fn member_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.inputs.iter().map(|q| q.name.clone()).collect();
        names.extend(self.populations.iter().map(|p| p.name.clone()));
        names.extend(self.projections.iter().map(|p| p.name.clone()));
        names.extend(self.weights.iter().chain(&self.latents).map(|q| q.name.clone()));
        names.extend(self.parts.iter().map(|p| p.name.clone()));
        names.extend(self.lets.iter().map(|l| &l.decl).chain(&self.outputs).map(|d| d.name.text.clone()));
        names
    }
}
