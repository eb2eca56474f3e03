//! The patterns of connections, drawn from counter-based random numbers.
//!
//! Row r of a pattern draws from step r of its key (rows are targets for `fan_in`, sources otherwise), so rows can be
//! made in any order. `total` draws from step 0.

use super::{Csr, TopologyError, accumulate, edge_count};
use crate::math::{self, Fun};
use crate::random::{below, derived, fill_bits, uniforms_f64};

/// Which pairs are connected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pattern {
    /// Every pair.
    All,
    /// Cell i with cell i.
    OneToOne,
    /// Each pair with probability p.
    Random { p: f64 },
    /// Each unordered pair with probability p, then both ways.
    Symmetric { p: f64 },
    /// A Poisson number of edges of this mean for each pair.
    Poisson { mean: f64 },
    /// Each target from k sources.
    FanIn { k: u32 },
    /// Each source to k targets.
    FanOut { k: u32 },
    /// n pairs, each equally likely.
    Total { n: u64 },
}

/// What is allowed besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where no cell may connect to itself: source i is target i plus this, of two slices of one population.
    pub apart: Option<i64>,
    /// Several edges between one pair, for `fan_in`, `fan_out` and `total`.
    pub multapses: bool,
}

impl Default for Options {
    /// All is allowed, as in NEST.
    fn default() -> Options {
        Options { apart: None, multapses: true }
    }
}

impl Options {
    /// The target that a source may not have, of so many.
    fn own_target(self, source: u32, targets: u32) -> Option<u32> {
        let own = u32::try_from(i64::from(source) + self.apart?).ok()?;
        (own < targets).then_some(own)
    }

    /// The same as seen from targets.
    fn mirrored(self) -> Options {
        Options { apart: self.apart.map(|shift| -shift), ..self }
    }
}

/// The edges of a pattern in canonical order.
pub fn connect(pattern: Pattern, sources: u32, targets: u32, options: Options, key: u64) -> Result<Csr, TopologyError> {
    match pattern {
        Pattern::All => all(sources, targets, options),
        Pattern::OneToOne if sources != targets => Err(TopologyError::Unequal { sources, targets }),
        Pattern::OneToOne if options.apart == Some(0) => Ok(empty(sources)),
        Pattern::OneToOne => Ok(Csr { ptr: (0..=sources).collect(), other: (0..sources).collect() }),
        Pattern::Random { p } => random(p, sources, targets, options, key),
        Pattern::Symmetric { .. } if sources != targets => Err(TopologyError::Unequal { sources, targets }),
        Pattern::Symmetric { p } => symmetric(p, sources, options, key),
        Pattern::Poisson { mean } => poisson(mean, sources, targets, options, key),
        Pattern::FanIn { k } => {
            let rows = fixed("fan_in", k, targets, sources, options.mirrored(), key)?;
            Ok(by_source(&rows, k, sources))
        }
        Pattern::FanOut { k } => {
            let mut other = fixed("fan_out", k, sources, targets, options, key)?;
            sort_rows(&mut other, k, targets, options.multapses);
            let ptr = (0..=sources).map(|s| s * k).collect();
            Ok(Csr { ptr, other })
        }
        Pattern::Total { n } => total(n, sources, targets, options, key),
    }
}

fn empty(sources: u32) -> Csr {
    Csr { ptr: vec![0; sources as usize + 1], other: Vec::new() }
}

fn all(sources: u32, targets: u32, options: Options) -> Result<Csr, TopologyError> {
    let count = edge_count(u64::from(sources) * u64::from(targets))?;
    let mut rows = RowBuilder::new(sources, u64::from(count));
    for source in 0..sources {
        let own = options.own_target(source, targets).unwrap_or(targets);
        rows.other.extend(0..own);
        rows.other.extend(own + 1..targets);
        rows.end_row()?;
    }
    Ok(rows.finish())
}

/// Rows written one after another.
struct RowBuilder {
    ptr: Vec<u32>,
    other: Vec<u32>,
}

impl RowBuilder {
    fn new(rows: u32, expected: u64) -> RowBuilder {
        let mut ptr = Vec::with_capacity(rows as usize + 1);
        ptr.push(0);
        RowBuilder { ptr, other: Vec::with_capacity(usize::try_from(expected).unwrap_or(0)) }
    }

