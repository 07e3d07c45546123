r"""From examples to token ids. Pure text and tokens: no model, no files.

With the template "Review: {text}\nSentiment:" a prompt reads

    <s> Review: so dull\nSentiment: negative\n\n | Review: what fun\nSentiment: | positive
    special tokens, demonstrations                 | query                         | candidate
    └ demonstration ids ─────────────────────────┘ └ query ids ──────────────────┘ └ its ids ┘

Special tokens stand once, in front of the demonstrations; what looks like one in a text is text.
An answer is the delimiter (here a space) and a candidate, in a demonstration and where it is
scored.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deepthink.errors import UserError, unknown
from deepthink.settings import OVERFLOWS, SEAMS
from deepthink.structures import Example, Tokens

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
    looks_special: how many of the texts hold what is written like a special token.
    """

    demonstrations: list[int]
    queries: list[list[int]]
    candidates: list[list[list[int]]]
    kept: int
    truncated: bool
    copies: int
    looks_special: int = 0

    @property
    def sizes(self) -> list[int]:
        """How many positions each query may take with its longest candidate fed."""
        return [
            len(query) + max(map(len, row)) - 1
            for query, row in zip(self.queries, self.candidates, strict=True)
        ]

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
    seam: str,
    overflow: str,
    limit: int | None,
    copies: int = 1,
    thinks: bool = False,
    delimiter: str = " ",
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
    delimiter: what joins the template and an answer.

    Raises:
        UserError: nothing fits; what is no template or no example; a special token in the template;
            candidates that the tokenizer does not know or cannot tell apart, or whose tokens merge
            with the template's.
    """
    if seam not in SEAMS:
        raise unknown("value of seam", seam, SEAMS)
    if overflow not in OVERFLOWS:
        raise unknown("value of overflow", overflow, OVERFLOWS)
    demonstrations, queries = _examples(demonstrations), _examples(queries)
    if not queries:
        raise UserError("a prompt needs at least one query")
    if "{text}" not in template:
        raise UserError(
            f"the template '{template}' has no {{text}}, where an example's text stands"
        )
    if copies < 1:
        raise UserError(f"copies is {copies}: it must be 1 or more")
    texts = [fill(template, example.text) for example in queries]
    words = list(dict.fromkeys(word for example in queries for word in example.candidates))
    answers = continuations(tokenizer, anchor(template), [delimiter + word for word in words])
    ids_of = dict(zip(words, answers, strict=True))
    candidates = [[ids_of[word] for word in example.candidates] for example in queries]
    if len({example.candidates for example in queries}) == 1:
        _check_different(ids_of)
    looks_special = _count_special(tokenizer, template, (*demonstrations, *queries))
    shots = [shot(template, example, delimiter) for example in demonstrations]
    special = leading_special_ids(tokenizer, texts[0])
    separate = _tokenise(tokenizer, texts) if seam == "apart" else None

    def prompt(first: int, times: int) -> Encoded:
        """The demonstrations from `first` on, so many times."""
        shown = "".join(shots[first:]) * times
        if separate is None:
            body, ids = _tokenise_jointly(tokenizer, shown, texts)
        else:
            body, ids = _ids(tokenizer, shown), separate
        kept = len(shots) - first
        return Encoded(special + body, ids, candidates, kept, False, times, looks_special)

    if limit is None:
        return prompt(0, copies)
    for first in range(max(1, len(shots))):
        encoded = prompt(first, 1)
        room = min(limit // 2, limit - encoded.longest)
        if len(encoded.demonstrations) <= room:
            room = room if thinks else limit - encoded.longest
            most = _most_copies(prompt, encoded, first, copies, room)
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
    raise _does_not_fit(encoded, queries, overflow, limit, len(special))


def _does_not_fit(
    encoded: Encoded, queries: Sequence[Example], overflow: str, limit: int, special: int
) -> UserError:
    """What to say where not even one demonstration fits beside the longest query."""
    place = encoded.sizes.index(encoded.longest)
    begin = " ".join(queries[place].text.split())[:40]
    query = f"query {place + 1} of {len(queries)} ('{begin}…')"
    if not encoded.kept or encoded.longest + special >= limit:
        return UserError(
            f"{query} takes {encoded.longest} tokens, which leaves no room in the model's {limit} "
            "positions: leave its row out, or use a model with more"
        )
    ways = {"error": "prompt.overflow=drop or truncate", "drop": "prompt.overflow=truncate"}
    advice = [
        "use fewer or shorter demonstrations",
        *([ways[overflow]] if overflow in ways else []),
    ]
    return UserError(
        f"{encoded.kept} demonstration{'s' * (encoded.kept > 1)} of "
        f"{len(encoded.demonstrations)} tokens, which thinking doubles, and {encoded.longest} of "
        f"{query} do not fit the model's {limit} positions: {', '.join(advice)}, or a model with "
        "more"
    )


def _most_copies(
    prompt: Callable[[int, int], Encoded], once: Encoded, first: int, copies: int, room: int
) -> Encoded:
    """The prompt with the most copies, one at least, that fits into `room` tokens."""
    # a merge at a seam never halves a copy
    most = min(copies, 2 * room // max(1, len(once.demonstrations)))
    several = (prompt(first, times) for times in range(most, 1, -1))
    return next((found for found in several if len(found.demonstrations) <= room), once)


def fill(template: str, text: str) -> str:
    """The template with an instance's text; other braces stand for themselves."""
    return template.replace("{text}", text)


