"""The C API from outside: what it links and exports, the installed files and the C example, and that its scores over
the embedded model's trace are those of the documented layout and of foregate evaluate."""
import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from conftest import BUILD, LIBRARY, ROOT, foregate, run
from layout_reader import LayoutReader

CASES = [
    *[("random", lead) for lead in ("next-token", "layer-2")],
    *[("frequency", lead) for lead in ("next-token", "layer-1", "pre-attention")],
    ("previous-token", "next-token"),
    ("token-table", "next-token"),
    *[("transition", lead) for lead in ("layer-1", "layer-2")],
    *[("statistics", lead) for lead in ("next-token", "layer-1", "layer-2")],
    *[("transformer", lead) for lead in ("next-token", "layer-1", "layer-2")],
    *[(name, lead) for name in ("next-gate", "gate-adapter", "gate-mlp", "mlp")
      for lead in ("layer-1", "layer-2", "pre-attention")],
]
EXAMPLE = ROOT / "examples/c_api/predict.c"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]


@pytest.fixture(scope="module")
def predictors(demo_trace, tmp_path_factory):
    """A directory for every predictor and lead, the trained ones trained for a moment."""
    directory = tmp_path_factory.mktemp("predictors")
    quick = {"steps": 30, "batch_tokens": 256, "validate_every": 10}
    (directory / "quick.json").write_text(json.dumps(quick))
    # Windows that end within the texts.
    (directory / "transformer.json").write_text(json.dumps({**quick, "context": 21, "blocks": 2, "width": 64}))
    for name, lead in CASES:
        trained = name in ("gate-adapter", "gate-mlp", "mlp", "transformer")
        config = directory / ("transformer.json" if name == "transformer" else "quick.json")
        foregate("train", "--traces", demo_trace, "--predictor", name, "--lead", lead, "--output",
                 directory / f"{name}-{lead}", *(["--config", config] if trained else []))
    return directory


@pytest.fixture(scope="module")
def evaluation(demo_trace, predictors):
    """What foregate evaluate says of all of them over all texts."""
    named = [item for name, lead in CASES for item in ("--predictor", predictors / f"{name}-{lead}")]
    result = json.loads(foregate("evaluate", "--traces", demo_trace, "--split", "all", "--json", *named))
    return {row["predictor"]: row["metrics"] for row in result["rows"]}


def ranks(scores):
    return np.argsort(-scores, axis=-1, kind="stable")


@pytest.mark.parametrize("name, lead", CASES, ids=lambda value: value)
def test_scores_are_those_of_the_layout_and_of_evaluate(name, lead, predictors, evaluation, demo_texts, library):
    directory = predictors / f"{name}-{lead}"
    reader = LayoutReader(directory)
    decisions = alike = first = 0
    hits = {2: 0, 4: 0}
    for text in demo_texts:
        scores, probabilities = library.score(directory, text, reader.first, lead == "pre-attention")
        expected = reader.score(text)
        np.testing.assert_allclose(scores, expected, rtol=2e-4, atol=2e-4)
        np.testing.assert_allclose(probabilities, reader.calibrated(scores), atol=1e-6)
        order, truth = ranks(scores), text["experts"][:, reader.first:]
        decisions += truth.shape[0] * truth.shape[1]
        alike += (order == ranks(expected)).all(-1).sum()
        first += (order[..., 0] == truth[..., 0]).sum()
        for m in hits:
            hits[m] += (order[..., :m, None] == truth[..., None, :]).sum()
    assert decisions > 5000
    # Scores closer than rounding may change places.
    assert alike >= 0.998 * decisions
    metrics = evaluation[str(directory)]
    for m, found in hits.items():
        assert metrics[f"recall@{m}"]["mean"] == pytest.approx(found / decisions / 2, abs=2e-4)
    assert metrics["top-1"]["mean"] == pytest.approx(first / decisions, abs=2e-4)


def needed_by(path):
    dynamic = run("readelf", "-d", path)
    return [line.split("[")[1].rstrip("]") for line in dynamic.splitlines() if "(NEEDED)" in line]


def test_links_neither_libtorch_nor_libarrow():
    needed = needed_by(LIBRARY)
    assert "libc.so.6" in needed  # the list was read at all
    assert needed_by(BUILD / "apps/foregate/foregate")[0]
    loaded = run("ldd", LIBRARY)
    for heavy in ("torch", "c10", "arrow", "parquet", "cuda", "gomp", "curl", "spdlog"):
        assert heavy not in loaded, loaded
    assert LIBRARY.stat().st_size < 50_000_000


def test_exports_nothing_but_the_header():
    header = (ROOT / "include/foregate/predictor.h").read_text()
    exported = {line.split()[-1].split("@")[0] for line in run("nm", "-D", "--defined-only", LIBRARY).splitlines()}
    exported.discard("FOREGATE_PREDICTOR_1")
    assert len(exported) == 17
    for name in exported:
        assert f" {name}(" in header or f"*{name}(" in header


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("installed")
    run("cmake", "--install", BUILD, "--component", "predictor", "--prefix", prefix)
    return prefix


