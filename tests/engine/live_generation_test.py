"""`foregate generate` against the transformers that is installed: greedy continuations of random models.

Unlike the goldens this goes 256 tokens far with every architecture, over several pages of the cache, in batches of
prompts of unequal lengths, and with so little memory that texts make room for others and pages come out of order. The
reference for deepseek has no cache and runs the whole text for every token.
"""
import json
import os
import pathlib
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/models"), str(ROOT / "tests/engine/goldens")]
from make_generation_goldens import greedy  # noqa: E402
from random_models import (DEEPSEEK, DEEPSEEK_V2, DEEPSEEK_V3, DOTS1, ERNIE, GLM4_MOE, GPT_OSS,  # noqa: E402
                           GPT_OSS_YARN, GRANITE, INDEXED, KIMI_K2, MINIMAX_M2, MIXTRAL, OLMOE, PHI, PLAIN_ROPE,
                           QWEN2, QWEN3, load_reference, nested, write_model)

PROGRAM = os.environ.get("FOREGATE_BIN", str(ROOT / "build/cpu/apps/foregate/foregate"))
LENGTHS = (1, 70, 9)
MODELS = {
    "qwen2_moe": QWEN2 | {"num_hidden_layers": 3, "qkv_bias": True, "mlp_only_layers": [1]},
    "mixtral": MIXTRAL,
    "olmoe": OLMOE | {"num_key_value_heads": 2},
    "qwen3_moe": QWEN3,
    "deepseek": DEEPSEEK | {"num_hidden_layers": 3},
    "deepseek_v2": DEEPSEEK_V2,
    "deepseek_v3": DEEPSEEK_V3,
    "deepseek_v32": INDEXED | {"index_topk": 512},
    "kimi_k2": KIMI_K2,
    "kimi_k25": nested(KIMI_K2 | {"max_position_embeddings": 512}),
    "glm4_moe": GLM4_MOE,
    "glm4_moe_lite": DEEPSEEK_V3 | {"model_type": "glm4_moe_lite", "n_group": 1, "topk_group": 1, "v_head_dim": 12},
    "glm_moe_dsa": INDEXED | {"model_type": "glm_moe_dsa", "n_group": 1, "topk_group": 1, "index_topk": 512,
                              "rope_interleave": True, "indexer_rope_interleave": True},
    "dots1": DOTS1,
    "minimax_m2": MINIMAX_M2,
    "ernie4_5_moe": ERNIE,
    # Windows shorter than a page of the cache and longer than one.
    "gpt_oss": GPT_OSS | {"rope_scaling": GPT_OSS_YARN},
    "gpt_oss-long-window": GPT_OSS | PLAIN_ROPE | {"sliding_window": 100},
    "granitemoe": GRANITE,
    "phimoe": PHI,
}


def generate(model, prompts, tokens, *options):
    """What the program generates: the JSON document."""
    done = subprocess.run([PROGRAM, "generate", "--model", model, "--prompts", prompts, "--max-tokens", str(tokens), "--json",
                           *map(str, options)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def page_bytes(model, prompts):
    """Of keys and values: a text of few tokens holds one page."""
    return generate(model, prompts, 2, "--batch", 1)["memory"]["kv_cache_peak_bytes"]


@pytest.mark.parametrize("name", MODELS)
def test_greedy_continuations(name, tmp_path):
    transformers.utils.logging.set_verbosity_error()
    config = MODELS[name] | {"max_position_embeddings": 512}
    write_model(tmp_path / name, config, torch.float32, fused=False, shards=1, seed=len(name))
    generator = torch.Generator().manual_seed(4)
    vocab_size = config.get("text_config", config)["vocab_size"]
    prompts = [torch.randint(vocab_size, (n,), generator=generator).tolist() for n in LENGTHS]
    (tmp_path / "ids.jsonl").write_text("".join(json.dumps({"ids": prompt}) + "\n" for prompt in prompts))
    reference = load_reference(tmp_path / name)
    expected = [greedy(reference, prompt, 256) for prompt in prompts]
    # A choice too close for rounding ends a reference early, which must not be the rule.
    assert sum(map(len, expected)) > 400
    (tmp_path / "short.jsonl").write_text(json.dumps({"ids": prompts[0]}) + "\n")
    page = page_bytes(tmp_path / name, tmp_path / "short.jsonl")
    for batch, pages in ((1, 100), (3, 100), (3, 8)):  # the longest text takes 6 pages, all take 16
        document = generate(tmp_path / name, tmp_path / "ids.jsonl", 256, "--batch", batch, "--kv-memory", pages * page)
        ids = [row["ids"] for row in document["results"]]
        assert [found[:len(wanted)] for found, wanted in zip(ids, expected, strict=True)] == expected
        assert (document["preemptions"] > 0) == (pages < 16)
