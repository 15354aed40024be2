"""The tokenize command against the tokenizers package: real texts, and noise made of what tokenizers trip over."""
import csv
import json
import os
import pathlib
import random
import subprocess

import pytest
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("FOREGATE_SHARED", ROOT.parent / "shared"))
PROGRAM = os.environ.get("FOREGATE_BIN", str(ROOT / "build/cpu/apps/foregate/foregate"))
TOKENIZERS = {
    "demo": ROOT / "examples/demo/model/tokenizer.json",
    "qwen2": SHARED / "tokenizers/qwen2/tokenizer.json",
    "mini-qwen": SHARED / "models/mini-qwen/tokenizer.json",
}

csv.field_size_limit(1 << 30)


def table(path, column, delimiter=","):
    with open(SHARED / "data" / path, newline="", encoding="utf-8") as file:
        return [row[column] for row in csv.reader(file, delimiter=delimiter)][:2200]


@pytest.fixture(scope="session")
def real_texts():
    if not (SHARED / "data").exists():
        pytest.skip(f"{SHARED}/data is not here (set FOREGATE_SHARED to the folder that has it)")
    texts = table("imdb/test.csv", 0) + table("yelp_review_full/test.csv", 0) + table("ag_news/test.csv", 2)
    texts += table("amazon_polarity/test.tsv", 0, "\t") + table("dbpedia_14/test.csv", 1)
    squad = json.loads((SHARED / "data/squad/dev-v2.0.json").read_text(encoding="utf-8"))
    texts += [paragraph["context"] for article in squad["data"] for paragraph in article["paragraphs"]]
    assert len(texts) >= 10_000
    return texts


def noise():
    """Combining marks, jamo, compatibility forms, odd white space, contractions, pieces of special tokens."""
    blocks = [(0, 0x250), (0x300, 0x345), (0x370, 0x400), (0x900, 0x980), (0x1100, 0x1200), (0x1E00, 0x1F00),
              (0x2000, 0x2070), (0x3040, 0x30FF), (0x4E00, 0x4E40), (0xAC00, 0xAC40), (0xF900, 0xFA10),
              (0xFB00, 0xFB50), (0x1F600, 0x1F650)]
    pool = [chr(c) for first, last in blocks for c in range(first, last)] + ["\u180e", "\u212b"]
    pool += list("  \n\n\r\t''''sStTrRevVmMlLdD\u017fK") * 20 + ["<|endoftext|>", "<|im_start|>", "<|im_end"] * 20
    chooser = random.Random(1)
    return ["".join(chooser.choices(pool, k=chooser.randint(0, 60))) for _ in range(5000)] + ["", " ", "\n"]


def encode(tokenizer, texts):
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    done = subprocess.run([PROGRAM, "tokenize", "--tokenizer", str(tokenizer), "--json"], input=lines,
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["ids"] for line in done.stdout.splitlines()]


def compare(name, texts):
    path = TOKENIZERS[name]
    if not path.exists():
        pytest.skip(f"{path} is not here (set FOREGATE_SHARED to the folder that has it)")
    reference = Tokenizer.from_file(str(path))
    ids = encode(path, texts)
    assert len(ids) == len(texts)
    wrong = [text for text, got in zip(texts, ids) if got != reference.encode(text).ids]
    assert not wrong, f"{len(wrong)} of {len(texts)} differ, the first: {wrong[0]!r}"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_real_texts(name, real_texts):
    compare(name, real_texts)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_noise(name):
    compare(name, noise())
