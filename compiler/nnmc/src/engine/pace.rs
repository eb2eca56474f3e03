//! Whether a program goes faster with several threads: measured, for nobody knows beforehand how much happens in a step
//! or who else uses the machine. What is computed does not depend on it.

use std::time::Instant;

/// How many threads work on one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    pub most: u32,
    /// Always all of them, for tests; else those with which it goes faster.
    pub always: bool,
}

impl Default for Threads {
    fn default() -> Threads {
        Threads { most: 1, always: false }
    }
}

/// Seconds of a call below which threads cannot be worth their start.
const SHORT: f64 = 300e-6;
/// Seconds of a step below which threads cannot be worth their meetings.
const BRIEF: f64 = 5e-6;
/// After so many calls in one way the other one is tried again.
const AGAIN: u32 = 12;
/// And after so many where it was far slower.
const SELDOM: u32 = 50;

/// Seconds a step with one thread and with several.
#[derive(Debug, Default)]
pub struct Pace {
    seconds: [Option<f64>; 2],
    /// Calls in a row in the same way.
    calls: u32,
    last: usize,
}

impl Pace {
    /// The way of the next call: with several threads or not.
    pub fn next(&self) -> bool {
        let [alone, together] = self.seconds;
        let (Some(alone), Some(together)) = (alone, together) else { return alone.is_some_and(|s| s > 0.0) };
        let best = usize::from(together < alone);
        let far = if together < alone { alone > 1.5 * together } else { together > 1.5 * alone };
        let patience = if far { SELDOM } else { AGAIN };
        let other = self.last == best && self.calls >= patience;
        (if other { 1 - best } else { best }) == 1
    }

    /// Whether the next call only tries the way that is not known, or known as the slower: it is to be a short one.
    pub fn tries(&self) -> bool {
        match self.seconds {
            [Some(alone), Some(together)] => self.next() != (together < alone),
            _ => self.next(),
        }
    }

    /// Notes a call of so many steps that was begun then.
    pub fn note(&mut self, together: bool, steps: i64, begun: Instant) {
        let (call, way) = (begun.elapsed().as_secs_f64(), usize::from(together));
        let step = call / steps.max(1) as f64;
        // What was measured long ago says little.
        let known = self.seconds[way].filter(|_| self.last == way);
        self.calls = if self.last == way { self.calls + 1 } else { 1 };
        self.last = way;
        // What is too short to be cut is as if it took no time; trials are short by themselves.
        let first = self.seconds[way].is_none();
        let brief = way == 0 && ((first && call < SHORT) || step < BRIEF);
        self.seconds[way] = Some(match known {
            _ if brief => 0.0,
            Some(before) if before > 0.0 => 0.5 * (before + step),
            _ => step,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn noted(pace: &mut Pace, micros: [u64; 2]) -> bool {
        let way = pace.next();
        let call = Duration::from_micros(micros[usize::from(way)] * 100);
        if let Some(begun) = Instant::now().checked_sub(call) {
            pace.note(way, 100, begun);
        }
        way
    }

    #[test]
    fn goes_the_faster_way_and_looks_at_the_other_again() {
        let ways = |micros: [u64; 2]| {
            let mut pace = Pace::default();
            (0..200).map(|_| noted(&mut pace, micros)).filter(|way| *way).count()
        };
        assert_eq!(ways([2, 1]), 0, "steps of 2 µs");
        assert!((190..200).contains(&ways([200, 100])), "{}", ways([200, 100]));
        assert!((1..20).contains(&ways([100, 5000])), "{}", ways([100, 5000]));
    }

    #[test]
    fn a_machine_that_is_free_again_is_used_again() {
        let mut pace = Pace::default();
        (0..100).for_each(|_| _ = noted(&mut pace, [100, 900]));
        let later = (0..200).map(|_| noted(&mut pace, [100, 60])).filter(|way| *way).count();
        assert!(later > 100, "{later}");
    }
}
