"""The operational semantics of the reference manual in numpy: one step after another, every synapse by itself.

What the manual leaves to the compiler (which equations are solved together, by which method) is taken from
`nnmc explain --solvers`; all else is from the manual.
"""

import numpy as np
from scipy.linalg import expm
from expr import ev, names, inlined


class PopState:
    def __init__(self, path, spec, model):
        self.path, self.spec, self.n = path, spec, spec.n
        self.neuron = None if spec.source else model.neurons[spec.neuron]
        self.params, self.states, self.hold, self.before = {}, {}, {}, {}
        self.spikes, self.history = [], {}
        if not self.neuron:
            return
        for group, qs in ((self.params, self.neuron.params), (self.states, self.neuron.states)):
            for q in qs:
                group[q.name] = self.layout(spec.args.get(q.name), q)
        self.hold = {s: np.zeros(self.n, int) for s in self.states}
        self.lets = dict(self.neuron.lets)
        self.outputs = {n: e for n, e in self.neuron.outputs if e != ('v', n)}
        self.ports = dict(self.neuron.ports)

    def layout(self, given, q):
        """An array as [n], or [k, n] where each cell has several elements."""
        v = np.array(q.value if given is None else given, float)
        if given is None:
            v = np.broadcast_to(v, (self.n,) + ((q.k,) if q.k else ())) if q.k or v.ndim == 0 else v
        return np.array(v.T)


class ConnState:
    def __init__(self, path, prefix, spec, net):
        self.path, self.spec = path, spec
        self.src, self.dst = net.pops[prefix + spec.src], net.pops[prefix + spec.dst]
        a, b = spec.src_slice or (0, self.src.n)
        c, d = spec.dst_slice or (0, self.dst.n)
        I, J = [x.ravel() for x in np.meshgrid(np.arange(a, b), np.arange(c, d), indexing='ij')]
        kind = spec.pattern[0]
        ij = lambda k, name: {'i': I * 1.0, 'j': J * 1.0}[name] if name in 'ij' else self.ends(name, I, J)
        if kind == 'one_to_one':
            keep = (I - a) == (J - c)
        elif kind == 'where':
            keep = np.broadcast_to(ev(spec.pattern[1], ij, net.model.fns), I.shape).astype(bool)
        else:
            keep = np.ones(len(I), bool)
            if len(spec.pattern) > 1:
                keep = I != J if self.src is self.dst else keep
        I, J = I[keep], J[keep]
        self.I, self.J = I, J
        self.shape = ((a, b), (c, d))
        self.syn = None if spec.syn == 'Direct' else net.model.synapses[spec.syn]
        value = lambda e: np.array(np.broadcast_to(ev(e, lambda k, name: {'i': I * 1.0, 'j': J * 1.0}[name] if name in 'ij'
                                                      else self.ends(name, I, J), net.model.fns), I.shape), float)
        self.params = {q.name: np.full(len(I), float(q.value)) for q in (self.syn.params if self.syn else [])}
        self.w = np.ones(len(I))
        for k, e in spec.args.items():
            if k == 'w':
                self.w = value(e)
            else:
                self.params[k] = value(e)
        self.states = {q.name: np.full(len(I), float(q.value)) for q in (self.syn.states if self.syn else [])}
        ax, de, words = spec.delay or (None, None, False)
        self.axonal = np.rint(value(ax)).astype(int) if ax else np.zeros(len(I), int)
        self.dendritic = np.rint(value(de)).astype(int) if de else np.zeros(len(I), int)
        self.delay = self.axonal + self.dendritic
        self.delayed = spec.delay is not None
        self.lets = dict(self.syn.lets) if self.syn else {}

    def ends(self, name, I, J):
        side, x = name.split('.')
        p, at = (self.src, I) if side == 'pre' else (self.dst, J)
        return at * 1.0 if x == 'index' else p.params[x][at]

    def arrived(self, pop, at, delays, step):
        """Which pairs see a spike of their cell at the beginning of this step."""
        out = np.zeros(len(at), bool)
        for d in np.unique(delays):
            k = step - 1 - d
            if k >= 0:
                m = delays == d
                out[m] = pop.spikes[k][at[m]]
        return out

    def total(self, values):
        out = np.zeros(self.dst.n)
        np.add.at(out, self.J, np.broadcast_to(values, self.J.shape))
        return out


