"""Checkpoints in the formats that models are published in, made of a dense one, and what their codes stand for."""
import json
import shutil

import numpy as np
import torch

from quantized_models import copy_model, is_projection, load_model

E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0])
MIXED = [0, 2, 4, 6, 1, 3, 5, 7]  # the outputs of an AWQ word, lowest bits first


def spread(grid, block, shape):
    """A grid's values over the elements of its blocks, of which the last may be cut off."""
    return grid.repeat_interleave(block[0], 0)[:shape[0]].repeat_interleave(block[1], 1)[:, :shape[1]]


def block_fp8(weight, block=(128, 128)):
    """The codes and scales of a matrix, and what they stand for."""
    rows, columns = weight.shape
    grid = [[weight[r:r + block[0], c:c + block[1]].abs().max() / 448 for c in range(0, columns, block[1])]
            for r in range(0, rows, block[0])]
    scales = torch.tensor(grid).clamp(min=1e-12)
    codes = (weight / spread(scales, block, weight.shape)).to(torch.float8_e4m3fn)
    return {"": codes, "_scale_inv": scales}, codes.float() * spread(scales, block, weight.shape)


def nvfp4(weight):
    rows, columns = weight.shape
    blocks = weight.view(rows, -1, 16)
    double = weight.abs().max() / (6 * 448)
    scales = (blocks.abs().amax(-1) / 6 / double).to(torch.float8_e4m3fn)
    whole = scales.float() * double
    scaled = blocks / whole.clamp(min=1e-12).unsqueeze(-1)
    codes = (scaled.unsqueeze(-1) - E2M1).abs().argmin(-1).to(torch.uint8)
    values = (E2M1[codes.long()] * whole.unsqueeze(-1)).view(rows, columns)
    codes = codes.view(rows, columns)
    return {"": codes[:, ::2] | codes[:, 1::2] << 4, "_scale": scales, "_scale_2": double}, values


def awq(weight, group=32):
    """AWQ's endings replace ".weight"."""
    rows, columns = weight.shape
    groups = weight.view(rows, -1, group)
    low, high = groups.amin(-1), groups.amax(-1)
    scales = ((high - low) / 15).half()
    zeros = (-low / scales.float()).round().clamp(0, 15)
    codes = ((groups / scales.float().unsqueeze(-1)).round() + zeros.unsqueeze(-1)).clamp(0, 15)
    values = ((codes - zeros.unsqueeze(-1)) * scales.float().unsqueeze(-1)).view(rows, columns)

    def words(matrix):  # [..., outputs] -> [..., outputs / 8]
        split = matrix.to(torch.int64).numpy().reshape(*matrix.shape[:-1], -1, 8)[..., MIXED]
        packed = (split << (4 * np.arange(8))).sum(-1)
        return torch.from_numpy(packed.astype(np.uint32).view(np.int32))

    parts = {".qweight": words(codes.view(rows, columns).T.contiguous()), ".qzeros": words(zeros.T.contiguous()),
             ".scales": scales.T.contiguous()}
    return parts, values


