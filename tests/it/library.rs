//! The library has no errors, each module checked as if it were a user's file.

use crate::support::{errors, read, root};

#[test]
fn every_module_checks() {
    let mut faults = vec![];
    for (name, text) in nnm_stdlib::modules() {
        let found = errors(&root().join(format!("stdlib/std/{name}.nnm")), text);
        if !found.is_empty() {
            faults.push(format!("std.{name}: {found:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_can_be_used_whole() {
    for (name, _) in nnm_stdlib::modules() {
        let found = errors(&root().join("tests/ui/all.nnm"), &format!("use std.{name}.*\n"));
        assert!(found.is_empty(), "std.{name}: {found:?}");
    }
}

/// The text of one file of the library.
fn part(name: &str) -> String {
    read(&root().join(format!("stdlib/std/{name}.nnm")))
}

/// The code blocks of the doc comments of a module, each with the name of its item.
fn examples(text: &str) -> Vec<(String, Vec<String>)> {
    let mut out: Vec<(String, Vec<String>)> = vec![];
    let (mut open, mut waiting) = (false, vec![]);
    for line in text.lines() {
        match line.strip_prefix("///").map(str::trim) {
            Some(mark) if mark.starts_with("```") => open = !open,
            Some(code) if open => waiting.push(code.to_string()),
            Some(_) => {}
            None if !waiting.is_empty() => {
                let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric()).collect();
                let name = words.iter().position(|w| ["neuron", "synapse", "rule"].contains(w)).map(|k| words[k + 1]);
                out.push((name.unwrap_or("").to_string(), std::mem::take(&mut waiting)));
            }
            None => {}
        }
    }
    out
}

/// A model around an example: what it names and does not declare is there.
fn around(lines: &[String]) -> String {
    let (learned, wired): (Vec<&String>, Vec<&String>) = lines.iter().partition(|l| l.starts_with("learn"));
    let wiring = wired.iter().map(|l| l.as_str()).collect::<Vec<_>>().join("\n  ");
    let mut cells = vec![];
    for (name, kind) in [("E", "ConductanceLIF"), ("I", "ConductanceLIF")] {
        let word = |w: &str| w == name;
        let mentioned = wiring.split(|c: char| !c.is_alphanumeric() && c != '_').any(word);
        if mentioned && !wiring.contains(&format!("population {name}:")) {
            cells.push(format!("population {name}: {kind}[20]"));
        }
    }
    let part = learned.first().and_then(|l| l.split_whitespace().nth(1)).and_then(|p| p.strip_prefix("net."));
    if let Some(part) = part {
        cells.push("population senders: Poisson(rate = 50 Hz)[10]".into());
        cells.push("population vta: Level[1]".into());
        cells.push("population targets: ConductanceLIF[4]".into());
        cells.push(format!("connect senders -> targets as {part}: all() via ExpConductance(w = 0.1 nS)"));
    }
    let learn = learned.first().map_or("", |l| l.as_str());
    format!(
        "use std.neurons.*\nuse std.sources.*\nuse std.synapses.*\nuse std.rules.*\n\n\
         neuron Level {{ output d = 1 }}\n\narchitecture A {{\n  {}\n  {wiring}\n}}\n\n\
         experiment E {{\n  let net = A()\n  simulate net for 20 ms step 0.1 ms {{ {learn} }}\n}}\n",
        cells.join("\n  ")
    )
}

#[test]
fn examples_of_cells_sources_synapses_and_spiking_rules_run() {
    let mut faults = vec![];
    let mut ran = 0;
    for module in ["neurons_spiking", "sources", "synapses", "rules_spiking"] {
        for (name, lines) in examples(&part(module)) {
            // What is presented to an `input` comes with data, in `train`.
            if lines.iter().any(|l| l.starts_with("input")) {
                continue;
            }
            ran += 1;
            let model = around(&lines);
            let path = root().join("tests/stages/inline.nnm");
            let wrong = errors(&path, &model);
            if !wrong.is_empty() {
                faults.push(format!("{module}.{name}: {wrong:?}\n{model}"));
                continue;
            }
            let run = crate::support::run(&path, &model, &nnm_compiler::settings::Settings::default());
            if run.failure.is_some() {
                let said: Vec<String> = run.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect();
                faults.push(format!("{module}.{name}: {:?} {said:?}\n{model}", run.failure));
            }
        }
    }
    assert!(ran > 40, "{ran} examples");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_library_is_as_large_as_it_says() {
    let count = |file: &str, word: &str| {
        let local = format!("local {word}");
        part(file).lines().filter(|l| l.starts_with(word) || l.starts_with(&local)).count()
    };
    assert!(count("neurons_spiking", "neuron ") >= 16);
    assert!(count("sources", "neuron ") >= 8);
    assert!(count("synapses", "synapse ") >= 10);
    assert!(count("rules_spiking", "rule ") + count("rules", "rule ") >= 12);
}
