//! One body on up to 256 elements at once, instruction by instruction.

use super::memory::Memory;
use super::real::{Real, compare, each, each_pair};
use crate::ir::{At, Body, Inst, Ref, Val};

/// Elements in a tile.
pub(super) const TILE: usize = 256;

/// The integers of one instruction: offsets of a place and of its index, or a step and a base.
pub(super) type Ints = [i64; 2];

/// Which elements a body is evaluated on.
#[derive(Clone, Copy)]
pub(super) enum Lanes {
    /// Elements `first .. first + count` of a map.
    Tile { first: i64, count: usize },
    /// One edge of a delivery.
    Edge { edge: i64, own: i64, other: i64 },
}

impl Lanes {
    fn count(self) -> usize {
        match self {
            Lanes::Tile { count, .. } => count,
            Lanes::Edge { .. } => 1,
        }
    }

    /// The number of the first element, for draws and `index`.
    fn first(self) -> i64 {
        match self {
            Lanes::Tile { first, .. } => first,
            Lanes::Edge { edge, .. } => edge,
        }
    }

    /// How far from its offset a place lies.
    fn distance(self, at: &At) -> Result<i64, String> {
        match (self, at) {
            (Lanes::Tile { first, .. }, At::Unit) => Ok(first),
            (_, At::Splat) => Ok(0),
            (Lanes::Edge { edge, .. }, At::Edge) => Ok(edge),
            (Lanes::Edge { own, .. }, At::Own) => Ok(own),
            (Lanes::Edge { other, .. }, At::Other) => Ok(other),
            _ => Err(format!("no element in this way: {at:?}")),
        }
    }
}

/// The values of a body's instructions on one tile.
pub(super) struct Tile<T> {
    reals: Vec<[T; TILE]>,
    masks: Vec<[bool; TILE]>,
}

/// The values before an instruction, and the place of its own.
fn split<T>(values: &mut [T], number: usize) -> Result<(&[T], &mut T), String> {
    let (before, rest) = values.split_at_mut(number);
    Ok((before, rest.first_mut().ok_or("an instruction has no place for its value")?))
}

impl<T: Real> Tile<T> {
    pub fn new() -> Tile<T> {
        Tile { reals: Vec::new(), masks: Vec::new() }
    }

    /// Evaluates the body; `ints` has one entry an instruction.
    pub fn run(&mut self, body: &Body, ints: &[Ints], lanes: Lanes, memory: &mut Memory<'_>) -> Result<(), String> {
        if self.reals.len() < body.insts.len() {
            self.reals.resize(body.insts.len(), [T::default(); TILE]);
            self.masks.resize(body.insts.len(), [false; TILE]);
        }
        for (number, (inst, ints)) in body.insts.iter().zip(ints).enumerate() {
            match inst {
                Inst::Compare { .. } | Inst::And { .. } | Inst::Or { .. } | Inst::Not { .. } => {
                    self.mask(number, inst, lanes.count())?;
                }
                Inst::Store { to, at, value } => self.store(to, at, *value, *ints, lanes, memory)?,
                Inst::AddTo { to, at, value } => {
                    let place = ints[0].wrapping_add(lanes.distance(at)?);
                    let before: T = memory.load_one(to.buffer, place)?;
                    let sum = before.add(self.reals[value.0 as usize][0]);
                    memory.store(to.buffer, place, &[sum])?;
                }
                Inst::Load { from, at } => {
                    let out = &mut self.reals[number][..lanes.count()];
                    load(from, at, *ints, lanes, memory, out)?;
                }
                _ => self.real(number, inst, *ints, lanes)?,
            }
        }
        Ok(())
    }

    fn mask(&mut self, number: usize, inst: &Inst, count: usize) -> Result<(), String> {
        let (masks, out) = split(&mut self.masks, number)?;
        let out = &mut out[..count];
        let real = |value: Val| &self.reals[value.0 as usize][..count];
        let mask = |value: Val| &masks[value.0 as usize][..count];
        match inst {
            Inst::Compare { op, a, b } => compare(*op, out, real(*a), real(*b)),
            Inst::And { a, b } => each_pair(out, mask(*a), mask(*b), |x, y| x & y),
            Inst::Or { a, b } => each_pair(out, mask(*a), mask(*b), |x, y| x | y),
            Inst::Not { a } => each(out, mask(*a), |x| !x),
            _ => {}
        }
        Ok(())
    }

    fn real(&mut self, number: usize, inst: &Inst, ints: Ints, lanes: Lanes) -> Result<(), String> {
        let count = lanes.count();
        let (reals, out) = split(&mut self.reals, number)?;
        let out = &mut out[..count];
        let real = |value: Val| &reals[value.0 as usize][..count];
        match inst {
            Inst::Const(value) => out.fill(T::from_f64(*value)),
            Inst::Int(_) => out.fill(T::from_i64(ints[0])),
            Inst::Index => {
                for (lane, out) in out.iter_mut().enumerate() {
                    *out = T::from_i64(lanes.first() + lane as i64);
                }
            }
            Inst::Unary { op, a } => T::unary(*op, out, real(*a)),
            Inst::Binary { op, a, b } => T::binary(*op, out, real(*a), real(*b)),
            Inst::Fma { a, b, c } => T::fma(out, real(*a), real(*b), real(*c)),
            Inst::Select { mask, a, b } => {
                let mask = &self.masks[mask.0 as usize];
                for (lane, out) in out.iter_mut().enumerate() {
                    *out = if mask[lane] { real(*a)[lane] } else { real(*b)[lane] };
                }
            }
            Inst::Math { f, args } => match args[..] {
                [a] => T::math(*f, out, real(a), real(a)),
                [a, b] => T::math(*f, out, real(a), real(b)),
                _ => return Err(format!("{f:?} with {} arguments", args.len())),
            },
            Inst::Draw { draw, key, args, .. } => {
                let first = ints[1].wrapping_add(lanes.first());
                T::draw(*draw, out, (*key, ints[0], first), args.first().map_or(&[], |mean| real(*mean)));
            }
            _ => return Err(format!("no value of its own: {inst:?}")),
        }
        Ok(())
    }

    fn store(
        &mut self,
        to: &Ref,
        at: &At,
        value: Val,
        ints: Ints,
        lanes: Lanes,
        memory: &mut Memory<'_>,
    ) -> Result<(), String> {
        let values = &self.reals[value.0 as usize][..lanes.count()];
        memory.store(to.buffer, ints[0].wrapping_add(lanes.distance(at)?), values)
    }
}

fn load<T: Real>(
    from: &Ref,
    at: &At,
    ints: Ints,
    lanes: Lanes,
    memory: &Memory<'_>,
    out: &mut [T],
) -> Result<(), String> {
    match at {
        At::Splat => out.fill(memory.load_one(from.buffer, ints[0])?),
        At::Gather(index) => {
            for (lane, out) in out.iter_mut().enumerate() {
                let element = memory.int(index.buffer, ints[1].wrapping_add(lanes.first() + lane as i64))?;
                *out = memory.load_one(from.buffer, ints[0].wrapping_add(element))?;
            }
        }
        _ => memory.load(from.buffer, ints[0].wrapping_add(lanes.distance(at)?), out)?,
    }
    Ok(())
}
