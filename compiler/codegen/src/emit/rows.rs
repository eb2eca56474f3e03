//! Event delivery: list entries, their edges, and the body on one edge, with every real in lane 0 of a vector.
//!
//! What does not depend on the edge is computed before its loop. Edges are taken four at a time where the body calls no
//! block functions: first what depends on no buffer that the body writes, side by side; then the rest, edge after edge,
//! so that the order of additions is that of the edges. Some deliveries can take a vector of edges at once, see `abreast`.

use super::abreast::is_abreast;
use super::element::Place;
use super::uniform::Known;
use super::{Emitted, Emitter, memory, misplaced};
use crate::callees::Callee;
use crate::shape::bytes;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nnm_kir::insts::written_buffers;
use nnm_kir::ir::{At, BufId, Elem, Inst, Int, Ref, Rows};
use std::collections::BTreeMap;

/// Edges taken at a time.
const EDGES: usize = 4;
/// Bodies of more instructions take one edge at a time.
const LONG: usize = 40;
/// Connections are fetched so many list entries before their turn, where they are too many bytes for a near cache.
const AHEAD: i64 = 2;
const NEAR: u64 = 512 * 1024;

/// What an instruction depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Uniform,
    /// The list entry.
    Own,
    /// The edge, and nothing that the body writes.
    Edge,
    /// What the body writes, or a call.
    Late,
}

/// The addresses of a delivery, and its body.
pub(super) struct Delivery<'a> {
    pub rows: &'a Rows,
    levels: Vec<Level>,
    list: Value,
    ptr: Value,
    /// Where the ends of rows are.
    end: Value,
    pub other: Option<Value>,
    edge: Option<Value>,
    /// By instruction.
    pub starts: Vec<Option<Value>>,
    line: Option<Place>,
}

/// The edge at hand.
#[derive(Clone, Copy)]
struct Site {
    own: Value,
    edge: Value,
    /// Edges from there, where neighbours are taken together.
    ahead: usize,
    other: Value,
}

