"""A widened checkpoint computes what the small one does: by transformers, on the example's trained model."""
import json
import pathlib
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools/widen_checkpoint.py"
MODEL = ROOT / "examples/demo/model"


def widen(model, output, *options):
    return subprocess.run([sys.executable, TOOL, model, output, *map(str, options)], capture_output=True, text=True)


def outputs_of(model, ids):
    loaded = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    with torch.no_grad():
        return loaded(ids, output_router_logits=True)


def test_computes_the_same(tmp_path):
    wide = tmp_path / "wide"
    result = widen(MODEL, wide, "--hidden", 512, "--heads", 8, "--expert", 160, "--shared", 96, "--dense", 224)
    assert result.returncode == 0, result.stderr
    config = json.loads((wide / "config.json").read_text())
    assert (config["hidden_size"], config["moe_intermediate_size"], config["num_attention_heads"]) == (512, 160, 8)
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, config["vocab_size"], (4, 64), generator=generator)
    small, large = outputs_of(MODEL, ids), outputs_of(wide, ids)
    assert (small.logits - large.logits).abs().max() < 1e-4 * small.logits.abs().max()
    assert len(small.router_logits) == len(large.router_logits) > 0
    k = config["num_experts_per_tok"]
    for before, after in zip(small.router_logits, large.router_logits):
        torch.testing.assert_close(after, before, rtol=0, atol=1e-4)
        ranked = before.sort(descending=True).values
        clear = ranked[:, k - 1] - ranked[:, k] > 1e-4  # others may fall either way
        chosen = [logits.topk(k).indices.sort().values for logits in (before, after)]
        assert clear.float().mean() > 0.99
        assert torch.equal(chosen[0][clear], chosen[1][clear])


@pytest.mark.parametrize("option, size, message", [
    ("--hidden", 100, "error: hidden is 64 and cannot become 100; give a multiple"),
    ("--expert", 1, "error: expert is 96 and cannot become 1; give as many or more"),
])
def test_refuses_what_cannot_be(tmp_path, option, size, message):
    result = widen(MODEL, tmp_path / "wide", option, size)
    assert result.returncode == 1
    assert result.stderr.strip() == message
    assert not (tmp_path / "wide").exists()


def test_refuses_other_models(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "mixtral"}')
    result = widen(tmp_path, tmp_path / "wide")
    assert result.returncode == 1
    assert result.stderr.strip() == "error: model_type is 'mixtral'; only qwen2_moe can be widened"
