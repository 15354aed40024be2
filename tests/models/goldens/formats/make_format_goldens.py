"""Small checkpoints of every format, with what their writers' own packages make of them.

    pip install torch transformers compressed-tensors bitsandbytes safetensors
    pip download --no-deps autoawq auto-gptq nvidia-modelopt     # unpacked into one folder, not installed
    python make_format_goldens.py FOLDER

A case is a folder: config.json with the quantization_config, model.safetensors with the matrices as they are stored,
expected.safetensors with their values in float32. Codes are random or all there are; scales are adversarial: zero,
denormal, huge. Made with transformers 5.23.0, compressed-tensors 0.20.1, bitsandbytes 0.50.2, autoawq 0.2.9,
auto-gptq 0.7.1, nvidia-modelopt 0.47.0, torch 2.13.0.
"""
import importlib.util
import json
import pathlib
import re
import sys
import types

import bitsandbytes.functional as bnb
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from safetensors.torch import save, save_file
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

HERE = pathlib.Path(__file__).parent
CORPUS = HERE / "../../../fuzz/corpus/formats"
PACKAGES = pathlib.Path(sys.argv[1])
torch.manual_seed(17)


def module_name(name):
    return name.removesuffix(".weight")


def write(case, config, stored, expected):
    folder = HERE / case
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"quantization_config": config}, indent=1) + "\n")
    save_file({name: tensor.contiguous() for name, tensor in stored.items()}, folder / "model.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in expected.items()}, folder / "expected.safetensors")
    # The fuzzer begins with the smallest of them.
    small = {name: values.shape for name, values in expected.items() if values.numel() < 3000}
    stored = {name: tensor.contiguous() for name, tensor in stored.items() if any(name.startswith(module_name(of)) for of in small)}
    head = json.dumps({"quantization_config": config, "matrices": small}) + "\n"
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / case).write_bytes(head.encode() + save(stored))


def module_of(package, path, replace=()):
    """A file of a package that is not installed, without what it imports of its neighbours."""
    source = next(PACKAGES.rglob(path)).read_text()
    for pattern, text in replace:
        source = re.sub(pattern, text, source, flags=re.MULTILINE)
    module = types.ModuleType(package)
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def all_codes(rows, columns):
    """Bytes: every one of the 256 at least once, in random order."""
    bytes_ = torch.randint(0, 256, (rows, columns), dtype=torch.uint8)
    flat = bytes_.view(-1)
    flat[torch.randperm(flat.numel())[:256]] = torch.arange(256, dtype=torch.uint8)
    return bytes_


def adversarial(*shape):
    """Scales: usual ones, and zero, denormal, huge and negative ones among them."""
    scales = torch.rand(shape) * 0.02 + 1e-4
    flat = scales.view(-1)
    for value in (0.0, 1e-40, 3e38, 1e-38, -0.5, 2.0**-149):
        flat[torch.randint(flat.numel(), (1,))] = value
    return scales


# Block FP8. transformers refuses blocks that are not whole: padded to whole ones, dequantised, cut off.
def fp8_expected(codes, scales, block):
    rows, columns = codes.shape
    padded = torch.zeros(scales.shape[0] * block[0], scales.shape[1] * block[1], dtype=torch.uint8)
    padded[:rows, :columns] = codes
    values = Fp8Dequantize(None)._dequantize_one(padded.view(torch.float8_e4m3fn), scales, torch.float32)
    return values[:rows, :columns]


