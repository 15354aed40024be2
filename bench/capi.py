"""Microseconds a predictor of the C API takes a token and MoE layer, for random predictors of two models' sizes.

usage: bench/capi.py [--build build/cpu] [--rounds 3]

Prints a table: the best of the rounds, one sequence and 16 side by side, 512 tokens each. Random weights cost what
trained ones do; texts repeat ids about as real ones do."""
import argparse
import hashlib
import json
import pathlib
import subprocess
import tempfile

import numpy as np

SIZES = {
    "demo": {"num_moe_layers": 8, "num_experts": 8, "top_k": 2, "hidden_size": 64, "vocab_size": 2048},
    "Qwen1.5-MoE": {"num_moe_layers": 24, "num_experts": 60, "top_k": 4, "hidden_size": 2048, "vocab_size": 151936},
}
KINDS = [("frequency", "next-token"), ("previous-token", "next-token"), ("token-table", "next-token"),
         ("transition", "layer-1"), ("statistics", "next-token"), ("statistics", "layer-1"), ("next-gate", "layer-1"),
         ("gate-adapter", "layer-1"), ("mlp", "layer-1"), ("gate-mlp", "layer-1"), ("transformer", "layer-1")]
WINDOW, SEEN_IDS, SEEN_PAIRS, SEEN_PATHS, PATH_EXPERTS = 8, 2000, 4000, 4000, 8
RANK, WIDTH, EMBEDDING = 32, 256, 64
TRANSFORMER = {"width": 256, "blocks": 1, "heads": 4, "context": 256, "layers_back": 8, "layer_width": 128}
DTYPES = {"float32": "F32", "int64": "I64", "int32": "I32", "int16": "I16"}


def tensors_of(kind, lead, size, random):
    """The tensors that docs/c-api.md lists, filled at random."""
    layers, experts, k, hidden = (size[key] for key in ("num_moe_layers", "num_experts", "top_k", "hidden_size"))
    first = int(lead[6:]) if lead.startswith("layer-") else 0
    rows = layers - first

    def normal(*shape):
        return random.standard_normal(shape, np.float32) * np.float32(0.02)

    def counts(*shape):
        return random.integers(0, 9, shape, np.int32)

    frequency = np.full((layers, experts), k / experts, np.float32)
    if kind in ("frequency", "previous-token"):
        return {"frequency": frequency}
    ids = np.arange(SEEN_IDS, dtype=np.int64)
    table = {"frequency": frequency, "ids": ids, "id_tokens": counts(SEEN_IDS) + 8,
             "id_experts": counts(SEEN_IDS, layers, experts)}
    if kind == "token-table":
        return table
    known = max(0, WINDOW - first + 1)
    if kind == "transition":
        paths = random_paths(layers, experts, first, random)
        return {"frequency": frequency, "evidence": normal(layers, WINDOW, experts, experts), **paths,
                "mixture": normal(rows, 1 + 3 * known + 2)}
    if kind == "statistics":
        pairs = np.unique(random.integers(0, 300, SEEN_PAIRS) << 32 | random.integers(0, 300, SEEN_PAIRS))
        more = {"first_frequency": frequency, "id_first": counts(SEEN_IDS, layers, experts),
                "before_tokens": counts(SEEN_IDS) + 8, "before_experts": counts(SEEN_IDS, layers, experts),
                "pair_ids": pairs.astype(np.int64), "pair_begin": np.arange(len(pairs) + 1, dtype=np.int64) * 2,
                "pair_experts": random.integers(0, experts, (2 * len(pairs), layers, k), np.int16),
                "previous": normal(layers, experts, experts), "mixture": normal(rows, 9 + (2 * known + 2 if first else 0))}
        if first:
            more |= {"transitions": normal(layers, WINDOW, experts, experts),
                     **random_paths(layers, experts, first, random)}
        return {**table, **more}
    if kind == "transformer":
        width, back, inner = (TRANSFORMER[key] for key in ("width", "layers_back", "layer_width"))
        block = {"attention_norm": normal(width), "attention_in": normal(width, 3 * width),
                 "attention_out": normal(width, width), "mlp_norm": normal(width), "mlp_in": normal(width, 4 * width),
                 "mlp_in_bias": normal(4 * width), "mlp_out": normal(4 * width, width)}
        outputs = experts + inner
        return {"ids": ids, "embedding": normal(SEEN_IDS + 1, width), "routing": normal(layers * experts, width),
                "norm": normal(width), "out": normal(width, rows * outputs), "out_bias": normal(rows * outputs),
                **{f"block.0.{name}": tensor for name, tensor in block.items()},
                "known": normal(rows, back * experts, outputs), "layer_out": normal(rows, inner, experts)}
    if kind == "next-gate":
        return {"router": normal(rows, experts, hidden)}
    if kind == "mlp":
        return {"input": normal(rows, hidden, WIDTH), "input_bias": normal(rows, WIDTH),
                "output": normal(rows, WIDTH, experts), "output_bias": normal(rows, experts)}
    gated = {"router": normal(rows, experts, hidden), "gain": normal(rows, hidden), "bias": normal(rows, experts)}
    if kind == "gate-adapter":
        return {**gated, "down": normal(rows, hidden, RANK), "up": normal(rows, RANK, experts)}
    return {**gated, "state_in": normal(rows, hidden, WIDTH), "embedding": normal(size["vocab_size"] + 1, EMBEDDING),
            "ids_in": normal(rows, 3 * EMBEDDING, experts + WIDTH),
            "experts_in": normal(rows, 2 * experts, experts + WIDTH), "inner_bias": normal(rows, WIDTH),
            "inner_out": normal(rows, WIDTH, experts)}


