"""Questions with their own options, listed at the end of the text or in a column of their own."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_HEADING = "\nOptions:\n"
_OPTION = re.compile(r"(?:(?P<mark>\([A-Z]\))|-) (?P<text>.*)")


@dataclass(frozen=True)
class Listed:
    """A question, and the options that were listed at its end, if any.

    marks: "(A)", "(B)", … of the options; empty where they have none.
    """

    question: str
    marks: tuple[str, ...]
    options: tuple[str, ...]


def parse(text: str) -> Listed:
    r"""Take the options off the end of a question: the lines below the last "Options:".

    Either every option has a mark of its own, or none has one. A text with any other ending is all
    question.

    >>> parse("Which?\nOptions:\n(A) a cup\n(B) a kettle")
    Listed(question='Which?', marks=('(A)', '(B)'), options=('a cup', 'a kettle'))
    """
    question, heading, listing = text.rpartition(_HEADING)
    lines = [_OPTION.fullmatch(line.strip()) for line in listing.splitlines()]
    options = [match for match in lines if match]
    if not heading or not options or len(options) < len(lines):
        return Listed(text.strip(), (), ())
    marks = tuple(match["mark"] for match in options if match["mark"])
    if len(set(marks)) not in (0, len(options)):
        return Listed(text.strip(), (), ())
    return Listed(question.strip(), marks, tuple(match["text"].strip() for match in options))


def with_letters(question: str, options: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    r"""A question with its options listed under it as "A. …", and the letters.

    >>> with_letters("Which?", ["a cup", "a kettle"])
    ('Which?\nA. a cup\nB. a kettle', ('A', 'B'))

    Raises:
        ValueError: more options than letters.
    """
    if len(options) > len(string.ascii_uppercase):
        raise ValueError(f"has {len(options)} options, but letters end at Z: use task.answer=text")
    letters = tuple(string.ascii_uppercase[: len(options)])
    lines = (f"{letter}. {option}" for letter, option in zip(letters, options, strict=True))
    return "\n".join([question, *lines]), letters


def usual(numbers: Sequence[int]) -> int:
    """The most frequent number of options, and the smallest of equally frequent ones."""
    counts = Counter(numbers)
    return min(counts, key=lambda number: (-counts[number], number))
