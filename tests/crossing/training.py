"""Crosses training, evaluation and validation over time: one step of gradient descent against differences of a reference.

training.py [--seeds A..B]: random networks with states, delays, recurrence, parts and formulas of synapses.
"""
import argparse, collections, json, os, random, shutil, subprocess
import numpy as np

NEURONS = {
    # name: (text, has state, output is a state)
    'Act': 'neuron Act { input u: real\n  output y = tanh(u) }',
    'Lin': 'neuron Lin { input u: real\n  output y = u }',
    'Low': "neuron Low { param tau = 5 ms\n  input u: real\n  state r: real = 0.1\n  r' = (u - r) / tau\n  output r }",
    'Sat': "neuron Sat { param tau = 4 ms\n  input u: real\n  state r: real = 0.2\n  r' = (tanh(u) - r) / tau\n  output y = tanh(2 * r) }",
    'Rec': 'neuron Rec { input u: real\n  state r: real = 0.15\n  next r = 0.6 * r + 0.5 * tanh(u)\n  output r }',
    'New': 'neuron New { input u: real\n  state r: real = -0.1\n  next r = 0.5 * r + 0.4 * sin(u)\n  output y = next r }',
    'Two': 'neuron Two { input u: real\n  state r: real = 0.1\n  state s: real = -0.2\n  let q = tanh(r + s)\n  next r = 0.5 * r + 0.3 * q + u\n'
           '  next s = 0.8 * s + 0.2 * r\n  output y = q }',
}
STATEFUL = {'Low', 'Rec', 'Two', 'Sat'}          # their output does not depend on the step's input


def step(kind, s, u):
    """(output, states of the step's end)."""
    if kind == 'Act':
        return np.tanh(u), s
    if kind == 'Lin':
        return u, s
    if kind == 'Low':
        return s['r'], {'r': s['r'] + (1 - np.exp(-1 / 5)) * (u - s['r'])}
    if kind == 'Sat':
        return np.tanh(2 * s['r']), {'r': s['r'] + (1 - np.exp(-1 / 4)) * (np.tanh(u) - s['r'])}
    if kind == 'Rec':
        return s['r'], {'r': 0.6 * s['r'] + 0.5 * np.tanh(u)}
    if kind == 'New':
        r = 0.5 * s['r'] + 0.4 * np.sin(u)
        return r, {'r': r}
    q = np.tanh(s['r'] + s['s'])
    return q, {'r': 0.5 * s['r'] + 0.3 * q + u, 's': 0.8 * s['s'] + 0.2 * s['r']}


FIRST = {'Act': {}, 'Lin': {}, 'Low': {'r': 0.1}, 'Sat': {'r': 0.2}, 'Rec': {'r': 0.15}, 'New': {'r': -0.1}, 'Two': {'r': 0.1, 's': -0.2}}
SYNAPSES = {'Direct': '', 'Pos': 'synapse Pos { weight w: real\n  output u = softplus(w) * pre.y }'}