impl Emitter<'_> {
    pub fn rows(&mut self, rows: &Rows) -> Emitted<()> {
        let count = self.int(&rows.count)?;
        self.if_positive(count, |emitter| emitter.deliver(rows, count))
    }

    fn deliver(&mut self, rows: &Rows, count: Value) -> Emitted<()> {
        let insts = &rows.body.insts;
        let levels = levels(insts);
        let uniform: Vec<bool> = levels.iter().map(|level| *level == Level::Uniform).collect();
        let calls = insts.iter().any(Inst::is_block_call);
        let line = calls.then(|| Place { base: self.scratch_address(), distance: 0 });
        let known = self.uniforms(insts, &uniform, &BTreeMap::new(), line)?;
        let needs_other = insts.iter().filter_map(place_of).any(|at| *at == At::Other);
        let ptr = self.address(&rows.ptr)?;
        let end = match &rows.end {
            Some(end) => self.address(end)?,
            None => self.builder.ins().iadd_imm_s(ptr, i64::from(bytes(Elem::U32))),
        };
        let mut delivery = Delivery {
            rows,
            levels,
            list: self.address(&rows.list)?,
            ptr,
            end,
            other: if needs_other { Some(self.address(&rows.other)?) } else { None },
            edge: rows.edge.as_ref().map(|edge| self.address(edge)).transpose()?,
            starts: Vec::new(),
            line,
        };
        for inst in insts {
            let place = inst.read().or(inst.written());
            delivery.starts.push(place.map(|(place, _)| self.address(place)).transpose()?);
            if inst.is_block_call() {
                inst.ints().try_for_each(|int: &Int| self.int(int).map(|_| ()))?;
            }
        }
        let start = self.iconst(0);
        let fetched = self.fetched(&delivery);
        if !fetched.is_empty() {
            let most = self.iconst(AHEAD);
            let first = self.builder.ins().smin(count, most);
            self.counted(start, first, 1, |emitter, entry| emitter.fetch(&delivery, &fetched, entry))?;
        }
        self.counted(start, count, 1, |emitter, entry| {
            if !fetched.is_empty() {
                let later = emitter.builder.ins().iadd_imm_s(entry, AHEAD);
                let left = emitter.builder.ins().isub(count, later);
                emitter.if_positive(left, |emitter| emitter.fetch(&delivery, &fetched, later))?;
            }
            let own = emitter.load_index(delivery.list, entry);
            let from = emitter.load_index(delivery.ptr, own);
            let to = emitter.load_index(delivery.end, own);
            emitter.row(&delivery, &known, own, (from, to))
        })
    }

    /// The arrays by edge that are read in order, with the bytes of their elements; none if all are near.
    fn fetched(&mut self, delivery: &Delivery<'_>) -> Vec<(Value, u32)> {
        let mut arrays = Vec::new();
        let mut bytes_of_all = 0;
        let mut add = |emitter: &Self, place: &Ref, start: Option<Value>| {
            let size = bytes(emitter.elem(place));
            let len = emitter.kernel.buffers.get(place.buffer.0 as usize).map_or(0, |buffer| buffer.len);
            if let Some(start) = start.filter(|start| !arrays.contains(&(*start, size))) {
                arrays.push((start, size));
                bytes_of_all += len * u64::from(size);
            }
        };
        add(self, &delivery.rows.other, delivery.other);
        if let Some(edge) = &delivery.rows.edge {
            add(self, edge, delivery.edge);
        } else {
            for (inst, start) in delivery.rows.body.insts.iter().zip(&delivery.starts) {
                if let Some((place, At::Edge)) = inst.read().or(inst.written()) {
                    add(self, place, *start);
                }
            }
        }
        if bytes_of_all < NEAR { Vec::new() } else { arrays }
    }

    /// Prefetches the connections of a list entry, two arrays at a time.
    fn fetch(&mut self, delivery: &Delivery<'_>, arrays: &[(Value, u32)], entry: Value) -> Emitted<()> {
        let cell = self.load_index(delivery.list, entry);
        for pair in arrays.chunks(2) {
            let mut words = vec![cell, delivery.ptr, delivery.end];
            for number in 0..2 {
                let (start, size) = pair.get(number).copied().unwrap_or((delivery.ptr, 0));
                let size = self.iconst(i64::from(size));
                words.extend([start, size]);
            }
            let callee = self.callee(Callee::FetchRow)?;
            self.builder.ins().call(callee, &words);
        }
        Ok(())
    }

    /// The edges of one list entry.
    fn row(&mut self, delivery: &Delivery<'_>, known: &Known, own: Value, (from, to): (Value, Value)) -> Emitted<()> {
        let mut known = known.clone();
        let site = Site { own, edge: own, ahead: 0, other: own };
        for number in delivery.at(|level| level == Level::Own) {
            known[number] = self.single(delivery, number, &known, site)?;
        }
        let insts = &delivery.rows.body.insts;
        if is_abreast(delivery.rows, &delivery.levels) {
            let wide = self.widened(&known);
            return self.grouped(from, to, self.shape.lanes as usize, |emitter, k, count| match count {
                1 => emitter.edges(delivery, &known, own, k, 1),
                _ => emitter.edges_abreast(delivery, &wide, own, k),
            });
        }
        let edges = if insts.len() > LONG || insts.iter().any(Inst::is_block_call) { 1 } else { EDGES };
        if edges == 1 {
            return self.counted(from, to, 1, |emitter, k| emitter.edges(delivery, &known, own, k, 1));
        }
        self.grouped(from, to, edges, |emitter, k, count| emitter.edges(delivery, &known, own, k, count))
    }

    /// Runs `body` with groups of so many indices, then with single ones.
    fn grouped(
        &mut self,
        from: Value,
        to: Value,
        group: usize,
        mut body: impl FnMut(&mut Self, Value, usize) -> Emitted<()>,
    ) -> Emitted<()> {
        let (inside, rest, after) =
            (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        let start = self.builder.append_block_param(inside, types::I64);
        let remaining = self.builder.append_block_param(rest, types::I64);
        let end = self.builder.ins().iadd_imm_s(to, 1 - group as i64);
        let any = self.builder.ins().icmp(IntCC::SignedLessThan, from, end);
        self.builder.ins().brif(any, inside, &[from.into()], rest, &[from.into()]);
        self.builder.switch_to_block(inside);
        body(self, start, group)?;
        let next = self.builder.ins().iadd_imm_s(start, group as i64);
        let more = self.builder.ins().icmp(IntCC::SignedLessThan, next, end);
        self.builder.ins().brif(more, inside, &[next.into()], rest, &[next.into()]);
        self.builder.seal_block(inside);
        self.continue_in(rest);
        self.counted(remaining, to, 1, |emitter, k| body(emitter, k, 1))?;
        self.builder.ins().jump(after, &[]);
        self.continue_in(after);
        Ok(())
    }

    /// The body on `count` edges from the k-th.
    fn edges(&mut self, delivery: &Delivery<'_>, known: &Known, own: Value, k: Value, count: usize) -> Emitted<()> {
        let mut sites = Vec::new();
        for number in 0..count {
            let (edge, ahead) = match delivery.edge {
                Some(edges) => (self.load_index_at(edges, k, number), 0),
                None => (k, number),
            };
            let other = delivery.other.map_or(own, |others| self.load_index_at(others, k, number));
            sites.push(Site { own, edge, ahead, other });
        }
        let mut values = vec![known.clone(); count];
        for number in delivery.at(|level| level == Level::Edge) {
            for (values, site) in values.iter_mut().zip(&sites) {
                values[number] = self.single(delivery, number, values, *site)?;
            }
        }
        for (values, site) in values.iter_mut().zip(&sites) {
            for number in delivery.at(|level| level == Level::Late) {
                values[number] = self.single(delivery, number, values, *site)?;
            }
        }
        Ok(())
    }

    /// One instruction on one edge.
    fn single(&mut self, delivery: &Delivery<'_>, number: usize, values: &Known, site: Site) -> Emitted<Option<Value>> {
        let inst = &delivery.rows.body.insts[number];
        let operands: Vec<Value> = inst.operands().filter_map(|value| values[value.0 as usize]).collect();
        if operands.len() != inst.operands().count() {
            return Err(misplaced(inst));
        }
        if let (Some((place, at)), Some(start)) = (inst.read().or(inst.written()), delivery.starts[number]) {
            let elem = self.elem(place);
            let place = self.site_place(start, elem, at, site);
            let value = match inst {
                Inst::Store { .. } => operands[0],
                Inst::AddTo { .. } => {
                    let before = self.load_lane(elem, place);
                    self.builder.ins().fadd(before, operands[0])
                }
                _ => return Ok(Some(self.load_lane(elem, place))),
            };
            self.store_lane(elem, place, value);
            return Ok(None);
        }
        if let (true, Some(line)) = (inst.is_block_call(), delivery.line) {
            let edge = self.builder.ins().iadd_imm_s(site.edge, site.ahead as i64);
            let result = self.single_call(inst, &operands, line, Some(edge))?;
            return Ok(Some(self.load_lane(self.shape.elem(), result)));
        }
        Ok(Some(self.arithmetic(inst, &operands).ok_or_else(|| misplaced(inst))?))
    }

    fn site_place(&mut self, start: Value, elem: Elem, at: &At, site: Site) -> Place {
        let (index, ahead) = match at {
            At::Edge => (site.edge, site.ahead),
            At::Own => (site.own, 0),
            At::Other => (site.other, 0),
            At::Unit | At::Splat | At::Gather(_) => return Place { base: start, distance: 0 },
        };
        Place { base: self.indexed(start, index, elem), distance: ahead as i32 * bytes(elem) as i32 }
    }

    fn load_index(&mut self, start: Value, index: Value) -> Value {
        self.load_index_at(start, index, 0)
    }

    /// Element `index + ahead` of a buffer of U32.
    fn load_index_at(&mut self, start: Value, index: Value, ahead: usize) -> Value {
        let address = self.indexed(start, index, Elem::U32);
        self.builder.ins().uload32(memory(), address, ahead as i32 * 4)
    }
}

