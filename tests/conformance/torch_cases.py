"""Writes PyTorch's own samples for its operators, with outputs and derivatives, as NNM models with their data.

    pip install torch==2.15.0 expecttest
    python torch_cases.py OUT           # a file of models and one of arrays for each operator
    nnmc test OUT

Each sample becomes a model: the operator as an expression of the language, its inputs, what it gives, a seeded cotangent
and the derivatives of `sum(cotangent * output)` by every input that has one. All in double precision.
"""
import sys

import numpy as np
import torch

from cases import Skip, Writer, camel, lst, num, yes

MOST = 20
RTOL, ATOL = 1e-7, 1e-9

OPERATORS = {}

# Samples that are known not to hold, and why.
EXCLUDED = {}


def op(*names):
    def add(f):
        for n in names:
            OPERATORS[n] = f
        return f

    return add


def skip(why):
    raise Skip(why)


class Sample:
    """A call: tensors have names in the model, everything else is written out."""

    def __init__(self, info, sample):
        self.args, self.kw = [sample.input, *sample.args], dict(sample.kwargs)
        self.tensors, self.lets = {}, []
        self.fed = set()
        self.op = info

    def take(self, k, name=None, default=None):
        """An argument by place or by name."""
        if k is not None and k < len(self.args):
            return self.args[k]
        return self.kw.get(name, default)

    def has(self, k, name=None):
        return self.take(k, name) is not None

    def t(self, k, name=None):
        """A tensor (or number) as the model writes it."""
        return self.write(self.take(k, name))

    def write(self, v):
        if isinstance(v, torch.Tensor):
            if v.is_complex() or v.layout != torch.strided:
                skip("numbers of another kind")
            for n, w in self.tensors.items():
                if w is v:
                    return n
            n = f"x{len(self.tensors)}"
            self.tensors[n] = v
            return n
        if isinstance(v, (bool, int, float)):
            return num(v)
        skip(f"an argument of type {type(v).__name__}")

    def shape(self, k, name=None):
        return list(self.take(k, name).shape)

    def let(self, e):
        n = f"t{len(self.lets)}"
        self.lets.append(f"let {n} = {e}")
        return n


def fixed(**table):
    for name, text in table.items():
        name = name.replace("__", ".")

        def f(s, text=text):
            return text.format(*[s.write(a) for a in s.args])

        OPERATORS[name] = f


fixed(
    abs="abs({0})", acos="acos({0})", acosh="acosh({0})", asin="asin({0})", asinh="asinh({0})", atan="atan({0})",
    atanh="atanh({0})", ceil="ceil({0})", cos="cos({0})", cosh="cosh({0})", erf="erf({0})", erfc="1 - erf({0})",
    exp="exp({0})", exp2="2^{0}", expm1="expm1({0})", floor="floor({0})", log="log({0})", log10="log({0}) / log(10)",
    log1p="log1p({0})", log2="log({0}) / log(2)", neg="-{0}", reciprocal="1 / {0}", rsqrt="1 / sqrt({0})",
    sigmoid="sigmoid({0})", sign="sign({0})", sin="sin({0})", sinh="sinh({0})", sqrt="sqrt({0})", square="{0}^2",
    tan="tan({0})", tanh="tanh({0})", trunc="trunc({0})", sinc="if {0} == 0 then 1 else sin(pi * {0}) / (if {0} == 0 then 1 else pi * {0})",
    frac="{0} - trunc({0})", deg2rad="{0} * (pi / 180)", rad2deg="{0} * (180 / pi)", positive="{0} + 0",
    nn__functional__relu="relu({0})", nn__functional__relu6="clamp({0}, 0, 6)", nn__functional__silu="silu({0})",
    nn__functional__mish="mish({0})", nn__functional__softsign="softsign({0})", nn__functional__logsigmoid="-softplus(-{0})",
    nn__functional__hardswish="{0} * hard_sigmoid({0})", nn__functional__hardsigmoid="hard_sigmoid({0})",
    nn__functional__tanhshrink="{0} - tanh({0})", nn__functional__selu="selu({0})",
    mul="{0} * {1}", pow="{0}^{1}", float_power="{0}^{1}", maximum="max({0}, {1})", minimum="min({0}, {1})",
    fmax="max({0}, {1})", fmin="min({0}, {1})", atan2="atan2({0}, {1})", hypot="sqrt({0}^2 + {1}^2)",
    copysign="if {1} < 0 then -abs({0}) else abs({0})", xlogy="{0} * log({1})", fmod="{0} - {1} * trunc({0} / {1})",
    remainder="mod({0}, {1})", logaddexp="max({0}, {1}) + log1p(exp(-abs({0} - {1})))",
    matmul="{0} @ {1}", mm="{0} @ {1}", bmm="{0} @ {1}", mv="{0} @ {1}", dot="dot({0}, {1})", 
    outer="reshape({0}, [-1, 1]) * {1}", ger="reshape({0}, [-1, 1]) * {1}", lerp="{0} + {2} * ({1} - {0})",
    __rsub__="{1} - {0}",
)
OPERATORS["rsub"] = lambda s: f"{s.t(1)} - {num(s.kw.get('alpha', 1))} * {s.t(0)}"
OPERATORS["add"] = lambda s: f"{s.t(0)} + {num(s.kw.get('alpha', 1))} * {s.t(1)}"
OPERATORS["sub"] = lambda s: f"{s.t(0)} - {num(s.kw.get('alpha', 1))} * {s.t(1)}"
OPERATORS["where"] = lambda s: f"if {s.t(1)} then {s.t(0)} else {s.t(2)}"
OPERATORS["addcmul"] = lambda s: f"{s.t(0)} + {num(s.kw.get('value', 1))} * {s.t(1)} * {s.t(2)}"
OPERATORS["addcdiv"] = lambda s: f"{s.t(0)} + {num(s.kw.get('value', 1))} * {s.t(1)} / {s.t(2)}"


