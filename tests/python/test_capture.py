"""Capture from transformers: the decisions of `foregate collect`, also under generate(), and what is refused."""
import shutil

import numpy as np
import pytest

import foregate as fg
from conftest import MODEL, ROOT, program

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from layout_reader import read_safetensors  # noqa: E402
from random_models import LIVE, write_model  # noqa: E402

# A router of every kind: softmax, softmax normalised, sigmoid with groups and a choice bias, softmax of the chosen, ...
KINDS = ["mixtral", "qwen3", "olmoe", "deepseek_v3", "deepseek_v2-groups", "glm4_moe", "gpt_oss", "granitemoe", "phimoe",
         "minimax_m2", "ernie4_5_moe"]
CSV = ROOT / "examples/demo/texts/film-reviews.csv"


def load(folder):
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def checkpoint(name, folder):
    """A small random model of an architecture, with the embedded model's tokenizer."""
    config, fused = LIVE[name]
    write_model(folder, config | {"vocab_size": 4096, "max_position_embeddings": 512}, torch.float32, fused, 1, seed=7)
    shutil.copy(MODEL / "tokenizer.json", folder)
    return folder


def batch_of(texts, left=False):
    """Padded ids and mask; padding is an ordinary token, so that only the mask tells."""
    width = max(len(ids) for ids in texts)
    ids, mask = np.full((len(texts), width), 9), np.zeros((len(texts), width), np.int64)
    for row, text in enumerate(texts):
        place = slice(width - len(text), None) if left else slice(0, len(text))
        ids[row, place], mask[row, place] = text, 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


def run(model, batch, path, **settings):
    with torch.no_grad(), fg.capture.transformers(model, path, **settings) as capture:
        model(**batch)
    return capture


def same(found, expected):
    """All decisions, in their ranks; gate weights but for rounding to binary16."""
    assert found.token_ids.tolist() == expected.token_ids.tolist()
    assert (found.experts == expected.experts).all()
    np.testing.assert_allclose(found.gate_weights.astype(np.float32), expected.gate_weights.astype(np.float32), atol=2e-3,
                               rtol=2e-3)


@pytest.fixture(scope="module")
def demo():
    return load(MODEL)


@pytest.mark.parametrize("name", ["demo", *KINDS])
def test_decisions_are_those_of_collect(name, tmp_path, demo):
    folder = MODEL if name == "demo" else checkpoint(name, tmp_path / "model")
    program("collect", "--model", folder, "--data", f"film={CSV}", "--traces", 5, "--max-length", 64, "--output",
            tmp_path / "collected", "--record", "logits")
    collected = fg.open(tmp_path / "collected")
    model = demo if name == "demo" else load(folder)
    run(model, batch_of([t.token_ids for t in collected]), tmp_path / "captured", dataset="film", logits=True)
    captured = fg.open(tmp_path / "captured")
    assert captured.geometry == collected.geometry and captured.manifest["dtype"] == "float32"
    assert captured.manifest["config_sha256"] == collected.manifest["config_sha256"]
    assert captured.manifest["tokenizer_sha256"] == collected.manifest["tokenizer_sha256"]
    assert captured.manifest["model_type"] == collected.manifest["model_type"]
    assert len(captured) == len(collected) == 5
    for found, expected in zip(captured, collected):
        same(found, expected)
        np.testing.assert_allclose(found.router_logits.astype(np.float32), expected.router_logits.astype(np.float32),
                                   atol=1e-2, rtol=1e-2)
    program("inspect", tmp_path / "captured")


