//! Neurons with arrays: a state or parameter of a shape of its own, seen from the equations of one cell.
//!
//! Stored values have the population's axes first, `[cells, own]`. In a neuron's scope the own axes come first,
//! `[own, cells]`: there `x[0]` picks of the array, `sum(x, axis = 0)` adds it up, and a number of each cell broadcasts over
//! it.

use indexmap::IndexMap;
use nnm_graph::ir::{NodeId, Op};
use nnm_syntax::ast::TypeKind;

use super::*;
use crate::hir::ItemKind;
use crate::session::Session;

impl Session<'_> {
    /// How many axes of its own a parameter is declared with.
    fn own_axes_of(&self, population: &Population, param: &str) -> usize {
        let ItemKind::Neuron(neuron) = &self.modules.item(population.item).kind else { return 0 };
        let Some(decl) = neuron.dynamics.params.iter().find(|p| p.name.text == param) else { return 0 };
        match decl.ty.as_ref().map(|t| &t.kind) {
            Some(TypeKind::Named { shape, .. }) => shape.len(),
            _ => 0,
        }
    }

    /// A parameter as the cell's equations see it.
    pub fn param_inside(&mut self, population: &Population, name: &str, num: &Num) -> Num {
        let own = self.own_axes_of(population, name);
        let num = Num { each: true, ..num.clone() };
        let Some(shape) = self.shape(&num).filter(|_| own > 0) else { return num };
        let cells = population.shape.len();
        if shape.len() == own {
            let with_cells = [shape, vec![1; cells]].concat();
            return self.apply(Span::default(), num.unit.clone(), &[&num], |g, n| g.reshape(n[0], &with_cells));
        }
        self.own_first(&num, cells)
    }

    /// A state as the cell's equations see it.
    pub fn state_inside(&mut self, population: &Population, num: &Num) -> Num {
        let num = Num { each: true, ..num.clone() };
        self.own_first(&num, population.shape.len())
    }

    fn own_first(&mut self, num: &Num, cells: usize) -> Num {
        let rank = self.shape(num).map_or(0, |s| s.len());
        if rank <= cells {
            return num.clone();
        }
        let axes: Vec<usize> = (cells..rank).chain(0..cells).collect();
        self.apply(Span::default(), num.unit.clone(), &[num], |g, n| g.permute(n[0], &axes))
    }

    /// A value of the cell's equations as it is stored: of this shape, the population's axes first.
    pub fn stored_state(&mut self, population: &Population, num: Num, shape: &[usize], span: Span) -> Num {
        let cells = population.shape.len();
        let own = self.own_shape(&num, &population.shape);
        if let (Some(own), true) = (own, shape.len() >= cells)
            && !nnm_graph::shape::broadcasts_to(&own, &shape[cells..])
        {
            let (found, wanted) = (self.shape_text(&own), self.shape_text(&shape[cells..]));
            self.error("E0313", span, format!("expected the shape {wanted}, found {found}"));
            return self.to_shape(Num::scalar(num.unit, f64::NAN), shape, span);
        }
        if shape.len() <= cells {
            return self.to_shape(num, shape, span);
        }
        let num = self.as_array(&num, &population.shape).map_or(num, |(num, _)| num);
        let inside = [&shape[cells..], &shape[..cells]].concat();
        let num = self.to_shape(num, &inside, span);
        self.cells_first(&num, cells)
    }

    /// A value of the cell's equations as others see it.
    pub fn cells_first(&mut self, num: &Num, cells: usize) -> Num {
        let rank = self.shape(num).map_or(0, |s| s.len());
        if rank <= cells {
            return num.clone();
        }
        let own = rank - cells;
        let axes: Vec<usize> = (own..rank).chain(0..own).collect();
        self.apply(Span::default(), num.unit.clone(), &[num], |g, n| g.permute(n[0], &axes))
    }

    /// The states of a population as its equations see them.
    pub fn states_inside(&mut self, population: &Population, states: &IndexMap<String, Num>) -> IndexMap<String, Num> {
        states.iter().map(|(name, num)| (name.clone(), self.state_inside(population, num))).collect()
    }

    /// Whether elements of array states act on one another: then a derivative by a state is no number an element.
    pub fn mixes(&mut self, states: &IndexMap<String, Num>, rate: NodeId, cells: usize) -> bool {
        let arrays: Vec<NodeId> = states.values().map(|num| self.lift(num)).collect();
        arrays.into_iter().filter(|s| self.graph.shape(*s).len() > cells).any(|state| self.moves(state, rate))
    }

    fn moves(&self, state: NodeId, rate: NodeId) -> bool {
        nnm_graph::depends_on(&self.graph, rate, &|id, n| {
            let moves = matches!(
                n.op,
                Op::Slice { .. } | Op::Gather { .. } | Op::Reduce { .. } | Op::Concat { .. } | Op::Scatter { .. }
            );
            moves && nnm_graph::depends_on(&self.graph, id, &|inner, _| inner == state)
        })
    }
}
