//! Trained quantities: which weights of a network a rule acts on, all of them or those of the parts named.

use nnm_graph::ir::{Binary, NodeId, VarId};
use nnm_syntax::span::Span;

use super::credit::Credit;
use crate::failure::Noted;
use crate::network::{FrameId, NetId};
use crate::program::Role;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Owner, Repr, Value};

/// A trained quantity.
#[derive(Clone, Debug)]
pub struct Target {
    pub net: NetId,
    pub what: What,
    /// Its path with the network's, and its storage.
    pub path: String,
    pub var: VarId,
    pub read: NodeId,
    pub unit: Unit,
    pub shape: Vec<usize>,
    /// Free variables differ between samples, weights do not.
    pub batched: bool,
}

/// Trained quantities, each with what is proposed for it.
pub type Directions = Vec<(Target, NodeId)>;

/// A connection in one frame: one use of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    pub frame: FrameId,
    pub projection: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// `w` of a connection.
    Weight(Link),
    /// `b` of a connection: a weight from a sender whose output is 1.
    Bias(Link),
    /// A `weight` of an architecture or a neuron: its own input, from a sender whose output is 1.
    Plain,
}

impl Target {
    /// Tells one use of a weight from the others.
    pub fn key(&self) -> String {
        format!("{}@{:?}", self.path, self.frame())
    }

    /// The connection whose weight or bias it is.
    pub fn link(&self) -> Option<Link> {
        match self.what {
            What::Weight(link) | What::Bias(link) => Some(link),
            What::Plain => None,
        }
    }

    pub fn is_bias(&self) -> bool {
        matches!(self.what, What::Bias(_))
    }

    /// The frame whose connection it is.
    pub fn frame(&self) -> Option<FrameId> {
        self.link().map(|link| link.frame)
    }

    /// How many there are along the first axis: one for each target.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }
}

impl Session<'_> {
    /// All trained quantities of a network's frame, or those of the parts named.
    pub fn targets(&mut self, frame: FrameId, over: Option<&[Value]>, span: Span) -> Option<Vec<Target>> {
        let mut out = vec![];
        match over {
            None => self.all_targets(frame, &mut out),
            Some(parts) => {
                for part in parts {
                    self.part_targets(frame, part, span, &mut out)?;
                }
            }
        }
        Some(out)
    }

    fn all_targets(&mut self, frame: FrameId, out: &mut Vec<Target>) {
        for frame in self.frames_below(self.frame(frame).net) {
            self.frame_targets(frame, out);
        }
    }

    fn frame_targets(&mut self, frame: FrameId, out: &mut Vec<Target>) {
        let id = self.frame(frame).net;
        for k in 0..self.net(id).projections.len() {
            let p = self.net(id).projections[k].clone();
            if p.trained || p.plastic {
                self.projection_targets(frame, k, out);
            }
        }
        let path = self.net(id).path.clone();
        for q in self.net(id).weights.clone() {
            self.plain_target(id, &format!("{path}.{}", q.name), out);
        }
        for population in self.net(id).populations.clone() {
            for q in &population.weights {
                self.plain_target(id, &format!("{path}.{}.{}", population.name, q.name), out);
            }
        }
    }

    /// A connection's targets in every frame in which its network runs.
    fn shared_targets(&mut self, frame: FrameId, k: usize, out: &mut Vec<Target>) {
        let id = self.frame(frame).net;
        let frames: Vec<FrameId> = self.live_frames().into_iter().filter(|f| self.frame(*f).net == id).collect();
        for frame in frames {
            self.projection_targets(frame, k, out);
        }
    }

    /// Targets that are one weight, used in several places, become one: their directions add up. A rule that looks at
    /// weights alone says the same in each place, and is heard once.
    pub fn merged(&mut self, credit: &Credit, directions: Directions) -> Option<Directions> {
        let adds = credit.reads(self, &["pre", "post", "Pre", "Post", "gradient", "eligibility", "score"]);
        let mut merged: indexmap::IndexMap<VarId, (Target, NodeId)> = indexmap::IndexMap::new();
        for (target, direction) in directions {
            let sum = match merged.get(&target.var) {
                Some((_, before)) if !adds => *before,
                Some((_, before)) => self.graph.binary(Binary::Add, *before, direction).noted(self)?,
                None => direction,
            };
            let target = merged.get(&target.var).map_or(target, |(first, _)| first.clone());
            merged.insert(target.var, (target, sum));
        }
        Some(merged.into_values().collect())
    }

    fn projection_targets(&mut self, frame: FrameId, k: usize, out: &mut Vec<Target>) {
        let id = self.frame(frame).net;
        let p = self.net(id).projections[k].clone();
        let link = Link { frame, projection: k };
        let parts = [(&p.weight, What::Weight(link)), (&p.bias, What::Bias(link))];
        for (q, what) in parts {
            let Some(q) = q else { continue };
            let num = self.projection_weight(id, &p.name, q);
            let path = format!("{}.{}.{}", self.net(id).path, p.name, q.name);
            let (Repr::Node(read), Some(leaf)) = (num.repr, self.leaf_of(&path)) else { continue };
            let (unit, shape) = (q.unit.clone(), q.shape.clone());
            out.push(Target { net: id, what, path, var: leaf.var, read, unit, shape, batched: false });
        }
    }

    fn plain_target(&mut self, id: NetId, path: &str, out: &mut Vec<Target>) {
        let Some(leaf) = self.leaf_of(path) else { return };
        // Its derivative counts all uses already.
        if out.iter().any(|t| t.var == leaf.var) {
            return;
        }
        let read = self.read_whole(leaf.var);
        let shape = self.graph.var(leaf.var).shape.clone();
        let (path, unit) = (path.to_string(), leaf.unit);
        out.push(Target { net: id, what: What::Plain, path, var: leaf.var, read, unit, shape, batched: false });
    }

    fn part_targets(&mut self, frame: FrameId, part: &Value, span: Span, out: &mut Vec<Target>) -> Option<()> {
        match part {
            Value::Many(parts) => {
                for part in parts.iter() {
                    self.part_targets(frame, part, span, out)?;
                }
            }
            Value::Projection(p) => {
                let at = match p.owner {
                    Owner::Frame(f) => f,
                    Owner::Net(_) => frame,
                };
                self.shared_targets(at, p.index, out);
            }
            Value::Population(p) => {
                let at = match p.owner {
                    Owner::Frame(f) => f,
                    Owner::Net(_) => frame,
                };
                let id = self.frame(at).net;
                let population = self.net(id).populations[p.index].clone();
                for q in &population.weights {
                    let path = format!("{}.{}.{}", self.net(id).path, population.name, q.name);
                    self.plain_target(id, &path, out);
                }
            }
            Value::Frame(f) => self.all_targets(*f, out),
            Value::Num(Num { repr: Repr::Node(node), .. }) => {
                let leaves = self.program.as_ref().map(|p| p.leaves.clone()).unwrap_or_default();
                for (path, leaf) in leaves {
                    let read = self.read_whole(leaf.var);
                    if read == *node && leaf.role == Role::Weight {
                        let id = leaf.home.as_ref().map_or(self.frame(frame).net, |(id, _)| *id);
                        self.plain_target(id, &path, out);
                    }
                }
            }
            Value::Missing => return None,
            other => {
                self.error(
                    "E0514",
                    span,
                    format!("{} is nothing to train: name a connection or a weight", other.describe()),
                );
                return None;
            }
        }
        Some(())
    }
}
