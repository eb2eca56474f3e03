//! Small PNG images of palette colours, as data addresses.

use miniz_oxide::deflate::compress_to_vec_zlib;

/// Red, green, blue and opacity.
pub type Colour = [u8; 4];

/// A picture of at most 256 colours, row by row from the top.
pub struct Image {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
    pub palette: Vec<Colour>,
}

impl Image {
    /// The whole image as `data:image/png;base64,…`.
    pub fn address(&self) -> String {
        format!("data:image/png;base64,{}", base64(&self.encode()))
    }

    /// Every pixel repeated, for viewers that would blur small images.
    pub fn enlarged(&self, across: usize, down: usize) -> Image {
        let mut pixels = Vec::with_capacity(self.pixels.len() * across * down);
        for row in self.pixels.chunks(self.width.max(1)) {
            let wide: Vec<u8> = row.iter().flat_map(|&pixel| std::iter::repeat_n(pixel, across)).collect();
            for _ in 0..down {
                pixels.extend_from_slice(&wide);
            }
        }
        Image { width: self.width * across, height: self.height * down, pixels, palette: self.palette.clone() }
    }

    fn encode(&self) -> Vec<u8> {
        let mut file = vec![0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
        let mut header = Vec::with_capacity(13);
        header.extend_from_slice(&(self.width as u32).to_be_bytes());
        header.extend_from_slice(&(self.height as u32).to_be_bytes());
        header.extend_from_slice(&[8, 3, 0, 0, 0]); // eight bits of palette, no interlace
        chunk(&mut file, b"IHDR", &header);
        let colours: Vec<u8> = self.palette.iter().flat_map(|colour| colour[..3].to_vec()).collect();
        chunk(&mut file, b"PLTE", &colours);
        let opacities: Vec<u8> = self.palette.iter().map(|colour| colour[3]).collect();
        chunk(&mut file, b"tRNS", &opacities);
        let mut rows = Vec::with_capacity(self.height * (self.width + 1));
        for row in self.pixels.chunks(self.width.max(1)) {
            rows.push(0); // no filter
            rows.extend_from_slice(row);
        }
        chunk(&mut file, b"IDAT", &compress_to_vec_zlib(&rows, 9));
        chunk(&mut file, b"IEND", &[]);
        file
    }
}

fn chunk(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    file.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend_from_slice(name);
    file.extend_from_slice(data);
    let sum = checksum(&file[start..]);
    file.extend_from_slice(&sum.to_be_bytes());
}

/// CRC-32 as PNG defines it, bit by bit: images are small.
fn checksum(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn base64(data: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
    for group in data.chunks(3) {
        let bytes = [group[0], group.get(1).copied().unwrap_or(0), group.get(2).copied().unwrap_or(0)];
        let bits = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() { digit as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_every_remainder() {
        assert_eq!(base64(b"Man"), "TWFu");
        assert_eq!(base64(b"Ma"), "TWE=");
        assert_eq!(base64(b"M"), "TQ==");
    }

    #[test]
    fn checksum_of_the_end_chunk() {
        assert_eq!(checksum(b"IEND"), 0xae42_6082);
    }
}
