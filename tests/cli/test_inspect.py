"""inspect on everything that foregate reads and writes, for people and as JSON."""
import json

import pytest

from conftest import MODEL, fails, manifest, run


def inspect(path):
    return json.loads(run("inspect", path, "--json").stdout)


def test_model():
    said = inspect(MODEL)
    assert said["kind"] == "model"
    text = json.dumps(said)
    assert "qwen2_moe" in text
    shown = run("inspect", MODEL).stdout
    for word in ("qwen2_moe", "parameters", "experts", "top_k"):
        assert word in shown


def test_trace_and_shard(demo_trace):
    said = inspect(demo_trace)
    assert said["kind"] == "trace" and said["complete"] is True and said["traces"] == 120
    assert said["tokens"] == sum(shard["tokens"] for shard in manifest(demo_trace)["shards"])
    assert inspect(demo_trace / "part-00000.parquet")
    assert "120" in run("inspect", demo_trace).stdout


def test_predictor(demo_trace, tmp_path):
    run("train", "--traces", demo_trace, "--predictor", "transition", "--lead", "layer-2", "--output", tmp_path / "p")
    said = inspect(tmp_path / "p")
    assert said["predictor"] == "transition" and said["lead"] == "layer-2"
    assert said["tensors"]
    assert set(said["calibration"]) == {"scale", "shared", "offset"}
    assert said["calibration"]["scale"] > 0
    assert "calibration" in run("inspect", tmp_path / "p").stdout


def test_tokenizer():
    assert 4096 in inspect(MODEL / "tokenizer.json").values()


@pytest.mark.parametrize("make, word", [(lambda p: p, "nothing"), (lambda p: p.mkdir() or p, "nothing"),
                                        (lambda p: p.write_text("hello") and p, "nothing")])
def test_what_it_cannot_know(tmp_path, make, word):
    fails("inspect", make(tmp_path / "nothing"), code=1, saying=[word])
