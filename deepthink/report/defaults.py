"""What jobs have in common that is worth a word: their place, and what is not as by default."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from deepthink.config.overrides import compose
from deepthink.report import axes as named
from deepthink.report.axes import Axes

ALWAYS = (
    *("model", "task", "method", "demonstrations.count"),
    *("method.iterations", "method.step_size", "method.positions", "test_size"),
)
"""Axes that are told even where they are as by default."""

_WITHIN = ("task.", "model.", "data_root", "method.selector.name", "method.refinement.name")
"""How axes begin that follow from the task, the model or the method."""


@lru_cache
def usual() -> dict[str, Any]:
    """The axes of the default job."""
    return {**named.of_config(compose([])), "model.dtype": "float32"}


def fixed(every: Sequence[Axes]) -> list[str]:
    """The words for what all jobs have in common, without their draws.

    every: the axes of the jobs.
    """
    words = []
    for key in dict.fromkeys((*ALWAYS, *(key for axes in every for key in axes))):
        known = [axes for axes in every if key in axes or key not in named.UNRESOLVED]
        if key.startswith("method."):  # without thinking, the settings of thinking have no effect
            known = [axes for axes in known if axes.get("method.iterations") != 1] or known
        found = named.values(known, key)
        if len(found) != 1 or key in named.DRAW or key in ("task.data", "task.member"):
            continue
        told = key == "model.dtype" or not key.startswith(_WITHIN)
        if key in ALWAYS:
            if found[0] is not None:
                words.append(f"{key}={named.shown(found[0])}")
        elif key.startswith("method.") and found[0] is None:
            continue
        elif told and not key.endswith(".source") and found[0] != usual().get(key):
            words.append(f"{key}={named.shown(found[0])}")
    return words
