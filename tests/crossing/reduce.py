"""Makes a model that differs small: whatever can go, goes, as long as a difference stays."""
import copy, time
from expr import names


def places(e, path=()):
    yield path, e
    for k, a in enumerate(e):
        if isinstance(a, tuple) and a and isinstance(a[0], str):
            yield from places(a, path + (k,))


def put(e, path, new):
    if not path:
        return new
    return e[:path[0]] + (put(e[path[0]], path[1:], new),) + e[path[0] + 1:]


BOOL = {'<', '>', '<=', '>=', '==', '!=', 'and', 'or'}


def smaller(e):
    """Simpler expressions of the same kind."""
    if e is None or not isinstance(e, tuple):
        return
    for path, s in places(e):
        if s[0] == 'n' or (s[0] == 'b' and s[1] in BOOL) or s[0] == 'not':
            continue
        for a in s[1:]:
            if isinstance(a, tuple) and a and isinstance(a[0], str) and not (a[0] == 'not' or a[0] == 'b' and a[1] in BOOL):
                yield put(e, path, a)
        if s[0] not in ('v', 'next') or True:
            yield put(e, path, ('n', 0.5))


def slots(m):
    """(container, key, what) of all that may go or become simpler."""
    for mod in m.modules.values():
        for lst in (mod.conns, mod.pops, mod.parts):
            for x in list(lst):
                yield 'drop', lst, x
        for c in mod.conns:
            yield 'set', c, ('delay', None)
            yield 'set', c, ('src_slice', None)
            yield 'set', c, ('dst_slice', None)
            yield 'set', c, ('pattern', ('all',))
            yield 'set', c, ('syn', 'Direct')
            for k in list(c.args):
                yield 'pop', c.args, k
                yield 'key', c.args, (k, ('n', 0.5))
            if c.delay:
                yield 'set', c, ('delay', (('n', 1), None, False))
                yield 'set', c, ('delay', (c.delay[0], None, False))
        for p in mod.pops:
            if not p.source:
                for k in list(p.args):
                    yield 'pop', p.args, k
                if p.n > 3:
                    yield 'shrink', p, p.n // 2
                if p.n > 1:
                    yield 'shrink', p, 1
    for piece in m.pieces:
        for lst in (piece.stims, piece.sets, piece.learn):
            for x in list(lst):
                yield 'drop', lst, x
        if piece.steps > 2:
            yield 'set', piece, ('steps', piece.steps // 2)
            yield 'set', piece, ('steps', piece.steps - 1)
    if len(m.pieces) > 1:
        for x in list(m.pieces):
            yield 'drop', m.pieces, x
    for n in m.neurons.values():
        for lst in (n.blocks, n.lets, n.outputs, n.states, n.params, n.ports):
            for x in list(lst):
                yield 'drop', lst, x
        for d in (n.odes, n.nexts):
            for k in list(d):
                yield 'pop', d, k
                for e in smaller(d[k]):
                    yield 'key', d, (k, e)
        for lst in (n.lets, n.outputs):
            for i, (a, e) in enumerate(lst):
                for s in smaller(e):
                    yield 'key', lst, (i, (a, s))
        for b in n.blocks:
            yield from statements(b.body)
            if isinstance(b.head, tuple) and b.head[0] != 'crosses':
                for s in smaller(b.head):
                    yield 'set', b, ('head', s)
        yield 'set', n, ('solve', None)
        for q in n.params + n.states:
            yield 'set', q, ('unit', '')
    for s in m.synapses.values():
        for lst in (s.states, s.params, s.lets):
            for x in list(lst):
                yield 'drop', lst, x
        yield from statements(s.on_pre)
        for d in (s.odes, s.nexts):
            for k in list(d):
                yield 'pop', d, k
                for e in smaller(d[k]):
                    yield 'key', d, (k, e)
        yield 'set', s, ('output', None)
        for e in smaller(s.output):
            yield 'set', s, ('output', e)
    for r in m.rules.values():
        for lst in (r.pre, r.post, r.states, r.every, r.lets, r.params):
            for x in list(lst):
                yield 'drop', lst, x
        for lst in (r.on_pre, r.on_post):
            yield from statements(lst)
        for d in (r.odes, r.nexts):
            for k in list(d):
                yield 'pop', d, k
                for e in smaller(d[k]):
                    yield 'key', d, (k, e)
        yield 'set', r, ('dw', None)
        yield 'set', r, ('bound', None)
        for e in smaller(r.dw):
            yield 'set', r, ('dw', e)


def statements(body):
    for x in list(body):
        yield 'drop', body, x
    for i, s in enumerate(body):
        if s[0] != 'hold':
            for e in smaller(s[-1]):
                yield 'key', body, (i, s[:-1] + (e,))


def apply(kind, box, what, m):
    if kind == 'drop':
        k = next((i for i, x in enumerate(box) if x is what), None)
        if k is None:
            return False
        del box[k]
    elif kind == 'pop':
        del box[what]
    elif kind == 'key':
        if box[what[0]] == what[1]:
            return False
        box[what[0]] = what[1]
    elif kind == 'set':
        if getattr(box, what[0]) == what[1]:
            return False
        setattr(box, *what)
    elif kind == 'shrink':
        box.n -= what
        for k in box.args:
            box.args[k] = box.args[k][:box.n]
    return True


def used(m, name):
    return m.text().count(name + '(') > 1


def reduce(m, fails, seconds=60):
    """`fails(model)` says whether the difference is still there."""
    progress, end = True, time.time() + seconds
    while progress and time.time() < end:
        progress = False
        k = 0
        while time.time() < end:
            c = copy.deepcopy(m)
            s = next((x for i, x in enumerate(slots(c)) if i == k), None)
            if s is None:
                break
            k += 1
            if not apply(*s, c):
                continue
            for name in [n for n in c.fns if not used(c, n)]:
                del c.fns[name]
            for name in [n for n in c.neurons if not any(p.neuron == n for mod in c.modules.values() for p in mod.pops)]:
                del c.neurons[name]
            for name in [n for n in c.synapses if not any(x.syn == n for mod in c.modules.values() for x in mod.conns)]:
                del c.synapses[name]
            try:
                ok = fails(c)
            except Exception:
                ok = False
            if ok:
                m, progress = c, True
                k -= 1
    return m
