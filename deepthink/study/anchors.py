"""Rows of the pool from which a readout learns: drawn by the seed, and encoded as queries are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from deepthink.config.job import Config
from deepthink.errors import UserError
from deepthink.models.loading import LM
from deepthink.selection.balance import classes, shares
from deepthink.structures import Splits, Tokens
from deepthink.study.prompting import Prompts, further


@dataclass(frozen=True)
class Rows:
    """Prompts as token ids, which a readout asks about.

    queries: what stands behind the demonstrations. candidates: the ids of each one's candidates.
    labels: [n] int, the index of each one's right candidate; empty for what is to be predicted.

    >>> len(Rows([[5, 6], [7]], [[[1], [2]]] * 2))
    2
    """

    queries: Sequence[Tokens]
    candidates: Sequence[Sequence[Tokens]]
    labels: np.ndarray = field(default_factory=lambda: np.empty(0, int))

    def __len__(self) -> int:
        return len(self.queries)


def anchors(lm: LM, group: Prompts, splits: Splits, config: Config, count: int) -> Rows:
    """At most `count` labelled rows of the pool that fit behind a group's demonstrations.

    Raises:
        UserError: no row is left.
    """
    indices = drawn(splits, group.selection.indices, count, config.seed)
    encoded = further(lm, group, [splits.pool[i] for i in indices], config) if indices else None
    sizes = encoded.sizes if encoded else []
    room = None if lm.positions is None else lm.positions - len(group.encoded.demonstrations)
    fitting = [place for place, size in enumerate(sizes) if room is None or size <= room]
    if encoded is None or not fitting:
        raise UserError(
            f"readout {config.method.readout['name']} learns from rows of the pool that are not "
            "shown, and none is left that fits behind the demonstrations: raise pool_size, or show "
            "fewer"
        )
    return Rows(
        [encoded.queries[place] for place in fitting],
        [encoded.candidates[place] for place in fitting],
        np.array([splits.pool[indices[place]].label for place in fitting]),
    )


def drawn(splits: Splits, demonstrations: Sequence[int], count: int, seed: int) -> list[int]:
    """Indices of at most `count` rows of the pool, as many of each label as there are.

    None is one of the demonstrations or has the text of one, or that of a dev or test row. All
    draws of a seed take the rows in one order, so more of them hold those that fewer hold.
    """
    scored = {example.text for _, part in splits.scored() for example in part}
    hidden = scored | {splits.pool[i].text for i in demonstrations}
    order = np.random.default_rng([seed, 2]).permutation(len(splits.pool))
    free = np.array([i for i in order if splits.pool[i].text not in hidden], dtype=int)
    of_class = classes(np.array([splits.pool[i].label for i in free]))
    sizes = {label: len(members) for label, members in of_class.items()}
    given = shares(sizes, min(count, len(free)), "equal")
    return [int(free[place]) for place in _in_turn(of_class, given)]


def _in_turn(of_class: dict[int, np.ndarray], given: dict[int, int]) -> Iterator[int]:
    """The first so many members of each class, one class after the other."""
    for label, members in of_class.items():
        yield from members[: given[label]].tolist()
