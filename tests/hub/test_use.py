"""Commands find in the cache what was pulled, by its name on the hub."""
import json
import pathlib
import shutil

import pytest

from conftest import MODEL, TEXTS


@pytest.fixture
def moe(hub):
    """The embedded model and some of the embedded texts, on the hub under a name of their own."""
    hub.model("acme/tiny-moe", {path.name: path.read_bytes() for path in MODEL.iterdir()})
    hub.dataset("acme/reviews", {"README.md": "a card", "data/films.csv": (TEXTS / "film-reviews.csv").read_bytes(),
                                 "data/places.csv": (TEXTS / "place-reviews.csv").read_bytes()})
    return hub


def manifest(folder):
    return json.loads((pathlib.Path(folder) / "manifest.json").read_text())


def test_not_pulled_yet(moe, tmp_path):
    advice = "foregate pull acme/tiny-moe"
    moe.fails("inspect", "acme/tiny-moe", saying=[advice])
    moe.fails("tokenize", "--tokenizer", "acme/tiny-moe", saying=[advice])
    collect = ["--data", f"films={TEXTS / 'film-reviews.csv'}", "--traces", 4, "--output", tmp_path / "traces"]
    moe.fails("collect", "--model", "acme/tiny-moe", *collect, saying=[advice])
    moe.pull("acme/tiny-moe", "--include", "*.json")
    moe.run("inspect", "acme/tiny-moe")
    moe.fails("collect", "--model", "acme/tiny-moe", *collect, saying=["model.safetensors", advice])
    moe.fails("collect", "--model", MODEL, "--data", "films=acme/reviews", "--output", tmp_path / "traces",
              saying=["acme/reviews", "foregate pull --dataset acme/reviews"])
    assert moe.fetched() == moe.fetched("content")


def test_collect_by_name(moe, tmp_path):
    moe.pull("acme/tiny-moe")
    moe.pull("--dataset", "acme/reviews")
    moe.seen.clear()
    output = tmp_path / "traces"
    moe.run("collect", "--model", "acme/tiny-moe", "--data", "all=acme/reviews", "--data",
            "films=acme/reviews/data/films*:0", "--traces", 8, "--output", output)
    assert moe.seen == []  # nothing is asked of the network
    said = manifest(output)
    assert said["model"] == "acme/tiny-moe" and said["complete"] is True
    assert [dataset["traces"] for dataset in said["datasets"]] == [4, 4]
    again = moe.run("collect", "--model", "acme/tiny-moe", "--data", "all=acme/reviews", "--data",
                    "films=acme/reviews/data/films*:0", "--traces", 8, "--output", output)
    assert "complete already" in again.stdout


def test_inspect_and_tokenize_by_name(moe):
    moe.pull("acme/tiny-moe")
    assert json.loads(moe.run("inspect", "acme/tiny-moe", "--json").stdout) == json.loads(
        moe.run("inspect", MODEL, "--json").stdout)
    text = TEXTS / "film-reviews.csv"
    by_name, by_folder, by_file = (moe.run("tokenize", "--tokenizer", which, stdin=text.open()).stdout
                                   for which in ("acme/tiny-moe", MODEL, MODEL / "tokenizer.json"))
    assert by_name == by_folder == by_file and len(by_name.splitlines()) > 10


def test_a_folder_of_that_name_wins(moe, tmp_path):
    moe.pull("acme/tiny-moe")
    shutil.copytree(MODEL, tmp_path / "acme/tiny-moe")
    config = json.loads((MODEL / "config.json").read_text())
    (tmp_path / "acme/tiny-moe/config.json").write_text(json.dumps({**config, "max_position_embeddings": 77}))
    here = json.loads(moe.run("inspect", "acme/tiny-moe", "--json", cwd=tmp_path).stdout)
    assert here["longest_text"] == 77
    assert json.loads(moe.run("inspect", "acme/tiny-moe", "--json").stdout)["longest_text"] != 77
