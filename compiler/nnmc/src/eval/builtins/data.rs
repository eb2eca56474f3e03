//! Data sets: read from files, written out, or drawn; rows chosen and fields changed.

use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::Axis;
use nnm_runtime::array::Array;
use nnm_runtime::data::DataError;
use nnm_runtime::random;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::{Builtin, done};
use crate::eval::{Call, Closure};
use crate::files;
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Dataset, Num, Repr, Value, shaped, vector};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "csv",
        about: "`csv(\"file.csv\", x = columns(0 .. 4), label = column(\"label\"))`: fields from a table with a header",
        run: csv,
    },
    Builtin { name: "column", about: "`column(\"name\")` inside `csv`: one column", run: column },
    Builtin { name: "table", about: "`table(x = [[0, 1], [1, 0]], y = [1, 0])`: rows written out", run: table },
    Builtin {
        name: "idx",
        about: "`idx(images = \"a-idx3-ubyte.gz\", labels = \"b-idx1-ubyte.gz\")`: fields `image` and `label`",
        run: idx,
    },
    Builtin { name: "npy", about: "`npy(\"file.npy\")`: one array", run: npy },
    Builtin { name: "npz", about: "`npz(\"file.npz\")`: named arrays as fields", run: npz },
    Builtin {
        name: "gaussian",
        about: "`gaussian(x = covariance(spectrum = [4, 1]), samples = n)`: samples of mean 0, of the covariance's eigenvalues along random directions",
        run: gaussian,
    },
    Builtin {
        name: "covariance",
        about: "`covariance(spectrum = […])` inside `gaussian`: its eigenvalues",
        run: covariance,
    },
    Builtin {
        name: "pca",
        about: "`pca(x)`: `.components` (one a row) and `.variances` of samples, largest first",
        run: pca,
    },
    Builtin { name: "permute", about: "`permute(x, seed = k)`: the elements in one fixed random order", run: permute },
    Builtin { name: "sample", about: "`sample(DIST, [n, d])`: a tensor of draws", run: sample },
];

pub const METHODS: &[Builtin] = &[
    Builtin {
        name: "split",
        about: "`data.split(test = every(5))`, `data.split(80 %)`: `.train` and `.test`",
        run: split,
    },
    Builtin { name: "map", about: "`data.map(image = f(image))`: fields changed or added", run: map },
    Builtin { name: "sample", about: "`data.sample(n)`: n rows drawn without repetition", run: sample_rows },
];

pub fn dataset(name: &str, fields: IndexMap<String, Num>, rows: usize) -> Value {
    Value::Data(Dataset { name: name.into(), fields, parts: IndexMap::new(), rows }.into())
}

fn file_error(s: &mut Session, call: &Call, error: &DataError) -> Value {
    let d = Diagnostic::error("E0601", call.span, error.to_string());
    s.fail(d.help("paths are relative to the model's file; `--data DIR` or `NNM_DATA` adds a place to look"))
}

/// A column of whole numbers from 0 on is a label.
fn labelled(array: Array) -> Num {
    let whole = !array.is_empty() && array.iter().all(|v| *v >= 0.0 && v.fract() == 0.0 && *v < 1e6);
    let class = whole.then(|| array.iter().fold(0.0f64, |a, b| a.max(*b)) as usize + 1);
    Num { class, ..Num::array(Unit::REAL, array) }
}

fn csv(s: &mut Session, call: &Call) -> Value {
    let Some(file) = s.text_arg(call, 0, "file") else { return Value::Missing };
    let table = match files::csv(s.host.files(), &file) {
        Ok(table) => table,
        Err(error) => return file_error(s, call, &error),
    };
    let rows = table.rows;
    let scope = s.inner(call.scope);
    let columns: IndexMap<String, Value> =
        table.columns.into_iter().map(|(n, a)| (n, Value::Num(labelled(a)))).collect();
    s.bind(scope, "the table", Value::Record(Arc::new(columns)));
    let named: Vec<_> = call.named_args().map(|(n, _, id)| (n.to_string(), id)).collect();
    let mut fields = IndexMap::new();
    for (name, id) in named {
        let Some(x) = s.operand(scope, id) else { return Value::Missing };
        if let Some([length, rest @ ..]) = s.shape(&x.num).as_deref()
            && *length != rows
        {
            let message = format!("`{name}` has {length} rows, the table of `{file}` has {rows}");
            let d = Diagnostic::error("E0606", x.span, message);
            return s.fail(match rest {
                [other] if *other == rows => {
                    let text = s.text(x.span).trim().to_string();
                    d.help(format!("a list of columns is one column after the other; side by side they are `transpose({text})`, or `columns(0 .. {length})`"))
                }
                _ => d,
            });
        }
        fields.insert(name, x.num);
    }
    if fields.is_empty()
        && let Some(Value::Record(columns)) = s.local(scope, "the table", call.span)
    {
        for (name, value) in columns.iter() {
            if let Value::Num(num) = value {
                fields.insert(name.clone(), num.clone());
            }
        }
    }
    dataset(&file, fields, rows)
}

