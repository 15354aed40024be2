"""Reading traces: arrays, tables, splits and statistics against Parquet, NumPy and the program."""
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import foregate as fg
from conftest import split_of


@pytest.fixture(scope="module")
def traces(demo_trace):
    return fg.open(demo_trace)


@pytest.fixture(scope="module")
def raw(demo_trace, traces):
    """The Parquet rows, read without foregate."""
    manifest = json.loads((demo_trace / "manifest.json").read_text())
    return pa.concat_tables([pq.read_table(demo_trace / shard["file"]) for shard in manifest["shards"]])


def test_describes_itself(traces, raw):
    assert len(traces) == raw.num_rows == 60
    assert traces.num_tokens == sum(raw["num_tokens"].to_pylist())
    assert (traces.geometry.num_moe_layers, traces.geometry.num_experts, traces.geometry.top_k) == (8, 8, 2)
    assert traces.manifest["seed"] == 0 and traces.model == "model"
    assert "60 traces" in repr(traces) and "<td>encyclopedia</td>" in traces._repr_html_()


def test_texts_are_views_of_the_columns(traces, raw):
    for i in (0, 17, 59, -1):
        text, row = traces[i], raw.slice(i % 60, 1).to_pylist()[0]
        assert (text.dataset, text.sample, text.prompt_tokens) == (row["dataset"], row["sample"], row["prompt_tokens"])
        assert text.experts.shape == text.gate_weights.shape == (row["num_tokens"], 8, 2) and len(text) == row["num_tokens"]
        assert text.experts.ravel().tolist() == row["experts"] and text.token_ids.tolist() == row["token_ids"]
        np.testing.assert_array_equal(text.gate_weights.ravel(), np.array(row["gate_weights"], np.float16))
        assert text.experts.dtype == np.uint8 and not text.experts.flags.writeable and text.router_logits is None
    with pytest.raises(IndexError):
        traces[60]
    assert [t.sample for t in traces] == raw["sample"].to_pylist()
    assert [(t.dataset, t.sample) for t in traces[10:30:3]] == [(traces[i].dataset, traces[i].sample)
                                                                for i in range(10, 30, 3)]


def test_tensors(traces):
    torch = pytest.importorskip("torch")
    tensors = traces[4].to_torch()
    assert tensors["experts"].dtype == torch.int64 and tensors["experts"].tolist() == traces[4].experts.tolist()
    assert tensors["gate_weights"].dtype == torch.float16


def test_splits_are_those_of_the_program(demo_trace, traces):
    sides = split_of(demo_trace)
    assert len(set(sides)) == 3
    for name in ("train", "validation", "test"):
        wanted = [(traces[i].dataset, traces[i].sample) for i, side in enumerate(sides) if side == name]
        assert [(t.dataset, t.sample) for t in traces.split(name)] == wanted
    assert len(traces.split("test", test=0.2)) > len(traces.split("test"))
    with pytest.raises(fg.UsageError, match="expected train, validation, test"):
        traces.split("dev")
    with pytest.raises(fg.UsageError, match="leave some texts to train on"):
        traces.split("test", test=0.6, validation=0.6)


def test_filters_meet(traces):
    one = traces.filter(dataset="encyclopedia")
    assert {t.dataset for t in one} == {"encyclopedia"}
    test = {(t.dataset, t.sample) for t in traces.split("test")}
    assert {(t.dataset, t.sample) for t in one.split("test")} == {t for t in test if t[0] == "encyclopedia"}
    assert one.num_tokens == sum(len(t) for t in one)
    assert all(len(t) >= 100 for t in traces.filter(min_tokens=100)) and len(traces.filter(max_tokens=0)) == 0
    with pytest.raises(fg.UsageError, match="there is no dataset 'imdb'"):
        traces.filter(dataset="imdb")


def test_arrow_tables(traces, raw):
    assert traces.to_arrow().equals(raw.replace_schema_metadata(None).cast(traces.to_arrow().schema))
    assert pa.table(traces).equals(traces.to_arrow())
    picked = traces.split("test").to_arrow(["experts", "dataset"])
    assert picked.column_names == ["dataset", "experts"] and picked.num_rows == len(traces.split("test"))
    with pytest.raises(fg.DataError, match="no router_logits"):
        traces.to_arrow(["router_logits"])
    with pytest.raises(fg.DataError, match="no column 'expert'; the columns are dataset, sample"):
        traces.to_arrow(["expert"])


