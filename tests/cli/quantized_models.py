"""Quantisation written once more with numpy, and checkpoints made with it, to compare the program with."""
import json
import shutil

import numpy as np
import torch
from safetensors.torch import load_file, save_file

# Appendix E of "QLoRA: Efficient Finetuning of Quantized LLMs" (Dettmers et al. 2023).
NF4 = np.array([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
                -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
                0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
                0.7229568362236023, 1.0], dtype=np.float32)

PROJECTIONS = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight", "gate_proj.weight",
               "up_proj.weight", "down_proj.weight")


def int8(weight):
    """Per output channel, symmetric: what the codes stand for."""
    scale = np.abs(weight).max(axis=1, keepdims=True) / np.float32(127)
    codes = np.rint(np.divide(weight, scale, out=np.zeros_like(weight), where=scale > 0))
    return codes.astype(np.float32) * scale


def nf4(weight):
    """Blocks of 64 along each row."""
    rows, columns = weight.shape
    padded = np.pad(weight, ((0, 0), (0, -columns % 64))).reshape(rows, -1, 64)
    absmax = np.abs(padded).max(axis=-1, keepdims=True)
    scaled = np.divide(padded, absmax, out=np.zeros_like(padded), where=absmax > 0)
    codes = np.searchsorted((NF4[:-1] + NF4[1:]) / np.float32(2), scaled, side="left")
    return (NF4[codes] * absmax).reshape(rows, -1)[:, :columns]


def pack_gptq(weight, bits, group_size, rng, act_order=False, minus_one=True, symmetric=False):
    """Packs a random matrix of weight's shape and size as GPTQ does; the tensors and what they stand for."""
    outputs, inputs = weight.shape
    group_size = inputs if group_size == -1 else group_size
    groups = -(-inputs // group_size)
    levels, per_word = 2**bits, 32 // bits
    codes = rng.integers(0, levels, (inputs, outputs))
    zeros = np.full((groups, outputs), levels // 2) if symmetric else rng.integers(1, levels, (groups, outputs))
    scales = (np.abs(weight).mean() * 4 / levels * rng.uniform(0.5, 1.5, (groups, outputs))).astype(np.float16)
    order = rng.permutation(inputs) if act_order else np.arange(inputs)
    g_idx = (order // group_size).astype(np.int32)
    dense = scales.astype(np.float32)[g_idx] * (codes - zeros[g_idx]).astype(np.float32)

    shifts = (np.arange(per_word) * bits).astype(np.uint64)

    def words(values, axis):
        split = np.moveaxis(values, axis, -1).astype(np.uint64)
        split = split.reshape(*split.shape[:-1], -1, per_word) << shifts
        return np.ascontiguousarray(np.moveaxis(split.sum(-1).astype(np.uint32).view(np.int32), -1, axis))

    stored = zeros - 1 if minus_one else zeros
    return {"qweight": words(codes, 0), "qzeros": words(stored, 1), "scales": scales, "g_idx": g_idx}, dense.T.copy()


def copy_model(source, target, tensors, quantization_config=None):
    """A model of other weights: config and tokenizer of `source`, `tensors` in one file."""
    target.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, target / name)
    config = json.loads((source / "config.json").read_text())
    if quantization_config:
        config["quantization_config"] = quantization_config
    (target / "config.json").write_text(json.dumps(config))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, target / "model.safetensors")
    return target


def load_model(source):
    return {name: tensor for name, tensor in load_file(source / "model.safetensors").items()}


def is_projection(name):
    return name.endswith(PROJECTIONS)


def dequantized_model(source, target, method):
    """The model with every projection replaced by what its quantised form stands for, in float32."""
    tensors = load_model(source)
    for name, tensor in tensors.items():
        if is_projection(name):
            tensors[name] = torch.from_numpy(method(tensor.float().numpy()))
    return copy_model(source, target, tensors)


def gptq_models(source, folder, bits=4, group_size=32, act_order=False, checkpoint_format=None, with_biases=False,
                symmetric=False, label=None):
    """The same random model twice: packed, and dense in float32. `label` is written in place of checkpoint_format."""
    rng = np.random.default_rng(7)
    packed, dense = {}, {}
    for name, tensor in load_model(source).items():
        dense[name] = packed[name] = tensor
        if not is_projection(name):
            continue
        parts, values = pack_gptq(tensor.float().numpy(), bits, group_size, rng, act_order,
                                  minus_one=checkpoint_format != "gptq_v2", symmetric=symmetric)
        dense[name] = torch.from_numpy(values)
        del packed[name]
        module = name.removesuffix(".weight")
        packed.update({f"{module}.{part}": torch.from_numpy(array) for part, array in parts.items()})
        if with_biases and f"{module}.bias" not in packed and "q_proj" not in name and "k_proj" not in name \
                and "v_proj" not in name:
            packed[f"{module}.bias"] = torch.zeros(tensor.shape[0], dtype=torch.float16)
    config = {"quant_method": "gptq", "bits": bits, "group_size": group_size, "desc_act": act_order, "sym": symmetric,
              "damp_percent": 0.01, "static_groups": False, "true_sequential": True}
    if label or checkpoint_format:
        config["checkpoint_format"] = label or checkpoint_format
    return copy_model(source, folder / "packed", packed, config), copy_model(source, folder / "dense", dense)
