"""Templates filled with texts and answers: what a prompt says, before it becomes tokens."""

from dataclasses import dataclass

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
