//! Numbers as files store them, read as f64.

use super::files::reserve;
use super::{DataError, io};
use std::io::Read;

/// A stored number's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Kind {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Kind::Bool | Kind::U8 | Kind::I8 => 1,
            Kind::U16 | Kind::I16 | Kind::F16 | Kind::Bf16 => 2,
            Kind::U32 | Kind::I32 | Kind::F32 => 4,
            Kind::U64 | Kind::I64 | Kind::F64 => 8,
        }
    }

    /// The number whose little-endian bytes are the lowest of these.
    fn value(self, bits: u64) -> f64 {
        match self {
            Kind::Bool => f64::from(u8::from(bits != 0)),
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => bits as f64,
            Kind::I8 => f64::from(bits as i8),
            Kind::I16 => f64::from(bits as i16),
            Kind::I32 => f64::from(bits as i32),
            Kind::I64 => bits as i64 as f64,
            Kind::F16 => half(bits as u16),
            Kind::Bf16 => f64::from(f32::from_bits((bits as u32) << 16)),
            Kind::F32 => f64::from(f32::from_bits(bits as u32)),
            Kind::F64 => f64::from_bits(bits),
        }
    }

    /// The numbers of these bytes.
    pub fn decode(self, bytes: &[u8], big_endian: bool, out: &mut Vec<f64>) {
        out.extend(bytes.chunks_exact(self.size()).map(|chunk| {
            let mut word = [0; 8];
            for (i, byte) in chunk.iter().enumerate() {
                word[if big_endian { chunk.len() - 1 - i } else { i }] = *byte;
            }
            self.value(u64::from_le_bytes(word))
        }));
    }
}

/// IEEE half precision.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(bits & 0x3FF) / 1024.0;
    match bits >> 10 & 0x1F {
        0 => sign * fraction / 16384.0,
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        exponent => sign * (1.0 + fraction) * f64::from_bits(u64::from(1023 - 15 + u32::from(exponent)) << 52),
    }
}

/// The number of elements of a shape, and their bytes, if both can be counted.
pub fn extent(shape: &[usize], kind: Kind) -> Option<(u64, u64)> {
    let mut count = 1u64;
    for &length in shape {
        count = count.checked_mul(u64::try_from(length).ok()?)?;
    }
    Some((count, count.checked_mul(kind.size() as u64)?))
}

/// Reads `count` numbers, piece by piece.
pub fn read_numbers(
    file: &str,
    reader: &mut dyn Read,
    kind: Kind,
    big_endian: bool,
    count: u64,
) -> Result<Vec<f64>, DataError> {
    let mut values = reserve(file, count)?;
    let mut piece = [0; 1 << 14];
    let per_piece = (piece.len() / kind.size()) as u64;
    let mut left = count;
    while left > 0 {
        let bytes = left.min(per_piece) as usize * kind.size();
        reader.read_exact(&mut piece[..bytes]).map_err(io(file))?;
        kind.decode(&piece[..bytes], big_endian, &mut values);
        left -= left.min(per_piece);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_decoded_in_both_orders() {
        let cases: [(Kind, &[u8], f64); 13] = [
            (Kind::Bool, &[2], 1.0),
            (Kind::U8, &[200], 200.0),
            (Kind::I8, &[200], -56.0),
            (Kind::U16, &[0x34, 0x12], 4660.0),
            (Kind::I16, &[0xFF, 0xFF], -1.0),
            (Kind::U32, &[0, 0, 0, 0x80], 2147483648.0),
            (Kind::I32, &[0, 0, 0, 0x80], -2147483648.0),
            (Kind::U64, &[1, 0, 0, 0, 0, 0, 0, 0], 1.0),
            (Kind::I64, &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], -2.0),
            (Kind::F16, &[0x00, 0xC1], -2.5),
            (Kind::Bf16, &[0x20, 0xC0], -2.5),
            (Kind::F32, &[0, 0, 0x20, 0xC0], -2.5),
            (Kind::F64, &[0, 0, 0, 0, 0, 0, 4, 0xC0], -2.5),
        ];
        for (kind, little, want) in cases {
            let big: Vec<u8> = little.iter().rev().copied().collect();
            let mut got = Vec::new();
            kind.decode(little, false, &mut got);
            kind.decode(&big, true, &mut got);
            assert_eq!(got, [want, want], "{kind:?}");
        }
    }

    #[test]
    fn half_precision_is_complete() {
        assert_eq!([half(0x3C00), half(0x7BFF), half(1), half(0x8000)], [1.0, 65504.0, 2f64.powi(-24), 0.0]);
        assert!(half(0x7C00).is_infinite() && half(0x7E00).is_nan());
    }
}
