//! What a connection makes of its sender's value: the pattern's linear operation, the bias, and what carries errors back.

use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::*;
use crate::program::{Feedback, NewLeaf, Role};
use crate::session::{Mode, Session};

impl Session<'_> {
    /// The default synapse: the pattern's linear operation, and the bias.
    pub(super) fn direct(&mut self, frame: FrameId, k: usize, sender: &Num) -> Option<Num> {
        let id = self.frame(frame).net;
        let projection = self.net(id).projections[k].clone();
        let span = projection.span;
        let target = self.net(id).populations[projection.target].clone();
        let w = projection.weight.as_ref().map(|q| self.projection_weight(id, &projection.name, q));
        let unit = match &w {
            Some(w) => w.unit.times(&sender.unit),
            None => sender.unit.clone(),
        };
        let out = self.linear(&projection, &target, w.as_ref(), sender, unit.clone(), span)?;
        let path = format!("{}.{}", self.net(id).path, projection.name);
        let out = self.with_feedback(&path, &projection, &target, out, sender)?;
        Some(self.with_bias(id, k, out))
    }

    /// What a connection brings, and its bias.
    pub(super) fn with_bias(&mut self, id: NetId, k: usize, out: Num) -> Num {
        let projection = self.net(id).projections[k].clone();
        let Some(q) = &projection.bias else { return out };
        let target = self.net(id).populations[projection.target].clone();
        let b = self.projection_weight(id, &projection.name, q);
        let b = self.shaped_bias(&projection, &target, &b, projection.span);
        let sum = self.add(&out, &b, projection.span);
        Num { unit: out.unit, ..sum }
    }

    /// `w` or `b` of a connection in the program being built.
    pub fn projection_weight(&mut self, id: NetId, name: &str, q: &Quantity) -> Num {
        let local = format!("{name}.{}", q.name);
        if let Some(num) = self.overridden(id, &local) {
            return num;
        }
        let path = format!("{}.{local}", self.net(id).path);
        let home = Some((id, local));
        if q.shape.is_empty() && self.mode == Mode::Check {
            return Num::unknown(q.unit.clone());
        }
        self.leaf(NewLeaf {
            path: &path,
            role: Role::Weight,
            unit: q.unit.clone(),
            shape: &q.shape,
            batched: false,
            home,
        })
    }

    fn shaped_bias(&mut self, projection: &Projection, target: &Population, b: &Num, span: Span) -> Num {
        let shape = match &projection.pattern {
            Pattern::Conv { .. } => vec![target.shape[0], 1, 1],
            _ => target.shape.clone(),
        };
        self.apply(span, b.unit.clone(), &[b], |g, n| g.reshape(n[0], &shape))
    }

    /// The pattern's linear operation on a sender's value: what a rule's outer product is the adjoint of.
    pub fn linear(
        &mut self,
        projection: &Projection,
        target: &Population,
        w: Option<&Num>,
        x: &Num,
        unit: Unit,
        span: Span,
    ) -> Option<Num> {
        let shape = target.shape.clone();
        if let Some((from, to)) = projection.target_cells
            && (from, to) != (0, target.size())
        {
            self.error(
                "E0416",
                span,
                "a connection to some of a population's cells takes a pattern of single synapses",
            );
            return None;
        }
        let out = match (&projection.pattern, w) {
            (Pattern::Conv { conv, .. }, Some(w)) => {
                let conv = *conv;
                self.apply(span, unit, &[x, w], |g, n| g.conv2d(n[0], n[1], conv))
            }
            (Pattern::MaxPool(pool), _) => {
                let pool = *pool;
                self.apply(span, unit, &[x], |g, n| g.max_pool(n[0], pool))
            }
            (Pattern::AvgPool(pool), _) => {
                let pool = *pool;
                self.apply(span, unit, &[x], |g, n| g.avg_pool(n[0], pool))
            }
            (Pattern::Upsample(pool), _) => {
                let pool = *pool;
                self.apply(span, unit, &[x], |g, n| {
                    let Some(&[channels, height, width]) = g.shape(n[0]).first_chunk::<3>() else {
                        return g.avg_pool(n[0], pool);
                    };
                    // The adjoint of the mean over a window, times the window's size.
                    let to = [channels, height * pool.size[0], width * pool.size[1]];
                    let spread = g.avg_pool_grad(n[0], pool, &to)?;
                    let size = g.constant((pool.size[0] * pool.size[1]) as f64);
                    g.binary(nnm_graph::ir::Binary::Mul, spread, size)
                })
            }
            (Pattern::OneToOne, Some(w)) => {
                let x = self.apply(span, x.unit.clone(), &[x], |g, n| g.reshape(n[0], &shape));
                let w = self.apply(span, w.unit.clone(), &[w], |g, n| g.reshape(n[0], &shape));
                self.mul(&w, &x, span)
            }
            (_, Some(w)) => {
                let w = self.masked(projection, w, span);
                self.apply(span, unit, &[&w, x], |g, n| {
                    let length: usize = g.shape(n[1]).iter().product();
                    let flat = g.reshape(n[1], &[length])?;
                    let y = g.matmul(n[0], flat)?;
                    g.reshape(y, &shape)
                })
            }
            (_, None) => x.clone(),
        };
        let found = self.shape(&out);
        if let Some(found) = found
            && found != shape
        {
            let (found, wanted) = (self.shape_text(&found), self.shape_text(&shape));
            let message = format!("`{}` gives the shape {found}, `{}` has {wanted}", projection.name, target.name);
            let d = Diagnostic::error("E0315", projection.pattern_span, message)
                .label(target.span, format!("this has {wanted}"));
            self.report(d);
            return None;
        }
        Some(out)
    }

    /// A sparse pattern as a full matrix of weights with zeros, where a dense product is wanted.
    fn masked(&mut self, projection: &Projection, w: &Num, span: Span) -> Num {
        let Some(edges) = projection.edges.as_ref().filter(|_| !projection.pattern.is_full()) else { return w.clone() };
        let size = edges.senders * edges.targets;
        let places: Vec<f64> = edges
            .sender()
            .iter()
            .zip(edges.target.iter())
            .map(|(s, t)| (*t as usize * edges.senders + *s as usize) as f64)
            .collect();
        let places = Num::array(Unit::REAL, crate::value::vector(places));
        let (targets, senders) = (edges.targets, edges.senders);
        self.apply(span, w.unit.clone(), &[w, &places], |g, n| {
            let flat = g.scatter_add(n[0], 0, n[1], &[size])?;
            g.reshape(flat, &[targets, senders])
        })
    }

    /// The value of the connection, with the derivative of what carries errors back in its place.
    fn with_feedback(
        &mut self,
        path: &str,
        projection: &Projection,
        target: &Population,
        out: Num,
        x: &Num,
    ) -> Option<Num> {
        let span = projection.span;
        let Some(feedback) = self.program.as_ref().and_then(|p| p.feedback.get(path)).cloned() else {
            return Some(out);
        };
        let Feedback::Matrix(b) = feedback else {
            return Some(self.apply(span, out.unit.clone(), &[&out], |g, n| g.stop_gradient(n[0])));
        };
        let shape = projection.weight.as_ref().map(|q| q.shape.clone()).unwrap_or_default();
        let rows = shape.first().copied().unwrap_or(1);
        let columns: usize = shape.iter().skip(1).product();
        let forward = self.apply(span, b.unit.clone(), &[&b], |g, n| {
            let whole = g.broadcast_to(n[0], &[columns, rows])?;
            let forward = g.transpose(whole)?;
            g.reshape(forward, &shape)
        });
        let back = self.linear(projection, target, Some(&forward), x, out.unit.clone(), span)?;
        Some(self.apply(span, out.unit.clone(), &[&out, &back], |g, n| g.surrogate(n[0], n[1])))
    }
}
