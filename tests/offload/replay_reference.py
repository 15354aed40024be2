"""The replay of src/offload, written a second time and as plainly as it can be: dictionaries and linear searches.

An event is one MoE layer of one step. All of its experts are looked for first; then they are used; then what was
missing is loaded, each taking a free slot or that of the expert of least value, never of one the event uses.
"""
import math

NEVER = float("inf")


def steps(texts, prompt_tokens, width, sequences, prompt_batch):
    """(text number, first token, tokens, prompt?) in the order an engine runs them, texts taking turns."""
    waiting = [i for i, text in enumerate(texts) if len(text)]
    open_texts = [None] * sequences
    turn = 0
    while waiting or any(open_texts):
        slot, turn = turn, (turn + 1) % sequences
        if open_texts[slot] is None:
            if not waiting:
                continue
            open_texts[slot] = [waiting.pop(0), 0]
        number, position = open_texts[slot]
        left = prompt_tokens[number] - position
        prompt = prompt_batch > 0 and left > 0
        size = min(prompt_batch, left) if prompt else 1
        yield number, position, size, prompt
        open_texts[slot][1] += size
        if open_texts[slot][1] * width == len(texts[number]):
            open_texts[slot] = None


def events(texts, prompt_tokens, layers, top_k, sequences, prompt_batch):
    """Dicts with step, layer, experts {expert: tokens that chose it}, text, prompt, begins."""
    result = []
    width = layers * top_k
    for step, (number, first, size, prompt) in enumerate(
            steps(texts, prompt_tokens, width, sequences, prompt_batch)):
        for layer in range(layers):
            counts = {}
            for token in range(first, first + size):
                start = token * width + layer * top_k
                for expert in texts[number][start:start + top_k]:
                    counts[expert] = counts.get(expert, 0) + 1
            result.append(dict(step=step, layer=layer, experts=counts, text=number, prompt=prompt,
                               begins=first == 0 and layer == 0))
    return result


def add_next_uses(all_events, cold):
    """When each expert of each event is used again: the number of that event."""
    upcoming = {}
    for number in reversed(range(len(all_events))):
        event = all_events[number]
        event["next"] = {}
        for expert in event["experts"]:
            event["next"][expert] = upcoming.get((event["layer"], expert), NEVER)
        for expert in event["experts"]:
            upcoming[event["layer"], expert] = number
        if cold and event["begins"]:
            upcoming = {}


class Cache:
    """One policy; `kind` and `half_life` as its name has them."""

    def __init__(self, name, slots, layers, counts):
        self.by_layer = name.endswith("-layer")
        self.kind = name.removesuffix("-layer")
        self.half_life = float(self.kind[5:]) if self.kind.startswith("lrfu-") else None
        self.layers, self.slots = layers, slots
        self.counts = counts
        self.reset()
        if self.kind == "static":
            pools = range(layers) if self.by_layer else [None]
            for pool in pools:
                candidates = [key for key in counts if pool is None or key[0] == pool]
                candidates.sort(key=lambda key: (-counts[key], key))
                self.held |= set(candidates[:self.share(pool or 0)])

    def reset(self):
        if self.kind == "static" and getattr(self, "held", None):
            return
        self.held, self.clock, self.first_step = set(), 0, None
        self.last, self.uses, self.loaded, self.next, self.last_step, self.history = {}, {}, {}, {}, {}, {}

    def share(self, layer):
        if not self.by_layer:
            return self.slots
        return self.slots // self.layers + (layer < self.slots % self.layers)

    def value(self, key, step, layer):
        """Least goes. The second part breaks ties."""
        turn = -((key[0] - layer - 1) % self.layers)  # how far off its layer's next turn is
        tie = (turn, key[1])
        if self.kind == "lru":
            return (self.last.get(key, 0),)
        if self.kind == "lru-token":
            return (self.last_step.get(key, -1),) + tie
        if self.kind == "lfu":
            return (self.uses[key], self.last[key])
        if self.kind.startswith("lrfu-"):
            return (sum(math.exp2((then - self.first_step) / self.half_life) * count
                        for then, count in self.history[key]),) + tie
        if self.kind == "least-stale":
            return (self.last_step.get(key) == step, self.loaded[key])
        if self.kind in ("belady", "belady-demand"):
            return (-self.next[key],) + tie
        raise AssertionError(self.kind)

    def serve(self, event):
        """The event's experts that were there."""
        layer, step = event["layer"], event["step"]
        keys = {expert: (layer, expert) for expert in event["experts"]}
        hits = [expert for expert, key in keys.items() if key in self.held]
        missing = [key for key in keys.values() if key not in self.held]
        if self.kind == "static":
            return hits
        if self.first_step is None:
            self.first_step = step
        for expert, key in keys.items():
            self.clock += 1
            if key not in self.held:
                self.uses[key] = 0
                self.loaded[key] = self.clock
            self.last[key] = self.clock
            self.last_step[key] = step
            self.uses[key] += event["experts"][expert]
            self.history.setdefault(key, []).append((step, event["experts"][expert]))
            self.next[key] = event["next"][expert]
        pool = lambda: {key for key in self.held if not self.by_layer or key[0] == layer}
        room = self.share(layer)
        for key in missing:
            if len(pool()) < room:
                self.held.add(key)
                continue
            if len(keys) > room:
                continue
            candidates = pool() if self.kind == "belady" else pool() - set(keys.values())
            victim = min(candidates, key=lambda candidate: self.value(candidate, step, layer))
            if self.kind == "belady" and self.next[key] >= self.next[victim]:
                continue
            self.held.remove(victim)
            self.held.add(key)
        return hits


def replay(case):
    """{(policy, slots): (hits of generated tokens, of prompts, hits by layer)} of a case as dump_replay reads it."""
    layers, top_k = case["layers"], case["top_k"]
    all_events = events(case["texts"], case["prompt_tokens"], layers, top_k, case["sequences"], case["prompt_batch"])
    add_next_uses(all_events, case["cold"])
    counts = [{(layer, expert): 0 for layer in range(layers) for expert in range(case["experts"])} for _ in range(2)]
    for event in all_events:
        for expert, count in event["experts"].items():
            counts[event["text"] % 2][event["layer"], expert] += count
    result = {}
    for policy in case["policies"]:
        for slots in case["slots"]:
            caches = [Cache(policy, slots, layers, counts[1 - fold]) for fold in range(2)]
            if not policy.startswith("static"):
                caches[1] = caches[0]
            hits, by_layer = {False: 0, True: 0}, [0] * layers
            for event in all_events:
                cache = caches[event["text"] % 2]
                if case["cold"] and event["begins"]:
                    cache.reset()
                found = len(cache.serve(event))
                hits[event["prompt"]] += found
                by_layer[event["layer"]] += found
            result[policy, slots] = hits[False], hits[True], by_layer
    return result
