"""Where the final answer of a reference begins: in its text, and among its tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepthink.errors import UserError, shown
from deepthink.tasks.templates import anchor
from deepthink.tasks.tokens import tokenise, tokenise_and_place

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def final_answer(answer: str, mark: str) -> str:
    r"""The final answer in a reference: what stands behind the last `mark`, without spaces around.

    >>> final_answer("6 pans and 6 lids make 12.\n#### 12", "####")
    '12'

    Raises:
        ValueError: there is no mark, or nothing behind it.
    """
    _, found, rest = answer.rpartition(mark)
    if not found or not rest.strip():
        raise ValueError(f"has a reference answer with nothing behind '{mark}' (task.open.final)")
    return rest.strip()


def beginnings(
    tokenizer: "PreTrainedTokenizerBase",
    template: str,
    delimiter: str,
    references: Sequence[str],
    mark: str,
) -> list[int]:
    """How many tokens of each reference stand in front of its final answer, the mark included.

    The references are tokenised as `prompts.encode` does, behind the end of the template. The space
    behind the mark belongs to the final answer, as in most tokenizers.

    >>> from transformers import ByT5Tokenizer  # its tokens are bytes
    >>> beginnings(ByT5Tokenizer(), "{text}:", " ", ["so it is = 12"], "=")
    [11]

    Raises:
        UserError: the tokenizer has one token for the mark and the final answer.
    """
    before = anchor(template)
    (head,) = tokenise(tokenizer, [before])
    counts = []
    for reference in references:
        written = before + delimiter + reference
        place = written.rindex(mark) + len(mark)
        ids, (begun,) = tokenise_and_place(tokenizer, written, [place])
        if begun >= len(ids):
            raise UserError(
                f"this model's tokenizer reads '{mark}' and the final answer of "
                f"{shown(reference)} as one token: set another task.open.final"
            )
        counts.append(begun - len(head))
    return counts