def block_fp8():
    stored, expected = {}, {}
    shapes = {"a": (128, 16), "b": (130, 140), "c": (72, 16), "d": (1, 129), "e": (129, 12)}
    for name, (rows, columns) in shapes.items():
        grid = (-(-rows // 128), -(-columns // 128))
        codes = all_codes(rows, columns) if rows * columns >= 256 else torch.randint(0, 256, (rows, columns), dtype=torch.uint8)
        scales = {"c": torch.tensor([[3]], dtype=torch.uint8),
                  "d": torch.tensor([[0, 254]], dtype=torch.uint8)}.get(name, adversarial(*grid))
        if name == "e":
            scales = scales.bfloat16()
        expected[f"{name}.weight"] = fp8_expected(codes, scales, (128, 128))
        stored[f"{name}.weight"] = codes.view(torch.float8_e4m3fn)
        stored[f"{name}.weight_scale_inv"] = scales.view(torch.float8_e8m0fnu) if name == "d" else scales
    # A stack of experts has a grid a matrix.
    codes, scales = all_codes(3 * 40, 24).view(3, 40, 24), adversarial(3, 3, 2)
    write("fp8-block", {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]},
          stored, expected)
    write("fp8-block-16", {"quant_method": "fp8", "weight_block_size": [16, 16]},
          {"x.gate_up_proj": codes.view(torch.float8_e4m3fn), "x.gate_up_proj_scale_inv": scales},
          {"x.gate_up_proj": torch.stack([fp8_expected(c, s, (16, 16)) for c, s in zip(codes, scales)])})


def tensor_fp8():
    codes, scale = all_codes(32, 33), torch.tensor(0.0123)
    write("fp8-tensor", {"quant_method": "fp8", "activation_scheme": "static"},
          {"a.weight": codes.view(torch.float8_e4m3fn), "a.weight_scale": scale, "a.input_scale": torch.tensor(1.0)},
          {"a.weight": codes.view(torch.float8_e4m3fn).float() * scale})


def mxfp4():
    stored, expected = {}, {}
    for name, (experts, rows, blocks) in {"gate_up_proj": (3, 20, 3), "down_proj": (3, 13, 1)}.items():
        codes = torch.randint(0, 256, (experts, rows, blocks, 16), dtype=torch.uint8)
        # Without 255, NaN, which transformers takes for a power of two.
        scales = torch.randint(0, 255, (experts, rows, blocks), dtype=torch.uint8)
        scales.view(-1)[:4] = torch.tensor([0, 1, 2, 254], dtype=torch.uint8)
        full = f"model.layers.0.mlp.experts.{name}"
        stored[f"{full}_blocks"], stored[f"{full}_scales"] = codes, scales
        expected[full] = convert_moe_packed_tensors(codes, scales, dtype=torch.float32).transpose(1, 2)
    dense = torch.randn(5, 7).bfloat16()
    stored["model.layers.0.self_attn.q_proj.weight"] = dense
    expected["model.layers.0.self_attn.q_proj.weight"] = dense.float()
    write("mxfp4", {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]},
          stored, expected)


