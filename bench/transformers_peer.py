"""Collecting routing with transformers on the CPU, in the best of the ways that a careful user would try."""
import time

import numpy
import pyarrow
import pyarrow.parquet
import torch
from tokenizers import Tokenizer
from transformers import AutoModel
from transformers.utils import logging

BUDGETS = (512, 1024, 2048, 4096)
MAX_LENGTH = 512


class Peer:
    """Runs the model without lm_head, hooks on the gates, sdpa; texts sorted by length and padded to batches."""

    def __init__(self, directory):
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.model = AutoModel.from_pretrained(directory, dtype=torch.float32,
                                               attn_implementation="sdpa").eval()
        self.routing = []
        for layer in self.model.layers:
            if hasattr(layer.mlp, "gate"):
                layer.mlp.gate.register_forward_hook(
                    lambda _module, _inputs, output: self.routing.append(output[1:3]))

    def tokenise(self, texts):
        """Token ids of each text, cut at MAX_LENGTH."""
        return [e.ids[:MAX_LENGTH] for e in self.tokenizer.encode_batch(texts)]

    @staticmethod
    def batches(texts, budget):
        """Sorted, padded batches of at most `budget` tokens; one text a batch if the budget is 0."""
        order, start = sorted(range(len(texts)), key=lambda i: len(texts[i])), 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end + 1 - start) * len(texts[order[end]]) <= budget:
                end += 1
            rows = order[start:end]
            ids = torch.zeros(len(rows), len(texts[rows[-1]]), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, text in enumerate(rows):
                ids[row, :len(texts[text])] = torch.tensor(texts[text])
                mask[row, :len(texts[text])] = 1
            yield rows, ids, None if bool(mask.all()) else mask
            start = end

    @torch.inference_mode()
    def route(self, texts, setting, take=None):
        """Runs all texts; take(rows, mask, [(gate weights, experts) a MoE layer]) gets each batch's routing."""
        implementation, budget = setting
        self.model.set_experts_implementation(implementation)
        for rows, ids, mask in self.batches(texts, budget):
            self.routing.clear()
            self.model(input_ids=ids, attention_mask=mask, use_cache=False)
            if take:
                take(rows, ids.shape, self.routing)

    def seconds(self, texts, setting):
        """Seconds of one pass of routing alone."""
        start = time.perf_counter()
        self.route(texts, setting)
        return time.perf_counter() - start

    def collect(self, texts, setting, path):
        """Seconds from texts to a Parquet file of token ids, experts and gate weights, one row a text."""
        start = time.perf_counter()
        token_ids = self.tokenise(texts)
        experts, gates = [None] * len(texts), [None] * len(texts)

        def take(rows, shape, routing):
            both = []
            for part, dtype in ((1, torch.uint8), (0, torch.float16)):  # -> [texts, tokens, MoE layer, rank]
                layers = torch.stack([layer[part].to(dtype) for layer in routing], 1)
                both.append(layers.view(*shape, *layers.shape[1:]).numpy())
            for row, text in enumerate(rows):
                count = len(token_ids[text])
                experts[text] = both[0][row, :count].reshape(-1)
                gates[text] = both[1][row, :count].reshape(-1)

        self.route(token_ids, setting, take)
        def lists(rows):
            ends = numpy.cumsum([0] + [len(r) for r in rows], dtype=numpy.int32)
            return pyarrow.ListArray.from_arrays(ends, numpy.concatenate(rows))

        ids = [numpy.array(t, dtype=numpy.int32) for t in token_ids]
        table = pyarrow.table({"token_ids": lists(ids), "experts": lists(experts), "gate_weights": lists(gates)})
        pyarrow.parquet.write_table(table, path, compression="zstd")
        return time.perf_counter() - start

    def best_setting(self, texts):
        """The fastest of (experts implementation, padded-batch budget) on some texts; prints all."""
        settings = [(i, b) for i in ("eager", "grouped_mm") for b in (0, *BUDGETS)]
        self.seconds(texts, settings[-1])  # warm up
        times = {s: min(self.seconds(texts, s) for _ in range(2)) for s in settings}
        tokens = sum(map(len, texts))
        for (implementation, budget), taken in times.items():
            how = f"padded to {budget} tokens" if budget else "one by one"
            print(f"  pilot {implementation:10} {how:22} {tokens / taken:8.0f} tokens/s", flush=True)
        return min(times, key=times.get)
