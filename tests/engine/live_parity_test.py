"""The engine against the transformers that is installed, on every model of the goldens and random ones.

Unlike the goldens this notices when transformers itself changes. Texts are random ids of 1 to 200 tokens, packed
into one batch here and run one by one there.
"""
import csv
import json
import os
import pathlib
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")
from safetensors.torch import load_file, save_file  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/models"))
from random_models import GPT_OSS, LIVE, PLAIN_ROPE, decoder_of, in_mxfp4, load_reference, route, write_model  # noqa: E402

GOLDENS = ROOT / "tests/models/goldens"
SHARED = pathlib.Path(os.environ.get("FOREGATE_SHARED", ROOT.parent / "shared"))
MODELS = sorted(p.parent for p in GOLDENS.glob("*/config.json")) + [
    SHARED / "models" / name for name in ("seed-geometry", "mini-qwen", "mini-deepseek", "mini-gpt-oss")]


def relative_error(actual, expected):
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def run_engine(directory, texts, tmp_path):
    lengths = torch.tensor([0] + [len(t) for t in texts])
    save_file({"token_ids": torch.tensor(sum(texts, []), dtype=torch.int32),
               "cu_seqlens": lengths.cumsum(0).to(torch.int32)}, tmp_path / "ids.safetensors")
    subprocess.run([os.environ["FOREGATE_DUMP_ROUTING"], directory, tmp_path / "ids.safetensors",
                    tmp_path / "out.safetensors"], check=True)
    return load_file(tmp_path / "out.safetensors")


def check(directory, texts, tmp_path, undisturbed, tolerance=1e-5, reference=None):
    """Decisions closer than rounding may fall either way; all others must be equal. What follows such a decision in
    its text is not compared; `undisturbed` is the share of tokens that must be left of all layers."""
    transformers.utils.logging.set_verbosity_error()
    ours = run_engine(directory, texts, tmp_path)
    theirs = route(load_reference(reference or directory), texts)
    assert ours["logits"].shape == theirs.logits.shape
    text_of = torch.repeat_interleave(torch.arange(len(texts)), torch.tensor([len(text) for text in texts]))
    followed = torch.ones(len(text_of), dtype=torch.bool)
    for layer in range(len(theirs.logits)):
        actual, expected = ours["logits"][layer][followed], theirs.logits[layer][followed]
        assert relative_error(actual, expected) < tolerance, f"layer {layer}"
        ours_sorted, order = ours["experts"][layer].sort(-1)
        theirs_sorted, their_order = theirs.experts[layer].sort(-1)
        same = (ours_sorted == theirs_sorted).all(-1)
        assert (same | ~theirs.clear[layer] | ~followed).all(), f"layer {layer}"
        assert relative_error(ours["gate_weights"][layer].gather(-1, order)[same & followed],
                              theirs.gates[layer].gather(-1, their_order)[same & followed]) < 1e-4
        followed &= ~torch.isin(text_of, text_of[followed & ~same])
    assert theirs.clear.float().mean() > 0.99
    assert followed.float().mean() >= undisturbed
    left = text_of[followed].unique()
    assert relative_error(ours["next_token_logits"][left], theirs.last[left]) < tolerance


def real_texts(directory, each=75, longest=256):
    """Ids of texts that the trained models have not seen: odd rows of four data sets."""
    tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    texts = []
    for name in ("ag_news", "dbpedia_14", "imdb", "yelp_review_full"):
        with open(SHARED / "data" / name / "test.csv", newline="") as file:
            rows = [max(row, key=len) for i, row in enumerate(csv.reader(file)) if i % 2 == 1 and row]
        texts += [tokenizer.encode(row).ids[:longest] for row in rows[:each]]
    return texts


def random_texts(directory):
    config = decoder_of(json.loads((directory / "config.json").read_text()))
    generator = torch.Generator().manual_seed(0)
    longest = min(200, config["max_position_embeddings"])
    return [torch.randint(config["vocab_size"], (n,), generator=generator).tolist() for n in (1, 2, 31, 33, longest)]


@pytest.mark.parametrize("directory", MODELS, ids=lambda p: p.name)
def test_models_on_disk(directory, tmp_path):
    if not directory.exists():
        pytest.skip(f"{directory} is missing")
    check(directory, random_texts(directory), tmp_path, undisturbed=0.1)


@pytest.mark.parametrize("name", ["mini-deepseek", "mini-gpt-oss"])
def test_real_texts(name, tmp_path):
    if not (SHARED / "models" / name).exists() or not (SHARED / "data").exists():
        pytest.skip(f"{name} or the data is missing in {SHARED}")
    texts = real_texts(SHARED / "models" / name)
    assert len(texts) == 300
    check(SHARED / "models" / name, texts, tmp_path, tolerance=1e-4, undisturbed=0.8)


@pytest.mark.parametrize("inner", [32, 64])
def test_gpt_oss_in_mxfp4(inner, tmp_path):
    """As published: codes and scales of experts, everything else in bfloat16."""
    config = GPT_OSS | PLAIN_ROPE | {"intermediate_size": inner}
    write_model(tmp_path / "dense", config, torch.bfloat16, fused=True, shards=1, seed=inner)
    packed, dense = in_mxfp4(load_file(tmp_path / "dense/model.safetensors"), inner)
    save_file(dense, tmp_path / "dense/model.safetensors", metadata={"format": "pt"})
    (tmp_path / "packed").mkdir()
    save_file(packed, tmp_path / "packed/model.safetensors", metadata={"format": "pt"})
    config |= {"quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": [
        "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}}
    (tmp_path / "packed/config.json").write_text(json.dumps(config))
    check(tmp_path / "packed", random_texts(tmp_path / "packed"), tmp_path, undisturbed=0.1, reference=tmp_path / "dense")


@pytest.mark.parametrize("name", LIVE)
def test_random_models(name, tmp_path):
    config, fused = LIVE[name]
    write_model(tmp_path / name, config, torch.float32, fused, shards=1, seed=len(name))
    check(tmp_path / name, random_texts(tmp_path / name), tmp_path, undisturbed=0.1)
