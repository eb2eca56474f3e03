//! A stretch of a recording, and its bins. A spike is stamped with the end of its step, so that a stretch holds the steps in
//! it: stamps after its beginning, up to and with its end.

use crate::value::Spikes;

/// Times are whole numbers of steps that decimals do not meet exactly; nothing is recorded at less than this distance.
const GRAIN: f64 = 1e-9;

/// Times after `from` up to `to`, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    pub from: f64,
    pub to: f64,
    /// It begins with the recording: what is placed inside of its first step may be at its very beginning.
    pub whole: bool,
}

impl Stretch {
    /// The part of a recording between two times. Beyond it nothing is known: there were no spikes, and no time without
    /// spikes either.
    pub fn of(spikes: &Spikes, from: f64, to: f64) -> Stretch {
        Stretch { from: from.max(spikes.from), to: to.min(spikes.to), whole: from <= spikes.from }
    }

    pub fn length(self) -> f64 {
        self.to - self.from
    }

    pub fn has(self, time: f64) -> bool {
        (self.whole || time > self.from + GRAIN) && time <= self.to + GRAIN
    }

    /// The place of a time among so many bins of a width from the beginning on.
    pub fn bin(self, time: f64, width: f64, bins: usize) -> Option<usize> {
        let place = (((time - self.from - GRAIN) / width).ceil() - 1.0).max(0.0);
        (self.has(time) && (place as usize) < bins).then_some(place as usize)
    }

    /// The spike times of each cell.
    pub fn by_cell(self, spikes: &Spikes) -> Vec<Vec<f64>> {
        let mut cells = vec![vec![]; spikes.n];
        for (cell, time) in spikes.cells.iter().zip(&spikes.times).filter(|(_, time)| self.has(**time)) {
            if let Some(times) = cells.get_mut(*cell as usize) {
                times.push(*time);
            }
        }
        cells
    }

    /// How many spikes each cell fired.
    pub fn counts(self, spikes: &Spikes) -> Vec<f64> {
        let mut counts = vec![0.0; spikes.n];
        for (cell, _) in spikes.cells.iter().zip(&spikes.times).filter(|(_, time)| self.has(**time)) {
            if let Some(count) = counts.get_mut(*cell as usize) {
                *count += 1.0;
            }
        }
        counts
    }

    /// All spike times.
    pub fn times(self, spikes: &Spikes) -> Vec<f64> {
        spikes.times.iter().copied().filter(|time| self.has(*time)).collect()
    }

    /// Spikes per time and cell in bins.
    pub fn rate(self, spikes: &Spikes, bin: f64) -> Vec<f64> {
        let bins = (self.length() / bin).round().max(1.0) as usize;
        let mut rate = vec![0.0; bins];
        for place in spikes.times.iter().filter_map(|time| self.bin(*time, bin, bins)) {
            rate[place] += 1.0 / (bin * spikes.n as f64);
        }
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_part_a_recording() {
        let whole = Stretch { from: 0.1, to: 3.1, whole: false };
        let places = [0.1, 0.1001, 0.2, 1.45, 1.5, 1.5001, 3.1, 3.1001].map(|t| whole.bin(t, 0.1, 30));
        assert_eq!(places, [None, Some(0), Some(0), Some(13), Some(13), Some(14), Some(29), None]);
        // Far from the beginning seconds are coarse.
        let late = Stretch { from: 20_000.0, to: 20_001.0, whole: false };
        let places: Vec<usize> =
            (1..=1000).filter_map(|k| late.bin(20_000.0 + f64::from(k) * 1e-3, 1e-3, 1000)).collect();
        assert_eq!(places, (0..1000).collect::<Vec<_>>());
    }
}
