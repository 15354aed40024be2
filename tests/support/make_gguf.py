"""GGUF files of checkpoints and tokenizers, by the gguf package's own writer, as llama.cpp's converter lays them out."""
import json
import re

import gguf
import numpy as np
from safetensors.numpy import save_file
from safetensors.torch import load_file

ARCHITECTURES = {"qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "mixtral": "llama", "olmoe": "olmoe",
                 "deepseek": "deepseek", "deepseek_v2": "deepseek2", "deepseek_v3": "deepseek2",
                 "kimi_k2": "deepseek2", "glm4_moe_lite": "deepseek2", "gpt_oss": "gpt-oss"}
PAIRED_HEADS = {"mixtral", "deepseek"}  # their query and key rows are interleaved
EXPERT = re.compile(r"model\.layers\.(\d+)\.(?:mlp|block_sparse_moe)\.experts\.(\d+)\.(\w+)\.weight")
EXPERTS = "model.layers.{}.mlp.experts.{}.weight"
MIXTRAL_EXPERTS = "layers.{}.feed_forward.experts.{}.weight"


def quantised(values, kind, rng):
    """The blocks of a matrix, and its values as the gguf package reads them back.

    The package writes no K-quants: those blocks are random, with scales that give values as weights have them.
    """
    size, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    if values.shape[-1] % size:
        kind = gguf.GGMLQuantizationType.Q8_0 if values.shape[-1] % 32 == 0 else gguf.GGMLQuantizationType.F16
    if kind.name not in ("Q4_K", "Q5_K", "Q6_K"):
        blocks = gguf.quantize(values, kind)
    else:
        count = values.shape[-1] // size
        blocks = rng.integers(0, 256, (*values.shape[:-1], count, block_bytes), dtype=np.uint8)
        scales = {"Q4_K": [(0, 6e-5), (2, 4e-4)], "Q5_K": [(0, 3e-5), (2, 4e-4)], "Q6_K": [(208, 1e-5)]}[kind.name]
        for place, scale in scales:
            blocks[..., place:place + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
        blocks = blocks.reshape(*values.shape[:-1], count * block_bytes)
    return kind, blocks, gguf.dequantize(blocks, kind)


def stacked_experts(state):
    """Experts as one tensor a projection, as they are stacked for GGUF; fused ones are cut first."""
    stacked, groups = {}, {}
    for name, tensor in state.items():
        found = EXPERT.fullmatch(name)
        if name.endswith("experts.gate_up_proj"):
            half = tensor.shape[1] // 2
            stacked[name.replace("gate_up_proj", "gate_proj.weight")] = tensor[:, :half]
            stacked[name.replace("gate_up_proj", "up_proj.weight")] = tensor[:, half:]
        elif name.endswith("experts.down_proj"):
            stacked[name + ".weight"] = tensor
        elif found:
            pattern = MIXTRAL_EXPERTS if found[3] in ("w1", "w2", "w3") else EXPERTS
            groups.setdefault(pattern.format(found[1], found[3]), {})[int(found[2])] = tensor
        else:
            stacked[name] = tensor
    for name, experts in groups.items():
        stacked[name] = np.stack([experts[i] for i in range(len(experts))])
    return stacked


def cut_gpt_oss(state):
    """Gates and ups, which alternate, by themselves, and all experts' matrices [E, out, in]."""
    cut = {}
    for name, tensor in state.items():
        stem, found, last = name.partition(".mlp.experts.")
        if not found:
            cut[name + ".weight" if name.endswith("sinks") else name] = tensor
        elif last.endswith("_bias"):
            parts = {"gate_proj": tensor[:, ::2], "up_proj": tensor[:, 1::2]} if "gate_up" in last else {
                "down_proj": tensor}
            cut |= {f"{stem}{found}{part}.bias": values for part, values in parts.items()}
        else:
            rows = tensor.swapaxes(1, 2)
            parts = {"gate_proj": rows[:, ::2], "up_proj": rows[:, 1::2]} if "gate_up" in last else {"down_proj": rows}
            cut |= {f"{stem}{found}{part}.weight": values for part, values in parts.items()}
    return cut


def joined_gpt_oss(state):
    """The reverse of cut_gpt_oss()."""
    whole = {}
    for name, tensor in state.items():
        stem, found, last = name.partition(".mlp.experts.")
        if not found:
            whole[name.replace("sinks.weight", "sinks")] = tensor
        elif last.startswith("down_proj"):
            fused = f"{stem}{found}down_proj"
            whole[fused + "_bias" if "bias" in last else fused] = tensor if "bias" in last else tensor.swapaxes(1, 2)
        elif last.startswith("gate_proj"):
            both = np.stack([tensor, state[name.replace("gate_proj", "up_proj")]], 2)
            both = both.reshape(len(tensor), -1, *tensor.shape[2:])
            fused = f"{stem}{found}gate_up_proj"
            whole[fused + "_bias" if "bias" in last else fused] = both if "bias" in last else both.swapaxes(1, 2)
    return whole


def cut_latents(state, config):
    """What expands latents as keys, transposed, and as values."""
    heads, nope = config["num_attention_heads"], config["qk_nope_head_dim"]
    cut = {}
    for name, tensor in state.items():
        if name.endswith("kv_b_proj.weight"):
            each = tensor.reshape(heads, -1, tensor.shape[-1])
            cut[name.replace("kv_b_proj", "k_b_proj")] = each[:, :nope].swapaxes(1, 2)
            cut[name.replace("kv_b_proj", "v_b_proj")] = each[:, nope:]
        else:
            cut[name] = tensor
    return cut


def joined_latents(state):
    """The reverse of cut_latents()."""
    whole = {}
    for name, tensor in state.items():
        if name.endswith(".k_b_proj.weight"):
            both = np.concatenate([tensor.swapaxes(1, 2), state[name.replace("k_b_proj", "v_b_proj")]], 1)
            whole[name.replace("k_b_proj", "kv_b_proj")] = both.reshape(-1, both.shape[-1])
        elif not name.endswith(".v_b_proj.weight"):
            whole[name] = tensor
    return whole


def interleaved(values, heads):
    """As LlamaModel.permute of llama.cpp's converter."""
    return values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(
        values.shape)


def in_halves(values, heads):
    return values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:]).swapaxes(1, 2).reshape(
        values.shape)


