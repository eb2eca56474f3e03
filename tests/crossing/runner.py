"""Runs nnmc on a model and holds what it computed against the reference."""
import copy, csv, json, os, re, shutil, signal, subprocess, time
import numpy as np
from expr import names
from reference import Net

NNMC = os.environ.get('NNMC', 'nnmc')


class Refused(Exception):
    pass


def call(*args):
    r = subprocess.run([NNMC, *args], capture_output=True, text=True, timeout=120)
    return r.returncode, r.stdout, r.stderr


def groups_of(model, path):
    """What is solved together and how, as `explain --solvers` tells it: [(names, method)].

    It is asked with full connections, as it tells another place than the run takes for sparse ones.
    """
    whole = path[:-4] + '.explained.nnm'
    open(whole, 'w').write(re.sub(r': where\(.*\) via ', ': all() via ', model.text()))
    code, out, err = call('explain', whole, '--solvers')
    if code:
        raise Refused(err)
    found = []
    for line in out.splitlines():
        m = re.match(r'\s*(\S+): (.+?) by (\w+)', line)
        if m and ': state' not in line.split(' by ')[0]:
            found.append((m[1], [x.strip() for x in m[2].split(',')], m[3]))

    def bind(net):
        out, used = [], set()
        for p in net.pops.values():
            if not p.neuron:
                continue
            for where, names, method in found:
                if where in (p.path, p.spec.name):
                    keys = []
                    for n in names:
                        if n in p.states:
                            keys.append((p.path, n))
                        else:
                            cname, s = n.rsplit('.', 1)
                            prefix = p.path[:len(p.path) - len(p.spec.name)]
                            path = prefix + cname
                            keys.append((path, s))
                    if any(k in used for k in keys):
                        continue
                    used.update(keys)
                    out.append((keys, method))
        for c in net.conns.values():
            for where, names, method in found:
                if where in (c.path, c.spec.name):
                    names = [n.rsplit('.', 1)[-1] for n in names if '.' not in n or n.rsplit('.', 1)[0].split('.')[-1] == c.spec.name]
                    keys = [(c.path, n) for n in names if (c.path, n) not in used and c.syn and n in c.syn.odes]
                    if keys:
                        used.update(keys)
                        out.append((keys, method))
        # States of one connection that live in different places are told apart there, but are solved together.
        for c in net.conns.values():
            mine = [g for g in out if all(k[0] == c.path for k in g[0])]
            merged = True
            while merged:
                merged = False
                for a in mine:
                    for b in mine:
                        if a is not b and a[1] == b[1] and refer(c, a[0], b[0]):
                            mine = [g for g in mine if g is not a and g is not b] + [(a[0] + b[0], a[1])]
                            out = [g for g in out if g is not a and g is not b] + [mine[-1]]
                            merged = True
                            break
                    if merged:
                        break
        todo = {(p.path, s) for p in net.pops.values() if p.neuron for s in p.neuron.odes}
        todo |= {(c.path, s) for c in net.conns.values() if c.syn for s in c.syn.odes}
        if todo - used:
            raise KeyError(f'no solver known for {todo - used} in\n{"".join(str(f) for f in found)}')
        net.methods = {(where, n.rsplit('.', 1)[-1]): method for where, ns, method in found for n in ns}
        return out
    return bind


def refer(c, a, b):
    """Whether an equation of `a` reads a state of `b`, or the other way."""
    def read(keys):
        out = set()
        for _, s in keys:
            todo, seen = list(names(c.syn.odes[s])), set()
            while todo:
                x = todo.pop()
                if x in c.lets and x not in seen:
                    todo += names(c.lets[x])
                seen.add(x)
            out |= seen
        return out
    return bool(read(a) & {s for _, s in b} or read(b) & {s for _, s in a})


