"""train --live: straight from the running model, with the results of training from a recorded trace."""
import json

import pytest
from safetensors import safe_open

from conftest import MODEL, contents, demo_data, fails, kill_when, program, run

TEXTS = ["--texts", "120"]  # as many as demo_trace has
STREAM = ["--buffer-tokens", "4000", "--passes", "2"]  # less in memory than there is


def live(output, *more, predictors=("gate-adapter",), leads=("layer-1",), texts=TEXTS):
    names = [item for predictor in predictors for item in ("--predictor", predictor)]
    names += [item for lead in leads for item in ("--lead", lead)]
    return ["train", "--live", "--model", MODEL, *demo_data(), *texts, *names, "--output", output, *more]


def tensors(directory):
    with safe_open(directory / "weights.safetensors", framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def recall(trace, *predictors):
    asked = [item for predictor in predictors for item in ("--predictor", str(predictor))]
    result = json.loads(run("evaluate", "--traces", trace, *asked, "--lead", "layer-1", "--json").stdout)
    return {row["predictor"]: row["metrics"]["recall@2"]["mean"] for row in result["rows"]}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "settings.json"
    path.write_text(json.dumps({"steps": 200, "batch_tokens": 512, "validate_every": 50, "checkpoint_seconds": 0}))
    return path


def test_equals_training_from_a_trace_within_noise(demo_trace, settings, tmp_path):
    run("train", "--traces", demo_trace, "--predictor", "gate-adapter", "--lead", "layer-1", "--config", settings,
        "--output", tmp_path / "recorded")
    run(*live(tmp_path / "live", "--config", settings, *STREAM))
    # Evaluating on the trace's test split is allowed: the live training split the same texts alike.
    found = recall(demo_trace, tmp_path / "recorded", tmp_path / "live", "next-gate")
    gain = {name: found[str(tmp_path / name)] - found["next-gate"] for name in ("recorded", "live")}
    assert gain["recorded"] > 0.01
    assert gain["live"] == pytest.approx(gain["recorded"], abs=0.005)
    info = json.loads((tmp_path / "live" / "predictor.json").read_text())
    assert info["live"]["passes"] == 2
    assert info["live"]["buffer_tokens"] == 4000


def test_counts_are_those_of_the_trace(demo_trace, tmp_path):
    run("train", "--traces", demo_trace, "--predictor", "token-table", "--lead", "next-token", "--output",
        tmp_path / "recorded")
    run(*live(tmp_path / "live", predictors=["token-table"], leads=["next-token"]))
    recorded, counted = tensors(tmp_path / "recorded"), tensors(tmp_path / "live")
    assert recorded.keys() == counted.keys()
    for name, tensor in recorded.items():
        if name == "seen_texts":
            assert set(tensor.tolist()) == set(counted[name].tolist())
        else:
            assert (tensor == counted[name]).all(), name
    calibrations = [json.loads((tmp_path / name / "predictor.json").read_text())["calibration"]
                    for name in ("recorded", "live")]
    assert calibrations[1] == pytest.approx(calibrations[0], rel=1e-4)
    assert calibrations[0]["scale"] != 1


def test_several_predictors_learn_from_one_run(demo_trace, settings, tmp_path):
    run(*live(tmp_path / "all", "--config", settings, *STREAM, predictors=["gate-adapter", "mlp"],
              leads=["layer-1", "pre-attention"]))
    folders = sorted(p.name for p in (tmp_path / "all").iterdir())
    assert folders == ["gate-adapter-layer-1", "gate-adapter-pre-attention", "mlp-layer-1", "mlp-pre-attention"]
    # One of several is what it would be alone.
    run(*live(tmp_path / "alone", "--config", settings, *STREAM))
    together, alone = tensors(tmp_path / "all" / "gate-adapter-layer-1"), tensors(tmp_path / "alone")
    assert all((together[name] == alone[name]).all() for name in alone)


def test_a_sequence_model_learns_from_the_stream(tmp_path):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"steps": 40, "batch_tokens": 512, "width": 32, "context": 64, "warmup_steps": 0,
                                    "validate_every": 20, "learning_rate": 0.01}))
    done = json.loads(run(*live(tmp_path / "p", "--config", settings, "--json", *STREAM, predictors=["transformer"],
                                leads=["next-token"])).stdout)
    assert done["predictors"][0]["validation"]["recall@2"] > 0.45  # the most frequent experts: .41


@pytest.mark.parametrize("signal_after", [0.0, 0.3])
def test_killed_and_run_again_gives_the_same_bits(settings, tmp_path, signal_after):
    more = ["--config", settings, *STREAM]
    run(*live(tmp_path / "whole", *more))
    command = [program(), *live(tmp_path / "killed", *more)]
    assert kill_when((tmp_path / "killed" / "checkpoint.safetensors").exists, command, after=signal_after)
    run(*command[1:])
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_refusals(demo_trace, settings, tmp_path):
    fails("train", "--live", *demo_data(), "--predictor", "mlp", "--lead", "layer-1", "--output", tmp_path / "p",
          code=2, saying=["--model"])
    fails("train", "--live", "--model", MODEL, "--predictor", "mlp", "--lead", "layer-1", "--output", tmp_path / "p",
          code=2, saying=["--data"])
    fails("train", "--predictor", "mlp", "--lead", "layer-1", "--output", tmp_path / "p", code=2, saying=["--traces"])
    fails("train", "--traces", demo_trace, "--predictor", "mlp", "--lead", "layer-1", "--lead", "layer-2", "--output",
          tmp_path / "p", code=2, saying=["--live"])
    fails(*live(tmp_path / "p", predictors=["next-gate"], leads=["next-token"]), code=2, saying=["next-gate"])
    # Other texts: their split is not the trace's.
    run(*live(tmp_path / "other", predictors=["token-table"], leads=["next-token"], texts=["--texts", "60"]))
    fails("evaluate", "--traces", demo_trace, "--predictor", tmp_path / "other", code=2,
          saying=["other texts", "--split all"])
    run("evaluate", "--traces", demo_trace, "--predictor", tmp_path / "other", "--split", "all")
    # A directory with another training's result.
    fails(*live(tmp_path / "other", predictors=["token-table"], leads=["next-token"]), code=2, saying=["--output"])
