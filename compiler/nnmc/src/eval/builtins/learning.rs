//! Functions of networks, data and learning.

use nnm_graph::ir::Binary;

use super::{Builtin, done};
use crate::eval::{Call, Written};
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Value, scalar};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "accuracy",
        about: "`accuracy(y, label)`: whether the largest of y is at the label",
        run: accuracy,
    },
    Builtin { name: "evaluate", about: "`evaluate(E on DATA)`: the mean of E over the samples", run: evaluate },
    Builtin {
        name: "collect",
        about: "`collect(E on DATA)`: E of each sample, with a leading axis `sample`",
        run: collect,
    },
    Builtin {
        name: "gradient",
        about: "`gradient(E, x)`: the derivative of the number E by x",
        run: |s, c| s.gradient_call(c),
    },
    Builtin {
        name: "stop_gradient",
        about: "`stop_gradient(x)`: x, through which nothing is differentiated",
        run: stop_gradient,
    },
    Builtin {
        name: "linearized",
        about: "`linearized(E)`: in the energy of a rule's `settle`, E to first order around the forward pass",
        run: |s, c| s.linearized_call(c),
    },
    Builtin { name: "surrogate", about: "`surrogate(x, y)`: the value of x with the derivative of y", run: surrogate },
    Builtin { name: "step", about: "`step(x)`: 1 where x > 0, else 0", run: step },
    Builtin { name: "batch_mean", about: "`batch_mean(x)`: the mean over the samples of a batch", run: batch_mean },
    Builtin {
        name: "batch_var",
        about: "`batch_var(x)`: the variance over the samples of a batch; `unbiased = true` divides by their number less one",
        run: batch_var,
    },
    Builtin {
        name: "map_mean",
        about: "`map_mean(x)`: the mean over the places of each map of `[maps, height, width]`, in the shape of x",
        run: map_mean,
    },
    Builtin {
        name: "receptive_field",
        about: "`receptive_field(net.c2)`: height and width of the part of the input that one cell sees",
        run: |s, c| s.receptive_field(c),
    },
    Builtin {
        name: "update",
        about: "`update(net, rule, objective on DATA)`: the change that a rule would make",
        run: |s, c| s.update_call(c),
    },
    Builtin {
        name: "discounted",
        about: "`discounted(reward, g)`: in an environment, what this step earns, plus g times what the next earns, and so on to the end",
        run: |s, c| s.discounted(c),
    },
    Builtin {
        name: "following",
        about: "`following(x)`: in an environment, x of the next step, 0 after the end; inside `discounted` it makes temporal differences",
        run: |s, c| s.following(c),
    },
    Builtin {
        name: "fisher",
        about: "`fisher(net, objective on DATA)`: the mean over the samples of the squared derivative of each sample's objective, shaped like `net.params`",
        run: |s, c| s.fisher_call(c),
    },
    Builtin { name: "angle", about: "`angle(a, b)`: between two changes or tensors, in deg", run: angle },
    Builtin {
        name: "angle_to_backprop",
        about: "`angle_to_backprop(net, rule, objective on DATA)`: between a rule's change and the gradient's",
        run: |s, c| s.angle_to_backprop(c),
    },
];

pub const NETWORK_METHODS: &[Builtin] = &[
    Builtin { name: "copy", about: "`net.copy()`: a network of its own with the same weights", run: copy },
    Builtin {
        name: "with",
        about: "`net.with(params)`: the same network with other weights; `net.with(net.params - g)(x)`",
        run: with,
    },
];

pub const PART_METHODS: &[Builtin] = &[Builtin {
    name: "each",
    about: "`parts.each(x)`: what each part of an array makes of x, along a new first axis",
    run: each,
}];

pub const SWEEP_METHODS: &[Builtin] =
    &[Builtin { name: "at", about: "`table.at(k)`: the value of the k-th pass of a sweep", run: at }];

fn percent() -> Unit {
    Unit::parse("%").unwrap_or(Unit::REAL)
}

fn accuracy(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (y, label) = (s.num_arg(call, 0, "y")?, s.num_arg(call, 1, "label")?);
        if let (Some(shape), Some(class)) = (s.shape(&y.num), label.num.class)
            && shape.last().is_some_and(|n| *n < class)
        {
            let n = shape.last().copied().unwrap_or(0);
            s.error("E0318", call.span, format!("a label of {class} classes is compared with {n} values"));
            return None;
        }
        Some(s.apply(call.span, percent(), &[&y.num, &label.num], |g, n| {
            let last = g.shape(n[0]).len().saturating_sub(1);
            let guess = g.argmax(n[0], last)?;
            g.binary(Binary::Eq, guess, n[1])
        }))
    })())
}

