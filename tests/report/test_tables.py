"""Every table of the report against the same statistics computed with numpy from the Parquet files."""
import json

import numpy as np
import pyarrow.parquet as pq
import pytest


class Reference:
    """Usage [L, E], transitions [L-1, E, E] and so on, by one-hot matrices."""

    def __init__(self, traces):
        manifest = json.loads((traces / "manifest.json").read_text())
        geometry = manifest["geometry"]
        layers, experts, k = (geometry[key] for key in ("num_moe_layers", "num_experts", "top_k"))
        self.tokens = self.pairs = 0
        self.usage = np.zeros((layers, experts))
        self.mass = np.zeros((layers, experts))
        self.rank_mass = np.zeros((layers, k))
        self.transitions = np.zeros((layers - 1, experts, experts))
        self.reused = np.zeros(layers)
        self.by_dataset = {}
        for shard in manifest["shards"]:
            for row in pq.read_table(traces / shard["file"]).to_pylist():
                chosen = np.array(row["experts"]).reshape(-1, layers, k)
                weights = np.array(row["gate_weights"], dtype=np.float64).reshape(chosen.shape)
                hot, weighted = np.zeros((2, len(chosen), layers, experts))
                np.put_along_axis(hot, chosen, 1, axis=2)
                np.put_along_axis(weighted, chosen, weights, axis=2)
                self.add(row["dataset"], hot, weighted, weights, k)

    def add(self, dataset, hot, weighted, weights, k):
        self.tokens += len(hot)
        self.pairs += max(0, len(hot) - 1)
        self.usage += hot.sum(0)
        self.mass += weighted.sum(0)
        self.rank_mass += weights.sum(0)
        self.reused += (hot[1:] * hot[:-1]).sum((0, 2)) / k
        self.by_dataset[dataset] = self.by_dataset.get(dataset, 0) + hot.sum(0)
        self.transitions += np.einsum("tla,tlb->lab", hot[:, :-1], hot[:, 1:])


@pytest.fixture(scope="module")
def reference(output):
    return Reference(output / "traces")


@pytest.fixture
def table(output):
    return lambda name: json.loads((output / "tables" / f"{name}.json").read_text())


def shares(counts):
    return counts / counts.sum()


def entropy(p):
    return -(p[p > 0] * np.log2(p[p > 0])).sum()


def test_usage(reference, table):
    for row in table("expert-usage"):
        layer, expert = row["moe_layer"], row["expert"]
        assert row["decisions"] == reference.usage[layer, expert]
        assert row["share"] == pytest.approx(shares(reference.usage[layer])[expert])
        assert row["gate_mass_share"] == pytest.approx(shares(reference.mass[layer])[expert])


def test_balance(reference, table):
    for row in table("normalised-entropy"):
        p = shares(reference.usage[row["moe_layer"]])
        assert row["normalised_entropy"] == pytest.approx(entropy(p) / np.log2(len(p)))
        assert row["busiest_expert_share"] == pytest.approx(p.max())
        assert row["coefficient_of_variation"] == pytest.approx(p.std() / p.mean())


def test_transitions(reference, table):
    counted = 0
    for row in table("transitions"):
        pair, first, second = row["moe_layer"], row["from"], row["to"]
        count = reference.transitions[pair, first, second]
        assert row["tokens"] == count
        assert row["probability"] == pytest.approx(count / reference.usage[pair, first])
        independent = reference.usage[pair, first] * reference.usage[pair + 1, second] / reference.tokens
        assert row["lift"] == pytest.approx(count / independent)
        counted += count
    assert counted == reference.transitions.sum()


def test_overlap(reference, table):
    for row in table("next-token-overlap"):
        assert row["reused_share"] == pytest.approx(reference.reused[row["moe_layer"]] / reference.pairs)


def test_gate_weights(reference, table):
    for row in table("gate-weights"):
        for rank, total in enumerate(reference.rank_mass[row["moe_layer"]], start=1):
            assert row[f"mean_weight_rank_{rank}"] == pytest.approx(total / reference.tokens)


def test_divergence(reference, table):
    rows = table("dataset-divergence")
    assert {row["dataset"] for row in rows} == set(reference.by_dataset)
    for row in rows:
        p = shares(reference.by_dataset[row["dataset"]][row["moe_layer"]])
        q = shares(reference.usage[row["moe_layer"]])
        expected = entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
        assert row["divergence_bits"] == pytest.approx(expected, abs=1e-12)