fn the_table(s: &mut Session, call: &Call) -> Option<Arc<IndexMap<String, Value>>> {
    match s.local(call.scope, "the table", call.span) {
        Some(Value::Record(columns)) => Some(columns),
        _ => None,
    }
}

fn column(s: &mut Session, call: &Call) -> Value {
    let Some(name) = s.text_arg(call, 0, "name") else { return Value::Missing };
    let Some(columns) = the_table(s, call) else {
        return s.error("E0604", call.span, "`column` stands inside `csv(…)`");
    };
    match columns.get(&name) {
        Some(value) => value.clone(),
        None => {
            let d = Diagnostic::error("E0605", call.span, format!("the file has no column `{name}`"));
            let near = crate::suggest::nearest(&name, columns.keys().map(String::as_str)).map(str::to_string);
            let d = match near {
                Some(near) => d.help(format!("did you mean `{near}`?")),
                None => d,
            };
            s.fail(d)
        }
    }
}

/// `columns(0 .. 64)` inside `csv`: side by side, one row a sample.
pub fn table_columns(s: &mut Session, call: &Call) -> Option<Value> {
    let columns = the_table(s, call)?;
    let id = call.positional(0)?;
    let (from, to) = s.index_range(call.scope, id, columns.len())?;
    let chosen: Vec<Array> = columns[from..to]
        .values()
        .filter_map(|v| match v {
            Value::Num(n) => n.as_const().cloned(),
            _ => None,
        })
        .collect();
    let rows = chosen.first().map_or(0, |c| c.len());
    let mut values = Vec::with_capacity(rows * chosen.len());
    for r in 0..rows {
        values.extend(chosen.iter().map(|c| c[[r].as_slice()]));
    }
    Some(Value::Num(Num::array(Unit::REAL, shaped(&[rows, chosen.len()], values))))
}

fn table(s: &mut Session, call: &Call) -> Value {
    let named: Vec<_> = call.named_args().map(|(n, _, id)| (n.to_string(), id)).collect();
    let mut fields = IndexMap::new();
    let (mut rows, empty): (Option<usize>, bool) = (None, named.is_empty());
    for (name, id) in named {
        let Some(x) = s.operand(call.scope, id) else { return Value::Missing };
        // What is recorded has as many rows as the run will have.
        if let Some(shape) = s.shape(&x.num) {
            let length = shape.first().copied().unwrap_or(1);
            if *rows.get_or_insert(length) != length {
                let message = format!("`{name}` has {length} rows, the fields before it have {}", rows.unwrap_or(0));
                return s.error("E0606", x.span, message);
            }
        }
        let num = match x.num.as_const() {
            Some(array) if array.ndim() == 1 && x.num.unit.is_real() => {
                Num { class: labelled(array.clone()).class, ..x.num }
            }
            _ => x.num,
        };
        fields.insert(name, num);
    }
    dataset("table", fields, rows.unwrap_or(usize::from(!empty)))
}

fn idx(s: &mut Session, call: &Call) -> Value {
    let mut fields = IndexMap::new();
    let mut rows = 0;
    for (argument, field) in [("images", "image"), ("labels", "label")] {
        if call.named(argument).is_none() {
            continue;
        }
        let Some(file) = s.text_arg(call, 0, argument) else { return Value::Missing };
        let array = match files::idx(s.host.files(), &file) {
            Ok(array) => array,
            Err(error) => return file_error(s, call, &error),
        };
        rows = array.shape().first().copied().unwrap_or(0);
        let num = if array.ndim() == 3 {
            let shape = [array.shape()[0], 1, array.shape()[1], array.shape()[2]];
            match array.clone().into_shape_with_order(shape.to_vec()) {
                Ok(images) => Num::array(Unit::REAL, images),
                Err(_) => Num::array(Unit::REAL, shaped(&shape, array.iter().copied().collect())),
            }
        } else {
            labelled(array)
        };
        fields.insert(field.to_string(), num);
    }
    dataset("idx", fields, rows)
}

