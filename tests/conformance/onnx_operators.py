"""What each ONNX operator is in the language: from a case to one expression for each of its outputs."""
import numpy as np

from cases import Skip, lst, num, yes

OPERATORS = {}


def op(*names):
    def add(f):
        for n in names:
            OPERATORS[n] = f
        return f

    return add


def skip(why):
    raise Skip(why)


def simple(template, *names):
    """Operators of a fixed expression: {0}, {1} are the inputs."""

    def f(c):
        return template.format(*[c.x(k) for k in range(len(c.inputs))])

    for n in names:
        OPERATORS[n] = f


# ---- element by element
for name, text in {
    "Abs": "abs({0})", "Acos": "acos({0})", "Acosh": "log({0} + sqrt({0}^2 - 1))", "Asin": "asin({0})",
    "Asinh": "asinh({0})", "Atan": "atan({0})", "Atanh": "0.5 * (log1p({0}) - log1p(-{0}))", "Ceil": "ceil({0})",
    "Cos": "cos({0})", "Cosh": "cosh({0})", "Erf": "erf({0})", "Exp": "exp({0})", "Floor": "floor({0})",
    "Identity": "{0} + 0", "Log": "log({0})", "Neg": "-{0}", "Not": "not {0}", "Reciprocal": "1 / {0}",
    "Relu": "relu({0})", "Round": "round({0})", "Sigmoid": "sigmoid({0})", "Sign": "sign({0})", "Sin": "sin({0})",
    "Sinh": "sinh({0})", "Softplus": "softplus({0})", "Softsign": "softsign({0})", "Sqrt": "sqrt({0})",
    "Tan": "tan({0})", "Tanh": "tanh({0})", "Mish": "mish({0})", "HardSwish": "{0} * hard_sigmoid({0})",
    "Add": "{0} + {1}", "Sub": "{0} - {1}", "Mul": "{0} * {1}", "And": "{0} and {1}", "Or": "{0} or {1}",
    "Xor": "{0} != {1}", "Equal": "{0} == {1}", "Greater": "{0} > {1}", "GreaterOrEqual": "{0} >= {1}",
    "Less": "{0} < {1}", "LessOrEqual": "{0} <= {1}", "Pow": "{0}^{1}", "PRelu": "leaky_relu({0}, {1})",
    "Where": "if {0} then {1} else {2}", "IsNaN": "{0} != {0}", "MatMul": "{0} @ {1}",
}.items():
    simple(text, name)


@op("IsInf")
def is_inf(c):
    x = c.x(0)
    up, down = c.get("detect_positive", 1), c.get("detect_negative", 1)
    parts = ([f"{x} == inf"] if up else []) + ([f"{x} == -inf"] if down else [])
    return " or ".join(f"({p})" for p in parts) or f"0 * {x}"


def integers(c):
    return all(a is None or a.dtype.kind in "iub" for a in c.inputs)


@op("Div")
def div(c):
    a = f"{c.x(0)} / {c.x(1)}"
    return f"trunc({a})" if integers(c) else a


@op("Mod")
def mod(c):
    a, b = c.x(0), c.x(1)
    return f"{a} - {b} * trunc({a} / {b})" if c.get("fmod", 0) else f"mod({a}, {b})"


@op("BitShift")
def shift(c):
    a, b = c.x(0), c.x(1)
    return f"{a} * 2^{b}" if c.get("direction") == "LEFT" else f"floor({a} / 2^{b})"


@op("Max", "Min")
def extreme(c):
    out = c.x(0)
    for k in range(1, len(c.inputs)):
        out = f"{c.op.lower()}({out}, {c.x(k)})"
    return out if len(c.inputs) > 1 else f"{out} + 0"


@op("Sum", "Mean")
def total(c):
    out = " + ".join(c.x(k) for k in range(len(c.inputs)))
    return f"({out}) / {len(c.inputs)}" if c.op == "Mean" else f"{out} + 0"


@op("Clip")
def clip(c):
    x = c.x(0)
    low = c.x(1) if c.has(1) else "-inf"
    high = c.x(2) if c.has(2) else "inf"
    return f"min(max({x}, {low}), {high})"


@op("Elu")
def elu(c):
    return f"elu({c.x(0)}, {num(c.get('alpha', 1.0))})"


@op("Celu")
def celu(c):
    a = num(c.get("alpha", 1.0))
    return f"max({c.x(0)}, 0) + min(0, {a} * (exp({c.x(0)} / {a}) - 1))"


@op("Selu")
def selu(c):
    a, g = c.get("alpha", 1.6732632423543772), c.get("gamma", 1.0507009873554805)
    return f"{num(g)} * elu({c.x(0)}, {num(a)})"


@op("LeakyRelu")
def leaky(c):
    return f"leaky_relu({c.x(0)}, {num(c.get('alpha', 0.01))})"


@op("ThresholdedRelu")
def thresholded(c):
    return f"if {c.x(0)} > {num(c.get('alpha', 1.0))} then {c.x(0)} else 0"


@op("HardSigmoid")
def hard_sigmoid(c):
    return f"clamp({num(c.get('alpha', 0.2))} * {c.x(0)} + {num(c.get('beta', 0.5))}, 0, 1)"


@op("Swish")
def swish(c):
    return f"{c.x(0)} * sigmoid({num(c.get('alpha', 1.0))} * {c.x(0)})"


@op("Gelu")
def gelu(c):
    return f"{'gelu_tanh' if c.get('approximate') == 'tanh' else 'gelu'}({c.x(0)})"


@op("Shrink")
def shrink(c):
    l, b, x = num(c.get("lambd", 0.5)), num(c.get("bias", 0.0)), c.x(0)
    return f"if {x} < -{l} then {x} + {b} else if {x} > {l} then {x} - {b} else 0"


# ---- reductions
def axes_of(c, k=1):
    if c.has(k):
        axes = [int(a) for a in np.atleast_1d(c.v(k))]
    else:
        axes = [int(a) for a in np.atleast_1d(c.get("axes", []))]
    if not axes:
        if c.get("noop_with_empty_axes", 0):
            return []
        axes = list(range(c.rank(0)))
    return axes


REDUCE = {
    "ReduceSum": "sum({0}{1})", "ReduceMean": "mean({0}{1})", "ReduceMax": "max({0}{1})", "ReduceMin": "min({0}{1})",
    "ReduceProd": "prod({0}{1})", "ReduceL1": "sum(abs({0}){1})", "ReduceL2": "norm({0}{1})",
    "ReduceSumSquare": "sum({0}^2{1})", "ReduceLogSum": "log(sum({0}{1}))", "ReduceLogSumExp": "log(sum(exp({0}){1}))",
}


@op(*REDUCE)
def reduce(c):
    axes, x = axes_of(c), c.x(0)
    if not axes:
        return {"ReduceL1": f"abs({x})", "ReduceL2": f"abs({x})", "ReduceSumSquare": f"{x}^2",
                "ReduceLogSum": f"log({x})", "ReduceLogSumExp": f"{x} + 0"}.get(c.op, f"{x} + 0")
    keep = ", keep = true" if c.get("keepdims", 1) else ""
    if c.op == "ReduceLogSumExp" and len(axes) == 1:
        return f"logsumexp({x}, axis = {axes[0]}{keep})"
    return REDUCE[c.op].format(x, f", axis = {lst(axes)}{keep}")


