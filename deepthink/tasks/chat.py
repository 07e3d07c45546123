r"""Prompts as a chat: each demonstration is a turn of the user and one of the assistant.

With a template of ChatML's form and "Review: {text}\nSentiment:" a prompt reads

    <|im_start|>system\nYou are …<|im_end|>\n            front, once
    <|im_start|>user\n                                   user     ┐
    Review: so dull\nSentiment:                                   │ a demonstration
    <|im_end|>\n<|im_start|>assistant\n                  between  │
    negative<|im_end|>\n                                 end      ┘
    <|im_start|>user\n                                   user     ┐
    Review: what fun\nSentiment:                                  │ the query
    <|im_end|>\n<|im_start|>assistant\n                  ask      ┘
    positive                                             a candidate

A tokenizer's chat template is a program. What it writes around the turns is found by rendering a
chat of marks, and then held against what it writes for the real turns.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepthink.errors import UserError, first_line, shown
from deepthink.structures import Example
from deepthink.tasks.templates import SEPARATOR, Shot, fill
from deepthink.tasks.tokens import special_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TODAY = {
    "%Y": "2024",
    "%y": "24",
    "%B": "July",
    "%b": "Jul",
    "%m": "07",
    "%d": "26",
    "%A": "Friday",
}
"""The day for templates that write today's date: otherwise prompts would change at midnight."""

_TODAYS_DATE = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(f".replace('{sign}', '{value}')" for sign, value in _TODAY.items())
    + " }}{% endmacro %}"
)

_MARKS = ("firstq", "firsta", "secondq", "seconda", "thirdq")
_SPLIT = re.compile("|".join(_MARKS))


@dataclass(frozen=True)
class Chat:
    """What a chat template writes around the turns of a chat, as drawn above.

    template: the task's, which makes the user's turns. lead: what the chat template puts in front
    of an answer where it stands after `ask`, such as a space. repeats: how often a query stands in
    its turn, with a blank line between.

    >>> from transformers import ByT5Tokenizer
    >>> tokenizer = ByT5Tokenizer()
    >>> tokenizer.chat_template = (
    ...     "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
    ...     "{% if add_generation_prompt %}<assistant>{% endif %}"
    ... )
    >>> chat = Chat.of(tokenizer, "{text} So:")
    >>> chat.shot(Example("so dull", ("bad", "good"), 0))
    Shot(text='<user>so dull So:</><assistant>bad</>', answer=(31, 34))
    >>> chat.query("what fun")
    '<user>what fun So:</><assistant>'
    """

    template: str
    front: str
    user: str
    between: str
    end: str
    ask: str
    lead: str
    repeats: int = 1

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase", template: str, repeats: int = 1) -> "Chat":
        """The chat that a tokenizer's template writes.

        Raises:
            UserError: it has no chat template, or one that writes its turns in another way.
        """
        if not getattr(tokenizer, "chat_template", None):
            raise UserError(
                "this model's tokenizer has no chat template: leave out prompt.chat, or take an "
                "instruction-tuned model that has one"
            )
        parts = _SPLIT.split(_rendered(tokenizer, [_MARKS])[0])
        closed = _SPLIT.split(_rendered(tokenizer, [_MARKS[:2]], ask=False)[0])
        if len(parts) != 6 or len(closed) != 3 or parts[1:3] != parts[3:5]:
            raise _otherwise("writes the turns of a chat unlike each other")
        front, between, turn, _, _, ask = parts
        _, before_answer, end = closed
        user = turn.removeprefix(end)
        if not turn.startswith(end) or not front.endswith(user):
            end, user = turn, ""  # what begins the user's turn then ends the one before it
        lead = before_answer.removeprefix(ask) if before_answer.startswith(ask) else ""
        return cls(template, front.removesuffix(user), user, between, end, ask, lead, repeats)

    @property
    def before(self) -> str:
        """The text behind which an answer has the tokens that it has in a whole prompt."""
        return self.ask

    def query(self, text: str) -> str:
        """A text as the turn that asks for an answer."""
        return self.user + self._asked(text) + self.ask

    def shot(self, example: Example) -> Shot:
        """A demonstration: a turn of the user, and one of the assistant, who says the answer."""
        question = self.user + self._said(example.text) + self.between
        answered = question + example.candidates[example.label]
        begin = len(question) - len(self.lead) * question.endswith(self.lead)
        return Shot(answered + self.end, (begin, len(answered)))

    def check(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        demonstrations: Sequence[Example],
        queries: Sequence[Example],
    ) -> None:
        """Hold the prompts against what the chat template itself writes.

        All queries are compared without demonstrations, and the first of them with all.

        Raises:
            UserError: they differ, or a text holds what would be read as the end of a turn.
        """
        self._check_special(tokenizer, (*demonstrations, *queries))
        turns = [
            said
            for example in demonstrations
            for said in (self._said(example.text), example.candidates[example.label])
        ]
        asked = [self._asked(example.text) for example in queries]
        chats = [[*turns, asked[0]], *([said] for said in asked)]
        body = "".join(self.shot(example).text for example in demonstrations)
        ours = [self.query(example.text) for example in queries]
        wanted = [f"{self.front}{body}{ours[0]}", *(f"{self.front}{query}" for query in ours)]
        if _rendered(tokenizer, chats) != wanted:
            raise _otherwise("changes what the turns of these examples say")

    def _asked(self, text: str) -> str:
        return SEPARATOR.join([self._said(text)] * self.repeats)

    def _said(self, text: str) -> str:
        return fill(self.template, text).strip()

    def _check_special(
        self, tokenizer: "PreTrainedTokenizerBase", examples: Sequence[Example]
    ) -> None:
        if (written := special_texts(tokenizer)) is None:
            return
        for text in (self.template, *("\n".join((e.text, *e.candidates)) for e in examples)):
            if match := written.search(text):
                raise UserError(
                    f"the text {shown(text)} holds {match[0]}, which ends or begins a turn in a "
                    "chat: leave it out, or leave out prompt.chat"
                )


def _rendered(
    tokenizer: "PreTrainedTokenizerBase", chats: Sequence[Sequence[str]], ask: bool = True
) -> list[str]:
    """What the chat template writes for chats of these turns, the user's first."""
    roles = ("user", "assistant")
    messages = [
        [{"role": roles[place % 2], "content": said} for place, said in enumerate(turns)]
        for turns in chats
    ]
    try:
        template = str(tokenizer.get_chat_template())
        written = tokenizer.apply_chat_template(
            messages,
            chat_template=_TODAYS_DATE * ("strftime_now" in template) + template,
            tokenize=False,
            add_generation_prompt=ask,
            enable_thinking=False,  # the answer comes at once
        )
    except Exception as error:  # a template is a program, which may raise anything
        raise UserError(
            f"the chat template of this model's tokenizer fails ({first_line(error)}): leave out "
            "prompt.chat"
        ) from error
    return [str(text) for text in written]


def _otherwise(what: str) -> UserError:
    return UserError(
        f"the chat template of this model's tokenizer {what}, so that this suite cannot say where "
        "an answer stands: leave out prompt.chat"
    )
