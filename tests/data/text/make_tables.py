"""Makes the tables beside it; run it with the project's Python (pyarrow)."""
import pathlib

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

HERE = pathlib.Path(__file__).parent

table = pa.table({
    "label": pa.array([1, 0, 1, 0, 1]),
    "kind": pa.array(["a", "b", "a", "b", "a"]).dictionary_encode(),
    "text": pa.array(["first", "zweites \u00e4", None, "fourth", " "], pa.large_string()),
    "meta": pa.array([{"note": "n0", "n": 1}, {"note": None, "n": 2}, None, {"note": "n3", "n": 4}, {"note": "", "n": 5}]),
    "options": pa.array([["x"], [], None, ["y", "z"], []]),
})
pa.parquet.write_table(table, HERE / "table.parquet", row_group_size=2, compression="zstd")
with pa.ipc.new_file(str(HERE / "table.arrow"), table.schema) as writer:
    writer.write_table(table, max_chunksize=3)
with pa.ipc.new_stream(str(HERE / "table_stream.arrow"), table.schema) as writer:
    writer.write_table(table, max_chunksize=3)
