"""The generate command. What it generates is compared with transformers in tests/engine."""
import json
import os
import pty
import resource
import select
import shutil
import signal
import subprocess
import time

import numpy
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from conftest import MODEL, TEXTS, contents, demo_data, fails, kill_when, manifest, program, run

PROMPT = "The harbour was quiet before dawn, and the gulls"


def generate(*arguments, **options):
    return run("generate", "--model", MODEL, *arguments, **options)


def document(*arguments, **options):
    return json.loads(generate("--json", *arguments, **options).stdout)


def rows_if_there(path):
    return path.exists() and path.stat().st_size > 0


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    path.write_text("A stone bridge\nWhy\nThe river below the mill was\nOnce\nShe said\nIn the valley of\n")
    return path


def test_text_streams_to_stdout_and_talk_to_stderr():
    done = generate("--prompt", PROMPT, "-n", 12)
    result = document("--prompt", PROMPT, "-n", 12)
    (row,) = result["results"]
    assert done.stdout == row["text"] + "\n"
    assert "12 tokens after" in done.stderr and "tokens/s" in done.stderr
    assert row["prompt"] == PROMPT and row["finish_reason"] == "length" and len(row["ids"]) == 12
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    assert row["prompt_tokens"] == len(tokenizer.encode(PROMPT).ids)
    assert row["text"] == tokenizer.decode(row["ids"])


def test_json_tells_times_rates_and_memory():
    result = document("--prompt", PROMPT, "-n", 8)
    assert result["prompts"] == 1 and result["generated_tokens"] == 8 and result["steps"] == 8
    for name in ("ttft_seconds", "tpot_seconds"):
        assert 0 < result[name]["p50"] <= result[name]["p95"]
    assert result["prefill_tokens_per_second"] > 0 and result["decode_tokens_per_second"] > 0
    memory = result["memory"]
    assert 0 < memory["kv_cache_peak_bytes"] <= memory["kv_cache_bytes"] and memory["peak_host_bytes"] > 0


def test_an_int8_cache_takes_less(prompts, tmp_path):
    options = ["--prompts", prompts, "-n", 8, "--batch", 2]
    whole, less = document(*options), document(*options, "--kv-dtype", "int8")
    assert (whole["kv_dtype"], less["kv_dtype"]) == ("float32", "int8")
    # A head's row has as many values as codes and a scale in place of four of them.
    size = json.loads((MODEL / "config.json").read_text())
    head = size["hidden_size"] // size["num_attention_heads"]
    assert less["memory"]["kv_cache_bytes"] * 4 * head == whole["memory"]["kv_cache_bytes"] * (head + 4)
    assert [len(row["ids"]) for row in less["results"]] == [len(row["ids"]) for row in whole["results"]]
    output = tmp_path / "out.jsonl"
    generate(*options, "--output", output)
    fails("generate", "--model", MODEL, *options, "--kv-dtype", "int8", "--output", output, code=2,
          saying=["kv_dtype", '"int8" asked for'])
    collect = ["collect", "--model", MODEL, *demo_data(["news-briefs"]), "--traces", 2, "--output", tmp_path / "traces",
               "--kv-dtype", "int8"]
    fails(*collect, code=2, saying=["--kv-dtype", "--generate"])
    run(*collect, "--generate", 4)
    assert json.loads((tmp_path / "traces/generation.json").read_text())["kv_dtype"] == "int8"


def test_standard_input_is_one_prompt():
    assert generate("-n", 6, input=PROMPT + "\n").stdout == generate("--prompt", PROMPT, "-n", 6).stdout


def test_a_file_of_prompts_in_any_form(prompts, tmp_path):
    plain = {row["row"]: row for row in map(json.loads, generate("--prompts", prompts, "-n", 9).stdout.splitlines())}
    texts = prompts.read_text().splitlines()
    assert [plain[i]["prompt"] for i in range(6)] == texts
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    (tmp_path / "p.csv").write_text("id,body\n" + "".join(f"{i},{t}\n" for i, t in enumerate(texts)))
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"prompt": t}) + "\n" for t in texts))
    (tmp_path / "ids.jsonl").write_text("".join(json.dumps({"ids": tokenizer.encode(t).ids}) + "\n" for t in texts))
    for argument in (f"{tmp_path / 'p.csv'}:body", tmp_path / "p.jsonl", tmp_path / "ids.jsonl"):
        result = document("--prompts", argument, "-n", 9, "--batch", 2)
        assert [row["ids"] for row in result["results"]] == [plain[i]["ids"] for i in range(6)], argument


