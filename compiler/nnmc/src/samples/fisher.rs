//! `fisher(net, objective on DATA)`: the diagonal of the empirical Fisher information, from each sample's own gradient.
//!
//! Squares are taken per sample, before the mean: the square of the mean gradient is something else.

use nnm_graph::ir::{Assign, Binary, NodeId, Place, Stmt, VarId};
use nnm_runtime::abi::status;
use nnm_syntax::span::Span;

use super::evaluate::rounds_loop;
use super::gradient::{Flows, Sum};
use super::{Presentation, Reduction};
use crate::engine::Engine;
use crate::eval::Call;
use crate::failure::{Failure, Noted};
use crate::network::NetId;
use crate::session::{Mode, Session};
use crate::unit::Unit;
use crate::value::{Num, Params, Value, shaped};

/// Samples at a time: each has a gradient of its own.
const BATCH: usize = 16;

/// A trained quantity whose squares are added up.
struct Square {
    name: String,
    read: NodeId,
    shape: Vec<usize>,
    /// From the stored unit to the scale.
    factor: f64,
    total: VarId,
}

impl<'s> Session<'s> {
    pub fn fisher_call(&mut self, call: &Call) -> Value {
        let net = match self.arg(call, 0, "net") {
            Some(Value::Network(id)) => id,
            Some(Value::Missing) => return Value::Missing,
            _ => {
                return self.error(
                    "E0540",
                    call.span,
                    "`fisher` takes a network first: `fisher(net, objective on DATA)`",
                );
            }
        };
        let (Some(objective), Some(on)) = (call.positional(1), call.clause("on")) else {
            return self.error(
                "E0525",
                call.span,
                "`fisher` needs an objective and data: `fisher(net, objective on DATA)`",
            );
        };
        let Value::Data(data) = self.eval(call.scope, on) else { return Value::Missing };
        let given = self.given_clauses(call.scope, &call.clauses);
        let mut nets = self.networks_in(call.scope, objective, &given);
        if !nets.iter().any(|(id, _)| *id == net) {
            nets.push((net, self.net(net).given.clone()));
        }
        let outer_graph = std::mem::take(&mut self.graph);
        let outer = self.program.take();
        let batch = BATCH.min(data.rows.max(1));
        let p = self.begin_samples(call.scope, Some(&data), &nets, batch, false, call.span);
        let value = p.and_then(|mut p| self.fisher_program(net, objective, &mut p, call.span));
        self.graph = outer_graph;
        self.program = outer;
        value.map_or(Value::Missing, |tree| Value::Params(tree.into()))
    }

    fn fisher_program(
        &mut self,
        net: NetId,
        objective: nnm_syntax::ast::ExprId,
        p: &mut Presentation,
        span: Span,
    ) -> Option<Params> {
        self.frame_of(net);
        let squares = self.squares(net)?;
        let objective = self.objective_node(p, objective, false)?;
        let (mut body, gradients) = match p.steps {
            0 => (vec![], self.each_derivative(objective, &reads(&squares), span)?),
            _ => self.gradients_over_time(p, objective, &squares, span)?,
        };
        let mut assigns = vec![];
        for (square, gradient) in squares.iter().zip(gradients) {
            let value = self.graph.binary(Binary::Mul, gradient, gradient).noted(self)?;
            let sum = match self.graph.node(value).batched {
                true => self.graph.batch_sum(value).noted(self)?,
                false => value,
            };
            let before = self.read_whole(square.total);
            let value = self.graph.binary(Binary::Add, before, sum).noted(self)?;
            assigns.push(Assign { to: square.total, place: Place::Whole, add: false, value });
        }
        body.push(Stmt::Stage { about: "squares".into(), assigns });
        let mut round = self.fetches(p, &body);
        round.extend(body);
        let program = self.samples_program("fisher", vec![rounds_loop(round)], p.batch);
        self.dump(&program, &[], &[]);
        if self.mode == Mode::Check {
            return Some(squares.iter().map(|q| (q.name.clone(), Num::unknown(Unit::REAL))).collect());
        }
        match self.run_fisher(p, program, &squares, span) {
            Ok(tree) => Some(tree),
            Err(failure) => {
                self.failure = Some(failure);
                None
            }
        }
    }

