"""Quantised weights: collecting with them against the same model stored dense, and their files."""
import json
import os
import resource

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import quantized_models
from conftest import MODEL, contents, demo_data, fails, manifest, run
from quantized_models import copy_model, dequantized_model, gptq_models, load_model

METHODS = {"int8": quantized_models.int8, "nf4": quantized_models.nf4}


def collect(model, output, *more, traces=24, **options):
    return run("collect", "--model", model, *demo_data(), "--traces", traces, "--record", "logits", "--output", output,
               *more, **options)


def rows(output):
    return [row for shard in manifest(output)["shards"] for row in pq.read_table(output / shard["file"]).to_pylist()]


def assert_same_routing(actual, expected):
    """Float32 routing from the same values: the same decisions, the same logits."""
    actual, expected = rows(actual), rows(expected)
    assert len(actual) == len(expected) > 0
    for a, b in zip(actual, expected):
        assert a == b


@pytest.mark.parametrize("kind", METHODS)
def test_equals_the_same_model_stored_dense(tmp_path, kind):
    dense = dequantized_model(MODEL, tmp_path / "dense", METHODS[kind])
    collect(dense, tmp_path / "expected", "--quantize", "none")
    collect(MODEL, tmp_path / "actual", "--quantize", kind)
    assert_same_routing(tmp_path / "actual", tmp_path / "expected")
    assert manifest(tmp_path / "actual")["quantization"] == kind
    collect(MODEL, tmp_path / "plain")
    assert manifest(tmp_path / "plain")["quantization"] == "none"
    assert rows(tmp_path / "plain") != rows(tmp_path / "actual")


@pytest.mark.parametrize("kind", METHODS)
def test_in_bfloat16(tmp_path, kind):
    dense = dequantized_model(MODEL, tmp_path / "dense", METHODS[kind])
    collect(dense, tmp_path / "expected", "--dtype", "bfloat16", "--quantize", "none")
    collect(MODEL, tmp_path / "actual", "--dtype", "bfloat16", "--quantize", kind)
    assert_same_routing(tmp_path / "actual", tmp_path / "expected")


@pytest.mark.parametrize("options", [
    {}, {"act_order": True}, {"group_size": -1}, {"bits": 8, "group_size": 16}, {"checkpoint_format": "gptq_v2"},
    {"with_biases": True}], ids=lambda options: "-".join(map(str, options)) or "as-published")
def test_gptq_equals_the_same_model_stored_dense(tmp_path, options):
    packed, dense = gptq_models(MODEL, tmp_path, **options)
    collect(packed, tmp_path / "actual")
    collect(dense, tmp_path / "expected")
    assert_same_routing(tmp_path / "actual", tmp_path / "expected")


@pytest.mark.parametrize("stored, label, bits", [("gptq_v2", "gptq", 4), ("gptq", "gptq_v2", 4), ("gptq_v2", "gptq", 8)])
def test_zeros_of_symmetric_gptq_are_read_for_what_they_are(tmp_path, stored, label, bits):
    """vllm#38966: writers that store zeros as they are and say checkpoint_format gptq."""
    packed, dense = gptq_models(MODEL, tmp_path, bits=bits, symmetric=True, checkpoint_format=stored, label=label)
    done = collect(packed, tmp_path / "actual")
    warnings = [line for line in done.stderr.splitlines() if "checkpoint_format" in line]
    assert len(warnings) == 1 and "qzeros" in warnings[0] and stored in warnings[0], done.stderr
    collect(dense, tmp_path / "expected")
    assert_same_routing(tmp_path / "actual", tmp_path / "expected")


def test_gptq_can_be_quantized_again(tmp_path):
    packed, dense = gptq_models(MODEL, tmp_path)
    collect(packed, tmp_path / "actual", "--quantize", "int8")
    collect(dense, tmp_path / "expected", "--quantize", "int8")
    assert_same_routing(tmp_path / "actual", tmp_path / "expected")


def gptq_with(folder, change):
    packed, _ = gptq_models(MODEL, folder)
    tensors = load_model(packed)
    config = json.loads((packed / "config.json").read_text())["quantization_config"]
    change(tensors, config)
    return copy_model(MODEL, folder / "changed", tensors, config)


