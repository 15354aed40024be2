"""Every table of the report against the same statistics computed with numpy from the Parquet files."""
import json
import math

import numpy as np
import pytest

import reference as ref


@pytest.fixture(scope="module")
def data(output):
    class Data:
        texts, layers, experts, k = ref.read_texts(output / "traces")
        hot = np.concatenate([text.hot for text in texts])
        chosen = np.concatenate([text.experts for text in texts])
        weights = np.concatenate([text.weights for text in texts])
        usage = hot.sum(0)
        tokens = len(hot)
        datasets = sorted({text.dataset for text in texts})

        def of(self, dataset):
            return sum(text.hot.sum(0) for text in self.texts if text.dataset == dataset)
    return Data()


@pytest.fixture
def table(output):
    def read(name):
        rows = json.loads((output / "tables" / f"{name}.json").read_text())
        assert rows, name
        return rows
    return read


def test_usage(data, table):
    mass = np.zeros((data.layers, data.experts))
    for layer in range(data.layers):
        np.add.at(mass[layer], data.chosen[:, layer], data.weights[:, layer])
    rows = table("expert-usage")
    assert len(rows) == data.layers * data.experts
    for row in rows:
        layer, expert = row["moe_layer"], row["expert"]
        assert row["decisions"] == data.usage[layer, expert]
        assert row["share"] == pytest.approx(ref.shares(data.usage[layer])[expert])
        assert row["gate_mass_share"] == pytest.approx(ref.shares(mass[layer])[expert])


def test_balance(data, table):
    for row in table("normalised-entropy"):
        counts = data.usage[row["moe_layer"]]
        p = ref.shares(counts)
        ratio = p * data.experts
        assert row["normalised_entropy"] == pytest.approx(ref.entropy(p) / np.log2(len(p)))
        assert row["busiest_expert_share"] == pytest.approx(p.max())
        assert row["coefficient_of_variation"] == pytest.approx(p.std() / p.mean())
        assert row["gini"] == pytest.approx(ref.gini(counts))
        assert row["never_chosen"] == (counts == 0).sum()
        assert row["cold"] == ((counts > 0) & (ratio <= 0.25)).sum()
        assert row["hot"] == (ratio > 2).sum()


def test_lorenz(data, table):
    curves = {layer: np.concatenate([[0], np.cumsum(np.sort(data.usage[layer]))]) / data.usage[layer].sum()
              for layer in range(data.layers)}
    for row in table("lorenz"):
        assert row["share_of_choices"] == pytest.approx(curves[row["moe_layer"]][row["least_used_experts"]])


def test_gate_weights(data, table):
    for row in table("gate-weights"):
        for rank, mean in enumerate(data.weights[:, row["moe_layer"]].mean(0), start=1):
            assert row[f"mean_weight_rank_{rank}"] == pytest.approx(mean)


def test_gate_weight_distribution(data, table):
    rows = table("gate-weight-distribution")
    assert len(rows) == data.layers * data.k * 50
    for layer in range(data.layers):
        for rank in range(data.k):
            counts, edges = np.histogram(data.weights[:, layer, rank], bins=50, range=(0, 1))
            mine = [row for row in rows if row["moe_layer"] == layer and row["rank"] == rank + 1]
            # A weight within rounding of an edge may fall on either side of it.
            cumulated = np.cumsum([row["decisions"] for row in mine])
            for edge, ours, theirs in zip(edges[1:], cumulated, np.cumsum(counts)):
                near = (np.abs(data.weights[:, layer, rank] - edge) < 1e-6).sum()
                assert abs(ours - theirs) <= near
            assert [row["bin_start"] for row in mine] == pytest.approx(edges[:-1])


def test_transitions(data, table):
    counts = np.einsum("tla,tlb->lab", data.hot[:, :-1], data.hot[:, 1:])
    counted = 0
    for row in table("transitions"):
        pair, first, second = row["moe_layer"], row["from"], row["to"]
        count = counts[pair, first, second]
        assert row["tokens"] == count
        assert row["probability"] == pytest.approx(count / data.usage[pair, first])
        independent = data.usage[pair, first] * data.usage[pair + 1, second] / data.tokens
        assert row["lift"] == pytest.approx(count / independent)
        counted += count
    assert counted == counts.sum()


def test_layer_information(data, table):
    rows = table("layer-information")
    assert len(rows) == data.layers * (data.layers - 1) // 2
    bits = {}
    for row in rows:
        a, b = row["moe_layer_a"], row["moe_layer_b"]
        bits[a, b] = ref.information(data.hot[:, a].T @ data.hot[:, b])
        assert row["bits"] == pytest.approx(bits[a, b], abs=1e-9)
    for row in table("information-by-distance"):
        apart = [value for (a, b), value in bits.items() if b - a == row["moe_layers_apart"]]
        assert row["pairs"] == len(apart)
        assert row["bits"] == pytest.approx(np.mean(apart), abs=1e-9)


