"""LENS: InfoScore by definition, the filter's plan and counts, the search's properties."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import ArrayLike
from pools import made, select

from deepthink.errors import UserError
from deepthink.selection.pool import Pool
from deepthink.selection.rules import _lens_search as lens_search
from deepthink.selection.rules._lens_filter import Filtered, contribution, plan, progressive_filter
from deepthink.selection.rules._lens_search import Space
from deepthink.selection.rules.lens import within
from deepthink.structures import Example

TREC = (86, 1250, 1162, 1223, 835, 896)


def equal(size: int, classes: int) -> dict[int, int]:
    return {c: size // classes + (c < size % classes) for c in range(classes)}


@pytest.mark.parametrize(
    ("sizes", "growth", "initial", "pairs", "scored"),
    [
        (equal(67349, 2), 2, 14, 4_242_322, 1792),  # SST2
        (equal(8544, 5), 2, 11, 281_424, 176),  # SST5
        (dict(enumerate(TREC)), 2, 20, 257_080, 160),  # TREC, whose smallest class runs out
        (equal(8530, 2), 2, 11, 281_358, 176),  # MR
        (equal(30000, 4), 3, 4, 359_744, 108),  # AG News as the LENS authors read it
    ],
)
def test_the_plan_reads_what_the_authors_scripts_read(
    sizes: dict[int, int], growth: int, initial: int, pairs: int, scored: int
) -> None:
    rounds = plan(sizes, 500, growth, initial)
    assert sum(one.candidates * one.new for one in rounds) == pairs
    assert sum(one.new for one in rounds) == scored
    assert sum(rounds[-1].keeps.values()) == (498 if sizes[0] == 86 else 500)


def test_the_plan_of_a_small_pool() -> None:
    (only,) = plan(equal(60, 2), 50, 2, 4)
    assert (only.candidates, only.new, only.keeps) == (60, 4, {0: 25, 1: 25})
    rounds = plan(equal(300, 2), 50, 2, 4)
    assert [(one.candidates, one.new) for one in rounds] == [(300, 4), (150, 4), (74, 8)]


def test_infoscore_by_definition() -> None:
    # one demonstration, one example, labels of 1 and 2 tokens, gold the second
    with_it, without = np.array([[[-1.0, -1.0]]]), np.array([[-1.0, -3.0]])
    gold, pool = np.array([1]), made([0, 1], answer_tokens=[1, 2])
    p_with, p_without = 1 / 2, math.exp(-3) / (math.exp(-1) + math.exp(-3))
    found = contribution(pool, with_it, without, gold, "prob")
    assert found == pytest.approx(np.array([[p_with - p_without]]))
    # mean losses 1 and 1.5 without it, 1 and .5 with it: the gold share falls from .6 to 1/3
    found = contribution(pool, with_it, without, gold, "loss_share")
    assert found == pytest.approx(np.array([[0.6 - 1 / 3]]))


@pytest.mark.parametrize("kind", ["prob", "loss_share"])
def test_infoscore_over_all_labels_adds_up_to_nothing(kind: str) -> None:
    rng = np.random.default_rng(0)
    scores, zero = -rng.random((4, 5, 3)), -rng.random((5, 3))
    pool = made([0, 1, 2], answer_tokens=[1, 2, 1])
    every = [contribution(pool, scores, zero, np.full(5, label), kind) for label in range(3)]
    assert sum(every) == pytest.approx(np.zeros((4, 5)), abs=1e-12)
    assert np.abs(every).max() <= 1


def indifferent(shown: list[Example], query: Example) -> list[float]:
    return [-1.0, -1.0]


def helpful(
    helpers: set[str], bonus: float = 1.0
) -> Callable[[Sequence[Example], Example], list[float]]:
    """A model whose gold label gains by every helper that is shown."""

    def after(shown: list[Example], query: Example) -> list[float]:
        scores = [-1.5, -1.5]
        scores[query.label] += bonus * sum(example.text in helpers for example in shown)
        return scores

    return after


def filtered(pool: Pool, kept: int = 10, **kwargs: bool) -> Filtered:
    arguments = {"growth": 2, "initial": 4, "kind": "loss_share", "balanced": True} | kwargs
    return progressive_filter(pool, kept, rng=np.random.default_rng(100), **arguments)


def test_where_context_changes_nothing_the_first_are_kept() -> None:
    pool = made(np.arange(40) % 2, after=indifferent)
    found = filtered(pool)
    assert found.contributions == pytest.approx(0)
    assert found.candidates.tolist() == list(range(10))


def test_what_helps_survives() -> None:
    pool = made(np.arange(80) % 2, after=helpful({"61", "70"}))
    found = filtered(pool)
    assert {61, 70} <= set(found.candidates.tolist())
    best = found.candidates[np.argsort(-found.informativeness, kind="stable")[:2]]
    assert set(best.tolist()) == {61, 70}


def test_the_filter_reads_what_was_planned() -> None:
    pool = made(np.arange(80) % 2, after=indifferent)
    filtered(pool)
    rounds = plan(equal(80, 2), 10, 2, 4)
    counts = [one.candidates * one.new for one in rounds]
    assert [stage.read for stage in pool.stages] == [sum(one.new for one in rounds), *counts]
    assert [stage.predicted for stage in pool.stages] == [stage.read for stage in pool.stages]


def test_helping_itself_is_no_merit() -> None:
    """An example that answers only itself ranks as one that answers nothing."""

    def selfish(shown: list[Example], query: Example) -> list[float]:
        own = any(example.text == query.text for example in shown)
        scores = [-1.5, -1.5]
        scores[query.label] += 1.4 * own
        return scores

    found = filtered(made(np.arange(40) % 2, after=selfish))
    assert found.contributions == pytest.approx(0)
    assert found.candidates.tolist() == list(range(10))


def test_without_balance_only_merit_counts() -> None:
    helpers = {str(i) for i in range(0, 20, 2)}  # all of class 0
    pool = made(np.arange(40) % 2, after=helpful(helpers))
    assert set(filtered(pool, balanced=False).candidates.tolist()) == set(range(0, 20, 2))
    assert np.bincount(pool.labels[filtered(pool).candidates]).tolist() == [5, 5]


# the search


def space_of(
    contributions: ArrayLike,
    labels: np.ndarray | None = None,
    sizes: dict[int, int] | None = None,
    diversity: float = 1.0,
    form: str = "raw",
) -> Space:
    contributions = np.asarray(contributions, float)
    labels = np.zeros(len(contributions), dtype=int) if labels is None else np.asarray(labels)
    sizes = sizes or {0: 2}
    return lens_search.space(
        contributions.mean(axis=1), contributions, labels, sizes, diversity, form
    )


def test_a_substitute_is_scored_as_the_paper_prints() -> None:
    found = space_of([[1, 0], [0, 1], [1, 1], [2, 0]], sizes={0: 2}, diversity=0.5)
    members, scores = found.substitutes((0, 1), 1)  # beside 0, in the place of 1
    assert members.tolist() == [2, 3]
    cosine = 1 / math.sqrt(2)
    assert scores == pytest.approx([1 - 0.5 * cosine, 1 - 0.5 * 1])


def test_zscored_penalties_are_means() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 4))
    found = space_of(rows, sizes={0: 3}, diversity=4.0, form="zscored")
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    likeness = unit @ unit.T
    likeness = (likeness - likeness.mean()) / likeness.std(ddof=1)
    merit = rows.mean(axis=1)
    merit = (merit - merit.mean()) / merit.std(ddof=1)
    members, scores = found.substitutes((0, 1, 2), 0)
    expected = [merit[m] - 4 * likeness[m, [1, 2]].mean() for m in members]
    assert scores == pytest.approx(expected)
    pairs = np.mean([likeness[a, b] for a in (0, 1, 2) for b in (0, 1, 2)])
    assert found.set_scores([(0, 1, 2)]) == pytest.approx([merit[:3].mean() - 4 * pairs])


def test_a_large_penalty_never_takes_a_duplicate() -> None:
    """1 and 3 are as informative; 3 is the same as 0, and 1 unlike it."""
    rows = [[1, 0], [0, 1], [0, 0.1], [1, 0]]
    rng = np.random.default_rng(0)
    wide, none = (space_of(rows, diversity=d) for d in (100.0, 0.0))
    swaps = {p for _ in range(50) for p in lens_search.neighbours(wide, (0, 2), 4, 0, 1, rng)}
    assert (0, 3) not in swaps
    assert (0, 1) in swaps
    members, scores = none.substitutes((0, 2), 1)
    assert dict(zip(members.tolist(), scores.tolist(), strict=True)) == {1: 0.5, 3: 0.5}


def test_the_search_keeps_labels_balanced_and_never_gets_worse() -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(20) % 2
    found = space_of(rng.normal(size=(20, 5)), labels, {0: 2, 1: 2}, form="zscored")
    asked = []

    def feedback(iteration: int, prompts: list[tuple[int, ...]]) -> list[tuple[int, float]]:
        asked.extend(prompts)
        return [(hash(p) % 100_003, 0.0) for p in prompts]

    def propose(chosen: tuple[int, ...]) -> list[tuple[int, ...]]:
        return lens_search.neighbours(found, chosen, 6, 2, 4, rng)

    best, trace = lens_search.search(lens_search.first_beam(found, 8, rng), 6, propose, feedback)
    assert len(trace) == 6
    assert all(a <= b for a, b in pairwise(trace))
    assert hash(best) % 100_003 == trace[-1] == max(hash(p) % 100_003 for p in asked)
    assert len(set(asked)) == len(asked)  # no prompt twice
    assert len(asked) <= 72 * 6
    for prompt in asked:
        assert np.bincount(labels[list(prompt)]).tolist() == [2, 2]
        assert len(set(prompt)) == 4


def test_ties_on_validation_go_to_the_lower_loss() -> None:
    def feedback(iteration: int, prompts: list[tuple[int, ...]]) -> list[tuple[int, float]]:
        return [(7, -1.0 - prompt[0]) for prompt in prompts]

    best, _ = lens_search.search([(3, 0), (1, 0), (2, 0)], 1, lambda _: [], feedback)
    assert best == (1, 0)


def test_the_first_sets_are_good_by_themselves_and_different() -> None:
    rng = np.random.default_rng(0)
    merit = np.linspace(0, 1, 30)[:, None] * np.ones((30, 4)) + 0.05 * rng.normal(size=(30, 4))
    found = space_of(merit, sizes={0: 6}, diversity=0.0)
    beams = lens_search.first_beam(found, 3, rng)
    best = np.argsort(-merit.mean(axis=1))[:6]
    assert set(beams[0]) == set(best.tolist())  # the six best when likeness costs nothing
    assert len(set(beams[0]) & set(beams[1])) <= 4
    assert len(beams) == 3


# the whole


def test_lens_returns_a_prompt_that_validates_best() -> None:
    """Whoever is shown one of two helpers answers everything."""
    pool = made(np.arange(200) % 2, after=helpful({"12", "33"}))
    found = select("lens", pool, 4, balance="equal")
    assert {12, 33} & set(found.indices)
    assert np.bincount(pool.labels[found.indices]).tolist() == [2, 2]
    assert found.log["validation_correct"][-1] == 50
    assert found.log["kept"] == 50


def test_lens_is_the_same_for_the_same_seed_and_shares_its_filter_over_seeds() -> None:
    pools = [made(np.arange(200) % 2, after=helpful({"12"})) for _ in range(3)]
    first, again, other = (
        select("lens", pool, 4, seed) for pool, seed in zip(pools, (0, 0, 1), strict=True)
    )
    assert first == again
    assert first.indices != other.indices
    filters = [[s for s in pool.stages if s.name.startswith("filter")] for pool in pools]
    assert [s.name for s in filters[0]] == [s.name for s in filters[2]]


def test_lens_validates_outside_its_candidates() -> None:
    asked = []

    def spying(shown: list[Example], query: Example) -> list[float]:
        if len(shown) == 4:
            asked.append((frozenset(e.text for e in shown), query.text))
        return [-1.0, -1.0]

    select("lens", made(np.arange(200) % 2, after=spying), 4)
    shown = set().union(*(texts for texts, _ in asked))
    questions = {text for _, text in asked}
    assert not shown & questions
    assert len(questions) == 50


def test_stages_of_lens_say_what_they_were_foreseen_to_read() -> None:
    pool = made(np.arange(300) % 2, after=indifferent)
    select("lens", pool, 8, balance="equal")
    assert [stage.predicted for stage in pool.stages] == [
        16,
        300 * 4,
        150 * 4,
        74 * 8,
        72 * 50,
        72 * 50,
    ]
    assert all(stage.read == stage.predicted for stage in pool.stages if not stage.bound)
    assert all(stage.read <= stage.predicted for stage in pool.stages if stage.bound)


def test_budgets_by_hand() -> None:
    null = dict.fromkeys(("kept", "initial", "validation", "rounds"))
    assert within(67349, "auto", null) == {
        "kept": 500,
        "initial": 12,
        "validation": 100,
        "rounds": 10,
    }
    assert within(300, "auto", null)["kept"] == 50
    assert within(60, "auto", null) == {
        "kept": 30,
        "initial": 4,
        "validation": 30,
        "rounds": 2,
    }
    assert within(300, "full", {**null, "validation": 40})["validation"] == 40


def test_a_pool_too_small_is_told() -> None:
    pool = made(np.arange(40) % 2, after=indifferent)
    with pytest.raises(UserError, match="the pool holds 40"):
        select("lens", pool, 4, kept=20, validation=50)
    with pytest.raises(UserError, match=r"method\.selector\.kept"):
        select("lens", pool, 8, kept=4, validation=4)


def test_best_random_keeps_the_best_on_dev_and_begins_with_vanillas_set() -> None:
    pool = made(np.arange(40) % 2)
    dev = pool.examples[:10]
    pool = made(np.arange(40) % 2, dev=dev, after=helpful({"7"}))
    found = select("best_random", pool, 8, balance="equal", sets=20)
    tried = found.log["sets"]
    assert tried[0]["indices"] == select("random", pool, 8, balance="equal").indices
    best = max(one["dev_correct"] for one in tried)
    first = next(one for one in tried if one["dev_correct"] == best)
    assert found.indices == first["indices"]
    assert 7 in found.indices
    assert pool.stages[0].read == 200
    with pytest.raises(UserError, match="dev_size=0"):
        select("best_random", made(np.arange(40) % 2, after=indifferent), 8)
