"""transformers generating in bfloat16 with random weights of a known geometry, in the ways a careful user would try.

    python bench/gpu/transformers_generation_peer.py [--geometry NAME] [--cells TEXTSxPROMPT ...] [--tokens N]

Prints one JSON line a way and cell: tokens a second of prefill (prompt ids to the first token) and of decoding (the
tokens behind it). A way is a cache and an implementation of the experts; static caches come with and without
torch.compile, which transformers does by itself on a GPU. A pilot drops all ways that are slower than the fastest of
their kind. What does not run says why instead.
"""
import argparse
import json
import time

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, LogitsProcessor, LogitsProcessorList, Qwen2MoeConfig
from transformers.utils import logging

from transformers_peer import GEOMETRY

GEOMETRIES = {  # and what a smaller one, for trying this, has of its own
    "qwen1.5-moe-a2.7b": {},
    "tiny": {"vocab_size": 16000, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4,
             "num_key_value_heads": 4, "intermediate_size": 176, "moe_intermediate_size": 48,
             "shared_expert_intermediate_size": 176},
}
KINDS = {  # what generate() is told
    "dynamic cache": {},
    "static cache": {"cache_implementation": "static", "disable_compile": True},
    "static cache, compiled": {"cache_implementation": "static"},
}
EXPERTS = ("grouped_mm", "batched_mm", "eager")
PILOT_TOKENS = 16


class FirstToken(LogitsProcessor):
    """Notes when the logits of the first token are there."""

    def __init__(self, wait):
        self.wait = wait
        self.at = None

    def __call__(self, input_ids, scores):
        if self.at is None:
            self.wait()
            self.at = time.perf_counter()
        return scores


class Peer:
    def __init__(self, geometry, device):
        logging.set_verbosity_error()
        self.device = device
        config = Qwen2MoeConfig(**(GEOMETRY | GEOMETRIES[geometry]))
        torch.set_default_dtype(torch.bfloat16)
        with torch.device(device):
            self.model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
        torch.set_default_dtype(torch.float32)
        self.model.generation_config = GenerationConfig()

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @torch.inference_mode()
    def seconds(self, prompts, tokens, options):
        """To the first token, and from there to the last."""
        first = FirstToken(self.wait)
        self.wait()
        start = time.perf_counter()
        out = self.model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=tokens,
                                  do_sample=False, pad_token_id=0, eos_token_id=None,
                                  logits_processor=LogitsProcessorList([first]), **options)
        self.wait()
        end = time.perf_counter()
        assert out.shape[1] == prompts.shape[1] + tokens
        return first.at - start, end - first.at

    def measure(self, kind, experts, cell, tokens, rounds):
        """Rates of one way in one cell, after a call to warm up (and to compile)."""
        texts, length = cell
        prompts = torch.randint(self.model.config.vocab_size, (texts, length),
                                generator=torch.Generator().manual_seed(1)).to(self.device)
        self.model.set_experts_implementation(experts)
        self.seconds(prompts, tokens, KINDS[kind])
        timed = [self.seconds(prompts, tokens, KINDS[kind]) for _ in range(rounds)]
        return {"prefill_tokens_per_second": texts * length / min(first for first, _ in timed),
                "decode_tokens_per_second": texts * (tokens - 1) / min(rest for _, rest in timed)}

    def try_measure(self, kind, experts, cell, tokens, rounds):
        try:
            return self.measure(kind, experts, cell, tokens, rounds)
        except Exception as error:  # a way that does not run is a result, whatever keeps it from running
            self.model._compiled_call = None
            torch._dynamo.reset()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            return {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}"}


def report(kind, experts, cell, result):
    line = {"name": f"{kind}, {experts}", "texts": cell[0], "prompt_tokens": cell[1]}
    print(json.dumps(line | result), flush=True)


def fastest_experts(peer, kind, cell):
    """By a pilot; None if none of them runs."""
    rates = {}
    for experts in EXPERTS:
        result = peer.try_measure(kind, experts, cell, PILOT_TOKENS, 1)
        if "error" in result:
            report(kind, experts, cell, result)
        else:
            rates[experts] = result["decode_tokens_per_second"]
    return max(rates, key=rates.get) if rates else None


def cell_of(text):
    texts, length = text.split("x")
    return int(texts), int(length)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--geometry", choices=GEOMETRIES, default="qwen1.5-moe-a2.7b")
    parser.add_argument("--device", type=torch.device, default="cuda")
    parser.add_argument("--cells", type=cell_of, nargs="+", default=[(1, 512), (32, 512), (1, 2048)])
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-compile", action="store_true")
    arguments = parser.parse_args()
    peer = Peer(arguments.geometry, arguments.device)
    for kind in KINDS:
        # generate() compiles on a GPU only.
        if "compiled" in kind and (arguments.no_compile or arguments.device.type != "cuda"):
            continue
        experts = fastest_experts(peer, kind, arguments.cells[0])
        for cell in arguments.cells if experts else ():
            report(kind, experts, cell, peer.try_measure(kind, experts, cell, arguments.tokens, arguments.rounds))


if __name__ == "__main__":
    main()
