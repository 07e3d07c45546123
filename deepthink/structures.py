"""The values that travel between the stages, and the legend of axis letters.

N  packed tokens of one forward        B  sequences in a group       M  longest sequence of it
L  demonstration tokens (the memory)   H  query heads   G  key/value heads   D  head width
Q  queries                             C  candidates of one query    V  vocabulary
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import index
from typing import Any, Literal, Protocol

from deepthink.errors import UserError, shown

Tokens = Sequence[int]


class Array(Protocol):
    """A tensor, or an array of NumPy."""

    def tolist(self) -> Any:
        """Its numbers as lists of lists."""


GivenTokens = Tokens | Array | Mapping[str, Any]
"""Token ids as callers may give them; the mapping is what a tokenizer returns."""


def token_ids(given: Any, vocabulary: int, what: str) -> list[int]:
    """Token ids as a list, from a list, an array, a tensor, or what a tokenizer returns.

    One row of ids, [1, L], is taken for the ids themselves. Where there is an attention mask,
    padding is left out.

    >>> token_ids((5, 2), vocabulary=10, what="a query")
    [5, 2]
    >>> token_ids({"input_ids": [[0, 5, 2]], "attention_mask": [[0, 1, 1]]}, 10, "a query")
    [5, 2]

    Raises:
        UserError: they are no whole numbers, not all below `vocabulary`, or several rows.
    """
    ids = unmasked(given) if isinstance(given, Mapping) else given
    ids = _plain(getattr(ids, "ids", ids))
    rows = isinstance(ids, list | tuple) and bool(ids) and _is_row(ids[0])
    if rows and len(ids) == 1:
        return token_ids(ids[0], vocabulary, what)
    if isinstance(ids, str) or (isinstance(ids, list | tuple) and ids and isinstance(ids[0], str)):
        raise UserError(
            f"{what} must be token ids, not the text {shown(given)}: tokenizer(text) gives them, "
            "or deepthink.encode for demonstrations and queries"
        )
    if rows:
        raise UserError(
            f"{what} has {len(ids)} rows of token ids, but must be one: join them, or call once "
            "for each row"
        )
    try:
        ids = [index(token) for token in ids]
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


def unmasked(given: Mapping[str, Any]) -> Any:
    """The `input_ids` of what a tokenizer returned, as lists without what its mask hides.

    >>> unmasked({"input_ids": [[0, 5, 2], [6, 7, 8]], "attention_mask": [[0, 1, 1], [1, 1, 1]]})
    [[5, 2], [6, 7, 8]]

    Raises:
        UserError: it has none.
    """
    if "input_ids" not in given:
        raise UserError(f"{shown(given)} has no input_ids: tokenizer(text) gives such")
    ids, mask = _plain(given["input_ids"]), _plain(given.get("attention_mask"))
    if mask is None:
        return ids
    if ids and isinstance(ids[0], int):
        return [*compress(ids, mask)]
    return [[*compress(_plain(row), _plain(seen))] for row, seen in zip(ids, mask, strict=True)]


def _plain(values: Any) -> Any:
    """The numbers of a tensor or an array as lists; anything else as it is."""
    return values.tolist() if hasattr(values, "tolist") else values


def _is_row(value: object) -> bool:
    """Whether a value holds several, as a list does and a number of NumPy does not."""
    return isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0


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


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value inside dicts of dicts, by its dotted name.

    >>> dict(flattened({"prompt": {"seam": "apart"}, "seed": 0}))
    {'prompt.seam': 'apart', 'seed': 0}
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
