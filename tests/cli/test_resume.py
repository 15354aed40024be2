"""What a run goes on from: refused if it is no longer what was begun with, and grown if more is asked for."""
import json
import shutil
import subprocess
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import MODEL, TEXTS, contents, demo_data, fails, manifest, program, run


@pytest.fixture()
def model(tmp_path):
    """A copy of the embedded model to change."""
    return shutil.copytree(MODEL, tmp_path / "model")


@pytest.fixture()
def texts(tmp_path):
    return shutil.copy(TEXTS / "news-briefs.csv", tmp_path / "news.csv")


def collect(model, texts, output, *more, traces=6, check=True):
    return run("collect", "--model", model, "--data", f"news={texts}", "--traces", traces, "--max-length", 24,
               "--shard-traces", 4, "--output", output, *more, check=check)


def change_tensors(model, change):
    tensors = load_file(model / "model.safetensors")
    change(tensors)
    save_file(tensors, model / "model.safetensors")


def permute_routers(tensors):
    """As many bytes, the same config: other experts."""
    for name in tensors:
        if name.endswith("mlp.gate.weight"):
            tensors[name] = tensors[name].flip(0).contiguous()


def change_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def swap_texts(path):
    """Other texts in as many rows."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + "".join(reversed(lines[1:])))


CHANGES = {
    "routers": (lambda m, t: change_tensors(m, permute_routers), ["other weights", "model.safetensors"]),
    "one expert": (lambda m, t: change_tensors(m, lambda w: w["model.layers.2.mlp.experts.3.up_proj.weight"].mul_(1.5)),
                   ["other weights", "model.safetensors"]),
    "one norm": (lambda m, t: change_tensors(m, lambda w: w["model.layers.4.input_layernorm.weight"][3:4].add_(1)),
                 ["other weights", "model.safetensors"]),
    "config": (lambda m, t: change_json(m / "config.json", rope_theta=20000.0), ["config.json of the model has changed"]),
    "tokenizer": (lambda m, t: change_json(m / "tokenizer.json", version="2.0"), ["tokenizer.json of the model has changed"]),
    "texts": (lambda m, t: swap_texts(t), ["'news'", "news.csv", "other texts in as many rows"]),
    "one row less": (lambda m, t: t.write_text("".join(t.read_text().splitlines(keepends=True)[:-1])),
                     ["'news'", "usable rows", "then", "now"]),
}


@pytest.mark.parametrize("change, saying", CHANGES.values(), ids=[name.replace(" ", "-") for name in CHANGES])
def test_other_input_is_refused(model, texts, tmp_path, change, saying):
    output = tmp_path / "t"
    collect(model, texts, output)
    before = contents(output)
    change(model, texts)
    for traces in (6, 12):  # the same command again, and one that grows
        fails("collect", "--model", model, "--data", f"news={texts}", "--traces", traces, "--max-length", 24,
              "--shard-traces", 4, "--output", output, code=1, saying=["begun with other input", *saying, "--output"])
    assert contents(output) == before


def test_what_makes_no_difference(model, texts, tmp_path):
    """The same bytes in another place, of another age, or written by another program."""
    output = tmp_path / "t"
    collect(model, texts, output)
    moved = shutil.move(model, tmp_path / "elsewhere" / "model")
    (moved / "model.safetensors").touch()
    rows = TEXTS / "news-briefs.csv"
    done = collect(moved, rows, output, traces=12)
    assert "warning" not in done.stderr
    assert manifest(output)["complete"] and manifest(output)["grown_from"] == [6]


def test_an_older_trace_goes_on_unchecked(model, texts, tmp_path):
    output = tmp_path / "t"
    collect(model, texts, output)
    said = manifest(output)
    del said["weights"], said["datasets"][0]["sha256"]
    (output / "manifest.json").write_text(json.dumps(said))
    done = collect(model, texts, output, traces=12)
    assert [line for line in done.stderr.splitlines() if "cannot be checked" in line and "older foregate" in line]
    # From now on it is.
    change_tensors(model, permute_routers)
    assert "other weights" in collect(model, texts, output, traces=12, check=False).stderr


def rows_of(output):
    """(dataset, row) of every trace, with its experts."""
    return [(row["dataset"], row["sample"], row["experts"])
            for shard in manifest(output)["shards"] for row in pq.read_table(output / shard["file"]).to_pylist()]


def test_a_trace_grows(tmp_path):
    """Behind the same texts, in the same bytes, step by step; as balanced as one that is collected at once."""
    def grow(traces, output=tmp_path / "t"):
        return run("collect", "--model", MODEL, *demo_data(["film-reviews", "news-briefs", "encyclopedia"]), "--traces",
                   traces, "--shard-traces", 4, "--max-length", 24, "--output", output, "--record", "features:0.5")
    rows, files = [], {}
    for traces in (4, 8, 9, 21):
        grow(traces)
        said, now = manifest(tmp_path / "t"), rows_of(tmp_path / "t")
        assert said["complete"] and len(now) == traces and now[:len(rows)] == rows
        assert len({row[:2] for row in now}) == traces
        kept = contents(tmp_path / "t")
        assert {name: kept[name] for name in files} == files
        rows, files = now, {name: kept[name] for name in kept if name.startswith("part-")}
    assert said["grown_from"] == [4, 8, 9] and [d["traces"] for d in said["datasets"]] == [7, 7, 7]
    grow(21, tmp_path / "whole")
    assert [d["traces"] for d in manifest(tmp_path / "whole")["datasets"]] == [7, 7, 7]
    assert "complete already" in grow(21).stdout
    # What is the same text in both is routed alike.
    whole = {row[:2]: row[2] for row in rows_of(tmp_path / "whole")}
    both = [(row[2], whole[row[:2]]) for row in rows if row[:2] in whole]
    assert both and all(np.array_equal(a, b) for a, b in both)
    run("evaluate", "--traces", tmp_path / "t", "--predictor", "frequency", "--split", "all")


def test_a_trace_does_not_shrink(model, texts, tmp_path):
    collect(model, texts, tmp_path / "t", traces=8)
    fails("collect", "--model", model, "--data", f"news={texts}", "--traces", 5, "--max-length", 24, "--shard-traces", 4,
          "--output", tmp_path / "t", code=2, saying=["8 texts", "asks for 5", "grow but not shrink"])


def test_quantised_folders_know_their_weights(model, texts, tmp_path):
    options = ["--quantize", "int8", "--save-quantized", tmp_path / "q"]
    collect(model, texts, tmp_path / "first", *options)
    change_tensors(model, permute_routers)
    fails("collect", "--model", model, "--data", f"news={texts}", "--traces", 6, *options, "--output", tmp_path / "t", code=2,
          saying=["other weights of the same model", "model.safetensors", "--save-quantized"])
    config = json.loads((tmp_path / "q" / "config.json").read_text())
    del config["quantization_config"]["source_weights"]
    (tmp_path / "q" / "config.json").write_text(json.dumps(config))
    assert "cannot be checked" in collect(model, texts, tmp_path / "second", *options).stderr


def test_live_training_knows_its_input(model, texts, tmp_path):
    def train(*more, check=True):
        return run("train", "--live", "--model", model, "--data", f"news={texts}", "--texts", 20, "--max-length", 16,
                   "--predictor", "transition", "--lead", "layer-1", "--output", tmp_path / "p", *more, check=check)
    train()
    assert "is there already" in train().stdout
    original = (model / "model.safetensors").read_bytes()
    change_tensors(model, permute_routers)
    done = train(check=False)
    assert done.returncode == 2 and "the model has other weights" in done.stderr
    (model / "model.safetensors").write_bytes(original)
    swap_texts(texts)
    done = train(check=False)
    assert done.returncode == 2 and "dataset 'news' has other texts" in done.stderr


def test_predictors_and_routers_of_other_weights(model, texts, tmp_path):
    collect(model, texts, tmp_path / "t", "--record", "features", traces=40)
    run("train", "--traces", tmp_path / "t", "--predictor", "transition", "--lead", "layer-1", "--output", tmp_path / "p")
    change_tensors(model, permute_routers)
    collect(model, texts, tmp_path / "other", "--record", "features", traces=40)
    fails("evaluate", "--traces", tmp_path / "other", "--split", "all", "--predictor", tmp_path / "p", code=1,
          saying=["other weights", "trace of its own model"])
    fails("train", "--traces", tmp_path / "t", "--model", model, "--predictor", "gate-adapter", "--lead", "layer-1",
          "--output", tmp_path / "a", code=1, saying=["routers of --model are not those", "routers.safetensors"])
    assert not (tmp_path / "a").exists()
    shutil.copy(tmp_path / "other" / "routers.safetensors", tmp_path / "t" / "routers.safetensors")
    fails("evaluate", "--traces", tmp_path / "t", code=1, saying=["routers.safetensors", "not the file"])


def test_one_collect_at_a_time(texts, tmp_path):
    output = tmp_path / "t"
    command = ["collect", "--model", MODEL, *demo_data(), "--traces", 300, "--shard-traces", 10, "--batch-tokens", 128,
               "--output", output]
    first = subprocess.Popen([program(), *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while first.poll() is None and not (output / "manifest.json").exists():
        time.sleep(0.005)
    fails(*command, code=1, saying=["being written by another foregate", "--output"])
    assert first.wait(timeout=600) == 0
    assert "complete already" in run(*command).stdout
    assert not [name for name in contents(output) if name.startswith(".")]


@pytest.mark.parametrize("arguments", [
    ["collect", "--model", "NOWHERE", "--data", "d=x.csv", "--output"],
    ["collect", "--model", MODEL, "--data", "d=NOWHERE.csv", "--output"],
    ["collect", "--model", MODEL, *demo_data(["news-briefs"]), "--max-memory", "1MB", "--output"],
    ["train", "--traces", "NOWHERE", "--predictor", "frequency", "--lead", "layer-1", "--output"],
    ["train", "--live", "--model", MODEL, "--data", "d=NOWHERE.csv", "--predictor", "frequency", "--lead", "layer-1", "-o"],
    ["import", "--format", "vllm", "NOWHERE.jsonl", "--output"],
    ["export", "--format", "npy", "NOWHERE", "--output"],
    ["analyze", "--traces", "NOWHERE", "--output"],
], ids=lambda arguments: "-".join(map(str, arguments[:1])))
def test_failures_leave_no_folder(tmp_path, arguments):
    done = run(*arguments, tmp_path / "a" / "b" / "out", check=False, cwd=tmp_path)
    assert done.returncode in (1, 2), done.stderr
    assert not list(tmp_path.iterdir())


def test_what_does_not_concern_routing_is_passed_over(model, texts, tmp_path):
    collect(model, texts, tmp_path / "expected")
    change_tensors(model, lambda tensors: tensors.update({
        "mtp.layers.0.mlp.gate.weight": torch.ones(3), "v_head.summary.weight": torch.ones(1, 64),
        "model.layers.24.self_attn.q_proj.weight": torch.ones(2)}))
    change_json(model / "tokenizer.json", truncation={"max_length": 4, "stride": 0, "strategy": "LongestFirst",
                                                      "direction": "Right"},
                padding={"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                         "pad_type_id": 0, "pad_token": "x"})
    done = collect(model, texts, tmp_path / "t")
    warnings = [line for line in done.stderr.splitlines() if "passed over" in line]
    assert len(warnings) == 3, done.stderr
    assert "3 tensors" in warnings[-1] and "mtp.layers.0" in warnings[-1]
    assert rows_of(tmp_path / "t") == rows_of(tmp_path / "expected")
    change_tensors(model, lambda tensors: tensors.update({"model.layers.2.mlp.experts.8.up_proj.weight": torch.ones(3)}))
    fails("collect", "--model", model, "--data", f"news={texts}", "--output", tmp_path / "u", code=1,
          saying=["1 unexpected", "experts.8"])


def test_a_model_without_its_weights_is_shown_in_part(model):
    shown = run("inspect", model)
    assert "weight_files" in shown.stdout and "warning" not in shown.stderr
    (model / "model.safetensors").unlink()
    done = run("inspect", model, "--json")
    assert "holds no weights" in done.stderr and json.loads(done.stdout)["weight_files"]["here"] == 0
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    (model / "model-00001-of-00002.safetensors").write_bytes(b"x" * 100)
    done = run("inspect", model, "--json")
    assert "1 of 2 weight files" in done.stderr and "model-00002" in done.stderr
    assert json.loads(done.stdout)["weight_files"] == {"here": 1, "missing": 1, "bytes": 100}
