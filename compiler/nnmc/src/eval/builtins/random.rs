//! Random numbers: values of parameters and weights drawn before a run, draws of each step inside equations.

use nnm_graph::Built;
use nnm_graph::ir::{Binary, Draw, Graph, NodeId, Unary};
use nnm_runtime::random;

use super::{Builtin, done};
use crate::eval::Call;
use crate::failure::Noted;
use crate::samples::{log_of_class, log_of_coin, log_of_exponential, log_of_normal, log_of_poisson};
use crate::session::Session;
use crate::unit::Unit;
use crate::value::{Num, Value, shaped};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin { name: "uniform", about: "`uniform(a, b)`: between a and b, all equally likely", run: uniform },
    Builtin { name: "normal", about: "`normal(m, s)`: Gaussian of mean m and standard deviation s", run: normal },
    Builtin {
        name: "bernoulli",
        about: "`bernoulli(p)`: 1 with probability p, else 0; of a frequency, p = frequency * dt; `like = x`: one for each element of x",
        run: bernoulli,
    },
    Builtin {
        name: "poisson",
        about: "`poisson(m)`: a Poisson number of mean m; of a frequency, m = frequency * dt",
        run: poisson,
    },
    Builtin {
        name: "categorical",
        about: "`categorical(p)`: a class, drawn with the probabilities p",
        run: categorical,
    },
    Builtin { name: "exponential", about: "`exponential(m)`: exponential of mean m", run: exponential },
    Builtin { name: "lognormal", about: "`lognormal(m, s)`: exp(normal(m, s))", run: lognormal },
    Builtin {
        name: "glorot",
        about: "`glorot()`: uniform on ± sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010)",
        run: glorot,
    },
    Builtin { name: "he", about: "`he()`: normal of standard deviation sqrt(2 / fan in) (He et al. 2015)", run: he },
    Builtin { name: "xi", about: "`xi()`: Gaussian white noise, of dimension time^-1/2", run: xi },
];

/// A standard draw of the kind asked for: known now for parameters, a node inside equations.
fn standard(s: &mut Session, call: &Call, draw: Draw, like: &[&Num]) -> Option<Num> {
    if let Some(drawing) = &mut s.drawing {
        drawing.count += 1;
        let path = format!("{}#{}", drawing.path, drawing.count);
        let shape = drawing.shape.clone();
        let key = random::key(s.seed, &path);
        let size: usize = shape.iter().product();
        let one: fn(u64, u64, u64) -> f64 = match draw {
            Draw::Normal => random::normal_f64,
            _ => random::uniform_f64,
        };
        let values = (0..size).map(|k| one(key, 0, k as u64)).collect();
        return Some(Num::array(Unit::REAL, shaped(&shape, values)));
    }
    node(s, call, draw, like, None)
}

/// A draw of each step for every cell that the equation is about.
fn node(s: &mut Session, call: &Call, draw: Draw, like: &[&Num], mean: Option<&Num>) -> Option<Num> {
    let Some(program) = &s.program else {
        s.error(
            "E0231",
            call.span,
            format!("`{}` draws where something is drawn: after `~`, or in a neuron's equations", call.name),
        );
        return None;
    };
    let (place, batched) = ([program.step.clone(), program.first.clone()], program.batched);
    let belongs = s.drawing_scope(call.scope);
    let mut shape: Vec<usize> = match s.local(belongs, "index", call.span) {
        Some(Value::Num(index)) => s.shape(&index).unwrap_or_default(),
        _ => vec![],
    };
    for num in like {
        if let Some(other) = s.shape(num)
            && other.len() > shape.len()
        {
            shape = other;
        }
    }
    let key = s.draw_key(format!("{}:{}", s.drawn_for(belongs), s.place_in_declaration(call)))?;
    let mean = mean.map(|m| s.lift(m));
    match s.graph.draw(draw, key, place, &shape, batched, mean) {
        Ok(node) => {
            let stepwise = s.program.as_ref().is_some_and(|p| p.stepped);
            Some(Num { stepwise, each: s.is_owned(belongs), ..Num::node(Unit::REAL, node) })
        }
        Err(error) => {
            s.error("E0301", call.span, error.to_string());
            None
        }
    }
}