def test_a_row_a_token(traces):
    some = traces[5:9]
    table = some.tokens(3).read_all()
    assert table.num_rows == some.num_tokens
    experts = np.concatenate([t.experts[:, 3] for t in some])
    weights = np.concatenate([t.gate_weights[:, 3] for t in some])
    for rank in range(2):
        np.testing.assert_array_equal(table[f"expert_{rank}"].to_numpy(), experts[:, rank])
        np.testing.assert_array_equal(table[f"weight_{rank}"].to_numpy(), weights[:, rank])
    assert table["position"].to_pylist() == [p for t in some for p in range(len(t))]
    assert table["sample"].to_pylist() == [t.sample for t in some for _ in range(len(t))]
    with pytest.raises(fg.UsageError, match="MoE layers 0 to 7"):
        traces.tokens(8)


def test_statistics_are_counts(traces):
    counted = traces.statistics()
    experts = np.concatenate([t.experts for t in traces])
    chosen = np.zeros((len(experts), 8, 8), np.int64)
    np.put_along_axis(chosen, experts.astype(np.int64), 1, -1)
    np.testing.assert_array_equal(counted.usage, chosen.sum(0))
    np.testing.assert_array_equal(counted.transitions, np.einsum("nla,nlb->lab", chosen[:, :-1], chosen[:, 1:]))
    together = np.einsum("nla,nlb->lab", chosen, chosen)
    np.testing.assert_array_equal(np.triu(counted.coactivation), np.triu(together))
    mass = np.zeros((8, 8))
    for text in traces:
        for layer in range(8):
            np.add.at(mass[layer], text.experts[:, layer].ravel(), text.gate_weights[:, layer].ravel().astype(float))
    np.testing.assert_allclose(counted.gate_mass, mass)
    assert counted.gate_histogram.sum() == experts.size and counted.tokens == len(experts) and counted.traces == 60
    share = chosen.sum(0) / chosen.sum((0, 2))[:, None]
    np.testing.assert_allclose(counted.balance["busiest"], share.max(1))
    np.testing.assert_allclose(counted.balance["entropy"], -(share * np.log(share)).sum(1) / np.log(8))
    assert counted.cache_hits["lru"].shape == (8, 8) and (counted.cache_hits["optimal"] >= counted.cache_hits["lru"]).all()
    next_overlap = np.mean([(t.experts[1:, 0, :, None] == t.experts[:-1, 0, None]).any(-1).mean() for t in traces if len(t) > 1])
    assert counted.overlap.lengths[0] == 1 and counted.overlap.values[0, 0] == pytest.approx(next_overlap, abs=0.05)
    assert counted.working_set.values[:, 0].tolist() == [2.0] * 8
    assert counted.information[1].shape == (8, 8) and np.nanmin(counted.information[1]) >= 0
    typical = counted.typical_tokens(1, 2)
    assert typical and typical[0].lift > 1 and typical[0].chosen <= typical[0].tokens
    assert "60 traces" in repr(counted) and "<table>" in counted._repr_html_()
    with pytest.raises(fg.UsageError, match="expected 0 to 7"):
        counted.typical_tokens(8, 0)


def test_statistics_as_tables(traces):
    usage = traces.usage()
    assert usage.column_names == ["dataset", "layer", "expert", "count"] and usage.num_rows == 3 * 8 * 8
    one = traces.filter(dataset="film-reviews").statistics()
    rows = usage.filter(pa.compute.equal(usage["dataset"], "film-reviews"))
    assert rows["count"].to_pylist() == one.usage.ravel().tolist()
    transitions = traces.transitions()
    assert transitions.num_rows == 7 * 64 and sum(transitions["count"].to_pylist()) == traces.num_tokens * 7 * 4
    together = traces.coactivation()
    assert together.num_rows == 8 * 28 and sum(together["count"].to_pylist()) == traces.num_tokens * 8
    # A pair's lift, by hand.
    counted = traces.statistics()
    row = together.slice(0, 1).to_pylist()[0]
    expected = counted.usage[0, 0] * counted.usage[0, 1] / counted.tokens
    assert row["lift"] == pytest.approx(row["count"] / expected)


