//! What the command line and an experiment's settings ask for.

use nnm_kir::ir::Precision;

use crate::engine::{Backend, Threads};

#[derive(Clone, Debug)]
pub struct Settings {
    pub backend: Backend,
    pub precision: Option<Precision>,
    pub seed: Option<u64>,
    /// Parameter values by name: `--set a=3`.
    pub set: Vec<(String, String)>,
    /// Names of `set` that something asked for.
    pub used: std::collections::BTreeSet<String>,
    pub experiment: Option<String>,
    /// Hold derivatives against differences instead of training.
    pub check_gradients: bool,
    /// Keep printed forms of graphs and kernels.
    pub emit_graph: bool,
    pub emit_kernels: bool,
    /// Bytes of memory that a network may take, instead of what the machine has.
    pub memory: Option<u64>,
    /// Threads within one simulation.
    pub threads: Threads,
    /// Passes of a `for … parallel` that run at the same time.
    pub workers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            backend: Backend::Jit,
            precision: None,
            seed: None,
            set: vec![],
            used: Default::default(),
            experiment: None,
            check_gradients: false,
            emit_graph: false,
            emit_kernels: false,
            memory: None,
            threads: Threads::default(),
            workers: 1,
        }
    }
}

impl Settings {
    /// Names given by `--set` that nothing has asked for.
    pub fn unused(&self) -> Vec<String> {
        self.set.iter().map(|(name, _)| name.clone()).filter(|name| !self.used.contains(name)).collect()
    }

    pub fn simulate_precision(&self) -> Precision {
        self.precision.unwrap_or(Precision::F64)
    }

    pub fn train_precision(&self) -> Precision {
        self.precision.unwrap_or(Precision::F32)
    }
}
