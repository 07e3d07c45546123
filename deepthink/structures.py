"""The values that travel between the stages, and the legend of axis letters.

N  packed tokens of one forward        B  sequences in a group       M  longest sequence of it
L  demonstration tokens (the memory)   H  query heads   G  key/value heads   D  head width
Q  queries                             C  candidates of one query    V  vocabulary
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Tokens = Sequence[int]


@dataclass(frozen=True)
class Example:
    """One instance: `text` to be judged, its `candidates`, and the index of the gold one, `label`.

    The candidates are the task's label words, the same for every example, or the example's own.
    """

    text: str
    candidates: tuple[str, ...]
    label: int


@dataclass(frozen=True)
class Source:
    """All rows of a task's training and test splits, and the repository they came from.

    commit: the repository's on the hub; None where the rows are local.
    left_out: test rows whose number of options is not the task's usual one.
    told: what a reader of the output should know, a line each.
    """

    repository: str
    commit: str | None
    pool: tuple[Example, ...]
    test: tuple[Example, ...]
    left_out: int
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Splits:
    """A task's data: the pool demonstrations come from, and two disjoint sets to score.

    repository, commit: where they came from, as in `Source`.
    read_rows: how many rows the source's pool and test splits held before they were divided.
    left_out: test rows beyond those, whose number of options is not the task's usual one.
    overlap: how many rows have a text that is in another split too: of the pool in "test" and in
        "dev" alone (of given demonstrations: test rows that are some), and of dev in test.
    told: what a reader of the output should know, a line each.
    """

    pool: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    repository: str
    commit: str | None
    read_rows: dict[str, int]
    left_out: int
    overlap: dict[str, int]
    told: tuple[str, ...] = ()

    def scored(self) -> Iterator[tuple[str, tuple[Example, ...]]]:
        """The splits that are scored, by name, in the order they are read: dev (if any), test."""
        if self.dev:
            yield "dev", self.dev
        yield "test", self.test
