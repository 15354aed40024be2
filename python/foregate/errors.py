"""What can go wrong. Every message is one line: what, where, what was expected and found, and what to do."""

__all__ = [
    "DataError",
    "DeviceError",
    "ForegateError",
    "NotFoundError",
    "NotObservedError",
    "StorageError",
    "UnsupportedError",
    "UsageError",
]


class ForegateError(Exception):
    """Base of all errors of this package."""


class UsageError(ForegateError, ValueError):
    """A call that cannot be meant: a wrong size, an index out of range, settings that do not fit."""


class DataError(ForegateError):
    """A file, or what an engine handed over, is not what it should be: broken, truncated, of another shape."""


class StorageError(ForegateError, OSError):
    """The machine does not give what is needed: no permission, a full disk, a folder that another process fills."""


class NotFoundError(StorageError, FileNotFoundError):
    """There is no such file or directory."""


class UnsupportedError(ForegateError, NotImplementedError):
    """It could be meant, and this version cannot do it."""


class NotObservedError(ForegateError):
    """A prediction that needs something its sequence was not told."""


class DeviceError(ForegateError, RuntimeError):
    """A compute device is missing, or does not have what is needed."""
