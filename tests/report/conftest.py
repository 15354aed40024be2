"""A small trace with its report, tables and SVG files, made once for all tests from outside."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("FOREGATE_BIN", str(ROOT / "build/cpu/apps/foregate/foregate"))
EVIL = "a<b>&c"


def run(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def output(tmp_path_factory):
    if not pathlib.Path(PROGRAM).exists():
        pytest.skip(f"no program at {PROGRAM}: build it, or set FOREGATE_BIN")
    folder = tmp_path_factory.mktemp("report")
    texts = ROOT / "examples/demo/texts"
    run("collect", "--model", ROOT / "examples/demo/model", "--traces", 24, "--output", folder / "traces",
        "--data", f"{EVIL}={texts / 'film-reviews.csv'}", "--data", f"news={texts / 'news-briefs.csv'}")
    run("train", "--traces", folder / "traces", "--predictor", "statistics", "--lead", "layer-1", "--output", folder / "trained")
    run("analyze", "--traces", folder / "traces", "--output", folder / "report.html",
        "--simulate", "--hardware", "rtx3090", "--expert-size", "1MB", "--predictor", folder / "trained",
        "--predictor", "frequency", "--predictor", "token-table", "--cross-domain", "--compare", folder / "traces",
        "--tokenizer", ROOT / "examples/demo/model",
        "--tables", folder / "tables", "--svg", folder / "svg")
    (folder / "model").symlink_to(ROOT / "examples/demo/model")
    return folder