@pytest.mark.parametrize("name", ["demo", "mixtral", "deepseek_v3", "gpt_oss"])
def test_generation_is_one_text_after_another(name, tmp_path, demo):
    """Prompts of different lengths, padded on the left, decoded with a cache: the routing of each whole text by itself."""
    model = demo if name == "demo" else load(checkpoint(name, tmp_path / "model"))
    prompts = [[5, 6, 7], list(range(20, 31)), [400] * 2]
    stop = 11
    settings = {"max_new_tokens": 9, "do_sample": False, "pad_token_id": 9}
    with torch.no_grad():
        free = model.generate(**batch_of(prompts, left=True), **settings, eos_token_id=None)
        stop = int(free[1, -5])  # something that the second text says on its way
        with fg.capture.transformers(model, tmp_path / "t", stop_ids=[stop]) as capture:
            ids = model.generate(**batch_of(prompts, left=True), **settings, eos_token_id=stop)
            assert capture.num_traces == 0
        assert capture.num_traces == 3
    captured = fg.open(tmp_path / "t")
    width = max(map(len, prompts))
    wanted = []
    for row, prompt in enumerate(prompts):
        said = ids[row, width:].tolist()
        said = said[: said.index(stop)] if stop in said else said[:-1]
        wanted.append(prompt + said)
    assert [t.token_ids.tolist() for t in captured] == wanted
    assert [t.prompt_tokens for t in captured] == [len(p) for p in prompts] and len(wanted[1]) < len(prompts[1]) + 8
    for row, text in enumerate(wanted):
        run(model, {"input_ids": torch.tensor([text])}, tmp_path / f"whole-{row}")
        same(captured[row], fg.open(tmp_path / f"whole-{row}")[0])


@pytest.mark.parametrize("name", ["demo", "mixtral", "deepseek_v3", "gpt_oss"])
def test_states_are_those_of_collect(name, tmp_path, demo):
    """The same texts are chosen, the states are equal but for rounding, and evaluations find every decision in them."""
    folder = MODEL if name == "demo" else checkpoint(name, tmp_path / "model")
    program("collect", "--model", folder, "--data", f"film={CSV}", "--traces", 12, "--max-length", 48, "--output",
            tmp_path / "collected", "--record", "features:0.6")
    collected = fg.open(tmp_path / "collected")
    model = demo if name == "demo" else load(folder)
    texts = [t.token_ids for t in collected]
    with torch.no_grad(), fg.capture.transformers(model, tmp_path / "captured", dataset="film", states=0.6,
                                                  shard_traces=5) as capture:
        for first in range(0, 12, 4):
            capture.name_texts(samples=[t.sample for t in collected[first:first + 4]])
            model(**batch_of(texts[first:first + 4], left=first == 4))
    assert capture.states_left_out == 0
    captured = fg.open(tmp_path / "captured")
    assert captured.manifest["router"] == collected.manifest["router"]
    assert captured.manifest["routers_sha256"] and captured.manifest["feature_fraction"] == 0.6
    found, expected = states_of(tmp_path / "captured"), states_of(tmp_path / "collected")
    assert found.keys() == expected.keys() and 0 < len(found) < 12
    for text, (inputs, residual) in found.items():
        np.testing.assert_allclose(inputs, expected[text][0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(residual, expected[text][1], rtol=2e-2, atol=1e-2)
    routers, theirs = (read_safetensors(tmp_path / d / "routers.safetensors") for d in ("captured", "collected"))
    assert routers.keys() == theirs.keys()
    for key, values in routers.items():
        np.testing.assert_array_equal(values, theirs[key])
    evaluated = program("evaluate", "--traces", tmp_path / "captured", "--predictor", "next-gate", "--split", "all")
    assert "own router 100%" in evaluated


def states_of(directory):
    """Router inputs and residual [n, L, H] in float32, by (dataset, sample)."""
    states, first = {}, 0
    traces = fg.open(directory)
    for shard in traces.manifest["shards"]:
        if "features" in shard:
            tensors = read_safetensors(directory / shard["features"])
            residual = (tensors["residual"].astype(np.uint32) << 16).view(np.float32)
            for row, begin, end in zip(tensors["rows"], tensors["offsets"], tensors["offsets"][1:]):
                text = traces[first + int(row)]
                states[text.dataset, text.sample] = (tensors["router_inputs"][begin:end], residual[begin:end])
        first += shard["rows"]
    return states


def test_states_want_a_router_in_float32(tmp_path):
    model = transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.bfloat16).eval()
    with torch.no_grad(), pytest.raises(fg.UnsupportedError, match="load it with dtype=torch.float32"):
        with fg.capture.transformers(model, tmp_path / "t", states=0.5):
            model(input_ids=torch.tensor([list(range(10, 300))]))
    with pytest.raises(fg.UsageError, match="expected a share of the texts"):
        fg.capture.transformers(model, tmp_path / "t", states=2)


def test_low_precision_and_numbering(tmp_path, demo):
    """bfloat16 has many equal weights; texts are numbered on, or by name, also when a trace is added to."""
    model = transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.bfloat16).eval()
    texts = [list(range(10, 60)), list(range(200, 230))]
    with torch.no_grad(), fg.capture.transformers(model, tmp_path / "t", dataset="a") as capture:
        model(**batch_of(texts))
        capture.name_texts(samples=[70, 71])
        model(**batch_of(texts))
        capture.name_texts(dataset="b")
        model(**batch_of(texts[:1]))
        assert capture.num_traces == 4 and "4 traces" in repr(capture)
    with torch.no_grad(), fg.capture.transformers(model, tmp_path / "t", dataset="a", append=True) as capture:
        model(**batch_of(texts[:1]))
    traces = fg.open(tmp_path / "t")
    assert [(t.dataset, t.sample) for t in traces] == [("a", 0), ("a", 1), ("a", 70), ("a", 71), ("b", 0), ("a", 72)]
    assert traces.manifest["dtype"] == "bfloat16"
    with pytest.raises(fg.UsageError, match="holds a finished trace of 6 texts"):
        fg.capture.transformers(model, tmp_path / "t")


