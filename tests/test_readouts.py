"""Readouts of a memory: by hand, against naive loops over whole prompts, and what is refused."""

import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Command, assert_one_line, stored
from tiny_models import tiny
from torch import Tensor

from deepthink import score, think
from deepthink.config.overrides import compose
from deepthink.engine.flops import Costs, attended
from deepthink.engine.memory import Memory
from deepthink.engine.query_states import layers_of
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.plugins import READOUTS
from deepthink.structures import Example, Splits
from deepthink.study.anchors import Rows, drawn
from deepthink.study.reading_out import Ask, Reading, Spent, check_readout
from deepthink.study.readouts import knn_prompting
from deepthink.study.readouts.knn_prompting import kl, votes

SMALL = ("test_size=6", "dev_size=6", "pool_size=30", "method.iterations=2")

MODEL = tiny("llama")
FRONT, SHOWN = [1], [1, 5, 6, 7, 8, 9, 10]
ANSWERS = [[20], [21, 22]]
LABELS = np.array([0, 0, 1, 1, 1, 0, 1, 0])


def rows_of(count: int, seed: int, labels: np.ndarray | None = None) -> Rows:
    """Prompts of two to five tokens, which all begin with the same one."""
    rng = np.random.default_rng(seed)
    queries = [[11, *rng.integers(30, 90, size=rng.integers(1, 5)).tolist()] for _ in range(count)]
    return Rows(queries, [ANSWERS] * count, np.empty(0, int) if labels is None else labels)


ANCHORS, QUERIES = rows_of(8, 0, LABELS), rows_of(5, 1)
DEV = Rows(QUERIES.queries[:3], QUERIES.candidates[:3], np.array([0, 1, 1]))


@pytest.fixture(params=[False, True], ids=["", "gains"])
def memory(request: pytest.FixtureRequest) -> Memory:
    *_, memory = think(MODEL, SHOWN, iterations=2, step_size=0.5)
    return replace(memory, gains=torch.linspace(-1, 1, len(SHOWN))) if request.param else memory


def ask_of(memory: Memory, anchors: Rows = ANCHORS, dev: Rows | None = DEV) -> Ask:
    return Ask(
        name="mine",
        memory=memory,
        classes=2,
        queries=QUERIES,
        dev=dev,
        anchors=lambda count: Rows(
            anchors.queries[:count], anchors.candidates[:count], anchors.labels[:count]
        ),
        label_scores=lambda: score(MODEL, memory, QUERIES.queries, QUERIES.candidates),
        model=MODEL,
        budget=TokenBudget(16),
        front=FRONT,
    )


def distribution(memory: Memory, query: Sequence[int]) -> Tensor:
    """[V] log p of every token after a query behind a memory, each token scored by itself."""
    rows = score(MODEL, memory, [query], [[[token] for token in range(97)]])
    return torch.tensor(rows[0], dtype=torch.float64)


# kNN prompting


def test_divergences_by_hand() -> None:
    """From the anchor to the query: the other direction of the pair below is 0.3681."""
    even, sure = (torch.tensor([row]).log() for row in ([0.5, 0.5], [0.9, 0.1]))
    assert float(kl(even, sure)) == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(5))
    assert float(kl(sure, even)) == pytest.approx(0.9 * np.log(1.8) + 0.1 * np.log(0.2))
    assert float(kl(sure, sure)) == pytest.approx(0, abs=1e-7)


def test_four_points_by_hand() -> None:
    """Two anchors say the first token, two say the second; the query says the second."""
    anchors = torch.tensor([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]])
    queries = torch.tensor([[0.15, 0.75, 0.1], [0.9, 0.05, 0.05]])
    near = kl(anchors.log(), queries.log()).T.double().numpy()
    labels = np.array([0, 0, 1, 1])
    found = votes(near, labels, k=3, classes=2)
    assert found.argmax(axis=1).tolist() == [1, 0]
    weights = 1 / (1 + np.array([near[0, :2].min(), near[0, 2:].min()]))
    shares = (np.array([1, 2]) + weights / weights.sum() / 2) / 3.5
    np.testing.assert_allclose(np.exp(found[0]), shares)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)


def test_of_equal_votes_those_of_the_nearest_anchor_win() -> None:
    near = np.array([[0.3, 0.1, 0.2, 9.0]])
    for k in (1, 2, 3):
        assert votes(near, np.array([0, 2, 1, 0]), k, classes=3).argmax() == 2
    assert votes(near, np.array([1, 2, 1, 0]), 3, classes=3).argmax() == 1  # two against one
    equal = np.array([[0.2, 0.2]])
    assert votes(equal, np.array([1, 0]), 1, classes=2).argmax() == 1  # the first anchor


