//! A program made runnable: lowered, compiled, with its buffers; and moving numbers in and out of them.

mod kernels;
mod pace;

pub use pace::Threads;

use std::time::Instant;

use nnm_graph::Lowered;
use nnm_graph::ir::{Program, Var, VarElem, VarId};
use nnm_kir::ir::{Elem, Kernel, Precision};
use nnm_runtime::array::Array;
use nnm_runtime::memory::Aligned;
use nnm_runtime::prims;

use crate::lowering::lowered;
use crate::value::shaped;

/// How kernels are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Jit,
    Interpreter,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("out of memory: the program needs {bytes} bytes")]
    Memory { bytes: u64 },
    #[error("a bug of the compiler: {0}")]
    Bug(String),
}

enum Code {
    Jit(std::sync::Arc<nnm_codegen::JitCode>),
    Interpreter,
}

/// What is known of running a program with several threads.
#[derive(Default)]
struct Several {
    threads: Threads,
    pace: pace::Pace,
    code: Option<nnm_codegen::Together>,
    /// There is nothing to cut.
    whole: bool,
}

/// The part of a call's steps that a trial of several threads has.
const TRIAL: i64 = 16;

/// A compiled program with its memory.
pub struct Engine {
    vars: Vec<Var>,
    batch: usize,
    lowered: Lowered,
    /// How many of the buffers are the program's own, before what one kernel for several programs reads.
    own: usize,
    code: Code,
    memory: Vec<Aligned>,
    slots: Vec<i64>,
    several: Several,
}

impl Engine {
    pub fn new(program: &Program, backend: Backend) -> Result<Engine, EngineError> {
        if cfg!(debug_assertions) {
            let faults = nnm_graph::verify::verify(program);
            if !faults.is_empty() {
                return Err(EngineError::Bug(format!("in the graph of `{}`: {}", program.name, faults.join("; "))));
            }
        }
        let mut lowered = lowered(program).map_err(EngineError::Bug)?;
        let own = lowered.kernel.buffers.len();
        let (code, values) = match backend {
            Backend::Jit => {
                let made = kernels::ready(&lowered.kernel, |kernel| nnm_codegen::compile(kernel, &options()));
                let made = made.map_err(|e| EngineError::Bug(format!("compiling `{}`: {e}", program.name)))?;
                lowered.kernel = made.kernel;
                (Code::Jit(made.code), made.values)
            }
            Backend::Interpreter => (Code::Interpreter, vec![]),
        };
        let mut memory = allocate(&lowered.kernel)?;
        if let Some(constants) = memory.get_mut(own) {
            fill(constants, lowered.kernel.buffers[own].elem, 0, values.len(), values.iter().copied());
        }
        for (buffer, values) in &lowered.constants {
            fill(
                &mut memory[buffer.0 as usize],
                lowered.kernel.buffers[buffer.0 as usize].elem,
                0,
                values.len(),
                values.iter().copied(),
            );
        }
        let slots = vec![0; lowered.kernel.slots.len()];
        let (vars, batch) = (program.graph.vars.clone(), program.batch.max(1));
        Ok(Engine { vars, batch, lowered, own, code, memory, slots, several: Several::default() })
    }

    /// Lets several threads work on each run of the kernel, where that is faster; the bits stay the same.
    pub fn use_threads(&mut self, threads: Threads) {
        self.several = Several { threads, ..Several::default() };
    }

    pub fn kernel(&self) -> &Kernel {
        &self.lowered.kernel
    }

    pub fn set_slot(&mut self, name: &str, value: i64) {
        if let Some(k) = self.lowered.kernel.slots.iter().position(|s| s == name) {
            self.slots[k] = value;
        }
    }

    pub fn slot(&self, name: &str) -> i64 {
        self.lowered.kernel.slots.iter().position(|s| s == name).map_or(0, |k| self.slots[k])
    }

    /// The steps of the next call, where so many are good for one: fewer where it is a trial.
    pub fn next_piece(&self, steps: i64) -> i64 {
        let several = self.several.threads.most > 1 && !self.several.threads.always && !self.several.whole;
        if several && self.several.pace.tries() { (steps / TRIAL).max(1) } else { steps }
    }

    /// Runs the kernel once, for so many steps; its status.
    pub fn run_steps(&mut self, steps: i64) -> Result<i32, EngineError> {
        let Several { threads, pace, whole, .. } = &self.several;
        if threads.most < 2 || *whole || matches!(self.code, Code::Interpreter) {
            return self.run();
        }
        let several = threads.always || pace.next();
        // Making the code and its tables happens once: it says nothing of the pace.
        if several {
            self.cut()?;
        }
        let begun = Instant::now();
        let status = if several { self.run_together()? } else { None };
        let together = status.is_some();
        let status = match status {
            Some(status) => status,
            None => self.run()?,
        };
        self.several.pace.note(together, steps, begun);
        Ok(status)
    }

