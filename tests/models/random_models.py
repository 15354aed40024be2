"""Small random models of every architecture as checkpoints, and what an independent implementation routes on them."""
import json
import re
from typing import NamedTuple

import torch
from deepseek_reference import DeepseekForCausalLM
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

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
GPT_OSS = COMMON | {"model_type": "gpt_oss", "num_hidden_layers": 4, "num_key_value_heads": 2, "head_dim": 16,
                    "num_local_experts": 8, "intermediate_size": 24, "attention_bias": True, "swiglu_limit": 1.5,
                    "max_position_embeddings": 512, "sliding_window": 24}
# Without either, transformers takes a scaled rotation.
PLAIN_ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}
# As gpt-oss scales its rotation, from texts shorter than those that are run.
GPT_OSS_YARN = {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                "original_max_position_embeddings": 48}
GRANITE = COMMON | {"model_type": "granitemoe", "num_hidden_layers": 3, "num_key_value_heads": 2,
                    "num_local_experts": 8, "intermediate_size": 24, "attention_bias": False,
                    "embedding_multiplier": 12.0, "residual_multiplier": 0.22, "attention_multiplier": 0.125,
                    "logits_scaling": 6.0}
PHI = COMMON | {"model_type": "phimoe", "num_hidden_layers": 3, "num_key_value_heads": 2, "num_local_experts": 8,
                "intermediate_size": 24, "attention_bias": True, "lm_head_bias": True, "router_jitter_noise": 0.01,
                "sliding_window": None}
PHI_ROPE = {"type": "longrope", "short_factor": [1.0, 1.1, 1.3, 2.5], "long_factor": [1.0, 2.0, 4.0, 8.0],
            "short_mscale": 1.2, "long_mscale": 1.3, "original_max_position_embeddings": 210}
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64}