def recorded(folder):
    """Series and spikes of a run folder: {name: array}, {name: [(cell, time)]}."""
    series, spikes = {}, {}
    d = os.path.join(folder, 'recorded')
    for f in sorted(os.listdir(d)) if os.path.isdir(d) else []:
        if f.endswith('.time_ms.npy') or f.startswith('report.'):
            continue
        if f.endswith('.spikes.csv'):
            rows = list(csv.reader(open(os.path.join(d, f))))[1:]
            spikes[f[:-11]] = [(int(a), float(b)) for a, b in rows]
        elif f.endswith('.npy'):
            x = np.load(os.path.join(d, f))
            series[f[:-4]] = x.reshape(len(x), -1)
    reports = {r['name']: r for r in json.load(open(os.path.join(folder, 'results.json')))['reports']}
    return series, spikes, reports


def run(path, folder, *options):
    shutil.rmtree(folder, ignore_errors=True)
    code, out, err = call('run', path, '--out', folder, '-q', *options)
    if code:
        raise Refused(f'status {code}\n{err}')
    return recorded(folder)


def far(a, b, tol):
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        return f'shapes {a.shape} {b.shape}'
    d = np.abs(a - b) / (1 + np.abs(b))
    d = np.where(np.isnan(a) & np.isnan(b), 0, d)
    bad = ~(d <= tol)
    if bad.any():
        at = tuple(int(x) for x in np.argwhere(bad)[0])
        return f'at {at}: {a[at]!r} reference {b[at]!r} (largest {np.nanmax(d):.3g}, {bad.sum()} of {bad.size})'


def differences(model, got, folder, tol=1e-9):
    """What nnmc computed against the reference, first in time first."""
    series, spikes, reports = got
    bad = []
    net = got_net(model)
    for (piece, path, name), rows in net.rows.items():
        key = f'run{piece}_0.{path}.{name}'
        if key not in series:
            bad.append((1e9, f'{key} is not there: {list(series)[:5]}'))
            continue
        ref = np.array(rows)
        if series[key].shape[1] == 1 and name not in net.pops[path].states:     # what no cell makes different is one column
            ref = ref[:, :1] if (ref == ref[:, :1]).all() else ref
        what = far(series[key], ref, tol)
        if what:
            row = int(re.search(r'at \((\d+)', what)[1]) if 'at (' in what else -1
            bad.append((piece * 1e6 + row, f'{key} {what}'))
    start = 0
    for k, piece in enumerate(model.pieces):
        for path, p in net.pops.items():
            key = f'run{k}_0.{path}'
            if not Net.sends_spikes(p):
                continue
            want = [(int(c), round((start + s + 1) * (model.dt or 1), 6)) for s in range(piece.steps)
                    for c in np.flatnonzero(p.spikes[start + s])]
            have = [(c, round(t, 6)) for c, t in spikes.get(key, [])] if key in spikes else None
            if have is None or sorted(want) != sorted(have):
                a, b = sorted(set(want) - set(have or [])), sorted(set(have or []) - set(want))
                bad.append((k * 1e6 + 1e5, f'spikes of {key}: missing {a[:4]} surplus {b[:4]} of {len(want)}'))
        start += piece.steps
    for path, c in net.conns.items():
        name = path.replace('[', '_').replace(']', '_').replace('.', '_') + '_w'
        r = reports.get(name)
        if r is None:
            bad.append((1e8, f'no report {name}'))
            continue
        v = np.array(r['values']) if not np.prod(r.get('shape') or [1]) else np.load(os.path.join(folder, 'recorded', f'report.{name}.npy')) if r.get('shape') else np.array(r.get('values', r.get('value')), float)
        ref = c.w
        if v.ndim == 2:
            (a, b), (cc, d) = c.shape
            v = v[c.J - cc, c.I - a]
        elif v.size == 1:
            v = np.broadcast_to(v.ravel(), ref.shape)
        what = far(v, ref, tol)
        if what:
            bad.append((1e7, f'{name} {what}'))
    return sorted(bad)


_net = {}


def got_net(model):
    return _net[id(model)]


def largest(net):
    return max([np.nanmax(np.abs(r)) for rows in net.rows.values() for r in rows] + [0])


