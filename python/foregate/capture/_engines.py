"""What vLLM and SGLang return with a response, as traces. Neither is imported: their objects are read as documented."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError, UsageError
from ._routed import Routed, Taken, write


def from_vllm(
    outputs: Iterable[Any],
    path: str | os.PathLike[str],
    *,
    model: str,
    num_experts: int,
    dataset: str = "vllm",
) -> Taken:
    """Writes a trace of what `LLM(..., enable_return_routed_experts=True).generate(...)` returned.

    outputs: RequestOutput objects with `prompt_token_ids`, and in `outputs` each completion's `token_ids` and
    `routed_experts` [rows, layers, k] (`prompt_routed_experts` of the request, in versions that keep the prompt's apart).
    Completions without routing (aborted ones) are left out and counted. Raises DataError for rows that are not as many as
    the tokens or one fewer, all zero, all alike, or name experts that there are not; nothing is written then.
    """
    texts, aborted = [], 0
    for number, request in enumerate(outputs):
        prompt = list(_attribute(request, "prompt_token_ids", f"request {number}") or [])
        for place, completion in enumerate(_attribute(request, "outputs", f"request {number}")):
            where = f"request {number}, completion {place}"
            rows = _attribute(completion, "routed_experts", where)
            if rows is None:
                aborted += 1
                continue
            apart = getattr(request, "prompt_routed_experts", None)
            whole = _rows(rows, where) if apart is None else np.concatenate([_rows(apart, where), _rows(rows, where)])
            texts.append(Routed(where, whole, prompt, list(_attribute(completion, "token_ids", where))))
    return write(texts, path, model=model, num_experts=num_experts, dataset=dataset, aborted=aborted)


def from_sglang(
    responses: Iterable[Mapping[str, Any]],
    path: str | os.PathLike[str],
    *,
    model: str,
    num_experts: int,
    top_k: int,
    input_ids: Sequence[Sequence[int]] | None = None,
    dataset: str = "sglang",
) -> Taken:
    """Writes a trace of what SGLang's `/generate` (or its Engine) returned with `return_routed_experts=True`.

    responses: each with `meta_info.routed_experts`, base64 of int32 [rows, layers, k] without a shape, and `output_ids`;
    `meta_info.routed_experts_start_len` says where the rows begin. A response does not have the prompt's ids: give those
    that were sent as `input_ids`, or put them into each response under that name. Refuses what from_vllm() refuses.
    """
    texts, aborted = [], 0
    for number, response in enumerate(responses):
        where = f"response {number}"
        info = response.get("meta_info") or {}
        routed = info.get("routed_experts", response.get("routed_experts"))
        if routed is None:
            aborted += 1
            continue
        prompt = response.get("input_ids") if input_ids is None else input_ids[number]
        if prompt is None:
            raise UsageError(f"{where} has no input_ids; give those that were sent as input_ids")
        generated = response.get("output_ids")
        if generated is None:
            raise DataError(f"{where} has no output_ids; expected the generated ids")
        start = int(info.get("routed_experts_start_len", 0) or 0)
        tokens = len(prompt) + len(generated) - start
        texts.append(Routed(where, _unpacked(routed, tokens, top_k, where), list(prompt), list(generated), start))
    return write(texts, path, model=model, num_experts=num_experts, dataset=dataset, aborted=aborted)


def _attribute(thing: Any, name: str, where: str) -> Any:
    if not hasattr(thing, name):
        raise DataError(f"{where}: a {type(thing).__name__} has no {name}; expected what LLM.generate() of vLLM returns with "
                        "enable_return_routed_experts=True")
    return getattr(thing, name)


def _rows(values: Any, where: str) -> npt.NDArray[np.int64]:
    rows = np.asarray(values)
    if rows.ndim != 3 or rows.dtype.kind not in "iu":
        raise DataError(f"{where}: routed_experts is {list(rows.shape)} of {rows.dtype}; expected integers [rows, layers, k]")
    return rows.astype(np.int64)


def _unpacked(routed: Any, tokens: int, top_k: int, where: str) -> npt.NDArray[np.int64]:
    """Rows of plain integers: as many as the tokens but one, or as the tokens."""
    if not isinstance(routed, (str, bytes)):
        return _rows(routed, where)
    try:
        flat = np.frombuffer(base64.b64decode(routed, validate=True), dtype="<i4")
    except ValueError as error:
        raise DataError(f"{where}: routed_experts is no base64 of int32: {error}") from None
    for rows in (tokens - 1, tokens):
        if rows > 0 and flat.size % (rows * top_k) == 0:
            return flat.reshape(rows, -1, top_k).astype(np.int64)
    raise DataError(
        f"{where}: routed_experts holds {flat.size} integers, which are no {tokens - 1} or {tokens} rows of {top_k} experts a "
        "layer"
    )
