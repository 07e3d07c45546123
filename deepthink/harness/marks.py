r"""Where the demonstrations stand in a prompt that lm-evaluation-harness writes.

The harness hands a model one string, in which nothing says where the demonstrations end. While it
writes a prompt, its delimiters therefore hold characters that no text has (Unicode reserves them
for such uses), and these are taken out again:

    Q: fine? A:⟨answer⟩ yes⟨answered⟩\n\n⟨end⟩Q: dull? A:
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

END, ANSWER, ANSWERED = "\ufdd0", "\ufdd1", "\ufdd2"
"""The end of a demonstration, and the begin and the end of the answer in one."""

Turn = dict[str, Any]
"""A message of a chat, with its role and its content."""


@dataclass(frozen=True)
class Shown:
    """Where each demonstration of a prompt begins and ends, and the answer in each, in characters.

    Demonstrations follow each other from the beginning of the prompt, so that what comes before
    them belongs to the first. answers is empty where they are not known.

    >>> Shown(((0, 10), (10, 22))).end
    22
    """

    spans: tuple[tuple[int, int], ...] = ()
    answers: tuple[tuple[int, int], ...] = ()

    @property
    def end(self) -> int:
        """Where the query begins; 0 without demonstrations."""
        return self.spans[-1][1] if self.spans else 0


def parsed(marked: str) -> tuple[str, Shown]:
    r"""A prompt without its marks, and where they stood.

    >>> parsed(f"1+1:{ANSWER} 2{ANSWERED}\n{END}1+2:")
    ('1+1: 2\n1+2:', Shown(spans=((0, 7),), answers=((4, 6),)))
    """
    pieces = re.split(f"([{END}{ANSWER}{ANSWERED}])", marked)
    text, begun = "", None
    spans: list[tuple[int, int]] = []
    answers: list[tuple[int, int]] = []
    for piece in pieces:
        if piece == END:
            spans.append((spans[-1][1] if spans else 0, len(text)))
        elif piece == ANSWER:
            begun = len(text)
        elif piece == ANSWERED:
            answers += [] if begun is None else [(begun, len(text))]
            begun = None
        else:
            text += piece
    return text, Shown(tuple(spans), tuple(answers) if len(answers) == len(spans) else ())


@contextmanager
def delimiters(config: Any) -> Iterator[None]:
    """Have the delimiters of a task's demonstrations hold the marks meanwhile.

    config: the harness's FewshotConfig of a task.
    """
    before = config.target_delimiter, config.fewshot_delimiter
    config.target_delimiter = f"{ANSWER}{before[0] or ''}"
    config.fewshot_delimiter = f"{ANSWERED}{before[1] or ''}{END}"
    try:
        yield
    finally:
        config.target_delimiter, config.fewshot_delimiter = before


def chat(template: Callable[..., str], turns: Sequence[Turn], **options: Any) -> str:
    """A chat as the model's template writes it, with marks where its turns are known apart.

    A demonstration ends where the text of the next user's turn begins. A template to which the
    marks make a difference gets none.

    >>> turns = [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "2"},
    ...          {"role": "user", "content": "1+2"}]
    >>> parsed(chat(lambda turns: "|".join(turn["content"] for turn in turns), turns))
    ('1+1|2|1+2', Shown(spans=((0, 6),), answers=((4, 5),)))
    """
    marked = [dict(turn) for turn in turns]
    asked = [index for index, turn in enumerate(turns) if turn["role"] == "user"]
    for index in asked[1:]:
        marked[index]["content"] = _before_words(END, marked[index]["content"])
        answer = marked[index - 1]
        if answer["role"] == "assistant":
            words = answer["content"].rstrip()
            blank = answer["content"][len(words) :]
            answer["content"] = _before_words(ANSWER, f"{words}{ANSWERED}{blank}")
    plain, written = template(turns, **options), template(marked, **options)
    return written if parsed(written)[0] == parsed(plain)[0] else plain


def _before_words(mark: str, text: str) -> str:
    """A text with a mark behind the blanks at its beginning, which a template may strip."""
    words = text.lstrip()
    return text[: len(text) - len(words)] + mark + words


def common(contexts: Sequence[str]) -> Shown:
    r"""What all prompts of a task begin with, up to a blank line: a guess at its demonstrations.

    >>> common(["1+1: 2\n\n1+2:", "1+1: 2\n\n1+3:"]).end
    8
    """
    first, last = min(contexts), max(contexts)
    if first == last:
        return Shown()
    pairs = zip(first, last, strict=False)
    shared = next((i for i, (a, b) in enumerate(pairs) if a != b), len(first))
    end = first.rfind("\n\n", 0, shared) + 2
    return Shown(((0, end),)) if end > 1 else Shown()
