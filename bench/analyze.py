"""Time and peak memory of `foregate analyze` on a long trace of random routing.

    .venv/bin/python bench/analyze.py [--foregate PATH] [--texts 20000] [--tokens 200] [--layers 24] [--experts 60] [--top-k 4]

The trace, by default 4 million tokens of Qwen1.5-MoE's geometry, is made in a temporary folder through `foregate import`. Experts
are drawn at random, some twice as often as others; token ids follow Zipf's law. Random routing is a hard case for the page's
size: runs of equal colour in heat maps are short.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
TILE = 20_000  # tokens drawn; the rest are permutations of them, which takes a tenth of the time


def make_arrays(folder, args):
    rng = np.random.default_rng(0)
    rows = args.texts * args.tokens
    taste = np.linspace(0.5, 1, args.experts)
    drawn = rng.random((TILE, args.layers, args.experts)) * taste
    experts = drawn.argsort(-1)[..., -args.top_k:].astype(np.uint8)
    weights = np.sort(rng.random((TILE, args.layers, args.top_k)), -1)[..., ::-1].astype(np.float16)

    def array(name, dtype, shape):
        return np.lib.format.open_memmap(folder / f"random.{name}.npy", "w+", dtype, shape)

    all_experts = array("experts", np.uint8, (rows, args.layers, args.top_k))
    all_weights = array("gate_weights", np.float16, (rows, args.layers, args.top_k))
    ids = array("token_ids", np.int32, (rows,))
    for start in range(0, rows, TILE):
        count = min(TILE, rows - start)
        order = rng.permutation(TILE)[:count]
        all_experts[start:start + count] = experts[order]
        all_weights[start:start + count] = weights[order]
        ids[start:start + count] = np.minimum(rng.zipf(1.2, count), 150_000)
    with open(folder / "random.meta.jsonl", "w") as file:
        for text in range(args.texts):
            entry = {"first_row": text * args.tokens, "n_tokens": args.tokens, "dataset": f"set-{text % 6}"}
            file.write(json.dumps(entry) + "\n")


def timed(command):
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--foregate", default=ROOT / "build/cpu/apps/foregate/foregate")
    for name, value in (("texts", 20_000), ("tokens", 200), ("layers", 24), ("experts", 60), ("top-k", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        arrays = scratch / "arrays"
        arrays.mkdir()
        make_arrays(arrays, args)
        trace, page = scratch / "trace", scratch / "report.html"
        timed([args.foregate, "import", "--format", "npy", arrays, "--output", trace, "--experts", args.experts])
        wall, cpu, peak = timed([args.foregate, "analyze", "--traces", trace, "--output", page])
        print(f"{args.texts * args.tokens:,} tokens: {wall:.1f} s, {cpu:.1f} s of processor time, peak memory {peak:.2f} GB, "
              f"page {page.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
