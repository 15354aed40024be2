"""Models in GGUF files: collected, generated with and inspected as the checkpoints they were made of, or refused in one
line."""
import json
import shutil
import sys

import pyarrow
import pyarrow.parquet as pq
import pytest

from conftest import MODEL, ROOT, TEXTS, contents, fails, manifest, run

gguf = pytest.importorskip("gguf")
sys.path.insert(0, str(ROOT / "tests/support"))
from make_gguf import add_keys, finish, write_gguf  # noqa: E402

DATA = ["--data", f"news={TEXTS / 'news-briefs.csv'}", "--traces", 9, "--max-length", 40, "--shard-traces", 4]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The embedded model in Q8_0, and its weights as they are then, in one folder."""
    folder = tmp_path_factory.mktemp("gguf")
    write_gguf(MODEL, folder / "demo.gguf", "Q8_0", pre="qwen2", dequantised=folder / "plain",
               keys=lambda writer: writer.add_eos_token_id(0))
    return folder


@pytest.fixture(scope="module")
def trace(demo, tmp_path_factory):
    output = tmp_path_factory.mktemp("trace") / "traces"
    run("collect", "--model", demo / "demo.gguf", *DATA, "--record", "features", "--output", output)
    return output


def shards(directory):
    """What the shards hold, but for the model's name in the tables' metadata."""
    files = {name: data for name, data in contents(directory).items() if name.startswith("part-")}
    tables = {name: pq.read_table(pyarrow.BufferReader(data)).replace_schema_metadata().to_pylist()
              for name, data in files.items() if name.endswith(".parquet")}
    return files | tables


def test_collect_records_what_the_dequantised_weights_route(demo, trace, tmp_path):
    run("collect", "--model", demo / "plain", *DATA, "--record", "features", "--output", tmp_path / "plain")
    assert len(shards(trace)) == 6
    assert shards(trace) == shards(tmp_path / "plain")
    written = manifest(trace)
    assert written["model"] == "demo.gguf" and written["model_type"] == "qwen2_moe"
    assert [file["file"] for file in written["weights"]] == ["demo.gguf"]


def test_predictors_learn_from_it(trace, demo, tmp_path):
    run("train", "--traces", trace, "--predictor", "next-gate", "--lead", "layer-1", "--output", tmp_path / "p")
    assert run("evaluate", "--traces", trace, "--predictor", tmp_path / "p").stdout


def test_a_run_goes_on_with_the_same_file_only(demo, tmp_path):
    model = tmp_path / "demo.gguf"
    shutil.copy(demo / "demo.gguf", model)
    options = ["collect", "--model", model, *DATA[:2], "--max-length", 24, "--output", tmp_path / "t"]
    run(*options, "--traces", 4)
    run(*options, "--traces", 8)
    data = bytearray(model.read_bytes())
    reader = gguf.GGUFReader(model)
    router = next(t for t in reader.tensors if t.name.endswith("ffn_gate_inp.weight"))
    data[router.data_offset] ^= 1
    model.write_bytes(data)
    fails(*options, "--traces", 12, code=1, saying=["demo.gguf has other content"])
    write_gguf(MODEL, model, "Q8_0", pre="qwen2", keys=lambda writer: writer.add_eos_token_id(1))
    fails(*options, "--traces", 12, code=1, saying=["header of the model's file has changed"])


def test_generate(demo, tmp_path):
    prompt = ["--prompt", "The train to the coast was late", "-n", 8, "--json", "--logprobs", 2]
    ours = json.loads(run("generate", "--model", demo / "demo.gguf", *prompt).stdout)
    expected = json.loads(run("generate", "--model", demo / "plain", *prompt).stdout)
    assert ours["results"] == expected["results"]
    assert len(ours["results"][0]["ids"]) == 8


def test_inspect(demo):
    said = json.loads(run("inspect", demo / "demo.gguf", "--json").stdout)
    expected = json.loads(run("inspect", MODEL, "--json").stdout)
    for key in ("kind", "model_type", "geometry", "parameters", "longest_text"):
        assert said[key] == expected[key]
    assert said["weights"].startswith("gguf: ") and "Q8_0" in said["weights"] and "F32" in said["weights"]
    assert said["weight_files"] == {"here": 1, "missing": 0, "bytes": (demo / "demo.gguf").stat().st_size}
    assert said["tokenizer"]["vocabulary"] == 4096


def test_inspect_of_a_vocabulary(tmp_path):
    from make_gguf import add_tokenizer
    writer = gguf.GGUFWriter(tmp_path / "vocab.gguf", "qwen2")
    add_tokenizer(writer, json.loads((MODEL / "tokenizer.json").read_text()), "qwen2", 4100)
    finish(writer)
    said = json.loads(run("inspect", tmp_path / "vocab.gguf", "--json").stdout)
    assert said["kind"] == "tokenizer" and said["vocabulary"] == 4096


def test_two_parts_are_one_model(demo, tmp_path):
    """Split at a tensor by the package's own writer."""
    tensors = len(gguf.GGUFReader(demo / "demo.gguf").tensors)

    class Splitting(gguf.GGUFWriter):
        def __init__(self, path, arch):
            super().__init__(path, arch, split_max_tensors=tensors // 2 + 1)

    import make_gguf
    original, make_gguf.gguf.GGUFWriter = make_gguf.gguf.GGUFWriter, Splitting
    try:
        write_gguf(MODEL, tmp_path / "demo.gguf", "Q8_0", pre="qwen2")
    finally:
        make_gguf.gguf.GGUFWriter = original
    parts = sorted(path.name for path in tmp_path.glob("*.gguf"))
    assert parts == ["demo-00001-of-00002.gguf", "demo-00002-of-00002.gguf"]
    collect = ["collect", "--model", tmp_path / parts[0], *DATA, "--record", "features"]
    run(*collect, "--output", tmp_path / "t")
    run("collect", "--model", demo / "plain", *DATA, "--record", "features", "--output", tmp_path / "plain")
    assert shards(tmp_path / "t") == shards(tmp_path / "plain")
    assert [file["file"] for file in manifest(tmp_path / "t")["weights"]] == parts
    (tmp_path / parts[1]).unlink()
    fails(*collect, "--output", tmp_path / "t2", code=1, saying=[parts[1], "is missing"])


def refused(model, tmp_path, *saying, code=1):
    fails("collect", "--model", model, *DATA, "--output", tmp_path / "t", code=code, saying=saying)
    assert not (tmp_path / "t").exists() or not list((tmp_path / "t").iterdir())


def test_what_cannot_be_read_is_refused_in_one_line(demo, tmp_path):
    whole = (demo / "demo.gguf").read_bytes()
    bad = tmp_path / "bad.gguf"
    for size in (3, 20, 4000, len(whole) // 2, len(whole) - 1000):
        bad.write_bytes(whole[:size])
        refused(bad, tmp_path, "bad.gguf")
    bad.write_bytes(whole[:len(whole) // 2])
    refused(bad, tmp_path, "truncated", "download it again")
    bad.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1234567\n")
    refused(bad, tmp_path, "Git LFS pointer", "1,234,567 bytes")
    refused(tmp_path / "none.gguf", tmp_path, "none.gguf")


def test_what_is_not_supported_is_named(demo, tmp_path):
    model = tmp_path / "m.gguf"

    def write(architecture="qwen2moe", kind=gguf.GGMLQuantizationType.F32, without=None):
        class Without(gguf.GGUFWriter):
            def add_key_value(self, key, *arguments, **options):
                if key != without:
                    super().add_key_value(key, *arguments, **options)
        import numpy as np
        from make_gguf import add_tokenizer
        writer = Without(model, architecture)
        config = json.loads((MODEL / "config.json").read_text())
        add_tokenizer(writer, json.loads((MODEL / "tokenizer.json").read_text()), "qwen2", 4096)
        add_keys(writer, config)
        rows = np.zeros((4096, gguf.quant_shape_to_byte_shape((4096, 256), kind)[1]), np.uint8)
        writer.add_tensor("token_embd.weight", rows.view(np.float32) if kind == 0 else rows, raw_dtype=kind)
        finish(writer)

    write(architecture="gemma3")
    refused(model, tmp_path, 'general.architecture is "gemma3"', "qwen2moe")
    write(kind=gguf.GGMLQuantizationType.IQ2_XS)
    refused(model, tmp_path, "token_embd.weight", "IQ2_XS", "Q4_K")
    write(without="qwen2moe.expert_used_count")
    refused(model, tmp_path, "no key qwen2moe.expert_used_count")
    write()
    refused(model, tmp_path, "m.gguf")


def test_it_is_quantised_already(demo, tmp_path):
    fails("collect", "--model", demo / "demo.gguf", *DATA, "--quantize", "int8", "--save-quantized", tmp_path / "q",
          "--output", tmp_path / "t", code=2, saying=["demo.gguf", "saved quantised"])
