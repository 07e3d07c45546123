"""LENS (Li and Qiu 2023): filter by InfoScore, then search with feedback."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from deepthink.errors import UserError
from deepthink.selection.balance import Selection, check_count, classes, shares
from deepthink.selection.pool import Pool
from deepthink.selection.rules._lens_filter import progressive_filter
from deepthink.selection.rules._lens_search import Ordered, first_beam, neighbours, search, space
from deepthink.tasks.prediction import hits, predictions

_MOST = 100_000
AtLeastOne = Annotated[int, Field(ge=1, le=_MOST)] | None
NotNegative = Annotated[int, Field(ge=0, le=_MOST)]

FULL = {"kept": 500, "initial": 12, "validation": 100, "rounds": 10}
SMALL = {"kept": 50, "initial": 4, "validation": 50, "rounds": 2}


def within(size: int, budget: str, asked: Mapping[str, int | None]) -> dict[str, int]:
    """The numbers asked for, those left null from the budget: at most half of a pool is kept."""
    small = FULL["kept"] + FULL["validation"]
    base = FULL if budget == "full" or (budget == "auto" and size > small) else SMALL
    kept = min(base["kept"], size // 2)
    base = {**base, "kept": kept, "validation": min(base["validation"], size - kept)}
    return {name: base[name] if value is None else value for name, value in asked.items()}


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
    """Filter the pool to `kept` candidates, then search for a prompt that answers V best.

    Every example alone in a prompt is tried on a growing set of score examples, and those that
    help least are dropped (`initial` score examples, `growth`-fold more each round). Then a beam
    of prompts is improved: members are exchanged for informative ones unlike the rest, orders are
    shuffled, and the `beam` prompts of the highest accuracy on V, `validation` random examples of
    the pool outside the candidates, go on. The order of the result is the one that was found.

    budget: of the numbers left null. "full" has the sources' m = 500, |V| = 100 and 10 rounds of
    search, with the 12 score examples that suit a pool of 8,000 (their scripts set 4 to 20, and a
    growth of 3 for AG News); "small" about a tenth of that; "auto" takes the small one for a pool
    of 600 or fewer, of which 500 candidates and 100 others to validate on would filter nothing.
    infoscore, form, diversity (λ), top: as the released code, which z-scores and averages with
    λ = 4 and draws from the best 4; the paper prints prob, raw, 1 and 1. filter_seed: of score set
    and V, the same for all seeds as in the released code, so that they share the filter; the seed
    drives the search.
    log: the numbers used, the best number of right answers on V after each round.

    Raises:
        UserError: a pool too small for validation beside the candidates, or `kept` below `count`.
    """
    check_count(len(pool), count)
    asked = {
        "kept": kept,
        "initial": initial,
        "validation": validation,
        "rounds": rounds,
    }
    numbers = within(len(pool), budget, asked)
    if len(pool) < numbers["kept"] + numbers["validation"]:
        raise UserError(
            f"lens keeps {numbers['kept']} candidates and validates on {numbers['validation']} "
            f"others, but the pool holds {len(pool)}: raise pool_size, or lower "
            "method.selector.kept or validation"
        )
    balanced = balance == "equal"
    fixed = np.random.default_rng(filter_seed)
    filtered = progressive_filter(
        pool, numbers["kept"], growth, numbers["initial"], infoscore, balanced, fixed
    )
    candidates = filtered.candidates
    labels = pool.labels[candidates] if balanced else np.zeros(len(candidates), dtype=int)
    available = {label: len(members) for label, members in classes(labels).items()}
    if sum(available.values()) < count:
        raise UserError(f"lens keeps {len(candidates)} candidates: raise method.selector.kept")
    known = space(
        filtered.informativeness,
        filtered.contributions,
        labels,
        shares(available, count, balance),
        diversity,
        form,
    )
    outside = np.setdiff1d(np.arange(len(pool)), candidates)
    chosen_v = fixed.choice(outside, numbers["validation"], replace=False)
    questions = [pool.examples[i] for i in chosen_v]
    gold = pool.labels[chosen_v]
    width = beam * (1 + swaps + shuffles)

    def feedback(turn: int, prompts: Sequence[Ordered]) -> list[tuple[int, float]]:
        name = f"search {turn} of {numbers['rounds']}: ≤ {width} × {len(gold)}"
        with pool.stage(name, width * len(gold), bound=True):
            scores = pool.after(
                [candidates[list(prompt)].tolist() for prompt in prompts], questions
            )
        correct = [hits(questions, predictions(questions, rows)) for rows in scores]
        logs = np.log(pool.shared_out(scores))[:, np.arange(len(gold)), gold]
        return list(zip(correct, logs.mean(axis=1).tolist(), strict=True))

    begin = first_beam(known, beam, rng)
    best, trace = search(
        begin,
        numbers["rounds"],
        lambda chosen: neighbours(known, chosen, swaps, shuffles, top, rng),
        feedback,
    )
    log = {**numbers, "validation_correct": trace}
    return Selection(
        [int(candidates[i]) for i in best], filtered.informativeness[list(best)].tolist(), log
    )
