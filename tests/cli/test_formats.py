"""Checkpoints of every format against the same weights stored dense; checkpoints that contradict themselves."""
import importlib.util
import json

import pytest
import torch

from conftest import MODEL, demo_data, fails, run
from format_models import FORMATS, format_models, truncated
from quantized_models import load_model
from test_quantize import assert_same_routing, collect

NEEDS = {"int4": "compressed_tensors", "int4-asymmetric": "compressed_tensors", "fp8-by-row": "compressed_tensors",
         "bitsandbytes": "bitsandbytes"}


def need(name):
    package = NEEDS.get(name)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed, which packs the weights; what it packed lies in tests/models/goldens")


@pytest.mark.parametrize("name", FORMATS)
def test_equals_the_same_model_stored_dense(tmp_path, name):
    need(name)
    packed, dense = format_models(MODEL, tmp_path, name)
    done = collect(packed, tmp_path / "actual")
    assert "stored as floats" not in done.stderr or name == "bitsandbytes", done.stderr
    collect(dense, tmp_path / "expected")
    assert_same_routing(tmp_path / "actual", tmp_path / "expected")
    assert json.loads(run("inspect", packed, "--json").stdout)["weights"] == FORMATS[name][-1]


@pytest.mark.parametrize("name", ["fp8", "awq"])
def test_in_bfloat16_and_quantized_again(tmp_path, name):
    packed, dense = format_models(MODEL, tmp_path, name)
    for options in (["--dtype", "bfloat16"], ["--quantize", "int8"]):
        collect(packed, tmp_path / f"actual-{options[1]}", *options)
        collect(dense, tmp_path / f"expected-{options[1]}", *options)
        assert_same_routing(tmp_path / f"actual-{options[1]}", tmp_path / f"expected-{options[1]}")


@pytest.mark.parametrize("name", ["fp8", "nvfp4", "bitsandbytes"])
def test_routers_that_are_packed_too(tmp_path, name):
    """bitsandbytes and GPTQModel take every linear layer."""
    need(name)
    gates = (".mlp.gate.weight", ".shared_expert_gate.weight")
    packed, dense = format_models(MODEL, tmp_path, name, also=gates)
    codes = [tensor.dtype for key, tensor in load_model(packed).items() if key.endswith(gates)]
    assert codes and set(codes) <= {torch.float8_e4m3fn, torch.uint8}
    collect(packed, tmp_path / "actual")
    collect(dense, tmp_path / "expected")
    assert_same_routing(tmp_path / "actual", tmp_path / "expected")
    collect(packed, tmp_path / "saving", "--quantize", "int8", "--save-quantized", tmp_path / "int8")
    collect(tmp_path / "int8", tmp_path / "saved")
    assert_same_routing(tmp_path / "saved", tmp_path / "saving")


def test_half_of_the_experts_as_floats(tmp_path):
    """Without a list of what is left dense the values count, and one line tells of them."""
    dense = {}

    def change(tensors, _):
        for name in [name for name in tensors if "experts.3." in name and name.endswith("_scale_inv")]:
            weight = name.removesuffix("_scale_inv")
            tensors[weight] = dense[weight] = tensors[weight].bfloat16()
            del tensors[name]

    packed, _ = format_models(MODEL, tmp_path, "fp8", change)
    assert dense
    done = collect(packed, tmp_path / "t", traces=6)
    told = [line for line in done.stderr.splitlines() if "stored as floats" in line]
    assert len(told) == 1 and " 8 of 64 tensors model.layers.N.mlp.experts.N.down_proj.weight " in told[0], done.stderr


PROJECTION = "model.layers.2.mlp.experts.3.up_proj"


def drop(ending):
    return lambda tensors, config: tensors.pop(PROJECTION + ending)


def put(ending, tensor):
    return lambda tensors, config: tensors.update({PROJECTION + ending: tensor})


def say(**keys):
    return lambda tensors, config: config.update(keys)


def relabel(**config):
    def change(_, found):
        found.clear()
        found.update(config)
    return change


