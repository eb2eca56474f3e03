//! What runs recorded, as files: arrays in the user's units, spikes as cell and time.

use nnm_compiler::sweep::sweep_parts;
use nnm_compiler::table::plain;
use nnm_compiler::unit::{Shown, from_si};
use nnm_compiler::value::{Num, Spikes, Times, Value};
use nnm_runtime::array::Array;
use nnm_runtime::data::{write_npy, write_npy_single};
use nnm_runtime::results::{ResultError, RunFolder, column_name, to_csv};
use serde_json::{Value as Json, json};

use crate::tables;

/// Arrays of more values than this are not written as text too.
const MOST_IN_TEXT: usize = 100_000;

/// Writes a value and all inside of it below `recorded/`; what was written goes into `index`.
pub fn write(folder: &RunFolder, name: &str, value: &Value, index: &mut Vec<Json>) -> Result<(), ResultError> {
    match value {
        Value::Num(num) => write_number(folder, name, num, index),
        Value::Spikes(spikes) => write_spikes(folder, name, spikes, index),
        Value::Record(record) => {
            let dot = |part: &str| if part.starts_with('[') { "" } else { "." };
            let mut parts = record.iter();
            parts.try_for_each(|(part, value)| write(folder, &format!("{name}{}{part}", dot(part)), value, index))
        }
        Value::List(items) => {
            let mut numbered = items.iter().enumerate();
            numbered.try_for_each(|(k, value)| write(folder, &format!("{name}[{k}]"), value, index))
        }
        _ => Ok(()),
    }
}

/// Writes a report that is more than one number: a sweep of numbers as one table, all else as arrays.
pub fn write_report(folder: &RunFolder, name: &str, value: &Value, index: &mut Vec<Json>) -> Result<(), ResultError> {
    let name = format!("report.{name}");
    if sweep_parts(value).is_none() {
        let many = !matches!(value, Value::Num(num) if num.as_f64().is_some());
        return if many { write(folder, &name, value, index) } else { Ok(()) };
    }
    let (axes, passes) = tables::passes(value);
    let cells = passes.iter().map(|(_, value)| single(value)).collect::<Option<Vec<_>>>();
    let Some(cells) = cells else {
        let mut passes = passes.iter();
        return passes.try_for_each(|(keys, value)| write(folder, &format!("{name}.{}", keys.join(".")), value, index));
    };
    let mut text = format!("{},value,unit\n", axes.join(","));
    for ((keys, _), (value, unit)) in passes.iter().zip(cells) {
        let keys: Vec<String> = keys.iter().map(|key| quoted(key)).collect();
        text.push_str(&format!("{},{value},{unit}\n", keys.join(",")));
    }
    let file = format!("recorded/{}.csv", file_name(&name));
    folder.write(&file, text.as_bytes())?;
    index.push(json!({ "name": name, "file": file, "sweep": axes }));
    Ok(())
}

/// One number in its unit, and the unit.
fn single(value: &Value) -> Option<(f64, String)> {
    let Value::Num(num) = value else { return None };
    let shown = num.unit.shown();
    num.as_f64().map(|x| (from_si(x, &shown), shown.name.to_string()))
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_string() }
}

fn write_number(folder: &RunFolder, name: &str, num: &Num, index: &mut Vec<Json>) -> Result<(), ResultError> {
    let Some(array) = num.as_const().filter(|a| !a.is_empty()) else { return Ok(()) };
    let shown = num.unit.shown();
    let values = in_units(array, &shown);
    let bytes = if num.single { write_npy_single } else { write_npy };
    let file = format!("recorded/{}", file_name(name));
    folder.write(&format!("{file}.npy"), &bytes(&values))?;
    let mut entry =
        json!({ "name": name, "file": format!("{file}.npy"), "unit": &*shown.name, "shape": array.shape() });
    if let Some(times) = &num.times {
        let (column, scale) = time_column(times.untimed);
        let times = nnm_runtime::array::vector(times.iter().map(|t| t * scale).collect());
        folder.write(&format!("{file}.{column}.npy"), &write_npy(&times))?;
        entry["times"] = json!(format!("{file}.{column}.npy"));
    }
    if array.len() <= MOST_IN_TEXT {
        let text = match &num.times {
            Some(times) => timed_csv(name, &shown.name, &values, times),
            None => to_csv(short(name), &shown.name, &values),
        };
        folder.write(&format!("{file}.csv"), text.as_bytes())?;
        entry["text"] = json!(format!("{file}.csv"));
    }
    index.push(entry);
    Ok(())
}

fn in_units(array: &Array, shown: &Shown) -> Array {
    array.mapv(|v| from_si(v, shown)).into_shared()
}

