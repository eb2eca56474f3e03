//! Runs a model with plain output, for work on the compiler itself.
use nnm_compiler::engine::Backend;
use nnm_compiler::events::Event;
use nnm_compiler::failure::Failure;
use nnm_compiler::pipeline::Parsed;
use nnm_compiler::session::Host;
use nnm_compiler::settings::Settings;
use nnm_runtime::data::Files;

struct Plain(Files, std::path::PathBuf);

impl Host for Plain {
    fn module(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.1.join(path)).ok()
    }
    fn files(&self) -> &Files {
        &self.0
    }
    fn progress(&self, event: &Event) {
        match event {
            Event::Reported { name, value } => println!("  {name} = {}", nnm_compiler::table::summary(value)),
            Event::Expected { text, held, found } => {
                println!("  {} {text} ({found})", if *held { "held" } else { "FAILED" })
            }
            _ => {}
        }
    }
    fn interrupted(&self) -> bool {
        false
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else { return };
    let mut settings = Settings::default();
    for arg in args {
        match arg.as_str() {
            "interp" => settings.backend = Backend::Interpreter,
            "graph" => settings.emit_graph = true,
            "kernels" => settings.emit_kernels = true,
            other => {
                if let Some((n, v)) = other.split_once('=') {
                    settings.set.push((n.into(), v.into()));
                }
            }
        }
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let folder = std::path::Path::new(&path).parent().map(|p| p.to_path_buf()).unwrap_or_default();
    let roots = vec![folder.clone(), folder.join("..")];
    let host = Plain(Files::new(roots), folder);
    let start = std::time::Instant::now();
    let checked = match Parsed::new(&path, &text, &host).check(&text, &host, &settings) {
        Ok(checked) => checked,
        Err(rejected) => {
            for d in &rejected.diagnostics {
                let (l, c) = rejected.sources.line_column(d.span);
                println!(
                    "{}:{l}:{c}: {} {} | {:?} | {}",
                    rejected.sources.get(d.span.file).name,
                    d.code,
                    d.message,
                    d.help,
                    rejected.sources.text(d.span)
                );
            }
            return;
        }
    };
    println!("checked in {:?}", start.elapsed());
    for w in &checked.warnings {
        println!("warning {}", w.message);
    }
    for s in &checked.solvers {
        println!("  solver {s}");
    }
    for (n, d) in &checked.dumps {
        println!("--- {n}\n{d}");
    }
    let start = std::time::Instant::now();
    let run = checked.run(&host, &settings);
    for (n, d) in &run.dumps {
        println!("--- {n}\n{d}");
    }
    for d in &run.diagnostics {
        let (l, c) = run.sources.line_column(d.span);
        println!("{l}:{c}: {} {}", d.code, d.message);
    }
    match &run.failure {
        Some(Failure::Numeric(d)) => println!("numeric: {}", d.message),
        Some(other) => println!("failure: {other:?}"),
        None => {}
    }
    println!("ran in {:?}; unused settings {:?}", start.elapsed(), run.unused);
}