    /// Makes the code for several threads, unless it is there or there is nothing to cut.
    fn cut(&mut self) -> Result<(), EngineError> {
        if self.several.code.is_none() {
            let most = self.several.threads.most;
            let made = nnm_codegen::Together::new(&self.lowered.kernel, &self.memory, &options(), most);
            self.several.code = made.map_err(|e| EngineError::Bug(format!("cutting a kernel: {e}")))?;
            self.several.whole = self.several.code.is_none();
        }
        Ok(())
    }

    /// Runs the kernel with several threads; no status where that cannot be.
    fn run_together(&mut self) -> Result<Option<i32>, EngineError> {
        let Some(code) = &mut self.several.code else { return Ok(None) };
        let status = code.run(&mut self.memory, &mut self.slots).map_err(|e| EngineError::Bug(e.to_string()))?;
        self.several.whole = status.is_none();
        Ok(status)
    }

    /// Runs the kernel once; its status.
    pub fn run(&mut self) -> Result<i32, EngineError> {
        match &self.code {
            Code::Jit(code) => code.run(&mut self.memory, &mut self.slots).map_err(|e| EngineError::Bug(e.to_string())),
            Code::Interpreter => {
                let options = nnm_kir::interp::Options { prims: &prims::find, poison: false };
                let _flush = nnm_runtime::flush::Flush::new();
                nnm_kir::interp::run(&self.lowered.kernel, &mut self.memory, &mut self.slots, options)
                    .map_err(|e| EngineError::Bug(e.to_string()))
            }
        }
    }

    fn buffer(&self, var: VarId) -> usize {
        self.lowered.buffers[var.0 as usize].0 as usize
    }

    /// Elements of one copy of a var.
    fn size(&self, var: &Var) -> usize {
        var.shape.iter().product::<usize>() * if var.batched { self.batch } else { 1 }
    }

    fn start(&self, var: VarId, copy: usize) -> usize {
        copy * self.lowered.strides[var.0 as usize] as usize
    }

    /// Fills a var (one copy of it, or the first) with numbers in row-major order; fewer are repeated.
    pub fn write(&mut self, var: VarId, copy: usize, values: &[f64]) {
        let size = self.size(&self.vars[var.0 as usize]);
        let start = self.start(var, copy);
        let buffer = self.buffer(var);
        let elem = self.lowered.kernel.buffers[buffer].elem;
        let memory = &mut self.memory[buffer];
        match values {
            [] => fill(memory, elem, start, size, std::iter::repeat_n(0.0, size)),
            _ if values.len() >= size => fill(memory, elem, start, size, values[..size].iter().copied()),
            _ => fill(memory, elem, start, size, values.iter().copied().cycle().take(size)),
        }
    }

    /// Fills a var with an array.
    pub fn write_array(&mut self, var: VarId, array: &Array) {
        match array.as_slice() {
            Some(values) => self.write(var, 0, values),
            None => self.write(var, 0, &array.iter().copied().collect::<Vec<_>>()),
        }
    }

    /// Fills all copies of a var, one after another; numbers of another extent belong to another program and are left.
    pub fn write_all(&mut self, var: VarId, values: &[f64]) {
        let declared = &self.vars[var.0 as usize];
        let (size, copies) = (self.size(declared), declared.times.unwrap_or(1));
        if copies == 1 {
            return self.write(var, 0, values);
        }
        if size * copies == values.len() {
            values.chunks(size.max(1)).enumerate().for_each(|(copy, part)| self.write(var, copy, part));
        }
    }

    pub fn write_index(&mut self, var: VarId, values: &[u32]) {
        let buffer = self.buffer(var);
        self.memory[buffer].u32_mut()[..values.len()].copy_from_slice(values);
        self.several.code = None;
    }

    /// The numbers of one copy of a var.
    pub fn read(&self, var: VarId, copy: usize) -> Vec<f64> {
        let declared = &self.vars[var.0 as usize];
        let size = self.size(declared);
        let start = self.start(var, copy);
        let buffer = self.buffer(var);
        let memory = &self.memory[buffer];
        match self.lowered.kernel.buffers[buffer].elem {
            Elem::F32 => memory.f32()[start..start + size].iter().map(|x| f64::from(*x)).collect(),
            Elem::F64 => memory.f64()[start..start + size].to_vec(),
            Elem::U32 => memory.u32()[start..start + size].iter().map(|x| f64::from(*x)).collect(),
            Elem::I64 => memory.i64()[start..start + size].iter().map(|x| *x as f64).collect(),
        }
    }

    pub fn read_array(&self, var: VarId) -> Array {
        let shape = self.vars[var.0 as usize].shape.clone();
        let values = self.read(var, 0);
        let size: usize = shape.iter().product();
        shaped(&shape, values[..size.min(values.len())].to_vec())
    }

