"""How often precisions and devices route alike on a trained model: foregate and transformers on the same texts.

    python bench/gpu/agreement.py --dump build/cuda/tests/engine/foregate_dump_routing --model DIR [--texts FILE]

FILE holds a text a line; without it the texts are random ids. Prints the share of decisions (token, MoE layer) whose
sets of experts are the same.
"""
import argparse
import pathlib
import subprocess
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

LONGEST = 512


def random_texts(vocabulary, count):
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(64, LONGEST + 1, (count,), generator=generator).tolist()
    return [torch.randint(vocabulary, (n,), generator=generator).tolist() for n in lengths]


def read_texts(path, model, count):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return [tokenizer.encode(line).ids[:LONGEST] for line in lines[:count]]


def ours(dump, model, texts, dtype, device):
    with tempfile.TemporaryDirectory() as folder:
        ids, out = pathlib.Path(folder, "ids.safetensors"), pathlib.Path(folder, "out.safetensors")
        lengths = torch.tensor([0] + [len(text) for text in texts])
        save_file({"token_ids": torch.tensor(sum(texts, []), dtype=torch.int32),
                   "cu_seqlens": lengths.cumsum(0).to(torch.int32)}, ids)
        subprocess.run([dump, model, ids, out, dtype, device], check=True)
        return load_file(out)["experts"].sort(-1).values


@torch.inference_mode()
def theirs(directory, texts, dtype):
    model = transformers.AutoModel.from_pretrained(directory, dtype=dtype).to("cuda").eval()
    layers, seen = [], []
    for layer in model.layers:
        if hasattr(layer.mlp, "gate"):
            top_k = model.config.num_experts_per_tok
            layer.mlp.gate.register_forward_hook(lambda _module, _input, output: seen.append(
                output[2] if isinstance(output, tuple) else output.topk(top_k, -1).indices))
    for text in texts:
        seen.clear()
        model(input_ids=torch.tensor([text], device="cuda"), use_cache=False)
        layers.append(torch.stack(seen).sort(-1).values.cpu())
    return torch.cat(layers, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dump", required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--texts", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=150)
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    vocabulary = transformers.AutoConfig.from_pretrained(arguments.model).vocab_size
    texts = read_texts(arguments.texts, arguments.model, arguments.count) if arguments.texts else random_texts(
        vocabulary, arguments.count)
    mine = {(dtype, device): ours(arguments.dump, arguments.model, texts, dtype, device)
            for dtype, device in (("float32", "cpu"), ("float32", "cuda"), ("bfloat16", "cuda"))}
    other = {dtype: theirs(arguments.model, texts, getattr(torch, dtype)) for dtype in ("float32", "bfloat16")}

    def row(name, a, b):
        print(f"{name:62} {(a == b).all(-1).double().mean().item():9.3%}")

    full = mine["float32", "cuda"]
    print(f"{arguments.model.name}: {full.shape[0] * full.shape[1]:,} decisions, {len(texts)} texts, {torch.cuda.get_device_name()}")
    row("foregate float32, GPU and CPU", full, mine["float32", "cpu"])
    row("float32 on the GPU, foregate and transformers", full, other["float32"])
    row("foregate, bfloat16 on the GPU and float32", mine["bfloat16", "cuda"], full)
    row("transformers, bfloat16 on the GPU and float32", other["bfloat16"], other["float32"])


if __name__ == "__main__":
    main()
