//! Neighbouring stages become one: reads in the second of what the first stores become the stored values.
//!
//! Not where the second could see a store of the first in another way: at another place of the var, by index, or as an
//! integer.

use nnm_kir::affine::difference;
use nnm_kir::ir::Int;

use crate::error::{Built, ShapeError};
use crate::ir::{Assign, Binary, Graph, Op, Place, Program, Stmt, VarElem};
use crate::walk;

pub(super) fn run(program: &mut Program) -> Result<(), ShapeError> {
    let body = std::mem::take(&mut program.body);
    program.body = merged(&mut program.graph, body)?;
    Ok(())
}

fn merged(graph: &mut Graph, body: Vec<Stmt>) -> Result<Vec<Stmt>, ShapeError> {
    let mut out: Vec<Stmt> = vec![];
    for mut stmt in body {
        match &mut stmt {
            Stmt::For { body, .. } | Stmt::IfEqual { body, .. } | Stmt::IfLess { body, .. } => {
                *body = merged(graph, std::mem::take(body))?;
            }
            Stmt::Stage { about, assigns } => {
                if let Some(Stmt::Stage { about: before, assigns: first }) = out.last_mut()
                    && mergeable(graph, first, assigns)
                {
                    *first = joined(graph, first, assigns)?;
                    *before = [before.as_str(), about.as_str()]
                        .into_iter()
                        .filter(|s| !s.is_empty())
                        .collect::<Vec<_>>()
                        .join("; ");
                    continue;
                }
            }
            _ => {}
        }
        out.push(stmt);
    }
    Ok(out)
}

/// How two places of one var relate.
#[derive(PartialEq)]
enum Relation {
    Same,
    Apart,
    Unknown,
}

fn relation(a: &Place, b: &Place) -> Relation {
    match (a, b) {
        (Place::Whole, Place::Whole) => Relation::Same,
        (Place::Time(a), Place::Time(b)) => match difference(a, b) {
            Some(0) => Relation::Same,
            Some(_) => Relation::Apart,
            None => Relation::Unknown,
        },
        _ => Relation::Unknown,
    }
}

fn mergeable(graph: &Graph, first: &[Assign], second: &[Assign]) -> bool {
    let plain = |a: &Assign| {
        graph.var(a.to).elem == VarElem::Real && matches!(a.place, Place::Whole | Place::Time(_)) && fixed(&a.place)
    };
    if !first.iter().all(plain) || !second.iter().all(plain) {
        return false;
    }
    let clear = |place: &Place, a: &Assign| relation(place, &a.place) != Relation::Unknown;
    let stores = second.iter().all(|b| first.iter().filter(|a| a.to == b.to).all(|a| clear(&b.place, a)));
    let once = first
        .iter()
        .enumerate()
        .all(|(k, a)| first[..k].iter().all(|b| a.to != b.to || relation(&a.place, &b.place) == Relation::Apart));
    let values: Vec<_> = second.iter().map(|a| a.value).collect();
    let reads = walk::needed(graph, &values).into_iter().all(|id| match &graph.node(id).op {
        Op::Read { var, place } => first.iter().filter(|a| a.to == *var).all(|a| clear(place, a)),
        _ => true,
    });
    stores && once && reads
}

/// Whether a place is named without reading storage.
fn fixed(place: &Place) -> bool {
    fn loads(int: &Int) -> bool {
        matches!(int, Int::Load(_)) || int.operands().is_some_and(|(a, b)| loads(a) || loads(b))
    }
    !matches!(place, Place::Time(time) if loads(time))
}

fn joined(graph: &mut Graph, first: &[Assign], second: &[Assign]) -> Result<Vec<Assign>, ShapeError> {
    let mut all = vec![];
    for assign in first {
        all.push(Assign { value: stored(graph, assign)?, add: false, ..assign.clone() });
    }
    let mut before = all.clone();
    before.iter_mut().for_each(|a| a.value = graph.stored(a.value));
    for assign in second {
        let value = stored(graph, assign)?;
        let value = walk::substitute_reads(graph, value, &|var, place| {
            before.iter().find(|a| a.to == var && relation(place, &a.place) == Relation::Same).map(|a| a.value)
        })?;
        all.retain(|a| a.to != assign.to || relation(&a.place, &assign.place) != Relation::Same);
        all.push(Assign { value, add: false, ..assign.clone() });
    }
    Ok(all)
}

/// The value of a var after an assignment, in the var's shape.
fn stored(graph: &mut Graph, assign: &Assign) -> Built {
    let shape = graph.var(assign.to).shape.clone();
    let value = graph.broadcast_to(assign.value, &shape)?;
    if !assign.add {
        return Ok(value);
    }
    let old = graph.read(assign.to, assign.place.clone())?;
    graph.binary(Binary::Add, old, value)
}