@op("ArgMax", "ArgMin")
def argmax(c):
    axis, keep, last = c.get("axis", 0), c.get("keepdims", 1), c.get("select_last_index", 0)
    axis %= c.rank(0)
    x = c.x(0) if c.op == "ArgMax" else f"-{c.x(0)}"
    if last:
        out = f"{c.dims(0)[axis] - 1} - argmax(reverse({x}, axis = {axis}), axis = {axis}"
    else:
        out = f"argmax({x}, axis = {axis}"
    return out + (", keep = true)" if keep else ")")


@op("Softmax", "LogSoftmax")
def softmax(c):
    f = "softmax" if c.op == "Softmax" else "log_softmax"
    return f"{f}({c.x(0)}, axis = {c.get('axis', -1)})"


@op("Hardmax")
def hardmax(c):
    axis = c.get("axis", -1) % c.rank(0)
    n = c.dims(0)[axis]
    after = [1] * (c.rank(0) - axis - 1)
    return f"argmax({c.x(0)}, axis = {axis}, keep = true) == reshape(arange({n}), {lst([n] + after)})"


@op("LpNormalization")
def lp_norm(c):
    axis, p, x = c.get("axis", -1), c.get("p", 2), c.x(0)
    size = f"sum(abs({x}), axis = {axis}, keep = true)" if p == 1 else f"norm({x}, axis = {axis}, keep = true)"
    s = c.let(size)
    return f"if {s} == 0 then 0 else {x} / {s}"


@op("CumSum", "CumProd")
def cumsum(c):
    x, axis = c.x(0), int(c.v(1).reshape(-1)[0]) % c.rank(0)
    f, unit = ("cumsum", 0) if c.op == "CumSum" else ("cumprod", 1)
    if c.get("reverse", 0):
        x = f"reverse({x}, axis = {axis})"
    if c.get("exclusive", 0):
        x = f"pad_along({x}, 1, -1, {axis}, {unit})"
    out = f"{f}({x}, axis = {axis})"
    return f"reverse({out}, axis = {axis})" if c.get("reverse", 0) else out


# ---- shape
@op("Shape")
def shape(c):
    r = c.rank(0)
    lo, hi = c.get("start", 0), c.get("end", r)
    lo, hi = [min(max(v + r if v < 0 else v, 0), r) for v in (lo, hi)]
    return f"shape({c.x(0)})[{lo} .. {hi}]"


@op("Size")
def size(c):
    return f"prod(shape({c.x(0)}))"


@op("Reshape")
def reshape(c):
    wanted = [int(n) for n in c.v(1)]
    if not c.get("allowzero", 0):
        wanted = [c.dims(0)[k] if n == 0 else n for k, n in enumerate(wanted)]
    return f"reshape({c.x(0)}, {lst(wanted)})"


@op("Flatten")
def flatten(c):
    axis, d = c.get("axis", 1), c.dims(0)
    axis = axis + len(d) if axis < 0 else axis
    return f"reshape({c.x(0)}, {lst([int(np.prod(d[:axis])), int(np.prod(d[axis:]))])})"


@op("Squeeze")
def squeeze(c):
    out, r = c.x(0), c.rank(0)
    axes = [int(a) for a in c.v(1)] if c.has(1) else [k for k, n in enumerate(c.dims(0)) if n == 1]
    for a in sorted([a % r for a in axes], reverse=True):
        out = f"squeeze({out}, {a})"
    return out


@op("Unsqueeze")
def unsqueeze(c):
    out, axes = c.x(0), [int(a) for a in c.v(1)]
    r = c.rank(0) + len(axes)
    for a in sorted(a % r for a in axes):
        out = f"unsqueeze({out}, {a})"
    return out


@op("Transpose")
def transpose(c):
    perm = c.get("perm", list(range(c.rank(0)))[::-1])
    return f"transpose({c.x(0)}, {lst(perm)})"


@op("Concat")
def concat(c):
    return f"concat({', '.join(c.x(k) for k in range(len(c.inputs)))}, axis = {c.get('axis')})"


