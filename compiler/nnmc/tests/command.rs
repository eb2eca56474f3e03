//! The command as a program: exit codes, what goes to which stream, and the pages of errors that only a command can show.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const GOOD: &str = "experiment E {\n  report a = 1 + 2\n  expect a in 2 .. 4\n}\n";

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("nnm-command-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.0).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("NNM_DATA");
        command
    }

    fn nnmc(&self, args: &[&str]) -> Output {
        let done = self.command(env!("CARGO_BIN_EXE_nnmc")).args(args).stdin(Stdio::null()).output();
        done.unwrap_or_else(|e| panic!("nnmc {args:?}: {e}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn exit_codes_tell_how_it_ended() {
    let f = Folder::new("codes");
    f.write("good.nnm", GOOD);
    f.write("wrong.nnm", "experiment E {\n  let a = 1 mV + 1 nA\n}\n");
    f.write("failed.nnm", "experiment E {\n  report a = 1\n  expect a > 2\n}\n");
    f.write("no_data.nnm", "experiment E {\n  data d = csv(\"none.csv\", x = column(\"x\"))\n}\n");
    let unstable = "neuron N {\n  state v: real = 1\n  v' = v^2 / 1 ms\n  output v\n}\n\
                    architecture A { population a: N[1] }\n\
                    experiment E {\n  let net = A()\n  simulate net for 100 ms step 0.1 ms\n}\n";
    f.write("unstable.nnm", unstable);
    let cases: [(&[&str], i32); 9] = [
        (&["run", "good.nnm"], 0),
        (&["check", "good.nnm"], 0),
        (&["check", "wrong.nnm"], 1),
        (&["run", "wrong.nnm"], 1),
        (&["chekc", "good.nnm"], 2),
        (&["run", "failed.nnm"], 3),
        (&["run", "unstable.nnm"], 3),
        (&["run", "no_data.nnm"], 4),
        (&["test", "failed.nnm"], 6),
    ];
    for (args, wanted) in cases {
        let done = f.nnmc(args);
        assert_eq!(code(&done), wanted, "{args:?}: {}", err(&done));
    }
}

#[test]
fn what_was_asked_for_goes_to_standard_output_and_all_else_beside_it() {
    let f = Folder::new("streams");
    f.write("good.nnm", GOOD);
    f.write("wrong.nnm", "experiment E {\n  let a = 1 mV + 1 nA\n}\n");
    let done = f.nnmc(&["check", "wrong.nnm"]);
    assert_eq!(out(&done), "");
    assert!(err(&done).contains("error[E0302]"), "{}", err(&done));
    let done = f.nnmc(&["run", "good.nnm"]);
    assert!(out(&done).contains('3'), "{}", out(&done));
    let done = f.nnmc(&["explain", "e0302"]);
    assert!(out(&done).starts_with("# E0302"), "{}", out(&done));
}

#[test]
fn messages_as_json_are_one_object_a_line() {
    let f = Folder::new("json");
    f.write("wrong.nnm", "experiment E {\n  let a = 1 mV + 1 nA\n  let b = c\n}\n");
    let done = f.nnmc(&["check", "wrong.nnm", "--message-format", "json"]);
    let lines: Vec<serde_json::Value> =
        out(&done).lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect();
    let of_type = |t: &str| lines.iter().filter(|l| l["type"] == t).count();
    assert_eq!((of_type("diagnostic"), of_type("check")), (2, 1), "{lines:?}");
    assert_eq!(lines[0]["code"], "E0302");
    assert_eq!(lines[0]["place"]["line"], 2);
    assert_eq!(code(&done), 1);
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let f = Folder::new("colour");
    f.write("wrong.nnm", "experiment E {\n  let a = b\n}\n");
    let plain = |o: &Output| !err(o).contains('\u{1b}');
    assert!(plain(&f.nnmc(&["check", "wrong.nnm"])));
    assert!(!plain(&f.nnmc(&["check", "wrong.nnm", "--color", "always"])));
    assert!(plain(&f.nnmc(&["check", "wrong.nnm", "--color", "never"])));
    let forced = |name: &str| {
        let done = f.command(env!("CARGO_BIN_EXE_nnmc")).args(["check", "wrong.nnm"]).env(name, "1").output();
        done.unwrap_or_else(|e| panic!("{e}"))
    };
    assert!(!plain(&forced("CLICOLOR_FORCE")));
    assert!(plain(&forced("NO_COLOR")));
}

#[test]
fn fmt_writes_checks_and_reads_from_standard_input() {
    let f = Folder::new("fmt");
    let loose = "fn f( x )=x+1 // one more\n";
    f.write("loose.nnm", loose);
    f.write("wrong.nnm", "fn f(x) = x +\n");
    assert_eq!(code(&f.nnmc(&["fmt", "--check", "loose.nnm"])), 1);
    assert_eq!(f.read("loose.nnm"), loose);
    assert_eq!(code(&f.nnmc(&["fmt", "loose.nnm"])), 0);
    let laid_out = f.read("loose.nnm");
    assert!(laid_out.contains("fn f(x) = x + 1") && laid_out.contains("// one more"), "{laid_out}");
    assert_eq!(code(&f.nnmc(&["fmt", "--check", "loose.nnm"])), 0);
    assert_eq!(code(&f.nnmc(&["fmt", "wrong.nnm"])), 1);
    assert_eq!(f.read("wrong.nnm"), "fn f(x) = x +\n", "a file with errors is left as it is");
    let mut child = f
        .command(env!("CARGO_BIN_EXE_nnmc"))
        .args(["fmt", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{e}"));
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(loose.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    }
    let done = child.wait_with_output().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(out(&done), laid_out);
}

/// Bytes that are no text, and files cut short, are refused with exit code 1 and a message.
#[test]
fn a_sweep_is_one_table_of_all_combinations() {
    let f = Folder::new("sweep");
    let model = "experiment E {\n  let k = 1\n  let gain = 1 mV\n  data d = gaussian(x = covariance(spectrum = [1, 1]), samples = 4)\n  report y = k * gain\n  \
                 report z = mean(d.x)\n  expect y < 5 mV\n}\n";
    f.write("m.nnm", model);
    let args = [
        "sweep",
        "m.nnm",
        "--over",
        "k=1..3",
        "--over",
        "gain=1 mV, 2 mV",
        "--seeds",
        "4,5",
        "--jobs",
        "2",
        "--out",
        "s",
    ];
    let done = f.nnmc(&args);
    assert_eq!(code(&done), 3, "one combination is 6 mV: {}", err(&done));
    let rows: Vec<String> = f.read("s/sweep.csv").lines().map(String::from).collect();
    assert_eq!(rows.len(), 13);
    assert_eq!(rows[0], "k,gain_mV,seed,y_mV,z,held");
    assert!(rows[1].starts_with("1,1,4,1,") && rows[1].ends_with(",1/1"), "{}", rows[1]);
    assert!(rows[12].starts_with("3,2,5,6,") && rows[12].ends_with(",0/1"), "{}", rows[12]);
    let draws = |row: &String| row.split(',').nth(4).map(String::from);
    assert_ne!(draws(&rows[1]), draws(&rows[2]), "another seed, other numbers");
    assert_eq!(draws(&rows[1]), draws(&rows[3]), "the same seed, the same numbers");
    let means: Vec<String> = f.read("s/means.csv").lines().map(String::from).collect();
    assert_eq!(means.len(), 7);
    assert_eq!(means[0], "k,gain_mV,seeds,y_mean_mV,y_std_mV,z_mean,z_std");
    let cells: Vec<f64> = means[1].split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
    assert_eq!(cells[..5], [1.0, 1.0, 2.0, 1.0, 0.0], "each cell is a number");
    assert!(cells[5..].iter().all(|x| x.is_finite()), "{}", means[1]);
    assert!(
        f.read("s/figures/y.svg").contains("<svg")
            && f.read("s/passes/0001-k_1-gain_1_mV-seed_4/results.json").contains("\"y\"")
    );
    let unknown = f.nnmc(&["sweep", "m.nnm", "--over", "none=1,2"]);
    assert!(code(&unknown) == 2 && err(&unknown).contains("`none`"), "{}", err(&unknown));
    assert_eq!(code(&f.nnmc(&["sweep", "m.nnm"])), 2, "a sweep over nothing");
    assert_eq!(code(&f.nnmc(&["sweep", "m.nnm", "--over", "k=1,,2"])), 2);
}

#[cfg(unix)]
#[test]
fn a_request_to_terminate_keeps_what_was_reached() {
    let f = Folder::new("terminate");
    let model = "neuron N {\n  state v: real = 1\n  v' = -v / 1 ms\n  output v\n}\narchitecture A { population a: N[1] }\n\
                 experiment E {\n  let net = A()\n  report early = 1\n  simulate net for 100000 s step 0.1 ms\n}\n";
    f.write("m.nnm", model);
    let mut child = f
        .command(env!("CARGO_BIN_EXE_nnmc"))
        .args(["run", "m.nnm", "--out", "r"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{e}"));
    while !f.0.join("r/manifest.json").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(asked.is_ok_and(|status| status.success()));
    let status = child.wait().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(status.code(), Some(143));
    assert!(f.read("r/results.json").contains("early"));
}

#[test]
fn files_that_are_no_models_are_refused() {
    let f = Folder::new("noise");
    let bytes: Vec<u8> = (0..4000u32).map(|k| (k.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(f.0.join("noise.nnm"), bytes).unwrap_or_else(|e| panic!("{e}"));
    f.write("cut.nnm", "neuron N {\n  state v: mV = 0 mV\n  v' = (");
    f.write("deep.nnm", &format!("fn f(x) = {}x{}\n", "(".repeat(100_000), ")".repeat(100_000)));
    f.write("long.nnm", &format!("fn f(x) = x{}\n", " + x".repeat(200_000)));
    for (name, wanted) in [("noise.nnm", 1), ("cut.nnm", 1), ("deep.nnm", 1), ("long.nnm", 0)] {
        let done = f.nnmc(&["check", name]);
        assert_eq!(code(&done), wanted, "{name}: {}", err(&done));
        assert_eq!(err(&done).contains("error:") || err(&done).contains("error["), wanted == 1, "{name}");
    }
}

/// The commands of `docs/errors` under a heading, by code.
fn shown(heading: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found = vec![];
    for path in entries.flatten().map(|e| e.path()) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let Some(section) = text.split(&format!("## {heading}\n")).nth(1) else { continue };
        let section = section.split("\n## ").next().unwrap_or("");
        if let Some(commands) = section.split("```sh\n").nth(1).and_then(|s| s.split("```").next()) {
            let code = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            found.push((code, commands.to_string()));
        }
    }
    found
}

fn shell(folder: &Folder, commands: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_nnmc")).parent().map(Path::to_path_buf).unwrap_or_default();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let done = folder.command("sh").args(["-c", commands]).env("PATH", path).output();
    done.unwrap_or_else(|e| panic!("{commands}: {e}"))
}

#[test]
fn commands_on_pages_of_errors_show_what_they_say() {
    let f = Folder::new("pages");
    let wrong = shown("Wrong");
    assert!(wrong.len() >= 3, "{wrong:?}");
    for (code, commands) in wrong {
        let done = shell(&f, &commands);
        assert!(err(&done).contains(&format!("error[{code}]")), "{code}: {}", err(&done));
    }
    for (page, commands) in shown("Right") {
        let done = shell(&f, &commands);
        assert_eq!(code(&done), 0, "{page}: {}", err(&done));
    }
}

/// A network is held against the memory that it may take before anything large is made.
/// What is kept for the way back grows with the number of steps; nothing else does.
#[test]
fn the_memory_of_a_training_is_told_apart() {
    let f = Folder::new("training-memory");
    let kept = |steps: usize| {
        let model = format!(
            "use std.neurons.{{Elman, Linear}}\nuse std.objectives.SquaredError\nuse std.rules.Backprop\n\
             use std.optimizers.SGD\narchitecture Net {{\n  input x: real[2]\n  population h: Elman[8]\n  \
             population y: Linear[1]\n  connect x -> h: dense()\n  connect h -> y: dense()\n}}\n\
             experiment E {{\n  data d = table(x = ones(6, 2), z = ones(6, 1))\n  let net = Net()\n  \
             train net on d {{\n    given x = x for {steps} steps\n    \
             minimize SquaredError(last(net.y), z) by Backprop with SGD(rate = 0.1)\n    batch 3\n  }}\n}}\n"
        );
        f.write("m.nnm", &model);
        let told = f.nnmc(&["explain", "m.nnm", "--memory"]);
        let numbers = |name: &str| {
            let text = out(&told);
            let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default().to_string();
            let count = line.split_whitespace().rev().nth(3).and_then(|word| word.parse::<usize>().ok());
            count.unwrap_or_else(|| panic!("{name}: {text}{}", err(&told)))
        };
        (numbers("kept of all steps"), numbers("weights"))
    };
    let (few, many) = (kept(10), kept(20));
    assert!(many.0 > few.0 + few.0 / 2 && many.1 == few.1, "{few:?} and {many:?}");
}

#[test]
fn a_network_too_large_for_memory_is_refused_with_a_table() {
    let f = Folder::new("memory");
    let model = "neuron Cell { state v: mV = 0 mV; v' = -v / 20 ms; spike when v > 20 mV { v = 10 mV } }\n\
                 synapse Jump { weight w: mV; on pre { post.v += w } }\n\
                 architecture Net(n: int = 20000) {\n  population E: Cell[n]\n  \
                 connect E -> E as loop: fan_in(k = 500) via Jump(w = 0.1 mV)\n}\n\
                 experiment E {\n  let net = Net()\n  \
                 let run = simulate net for 10 ms step 0.1 ms { record net.E.v }\n  report v = mean(net.E.v)\n}\n";
    f.write("net.nnm", model);
    let done = f.nnmc(&["run", "net.nnm", "--memory", "64M", "--out", "r"]);
    assert_eq!(code(&done), 5, "{}", err(&done));
    for part in ["E0620", "`net` takes about 81.3 MB", "64.0 MB", "loop", "10000000 synapses", "20000 cells"] {
        assert!(err(&done).contains(part), "{part}: {}", err(&done));
    }
    assert!(!err(&done).contains("E0509"), "{}", err(&done));
    // The wiring fits, and a recording of all cells in all steps does not fit beside it.
    let longer = model.replace("for 10 ms", "for 10 s");
    f.write("long.nnm", &longer);
    let done = f.nnmc(&["run", "long.nnm", "--memory", "1G", "--out", "r"]);
    assert_eq!(code(&done), 5, "{}", err(&done));
    assert!(err(&done).contains("E0620") && err(&done).contains("fewer recordings"), "{}", err(&done));
    let done = f.nnmc(&["explain", "net.nnm", "--memory"]);
    assert!(out(&done).contains("10000000 synapses") && out(&done).contains("80.0 MB"), "{}", out(&done));
    let done = f.nnmc(&["run", "net.nnm", "--memory", "1G", "--out", "r"]);
    assert_eq!(code(&done), 0, "{}", err(&done));
    let done = f.nnmc(&["run", "net.nnm", "--memory", "much"]);
    assert_eq!(code(&done), 2, "{}", err(&done));
}

/// What is written does not depend on the number of threads.
#[test]
fn threads_change_nothing_in_the_run_folder() {
    let f = Folder::new("threads");
    let model = "neuron Cell { state v: mV = 0 mV; v' = -v / 20 ms; spike when v > 20 mV { v = 10 mV } }\n\
                 neuron Drive { spike when poisson(12 kHz) }\n\
                 synapse Jump { weight w: mV; on pre { post.v += w } }\n\
                 architecture Net(n: int = 4000) {\n  population E: Cell(v ~ uniform(0 mV, 20 mV))[n]\n  \
                 population X: Drive[n]\n  connect X -> E: one_to_one() via Jump(w = 0.1 mV)\n  \
                 connect E -> E: fan_in(k = 100) via Jump(w ~ uniform(0 mV, 0.1 mV), delay = 1.5 ms)\n}\n\
                 experiment E {\n  let net = Net()\n  \
                 let run = simulate net for 100 ms step 0.1 ms { record net.E.spikes }\n  report v = mean(net.E.v)\n}\n";
    f.write("net.nnm", model);
    for threads in ["1", "2", "4"] {
        let done = f.nnmc(&["run", "net.nnm", "--threads", threads, "--out", threads]);
        assert_eq!(code(&done), 0, "{}", err(&done));
    }
    let spikes = |threads: &str| f.read(&format!("{threads}/recorded/run.E.spikes.csv"));
    assert!(spikes("1").lines().count() > 100);
    assert!(spikes("1") == spikes("2") && spikes("1") == spikes("4"));
}

/// A network that learns while it is simulated.
fn learning(args: &str, more: &str) -> String {
    format!(
        "use std.neurons.LIF\nuse std.sources.Poisson\nuse std.synapses.*\nuse std.rules.*\n\
         architecture N {{\n  population a: Poisson(rate = 500 Hz)[3]\n  population g: LIF[2]\n\
         connect a -> g as c: all() via ExpCurrent(w = 0.3 nA, delay = 1 ms)\n}}\n\
         experiment A {{\n  let net = N()\n\
         let run = simulate net for 20 ms step 0.1 ms {{ learn net.c by STDP({args}); record net.g.v; record net.g.spikes }}\n\
         {more}\n}}\n"
    )
}

#[test]
fn rules_of_a_simulation_are_explained() {
    let f = Folder::new("explained");
    f.write("m.nnm", &learning("w_max = 1 nA", ""));
    let said = out(&f.nnmc(&["explain", "m.nnm", "--rules"]));
    for part in [
        "net.c by STDP(w_max = 1 nA)",
        "changes: w when a spike arrives; w when the target fires",
        "reads: x, y",
        "local: yes, and declared so",
        "trace x: one for each cell of `a`, advanced in each step by exact",
        "trace y: one for each cell of `g`",
    ] {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
}

#[test]
fn what_fails_in_a_run_names_its_cause() {
    let f = Folder::new("causes");
    let model = |more: &str| learning("w_max = 1 nA", more);
    let pair = "experiment B {\n  let net = M()\n  report n = mean(net.c.w)\n}\n";
    let joined = |condition: &str| {
        format!(
            "use std.neurons.LIF\nuse std.synapses.*\narchitecture M {{\n  population g: LIF[2]\n\
             connect g -> g as c: where({condition}) via ExpCurrent(w = 1 pA)\n}}\n{pair}"
        )
    };
    let cases = [
        (learning("w_max = 1 nA, tau_plus = 0 ms", ""), "`tau_plus` of `STDP` is 0 ms"),
        (model("report s = window(run.g.v, from = 1 s, to = 2 s)"), "nothing of it is in this window"),
        (model("report s = spectrum(run.g.v, window = 10 s)"), "longer than the series"),
        (model("report s = psth(run.g, bin = 1e-9 ms)"), "and a step 0.1 ms"),
        (model("report s = correlogram(run.g, bin = 1 ms, width = 1e6 s).rate"), "bins of"),
        (model("plot traces(run.g.v, from = 1 s)"), "nothing of it is in this window"),
        (joined("max(i, 3)"), "this is a number, such as 3"),
    ];
    for (k, (text, wanted)) in cases.iter().enumerate() {
        let name = format!("m{k}.nnm");
        f.write(&name, text);
        let done = f.nnmc(&["run", &name]);
        let said = err(&done);
        assert!(said.contains(wanted) && !said.contains("bug") && code(&done) > 0, "{k}: {said}");
        assert!(!out(&done).contains("unknown"), "{k}: {}", out(&done));
    }
    f.write(
        "ends.nnm",
        &model("report ends = [sum(net.c.pre), sum(net.c.post)]\nexpect all_close(ends, [6, 3])\nreport v_ = var_t(run.g.v)"),
    );
    let done = f.nnmc(&["run", "ends.nnm", "--out", "ends"]);
    assert_eq!(code(&done), 0, "{}", err(&done));
    assert!(out(&done).contains("mV^2"), "{}", out(&done));
    assert!(f.0.join("ends/recorded/report.v_.npy").exists());
}
