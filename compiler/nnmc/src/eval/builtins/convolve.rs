//! Convolution of tensors, outside of `connect`.

use nnm_graph::ShapeError;
use nnm_graph::ir::{Conv, Graph, NodeId};

use super::{Builtin, done};
use crate::eval::Call;
use crate::session::Session;
use crate::value::{Num, Repr, Value};

pub const FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "conv2d",
        about: "`conv2d(x, w, stride = 1, pad = 0, dilation = 1, groups = 1)`: images [.., in, h, w] with weights [out, in / groups, h, w]; one number or one for each axis, `pad` also `[[top, bottom], [left, right]]`",
        run: |s, c| convolve(s, c, false),
    },
    Builtin {
        name: "conv_transpose2d",
        about: "`conv_transpose2d(x, w, stride = 1, pad = 0, extra = 0, dilation = 1, groups = 1)`: the reverse, weights [in, out / groups, h, w]; `extra` rows and columns at the ends",
        run: |s, c| convolve(s, c, true),
    },
];

/// A convolution as it was written.
struct Form {
    conv: Conv,
    dilation: [usize; 2],
    extra: [usize; 2],
}

fn convolve(s: &mut Session, call: &Call, transposed: bool) -> Value {
    done((|| {
        let (x, w) = (s.num_arg(call, 0, "x")?, s.num_arg(call, 1, "w")?);
        let unit = x.num.unit.times(&w.num.unit);
        let Some(form) = form_of(s, call)? else { return Some(Num::unknown(unit)) };
        Some(s.apply(call.span, unit, &[&x.num, &w.num], |g, n| images(g, n[0], n[1], &form, transposed)))
    })())
}

fn form_of(s: &mut Session, call: &Call) -> Option<Option<Form>> {
    let stride = pairs(s, call, "stride", 1)?;
    let pad = pairs(s, call, "pad", 0)?;
    let dilation = pairs(s, call, "dilation", 1)?;
    let extra = pairs(s, call, "extra", 0)?;
    let groups = match call.named("groups") {
        Some(_) => s.num_arg(call, usize::MAX, "groups")?.num.as_f64(),
        None => Some(1.0),
    };
    let (Some(stride), Some(pad), Some(dilation), Some(extra), Some(groups)) = (stride, pad, dilation, extra, groups)
    else {
        return Some(None);
    };
    let first = |p: [[usize; 2]; 2]| [p[0][0], p[1][0]];
    let conv = Conv { stride: first(stride), pad, groups: groups as usize };
    Some(Some(Form { conv, dilation: first(dilation), extra: first(extra) }))
}

/// One number, one for each axis, or two for each; `None` inside where it is not known yet.
fn pairs(s: &mut Session, call: &Call, name: &str, default: usize) -> Option<Option<[[usize; 2]; 2]>> {
    if call.named(name).is_none() {
        return Some(Some([[default; 2]; 2]));
    }
    let x = s.num_arg(call, usize::MAX, name)?;
    let Some(array) = x.num.as_const() else {
        if matches!(x.num.repr, Repr::Node(_)) {
            s.error("E0307", x.span, format!("`{name}` is known before the run"));
            return None;
        }
        return Some(None);
    };
    let numbers: Vec<usize> = array.iter().filter(|v| **v >= 0.0 && v.fract() == 0.0).map(|v| *v as usize).collect();
    match (numbers.len() == array.len(), numbers.as_slice()) {
        (true, &[a]) => Some(Some([[a; 2]; 2])),
        (true, &[a, b]) => Some(Some([[a; 2], [b; 2]])),
        (true, &[a, b, c, d]) => Some(Some([[a, b], [c, d]])),
        _ => {
            let message = format!("`{name}` is a whole number, or one for each of the two axes of an image");
            s.error("E0233", x.span, message);
            None
        }
    }
}

/// Leading axes act as further groups that share their weights: one convolution for all images.
fn images(g: &mut Graph, x: NodeId, w: NodeId, form: &Form, transposed: bool) -> Result<NodeId, ShapeError> {
    let (shape, weights) = (g.shape(x).to_vec(), g.shape(w).to_vec());
    if shape.len() < 3 || weights.len() != 4 {
        let reason = "an image has 3 axes and its weights have 4".into();
        return Err(ShapeError { op: "conv2d", shapes: vec![shape, weights], reason });
    }
    let (lead, image) = shape.split_at(shape.len() - 3);
    let count: usize = lead.iter().product();
    let w = dilated(g, w, form.dilation)?;
    let mut conv = form.conv;
    let (mut flat, mut kernel) = (x, w);
    if count != 1 {
        flat = g.reshape(x, &[count * image[0], image[1], image[2]])?;
        let own = g.shape(w).to_vec();
        kernel = g.broadcast_to(w, &[&[count][..], &own].concat())?;
        kernel = g.reshape(kernel, &[count * own[0], own[1], own[2], own[3]])?;
        conv.groups *= count;
    } else if shape.len() > 3 {
        flat = g.reshape(x, image)?;
    }
    let out = if transposed {
        // What is asked for beyond the end is first given back of what padding would cut off, then zeros.
        let mut more = form.extra;
        for (axis, more) in more.iter_mut().enumerate() {
            let back = conv.pad[axis][1].min(*more);
            conv.pad[axis][1] -= back;
            *more -= back;
        }
        let to = opened(g.shape(flat), g.shape(kernel), &conv);
        let Some(to) = to else {
            let reason = "the padding leaves nothing of the image".into();
            return Err(ShapeError { op: "conv2d", shapes: vec![shape, weights], reason });
        };
        let mut out = g.conv2d_input_grad(flat, kernel, conv, &to)?;
        for (axis, more) in more.into_iter().enumerate() {
            let extent = g.shape(out)[axis + 1] + more;
            out = g.unslice(out, axis + 1, 0, 1, extent)?;
        }
        out
    } else {
        g.conv2d(flat, kernel, conv)?
    };
    let own = g.shape(out).to_vec();
    let channels = own[0].checked_div(count).unwrap_or(own[0]);
    g.reshape(out, &[lead, &[channels, own[1], own[2]]].concat())
}

/// Zeros between the rows and columns of weights.
fn dilated(g: &mut Graph, w: NodeId, dilation: [usize; 2]) -> Result<NodeId, ShapeError> {
    let mut out = w;
    for (axis, step) in [(2, dilation[0]), (3, dilation[1])] {
        let n = g.shape(out)[axis];
        if step > 1 && n > 1 {
            out = g.unslice(out, axis, 0, step, (n - 1) * step + 1)?;
        }
    }
    Ok(out)
}

/// The shape of the image that a convolution makes into this one.
fn opened(y: &[usize], w: &[usize], conv: &Conv) -> Option<Vec<usize>> {
    let along = |axis: usize| {
        let whole = (y[axis + 1].checked_sub(1)?) * conv.stride[axis] + w[axis + 2];
        whole.checked_sub(conv.pad[axis][0] + conv.pad[axis][1]).filter(|n| *n > 0)
    };
    Some(vec![w[1] * conv.groups, along(0)?, along(1)?])
}
