r"""From examples to token ids. Pure text and tokens: no model, no files.

With the template "Review: {text}\nSentiment:" a prompt reads

    <s> Review: so dull\nSentiment: negative\n\n | Review: what fun\nSentiment: | positive
    special tokens, demonstrations                 | query                         | candidate
    └ demonstration ids ─────────────────────────┘ └ query ids ──────────────────┘ └ its ids ┘

Special tokens stand once, in front of the demonstrations. What looks like one in a text is text.
An answer is the delimiter (here a space) and a candidate, in a demonstration and where it is
scored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from deepthink.errors import UserError, shown, unknown
from deepthink.settings import OVERFLOWS, SEAMS
from deepthink.structures import Example, Tokens
from deepthink.tasks.fitting import Fit, Sizes, fit
from deepthink.tasks.templates import Shot, anchor, fill, shot
from deepthink.tasks.tokens import (
    continuations,
    count_special,
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
    ids of each of its candidates.
    kept: how many demonstrations are left, counted from the end, after the overflow rule.
    truncated: whether the first kept one lost its beginning.
    copies: how often the demonstrations are written, one after the other.
    looks_special: how many of the texts hold what is written like a special token.
    spans: where each demonstration stands among the L ids, kept · copies ranges in reading order.
        They follow each other from the special tokens to the end. A token that merges the end of
        one with the beginning of the next belongs to the first.
    answers: which of these ids are the answer's, the delimiter included, one range in each span. It
        is empty where truncation took the answer.
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

    @property
    def sizes(self) -> list[int]:
        """How many positions each query may take with its longest candidate fed."""
        return _sizes(self.queries, self.candidates)

    @property
    def longest(self) -> int:
        """How many positions a query may take with its longest candidate fed."""
        return max(self.sizes)

    @property
    def beginnings(self) -> int:
        """In how many queries the tokens of a candidate begin those of another."""
        return sum(map(_holds_beginning, self.candidates))


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

    Raises:
        UserError: nothing fits; an argument is no template or no example; the template holds a
            special token; the tokenizer does not know a candidate, cannot tell two label words
            apart, or merges an answer with the template.
    """
    _check_settings(template, seam, overflow, copies)
    demonstrations, queries = _examples(demonstrations), _examples(queries)
    if not queries:
        raise UserError("a prompt needs at least one query")
    prompts = _prompts(tokenizer, template, demonstrations, queries, seam == "joint", delimiter)
    shots = len(demonstrations)
    shown = fit(prompts.measure, shots, queries, overflow, limit, copies, thinks)
    return prompts.encoded(shown)


@dataclass(frozen=True)
class _Prompts:
    """A job's prompts as text, to be tokenised with some of the demonstrations or all."""

    tokenizer: "PreTrainedTokenizerBase"
    shots: Sequence[Shot]
    queries: Sequence[str]
    candidates: list[list[list[int]]]
    special: list[int]
    looks_special: int
    separate: list[list[int]] | None
    """The ids of the queries, where each is tokenised by itself."""

    def measure(self, first: int, copies: int) -> Sizes:
        """The sizes with the demonstrations from `first` on, so many times."""
        text = "".join(each.text for each in self.shots[first:]) * copies
        body, queries, _ = self._tokenised(text, ())
        sizes = _sizes(queries, self.candidates)
        return Sizes(len(self.special), len(self.special) + len(body), sizes)

    def encoded(self, shown: Fit) -> Encoded:
        """The prompts with these demonstrations, and where each of them stands."""
        shots = [*self.shots[shown.first :]] * shown.copies
        begins = accumulate((len(each.text) for each in shots), initial=0)
        characters = [
            begin + place
            for begin, each in zip(begins, shots, strict=False)
            for place in (0, *each.answer)
        ]
        text = "".join(each.text for each in shots)
        body, queries, places = self._tokenised(text, characters)
        front = len(self.special)
        starts = [front + max(0, place - shown.cut) for place in (*places, len(body))]
        spans = [range(*ends) for ends in pairwise(starts[::3])]
        answers = [range(*ends) for ends in zip(starts[1::3], starts[2::3], strict=True)]
        gone = sum(not span for span in spans) if shown.cut else 0
        return Encoded(
            self.special + body[shown.cut :],
            queries,
            self.candidates,
            kept=len(self.shots) - shown.first - gone,
            truncated=shown.cut > 0,
            copies=shown.copies,
            looks_special=self.looks_special,
            spans=tuple(spans[gone:]),
            answers=tuple(answers[gone:]),
        )

    def _tokenised(
        self, text: str, characters: Sequence[int]
    ) -> tuple[list[int], list[list[int]], list[int]]:
        """The ids of the demonstrations and the queries, and the places of the characters."""
        if self.separate is None:
            return tokenise_jointly(self.tokenizer, text, self.queries, characters)
        if not characters:
            return tokenise(self.tokenizer, [text])[0], self.separate, []
        body, places = tokenise_and_place(self.tokenizer, text, characters)
        return body, self.separate, places