    fn end_row(&mut self) -> Result<(), TopologyError> {
        self.ptr.push(edge_count(self.other.len() as u64)?);
        Ok(())
    }

    fn finish(self) -> Csr {
        Csr { ptr: self.ptr, other: self.other }
    }
}

/// Skips from one edge of a row to the next by geometric numbers, so that the time is that of the edges, not the pairs.
fn random(p: f64, sources: u32, targets: u32, options: Options, key: u64) -> Result<Csr, TopologyError> {
    if !(0.0..=1.0).contains(&p) {
        return Err(TopologyError::Probability { found: p });
    }
    if p == 1.0 {
        return all(sources, targets, options);
    }
    if p == 0.0 {
        return Ok(empty(sources));
    }
    let expected = p * f64::from(targets);
    let mut rows = RowBuilder::new(sources, (expected * f64::from(sources) * 1.02) as u64 + 64);
    // Most rows need one batch of draws.
    let batch = (expected + 3.0 * expected.sqrt()) as usize + 8;
    let mut gaps = vec![0.0; batch];
    let inverse = 1.0 / math::log1p(-p);
    for source in 0..sources {
        random_row(&mut rows.other, &mut gaps, inverse, targets, key, source);
        if let Some(own) = options.own_target(source, targets) {
            drop_target(&mut rows, own);
        }
        rows.end_row()?;
    }
    Ok(rows.finish())
}

/// The pairs above the diagonal as [`random`] draws them, each with its mirror.
fn symmetric(p: f64, cells: u32, options: Options, key: u64) -> Result<Csr, TopologyError> {
    let drawn = random(p, cells, cells, options, key)?;
    let mut pairs = vec![];
    for source in 0..cells {
        let row = drawn.ptr[source as usize] as usize..drawn.ptr[source as usize + 1] as usize;
        for &target in drawn.other[row].iter().filter(|t| **t >= source) {
            pairs.push((source, target));
            if target != source && options.own_target(target, cells) != Some(source) {
                pairs.push((target, source));
            }
        }
    }
    Ok(Csr::from_pairs(cells, cells, &pairs)?.0)
}

/// A Poisson process along the targets of each source: exponential gaps of mean `1 / mean`, several in one cell allowed.
fn poisson(mean: f64, sources: u32, targets: u32, options: Options, key: u64) -> Result<Csr, TopologyError> {
    if !(mean >= 0.0 && mean.is_finite()) {
        return Err(TopologyError::Mean { found: mean });
    }
    let expected = mean * f64::from(targets);
    let mut rows = RowBuilder::new(sources, (expected * f64::from(sources) * 1.02) as u64 + 64);
    let mut gaps = vec![0.0; (expected + 3.0 * expected.sqrt()) as usize + 8];
    for source in 0..sources {
        let own = options.own_target(source, targets);
        let mut at = 0.0;
        'row: for base in (0u64..).step_by(gaps.len()) {
            uniforms_f64(&mut gaps, key, u64::from(source), base);
            gaps.iter_mut().for_each(|u| *u = 1.0 - *u);
            math::apply_f64(Fun::Log, &mut gaps);
            for &log in &gaps {
                at -= log / mean;
                if at.is_nan() || at >= f64::from(targets) {
                    break 'row;
                }
                if own != Some(at as u32) {
                    rows.other.push(at as u32);
                }
            }
        }
        rows.end_row()?;
    }
    Ok(rows.finish())
}

fn random_row(other: &mut Vec<u32>, gaps: &mut [f64], inverse: f64, targets: u32, key: u64, source: u32) {
    // One past the last edge.
    let mut next = 0u64;
    for base in (0u64..).step_by(gaps.len()) {
        uniforms_f64(gaps, key, u64::from(source), base);
        gaps.iter_mut().for_each(|u| *u = 1.0 - *u);
        math::apply_f64(Fun::Log, gaps);
        other.reserve(gaps.len());
        for &log in gaps.iter() {
            // Not negative, so that this rounds down; what is beyond the targets need not be exact.
            let at = next + u64::from((log * inverse) as u32);
            if at >= u64::from(targets) {
                return;
            }
            other.push(at as u32);
            next = at + 1;
        }
    }
}

