"""train and evaluate from outside: what they print, refuse, resume, and that the numbers are what numpy computes."""
import collections
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from conftest import MODEL, contents, demo_data, fails, kill_when, manifest, program, run

LAYERS, EXPERTS, TOP_K = 8, 8, 2


def evaluate(trace, *more):
    return json.loads(run("evaluate", "--traces", trace, "--json", *more).stdout)


def row(result, predictor, lead):
    found = [r for r in result["rows"] if r["predictor"] == str(predictor) and r["lead"] == lead]
    assert len(found) == 1, [(r["predictor"], r["lead"]) for r in result["rows"]]
    return found[0]


def train(trace, predictor, lead, output, *more):
    return run("train", "--traces", trace, "--predictor", predictor, "--lead", lead, "--output", output, *more)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "quick.json"
    path.write_text(json.dumps({"steps": 60, "batch_tokens": 512, "validate_every": 20, "checkpoint_seconds": 0}))
    return path


def test_untrained_predictors_and_control(demo_trace):
    result = evaluate(demo_trace)
    control = result["control"]
    assert control["decisions"] == control["matches"] > 0
    assert {r["lead"] for r in result["rows"]} >= {"next-token", "layer-1", "layer-2", "pre-attention"}
    for found in result["rows"]:
        for metric in found["metrics"].values():
            assert 0 <= metric["low"] <= metric["mean"] <= metric["high"] <= 1
    chance = row(result, "random", "next-token")["metrics"]["recall@2"]
    assert chance["mean"] == pytest.approx(TOP_K / EXPERTS, abs=0.01)
    # What the field expects of the order, on a trained model.
    recall = {p: row(result, p, "next-token")["metrics"]["recall@2"]["mean"] for p in
              ("random", "frequency", "token-table", "statistics")}
    assert recall["random"] < recall["frequency"] < recall["token-table"] < recall["statistics"]


def test_the_table_fits_a_screen_and_wide_has_the_rest(demo_trace):
    done = run("evaluate", "--traces", demo_trace)
    lines = done.stdout.rstrip().splitlines()
    assert max(map(len, lines)) <= 100 and len(lines) <= 24, done.stdout
    assert "gain" in done.stdout and "recall@4" in done.stdout and "calibration error" not in done.stdout
    assert "--wide" in done.stderr
    wide = run("evaluate", "--traces", demo_trace, "--predictor", "frequency", "--lead", "next-token", "--wide").stdout
    assert "calibration error" in wide and "gate-mass@4" in wide
    fails("evaluate", "--traces", demo_trace, "--wide", "--json", code=2, saying=["--wide", "--json"])


def test_one_text_gives_no_interval(tmp_path):
    said = run("collect", "--model", MODEL, *demo_data(["news-briefs"]), "--traces", 1, "--output", tmp_path / "t")
    assert ": 1 trace, " in said.stdout
    table = run("evaluate", "--traces", tmp_path / "t", "--predictor", "frequency", "--split", "all").stdout
    assert "all split, 1 text; percent, without intervals" in table and "[" not in table
    result = evaluate(tmp_path / "t", "--predictor", "frequency", "--split", "all")
    assert result["rows"][0]["metrics"]["recall@2"]["low"] is None


def test_a_training_that_kept_its_start_says_so(demo_trace, tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"steps": 2, "batch_tokens": 8, "learning_rate": 1e-9}))
    done = train(demo_trace, "gate-adapter", "layer-1", tmp_path / "p", "--config", tmp_path / "settings.json")
    assert [line for line in done.stderr.splitlines() if "nothing was better" in line and "start" in line]
    assert json.loads((tmp_path / "p/predictor.json").read_text())["best_step"] == 0
    table = run("evaluate", "--traces", demo_trace, "--predictor", tmp_path / "p").stdout
    assert "+ kept its start" in table


