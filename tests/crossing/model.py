"""What a random network is made of, and its text in the language."""
from dataclasses import dataclass, field
from expr import show, num, quantity


@dataclass
class Fn:
    name: str
    args: list
    lets: list
    body: tuple

    def text(self):
        head = f'fn {self.name}({", ".join(self.args)}) = '
        if not self.lets:
            return head + show(self.body, {}) + '\n'
        return head + '{\n' + ''.join(f'  let {n} = {show(e, {})}\n' for n, e in self.lets) + f'  {show(self.body, {})}\n}}\n'


@dataclass
class Q:
    """A parameter or a state: its unit, its number of elements (0: one number) and its first value."""
    name: str
    unit: str = ''
    k: int = 0
    value: object = 0.0

    def kind(self):
        base = self.unit or 'real'
        return f'{base}[{self.k}]' if self.k else base

    def first(self):
        if isinstance(self.value, list):
            return '[' + ', '.join(quantity(v, self.unit) for v in self.value) + ']'
        return quantity(self.value, self.unit)


@dataclass
class Block:
    kind: str            # spike, when, every, on
    head: object         # condition, ms or port; ('crosses', expr, level, up)
    body: list = field(default_factory=list)


def stmt_text(s, units):
    if s[0] == 'let':
        return f'let {s[1]} = {show(s[2], units)}'
    if s[0] == 'hold':
        return f'hold {s[1]} for {num(s[2])} ms'
    _, name, op, e = s
    unit = units.get(name)
    t = show(e, units)
    return f'{name} {op} {t} * (1 {unit})' if unit and op in ('=', '+=', '-=') else f'{name} {op} {t}'


@dataclass
class Neuron:
    name: str
    params: list
    ports: list          # (name, 'num' | 'event' | 'value')
    states: list
    lets: list           # (name, expr)
    odes: dict
    nexts: dict
    outputs: list        # (name, expr); a state's own name: `output v`
    blocks: list
    solve: object = None

    def units(self):
        return {q.name: q.unit for q in self.params + self.states if q.unit}

    def spiking(self):
        return any(b.kind == 'spike' for b in self.blocks)

    def text(self):
        u = self.units()
        o = [f'neuron {self.name} {{']
        o += [f'  param {q.name}: {q.kind()} = {q.first()}' for q in self.params]
        o += [f'  input {p}: {dict(num="real", event="event", value="event real")[k]}' for p, k in self.ports]
        o += [f'  state {q.name}: {q.kind()} = {q.first()}' for q in self.states]
        o += [f'  let {n} = {show(e, u)}' for n, e in self.lets]
        for n, e in self.odes.items():
            o.append(f"  {n}' = {show(e, u)}" + (f' * (1 {u[n]})' if u.get(n) else '') + ' / (1 ms)')
        for n, e in self.nexts.items():
            o.append(f'  next {n} = {show(e, u)}' + (f' * (1 {u[n]})' if u.get(n) else ''))
        for n, e in self.outputs:
            o.append(f'  output {n}' if e == ('v', n) else f'  output {n} = {show(e, u)}')
        for b in self.blocks:
            o.append(f'  {self.head(b, u)} {{ ' + '\n    '.join(stmt_text(s, u) for s in b.body) + ' }')
        if self.solve:
            o.append(f'  solve {self.solve[0]} by {self.solve[1]}')
        return '\n'.join(o) + '\n}\n'

    @staticmethod
    def head(b, u):
        if b.kind == 'every':
            return f'every {num(b.head)} ms'
        if b.kind == 'on':
            return f'on {b.head}'
        word = 'spike when' if b.kind == 'spike' else 'when'
        if b.head[0] == 'crosses':
            _, e, level, up = b.head
            return f'{word} {show(e, u)} crosses {num(level)} {"upward" if up else "downward"}'
        return f'{word} {show(b.head, u)}'


@dataclass
class Synapse:
    name: str
    params: list
    states: list
    lets: list
    odes: dict
    on_pre: list         # own states, 'post.x', lets
    output: object       # expr or None
    nexts: dict = field(default_factory=dict)
    solve: object = None

    def text(self):
        u = {}
        o = [f'synapse {self.name} {{']
        o += [f'  param {q.name}: {q.kind()} = {q.first()}' for q in self.params]
        o.append('  weight w: real = 1')
        o += [f'  state {q.name}: {q.kind()} = {q.first()}' for q in self.states]
        o += [f'  let {n} = {show(e, u)}' for n, e in self.lets]
        o += [f"  {n}' = {show(e, u)} / (1 ms)" for n, e in self.odes.items()]
        o += [f'  next {n} = {show(e, u)}' for n, e in self.nexts.items()]
        if self.on_pre:
            o.append('  on pre { ' + '\n    '.join(stmt_text(s, u) for s in self.on_pre) + ' }')
        if self.output is not None:
            o.append(f'  output I = {show(self.output, u)}')
        if self.solve:
            o.append(f'  solve {self.solve[0]} by {self.solve[1]}')
        return '\n'.join(o) + '\n}\n'