/// Takes the edge to a cell out of the row being written.
fn drop_target(rows: &mut RowBuilder, target: u32) {
    let start = rows.ptr.last().map_or(0, |p| *p as usize);
    if let Ok(at) = rows.other[start..].binary_search(&target) {
        rows.other.remove(start + at);
    }
}

/// k partners out of `partners` for each of `rows` cells, in the order of drawing.
fn fixed(
    pattern: &'static str,
    k: u32,
    rows: u32,
    partners: u32,
    options: Options,
    key: u64,
) -> Result<Vec<u32>, TopologyError> {
    let count = edge_count(u64::from(k) * u64::from(rows))?;
    // Where a cell may not choose itself it chooses among one fewer, and numbers from its own on move up.
    let available = |row: u32| partners - u32::from(options.own_target(row, partners).is_some());
    let fewest = (0..rows).map(available).min().unwrap_or(partners);
    if count > 0 && (fewest == 0 || (!options.multapses && k > fewest)) {
        return Err(TopologyError::TooFew { pattern, wanted: u64::from(k), available: u64::from(fewest) });
    }
    let mut chosen = Vec::with_capacity(count as usize);
    let mut draws = vec![0; k as usize];
    // The last row that chose each partner, plus one.
    let mut taken = vec![0u32; if options.multapses { 0 } else { partners as usize }];
    for row in 0..rows {
        fill_bits(&mut draws, key, u64::from(row), 0);
        let (own, available) = (options.own_target(row, partners), available(row));
        for (i, &draw) in draws.iter().enumerate() {
            let partner = if options.multapses {
                below(u64::from(available), draw) as u32
            } else {
                distinct(&mut taken, row + 1, available - k + i as u32, draw)
            };
            chosen.push(partner + u32::from(own.is_some_and(|own| partner >= own)));
        }
    }
    Ok(chosen)
}

/// One step of Floyd's sampling without repetition: a number up to `top`, or `top` itself if that is taken.
fn distinct(taken: &mut [u32], mark: u32, top: u32, draw: u64) -> u32 {
    let candidate = below(u64::from(top) + 1, draw) as u32;
    let number = if taken[candidate as usize] == mark { top } else { candidate };
    taken[number as usize] = mark;
    number
}

/// The canonical order of rows of k sources for each target.
fn by_source(rows: &[u32], k: u32, sources: u32) -> Csr {
    let mut ptr = vec![0; sources as usize + 1];
    rows.iter().for_each(|source| ptr[*source as usize + 1] += 1);
    accumulate(&mut ptr);
    let mut next = ptr.clone();
    let mut other = vec![0; rows.len()];
    for (target, row) in rows.chunks_exact(k.max(1) as usize).enumerate() {
        for source in row {
            let place = &mut next[*source as usize];
            other[*place as usize] = target as u32;
            *place += 1;
        }
    }
    Csr { ptr, other }
}

/// Sorts each row of k numbers below `end`: many different ones by marking them, others by comparison.
fn sort_rows(rows: &mut [u32], k: u32, end: u32, repeats: bool) {
    let rows = rows.chunks_exact_mut(k.max(1) as usize);
    if repeats || end / 32 > k {
        return rows.for_each(<[u32]>::sort_unstable);
    }
    let mut marks = Marks::new(u64::from(end));
    for row in rows {
        row.iter().for_each(|x| _ = marks.set(u64::from(*x)));
        let mut places = row.iter_mut();
        marks.drain(|x| _ = places.next().map(|place| *place = x as u32));
    }
}

/// A set of numbers as bits.
struct Marks {
    words: Vec<u64>,
}

impl Marks {
    fn new(end: u64) -> Marks {
        Marks { words: vec![0; end.div_ceil(64) as usize] }
    }

