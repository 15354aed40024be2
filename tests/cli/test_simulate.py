"""simulate from outside: hits and times of real routing, what it prints, and what it refuses."""
import json
import math
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import fails, run, shared

LAYERS, EXPERTS, TOP_K = 8, 8, 2
EXPERT = "--expert-size", "1MB"
CARD = "--hardware", "rtx3090", *EXPERT


def simulate(trace, *more):
    return json.loads(run("simulate", "--traces", trace, "--json", *more).stdout)


def runs(result):
    return {(r["budget"], r["policy"], r["predictor"]): r for r in result["runs"]}


@pytest.fixture(scope="module")
def statistics(demo_trace, tmp_path_factory):
    output = tmp_path_factory.mktemp("predictors") / "statistics-1"
    run("train", "--traces", demo_trace, "--predictor", "statistics", "--lead", "layer-1", "--output", output)
    return output


@pytest.fixture(scope="module")
def v2_lite(tmp_path_factory):
    """12 prompts of DeepSeek-V2-Lite."""
    source = shared("traces", "deepseek-v2-lite")
    some = tmp_path_factory.mktemp("v2-lite")
    lines = (source / "requests.jsonl").read_text().splitlines()[:12]
    (some / "requests.jsonl").write_text("\n".join(lines) + "\n")
    for line in lines:
        name = json.loads(line)["routed_experts"]
        (some / name).symlink_to(source / name)
    run("import", "--format", "npy", some, "--output", some / "traces", "--experts", 64)
    return some / "traces"


def test_hits_are_those_of_the_trace(demo_trace):
    result = simulate(demo_trace, "--budget", "16,100%", "--policy", "lru,lfu,belady")
    tokens = 0
    for shard in demo_trace.glob("*.parquet"):
        tokens += sum(len(row) for row in pq.read_table(shard)["token_ids"].to_pylist())
    assert result["tokens"] == tokens and result["requests"] == tokens * LAYERS * TOP_K
    for cell in result["cells"]:
        assert cell["generated"]["hits"] == sum(cell["hits_by_layer"])
        if cell["budget"] == "100%":  # each expert is missing once
            assert cell["generated"]["misses"] == LAYERS * EXPERTS
    curve = result["hits_by_slots"]["lru"]
    assert len(curve) == LAYERS * EXPERTS + 1 and curve[0] == 0
    assert curve[16] == next(c["generated"]["hits"] for c in result["cells"] if c["policy"] == "lru" and c["slots"] == 16)
    assert min(c["misses_over_belady"] for c in result["cells"]) == 1


def test_table_is_narrow_and_complete(demo_trace):
    lines = run("simulate", "--traces", demo_trace).stdout.splitlines()
    assert "120 texts" in lines[0] and "8 layers x 8 experts" in lines[0]
    assert all(len(line) <= 100 for line in lines)
    for policy in ("lru", "lru-layer", "lru-token", "lfu", "lrfu-8", "least-stale", "static", "belady"):
        assert sum(line.split()[:1] == [policy] for line in lines) == 2  # hits, and beside Belady's
    lines = run("simulate", "--traces", demo_trace, *CARD, "--budget", "30%,50%", "--predictor", "oracle-2").stdout.splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert sum("oracle-2" in line for line in lines) == 8
    lines = run("simulate", "--traces", demo_trace, *CARD, "--budget", "50%", "--policy", "lrfu-32-layer", "--predictor",
                "stand-in:recall=0.8,precision=0.7,lead=2").stdout.splitlines()
    assert all(len(line) <= 100 for line in lines) and "lrfu-32-layer" in lines[0]


