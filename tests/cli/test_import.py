"""import and export: real records of other tools against an independent reading with numpy, and broken ones."""
import base64
import bz2
import csv
import gzip
import hashlib
import io
import json
import pathlib
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import contents, fails, manifest, program, run, shared


ROOT = pathlib.Path(__file__).resolve().parents[2]


def rows_of(directory):
    """Every trace of a directory as a dict, read with pyarrow; experts as [tokens, layers, k]."""
    about = manifest(directory)
    shape = (-1, about["geometry"]["num_moe_layers"], about["geometry"]["top_k"])
    rows = []
    for shard in about["shards"]:
        for row in pq.read_table(directory / shard["file"]).to_pylist():
            row["experts"] = np.array(row["experts"]).reshape(shape)
            if "gate_weights" in row:
                row["gate_weights"] = np.array(row["gate_weights"], dtype=np.float16).reshape(shape)
            rows.append(row)
    return rows


def names_of(directory, row):
    names = {int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little") & 0x7fffffff: name
             for name in json.loads((directory / "tokens.json").read_text())}
    return [names[i] for i in row["token_ids"]]


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def check_commands(directory, split="test"):
    """What must run on every import."""
    about = json.loads(run("inspect", directory, "--json").stdout)
    assert about["complete"] and "tokenizer" not in about["token_ids"]
    report = directory.parent / "report.html"
    run("analyze", "--traces", directory, "--output", report)
    assert report.stat().st_size > 10_000
    args = ["evaluate", "--traces", directory, "--split", split, "--lead", "next-token"]
    for name in ("random", "frequency", "previous-token", "token-table", "statistics"):
        args += ["--predictor", name]
    done = run(*args)
    assert "control: own router not available" in done.stdout
    return json.loads(run(*args[:-2], "--json").stdout)


def test_deepseek(tmp_path):
    source = shared("traces", "deepseek-v2-lite")
    output = tmp_path / "out"
    run("import", "--format", "npy", source, "--output", output, "--experts", 64, "--model-name", "org/model")
    about = manifest(output)
    assert about["model"] == "org/model" and not about["gate_weights"] and about["token_ids"] == "hashed"
    requests = read_lines(source / "requests.jsonl")
    rows = rows_of(output)
    assert len(rows) == len(requests) == 1473
    for request, row in zip(requests, rows):
        np.testing.assert_array_equal(row["experts"], np.load(source / request["routed_experts"]))
        assert row["prompt_tokens"] == len(row["token_ids"]) == len(request["tokens"])
    for request, row in list(zip(requests, rows))[::100]:
        assert names_of(output, row) == request["tokens"]
    done = run("evaluate", "--traces", output, "--predictor", "frequency", "--predictor", "previous-token", "--lead",
               "next-token", "--json")
    means = {row["predictor"]: row["metrics"]["recall@12"]["mean"] for row in json.loads(done.stdout)["rows"]}
    # Over random splits, counting with numpy gives .244 to .266 for frequency.
    assert 0.2 < means["frequency"] < 0.32 < means["previous-token"] < 0.45


def test_gpt_oss(tmp_path):
    source = shared("traces", "gpt-oss-20b")
    output = tmp_path / "out"
    done = run("import", "--format", "npy", source, "--output", output)
    assert "32 experts inferred from the largest expert id (31)" in done.stderr
    experts = np.load(source / "gpqa_main.experts.npy")
    weights = np.load(source / "gpqa_main.probs.npy")
    meta = read_lines(source / "gpqa_main.meta.jsonl")
    rows = rows_of(output)
    assert len(rows) == len(meta)
    for about, row in zip(meta, rows):
        part = slice(about["first_row"], about["first_row"] + about["n_tokens"])
        np.testing.assert_array_equal(row["experts"], experts[part])
        np.testing.assert_array_equal(row["gate_weights"], weights[part])
        first = about["first_pos"]
        assert names_of(output, row) == about["tokens"][first:first + about["n_tokens"]]
        assert row["prompt_tokens"] == len(about["tokens"]) - about["n_gen"] - first == 0
    check_commands(output)


