//! NumPy's `.npy` and `.npz`.
//!
//! A header of magic, version, length and a Python dictionary of `descr`, `fortran_order` and `shape`, then the
//! numbers.

use super::elements::{Kind, extent, read_numbers};
use super::files::Source;
use super::{DataError, io, wrong};
use crate::array::{self, Array};
use std::io::Read;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// No array needs a header longer than this.
const LONGEST_HEADER: usize = 65_536;

struct Header {
    kind: Kind,
    big_endian: bool,
    fortran: bool,
    shape: Vec<usize>,
    /// Bytes before the numbers.
    length: u64,
}

/// The array in a `.npy` file.
pub fn read_npy(mut source: Source) -> Result<Array, DataError> {
    let mut reader = std::io::BufReader::new(&mut source.file);
    read_array(&source.name, &mut reader, source.length)
}

/// The arrays in a `.npz` file by name, without `.npy`, in the order of the file.
pub fn read_npz(source: Source) -> Result<Vec<(String, Array)>, DataError> {
    let name = source.name;
    let broken = |e: zip::result::ZipError| wrong(&name, "the archive", "a readable `.npz`", e.to_string());
    let mut archive = zip::ZipArchive::new(std::io::BufReader::new(source.file)).map_err(broken)?;
    let mut arrays = Vec::new();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(broken)?;
        let entry_name = entry.name().map_err(broken)?.into_owned();
        let length = entry.size();
        let place = format!("{name}/{entry_name}");
        let array = read_array(&place, &mut entry, length)?;
        arrays.push((entry_name.strip_suffix(".npy").unwrap_or(&entry_name).to_owned(), array));
    }
    Ok(arrays)
}

/// An array of which `length` bytes are announced.
fn read_array(file: &str, reader: &mut dyn Read, length: u64) -> Result<Array, DataError> {
    let header = read_header(file, reader)?;
    let data = length.saturating_sub(header.length);
    let (count, bytes) = extent(&header.shape, header.kind)
        .filter(|(_, bytes)| *bytes == data)
        .ok_or_else(|| mismatch(file, &header, data))?;
    debug_assert_eq!(bytes, data);
    let values = read_numbers(file, reader, header.kind, header.big_endian, count)?;
    let mut shape = header.shape;
    if header.fortran {
        shape.reverse();
    }
    let stored = array::from_vec(&shape, values).map_err(|e| wrong(file, "the header", "a shape", e.to_string()))?;
    if !header.fortran {
        return Ok(stored);
    }
    let axes = stored.t();
    Ok(axes.as_standard_layout().into_owned().into_shared())
}

fn mismatch(file: &str, header: &Header, data: u64) -> DataError {
    let expected = format!("the data of shape {:?} in numbers of {} bytes", header.shape, header.kind.size());
    wrong(file, format!("byte {}", header.length), expected, format!("{data} bytes"))
}

fn read_header(file: &str, reader: &mut dyn Read) -> Result<Header, DataError> {
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(io(file))?;
    if &start[..6] != MAGIC {
        return Err(wrong(
            file,
            "byte 0",
            "the mark of a `.npy` file",
            format!("{:?}", start[..6].escape_ascii().to_string()),
        ));
    }
    let width = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => return Err(wrong(file, "byte 6", "version 1, 2 or 3", version.to_string())),
    };
    let mut length = [0; 4];
    reader.read_exact(&mut length[..width]).map_err(io(file))?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST_HEADER {
        return Err(wrong(file, "byte 8", "a header of at most 65536 bytes", format!("{length} bytes")));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text).map_err(io(file))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    parse_header(file, &text, (8 + width + length) as u64)
}

/// The value of a key in the dictionary: from after the colon to the comma or brace that ends it.
fn entry<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let at = text.find(&format!("'{key}'")).or_else(|| text.find(&format!("\"{key}\"")))?;
    let rest = text[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start();
    let end = if rest.starts_with('(') { rest.find(')')? + 1 } else { rest.find([',', '}'])? };
    Some(rest[..end].trim())
}

fn parse_header(file: &str, text: &str, length: u64) -> Result<Header, DataError> {
    let get =
        |key: &str| entry(text, key).ok_or_else(|| wrong(file, "the header", format!("the key `{key}`"), text.trim()));
    let quoted = get("descr")?;
    let descr = quoted.trim_matches(['\'', '"']);
    let (big_endian, kind) = element(descr).ok_or_else(|| {
        let found = if descr.contains('O') { "Python objects (pickle), which are never read" } else { quoted };
        wrong(file, "the header, `descr`", "an array of numbers", found)
    })?;
    let fortran = match get("fortran_order")? {
        "True" => true,
        "False" => false,
        other => return Err(wrong(file, "the header, `fortran_order`", "`True` or `False`", format!("`{other}`"))),
    };
    let tuple = get("shape")?;
    let shape = tuple
        .trim_matches(['(', ')'])
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| part.trim_end_matches('L').parse::<usize>())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| wrong(file, "the header, `shape`", "a tuple of lengths", format!("`{tuple}`")))?;
    Ok(Header { kind, big_endian, fortran, shape, length })
}