@dataclass
class Rule:
    name: str
    params: list         # Q
    pre: list            # (name, decay expr or None, on-spike stmts)
    post: list
    states: list         # Q
    odes: dict           # of states
    nexts: dict          # of states, and of w
    dw: object           # w' = expr per ms
    on_pre: list         # ('set', 'w' | state, op, expr)
    on_post: list
    every: list          # (ms, stmts)
    bound: object        # (a, b) or None
    lets: list = field(default_factory=list)
    normalize: bool = False

    def text(self):
        u = {}
        o = [f'local rule {self.name} {{']
        o += [f'  param {q.name} = {q.first()}' for q in self.params]
        for side, traces in (('pre', self.pre), ('post', self.post)):
            for n, e, body in traces:
                eq = f"{n}' = {show(e, u)} / (1 ms)" if e is not None else ''
                on = 'on spike { ' + '; '.join(stmt_text(s, u) for s in body) + ' }' if body else ''
                o.append(f'  {side} trace {n} = 0 {{ {eq}{"; " if eq and on else ""}{on} }}')
        o += [f'  state {q.name} = {q.first()}' for q in self.states]
        o += [f'  let {n} = {show(e, u)}' for n, e in self.lets]
        o += [f"  {n}' = {show(e, u)} / (1 ms)" for n, e in self.odes.items()]
        o += [f'  next {n} = {show(e, u)}' for n, e in self.nexts.items()]
        if self.dw is not None:
            o.append(f"  w' = {show(self.dw, u)} / (1 ms)")
        for word, body in (('pre', self.on_pre), ('post', self.on_post)):
            if body:
                o.append(f'  on {word} {{ ' + '\n    '.join(stmt_text(s, u) for s in body) + ' }')
        for ms, body in self.every:
            o.append(f'  every {num(ms)} ms {{ ' + '\n    '.join(stmt_text(s, u) for s in body) + ' }')
        if self.bound:
            o.append(f'  bound w in {num(self.bound[0])} .. {num(self.bound[1])}')
        if self.normalize:
            o.append('  normalize')
        return '\n'.join(o) + '\n}\n'


@dataclass
class Pop:
    name: str
    neuron: str
    n: int
    args: dict = field(default_factory=dict)     # name -> list of values (n of them, each a number or a list)
    source: object = None                        # for library sources: (text, list of (cell, step at which it is stamped))

    def text(self, model):
        if self.source:
            return f'  population {self.name}: {self.source[0]}[{self.n}]'
        u = model.neurons[self.neuron].units()

        def value(v, unit):
            return '[' + ', '.join(value(x, unit) for x in v) + ']' if isinstance(v, list) else quantity(v, unit)
        args = ', '.join(f'{k} = {value(v, u.get(k))}' for k, v in self.args.items())
        return f'  population {self.name}: {self.neuron}{f"({args})" if args else ""}[{self.n}]'


@dataclass
class Conn:
    name: str
    src: str
    dst: str
    port: object         # None where the synapse makes the target jump
    pattern: tuple       # ('all',) ('all', False) ('one_to_one',) ('where', expr of i and j)
    syn: str = 'Direct'
    args: dict = field(default_factory=dict)     # w and parameters: expr over i, j
    delay: object = None                         # None | (axonal expr, dendritic expr or None, words): whole steps
    src_slice: object = None
    dst_slice: object = None

    def text(self, dt):
        end = lambda p, s: p + (f'[{s[0]} .. {s[1]}]' if s else '')
        a = [f'{k} = {show(e, {})}' for k, e in self.args.items()]
        if self.delay:
            ax, de, words = self.delay
            part = lambda e: f'{show(e, {})} * {num(dt)} ms' if dt else f'{show(e, {})} * 1 step'
            if words:
                s = f'({part(ax)}) axonal' + (f' + ({part(de)}) dendritic' if de else '')
            else:
                s = part(ax)
            a.append(f'delay = {s}')
        k = self.pattern[0]
        pat = {'all': 'all()', 'one_to_one': 'one_to_one()'}.get(k)
        if k == 'all' and len(self.pattern) > 1:
            pat = 'all(autapses = false)'
        if k == 'where':
            pat = f'where({show(self.pattern[1], {})})'
        to = end(self.dst, self.dst_slice) + (f'.{self.port}' if self.port else '')
        return f'  connect {end(self.src, self.src_slice)} -> {to} as {self.name}: {pat} via {self.syn}({", ".join(a)})'


