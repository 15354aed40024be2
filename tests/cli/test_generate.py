"""The generate command. What it generates is compared with transformers in tests/engine."""
import json
import shutil
import signal
import subprocess
import time

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from conftest import MODEL, TEXTS, fails, program, run

PROMPT = "The harbour was quiet before dawn, and the gulls"


def generate(*arguments, **options):
    return run("generate", "--model", MODEL, *arguments, **options)


def document(*arguments, **options):
    return json.loads(generate("--json", *arguments, **options).stdout)


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


def test_interrupt_keeps_what_was_finished(tmp_path):
    output = tmp_path / "out.jsonl"
    data = f"{TEXTS / 'film-reviews.csv'}"
    command = [program(), "generate", "--model", str(MODEL), "--prompts", data, "-n", "200", "--ignore-eos", "--batch", "2",
               "--output", str(output)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and not (output.exists() and output.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate(timeout=120)
    assert process.returncode == 130, talk
    assert "run the same command again" in talk
    assert rows(output) and all(len(row["ids"]) == 200 for row in rows(output))


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
    # In a file, one prompt that does not fit does not take the others along.
    (tmp_path / "some.txt").write_text("Once\n" + "word " * 3000 + "\nWhy\n")
    result = document("--prompts", tmp_path / "some.txt", "-n", 4)
    assert result["refused"] == 1 and [sorted(row)[0] for row in result["results"]] == ["finish_reason", "error",
                                                                                      "finish_reason"]
