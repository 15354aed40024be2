"""The direction of dependency of docs/architecture.md, checked over every #include of the sources.

Two things are checked: a folder includes only the folders it may use, and the heavy libraries stay
out of headers and out of the folders that promise to do without them.
"""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

# Direct arrows; what they reach is allowed too.
USES = {
    "base": [],
    "hub": ["base"],
    "text": ["base"],
    "trace": ["base"],
    "stats": ["trace"],
    "scoring": ["trace"],
    "report": ["stats"],
    "kernels": [],
    "tensor": ["base"],
    "nn": ["tensor", "kernels"],
    "models": ["nn"],
    "engine": ["models", "trace"],
    "collect": ["engine", "text", "trace"],
    "predict": ["nn", "trace", "stats", "scoring", "tensor"],
    "capi": ["scoring"],
    "live": ["collect", "predict"],
}
NO_TORCH = ["base", "hub", "text", "trace", "stats", "scoring", "report", "kernels", "capi"]
HEAVY_IN_HEADERS = re.compile(r"^(arrow/|parquet/|CLI/|nlohmann/json\.hpp|spdlog/|pcre2|utf8proc|curl/|torch/torch\.h)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def reachable(folder):
    seen, queue = set(), [folder]
    while queue:
        for target in USES[queue.pop()]:
            if target not in seen:
                seen.add(target)
                queue.append(target)
    return seen


def files():
    return sorted(p for p in SRC.rglob("*") if p.suffix in {".h", ".cpp", ".cu", ".cuh"})


def includes(path):
    return INCLUDE.findall(path.read_text())


def violations(folder, name, quote, target):
    """Why `target` may not be included by file `name` of `folder`; empty if it may."""
    found = []
    top = target.split("/")[0]
    if quote == '"' and top in USES and top != folder and top not in reachable(folder):
        found.append(f"{folder} must not use {top}")
    if folder in NO_TORCH and re.match(r"(torch|ATen|c10)/", target):
        found.append(f"{folder} builds without torch")
    if folder != "text" and folder != "trace" and re.match(r"(arrow|parquet)/", target):
        found.append("Arrow stays in text and trace")
    if folder != "hub" and target.startswith("curl/"):
        found.append("libcurl stays in hub")
    if name.endswith(".h") and HEAVY_IN_HEADERS.match(target):
        found.append("a heavy header belongs into a .cpp file")
    if re.match(r"CLI/", target):
        found.append("only apps/ knows the CLI library")
    return found


def test_every_folder_is_listed():
    assert {p.relative_to(SRC).parts[0] for p in files()} <= set(USES)
    assert len(files()) > 20  # the scan found the sources at all


def test_graph_has_no_cycle():
    for folder in USES:
        assert folder not in reachable(folder)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SRC)))
def test_includes_point_up(path):
    folder = path.relative_to(SRC).parts[0]
    wrong = [f"#include {target}: {why}" for quote, target in includes(path)
             for why in violations(folder, path.name, quote, target)]
    assert not wrong


def test_the_check_can_fail():
    assert violations("trace", "x.cpp", '"', "engine/engine.h")
    assert violations("stats", "x.cpp", "<", "torch/types.h")
    assert violations("report", "x.h", "<", "nlohmann/json.hpp")
    assert violations("capi", "x.cpp", '"', "predict/predictor.h")
    assert violations("scoring", "x.cpp", '"', "predict/predictor.h")
    assert not violations("capi", "x.cpp", '"', "scoring/lead.h")
    assert not violations("collect", "x.cpp", '"', "base/error.h")
