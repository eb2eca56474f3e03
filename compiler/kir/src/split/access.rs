//! Which part touches which elements of a buffer, and which accesses have to be kept apart by a meeting.

use crate::Prims;
use crate::ir::{Arg, At, BufId, Int, Ref, Stmt};
use nnm_runtime::abi::ArgKind;

/// Who touches which elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Part 0.
    First,
    /// Every part any element.
    All,
    /// Each part what is its own and nobody else's.
    Own,
    /// Each part its cells of so many, counted from an element.
    Cells { cells: u64, from: i64 },
    /// Each part the edges of these rows that end at its cells.
    Edges { ptr: BufId, other: BufId, cells: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub buffer: BufId,
    pub written: bool,
    pub share: Share,
}

impl Access {
    pub fn new(buffer: BufId, written: bool, share: Share) -> Access {
        Access { buffer, written, share }
    }

    /// Whether the order of two accesses matters.
    pub fn concerns(&self, other: &Access) -> bool {
        self.buffer == other.buffer && (self.written || other.written)
    }
}

/// Whether one part may meet in memory what another one does.
pub(super) fn conflict(a: &Access, b: &Access) -> bool {
    a.concerns(b) && (a.share != b.share || a.share == Share::All)
}

/// The buffers that an integer reads.
pub(super) fn loads(int: &Int, out: &mut Vec<BufId>) {
    if let Int::Load(place) = int {
        out.push(place.buffer);
        loads(&place.offset, out);
    }
    if let Some((a, b)) = int.operands() {
        loads(a, out);
        loads(b, out);
    }
}

/// What all parts read to evaluate integers.
pub(super) fn ints_of(ints: &[&Int]) -> Vec<Access> {
    let mut read = vec![];
    ints.iter().for_each(|int| loads(int, &mut read));
    read.into_iter().map(|b| Access::new(b, false, Share::All)).collect()
}

/// All that a statement touches, done by part 0.
pub(super) fn touched(stmt: &Stmt, prims: Prims<'_>) -> Vec<Access> {
    let mut out = vec![];
    touch(stmt, prims, &mut out);
    out
}

fn touch(stmt: &Stmt, prims: Prims<'_>, out: &mut Vec<Access>) {
    let mut read = vec![];
    stmt.ints().for_each(|int| loads(int, &mut read));
    let mut add = |buffer: BufId, written: bool| {
        let access = Access::new(buffer, written, Share::First);
        if !out.contains(&access) {
            out.push(access);
        }
    };
    read.into_iter().for_each(|b| add(b, false));
    match stmt {
        Stmt::For { body, .. } => body.iter().for_each(|s| touch(s, prims, out)),
        Stmt::If { then, otherwise, .. } => then.iter().chain(otherwise).for_each(|s| touch(s, prims, out)),
        Stmt::Map(map) => map.body.insts.iter().for_each(|inst| places(inst, &mut add)),
        Stmt::Rows(rows) => {
            let of = [Some(&rows.list), Some(&rows.ptr), rows.end.as_ref(), rows.edge.as_ref(), Some(&rows.other)];
            of.into_iter().flatten().for_each(|place| add(place.buffer, false));
            rows.body.insts.iter().for_each(|inst| places(inst, &mut add));
        }
        Stmt::Call { prim, args } => {
            let kinds = prims(prim).map_or(&[][..], |def| def.args);
            for (number, arg) in args.iter().enumerate() {
                let kind = kinds.get(number).map(|(_, kind)| *kind);
                let read_only = matches!(kind, Some(ArgKind::In | ArgKind::InIndex));
                if let Arg::Buf(Ref { buffer, .. }) = arg {
                    add(*buffer, !read_only);
                }
            }
        }
        Stmt::Set { .. } | Stmt::Return { .. } | Stmt::Note(_) => {}
    }
}

fn places(inst: &crate::ir::Inst, add: &mut impl FnMut(BufId, bool)) {
    for (place, at) in inst.read().into_iter() {
        add(place.buffer, false);
        if let At::Gather(index) = at {
            add(index.buffer, false);
        }
    }
    inst.written().into_iter().for_each(|(place, _)| add(place.buffer, true));
}
