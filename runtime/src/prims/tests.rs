//! Each family against its formula, and the refusals.

use std::collections::BTreeSet;

use super::{all, find};
use crate::abi::{ArgKind, status};

/// An argument of a test call.
enum Word<'a> {
    F32(&'a mut [f32]),
    F64(&'a mut [f64]),
    Index(&'a mut [u32]),
    Count(&'a mut [i64]),
    Int(i64),
}

/// Calls a primitive; its buffers must be as long as it says it reaches.
fn call(name: &str, words: Vec<Word>) -> i32 {
    let def = find(name).unwrap();
    assert_eq!(words.len(), def.args.len(), "{name}");
    let ints: Vec<i64> = words.iter().filter_map(|w| if let Word::Int(x) = w { Some(*x) } else { None }).collect();
    let mut reach = (def.reach)(&ints).into_iter();
    let mut single = false;
    let mut raw = vec![];
    for word in words {
        let (value, len) = match word {
            Word::F32(x) => {
                single = true;
                (x.as_mut_ptr() as u64, x.len())
            }
            Word::F64(x) => (x.as_mut_ptr() as u64, x.len()),
            Word::Index(x) => (x.as_mut_ptr() as u64, x.len()),
            Word::Count(x) => (x.as_mut_ptr() as u64, x.len()),
            Word::Int(x) => {
                raw.push(x as u64);
                continue;
            }
        };
        assert_eq!(reach.next(), Some(len as i64), "{name}: reach of argument {}", raw.len());
        raw.push(value);
    }
    // SAFETY: the words are as the table says, and each buffer is as long as the call reaches.
    unsafe { if single { (def.f32)(raw.as_ptr()) } else { (def.f64)(raw.as_ptr()) } }
}

fn with<'a>(buffers: Vec<Word<'a>>, values: &[i64]) -> Vec<Word<'a>> {
    buffers.into_iter().chain(values.iter().map(|x| Word::Int(*x))).collect()
}

fn numbers(n: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7919 + 13) % 1009) as f64 / 1009.0 - 0.5).collect()
}

#[test]
fn the_table_is_sound() {
    let names: BTreeSet<&str> = all().map(|def| def.name).collect();
    assert_eq!(names.len(), all().count());
    for def in all() {
        let ints = def.args.iter().filter(|(_, kind)| *kind == ArgKind::Int).count();
        let buffers = def.args.iter().filter(|(_, kind)| !matches!(kind, ArgKind::Int | ArgKind::Real)).count();
        assert_eq!((def.reach)(&vec![1; ints]).len(), buffers, "{}", def.name);
        assert_eq!((def.reach)(&vec![0; ints]).len(), buffers, "{}", def.name);
        let named: BTreeSet<&str> = def.args.iter().map(|(name, _)| *name).collect();
        assert_eq!(named.len(), def.args.len(), "{}", def.name);
    }
}

#[test]
fn products() {
    let (mut a, mut b) = (numbers(2 * 3 * 4), numbers(2 * 4 * 5));
    let value =
        |p: usize, i: usize, j: usize| (0..4).map(|q| a[p * 12 + q * 3 + i] * b[p * 20 + q * 5 + j]).sum::<f64>();
    let each: Vec<f64> = (0..30).map(|k| value(k / 15, k / 5 % 3, k % 5)).collect();
    let summed: Vec<f64> = (0..15).map(|k| 1.0 + each[k] + each[15 + k]).collect();
    let mut c = vec![f64::NAN; 30];
    let sizes = |step_c: i64, add: i64| [2, 3, 5, 4, step_c, 12, 20, 1, 0, add];
    let words = with(vec![Word::F64(&mut c), Word::F64(&mut a), Word::F64(&mut b)], &sizes(15, 0));
    assert_eq!(call("gemm", words), status::OK);
    assert!(c.iter().zip(&each).all(|(x, y)| (x - y).abs() < 1e-14));
    let mut c = vec![1.0; 15];
    let words = with(vec![Word::F64(&mut c), Word::F64(&mut a), Word::F64(&mut b)], &sizes(0, 1));
    assert_eq!(call("gemm", words), status::OK);
    assert!(c.iter().zip(&summed).all(|(x, y)| (x - y).abs() < 1e-14));
    let mut c = vec![f64::NAN; 4];
    let words = with(vec![Word::F64(&mut c), Word::F64(&mut []), Word::F64(&mut [])], &[0, 2, 2, 3, 0, 6, 6, 0, 0, 0]);
    assert_eq!(call("gemm", words), status::OK);
    assert_eq!(c, vec![0.0; 4], "the sum over no samples");
}