/// Byte order and type of a `descr` such as `<f8`.
fn element(descr: &str) -> Option<(bool, Kind)> {
    let (order, kind) = descr.split_at_checked(1)?;
    let kind = match kind {
        "b1" => Kind::Bool,
        "u1" => Kind::U8,
        "i1" => Kind::I8,
        "u2" => Kind::U16,
        "i2" => Kind::I16,
        "u4" => Kind::U32,
        "i4" => Kind::I32,
        "u8" => Kind::U64,
        "i8" => Kind::I64,
        "f2" => Kind::F16,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => return None,
    };
    match order {
        "<" | "=" | "|" => Some((false, kind)),
        ">" => Some((true, kind)),
        _ => None,
    }
}

/// The bytes of a `.npy` file of f64 in row-major order.
pub fn write_npy(array: &Array) -> Vec<u8> {
    npy_bytes(array, "<f8", |value, bytes| bytes.extend_from_slice(&value.to_le_bytes()))
}

/// The same in 32 bits.
pub fn write_npy_single(array: &Array) -> Vec<u8> {
    npy_bytes(array, "<f4", |value, bytes| bytes.extend_from_slice(&(value as f32).to_le_bytes()))
}

fn npy_bytes(array: &Array, kind: &str, put: impl Fn(f64, &mut Vec<u8>)) -> Vec<u8> {
    let lengths: Vec<String> = array.shape().iter().map(|n| format!("{n},")).collect();
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}", lengths.join(" "));
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let mut bytes = Vec::with_capacity(10 + header.len() + array.len() * 8);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    for value in array.iter() {
        put(*value, &mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Files;

    fn open(bytes: &[u8]) -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), bytes).unwrap();
        let source = Files::new([folder.path().to_owned()]).open("a").unwrap();
        (folder, source)
    }

    fn read(bytes: &[u8]) -> Result<Array, DataError> {
        read_npy(open(bytes).1)
    }

    /// A file as NumPy writes it.
    fn file(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        for shape in [vec![], vec![5], vec![2, 3], vec![0, 3], vec![2, 1, 4]] {
            let n = shape.iter().product::<usize>();
            let a = array::from_vec(&shape, (0..n).map(|i| i as f64 * 0.5).collect()).unwrap();
            let bytes = write_npy(&a);
            assert_eq!((bytes.len() - n * 8) % 64, 0);
            assert_eq!(read(&bytes).unwrap(), a);
        }
    }

    #[test]
    fn orders_of_bytes_and_axes_are_honoured() {
        let data: Vec<u8> = (0..6i16).flat_map(|i| i.to_be_bytes()).collect();
        let a = read(&file("'>i2'", "True", "(2, 3)", &data)).unwrap();
        assert_eq!((a.shape(), array::to_vec(&a)), (&[2, 3][..], vec![0.0, 2.0, 4.0, 1.0, 3.0, 5.0]));
        assert_eq!(array::to_vec(&read(&file("'|u1'", "False", "(3,)", &[1, 2, 3])).unwrap()), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn malformed_files_are_refused_with_a_reason() {
        let cases: [(Vec<u8>, &str); 9] = [
            (
                b"PK\x03\x04 not npy".to_vec(),
                "`a`, byte 0: expected the mark of a `.npy` file, found \"PK\\\\x03\\\\x04 n\"",
            ),
            (b"\x93NUM".to_vec(), "`a`, the end: expected more data, found the end of the file"),
            (b"\x93NUMPY\x09\x00".to_vec(), "`a`, byte 6: expected version 1, 2 or 3, found 9"),
            (
                b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(),
                "`a`, byte 8: expected a header of at most 65536 bytes, found 4294967295 bytes",
            ),
            (
                file("'|O'", "False", "(1,)", &[0; 8]),
                "`a`, the header, `descr`: expected an array of numbers, found Python objects (pickle), which are never read",
            ),
            (
                file("'<f8'", "Maybe", "(1,)", &[0; 8]),
                "`a`, the header, `fortran_order`: expected `True` or `False`, found `Maybe`",
            ),
            (
                file("'<f8'", "False", "(1, x)", &[0; 8]),
                "`a`, the header, `shape`: expected a tuple of lengths, found `(1, x)`",
            ),
            (
                file("'<f8'", "False", "(2,)", &[0; 8]),
                "`a`, byte 68: expected the data of shape [2] in numbers of 8 bytes, found 8 bytes",
            ),
            (
                file("'<f8'", "False", "(4294967296, 4294967296, 16)", &[0; 8]),
                "`a`, byte 92: expected the data of shape [4294967296, 4294967296, 16] in numbers of 8 bytes, found 8 bytes",
            ),
        ];
        for (bytes, want) in cases {
            assert_eq!(read(&bytes).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn archives_give_their_arrays_by_name() {
        use std::io::Write;
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, method) in [("w.npy", zip::CompressionMethod::Deflated), ("b.npy", zip::CompressionMethod::Stored)] {
            let options = zip::write::SimpleFileOptions::default().compression_method(method);
            zip.start_file(name, options).unwrap();
            zip.write_all(&write_npy(&array::vector(vec![1.0; 100]))).unwrap();
        }
        let bytes = zip.finish().unwrap().into_inner();
        let arrays = read_npz(open(&bytes).1).unwrap();
        assert_eq!(arrays.iter().map(|(n, a)| (n.as_str(), a.len())).collect::<Vec<_>>(), [("w", 100), ("b", 100)]);
        let error = read_npz(open(&bytes[..50]).1).unwrap_err().to_string();
        assert!(error.starts_with("`a`, the archive: expected a readable `.npz`, found "), "{error}");
    }
}