    /// Whether it was not yet in the set.
    fn set(&mut self, number: u64) -> bool {
        let word = &mut self.words[(number / 64) as usize];
        let bit = 1 << (number % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Gives all numbers in ascending order and empties the set.
    fn drain(&mut self, mut give: impl FnMut(u64)) {
        for (at, word) in self.words.iter_mut().enumerate() {
            while *word != 0 {
                give(at as u64 * 64 + u64::from(word.trailing_zeros()));
                *word &= *word - 1;
            }
        }
    }
}

/// n of all pairs; without multapses those drawn again are drawn anew, and of more than half of all pairs those that
/// are left out are drawn.
fn total(n: u64, sources: u32, targets: u32, options: Options, key: u64) -> Result<Csr, TopologyError> {
    edge_count(n)?;
    let own = |source: u32| options.own_target(source, targets);
    let alone = (0..sources).filter(|source| own(*source).is_some()).count();
    let pairs = u64::from(sources) * u64::from(targets) - alone as u64;
    if n > 0 && (pairs == 0 || (!options.multapses && n > pairs)) {
        return Err(TopologyError::TooFew { pattern: "total", wanted: n, available: pairs });
    }
    let chosen = if options.multapses {
        let mut chosen = draw_pairs(n, pairs, key, 0);
        chosen.sort_unstable();
        chosen
    } else if n <= pairs / 2 {
        distinct_pairs(n, pairs, key)
    } else {
        edge_count(pairs)?;
        complement(&distinct_pairs(pairs - n, pairs, key), pairs)
    };
    let mut rows = RowBuilder::new(sources, n);
    let mut rest = chosen.as_slice();
    let mut start = 0;
    for source in 0..sources {
        let own = own(source);
        let end = start + u64::from(targets) - u64::from(own.is_some());
        let count = rest.partition_point(|pair| *pair < end);
        let shift = |target: u32| target + u32::from(own.is_some_and(|own| target >= own));
        rows.other.extend(rest[..count].iter().map(|pair| shift((pair - start) as u32)));
        rest = &rest[count..];
        start = end;
        rows.end_row()?;
    }
    Ok(rows.finish())
}

fn draw_pairs(n: u64, pairs: u64, key: u64, base: u64) -> Vec<u64> {
    let mut draws = vec![0; n as usize];
    fill_bits(&mut draws, key, 0, base);
    draws.iter_mut().for_each(|draw| *draw = below(pairs, *draw));
    draws
}

/// The first n different ones of a sequence of pairs, sorted: with a bit for each pair where that takes no more memory
/// than the numbers themselves, else by sorting.
fn distinct_pairs(n: u64, pairs: u64, key: u64) -> Vec<u64> {
    let dense = pairs / 64 <= n;
    let mut marks = Marks::new(if dense { pairs } else { 0 });
    let mut chosen = Vec::with_capacity(n as usize);
    let (mut found, mut drawn) = (0, 0);
    while found < n {
        let missing = n - found;
        let draws = draw_pairs(missing, pairs, key, drawn);
        drawn += missing;
        if dense {
            found += draws.into_iter().map(|pair| u64::from(marks.set(pair))).sum::<u64>();
        } else {
            chosen.extend(draws);
            // Merges the sorted beginning with the rest.
            chosen.sort();
            chosen.dedup();
            found = chosen.len() as u64;
        }
    }
    if dense {
        marks.drain(|pair| chosen.push(pair));
    }
    chosen
}

/// The numbers below `end` that are not in a sorted list.
fn complement(list: &[u64], end: u64) -> Vec<u64> {
    let mut rest = list.iter().peekable();
    (0..end).filter(|number| rest.next_if_eq(&number).is_none()).collect()
}

/// Each pair with a probability of its own: `fill` writes those of a source to all targets. Pairs of probability 1 and
/// 0 cost no draw that others would feel.
pub fn by_probability(
    sources: u32,
    targets: u32,
    options: Options,
    key: u64,
    mut fill: impl FnMut(u32, &mut [f64]),
) -> Result<Csr, TopologyError> {
    let key = derived(key, 1);
    let mut rows = RowBuilder::new(sources, 0);
    let mut probabilities = vec![0.0; targets as usize];
    let mut draws = vec![0.0; targets as usize];
    for source in 0..sources {
        fill(source, &mut probabilities);
        if let Some(&found) = probabilities.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(TopologyError::Probability { found });
        }
        uniforms_f64(&mut draws, key, u64::from(source), 0);
        let own = options.own_target(source, targets);
        let chosen = |t: &u32| draws[*t as usize] < probabilities[*t as usize] && own != Some(*t);
        rows.other.extend((0..targets).filter(chosen));
        rows.end_row()?;
    }
    Ok(rows.finish())
}