class Spec:
    def __init__(self, seed):
        r = self.r = random.Random(seed)
        self.k = r.randint(1, 3)
        self.T = r.randint(3, 12)
        self.pops, self.conns = [], []            # (name, kind, n, in part) (name, src, dst, form, delay, w, syn)
        for k in range(r.randint(1, 3)):
            self.pops.append((f'h{k}', r.choice(list(NEURONS)), r.randint(1, 4)))
        self.pops.append(('z', r.choice(list(NEURONS)), r.randint(1, 3)))
        self.part = r.random() < 0.3
        order = ['x'] + [p[0] for p in self.pops]
        kinds = {p[0]: p[1] for p in self.pops}
        for k, (name, kind, n) in enumerate(self.pops):
            src = 'x' if k == 0 else r.choice(order[1 if k > 1 else 1:k + 1])
            self.add(src, name, r.choice(['dense', 'nobias', 'all']), self.delay(src, r.random() < 0.4))
        for _ in range(r.randint(0, 3)):
            a, b = r.choice(order[1:]), r.choice(order[1:])
            later = order.index(a) < order.index(b)
            delayed = r.random() < 0.7 or not (later or kinds[a] in STATEFUL)
            if self.part and ('h0' in (a, b)) and (a, b) != ('h0', 'h0'):
                continue
            if self.part and a == 'h0' and b == 'h0' and kinds[a] not in STATEFUL:
                continue
            delay = self.delay(a, delayed)
            if delay is None and not (later or kinds[a] in STATEFUL):
                continue
            self.add(a, b, r.choice(['nobias', 'all']), delay)
        self.loss = r.choice(['mean_t', 'last', 'sum_t'])
        self.x = [[round(r.uniform(-1.5, 1.5), 3) for _ in range(self.k)] for _ in range(2)]
        self.g = [[round(r.uniform(-1, 1), 3) for _ in range(self.size('z'))] for _ in range(2)]

    def size(self, name):
        return self.k if name == 'x' else next(p[2] for p in self.pops if p[0] == name)

    def delay(self, src, want):
        if src == 'x' or not want or (self.part and src == 'h0'):
            return None
        return self.r.choice([1, 2, 3])

    def add(self, src, dst, form, delay):
        w = tuple(round(self.r.uniform(-0.6, 0.6), 3) for _ in range(4))
        syn = 'Pos' if self.r.random() < 0.2 and src != 'x' and not (self.part and src == 'h0') and \
            all(p[1] in ('Act', 'Lin', 'Sat', 'New', 'Two') for p in self.pops if p[0] == src) else 'Direct'
        if self.part:                          # what is trained without further word
            form = 'nobias' if form == 'all' else form
        self.conns.append((f'c{len(self.conns)}', src, dst, form, delay, w, syn))

    # ---- text ----
    def connection(self, c, src=None):
        name, s, dst, form, delay, w, syn = c
        pat = {'dense': 'dense()', 'nobias': 'dense(bias = false)', 'all': 'all()'}[form]
        args = [f'w = {w[0]} + {w[1]} * i * (1 + j) - {abs(w[2])} * cos(i + 2 * j)']
        if delay:
            args.append(f'delay = {delay} ms')
        return f'  connect {src or s} -> {dst} as {name}: {pat} via {syn}({", ".join(args)})'

    def inner(self):
        return [c for c in self.conns if self.part and c[2] == 'h0']

    def text(self, rate):
        o = ['use std.objectives.SquaredError', 'use std.rules.Backprop', 'use std.optimizers.SGD']
        o += [NEURONS[k] for k in sorted({p[1] for p in self.pops})]
        o += [SYNAPSES[k] for k in sorted({c[6] for c in self.conns}) if SYNAPSES[k]]
        inner = self.inner()
        if self.part:
            p = self.pops[0]
            o += [f'architecture Enc {{\n  input x: real[{self.k}]\n  population h0: {p[1]}[{p[2]}]',
                  *[self.connection(c) for c in inner], '  output y = h0\n}']
        o += [f'architecture Net {{\n  input x: real[{self.k}]'] + (['  part enc: Enc'] if self.part else [])
        o += [f'  population {n}: {k}[{m}]' for n, k, m in self.pops[1 if self.part else 0:]]
        for c in self.conns:
            if c not in inner:
                o.append(self.connection(c, 'x |> enc' if self.part and c[1] == 'h0' else None))
        o += ['}', 'experiment E {', '  precision f64', '  let net = Net()', f'  data d = table(x = {self.x}, g = {self.g})']
        e = f'SquaredError({self.loss}(net.z), g)'
        given = f'given x = x for {self.T} ms step 1 ms' if self.timed() else f'given x = x for {self.T} steps'
        names = ', '.join(c[0] for c in self.conns)
        over = '' if self.part else f' over net.{{{names}}}'
        o += [f'  report before = evaluate({e} on d {given})', f'  report out = collect({self.loss}(net.z) on d {given})',
              f'  let run = train net on d {{\n    {given}',
              f'    minimize {e}{over} by Backprop with SGD(rate = {rate})', '    validate on d', '    batch 2', '    epochs 1',
              '  }', '  report loss = run.loss', '  report valid = run.validation', f'  report after = evaluate({e} on d)']
        for c in self.conns:
            o.append(f'  report w_{c[0]} = net.{self.path(c[0])}.w')
            if c[3] == 'dense':
                o.append(f'  report b_{c[0]} = net.{self.path(c[0])}.b')
        return '\n'.join(o) + '\n}\n'

    def path(self, name):
        return f'enc.{name}' if any(c[0] == name for c in self.inner()) else name

    def timed(self):
        return True

    # ---- reference ----
    def weights(self):
        out = {}
        for name, s, d, form, delay, w, syn in self.conns:
            i, j = np.arange(self.size(s))[None, :], np.arange(self.size(d))[:, None]
            out['w_' + name] = w[0] + w[1] * i * (1 + j) - abs(w[2]) * np.cos(i + 2 * j)
            if form == 'dense':
                out['b_' + name] = np.zeros(self.size(d))
        return out

    def outputs(self, W, x):
        states = {n: {k: np.full(m, v) for k, v in FIRST[kind].items()} for n, kind, m in self.pops}
        kinds = {p[0]: p[1] for p in self.pops}
        past, zs = {n: [] for n in kinds}, []
        for t in range(self.T):
            now = {'x': np.array(x, float)}

            def value(n):
                if n not in now:
                    now[n] = step(kinds[n], states[n], None if kinds[n] in STATEFUL - {'Sat'} and False else port(n))[0] \
                        if kinds[n] not in STATEFUL else self.state_output(kinds[n], states[n])
                return now[n]

            def port(n):
                u = np.zeros(self.size(n))
                for name, s, d, form, delay, w, syn in self.conns:
                    if d != n:
                        continue
                    M = W['w_' + name]
                    M = np.logaddexp(0, M) if syn == 'Pos' else M
                    if delay:
                        u = u + M @ (past[s][t - delay] if t >= delay else np.zeros(self.size(s)))
                    else:
                        u = u + M @ value(s)
                    if form == 'dense':
                        u = u + W['b_' + name]
                return u
            for n in kinds:
                value(n)
            u = {n: port(n) for n in kinds}
            for n in kinds:
                past[n].append(now[n])
                states[n] = step(kinds[n], states[n], u[n])[1]
            zs.append(now['z'])
        zs = np.array(zs)
        return {'mean_t': zs.mean(0), 'last': zs[-1], 'sum_t': zs.sum(0)}[self.loss]

    @staticmethod
    def state_output(kind, s):
        return np.tanh(2 * s['r']) if kind == 'Sat' else np.tanh(s['r'] + s['s']) if kind == 'Two' else s['r']

    def start(self, W, x, name, seen=None):
        """What a population puts out at first, where nothing has come delayed."""
        kinds = {p[0]: p[1] for p in self.pops}
        kind = kinds[name]
        if seen and name in seen:
            self.unsure = True
            return np.zeros(self.size(name))
        seen = (seen or []) + [name]
        s = {k: np.full(self.size(name), v) for k, v in FIRST[kind].items()}
        if kind in STATEFUL:
            return self.state_output(kind, s)
        u = np.zeros(self.size(name))
        for c, a, d, form, delay, w, syn in self.conns:
            if d == name:
                M = np.logaddexp(0, W['w_' + c]) if syn == 'Pos' else W['w_' + c]
                y = np.array(x, float) if a == 'x' else self.start(W, x, a, seen)
                if delay and kinds[a] not in STATEFUL:
                    self.unsure = True
                u = u + M @ y + (W['b_' + c] if form == 'dense' else 0)
        return step(kind, s, u)[0]

    unsure = False

    def error(self, W):
        return np.mean([0.5 * np.sum((self.outputs(W, x) - np.array(g)) ** 2) for x, g in zip(self.x, self.g)])


