//! A network that does not fit is refused before its connections are made, with what would take how much.

use super::*;
use crate::failure::Failure;
use crate::session::{Mode, Session};

/// Bytes of one synapse while a network is made and run: its two ends, its weight as stored and as run, and its place
/// in rows.
const WHILE_MADE: f64 = 4.0 + 4.0 + 8.0 + 8.0 + 8.0 + 4.0;
/// Places of synapses are 32 bits.
const MOST: f64 = u32::MAX as f64;

impl Session<'_> {
    /// Refuses a connection that memory cannot hold beside the others of its network.
    pub fn refuse_too_large(&mut self, id: NetId, k: usize, senders: usize, targets: usize) -> Option<()> {
        let net = self.net(id);
        let mut rows: Vec<(String, f64)> = vec![];
        for (number, p) in net.projections.iter().enumerate() {
            let pair = match (number == k, p.source) {
                (true, _) => [senders, targets],
                (_, Some((source, cells))) => {
                    let all = net.populations[source].size();
                    let cells = cells.map_or(all, |(a, b)| b - a);
                    [cells, p.target_cells.map_or(net.populations[p.target].size(), |(a, b)| b - a)]
                }
                (_, None) => continue,
            };
            rows.push((p.name.clone(), expected(&p.pattern, pair)));
        }
        let here = rows.iter().find(|(n, _)| *n == net.projections[k].name).map_or(0.0, |r| r.1);
        let total: f64 = rows.iter().map(|r| r.1).sum();
        let memory = self.host.memory().map_or(f64::INFINITY, |m| m as f64);
        if here <= MOST && total * WHILE_MADE <= memory {
            return Some(());
        }
        if self.mode == Mode::Check {
            // Nothing is wrong with the model; the run says so.
            return None;
        }
        rows.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut message = format!("`{}` does not fit into memory", net.path);
        message.push_str("\n  connection            synapses        memory");
        for (name, count) in rows.iter().take(12) {
            message.push_str(&format!("\n  {name:<18} {count:>12.3e} {:>13}", size(count * WHILE_MADE)));
        }
        message.push_str(&format!("\n  {:<18} {total:>12.3e} {:>13}", "all", size(total * WHILE_MADE)));
        match memory.is_finite() {
            true => message
                .push_str(&format!("\n  there is {}; a connection has at most {MOST:.3e} synapses", size(memory))),
            false => message.push_str(&format!("\n  a connection has at most {MOST:.3e} synapses")),
        }
        self.failure = Some(Failure::Limit(message));
        None
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
        // Every pair is looked at, whether or not it becomes a synapse.
        Pattern::Where(_) | Pattern::Probability(..) | Pattern::Dense { .. } | Pattern::All { .. } => m * n,
    }
}

fn size(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let power = ((bytes.max(1.0)).log10() / 3.0).floor().clamp(0.0, 5.0);
    format!("{:.1} {}", bytes / 1000f64.powf(power), units[power as usize])
}