def read_through(c, e):
    """The names that an expression of a connection reads, through its lets."""
    todo, seen = list(names(e)), set()
    while todo:
        x = todo.pop()
        if x not in seen:
            seen.add(x)
            todo += names(c.lets[x]) if x in c.lets else ()
    return {x for x in seen if x not in c.lets}


class View:
    """All values of one moment; `over` replaces states while a solver looks ahead."""
    def __init__(self, net, step, t, base=None, over=None):
        self.net, self.step, self.t, self.base, self.over = net, step, t, base, over or {}
        self.memo, self.held_next = {}, {}
        self.stage_conns, self.first = set(), set()

    def pop(self, p):
        return lambda kind, name: self.value(p, kind, name)

    def value(self, p, kind, name):
        key = (p.path, kind, name)
        if key not in self.memo:
            self.memo[key] = self.compute(p, kind, name)
        return self.memo[key]

    def compute(self, p, kind, name):
        fns = self.net.model.fns
        if kind == 't':
            return self.t
        if kind == 'dt':
            return self.net.dt
        if kind == 'next':
            new = ev(p.neuron.nexts[name], self.pop(p), fns)
            held = p.hold[name] > self.step
            return np.where(held, p.states[name], new)
        if name == 'index':
            return np.arange(p.n) * 1.0
        if name == 'n':
            return np.float64(p.n)
        if name in p.params:
            return p.params[name]
        if name in p.states:
            return self.over.get((p.path, name), p.states[name])
        if name in p.lets:
            return ev(p.lets[name], self.pop(p), fns)
        if name in p.outputs:
            return ev(p.outputs[name], self.pop(p), fns)
        if name in p.ports:
            return self.port(p, name)
        raise KeyError((p.path, name))

    def port(self, p, name):
        if self.base is not None:            # within a step ports are held, but for synapses that are solved along
            v = self.base.value(p, 'v', name).copy()
            for c in self.net.into(p, name):
                if c.path in self.stage_conns:
                    v = v + c.total(self.out(c)) - c.total(self.base.out(c))
            return v
        v = np.zeros(p.n)
        for c in self.net.into(p, name):
            v = v + c.total(self.out(c))
        return v + self.net.stimulus(p, name, self.step)

    def out(self, c):
        """What each synapse of a connection brings."""
        key = ('out', c.path)
        if key not in self.memo:
            if c.syn is None:
                v = self.net.before.get(c.path, c.w) * self.net.arrivals[c.path] if self.net.sends_spikes(c.src) else \
                    c.w * self.conn(c)('v', 'pre')
            else:
                v = ev(c.syn.output, self.conn(c), self.net.model.fns)
            self.memo[key] = np.broadcast_to(v, c.I.shape)
        return self.memo[key]

    def conn(self, c):
        def get(kind, name):
            if kind == 't':
                return self.t
            if kind == 'dt':
                return self.net.dt
            if kind == 'next':
                return ev(c.syn.nexts[name], get, self.net.model.fns)
            if name == 'w':
                return c.w
            if name in c.params:
                return c.params[name]
            if name in c.states:
                return self.over.get((c.path, name), c.states[name])
            if name in c.lets:
                return ev(c.lets[name], get, self.net.model.fns)
            if name == 'pre':
                name = 'pre.' + c.src.neuron.outputs[0][0]
            side, x = name.split('.')
            if side == 'post':
                return np.broadcast_to(self.value(c.dst, 'v', x), (c.dst.n,))[c.J]
            if self.base is not None:
                return self.base.conn(c)(kind, name)
            return self.sent(c, x)
        return get

    def sent(self, c, x):
        if not c.delayed or x in c.src.params:
            return np.broadcast_to(self.value(c.src, 'v', x), (c.src.n,))[c.I]
        h = c.src.history.setdefault(x, {})
        out = np.empty(len(c.I))
        delay = c.delay
        for d in np.unique(delay):
            m = delay == d
            k = max(self.step - d, 0)           # before the start: first values
            if d and k == self.step and (c.src.path, x) in self.first:        # a loop: its first value is not said
                self.net.loop = True
                row = np.zeros(c.src.n)
            elif k == self.step:
                self.first.add((c.src.path, x))
                row = self.value(c.src, 'v', x)
                self.first.discard((c.src.path, x))
            else:
                row = h[k]
            out[m] = np.broadcast_to(row, (c.src.n,))[c.I[m]]
        return out


