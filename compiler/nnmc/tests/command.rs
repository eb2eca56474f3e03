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
