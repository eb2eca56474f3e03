//! The one handle through which files are read: some folders, and nothing outside of them.

use super::{DataError, io};
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// The folders that data may come from, in the order in which they are searched: the model's own, its package's, then
/// those that the user added.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub roots: Vec<PathBuf>,
}

/// An open file, its name as the model wrote it, and its length in bytes.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub file: File,
    pub length: u64,
}

impl Files {
    pub fn new(roots: impl IntoIterator<Item = PathBuf>) -> Files {
        Files { roots: roots.into_iter().collect() }
    }

    /// Opens the first file of this name. Refuses absolute paths, `..`, and links that lead out of their folder.
    pub fn open(&self, relative: &str) -> Result<Source, DataError> {
        let path = inside(relative)?;
        for root in &self.roots {
            let candidate = root.join(path);
            if !candidate.exists() {
                continue;
            }
            let real = candidate.canonicalize().map_err(io(relative))?;
            if !real.starts_with(root.canonicalize().map_err(io(relative))?) {
                return Err(outside(relative, "it is a link that leads elsewhere; add the folder with `--data`"));
            }
            return source(relative, &real);
        }
        Err(DataError::NotFound { file: relative.to_owned(), tried: self.roots.clone() })
    }
}

fn outside(file: &str, why: &'static str) -> DataError {
    DataError::Outside { file: file.to_owned(), why }
}

/// The path, if it can only lead inwards.
fn inside(relative: &str) -> Result<&Path, DataError> {
    let path = Path::new(relative);
    if relative.is_empty() || relative.contains('\0') {
        return Err(outside(relative, "it is not a file name"));
    }
    for part in path.components() {
        match part {
            Component::Normal(_) | Component::CurDir => {}
            Component::ParentDir => return Err(outside(relative, "`..` is not allowed")),
            Component::RootDir | Component::Prefix(_) => {
                return Err(outside(relative, "it is absolute; write it relative to the model's folder"));
            }
        }
    }
    Ok(path)
}

fn source(name: &str, path: &Path) -> Result<Source, DataError> {
    let kind = std::fs::metadata(path).map_err(io(name))?;
    if !kind.is_file() {
        return Err(DataError::NotAFile { file: name.to_owned() });
    }
    let file = File::open(path).map_err(io(name))?;
    let length = file.metadata().map_err(io(name))?.len();
    Ok(Source { name: name.to_owned(), file, length })
}

impl Source {
    /// The whole file, as long as it was when it was opened.
    pub fn read_all(mut self) -> Result<Vec<u8>, DataError> {
        let mut bytes = reserve(&self.name, self.length)?;
        (&mut self.file).take(self.length).read_to_end(&mut bytes).map_err(io(&self.name))?;
        Ok(bytes)
    }

    /// Whether the name ends so, in any case of letters.
    pub fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.name).extension().is_some_and(|e| e.eq_ignore_ascii_case(extension))
    }
}

/// A vector with room for so many bytes, or an error instead of an abort.
pub fn reserve<T>(file: &str, count: u64) -> Result<Vec<T>, DataError> {
    let error = || DataError::Memory { file: file.to_owned(), bytes: count.saturating_mul(size_of::<T>() as u64) };
    let mut values = Vec::new();
    values.try_reserve_exact(usize::try_from(count).map_err(|_| error())?).map_err(|_| error())?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["model", "package"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("secret.csv"), "secret").unwrap();
        std::fs::write(folder.path().join("model/a.csv"), "model").unwrap();
        std::fs::write(folder.path().join("package/a.csv"), "package").unwrap();
        std::fs::write(folder.path().join("package/b.csv"), "b").unwrap();
        let files = Files::new([folder.path().join("model"), folder.path().join("package")]);
        (folder, files)
    }

    #[test]
    fn looks_in_order() {
        let (_folder, files) = folder();
        assert_eq!(files.open("a.csv").unwrap().read_all().unwrap(), b"model");
        assert_eq!(files.open("./b.csv").unwrap().read_all().unwrap(), b"b");
        let error = files.open("c.csv").unwrap_err().to_string();
        assert!(error.starts_with("no file `c.csv`; looked in `") && error.contains("package`"), "{error}");
        assert!(Files::default().open("a.csv").unwrap_err().to_string().ends_with("no folder at all"));
    }

    #[test]
    fn never_leads_out() {
        let (folder, files) = folder();
        let absolute = folder.path().join("secret.csv");
        for path in ["../secret.csv", "x/../../secret.csv", "", "/etc/passwd", absolute.to_str().unwrap(), "a\0b"] {
            assert!(matches!(files.open(path), Err(DataError::Outside { .. })), "{path}");
        }
        assert!(matches!(files.open("."), Err(DataError::NotAFile { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn links_must_stay_inside() {
        let (folder, files) = folder();
        std::os::unix::fs::symlink(folder.path().join("secret.csv"), folder.path().join("model/link.csv")).unwrap();
        std::os::unix::fs::symlink("a.csv", folder.path().join("model/good.csv")).unwrap();
        assert!(matches!(files.open("link.csv"), Err(DataError::Outside { .. })));
        assert_eq!(files.open("good.csv").unwrap().read_all().unwrap(), b"model");
    }
}