def compiled(output, installed, *libraries):
    libdir = next(installed.glob("lib*"))
    for candidate in installed.rglob("libforegate_predictor.so"):
        libdir = candidate.parent
    run(os.environ.get("CC", "cc"), *STRICT, f"-I{installed / 'include'}", EXAMPLE, "-o", output, f"-L{libdir}",
        *libraries, f"-Wl,-rpath,{libdir}")
    return output


def routing_lines(text):
    return "".join(f"{i} {' '.join(map(str, e.ravel()))}\n" for i, e in zip(text["ids"], text["experts"]))


@pytest.mark.parametrize("name, lead", [("statistics", "next-token"), ("transition", "layer-2")])
def test_the_example_compiled_against_the_installed_files(name, lead, installed, predictors, demo_texts, tmp_path):
    assert not list(installed.rglob("*torch*"))
    static = ["-l:libforegate_predictor.a", "-lfmt", "-lcrypto", "-lstdc++", "-lm"]
    shared = compiled(tmp_path / "shared", installed, "-lforegate_predictor")
    alone = compiled(tmp_path / "alone", installed, *static)
    assert any("libforegate_predictor" in n for n in needed_by(shared))
    assert not any("libforegate_predictor" in n for n in needed_by(alone))
    directory, text = predictors / f"{name}-{lead}", max(demo_texts, key=lambda t: len(t["ids"]))
    lines = routing_lines(text)
    output = run(shared, directory, 4, input=lines)
    assert output == run(alone, directory, 4, input=lines)
    assert output == run(BUILD / "examples/c_api/foregate_c_example", directory, 4, input=lines)

    reader = LayoutReader(directory)
    best, truth = ranks(reader.score(text))[..., :4], text["experts"][:, reader.first:]
    recall = (best[..., None] == truth[..., None, :]).sum() / truth.size
    assert output.splitlines()[0] == f"{name} at {lead}: MoE layers {reader.first} to 7, 8 experts, top-2"
    assert len(output.splitlines()) == 2 + truth.shape[0] * truth.shape[1]
    assert float(output.split("recall@4 ")[1]) == pytest.approx(recall, abs=2e-3)


def test_the_example_by_probability(predictors, demo_texts):
    directory, text = predictors / "statistics-layer-1", max(demo_texts, key=lambda t: len(t["ids"]))
    output = run(BUILD / "examples/c_api/foregate_c_example", directory, "0.25", input=routing_lines(text))
    reader = LayoutReader(directory)
    probable = reader.calibrated(reader.score(text)) >= 0.25
    truth = text["experts"][:, 1:]
    recall = np.take_along_axis(probable, truth, -1).mean()
    said = output.splitlines()[-1]
    assert said.startswith("experts at least 0.250 probable: ")
    assert float(said.split(": ")[1].split()[0]) == pytest.approx(probable.sum(-1).mean(), abs=2e-3)
    assert float(said.split("recall ")[1]) == pytest.approx(recall, abs=2e-3)
    assert 0.5 < recall < 1


def test_the_example_reports_errors(predictors, tmp_path):
    example = BUILD / "examples/c_api/foregate_c_example"

    def fails(*arguments, saying, code=1, **options):
        done = subprocess.run([str(example), *map(str, arguments)], capture_output=True, text=True, **options)
        assert done.returncode == code and saying in done.stderr, done.stderr

    fails(saying="usage", code=2)
    fails(tmp_path, saying="FOREGATE_NOT_FOUND")
    fails(predictors / "mlp-layer-1", saying="reads hidden states")
    fails(predictors / "frequency-next-token", 9, saying="expected 1 to 8", code=2)
    fails(predictors / "frequency-next-token", saying="too short", input="5 1 2")
    fails(predictors / "previous-token-next-token", saying="names expert 8", input="5" + " 1 8" * 8)
    broken = shutil.copytree(predictors / "frequency-next-token", tmp_path / "broken")
    weights = broken / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    fails(broken, saying="FOREGATE_BAD_DATA")


def test_the_header_is_cpp_too(installed, tmp_path):
    source = tmp_path / "header.cpp"
    source.write_text("#include <foregate/predictor.h>\nint main() { return foregate_predictor_api_version() == 1 ? 0 : 1; }\n")
    run(os.environ.get("CXX", "c++"), "-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror",
        f"-I{installed / 'include'}", "-fsyntax-only", source)


def test_pkg_config_finds_the_installed_files(installed):
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not installed")
    folder = next(installed.rglob("foregate_predictor.pc")).parent
    flags = run("pkg-config", "--cflags", "--libs", "foregate_predictor",
                env={**os.environ, "PKG_CONFIG_PATH": str(folder)}).split()
    include = next(flag[2:] for flag in flags if flag.startswith("-I"))
    assert os.path.exists(os.path.join(include, "foregate/predictor.h"))
    assert "-lforegate_predictor" in flags
