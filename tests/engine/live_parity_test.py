"""The engine against the transformers that is installed, on every model of the goldens and random ones.

Unlike the goldens this notices when transformers itself changes. Texts are random ids of 1 to 200 tokens, packed
into one batch here and run one by one there.
"""
import json
import os
import pathlib
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from safetensors.torch import load_file, save_file  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/models"))
from random_models import LIVE, load_reference, normalises, route, write_model  # noqa: E402

GOLDENS = ROOT / "tests/models/goldens"
SHARED = pathlib.Path(os.environ.get("FOREGATE_SHARED", ROOT.parent / "shared"))
MODELS = sorted(p.parent for p in GOLDENS.glob("*/config.json")) + [
    SHARED / "models/seed-geometry", SHARED / "models/mini-qwen"]


def relative_error(actual, expected):
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def check(directory, tmp_path):
    transformers.utils.logging.set_verbosity_error()
    config = json.loads((directory / "config.json").read_text())
    generator = torch.Generator().manual_seed(0)
    longest = min(200, config["max_position_embeddings"])
    texts = [torch.randint(config["vocab_size"], (n,), generator=generator).tolist()
             for n in (1, 2, 31, 33, longest)]
    lengths = torch.tensor([0] + [len(t) for t in texts])
    save_file({"token_ids": torch.tensor(sum(texts, []), dtype=torch.int32),
               "cu_seqlens": lengths.cumsum(0).to(torch.int32)}, tmp_path / "ids.safetensors")
    subprocess.run([os.environ["FOREGATE_DUMP_ROUTING"], directory, tmp_path / "ids.safetensors",
                    tmp_path / "out.safetensors"], check=True)
    ours = load_file(tmp_path / "out.safetensors")
    logits, last = route(load_reference(directory), texts)
    assert ours["logits"].shape == logits.shape
    for layer, (actual, expected) in enumerate(zip(ours["logits"], logits)):
        assert relative_error(actual, expected) < 1e-5, f"layer {layer}"
    assert relative_error(ours["next_token_logits"], last) < 1e-5
    k = config["num_experts_per_tok"]
    gates = logits.softmax(-1).topk(k, -1).values
    if normalises(config):
        gates = gates / gates.sum(-1, keepdim=True)
    assert relative_error(ours["gate_weights"], gates) < 1e-4
    ranked = logits.sort(-1, descending=True).values
    # Decisions closer than rounding may fall either way; all others must be equal.
    clear = (ranked[..., k - 1] - ranked[..., k]) > 1e-6 * logits.abs().amax((1, 2))[:, None]
    same = (ours["experts"].sort(-1).values == logits.topk(k, -1).indices.sort(-1).values).all(-1)
    assert (same | ~clear).all()
    assert clear.float().mean() > 0.999


@pytest.mark.parametrize("directory", MODELS, ids=lambda p: p.name)
def test_models_on_disk(directory, tmp_path):
    if not directory.exists():
        pytest.skip(f"{directory} is missing")
    check(directory, tmp_path)


@pytest.mark.parametrize("name", LIVE)
def test_random_models(name, tmp_path):
    config, fused = LIVE[name]
    write_model(tmp_path / name, config, torch.float32, fused, shards=1, seed=len(name))
    check(tmp_path / name, tmp_path)
