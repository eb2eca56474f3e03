//! What the library may see of the outside: data folders, modules beside the model, progress, and the wish to stop.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nnm_compiler::checkpoint::Keeper;
use nnm_compiler::events::Event;
use nnm_compiler::session::Host;
use nnm_compiler::value::Num;
use nnm_runtime::data::Files;
use nnm_runtime::results::RunFolder;

use crate::exit::Exit;
use crate::keeper::FolderKeeper;
use crate::progress::Meter;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The first Ctrl-C asks the run to end and save; the second ends at once.
pub fn watch_interrupts() {
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(Exit::Interrupted as i32);
        }
    });
}

pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// What a run has said so far, kept in case it does not come to its end.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Network, epoch and loss.
    pub epochs: Vec<(String, usize, f64)>,
    pub reports: Vec<(String, Num)>,
    /// Text, whether it held, what was found.
    pub expectations: Vec<(String, bool, String)>,
}

pub struct CommandHost {
    files: Files,
    /// Where modules are looked for.
    folders: Vec<PathBuf>,
    meter: RefCell<Meter>,
    seen: RefCell<Seen>,
    keeper: Option<FolderKeeper>,
}

impl CommandHost {
    /// For a model file: its folder, its package's, those of `--data`, and those of `NNM_DATA`.
    pub fn new(model: &Path, data: &[PathBuf], meter: Meter) -> CommandHost {
        let own = folder_of(model);
        let package = package_folder(&own);
        let mut folders = vec![own];
        folders.extend(package.filter(|p| *p != folders[0]));
        let mut roots = folders.clone();
        roots.extend(data.iter().cloned());
        if let Some(paths) = std::env::var_os("NNM_DATA") {
            roots.extend(std::env::split_paths(&paths).filter(|p| !p.as_os_str().is_empty()));
        }
        CommandHost {
            files: Files::new(roots),
            folders,
            meter: RefCell::new(meter),
            seen: RefCell::default(),
            keeper: None,
        }
    }

    /// Keeps checkpoints in a run folder.
    pub fn keeping(mut self, folder: RunFolder) -> CommandHost {
        self.keeper = Some(FolderKeeper::new(folder));
        self
    }

    /// The run has come to its end: no checkpoint is needed any more.
    pub fn forget_checkpoints(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.clear();
        }
    }

    /// Takes what has been said so far.
    pub fn take_seen(&self) -> Seen {
        self.seen.take()
    }
}

impl Host for CommandHost {
    fn memory(&self) -> Option<u64> {
        let known = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = known.lines().find(|l| l.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    }

    fn module(&self, path: &str) -> Option<String> {
        self.folders.iter().find_map(|folder| std::fs::read_to_string(folder.join(path)).ok())
    }

    fn files(&self) -> &Files {
        &self.files
    }

    fn progress(&self, event: &Event) {
        self.meter.borrow_mut().show(event);
        let mut seen = self.seen.borrow_mut();
        match event {
            Event::ExperimentStarted { .. } => *seen = Seen::default(),
            Event::Epoch { what, epoch, loss, .. } => seen.epochs.push((what.clone(), *epoch, *loss)),
            Event::Reported { name, value } => seen.reports.push((name.clone(), value.clone())),
            Event::Expected { text, held, found } => seen.expectations.push((text.clone(), *held, found.clone())),
            Event::Steps { .. } | Event::ExperimentEnded { .. } => {}
        }
    }

    fn interrupted(&self) -> bool {
        interrupted()
    }

    fn keeper(&self) -> Option<&dyn Keeper> {
        self.keeper.as_ref().map(|k| k as &dyn Keeper)
    }
}

/// The folder in which a file lies.
pub fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The nearest folder upwards that holds an `nnm.toml`.
pub fn package_folder(folder: &Path) -> Option<PathBuf> {
    let real = folder.canonicalize().ok()?;
    real.ancestors().find(|f| f.join("nnm.toml").is_file()).map(Path::to_path_buf)
}