def dense_name(source):
    """Of a dense layer, where the package knows none in that architecture."""
    found = re.fullmatch(r"model\.layers\.(\d+)\.mlp\.(gate|up|down)_proj\.weight", source)
    assert found, source
    return f"blk.{found[1]}.ffn_{found[2]}.weight"


def load_state(directory):
    state = {}
    for file in sorted(directory.glob("*.safetensors")):
        if not file.name.startswith("golden"):
            state.update({name: tensor.float().numpy() for name, tensor in load_file(file).items()})
    return state


def add_rope(writer, config):
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    writer.add_rope_freq_base(config.get("rope_theta") or rope["rope_theta"])
    if rope.get("rope_type", rope.get("type", "default")) != "yarn":
        return
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    for key, add in (("beta_fast", writer.add_rope_scaling_yarn_beta_fast),
                     ("beta_slow", writer.add_rope_scaling_yarn_beta_slow),
                     ("attention_factor", writer.add_rope_scaling_yarn_attn_factor)):
        if key in rope:
            add(rope[key])
    if "mscale_all_dim" in rope:
        writer.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])


def add_latent_keys(writer, config):
    rank, turned = config["kv_lora_rank"], config["qk_rope_head_dim"]
    if config["q_lora_rank"]:
        writer.add_q_lora_rank(config["q_lora_rank"])
    writer.add_kv_lora_rank(rank)
    writer.add_key_length(rank + turned)
    writer.add_value_length(rank)
    writer.add_key_length_mla(config["qk_nope_head_dim"] + turned)
    writer.add_value_length_mla(config["v_head_dim"])
    writer.add_rope_dimension_count(turned)


def add_router_keys(writer, config):
    scores = {"softmax": gguf.ExpertGatingFuncType.SOFTMAX, "sigmoid": gguf.ExpertGatingFuncType.SIGMOID}
    if config.get("scoring_func"):
        writer.add_expert_gating_func(scores[config["scoring_func"]])
    if config.get("n_group"):
        writer.add_expert_group_count(config["n_group"])
        writer.add_expert_group_used_count(config["topk_group"])
    if config.get("routed_scaling_factor"):
        writer.add_expert_weights_scale(config["routed_scaling_factor"])


def add_keys(writer, config):
    heads = config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(1 if "kv_lora_rank" in config else config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    add_rope(writer, config)
    add_router_keys(writer, config)
    if "kv_lora_rank" in config:
        add_latent_keys(writer, config)
    elif config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if "intermediate_size" in config:
        writer.add_feed_forward_length(config["intermediate_size"])
    counts = (config.get(key) for key in ("num_experts", "num_local_experts", "n_routed_experts"))
    writer.add_expert_count(next(count for count in counts if count))
    writer.add_expert_used_count(config["num_experts_per_tok"])
    if config.get("moe_intermediate_size"):
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    if config.get("shared_expert_intermediate_size"):
        writer.add_expert_shared_feed_forward_length(config["shared_expert_intermediate_size"])
    if "n_shared_experts" in config:
        types = config.get("mlp_layer_types")
        writer.add_expert_shared_count(config["n_shared_experts"] or 0)
        writer.add_leading_dense_block_count(types.index("sparse") if types else config["first_k_dense_replace"])
    if config["model_type"] == "deepseek":
        writer.add_expert_weights_scale(1.0)
        writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
    if config["model_type"] == "gpt_oss":
        writer.add_sliding_window(config["sliding_window"])
        writer.add_expert_feed_forward_length(config["intermediate_size"])
    if "norm_topk_prob" in config:
        writer.add_expert_weights_norm(config["norm_topk_prob"])


def add_tokenizer(writer, tokenizer, pre, vocab_size):
    """A byte-level tokenizer.json (a dict), filled up to the vocabulary's size."""
    tokens = [f"[PAD{i}]" for i in range(vocab_size)]
    types = [gguf.TokenType.UNUSED] * vocab_size
    for token, i in tokenizer["model"]["vocab"].items():
        tokens[i], types[i] = token, gguf.TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]])


