"""Messages go to the standard logger `foregate`; nothing is printed unless somebody listens."""

from __future__ import annotations

import logging
from typing import Literal

logger = logging.getLogger("foregate")
logger.addHandler(logging.NullHandler())

Verbosity = Literal["debug", "info", "warning", "error"]


def set_verbosity(level: Verbosity) -> None:
    """Writes the package's messages from `level` on to stderr, for scripts and notebooks that set up no logging."""
    logger.setLevel(level.upper())
    if not any(isinstance(handler, logging.StreamHandler) for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("foregate: %(levelname)s: %(message)s"))
        logger.addHandler(handler)
