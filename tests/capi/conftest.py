"""What the tests of the C API share: the program, the library through ctypes, a trace of the embedded model."""
import ctypes
import json
import os
import pathlib
import subprocess

import numpy as np
import pyarrow.parquet as pq
import pytest

from layout_reader import read_safetensors

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("FOREGATE_BUILD", ROOT / "build/cpu"))
LIBRARY = BUILD / "src/capi/libforegate_predictor.so"
PROGRAM = os.environ.get("FOREGATE_BIN", str(BUILD / "apps/foregate/foregate"))
TEXTS = {"film-reviews": "film-reviews.csv", "encyclopedia": "encyclopedia.csv", "product-reviews": "product-reviews.tsv"}


def run(*arguments, **options):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def foregate(*arguments):
    return run(PROGRAM, *arguments)


@pytest.fixture(scope="session")
def demo_trace(tmp_path_factory):
    """A trace of the embedded model with hidden states."""
    output = tmp_path_factory.mktemp("demo") / "traces"
    data = [item for name, file in TEXTS.items() for item in ("--data", f"{name}={ROOT / 'examples/demo/texts' / file}")]
    foregate("collect", "--model", ROOT / "examples/demo/model", *data, "--traces", 60, "--record", "features",
             "--output", output)
    return output


@pytest.fixture(scope="session")
def demo_texts(demo_trace):
    """Every text of the trace: ids [n], experts [n, L, k], router inputs and residual [n, L, H] as stored."""
    texts = []
    manifest = json.loads((demo_trace / "manifest.json").read_text())
    layers, top_k = manifest["geometry"]["num_moe_layers"], manifest["geometry"]["top_k"]
    for shard in manifest["shards"]:
        features = read_safetensors(demo_trace / shard["features"])
        rows = pq.read_table(demo_trace / shard["file"]).to_pylist()
        assert list(features["rows"]) == list(range(len(rows)))
        for row, begin, end in zip(rows, features["offsets"], features["offsets"][1:]):
            texts.append({
                "ids": np.array(row["token_ids"], np.int32),
                "experts": np.array(row["experts"], np.int32).reshape(-1, layers, top_k),
                "router_inputs": features["router_inputs"][begin:end],
                "residual": features["residual"][begin:end],
            })
    return texts


class Library:
    """The shared library."""

    def __init__(self):
        self.c = ctypes.CDLL(str(LIBRARY))
        self.c.foregate_last_error.restype = ctypes.c_char_p
        self.c.foregate_sequence_routing.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_size_t]
        self.c.foregate_sequence_state.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int,
                                                   ctypes.c_size_t]
        for predict in (self.c.foregate_predict_scores, self.c.foregate_predict_probabilities):
            predict.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32, ctypes.c_void_p]

    def check(self, status):
        assert status == 0, self.c.foregate_last_error().decode()

    def score(self, directory, text, first_layer, pre_attention):
        """Scores and probabilities of a text as an engine would get them while it computes: [n, L', E] float32."""
        experts, n = text["experts"], len(text["ids"])
        _, layers, top_k = experts.shape
        states = np.ascontiguousarray(text["residual" if pre_attention else "router_inputs"])
        dtype = {np.dtype(np.float32): 0, np.dtype(np.uint16): 1}[states.dtype]
        hidden, state_bytes = states.shape[2], states.shape[2] * states.itemsize
        predictor, sequence = ctypes.c_void_p(), ctypes.c_void_p()
        self.check(self.c.foregate_predictor_load(str(directory).encode(), ctypes.byref(predictor)))
        self.check(self.c.foregate_sequence_create(predictor, ctypes.byref(sequence)))
        batch = (ctypes.c_void_p * 1)(sequence)
        width = 8
        scores, probabilities = (np.empty((n, layers - first_layer, width), np.float32) for _ in range(2))
        for t in range(n):
            self.check(self.c.foregate_sequence_token(sequence, int(text["ids"][t])))
            for layer in range(layers):
                shown = layer - first_layer
                if shown >= 0:
                    state = states.ctypes.data + (t * layers + shown) * state_bytes
                    self.check(self.c.foregate_sequence_state(sequence, shown, state, dtype, hidden))
                    place = (t * (layers - first_layer) + shown) * 4 * width
                    self.check(self.c.foregate_predict_scores(batch, 1, layer, scores.ctypes.data + place))
                    self.check(self.c.foregate_predict_probabilities(batch, 1, layer, probabilities.ctypes.data + place))
                chosen = experts.ctypes.data + (t * layers + layer) * 4 * top_k
                self.check(self.c.foregate_sequence_routing(sequence, layer, chosen, top_k))
        self.c.foregate_sequence_free(sequence)
        self.c.foregate_predictor_free(predictor)
        return scores, probabilities


@pytest.fixture(scope="session")
def library():
    return Library()
