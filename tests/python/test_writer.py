"""Writing traces: what the program reads, what is refused, and what is left when it is killed."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import foregate as fg
from conftest import program

GEOMETRY = {"num_moe_layers": 3, "num_experts": 8, "top_k": 2, "vocab_size": 50}


def text(n, seed=0):
    rng = np.random.default_rng(seed)
    experts = np.argsort(rng.random((n, 3, 8)), -1)[..., :2]
    weights = np.sort(rng.random((n, 3, 2)).astype(np.float32), -1)[..., ::-1]
    return {"experts": experts, "gate_weights": weights, "token_ids": rng.integers(0, 50, n)}


def writer(path, **changes):
    settings = {"geometry": fg.Geometry(**GEOMETRY), "model": "mine", **changes}
    return fg.TraceWriter(path, **settings)


def test_shards_are_those_of_the_program(demo_trace, tmp_path):
    """The same texts give the same bytes."""
    traces = fg.open(demo_trace)
    with fg.TraceWriter(tmp_path / "again", geometry=traces.geometry, model=traces.model) as w:
        for t in traces:
            w.add(experts=t.experts, token_ids=t.token_ids, gate_weights=t.gate_weights, dataset=t.dataset, sample=t.sample)
    again = fg.open(tmp_path / "again")
    assert [s["sha256"] for s in again.manifest["shards"]] == [s["sha256"] for s in traces.manifest["shards"]]
    assert again.to_arrow().equals(traces.to_arrow())


def test_the_program_reads_it(tmp_path):
    with writer(tmp_path / "t", router_logits=True, shard_traces=4) as w:
        for i in range(10):
            logits = np.random.default_rng(i).normal(size=(5 + i, 3, 8)).astype(np.float32)
            w.add(**text(5 + i, i), router_logits=logits, dataset="ab"[i % 2], prompt_tokens=3)
    inspected = program("inspect", tmp_path / "t")
    assert "traces                   10" in inspected and "shards                   3" in inspected
    evaluated = json.loads(program("evaluate", "--traces", tmp_path / "t", "--predictor", "frequency", "--split", "all",
                                   "--json"))
    assert evaluated["rows"]
    back = fg.open(tmp_path / "t")
    assert [(t.dataset, t.sample) for t in back] == [("ab"[i % 2], i // 2) for i in range(10)]
    np.testing.assert_array_equal(back[3].experts, text(8, 3)["experts"])
    np.testing.assert_array_equal(back[3].gate_weights, text(8, 3)["gate_weights"].astype(np.float16))
    assert back[3].prompt_tokens == 3 and back[3].router_logits.shape == (8, 3, 8)


@pytest.mark.parametrize("change, saying", [
    ({"experts": np.zeros((5, 3, 2), np.int64)}, "expert 0 twice at token 0, MoE layer 0"),
    ({"experts": np.zeros((5, 3, 3), np.int64)}, r"experts is \[5, 3, 3\]; expected \[5, 3, 2\]"),
    ({"experts": np.full((5, 3, 2), 300)}, "expected numbers that fit uint8"),
    ({"experts": np.full((5, 3, 2), 0.5)}, "experts is of float64; expected whole numbers"),
    ({"token_ids": [1, 2, 3, 4, 50]}, "expected ids of a vocabulary of 50"),
    ({"token_ids": []}, r"expected \[0, 3, 2\]"),
    ({"gate_weights": None}, "no gate_weights"),
    ({"gate_weights": np.full((5, 3, 2), np.nan)}, "expected a finite number that is not negative"),
    ({"gate_weights": np.tile(np.array([0.1, 0.9]), (5, 3, 1))}, "expected the largest first"),
    ({"gate_weights": np.ones((5, 3, 2), np.int64)}, "expected floats"),
    ({"router_logits": np.zeros((5, 3, 8))}, "open TraceWriter with router_logits=True"),
    ({"prompt_tokens": 6}, "'prompt_tokens' is 6; expected 0 to num_tokens = 5"),
    ({"dataset": ""}, "dataset is empty"),
    ({"residual": np.zeros((5, 3, 4), np.float32)}, "go together"),
])
def test_refuses_what_the_format_does_not_allow(tmp_path, change, saying):
    with writer(tmp_path / "t") as w:
        w.add(**text(4), dataset="a")
        with pytest.raises(fg.UsageError, match=saying):
            w.add(**{**text(5), "dataset": "a", **change})
        assert w.num_traces == 1
    assert len(fg.open(tmp_path / "t")) == 1


def test_refuses_settings(tmp_path):
    with pytest.raises(fg.UsageError, match="'top_k' is 9; expected 1 to 8"):
        fg.Geometry(num_moe_layers=1, num_experts=8, top_k=9)
    with pytest.raises(fg.UsageError, match="dtype"):
        writer(tmp_path / "t", dtype="float8")
    with pytest.raises(fg.UsageError, match="go together"):
        writer(tmp_path / "t", feature_fraction=0.5)
    with writer(tmp_path / "t") as w:
        w.add(**text(3), dataset="a", sample=7)
        with pytest.raises(fg.UsageError, match="the text a 7 is in .* already"):
            w.add(**text(3), dataset="a", sample=7)
        with pytest.raises(fg.StorageError, match="is being written by another process"):
            writer(tmp_path / "t")
    with pytest.raises(fg.UsageError, match="was closed"):
        w.add(**text(3), dataset="a")
    with pytest.raises(fg.UsageError, match="holds a finished trace of 1 texts; append=True"):
        writer(tmp_path / "t")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/part-00000.parquet").write_text("somebody's data")
    with pytest.raises(fg.UsageError, match="holds part-00000.parquet and no manifest.json"):
        writer(tmp_path / "other")
    assert (tmp_path / "other/part-00000.parquet").exists()


def test_an_exception_keeps_whole_texts(tmp_path):
    with pytest.raises(RuntimeError), writer(tmp_path / "t") as w:
        w.add(**text(4), dataset="a")
        raise RuntimeError
    with pytest.raises(fg.DataError, match="not finished"):
        fg.open(tmp_path / "t")
    with pytest.raises(fg.UsageError, match='was begun with model "mine", not "yours"'):
        writer(tmp_path / "t", model="yours")
    with writer(tmp_path / "t") as w:
        assert w.num_traces == 1 and ("a", 0) in w and ("a", 1) not in w
        w.add(**text(6, 1), dataset="a")
    assert [len(t) for t in fg.open(tmp_path / "t")] == [4, 6]
    with writer(tmp_path / "t", append=True) as w:
        w.add(**text(2, 2), dataset="b")
    assert [(t.dataset, t.sample) for t in fg.open(tmp_path / "t")] == [("a", 0), ("a", 1), ("b", 0)]
    program("inspect", tmp_path / "t")


KILLED = """
import sys, numpy as np, foregate as fg
sys.path.insert(0, sys.argv[2])
from test_writer import text, writer
with writer(sys.argv[1], shard_traces=3) as w:
    for i in range(100000):
        if ("a", i) not in w:
            w.add(**text(5, i), dataset="a", sample=i)
