"""Progress by tqdm where it is installed, silence where it is not."""

from __future__ import annotations

from types import TracebackType
from typing import Any


class Progress:
    """A bar of `total` texts; without tqdm, or without `shown`, nothing."""

    def __init__(self, total: int, what: str, shown: bool) -> None:
        self._bar: Any = None
        if shown:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                return
            self._bar = tqdm(total=total, desc=what, unit=" texts")

    def add(self, texts: int) -> None:
        if self._bar is not None:
            self._bar.update(texts)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
