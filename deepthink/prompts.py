r"""From examples to token ids. Pure text and tokens: no model, no files.

With the template "Review: {text}\nSentiment:" a prompt reads

    <s> Review: so dull\nSentiment: negative\n\n | Review: what fun\nSentiment: | positive
    special tokens, demonstrations                 | query                         | candidate
    └ demonstration ids ─────────────────────────┘ └ query ids ──────────────────┘ └ its ids ┘

Special tokens stand once, in front of the demonstrations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deepthink.errors import UserError, unknown
from deepthink.options import OVERFLOWS, SEAMS
from deepthink.structures import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SEPARATOR = "\n\n"


@dataclass(frozen=True)
class Encoded:
    """A job's prompts as token ids.

    demonstrations: L ids; queries: Q lists of ids, in the order given; candidates: per query, the
    ids of each of its candidates.
    kept: how many demonstrations are left, counted from the end, after the overflow rule.
    truncated: whether the first kept one lost its beginning.
    copies: how often the demonstrations are written, one after the other.
    """

    demonstrations: list[int]
    queries: list[list[int]]
    candidates: list[list[list[int]]]
    kept: int
    truncated: bool
    copies: int

    @property
    def longest(self) -> int:
        """How many positions a query may take with its longest candidate fed."""
        return max(
            len(query) + max(map(len, row)) - 1
            for query, row in zip(self.queries, self.candidates, strict=True)
        )


def encode(
    tokenizer: "PreTrainedTokenizerBase",
    template: str,
    demonstrations: Sequence[Example],
    queries: Sequence[Example],
    seam: str,
    overflow: str,
    limit: int | None,
    copies: int = 1,
    thinks: bool = False,
) -> Encoded:
    """Encode demonstrations, queries and candidates so that they fit a model of `limit` positions.

    Without demonstrations the queries follow the special tokens alone (zero-shot).

    seam: "apart" tokenises the demonstrations and each query separately, as the authors' program
        does; "joint" tokenises them as one string and cuts it at the query's first token, which
        matters where the separator merges differently with what follows.
    overflow: thinking with continued positions reaches 2L, a query L + its length. If that
        exceeds `limit`, "drop" leaves out whole demonstrations from the front, "truncate" tokens
        from the left, "error" refuses. The rule looks at neither T nor the position scheme, so
        that all methods read the same demonstrations.
    copies: the demonstrations that rule leaves are written so often in a row, or as often as fits
        in front of a query, twice over if the model `thinks` about them. "error" refuses fewer;
        truncated demonstrations are written once.

    Raises:
        UserError: nothing fits, or a candidate whose tokens merge with the template's.
    """
    if seam not in SEAMS:
        raise unknown("value of seam", seam, SEAMS)
    if overflow not in OVERFLOWS:
        raise unknown("value of overflow", overflow, OVERFLOWS)
    if not queries:
        raise UserError("a prompt needs at least one query")
    texts = [fill(template, example.text) for example in queries]
    tail = template.rpartition("{text}")[2].rpartition("\n")[2]
    words = list(dict.fromkeys(word for example in queries for word in example.candidates))
    answers = continuations(tokenizer, tail, [f" {word}" for word in words])
    ids_of = dict(zip(words, answers, strict=True))
    candidates = [[ids_of[word] for word in example.candidates] for example in queries]
    shots = [shot(template, example) for example in demonstrations]
    special = leading_special_ids(tokenizer)
    separate = tokenizer(texts, add_special_tokens=False)["input_ids"] if seam == "apart" else None

    def prompt(first: int, times: int) -> Encoded:
        """The demonstrations from `first` on, so many times."""
        shown = "".join(shots[first:]) * times
        if separate is None:
            body, ids = _tokenise_jointly(tokenizer, shown, texts)
        else:
            body, ids = _ids(tokenizer, shown), separate
        kept = len(shots) - first
        return Encoded(special + body, ids, candidates, kept, truncated=False, copies=times)

    if limit is None:
        return prompt(0, copies)
    for first in range(max(1, len(shots))):
        encoded = prompt(first, 1)
        room = min(limit // 2, limit - encoded.longest)
        if len(encoded.demonstrations) <= room:
            room = room if thinks else limit - encoded.longest
            several = (prompt(first, times) for times in range(copies, 1, -1))
            most = next((p for p in several if len(p.demonstrations) <= room), encoded)
            if most.copies < copies and overflow == "error":
                raise UserError(
                    f"{copies} copies of {encoded.kept} demonstrations do not fit the model's "
                    f"{limit} positions, {most.copies} do: set method.copies={most.copies}"
                )
            return most
        if overflow == "truncate" and shots and room > len(special):
            kept_ids = encoded.demonstrations[-(room - len(special)) :]
            kept = next(
                n
                for n in range(1, len(shots) + 1)
                if len(_ids(tokenizer, "".join(shots[-n:]))) >= len(kept_ids)
            )
            return replace(encoded, demonstrations=special + kept_ids, kept=kept, truncated=True)
        if overflow == "error":
            break
    if not shots:
        raise UserError(
            f"a query of {encoded.longest} tokens does not fit the model's {limit} positions"
        )
    raise UserError(
        f"{encoded.kept} demonstration{'s' * (encoded.kept > 1)} of "
        f"{len(encoded.demonstrations)} tokens, which thinking doubles, and a query of "
        f"{encoded.longest} do not fit the model's {limit} positions: use fewer or shorter "
        "demonstrations, prompt.overflow=drop or truncate, or a model with more"
    )


def fill(template: str, text: str) -> str:
    """The template with an instance's text; other braces stand for themselves."""
    return template.replace("{text}", text)