def shot(template: str, example: Example, delimiter: str = " ") -> str:
    """A demonstration as text: the filled template, the answer, and a blank line."""
    answer = delimiter + example.candidates[example.label]
    return fill(template, example.text) + answer + SEPARATOR


def anchor(template: str) -> str:
    """The end of the template behind which an answer has the tokens it has in a whole prompt.

    Its last line; where that is blank, all that follows the text, a letter in front if need be:
    SentencePiece marks the start of a string, so blanks there are other tokens than behind words.
    """
    end = template.rpartition("{text}")[2]
    line = end.rpartition("\n")[2]
    if line.strip():
        return line
    return end if end.strip() else f"x{end}"


def _examples(given: Iterable[Example]) -> tuple[Example, ...]:
    """What was given, a generator too, as examples with an answer each."""
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
    """Refuse label words that are one to the tokenizer: the first would always win."""
    seen: dict[tuple[int, ...], str] = {}
    for word, ids in ids_of.items():
        if (other := seen.setdefault(tuple(ids), word)) != word:
            raise UserError(
                f"the labels '{other}' and '{word}' are the same tokens to this model's tokenizer: "
                "use other task.labels"
            )


def _holds_beginning(candidates: Sequence[Tokens]) -> bool:
    """Whether one of the candidates begins another."""
    whole = {tuple(ids) for ids in candidates}
    return any(ids[:end] in whole for ids in whole for end in range(1, len(ids)))


def _count_special(
    tokenizer: "PreTrainedTokenizerBase", template: str, examples: Iterable[Example]
) -> int:
    """How many examples hold what is written like a special token.

    UserError if the template does, or if the tokenizer cannot read it as text (words as a whole and
    unigrams are looked up as they stand).
    """
    tokens = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    tokens = {token for token in tokens if token.strip()}
    if not tokens:
        return 0
    written = re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))))
    if found := written.search(template):
        raise UserError(
            f"task.template holds the special token {found[0]}, which would be read as text: "
            "leave it out"
        )
    found_in = [set(written.findall("\n".join((e.text, *e.candidates)))) for e in examples]
    for token in sorted(set().union(*found_in) - {tokenizer.unk_token}):
        if tokenizer.convert_tokens_to_ids(token) in _ids(tokenizer, token):
            raise UserError(
                f"a row holds {token}, which this model's tokenizer takes for its special token in "
                "a text too: leave the row out"
            )
    return sum(map(bool, found_in))


def _tokenise(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]) -> list[list[int]]:
    """The ids of each text by itself, what is written like a special token being text."""
    found = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)
    return [list(ids) for ids in found["input_ids"]]


def _ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    return _tokenise(tokenizer, [text])[0]


def _tokenise_jointly(
    tokenizer: "PreTrainedTokenizerBase", shots: str, queries: Sequence[str]
) -> tuple[list[int], list[list[int]]]:
    """Ids of the demonstrations and of each query, cut from those of the whole prompts."""
    if not tokenizer.is_fast:
        raise UserError(
            "prompt.seam=joint needs to know where each token stands in the text, which "
            f"{type(tokenizer).__name__} does not say: use prompt.seam=apart"
        )
    joint = tokenizer(
        [shots + query for query in queries],
        add_special_tokens=False,
        split_special_tokens=True,
        return_offsets_mapping=True,
    )
    cut = min(sum(end <= len(shots) for _, end in row) for row in joint["offset_mapping"])
    body = list(joint["input_ids"][0][:cut])
    if any(list(row[:cut]) != body for row in joint["input_ids"]):
        raise UserError("queries change how the demonstrations tokenise: use prompt.seam=apart")
    return body, [row[cut:] for row in joint["input_ids"]]


def leading_special_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """The ids the tokenizer puts in front of a text (a beginning-of-sequence token, or none)."""
    plain = _ids(tokenizer, text)
    if not plain:
        raise UserError(f"this model's tokenizer knows nothing of '{text}'")
    full = list(tokenizer(text, split_special_tokens=True)["input_ids"])
    for begin in range(len(full) - len(plain), -1, -1):
        if full[begin : begin + len(plain)] == plain:
            return full[:begin]
    raise UserError("this model's tokenizer reads a text otherwise when it adds special tokens")


def continuations(
    tokenizer: "PreTrainedTokenizerBase", before: str, texts: Sequence[str]
) -> list[list[int]]:
    """The ids of each text where it follows `before`, for byte-level BPE and SentencePiece alike.

    A SentencePiece tokenizer marks the start of a string, so a text alone has other ids than in a
    sentence. UserError if the boundary is not a token boundary, or no token knows the text.
    """
    head, *wholes = _tokenise(tokenizer, [before, *(before + text for text in texts)])
    for text, whole in zip(texts, wholes, strict=True):
        if whole[: len(head)] != head:
            raise UserError(
                f"{text!r} merges with {before!r} in this model's tokenizer: end task.template "
                "elsewhere, without a space, or set another task.delimiter"
            )
        known = [token for token in whole[len(head) :] if token != tokenizer.unk_token_id]
        if not str(tokenizer.decode(known)).strip():
            raise UserError(f"this model's tokenizer knows no part of the answer '{text.strip()}'")
    return [whole[len(head) :] for whole in wholes]
