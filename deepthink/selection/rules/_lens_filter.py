"""LENS, first half: progressive filtering by InfoScore (Li and Qiu 2023, §3.1)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deepthink.selection.balance import classes
from deepthink.selection.pool import Pool


@dataclass(frozen=True)
class Filtered:
    """What is left of a pool.

    candidates: [m] pool indices, ascending; contributions: [m, |S|], what each candidate did for
    each score example, 0 for itself; informativeness: [m], the mean over the others.
    """

    candidates: np.ndarray
    contributions: np.ndarray
    informativeness: np.ndarray


@dataclass(frozen=True)
class Round:
    """So many new score examples for every candidate, of whom so many of each class are kept."""

    candidates: int
    new: int
    keeps: dict[int, int]


def plan(sizes: Mapping[int, int], kept: int, growth: float, initial: int) -> list[Round]:
    """The rounds that filter classes of these sizes down to `kept` examples, equally of each.

    The score set grows `growth`-fold from `initial` each round while the candidates shrink by as
    much, until they would be `kept` or fewer: so each round costs about the same.
    """
    total = nominal = sum(sizes.values())
    left, scored = dict(sizes), 0
    rounds: list[Round] = []
    while not rounds or nominal > kept:
        new = min(int(growth * scored) - scored if scored else initial, total - scored)
        nominal = max(int(nominal / growth), kept)
        keeps = {label: min(size, nominal // len(sizes)) for label, size in left.items()}
        rounds.append(Round(sum(left.values()), new, keeps))
        left, scored = keeps, scored + new
    return rounds


def contribution(
    pool: Pool, scores: np.ndarray, zero_shot: np.ndarray, gold: np.ndarray, kind: str
) -> np.ndarray:
    """InfoScore c(e, e'): what demonstration e does for the gold label of e'.

    scores: [E, Q, C] label scores after each demonstration; zero_shot: [Q, C]; gold: [Q]. kind:
    "prob", the gain in the gold label's probability; "loss_share", the drop of its share in the
    summed mean losses of all labels. Returns [E, Q].
    """

    def of_gold(values: np.ndarray) -> np.ndarray:
        return values[..., np.arange(len(gold)), gold]

    if kind == "prob":
        return of_gold(pool.shared_out(scores)) - of_gold(pool.shared_out(zero_shot))

    def share(values: np.ndarray) -> np.ndarray:
        losses = pool.losses(values)
        total = losses.sum(axis=-1, keepdims=True)
        return of_gold(losses / np.where(total > 0, total, 1))

    return share(zero_shot) - share(scores)


def progressive_filter(
    pool: Pool,
    kept: int,
    growth: float,
    initial: int,
    kind: str,
    balanced: bool,
    rng: np.random.Generator,
) -> Filtered:
    """Filter a pool by how much each example, alone in the prompt, helps others."""
    labels = pool.labels if balanced else np.zeros_like(pool.labels)
    sizes = {label: len(members) for label, members in classes(labels).items()}
    rounds = plan(sizes, kept, growth, initial)
    permuted = rng.permutation(len(pool))[: sum(one.new for one in rounds)]
    scored = [pool.examples[i] for i in permuted]
    gold = pool.labels[permuted]
    with pool.stage(f"zero-shot: {len(scored)} score examples", len(scored)):
        zero_shot = pool.after([()], scored)[0]

    left, found = np.arange(len(pool)), np.empty((len(pool), 0))
    for number, one in enumerate(rounds, start=1):
        new = slice(found.shape[1], found.shape[1] + one.new)
        name = f"filter {number} of {len(rounds)}: {one.candidates} × {one.new}"
        if one.new:
            with pool.stage(name, one.candidates * one.new):
                scores = pool.after([(int(i),) for i in left], scored[new])
            column = contribution(pool, scores, zero_shot[new], gold[new], kind)
            found = np.concatenate([found, column], axis=1)
        itself = left[:, None] == permuted[: found.shape[1]]
        found[itself] = 0
        means = found.sum(axis=1) / np.maximum((~itself).sum(axis=1), 1)
        best = np.sort(_best(means, labels[left], one.keeps))
        left, found, means = left[best], found[best], means[best]
    return Filtered(left, found, means)


def _best(values: np.ndarray, labels: np.ndarray, keeps: Mapping[int, int]) -> np.ndarray:
    """Places of the highest values of each class, the first of equals."""
    best = []
    for label, keep in keeps.items():
        members = np.flatnonzero(labels == label)
        best.append(members[np.argsort(-values[members], kind="stable")[:keep]])
    return np.concatenate(best)
