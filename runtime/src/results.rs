//! The folder that a run leaves behind: arrays, weights, metrics and a manifest.
//!
//! Every file is written beside its place and then renamed, so that a reader never sees half of one, and a run that is
//! cut off leaves whole files; only `metrics.csv` grows line by line.

use crate::array::Array;
use crate::data::{Tensor, write_npy, write_safetensors};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What can go wrong with a result file.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    #[error("cannot write `{file}`: {source}")]
    Io { file: String, source: std::io::Error },
    #[error("`{name}` cannot be a file name in a run folder")]
    Name { name: String },
    #[error("cannot store `{file}`: {why}")]
    Content { file: String, why: String },
}

/// An open run folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The folder, made if it does not exist.
    pub fn create(path: impl Into<PathBuf>) -> Result<RunFolder, ResultError> {
        let path = path.into();
        std::fs::create_dir_all(&path).map_err(|source| failed(&path, source))?;
        Ok(RunFolder { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of this name, which may lie in folders of the run folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, ResultError> {
        let path = self.place(name)?;
        let folder = path.parent().unwrap_or(&self.path);
        std::fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
        let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(|source| failed(&path, source))?;
        temporary.write_all(bytes).map_err(|source| failed(&path, source))?;
        readable(temporary.as_file()).map_err(|source| failed(&path, source))?;
        temporary.persist(&path).map_err(|e| failed(&path, e.error))?;
        Ok(path)
    }

    /// `NAME.npy` and `NAME.csv`; see [`to_csv`] for the latter.
    pub fn write_array(&self, name: &str, values: &Array) -> Result<(), ResultError> {
        self.write(&format!("{name}.npy"), &write_npy(values))?;
        self.write(&format!("{name}.csv"), to_csv(name, "", values).as_bytes())?;
        Ok(())
    }

    /// Arrays under their names as safetensors.
    pub fn write_weights(&self, name: &str, tensors: &[Tensor]) -> Result<PathBuf, ResultError> {
        let bytes = write_safetensors(tensors)
            .map_err(|e| ResultError::Content { file: name.to_owned(), why: e.to_string() })?;
        self.write(name, &bytes)
    }

    /// `manifest.json`.
    pub fn write_manifest(&self, manifest: &impl serde::Serialize) -> Result<PathBuf, ResultError> {
        self.write_json("manifest.json", manifest)
    }

    /// A value as indented JSON, with a line's end.
    pub fn write_json(&self, name: &str, value: &impl serde::Serialize) -> Result<PathBuf, ResultError> {
        let mut text = serde_json::to_string_pretty(value)
            .map_err(|e| ResultError::Content { file: name.to_owned(), why: e.to_string() })?;
        text.push('\n');
        self.write(name, text.as_bytes())
    }

    /// `metrics.csv` with these columns, begun anew.
    pub fn metrics(&self, columns: &[&str]) -> Result<Metrics, ResultError> {
        let path = self.write("metrics.csv", line(columns.iter().map(|c| quoted(c))).as_bytes())?;
        let file = File::options().append(true).open(&path).map_err(|source| failed(&path, source))?;
        Ok(Metrics { path, file, columns: columns.len() })
    }

    /// Where a name lies: parts of letters, digits and `. _ - [ ]`, separated by `/`, none of them `.` or `..`.
    fn place(&self, name: &str) -> Result<PathBuf, ResultError> {
        let good = |part: &str| {
            let known = |c: char| c.is_alphanumeric() || "._-[]+, ".contains(c);
            !part.is_empty() && part.len() <= 200 && part.chars().any(char::is_alphanumeric) && part.chars().all(known)
        };
        if !name.split('/').all(good) {
            return Err(ResultError::Name { name: name.to_owned() });
        }
        Ok(self.path.join(name))
    }
}

/// Lines of numbers that grow while a run goes on.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
    columns: usize,
}

impl Metrics {
    /// Appends one line; NaN stands for a value that there is not, and is left empty.
    pub fn append(&mut self, values: &[f64]) -> Result<(), ResultError> {
        if values.len() != self.columns {
            let why = format!("a line of {} values for {} columns", values.len(), self.columns);
            return Err(ResultError::Content { file: self.path.display().to_string(), why });
        }
        let cells = values.iter().map(|x| if x.is_nan() { String::new() } else { number(*x) });
        self.file.write_all(line(cells).as_bytes()).map_err(|source| failed(&self.path, source))
    }
}

fn failed(path: &Path, source: std::io::Error) -> ResultError {
    ResultError::Io { file: path.display().to_string(), source }
}

/// Temporary files are private; results are as readable as other files.
fn readable(file: &File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let mut line = cells.collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// The shortest text that reads back as the same number.
fn number(x: f64) -> String {
    if x != 0.0 && !(1e-5..1e16).contains(&x.abs()) { format!("{x:e}") } else { x.to_string() }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// How the columns of all tables are called: the name, and the unit after it where there is one: `v_mV`.
pub fn column_name(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name}_{unit}") }
}

/// An array as a table. Up to one axis: one column of this name; two axes: one line a row, columns `c0`, `c1`, …; more:
/// a line for each value, after its indices `i0`, `i1`, …. The unit stands in the names of the columns of values.
pub fn to_csv(name: &str, unit: &str, values: &Array) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match values.ndim() {
        0 | 1 => write_column(&mut text, &column_name(name, unit), values),
        2 => write_matrix(&mut text, unit, values),
        _ => write_long(&mut text, unit, values),
    };
    text
}

fn write_column(text: &mut String, name: &str, values: &Array) -> std::fmt::Result {
    writeln!(text, "{}", quoted(name))?;
    values.iter().try_for_each(|x| writeln!(text, "{}", number(*x)))
}

fn write_matrix(text: &mut String, unit: &str, values: &Array) -> std::fmt::Result {
    text.push_str(&line((0..values.shape()[1]).map(|i| column_name(&format!("c{i}"), unit))));
    for row in values.rows() {
        for (i, x) in row.iter().enumerate() {
            write!(text, "{}{}", if i == 0 { "" } else { "," }, number(*x))?;
        }
        text.push('\n');
    }
    Ok(())
}

fn write_long(text: &mut String, unit: &str, values: &Array) -> std::fmt::Result {
    let axes = (0..values.ndim()).map(|i| format!("i{i}"));
    text.push_str(&line(axes.chain([column_name("value", unit)])));
    for (index, x) in values.indexed_iter() {
        for i in 0..values.ndim() {
            write!(text, "{},", index[i])?;
        }
        writeln!(text, "{}", number(*x))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array;
    use crate::data::{Files, Kind, read_csv, read_npy, read_safetensors};

    fn folder() -> (tempfile::TempDir, RunFolder, Files) {
        let place = tempfile::tempdir().unwrap();
        let run = RunFolder::create(place.path().join("runs/first")).unwrap();
        let files = Files::new([run.path().to_owned()]);
        (place, run, files)
    }

    #[test]
    fn arrays_come_back_from_both_forms() {
        let (_place, run, files) = folder();
        let a = array::from_vec(&[2, 3], vec![0.1, -1.0, 1e300, 5e-324, 2.0, 3.0]).unwrap();
        run.write_array("run.E.v", &a).unwrap();
        assert_eq!(read_npy(files.open("run.E.v.npy").unwrap()).unwrap(), a);
        let table = read_csv(files.open("run.E.v.csv").unwrap()).unwrap();
        assert_eq!((table.matrix(0..3).unwrap(), table.names), (a, vec!["c0".into(), "c1".into(), "c2".into()]));
    }

    #[test]
    fn tables_have_one_of_three_forms() {
        assert_eq!(to_csv("rate", "", &array::vector(vec![1.0, 2.5, 1e300, -0.0])), "rate\n1\n2.5\n1e300\n-0\n");
        assert_eq!(to_csv("rate", "", &array::scalar(3.0)), "rate\n3\n");
        assert_eq!(to_csv("rate", "Hz", &array::scalar(3.0)), "rate_Hz\n3\n");
        assert_eq!(to_csv("w", "nS", &array::from_vec(&[1, 2], vec![1.0, 2.0]).unwrap()), "c0_nS,c1_nS\n1,2\n");
        assert_eq!(to_csv("w", "", &array::from_vec(&[2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap()), "c0,c1\n1,2\n3,4\n");
        assert_eq!(
            to_csv("w", "", &array::from_vec(&[1, 1, 2], vec![1.0, 2.0]).unwrap()),
            "i0,i1,i2,value\n0,0,0,1\n0,0,1,2\n"
        );
    }

    #[test]
    fn metrics_grow_line_by_line() {
        let (_place, run, files) = folder();
        let mut metrics = run.metrics(&["epoch", "loss", "accuracy, test"]).unwrap();
        metrics.append(&[0.0, 2.5, f64::NAN]).unwrap();
        metrics.append(&[1.0, 1e-3, 0.5]).unwrap();
        let text = files.open("metrics.csv").unwrap().read_all().unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "epoch,loss,\"accuracy, test\"\n0,2.5,\n1,0.001,0.5\n");
        assert!(metrics.append(&[1.0]).unwrap_err().to_string().ends_with("a line of 1 values for 3 columns"));
    }

    #[test]
    fn weights_and_manifest_are_stored() {
        let (_place, run, files) = folder();
        let w = Tensor { name: "net.w".into(), values: array::vector(vec![1.5]), kind: Kind::F32 };
        run.write_weights("net.safetensors", &[w]).unwrap();
        assert_eq!(read_safetensors(files.open("net.safetensors").unwrap()).unwrap()[0].name, "net.w");
        run.write_manifest(&serde_json::json!({ "seed": 1 })).unwrap();
        assert_eq!(files.open("manifest.json").unwrap().read_all().unwrap(), b"{\n  \"seed\": 1\n}\n");
    }

    #[test]
    fn files_are_replaced_whole_and_leave_nothing_behind() {
        let (_place, run, _files) = folder();
        for text in ["long first text", "short"] {
            run.write("figures/a.svg", text.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read(run.path().join("figures/a.svg")).unwrap(), b"short");
        assert_eq!(std::fs::read_dir(run.path().join("figures")).unwrap().count(), 1);
    }

    #[test]
    fn names_stay_inside() {
        let (_place, run, _files) = folder();
        for name in ["", "/etc/x", "../x", "a/../../x", "a//b", ".", "a\\b", "a\nb", "a/.."] {
            assert!(matches!(run.write(name, b""), Err(ResultError::Name { .. })), "{name}");
        }
    }
}
