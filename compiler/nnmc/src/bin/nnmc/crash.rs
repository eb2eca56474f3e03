//! A fault of ours: what the user is told, and keeping it from looking like theirs.

use std::panic::PanicHookInfo;

use crate::exit::Exit;

/// Says what happened in place of a bare panic message.
pub fn install() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo| {
        let place = info.location().map(|l| format!(" at {}:{}", file_of(l.file()), l.line())).unwrap_or_default();
        let message = format!("{}{place}", payload(info.payload()));
        eprint(&format!("error: {}", text(&message)));
    }));
}

/// Without the folders of the machine that built the program.
fn file_of(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn payload(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

/// What is said about a bug of the compiler.
pub fn text(message: &str) -> String {
    let command: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    format!(
        "nnmc has a bug: {message}\n\
         This is not the model's fault. Please report it with the model and these lines:\n  \
         nnmc {} on {} {}\n  command: nnmc {}",
        crate::VERSION,
        std::env::consts::OS,
        std::env::consts::ARCH,
        command.join(" ")
    )
}

fn eprint(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Runs the command on a thread with a large stack: deep models recurse deeply. A panic is an exit of its own.
pub fn guarded(work: impl FnOnce() -> Exit + Send) -> Exit {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(nnm_compiler::parallel::STACK).spawn_scoped(scope, work);
        match thread {
            Ok(handle) => handle.join().unwrap_or(Exit::Bug),
            Err(error) => {
                eprint(&format!("error: cannot start a thread: {error}"));
                Exit::Limit
            }
        }
    })
}
