"""A reader of predictor directories from docs/c-api.md alone, in numpy: what the documented tensors and formulas give."""
import hashlib
import json
import pathlib

import numpy as np

DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I64": np.int64, "I32": np.int32, "I16": np.int16}


def read_safetensors(path):
    """Tensors by name; BF16 as its bits."""
    data = pathlib.Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[8 + size + begin:8 + size + end], DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def safe_log(p):
    return np.log(np.maximum(p, 1e-6))


def silu(x):
    return x / (1 + np.exp(-x))


def layer_norm(x, gain):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gain


class LayoutReader:
    """One predictor directory. score() gives [n, L', E] for a text."""

    def __init__(self, directory):
        directory = pathlib.Path(directory)
        self.json = json.loads((directory / "predictor.json").read_text())
        assert self.json["format"] == "foregate-predictor" and self.json["format_version"] == 1
        weights = directory / "weights.safetensors"
        assert hashlib.sha256(weights.read_bytes()).hexdigest() == self.json["weights_sha256"]
        self.t = read_safetensors(weights)
        self.lead = self.json["lead"]
        self.first = int(self.lead[6:]) if self.lead.startswith("layer-") else 0
        geometry = self.json["geometry"]
        self.layers, self.experts, self.top_k = (geometry[k] for k in ("num_moe_layers", "num_experts", "top_k"))
        self.vocab = geometry["vocab_size"]

    def score(self, text):
        method = getattr(self, self.json["predictor"].replace("-", "_"))
        return np.stack([method(text, layer) for layer in range(self.first, self.layers)], 1)

    def calibrated(self, scores):
        """Of each expert to be among the k, from [..., E] scores."""
        scale, shared, offset = (self.json["calibration"][key] for key in ("scale", "shared", "offset"))
        scores = np.asarray(scores, np.float64)
        highest = scores.max(-1, keepdims=True)
        total = highest + np.log(np.exp(scores - highest).sum(-1, keepdims=True))
        return 1 / (1 + np.exp(-(scale * scores + shared * total + offset)))

    # By chance

    def random(self, text, layer):
        """Draws of SplitMix64, a stream a token, by the seed, the id and the place."""
        seed, mask = int(self.t["seed"][0]), 2 ** 64 - 1
        scores = np.empty((len(text["ids"]), self.experts), np.float32)
        for t, i in enumerate(text["ids"]):
            state = (seed ^ ((int(i) << 32 | t) * 0xd1342543de82ef95 + 1)) & mask
            for e in range(self.experts):
                z = (state + ((layer - self.first) * self.experts + e + 1) * 0x9e3779b97f4a7c15) & mask
                z = ((z ^ z >> 30) * 0xbf58476d1ce4e5b9) & mask
                z = ((z ^ z >> 27) * 0x94d049bb133111eb) & mask
                scores[t, e] = ((z ^ z >> 31) >> 11) * 2.0 ** -53
        return scores

    # By counting

    def frequency(self, text, layer):
        return np.tile(self.t["frequency"][layer], (len(text["ids"]), 1))

    def previous_token(self, text, layer):
        scores = np.tile(self.t["frequency"][layer] * np.float32(1e-3), (len(text["ids"]), 1))
        for t in range(1, len(scores)):
            scores[t, text["experts"][t - 1, layer]] += 1
        return scores

    def probability(self, ids, layer, counts, totals, frequency):
        prior = self.t[frequency][layer]
        rows = np.tile(prior, (len(ids), 1))
        for t, i in enumerate(ids):
            slot = np.searchsorted(self.t["ids"], i)
            if slot < len(self.t["ids"]) and self.t["ids"][slot] == i:
                rows[t] = (self.t[counts][slot, layer] + 4 * prior) / (self.t[totals][slot] + 4)
        return rows

    def token_table(self, text, layer):
        return self.probability(text["ids"], layer, "id_experts", "id_tokens", "frequency")

    def transition(self, text, layer):
        window = self.t["evidence"].shape[1]
        weights = self.t["mixture"][layer - self.first]
        singles = max(0, window - self.first + 1)
        scores = weights[0] * self.frequency_log(layer, len(text["ids"]))
        for i, w in enumerate(range(self.first - 1, window)):
            source = layer - 1 - w
            if source < 0:
                continue
            rows = self.t["evidence"][layer, w][text["experts"][:, source]]  # [n, k, E]
            scores = scores + weights[1 + 2 * i] * rows[:, 0] + weights[2 + 2 * i] * rows[:, 1:].sum(1)
        paths = self.path_evidence(text["experts"], layer, window, singles)
        assert len(weights) == 1 + 2 * singles + len(paths)
        return scores + sum(w * evidence for w, evidence in zip(weights[1 + 2 * singles:], paths))

    def path_evidence(self, experts, layer, window, singles):
        """What came after the pairs of the known layers, and after the latest two and three of them: [n, E] each."""
        square, prior = self.experts ** 2, self.t["frequency"][layer].astype(np.float64)
        known = [s for s in range(layer - self.first, layer - 1 - window, -1) if s >= 0]
        pair = {s: experts[:, s, 0].astype(object) * self.experts + experts[:, s, min(1, self.top_k - 1)] for s in known}
        longest = max(d for d in range(1, 4) if d <= max(singles, 1) and
                      self.layers * (window * square + sum(square ** i for i in range(2, d + 1))) < 2 ** 63)
        span = window * square + sum(square ** i for i in range(2, longest + 1))
        paths, longer = [], np.tile(prior, (len(experts), 1))
        for i in range(singles):
            ids = (self.first - 1 + i) * square + pair[known[i]] if i < len(known) else None
            single, after = self.path_counts(ids, layer * span, np.tile(prior, (len(experts), 1)))
            longer = after if i == 0 else longer
            paths.append(single)
        for d in range(2, longest + 1):
            ids = None
            if d <= len(known):
                ids = sum(pair[s] * square ** (d - 1 - i) for i, s in enumerate(known[:d]))
                ids = ids + window * square + sum(square ** i for i in range(2, d))
            evidence, longer = self.path_counts(ids, layer * span, longer)
            paths.append(evidence)
        return paths

    def path_counts(self, ids, base, prior):
        """log(1 + count / (4 prior)) and the prior with the counts; without a path nothing and the prior."""
        counts = np.zeros_like(prior)
        for t in range(len(prior) if ids is not None else 0):
            place = np.searchsorted(self.t["path_ids"], int(ids[t]) + base)
            if place < len(self.t["path_ids"]) and self.t["path_ids"][place] == int(ids[t]) + base:
                begin, end = self.t["path_begin"][place:place + 2]
                counts[t, self.t["path_experts"][begin:end]] = self.t["path_counts"][begin:end]
        total = counts.sum(1, keepdims=True) / self.top_k
        return np.log1p(counts / (4 * np.maximum(prior, 1e-6))), (counts + 4 * prior) / (total + 4)

    def frequency_log(self, layer, n):
        return np.tile(safe_log(self.t["frequency"][layer]), (n, 1))

    def statistics(self, text, layer):
        ids, chosen, n = text["ids"], text["experts"][:, layer], len(text["ids"])
        prior = np.tile(self.t["frequency"][layer], (n, 1))
        given_id = self.probability(ids, layer, "id_experts", "id_tokens", "frequency")
        first = self.probability(ids, layer, "id_first", "id_tokens", "first_frequency")
        before = self.probability(ids[:-1], layer, "before_experts", "before_tokens", "frequency")
        parts = [safe_log(prior), safe_log(given_id) - safe_log(prior),
                 safe_log(first) - safe_log(self.t["first_frequency"][layer]),
                 np.concatenate([np.zeros_like(prior[:1]), safe_log(before) - safe_log(prior[1:])])]
        previous = np.zeros_like(prior)
        for t in range(1, n):
            previous[t] = self.t["previous"][layer][chosen[t - 1]].sum(0)
        parts.append(previous)

        hot = np.zeros_like(prior)
        np.put_along_axis(hot, chosen, 1, 1)
        t, s = np.ogrid[:n, :n]
        back = np.where(s < t, t - s - 1, 0)
        all_before = np.where(s < t, 0.97 ** back, 0)
        same_id = (s < t) & (ids[:, None] == ids)
        before_ids = np.concatenate([[-1], ids[:-1]])
        same_pair = same_id & (s > 0) & (before_ids[:, None] == before_ids)
        seen_pair, seen_total = np.zeros_like(prior), np.zeros((n, 1))
        for token in range(1, n):
            pair = (int(ids[token - 1]) << 32) | int(ids[token])
            place = np.searchsorted(self.t["pair_ids"], pair)
            if place < len(self.t["pair_ids"]) and self.t["pair_ids"][place] == pair:
                begin, end = self.t["pair_begin"][place:place + 2]
                np.add.at(seen_pair[token], self.t["pair_experts"][begin:end, layer].ravel(), 1)
                seen_total[token] = end - begin

        def counted(counts, totals, base):
            return (counts + 2 * base) / (totals + 2)

        def of(earlier):  # [n, n]: what each token counts of each
            return earlier @ hot, earlier.sum(1, keepdims=True)

        given_same_id = counted(*of(same_id), given_id)
        for p, base in [(counted(*of(all_before), prior), prior), (given_same_id, given_id),
                        (counted(*of(same_pair), given_same_id), given_same_id),
                        (counted(seen_pair, seen_total, given_id), given_id)]:
            parts.append(safe_log(p) - safe_log(base))
        if self.first:
            for w in range(self.first - 1, self.t["transitions"].shape[1]):
                source = layer - 1 - w
                parts.append(self.t["transitions"][layer, w][text["experts"][:, source]].sum(1) if source >= 0
                             else np.zeros_like(prior))
            window = self.t["transitions"].shape[1]
            parts += self.path_evidence(text["experts"], layer, window, max(0, window - self.first + 1))
        weights = self.t["mixture"][layer - self.first]
        assert len(weights) == len(parts)
        return sum(weight * part for weight, part in zip(weights, parts))

    # From ids and routing

    def transformer(self, text, layer):
        row = layer - self.first
        if getattr(self, "outputs_of", None) is not text:
            self.outputs_of, self.outputs = text, self.windows(text)
        y = self.outputs[:, row]
        if not self.first:
            return y
        back = self.json["settings"]["layers_back"]
        known = np.zeros((len(y), back, self.experts), np.float32)
        for i in range(back):
            source = layer - self.first - (back - 1 - i)
            if source >= 0:
                np.put_along_axis(known[:, i], text["experts"][:, source], 1, 1)
        s = y + known.reshape(len(y), -1) @ self.t["known"][row]
        return s[:, :self.experts] + silu(s[:, self.experts:]) @ self.t["layer_out"][row]

    def windows(self, text):
        """What the blocks and `out` make of a text: [n, L', O]. A token is scored in the first window that holds it."""
        n, context = len(text["ids"]), self.json["settings"]["context"]
        places = np.searchsorted(self.t["ids"], text["ids"])
        seen = np.append(self.t["ids"], -1)[places] == text["ids"]
        places = np.where(seen, places, len(self.t["ids"]))
        hot = np.zeros((n, self.layers, self.experts), np.float32)
        np.put_along_axis(hot, text["experts"], 1, 2)
        rows = [np.empty((0, self.layers - self.first, self.t["out_bias"].size // (self.layers - self.first)))]
        first = done = 0
        while done < n:
            end = min(first + context, n)
            before = np.concatenate([np.zeros_like(hot[:1]), hot[first:end - 1]]).reshape(end - first, -1)
            x = self.blocks(self.t["embedding"][places[first:end]] + before @ self.t["routing"])
            y = layer_norm(x, self.t["norm"]) @ self.t["out"] + self.t["out_bias"]
            rows.append(y.reshape(end - first, self.layers - self.first, -1)[done - first:])
            first, done = first + context - context // 2, end
        return np.concatenate(rows)

    def blocks(self, x):
        heads, (n, width) = self.json["settings"]["heads"], x.shape
        half = width // heads // 2
        angle = np.arange(n)[:, None] * 10000.0 ** (-np.arange(half) / half)
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]

        def rotate(y):
            a, b = y[..., :half], y[..., half:]
            return np.concatenate([a * cos - b * sin, a * sin + b * cos], -1)

        for i in range(self.json["settings"]["blocks"]):
            w = {name: self.t[f"block.{i}.{name}"] for name in
                 ("attention_norm", "attention_in", "attention_out", "mlp_norm", "mlp_in", "mlp_in_bias", "mlp_out")}
            q, k, v = (layer_norm(x, w["attention_norm"]) @ w["attention_in"]).reshape(n, 3, heads, -1).swapaxes(0, 1)
            scores = np.einsum("qhd,khd->hqk", rotate(q), rotate(k)) / np.sqrt(2 * half)
            scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            shares /= shares.sum(-1, keepdims=True)
            x = x + np.einsum("hqk,khd->qhd", shares, v).reshape(n, width) @ w["attention_out"]
            x = x + silu(layer_norm(x, w["mlp_norm"]) @ w["mlp_in"] + w["mlp_in_bias"]) @ w["mlp_out"]
        return x

    # From hidden states

    def state(self, text, layer):
        values = text["residual" if self.lead == "pre-attention" else "router_inputs"][:, layer - self.first]
        if values.dtype == np.uint16:
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values / np.sqrt((values ** 2).mean(1, keepdims=True) + 1e-6)

    def next_gate(self, text, layer):
        row, settings = layer - self.first, self.json["settings"]
        logits = self.state(text, layer) @ self.t["router"][row].T
        if "score" not in settings:
            return logits
        if "logit_bias" in self.t:
            logits = logits + self.t["logit_bias"][row]
        scores = {"softmax": lambda x: np.exp(x - x.max(1, keepdims=True)) / np.exp(x - x.max(1, keepdims=True)).sum(
            1, keepdims=True), "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "softmax-of-chosen": lambda x: x}
        choice = scores[settings["score"]](logits)
        if "choice_bias" in self.t:
            choice = choice + self.t["choice_bias"][row]
        groups, kept = settings["groups"], settings["top_groups"]
        if groups == kept:
            return choice
        best = np.sort(choice.reshape(len(choice), groups, -1), -1)[..., ::-1]
        by_group = best[..., 0] + (best[..., 1] if settings["group_score"] == "sum-of-top-two" else 0)
        dropped = np.ones(by_group.shape, bool)
        np.put_along_axis(dropped, np.argsort(-by_group, 1, kind="stable")[:, :kept], False, 1)
        dropped = np.repeat(dropped, self.experts // groups, 1)
        lowest = np.where(dropped, np.inf, choice).min(1, keepdims=True)
        highest = np.where(dropped, choice, -np.inf).max(1, keepdims=True)
        return choice - dropped * (np.maximum(highest - lowest, 0) + 1)

    def gated(self, text, layer):
        row = layer - self.first
        return (self.state(text, layer) * self.t["gain"][row]) @ self.t["router"][row].T + self.t["bias"][row]

    def gate_adapter(self, text, layer):
        row = layer - self.first
        inner = silu(self.state(text, layer) @ self.t["down"][row])
        return self.gated(text, layer) + inner @ self.t["up"][row]

    def mlp(self, text, layer):
        row = layer - self.first
        inner = silu(self.state(text, layer) @ self.t["input"][row] + self.t["input_bias"][row])
        return inner @ self.t["output"][row] + self.t["output_bias"][row]

    def gate_mlp(self, text, layer):
        row, n = layer - self.first, len(text["ids"])
        ids = np.concatenate([[self.vocab, self.vocab], np.minimum(text["ids"], self.vocab)])
        embedded = np.concatenate([self.t["embedding"][ids[2 - back:n + 2 - back]] for back in range(3)], 1)
        before = np.zeros((n, 2 * self.experts), np.float32)
        for back in (1, 2):
            for t in range(back, n):
                before[t, (back - 1) * self.experts + text["experts"][t - back, layer]] = 1
        both = embedded @ self.t["ids_in"][row] + before @ self.t["experts_in"][row]
        inner = silu(both[:, self.experts:] + self.state(text, layer) @ self.t["state_in"][row]
                     + self.t["inner_bias"][row])
        return self.gated(text, layer) + both[:, :self.experts] + inner @ self.t["inner_out"][row]
