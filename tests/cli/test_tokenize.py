"""The tokenize command."""
import json

from tokenizers import Tokenizer

from conftest import MODEL, fails, run


def test_plain_lines():
    reference = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    lines = ["Hello, world", "", "naïve café — 12345", "<|endoftext|>x"]
    done = run("tokenize", "--tokenizer", MODEL / "tokenizer.json", input="\n".join(lines) + "\n")
    expected = [" ".join(map(str, reference.encode(line).ids)) for line in lines]
    assert done.stdout.splitlines() == expected


def test_json_lines():
    reference = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    texts = ["two\nlines", "tab\there", "emoji 🦊"]
    done = run("tokenize", "--tokenizer", MODEL / "tokenizer.json", "--json",
               input="".join(json.dumps({"text": t}) + "\n" for t in texts))
    assert [json.loads(line)["ids"] for line in done.stdout.splitlines()] == [reference.encode(t).ids for t in texts]


def test_bad_lines():
    fails("tokenize", "--tokenizer", MODEL / "tokenizer.json", "--json", input='{"text": "a"}\n{"txt": 1}\n', code=1,
          saying=["line 2", "text"])
    fails("tokenize", "--tokenizer", "/no/tokenizer.json", input="", code=1, saying=["/no/tokenizer.json"])
