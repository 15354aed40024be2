"""The direction of dependency of docs/architecture.md, checked over every #include of the sources.

Four things are checked: a folder includes only the folders it may use; the heavy libraries stay
out of headers and out of the folders that promise to do without them; and no library talks to the
terminal or looks for signals: whoever starts a job hands in a RunContext (base/run_context.h).
Nor does a library read what a user spells: device, dtype and quantisation come typed.
"""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
BINDINGS = ROOT / "python/bindings"

# Direct arrows; what they reach is allowed too.
USES = {
    "base": [],
    "hub": ["base"],
    "text": ["base"],
    "trace": ["base"],
    "stats": ["trace"],
    "scoring": ["trace"],
    "offload": ["scoring"],
    "report": ["stats"],
    "kernels": [],
    "tensor": ["base"],
    "nn": ["tensor", "kernels", "trace"],
    "models": ["nn"],
    "engine": ["models", "text", "offload"],
    "collect": ["engine", "text", "trace"],
    "predict": ["nn", "trace", "stats", "scoring", "tensor"],
    "capi": ["scoring"],
    "python": ["capi", "stats"],
    "live": ["collect", "predict"],
}
NO_TORCH = ["base", "hub", "text", "trace", "stats", "scoring", "offload", "report", "kernels", "capi", "python"]
HEAVY_IN_HEADERS = re.compile(r"^(arrow/|parquet/|CLI/|nlohmann/json\.hpp|spdlog/|pcre2|utf8proc|curl/|torch/torch\.h)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


# What belongs to the program: its terminal, its signals, its messages.
TERMINAL = re.compile(
    r"\b(stderr|stdout|STDERR_FILENO|STDOUT_FILENO|isatty|TIOCGWINSZ|cerr|clog|cout|perror|printf|puts|putchar"
    r"|signal|sigaction|sigprocmask|raise|SIG[A-Z]+|csignal|spdlog)\b")
# Spellings are read where they are written down: on the command line, and in a trace's manifest.
SPELLINGS = re.compile(r"\b(parse_device|choose_device|parse_dtype|parse_quantization)\b")
MAY_READ_SPELLINGS = ["tensor/", "collect/sink.cpp", "collect/source.cpp"]
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')


def reachable(folder):
    seen, queue = set(), [folder]
    while queue:
        for target in USES[queue.pop()]:
            if target not in seen:
                seen.add(target)
                queue.append(target)
    return seen


def files():
    return sorted(p for folder in (SRC, BINDINGS) for p in folder.rglob("*") if p.suffix in {".h", ".cpp", ".cu", ".cuh"})


def folder_of(path):
    return "python" if BINDINGS in path.parents else path.relative_to(SRC).parts[0]


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
    codecs = (folder, name) == ("base", "unpack.cpp") and target in {"arrow/result.h", "arrow/util/compression.h"}
    if folder != "text" and folder != "trace" and not codecs and re.match(r"(arrow|parquet)/", target):
        found.append("Arrow stays in text and trace; base/unpack.cpp, a library of its own, uses its codecs")
    if folder != "hub" and target.startswith("curl/"):
        found.append("libcurl stays in hub")
    if name.endswith(".h") and HEAVY_IN_HEADERS.match(target):
        found.append("a heavy header belongs into a .cpp file")
    if re.match(r"CLI/", target):
        found.append("only apps/ knows the CLI library")
    return found


def test_every_folder_is_listed():
    assert {folder_of(p) for p in files()} <= set(USES)
    assert len(files()) > 20  # the scan found the sources at all


def test_graph_has_no_cycle():
    for folder in USES:
        assert folder not in reachable(folder)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_includes_point_up(path):
    folder = folder_of(path)
    wrong = [f"#include {target}: {why}" for quote, target in includes(path)
             for why in violations(folder, path.name, quote, target)]
    assert not wrong


def terminal_words(source):
    """The words of TERMINAL in a source, comments and strings left out but for the names of headers."""
    code = COMMENT.sub("", source)
    headers = " ".join(target for _, target in INCLUDE.findall(code))
    return TERMINAL.findall(STRING.sub('""', code)) + TERMINAL.findall(headers)


def spellings(source):
    return SPELLINGS.findall(COMMENT.sub("", source))


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_library_talks_to_the_terminal(path):
    assert not terminal_words(path.read_text())


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_library_reads_spellings(path):
    name = str(path.relative_to(ROOT)).removeprefix("src/")
    if not any(name.startswith(allowed) for allowed in MAY_READ_SPELLINGS):
        assert not spellings(path.read_text())


def test_the_check_of_spellings_can_fail():
    assert spellings("device_(tensor::parse_device(options.device))")
    assert not spellings("/// as parse_dtype() does")
    for name in MAY_READ_SPELLINGS[1:]:
        assert spellings((SRC / name).read_text()), name


def test_the_terminal_check_can_fail():
    for planted in ("std::fprintf(stderr, text);", "std::cerr << text;", "if (::isatty(2)) return;",
                    "std::signal(SIGINT, stop);", "struct sigaction action {};", "#include <csignal>",
                    "#include <spdlog/spdlog.h>", '#include "spdlog/spdlog.h"', "std::puts(text);"):
        assert terminal_words(planted), planted
    for harmless in ("// says it on stderr", '/* a signal\n comes */', 'throw UsageError("see stderr");',
                     "#include <cerrno>", "std::snprintf(buffer, size, text);", "CURLOPT_NOSIGNAL"):
        assert not terminal_words(harmless), harmless


def test_the_check_can_fail():
    assert violations("trace", "x.cpp", '"', "engine/engine.h")
    assert violations("stats", "x.cpp", "<", "torch/types.h")
    assert violations("report", "x.h", "<", "nlohmann/json.hpp")
    assert violations("capi", "x.cpp", '"', "predict/predictor.h")
    assert violations("base", "json.cpp", "<", "arrow/result.h")
    assert violations("base", "unpack.cpp", "<", "arrow/api.h")
    assert not violations("base", "unpack.cpp", "<", "arrow/util/compression.h")
    assert violations("scoring", "x.cpp", '"', "predict/predictor.h")
    assert violations("python", "x.cpp", '"', "engine/engine.h") and violations("python", "x.cpp", "<", "arrow/api.h")
    assert not violations("python", "x.cpp", '"', "stats/usage.h")
    assert not violations("capi", "x.cpp", '"', "scoring/lead.h")
    assert not violations("collect", "x.cpp", '"', "base/error.h")
