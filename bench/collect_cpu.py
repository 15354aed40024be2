"""Routing on the CPU: foregate's engine beside transformers, float32, same texts, same cores, one run.

    .venv/bin/python bench/collect_cpu.py --bench build/cpu/bench/foregate_bench_engine
        [--model ../shared/models/mini-qwen] [--data ../shared/data] [--tokens 24000] [--rounds 5]

Texts of the six datasets are tokenised and cut at 512 tokens. Both sides compute routing only: transformers runs
its model without lm_head, with hooks on the gates, in its best of several settings (sdpa; experts eager or
grouped_mm; texts one by one, or sorted by length and padded to batches of some token budgets), found by a pilot run. The
sides take turns; each counts by its best round, so that other work on the machine disturbs neither alone.
"""
import argparse
import csv
import json
import pathlib
import subprocess
import tempfile
import time

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModel
from transformers.utils import logging

ROOT = pathlib.Path(__file__).resolve().parents[1]
MAX_LENGTH = 512
BUDGETS = (512, 1024, 2048, 4096)


def read_texts(data):
    """Texts of the datasets, taking turns between them."""
    def column(path, index, delimiter=",", skip=0):
        with open(data / path, newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.reader(file, delimiter=delimiter))[skip:]
        return [row[index] for row in rows if len(row) > index and row[index].strip()]

    squad = json.loads((data / "squad/dev-v2.0.json").read_text())
    contexts = [p["context"] for article in squad["data"] for p in article["paragraphs"]]
    sets = [column("imdb/test.csv", 0, skip=1), column("yelp_review_full/test.csv", 0, skip=1),
            column("ag_news/test.csv", 2), column("amazon_polarity/test.tsv", 0, "\t", 1),
            column("dbpedia_14/test.csv", 1), contexts]
    for i in range(max(map(len, sets))):
        yield from (texts[i] for texts in sets if i < len(texts))


def tokenise(model, data, tokens):
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    texts = []
    for text in read_texts(data):
        ids = tokenizer.encode(text).ids[:MAX_LENGTH]
        if ids:
            texts.append(ids)
        if sum(map(len, texts)) >= tokens:
            break
    return texts


class Peer:
    """transformers, routing only."""

    def __init__(self, directory):
        self.model = AutoModel.from_pretrained(directory, dtype=torch.float32,
                                               attn_implementation="sdpa").eval()
        self.experts = []
        for layer in self.model.layers:
            if hasattr(layer.mlp, "gate"):
                layer.mlp.gate.register_forward_hook(
                    lambda _module, _inputs, output: self.experts.append(output[2].to(torch.uint8)))

    @staticmethod
    def batches(texts, budget):
        """Sorted, padded batches of at most `budget` tokens; one text a batch if the budget is 0."""
        texts, start = sorted(texts, key=len), 0
        while start < len(texts):
            end = start + 1
            while end < len(texts) and (end + 1 - start) * len(texts[end]) <= budget:
                end += 1
            rows = texts[start:end]
            ids = torch.zeros(len(rows), len(rows[-1]), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, text in enumerate(rows):
                ids[row, :len(text)] = torch.tensor(text)
                mask[row, :len(text)] = 1
            yield ids, None if bool(mask.all()) else mask
            start = end

    @torch.inference_mode()
    def seconds(self, texts, setting):
        implementation, budget = setting
        self.model.set_experts_implementation(implementation)
        start = time.perf_counter()
        for ids, mask in self.batches(texts, budget):
            self.experts.clear()
            self.model(input_ids=ids, attention_mask=mask, use_cache=False)
        return time.perf_counter() - start

    def best_setting(self, texts):
        settings = [(i, b) for i in ("eager", "grouped_mm") for b in (0, *BUDGETS)]
        self.seconds(texts, settings[-1])  # warm up
        times = {s: min(self.seconds(texts, s) for _ in range(2)) for s in settings}
        tokens = sum(map(len, texts))
        for (implementation, budget), taken in times.items():
            how = f"padded to {budget} tokens" if budget else "one by one"
            print(f"  pilot {implementation:10} {how:22} {tokens / taken:8.0f} tokens/s")
        return min(times, key=times.get)


def engine_seconds(args, ids, budget):
    out = subprocess.run([args.bench, args.model, ids, str(budget), "1"], check=True,
                         capture_output=True, text=True)
    return json.loads(out.stdout)["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, default=ROOT.parent / "shared/models/mini-qwen")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--tokens", type=int, default=24000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    texts = tokenise(args.model, args.data, args.tokens)
    tokens = sum(map(len, texts))
    print(f"{len(texts)} texts, {tokens} tokens, {torch.get_num_threads()} threads, {args.model.name}")
    peer = Peer(args.model)
    setting = peer.best_setting(texts[:max(8, len(texts) // 6)])
    with tempfile.TemporaryDirectory() as folder:
        ids = pathlib.Path(folder) / "ids.safetensors"
        ends = torch.tensor([0] + [len(t) for t in texts]).cumsum(0)
        save_file({"token_ids": torch.tensor(sum(texts, []), dtype=torch.int32),
                   "cu_seqlens": ends.to(torch.int32)}, ids)
        budget = min(BUDGETS, key=lambda b: min(engine_seconds(args, ids, b) for _ in range(2)))
        theirs, ours = [], []
        for _ in range(args.rounds):
            theirs.append(peer.seconds(texts, setting))
            ours.append(engine_seconds(args, ids, budget))
    print(f"transformers ({setting[0]}, budget {setting[1]}): {tokens / min(theirs):.0f} tokens/s")
    print(f"foregate (packed, budget {budget}): {tokens / min(ours):.0f} tokens/s")
    print(f"ratio {min(theirs) / min(ours):.2f}")


if __name__ == "__main__":
    main()
