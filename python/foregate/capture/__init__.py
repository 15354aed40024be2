"""Traces from engines that run a model already: hooks on transformers, and what vLLM, SGLang and Megatron-LM hand over."""

from ._engines import from_sglang, from_vllm
from ._megatron import from_megatron
from ._routed import Taken
from ._transformers import TransformersCapture
from ._transformers import TransformersCapture as transformers

__all__ = ["Taken", "TransformersCapture", "from_megatron", "from_sglang", "from_vllm", "transformers"]