@op("Split")
def split(c):
    axis = c.get("axis", 0) % c.rank(0)
    n = c.dims(0)[axis]
    if c.has(1):
        sizes = [int(s) for s in c.v(1)]
    else:
        count = c.get("num_outputs", len(c.outputs))
        each = -(-n // count)
        sizes = [min(each, n - each * k) for k in range(count)]
    out, at = [], 0
    for s in sizes:
        out.append(f"{c.x(0)}[{'.., ' * axis}{at} .. {at + s}]")
        at += s
    return out


@op("Slice")
def slice_(c):
    starts, ends = [int(v) for v in c.v(1)], [int(v) for v in c.v(2)]
    axes = [int(v) % c.rank(0) for v in c.v(3)] if c.has(3) else list(range(len(starts)))
    steps = [int(v) for v in c.v(4)] if c.has(4) else [1] * len(starts)
    out = c.x(0)
    for a, lo, hi, step in zip(axes, starts, ends, steps):
        places = list(range(c.dims(0)[a]))[slice(lo, hi, step)]
        if not places:
            skip("an array without elements")
        if step == 1:
            out = f"{out}[{'.., ' * a}{places[0]} .. {places[-1] + 1}]"
        elif step == -1 and len(places) == c.dims(0)[a]:
            out = f"reverse({out}, axis = {a})"
        else:
            out = f"take({out}, {num(places[0])} + {num(step)} * arange({len(places)}), axis = {a})"
    return out


@op("Pad")
def pad(c):
    pads = [int(v) for v in c.v(1)]
    n = len(pads) // 2
    axes = [int(a) % c.rank(0) for a in c.v(3)] if c.has(3) else list(range(c.rank(0)))
    widths = [[0, 0] for _ in range(c.rank(0))]
    for k, a in enumerate(axes):
        widths[a] = [pads[k], pads[n + k]]
    mode = c.get("mode", "constant")
    if mode == "constant":
        value = num(c.v(2)) if c.has(2) else "0"
        return f"pad({c.x(0)}, {lst(widths)}, value = {value})"
    return f'pad({c.x(0)}, {lst(widths)}, mode = "{mode}")'


@op("Expand")
def expand(c):
    to = np.broadcast_shapes(tuple(c.dims(0)), tuple(int(v) for v in c.v(1)))
    return f"broadcast({c.x(0)}, {lst(to)})"


@op("Tile")
def tile(c):
    out = c.x(0)
    for a, n in enumerate(c.v(1)):
        if n != 1:
            out = f"tile({out}, {n}, {a})"
    return out


@op("Trilu")
def trilu(c):
    k = int(c.v(1)) if c.has(1) else 0
    return f"{'triu' if c.get('upper', 1) else 'tril'}({c.x(0)}, {k})"


@op("EyeLike")
def eye_like(c):
    n, m = c.dims(0)
    k = c.get("k", 0)
    return f"0 * {c.x(0)} + (arange({m}) == reshape(arange({n}), [{n}, 1]) + {num(k)})"


@op("Range")
def range_(c):
    n = c.outputs[0].shape[0]
    return f"{c.x(0)} + {c.x(2)} * arange({n})"


@op("ConstantOfShape")
def constant_of_shape(c):
    v = c.get("value")
    value = float(np.asarray(v).reshape(-1)[0]) if v is not None else 0
    return f"broadcast({num(value)}, {lst(c.v(0))})"


@op("DepthToSpace")
def depth_to_space(c):
    b, mode = c.get("blocksize"), c.get("mode", "DCR")
    n, ch, h, w = c.dims(0)
    if mode == "DCR":
        t, order = [n, b, b, ch // b ** 2, h, w], [0, 3, 4, 1, 5, 2]
    else:
        t, order = [n, ch // b ** 2, b, b, h, w], [0, 1, 4, 2, 5, 3]
    return f"reshape(transpose(reshape({c.x(0)}, {lst(t)}), {lst(order)}), {lst([n, ch // b ** 2, h * b, w * b])})"


@op("SpaceToDepth")
def space_to_depth(c):
    b = c.get("blocksize")
    n, ch, h, w = c.dims(0)
    t = [n, ch, h // b, b, w // b, b]
    order = [0, 3, 5, 1, 2, 4]
    if c.get("mode", "DCR") == "CRD":
        order = [0, 1, 3, 5, 2, 4]
    return f"reshape(transpose(reshape({c.x(0)}, {lst(t)}), {lst(order)}), {lst([n, ch * b * b, h // b, w // b])})"


@op("CenterCropPad")
def center_crop_pad(c):
    axes = [a % c.rank(0) for a in c.get("axes", list(range(c.rank(0))))]
    out = c.x(0)
    for a, n in zip(axes, c.v(1)):
        d = int(n) - c.dims(0)[a]
        before = d // 2 if d > 0 else -((-d) // 2)
        out = f"pad_along({out}, {before}, {d - before}, {a})"
    return out


@op("ReverseSequence")
def reverse_sequence(c):
    t, b = c.get("time_axis", 0), c.get("batch_axis", 1)
    x, n = c.x(0), c.dims(0)[t]
    place = f"reshape(arange({n}), {lst([n if k == t else 1 for k in range(2)])})"
    lens = f"reshape({c.x(1)}, {lst([-1 if k == b else 1 for k in range(2)])})"
    places = c.let(f"if {place} < {lens} then {lens} - 1 - {place} else {place}")
    if c.rank(0) != 2:
        skip("lines of more than one axis")
    return f"take_along({x}, {places}, {t})"


# ---- access by index
def positive(c, k, n):
    i = c.x(k)
    return f"(if {i} < 0 then {i} + {n} else {i})" if (c.inputs[k] < 0).any() else i


@op("Gather")
def gather(c):
    axis = c.get("axis", 0) % c.rank(0)
    return f"take({c.x(0)}, {positive(c, 1, c.dims(0)[axis])}, axis = {axis})"


@op("GatherElements")
def gather_elements(c):
    axis = c.get("axis", 0) % c.rank(0)
    x = c.x(0)
    for k, (n, m) in enumerate(zip(c.dims(0), c.dims(1))):
        if k != axis and n != m:
            x = f"{x}[{'.., ' * k}0 .. {m}]"
    return f"take_along({x}, {positive(c, 1, c.dims(0)[axis])}, {axis})"


def flat_index(c, k, dims, lead):
    """Rows of coordinates as flat places of `dims`, behind `lead` batch axes."""
    i = c.let(c.x(k))
    d = c.dims(k)
    q = d[-1]
    strides = [int(np.prod(dims[j + 1:q])) for j in range(q)]
    at = c.let(f"if {i} < 0 then {i} + {lst(dims[:q])} else {i}") if (c.inputs[k] < 0).any() else i
    return c.let(f"sum({at} * {lst(strides)}, axis = -1)")


@op("GatherND")
def gather_nd(c):
    b = c.get("batch_dims", 0)
    d, i = c.dims(0), c.dims(1)
    q = i[-1]
    flat = flat_index(c, 1, d[b:], b)
    rest = d[b + q:]
    lead = d[:b]
    if b:
        n, m = int(np.prod(lead)), int(np.prod(d[b:b + q]))
        off = f"reshape(arange({n}) * {m}, {lst(lead + [1] * (len(i) - 1 - b))})"
        flat = c.let(f"{flat} + {off}")
    else:
        n, m = 1, int(np.prod(d[:q]))
    return f"take(reshape({c.x(0)}, {lst([n * m] + rest)}), {flat})"


@op("ScatterElements", "Scatter")
def scatter_elements(c):
    axis, how = c.get("axis", 0) % c.rank(0), c.get("reduction", "none")
    i = positive(c, 1, c.dims(0)[axis])
    if how == "none":
        return f"put_along({c.x(0)}, {i}, {c.x(2)}, {axis})"
    if how == "add":
        return f"add_along({c.x(0)}, {i}, {c.x(2)}, {axis})"
    f, unit = {"mul": ("prod", "1"), "max": ("max", "-inf"), "min": ("min", "inf")}[how]
    n, m = int(np.prod(c.dims(0))), int(np.prod(c.dims(1)))
    at = c.let(f"reshape(flatten(flat_places({c.x(0)}, {i}, {axis})), [{m}, 1])")
    all_ = c.let(f"{f}(if {at} == arange({n}) then reshape({c.x(2)}, [{m}, 1]) else {unit}, axis = 0)")
    join = {"mul": f"{c.x(0)} * reshape({all_}, {lst(c.dims(0))})"}.get(
        how, f"{how}({c.x(0)}, reshape({all_}, {lst(c.dims(0))}))")
    return join


@op("ScatterND")
def scatter_nd(c):
    d, q, how = c.dims(0), c.dims(1)[-1], c.get("reduction", "none")
    n, rest = int(np.prod(d[:q])), d[q:]
    flat = flat_index(c, 1, d, 0)
    m = int(np.prod(c.dims(1)[:-1]))
    x = c.let(f"reshape({c.x(0)}, {lst([n] + rest)})")
    u = c.let(f"reshape({c.x(2)}, {lst([m] + rest)})")
    f = c.let(f"flatten({flat})")
    ones = [1] * len(rest)
    if how == "add":
        out = f"{x} + scatter({u}, {f}, {n})"
    elif how == "none":
        hit = c.let(f"reshape(scatter(ones({m}), {f}, {n}) > 0, {lst([n] + ones)})")
        out = f"if {hit} then scatter({u}, {f}, {n}) else {x}"
    else:
        g, unit = {"mul": ("prod", "1"), "max": ("max", "-inf"), "min": ("min", "inf")}[how]
        mask = f"reshape(reshape({f}, [{m}, 1]) == arange({n}), {lst([m, n] + ones)})"
        all_ = c.let(f"{g}(if {mask} then unsqueeze({u}, 1) else {unit}, axis = 0)")
        out = f"{x} * {all_}" if how == "mul" else f"{how}({x}, {all_})"
    return f"reshape({out}, {lst(d)})"


@op("OneHot")
def one_hot(c):
    axis, depth = c.get("axis", -1), int(c.v(1).reshape(-1)[0])
    r = c.rank(0) + 1
    axis %= r
    i = c.let(f"unsqueeze({c.x(0)}, {axis})")
    places = f"reshape(arange({depth}), {lst([depth] + [1] * (r - axis - 1))})"
    return f"if mod({i}, {depth}) == {places} and {i} >= -{depth} and {i} < {depth} then {c.x(2)}[1] else {c.x(2)}[0]"


@op("TopK")
def top_k(c):
    axis, k = c.get("axis", -1), int(c.v(1).reshape(-1)[0])
    args = f"{c.x(0)}, {k}, {axis}, {yes(c.get('largest', 1))}"
    if not c.get("sorted", 1):
        skip("the order of the outputs is not defined")
    return [f"top({args})", f"top_places({args})"]


@op("Compress")
def compress(c):
    places = np.nonzero(c.v(1))[0]
    if c.get("axis") is None:
        places = places[places < int(np.prod(c.dims(0)))]
        return f"take(flatten({c.x(0)}), {lst(places)})"
    return f"take({c.x(0)}, {lst(places)}, axis = {c.get('axis') % c.rank(0)})"


@op("TensorScatter")
def tensor_scatter(c):
    axis, mode = c.get("axis", -2) % c.rank(0), c.get("mode", "linear")
    n, m = c.dims(0)[axis], c.dims(1)[axis]
    r = c.rank(0)
    start = f"reshape({c.x(2)}, {lst([-1] + [1] * (r - 1))})" if c.has(2) else "0"
    places = f"{start} + reshape(arange({m}), {lst([m] + [1] * (r - axis - 1))})"
    places = c.let(f"broadcast(mod({places}, {n}), {lst(c.dims(1))})")
    return f"put_along({c.x(0)}, {places}, {c.x(1)}, {axis})"


# ---- products
@op("Einsum")
def einsum(c):
    return f'einsum("{c.get("equation")}", {", ".join(c.x(k) for k in range(len(c.inputs)))})'


@op("Gemm")
def gemm(c):
    a = f"transpose({c.x(0)})" if c.get("transA", 0) else c.x(0)
    b = f"transpose({c.x(1)})" if c.get("transB", 0) else c.x(1)
    out = f"{num(c.get('alpha', 1.0))} * ({a} @ {b})"
    c.weights |= {"x1", "x2"} & set(c.used.values())
    return f"{out} + {num(c.get('beta', 1.0))} * {c.x(2)}" if c.has(2) else out


@op("Det")
def det(c):
    skip("no determinant in the language")


@op("CausalConvWithState")
def causal_conv(c):
    b, channels, _ = c.dims(0)
    k = c.dims(1)[2]
    past = c.x(3) if c.has(3) else f"zeros({b}, {channels}, {k - 1})"
    x = c.let(f"concat({past}, {c.x(0)}, axis = 2)" if k > 1 else c.x(0))
    out = f"conv1d({x}, {c.x(1)}, groups = {channels})"
    if c.has(2):
        out += f" + reshape({c.x(2)}, [-1, 1])"
    out = c.let(out)
    y = f"silu({out})" if c.get("activation", "none") in ("silu", "swish") else f"{out} + 0"
    n = c.dims(0)[2]
    return [y, f"{x}[.., .., {n} .. {n + k - 1}]" if k > 1 else None]


def places_between(c, at, n, corners):
    """Coordinates from -1 to 1 as places along an axis of n."""
    return f"({at} + 1) * {num((n - 1) / 2)}" if corners else f"(({at} + 1) * {n} - 1) / 2"


def folded(at, n, mode, corners):
    """Coordinates back inside of an axis, as the padding mode has it."""
    if mode == "border":
        return f"clamp({at}, 0, {n - 1})"
    if mode == "reflection":
        low, high = (0, n - 1) if corners else (-0.5, n - 0.5)
        span = high - low
        if span == 0:
            return f"0 * ({at})"
        turn = f"mod({at} - {num(low)}, {num(2 * span)})"
        back = f"(if {turn} > {num(span)} then {num(2 * span)} - {turn} else {turn}) + {num(low)}"
        return back if corners else f"clamp({back}, 0, {n - 1})"
    return at


@op("GridSample")
def grid_sample(c):
    if c.rank(0) != 4:
        skip("samples of volumes")
    mode, pad_, corners = c.get("mode", "linear"), c.get("padding_mode", "zeros"), c.get("align_corners", 0)
    if mode in ("cubic", "bicubic"):
        skip("cubic samples at places that data give")
    n, ch, h, w = c.dims(0)
    _, oh, ow, _ = c.dims(1)
    flat = c.let(f"reshape(transpose({c.x(0)}, [0, 2, 3, 1]), [{n * h * w}, {ch}])")
    image = f"reshape(arange({n}) * {h * w}, [{n}, 1, 1])"
    grid = c.let(c.x(1))
    at = [c.let(folded(c.let(places_between(c, f"{grid}[.., .., .., {k}]", m, corners)), m, pad_, corners))
          for k, m in ((0, w), (1, h))]

    def read(column, row, weight):
        good = f"({column} >= 0 and {column} <= {w - 1} and {row} >= 0 and {row} <= {h - 1})"
        place = f"clamp({row}, 0, {h - 1}) * {w} + clamp({column}, 0, {w - 1}) + {image}"
        share = c.let(f"if {good} then {weight} else 0")
        return c.let(f"take({flat}, {place}) * unsqueeze({share}, -1)")

    if mode == "nearest":
        out = read(c.let(f"round({at[0]})"), c.let(f"round({at[1]})"), f"(0 * {at[0]} + 1)")
    else:
        x0, y0 = c.let(f"floor({at[0]})"), c.let(f"floor({at[1]})")
        parts = []
        for dx in (0, 1):
            for dy in (0, 1):
                wx = f"({at[0]} - {x0})" if dx else f"(1 - ({at[0]} - {x0}))"
                wy = f"({at[1]} - {y0})" if dy else f"(1 - ({at[1]} - {y0}))"
                parts.append(read(f"({x0} + {dx})", f"({y0} + {dy})", f"{wx} * {wy}"))
        out = " + ".join(parts)
    return f"transpose({out}, [0, 3, 1, 2])"


@op("AffineGrid")
def affine_grid(c):
    size, corners = [int(v) for v in c.v(1)], c.get("align_corners", 0)
    dims = size[2:]
    k = len(dims)

    def line(n):
        return f"(2 * arange({n}) / {max(n - 1, 1)} - 1)" if corners else f"((2 * arange({n}) + 1) / {n} - 1)"

    parts = []
    for j in reversed(range(k)):
        ones = [dims[j] if a == j else 1 for a in range(k)]
        parts.append(f"broadcast(reshape({line(dims[j])}, {lst(ones)}), {lst(dims)})")
    parts.append(f"ones({', '.join(map(str, dims))})")
    grid = c.let(f"transpose([{', '.join(parts)}], {lst([*range(1, k + 1), 0])})")
    return f'einsum("...j,nij->n...i", {grid}, {c.x(0)})'


# ---- images
def pads_of(c, x, k, s, d, transposed=False, out=None, extra=None):
    n = len(k)
    auto = c.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for i in range(n):
            if transposed:
                total = s[i] * (x[i] - 1) + extra[i] + (k[i] - 1) * d[i] + 1 - (out[i] if out else x[i] * s[i])
            else:
                total = (-(-x[i] // s[i]) - 1) * s[i] + (k[i] - 1) * d[i] + 1 - x[i]
            total = max(total, 0)
            small = total // 2
            pads.append([small, total - small] if auto == "SAME_UPPER" else [total - small, small])
        return pads
    p = c.get("pads", [0] * (2 * n))
    return [[p[i], p[n + i]] for i in range(n)]


@op("Conv")
def conv(c):
    k = c.dims(1)[2:]
    n = len(k)
    s, d = c.get("strides", [1] * n), c.get("dilations", [1] * n)
    p = pads_of(c, c.dims(0)[2:], k, s, d)
    one = n == 1
    text = lambda v: lst(v[0]) if one else lst(v)
    out = (f"conv{n}d({c.x(0)}, {c.x(1)}, stride = {text(s)}, pad = {text(p)}, dilation = {text(d)}, "
           f"groups = {c.get('group', 1)})")
    if c.has(2):
        out += f" + reshape({c.x(2)}, {lst([-1] + [1] * n)})"
    c.weights |= {"x1", "x2"} & set(c.used.values())
    return out


@op("ConvTranspose")
def conv_transpose(c):
    k = c.dims(1)[2:]
    n = len(k)
    s, d = c.get("strides", [1] * n), c.get("dilations", [1] * n)
    e = c.get("output_padding", [0] * n)
    x = c.dims(0)[2:]
    shape = c.get("output_shape")
    if shape is not None:
        p = []
        for i in range(n):
            total = s[i] * (x[i] - 1) + e[i] + (k[i] - 1) * d[i] + 1 - shape[i]
            if total < 0:
                e = list(e)
                e[i] -= total
                total = 0
            small = total // 2
            p.append([small, total - small] if c.get("auto_pad") == "SAME_UPPER" else [total - small, small])
    else:
        p = pads_of(c, x, k, s, d, True, None, e)
    one = n == 1
    text = lambda v: lst(v[0]) if one else lst(v)
    groups = f", groups = {c.get('group', 1)}" if n < 3 else ""
    out = (f"conv_transpose{n}d({c.x(0)}, {c.x(1)}, stride = {text(s)}, pad = {text(p)}, extra = {text(e)}, "
           f"dilation = {text(d)}{groups})")
    if c.has(2):
        out += f" + reshape({c.x(2)}, {lst([-1] + [1] * n)})"
    return out


@op("MaxPool", "AveragePool", "LpPool")
def pool(c):
    k = c.get("kernel_shape")
    n = len(k)
    s, d = c.get("strides", [1] * n), c.get("dilations", [1] * n)
    p = pads_of(c, c.dims(0)[2:], k, s, d)
    one = n == 1
    text = lambda v: lst(v[0]) if one else lst(v)
    ceil = yes(c.get("ceil_mode", 0))
    args = f"{text(k)}, stride = {text(s)}, pad = {text(p)}, dilation = {text(d)}, ceil = {ceil}"
    x = c.x(0)
    if c.op == "MaxPool":
        out = [f"max_pool{n}d({x}, {args})"]
        if len(c.outputs) > 1 and c.outputs[1] is not None:
            if n != 2:
                skip("places of windows that are not of images")
            h, w = c.dims(0)[2:]
            planes = c.dims(0)[:2]
            places = c.let(f"max_pool2d_places({x}, {args})")
            if c.get("storage_order", 0):
                places = c.let(f"mod({places}, {w}) * {h} + floor({places} / {w})")
            offset = f"reshape(arange({int(np.prod(planes))}) * {h * w}, {lst(planes + [1, 1])})"
            out.append(f"{places} + {offset}")
        return out
    if c.op == "AveragePool":
        return f"avg_pool{n}d({x}, {args}, count_pad = {yes(c.get('count_include_pad', 0))})"
    q = c.get("p", 2)
    out = f"abs({x})^{q}"
    for i in range(n):
        out = f"sum_pool_along({out}, {k[i]}, {s[i]}, {lst(p[i])}, {d[i]}, {ceil}, {i + 2})"
    return f"({out})^(1 / {q})"


@op("GlobalAveragePool", "GlobalMaxPool")
def global_pool(c):
    f = "mean" if "Average" in c.op else "max"
    return f"{f}({c.x(0)}, axis = {lst(range(2, c.rank(0)))}, keep = true)"


@op("MaxUnpool")
def max_unpool(c):
    to = c.outputs[0].shape
    n, m = int(np.prod(to)), int(np.prod(c.dims(0)))
    places = c.x(1)
    if c.has(2):
        # places are of the smaller image that the kernel and strides give
        k, s_ = c.get("kernel_shape"), c.get("strides", [1] * len(c.get("kernel_shape")))
        h, w = [(d - 1) * s + q for d, s, q in zip(c.dims(0)[2:], s_, k)]
        flat = c.let(places)
        row, column = f"floor(mod({flat}, {h * w}) / {w})", f"mod({flat}, {w})"
        places = f"floor({flat} / {h * w}) * {to[2] * to[3]} + {row} * {to[3]} + {column}"
    return f"reshape(scatter(flatten({c.x(0)}), flatten({places}), {n}), {lst(to)})"


@op("LRN")
def lrn(c):
    n, x = c.get("size"), c.x(0)
    a, b, k = c.get("alpha", 1e-4), c.get("beta", 0.75), c.get("bias", 1.0)
    before = (n - 1) // 2
    pool_ = f"sum_pool_along({x}^2, {n}, 1, [{before}, {n - 1 - before}], axis = 1)"
    return f"{x} / ({num(k)} + {num(a / n)} * {pool_})^{num(b)}"


@op("Upsample", "Resize")
def resize(c):
    x, r, dims = c.x(0), c.rank(0), c.dims(0)
    mode, coords = c.get("mode", "nearest"), c.get("coordinate_transformation_mode", "half_pixel")
    axes = [a % r for a in c.get("axes", list(range(r)))]
    out_dims = list(c.outputs[0].shape)
    scales = [1.0] * r
    given = None
    if c.op == "Upsample":
        given, coords = c.v(1), "asymmetric"
    elif c.has(2) and c.v(2).size:
        given = c.v(2)
    if given is not None:
        for a, s in zip(axes, given):
            scales[a] = float(s)
    else:
        sizes = dict(zip(axes, [int(v) for v in c.v(3)]))
        ratio = {a: sizes[a] / dims[a] for a in axes}
        policy = c.get("keep_aspect_ratio_policy", "stretch")
        for a in axes:
            scales[a] = {"stretch": ratio[a], "not_larger": min(ratio.values()),
                         "not_smaller": max(ratio.values())}[policy]
    roi = c.v(1) if c.has(1) and c.op == "Resize" and c.v(1).size else None
    anti = c.get("antialias", 0)
    value = c.get("extrapolation_value", 0.0)
    masks = []
    out = x
    for j, a in enumerate(axes):
        n, m, s = dims[a], out_dims[a], scales[a]
        if n == m and s == 1.0 and coords != "tf_crop_and_resize":
            continue
        w = s * n
        y = f"arange({m})"
        if coords == "align_corners":
            at = "0 * " + y if w == 1 else f"{y} * {num((n - 1) / (w - 1))}"
        elif coords == "asymmetric":
            at = f"{y} / {num(s)}"
        elif coords == "pytorch_half_pixel":
            at = f"0 * {y} - 0.5" if w == 1 else f"({y} + 0.5) / {num(s)} - 0.5"
        elif coords == "half_pixel":
            at = f"({y} + 0.5) / {num(s)} - 0.5"
        elif coords == "half_pixel_symmetric":
            at = f"{num(n / 2 * (1 - m / w))} + ({y} + 0.5) / {num(s)} - 0.5"
        else:
            lo, hi = float(roi[j]), float(roi[len(axes) + j])
            at = (f"0 * {y} + {num((hi - lo) * (n - 1) / 2 + lo * (n - 1))}" if w == 1
                  else f"{y} * {num((hi - lo) * (n - 1) / (w - 1))} + {num(lo * (n - 1))}")
            p = c.let(at)
            masks.append(f"reshape({p} < 0 or {p} > {n - 1}, {lst([m] + [1] * (r - a - 1))})")
        if mode == "nearest":
            how = c.get("nearest_mode", "round_prefer_floor")
            if c.op == "Upsample":
                how = "floor"
            at = {"round_prefer_floor": f"ceil({at} - 0.5)", "round_prefer_ceil": f"floor({at} + 0.5)",
                  "floor": f"floor({at})", "ceil": f"ceil({at})"}[how]
            matrix = f"picking({at}, {n})"
        else:
            scale = f", scale = {num(min(s, 1.0))}" if anti else ""
            inside = ", inside = true" if c.get("exclude_outside", 0) else ""
            a_ = f", a = {num(c.get('cubic_coeff_a', -0.75))}" if mode == "cubic" else ""
            matrix = f'interpolation({at}, {n}, "{mode}"{a_}{scale}{inside})'
        out = f"along({matrix}, {out}, {a})"
    if masks:
        out = f"if {' or '.join(masks)} then {num(value)} else {out}"
    return out if out != x else f"{x} + 0"


# ---- normalization
@op("LayerNormalization", "RMSNormalization")
def layer_norm(c):
    axis = c.get("axis", -1) % c.rank(0)
    axes, eps, x = lst(range(axis, c.rank(0))), num(c.get("epsilon", 1e-5)), c.x(0)
    if c.op == "RMSNormalization":
        return f"{x} / sqrt(mean({x}^2, axis = {axes}, keep = true) + {eps}) * {c.x(1)}"
    mean = c.let(f"mean({x}, axis = {axes}, keep = true)")
    inv = c.let(f"1 / sqrt(var({x}, axis = {axes}, keep = true) + {eps})")
    out = f"({x} - {mean}) * {inv} * {c.x(1)}" + (f" + {c.x(2)}" if c.has(2) else "")
    return [out, f"{mean} + 0", f"{inv} + 0"]


def channels(c, k):
    return f"reshape({c.x(k)}, {lst([-1] + [1] * (c.rank(0) - 2))})"


@op("BatchNormalization")
def batch_norm(c):
    x, eps = c.x(0), num(c.get("epsilon", 1e-5))
    c.weights |= {"x1", "x2", "x3", "x4"}
    if not c.get("training_mode", 0):
        return f"({x} - {channels(c, 3)}) / sqrt({channels(c, 4)} + {eps}) * {channels(c, 1)} + {channels(c, 2)}"
    axes = lst([0] + list(range(2, c.rank(0))))
    m = num(c.get("momentum", 0.9))
    y = (f"({x} - mean({x}, axis = {axes}, keep = true)) / sqrt(var({x}, axis = {axes}, keep = true) + {eps}) "
         f"* {channels(c, 1)} + {channels(c, 2)}")
    return [y, f"{m} * {c.x(3)} + (1 - {m}) * mean({x}, axis = {axes})",
            f"{m} * {c.x(4)} + (1 - {m}) * var({x}, axis = {axes})"]


@op("InstanceNormalization")
def instance_norm(c):
    x, axes = c.x(0), lst(range(2, c.rank(0)))
    return (f"({x} - mean({x}, axis = {axes}, keep = true)) / sqrt(var({x}, axis = {axes}, keep = true) + "
            f"{num(c.get('epsilon', 1e-5))}) * {channels(c, 1)} + {channels(c, 2)}")


@op("GroupNormalization")
def group_norm(c):
    g, d = c.get("num_groups"), c.dims(0)
    t = c.let(f"reshape({c.x(0)}, {lst([d[0], g, -1])})")
    n = c.let(f"reshape(({t} - mean({t}, axis = -1, keep = true)) / sqrt(var({t}, axis = -1, keep = true) + "
              f"{num(c.get('epsilon', 1e-5))}), {lst(d)})")
    return f"{n} * {channels(c, 1)} + {channels(c, 2)}"


@op("MeanVarianceNormalization")
def mvn(c):
    x, axes = c.x(0), lst(c.get("axes", [0, 2, 3]))
    return f"({x} - mean({x}, axis = {axes}, keep = true)) / (std({x}, axis = {axes}, keep = true) + 1e-9)"


@op("Dropout")
def dropout(c):
    training = bool(c.v(2)) if c.has(2) else False
    ratio = float(c.v(1)) if c.has(1) else float(c.get("ratio", 0.5))
    if training and ratio > 0:
        skip("the mask is of another generator of random numbers")
    return [f"{c.x(0)} + 0", f"0 * {c.x(0)} + 1"]


# ---- losses
@op("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def nll(c):
    x, t = c.x(0), c.x(1)
    classes = c.dims(0)[1]
    ignore = c.get("ignore_index")
    logp = c.let(f"log_softmax({x}, axis = 1)") if c.op.startswith("Soft") else x
    kept = f"{t} != {num(ignore)}" if ignore is not None else None
    safe = c.let(f"if {kept} then {t} else 0") if kept else t
    w = f"take({c.x(2)}, {safe})" if c.has(2) else f"(0 * {t} + 1)"
    w = c.let(f"if {kept} then {w} else 0") if kept else c.let(w)
    each = c.let(f"-{w} * squeeze(take_along({logp}, unsqueeze({safe}, 1), 1), 1)")
    how = c.get("reduction", "mean")
    out = {"none": f"{each} + 0", "sum": f"sum({each})", "mean": f"sum({each}) / sum({w})"}[how]
    return [out, f"{logp} + 0"] if c.op.startswith("Soft") else out


# ---- attention
def heads(c, k, n):
    b, t, d = c.dims(k)
    return f"transpose(reshape({c.x(k)}, [{b}, {t}, {n}, {d // n}]), [0, 2, 1, 3])"


@op("Attention")
def attention(c):
    three = c.rank(0) == 3
    qn, kn = c.get("q_num_heads"), c.get("kv_num_heads")
    q = c.let(heads(c, 0, qn) if three else c.x(0))
    k = heads(c, 1, kn) if three else c.x(1)
    v = heads(c, 2, kn) if three else c.x(2)
    b = c.dims(0)[0]
    hq = qn if three else c.dims(0)[1]
    hk = kn if three else c.dims(1)[1]
    t = c.dims(0)[1] if three else c.dims(0)[2]
    d = c.dims(0)[2] // qn if three else c.dims(0)[3]
    s = c.dims(1)[1] if three else c.dims(1)[2]
    past = 0
    if c.has(4):
        past = c.dims(4)[2]
        k, v = f"concat({c.x(4)}, {k}, axis = 2)", f"concat({c.x(5)}, {v}, axis = 2)"
    k, v = c.let(k), c.let(v)
    s += past
    kk, vv = (k, v) if hq == hk else (c.let(f"repeat({k}, {hq // hk}, 1)"), c.let(f"repeat({v}, {hq // hk}, 1)"))
    scale = c.get("scale")
    scale = f"1 / sqrt({d})" if scale is None else num(scale)
    score = c.let(f"{scale} * ({q} @ transpose({kk}))")
    raw, cap = score, c.get("softcap")
    if cap:
        score = c.let(f"{num(cap)} * tanh({score} / {num(cap)})")
    bias = []
    if c.has(3):
        m = c.x(3)
        if c.inputs[3].dtype == bool:
            m = f"(if {m} then 0 else -inf)"
        width = s - c.dims(3)[-1]
        bias.append(f"pad_along({m}, 0, {width}, -1, -inf)" if width > 0 else m)
    i, j = f"reshape(arange({t}), [{t}, 1])", f"arange({s})"
    if c.has(6):
        offset = f"reshape({c.x(6)} - {t}, [-1, 1, 1, 1])"
    else:
        offset = num(past)
    if c.get("is_causal", 0):
        bias.append(f"(if {j} <= {i} + {offset} then 0 else -inf)")
    left, right = c.get("left_window_size", -1), c.get("right_window_size", -1)
    if left >= 0:
        bias.append(f"(if {i} + {offset} - {j} <= {left} then 0 else -inf)")
    if right >= 0:
        bias.append(f"(if {j} - {i} - ({offset}) <= {right} then 0 else -inf)")
    if c.has(6):
        bias.append(f"(if {j} < reshape({c.x(6)}, [-1, 1, 1, 1]) then 0 else -inf)")
    biased = score
    if bias:
        bias = c.let(" + ".join(bias))
        biased = c.let(f"{score} + {bias}")
        none = c.let(f"max({bias}, axis = -1, keep = true) == -inf")
        prob = f"(if {none} then 0 else softmax(if {none} then 0 else {biased}))"
    else:
        prob = f"softmax({biased})"
    y = f"attention({q}, {kk}, {vv}, {scale}, mask = {bias or 0}, cap = {num(cap or 0)})"
    if three:
        y = f"reshape(transpose({y}, [0, 2, 1, 3]), {lst(c.outputs[0].shape)})"
    mode = c.get("qk_matmul_output_mode", 0)
    qk = {0: raw, 1: score, 2: biased, 3: prob}[mode]
    return [y, f"{k} + 0", f"{v} + 0", f"{qk} + 0"]


@op("LinearAttention")
def linear_attention(c):
    qn, kn, rule = c.get("q_num_heads"), c.get("kv_num_heads"), c.get("update_rule", "gated_delta")
    b, t, _ = c.dims(0)
    dk, dv = c.dims(0)[2] // qn, c.dims(2)[2] // kn
    q, k, v = c.let(heads(c, 0, qn)), c.let(heads(c, 1, kn)), c.let(heads(c, 2, kn))
    state = c.let(c.x(3)) if c.has(3) else c.let(f"zeros({b}, {kn}, {dk}, {dv})")
    scale = c.get("scale", 0.0) or 1 / np.sqrt(dk)
    decay = c.let(f"transpose(reshape({c.x(4)}, [{b}, {t}, {kn}, -1]), [0, 2, 1, 3])") if c.has(4) else None
    beta = c.let(f"transpose(reshape({c.x(5)}, [{b}, {t}, -1, 1]), [0, 2, 1, 3])") if c.has(5) else None
    outs = []
    for i in range(t):
        at = lambda z: f"{z}[.., .., {i}]"
        if "gated" in rule:
            state = c.let(f"{state} * unsqueeze(exp({at(decay)}), -1)")
        vt = at(v)
        if "delta" in rule:
            vt = c.let(f'{at(beta)} * ({vt} - einsum("bhdm,bhd->bhm", {state}, {at(k)}))')
        state = c.let(f"{state} + unsqueeze({at(k)}, -1) * unsqueeze({vt}, -2)")
        read = state if qn == kn else f"repeat({state}, {qn // kn}, 1)"
        outs.append(c.let(f'{num(scale)} * einsum("bhd,bhdm->bhm", {at(q)}, {read})'))
    y = f"transpose([{', '.join(outs)}], [1, 0, 2, 3])"
    return [f"reshape({y}, [{b}, {t}, {qn * dv}])", f"{state} + 0"]


@op("RotaryEmbedding")
def rotary(c):
    n, rank = c.get("num_heads", 0), c.rank(0)
    x = c.let(f"transpose({c.x(0)}, [0, 2, 1, 3])" if rank == 4 else
              f"reshape({c.x(0)}, {lst(c.dims(0)[:2] + [n, c.dims(0)[2] // max(n, 1)])})")
    d = c.dims(0)[3] if rank == 4 else c.dims(0)[2] // n
    r = c.get("rotary_embedding_dim", 0) or d
    cos, sin = (f"take({c.x(k)}, {c.x(3)})" if c.has(3) else c.x(k) for k in (1, 2))
    part = x if r == d else c.let(f"take({x}, arange({r}), axis = -1)")
    y = f"rotated({part}, unsqueeze({cos}, 2), unsqueeze({sin}, 2), {yes(c.get('interleaved', 0))})"
    if r != d:
        y = f"concat({y}, take({x}, {r} + arange({d - r}), axis = -1), axis = -1)"
    return f"transpose({y}, [0, 2, 1, 3])" if rank == 4 else f"reshape({y}, {lst(c.dims(0))})"


@op("SwiGLU")
def swiglu(c):
    a = num(c.get("alpha", 1.0))
    return f"{c.x(0)} * sigmoid({a} * {c.x(0)}) * {c.x(1)}"


# ---- optimizers, as what one step of each computes
@op("Adam")
def adam(c):
    n = (len(c.inputs) - 2) // 4
    a, b, e = c.get("alpha", 0.9), c.get("beta", 0.999), c.get("epsilon", 0.0)
    decay, post = c.get("norm_coefficient", 0.0), c.get("norm_coefficient_post", 0.0)
    new, ms, vs = [], [], []
    for k in range(n):
        x, g, m, v = (c.x(2 + k + j * n) for j in range(4))
        g = c.let(f"{num(decay)} * {x} + {g}")
        m = c.let(f"{num(a)} * {m} + {num(1 - a)} * {g}")
        v = c.let(f"{num(b)} * {v} + {num(1 - b)} * {g}^2")
        t = c.x(1)
        rate = c.let(f"if {t} > 0 then {c.x(0)} * sqrt(1 - {num(b)}^{t}) / (1 - {num(a)}^{t}) else {c.x(0)}")
        new.append(f"{num(1 - post)} * ({x} - {rate} * {m} / (sqrt({v}) + {num(e)}))")
        ms.append(f"{m} + 0")
        vs.append(f"{v} + 0")
    return new + ms + vs


@op("Momentum")
def momentum(c):
    n = (len(c.inputs) - 2) // 3
    a, b, decay = c.get("alpha"), c.get("beta"), c.get("norm_coefficient")
    new, ms = [], []
    for k in range(n):
        x, g, m = (c.x(2 + k + j * n) for j in range(3))
        g = c.let(f"{num(decay)} * {x} + {g}")
        m = c.let(f"{num(a)} * {m} + (if {c.x(1)} > 0 then {num(b)} else 1) * {g}")
        step = f"({g} + {num(a)} * {m})" if c.get("mode") == "nesterov" else m
        new.append(f"{x} - {c.x(0)} * {step}")
        ms.append(f"{m} + 0")
    return new + ms


@op("Adagrad")
def adagrad(c):
    n = (len(c.inputs) - 2) // 3
    decay, e, norm = c.get("decay_factor", 0.0), c.get("epsilon", 0.0), c.get("norm_coefficient", 0.0)
    rate = f"{c.x(0)} / (1 + {c.x(1)} * {num(decay)})"
    new, hs = [], []
    for k in range(n):
        x, g, h = (c.x(2 + k + j * n) for j in range(3))
        g = c.let(f"{num(norm)} * {x} + {g}")
        h = c.let(f"{h} + {g}^2")
        new.append(f"{x} - {rate} * {g} / (sqrt({h}) + {num(e)})")
        hs.append(f"{h} + 0")
    return new + hs


# ---- recurrent layers, as networks over time
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def activation(name):
    known = {"tanh": "tanh", "sigmoid": "sigmoid", "relu": "relu"}
    return known.get(name.lower()) or skip(f"the activation {name}")


@op("RNN", "GRU", "LSTM")
def recurrent(c):
    return c  # a model of its own: see `recurrent_model`


def recurrent_model(c, camel):
    """Declarations, statements and arrays of a recurrent case; its gates are cut out of the matrices here."""
    x, w, r = c.inputs[0], c.inputs[1], c.inputs[2]
    layout = c.get("layout", 0)
    seq = x if layout else np.transpose(x, (1, 0, 2))
    batch, steps, n = seq.shape
    hidden, gates, dirs = c.get("hidden_size"), GATES[c.op], w.shape[0]
    b = c.inputs[3] if c.has(3) else np.zeros((dirs, 2 * gates * hidden), np.float32)
    if c.has(4) and not (c.v(4) == steps).all():
        skip("sequences of several lengths in one batch")
    if c.has(5) and c.v(5).any() or (c.op == "LSTM" and c.has(6) and c.v(6).any()):
        skip("a first state from outside")
    if c.get("clip") is not None:
        skip("clipping inside of the cell")
    peep = c.inputs[7] if c.op == "LSTM" and c.has(7) else None
    names = {"RNN": ["i"], "GRU": ["z", "r", "h"], "LSTM": ["i", "o", "f", "g"]}[c.op]
    acts = c.get("activations", [])
    arrays, lines = {"rows": seq}, []
    late = c.get("linear_before_reset", 0)
    if c.op == "RNN":
        cell = (f"neuron Cell {{\n  input i: real\n  state h: real = 0\n  next h = {activation(acts[0]) if acts else 'tanh'}(i)\n"
                "  output y = next h\n}")
        below, own = ["i"], ["i"]
    elif c.op == "LSTM":
        p = ["pi", "po", "pf"] if peep is not None else []
        add = {k: f" + p{k} * {'next c' if k == 'o' else 'c'}" if p else "" for k in "iof"}
        cell = ("neuron Cell {\n" + "".join(f"  input {k}: real\n" for k in names) + "".join(f"  weight {k}: real = 0\n" for k in p)
                + f"  state c: real = 0\n  state h: real = 0\n  next c = sigmoid(f{add['f']}) * c + sigmoid(i{add['i']}) * tanh(g)\n"
                + f"  next h = sigmoid(o{add['o']}) * tanh(next c)\n  output y = next h\n}}")
        below, own = names, names
    else:
        cell = ("neuron Cell {\n  input z: real\n  input r: real\n  input h: real\n  input m: real\n  state s: real = 0\n"
                "  let keep = sigmoid(z)\n  next s = (1 - keep) * tanh(h + sigmoid(r) * m) + keep * s\n  output y = next s\n}")
        below, own = names, ["z", "r", "m"]
    front = c.op == "GRU" and not late
    if front:
        cell = ("neuron Reset {\n  input r: real\n  input h: real\n  output y = sigmoid(r) * h\n}\n\n"
                "neuron Cell {\n  input z: real\n  input h: real\n  input m: real\n  state s: real = 0\n"
                "  let keep = sigmoid(z)\n  next s = (1 - keep) * tanh(h + m) + keep * s\n  output y = next s\n}")
    body = [cell, "", "architecture Layer {", f"  input x: real[{n}]", f"  population h: Cell[{hidden}]"]
    if front:
        body += [f"  population reset: Reset[{hidden}]", "  connect h -> reset.h: one_to_one() via Direct(w = 1, delay = 1 step)"]
    late_by_one = "dense() via Direct(delay = 1 step)"
    for k in below:
        body.append(f"  connect x -> {'reset' if front and k == 'r' else 'h'}.{k} as below_{k}: dense()")
    for k in own:
        if front and k == "m":
            body.append("  connect reset -> h.m as own_m: dense()")
        else:
            body.append(f"  connect h -> {'reset' if front and k == 'r' else 'h'}.{k} as own_{k}: {late_by_one}")
    body += ["}"]
    runs = []
    for d in range(dirs):
        net = f"net{d}"
        lines.append(f"let {net} = {camel}()")
        wd, rd = w[d].reshape(gates, hidden, n), r[d].reshape(gates, hidden, hidden)
        bd = b[d].reshape(2, gates, hidden)
        for k, (g, o) in enumerate(zip(below, own)):
            for where, m, v in ((f"below_{g}", wd[k], bd[0, k]), (f"own_{o}", rd[k], bd[1, k])):
                arrays[f"{where}_{d}"], arrays[f"{where}_b_{d}"] = m, v
                lines += [f"set {net}.{where}.w = c.{where}_{d}", f"set {net}.{where}.b = c.{where}_b_{d}"]
        if peep is not None:
            for k, g in enumerate("iof"):
                arrays[f"p{g}_{d}"] = peep[d].reshape(3, hidden)[k]
                lines.append(f"set {net}.h.p{g} = c.p{g}_{d}")
        runs.append(f"collect(last({net}.h.y) on data{d} given x = rows over time)")
        turned = d == 1 or c.get("direction", "forward") == "reverse"
        rows = "reverse(c.rows, axis = 1)" if turned else "c.rows"
        lines.append(f"data data{d} = table(rows = {rows})")
    checks = []
    if c.outputs[1] is not None if len(c.outputs) > 1 else False:
        want = c.outputs[1] if not layout else np.transpose(c.outputs[1], (1, 0, 2))
    else:
        y = c.outputs[0] if not layout else np.transpose(c.outputs[0], (1, 2, 0, 3))
        first = y[0, 0] if c.get("direction", "forward") == "reverse" else y[-1, 0]
        want = np.stack([first] + ([y[0, 1]] if dirs > 1 else []))
    arrays["last"] = want
    checks = [f"report last_h = [{', '.join(runs)}]", f"expect all_close(last_h, c.last, rtol = {num(c.rtol)}, atol = {num(c.atol)})"]
    body = "\n".join(body).replace("Cell", f"{camel}Cell").replace("Reset", f"{camel}Reset")
    return body.replace("architecture Layer", f"architecture {camel}"), "f32", lines + checks, arrays
