//! `update(net, rule, objective on DATA)`: the change that a rule would make, not applied; and how far it is from the gradient.

use nnm_graph::ir::{Assign, NodeId, Place, Stmt, VarId};
use nnm_runtime::abi::status;
use nnm_syntax::ast::ExprId;
use nnm_syntax::span::Span;

use super::Presentation;
use super::credit::Credit;
use super::evaluate::rounds_loop;
use super::present::Timeline;
use super::target::Target;
use crate::engine::Engine;
use crate::eval::Call;
use crate::failure::Failure;
use crate::hir::Rule;
use crate::network::NetId;
use crate::session::{Mode, Session};
use crate::unit::Unit;
use crate::value::{Kind, Num, Params, Value, shaped};

impl Session<'_> {
    /// `update(net, rule, objective on DATA)`: the change that a rule would make, by the names of what it changes.
    pub fn update_call(&mut self, call: &Call) -> Value {
        let Some((net, rule)) = self.net_and_rule(call) else { return Value::Missing };
        self.update_of(call, net, Some(rule)).unwrap_or(Value::Missing)
    }

    fn net_and_rule(&mut self, call: &Call) -> Option<(NetId, (std::sync::Arc<Kind>, Rule))> {
        let net = match self.arg(call, 0, "net")? {
            Value::Network(id) => id,
            Value::Missing => return None,
            other => {
                self.error(
                    "E0540",
                    call.span,
                    format!("`{}` takes a network first, found {}", call.name, other.describe()),
                );
                return None;
            }
        };
        let value = self.arg(call, 1, "rule")?;
        Some((net, self.rule_of(&value, call.span)?))
    }

    pub fn angle_to_backprop(&mut self, call: &Call) -> Value {
        let unit = Unit::parse("deg").unwrap_or(Unit::REAL);
        let Some((net, rule)) = self.net_and_rule(call) else { return Value::Missing };
        let (Some(a), Some(b)) = (self.update_of(call, net, Some(rule)), self.update_of(call, net, None)) else {
            return Value::Num(Num::unknown(unit));
        };
        match (crate::eval::flat_numbers(&a), crate::eval::flat_numbers(&b)) {
            (Some(a), Some(b)) => {
                Value::Num(Num::array(unit, crate::value::scalar(crate::eval::angle_between(&a, &b))))
            }
            _ => Value::Num(Num::unknown(unit)),
        }
    }

    /// The direction of a rule, or of the gradient itself, over a whole data set at once.
    fn update_of(&mut self, call: &Call, net: NetId, rule: Option<(std::sync::Arc<Kind>, Rule)>) -> Option<Value> {
        let objective = call.positional(2)?;
        let Some(on) = call.clause("on") else {
            self.error("E0525", call.span, format!("`{}` needs data: `… objective on DATA`", call.name));
            return None;
        };
        let Value::Data(data) = self.eval(call.scope, on) else { return None };
        let here = self.given_clauses(call.scope, &call.clauses);
        let given = if here.is_empty() { self.net(net).given.clone() } else { here };
        let outer_graph = std::mem::take(&mut self.graph);
        let outer = self.program.take();
        let p = self.begin_samples(call.scope, Some(&data), &[(net, given)], data.rows.max(1), true, call.span);
        let result = p.and_then(|p| self.directions(call, net, rule, objective, p));
        self.graph = outer_graph;
        self.program = outer;
        result
    }

    fn directions(
        &mut self,
        call: &Call,
        net: NetId,
        rule: Option<(std::sync::Arc<Kind>, Rule)>,
        objective: ExprId,
        mut p: Presentation,
    ) -> Option<Value> {
        let frame = self.frame_of(net);
        let mut at = Timeline::default();
        let targets = |s: &mut Self| s.targets(frame, None, call.span);
        let directions = match &rule {
            Some((kind, rule)) => {
                let mut credit = Credit::new(kind, rule, p.scope, call.span);
                self.set_feedback(frame, &credit)?;
                credit.objective = Some(self.objective_node(&p, objective, false)?);
                self.reach_ports(frame);
                let targets = targets(self)?;
                let directions = self.rule_directions(&mut p, &mut credit, &targets, &mut at)?;
                self.merged(&credit, directions)?
            }
            None => {
                let objective = self.objective_node(&p, objective, false)?;
                self.reach_ports(frame);
                let mut targets = targets(self)?;
                let mut seen = vec![];
                targets.retain(|t| {
                    let fresh = !seen.contains(&t.var);
                    seen.push(t.var);
                    fresh
                });
                let nodes = self.descent(&mut p, objective, &targets, &mut at, call.span)?;
                targets.into_iter().zip(nodes).collect()
            }
        };
        let mut assigns = vec![];
        let mut names = vec![];
        for (target, node) in directions {
            names.push((target.path.clone(), self.direction_var(&target, node, &mut assigns), target));
        }
        let mut body = self.timeline_stmts(&p, at);
        body.push(Stmt::Stage { about: "direction".into(), assigns });
        let mut round = self.fetches(&p, &body);
        round.extend(body);
        let program = self.samples_program("update", vec![rounds_loop(round)], p.batch);
        if self.mode == Mode::Check {
            return None;
        }
        let engine = self.run_directions(&program, &p, call.span)?;
        let prefix = format!("{}.", self.net(net).path);
        let mut out = Params::new();
        for (path, var, target) in names {
            // As optimizers see it: in the scale of the quantity.
            let scale = target.unit.shown().factor;
            let values = engine.read(var, 0).into_iter().map(|v| v * scale).collect();
            let name = path.strip_prefix(&prefix).unwrap_or(&path).to_string();
            out.insert(name, Num::array(Unit::REAL, shaped(&target.shape, values)));
        }
        Some(Value::Params(out.into()))
    }

    /// All rows in one batch, once.
    fn run_directions(&mut self, program: &nnm_graph::ir::Program, p: &Presentation, span: Span) -> Option<Engine> {
        let mut engine = match Engine::new(program, self.settings.backend) {
            Ok(engine) => engine,
            Err(error) => {
                self.failure = Some(self.engine_failure(error));
                return None;
            }
        };
        self.fill_samples(&mut engine, p);
        engine.write_index(p.index, &(0..p.rows as u32).collect::<Vec<_>>());
        engine.set_slot("batch", p.rows as i64);
        engine.set_slot("to", 1);
        let failure = match engine.run() {
            Ok(status::OK) => None,
            Ok(code) => Some(Failure::ended(code, "this update", span)),
            Err(error) => Some(self.engine_failure(error)),
        };
        if failure.is_some() {
            self.failure = failure;
            return None;
        }
        Some(engine)
    }

    fn direction_var(&mut self, target: &Target, node: NodeId, assigns: &mut Vec<Assign>) -> VarId {
        let var = self.work_var(&format!("{}@direction", target.path), &target.shape, false, None);
        assigns.push(Assign { to: var, place: Place::Whole, add: false, value: node });
        var
    }
}
