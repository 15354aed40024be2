"""`foregate generate` against the transformers that is installed: greedy continuations of random models.

Unlike the goldens this goes 256 tokens far with every architecture, over several pages of the cache, in batches of
prompts of unequal lengths. The reference for deepseek has no cache and runs the whole text for every token.
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
from random_models import (DEEPSEEK, DEEPSEEK_V2, DEEPSEEK_V3, ERNIE, GLM4_MOE, GPT_OSS, GPT_OSS_YARN,  # noqa: E402
                           GRANITE, MINIMAX_M2, MIXTRAL, OLMOE, PHI, PLAIN_ROPE, QWEN2, QWEN3, load_reference,
                           write_model)

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
    "glm4_moe": GLM4_MOE,
    "minimax_m2": MINIMAX_M2,
    "ernie4_5_moe": ERNIE,
    # Windows shorter than a page of the cache and longer than one.
    "gpt_oss": GPT_OSS | {"rope_scaling": GPT_OSS_YARN},
    "gpt_oss-long-window": GPT_OSS | PLAIN_ROPE | {"sliding_window": 100},
    "granitemoe": GRANITE,
    "phimoe": PHI,
}


@pytest.mark.parametrize("name", MODELS)
def test_greedy_continuations(name, tmp_path):
    transformers.utils.logging.set_verbosity_error()
    config = MODELS[name] | {"max_position_embeddings": 512}
    write_model(tmp_path / name, config, torch.float32, fused=False, shards=1, seed=len(name))
    generator = torch.Generator().manual_seed(4)
    prompts = [torch.randint(config["vocab_size"], (n,), generator=generator).tolist() for n in LENGTHS]
    (tmp_path / "ids.jsonl").write_text("".join(json.dumps({"ids": prompt}) + "\n" for prompt in prompts))
    reference = load_reference(tmp_path / name)
    expected = [greedy(reference, prompt, 256) for prompt in prompts]
    # A choice too close for rounding ends a reference early, which must not be the rule.
    assert sum(map(len, expected)) > 400
    for batch in (1, 3):
        done = subprocess.run([PROGRAM, "generate", "--model", tmp_path / name, "--prompts", tmp_path / "ids.jsonl",
                               "--max-tokens", "256", "--batch", str(batch), "--json"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        results = json.loads(done.stdout)["results"]
        assert [row["ids"][:len(ids)] for row, ids in zip(results, expected)] == expected