def _prompts(
    tokenizer: "PreTrainedTokenizerBase",
    template: str,
    demonstrations: Sequence[Example],
    queries: Sequence[Example],
    joint: bool,
    delimiter: str,
) -> _Prompts:
    texts = [fill(template, example.text) for example in queries]
    words = list(dict.fromkeys(word for example in queries for word in example.candidates))
    answers = continuations(tokenizer, anchor(template), [delimiter + word for word in words])
    ids_of = dict(zip(words, answers, strict=True))
    if len({example.candidates for example in queries}) == 1:
        _check_different(ids_of)
    return _Prompts(
        tokenizer,
        [shot(template, example, delimiter) for example in demonstrations],
        texts,
        candidates=[[ids_of[word] for word in example.candidates] for example in queries],
        looks_special=count_special(tokenizer, template, (*demonstrations, *queries)),
        special=leading_special_ids(tokenizer, texts[0]),
        separate=None if joint else tokenise(tokenizer, texts),
    )


def _check_settings(template: str, seam: str, overflow: str, copies: int) -> None:
    if not isinstance(template, str):
        raise UserError(f"the template is {shown(template)}: it must be a text with {{text}}")
    if seam not in SEAMS:
        raise unknown("value of seam", seam, SEAMS)
    if overflow not in OVERFLOWS:
        raise unknown("value of overflow", overflow, OVERFLOWS)
    if "{text}" not in template:
        raise UserError(
            f"the template '{template}' has no {{text}}, where an example's text stands"
        )
    if copies < 1:
        raise UserError(f"copies is {copies}: it must be 1 or more")


def _examples(given: Iterable[Example]) -> tuple[Example, ...]:
    """A list or a generator of examples as a checked tuple."""
    if isinstance(given, str | Example) or not isinstance(given, Iterable):
        raise UserError(f"a list of examples is needed, not {type(given).__name__}")
    examples = tuple(given)
    for example in examples:
        if not isinstance(example, Example):
            raise UserError(f"an Example is needed, not {type(example).__name__}")
        _check_candidates(example)
    return examples


def _check_candidates(example: Example) -> None:
    if not 0 <= example.label < len(example.candidates):
        raise UserError(
            f"an example has label {example.label}, but {len(example.candidates)} candidates"
        )
    if not all(word.strip() for word in example.candidates):
        raise UserError("an example has an empty candidate")
    if spaced := [word for word in example.candidates if word[0].isspace()]:
        raise UserError(
            f"an example has the candidate {spaced[0]!r}: leave out the space in front, the "
            "delimiter joins template and answer"
        )


def _check_different(ids_of: Mapping[str, Tokens]) -> None:
    """Raise UserError for label words with the same tokens: the first of them would always win."""
    seen: dict[tuple[int, ...], str] = {}
    for word, ids in ids_of.items():
        if (other := seen.setdefault(tuple(ids), word)) != word:
            raise UserError(
                f"the labels '{other}' and '{word}' are the same tokens to this model's tokenizer: "
                "use other task.labels"
            )


def _sizes(queries: Sequence[Tokens], candidates: Sequence[Sequence[Tokens]]) -> list[int]:
    """How many positions each query takes with its longest candidate, its last token not fed."""
    rows = zip(queries, candidates, strict=True)
    return [len(query) + max(map(len, words)) - 1 for query, words in rows]


def _holds_beginning(candidates: Sequence[Tokens]) -> bool:
    """Whether the tokens of one candidate begin those of another."""
    whole = {tuple(ids) for ids in candidates}
    return any(ids[:end] in whole for ids in whole for end in range(1, len(ids)))