/// The smallest of values that are known now.
fn lowest(num: &Num) -> Option<f64> {
    num.as_const().and_then(|a| a.iter().copied().reduce(f64::min))
}

fn uniform(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (a, b) = (s.num_arg(call, 0, "a")?, s.num_arg(call, 1, "b")?);
        if !s.same_unit("draw between", &a, &b, call.span) {
            return None;
        }
        let u = standard(s, call, Draw::Uniform, &[&a.num, &b.num])?;
        let unit = a.num.unit.join(&b.num.unit);
        let width = s.binary(Binary::Sub, &b.num, &a.num, unit.clone(), call.span);
        let part = s.binary(Binary::Mul, &u, &width, unit.clone(), call.span);
        Some(s.binary(Binary::Add, &a.num, &part, unit, call.span))
    })())
}

fn gaussian(s: &mut Session, call: &Call) -> Option<Num> {
    let (m, sd) = (s.num_arg(call, 0, "m")?, s.num_arg(call, 1, "s")?);
    if lowest(&sd.num).is_some_and(|x| x < 0.0) {
        let found = crate::table::summary(&sd.num);
        s.error("E0633", sd.span, format!("a standard deviation is not below 0, this is {found}"));
        return None;
    }
    if !s.same_unit("draw with", &m, &sd, call.span) {
        return None;
    }
    let z = standard(s, call, Draw::Normal, &[&m.num, &sd.num])?;
    let unit = m.num.unit.join(&sd.num.unit);
    let part = s.binary(Binary::Mul, &z, &sd.num, unit.clone(), call.span);
    let out = s.binary(Binary::Add, &m.num, &part, unit, call.span);
    noted(s, &out, [&m.num, &sd.num], |g, x, [m, sd]| log_of_normal(g, x, m, sd));
    Some(out)
}

/// Keeps a draw with the logarithm of its probability, which is made of its parameters.
fn noted<const N: usize>(
    s: &mut Session,
    value: &Num,
    parameters: [&Num; N],
    log: impl FnOnce(&mut Graph, NodeId, [NodeId; N]) -> Built,
) {
    s.note_draw(value, |s, node| {
        let parameters = parameters.map(|p| s.lift(p));
        log(&mut s.graph, node, parameters).noted(s)
    });
}

fn normal(s: &mut Session, call: &Call) -> Value {
    done(gaussian(s, call))
}

fn lognormal(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let x = gaussian(s, call)?;
        Some(s.unary(Unary::Exp, &x, Unit::REAL, call.span))
    })())
}

/// A probability or mean: a frequency counts for one step.
fn per_step(s: &mut Session, call: &Call, name: &str) -> Option<Num> {
    let x = s.num_arg(call, 0, name)?;
    let highest = x.num.as_const().and_then(|a| a.iter().copied().reduce(f64::max));
    let above = name == "p" && x.num.unit.is_real() && highest.is_some_and(|p| p > 1.0);
    if above || lowest(&x.num).is_some_and(|p| p < 0.0) {
        let found = crate::table::summary(&x.num);
        let message = match name {
            "p" => format!("a probability is between 0 and 1 (100 %), this is {found}"),
            _ => format!("a mean number is not below 0, this is {found}"),
        };
        s.error("E0633", x.span, message);
        return None;
    }
    if x.num.unit.is_real() {
        return Some(x.num);
    }
    if x.num.unit.dim() != Some(crate::unit::FREQUENCY) {
        let message = format!("`{}` takes a plain number or a frequency, not {}", call.name, x.num.unit.describe());
        s.error("E0319", x.span, message);
        return None;
    }
    let Some(dt) = s.program.as_ref().and_then(|p| p.dt) else {
        s.error("E0232", x.span, "a frequency needs a step of time, and there is none here");
        return None;
    };
    let seconds = Unit::parse("s").unwrap_or(Unit::REAL);
    Some(s.mul(&x.num, &Num::scalar(seconds, dt), call.span)).map(|n| Num { unit: Unit::REAL, ..n })
}

fn bernoulli(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let p = per_step(s, call, "p")?;
        let like = match call.named("like") {
            Some(id) => Some(s.operand(call.scope, id)?.num),
            None => None,
        };
        if like.as_ref().is_some_and(|x| s.shape(x).is_none()) {
            return Some(Num::unknown(Unit::REAL));
        }
        let shapes: Vec<&Num> = [Some(&p), like.as_ref()].into_iter().flatten().collect();
        let u = standard(s, call, Draw::Uniform, &shapes)?;
        let coin = s.binary(Binary::Lt, &u, &p, Unit::REAL, call.span);
        noted(s, &coin, [&p], |g, coin, [p]| log_of_coin(g, coin, p));
        Some(coin)
    })())
}