@dataclass
class Module:
    """The inside of an architecture: populations, connections and parts (name, module name, number or 0)."""
    name: str
    pops: list
    conns: list
    parts: list = field(default_factory=list)

    def text(self, model):
        o = [f'architecture {self.name} {{']
        o += [f'  part {n}: {m}{f"[{k}]" if k else ""}' for n, m, k in self.parts]
        o += [p.text(model) for p in self.pops]
        o += [c.text(model.dt) for c in self.conns]
        return '\n'.join(o) + '\n}\n'


@dataclass
class Piece:
    steps: int
    stims: list = field(default_factory=list)    # (pop path, port, slice or None, value or list, from step or None, to step or None)
    sets: list = field(default_factory=list)     # before it: ('pop', path, name, slice, value) ('conn', path, name, value) 
    learn: list = field(default_factory=list)    # (conn path, rule)


@dataclass
class Model:
    fns: dict
    neurons: dict
    synapses: dict
    rules: dict
    modules: dict        # the last one is the network
    pieces: list
    dt: float            # ms; 0 for an untimed model
    uses: list = field(default_factory=list)

    def flat(self):
        """(path prefix, module) of the network and its parts."""
        def walk(prefix, m):
            yield prefix, m
            for n, mod, k in m.parts:
                for p in ([f'{n}[{i}].' for i in range(k)] if k else [f'{n}.']):
                    yield from walk(prefix + p, self.modules[mod])
        return list(walk('', list(self.modules.values())[-1]))

    def time(self, steps):
        return f'{num(round(steps * self.dt, 9))} ms' if self.dt else f'{steps} steps'

    def text(self, cut=None, seen=lambda k: True):
        """The file; `cut` gives the pieces of a simulation, `seen` says which of its records it has."""
        o = [f'use {u}' for u in self.uses]
        for group in (self.fns, self.neurons, self.synapses, self.rules):
            o += [x.text() for x in group.values()]
        o += [m.text(self) for m in self.modules.values()]
        o += ['experiment E {', '  let net = Net()']
        end = lambda p, s: p + (f'[{s[0]} .. {s[1]}]' if s else '')
        start = 0
        for k, p in enumerate(self.pieces):
            for kind, path, name, sl, value in p.sets:
                if kind == 'pop':
                    unit = self.unit_of(path, name)
                    o.append(f'  set net.{end(path, sl)}.{name} = ' + self.values(value, unit))
                else:
                    o.append(f'  set net.{path}{sl or ""}.{name} = ' + self.values(value, ''))
            cuts = [p.steps] if not cut else [c for c in cut(p.steps) if c]
            for c, steps in enumerate(cuts):
                o.append(f'  let run{k}_{c} = simulate net for {self.time(steps)}' +
                         (f' step {num(self.dt)} ms' if self.dt else '') + ' {')
                for path, port, sl, value, a, b in p.stims:
                    w = ''
                    if a is not None:
                        w = f' from {self.time(a)} to {self.time(b)}'
                    o.append(f'    stimulate net.{end(path, sl)}.{port} = {self.values(value, "")}{w}')
                for conn, rule in p.learn:
                    o.append(f'    learn net.{conn} by {rule}()')
                o += [f'    record {r}' for k, r in enumerate(self.records()) if seen(k)]
                o.append('  }')
            start += p.steps
        for path, name in self.finals():
            o.append(f'  report {path.replace("[", "_").replace("]", "_").replace(".", "_")}_{name} = net.{path}.{name}')
        return '\n'.join(o) + '\n}\n'

    def records(self):
        o = []
        for prefix, m in self.flat():
            for p in m.pops:
                if p.source:
                    o.append(f'net.{prefix}{p.name}.spikes')
                    continue
                n = self.neurons[p.neuron]
                for q in n.states:
                    o.append(f'net.{prefix}{p.name}.{q.name}')
                for name, e in n.lets + n.outputs:
                    if e != ('v', name):
                        o.append(f'net.{prefix}{p.name}.{name}')
                if n.spiking():
                    o.append(f'net.{prefix}{p.name}.spikes')
        return o

    def finals(self):
        return [(prefix + c.name, 'w') for prefix, m in self.flat() for c in m.conns]

    def unit_of(self, path, name):
        for prefix, m in self.flat():
            for p in m.pops:
                if prefix + p.name == path:
                    return self.neurons[p.neuron].units().get(name, '')
        return ''

    @staticmethod
    def values(v, unit):
        if isinstance(v, list):
            return '[' + ', '.join(Model.values(x, unit) for x in v) + ']'
        return quantity(v, unit)
