"""Choosing demonstrations class by class, and finding a rule by its file's name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from deepthink.errors import UserError
from deepthink.selection.pool import Pool

Balance = Literal["equal", "proportional", "none"]
Arrangement = Literal["shuffle", "picked", "class_block", "pool"]
Variant = Literal["paper", "reference_library"]


@dataclass(frozen=True)
class Selection:
    """Chosen demonstrations.

    indices: of the pool, in reading order; values: what the rule found in each when it chose it (a
    score, a distance, a gain), in the same order; log: whatever else the record should hold.
    """

    indices: list[int]
    values: list[float | None] | None = None
    log: dict[str, Any] = field(default_factory=dict)


class Select(Protocol):
    """A selector with its options bound."""

    def __call__(self, pool: Pool, count: int, rng: np.random.Generator) -> Selection | list[int]:
        """`count` demonstrations of the pool in reading order."""


Pick = Callable[
    [np.ndarray, int, np.random.Generator], tuple[Sequence[int], Sequence[float | None]]
]
"""A rule: of these members of the pool, the places of so many, best first, and their values."""


def classes(labels: np.ndarray) -> dict[int, np.ndarray]:
    """The pool indices of each class, by label."""
    return {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}


def by_class(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    balance: Balance,
    arrangement: Arrangement,
    pick: Pick,
) -> Selection:
    """Run a rule in every class, or once over all, and put what it picked in order.

    rng gives three streams that do not depend on each other: the rule's own, which starts anew in
    every class, and the arrangement's; so the arrangement of a seed is the same for all rules.
    """
    check_count(len(pool), count)
    order, own = rng.spawn(2)
    groups = {0: np.arange(len(pool))} if balance == "none" else classes(pool.labels)
    sizes = {label: len(members) for label, members in groups.items()}
    start = own.bit_generator.state
    picked: list[list[tuple[int, float | None]]] = []
    for label, share in shares(sizes, count, balance).items():
        own.bit_generator.state = start
        members = groups[label]
        places, values = pick(members, share, own) if share else ((), ())
        pairs = zip(places, values, strict=True)
        picked.append([(int(members[place]), value) for place, value in pairs])
    chosen = _arranged(picked, arrangement, order)
    return Selection([index for index, _ in chosen], [value for _, value in chosen])


def shares(sizes: Mapping[int, int], count: int, balance: Balance) -> dict[int, int]:
    """How many examples each class gives.

    What does not divide evenly goes to the lowest labels; what a class lacks, to the others. Of
    proportional shares, the largest remainders are rounded up.
    """
    total = sum(sizes.values())
    given = dict.fromkeys(sizes, 0)
    if balance == "proportional":
        given = {label: count * size // total for label, size in sizes.items()}
        rest = sorted(sizes, key=lambda label: -(count * sizes[label] % total))
        for label in rest[: count - sum(given.values())]:
            given[label] += 1
        return given
    while sum(given.values()) < count:
        open_ones = [label for label in sizes if given[label] < sizes[label]]
        for label in open_ones[: count - sum(given.values())]:
            given[label] += 1
    return given


def _arranged(
    picked: list[list[tuple[int, float | None]]], arrangement: Arrangement, rng: np.random.Generator
) -> list[tuple[int, float | None]]:
    blocks = [pair for group in picked for pair in group]
    if arrangement == "shuffle":
        return [blocks[i] for i in rng.permutation(len(blocks))]
    if arrangement == "picked":
        longest = max(map(len, picked))
        return [group[i] for i in range(longest) for group in picked if i < len(group)]
    if arrangement == "pool":
        return sorted(blocks, key=lambda pair: pair[0])
    return blocks


def check_count(size: int, count: int) -> None:
    """Raise UserError if a pool of this size holds fewer than `count` examples."""
    if count > size:
        raise UserError(
            f"{count} demonstrations were asked for, but the pool holds {size} examples: "
            "lower demonstrations.count"
        )