# Latent attention and the routers of DeepSeek-V3. Choice biases are large enough that biased scores go below zero, where
# a mask of zeros instead of minus infinity would choose among dropped groups.
YARN = {"max_position_embeddings": 256,
        "rope_scaling": {"type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32, "beta_fast": 32,
                         "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0}}
LATENT = COMMON | {"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8,
                   "attention_bias": False}
GROUPED_ROUTER = {"n_routed_experts": 16, "num_experts_per_tok": 4, "n_group": 4, "topk_group": 2,
                  "norm_topk_prob": True, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid",
                  "topk_method": "noaux_tc"}
DENSE_FIRST = {"num_hidden_layers": 3, "first_k_dense_replace": 1, "moe_layer_freq": 1, "intermediate_size": 48,
               "moe_intermediate_size": 16, "n_shared_experts": 1}
DEEPSEEK_V3 = LATENT | GROUPED_ROUTER | DENSE_FIRST | {"model_type": "deepseek_v3"}
DEEPSEEK_V2 = LATENT | DENSE_FIRST | {
    "model_type": "deepseek_v2", "q_lora_rank": None, "n_routed_experts": 16, "num_experts_per_tok": 4,
    "n_shared_experts": 2, "topk_method": "greedy", "n_group": 1, "topk_group": 1, "norm_topk_prob": False,
    "routed_scaling_factor": 1.0, "scoring_func": "softmax"}
INDEXED = DEEPSEEK_V3 | {"model_type": "deepseek_v32", "index_topk": 256, "index_n_heads": 2, "index_head_dim": 8}
KIMI_K2 = DEEPSEEK_V3 | {"model_type": "kimi_k2", "n_group": 1, "topk_group": 1, "routed_scaling_factor": 2.827}
GLM4_MOE = COMMON | GROUPED_ROUTER | DENSE_FIRST | {
    "model_type": "glm4_moe", "num_key_value_heads": 2, "head_dim": 16, "attention_bias": True, "use_qk_norm": True,
    "partial_rotary_factor": 0.5}
del GLM4_MOE["scoring_func"], GLM4_MOE["topk_method"]  # as published
DOTS1 = COMMON | GROUPED_ROUTER | DENSE_FIRST | {"model_type": "dots1", "attention_bias": False, "sliding_window": None}
MINIMAX_M2 = COMMON | {
    "model_type": "minimax_m2", "num_hidden_layers": 3, "num_key_value_heads": 2, "head_dim": 16, "rotary_dim": 8,
    "num_local_experts": 8, "intermediate_size": 24, "scoring_func": "sigmoid", "use_routing_bias": True,
    "use_qk_norm": True, "qk_norm_type": "per_layer", "shared_intermediate_size": 0, "attn_type_list": [1, 1, 1]}
ERNIE = COMMON | {
    "model_type": "ernie4_5_moe", "num_hidden_layers": 4, "num_key_value_heads": 2, "moe_num_experts": 8, "moe_k": 3,
    "moe_num_shared_experts": 2, "moe_intermediate_size": 16, "intermediate_size": 48, "moe_layer_start_index": 1,
    "moe_layer_end_index": -1, "moe_layer_interval": 1, "use_bias": False, "tie_word_embeddings": True}
del ERNIE["num_experts_per_tok"]

def nested(decoder):
    """A decoder inside a larger model."""
    return {"model_type": "kimi_k25", "text_config": decoder, "vision_config": {"hidden_size": 8}}


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
    "deepseek_v3": (DEEPSEEK_V3, False),
    "deepseek_v3-yarn": (DEEPSEEK_V3 | YARN | {"v_head_dim": 16, "n_group": 2, "topk_group": 1}, True),
    "deepseek_v3-direct-queries": (DEEPSEEK_V3 | {"q_lora_rank": None, "norm_topk_prob": False, "n_group": 8,
                                                  "topk_group": 3, "rms_norm_eps": 1e-5}, False),
    "deepseek_v3-halves": (DEEPSEEK_V3 | {"rope_interleave": False, "n_group": 1, "topk_group": 1, "v_head_dim": 4,
                                          "tie_word_embeddings": True, "first_k_dense_replace": 0}, False),
    "deepseek_v2": (DEEPSEEK_V2, False),
    "deepseek_v2-yarn": (DEEPSEEK_V2 | YARN | {"first_k_dense_replace": 0}, True),
    "deepseek_v2-groups": (DEEPSEEK_V2 | {"topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2,
                                          "q_lora_rank": 12, "routed_scaling_factor": 16.0}, False),
    "deepseek_v2-small-magnitude": (DEEPSEEK_V2 | YARN | {
        "rope_scaling": YARN["rope_scaling"] | {"mscale": 0.707, "mscale_all_dim": 0.4, "beta_fast": 4}}, False),
    "deepseek_v32": (INDEXED, False),
    "deepseek_v32-yarn": (INDEXED | YARN, True),
    "deepseek_v32-one-group": (INDEXED | {"n_group": 1, "topk_group": 1, "norm_topk_prob": False}, False),
    "deepseek_v32-wide-values": (INDEXED | {"v_head_dim": 16, "first_k_dense_replace": 2, "n_shared_experts": 2}, False),
    "kimi_k2": (KIMI_K2, False),
    "kimi_k2-yarn": (KIMI_K2 | YARN | {"rope_scaling": YARN["rope_scaling"] | {"beta_fast": 1.0, "beta_slow": 1.0}}, False),
    "kimi_k2-more-experts": (KIMI_K2 | {"n_routed_experts": 48, "num_experts_per_tok": 8}, False),
    "kimi_k2-two-shared": (KIMI_K2 | {"n_shared_experts": 2, "rope_theta": 5e4, "num_hidden_layers": 2}, True),
    "kimi_k25": (nested(KIMI_K2), False),
    "kimi_k25-yarn": (nested(KIMI_K2 | YARN), False),
    "kimi_k25-saved": (nested(KIMI_K2 | {"model_type": "deepseek_v3", "rms_norm_eps": 1e-5}), False),
    "kimi_k25-all-sparse": (nested(KIMI_K2 | {"first_k_dense_replace": 0, "num_experts_per_tok": 2}), False),
    "glm4_moe_lite": (DEEPSEEK_V3 | {"model_type": "glm4_moe_lite", "n_group": 1, "topk_group": 1, "v_head_dim": 12,
                                     "partial_rotary_factor": 1.0, "rms_norm_eps": 1e-5}, False),
    "glm4_moe_lite-saved": (DEEPSEEK_V3 | {"model_type": "glm4_moe_lite", "num_hidden_layers": 4,
                                           "mlp_layer_types": ["dense", "dense", "sparse", "sparse"]}, True),
    "glm4_moe_lite-groups": (DEEPSEEK_V3 | {"model_type": "glm4_moe_lite", "routed_scaling_factor": 1.8}, False),
    "glm4_moe_lite-halves": (DEEPSEEK_V3 | {"model_type": "glm4_moe_lite", "rope_interleave": False,
                                            "norm_topk_prob": False, "v_head_dim": 16}, False),
    "glm_moe_dsa": (INDEXED | {"model_type": "glm_moe_dsa", "n_group": 1, "topk_group": 1, "rms_norm_eps": 1e-5,
                               "rope_interleave": True, "indexer_rope_interleave": True}, False),
    "glm_moe_dsa-saved": (INDEXED | {"model_type": "glm_moe_dsa", "mlp_layer_types": ["dense", "sparse", "sparse"]}, True),
    "glm_moe_dsa-wide-values": (INDEXED | {"model_type": "glm_moe_dsa", "v_head_dim": 16, "n_group": 2,
                                           "topk_group": 1}, False),
    "glm_moe_dsa-two-dense": (INDEXED | {"model_type": "glm_moe_dsa", "first_k_dense_replace": 2,
                                         "norm_topk_prob": False, "tie_word_embeddings": True}, False),
    "glm4_moe": (GLM4_MOE, False),
    "glm4_moe-air": (GLM4_MOE | {"use_qk_norm": False, "routed_scaling_factor": 1.0, "n_group": 1, "topk_group": 1}, False),
    "glm4_moe-no-bias": (GLM4_MOE | {"attention_bias": False, "norm_topk_prob": False, "num_key_value_heads": 4}, True),
    "glm4_moe-quarter": (GLM4_MOE | {"partial_rotary_factor": 0.25, "num_key_value_heads": 1,
                                     "tie_word_embeddings": True}, False),
    "dots1": (DOTS1, False),
    "dots1-grouped": (DOTS1 | {"num_key_value_heads": 2, "n_group": 1, "topk_group": 1, "norm_topk_prob": False}, False),
    "dots1-window-behind": (DOTS1 | {"sliding_window": 8, "max_window_layers": 3, "first_k_dense_replace": 0}, True),
    "dots1-no-shared": (DOTS1 | {"n_group": 2, "topk_group": 1, "tie_word_embeddings": True}, False),
    "minimax_m2": (MINIMAX_M2, False),
    "minimax_m2-whole": (MINIMAX_M2 | {"rotary_dim": 16, "num_experts_per_tok": 1}, False),
    "minimax_m2-more-experts": (MINIMAX_M2 | {"num_local_experts": 32, "num_experts_per_tok": 8}, False),
    "minimax_m2-one-head": (MINIMAX_M2 | {"num_key_value_heads": 1, "rope_theta": 5e6, "tie_word_embeddings": True}, False),
    "ernie4_5_moe": (ERNIE, False),
    "ernie4_5_moe-interval": (ERNIE | {"num_hidden_layers": 6, "moe_layer_interval": 2, "moe_layer_end_index": 4,
                                       "moe_layer_start_index": 0}, False),
    "ernie4_5_moe-no-shared": (ERNIE | {"moe_num_shared_experts": 0, "tie_word_embeddings": False}, False),
    "ernie4_5_moe-large-sum": (ERNIE | {"moe_norm_min": 0.75, "moe_num_experts": 24, "moe_k": 6}, False),
    "gpt_oss": (GPT_OSS | PLAIN_ROPE | {"layer_types": ["sliding_attention", "full_attention"] * 2}, True),
    "gpt_oss-yarn": (GPT_OSS | {"rope_theta": 150000.0, "rope_scaling": GPT_OSS_YARN, "sliding_window": 150}, True),
    # As many inner values as hidden ones: no shape tells a transposition.
    "gpt_oss-square": (GPT_OSS | {"intermediate_size": 32, "num_experts_per_tok": 4, "num_local_experts": 32,
                                  "rope_parameters": GPT_OSS_YARN | {"rope_theta": 1e4, "truncate": True},
                                  "layer_types": ["full_attention"] * 3 + ["sliding_attention"]}, True),
    "gpt_oss-no-bias": (GPT_OSS | PLAIN_ROPE | {
        "attention_bias": False, "num_experts_per_tok": 1, "tie_word_embeddings": True, "num_key_value_heads": 1,
        "sliding_window": 1, "swiglu_limit": 7.0}, True),
    "granitemoe": (GRANITE | {"tie_word_embeddings": True}, False),
    "granitemoe-fused": (GRANITE | {"num_local_experts": 40, "num_experts_per_tok": 8}, True),
    "granitemoe-bias": (GRANITE | {"attention_bias": True, "embedding_multiplier": 1.0, "head_dim": 16,
                                   "residual_multiplier": 1.0, "num_experts_per_tok": 1}, False),
    "granitemoe-yarn": (GRANITE | {"max_position_embeddings": 256, "num_key_value_heads": 4, "rope_parameters": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 1e4}}, False),
    "granitemoe-llama3": (GRANITE | {"max_position_embeddings": 512, "rope_theta": 1e4, "rope_scaling": LLAMA3_ROPE},
                          False),
    "qwen3-llama3": (QWEN3 | {"max_position_embeddings": 512, "head_dim": 32, "rope_theta": 5e5,
                              "rope_parameters": LLAMA3_ROPE | {"rope_theta": 5e5}}, False),
    "phimoe": (PHI, False),
    "phimoe-fused": (PHI | {"num_local_experts": 16, "router_jitter_noise": 0.2, "lm_head_bias": False}, True),
    "phimoe-longrope": (PHI | {"max_position_embeddings": 4096, "original_max_position_embeddings": 210,
                               "rope_scaling": PHI_ROPE, "sliding_window": 4096}, False),
    "phimoe-no-bias": (PHI | {"attention_bias": False, "num_key_value_heads": 4, "tie_word_embeddings": True,
                              "lm_head_bias": False, "router_jitter_noise": 0.05}, False),
}


