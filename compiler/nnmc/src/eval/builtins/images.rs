//! Images: synthetic scenes, whitening, patches, and how oriented a receptive field is.

use indexmap::IndexMap;
use nnm_runtime::{math, random};

use super::data::{dataset, receiver};
use super::{Builtin, done};
use crate::eval::Call;
use crate::session::{Mode, Session};
use crate::unit::Unit;
use crate::value::{Num, Value, shaped, vector};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "dead_leaves",
        about: "`dead_leaves(size = 256, count = 40, radius = 3 .. 60)`: images of discs that hide one another, radii with density r^-3 (Matheron 1968; Lee, Mumford and Huang 2001)",
        run: dead_leaves,
    },
    Builtin {
        name: "orientation_index",
        about: "`orientation_index(fields)`: for each image [k, h, w] how oriented its power spectrum is, 0 to 1",
        run: orientation_index,
    },
];

pub const METHODS: &[Builtin] = &[
    Builtin {
        name: "whiten",
        about: "`data.whiten()`: images through the filter f exp(-(f / 0.4 n)^4), each then of variance 1 (Olshausen and Field 1996)",
        run: whiten,
    },
    Builtin {
        name: "patches",
        about: "`data.patches(x = [10, 10], count = n)`: n patches at random places of random images, as rows of field x",
        run: patches,
    },
    Builtin {
        name: "standardize",
        about: "`data.standardize()`: each row without its mean, all of them scaled to variance 1 together",
        run: standardize,
    },
];

/// Discs that cover each point this many times on average leave nothing of the ground.
const LAYERS: f64 = 8.0;

fn dead_leaves(s: &mut Session, call: &Call) -> Value {
    let (Some(size), Some(count)) = (s.int_arg(call, 0, "size", 1), s.int_arg(call, 1, "count", 1)) else {
        return Value::Missing;
    };
    let Some(e) = call.named("radius").or_else(|| call.positional(2)) else {
        return s.error("E0222", call.span, "`dead_leaves` needs `radius`: `radius = 3 .. 60`");
    };
    let (a, b) = match s.eval(call.scope, e) {
        Value::Range(Some(a), Some(b)) => (a.as_f64().unwrap_or(1.0), b.as_f64().unwrap_or(1.0)),
        Value::Missing => return Value::Missing,
        _ => return s.error("E0222", call.span, "`radius` is a range: `radius = 3 .. 60`"),
    };
    if !(a > 0.0 && b > a) {
        return s.error("E0222", call.span, "`radius` is a range of positive lengths: `radius = 3 .. 60`");
    }
    let (n, rows) = (size as usize, count as usize);
    let values = match s.mode {
        Mode::Check => vec![0.0; rows * n * n],
        Mode::Run => {
            (0..rows).flat_map(|k| leaves(n, a, b, random::key(s.seed, &format!("dead_leaves.{k}")))).collect()
        }
    };
    let mut fields = IndexMap::new();
    fields.insert("image".to_string(), Num::array(Unit::REAL, shaped(&[rows, n, n], values)));
    dataset("dead_leaves", fields, rows)
}

/// One scene: discs fall one on the other, each with a grey of its own.
fn leaves(n: usize, a: f64, b: f64, key: u64) -> Vec<f64> {
    let side = n as f64;
    let (low, high) = (1.0 / (a * a), 1.0 / (b * b));
    // The mean of r^2 under a density of r^-3 between a and b.
    let square = 2.0 * math::log(b / a) / (low - high);
    let discs = (LAYERS * side * side / (std::f64::consts::PI * square)).ceil() as u64;
    let mut image = vec![0.0; n * n];
    for disc in 0..discs {
        let draw = |k: u64| random::uniform_f64(key, disc, k);
        let u = draw(0);
        let radius = 1.0 / ((1.0 - u) * low + u * high).sqrt();
        let (x, y, grey) = (draw(1) * side, draw(2) * side, draw(3));
        let rows = (y - radius).max(0.0).ceil() as usize..=((y + radius).min(side - 1.0)).max(0.0) as usize;
        for i in rows {
            let half = radius * radius - (i as f64 - y).powi(2);
            if half <= 0.0 {
                continue;
            }
            let half = half.sqrt();
            let from = (x - half).max(0.0).ceil() as usize;
            let to = ((x + half).floor() + 1.0).clamp(0.0, side) as usize;
            for j in from..to.max(from) {
                image[i * n + j] = grey;
            }
        }
    }
    image
}

