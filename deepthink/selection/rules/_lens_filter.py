"""The first half of LENS: progressive filtering by InfoScore (Li and Qiu 2023, §3.1)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deepthink.selection.balance import classes
from deepthink.selection.pool import Pool


@dataclass(frozen=True)
class Filtered:
    """What is left of a pool.

    candidates: [m], indices into the pool, ascending.
    contributions: [m, |S|], how much each candidate helped each score example; 0 for itself.
    informativeness: [m], the mean over the score examples other than itself.
    """

    candidates: np.ndarray
    contributions: np.ndarray
    informativeness: np.ndarray


@dataclass(frozen=True)
class Round:
    """One round: the candidates, the new score examples for each, and how many each class keeps."""

    candidates: int
    new: int
    keeps: dict[int, int]


def plan(sizes: Mapping[int, int], kept: int, growth: float, initial: int) -> list[Round]:
    """The rounds that filter classes of these sizes down to `kept` examples, as many of each.

    In each round the score set, at first `initial` examples, grows by the factor `growth`, and the
    candidates shrink by the same factor, until `kept` are left. So each round costs about the same.
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
    """InfoScore c(e, e'): how much demonstration e helps the gold label of e'.

    scores: [E, Q, C], label scores after each demonstration; zero_shot: [Q, C]; gold: [Q].
    kind: "prob" is the gain in the gold label's probability, "loss_share" the drop in the gold
        label's part of the summed mean losses of all labels.

    Returns:
        [E, Q] float64.
    """

    def of_gold(values: np.ndarray) -> np.ndarray:
        picked: np.ndarray = values[..., np.arange(len(gold)), gold]
        return picked

    if kind == "prob":
        before, after = pool.label_probabilities(zero_shot), pool.label_probabilities(scores)
        gained: np.ndarray = of_gold(after) - of_gold(before)
        return gained

    def part_of_loss(values: np.ndarray) -> np.ndarray:
        losses = pool.losses(values)
        total = losses.sum(axis=-1, keepdims=True)
        return of_gold(losses / np.where(total > 0, total, 1))

    saved: np.ndarray = part_of_loss(zero_shot) - part_of_loss(scores)
    return saved


def progressive_filter(
    pool: Pool,
    kept: int,
    growth: float,
    initial: int,
    kind: str,
    balanced: bool,
    rng: np.random.Generator,
) -> Filtered:
    """Filter a pool by how much each example, alone in the prompt, helps the others."""
    labels = pool.labels if balanced else np.zeros_like(pool.labels)
    sizes = {label: len(members) for label, members in classes(labels).items()}
    rounds = plan(sizes, kept, growth, initial)
    permuted = rng.permutation(len(pool))[: sum(turn.new for turn in rounds)]
    scored = [pool.examples[i] for i in permuted]
    gold = pool.labels[permuted]
    with pool.stage(f"zero-shot: {len(scored)} score examples", len(scored)):
        zero_shot = pool.after([()], scored)[0]

    left, contributions = np.arange(len(pool)), np.empty((len(pool), 0))
    for number, turn in enumerate(rounds, start=1):
        new = slice(contributions.shape[1], contributions.shape[1] + turn.new)
        name = f"filter {number} of {len(rounds)}: {turn.candidates} × {turn.new}"
        if turn.new:
            with pool.stage(name, turn.candidates * turn.new):
                scores = pool.after([(int(i),) for i in left], scored[new])
            column = contribution(pool, scores, zero_shot[new], gold[new], kind)
            contributions = np.concatenate([contributions, column], axis=1)
        itself = left[:, None] == permuted[: contributions.shape[1]]
        contributions[itself] = 0
        means = contributions.sum(axis=1) / np.maximum((~itself).sum(axis=1), 1)
        best = np.sort(_best(means, labels[left], turn.keeps))
        left, contributions, means = left[best], contributions[best], means[best]
    return Filtered(left, contributions, means)


def _best(values: np.ndarray, labels: np.ndarray, keeps: Mapping[int, int]) -> np.ndarray:
    """The places of the highest values in each class; of equal ones, the first."""
    best = []
    for label, keep in keeps.items():
        members = np.flatnonzero(labels == label)
        best.append(members[np.argsort(-values[members], kind="stable")[:keep]])
    return np.concatenate(best)
