"""Bad input ends in one clear line and the right exit code, and leaves nothing half-written."""
import json
import os
import shutil
import struct
import subprocess

import pytest

from conftest import MODEL, TEXTS, demo_data, fails, program, run, shared


@pytest.fixture
def model(tmp_path):
    """A copy of the embedded model to break."""
    target = tmp_path / "model"
    shutil.copytree(MODEL, target)
    return target


def collect_with(model, tmp_path, *more):
    return ("collect", "--model", model, *demo_data(["news-briefs"]), "--traces", 5, "--output", tmp_path / "out", *more)


def nothing_half_written(tmp_path):
    out = tmp_path / "out"
    assert not out.exists() or not [p for p in out.iterdir() if p.name.startswith("part-")]


def header_of(path):
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + size]), data[8 + size:]


def write_safetensors(path, header, body):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def break_truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])
    return ["model.safetensors"]


def break_overlap(path):
    header, body = header_of(path)
    names = [n for n in header if n != "__metadata__"]
    first, second = sorted(names, key=lambda n: header[n]["data_offsets"])[:2]
    size = header[second]["data_offsets"][1] - header[second]["data_offsets"][0]
    begin = header[first]["data_offsets"][0]
    header[second]["data_offsets"] = [begin, begin + size]
    write_safetensors(path, header, body)
    return ["model.safetensors"]


def break_header_size(path):
    path.write_bytes(struct.pack("<Q", 1 << 40) + path.read_bytes()[8:])
    return ["model.safetensors", "header"]


def break_header_json(path):
    data = bytearray(path.read_bytes())
    data[8:12] = b"oops"
    path.write_bytes(bytes(data))
    return ["model.safetensors", "JSON"]


def break_dtype(path):
    header, body = header_of(path)
    header["model.norm.weight"]["dtype"] = "I64"
    write_safetensors(path, header, body)
    return ["model.safetensors", "model.norm.weight"]


def break_unknown_dtype(path):
    header, body = header_of(path)
    header["model.norm.weight"]["dtype"] = "Q7"
    write_safetensors(path, header, body)
    return ["model.safetensors", "model.norm.weight", "Q7"]


def break_missing_tensor(path):
    header, body = header_of(path)
    header["model.layers.2.mlp.gate.other"] = header.pop("model.layers.2.mlp.gate.weight")
    write_safetensors(path, header, body)
    return ["model.layers.2.mlp.gate.weight", "missing"]


def break_shape(path):
    header, body = header_of(path)
    header["model.layers.2.mlp.gate.weight"]["shape"] = [64, 8]
    write_safetensors(path, header, body)
    return ["model.layers.2.mlp.gate.weight", "64"]


def break_empty(path):
    path.write_bytes(b"")
    return ["model.safetensors"]


@pytest.mark.parametrize("break_file", [
    break_truncated, break_overlap, break_header_size, break_header_json, break_dtype, break_unknown_dtype,
    break_missing_tensor, break_shape, break_empty], ids=lambda f: f.__name__)
def test_broken_safetensors(model, tmp_path, break_file):
    saying = break_file(model / "model.safetensors")
    fails(*collect_with(model, tmp_path), code=1, saying=saying)
    nothing_half_written(tmp_path)