/// The discrete Fourier transform of numbers (real parts, imaginary parts), in place; powers of two by halves.
fn transform(re: &mut [f64], im: &mut [f64], backwards: bool) {
    let n = re.len();
    if n <= 1 {
        return;
    }
    if n % 2 == 1 {
        return transform_plainly(re, im, backwards);
    }
    let half = |x: &[f64], from: usize| x.iter().skip(from).step_by(2).copied().collect::<Vec<f64>>();
    let (mut even_re, mut even_im) = (half(re, 0), half(im, 0));
    let (mut odd_re, mut odd_im) = (half(re, 1), half(im, 1));
    transform(&mut even_re, &mut even_im, backwards);
    transform(&mut odd_re, &mut odd_im, backwards);
    for k in 0..n / 2 {
        let (c, s) = turn(k, n, backwards);
        let (a, b) = (c * odd_re[k] - s * odd_im[k], c * odd_im[k] + s * odd_re[k]);
        (re[k], im[k]) = (even_re[k] + a, even_im[k] + b);
        (re[k + n / 2], im[k + n / 2]) = (even_re[k] - a, even_im[k] - b);
    }
}

fn transform_plainly(re: &mut [f64], im: &mut [f64], backwards: bool) {
    let n = re.len();
    let (from_re, from_im) = (re.to_vec(), im.to_vec());
    for k in 0..n {
        (re[k], im[k]) = (0.0, 0.0);
        for j in 0..n {
            let (c, s) = turn(j * k % n, n, backwards);
            re[k] += c * from_re[j] - s * from_im[j];
            im[k] += c * from_im[j] + s * from_re[j];
        }
    }
}

/// cos and sin of the k-th of n parts of a turn, clockwise.
fn turn(k: usize, n: usize, backwards: bool) -> (f64, f64) {
    let angle = 2.0 * std::f64::consts::PI * k as f64 / n as f64;
    let sign = if backwards { 1.0 } else { -1.0 };
    (math::cos(angle), sign * math::sin(angle))
}

/// Rows, then columns, of an image [h, w].
fn transform_image(re: &mut [f64], im: &mut [f64], [h, w]: [usize; 2], backwards: bool) {
    for (a, b) in re.chunks_mut(w).zip(im.chunks_mut(w)) {
        transform(a, b, backwards);
    }
    for j in 0..w {
        let mut a: Vec<f64> = (0..h).map(|i| re[i * w + j]).collect();
        let mut b: Vec<f64> = (0..h).map(|i| im[i * w + j]).collect();
        transform(&mut a, &mut b, backwards);
        for i in 0..h {
            (re[i * w + j], im[i * w + j]) = (a[i], b[i]);
        }
    }
}

/// Whole cycles over the image, the second half of the places counting as negative.
fn cycles(k: usize, n: usize) -> f64 {
    if k < n.div_ceil(2) { k as f64 } else { k as f64 - n as f64 }
}

fn whitened(image: &[f64], h: usize, w: usize) -> Vec<f64> {
    let mean = image.iter().sum::<f64>() / image.len() as f64;
    let mut re: Vec<f64> = image.iter().map(|x| x - mean).collect();
    let mut im = vec![0.0; re.len()];
    transform_image(&mut re, &mut im, [h, w], false);
    let cut = 0.4 * h.min(w) as f64;
    for i in 0..h {
        for j in 0..w {
            let f = (cycles(i, h).powi(2) + cycles(j, w).powi(2)).sqrt();
            let gain = f * math::exp(-(f / cut).powi(4));
            re[i * w + j] *= gain;
            im[i * w + j] *= gain;
        }
    }
    transform_image(&mut re, &mut im, [h, w], true);
    let square = re.iter().map(|x| x * x).sum::<f64>() / re.len() as f64;
    let scale = if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
    re.iter().map(|x| x * scale).collect()
}

