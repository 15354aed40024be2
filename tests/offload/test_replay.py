"""The replay against a second one in Python, on random and on real routing, and against libCacheSim."""
import json
import os
import pathlib
import random
import subprocess

import numpy as np
import pytest

import replay_reference

SHARED = pathlib.Path(os.environ.get("FOREGATE_SHARED", "../shared"))
POLICIES = ["lru", "lru-layer", "lru-token", "lru-token-layer", "lfu", "lfu-layer", "lrfu-0.5", "lrfu-8", "lrfu-32-layer",
            "least-stale", "least-stale-layer", "static", "static-layer", "belady", "belady-layer", "belady-demand",
            "belady-demand-layer"]


def dump(case):
    run = subprocess.run([os.environ["FOREGATE_DUMP_REPLAY"]], input=json.dumps(case), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def case_of(texts, layers, experts, top_k, slots, **settings):
    case = dict(layers=layers, experts=experts, top_k=top_k, texts=[list(map(int, text)) for text in texts],
                prompt_tokens=[len(text) // (layers * top_k) for text in texts], slots=slots, policies=POLICIES,
                sequences=1, cold=False, prompt_batch=0, threads=2)
    case.update(settings)
    return case


def random_texts(seed, layers, experts, top_k, lengths):
    """Decisions that lean on the token before, as real ones do."""
    rng = random.Random(seed)
    texts = []
    for length in lengths:
        text, before = [], {}
        for _ in range(length):
            for layer in range(layers):
                chosen = [e for e in before.get(layer, []) if rng.random() < 0.4]
                while len(chosen) < top_k:
                    expert = int(experts * rng.random() ** 2)
                    if expert not in chosen:
                        chosen.append(expert)
                rng.shuffle(chosen)
                before[layer] = chosen
                text += chosen
        texts.append(text)
    return texts


def assert_equal(case):
    ours = dump(case)
    expected = replay_reference.replay(case)
    assert len(ours["cells"]) == len(expected)
    compared = 0
    for cell in ours["cells"]:
        if cell["impossible"]:
            assert "below what one layer needs" in cell["impossible"]
            continue
        key = cell["policy"], cell["slots"]
        found = cell["generated"]["hits"], cell["prompt"]["hits"], cell["hits_by_layer"]
        assert found == expected[key], key
        compared += 1
    assert compared >= len(case["policies"])
    for policy, curve in ours.get("curves", {}).items():
        assert all(a <= b for a, b in zip(curve, curve[1:]))  # a larger LRU cache never hits less
        for slots in case["slots"]:
            if (policy, slots) in expected and slots >= case["top_k"] * (case["layers"] if "layer" in policy else 1):
                assert curve[slots] == sum(expected[policy, slots][2])
    return ours


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("settings", [
    {}, {"cold": True}, {"sequences": 3}, {"prompt_batch": 4}, {"prompt_batch": 64, "sequences": 2},
    {"prompt_batch": 3, "cold": True}], ids=str)
def test_random_routing(seed, settings):
    layers, experts, top_k = [(3, 8, 2), (1, 12, 3), (5, 6, 1), (2, 16, 4), (4, 7, 2), (6, 10, 2)][seed]
    lengths = [[9, 1, 20, 14], [30], [1, 1], [25, 0, 31, 4], [12, 13, 14, 15, 16], [40, 2]][seed]
    texts = random_texts(seed, layers, experts, top_k, lengths)
    slots = sorted({top_k, top_k * layers, layers * experts // 2, layers * experts - 1, layers * experts})
    policies = [p for p in POLICIES if len(texts) > 1 or not p.startswith("static")]
    prompts = [len(text) // (layers * top_k) // 2 for text in texts]
    assert_equal(case_of(texts, layers, experts, top_k, slots, policies=policies, prompt_tokens=prompts, **settings))


def test_deepseek_v2_lite():
    files = sorted((SHARED / "traces/deepseek-v2-lite").glob("*.npy"))[:2]
    if not files:
        pytest.skip(f"no traces in {SHARED}")
    texts = [np.load(file)[:14].reshape(-1) for file in files]
    result = assert_equal(case_of(texts, 26, 64, 6, [83, 166, 499]))
    rates = {(c["policy"], c["slots"]): c["generated"]["hits"] / c["generated"]["requests"] for c in result["cells"]
             if not c["impossible"]}
    assert rates["lru", 83] == 0  # below one token's experts a global LRU cache forgets everything in time
    assert rates["lru-token", 83] > 0.05
    assert max(rates, key=rates.get) == ("belady", 499)


def test_gpt_oss():
    file = SHARED / "traces/gpt-oss-20b/gpqa_main.experts.npy"
    if not file.exists():
        pytest.skip(f"no traces in {SHARED}")
    experts = np.load(file)
    texts = [experts[:25].reshape(-1), experts[434:460].reshape(-1)]
    assert_equal(case_of(texts, 24, 32, 4, [96, 231], sequences=2))


# Of libCacheSim a request is one object of one byte. A model of one layer that chooses one expert asks likewise.


def single_requests(seed):
    rng = random.Random(seed)
    return [int(200 * rng.random() ** 3) for _ in range(5000)]


def real_requests():
    files = sorted((SHARED / "traces/deepseek-v2-lite").glob("*.npy"))[:2]
    if not files:
        pytest.skip(f"no traces in {SHARED}")
    rows = np.concatenate([np.load(file)[:150].astype(np.int64) for file in files])
    return (rows + 64 * np.arange(26)[None, :, None]).reshape(-1).tolist()


@pytest.mark.parametrize("requests,objects", [(single_requests, 200), (real_requests, 26 * 64)], ids=["random", "real"])
def test_libcachesim(requests, objects):
    libcachesim = pytest.importorskip("libcachesim", reason="libcachesim is not installed (requirements-test.txt)")
    ids = requests(7) if requests is single_requests else requests()
    upcoming, next_uses = {}, [0] * len(ids)
    for i in reversed(range(len(ids))):
        next_uses[i] = upcoming.get(ids[i], (1 << 63) - 1)
        upcoming[ids[i]] = i
    slots = [objects // 20, objects // 5, objects // 2, objects * 4 // 5]
    policies = {"lru": libcachesim.LRU, "lfu": libcachesim.LFU, "belady-demand": libcachesim.Belady}
    ours = dump(case_of([ids], 1, objects, 1, slots, policies=list(policies)))
    for cell in ours["cells"]:
        cache = policies[cell["policy"]](cell["slots"])
        hits = 0
        for i, expert in enumerate(ids):
            request = libcachesim.Request()
            request.obj_id, request.obj_size, request.clock_time = expert + 1, 1, i
            request.next_access_vtime = next_uses[i]
            hits += cache.get(request)
        assert cell["generated"] == {"requests": len(ids), "hits": hits}, cell["policy"]
