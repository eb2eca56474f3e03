#!/usr/bin/env python3
"""Times the models of this folder and, where they are to be had, the same workloads in other tools, and prints ratios.

    cargo build --release && python3 bench/run.py [--repeats 3] [--only s1,t6] [--nnmc target/release/nnmc]

NNM_PEERS names a folder of scripts that print one JSON line with `cpu_s_sim` and `cpu_s_total` (seconds of processor time);
NNM_PEER_PYTHON the interpreter to run them with, NNM_PEER_PYTHONS others by tool (`brian=…,jax=…,torch=…,nest=…`); NNM_DATA
where the images are. Without them only our own times are printed.

Where NNM_PEERS has `ref/ref.c` and there is a C compiler, three rows are held against hand-written loops in C too. Those
compute in single precision, and so do we for that line.

All times are processor time of one thread, so that other work on the machine counts little; the least of the repeats
counts. "work" is the simulation or the training alone: the slope over the simulated time or over the epochs, so that
start, reading, compilation and wiring drop out. "total" is from the start of the process to its end.
"""
import argparse
import atexit
import functools
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
# model; the text that says how long it is, and a longer one with the number of units more; scripts of peers
ROWS = [
    ("s1_cuba", ("for 1 s step", "for 6 s step", 5), [("brian", "sim/s1_cuba_brian.py --backend cpp"), ("nest", "sim/s1_cuba_nest.py"), ("c", "cuba 4000 5 5")]),
    ("s2_coba", ("for 1 s step", "for 6 s step", 5), [("brian", "sim/s2_coba_brian.py --backend cpp"), ("nest", "sim/s2_coba_nest.py")]),
    ("s3_cobahh", ("for 1 s step", "for 3 s step", 2), [("brian", "sim/s3_cobahh_brian.py --backend cpp"), ("nest", "sim/s3_cobahh_nest.py")]),
    ("s4_brunel", ("for 1 s step", "for 2 s step", 1), [("brian", "sim/s4_brunel_brian.py --backend cpp"), ("nest", "sim/s4_brunel_nest.py"), ("c", "brunel 10000 1 1")]),
    ("s5a_stdp", ("let length = 10 s", "let length = 110 s", 10), [("brian", "sim/s5a_song_abbott_brian.py --backend cpp --t 10"), ("nest", "sim/s5a_song_abbott_nest.py --t 10")]),
    ("s5b_stdp_net", ("for 1 s step", "for 4 s step", 3), [("brian", "sim/s5b_stdp_net_brian.py --backend cpp"), ("nest", "sim/s5b_stdp_net_nest.py")]),
    ("s6a_izhikevich", ("for 1 s step", "for 11 s step", 10), [("brian", "sim/s6_izhikevich_brian.py --backend cpp"), ("jax", "sim/s6_izhikevich_jax.py"), ("nest", "sim/s6_izhikevich_nest.py")]),
    ("s6b_izhikevich", ("for 1000 steps", "for 3000 steps", 2), [("jax", "sim/s6_izhikevich_jax.py --syn 0 --n 100000"), ("torch", "sim/s6_izhikevich_torch.py --syn 0 --n 100000 --mode compile"), ("c", "izh 100000 1 1")]),
    ("s7_hodgkin_huxley", ("for 10 s step", "for 60 s step", 5), [("jax", "sim/s7_hh1_jax.py"), ("nest", "sim/s7_hh1_arbor.py"), ("nest", "sim/s7_hh1_neuron.py")]),
    ("t1_mlp", ("epochs 1", "epochs 3", 2), [("jax", "train/t1_mlp_jax.py --mode scan"), ("torch", "train/t1_mlp_torch.py"), ("torch", "train/t1_mlp_torch.py --mode compile")]),
    ("t2_cnn", ("for 937 updates", "for 1874 updates", 1), [("jax", "train/t2_cnn_jax.py --mode scan"), ("torch", "train/t2_cnn_torch.py"), ("torch", "train/t2_cnn_torch.py --mode compile")]),
    ("t3_lstm", ("for 468 updates", "for 936 updates", 1), [("jax", "train/t3_lstm_jax.py --mode scan"), ("torch", "train/t3_lstm_torch.py")]),
    ("t4_transformer", ("for 468 updates", "for 936 updates", 1), [("jax", "train/t4_transformer_jax.py --mode scan"), ("torch", "train/t4_transformer_torch.py")]),
    ("t5_spiking", ("epochs 1", "epochs 3", 2), [("jax", "train/t5_snn_jax.py --mode scan"), ("torch", "train/t5_snn_snntorch.py")]),
    ("t6_digits", ("epochs 50", "epochs 550", 10), [("jax", "train/t6_digits_jax.py --mode scan"), ("torch", "train/t6_digits_torch.py"), ("brian", "train/t6_digits_numpy.py")]),
    ("t7_fa", ("for 10000 updates", "for 110000 updates", 10), [("jax", "train/t7_local_jax.py --rule fa --mode scan"), ("brian", "train/t7_local_numpy.py --rule fa"), ("torch", "train/t7_local_torch.py --rule fa")]),
    ("t7_oja", ("for 10000 updates", "for 110000 updates", 10), [("jax", "train/t7_local_jax.py --rule oja --mode scan"), ("brian", "train/t7_local_numpy.py --rule oja"), ("torch", "train/t7_local_torch.py --rule oja")]),
    ("lif_cold", None, [("jax", "coldstart/lif_jax.py"), ("brian", "coldstart/lif_brian.py"), ("nest", "coldstart/lif_nest.py"), ("torch", "coldstart/lif_torch.py")]),
]


