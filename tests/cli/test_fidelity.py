"""foregate inspect --fidelity against the same numbers from two recorded traces."""
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import MODEL, demo_data, fails, manifest, run


def routing(output, *options):
    """Experts [tokens, layers, k] and logits [tokens, layers, experts] of 30 texts."""
    run("collect", "--model", MODEL, *demo_data(), "--traces", 30, "--record", "logits", "--output", output, *options)
    table = [row for shard in manifest(output)["shards"] for row in pq.read_table(output / shard["file"]).to_pylist()]
    experts = np.concatenate([np.array(row["experts"]).reshape(-1, 8, 2) for row in table])
    logits = np.concatenate([np.array(row["router_logits"], dtype=np.float64).reshape(-1, 8, 8) for row in table])
    return experts, logits


@pytest.mark.parametrize("options", [["--quantize", "int8"], ["--quantize", "nf4"], ["--dtype", "bfloat16"]],
                         ids=lambda options: options[1])
def test_agrees_with_recorded_traces(tmp_path, options):
    done = run("inspect", MODEL, "--fidelity", *demo_data(), "--texts", 30, *options, "--json")
    said = json.loads(done.stdout)
    exact, exact_logits = routing(tmp_path / "exact", "--quantize", "none")
    other, other_logits = routing(tmp_path / "other", *options)
    assert said["tokens"] == len(exact) and said["texts"] == 30 and len(said["layers"]) == 8
    for layer, row in enumerate(said["layers"]):
        common = (exact[:, layer, :, None] == other[:, layer, None, :]).sum((1, 2))
        assert row["recall"] == pytest.approx(common.mean() / 2, abs=1e-9)
        assert row["same_set"] == pytest.approx((common == 2).mean(), abs=1e-9)
        assert row["top-1"] == pytest.approx((exact[:, layer, 0] == other[:, layer, 0]).mean(), abs=1e-9)
        reference = exact_logits[:, layer]
        error = np.sqrt(((other_logits[:, layer] - reference) ** 2).sum()
                        / ((reference - reference.mean(1, keepdims=True)) ** 2).sum())
        assert row["logit_error"] == pytest.approx(error, rel=0.02, abs=2e-3)  # traces hold half precision
    for metric in ("recall", "same_set", "top-1", "logit_error"):
        assert said["all"][metric] == pytest.approx(np.mean([row[metric] for row in said["layers"]]))


def test_float32_agrees_with_itself():
    done = run("inspect", MODEL, "--fidelity", *demo_data(), "--texts", 12, "--json")
    assert json.loads(done.stdout)["all"] == {"same_set": 1, "recall": 1, "top-1": 1, "logit_error": 0}


def test_table():
    done = run("inspect", MODEL, "--fidelity", *demo_data(), "--texts", 12, "--quantize", "int8")
    lines = done.stdout.splitlines()
    assert "quantisation int8" in lines[0] and "12 texts" in lines[0]
    assert [line.split()[0] for line in lines[2:]] == [*map(str, range(8)), "mean"]


def test_wrong_usage():
    fails("inspect", MODEL, "--fidelity", code=2, saying=["--data"])
    done = run("inspect", MODEL, "--quantize", "int8", check=False)
    assert done.returncode == 2 and "--fidelity" in done.stderr