def test_vllm_log(tmp_path):
    source = shared("traces", "qwen1.5-moe-vllm", "moe_layer12.jsonl")
    done = run("import", "--format", "vllm", source, "--output", tmp_path / "all")
    assert "the first 8,448 rows look like warm-up" in done.stderr and "--skip 8448" in done.stderr
    output = tmp_path / "out"
    done = run("import", "--format", "vllm", source, "--output", output, "--skip", 8448)
    assert "warm-up" not in done.stderr
    routes = [line for line in read_lines(source) if line["type"] == "route"][8448:]
    texts = []
    for line in routes:
        if line["token_idx"] == 0:
            texts.append([])
        texts[-1].append(line)
    rows = rows_of(output)
    assert len(rows) == len(texts)
    for text, row in zip(texts, rows):
        np.testing.assert_array_equal(row["experts"][:, 0], [line["topk_ids"] for line in text])
        expected = np.array([line["topk_weights"] for line in text]).astype(np.float16)
        np.testing.assert_array_equal(row["gate_weights"][:, 0], expected)
    about = manifest(output)
    assert about["model"] == "Qwen/Qwen1.5-MoE-A2.7B-Chat"
    assert about["geometry"]["moe_layers"] == [12] and about["token_ids"] == "unique"
    check_commands(output)


def test_moe_beyond(tmp_path):
    source = shared("traces", "moe-beyond-csv")
    output = tmp_path / "out"
    run("import", "--format", "csv", source, "--output", output)
    rows = rows_of(output)
    files = sorted(source.glob("*.csv"))
    assert len(rows) == len(files) == 5
    for file, row in zip(files, rows):
        with file.open(newline="") as stream:
            cells = list(csv.DictReader(stream))
        tokens = [cell["Token"] for cell in cells if cell["Layer ID"] == "1"]
        expected = np.array([json.loads(cell["Activated Expert IDs"]) for cell in cells])
        np.testing.assert_array_equal(row["experts"], expected.reshape(26, len(tokens), 6).transpose(1, 0, 2))
        assert names_of(output, row) == tokens
    assert manifest(output)["geometry"]["moe_layers"] == list(range(1, 27))
    check_commands(output)


def test_mixtral(tmp_path):
    source = shared("traces", "mixtral-gsm8k.jsonl")
    output = tmp_path / "out"
    fails("import", "--format", "vllm", source, "--output", output, code=1,
          saying=["token 166", "layer 9", "--allow-missing"])
    assert not list(tmp_path.iterdir())
    done = run("import", "--format", "vllm", source, "--output", output, "--allow-missing", "--json")
    result = json.loads(done.stdout)
    assert (result["cut_texts"], result["dropped_texts"], result["cut_tokens"]) == (2, 0, 3)
    cells = {(c["problem_id"], c["token_idx"], c["layer"]): c for c in read_lines(source)}
    rows = rows_of(output)
    assert [len(row["token_ids"]) for row in rows] == [166, 78]
    for problem, row in enumerate(rows):
        for token in range(len(row["token_ids"])):
            for layer in range(32):
                cell = cells[problem, token, layer]
                assert row["experts"][token, layer].tolist() == cell["experts"]
                assert row["gate_weights"][token, layer].tolist() == np.float16(cell["gating_probs"]).tolist()
    # Two texts are too few for a test split; what is said of all is labelled.
    fails("evaluate", "--traces", output, code=1, saying=["no test text", "--split all"])
    evaluation = check_commands(output, split="all")
    learned = {row["predictor"]: row["learned_texts"] for row in evaluation["rows"]}
    assert learned["frequency"] == 2 and learned["random"] == 0


