//! Leaves: constants, reads of storage, counts of the surrounding loops, random draws.

use std::sync::Arc;

use nnm_kir::ir::{Draw, Int};
use nnm_runtime::array::Array;

use crate::error::{Built, ShapeError};
use crate::ir::{Graph, Node, NodeId, Op, Place, Tensor, Var, VarElem, VarId};
use crate::shape;

impl Graph {
    /// New storage.
    pub fn add_var(&mut self, var: Var) -> VarId {
        let id = VarId(self.vars.len() as u32);
        self.vars.push(var);
        id
    }

    /// A node by its id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// A node's shape (per sample).
    pub fn shape(&self, id: NodeId) -> &[usize] {
        &self.node(id).shape
    }

    /// Storage by its id.
    pub fn var(&self, id: VarId) -> &Var {
        &self.vars[id.0 as usize]
    }

    /// A real constant of shape [].
    pub fn constant(&mut self, value: f64) -> NodeId {
        self.intern(Node { op: Op::Const(value), args: vec![], shape: vec![], batched: false })
    }

    /// A constant of any shape. One whose elements are all the same becomes a broadcast scalar.
    pub fn tensor(&mut self, array: Array) -> NodeId {
        let shape = array.shape().to_vec();
        match array.iter().next().copied() {
            Some(first) if array.iter().all(|x| x.to_bits() == first.to_bits()) => self.filled(first, &shape),
            _ => self.intern(Node { op: Op::Tensor(Tensor(Arc::new(array))), args: vec![], shape, batched: false }),
        }
    }

    /// A constant of the given shape.
    pub fn filled(&mut self, value: f64, shape: &[usize]) -> NodeId {
        let scalar = self.constant(value);
        self.spread(scalar, shape)
    }

    /// An integer of the surrounding loops as a real of shape [].
    pub fn count(&mut self, int: Int) -> NodeId {
        match int {
            Int::Const(value) => self.constant(value as f64),
            int => self.intern(Node { op: Op::Count(int), args: vec![], shape: vec![], batched: false }),
        }
    }

    /// What a var holds at a place: the var's shape, the index var's shape for a gather, [] in deliveries.
    pub fn read(&mut self, var: VarId, place: Place) -> Built {
        let Some(stored) = self.vars.get(var.0 as usize) else {
            return Err(ShapeError { op: "read", shapes: vec![], reason: format!("there is no var {}", var.0) });
        };
        let wrong = |reason: &str| ShapeError { op: "read", shapes: vec![stored.shape.clone()], reason: reason.into() };
        let batched = stored.batched;
        let shape = match &place {
            Place::Time(_) if stored.times.is_none() => return Err(wrong("this var has no copies in time")),
            Place::Whole if stored.times.is_some() => return Err(wrong("which copy in time is meant?")),
            Place::Whole | Place::Time(_) => stored.shape.clone(),
            Place::Gather(index) => match self.vars.get(index.0 as usize) {
                Some(index) if index.elem == VarElem::Index => index.shape.clone(),
                _ => return Err(wrong("a gather needs a var of indices")),
            },
            Place::Edge | Place::Own | Place::Other => vec![],
        };
        Ok(self.intern(Node { op: Op::Read { var, place }, args: vec![], shape, batched }))
    }

    /// Random numbers of the given shape, for each sample its own where `batched`; `mean` is that of a Poisson draw.
    /// `first` is the number of the batch's first sample: what a sample draws does not depend on its batch.
    pub fn draw(
        &mut self,
        draw: Draw,
        key: u64,
        [step, first]: [Int; 2],
        shape: &[usize],
        batched: bool,
        mean: Option<NodeId>,
    ) -> Built {
        if (draw == Draw::Poisson) != mean.is_some() {
            let reason = "a Poisson draw has a mean, others have none".to_string();
            return Err(ShapeError { op: "draw", shapes: vec![shape.to_vec()], reason });
        }
        let args = match mean {
            Some(mean) if shape::size(self.shape(mean)) == 1 => vec![self.reshape(mean, &[])?],
            Some(mean) => vec![self.broadcast_to(mean, shape)?],
            None => vec![],
        };
        let batched = batched || args.iter().any(|a| self.node(*a).batched);
        Ok(self.intern(Node { op: Op::Draw { draw, key, step, first }, args, shape: shape.to_vec(), batched }))
    }

    /// The value of a constant, broadcast or not.
    pub fn constant_value(&self, id: NodeId) -> Option<f64> {
        match &self.node(id).op {
            Op::Const(value) => Some(*value),
            Op::Broadcast => self.constant_value(self.node(id).args[0]),
            _ => None,
        }
    }
}
