//! What a kernel means: statement by statement, every element held against its buffer's length.
//!
//! Compiled code gives the same bits and checks nothing. Bodies are evaluated instruction by instruction on tiles of 256
//! elements, which the independence of a map's elements allows; deliveries go edge by edge.

use crate::affine::padded;
use crate::ir::{Arg, At, Body, Cond, Inst, Int, IntCmp, Kernel, Map, Precision, Ref, Rows, Stmt};
use crate::{Prims, verify};
use memory::Memory;
use nnm_runtime::flush::Flush;
use nnm_runtime::memory::Aligned;
use real::Real;
use std::error::Error;
use std::fmt;
use tile::{Ints, Lanes, TILE, Tile};

mod memory;
mod prim;
mod real;
mod tile;

/// What to hold a kernel to.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    pub prims: Prims<'a>,
    /// Makes the padding behind each map's stores not a number, to find kernels that count on it.
    pub poison: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { prims: &crate::no_prims, poison: false }
    }
}

/// Why a kernel cannot go on: where, by statement numbers from the outermost in, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kernel: String,
    pub place: String,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => write!(f, "kernel `{}`: {}", self.kernel, self.message),
            place => write!(f, "kernel `{}`, statement {place}: {}", self.kernel, self.message),
        }
    }
}

impl Error for Fault {}

/// Executes a kernel on its buffers and slots, which it leaves as far as it came; the status it returns, 0 at its end.
pub fn run(kernel: &Kernel, buffers: &mut [Aligned], slots: &mut [i64], options: Options<'_>) -> Result<i32, Fault> {
    let refuse = |message| Fault { kernel: kernel.name.clone(), place: String::new(), message };
    if let Some(fault) = verify::verify(kernel, options.prims).into_iter().next() {
        return Err(refuse(fault));
    }
    if slots.len() != kernel.slots.len() {
        return Err(refuse(format!("the kernel has {} slots, given {}", kernel.slots.len(), slots.len())));
    }
    let memory = Memory::new(&kernel.buffers, buffers).map_err(refuse)?;
    let _flush = Flush::new();
    match kernel.precision {
        Precision::F32 => Machine::<f32>::new(kernel, memory, slots, options).run(),
        Precision::F64 => Machine::<f64>::new(kernel, memory, slots, options).run(),
    }
}

enum Flow {
    Next,
    Return(i32),
}

type Checked<T> = Result<T, String>;

struct Machine<'a, T> {
    kernel: &'a Kernel,
    memory: Memory<'a>,
    slots: &'a mut [i64],
    options: Options<'a>,
    /// The indices of the loops around.
    loops: Vec<(u32, i64)>,
    /// Numbers of the statements around.
    place: Vec<usize>,
    tile: Tile<T>,
    ints: Vec<Ints>,
}

impl<'a, T: Real> Machine<'a, T> {
    fn new(kernel: &'a Kernel, memory: Memory<'a>, slots: &'a mut [i64], options: Options<'a>) -> Self {
        let (loops, place, ints) = (Vec::new(), Vec::new(), Vec::new());
        Machine { kernel, memory, slots, options, loops, place, tile: Tile::new(), ints }
    }

    fn run(&mut self) -> Result<i32, Fault> {
        match self.block(&self.kernel.body) {
            Ok(Flow::Next) => Ok(0),
            Ok(Flow::Return(status)) => Ok(status),
            Err(message) => {
                let place: Vec<String> = self.place.iter().map(usize::to_string).collect();
                Err(Fault { kernel: self.kernel.name.clone(), place: place.join("."), message })
            }
        }
    }