def token_strings(folder, rng, vocabulary, texts=12):
    """Routing that depends on nothing but the token's string, which `statistics` can learn."""
    folder.mkdir()
    lines = []
    for i in range(texts):
        tokens = [vocabulary[t] for t in rng.integers(0, len(vocabulary), 20)]
        experts = [[sorted(set(hashlib.sha256(f"{token}{layer}".encode()).digest()[j] % 8 for j in range(9)))[:2]
                    for layer in range(2)] for token in tokens]
        np.save(folder / f"{i}.npy", np.array(experts, dtype=np.uint8))
        lines.append({"routed_experts": f"{i}.npy", "tokens": tokens})
    (folder / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def recall(done):
    return json.loads(done.stdout)["rows"][0]["metrics"]["recall@2"]["mean"]


def test_predictors_move_between_imports(tmp_path):
    rng = np.random.default_rng(5)
    vocabulary = [f"word{i}" for i in range(9)]
    for name in ("one", "two"):
        source = token_strings(tmp_path / f"{name}-source", rng, vocabulary)
        done = run("import", "--format", "npy", source, "--output", tmp_path / name, "--model-name", "same",
                   "--experts", 8)
        assert "strings, a hash of each" in done.stdout
        vocabulary.reverse()
    for kind in ("token-table", "transition"):
        lead = "layer-1" if kind == "transition" else "next-token"
        run("train", "--traces", tmp_path / "one", "--predictor", kind, "--lead", lead, "--output", tmp_path / kind)
    # It knows the tokens of the other trace: next-token routing given the token is certain up to the next token.
    own = recall(run("evaluate", "--traces", tmp_path / "one", "--split", "all", "--predictor", tmp_path / "token-table",
                     "--json"))
    other = recall(run("evaluate", "--traces", tmp_path / "two", "--split", "all", "--predictor",
                       tmp_path / "token-table", "--json"))
    assert abs(own - other) < 0.1
    about = json.loads((tmp_path / "token-table" / "predictor.json").read_text())
    assert about["trace"]["token_ids"] == "hashed"
    # A trace whose ids name other tokens is refused, unless the predictor does not look at tokens.
    traces = manifest(tmp_path / "two")
    for ids in ("by-appearance", "unique", "tokenizer"):
        (tmp_path / "two" / "manifest.json").write_text(json.dumps({**traces, "token_ids": ids}))
        fails("evaluate", "--traces", tmp_path / "two", "--split", "all", "--predictor", tmp_path / "token-table",
              code=2, saying=["whose token ids are strings, a hash of each", "they name other tokens"])
        run("evaluate", "--traces", tmp_path / "two", "--split", "all", "--predictor", tmp_path / "transition")
    # A directory from before ids were written down, and a trace that was imported then.
    (tmp_path / "two" / "manifest.json").write_text(json.dumps({**traces, "token_ids": "by-appearance"}))
    for key in ("token_ids", "tokenizer_sha256"):
        about["trace"].pop(key, None)
    (tmp_path / "token-table" / "predictor.json").write_text(json.dumps(about))
    fails("evaluate", "--traces", tmp_path / "two", "--split", "all", "--predictor", tmp_path / "token-table", code=2,
          saying=["they name other tokens", "train on this trace, or import both records again"])
    run("evaluate", "--traces", tmp_path / "one", "--predictor", tmp_path / "token-table")


def test_token_ids_of_the_models_tokenizer(tmp_path):
    tokenizer = shared("models", "mini-qwen", "tokenizer.json")
    vocabulary = json.loads(tokenizer.read_text())["model"]["vocab"]
    spelled = [token for token in vocabulary if token.isascii() and token.isalpha()][:20]
    source = token_strings(tmp_path / "source", np.random.default_rng(2), spelled, texts=4)
    run("import", "--format", "npy", source, "--output", tmp_path / "out", "--tokenizer", tokenizer.parent)
    about = manifest(tmp_path / "out")
    assert "token_ids" not in about and not (tmp_path / "out" / "tokens.json").exists()
    assert about["tokenizer_sha256"] == hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    for line, row in zip(read_lines(source / "requests.jsonl"), rows_of(tmp_path / "out")):
        assert row["token_ids"] == [vocabulary[token] for token in line["tokens"]]
    other = token_strings(tmp_path / "other", np.random.default_rng(2), ["qqqqzzzzxx"], texts=1)
    fails("import", "--format", "npy", other, "--output", tmp_path / "no", "--tokenizer", tokenizer, code=1,
          saying=["1 of 1 different tokens are not in", "qqqqzzzzxx"])
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("out,back", [("npy", "npy"), ("jsonl", "vllm")])
def test_round_trip_of_collected_traces(demo_trace, tmp_path, out, back):
    run("export", "--format", out, demo_trace, "--output", tmp_path / "exported")
    run("import", "--format", back, tmp_path / "exported", "--output", tmp_path / "again")
    before, after = rows_of(demo_trace), rows_of(tmp_path / "again")
    assert len(before) == len(after) == 120
    for a, b in zip(before, after):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])
    was, now = manifest(demo_trace), manifest(tmp_path / "again")
    for key in ("model", "config_sha256", "tokenizer_sha256", "geometry", "seed", "datasets", "dtype"):
        assert was[key] == now[key]


