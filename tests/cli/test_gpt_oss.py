"""A trained gpt_oss in bfloat16: sinks, windows of 64 tokens, biases, interleaved and transposed experts."""
import json

import pytest

from conftest import contents, demo_data, manifest, run, shared


@pytest.fixture(scope="module")
def model():
    return shared("models", "mini-gpt-oss")


@pytest.fixture(scope="module")
def traces(model, tmp_path_factory):
    output = tmp_path_factory.mktemp("gpt-oss") / "traces"
    run("collect", "--model", model, *demo_data(), "--traces", 60, "--record", "features:1", "--output", output)
    return output


def test_inspect_knows_it(model):
    shown = json.loads(run("inspect", model, "--json").stdout)
    assert shown["model_type"] == "gpt_oss" and shown["weights"] == "dense"


def test_decisions_follow_from_recorded_inputs(traces):
    """The router's bias travels with the trace: the own-router control is 100% or the evaluation is refused."""
    assert manifest(traces)["router"]["score"] == "softmax-of-chosen"
    result = json.loads(run("evaluate", "--traces", traces, "--predictor", "frequency", "--json").stdout)
    assert result["control"]["decisions"] == result["control"]["matches"] > 0


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_saved_model_is_the_quantized_one(model, tmp_path, kind):
    """What lies transposed in the checkpoint is in order in the saved one."""
    saved = tmp_path / model.name  # the name is part of a trace
    collect = ["collect", *demo_data(), "--traces", 12]
    run(*collect, "--model", model, "--quantize", kind, "--save-quantized", saved, "--output", tmp_path / "expected")
    run(*collect, "--model", model, "--quantize", kind, "--save-quantized", saved, "--output", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "expected")
    run(*collect, "--model", saved, "--output", tmp_path / "loaded")
    shards = [shard["file"] for shard in manifest(tmp_path / "loaded")["shards"]]
    for file in shards:
        assert (tmp_path / "loaded" / file).read_bytes() == (tmp_path / "expected" / file).read_bytes()


def test_generate_continues_beyond_the_window(model):
    done = json.loads(run("generate", "--model", model, "--prompt", "The package provides", "--max-tokens", 120,
                          "--json").stdout)
    assert len(done["results"][0]["ids"]) > 64
