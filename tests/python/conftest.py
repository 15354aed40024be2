"""What the tests of the package share: the program, the C library, and traces of the embedded model."""
import os
import pathlib
import runpy
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/capi"))  # layout_reader
sys.path.insert(0, str(ROOT / "tests/models"))  # random_models

_capi = runpy.run_path(str(ROOT / "tests/capi/conftest.py"))
demo_trace, demo_texts, library, foregate_program = (
    _capi[name] for name in ("demo_trace", "demo_texts", "library", "foregate"))
MODEL = ROOT / "examples/demo/model"


def program(*arguments):
    """Runs foregate; what it printed."""
    return foregate_program(*arguments)


def split_of(directory):
    """The split of every text, as the C++ reader of traces deals them out."""
    done = subprocess.run([os.environ["FOREGATE_TRACE_FIXTURE"], "split", str(directory)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def no_leftovers(tmp_path):
    """Nothing temporary stays behind."""
    yield tmp_path
    assert not [p for p in tmp_path.rglob("*.tmp")]
