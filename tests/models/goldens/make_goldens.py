"""Makes the goldens beside it: what transformers routes, for the parity tests of the engine.

    .venv/bin/python tests/models/goldens/make_goldens.py [SHARED_DIR]

    .venv/bin/python tests/models/goldens/make_goldens.py --only NAME ...

For every config below a small random model is written with its goldens into a folder of its own. For the
trained models of SHARED_DIR (default ../shared) only goldens are written. A golden.safetensors holds

    token_ids          int32 [T]        several texts, back to back
    cu_seqlens         int32 [texts+1]
    logits             float32 [L, T, E]   router logits of each text run alone, float32
    experts            int64 [L, T, k]
    gate_weights       float32 [L, T, k]
    next_token_logits  float32 [texts, V]

Seeds are tried until no decision is closer than MIN_GAP of its layer's largest logit, so that rounding
cannot turn one.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers.utils import logging

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from random_models import (DEEPSEEK, DEEPSEEK_V2, DEEPSEEK_V3, ERNIE, GLM4_MOE, GPT_OSS, GPT_OSS_YARN,  # noqa: E402
                           MINIMAX_M2, MIXTRAL, OLMOE, QWEN2, QWEN3, YARN, load_reference, route, write_model)
MIN_GAP = 2e-4
LENGTHS = [1, 2, 31, 7, 18]
BASE = {"architectures": ["Qwen2MoeForCausalLM"], "torch_dtype": "float32"} | {
    k: v for k, v in QWEN2.items() if k != "rope_theta"}
# name -> (config, dtype of the file, experts fused into 3-D tensors, shards)
MODELS = {
    # As the published Qwen1.5-MoE: no qkv_bias key (the biases are there), every layer sparse.
    "plain": (BASE | {"num_hidden_layers": 3, "rope_theta": 1e6, "use_sliding_window": False,
                      "sliding_window": 32, "max_window_layers": 2}, torch.float32, False, 1),
    # Dense layers by step and by list, a dense layer behind the last sparse one, two heads a group.
    "mixed-dense": (BASE | {"num_hidden_layers": 7, "decoder_sparse_step": 2, "mlp_only_layers": [3],
                            "num_key_value_heads": 2, "norm_topk_prob": True, "qkv_bias": False,
                            "rope_theta": 1e4, "rope_scaling": None}, torch.float16, False, 1),
    # Tied embeddings, one key-value head, head_dim of its own, new rope spelling, fused experts.
    "tied-fused": (BASE | {"num_hidden_layers": 4, "mlp_only_layers": [0], "num_key_value_heads": 1,
                           "head_dim": 16, "num_experts": 12, "num_experts_per_tok": 3,
                           "norm_topk_prob": True, "qkv_bias": True, "tie_word_embeddings": True,
                           "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}},
                   torch.float16, True, 1),
    # Sixty experts, top-4, three shards with an index.
    "sharded": (BASE | {"num_hidden_layers": 2, "num_experts": 60, "num_experts_per_tok": 4,
                        "moe_intermediate_size": 8, "qkv_bias": True, "rope_theta": 1e6},
                torch.float16, False, 3),
    "mixtral": (MIXTRAL | {"num_hidden_layers": 2}, torch.float16, False, 1),
    "olmoe": (OLMOE | {"num_hidden_layers": 2}, torch.float16, False, 1),
    "qwen3": (QWEN3 | {"num_hidden_layers": 2}, torch.float16, False, 1),
    "deepseek": (DEEPSEEK | {"num_hidden_layers": 3}, torch.float16, False, 1),
    # Latent attention, groups of experts, a choice bias; the longest text goes past the original context.
    "deepseek_v3": (DEEPSEEK_V3 | YARN | {"num_hidden_layers": 2, "rope_scaling": YARN["rope_scaling"] | {
        "original_max_position_embeddings": 16}}, torch.float16, False, 1),
    "deepseek_v2": (DEEPSEEK_V2 | {"num_hidden_layers": 2}, torch.float16, False, 1),
    "glm4_moe": (GLM4_MOE | {"num_hidden_layers": 2}, torch.float16, False, 1),
    "minimax_m2": (MINIMAX_M2 | {"num_hidden_layers": 2}, torch.float16, False, 1),
    "ernie4_5_moe": (ERNIE | {"num_hidden_layers": 2}, torch.float16, False, 1),
    "gpt-oss": (GPT_OSS | {"num_hidden_layers": 2, "sliding_window": 6, "rope_scaling": GPT_OSS_YARN |
                           {"original_max_position_embeddings": 8}}, torch.bfloat16, True, 1),
}
TEXTS = [
    "The harbour was quiet before dawn, and the gulls had not yet begun to quarrel.",
    "Why?",
    "def area(width, height): return width * height",
]


def golden_of(folder, texts):
    """The golden tensors of a model, and its closest decision relative to its layer's logits."""
    model = load_reference(folder)
    routed = route(model, texts)
    k = routed.experts.shape[-1]
    highest = routed.logits.topk(k, -1).indices.sort(-1).values
    if (highest == routed.experts.sort(-1).values).all():
        ranked = routed.logits.sort(-1, descending=True).values
        gap = ((ranked[..., k - 1] - ranked[..., k]).amin(1) / routed.logits.abs().amax((1, 2))).min().item()
    else:  # groups and biases have a say
        gap = next((gap for gap in (MIN_GAP, 1e-5, 1e-6) if route(model, texts, gap).clear.all()), 0)
    order = routed.gates.argsort(-1, descending=True)
    lengths = torch.tensor([0] + [len(t) for t in texts])
    return {"token_ids": torch.tensor(sum(texts, []), dtype=torch.int32),
            "cu_seqlens": lengths.cumsum(0).to(torch.int32), "logits": routed.logits,
            "experts": routed.experts.gather(-1, order), "gate_weights": routed.gates.gather(-1, order),
            "next_token_logits": routed.last}, gap


def save_golden(path, tensors, gap):
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata={"gap": f"{gap:.1e}"})
    print(f"{path.relative_to(HERE)}: {path.stat().st_size / 1000:.0f} KB, gap {gap:.1e}")


def make_random(name):
    config, dtype, fused, shards = MODELS[name]
    for seed in range(100):
        write_model(HERE / name, config, dtype, fused, shards, seed)
        generator = torch.Generator().manual_seed(seed)
        texts = [torch.randint(config["vocab_size"], (n,), generator=generator).tolist()
                 for n in LENGTHS]
        tensors, gap = golden_of(HERE / name, texts)
        if gap >= MIN_GAP:
            return save_golden(HERE / name / "golden.safetensors", tensors, gap)
    raise SystemExit(f"{name}: no seed gives a gap of {MIN_GAP}")


def make_trained(name, model):
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tensors, gap = golden_of(model, [tokenizer.encode(text).ids for text in TEXTS])
    (HERE / name).mkdir(exist_ok=True)
    save_golden(HERE / name / "golden.safetensors", tensors, gap)


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if sys.argv[1:2] == ["--only"]:
        for golden in sys.argv[2:]:
            make_random(golden)
        sys.exit()
    for golden in MODELS:
        make_random(golden)
    shared = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parents[3] / "shared")
    for golden in ("seed-geometry", "mini-qwen", "mini-deepseek"):
        make_trained(golden, shared / "models" / golden)
