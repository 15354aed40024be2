"""Predictors: the C API's bits, whatever arrays go in, and what is said of those that cannot be meant."""
import json
import pickle
import shutil
import threading

import numpy as np
import pytest

import foregate as fg
from conftest import program

CASES = [("statistics", "layer-1"), ("transformer", "next-token"), ("gate-mlp", "layer-2"), ("next-gate", "pre-attention")]


@pytest.fixture(scope="module")
def predictors(demo_trace, tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictors")
    (folder / "quick.json").write_text(json.dumps({"steps": 20, "batch_tokens": 256, "validate_every": 10}))
    for name, lead in CASES:
        trained = ["--config", folder / "quick.json"] if name in ("transformer", "gate-mlp") else []
        program("train", "--traces", demo_trace, "--predictor", name, "--lead", lead, "--output", folder / f"{name}-{lead}",
                *trained)
    return folder


@pytest.fixture(scope="module")
def text(demo_texts):
    """A text of some length, cut short."""
    whole = max(demo_texts, key=lambda t: len(t["ids"]))
    return {name: values[:60] for name, values in whole.items()}


def states_of(text, lead):
    return text["residual" if lead == "pre-attention" else "router_inputs"]


def tell_and_ask(told, states, text, first, ask):
    """Runs a text as an engine would: what `ask(layer)` gives at every token and layer."""
    answers = []
    for t in range(len(text["ids"])):
        told.token(int(text["ids"][t]))
        for layer in range(8):
            if layer >= first:
                told.state(layer - first, states(t, layer - first))
                answers.append(ask(layer))
            told.routing(layer, text["experts"][t, layer])
    return answers


def tensor_of(states, torch):
    """bfloat16 lies in these arrays as uint16."""
    tensor = torch.from_numpy(states.copy())
    return tensor.view(torch.bfloat16) if states.dtype == np.uint16 else tensor


@pytest.mark.parametrize("name, lead", CASES)
def test_scores_are_those_of_the_c_library(name, lead, predictors, text, library):
    torch = pytest.importorskip("torch")
    predictor = fg.Predictor.load(predictors / f"{name}-{lead}")
    info = predictor.info
    assert (info.name, info.lead, info.num_experts, info.top_k) == (name, lead, 8, 2) and name in repr(predictor)
    assert info.needs_state == (name in ("gate-mlp", "next-gate"))
    scores, probabilities = library.score(predictors / f"{name}-{lead}", text, info.first_layer, lead == "pre-attention")
    tensor = tensor_of(states_of(text, lead), torch)
    sequence = predictor.sequence()
    asked = tell_and_ask(sequence, lambda t, layer: tensor[t, layer], text, info.first_layer,
                         lambda layer: (sequence.scores(layer), sequence.probabilities(layer), sequence.best(layer, 3),
                                        sequence.at_least(layer, 0.3), sequence.best(layer)))
    assert len(sequence) == 60
    for i, (score, probability, best, probable, few) in enumerate(asked):
        place = divmod(i, 8 - info.first_layer)
        assert score.tobytes() == scores[place].tobytes()
        assert probability.tobytes() == probabilities[place].tobytes()
        order = np.argsort(-score, kind="stable")
        assert best.tolist() == order[:3].tolist() and few.tolist() == order[:2].tolist()
        assert probable.tolist() == [e for e in np.argsort(-probability, kind="stable") if probability[e] >= np.float32(0.3)]
    sequence.reset()
    assert len(sequence) == 0


@pytest.mark.parametrize("name, lead", CASES)
def test_a_batch_is_its_sequences(name, lead, predictors, text, demo_texts):
    torch = pytest.importorskip("torch")
    predictor = fg.Predictor.load(predictors / f"{name}-{lead}")
    first = predictor.info.first_layer
    texts = [text, *({n: v[:60] for n, v in t.items()} for t in demo_texts if len(t["ids"]) >= 60)][:5]
    single = []
    for one in texts:
        sequence = predictor.sequence()
        tensor = tensor_of(states_of(one, lead), torch)
        single.append(tell_and_ask(sequence, lambda t, layer: tensor[t, layer], one, first, sequence.scores))
    sequences = [predictor.sequence() for _ in texts]
    batch = predictor.batch(sequences)
    together = {n: np.stack([one[n] for one in texts], 1) for n in ("ids", "experts")}
    tensor = tensor_of(np.stack([states_of(one, lead) for one in texts], 1), torch)
    out = np.empty((len(texts), 8), np.float32)
    at = 0
    for t in range(60):
        batch.token(together["ids"][t])
        for layer in range(8):
            if layer >= first:
                batch.state(layer - first, tensor[t, :, layer - first])
                assert batch.scores(layer, out=out) is not None
                for row, one in zip(out, single):
                    np.testing.assert_allclose(row, one[at], rtol=1e-5, atol=1e-5)
                assert batch.best(layer, 3).shape == (len(texts), 3) and len(batch.at_least(layer, 0.0)[0]) == 8
                at += 1
            batch.routing(layer, torch.from_numpy(together["experts"][t, :, layer].astype(np.int64)))
    assert len(batch) == len(texts) and [len(s) for s in sequences] == [60] * len(texts)


def test_arrays_of_all_kinds(predictors, text):
    torch = pytest.importorskip("torch")
    predictor = fg.Predictor.load(predictors / "gate-mlp-layer-2")
    # Values that all three dtypes hold exactly.
    state = np.round(np.linspace(-2, 2, 64) * 16).astype(np.float32) / 16
    bits = (state.view(np.uint32) >> 16).astype(np.uint16)

    class Foreign:
        """Something that speaks DLPack and nothing else."""

        def __init__(self, tensor):
            self.tensor = tensor

        def __dlpack__(self, **options):
            return self.tensor.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.tensor.__dlpack_device__()

    strided = np.stack([state, -state], 1)[:, 0]
    told = [state, strided, state.astype(np.float16), torch.from_numpy(state), torch.from_numpy(state).bfloat16(),
            torch.from_numpy(bits.copy()).view(torch.bfloat16), Foreign(torch.from_numpy(state).half()), state[None]]
    scores = []
    for hidden in told:
        for experts in ([3, 1], (3, 1), np.array([3, 1], np.uint8), torch.tensor([3, 1])):
            sequence = predictor.sequence()
            for _ in range(3):
                sequence.token(5)
                sequence.routing(2, experts)
            sequence.token(7)
            sequence.state(0, hidden)
            scores.append(sequence.scores(2).tobytes())
    assert len(set(scores)) == 1


def test_out_is_filled(predictors):
    predictor = fg.Predictor.load(predictors / "statistics-layer-1")
    sequence = predictor.sequence()
    sequence.token(3)
    sequence.routing(0, [1, 2])
    scores, best = np.zeros(8, np.float32), np.zeros(2, np.int32)
    sequence.scores(1, out=scores)
    sequence.best(1, 2, out=best)
    assert scores.tobytes() == sequence.scores(1).tobytes() and best.tolist() == sequence.best(1, 2).tolist()
    with pytest.raises(fg.UsageError, match=r"out has another shape; expected \[8\]"):
        sequence.scores(1, out=np.zeros(7, np.float32))
    with pytest.raises(TypeError):
        sequence.scores(1, out=np.zeros(8))


def test_errors_say_what(predictors, tmp_path):
    torch = pytest.importorskip("torch")
    with pytest.raises(fg.NotFoundError):
        fg.Predictor.load(tmp_path)
    broken = shutil.copytree(predictors / "statistics-layer-1", tmp_path / "broken")
    (broken / "weights.safetensors").write_bytes((broken / "weights.safetensors").read_bytes()[:-1])
    with pytest.raises(fg.DataError):
        fg.Predictor.load(broken)
    old = shutil.copytree(predictors / "statistics-layer-1", tmp_path / "old")
    written = json.loads((old / "predictor.json").read_text())
    del written["calibration"]
    (old / "predictor.json").write_text(json.dumps(written))
    sequence = fg.Predictor.load(old).sequence()
    sequence.token(1)
    sequence.routing(0, [1, 2])
    with pytest.raises(fg.UnsupportedError, match="gives scores only"):
        sequence.probabilities(1)
    with pytest.raises(fg.NotObservedError, match="layer 1 was not given"):
        sequence.scores(2)
    predictor = fg.Predictor.load(predictors / "gate-mlp-layer-2")
    sequence = predictor.sequence()
    with pytest.raises(fg.NotObservedError, match="without a token"):
        sequence.routing(0, [1, 2])
    sequence.token(1)
    for told, saying in [
        (lambda: sequence.state(0, np.zeros(63, np.float32)), "has 63 values; the model has 64"),
        (lambda: sequence.state(0, np.zeros(64)), "is of float64; expected float32, bfloat16 or float16"),
        (lambda: sequence.state(0, [1.0] * 64), "is a list that cannot be read as an array"),
        (lambda: sequence.state(0, torch.zeros(64, device="meta")), "cannot be read as an array"),
        (lambda: sequence.routing(0, [1, 8]), "names expert 8"),
        (lambda: sequence.routing(0, [1, "a"]), "no whole number"),
        (lambda: sequence.routing(0, np.array([1.0, 2.0])), "experts is of float64; expected whole numbers"),
        (lambda: sequence.routing(0, np.array([1, 2**40])), "expected numbers of 32 bits"),
        (lambda: sequence.token(-1), "token id is -1"),
        (lambda: sequence.best(2, 9), "m is 9; expected 1 to the model's 8 experts"),
        (lambda: sequence.best(1, 2), "predicts MoE layers 2 to 7"),
        (lambda: predictor.batch([sequence, sequence]), "sequence 1 of the batch is in it twice"),
        (lambda: predictor.batch([fg.Predictor.load(old).sequence()]), "sequence 0 of the batch is of another predictor"),
        (lambda: predictor.batch([sequence]).token([1, 2]), "2 ids for a batch of 1 sequences"),
        (lambda: predictor.batch([sequence]).routing(0, [1]), r"holds 1 numbers; expected \[1, 2\]"),
        (lambda: predictor.batch([sequence]).state(0, np.zeros(64, np.float32)), r"expected as \[1, hidden size\]"),
    ]:
        with pytest.raises(fg.UsageError, match=saying):
            told()
    with pytest.raises(TypeError):
        pickle.dumps(predictor)
    assert predictor.moe_layer(2) == 0 and predictor.moe_layer(3) is None


def test_threads_share_a_predictor(predictors, demo_texts):
    """Many threads, a sequence each, get what one alone gets; a sequence that two use at once is refused, not spoiled."""
    predictor = fg.Predictor.load(predictors / "transformer-next-token")
    texts = [{n: v[:40] for n, v in t.items()} for t in demo_texts if len(t["ids"]) >= 40][:8]

    def run(one):
        sequence = predictor.sequence()
        return np.stack(tell_and_ask(sequence, lambda t, layer: np.zeros(64, np.float32), one, 0, sequence.scores))

    alone = [run(one) for one in texts]
    found = [None] * len(texts)
    threads = [threading.Thread(target=lambda i=i: found.__setitem__(i, run(texts[i]))) for i in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for expected, scores in zip(alone, found):
        assert expected.tobytes() == scores.tobytes()

    shared, refused = predictor.sequence(), []

    def use():
        for token in range(300):
            try:
                shared.token(token % 50)
            except fg.UsageError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shared) + len(refused) == 1200 and all("two threads at once" in message for message in refused)
