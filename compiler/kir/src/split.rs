//! One kernel for several threads that go through it together, each with its own part of the work.
//!
//! The elements of a map are cut into as many parts as there are threads, and the edges of a delivery by the cell at the
//! other end: what one cell gets is summed by one thread, in the order of the list, so that the bits are those of the
//! kernel as it was. What cannot be cut is done by part 0. Where a statement needs what another part wrote, or writes
//! what another part may still read, all meet before it (the runtime's primitive `meet`). Copies of a buffer that take
//! turns are told apart, so that a step of a network whose delays are a step or more has one meeting: spikes are listed
//! by all, then part 0 joins the lists while the others go on.

mod access;
mod cut;

use crate::Prims;
use crate::ir::{Arg, BufId, Buffer, Cond, Elem, Int, IntCmp, Kernel, LoopId, Ref, SlotId, Stmt};
use access::{Access, Share, conflict, ints_of, touched};
use std::collections::BTreeMap;

/// The slot that says which part a thread has.
pub const PART: &str = "part";
/// Arrays of fewer elements stay with one part.
const LEAST: u64 = 64;
/// Elements between the counts of two parts, so that they are in different cache lines.
const APART: i64 = 8;
/// Copies of what parts write for part 0: they write one while it reads the other.
const TURNS: i64 = 2;

/// A kernel for several threads, and what its further buffers hold.
#[derive(Clone, Debug)]
pub struct Split {
    pub kernel: Kernel,
    /// The buffers behind the kernel's own, in order.
    pub more: Vec<More>,
}

/// A buffer that only the cut kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum More {
    /// U32 \[parts + 1\]: the first of each part's cells, of so many; see [`bound`].
    Bounds { cells: u64 },
    /// U32 \[parts + 1, rows\]: the place of each part's first edge in each row; the other ends in a row ascend.
    Cuts { ptr: BufId, other: BufId, rows: u64, cells: u64 },
    /// Filled by the kernel itself.
    Scratch,
}

/// The first cell of a part: parts begin at multiples of the padding.
pub fn bound(cells: u64, parts: u64, part: u64) -> u64 {
    (cells.div_ceil(16) * part / parts.max(1) * 16).min(cells)
}

/// The kernel for so many threads; none where nothing in it can be cut.
pub fn split(kernel: &Kernel, prims: Prims<'_>, parts: u32) -> Option<Split> {
    if parts < 2 {
        return None;
    }
    let mut splitter = Splitter {
        prims,
        parts: i64::from(parts),
        part: Int::Slot(SlotId(kernel.slots.len() as u32)),
        buffers: kernel.buffers.clone(),
        own: kernel.buffers.len(),
        more: vec![],
        known: BTreeMap::new(),
        pending: vec![],
        alone: vec![],
        index: None,
    };
    if !kernel.body.iter().any(|stmt| splitter.divides(stmt)) {
        return None;
    }
    let mut body = vec![];
    splitter.block(&kernel.body, &mut body);
    let mut slots = kernel.slots.clone();
    slots.push(PART.into());
    let kernel = Kernel { buffers: splitter.buffers, slots, body, ..kernel.clone() };
    Some(Split { kernel, more: splitter.more })
}

struct Splitter<'a> {
    prims: Prims<'a>,
    parts: i64,
    part: Int,
    buffers: Vec<Buffer>,
    /// How many of the buffers are the kernel's own.
    own: usize,
    more: Vec<More>,
    known: BTreeMap<More, BufId>,
    /// What has been accessed since all met.
    pending: Vec<Access>,
    /// Statements of part 0 that wait: what is cut and does not concern them goes first.
    alone: Vec<(Vec<Access>, Stmt)>,
    /// The innermost loop.
    index: Option<LoopId>,
}