def nnmc(binary, path, folder, *more):
    shutil.rmtree(folder, ignore_errors=True)
    r = subprocess.run([binary, 'run', path, '--out', folder, '-q', *more], capture_output=True, text=True, timeout=300)
    if r.returncode:
        raise RuntimeError(r.stderr)
    out = {}
    for x in json.load(open(os.path.join(folder, 'results.json')))['reports']:
        out[x['name']] = np.array(x['values']).reshape(x['shape']) if 'shape' in x else np.array(x['value'])
    return out


def check(seed, binary, folder):
    os.makedirs(folder, exist_ok=True)
    s, rate = Spec(seed), 0.7
    path = os.path.join(folder, 'm.nnm')
    open(path, 'w').write(s.text(rate))
    W = s.weights()
    out = np.array([s.outputs(W, x) for x in s.x])
    loss, bad = s.error(W), []
    if s.unsure:
        return None
    got = nnmc(binary, path, os.path.join(folder, 'out'))

    def hold(name, a, b, tol):
        a, b = np.asarray(a, float).ravel(), np.asarray(b, float).ravel()
        if a.shape != b.shape or not np.all(np.abs(a - b) <= tol * (1 + np.abs(b))):
            bad.append(f'{name}: {a[:4]} reference {b[:4]}')
    hold('collect', got['out'], out, 1e-11)
    hold('evaluate', got['before'], loss, 1e-11)
    hold('loss', got['loss'], loss, 1e-11)
    for name, w in W.items():
        g = np.zeros_like(w)
        for at in np.ndindex(w.shape):
            d = {}
            for sign in (1, -1, 2, -2):
                V = {k: v.copy() for k, v in W.items()}
                V[name][at] += sign * 1e-4
                d[sign] = s.error(V)
            g[at] = (8 * (d[1] - d[-1]) - (d[2] - d[-2])) / 12e-4
        hold('gradient of ' + name, (w - np.asarray(got[name]).reshape(w.shape)) / rate, g, 2e-8)
    after = s.error({k: np.asarray(got[k]).reshape(w.shape) for k, w in W.items()})
    hold('evaluate after', got['after'], after, 1e-10)
    hold('validation', np.ravel(got['valid'])[-1], after, 1e-10)
    return bad


def main():
    a = argparse.ArgumentParser()
    a.add_argument('--seeds', default='0..50')
    a.add_argument('--nnmc', default=os.environ.get('NNMC', 'nnmc'))
    a.add_argument('--out', default='training-out')
    o = a.parse_args()
    lo, hi = map(int, o.seeds.split('..'))
    tally = collections.Counter()
    for seed in range(lo, hi):
        try:
            bad = check(seed, o.nnmc, os.path.join(o.out, str(seed)))
            kind = 'unsure' if bad is None else 'DIFFERS' if bad else 'held'
            text = '; '.join(bad or [])
        except (RuntimeError, RecursionError) as e:
            kind, text = 'refused', ' / '.join(str(e).split('\n')[:4])
        tally[kind] += 1
        if kind in ('DIFFERS', 'refused'):
            print(seed, kind, text[:600], flush=True)
    print(dict(tally))


if __name__ == '__main__':
    main()
