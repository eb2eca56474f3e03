//! Sums of products named by letters: `einsum("bij,bjk->bik", a, b)`.

use nnm_graph::ShapeError;
use nnm_graph::ir::{Binary, Graph, NodeId, Reduce};

use super::{Builtin, done};
use crate::eval::Call;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Value, vector};

pub const FUNCTIONS: &[Builtin] = &[Builtin {
    name: "einsum",
    about: "`einsum(\"ij,jk->ik\", a, b)`: a letter for each axis; products of what has one letter in common, summed over letters that the result has not; `...` are leading axes that pass through",
    run: einsum,
}];

/// A tensor with a letter for each axis.
#[derive(Clone)]
struct Lettered {
    node: NodeId,
    letters: Vec<char>,
}

/// What the text says: the letters of each operand and of the result, with `.` for each axis of an ellipsis.
struct Plan {
    operands: Vec<String>,
    result: Option<String>,
}

const ELLIPSIS: &str = "...";

fn einsum(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let text = s.text_arg(call, 0, "form")?;
        let mut operands = vec![];
        for k in 1..call.count() {
            operands.push(s.num_arg(call, k, "operand")?);
        }
        let plan = match parsed(&text) {
            Ok(plan) if plan.operands.len() == operands.len() => plan,
            Ok(plan) => {
                let n = crate::suggest::counted(plan.operands.len(), "tensor");
                s.error("E0236", call.span, format!("\"{text}\" is about {n}, here are {}", operands.len()));
                return None;
            }
            Err(why) => {
                s.error("E0236", call.span, format!("`einsum` takes a form such as \"ij,jk->ik\": {why}"));
                return None;
            }
        };
        let unit = operands.iter().fold(Unit::REAL, |unit, x| unit.times(&x.num.unit));
        let nums: Vec<&Num> = operands.iter().map(|x| &x.num).collect();
        Some(s.apply(call.span, unit, &nums, |g, n| contracted(g, &plan, n)))
    })())
}

fn parsed(text: &str) -> Result<Plan, String> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match plain.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (plain.as_str(), None),
    };
    let operands: Vec<String> = left.split(',').map(str::to_string).collect();
    for part in operands.iter().map(String::as_str).chain(right) {
        let letters = part.replacen(ELLIPSIS, "", 1);
        if let Some(c) = letters.chars().find(|c| !c.is_ascii_alphabetic()) {
            return Err(format!("`{c}` is no letter"));
        }
    }
    if let Some(right) = right {
        let letters: Vec<char> = right.replace('.', "").chars().collect();
        if let Some(c) = letters.iter().find(|c| !left.contains(**c)) {
            return Err(format!("`{c}` of the result is in no operand"));
        }
        if let Some(c) = letters.iter().enumerate().find(|(k, c)| letters[..*k].contains(c)) {
            return Err(format!("`{}` stands twice in the result", c.1));
        }
    }
    Ok(Plan { operands, result: right.map(str::to_string) })
}

fn wrong(reason: String, shapes: Vec<Vec<usize>>) -> ShapeError {
    ShapeError { op: "einsum", shapes, reason }
}

/// Marks for the axes of ellipses, aligned at the last.
fn mark(place_from_last: usize) -> char {
    char::from_u32('\u{e000}' as u32 + place_from_last as u32).unwrap_or('\u{e000}')
}

/// The letters of an operand of this rank, ellipses written out.
fn spelled(part: &str, rank: usize) -> Option<Vec<char>> {
    let Some(at) = part.find(ELLIPSIS) else {
        let letters: Vec<char> = part.chars().collect();
        return (letters.len() == rank).then_some(letters);
    };
    let own = part.len() - ELLIPSIS.len();
    let missing = rank.checked_sub(own)?;
    let marks = (0..missing).rev().map(mark);
    Some(part[..at].chars().chain(marks).chain(part[at + ELLIPSIS.len()..].chars()).collect())
}

