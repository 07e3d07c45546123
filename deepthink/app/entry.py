"""Hydra's entry: a command line becomes configs, and each config one call."""

import sys
from collections.abc import Callable, Sequence

import hydra
from omegaconf import DictConfig

from deepthink.config.search import search_path, settled
from deepthink.installation import CONF


def enter(task: Callable[[DictConfig], None], words: Sequence[str]) -> None:
    """Have Hydra parse `words` as a command line, and call `task` with every config in it.

    A launcher may call `task` in other processes: it must then be a function of a module. What
    `task` raises passes through.
    """
    taken = settled(words)
    first = next((i for i, word in enumerate(taken) if "=" in word and word[0] != "-"), 0)
    before = sys.argv
    sys.argv = [before[0], *taken[:first], *search_path(words), *taken[first:]]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
    finally:
        sys.argv = before