def test_recall_over_all_texts_is_what_numpy_counts(demo_trace, tmp_path):
    """The predictor's own ranks, scored by an independent count over every text."""
    train(demo_trace, "frequency", "next-token", tmp_path / "p")
    result = evaluate(demo_trace, "--predictor", tmp_path / "p", "--split", "all")
    texts = []
    for shard in manifest(demo_trace)["shards"]:
        for trace in pq.read_table(demo_trace / shard["file"]).to_pylist():
            texts.append(np.array(trace["experts"]).reshape(-1, LAYERS, TOP_K))
    with safe_open(tmp_path / "p" / "weights.safetensors", framework="np") as file:
        names = [n for n in file.keys() if n != "seen_texts"]
        scores = file.get_tensor(names[0]).reshape(LAYERS, EXPERTS)
        seen = len(file.get_tensor("seen_texts"))
    assert row(result, tmp_path / "p", "next-token")["learned_texts"] == seen == 108
    best = np.argsort(-scores, axis=-1, kind="stable")[:, :TOP_K]
    hits = total = 0
    for decisions in texts:
        hits += sum((decisions[:, layer, :, None] == best[layer]).sum() for layer in range(LAYERS))
        total += decisions.size
    assert row(result, tmp_path / "p", "next-token")["metrics"]["recall@2"]["mean"] == pytest.approx(hits / total)


@pytest.mark.parametrize("predictor", ["gate-adapter", "mlp"])
def test_trained_killed_and_run_again_gives_the_same_bits(demo_trace, quick, tmp_path, predictor):
    train(demo_trace, predictor, "layer-1", tmp_path / "whole", "--config", quick)
    command = [program(), "train", "--traces", str(demo_trace), "--predictor", predictor, "--lead", "layer-1",
               "--output", str(tmp_path / "killed"), "--config", str(quick)]
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    assert kill_when(checkpoint.exists, command)
    run(*command[1:])
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_adapter_starts_no_worse_than_the_gate(demo_trace, quick, tmp_path):
    train(demo_trace, "gate-adapter", "layer-1", tmp_path / "adapter", "--config", quick)
    result = evaluate(demo_trace, "--predictor", tmp_path / "adapter", "--predictor", "next-gate", "--lead", "layer-1")
    adapter = row(result, tmp_path / "adapter", "layer-1")["metrics"]["recall@2"]["mean"]
    assert adapter >= row(result, "next-gate", "layer-1")["metrics"]["recall@2"]["mean"] - 0.01


def test_a_sweep_trains_every_combination_and_orders_them(demo_trace, tmp_path):
    grid = tmp_path / "grid.json"
    grid.write_text(json.dumps({"steps": 20, "batch_tokens": 128, "learning_rate": [0.002, 0.0], "rank": [2, 4]}))
    asked = ["train", "--traces", demo_trace, "--predictor", "gate-adapter", "--lead", "layer-1", "--sweep", grid,
             "--output", tmp_path / "sweep"]
    lines = run(*asked).stdout.splitlines()
    assert "recall@2" in lines[0]
    names = [line.split()[0] for line in lines[1:]]
    assert sorted(names) == [f"learning_rate={rate},rank={rank}" for rate in ("0.0", "0.002") for rank in (2, 4)]
    again = json.loads(run(*asked, "--json").stdout)["sweep"]
    assert all(point["already_done"] for point in again)
    recalls = [point["validation"]["recall@2"] for point in again]
    assert recalls == sorted(recalls, reverse=True)
    best = tmp_path / "sweep" / names[0]
    assert json.loads((best / "config.json").read_text())["learning_rate"] == again[0]["settings"]["learning_rate"]
    evaluate(demo_trace, "--predictor", best)
    grid.write_text(json.dumps({"steps": 7, "batch_tokens": 128, "learning_rate": [0.002], "rank": [2]}))
    kept = (tmp_path / "sweep" / "learning_rate=0.002,rank=2" / "config.json")
    before = kept.read_text()
    fails(*asked, code=2, saying=["learning_rate=0.002,rank=2", "other settings"])
    assert kept.read_text() == before
    grid.write_text(json.dumps({"steps": 20, "batch_tokens": 128, "loss": ["bce", "listwise"]}))
    names = [line.split()[0] for line in run(*asked).stdout.splitlines()[1:]]
    assert sorted(names) == ["loss=bce", "loss=listwise"]
    for value in ["../../elsewhere", [1], {"a": 1}]:
        grid.write_text(json.dumps({"loss": [value]}))
        fails(*asked, code=2, saying=["grid.json", "'loss' is", "expected a number or a name"])
    grid.write_text(json.dumps({"loss": ["bce", "hinge"]}))
    fails(*asked, code=1, saying=["grid.json", "hinge", "gate-mass"])
    assert not (tmp_path / "sweep" / "loss=hinge").exists()
    grid.write_text(json.dumps({"rank": []}))
    fails(*asked, code=2, saying=["grid.json", "rank"])
    grid.write_text(json.dumps({"ranks": [1, 2]}))
    fails(*asked, code=2, saying=["ranks"])


