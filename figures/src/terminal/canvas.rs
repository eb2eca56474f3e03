//! A field of Braille dots, two by four a character.

use super::Ink;

pub struct Canvas {
    pub columns: usize,
    pub rows: usize,
    dots: Vec<u8>,
    /// The series that drew last in each character, plus one.
    owner: Vec<u8>,
}

const ESCAPES: [&str; 6] = ["\x1b[34m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[36m", "\x1b[31m"];

impl Canvas {
    pub fn new(columns: usize, rows: usize) -> Self {
        Canvas { columns, rows, dots: vec![0; columns * rows], owner: vec![0; columns * rows] }
    }

    /// Dots across and down.
    pub fn size(&self) -> (usize, usize) {
        (self.columns * 2, self.rows * 4)
    }

    pub fn set(&mut self, x: i64, y: i64, series: usize) {
        let (width, height) = self.size();
        if x < 0 || y < 0 || x >= width as i64 || y >= height as i64 {
            return;
        }
        let (x, y) = (x as usize, y as usize);
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let place = y / 4 * self.columns + x / 2;
        self.dots[place] |= BITS[y % 4][x % 2];
        self.owner[place] = (series % ESCAPES.len()) as u8 + 1;
    }

    /// A straight line of dots.
    pub fn line(&mut self, from: (i64, i64), to: (i64, i64), series: usize) {
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).max(1);
        for step in 0..=steps {
            let along = |a: i64, b: i64| a + ((b - a) * step * 2 + steps).div_euclid(2 * steps);
            self.set(along(from.0, to.0), along(from.1, to.1), series);
        }
    }

    pub fn row(&self, row: usize, ink: Ink) -> String {
        let mut text = String::new();
        let mut current = 0;
        for place in row * self.columns..(row + 1) * self.columns {
            let owner = if ink == Ink::Ansi { self.owner[place] } else { 0 };
            if owner != current {
                text.push_str(if owner == 0 { "\x1b[0m" } else { ESCAPES[usize::from(owner) - 1] });
                current = owner;
            }
            text.push(char::from_u32(0x2800 + u32::from(self.dots[place])).unwrap_or(' '));
        }
        if current != 0 {
            text.push_str("\x1b[0m");
        }
        text
    }
}

/// A name in its series' colour.
pub fn coloured(name: &str, series: usize, ink: Ink) -> String {
    match ink {
        Ink::Plain => name.to_string(),
        Ink::Ansi => format!("{}{name}\x1b[0m", ESCAPES[series % ESCAPES.len()]),
    }
}
