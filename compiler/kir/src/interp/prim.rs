//! Calls of primitives, once their arguments are known to lie in their buffers.

use super::memory::Memory;
use crate::ir::{BufId, Precision};
use nnm_runtime::abi::{ArgKind, PrimDef};

/// An argument, evaluated.
pub(super) enum Given {
    Place(BufId, i64),
    Int(i64),
    Real(f64),
}

/// Elements that a primitive touches.
struct Reach {
    buffer: BufId,
    start: i64,
    count: i64,
    written: bool,
}

/// The primitive's status.
pub(super) fn call(
    def: &PrimDef,
    given: &[Given],
    precision: Precision,
    memory: &mut Memory<'_>,
) -> Result<i32, String> {
    let reaches = reaches(def, given)?;
    apart(def, &reaches, memory)?;
    let mut words = Vec::new();
    let mut places = reaches.iter();
    for argument in given {
        words.push(match argument {
            Given::Place(..) => {
                let reach = places.next().ok_or("a primitive tells too few reaches")?;
                let address = memory.address(reach.buffer, reach.start, reach.count);
                address.map_err(|fault| format!("`{}`: {fault}", def.name))? as u64
            }
            Given::Int(value) => *value as u64,
            Given::Real(value) => value.to_bits(),
        });
    }
    let entry = match precision {
        Precision::F32 => def.f32,
        Precision::F64 => def.f64,
    };
    // SAFETY: the words are what the primitive declares (the kernel was verified against it), each buffer has the
    // elements that the primitive says it touches, and those it writes overlap no other.
    Ok(unsafe { entry(words.as_ptr()) })
}

fn reaches(def: &PrimDef, given: &[Given]) -> Result<Vec<Reach>, String> {
    let ints: Vec<i64> =
        given.iter().filter_map(|arg| if let Given::Int(value) = arg { Some(*value) } else { None }).collect();
    let mut counts = (def.reach)(&ints).into_iter();
    let mut found = Vec::new();
    for (argument, (_, kind)) in given.iter().zip(def.args) {
        if let Given::Place(buffer, start) = argument {
            let count = counts.next().ok_or_else(|| format!("`{}` tells too few reaches", def.name))?;
            let written = matches!(kind, ArgKind::Out | ArgKind::OutIndex | ArgKind::OutCount);
            found.push(Reach { buffer: *buffer, start: *start, count, written });
        }
    }
    Ok(found)
}

/// What is written overlaps nothing else.
fn apart(def: &PrimDef, reaches: &[Reach], memory: &Memory<'_>) -> Result<(), String> {
    for (number, a) in reaches.iter().enumerate() {
        for b in &reaches[..number] {
            let overlap = a.buffer == b.buffer
                && a.start < b.start.saturating_add(b.count)
                && b.start < a.start.saturating_add(a.count);
            if overlap && (a.written || b.written) {
                let name = memory.name(a.buffer);
                return Err(format!(
                    "`{}` writes elements of `{name}` that it also takes for another argument",
                    def.name
                ));
            }
        }
    }
    Ok(())
}
