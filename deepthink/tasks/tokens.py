"""Texts as token ids: how a tokenizer is called, and what of it is checked.

Special tokens are never added by these functions. What is written like one in a text is tokenised
as text, unless `special` says that it is one, as it is in what a chat template writes.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from deepthink.errors import UserError, shown
from deepthink.structures import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tokenise(
    tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], special: bool = False
) -> list[list[int]]:
    """The ids of each text by itself."""
    rows = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=not special)
    return [list(ids) for ids in rows["input_ids"]]


def tokenise_and_place(
    tokenizer: "PreTrainedTokenizerBase",
    text: str,
    characters: Sequence[int],
    special: bool = False,
) -> tuple[list[int], list[int]]:
    """The ids of a text, and for each place between characters how many tokens begin before it.

    A token that spans a place counts as before it. A tokenizer that cannot say where its tokens
    stand is asked for the ids of the text up to each place instead.
    """
    if tokenizer.is_fast:
        row = tokenizer(
            text,
            add_special_tokens=False,
            split_special_tokens=not special,
            return_offsets_mapping=True,
        )
        return list(row["input_ids"]), places(row["offset_mapping"], characters)
    texts = [text, *(text[:place] for place in characters)]
    whole, *beginnings = tokenise(tokenizer, texts, special)
    return whole, [_spanned(whole, ids) for ids in beginnings]


def tokenise_jointly(
    tokenizer: "PreTrainedTokenizerBase",
    shown: str,
    queries: Sequence[str],
    characters: Sequence[int] = (),
    special: bool = False,
) -> tuple[list[int], list[list[int]], list[int]]:
    """The ids of the demonstrations and of each query, cut from those of the whole prompts.

    The last part is as in `tokenise_and_place`, for places in the demonstrations.

    Raises:
        UserError: a tokenizer that cannot say where its tokens stand, or one to which the
            demonstrations are other tokens before one query than before another.
    """
    if not tokenizer.is_fast:
        raise UserError(
            "prompt.seam=joint needs to know where each token stands in the text, which "
            f"{type(tokenizer).__name__} does not say: use prompt.seam=apart"
        )
    joint = tokenizer(
        [shown + query for query in queries],
        add_special_tokens=False,
        split_special_tokens=not special,
        return_offsets_mapping=True,
    )
    cut = min(sum(end <= len(shown) for _, end in row) for row in joint["offset_mapping"])
    body = list(joint["input_ids"][0][:cut])
    if any(list(row[:cut]) != body for row in joint["input_ids"]):
        raise UserError("queries change how the demonstrations tokenise: use prompt.seam=apart")
    placed = places(joint["offset_mapping"][0][:cut], characters)
    return body, [list(row[cut:]) for row in joint["input_ids"]], placed


def places(offsets: Iterable[Sequence[int]], characters: Sequence[int]) -> list[int]:
    """For each place between characters, how many of the tokens at `offsets` begin before it.

    >>> places([(0, 4), (4, 6), (6, 9)], [0, 4, 5])
    [0, 1, 2]
    """
    begins = list(accumulate((begin for begin, _ in offsets), max))
    return [bisect_left(begins, place) for place in characters]


def _spanned(whole: Sequence[int], beginning: Sequence[int]) -> int:
    """How many tokens of a text begin within its beginning, by the ids of both."""
    pairs = zip(whole, beginning, strict=False)
    common = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(whole), len(beginning)))
    return common if common == len(beginning) else common + 1


def leading_special_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """The ids the tokenizer puts in front of a text (a beginning-of-sequence token, or none).

    Raises:
        UserError: a text of which the tokenizer knows nothing, or a tokenizer that makes other
            tokens of a text when it adds special ones.
    """
    (plain,) = tokenise(tokenizer, [text])
    if not plain:
        raise UserError(f"this model's tokenizer knows nothing of '{text}'")
    full = list(tokenizer(text, split_special_tokens=True)["input_ids"])
    for begin in range(len(full) - len(plain), -1, -1):
        if full[begin : begin + len(plain)] == plain:
            return full[:begin]
    raise UserError("this model's tokenizer reads a text otherwise when it adds special tokens")


_MERGES = "end task.template elsewhere, without a space, or set another task.delimiter"
_MERGES_IN_CHAT = "leave out prompt.chat"


def following(
    tokenizer: "PreTrainedTokenizerBase",
    before: str,
    texts: Sequence[str],
    special: bool = False,
) -> list[list[int]]:
    """The ids of each text where it follows `before`, for byte-level BPE and SentencePiece alike.

    A SentencePiece tokenizer marks the start of a string, so a text alone has other ids than in a
    sentence.

    special: whether the texts are parts of a chat. Then `before` may have other ids by itself.

    Raises:
        UserError: the boundary is not a token boundary.
    """
    head, *wholes = tokenise(tokenizer, [before, *(before + text for text in texts)], special)
    rows = [whole[len(head) :] for whole in wholes]
    for place, whole in enumerate(wholes):
        if whole[: len(head)] == head:
            continue
        rest = _behind(tokenizer, before, texts[place]) if special and tokenizer.is_fast else None
        if rest is None:
            raise UserError(
                f"{shown(texts[place])} merges with {shown(before)} in this model's tokenizer: "
                f"{_MERGES_IN_CHAT if special else _MERGES}"
            )
        rows[place] = rest
    return rows


def _behind(tokenizer: "PreTrainedTokenizerBase", before: str, text: str) -> list[int] | None:
    """The ids of a text behind another that has other ids in front of it than alone.

    Two line breaks, for example, may be one token at the end of a text, and two in front of a word.
    None where a token spans the boundary.
    """
    row = tokenizer(before + text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = row["offset_mapping"]
    within = sum(begin < len(before) for begin, _ in offsets)
    if max((end for _, end in offsets[:within]), default=0) > len(before):
        return None
    return list(row["input_ids"][within:])


def continuations(
    tokenizer: "PreTrainedTokenizerBase",
    before: str,
    texts: Sequence[str],
    special: bool = False,
) -> list[list[int]]:
    """As `following`, for texts that are answers; UserError also for one that no token knows."""
    rows = following(tokenizer, before, texts, special)
    for text, ids in zip(texts, rows, strict=True):
        known = [token for token in ids if token != tokenizer.unk_token_id]
        if not str(tokenizer.decode(known)).strip():
            raise UserError(f"this model's tokenizer knows no part of the answer '{text.strip()}'")
    return rows


def special_texts(tokenizer: "PreTrainedTokenizerBase") -> re.Pattern[str] | None:
    """A pattern of all that is written like a special token; None where there is no such token."""
    tokens = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    tokens = {token for token in tokens if token.strip()}
    if not tokens:
        return None
    return re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))))


def count_special(
    tokenizer: "PreTrainedTokenizerBase", template: str, examples: Iterable[Example]
) -> int:
    """How many examples hold what is written like a special token.

    Raises:
        UserError: the template holds such a token, or the tokenizer cannot read one as text, as
            those that look up whole words or unigrams as they stand.
    """
    if (written := special_texts(tokenizer)) is None:
        return 0
    if match := written.search(template):
        raise UserError(
            f"task.template holds the special token {match[0]}, which would be read as text: "
            "leave it out"
        )
    held = [set(written.findall("\n".join((e.text, *e.candidates)))) for e in examples]
    for token in sorted(set().union(*held) - {tokenizer.unk_token}):
        if tokenizer.convert_tokens_to_ids(token) in tokenise(tokenizer, [token])[0]:
            raise UserError(
                f"a row holds {token}, which this model's tokenizer takes for its special token in "
                "a text too: leave the row out"
            )
    return sum(map(bool, held))
