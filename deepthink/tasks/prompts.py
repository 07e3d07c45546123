r"""From examples to token ids. Pure text and tokens: no model, no files.

With the template "Review: {text}\nSentiment:" a prompt reads

    <s> Review: so dull\nSentiment: negative\n\n | Review: what fun\nSentiment: | positive
    special tokens, demonstrations                 | query                         | candidate
    └ demonstration ids ─────────────────────────┘ └ query ids ──────────────────┘ └ its ids ┘

Special tokens stand once, in front of the demonstrations. What looks like one in a text is text.
An answer is the delimiter (here a space) and a candidate, in a demonstration and where it is
scored. In the noisy channel the candidate comes first, and the text is scored: see `channel`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from deepthink.errors import UserError
from deepthink.settings import QUERIES, check_groups
from deepthink.structures import Example
from deepthink.tasks.channel import Channel
from deepthink.tasks.chat import Chat
from deepthink.tasks.example_checks import check_different, check_settings, checked
from deepthink.tasks.fitting import Fit, Sizes, fit, holds_beginning, query_sizes
from deepthink.tasks.grouping import shared_out, side_by_side
from deepthink.tasks.templates import Plain, Shot, Writing
from deepthink.tasks.tokens import (
    continuations,
    count_special,
    following,
    leading_special_ids,
    tokenise,
    tokenise_and_place,
    tokenise_jointly,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Encoded:
    """A job's prompts as token ids.

    demonstrations: L ids; queries: Q lists of ids, in the order given; candidates: per query, the
    ids of each of its candidates. direction: "direct" if a candidate is scored behind the query,
    "channel" if the query, its text alone, is scored behind a candidate, its part of the prompt.
    kept: how many demonstrations are left, counted from the end, after the overflow rule.
    truncated: whether the first kept one lost its beginning.
    copies: how often the demonstrations are written, one after the other.
    looks_special: how many of the texts hold what is written like a special token.
    spans: where each demonstration stands among the L ids, kept · copies ranges in reading order.
        They follow each other from the special tokens to the end. A token that merges the end of
        one with the beginning of the next belongs to the first.
    answers: which of these ids are the answer's, the delimiter included, one range in each span (in
        the noisy channel, the text's). It is empty where truncation took the answer.
    sequences: where each group of demonstrations stands among the L ids, its special tokens
        included, if there are several. Each is read by itself.
    """

    demonstrations: list[int]
    queries: list[list[int]]
    candidates: list[list[list[int]]]
    kept: int
    truncated: bool
    copies: int
    looks_special: int = 0
    spans: tuple[range, ...] = ()
    answers: tuple[range, ...] = ()
    sequences: tuple[range, ...] = ()
    direction: str = "direct"

    @property
    def sizes(self) -> list[int]:
        """How many positions each query may take with its longest candidate fed."""
        return query_sizes(self.queries, self.candidates)

    @property
    def longest(self) -> int:
        """How many positions a query may take with its longest candidate fed."""
        return max(self.sizes)

    @property
    def beginnings(self) -> int:
        """In how many queries the tokens of a candidate that is scored begin those of another."""
        if self.direction == "channel":
            return 0
        return sum(map(holds_beginning, self.candidates))


def encode(
    tokenizer: "PreTrainedTokenizerBase",
    template: str,
    demonstrations: Sequence[Example],
    queries: Sequence[Example],
    seam: str = "apart",
    overflow: str = "drop",
    limit: int | None = None,
    copies: int = 1,
    thinks: bool = False,
    delimiter: str = " ",
    chat: bool = False,
    groups: int = 1,
    query: str = "once",
    direction: str = "direct",
) -> Encoded:
    r"""Encode demonstrations, queries and candidates so that they fit a model of `limit` positions.

    Without demonstrations the queries follow the special tokens alone (zero-shot).

        >>> from transformers import ByT5Tokenizer  # its tokens are bytes
        >>> words = ("bad", "good")
        >>> shown = [Example("so dull", words, 0), Example("what fun", words, 1)]
        >>> prompt = encode(ByT5Tokenizer(), "{text}:", shown, [Example("fine", words, 1)])
        >>> ByT5Tokenizer().decode(prompt.demonstrations)
        'so dull: bad\n\nwhat fun: good\n\n'
        >>> prompt.spans, prompt.answers
        ((range(0, 14), range(14, 30)), (range(8, 12), range(23, 28)))
        >>> ByT5Tokenizer().decode(prompt.queries[0] + prompt.candidates[0][1])
        'fine: good'

    seam: "apart" tokenises the demonstrations and each query separately, as the authors' program
        does; "joint" tokenises them as one string and cuts it at the query's first token, which
        matters where the separator merges differently with what follows.
    overflow: thinking with continued positions reaches 2L, a query L + its length. If that
        exceeds `limit`, "drop" leaves out whole demonstrations from the front, "truncate" tokens
        from the left, "error" refuses.
    limit: the model's positions; None sets no limit.
    copies: how often the demonstrations that the overflow rule leaves are written in a row. Where
        so many do not fit in front of a query (or, if the model `thinks` about them, twice into
        `limit`), fewer are written, or "error" refuses. Truncated demonstrations are written once.
    delimiter: what joins the template and an answer.
    chat: whether the prompt is a chat, written by the tokenizer's own chat template: each
        demonstration is a turn of the user and one of the assistant, who answers without a
        delimiter. See `deepthink.tasks.chat`.
    groups: into how many groups of neighbours the demonstrations are shared out. Each is a prompt
        of its own, which has to fit by itself, and a query stands behind the longest. See
        `deepthink.tasks.grouping`; not with seam "joint", and not with copies.
    query: "once", or "twice", which writes each query (in a chat, what its turn says) again behind
        a blank line. Demonstrations are written once.
    direction: "direct", or "channel", which writes the answer first and scores the text, see
        `deepthink.tasks.channel`.

    Raises:
        UserError: nothing fits; an argument is no template or no example; the template holds a
            special token; the tokenizer does not know a candidate, cannot tell two label words
            apart, merges an answer with the template, or has no chat template that can be used.
    """
    check_settings(template, seam, overflow, copies, query, direction, chat)
    check_groups(groups, seam, copies)
    demonstrations, queries = checked(demonstrations), checked(queries)
    if not queries:
        raise UserError("a prompt needs at least one query")
    looks_special = 0
    repeats = QUERIES.index(query) + 1
    writing: Writing = Plain(template, delimiter, repeats)
    if chat:
        writing = in_chat = Chat.of(tokenizer, template, repeats)
        in_chat.check(tokenizer, demonstrations, queries)
    else:
        looks_special = count_special(tokenizer, template, (*demonstrations, *queries))
    if direction == "channel":
        prompts = _of_channel(tokenizer, Channel(template, delimiter), demonstrations, queries)
    else:
        prompts = _prompts(tokenizer, writing, demonstrations, queries, seam == "joint")
    parts = []
    for shots in shared_out(prompts.shots, groups):
        group = replace(prompts, shots=shots)
        fits = fit(group.measure, len(shots), queries, overflow, limit, copies, thinks)
        parts.append(group.encoded(fits))
    whole = side_by_side(parts) if groups > 1 else parts[0]
    return replace(whole, looks_special=looks_special, direction=direction)


@dataclass(frozen=True)
class _Prompts:
    """A job's prompts as text, to be tokenised with some of the demonstrations or all.

    front: what stands in front of all demonstrations. special: the ids that the tokenizer puts in
    front of running text. chat: whether the texts are a chat, in which special tokens are written
    out. separate: the ids of the queries; None where they are cut from those of whole prompts.
    """

    tokenizer: "PreTrainedTokenizerBase"
    front: str
    shots: Sequence[Shot]
    queries: Sequence[str]
    candidates: list[list[list[int]]]
    special: list[int]
    chat: bool
    separate: list[list[int]] | None

    def measure(self, first: int, copies: int) -> Sizes:
        """The sizes with the demonstrations from `first` on, so many times."""
        at_front = [0] if self.chat else []
        body, queries, places = self._tokenised([*self.shots[first:]] * copies, at_front)
        front = places[0] if places else len(self.special)
        return Sizes(front, len(body), query_sizes(queries, self.candidates))

    def encoded(self, shown: Fit) -> Encoded:
        """The prompts with these demonstrations, and where each of them stands."""
        shots = [*self.shots[shown.first :]] * shown.copies
        begins = accumulate((len(each.text) for each in shots), initial=0)
        characters = [
            begin + place
            for begin, each in zip(begins, shots, strict=False)
            for place in (0, *each.answer)
        ]
        body, queries, (front, *places) = self._tokenised(shots, [0, *characters])
        starts = [max(front, place - shown.cut) for place in (*places, len(body))]
        spans = [range(*ends) for ends in pairwise(starts[::3])]
        answers = [range(*ends) for ends in zip(starts[1::3], starts[2::3], strict=True)]
        gone = sum(not span for span in spans) if shown.cut else 0
        return Encoded(
            body[:front] + body[front + shown.cut :],
            queries,
            self.candidates,
            kept=len(self.shots) - shown.first - gone,
            truncated=shown.cut > 0,
            copies=shown.copies,
            spans=tuple(spans[gone:]),
            answers=tuple(answers[gone:]),
        )

    def _tokenised(
        self, shots: Sequence[Shot], characters: Sequence[int]
    ) -> tuple[list[int], list[list[int]], list[int]]:
        """The ids of the demonstrations and of the queries, and where characters of the shots are.

        What stands in front of the first shot is part of the demonstrations, and of the places.
        """
        text = self.front + "".join(each.text for each in shots)
        characters = [len(self.front) + place for place in characters]
        if self.separate is None:
            body, queries, places = tokenise_jointly(
                self.tokenizer, text, self.queries, characters, self.chat
            )
        elif characters:
            queries = self.separate
            body, places = tokenise_and_place(self.tokenizer, text, characters, self.chat)
        else:
            queries, places = self.separate, []
            (body,) = tokenise(self.tokenizer, [text], self.chat)
        before = len(self.special)
        return [*self.special, *body], queries, [before + place for place in places]


def _prompts(
    tokenizer: "PreTrainedTokenizerBase",
    writing: Writing,
    demonstrations: Sequence[Example],
    queries: Sequence[Example],
    joint: bool,
) -> _Prompts:
    chat = isinstance(writing, Chat)
    texts = [writing.query(example.text) for example in queries]
    words = list(dict.fromkeys(word for example in queries for word in example.candidates))
    led = [writing.lead + word for word in words]
    ids_of = dict(zip(words, continuations(tokenizer, writing.before, led, chat), strict=True))
    if len({example.candidates for example in queries}) == 1:
        check_different(ids_of)
    if chat:  # a turn has the tokens that it has behind the one before it
        ending = writing.end if demonstrations else writing.front
        separate = None if joint else following(tokenizer, ending, texts, special=True)
    else:
        separate = None if joint else tokenise(tokenizer, texts)
    return _Prompts(
        tokenizer,
        writing.front,
        [writing.shot(example) for example in demonstrations],
        texts,
        candidates=[[ids_of[word] for word in example.candidates] for example in queries],
        special=[] if chat else leading_special_ids(tokenizer, texts[0]),
        chat=chat,
        separate=separate,
    )


def _of_channel(
    tokenizer: "PreTrainedTokenizerBase",
    channel: Channel,
    demonstrations: Sequence[Example],
    queries: Sequence[Example],
) -> _Prompts:
    """The prompts of the noisy channel."""
    texts, candidates = channel.tokenised(tokenizer, queries)
    return _Prompts(
        tokenizer,
        channel.front,
        [channel.shot(example) for example in demonstrations],
        [example.text for example in queries],
        candidates=candidates,
        special=leading_special_ids(tokenizer, channel.part(queries[0].candidates[0])),
        chat=False,
        separate=texts,
    )
