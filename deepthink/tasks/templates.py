"""Templates filled with texts and answers: what a prompt says, before it becomes tokens."""

from dataclasses import dataclass
from typing import Protocol

from deepthink.structures import Example

SEPARATOR = "\n\n"


@dataclass(frozen=True)
class Shot:
    """A demonstration as text, and where its answer begins and ends in it, in characters."""

    text: str
    answer: tuple[int, int]


def fill(template: str, text: str) -> str:
    """The template with an instance's text; other braces stand for themselves.

    >>> fill("Review: {text} {sic}", "so dull")
    'Review: so dull {sic}'
    """
    return template.replace("{text}", text)


def shot(template: str, example: Example, delimiter: str = " ") -> Shot:
    r"""A demonstration: the filled template, the answer, which the delimiter begins, a blank line.

    >>> shot("{text}:", Example("so dull", ("bad", "good"), 0))
    Shot(text='so dull: bad\n\n', answer=(8, 12))
    """
    question = fill(template, example.text)
    answered = question + delimiter + example.candidates[example.label]
    return Shot(answered + SEPARATOR, (len(question), len(answered)))


def anchor(template: str) -> str:
    r"""The end of the template behind which an answer has the tokens it has in a whole prompt.

    It is the last line. Where that is blank, it is all that follows the text, a letter in front if
    need be: SentencePiece marks the start of a string, so blanks there are other tokens than behind
    words.

    >>> anchor("Review: {text}\nSentiment:")
    'Sentiment:'
    """
    end = template.rpartition("{text}")[2]
    line = end.rpartition("\n")[2]
    if line.strip():
        return line
    return end if end.strip() else f"x{end}"


class Writing(Protocol):
    """How examples are written: as running text, `Plain`, or as a chat, `deepthink.tasks.chat`."""

    @property
    def front(self) -> str:
        """What stands once in front of all demonstrations."""

    @property
    def end(self) -> str:
        """What ends a demonstration, and so stands in front of a query."""

    @property
    def before(self) -> str:
        """The text behind which an answer has the tokens that it has in a whole prompt."""

    @property
    def lead(self) -> str:
        """What stands in front of an answer and belongs to it."""

    def query(self, text: str) -> str:
        """A text as a query."""

    def shot(self, example: Example) -> Shot:
        """An example as a demonstration."""


@dataclass(frozen=True)
class Plain:
    r"""Prompts as running text, see `shot`.

    >>> Plain("{text}:", lead=" ").query("so dull")
    'so dull:'
    >>> Plain("{text}:", lead=" ", repeats=2).query("so dull")
    'so dull:\n\nso dull:'
    """

    template: str
    lead: str
    repeats: int = 1
    front = ""
    end = SEPARATOR

    @property
    def before(self) -> str:
        """The end of the template, see `anchor`."""
        return anchor(self.template)

    def query(self, text: str) -> str:
        """The filled template, `repeats` times with a blank line between."""
        return SEPARATOR.join([fill(self.template, text)] * self.repeats)

    def shot(self, example: Example) -> Shot:
        """The filled template with its answer."""
        return shot(self.template, example, self.lead)
