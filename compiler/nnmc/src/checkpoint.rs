//! Checkpoints: what a training or a simulation needs to go on exactly where it was, as bytes that say what they belong to.
//!
//! Layout, all little-endian: magic, the fingerprint of what is run (32 bytes), counters, series of numbers, lists of
//! indices, buffers of memory, each with its length before it; last the SHA-256 of all before. Bytes of another run, of
//! another version or with a flipped bit are refused.

use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::failure::Failure;
use crate::session::Session;

const MAGIC: &[u8; 8] = b"NNMCKPT1";

/// Where a run keeps checkpoints. What is stored replaces what was there, as a whole or not at all.
pub trait Keeper: Sync {
    fn load(&self, name: &str) -> Option<Vec<u8>>;
    fn store(&self, name: &str, bytes: &[u8]) -> Result<(), String>;
    /// Whether enough time has gone by since the last checkpoint to make another without being asked.
    fn due(&self) -> bool;
}

/// A training or simulation under way, or ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    pub counters: Vec<i64>,
    pub series: Vec<Vec<f64>>,
    pub indices: Vec<Vec<u32>>,
    pub memory: Vec<Vec<u8>>,
}

impl Checkpoint {
    pub fn to_bytes(&self, fingerprint: &[u8; 32]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(fingerprint);
        put(&mut out, self.counters.len(), self.counters.iter().flat_map(|x| x.to_le_bytes()));
        count(&mut out, self.series.len());
        for series in &self.series {
            put(&mut out, series.len(), series.iter().flat_map(|x| x.to_le_bytes()));
        }
        count(&mut out, self.indices.len());
        for list in &self.indices {
            put(&mut out, list.len(), list.iter().flat_map(|x| x.to_le_bytes()));
        }
        count(&mut out, self.memory.len());
        for bytes in &self.memory {
            count(&mut out, bytes.len());
            out.extend_from_slice(bytes);
        }
        let digest = Sha256::digest(&out);
        out.extend(digest);
        out
    }

    /// The checkpoint of these bytes; why not, where they are none of this run's.
    pub fn from_bytes(bytes: &[u8], fingerprint: &[u8; 32]) -> Result<Checkpoint, String> {
        let body = bytes.len().checked_sub(32).ok_or("it is cut off")?;
        let (body, digest) = bytes.split_at(body);
        if Sha256::digest(body)[..] != *digest {
            return Err("its bytes have changed since it was written".into());
        }
        let mut rest = Rest(body);
        if rest.take(8)? != MAGIC {
            return Err("it is of another version".into());
        }
        if rest.take(32)? != fingerprint {
            return Err("it belongs to another model, seed or setting".into());
        }
        let counters = rest.numbers(i64::from_le_bytes)?;
        let series = rest.many(|r| r.numbers(f64::from_le_bytes))?;
        let indices = rest.many(|r| r.numbers(u32::from_le_bytes))?;
        let memory = rest.many(|r| {
            let n = r.count()?;
            Ok(r.take(n)?.to_vec())
        })?;
        Ok(Checkpoint { counters, series, indices, memory })
    }
}

fn count(out: &mut Vec<u8>, n: usize) {
    out.extend((n as u64).to_le_bytes());
}

fn put(out: &mut Vec<u8>, n: usize, bytes: impl Iterator<Item = u8>) {
    count(out, n);
    out.extend(bytes);
}

/// What has not been read yet.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, n: usize) -> Result<&'b [u8], String> {
        let (head, tail) = self.0.split_at_checked(n).ok_or("it is cut off")?;
        self.0 = tail;
        Ok(head)
    }

    fn count(&mut self) -> Result<usize, String> {
        let bytes = self.take(8)?.try_into().map_err(|_| "it is cut off")?;
        Ok(u64::from_le_bytes(bytes) as usize)
    }

    fn numbers<const N: usize, T>(&mut self, read: fn([u8; N]) -> T) -> Result<Vec<T>, String> {
        let n = self.count()?;
        let bytes = self.take(n.checked_mul(N).ok_or("it is cut off")?)?;
        Ok(bytes.chunks_exact(N).filter_map(|c| c.try_into().ok()).map(read).collect())
    }

    fn many<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        let n = self.count()?;
        (0..n).map(|_| read(self)).collect()
    }
}

impl Session<'_> {
    /// A name for the training or simulation that begins now: how many there were before, and what it is.
    pub fn next_course(&mut self, what: &str) -> String {
        self.courses += 1;
        let plain: String = what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("{:04}-{plain}", self.courses)
    }

    /// What checkpoints of this course belong to: texts, seed and settings.
    fn fingerprint(&self, course: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (_, source) in self.modules.sources.files() {
            hash.update((source.text.len() as u64).to_le_bytes());
            hash.update(source.text.as_bytes());
        }
        let s = &self.settings;
        let settings = format!("{course}|{}|{:?}|{:?}|{:?}", self.seed, s.precision, s.backend, s.set);
        hash.update(settings.as_bytes());
        hash.finalize().into()
    }

    /// Where this course was when the run was cut off.
    pub fn kept(&self, course: &str) -> Result<Option<Checkpoint>, Failure> {
        let Some(bytes) = self.host.keeper().and_then(|k| k.load(course)) else { return Ok(None) };
        match Checkpoint::from_bytes(&bytes, &self.fingerprint(course)) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(why) => Err(Failure::Data(format!("the checkpoint `{course}` cannot be used: {why}"))),
        }
    }

    pub fn keep(&self, course: &str, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let Some(keeper) = self.host.keeper() else { return Ok(()) };
        let bytes = checkpoint.to_bytes(&self.fingerprint(course));
        keeper
            .store(course, &bytes)
            .map_err(|why| Failure::Data(format!("the checkpoint `{course}` cannot be written: {why}")))
    }

    pub fn checkpoint_due(&self) -> bool {
        self.host.keeper().is_some_and(|k| k.due())
    }

    /// Puts an engine's memory back to what a checkpoint holds.
    pub fn put_back(
        &self,
        engine: &mut Engine,
        skip: &[nnm_graph::ir::VarId],
        memory: &[Vec<u8>],
    ) -> Result<(), Failure> {
        if engine.restore_image(skip, memory) {
            return Ok(());
        }
        Err(Failure::Data("a checkpoint does not fit: it was made by another version of the compiler".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::Checkpoint;

    fn example() -> Checkpoint {
        Checkpoint {
            counters: vec![3, -1],
            series: vec![vec![0.5, f64::NAN.copysign(1.0)], vec![]],
            indices: vec![vec![1, 2, 3]],
            memory: vec![vec![7; 65], vec![]],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = example().to_bytes(&[9; 32]);
        let read = Checkpoint::from_bytes(&bytes, &[9; 32]).expect("good bytes");
        assert_eq!(read.to_bytes(&[9; 32]), bytes);
    }

    #[test]
    fn any_flipped_bit_cut_or_other_run_is_refused() {
        let bytes = example().to_bytes(&[9; 32]);
        assert!(Checkpoint::from_bytes(&bytes, &[8; 32]).is_err());
        for k in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[k] ^= 0x10;
            assert!(Checkpoint::from_bytes(&wrong, &[9; 32]).is_err(), "byte {k}");
            assert!(Checkpoint::from_bytes(&bytes[..k], &[9; 32]).is_err(), "cut at {k}");
        }
    }
}
