//! Who is connected to whom: compressed rows of edges, their transposition and their grouping by delay.
//!
//! The canonical order of edges is by source, then by target; it is the order of weights and of everything else that
//! there is one of for each edge.

mod patterns;
#[cfg(test)]
mod tests;

pub use patterns::{Options, Pattern, by_probability, connect};

/// Why a network cannot be wired so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TopologyError {
    #[error("{edges} connections are more than the {} that one projection can have", u32::MAX)]
    TooMany { edges: u64 },
    #[error(
        "`{pattern}` wants {wanted} different partners where there are {available}; allow multapses or ask for fewer"
    )]
    TooFew { pattern: &'static str, wanted: u64, available: u64 },
    #[error("`one_to_one` connects populations of one size, found {sources} and {targets}")]
    Unequal { sources: u32, targets: u32 },
    #[error("a probability is a number from 0 to 1, found {found}")]
    Probability { found: f64 },
    #[error("a mean number of connections is not below 0, found {found}")]
    Mean { found: f64 },
    #[error("pair {pair} names {side} {index} of {size}")]
    Index { pair: usize, side: &'static str, index: u32, size: u32 },
}

/// Rows of edges: row s is `other[ptr[s] .. ptr[s + 1]]`, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr {
    /// One more than rows.
    pub ptr: Vec<u32>,
    /// The cell at the other end of each edge.
    pub other: Vec<u32>,
}

/// The same edges by their other end: edge `edge[k]` is the k-th by target, then source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transposed {
    pub rows: Csr,
    pub edge: Vec<u32>,
}

/// Edges grouped by delay. Place k holds the edge of canonical number `edge[k]`, which ends at `other[k]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// By ascending delay.
    pub segments: Vec<Segment>,
    pub other: Vec<u32>,
    pub edge: Vec<u32>,
}

/// The edges of one delay: those of source s are at `ptr[s] .. ptr[s + 1]`, by ascending target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub delay: u32,
    pub ptr: Vec<u32>,
}

impl Csr {
    /// The canonical form of (source, target) pairs, and for each edge the number of its pair. Equal pairs keep their
    /// order.
    pub fn from_pairs(sources: u32, targets: u32, pairs: &[(u32, u32)]) -> Result<(Csr, Vec<u32>), TopologyError> {
        let count = edge_count(pairs.len() as u64)?;
        for (pair, &(source, target)) in pairs.iter().enumerate() {
            if source >= sources {
                return Err(TopologyError::Index { pair, side: "source", index: source, size: sources });
            }
            if target >= targets {
                return Err(TopologyError::Index { pair, side: "target", index: target, size: targets });
            }
        }
        // Two stable counting sorts: by target, then by source.
        let all: Vec<u32> = (0..count).collect();
        let by_target = counting_sort(targets, &all, |pair| pairs[pair as usize].1).1;
        let (ptr, order) = counting_sort(sources, &by_target, |pair| pairs[pair as usize].0);
        let other = order.iter().map(|&pair| pairs[pair as usize].1).collect();
        Ok((Csr { ptr, other }, order))
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.ptr.len().saturating_sub(1)
    }

    pub fn edges(&self) -> usize {
        self.other.len()
    }

    /// The other ends of a row; of a row that there is not, none.
    pub fn row(&self, at: usize) -> &[u32] {
        match (self.ptr.get(at), self.ptr.get(at + 1)) {
            (Some(&from), Some(&to)) => self.other.get(from as usize..to as usize).unwrap_or(&[]),
            _ => &[],
        }
    }

    /// The row of each edge.
    pub fn owners(&self) -> Vec<u32> {
        let mut owners = Vec::with_capacity(self.edges());
        for (row, ends) in self.ptr.windows(2).enumerate() {
            owners.resize(ends[1] as usize, row as u32);
        }
        owners
    }

    /// The rows by the other end, of which there are `others`.
    pub fn transpose(&self, others: u32) -> Transposed {
        let owners = self.owners();
        let all: Vec<u32> = (0..self.edges() as u32).collect();
        let (ptr, edge) = counting_sort(others, &all, |k| self.other[k as usize]);
        let other = edge.iter().map(|&k| owners[k as usize]).collect();
        Transposed { rows: Csr { ptr, other }, edge }
    }

    /// Whether the row starts ascend to the number of edges and every other end is below `others`: what compiled code
    /// takes for granted.
    pub fn is_valid(&self, others: u32) -> bool {
        let ends = (self.ptr.first(), self.ptr.last());
        ends == (Some(&0), Some(&(self.other.len() as u32)))
            && self.ptr.windows(2).all(|pair| pair[0] <= pair[1])
            && self.other.iter().all(|&cell| cell < others)
    }
}

/// Groups edges by their delay in steps, one for each edge in canonical order; missing delays count as 0.
pub fn segment_by_delay(rows: &Csr, delays: &[u32]) -> Segments {
    let delay = |k: u32| delays.get(k as usize).copied().unwrap_or(0);
    let mut distinct: Vec<u32> = (0..rows.edges() as u32).map(delay).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let place = |k: u32| distinct.binary_search(&delay(k)).unwrap_or(0) as u32;
    let all: Vec<u32> = (0..rows.edges() as u32).collect();
    let (starts, edge) = counting_sort(distinct.len() as u32, &all, place);
    let owners = rows.owners();
    let segment = |(at, &delay): (usize, &u32)| {
        let (from, to) = (starts[at], starts[at + 1]);
        let mut ptr = vec![0; rows.rows() + 1];
        for &k in &edge[from as usize..to as usize] {
            ptr[owners[k as usize] as usize + 1] += 1;
        }
        ptr[0] = from;
        accumulate(&mut ptr);
        Segment { delay, ptr }
    };
    let segments = distinct.iter().enumerate().map(segment).collect();
    let other = edge.iter().map(|&k| rows.other[k as usize]).collect();
    Segments { segments, other, edge }
}

fn edge_count(edges: u64) -> Result<u32, TopologyError> {
    u32::try_from(edges).map_err(|_| TopologyError::TooMany { edges })
}

/// Each entry becomes the sum up to and with it.
fn accumulate(counts: &mut [u32]) {
    let mut sum = 0;
    for count in counts {
        sum += *count;
        *count = sum;
    }
}

/// The items in the order of their class, stably, and where each of the classes begins.
fn counting_sort(classes: u32, items: &[u32], class: impl Fn(u32) -> u32) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; classes as usize + 1];
    for &item in items {
        starts[class(item) as usize + 1] += 1;
    }
    accumulate(&mut starts);
    let mut next = starts.clone();
    let mut sorted = vec![0; items.len()];
    for &item in items {
        let place = &mut next[class(item) as usize];
        sorted[*place as usize] = item;
        *place += 1;
    }
    (starts, sorted)
}