class Net:
    def __init__(self, model, groups):
        self.model, self.dt = model, model.dt or 1.0
        self.pops, self.conns, self.rules = {}, {}, {}
        for prefix, m in model.flat():
            for p in m.pops:
                self.pops[prefix + p.name] = PopState(prefix + p.name, p, model)
        for prefix, m in model.flat():
            for c in m.conns:
                self.conns[prefix + c.name] = ConnState(prefix + c.name, prefix, c, self)
        self.groups = groups(self)
        self.arrivals, self.piece, self.step = {}, None, 0
        self.before = {}                     # weights as they were before the events of this step
        self.rows = {}
        self.port_conns, self.loop = {}, False
        for c in self.conns.values():
            if c.spec.port and (c.syn is None or c.syn.output is not None):
                self.port_conns.setdefault((c.dst.path, c.spec.port), []).append(c)
        self.levels = {p.path: self.ceilings(p) for p in self.pops.values() if p.neuron}

    @staticmethod
    def sends_spikes(p):
        return p.spec.source is not None or p.neuron.spiking()

    def into(self, p, port):
        return self.port_conns.get((p.path, port), [])

    def ceilings(self, p):
        """States that a spike above a fixed level sets anew: `v > LEVEL`, which `v / (1 mV) > LEVEL` is not."""
        out = {}
        for b in p.neuron.blocks:
            if b.kind == 'spike' and b.head[0] == 'b' and b.head[1] in ('>', '>=') and b.head[2][0] == 'v':
                s = b.head[2][1]
                fixed = b.head[3][0] == 'n' or (b.head[3][0] == 'v' and b.head[3][1] in p.params)
                if s in p.states and fixed and not p.neuron.units().get(s) and any(x[0] == 'set' and x[1] == s and x[2] == '=' for x in b.body):
                    out[s] = b.head[3][1] if b.head[3][0] == 'n' else p.params[b.head[3][1]]
        return out

    def stimulus(self, p, port, step):
        v = np.zeros(p.n)
        for path, name, sl, value, a, b in self.piece.stims if self.piece else []:
            if path == p.path and name == port and (a is None or a <= step < b):
                x, y = sl or (0, p.n)
                v[x:y] += np.array(value, float)
        return v

    def run(self):
        for k, piece in enumerate(self.model.pieces):
            for kind, path, name, sl, value in piece.sets:
                if kind == 'pop':
                    p = self.pops[path]
                    target = p.params if name in p.params else p.states
                    a, b = sl or (0, p.n)
                    target[name][..., a:b] = np.array(value, float).T
                else:
                    c = self.conns[path]
                    c.w[:] = np.array(value, float)
            self.piece = piece
            for path, rule in piece.learn:
                if (path, rule) not in self.rules:
                    self.rules[path, rule] = RuleState(self, self.conns[path], self.model.rules[rule])
            if not k or piece.sets:                 # what is set makes no crossing
                self.first_crossings()
            self.row(k)
            for _ in range(piece.steps):
                self.advance()
                self.row(k)

    def first_crossings(self):
        self.arrivals = {c.path: np.zeros(len(c.I)) for c in self.conns.values()}
        view = View(self, self.step, self.step * self.dt)
        for p in self.pops.values():
            for k, b in enumerate(p.neuron.blocks if p.neuron else []):
                if b.kind in ('when', 'spike') and b.head[0] == 'crosses':
                    p.before[k] = np.array(np.broadcast_to(ev(b.head[1], view.pop(p), self.model.fns), (p.n,)))

    def row(self, piece):
        self.arrivals = {c.path: c.arrived(c.src, c.I, c.delay, self.step) * 1.0 if self.sends_spikes(c.src)
                         else np.zeros(len(c.I)) for c in self.conns.values()}
        self.before = {}
        v = View(self, self.step, self.step * self.dt)
        for p in self.pops.values():
            if not p.neuron:
                continue
            for name in list(p.states) + list(p.lets) + list(p.outputs):
                x = v.value(p, 'v', name)
                k = next((q.k for q in p.neuron.states if q.name == name), 0)
                x = np.broadcast_to(x, ((k,) if k else ()) + (p.n,)) if np.ndim(x) < 2 else x
                self.rows.setdefault((piece, p.path, name), []).append(np.array(x).T.ravel())

    def advance(self):
        n, dt = self.step, self.dt
        t = n * dt
        self.deliver(n, t)
        view = View(self, n, t)
        for p in self.pops.values():
            for name in (p.ports if p.neuron else []):
                if p.ports[name] == 'num':
                    view.value(p, 'v', name)
        for c in self.conns.values():            # what delays need later
            if c.delayed and not self.sends_spikes(c.src):
                for x in self.read_of_sender(c):
                    c.src.history.setdefault(x, {})[n] = np.array(np.broadcast_to(view.value(c.src, 'v', x), (c.src.n,)))
            elif c.delayed and c.syn:
                for x in self.read_of_sender(c):
                    c.src.history.setdefault(x, {})[n] = np.array(np.broadcast_to(view.value(c.src, 'v', x), (c.src.n,)))
        new = {}
        for group, method in self.groups:
            new.update(self.solve(group, method, view))
        for p in self.pops.values():
            for s in (p.neuron.nexts if p.neuron else {}):
                new[p.path, s] = np.broadcast_to(view.value(p, 'next', s), p.states[s].shape)
        for c in self.conns.values():
            for s in (c.syn.nexts if c.syn else {}):
                new[c.path, s] = np.broadcast_to(view.conn(c)('next', s), c.states[s].shape)
        for r in self.rules.values():
            r.before_step(view)
        for (path, s), x in new.items():
            (self.pops.get(path) or self.conns.get(path)).states[s] = np.array(x)
        self.blocks(n, view)
        self.step += 1
        self.before = {}
        for r in self.active():
            r.after_step()

    def active(self):
        return [self.rules[key] for key in self.piece.learn]

    def read_of_sender(self, c):
        if not c.syn:
            return [c.src.neuron.outputs[0][0]]
        read = set()
        for e in [c.syn.output] if c.syn.output is not None else []:
            read |= names(e)
        for e in list(c.syn.odes.values()) + list(c.syn.nexts.values()) + [e for _, e in c.syn.lets]:
            read |= names(e)
        out = {x[4:] for x in read if x.startswith('pre.')}
        if 'pre' in read:
            out.add(c.src.neuron.outputs[0][0])
        return out

    def deliver(self, n, t):
        self.arrivals = {c.path: np.zeros(len(c.I)) for c in self.conns.values()}
        old = View(self, n, t)
        old_conns = {}
        jumps, events = [], {}
        self.before = {c.path: c.w for c in self.conns.values()}
        for c in self.conns.values():
            if not self.sends_spikes(c.src):
                continue
            mask = c.arrived(c.src, c.I, c.delay, n)
            old_conns[c.path] = mask
            if c.syn is None and c.dst.ports.get(c.spec.port) in ('event', 'value'):
                v, hit, many = events.setdefault((c.dst.path, c.spec.port),
                                                 [np.zeros(c.dst.n), np.zeros(c.dst.n, bool), np.zeros(c.dst.n)])
                np.add.at(many, c.J[mask], 1)
                np.add.at(v, c.J[mask], c.w[mask])
                hit[c.J[mask]] = True
        new_states = {}
        for c in self.conns.values():
            if c.syn and c.syn.on_pre and c.path in old_conns and old_conns[c.path].any():
                mask = old_conns[c.path]
                local = {s: x.copy() for s, x in c.states.items()}
                env = {}
                get0 = old.conn(c)

                def get(kind, name):
                    if name in c.lets and name not in env:
                        return ev(c.lets[name], get, self.model.fns)
                    return env[name] if name in env else local[name] if name in local else get0(kind, name)
                for s in c.syn.on_pre:
                    x = np.broadcast_to(ev(s[2] if s[0] == 'let' else s[3], get, self.model.fns), c.I.shape)
                    if s[0] == 'let':
                        env[s[1]] = x
                    elif s[1].startswith('post.'):
                        jumps.append((c, s[1][5:], mask, x))
                    else:
                        local[s[1]] = np.where(mask, apply(s[2], local[s[1]], x), local[s[1]])
                new_states[c.path] = local
        for path, mask in old_conns.items():
            self.arrivals[path] = mask * 1.0
        keep = {c.path: c.states for c in self.conns.values()}
        for path, local in new_states.items():
            self.conns[path].states = local
        old2 = View(self, n, t)
        ports = {(p.path, 'v', name): old2.value(p, 'v', name) for p in self.pops.values() if p.neuron
                 for name, kind in p.ports.items() if kind == 'num'} if events else {}
        for path, x in keep.items():
            self.conns[path].states = x
        changes = [r.at_events(n, old) for r in self.active()]
        for path, local in new_states.items():
            self.conns[path].states = local
        for c, name, mask, x in jumps:
            s = c.dst.states[name]
            mask = mask & (c.dst.hold[name][c.J] <= n)       # a held state does not jump
            add = np.zeros(c.dst.n)
            np.add.at(add, c.J[mask], x[mask])
            c.dst.states[name] = s + add
        for p in self.pops.values():
            for b in (p.neuron.blocks if p.neuron else []):
                if b.kind == 'on' and (p.path, b.head) in events:
                    v, hit, many = events[p.path, b.head]
                    view = View(self, n, t)
                    view.hold_from = n
                    view.memo.update(ports)
                    self.block(p, b, hit, view, {b.head: v}, many)
        for ch in changes:
            ch()

    def block(self, p, b, mask, view, extra=None, many=None):
        env = dict(extra or {})
        for s in b.body:
            view.memo = {k: x for k, x in view.memo.items() if self.is_input(p, k)}
            get0 = view.pop(p)
            get = lambda kind, name: env[name] if name in env else get0(kind, name)
            if s[0] == 'let':
                env[s[1]] = ev(s[2], get, self.model.fns)
            elif s[0] == 'hold':
                until = view.hold_from + int(round(s[2] / self.dt))
                p.hold[s[1]] = np.where(mask, np.maximum(p.hold[s[1]], until), p.hold[s[1]])
            else:
                x = p.states[s[1]]
                y = ev(s[3], get, self.model.fns)
                if many is not None and s[2] in ('+=', '-=') and not self.reads(b, s[3]):
                    y = y * many             # of what does not read the value: once for each event
                p.states[s[1]] = np.where(mask, apply(s[2], x, y), x)

    @staticmethod
    def reads(b, e):
        lets = {s[1]: s[2] for s in b.body if s[0] == 'let'}
        todo = list(names(e))
        while todo:
            x = todo.pop()
            if x == b.head:
                return True
            if x in lets:
                todo += names(lets[x])
        return False

    @staticmethod
    def is_input(p, key):
        return key[0] != p.path or (key[1] == 'v' and key[2] in p.ports)

    def blocks(self, n, begin):
        """`every`, then `when` and `spike when` in source order, on the values of the step's end and its ports."""
        t = (n + 1) * self.dt
        for p in self.pops.values():
            if not p.neuron:
                s = np.zeros(p.n, bool)
                for cell, at in p.spec.source[1]:
                    if at == n + 1:
                        s[cell] = True
                p.spikes.append(s)
                continue
            spikes = np.zeros(p.n, bool)
            view = View(self, n, n * self.dt)         # `t` is the step's beginning
            view.hold_from = n + 1
            for key, x in begin.memo.items():
                if key[0] == 'out' or self.is_input(p, key):
                    view.memo[key] = x
            for name in p.ports:
                if p.ports[name] == 'num':
                    view.memo[p.path, 'v', name] = begin.value(p, 'v', name)
            clear = lambda: view.memo.update({}) or [view.memo.pop(k) for k in list(view.memo)
                                                     if k[0] == p.path and not self.is_input(p, k)]
            held = {s: p.hold[s] > n for s in p.hold}        # a hold of this step does not stop this step's test
            for b in p.neuron.blocks:
                if b.kind == 'every' and (n + 1) % int(round(b.head / self.dt)) == 0:
                    clear()
                    self.block(p, b, np.ones(p.n, bool), view)
            for k, b in enumerate(p.neuron.blocks):
                if b.kind not in ('when', 'spike'):
                    continue
                clear()
                mask = self.tested(p, k, b, view)
                if b.kind == 'spike':
                    for s in self.states_read(p, b.head):
                        mask = mask & ~held[s]
                    spikes |= mask
                if mask.any():
                    self.block(p, b, mask, view)
            for k, b in enumerate(p.neuron.blocks):
                if b.kind in ('when', 'spike') and b.head[0] == 'crosses':
                    clear()
                    p.before[k] = np.array(np.broadcast_to(ev(b.head[1], view.pop(p), self.model.fns), (p.n,)))
            p.spikes.append(spikes)

    def tested(self, p, k, b, view):
        if b.head[0] != 'crosses':
            return np.broadcast_to(ev(b.head, view.pop(p), self.model.fns), (p.n,)).astype(bool)
        _, e, level, up = b.head
        x = np.broadcast_to(ev(e, view.pop(p), self.model.fns), (p.n,))
        y = p.before[k]
        return (y < level) & (x >= level) if up else (y > level) & (x <= level)

    def states_read(self, p, e):
        out, todo = set(), list(names(e[1] if e[0] == 'crosses' else e))
        while todo:
            x = todo.pop()
            if x in p.lets:
                todo += names(p.lets[x])
            elif x in p.states:
                out.add(x)
        return out

    # ---- solvers ----
    def product(self, c):
        """Whether an output is a product of what belongs to the sender's side and of what belongs to the target's."""

        def sides(e):
            out = set()
            for x in read_through(c, e):
                if x.startswith('post.'):
                    out.add('target')
                elif x in c.params:
                    if x in c.spec.args and names(c.spec.args[x]):
                        out.add('sender')
                elif not (x.startswith('pre.') and x[4:] in c.src.params and x[4:] not in c.src.spec.args):
                    out.add('sender')
            return out

        def splits(e):
            if len(sides(e)) < 2:
                return True
            if e[0] == 'v' and e[1] in c.lets:
                return splits(c.lets[e[1]])
            if e[0] == 'neg':
                return splits(e[1])
            return e[0] == 'b' and e[1] in '*/' and splits(e[2]) and splits(e[3])
        return splits(inlined(c.syn.output, self.model.fns))

    def follows(self, c, keys):
        """Whether what a connection brings depends on its target's states among `keys`."""
        todo, seen = list(names(c.syn.output)), set()
        while todo:
            x = todo.pop()
            if x in seen:
                continue
            seen.add(x)
            if x in c.lets:
                todo += names(c.lets[x])
            elif x.startswith('post.'):
                y = x[5:]
                if (c.dst.path, y) in keys:
                    return True
                e = c.dst.lets.get(y) or c.dst.outputs.get(y)
                if e is not None:
                    todo += ['post.' + z for z in names(e)]
        return False

    def solve(self, group, method, view):
        dt, t = self.dt, view.t
        x0 = {key: self.state(key) for key in group}
        conns = {path for path, _ in group if path in self.conns and
                 read_through(self.conns[path], self.conns[path].syn.output) & set(self.conns[path].syn.odes)}
        mine = {(path, s) for path, s in group if path in self.pops}
        conns |= {c.path for c in self.conns.values() if c.syn and c.syn.output is not None and self.follows(c, mine)
                  and self.product(c)}

        def f(x, at):
            v = View(self, view.step, at, base=view, over=x)
            v.stage_conns = conns
            out = {}
            for path, s in group:
                if path in self.pops:
                    p = self.pops[path]
                    d = np.broadcast_to(ev(p.neuron.odes[s], v.pop(p), self.model.fns), x0[path, s].shape)
                    d = np.where(p.hold[s] > view.step, 0.0, d)
                else:
                    c = self.conns[path]
                    d = np.broadcast_to(ev(c.syn.odes[s], v.conn(c), self.model.fns), x0[path, s].shape)
                out[path, s] = d
            return out

        def ceiling(x):
            for path, s in x:
                if path in self.pops and s in self.levels[path]:
                    x[path, s] = np.minimum(x[path, s], np.maximum(self.levels[path][s], x0[path, s]))
            return x
        add = lambda x, d, h: {k: x[k] + h * d[k] for k in x}
        if method == 'euler':
            return add(x0, f(x0, t), dt)
        if method == 'heun':
            a = f(x0, t)
            b = f(ceiling(add(x0, a, dt)), t + dt)
            return {k: x0[k] + dt / 2 * (a[k] + b[k]) for k in x0}
        if method == 'rk4':
            a = f(x0, t)
            b = f(ceiling(add(x0, a, dt / 2)), t + dt / 2)
            c = f(ceiling(add(x0, b, dt / 2)), t + dt / 2)
            d = f(ceiling(add(x0, c, dt)), t + dt)
            return {k: x0[k] + dt / 6 * (a[k] + 2 * b[k] + 2 * c[k] + d[k]) for k in x0}
        if method == 'exponential_euler':
            out = {}
            for key in group:
                h = 1e-3                        # the slope by the own variable, which the manual wants to be constant
                x = x0[key]
                a = np.zeros_like(x)
                for e in range(len(x) if x.ndim > 1 else 1):          # each element of an array by itself
                    one = np.eye(len(x))[e][:, None] if x.ndim > 1 else 1.0
                    at = lambda k: f({**x0, key: x + k * h * one}, t + dt / 2)[key]
                    d = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)
                    a += one * (d)
                phi = np.where(np.abs(a) < 1e-9, dt, np.expm1(a * dt) / np.where(a == 0, 1, a))
                out[key] = x0[key] + phi * f(x0, t + dt / 2)[key]
            return out
        if method == 'exact':
            return self.exact(group, x0, lambda x: f(x, t))
        raise ValueError(method)

    def state(self, key):
        path, s = key
        return np.array((self.pops.get(path) or self.conns[path]).states[s], float)

    def exact(self, group, x0, f):
        """The propagator, cell by cell: a cell's states and those of the synapses that end in it."""
        cells = {}
        for key in group:
            path = key[0]
            at = self.conns[path].J if path in self.conns else np.arange(self.pops[path].n)
            for index in np.ndindex(x0[key].shape):
                cells.setdefault(int(at[index[-1]]), []).append((key, index))
        b = f(x0)
        h = 1e-3
        A = {c: np.zeros((len(slots), len(slots))) for c, slots in cells.items()}
        for k in range(max(len(s) for s in cells.values()) if cells else 0):
            unit = {key: np.zeros_like(x) for key, x in x0.items()}
            for slots in cells.values():
                if k < len(slots):
                    unit[slots[k][0]][slots[k][1]] = 1
            at = lambda m: f({key: x0[key] + m * h * unit[key] for key in x0})
            d1, d2, d3, d4 = at(1), at(-1), at(2), at(-2)
            for c, slots in cells.items():
                if k < len(slots):
                    A[c][:, k] = [(8 * (d1[q][i] - d2[q][i]) - (d3[q][i] - d4[q][i])) / (12 * h) for q, i in slots]
        out = {k: x.copy() for k, x in x0.items()}
        cache = self.__dict__.setdefault('cache', {})
        for c, slots in cells.items():
            m = len(slots)
            A[c] = np.round(A[c], 12)
            code = A[c].tobytes()
            if code not in cache:
                big = np.zeros((2 * m, 2 * m))
                big[:m, :m], big[:m, m:] = A[c] * self.dt, np.eye(m) * self.dt
                cache[code] = expm(big)
            E = cache[code]
            new = np.array([x0[key][i] for key, i in slots]) + E[:m, m:] @ [b[key][i] for key, i in slots]
            for (key, i), v in zip(slots, new):
                out[key][i] = v
        return out