"""


def test_killed_it_leaves_nothing_half_made(tmp_path):
    folder = tmp_path / "t"
    tests = str(pathlib.Path(__file__).parent)
    texts = 0
    for shards in (2, 5):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder), tests])
        deadline = time.monotonic() + 120
        while len(list(folder.glob("part-*.parquet"))) < shards:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        there = fg.open(folder, allow_unfinished=True)
        assert len(there) > texts and len(there) % 3 == 0
        texts = len(there)
        assert [t.sample for t in there] == list(range(texts))
    with writer(folder, shard_traces=3) as w:
        assert w.num_traces == texts
        w.add(**text(5, texts), dataset="a", sample=texts)
    whole = fg.open(folder)
    for i, t in enumerate(whole):
        np.testing.assert_array_equal(t.experts, text(5, i)["experts"])
    left = {p.name for p in folder.iterdir()}
    assert left == {"manifest.json", *(s["file"] for s in whole.manifest["shards"])}
    program("inspect", folder)


def test_more_experts_than_a_byte(tmp_path):
    geometry = fg.Geometry(num_moe_layers=2, num_experts=300, top_k=1)
    with fg.TraceWriter(tmp_path / "t", geometry=geometry, model="m", gate_weights=False, token_ids="unique") as w:
        w.add(experts=np.array([[[299], [0]]]), token_ids=[5], dataset="a")
    (t,) = fg.open(tmp_path / "t")
    assert t.experts.dtype == np.uint16 and t.experts.tolist() == [[[299], [0]]] and t.gate_weights is None
    assert "every token has an id of its own" in program("inspect", tmp_path / "t")
    assert os.environ["FOREGATE_BIN"]
