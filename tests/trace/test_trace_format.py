"""The trace format seen from outside: what foregate writes, read with pyarrow alone; what pyarrow writes, read
by foregate; and broken files. The values are those of fixture.h, computed here a second time."""
import hashlib
import json
import os
import pathlib
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

LAYERS, EXPERTS, TOP_K, VOCABULARY = 3, 60, 4, 1000
SHARDS, ROWS = 3, 20


def fixture_tokens(i):
    return 1 + 37 * i % 50


def expected(i):
    """Trace i by the formulas of fixture.h."""
    n = fixture_tokens(i)
    t, l, r = np.ogrid[:n, :LAYERS, :TOP_K]
    e = np.arange(EXPERTS)
    return {
        "dataset": "odd" if i % 2 else "even",
        "sample": 10 * i + 3,
        "num_tokens": n,
        "prompt_tokens": n,
        "token_ids": (131 * i + 7 * np.arange(n)) % VOCABULARY,
        "experts": (i + 3 * t + 5 * l + 7 * r) % EXPERTS,
        "gate_weights": (np.float32(1) / (r + 1 + (i + t + l) % 4).astype(np.float32)).astype(np.float16),
        "router_logits": (((i + 2 * t + 3 * l + 5 * e) % 41 - 20) / 8).astype(np.float16),
    }


def fixture(mode, directory, check=True):
    program = os.environ.get("FOREGATE_TRACE_FIXTURE")
    if not program:
        pytest.fail("FOREGATE_TRACE_FIXTURE is not set: run this test with ctest")
    done = subprocess.run([program, mode, str(directory)], capture_output=True, text=True, timeout=120)
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("trace")
    fixture("write", directory)
    return directory


def shard(directory, index):
    return directory / f"part-{index:05d}.parquet"


# --- written by foregate, read with pyarrow ---


def test_types(written):
    schema = pq.read_schema(shard(written, 0))
    assert schema.names == list(expected(0))
    types = [schema.field(name).type for name in schema.names]
    assert types[:4] == [pa.string(), pa.int64(), pa.int32(), pa.int32()]
    elements = [pa.int32(), pa.uint8(), pa.float16(), pa.float16()]
    assert [t.value_type for t in types[4:]] == elements
    assert all(pa.types.is_list(t) for t in types[4:])
    assert not any(schema.field(name).nullable for name in schema.names)


def test_values(written):
    i = 0
    for index in range(SHARDS):
        for row in pq.read_table(shard(written, index)).to_pylist():
            for name, value in expected(i).items():
                if isinstance(value, np.ndarray):
                    np.testing.assert_array_equal(np.array(row[name], value.dtype), value.ravel(), f"{name} of {i}")
                else:
                    assert row[name] == value
            i += 1
    assert i == SHARDS * ROWS


def test_ranges(written):
    table = pa.concat_tables(pq.read_table(shard(written, index)) for index in range(SHARDS))
    experts = table["experts"].combine_chunks().flatten().to_numpy()
    weights = table["gate_weights"].combine_chunks().flatten().to_numpy()
    assert experts.min() == 0 and experts.max() == EXPERTS - 1
    decisions = experts.reshape(-1, TOP_K)
    assert all(len(set(decision)) == TOP_K for decision in decisions)
    assert (np.diff(weights.reshape(-1, TOP_K).astype(np.float32)) <= 0).all()
    assert np.isfinite(weights).all() and (weights > 0).all() and (weights <= 1).all()


def test_a_shard_explains_itself(written):
    metadata = pq.read_metadata(shard(written, 1)).metadata
    assert metadata[b"foregate.format_version"] == b"1"
    assert metadata[b"foregate.model"] == b"test-org/fixture"
    manifest = json.loads((written / "manifest.json").read_text())
    assert json.loads(metadata[b"foregate.geometry"]) == manifest["geometry"]
    assert manifest["geometry"] == {
        "num_moe_layers": LAYERS, "num_experts": EXPERTS, "top_k": TOP_K, "hidden_size": 16,
        "vocab_size": VOCABULARY, "num_decoder_layers": 6, "moe_layers": [1, 3, 5]}


def test_the_manifest_describes_the_shards(written):
    manifest = json.loads((written / "manifest.json").read_text())
    assert manifest["format"] == "foregate-trace" and manifest["format_version"] == 1 and manifest["complete"]
    assert [s["file"] for s in manifest["shards"]] == [shard(written, i).name for i in range(SHARDS)]
    for entry in manifest["shards"]:
        content = (written / entry["file"]).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        table = pq.read_table(written / entry["file"])
        assert entry["rows"] == table.num_rows
        assert entry["tokens"] == sum(table["num_tokens"].to_pylist())
    assert {d["name"]: d["traces"] for d in manifest["datasets"]} == {"even": 30, "odd": 30}


def test_compression_and_checksums(written):
    metadata = pq.read_metadata(shard(written, 0))
    columns = [metadata.row_group(0).column(c) for c in range(metadata.num_columns)]
    assert {c.compression for c in columns} == {"ZSTD"}
    pq.read_table(shard(written, 0), page_checksum_verification=True)