PROJECTION = "model.layers.0.self_attn.o_proj"


@pytest.mark.parametrize("change, saying", [
    (lambda t, c: c.update(bits=5), ["config.json", "bits", "5", "2, 3, 4 or 8"]),
    (lambda t, c: c.update(quant_method="quip"), ["config.json", "quip", "gptq"]),
    (lambda t, c: c.update(checkpoint_format="marlin"), ["config.json", "checkpoint_format", "marlin"]),
    (lambda t, c: c.update(group_size=16), ["wrong shape", "qzeros", "[2, 8]"]),
    (lambda t, c: t.pop(PROJECTION + ".scales"), ["missing", PROJECTION + ".scales"]),
    (lambda t, c: t.update({PROJECTION + ".bias": torch.ones(64)}), ["unexpected", PROJECTION + ".bias"]),
    (lambda t, c: t.update({PROJECTION + ".g_idx": torch.full((64,), 2, dtype=torch.int32)}),
     [PROJECTION + ".g_idx[0] is 2", "[0, 1]"]),
    (lambda t, c: c.update(sym=True), ["qzeros holds a zero point of", "expected 8", '"sym": true']),
    (lambda t, c: c.update(bits=8), ["wrong shape", "qweight"]),
    (lambda t, c: t.update({PROJECTION + ".g_idx": torch.zeros(64, dtype=torch.int32)}),
     [PROJECTION + ".g_idx puts 64 inputs into group 0", "expected 32", "group_size"]),
    (lambda t, c: [c.update(desc_act=True), t.pop(PROJECTION + ".g_idx")], ["missing", PROJECTION + ".g_idx"]),
    (lambda t, c: c.clear(), ["missing", "qweight", "no quantization_config"]),
], ids=["bits", "method", "format", "group", "missing", "bias", "g_idx", "sym", "packed bits", "g_idx of zeros",
        "act order", "no label"])
def test_wrong_gptq_checkpoints(tmp_path, change, saying):
    model = gptq_with(tmp_path, change)
    fails("collect", "--model", model, *demo_data(), "--traces", 6, "--output", tmp_path / "t", code=1, saying=saying)


def test_weights_that_are_not_finite(tmp_path):
    tensors = load_model(MODEL)
    name = "model.layers.2.mlp.experts.3.up_proj.weight"
    tensors[name][5, 5] = float("nan")
    model = copy_model(MODEL, tmp_path / "model", tensors)
    fails("collect", "--model", model, *demo_data(), "--traces", 6, "--quantize", "nf4", "--output", tmp_path / "t",
          code=1, saying=[name, "not finite", "nf4"])


def test_resuming_with_other_quantization_is_refused(tmp_path):
    collect(MODEL, tmp_path / "t", "--quantize", "int8")
    before = contents(tmp_path / "t")
    fails("collect", "--model", MODEL, *demo_data(), "--traces", 24, "--record", "logits", "--quantize", "nf4",
          "--output", tmp_path / "t", code=2, saying=["quantization", "int8", "nf4"])
    assert contents(tmp_path / "t") == before


def test_unknown_quantization(tmp_path):
    done = run("collect", "--model", MODEL, *demo_data(), "--quantize", "int3", "--output", tmp_path / "t", check=False)
    assert done.returncode == 2 and "int8" in done.stderr


@pytest.mark.parametrize("kind", METHODS)
def test_saved_model_is_the_quantized_one(tmp_path, kind):
    saved = tmp_path / "saved"
    collect(MODEL, tmp_path / "expected", "--quantize", kind)
    first = collect(MODEL, tmp_path / "saving", "--quantize", kind, "--save-quantized", saved)
    assert "saved the quantised weights" in first.stderr
    assert contents(tmp_path / "saving") == contents(tmp_path / "expected")
    kept = contents(saved)
    assert sorted(kept) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert kept["tokenizer.json"] == (MODEL / "tokenizer.json").read_bytes()
    assert not list(tmp_path.glob("*.tmp"))

    again = collect(MODEL, tmp_path / "again", "--quantize", kind, "--save-quantized", saved)
    assert "reading the quantised weights" in again.stderr
    assert contents(saved) == kept
    assert contents(tmp_path / "again") == contents(tmp_path / "expected")

    # As a model of its own it keeps its quantisation without being told.
    collect(saved, tmp_path / "loaded")
    assert manifest(tmp_path / "loaded")["quantization"] == kind
    assert rows(tmp_path / "loaded") == rows(tmp_path / "expected")
    shown = json.loads(run("inspect", saved, "--json").stdout)
    assert shown["weights"] == kind
    assert json.loads(run("inspect", MODEL, "--json").stdout)["weights"] == "dense"


