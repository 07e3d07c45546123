"""LENS (Li and Qiu 2023): filter by InfoScore, then search with feedback.

Every example alone in a prompt is tried on a growing set of score examples, and those that help
least are dropped (at first `initial` score examples, then `growth` times as many in each round).
Then a beam of prompts is improved: members are exchanged for informative ones unlike the rest, and
orders are shuffled. The `beam` prompts with the highest accuracy on V go on, which are `validation`
random examples of the pool outside the candidates. The result keeps the order of the best prompt.

budget: gives the numbers that are null. "full" has the sources' m = 500, |V| = 100 and 10 rounds of
    search, with the 12 score examples that suit a pool of 8,000 (their scripts set 4 to 20, and a
    growth of 3 for AG News). "small" has about a tenth of that. "auto" takes the small one for a
    pool of 600 or fewer, where 500 candidates and 100 others to validate on would filter nothing.
infoscore, form, diversity (λ), top: as the released code, which z-scores and averages with λ = 4
    and draws from the best 4. The paper prints prob, raw, 1 and 1.
filter_seed: of the score set and V. It is the same for all seeds, as in the released code, so that
    they have the filter in common; the seed drives the search.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from deepthink.errors import UserError
from deepthink.selection.balance import Selection, check_count, classes, shares
from deepthink.selection.pool import Pool
from deepthink.selection.rules._lens_filter import Filtered, progressive_filter
from deepthink.selection.rules._lens_search import (
    Feedback,
    Ordered,
    Space,
    first_beam,
    neighbours,
    search,
    space,
)
from deepthink.tasks.prediction import hits, predictions

_MOST = 100_000
AtLeastOne = Annotated[int, Field(ge=1, le=_MOST)] | None
NotNegative = Annotated[int, Field(ge=0, le=_MOST)]

FULL = {"kept": 500, "initial": 12, "validation": 100, "rounds": 10}
SMALL = {"kept": 50, "initial": 4, "validation": 50, "rounds": 2}


def within(size: int, budget: str, given: Mapping[str, int | None]) -> dict[str, int]:
    """The given numbers, and those of the budget for null: at most half of a pool is kept.

    >>> within(300, "auto", {"kept": None, "rounds": 7})
    {'kept': 50, 'rounds': 7}
    """
    small = FULL["kept"] + FULL["validation"]
    base = FULL if budget == "full" or (budget == "auto" and size > small) else SMALL
    kept = min(base["kept"], size // 2)
    base = {**base, "kept": kept, "validation": min(base["validation"], size - kept)}
    return {name: base[name] if value is None else value for name, value in given.items()}


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    budget: Literal["auto", "full", "small"],
    kept: AtLeastOne,
    initial: AtLeastOne,
    growth: Annotated[float, Field(gt=1)],
    infoscore: Literal["loss_share", "prob"],
    filter_seed: Annotated[int, Field(ge=0)],
    validation: AtLeastOne,
    rounds: NotNegative | None,
    beam: Annotated[int, Field(ge=1, le=_MOST)],
    swaps: NotNegative,
    shuffles: NotNegative,
    top: Annotated[int, Field(ge=1)],
    diversity: float,
    form: Literal["zscored", "raw"],
    balance: Literal["equal", "none"],
) -> Selection:
    """Filter the pool to `kept` candidates, then search for the prompt that answers V best.

    log: the numbers used, and the best number of right answers on V after each round.

    Not measured: budget, kept, initial, growth, infoscore, filter_seed, validation, rounds, beam,
    swaps, shuffles, top, diversity, form, balance.

    Raises:
        UserError: a pool too small for validation beside the candidates, or `kept` below `count`.
    """
    check_count(len(pool), count)
    given = {"kept": kept, "initial": initial, "validation": validation, "rounds": rounds}
    numbers = within(len(pool), budget, given)
    _check_room(len(pool), numbers)
    fixed = np.random.default_rng(filter_seed)
    filtered = progressive_filter(
        pool, numbers["kept"], growth, numbers["initial"], infoscore, balance == "equal", fixed
    )
    candidates = filtered.candidates
    known = _space(pool, filtered, count, balance, diversity, form)
    outside = np.setdiff1d(np.arange(len(pool)), candidates)
    chosen_v = fixed.choice(outside, numbers["validation"], replace=False)
    width = beam * (1 + swaps + shuffles)
    best, trace = search(
        first_beam(known, beam, rng),
        numbers["rounds"],
        lambda prompt: neighbours(known, prompt, swaps, shuffles, top, rng),
        _feedback(pool, candidates, chosen_v, numbers["rounds"], width),
    )
    log = {**numbers, "validation_correct": trace}
    return Selection(
        [int(candidates[i]) for i in best], filtered.informativeness[list(best)].tolist(), log
    )


def _check_room(size: int, numbers: Mapping[str, int]) -> None:
    if size < numbers["kept"] + numbers["validation"]:
        raise UserError(
            f"lens keeps {numbers['kept']} candidates and validates on {numbers['validation']} "
            f"others, but the pool holds {size}: raise pool_size, or lower "
            "method.selector.kept or validation"
        )


def _space(
    pool: Pool,
    filtered: Filtered,
    count: int,
    balance: Literal["equal", "none"],
    diversity: float,
    form: str,
) -> Space:
    """The candidates that the filter left, as the search compares them."""
    labels = pool.labels[filtered.candidates]
    if balance == "none":
        labels = np.zeros_like(labels)
    available = {label: len(members) for label, members in classes(labels).items()}
    if len(labels) < count:
        raise UserError(f"lens keeps {len(labels)} candidates: raise method.selector.kept")
    sizes = shares(available, count, balance)
    return space(filtered.informativeness, filtered.contributions, labels, sizes, diversity, form)


def _feedback(
    pool: Pool, candidates: np.ndarray, validation: np.ndarray, rounds: int, width: int
) -> Feedback:
    """How the model judges prompts: right answers on V, then the gold labels' log-probability.

    validation: V, as indices into the pool; width: the most prompts of a round.
    """
    questions = [pool.examples[i] for i in validation]
    gold = pool.labels[validation]

    def feedback(turn: int, prompts: Sequence[Ordered]) -> list[tuple[int, float]]:
        name = f"search {turn} of {rounds}: ≤ {width} × {len(gold)}"
        with pool.stage(name, width * len(gold), bound=True):
            scores = pool.after(
                [candidates[list(prompt)].tolist() for prompt in prompts], questions
            )
        correct = [hits(questions, predictions(questions, rows)) for rows in scores]
        logs = np.log(pool.label_probabilities(scores))[:, np.arange(len(gold)), gold]
        return list(zip(correct, logs.mean(axis=1).tolist(), strict=True))

    return feedback
