"""Routing that an engine handed over: which tokens its rows are of, and whether it can be meant at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._log import logger
from ..errors import DataError, UsageError
from ..writer import TokenIds, TraceWriter

# Shorter texts may be routed alike by chance.
_ALIKE_TOKENS = 16


@dataclass(frozen=True)
class Routed:
    """A text as it was handed over: `rows` [r, layers, k] of experts, `ids` of the prompt and of what was generated.

    start: the position of the first row, which an engine that has a part in its cache may say."""

    where: str
    rows: npt.NDArray[np.int64]
    prompt: Sequence[int]
    generated: Sequence[int]
    start: int = 0


@dataclass
class Taken:
    """What became of what was handed over."""

    texts: int = 0
    tokens: int = 0
    aborted: int = 0  #: requests without routing
    last_tokens: int = 0  #: sampled last and never run, so without a row
    cached_tokens: int = 0  #: at the beginning of texts, without a row because a cache had them
    moe_layers: list[int] = field(default_factory=list)  #: decoder layer of each MoE layer

    def __str__(self) -> str:
        left = [
            f"{count:,} {what}"
            for count, what in (
                (self.aborted, "requests without routing"),
                (self.last_tokens, "last tokens that were never run"),
                (self.cached_tokens, "tokens out of a prefix cache"),
            )
            if count
        ]
        return f"{self.texts:,} texts, {self.tokens:,} tokens" + (f"; left out: {', '.join(left)}" if left else "")


@dataclass(frozen=True)
class _Text:
    rows: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    prompt: int


def write(
    texts: Sequence[Routed],
    path: str | os.PathLike[str],
    *,
    model: str,
    num_experts: int,
    dataset: str,
    aborted: int = 0,
    token_ids: TokenIds = "tokenizer",
) -> Taken:
    """Checks all texts, then writes them; nothing is written if one is refused. Raises UsageError, DataError."""
    if not texts:
        raise UsageError("there is nothing with routing among what was handed over")
    shapes = {text.rows.shape[1:] for text in texts}
    if len(shapes) > 1:
        raise DataError(f"texts of different shapes, (layers, k) {sorted(shapes)}; expected those of one model")
    layers, top_k = shapes.pop()
    taken = Taken(aborted=aborted)
    sparse = _moe_layers(texts, layers, top_k)
    taken.moe_layers = sparse
    aligned = [_aligned(text, sparse, num_experts, taken) for text in texts]
    geometry = _core.Geometry(
        num_moe_layers=len(sparse),
        num_experts=num_experts,
        top_k=top_k,
        num_decoder_layers=layers,
        moe_layers=sparse,
    )
    settings: dict[str, Any] = {"model": model, "gate_weights": False, "token_ids": token_ids}
    with TraceWriter(path, geometry=geometry, **settings) as writer:
        for text in aligned:
            writer.add(experts=text.rows, token_ids=text.ids, dataset=dataset, prompt_tokens=text.prompt)
            taken.texts += 1
            taken.tokens += len(text.ids)
    logger.info("%s: %s", path, taken)
    return taken


def _absent(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Decisions [...] that are no decisions: zeros or -1 throughout."""
    nothing: npt.NDArray[np.bool_] = (rows == 0).all(-1) | (rows == -1).all(-1)
    return nothing


def _moe_layers(texts: Sequence[Routed], layers: int, top_k: int) -> list[int]:
    """Engines give every decoder layer a place; dense ones hold nothing."""
    tokens = sum(len(text.rows) for text in texts)
    empty = np.ones(layers, dtype=bool)
    for text in texts:
        if top_k == 1 and tokens < _ALIKE_TOKENS:
            empty &= (text.rows == -1).all(axis=(0, 2))
        else:
            empty &= _absent(text.rows).all(axis=0)
    if empty.all():
        raise DataError(
            f"{texts[0].where}: every expert of every layer is 0 or -1: the engine recorded nothing, as kernels that choose "
            "experts by themselves do; choose another MoE backend"
        )
    return np.flatnonzero(~empty).tolist()


def _aligned(text: Routed, sparse: list[int], num_experts: int, taken: Taken) -> _Text:
    """The text's rows and the tokens they are of."""
    ids = np.array([*text.prompt, *text.generated], dtype=np.int64)
    rows = text.rows[:, sparse]
    expected = len(ids) - text.start
    if len(rows) == expected - 1:
        taken.last_tokens += 1
    elif len(rows) != expected:
        raise DataError(
            f"{text.where}: {len(rows)} rows of routing for {len(text.prompt)} tokens of the prompt and "
            f"{len(text.generated)} generated{f' from position {text.start} on' if text.start else ''}; expected "
            f"{expected - 1} (the last token is not run) or {expected}"
        )
    ids = ids[text.start : text.start + len(rows)]
    prompt = max(0, len(text.prompt) - text.start)
    nothing = _absent(rows) if rows.shape[2] > 1 else rows[..., 0] == -1
    missing: npt.NDArray[np.bool_] = np.asarray(nothing.all(axis=1))
    cached = int(np.argmin(missing)) if not missing.all() else len(missing)
    if cached == len(rows):
        raise DataError(f"{text.where}: no token has routing (all experts are 0 or -1); expected decisions")
    if missing[cached:].any():
        place = cached + int(np.argmax(missing[cached:]))
        raise DataError(f"{text.where}: token {place} has no routing between others that have; expected a decision a token")
    taken.cached_tokens += cached
    rows, ids, prompt = rows[cached:], ids[cached:], max(0, min(prompt, len(rows)) - cached)
    if rows.min() < 0 or rows.max() >= num_experts:
        token, layer, _ = (int(axis[0]) for axis in np.nonzero((rows < 0) | (rows >= num_experts)))
        raise DataError(
            f"{text.where}: token {token + cached}, decoder layer {sparse[layer]} names experts {rows[token, layer].tolist()}; "
            f"expected 0 to {num_experts - 1}"
        )
    twice = (np.diff(np.sort(rows, axis=-1), axis=-1) == 0).any(axis=-1)
    if twice.any():
        token, layer = (int(axis[0]) for axis in np.nonzero(twice))
        raise DataError(
            f"{text.where}: token {token + cached}, decoder layer {sparse[layer]} names experts {rows[token, layer].tolist()}; "
            "expected different ones"
        )
    if len(rows) >= _ALIKE_TOKENS and (rows == rows[0]).all():
        raise DataError(
            f"{text.where}: all {len(rows)} tokens are routed alike; expected routing of this text (rows of another request, "
            "or of a warm-up)"
        )
    return _Text(rows, ids, min(prompt, len(ids)))
