"""The values that travel between the stages, and the legend of axis letters.

N  packed tokens of one forward        B  sequences in a group       M  longest sequence of it
L  demonstration tokens (the memory)   H  query heads   G  key/value heads   D  head width
Q  queries                             C  candidates of one query    V  vocabulary
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Literal

from deepthink.errors import UserError

Tokens = Sequence[int]


def token_ids(given: Any, vocabulary: int, what: str) -> list[int]:
    """Token ids as a list, from a list, an array or a tensor; UserError where they are none."""
    try:
        found = [index(one) for one in (given.tolist() if hasattr(given, "tolist") else given)]
    except TypeError as error:
        raise UserError(
            f"{what} must be a list of token ids, which are whole numbers, not {_short(given)}"
        ) from error
    if found and not 0 <= min(found) <= max(found) < vocabulary:
        wrong = next(one for one in found if not 0 <= one < vocabulary)
        raise UserError(
            f"{what} has the token id {wrong}, but this model's go from 0 to {vocabulary - 1}"
        )
    return found


def _short(value: object) -> str:
    """A value in one line, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:60]}…"


@dataclass(frozen=True)
class Example:
    """One instance: `text` to be judged, its `candidates`, and the index of the gold one, `label`.

    The candidates are the task's label words, the same for every example, or the example's own.
    UserError for what is none of these.
    """

    text: str
    candidates: tuple[str, ...]
    label: int

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise UserError(f"the text of an example must be a string, not {_short(self.text)}")
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"the text {_short(self.text)} of an example holds half of a character"
            ) from error
        words: Any = self.candidates  # of a string, the letters would be taken for words
        if isinstance(words, list):
            words = tuple(words)
            object.__setattr__(self, "candidates", words)
        if not isinstance(words, tuple) or not all(isinstance(word, str) for word in words):
            raise UserError(
                f"the candidates of an example must be a tuple of strings, not {_short(words)}"
            )
        try:
            index(self.label)
        except TypeError as error:
            raise UserError(
                f"the label of an example must be the index of a candidate, not {self.label!r}"
            ) from error


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

    def scored(self) -> Iterator[tuple[Literal["dev", "test"], tuple[Example, ...]]]:
        """The splits that are scored, by name, in the order they are read: dev (if any), test."""
        if self.dev:
            yield "dev", self.dev
        yield "test", self.test
