"""The engine against the transformers that is installed, on every model of the goldens.

Unlike the goldens this notices when transformers itself changes. Texts are random ids of 1 to 200 tokens, packed
into one batch here and run one by one there.
"""
import os
import pathlib
import subprocess

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from safetensors.torch import load_file, save_file  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDENS = ROOT / "tests/models/goldens"
SHARED = pathlib.Path(os.environ.get("FOREGATE_SHARED", ROOT.parent / "shared"))
MODELS = sorted(p.parent for p in GOLDENS.glob("*/config.json")) + [
    SHARED / "models/seed-geometry", SHARED / "models/mini-qwen"]


@torch.inference_mode()
def reference(model, texts):
    logits, last = [], []
    for ids in texts:
        out = model(input_ids=torch.tensor([ids]), output_router_logits=True, use_cache=False)
        logits.append(torch.stack([layer for layer in out.router_logits if layer is not None]))
        last.append(out.logits[0, -1])
    return torch.cat(logits, 1), torch.stack(last)


def relative_error(actual, expected):
    return ((actual - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("directory", MODELS, ids=lambda p: p.name)
def test_float32_routes_as_transformers(directory, tmp_path):
    if not directory.exists():
        pytest.skip(f"{directory} is missing")
    transformers.utils.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(0)
    longest = min(200, model.config.max_position_embeddings)
    texts = [torch.randint(model.config.vocab_size, (n,), generator=generator).tolist()
             for n in (1, 2, 31, 33, longest)]
    lengths = torch.tensor([0] + [len(t) for t in texts])
    save_file({"token_ids": torch.tensor(sum(texts, []), dtype=torch.int32),
               "cu_seqlens": lengths.cumsum(0).to(torch.int32)}, tmp_path / "ids.safetensors")
    subprocess.run([os.environ["FOREGATE_DUMP_ROUTING"], directory, tmp_path / "ids.safetensors",
                    tmp_path / "out.safetensors"], check=True)
    ours = load_file(tmp_path / "out.safetensors")
    logits, last = reference(model, texts)
    for layer, (actual, expected) in enumerate(zip(ours["logits"], logits)):
        assert relative_error(actual, expected) < 1e-5, f"layer {layer}"
    assert relative_error(ours["next_token_logits"], last) < 1e-5
    k = model.config.num_experts_per_tok
    ranked = logits.sort(-1, descending=True).values
    # Decisions closer than rounding may fall either way; all others must be equal.
    clear = (ranked[..., k - 1] - ranked[..., k]) > 1e-6 * logits.abs().amax((1, 2))[:, None]
    same = (ours["experts"].sort(-1).values == logits.topk(k, -1).indices.sort(-1).values).all(-1)
    assert (same | ~clear).all()
    assert clear.float().mean() > 0.999
