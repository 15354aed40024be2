"""Training the gate adapter: foregate beside the same model in eager PyTorch, same batch and steps, one run.

    python bench/train.py --traces DIR [--lead layer-1] [--device cpu|cuda] [--dtype float32|bfloat16] [--steps N]

DIR is a trace with hidden states. A step is what both do alike: draw 4,096 random tokens, forward over all layers,
backward, AdamW, matrix products in `--dtype`. PyTorch has all states normalised in the device's memory before the
clock starts; foregate reads them from its files, or, on a GPU, has them there as they were recorded. The time of
foregate's step is the difference between two trainings, one `--steps` longer than the other (on a GPU twenty times
that: its steps are short), so that starting, reading the trace and writing the result do not count. The sides take
turns; each counts by its best round, each of foregate's two trainings by its own best: the smallest difference
would be that of an unluckily slow start.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from safetensors import safe_open

BATCH, RANK = 4096, 32


def load(directory, lead):
    """Normalised states [N, L', H], experts [N, L', k], the target's routers and input scales."""
    manifest = json.loads((directory / "manifest.json").read_text())
    layers, k = manifest["geometry"]["num_moe_layers"], manifest["geometry"]["top_k"]
    first = 0 if lead == "pre-attention" else int(lead.removeprefix("layer-"))
    states, experts = [], []
    for shard in manifest["shards"]:
        rows = pq.read_table(directory / shard["file"], columns=["experts"])["experts"].to_pylist()
        with safe_open(directory / shard["features"], framework="pt") as file:
            for row in file.get_tensor("rows").tolist():
                experts.append(np.asarray(rows[row], dtype=np.int64).reshape(-1, layers, k)[:, first:])
            x = file.get_tensor("residual" if first == 0 else "router_inputs")[:, :layers - first].float()
            states.append(x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt())
    with safe_open(directory / "routers.safetensors", framework="pt") as file:
        names = {name: file.get_tensor(name).float() for name in file.keys()}
    router = next(t for t in names.values() if t.dim() == 3)[first:]
    gain = next(t for t in names.values() if t.dim() == 2)[first:] if first == 0 else torch.ones_like(router[:, 0])
    return torch.cat(states), torch.from_numpy(np.concatenate(experts)), router, gain


class Eager:
    """The reference's training loop, as one would write it."""

    def __init__(self, directory, lead, device, dtype):
        states, experts, router, gain = load(directory, lead)
        self.states, self.experts, self.dtype = states.to(device), experts.to(device), getattr(torch, dtype)
        layers, num_experts, hidden = router.shape
        parameter = lambda tensor: torch.nn.Parameter(tensor.to(device))  # noqa: E731
        self.router, self.gain = parameter(router.clone()), parameter(gain.clone())
        self.down = parameter(torch.randn(layers, hidden, RANK) / hidden ** 0.5)
        self.up = parameter(torch.zeros(layers, RANK, num_experts))
        self.bias = parameter(torch.zeros(layers, 1, num_experts))
        self.optimizer = torch.optim.AdamW([self.router, self.gain, self.down, self.up, self.bias], lr=2e-3,
                                           weight_decay=1e-3)

    def step(self):
        index = torch.randint(0, len(self.states), (BATCH,), device=self.states.device)
        z = self.states[index].transpose(0, 1)
        truth = torch.zeros(*z.shape[:2], self.router.shape[1], device=z.device)
        truth.scatter_(-1, self.experts[index].transpose(0, 1), 1.0)
        with torch.autocast(z.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            logits = (torch.einsum("lnh,leh->lne", z * self.gain[:, None], self.router)
                      + torch.bmm(F.silu(torch.bmm(z, self.down)), self.up) + self.bias)
        loss = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none").sum(-1).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def seconds(self, steps):
        for _ in range(3):
            self.step()
        begin = time.perf_counter()
        for _ in range(steps):
            loss = self.step()
        loss.item()  # waits for a GPU
        return (time.perf_counter() - begin) / steps


def foregate_seconds(program, traces, lead, device, dtype, steps):
    """Of one whole training."""
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "config.json"
        config.write_text(json.dumps({"steps": steps, "batch_tokens": BATCH, "rank": RANK, "patience": 0,
                                      "validate_every": 10 ** 6, "checkpoint_seconds": 10 ** 6}))
        begin = time.perf_counter()
        subprocess.run([program, "train", "--traces", traces, "--predictor", "gate-adapter", "--lead", lead,
                        "--device", device, "--dtype", dtype, "--config", config,
                        "--output", pathlib.Path(folder) / "p"], check=True, capture_output=True)
        return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=pathlib.Path, required=True)
    parser.add_argument("--lead", default="layer-1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", default="build/cpu/apps/foregate/foregate")
    arguments = parser.parse_args()
    eager = Eager(arguments.traces, arguments.lead, arguments.device, arguments.dtype)
    our_steps = arguments.steps * (1 if arguments.device == "cpu" else 20)
    short, long, theirs = [], [], []
    for _ in range(arguments.rounds):
        theirs.append(eager.seconds(arguments.steps))
        for seconds, steps in (short, 3), (long, our_steps + 3):
            seconds.append(foregate_seconds(arguments.program, arguments.traces, arguments.lead, arguments.device,
                                            arguments.dtype, steps))
    ours = (min(long) - min(short)) / our_steps
    threads = f", {len(os.sched_getaffinity(0))} cores" if arguments.device == "cpu" else ""
    print(f"gate-adapter at {arguments.lead}, {BATCH} tokens a step, {arguments.dtype}, {arguments.device}{threads}, "
          f"PyTorch {torch.__version__}; best of {arguments.rounds} rounds")
    print(f"foregate {1e3 * ours:.2f} ms a step, eager PyTorch {1e3 * min(theirs):.2f} ms: "
          f"{min(theirs) / ours:.2f} times as fast")


if __name__ == "__main__":
    main()