def test_time_is_bounded_by_its_parts(demo_trace):
    result = simulate(demo_trace, *CARD, "--budget", "40%", "--policy", "lru-token", "--predictor", "oracle-4", "--predictor",
                      "stand-in:recall=0,precision=0.5", "--predictor", "stand-in:recall=0.8,precision=0.8,lead=2")
    by_name = runs(result)
    on_demand = by_name["40%", "lru-token", None]
    for r in result["runs"]:
        seconds = r["seconds_per_token"]
        assert r["resident_seconds_per_token"] <= r["bound_seconds_per_token"] <= seconds["mean"]
        assert 0 < seconds["p50"] <= seconds["p95"] <= seconds["p99"]
        assert sum(r["generated"][k] for k in ("hits", "late", "misses")) == r["generated"]["requests"]
        assert math.isclose(r["tokens_per_second"], 1 / seconds["mean"])
    assert by_name["40%", "lru-token", "oracle-4"]["bytes"]["wasted"] == 0
    assert by_name["40%", "lru-token", "oracle-4"]["seconds"]["all"] <= on_demand["seconds"]["all"]
    blind = by_name["40%", "lru-token", "stand-in:recall=0,precision=0.5"]
    assert blind["bytes"]["wasted"] > blind["bytes"]["useful"]


def test_an_oracle_is_never_slower_on_real_routing(v2_lite):
    for budget in ("10%", "30%", "60%"):
        result = simulate(v2_lite, "--hardware", "rtx4090", "--expert-size", "4.6MB", "--budget", budget, "--policy",
                          "lru,lru-token,lrfu-8", "--predictor", "oracle-1", "--predictor", "oracle-4", "--threshold", 0)
        by_name = runs(result)
        for policy in ("lru", "lru-token", "lrfu-8"):
            on_demand = by_name[budget, policy, None]["seconds"]["all"]
            for name in ("oracle-1", "oracle-4"):
                assert by_name[budget, policy, name]["seconds"]["all"] <= on_demand, (budget, policy, name)


def test_a_link_without_cost_is_a_resident_model(v2_lite, tmp_path):
    profile = tmp_path / "card.json"
    run("simulate", "--traces", v2_lite, *CARD, "--budget", "50%", "--policy", "lru", "--texts", 1, "--save-hardware", profile)
    card = json.loads(profile.read_text())
    card["host_to_device"] = {"issue_seconds": 0, "points": [{"bytes": 1, "bytes_per_second": 1e18}]}
    profile.write_text(json.dumps(card))
    result = simulate(v2_lite, "--hardware", profile, *EXPERT, "--budget", "10%,100%", "--policy", "lru-token")
    few, all_there = result["runs"]
    assert few["generated"]["misses"] > 10 * all_there["generated"]["misses"]
    assert math.isclose(few["seconds"]["all"], few["seconds"]["compute"], rel_tol=1e-6)
    assert math.isclose(few["seconds"]["all"], all_there["seconds"]["all"], rel_tol=1e-6)


def test_trained_predictor(demo_trace, statistics):
    result = simulate(demo_trace, *CARD, "--budget", "40%", "--policy", "lrfu-8", "--predictor", statistics, "--threshold", 0.3)
    _, trained = result["runs"]
    assert trained["bytes"]["useful"] > trained["bytes"]["wasted"] > 0
    assert trained["generated"]["misses"] < result["runs"][0]["generated"]["misses"]
    everything = simulate(demo_trace, *CARD, "--budget", "40%", "--policy", "lrfu-8", "--split", "all")
    assert result["runs"][0]["generated"]["requests"] < everything["runs"][0]["generated"]["requests"]  # test texts alone


