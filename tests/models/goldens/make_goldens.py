"""Makes the goldens beside it: what transformers routes, for the parity tests of the engine.

    .venv/bin/python tests/models/goldens/make_goldens.py [SHARED_DIR]

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
from transformers import AutoModelForCausalLM
from transformers.utils import logging

HERE = pathlib.Path(__file__).resolve().parent
MIN_GAP = 2e-4
LENGTHS = [1, 2, 31, 7, 18]
BASE = {
    "architectures": ["Qwen2MoeForCausalLM"], "model_type": "qwen2_moe", "hidden_act": "silu",
    "vocab_size": 96, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "decoder_sparse_step": 1,
    "num_experts": 8, "num_experts_per_tok": 2, "norm_topk_prob": False, "intermediate_size": 48,
    "moe_intermediate_size": 16, "shared_expert_intermediate_size": 24, "tie_word_embeddings": False,
    "torch_dtype": "float32",
}
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
}
TEXTS = [
    "The harbour was quiet before dawn, and the gulls had not yet begun to quarrel.",
    "Why?",
    "def area(width, height): return width * height",
]


def split_experts(state):
    """transformers' fused expert tensors as the per-expert tensors of published checkpoints."""
    split = {}
    for name, tensor in state.items():
        if name.endswith("experts.gate_up_proj"):
            for e, rows in enumerate(tensor):
                gate, up = rows.chunk(2)
                stem = name.removesuffix("gate_up_proj")
                split[f"{stem}{e}.gate_proj.weight"], split[f"{stem}{e}.up_proj.weight"] = gate, up
        elif name.endswith("experts.down_proj"):
            for e, rows in enumerate(tensor):
                split[f"{name.removesuffix('down_proj')}{e}.down_proj.weight"] = rows
        else:
            split[name] = tensor
    return split


def randomise(model, seed):
    """Weights large enough that layers matter, and routers spread enough that they decide."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if "norm" in name:
            weight.data = 1 + 0.2 * noise
        elif name.endswith("mlp.gate.weight"):
            weight.data = 0.6 * noise
        elif name.endswith("bias"):
            weight.data = 0.5 * noise
        elif "embed" in name:
            weight.data = noise
        else:
            weight.data = noise * weight.shape[-1] ** -0.5


def write_model(folder, config, dtype, fused, shards, seed):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM
    model = Qwen2MoeForCausalLM(Qwen2MoeConfig(**config))
    randomise(model, seed)
    state = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        del state["lm_head.weight"]
    if not fused:
        state = {k: v.clone() for k, v in split_experts(state).items()}
    for old in folder.glob("model*"):
        old.unlink()
    if shards == 1:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(state)
    weight_map = {}
    for i in range(shards):
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = names[i * len(names) // shards:(i + 1) * len(names) // shards]
        weight_map |= {name: file for name in part}
        save_file({name: state[name] for name in part}, folder / file, metadata={"format": "pt"})
    size = sum(v.nbytes for v in state.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


@torch.inference_mode()
def route(folder, texts):
    """The golden tensors of a model, and its closest decision relative to its layer's logits."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                 attn_implementation="eager").eval()
    config = model.config
    logits, last = [], []
    for ids in texts:
        out = model(input_ids=torch.tensor([ids]), output_router_logits=True, use_cache=False)
        logits.append(torch.stack([layer for layer in out.router_logits if layer is not None]))
        last.append(out.logits[0, -1])
    logits, k = torch.cat(logits, 1), config.num_experts_per_tok
    gates, experts = logits.softmax(-1).topk(k, -1)
    if config.norm_topk_prob:
        gates = gates / gates.sum(-1, keepdim=True)
    ranked = logits.sort(-1, descending=True).values
    gap = ((ranked[..., k - 1] - ranked[..., k]).amin(1) / logits.abs().amax((1, 2))).min().item()
    lengths = torch.tensor([0] + [len(t) for t in texts])
    return {"token_ids": torch.tensor(sum(texts, []), dtype=torch.int32),
            "cu_seqlens": lengths.cumsum(0).to(torch.int32), "logits": logits, "experts": experts,
            "gate_weights": gates, "next_token_logits": torch.stack(last)}, gap


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
        tensors, gap = route(HERE / name, texts)
        if gap >= MIN_GAP:
            return save_golden(HERE / name / "golden.safetensors", tensors, gap)
    raise SystemExit(f"{name}: no seed gives a gap of {MIN_GAP}")


def make_trained(name, model):
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tensors, gap = route(model, [tokenizer.encode(text).ids for text in TEXTS])
    (HERE / name).mkdir(exist_ok=True)
    save_golden(HERE / name / "golden.safetensors", tensors, gap)


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for golden in MODELS:
        make_random(golden)
    shared = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parents[3] / "shared")
    for golden in ("seed-geometry", "mini-qwen"):
        make_trained(golden, shared / "models" / golden)
