//! The result of a simulation depends neither on how it is cut into pieces, nor on what is recorded of it.

use std::path::Path;

use nnm_compiler::settings::Settings;

use crate::support::{outcomes, read, root};

/// The weights and reports at the end, by name without the experiment's.
fn end_of(path: &Path, text: &str) -> Vec<(String, Vec<u64>)> {
    let all = outcomes(path, text, &Settings::default());
    let mut out = vec![];
    for outcome in &all {
        out.extend(outcome.weights.iter().map(|(n, a)| (n.clone(), a.iter().map(|x| x.to_bits()).collect())));
        for (name, value) in outcome.reports.iter().filter(|(n, _)| n.starts_with("end")) {
            let mut bits = vec![];
            crate::support::bits(value, &mut bits);
            out.push((name.clone(), bits));
        }
    }
    out
}

/// A model of `run/` whose simulation is replaced by these statements.
fn with_runs(file: &str, network: &str, runs: &str) -> (std::path::PathBuf, String) {
    let path = root().join("tests/run").join(file);
    let text = read(&path);
    let experiment = text.find("experiment ").unwrap_or(text.len());
    let text =
        format!("{}experiment Cut {{\n  seed 9\n  let net = Net()\n{runs}\n  {network}\n}}\n", &text[..experiment]);
    (path, text)
}

fn same(file: &str, network: &str, one: &str, other: &str) {
    let (path, text) = with_runs(file, network, one);
    let left = end_of(&path, &text);
    let (path, text) = with_runs(file, network, other);
    let right = end_of(&path, &text);
    assert!(!left.is_empty());
    for ((name, a), (_, b)) in left.iter().zip(&right) {
        assert!(a == b, "{file}: `{name}` differs between\n{one}\nand\n{other}");
    }
}

#[test]
fn a_simulation_in_two_pieces_is_the_simulation_in_one() {
    let whole = "  simulate net for 100 ms step 0.1 ms { }";
    let cut = "  simulate net for 33 ms step 0.1 ms { }\n  simulate net for 67 ms step 0.1 ms { }";
    same("spikes.nnm", "report end_v = net.E.v", whole, cut);
}

#[test]
fn learning_in_two_pieces_is_learning_in_one() {
    let learn = "{ learn net.syn by Pairs(w_max = 2 nS) }";
    let whole = format!("  simulate net for 300 ms step 0.5 ms {learn}");
    let cut = format!("  simulate net for 140 ms step 0.5 ms {learn}\n  simulate net for 160 ms step 0.5 ms {learn}");
    same("stdp.nnm", "report end_v = net.cell.v", &whole, &cut);
}

#[test]
fn recording_changes_nothing() {
    let silent = "  simulate net for 300 ms step 0.5 ms { learn net.syn by Pairs(w_max = 2 nS) }";
    let seen = "  simulate net for 300 ms step 0.5 ms {\n    learn net.syn by Pairs(w_max = 2 nS)\n    \
                record net.cell.spikes, net.source.spikes\n    record net.cell.v\n    \
                record mean(net.syn.w) as m every 5 ms\n  }";
    same("stdp.nnm", "report end_v = net.cell.v", silent, seen);
}

#[test]
fn recording_changes_no_noise() {
    let silent = "  simulate net for 100 ms step 0.1 ms { }";
    let seen = "  simulate net for 100 ms step 0.1 ms { record net.E.spikes, net.I.spikes\n record net.E[0 .. 3].v every 1 ms }";
    same("spikes.nnm", "report end_v = net.E.v", silent, seen);
}
