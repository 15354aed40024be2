"""generate --offload: the texts and logits of experts at hand, and the counts of simulate."""
import json

import pytest

from conftest import MODEL, demo_data, fails, run

LAYERS, EXPERTS, TOP_K = 8, 8, 2
PROMPT = "The harbour was quiet before dawn, and the gulls"


def document(*arguments):
    return json.loads(run("generate", "--model", MODEL, "--json", *arguments).stdout)


def offloaded(*arguments, cache="40%"):
    return document("--offload", "ram", "--cache-memory", cache, *arguments)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    path.write_text("A stone bridge\nWhy\nThe river below the mill was\nOnce\nShe said\nIn the valley of\n")
    return path


@pytest.fixture(scope="module")
def predictors(tmp_path_factory, demo_trace):
    made = []
    for lead in ("next-token", "layer-1"):
        output = tmp_path_factory.mktemp("predictors") / lead
        run("train", "--traces", demo_trace, "--predictor", "statistics", "--lead", lead, "--output", output)
        made.append(output)
    return made


@pytest.fixture(scope="module")
def resident(prompts):
    return document("--prompts", prompts, "-n", 24)


@pytest.mark.parametrize("options", [
    ["--policy", "lru"],
    ["--policy", "least-stale", "--dtype", "bfloat16", "--quantize", "nf4"],
    ["--policy", "lrfu-32-layer", "--temperature", 0.9, "--seed", 5, "--batch", 3],
])
def test_check_finds_the_same_tokens_and_bits(options, prompts):
    result = offloaded("--prompts", prompts, "-n", 24, "--check", *options)
    assert result["check"] == {"texts": 6, "steps": result["steps"], "identical": True}


def test_results_are_those_of_experts_at_hand(prompts, resident, predictors):
    foresee = [word for directory in predictors for word in ("--predictor", directory)]
    for cache in ("2", "10%", "50%", "100%", "300kB"):
        for more in ([], [*foresee, "--prefetch", "on"], foresee):
            result = offloaded("--prompts", prompts, "-n", 24, *more, cache=cache)
            assert result["results"] == resident["results"], (cache, more)


@pytest.mark.parametrize("policy", ["lru", "lru-layer", "lru-token", "lfu", "lrfu-8", "lrfu-32-layer", "least-stale"])
def test_counts_are_those_of_simulate(policy, prompts, tmp_path):
    """One text at a time, prompts at once: what a step asks for is then what the trace has, and so are hits and misses."""
    for budget in ("10%", "30%", "40"):
        if policy.endswith("-layer") and budget == "10%":
            continue  # below one layer's need
        traces = tmp_path / f"traces-{budget.strip('%')}"
        ran = offloaded("--prompts", prompts, "-n", 40, "--batch", 1, "--policy", policy, "--record", traces,
                        cache=budget)["offload"]
        replayed = json.loads(run("simulate", "--traces", traces, "--json", "--budget", budget, "--policy", policy,
                                  "--prompt-batch", 512).stdout)
        (cell,) = replayed["cells"]
        assert ran["slots"] == cell["slots"]
        for part in ("generated", "prompt"):
            for count in ("requests", "hits", "misses"):
                assert ran[part][count] == cell[part][count], (budget, part, count)
        assert ran["hits_by_layer"] == cell["hits_by_layer"]
        assert ran["late_by_layer"] == [0] * LAYERS
        assert ran["bytes"]["demand"] == sum(ran["misses_by_layer"]) * ran["expert_bytes"]
        assert ran["bytes"]["prefetch"] == ran["bytes"]["wasted"] == 0


def test_prefetching_brings_what_is_foreseen(prompts, predictors):
    foresee = [word for directory in predictors for word in ("--predictor", directory)]
    options = ["--prompts", prompts, "-n", 40, "--batch", 1]
    plain = offloaded(*options)["offload"]
    ahead = offloaded(*options, *foresee, "--prefetch", "on", "--check")
    assert ahead["check"]["identical"]
    ahead = ahead["offload"]
    assert plain["prefetching"] == {"mode": "off", "steps": 0, "foreseen": 0, "precision": None, "recall": None}
    told = ahead["prefetching"]
    assert told["mode"] == "on" and told["steps"] == 6 * 39 and told["foreseen"] > 0
    assert 0.3 < told["precision"] <= 1 and 0 < told["recall"] <= 1
    assert ahead["generated"]["requests"] == plain["generated"]["requests"] == 6 * 39 * LAYERS * TOP_K
    assert ahead["generated"]["misses"] < plain["generated"]["misses"]
    bytes_ = ahead["bytes"]
    assert 0 < bytes_["useful"] and bytes_["useful"] + bytes_["wasted"] <= bytes_["prefetch"] + ahead["cache_bytes"]


