"""A trace directory on disk: its manifest, and row groups of its shards, decoded and checked."""

from __future__ import annotations

import json
import os
import pathlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import _core
from ._columns import LISTS, SCALARS, Array, canonical, rows_of, shard_schema
from .errors import DataError, NotFoundError, StorageError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Group:
    """A row group: where it is, and which of the directory's rows it holds."""

    shard: int
    index: int
    first_in_shard: int
    first: int
    rows: int


def read_manifest(path: pathlib.Path) -> dict[str, Any]:
    """manifest.json of a directory, held against the format by the code that the program uses."""
    file = path / MANIFEST
    try:
        text = file.read_text()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"{path} is not a trace directory: no {MANIFEST} in it; expected one that 'foregate collect', "
            "'foregate import' or TraceWriter wrote"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"cannot read {file}: {error}") from None
    _core.check_manifest(text, str(file))
    manifest: dict[str, Any] = json.loads(text)
    return manifest


class Directory:
    """Cheap to make: shards are opened when they are read. One decoded row group is kept, for those who look at texts
    one by one. May be used by several threads."""

    def __init__(self, path: str | os.PathLike[str], *, allow_unfinished: bool) -> None:
        self.path = pathlib.Path(path)
        self.manifest = read_manifest(self.path)
        self.geometry = _core.Geometry.from_json(json.dumps(self.manifest["geometry"]), str(self.path / MANIFEST))
        self.schema = shard_schema(self.geometry, self.manifest["gate_weights"], self.manifest["router_logits"])
        if not (self.manifest["complete"] or allow_unfinished):
            planned = sum(dataset["traces"] for dataset in self.manifest["datasets"])
            raise DataError(
                f"{self.path}: not finished: {self.num_rows:,} of {planned:,} traces are there; run what wrote it again, "
                "or open it with allow_unfinished=True"
            )
        for shard in self.manifest["shards"]:
            self._require_size(shard["file"], shard["bytes"])
            if "features" in shard:
                self._require_size(shard["features"], shard["feature_bytes"])
        self._lock = threading.Lock()
        self._groups: list[Group] | None = None
        self._kept: tuple[tuple[int, int], pa.RecordBatch] | None = None
        self._scalars: pa.Table | None = None
        self._splits: dict[tuple[float, float], Array] = {}

    @property
    def num_rows(self) -> int:
        return sum(int(shard["rows"]) for shard in self.manifest["shards"])

    def _require_size(self, name: str, expected: int) -> None:
        file = self.path / name
        try:
            found = file.stat().st_size
        except OSError as error:
            raise DataError(
                f"{file}: {error.strerror}; the manifest names this file: restore it or record the trace again"
            ) from None
        if found != expected:
            raise DataError(
                f"{file} has {found} bytes; the manifest says {expected}: restore it or record the trace again"
            )

    def _open(self, shard: int) -> pq.ParquetFile:
        file = self.path / self.manifest["shards"][shard]["file"]
        try:
            opened = pq.ParquetFile(file, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file}: cannot be read as Parquet: {_first_line(error)}") from None
        self._check_metadata(opened, str(file))
        expected = self.manifest["shards"][shard]["rows"]
        if opened.metadata.num_rows != expected:
            raise DataError(f"{file} has {opened.metadata.num_rows} rows; the manifest says {expected}")
        return opened

    def _check_metadata(self, opened: pq.ParquetFile, where: str) -> None:
        stored = (opened.metadata.metadata or {}).get(b"foregate.geometry")
        if stored is None:
            return
        geometry = _core.Geometry.from_json(stored.decode(), f"{where}: foregate.geometry")
        difference = geometry.difference(self.geometry)
        if difference:
            raise DataError(f"{where}: recorded from another model: {difference}")

    def groups(self) -> list[Group]:
        """All row groups in reading order."""
        with self._lock:
            if self._groups is None:
                self._groups = list(self._list_groups())
            return self._groups

    def _list_groups(self) -> Iterator[Group]:
        first = 0
        for shard in range(len(self.manifest["shards"])):
            with self._open(shard) as opened:
                in_shard = 0
                for index in range(opened.num_row_groups):
                    rows = opened.metadata.row_group(index).num_rows
                    yield Group(shard, index, in_shard, first, rows)
                    in_shard += rows
                    first += rows

    def columns(self, wanted: Sequence[str] | None) -> list[str]:
        """The columns of these names, in the schema's order; all if none are named. Raises DataError."""
        if wanted is None:
            return list(self.schema.names)
        for name in wanted:
            if name in self.schema.names:
                continue
            if name in LISTS:
                raise DataError(f"{self.path}: this trace has no {name}; expected one that was recorded with them")
            raise DataError(f"{self.path}: there is no column '{name}'; the columns are {', '.join(self.schema.names)}")
        return [name for name in self.schema.names if name in wanted]

    def read_group(self, group: Group, columns: Sequence[str]) -> pa.RecordBatch:
        """The columns of a row group; each value that is read has been checked."""
        return self.read_rows(group, columns)[0]

    def read_rows(self, group: Group, columns: Sequence[str]) -> tuple[pa.RecordBatch, _core.Rows]:
        """The same, also as C++ takes it."""
        with self._open(group.shard) as opened:
            return self._read(opened, group, columns)

    def read_groups(
        self, groups: Sequence[Group], columns: Sequence[str]
    ) -> Iterator[tuple[Group, pa.RecordBatch]]:
        """Several row groups; the file stays open from one to the next."""
        opened, shard = None, -1
        try:
            for group in groups:
                if group.shard != shard:
                    if opened is not None:
                        opened.close()
                    opened, shard = self._open(group.shard), group.shard
                assert opened is not None
                yield group, self._read(opened, group, columns)[0]
        finally:
            if opened is not None:
                opened.close()

    def _read(
        self, opened: pq.ParquetFile, group: Group, columns: Sequence[str]
    ) -> tuple[pa.RecordBatch, _core.Rows]:
        file = str(self.path / self.manifest["shards"][group.shard]["file"])
        # What identifies a text is needed to say which one is broken.
        names = list(SCALARS) + [name for name in columns if name not in SCALARS]
        for name in names:
            found = opened.schema_arrow.names.count(name)
            if found != 1:
                raise DataError(
                    f"{file}: expected one column '{name}', found {found} (columns: "
                    f"{', '.join(opened.schema_arrow.names)})"
                )
        try:
            table = opened.read_row_group(group.index, columns=names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{file}: cannot be read from row {group.first_in_shard} on: {_first_line(error)}; restore it or record "
                "the trace again"
            ) from None
        fields = [self.schema.field(name) for name in names]
        arrays = [
            canonical(_one_chunk(table[field.name]), field, f"{file}: from row {group.first_in_shard} on")
            for field in fields
        ]
        batch = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
        rows = rows_of(batch)
        rows.check(self.geometry, file, group.first_in_shard)
        return batch.select([name for name in self.schema.names if name in columns]), rows

    def kept_group(self, group: Group) -> pa.RecordBatch:
        """The same with all columns, the last one remembered."""
        key = (group.shard, group.index)
        with self._lock:
            if self._kept is not None and self._kept[0] == key:
                return self._kept[1]
        batch = self.read_group(group, self.schema.names)
        with self._lock:
            self._kept = (key, batch)
        return batch


    def scalars(self) -> pa.Table:
        """dataset, sample, num_tokens and prompt_tokens of every text; read once."""
        if self._scalars is None:
            fields = [self.schema.field(name) for name in SCALARS]
            batches = [batch for _, batch in self.read_groups(self.groups(), SCALARS)]
            self._scalars = pa.Table.from_batches(batches, schema=pa.schema(fields)).combine_chunks()
        return self._scalars

    def splits(self, validation: float, test: float) -> Array:
        """The split of every text, as an index into split_names(); computed once."""
        key = (validation, test)
        if key not in self._splits:
            texts = _core.SplitTexts()
            for _, batch in self.read_groups(self.groups(), [*SCALARS, "token_ids"]):
                texts.add(rows_of(batch))
            self._splits[key] = texts.split(self.manifest["seed"], validation, test)
        return self._splits[key]


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def split_by_group(groups: Sequence[Group], chosen: Array | None) -> Iterator[tuple[Group, Array | None]]:
    """The row groups that hold chosen rows (all, if None), each with the places in it, in the order of the directory."""
    if chosen is None:
        for group in groups:
            yield group, None
        return
    firsts = np.array([group.first for group in groups] + [groups[-1].first + groups[-1].rows if groups else 0])
    bounds = np.searchsorted(chosen, firsts)
    for place, group in enumerate(groups):
        here = chosen[bounds[place] : bounds[place + 1]]
        if len(here):
            yield group, here - group.first
