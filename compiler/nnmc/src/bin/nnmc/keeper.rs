//! Checkpoints in a run folder: made when asked for and now and then, gone when the run has come to its end.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nnm_compiler::checkpoint::Keeper;
use nnm_runtime::results::RunFolder;

/// Without being asked, a checkpoint is made after so long.
const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct FolderKeeper {
    folder: RunFolder,
    last: Mutex<Instant>,
}

impl FolderKeeper {
    pub fn new(folder: RunFolder) -> FolderKeeper {
        FolderKeeper { folder, last: Mutex::new(Instant::now()) }
    }

    fn place(&self) -> PathBuf {
        self.folder.path().join("checkpoints")
    }

    /// Removes what only a run that was cut off needs.
    pub fn clear(&self) {
        let _ = std::fs::remove_dir_all(self.place());
    }
}

impl Keeper for FolderKeeper {
    fn load(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.place().join(format!("{name}.nnmck"))).ok()
    }

    fn store(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        self.folder.write(&format!("checkpoints/{name}.nnmck"), bytes).map_err(|e| e.to_string())?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(())
    }

    fn due(&self) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > INTERVAL
    }
}