fn npy(s: &mut Session, call: &Call) -> Value {
    let Some(file) = s.text_arg(call, 0, "file") else { return Value::Missing };
    match files::npy(s.host.files(), &file) {
        Ok(array) => Value::Num(Num::array(Unit::REAL, array)),
        Err(error) => file_error(s, call, &error),
    }
}

fn npz(s: &mut Session, call: &Call) -> Value {
    let Some(file) = s.text_arg(call, 0, "file") else { return Value::Missing };
    match files::npz(s.host.files(), &file) {
        Ok(arrays) => {
            let rows = arrays.first().and_then(|(_, a)| a.shape().first().copied()).unwrap_or(0);
            dataset(&file, arrays.into_iter().map(|(n, a)| (n, labelled(a))).collect(), rows)
        }
        Err(error) => file_error(s, call, &error),
    }
}

fn covariance(s: &mut Session, call: &Call) -> Value {
    done(s.num_arg(call, 0, "spectrum").map(|x| x.num))
}

fn gaussian(s: &mut Session, call: &Call) -> Value {
    let Some(n) = s.int_arg(call, 1, "samples", 1) else { return Value::Missing };
    let named: Vec<_> =
        call.named_args().filter(|(n, ..)| *n != "samples").map(|(n, _, id)| (n.to_string(), id)).collect();
    let mut fields = IndexMap::new();
    for (name, id) in named {
        let Some(spectrum) = s.operand(call.scope, id) else { return Value::Missing };
        let Some(values) = spectrum.num.as_const() else { return Value::Missing };
        let key = random::key(s.seed, &format!("gaussian.{name}"));
        let x = gaussian_samples(values, n as usize, key);
        fields.insert(name, Num::array(Unit::REAL, x));
    }
    dataset("gaussian", fields, n as usize)
}

fn gaussian_samples(spectrum: &Array, n: usize, key: u64) -> Array {
    let d = spectrum.len();
    let axes = random_rotation(d, random::key(key, "directions"));
    let scale: Vec<f64> = spectrum.iter().map(|v| v.max(0.0).sqrt()).collect();
    let mut out = Vec::with_capacity(n * d);
    for row in 0..n {
        let z: Vec<f64> = (0..d).map(|k| scale[k] * random::normal_f64(key, 0, (row * d + k) as u64)).collect();
        for j in 0..d {
            out.push((0..d).map(|k| z[k] * axes[k * d + j]).sum());
        }
    }
    shaped(&[n, d], out)
}

/// Orthonormal rows: Gram-Schmidt on normal draws.
fn random_rotation(d: usize, key: u64) -> Vec<f64> {
    let mut rows: Vec<f64> = (0..d * d).map(|k| random::normal_f64(key, 0, k as u64)).collect();
    for i in 0..d {
        for j in 0..i {
            let dot: f64 = (0..d).map(|k| rows[i * d + k] * rows[j * d + k]).sum();
            for k in 0..d {
                rows[i * d + k] -= dot * rows[j * d + k];
            }
        }
        let norm = (0..d).map(|k| rows[i * d + k].powi(2)).sum::<f64>().sqrt();
        for k in 0..d {
            rows[i * d + k] /= norm;
        }
    }
    rows
}

fn pca(s: &mut Session, call: &Call) -> Value {
    let Some(x) = s.num_arg(call, 0, "x") else { return Value::Missing };
    let mut record = IndexMap::new();
    let Some(array) = x.num.as_const().filter(|a| a.ndim() == 2) else {
        record.insert("components".to_string(), Value::Num(Num::unknown(Unit::REAL)));
        record.insert("variances".to_string(), Value::Num(Num::unknown(Unit::Unknown)));
        return Value::Record(record.into());
    };
    let (n, d) = (array.shape()[0], array.shape()[1]);
    let mean: Vec<f64> = (0..d).map(|j| array.index_axis(Axis(1), j).sum() / n as f64).collect();
    let centred = nalgebra::DMatrix::from_fn(n, d, |i, j| array[[i, j].as_slice()] - mean[j]);
    let covariance = centred.transpose() * &centred / (n as f64 - 1.0).max(1.0);
    let eigen = nalgebra::SymmetricEigen::new(covariance);
    let mut order: Vec<usize> = (0..d).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let components =
        order.iter().flat_map(|k| (0..d).map(|j| eigen.eigenvectors[(j, *k)]).collect::<Vec<_>>()).collect();
    let variances = order.iter().map(|k| eigen.eigenvalues[*k]).collect();
    record.insert("components".into(), Value::Num(Num::array(Unit::REAL, shaped(&[d, d], components))));
    let unit = x.num.unit.power(2.0).unwrap_or(Unit::REAL);
    record.insert("variances".into(), Value::Num(Num::array(unit, vector(variances))));
    Value::Record(record.into())
}

