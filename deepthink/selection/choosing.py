"""The demonstrations of a job, in reading order: one group for all queries, or one for each.

Where demonstrations are read in several orders, there is a group for each order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepthink.config.job import Config
from deepthink.errors import UserError, shown
from deepthink.options import plain
from deepthink.plugins import RULES
from deepthink.selection.balance import Selection, check_count
from deepthink.selection.pool import Pool


@dataclass(frozen=True)
class Group:
    """Demonstrations in one order, and the queries read after them, by place in `pool.queries`."""

    selection: Selection
    queries: tuple[int, ...]


def choose(pool: Pool, config: Config) -> tuple[Group, ...]:
    """The demonstrations in reading order: chosen by `seed`, permuted by `order`.

    A rule returns one choice for all queries, or a list of one for each query of the pool; queries
    with the same demonstrations in the same order make one group. Of given demonstrations, which
    are not chosen, the first `config.count` are shown to all.

    With P = config.method.orders each choice makes P groups, one behind the other: those that
    `order`, `order` + 1, … `order` + P - 1 read. Few demonstrations have few permutations. One that
    comes twice is read twice, and counts twice, as it does in the mean over those runs.
    """
    orders = range(config.order, config.order + config.method.orders)
    return tuple(
        Group(_permuted(selection, config.draw, order), queries)
        for selection, queries in _chosen(pool, config)
        for order in orders
    )


def _chosen(pool: Pool, config: Config) -> list[tuple[Selection, tuple[int, ...]]]:
    """Each choice in the rule's own order, with the places of its queries."""
    check_count(len(pool), config.count)
    every = tuple(range(len(pool.queries)))
    if config.task.given:
        return [(Selection(list(range(config.count))), every)]
    select = RULES.load(config.method.selector, config.plugins)
    chosen = select(pool, config.count, np.random.default_rng([config.seed, 0]))
    if isinstance(chosen, Iterator):
        chosen = list(chosen)
    if not (isinstance(chosen, Sequence) and any(isinstance(c, Selection) for c in chosen)):
        return [(_checked(chosen, pool, config), every)]
    name = config.method.selector["name"]
    if len(chosen) != len(every):
        raise UserError(
            f"selector {name} returned {len(chosen)} selections for {len(every)} queries: it must "
            "return one for each, or one for all"
        )
    groups: dict[tuple[int, ...], tuple[Selection, list[int]]] = {}
    for query, choice in enumerate(chosen):
        selection = _checked(choice, pool, config)
        groups.setdefault(tuple(selection.indices), (selection, []))[1].append(query)
    return [(selection, tuple(queries)) for selection, queries in groups.values()]


def _checked(choice: Any, pool: Pool, config: Config) -> Selection:
    """What a rule returned, in plain values, if it is so many different examples of the pool.

    UserError for anything else, and for values or notes that a record cannot hold.
    """
    name = f"selector {config.method.selector['name']}"
    selection = choice if isinstance(choice, Selection) else Selection(choice)
    indices = _listed(selection.indices)
    whole = all(isinstance(i, int) and not isinstance(i, bool) for i in indices)
    if not (whole and len(indices) == len({*indices} & {*range(len(pool))}) == config.count):
        raise UserError(
            f"{name} must return {config.count} different pool indices, from 0 to {len(pool) - 1}, "
            f"or a list of one Selection for each query, not {shown(choice)}"
        )
    values, log = _unwrapped(selection.values), _unwrapped(selection.log)
    if values is not None and (not isinstance(values, list) or len(values) != len(indices)):
        raise UserError(f"{name} must return a value for each of its indices, not {shown(values)}")
    if not isinstance(log, dict):
        raise UserError(f"{name} must keep its notes in a dict, not {shown(log)}")
    for value in values or ():
        if not (value is None or isinstance(value, int | float)):
            raise UserError(f"{name} returns the value {shown(value)}, which is no number")
    return Selection(indices, plain(values, f"values of {name}"), plain(log, f"log of {name}"))


def _listed(indices: Any) -> list[Any]:
    """The indices in a list, those of an array as plain numbers; empty for what holds none."""
    if isinstance(indices, str | Mapping) or not isinstance(indices, Iterable):
        return []
    return [_unwrapped(index) for index in indices]


def _unwrapped(value: Any) -> Any:
    """The numbers of arrays and tensors as plain numbers, in lists and dicts too."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _unwrapped(item) for key, item in value.items()}
    return [*map(_unwrapped, value)] if isinstance(value, list | tuple) else value


def _permuted(chosen: Selection, draw: int, order: int) -> Selection:
    if not order:
        return chosen
    rng = np.random.default_rng([draw, order])
    places = rng.permutation(len(chosen.indices))
    values = chosen.values and [chosen.values[i] for i in places]
    return replace(chosen, indices=[chosen.indices[i] for i in places], values=values)
