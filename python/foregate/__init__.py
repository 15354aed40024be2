"""foregate: expert routing of Mixture-of-Experts models.

Traces are read with `open`, written with `TraceWriter`, and captured from a running model with `foregate.capture`;
`Predictor` says in an inference engine which experts come next. docs/python.md has it by what one wants to do.
"""

from . import capture
from ._core import Batch, Geometry, Predictor, PredictorInfo, Sequence
from ._features import Routers
from ._log import set_verbosity
from .errors import (
    DataError,
    DeviceError,
    ForegateError,
    NotFoundError,
    NotObservedError,
    StorageError,
    UnsupportedError,
    UsageError,
)
from .statistics import Statistics, TypicalToken
from .traces import Trace, Traces, open
from .writer import TraceWriter

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "DataError",
    "DeviceError",
    "ForegateError",
    "Geometry",
    "NotFoundError",
    "NotObservedError",
    "Predictor",
    "PredictorInfo",
    "Routers",
    "Sequence",
    "Statistics",
    "StorageError",
    "Trace",
    "TraceWriter",
    "Traces",
    "TypicalToken",
    "UnsupportedError",
    "UsageError",
    "capture",
    "open",
    "set_verbosity",
]
