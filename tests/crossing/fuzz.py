"""Crosses features of the language in random networks and holds nnmc to a reference: fuzz.py [--seeds A..B] [--level L]."""
import argparse, collections, os, sys, traceback
import runner
from generate import Gen


def main():
    a = argparse.ArgumentParser()
    a.add_argument('--seeds', default='0..50')
    a.add_argument('--level', type=int, default=3)
    a.add_argument('--nnmc', default=runner.NNMC)
    a.add_argument('--out', default='crossing-out')
    a.add_argument('--no-variants', action='store_true')
    a.add_argument('--resume', action='store_true', help='hold interrupted and resumed runs against whole ones instead')
    a.add_argument('--keep', action='store_true')
    o = a.parse_args()
    runner.NNMC = o.nnmc
    lo, hi = map(int, o.seeds.split('..'))
    tally = collections.Counter()
    for seed in range(lo, hi):
        folder = os.path.join(o.out, str(seed) if o.keep else 'now')
        try:
            model = Gen(seed, o.level).model()
            bad = runner.resumed(model, folder) if o.resume else runner.check(model, folder, variants=not o.no_variants)
            if bad is None:
                raise runner.Refused('too short to be interrupted')
            kind = 'held' if not bad else 'DIFFERS'
            text = '; '.join(bad[:3])
        except runner.Refused as e:
            kind, text = 'refused', ' / '.join(str(e).split('\n')[:3])
        except Exception:
            kind, text = 'reference', traceback.format_exc()[-500:]
        tally[kind] += 1
        if kind != 'held':
            print(seed, kind, text, flush=True)
    print(dict(tally))


main()
