"""Contexts of lm-evaluation-harness as token ids, cut where the query begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deepthink.harness.marks import Shown
from deepthink.structures import Tokens
from deepthink.tasks.tokens import places


@dataclass(frozen=True)
class Prompt:
    """A context as token ids: the demonstrations, which are thought over, and the query.

    spans, answers: where each demonstration and its answer stand among the first, as
        `deepthink.engine.demonstrations` takes them.
    """

    shown: tuple[int, ...]
    query: tuple[int, ...]
    spans: tuple[range, ...] = ()
    answers: tuple[range, ...] = ()


@dataclass(frozen=True)
class Encoder:
    """A tokenizer as the harness calls it.

    Special tokens are added as the tokenizer does by itself or as `add_bos_token` says, and what is
    written like a special token in a text is one. A text that begins with the token `first` gets no
    second one.
    """

    tokenizer: Any
    add_bos_token: bool | None
    first: str

    def encode(self, text: str, add_special_tokens: bool | None = None) -> list[int]:
        """The ids of a text."""
        return list(self.tokenizer.encode(text, **self._special(text, add_special_tokens)))

    def cut(self, text: str, ids: Sequence[int], shown: Shown, dropped: int = 0) -> Prompt:
        """A context's ids, cut at the first token that reaches into the query.

        text: the context that has these ids. dropped: how many ids to leave out in front.
        """
        if self.tokenizer.is_fast:
            special = self._special(text, None)
            row = self.tokenizer(text, return_offsets_mapping=True, **special)
            return cut(ids, row["offset_mapping"], shown, dropped)
        before = self.encode(text[: shown.end])
        pairs = zip(before, ids, strict=False)
        end = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(before), len(ids)))
        end = max(dropped, min(end, len(ids) - 1)) if shown.end else dropped
        return Prompt(tuple(ids[dropped:end]), tuple(ids[end:]))

    def _special(self, text: str, add_special_tokens: bool | None) -> dict[str, bool]:
        if add_special_tokens is None:
            add_special_tokens = self.add_bos_token
            if text.startswith(self.first):
                add_special_tokens = False
        return {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}


def cut(ids: Tokens, offsets: Sequence[tuple[int, int]], shown: Shown, dropped: int = 0) -> Prompt:
    """Ids cut at the first one that reaches into the query, which keeps at least one.

    offsets: where each id begins and ends in the text, in characters; (0, 0) for a special token.

    >>> cut([1, 7, 8, 9], [(0, 0), (0, 4), (4, 6), (6, 9)], Shown(((0, 6),), ((4, 6),)))
    Prompt(shown=(1, 7, 8), query=(9,), spans=(range(1, 3),), answers=(range(2, 3),))
    """
    end = _leading(offsets, shown.end) if shown.end else 0
    end = max(dropped, min(end, len(ids) - 1))
    special = _leading(offsets, 0)
    edges = [place for pair in (*shown.spans, *shown.answers) for place in pair]
    starts = [min(max(start, special, dropped), end) - dropped for start in places(offsets, edges)]
    ranges = [range(*pair) for pair in zip(starts[::2], starts[1::2], strict=True)]
    spans, answers = ranges[: len(shown.spans)], ranges[len(shown.spans) :]
    return Prompt(
        tuple(ids[dropped:end]),
        tuple(ids[end:]),
        tuple(filter(len, spans)),
        tuple(filter(len, answers)),
    )


def _leading(offsets: Sequence[tuple[int, int]], place: int) -> int:
    """How many ids in front end at a place or before it."""
    return next((i for i, (_, stop) in enumerate(offsets) if stop > place), len(offsets))
