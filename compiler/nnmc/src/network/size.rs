//! What a network takes of the memory; one that does not fit is refused before its connections are made.

use nnm_graph::ir::{Program, Var, VarElem, VarId};
use nnm_kir::ir::Precision;
use nnm_syntax::ast::Init;
use nnm_syntax::diag::Diagnostic;

use super::*;
use crate::hir::ItemKind;
use crate::session::{Mode, Session};

/// Bytes of a synapse: its target as the network keeps it and as the program reads it.
const ENDS: f64 = 4.0 + 4.0;
/// Bytes of a weight of its own: as stored, as a table on its way to the program, and there.
const WEIGHT: f64 = 8.0 + 8.0 + 8.0;
/// Bytes of a delay of its own: as drawn and in steps, and the synapse's place among those of its delay.
const DELAY: f64 = 8.0 + 8.0 + 4.0 + 4.0;
/// Bytes of a cell: lists of its spikes and flags; and of each of its states, as stored and as run.
const CELL: f64 = 48.0;
const STATE: f64 = 16.0;
/// Places of synapses are 32 bits.
const MOST: f64 = u32::MAX as f64;
/// Lines of a table.
const LINES: usize = 12;

/// What one part of a network takes.
#[derive(Clone, Debug)]
struct Share {
    name: String,
    /// `cells`, `synapses` or `numbers`
    what: &'static str,
    count: f64,
    bytes: f64,
}

