//! The program being built: its storage by path, and what the surroundings give to the networks in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use nnm_graph::ir::{NodeId, Place, Stmt, Var, VarElem, VarId};
use nnm_kir::ir::Int;

use crate::network::{FrameId, InStore, NetId};
use crate::session::Session;
use crate::simulate::{Kept, Path, Ring, Tie};
use crate::unit::Unit;
use crate::value::Num;

/// Nodes with what flows back to each.
pub type Seeds = Vec<(NodeId, NodeId)>;

/// What spikes change at once: a state of a population, of an array the elements from one place up to another on each of
/// its first axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Jump {
    pub frame: FrameId,
    pub population: usize,
    pub state: String,
    pub elements: Vec<(usize, usize)>,
}

/// What a stored quantity is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// From the network's store, and written back.
    Weight,
    /// A neuron's or synapse's state: begins anew with each presentation.
    State,
    /// Given from outside: data, a constant table.
    Input,
    /// What a quantity was in the last steps: begins anew, and is no state of its own.
    History,
    /// Of this program alone.
    Work,
}

/// A named piece of storage.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub var: VarId,
    pub role: Role,
    pub unit: Unit,
    pub class: Option<usize>,
    /// Where it lives between programs: a network and the path in its store.
    pub home: Option<(NetId, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Built to be looked at, never run.
    Probe,
    Simulate,
    /// One presentation per sample: training and evaluation.
    Samples {
        training: bool,
    },
}

#[derive(Debug)]
pub struct Program {
    pub purpose: Purpose,
    /// Whether rules act in a simulation.
    pub learning: bool,
    /// Whether states and inputs differ between the samples of a batch.
    pub batched: bool,
    pub leaves: IndexMap<String, Leaf>,
    /// Frames of the networks in it.
    pub frames: IndexMap<NetId, FrameId>,
    /// Uses of parts, and of networks as functions, in the order in which they were met.
    pub runs: Vec<FrameId>,
    /// The step's length in seconds, where time is continuous.
    pub dt: Option<f64>,
    /// Whether there are steps at all.
    pub stepped: bool,
    /// How many steps a presentation has; 0 where there is no time, or where that is not fixed.
    pub steps: usize,
    /// The number of the step, for draws and `t`.
    pub step: Int,
    /// That of the presentation, for what is drawn once in it, and of the batch's first sample in it.
    pub presentation: Int,
    pub first: Int,
    /// What is added to a port from outside.
    pub stimuli: IndexMap<(FrameId, usize, usize), Vec<Num>>,
    /// What is given to an architecture's input from outside, by its name.
    pub fed: IndexMap<(FrameId, String), Vec<Num>>,
    /// What a connection brings to its port, where it is not the plain product.
    pub arrivals: IndexMap<(FrameId, usize), Num>,
    /// Events at ports: count and sum of values, by population and port.
    pub events: IndexMap<(FrameId, usize, String), Vec<(Num, Num)>>,
    /// What jumps of a population's state add up to in this step.
    pub jumps: IndexMap<Jump, Num>,
    /// In place of `transpose(w)` on the way back: [sender, target], by the connection's path.
    pub feedback: IndexMap<String, Feedback>,
    /// Ports' sums, by population: where errors arrive.
    pub port_nodes: IndexMap<(FrameId, usize, usize), NodeId>,
    /// Nodes that stand for a port's sum alone, by what is summed and the port.
    pub marks: BTreeMap<(NodeId, String), NodeId>,
    /// What each connection received and gave: its sender's value and its contribution.
    pub senders: IndexMap<(FrameId, usize), Num>,
    /// What connections by declared synapses transmit, pair by pair, before it is summed over the senders.
    pub transmitted: IndexMap<(FrameId, usize), NodeId>,
    /// What comes to ports from elsewhere: held over the step, whatever the solver.
    pub foreign: Vec<NodeId>,
    /// Populations whose spikes are placed inside the step, with where that is asked for.
    pub interpolated: IndexMap<(FrameId, usize), nnm_syntax::span::Span>,
    /// The world in which the networks act.
    pub world: Option<crate::samples::World>,
    /// What has been drawn, for `score`.
    pub drawn: Vec<crate::samples::Drawn>,
    /// Over time: where the derivatives of its probability begin, and at which draws they end.
    pub score_seeds: Option<(Seeds, Vec<NodeId>)>,
    /// Sets the draws of this program apart from those of others at the same places.
    pub salt: String,
    /// Terms of the objectives, by name.
    pub terms: Vec<(String, Num)>,
    /// Draws that stand for white noise.
    pub white: BTreeSet<NodeId>,
    /// How many draws have been made at each place, for their keys.
    pub draws: BTreeMap<String, usize>,
    /// Parts for which what uses them is being looked for.
    pub reaching: BTreeSet<FrameId>,
    /// The keys of draws that names stand for.
    pub named_draws: BTreeMap<String, u64>,
    /// Reductions over time asked for: the value per step and what becomes of it.
    pub reductions: Vec<crate::samples::Reduction>,
    /// Histories that wait for their sender's value: population and how many steps back.
    pub pending_shifts: Vec<(FrameId, usize, usize)>,
    /// Histories' next values.
    pub shifts: Vec<(VarId, NodeId)>,
    /// Where derivatives begin in the backward pass of a presentation: nodes of the step and what flows back to them.
    pub seeds: Option<Seeds>,
    /// While an energy is looked at: free variables with the nodes at which they begin.
    pub forward_of: Vec<(NodeId, NodeId)>,
    /// Statements for the step, in order.
    pub body: Vec<Stmt>,
    /// Connections that act in a simulation by more than a plain product.
    pub paths: IndexMap<(FrameId, usize), Arc<Path>>,
    /// Values of one part of a step that others read.
    pub kept: Vec<Kept>,
    /// What populations were in the last steps: by population and name.
    pub rings: IndexMap<(FrameId, usize, String), Ring>,
    /// Numbers that stand for names of a connection's ends: whether of the target, and the name.
    pub symbols: BTreeMap<VarId, (bool, String)>,
    /// What solvers do before the equations' results are stored, and how many have done so.
    pub before_equations: Vec<Stmt>,
    pub solved: usize,
    /// Compartments that are joined, for implicit steps.
    pub ties: Vec<Tie>,
    /// Parts that run beside a simulated network, and those that have begun to be prepared.
    pub units: IndexMap<FrameId, crate::simulate::Build>,
    pub units_begun: BTreeSet<FrameId>,
    /// Connections of parts that learn.
    pub learned: Vec<(NetId, usize)>,
    /// Sums over the events of a step, emptied when they have been read.
    pub sums: BTreeSet<VarId>,
    /// Numbers and indices that fill vars before the first step.
    pub tables: Vec<(VarId, Vec<f64>)>,
    pub indices: Vec<(VarId, std::sync::Arc<Vec<u32>>)>,
}

