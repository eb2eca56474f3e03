//! Kernels that several threads go through together: where they meet, and lists that each made a part of.

use super::call::{Args, Float, Prim, def};
use crate::abi::ArgKind::{InIndex, Int, OutCount, OutIndex};
use crate::abi::{PrimDef, status};
use crate::together;

pub(super) static PRIMS: &[PrimDef] = &[
    def::<Meet>(
        "meet",
        "waits until all parts are here; a status where one of them has ended; nothing to wait for outside of a meeting",
        &[("parts", Int)],
        |_| vec![],
    ),
    def::<JoinLists>(
        "join_lists",
        "list = for each p < parts, lists[p·room + k] + bounds[p] for k < counts[p·apart]; count[0] = their number, at most room",
        &[
            ("list", OutIndex),
            ("count", OutCount),
            ("lists", InIndex),
            ("counts", OutCount),
            ("bounds", InIndex),
            ("parts", Int),
            ("apart", Int),
            ("room", Int),
        ],
        |ints| {
            let [parts, apart, room, ..] = *ints else { return vec![] };
            vec![room, 1, parts * room, parts * apart, parts]
        },
    ),
];

struct Meet;
impl Prim for Meet {
    unsafe fn run<T: Float>(_: Args) -> i32 {
        if together::meet() { status::OK } else { status::LEFT }
    }
}

struct JoinLists;
impl Prim for JoinLists {
    unsafe fn run<T: Float>(args: Args) -> i32 {
        let [parts, apart, room] = args.sizes(5);
        // SAFETY: each reaches as far as the formula.
        let (list, count, lists, counts, bounds) = unsafe {
            (
                args.slice_mut::<u32>(0, room),
                args.slice_mut::<i64>(1, 1),
                args.slice::<u32>(2, parts * room),
                args.slice::<i64>(3, parts * apart),
                args.slice::<u32>(4, parts),
            )
        };
        let mut len = 0;
        for (p, first) in bounds.iter().enumerate() {
            let n = usize::try_from(counts[p * apart]).unwrap_or(0);
            let (Some(to), Some(from)) = (list.get_mut(len..len + n), lists.get(p * room..p * room + n)) else {
                return status::BUG;
            };
            to.iter_mut().zip(from).for_each(|(to, cell)| *to = cell + first);
            len += n;
        }
        count[0] = len as i64;
        status::OK
    }
}