fn contracted(g: &mut Graph, plan: &Plan, nodes: &[NodeId]) -> Result<NodeId, ShapeError> {
    let mut operands = vec![];
    for (part, node) in plan.operands.iter().zip(nodes) {
        let shape = g.shape(*node).to_vec();
        let Some(letters) = spelled(part, shape.len()) else {
            return Err(wrong(format!("\"{part}\" does not name each axis once"), vec![shape]));
        };
        operands.push(without_repeats(g, Lettered { node: *node, letters })?);
    }
    let result = result_letters(plan, &operands);
    let sizes = extents(g, &operands)?;
    let mut rest = operands.into_iter();
    let Some(mut all) = rest.next() else { return Err(wrong("there is nothing to sum".into(), vec![])) };
    let later: Vec<Lettered> = rest.collect();
    all = summed_over_lonely(g, all, &later, &result)?;
    for (k, next) in later.iter().enumerate() {
        let mut others = later[k + 1..].to_vec();
        others.push(all.clone());
        let next = summed_over_lonely(g, next.clone(), &others, &result)?;
        all = joined(g, all, next, &later[k + 1..], &result)?;
    }
    let order: Vec<usize> = result.iter().filter_map(|c| all.letters.iter().position(|l| l == c)).collect();
    let out = g.permute(all.node, &order)?;
    let to: Vec<usize> = result.iter().filter_map(|c| sizes.iter().find(|(l, _)| l == c)).map(|(_, n)| *n).collect();
    g.broadcast_to(out, &to)
}

/// As written, else the ellipsis and all letters that stand once, in the order of the alphabet.
fn result_letters(plan: &Plan, operands: &[Lettered]) -> Vec<char> {
    let mut marks: Vec<char> = operands.iter().flat_map(|o| &o.letters).copied().filter(|c| *c >= mark(0)).collect();
    marks.sort_unstable();
    marks.dedup();
    marks.reverse();
    match &plan.result {
        Some(result) => match result.find(ELLIPSIS) {
            Some(at) => result[..at].chars().chain(marks).chain(result[at + ELLIPSIS.len()..].chars()).collect(),
            None => result.chars().collect(),
        },
        None => {
            let all: String = plan.operands.concat();
            let mut once: Vec<char> = all.chars().filter(|c| *c != '.' && all.matches(*c).count() == 1).collect();
            once.sort_unstable();
            marks.into_iter().chain(once).collect()
        }
    }
}

/// The length of each letter; one of length 1 fits any.
fn extents(g: &Graph, operands: &[Lettered]) -> Result<Vec<(char, usize)>, ShapeError> {
    let mut out: Vec<(char, usize)> = vec![];
    for operand in operands {
        for (c, n) in operand.letters.iter().zip(g.shape(operand.node)) {
            match out.iter_mut().find(|(l, _)| l == c) {
                Some((_, m)) if *m == *n || *n == 1 => {}
                Some((_, m)) if *m == 1 => *m = *n,
                Some((_, m)) => {
                    let shapes = operands.iter().map(|o| g.shape(o.node).to_vec()).collect();
                    return Err(wrong(format!("`{c}` is {m} and {n} long"), shapes));
                }
                None => out.push((*c, *n)),
            }
        }
    }
    Ok(out)
}

/// A letter that stands twice in one operand: its diagonal.
fn without_repeats(g: &mut Graph, mut x: Lettered) -> Result<Lettered, ShapeError> {
    let twice = |x: &Lettered| {
        (0..x.letters.len()).find_map(|k| (0..k).find(|j| x.letters[*j] == x.letters[k]).map(|j| (j, k)))
    };
    while let Some((j, k)) = twice(&x) {
        let shape = g.shape(x.node).to_vec();
        if shape[j] != shape[k] {
            return Err(wrong(format!("`{}` is {} and {} long", x.letters[j], shape[j], shape[k]), vec![shape]));
        }
        let rank = shape.len();
        let mut order: Vec<usize> = (0..rank).filter(|a| *a != j && *a != k).collect();
        order.extend([j, k]);
        let n = shape[j];
        let last = g.permute(x.node, &order)?;
        let rest: Vec<usize> = g.shape(last)[..rank - 2].to_vec();
        let flat = g.reshape(last, &[&rest[..], &[n * n]].concat())?;
        let places = g.tensor(vector((0..n).map(|i| (i * (n + 1)) as f64).collect()));
        x.node = g.gather(flat, rank - 2, places)?;
        x.letters = order[..rank - 1].iter().map(|a| x.letters[*a]).collect();
    }
    Ok(x)
}

