"""Rules that choose for each query: kNN against brute force, BM25 against its formula."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, assert_one_line, stored
from pools import Stub

from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.plugins import RULES
from deepthink.selection.balance import Selection
from deepthink.selection.pool import Pool, Progress
from deepthink.structures import Example

WORDS = ("bad", "good")
SMALL = ("test_size=5", "dev_size=4", "pool_size=12")


class States(Stub):
    """A reader that knows the state of each text, and refuses to be told labels of queries."""

    def __init__(self, states: dict[str, np.ndarray]) -> None:
        super().__init__(np.empty(0), np.zeros((1, 2)))
        self._states = states

    def zero_shot(
        self, examples: Sequence[Example], progress: Progress
    ) -> tuple[np.ndarray, np.ndarray]:
        self.usage.read += len(examples)
        hidden = np.array([self._states[example.text] for example in examples], np.float32)
        return hidden, np.zeros((len(examples), 2), np.float32)


def pool_of(examples: Sequence[Sequence[float]], queries: Sequence[Sequence[float]]) -> Pool:
    """Examples "0", "1", … and queries "q0", "q1", … with these states."""
    states = {f"{i}": np.array(state) for i, state in enumerate(examples)}
    states |= {f"q{i}": np.array(state) for i, state in enumerate(queries)}
    shown = [Example(f"{i}", WORDS, i % 2) for i in range(len(examples))]
    return Pool(shown, reader=States(states), queries=[f"q{i}" for i in range(len(queries))])


def chosen(name: str, pool: Pool, count: int, seed: int = 0, **options: object) -> list[Selection]:
    selector = compose([f"method={name}"]).method.selector | options
    selections = RULES.load(selector)(pool, count, np.random.default_rng(seed))
    assert all(isinstance(selection, Selection) for selection in selections)
    return list(selections)


def test_knn_by_hand() -> None:
    """Directions count, and lengths do not; the nearest is read last, next to the query."""
    pool = pool_of([(9, 9), (0, 2), (1, 0), (-3, 0)], [(1, 0), (0.1, 1)])
    first, second = chosen("knn", pool, 3)
    assert first.indices == [1, 0, 2]
    assert first.values == pytest.approx([0, math.sqrt(0.5), 1])
    assert second.indices == [2, 0, 1]


@pytest.mark.parametrize("center", ["none", "mean", "zscore"])
def test_knn_is_brute_force(center: str) -> None:
    rng = np.random.default_rng(0)
    examples = rng.normal(2, 3, size=(30, 5)).astype(np.float32)
    queries = rng.normal(2, 3, size=(7, 5)).astype(np.float32)
    found = chosen("knn", pool_of(examples.tolist(), queries.tolist()), 6, center=center)
    shift = examples.mean(0) if center != "none" else 0
    scale = examples.std(0) if center == "zscore" else 1
    near, far = (examples - shift) / scale, (queries - shift) / scale
    for query, selection in zip(far, found, strict=True):
        cosines = [e @ query / np.linalg.norm(e) / np.linalg.norm(query) for e in near]
        best = sorted(range(30), key=lambda i: cosines[i])[-6:]
        assert selection.indices == best
        assert selection.values == pytest.approx([cosines[i] for i in best], abs=1e-5)


@pytest.mark.parametrize("name", ["knn", "bm25"])
def test_of_equals_the_first_of_the_pool_is_next_to_the_query(name: str) -> None:
    pool = pool_of([(1, 0)] * 4, [(1, 0), (0, 0)])
    assert [each.indices for each in chosen(name, pool, 3)] == [[2, 1, 0]] * 2
    assert chosen(name, pool, 3, seed=1) == chosen(name, pool, 3)


@pytest.mark.parametrize("name", ["knn", "bm25"])
def test_a_pool_that_is_too_small_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="5 demonstrations were asked for, but the pool holds 4"):
        chosen(name, pool_of([(1, 0)] * 4, [(1, 0)]), 5)


def test_states_of_queries_are_a_stage_of_their_own() -> None:
    pool = pool_of([(1, 0), (0, 1)], [(1, 0)] * 3)
    chosen("knn", pool, 1)
    assert [(stage.read, stage.per_query) for stage in pool.stages] == [(2, False), (3, True)]
    with pytest.raises(ValueError, match="read-only"):
        pool.query_hidden[0, 0] = 1


TEXTS = [
    "the kettle sings and leaks", "The kettle, the kettle!", "a fine dull day", "it leaks", "...",
    "the day the kettle leaks is a fine day for the kettle",
]  # fmt: skip
QUERIES = ["the kettle leaks", "fine day, fine day", "zebra", "", "the"]


def lucene(query: str, texts: Sequence[str], k1: float, b: float) -> list[float]:
    """BM25 in Lucene's variant, word by word."""
    split = [re.findall(r"\w+", text.lower()) for text in texts]
    mean = sum(map(len, split)) / len(split)
    scores = []
    for text in split:
        score = 0.0
        for word in re.findall(r"\w+", query.lower()):
            df = sum(word in other for other in split)
            idf = math.log(1 + (len(split) - df + 0.5) / (df + 0.5))
            tf = text.count(word)
            score += idf * tf / (tf + k1 * (1 - b + b * len(text) / mean)) if tf else 0.0
        scores.append(score)
    return scores


@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.4), (1.2, 0.0), (0.0, 1.0)])
def test_bm25_is_its_formula(k1: float, b: float) -> None:
    pool = Pool([Example(text, WORDS, 0) for text in TEXTS], queries=QUERIES)
    found = chosen("bm25", pool, 4, k1=k1, b=b)
    for query, selection in zip(QUERIES, found, strict=True):
        scores = lucene(query, TEXTS, k1, b)
        best = sorted(range(len(TEXTS)), key=lambda i: (-round(scores[i], 9), i))[:4][::-1]
        assert selection.indices == best
        assert selection.values == pytest.approx([scores[i] for i in best])
    assert not pool.stages


def test_texts_without_words_have_no_scores() -> None:
    pool = Pool([Example("…", WORDS, 0)] * 3, queries=["so dull"])
    assert chosen("bm25", pool, 2) == [Selection([1, 0], [0.0, 0.0])]


@pytest.mark.parametrize("name", ["knn", "bm25"])
def test_a_job_of_it_runs(run: Command, tmp_path: Path, name: str) -> None:
    """Each query has demonstrations of its own; a record says which part serves single queries."""
    code, _, err = run(f"method={name}", "method.iterations=2", *SMALL)
    assert (code, err) == (0, "")
    ((_, record),) = stored(tmp_path)
    stages = record["selection"]["stages"]
    assert [stage.get("per_query", False) for stage in stages] == [False, True][: 2 * len(stages)]
    assert len(stages) == (2 if name == "knn" else 0)
    groups = record["demonstrations"]["groups"]
    assert sorted(place for group in groups for place in group["queries"]) == [*range(9)]
    if name == "knn":
        assert stages[1]["read"] == 9
        run(f"method={name}", "order=1", *SMALL)  # answers of the same queries are kept
        again = next(other for _, other in stored(tmp_path) if other["identity"]["order"] == 1)
        assert [stage["read"] for stage in again["selection"]["stages"]] == [0, 0]


def test_what_cannot_be_compared_is_refused(run: Command) -> None:
    for name in ("knn", "bm25"):
        code, _, err = run("task=mmlu", "task.members=[virology]", f"method={name}")
        assert_one_line(code, err, "has nothing to choose from")
