//! Numbers of a connection, laid out as its weights are, and those of synapses picked by sender and target.

use nnm_syntax::ast::Name;
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use crate::network::{Home, Projection};
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, ProjectionRef, Value, vector};

impl Session<'_> {
    /// A state of synapses as `net.syn` or `net.syn[0, 1 .. 5]` shows it: whole, one number for each place where it lives,
    /// what lives by synapse laid out as the weights are; of picked synapses what is at each.
    pub(super) fn at_synapses(&mut self, num: Num, home: Option<Home>, p: &ProjectionRef, name: &Name) -> Value {
        let projection = self.net(self.owner_net(&p.owner)).projections[p.index].clone();
        let shape = projection.layout();
        match (home, p.select) {
            (Some(Home::Connection), _) => {
                let num = self.laid_out(&num, &shape);
                self.selected_weights(num, p, &projection, name.span)
            }
            (_, None) => Value::Num(num),
            (None, _) => self.refuse_pick(&projection, name, "is no number of each synapse"),
            (Some(home), Some(select)) => {
                if self.refuse_no_synapse(p, &projection, &shape, name.span) {
                    return Value::Missing;
                }
                if self.has_unknown_edges(&projection.pattern) {
                    return Value::Num(Num::unknown(num.unit));
                }
                let ends = projection.ends(&projection.synapses(select, &shape), &shape);
                let cells = ends.into_iter().map(|[pre, post]| if home == Home::Sender { pre } else { post });
                self.at_places(&num, cells.map(|k| k as f64).collect(), name.span)
            }
        }
    }

    /// What cannot be picked by sender and target.
    pub fn refuse_pick(&mut self, projection: &Projection, name: &Name, why: &str) -> Value {
        let whole = format!("{}.{}", projection.name, name.text);
        let message = format!("`{}` {why}, so that it cannot be picked by sender and target", name.text);
        self.fail(Diagnostic::error("E0680", name.span, message).help(format!("`{whole}` is all of it")))
    }

    /// What is kept by synapse as the connection's weights are laid out: of a full one by target, then sender.
    pub(super) fn laid_out(&mut self, by_edge: &Num, shape: &[usize]) -> Num {
        let &[targets, senders] = shape else { return by_edge.clone() };
        if self.shape(by_edge).is_none_or(|s| s != [targets * senders]) {
            return by_edge.clone();
        }
        self.apply(Span::default(), by_edge.unit.clone(), &[by_edge], |g, n| {
            let rows = g.reshape(n[0], &[senders, targets])?;
            g.permute(rows, &[1, 0])
        })
    }

    /// `net.syn[0, 1 .. 5].w`: the weights between the senders and targets chosen.
    pub(super) fn selected_weights(
        &mut self,
        num: Num,
        p: &ProjectionRef,
        projection: &Projection,
        span: Span,
    ) -> Value {
        let Some(select) = p.select else { return Value::Num(num) };
        let Some(shape) = self.shape(&num).filter(|shape| !shape.is_empty()) else { return Value::Num(num) };
        if self.refuse_no_synapse(p, projection, &shape, span) {
            return Value::Missing;
        }
        let chosen: Vec<f64> = projection.synapses(select, &shape).into_iter().map(|k| k as f64).collect();
        self.at_places(&num, chosen, span)
    }

    /// The elements of an array at some places in it; of one place, its number.
    fn at_places(&mut self, num: &Num, places: Vec<f64>, span: Span) -> Value {
        let one = places.len() == 1;
        let places = Num::array(Unit::REAL, vector(places));
        Value::Num(self.apply(span, num.unit.clone(), &[num, &places], |g, n| {
            let length: usize = g.shape(n[0]).iter().product();
            let flat = g.reshape(n[0], &[length])?;
            let picked = g.gather(flat, 0, n[1])?;
            if one { g.reshape(picked, &[]) } else { Ok(picked) }
        }))
    }

    /// One pair of cells between which there is no synapse, and cells at which none can end.
    pub fn refuse_no_synapse(
        &mut self,
        p: &ProjectionRef,
        projection: &Projection,
        shape: &[usize],
        span: Span,
    ) -> bool {
        let Some(select) = p.select else { return false };
        let unknown = self.has_unknown_edges(&projection.pattern);
        if unknown || !projection.synapses(select, shape).is_empty() {
            return false;
        }
        let id = self.owner_net(&p.owner);
        let (pre, post) = self.end_populations(id, projection);
        let name = &projection.name;
        let ends =
            [(projection.source.and_then(|(_, c)| c), pre, "begins"), (projection.target_cells, Some(post), "ends")];
        let outside = ends.iter().zip(select).find_map(|((cells, of, word), chosen)| {
            let (from, to) = (*cells)?;
            let of = of.as_ref()?;
            let (first, last) = of.rows_of((from, to));
            let shown = || format!("`{name}` {word} in `{}[{first} .. {last}]`", of.name);
            (chosen.1 <= from || chosen.0 >= to).then(shown)
        });
        let one = select.iter().all(|(from, to)| to - from == 1);
        if outside.is_none() && !one {
            // Of a wider choice among drawn synapses there may be none.
            return false;
        }
        let shown = select.map(|(from, to)| if to - from == 1 { from.to_string() } else { format!("{from} .. {to}") });
        let message = format!("`{name}[{}]` is no synapse: these cells are not joined", shown.join(", "));
        let d = Diagnostic::error("E0675", span, message).help(outside.unwrap_or_else(|| {
            format!("senders stand before targets: `{name}[sender, target]`; `{name}.pre` and `{name}.post` tell which are joined")
        }));
        self.report(d);
        true
    }
}
