"""The second half of LENS: diversity-guided search with feedback (Li and Qiu 2023, §3.2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

Ordered = tuple[int, ...]
"""Candidates in reading order, each by its number among those that the filter left."""

Feedback = Callable[[int, Sequence[Ordered]], list[tuple[int, float]]]
"""From a round, counted from 1, and its prompts to how many validation examples each prompt gets
right, and minus the gold labels' mean loss, which decides between equals."""

_START_SETS, _START_ROUNDS, _START_BEAM, _START_SWAPS, _START_SHARED = 160, 20, 16, 16, 4


@dataclass(frozen=True)
class Space:
    """What the search knows of its m candidates without asking the model.

    informativeness: [m]; likeness: [m, m]; labels: [m], all 0 without balance.
    sizes: how many of each label a set has; diversity: λ.
    average: whether the likeness to several others is the mean, and not the sum.
    """

    informativeness: np.ndarray
    likeness: np.ndarray
    labels: np.ndarray
    sizes: Mapping[int, int]
    diversity: float
    average: bool

    def random_set(self, rng: np.random.Generator) -> Ordered:
        """A random set with the right number of each label, label after label."""
        parts = [
            rng.choice(np.flatnonzero(self.labels == label), size, replace=False)
            for label, size in self.sizes.items()
        ]
        return tuple(np.concatenate(parts).tolist())

    def set_scores(self, sets: Sequence[Ordered]) -> np.ndarray:
        """[len(sets)]: mean informativeness less λ times the mean likeness of all ordered pairs."""
        rows = np.array(sets)
        alike = self.likeness[rows[:, :, None], rows[:, None, :]].mean(axis=(1, 2))
        scores: np.ndarray = self.informativeness[rows].mean(axis=1) - self.diversity * alike
        return scores

    def others(self, chosen: Ordered, place: int) -> np.ndarray:
        """The candidates that may replace the one at a place: of its label, and not chosen."""
        allowed = self.labels == self.labels[chosen[place]]
        allowed[list(chosen)] = False
        return np.flatnonzero(allowed)

    def substitutes(self, chosen: Ordered, place: int) -> tuple[np.ndarray, np.ndarray]:
        """The candidates that may replace the one at a place, and their scores beside the rest."""
        stay = np.array([index for i, index in enumerate(chosen) if i != place], dtype=int)
        members = self.others(chosen, place)
        alike = self.likeness[np.ix_(members, stay)]
        penalty = alike.mean(axis=1) if self.average else alike.sum(axis=1)
        if not len(stay):
            penalty = np.zeros(len(members))
        return members, self.informativeness[members] - self.diversity * penalty

    def swapped(self, chosen: Ordered, place: int, index: int) -> Ordered:
        """The set in the same order, with another candidate at one place."""
        return (*chosen[:place], index, *chosen[place + 1 :])


def space(
    informativeness: np.ndarray,
    contributions: np.ndarray,
    labels: np.ndarray,
    sizes: Mapping[int, int],
    diversity: float,
    form: str,
) -> Space:
    """Candidates as the search compares them, by the cosine of their contributions [m, |S|].

    form: "zscored" brings informativeness and likeness to mean 0 and deviation 1 and averages over
        a set, as the released code does. "raw" takes both as they are and sums, as the paper says.
    """
    lengths = np.linalg.norm(contributions, axis=1, keepdims=True)
    units = contributions / np.where(lengths > 0, lengths, 1)
    likeness = units @ units.T
    if form == "zscored":
        informativeness, likeness = _standard(informativeness), _standard(likeness)
    return Space(informativeness, likeness, labels, sizes, diversity, form == "zscored")


def _standard(values: np.ndarray) -> np.ndarray:
    deviation = values.std(ddof=1) if values.size > 1 else 0
    standard: np.ndarray = (values - values.mean()) / (deviation if deviation > 0 else 1)
    return standard


def first_beam(space: Space, beam: int, rng: np.random.Generator) -> list[Ordered]:
    """`beam` sets to begin with, which are good by themselves and unlike each other.

    A beam search over swaps starts from random sets and does not ask the model. Of all sets that it
    saw, the best are taken that have few members in common with those taken before. Each is
    shuffled. If these are too few, random sets are added.
    """
    seen: dict[Ordered, float] = {}

    def look(sets: Sequence[Ordered]) -> None:
        new = list(dict.fromkeys(key for s in sets if (key := tuple(sorted(s))) not in seen))
        if new:
            seen.update(zip(new, space.set_scores(new).tolist(), strict=True))

    current = [space.random_set(rng) for _ in range(_START_SETS)]
    look(current)
    for _ in range(_START_ROUNDS):
        proposals = [
            swap
            for chosen in current
            for _ in range(_START_SWAPS)
            if (swap := _swap(space, chosen, rng))
        ]
        look(proposals)
        keys = {tuple(sorted(s)) for s in (*current, *proposals)}
        current = sorted(keys, key=lambda key: (-seen[key], key))[:_START_BEAM]

    taken: list[Ordered] = []
    union: set[int] = set()
    for key in sorted(seen, key=lambda key: (-seen[key], key)):
        if len(taken) == beam:
            break
        if len(union & set(key)) <= _START_SHARED:
            taken.append(key)
            union |= set(key)
    while len(taken) < beam:
        taken.append(space.random_set(rng))
    return [tuple(rng.permutation(chosen).tolist()) for chosen in taken]


def _swap(space: Space, chosen: Ordered, rng: np.random.Generator) -> Ordered | None:
    """The set with a random member replaced by another of its label; None if there is no other."""
    place = int(rng.integers(len(chosen)))
    members = space.others(chosen, place)
    return space.swapped(chosen, place, int(rng.choice(members))) if len(members) else None


def neighbours(
    space: Space, chosen: Ordered, swaps: int, shuffles: int, top: int, rng: np.random.Generator
) -> list[Ordered]:
    """Prompts near one of the beam, with one member exchanged or in another order.

    top: a substitute is drawn by softmax from this many with the highest scores; 1 takes the best.
    """
    swapped = []
    for _ in range(swaps):
        place = int(rng.integers(len(chosen)))
        members, scores = space.substitutes(chosen, place)
        if not len(members):
            continue
        best = np.argsort(-scores, kind="stable")[:top]
        index = int(rng.choice(members[best], p=softmax(scores[best])))
        swapped.append(space.swapped(chosen, place, index))
    return swapped + [tuple(rng.permutation(chosen).tolist()) for _ in range(shuffles)]


def search(
    beams: list[Ordered],
    iterations: int,
    propose: Callable[[Ordered], list[Ordered]],
    feedback: Feedback,
) -> tuple[Ordered, list[int]]:
    """In every iteration, keep the best prompts among the beam and those that it proposes.

    feedback: called once about every prompt. Ties go to the lower loss, then to the earlier prompt.

    Returns:
        The best prompt of the last beam, and after each iteration how many validation examples the
        best prompt gets right, which never falls.
    """
    known: dict[Ordered, tuple[int, float]] = {}
    width, trace = len(beams), []
    for iteration in range(1, iterations + 1):
        proposed = [prompt for chosen in beams for prompt in propose(chosen)]
        prompts = list(dict.fromkeys([*beams, *proposed]))
        new = [prompt for prompt in prompts if prompt not in known]
        known.update(zip(new, feedback(iteration, new), strict=True))
        beams = sorted(prompts, key=lambda prompt: known[prompt], reverse=True)[:width]
        trace.append(known[beams[0]][0])
    return beams[0], trace
