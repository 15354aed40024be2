"""transformers collecting routing ids of Qwen1.5-MoE-A2.7B's geometry with random weights on one GPU.

    python bench/gpu/transformers_peer.py [--tokens 32768 ...] [--rounds 2]

Prints one JSON line a way of running it, with tokens a second of real (unpadded) tokens, texts of 64 to 512 tokens:
  packed         texts back to back, flash attention by cumulative lengths, experts by grouped_mm, sorted by length:
                 the fastest path that transformers has for this
  plain script   batches of 16 texts in the order read, padded to the longest, sdpa, experts by grouped_mm
  plain, eager   the same with the default experts
Ids of the experts go to the host after every batch, as a collecting script does it. Tokenising and writing, which
foregate's number includes, are not counted here.
"""
import argparse
import json
import random
import time

import torch
from transformers import AttentionInterface, AutoModel, Qwen2MoeConfig

VOCABULARY = 151936
GEOMETRY = dict(
    vocab_size=VOCABULARY, hidden_size=2048, intermediate_size=5632, num_hidden_layers=24, num_attention_heads=16,
    num_key_value_heads=16, moe_intermediate_size=1408, shared_expert_intermediate_size=5632, num_experts=60,
    num_experts_per_tok=4, norm_topk_prob=False, decoder_sparse_step=1, max_position_embeddings=8192)
CONFIG = Qwen2MoeConfig(**GEOMETRY)


class Packed:
    """Attention within packed texts; the lengths are set before each call of the model."""

    cu_seqlens = None
    longest = 0

    def __call__(self, module, query, key, value, mask, scaling=None, dropout=0.0, **unused):
        query, key, value = (x.transpose(1, 2)[0] for x in (query, key, value))
        mixed = torch.ops.aten._flash_attention_forward(
            query, key, value, self.cu_seqlens, self.cu_seqlens, self.longest, self.longest, 0.0, True, False,
            scale=scaling)[0]
        return mixed[None], None


PACKED = Packed()
AttentionInterface.register("packed", PACKED)


class Peer:
    def __init__(self, attention):
        torch.set_default_dtype(torch.bfloat16)
        with torch.device("cuda"):
            self.model = AutoModel.from_config(CONFIG, attn_implementation=attention).eval()
        torch.set_default_dtype(torch.float32)
        self.ids = []
        for layer in self.model.layers:
            layer.mlp.gate.register_forward_hook(lambda _module, _input, output: self.ids.append(
                (output[2] if isinstance(output, tuple) else output.topk(4, -1).indices).to(torch.uint8)))

    @torch.inference_mode()
    def tokens_per_second(self, batches, experts, rounds):
        self.model.set_experts_implementation(experts)
        self.run(batches[:2])
        return max(self.run(batches) for _ in range(rounds))

    @torch.inference_mode()
    def run(self, batches):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for batch in batches:
            PACKED.cu_seqlens, PACKED.longest = batch["cu_seqlens"], batch["longest"]
            self.ids.clear()
            self.model(input_ids=batch["ids"], position_ids=batch["positions"], attention_mask=None, use_cache=False)
            torch.stack(self.ids).to("cpu", non_blocking=True)
        torch.cuda.synchronize()
        return sum(batch["tokens"] for batch in batches) / (time.perf_counter() - start)


def packed_batch(lengths):
    positions = torch.cat([torch.arange(n) for n in lengths])[None].cuda()
    cu_seqlens = torch.tensor([0] + lengths).cumsum(0).int().cuda()
    return {"ids": torch.randint(VOCABULARY, positions.shape, device="cuda"), "positions": positions,
            "cu_seqlens": cu_seqlens, "longest": max(lengths), "tokens": sum(lengths)}


def packed_batches(lengths, budget):
    batches, open_batch = [], []
    for length in lengths:
        if open_batch and sum(open_batch) + length > budget:
            batches.append(packed_batch(open_batch))
            open_batch = []
        open_batch.append(length)
    return batches + [packed_batch(open_batch)]


def padded_batches(lengths, size):
    groups = [lengths[i:i + size] for i in range(0, len(lengths), size)]
    return [{"ids": torch.randint(VOCABULARY, (len(group), max(group)), device="cuda"), "positions": None,
             "cu_seqlens": None, "longest": 0, "tokens": sum(group)} for group in groups]


def report(name, rate):
    print(json.dumps({"name": name, "tokens_per_second": rate}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tokens", type=int, nargs="+", default=[32768, 65536], help="tokens of a packed batch")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    generator = random.Random(0)
    lengths = [generator.randint(64, 512) for _ in range(arguments.texts)]
    peer = Peer("packed")
    for budget in arguments.tokens:
        batches = packed_batches(sorted(lengths), budget)
        report(f"packed, grouped_mm, {budget} tokens", peer.tokens_per_second(batches, "grouped_mm", arguments.rounds))
    del peer
    torch.cuda.empty_cache()
    peer = Peer("sdpa")
    report("plain script, grouped_mm", peer.tokens_per_second(padded_batches(lengths[:960], 16), "grouped_mm", arguments.rounds))
    report("plain script, eager", peer.tokens_per_second(padded_batches(lengths[:320], 16), "eager", 1))


if __name__ == "__main__":
    main()
