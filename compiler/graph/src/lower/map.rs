//! The body of a map: instructions for its nodes in order, conditions as masks.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use nnm_kir::builder::BodyBuilder;
use nnm_kir::ir as kir;
use nnm_kir::ir::{At, BufId, Compare, Int, Math, Ref, Val};

use super::fuse::Fused;
use super::order::User;
use super::plan::Role;
use super::stage::Stage;
use super::{LowerError, Lowering};
use crate::ir::{Binary, Graph, NodeId, Op, Place, Unary};

/// Where the values of a map are stored.
type Targets = HashMap<NodeId, Vec<Ref>>;

impl Stage<'_, '_> {
    /// Writes one map and notes what it leaves behind.
    pub fn emit_map(&mut self, fused: &Fused) -> Result<(), LowerError> {
        let sources = self.sources(fused);
        self.give_back_dying(fused);
        let (targets, places) = self.targets(fused);
        let loaded: HashSet<BufId> = sources.values().map(|(source, _)| source.buffer).collect();
        let mut body = Values::new(self.low, sources);
        let mut late = vec![];
        for id in &fused.nodes {
            body.node(*id)?;
            for target in targets.get(id).into_iter().flatten() {
                if loaded.contains(&target.buffer) { late.push((*id, target)) } else { body.store(*id, target)? }
            }
        }
        let outside = targets.iter().filter(|(id, _)| !fused.nodes.contains(id));
        let outside: BTreeSet<(NodeId, usize)> =
            outside.flat_map(|(id, all)| (0..all.len()).map(|k| (*id, k))).collect();
        late.extend(outside.into_iter().map(|(id, k)| (id, &targets[&id][k])));
        for (id, _) in &late {
            body.value(*id)?;
        }
        for (id, target) in late {
            body.store(id, target)?;
        }
        let insts = body.builder.finish();
        self.low.out.push(kir::Stmt::Map(kir::Map { len: self.low.map_len(fused.extent), body: insts }));
        self.after_map(fused, places);
        Ok(())
    }

    /// Where the map's operands from outside are.
    fn sources(&mut self, fused: &Fused) -> HashMap<NodeId, (Ref, At)> {
        let mut operands: Vec<NodeId> = fused.nodes.iter().flat_map(|id| self.low.plan.inputs(*id).to_vec()).collect();
        operands.extend(fused.roots.iter().chain(&fused.delayed).map(|k| self.roots[*k].value));
        let outside = operands.into_iter().filter(|id| !fused.nodes.contains(id));
        let mut sources = HashMap::new();
        for id in outside {
            if let Some(place) = self.memory(id) {
                let at = if self.extent(id) == fused.extent { At::Unit } else { At::Splat };
                sources.insert(id, (place, at));
            }
        }
        sources
    }

    /// Temporaries that are read element by element for the last time here: their buffers may take this map's values.
    fn give_back_dying(&mut self, fused: &Fused) {
        let inputs: BTreeSet<NodeId> = fused.nodes.iter().flat_map(|id| self.low.plan.inputs(*id).to_vec()).collect();
        for id in inputs {
            let last = self.order.open_users(id).all(|user| match user {
                User::Node(user) if fused.nodes.contains(&user) => {
                    let waits = self.waiting(user, &fused.nodes, &fused.roots).next().is_some();
                    !self.low.gathers(user) && (fused.stored.contains(&user) || !waits)
                }
                _ => false,
            });
            if last && self.is_temp(id) && self.extent(id) == fused.extent && !fused.nodes.contains(&id) {
                self.forget(id);
            }
        }
    }

    /// Where each value is stored, and where nodes are to be found afterwards.
    fn targets(&mut self, fused: &Fused) -> (Targets, Vec<(NodeId, Ref)>) {
        let mut targets = Targets::new();
        let mut places = BTreeMap::new();
        for k in &fused.roots {
            let (value, place) = (self.roots[*k].value, self.roots[*k].place.clone());
            if fused.stored.contains(&value) && !places.contains_key(&value) {
                places.insert(value, place.clone());
            }
            targets.entry(value).or_default().push(place);
        }
        let delayed = fused.delayed.iter().map(|k| self.roots[*k].value).filter(|id| !fused.nodes.contains(id));
        let waiting: BTreeSet<NodeId> = fused.stored.iter().copied().chain(delayed).collect();
        for id in waiting {
            places.entry(id).or_insert_with(|| {
                let place = self.new_temp(id);
                targets.entry(id).or_default().push(place.clone());
                place
            });
        }
        (targets, places.into_iter().collect())
    }
}

/// The values of a body while it is written.
pub(super) struct Values<'l, 'a> {
    pub low: &'l Lowering<'a>,
    graph: &'a Graph,
    /// How operands from outside are loaded.
    sources: HashMap<NodeId, (Ref, At)>,
    values: HashMap<NodeId, Val>,
    masks: HashMap<NodeId, Val>,
    pub builder: BodyBuilder,
}

