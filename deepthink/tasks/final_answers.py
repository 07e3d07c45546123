"""Where the final answer of a reference begins: in its text, and among its tokens."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from deepthink.errors import UserError, shown
from deepthink.tasks.templates import anchor
from deepthink.tasks.tokens import tokenise_and_place

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
    references: Mapping[str, Sequence[int]],
    mark: str,
) -> list[int]:
    """How many tokens of each reference stand in front of its final answer, the mark included.

    The space behind the mark belongs to the final answer, as in most tokenizers.

    Args:
        tokenizer: the model's.
        template: of the prompt.
        references: each reference with its token ids in the prompt, the delimiter in front of it
            included.
        mark: the words in front of a final answer.

    >>> from transformers import ByT5Tokenizer  # its tokens are bytes
    >>> tokenizer = ByT5Tokenizer()
    >>> ids = tokenizer(" so it is = 12", add_special_tokens=False)["input_ids"]
    >>> beginnings(tokenizer, "{text}:", {"so it is = 12": ids}, "=")
    [11]

    Raises:
        UserError: the final answer has no tokens of its own, or others in the prompt.
    """
    before = anchor(template) + " "
    counts = []
    for reference, wanted in references.items():
        written = before + reference
        place = written.rindex(mark) + len(mark)
        ids, (begun,) = tokenise_and_place(tokenizer, written, [place])
        final = ids[begun:]
        if not final or list(wanted[-len(final) :]) != final or len(final) >= len(wanted):
            raise UserError(
                f"this model's tokenizer has no tokens for the final answer of {shown(reference)} "
                f"alone, behind '{mark}': set another task.open.final"
            )
        counts.append(len(wanted) - len(final))
    return counts