/// What carries errors back over a connection.
#[derive(Clone, Debug)]
pub enum Feedback {
    Matrix(Num),
    None,
}

impl Program {
    pub fn new(purpose: Purpose, batched: bool) -> Program {
        Program {
            purpose,
            learning: false,
            batched,
            leaves: IndexMap::new(),
            frames: IndexMap::new(),
            runs: vec![],
            dt: None,
            stepped: false,
            steps: 0,
            step: Int::Const(0),
            presentation: Int::Const(0),
            first: Int::Const(0),
            stimuli: IndexMap::new(),
            arrivals: IndexMap::new(),
            events: IndexMap::new(),
            fed: IndexMap::new(),
            jumps: IndexMap::new(),
            feedback: IndexMap::new(),
            port_nodes: IndexMap::new(),
            marks: BTreeMap::new(),
            senders: IndexMap::new(),
            transmitted: IndexMap::new(),
            foreign: vec![],
            interpolated: IndexMap::new(),
            units: IndexMap::new(),
            units_begun: BTreeSet::new(),
            learned: vec![],
            world: None,
            drawn: vec![],
            score_seeds: None,
            salt: String::new(),
            terms: vec![],
            white: BTreeSet::new(),
            draws: BTreeMap::new(),
            named_draws: BTreeMap::new(),
            reaching: BTreeSet::new(),
            reductions: vec![],
            pending_shifts: vec![],
            seeds: None,
            forward_of: vec![],
            shifts: vec![],
            body: vec![],
            paths: IndexMap::new(),
            kept: vec![],
            rings: IndexMap::new(),
            symbols: BTreeMap::new(),
            before_equations: vec![],
            solved: 0,
            ties: vec![],
            sums: BTreeSet::new(),
            tables: vec![],
            indices: vec![],
        }
    }
}

/// What a leaf is made from.
pub struct NewLeaf<'a> {
    pub path: &'a str,
    pub role: Role,
    pub unit: Unit,
    pub shape: &'a [usize],
    pub batched: bool,
    pub home: Option<(NetId, String)>,
}

impl Session<'_> {
    /// The value of a stored quantity; storage is made when it is first asked for.
    pub fn leaf(&mut self, new: NewLeaf) -> Num {
        let var = self.leaf_var(&new);
        let node = self.read_whole(var);
        Num::node(new.unit, node)
    }

    pub fn leaf_var(&mut self, new: &NewLeaf) -> VarId {
        if let Some(leaf) = self.program.as_ref().and_then(|p| p.leaves.get(new.path)) {
            return leaf.var;
        }
        let var = self.graph.add_var(Var {
            name: new.path.to_string(),
            elem: VarElem::Real,
            shape: new.shape.to_vec(),
            batched: new.batched,
            times: None,
        });
        if let Some((id, local)) = &new.home {
            let kept = InStore { unit: new.unit.clone(), home: None };
            self.net_mut(*id).kept.insert(local.clone(), kept);
        }
        let leaf = Leaf { var, role: new.role, unit: new.unit.clone(), class: None, home: new.home.clone() };
        if let Some(program) = &mut self.program {
            program.leaves.insert(new.path.to_string(), leaf);
        }
        var
    }

    pub fn read_whole(&mut self, var: VarId) -> NodeId {
        self.read_at(var, Place::Whole)
    }

    pub fn read_at(&mut self, var: VarId, place: Place) -> NodeId {
        match self.graph.read(var, place) {
            Ok(node) => node,
            Err(_) => self.graph.constant(f64::NAN),
        }
    }

    /// Whether something runs in the program being built.
    pub fn building(&self) -> bool {
        self.program.is_some()
    }
}
