"""foregate and transformers on one GPU, in turn: `foregate bench collect`, then transformers_peer.py; prints a table.

    python bench/gpu/compare.py --foregate build/cuda/apps/foregate/foregate [--traces 20000] [--json FILE]

Then foregate in 8 and 4 bits, in no more memory than the cards have that they are for (--quantized-traces 0: not).
"""
import argparse
import json
import pathlib
import subprocess
import sys
from importlib.metadata import version

PEER = pathlib.Path(__file__).with_name("transformers_peer.py")


# Fewer bits, and the memory they are to do with.
QUANTIZED = (("int8", "17GB"), ("nf4", "12GB"))


def ours(binary, traces, batch_tokens, *options):
    output = subprocess.run(
        [binary, "-q", "bench", "collect", "--device", "cuda", "--traces", str(traces),
         "--batch-tokens", str(batch_tokens), "--json", *options], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(output)


def peers(rounds):
    output = subprocess.run([sys.executable, PEER, "--rounds", str(rounds)], stdout=subprocess.PIPE).stdout
    return [json.loads(line) for line in output.splitlines() if line.startswith(b"{")]


def gpu_name():
    return subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
                          check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def print_quantized(runs):
    print("\nforegate, fewer bits, memory capped")
    for (bits, memory), run in zip(QUANTIZED, runs):
        print(f"{bits + ', --max-memory ' + memory:40} {run['tokens_per_second']:10,.0f}   peak "
              f"{run['peak_device_bytes'] / 1e9:.1f} GB, {run['traces']:,} texts, {run['batch_tokens']:,} tokens a batch")


def print_table(run, peer_runs):
    rate, seconds = run["tokens_per_second"], run["seconds"]
    print(f"\n{gpu_name()}; torch {version('torch')}, transformers {version('transformers')}")
    print(f"{run['geometry']}, {run['dtype']}, {run['traces']:,} texts, {run['tokens']:,} tokens")
    print(f"{'':40} {'tokens/s':>10} {'foregate is':>12}")
    print(f"{'foregate, texts in, Parquet out':40} {rate:10,.0f}")
    for peer in peer_runs:
        other = peer["tokens_per_second"]
        print(f"{'transformers, ' + peer['name']:40} {other:10,.0f} {rate / other:11.2f}x")
    print(f"\n{run['traces_per_minute']:,.0f} traces/min; {run['gemm_share']:.0%} of {run['gemm_flops_per_second'] / 1e12:.0f} "
          f"TFLOP/s measured; peak {run['peak_device_bytes'] / 1e9:.1f} GB")
    print("share of the pipeline's time: " + ", ".join(
        f"{stage} {seconds[stage] / seconds['pipeline']:.0%}" for stage in ("read", "forward", "device", "write")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--foregate", required=True)
    parser.add_argument("--traces", type=int, default=20000)
    parser.add_argument("--batch-tokens", type=int, default=0)
    parser.add_argument("--quantized-traces", type=int, default=6144)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", help="also write all numbers here")
    arguments = parser.parse_args()
    run = ours(arguments.foregate, arguments.traces, arguments.batch_tokens)
    peer_runs = peers(arguments.rounds)
    print_table(run, peer_runs)
    quantized = [ours(arguments.foregate, arguments.quantized_traces, 0, "--quantize", bits, "--max-memory", memory)
                 for bits, memory in QUANTIZED] if arguments.quantized_traces else []
    if arguments.json:
        numbers = {"foregate": run, "transformers": peer_runs, "quantized": quantized}
        pathlib.Path(arguments.json).write_text(json.dumps(numbers, indent=1))
    if quantized:
        print_quantized(quantized)


if __name__ == "__main__":
    main()
