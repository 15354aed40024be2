"""Traces: a directory of them, or some of its texts, and single texts as NumPy arrays."""

from __future__ import annotations

import os
import pathlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from . import _core, _tables
from ._columns import list_parts
from ._directory import Directory, Group, split_by_group
from .errors import UsageError

if TYPE_CHECKING:
    import pandas
    import torch

    from .statistics import Statistics

SplitName = Literal["train", "validation", "test"]


def open(path: str | os.PathLike[str], *, allow_unfinished: bool = False) -> Traces:
    """The traces in a directory that `foregate collect`, `foregate import` or TraceWriter wrote.

    Cheap: the manifest is read and checked, shards are opened when they are needed. Raises NotFoundError if there is no
    trace, DataError if it is broken, of a newer format, or unfinished (unless `allow_unfinished`).
    """
    return Traces(Directory(path, allow_unfinished=allow_unfinished), None)


class Trace:
    """One text's complete record. Arrays are read-only views of decoded memory.

    token_ids int32 [n]; experts uint8 or uint16 [n, L, k], largest gate weight first; gate_weights float16 [n, L, k] and
    router_logits float16 [n, L, E], or None where they were not recorded.
    """

    __slots__ = ("dataset", "experts", "gate_weights", "prompt_tokens", "router_logits", "sample", "token_ids")

    def __init__(self, batch: pa.RecordBatch, row: int, geometry: _core.Geometry) -> None:
        self.dataset: str = batch["dataset"][row].as_py()
        self.sample: int = batch["sample"][row].as_py()
        self.prompt_tokens: int = batch["prompt_tokens"][row].as_py()
        shape = (-1, geometry.num_moe_layers)
        self.token_ids: npt.NDArray[np.int32] = _values(batch, "token_ids", row)
        self.experts: npt.NDArray[Any] = _values(batch, "experts", row).reshape(*shape, geometry.top_k)
        self.gate_weights: npt.NDArray[np.float16] | None = None
        self.router_logits: npt.NDArray[np.float16] | None = None
        if "gate_weights" in batch.schema.names:
            self.gate_weights = _values(batch, "gate_weights", row).reshape(*shape, geometry.top_k)
        if "router_logits" in batch.schema.names:
            self.router_logits = _values(batch, "router_logits", row).reshape(*shape, geometry.num_experts)

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids)

    def __len__(self) -> int:
        return len(self.token_ids)

    def to_torch(self) -> dict[str, torch.Tensor]:
        """Copies as torch tensors by name; experts as int64, so that they can index."""
        import torch

        tensors = {
            "token_ids": torch.from_numpy(self.token_ids.astype(np.int64)),
            "experts": torch.from_numpy(self.experts.astype(np.int64)),
        }
        if self.gate_weights is not None:
            tensors["gate_weights"] = torch.from_numpy(self.gate_weights.copy())
        if self.router_logits is not None:
            tensors["router_logits"] = torch.from_numpy(self.router_logits.copy())
        return tensors

    def __repr__(self) -> str:
        return f"Trace({self.dataset!r} {self.sample}, {self.num_tokens} tokens)"


def _values(batch: pa.RecordBatch, name: str, row: int) -> npt.NDArray[Any]:
    offsets, values = list_parts(batch[name])
    return values[offsets[row] : offsets[row + 1]]