fn collect(s: &mut Session, call: &Call) -> Value {
    done(s.collected(call))
}

fn evaluate(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let all = s.collected(call)?;
        let unit = all.unit.clone();
        Some(s.apply(call.span, unit, &[&all], |g, n| g.mean(n[0], &[0])))
    })())
}

fn stop_gradient(s: &mut Session, call: &Call) -> Value {
    if let Some(Value::Params(tree)) = s.arg(call, 0, "x") {
        return s.map_tree(&tree, |s, x| s.apply(call.span, x.unit.clone(), &[x], |g, n| g.stop_gradient(n[0])));
    }
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        Some(s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| g.stop_gradient(n[0])))
    })())
}

fn surrogate(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (x, y) = (s.num_arg(call, 0, "x")?, s.num_arg(call, 1, "y")?);
        Some(s.apply(call.span, x.num.unit.clone(), &[&x.num, &y.num], |g, n| g.surrogate(n[0], n[1])))
    })())
}

fn step(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let zero = Num::scalar(Unit::Zero, 0.0);
        Some(s.binary(Binary::Gt, &x.num, &zero, Unit::REAL, call.span))
    })())
}

/// How many samples are in the batch.
fn batch_count(s: &mut Session) -> Num {
    let count = s.graph.count(nnm_kir::ir::Int::Slot(nnm_kir::ir::SlotId(crate::samples::slot("batch"))));
    Num::node(Unit::REAL, count)
}

/// The mean over the samples of a value of the program being built.
fn mean_over_batch(s: &mut Session, call: &Call, x: &Num) -> Num {
    let count = batch_count(s);
    s.apply(call.span, x.unit.clone(), &[x, &count], |g, n| {
        if !g.node(n[0]).batched {
            return Ok(n[0]);
        }
        let sum = g.batch_sum(n[0])?;
        g.binary(Binary::Div, sum, n[1])
    })
}

fn batch_mean(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        Some(mean_over_batch(s, call, &x.num))
    })())
}

fn batch_var(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        let unbiased = match call.named("unbiased") {
            Some(id) => s.known(call.scope, id, "`unbiased`")?.as_f64()? != 0.0,
            None => false,
        };
        let mean = mean_over_batch(s, call, &x.num);
        let distance = s.binary(Binary::Sub, &x.num, &mean, x.num.unit.clone(), call.span);
        let square = s.mul(&distance, &distance, call.span);
        let var = mean_over_batch(s, call, &square);
        if !unbiased {
            return Some(var);
        }
        let count = batch_count(s);
        Some(s.apply(call.span, var.unit.clone(), &[&var, &count], |g, n| {
            let one = g.constant(1.0);
            let less = g.binary(Binary::Sub, n[1], one)?;
            let less = g.binary(Binary::Max, less, one)?;
            let scale = g.binary(Binary::Div, n[1], less)?;
            g.binary(Binary::Mul, scale, n[0])
        }))
    })())
}

fn map_mean(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = s.num_arg(call, 0, "x")?;
        Some(s.apply(call.span, x.num.unit.clone(), &[&x.num], |g, n| {
            let shape = g.shape(n[0]).to_vec();
            let places: Vec<usize> = (1..shape.len()).collect();
            let mean = g.mean(n[0], &places)?;
            let mut one_each = vec![1; shape.len()];
            one_each.iter_mut().zip(&shape).take(1).for_each(|(to, maps)| *to = *maps);
            let mean = g.reshape(mean, &one_each)?;
            g.broadcast_to(mean, &shape)
        }))
    })())
}

fn each(s: &mut Session, call: &Call) -> Value {
    let Some(Value::Many(parts)) = call.receiver.clone() else { return Value::Missing };
    let mut out = vec![];
    for part in parts.iter() {
        let value = s.call_value(
            call.scope,
            part.clone(),
            Written { receiver: None, args: &call.args, clauses: &[], span: call.span, text: "" },
        );
        if matches!(value, Value::Missing) {
            return value;
        }
        out.push(value);
    }
    done(s.stack_list(&out, call.span))
}