def decoder_of(config):
    """The part of config.json that describes the decoder, as transformers knows it."""
    config = config.get("text_config", config)
    return config | {"model_type": "deepseek_v3"} if config["model_type"] == "kimi_k2" else config


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


def fuse_experts(state):
    """The reverse of split_experts()."""
    fused, parts = {}, {}
    for name, tensor in state.items():
        match = re.fullmatch(r"(.*\.experts)\.(\d+)\.(\w+)_proj\.weight", name)
        if match:
            parts.setdefault(match[1], {})[int(match[2]), match[3]] = tensor
        else:
            fused[name] = tensor
    for stem, tensors in parts.items():
        experts = range(1 + max(expert for expert, _ in tensors))
        fused[f"{stem}.gate_up_proj"] = torch.stack([torch.cat([tensors[e, "gate"], tensors[e, "up"]]) for e in experts])
        fused[f"{stem}.down_proj"] = torch.stack([tensors[e, "down"] for e in experts])
    return fused


def in_mxfp4(state, seed):
    """A gpt_oss whose experts are random MXFP4: as published, and dequantised by transformers."""
    generator = torch.Generator().manual_seed(seed)
    packed, dense = dict(state), dict(state)
    for name, tensor in state.items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            continue
        experts, inputs, outputs = packed.pop(name).shape
        blocks = torch.randint(256, (experts, outputs, inputs // 32, 16), generator=generator, dtype=torch.uint8)
        scales = torch.randint(121, 125, (experts, outputs, inputs // 32), generator=generator, dtype=torch.uint8)
        packed |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
        dense[name] = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).contiguous()
    return packed, dense


def as_granite(name):
    """The published name of what transformers 5 holds under another."""
    for new, old in (("router.weight", "router.layer.weight"), ("experts.gate_up_proj", "input_linear.weight"),
                     ("experts.down_proj", "output_linear.weight")):
        name = name.replace(new, old)
    return name


def published_names(state, config):
    """The tensors under the names of published checkpoints."""
    if config["model_type"] in ("mixtral", "minimax_m2"):
        return {as_mixtral(k): v for k, v in state.items()}
    if config["model_type"] == "phimoe":
        return {as_mixtral(k.replace(".router.", ".gate.")): v for k, v in state.items()}
    if config["model_type"] == "granitemoe":
        return {as_granite(k): v for k, v in fuse_experts(state).items()}
    if config["model_type"] == "ernie4_5_moe":
        return {k.replace("mlp.gate.moe_statics", "mlp.moe_statics"): v for k, v in state.items()}
    if config["model_type"] == "kimi_k25":
        return {f"language_model.{k}": v for k, v in state.items()} | {"vision_tower.patch.weight": torch.zeros(2, 2)}
    return state


def randomise(model, seed):
    """Weights large enough that layers matter, and routers spread enough that they decide."""
    generator = torch.Generator().manual_seed(seed)
    biases = [(name, buffer) for name, buffer in model.named_buffers() if name.endswith("correction_bias")]
    for name, weight in [*model.named_parameters(), *biases]:
        noise = torch.randn(weight.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            weight.data = 1 + 0.2 * noise
        elif name.endswith(("mlp.gate.weight", "router.weight")):
            weight.data = 0.6 * noise
        elif name.endswith("sinks"):
            weight.data = 2 * noise
        elif name.endswith("correction_bias"):
            # A softmax over the experts leaves each little.
            weight.data = (0.05 if "moe_statics" in name else 0.4) * noise
        elif name.endswith("bias"):
            weight.data = 0.5 * noise
        elif "embed" in name:
            weight.data = noise
        else:
            weight.data = noise * weight.shape[-1] ** -0.5


def new_model(config):
    if config["model_type"] == "deepseek":
        return DeepseekForCausalLM.from_json(config)
    config = decoder_of(config)
    fields = {k: v for k, v in config.items() if k != "model_type"}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(config["model_type"], **fields))


def load_reference(folder):
    """The model in float32, with eager attention, from its checkpoint."""
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] in ("kimi_k2", "kimi_k25"):  # transformers knows the decoder by another name
        model = new_model(config).float()
        model.config._attn_implementation = "eager"
        state = load_file(folder / "model.safetensors")
        prefix = "language_model." if "text_config" in config else ""
        state = {k.removeprefix(prefix): v.float() for k, v in state.items() if k.startswith(prefix)}
        model.load_state_dict(fuse_experts(state))
        return model.eval()
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
    if decoder_of(config)["tie_word_embeddings"]:
        del state["lm_head.weight"]
    if not fused and config["model_type"] != "gpt_oss":  # whose experts are published fused
        state = published_names({k: v.clone() for k, v in split_experts(state).items()}, config)
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


class Routed(NamedTuple):
    """What a model does with texts, each by itself, back to back."""
    logits: torch.Tensor   # [L, T, E] router logits
    experts: torch.Tensor  # [L, T, k] int64
    gates: torch.Tensor    # [L, T, k] in the same order
    clear: torch.Tensor    # [L, T] whether a decision is too clear for rounding to turn it
    last: torch.Tensor     # [texts, V] logits of the last token


@torch.inference_mode()
def route(model, texts, gap=1e-5):
    """Routes texts. A decision is clear if the router makes it, too, of inputs that differ by `gap`."""
    noise = torch.Generator().manual_seed(0)
    calls = []

    def on_router(router, inputs, outputs):
        logits, gates, experts = outputs
        rows, *others = inputs
        clear = torch.ones(len(logits), dtype=torch.bool)
        for _ in range(4):
            near = rows + gap * rows.abs().amax() * torch.randn(rows.shape, generator=noise)
            again = router.forward(near, *others)[2]
            clear &= (again.sort(-1).values == experts.sort(-1).values).all(-1)
        if getattr(router, "bias", None) is not None:
            logits = logits - router.bias  # recorded logits are without it
        calls.append((logits.float(), experts, gates.float(), clear))

    routers = [module for module in model.modules() if re.search("Top[kK]Router$", type(module).__name__)]
    hooks = [router.register_forward_hook(on_router) for router in routers]
    lengths, last, places = {}, [None] * len(texts), []
    for i, ids in enumerate(texts):
        lengths.setdefault(len(ids), []).append(i)
    starts = [sum(map(len, texts[:i])) for i in range(len(texts))]
    for length, same in lengths.items():  # texts of one length need no padding
        logits = model(input_ids=torch.tensor([texts[i] for i in same]), use_cache=False).logits
        for i, text in zip(same, logits):
            last[i] = text[-1]
            places += range(starts[i], starts[i] + length)
    for hook in hooks:
        hook.remove()
    order = torch.tensor(places).argsort()
    by_layer = [[torch.cat(parts)[order] for parts in zip(*calls[layer::len(routers)])]
                for layer in range(len(routers))]
    return Routed(*(torch.stack(parts) for parts in zip(*by_layer)), torch.stack(last))