@op("inner")
def inner(s):
    a, b = s.take(0).dim(), s.take(1).dim()
    if a == 0 or b == 0:
        return f"{s.t(0)} * {s.t(1)}"
    return f"{s.t(0)} @ {s.t(1)}" if b == 1 else f"{s.t(0)} @ transpose({s.t(1)})"


@op("div", "true_divide")
def div(s):
    how = s.kw.get("rounding_mode")
    q = f"{s.t(0)} / {s.t(1)}"
    return q if how is None else f"{how}({q})"


@op("addmm", "addmv", "addbmm", "baddbmm")
def addmm(s):
    b, a = num(s.kw.get("beta", 1)), num(s.kw.get("alpha", 1))
    p = f"({s.t(1)} @ {s.t(2)})"
    return f"{b} * {s.t(0)} + {a} * " + (f"sum({p}, axis = 0)" if s.op == "addbmm" else p)


@op("clamp", "clip")
def clamp(s):
    x = s.t(0)
    lo, hi = s.take(1, "min"), s.take(2, "max")
    if lo is not None:
        x = f"max({s.write(lo)}, {x})"
    return f"min({s.write(hi)}, {x})" if hi is not None else x


@op("nn.functional.elu", "nn.functional.celu")
def elu(s):
    a = num(s.kw.get("alpha", 1.0))
    x = s.t(0)
    return f"elu({x}, {a})" if s.op.endswith(".elu") else f"if {x} > 0 then {x} else {a} * expm1({x} / {a})"


@op("nn.functional.leaky_relu")
def leaky(s):
    return f"leaky_relu({s.t(0)}, {num(s.kw.get('negative_slope', 0.01))})"


@op("nn.functional.gelu")
def gelu(s):
    return f"{'gelu_tanh' if s.kw.get('approximate') == 'tanh' else 'gelu'}({s.t(0)})"


@op("nn.functional.softplus")
def softplus(s):
    b, h, x = s.kw.get("beta", 1), s.kw.get("threshold", 20), s.t(0)
    return f"if {num(b)} * {x} > {num(h)} then {x} else softplus({num(b)} * {x}) / {num(b)}"


@op("nn.functional.hardtanh")
def hardtanh(s):
    return f"clamp({s.t(0)}, {num(s.kw.get('min_val', -1))}, {num(s.kw.get('max_val', 1))})"


@op("nn.functional.threshold")
def threshold(s):
    return f"if {s.t(0)} > {num(s.take(1, 'threshold'))} then {s.t(0)} else {num(s.take(2, 'value'))}"


@op("nn.functional.softshrink", "nn.functional.hardshrink")
def shrink(s):
    b, x = num(s.take(1, "lambd", 0.5)), s.t(0)
    return f"soft_threshold({x}, {b})" if "soft" in s.op else f"if abs({x}) > {b} then {x} else 0"


@op("nn.functional.prelu")
def prelu(s):
    x, w, r = s.t(0), s.t(1), s.take(0).dim()
    if s.take(1).numel() > 1:
        w = f"reshape({w}, {lst([-1] + [1] * (r - 2))})"
    elif s.take(1).dim():
        w = f"{w}[0]"
    return f"leaky_relu({x}, {w})"


@op("nn.functional.glu")
def glu(s):
    d = s.take(1, "dim", -1) % s.take(0).dim()
    n = s.shape(0)[d] // 2
    return f"take({s.t(0)}, arange({n}), axis = {d}) * sigmoid(take({s.t(0)}, {n} + arange({n}), axis = {d}))"


# ---- reductions
def axes(s, k=1, name="dim"):
    d, r = s.take(k, name), s.take(0).dim()
    if d is None or (isinstance(d, (list, tuple)) and not d):
        return ""
    if r == 0:
        return ""
    d = [d] if isinstance(d, int) else list(d)
    return f", axis = {lst(d)}"


def keep(s):
    kept = s.kw.get("keepdim") or s.op == "norm" and s.take(3) is True
    return ", keep = true" if kept and s.take(0).dim() else ""


@op("sum", "mean", "prod", "amax", "amin", "logsumexp", "nanmean", "nansum")
def reduce(s):
    if s.kw.get("dtype") is not None or s.op.startswith("nan"):
        skip("another type of result")
    x, a, k = s.t(0), axes(s), keep(s)
    f = {"amax": "max", "amin": "min"}.get(s.op, s.op)
    if s.take(0).dim() == 0:
        return f"{x} + 0"
    if f == "logsumexp":
        m = s.let(f"stop_gradient(max({x}{a}, keep = true))")
        out = f"log(sum(exp({x} - {m}){a}, keep = true)) + {m}"
        return f"reshape({out}, {lst(s.result.shape)})"
    if f == "prod" and not a:
        return f"prod({x})"
    return f"{f}({x}{a}{k if a else ''})"


