"""The package from outside: what it needs, what it says of itself, its types."""
import pathlib
import subprocess
import sys

import pytest

import foregate as fg

PACKAGE = pathlib.Path(fg.__file__).parent


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize("missing", ["torch", "transformers", "tqdm", "pandas", "polars"])
def test_works_without(missing):
    done = python(f"import sys; sys.modules['{missing}'] = None; import foregate; foregate.Geometry(num_moe_layers=1, "
                  "num_experts=2, top_k=1)")
    assert done.returncode == 0, done.stderr


def test_does_not_bring_torch():
    done = python("import sys, foregate; print([m for m in ('torch', 'transformers', 'pandas') if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("first, second", [("torch", "foregate"), ("foregate", "torch")])
def test_imports_in_any_order_with_torch(first, second):
    pytest.importorskip("torch")
    done = python(f"import {first}; import {second}; import foregate, torch, numpy as np; "
                  "print(torch.zeros(3).sum().item(), foregate.Geometry(num_moe_layers=1, num_experts=2, top_k=1).top_k)")
    assert done.returncode == 0 and done.stdout.strip() == "0.0 1", done.stderr


def test_the_module_links_nothing_heavy():
    module = next(PACKAGE.glob("_core*.so")).resolve()
    needed = subprocess.run(["readelf", "-d", module], capture_output=True, text=True).stdout
    libraries = [line.split("[")[1].rstrip("]") for line in needed.splitlines() if "(NEEDED)" in line]
    assert libraries and ".abi3." in module.name
    for heavy in ("torch", "c10", "arrow", "parquet", "python", "curl"):
        assert not any(heavy in library for library in libraries), libraries
    exported = subprocess.run(["nm", "-D", "--defined-only", module], capture_output=True, text=True).stdout
    assert [line.split()[-1].split("@")[0] for line in exported.splitlines()] == ["PyInit__core"]


def test_errors_are_what_one_catches():
    assert issubclass(fg.UsageError, ValueError) and issubclass(fg.NotFoundError, FileNotFoundError)
    assert issubclass(fg.UnsupportedError, NotImplementedError) and issubclass(fg.DeviceError, RuntimeError)
    assert issubclass(fg.StorageError, OSError)
    for error in (fg.UsageError, fg.DataError, fg.StorageError, fg.NotFoundError, fg.UnsupportedError, fg.NotObservedError,
                  fg.DeviceError):
        assert issubclass(error, fg.ForegateError) and str(error("a line")) == "a line"


def test_messages_go_to_logging(caplog, tmp_path):
    geometry = fg.Geometry(num_moe_layers=1, num_experts=2, top_k=1)
    settings = {"geometry": geometry, "model": "m", "gate_weights": False}
    with pytest.raises(KeyError), fg.TraceWriter(tmp_path / "t", **settings) as w:
        w.add(experts=[[[1]]], token_ids=[0], dataset="a")
        raise KeyError
    with caplog.at_level("INFO", logger="foregate"):
        fg.TraceWriter(tmp_path / "t", **settings).close()
    assert "going on after 1 shards" in caplog.text
    done = python("import foregate as fg, logging; fg.set_verbosity('info'); logging.getLogger('foregate').info('hello')")
    assert done.stderr == "foregate: INFO: hello\n" and done.stdout == ""


def test_geometry():
    g = fg.Geometry(num_moe_layers=2, num_experts=8, top_k=2, moe_layers=[1, 3], num_decoder_layers=4)
    assert g.moe_layers == [1, 3] and g == fg.Geometry(num_moe_layers=2, num_experts=8, top_k=2, moe_layers=[1, 3],
                                                       num_decoder_layers=4)
    assert g != fg.Geometry(num_moe_layers=2, num_experts=8, top_k=2) and "num_experts=8" in repr(g)


def test_types(tmp_path):
    """py.typed, a stub of the module, and mypy in its strict mode."""
    assert (PACKAGE / "py.typed").exists() and "class Predictor" in (PACKAGE / "_core.pyi").read_text()
    pytest.importorskip("mypy")
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, "--follow-imports=silent",
                           "--ignore-missing-imports", "-p", "foregate"], capture_output=True, text=True,
                          cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stdout