def simulate(model, path):
    net = Net(model, groups_of(model, path))
    with np.errstate(all='ignore'):
        net.run()
    if net.loop:
        raise Refused('first values in a loop of delayed connections are not modelled')
    _net.clear()
    _net[id(model)] = net
    return net


def same(a, b):
    """Whether two runs have the same bits."""
    out = []
    for x, y in zip(a[:2], b[:2]):
        for k in x:
            if k not in y or not (np.array_equal(x[k], y[k], equal_nan=True) if isinstance(x[k], np.ndarray) else x[k] == y[k]):
                out.append(k)
    out += [k for k in a[2] if a[2][k] != b[2][k]]
    return out


def joined(got, model, cuts):
    """A run in pieces as the whole one: rows that two pieces share are taken once."""
    series, spikes, reports = got
    s2, p2 = {}, {}
    for k in series:
        m = re.match(r'run(\d+)_(\d+)\.(.*)', k)
        s2.setdefault((m[1], m[3]), {})[int(m[2])] = series[k]
    for k in spikes:
        m = re.match(r'run(\d+)_(\d+)\.(.*)', k)
        p2.setdefault((m[1], m[3]), {})[int(m[2])] = spikes[k]
    a = {f'run{p}_0.{n}': np.concatenate([x[0]] + [x[i][1:] for i in sorted(x)[1:]]) for (p, n), x in s2.items()}
    b = {f'run{p}_0.{n}': sum((x[i] for i in sorted(x)), []) for (p, n), x in p2.items()}
    return a, b, reports


def resumed(model, folder, factor=4000):
    """Interrupts a long run of a model and goes on with it: names of what has other bits; None where it was too short."""
    os.makedirs(folder, exist_ok=True)
    long = copy.deepcopy(model)
    for p in long.pieces:
        p.steps *= factor
        p.stims = [s[:4] + (None if s[4] is None else s[4] * factor, None if s[5] is None else s[5] * factor) for s in p.stims]
    path, out = os.path.join(folder, 'long.nnm'), os.path.join(folder, 'out')
    open(path, 'w').write(long.text())
    begin = time.time()
    whole = run(path, out)
    spent = time.time() - begin
    shutil.rmtree(out, ignore_errors=True)
    p = subprocess.Popen([NNMC, 'run', path, '--out', out, '-q'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.4 * spent)
    p.send_signal(signal.SIGINT)
    p.communicate()
    if p.returncode != 130:
        return None
    code, _, err = call('run', path, '--resume', out, '-q')
    if code:
        return [f'resume: status {code} {err[:300]}']
    return same(whole, recorded(out))


def check(model, folder, variants=True, tol=1e-9):
    """All that is wrong with a model: lines; Refused where nnmc takes it for wrong."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, 'm.nnm')
    open(path, 'w').write(model.text())
    simulate(model, path)
    out = os.path.join(folder, 'out')
    got = run(path, out)
    if largest(got_net(model)) > 1e3:
        raise Refused('unstable')
    bad = [w for _, w in differences(model, got, out, tol)]
    if bad or not variants:
        return bad
    for options in (['--backend', 'interp'], ['--threads', '2'], ['--threads', '3']):
        other = run(path, out, *options)
        diff = same(got, other)
        if diff:
            bad.append(f'{" ".join(options)}: other bits in {diff[:6]}')
    cut = os.path.join(folder, 'cut.nnm')
    open(cut, 'w').write(model.text(cut=lambda n: [n // 3, n - n // 3 - n // 4, n // 4]))
    other = joined(run(cut, out), model, None)
    diff = same(got, other)
    if diff:
        bad.append(f'in pieces: other bits in {diff[:6]}')
    few = os.path.join(folder, 'few.nnm')
    for left in range(3):
        open(few, 'w').write(model.text(seen=lambda k: k % 3 == left))
        diff = same(run(few, out), got)
        if diff:
            bad.append(f'with fewer records: other bits in {diff[:6]}')
    return bad
