"""Routing statistics of traces, counted by the accumulators that `foregate analyze` uses."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from . import _core
from ._columns import SCALARS
from ._directory import Directory, Group, split_by_group
from ._progress import Progress
from .errors import UnsupportedError, UsageError

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]

_MOST_THREADS = 16


@dataclass(frozen=True)
class ByDistance:
    """A measure by layer and by a length or distance in tokens: `values` [L, lengths], `counts` what each is a mean of."""

    lengths: npt.NDArray[np.int64]
    counts: Counts
    values: Shares


@dataclass(frozen=True)
class TypicalToken:
    """A token id that an expert sees more than its share of."""

    id: int
    tokens: int
    chosen: int
    probability: float
    lift: float
    g2: float


class Statistics:
    """What one pass over texts counted. Arrays are by MoE layer (L) and expert (E); NaN where there is nothing to divide by."""

    def __init__(self, counted: _core.Statistics, geometry: _core.Geometry) -> None:
        self._counted = counted
        self.geometry = geometry

    @property
    def traces(self) -> int:
        return self._counted.traces

    @property
    def tokens(self) -> int:
        return self._counted.tokens

    @cached_property
    def usage(self) -> Counts:
        """How often each expert was chosen: [L, E]; a token adds k to each layer."""
        return self._counted.usage()

    @cached_property
    def usage_by_dataset(self) -> dict[str, Counts]:
        return {name: usage for name, _, usage in self._counted.usage_by_dataset()}

    @cached_property
    def usage_by_phase(self) -> dict[str, Counts]:
        """Of texts that have both: `prompt` and `generated` tokens, [L, E] each."""
        prompt, generated = self._counted.usage_by_phase()
        return {"prompt": prompt, "generated": generated}

    @cached_property
    def balance(self) -> dict[str, Shares]:
        """How evenly each layer's experts are used, [L] each: `entropy` (1: evenly), `busiest` (share of the busiest
        expert), `variation` (standard deviation by mean) and `gini`."""
        table = self._counted.balance()
        return {name: table[:, i] for i, name in enumerate(("entropy", "busiest", "variation", "gini"))}

    @cached_property
    def transitions(self) -> Counts:
        """Tokens with expert a at layer l and b at layer l + 1: [L - 1, E, E]. Raises UnsupportedError above 512 experts."""
        return _counted(self._counted.transitions(), "transitions")

    @cached_property
    def coactivation(self) -> Counts:
        """Tokens that chose both experts at a layer: [L, E, E]. Raises UnsupportedError above 512 experts."""
        return _counted(self._counted.coactivation(), "co-activation")

    @cached_property
    def gate_mass(self) -> Shares:
        """Sum of gate weights by expert, [L, E]; zeros if the trace has none."""
        return self._counted.gate_mass()

    @cached_property
    def gate_by_rank(self) -> Shares:
        """Mean gate weight of the expert at each rank, [L, k]."""
        return self._counted.gate_by_rank()

    @cached_property
    def gate_histogram(self) -> Counts:
        """Gate weights by rank in bins of equal width over [0, 1]: [L, k, bins]."""
        return self._counted.gate_histogram()

    @cached_property
    def overlap(self) -> ByDistance:
        """Share of a token's experts that a token so many places later chooses too."""
        return _by_distance(self._counted.overlap())

    @cached_property
    def working_set(self) -> ByDistance:
        """How many different experts the first n tokens of a text use."""
        return _by_distance(self._counted.working_set())

    @cached_property
    def cache_hits(self) -> dict[str, Shares]:
        """Hit rate of a cache of 1 to E experts a layer, [L, E] each: `lru`, and `optimal` (Belady)."""
        lru, optimal = self._counted.cache_hits()
        return {"lru": lru, "optimal": optimal}

    @cached_property
    def information(self) -> tuple[npt.NDArray[np.int64], Shares]:
        """Mutual information in bits of the experts of two layers: the layers that are counted, and [layers, layers]."""
        layers, bits = self._counted.information()
        return np.array(layers, dtype=np.int64), bits

    def typical_tokens(self, layer: int, expert: int, limit: int = 10) -> list[TypicalToken]:
        """Token ids that are typical of an expert, the strongest association first."""
        if not (0 <= layer < self.geometry.num_moe_layers and 0 <= expert < self.geometry.num_experts):
            raise UsageError(
                f"layer {layer}, expert {expert}; expected 0 to {self.geometry.num_moe_layers - 1} and 0 to "
                f"{self.geometry.num_experts - 1}"
            )
        return [TypicalToken(*row) for row in self._counted.typical_tokens(layer, expert, limit)]

    # -- as tables

    def usage_table(self) -> pa.Table:
        """dataset, layer, expert, count."""
        by_dataset = self.usage_by_dataset
        layer, expert = _indices(self.usage.shape)
        cells = len(layer)
        return pa.table(
            {
                "dataset": pa.array(np.repeat(np.array(list(by_dataset), dtype=object), cells), pa.string()),
                "layer": np.tile(layer, len(by_dataset)),
                "expert": np.tile(expert, len(by_dataset)),
                "count": np.concatenate([usage.ravel() for usage in by_dataset.values()] or [np.zeros(0, np.int64)]),
            }
        )

    def transitions_table(self) -> pa.Table:
        """layer, expert, next_expert, count, lift (1: as often as if the layers chose independently)."""
        counts = self.transitions
        layer, expert, following = _indices(counts.shape)
        lift = _lift(counts, self.usage[:-1], self.usage[1:], self.tokens)
        columns = {"layer": layer, "expert": expert, "next_expert": following}
        return pa.table({**columns, "count": counts.ravel(), "lift": lift.ravel()})

    def coactivation_table(self) -> pa.Table:
        """layer, expert, other_expert (greater than expert), count, lift."""
        counts = self.coactivation
        layer, expert, other = _indices(counts.shape)
        lift = _lift(counts, self.usage, self.usage, self.tokens).ravel()
        above = other > expert
        columns: dict[str, npt.NDArray[Any]] = {"layer": layer, "expert": expert, "other_expert": other}
        columns |= {"count": counts.ravel(), "lift": lift}
        return pa.table({name: values[above] for name, values in columns.items()})

    def __repr__(self) -> str:
        g = self.geometry
        return f"Statistics({self.traces:,} traces, {self.tokens:,} tokens, {g.num_moe_layers} x {g.num_experts} experts)"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{layer}</td>" + "".join(f"<td>{values[layer]:.3f}</td>" for values in self.balance.values()) + "</tr>"
            for layer in range(self.geometry.num_moe_layers)
        )
        head = "".join(f"<th>{name}</th>" for name in self.balance)
        return (
            f"<table><caption>{self.traces:,} traces, {self.tokens:,} tokens</caption>"
            f"<thead><tr><th>layer</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )


def _indices(shape: Sequence[int]) -> list[npt.NDArray[np.int32]]:
    return [axis.ravel().astype(np.int32) for axis in np.indices(tuple(shape))]


def _lift(counts: Counts, first: Counts, second: Counts, tokens: int) -> Shares:
    expected = first[:, :, None].astype(np.float64) * second[:, None, :] / max(tokens, 1)
    lift: Shares = np.divide(counts, expected, out=np.full(counts.shape, np.nan), where=expected > 0)
    return lift


def _counted(counts: Counts | None, what: str) -> Counts:
    if counts is None:
        raise UnsupportedError(f"{what} are not counted above 512 experts: memory grows with their square")
    return counts


def _by_distance(parts: tuple[list[int], list[int], Shares]) -> ByDistance:
    lengths, counts, values = parts
    return ByDistance(np.array(lengths, dtype=np.int64), np.array(counts, dtype=np.int64), values)


class _Accumulator(Protocol):
    def add(self, rows: _core.Rows, chosen: Any = None) -> None: ...


Part = TypeVar("Part", bound=_Accumulator)


def _scan(
    directory: Directory,
    work: Sequence[tuple[Group, npt.NDArray[Any] | None]],
    columns: Sequence[str],
    make: Callable[[], Part],
    bar: Progress,
) -> list[Part]:
    """Accumulators over row groups: one a thread, each taking the next group; neither decoding nor counting holds the GIL."""
    counter = itertools.count()
    lock = threading.Lock()

    def run() -> Part:
        part = make()
        while (place := next(counter)) < len(work):
            group, chosen = work[place]
            _, rows = directory.read_rows(group, columns)
            part.add(rows, chosen)
            with lock:
                bar.add(group.rows if chosen is None else len(chosen))
        return part

    threads = max(1, min(os.cpu_count() or 1, _MOST_THREADS, len(work)))
    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(run) for _ in range(threads)]]


def compute(directory: Directory, chosen: npt.NDArray[np.int64] | None, progress: bool) -> Statistics:
    """Two passes: token ids alone, for those that are frequent enough to follow, then everything."""
    geometry = directory.geometry
    work = list(split_by_group(directory.groups(), chosen))
    followed = np.zeros(0, dtype=np.int32)
    if directory.manifest.get("token_ids") != "unique":
        counts = _scan(directory, work, [*SCALARS, "token_ids"], _core.TokenCounts, Progress(0, "", False))
        for part in counts[1:]:
            counts[0].merge(part)
        followed = counts[0].followed(geometry)
    names = [entry["name"] for entry in directory.manifest["datasets"]]
    columns = [name for name in directory.schema.names if name != "router_logits"]
    total = directory.num_rows if chosen is None else len(chosen)
    with Progress(total, "statistics", progress) as bar:
        parts = _scan(directory, work, columns, lambda: _core.Statistics(geometry, followed, names), bar)
    for other in parts[1:]:
        parts[0].merge(other)
    return Statistics(parts[0], geometry)
