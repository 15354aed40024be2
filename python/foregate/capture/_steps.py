"""What a forward pass of transformers runs: which tokens, which of them are padding, what the cache held before."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Step:
    """New tokens of some rows: `ids` [rows, tokens], None if the model was given embeddings; `real` [rows, tokens], False
    where there is padding; `cached`: positions of each row that earlier steps ran."""

    ids: npt.NDArray[np.int64] | None
    real: npt.NDArray[np.bool_]
    cached: int

    @property
    def rows(self) -> int:
        return int(self.real.shape[0])

    @property
    def tokens(self) -> int:
        return int(self.real.shape[1])


def step_of(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Step:
    """Reads the arguments of a forward pass. Raises UsageError, UnsupportedError for what cannot be told apart."""
    given = dict(kwargs)
    names = [name for name in inspect.signature(forward).parameters if name != "self"]
    given.update(zip(names, args, strict=False))
    ids = given.get("input_ids")
    tokens = ids if ids is not None else given.get("inputs_embeds")
    if tokens is None:
        raise UsageError("the forward pass was given neither input_ids nor inputs_embeds")
    shape = tuple(tokens.shape[:2])
    if len(shape) != 2:
        raise UnsupportedError(f"input_ids is {list(shape)}; expected [rows, tokens]")
    cache = given.get("past_key_values")
    cached = int(cache.get_seq_length()) if cache is not None else 0
    _refuse_packed(given.get("position_ids"), given)
    return Step(None if ids is None else _cpu(ids), _real(given.get("attention_mask"), shape, cached), cached)


def _cpu(tensor: torch.Tensor) -> npt.NDArray[Any]:
    return tensor.detach().cpu().numpy()


def _real(mask: Any, shape: tuple[int, ...], cached: int) -> npt.NDArray[np.bool_]:
    rows, tokens = shape
    if mask is None:
        return np.ones((rows, tokens), dtype=bool)
    if getattr(mask, "ndim", 0) == 2:
        if mask.shape[0] != rows or mask.shape[1] < tokens:
            raise UsageError(f"attention_mask is {list(mask.shape)}; expected [{rows}, {cached + tokens}]")
        # Of a cache of fixed size the mask is as long as the cache.
        here = mask[:, cached : cached + tokens] if mask.shape[1] > cached + tokens else mask[:, -tokens:]
        return np.asarray(_cpu(here) != 0)
    if tokens == 1 and cached > 0:  # a prepared mask of a decoding step: its token is no padding
        return np.ones((rows, tokens), dtype=bool)
    raise UnsupportedError(
        "attention_mask does not say which tokens are padding; expected [rows, tokens] of ones and zeros"
    )


def _refuse_packed(positions: Any, given: Mapping[str, Any]) -> None:
    if given.get("cu_seq_lens_q") is not None or given.get("cu_seqlens") is not None:
        raise UnsupportedError("texts are packed into one row; expected a row a text")
    if positions is None or getattr(positions, "ndim", 0) != 2 or positions.shape[1] < 2:
        return
    # Padding has any position; a text that begins again behind another one does not.
    begins = (positions[:, 1:] < positions[:, :-1]) & (positions[:, 1:] == 0)
    if given.get("attention_mask") is None and bool(begins.any()):
        raise UnsupportedError("position_ids begin again within a row: texts are packed; expected a row a text")
