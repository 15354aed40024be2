"""Files that appear under their names only when they are whole, and a folder that one process fills."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pathlib
from types import TracebackType
from typing import Any

from .errors import StorageError

_LOCK = ".foregate-lock"


def sync_and_rename(temporary: pathlib.Path, path: pathlib.Path) -> None:
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Replaces `path` atomically."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    sync_and_rename(temporary, path)


def sha256_of(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


class FolderLock:
    """Holds a folder for this process, with the lock that the program uses. Raises StorageError if another has it."""

    def __init__(self, folder: pathlib.Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the directory {folder}: {error.strerror}") from None
        self._path = folder / _LOCK
        while True:
            try:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise StorageError(f"cannot write to the directory {folder}: {error.strerror}") from None
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._descriptor)
                raise StorageError(
                    f"{folder} is being written by another process; wait for it, or choose another directory"
                ) from None
            except OSError:  # a file system without locks
                return
            if self._is_named():
                return
            os.close(self._descriptor)  # whoever held it removed it meanwhile

    def _is_named(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        # Removed while it is held: whoever opened it meanwhile sees that it has no name any more.
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