fn poisson(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let mean = per_step(s, call, "m")?;
        if let Some(drawing) = &mut s.drawing {
            drawing.count += 1;
            let path = format!("{}#{}", drawing.path, drawing.count);
            let shape = drawing.shape.clone();
            let key = random::key(s.seed, &path);
            let means = s.spread(&mean, &shape, call.span)?;
            let values = means.iter().enumerate().map(|(k, m)| random::poisson_f64(*m, key, 0, k as u64)).collect();
            return Some(Num::array(Unit::REAL, shaped(&shape, values)));
        }
        let number = node(s, call, Draw::Poisson, &[&mean], Some(&mean))?;
        noted(s, &number, [&mean], |g, k, [m]| log_of_poisson(g, k, m));
        Some(number)
    })())
}

fn categorical(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let p = s.num_arg(call, 0, "p")?;
        s.plain(&p, "categorical")?;
        let Some(shape) = s.shape(&p.num) else { return Some(Num::unknown(Unit::REAL)) };
        let &[n] = shape.as_slice() else {
            s.error("E0301", p.span, "`categorical` takes one row of probabilities");
            return None;
        };
        let u = standard(s, call, Draw::Uniform, &[])?;
        let out = s.apply(call.span, Unit::REAL, &[&p.num, &u], |g, m| crate::samples::class_below(g, m[0], m[1], n));
        noted(s, &out, [&p.num], |g, class, [p]| log_of_class(g, class, p));
        Some(Num { class: Some(n), ..out })
    })())
}

fn exponential(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let mean = s.num_arg(call, 0, "m")?;
        let u = standard(s, call, Draw::Uniform, &[&mean.num])?;
        let minus = s.unary(Unary::Neg, &u, Unit::REAL, call.span);
        let log = s.unary(Unary::Log1p, &minus, Unit::REAL, call.span);
        let scaled = s.mul(&log, &mean.num, call.span);
        let out = s.unary(Unary::Neg, &scaled, mean.num.unit.clone(), call.span);
        noted(s, &out, [&mean.num], |g, x, [m]| log_of_exponential(g, x, m));
        Some(out)
    })())
}

fn drawn_shape(s: &mut Session, call: &Call) -> Option<(Vec<usize>, String)> {
    match &s.drawing {
        Some(drawing) => Some((drawing.shape.clone(), drawing.path.clone())),
        None => {
            s.error("E0231", call.span, format!("`{}` stands after `~`: it draws weights", call.name));
            None
        }
    }
}

fn glorot(s: &mut Session, call: &Call) -> Value {
    let Some((shape, path)) = drawn_shape(s, call) else { return Value::Missing };
    Value::Num(s.glorot(&shape, &path))
}

fn he(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let (shape, _) = drawn_shape(s, call)?;
        let fan_in: usize = shape.iter().skip(1).product::<usize>().max(1);
        let z = standard(s, call, Draw::Normal, &[])?;
        let scale = Num { unit: Unit::Zero, ..Num::real((2.0 / fan_in as f64).sqrt()) };
        Some(s.binary(Binary::Mul, &z, &scale, Unit::Zero, call.span))
    })())
}

fn xi(s: &mut Session, call: &Call) -> Value {
    done((|| {
        let z = node(s, call, Draw::Normal, &[], None)?;
        let Some(dt) = s.program.as_ref().and_then(|p| p.dt) else {
            s.error("E0232", call.span, "noise needs a step of time, and there is none here");
            return None;
        };
        let unit = Unit::parse("s").and_then(|u| Unit::REAL.over(&u).power(0.5)).unwrap_or(Unit::REAL);
        let scale = Num::scalar(unit.clone(), 1.0 / dt.sqrt());
        if let (crate::value::Repr::Node(draw), Some(program)) = (&z.repr, &mut s.program) {
            program.white.insert(*draw);
        }
        Some(s.binary(Binary::Mul, &z, &scale, unit, call.span))
    })())
}
