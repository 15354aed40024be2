"""Widens a small qwen2_moe checkpoint without changing what it computes: a trained router at the size of a real model's experts.

    python tools/widen_checkpoint.py mini-qwen wide-qwen        # Qwen1.5-MoE-A2.7B's sizes: 2048, 1408, 5632, 16 heads of 128

How, so that every number stays what it was, in bfloat16, too (all factors are powers of two if the hidden size and the head grow by such;
the head by one of four):

- Hidden state: each channel stands K times, side by side. The mean of squares of a norm stays the same; a matrix that reads it has its columns
  K times, divided by K; one that writes it has its rows K times.
- Experts, dense and shared MLPs: more rows of gate and up, more columns of down, of zeros.
- Heads: more of them, of zeros. A head of d becomes one of D: pair i of d/2 that a rotation turns (i and i + d/2) goes to pair i * D/d, which turns as fast:
  theta^(-2 (i D/d) / D) = theta^(-2 i / d). The scores' 1/sqrt(D) is made up for by sqrt(D/d) in the queries.

Sums have more terms, in another order: float32 results differ in their last digits.
"""
import argparse
import json
import math
import pathlib
import shutil
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file


class Sizes:
    """What the config says, before and after. Exits with one line if that cannot be."""

    def __init__(self, config, arguments):
        if config.get("model_type") != "qwen2_moe":
            sys.exit(f"error: model_type is {config.get('model_type')!r}; only qwen2_moe can be widened")
        self.hidden, self.wide_hidden = config["hidden_size"], arguments.hidden
        self.heads, self.wide_heads = config["num_attention_heads"], arguments.heads
        self.kv_heads = config["num_key_value_heads"]
        self.head = self.hidden // self.heads
        self.wide_head = self.wide_hidden // self.wide_heads
        self.expert, self.shared, self.dense = arguments.expert, arguments.shared, arguments.dense
        self.copies = self.wide_hidden // self.hidden
        for name, small, wide, whole in (
                ("hidden", self.hidden, self.wide_hidden, True), ("heads", self.heads, self.wide_heads, False),
                ("a head", self.head, self.wide_head, True), ("expert", config["moe_intermediate_size"], self.expert, False),
                ("shared", config["shared_expert_intermediate_size"], self.shared, False),
                ("dense", config["intermediate_size"], self.dense, False)):
            if wide < small or (whole and wide % small):
                sys.exit(f"error: {name} is {small} and cannot become {wide}; give {'a multiple' if whole else 'as many or more'}")
        if self.heads % self.kv_heads or self.wide_heads % (self.heads // self.kv_heads):
            sys.exit(f"error: {self.wide_heads} heads cannot share keys as {self.heads} share {self.kv_heads}")
        self.wide_kv_heads = self.wide_heads // (self.heads // self.kv_heads)

    def widened(self, config):
        return config | {
            "hidden_size": self.wide_hidden, "num_attention_heads": self.wide_heads, "num_key_value_heads": self.wide_kv_heads,
            "moe_intermediate_size": self.expert, "shared_expert_intermediate_size": self.shared, "intermediate_size": self.dense}


def reads_hidden(weight, sizes):
    return (weight / sizes.copies).repeat_interleave(sizes.copies, dim=-1)


def writes_hidden(weight, sizes):
    return weight.repeat_interleave(sizes.copies, dim=0)


def padded(weight, size, dim):
    shape = list(weight.shape)
    shape[dim] = size - shape[dim]
    return torch.cat([weight, weight.new_zeros(shape)], dim)


def wide_heads_of(rows, heads, sizes, turned):
    """[heads * d, ...] -> [wide heads * D, ...]."""
    small = rows.reshape(-1, sizes.head, *rows.shape[1:])
    wide = rows.new_zeros(heads, sizes.wide_head, *rows.shape[1:])
    place = torch.arange(sizes.head)
    if turned:
        half = sizes.head // 2
        place = place % half * (sizes.wide_head // sizes.head) + place // half * (sizes.wide_head // 2)
    wide[:small.shape[0], place] = small
    return wide.reshape(heads * sizes.wide_head, *rows.shape[1:])


def widen(name, weight, sizes):
    part = name.rsplit(".", 2)[-2]
    if part in ("embed_tokens", "lm_head", "gate", "shared_expert_gate"):
        return reads_hidden(weight, sizes) if part != "embed_tokens" else weight.repeat_interleave(sizes.copies, dim=1)
    if part.endswith("norm"):
        return writes_hidden(weight, sizes)
    if part in ("q_proj", "k_proj", "v_proj"):
        heads = sizes.wide_heads if part == "q_proj" else sizes.wide_kv_heads
        rows = wide_heads_of(weight, heads, sizes, turned=part != "v_proj")
        if part == "q_proj":
            rows = rows * math.sqrt(sizes.wide_head / sizes.head)
        return reads_hidden(rows, sizes) if name.endswith("weight") else rows
    if part == "o_proj":
        columns = wide_heads_of(weight.t(), sizes.wide_heads, sizes, turned=False).t()
        return writes_hidden(columns, sizes)
    inner = sizes.shared if ".shared_expert." in name else sizes.expert if ".experts." in name else sizes.dense
    if part in ("gate_proj", "up_proj"):
        return reads_hidden(padded(weight, inner, 0), sizes)
    if part == "down_proj":
        return writes_hidden(padded(weight, inner, 1), sizes)
    sys.exit(f"error: {name} is a tensor that qwen2_moe does not have")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--expert", type=int, default=1408, help="inner size of a routed expert")
    parser.add_argument("--shared", type=int, default=5632, help="of the shared one")
    parser.add_argument("--dense", type=int, default=5632, help="of layers without experts")
    parser.add_argument("--heads", type=int, default=16)
    arguments = parser.parse_args()
    config = json.loads((arguments.model / "config.json").read_text())
    sizes = Sizes(config, arguments)
    arguments.output.mkdir(parents=True)
    files = sorted(arguments.model.glob("*.safetensors"))
    index = {}
    total = 0
    for number, path in enumerate(files):
        with safe_open(path, "pt") as tensors:
            # A layer at a time: the experts of one are gigabytes.
            by_layer = {}
            for name in tensors.keys():
                layer = name.split(".")[2] if ".layers." in name else "rest"
                by_layer.setdefault(layer, []).append(name)
            for layer, names in by_layer.items():
                target = f"model-{number:02}-{layer}.safetensors"
                wide = {name: widen(name, tensors.get_tensor(name), sizes).contiguous() for name in names}
                save_file(wide, arguments.output / target, metadata={"format": "pt"})
                index |= dict.fromkeys(names, target)
                total += sum(tensor.numel() * tensor.element_size() for tensor in wide.values())
                print(f"{target}: {len(names)} tensors, {total / 1e9:.2f} GB so far", file=sys.stderr)
    (arguments.output / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index}))
    (arguments.output / "config.json").write_text(json.dumps(sizes.widened(config), indent=2))
    for path in arguments.model.iterdir():
        if path.suffix != ".safetensors" and not (arguments.output / path.name).exists() and path.is_file():
            shutil.copy(path, arguments.output / path.name)


if __name__ == "__main__":
    main()
