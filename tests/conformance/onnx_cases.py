"""Writes ONNX's own test cases for single operators as NNM models with their data.

    pip install onnx==1.23.2
    python onnx_cases.py OUT            # a file of models and one of arrays for each operator
    python onnx_cases.py OUT 2000       # only cases of at most 2000 bytes of arrays
    nnmc test OUT                       # machine code; `--backend interp` the evaluator that checks every access

Each case becomes an experiment: the operator, its attributes and its shapes as an expression of the language, its inputs and
outputs as arrays beside it, its tolerance as an `expect`. The expression is evaluated twice: compiled, for a batch of two
samples, and by the evaluator of expressions.
"""
import re
import sys

import numpy as np

from cases import Skip, Writer, camel, lst, num
from onnx_operators import OPERATORS, recurrent_model

DTYPES = {np.dtype(t) for t in ("float32", "float64", "int32", "int64", "bool")}


# Cases that are known not to hold, and why.
EXCLUDED = dict.fromkeys(
    ["bitshift_left_int32_negative_shift", "bitshift_left_int32_overflow", "bitshift_left_int32_shift_ge_width",
     "bitshift_right_int32_negative_shift"], "whole numbers have no width here: nothing is shifted out of them",
) | dict.fromkeys(
    ["mod_float_edge_cases_fmod_0_float32", "mod_float_edge_cases_fmod_0_float64"],
    "`mod(a, b)` is `a - b * floor(a / b)`, which has no value for an infinite b",
)


class Case:
    """One node with its values: names of the inputs as the model calls them."""

    def __init__(self, onnx, case):
        self.name, self.rtol, self.atol = case.name, case.rtol, case.atol
        node = case.model.graph.node[0]
        self.op, self.domain = node.op_type, node.domain
        self.attr = {}
        for a in node.attribute:
            if a.type == onnx.AttributeProto.GRAPH or a.type == onnx.AttributeProto.GRAPHS:
                raise Skip("a graph inside of the node")
            v = onnx.helper.get_attribute_value(a)
            if isinstance(v, bytes):
                v = v.decode()
            if isinstance(v, list) and v and isinstance(v[0], bytes):
                v = [x.decode() for x in v]
            if a.type == onnx.AttributeProto.TENSOR:
                v = onnx.numpy_helper.to_array(v)
            self.attr[a.name] = v
        inputs, outputs = case.data_sets[0]
        names = [i.name for i in case.model.graph.input]
        by_name = dict(zip(names, map(np.asarray, inputs)))
        out_names = [o.name for o in case.model.graph.output]
        by_out = dict(zip(out_names, map(np.asarray, outputs)))
        self.inputs = [by_name.get(n) if n else None for n in node.input]
        self.outputs = [by_out.get(n) if n else None for n in node.output]
        opset = [o.version for o in case.model.opset_import if o.domain in ("", "ai.onnx")]
        self.opset = opset[0] if opset else 0
        self.used = {}
        self.lets = []
        self.weights = set()

    def has(self, k):
        return k < len(self.inputs) and self.inputs[k] is not None

    def x(self, k):
        """An input of the model."""
        if not self.has(k):
            raise Skip(f"input {k} is missing")
        self.used[k] = f"x{k}"
        return f"x{k}"

    def v(self, k):
        """An input whose value is part of the model, as an attribute is."""
        return self.inputs[k]

    def dims(self, k):
        return list(self.inputs[k].shape)

    def rank(self, k):
        return self.inputs[k].ndim

    def get(self, name, default=None):
        return self.attr.get(name, default)

    def let(self, expr):
        """A name for an expression."""
        name = f"t{len(self.lets)}"
        self.lets.append(f"let {name} = {expr}")
        return name


def kind(arrays):
    exact = any(a.dtype != np.float32 for a in arrays if a.dtype not in (np.dtype(bool),))
    return "f64" if exact else "f32"


def shape_text(shape):
    return "real" + (lst(shape) if len(shape) else "")


def model(case, exprs, name):
    """Declarations, precision, statements and arrays of a case."""
    ins = {f"x{k}": case.inputs[k] for k in sorted(case.used)}
    there = [k for k, a in enumerate(case.outputs) if a is not None]
    wanted = [(k, e) for k, e in enumerate(exprs) if e is not None and k in there]
    if not wanted:
        raise Skip("no output is translated")
    body = [f"architecture {name} {{"]
    body += [f"  input {n}: {shape_text(a.shape)}" for n, a in ins.items() if n not in case.weights]
    body += [f"  weight {n}: {shape_text(a.shape)} = 0" for n, a in ins.items() if n in case.weights]
    body += [f"  {let}" for let in case.lets]
    body += [f"  output y{k} = {e}" for k, e in wanted] + ["}"]
    lines = [f"let net = {name}()"]
    lines += [f"set net.{n} = c.{n}" for n in ins if n in case.weights]
    given = [n for n in ins if n not in case.weights]
    fields = ", ".join(f"{n} = [c.{n}, c.{n}]" for n in given) or "x = [0, 0]"
    lines += [f"data both = table({fields})"]
    close = f"rtol = {num(case.rtol)}, atol = {num(case.atol)}"
    for k, _ in wanted:
        lines += [f"report y{k} = collect(net.y{k} on both)", f"expect all_close(y{k}, [c.y{k}, c.y{k}], {close})"]
    if wanted[0][0] == 0 and given:
        lines += [f"expect all_close(net({', '.join('c.' + n for n in given)}), c.y0, {close})"]
    arrays = ins | {f"y{k}": case.outputs[k] for k, _ in wanted}
    return "\n".join(body), kind([a for a in case.inputs if a is not None]), lines, arrays


def collected():
    import warnings

    np.random.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import onnx
        from onnx.backend.test.case.node import collect_testcases

        return onnx, collect_testcases(None)


def plain(case):
    """One node, numbers of a kind that we have."""
    if len(case.model.graph.node) != 1:
        return False
    for a in list(case.data_sets[0][0]) + list(case.data_sets[0][1]):
        if not (isinstance(a, np.ndarray) or np.isscalar(a)) or np.asarray(a).dtype not in DTYPES:
            return False
    return True


def main(out, most=None):
    writer = Writer(out, most)
    onnx, cases = collected()
    for raw in cases:
        op = raw.model.graph.node[0].op_type
        if op not in OPERATORS or not plain(raw):
            continue
        name = re.sub("_+", "_", raw.name.removeprefix("test_"))
        try:
            if name in EXCLUDED:
                raise Skip(EXCLUDED[name])
            case = Case(onnx, raw)
            exprs = OPERATORS[op](case)
            if exprs is case:
                parts = recurrent_model(case, camel(name))
            else:
                parts = model(case, [exprs] if isinstance(exprs, str) else list(exprs), camel(name))
            writer.add(op, name, *parts)
        except Skip as why:
            writer.skip(op, raw.name, why)
    writer.write()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