def test_refusals(demo_trace, tmp_path):
    fails("train", "--traces", demo_trace, "--predictor", "oracle", "--lead", "layer-1", "--output", tmp_path / "p",
          code=2, saying=["oracle", "gate-adapter"])
    fails("train", "--traces", demo_trace, "--predictor", "token-table", "--lead", "layer-1", "--output",
          tmp_path / "p", code=2, saying=["token-table", "next-token"])
    fails("train", "--traces", demo_trace, "--predictor", "next-gate", "--lead", "layer-9", "--output", tmp_path / "p",
          code=2, saying=["layer-9", "8"])
    fails("train", "--traces", demo_trace, "--predictor", "frequency", "--lead", "tomorrow", "--output",
          tmp_path / "p", code=2, saying=["tomorrow", "next-token"])
    settings = tmp_path / "settings.json"
    settings.write_text('{"steps": 5}')
    fails("train", "--traces", demo_trace, "--predictor", "frequency", "--lead", "layer-1", "--config", settings,
          "--output", tmp_path / "p", code=2, saying=["settings.json", "steps", "leave out --config"])
    fails("train", "--live", "--traces", demo_trace, "--model", tmp_path, "--predictor", "frequency", "--lead", "layer-1",
          "--output", tmp_path / "p", code=2, saying=["--live", "--traces"])
    fails("evaluate", "--traces", demo_trace, "--predictor", tmp_path / "nothing", code=2,
          saying=["nothing", "frequency"])
    fails("evaluate", "--traces", tmp_path, code=1, saying=["manifest.json"])
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("settings, word", [('{"steps": "many"}', "steps"), ('{"stepz": 5}', "stepz"),
                                            ('{"steps": -1}', "steps"), ("{", "JSON"), ("[]", "object")])
def test_bad_settings(demo_trace, tmp_path, settings, word):
    (tmp_path / "c.json").write_text(settings)
    done = run("train", "--traces", demo_trace, "--predictor", "mlp", "--lead", "layer-1", "--output", tmp_path / "p",
               "--config", tmp_path / "c.json", check=False)
    assert done.returncode in (1, 2)
    assert word in done.stderr and "c.json" in done.stderr
    assert done.stderr.count("error:") == 1


def test_damaged_predictor(demo_trace, tmp_path):
    train(demo_trace, "token-table", "next-token", tmp_path / "p")
    weights = tmp_path / "p" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    fails("evaluate", "--traces", demo_trace, "--predictor", tmp_path / "p", code=1, saying=["weights.safetensors"])


def test_states_are_asked_for_where_they_are_missing(tmp_path):
    run("collect", "--model", MODEL, *demo_data(["film-reviews"]), "--traces", 30, "--output", tmp_path / "t")
    fails("train", "--traces", tmp_path / "t", "--predictor", "gate-adapter", "--lead", "layer-1", "--output",
          tmp_path / "p", code=1, saying=["--record features"])
    result = evaluate(tmp_path / "t")
    assert result["control"] is None
    assert collections.Counter(r["predictor"] for r in result["rows"])["next-gate"] == 0