def processor_time(command, **options):
    """Seconds of processor time that a command and its children take, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


def ours(nnmc, model, longer, repeats, *options):
    """Seconds in all, and of the work by itself; `None` where the model does not run."""
    with tempfile.TemporaryDirectory() as out:
        def run(file):
            command = [str(nnmc), "run", str(file), "--data", str(ROOT / "models"), "--out", out, "-q", *options]
            if "NNM_DATA" in os.environ:
                command += ["--data", os.environ["NNM_DATA"]]
            runs = [processor_time(command) for _ in range(repeats)]
            if any(done.returncode != 0 for _, done in runs):
                return None
            return min(seconds for seconds, _ in runs)

        total = run(HERE / f"{model}.nnm")
        if longer is None or total is None:
            return total, None
        short, long, units = longer
        text = (HERE / f"{model}.nnm").read_text()
        file = pathlib.Path(out) / f"{model}.nnm"
        file.write_text(re.sub(r"(?m)^\s*expect .*$", "", text.replace(short, long)))
        more = run(file)
        return total, None if more is None else (more - total) / units


@functools.cache
def reference_in_c(folder):
    """The program of the C loops, compiled once; `None` where that cannot be."""
    source, compiler = pathlib.Path(folder or ".") / "ref" / "ref.c", shutil.which("cc")
    if not source.exists() or not compiler:
        return None
    program = pathlib.Path(tempfile.mkdtemp()) / "ref"
    atexit.register(shutil.rmtree, program.parent)
    done = subprocess.run([compiler, "-O3", "-march=native", "-ffast-math", str(source), "-o", str(program), "-lm"])
    return program if done.returncode == 0 else None


def in_c(arguments, repeats):
    """The least seconds of work for a unit of time, of which the last argument tells how many there are."""
    *arguments, units = arguments.split()
    program = reference_in_c(os.environ.get("NNM_PEERS"))
    runs = [subprocess.run([program, *arguments], capture_output=True, text=True) for _ in range(repeats if program else 0)]
    work = [json.loads(done.stdout)["cpu_s_sim"] / int(units) for done in runs if done.returncode == 0]
    return (None, min(work)) if work else None


def peer(tool, script, repeats):
    """The least seconds in all and of the work, as the script reports them."""
    folder = os.environ.get("NNM_PEERS")
    pythons = dict(pair.split("=", 1) for pair in os.environ.get("NNM_PEER_PYTHONS", "").split(",") if "=" in pair)
    python = pythons.get(tool, os.environ.get("NNM_PEER_PYTHON"))
    if not folder or not python:
        return None
    best = None
    for _ in range(repeats):
        _, done = processor_time([python, *script.split()], cwd=folder)
        if done.returncode != 0 or not done.stdout.strip():
            return None
        line = json.loads(done.stdout.strip().splitlines()[-1])
        found = (line.get("cpu_s_total") or line["wall_s_total"], line.get("cpu_s_sim") or line.get("wall_s_sim"))
        best = found if best is None else tuple(min(a, b) if a and b else a or b for a, b in zip(best, found))
    return best


def seconds(value):
    return f"{value:9.4f}" if value is not None else f"{'-':>9}"


def ratio(a, b):
    return f"{a / b:7.3f}" if a is not None and b else f"{'-':>7}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--nnmc", default=str(ROOT / "target" / "release" / "nnmc"))
    options = parser.parse_args()
    only = [name for name in options.only.split(",") if name]
    print(f"{'workload':18} {'total':>9} {'work':>9}   {'peer':6} {'total':>9} {'work':>9}   {'total':>7} {'work':>7}  (ratios)")
    for model, longer, peers in ROWS:
        if only and not any(model.startswith(name) for name in only):
            continue
        total, work = ours(options.nnmc, model, longer, options.repeats)
        line = f"{model:18} {seconds(total)} {seconds(work)}"
        print(line, flush=True)
        for tool, script in peers:
            other = in_c(script, options.repeats) if tool == "c" else peer(tool, script, options.repeats)
            if other and tool == "c":
                total, work = ours(options.nnmc, model, longer, options.repeats, "--precision", "f32")
                print(f"{model + ' f32':18} {seconds(total)} {seconds(work)}")
            if other:
                ratios = f"{ratio(total, other[0])} {ratio(work, other[1])}"
                print(f"{'':38}   {tool:6} {seconds(other[0])} {seconds(other[1])}   {ratios}", flush=True)


main()
