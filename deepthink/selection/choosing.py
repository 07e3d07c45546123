"""The demonstrations of a job, in reading order."""

from dataclasses import replace

import numpy as np

from deepthink.config.job import Config
from deepthink.errors import UserError
from deepthink.selection import balance
from deepthink.selection.balance import Selection
from deepthink.selection.pool import Pool


def choose(pool: Pool, config: Config) -> Selection:
    """The demonstrations in reading order: chosen by `seed`, permuted by `order`.

    Of given demonstrations, which are not chosen, the first `config.count`.
    """
    balance.check_count(len(pool), config.count)
    if config.task.given:
        return _permuted(Selection(list(range(config.count))), config)
    select = balance.load(config.method.selector)
    found = select(pool, config.count, np.random.default_rng([config.seed, 0]))
    chosen = found if isinstance(found, Selection) else Selection(list(found))
    indices = set(chosen.indices)
    if not len(indices) == len(chosen.indices) == config.count or not indices <= set(
        range(len(pool))
    ):
        name = config.method.selector["name"]
        raise UserError(f"selector {name} did not return {config.count} different pool indices")
    return _permuted(chosen, config)


def _permuted(chosen: Selection, config: Config) -> Selection:
    if not config.order:
        return chosen
    rng = np.random.default_rng([config.draw, config.order])
    places = rng.permutation(len(chosen.indices))
    values = chosen.values and [chosen.values[i] for i in places]
    return replace(chosen, indices=[chosen.indices[i] for i in places], values=values)
