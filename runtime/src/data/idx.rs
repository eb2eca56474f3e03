//! The IDX format of the MNIST family, also compressed with gzip.
//!
//! Two zero bytes, a type, the number of axes, their lengths as big-endian u32, then the numbers, big-endian.

use super::elements::{Kind, extent, read_numbers};
use super::files::Source;
use super::{DataError, io, wrong};
use crate::array::{self, Array};
use std::io::{BufReader, Read, Seek};

/// Deflate never expands by more than this.
const MOST_EXPANSION: u64 = 1032;

/// The array in an IDX file; whether it is compressed is seen from its first bytes.
pub fn read_idx(mut source: Source) -> Result<Array, DataError> {
    let mut start = [0; 2];
    source.file.read_exact(&mut start).map_err(io(&source.name))?;
    source.file.rewind().map_err(io(&source.name))?;
    let reader = BufReader::new(source.file);
    if start == [0x1F, 0x8B] {
        let most = source.length.saturating_mul(MOST_EXPANSION);
        return read_array(&source.name, &mut flate2::bufread::MultiGzDecoder::new(reader), None, most);
    }
    read_array(&source.name, &mut { reader }, Some(source.length), source.length)
}

fn read_array(file: &str, reader: &mut dyn Read, length: Option<u64>, most: u64) -> Result<Array, DataError> {
    let mut start = [0; 4];
    reader.read_exact(&mut start).map_err(io(file))?;
    let kind = match start {
        [0, 0, kind, _] => element(kind),
        _ => return Err(wrong(file, "byte 0", "two zero bytes", format!("{:?}", &start[..2]))),
    };
    let kind = kind.ok_or_else(|| wrong(file, "byte 2", "a type of 8, 9, 11, 12, 13 or 14", start[2].to_string()))?;
    let axes = usize::from(start[3]);
    let mut shape = Vec::with_capacity(axes);
    for _ in 0..axes {
        let mut word = [0; 4];
        reader.read_exact(&mut word).map_err(io(file))?;
        shape.push(u32::from_be_bytes(word) as usize);
    }
    let header = 4 + 4 * axes as u64;
    let fits = |bytes: u64| length.map_or(bytes <= most, |length| length.checked_sub(header) == Some(bytes));
    let (count, _) = extent(&shape, kind).filter(|(_, bytes)| fits(*bytes)).ok_or_else(|| {
        let found = match length {
            Some(length) => format!("{} bytes", length.saturating_sub(header)),
            None => "a compressed file too short for it".to_owned(),
        };
        wrong(file, format!("byte {header}"), format!("the data of shape {shape:?}"), found)
    })?;
    let values = read_numbers(file, reader, kind, true, count)?;
    if reader.read(&mut [0]).map_err(io(file))? != 0 {
        return Err(wrong(file, "the end", format!("{count} numbers"), "more data"));
    }
    array::from_vec(&shape, values).map_err(|e| wrong(file, "the header", "a shape", e.to_string()))
}

fn element(code: u8) -> Option<Kind> {
    match code {
        0x08 => Some(Kind::U8),
        0x09 => Some(Kind::I8),
        0x0B => Some(Kind::I16),
        0x0C => Some(Kind::I32),
        0x0D => Some(Kind::F32),
        0x0E => Some(Kind::F64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Files;
    use std::io::Write;

    fn read(bytes: &[u8]) -> Result<Array, DataError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), bytes).unwrap();
        read_idx(Files::new([folder.path().to_owned()]).open("a").unwrap())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_compressed_files_are_read() {
        let bytes = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255];
        for bytes in [bytes.to_vec(), gzip(&bytes)] {
            let a = read(&bytes).unwrap();
            assert_eq!((a.shape(), array::to_vec(&a)), (&[2, 3][..], vec![1.0, 2.0, 3.0, 4.0, 5.0, 255.0]));
        }
        let a = read(&[0, 0, 0x0B, 1, 0, 0, 0, 1, 0xFF, 0xFE]).unwrap();
        assert_eq!(array::to_vec(&a), [-2.0]);
    }

    #[test]
    fn malformed_files_are_refused_with_a_reason() {
        let huge = [0, 0, 14, 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255];
        let cases: [(Vec<u8>, &str); 7] = [
            (vec![1, 2, 3, 4], "`a`, byte 0: expected two zero bytes, found [1, 2]"),
            (vec![0, 0, 7, 1], "`a`, byte 2: expected a type of 8, 9, 11, 12, 13 or 14, found 7"),
            (vec![0, 0, 8, 1, 0, 0], "`a`, the end: expected more data, found the end of the file"),
            (vec![0, 0, 8, 1, 0, 0, 0, 3, 1], "`a`, byte 8: expected the data of shape [3], found 1 bytes"),
            (
                huge.to_vec(),
                "`a`, byte 20: expected the data of shape [4294967295, 4294967295, 4294967295, 4294967295], found 0 bytes",
            ),
            (gzip(&[0, 0, 8, 1, 0, 0, 0, 3, 1]), "`a`, the end: expected more data, found the end of the file"),
            (gzip(&[0, 0, 8, 1, 0, 0, 0, 1, 1, 1]), "`a`, the end: expected 1 numbers, found more data"),
        ];
        for (bytes, want) in cases {
            assert_eq!(read(&bytes).unwrap_err().to_string(), want);
        }
        let error = read(&gzip(&huge)).unwrap_err().to_string();
        assert!(error.ends_with("found a compressed file too short for it"), "{error}");
    }
}
