"""Capturing the routing of a transformers model while it runs, whatever runs it."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._log import logger
from ..errors import UnsupportedError, UsageError
from .._directory import MANIFEST, Directory
from ..traces import Traces
from ..writer import TraceWriter, require_free
from ._gates import Gate, decision_of, find_gates, stop_ids_of
from ._states import StatesOfText, find_router, reproduces, routers_of, state_modules
from ._steps import Step, step_of

if TYPE_CHECKING:
    import torch

_DTYPES = ("float32", "bfloat16", "float16")


@dataclass
class _Piece:
    """What one step brought: arrays are [rows, tokens, L, ...]."""

    step: Step
    experts: npt.NDArray[Any]
    weights: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float16] | None
    router_inputs: npt.NDArray[Any] | None  # of the rows that keep states
    residual: npt.NDArray[np.uint16] | None


@dataclass
class _Texts:
    """The rows that run together, from the step that began them on."""

    dataset: str
    samples: Sequence[int]
    with_states: list[int]  # rows
    pieces: list[_Piece] = field(default_factory=list)

    @property
    def positions(self) -> int:
        return sum(piece.step.tokens for piece in self.pieces)


class TransformersCapture:
    """Records every router decision of a transformers model, as long as the `with` block lasts.

        with foregate.capture.transformers(model, "traces", dataset="chat") as capture:
            model.generate(**inputs, max_new_tokens=100)

    A forward pass without earlier tokens in its cache begins a text in each row, passes with a cache go on with them;
    `attention_mask` tells padding from tokens. Texts end with the next one that begins, with end_texts(), or with the
    block. Tokens that generate() runs only because other rows are not done yet are left out: those from the first of
    `stop_ids` on (by default what the model's generation config ends a text with). The last token of a generated text was
    never run and is not recorded. logits: record router logits too. append: add to a finished trace.

    states: share of the texts whose hidden states are kept, of models that decide in float32: the routers' inputs and the
    residual stream in front of each MoE layer, with the routers, as `foregate collect --record features` does. A text whose
    decisions do not all follow from its states, to the bit, keeps none (`states_left_out` counts them).

    Raises UnsupportedError where decisions could be given to the wrong token: routers that return something else than
    (logits, weights, experts), packed texts, masks that do not tell padding, beam search, assisted decoding.
    """

    def __init__(
        self,
        model: Any,
        path: str | os.PathLike[str],
        *,
        dataset: str = "captured",
        logits: bool = False,
        states: float = 0.0,
        seed: int = 0,
        shard_traces: int = 512,
        stop_ids: Iterable[int] | None = None,
        append: bool = False,
    ) -> None:
        self.dataset = dataset
        self._model = model
        self._path = pathlib.Path(path)
        self._gates = find_gates(model)
        self._logits = logits
        if not 0 <= states <= 1:
            raise UsageError(f"states is {states}; expected a share of the texts, 0 to 1")
        self._states = states
        self._seed = seed
        self._modules = state_modules(model, self._gates) if states > 0 else None
        self._inputs: dict[int, tuple[Any, Any]] = {}
        self._stop_ids = stop_ids_of(model, stop_ids)
        self._settings: dict[str, Any] = {"seed": seed, "shard_traces": shard_traces, "append": append}
        require_free(self._path, append)
        self._writer: TraceWriter | None = None
        self._router: dict[str, Any] | None = None
        self.states_left_out = 0
        self._handles: list[Any] = []
        self._step: Step | None = None
        self._decided: dict[int, tuple[Any, ...]] = {}
        self._shape = (0, 0)  # k and experts, as the first pass shows them
        self._texts: _Texts | None = None
        self._samples: list[int] | None = None
        self._next = _next_samples(self._path)

    # -- what is captured

    @property
    def num_traces(self) -> int:
        """Texts that have ended."""
        return 0 if self._writer is None else self._writer.num_traces

    def name_texts(self, *, dataset: str | None = None, samples: Sequence[int] | None = None) -> None:
        """Names the texts that the next pass begins: their dataset from here on, and the row of each in its source (by
        default they are numbered)."""
        self.end_texts()
        if dataset is not None:
            self.dataset = dataset
        self._samples = None if samples is None else [int(sample) for sample in samples]

    def end_texts(self, input_ids: Any = None) -> None:
        """Ends the texts that are running and writes them. input_ids [rows, tokens]: of all their tokens, padding
        included, where the model was given embeddings instead."""
        texts, self._texts = self._texts, None
        if texts is None or not texts.pieces:
            return
        ids = _ids_of(texts, input_ids)
        real = np.concatenate([piece.step.real for piece in texts.pieces], axis=1)
        experts = np.concatenate([piece.experts for piece in texts.pieces], axis=1)
        weights = np.concatenate([piece.weights for piece in texts.pieces], axis=1)
        logits = None
        if self._logits:
            logits = np.concatenate([piece.logits for piece in texts.pieces if piece.logits is not None], axis=1)
        prompt = _prompt_positions(texts.pieces)
        for row, sample in enumerate(texts.samples):
            kept = self._kept(ids[row], real[row], prompt)
            if not len(kept):
                logger.warning("text %s %d has no tokens and is left out", texts.dataset, sample)
                continue
            states = self._states_of(texts, row, kept, experts[row, kept], weights[row, kept])
            self._open(states).add(
                experts=experts[row, kept],
                gate_weights=weights[row, kept],
                router_logits=None if logits is None else logits[row, kept],
                token_ids=ids[row, kept],
                dataset=texts.dataset,
                sample=sample,
                prompt_tokens=int((kept < prompt).sum()),
                router_inputs=None if states is None else states.router_inputs,
                residual=None if states is None else states.residual,
            )

    def _states_of(
        self,
        texts: _Texts,
        row: int,
        kept: npt.NDArray[np.int64],
        experts: npt.NDArray[Any],
        weights: npt.NDArray[np.float32],
    ) -> StatesOfText | None:
        """The states of a row, if it keeps them and its decisions follow from them."""
        if self._modules is None or row not in texts.with_states:
            return None
        place = texts.with_states.index(row)
        parts = [(p.router_inputs[place], p.residual[place]) for p in texts.pieces if p.router_inputs is not None
                 and p.residual is not None]
        inputs, residual = (np.concatenate([part[i] for part in parts])[kept] for i in (0, 1))
        states = StatesOfText(inputs, residual, experts, weights)
        if self._router is None:
            self._router = find_router(self._modules, self._gates[0], states)
        if reproduces(self._modules, self._router, states):
            return states
        # Two experts closer than the rounding of two orders of addition: evaluations want none of these.
        self.states_left_out += 1
        return None

    def _kept(self, ids: npt.NDArray[np.int64], real: npt.NDArray[np.bool_], prompt: int) -> npt.NDArray[np.int64]:
        """The positions of a row that are its text."""
        ends = [i for i in range(prompt, len(ids)) if real[i] and int(ids[i]) in self._stop_ids]
        last = ends[0] if ends else len(ids)
        return np.flatnonzero(real[:last])

    # -- hooks

    def __enter__(self) -> TransformersCapture:
        for place, gate in enumerate(self._gates):
            self._handles.append(gate.module.register_forward_hook(self._gate_hook(place, gate)))
        for place, layer in enumerate(self._modules.layers if self._modules is not None else []):
            self._handles.append(layer.register_forward_pre_hook(self._layer_hook(place), with_kwargs=True))
        self._handles.append(self._model.register_forward_pre_hook(self._before, with_kwargs=True))
        self._handles.append(self._model.register_forward_hook(self._after))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        try:
            if kind is None:
                self.end_texts()
        except BaseException:
            kind = UsageError
            raise
        finally:
            if self._writer is not None:
                self._writer.close(complete=kind is None)

    def _before(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        step = step_of(self._model.forward, args, kwargs)
        self._decided = {}
        self._inputs = {}
        self._step = step
        if step.cached == 0:
            self.end_texts()
            samples = self._take_samples(step.rows)
            self._texts = _Texts(self.dataset, samples, self._rows_with_states(samples))
            _watch_cache(kwargs.get("past_key_values"))
        elif self._texts is None or self._texts.positions != step.cached or len(self._texts.samples) != step.rows:
            there = 0 if self._texts is None else self._texts.positions
            raise UsageError(
                f"the cache holds {step.cached} tokens a row, and {there} of {len(self._texts.samples) if self._texts else 0} "
                f"rows were captured (now {step.rows}); begin the capture before the text, and do not move rows"
            )

    def _gate_hook(self, place: int, gate: Gate) -> Any:
        def hook(module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if self._step is None:
                return  # a part of the model that is run by itself
            if place in self._decided:
                raise UnsupportedError(f"router {gate.name} ran twice in one pass; expected once a layer")
            found = decision_of(gate, output)
            expected = self._step.rows * self._step.tokens
            if len(found.experts) != expected:
                raise UnsupportedError(
                    f"router {gate.name} decided {len(found.experts)} tokens of {expected}; expected all, in their order"
                )
            # What ranks experts of equal weight: low precision has many.
            ranking = found.logits.gather(1, found.experts)
            kept = None
            if self._logits:  # the trace's logits are those that a bias is yet to be added to
                bias = getattr(module, "bias", None)
                kept = (found.logits if bias is None else found.logits - bias).detach()
            self._decided[place] = (found.experts.detach(), found.weights.detach(), ranking.detach(), kept)
            shape = (found.experts.shape[1], found.logits.shape[1])
            if self._shape not in ((0, 0), shape):
                raise UnsupportedError(
                    f"router {gate.name} chooses {shape[0]} of {shape[1]} experts, others {self._shape[0]} of "
                    f"{self._shape[1]}; expected all layers alike"
                )
            self._shape = shape
            if self._texts is not None and self._texts.with_states:
                seen = args[0].detach().reshape(self._step.rows, self._step.tokens, -1)
                self._inputs[place] = (seen[self._texts.with_states], *self._inputs[place][1:])

        return hook

    def _layer_hook(self, place: int) -> Any:
        def hook(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if self._step is not None and self._texts is not None and self._texts.with_states:
                residual = args[0] if args else kwargs["hidden_states"]
                self._inputs[place] = (None, residual.detach()[self._texts.with_states])

        return hook

    def _after(self, module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        import torch

        step, self._step = self._step, None
        if step is None or self._texts is None:
            return
        missing = [gate.name for place, gate in enumerate(self._gates) if place not in self._decided]
        if missing:
            raise UnsupportedError(f"router {missing[0]} did not run; expected every MoE layer to run in every pass")
        decided = [self._decided[place] for place in range(len(self._gates))]

        def gathered(index: int, dtype: torch.dtype) -> npt.NDArray[Any]:
            """[rows, tokens, L, ...]: one copy to the host for all layers."""
            parts = [d[index] for d in decided]
            device = parts[-1].device
            stacked = torch.stack([part.to(device=device, dtype=dtype) for part in parts], dim=1).cpu().numpy()
            return stacked.reshape(step.rows, step.tokens, *stacked.shape[1:])

        experts, weights = _ranked(gathered(0, torch.int64), gathered(1, torch.float32), gathered(2, torch.float32))
        logits = gathered(3, torch.float16) if self._logits else None
        inputs, residual = self._gathered_states()
        self._texts.pieces.append(_Piece(step, experts, weights, logits, inputs, residual))
        self._decided = {}
        self._inputs = {}

    def _gathered_states(self) -> tuple[npt.NDArray[Any] | None, npt.NDArray[np.uint16] | None]:
        """[rows with states, tokens, L, H] of router inputs, in the model's dtype, and of the residual stream in bfloat16."""
        import torch

        if not self._inputs:
            return None, None
        parts = [self._inputs[place] for place in range(len(self._gates))]
        inputs = torch.stack([part[0] for part in parts], dim=2).cpu()
        residual = torch.stack([part[1] for part in parts], dim=2).to(torch.bfloat16).cpu()
        exact = _bits(inputs) if inputs.dtype == torch.bfloat16 else inputs.numpy()
        return exact, _bits(residual)

    def _rows_with_states(self, samples: Sequence[int]) -> list[int]:
        """Rows whose states are kept, and the very first, which shows how the routers decide."""
        if self._modules is None:
            return []
        return [
            row
            for row, sample in enumerate(samples)
            if _core.keeps_states(self.dataset, sample, self._seed, self._states) or (row == 0 and self._router is None)
        ]

    def _take_samples(self, rows: int) -> list[int]:
        given, self._samples = self._samples, None
        if given is not None and len(given) != rows:
            raise UsageError(f"{len(given)} samples were named, and {rows} texts begin")
        first = self._next.get(self.dataset, 0)
        samples = list(range(first, first + rows)) if given is None else given
        self._next[self.dataset] = max(first, *(sample + 1 for sample in samples))
        return samples

    # -- the trace

    def _open(self, states: StatesOfText | None) -> TraceWriter:
        if self._writer is None:
            config = self._model.config.get_text_config()
            layers = [gate.layer for gate in self._gates]
            geometry = _core.Geometry(
                num_moe_layers=len(layers),
                num_experts=self._shape[1],
                top_k=self._shape[0],
                hidden_size=int(getattr(config, "hidden_size", 0)),
                vocab_size=int(getattr(config, "vocab_size", 0)),
                num_decoder_layers=int(getattr(config, "num_hidden_layers", 0)),
                moe_layers=layers,
            )
            dtype = str(self._model.dtype).removeprefix("torch.")
            folder = pathlib.Path(str(self._model.config._name_or_path or ""))
            self._writer = TraceWriter(
                self._path,
                geometry=geometry,
                model=folder.name or type(self._model).__name__,
                model_type=str(config.model_type),
                router_logits=self._logits,
                feature_fraction=self._states,
                routers=None if self._modules is None or self._router is None else routers_of(self._modules, self._router),
                dtype=dtype if dtype in _DTYPES else "unknown",
                quantization="unknown" if getattr(self._model, "is_quantized", False) else "none",
                config_sha256=_digest(folder / "config.json"),
                tokenizer_sha256=_digest(folder / "tokenizer.json"),
                **self._settings,
            )
        return self._writer

    def __repr__(self) -> str:
        return f"TransformersCapture({str(self._path)!r}: {len(self._gates)} MoE layers, {self.num_traces:,} traces)"


def _next_samples(path: pathlib.Path) -> dict[str, int]:
    """By dataset, one behind the highest sample of a trace that is gone on with."""
    behind: dict[str, int] = {}
    if (path / MANIFEST).exists():
        for text in Traces(Directory(path, allow_unfinished=True), None).texts().to_pylist():
            behind[text["dataset"]] = max(behind.get(text["dataset"], 0), text["sample"] + 1)
    return behind


def _bits(tensor: torch.Tensor) -> npt.NDArray[np.uint16]:
    """bfloat16 as uint16."""
    import torch

    return tensor.view(torch.int16).numpy().view(np.uint16)


def _ranked(
    experts: npt.NDArray[Any], weights: npt.NDArray[Any], logits: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    """Decisions [..., k] with the largest weight first, equal ones by their logits, then by lowest index."""
    order = np.lexsort((experts, -logits, -weights), axis=-1)
    return np.take_along_axis(experts, order, -1), np.take_along_axis(weights, order, -1)


def _ids_of(texts: _Texts, given: Any) -> npt.NDArray[np.int64]:
    """[rows, tokens], padding included."""
    if given is not None:
        ids = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
        if ids.ndim != 2 or len(ids) != len(texts.samples) or ids.shape[1] < texts.positions:
            raise UsageError(f"input_ids is {list(ids.shape)}; expected [{len(texts.samples)}, {texts.positions}]")
        return ids[:, : texts.positions]
    pieces = [piece.step.ids for piece in texts.pieces if piece.step.ids is not None]
    if len(pieces) < len(texts.pieces):
        raise UsageError("the model was given embeddings, not ids; end_texts(input_ids) says which tokens they were")
    return np.concatenate(pieces, axis=1)


def _prompt_positions(pieces: Sequence[_Piece]) -> int:
    """Positions before the first pass of one token with a cache: what generate() was given."""
    positions = 0
    for piece in pieces:
        if piece.step.cached > 0 and piece.step.tokens == 1:
            break
        positions += piece.step.tokens
    return positions


def _refuse(what: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise UnsupportedError(f"{what} while routing is captured; expected greedy search or sampling, a row a text")

    return refuse


def _watch_cache(cache: Any) -> None:
    """Beam search moves rows of the cache, assisted decoding takes tokens back: then rows are no longer texts."""
    if cache is None:
        return
    for method, what in (("reorder_cache", "beam search reorders rows"), ("crop", "tokens are taken back")):
        if hasattr(cache, method):
            setattr(cache, method, _refuse(what))


def _digest(file: pathlib.Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
