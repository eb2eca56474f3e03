//! Tables of text: comma, semicolon or tab separated, with or without a header line.
//!
//! The first line is the header if any of its cells is not a number. Lines that start with `#` are comments. A column
//! is numeric if all of its cells are numbers; that a cell is not one is an error only when its column is used as
//! numbers.

use super::files::Source;
use super::{DataError, wrong};
use crate::array::{self, Array};
use std::ops::Range;

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    Numbers(Vec<f64>),
    Text(Vec<String>),
}

/// A table; rows are counted from 0 and do not include the header.
#[derive(Clone, Debug)]
pub struct CsvTable {
    pub file: String,
    /// Without a header: `0`, `1`, …
    pub names: Vec<String>,
    pub rows: usize,
    pub columns: Vec<Column>,
    /// The line of the file on which each row begins, from 1.
    pub lines: Vec<u64>,
}

/// Reads a table.
pub fn read_csv(source: Source) -> Result<CsvTable, DataError> {
    let file = source.name.clone();
    let delimiter = if source.has_extension("tsv") { Some(b'\t') } else { None };
    let bytes = source.read_all()?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|e| wrong(&file, format!("byte {}", e.valid_up_to()), "UTF-8 text", "other bytes"))?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let cells = Cells::read(&file, text, delimiter.unwrap_or_else(|| likely_delimiter(text)))?;
    Ok(cells.into_table(file))
}

/// The separator that is most frequent in the first line that is no comment.
fn likely_delimiter(text: &str) -> u8 {
    let line = text.lines().find(|line| !line.starts_with('#') && !line.trim().is_empty()).unwrap_or("");
    let count = |c: u8| line.bytes().filter(|b| *b == c).count();
    let mut best = b',';
    for candidate in [b'\t', b';'] {
        if count(candidate) > count(best) {
            best = candidate;
        }
    }
    best
}

/// The line on which a record begins: its position is before the blank lines and comments that precede it.
fn line_of(text: &str, position: &csv::Position) -> u64 {
    let mut rest = usize::try_from(position.byte()).ok().and_then(|at| text.get(at..)).unwrap_or("");
    let mut line = position.line();
    while let Some(end) = rest.find('\n') {
        if !rest.starts_with('#') && !rest[..end].trim_end_matches('\r').is_empty() {
            break;
        }
        rest = &rest[end + 1..];
        line += 1;
    }
    line
}

/// All cells as text, the header apart.
struct Cells {
    names: Vec<String>,
    records: Vec<csv::StringRecord>,
    lines: Vec<u64>,
}

impl Cells {
    fn read(file: &str, text: &str, delimiter: u8) -> Result<Cells, DataError> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .delimiter(delimiter)
            .from_reader(text.as_bytes());
        let mut records = Vec::new();
        let mut lines = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| wrong(file, "the text", "a table", e.to_string()))?;
            lines.push(record.position().map_or(0, |position| line_of(text, position)));
            records.push(record);
        }
        let Some(first) = records.first() else {
            return Err(wrong(file, "line 1", "a table", "an empty file"));
        };
        let width = first.len();
        if let Some(at) = records.iter().position(|record| record.len() != width) {
            let found = records[at].len().to_string();
            return Err(wrong(
                file,
                format!("line {}", lines[at]),
                format!("{width} cells as on line {}", lines[0]),
                found,
            ));
        }
        let mut names: Vec<String> = (0..width).map(|i| i.to_string()).collect();
        if first.iter().any(|cell| cell.parse::<f64>().is_err()) {
            names = first.iter().map(str::to_owned).collect();
            records.remove(0);
            lines.remove(0);
        }
        Ok(Cells { names, records, lines })
    }

    fn into_table(self, file: String) -> CsvTable {
        let columns = (0..self.names.len())
            .map(|at| {
                let cells = || self.records.iter().map(|record| record.get(at).unwrap_or(""));
                match cells().map(str::parse::<f64>).collect::<Result<Vec<_>, _>>() {
                    Ok(numbers) => Column::Numbers(numbers),
                    Err(_) => Column::Text(cells().map(str::to_owned).collect()),
                }
            })
            .collect();
        CsvTable { file, rows: self.records.len(), names: self.names, columns, lines: self.lines }
    }
}

impl CsvTable {
    /// The place of a column.
    pub fn find(&self, name: &str) -> Result<usize, DataError> {
        self.names.iter().position(|n| n == name).ok_or_else(|| {
            let names: Vec<String> = self.names.iter().take(12).map(|n| format!("`{n}`")).collect();
            let more = if self.names.len() > 12 { ", …" } else { "" };
            wrong(&self.file, "the header", format!("a column `{name}`"), format!("{}{more}", names.join(", ")))
        })
    }

    /// One column as numbers: shape [rows].
    pub fn numbers(&self, column: usize) -> Result<Array, DataError> {
        Ok(array::vector(self.column(column)?.to_vec()))
    }

