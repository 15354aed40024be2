"""Collecting on the embedded model: what is written, and that nothing stops it from being written whole."""
import json
import random
import signal
import subprocess
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from conftest import MODEL, contents, demo_data, fails, kill_when, manifest, program, run


def collect(output, *more, **options):
    return run("collect", "--model", MODEL, *demo_data(), "--traces", 120, "--shard-traces", 25, "--output", output,
               *more, **options)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    output = tmp_path_factory.mktemp("reference") / "traces"
    collect(output)
    return output


def test_balanced_and_whole(reference):
    said = manifest(reference)
    assert said["complete"] is True
    assert [d["traces"] for d in said["datasets"]] == [20] * 6
    rows = [row for shard in said["shards"] for row in pq.read_table(reference / shard["file"]).to_pylist()]
    assert len(rows) == 120
    assert len({(r["dataset"], r["sample"]) for r in rows}) == 120
    for row in rows:
        n = row["num_tokens"]
        assert n == row["prompt_tokens"] == len(row["token_ids"]) > 0
        experts = np.array(row["experts"]).reshape(n, 8, 2)
        weights = np.array(row["gate_weights"], dtype=np.float32).reshape(n, 8, 2)
        assert experts.max() < 8 and (experts[..., 0] != experts[..., 1]).all()
        assert (weights[..., 0] >= weights[..., 1]).all() and (weights > 0).all() and (weights.sum(-1) <= 1.001).all()


def test_same_seed_same_bytes_other_seed_other_texts(reference, tmp_path):
    collect(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(reference)
    collect(tmp_path / "other", "--seed", 1)
    assert contents(tmp_path / "other") != contents(reference)


def test_finished_run_says_so(reference):
    before = contents(reference)
    done = collect(reference)
    assert "complete already" in done.stdout
    assert contents(reference) == before


@pytest.mark.parametrize("shards", range(5))
def test_killed_and_run_again_equals_uninterrupted(reference, tmp_path, shards):
    output = tmp_path / "traces"
    command = [program(), "collect", "--model", MODEL, *demo_data(), "--traces", 120, "--shard-traces", 25,
               "--output", output]
    assert kill_when(lambda: len(list(output.glob("part-*.parquet"))) >= shards, command, after=0.03 * random.random())
    collect(output)
    assert contents(output) == contents(reference)


def test_interrupt_keeps_finished_shards(reference, tmp_path):
    output = tmp_path / "traces"
    process = subprocess.Popen(
        [program(), "collect", "--model", str(MODEL), *demo_data(), "--traces", "120", "--shard-traces", "10",
         "--batch-tokens", "512", "--output", str(output)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(output.glob("part-*.parquet")):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "run the same command again" in said
    assert not manifest(output)["complete"]
    fails("train", "--traces", output, "--predictor", "frequency", "--lead", "next-token",
          "--output", tmp_path / "p", code=1, saying=["not finished", "collect"])


def test_other_settings_are_refused(reference):
    fails("collect", "--model", MODEL, *demo_data(), "--traces", 120, "--shard-traces", 25, "--seed", 5,
          "--output", reference, code=2, saying=["seed", "--output"])


def test_json_result(tmp_path):
    done = collect(tmp_path / "t", "--json")
    result = json.loads(done.stdout)
    assert result["traces"] == 120 and result["complete"] is True
    assert result["decisions"] == result["tokens"] * 8


def test_record_logits_agree_with_decisions(tmp_path):
    collect(tmp_path / "t", "--record", "logits")
    table = pq.read_table(tmp_path / "t" / "part-00000.parquet").to_pylist()
    for row in table:
        logits = np.array(row["router_logits"], dtype=np.float32).reshape(row["num_tokens"], 8, 8)
        experts = np.array(row["experts"]).reshape(row["num_tokens"], 8, 2)
        best = np.take_along_axis(logits, experts, -1)
        assert (best[..., 0] >= best[..., 1]).all()
        # In half precision nothing outside the chosen two may be larger than the smaller of them.
        rest = logits.copy()
        np.put_along_axis(rest, experts, -np.inf, -1)
        assert (rest.max(-1) <= best[..., 1]).all()


def test_feature_share(tmp_path):
    collect(tmp_path / "t", "--record", "features:0.5")
    said = manifest(tmp_path / "t")
    assert said["feature_fraction"] == 0.5
    assert all(shard["features"] for shard in said["shards"])
    rows = 0
    for shard in said["shards"]:
        with safe_open(tmp_path / "t" / shard["features"], framework="np") as file:
            rows += len(file.get_tensor("rows"))
    assert 30 < rows < 90


def test_max_length_and_short_dataset(tmp_path):
    done = run("collect", "--model", MODEL, *demo_data(["film-reviews", "news-briefs"]), "--traces", 400,
               "--max-length", 16, "--output", tmp_path / "t")
    assert "fewer than the 400" in done.stderr
    said = manifest(tmp_path / "t")
    assert [d["traces"] for d in said["datasets"]] == [60, 60]
    lengths = pq.read_table(tmp_path / "t" / "part-00000.parquet")["num_tokens"].to_pylist()
    assert max(lengths) == 16
    fails("collect", "--model", MODEL, *demo_data(["film-reviews"]), "--traces", 400, "--strict", "--output",
          tmp_path / "s", code=1, saying=["film-reviews", "60"])


def test_bfloat16_runs(tmp_path):
    collect(tmp_path / "t", "--dtype", "bfloat16")
    assert manifest(tmp_path / "t")["dtype"] == "bfloat16"


def test_batch_size_does_not_change_decisions(reference, tmp_path):
    collect(tmp_path / "t", "--batch-tokens", 300)
    same = total = 0
    for shard in manifest(reference)["shards"]:
        a = pq.read_table(reference / shard["file"])["experts"].to_pylist()
        b = pq.read_table(tmp_path / "t" / shard["file"])["experts"].to_pylist()
        for x, y in zip(a, b, strict=True):
            same += np.sum(np.array(x) == np.array(y))
            total += len(x)
    assert same / total > 0.9999
