"""Peak memory of quantising a checkpoint while it is loaded.

Makes a synthetic Qwen1.5-MoE-like checkpoint of some 3 GB in bfloat16 in a temporary folder, starts `foregate collect`
on a few texts with each quantisation and reads the peak resident memory of the process (anonymous and mapped pages
together, as VmHWM counts them). Fails if a peak is over 1.3 times the quantised weights plus 1 GB.

    python bench/quantize_memory.py [--foregate PATH] [--layers N] [--keep FOLDER]
"""
import argparse
import json
import math
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEMO = ROOT / "examples/demo"
HIDDEN, EXPERTS, INNER, SHARED = 1536, 60, 1024, 4096
UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9}


def config(layers, vocabulary):
    return {"model_type": "qwen2_moe", "vocab_size": vocabulary, "hidden_size": HIDDEN, "hidden_act": "silu",
            "num_hidden_layers": layers, "num_attention_heads": 12, "num_key_value_heads": 12,
            "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "use_sliding_window": False,
            "tie_word_embeddings": False, "decoder_sparse_step": 1, "moe_intermediate_size": INNER,
            "shared_expert_intermediate_size": SHARED, "num_experts": EXPERTS, "num_experts_per_tok": 4,
            "norm_topk_prob": False}


def layer_tensors(layer, draw):
    prefix = f"model.layers.{layer}."
    shapes = {f"self_attn.{p}_proj.weight": (HIDDEN, HIDDEN) for p in "qkvo"}
    shapes |= {f"self_attn.{p}_proj.bias": (HIDDEN,) for p in "qkv"}
    shapes |= {"input_layernorm.weight": (HIDDEN,), "post_attention_layernorm.weight": (HIDDEN,),
               "mlp.gate.weight": (EXPERTS, HIDDEN), "mlp.shared_expert_gate.weight": (1, HIDDEN)}
    for name, inner in [("mlp.shared_expert", SHARED)] + [(f"mlp.experts.{e}", INNER) for e in range(EXPERTS)]:
        shapes |= {f"{name}.gate_proj.weight": (inner, HIDDEN), f"{name}.up_proj.weight": (inner, HIDDEN),
                   f"{name}.down_proj.weight": (HIDDEN, inner)}
    return {prefix + name: draw(shape) for name, shape in shapes.items()}


def make_checkpoint(folder, layers):
    """One shard a layer, so that this script does not hold the model either."""
    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DEMO / "model" / name, folder / name)
    vocabulary = json.loads((DEMO / "model/config.json").read_text())["vocab_size"]
    (folder / "config.json").write_text(json.dumps(config(layers, vocabulary)))
    rng = random.Random(0)
    noise = (torch.randn(1 << 24, generator=torch.Generator().manual_seed(0)) * 0.02).bfloat16()

    def draw(shape):
        """A piece of the same noise: drawing billions of numbers would take longer than what is measured."""
        size = math.prod(shape)
        start = rng.randrange(len(noise) - size)
        return noise[start:start + size].view(shape).clone()

    weight_map, size = {}, 0
    for shard in range(layers + 1):
        tensors = layer_tensors(shard, draw) if shard < layers else {
            "model.embed_tokens.weight": draw((vocabulary, HIDDEN)), "model.norm.weight": draw((HIDDEN,)),
            "lm_head.weight": draw((vocabulary, HIDDEN))}
        file = f"model-{shard + 1:05}-of-{layers + 1:05}.safetensors"
        save_file(tensors, folder / file)
        weight_map |= dict.fromkeys(tensors, file)
        size += (folder / file).stat().st_size
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return size


def peak_of(command):
    """Runs it; its peak resident bytes and what it said."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        said = log.read()
    if process.returncode != 0:
        sys.exit(said)
    return usage.ru_maxrss * 1024, said


def weights_of(said):
    number, unit = re.search(r"weights ([\d.]+) (\w+)", said).groups()
    return float(number) * UNITS[unit]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--foregate", default=ROOT / "build/cpu/apps/foregate/foregate")
    parser.add_argument("--layers", type=int, default=5, help="0.6 GB each in bfloat16")
    parser.add_argument("--keep", type=pathlib.Path, help="make the checkpoint here, or take the one that is there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        model = arguments.keep or scratch / "model"
        if not model.exists():
            make_checkpoint(model, arguments.layers)
        size = sum(file.stat().st_size for file in model.glob("*.safetensors"))
        print(f"checkpoint: {size / 1e9:.2f} GB in bfloat16")
        print(f"{'run':<26} {'weights':>9} {'peak':>9} {'limit':>9}")
        over = False
        for kind in ("int8", "nf4"):
            for saving in (False, True):
                name = kind + (", saving it too" if saving else "")
                output = scratch / name.replace(" ", "-")
                more = ["--save-quantized", scratch / f"saved-{kind}"] if saving else []
                peak, said = peak_of([arguments.foregate, "collect", "--model", model, "--quantize", kind, "--traces", 4,
                                      "--data", f"news={DEMO / 'texts/news-briefs.csv'}", "--output", output, *more])
                weights = weights_of(said)
                limit = 1.3 * weights + 1e9
                over = over or peak > limit
                print(f"{name:<26} {weights / 1e9:>6.2f} GB {peak / 1e9:>6.2f} GB {limit / 1e9:>6.2f} GB")
        sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