def test_phases_and_unfinished(demo_trace, tmp_path):
    copy = shutil.copytree(demo_trace, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["complete"] = False
    manifest["datasets"][0]["traces"] += 4
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(fg.DataError, match="not finished: 60 of 64 traces are there"):
        fg.open(copy)
    assert len(fg.open(copy, allow_unfinished=True)) == 60
    assert fg.open(copy, allow_unfinished=True).statistics().usage_by_phase["generated"].sum() == 0


def rewritten(demo_trace, folder, change):
    """A copy whose one shard another program wrote: change(table) -> table."""
    copy = shutil.copytree(demo_trace, folder / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    (shard,) = manifest["shards"]
    pq.write_table(change(pq.read_table(copy / shard["file"])), copy / shard["file"], compression="snappy", row_group_size=7)
    shard["bytes"] = (copy / shard["file"]).stat().st_size
    del shard["features"], shard["feature_bytes"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def test_shards_of_other_programs(demo_trace, traces, tmp_path):
    def change(table):
        wide = {"experts": pa.large_list(pa.int64()), "gate_weights": pa.list_(pa.float32()), "sample": pa.uint32(),
                "token_ids": pa.large_list(pa.uint16())}
        arrays = {n: table[n].cast(wide[n]) if n in wide else table[n] for n in reversed(table.column_names)}
        arrays["dataset"] = table["dataset"].dictionary_encode()
        return pa.table(arrays)

    other = fg.open(rewritten(demo_trace, tmp_path, change))
    assert other.to_arrow().equals(traces.to_arrow())
    np.testing.assert_array_equal(other.statistics().usage, traces.statistics().usage)
    assert [t.sample for t in other.split("test")] == [t.sample for t in traces.split("test")]


def set_value(table, name, row, place, value):
    rows = table[name].to_pylist()
    rows[row][place] = value
    return table.set_column(table.column_names.index(name), name, pa.array(rows, pa.list_(pa.int64())))


@pytest.mark.parametrize("change, saying", [
    (lambda t: set_value(t, "experts", 9, 3, 8), r"row 9 \(.*'experts' has expert 8 at token 0, MoE layer 1"),
    (lambda t: set_value(t, "experts", 9, 3, t["experts"][9][2].as_py()), "twice at token 0"),
    (lambda t: set_value(t, "experts", 9, 3, 300), "column 'experts' does not fit"),
    (lambda t: set_value(t, "token_ids", 2, 0, 4096), "expected ids of a vocabulary of 4096"),
    (lambda t: t.drop_columns("experts"), "expected one column 'experts', found 0"),
    (lambda t: t.set_column(1, "sample", pa.array([None] + [1] * 59)), "'sample' is null in row 0"),
    (lambda t: t.set_column(1, "sample", pa.array(["a"] * 60)), "column 'sample' is string; expected int64"),
    (lambda t: t.set_column(2, "num_tokens", pa.array([5] * 60)), "'prompt_tokens' is .*; expected 0 to num_tokens = 5"),
    (lambda t: set_value(t, "token_ids", 3, slice(0, 1), []), "'token_ids' has .* values; expected"),
    (lambda t: t.slice(1), "has 59 rows; the manifest says 60"),
])
def test_broken_values_are_named(demo_trace, tmp_path, change, saying):
    broken = rewritten(demo_trace, tmp_path, change)
    with pytest.raises(fg.DataError, match=saying) as raised:
        fg.open(broken).to_arrow()
    assert str(broken) in str(raised.value) and "\n" not in str(raised.value)


def test_broken_files_are_named(demo_trace, tmp_path):
    with pytest.raises(fg.NotFoundError, match="is not a trace directory: no manifest.json"):
        fg.open(tmp_path / "nowhere")
    copy = shutil.copytree(demo_trace, tmp_path / "copy")
    shard = copy / "part-00000.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(fg.DataError, match="the manifest says"):
        fg.open(copy)
    shard.write_bytes(whole[: len(whole) // 2] + b"\x00\x01" + whole[len(whole) // 2 + 2:])
    with pytest.raises(fg.DataError, match="part-00000.parquet"):
        fg.open(copy).to_arrow()
    shard.unlink()
    with pytest.raises(fg.DataError, match="the manifest names this file"):
        fg.open(copy)
    (copy / "manifest.json").write_text('{"format": "foregate-trace", "format_version": 2}')
    with pytest.raises(fg.DataError, match="use a newer foregate"):
        fg.open(copy)
