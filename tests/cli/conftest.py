"""What the tests of the program share: running it, and small inputs to run it on."""
import json
import os
import pathlib
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "examples/demo/model"
TEXTS = ROOT / "examples/demo/texts"
SHARED = pathlib.Path(os.environ.get("FOREGATE_SHARED", ROOT.parent / "shared"))

DEMO_DATA = {
    "film-reviews": "film-reviews.csv",
    "place-reviews": "place-reviews.csv",
    "news-briefs": "news-briefs.csv",
    "reading-passages": "reading-passages.json",
    "product-reviews": "product-reviews.tsv",
    "encyclopedia": "encyclopedia.csv",
}


def program():
    path = os.environ.get("FOREGATE_BIN", str(ROOT / "build/cpu/apps/foregate/foregate"))
    if not pathlib.Path(path).exists():
        pytest.fail(f"no program at {path}: run ./run build, or set FOREGATE_BIN")
    return path


def run(*arguments, check=True, **options):
    """Runs foregate; with check, a failing exit code fails the test with what it said."""
    done = subprocess.run([program(), *map(str, arguments)], capture_output=True, text=True, timeout=600, **options)
    if check:
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def fails(*arguments, code, saying, **options):
    """Runs foregate on bad input: the exit code, and one clear line that contains every word of `saying`."""
    done = run(*arguments, check=False, **options)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == code, f"exit code {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}"
    assert len(errors) == 1, done.stderr
    for word in saying:
        assert word in errors[0], errors[0]
    return done


def demo_data(names=None):
    """--data arguments of the embedded texts."""
    return [item for name in (names or DEMO_DATA) for item in ("--data", f"{name}={TEXTS / DEMO_DATA[name]}")]


def kill_when(condition, command, after=0.0):
    """Starts a command and kills it with SIGKILL `after` seconds after the condition holds; whether it was killed."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while process.poll() is None and not condition():
        time.sleep(0.002)
        if time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"neither ended nor came to where it is killed: {command}")
    try:
        process.wait(timeout=after)
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


def manifest(directory):
    return json.loads((pathlib.Path(directory) / "manifest.json").read_text())


def contents(directory):
    """Every file of a directory with its bytes."""
    return {p.name: p.read_bytes() for p in sorted(pathlib.Path(directory).iterdir()) if p.is_file()}


def shared(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not here (set FOREGATE_SHARED to the folder that has it)")
    return path


@pytest.fixture(scope="session")
def demo_trace(tmp_path_factory):
    """A finished trace of the embedded model with hidden states: 120 texts of the six sets."""
    output = tmp_path_factory.mktemp("demo") / "traces"
    run("collect", "--model", MODEL, *demo_data(), "--traces", 120, "--record", "features", "--shard-traces", 50,
        "--output", output)
    return output
