"""Hidden states beside decisions: which modules have them, the routers they go into, and whether both belong together."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._features import Routers
from ..errors import UnsupportedError
from ._gates import Gate

if TYPE_CHECKING:
    import torch

# Names of the RMSNorm between a layer's attention and its router, and of what its epsilon is.
_NORMS = ("post_attention_layernorm", "pre_mlp_layernorm", "ffn_norm")
_EPSILONS = ("variance_epsilon", "eps")
_CHOICE_BIASES = ("e_score_correction_bias",)
_WEIGHT_TOLERANCE = 2e-3


@dataclass(frozen=True)
class StateModules:
    """Decoder layers of the gates, whose inputs are the residual stream, and the routers as arrays."""

    layers: list[torch.nn.Module]
    weight: npt.NDArray[np.float32]  # [L, E, H]
    norm: npt.NDArray[np.float32]  # [L, H]
    epsilon: float
    logit_bias: npt.NDArray[np.float32] | None  # [L, E]
    choice_bias: npt.NDArray[np.float32] | None  # [L, E]


def state_modules(model: torch.nn.Module, gates: Sequence[Gate]) -> StateModules:
    """Raises UnsupportedError for models whose parts are called otherwise."""
    modules = dict(model.named_modules())
    layers = []
    norms = []
    for gate in gates:
        stem = gate.name[: gate.name.index(f".{gate.layer}.") + len(f".{gate.layer}")]
        layer = modules[stem]
        norm = next((getattr(layer, name) for name in _NORMS if hasattr(layer, name)), None)
        if norm is None or getattr(norm, "weight", None) is None:
            raise UnsupportedError(f"{stem}: no norm in front of its router; expected one of {', '.join(_NORMS)}")
        layers.append(layer)
        norms.append(norm)
    parts = [gate.module for gate in gates]
    epsilon = next((float(getattr(norms[0], name)) for name in _EPSILONS if hasattr(norms[0], name)), None)
    weight = _stacked(parts, ("weight",))
    if weight is None or weight.ndim != 3 or epsilon is None:
        raise UnsupportedError(f"router {gates[0].name}: no weight [experts, hidden size], or a norm without epsilon")
    norm_weight = _stacked(norms, ("weight",))
    assert norm_weight is not None
    return StateModules(layers, weight, norm_weight, epsilon, _stacked(parts, ("bias",)), _stacked(parts, _CHOICE_BIASES))


def _stacked(modules: Sequence[Any], names: Sequence[str]) -> npt.NDArray[np.float32] | None:
    """[modules, ...] of a parameter that all have, in float32."""
    for name in names:
        values: list[Any] = [getattr(module, name, None) for module in modules]
        if all(value is not None for value in values):
            return np.stack([value.detach().float().cpu().numpy() for value in values])
    return None


def _candidates(gate: Any) -> Iterator[dict[str, Any]]:
    """Ways in which a router like this one may decide, by its module's own settings: the manifest's `router` objects."""
    scale = float(getattr(gate, "routed_scaling_factor", 1.0) or 1.0)
    groups = int(getattr(gate, "num_group", None) or getattr(gate, "n_group", None) or 1)
    top_groups = int(getattr(gate, "topk_group", None) or 1)
    grouped = [(1, 1, "max")]
    if groups > 1:
        grouped = [(groups, top_groups, "sum-of-top-two"), (groups, top_groups, "max"), *grouped]
    # A softmax over the chosen is one over all, normalised; what has biases on its logits is written down as the former.
    scores = ["softmax", "sigmoid", "softmax-of-chosen"]
    if getattr(gate, "bias", None) is not None:
        scores.reverse()
    for score, norm, (n, kept, by) in itertools.product(scores, (False, True), grouped):
        yield {
            "score": score,
            "norm_topk": norm,
            "epsilon": 1e-20 if score == "sigmoid" and norm else 0.0,
            "scale": scale,
            "groups": n,
            "top_groups": kept,
            "group_score": by,
        }


@dataclass(frozen=True)
class StatesOfText:
    """One text's states [n, L, H] and decisions [n, L, k]; router inputs as float32, float16 or bfloat16 bits."""

    router_inputs: npt.NDArray[Any]
    residual: npt.NDArray[np.uint16]
    experts: npt.NDArray[Any]
    weights: npt.NDArray[np.float32]


def _logits(modules: StateModules, text: StatesOfText) -> list[npt.NDArray[np.float32]]:
    inputs = text.router_inputs
    exact = (inputs.astype(np.uint32) << 16).view(np.float32) if inputs.dtype == np.uint16 else inputs.astype(np.float32)
    return [
        _core.router_logits(np.ascontiguousarray(exact[:, layer]), np.ascontiguousarray(modules.weight[layer]))
        for layer in range(exact.shape[1])
    ]


def _decided(
    modules: StateModules, logits: Sequence[npt.NDArray[np.float32]], router: Mapping[str, Any], top_k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Decisions [n, L, k] and their weights, by foregate's router."""
    nothing = np.zeros(0, dtype=np.float32)
    spec = json.dumps(dict(router))
    found = [
        _core.decide(
            of_layer,
            spec,
            top_k,
            nothing if modules.logit_bias is None else modules.logit_bias[layer],
            nothing if modules.choice_bias is None else modules.choice_bias[layer],
        )
        for layer, of_layer in enumerate(logits)
    ]
    return np.stack([experts for experts, _ in found], axis=1), np.stack([weights for _, weights in found], axis=1)


def reproduces(modules: StateModules, router: Mapping[str, Any], text: StatesOfText) -> bool:
    """Whether every decision of the text follows from its states: what `foregate evaluate` demands of a trace."""
    experts, _ = _decided(modules, _logits(modules, text), router, text.experts.shape[-1])
    return bool((experts == text.experts).all())


def find_router(modules: StateModules, gate: Gate, text: StatesOfText) -> dict[str, Any]:
    """How the model's routers decide, as a text shows it: the candidate that gives its decisions and weights.

    Raises UnsupportedError if none does, for nearly all tokens."""
    logits = _logits(modules, text)
    best = 0.0
    for router in _candidates(gate.module):
        experts, weights = _decided(modules, logits, router, text.experts.shape[-1])
        same = (experts == text.experts).all(axis=-1)
        close = np.isclose(weights, text.weights, atol=_WEIGHT_TOLERANCE, rtol=_WEIGHT_TOLERANCE).all(axis=-1)
        share = float((same & close).mean())
        best = max(best, share)
        if share > 0.99:
            return router
    raise UnsupportedError(
        f"router {gate.name} ({type(gate.module).__name__}): its decisions do not follow from its inputs in float32 "
        f"({best:.1%} at best); states are captured of models that decide in float32: load it with dtype=torch.float32, or "
        "capture without states"
    )


def routers_of(modules: StateModules, router: Mapping[str, Any]) -> Routers:
    return Routers(
        weight=modules.weight,
        norm=modules.norm,
        epsilon=modules.epsilon,
        router=router,
        logit_bias=modules.logit_bias,
        choice_bias=modules.choice_bias,
    )