def test_exported_arrays(demo_trace, tmp_path):
    run("export", "--format", "npy", demo_trace, "--output", tmp_path / "exported")
    arrays = {p.name: np.load(p, allow_pickle=False) for p in (tmp_path / "exported").glob("*.npy")}
    rows = rows_of(demo_trace)
    experts = arrays["traces.experts.npy"]
    assert experts.dtype == np.uint8 and arrays["traces.gate_weights.npy"].dtype == np.float16
    np.testing.assert_array_equal(experts, np.concatenate([row["experts"] for row in rows]))
    np.testing.assert_array_equal(arrays["traces.gate_weights.npy"],
                                  np.concatenate([row["gate_weights"] for row in rows]))
    np.testing.assert_array_equal(arrays["traces.token_ids.npy"],
                                  np.concatenate([row["token_ids"] for row in rows]))
    np.testing.assert_array_equal(arrays["traces.offsets.npy"],
                                  np.cumsum([0] + [len(row["token_ids"]) for row in rows]))


def arrays_in(folder, experts, tokens=None, **other):
    folder.mkdir(exist_ok=True)
    np.save(folder / "a.npy", experts, **other)
    line = {"routed_experts": "a.npy", "tokens": tokens or ["t"] * len(experts)}
    (folder / "requests.jsonl").write_text(json.dumps(line) + "\n")
    return folder


GOOD = np.arange(12, dtype=np.int16).reshape(2, 3, 2)


