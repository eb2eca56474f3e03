//! How a map is cut: arithmetic in segments, each one loop over a tile, and block calls at the boundaries between them.
//!
//! Boundary b comes before segment b, and one more boundary after the last segment. A value that another segment or a
//! call needs lives in a scratch tile; loads are made again where they are needed. A map without block calls is a
//! single segment. Values that are the same for all elements (uniform) are computed once, before everything.

use cranelift_codegen::ir::{StackSlot, Type};
use nnm_kir::ir::{At, Body, BufId, Elem, Inst, Kernel, Math, Ref, Val};
use order::Levels;
use std::collections::BTreeMap;

mod order;
mod tiles;

/// Where a value lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// A scratch tile.
    Tile(u32),
    /// The elements that this load or store names.
    Place(Val),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// The instruction itself.
    Compute(Val),
    /// The value, from where another segment or a call left it.
    Reload(Val, Home),
    /// Leaves the value for others.
    Spill(Val, Home),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub items: Vec<Item>,
}

/// A call of a block function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub inst: Val,
    pub args: Vec<Home>,
    pub result: Home,
    /// Tiles from there that one call serves.
    pub tiles: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// By instruction.
    pub uniform: Vec<bool>,
    pub segments: Vec<Segment>,
    /// One more than segments.
    pub boundaries: Vec<Vec<Call>>,
    /// Uniform values that calls take, and the tiles to fill with them.
    pub fills: Vec<(Val, Home)>,
    /// How many scratch tiles there are.
    pub tiles: u32,
    /// Uniform values that were computed before a loop around the map.
    pub kept: BTreeMap<Val, Kept>,
}

/// Where on the stack a vector lies, and its type.
pub(crate) type Kept = (StackSlot, i32, Type);

impl Extent {
    /// The tiles that a call for so many values takes: of single elements as many as block functions take at once.
    fn tiles(self, values: u32) -> u32 {
        let rest = values % 8;
        if self == Extent::One && rest > 0 { values - rest + rest.next_power_of_two() } else { values }
    }
}

impl Plan {
    pub fn has_calls(&self) -> bool {
        self.boundaries.iter().any(|calls| !calls.is_empty())
    }
}

/// How many elements a map has, as far as its plan depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    One,
    /// So few that a block call costs more for being made than for what it does.
    Few,
    Many,
}

/// Plans a map's body. Where there are few elements, calls of the same function become one.
pub(crate) fn plan(kernel: &Kernel, body: &Body, extent: Extent) -> Plan {
    let facts = Facts::new(kernel, body, extent);
    let levels = order::levels(&facts);
    let homes = tiles::assign(&facts, &levels);
    let segments = (0..levels.segments).map(|segment| schedule(&facts, &levels, &homes, segment)).collect();
    let mut boundaries = vec![Vec::new(); levels.segments as usize + 1];
    for inst in levels.calls() {
        let group = homes.groups.iter().find(|group| group.contains(&inst));
        if group.is_some_and(|group| group[0] != inst) {
            continue;
        }
        let args = facts.inst(inst).operands().map(|value| homes.argument(&facts, value)).collect();
        let result = homes.of.get(&inst).copied().unwrap_or(Home::Tile(0));
        let tiles = group.map_or(1, |group| facts.extent.tiles(group.len() as u32));
        boundaries[levels.of[inst.0 as usize] as usize].push(Call { inst, args, result, tiles });
    }
    let fills = homes.fills.iter().map(|(value, home)| (*value, *home)).collect();
    Plan { uniform: facts.uniform, segments, boundaries, fills, tiles: homes.tiles, kept: BTreeMap::new() }
}

/// What is known about a body before it is cut.
pub(crate) struct Facts<'a> {
    pub insts: &'a [Inst],
    pub extent: Extent,
    /// The same for all elements.
    pub uniform: Vec<bool>,
    /// The instructions that take each value.
    pub users: Vec<Vec<Val>>,
    /// Loads and stores of a place that is loaded after it is stored: these keep their order and are done once.
    pub pinned: Vec<bool>,
    /// Loads of the kernel's own precision that a call can read where they are.
    pub direct: Vec<bool>,
    /// Calls of one argument that may be made together with others of their function.
    pub grouped: Vec<bool>,
    /// What any segment has by the instruction alone: loads and the index, unless a call needs a copy.
    pub remade: Vec<bool>,
    /// Results of calls that are stored as they are, and the store.
    pub stored: BTreeMap<Val, Val>,
}

