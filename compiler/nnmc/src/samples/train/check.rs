//! `nnmc check-gradients`: what differentiation says about an objective, against what the objective does.
//!
//! The mean objective of a few samples is computed in f64 with each of some weights a little larger and smaller; the quotient
//! of the differences is held against the derivative, as PyTorch's `gradcheck` does and to its tolerances.

use nnm_graph::ir::{Assign, NodeId, Op, Place, Stmt, VarId};
use nnm_kir::ir::Precision;
use nnm_runtime::abi::status;
use nnm_runtime::random;
use nnm_syntax::span::Span;

use super::super::evaluate::rounds_loop;
use super::super::gradient::{Flows, Sum};
use super::super::target::Target;
use super::super::{Presentation, Reduction};
use super::Training;
use super::plan::{Aim, Plan};
use crate::engine::Engine;
use crate::failure::Failure;
use crate::network::Given;
use crate::session::Session;

/// Samples of which the mean is taken, weights of each tensor that are moved, and how far.
const SAMPLES: usize = 8;
const MOVED: usize = 24;
const STEP: f64 = 1e-6;
/// A difference counts as none up to this much, and this much of the value.
const ABSOLUTE: f64 = 1e-5;
const RELATIVE: f64 = 1e-3;

/// What was found for one trained quantity.
#[derive(Clone, Debug)]
pub struct GradientRow {
    pub objective: String,
    pub parameter: String,
    /// How many of its numbers were moved, of how many.
    pub moved: usize,
    pub size: usize,
    /// Of the number that fits worst: the derivative, and the quotient of differences.
    pub derivative: f64,
    pub quotient: f64,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Agrees,
    Differs,
    /// The derivative is meant to be another: by a surrogate, or stopped.
    Replaced,
}

/// The program that gives an objective and its derivatives.
struct Measured {
    program: nnm_graph::ir::Program,
    objective: VarId,
    targets: Vec<(Target, VarId)>,
    replaced: bool,
}

impl<'s> Session<'s> {
    /// Holds the derivatives of all objectives of a training against differences.
    pub(super) fn check_gradients(&mut self, t: &Training, plan: &Plan) -> Result<(), Failure> {
        let given = self.givens(t.scope, t.block);
        for aim in &plan.aims {
            let Some(objective) = aim.objective else { continue };
            let outer_graph = std::mem::take(&mut self.graph);
            let outer = self.program.take();
            let errors = self.error_count();
            let made = self.measured(t, aim, given.clone());
            let text = self.text(self.expr_span(t.scope, objective)).split_whitespace().collect::<Vec<_>>().join(" ");
            let result = match made {
                Some((p, measured)) => self.measure(&p, measured, &text),
                None => self.nothing_built("check-gradients", errors).map(|_| ()),
            };
            self.graph = outer_graph;
            self.program = outer;
            result?;
        }
        Ok(())
    }

    fn measured(&mut self, t: &Training, aim: &Aim, given: Vec<Given>) -> Option<(Presentation, Measured)> {
        let data = t.data.clone();
        let batch = SAMPLES.min(data.as_ref().map_or(1, |d| d.rows)).max(1);
        self.schedule = Some((1, 1));
        let mut p = self.begin_samples(t.scope, data.as_deref(), &[(t.net, given)], batch, true, t.span)?;
        let frame = self.frame_of(t.net);
        let objective = self.objective_node(&p, aim.objective?, aim.maximize)?;
        self.reach_ports(frame);
        let over = aim.over.as_ref().map(|list| list.iter().map(|e| self.eval(t.scope, *e)).collect::<Vec<_>>());
        let mut targets = self.targets(frame, over.as_deref(), aim.span)?;
        let mut seen = std::collections::BTreeSet::new();
        targets.retain(|t| seen.insert(t.var));
        let mean = self.batch_mean_of(objective)?;
        let reads: Vec<NodeId> = targets.iter().map(|t| t.read).collect();
        let direct = self.derivatives(&[(mean, None)], &reads, aim.span)?;
        let (mut body, gradients) = match p.steps {
            0 => (vec![], direct),
            _ => self.summed_over_time(&mut p, mean, &reads, direct, &targets, aim)?,
        };
        let roots: Vec<NodeId> = crate::lowering::values(&body).into_iter().chain([mean]).collect();
        let replaced = nnm_graph::needed(&self.graph, &roots)
            .into_iter()
            .any(|n| matches!(self.graph.node(n).op, Op::Surrogate | Op::StopGradient) && !self.graph.is_mark(n));
        let mut assigns = vec![];
        let objective = self.work_var("objective", &[], false, None);
        assigns.push(Assign { to: objective, place: Place::Whole, add: false, value: mean });
        let mut out = vec![];
        for (target, value) in targets.into_iter().zip(gradients) {
            let var = self.work_var(&format!("{}@gradient", target.path), &target.shape, false, None);
            assigns.push(Assign { to: var, place: Place::Whole, add: false, value });
            out.push((target, var));
        }
        body.push(Stmt::Stage { about: "objective and derivatives".into(), assigns });
        let mut round = self.fetches(&p, &body);
        round.extend(body);
        let mut program = self.samples_program("check-gradients", vec![rounds_loop(round)], p.batch);
        program.precision = Precision::F64;
        Some((p, Measured { program, objective, targets: out, replaced }))
    }