def test_embeddings_and_chunks(tmp_path, demo):
    ids = torch.tensor([list(range(10, 40))])
    embeddings = demo.get_input_embeddings()(ids)
    with torch.no_grad(), fg.capture.transformers(demo, tmp_path / "t") as capture:
        demo(inputs_embeds=embeddings)
        capture.end_texts(input_ids=ids)
        cache = demo(input_ids=ids[:, :20]).past_key_values  # a prompt in two parts
        demo(input_ids=ids[:, 20:], past_key_values=cache)
    whole, parts = fg.open(tmp_path / "t")
    same(whole, parts)
    assert parts.prompt_tokens == 30
    with pytest.raises(fg.UsageError, match="embeddings, not ids"), torch.no_grad():
        with fg.capture.transformers(demo, tmp_path / "e"):
            demo(inputs_embeds=embeddings)


def test_hooks_are_gone_afterwards(tmp_path, demo):
    run(demo, {"input_ids": torch.tensor([[1, 2]])}, tmp_path / "t")
    with pytest.raises(RuntimeError), fg.capture.transformers(demo, tmp_path / "u"):
        raise RuntimeError
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in demo.modules())
    assert not (tmp_path / "u/manifest.json").exists()


def test_what_cannot_be_told_apart_is_refused(tmp_path, demo):
    ids = torch.tensor([list(range(10, 30))])
    place = iter(range(100))

    def refused(error, saying, action):
        with torch.no_grad(), pytest.raises(error, match=saying), fg.capture.transformers(
                demo, tmp_path / str(next(place))) as capture:
            action(capture)

    with torch.no_grad():
        cache = demo(input_ids=ids).past_key_values
    refused(fg.UsageError, "the cache holds 20 tokens a row, and 0 of 0 rows",
            lambda c: demo(input_ids=ids[:, :1], past_key_values=cache))
    refused(fg.UnsupportedError, "reorder", lambda c: demo.generate(ids, num_beams=2, max_new_tokens=4, do_sample=False))
    refused(fg.UnsupportedError, "texts are packed",
            lambda c: demo(input_ids=ids, position_ids=torch.cat([torch.arange(10), torch.arange(10)])[None]))
    refused(fg.UnsupportedError, "does not say which tokens are padding",
            lambda c: demo(input_ids=ids, attention_mask=torch.zeros(1, 1, 20, 20)))
    refused(fg.UsageError, "2 samples were named, and 1 texts begin",
            lambda c: (c.name_texts(samples=[1, 2]), demo(input_ids=ids)))
    with pytest.raises(fg.UnsupportedError, match="expected a Mixture-of-Experts model"):
        dense = transformers.LlamaConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=9,
                                         intermediate_size=8)
        fg.capture.transformers(transformers.LlamaForCausalLM(dense), tmp_path / "dense")
    with pytest.raises(fg.UnsupportedError, match="encoder-decoder"):
        switch = transformers.SwitchTransformersConfig(d_model=8, d_ff=8, num_layers=1, num_heads=1, vocab_size=9, d_kv=8)
        fg.capture.transformers(transformers.SwitchTransformersForConditionalGeneration(switch), tmp_path / "switch")
    assert not [p for p in tmp_path.rglob("*.parquet")]