impl<'a> Facts<'a> {
    fn new(kernel: &Kernel, body: &'a Body, extent: Extent) -> Facts<'a> {
        let insts = &body.insts[..];
        let elem = |buffer: BufId| kernel.buffers.get(buffer.0 as usize).map(|buffer| buffer.elem);
        let own = Some(crate::shape::Shape::of(kernel.precision).elem());
        let pinned = pinned(insts);
        let (users, uniform) = (users(insts), uniform(insts));
        let grouped = match extent {
            Extent::One | Extent::Few => grouped(insts, &uniform),
            Extent::Many => vec![false; insts.len()],
        };
        let is_direct = |number: usize| match &insts[number] {
            Inst::Load { from, at: At::Unit } => {
                let in_group = users[number].iter().any(|user| grouped[user.0 as usize]);
                !pinned[number] && !in_group && elem(from.buffer) == own
            }
            _ => false,
        };
        let direct: Vec<bool> = (0..insts.len()).map(is_direct).collect();
        let (remade, stored) = (Vec::new(), BTreeMap::new());
        let mut facts = Facts { insts, extent, uniform, users, pinned, direct, grouped, remade, stored };
        facts.remade = facts.values().map(|value| facts.find_remade(value)).collect();
        facts.stored = facts.find_stored(|buffer| elem(buffer) == own);
        facts
    }

    pub fn inst(&self, value: Val) -> &'a Inst {
        &self.insts[value.0 as usize]
    }

    pub fn is_uniform(&self, value: Val) -> bool {
        self.uniform[value.0 as usize]
    }

    /// Whether the instruction is called at a boundary.
    pub fn is_call(&self, value: Val) -> bool {
        !self.is_uniform(value) && self.inst(value).is_block_call()
    }

    /// Whether the call `value` reads the argument from a buffer.
    pub fn reads_direct(&self, argument: Val) -> bool {
        self.direct[argument.0 as usize]
    }

    pub fn is_remade(&self, value: Val) -> bool {
        self.remade[value.0 as usize]
    }

    /// The instructions that take a value.
    pub fn users(&self, value: Val) -> &[Val] {
        &self.users[value.0 as usize]
    }

    fn find_remade(&self, value: Val) -> bool {
        let needs_copy = || self.users(value).iter().any(|user| self.is_call(*user)) && !self.reads_direct(value);
        match self.inst(value) {
            Inst::Load { at: At::Unit, .. } => !self.pinned[value.0 as usize] && !needs_copy(),
            Inst::Index => !needs_copy(),
            _ => false,
        }
    }

    pub fn values(&self) -> impl Iterator<Item = Val> + use<> {
        (0..self.insts.len() as u32).map(Val)
    }

    /// A call may write its result to the place of a store if nothing else loads from there or stores there, but for
    /// the call's own arguments.
    fn find_stored(&self, own: impl Fn(BufId) -> bool) -> BTreeMap<Val, Val> {
        let mut found = BTreeMap::new();
        for (number, inst) in self.insts.iter().enumerate() {
            let Inst::Store { to, value, .. } = inst else { continue };
            let in_group = self.grouped[value.0 as usize];
            if in_group || !self.is_call(*value) || !own(to.buffer) || found.contains_key(value) {
                continue;
            }
            let taken = self.values().any(|other| other.0 as usize != number && !self.harmless(other, *value, to));
            if !taken {
                found.insert(*value, Val(number as u32));
            }
        }
        found
    }

    /// Whether an instruction leaves alone a place to which a call writes its result.
    fn harmless(&self, inst: Val, call: Val, place: &Ref) -> bool {
        let touched = self.inst(inst).written().or(self.inst(inst).read());
        if touched.is_none_or(|(touched, _)| touched != place) {
            return true;
        }
        self.reads_direct(inst) && self.users(inst).iter().all(|user| *user == call)
    }
}

fn users(insts: &[Inst]) -> Vec<Vec<Val>> {
    let mut users: Vec<Vec<Val>> = vec![Vec::new(); insts.len()];
    for (number, inst) in insts.iter().enumerate() {
        for value in inst.operands() {
            let known = &mut users[value.0 as usize];
            if known.last() != Some(&Val(number as u32)) {
                known.push(Val(number as u32));
            }
        }
    }
    users
}

/// Calls of functions of one argument that are called more than once.
fn grouped(insts: &[Inst], uniform: &[bool]) -> Vec<bool> {
    let function = |number: usize| match &insts[number] {
        Inst::Math { f, args } if args.len() == 1 && !uniform[number] => Some(*f),
        _ => None,
    };
    let functions: Vec<Option<Math>> = (0..insts.len()).map(function).collect();
    let is_repeated = |f: &Option<Math>| f.is_some() && functions.iter().filter(|other| *other == f).count() > 1;
    functions.iter().map(is_repeated).collect()
}

