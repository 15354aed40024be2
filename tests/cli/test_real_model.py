"""600 texts of six real datasets through a trained model of 45 M parameters: balanced, whole, and what Python reads."""
import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from conftest import contents, kill_when, manifest, program, run, shared

FILES = {"imdb": "imdb/test.csv", "yelp_review_full": "yelp_review_full/test.csv", "ag_news": "ag_news/test.csv",
         "squad": "squad/dev-v2.0.json", "amazon_polarity": "amazon_polarity/test.tsv",
         "dbpedia_14": "dbpedia_14/test.csv"}
LAYERS, EXPERTS, TOP_K, MAX_LENGTH = 12, 60, 4, 256


def command(output):
    data = [item for name, path in FILES.items() for item in ("--data", f"{name}={shared('data', path)}")]
    return [program(), "collect", "--model", str(shared("models", "mini-qwen")), *data, "--traces", "600",
            "--max-length", str(MAX_LENGTH), "--shard-traces", "64", "--output", str(output)]


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    output = tmp_path_factory.mktemp("real") / "traces"
    run(*command(output)[1:])
    return output


@pytest.fixture(scope="module")
def rows(collected):
    return [row for shard in manifest(collected)["shards"]
            for row in pq.read_table(collected / shard["file"]).to_pylist()]


def test_a_hundred_texts_of_each(collected, rows):
    said = manifest(collected)
    assert said["complete"] and {d["name"]: d["traces"] for d in said["datasets"]} == dict.fromkeys(FILES, 100)
    assert len({(r["dataset"], r["sample"]) for r in rows}) == 600
    for name in FILES:
        assert sum(r["dataset"] == name for r in rows) == 100


def test_shapes_and_ranges(rows):
    for row in rows:
        n = row["num_tokens"]
        assert 0 < n <= MAX_LENGTH and n == row["prompt_tokens"] == len(row["token_ids"])
        assert 0 <= min(row["token_ids"]) and max(row["token_ids"]) < 8192
        experts = np.array(row["experts"]).reshape(n, LAYERS, TOP_K)
        gates = np.array(row["gate_weights"], dtype=np.float32).reshape(n, LAYERS, TOP_K)
        assert experts.min() >= 0 and experts.max() < EXPERTS
        assert (np.diff(np.sort(experts, -1), axis=-1) > 0).all()
        assert (np.diff(gates, axis=-1) <= 0).all() and (gates > 0).all() and (gates.sum(-1) < 1.001).all()


def read_texts():
    """{(dataset, row in its source): text} as Python reads the files."""
    texts = {}

    def table(name, choose, skip, **options):
        with open(shared("data", FILES[name]), newline="", encoding="utf-8") as file:
            for i, row in enumerate(list(csv.reader(file, **options))[skip:]):
                texts[name, i] = choose(row)

    table("imdb", lambda row: row[0], 1)
    table("yelp_review_full", lambda row: row[0], 1)
    table("amazon_polarity", lambda row: row[0], 1, delimiter="\t")
    # Title and description, as the text column on the hub has them.
    table("ag_news", lambda row: row[1] + " " + row[2], 0)
    table("dbpedia_14", lambda row: row[-1], 0)
    squad = json.loads(shared("data", FILES["squad"]).read_text())
    contexts = [p["context"] for article in squad["data"] for p in article["paragraphs"]]
    texts.update({("squad", i): context for i, context in enumerate(contexts)})
    return texts


def test_token_ids_are_those_of_the_source_rows(rows):
    tokenizer = Tokenizer.from_file(str(shared("models", "mini-qwen", "tokenizer.json")))
    texts = read_texts()
    wrong = [(r["dataset"], r["sample"]) for r in rows
             if tokenizer.encode(texts[r["dataset"], r["sample"]]).ids[:MAX_LENGTH] != r["token_ids"]]
    assert not wrong


def test_killed_at_several_moments_equals_uninterrupted(collected, tmp_path):
    output = tmp_path / "traces"
    killed = [kill_when(lambda: len(list(output.glob("part-*.parquet"))) >= shards, command(output), after)
              for shards, after in ((0, 0.3), (0, 0.8), (2, 0.0), (3, 0.4), (7, 0.2))]
    assert all(killed)
    run(*command(output)[1:])
    assert contents(output) == contents(collected)