#[test]
fn strided_copies() {
    let mut src: Vec<f64> = (0..12).map(f64::from).collect();
    let mut out = vec![0.0; 12];
    // the transpose of 3 x 4
    let strides = [1, 1, 1, 1, 1, 1, 4, 3, 0, 0, 0, 0, 0, 0, 1, 4, 0];
    assert_eq!(call("take", with(vec![Word::F64(&mut out), Word::F64(&mut src)], &strides)), status::OK);
    assert_eq!(out, [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
    // a row backwards, twice
    let mut out = vec![0.0; 8];
    let strides = [1, 1, 1, 1, 1, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, -1, 11];
    assert_eq!(call("take", with(vec![Word::F64(&mut out), Word::F64(&mut src)], &strides)), status::OK);
    assert_eq!(out, [11., 10., 9., 8., 11., 10., 9., 8.]);
    // every second place from 1
    let mut whole = vec![0.0f32; 6];
    let mut part = vec![7.0f32, 8.0, 9.0];
    let strides = [1, 1, 1, 1, 1, 1, 1, 3, 0, 0, 0, 0, 0, 0, 0, 2, 1];
    assert_eq!(call("put", with(vec![Word::F32(&mut whole), Word::F32(&mut part)], &strides)), status::OK);
    assert_eq!(whole, [0., 7., 0., 8., 0., 9.]);
}

#[test]
fn access_by_index() {
    let mut src: Vec<f64> = (0..12).map(f64::from).collect();
    let mut index = vec![2.0, 0.0];
    let mut out = vec![0.0; 4];
    let sizes = [2, 1, 3, 1, 2, 6, 1];
    let words = vec![Word::F64(&mut out), Word::F64(&mut src), Word::F64(&mut index)];
    assert_eq!(call("gather", with(words, &sizes)), status::OK);
    assert_eq!(out, [4., 5., 6., 7.]);
    for wrong in [3.0, -1.0, f64::NAN] {
        let mut index = vec![0.0, wrong];
        let words = vec![Word::F64(&mut out), Word::F64(&mut src), Word::F64(&mut index)];
        assert_eq!(call("gather", with(words, &sizes)), status::OUTSIDE);
    }
    let mut sums = vec![9.0; 3];
    let (mut src, mut index) = (vec![1.0, 2.0, 4.0, 8.0], vec![0, 2]);
    let words = vec![Word::F64(&mut sums), Word::F64(&mut src), Word::Index(&mut index)];
    assert_eq!(call("scatter_add_at", with(words, &[2, 1, 3, 2, 1, 0, 2, 0])), status::OK);
    assert_eq!(sums, [5., 0., 10.], "summed over both samples");
    let mut rows: Vec<f64> = (0..6).map(f64::from).collect();
    let mut into = vec![0.0; 4];
    let mut order = vec![2, 0];
    let words = vec![Word::F64(&mut into), Word::F64(&mut rows), Word::Index(&mut order)];
    assert_eq!(call("fetch", with(words, &[2, 2, 3])), status::OK);
    assert_eq!(into, [4., 5., 0., 1.]);
    let mut order = vec![3, 0];
    let words = vec![Word::F64(&mut into), Word::F64(&mut rows), Word::Index(&mut order)];
    assert_eq!(call("fetch", with(words, &[2, 2, 3])), status::BUG);
}

/// Sums along rows are those of 16 lanes joined pairwise, whatever the machine.
#[test]
fn sums_have_one_order() {
    for n in [1, 5, 16, 33, 200] {
        let mut src: Vec<f32> = numbers(3 * n).into_iter().map(|x| x as f32).collect();
        let expected: Vec<f32> = src
            .chunks(n)
            .map(|row| {
                let mut lanes = [0f32; 16];
                row.iter().enumerate().for_each(|(j, x)| lanes[j % 16] += x);
                for width in [8, 4, 2, 1] {
                    (0..width).for_each(|l| lanes[l] += lanes[l + width]);
                }
                lanes[0]
            })
            .collect();
        let mut out = vec![0.0; 3];
        assert_eq!(call("sum", with(vec![Word::F32(&mut out), Word::F32(&mut src)], &[3, n as i64, 1])), status::OK);
        assert_eq!(out, expected);
    }
}

#[test]
fn reductions_along_an_axis() {
    let mut src = vec![1., 5., 3., 2., 4., 9., 0., 7., 3., 8., 4., 6.];
    let run = |name: &str, src: &mut [f64]| {
        let mut out = vec![0.0; 4];
        assert_eq!(call(name, with(vec![Word::F64(&mut out), Word::F64(src)], &[2, 3, 2])), status::OK);
        out
    };
    assert_eq!(run("sum", &mut src), [8., 16., 7., 21.]);
    assert_eq!(run("max", &mut src), [4., 9., 4., 8.]);
    assert_eq!(run("min", &mut src), [1., 2., 0., 6.]);
    assert_eq!(run("prod", &mut src), [12., 90., 0., 336.]);
    assert_eq!(run("argmax", &mut src), [2., 2., 2., 1.]);
    let mut numbers = vec![2.0, f64::NAN, 1.0, 2.0, -0.0, 0.0];
    let mut places = vec![0.0; 6];
    let mut sorted = |descending: i64| {
        let words = vec![Word::F64(&mut places), Word::F64(&mut numbers)];
        assert_eq!(call("argsort", with(words, &[1, 6, descending])), status::OK);
        places.clone()
    };
    assert_eq!(sorted(0), [4., 5., 2., 0., 3., 1.]);
    assert_eq!(sorted(1), [1., 0., 3., 2., 4., 5.]);
    let mut out = vec![0.0; 6];
    let mut row = src[..6].to_vec();
    assert_eq!(call("cumsum", with(vec![Word::F64(&mut out), Word::F64(&mut row)], &[1, 3, 2, 1])), status::OK);
    assert_eq!(out, [8., 16., 7., 11., 4., 9.]);
}

#[test]
fn events() {
    let mut flags = vec![0.0; 100];
    (flags[3], flags[64], flags[99]) = (1.0, 2.0, 1.0);
    let (mut list, mut count) = (vec![0; 6], vec![0]);
    let words = vec![Word::Index(&mut list), Word::Count(&mut count), Word::F64(&mut flags)];
    assert_eq!(call("compact", with(words, &[100, 6])), status::OK);
    assert_eq!((&list[..4], count[0]), (&[3, 64, 64, 99][..], 4));
    let mut short = vec![0; 3];
    let words = vec![Word::Index(&mut short), Word::Count(&mut count), Word::F64(&mut flags)];
    assert_eq!(call("compact", with(words, &[100, 3])), status::BUG, "the list is too short");
    let (mut cells, mut steps, mut used) = (vec![0; 5], vec![0; 5], vec![1]);
    let mut log = |list: &mut [u32], step: i64| {
        let n = list.len() as i64;
        let words = vec![Word::Index(&mut cells), Word::Index(&mut steps), Word::Count(&mut used), Word::Index(list)];
        (call("log", with(words, &[n, step, 5])), used[0])
    };
    assert_eq!(log(&mut [7, 8], 11), (status::OK, 3));
    assert_eq!(log(&mut [1, 2, 3], 12), (status::LOG_FULL, 3));
    assert_eq!(log(&mut [9], 13), (status::OK, 4));
    assert_eq!((&cells[1..4], &steps[1..4]), (&[7, 8, 9][..], &[11, 11, 13][..]));
}

#[test]
fn what_has_diverged_is_found_before_it_is_infinite() {
    for (value, found) in [(-1e100, -1), (1.1e100, 3), (-1.1e100, 3), (f64::NAN, 3)] {
        let (mut x, mut place) = (vec![1.0; 5], vec![0]);
        x[3] = value;
        let words = with(vec![Word::Count(&mut place), Word::F64(&mut x)], &[5]);
        assert_eq!((call("find_bad", words), &place[..]), (status::OK, &[found][..]), "{value}");
    }
}

#[test]
fn what_is_not_finite_is_found() {
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = vec![f32::MAX; 70];
        let mut place = vec![0];
        let words = with(vec![Word::Count(&mut place), Word::F32(&mut x)], &[70]);
        assert_eq!(call("find_bad", words), status::OK);
        assert_eq!(place, [-1]);
        (x[45], x[60]) = (wrong, f32::NAN);
        let words = with(vec![Word::Count(&mut place), Word::F32(&mut x)], &[70]);
        assert_eq!(call("find_bad", words), status::OK);
        assert_eq!(place, [45]);
    }
}

#[test]
fn casts_and_copies() {
    let mut out = vec![2.5f32; 3];
    let mut index = vec![0; 3];
    assert_eq!(call("to_index", with(vec![Word::Index(&mut index), Word::F32(&mut out)], &[3])), status::OK);
    assert_eq!(index, [2; 3]);
    let mut row = vec![0.0f32; 6];
    let mut two = vec![4.0f32, 5.0];
    assert_eq!(call("columns", with(vec![Word::F32(&mut row), Word::F32(&mut two)], &[2, 3])), status::OK);
    assert_eq!(row, [4., 4., 4., 5., 5., 5.]);
    assert_eq!(call("rows", with(vec![Word::F32(&mut row), Word::F32(&mut two)], &[3, 2])), status::OK);
    assert_eq!(row, [4., 5., 4., 5., 4., 5.]);
}

#[test]
fn lists_of_parts_are_joined() {
    let (mut list, mut count) = ([0u32; 4], [0i64]);
    let (mut lists, mut counts, mut bounds) = ([3u32, 9, 9, 9, 0, 2, 9, 9], [1i64, 7, 2, 7], [0u32, 16]);
    let mut join = |counts: &mut [i64]| {
        let words = vec![
            Word::Index(&mut list),
            Word::Count(&mut count),
            Word::Index(&mut lists),
            Word::Count(counts),
            Word::Index(&mut bounds),
            Word::Int(2),
            Word::Int(2),
            Word::Int(4),
        ];
        call("join_lists", words)
    };
    assert_eq!(join(&mut [3, 0, 2, 0]), status::BUG, "more than there is room for");
    assert_eq!(join(&mut counts), status::OK);
    assert_eq!((&list[..3], count[0]), (&[3, 16, 18][..], 3));
    assert_eq!(call("meet", vec![Word::Int(2)]), status::OK);
}
