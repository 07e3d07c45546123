"""The values that travel between the stages, and the legend of axis letters.

N  packed tokens of one forward        B  sequences in a group       M  longest sequence of it
L  demonstration tokens (the memory)   H  query heads   G  key/value heads   D  head width
Q  queries                             C  candidates of one query    V  vocabulary
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Literal

from deepthink.errors import UserError, shown

Tokens = Sequence[int]


def token_ids(given: Any, vocabulary: int, what: str) -> list[int]:
    """Token ids as a list, from a list, an array or a tensor.

    >>> token_ids((5, 2), vocabulary=10, what="a query")
    [5, 2]

    Raises:
        UserError: they are no whole numbers, or not all below `vocabulary`.
    """
    try:
        ids = [index(token) for token in (given.tolist() if hasattr(given, "tolist") else given)]
    except TypeError as error:
        raise UserError(
            f"{what} must be a list of token ids, which are whole numbers, not {shown(given)}"
        ) from error
    if ids and not 0 <= min(ids) <= max(ids) < vocabulary:
        wrong = next(token for token in ids if not 0 <= token < vocabulary)
        raise UserError(
            f"{what} has the token id {wrong}, but this model's go from 0 to {vocabulary - 1}"
        )
    return ids


@dataclass(frozen=True)
class Example:
    """One instance: a text, its candidate answers, and `label`, the index of the right one.

    The candidates are the task's label words, which are the same for every example, or the
    example's own options.

    >>> Example("so dull", ("negative", "positive"), label=0).candidates[0]
    'negative'

    Raises:
        UserError: a text that is no string, candidates that are no tuple of them, or a label that
            is no whole number.
    """

    text: str
    candidates: tuple[str, ...]
    label: int

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise UserError(f"the text of an example must be a string, not {shown(self.text)}")
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"the text {shown(self.text)} of an example holds half of a character"
            ) from error
        words: Any = self.candidates  # the letters of a string would be taken for words
        if isinstance(words, list):
            words = tuple(words)
            object.__setattr__(self, "candidates", words)
        if not isinstance(words, tuple) or not all(isinstance(word, str) for word in words):
            raise UserError(
                f"the candidates of an example must be a tuple of strings, not {shown(words)}"
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
    left_out: how many test rows were left out, because their number of options is not the usual.
    told: lines for whoever reads the output.
    """

    repository: str
    commit: str | None
    pool: tuple[Example, ...]
    test: tuple[Example, ...]
    left_out: int
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Splits:
    """A task's data: the pool that demonstrations come from, and two disjoint sets to score.

    repository, commit: where they came from, as in `Source`.
    read_rows: how many rows the source's pool and test splits held before they were divided.
    left_out: how many test rows were left out, because their number of options is not the usual.
    overlap: how many rows have a text that is in another split too. "test" counts pool rows that
        are in test (or, with given demonstrations, test rows that are among them), "dev" pool rows
        that are in dev alone, and "dev_in_test" dev rows that are in test.
    told: lines for whoever reads the output.
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
        """The splits that are scored, with their names: dev if there is any, then test."""
        if self.dev:
            yield "dev", self.dev
        yield "test", self.test
