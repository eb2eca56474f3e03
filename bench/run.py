#!/usr/bin/env python3
"""Times the models of this folder and, where they are to be had, the same workloads in other tools, and prints ratios.

    cargo build --release && python3 bench/run.py [--repeats 5]

NNM_PEERS names a folder of scripts that print one JSON line with `wall_s_sim` and `wall_s_total` (seconds); NNM_PEER_PYTHON
the interpreter to run them with. Without them only our own times are printed. The least of the repeats counts; "sim" of a
simulation is the slope over the simulated time, so that start, compilation and wiring drop out.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
NNMC = ROOT / "target" / "release" / "nnmc"
# model, how long its simulation lasts, the peer's script with its arguments, its name
ROWS = [
    ("s1_cuba.nnm", "1 s", ["sim/s1_cuba_brian.py", "--backend", "cpp", "--t", "1.0"], "Brian2 C++"),
    ("t6_digits.nnm", None, ["train/t6_digits_jax.py", "--mode", "scan"], "JAX scan"),
    ("t2_cnn.nnm", None, ["train/t2_cnn_jax.py", "--mode", "scan"], "JAX scan"),
    ("t3_lstm.nnm", None, ["train/t3_lstm_jax.py", "--mode", "scan"], "JAX scan"),
    ("t4_transformer.nnm", None, ["train/t4_transformer_jax.py", "--mode", "scan"], "JAX scan"),
    ("lif_cold.nnm", None, None, None),
]


def least(command, repeats):
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - start)
    return best


def ours(model, duration, repeats):
    """Seconds in all, and per simulated second where the model simulates one."""
    with tempfile.TemporaryDirectory() as out:
        def run(file):
            data = str(ROOT / "models")
            return least([str(NNMC), "run", str(file), "--data", data, "--out", out, "-q"], repeats)

        total = run(HERE / model)
        if duration is None:
            return total, None
        longer = pathlib.Path(out) / model
        text = (HERE / model).read_text()
        longer.write_text(re.sub(rf"for {duration} step", "for 11 s step", text))
        return total, (run(longer) - total) / 10


def peer(script, repeats):
    folder, python = os.environ.get("NNM_PEERS"), os.environ.get("NNM_PEER_PYTHON", "python3")
    if not folder or not script:
        return None
    best = None
    for _ in range(repeats):
        done = subprocess.run([python, *script], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0 or not done.stdout.strip():
            return None
        line = json.loads(done.stdout.strip().splitlines()[-1])
        if best is None or line["wall_s_sim"] < best["wall_s_sim"]:
            best = line
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    print(f"{'workload':16} {'total s':>8} {'sim s':>8}   {'peer':12} {'total s':>8} {'sim s':>8}   ratio total, sim")
    for model, duration, script, name in ROWS:
        total, sim = ours(model, duration, repeats)
        other = peer(script, repeats)
        line = f"{model[:-4]:16} {total:8.4f} {sim if sim else float('nan'):8.4f}"
        if other:
            theirs = other["wall_s_sim"]
            line += f"   {name:12} {other['wall_s_total']:8.3f} {theirs:8.4f}"
            line += f"   {total / other['wall_s_total']:.4f}, {(sim or total) / theirs:.2f}"
        print(line)


main()
