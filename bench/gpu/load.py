"""How fast foregate brings a checkpoint from the page cache to the GPU, as it is and quantised on the way.

    python bench/gpu/load.py --foregate build/cuda/apps/foregate/foregate --tokenizer FILE [--layers 6] [--work DIR]

Writes the first layers of a random Qwen1.5-MoE-A2.7B in bfloat16 (1.2 GB a layer), collects one text with it, and
prints the rate of the line in which the program says how long loading took.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

import torch
from safetensors.torch import save_file

HIDDEN, INNER, SHARED, EXPERTS, VOCABULARY = 2048, 1408, 5632, 60, 151936


def layer_tensors(layer):
    def draw(*shape):
        return (torch.randn(shape, device="cuda") * 0.02).to(torch.bfloat16).cpu()

    tensors = {"input_layernorm.weight": draw(HIDDEN), "post_attention_layernorm.weight": draw(HIDDEN),
               "self_attn.o_proj.weight": draw(HIDDEN, HIDDEN), "mlp.gate.weight": draw(EXPERTS, HIDDEN),
               "mlp.shared_expert_gate.weight": draw(1, HIDDEN)}
    for name in "qkv":
        tensors[f"self_attn.{name}_proj.weight"] = draw(HIDDEN, HIDDEN)
        tensors[f"self_attn.{name}_proj.bias"] = draw(HIDDEN)
    for prefix, inner in [("shared_expert", SHARED)] + [(f"experts.{e}", INNER) for e in range(EXPERTS)]:
        tensors[f"mlp.{prefix}.gate_proj.weight"] = draw(inner, HIDDEN)
        tensors[f"mlp.{prefix}.up_proj.weight"] = draw(inner, HIDDEN)
        tensors[f"mlp.{prefix}.down_proj.weight"] = draw(HIDDEN, inner)
    return {f"model.layers.{layer}.{name}": tensor for name, tensor in tensors.items()}


def write_checkpoint(folder, layers, tokenizer):
    config = {"architectures": ["Qwen2MoeForCausalLM"], "model_type": "qwen2_moe", "hidden_size": HIDDEN,
              "num_hidden_layers": layers, "num_attention_heads": 16, "num_key_value_heads": 16,
              "intermediate_size": SHARED, "moe_intermediate_size": INNER, "shared_expert_intermediate_size": SHARED,
              "num_experts": EXPERTS, "num_experts_per_tok": 4, "norm_topk_prob": False, "decoder_sparse_step": 1,
              "vocab_size": VOCABULARY, "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
              "hidden_act": "silu", "tie_word_embeddings": False, "use_sliding_window": False,
              "torch_dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(tokenizer, folder / "tokenizer.json")
    weight_map = {}
    ends = {"model.embed_tokens.weight": torch.zeros(VOCABULARY, HIDDEN, dtype=torch.bfloat16),
            "model.norm.weight": torch.ones(HIDDEN, dtype=torch.bfloat16),
            "lm_head.weight": torch.zeros(VOCABULARY, HIDDEN, dtype=torch.bfloat16)}
    shards = [ends] + [None] * layers
    for i in range(len(shards)):
        tensors = ends if i == 0 else layer_tensors(i - 1)
        name = f"model-{i:05}.safetensors"
        save_file(tensors, folder / name)
        weight_map.update(dict.fromkeys(tensors, name))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--foregate", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--work", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as name:
        work = pathlib.Path(name)
        write_checkpoint(work, arguments.layers, arguments.tokenizer)
        (work / "texts.txt").write_text("A text to route.\n")
        # lm_head and the last layer's experts are not read.
        routed = arguments.layers - 1
        size = 2 * (routed * (3 * HIDDEN * (EXPERTS * INNER + SHARED)) + arguments.layers * 4 * HIDDEN**2
                    + VOCABULARY * HIDDEN)
        for quantize in ("none", "none", "int8", "nf4"):
            run = subprocess.run(
                [arguments.foregate, "collect", "--model", work, "--data", f"texts={work}/texts.txt", "--traces", "1",
                 "--device", "cuda", "--quantize", quantize, "--output", work / f"out-{quantize}"],
                stderr=subprocess.PIPE, text=True)
            found = re.search(r"loaded in ([\d.]+) s", run.stderr)
            if not found:
                raise SystemExit(run.stderr)
            seconds = float(found[1])
            shutil.rmtree(work / f"out-{quantize}")
            print(f"--quantize {quantize:5} {size / 1e9:.1f} GB in {seconds:.2f} s: {size / seconds / 1e9:.1f} GB/s", flush=True)


if __name__ == "__main__":
    main()