impl Splitter<'_> {
    fn block(&mut self, body: &[Stmt], out: &mut Vec<Stmt>) {
        for stmt in body {
            self.stmt(stmt, out);
        }
        self.flush(out);
    }

    fn stmt(&mut self, stmt: &Stmt, out: &mut Vec<Stmt>) {
        if let Some((accesses, cut)) = self.cut(stmt) {
            return self.act(accesses, cut, out);
        }
        match stmt {
            Stmt::Call { prim, args } if prim == "compact" && self.divides(stmt) => self.compact(args, out),
            Stmt::Note(_) => out.push(stmt.clone()),
            Stmt::Return { .. } => {
                self.flush(out);
                out.push(stmt.clone());
            }
            Stmt::Set { value, .. } => {
                self.flush(out);
                self.reads_of_all(&[value], out);
                out.push(stmt.clone());
            }
            Stmt::For { index, from, to, down, body } if self.is_common(stmt) => {
                self.flush(out);
                self.reads_of_all(&[from, to], out);
                let body = self.repeated(*index, *down, body, out);
                out.push(Stmt::For { index: *index, from: from.clone(), to: to.clone(), down: *down, body });
            }
            Stmt::If { cond, then, otherwise } if self.is_common(stmt) => {
                self.flush(out);
                self.reads_of_all(&[&cond.a, &cond.b], out);
                let before = self.pending.clone();
                let mut blocks = [vec![], vec![]];
                self.branch(then, &mut blocks[0]);
                let after = std::mem::replace(&mut self.pending, before);
                self.branch(otherwise, &mut blocks[1]);
                self.pending.extend(after);
                let [then, otherwise] = blocks;
                out.push(Stmt::If { cond: cond.clone(), then, otherwise });
            }
            _ => {
                let accesses = touched(stmt, self.prims, &self.buffers);
                self.alone.push((accesses, stmt.clone()));
            }
        }
    }

    /// Whether all parts go through the blocks of a statement: there is something to cut in it, it sets a slot that all
    /// have to know, or it is a condition of the time alone, which most steps pass by.
    fn is_common(&self, stmt: &Stmt) -> bool {
        let timed = |cond: &Cond| ints_of(&[&cond.a, &cond.b], &self.buffers).is_empty();
        self.divides(stmt) || sets(stmt) || matches!(stmt, Stmt::If { cond, .. } if timed(cond))
    }

    /// A block under a condition. Where only part 0 has something to do in it, it ends with a meeting, so that steps that
    /// pass it by need none.
    fn branch(&mut self, body: &[Stmt], out: &mut Vec<Stmt>) {
        self.block(body, out);
        if !body.is_empty() && !body.iter().any(|s| self.is_common(s)) && !returns(body) {
            self.meet(out);
        }
    }

    /// Whether a statement, or one in it, can be cut.
    fn divides(&self, stmt: &Stmt) -> bool {
        match stmt {
            Stmt::For { body, .. } => body.iter().any(|s| self.divides(s)),
            Stmt::If { then, otherwise, .. } => then.iter().chain(otherwise).any(|s| self.divides(s)),
            Stmt::Map(map) => self.cells_of_map(map).is_some(),
            Stmt::Rows(rows) => self.cells_of_rows(rows).is_some(),
            Stmt::Call { prim, args } if prim == "compact" => self.cells_of_call(args, 3).is_some(),
            Stmt::Call { prim, args } if prim == "copy" => self.cells_of_call(args, 2).is_some(),
            _ => false,
        }
    }

    /// A loop's body: what its end did may concern its beginning.
    fn repeated(&mut self, index: LoopId, down: bool, body: &[Stmt], out: &mut Vec<Stmt>) -> Vec<Stmt> {
        // Code may read what no iteration changes before the loop.
        if self.pending.iter().any(|a| a.written) {
            self.meet(out);
        }
        let outer = self.index.replace(index);
        let entry = self.pending.clone();
        let mut begun = entry.clone();
        let inner = loop {
            let mut inner = vec![];
            self.pending.clone_from(&begun);
            self.block(body, &mut inner);
            let left = self.pending.iter().map(|a| a.clone().an_iteration_ago(index, down));
            let more: Vec<Access> = left.filter(|a| !begun.contains(a)).collect();
            if more.is_empty() {
                break inner;
            }
            begun.extend(more);
        };
        self.index = outer;
        let left = std::mem::take(&mut self.pending);
        self.pending = left.into_iter().map(|a| a.after(index)).chain(entry).collect();
        inner
    }

    /// A statement that all parts do, each with its part.
    fn act(&mut self, accesses: Vec<Access>, stmt: Stmt, out: &mut Vec<Stmt>) {
        if self.alone.iter().any(|(waiting, _)| accesses.iter().any(|a| waiting.iter().any(|b| a.concerns(b)))) {
            self.flush(out);
        }
        self.come_to(&accesses, out);
        out.push(stmt);
    }

    /// What part 0 has to do, in order.
    fn flush(&mut self, out: &mut Vec<Stmt>) {
        if self.alone.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.alone);
        let accesses: Vec<Access> = waiting.iter().flat_map(|(accesses, _)| accesses.iter().cloned()).collect();
        self.come_to(&accesses, out);
        let cond = Cond { op: IntCmp::Eq, a: self.part.clone(), b: Int::Const(0) };
        let then = waiting.into_iter().map(|(_, stmt)| stmt).collect();
        out.push(Stmt::If { cond, then, otherwise: vec![] });
    }

    fn reads_of_all(&mut self, ints: &[&Int], out: &mut Vec<Stmt>) {
        let accesses = ints_of(ints, &self.buffers);
        self.come_to(&accesses, out);
    }

    /// All meet where the accesses ask for it.
    fn come_to(&mut self, accesses: &[Access], out: &mut Vec<Stmt>) {
        if accesses.iter().any(|a| self.pending.iter().any(|b| conflict(a, b))) {
            self.meet(out);
        }
        for access in accesses {
            if !self.pending.contains(access) {
                self.pending.push(access.clone());
            }
        }
    }

    fn meet(&mut self, out: &mut Vec<Stmt>) {
        out.push(Stmt::Call { prim: "meet".into(), args: vec![Arg::Int(Int::Const(self.parts))] });
        self.pending.clear();
    }

    /// Each part lists its cells; part 0 joins the lists.
    fn compact(&mut self, args: &[Arg], out: &mut Vec<Stmt>) {
        let (Some(cells), [list, count, Arg::Buf(flags), _, room]) = (self.cells_of_call(args, 3), args) else {
            return;
        };
        let Arg::Int(Int::Const(most)) = room else { return };
        let [from, len] = self.range(cells);
        let bounds = self.bounds(cells);
        let turns = if self.index.is_some() { TURNS } else { 1 };
        let turn = self.index.map_or(Int::Const(0), |index| Int::Loop(index).remainder(TURNS));
        let strides = [*most, APART].map(|each| each * self.parts);
        let lists = self.add(More::Scratch, format!("{cells} cells@lists"), Elem::U32, (turns * strides[0]) as u64);
        let counts = self.add(More::Scratch, format!("{cells} cells@counts"), Elem::I64, (turns * strides[1]) as u64);
        let whole = [(lists, strides[0]), (counts, strides[1])].map(|(b, each)| Ref::new(b, turn.clone() * each));
        let mut accesses = vec![self.access(flags, false, self.share(cells, &flags.offset))];
        accesses.extend(whole.iter().map(|place| self.access(place, true, Share::Own)));
        accesses.extend(ints_of(&[&flags.offset], &self.buffers));
        let own =
            |place: &Ref, each: i64| Arg::Buf(Ref::new(place.buffer, place.offset.clone() + self.part.clone() * each));
        let part = vec![
            own(&whole[0], *most),
            own(&whole[1], APART),
            Arg::Buf(Ref::new(flags.buffer, flags.offset.clone() + from)),
            Arg::Int(len),
            room.clone(),
        ];
        self.act(accesses, Stmt::Call { prim: "compact".into(), args: part }, out);
        let mut args = vec![list.clone(), count.clone()];
        args.extend(whole.map(Arg::Buf));
        args.push(Arg::Buf(Ref::new(bounds, 0)));
        args.extend([self.parts, APART].map(|n| Arg::Int(Int::Const(n))));
        args.push(room.clone());
        let join = Stmt::Call { prim: "join_lists".into(), args };
        self.alone.push((touched(&join, self.prims, &self.buffers), join));
    }

    /// A buffer of the cut kernel alone; the same one for the same contents.
    fn add(&mut self, more: More, name: String, elem: Elem, len: u64) -> BufId {
        if let Some(known) = self.known.get(&more) {
            return *known;
        }
        let alike = |b: &Buffer| b.name == name && b.len == len && more == More::Scratch;
        let scratch = (self.own..self.buffers.len()).filter(|k| alike(&self.buffers[*k]));
        if let Some(free) = scratch.map(|k| BufId(k as u32)).find(|b| !self.is_used(*b)) {
            return free;
        }
        let id = BufId(self.buffers.len() as u32);
        self.buffers.push(Buffer { name, elem, len });
        self.more.push(more);
        if more != More::Scratch {
            self.known.insert(more, id);
        }
        id
    }

    /// Whether scratch memory still waits to be read.
    fn is_used(&self, buffer: BufId) -> bool {
        self.alone.iter().any(|(accesses, _)| accesses.iter().any(|a| a.buffer == buffer))
    }
}

fn returns(body: &[Stmt]) -> bool {
    matches!(body.last(), Some(Stmt::Return { .. }))
}

/// Whether a statement sets a slot with which the kernel goes on.
fn sets(stmt: &Stmt) -> bool {
    let block = |body: &[Stmt]| !returns(body) && body.iter().any(sets);
    match stmt {
        Stmt::Set { .. } => true,
        Stmt::For { body, .. } => block(body),
        Stmt::If { then, otherwise, .. } => block(then) || block(otherwise),
        _ => false,
    }
}
