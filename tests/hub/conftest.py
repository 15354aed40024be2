"""What the tests of pulling share: a hub, an environment that knows no other, and running programs in it."""
import json
import os
import pathlib
import random
import subprocess
import sys

import pytest

from fake_hub import FakeHub, Repo, blob_name

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "examples/demo/model"
TEXTS = ROOT / "examples/demo/texts"


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


class Hub(FakeHub):
    """The hub with a cache of its own, and programs that see only these two."""

    def __init__(self, folder, certificate=None):
        super().__init__(certificate)
        self.home = folder / "hf"
        self.cache = self.home / "hub"
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("HF_", "HUGGING", "XDG_", "TRANSFORMERS_")) and "proxy" not in name.lower()}
        self.environment = {**kept, "HF_HOME": str(self.home), "HF_ENDPOINT": self.url, "HF_HUB_DISABLE_TELEMETRY": "1",
                            "HF_HUB_DISABLE_UPDATE_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def model(self, name, files, **options):
        repo = self.models[name] = Repo(**options)
        repo.commit(files)
        return repo

    def dataset(self, name, files, **options):
        repo = self.datasets[name] = Repo(**options)
        repo.commit(files)
        return repo

    def folder(self, name, kind="models"):
        return self.cache / f"{kind}--{name.replace('/', '--')}"

    def blobs(self, name, kind="models"):
        """The files in blobs/, whole ones and others."""
        return sorted(path.name for path in (self.folder(name, kind) / "blobs").glob("*"))

    def start(self, *arguments, **options):
        environment = {**self.environment, **options.pop("env", {})}
        return subprocess.Popen([program(), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=environment, **options)

    def run(self, *arguments, code=0, **options):
        process = self.start(*arguments, **options)
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == code, f"exit code {process.returncode}, expected {code}\n{stdout}\n{stderr}"
        return subprocess.CompletedProcess(process.args, code, stdout, stderr)

    def pull(self, *arguments, **options):
        """Runs `foregate pull`; the folder of the snapshot."""
        return pathlib.Path(self.run("pull", *arguments, **options).stdout.strip())

    def fails(self, *arguments, saying, code=1, **options):
        """Runs foregate; it must end with this code and one error line that holds every word of `saying`."""
        done = self.run(*arguments, code=code, **options)
        errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        assert len(errors) == 1, done.stderr
        for word in saying:
            assert word in errors[0], errors[0]
        return done

    def start_python(self, code, **options):
        """Python with huggingface_hub, which prints one JSON value."""
        return subprocess.Popen([sys.executable, "-c", "import json\nfrom huggingface_hub import *\n" + code],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**self.environment, **options.pop("env", {})}, **options)

    def python(self, code, **options):
        process = self.start_python(code, **options)
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        return json.loads(stdout.splitlines()[-1])


def program():
    path = os.environ.get("FOREGATE_BIN", str(ROOT / "build/cpu/apps/foregate/foregate"))
    if not pathlib.Path(path).exists():
        pytest.fail(f"no program at {path}: run ./run build, or set FOREGATE_BIN")
    return path


def contents(folder):
    """{path: content} of a snapshot, links followed."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def tiny_files():
    """A model repository as they are: small files, two shards with an index, and what foregate does not read."""
    return {
        ".gitattributes": "*.safetensors filter=lfs\n",
        "README.md": "# Tiny\n",
        "config.json": '{"model_type": "qwen2_moe"}\n',
        "model-00001-of-00002.safetensors": noise(3_000_000, 1),
        "model-00002-of-00002.safetensors": noise(1_000_000, 2),
        "model.safetensors.index.json": '{"weight_map": {"a": "model-00001-of-00002.safetensors", '
                                        '"b": "model-00002-of-00002.safetensors"}}\n',
        "pytorch_model.bin": noise(50_000, 3),
        "tokenizer.json": "{}\n",
    }


USUAL = ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
         "model.safetensors.index.json", "tokenizer.json"]
LARGE = "model-00001-of-00002.safetensors"


def usual(files):
    """The part of `files` that is pulled without options."""
    return {path: files[path] if isinstance(files[path], bytes) else files[path].encode() for path in USUAL}


@pytest.fixture
def hub(tmp_path):
    with Hub(tmp_path) as hub:
        yield hub