def test_sampling_depends_on_the_seed_and_not_on_the_batch(prompts):
    options = ["--prompts", prompts, "-n", 16, "--temperature", 0.9, "--top-p", 0.95, "--seed", 3]
    ids = [row["ids"] for row in document(*options)["results"]]
    assert ids == [row["ids"] for row in document(*options, "--batch", 1)["results"]]
    assert ids != [row["ids"] for row in document(*options[:-1], 4)["results"]]


def test_stops(tmp_path):
    free = document("--prompt", PROMPT, "-n", 24)["results"][0]
    word = free["text"].split()[3]
    cut = document("--prompt", PROMPT, "-n", 24, "--stop", word)["results"][0]
    assert cut["finish_reason"] == "stop" and cut["stop_string"] == word
    assert cut["text"] == free["text"][:free["text"].index(word)]
    by_id = document("--prompt", PROMPT, "-n", 24, "--stop-id", free["ids"][5])["results"][0]
    assert by_id["ids"] == free["ids"][:free["ids"].index(free["ids"][5]) + 1]
    # The model's own end, as generation_config.json has it, and past it.
    model = tmp_path / "model"
    model.mkdir()
    for file in MODEL.iterdir():
        (model / file.name).symlink_to(file)
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": [free["ids"][7]], "max_new_tokens": 20}))
    first = free["ids"].index(free["ids"][7]) + 1
    ended = json.loads(run("generate", "--json", "--model", model, "--prompt", PROMPT).stdout)["results"][0]
    assert ended["ids"] == free["ids"][:first] and ended["finish_reason"] == "stop"
    on = json.loads(run("generate", "--json", "--model", model, "--prompt", PROMPT, "--ignore-eos").stdout)["results"][0]
    assert on["ids"] == free["ids"][:20]


def test_logprobs():
    row = document("--prompt", PROMPT, "-n", 3, "--logprobs", 2)["results"][0]
    assert [each["id"] for each in row["logprobs"]] == row["ids"]
    assert all(each["top"][0]["logprob"] == each["logprob"] <= 0 and len(each["top"]) == 2 for each in row["logprobs"])


def test_output_is_resumed(prompts, tmp_path):
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    options = ["--prompts", prompts, "-n", 10, "--temperature", 0.8, "--seed", 1]
    generate(*options, "--output", whole)
    assert sorted(row["row"] for row in rows(whole)) == list(range(6))
    # As a killed run leaves it: some rows, and the last one torn.
    lines = whole.read_text().splitlines(keepends=True)
    cut.write_text("".join(lines[:2]) + lines[2][:20])
    (tmp_path / "cut.jsonl.settings.json").write_bytes((tmp_path / "whole.jsonl.settings.json").read_bytes())
    result = document(*options, "--output", cut)
    assert result["resumed"] == 2 and result["prompts"] == 4
    assert sorted(rows(cut), key=lambda row: row["row"]) == sorted(rows(whole), key=lambda row: row["row"])
    assert document(*options, "--output", cut)["prompts"] == 0
    fails("generate", "--model", MODEL, *options[:-1], 2, "--output", cut, code=2, saying=["seed", "1 there, 2 asked for"])
    prompts_changed = tmp_path / "prompts.txt"
    prompts_changed.write_text(prompts.read_text() + "More\n")
    fails("generate", "--model", MODEL, "--prompts", prompts_changed, *options[2:], "--output", cut, code=2,
          saying=["prompts"])
    (tmp_path / "other.jsonl").write_text("{}\n")
    fails("generate", "--model", MODEL, *options, "--output", tmp_path / "other.jsonl", code=2, saying=["other.jsonl"])


def test_a_resumed_run_refuses_other_weights(prompts, tmp_path):
    model, output = tmp_path / "model", tmp_path / "out.jsonl"
    shutil.copytree(MODEL, model)
    command = ["generate", "--model", model, "--prompts", prompts, "-n", 4, "--output", output]
    run(*command)
    output.write_text(output.read_text().splitlines(keepends=True)[0])
    weights = model / "model.safetensors"
    tensors = load_file(weights)
    tensors["model.norm.weight"] += 0.5
    save_file(tensors, tmp_path / "changed", metadata={"format": "pt"})
    (tmp_path / "changed").replace(weights)
    before = output.read_bytes()
    fails(*command, code=1, saying=["out.jsonl", "other weights: model.safetensors"])
    assert output.read_bytes() == before
    # Settings of before weights were noted: said once, and from then on they are.
    settings = tmp_path / "out.jsonl.settings.json"
    older = json.loads(settings.read_text())
    del older["weights"]
    settings.write_text(json.dumps(older))
    assert run(*command).stderr.count("cannot be checked") == 1
    assert len(rows(output)) == 6
    assert "cannot be checked" not in run(*command).stderr