impl<'l, 'a> Values<'l, 'a> {
    pub fn new(low: &'l Lowering<'a>, sources: HashMap<NodeId, (Ref, At)>) -> Self {
        let builder = BodyBuilder::new(low.program.precision);
        Values { low, graph: low.graph, sources, values: HashMap::new(), masks: HashMap::new(), builder }
    }

    fn store(&mut self, id: NodeId, to: &Ref) -> Result<(), LowerError> {
        let value = self.value(id)?;
        self.builder.store(to.clone(), At::Unit, value);
        Ok(())
    }

    /// A value as a number.
    pub fn value(&mut self, id: NodeId) -> Result<Val, LowerError> {
        if let Some(value) = self.values.get(&id) {
            return Ok(*value);
        }
        let value = if let Some(mask) = self.masks.get(&id).copied() {
            let (one, zero) = (self.builder.constant(1.0), self.builder.constant(0.0));
            self.builder.select(mask, one, zero)
        } else if let Some((source, at)) = self.sources.get(&id) {
            self.builder.load(source.clone(), at.clone())
        } else if self.low.plan.role(id) == Role::Inline {
            self.low.inline(id, &mut self.builder)?
        } else {
            return Err(LowerError(format!("node {} is used before it is computed", id.0)));
        };
        self.values.insert(id, value);
        Ok(value)
    }

    /// A value as a condition.
    fn mask(&mut self, id: NodeId) -> Result<Val, LowerError> {
        if let Some(mask) = self.masks.get(&id) {
            return Ok(*mask);
        }
        let value = self.value(id)?;
        let zero = self.builder.constant(0.0);
        let mask = self.builder.compare(Compare::Ne, value, zero);
        self.masks.insert(id, mask);
        Ok(mask)
    }

    pub fn node(&mut self, id: NodeId) -> Result<(), LowerError> {
        let inputs = self.low.plan.inputs(id);
        let value = match &self.graph.node(id).op {
            Op::Unary(op) => self.unary(id, *op, inputs[0])?,
            Op::Binary(op) => self.binary(id, *op, inputs)?,
            Op::Select => {
                let mask = self.mask(inputs[0])?;
                let (a, b) = (self.value(inputs[1])?, self.value(inputs[2])?);
                Some(self.builder.select(mask, a, b))
            }
            Op::Broadcast => Some(self.value(inputs[0])?),
            Op::Draw { draw, key, step, first } => {
                let args = inputs.iter().map(|a| self.value(*a)).collect::<Result<Vec<_>, _>>()?;
                let size: usize = self.graph.shape(id).iter().product();
                let base = match first {
                    Int::Const(n) => Int::Const(n * size as i64),
                    first => Int::Mul(Box::new(first.clone()), Box::new(Int::Const(size as i64))),
                };
                Some(self.builder.draw(*draw, *key, step.clone(), base, &args))
            }
            Op::Read { .. } | Op::Gather { .. } => Some(self.gathered(id, inputs)?),
            _ => Some(self.low.inline(id, &mut self.builder)?),
        };
        if let Some(value) = value {
            self.values.insert(id, value);
        }
        Ok(())
    }

    /// A load at indices.
    fn gathered(&mut self, id: NodeId, inputs: &[NodeId]) -> Result<Val, LowerError> {
        let (source, index) = match &self.graph.node(id).op {
            Op::Read { var, place: Place::Gather(index) } => {
                (Some(Ref::new(BufId(var.0), 0)), Some(Ref::new(BufId(index.0), 0)))
            }
            _ => (
                self.sources.get(&inputs[0]).map(|(source, _)| source.clone()),
                self.low.index_place(self.graph.node(id).args[1]),
            ),
        };
        match (source, index) {
            (Some(source), Some(index)) => Ok(self.builder.load(source, At::Gather(index))),
            _ => Err(LowerError("a gather without memory".into())),
        }
    }

    fn unary(&mut self, id: NodeId, op: Unary, a: NodeId) -> Result<Option<Val>, LowerError> {
        if op == Unary::Not {
            let mask = self.mask(a)?;
            let not = self.builder.not(mask);
            self.masks.insert(id, not);
            return Ok(None);
        }
        let a = self.value(a)?;
        if op == Unary::Sign {
            return Ok(Some(self.sign(a)));
        }
        Ok(Some(match simple(op) {
            Some(op) => self.builder.unary(op, a),
            None => {
                let f = math(op).ok_or_else(|| LowerError(format!("`{}` has no lowering", op.def().name)))?;
                self.builder.math(f, &[a])
            }
        }))
    }

    fn sign(&mut self, a: Val) -> Val {
        let (zero, one, minus) = (self.builder.constant(0.0), self.builder.constant(1.0), self.builder.constant(-1.0));
        let (above, below) = (self.builder.compare(Compare::Gt, a, zero), self.builder.compare(Compare::Lt, a, zero));
        let negative = self.builder.select(below, minus, zero);
        self.builder.select(above, one, negative)
    }

