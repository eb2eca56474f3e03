//! Fewer points that look the same: at most four a pixel column of a line, at most one a pixel of a cloud.

use crate::axes::Frame;
use crate::svg::number;

/// The path of a line through points, with gaps where a value is missing.
pub fn line_path(frame: &Frame, x: &[f64], y: &[f64]) -> String {
    let places = x.iter().zip(y).map(|(&x, &y)| (frame.x.place(x), frame.y.place(y)));
    let many = x.len().min(y.len()) > 4 * frame.inside.width() as usize;
    let grows = x.windows(2).all(|pair| pair[0] <= pair[1]);
    match (many, grows) {
        (false, _) => path_of(places),
        (true, true) => path_of(extremes(places).into_iter()),
        (true, false) => path_of(apart(places).into_iter()),
    }
}

/// The path of points whose gaps are NaN.
fn path_of(places: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    let mut last = String::new();
    for (x, y) in places {
        if !(x.is_finite() && y.is_finite()) {
            if pen_down && path.ends_with(&format!("M{last}")) {
                path.push_str("h0"); // a point on its own, drawn by its round ends
            }
            pen_down = false;
            continue;
        }
        let point = format!("{} {}", number(x), number(y));
        if pen_down && point == last {
            continue;
        }
        path.push(if pen_down { 'L' } else { 'M' });
        path.push_str(&point);
        (pen_down, last) = (true, point);
    }
    if pen_down && path.ends_with(&format!("M{last}")) {
        path.push_str("h0");
    }
    path
}

/// First, least, largest and last point of every pixel column, in the order in which they came.
fn extremes(places: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept = Vec::new();
    let mut column: Vec<(f64, f64)> = Vec::new();
    let mut current = i64::MIN;
    for (x, y) in places {
        if !(x.is_finite() && y.is_finite()) {
            flush(&mut column, &mut kept);
            kept.push((f64::NAN, f64::NAN));
            current = i64::MIN;
            continue;
        }
        let pixel = x.floor() as i64;
        if pixel != current {
            flush(&mut column, &mut kept);
            current = pixel;
        }
        merge(&mut column, (x, y));
    }
    flush(&mut column, &mut kept);
    kept
}

/// A column holds its first point, the least and the largest so far with their order, and the last.
fn merge(column: &mut Vec<(f64, f64)>, point: (f64, f64)) {
    column.push(point);
    if column.len() < 64 {
        return;
    }
    *column = thinned(column);
}

fn flush(column: &mut Vec<(f64, f64)>, kept: &mut Vec<(f64, f64)>) {
    kept.extend(thinned(column));
    column.clear();
}

fn thinned(column: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if column.len() <= 4 {
        return column.to_vec();
    }
    let least = (0..column.len()).min_by(|&a, &b| column[a].1.total_cmp(&column[b].1)).unwrap_or(0);
    let largest = (0..column.len()).max_by(|&a, &b| column[a].1.total_cmp(&column[b].1)).unwrap_or(0);
    let mut places = [0, least.min(largest), least.max(largest), column.len() - 1].to_vec();
    places.dedup();
    places.into_iter().map(|place| column[place]).collect()
}

/// Leaves out points within half a pixel of the last one kept.
fn apart(places: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (x, y) in places {
        let near = kept.last().is_some_and(|&(a, b)| (x - a).abs() < 0.5 && (y - b).abs() < 0.5);
        if !near {
            kept.push((x, y));
        }
    }
    kept
}

/// Values averaged into a grid of at most `limit` columns or rows: `values[row * columns + column]`.
pub fn block_means(values: &[f64], rows: usize, columns: usize, limit: (usize, usize)) -> (Vec<f64>, usize, usize) {
    let (new_rows, new_columns) = (rows.min(limit.1), columns.min(limit.0));
    if (new_rows, new_columns) == (rows, columns) {
        return (values.to_vec(), rows, columns);
    }
    let mut sums = vec![0.0; new_rows * new_columns];
    let mut counts = vec![0u32; new_rows * new_columns];
    for row in 0..rows {
        for column in 0..columns {
            let value = values.get(row * columns + column).copied().unwrap_or(f64::NAN);
            if value.is_finite() {
                let place = row * new_rows / rows * new_columns + column * new_columns / columns;
                sums[place] += value;
                counts[place] += 1;
            }
        }
    }
    let means = sums.iter().zip(&counts).map(|(&sum, &count)| sum / f64::from(count)).collect();
    (means, new_rows, new_columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_lone_points() {
        let places = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 4.0), (4.0, f64::NAN), (5.0, 6.0)];
        assert_eq!(path_of(places.into_iter()), "M0 1L1 2M3 4h0M5 6h0");
    }

    #[test]
    fn extremes_survive() {
        let points = (0..1000).map(|i| (f64::from(i) / 1000.0, if i == 500 { 9.0 } else { 1.0 }));
        let kept = extremes(points);
        assert!(kept.len() <= 4 && kept.iter().any(|&(_, y)| y == 9.0));
    }

    #[test]
    fn means_of_blocks() {
        let (means, rows, columns) = block_means(&[1.0, 3.0, f64::NAN, 5.0], 1, 4, (2, 9));
        assert_eq!((means, rows, columns), (vec![2.0, 5.0], 1, 2));
    }
}
