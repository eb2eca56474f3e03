//! What the library may see of the outside: data folders, modules beside the model, progress, and the wish to stop.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use nnm_compiler::checkpoint::Keeper;
use nnm_compiler::events::Event;
use nnm_compiler::session::Host;
use nnm_compiler::value::Num;
use nnm_runtime::data::Files;
use nnm_runtime::results::RunFolder;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::Exit;
use crate::keeper::FolderKeeper;
use crate::progress::Meter;

/// The signal that asked the run to end; 0 while none has.
static ASKED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The first Ctrl-C, or request to terminate, asks the run to end and save; the second ends at once.
pub fn watch_interrupts() {
    let again = Arc::new(AtomicBool::new(false));
    for (signal, exit) in [(SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated)] {
        let _ = flag::register_conditional_shutdown(signal, exit as i32, again.clone());
        let _ = flag::register(signal, again.clone());
        let _ = flag::register_usize(signal, ASKED.clone(), signal as usize);
    }
}

pub fn interrupted() -> bool {
    ASKED.load(Ordering::SeqCst) != 0
}

/// The exit code of a command that was asked to end.
pub fn asked_exit() -> Exit {
    if ASKED.load(Ordering::SeqCst) == SIGTERM as usize { Exit::Terminated } else { Exit::Interrupted }
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
    meter: Mutex<Meter>,
    seen: Mutex<Seen>,
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
            meter: Mutex::new(meter),
            seen: Mutex::default(),
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
        std::mem::take(&mut *held(&self.seen))
    }
}

impl Host for CommandHost {
    fn memory(&self) -> Option<u64> {
        [available(), of_group()].into_iter().flatten().min()
    }

    fn module(&self, path: &str) -> Option<String> {
        self.folders.iter().find_map(|folder| std::fs::read_to_string(folder.join(path)).ok())
    }

    fn files(&self) -> &Files {
        &self.files
    }

    fn progress(&self, event: &Event) {
        held(&self.meter).show(event);
        let mut seen = held(&self.seen);
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

fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the machine says is available.
fn available() -> Option<u64> {
    let known = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = known.lines().find(|l| l.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// What the group of processes that this one is in may still take.
fn of_group() -> Option<u64> {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let pairs = [
        ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"],
        ["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"],
    ];
    pairs.iter().find_map(|[limit, used]| Some(number(limit)?.saturating_sub(number(used)?)))
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