@pytest.mark.parametrize("name, change, saying", [
    ("fp8", drop(".weight_scale_inv"), ["1 missing", PROJECTION + ".weight_scale_inv"]),
    ("fp8", drop(".weight"), ["1 missing", PROJECTION + ".weight"]),
    ("fp8", put(".weight_scale_inv", torch.ones(3, 1)), [PROJECTION + ".weight_scale_inv is F32 [3, 1], expected a float [1, 1]"]),
    ("fp8", say(weight_block_size=[64, 32]), ["wrong shape", "weight_scale_inv", "config.json"]),
    ("fp8", say(weight_block_size=[128]), ["weight_block_size", "[128]", "two numbers"]),
    ("fp8", say(fmt="e5m2"), ["fmt", "e5m2", "e4m3"]),
    ("fp8", put(".weight", torch.ones(96, 64).to(torch.float8_e5m2)), [PROJECTION + ".weight is F8_E5M2", "expected F8_E4M3"]),
    ("fp8", say(modules_to_not_convert=["lm_head", "up_proj"]), ["wrong shape or dtype", "up_proj.weight is F8_E4M3", "expected a float"]),
    ("fp8-listed", put(".weight", torch.ones(96, 64).half()), [PROJECTION + ".weight is F16", "expected F8_E4M3"]),
    ("fp8", relabel(quant_method="gptq", bits=4, group_size=32), ["missing", "qweight", "quant_method is gptq", "tell of fp8"]),
    ("fp8", relabel(), ["it seems by fp8", "no quantization_config"]),
    ("fp8", relabel(quant_method="quark"), ["quant_method", "quark", "compressed-tensors", "awq"]),
    ("nvfp4", drop(".weight_scale_2"), ["1 missing", PROJECTION + ".weight_scale_2"]),
    ("nvfp4", say(ignore=["lm_head"]), ["missing", "self_attn.q_proj.weight_scale"]),
    ("nvfp4", say(quant_algo="W4A8_AWQ"), ["quant_algo", "W4A8_AWQ", "NVFP4"]),
    ("awq", drop(".qzeros"), ["1 missing", PROJECTION + ".qzeros"]),
    ("awq", say(group_size=48), ["64]", "by the group_size 48"]),
    ("awq", say(group_size=64), ["wrong shape", "qzeros", "expected I32 [1, "]),
    ("awq", say(version="gemv"), ["version", "gemv", "gemm"]),
    ("awq", say(bits=8), ["bits", "8", "4, the only one"]),
    ("awq", relabel(quant_method="gptq", bits=4, group_size=32), ["wrong shape", "qweight is I32 [64, ", "expected I32 [8, "]),
    ("int4", drop(".weight_scale"), ["1 missing", PROJECTION + ".weight_scale"]),
    ("int4", put(".weight_shape", torch.tensor([64, 64])), [PROJECTION + ".weight_shape is [64, 64]; expected [", "config.json"]),
    ("int4", lambda t, c: c.update(ignore=["lm_head"]), ["missing", "self_attn.q_proj.weight_packed"]),
    ("int4", lambda t, c: c["ignore"].append("re:.*experts.*"), ["missing", "unexpected", "weight_packed"]),
    ("int4", lambda t, c: c["ignore"].append("re:.*(experts"), ["regular expression", "broken"]),
    ("int4", lambda t, c: c["config_groups"]["group_0"]["weights"].update(num_bits=8), ["wrong shape", "weight_packed is I32"]),
    ("int4", say(format="marlin-24"), ["format", "marlin-24", "pack-quantized"]),
    ("bitsandbytes", drop(".weight.nested_absmax"), ["1 missing", PROJECTION + ".weight.nested_absmax"]),
    ("bitsandbytes", drop(".weight.quant_state.bitsandbytes__nf4"), ["missing", "quant_state.bitsandbytes__nf4"]),
    ("bitsandbytes", put(".weight.quant_state.bitsandbytes__nf4", torch.tensor(list(b'{"shape": [5, 5]}'), dtype=torch.uint8)),
     ["quant_state.bitsandbytes__nf4", "'shape' is [5,5]", "config.json"]),
    ("bitsandbytes", put(".weight.quant_map", torch.zeros(16)), ["quant_map[0] is 0; expected -1", "nf4"]),
    ("bitsandbytes", say(load_in_8bit=True, load_in_4bit=False), ["load_in_8bit", "4 bits"]),
])
def test_checkpoints_that_contradict_themselves(tmp_path, name, change, saying):
    need(name)
    packed, _ = format_models(MODEL, tmp_path, name, change)
    fails("collect", "--model", packed, *demo_data(), "--traces", 6, "--output", tmp_path / "t", code=1,
          saying=[str(packed), *saying])


def test_truncated(tmp_path):
    packed, _ = format_models(MODEL, tmp_path, "fp8")
    model = truncated(packed, tmp_path / "cut")
    fails("collect", "--model", model, *demo_data(), "--traces", 6, "--output", tmp_path / "t", code=1,
          saying=["model.safetensors", "bytes"])