def test_what_a_predictor_saves_beside_its_recall(demo_trace, statistics):
    value = "--value", "rtx3090", "--expert-size", "1MB", "--cache", "40%"
    result = json.loads(run("evaluate", "--traces", demo_trace, "--predictor", statistics, *value, "--json").stdout)
    on_demand, oracle, trained = result["value"]
    assert [g["predictor"] for g in result["value"]] == [None, "oracle-4", str(statistics)]
    assert trained["lead"] == "layer-1" and 0 < trained["recall"] < 1 and oracle["recall"] is None
    assert on_demand["stall_saved"] == 0 and oracle["wasted_share"] == 0
    assert oracle["stall_saved"] > 0 and oracle["tokens_per_second"] > on_demand["tokens_per_second"]
    simulated = simulate(demo_trace, *CARD, "--budget", "40%", "--policy", "lrfu-8", "--predictor", statistics)["runs"][1]
    assert math.isclose(trained["tokens_per_second"], simulated["tokens_per_second"])
    text = run("evaluate", "--traces", demo_trace, "--predictor", statistics, "--predictor", "frequency", *value)
    assert "stall saved %" in text.stdout and "oracle-4" in text.stdout
    assert "frequency: not simulated" in text.stderr
    fails("evaluate", "--traces", demo_trace, "--value", "rtx3090", code=2, saying=["--expert-size"])
    fails("evaluate", "--traces", demo_trace, "--value", "voodoo2", "--expert-size", "1MB", code=2, saying=["voodoo2"])


def test_timeline_opens_in_perfetto(demo_trace, tmp_path):
    file = tmp_path / "timeline.json"
    run("simulate", "--traces", demo_trace, *CARD, "--budget", "40%", "--policy", "lru", "--predictor", "oracle-2", "--timeline", file)
    trace = json.loads(file.read_text())
    spans = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    lanes = {event["args"]["name"] for event in trace["traceEvents"] if event["ph"] == "M"}
    assert {"compute", "wait", "demand", "prefetch"} <= lanes
    assert all(event["dur"] > 0 and event["ts"] >= 0 for event in spans)
    by_lane = {}
    for event in spans:
        by_lane.setdefault(event["tid"], []).append(event)
    for events in by_lane.values():  # a lane does one thing at a time
        events.sort(key=lambda event: event["ts"])
        for before, after in zip(events, events[1:]):
            assert before["ts"] + before["dur"] <= after["ts"] + 1e-3


def test_fit_and_target(demo_trace):
    text = run("simulate", "--traces", demo_trace, *CARD, "--dense-size", "5MB", "--fit", "25MB").stdout
    assert "best in 25MB: 20 experts with " in text
    result = simulate(demo_trace, *CARD, "--target", "200tok/s", "--policy", "lru-token")
    reached = [r for r in result["runs"] if r["tokens_per_second"] >= 200]
    assert result["runs"][result["best"]] == min(reached, key=lambda r: r["slots"])
    text = run("simulate", "--traces", demo_trace, *CARD, "--target", "1000000tok/s", "--policy", "lru").stdout
    assert "no cache reaches 1000000tok/s" in text


def test_prompts_in_batches(demo_trace):
    result = simulate(demo_trace, *CARD, "--budget", "50%", "--policy", "lru", "--prompt-batch", 32)
    r = result["runs"][0]  # the demo's texts are prompts from end to end
    assert r["seconds_per_token"]["count"] == 0 and r["tokens_per_second"] is None
    assert r["seconds_to_first_token"]["count"] == 120
    assert r["prompt"]["requests"] > 0


def test_more_texts_at_a_time_hit_less(demo_trace):
    alone, together = (simulate(demo_trace, "--budget", "30%", "--policy", "lru", "--sequences", n)["cells"][0]["generated"]
                       for n in (1, 16))
    assert alone["requests"] == together["requests"] and alone["hits"] > together["hits"]


def test_tiers_and_second_pipe(demo_trace):
    plain = simulate(demo_trace, *CARD, "--budget", "40%", "--policy", "lru")["runs"][0]
    large = "--hardware", "rtx3090", "--expert-size", "17MB", "--budget", "40%", "--policy", "lru"
    link, cpu = simulate(demo_trace, *large)["runs"][0], simulate(demo_trace, *large, "--cpu-experts")["runs"][0]
    assert cpu["generated"]["misses_on_cpu"] > 0 and cpu["seconds"]["all"] < link["seconds"]["all"]
    disk = simulate(demo_trace, *CARD, "--budget", "40%", "--policy", "lru", "--host-memory", "30MB")["runs"][0]
    assert disk["storage_reads"] > 0 and disk["seconds"]["all"] > plain["seconds"]["all"]