def test_the_documented_example(written, monkeypatch):
    """Runs the pyarrow example of docs/trace-format.md as it stands there."""
    text = (pathlib.Path(__file__).parents[2] / "docs/trace-format.md").read_text()
    code = text.split("<!-- example: pyarrow -->")[1].split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(written.parent)
    names = {}
    exec(code.replace('"traces"', repr(written.name)), names)
    assert names["experts"].shape == (fixture_tokens(0), LAYERS, TOP_K)
    np.testing.assert_array_equal(names["experts"], expected(0)["experts"])
    np.testing.assert_array_equal(names["weights"], expected(0)["gate_weights"])
    assert names["counts"].sum() == sum(map(fixture_tokens, range(SHARDS * ROWS))) * LAYERS * TOP_K


# --- written by pyarrow, read by foregate ---


def rewrite(directory, source, change=lambda table: table, **options):
    """A one-shard trace directory whose shard pyarrow wrote from the fixture's first."""
    directory.mkdir(exist_ok=True)
    table = change(pq.read_table(shard(source, 0)))
    pq.write_table(table, shard(directory, 0), **options)
    manifest = json.loads((source / "manifest.json").read_text())
    content = shard(directory, 0).read_bytes()
    manifest["shards"] = [{"file": "part-00000.parquet", "rows": table.num_rows, "bytes": len(content),
                           "tokens": sum(map(fixture_tokens, range(ROWS))),
                           "sha256": hashlib.sha256(content).hexdigest()}]
    for dataset in manifest["datasets"]:
        dataset["traces"] = table.num_rows // 2
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def replace(table, name, values, type=None):
    index = table.schema.get_field_index(name)
    return table.set_column(index, name, pa.chunked_array([pa.array(values, type)]))


def wide_types(table):
    types = {"dataset": pa.large_string(), "sample": pa.int32(), "num_tokens": pa.int64(), "prompt_tokens": pa.uint16(),
             "token_ids": pa.large_list(pa.int64()), "experts": pa.large_list(pa.int32())}
    for name in ["gate_weights", "router_logits"]:
        types[name] = pa.list_(pa.float32() if name == "gate_weights" else pa.float64())
    for name, type in types.items():
        table = replace(table, name, table[name].to_pylist(), type)
    return table