def test_a_label_without_an_anchor_has_no_vote_and_a_number() -> None:
    found = votes(np.array([[0.3, 0.1, 0.9]]), np.array([0, 0, 0]), 3, classes=2)
    assert np.isfinite(found).all()
    assert found[0, 1] < found[0, 0]


def test_more_votes_always_win() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        near, labels = rng.exponential(size=(4, 9)), rng.integers(3, size=9)
        k = int(rng.integers(1, 9))
        nearest = np.argsort(near, axis=1)[:, :k]
        counts = np.array([np.bincount(labels[row], minlength=3) for row in nearest])
        chosen = votes(near, labels, k, classes=3).argmax(axis=1)
        assert (counts[np.arange(4), chosen] == counts.max(axis=1)).all()


@pytest.mark.parametrize("block", [3, 256])
def test_knn_prompting_is_a_naive_loop(
    memory: Memory, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knn_prompting, "BLOCK", block)
    near = np.empty((len(QUERIES), len(ANCHORS)))
    for i, query in enumerate(QUERIES.queries):
        q = distribution(memory, query)
        for j, anchor in enumerate(ANCHORS.queries):
            p = distribution(memory, anchor)
            near[i, j] = float((p.exp() * (p - q)).sum())
    ask = ask_of(memory)
    np.testing.assert_allclose(knn_prompting.divergences(ask, ANCHORS), near, atol=1e-9)
    found = knn_prompting.read(ask_of(memory), k=3, anchors=8)
    np.testing.assert_allclose(found, votes(near, LABELS, 3, 2), atol=1e-9)


# task vector


def naive(prompt: Sequence[int], layer: int, place: Callable[[Tensor], Tensor]) -> Tensor:
    """[N, V] log p of a whole sequence with what a layer gives on changed."""
    handle = layers_of(MODEL)[layer - 1].register_forward_hook(
        lambda _m, _i, out: place(out[0])[None]
    )
    with torch.no_grad():
        logits = MODEL(input_ids=torch.tensor([prompt])).logits[0]
    handle.remove()
    return torch.as_tensor(logits.log_softmax(-1))


def naive_task_vector(layer: int, dummies: int) -> np.ndarray:
    """Against whole prompts of the demonstrations and a dummy, then of a query alone."""
    states: list[Tensor] = []

    def keep(out: Tensor) -> Tensor:
        states.append(out[-1].clone())
        return out

    for dummy in ANCHORS.queries[:dummies]:
        naive([*SHOWN, *dummy], layer, keep)
    vector = torch.stack(states).mean(0)
    rows = []
    for query in QUERIES.queries:
        last = len(FRONT) + len(query) - 1

        def put(out: Tensor, last: int = last) -> Tensor:
            out = out.clone()
            out[last] = vector
            return out

        scores = []
        for answer in ANSWERS:
            logs = naive([*FRONT, *query, *answer], layer, put)
            scores.append(sum(float(logs[last + i, word]) for i, word in enumerate(answer)))
        rows.append(scores)
    return np.array(rows)


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_a_task_vector_is_a_naive_loop(layer: int) -> None:
    (plain,) = think(MODEL, SHOWN, iterations=1)
    read = READOUTS.load({"name": "task_vector", "layer": layer, "dummies": 4})
    found = read(ask_of(plain, dev=None))
    np.testing.assert_allclose(found.scores, naive_task_vector(layer, 4), atol=1e-6)
    assert found.notes == {"layer": layer}


def test_the_layer_is_chosen_on_dev_rows() -> None:
    (plain,) = think(MODEL, SHOWN, iterations=1)
    found = READOUTS.load({"name": "task_vector", "dummies": 4})(ask_of(plain))
    by_layer = [naive_task_vector(layer, 4) for layer in (1, 2, 3)]
    right = [int((rows[:3].argmax(axis=1) == DEV.labels).sum()) for rows in by_layer]
    assert found.notes == {"layer": int(np.argmax(right)) + 1, "right_on_dev": right}
    np.testing.assert_allclose(found.scores, by_layer[int(np.argmax(right))], atol=1e-6)
    with pytest.raises(UserError, match="chooses by the labels of dev rows"):
        READOUTS.load({"name": "task_vector"})(ask_of(plain, dev=None))
    with pytest.raises(UserError, match="no layer 4"):
        READOUTS.load({"name": "task_vector", "layer": 4})(ask_of(plain))


