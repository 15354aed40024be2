"""Megatron-LM's router trace (`--moe-routing-trace-path`) as traces."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import numpy as np

from ..errors import DataError, NotFoundError
from ._routed import Routed, Taken, write


def from_megatron(
    file: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    model: str,
    num_experts: int,
    dataset: str = "megatron",
) -> Taken:
    """Writes a trace of one rank's file of JSON lines, a line a layer and forward pass.

    A text is what one pass routed: the file says neither where a sequence ends nor which tokens there were. Records of
    multi-token prediction are passed over. Raises DataError naming the line. (`foregate import --format megatron` does the
    same, and reads the files of several ranks.)
    """
    source = pathlib.Path(file)
    try:
        lines = source.read_text().splitlines()
    except FileNotFoundError:
        raise NotFoundError(f"{source}: no such file") from None
    passes: list[tuple[str, dict[int, list[list[int]]]]] = []
    step: Any = None
    for number, line in enumerate(lines, 1):
        where = f"{source}, line {number}"
        record = _record(line, where)
        if record.get("block", "decoder") != "decoder":
            continue
        layer, experts = record["layer"], record["top_indices"]
        if record.get("num_tokens", len(experts)) != len(experts):
            raise DataError(f"{where}: num_tokens is {record['num_tokens']}; expected the {len(experts)} of top_indices")
        if not passes or record["step"] != step or layer in passes[-1][1]:
            passes.append((where, {}))
            step = record["step"]
        passes[-1][1][layer] = experts
    if not passes:
        raise DataError(f"{source}: no record of a decoder layer; expected Megatron-LM's router trace")
    layers = sorted(passes[0][1])
    texts = []
    first_id = 0
    for where, by_layer in passes:
        if sorted(by_layer) != layers:
            raise DataError(f"{where}: the pass that begins here has layers {sorted(by_layer)}; expected {layers}")
        if len({len(experts) for experts in by_layer.values()}) > 1:
            raise DataError(f"{where}: layers of the pass that begins here routed different numbers of tokens")
        rows = np.full((len(by_layer[layers[0]]), layers[-1] + 1, len(by_layer[layers[0]][0])), -1, dtype=np.int64)
        for layer, experts in by_layer.items():
            rows[:, layer] = experts
        # Every token has an id of its own.
        texts.append(Routed(where, rows, range(first_id, first_id + len(rows)), []))
        first_id += len(rows)
    return write(texts, path, model=model, num_experts=num_experts, dataset=dataset, token_ids="unique")


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(record, dict) or not {"step", "layer", "top_indices"} <= record.keys():
        raise DataError(f"{where}: expected an object with step, layer and top_indices")
    return record