def random_paths(layers, experts, first, random):
    """Of each kind and layer the paths with the lowest ids, at most SEEN_PATHS: all pairs of experts, few longer ones."""
    square = experts ** 2
    span = WINDOW * square + square ** 2 + square ** 3
    starts = [(w * square, square) for w in range(first - 1, WINDOW)]
    starts += [(WINDOW * square, square ** 2), (WINDOW * square + square ** 2, square ** 3)]
    ids = np.concatenate([layer * span + start + np.arange(min(SEEN_PATHS, count), dtype=np.int64)
                          for layer in range(first, layers) for start, count in starts])
    after = min(PATH_EXPERTS, experts)
    chosen = random.integers(0, experts, (len(ids), 1)) + np.arange(after)
    chosen = np.sort(chosen % experts, axis=1)
    return {"path_ids": ids, "path_begin": np.arange(len(ids) + 1, dtype=np.int64) * after,
            "path_experts": chosen.astype(np.int16).ravel(),
            "path_counts": random.integers(1, 9, len(ids) * after, np.int32)}


def write_predictor(directory, kind, lead, size, tensors):
    header, data, position = {}, [], 0
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].itemsize):
        header[name] = {"dtype": DTYPES[str(tensor.dtype)], "shape": tensor.shape,
                        "data_offsets": [position, position + tensor.nbytes]}
        data.append(tensor.tobytes())
        position += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    weights = len(text).to_bytes(8, "little") + text + b"".join(data)
    (directory / "weights.safetensors").write_bytes(weights)
    geometry = {**size, "num_decoder_layers": size["num_moe_layers"], "moe_layers": list(range(size["num_moe_layers"]))}
    (directory / "predictor.json").write_text(json.dumps({
        "format": "foregate-predictor", "format_version": 1, "predictor": kind, "lead": lead, "geometry": geometry,
        "settings": TRANSFORMER if kind == "transformer" else {}, "weights_sha256": hashlib.sha256(weights).hexdigest()}))


def measure(program, directory, sequences, rounds):
    results = [json.loads(subprocess.run([program, directory, str(sequences), "512"], check=True, capture_output=True,
                                         text=True).stdout) for _ in range(rounds)]
    return (min(r["predict_microseconds"] for r in results), min(r["observe_microseconds"] for r in results))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/cpu"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    program = options.build / "bench" / "foregate_bench_capi"
    print("| size | predictor | lead | predict, 1 sequence | predict, 16 sequences | observe | weights |")
    print("|---|---|---|---|---|---|---|")
    for name, size in SIZES.items():
        for kind, lead in KINDS:
            with tempfile.TemporaryDirectory() as folder:
                directory = pathlib.Path(folder)
                tensors = tensors_of(kind, lead, size, np.random.default_rng(1))
                write_predictor(directory, kind, lead, size, tensors)
                one, observe = measure(program, directory, 1, options.rounds)
                many, _ = measure(program, directory, 16, options.rounds)
                total = sum(t.nbytes for t in tensors.values())
                weights = f"{total / 1e6:.1f} MB" if total > 1e5 else f"{total / 1e3:.1f} kB"
                print(f"| {name} | `{kind}` | {lead} | {one:.2f} | {many:.2f} | {observe:.2f} | {weights} |", flush=True)


if __name__ == "__main__":
    main()
