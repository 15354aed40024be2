"""What vLLM, SGLang and Megatron-LM hand over, by their documented shapes: the engines themselves are not run here."""
import base64
import json
from types import SimpleNamespace

import numpy as np
import pytest

import foregate as fg
from conftest import program

SETTINGS = {"model": "m", "num_experts": 16}


def routing(n, seed=0, layers=3):
    """[n, layers, 4] of 16 experts; decoder layer 0 is dense."""
    rows = np.argsort(np.random.default_rng(seed).random((n, layers, 16)), -1)[..., :4].astype(np.int16)
    rows[:, 0] = 0
    return rows


def request(prompt, generated, rows, **more):
    completion = SimpleNamespace(token_ids=generated, routed_experts=rows)
    return SimpleNamespace(prompt_token_ids=prompt, outputs=[completion], **more)


def response(rows, generated, **info):
    packed = base64.b64encode(rows.astype("<i4").tobytes()).decode()
    return {"output_ids": generated, "meta_info": {"routed_experts": packed, **info}}


def test_vllm(tmp_path):
    whole, short = routing(10, 1), routing(6, 2)
    apart = request([1, 2, 3], [4, 5], routing(1, 3), prompt_routed_experts=routing(3, 4))
    outputs = [request(list(range(7)), [7, 8, 9], whole), request([5] * 5, [6, 7], short), apart, request([1], [2], None)]
    taken = fg.capture.from_vllm(outputs, tmp_path / "t", **SETTINGS)
    assert (taken.texts, taken.tokens, taken.aborted, taken.last_tokens) == (3, 20, 1, 2) and taken.moe_layers == [1, 2]
    assert "1 requests without routing" in str(taken) and "2 last tokens" in str(taken)
    traces = fg.open(tmp_path / "t")
    assert traces.geometry.moe_layers == [1, 2] and traces.geometry.num_decoder_layers == 3
    assert [t.token_ids.tolist() for t in traces] == [list(range(10)), [5] * 5 + [6], [1, 2, 3, 4]]
    assert [t.prompt_tokens for t in traces] == [7, 5, 3] and traces[0].gate_weights is None
    np.testing.assert_array_equal(traces[1].experts, short[:, 1:])
    # The same as the program imports.
    lines = [{"prompt_token_ids": r.prompt_token_ids, "token_ids": r.outputs[0].token_ids,
              "routed_experts": r.outputs[0].routed_experts.tolist()} for r in outputs[:2]]
    (tmp_path / "routing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    program("import", "--format", "vllm", tmp_path / "routing.jsonl", "--output", tmp_path / "imported", "--experts", 16)
    imported = fg.open(tmp_path / "imported")
    assert imported.geometry.moe_layers == [1, 2]
    for ours, theirs in zip(traces, imported):
        assert ours.token_ids.tolist() == theirs.token_ids.tolist() and ours.prompt_tokens == theirs.prompt_tokens
        np.testing.assert_array_equal(ours.experts, theirs.experts)


def test_sglang(tmp_path):
    whole, late = routing(9, 1), routing(4, 2)
    responses = [response(whole, [7, 8, 9]), response(late, [8, 9], routed_experts_start_len=3), {"output_ids": [], "meta_info": {}}]
    taken = fg.capture.from_sglang(responses, tmp_path / "t", top_k=4, input_ids=[list(range(7)), [1, 2, 3, 4, 5, 6], [1]],
                                   **SETTINGS)
    assert (taken.texts, taken.tokens, taken.aborted, taken.last_tokens) == (2, 13, 1, 2)
    first, second = fg.open(tmp_path / "t")
    np.testing.assert_array_equal(first.experts, whole[:, 1:])
    assert second.token_ids.tolist() == [4, 5, 6, 8] and second.prompt_tokens == 3
    with pytest.raises(fg.UsageError, match="response 0 has no input_ids"):
        fg.capture.from_sglang(responses, tmp_path / "u", top_k=4, **SETTINGS)
    with pytest.raises(fg.DataError, match="no 9 or 10 rows of 4 experts"):
        fg.capture.from_sglang([response(whole[:-2], [7, 8, 9]), ], tmp_path / "u", top_k=4, input_ids=[list(range(7))], **SETTINGS)
    broken = {"output_ids": [1], "meta_info": {"routed_experts": "?"}, "input_ids": [1, 2]}
    with pytest.raises(fg.DataError, match="no base64 of int32"):
        fg.capture.from_sglang([broken], tmp_path / "u", top_k=4, **SETTINGS)


def test_a_prefix_cache(tmp_path):
    rows = routing(20, 1)
    rows[:8] = 0
    taken = fg.capture.from_vllm([request(list(range(15)), list(range(15, 21)), rows)], tmp_path / "t", **SETTINGS)
    (t,) = fg.open(tmp_path / "t")
    assert taken.cached_tokens == 8 and t.token_ids.tolist() == list(range(8, 20)) and t.prompt_tokens == 7


def changed(rows, place, value):
    rows = rows.copy()
    rows[place] = value
    return rows


@pytest.mark.parametrize("rows, saying", [
    (np.zeros((20, 3, 4), np.int16), "the engine recorded nothing"),
    (np.full((20, 3, 4), -1), "the engine recorded nothing"),
    (np.tile(routing(1), (20, 1, 1)), "all 20 tokens are routed alike"),
    (routing(19), r"19 rows of routing for 15 tokens of the prompt and 6 generated; expected 20 .* or 21"),
    (routing(22), "22 rows of routing"),
    (changed(routing(20), (4, 1, 2), 16), r"token 4, decoder layer 1 names experts .*; expected 0 to 15"),
    (changed(routing(20), (4, 1, 2), -1), "expected 0 to 15"),
    (changed(routing(20), (9, slice(None)), 0), "token 9 has no routing between others"),
    (changed(routing(20), (3, 2), [5, 6, 5, 7]), r"token 3, decoder layer 2 names experts \[5, 6, 5, 7\]; expected different ones"),
    (routing(20)[:, :, 0], r"routed_experts is \[20, 3\]"),
    (routing(20) + 0.5, "expected integers"),
])
def test_what_cannot_be_meant_is_refused(tmp_path, rows, saying):
    good = request(list(range(15)), list(range(15, 21)), routing(20, 5))
    bad = request(list(range(15)), list(range(15, 21)), rows)
    outputs = [bad] if "recorded nothing" in saying else [good, bad]
    with pytest.raises((fg.DataError, fg.UsageError), match=saying):
        fg.capture.from_vllm(outputs, tmp_path / "t", **SETTINGS)
    assert not list(tmp_path.rglob("*.parquet"))


def test_objects_of_something_else(tmp_path):
    with pytest.raises(fg.DataError, match="a int has no prompt_token_ids"):
        fg.capture.from_vllm([1], tmp_path / "t", **SETTINGS)
    with pytest.raises(fg.UsageError, match="nothing with routing"):
        fg.capture.from_vllm([], tmp_path / "t", **SETTINGS)
    mixed = [request([1], [2, 3], routing(3)), request([1], [2, 3], routing(3, layers=4))]
    with pytest.raises(fg.DataError, match="different shapes"):
        fg.capture.from_vllm(mixed, tmp_path / "t", **SETTINGS)


def test_megatron(tmp_path):
    lines = []
    for step in range(3):
        rows = routing(20, step)
        for layer in (1, 2):
            lines.append({"step": step, "stage": "pre_dispatch", "block": "decoder", "layer": layer, "rank": 0,
                          "num_tokens": 20, "topk": 4, "top_indices": np.sort(rows[:, layer]).tolist()})
        lines.append({"step": step, "block": "mtp", "layer": 0, "top_indices": [[0]]})
    file = tmp_path / "router_trace_rank0.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    taken = fg.capture.from_megatron(file, tmp_path / "t", **SETTINGS)
    program("import", "--format", "megatron", file, "--output", tmp_path / "imported", "--experts", 16)
    ours, theirs = fg.open(tmp_path / "t"), fg.open(tmp_path / "imported")
    assert taken.texts == len(ours) == len(theirs) == 3 and ours.geometry.moe_layers == theirs.geometry.moe_layers == [1, 2]
    for a, b in zip(ours, theirs):
        np.testing.assert_array_equal(a.experts, b.experts)
    assert ours.manifest["token_ids"] == theirs.manifest["token_ids"] == "unique"
    file.write_text(json.dumps(lines[0]) + "\n{\n")
    with pytest.raises(fg.DataError, match="line 2: not valid JSON"):
        fg.capture.from_megatron(file, tmp_path / "u", **SETTINGS)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines[:4]))
    with pytest.raises(fg.DataError, match=r"line 4: the pass that begins here has layers \[1\]; expected \[1, 2\]"):
        fg.capture.from_megatron(file, tmp_path / "u", **SETTINGS)
