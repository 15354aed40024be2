"""Tables made of traces: a row a token, and the summary that notebooks show."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from . import _core
from ._columns import list_parts

if TYPE_CHECKING:
    from .traces import Traces


def token_schema(geometry: _core.Geometry, shard: pa.Schema) -> pa.Schema:
    ranks = range(geometry.top_k)
    fields = [
        ("dataset", pa.string()),
        ("sample", pa.int64()),
        ("position", pa.int32()),
        ("token_id", pa.int32()),
        *((f"expert_{rank}", shard.field("experts").type.value_type) for rank in ranks),
    ]
    if "gate_weights" in shard.names:
        fields += [(f"weight_{rank}", pa.float16()) for rank in ranks]
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields])


def token_rows(batch: pa.RecordBatch, geometry: _core.Geometry, layer: int, schema: pa.Schema) -> pa.RecordBatch:
    """The tokens of some texts at one MoE layer."""
    lengths = batch["num_tokens"].to_numpy()
    text_of = np.repeat(np.arange(batch.num_rows), lengths)
    firsts = np.cumsum(lengths) - lengths
    arrays = [
        batch["dataset"].take(pa.array(text_of)),
        pa.array(batch["sample"].to_numpy()[text_of]),
        pa.array((np.arange(len(text_of)) - firsts[text_of]).astype(np.int32)),
        batch["token_ids"].flatten(),
    ]
    for name in ("experts", "gate_weights"):
        if name not in batch.schema.names:
            continue
        offsets, values = list_parts(batch[name])
        here = values[offsets[0] : offsets[-1]].reshape(-1, geometry.num_moe_layers, geometry.top_k)[:, layer]
        arrays += [pa.array(np.ascontiguousarray(here[:, rank])) for rank in range(geometry.top_k)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def summary_html(traces: Traces) -> str:
    """A small table: the model, its shape, and texts by dataset."""
    g = traces.geometry
    texts = traces.texts()
    lengths = texts["num_tokens"].to_numpy()
    names = np.array(texts["dataset"].to_pylist(), dtype=object)
    rows = [
        f"<tr><td>{html.escape(name)}</td><td>{(names == name).sum():,}</td><td>{lengths[names == name].sum():,}</td></tr>"
        for name in dict.fromkeys(names.tolist())
    ]
    title = html.escape(f"{traces.model}: {g.num_moe_layers} MoE layers, {g.num_experts} experts, top-{g.top_k}")
    columns = html.escape(", ".join(traces.columns[4:]))
    return (
        f"<table><caption>{title}<br><small>{html.escape(str(traces.path))}; {columns}</small></caption>"
        f"<thead><tr><th>dataset</th><th>traces</th><th>tokens</th></tr></thead><tbody>{''.join(rows)}</tbody>"
        f"<tfoot><tr><th>all</th><th>{len(texts):,}</th><th>{lengths.sum():,}</th></tr></tfoot></table>"
    )
