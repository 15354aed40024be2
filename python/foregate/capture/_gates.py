"""Where a transformers model decides: its router modules, and what they return."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedError

if TYPE_CHECKING:
    import torch

_RECORD = "router_logits"


@dataclass(frozen=True)
class Gate:
    """A router module, and the decoder layer it stands in."""

    name: str
    module: torch.nn.Module
    layer: int
    logits_at: int


@dataclass(frozen=True)
class Decision:
    """What a router returned for its tokens: logits [n, E]; experts and weights [n, k]; on the model's device."""

    logits: torch.Tensor
    weights: torch.Tensor
    experts: torch.Tensor


def find_gates(model: torch.nn.Module) -> list[Gate]:
    """The routers of the model in the order of its layers.

    transformers (from 5 on) declares which module's output are the router logits; all MoE models whose router returns
    (logits, weights, experts) can be captured. Raises UnsupportedError for others.
    """
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise UnsupportedError(f"{type(model).__name__} is an encoder-decoder; expected a decoder-only model")
    found: dict[str, Gate] = {}
    for prefix, part in model.named_modules():
        declared = (getattr(part, "_can_record_outputs", None) or {}).get(_RECORD)
        for recorder in declared if isinstance(declared, (list, tuple)) else [declared] if declared else []:
            for name, module in part.named_modules(prefix=prefix):
                if _declares(recorder, name, module) and name not in found:
                    found[name] = Gate(name, module, _layer_of(name), getattr(recorder, "index", 0))
    if not found:
        raise UnsupportedError(
            f"{type(model).__name__} has no module whose router logits transformers records; expected a Mixture-of-Experts "
            "model of transformers 5 or newer"
        )
    gates = list(found.values())
    layers = [gate.layer for gate in gates]
    if layers != sorted(set(layers)):
        raise UnsupportedError(f"{type(model).__name__}: routers of decoder layers {layers}; expected one in each MoE layer")
    return gates


def _declares(recorder: Any, name: str, module: torch.nn.Module) -> bool:
    target = getattr(recorder, "target_class", recorder)
    suffix = getattr(recorder, "layer_name", None)
    return isinstance(target, type) and isinstance(module, target) and (suffix is None or name.endswith(suffix))


def _layer_of(name: str) -> int:
    """'model.layers.3.mlp.gate' is in decoder layer 3."""
    number = re.search(r"\.(\d+)\.", name)
    if number is None:
        raise UnsupportedError(f"router {name} stands in no numbered layer; expected a name such as model.layers.3.mlp.gate")
    return int(number.group(1))


def decision_of(gate: Gate, output: Any) -> Decision:
    """A router's output, taken apart by what its tensors look like. Raises UnsupportedError."""
    import torch

    tensors = [t for t in output if isinstance(t, torch.Tensor) and t.ndim == 2] if isinstance(output, tuple) else []
    logits = output[gate.logits_at] if isinstance(output, tuple) and gate.logits_at < len(output) else None
    whole = [t for t in tensors if not t.is_floating_point() and t.dtype != torch.bool]
    if len(whole) == 1 and isinstance(logits, torch.Tensor) and logits.ndim == 2 and logits.is_floating_point():
        experts = whole[0]
        floats = [t for t in tensors if t.is_floating_point() and t is not logits and len(t) == len(experts)]
        for weights in floats:
            if weights.shape == experts.shape and experts.shape[1] <= logits.shape[1]:
                return Decision(logits, weights, experts)
        for weights in floats:  # weights of all experts, zero but for the chosen
            if weights.shape == logits.shape:
                return Decision(logits, weights.gather(1, experts), experts)
    raise UnsupportedError(
        f"router {gate.name} ({type(gate.module).__name__}) returns {_described(output)}; expected (logits [tokens, E], "
        "weights [tokens, k], experts [tokens, k])"
    )


def _described(output: Any) -> str:
    parts = output if isinstance(output, tuple) else (output,)
    return "(" + ", ".join(f"{type(p).__name__}{list(getattr(p, 'shape', []))}" for p in parts) + ")"


def stop_ids_of(model: Any, given: Iterable[int] | None) -> frozenset[int]:
    """The ids that end a generated text: given, or those of the model's generation config."""
    if given is not None:
        return frozenset(int(i) for i in given)
    for config in (getattr(model, "generation_config", None), getattr(model, "config", None)):
        ids: Any = getattr(config, "eos_token_id", None)
        if ids is not None:
            return frozenset([ids] if isinstance(ids, int) else ids)
    return frozenset()
