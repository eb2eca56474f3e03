"""Expressions that are printed as NNM and evaluated by numpy: nested tuples, numbers in declared units, times in ms.

('n', 1.5) ('v', name) ('next', name) ('t',) ('dt',) ('b', op, a, b) ('c', fn, *args) ('if', c, a, b) ('ix', a, k)
('red', fn, a) ('u', fn, *args) ('neg', a); of arrays the axis of the elements is the first.
"""
import numpy as np

SP = {
    'tanh': np.tanh, 'sin': np.sin, 'cos': np.cos, 'exp': np.exp, 'abs': np.abs, 'sqrt': np.sqrt,
    'floor': np.floor, 'ceil': np.ceil, 'sign': np.sign, 'round': np.round, 'trunc': np.trunc,
    'atan': np.arctan, 'log1p': np.log1p, 'expm1': np.expm1, 'sinh': np.sinh,
    'sigmoid': lambda x: 1 / (1 + np.exp(-x)), 'softplus': lambda x: np.logaddexp(0, x),
    'min': np.minimum, 'max': np.maximum, 'mod': lambda a, b: a - b * np.floor(a / b),
    'clamp': lambda x, a, b: np.minimum(np.maximum(x, a), b), 'atan2': np.arctan2,
}
RED = {
    'sum': lambda x: x.sum(0), 'mean': lambda x: x.mean(0), 'max': lambda x: x.max(0), 'min': lambda x: x.min(0),
    'norm': lambda x: np.sqrt((x * x).sum(0)), 'prod': lambda x: x.prod(0), 'argmax': lambda x: x.argmax(0) * 1.0,
    'std': lambda x: x.std(0), 'var': lambda x: x.var(0),
}
REDA = {
    'cumsum': lambda x: x.cumsum(0), 'softmax': lambda x: np.exp(x - x.max(0)) / np.exp(x - x.max(0)).sum(0),
    'reverse': lambda x: x[::-1],
}
BIN = {
    '+': np.add, '-': np.subtract, '*': np.multiply, '/': np.divide, '^': np.power,
    '<': np.less, '>': np.greater, '<=': np.less_equal, '>=': np.greater_equal, '==': np.equal, '!=': np.not_equal,
    'and': np.logical_and, 'or': np.logical_or,
}


def num(x):
    if isinstance(x, bool):
        return 'true' if x else 'false'
    s = repr(float(x))
    if s.endswith('.0'):
        s = s[:-2]
    return f'(-{s[1:]})' if s.startswith('-') else s


def quantity(x, unit):
    """A literal number with its unit."""
    s = repr(float(x))
    if s.endswith('.0'):
        s = s[:-2]
    return f'{s} {unit}' if unit else s


def show(e, units):
    """The text of an expression; names in `units` are made plain numbers by a division."""
    k = e[0]
    s = lambda x: show(x, units)
    if k == 'n':
        return num(e[1])
    if k == 'v':
        return f'({e[1]} / (1 {units[e[1]]}))' if units.get(e[1]) else e[1]
    if k == 'next':
        return f'(next {e[1]} / (1 {units[e[1]]}))' if units.get(e[1]) else f'(next {e[1]})'
    if k == 't':
        return '(t / (1 ms))'
    if k == 'dt':
        return '(dt / (1 ms))'
    if k == 'b':
        return f'({s(e[2])} {e[1]} {s(e[3])})'
    if k == 'neg':
        return f'(-{s(e[1])})'
    if k == 'not':
        return f'(not {s(e[1])})'
    if k in ('c', 'u'):
        return f'{e[1]}({", ".join(s(a) for a in e[2:])})'
    if k == 'if':
        return f'(if {s(e[1])} then {s(e[2])} else {s(e[3])})'
    if k == 'ix':
        return f'{s(e[1])}[{e[2]}]' if e[1][0] == 'v' and not units.get(e[1][1]) else f'({s(e[1])})[{e[2]}]'
    if k in ('red', 'reda'):
        return f'{e[1]}({s(e[2])})'
    raise ValueError(e)


def ev(e, get, fns):
    """The value; `get(kind, name)` knows names."""
    k = e[0]
    g = lambda x: ev(x, get, fns)
    if k == 'n':
        return np.float64(e[1])
    if k in ('v', 'next'):
        return get(k, e[1])
    if k in ('t', 'dt'):
        return get(k, k)
    if k == 'b':
        with np.errstate(all='ignore'):
            return BIN[e[1]](g(e[2]), g(e[3]))
    if k == 'neg':
        return -g(e[1])
    if k == 'not':
        return np.logical_not(g(e[1]))
    if k == 'c':
        with np.errstate(all='ignore'):
            return SP[e[1]](*[g(a) for a in e[2:]])
    if k == 'u':
        fn = fns[e[1]]
        env = dict(zip(fn.args, [g(a) for a in e[2:]]))
        inner = lambda kind, name: env[name]
        for name, body in fn.lets:
            env[name] = ev(body, inner, fns)
        return ev(fn.body, inner, fns)
    if k == 'if':
        return np.where(g(e[1]), g(e[2]), g(e[3]))
    if k == 'ix':
        return g(e[1])[e[2]]
    if k == 'red':
        return RED[e[1]](np.asarray(g(e[2])))
    if k == 'reda':
        return REDA[e[1]](np.asarray(g(e[2])))
    raise ValueError(e)


def names(e, out=None):
    """All names that an expression reads."""
    out = set() if out is None else out
    if e[0] in ('v', 'next'):
        out.add(e[1])
    for a in e[1:]:
        if isinstance(a, tuple):
            names(a, out)
    return out


def inlined(e, fns):
    """The expression with functions opened: of what they take, only that which they read is left."""
    if not isinstance(e, tuple):
        return e
    if e[0] != 'u':
        return tuple(inlined(a, fns) for a in e)
    fn = fns[e[1]]
    env = dict(zip(fn.args, [inlined(a, fns) for a in e[2:]]))
    for name, body in fn.lets:
        env[name] = replaced(inlined(body, fns), env)
    return replaced(inlined(fn.body, fns), env)


def replaced(e, env):
    if not isinstance(e, tuple):
        return e
    if e[0] == 'v' and e[1] in env:
        return env[e[1]]
    return tuple(replaced(a, env) for a in e)
