"""Tokenising on one core: foregate beside the tokenizers package, same texts, in turn in one run.

    .venv/bin/python bench/tokenizer.py --bench build/cpu/bench/foregate_bench_tokenizer
        [--tokenizers DIR] [--data ../shared/data] [--texts 6000] [--rounds 5]

DIR holds a folder with a tokenizer.json for each tokenizer. The package encodes by encode_batch_fast (no offsets) with
one thread; reading ids into Python is not counted. Time is the thread's CPU time and each side counts by its best round,
so that other work on the machine disturbs neither. Counts of tokens are compared on the way.
"""
import argparse
import itertools
import json
import os
import pathlib
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from collect_cpu import ROOT, read_texts  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402


def bench(args, path, texts, file):
    package = Tokenizer.from_file(str(path))
    package.encode(texts[0])
    ours, theirs = [], []
    for _ in range(args.rounds):
        start = time.process_time()
        encodings = package.encode_batch_fast(texts)
        theirs.append(time.process_time() - start)
        out = subprocess.run([args.bench, path, file], check=True, capture_output=True, text=True)
        result = json.loads(out.stdout)
        ours.append(result["seconds"])
    tokens = sum(len(encoding) for encoding in encodings)
    assert tokens == result["tokens"], f"{tokens} tokens, foregate {result['tokens']}"
    size = sum(len(text.encode()) for text in texts) / 1e6
    for name, taken in (("tokenizers", min(theirs)), ("foregate", min(ours))):
        print(f"{path.parent.name:14} {name:10} {tokens / taken / 1e6:6.2f} M tokens/s  {size / taken:6.1f} MB/s")
    print(f"{path.parent.name:14} ratio {min(theirs) / min(ours):.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizers", type=pathlib.Path, default=ROOT.parent / "shared/tokenizers")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--texts", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    texts = list(itertools.islice(read_texts(args.data), args.texts))
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "texts.jsonl"
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        for path in sorted(args.tokenizers.glob("*/tokenizer.json")):
            bench(args, path, texts, file)


if __name__ == "__main__":
    main()