def apply(op, x, y):
    return {'=': lambda: y + 0 * x, '+=': lambda: x + y, '-=': lambda: x - y, '*=': lambda: x * y, '/=': lambda: x / y}[op]()


class RuleState:
    """A rule at work on one connection: traces as each synapse sees them."""
    def __init__(self, net, conn, rule):
        self.net, self.c, self.rule = net, conn, rule
        m = len(conn.I)
        self.traces = {n: np.zeros(m) for n, _, _ in rule.pre + rule.post}
        self.states = {q.name: np.full(m, float(q.value)) for q in rule.states}
        self.params = {q.name: float(q.value) for q in rule.params}
        self.sums = None

    def env(self, view, old=None):
        c = self.c

        def get(kind, name):
            if kind in ('t', 'dt'):
                return view.t if kind == 't' else self.net.dt
            if name == 'w':
                return c.w
            if name in self.params:
                return self.params[name]
            for d in (self.traces, self.states):
                if name in d:
                    return d[name]
            for n, e in self.rule.lets:
                if n == name:
                    return ev(e, get, self.net.model.fns)
            if name == 'pre':
                name = 'pre.' + c.src.neuron.outputs[0][0]
            side, x = name.split('.')
            p, at = (c.src, c.I) if side == 'pre' else (c.dst, c.J)
            if x == 'y' and x not in p.outputs and x not in p.states:
                x = p.neuron.outputs[0][0]
            return np.broadcast_to(view.value(p, 'v', x), (p.n,))[at]
        return get

    def at_events(self, n, view):
        """The changes of this time, from the values before any event of it."""
        c, fns = self.c, self.net.model.fns
        get = self.env(view)
        pre = c.arrived(c.src, c.I, c.axonal, n)
        post = c.arrived(c.dst, c.J, c.dendritic, n) if self.net.sends_spikes(c.dst) else np.zeros(len(c.I), bool)
        todo = []
        for mask, body in ((pre, self.rule.on_pre), (post, self.rule.on_post)):
            env = {}                              # within a block one statement reads what the one before it changed
            g = lambda kind, name: env[name] if name in env else get(kind, name)
            for s in body:
                x = np.broadcast_to(ev(s[2] if s[0] == 'let' else s[3], g, fns), c.I.shape)
                if s[0] == 'let':
                    env[s[1]] = x
                else:
                    env[s[1]] = apply(s[2], np.array(g('v', s[1])), x)
                    if s[1] == 'w':
                        free = env['w']
                        if self.rule.bound:
                            env['w'] = np.clip(env['w'], *self.rule.bound)
            changed = [s[1] for s in body if s[0] != 'let']
            for name in dict.fromkeys(changed):
                # What a single statement changes is bounded where it is added.
                new = free if name == 'w' and changed.count('w') == 1 else env[name]
                todo.append((mask, name, '+=', new - get('v', name)))
        for mask, traces in ((pre, self.rule.pre), (post, self.rule.post)):
            for name, _, body in traces:
                for s in body:
                    todo.append((mask, s[1], s[2], np.broadcast_to(ev(s[3], get, fns), c.I.shape)))

        def act():
            for mask, name, op, x in todo:
                if name == 'w':
                    c.w = np.where(mask, apply(op, c.w, x), c.w)
                    self.limit(mask)
                else:
                    d = self.traces if name in self.traces else self.states
                    d[name] = np.where(mask, apply(op, d[name], x), d[name])
        return act

    def limit(self, mask=True):
        if self.rule.bound:
            self.c.w = np.where(mask, np.clip(self.c.w, *self.rule.bound), self.c.w)

    def before_step(self, view):
        """Traces and states with equations go on, from the values of the step's beginning."""
        dt, fns = self.net.dt, self.net.model.fns
        new = {}
        for name, e in [(n, e) for n, e, _ in self.rule.pre + self.rule.post if e is not None] + list(self.rule.odes.items()):
            d = self.traces if name in self.traces else self.states
            keep = d[name]
            get = self.env(view)
            d[name] = np.zeros_like(keep)
            d[name] = keep

            def f(x):
                d[name] = x
                y = np.broadcast_to(ev(e, get, fns), keep.shape)
                d[name] = keep
                return y
            new[name] = self.solved(name, f, keep)
        for name, e in self.rule.nexts.items():
            if name != 'w':
                new[name] = np.broadcast_to(ev(e, self.env(view), fns), self.c.I.shape)
        self.new = new

    def solved(self, name, f, x):
        """One step of one equation by the method that it was given."""
        dt = self.net.dt
        method = self.net.methods.get((self.c.spec.name, name)) or self.net.methods.get((self.c.path, name))
        if method == 'rk4':
            a = f(x)
            b = f(x + dt / 2 * a)
            c = f(x + dt / 2 * b)
            return x + dt / 6 * (a + 2 * b + 2 * c + f(x + dt * c))
        if method not in ('exact', 'exponential_euler', None):
            raise ValueError(method)
        h = 1e-3
        a = (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)
        phi = np.where(np.abs(a) < 1e-9, dt, np.expm1(a * dt) / np.where(a == 0, 1, a))
        return x + phi * f(x)

    def after_step(self):
        n, dt, fns, c = self.net.step, self.net.dt, self.net.model.fns, self.c
        late = {}
        for name, x in self.new.items():
            if name in self.traces:
                (self.traces if name in self.traces else self.states)[name] = np.array(x)
            else:
                late[name] = np.array(x)              # `w'` and `next w` still see the step's beginning
        self.net.arrivals = {k.path: np.zeros(len(k.I)) for k in self.net.conns.values()}
        view = View(self.net, n, n * dt)
        get = self.env(view)
        if self.rule.dw is not None:
            w = c.w

            def f(x):
                c.w = x
                y = np.broadcast_to(ev(self.rule.dw, get, fns), x.shape)
                c.w = w
                return y
            c.w = self.solved('w', f, w)
            self.limit()
        if 'w' in self.rule.nexts:
            c.w = np.array(np.broadcast_to(ev(self.rule.nexts['w'], get, fns), c.I.shape), float)
            self.limit()
        self.states.update(late)
        for ms, body in self.rule.every:
            if n % int(round(ms / dt)) == 0:
                for s in body:
                    x = np.broadcast_to(ev(s[3], get, fns), c.I.shape)
                    if s[1] == 'w':
                        c.w = apply(s[2], c.w, x)
                    else:
                        self.states[s[1]] = apply(s[2], self.states[s[1]], x)
                self.limit()