def traces(directory):
    """Rows of a trace by sample."""
    shards = [directory / shard["file"] for shard in manifest(directory)["shards"]]
    found = [row for shard in shards for row in pq.read_table(shard).to_pylist()]
    assert len({row["sample"] for row in found}) == len(found)
    return {row["sample"]: row for row in sorted(found, key=lambda row: row["sample"])}


def test_record_and_collect_write_what_is_generated(prompts, tmp_path):
    output = tmp_path / "out.jsonl"
    generate("--prompts", prompts, "-n", 20, "--batch", 3, "--output", output, "--record", tmp_path / "decoded",
             "--record-also", "logits,features:0.5")
    run("collect", "--model", MODEL, "--data", f"prompts={prompts}", "--traces", 6, "--generate", 20,
        "--record", "logits,features", "--output", tmp_path / "collected")
    decoded, collected = traces(tmp_path / "decoded"), traces(tmp_path / "collected")
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    assert sorted(decoded) == sorted(collected) == list(range(6))
    for row in rows(output):
        prompt = tokenizer.encode(row["prompt"]).ids
        theirs, ours = collected[row["row"]], decoded[row["row"]]
        assert theirs["token_ids"] == prompt + row["ids"]
        assert ours["token_ids"] == prompt + row["ids"][:-1]  # the last is not run
        assert theirs["prompt_tokens"] == ours["prompt_tokens"] == len(prompt)
        # Decided while decoding as in one pass over the whole text.
        assert ours["experts"] == theirs["experts"][:len(ours["experts"])]
        logits = numpy.array(ours["router_logits"], dtype=numpy.float32)
        assert numpy.allclose(logits, theirs["router_logits"][:len(logits)], atol=2e-3)
    about = manifest(tmp_path / "decoded")
    assert about["complete"] and about["router_logits"]
    for name in ("decoded", "collected"):
        how = json.loads((tmp_path / name / "generation.json").read_text())
        assert how["max_tokens"] == 20 and how["temperature"] == 0
    features = [shard for shard in about["shards"] if "features" in shard]
    recorded = load_file(tmp_path / "decoded" / features[0]["features"])
    assert recorded["offsets"][-1] == recorded["router_inputs"].shape[0] == sum(
        len(list(decoded.values())[i]["token_ids"]) for i in recorded["rows"])
    # Phases apart.
    run("analyze", "--traces", tmp_path / "collected", "--output", tmp_path / "report.html")
    assert "generated after them, in the traces that" in (tmp_path / "report.html").read_text()


