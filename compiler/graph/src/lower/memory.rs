//! Buffers of the kernel: vars, constants, and temporaries that are shared in time.

use std::sync::Arc;

use nnm_kir::affine::padded;
use nnm_kir::ir::{BufId, Buffer, Elem, Precision};
use nnm_runtime::array::Array;

use crate::ir::{NodeId, Program, Tensor, VarElem};
use crate::shape;

pub(super) struct Memory {
    pub buffers: Vec<Buffer>,
    /// For each var, the elements from one copy in time to the next.
    pub strides: Vec<u64>,
    pub constants: Vec<(NodeId, BufId, Arc<Array>)>,
    pub temporaries: Vec<BufId>,
    free: Vec<BufId>,
    real: Elem,
}

impl Memory {
    /// The vars of a program.
    pub fn of(program: &Program) -> Memory {
        let real = match program.precision {
            Precision::F32 => Elem::F32,
            Precision::F64 => Elem::F64,
        };
        let (mut buffers, mut strides) = (vec![], vec![]);
        for var in &program.graph.vars {
            let samples = if var.batched { program.batch } else { 1 };
            let len = samples * shape::size(&var.shape);
            let stride = padded(len as i64) as u64;
            let elem = match var.elem {
                VarElem::Real => real,
                VarElem::Index => Elem::U32,
                VarElem::Count => Elem::I64,
            };
            let len = var.times.map_or(len as u64, |times| times as u64 * stride);
            buffers.push(Buffer { name: var.name.clone(), elem, len });
            strides.push(stride);
        }
        Memory { buffers, strides, constants: vec![], temporaries: vec![], free: vec![], real }
    }

    /// A buffer of reals for `len` elements: the smallest free one that is large enough, else a new one.
    pub fn take(&mut self, len: usize) -> BufId {
        let large = |id: &BufId| self.buffers[id.0 as usize].len;
        let fitting = self.free.iter().copied().filter(|id| large(id) >= len as u64).min_by_key(|id| (large(id), *id));
        match fitting {
            Some(id) => {
                self.free.retain(|free| *free != id);
                id
            }
            None => self.keep(len, self.real),
        }
    }

    /// A buffer of its own.
    pub fn keep(&mut self, len: usize, elem: Elem) -> BufId {
        let id = BufId(self.buffers.len() as u32);
        self.buffers.push(Buffer { name: format!("t{}", self.temporaries.len()), elem, len: len as u64 });
        self.temporaries.push(id);
        id
    }

    /// A buffer of reals of its own.
    pub fn keep_real(&mut self, len: usize) -> BufId {
        self.keep(len, self.real)
    }

    /// The buffer may be taken again.
    pub fn give_back(&mut self, id: BufId) {
        if !self.free.contains(&id) {
            self.free.push(id);
        }
    }

    /// The buffer of a constant.
    pub fn constant(&mut self, node: NodeId, tensor: &Tensor) -> BufId {
        if let Some((_, id, _)) = self.constants.iter().find(|(known, ..)| *known == node) {
            return *id;
        }
        let id = BufId(self.buffers.len() as u32);
        let name = format!("c{}", self.constants.len());
        self.buffers.push(Buffer { name, elem: self.real, len: tensor.0.len() as u64 });
        self.constants.push((node, id, tensor.0.clone()));
        id
    }
}
