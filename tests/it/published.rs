//! Published figures over five seeds: the long forms of the models, where `NNM_LONG` is set.
//!
//! A model that says `let seeds = 1` repeats itself for as many seeds; its expectations hold for each of them. A list of
//! settings makes a model as large or as long as its source has it.

use nnm_compiler::settings::Settings;

use crate::support::{outcomes, read, root};

fn hold(model: &str, settings: &[(&str, &str)]) {
    hold_with(model, settings, None);
}

fn hold_with(model: &str, settings: &[(&str, &str)], seed: Option<u64>) {
    if std::env::var_os("NNM_LONG").is_none() {
        println!("skipped {model}: set NNM_LONG=1 for published sizes over five seeds");
        return;
    }
    let path = root().join("models").join(model);
    let set = settings.iter().map(|(n, v)| ((*n).to_string(), (*v).to_string())).collect();
    let mut failed = vec![];
    for outcome in outcomes(&path, &read(&path), &Settings { set, seed, ..Settings::default() }) {
        failed.extend(outcome.expectations.iter().filter(|e| !e.held).map(|e| format!("{} ({})", e.text, e.found)));
    }
    assert!(failed.is_empty(), "{model}: {}", failed.join("\n"));
}

#[test]
fn cuba() {
    hold("networks/cuba.nnm", &[("seeds", "5")]);
}

#[test]
fn coba() {
    hold("networks/coba.nnm", &[("seeds", "5")]);
}

#[test]
fn cobahh() {
    hold("networks/cobahh.nnm", &[("seeds", "5"), ("length", "1 s")]);
}

#[test]
fn izhikevich() {
    hold("networks/izhikevich_2003.nnm", &[("seeds", "5")]);
}

#[test]
fn brunel() {
    hold("networks/brunel_2000.nnm", &[("seeds", "5"), ("n_e", "10000")]);
}

#[test]
fn song_abbott() {
    hold("plasticity/song_abbott.nnm", &[("seeds", "5"), ("length", "100 s")]);
}

#[test]
fn microcircuit() {
    hold("networks/microcircuit.nnm", &[("seeds", "5")]);
}

#[test]
fn vogels() {
    hold("plasticity/vogels_2011.nnm", &[("seeds", "5")]);
}

#[test]
fn wang() {
    hold("networks/wang_2002.nnm", &[("seeds", "5"), ("coherences", "[0.032, 0.512]")]);
}

#[test]
fn surrogates() {
    hold("learning/surrogates.nnm", &[("seeds", "3")]);
}

#[test]
fn optimizers() {
    hold("learning/optimizers.nnm", &[("seeds", "3")]);
}

#[test]
fn rows_over_time() {
    hold("memory/rows_over_time.nnm", &[("seeds", "3")]);
}

#[test]
fn cartpole() {
    hold("reinforcement/cartpole.nnm", &[("seeds", "3")]);
}

#[test]
fn grid_cells() {
    hold("navigation/grid_cells.nnm", &[("seeds", "8")]);
}

#[test]
fn cuba_stdp() {
    hold("networks/cuba_stdp.nnm", &[("seeds", "5")]);
}

#[test]
fn clopath_competition() {
    hold("plasticity/clopath_competition.nnm", &[("seeds", "5")]);
}

#[test]
fn barrel_cortex() {
    hold("networks/barrel_cortex.nnm", &[("seeds", "5")]);
}

#[test]
fn population_bursts() {
    hold("networks/population_bursts.nnm", &[("seeds", "5"), ("length", "10 s")]);
}

#[test]
fn rate_homeostasis() {
    hold("plasticity/rate_homeostasis.nnm", &[("seeds", "5")]);
}

#[test]
fn jansen_rit() {
    hold("rates/jansen_rit.nnm", &[("seeds", "5")]);
}

#[test]
fn wang_buzsaki() {
    hold("networks/wang_buzsaki.nnm", &[("seeds", "5")]);
}

#[test]
fn diehl_cook() {
    hold("plasticity/diehl_cook.nnm", &[("seeds", "5")]);
}

#[test]
fn spiking_classifier() {
    (1..=12).for_each(|seed| hold_with("learning/spiking_classifier.nnm", &[], Some(seed)));
}
