"""A training's event files, read with the tensorboard package."""
import json

import pytest

from conftest import run

accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator",
                                   reason="the tensorboard package is not installed (requirements-test.txt)")


def test_a_training_can_be_watched(demo_trace, tmp_path):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"steps": 7, "batch_tokens": 64, "validate_every": 3}))
    run("train", "--traces", demo_trace, "--predictor", "gate-adapter", "--lead", "layer-1", "--config", settings,
        "--tensorboard", tmp_path / "events", "--output", tmp_path / "adapter")
    read = accumulators.EventAccumulator(str(tmp_path / "events"))
    read.Reload()
    assert set(read.Tags()["scalars"]) == {"loss", "learning_rate", "validation_recall"}
    losses = read.Scalars("loss")
    assert [event.step for event in losses] == list(range(1, 8))
    assert all(0 < event.value < 100 for event in losses)
    rates = [event.value for event in read.Scalars("learning_rate")]
    assert rates == sorted(rates, reverse=True) and rates[0] == pytest.approx(0.002)
    assert [event.step for event in read.Scalars("validation_recall")] == [0, 3, 6, 7]