def add_sentencepiece(writer, tokenizer):
    """A Llama-style tokenizer.json, whose merges become scores, as SentencePiece has them."""
    vocab = tokenizer["model"]["vocab"]
    tokens = sorted(vocab, key=vocab.get)
    assert [vocab[t] for t in tokens] == list(range(len(tokens)))
    merged = [m.replace(" ", "") if isinstance(m, str) else "".join(m) for m in tokenizer["model"]["merges"]]
    first = {token: -rank for rank, token in reversed(list(enumerate(dict.fromkeys(merged))))}
    types = [gguf.TokenType.BYTE if re.fullmatch("<0x[0-9A-F]{2}>", t) else gguf.TokenType.NORMAL for t in tokens]
    for added in tokenizer["added_tokens"]:
        types[added["id"]] = gguf.TokenType.CONTROL
    unknown = vocab[tokenizer["model"]["unk_token"]]
    types[unknown] = gguf.TokenType.UNKNOWN
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([float(first.get(token, -1e6)) for token in tokens])
    writer.add_token_types(types)
    writer.add_unk_token_id(unknown)
    writer.add_bos_token_id(vocab["<s>"])
    writer.add_eos_token_id(vocab["</s>"])


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def stored_state(directory, config, whole_latents):
    """The model's tensors as GGUF has them, under the names of checkpoints."""
    state = load_state(directory)
    if config["model_type"] == "gpt_oss":
        return cut_gpt_oss(state)
    if "kv_lora_rank" in config and not whole_latents:
        state = cut_latents(state, config)
    return stacked_experts(state)


def write_gguf(directory, path, kind, pre=None, dequantised=None, seed=0, keys=None, whole_latents=False):
    """The model in `directory` as the GGUF file `path`, its matrices of type `kind`. `dequantised`: a folder that gets
    the same weights as safetensors, as the gguf package reads them. `pre`: with the tokenizer."""
    config = json.loads((directory / "config.json").read_text())
    name = ARCHITECTURES[config["model_type"]]
    writer = gguf.GGUFWriter(path, name)
    add_keys(writer, config)
    if pre:
        tokenizer = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
        add_tokenizer(writer, tokenizer, pre, config["vocab_size"])
    if keys:
        keys(writer)
    arch = {value: key for key, value in gguf.MODEL_ARCH_NAMES.items()}[name]
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    rng = np.random.default_rng(seed)
    plain = {}
    for source, values in stored_state(directory, config, whole_latents).items():
        if source == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        known = source.replace("e_score_correction_bias", "e_score_correction.bias")
        target = names.get_name(known, try_suffixes=(".weight", ".bias")) or dense_name(source)
        heads = None
        if config["model_type"] in PAIRED_HEADS and re.search(r"\.[qk]_proj\.", source):
            heads = config["num_attention_heads" if ".q_proj." in source else "num_key_value_heads"]
            values = interleaved(values, heads)
        values = np.ascontiguousarray(values.squeeze(0) if "shared_expert_gate" in source else values, np.float32)
        if values.ndim == 1 or "ffn_gate_inp" in target or target.endswith(".bias"):
            writer.add_tensor(target, values)
        else:
            used, blocks, values = quantised(values, gguf.GGMLQuantizationType[kind], rng)
            writer.add_tensor(target, blocks, raw_dtype=used)
        values = in_halves(values, heads) if heads else values
        plain[source] = np.ascontiguousarray(values[None] if "shared_expert_gate" in source else values)
    finish(writer)
    if config["model_type"] == "gpt_oss":
        plain = {name: np.ascontiguousarray(values) for name, values in joined_gpt_oss(plain).items()}
    if dequantised:
        write_plain(directory, dequantised, joined_latents(plain))


def write_plain(directory, output, plain):
    """The stacked tensors as a checkpoint beside the model's other files."""
    state = {}
    for name, values in plain.items():
        found = re.fullmatch(r"(?:model\.)?layers\.(\d+)\.(?:mlp|feed_forward)\.experts\.(\w+)\.weight", name)
        if not found:
            state[name] = values
            continue
        room = "block_sparse_moe" if found[2] in ("w1", "w2", "w3") else "mlp"
        for i, expert in enumerate(values):
            state[f"model.layers.{found[1]}.{room}.experts.{i}.{found[2]}.weight"] = np.ascontiguousarray(expert)
    output.mkdir()
    save_file(state, output / "model.safetensors")
    for file in directory.glob("*.json"):
        if "index" not in file.name:
            (output / file.name).write_bytes(file.read_bytes())
