"""Generating on one GPU, in turns: `foregate bench generate`, transformers and llama.cpp; prints a table.

    python bench/gpu/generate.py --foregate build/cuda/apps/foregate/foregate [--llama-bench PATH --gguf FILE] [--json FILE]

Random weights of one geometry (llama.cpp: the GGUF file's, which should have it), random prompts, the likeliest token
each time. foregate runs in bfloat16, int8 and NF4, transformers in bfloat16 in the ways of
transformers_generation_peer.py. A cell is a number of texts at once and the length of their prompts. Sides take turns, so that a
card that grows hot slows all of them; of each the best turn counts. Loading never counts. A side that fails is named
with what it said, and the others go on. llama-bench decodes one text, behind an empty context.
"""
import argparse
import json
import pathlib
import subprocess
import sys
from importlib.metadata import version

PEER = pathlib.Path(__file__).with_name("transformers_generation_peer.py")
RATES = ("prefill_tokens_per_second", "decode_tokens_per_second")


class Failed(Exception):
    """What a side said when it did not run."""


def output_of(command):
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    except OSError as error:
        raise Failed(str(error)) from error
    if done.returncode != 0:
        raise Failed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:300])
    return done.stdout


def foregate(arguments, kind):
    """Rows of one way to keep the weights."""
    rows = []
    for texts, length in arguments.cells:
        result = json.loads(output_of(
            [arguments.foregate, "-q", "bench", "generate", "--geometry", arguments.geometry, "--device", arguments.device,
             "--dtype", "bfloat16", "--quantize", kind, "--texts", texts, "--prompt-tokens", length, "--tokens",
             arguments.tokens, "--rounds", arguments.rounds, "--json"]))
        rows.append({"name": f"foregate, {'bfloat16' if kind == 'none' else kind}", "texts": texts, "prompt_tokens": length,
                     "peak_device_bytes": result["peak_device_bytes"]} | {rate: result[rate] for rate in RATES})
    return rows


def transformers(arguments):
    cells = [f"{texts}x{length}" for texts, length in arguments.cells]
    output = output_of([sys.executable, PEER, "--geometry", arguments.geometry, "--device", arguments.device, "--tokens",
                        arguments.tokens, "--rounds", arguments.rounds, "--cells", *cells,
                        *(["--no-compile"] if arguments.no_compile else [])])
    rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [row | {"name": "transformers, " + row["name"]} for row in rows]


def llama_cpp(arguments):
    lengths = sorted({length for _, length in arguments.cells})
    output = output_of([arguments.llama_bench, "-m", arguments.gguf, "-p", ",".join(map(str, lengths)), "-n",
                        arguments.tokens, "-r", arguments.rounds, "-ngl", 99, "-fa", 1, "-o", "json"])
    runs = json.loads(output)
    decode = next(run["avg_ts"] for run in runs if run["n_prompt"] == 0)
    return [{"name": f"llama.cpp, {run['model_type']}", "texts": 1, "prompt_tokens": run["n_prompt"],
             "prefill_tokens_per_second": run["avg_ts"], "decode_tokens_per_second": decode}
            for run in runs if run["n_gen"] == 0]


def sides(arguments):
    """By name, what runs each."""
    found = {f"foregate, {kind}": lambda kind=kind: foregate(arguments, kind) for kind in arguments.kinds}
    if not arguments.no_transformers:
        found["transformers"] = lambda: transformers(arguments)
    if arguments.llama_bench:
        found["llama.cpp"] = lambda: llama_cpp(arguments)
    return found


def better(one, other):
    """The best rates of two runs of the same thing."""
    if "error" in one or "error" in other:
        return other if "error" in one else one
    return one | {rate: max(one[rate], other[rate]) for rate in RATES}


def measure(arguments):
    best = {}
    for turn in range(arguments.turns):
        for name, run in sides(arguments).items():
            try:
                rows = run()
            except (Failed, KeyError, StopIteration, ValueError) as failure:
                rows = [{"name": name, "texts": 0, "prompt_tokens": 0, "error": str(failure) or type(failure).__name__}]
            for row in rows:
                key = row["name"], row["texts"], row["prompt_tokens"]
                best[key] = better(best[key], row) if key in best else row
            print(f"turn {turn + 1} of {arguments.turns}: {name}", file=sys.stderr, flush=True)
    return list(best.values())


def device_name(device):
    if not device.startswith("cuda"):
        return device
    return output_of(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]).splitlines()[0]


def print_table(arguments, rows):
    print(f"{device_name(arguments.device)}; torch {version('torch')}, transformers {version('transformers')}")
    print(f"{arguments.geometry}, {arguments.tokens} tokens added, best of {arguments.turns} turns of {arguments.rounds} rounds")
    print(f"{'':48} {'texts':>6} {'prompt':>7} {'prefill, tokens/s':>18} {'decode, tokens/s':>17} {'peak, GB':>9}")
    for row in sorted(rows, key=lambda row: (row["texts"], row["prompt_tokens"], row["name"])):
        if "error" in row:
            print(f"{row['name']:48} does not run: {row['error']}")
            continue
        peak = f"{row['peak_device_bytes'] / 1e9:9.1f}" if row.get("peak_device_bytes") else ""
        print(f"{row['name']:48} {row['texts']:6} {row['prompt_tokens']:7} {row[RATES[0]]:18,.0f} {row[RATES[1]]:17,.1f} {peak}")


def cell_of(text):
    texts, length = text.split("x")
    return int(texts), int(length)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--foregate", required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--geometry", default="qwen1.5-moe-a2.7b")
    parser.add_argument("--kinds", nargs="+", default=["none", "int8", "nf4"], help="--quantize of foregate's runs")
    parser.add_argument("--cells", type=cell_of, nargs="+", default=[(1, 512), (32, 512), (1, 2048)],
                        metavar="TEXTSxPROMPT")
    parser.add_argument("--tokens", type=int, default=128, help="added to each text")
    parser.add_argument("--rounds", type=int, default=2, help="of a turn, after one to warm up")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--llama-bench", help="llama.cpp's program of this name")
    parser.add_argument("--gguf", help="the model that it runs")
    parser.add_argument("--no-transformers", action="store_true")
    parser.add_argument("--no-compile", action="store_true", help="of transformers, only the ways without torch.compile")
    parser.add_argument("--json", type=pathlib.Path, help="also write all numbers here")
    arguments = parser.parse_args()
    if bool(arguments.llama_bench) != bool(arguments.gguf):
        parser.error("--llama-bench and --gguf go together")
    rows = measure(arguments)
    print_table(arguments, rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
