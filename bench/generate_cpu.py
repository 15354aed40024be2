"""Decoding on the CPU: foregate beside transformers, float32, same model, same lengths, same cores, one run.

    python bench/generate_cpu.py [--model DIR] [--texts 1 8] [--prompt-tokens N] [--tokens N] [--rounds N]

Both continue random prompts by the likeliest token. The sides take turns; of each the best round counts, so that other
work on the machine disturbs neither alone. Times are without loading: `foregate bench generate` measures itself after a
round to warm up, transformers' generate() is called after one. Its decoding is what generate() takes for all tokens, less
what it takes for the first. It runs in the best of its ways to compute experts, found by a pilot.
"""
import argparse
import json
import pathlib
import subprocess
import time

import torch
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXPERTS = ("eager", "grouped_mm", "batched_mm")


class Peer:
    """transformers, from the same folder."""

    def __init__(self, directory):
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        self.model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32,
                                                          attn_implementation="sdpa").eval()
        self.model.generation_config = GenerationConfig()

    @torch.inference_mode()
    def seconds(self, prompts, tokens):
        start = time.perf_counter()
        out = self.model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=tokens,
                                  do_sample=False, pad_token_id=0, eos_token_id=None)
        taken = time.perf_counter() - start
        assert out.shape[1] == prompts.shape[1] + tokens
        return taken

    def rates(self, prompts, tokens):
        """Tokens a second of prefill and of decoding."""
        first, all_of_them = self.seconds(prompts, 1), self.seconds(prompts, tokens)
        return prompts.numel() / first, len(prompts) * (tokens - 1) / (all_of_them - first)

    def choose_experts(self, prompts, tokens):
        """The fastest way to decode; says what others give."""
        found = {}
        for name in EXPERTS:
            try:
                self.model.set_experts_implementation(name)
                self.seconds(prompts, 2)
                found[name] = max(self.rates(prompts, tokens)[1] for _ in range(2))
            except (RuntimeError, ValueError, NotImplementedError) as error:
                print(f"  pilot {name:10} does not run: {str(error).splitlines()[0]}", flush=True)
                continue
            print(f"  pilot {name:10} {found[name]:8.1f} tokens/s", flush=True)
        best = max(found, key=found.get)
        self.model.set_experts_implementation(best)
        return best


def ours(build, args, texts):
    out = subprocess.run([build / "apps/foregate/foregate", "bench", "generate", "--model", args.model, "--texts", str(texts),
                          "--prompt-tokens", str(args.prompt_tokens), "--tokens", str(args.tokens), "--rounds", "1",
                          "--json"], check=True, capture_output=True, text=True)
    result = json.loads(out.stdout)
    return result["prefill_tokens_per_second"], result["decode_tokens_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/cpu")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT.parent / "shared/models/mini-qwen")
    parser.add_argument("--texts", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    peer = Peer(args.model)
    vocab = peer.model.config.vocab_size
    print(f"{args.model.name}, {torch.get_num_threads()} threads, prompts of {args.prompt_tokens} tokens, {args.tokens} added",
          flush=True)
    for texts in args.texts:
        prompts = torch.randint(vocab, (texts, args.prompt_tokens), generator=torch.Generator().manual_seed(1))
        experts = peer.choose_experts(prompts, min(args.tokens, 32))
        theirs, our = [], []
        for _ in range(args.rounds):
            theirs.append(peer.rates(prompts, args.tokens))
            our.append(ours(args.build, args, texts))
        for what, place in (("prefill", 0), ("decode", 1)):
            a, b = (max(rates[place] for rates in side) for side in (theirs, our))
            print(f"{texts} at once, {what}: transformers ({experts}) {a:.1f} tokens/s, foregate {b:.1f} tokens/s, "
                  f"ratio {b / a:.2f}", flush=True)


if __name__ == "__main__":
    main()