# what it costs


def test_operations_are_those_of_what_is_read(memory: Memory) -> None:
    costs, spent = Costs.of(MODEL), Spent()
    ask = ask_of(memory)
    object.__setattr__(ask, "spent", spent)

    def reading(rows: Rows) -> int:
        """All rows begin with one token, which is read once."""
        depths = [0, *(d for query in rows.queries for d in range(1, len(query)))]
        return costs.forward(len(depths), attended(depths, len(SHOWN)))

    ask.states(ask.queries)
    assert spent == Spent(queries=reading(QUERIES))
    states = ask.states(ANCHORS)
    ask.distributions(states, ANCHORS)
    assert spent.anchors == reading(ANCHORS) + len(ANCHORS) * costs.row
    assert spent.queries == reading(QUERIES)


# the rows that it learns from


def splits_of(texts: Sequence[str], scored: Sequence[str]) -> Splits:
    def examples(texts: Sequence[str]) -> tuple[Example, ...]:
        return tuple(Example(text, ("bad", "good"), i % 2) for i, text in enumerate(texts))

    halves = examples(scored[::2]), examples(scored[1::2])
    return Splits(examples(texts), *halves, "r", None, {"pool": 0, "test": 0}, 0, {})


def test_anchors_are_neither_demonstrations_nor_scored() -> None:
    texts = [f"row {i}" for i in range(20)]
    splits = splits_of([*texts, "row 3", "seen", "asked"], ["seen", "asked"])
    taken = drawn(splits, [3, 4], 99, seed=0)
    assert sorted(taken) == [i for i in range(20) if i not in (3, 4)]
    few = drawn(splits, [3, 4], 6, seed=0)
    assert set(few) <= set(taken)
    assert [splits.pool[i].label for i in few] == [0, 0, 0, 1, 1, 1]
    assert set(few) < set(drawn(splits, [3, 4], 10, seed=0))
    assert drawn(splits, [3, 4], 6, seed=1) != few
    assert drawn(splits_of(["seen"] * 4, ["seen"]), [], 5, seed=0) == []


def test_where_no_row_is_left_it_is_told(run: Command) -> None:
    code, _, err = run("method=knn_prompting", "pool_size=8", "test_size=6", "dev_size=6")
    assert_one_line(code, err, "none is left that fits behind the demonstrations")


# jobs


@pytest.mark.parametrize("name", ["knn_prompting", "task_vector"])
def test_a_job_of_it_runs_and_is_known_again(run: Command, tmp_path: Path, name: str) -> None:
    code, out, err = run(f"method={name}", "method.iterations=2", *SMALL[:3])
    assert (code, err) == (0, "")
    ((path, record),) = stored(tmp_path)
    assert path.parent.name == f"deepthink+{name}"
    assert record["identity"]["readout"]["name"] == name
    assert record["flops"]["anchors"] > 0
    if name == "task_vector":
        assert [note["step"] for note in record["readout"]] == [1, 2]
        assert len(record["readout"][0]["right_on_dev"]) == 2
    code, out, _ = run(f"method={name}", "method.iterations=2", *SMALL[:3])
    assert "read, not run again" in out


def test_scores_of_the_default_are_counted_and_kept_as_ever(run: Command, tmp_path: Path) -> None:
    """The readout of the paper leaves no trace in a record."""
    assert run(*SMALL)[0] == 0
    ((_, record),) = stored(tmp_path)
    assert "readout" not in record
    assert "readout" not in record["identity"]
    assert "anchors" not in record["flops"]
    assert "anchors" not in record["seconds"]
    assert record["flops"]["scoring"] > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["method=knn_prompting", "answer_score=mean"], "makes scores of its own"),
        (["method=task_vector", "task=mmlu", "task.members=[virology]"], "given demonstrations"),
        (["method=knn_prompting", "task=e2e"], "the answers of e2e are written"),
        (["method=task_vector", "dev_size=0"], "there are none behind these demonstrations"),
        (["method=task_vector", "method.readout.layer=0"], "greater than or equal to 1"),
        (["method=task_vector", "method.readout.layer=9"], "there is no layer 9"),
        (["method=knn_prompting", "+method.readout.layer=1"], "unknown option of readout"),
        (["method.readout.name=knn_promting"], "did you mean knn_prompting"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    run: Command, words: list[str], says: str
) -> None:
    code, _, err = run(
        *words, "test_size=6", *({"pool_size=30"} if "task" not in str(words) else ())
    )
    assert_one_line(code, err, says)


