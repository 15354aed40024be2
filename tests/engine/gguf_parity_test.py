"""GGUF models against the weights that the gguf package reads from them: the same bits out of the engine."""
import os
import pathlib
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("gguf")
from safetensors.torch import load_file, save_file  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/models"), str(ROOT / "tests/support")]
from make_gguf import ARCHITECTURES, write_gguf  # noqa: E402
from random_models import (DEEPSEEK, DEEPSEEK_V2, DEEPSEEK_V3, GPT_OSS, GPT_OSS_YARN, LIVE, MIXTRAL,  # noqa: E402
                           OLMOE, QWEN2, QWEN3, YARN, write_model)

SHARED = pathlib.Path(os.environ.get("FOREGATE_SHARED", ROOT.parent / "shared"))
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_0", "Q4_K", "Q5_K", "Q6_K", "MXFP4"]
WIDE = {"hidden_size": 256, "moe_intermediate_size": 256, "intermediate_size": 256}
WIDE_LATENT = WIDE | {"qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "v_head_dim": 64, "kv_lora_rank": 256}
USUAL_SWIGLU = {"swiglu_limit": 7.0}  # GGUF has no key for it
MODELS = {
    "qwen2": QWEN2 | WIDE | {"num_hidden_layers": 4, "decoder_sparse_step": 2, "shared_expert_intermediate_size": 512},
    "qwen3": QWEN3 | WIDE | {"num_key_value_heads": 2, "mlp_only_layers": [1]},
    "mixtral": MIXTRAL | WIDE,
    "olmoe": OLMOE | WIDE,
    "deepseek": DEEPSEEK | WIDE | {"num_key_value_heads": 2},
    "deepseek2": DEEPSEEK_V2 | WIDE_LATENT | YARN,
    "deepseek2-sigmoid": DEEPSEEK_V3 | WIDE_LATENT | {"q_lora_rank": 256, "num_hidden_layers": 2},
    "gpt-oss": GPT_OSS | WIDE | USUAL_SWIGLU | {"rope_theta": 1e4, "rope_scaling": GPT_OSS_YARN},
}


def outputs(model, vocab_size, longest, tmp_path):
    generator = torch.Generator().manual_seed(0)
    texts = [torch.randint(vocab_size, (n,), generator=generator).tolist() for n in (1, 2, 31, 33, longest)]
    lengths = torch.tensor([0] + [len(t) for t in texts])
    save_file({"token_ids": torch.tensor(sum(texts, []), dtype=torch.int32),
               "cu_seqlens": lengths.cumsum(0).to(torch.int32)}, tmp_path / "ids.safetensors")
    subprocess.run([os.environ["FOREGATE_DUMP_ROUTING"], model, tmp_path / "ids.safetensors",
                    tmp_path / "out.safetensors"], check=True)
    return load_file(tmp_path / "out.safetensors")


def check(directory, kind, vocab_size, longest, tmp_path):
    write_gguf(directory, tmp_path / "model.gguf", kind, dequantised=tmp_path / "plain")
    ours = outputs(tmp_path / "model.gguf", vocab_size, longest, tmp_path)
    expected = outputs(tmp_path / "plain", vocab_size, longest, tmp_path)
    assert ours.keys() == expected.keys() and len(ours) == 4
    assert torch.isfinite(expected["next_token_logits"]).all()
    assert expected["experts"].unique().numel() > 1
    for name, tensor in ours.items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", MODELS)
def test_every_type_in_every_architecture(name, kind, tmp_path):
    write_model(tmp_path / name, MODELS[name], torch.float32, False, shards=1, seed=3)
    check(tmp_path / name, kind, 96, 64, tmp_path)


# What GGUF has no key for: MoE layers at intervals, pairs of halves in latent attention, another magnitude of rotation
# than of scores, windows on other layers than every second; and Llama 3's rotation, of which it has a tensor.
UNSAID = {"deepseek-every-second", "deepseek_v3-halves", "glm4_moe_lite-halves", "deepseek_v2-small-magnitude",
          "gpt_oss-square", "qwen3-llama3"}


@pytest.mark.parametrize("name", [name for name, (config, _) in LIVE.items()
                                  if config["model_type"] in ARCHITECTURES and name not in UNSAID])
def test_random_models(name, tmp_path):
    config, fused = LIVE[name]
    if config["model_type"] == "gpt_oss":
        config = config | USUAL_SWIGLU
    write_model(tmp_path / name, config, torch.float32, fused, shards=1, seed=len(name))
    check(tmp_path / name, "F16", config["vocab_size"], 64, tmp_path)


def test_latents_expanded_by_one_matrix(tmp_path):
    """As older converters left them."""
    write_model(tmp_path / "v2", DEEPSEEK_V2 | WIDE_LATENT, torch.float32, False, shards=1, seed=5)
    write_gguf(tmp_path / "v2", tmp_path / "whole.gguf", "F32", whole_latents=True)
    write_gguf(tmp_path / "v2", tmp_path / "float.gguf", "F32")
    whole, cut = (outputs(tmp_path / file, 96, 64, tmp_path) for file in ("whole.gguf", "float.gguf"))
    for name, tensor in whole.items():
        assert torch.equal(tensor, cut[name]), name


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_K"])
@pytest.mark.parametrize("name, vocab_size", [("mini-qwen", 8192), ("seed-geometry", 4096), ("mini-deepseek", 8192),
                                              ("mini-gpt-oss", 8192)])
def test_trained_models(name, vocab_size, kind, tmp_path):
    directory = SHARED / "models" / name
    if not directory.exists():
        pytest.skip(f"{directory} is missing")
    check(directory, kind, vocab_size, 200, tmp_path)
