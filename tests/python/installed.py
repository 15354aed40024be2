"""Run with the Python of an environment that has the wheel and what it depends on, nothing else: it works without torch."""
import importlib.util
import pathlib
import tempfile

import numpy as np

import foregate as fg

package = pathlib.Path(fg.__file__).parent
assert "site-packages" in package.parts, package
assert importlib.util.find_spec("torch") is None, "expected an environment without torch"
assert (package / "py.typed").exists() and (package / "_core.pyi").exists()
with tempfile.TemporaryDirectory() as folder:
    geometry = fg.Geometry(num_moe_layers=2, num_experts=8, top_k=2)
    with fg.TraceWriter(folder, geometry=geometry, model="m", gate_weights=False) as writer:
        for seed in range(20):
            random = np.random.default_rng(seed)
            experts = random.permuted(np.tile(np.arange(8), (30, 2, 1)), axis=-1)[..., :2]
            writer.add(experts=experts, token_ids=random.integers(0, 1000, 30), dataset="a")
    traces = fg.open(folder)
    assert len(traces.split("test")) == 2 and traces.statistics().usage.sum() == 20 * 30 * 4
try:
    fg.Predictor.load("nowhere")
except fg.NotFoundError as error:
    print(f"{package}: {error}")
else:
    raise AssertionError("a predictor was found nowhere")
