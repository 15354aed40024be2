"""How fast `foregate simulate` replays, beside libCacheSim on the same requests, in one run.

usage: simulate.py FOREGATE TRACES [ROUNDS]      TRACES: a trace directory, e.g. of DeepSeek-V2-Lite; libcachesim installed

1. the sweep of 13 policies and 8 budgets, over all cores;
2. LRU, LFU and Belady on one thread with one budget, and libCacheSim's with as many objects. libCacheSim reads its
   requests from a file in memory; foregate decodes Parquet and, for Belady, finds the next uses itself.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pyarrow.parquet as pq

POLICIES = ("lru,lru-layer,lru-token,lfu,lfu-layer,lrfu-2,lrfu-8,lrfu-32,lrfu-32-layer,least-stale,static,belady,"
            "belady-demand")
BUDGETS = "10%,20%,30%,40%,50%,60%,70%,80%"


def simulate(program, traces, *more):
    start = time.perf_counter()
    done = subprocess.run([program, "-q", "simulate", "--traces", traces, "--json", *more], check=True, capture_output=True)
    return time.perf_counter() - start, json.loads(done.stdout)


def write_requests(traces, manifest, path):
    """The trace's requests as libCacheSim's oracleGeneral records, with the next use of each."""
    geometry = manifest["geometry"]
    layers, experts = geometry["num_moe_layers"], geometry["num_experts"]
    parts = []
    for shard in manifest["shards"]:
        for text in pq.read_table(traces / shard["file"], columns=["experts"])["experts"]:
            ids = np.asarray(text.values.flatten() if hasattr(text.values, "flatten") else text.values)
            parts.append((ids.reshape(-1, layers, geometry["top_k"]).astype(np.int64) +
                          experts * np.arange(layers)[None, :, None]).reshape(-1))
    ids = np.concatenate(parts)
    order = np.argsort(ids, kind="stable")
    same = ids[order][1:] == ids[order][:-1]
    following = np.full(len(ids), -1, np.int64)
    following[order[:-1][same]] = order[1:][same]
    records = np.zeros(len(ids), np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")]))
    records["time"], records["id"], records["size"], records["next"] = np.arange(len(ids)), ids + 1, 1, following
    records.tofile(path)
    return len(ids), layers * experts


def main():
    import libcachesim

    program, traces = sys.argv[1], pathlib.Path(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    manifest = json.loads((traces / "manifest.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        requests = pathlib.Path(folder) / "requests.oracleGeneral"
        count, objects = write_requests(traces, manifest, requests)
        print(f"{count:,} requests for {objects:,} experts")
        for _ in range(rounds):
            seconds, _ = simulate(program, traces, "--policy", POLICIES, "--budget", BUDGETS)
            print(f"sweep, 13 policies x 8 budgets: {seconds:.1f} s")
            for name, peer in (("lru", libcachesim.LRU), ("lfu", libcachesim.LFU), ("belady-demand", libcachesim.Belady)):
                slots = objects * 3 // 10
                seconds, _ = simulate(program, traces, "--policy", name, "--budget", str(slots), "--threads", "1")
                reader = libcachesim.TraceReader(str(requests), libcachesim.TraceType.ORACLE_GENERAL_TRACE)
                start = time.perf_counter()
                peer(slots).process_trace(reader)
                other = time.perf_counter() - start
                print(f"{name}: foregate {count / seconds / 1e6:.1f} M/s, libCacheSim {count / other / 1e6:.1f} M/s")


if __name__ == "__main__":
    main()