@op("var", "std")
def var(s):
    x = s.t(0)
    unbiased = s.take(2, "unbiased") if len(s.args) > 2 or "unbiased" in s.kw else None
    c = s.kw.get("correction", 1 if unbiased in (None, True) else 0)
    if isinstance(s.take(1), bool):
        c, s.args[1] = int(s.take(1)), None
    c = 1 if c is None else c
    a, k = axes(s), keep(s)
    n = s.take(0).numel() // max(s.result.numel(), 1)
    if n <= c or s.take(0).dim() == 0:
        skip("no degrees of freedom")
    text = f"var({x}{a}{k}) * {num(n / (n - c))}"
    return text if s.op == "var" else f"sqrt({text})"


@op("norm", "linalg.vector_norm")
def norm(s):
    p, x, a, k = s.take(1, "ord" if "linalg" in s.op else "p", 2), s.t(0), axes(s, 2), keep(s)
    if s.kw.get("dtype") is not None or s.take(0).dim() == 0:
        skip("another type of result")
    if s.op == "norm" and (isinstance(p, str) or a and len(np.atleast_1d(s.take(2, "dim"))) == 2):
        skip("a norm of matrices")
    if p == 2:
        return f"norm({x}{a}{k})"
    if p == float("inf"):
        return f"max(abs({x}){a}{k})"
    if p == -float("inf"):
        return f"min(abs({x}){a}{k})"
    if p == 0:
        return f"sum(if {x} != 0 then 1 else 0{a}{k})"
    return f"sum(abs({x})^{num(p)}{a}{k})^{num(1 / p)}"


@op("cumsum", "cumprod", "logcumsumexp")
def cumulative(s):
    if s.take(0).dim() == 0:
        return f"{s.t(0)} + 0"
    d = s.take(1, "dim") % s.take(0).dim()
    return f"{s.op}({s.t(0)}, axis = {d})" if s.op != "logcumsumexp" else skip("not in the library")


@op("softmax", "log_softmax", "nn.functional.softmin")
def softmax(s):
    if s.kw.get("dtype") is not None or s.take(0).dim() == 0:
        skip("another type of result")
    f = "log_softmax" if s.op == "log_softmax" else "softmax"
    x = f"-{s.t(0)}" if s.op.endswith("softmin") else s.t(0)
    return f"{f}({x}, axis = {s.take(1, 'dim')})"


# ---- shape and index
@op("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel", "reshape_as", "view_as")
def reshape(s):
    return f"reshape({s.t(0)}, {lst(s.result.shape)})" if s.result.dim() else f"sum({s.t(0)})"


@op("permute", "transpose", "swapaxes", "movedim", "t", "mT")
def permute(s):
    r = s.take(0).dim()
    order = torch.arange(s.take(0).numel()).reshape(s.take(0).shape)
    if s.op == "permute":
        p = [d % r for d in s.take(1)] if r else []
    elif s.op in ("transpose", "swapaxes"):
        p = list(range(r))
        if r:
            a, b = s.take(1) % r, s.take(2) % r
            p[a], p[b] = p[b], p[a]
    elif s.op == "movedim":
        p = list(torch.empty([k + 2 for k in range(r)]).movedim(*s.args[1:]).shape)
        p = [v - 2 for v in p]
    else:
        p = list(range(r))[::-1] if s.op == "t" else list(range(r - 2)) + [r - 1, r - 2]
    del order
    return f"transpose({s.t(0)}, {lst(p)})" if r else f"{s.t(0)} + 0"


@op("expand", "broadcast_to", "expand_as")
def expand(s):
    return f"broadcast({s.t(0)}, {lst(s.result.shape)})"


@op("cat", "concatenate", "stack")
def cat(s):
    parts = s.take(0)
    d = s.take(1, "dim", 0)
    names = [s.write(p) for p in parts]
    r = parts[0].dim()
    if s.op == "stack":
        d %= r + 1
        names = [f"unsqueeze({n}, {d})" for n in names]
        r += 1
    return f"concat({', '.join(names)}, axis = {d % r})"


@op("flip", "fliplr", "flipud")
def flip(s):
    out, r = s.t(0), s.take(0).dim()
    dims = {"fliplr": [1], "flipud": [0]}.get(s.op) or list(s.take(1, "dims"))
    for d in dims:
        out = f"reverse({out}, axis = {d % r})"
    return out


@op("roll")
def roll(s):
    shifts, dims, out = s.take(1, "shifts"), s.take(2, "dims"), s.t(0)
    if dims is None or dims == ():
        return f"reshape(roll(flatten({out}), {num(shifts if isinstance(shifts, int) else shifts[0])}), like = {out})"
    for n, d in zip(np.atleast_1d(shifts), np.atleast_1d(dims)):
        out = f"roll({out}, {int(n)}, {int(d) % s.take(0).dim()})"
    return out


@op("tile", "repeat")
def tile(s):
    n = list(s.take(1, "dims" if s.op == "tile" else "repeats"))
    r = s.take(0).dim()
    n = [1] * (r - len(n)) + n
    out = s.t(0)
    if len(n) > r:
        out = f"reshape({out}, {lst([1] * (len(n) - r) + s.shape(0))})"
    for d, k in enumerate(n):
        if k != 1:
            out = f"tile({out}, {k}, {d})"
    return out


@op("tril", "triu")
def tri(s):
    return f"{s.op}({s.t(0)}, {num(s.take(1, 'diagonal', 0))})"