impl Session<'_> {
    /// Refuses a connection that memory cannot hold beside the others of its network.
    pub fn refuse_too_large(&mut self, id: NetId, k: usize, senders: usize, targets: usize) -> Option<()> {
        let (name, span) = (self.net(id).projections[k].name.clone(), self.net(id).projections[k].span);
        let memory = self.memory();
        let known = Some((k, [senders, targets]));
        let sums = |shares: &[Share]| {
            let here = shares.iter().find(|s| s.name == name && s.what == "synapses").map_or(0.0, |s| s.count);
            (here, shares.iter().map(|s| s.bytes).sum::<f64>())
        };
        let fits = |(here, total): (f64, f64)| here <= MOST && total <= memory;
        // Where all pairs fit, nobody has to look how many there are.
        if fits(sums(&self.shares(id, known, |_, _, _| None))) {
            return Some(());
        }
        let shares = self.shares(id, known, Self::density);
        let (here, total) = sums(&shares);
        if fits((here, total)) {
            return Some(());
        }
        if self.mode == Mode::Check {
            // Nothing is wrong with the model; the run says so.
            return None;
        }
        if self.diagnostics.iter().any(|d| d.code == "E0620") {
            return None;
        }
        let message = match here <= MOST {
            true => self.too_much(id, total),
            false => format!("`{name}` has about {here:.3e} synapses, and a connection has at most {MOST:.3e}"),
        };
        self.report(Diagnostic::error("E0620", span, message).help(table(shares)));
        None
    }

    /// Refuses a simulation whose program, with all that it records, does not fit.
    pub fn refuse_too_large_run(&mut self, id: NetId, program: &Program, span: Span) -> Option<()> {
        let share = |var: &Var| {
            let count = numbers(var);
            Share { name: var.name.clone(), what: "numbers", count, bytes: count * width(program, var) }
        };
        let shares: Vec<Share> = program.graph.vars.iter().map(share).collect();
        let total: f64 = shares.iter().map(|s| s.bytes).sum();
        if total <= self.memory() {
            return Some(());
        }
        let d = Diagnostic::error("E0620", span, self.too_much(id, total)).help(table(shares));
        self.report(d.help("fewer recordings, `every` with a longer period, or `mean(…)` of them"));
        None
    }

    /// The table of what a network takes in a simulation, for `explain --memory`.
    pub fn memory_table(&mut self, id: NetId) -> String {
        let shares = self.shares(id, None, Self::density);
        format!("{}\n{}", self.net(id).path, table(shares))
    }

    /// The table of what a training takes beside its data, for `explain --memory`: what is kept of each step of a
    /// presentation for the way back grows with their number.
    pub fn training_table(&self, id: NetId, program: &Program, batch: usize, data: &[VarId]) -> String {
        let mut shares = ["kept of all steps", "of one step", "weights, their changes and moments"].map(|name| Share {
            name: name.into(),
            what: "numbers",
            count: 0.0,
            bytes: 0.0,
        });
        for (k, var) in program.graph.vars.iter().enumerate() {
            if data.contains(&VarId(k as u32)) {
                continue;
            }
            let kind = if var.times.is_some() { 0 } else { usize::from(!var.batched) + 1 };
            let count = numbers(var) * if var.batched { batch as f64 } else { 1.0 };
            shares[kind].count += count;
            shares[kind].bytes += count * width(program, var);
        }
        format!("training of {}, {batch} samples at once\n{}", self.net(id).path, table(shares.into()))
    }

    /// Bytes that there are.
    fn memory(&self) -> f64 {
        self.settings.memory.or_else(|| self.host.memory()).map_or(f64::INFINITY, |m| m as f64)
    }

    fn too_much(&self, id: NetId, total: f64) -> String {
        format!(
            "`{}` takes about {} of memory, and there are {}",
            self.net(id).path,
            bytes_text(total),
            bytes_text(self.memory())
        )
    }

    /// What populations and connections take; the ends of one connection are known better than its sizes say.
    fn shares(
        &mut self,
        id: NetId,
        known: Option<(usize, [usize; 2])>,
        density: fn(&mut Self, NetId, usize) -> Option<f64>,
    ) -> Vec<Share> {
        let connections = self.net(id).projections.len();
        let densities: Vec<f64> = (0..connections).map(|k| density(self, id, k).unwrap_or(1.0)).collect();
        let net = self.net(id);
        let cells = |p: &Population| {
            let count = p.size() as f64;
            let bytes = count * (CELL + STATE * p.states.len() as f64);
            Share { name: p.name.clone(), what: "cells", count, bytes }
        };
        let mut out: Vec<Share> = net.populations.iter().map(cells).collect();
        for (k, p) in net.projections.iter().enumerate() {
            let pair = match (known, p.source) {
                (Some((at, pair)), _) if at == k => pair,
                (_, Some((source, cells))) => {
                    let all = net.populations[source].size();
                    let cells = cells.map_or(all, |(a, b)| b - a);
                    [cells, p.target_cells.map_or(net.populations[p.target].size(), |(a, b)| b - a)]
                }
                (_, None) => continue,
            };
            let count = expected(&p.pattern, pair) * densities[k];
            out.push(Share { name: p.name.clone(), what: "synapses", count, bytes: count * self.each(p) });
        }
        out
    }

    /// The share of all pairs that a condition or a probability joins, from some of the senders.
    fn density(&mut self, id: NetId, k: usize) -> Option<f64> {
        const ROWS: usize = 16;
        let p = self.net(id).projections[k].clone();
        let (Pattern::Where(closure) | Pattern::Probability(closure, _)) = p.pattern else { return None };
        let (source, cells) = p.source.filter(|_| self.lengths.is_empty())?;
        let senders = cells.map_or(self.net(id).populations[source].size(), |(a, b)| b - a);
        let rows = senders.min(ROWS);
        let (mut sum, mut count) = (0.0, 0);
        for row in 0..rows {
            let sender = row * senders / rows;
            let values = self.pair_table(id, &p, closure, [sender, sender + 1])?;
            count += values.len();
            sum += values.into_iter().map(|p| p.clamp(0.0, 1.0)).sum::<f64>();
        }
        (count > 0).then(|| sum / count as f64)
    }

    /// Whether an argument of a synapse is one for each pair, as it is written.
    pub fn varies_by_pair(&self, argument: &Argument) -> bool {
        match argument {
            Argument::Draw(_) => true,
            Argument::Value(_) => false,
            Argument::Expr(c) => {
                let names = crate::eval::names_in(&self.modules.get(c.expr.module).file, c.expr.id);
                names.iter().any(|n| matches!(n.as_str(), "pre" | "post" | "i" | "j" | "row"))
            }
        }
    }

    /// Bytes of each synapse of a connection.
    fn each(&self, p: &Projection) -> f64 {
        let argument = |name: &str| p.args.iter().find(|(n, _)| n == name).map(|(_, a)| a);
        let own = |argument: &Argument| self.varies_by_pair(argument);
        let declared = p.synapse.is_some_and(|item| match &self.modules.item(item).kind {
            ItemKind::Synapse(s) => s.dynamics.weights.iter().any(|w| matches!(w.init, Some(Init::Draw(_)))),
            _ => false,
        });
        let trained = p.trained || p.plastic || p.pattern.is_full();
        let weight = trained || argument("w").map_or(declared, own);
        let delay = argument("delay").is_some_and(own);
        ENDS + if weight { WEIGHT } else { 0.0 } + if delay { DELAY } else { 0.0 }
    }
}

