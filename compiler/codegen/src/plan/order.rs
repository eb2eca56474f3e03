//! Which segment or boundary each instruction belongs to.

use super::Facts;
use nnm_kir::ir::{Inst, Ref, Val};

/// The cut of a body.
pub(crate) struct Levels {
    /// By instruction: the segment, for a call the boundary. Loads that are remade belong to no segment of their own.
    pub of: Vec<u32>,
    pub segments: u32,
    calls: Vec<Val>,
}

impl Levels {
    /// The calls, in order of their boundaries.
    pub fn calls(&self) -> impl Iterator<Item = Val> + '_ {
        self.calls.iter().copied()
    }

    /// Whether the instruction is computed in a segment.
    pub fn in_segment(&self, facts: &Facts<'_>, value: Val, segment: u32) -> bool {
        !facts.is_uniform(value)
            && !facts.is_call(value)
            && !facts.is_remade(value)
            && self.of[value.0 as usize] == segment
    }
}

pub(super) fn levels(facts: &Facts<'_>) -> Levels {
    let mut of = earliest(facts);
    let free = free(facts);
    loop {
        let sunk = sink(facts, &free, &mut of);
        let delayed = delay_stores(facts, &mut of);
        if !sunk && !delayed {
            break;
        }
    }
    let placed = facts.values().filter(|value| !facts.is_uniform(*value) && !facts.is_remade(*value));
    let segments =
        placed.map(|value| of[value.0 as usize] + u32::from(!facts.is_call(value))).max().unwrap_or(0).max(1);
    let mut calls: Vec<Val> = facts.values().filter(|value| facts.is_call(*value)).collect();
    calls.sort_by_key(|call| (of[call.0 as usize], *call));
    Levels { of, segments, calls }
}

/// The first segment or boundary that the operands allow.
fn earliest(facts: &Facts<'_>) -> Vec<u32> {
    let mut of = vec![0; facts.insts.len()];
    let mut order: Vec<(&Ref, u32)> = Vec::new();
    for value in facts.values() {
        let inst = facts.inst(value);
        let needs = inst.operands().map(|operand| after(facts, &of, operand, facts.is_call(value)));
        let mut level = needs.max().unwrap_or(0);
        if let (true, Some((place, _))) = (facts.pinned[value.0 as usize], inst.read().or(inst.written())) {
            let before = order.iter().rev().find(|(known, _)| *known == place);
            level = level.max(before.map_or(0, |(_, level)| *level));
            order.push((place, level));
        }
        of[value.0 as usize] = level;
    }
    of
}

/// From when on an operand is there, for a call or for a segment.
fn after(facts: &Facts<'_>, of: &[u32], operand: Val, for_call: bool) -> u32 {
    let at = of[operand.0 as usize];
    if facts.is_uniform(operand) || (for_call && facts.reads_direct(operand)) {
        0
    } else if for_call && !facts.is_call(operand) {
        at + 1
    } else {
        at
    }
}

/// Values that any segment could compute: from what is remade, and from results of calls.
fn free(facts: &Facts<'_>) -> Vec<bool> {
    let mut free: Vec<bool> = Vec::with_capacity(facts.insts.len());
    for value in facts.values() {
        let inst = facts.inst(value);
        let is_free = facts.is_uniform(value)
            || facts.is_remade(value)
            || facts.is_call(value)
            || (inst.read().is_none() && !inst.has_effect() && inst.operands().all(|operand| free[operand.0 as usize]));
        free.push(is_free);
    }
    free
}

/// Moves free values to the first segment that uses them.
fn sink(facts: &Facts<'_>, free: &[bool], of: &mut [u32]) -> bool {
    let mut latest = vec![u32::MAX; facts.insts.len()];
    let mut changed = false;
    for value in facts.values().collect::<Vec<_>>().into_iter().rev() {
        let place = value.0 as usize;
        let is_fixed = facts.is_uniform(value) || facts.is_call(value) || facts.is_remade(value);
        if !is_fixed && free[place] && latest[place] != u32::MAX && latest[place] > of[place] {
            of[place] = latest[place];
            changed = true;
        }
        let by = if facts.is_call(value) { of[place].saturating_sub(1) } else { of[place] };
        for operand in facts.inst(value).operands() {
            let known = &mut latest[operand.0 as usize];
            *known = (*known).min(by);
        }
    }
    changed
}

/// A store waits for the last segment or call that loads the old value.
fn delay_stores(facts: &Facts<'_>, of: &mut [u32]) -> bool {
    let mut changed = false;
    for store in facts.values() {
        let Inst::Store { to, .. } = facts.inst(store) else { continue };
        if facts.pinned[store.0 as usize] {
            continue;
        }
        let mut level = of[store.0 as usize];
        for user in facts.values() {
            let inst = facts.inst(user);
            let same = inst.read().or(inst.written()).is_some_and(|(place, _)| place == to);
            if !same || user >= store {
                continue;
            }
            level = level.max(of[user.0 as usize]);
            if facts.is_remade(user) {
                let last = facts.users(user).iter().map(|user| of[user.0 as usize]).max();
                level = level.max(last.unwrap_or(0));
            }
        }
        changed |= level != of[store.0 as usize];
        of[store.0 as usize] = level;
    }
    changed
}