@op("gather", "take_along_dim")
def gather(s):
    d = s.take(2 if s.op == "take_along_dim" else 1, "dim")
    i = s.take(1, "indices") if s.op == "take_along_dim" else s.take(2, "index")
    x = s.t(0)
    if d is None:
        return f"take(flatten({x}), flatten({s.write(i)}))"
    if s.take(0).dim() == 0 or i.dim() == 0:
        skip("an index of a number")
    d %= s.take(0).dim()
    for k, (n, m) in enumerate(zip(s.shape(0), i.shape)):
        if k != d and n != m:
            if m == 1 and s.op == "take_along_dim":
                continue
            if n == 1:
                continue
            x = f"{x}[{'.., ' * k}0 .. {m}]"
    at = s.write(i)
    if (i < 0).any():
        at = s.let(f"if {at} < 0 then {at} + {s.shape(0)[d]} else {at}")
    return f"take_along({x}, {at}, {d})"


@op("index_select")
def index_select(s):
    if s.take(0).dim() == 0:
        skip("an index of a number")
    i = s.take(2, "index")
    out = f"take({s.t(0)}, {s.write(i)}, axis = {s.take(1, 'dim') % s.take(0).dim()})"
    return out if i.dim() else f"reshape({out}, {lst(s.result.shape)})"


@op("scatter_add", "scatter")
def scatter(s):
    d, i, src = s.take(1, "dim"), s.take(2, "index"), s.take(3, "src")
    if s.kw.get("reduce") or not isinstance(src, torch.Tensor) or s.take(0).dim() == 0 or src.dim() == 0 or i.dim() == 0:
        skip("another form of scatter")
    d %= s.take(0).dim()
    if list(src.shape) != list(i.shape) or any(m != n for k, (n, m) in enumerate(zip(s.shape(0), i.shape)) if k != d):
        skip("a part of the lines")
    if s.op == "scatter":
        hit = [tuple(v) for v in np.argwhere(np.ones(i.shape))]
        flat = [v[:d] + (int(i[v]),) + v[d + 1:] for v in hit]
        if len(set(flat)) != len(flat):
            skip("which of several wins is not defined")
    f = "add_along" if s.op == "scatter_add" else "put_along"
    return f"{f}({s.t(0)}, {s.write(i)}, {s.write(src)}, {d})"


@op("topk", "sort")
def topk(s):
    if s.take(0).dim() == 0:
        skip("an order of a number")
    if s.op == "topk":
        k, d, large = s.take(1, "k"), s.take(2, "dim", -1), s.take(3, "largest", True)
        return f"top({s.t(0)}, {k}, {d}, {yes(large)})"
    return f"sort({s.t(0)}, {s.kw.get('dim', s.take(1) if isinstance(s.take(1), int) and not isinstance(s.take(1), bool) else -1)}, {yes(s.take(2, 'descending', False))})"


@op("max", "min")
def extreme(s):
    x = s.t(0)
    if isinstance(s.take(1), torch.Tensor):
        return f"{s.op}({x}, {s.t(1)})"
    if s.take(0).dim() == 0:
        return f"{x} + 0"
    if s.take(1, "dim") is None:
        return f"{s.op}({x})"
    return f"{s.op}({x}, axis = {s.take(1, 'dim')}{', keep = true' if s.take(2, 'keepdim') else ''})"


@op("einsum")
def einsum(s):
    eq = s.args[1]
    parts = s.args[0]
    return f'einsum("{eq}", {", ".join(s.write(p) for p in parts)})'


@op("trace")
def trace(s):
    if len(set(s.shape(0))) > 1:
        skip("a matrix that is not square")
    return f'einsum("ii->", {s.t(0)})'


@op("diff")
def diff(s):
    skip("not in the library")


# ---- layers
@op("nn.functional.linear")
def linear(s):
    out = f"{s.t(0)} @ transpose({s.t(1)})" if s.take(1).dim() == 2 else f"{s.t(0)} @ {s.t(1)}"
    return f"{out} + {s.t(2, 'bias')}" if s.has(2, "bias") else out


@op("nn.functional.bilinear")
def bilinear(s):
    out = f'einsum("...i,oij,...j->...o", {s.t(0)}, {s.t(2)}, {s.t(1)})'
    return f"{out} + {s.t(3, 'bias')}" if s.has(3, "bias") else out


def one(v, n):
    v = [v] * n if isinstance(v, int) else list(v)
    return v[0] if n == 1 and len(v) == 1 else (v if len(v) == n else v * n)


def text(v, n):
    v = one(v, n)
    return lst(v)