/// Each field of images changed by a function of all its numbers.
fn mapped(s: &mut Session, call: &Call, f: impl Fn(&[f64], &[usize]) -> Option<Vec<f64>>, wanted: &str) -> Value {
    let Some(data) = receiver(call) else { return Value::Missing };
    let mut out = (*data).clone();
    let mut changed = false;
    for num in out.fields.values_mut() {
        let Some(array) = num.as_const().cloned() else { continue };
        let values: Vec<f64> = array.iter().copied().collect();
        if num.class.is_none()
            && let Some(new) = f(&values, array.shape())
        {
            *num = Num::array(num.unit.clone(), shaped(array.shape(), new));
            changed = true;
        }
    }
    if !changed {
        let message = format!("`{}` needs a field of {wanted}, `{}` has none", call.name, data.name);
        return s.error("E0591", call.span, message);
    }
    Value::Data(out.into())
}

fn whiten(s: &mut Session, call: &Call) -> Value {
    let check = s.mode == Mode::Check;
    let each = |values: &[f64], shape: &[usize]| {
        let &[_, h, w] = shape else { return None };
        if check {
            return Some(values.to_vec());
        }
        Some(values.chunks(h * w).flat_map(|image| whitened(image, h, w)).collect())
    };
    mapped(s, call, each, "images [h, w]")
}

fn standardize(s: &mut Session, call: &Call) -> Value {
    let each = |values: &[f64], shape: &[usize]| {
        let row: usize = shape.get(1..).filter(|s| !s.is_empty())?.iter().product();
        let centred: Vec<f64> = values
            .chunks(row)
            .flat_map(|x| {
                let mean = x.iter().sum::<f64>() / row as f64;
                x.iter().map(move |v| v - mean).collect::<Vec<f64>>()
            })
            .collect();
        let square = centred.iter().map(|x| x * x).sum::<f64>() / centred.len() as f64;
        let scale = if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
        Some(centred.iter().map(|x| x * scale).collect())
    };
    mapped(s, call, each, "rows of several numbers")
}

fn patches(s: &mut Session, call: &Call) -> Value {
    let Some(data) = receiver(call) else { return Value::Missing };
    let Some(count) = s.int_arg(call, 1, "count", 1) else { return Value::Missing };
    let named: Vec<_> =
        call.named_args().filter(|(n, ..)| *n != "count").map(|(n, _, id)| (n.to_string(), id)).collect();
    let [(name, size)] = named.as_slice() else {
        return s.error("E0222", call.span, "`patches` needs a name and a size: `patches(x = [10, 10], count = 1000)`");
    };
    let Some(size) = s.operand(call.scope, *size) else { return Value::Missing };
    let sizes: Vec<usize> = size.num.as_const().map(|a| a.iter().map(|x| *x as usize).collect()).unwrap_or_default();
    let images = data.fields.values().filter_map(|n| n.as_const()).find(|a| a.ndim() == 3).cloned();
    let (&[h, w], Some(images)) = (sizes.as_slice(), images) else {
        return s.error(
            "E0591",
            call.span,
            "`patches` needs a field of images [h, w] and the size of a patch, `[10, 10]`",
        );
    };
    let &[rows, height, width] = images.shape() else { return Value::Missing };
    if h == 0 || w == 0 || h > height || w > width {
        let message = format!("a patch of {h} by {w} does not fit into images of {height} by {width}");
        return s.error("E0591", size.span, message);
    }
    let key = random::key(s.seed, &format!("{}.patches.{name}", data.name));
    let mut values = Vec::with_capacity(count as usize * h * w);
    for k in 0..count as u64 {
        let draw = |axis: u64, n: usize| ((random::uniform_f64(key, k, axis) * n as f64) as usize).min(n - 1);
        let (image, top, left) = (draw(0, rows), draw(1, height - h + 1), draw(2, width - w + 1));
        for i in 0..h {
            values.extend((0..w).map(|j| images[[image, top + i, left + j].as_slice()]));
        }
    }
    let mut fields = IndexMap::new();
    fields.insert(name.clone(), Num::array(Unit::REAL, shaped(&[count as usize, h * w], values)));
    dataset(&data.name, fields, count as usize)
}

