"""Writing traces: shards that are whole or not there, and a directory that goes on where it was left."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from . import _core
from ._columns import LISTS, NUMPY, rows_of, shard_schema
from ._directory import MANIFEST, read_manifest
from ._features import FeatureFile, Routers
from ._files import FolderLock, sha256_of, sync_and_rename, write_json
from ._log import logger
from .errors import DataError, StorageError, UsageError

# A row group ends at the first of these, so that writers and readers need memory for one only.
_GROUP_ROWS = 4096
_GROUP_TOKENS = 32 << 10
_GROUP_BYTES = 64 << 20
_FORMAT = "foregate-trace"
TokenIds = Literal["tokenizer", "unique"]
# What one run adds to; everything else must be the same when a directory is gone on with.
_OUTCOMES = ("datasets", "shards", "complete", "routers_sha256")


class TraceWriter:
    """Writes traces into a directory that foregate, and this package, reads.

        with foregate.TraceWriter("mine", geometry=geometry, model="my-model") as writer:
            writer.add(experts=experts, token_ids=ids, dataset="chat", sample=0)

    A shard and its features are written under a temporary name, synced and renamed, then named in manifest.json, which is
    replaced the same way: killed at any moment, at most the shard that is open is lost. If the `with` block ends by an
    exception, texts that were added are kept and the trace stays unfinished. A directory that is unfinished and was begun
    with the same settings is gone on with (`num_traces` says how many are there, `(dataset, sample) in writer` whether one
    is); a finished one only with `append=True`. One process at a time may write to it.

    gate_weights: whether texts have gate weights. router_logits: whether they have router logits. router: how the model's
    routers decide, the manifest's `router` object. token_ids: "tokenizer", or "unique" if tokens have no ids. seed: of the
    splits. feature_fraction: share of texts that bring hidden states, which keeps_states() chooses; `routers` are those they
    went into. Raises UsageError, StorageError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        geometry: _core.Geometry,
        model: str,
        model_type: str = "",
        gate_weights: bool = True,
        router_logits: bool = False,
        dtype: str = "unknown",
        quantization: str = "unknown",
        router: Mapping[str, Any] | None = None,
        token_ids: TokenIds = "tokenizer",
        config_sha256: str = "",
        tokenizer_sha256: str = "",
        seed: int = 0,
        shard_traces: int = 512,
        feature_fraction: float = 0.0,
        routers: Routers | None = None,
        append: bool = False,
    ) -> None:
        self.path = pathlib.Path(path)
        self.geometry = geometry
        if shard_traces < 1:
            raise UsageError(f"shard_traces is {shard_traces}; expected at least 1")
        self._schema = shard_schema(geometry, gate_weights, router_logits)
        planned: dict[str, Any] = {
            "format": _FORMAT,
            "format_version": _core.FORMAT_VERSION,
            "model": model,
            "model_type": model_type,
            "config_sha256": config_sha256,
            "tokenizer_sha256": tokenizer_sha256,
            "dtype": dtype,
            "quantization": quantization,
            "geometry": json.loads(geometry.to_json()),
            "seed": seed,
            "max_length": 0,
            "gate_weights": gate_weights,
            "router_logits": router_logits,
            "feature_fraction": feature_fraction,
            "shard_traces": shard_traces,
            "batch_tokens": 0,
            "datasets": [],
            "shards": [],
            "complete": False,
        }
        if (routers is None) != (feature_fraction == 0):
            raise UsageError("states and routers go together: expected both feature_fraction and routers, or neither")
        if router is None and routers is not None:
            router = routers.router
        if router is not None:
            planned["router"] = dict(router)
        if token_ids != "tokenizer":
            planned["token_ids"] = token_ids
        try:
            _core.check_manifest(json.dumps(planned), "TraceWriter")
        except DataError as error:
            raise UsageError(str(error)) from None
        self._lock = FolderLock(self.path)
        try:
            self._manifest = self._resume(planned, append)
            self._remove_leftovers()
            self._known = self._recorded()
            if routers is not None:
                self._manifest["routers_sha256"] = routers.write(self.path)
        except BaseException:
            self._lock.release()
            raise
        self._next: dict[str, int] = {}  # by dataset, one behind the highest sample
        for name, there in self._known:
            self._next[name] = max(self._next.get(name, 0), there + 1)
        self._texts: list[dict[str, Any]] = []
        self._group_tokens = 0
        self._rows = 0
        self._tokens = 0
        self._shard: pq.ParquetWriter | None = None
        self._features: FeatureFile | None = None
        self._closed = False

    # -- going on

    def _resume(self, planned: dict[str, Any], append: bool) -> dict[str, Any]:
        if not (self.path / MANIFEST).exists():
            strangers = sorted(p.name for p in self.path.iterdir() if p.name.startswith("part-"))
            if [name for name in strangers if not name.endswith(".tmp")]:
                raise UsageError(
                    f"{self.path} holds {strangers[0]} and no {MANIFEST}; choose another directory, or empty this one"
                )
            return planned
        found = read_manifest(self.path)
        for key in dict.fromkeys([*planned, *found]):
            if key not in _OUTCOMES and found.get(key) != planned.get(key):
                raise UsageError(
                    f"{self.path} was begun with {key} {json.dumps(found.get(key))}, not {json.dumps(planned.get(key))}; "
                    "write what it was begun with, or choose another directory"
                )
        require_free(self.path, append)
        logger.info("%s: going on after %d shards", self.path, len(found["shards"]))
        return found

    def _remove_leftovers(self) -> None:
        """Files of shards that no manifest names come from a writer that was killed."""
        named = {shard["file"] for shard in self._manifest["shards"]}
        named |= {shard.get("features") for shard in self._manifest["shards"]}
        for file in self.path.glob("part-*"):
            if file.name not in named:
                logger.info("removing %s, left by a writer that was stopped", file)
                file.unlink()

    def _recorded(self) -> set[tuple[str, int]]:
        known: set[tuple[str, int]] = set()
        for shard in self._manifest["shards"]:
            table = pq.read_table(self.path / shard["file"], columns=["dataset", "sample"])
            known.update(zip(table["dataset"].to_pylist(), table["sample"].to_pylist(), strict=True))
        return known

    @property
    def num_traces(self) -> int:
        """Texts that are there, added ones included."""
        return len(self._known)

    def keeps_states(self, dataset: str, sample: int) -> bool:
        """Whether a text is among the share whose hidden states are kept: by a hash, so that order does not matter."""
        return _core.keeps_states(dataset, sample, self._manifest["seed"], self._manifest["feature_fraction"])

    def __contains__(self, text: tuple[str, int]) -> bool:
        return text in self._known

    # -- adding

    def add(
        self,
        *,
        experts: npt.ArrayLike,
        token_ids: npt.ArrayLike,
        dataset: str,
        sample: int | None = None,
        gate_weights: npt.ArrayLike | None = None,
        router_logits: npt.ArrayLike | None = None,
        prompt_tokens: int | None = None,
        router_inputs: npt.NDArray[Any] | None = None,
        residual: npt.NDArray[Any] | None = None,
    ) -> None:
        """Adds a text: experts [n, L, k], largest gate weight first; token_ids [n]; gate_weights [n, L, k]; router_logits
        [n, L, E]. sample: its row in its source (by default one behind the highest of its dataset).
        prompt_tokens: all n if not given. Raises UsageError for shapes that do not fit, for values that the format does
        not allow, and for a text that is there already; nothing was added then."""
        if self._closed:
            raise UsageError("the writer was closed; open the directory again to go on")
        if sample is None:
            sample = self._next.get(dataset, 0)
        if (dataset, sample) in self._known:
            raise UsageError(f"the text {dataset} {sample} is in {self.path} already; ask `in` before adding")
        text = self._text(experts, token_ids, gate_weights, router_logits, dataset, sample, prompt_tokens)
        try:
            rows_of(self._batch([text])).check(self.geometry, "TraceWriter", self.num_traces)
        except DataError as error:
            raise UsageError(str(error)) from None
        if (router_inputs is None) != (residual is None):
            raise UsageError("router_inputs and residual go together; expected both or neither")
        if router_inputs is not None and residual is not None and self.keeps_states(dataset, sample):
            self._open()
            assert self._features is not None
            self._features.add(self._rows + len(self._texts), router_inputs, residual)
        self._texts.append(text)
        self._known.add((dataset, sample))
        self._next[dataset] = max(self._next.get(dataset, 0), sample + 1)
        self._count(dataset)
        tokens = len(text["token_ids"])
        self._tokens += tokens
        self._group_tokens += tokens
        if self._group_is_full():
            self._flush()
        if self._rows + len(self._texts) >= self._manifest["shard_traces"]:
            self.flush()

    def _text(
        self,
        experts: npt.ArrayLike,
        token_ids: npt.ArrayLike,
        gate_weights: npt.ArrayLike | None,
        router_logits: npt.ArrayLike | None,
        dataset: str,
        sample: int,
        prompt_tokens: int | None,
    ) -> dict[str, Any]:
        if not dataset:
            raise UsageError("dataset is empty; expected a name")
        g = self.geometry
        lists = {
            "token_ids": (token_ids, ()),
            "experts": (experts, (g.num_moe_layers, g.top_k)),
            "gate_weights": (gate_weights, (g.num_moe_layers, g.top_k)),
            "router_logits": (router_logits, (g.num_moe_layers, g.num_experts)),
        }
        text: dict[str, Any] = {"dataset": dataset, "sample": sample}
        for name, (values, width) in lists.items():
            if name not in self._schema.names:
                if values is not None:
                    raise UsageError(f"the trace has no {name}; open TraceWriter with {name}=True")
                continue
            if values is None:
                raise UsageError(f"no {name}; the trace was opened with them")
            text[name] = _exact(name, np.asarray(values), NUMPY[self._schema.field(name).type.value_type])
            expected = (len(text["token_ids"]), *width)
            if text[name].shape != expected:
                raise UsageError(f"{name} is {list(text[name].shape)}; expected {list(expected)}")
        text["num_tokens"] = len(text["token_ids"])
        text["prompt_tokens"] = text["num_tokens"] if prompt_tokens is None else prompt_tokens
        return text

    def _count(self, dataset: str) -> None:
        for entry in self._manifest["datasets"]:
            if entry["name"] == dataset:
                entry["traces"] += 1
                entry["available"] += 1
                return
        self._manifest["datasets"].append(
            {"name": dataset, "source": "", "traces": 1, "available": 1, "skipped": 0}
        )

    def _group_is_full(self) -> bool:
        bytes_ = sum(text[name].nbytes for text in self._texts for name in LISTS[1:] if name in text)
        return len(self._texts) >= _GROUP_ROWS or self._group_tokens >= _GROUP_TOKENS or bytes_ >= _GROUP_BYTES

    # -- shards

    def _batch(self, texts: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
        arrays = []
        for field in self._schema:
            if not pa.types.is_list(field.type):
                arrays.append(pa.array([text[field.name] for text in texts], field.type))
                continue
            values = [text[field.name].reshape(-1) for text in texts]
            offsets = np.concatenate([[0], np.cumsum([len(v) for v in values])]).astype(np.int32)
            inner = pa.array(np.concatenate(values), field.type.value_type)
            arrays.append(pa.ListArray.from_arrays(pa.array(offsets), inner, type=field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _name(self, suffix: str) -> pathlib.Path:
        return self.path / f"part-{len(self._manifest['shards']):05d}{suffix}"

    def _open(self) -> pq.ParquetWriter:
        """The open shard."""
        if self._shard is not None:
            return self._shard
        lists = [f"{name}.list.element" for name in LISTS]
        metadata = {
            "foregate.format_version": str(_core.FORMAT_VERSION),
            "foregate.model": self._manifest["model"],
            "foregate.geometry": self.geometry.to_json(),
        }
        plain = {f"{name}.list.element" for name in ("gate_weights", "router_logits")}
        columns = [f"{f.name}.list.element" if pa.types.is_list(f.type) else f.name for f in self._schema]
        try:
            self._shard = pq.ParquetWriter(
                self._name(".parquet.tmp"),
                self._schema,
                compression="zstd",
                compression_level=3,
                write_page_checksum=True,
                write_page_index=True,
                store_schema=False,
                use_dictionary=[column for column in columns if column not in plain],
                write_statistics=[column for column in columns if column not in lists],
            )
        except OSError as error:
            raise StorageError(f"cannot write to {self.path}: {error}") from None
        self._shard.add_key_value_metadata(metadata)
        if self._manifest["feature_fraction"] > 0:
            self._features = FeatureFile(self._name(".features.safetensors"), self.geometry)
        return self._shard

    def _flush(self) -> None:
        """Writes the row group."""
        if not self._texts:
            return
        try:
            self._open().write_batch(self._batch(self._texts), row_group_size=len(self._texts))
        except OSError as error:
            raise StorageError(f"cannot write a shard of {self.path}: {error}; finished shards are kept") from None
        self._rows += len(self._texts)
        self._texts.clear()
        self._group_tokens = 0

    def flush(self) -> None:
        """Ends the open shard, so that what was added survives whatever happens next."""
        self._flush()
        if self._shard is None:
            return
        try:
            self._shard.close()
            path = self._name(".parquet")
            temporary = self._name(".parquet.tmp")
            entry = {
                "file": path.name,
                "rows": self._rows,
                "tokens": self._tokens,
                "bytes": temporary.stat().st_size,
                "sha256": sha256_of(temporary),
            }
            if self._features is not None and self._features.texts:
                features = self._features.finish()
                entry |= {"features": features.name, "feature_bytes": features.stat().st_size}
            sync_and_rename(temporary, path)
            self._shard, self._features, self._rows, self._tokens = None, None, 0, 0
            self._manifest["shards"].append(entry)
            self._manifest["complete"] = False
            self._write_manifest()
        except OSError as error:
            raise StorageError(f"cannot finish a shard of {self.path}: {error}; finished shards are kept") from None

    def _write_manifest(self) -> None:
        # Held against the format before it replaces one that fits.
        _core.check_manifest(json.dumps(self._manifest), str(self.path / MANIFEST))
        write_json(self.path / MANIFEST, self._manifest)

    # -- ending

    def close(self, *, complete: bool = True) -> None:
        """Ends the last shard; `complete` says that no text is missing. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self.flush()
            self._manifest["complete"] = complete
            if self._manifest["shards"]:
                self._write_manifest()
        finally:
            self._discard()
            self._lock.release()

    def _discard(self) -> None:
        """Removes the temporary files of a shard that could not be finished."""
        for file in self.path.glob("part-*.tmp"):
            file.unlink(missing_ok=True)

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(complete=kind is None)

    def __repr__(self) -> str:
        return f"TraceWriter({str(self.path)!r}: {self._manifest['model']}, {self.num_traces:,} traces)"


def require_free(path: pathlib.Path, append: bool) -> None:
    """Raises UsageError for a directory with a finished trace that is not to be added to."""
    if append or not (path / MANIFEST).exists():
        return
    found = read_manifest(path)
    if found["complete"]:
        raise UsageError(
            f"{path} holds a finished trace of {sum(shard['rows'] for shard in found['shards']):,} texts; append=True adds to "
            "it, or choose another directory"
        )


def _exact(name: str, values: npt.NDArray[Any], kind: Any) -> npt.NDArray[Any]:
    """In the column's type: whole numbers unchanged, floats rounded."""
    kind = np.dtype(kind)
    if kind.kind == "f":
        if values.dtype.kind != "f":
            raise UsageError(f"{name} is of {values.dtype}; expected floats")
        return np.ascontiguousarray(values, dtype=kind)
    if values.size and values.dtype.kind not in "iu":
        raise UsageError(f"{name} is of {values.dtype}; expected whole numbers")
    if values.size and (values.min() < np.iinfo(kind).min or values.max() > np.iinfo(kind).max):
        raise UsageError(f"{name} holds {values.min()} to {values.max()}; expected numbers that fit {kind}")
    return np.ascontiguousarray(values, dtype=kind)