    fn summed_over_time(
        &mut self,
        p: &mut Presentation,
        mean: NodeId,
        reads: &[NodeId],
        direct: Vec<NodeId>,
        targets: &[Target],
        aim: &Aim,
    ) -> Option<(Vec<Stmt>, Vec<NodeId>)> {
        let (new, initial) = self.step_assigns(p)?;
        let reductions: Vec<Reduction> = self.program.as_ref()?.reductions.clone();
        let ends: Vec<NodeId> = reductions.iter().map(|r| r.read).collect();
        let by = self.derivatives(&[(mean, None)], &ends, aim.span)?;
        let totals: Vec<VarId> =
            targets.iter().map(|t| self.work_var(&format!("{}@sum", t.path), &t.shape, false, None)).collect();
        let mut sums = |s: &mut Session<'s>, seeds: &[(NodeId, NodeId)]| -> Option<Vec<Sum>> {
            let seeds: Vec<_> = seeds.iter().map(|(of, by)| (*of, Some(*by))).collect();
            let found = s.derivatives(&seeds, reads, aim.span)?;
            Some(found.into_iter().zip(&totals).map(|(step, total)| Sum { total: *total, step }).collect())
        };
        let with_seeds: Vec<_> = reductions.into_iter().zip(by).collect();
        let back = self.backward(p, &new, &with_seeds, &mut sums, Flows::default(), aim.span)?;
        let mut step = new;
        step.extend(back.keep);
        let mut body = self.presentation_stmts(p, &step, &initial);
        body.extend(back.stmts);
        let mut gradients = vec![];
        for (total, direct) in totals.iter().zip(direct) {
            let through = self.read_whole(*total);
            gradients.push(self.graph.binary(nnm_graph::ir::Binary::Add, through, direct).ok()?);
        }
        Some((body, gradients))
    }

    fn measure(&mut self, p: &Presentation, m: Measured, objective: &str) -> Result<(), Failure> {
        let mut engine = Engine::new(&m.program, self.settings.backend).map_err(|e| self.engine_failure(e))?;
        self.fill_samples(&mut engine, p);
        engine.write_index(p.index, &(0..p.rows as u32).collect::<Vec<_>>());
        engine.set_slot("batch", p.batch as i64);
        engine.set_slot("to", 1);
        self.run_once(&mut engine)?;
        let derivatives: Vec<Vec<f64>> = m.targets.iter().map(|(_, var)| engine.read(*var, 0)).collect();
        for ((target, _), derivative) in m.targets.iter().zip(derivatives) {
            let values = engine.read(target.var, 0);
            let order = random::permutation(random::key(self.seed, &target.path), 0, values.len() as u32);
            let mut row = GradientRow {
                objective: objective.to_string(),
                parameter: target.path.clone(),
                moved: values.len().min(MOVED),
                size: values.len(),
                derivative: 0.0,
                quotient: 0.0,
                verdict: Verdict::Agrees,
            };
            let mut worst = -1.0;
            for k in order.into_iter().take(MOVED) {
                let k = k as usize;
                let mut ends = [0.0; 2];
                for (end, sign) in ends.iter_mut().zip([1.0, -1.0]) {
                    let mut moved = values.clone();
                    moved[k] += sign * STEP;
                    engine.write(target.var, 0, &moved);
                    self.run_once(&mut engine)?;
                    *end = engine.read(m.objective, 0)[0];
                }
                let quotient = (ends[0] - ends[1]) / (2.0 * STEP);
                let off = (derivative[k] - quotient).abs() / (ABSOLUTE + RELATIVE * quotient.abs());
                if off > worst || !off.is_finite() {
                    worst = off;
                    (row.derivative, row.quotient) = (derivative[k], quotient);
                }
            }
            engine.write(target.var, 0, &values);
            row.verdict = match worst <= 1.0 {
                true => Verdict::Agrees,
                false if m.replaced => Verdict::Replaced,
                false => Verdict::Differs,
            };
            self.gradients.push(row);
        }
        Ok(())
    }

    fn run_once(&mut self, engine: &mut Engine) -> Result<(), Failure> {
        match engine.run().map_err(|e| self.engine_failure(e))? {
            status::OK => Ok(()),
            code => Err(Failure::ended(code, "this check of gradients", Span::default())),
        }
    }
}