/// The column of times, and what a second is in it; of steps that have no length, their numbers.
fn time_column(untimed: bool) -> (&'static str, f64) {
    if untimed { ("step", 1.0) } else { ("time_ms", 1e3) }
}

/// The last part of a dotted name.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// One line a time: the time, then the values of that time in row-major order.
fn timed_csv(name: &str, unit: &str, values: &Array, times: &Times) -> String {
    let per_time = values.len() / times.len().max(1);
    let short = column_name(short(name), unit);
    let head: Vec<String> = match per_time {
        1 => vec![short],
        many => (0..many).map(|k| format!("{short}[{k}]")).collect(),
    };
    let (column, scale) = time_column(times.untimed);
    let mut text = format!("{column},{}\n", head.join(","));
    let mut values = values.iter();
    for time in times.iter() {
        text.push_str(&decimal(time * scale));
        for value in values.by_ref().take(per_time) {
            text.push(',');
            text.push_str(&value.to_string());
        }
        text.push('\n');
    }
    text
}

/// A time without the noise of the last digits.
fn decimal(ms: f64) -> String {
    let rounded = (ms * 1e9).round() / 1e9;
    rounded.to_string()
}

fn write_spikes(folder: &RunFolder, name: &str, spikes: &Spikes, index: &mut Vec<Json>) -> Result<(), ResultError> {
    let file = format!("recorded/{}.csv", file_name(name));
    folder.write(&file, spikes_csv(spikes).as_bytes())?;
    index.push(json!({
        "name": name, "file": file, "spikes": spikes.times.len(), "cells": spikes.n, "first_cell": spikes.first,
        "from": format!("{} s", plain(spikes.from)), "to": format!("{} s", plain(spikes.to)),
    }));
    Ok(())
}

/// One line a spike: the cell, then the time in ms. Spikes of one step stand together, so a time is made into text once.
/// Cells of a slice are numbered from its first one, as everywhere in the run: the header says which that is.
fn spikes_csv(spikes: &Spikes) -> String {
    let (column, scale) = time_column(spikes.untimed);
    let mut text = match spikes.first {
        0 => format!("cell,{column}\n"),
        first => format!("cell_minus_{first},{column}\n"),
    };
    let mut last = (f64::NAN, String::new());
    for (cell, time) in spikes.cells.iter().zip(&spikes.times) {
        if last.0 != *time {
            last = (*time, format!(",{}\n", decimal(time * scale)));
        }
        text.push_str(&cell.to_string());
        text.push_str(&last.1);
    }
    text
}

/// A name that the run folder takes: other signs become `_`.
pub fn file_name(name: &str) -> String {
    let clean: String =
        name.chars().map(|c| if c.is_alphanumeric() || "._-[]+".contains(c) { c } else { '_' }).collect();
    let clean: String = clean.chars().take(150).collect();
    if clean.chars().any(char::is_alphanumeric) { clean } else { "unnamed".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_in_front() {
        let values = nnm_runtime::array::vector(vec![1.0, 2.0]);
        let times = |at: [f64; 2], untimed: bool| Times::new(at.to_vec(), untimed);
        assert_eq!(timed_csv("run.E.v", "mV", &values, &times([0.0, 1e-4], false)), "time_ms,v_mV\n0,1\n0.1,2\n");
        assert_eq!(timed_csv("run.E.n", "", &values, &times([0.0, 1.0], true)), "step,n\n0,1\n1,2\n");
        let cells = nnm_runtime::array::from_vec(&[1, 2], vec![1.0, 2.0]).unwrap_or(values);
        assert_eq!(
            timed_csv("run.E.v", "mV", &cells, &Times::new(vec![0.0], false)),
            "time_ms,v_mV[0],v_mV[1]\n0,1,2\n"
        );
    }

    #[test]
    fn spikes_of_a_slice_say_where_they_are_numbered_from() {
        let whole = Spikes {
            name: "E".into(),
            cells: vec![0, 1],
            times: vec![1e-3, 1e-3],
            n: 2,
            first: 0,
            from: 0.0,
            to: 1.0,
            grain: 1e-4,
            untimed: false,
        };
        assert_eq!(spikes_csv(&whole), "cell,time_ms\n0,1\n1,1\n");
        let steps = Spikes { times: vec![1.0, 2.0], untimed: true, ..whole.clone() };
        assert_eq!(spikes_csv(&steps), "cell,step\n0,1\n1,2\n");
        assert_eq!(spikes_csv(&Spikes { first: 40, ..whole }), "cell_minus_40,time_ms\n0,1\n1,1\n");
    }

    #[test]
    fn names_are_plain() {
        assert_eq!(file_name("Backprop()/run.loss"), "Backprop___run.loss");
        assert_eq!(file_name("../x"), ".._x");
        assert_eq!(file_name("()"), "unnamed");
    }
}
