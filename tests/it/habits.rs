//! What is said to those who write as in another simulator, or forget a line: the way to write it, in their own words.

use std::path::Path;

use nnm_compiler::pipeline::Parsed;
use nnm_compiler::settings::Settings;

use crate::support::Quiet;

const MODEL: &str = "use std.sources.Poisson
use std.synapses.ExpCurrent
neuron Cell {
  input I: nA
  state v: mV = 0 mV
  v' = (I * 1 Mohm - v) / (10 ms)
  spike when v > 5 mV { v = 0 mV; hold v for 2 ms }
}
architecture Net {
  population S: Poisson(rate = 20 Hz)[2]
  population E: Cell[3]
  connect S -> E.I as x: all() via ExpCurrent(w = 0.1 nA)
}
experiment X {
  let net = Net()
  let run = simulate net for 5 ms step 0.1 ms { record net.E.spikes as E }
  report rate = mean_rate(run.E)
}
";

/// All that is said of a model in a folder: messages, labels and help, a line each.
fn said_in(folder: &Path, text: &str) -> String {
    let host = Quiet::beside(&folder.join("model.nnm"));
    let all = match Parsed::new("model.nnm", text, &host).check(text, &host, &Settings::default()) {
        Ok(_) => vec![],
        Err(rejected) => rejected.diagnostics,
    };
    let lines = all.iter().flat_map(|d| {
        let labels = d.labels.iter().map(|l| l.text.clone());
        std::iter::once(format!("{}: {}", d.code, d.message)).chain(labels).chain(d.help.clone()).collect::<Vec<_>>()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What is said where a part of the model is written otherwise.
fn said(right: &str, wrong: &str) -> String {
    assert!(MODEL.contains(right), "{right}");
    said_in(&std::env::temp_dir(), &MODEL.replace(right, wrong))
}

#[test]
fn the_model_itself_is_right() {
    assert_eq!(said("Cell", "Cell"), "");
}

#[test]
fn a_habit_is_answered_by_the_way_to_write_it() {
    let (equation, via) = ("- v) / (10 ms)", "all() via ExpCurrent(w = 0.1 nA)");
    let (report, cells) = ("report rate = mean_rate(run.E)", "Cell[3]");
    let cases = [
        ("hold v for", "hold for", "E0015: `hold` says which state stands still: `hold STATE for 2 ms`"),
        ("hold v for", "refractory", "`hold v for 2 ms` in the block of `spike when c { … }`"),
        (equation, "- v) / (10 ms) : volt", "the state's is declared: `state v: UNIT = …`"),
        (equation, "- v) / (10 ms) : mV", "the state's is declared: `state v: mV = …`"),
        (equation, "- v) / (10 ms) (unless refractory)", "`spike when c { …; hold v for 2 ms }`"),
        (equation, "- v) / (10 ms) + 1 mV * xi / (10 ms)^0.5", "a function gives a number where it is called: `xi()`"),
        (cells, "Cell(v ~ N(-7 mV, 2 mV))[3]", "`N(…)` is `normal(mean, deviation)`"),
        (cells, "Cell(v = 1 mV * rand())[3]", "`rand(…)` is `uniform(0, 1)`"),
        (cells, "Cell(v = 1 mV * randn())[3]", "`randn(…)` is `normal(0, 1)`"),
        (cells, "Cell(v = 1 mV * i)[3]", "the place of a cell in its population is `index`"),
        (via, "all() via ExpCurrent(w = 0.1 nA) delay 1 ms", "arguments of the synapse: `ExpCurrent(…, delay = 1 ms)`"),
        (via, "all() w = 100 pA", "arguments of the synapse: `via SYNAPSE(w = 100 pA)`"),
        (report, "report mean_rate(run.E)", "what is reported has a name: `report NAME = mean_rate(run.E)`"),
        (report, "report run.E", "what is reported has a name: `report NAME = run.E`"),
        (report, "report n = len(run.E)", "`len(…)` is `length(x)`"),
        ("input I: nA", "input I", "`I` is declared without a unit: `input I: UNIT`"),
    ];
    for (right, wrong, wanted) in cases {
        let found = said(right, wrong);
        assert!(found.contains(wanted), "{wrong}:\n{found}");
    }
}

#[test]
fn a_pattern_says_what_may_vary_and_what_it_is_called() {
    let cases = [
        ("random(p = 0.1 * (i + 1))", "a probability of each pair is `probability(…)`"),
        ("poisson(mean = 0.2 * i)", "a probability of each pair is `probability(…)`"),
        ("fan_in(k = 1 + mod(j, 3))", "`fan_in` takes one number for all cells; `j` is another one for each"),
        ("where(i = j)", "E0011: `=` names an argument; to compare write `==`: `where(i == …)`"),
        ("fixed_indegree(k = 3)", "it is `fan_in(k = …)`"),
        ("pairwise_bernoulli(p = 0.1)", "it is `random(p = …)`"),
        ("AllToAllConnector()", "it is `all()`"),
        ("where(pre.angle > 0 deg)", "`population E: LIF[n] at ring()`"),
    ];
    for (pattern, wanted) in cases {
        let found = said("all() via", &format!("{pattern} via"));
        assert!(found.contains(wanted), "{pattern}:\n{found}");
        assert_eq!(found.matches("E0").count(), 1, "{pattern}: one cause, one error:\n{found}");
    }
}

#[test]
fn a_name_that_was_a_functions_is_told_with_the_line_that_took_it() {
    let taken = "report fano = fano(run.E, window = 1 ms)\n  report b = fano(run.E, window = 2 ms)";
    let found = said("report rate = mean_rate(run.E)", taken);
    assert!(found.contains("`fano` is no function here: the `report` of line 17 has taken its name"), "{found}");
    let taken = "let fano = 3\n  report b = fano(run.E, window = 2 ms)";
    let found = said("report rate = mean_rate(run.E)", taken);
    assert!(found.contains("the `let` of line 17 has taken its name"), "{found}");
}

#[test]
fn tables_of_pairs_are_blamed_by_line_and_column() {
    let folder = std::env::temp_dir().join(format!("nnm-habits-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let tables = [
        ("good.csv", "pre,post,weight\n0,1,2\n1,2,3\n"),
        ("half.csv", "pre,post,weight\n0,1,2\n\n1,1.5,3\n"),
        ("far.csv", "pre,post,weight\n0,1,2\n1,3,3\n"),
    ];
    for (name, text) in tables {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    let ends = "report rate = net.x.pre\n  report post = net.x.post\n  report delay = net.x.delay";
    let found = |file: &str, column: &str| {
        let via = format!("from(\"{file}\") via ExpCurrent(w = row.{column} * 1 nA)");
        let text = MODEL.replace("all() via ExpCurrent(w = 0.1 nA)", &via);
        said_in(&folder, &text.replace("report rate = mean_rate(run.E)", ends))
    };
    assert_eq!(found("good.csv", "weight"), "");
    let wght = found("good.csv", "wght");
    assert!(wght.starts_with("E0418: `good.csv` has no column `wght`\nthere are `pre`, `post`, `weight`"), "{wght}");
    assert_eq!(found("half.csv", "weight"), "E0603: the pair 1, 1.5 on line 4 of `half.csv` is not of whole numbers");
    let far = "E0603: the pair 1, 3 on line 3 of `far.csv` is outside of 2 senders and 3 targets, counted from 0";
    assert_eq!(found("far.csv", "weight"), far);
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn columns_of_a_file_side_by_side_are_rows() {
    let folder = std::env::temp_dir().join(format!("nnm-columns-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("t.csv"), "a,b\n1,2\n3,4\n5,6\n").expect("a file");
    let model = |x: &str| format!("experiment X {{\n  data d = csv(\"t.csv\", x = {x})\n  report x = d.x\n}}\n");
    let found = said_in(&folder, &model("[column(\"a\"), column(\"b\")]"));
    assert!(found.starts_with("E0606: `x` has 2 rows, the table of `t.csv` has 3"), "{found}");
    assert!(found.contains("they are `transpose([column(\"a\"), column(\"b\")])`, or `columns(0 .. 2)`"), "{found}");
    assert_eq!(said_in(&folder, &model("transpose([column(\"a\"), column(\"b\")])")), "");
    assert_eq!(said_in(&folder, &model("columns(0 .. 2)")), "");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