/// Values that depend on no element. Splat loads are among them: a map does not store where it loads so.
fn uniform(insts: &[Inst]) -> Vec<bool> {
    let mut uniform: Vec<bool> = Vec::with_capacity(insts.len());
    for inst in insts {
        uniform.push(match inst {
            Inst::Const(_) | Inst::Int(_) | Inst::Load { at: At::Splat, .. } => true,
            Inst::Index | Inst::Load { .. } | Inst::Draw { .. } | Inst::Store { .. } | Inst::AddTo { .. } => false,
            _ => inst.operands().all(|value| uniform[value.0 as usize]),
        });
    }
    uniform
}

fn pinned(insts: &[Inst]) -> Vec<bool> {
    let mut stored: Vec<&Ref> = Vec::new();
    let mut mixed: Vec<&Ref> = Vec::new();
    for inst in insts {
        match inst {
            Inst::Load { from, at: At::Unit } if stored.contains(&from) => mixed.push(from),
            Inst::Store { to, .. } => stored.push(to),
            _ => {}
        }
    }
    let touches = |inst: &Inst| inst.read().or(inst.written()).is_some_and(|(place, _)| mixed.contains(&place));
    insts.iter().map(touches).collect()
}

/// The items of one segment: for each store and each value that others need, in program order, what it takes, so that
/// few values are alive at once.
fn schedule(facts: &Facts<'_>, levels: &Levels, homes: &tiles::Homes, segment: u32) -> Segment {
    let mut scheduler =
        Scheduler { facts, levels, homes, segment, ready: vec![false; facts.insts.len()], items: Vec::new() };
    for value in facts.values().filter(|value| levels.in_segment(facts, *value, segment)) {
        // what a call stores is no longer to be done
        let is_done = facts.stored.values().any(|store| *store == value);
        let is_root = facts.inst(value).has_effect() || facts.pinned[value.0 as usize] || homes.of.contains_key(&value);
        if is_root && !is_done {
            scheduler.make(value);
        }
    }
    Segment { items: scheduler.items }
}

struct Scheduler<'a> {
    facts: &'a Facts<'a>,
    levels: &'a Levels,
    homes: &'a tiles::Homes,
    segment: u32,
    ready: Vec<bool>,
    items: Vec<Item>,
}

impl Scheduler<'_> {
    /// Makes a value after all that it takes.
    fn make(&mut self, value: Val) {
        let mut waiting = vec![value];
        while let Some(value) = waiting.last().copied() {
            if self.ready[value.0 as usize] {
                waiting.pop();
                continue;
            }
            let missing = self.missing(value);
            if missing.is_empty() {
                waiting.pop();
                self.ready[value.0 as usize] = true;
                self.emit(value);
            } else {
                waiting.extend(missing.into_iter().rev());
            }
        }
    }

    /// What must be ready before a value and is not.
    fn missing(&self, value: Val) -> Vec<Val> {
        if !self.is_own(value) {
            return Vec::new();
        }
        let inst = self.facts.inst(value);
        let mut needed: Vec<Val> = inst.operands().collect();
        if let Inst::Store { to, .. } = inst {
            needed.extend(self.old_values(value, to));
        }
        needed.retain(|needed| !self.facts.is_uniform(*needed) && !self.ready[needed.0 as usize]);
        needed
    }

    /// Whether this segment computes the value, not just takes it from memory.
    fn is_own(&self, value: Val) -> bool {
        self.levels.in_segment(self.facts, value, self.segment)
    }

    fn emit(&mut self, value: Val) {
        match self.homes.of.get(&value) {
            Some(home) if !self.is_own(value) => self.items.push(Item::Reload(value, *home)),
            Some(home) => self.items.extend([Item::Compute(value), Item::Spill(value, *home)]),
            None => self.items.push(Item::Compute(value)),
        }
    }

    /// The old values of a place that this segment needs are loaded before the new ones are stored.
    fn old_values(&self, store: Val, place: &Ref) -> Vec<Val> {
        let facts = self.facts;
        let loads = facts.values().take(store.0 as usize).filter(|value| facts.is_remade(*value));
        let same = loads.filter(|value| facts.inst(*value).read().is_some_and(|(read, _)| read == place));
        same.filter(|value| facts.users(*value).iter().any(|user| self.is_own(*user))).collect()
    }
}

/// The element kind of a buffer.
pub(crate) fn elem_of(kernel: &Kernel, place: &Ref) -> Elem {
    kernel.buffers.get(place.buffer.0 as usize).map_or(Elem::F64, |buffer| buffer.elem)
}

#[cfg(test)]
mod tests;