@pytest.mark.parametrize("experts,saying", [
    (GOOD.astype(object), ["a.npy", "Python objects"]),
    (GOOD.astype(np.float32), ["expected integers"]),
    (GOOD.astype(">i2"), ["dtype '>i2'"]),
    (np.asfortranarray(GOOD), ["Fortran order"]),
    (GOOD[:, :, 0], ["(2, 3)", "[tokens, MoE layers, k]"]),
    (GOOD - 1, ["expert id -1 at [0, 0, 0]"]),
    (GOOD // 2 * 2 + 1, ["expert 1 twice at [0, 0, 1]"]),
])
def test_arrays_that_cannot_be_meant(tmp_path, experts, saying):
    folder = arrays_in(tmp_path / "in", experts)
    fails("import", "--format", "npy", folder, "--output", tmp_path / "out", code=1, saying=saying)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_damaged_files(tmp_path):
    folder = arrays_in(tmp_path / "in", GOOD)
    whole = (folder / "a.npy").read_bytes()
    for size in (0, 5, 8, 40, 100, len(whole) - 1):
        (folder / "a.npy").write_bytes(whole[:size])
        fails("import", "--format", "npy", folder, "--output", tmp_path / "out", code=1, saying=["a.npy"])
    (folder / "a.npy").unlink()
    fails("import", "--format", "npy", folder, "--output", tmp_path / "out", code=1,
          saying=["requests.jsonl, line 1", "a.npy"])
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def example(name):
    """The Python example of docs/importing.md that is marked so."""
    text = (ROOT / "docs" / "importing.md").read_text()
    return text.split(f"<!-- example: {name} -->")[1].split("```python\n")[1].split("```")[0]


class Engine(types.ModuleType):
    """Stands in for `requests` and `transformers`: answers as the engines do for a model of 4 layers, the first dense."""
    routing = np.random.default_rng(3).permuted(np.tile(np.arange(16), (100, 4, 1)), axis=-1)[..., :2]

    def __init__(self, answer):
        super().__init__("engine")
        self.post = lambda url, json: types.SimpleNamespace(json=lambda: answer(json))
        self.AutoTokenizer = types.SimpleNamespace(
            from_pretrained=lambda name: lambda text: {"input_ids": [7 + len(word) for word in text.split()]})

    @classmethod
    def array(cls, tokens, dtype):
        rows = cls.routing[:tokens].astype(dtype)
        rows[:, 0] = 0
        return rows


def vllm_answer(asked):
    assert asked["return_token_ids"]
    ids = [7 + len(word) for word in asked["prompt"].split()]
    buffer = io.BytesIO()
    np.save(buffer, Engine.array(len(ids) + 39, np.uint8))
    return {"id": "cmpl-1", "object": "text_completion", "model": "m", "prompt_token_ids": ids,
            "prompt_routed_experts": None, "usage": {"prompt_tokens": len(ids), "completion_tokens": 40},
            "choices": [{"index": 0, "text": "x", "finish_reason": "length", "token_ids": list(range(40)),
                         "routed_experts": base64.b64encode(buffer.getvalue()).decode()}]}


def sglang_answer(asked):
    assert asked["return_routed_experts"]
    tokens = len(asked["input_ids"]) + 40
    experts = base64.b64encode(Engine.array(tokens - 1, np.int32).tobytes()).decode()
    return {"text": "x", "output_ids": list(range(40)),
            "meta_info": {"prompt_tokens": tokens - 40, "completion_tokens": 40, "routed_experts": experts}}


@pytest.mark.parametrize("name,answer", [("vllm", vllm_answer), ("sglang", sglang_answer)])
def test_examples_of_the_docs(tmp_path, monkeypatch, name, answer):
    for module in ("requests", "transformers"):
        monkeypatch.setitem(sys.modules, module, Engine(answer))
    monkeypatch.chdir(tmp_path)
    exec(example(name), {})
    done = run("import", "--format", name, "routing.jsonl", "--output", "traces", "--experts", 16)
    assert "the last token of 3 texts was sampled but never run" in done.stderr
    assert "layer 0 holds no routing" in done.stderr
    about, rows = manifest(tmp_path / "traces"), rows_of(tmp_path / "traces")
    assert about["geometry"]["moe_layers"] == [1, 2, 3] and "token_ids" not in about
    assert [row["prompt_tokens"] for row in rows] == [3, 5, 5]
    for row in rows:
        np.testing.assert_array_equal(row["experts"], Engine.routing[:len(row["token_ids"]), 1:])
        assert row["token_ids"][row["prompt_tokens"]:] == list(range(39))


def test_skips_and_counts(tmp_path):
    good = {"routed_experts": [[[1, 2]], [[3, 0]]], "token_ids": [5, 6]}
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(good) + "\n" + json.dumps({**good, "routed_experts": None}) + "\n" +
                    json.dumps(good)[:30])
    fails("import", "--format", "vllm", path, "--output", tmp_path / "out", code=1,
          saying=["r.jsonl, line 3", "--allow-missing"])
    for flag in ("--allow-missing", "--skip-bad"):
        done = run("import", "--format", "vllm", path, "--output", tmp_path / flag, flag, "--json")
        left_out = json.loads(done.stdout)["left_out"]
        assert left_out["unreadable_records"] == left_out["records_without_routing"] == 1
        assert "1 record cannot be read and was left out; the first:" in done.stderr


