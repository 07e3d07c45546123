"""Which demonstrations to show: one module per method, found by its file name.

A selector is a module with `select(pool, count, rng, **options)` that returns the indices of
`count` different examples of the pool, in the order in which they are to be read. Its options are
the keyword arguments after `rng`; the config names them beside the selector's name.
"""

import inspect
import pkgutil
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from deepthink.errors import UserError, unknown
from deepthink.structures import Example


class Select(Protocol):
    """A selector with its options bound."""

    def __call__(
        self, pool: tuple[Example, ...], count: int, rng: np.random.Generator
    ) -> list[int]:
        """Pool indices of `count` demonstrations in reading order."""


def load(selector: Mapping[str, Any]) -> Select:
    """The selector a config names, with its options; UserError for a name or option it lacks."""
    options = dict(selector)
    name = options.pop("name", None)
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    if name not in names:
        raise unknown("selector", name, names)
    select = import_module(f"{__name__}.{name}").select
    valid = list(inspect.signature(select).parameters)[3:]
    for option in options:
        if option not in valid:
            raise unknown(f"option of selector {name}", option, valid)
    return partial(select, **options)


def classes(pool: tuple[Example, ...]) -> dict[int, np.ndarray]:
    """The pool indices of each class, by label."""
    labels = np.array([example.label for example in pool])
    return {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}


def check_count(pool: tuple[Example, ...], count: int) -> None:
    """Raise UserError if the pool holds fewer than `count` examples."""
    if count > len(pool):
        raise UserError(
            f"{count} demonstrations were asked for, but the pool holds {len(pool)} examples: "
            "lower demonstrations.count"
        )