def overlap_at(data, distance):
    common = sum((text.hot[distance:] * text.hot[:-distance]).sum((0, 2)) for text in data.texts)
    pairs = sum(max(0, len(text.ids) - distance) for text in data.texts)
    return common / data.k / pairs, pairs


def test_overlap(data, table):
    share, _ = overlap_at(data, 1)
    for row in table("next-token-overlap"):
        assert row["reused_share"] == pytest.approx(share[row["moe_layer"]])
        p = ref.shares(data.usage[row["moe_layer"]])
        assert row["by_usage_alone"] == pytest.approx(data.k * (p ** 2).sum())


def test_overlap_by_distance(data, table):
    rows = table("overlap-by-distance")
    expected = {distance: overlap_at(data, distance) for distance in {row["distance"] for row in rows}}
    assert max(expected) >= 32
    for row in rows:
        share, pairs = expected[row["distance"]]
        assert row["pairs"] == pairs
        assert row["reused_share"] == pytest.approx(share[row["moe_layer"]])


def test_working_set(data, table):
    for row in table("working-set"):
        n, layer = row["tokens"], row["moe_layer"]
        sizes = [text.hot[:n, layer].any(0).sum() for text in data.texts if len(text.ids) >= n]
        assert row["texts"] == len(sizes)
        assert row["experts"] == pytest.approx(np.mean(sizes))
        expected = (1 - (1 - data.usage[layer] / data.tokens) ** n).sum()
        assert row["by_usage_alone"] == pytest.approx(expected)


@pytest.mark.parametrize("optimal", [False, True], ids=["lru", "belady"])
def test_cache(data, table, optimal):
    column = "optimal_hit_rate" if optimal else "lru_hit_rate"
    for row in table("cache-hits"):
        if row["moe_layer"] not in (0, data.layers - 1):
            continue
        hits = sum(ref.cache_hits(text.experts[:, row["moe_layer"]].ravel().tolist(), row["cache_size"], optimal)
                   for text in data.texts)
        assert row[column] == pytest.approx(hits / (data.tokens * data.k))


def test_reuse_distances(data, table):
    layer = data.layers - 1
    expected = {}
    for text in data.texts:
        requests = text.experts[:, layer].ravel().tolist()
        for now, expert in enumerate(requests):
            before = [i for i in range(now) if requests[i] == expert]
            distance = str(len(set(requests[before[-1]:now]))) if before else "first use"
            expected[distance] = expected.get(distance, 0) + 1
    mine = [row for row in table("reuse-distances") if row["moe_layer"] == layer]
    assert sum(row["requests"] for row in mine) == data.tokens * data.k
    for row in mine:
        assert row["requests"] == expected.get(row["distance"], 0)


def test_coactivation(data, table):
    for layer in range(data.layers):
        both = data.hot[:, layer].T @ data.hot[:, layer]
        correlation = np.corrcoef(data.hot[:, layer].T)
        for row in table("coactivation"):
            if row["moe_layer"] != layer:
                continue
            a, b = row["expert_a"], row["expert_b"]
            assert row["tokens"] == both[a, b]
            assert row["lift"] == pytest.approx(both[a, b] * data.tokens / (both[a, a] * both[b, b]))
            assert row["correlation"] == pytest.approx(correlation[a, b], abs=1e-9)


def test_divergence(data, table):
    rows = table("dataset-divergence")
    assert {row["dataset"] for row in rows} == set(data.datasets)
    for row in rows:
        layer = row["moe_layer"]
        expected = ref.divergence(data.of(row["dataset"])[layer], data.usage[layer])
        assert row["divergence_bits"] == pytest.approx(expected, abs=1e-12)
    for row in table("dataset-pairs"):
        layer = row["moe_layer"]
        expected = ref.divergence(data.of(row["dataset_a"])[layer], data.of(row["dataset_b"])[layer])
        assert row["divergence_bits"] == pytest.approx(expected, abs=1e-12)