def shot(template: str, example: Example) -> str:
    """A demonstration as text: the filled template, the answer, and a blank line."""
    return f"{fill(template, example.text)} {example.candidates[example.label]}{SEPARATOR}"


def _tokenise_jointly(
    tokenizer: "PreTrainedTokenizerBase", shots: str, queries: Sequence[str]
) -> tuple[list[int], list[list[int]]]:
    """Ids of the demonstrations and of each query, cut from those of the whole prompts."""
    joint = tokenizer(
        [shots + query for query in queries],
        add_special_tokens=False,
        return_offsets_mapping=True,
    )
    cut = min(sum(end <= len(shots) for _, end in row) for row in joint["offset_mapping"])
    body = list(joint["input_ids"][0][:cut])
    if any(list(row[:cut]) != body for row in joint["input_ids"]):
        raise UserError("queries change how the demonstrations tokenise: use prompt.seam=apart")
    return body, [row[cut:] for row in joint["input_ids"]]


def _ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def leading_special_ids(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The ids the tokenizer puts in front of a text (a beginning-of-sequence token, or none)."""
    plain, full = _ids(tokenizer, "x"), list(tokenizer("x")["input_ids"])
    ends = (n for n in range(len(full)) if full[n : n + len(plain)] == plain)
    return full[: next(ends, 0)]


def continuations(
    tokenizer: "PreTrainedTokenizerBase", before: str, texts: Sequence[str]
) -> list[list[int]]:
    """The ids of each text where it follows `before`, for byte-level BPE and SentencePiece alike.

    A SentencePiece tokenizer marks the start of a string, so a text alone has other ids than in a
    sentence. UserError if the boundary is not a token boundary.
    """
    head = _ids(tokenizer, before)
    wholes = tokenizer([before + text for text in texts], add_special_tokens=False)["input_ids"]
    for text, whole in zip(texts, wholes, strict=True):
        if list(whole[: len(head)]) != head or len(whole) == len(head):
            raise UserError(
                f"'{text}' merges with '{before}' in this tokenizer: end the template elsewhere"
            )
    return [list(whole[len(head) :]) for whole in wholes]