class Traces:
    """The texts of a trace directory, or some of them, in reading order. Never changes."""

    def __init__(self, directory: Directory, chosen: npt.NDArray[np.int64] | None) -> None:
        self._directory = directory
        self._chosen = chosen
        self._lock = threading.Lock()
        self._statistics: Statistics | None = None

    # -- what it is

    @property
    def path(self) -> pathlib.Path:
        return self._directory.path

    @property
    def geometry(self) -> _core.Geometry:
        """The shape of the model: `num_moe_layers` (L), `num_experts` (E), `top_k` (k), ..."""
        return self._directory.geometry

    @property
    def manifest(self) -> Mapping[str, Any]:
        """manifest.json: the model, how it was recorded, datasets and shards."""
        return MappingProxyType(self._directory.manifest)

    @property
    def model(self) -> str:
        return str(self._directory.manifest["model"])

    @property
    def columns(self) -> list[str]:
        return list(self._directory.schema.names)

    def __len__(self) -> int:
        return self._directory.num_rows if self._chosen is None else len(self._chosen)

    @property
    def num_tokens(self) -> int:
        if self._chosen is None:
            return sum(int(shard["tokens"]) for shard in self._directory.manifest["shards"])
        return int(self._directory.scalars()["num_tokens"].to_numpy()[self._chosen].sum())

    def __repr__(self) -> str:
        g = self.geometry
        return (
            f"Traces({str(self.path)!r}: {self.model}, {g.num_moe_layers} MoE layers, {g.num_experts} experts, "
            f"top-{g.top_k}; {len(self):,} traces, {self.num_tokens:,} tokens)"
        )

    def _repr_html_(self) -> str:
        return _tables.summary_html(self)

    # -- texts

    def _with(self, chosen: npt.NDArray[Any]) -> Traces:
        return Traces(self._directory, np.asarray(chosen, dtype=np.int64))

    def _indices(self) -> npt.NDArray[np.int64]:
        return np.arange(self._directory.num_rows, dtype=np.int64) if self._chosen is None else self._chosen

    @overload
    def __getitem__(self, index: int) -> Trace: ...
    @overload
    def __getitem__(self, index: slice) -> Traces: ...
    def __getitem__(self, index: int | slice) -> Trace | Traces:
        if isinstance(index, slice):
            if index.step is not None and index.step < 1:
                raise UsageError("traces keep their reading order; expected a slice with a positive step")
            return self._with(self._indices()[index])
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"trace {index} of {size}")
        row = int(self._indices()[index])
        groups = self._directory.groups()
        place = int(np.searchsorted([group.first for group in groups], row, side="right")) - 1
        batch = self._directory.kept_group(groups[place])
        return Trace(batch, row - groups[place].first, self.geometry)

    def __iter__(self) -> Iterator[Trace]:
        for _, places, batch in self._groups(self._directory.schema.names):
            for row in range(batch.num_rows) if places is None else places.tolist():
                yield Trace(batch, row, self.geometry)

    def _groups(self, columns: Sequence[str]) -> Iterator[tuple[Group, npt.NDArray[Any] | None, pa.RecordBatch]]:
        wanted = list(split_by_group(self._directory.groups(), self._chosen))
        places = {(group.shard, group.index): here for group, here in wanted}
        for group, batch in self._directory.read_groups([group for group, _ in wanted], columns):
            yield group, places[group.shard, group.index], batch

    def split(self, name: SplitName, *, validation: float = 0.1, test: float = 0.1) -> Traces:
        """Those of these texts that belong to a split.

        The rule is the format's (docs/trace-format.md) and the program's: by text, stratified by dataset, near-duplicates
        on one side, fixed by the manifest's seed. It always looks at all texts of the directory.
        """
        names = _core.split_names()
        if name not in names:
            raise UsageError(f"split is {name!r}; expected {', '.join(names)}")
        splits = self._directory.splits(validation, test)
        indices = self._indices()
        return self._with(indices[splits[indices] == names.index(name)])

    def filter(
        self, *, dataset: str | Sequence[str] | None = None, min_tokens: int = 0, max_tokens: int | None = None
    ) -> Traces:
        """Those of these texts that come from a dataset (or one of several) and are so long."""
        scalars = self._directory.scalars()
        keep = np.ones(scalars.num_rows, dtype=bool)
        if dataset is not None:
            names = [dataset] if isinstance(dataset, str) else list(dataset)
            known = {entry["name"] for entry in self._directory.manifest["datasets"]}
            for name in names:
                if name not in known:
                    raise UsageError(f"there is no dataset {name!r}; this trace has {', '.join(sorted(known))}")
            keep &= np.isin(np.array(scalars["dataset"].to_pylist(), dtype=object), names)
        lengths = scalars["num_tokens"].to_numpy()
        keep &= lengths >= min_tokens
        if max_tokens is not None:
            keep &= lengths <= max_tokens
        indices = self._indices()
        return self._with(indices[keep[indices]])

    # -- tables

    def reader(self, columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """A row a text, streamed a row group at a time. Columns as in docs/trace-format.md."""
        names = self._directory.columns(columns)
        schema = pa.schema([self._directory.schema.field(name) for name in names])

        def batches() -> Iterator[pa.RecordBatch]:
            for _, places, batch in self._groups(names):
                yield batch if places is None else batch.take(pa.array(places))

        return pa.RecordBatchReader.from_batches(schema, batches())

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """A row a text, in memory."""
        return self.reader(columns).read_all()

    def to_pandas(self, columns: Sequence[str] | None = None) -> pandas.DataFrame:
        return self.to_arrow(columns).to_pandas()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """For `pa.table(traces)`, `polars.DataFrame(traces)`, DuckDB and others that speak the Arrow PyCapsule interface."""
        return self.reader().__arrow_c_stream__(requested_schema)

    def texts(self) -> pa.Table:
        """What identifies each text: dataset, sample, num_tokens, prompt_tokens."""
        table = self._directory.scalars()
        return table if self._chosen is None else table.take(pa.array(self._chosen))

    def tokens(self, layer: int) -> pa.RecordBatchReader:
        """A row a token of one MoE layer: dataset, sample, position, token_id, expert_0 ..., and weight_0 ... if there are
        gate weights; streamed."""
        if not 0 <= layer < self.geometry.num_moe_layers:
            raise UsageError(f"layer is {layer}; the model has MoE layers 0 to {self.geometry.num_moe_layers - 1}")
        names = [name for name in self._directory.schema.names if name != "router_logits"]
        schema = _tables.token_schema(self.geometry, self._directory.schema)

        def batches() -> Iterator[pa.RecordBatch]:
            for _, places, batch in self._groups(names):
                chosen = batch if places is None else batch.take(pa.array(places))
                yield _tables.token_rows(chosen, self.geometry, layer, schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    # -- statistics

    def statistics(self, *, progress: bool = False) -> Statistics:
        """Everything that the report counts, over these texts, by the C++ accumulators on all cores; computed once."""
        from .statistics import compute

        with self._lock:
            if self._statistics is None:
                self._statistics = compute(self._directory, self._chosen, progress)
            return self._statistics

    def usage(self) -> pa.Table:
        """How often each expert was chosen: dataset, layer, expert, count."""
        return self.statistics().usage_table()

    def transitions(self) -> pa.Table:
        """Tokens by an expert at a layer and one at the next: layer, expert, next_expert, count, lift."""
        return self.statistics().transitions_table()

    def coactivation(self) -> pa.Table:
        """Tokens by two experts of one layer that they chose together: layer, expert, other_expert, count, lift."""
        return self.statistics().coactivation_table()