def test_a_static_cache_keeps_what_is_used_most(prompts, demo_trace, resident):
    result = offloaded("--prompts", prompts, "-n", 24, "--policy", "static", "--usage", demo_trace, cache="50%")
    assert result["results"] == resident["results"]
    assert result["offload"]["generated"]["hits"] > 0
    repeat = offloaded("--prompts", prompts, "-n", 24, "--policy", "static", "--usage", demo_trace, cache="100%")
    assert repeat["offload"]["generated"]["misses"] == repeat["offload"]["prompt"]["misses"] == 0


def test_json_tells_of_memory(prompts):
    result = offloaded("--prompts", prompts, "-n", 4, cache="30%")["offload"]
    assert result["policy"] == "lrfu-8" and result["slots"] == LAYERS * EXPERTS * 3 // 10
    assert result["cache_bytes"] == result["slots"] * result["expert_bytes"]
    assert result["host_bytes"] == LAYERS * EXPERTS * result["expert_bytes"]
    halved = offloaded("--prompts", prompts, "-n", 4, "--dtype", "bfloat16", cache="30%")["offload"]
    assert 2 * halved["expert_bytes"] == result["expert_bytes"]


def test_timeline_is_a_chrome_trace(predictors, tmp_path):
    offloaded("--prompt", PROMPT, "-n", 12, "--predictor", predictors[0], "--prefetch", "on", "--timeline",
              tmp_path / "timeline.json")
    events = json.loads((tmp_path / "timeline.json").read_text())["traceEvents"]
    lanes = {event["args"]["name"]: event["tid"] for event in events if event["ph"] == "M"}
    spans = [event for event in events if event["ph"] == "X"]
    for lane in ("compute", "demand", "prefetch"):
        assert any(span["tid"] == lanes[lane] for span in spans), lane
    assert all(span["ts"] >= 0 and span["dur"] >= 0 for span in spans)
    assert {span["args"]["step"] for span in spans if span["tid"] == lanes["compute"]} == set(range(12))


@pytest.mark.parametrize("options, saying", [
    (["--cache-memory", "40%"], ["--cache-memory", "--offload ram"]),
    (["--offload", "ram"], ["--cache-memory"]),
    (["--check"], ["--check", "--offload ram"]),
    (["--offload", "ram", "--cache-memory", "1"], ["below what one layer needs", "at least 2"]),
    (["--offload", "ram", "--cache-memory", "1kB"], ["below what one layer needs"]),
    (["--offload", "ram", "--cache-memory", "much"], ["--cache-memory"]),
    (["--offload", "ram", "--cache-memory", "40%", "--policy", "belady"], ["belady", "simulate"]),
    (["--offload", "ram", "--cache-memory", "40%", "--policy", "static"], ["--usage"]),
    (["--offload", "ram", "--cache-memory", "40%", "--policy", "first"], ["no cache policy"]),
    (["--offload", "ram", "--cache-memory", "40%", "--prefetch", "on"], ["--predictor"]),
])
def test_what_cannot_be_meant_is_refused(options, saying):
    fails("generate", "--model", MODEL, "--prompt", PROMPT, "-n", 2, *options, code=2, saying=saying)


def test_predictors_of_hidden_states_are_refused(demo_trace, tmp_path):
    run("train", "--traces", demo_trace, "--predictor", "next-gate", "--lead", "layer-1", "--output", tmp_path / "gate")
    fails("generate", "--model", MODEL, "--prompt", PROMPT, "-n", 2, "--offload", "ram", "--cache-memory", "40%",
          "--predictor", tmp_path / "gate", code=1, saying=["hidden states"])