/// Without the letters that stand neither in the others nor in the result.
fn summed_over_lonely(
    g: &mut Graph,
    x: Lettered,
    others: &[Lettered],
    result: &[char],
) -> Result<Lettered, ShapeError> {
    let needed = |c: &char| result.contains(c) || others.iter().any(|o| o.letters.contains(c));
    let axes: Vec<usize> = (0..x.letters.len()).filter(|k| !needed(&x.letters[*k])).collect();
    if axes.is_empty() {
        return Ok(x);
    }
    let node = g.reduce(Reduce::Sum, x.node, &axes)?;
    Ok(Lettered { node, letters: x.letters.into_iter().filter(|c| needed(c)).collect() })
}

/// The product of two, summed over the letters that both have and nothing later needs: a stack of matrix products.
fn joined(
    g: &mut Graph,
    a: Lettered,
    b: Lettered,
    later: &[Lettered],
    result: &[char],
) -> Result<Lettered, ShapeError> {
    let needed = |c: &char| result.contains(c) || later.iter().any(|o| o.letters.contains(c));
    let both: Vec<char> = a.letters.iter().copied().filter(|c| b.letters.contains(c)).collect();
    let (kept, gone): (Vec<char>, Vec<char>) = both.into_iter().partition(needed);
    let own_a: Vec<char> = a.letters.iter().copied().filter(|c| !b.letters.contains(c)).collect();
    let own_b: Vec<char> = b.letters.iter().copied().filter(|c| !a.letters.contains(c)).collect();
    let x = arranged(g, &a, &[&kept, &own_a, &gone])?;
    let y = arranged(g, &b, &[&kept, &gone, &own_b])?;
    let letters = [&kept[..], &own_a, &own_b].concat();
    let lengths = |g: &Graph, of: &Lettered, letters: &[char]| -> Vec<usize> {
        letters.iter().filter_map(|c| of.letters.iter().position(|l| l == c)).map(|k| g.shape(of.node)[k]).collect()
    };
    let (lead_a, lead_b) = (lengths(g, &a, &kept), lengths(g, &b, &kept));
    let lead: Vec<usize> = lead_a.iter().zip(&lead_b).map(|(m, n)| *m.max(n)).collect();
    let to = [lead.clone(), lengths(g, &a, &own_a), lengths(g, &b, &own_b)].concat();
    let node = if gone.is_empty() {
        let (rows, columns) = (own_a.len(), own_b.len());
        let x = reshaped(g, x, |s| [s, vec![1; columns]].concat())?;
        let y = reshaped(g, y, |s| {
            let (lead, rest) = s.split_at(s.len() - columns);
            [lead, &vec![1; rows], rest].concat()
        })?;
        g.binary(Binary::Mul, x, y)?
    } else {
        let (sum_a, sum_b) = (lengths(g, &a, &gone), lengths(g, &b, &gone));
        let wide: Vec<usize> = sum_a.iter().zip(&sum_b).map(|(m, n)| *m.max(n)).collect();
        let rows = lengths(g, &a, &own_a);
        let columns = lengths(g, &b, &own_b);
        let count = |s: &[usize]| s.iter().product::<usize>();
        let x = g.broadcast_to(x, &[&lead[..], &rows, &wide].concat())?;
        let x = g.reshape(x, &[&lead[..], &[count(&rows), count(&wide)]].concat())?;
        let y = g.broadcast_to(y, &[&lead[..], &wide, &columns].concat())?;
        let y = g.reshape(y, &[&lead[..], &[count(&wide), count(&columns)]].concat())?;
        g.matmul(x, y)?
    };
    let node = g.reshape(node, &to)?;
    Ok(Lettered { node, letters })
}

fn reshaped(g: &mut Graph, x: NodeId, to: impl Fn(Vec<usize>) -> Vec<usize>) -> Result<NodeId, ShapeError> {
    let shape = to(g.shape(x).to_vec());
    g.reshape(x, &shape)
}

/// The axes in the order of groups of letters.
fn arranged(g: &mut Graph, x: &Lettered, groups: &[&Vec<char>]) -> Result<NodeId, ShapeError> {
    let order: Vec<usize> =
        groups.iter().flat_map(|l| l.iter()).filter_map(|c| x.letters.iter().position(|l| l == c)).collect();
    g.permute(x.node, &order)
}