    /// All that a var holds: with an axis of its copies in front, where it has several.
    pub fn read_all(&self, var: VarId) -> Array {
        match self.vars[var.0 as usize].times {
            Some(copies) => self.read_times(var, copies),
            None => self.read_array(var),
        }
    }

    /// All copies in time, one after another: [times, shape…].
    pub fn read_times(&self, var: VarId, copies: usize) -> Array {
        let declared = &self.vars[var.0 as usize];
        let mut shape = vec![copies];
        shape.extend(&declared.shape);
        let size: usize = declared.shape.iter().product();
        let mut values = Vec::with_capacity(copies * size);
        for copy in 0..copies {
            values.extend_from_slice(&self.read(var, copy)[..size]);
        }
        shaped(&shape, values)
    }

    pub fn is_index(&self, var: VarId) -> bool {
        self.vars[var.0 as usize].elem != VarElem::Real
    }

    /// The first `n` entries of an index var.
    pub fn indices(&self, var: VarId, n: usize) -> &[u32] {
        &self.memory[self.buffer(var)].u32()[..n]
    }

    /// Copies of the vars' buffers, to go back to.
    pub fn snapshot(&self, vars: &[VarId]) -> Result<Vec<(usize, Aligned)>, EngineError> {
        let mut out = vec![];
        for var in vars {
            let buffer = self.buffer(*var);
            let memory = &self.memory[buffer];
            let copy = memory.duplicate().map_err(|_| EngineError::Memory { bytes: memory.used_bytes() as u64 })?;
            out.push((buffer, copy));
        }
        Ok(out)
    }

    /// The bytes of all buffers but those of some vars.
    pub fn image(&self, skip: &[VarId]) -> Vec<Vec<u8>> {
        let skipped: Vec<usize> = skip.iter().map(|v| self.buffer(*v)).collect();
        let kept = |k: &usize| !skipped.contains(k);
        (0..self.own).filter(kept).map(|k| self.memory[k].view::<u8>().to_vec()).collect()
    }

    /// Puts back what [`Self::image`] gave; false where it is of another program.
    pub fn restore_image(&mut self, skip: &[VarId], image: &[Vec<u8>]) -> bool {
        let skipped: Vec<usize> = skip.iter().map(|v| self.buffer(*v)).collect();
        let places: Vec<usize> = (0..self.own).filter(|k| !skipped.contains(k)).collect();
        let fits = places.len() == image.len()
            && places.iter().zip(image).all(|(k, bytes)| self.memory[*k].view::<u8>().len() == bytes.len());
        if fits {
            self.several.code = None;
            for (k, bytes) in places.iter().zip(image) {
                self.memory[*k].view_mut::<u8>().copy_from_slice(bytes);
            }
        }
        fits
    }

    pub fn restore(&mut self, kept: Vec<(usize, Aligned)>) {
        for (buffer, memory) in kept {
            self.memory[buffer] = memory;
        }
    }
}

fn options() -> nnm_codegen::Options<'static> {
    nnm_codegen::Options { prims: &prims::find, ..Default::default() }
}

fn allocate(kernel: &Kernel) -> Result<Vec<Aligned>, EngineError> {
    let width = |e: Elem| match e {
        Elem::F32 | Elem::U32 => 4,
        Elem::F64 | Elem::I64 => 8,
    };
    let bytes: u64 = kernel.buffers.iter().map(|b| b.len.saturating_mul(width(b.elem))).sum();
    let mut memory = vec![];
    for b in &kernel.buffers {
        let n = b.len as usize;
        let made = match b.elem {
            Elem::F32 => Aligned::zeroed::<f32>(n),
            Elem::F64 => Aligned::zeroed::<f64>(n),
            Elem::U32 => Aligned::zeroed::<u32>(n),
            Elem::I64 => Aligned::zeroed::<i64>(n),
        };
        memory.push(made.map_err(|_| EngineError::Memory { bytes })?);
    }
    Ok(memory)
}

/// Writes numbers into a part of a buffer, converted to what it holds.
fn fill(memory: &mut Aligned, elem: Elem, start: usize, size: usize, values: impl Iterator<Item = f64>) {
    match elem {
        Elem::F32 => memory.f32_mut()[start..start + size].iter_mut().zip(values).for_each(|(x, v)| *x = v as f32),
        Elem::F64 => memory.f64_mut()[start..start + size].iter_mut().zip(values).for_each(|(x, v)| *x = v),
        Elem::U32 => memory.u32_mut()[start..start + size].iter_mut().zip(values).for_each(|(x, v)| *x = v as u32),
        Elem::I64 => memory.i64_mut()[start..start + size].iter_mut().zip(values).for_each(|(x, v)| *x = v as i64),
    }
}

/// The precision of a name on the command line or in an experiment.
pub fn precision(name: &str) -> Option<Precision> {
    match name {
        "f32" => Some(Precision::F32),
        "f64" => Some(Precision::F64),
        _ => None,
    }
}