@pytest.mark.parametrize("change, saying", [
    ({"hidden_size": None}, ["config.json", "hidden_size"]),
    ({"num_experts": "eight"}, ["config.json", "num_experts", "eight"]),
    ({"model_type": "gpt2"}, ["config.json", "model_type", "gpt2", "qwen2_moe"]),
    ({"hidden_act": "gelu"}, ["config.json", "hidden_act", "gelu", "silu"]),
    ({"num_experts_per_tok": 9}, ["config.json", "num_experts_per_tok", "9"]),
    ({"num_key_value_heads": 3}, ["config.json", "num_key_value_heads", "3"]),
], ids=lambda v: next(iter(v)) if isinstance(v, dict) else "")
def test_broken_config(model, tmp_path, change, saying):
    config = json.loads((model / "config.json").read_text())
    for key, value in change.items():
        config.pop(key) if value is None else config.update({key: value})
    (model / "config.json").write_text(json.dumps(config))
    fails(*collect_with(model, tmp_path), code=1, saying=saying)
    nothing_half_written(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_missing_model_file(model, tmp_path, name):
    (model / name).unlink()
    fails(*collect_with(model, tmp_path), code=1, saying=[name.split(".")[0]])
    nothing_half_written(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_broken_json(model, tmp_path, name):
    text = (model / name).read_text()
    (model / name).write_text(text[: len(text) // 2])
    fails(*collect_with(model, tmp_path), code=1, saying=[name, "JSON", "ends too early"])


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 5453296\n"


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_git_lfs_pointer_in_a_models_place(model, tmp_path, name):
    (model / name).write_text(POINTER)
    fails(*collect_with(model, tmp_path), code=1,
          saying=[f"{model / name} is a Git LFS pointer (132 bytes), not the file of 5,453,296 bytes", "git lfs pull"])
    nothing_half_written(tmp_path)


@pytest.mark.parametrize("name", ["manifest.json", "part-00001.parquet"])
def test_git_lfs_pointer_in_a_traces_place(demo_trace, tmp_path, name):
    broken = tmp_path / "trace"
    shutil.copytree(demo_trace, broken)
    (broken / name).write_text(POINTER)
    fails("evaluate", "--traces", broken, "--predictor", "frequency", code=1, saying=[name, "Git LFS pointer", "git lfs pull"])


def test_missing_model_directory(tmp_path):
    fails(*collect_with(tmp_path / "nowhere", tmp_path), code=1, saying=["nowhere", "config.json"])


def collect_data(tmp_path, data):
    return ("collect", "--model", MODEL, "--data", data, "--traces", 5, "--output", tmp_path / "out")


def test_missing_text_file(tmp_path):
    fails(*collect_data(tmp_path, "a=/no/such.csv"), code=1, saying=["/no/such.csv"])


def test_empty_dataset(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    fails(*collect_data(tmp_path, f"a={tmp_path}/empty.csv"), code=1, saying=["empty.csv"])
    (tmp_path / "header.csv").write_text("text,label\n")
    fails(*collect_data(tmp_path, f"a={tmp_path}/header.csv"), code=1, saying=["header.csv"])


def test_unknown_column(tmp_path):
    fails(*collect_data(tmp_path, f"a={TEXTS}/film-reviews.csv:body"), code=1, saying=["body", "text", "label"])


def test_what_a_table_holds_is_said(tmp_path):
    (tmp_path / "twice.csv").write_text("text,text\nleft words,right words\n")
    fails(*collect_data(tmp_path, f"a={tmp_path}/twice.csv:text"), code=1, saying=["two columns are called 'text'", "0, 1"])
    (tmp_path / "bad.jsonl").write_text("{'text': 'one'}\n{'text': 'two'}\n")
    fails(*collect_data(tmp_path, f"a={tmp_path}/bad.jsonl"), code=1, saying=["2 of 2 lines are not valid JSON", "line 1, column 2"])
    (tmp_path / "excel.csv").write_text('id;text\r\n0;one, two\r\n1;"three; four"\r\n')
    done = run(*collect_data(tmp_path, f"a={tmp_path}/excel.csv"))
    assert "a: 2 of 2 usable texts, column 'text' (separated by ';') of excel.csv" in done.stderr


@pytest.mark.parametrize("data", ["film-reviews.csv", "=x.csv", "a="])
def test_malformed_data_argument(tmp_path, data):
    fails(*collect_data(tmp_path, data), code=2, saying=["NAME=PATH"])


def test_two_datasets_of_one_name(tmp_path):
    fails("collect", "--model", MODEL, "--data", f"a={TEXTS}/film-reviews.csv", "--data", f"a={TEXTS}/film-reviews.csv",
          "--output", tmp_path / "o", code=2, saying=["a"])


@pytest.mark.parametrize("name", ["amazon_bom_spaces.tsv", "amazon_malformed.csv", "amazon_no_header.csv",
                                  "dbpedia_blank_rows.csv"])
def test_messy_files_are_read_with_reasons(tmp_path, name):
    path = shared("data", "messy", name)
    done = run("collect", "--model", MODEL, "--data", f"messy={path}", "--traces", 20, "--max-length", 32,
               "--output", tmp_path / "out")
    assert "messy: 20 of" in done.stderr
    assert "20 traces" in done.stdout


@pytest.mark.parametrize("arguments, saying", [
    ((), ["subcommand"]),
    (("collect",), ["--"]),
    (("collect", "--nonsense"), ["--"]),
    (("evaluate", "--traces", "x", "--lead", "yesterday"), ["yesterday"]),
    (("train", "--traces", "x", "--predictor", "oracle", "--lead", "layer-1", "--output", "y"), ["oracle"]),
    (("frobnicate",), ["frobnicate"]),
])
def test_wrong_usage(arguments, saying, tmp_path):
    fails(*arguments, code=2, saying=saying, cwd=tmp_path)


@pytest.mark.parametrize("more, saying", [
    (("--traces", "0"), ["--traces"]),
    (("--traces", "many"), ["--traces"]),
    (("--max-length", "-1"), ["--max-length"]),
    (("--record", "everything"), ["everything"]),
    (("--record", "features:2"), ["features:2"]),
    (("--dtype", "int3"), ["--dtype"]),
    (("--quantize", "int3"), ["--quantize"]),
    (("--device", "tpu"), ["tpu"]),
])
def test_wrong_options(more, saying, tmp_path):
    arguments = [a for a in collect_with(MODEL, tmp_path)]
    if more[0] == "--traces":
        arguments = arguments[:5] + arguments[7:]
    fails(*arguments, *more, code=2, saying=saying)
    nothing_half_written(tmp_path)


def test_no_such_gpu(tmp_path):
    fails(*collect_with(MODEL, tmp_path, "--device", "cuda:99"), code=1, saying=["cuda"])


def test_output_directory_behind_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    fails("collect", "--model", MODEL, *demo_data(["news-briefs"]), "--traces", 5, "--output", tmp_path / "file" / "o",
          code=1, saying=["output directory", "file"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_output_directory_not_writable(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    fails("collect", "--model", MODEL, *demo_data(["news-briefs"]), "--traces", 5, "--output", tmp_path / "locked" / "o",
          code=1, saying=["output directory"])


def test_full_disk(tmp_path):
    """A file-size limit stands in for a full disk: the same failing write, without mounting anything."""
    output = tmp_path / "out"
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 100; exec "$@"', "-", program(), "collect", "--model", str(MODEL),
               *demo_data(), "--traces", "100", "--shard-traces", "10", "--record", "features", "--output", str(output)]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=300)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 1 and len(errors) == 1, done.stderr
    assert "part-0000" in errors[0]
    assert not list(output.glob("*.tmp"))
    done = run("collect", "--model", MODEL, *demo_data(), "--traces", 100, "--shard-traces", 10, "--record", "features",
               "--output", output)
    assert "100 traces" in done.stdout


def test_trace_directory_without_manifest(tmp_path):
    for command in (("train", "--predictor", "frequency", "--lead", "next-token", "--output", tmp_path / "p"),
                    ("evaluate",), ("analyze", "--output", tmp_path / "r.html")):
        fails(command[0], "--traces", tmp_path, *command[1:], code=1, saying=["manifest.json"])


def test_damaged_shard(demo_trace, tmp_path):
    broken = tmp_path / "trace"
    shutil.copytree(demo_trace, broken)
    shard = broken / "part-00001.parquet"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2: len(data) // 2 + 64] = bytes(64)
    shard.write_bytes(bytes(data))
    done = run("evaluate", "--traces", broken, "--predictor", "frequency", check=False)
    assert done.returncode == 1 and "part-00001.parquet" in done.stderr
    shard.write_bytes(bytes(data[:1000]))
    fails("evaluate", "--traces", broken, "--predictor", "frequency", code=1, saying=["part-00001.parquet"])
    shard.unlink()
    fails("analyze", "--traces", broken, "--output", tmp_path / "r.html", code=1, saying=["part-00001.parquet"])