fn permute(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let seed = s.optional_int(call, "seed", 0)?.unwrap_or(0) as u64;
        let Some(shape) = s.shape(&x.num) else { return Some(x.num) };
        let row: usize = if shape.len() > 1 { shape[1..].iter().product() } else { shape.iter().product() };
        let order = random::permutation(random::key(seed, "permute"), 0, row as u32);
        let order = Num::array(Unit::REAL, vector(order.iter().map(|k| f64::from(*k)).collect()));
        let unit = x.num.unit.clone();
        Some(s.apply(call.span, unit, &[&x.num, &order], |g, n| {
            if shape.len() > 1 {
                let flat = g.reshape(n[0], &[shape[0], row])?;
                let moved = g.gather(flat, 1, n[1])?;
                g.reshape(moved, &shape)
            } else {
                g.gather(n[0], 0, n[1])
            }
        }))
    })())
}

fn sample(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let shape = s.num_arg(call, 1, "shape")?;
        let sizes: Vec<usize> = shape.num.as_const()?.iter().map(|v| *v as usize).collect();
        let id = call.positional(0)?;
        let closure = Closure::new(call.scope, s.module_of(call.scope), id);
        let path = s.place_in_declaration(call);
        s.draw_values(closure, call.scope, &sizes, &path)
    })())
}

/// Neighbouring rows are looked at where they are; others are copied.
fn take(num: &Num, rows: &[usize]) -> Num {
    let Some(array) = num.as_const() else { return num.clone() };
    let first = rows.first().copied().unwrap_or(0);
    let taken = if rows.iter().enumerate().all(|(k, row)| *row == first + k) {
        let mut part = array.clone();
        part.slice_axis_inplace(Axis(0), (first..first + rows.len()).into());
        part
    } else {
        array.select(Axis(0), rows).into_shared()
    };
    Num { repr: crate::value::Repr::Const(taken), ..num.clone() }
}

impl Session<'_> {
    /// The rows chosen of every field.
    pub fn take_rows(&self, data: &Dataset, rows: &[usize]) -> Dataset {
        let fields = data.fields.iter().map(|(n, v)| (n.clone(), take(v, rows))).collect();
        Dataset { name: data.name.clone(), fields, parts: IndexMap::new(), rows: rows.len() }
    }
}

pub fn receiver(call: &Call) -> Option<Arc<Dataset>> {
    match &call.receiver {
        Some(Value::Data(data)) => Some(data.clone()),
        _ => None,
    }
}

fn split(s: &mut Session, call: &Call) -> Value {
    let Some(data) = receiver(call) else { return Value::Missing };
    let test: Vec<bool> = match call.named("test") {
        Some(id) => {
            let text = s.text(s.expr_span(call.scope, id)).to_string();
            let every = text
                .trim()
                .strip_prefix("every(")
                .and_then(|t| t.strip_suffix(')'))
                .and_then(|t| t.trim().parse::<usize>().ok());
            let Some(every) = every.filter(|k| *k > 1) else {
                return s.error("E0607", call.span, "a split without chance is `split(test = every(k))`, k from 2 on");
            };
            (0..data.rows).map(|r| r % every == every - 1).collect()
        }
        None => {
            let Some(part) = s.num_arg(call, 1, "train").and_then(|x| x.num.as_f64()) else { return Value::Missing };
            if !(0.0..=1.0).contains(&part) {
                return s.error("E0607", call.span, "a split is a part between 0 and 100 %: `split(80 %)`");
            }
            let order = random::permutation(random::key(s.seed, &format!("{}.split", data.name)), 0, data.rows as u32);
            let cut = (part * data.rows as f64).round() as usize;
            let mut test = vec![false; data.rows];
            order[cut..].iter().for_each(|r| test[*r as usize] = true);
            test
        }
    };
    let pick = |wanted: bool| (0..data.rows).filter(|r| test[*r] == wanted).collect::<Vec<_>>();
    let mut whole = (*data).clone();
    whole.parts.insert("train".into(), s.take_rows(&data, &pick(false)).into());
    whole.parts.insert("test".into(), s.take_rows(&data, &pick(true)).into());
    Value::Data(whole.into())
}

