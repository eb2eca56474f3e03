//! Embeds the pages of `docs/errors/` that `nnmc explain` prints. A page that is not there is no error.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let docs = Path::new(&root).join("../../docs");
    let folder = docs.join("errors");
    println!("cargo::rerun-if-changed={}", Path::new(&root).join("build.rs").display());
    let mut pages = vec![];
    if docs.is_dir() {
        let watched = if folder.is_dir() { &folder } else { &docs };
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    if folder.is_dir() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let code = path.file_stem().and_then(|s| s.to_str()).filter(|s| is_code(s)).map(str::to_string);
            if let (Some(code), Some("md")) = (code, path.extension().and_then(|e| e.to_str())) {
                pages.push((code, path.canonicalize()?));
            }
        }
    }
    pages.sort();
    let mut table = String::from("pub const PAGES: &[(&str, &str)] = &[\n");
    for (code, path) in pages {
        let _ = writeln!(table, "    ({code:?}, include_str!({:?})),", path.display().to_string());
    }
    table.push_str("];\n");
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    fs::write(Path::new(&out).join("pages.rs"), table)
}

/// `E0203`, `W0001`
fn is_code(name: &str) -> bool {
    name.len() == 5 && name.starts_with(['E', 'W']) && name[1..].bytes().all(|b| b.is_ascii_digit())
}