/// All numbers of a tensor or of a tree of parameters, one after the other.
pub fn flat(value: &Value) -> Option<Vec<f64>> {
    match value {
        Value::Num(num) => num.as_const().map(|a| a.iter().copied().collect()),
        Value::Params(tree) => {
            let mut out = vec![];
            for num in tree.values() {
                out.extend(num.as_const()?.iter().copied());
            }
            Some(out)
        }
        _ => None,
    }
}

/// The angle between two vectors, in rad.
pub fn angle_between(a: &[f64], b: &[f64]) -> f64 {
    let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    let (na, nb): (f64, f64) = (a.iter().map(|x| x * x).sum(), b.iter().map(|x| x * x).sum());
    let cosine = (dot / (na.sqrt() * nb.sqrt())).clamp(-1.0, 1.0);
    // Near 0 the arc cosine loses half of the digits; the distance of the directions does not.
    let half: f64 = a.iter().zip(b).map(|(x, y)| (x / na.sqrt() - y / nb.sqrt()).powi(2)).sum::<f64>().sqrt() / 2.0;
    if cosine > 0.9 { 2.0 * nnm_runtime::math::asin(half.min(1.0)) } else { nnm_runtime::math::acos(cosine) }
}

fn angle(s: &mut Session, call: &Call) -> Value {
    let unit = super::math::angle_unit();
    let (Some(a), Some(b)) = (s.arg(call, 0, "a"), s.arg(call, 1, "b")) else { return Value::Missing };
    match (flat(&a), flat(&b)) {
        (Some(a), Some(b)) if a.len() == b.len() => Value::Num(Num::array(unit, scalar(angle_between(&a, &b)))),
        (Some(a), Some(b)) => {
            let message =
                format!("an angle is between tensors of one shape, here are {} and {} numbers", a.len(), b.len());
            s.error("E0320", call.span, message)
        }
        _ => Value::Num(Num::unknown(unit)),
    }
}

fn copy(s: &mut Session, call: &Call) -> Value {
    match &call.receiver {
        Some(Value::Network(id)) => Value::Network(s.copy_network(*id)),
        _ => Value::Missing,
    }
}

fn with(s: &mut Session, call: &Call) -> Value {
    let Some(Value::Network(id)) = call.receiver else { return Value::Missing };
    match s.arg(call, 1, "params") {
        Some(Value::Params(tree)) => s.network_with(id, &tree, call.span),
        Some(Value::Missing) => Value::Missing,
        Some(Value::Num(num)) if matches!(num.repr, crate::value::Repr::Unknown) => Value::Network(id),
        _ => s.error("E0571", call.span, "`net.with(params)` takes a tree shaped like `net.params`"),
    }
}

fn at(s: &mut Session, call: &Call) -> Value {
    let Some(Value::Record(record)) = &call.receiver else { return Value::Missing };
    let Some(Value::List(values)) = record.get("sweep values").cloned() else {
        return s.error("E0226", call.span, "`.at(k)` picks a pass of a sweep");
    };
    match s.int_arg(call, 1, "k", 0) {
        Some(k) if (k as usize) < values.len() => values[k as usize].clone(),
        // While checking, only the first pass of a sweep over numbers is looked at.
        Some(_) if s.mode == crate::session::Mode::Check => match values.first() {
            Some(Value::Num(num)) => Value::Num(Num::unknown(num.unit.clone())),
            _ => Value::Missing,
        },
        Some(k) => s.error("E0316", call.span, format!("the sweep has {} passes, not a pass {k}", values.len())),
        None => Value::Missing,
    }
}

impl Session<'_> {
    /// `receptive_field(net.c2)`: how much of the input one cell of a population sees.
    pub fn receptive_field(&mut self, call: &Call) -> Value {
        match self.arg(call, 0, "population") {
            Some(Value::Population(p)) => {
                let id = self.owner_net(&p.owner);
                let [height, width] = self.field_of(id, p.index);
                Value::Num(Num::array(Unit::REAL, crate::value::vector(vec![height as f64, width as f64])))
            }
            Some(Value::Missing) | None => Value::Missing,
            Some(other) => {
                let message = format!("`receptive_field` takes a population, found {}", other.describe());
                self.error("E0230", call.span, message)
            }
        }
    }
}
