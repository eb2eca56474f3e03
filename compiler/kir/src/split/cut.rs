//! One statement cut into parts: which can be, and what each part does of it.

use super::access::{Access, Share, ints_of};
use super::{LEAST, More, Splitter};
use crate::affine::padded;
use crate::ir::{Arg, At, Body, BufId, Elem, Inst, Int, Map, Ref, Rows, Stmt};

impl Splitter<'_> {
    /// The statement of one part, and what the parts touch; none for what cannot be cut.
    pub(super) fn cut(&mut self, stmt: &Stmt) -> Option<(Vec<Access>, Stmt)> {
        match stmt {
            Stmt::Map(map) => self.cut_map(map),
            Stmt::Rows(rows) => self.cut_rows(rows),
            Stmt::Call { prim, args } if prim == "copy" => self.cut_copy(args),
            _ => None,
        }
    }

    /// The number of a map's elements, where it can be cut.
    pub(super) fn cells_of_map(&self, map: &Map) -> Option<u64> {
        let cells = u64::try_from(map.len.as_const()?).ok().filter(|n| *n >= LEAST)?;
        (!map.body.insts.contains(&Inst::Index)).then_some(cells)
    }

    /// The number of cells at the other end of a delivery that can be cut: it changes edges or cells of the other end
    /// alone, and reads what it changes at the same places.
    pub(super) fn cells_of_rows(&self, rows: &Rows) -> Option<u64> {
        let zero = |place: &Ref| place.offset.as_const() == Some(0);
        if !zero(&rows.ptr) || !zero(&rows.other) || rows.end.is_some() {
            return None;
        }
        let insts = &rows.body.insts;
        let mut cells = None;
        for (place, at) in insts.iter().filter_map(Inst::written) {
            let good = matches!(at, At::Other | At::Edge) && zero(place);
            let apart =
                |inst: &Inst| inst.read().is_none_or(|(p, a)| p.buffer != place.buffer || (p, a) == (place, at));
            if !good || !insts.iter().all(apart) {
                return None;
            }
            if *at == At::Other {
                cells = self.agreed(cells, place.buffer)?;
            }
        }
        let read = insts.iter().filter_map(Inst::read).find(|(place, at)| **at == At::Other && zero(place));
        let cells = cells.or_else(|| read.map(|(place, _)| self.len(place.buffer)))?;
        (cells >= LEAST).then_some(cells)
    }

    /// Two numbers of cells in one delivery have to be the same.
    fn agreed(&self, cells: Option<u64>, buffer: BufId) -> Option<Option<u64>> {
        let len = self.len(buffer);
        cells.is_none_or(|known| known == len).then_some(Some(len))
    }

    /// The elements that a call is told to work on.
    pub(super) fn cells_of_call(&self, args: &[Arg], at: usize) -> Option<u64> {
        let Some(Arg::Int(Int::Const(n))) = args.get(at) else { return None };
        u64::try_from(*n).ok().filter(|n| *n >= LEAST)
    }

    fn len(&self, buffer: BufId) -> u64 {
        self.buffers.get(buffer.0 as usize).map_or(0, |b| b.len)
    }

    fn cut_map(&mut self, map: &Map) -> Option<(Vec<Access>, Stmt)> {
        let cells = self.cells_of_map(map)?;
        let [from, len] = self.range(cells);
        let shifted = |place: &Ref| Ref::new(place.buffer, place.offset.clone() + from.clone());
        let mut accesses = ints_of(&map.body.insts.iter().flat_map(Inst::ints).collect::<Vec<_>>(), &self.buffers);
        let mut insts = map.body.insts.clone();
        for inst in &mut insts {
            if let Some((place, at)) = inst.read() {
                accesses.push(self.access(place, false, self.share_at(cells, place, at)));
                if let At::Gather(index) = at {
                    accesses.push(self.access(index, false, self.share(cells, &index.offset)));
                }
            }
            if let Some((place, at)) = inst.written() {
                accesses.push(self.access(place, true, self.share_at(cells, place, at)));
            }
            match inst {
                Inst::Load { from: place, at: At::Unit } | Inst::Store { to: place, at: At::Unit, .. } => {
                    *place = shifted(place);
                }
                Inst::Load { at: At::Gather(index), .. } => *index = shifted(index),
                Inst::Draw { base, .. } => *base = base.clone() + from.clone(),
                _ => {}
            }
        }
        Some((accesses, Stmt::Map(Map { len, body: Body { insts } })))
    }

    fn cut_rows(&mut self, rows: &Rows) -> Option<(Vec<Access>, Stmt)> {
        let cells = self.cells_of_rows(rows)?;
        let (ptr, other) = (rows.ptr.buffer, rows.other.buffer);
        let count = self.len(ptr).checked_sub(1)?;
        let more = More::Cuts { ptr, other, rows: count, cells };
        let name = format!("{}@cuts", self.buffers[ptr.0 as usize].name);
        let cuts = self.add(more, name, Elem::U32, (self.parts as u64 + 1) * count);
        let edges = Share::Edges { ptr, other, cells };
        let insts = &rows.body.insts;
        let places = [Some(&rows.list), rows.edge.as_ref(), Some(&rows.other)];
        let ints = places.into_iter().flatten().map(|p| &p.offset).chain([&rows.count]);
        let ints: Vec<_> = ints.chain(insts.iter().flat_map(Inst::ints)).collect();
        let mut accesses = ints_of(&ints, &self.buffers);
        accesses.push(self.access(&rows.list, false, Share::All));
        let share = |place: &Ref, at: &At| match at {
            At::Edge if place.offset.as_const() == Some(0) => edges.clone(),
            At::Other if self.len(place.buffer) == cells => self.share(cells, &place.offset),
            _ => Share::All,
        };
        for inst in insts {
            accesses.extend(inst.read().map(|(p, at)| self.access(p, false, share(p, at))));
            accesses.extend(inst.written().map(|(p, at)| self.access(p, true, share(p, at))));
        }
        let row = |part: Int| Ref::new(cuts, part * count as i64);
        let end = Some(row(self.part.clone() + 1));
        Some((accesses, Stmt::Rows(Rows { ptr: row(self.part.clone()), end, ..rows.clone() })))
    }

    fn cut_copy(&mut self, args: &[Arg]) -> Option<(Vec<Access>, Stmt)> {
        let cells = self.cells_of_call(args, 2)?;
        let [Arg::Buf(to), Arg::Buf(from), _] = args else { return None };
        let [first, len] = self.range(cells);
        let mut accesses = ints_of(&[&to.offset, &from.offset], &self.buffers);
        accesses.push(self.access(to, true, self.share(cells, &to.offset)));
        accesses.push(self.access(from, false, self.share(cells, &from.offset)));
        let shifted = |place: &Ref| Arg::Buf(Ref::new(place.buffer, place.offset.clone() + first.clone()));
        Some((accesses, Stmt::Call { prim: "copy".into(), args: vec![shifted(to), shifted(from), Arg::Int(len)] }))
    }

    /// The first of a part's cells and their number, of which the most is known.
    pub(super) fn range(&mut self, cells: u64) -> [Int; 2] {
        let bounds = self.bounds(cells);
        let load = |part: Int| Int::Load(Box::new(Ref::new(bounds, part)));
        let (from, to) = (load(self.part.clone()), load(self.part.clone() + 1));
        [from.clone(), (to - from).remainder(cells as i64 + 1)]
    }

    pub(super) fn bounds(&mut self, cells: u64) -> BufId {
        self.add(More::Bounds { cells }, format!("{cells} cells@bounds"), Elem::U32, self.parts as u64 + 1)
    }

    pub(super) fn access(&self, place: &Ref, written: bool, share: Share) -> Access {
        Access::new(place, written, share, &self.buffers)
    }

    fn share_at(&self, cells: u64, place: &Ref, at: &At) -> Share {
        if *at == At::Unit { self.share(cells, &place.offset) } else { Share::All }
    }

    /// Cells counted from a place: copies in a ring are cut alike.
    pub(super) fn share(&self, cells: u64, from: &Int) -> Share {
        let whole = |stride: i64| stride % 16 == 0 && stride >= padded(cells as i64);
        match from {
            Int::Const(from) => Share::Cells { cells, from: *from },
            Int::Mul(a, b) if [a, b].into_iter().any(|x| x.as_const().is_some_and(whole)) => {
                Share::Cells { cells, from: 0 }
            }
            _ => Share::All,
        }
    }
}
