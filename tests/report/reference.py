"""The report's statistics computed independently: numpy over the Parquet files, one-hot matrices, simulated caches."""
import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq


class Text:
    """One trace: experts [n, L, k], gate weights alike (or None), one-hot [n, L, E]."""

    def __init__(self, row, layers, experts, k):
        self.dataset, self.sample, self.prompt = row["dataset"], row["sample"], row["prompt_tokens"]
        self.ids = np.array(row["token_ids"], dtype=np.int64)
        self.experts = np.array(row["experts"], dtype=np.int64).reshape(-1, layers, k)
        weights = row.get("gate_weights")
        self.weights = None if weights is None else np.array(weights, dtype=np.float64).reshape(self.experts.shape)
        self.hot = np.zeros((len(self.ids), layers, experts))
        np.put_along_axis(self.hot, self.experts, 1, axis=2)


def read_texts(traces):
    manifest = json.loads((traces / "manifest.json").read_text())
    geometry = manifest["geometry"]
    shape = [geometry[key] for key in ("num_moe_layers", "num_experts", "top_k")]
    texts = []
    for shard in manifest["shards"]:
        texts += [Text(row, *shape) for row in pq.read_table(traces / shard["file"]).to_pylist()]
    return texts, *shape


def shares(counts):
    return counts / counts.sum()


def entropy(p):
    p = p[p > 0]
    return -(p * np.log2(p)).sum()


def divergence(a, b):
    p, q = shares(a), shares(b)
    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


def gini(counts):
    """Mean absolute difference between all pairs over twice the mean."""
    return np.abs(counts[:, None] - counts[None, :]).mean() / (2 * counts.mean())


def information(joint):
    """Mutual information in bits of a table of counts."""
    p = joint / joint.sum()
    return entropy(p.sum(0)) + entropy(p.sum(1)) - entropy(p.ravel())


def cache_hits(requests, size, optimal):
    """Hits of one simulated cache: evicts the least recently used, or what is needed last."""
    cache, hits = [], 0
    for now, expert in enumerate(requests):
        if expert in cache:
            hits += 1
            cache.remove(expert)
        elif len(cache) == size:
            following = requests[now + 1:]
            waits = [following.index(other) if other in following else len(requests) for other in cache]
            cache.pop(int(np.argmax(waits)) if optimal else 0)
        cache.append(expert)
    return hits


def share_and_variance(chosen, tokens):
    """Share of tokens over texts (arrays of a number a text), and the variance of that ratio."""
    n, total = len(tokens), tokens.sum()
    smoothed = (chosen.sum() + 0.5) / (total + 1)
    independent = smoothed * (1 - smoothed) / total
    residuals = chosen - chosen.sum() / total * tokens
    clustered = n / (n - 1) * (residuals ** 2).sum() / total ** 2 if n > 1 else 0
    return smoothed, max(independent, clustered)


def log_odds(here, there):
    (p, p_variance), (q, q_variance) = here, there
    value = np.log(p / (1 - p)) - np.log(q / (1 - q))
    return value, np.sqrt(p_variance / (p * (1 - p)) ** 2 + q_variance / (q * (1 - q)) ** 2)


def g2(both, a, b, total):
    """Log-likelihood ratio of a 2 x 2 table."""
    observed = np.array([[both, a - both], [b - both, total - a - b + both]], dtype=float)
    expected = observed.sum(1, keepdims=True) * observed.sum(0, keepdims=True) / total
    filled = observed > 0
    return 2 * (observed[filled] * np.log(observed[filled] / expected[filled])).sum()


def token_counts(texts):
    return Counter(int(token) for text in texts for token in text.ids)