    /// On a fault the place stays, to be told.
    fn block(&mut self, body: &'a [Stmt]) -> Checked<Flow> {
        for (number, stmt) in body.iter().enumerate() {
            self.place.push(number);
            let flow = self.stmt(stmt)?;
            self.place.pop();
            if let Flow::Return(_) = flow {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn stmt(&mut self, stmt: &'a Stmt) -> Checked<Flow> {
        match stmt {
            Stmt::For { index, from, to, down, body } => {
                let (from, to) = (self.int(from)?, self.int(to)?);
                return self.for_loop(index.0, (from, to, *down), body);
            }
            Stmt::If { cond, then, otherwise } => {
                let taken = if self.cond(cond)? { then } else { otherwise };
                return self.block(taken);
            }
            Stmt::Set { slot, value } => self.slots[slot.0 as usize] = self.int(value)?,
            Stmt::Map(map) => self.map(map)?,
            Stmt::Rows(rows) => self.rows(rows)?,
            Stmt::Call { prim, args } => match self.call(prim, args)? {
                0 => {}
                status => return Ok(Flow::Return(status)),
            },
            Stmt::Return { status } => return Ok(Flow::Return(*status)),
            Stmt::Note(_) => {}
        }
        Ok(Flow::Next)
    }

    fn for_loop(&mut self, index: u32, (from, to, down): (i64, i64, bool), body: &'a [Stmt]) -> Checked<Flow> {
        for step in from..to {
            let value = if down { to - 1 - (step - from) } else { step };
            self.loops.push((index, value));
            let flow = self.block(body)?;
            self.loops.pop();
            if let Flow::Return(_) = flow {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn map(&mut self, map: &'a Map) -> Checked<()> {
        let len = self.int(&map.len)?;
        if len <= 0 {
            return Ok(());
        }
        self.prepare(&map.body)?;
        self.padding_fits(&map.body, len)?;
        let mut first = 0;
        while first < len {
            let count = (len - first).min(TILE as i64);
            let lanes = Lanes::Tile { first, count: count as usize };
            self.tile.run(&map.body, &self.ints, lanes, &mut self.memory)?;
            first += count;
        }
        if self.options.poison {
            for (inst, ints) in map.body.insts.iter().zip(&self.ints) {
                if let Some((place, _)) = inst.written() {
                    let end = ints[0] + len;
                    self.memory.poison(place.buffer, end, ints[0] + padded(len));
                }
            }
        }
        Ok(())
    }

    /// Compiled code touches the padding of what a map takes one by one.
    fn padding_fits(&self, body: &Body, len: i64) -> Checked<()> {
        for (inst, ints) in body.insts.iter().zip(&self.ints) {
            let Some((place, At::Unit)) = inst.read().or(inst.written()) else { continue };
            let all = self.memory.len(place.buffer);
            self.memory.check(place.buffer, ints[0], len as usize)?;
            if ints[0].saturating_add(padded(len)) > padded(all) {
                let (name, at) = (self.memory.name(place.buffer), ints[0]);
                return Err(format!("{len} elements from {at} of `{name}`, padded to 16, leave its {all}"));
            }
        }
        Ok(())
    }

    /// Evaluates the integers of a body, once for all of its elements.
    fn prepare(&mut self, body: &'a Body) -> Checked<()> {
        let mut all = std::mem::take(&mut self.ints);
        all.clear();
        for inst in &body.insts {
            all.push(match inst {
                Inst::Int(value) => [self.int(value)?, 0],
                Inst::Load { from, at: At::Gather(index) } => [self.int(&from.offset)?, self.int(&index.offset)?],
                Inst::Load { from: place, .. } | Inst::Store { to: place, .. } | Inst::AddTo { to: place, .. } => {
                    [self.int(&place.offset)?, 0]
                }
                Inst::Draw { step, base, .. } => [self.int(step)?, self.int(base)?],
                _ => [0, 0],
            });
        }
        self.ints = all;
        Ok(())
    }

    fn rows(&mut self, rows: &'a Rows) -> Checked<()> {
        let count = self.int(&rows.count)?;
        if count <= 0 {
            return Ok(());
        }
        self.prepare(&rows.body)?;
        let (list, ptr) = (self.start(&rows.list)?, self.start(&rows.ptr)?);
        let other = self.start(&rows.other)?;
        let edges = rows.edge.as_ref().map(|edges| self.start(edges)).transpose()?;
        let (end_in, end) = match &rows.end {
            Some(place) => (place.buffer, self.start(place)?),
            None => (rows.ptr.buffer, ptr.wrapping_add(1)),
        };
        for entry in 0..count {
            let own = self.memory.int(rows.list.buffer, list.wrapping_add(entry))?;
            let from = self.memory.int(rows.ptr.buffer, ptr.wrapping_add(own))?;
            let to = self.memory.int(end_in, end.wrapping_add(own))?;
            for k in from..to {
                let edge = match (&rows.edge, edges) {
                    (Some(place), Some(start)) => self.memory.int(place.buffer, start.wrapping_add(k))?,
                    _ => k,
                };
                let other = self.memory.int(rows.other.buffer, other.wrapping_add(k))?;
                let lanes = Lanes::Edge { edge, own, other };
                self.tile.run(&rows.body, &self.ints, lanes, &mut self.memory)?;
            }
        }
        Ok(())
    }

    fn start(&self, place: &Ref) -> Checked<i64> {
        self.int(&place.offset)
    }

    fn call(&mut self, prim: &str, args: &'a [Arg]) -> Checked<i32> {
        let def = (self.options.prims)(prim).ok_or_else(|| format!("there is no primitive `{prim}`"))?;
        let mut given = Vec::new();
        for arg in args {
            given.push(match arg {
                Arg::Buf(place) => prim::Given::Place(place.buffer, self.int(&place.offset)?),
                Arg::Int(value) => prim::Given::Int(self.int(value)?),
                Arg::Real(value) => prim::Given::Real(*value),
            });
        }
        prim::call(def, &given, self.kernel.precision, &mut self.memory)
    }

    fn cond(&self, cond: &Cond) -> Checked<bool> {
        let (a, b) = (self.int(&cond.a)?, self.int(&cond.b)?);
        Ok(match cond.op {
            IntCmp::Eq => a == b,
            IntCmp::Ne => a != b,
            IntCmp::Lt => a < b,
            IntCmp::Le => a <= b,
        })
    }

    fn int(&self, value: &Int) -> Checked<i64> {
        Ok(match value {
            Int::Const(value) => *value,
            Int::Slot(slot) => self.slots[slot.0 as usize],
            Int::Loop(index) => {
                let found = self.loops.iter().rev().find(|(number, _)| *number == index.0);
                found.ok_or("a loop index outside its loop")?.1
            }
            Int::Load(place) => self.memory.int(place.buffer, self.int(&place.offset)?)?,
            Int::Add(a, b) => self.int(a)?.wrapping_add(self.int(b)?),
            Int::Sub(a, b) => self.int(a)?.wrapping_sub(self.int(b)?),
            Int::Mul(a, b) => self.int(a)?.wrapping_mul(self.int(b)?),
            Int::Div(a, b) | Int::Rem(a, b) => {
                let (a, b) = (self.int(a)?, self.int(b)?);
                if a < 0 || b <= 0 {
                    return Err(format!("{a} is to be divided by {b}: only a non-negative number by a positive one"));
                }
                if matches!(value, Int::Div(..)) { a / b } else { a % b }
            }
        })
    }
}
