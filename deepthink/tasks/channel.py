r"""Prompts of the noisy channel: the label first, and behind it the text, whose tokens are scored.

The template's end changes places with the rest. Where an answer behind "Review: {text}\nSentiment:"
is scored, a prompt reads "Review: so dull\nSentiment: negative"; here it reads

    Sentiment: negative\nReview: so dull\n\n | Sentiment: positive\nReview: |  what fun
    a demonstration                          | the label's part             | the text

and log p(text | demonstrations, the label's part) is the label's score (Min et al., ACL 2022, by
concatenation: their programs write "prompt text prompt text …" too, without a blank line). All
tokens of the text count, with the blank in front of it, as the delimiter belongs to an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from deepthink.errors import UserError, shown
from deepthink.structures import Example
from deepthink.tasks.example_checks import check_different
from deepthink.tasks.templates import SEPARATOR, Shot
from deepthink.tasks.tokens import following, tokenise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Channel:
    r"""What is written before and behind a text, the label first.

    template: the task's, with {text} once. delimiter: what joins the template's end and a label.

    Blanks at the beginning of the template's end join the two parts, a line break where there are
    none. Spaces in front of the text belong to it.

    >>> channel = Channel("Review: {text}\nSentiment:", " ")
    >>> channel.part("negative"), channel.lead
    ('Sentiment: negative\nReview:', ' ')
    >>> channel.shot(Example("so dull", ("negative", "positive"), 0))
    Shot(text='Sentiment: negative\nReview: so dull\n\n', answer=(27, 35))
    >>> Channel("{text}:", " ").part("bad"), Channel("{text} It was", " ").part("bad")
    (': bad\n', 'It was bad')

    Raises:
        UserError: the template has {text} several times.
    """

    template: str
    delimiter: str
    front = ""
    end = SEPARATOR

    def __post_init__(self) -> None:
        if self.template.count("{text}") > 1:
            raise UserError(
                f"direction=channel scores a text once, but the template {shown(self.template)} "
                "has {text} several times: write it once"
            )

    @cached_property
    def _around(self) -> tuple[str, str]:
        """What stands in front of a label and behind it."""
        front, _, tail = self.template.partition("{text}")
        named = tail.lstrip()
        joint = tail[: len(tail) - len(named)] or "\n"
        return (named + self.delimiter).lstrip(), joint + front

    @property
    def lead(self) -> str:
        """The spaces in front of a text that belong to it."""
        behind = self._around[1]
        return behind[len(behind.rstrip(" ")) :]

    def part(self, word: str) -> str:
        """What stands in front of a text, with a label word."""
        before, behind = self._around
        return f"{before}{word}{behind.rstrip(' ')}"

    def shot(self, example: Example) -> Shot:
        """A demonstration. Its answer, which a loss predicts, is the text."""
        part = self.part(example.candidates[example.label])
        whole = part + self.lead + example.text
        return Shot(whole + SEPARATOR, (len(part), len(whole)))

    def tokenised(
        self, tokenizer: "PreTrainedTokenizerBase", queries: Sequence[Example]
    ) -> tuple[list[list[int]], list[list[list[int]]]]:
        """The ids of each query's text, and for each query those of its candidates' parts.

        Raises:
            UserError: the queries differ in their candidates, two of these are the same tokens, a
                text has no token, or its tokens depend on the part in front of it.
        """
        words = queries[0].candidates
        if any(example.candidates != words for example in queries):
            raise UserError(
                "direction=channel compares label words, but these queries have candidates of "
                "their own: leave it out"
            )
        parts = [self.part(word) for word in words]
        of_parts = tokenise(tokenizer, parts)
        check_different(dict(zip(words, of_parts, strict=True)))
        texts = [self.lead + example.text for example in queries]
        found, *others = (following(tokenizer, part, texts) for part in parts)
        if any(rows != found for rows in others):
            raise UserError(
                "direction=channel compares a text behind label words, but this model's tokenizer "
                "reads it otherwise behind one than another: set another task.template"
            )
        for place, (ids, example) in enumerate(zip(found, queries, strict=True), start=1):
            if not ids:
                raise UserError(
                    f"query {place} of {len(queries)} is {shown(example.text)}, which has no token "
                    "for direction=channel to score: leave its row out"
                )
        return found, [of_parts] * len(queries)
