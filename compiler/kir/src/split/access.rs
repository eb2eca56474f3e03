//! Which part touches which elements of a buffer, and which accesses have to be kept apart by a meeting.

use crate::Prims;
use crate::affine::Affine;
use crate::ir::{Arg, At, BufId, Buffer, Int, LoopId, Ref, Stmt};
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

/// One of the equal copies that a buffer consists of, which changes with a loop: copy `(index + at) % of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub index: LoopId,
    pub at: i64,
    pub of: i64,
}

impl Turn {
    /// Which copy of its buffer a place is in, where it is said by a loop.
    fn of(place: &Ref, buffers: &[Buffer]) -> Option<Turn> {
        let (copy, stride) = match &place.offset {
            Int::Mul(a, b) => match (b.as_const(), a.as_const()) {
                (Some(stride), _) => (&**a, stride),
                (_, Some(stride)) => (&**b, stride),
                _ => return None,
            },
            copy => (copy, 1),
        };
        let Int::Rem(turn, of) = copy else { return None };
        let of = of.as_const()?;
        let (index, at) = Affine::of(turn)?.loop_and_constant()?;
        let whole = buffers.get(place.buffer.0 as usize)?.len == u64::try_from(of.checked_mul(stride)?).ok()?;
        whole.then_some(Turn { index, at: at.rem_euclid(of), of })
    }

    /// Whether two are different copies in each iteration.
    fn is_apart(&self, other: &Turn) -> bool {
        (self.index, self.of) == (other.index, other.of) && self.at != other.at
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub buffer: BufId,
    pub written: bool,
    pub share: Share,
    /// The copy of the buffer; all of it without.
    pub turn: Option<Turn>,
}

impl Access {
    /// Of a place's buffer, or of the copy in which the place is.
    pub fn new(place: &Ref, written: bool, share: Share, buffers: &[Buffer]) -> Access {
        Access { buffer: place.buffer, written, share, turn: Turn::of(place, buffers) }
    }

    /// Whether the order of two accesses matters.
    pub fn concerns(&self, other: &Access) -> bool {
        let apart = self.turn.zip(other.turn).is_some_and(|(a, b)| a.is_apart(&b));
        self.buffer == other.buffer && (self.written || other.written) && !apart
    }

    /// As the next iteration of a loop sees it.
    pub fn an_iteration_ago(mut self, index: LoopId, down: bool) -> Access {
        if let Some(turn) = self.turn.as_mut().filter(|t| t.index == index) {
            turn.at = (turn.at + if down { 1 } else { -1 }).rem_euclid(turn.of);
        }
        self
    }

    /// As it is seen from outside of a loop, where nobody knows the iteration.
    pub fn after(mut self, index: LoopId) -> Access {
        self.turn = self.turn.filter(|t| t.index != index);
        self
    }
}

/// Whether one part may meet in memory what another one does.
pub(super) fn conflict(a: &Access, b: &Access) -> bool {
    a.concerns(b) && (a.share != b.share || a.share == Share::All)
}

/// The places that an integer reads.
pub(super) fn loads<'a>(int: &'a Int, out: &mut Vec<&'a Ref>) {
    if let Int::Load(place) = int {
        out.push(place);
        loads(&place.offset, out);
    }
    if let Some((a, b)) = int.operands() {
        loads(a, out);
        loads(b, out);
    }
}

/// What all parts read to evaluate integers.
pub(super) fn ints_of(ints: &[&Int], buffers: &[Buffer]) -> Vec<Access> {
    let mut read = vec![];
    ints.iter().for_each(|int| loads(int, &mut read));
    read.into_iter().map(|place| Access::new(place, false, Share::All, buffers)).collect()
}

/// All that a statement touches, done by part 0.
pub(super) fn touched(stmt: &Stmt, prims: Prims<'_>, buffers: &[Buffer]) -> Vec<Access> {
    let mut out = vec![];
    let mut add = |place: &Ref, written: bool| {
        let access = Access::new(place, written, Share::First, buffers);
        if !out.contains(&access) {
            out.push(access);
        }
    };
    touch(stmt, prims, &mut add);
    out
}

fn touch(stmt: &Stmt, prims: Prims<'_>, add: &mut impl FnMut(&Ref, bool)) {
    let mut read = vec![];
    stmt.ints().for_each(|int| loads(int, &mut read));
    read.into_iter().for_each(|place| add(place, false));
    match stmt {
        Stmt::For { body, .. } => body.iter().for_each(|s| touch(s, prims, add)),
        Stmt::If { then, otherwise, .. } => then.iter().chain(otherwise).for_each(|s| touch(s, prims, add)),
        Stmt::Map(map) => map.body.insts.iter().for_each(|inst| places(inst, add)),
        Stmt::Rows(rows) => {
            let of = [Some(&rows.list), Some(&rows.ptr), rows.end.as_ref(), rows.edge.as_ref(), Some(&rows.other)];
            of.into_iter().flatten().for_each(|place| add(place, false));
            rows.body.insts.iter().for_each(|inst| places(inst, add));
        }
        Stmt::Call { prim, args } => {
            let kinds = prims(prim).map_or(&[][..], |def| def.args);
            for (number, arg) in args.iter().enumerate() {
                let kind = kinds.get(number).map(|(_, kind)| *kind);
                let read_only = matches!(kind, Some(ArgKind::In | ArgKind::InIndex));
                if let Arg::Buf(place) = arg {
                    add(place, !read_only);
                }
            }
        }
        Stmt::Set { .. } | Stmt::Return { .. } | Stmt::Note(_) => {}
    }
}

fn places(inst: &crate::ir::Inst, add: &mut impl FnMut(&Ref, bool)) {
    if let Some((place, at)) = inst.read() {
        add(place, false);
        if let At::Gather(index) = at {
            add(index, false);
        }
    }
    inst.written().into_iter().for_each(|(place, _)| add(place, true));
}
