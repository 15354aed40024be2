"""Makes the goldens beside it: what transformers generates, and what its processors make of logits.

    .venv/bin/python tests/engine/goldens/make_generation_goldens.py [SHARED_DIR]

generation.json holds, by model, greedy continuations in float32: {"prompt": ids, "ids": ids}. Models are those of
tests/models/goldens and the trained ones of SHARED_DIR (default ../shared). A continuation ends behind TOKENS
tokens, at the model's last position, or before the first choice between two tokens that are closer than MIN_GAP of
the largest logit, which rounding may turn.

sampling.json holds cases of {"logits", "prompt", "generated", "settings", "probabilities"}: what a chain of
transformers' logits processors leaves of the logits, as probabilities. Logits are multiples of 1/64.
"""
import json
import pathlib
import sys

import torch
from tokenizers import Tokenizer
from transformers import (LogitsProcessorList, MinPLogitsWarper, RepetitionPenaltyLogitsProcessor,
                          SequenceBiasLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)
from transformers.utils import logging

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "models"
sys.path.insert(0, str(MODELS))
from deepseek_reference import DeepseekForCausalLM  # noqa: E402
from random_models import load_reference  # noqa: E402

TOKENS = 256
MIN_GAP = 1e-5
TEXTS = [
    "The harbour was quiet before dawn, and the gulls had not yet begun to quarrel.",
    "Why?",
    "def area(width, height): return width * height",
    "A stone bridge of three arches crosses the river below the mill. It was built by masons from the next valley, "
    "who were paid in grain, and it has been mended after every flood since. In dry years children wade under it.",
]
RANDOM_LENGTHS = [1, 31, 5, 18]


@torch.inference_mode()
def greedy(model, prompt, tokens):
    """The likeliest continuation, token by token, from runs over the whole text where the model has no cache."""
    ids, past = list(prompt), None
    cached = not isinstance(model, DeepseekForCausalLM)
    while len(ids) < len(prompt) + tokens:
        if cached:
            fresh = ids if past is None else ids[-1:]
            out = model(input_ids=torch.tensor([fresh]), past_key_values=past, use_cache=True)
            past = out.past_key_values
        else:
            out = model(input_ids=torch.tensor([ids]))
        logits = out.logits[0, -1]
        best = logits.topk(2)
        if (best.values[0] - best.values[1]) < MIN_GAP * logits.abs().max():
            print(f"    cut at {len(ids) - len(prompt)} tokens: two are as likely")
            break
        ids.append(best.indices[0].item())
    return ids[len(prompt):]


def continuations(folder, prompts):
    model = load_reference(folder)
    longest = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    return [{"prompt": prompt, "ids": greedy(model, prompt, min(TOKENS, longest - len(prompt)))} for prompt in prompts]


def make_generation(shared):
    result = {}
    for config in sorted(MODELS.glob("goldens/*/config.json")):
        generator = torch.Generator().manual_seed(1)
        vocab = json.loads(config.read_text())["vocab_size"]
        prompts = [torch.randint(vocab, (n,), generator=generator).tolist() for n in RANDOM_LENGTHS]
        result[config.parent.name] = continuations(config.parent, prompts)
        print(config.parent.name)
    for name in ("seed-geometry", "mini-qwen"):
        tokenizer = Tokenizer.from_file(str(shared / name / "tokenizer.json"))
        result[name] = continuations(shared / name, [tokenizer.encode(text).ids for text in TEXTS])
        print(name)
    lines = (f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(each) for each in cases) + "]"
             for name, cases in result.items())
    (HERE / "generation.json").write_text("{" + ",\n".join(lines) + "}\n")


def processors(settings):
    """In the order in which transformers' generate() applies them."""
    chain = LogitsProcessorList()
    if "logit_bias" in settings:
        chain.append(SequenceBiasLogitsProcessor([[[int(i)], v] for i, v in settings["logit_bias"].items()]))
    if "repetition_penalty" in settings:
        chain.append(RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"]))
    for key, warper in (("temperature", TemperatureLogitsWarper), ("top_k", TopKLogitsWarper),
                        ("top_p", TopPLogitsWarper), ("min_p", MinPLogitsWarper)):
        if key in settings:
            chain.append(warper(settings[key]))
    return chain


SETTINGS = [
    {"temperature": 1.0}, {"temperature": 0.25}, {"temperature": 3.0},
    {"temperature": 1.0, "top_k": 1}, {"temperature": 1.0, "top_k": 5}, {"temperature": 0.7, "top_k": 1000},
    {"temperature": 1.0, "top_p": 0.9}, {"temperature": 1.0, "top_p": 0.3}, {"temperature": 1.5, "top_p": 0.001},
    {"temperature": 2.0, "top_p": 0.999},
    {"temperature": 1.0, "min_p": 0.1}, {"temperature": 2.0, "min_p": 0.5}, {"temperature": 1.0, "min_p": 1.0},
    {"temperature": 0.8, "top_k": 20, "top_p": 0.8, "min_p": 0.05},
    {"temperature": 1.3, "top_k": 40, "top_p": 0.95},
    {"temperature": 1.0, "repetition_penalty": 1.3}, {"temperature": 1.0, "repetition_penalty": 0.8},
    {"temperature": 0.9, "repetition_penalty": 1.1, "top_k": 10, "top_p": 0.9},
    {"temperature": 1.0, "logit_bias": {"3": 2.5, "7": -4.0}},
    {"temperature": 1.0, "logit_bias": {"0": -100.0, "2": 6.0}, "repetition_penalty": 1.2, "top_p": 0.7, "min_p": 0.02},
]


def make_sampling():
    generator = torch.Generator().manual_seed(2)
    cases = []
    for i, settings in enumerate(SETTINGS):
        vocab = 96 if i % 2 else 33
        logits = (torch.randn(vocab, generator=generator) * 3 * 64).round() / 64
        logits[5] = logits[9]  # a tie
        prompt = torch.randint(vocab, (7,), generator=generator).tolist()
        generated = torch.randint(vocab, (5,), generator=generator).tolist()
        scores = processors(settings)(torch.tensor([prompt + generated]), logits[None].clone())
        cases.append({"settings": settings, "prompt": prompt, "generated": generated, "logits": logits.tolist(),
                      "probabilities": [float(f"{p:.7g}") for p in scores[0].softmax(-1).tolist()]})
    (HERE / "sampling.json").write_text("[" + ",\n".join(json.dumps(case) for case in cases) + "]\n")


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    make_sampling()
    make_generation(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parents[2] / "../shared") / "models")