def test_specialists(data, table):
    rows = table("dataset-usage")
    assert len(rows) == len(data.datasets) * data.layers * data.experts
    lengths = np.array([len(text.ids) for text in data.texts])
    counts = np.array([text.hot.sum(0) for text in data.texts])
    p_values = []
    for row in rows:
        layer, expert = row["moe_layer"], row["expert"]
        inside = np.array([text.dataset == row["dataset"] for text in data.texts])
        x = counts[:, layer, expert]
        value, error = ref.log_odds(ref.share_and_variance(x[inside], lengths[inside]),
                                    ref.share_and_variance(x[~inside], lengths[~inside]))
        assert row["log_odds"] == pytest.approx(value)
        assert row["standard_error"] == pytest.approx(error)
        p_values.append(math.erfc(abs(value / error) / math.sqrt(2)))
        assert row["p"] == pytest.approx(p_values[-1], abs=1e-12)
    p_values = np.array(p_values)
    for row, p in zip(rows, p_values):
        # The smallest rate at which the procedure of Benjamini and Hochberg would keep this one.
        rates = [len(p_values) * other / (p_values <= other).sum() for other in p_values[p_values >= p]]
        assert row["q"] == pytest.approx(min(1, min(rates)), rel=1e-9, abs=1e-12)


def test_typical_tokens(data, table):
    rows = table("typical-tokens")
    occurrences = ref.token_counts(data.texts)
    ids = np.concatenate([text.ids for text in data.texts])
    frequent = [token for token, count in occurrences.items() if count >= 5]
    cells = {(row["moe_layer"], row["expert"]) for row in rows}
    for layer, expert in cells:
        chosen = data.hot[:, layer, expert]
        expected = []
        for token in frequent:
            both, a = chosen[ids == token].sum(), occurrences[token]
            lift = both / a / (chosen.sum() / data.tokens)
            if lift > 1:
                expected.append((-ref.g2(both, a, chosen.sum(), data.tokens), token, both / a, lift))
        expected = sorted(expected)[:20]
        mine = [row for row in rows if (row["moe_layer"], row["expert"]) == (layer, expert)]
        assert [row["token_id"] for row in mine] == [token for _, token, _, _ in expected]
        for row, (g2, _, probability, lift) in zip(mine, expected):
            assert row["g2"] == pytest.approx(-g2)
            assert row["probability"] == pytest.approx(probability)
            assert row["lift"] == pytest.approx(lift)


def test_token_names(output, table):
    vocabulary = json.loads((output / "model/tokenizer.json").read_text())["model"]["vocab"]
    spelled = {token: text for text, token in vocabulary.items()}
    plain = [row for row in table("typical-tokens") if spelled.get(row["token_id"], "").isascii()]
    assert plain
    for row in plain:
        assert row["token"] == spelled[row["token_id"]]


def test_journeys(data, table):
    texts = {(text.dataset, text.sample): text for text in data.texts}
    rows = table("journeys")
    assert {row["dataset"] for row in rows} == set(data.datasets)
    for row in rows:
        text = texts[row["dataset"], row["sample"]]
        assert row["token_id"] == text.ids[row["position"]]
        decision = text.experts[row["position"], row["moe_layer"]]
        assert row["experts"] == " ".join(map(str, decision))


def test_foreseen(data, table):
    texts = {(text.dataset, text.sample): text for text in data.texts}
    found, missed = {}, {}
    for row in table("foreseen"):
        chosen = texts[row["dataset"], row["sample"]].experts[row["position"], row["moe_layer"]]
        assert chosen[row["rank"] - 1] == row["expert"]
        if row["predictor"] == "frequency":  # predicts the same experts of a layer at every token
            side = found if row["found"] else missed
            side.setdefault((row["lead"], row["moe_layer"]), set()).add(row["expert"])
    assert found
    for key, experts in found.items():
        assert len(experts) <= data.k and not experts & missed.get(key, set())


def test_evaluation_figures_agree_with_each_other(data, table):
    recall = {(row["predictor"], row["lead"], row["dataset"]): row["recall"] for row in table("recall-by-dataset")}
    matrix = table("cross-domain")
    assert {row["learned_from"] for row in matrix} == {"all", *data.datasets}
    for row in matrix:
        if row["learned_from"] == "all":
            assert row["recall"] == recall[row["predictor"], row["lead"], row["measured_on"]]
    for row in table("recall-by-cost"):
        dearer = [other for other in table("recall-by-cost") if other["lead"] == row["lead"]
                  and other["recall"] >= row["recall"] and other["flops_per_token"] < row["flops_per_token"]]
        assert not (row["on_front"] and dearer)
    for predictor, lead in {(row["predictor"], row["lead"]) for row in table("reliability")}:
        bins = [row for row in table("reliability") if (row["predictor"], row["lead"]) == (predictor, lead)]
        # Every decision chooses k of E experts, whatever was stated.
        chosen = sum(row["pairs"] * row["chosen"] for row in bins)
        assert chosen / sum(row["pairs"] for row in bins) == pytest.approx(data.k / data.experts)


def test_comparison_with_itself(table):
    for row in table("agreement"):
        assert (row["common"], row["low"], row["high"], row["same_set"], row["same_first"]) == (1, 1, 1, 1, 1)
        assert row["divergence_bits"] == 0
    assert all(row["common"] == 1 for row in table("agreement-by-position"))
