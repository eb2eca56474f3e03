"""What the exporters share: numbers as the language writes them, and a file of models with its data for each operator."""
import json
import os
import re

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
STD = os.path.join(HERE, "..", "..", "stdlib", "std")


class Skip(Exception):
    """Why a case is not written."""


def num(v):
    """A number as the language writes it."""
    v = float(v)
    if np.isnan(v):
        return "(inf - inf)"
    if np.isinf(v):
        return "inf" if v > 0 else "-inf"
    return repr(int(v)) if v == int(v) and abs(v) < 1e15 else repr(v)


def lst(v):
    """A list, however deep."""
    v = np.asarray(v)
    return num(v) if v.ndim == 0 else "[" + ", ".join(lst(x) for x in v) + "]"


def yes(v):
    return "true" if v else "false"


def names_of(path):
    """The functions that a module of the library declares."""
    with open(path) as f:
        return [line[3:].split("(")[0] for line in f if line.startswith("fn ")]


def uses(body, library):
    words = set(re.findall(r"[A-Za-z_][A-Za-z_0-9]*(?=\()", body))
    out = []
    for module, names in library.items():
        here = sorted(words & set(names))
        if here:
            out.append(f"use {module}.{{{', '.join(here)}}}")
            words -= set(here)
    return "\n".join(out) + ("\n\n" if out else "")


def camel(name):
    return "".join(w[:1].upper() + w[1:] for w in re.split(r"[^A-Za-z0-9]+", name))


class Writer:
    """Collects cases by operator; with `most`, only those of at most so many bytes of arrays."""

    def __init__(self, out, most=None):
        self.out, self.most = out, most
        self.cases, self.report = {}, {"written": {}, "skipped": {}}
        self.library = {f"std.{m}": names_of(os.path.join(STD, m + ".nnm")) for m in ("tensors", "functions")}

    def skip(self, operator, case, why):
        self.report["skipped"].setdefault(operator, []).append([case, str(why)])

    def add(self, operator, case, body, precision, lines, arrays):
        if any(0 in np.shape(a) for a in arrays.values()):
            raise Skip("an array without elements")
        if self.most and sum(np.asarray(a).nbytes for a in arrays.values()) > self.most:
            return False
        self.cases.setdefault(operator, []).append((case, body, precision, lines, arrays))
        self.report["written"].setdefault(operator, []).append(case)
        return True

    def write(self):
        os.makedirs(self.out, exist_ok=True)
        for operator, cases in self.cases.items():
            name = re.sub(r"[^a-z0-9]+", "_", operator.lower()).strip("_")
            bodies, data = [], {}
            for case, body, precision, lines, arrays in cases:
                bodies.append(body)
                data |= {f"{case}_{n}": a for n, a in arrays.items()}
                lines = [f"precision {precision}", f'data c = npz("{name}.npz")', *lines]
                lines = [re.sub(r"\bc\.(\w+)", rf"c.{case}_\1", l) for l in lines]
                bodies.append(f"experiment case_{case} {{\n" + "".join(f"  {l}\n" for l in lines) + "}")
            text = "\n\n".join(bodies)
            with open(os.path.join(self.out, name + ".nnm"), "w") as f:
                f.write(f"//! {operator}: cases of another implementation.\n" + uses(text, self.library) + text + "\n")
            np.savez_compressed(os.path.join(self.out, name + ".npz"), **data)
        if not self.most:
            with open(os.path.join(self.out, "cases.json"), "w") as f:
                json.dump(self.report, f, indent=1)
        written = sum(map(len, self.report["written"].values()))
        skipped = sum(map(len, self.report["skipped"].values()))
        print(f"{written} cases of {len(self.cases)} operators in {self.out}, {skipped} not written")