@pytest.mark.parametrize("ending,pack", [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed(tmp_path, ending, pack):
    (tmp_path / "in").mkdir()
    lines = [json.dumps({"routed_experts": [[[i, 7]], [[i, 6]]], "token_ids": [i, i + 1]}) + "\n" for i in range(3)]
    # Two members, as a log that was appended to has them.
    (tmp_path / "in" / f"a.jsonl{ending}").write_bytes(pack(lines[0].encode()) + pack(lines[1].encode()))
    (tmp_path / "in" / "b.jsonl").write_text(lines[2])
    run("import", "--format", "vllm", tmp_path / "in", "--output", tmp_path / "out")
    assert [row["token_ids"] for row in rows_of(tmp_path / "out")] == [[0, 1], [1, 2], [2, 3]]
    folder = arrays_in(tmp_path / "arrays", GOOD)
    (folder / "a.npy").rename(folder / "plain.npy")
    (folder / f"a.npy{ending}").write_bytes(pack((folder / "plain.npy").read_bytes()))
    (folder / "plain.npy").unlink()
    (folder / "requests.jsonl").write_text(json.dumps({"routed_experts": f"a.npy{ending}"}))
    run("import", "--format", "npy", folder, "--output", tmp_path / "npy")
    np.testing.assert_array_equal(rows_of(tmp_path / "npy")[0]["experts"], GOOD)
    rows = "Layer ID,Batch Number,Token,Activated Expert IDs\n1,0,x,\"[3, 1]\"\n"
    (tmp_path / f"c.csv{ending}").write_bytes(pack(rows.encode()))
    run("import", "--format", "csv", tmp_path / f"c.csv{ending}", "--output", tmp_path / "csv")
    assert rows_of(tmp_path / "csv")[0]["experts"].tolist() == [[[3, 1]]]


def test_usage(tmp_path):
    folder = arrays_in(tmp_path / "in", GOOD)
    output = tmp_path / "out"
    fails("import", "--format", "hdf5", folder, "--output", output, code=2, saying=["--format", "npy"])
    fails("import", "--format", "npy", folder, "--output", output, "--experts", 3, code=2, saying=["id 11"])
    fails("import", "--format", "npy", folder, "--output", output, "--skip", 3, code=2, saying=["--skip"])
    fails("import", "--format", "csv", folder, "--output", output, code=2, saying=["no file *.csv"])
    fails("import", "--format", "npy", tmp_path / "gone", "--output", output, code=1, saying=["gone"])
    run("import", "--format", "npy", folder, "--output", output)
    before = contents(output)
    fails("import", "--format", "npy", folder, "--output", output, code=2, saying=["exists already"])
    fails("export", "--format", "npy", output, "--output", folder, code=2, saying=["exists already"])
    fails("export", "--format", "npy", folder, "--output", tmp_path / "e", code=1, saying=["not a trace directory"])
    assert contents(output) == before


def test_interrupted(tmp_path):
    log = tmp_path / "log.jsonl"
    row = '{"req_id": "r%d", "token_idx": 0, "layer": 0, "topk_ids": [%d, %d]}\n'
    with log.open("w") as stream:
        for i in range(400_000):
            stream.write(row % (i, i % 7, i % 7 + 1))
    for stop, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        process = subprocess.Popen([program(), "import", "--format", "vllm", log, "--output", tmp_path / "out"],
                                   stderr=subprocess.DEVNULL)
        while not (tmp_path / "out.tmp").exists():
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(stop)
        assert process.wait() == code
        assert not (tmp_path / "out").exists()
        assert (tmp_path / "out.tmp").exists() == (stop == signal.SIGKILL)
    # What the killed one left is cleared away by the next.
    run("import", "--format", "vllm", log, "--output", tmp_path / "out")
    assert manifest(tmp_path / "out")["complete"] and not (tmp_path / "out.tmp").exists()
