"""The smallest models with the differences of some seeds: small.py SEED … [--level L]."""
import argparse, os
import reduce, runner
from generate import Gen

a = argparse.ArgumentParser()
a.add_argument('seeds', type=int, nargs='+')
a.add_argument('--level', type=int, default=3)
a.add_argument('--nnmc', default=runner.NNMC)
a.add_argument('--out', default='crossing-out')
a.add_argument('--seconds', type=float, default=60)
a.add_argument('--refused', default='')
a.add_argument('--variants', action='store_true')
o = a.parse_args()
runner.NNMC = o.nnmc
for seed in o.seeds:
    folder = os.path.join(o.out, f'small{seed}')

    def fails(m):
        try:
            return bool(runner.check(m, folder, variants=o.variants)) and not o.refused
        except runner.Refused as e:
            return bool(o.refused) and o.refused in str(e)

    m = reduce.reduce(Gen(seed, o.level).model(), fails, o.seconds)
    print(f'=== {seed}\n' + ('\n'.join(runner.check(m, folder, variants=o.variants)) if fails(m) and not o.refused else ''))
    print(m.text())
    os.system(f'{o.nnmc} explain {folder}/m.nnm --solvers')