REWRITTEN = {
    "as it is": (lambda table: table, {}),
    "no dictionary, snappy, small pages": (lambda table: table, dict(
        use_dictionary=False, compression="snappy", data_page_size=100, data_page_version="2.0")),
    "one row a group": (lambda table: table, dict(row_group_size=1)),
    "without metadata": (lambda table: table.replace_schema_metadata({}), {}),
    "stored Arrow schema, wide types": (wide_types, dict(store_schema=True)),
    "wide types": (wide_types, dict(store_schema=False)),
    "encoded dataset": (lambda table: table.set_column(0, "dataset", table["dataset"].dictionary_encode()), {}),
    "other order, extra column": (lambda table: table.select(table.column_names[::-1]).append_column(
        "note", pa.array(["x"] * table.num_rows)), {}),
    "many chunks": (lambda table: pa.concat_tables(table.slice(i, 1) for i in range(table.num_rows)), {}),
    "byte stream split": (lambda table: table, dict(
        use_dictionary=False, column_encoding={"gate_weights.list.element": "BYTE_STREAM_SPLIT"})),
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_foregate_reads_what_pyarrow_writes(written, tmp_path, name):
    change, options = REWRITTEN[name]
    directory = rewrite(tmp_path / "trace", written, change, **options)
    lines = [json.loads(line) for line in fixture("read", directory).stdout.splitlines()]
    assert len(lines) == ROWS
    for i, line in enumerate(lines):
        for key, value in expected(i).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(np.array(line[key], value.dtype), value.ravel())
            else:
                assert line[key] == value


def test_one_byte_lists_of_a_fixed_size(written, tmp_path):
    def change(table):
        table = table.filter(pa.compute.equal(table["num_tokens"], fixture_tokens(4)))
        size = fixture_tokens(4) * LAYERS * TOP_K
        return replace(table, "experts", table["experts"].to_pylist(), pa.list_(pa.uint8(), size))

    directory = rewrite(tmp_path / "trace", written, change)
    manifest = json.loads((directory / "manifest.json").read_text())
    for dataset, traces in zip(manifest["datasets"], [1, 0]):
        dataset["traces"] = traces
    (directory / "manifest.json").write_text(json.dumps(manifest))
    line = json.loads(fixture("read", directory).stdout)
    np.testing.assert_array_equal(line["experts"], expected(4)["experts"].ravel())


def test_splits_agree_on_both_ways_to_write(written, tmp_path):
    directory = rewrite(tmp_path / "trace", written, wide_types)
    sides = fixture("split", directory).stdout.split()
    assert len(sides) == ROWS and set(sides) == {"train", "validation", "test"}
    again = rewrite(tmp_path / "again", written)
    assert fixture("split", again).stdout.split() == sides


# --- broken files ---


def swap(table, one, other):
    names = [{one: other, other: one}.get(name, name) for name in table.column_names]
    return table.rename_columns(names)


def edit(table, name, row, change):
    values = table[name].to_pylist()
    values[row] = change(values[row])
    return replace(table, name, values, table.schema.field(name).type)


def set_item(index, value):
    def change(values):
        values[index] = value
        return values
    return change


def as_type(name, type):
    return lambda table: replace(table, name, table[name].to_pylist(), type)


def after(first, second):
    return lambda table: second(first(table))


BROKEN = {
    "swapped experts and ids": (lambda t: swap(t, "experts", "token_ids"), ["row 0", "token_ids"]),
    "swapped weights and logits": (lambda t: swap(t, "gate_weights", "router_logits"), ["row 0", "gate_weights"]),
    "swapped experts and weights": (lambda t: swap(t, "experts", "gate_weights"), ["column 'experts'", "halffloat"]),
    "swapped dataset and sample": (lambda t: swap(t, "dataset", "sample"), ["column 'dataset'", "int64", "string"]),
    "no experts": (lambda t: t.drop_columns(["experts"]), ["'experts'", "found 0", "columns: dataset, sample"]),
    "experts as text": (lambda t: replace(t, "experts", ["1,2"] * t.num_rows), ["column 'experts'", "string"]),
    "experts as a struct": (lambda t: replace(t, "experts", [{"a": 1, "b": 2}] * t.num_rows), ["'experts'", "struct"]),
    "expert too large": (lambda t: edit(t, "experts", 7, set_item(13, EXPERTS)),
                         ["row 7", "expert 60", "less than 60"]),
    "expert negative": (after(as_type("experts", pa.list_(pa.int32())),
                              lambda t: edit(t, "experts", 7, set_item(3, -1))),
                        ["row 7", "-1", "position 3"]),
    "expert twice": (lambda t: edit(t, "experts", 3, lambda v: v[:4] + [v[5]] + v[5:]),
                     ["row 3", "twice", "MoE layer 1"]),
    "experts too short": (lambda t: edit(t, "experts", 19, lambda v: v[:-1]), ["row 19", "experts", "expected"]),
    "experts empty": (lambda t: edit(t, "experts", 0, lambda v: []), ["row 0", "'experts' has 0 values"]),
    "ids too long": (lambda t: edit(t, "token_ids", 5, lambda v: v + [1]), ["row 5", "token_ids"]),
    "id outside the vocabulary": (lambda t: edit(t, "token_ids", 5, set_item(2, VOCABULARY)),
                                  ["row 5", "1000", "token 2"]),
    "logits too short": (lambda t: edit(t, "router_logits", 1, lambda v: v[1:]), ["row 1", "router_logits"]),
    "weights not ranked": (lambda t: edit(t, "gate_weights", 2, lambda v: v[::-1]), ["row 2", "largest first"]),
    "weight not a number": (lambda t: edit(t, "gate_weights", 2, set_item(0, np.float16("nan"))),
                            ["row 2 (", "nan at token 0, MoE layer 0 (decoder layer 1)", "finite"]),
    "weight too large": (after(as_type("gate_weights", pa.list_(pa.float32())),
                               lambda t: edit(t, "gate_weights", 2, set_item(0, 1e6))), ["row 2", "inf"]),
    "no tokens": (lambda t: edit(t, "num_tokens", 4, lambda v: 0), ["row 4", "'num_tokens' is 0"]),
    "prompt longer than the text": (lambda t: edit(t, "prompt_tokens", 4, lambda v: v + 1), ["row 4", "prompt_tokens"]),
    "null text": (lambda t: edit(as_type("dataset", pa.string())(t), "dataset", 6, lambda v: None),
                  ["row 6", "'dataset' is null"]),
    "null list": (lambda t: edit(as_type("experts", pa.list_(pa.uint8()))(t), "experts", 6, lambda v: None),
                  ["row 6", "'experts' is null"]),
    "null in a list": (lambda t: edit(as_type("experts", pa.list_(pa.uint8()))(t), "experts", 6, set_item(9, None)),
                       ["row 6", "null", "position 9"]),
    "other geometry": (lambda t: t.replace_schema_metadata({"foregate.geometry": json.dumps({
        "num_moe_layers": 1, "num_experts": 8, "top_k": 2, "hidden_size": 4, "vocab_size": 9, "num_decoder_layers": 1,
        "moe_layers": [0]})}), ["another model", "num_moe_layers is 1, expected 3"]),
    "broken geometry": (lambda t: t.replace_schema_metadata({"foregate.geometry": "{"}), ["foregate.geometry", "JSON"]),
    "newer format": (lambda t: t.replace_schema_metadata({"foregate.format_version": "2"}), ["'2'", "version 1"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_shards_are_named(written, tmp_path, name):
    change, saying = BROKEN[name]
    directory = rewrite(tmp_path / "trace", written, change)
    done = fixture("read", directory, check=False)
    assert done.returncode == 1, done.stdout
    assert done.stderr.count("\n") == 1
    for words in [str(shard(directory, 0)), *saying]:
        assert words in done.stderr, done.stderr
