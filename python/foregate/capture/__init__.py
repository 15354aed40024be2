"""Traces from engines that run a model already: hooks on transformers, and what vLLM and SGLang hand over."""

from ._transformers import TransformersCapture
from ._transformers import TransformersCapture as transformers

__all__ = ["TransformersCapture", "transformers"]