fn map(s: &mut Session, call: &Call) -> Value {
    let Some(data) = receiver(call) else { return Value::Missing };
    let mut out = (*data).clone();
    if !map_fields(s, call, &data, &mut out) {
        return Value::Missing;
    }
    for (name, part) in &data.parts {
        let mut mapped = (**part).clone();
        if !map_fields(s, call, part, &mut mapped) {
            return Value::Missing;
        }
        out.parts.insert(name.clone(), mapped.into());
    }
    Value::Data(out.into())
}

fn map_fields(s: &mut Session, call: &Call, from: &Dataset, to: &mut Dataset) -> bool {
    let scope = s.inner(call.scope);
    for (name, num) in &from.fields {
        s.bind(scope, name.clone(), Value::Num(num.clone()));
    }
    let named: Vec<_> = call.named_args().map(|(n, _, id)| (n.to_string(), id)).collect();
    for (name, id) in named {
        let Some(x) = s.operand(scope, id) else { return false };
        let Some(num) = field_of_rows(s, &name, x.num, from.rows, x.span) else { return false };
        to.fields.insert(name, num);
    }
    true
}

/// A field has one value for each row; one number alone is that of all rows.
fn field_of_rows(s: &mut Session, name: &str, num: Num, rows: usize, span: Span) -> Option<Num> {
    let Some(array) = num.as_const() else { return Some(num) };
    match array.shape().first() {
        None => {
            let value = array.iter().next().copied().unwrap_or(0.0);
            Some(Num { repr: Repr::Const(vector(vec![value; rows])), ..num })
        }
        Some(found) if *found == rows => Some(num),
        Some(found) => {
            let message = format!("`{name}` has {found} rows, the data {rows}");
            let d = Diagnostic::error("E0559", span, message)
                .at("a field has one value for each row")
                .help("`map` sees whole fields, with the rows as their first axis: join along another, `axis = 1`");
            s.report(d);
            None
        }
    }
}

fn sample_rows(s: &mut Session, call: &Call) -> Value {
    let Some(data) = receiver(call) else { return Value::Missing };
    let Some(n) = s.int_arg(call, 1, "n", 0) else { return Value::Missing };
    if data.is_open() {
        return Value::Data(data);
    }
    if n as usize > data.rows {
        return s.error("E0608", call.span, format!("there are {} rows, not {n}, to sample from", data.rows));
    }
    let order = random::permutation(random::key(s.seed, &format!("{}.sample", data.name)), 0, data.rows as u32);
    let mut rows: Vec<usize> = order[..n as usize].iter().map(|r| *r as usize).collect();
    rows.sort_unstable();
    Value::Data(s.take_rows(&data, &rows).into())
}

pub fn concat(s: &mut Session, call: &Call) -> Value {
    let mut parts: Vec<Arc<Dataset>> = vec![];
    for k in 0..call.count() {
        match s.arg(call, k, "data") {
            Some(Value::Data(data)) => parts.push(data),
            _ => return Value::Missing,
        }
    }
    let Some(first) = parts.first() else { return Value::Missing };
    let mut fields = IndexMap::new();
    for (name, num) in &first.fields {
        let arrays: Vec<Array> = parts.iter().filter_map(|p| p.fields.get(name)?.as_const().cloned()).collect();
        let views: Vec<_> = arrays.iter().map(|a| a.view()).collect();
        let Ok(joined) = ndarray::concatenate(Axis(0), &views) else {
            return s.error("E0609", call.span, format!("the field `{name}` has different shapes in the data sets"));
        };
        fields.insert(name.clone(), Num { repr: crate::value::Repr::Const(joined.into_shared()), ..num.clone() });
    }
    let rows = parts.iter().map(|p| p.rows).sum();
    dataset(&first.name, fields, rows)
}
