"""The demonstrations of a job, in reading order: one group for all queries, or one for each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import index

import numpy as np

from deepthink.config.job import Config
from deepthink.errors import UserError
from deepthink.plugins import RULES
from deepthink.selection.balance import Selection, check_count
from deepthink.selection.pool import Pool


@dataclass(frozen=True)
class Group:
    """Demonstrations, and the queries that are read after them, by place in `pool.queries`."""

    selection: Selection
    queries: tuple[int, ...]


def choose(pool: Pool, config: Config) -> tuple[Group, ...]:
    """The demonstrations in reading order: chosen by `seed`, permuted by `order`.

    A rule returns one choice for all queries, or a list of one for each query of the pool; queries
    with the same demonstrations in the same order make one group. Of given demonstrations, which
    are not chosen, the first `config.count` are shown to all.
    """
    check_count(len(pool), config.count)
    every = tuple(range(len(pool.queries)))
    if config.task.given:
        return (Group(_permuted(Selection(list(range(config.count))), config), every),)
    select = RULES.load(config.method.selector, config.plugins)
    chosen = select(pool, config.count, np.random.default_rng([config.seed, 0]))
    if not (isinstance(chosen, Sequence) and any(isinstance(c, Selection) for c in chosen)):
        return (Group(_permuted(_checked(chosen, pool, config), config), every),)
    name = config.method.selector["name"]
    if len(chosen) != len(every):
        raise UserError(
            f"selector {name} returned {len(chosen)} selections for {len(every)} queries: it must "
            "return one for each, or one for all"
        )
    groups: dict[tuple[int, ...], tuple[Selection, list[int]]] = {}
    for query, choice in enumerate(chosen):
        selection = _permuted(_checked(choice, pool, config), config)
        groups.setdefault(tuple(selection.indices), (selection, []))[1].append(query)
    return tuple(Group(selection, tuple(queries)) for selection, queries in groups.values())


def _checked(choice: Selection | list[int], pool: Pool, config: Config) -> Selection:
    """What a rule returned, if it is so many different examples of the pool."""
    selection = choice if isinstance(choice, Selection) else Selection(choice)
    try:
        indices = [index(i) for i in selection.indices]
    except TypeError:
        indices = []
    if not len(set(indices)) == len(indices) == config.count or not set(indices) <= set(
        range(len(pool))
    ):
        name = config.method.selector["name"]
        raise UserError(f"selector {name} did not return {config.count} different pool indices")
    return replace(selection, indices=indices)


def _permuted(chosen: Selection, config: Config) -> Selection:
    if not config.order:
        return chosen
    rng = np.random.default_rng([config.draw, config.order])
    places = rng.permutation(len(chosen.indices))
    values = chosen.values and [chosen.values[i] for i in places]
    return replace(chosen, indices=[chosen.indices[i] for i in places], values=values)