    /// Some columns as numbers: shape [rows, columns].
    pub fn matrix(&self, columns: Range<usize>) -> Result<Array, DataError> {
        let width = columns.len();
        let chosen = columns.map(|at| self.column(at)).collect::<Result<Vec<_>, _>>()?;
        let mut values = Vec::with_capacity(self.rows * width);
        for row in 0..self.rows {
            values.extend(chosen.iter().map(|column| column[row]));
        }
        array::from_vec(&[self.rows, width], values)
            .map_err(|e| wrong(&self.file, "the table", "numbers", e.to_string()))
    }

    /// The cells of a text column; none of a numeric one.
    pub fn text(&self, column: usize) -> Option<&[String]> {
        match self.columns.get(column)? {
            Column::Text(cells) => Some(cells),
            Column::Numbers(_) => None,
        }
    }

    fn column(&self, at: usize) -> Result<&[f64], DataError> {
        match self.columns.get(at) {
            Some(Column::Numbers(values)) => Ok(values),
            Some(Column::Text(cells)) => Err(self.not_a_number(at, cells)),
            None => {
                let found = format!("{} columns", self.columns.len());
                Err(wrong(&self.file, "the header", format!("a column {at}, counted from 0"), found))
            }
        }
    }

    fn not_a_number(&self, at: usize, cells: &[String]) -> DataError {
        let row = cells.iter().position(|cell| cell.parse::<f64>().is_err()).unwrap_or(0);
        let place = format!("line {}, column `{}`", self.lines.get(row).unwrap_or(&0), self.names[at]);
        let cell = cells.get(row).map_or("", String::as_str);
        let found = if cell.is_empty() { "nothing".to_owned() } else { format!("`{}`", shortened(cell)) };
        wrong(&self.file, place, "a number", found)
    }
}

/// At most 40 characters of a cell.
fn shortened(cell: &str) -> String {
    if cell.chars().count() <= 40 { cell.to_owned() } else { cell.chars().take(39).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Files;

    fn read_as(name: &str, text: &[u8]) -> Result<CsvTable, DataError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        read_csv(Files::new([folder.path().to_owned()]).open(name).unwrap())
    }

    fn read(text: &str) -> Result<CsvTable, DataError> {
        read_as("a.csv", text.as_bytes())
    }

    #[test]
    fn columns_are_numbers_or_text() {
        let t = read("x, y ,kind\n1,2.5,red\n# a comment\n-3,1e2,\"a, b\"\n").unwrap();
        assert_eq!((t.names.clone(), t.rows), (vec!["x".into(), "y".into(), "kind".into()], 2));
        assert_eq!(array::to_vec(&t.matrix(0..2).unwrap()), [1.0, 2.5, -3.0, 100.0]);
        assert_eq!(array::to_vec(&t.numbers(t.find("y").unwrap()).unwrap()), [2.5, 100.0]);
        assert_eq!(t.text(2).unwrap(), ["red", "a, b"]);
        assert_eq!(t.text(0), None);
    }

    #[test]
    fn headers_and_separators_are_recognised() {
        let t = read("1,2\n3,4\n").unwrap();
        assert_eq!((t.names, t.rows), (vec!["0".to_owned(), "1".to_owned()], 2));
        assert_eq!(read("\u{FEFF}a;b\n1;2\n").unwrap().names, ["a", "b"]);
        assert_eq!(read_as("a.tsv", b"a\tb\n1\t2\n").unwrap().names, ["a", "b"]);
        assert_eq!(read("a\n1\r\n2\r\n").unwrap().columns, [Column::Numbers(vec![1.0, 2.0])]);
    }

    #[test]
    fn errors_name_line_column_and_cell() {
        let t = read("x,label\n1,3\n\n2,three\n3,\n").unwrap();
        let error = |r: Result<Array, DataError>| r.unwrap_err().to_string();
        assert_eq!(error(t.numbers(1)), "`a.csv`, line 4, column `label`: expected a number, found `three`");
        assert_eq!(error(t.matrix(0..5)), "`a.csv`, line 4, column `label`: expected a number, found `three`");
        assert_eq!(error(t.numbers(7)), "`a.csv`, the header: expected a column 7, counted from 0, found 2 columns");
        assert_eq!(
            t.find("lable").unwrap_err().to_string(),
            "`a.csv`, the header: expected a column `lable`, found `x`, `label`"
        );
        let t = read("a\n\"\"\n1\n").unwrap();
        assert_eq!(error(t.numbers(0)), "`a.csv`, line 2, column `a`: expected a number, found nothing");
    }

    #[test]
    fn malformed_tables_are_refused() {
        let cases: [(&[u8], &str); 3] = [
            (b"a,b\n1,2\n3\n", "`a.csv`, line 3: expected 2 cells as on line 1, found 1"),
            (b"", "`a.csv`, line 1: expected a table, found an empty file"),
            (b"a,b\n1,\xff\n", "`a.csv`, byte 6: expected UTF-8 text, found other bytes"),
        ];
        for (text, want) in cases {
            assert_eq!(read_as("a.csv", text).unwrap_err().to_string(), want);
        }
    }
}
