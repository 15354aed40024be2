"""Collecting on the CPU: foregate beside transformers, float32, same texts, same cores, one run.

    ./run bench [--model DIR] [--data DIR] [--tokens N] [--rounds N]

Texts of the six datasets, cut at 512 tokens. Two things are timed, the sides taking turns, each counting by its best
round so that other work on the machine disturbs neither alone:
  routing    token ids to routing decisions in memory
  collecting texts to Parquet. foregate's time is that of the whole command, starting the program, loading the
             model and choosing texts included; that of transformers begins with model and tokenizer loaded.
transformers runs in the best of several settings, found by a pilot run (transformers_peer.py).
"""
import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from transformers_peer import BUDGETS, MAX_LENGTH, Peer  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]


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


def choose_texts(peer, data, tokens):
    """Texts that make `tokens` tokens together, with their ids."""
    texts, ids, total = [], [], 0
    for text in read_texts(data):
        if total >= tokens:
            break
        row = peer.tokenise([text])[0]
        if row:
            texts.append(text)
            ids.append(row)
            total += len(row)
    return texts, ids


class Ours:
    """foregate's programs on the same texts."""

    def __init__(self, build, model, texts, folder):
        self.build, self.model, self.folder = build, model, folder
        self.texts, self.count = folder / "texts.jsonl", len(texts)
        self.texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))

    def route(self, ids, budget):
        """Seconds of one pass of routing alone, after one to warm up (as the peer has had)."""
        file = self.folder / "ids.safetensors"
        ends = torch.tensor([0] + [len(t) for t in ids]).cumsum(0)
        save_file({"token_ids": torch.tensor(sum(ids, []), dtype=torch.int32), "cu_seqlens": ends.to(torch.int32)}, file)
        out = subprocess.run([self.build / "bench/foregate_bench_engine", self.model, file, str(budget), "2"],
                             check=True, capture_output=True, text=True)
        return json.loads(out.stdout)["seconds"]

    def collect(self, turn):
        """Seconds of the whole command, and the tokens it collected."""
        start = time.perf_counter()
        out = subprocess.run([self.build / "apps/foregate/foregate", "collect", "--model", self.model, "--data",
                              f"texts={self.texts}:text", "--traces", str(self.count), "--max-length", str(MAX_LENGTH),
                              "--output", self.folder / f"traces-{turn}", "--json"],
                             check=True, capture_output=True, text=True)
        return time.perf_counter() - start, json.loads(out.stdout)["tokens"]


def report(what, tokens, theirs, ours):
    print(f"{what}: transformers {tokens / theirs:.0f} tokens/s, foregate {tokens / ours:.0f} tokens/s, "
          f"ratio {theirs / ours:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/cpu")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT.parent / "shared/models/mini-qwen")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--tokens", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    peer = Peer(args.model)
    texts, ids = choose_texts(peer, args.data, args.tokens)
    tokens = sum(map(len, ids))
    print(f"{len(texts)} texts, {tokens} tokens, {torch.get_num_threads()} threads, {args.model.name}", flush=True)
    pilot = ids[:max(8, len(ids) // 8)]
    setting = peer.best_setting(pilot)
    print(f"transformers: {setting[0]}, padded batches of at most {setting[1]} tokens", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ours = Ours(args.build, args.model, texts, folder)
        budget = min(BUDGETS, key=lambda budget: ours.route(pilot, budget))
        times = {"route": ([], []), "collect": ([], [])}
        for turn in range(args.rounds):
            times["route"][0].append(peer.seconds(ids, setting))
            times["route"][1].append(ours.route(ids, budget))
            times["collect"][0].append(peer.collect(texts, setting, folder / "peer.parquet"))
            seconds, collected = ours.collect(turn)
            if collected != tokens:
                sys.exit(f"error: foregate collected {collected} tokens, transformers {tokens}")
            times["collect"][1].append(seconds)
    report(f"routing (ours in batches of {budget} tokens)", tokens, *map(min, times["route"]))
    report("collecting", tokens, *map(min, times["collect"]))


if __name__ == "__main__":
    main()