def compressed_tensors():
    def case(name, fmt, args, rows, columns, config=None):
        args = QuantizationArgs(**args)
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        strategy = str(getattr(args.strategy, "value", args.strategy))
        groups = {"tensor": (1,), "channel": (rows, 1), "group": (rows, columns // (args.group_size or 1)),
                  "tensor_group": (rows, columns // (args.group_size or 1)), "block": None}[strategy]
        if strategy == "block":
            groups = tuple(-(-size // block) for size, block in zip((rows, columns), args.block_structure))
        state = {}
        low, high = -(2 ** (args.num_bits - 1)), 2 ** (args.num_bits - 1) - 1
        if fmt == "pack-quantized":
            from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
            codes = torch.randint(low, high + 1, (rows, columns), dtype=torch.int8)
            state["weight_packed"] = pack_to_int32(codes, args.num_bits)
            state["weight_shape"] = torch.tensor([rows, columns])
            if not args.symmetric:
                zeros = torch.randint(low, high + 1, groups, dtype=torch.int8)
                state["weight_zero_point"] = pack_to_int32(zeros, args.num_bits, packed_dim=0)
        elif fmt == "int-quantized":
            state["weight"] = all_codes(rows, columns).view(torch.int8)
            if not args.symmetric:
                state["weight_zero_point"] = torch.randint(-128, 128, groups, dtype=torch.int8)
        elif fmt == "float-quantized":
            state["weight"] = all_codes(rows, columns).view(torch.float8_e4m3fn)
        else:
            state["weight_packed"] = torch.randint(0, 256, (rows, columns // 2), dtype=torch.uint8)
        if fmt == "nvfp4-pack-quantized":
            bytes_ = torch.randint(0, 0x7F, groups, dtype=torch.uint8)
            bytes_.view(-1)[:3] = torch.tensor([0, 1, 0x7E], dtype=torch.uint8)
            state["weight_scale"] = bytes_.view(torch.float8_e4m3fn)
            state["weight_global_scale"] = torch.tensor([713.25])
        elif fmt == "mxfp4-pack-quantized":
            state["weight_scale"] = torch.randint(100, 140, groups, dtype=torch.uint8)
        else:
            state["weight_scale"] = adversarial(*groups)
            if name.endswith("bf16"):
                state["weight_scale"] = state["weight_scale"].bfloat16()
        stored = dict(state)
        # In float32 from scales of fewer bits on, as a model in float32 has them.
        if state["weight_scale"].dtype == torch.bfloat16:
            state["weight_scale"] = state["weight_scale"].float()
        compressor = BaseCompressor.get_value_from_registry(fmt)
        if fmt in ("nvfp4-pack-quantized", "mxfp4-pack-quantized"):
            helpers = sys.modules["compressed_tensors.compressors.nvfp4.base"]
            unpack = helpers.unpack_fp4_from_uint8
            # The package unpacks to bfloat16 unless told otherwise.
            helpers.unpack_fp4_from_uint8 = lambda packed, m, n: unpack(packed, m, n, dtype=torch.float32)
            expected = compressor.decompress(state, scheme)["weight"]
            helpers.unpack_fp4_from_uint8 = unpack
        else:
            expected = compressor.decompress(state, scheme)["weight"]
        weights = json.loads(args.model_dump_json())
        write(f"compressed-tensors-{name}",
              {"quant_method": "compressed-tensors", "format": fmt, "quantization_status": "compressed",
               "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": None}},
               "ignore": ["lm_head", "re:.*self_attn.*"], "kv_cache_scheme": None},
              {"x.self_attn.q_proj.weight": torch.ones(2, 2).half()} | {f"x.mlp.up_proj.{part}": tensor for part, tensor in stored.items()},
              {"x.self_attn.q_proj.weight": torch.ones(2, 2), "x.mlp.up_proj.weight": expected.float()})

    integer = {"type": "int", "symmetric": True}
    case("int4-group-32", "pack-quantized", integer | {"num_bits": 4, "strategy": "group", "group_size": 32}, 24, 96)
    case("int4-group-bf16", "pack-quantized", integer | {"num_bits": 4, "strategy": "group", "group_size": 32}, 9, 64)
    case("int4-asymmetric", "pack-quantized",
         {"type": "int", "symmetric": False, "num_bits": 4, "strategy": "group", "group_size": 16}, 21, 48)
    case("int8-channel", "pack-quantized", integer | {"num_bits": 8, "strategy": "channel"}, 17, 31)
    case("int8-asymmetric", "pack-quantized", {"type": "int", "symmetric": False, "num_bits": 8, "strategy": "channel"}, 19, 33)
    case("int3-group", "pack-quantized", integer | {"num_bits": 3, "strategy": "group", "group_size": 20}, 7, 60)
    case("int3-asymmetric", "pack-quantized",
         {"type": "int", "symmetric": False, "num_bits": 3, "strategy": "group", "group_size": 20}, 37, 60)
    case("int8-bytes", "int-quantized", integer | {"num_bits": 8, "strategy": "channel"}, 16, 40)
    case("int8-bytes-asymmetric", "int-quantized", {"type": "int", "symmetric": False, "num_bits": 8, "strategy": "channel"}, 16, 40)
    floating = {"type": "float", "symmetric": True, "num_bits": 8}
    case("fp8-channel", "float-quantized", floating | {"strategy": "channel"}, 20, 37)
    case("fp8-channel-bf16", "float-quantized", floating | {"strategy": "channel"}, 20, 37)
    case("fp8-tensor", "float-quantized", floating | {"strategy": "tensor"}, 20, 37)
    case("fp8-group", "float-quantized", floating | {"strategy": "group", "group_size": 16}, 20, 48)
    case("fp8-block", "float-quantized", floating | {"strategy": "block", "block_structure": [16, 16]}, 40, 37)
    case("nvfp4", "nvfp4-pack-quantized",
         {"type": "float", "symmetric": True, "num_bits": 4, "strategy": "tensor_group", "group_size": 16}, 18, 64)
    case("mxfp4", "mxfp4-pack-quantized",
         {"type": "float", "symmetric": True, "num_bits": 4, "strategy": "group", "group_size": 32}, 18, 64)


def awq():
    package = module_of("awq", "awq/utils/packing_utils.py")
    stored, expected = {}, {}
    for name, (inputs, outputs) in {"a": (96, 24), "b": (32, 136)}.items():
        words = lambda *shape: torch.randint(-(2**31), 2**31, shape, dtype=torch.int64).to(torch.int32)
        parts = {"qweight": words(inputs, outputs // 8), "qzeros": words(inputs // 32, outputs // 8),
                 "scales": (torch.rand(inputs // 32, outputs) * 0.02).half()}
        parts["scales"][0, :3] = torch.tensor([0.0, 6e-8, 65504.0])
        stored |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
        expected[f"{name}.weight"] = package.dequantize_gemm(
            parts["qweight"], parts["qzeros"], parts["scales"].float(), 4, 32).T
    stored["mlp.gate.weight"], expected["mlp.gate.weight"] = torch.ones(3, 32).half(), torch.ones(3, 32)
    write("awq", {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True,
                  "modules_to_not_convert": ["gate"]}, stored, expected)


def gptq():
    package = module_of("gptq", "qlinear/qlinear_cuda.py", [(r"^from \.\.\.utils.*$", ""), (r"^import transformers$", "")])

    def dequantized(bits, inputs, outputs, group):
        layer = package.QuantLinear(bits, group, inputs, outputs, bias=False)
        words = lambda like: torch.randint(-(2**31), 2**31, like.shape, dtype=torch.int64).to(torch.int32)
        layer.qweight, layer.qzeros = words(layer.qweight), words(layer.qzeros)
        # A stored zero of all ones is 2^bits to this package, 0 to others.
        mask = sum(((1 << bits) - 1) << at for at in range(0, 32, bits)) if bits != 3 else None
        if bits == 3:
            layer.qzeros.zero_()
        else:
            layer.qzeros = (layer.qzeros & ~sum(1 << at for at in range(0, 32, bits)) if mask else layer.qzeros).to(torch.int32)
        layer.scales = torch.rand_like(layer.scales.float()) * 0.02
        layer.scales[0, :2] = torch.tensor([0.0, 1e-7])
        layer.scales = layer.scales.half().float()
        layer.g_idx = layer.g_idx.to(torch.int32)[torch.randperm(inputs)]
        parts = {"qweight": layer.qweight, "qzeros": layer.qzeros, "scales": layer.scales.half(), "g_idx": layer.g_idx}
        # The product with the identity is the matrix itself.
        return parts, layer.forward(torch.eye(inputs)).T

    for bits in (2, 3, 4, 8):
        parts, values = dequantized(bits, 64, 32, 32)
        write(f"gptq-{bits}-bit", {"quant_method": "gptq", "bits": bits, "group_size": 32, "desc_act": True, "sym": False},
              {f"a.{part}": tensor for part, tensor in parts.items()}, {"a.weight": values})

    stored, expected = {}, {}
    for name, (bits, group) in {"model.layers.0.mlp.up_proj": (4, 32), "model.layers.1.mlp.up_proj": (8, 16),
                                "model.layers.2.mlp.up_proj": (2, 32)}.items():
        parts, expected[f"{name}.weight"] = dequantized(bits, 64, 32, group)
        stored |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
    dense = "model.layers.3.mlp.up_proj.weight"
    stored[dense], expected[dense] = torch.ones(4, 8).half(), torch.ones(4, 8)
    base = {"bits": 4, "group_size": 32, "desc_act": True, "sym": False}
    write("gptq-dynamic", {"quant_method": "gptq"} | base | {
        "dynamic": {r"+:model\.layers\.1\.": {"bits": 8, "group_size": 16}, r".*\.2\.mlp": {"bits": 2}, r"-:.*layers\.3": {}}},
        stored, expected)
    write("auto-round", {"quant_method": "auto-round", "packing_format": "auto_round:auto_gptq", "data_type": "int"} | base | {
        "extra_config": {"model.layers.1.mlp.up_proj": {"bits": 8, "group_size": 16, "sym": False, "data_type": "int"},
                         "model.layers.2.mlp.up_proj": {"bits": 2}, "model.layers.3.mlp.up_proj": {"bits": 16}}},
        stored, expected)


def bitsandbytes():
    for kind in ("nf4", "fp4"):
        for nested in (False, True):
            stored, expected = {}, {}
            for name, (rows, columns, block) in {"a": (64, 64, 64), "b": (50, 70, 64), "c": (66 if kind == "nf4" and nested else 6, 258, 64), "d": (3, 5, 64),
                                                 "e": (24, 200, 128)}.items():
                weight = torch.randn(rows, columns) * 0.05
                weight.view(-1)[:block] = 0  # a block whose scale is zero
                weight.view(-1)[-1] = 1e-39 if name == "e" else 3.0
                codes, state = bnb.quantize_4bit(weight, blocksize=block, compress_statistics=nested, quant_type=kind)
                codes = torch.randint(0, 256, codes.shape, dtype=torch.uint8)  # every code with every scale
                stored[f"{name}.weight"] = codes
                stored |= {f"{name}.weight.{part}": tensor for part, tensor in state.as_dict(packed=True).items()}
                # As the kernels do, with the values that the checkpoint holds; the package's CPU path has fp4's
                # rounded to four digits.
                absmax = state.absmax
                if nested:
                    absmax = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
                default = sys.modules["bitsandbytes.backends.default.ops"]
                bounds = default._get_4bit_code
                default._get_4bit_code = lambda *_: state.code
                expected[f"{name}.weight"] = default._dequantize_4bit_compute(
                    codes.reshape(-1), absmax.float(), state.code, block, (rows, columns), torch.float32)
                default._get_4bit_code = bounds
                if kind == "nf4":
                    whole = bnb.dequantize_4bit(codes, state)
                    assert torch.equal(whole, expected[f"{name}.weight"])
            stored["lm_head.weight"] = torch.ones(2, 3).bfloat16()
            expected["lm_head.weight"] = torch.ones(2, 3)
            write(f"bitsandbytes-{kind}{'-double' if nested else ''}",
                  {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": kind,
                   "bnb_4bit_use_double_quant": nested, "bnb_4bit_quant_storage": "uint8", "llm_int8_skip_modules": None},
                  stored, expected)


def modelopt():
    source = next(PACKAGES.rglob("nvfp4_tensor.py")).read_text()
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])
    body = source[source.index("    def dequantize(self"):]
    end = re.search(r"^    @|^    def ", body[10:], re.MULTILINE)
    scope = {"torch": torch}
    exec("class NVFP4:\n" + (body[:end.start() + 10] if end else body), scope)
    tensor = scope["NVFP4"]()
    tensor._quantized_data = torch.randint(0, 256, (18, 32), dtype=torch.uint8)
    tensor.metadata = {"shape": (18, 64), "dtype": torch.float32}
    tensor.get_e2m1_values = lambda device: values
    scales = torch.randint(0, 0x7F, (18, 4), dtype=torch.uint8)
    scales.view(-1)[:3] = torch.tensor([0, 1, 0x7E], dtype=torch.uint8)
    scales, double = scales.view(torch.float8_e4m3fn), torch.tensor(0.00123)
    expected = tensor.dequantize(scale=scales, double_scale=double, block_sizes={-1: 16})
    parts = {"x.up_proj.weight": tensor._quantized_data, "x.up_proj.weight_scale": scales,
             "x.up_proj.weight_scale_2": double, "x.up_proj.input_scale": torch.tensor(0.5),
             "x.self_attn.o_proj.weight": torch.ones(2, 2).bfloat16()}
    results = {"x.up_proj.weight": expected, "x.self_attn.o_proj.weight": torch.ones(2, 2)}
    write("modelopt-nvfp4", {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", "x.self_attn*"],
                             "producer": {"name": "modelopt"}}, parts, results)
    codes = all_codes(16, 17).view(torch.float8_e4m3fn)
    parts |= {"x.down_proj.weight": codes, "x.down_proj.weight_scale": torch.tensor(0.031)}
    results |= {"x.down_proj.weight": codes.float() * torch.tensor(0.031)}
    write("modelopt-mixed", {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {
        "x.up_proj": {"quant_algo": "NVFP4", "group_size": 16}, "x.down_proj": {"quant_algo": "FP8"}}}, parts, results)


for make in (block_fp8, tensor_fp8, mxfp4, compressed_tensors, awq, gptq, bitsandbytes, modelopt):
    make()
