"""Random networks that cross the features of the language, by seed."""
import random
from model import *

UNARY = ['tanh', 'sin', 'cos', 'sigmoid', 'atan', 'abs', 'sqrt_abs', 'exp_neg', 'softplus', 'expm1_neg', 'log1p_abs', 'soft']


class Gen:
    def __init__(self, seed, level=3):
        self.r = random.Random(seed)
        self.level = level
        self.fns, self.serial = {}, 0

    def p(self, x):
        return self.r.random() < x

    def number(self, a=-1.5, b=1.5):
        return ('n', round(self.r.uniform(a, b), 3) or 0.137)

    def pick(self, xs):
        return self.r.choice(xs)

    # ---- expressions: `scalars` and `arrays` are what may be read ----
    def expr(self, depth, scalars, arrays=()):
        if depth <= 0 or self.p(0.2):
            if arrays and self.p(0.25):
                a = self.pick(arrays)
                return ('ix', a[0], self.r.randrange(a[1])) if self.p(0.5) else \
                    ('red', self.pick(['sum', 'mean', 'max', 'min', 'norm', 'argmax', 'std', 'prod']), a[0])
            return self.pick(scalars) if scalars and self.p(0.75) else self.number()
        k = self.r.random()
        sub = lambda: self.expr(depth - 1, scalars, arrays)
        if k < 0.45:
            return ('b', self.pick(['+', '-', '*']), sub(), sub())
        if k < 0.7:
            return self.unary(sub())
        if k < 0.78:
            return ('c', self.pick(['min', 'max']), sub(), sub())
        if k < 0.88:
            return ('if', self.cond(depth - 1, scalars, arrays), sub(), sub())
        if k < 0.95 and self.fns:
            f = self.pick(list(self.fns.values()))
            return ('u', f.name, *[sub() for _ in f.args])
        return ('neg', sub())

    def unary(self, x):
        f = self.pick(UNARY)
        a = ('c', 'abs', x)
        return {'sqrt_abs': ('c', 'sqrt', a), 'exp_neg': ('c', 'exp', ('neg', a)), 'expm1_neg': ('c', 'expm1', ('neg', a)),
                'log1p_abs': ('c', 'log1p', a), 'soft': ('b', '/', x, ('b', '+', ('n', 1), a))}.get(f, ('c', f, x))

    def cond(self, depth, scalars, arrays=()):
        c = ('b', self.pick(['<', '>', '<=', '>=']), self.expr(depth - 1, scalars, arrays), self.number())
        if self.p(0.15):
            c = ('b', self.pick(['and', 'or']), c, ('b', '<', self.expr(0, scalars, arrays), self.number()))
        if self.p(0.1):
            c = ('not', c)
        return c

    def bounded(self, depth, scalars, arrays=()):
        """Between about -2 and 2."""
        e = ('c', self.pick(['tanh', 'sin', 'atan']), self.expr(depth, scalars, arrays))
        return ('b', '*', self.number(0.3, 1.6), e)

    def linear(self, own, scalars):
        """A combination of what is there with constant factors."""
        e = self.number()
        for s in self.r.sample(scalars, min(len(scalars), self.r.randint(0, 2))):
            e = ('b', '+', e, ('b', '*', self.number(-0.8, 0.8), s))
        return e

    def name(self, stem):
        self.serial += 1
        return f'{stem}{self.serial}'

    def function(self):
        args = ['x', 'y'][:self.r.randint(1, 2)]
        scope = [('v', a) for a in args]
        lets = []
        if self.p(0.5):
            lets.append(('a', self.expr(2, scope)))
            scope = scope + [('v', 'a')]
            if self.p(0.4):
                lets.append(('a', ('b', '*', ('v', 'a'), self.number())))
        f = Fn(self.name('f'), args, lets, ('c', 'tanh', self.expr(2, scope)))
        self.fns[f.name] = f

    # ---- neurons ----
    def neuron(self, timed, spiking=None):
        r, lv = self.r, self.level
        n = Neuron(self.name('C'), [], [], [], [], {}, {}, [], [])
        unit = lambda: 'mV' if lv > 2 and self.p(0.15) else ''
        for k in range(r.randint(1, 3)):
            n.params.append(Q(f'p{k}', unit(), 0, self.number()[1]))
        if lv > 1 and self.p(0.35):
            k = r.randint(2, 3)
            n.params.append(Q('q', '', k, [self.number()[1] for _ in range(k)]))
            n.states.append(Q('x', '', k, [self.number()[1] for _ in range(k)] if self.p(0.6) else self.number()[1]))
        n.ports.append(('I', 'num'))
        if self.p(0.4):
            n.ports.append(('J', 'num'))
        if self.p(0.35):
            n.ports.append(('e', 'event'))
        if self.p(0.4):
            n.ports.append(('h', 'value'))
        for k in range(r.randint(1, 3)):
            n.states.append(Q('vuz'[k], unit(), 0, self.number(-0.5, 0.5)[1]))
        V = lambda xs: [('v', x) for x in xs]
        sstates = [q.name for q in n.states if not q.k]
        sparams = [q.name for q in n.params if not q.k]
        ports = [p for p, k in n.ports if k == 'num']
        arrays = [(('v', q.name), q.k) for q in n.states + n.params if q.k]
        base = V(sstates) + V(sparams) + V(ports)
        if lv > 1:
            base += [('v', 'index')] if self.p(0.2) else []
            base += [('t',)] if timed and self.p(0.2) else []
        for k in range(r.randint(0, 2)):
            e = self.bounded(2, base, arrays) if self.p(0.7) else self.expr(2, base, arrays)
            n.lets.append((f'g{k}', e))
            base = base + [('v', f'g{k}')]
        method = self.pick(['euler', 'rk4', 'exponential_euler', 'linear', None, 'heun']) if timed else None
        if method == 'exponential_euler' and any(q.k for q in n.states):
            method = 'rk4'                      # elements may act on one another (E0437)
        for q in n.states:
            own = ('v', q.name)
            if timed and (self.p(0.75) or q.name == 'v'):
                if q.k:
                    other = self.bounded(1, base, arrays)
                    e = ('b', '-', ('b', '*', ('v', 'q'), other), own) if self.p(0.7) else ('b', '-', other, own)
                elif method == 'linear':
                    e = ('b', '-', self.linear(q.name, V([s for s in sstates + ports if s != q.name])), own)
                else:
                    rest = [b for b in base if b != own and not (method == 'exponential_euler' and b[0] == 'v' and b[1][0] == 'g')]
                    e = ('b', '-', self.bounded(2, rest, arrays), own)
                    if method != 'exponential_euler' and self.p(0.5):
                        e = ('b', '+', e, self.bounded(2, base, arrays))
                    if q.name == 'v':
                        e = ('b', '+', e, ('v', 'I'))
                n.odes[q.name] = ('b', '/', e, self.number(2.0, 12.0))
            elif self.p(0.85):
                e = self.bounded(2, base, arrays)
                if q.k:
                    e = ('b', '*', ('v', 'q'), e)
                elif q.name == 'v':
                    e = ('b', '+', e, ('b', '*', self.number(0, 0.5), ('v', 'I')))
                n.nexts[q.name] = ('b', '+', ('b', '*', self.number(-0.7, 0.7), own), e)
        if method and method != 'linear' and n.odes:
            n.solve = (', '.join(n.odes), method)
        if method == 'linear' and self.p(0.3) and not any(q.k for q in n.states):
            n.solve = (', '.join(n.odes), 'exact')
        if n.solve is None and timed and method is None and self.p(0.3) and 'v' in n.odes:
            n.solve = ('v', self.pick(['rk4', 'euler']))
        base += [('next', s) for s in n.nexts if s in sstates]
        for k in range(r.randint(1, 2)):
            if self.p(0.4):
                n.outputs.append((lambda s: (s, ('v', s) if s != 'y9' else ('n', 0.3)))(self.pick([s for s in sstates if not n.units().get(s) and s not in [o[0] for o in n.outputs]] or ['y9'])))
            else:
                n.outputs.append((f'y{k}', self.bounded(2, base, arrays)))
        n.outputs = list(dict(n.outputs).items())
        if spiking is None:
            spiking = self.p(0.6)
        self.blocks(n, timed, spiking, [b for b in base if b[0] != 'next'], sstates, arrays)
        return n

    def stmts(self, n, scope, sstates, arrays, timed, lets=True):
        out, scope = [], list(scope)
        for _ in range(self.r.randint(1, 3)):
            k = self.r.random()
            if k < 0.25 and lets and self.level > 1:
                name = f'l{len(out)}'
                out.append(('let', name, self.bounded(2, scope, arrays)))
                scope.append(('v', name))
            elif k < 0.35 and timed and n.odes:
                out.append(('hold', self.pick(list(n.odes)), self.steps_ms(1, 6)))
            else:
                s = self.pick(n.states)
                op = self.pick(['=', '+=', '-=', '*='])
                e = self.number(-0.9, 0.9) if op == '*=' else self.bounded(1, scope, arrays)
                if s.k and op != '*=' and self.p(0.5):
                    e = ('b', '*', ('v', 'q'), e)
                out.append(('set', s.name, op, e))
        if all(s[0] == 'let' for s in out):
            out.append(('set', sstates[0], '*=', self.number(-0.9, 0.9)))
        return out

    def steps_ms(self, a, b):
        return round(self.r.randint(a, b) * (self.dt or 1), 6)

    def blocks(self, n, timed, spiking, scope, sstates, arrays):
        if spiking:
            if self.p(0.6):
                level = self.number(0.1, 0.9)
                head = ('b', '>', ('v', 'v'), level)
                if self.p(0.2):
                    head = ('crosses', ('v', 'v'), level[1], True)
            else:
                head = self.cond(2, scope, arrays)
                if head[0] != 'b' or head[1] not in '<><=>=':
                    head = ('b', '>', self.expr(1, scope, arrays), self.number(0, 0.8))
            body = [('set', 'v', '=', self.number(-0.7, 0))]
            if self.p(0.5) and timed and 'v' in n.odes:
                body.append(('hold', 'v', self.steps_ms(1, 5)))
            if self.p(0.5):
                body += self.stmts(n, scope, sstates, arrays, timed)
            n.blocks.append(Block('spike', head, body))
        for _ in range(self.r.randint(0, 2) if self.level > 1 else 0):
            k = self.r.random()
            if k < 0.5:
                head = self.cond(2, scope, arrays)
                if self.p(0.3):
                    head = ('crosses', ('v', self.pick(sstates)), self.number()[1], self.p(0.5))
                n.blocks.insert(self.r.randint(0, len(n.blocks)), Block('when', head, self.stmts(n, scope, sstates, arrays, timed)))
            elif timed:
                n.blocks.append(Block('every', self.steps_ms(3, 9), self.stmts(n, scope, sstates, arrays, timed)))
        for port, kind in n.ports:
            if kind != 'num':
                more = [('v', port)] if kind == 'value' else []
                body = self.stmts(n, scope + more * 3, sstates, arrays, timed)
                n.blocks.append(Block('on', port, body))

    # ---- synapses ----
    def synapse(self, src, dst, timed, spiking):
        """One that joins these neurons (None: a source of spikes)."""
        s = Synapse(self.name('S'), [], [], [], {}, [], None)
        s.params = [Q(f'a{k}', '', 0, abs(self.number(0.2, 1.5)[1])) for k in range(self.r.randint(0, 2))]
        scope = [('v', q.name) for q in s.params] + [('v', 'w')]
        posts = [('v', f'post.{q.name}') for q in dst.states + dst.params if not q.k and not q.unit]
        pres = [('v', f'pre.{q.name}') for q in src.states + src.params if not q.k and not q.unit] if src else []
        if not spiking and src and (src.outputs or True):
            pres += [('v', f'pre.{n}') for n, _ in src.outputs if ('v', f'pre.{n}') not in pres and
                     n not in [q.name for q in src.states]]
        if spiking or (src and self.p(0.4)):
            for k in range(self.r.randint(1, 2)):
                s.states.append(Q(f'g{k}', '', 0, 0.0 if self.p(0.7) else self.number(-0.4, 0.4)[1]))
        states = [('v', q.name) for q in s.states]
        if self.p(0.3):
            s.lets.append(('b', self.bounded(1, scope + states + posts)))
            states = states + [('v', 'b')]
        drive = scope + (pres if src else [])
        for k, q in enumerate(s.states):
            own = ('v', q.name)
            if timed and self.p(0.8):
                e = ('neg', own)
                if k == 1 and self.p(0.5):
                    e = ('b', '+', e, ('v', 'g0'))
                if self.p(0.25):
                    e = ('b', '+', e, self.bounded(1, drive + posts + states))
                if not spiking:
                    e = ('b', '+', e, ('b', '*', self.number(), self.pick(drive)))
                tau = ('v', s.params[0].name) if s.params and self.p(0.3) else None
                e = ('b', '/', e, self.number(2.0, 9.0))
                s.odes[q.name] = ('b', '*', e, tau) if tau else e
            elif not spiking or self.p(0.3):
                s.nexts[q.name] = ('b', '+', ('b', '*', self.number(-0.7, 0.7), own), self.bounded(1, drive + posts))
        if spiking:
            local = scope + states + posts
            if self.p(0.4):
                s.on_pre.append(('let', 'k', self.bounded(2, local)))
                local = local + [('v', 'k'), ('v', 'k')]
            for q in s.states:
                e = self.pick([('v', 'w'), ('b', '*', ('v', 'w'), self.bounded(1, local)), self.bounded(1, local)])
                if self.p(0.8):
                    s.on_pre.append(('set', q.name, self.pick(['+=', '+=', '-=']), e))
            if self.p(0.2):
                u = [q.name for q in dst.states if not q.k and not q.unit]
                if u:
                    s.on_pre.append(('set', f'post.{self.pick(u)}', '+=', ('b', '*', self.number(0.1, 0.5), self.pick(local))))
            s.on_pre = s.on_pre or [('set', 'g0', '+=', ('v', 'w'))]
        k = self.r.random()
        if k < 0.4 and s.states:
            s.output = ('v', s.states[-1].name)
            if self.p(0.4):
                s.output = ('b', '*', ('v', 'w'), s.output)
        elif k < 0.7 and s.states and posts:
            s.output = ('b', '*', ('v', s.states[0].name), ('b', '-', self.number(), self.pick(posts)))
        else:
            s.output = ('b', '*', ('v', 'w'), self.bounded(1, drive + posts + states))
        return s

    # ---- connections ----
    def over_pairs(self, a, b):
        e = ('b', '+', self.number(a, b), ('b', '*', self.number(-0.06, 0.06), ('v', 'i')))
        if self.p(0.5):
            e = ('b', '*', e, ('c', 'cos', ('b', '+', ('b', '*', ('n', 1.3), ('v', 'i')), ('b', '*', ('n', 0.7), ('v', 'j')))))
        return e

    def delay(self):
        whole = lambda least: ('n', self.r.randint(least, 4)) if self.p(0.5) else \
            ('b', '+', ('n', self.r.randint(least, 2)), ('c', 'mod', ('b', '+', ('v', 'i'), ('b', '*', ('n', 2), ('v', 'j'))), ('n', 3)))
        if self.p(0.3):
            return (whole(1), whole(1) if self.p(0.6) else None, True)
        return (whole(1), None, False)

    def connection(self, m, pops, src, dst, timed):
        a, b = self.neurons.get(src.neuron), self.neurons[dst.neuron]
        spiking = a is None or a.spiking()
        c = Conn(self.name('c'), src.name, dst.name, None, ('all',))
        k = self.r.random()
        if k < 0.2 and src.n == dst.n:
            c.pattern = ('one_to_one',)
        elif k < 0.55:
            cond = self.pick([('b', '!=', ('v', 'i'), ('v', 'j')),
                              ('b', '>', ('c', 'sin', ('b', '+', ('b', '*', ('n', 2.1), ('v', 'i')), ('b', '*', ('n', 0.8), ('v', 'j')))), self.number(-0.5, 0.5)),
                              ('b', '<', ('c', 'abs', ('b', '-', ('v', 'i'), ('v', 'j'))), ('n', 1.5))])
            c.pattern = ('where', cond)
        elif k < 0.65 and src is dst and not c.src_slice:
            c.pattern = ('all', False)
        if self.level > 1 and c.pattern[0] != 'one_to_one':
            if self.p(0.2) and src.n > 1:
                lo = self.r.randrange(src.n - 1)
                c.src_slice = (lo, self.r.randint(lo + 1, src.n))
            if self.p(0.2) and dst.n > 1:
                lo = self.r.randrange(dst.n - 1)
                c.dst_slice = (lo, self.r.randint(lo + 1, dst.n))
        num_ports = [p for p, kind in b.ports if kind == 'num']
        ev_ports = [p for p, kind in b.ports if kind != 'num']
        if spiking and ev_ports and self.p(0.5):
            c.port = self.pick(ev_ports)
        else:
            c.port = self.pick(num_ports)
            if self.p(0.7) or a is None and self.p(0.5):
                s = self.synapse(a, b, timed, spiking)
                self.synapses[s.name] = s
                c.syn = s.name
                for q in s.params:
                    if self.p(0.5):
                        c.args[q.name] = ('b', '+', ('n', abs(self.number(0.3, 1.2)[1])), ('b', '*', ('n', 0.05), ('v', self.pick('ij'))))
        c.args['w'] = self.number(-0.8, 0.8) if self.p(0.3) else self.over_pairs(-0.8, 0.8)
        if self.p(0.6):
            c.delay = self.delay()
        m.conns.append(c)
        return c

    # ---- rules ----
    def rule(self, c, a, b, timed):
        """A rule for a connection between these neurons (a None: a source of spikes)."""
        spikes, fires = a is None or a.spiking(), b.spiking()
        r = Rule(self.name('L'), [Q('eta', '', 0, abs(self.number(0.05, 0.4)[1]))], [], [], [], {}, {}, None, [], [], [], None)
        scope = [('v', 'w')]
        decay = lambda n: ('b', '/', ('neg', ('v', n)), self.number(2.0, 9.0)) if timed else None
        reads = lambda side, n: [('v', f'{side}.{q.name}') for q in n.states if not q.k and not q.unit] if n else []
        near = reads('pre', a) + reads('post', b)
        if c.delay:
            near = reads('post', b)
        for side, on, traces in (('pre', spikes, r.pre), ('post', fires, r.post)):
            on = on and spikes
            if self.p(0.7) and (on or timed):
                n = side[1] + 't'
                seen = reads(side, a if side == 'pre' else b)
                if on and timed:
                    body = [('set', n, self.pick(['+=', '+=', '=']), self.number(0.2, 1.0))]
                    traces.append((n, decay(n), body))
                    scope.append(('v', n))
                elif not on and seen and not c.delay:
                    traces.append((n, ('b', '/', ('b', '-', self.pick(seen), ('v', n)), self.number(2.0, 9.0)), []))
                    scope.append(('v', n))
        smooth = scope
        change = lambda: ('b', '*', ('v', 'eta'), self.bounded(1, scope))
        if timed and self.p(0.4) and spikes:
            r.states.append(Q('el', '', 0, 0.0))
            r.odes['el'] = decay('el')
            scope.append(('v', 'el'))
        if spikes and self.p(0.8):
            r.on_pre.append(('set', 'w', self.pick(['+=', '-=']), change()))
        if fires and spikes and self.p(0.8):
            r.on_post.append(('set', 'w', self.pick(['+=', '-=']), change()))
        if r.states:
            (r.on_pre if spikes else r.on_post).append(('set', 'el', '+=', change()))
        k = self.r.random()
        if k < 0.3 and timed:
            r.dw = ('b', '*', self.number(0.02, 0.2), ('b', '+', self.bounded(1, smooth + near or [('v', 'eta')]),
                                                       ('b', '*', self.number(-0.5, 0.5), ('v', 'w'))))
        elif k < 0.5:
            r.nexts['w'] = ('b', '+', ('v', 'w'), ('b', '*', self.number(0.02, 0.1), self.bounded(1, scope + near)))
        elif k < 0.7 and timed:
            r.every.append((self.steps_ms(3, 9), [('set', 'w', '*=', self.number(0.5, 1.1))]))
        if self.p(0.5):
            r.bound = (-0.9, 0.95)
        if r.dw is None and not r.nexts and not r.every and not r.on_pre and not r.on_post:
            r.nexts['w'] = ('b', '*', ('v', 'w'), ('n', 0.97))
        return r

    def learning(self, m):
        for prefix, mod in m.flat():
            if prefix and prefix != m.flat()[1][0]:
                continue
            for c in mod.conns:
                if self.p(0.45):
                    by = {p.name: p for p in mod.pops}
                    r = self.rule(c, self.neurons.get(by[c.src].neuron), self.neurons[by[c.dst].neuron], bool(m.dt))
                    self.rules[r.name] = r
                    for piece in m.pieces:
                        piece.learn.append((prefix + c.name, r.name))

    # ---- the whole ----
    def pop(self, name, neuron, n):
        p = Pop(name, neuron.name, n)
        for q in neuron.params + neuron.states:
            if self.p(0.3):
                row = lambda: [self.number(-0.8, 0.8)[1] for _ in range(q.k)] if q.k else self.number(-0.8, 0.8)[1]
                p.args[q.name] = [row() for _ in range(n)]
        return p

    def source(self, name, n, total):
        at = sorted((self.r.randint(1, total), self.r.randrange(n)) for _ in range(self.r.randint(3, 12)))
        at = sorted(set(at))
        times = ', '.join(f'{num(round(s * self.dt, 6))} ms' for s, _ in at)
        cells = ', '.join(str(c) for _, c in at)
        return Pop(name, '', n, source=(f'SpikeTimes(times = [{times}], cells = [{cells}])', [(c, s) for s, c in at]))

    def module(self, name, timed, total, stem=''):
        m = Module(name, [], [])
        for k in range(self.r.randint(1, 3)):
            nt = self.neuron(timed)
            self.neurons[nt.name] = nt
            m.pops.append(self.pop(f'{stem}pop{k}', nt, self.r.randint(1, 5) if self.p(0.9) else 70))
        cells = list(m.pops)
        if timed and self.p(0.6):
            m.pops.append(self.source(f'{stem}src', self.r.randint(1, 4), total))
            self.uses = ['std.sources.SpikeTimes']
        for _ in range(self.r.randint(0, 4)):
            self.connection(m, m.pops, self.pick(m.pops), self.pick(cells), timed)
        return m

    def model(self):
        timed = self.p(0.85)
        self.dt = self.pick([0.5, 0.5, 1.0, 0.25, 0.1]) if timed else 0
        self.uses, self.neurons, self.synapses, self.rules = [], {}, {}, {}
        for _ in range(self.r.randint(0, 2)):
            self.function()
        pieces = [Piece(self.r.randint(8, 40)) for _ in range(self.pick([1, 1, 2, 3]) if self.level > 1 else 1)]
        total = sum(p.steps for p in pieces)
        modules = {}
        parts = []
        if self.level > 2 and self.p(0.25):
            inner = self.module('Inner', timed, total, 'in_')
            modules['Inner'] = inner
            parts = [('part_a', 'Inner', self.pick([0, 2, 3]))]
        modules['Net'] = self.module('Net', timed, total)
        modules['Net'].parts = parts
        m = Model(self.fns, self.neurons, self.synapses, self.rules, modules, pieces, self.dt, self.uses)
        self.protocol(m, total)
        if self.level > 2:
            self.learning(m)
        return m

    def protocol(self, m, total):
        cells = [(prefix + p.name, p) for prefix, mod in m.flat() for p in mod.pops if not p.source]
        start = 0
        # The same ports in all pieces, as what nothing ever stimulates may be solved otherwise.
        driven = {(path, port) for path, p in cells for port, kind in m.neurons[p.neuron].ports if kind == 'num' and self.p(0.5)}
        for k, piece in enumerate(m.pieces):
            for path, p in cells:
                for port, kind in m.neurons[p.neuron].ports:
                    if (path, port) in driven:
                        sl = None
                        if self.p(0.3) and p.n > 1:
                            lo = self.r.randrange(p.n - 1)
                            sl = (lo, self.r.randint(lo + 1, p.n))
                        size = sl[1] - sl[0] if sl else p.n
                        v = [self.number()[1] for _ in range(size)] if self.p(0.4) else self.number(-0.5, 2)[1]
                        a = b = None
                        if m.dt and self.p(0.5):
                            a = self.r.randint(start, start + piece.steps - 1)
                            b = self.r.randint(a + 1, start + piece.steps)
                        piece.stims.append((path, port, sl, v, a, b))
                if k and self.p(0.3):
                    q = self.pick(m.neurons[p.neuron].params + m.neurons[p.neuron].states)
                    if not q.k:
                        sl = None
                        if self.p(0.4) and p.n > 1 and q in m.neurons[p.neuron].states:
                            lo = self.r.randrange(p.n - 1)
                            sl = (lo, self.r.randint(lo + 1, p.n))
                        size = sl[1] - sl[0] if sl else p.n
                        v = [self.number()[1] for _ in range(size)] if self.p(0.5) else self.number()[1]
                        piece.sets.append(('pop', path, q.name, sl, v))
            start += piece.steps
