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

/// What an example of a rule, an optimizer or an objective stands in: a training of a network that has what it names.
fn training_around(line: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|w| line.contains(w));
    let spiking = has(&["sum_t", "mean_t"]);
    let world = has(&["discounted", "TdLambda"]);
    let learned = line.strip_prefix("learn net.").and_then(|l| l.split([' ', ',']).next());
    let net = match learned {
        Some("lateral") => {
            "population y: Linear[4]\n  connect x -> y: dense()\n  connect y -> y as lateral: all(autapses = false) via Direct(w = 0.1, delay = 1 step)"
        }
        Some("x_h") => {
            "population h: ReLU[6]\n  population g: ReLU[6]\n  connect x -> h: dense()\n  connect h -> g: dense()"
        }
        Some(_) => "population y: Linear[4]\n  connect x -> y: dense()",
        None if line.starts_with("settle") => {
            "latent a: real[3] = 0\n  weight D: real[8, 3] ~ glorot()\n  output energy = 0.5 * sum((x - D @ a)^2) + 0.1 * sum(abs(a))"
        }
        None if has(&["log_var"]) && !has(&["net.y"]) => {
            "population mu: Linear[8]\n  population log_var: Linear[8]\n  connect x -> mu: dense()\n  connect x -> log_var: dense()"
        }
        None if has(&["log_var"]) => {
            "population mu: Linear[8]\n  population log_var: Linear[8]\n  population y: Linear[8]\n  connect x -> mu: dense()\n  connect x -> log_var: dense()\n  connect mu -> y: dense()"
        }
        None if has(&["net(anchor)"]) => "population h: Tanh[16]\n  connect x -> h: dense()\n  output y = h.y",
        None if has(&["net.x_y"]) => "population y: Linear[8]\n  connect x -> y: dense()",
        None if has(&["net.late"]) => {
            "population h: SurrogateLIF[6]\n  population s: SurrogateLIF[4]\n  population late: Latency[4]\n  connect x -> h: dense() via Direct(w ~ normal(0, 1))\n  connect h -> s: dense() via Direct(w ~ normal(0, 1))\n  connect s -> late: one_to_one()"
        }
        None if spiking => {
            "population h: SurrogateLIF[6]\n  population y: Linear[4]\n  connect x -> h: dense() via Direct(w ~ normal(0, 1))\n  connect h -> y: dense()"
        }
        None if has(&["TdLambda"]) => "population y: Linear[1]\n  connect x -> y: dense()",
        None if has(&["net.v)"]) => {
            "population y: Linear[2]\n  population v: Linear[1]\n  connect x -> y: dense()\n  connect x -> v: dense()"
        }
        None if world => "population y: Linear[2]\n  connect x -> y: dense()",
        None if has(&["BinaryCrossEntropy"]) => "population y: Sigmoid[8]\n  connect x -> y: dense()",
        None if has(&["BinaryHinge"]) => "population y: Linear[1]\n  connect x -> y: dense()",
        None if has(&["label"]) => {
            "population h: ReLU[6]\n  population y: Linear[4]\n  connect x -> h: dense()\n  connect h -> y: dense()"
        }
        None => {
            "population h: ReLU[6]\n  population y: Linear[8]\n  connect x -> h: dense()\n  connect h -> y: dense()"
        }
    };
    let (size, shown) = if world {
        (1, "given x = observation\n    act arm ~ categorical(ones(2) / 2)\n    batch 4 episodes\n    updates 2")
    } else {
        (8, "batch 3\n    epochs 2")
    };
    let given = if spiking || learned == Some("lateral") { "given x = x for 6 steps" } else { "" };
    let more = match line {
        l if l.starts_with("settle") => "minimize net.energy over net.D by Backprop with SGD(rate = 0.1)",
        l if l.contains("net.v)") => {
            "minimize 0.5 * (sum(net.v) - discounted(reward, 0.9))^2 over net.x_v by Backprop with SGD(rate = 0.1)"
        }
        _ => "",
    };
    let line = if line.contains("net.v)") { line.replace(" by ", " over net.x_y by ") } else { line.to_string() };
    let subject = if world { "Arms(max_steps = 3)" } else { "d" };
    let word = if world { "in" } else { "on" };
    format!(
        "use std.neurons.*\nuse std.objectives.*\nuse std.rules.*\nuse std.optimizers.*\nuse std.schedules.*\n\n\
         environment Arms {{\n  param gains = [0.2, 0.8]\n  state pulls: int = 0\n  action arm: class[2]\n  \
         next pulls = pulls + 1\n  observe [1]\n  reward gains[arm]\n  done when pulls >= 2\n}}\n\n\
         architecture Net {{\n  input x: real[{size}]\n  {net}\n}}\n\n\
         architecture Teacher {{\n  input x: real[8]\n  population y: Linear[8]\n  connect x -> y: dense()\n}}\n\n\
         experiment E {{\n  let net = Net()\n  let teacher = Teacher()\n  \
         data d = table(x = sample(uniform(0, 1), [6, 8]), label = [0, 1, 2, 3, 0, 1], \
         target = sample(uniform(0, 1), [6, {targets}]), image = sample(uniform(0, 1), [6, 8]), \
         count = ones(6, 8), sign = [1, -1, 1, -1, 1, -1], genuine = [1, 0, 1, 0, 1, 0], AND = ones(6, 4), \
         anchor = sample(uniform(0, 1), [6, 8]), same = sample(uniform(0, 1), [6, 8]), \
         other = sample(uniform(0, 1), [6, 8]))\n  \
         train net {word} {subject} {{\n    {given}\n    {line}\n    {more}\n    {shown}\n  }}\n}}\n",
        targets = if learned.is_some() { 4 } else { 8 },
    )
}

#[test]
fn examples_of_rules_optimizers_and_objectives_run() {
    let mut faults = vec![];
    let mut ran = 0;
    for module in ["rules", "optimizers", "objectives"] {
        for (name, lines) in examples(&part(module)) {
            for line in lines {
                ran += 1;
                let model = training_around(&line);
                let path = root().join("tests/stages/inline.nnm");
                let wrong = errors(&path, &model);
                let said = match wrong.is_empty() {
                    false => format!("{wrong:?}"),
                    true => {
                        let run = crate::support::run(&path, &model, &nnm_compiler::settings::Settings::default());
                        run.failure.map_or(String::new(), |f| format!("{f:?}"))
                    }
                };
                if !said.is_empty() {
                    faults.push(format!("{module}.{name}: {said}\n{model}"));
                }
            }
        }
    }
    assert!(ran > 50, "{ran} examples");
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