def test_a_recorded_run_is_resumed(prompts, tmp_path):
    options = ["--prompts", prompts, "-n", 30, "--temperature", 0.8, "--seed", 4, "--batch", 2]
    generate(*options, "--record", tmp_path / "whole")
    command = [program(), "generate", "--model", str(MODEL), *map(str, options), "--output", str(tmp_path / "out.jsonl"),
               "--record", str(tmp_path / "cut")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and not rows_if_there(tmp_path / "out.jsonl"):
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate(timeout=120)
    assert process.returncode == 130, talk
    first = manifest(tmp_path / "cut")
    assert not first["complete"] and 0 < sum(shard["rows"] for shard in first["shards"]) < 6
    # A killed run may lose traces whose results are in the file: they are recorded again.
    (lost,) = [shard["file"] for shard in first["shards"]]
    (tmp_path / "cut" / lost).unlink()
    first["shards"], first["datasets"][0]["traces"] = [], 0
    (tmp_path / "cut" / "manifest.json").write_text(json.dumps(first))
    subprocess.run(command, check=True, capture_output=True)
    whole, cut = traces(tmp_path / "whole"), traces(tmp_path / "cut")
    assert sorted(whole) == sorted(cut) == list(range(6)) and manifest(tmp_path / "cut")["complete"]
    for name in ("token_ids", "prompt_tokens", "experts"):
        assert [whole[i][name] for i in whole] == [cut[i][name] for i in whole], name
    assert sorted(row["row"] for row in rows(tmp_path / "out.jsonl")) == list(range(6))
    assert document(*options, "--record", tmp_path / "cut")["prompts"] == 0
    fails("generate", "--model", MODEL, *options[:-4], "--seed", 5, "--record", tmp_path / "cut", code=2, saying=["seed"])


def test_collect_goes_on_with_the_same_continuations(tmp_path):
    command = ["collect", "--model", MODEL, *demo_data(["news-briefs", "film-reviews"]), "--traces", 6, "--max-length", 24,
               "--generate", 12, "--temperature", 1, "--seed", 3, "--shard-traces", 2, "--output"]
    run(*command, tmp_path / "whole")
    killed = kill_when(lambda: len(list(tmp_path.glob("cut/*.parquet"))) > 0, [program(), *command, tmp_path / "cut"])
    run(*command, tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole"), f"killed: {killed}"
    assert all(row["prompt_tokens"] <= 24 and len(row["token_ids"]) <= row["prompt_tokens"] + 12
               for row in pq.read_table(tmp_path / "whole/part-00000.parquet").to_pylist())
    fails(*command[:-5], "--seed", 3, "--shard-traces", 2, "--top-k", 3, "--output", tmp_path / "cut", code=2,
          saying=["generation"])
    fails(*command[:9], "--temperature", 1, "--output", tmp_path / "x", code=2, saying=["--generate"])
    fails(*command[:7], "--generate", 2048, "--output", tmp_path / "x", code=2, saying=["--generate 2048", "at most 2047"])


def test_interrupt_keeps_what_was_finished(tmp_path):
    output = tmp_path / "out.jsonl"
    data = f"{TEXTS / 'film-reviews.csv'}"
    command = [program(), "generate", "--model", str(MODEL), "--prompts", data, "-n", "200", "--ignore-eos", "--batch", "2",
               "--output", str(output)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and not rows_if_there(output):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate(timeout=120)
    assert process.returncode == 130, talk
    assert "run the same command again" in talk
    assert rows(output) and all(len(row["ids"]) == 200 for row in rows(output))


def test_a_full_disk_keeps_what_was_finished(tmp_path):
    (tmp_path / "prompts.txt").write_text("".join(f"Once {i}\n" for i in range(40)))
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    options = ["generate", "--model", MODEL, "--prompts", tmp_path / "prompts.txt", "-n", 4, "--output"]
    run(*options, whole)
    limit = whole.stat().st_size // 3
    fails(*options, cut, code=1, saying=["cannot write", "cut.jsonl", "File too large"], restore_signals=False,
          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    kept = [line for line in cut.read_text().splitlines(keepends=True) if line.endswith("\n")]
    assert len(kept) > 5 and cut.stat().st_size == limit
    result = document(*options[3:], cut)
    assert result["resumed"] == len(kept)
    assert cut.read_text().startswith("".join(kept))
    assert sorted(rows(cut), key=lambda row: row["row"]) == sorted(rows(whole), key=lambda row: row["row"])
    with open("/dev/full", "w") as full:
        done = subprocess.run([program(), "generate", "--model", MODEL, "--prompt", "x", "-n", "2"], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "error: cannot write the result to standard output" in done.stderr


def test_a_killed_run_goes_on(tmp_path):
    (tmp_path / "prompts.txt").write_text("".join(f"Once {i}\n" for i in range(30)))
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    options = ["generate", "--model", MODEL, "--prompts", tmp_path / "prompts.txt", "-n", 60, "--ignore-eos", "--batch", 2,
               "--temperature", 1, "--output"]
    run(*options, whole)
    killed = kill_when(lambda: rows_if_there(cut), [program(), *options, cut])
    before = cut.read_bytes()
    run(*options, cut)
    assert killed and cut.read_bytes().startswith(before[:before.rfind(b"\n") + 1])
    assert sorted(rows(cut), key=lambda row: row["row"]) == sorted(rows(whole), key=lambda row: row["row"])


def test_interrupt_ends_a_text_that_streams():
    process = subprocess.Popen([program(), "generate", "--model", str(MODEL), "--prompt", PROMPT, "-n", "1500", "--ignore-eos"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    begun = read(process.stdout, 20)
    process.send_signal(signal.SIGINT)
    rest, talk = process.communicate(timeout=60)
    assert process.returncode == 130 and b"texts end where they were" in talk
    assert rest.endswith(b"\n") and begun in generate("--prompt", PROMPT, "-n", 60).stdout


def read(pipe, size, seconds=60):
    """So many bytes of a process that is still running."""
    said = b""
    while len(said) < size:
        assert select.select([pipe], [], [], seconds)[0], f"nothing more behind {said}"
        part = os.read(pipe.fileno(), size - len(said))
        assert part, f"ended behind {said}"
        said += part
    return said.decode()


def test_a_terminal_is_asked_line_by_line():
    answers = {line: generate("--prompt", line, "-n", 8).stdout for line in ("Once", "The river below")}
    leader, follower = pty.openpty()
    process = subprocess.Popen([program(), "generate", "--model", str(MODEL), "-n", "8"], stdin=follower,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(follower)
    try:
        for line in ("Once", "", "The river below"):  # an empty line is asked again
            os.write(leader, line.encode() + b"\n")
            if line:
                assert read(process.stdout, len(answers[line].encode())) == answers[line]
        os.write(leader, b"\x04")  # Ctrl-D
        rest, talk = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(leader)
    assert process.returncode == 0 and rest == b"", talk
    assert talk.startswith(b"> ") and talk.count(b"> ") == 4 and b"16 tokens after" in talk


def test_a_terminal_cannot_be_resumed(tmp_path):
    leader, follower = pty.openpty()
    for option in ("--output", "--record"):
        fails("generate", "--model", MODEL, option, tmp_path / "x", stdin=follower, code=2, saying=[option, "no terminal"])
    os.close(follower)
    os.close(leader)


def test_files_without_a_prompt_are_refused(tmp_path):
    def refused(name, content, saying):
        (tmp_path / name).write_text(content)
        return fails("generate", "--model", MODEL, "--prompts", tmp_path / name, code=1, saying=[name, *saying]).stderr

    refused("none.txt", "", ["the file is empty"])
    assert "3 rows left out: blank text" in refused("blank.txt", "\n\n\n", ["holds no prompt"])
    for ids in ("[1.5, 2]", "[-1]", '["a"]', "[99999999999]"):
        talk = refused("ids.jsonl", f'{{"ids": {ids}}}\n', ["holds no prompt"])
        assert '1 row left out: "ids" that are not all whole numbers from 0 on' in talk
    assert "1 row left out: no ids" in refused("ids.jsonl", '{"ids": []}\n', ["holds no prompt"])
    # The others go on, whichever is first.
    (tmp_path / "some.jsonl").write_text('{"ids": [-1]}\n{"ids": [5]}\n{"ids": [5\n')
    result = document("--prompts", tmp_path / "some.jsonl", "-n", 2)
    assert [row["row"] for row in result["results"]] == [1]


def test_what_cannot_be_run_is_refused(prompts, tmp_path):
    def refused(*arguments, code, saying, **options):
        fails("generate", "--model", MODEL, *arguments, code=code, saying=saying, **options)

    refused("--prompt", "x", "--prompts", prompts, code=2, saying=["--prompt", "--prompts"])
    refused("--prompt", "", code=1, saying=["no token"])
    refused(input="", code=2, saying=["--prompt"])
    refused("--prompt", "x", "-n", 0, code=2, saying=["--max-tokens is '0'"])
    refused("--prompt", "x", "-n", 5000, code=1, saying=["5000 more", "2048", "at most 2047"])
    refused("--prompt", "word " * 3000, code=1, saying=["max_position_embeddings is 2048", "shorten"])
    refused("--prompt", "x", "--top-p", 0, code=2, saying=["--top-p is 0"])
    refused("--prompt", "x", "--temperature", 0, "--top-k", 3, code=2, saying=["--temperature 0"])
    refused("--prompt", "x", "--logit-bias", "3", code=2, saying=["ID=VALUE"])
    refused("--prompt", "x", "--logit-bias", "999999=1", code=2, saying=["999999"])
    refused("--prompt", "x", "--kv-memory", "1kB", code=2, saying=["1.0 kB", "page of 64 tokens"])
    refused("--prompt", "x", "-n", 500, "--kv-memory", "4MB", code=1, saying=["room for"])
    refused("--prompts", tmp_path / "none.txt", code=1, saying=["none.txt"])
    refused("--prompts", prompts, "--output", "/dev/full", code=2, saying=["/dev/full is not a file", "--output"])
    refused("--prompts", prompts, "--output", tmp_path, code=2, saying=[tmp_path.name, "is not a file"])
    refused("--prompt", "x", "--max-memory", "3MB", code=1,
            saying=["does not fit into 3.0 MB", "weights in float32 take 10.8 MB", "keys and values of 64 tokens", "missing"])
    # In a file, one prompt that does not fit does not take the others along.
    (tmp_path / "some.txt").write_text("Once\n" + "word " * 3000 + "\nWhy\n")
    result = document("--prompts", tmp_path / "some.txt", "-n", 4)
    assert result["refused"] == 1 and [sorted(row)[0] for row in result["results"]] == ["finish_reason", "error",
                                                                                      "finish_reason"]