def test_rows_with_answers_of_their_own_are_refused() -> None:
    splits = splits_of(["a", "b"], ["c", "d"])
    other = Splits(**{**vars(splits), "pool": (Example("x", ("one", "two"), 0),)})
    check_readout(compose([]), other)
    check_readout(compose(["method=knn_prompting"]), splits)
    with pytest.raises(UserError, match="answers of their own"):
        check_readout(compose(["method=knn_prompting"]), other)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return ask.label_scores()", None),
        ("return Reading(ask.label_scores(), {'of': ask.dev.labels[:1]})", None),
        ("return ask.states(ask.queries)[:, :2]", None),
        ("return [[0.0]] * len(ask.queries)", "a number for each candidate of each of its 12"),
        ("return None", "a number for each candidate"),
        ("return [[0.0, float('nan')]] * len(ask.queries)", "no numbers (NaN)"),
        ("return Reading(ask.label_scores(), {'of': object()})", "no record can hold"),
    ],
)
def test_a_readout_from_outside(run: Command, tmp_path: Path, body: str, says: str | None) -> None:
    folder = tmp_path / "lab" / "readouts"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text(
        textwrap.dedent(
            f"""
            from deepthink.study.reading_out import Reading


            def read(ask, strength: float = 1.0):
                {body}
            """
        )
    )
    code, _, err = run(f"plugins={folder.parent}", "method.readout.name=mine", *SMALL)
    if says is not None:
        assert_one_line(code, err, says)
        return
    assert (code, err) == (0, "")
    ((_, record),) = stored(tmp_path)
    told: dict[str, Any] = record["identity"]["readout"]
    assert (told["name"], told["strength"], len(told["source"])) == ("mine", 1.0, 64)
    assert json.dumps(record.get("readout", [])) == (
        '[{"step": 1, "of": [0]}, {"step": 2, "of": [0]}]' if "Reading(" in body else "[]"
    )


def test_calibrations_are_applied_to_what_is_read_out(run: Command, tmp_path: Path) -> None:
    """But for those with texts, whose scores would be of another kind."""
    assert run("method=knn_prompting", "calibration=batch_dev", *SMALL)[::2] == (0, "")
    ((path, _),) = stored(tmp_path)
    assert path.parent.name == "deepthink+knn_prompting-batch_dev"
    for word in ("calibration=contextual", "calibration=domain", "readings=[pmi]"):
        code, _, err = run("method=knn_prompting", word, *SMALL)
        assert_one_line(code, err, "asks about texts")


def test_each_query_may_have_a_memory_of_its_own(run: Command, tmp_path: Path) -> None:
    words = ("method=knn", "method.readout.name=knn_prompting", "+method.readout.anchors=6")
    assert run(*words, *SMALL)[::2] == (0, "")
    ((_, record),) = stored(tmp_path)
    assert len(record["demonstrations"]["groups"]) > 1
    code, _, err = run("method=knn", "method.readout.name=task_vector", *SMALL)
    assert_one_line(code, err, "chooses by the labels of dev rows")


def test_each_order_has_anchors_behind_it(run: Command, tmp_path: Path) -> None:
    """Of the same demonstrations in two orders both are read, and the votes are averaged."""
    words = ("method=knn_prompting", "method.readout.anchors=6", "test_size=6", "pool_size=30")
    for more in ((), ("method.orders=2", "prompt.seam=joint")):
        assert run(*words, "dev_size=6", *more)[::2] == (0, "")
    flops = {"method.orders=1": 0} | {
        f"method.orders={record['identity'].get('orders', 1)}": record["flops"]["anchors"]
        for _, record in stored(tmp_path)
    }
    assert flops["method.orders=2"] > 1.5 * flops["method.orders=1"] > 0


def test_the_channel_has_the_price_of_its_texts(run: Command, tmp_path: Path) -> None:
    """Scores of the default readout are counted by what is scored, whatever that is."""
    for method in ("vanilla", "channel"):
        words = (f"method={method}", "method.iterations=1", "test_size=6", "dev_size=6")
        assert run(*words)[0] == 0
    plain, channel = (
        next(r["flops"]["scoring"] for path, r in stored(tmp_path) if path.parent.name == name)
        for name in ("vanilla", "channel")
    )
    assert channel > 1.5 * plain  # a query's text is read behind each of two labels


def test_a_reading_without_notes_is_its_scores() -> None:
    assert Reading([[1.0]]).notes == {}
