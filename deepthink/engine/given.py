"""What callers give: token ids in the forms in which tokenizers hand them out, and memories."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel

from deepthink.engine.memory import Memory
from deepthink.engine.support import vocabulary
from deepthink.errors import UserError, shown
from deepthink.structures import Tokens, token_ids, unmasked


def rows_of(given: Any, size: int, what: str) -> list[list[int]]:
    """Several lists of token ids, from lists, arrays, tensors, or what a tokenizer returns.

    A tokenizer's padding is left out where its attention mask says what is padding.

    given: a list of what `token_ids` takes; a tensor or array [Q, M]; or a mapping that has
    `input_ids`. size: of the vocabulary. what: what one of them is called.

    Raises:
        UserError: as `token_ids`.

    >>> rows_of({"input_ids": [[5, 0], [6, 7]], "attention_mask": [[1, 0], [1, 1]]}, 9, "a query")
    [[5], [6, 7]]
    """
    rows = unmasked(given) if isinstance(given, Mapping) else given
    if hasattr(rows, "tolist"):
        rows = rows.tolist()
    if isinstance(given, Mapping) and rows and not hasattr(rows[0], "__len__"):
        rows = [rows]  # a single text
    if isinstance(rows, str) or not isinstance(rows, Iterable):
        raise UserError(
            f"{what} must be an item of a list, also if it is the only one, but what is given is "
            f"{shown(given)}"
        )
    return [token_ids(row, size, what) for row in rows]


def asked(
    model: PreTrainedModel, queries: Any, candidates: Any
) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Queries, and the candidates of each, as lists of the model's token ids.

    Raises:
        UserError: what is no list of ids, queries and candidates of different numbers, or an empty
            one among them.

    >>> import torch
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11))
    >>> asked(model, torch.tensor([[1, 2], [3, 4]]), [[[5], (6, 7)], [torch.tensor([8])]])
    ([[1, 2], [3, 4]], [[[5], [6, 7]], [[8]]])
    """
    size = vocabulary(model)
    rows = rows_of(queries, size, "a query")
    if isinstance(candidates, str) or not isinstance(candidates, Iterable):
        raise UserError(
            "candidates must be, for each query, a list of lists of token ids, not "
            f"{shown(candidates)}"
        )
    answers = [rows_of(row, size, "a candidate") for row in candidates]
    check_asked(rows, answers)
    return rows, answers


def check_asked(queries: Sequence[Tokens], candidates: Sequence[Sequence[Tokens]]) -> None:
    """Raise UserError where queries and candidates do not belong together, or one is empty.

    >>> check_asked([[1]], [[[2], [3]]])
    """
    if len(queries) != len(candidates):
        raise UserError(f"{len(queries)} queries but {len(candidates)} lists of candidates")
    if not all(queries) or not all(all(row) and row for row in candidates):
        raise UserError("every query and every candidate needs at least one token")


def memory_for(model: PreTrainedModel, given: Any) -> Memory | None:
    """The memory that was given, or None; UserError for what is none, or another model's.

    >>> memory_for(None, iter([]))
    Traceback (most recent call last):
    deepthink.errors.UserError: memory is list_iterator …: take the last, *_, memory = think(…)
    """
    if given is None:
        return None
    if isinstance(given, Memory):
        given.check_origin(model)
        return given
    if isinstance(given, Iterator | list | tuple):
        raise UserError(
            f"memory is a {type(given).__name__}, but must be one of the memories that think "
            "yields one after another: take the last by *_, memory = think(…)"
        )
    raise UserError(
        f"memory must be one of those that think yields, not {type(given).__name__}: "
        "*_, memory = think(…)"
    )
