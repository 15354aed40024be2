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
from make_gguf import write_gguf  # noqa: E402
from random_models import DEEPSEEK, LIVE, MIXTRAL, OLMOE, QWEN2, QWEN3, write_model  # noqa: E402

SHARED = pathlib.Path(os.environ.get("FOREGATE_SHARED", ROOT.parent / "shared"))
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_0", "Q4_K", "Q5_K", "Q6_K", "MXFP4"]
WIDE = {"hidden_size": 256, "moe_intermediate_size": 256, "intermediate_size": 256}
MODELS = {
    "qwen2": QWEN2 | WIDE | {"num_hidden_layers": 4, "decoder_sparse_step": 2, "shared_expert_intermediate_size": 512},
    "qwen3": QWEN3 | WIDE | {"num_key_value_heads": 2, "mlp_only_layers": [1]},
    "mixtral": MIXTRAL | WIDE,
    "olmoe": OLMOE | WIDE,
    "deepseek": DEEPSEEK | WIDE | {"num_key_value_heads": 2},
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


@pytest.mark.parametrize("name", [name for name in LIVE if "every-second" not in name])
def test_random_models(name, tmp_path):
    """All but the one whose MoE layers GGUF has no key for."""
    config, fused = LIVE[name]
    write_model(tmp_path / name, config, torch.float32, fused, shards=1, seed=len(name))
    check(tmp_path / name, "F16", config["vocab_size"], 64, tmp_path)


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_K"])
@pytest.mark.parametrize("name, vocab_size", [("mini-qwen", 8192), ("seed-geometry", 4096)])
def test_trained_models(name, vocab_size, kind, tmp_path):
    directory = SHARED / "models" / name
    if not directory.exists():
        pytest.skip(f"{directory} is missing")
    check(directory, kind, vocab_size, 200, tmp_path)
