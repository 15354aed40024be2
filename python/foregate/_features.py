"""Hidden states of a shard's texts, and the routers they went into: the safetensors files beside shards."""

from __future__ import annotations

import json
import pathlib
import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from . import _core
from ._files import sha256_of, sync_and_rename
from .errors import UsageError

ROUTERS = "routers.safetensors"
_DTYPES = {"float32": "F32", "float16": "F16", "uint16": "BF16", "int64": "I64"}


@dataclass(frozen=True)
class Routers:
    """The routers that decisions came from, so that each can be recomputed from its state.

    weight float32 [L, E, H]; norm float32 [L, H], the RMSNorm in front of each, with its epsilon; router: how they decide,
    the manifest's `router` object; logit_bias and choice_bias float32 [L, E], or None.
    """

    weight: npt.NDArray[np.float32]
    norm: npt.NDArray[np.float32]
    epsilon: float
    router: Mapping[str, Any]
    logit_bias: npt.NDArray[np.float32] | None = None
    choice_bias: npt.NDArray[np.float32] | None = None

    def write(self, folder: pathlib.Path) -> str:
        """Writes routers.safetensors and returns its digest."""
        tensors = {"router.weight": self.weight, "post_attention_norm.weight": self.norm}
        if self.logit_bias is not None:
            tensors["router.logit_bias"] = self.logit_bias
        if self.choice_bias is not None:
            tensors["router.choice_bias"] = self.choice_bias
        exact = {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in tensors.items()}
        metadata = {"rms_norm_eps": repr(float(self.epsilon)), "router_spec": json.dumps(dict(self.router))}
        temporary = folder / (ROUTERS + ".tmp")
        with open(temporary, "wb") as file:
            file.write(_header({name: (v.dtype.name, v.shape) for name, v in exact.items()}, metadata))
            for values in exact.values():
                file.write(values.tobytes())
        digest = sha256_of(temporary)
        sync_and_rename(temporary, folder / ROUTERS)
        return digest


def _header(tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None) -> bytes:
    """The beginning of a safetensors file whose tensors lie one after another."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        entries[name] = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def bfloat16_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """float32 rounded to the nearest bfloat16, ties to even; uint16 is taken for such bits."""
    if values.dtype == np.uint16:
        return values
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)


class FeatureFile:
    """part-NNNNN.features.safetensors, gathered text by text; states wait on the disk, not in memory."""

    def __init__(self, path: pathlib.Path, geometry: _core.Geometry) -> None:
        self._path = path
        self._shape = (geometry.num_moe_layers, geometry.hidden_size)
        self._parts: dict[str, BinaryIO] = {}
        self._dtype = ""
        self._rows: list[int] = []
        self._offsets = [0]

    @property
    def texts(self) -> int:
        return len(self._rows)

    def add(self, row: int, router_inputs: npt.NDArray[Any], residual: npt.NDArray[Any]) -> None:
        """States [n, L, H] of the text in `row`: router_inputs of float32, float16 or bfloat16 bits (uint16)."""
        for name, values in (("router_inputs", router_inputs), ("residual", residual)):
            if values.ndim != 3 or values.shape[1:] != self._shape:
                raise UsageError(f"{name} is {list(values.shape)}; expected [tokens, {self._shape[0]}, {self._shape[1]}]")
        if len(router_inputs) != len(residual):
            raise UsageError(f"router_inputs of {len(router_inputs)} tokens, residual of {len(residual)}")
        dtype = router_inputs.dtype.name
        if dtype not in ("float32", "float16", "uint16") or (self._dtype and dtype != self._dtype):
            raise UsageError(f"router_inputs is of {dtype}; expected {self._dtype or 'float32, float16 or bfloat16 bits'}")
        self._dtype = dtype
        self._part("router_inputs").write(np.ascontiguousarray(router_inputs).tobytes())
        self._part("residual").write(bfloat16_bits(residual).tobytes())
        self._rows.append(row)
        self._offsets.append(self._offsets[-1] + len(residual))

    def _part(self, name: str) -> BinaryIO:
        if name not in self._parts:
            self._parts[name] = open(self._path.with_name(f"{self._path.name}.{name}.tmp"), "w+b")
        return self._parts[name]

    def finish(self) -> pathlib.Path:
        rows = np.array(self._rows, dtype=np.int64)
        offsets = np.array(self._offsets, dtype=np.int64)
        tokens = (self._offsets[-1], *self._shape)
        tensors = {
            "rows": ("int64", rows.shape),
            "offsets": ("int64", offsets.shape),
            "router_inputs": (self._dtype, tokens),
            "residual": ("uint16", tokens),
        }
        temporary = self._path.with_name(self._path.name + ".tmp")
        with open(temporary, "wb") as file:
            file.write(_header(tensors))
            file.write(rows.tobytes() + offsets.tobytes())
            for name in ("router_inputs", "residual"):
                part = self._parts[name]
                part.seek(0)
                shutil.copyfileobj(part, file, 1 << 20)
        for part in self._parts.values():
            part.close()
            pathlib.Path(part.name).unlink()
        sync_and_rename(temporary, self._path)
        return self._path
