"""Columns of a shard: their Arrow types as foregate writes them, and Arrow batches as NumPy arrays without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from . import _core
from .errors import DataError

SCALARS = ("dataset", "sample", "num_tokens", "prompt_tokens")
LISTS = ("token_ids", "experts", "gate_weights", "router_logits")

Array = npt.NDArray[Any]

# pyarrow asks pandas for this mapping, which need not be there.
NUMPY: dict[pa.DataType, type[np.generic]] = {
    pa.int32(): np.int32,
    pa.uint8(): np.uint8,
    pa.uint16(): np.uint16,
    pa.float16(): np.float16,
}


def _list_of(value: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", value, nullable=False))


def shard_schema(geometry: _core.Geometry, gate_weights: bool, router_logits: bool) -> pa.Schema:
    """The columns of a shard, as docs/trace-format.md has them."""
    experts = pa.uint8() if geometry.num_experts <= 256 else pa.uint16()
    fields = [
        ("dataset", pa.string()),
        ("sample", pa.int64()),
        ("num_tokens", pa.int32()),
        ("prompt_tokens", pa.int32()),
        ("token_ids", _list_of(pa.int32())),
        ("experts", _list_of(experts)),
    ]
    if gate_weights:
        fields.append(("gate_weights", _list_of(pa.float16())))
    if router_logits:
        fields.append(("router_logits", _list_of(pa.float16())))
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields])


def canonical(column: pa.Array, field: pa.Field, where: str) -> pa.Array:
    """The column in foregate's own type: other writers may use any list, any integers and wider floats."""
    if column.null_count:
        raise DataError(f"{where}: '{field.name}' is null in row {_first_null(column)}; expected a value in every row")
    if column.type != field.type:
        column = _cast(column, field, where)
    if pa.types.is_list(column.type) and column.values.null_count:
        raise DataError(f"{where}: a list of '{field.name}' holds null; expected a value in every place")
    return column


def _first_null(column: pa.Array) -> int:
    return int(column.is_null().index(True).as_py())


def _cast(column: pa.Array, field: pa.Field, where: str) -> pa.Array:
    wanted = field.type
    kinds = pa.types
    is_list = kinds.is_list(column.type) or kinds.is_large_list(column.type) or kinds.is_fixed_size_list(column.type)
    if is_list != kinds.is_list(wanted):
        raise DataError(f"{where}: column '{field.name}' is {column.type}; expected {wanted}")
    found, value = (column.type.value_type, wanted.value_type) if is_list else (column.type, wanted)
    fits = (
        kinds.is_integer(found)
        if kinds.is_integer(value)
        else kinds.is_floating(found)
        if kinds.is_floating(value)
        else kinds.is_string(found) or kinds.is_large_string(found) or kinds.is_dictionary(found)
    )
    if not fits:
        raise DataError(f"{where}: column '{field.name}' is {column.type}; expected {wanted}")
    try:
        return column.cast(wanted)
    except pa.ArrowInvalid as error:
        raise DataError(f"{where}: column '{field.name}' does not fit {wanted}: {error}") from None


def list_parts(column: pa.Array) -> tuple[Array, Array]:
    """(offsets int64 [rows + 1], values) of a list column; the values are a view."""
    offsets = column.offsets.to_numpy().astype(np.int64)
    return offsets, column.values.to_numpy(zero_copy_only=True)


def halves(parts: tuple[Array, Array]) -> tuple[Array, Array]:
    """Float16 values as their bits, which is how C++ takes them."""
    return parts[0], parts[1].view(np.uint16)


def rows_of(batch: pa.RecordBatch) -> _core.Rows:
    """The batch's columns, as far as they are there, for C++; it must have those of SCALARS and be canonical."""
    encoded = batch["dataset"].dictionary_encode()
    columns: dict[str, Any] = {}
    names = batch.schema.names
    if "token_ids" in names:
        columns["token_ids"] = list_parts(batch["token_ids"])
    if "experts" in names:
        parts = list_parts(batch["experts"])
        columns["narrow_experts" if parts[1].dtype == np.uint8 else "wide_experts"] = parts
    for name in ("gate_weights", "router_logits"):
        if name in names:
            columns[name] = halves(list_parts(batch[name]))
    return _core.Rows(
        datasets=encoded.dictionary.to_pylist(),
        dataset_of=encoded.indices.to_numpy().astype(np.int32),
        samples=batch["sample"].to_numpy(),
        num_tokens=batch["num_tokens"].to_numpy().astype(np.int64),
        prompt_tokens=batch["prompt_tokens"].to_numpy().astype(np.int64),
        **columns,
    )
