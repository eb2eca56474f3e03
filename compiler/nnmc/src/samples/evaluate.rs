//! `E on DATA`: an expression for each sample, and its mean.

use nnm_graph::ir::{Assign, Place, Program as GraphProgram, Stmt, Var, VarElem};
use nnm_kir::ir::{Int, SlotId};
use nnm_runtime::abi::status;
use nnm_runtime::array::Array;
use nnm_syntax::ast::{CmpOp, ExprId, ExprKind};
use nnm_syntax::diag::Diagnostic;
use nnm_syntax::span::Span;

use super::{Presentation, ROUND, SLOTS, TIME, slot};
use crate::engine::Engine;
use crate::eval::Call;
use crate::failure::Failure;
use crate::network::{Given, NetId};
use crate::program::Role;
use crate::session::{Mode, ScopeId, Session};
use crate::value::{Dataset, Num, Repr, Value, shaped};

/// Samples at a time.
const BATCH: usize = 128;

impl Session<'_> {
    /// All values of an expression over a data set, with a leading axis `sample`.
    pub fn collected(&mut self, call: &Call) -> Option<Num> {
        let Some(e) = call.positional(0) else {
            self.error("E0222", call.span, format!("`{}` needs an expression: `{}(E on DATA)`", call.name, call.name));
            return None;
        };
        if let Some((e, world, episodes)) = self.episodes_of(call, e) {
            return self.over_episodes(call, e, world, episodes);
        }
        let Some(on) = call.clause("on") else {
            self.error("E0525", call.span, format!("`{}` needs data: `{}(E on DATA)`", call.name, call.name));
            return None;
        };
        let span = self.expr_span(call.scope, on);
        let data = match self.eval(call.scope, on) {
            Value::Data(data) => data,
            Value::Missing => return None,
            other => {
                self.error("E0526", span, format!("`on` takes a data set, found {}", other.describe()));
                return None;
            }
        };
        let given = self.given_clauses(call.scope, &call.clauses);
        self.over_samples(call.scope, e, &data, given, call.span)
    }

    /// `E in World(…) for 50 episodes`: the expression, the world, the number.
    fn episodes_of(&self, call: &Call, e: ExprId) -> Option<(ExprId, ExprId, ExprId)> {
        let episodes = crate::hir::clause(&call.clauses, "for")?;
        if call.clause("on").is_some() {
            return None;
        }
        match self.bare_expr(call.scope, e).1.kind {
            ExprKind::Compare { first, rest } => match rest.as_slice() {
                [(CmpOp::In, world)] => Some((first, *world, episodes)),
                _ => None,
            },
            _ => None,
        }
    }

    /// An expression for each of a number of episodes, in which the network acts as the last training in a world said.
    fn over_episodes(&mut self, call: &Call, e: ExprId, world: ExprId, episodes: ExprId) -> Option<Num> {
        let setting = self.world_setting(call.scope, world)?;
        let rows = self.known_int(call.scope, episodes, "the number of episodes", 1)? as usize;
        let Some(actor) = self.actor.clone() else {
            let d = Diagnostic::error(
                "E0577",
                call.span,
                "who acts? No network has been trained in an environment before this",
            )
            .help("`train net in World(…) { given x = observation; act a ~ …; … }` comes first");
            self.report(d);
            return None;
        };
        let outer_graph = std::mem::take(&mut self.graph);
        let outer = self.program.take();
        let batch = BATCH.min(rows);
        let nets = [(actor.net, actor.given)];
        let p = self.begin_world(call.scope, &setting, &nets, &actor.acts, [rows, batch], false);
        let result = p.and_then(|mut p| {
            let x = self.operand(p.scope, e)?;
            if x.num.stepwise {
                let d = Diagnostic::error(
                    "E0527",
                    x.span,
                    "this differs from step to step of an episode: reduce it over time",
                )
                .help("`episode_return`, `episode_steps`, `last(…)`, `mean_t(…)`, `sum_t(…)`");
                self.report(d);
                return None;
            }
            match x.num.repr {
                Repr::Node(_) => self.run_samples(&mut p, &x.num, rows, call.span),
                _ => Some(self.same_for_all(&x.num, rows)),
            }
        });
        self.graph = outer_graph;
        self.program = outer;
        result
    }

    /// The networks that an expression names, each with what its inputs were last given.
    pub fn networks_in(&mut self, scope: ScopeId, e: ExprId, given: &[Given]) -> Vec<(NetId, Vec<Given>)> {
        let names = crate::eval::names_in(&self.modules.get(self.module_of(scope)).file, e);
        let mut out: Vec<(NetId, Vec<Given>)> = vec![];
        for name in names {
            let Some(Value::Network(id)) = self.local(scope, &name, Span::default()) else { continue };
            if out.iter().any(|(n, _)| *n == id) {
                continue;
            }
            let inputs: Vec<String> = self.net(id).inputs.iter().map(|q| q.name.clone()).collect();
            let here: Vec<Given> = given.iter().filter(|g| inputs.contains(&g.name.text)).cloned().collect();
            let given = if here.is_empty() { self.net(id).given.clone() } else { here };
            out.push((id, given));
        }
        out
    }

    /// An expression for each sample of a data set.
    pub fn values_over(&mut self, scope: ScopeId, e: ExprId, data: &Dataset, span: Span) -> Option<Num> {
        self.over_samples(scope, e, data, vec![], span)
    }

    fn over_samples(
        &mut self,
        scope: ScopeId,
        e: ExprId,
        data: &Dataset,
        given: Vec<Given>,
        span: Span,
    ) -> Option<Num> {
        let nets = self.networks_in(scope, e, &given);
        // What a call of the network runs on needs no input of its own.
        let nets: Vec<(NetId, Vec<Given>)> = nets.into_iter().collect();
        let outer_graph = std::mem::take(&mut self.graph);
        let outer = self.program.take();
        let batch = BATCH.min(data.rows.max(1));
        let result = self.begin_samples(scope, Some(data), &nets, batch, false, span).and_then(|mut p| {
            let x = self.operand(p.scope, e)?;
            if x.num.stepwise && !self.keeps_series {
                self.error(
                    "E0527",
                    x.span,
                    "this differs from step to step: reduce it over time (`mean_t`, `last`, `sum_t`)",
                );
                return None;
            }
            let num = x.num;
            if !matches!(num.repr, Repr::Node(_)) {
                return Some(self.same_for_all(&num, data.rows));
            }
            self.run_samples(&mut p, &num, data.rows, span)
        });
        self.graph = outer_graph;
        self.program = outer;
        result
    }

    /// An expression without samples in it: the same for each.
    fn same_for_all(&self, num: &Num, rows: usize) -> Num {
        let Some(array) = num.as_const() else { return num.clone() };
        let mut shape = vec![rows];
        shape.extend(array.shape());
        let values = (0..rows).flat_map(|_| array.iter().copied().collect::<Vec<_>>()).collect();
        Num { repr: Repr::Const(shaped(&shape, values)), ..num.clone() }
    }

    fn run_samples(&mut self, p: &mut Presentation, num: &Num, rows: usize, span: Span) -> Option<Num> {
        let node = self.lift(num);
        let shape = self.graph.shape(node).to_vec();
        let rounds = rows.div_ceil(p.batch).max(1);
        let copies = if num.stepwise { p.steps as usize } else { 1 };
        let out = self.graph.add_var(Var {
            name: "values".into(),
            elem: VarElem::Real,
            shape: shape.clone(),
            batched: true,
            times: Some(rounds * copies),
        });
        let states = if p.steps > 0 { Some(self.step_assigns(p)?) } else { None };
        let mut body = match &states {
            Some((new, initial)) => self.presentation_stmts(p, new, initial),
            None => self.settled_as_trained(p)?,
        };
        let round = Int::Mul(Box::new(Int::Loop(ROUND)), Box::new(Int::Const(copies as i64)));
        if num.stepwise {
            let place = Place::Time(Int::Add(Box::new(round), Box::new(Int::Loop(TIME))));
            let store = Assign { to: out, place, add: false, value: node };
            if let Some(Stmt::For { body, .. }) = body.iter_mut().find(|s| matches!(s, Stmt::For { .. })) {
                body.push(Stmt::Stage { about: "values".into(), assigns: vec![store] });
            }
        } else {
            let store = Assign { to: out, place: Place::Time(round), add: false, value: node };
            body.push(Stmt::Stage { about: "values".into(), assigns: vec![store] });
        }
        let mut round = self.fetches(p, &body);
        round.extend(body);
        let program = self.samples_program("evaluate", vec![rounds_loop(round)], p.batch);
        self.dump(&program, &[], &[]);
        if self.mode == Mode::Check {
            return Some(Num { repr: Repr::Unknown, class: None, ..num.clone() });
        }
        let array = match self.run_rounds(p, program, [rows, copies], out, &shape, span) {
            Ok(array) => array,
            Err(failure) => {
                self.failure = Some(failure);
                return None;
            }
        };
        Some(Num { repr: Repr::Const(array), stepwise: false, ..num.clone() })
    }

    /// Latents of the networks that are looked at settle as they did in their last training.
    fn settled_as_trained(&mut self, p: &Presentation) -> Option<Vec<Stmt>> {
        let nets: Vec<NetId> = self.program.as_ref()?.frames.keys().copied().collect();
        let mut at = super::present::Timeline::default();
        for id in nets {
            let settles = self.net(id).settles.clone();
            self.settle_latents(p, &settles, &mut at)?;
        }
        Some(at.after)
    }

    pub fn samples_program(&mut self, name: &str, body: Vec<Stmt>, batch: usize) -> GraphProgram {
        GraphProgram {
            name: name.into(),
            precision: self.settings.train_precision(),
            graph: std::mem::take(&mut self.graph),
            batch,
            slots: SLOTS.iter().map(|s| s.to_string()).collect(),
            loops: super::SETTLE.0 + 1,
            records: Default::default(),
            body,
        }
    }

    /// Fills weights from their networks, data and tables.
    pub fn fill_samples(&self, engine: &mut Engine, p: &Presentation) {
        let leaves = self.program.as_ref().map(|p| p.leaves.clone()).unwrap_or_default();
        for leaf in leaves.values() {
            if let (Some((id, local)), Role::Weight) = (&leaf.home, leaf.role)
                && let Some(array) = self.net(*id).store.get(local)
            {
                engine.write_array(leaf.var, array);
            }
        }
        for field in &p.fields {
            engine.write_array(field.data, &field.values);
        }
        for (var, array) in &p.tables {
            engine.write_array(*var, array);
        }
    }

    /// What `out` holds of all rows, a batch of them at a time: `copies` tensors of a shape for each.
    fn run_rounds(
        &mut self,
        p: &Presentation,
        program: GraphProgram,
        [rows, copies]: [usize; 2],
        out: nnm_graph::ir::VarId,
        shape: &[usize],
        span: Span,
    ) -> Result<Array, Failure> {
        let mut engine = Engine::new(&program, self.settings.backend).map_err(|e| self.engine_failure(e))?;
        self.fill_samples(&mut engine, p);
        engine.write_index(p.index, &(0..rows as u32).collect::<Vec<_>>());
        let size: usize = shape.iter().product();
        let mut values = Vec::with_capacity(rows * size);
        for round in 0..rows.div_ceil(p.batch).max(1) {
            let here = p.batch.min(rows - round * p.batch);
            engine.set_slot("batch", here as i64);
            engine.set_slot("offset", (round * p.batch) as i64);
            engine.set_slot("from", round as i64);
            engine.set_slot("to", round as i64 + 1);
            match engine.run().map_err(|e| self.engine_failure(e))? {
                status::OK => {}
                code => return Err(Failure::ended(code, "this evaluation", span)),
            }
            for sample in 0..here {
                for copy in 0..copies {
                    let all = engine.read(out, round * copies + copy);
                    values.extend_from_slice(&all[sample * size..(sample + 1) * size]);
                }
            }
        }
        let mut full = vec![rows];
        if copies > 1 {
            full.push(copies);
        }
        full.extend(shape);
        Ok(shaped(&full, values))
    }
}

pub fn rounds_loop(body: Vec<Stmt>) -> Stmt {
    let read = |name| Int::Slot(SlotId(slot(name)));
    Stmt::For { index: ROUND, from: read("from"), to: read("to"), down: false, body }
}