def test_measured_host(demo_trace):
    result = simulate(demo_trace, *CARD, "--budget", "40%", "--policy", "lru", "--measure-host", "--texts", 2)
    assert 1e8 < result["hardware"]["host_bytes_per_second"] < 1e13
    assert "measured here" in result["hardware"]["source"]


def small_trace(directory, layers, tokens, experts=4):
    """One text of a model that chooses one expert."""
    directory.mkdir()
    array = np.arange(tokens * layers).reshape(tokens, layers, 1) % experts
    np.save(directory / "text.npy", array.astype(np.int16))
    (directory / "requests.jsonl").write_text(json.dumps({"request": 0, "routed_experts": "text.npy"}) + "\n")
    run("import", "--format", "npy", directory, "--output", directory / "traces", "--experts", experts)
    return directory / "traces"


@pytest.mark.parametrize("layers,tokens", [(1, 1), (1, 7), (3, 1)])
def test_small_traces(tmp_path, layers, tokens):
    trace = small_trace(tmp_path / "small", layers, tokens)
    result = simulate(trace, "--budget", "50%", "--policy", "lru,lru-token,lfu,lrfu-8,least-stale,belady")
    assert result["tokens"] == tokens
    for cell in result["cells"]:
        assert cell["generated"]["requests"] == tokens * layers
    timed = simulate(trace, *CARD, "--budget", "50%", "--predictor", "oracle-1")
    assert all(r["tokens_per_second"] > 0 for r in timed["runs"])


def test_refusals(demo_trace, tmp_path):
    def refuse(*arguments, saying, code=2):
        fails("simulate", "--traces", demo_trace, *arguments, code=code, saying=saying)

    refuse("--budget", "1", "--policy", "lru", saying=["1 expert", "below what one layer needs", "at least 2"])
    refuse("--budget", "10", "--policy", "lru-layer", saying=["2 in each of 8 layers", "at least 16"])
    refuse("--budget", "0%", saying=["--budget 0%"])
    refuse("--budget", "many", saying=["--budget"])
    refuse("--budget", "1GB", saying=["how large an expert is"])
    refuse("--policy", "clock", saying=["clock", "lru-token"])
    refuse("--hardware", "rtx3090", saying=["--expert-size"])
    if shutil.which("nvidia-smi") is None:
        refuse("--hardware", "measure", *EXPERT, saying=["needs a GPU"], code=1)
    refuse("--hardware", "voodoo2", *EXPERT, saying=["voodoo2", "rtx3090"])
    refuse(*CARD, "--policy", "belady", saying=["belady", "no time"])
    refuse(*CARD, "--predictor", "oracle-0", saying=["oracle-0"])
    refuse(*CARD, "--predictor", "stand-in:recall=2", saying=["recall=2"])
    refuse(*CARD, "--predictor", tmp_path / "nowhere", saying=["nowhere"], code=1)
    refuse("--cold", "--sequences", 2, saying=["take turns"])
    refuse(*CARD, "--fit", "1kB", saying=["--fit 1kB"])
    refuse(*CARD, "--target", "soon", saying=["soon"])
    fails("simulate", "--traces", tmp_path, code=1, saying=["manifest.json"])


def test_empty_trace(tmp_path, demo_trace):
    """A finished trace without a text."""
    manifest = json.loads((demo_trace / "manifest.json").read_text())
    manifest.update(shards=[])
    for dataset in manifest["datasets"]:
        dataset["traces"] = 0
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    fails("simulate", "--traces", tmp_path, code=1, saying=["holds no tokens"])