    fn squares(&mut self, net: NetId) -> Option<Vec<Square>> {
        let Value::Params(params) = self.net_params(net) else { return None };
        let entries = self.entries(net);
        let mut out = vec![];
        for ((name, num), entry) in params.iter().zip(entries) {
            let node = self.lift(num);
            let (read, _) = self.scaled_read(node);
            let shape = self.graph.shape(read).to_vec();
            let total = self.work_var(&format!("{name}@squares"), &shape, false, None);
            out.push(Square { name: name.clone(), read, shape, factor: entry.unit.shown().factor, total });
        }
        Some(out)
    }

    /// Of a network over time: each sample's gradient, added up on the way back through the steps.
    fn gradients_over_time(
        &mut self,
        p: &mut Presentation,
        objective: NodeId,
        squares: &[Square],
        span: Span,
    ) -> Option<(Vec<Stmt>, Vec<NodeId>)> {
        let (new, initial) = self.step_assigns(p)?;
        let reductions: Vec<Reduction> = self.program.as_ref()?.reductions.clone();
        let ends: Vec<NodeId> = reductions.iter().map(|r| r.read).collect();
        let by = self.derivatives(&[(objective, None)], &ends, span)?;
        let totals: Vec<VarId> =
            squares.iter().map(|q| self.work_var(&format!("{}@gradient", q.name), &q.shape, true, None)).collect();
        let wrt = reads(squares);
        let mut sums = |s: &mut Session<'s>, seeds: &[(NodeId, NodeId)]| -> Option<Vec<Sum>> {
            let found = nnm_graph::grad_each(&mut s.graph, seeds, &wrt).noted(s)?;
            let parts = found.into_iter().zip(&totals).filter_map(|(f, total)| Some(Sum { total: *total, step: f? }));
            Some(parts.collect())
        };
        let with_seeds: Vec<_> = reductions.into_iter().zip(by).collect();
        let back = self.backward(p, &new, &with_seeds, &mut sums, Flows::default(), span)?;
        let mut step = new;
        step.extend(back.keep);
        let mut body = self.presentation_stmts(p, &step, &initial);
        body.extend(back.stmts);
        let gradients = totals.iter().map(|t| self.read_whole(*t)).collect();
        Some((body, gradients))
    }

    fn run_fisher(
        &mut self,
        p: &Presentation,
        program: nnm_graph::ir::Program,
        squares: &[Square],
        span: Span,
    ) -> Result<Params, Failure> {
        let mut engine = Engine::new(&program, self.settings.backend).map_err(|e| self.engine_failure(e))?;
        self.fill_samples(&mut engine, p);
        engine.write_index(p.index, &(0..p.rows as u32).collect::<Vec<_>>());
        let rounds = p.rows.div_ceil(p.batch);
        for round in 0..rounds {
            engine.set_slot("batch", p.batch.min(p.rows - round * p.batch) as i64);
            engine.set_slot("offset", (round * p.batch) as i64);
            engine.set_slot("from", round as i64);
            engine.set_slot("to", round as i64 + 1);
            match engine.run().map_err(|e| self.engine_failure(e))? {
                status::OK => {}
                code => return Err(Failure::ended(code, "`fisher`", span)),
            }
        }
        let mut out = Params::new();
        for q in squares {
            let scale = q.factor * q.factor / p.rows.max(1) as f64;
            let values = engine.read(q.total, 0).into_iter().map(|v| v * scale).collect();
            out.insert(q.name.clone(), Num::array(Unit::REAL, shaped(&q.shape, values)));
        }
        Ok(out)
    }
}

fn reads(squares: &[Square]) -> Vec<NodeId> {
    squares.iter().map(|q| q.read).collect()
}