@op(*[f"nn.functional.conv{n}d" for n in (1, 2, 3)])
def conv(s):
    n = int(s.op[-2])
    stride, pad, dil, groups = s.take(3, "stride", 1), s.take(4, "padding", 0), s.take(5, "dilation", 1), s.take(6, "groups", 1)
    if pad == "valid":
        pad = 0
    if pad == "same":
        d = [dil] * n if isinstance(dil, int) else list(dil) * (n if len(dil) == 1 else 1)
        total = [(k - 1) * e for k, e in zip(s.shape(1)[2:], d)]
        pad = lst([[t // 2, t - t // 2] for t in total]) if n > 1 else lst([total[0] // 2, total[0] - total[0] // 2])
    else:
        pad = text(pad, n)
    out = f"conv{n}d({s.t(0)}, {s.t(1)}, stride = {text(stride, n)}, pad = {pad}, dilation = {text(dil, n)}, groups = {groups})"
    return f"{out} + reshape({s.t(2, 'bias')}, {lst([-1] + [1] * n)})" if s.has(2, "bias") else out


@op(*[f"nn.functional.conv_transpose{n}d" for n in (1, 2, 3)])
def conv_transpose(s):
    n = int(s.op[-2])
    stride, pad, extra = s.take(3, "stride", 1), s.take(4, "padding", 0), s.take(5, "output_padding", 0)
    groups, dil = s.take(6, "groups", 1), s.take(7, "dilation", 1)
    g = f", groups = {groups}"
    if n == 3:
        if groups != 1:
            skip("groups of a transposed convolution of volumes")
        g = ""
    out = (f"conv_transpose{n}d({s.t(0)}, {s.t(1)}, stride = {text(stride, n)}, pad = {text(pad, n)}, "
           f"extra = {text(extra, n)}, dilation = {text(dil, n)}{g})")
    return f"{out} + reshape({s.t(2, 'bias')}, {lst([-1] + [1] * n)})" if s.has(2, "bias") else out


@op(*[f"nn.functional.{k}_pool{n}d" for k in ("max", "avg") for n in (1, 2, 3)])
def pool(s):
    n = int(s.op[-2])
    k = s.take(1, "kernel_size")
    stride = s.take(2, "stride")
    stride = k if stride is None or stride == () else stride
    pad = s.take(3, "padding", 0)
    if "max" in s.op:
        args = f"dilation = {text(s.take(4, 'dilation', 1), n)}, ceil = {yes(s.take(5, 'ceil_mode', False))}"
        if s.kw.get("return_indices"):
            skip("places beside the values")
    else:
        args = f"ceil = {yes(s.take(4, 'ceil_mode', False))}, count_pad = {yes(s.take(5, 'count_include_pad', True))}"
        if s.take(6, "divisor_override") is not None:
            skip("a divisor of its own")
    f = f"{'max' if 'max' in s.op else 'avg'}_pool{n}d"
    return f"{f}({s.t(0)}, {text(k, n)}, stride = {text(stride, n)}, pad = {text(pad, n)}, {args})"


@op(*[f"nn.functional.adaptive_avg_pool{n}d" for n in (1, 2, 3)])
def adaptive(s):
    n = int(s.op[-2])
    if all(v == 1 for v in np.atleast_1d(s.take(1))):
        return f"mean({s.t(0)}, axis = {lst(range(-n, 0))}, keep = true)"
    skip("windows of several sizes")


@op("nn.functional.layer_norm", "nn.functional.rms_norm")
def layer_norm(s):
    shape, x = s.take(1, "normalized_shape"), s.t(0)
    a = lst(range(-len(shape), 0))
    eps = s.take(4, "eps", 1e-5) if "layer" in s.op else s.take(3, "eps")
    eps = num(np.finfo(np.float64).eps if eps is None else eps)
    if "layer" in s.op:
        out = f"({x} - mean({x}, axis = {a}, keep = true)) / sqrt(var({x}, axis = {a}, keep = true) + {eps})"
    else:
        out = f"{x} / sqrt(mean({x}^2, axis = {a}, keep = true) + {eps})"
    if s.has(2, "weight"):
        out = f"({out}) * {s.t(2, 'weight')}"
    return f"{out} + {s.t(3, 'bias')}" if "layer" in s.op and s.has(3, "bias") else out


def per_channel(s, n):
    return f"reshape({n}, {lst([-1] + [1] * (s.take(0).dim() - 2))})"


@op("nn.functional.group_norm")
def group_norm(s):
    g, shape, eps = s.take(1, "num_groups"), s.shape(0), num(s.take(4, "eps", 1e-5))
    t = s.let(f"reshape({s.t(0)}, {lst([shape[0], g, -1])})")
    out = (f"reshape(({t} - mean({t}, axis = -1, keep = true)) / sqrt(var({t}, axis = -1, keep = true) + {eps}), {lst(shape)})")
    if s.has(2, "weight"):
        out = f"{out} * {per_channel(s, s.t(2, 'weight'))}"
    return f"{out} + {per_channel(s, s.t(3, 'bias'))}" if s.has(3, "bias") else out


@op("nn.functional.batch_norm", "nn.functional.instance_norm")
def batch_norm(s):
    x, eps = s.t(0), num(s.kw.get("eps", 1e-5))
    batch = "batch" in s.op
    r = s.take(0).dim()
    a = lst([0] + list(range(2, r)) if batch else list(range(2, r)))
    training = s.kw.get("training", False) if batch else s.kw.get("use_input_stats", True)
    if training:
        m, v = f"mean({x}, axis = {a}, keep = true)", f"var({x}, axis = {a}, keep = true)"
    else:
        m, v = per_channel(s, s.t(1, "running_mean")), per_channel(s, s.t(2, "running_var"))
    out = f"({x} - {m}) / sqrt({v} + {eps})"
    if s.has(3, "weight"):
        out = f"({out}) * {per_channel(s, s.t(3, 'weight'))}"
    return f"{out} + {per_channel(s, s.t(4, 'bias'))}" if s.has(4, "bias") else out


@op("nn.functional.local_response_norm")
def lrn(s):
    n, x = s.take(1, "size"), s.t(0)
    a, b, k = s.take(2, "alpha", 1e-4), s.take(3, "beta", 0.75), s.take(4, "k", 1.0)
    pooled = f"sum_pool_along({x}^2, {n}, 1, [{n // 2}, {(n - 1) // 2}], axis = 1)"
    return f"{x} / ({num(k)} + {num(a / n)} * {pooled})^{num(b)}"


@op("nn.functional.normalize")
def normalize(s):
    p, d, e, x = s.kw.get("p", 2), s.kw.get("dim", 1), num(s.kw.get("eps", 1e-12)), s.t(0)
    if p in (0, float("inf"), -float("inf")) or s.take(0).dim() == 0:
        skip("another norm")
    n = f"norm({x}, axis = {d}, keep = true)" if p == 2 else f"sum(abs({x})^{num(p)}, axis = {d}, keep = true)^{num(1 / p)}"
    return f"{x} / max({e}, {n})"


@op("nn.functional.cosine_similarity")
def cosine(s):
    d, e = s.take(2, "dim", 1), num(s.take(3, "eps", 1e-8))
    if max(s.take(0).dim(), s.take(1).dim()) == 0:
        skip("numbers without axes")
    a, b = s.t(0), s.t(1)
    n = lambda x: f"max({e}, norm({x}, axis = {d}))"
    r = max(s.take(0).dim(), s.take(1).dim())
    full = list(torch.broadcast_shapes(s.take(0).shape, s.take(1).shape))
    a, b = s.let(f"broadcast({a}, {lst(full)})"), s.let(f"broadcast({b}, {lst(full)})")
    del r
    return f"sum({a} * {b}, axis = {d}) / ({n(a)} * {n(b)})"


@op("nn.functional.pairwise_distance")
def pairwise(s):
    p, e, k = s.kw.get("p", 2), num(s.kw.get("eps", 1e-6)), ", keep = true" if s.kw.get("keepdim") else ""
    if p != 2:
        skip("another norm")
    return f"norm({s.t(0)} - {s.t(1)} + {e}, axis = -1{k})"


@op("nn.functional.embedding")
def embedding(s):
    if s.kw.get("max_norm") is not None:
        skip("weights that change on the way")
    i, w = s.take(0), s.take(1)
    if s.kw.get("padding_idx") is not None or s.kw.get("scale_grad_by_freq"):
        skip("a derivative that is not the function's")
    if not isinstance(i, torch.Tensor) or i.is_floating_point():
        i, w = w, i
    return f"take({s.write(w)}, {s.write(i)})"


@op("nn.functional.pad")
def pad(s):
    p, mode = s.take(1, "pad"), s.take(2, "mode", "constant")
    widths = [[p[2 * k], p[2 * k + 1]] for k in range(len(p) // 2)][::-1]
    if mode == "constant":
        return f"pad({s.t(0)}, {lst(widths)}, value = {num(s.take(3, 'value', 0) or 0)})"
    return f'pad({s.t(0)}, {lst(widths)}, mode = "{dict(reflect="reflect", replicate="edge", circular="wrap")[mode]}")'


OPERATORS["nn.functional.pad-variants"] = pad


@op("nn.functional.interpolate", "nn.functional.upsample_nearest", "nn.functional.upsample_bilinear")
def interpolate(s):
    mode = s.kw.get("mode", "bilinear" if "bilinear" in s.op else "nearest")
    corners = bool(s.take(None, "align_corners", "bilinear" in s.op and "upsample" in s.op))
    if s.kw.get("antialias") or mode == "area":
        skip("another kind of interpolation")
    out, factor = s.t(0), s.kw.get("scale_factor")
    same = s.kw.get("recompute_scale_factor")
    for k in range(2, s.take(0).dim()):
        n, m = s.shape(0)[k], s.result.shape[k]
        f = factor if isinstance(factor, (int, float)) or factor is None else factor[k - 2]
        ratio = n / m if f is None or same else 1 / f
        y = f"arange({m})"
        if mode.startswith("nearest"):
            at = f"floor({y} * {num(ratio)})" if mode == "nearest" else f"floor(({y} + 0.5) * {num(ratio)})"
            matrix = f"picking({at}, {n})"
        else:
            at = f"{y} * {num((n - 1) / (m - 1) if m > 1 else 0)}" if corners else f"({y} + 0.5) * {num(ratio)} - 0.5"
            if mode != "bicubic" and not corners:
                at = f"max({at}, 0)"
            kernel = "cubic" if mode == "bicubic" else "linear"
            matrix = f'interpolation({at}, {n}, "{kernel}")'
        out = f"along({matrix}, {out}, {k})"
    return out


@op("nn.functional.pixel_shuffle", "nn.functional.pixel_unshuffle")
def shuffle(s):
    r, shape = s.take(1, "downscale_factor" if s.op.endswith("unshuffle") else "upscale_factor"), s.shape(0)
    lead, (c, h, w) = shape[:-3], shape[-3:]
    n = len(lead)
    if s.op.endswith("unshuffle"):
        first, order = [c, h // r, r, w // r, r], [0, 2, 4, 1, 3]
    else:
        first, order = [c // r ** 2, r, r, h, w], [0, 3, 1, 4, 2]
    order = list(range(n)) + [n + k for k in order]
    return f"reshape(transpose(reshape({s.t(0)}, {lst(lead + first)}), {lst(order)}), {lst(s.result.shape)})"


@op("nn.functional.scaled_dot_product_attention")
def attention(s):
    q, k, v = s.t(0), s.t(1), s.t(2)
    if s.kw.get("dropout_p", 0):
        skip("draws of another generator")
    t, n = s.shape(0)[-2], s.shape(1)[-2]
    if s.kw.get("enable_gqa"):
        h = s.shape(0)[-3] // s.shape(1)[-3]
        k, v = f"repeat({k}, {h}, -3)", f"repeat({v}, {h}, -3)"
    scale = s.kw.get("scale")
    given = f", {num(scale)}" if scale is not None else ""
    masks, mask = [], s.take(3, "attn_mask")
    if mask is not None:
        m = s.write(mask)
        masks.append(f"(if {m} then 0 else -inf)" if mask.dtype == torch.bool else m)
    if s.kw.get("is_causal"):
        masks.append(f"(if arange({n}) <= reshape(arange({t}), [{t}, 1]) then 0 else -inf)")
    return f"attention({q}, {k}, {v}{given}{', mask = ' + ' + '.join(masks) if masks else ''})"


# ---- losses
def reduced(s, each, weight=None):
    how = s.kw.get("reduction", "mean")
    if s.kw.get("size_average") is not None or s.kw.get("reduce") is not None:
        skip("options that are no longer used")
    if how == "mean" and weight:
        return f"sum({each}) / sum({weight})"
    return {"none": each, "sum": f"sum({each})", "mean": f"mean({each})"}[how]


@op("nn.functional.mse_loss", "nn.functional.l1_loss", "nn.functional.smooth_l1_loss", "nn.functional.huber_loss")
def regression(s):
    d = s.let(f"{s.t(0)} - {s.t(1)}")
    if "mse" in s.op:
        each = f"{d}^2"
    elif "l1_loss" in s.op and "smooth" not in s.op:
        each = f"abs({d})"
    else:
        b = s.kw.get("beta", s.kw.get("delta", 1.0))
        if b == 0:
            each = f"abs({d})"
        else:
            each = f"if abs({d}) < {num(b)} then 0.5 * {d}^2 / {num(b)} else abs({d}) - {num(b / 2)}"
            each = f"{num(b)} * ({each})" if "huber" in s.op else each
    return reduced(s, s.let(each))


@op("nn.functional.binary_cross_entropy", "nn.functional.binary_cross_entropy_with_logits")
def bce(s):
    x, t = s.t(0), s.t(1)
    if "logits" in s.op:
        p = s.t(None, "pos_weight") if s.kw.get("pos_weight") is not None else "1"
        each = f"{p} * {t} * softplus(-{x}) + (1 - {t}) * softplus({x})"
    else:
        each = f"-({t} * max(log({x}), -100) + (1 - {t}) * max(log(1 - {x}), -100))"
    if s.kw.get("weight") is not None:
        each = f"{s.t(None, 'weight')} * ({each})"
    return reduced(s, s.let(each))


@op("nn.functional.kl_div")
def kl(s):
    x, t = s.t(0), s.t(1)
    each = s.let(f"exp({t}) * ({t} - {x})" if s.kw.get("log_target") else f"(if {t} > 0 then {t} * log(if {t} > 0 then {t} else 1) else 0) - {t} * {x}")
    if s.kw.get("reduction") == "batchmean":
        return f"sum({each}) / {s.shape(0)[0] if s.take(0).dim() else 1}"
    return reduced(s, each)


@op("nn.functional.soft_margin_loss", "nn.functional.hinge_embedding_loss")
def margin(s):
    x, t = s.t(0), s.t(1)
    if "soft" in s.op:
        return reduced(s, s.let(f"softplus(-{t} * {x})"))
    m = num(s.kw.get("margin", 1.0))
    return reduced(s, s.let(f"(if {t} != 1 then max(0, {m} - {x}) else 0) + (if {t} != -1 then {x} else 0)"))


@op("nn.functional.poisson_nll_loss")
def poisson(s):
    x, t = s.t(0), s.t(1)
    if s.kw.get("full"):
        skip("Stirling's term")
    each = f"exp({x}) - {t} * {x}" if s.kw.get("log_input", True) else f"{x} - {t} * log({x} + {num(s.kw.get('eps', 1e-8))})"
    return reduced(s, s.let(each))


@op("nn.functional.gaussian_nll_loss")
def gaussian(s):
    x, t, v = s.t(0), s.t(1), s.t(2)
    if s.kw.get("full") or list(s.take(2).shape) != s.shape(0):
        skip("a constant term, or variances of another shape")
    v = s.let(f"stop_gradient(max({num(s.kw.get('eps', 1e-6))}, {v})) + {v} - stop_gradient({v})")
    return reduced(s, s.let(f"0.5 * (log({v}) + ({x} - {t})^2 / {v})"))


@op("nn.functional.nll_loss", "nn.functional.cross_entropy")
def nll(s):
    x, t = s.t(0), s.take(1)
    r = s.take(0).dim()
    axis = 0 if r == 1 else 1
    ce = s.op.endswith("cross_entropy")
    logp = s.let(f"log_softmax({x}, axis = {axis})") if ce else x
    w = s.take(2, "weight")
    smooth, ignore = s.kw.get("label_smoothing", 0.0), s.kw.get("ignore_index", -100)
    classes = s.shape(0)[axis]
    wide = lst([classes] + [1] * (r - axis - 1))
    if t.is_floating_point():
        wt = f"reshape({s.write(w)}, {wide}) * " if w is not None else ""
        target = s.write(t)
        if smooth:
            target = f"({num(1 - smooth)} * {target} + {num(smooth / classes)})"
        each = s.let(f"-sum({wt}{target} * {logp}, axis = {axis})")
        if s.kw.get("reduction", "mean") == "mean":
            return f"sum({each}) / {int(np.prod(s.shape(0)) // classes)}"
        return reduced(s, each)
    i = s.write(t)
    kept = s.let(f"{i} != {ignore}")
    safe = s.let(f"if {kept} then {i} else 0")
    wt = f"take({s.write(w)}, {safe})" if w is not None else f"(0 * {i} + 1)"
    wt = s.let(f"if {kept} then {wt} else 0")
    if r == 1:
        each = f"-{wt} * {logp}[{safe}]"
    else:
        each = f"-{wt} * squeeze(take_along({logp}, unsqueeze({safe}, 1), 1), 1)"
    if smooth:
        ws = f"reshape({s.write(w)}, {wide}) * " if w is not None else ""
        all_ = f"-sum({ws}{logp}, axis = {axis})"
        each = f"{num(1 - smooth)} * ({each}) + {num(smooth / classes)} * (if {kept} then {all_} else 0)"
    return reduced(s, s.let(each), wt)


def model(name, s, expr, result, cotangent, grads, second=None):
    ins = s.tensors
    body = [f"architecture {name} {{"]
    body += [f"  input {n}: real{lst(v.shape) if v.dim() else ''}" for n, v in ins.items()]
    body += [f"  input v: real{lst(result.shape) if result.dim() else ''}"]
    body += [f"  {let}" for let in s.lets] + [f"  output y = {expr}"]
    body += [f"  output d_{n} = gradient(sum(v * ({expr})), {n})" for n in grads]
    if second:
        n, u, _ = second
        body += [f"  input u: real{lst(u.shape) if u.dim() else ''}"]
        body += [f"  output second = gradient(sum(u * gradient(sum(v * ({expr})), {n})), {n})"]
    body += ["}"]
    fields = ", ".join(f"{n} = [c.{n}, c.{n}]" for n in [*ins, "v", *(["u"] if second else [])])
    close = f"rtol = {num(RTOL)}, atol = {num(ATOL)}"
    lines = [f"let net = {name}()", f"data both = table({fields})"]
    for n in ["y", *(f"d_{n}" for n in grads), *(["second"] if second else [])]:
        lines += [f"report {n} = collect(net.{n} on both)", f"expect all_close({n}, [c.{n}, c.{n}], {close})"]
    arrays = {n: s.before.get(id(v), v.detach()).numpy() for n, v in ins.items()}
    arrays |= {"v": cotangent.numpy(), "y": result.detach().numpy()} | {f"d_{n}": g.numpy(force=True) for n, g in grads.items()}
    if second:
        arrays |= {"u": second[1].numpy(), "second": (second[2] + 0).numpy(force=True)}
    return "\n".join(body), "f64", lines, arrays


def case(info, sample, name):
    s = Sample(info.name, sample)
    # Running statistics change while the operator is called.
    s.before = {id(a): a.detach().clone() for a in [*s.args, *s.kw.values()] if isinstance(a, torch.Tensor)}
    result = info.op(sample.input, *sample.args, **sample.kwargs)
    if isinstance(result, (tuple, list)):
        result = result[0]
    if result.numel() == 0:
        skip("an array without elements")
    if result.dtype != torch.float64:
        skip("numbers of another kind")
    s.result = result
    expr = OPERATORS[info.name](s)
    v = torch.randn(result.shape, dtype=result.dtype, generator=torch.Generator().manual_seed(0))
    by = {n: x for n, x in s.tensors.items() if x.requires_grad}
    found = {}
    if by and result.requires_grad:
        g = torch.autograd.grad(result, list(by.values()), v, allow_unused=True, retain_graph=True)
        found = {n: d if d is not None else torch.zeros_like(by[n]) for n, d in zip(by, g)}
    second = second_derivative(info, s, result, v, by) if found else None
    if any(not torch.isfinite(d).all() for d in [result, *found.values()]):
        skip("a value that is not finite")
    return model(name, s, expr, result, v, found, second), len(found)


def second_derivative(info, s, result, v, by):
    """The derivative by the first input x of `sum(u * d)`, d that of `sum(v * output)` by x, with a seeded u."""
    n, x = next(iter(by.items()))
    if not info.supports_gradgrad:
        return None
    try:
        d = torch.autograd.grad(result, x, v, create_graph=True, allow_unused=True)[0]
        if d is None or not d.requires_grad:
            return None
        u = torch.randn(d.shape, dtype=d.dtype, generator=torch.Generator().manual_seed(1))
        dd = torch.autograd.grad(d, x, u, allow_unused=True)[0]
    except (RuntimeError, NotImplementedError):
        return None
    dd = torch.zeros_like(x) if dd is None else dd.detach()
    return (n, u, dd) if torch.isfinite(dd).all() else None


def main(out, most=None):
    from torch.testing._internal.common_methods_invocations import op_db

    writer = Writer(out, most)
    derivatives = 0
    for info in op_db:
        if info.name not in OPERATORS or info.variant_test_name:
            continue
        short = info.name.replace("nn.functional.", "").replace(".", "_").strip("_")
        torch.manual_seed(0)
        samples = list(info.sample_inputs("cpu", torch.float64, requires_grad=info.supports_autograd))
        step = max(1, len(samples) // MOST)
        order = [*range(0, len(samples), step), *(k for k in range(len(samples)) if k % step)]
        count = 0
        for k in order:
            if count >= MOST:
                break
            name = f"{short}_{k}"
            try:
                if name in EXCLUDED:
                    raise Skip(EXCLUDED[name])
                parts, grads = case(info, samples[k], camel(name))
                written = writer.add(short, name, *parts)
            except Skip as why:
                writer.skip(info.name, name, why)
                continue
            derivatives += written and grads > 0
            count += 1
    writer.report["derivatives"] = derivatives
    writer.write()
    print(f"{derivatives} of them with derivatives")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