impl Delivery<'_> {
    /// The instructions of a level, in order.
    pub fn at(&self, wanted: impl Fn(Level) -> bool) -> Vec<usize> {
        (0..self.levels.len()).filter(|number| wanted(self.levels[*number])).collect()
    }
}

fn place_of(inst: &Inst) -> Option<&At> {
    inst.read().or(inst.written()).map(|(_, at)| at)
}

fn levels(insts: &[Inst]) -> Vec<Level> {
    let written = written_buffers(insts);
    let mut levels: Vec<Level> = Vec::with_capacity(insts.len());
    for inst in insts {
        let operands = inst.operands().map(|value| levels[value.0 as usize]).max().unwrap_or(Level::Uniform);
        let own = own_level(inst, &written);
        levels.push(match operands.max(own) {
            Level::Edge if inst.is_block_call() => Level::Late,
            level => level,
        });
    }
    levels
}

/// The level of an instruction whose operands are uniform.
fn own_level(inst: &Inst, written: &[BufId]) -> Level {
    match inst {
        Inst::Store { .. } | Inst::AddTo { .. } | Inst::Draw { .. } => Level::Late,
        Inst::Load { from, .. } if written.contains(&from.buffer) => Level::Late,
        Inst::Load { at: At::Own, .. } => Level::Own,
        Inst::Load { at: At::Edge | At::Other, .. } => Level::Edge,
        _ => Level::Uniform,
    }
}