def test_saved_file_holds_what_the_documentation_says(tmp_path):
    saved = {}
    for kind in METHODS:
        collect(MODEL, tmp_path / kind, "--quantize", kind, "--save-quantized", tmp_path / f"saved-{kind}", traces=6)
        saved[kind] = load_model(tmp_path / f"saved-{kind}")
    for name, tensor in load_model(MODEL).items():
        if not quantized_models.is_projection(name):
            assert torch.equal(saved["int8"][name], tensor) and torch.equal(saved["nf4"][name], tensor)
            continue
        weight = tensor.float().numpy()
        codes, scale = saved["int8"][name], saved["int8"][name + ".scale"]
        assert codes.dtype == torch.int8 and codes.shape == tensor.shape and scale.shape == tensor.shape[:1]
        assert np.array_equal(codes.float().numpy() * scale.numpy()[:, None], quantized_models.int8(weight))
        packed, absmax = saved["nf4"][name].numpy(), saved["nf4"][name + ".absmax"].numpy()
        assert packed.dtype == np.uint8 and packed.shape == (len(weight), (weight.shape[1] + 1) // 2)
        values = quantized_models.NF4[np.stack([packed >> 4, packed & 15], -1).reshape(len(weight), -1)]
        values = values[:, :weight.shape[1]] * np.repeat(absmax, 64, axis=1)[:, :weight.shape[1]]
        assert np.array_equal(values, quantized_models.nf4(weight))


def test_saving_over_something_else_is_refused(tmp_path):
    def refused(folder, *more, saying):
        fails("collect", "--model", MODEL, *demo_data(), "--traces", 6, "--output", tmp_path / "t",
              "--save-quantized", folder, *more, code=2, saying=saying)

    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("mine")
    refused(tmp_path / "texts", "--quantize", "int8", saying=["texts", "something else"])
    refused(MODEL, "--quantize", "int8", saying=["did not quantise"])
    collect(MODEL, tmp_path / "first", "--quantize", "int8", "--save-quantized", tmp_path / "saved", traces=6)
    refused(tmp_path / "saved", "--quantize", "nf4", saying=["int8", "nf4"])
    other = copy_model(MODEL, tmp_path / "other", load_model(MODEL))
    fails("collect", "--model", other, *demo_data(), "--traces", 6, "--output", tmp_path / "t", "--quantize", "int8",
          "--save-quantized", tmp_path / "saved", code=2, saying=["another model"])
    refused(tmp_path / "new", "--quantize", "none", saying=["--save-quantized needs --quantize int8 or nf4"])
    assert not (tmp_path / "new").exists() and (tmp_path / "texts" / "a.txt").read_text() == "mine"


def test_damaged_saved_model(tmp_path):
    collect(MODEL, tmp_path / "first", "--quantize", "nf4", "--save-quantized", tmp_path / "saved", traces=6)
    tensors = load_model(tmp_path / "saved")
    name = "model.layers.0.self_attn.q_proj.weight"
    tensors[name + ".absmax"] = tensors[name + ".absmax"].half()
    config = json.loads((tmp_path / "saved" / "config.json").read_text())["quantization_config"]
    model = copy_model(MODEL, tmp_path / "damaged", tensors, config)
    fails("collect", "--model", model, *demo_data(), "--traces", 6, "--output", tmp_path / "t", code=1,
          saying=[name + ".absmax", "F16", "F32"])


def sizing_line(done):
    lines = [line for line in done.stderr.splitlines() if "of memory may be used on cpu" in line]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_sizes_are_chosen_to_fit(tmp_path):
    """The embedded model takes some 10 MB in float32, of which the embedding 1 MB."""
    roomy = sizing_line(collect(MODEL, tmp_path / "roomy", "--max-memory", "2GB", traces=6))
    assert "quantisation none" in roomy and "4,096 tokens" in roomy and "2.0 GB" in roomy
    needs = float(roomy.split("weights ")[1].split(" MB")[0])
    tight = sizing_line(collect(MODEL, tmp_path / "tight", "--max-memory", f"{needs}MB", "--max-length", 64, traces=6))
    assert "quantisation int8" in tight
    assert manifest(tmp_path / "tight")["quantization"] == "int8"
    fails("collect", "--model", MODEL, *demo_data(), "--output", tmp_path / "t", "--max-memory", "1MB", code=1,
          saying=["does not fit", "1.0 MB", "float32", "int8", "nf4"])
    fails("collect", "--model", MODEL, *demo_data(), "--output", tmp_path / "t", "--max-memory", f"{needs}MB",
          "--max-length", 64, "--quantize", "none", code=1, saying=["--quantize int8 fits"])
    fails("collect", "--model", MODEL, *demo_data(), "--output", tmp_path / "t", "--max-memory", "much", code=2,
          saying=["--max-memory", "much", "8GB"])


def test_resuming_keeps_what_was_chosen(tmp_path):
    """The memory that is free when a run goes on does not change how it goes on."""
    collect(MODEL, tmp_path / "t", "--batch-tokens", 1000, "--quantize", "int8")
    done = collect(MODEL, tmp_path / "t")
    assert "complete already" in done.stdout and "1,000 tokens" in sizing_line(done)


def wide_model(folder):
    """A dense layer so wide (0.2 MB a token) that the forward pass takes the most memory of all, and an MoE layer."""
    hidden, wide, tensors = 64, 16384, load_model(MODEL)
    kept = {name: tensor for name, tensor in tensors.items()
            if ".layers." not in name or ".layers.0." in name and ".mlp." not in name}
    for name, tensor in tensors.items():
        if ".layers.2." in name:  # the first MoE layer
            kept[name.replace(".layers.2.", ".layers.1.")] = tensor
    generator = torch.Generator().manual_seed(1)
    for name, shape in {"gate": (wide, hidden), "up": (wide, hidden), "down": (hidden, wide)}.items():
        weight = torch.randn(shape, generator=generator) * 0.02
        kept[f"model.layers.0.mlp.{name}_proj.weight"] = weight.bfloat16()
    model = copy_model(MODEL, folder, kept)
    config = json.loads((model / "config.json").read_text())
    config.update(num_hidden_layers=2, decoder_sparse_step=2, intermediate_size=wide)
    (model / "config.json").write_text(json.dumps(config))
    return model


def test_out_of_memory_halves_the_batch(tmp_path):
    """In the smallest address space that a run survives, its large batches do not fit: it halves them and goes on."""
    texts = tmp_path / "long.txt"
    texts.write_text("".join(f"number {i} " + "of many words in a long line " * 300 + "\n" for i in range(8)))
    command = ["--model", wide_model(tmp_path / "model"), "--data", f"long={texts}", "--traces", 8]
    run("collect", *command, "--batch-tokens", 512, "--output", tmp_path / "expected")

    def within(megabytes):
        limit = (megabytes << 20, megabytes << 20)
        output = tmp_path / f"within-{megabytes}"
        done = run("collect", *command, "--batch-tokens", 4096, "--output", output, check=False,
                   env={**os.environ, "OMP_NUM_THREADS": "2"},
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit))
        return done, output

    too_small, enough = 400, 6400
    while enough - too_small > 32:
        middle = (too_small + enough) // 2
        if within(middle)[0].returncode == 0:
            enough = middle
        else:
            too_small = middle
    # Reading and writing need room of their own, which is not the same twice; the batch as asked needs 0.8 GB more.
    done, output = within(enough + 192)
    assert done.returncode == 0 and "out of memory with" in done.stderr and "going on with" in done.stderr, done.stderr
    assert manifest(output)["batch_tokens"] == 4096
    actual, expected = rows(output), rows(tmp_path / "expected")
    assert [row["token_ids"] for row in actual] == [row["token_ids"] for row in expected]
    same = np.mean([np.mean(np.array(a["experts"]) == np.array(e["experts"])) for a, e in zip(actual, expected)])
    assert same > 0.999
