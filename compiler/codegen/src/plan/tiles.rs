//! Which values live in memory between segments, and which scratch tiles hold them.

use super::order::Levels;
use super::{Facts, Home};
use nnm_kir::ir::{Inst, Math, Val};
use std::collections::BTreeMap;

/// Homes of the values that need one.
#[derive(Default)]
pub(crate) struct Homes {
    pub of: BTreeMap<Val, Home>,
    /// Uniform values that calls take.
    pub fills: BTreeMap<Val, Home>,
    /// Calls of one function whose arguments and results lie in neighbouring tiles.
    pub groups: Vec<Vec<Val>>,
    pub tiles: u32,
}

impl Homes {
    /// Where a call finds its argument.
    pub fn argument(&self, facts: &Facts<'_>, value: Val) -> Home {
        if facts.reads_direct(value) {
            return Home::Place(value);
        }
        self.fills.get(&value).or(self.of.get(&value)).copied().unwrap_or(Home::Tile(0))
    }
}

/// A value in memory from `start` to `end`, as moments.
struct Interval {
    value: Val,
    start: u64,
    end: u64,
}

/// The order of events: at each level the calls of its boundary, then its segment.
struct Clock {
    calls: BTreeMap<Val, u64>,
    level: u64,
}

impl Clock {
    fn moment(&self, levels: &Levels, value: Val) -> u64 {
        let level = u64::from(levels.of[value.0 as usize]) * self.level;
        level + self.calls.get(&value).copied().unwrap_or(self.level - 1)
    }
}

pub(crate) fn assign(facts: &Facts<'_>, levels: &Levels) -> Homes {
    let mut homes = Homes::default();
    let calls: BTreeMap<Val, u64> = levels.calls().zip(0..).collect();
    let clock = Clock { level: calls.len() as u64 + 1, calls };
    for call in levels.calls() {
        for operand in facts.inst(call).operands().filter(|operand| facts.is_uniform(*operand)) {
            homes.fills.entry(operand).or_insert(Home::Tile(0));
        }
    }
    for home in homes.fills.values_mut() {
        *home = Home::Tile(homes.tiles);
        homes.tiles += 1;
    }
    group(facts, levels, &mut homes);
    let mut intervals = Vec::new();
    for value in facts.values().filter(|value| !homes.of.contains_key(value)).collect::<Vec<_>>() {
        if let Some(store) = facts.stored.get(&value) {
            homes.of.insert(value, Home::Place(*store));
        } else if let Some(interval) = interval(facts, levels, &clock, value) {
            intervals.push(interval);
        }
    }
    intervals.sort_by_key(|interval| (interval.start, interval.value));
    pack(&intervals, &clock, &mut homes);
    homes
}

/// Gives neighbouring tiles to the arguments of calls that can be made together, and to their results.
fn group(facts: &Facts<'_>, levels: &Levels, homes: &mut Homes) {
    let mut groups: Vec<((u32, Math), Vec<Val>)> = Vec::new();
    let mut taken: Vec<Val> = Vec::new();
    for call in levels.calls().filter(|call| facts.grouped[call.0 as usize]) {
        let Inst::Math { f, args } = facts.inst(call) else { continue };
        if facts.is_uniform(args[0]) || facts.is_call(args[0]) || taken.contains(&args[0]) {
            continue;
        }
        taken.push(args[0]);
        let key = (levels.of[call.0 as usize], *f);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, calls)) => calls.push(call),
            None => groups.push((key, vec![call])),
        }
    }
    for (_, calls) in groups.into_iter().filter(|(_, calls)| calls.len() > 1) {
        let count = facts.extent.tiles(calls.len() as u32);
        for (number, call) in calls.iter().enumerate() {
            let tile = homes.tiles + number as u32;
            homes.of.extend(facts.inst(*call).operands().map(|argument| (argument, Home::Tile(tile))));
            homes.of.insert(*call, Home::Tile(tile + count));
        }
        homes.tiles += 2 * count;
        homes.groups.push(calls);
    }
}

/// How long a value must be in memory, if it must.
fn interval(facts: &Facts<'_>, levels: &Levels, clock: &Clock, value: Val) -> Option<Interval> {
    if facts.is_uniform(value) || facts.is_remade(value) || facts.inst(value).has_effect() {
        return None;
    }
    let is_call = facts.is_call(value);
    let start = clock.moment(levels, value);
    let elsewhere = facts
        .users(value)
        .iter()
        .map(|user| clock.moment(levels, *user))
        .filter(|moment| is_call || *moment != start)
        .max();
    match elsewhere {
        Some(end) => Some(Interval { value, start, end: end.max(start) }),
        None => is_call.then_some(Interval { value, start, end: start }),
    }
}

/// Gives each interval a tile that is free throughout; a call may take over the tile of an argument that ends with it.
fn pack(intervals: &[Interval], clock: &Clock, homes: &mut Homes) {
    let first = homes.tiles;
    let mut busy: Vec<u64> = Vec::new();
    for interval in intervals {
        let is_call = clock.calls.contains_key(&interval.value);
        let free = busy.iter().position(|end| *end < interval.start || (is_call && *end == interval.start));
        let tile = free.unwrap_or_else(|| {
            busy.push(0);
            busy.len() - 1
        });
        busy[tile] = interval.end;
        homes.of.insert(interval.value, Home::Tile(first + tile as u32));
    }
    homes.tiles = first + busy.len() as u32;
}
