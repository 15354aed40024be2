"""Writes rotary.json: inverse frequencies of published models as transformers computes them."""
import json
import pathlib

from transformers import PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

CASES = {
    "deepseek-v3": (64, {"rope_theta": 1e4, "factor": 40, "original_max_position_embeddings": 4096}),
    "kimi-k2": (64, {"rope_theta": 5e4, "factor": 32, "original_max_position_embeddings": 4096, "beta_fast": 1.0,
                     "beta_slow": 1.0}),
    "gpt-oss": (64, {"rope_theta": 1.5e5, "factor": 32, "original_max_position_embeddings": 4096, "truncate": False}),
    "whole-context-original": (16, {"rope_theta": 1e4, "factor": 1.5, "original_max_position_embeddings": 16}),
}


def frequencies(width, rope):
    rope = {"rope_type": "yarn", "beta_fast": 32.0, "beta_slow": 1.0} | rope
    config = PreTrainedConfig(head_dim=width, hidden_size=width, num_attention_heads=1, rope_parameters=rope,
                              max_position_embeddings=131072)
    values, _ = ROPE_INIT_FUNCTIONS["yarn"](config)
    return {"width": width, "rope": rope, "inverse_frequencies": values.tolist()}


out = pathlib.Path(__file__).with_name("rotary.json")
out.write_text(json.dumps({name: frequencies(*case) for name, case in CASES.items()}, indent=1) + "\n")