def compressed(weight, fmt, **arguments):
    """By compressed-tensors itself."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams
    args = QuantizationArgs(**arguments)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    groups = weight.view(weight.shape[0], -1, args.group_size or weight.shape[1])
    scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
    state = {"weight": weight, "weight_scale": scale, "weight_zero_point": zero}
    compressor = BaseCompressor.get_value_from_registry(fmt)
    stored = compressor.compress(state, scheme)
    values = compressor.decompress(stored, scheme)["weight"]
    return {"." + name: tensor for name, tensor in stored.items()}, values.float()


def bitsandbytes(weight, kind="nf4", nested=True):
    """By bitsandbytes itself."""
    import bitsandbytes.functional as functional
    codes, state = functional.quantize_4bit(weight, blocksize=64, compress_statistics=nested, quant_type=kind)
    parts = {"": codes} | {f".{name}": tensor for name, tensor in state.as_dict(packed=True).items()}
    return parts, functional.dequantize_4bit(codes, state)


def int4(weight):
    return compressed(weight, "pack-quantized", num_bits=4, type="int", symmetric=True, strategy="group", group_size=32)


def int4_asymmetric(weight):
    return compressed(weight, "pack-quantized", num_bits=4, type="int", symmetric=False, strategy="group", group_size=16)


def fp8_by_row(weight):
    return compressed(weight, "float-quantized", num_bits=8, type="float", symmetric=True, strategy="channel")


def compressed_config(fmt, **weights):
    return {"quant_method": "compressed-tensors", "format": fmt, "quantization_status": "compressed",
            "ignore": ["lm_head", r"re:.*self_attn\.[qk]_proj$"],
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"symmetric": True} | weights,
                                          "input_activations": None, "output_activations": None}}}


# Name: how a matrix is packed, whether its endings come in place of ".weight", quantization_config, what is left dense,
# what inspect says.
FORMATS = {
    "fp8": (block_fp8, False, {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                               "weight_block_size": [128, 128]}, (), "fp8 e4m3, blocks of 128 x 128"),
    "fp8-listed": (block_fp8, False, {"quant_method": "fp8", "weight_block_size": [128, 128],
                                      "modules_to_not_convert": ["lm_head", "o_proj", "model.layers.0"]},
                   ("o_proj.", "model.layers.0."), "fp8 e4m3, blocks of 128 x 128"),
    "nvfp4": (nvfp4, False, {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", "*self_attn*"]},
              ("self_attn",), "nvfp4, groups of 16"),
    "awq": (awq, True, {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "GEMM",
                        "modules_to_not_convert": ["gate", "down_proj"]}, ("down_proj.",), "awq 4-bit, groups of 32"),
    "int4": (int4, True, compressed_config("pack-quantized", num_bits=4, type="int", strategy="group", group_size=32),
             ("q_proj.", "k_proj."), "pack-quantized 4-bit, groups of 32"),
    "int4-asymmetric": (int4_asymmetric, True,
                        compressed_config("pack-quantized", num_bits=4, type="int", strategy="group", group_size=16,
                                          symmetric=False),
                        ("q_proj.", "k_proj."), "pack-quantized 4-bit, groups of 16"),
    "fp8-by-row": (fp8_by_row, True, compressed_config("float-quantized", num_bits=8, type="float", strategy="channel"),
                   ("q_proj.", "k_proj."), "float-quantized e4m3, a scale a row"),
    "bitsandbytes": (bitsandbytes, False, {"quant_method": "bitsandbytes", "load_in_4bit": True,
                                           "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
                     ("down_proj.",), "bitsandbytes 4-bit"),
}


def format_models(source, folder, name, change=None, also=()):
    """The model packed, and dense in float32. `change` may alter the packed tensors and quantization_config; what
    ends in one of `also` is packed as the projections are."""
    pack, in_place, config, left_dense, _ = FORMATS[name]
    packed, dense = {}, {}
    for tensor_name, tensor in load_model(source).items():
        dense[tensor_name] = packed[tensor_name] = tensor
        if not (is_projection(tensor_name) or tensor_name.endswith(also)) or any(part in tensor_name for part in left_dense):
            continue
        parts, dense[tensor_name] = pack(tensor.float())
        del packed[tensor_name]
        stem = tensor_name.removesuffix(".weight") if in_place else tensor_name
        packed.update({stem + ending: part.contiguous() for ending, part in parts.items()})
    config = json.loads(json.dumps(config))
    if change:
        change(packed, config)
    return copy_model(source, folder / "packed", packed, config), copy_model(source, folder / "dense", dense)


def truncated(model, target):
    """The model whose file of weights ends too early."""
    shutil.copytree(model, target)
    with open(target / "model.safetensors", "r+b") as file:
        file.truncate((target / "model.safetensors").stat().st_size // 2)
    return target
