//! Colour scales for matrices: one for amounts, one for signed values, one for images.

use crate::figure::Scale;
use crate::png::Colour;
use crate::scale::drawable;

/// Which scale a matrix is drawn on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// Dark blue over green to yellow: even steps to the eye, readable without colour vision.
    Amount,
    /// Blue below zero, white at zero, vermillion above.
    Signed,
    Grey,
}

/// Places of the amount scale (viridis), evenly spaced.
const AMOUNT: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

const SIGNED: [[u8; 3]; 7] =
    [[0, 46, 92], [0, 114, 178], [120, 180, 222], [247, 247, 247], [244, 170, 110], [213, 94, 0], [115, 40, 0]];

const GREY: [[u8; 3]; 2] = [[0, 0, 0], [255, 255, 255]];

/// The colour at `place` between 0 and 1.
pub fn colour(map: Map, place: f64) -> [u8; 3] {
    let stops: &[[u8; 3]] = match map {
        Map::Amount => &AMOUNT,
        Map::Signed => &SIGNED,
        Map::Grey => &GREY,
    };
    let scaled = place.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let lower = (scaled.floor() as usize).min(stops.len() - 2);
    let share = scaled - lower as f64;
    let mut mixed = [0; 3];
    for (channel, value) in mixed.iter_mut().enumerate() {
        let (a, b) = (f64::from(stops[lower][channel]), f64::from(stops[lower + 1][channel]));
        *value = (a + share * (b - a)).round() as u8;
    }
    mixed
}

/// 255 colours along a scale and, last, one for what is missing.
pub fn palette(map: Map) -> Vec<Colour> {
    let mut colours: Vec<Colour> = (0..255)
        .map(|step| {
            let [r, g, b] = colour(map, f64::from(step) / 254.0);
            [r, g, b, 255]
        })
        .collect();
    colours.push([128, 128, 128, 0]);
    colours
}

/// The palette place of missing values.
pub const MISSING: u8 = 255;

/// How values become places on a scale.
#[derive(Clone, Copy)]
pub struct Grading {
    pub map: Map,
    pub low: f64,
    pub high: f64,
}

impl Grading {
    /// Values of both signs are graded evenly around zero, others from the least to the largest.
    pub fn of(values: &[f64]) -> Self {
        let (low, high) = crate::scale::bounds(values.iter().copied()).unwrap_or((0.0, 1.0));
        if low < 0.0 && high > 0.0 {
            let reach = high.max(-low);
            return Grading { map: Map::Signed, low: -reach, high: reach };
        }
        let low = if low > 0.0 && low < 0.35 * high { 0.0 } else { low };
        let (low, high) = if low == 0.0 && high == 0.0 { (0.0, 1.0) } else { drawable((low, high), Scale::Linear) };
        Grading { map: Map::Amount, low, high }
    }

    pub fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The palette place of a value.
    pub fn step(&self, value: f64) -> u8 {
        if value.is_finite() { (self.place(value).clamp(0.0, 1.0) * 254.0).round() as u8 } else { MISSING }
    }
}

pub fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}
