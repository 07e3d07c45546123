"""The values that travel between the stages, and the legend of axis letters.

N  packed tokens of one forward        B  sequences in a group       M  longest sequence of it
L  demonstration tokens (the memory)   H  query heads   G  key/value heads   D  head width
Q  queries                             C  candidates of one query    V  vocabulary
"""

from collections.abc import Sequence
from dataclasses import dataclass

Tokens = Sequence[int]


@dataclass(frozen=True)
class Example:
    """One classification instance: `text` to be judged and the index of its gold `label`."""

    text: str
    label: int


@dataclass(frozen=True)
class Source:
    """All rows of a task's training and test splits, and the repository they came from."""

    repository: str
    pool: tuple[Example, ...]
    test: tuple[Example, ...]


@dataclass(frozen=True)
class Splits:
    """A task's data: the pool demonstrations come from, and two disjoint sets to score.

    repository: where they came from.
    read_rows: how many rows the source's pool and test splits held before they were divided.
    """

    pool: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    repository: str
    read_rows: dict[str, int]
