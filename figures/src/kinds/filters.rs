//! Small images in a grid, each on its own contrast; zero is mid-grey where an image has both signs.

use crate::colours::{MISSING, Map, palette};
use crate::page::{Page, RIM, WIDTH};
use crate::png::Image;
use crate::scale::bounds;
use crate::theme::Theme;

/// Image pixels for one unit of the page.
const FINENESS: f64 = 2.0;

pub fn render(title: &str, (height, width): (usize, usize), images: &[Vec<f64>], theme: Theme) -> String {
    let mut page = Page::new(title, WIDTH, theme);
    if height == 0 || width == 0 || images.is_empty() {
        return page.nothing("no data");
    }
    let room = (WIDTH - 2.0 * RIM) * FINENESS;
    let columns = columns_for(images.len());
    let repeat = ((room / columns as f64 - 4.0) / width as f64).floor().clamp(1.0, 200.0 / height.max(width) as f64);
    let repeat = repeat.floor().max(1.0) as usize;
    let mosaic = Mosaic { height, width, columns, repeat, gap: 6 };
    let image = mosaic.image(images);
    let (w, h) = (image.width as f64 / FINENESS, image.height as f64 / FINENESS);
    let shrink = ((WIDTH - 2.0 * RIM) / w).min(1.0);
    page.svg.image((RIM, page.top + 4.0), (w * shrink, h * shrink), &image.address());
    let description = format!("{} images of {height} by {width}, each on its own contrast.", images.len());
    let bottom = page.top + 4.0 + h * shrink;
    page.finish(bottom + RIM, title, &description)
}

/// A grid twice as wide as high.
fn columns_for(count: usize) -> usize {
    ((count as f64 * 2.0).sqrt().ceil() as usize).clamp(1, count.max(1))
}

struct Mosaic {
    height: usize,
    width: usize,
    columns: usize,
    /// Every value becomes a square of this side.
    repeat: usize,
    gap: usize,
}

impl Mosaic {
    fn image(&self, images: &[Vec<f64>]) -> Image {
        let rows = images.len().div_ceil(self.columns);
        let pitch = (self.width * self.repeat + self.gap, self.height * self.repeat + self.gap);
        let (width, height) = (self.columns * pitch.0 - self.gap, rows * pitch.1 - self.gap);
        let mut pixels = vec![MISSING; width * height];
        for (place, values) in images.iter().enumerate() {
            let corner = (place % self.columns * pitch.0, place / self.columns * pitch.1);
            self.paint(&mut pixels, width, corner, values);
        }
        Image { width, height, pixels, palette: palette(Map::Grey) }
    }

    fn paint(&self, pixels: &mut [u8], stride: usize, corner: (usize, usize), values: &[f64]) {
        let (low, high) = contrast(values);
        for y in 0..self.height * self.repeat {
            for x in 0..self.width * self.repeat {
                let value = values.get(y / self.repeat * self.width + x / self.repeat).copied().unwrap_or(f64::NAN);
                if value.is_finite() {
                    let place = (value - low) / (high - low);
                    pixels[(corner.1 + y) * stride + corner.0 + x] = (place.clamp(0.0, 1.0) * 254.0).round() as u8;
                }
            }
        }
    }
}

/// The values that are black and white.
pub fn contrast(values: &[f64]) -> (f64, f64) {
    match bounds(values.iter().copied()) {
        None => (0.0, 1.0),
        Some((low, high)) if low < 0.0 && high > 0.0 => (-high.max(-low), high.max(-low)),
        Some((low, high)) if low == high => (low - 1.0, low + 1.0),
        Some(range) => range,
    }
}