/// How many synapses a pattern makes, in the mean.
fn expected(pattern: &Pattern, [senders, targets]: [usize; 2]) -> f64 {
    let (m, n) = (senders as f64, targets as f64);
    match pattern {
        Pattern::OneToOne => m.min(n),
        Pattern::Random { p, .. } | Pattern::Symmetric { p, .. } => m * n * p,
        Pattern::Poisson { mean, .. } => m * n * mean,
        Pattern::FanIn { k, .. } => n * *k as f64,
        Pattern::FanOut { k, .. } => m * *k as f64,
        Pattern::Total { n, .. } => *n as f64,
        Pattern::Tree(_) => 2.0 * n,
        Pattern::From(..) | Pattern::Upsample(_) | Pattern::MaxPool(_) | Pattern::AvgPool(_) | Pattern::Conv { .. } => {
            0.0
        }
        // Of these the share that is joined is looked at.
        Pattern::Where(_) | Pattern::Probability(..) | Pattern::Dense { .. } | Pattern::All { .. } => m * n,
    }
}

/// The parts by what they take, the largest first.
fn table(mut shares: Vec<Share>) -> String {
    shares.sort_by(|a, b| b.bytes.total_cmp(&a.bytes));
    let total: f64 = shares.iter().map(|s| s.bytes).sum();
    let wide = shares.iter().take(LINES).map(|s| s.name.chars().count()).max().unwrap_or(0).max(8);
    let line = |name: &str, count: &str, bytes: f64| format!("  {name:<wide$}  {count:>20}  {:>9}", bytes_text(bytes));
    let mut lines = vec!["what takes how much:".to_string()];
    for s in shares.iter().take(LINES) {
        lines.push(line(&s.name, &format!("{} {}", s.count.round(), s.what), s.bytes));
    }
    if shares.len() > LINES {
        let rest = shares[LINES..].iter().map(|s| s.bytes).sum();
        lines.push(line("the rest", "", rest));
    }
    lines.push(line("all", "", total));
    lines.join("\n")
}

/// A number of bytes, to be read.
pub fn bytes_text(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let power = ((bytes.max(1.0)).log10() / 3.0).floor().clamp(0.0, 5.0);
    format!("{:.1} {}", bytes / 1000f64.powf(power), units[power as usize])
}

/// How many numbers a variable holds, of one sample.
fn numbers(var: &Var) -> f64 {
    var.shape.iter().map(|n| *n as f64).product::<f64>() * var.times.unwrap_or(1) as f64
}

/// Bytes of one of its numbers.
fn width(program: &Program, var: &Var) -> f64 {
    match (var.elem, program.precision) {
        (VarElem::Index, _) | (VarElem::Real, Precision::F32) => 4.0,
        (VarElem::Count, _) | (VarElem::Real, Precision::F64) => 8.0,
    }
}
