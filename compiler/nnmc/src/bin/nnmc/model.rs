//! A model file: reading it, its experiments, checking it; and finding model files in folders.

use std::path::{Path, PathBuf};

use nnm_compiler::pipeline::{Checked, Parsed, Rejected};
use nnm_compiler::settings::Settings;
use nnm_syntax::ast::ItemKind;
use nnm_syntax::span::FileId;

use crate::exit::{self, Exit, Stop};
use crate::host::{self, CommandHost};
use crate::render;
use crate::shell::Shell;

/// A model file and its text.
#[derive(Clone, Debug)]
pub struct Model {
    pub path: PathBuf,
    pub text: String,
}

impl Model {
    pub fn read(path: &Path) -> Result<Model, Stop> {
        let bytes = std::fs::read(path).map_err(|e| Stop::data(format!("cannot read `{}`: {e}", path.display())))?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Model { path: path.to_path_buf(), text }),
            Err(e) => {
                let at = e.utf8_error().valid_up_to();
                let line = 1 + e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count();
                let message = format!("`{}`, line {line}: this is not UTF-8 text", path.display());
                Err(Stop { exit: Exit::Model, message })
            }
        }
    }

    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The file's name without its ending.
    pub fn stem(&self) -> String {
        self.path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned())
    }

    /// The names of the experiments, in order.
    pub fn experiments(&self) -> Vec<String> {
        let parsed = nnm_syntax::parse(FileId(0), &self.text);
        let name = |kind: &ItemKind| match kind {
            ItemKind::Decl { word, name, .. } if word.text == "experiment" => Some(name.text.clone()),
            _ => None,
        };
        parsed.file.items.iter().filter_map(|item| name(&item.kind)).collect()
    }

    pub fn check(&self, host: &CommandHost, settings: &Settings) -> Result<Checked, Box<Rejected>> {
        Parsed::new(&self.name(), &self.text, host).check(&self.text, host, settings)
    }

    /// Checks, and shows what is wrong; warnings are shown too.
    pub fn check_aloud(&self, shell: &Shell, host: &CommandHost, settings: &Settings) -> Result<Checked, Stop> {
        match self.check(host, settings) {
            Ok(checked) => {
                render::show(shell, &checked.sources, &checked.warnings);
                Ok(checked)
            }
            Err(rejected) => {
                render::show(shell, &rejected.sources, &rejected.diagnostics);
                if !shell.json {
                    let more =
                        render::read_on(&rejected.diagnostics).map(|line| format!("; {line}")).unwrap_or_default();
                    shell.note(&format!("{}: {}{more}", self.name(), render::counts(&rejected.diagnostics)));
                }
                Err(Stop::said(exit::of_findings(&rejected.diagnostics)))
            }
        }
    }
}

/// The model files that are meant: files as they stand, folders with all that lies below them.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Stop> {
    let mut found = vec![];
    for path in paths {
        if path.is_dir() {
            search(path, &mut found)?;
        } else if path.exists() {
            found.push(path.clone());
        } else {
            return Err(Stop::data(format!("there is no file `{}`", path.display())));
        }
    }
    Ok(found)
}

fn search(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Stop> {
    let failed = |e| Stop::data(format!("cannot read the folder `{}`: {e}", folder.display()));
    let mut paths = vec![];
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let real_folder = path.is_dir() && !path.is_symlink();
        if real_folder && !name.starts_with('.') && name != "runs" && name != "target" {
            search(&path, found)?;
        } else if path.is_file() && path.extension().is_some_and(|e| e == "nnm") {
            found.push(path.strip_prefix("./").map(Path::to_path_buf).unwrap_or(path));
        }
    }
    Ok(())
}

/// The model of the package in which the command was started: the only model file in the package's folder.
pub fn of_package() -> Result<PathBuf, Stop> {
    let here = Path::new(".");
    let Some(package) = host::package_folder(here) else {
        return Err(Stop::usage("which model? name a file: `nnmc run model.nnm`"));
    };
    let at_home = here.canonicalize().is_ok_and(|h| h == package);
    let folder = if at_home { here } else { package.as_path() };
    let mut files: Vec<PathBuf> = vec![];
    search(folder, &mut files)?;
    files.retain(|f| host::folder_of(f) == *folder);
    match files.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Stop::usage(format!("there is no model file in `{}`", folder.display()))),
        many => {
            let names: Vec<String> = many.iter().map(|f| format!("`{}`", f.display())).collect();
            Err(Stop::usage(format!("which model? There are {}", names.join(", "))))
        }
    }
}
