"""Small random models of every architecture as checkpoints, and what an independent implementation routes on them."""
import json

import torch
from deepseek_reference import DeepseekForCausalLM
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

COMMON = {
    "hidden_act": "silu", "vocab_size": 96, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "num_experts_per_tok": 2,
    "rope_theta": 1e4,
}
QWEN2 = COMMON | {
    "model_type": "qwen2_moe", "decoder_sparse_step": 1, "num_experts": 8, "norm_topk_prob": False,
    "intermediate_size": 48, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 24,
}
MIXTRAL = COMMON | {"model_type": "mixtral", "num_hidden_layers": 3, "num_local_experts": 8, "intermediate_size": 24,
                    "num_key_value_heads": 2, "sliding_window": None}
OLMOE = COMMON | {"model_type": "olmoe", "num_hidden_layers": 3, "num_experts": 8, "intermediate_size": 16,
                  "norm_topk_prob": False, "clip_qkv": None, "attention_bias": False}
QWEN3 = COMMON | {"model_type": "qwen3_moe", "num_hidden_layers": 3, "num_experts": 8, "intermediate_size": 48,
                  "moe_intermediate_size": 16, "head_dim": 16, "norm_topk_prob": True, "decoder_sparse_step": 1,
                  "mlp_only_layers": [], "attention_bias": False, "use_sliding_window": False}
DEEPSEEK = COMMON | {"model_type": "deepseek", "num_hidden_layers": 4, "n_routed_experts": 8, "n_shared_experts": 2,
                     "intermediate_size": 48, "moe_intermediate_size": 16, "first_k_dense_replace": 1,
                     "moe_layer_freq": 1, "norm_topk_prob": False, "scoring_func": "softmax"}

# Run live: name -> (config, experts fused into 3-D tensors as transformers 5 holds them).
LIVE = {
    "mixtral": (MIXTRAL, False),
    "mixtral-fused": (MIXTRAL, True),
    "mixtral-wide": (MIXTRAL | {"num_local_experts": 5, "num_experts_per_tok": 3, "num_key_value_heads": 1,
                                "tie_word_embeddings": True, "rope_theta": 1e6}, False),
    "mixtral-one": (MIXTRAL | {"num_experts_per_tok": 1, "num_hidden_layers": 2, "head_dim": 16,
                               "rms_norm_eps": 1e-5}, True),
    "olmoe": (OLMOE, False),
    "olmoe-fused": (OLMOE, True),
    "olmoe-grouped": (OLMOE | {"num_key_value_heads": 2, "norm_topk_prob": True, "num_experts": 64,
                               "num_experts_per_tok": 8, "intermediate_size": 8}, False),
    "olmoe-tied": (OLMOE | {"tie_word_embeddings": True, "num_key_value_heads": 1, "rms_norm_eps": 1e-5}, True),
    "qwen3": (QWEN3, False),
    "qwen3-fused": (QWEN3 | {"num_key_value_heads": 2}, True),
    "qwen3-dense-layers": (QWEN3 | {"num_hidden_layers": 6, "decoder_sparse_step": 2, "mlp_only_layers": [3],
                                    "num_key_value_heads": 1, "norm_topk_prob": False}, False),
    "qwen3-tied": (QWEN3 | {"head_dim": 8, "tie_word_embeddings": True, "num_experts": 16,
                            "num_experts_per_tok": 4}, True),
    "deepseek": (DEEPSEEK, False),
    "deepseek-normalised": (DEEPSEEK | {"norm_topk_prob": True, "num_key_value_heads": 2, "n_shared_experts": 1}, False),
    "deepseek-every-second": (DEEPSEEK | {"num_hidden_layers": 6, "moe_layer_freq": 2, "first_k_dense_replace": 3,
                                          "tie_word_embeddings": True}, False),
    "deepseek-no-shared": (DEEPSEEK | {"n_shared_experts": None, "first_k_dense_replace": 0, "n_routed_experts": 12,
                                       "num_experts_per_tok": 6}, False),
}


def split_experts(state):
    """transformers' fused expert tensors as the per-expert tensors of published checkpoints."""
    split = {}
    for name, tensor in state.items():
        stem, _, last = name.rpartition(".")
        if last == "gate_up_proj":
            for e, rows in enumerate(tensor):
                split[f"{stem}.{e}.gate_proj.weight"], split[f"{stem}.{e}.up_proj.weight"] = rows.chunk(2)
        elif last == "down_proj" and stem.endswith("experts"):
            for e, rows in enumerate(tensor):
                split[f"{stem}.{e}.down_proj.weight"] = rows
        else:
            split[name] = tensor
    return split


def as_mixtral(name):
    """The published name of what transformers 5 holds under another."""
    for new, old in ((".mlp.", ".block_sparse_moe."), ("gate_proj", "w1"), ("up_proj", "w3"), ("down_proj", "w2")):
        name = name.replace(new, old)
    return name


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


def new_model(config):
    if config["model_type"] == "deepseek":
        return DeepseekForCausalLM.from_json(config)
    fields = {k: v for k, v in config.items() if k != "model_type"}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(config["model_type"], **fields))


def load_reference(folder):
    """The model in float32, with eager attention, from its checkpoint."""
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] != "deepseek":
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    model = DeepseekForCausalLM.from_json(config)
    missing, unexpected = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not unexpected and set(missing) <= ({"lm_head.weight"} if config["tie_word_embeddings"] else set())
    return model.eval()


def write_model(folder, config, dtype, fused, shards, seed):
    """config.json and safetensors of a random model."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    model = new_model(config)
    randomise(model, seed)
    state = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        del state["lm_head.weight"]
    if not fused:
        state = {k: v.clone() for k, v in split_experts(state).items()}
        if config["model_type"] == "mixtral":
            state = {as_mixtral(k): v for k, v in state.items()}
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
def route(model, texts):
    """Router logits [L, T, E] of each text run alone, back to back, and the last token's logits [texts, V]."""
    logits, last = [], []
    for ids in texts:
        out = model(input_ids=torch.tensor([ids]), output_router_logits=True, use_cache=False)
        logits.append(torch.stack([layer for layer in out.router_logits if layer is not None]))
        last.append(out.logits[0, -1])
    return torch.cat(logits, 1), torch.stack(last)


def normalises(config):
    """Whether the gate weights of the top-k are divided by their sum."""
    return config["model_type"] == "mixtral" or config["norm_topk_prob"]