    fn binary(&mut self, id: NodeId, op: Binary, inputs: &[NodeId]) -> Result<Option<Val>, LowerError> {
        if let Some(contracted) = self.low.plan.contracted(id) {
            return self.fused(inputs, contracted.negative).map(Some);
        }
        if let Binary::And | Binary::Or = op {
            let (a, b) = (self.mask(inputs[0])?, self.mask(inputs[1])?);
            let mask = if op == Binary::And { self.builder.and(a, b) } else { self.builder.or(a, b) };
            self.masks.insert(id, mask);
            return Ok(None);
        }
        let (a, b) = (self.value(inputs[0])?, self.value(inputs[1])?);
        if let Some(compare) = comparison(op) {
            let mask = self.builder.compare(compare, a, b);
            self.masks.insert(id, mask);
            return Ok(None);
        }
        Ok(Some(match op {
            Binary::Pow => self.builder.math(Math::Pow, &[a, b]),
            Binary::Atan2 => self.builder.math(Math::Atan2, &[a, b]),
            _ => {
                let op = arithmetic(op).ok_or_else(|| LowerError(format!("`{}` has no lowering", op.def().name)))?;
                self.builder.binary(op, a, b)
            }
        }))
    }

    /// `±a · b + c`
    fn fused(&mut self, inputs: &[NodeId], negative: bool) -> Result<Val, LowerError> {
        let (mut a, b, c) = (self.value(inputs[0])?, self.value(inputs[1])?, self.value(inputs[2])?);
        if negative {
            a = self.builder.unary(kir::Unary::Neg, a);
        }
        Ok(self.builder.fma(a, b, c))
    }
}

impl Lowering<'_> {
    /// A scalar as an instruction.
    fn inline(&self, id: NodeId, builder: &mut BodyBuilder) -> Result<Val, LowerError> {
        match &self.graph.node(id).op {
            Op::Const(value) => Ok(builder.constant(*value)),
            Op::Count(int) => Ok(builder.int(int.clone())),
            Op::Read { var, place } => {
                let place = self.place(*var, place)?;
                Ok(builder.int(Int::Load(Box::new(place))))
            }
            _ => Err(LowerError(format!("node {} is no element-wise value", id.0))),
        }
    }

    /// The var of indices that a gather takes.
    pub(super) fn index_place(&self, id: NodeId) -> Option<Ref> {
        match &self.graph.node(id).op {
            Op::Reshape => self.index_place(self.graph.node(id).args[0]),
            Op::Read { var, place } => self.place(*var, place).ok(),
            _ => None,
        }
    }
}

fn simple(op: Unary) -> Option<kir::Unary> {
    Some(match op {
        Unary::Neg => kir::Unary::Neg,
        Unary::Abs => kir::Unary::Abs,
        Unary::Sqrt => kir::Unary::Sqrt,
        Unary::Floor => kir::Unary::Floor,
        Unary::Ceil => kir::Unary::Ceil,
        Unary::Trunc => kir::Unary::Trunc,
        Unary::Round => kir::Unary::Round,
        _ => return None,
    })
}

fn math(op: Unary) -> Option<Math> {
    Some(match op {
        Unary::Exp => Math::Exp,
        Unary::Expm1 => Math::Expm1,
        Unary::Log => Math::Log,
        Unary::Log1p => Math::Log1p,
        Unary::Sin => Math::Sin,
        Unary::Cos => Math::Cos,
        Unary::Tan => Math::Tan,
        Unary::Asin => Math::Asin,
        Unary::Acos => Math::Acos,
        Unary::Atan => Math::Atan,
        Unary::Sinh => Math::Sinh,
        Unary::Cosh => Math::Cosh,
        Unary::Tanh => Math::Tanh,
        Unary::Sigmoid => Math::Sigmoid,
        Unary::Softplus => Math::Softplus,
        Unary::Erf => Math::Erf,
        _ => return None,
    })
}

fn arithmetic(op: Binary) -> Option<kir::Binary> {
    Some(match op {
        Binary::Add => kir::Binary::Add,
        Binary::Sub => kir::Binary::Sub,
        Binary::Mul => kir::Binary::Mul,
        Binary::Div => kir::Binary::Div,
        Binary::Min => kir::Binary::Min,
        Binary::Max => kir::Binary::Max,
        _ => return None,
    })
}

fn comparison(op: Binary) -> Option<Compare> {
    Some(match op {
        Binary::Eq => Compare::Eq,
        Binary::Ne => Compare::Ne,
        Binary::Lt => Compare::Lt,
        Binary::Le => Compare::Le,
        Binary::Gt => Compare::Gt,
        Binary::Ge => Compare::Ge,
        _ => return None,
    })
}