/// The length of the mean of exp(2 i angle) over the power spectrum, the images in a field of zeros three times their size.
fn orientation_index(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "fields")?;
        let Some(shape) = s.shape(&x.num) else { return Some(Num::unknown(Unit::REAL)) };
        let &[count, h, w] = shape.as_slice() else {
            let found = crate::eval::types::shape_text(&shape);
            s.error("E0591", x.span, format!("`orientation_index` takes images [k, h, w], this has {found}"));
            return None;
        };
        let Some(array) = x.num.as_const() else { return Some(Num::unknown(Unit::REAL)) };
        let all: Vec<f64> = array.iter().copied().collect();
        let found = (0..count).map(|k| oriented(&all[k * h * w..(k + 1) * h * w], h, w)).collect();
        Some(Num::array(Unit::REAL, vector(found)))
    })())
}

fn oriented(image: &[f64], h: usize, w: usize) -> f64 {
    let n = (3 * h.max(w)).next_power_of_two();
    let (mut re, mut im) = (vec![0.0; n * n], vec![0.0; n * n]);
    for i in 0..h {
        re[i * n..i * n + w].copy_from_slice(&image[i * w..(i + 1) * w]);
    }
    transform_image(&mut re, &mut im, [n, n], false);
    let (mut total, mut a, mut b) = (0.0, 0.0, 0.0);
    for i in 0..n {
        for j in 0..n {
            let (y, x) = (cycles(i, n), cycles(j, n));
            let square = y * y + x * x;
            if square == 0.0 {
                continue;
            }
            let power = re[i * n + j].powi(2) + im[i * n + j].powi(2);
            total += power;
            // cos and sin of twice the angle.
            a += power * (x * x - y * y) / square;
            b += power * 2.0 * x * y / square;
        }
    }
    if total > 0.0 { (a * a + b * b).sqrt() / total } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use nnm_runtime::array::Array;

    use super::*;

    fn grating(n: usize, angle: f64) -> Array {
        let value = |k: usize| {
            let (y, x) = ((k / n) as f64, (k % n) as f64);
            math::cos(1.2 * (x * math::cos(angle) + y * math::sin(angle)))
        };
        shaped(&[n, n], (0..n * n).map(value).collect())
    }

    #[test]
    fn a_transform_and_its_reverse_give_the_numbers_back() {
        for n in [8, 10, 15] {
            let x: Vec<f64> = (0..n * n).map(|k| random::normal_f64(1, 0, k as u64)).collect();
            let (mut re, mut im) = (x.clone(), vec![0.0; n * n]);
            transform_image(&mut re, &mut im, [n, n], false);
            transform_image(&mut re, &mut im, [n, n], true);
            let scale = (n * n) as f64;
            assert!(re.iter().zip(&x).all(|(a, b)| (a / scale - b).abs() < 1e-12), "{n}");
        }
    }

    #[test]
    fn gratings_are_oriented_and_noise_is_not() {
        for angle in [0.0, 0.5, 1.3] {
            let image: Vec<f64> = grating(10, angle).iter().copied().collect();
            assert!(oriented(&image, 10, 10) > 0.5, "{angle}");
        }
        let noise: Vec<f64> = (0..100).map(|k| random::normal_f64(3, 0, k)).collect();
        assert!(oriented(&noise, 10, 10) < 0.4);
    }
}
