"""Reports of traces that are hardly there: one token, one layer, one expert a token, generated tokens; and what is refused."""
import json
import pathlib
import subprocess

import numpy as np
import pytest

import reference as ref
from conftest import PROGRAM, run

pytestmark = pytest.mark.skipif(not pathlib.Path(PROGRAM).exists(),
                                reason=f"no program at {PROGRAM}: build it, or set FOREGATE_BIN")


def make_trace(folder, lengths, layers=3, experts=6, k=2, generated=0, seed=0):
    """An imported trace of random routing: texts of `lengths` tokens, the last `generated` of them generated."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    total = sum(lengths)
    chosen = rng.random((total, layers, experts)).argsort(-1)[..., :k].astype(np.uint8)
    weights = np.sort(rng.random((total, layers, k)), axis=-1)[..., ::-1].astype(np.float16)
    np.save(folder / "demo.experts.npy", chosen)
    np.save(folder / "demo.gate_weights.npy", np.ascontiguousarray(weights))
    first = np.cumsum([0, *lengths[:-1]])
    words = rng.integers(0, 9, total)
    with open(folder / "demo.meta.jsonl", "w", encoding="utf-8") as file:
        for row, n in zip(first.tolist(), lengths):
            tokens = [f"w{word}" for word in words[row:row + n]]
            file.write(json.dumps({"first_row": row, "n_tokens": n, "n_gen": generated, "tokens": tokens}) + "\n")
    run("import", "--format", "npy", folder, "--output", folder / "traces", "--experts", experts)
    return folder / "traces"


def analyze(traces, *arguments):
    page = traces.parent / "report.html"
    tables = traces.parent / "tables"
    run("analyze", "--traces", traces, "--output", page, "--tables", tables, "--svg", traces.parent / "svg", *arguments)
    text = page.read_text(encoding="utf-8")
    assert "nan" not in text.split("<script>")[0].lower().replace("finance", "")
    return text, tables


def refused(*arguments):
    done = subprocess.run([PROGRAM, "analyze", *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    return errors[0]


@pytest.mark.parametrize("shape", [dict(lengths=[1]), dict(lengths=[7], layers=1), dict(lengths=[5, 9], k=1),
                                   dict(lengths=[3], layers=1, experts=1, k=1), dict(lengths=[300], experts=200, k=8)],
                         ids=["one-token", "one-layer", "top-1", "one-expert", "many-experts"])
def test_small_traces_have_a_page(tmp_path, shape):
    text, tables = analyze(make_trace(tmp_path / "t", **shape))
    assert "What stands out" in text
    assert (tables / "expert-usage.csv").stat().st_size > 0


def test_prompt_and_generated(tmp_path):
    traces = make_trace(tmp_path / "t", [20, 30, 25], generated=8)
    page, tables = analyze(traces)
    assert "51 tokens of prompts and 24 tokens generated after them" in page
    texts, layers, experts, _ = ref.read_texts(traces)
    prompt = sum(text.hot[:text.prompt].sum(0) for text in texts)
    generated = sum(text.hot[text.prompt:].sum(0) for text in texts)
    rows = json.loads((tables / "prompt-and-generated.json").read_text())
    assert len(rows) == layers * experts
    for row in rows:
        layer, expert = row["moe_layer"], row["expert"]
        assert row["prompt_decisions"] == prompt[layer, expert]
        assert row["generated_decisions"] == generated[layer, expert]
        assert row["generated_share"] == pytest.approx(ref.shares(generated[layer])[expert])
    assert ">w3 " in page  # imported tokens go by their names


def test_comparison(tmp_path):
    """The same texts with other routing."""
    ours, theirs = (make_trace(tmp_path / name, [20, 30, 25], seed=1) for name in ("a", "b"))
    chosen = np.load(tmp_path / "b/demo.experts.npy")
    chosen[::3, 1] = (chosen[::3, 1] + 1) % 6
    np.save(tmp_path / "b/demo.experts.npy", chosen)
    subprocess.run(["rm", "-r", str(theirs)], check=True)
    run("import", "--format", "npy", tmp_path / "b", "--output", theirs, "--experts", 6)
    _, tables = analyze(ours, "--compare", theirs)
    a, layers, _, k = ref.read_texts(ours)
    b = ref.read_texts(theirs)[0]
    common = [(one.hot * other.hot).sum(2) for one, other in zip(a, b)]  # [n, L] a text
    lengths = np.array([len(text.ids) for text in a])
    for row in json.loads((tables / "agreement.json").read_text()):
        layer = row["moe_layer"]
        x = np.array([text[:, layer].sum() for text in common])
        mean = x.sum() / lengths.sum()
        residuals = x - mean * lengths
        error = np.sqrt(len(x) / (len(x) - 1) * (residuals ** 2).sum()) / lengths.sum()
        assert row["common"] == pytest.approx(mean / k)
        assert row["low"] == pytest.approx(max(0, (mean - 1.96 * error) / k))
        assert row["high"] == pytest.approx(min(1, (mean + 1.96 * error) / k))
        assert row["same_set"] == pytest.approx(np.concatenate([text[:, layer] == k for text in common]).mean())
        first = [one.experts[:, layer, 0] == other.experts[:, layer, 0] for one, other in zip(a, b)]
        assert row["same_first"] == pytest.approx(np.concatenate(first).mean())
        usage = [sum(text.hot.sum(0)[layer] for text in texts) for texts in (a, b)]
        assert row["divergence_bits"] == pytest.approx(ref.divergence(*usage), abs=1e-12)
    positions = json.loads((tables / "agreement-by-position.json").read_text())
    edges = [row["position_from"] for row in positions] + [10 ** 9]
    for row, end in zip(positions, edges[1:]):
        part = np.concatenate([text[row["position_from"]:end] for text in common])
        assert row["common"] == pytest.approx(part.mean() / k)
    assert layers == 3


def test_only_the_same_texts_are_compared(tmp_path):
    ours = make_trace(tmp_path / "a", [20, 30])
    for name, shape, saying in (("words", dict(lengths=[20, 30], seed=5), "has other tokens"),
                                ("fewer", dict(lengths=[50]), "has 1 traces"),
                                ("geometry", dict(lengths=[20, 30], layers=2), "2 MoE layers with 2 of 6 experts")):
        theirs = make_trace(tmp_path / name, **shape)
        error = refused("--traces", ours, "--compare", theirs, "--output", tmp_path / "r.html")
        assert saying in error and str(theirs) in error
    assert not (tmp_path / "r.html").exists()


def test_another_models_tokenizer_is_refused(output, tmp_path):
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text((output / "model/tokenizer.json").read_text() + "\n")
    error = refused("--traces", output / "traces", "--tokenizer", tokenizer, "--output", tmp_path / "r.html")
    assert str(tokenizer) in error


def test_a_damaged_shard_is_named(tmp_path):
    traces = make_trace(tmp_path / "t", [20, 30])
    shard = next(traces.glob("*.parquet"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 0xFF
    content[4:60] = bytes(56)
    shard.write_bytes(content)
    assert shard.name in refused("--traces", traces, "--output", tmp_path / "r.html")
