"""One forward over packed queries: the score of every candidate, and each query's state."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from deepthink.engine.forward import Forward
from deepthink.engine.layout import single
from deepthink.engine.memory import Memory
from deepthink.engine.output_layer import in_float32, log_probabilities
from deepthink.engine.packing import Packed, common_beginning, layout
from deepthink.errors import UserError
from deepthink.structures import Tokens


@dataclass(frozen=True)
class QueryScores:
    """What came out for one packed query: a score per candidate, and its state.

    state: [d], the input of the output layer at the query's last token, before any answer.
    """

    scores: list[float]
    state: Tensor


def share_beginning(
    forward: Forward, memory: Memory | None, queries: Sequence[Tokens]
) -> tuple[Memory | None, Sequence[Tokens]]:
    """Move the tokens that all queries begin with into the memory, or make one of them.

    Exact, since every query sees those tokens in the same context: the memory alone.
    """
    shared = common_beginning(queries)
    if not shared:
        return memory, queries
    places = single(shared, forward.model.device)
    beginning = queries[0][:shared]
    _, keys, values = forward(beginning, places, memory, start=_begin(memory), capture=True)
    rest = [query[shared:] for query in queries]
    if memory is None:
        return Memory(tuple(keys), tuple(values), step=1), rest
    return memory.extended(keys, values), rest


def _begin(memory: Memory | None) -> int:
    """The position of a query's first token."""
    return memory.length if memory else 0


def score_group(
    forward: Forward,
    memory: Memory | None,
    group: Sequence[Packed],
    answer_score: str,
) -> list[QueryScores]:
    """One forward: the scores of every candidate of the group's queries."""
    device = forward.model.device
    places, starts = layout(group, device)
    reads = [
        start + index
        for start, packed in zip(starts, group, strict=True)
        for candidate in packed.reads
        for index in candidate
    ]
    targets = [token for packed in group for candidate in packed.candidates for token in candidate]
    rows, inverse = torch.tensor(reads, device=device).unique(return_inverse=True)
    tokens = [token for packed in group for token in packed.tokens]
    with in_float32(forward.model) as inputs:
        logits, _, _ = forward(tokens, places, memory, start=_begin(memory), rows=rows)
    logs = log_probabilities(logits, inverse, torch.tensor(targets, device=device))
    if logs.isnan().any():
        raise UserError("the model's scores are not numbers: use model.dtype=bfloat16 or float32")
    per_token = iter((logs.exp() if answer_score == "probability" else logs).tolist())
    scores = [
        [
            sum(islice(per_token, len(candidate)))
            / (len(candidate) if answer_score == "mean" else 1)
            for candidate in packed.candidates
        ]
        for packed in group
    ]
    ends = [start + packed.reads[0][0] for start, packed in zip(starts, group, strict=True)]
    places_of_ends = torch.searchsorted(rows, torch.tensor(ends, device=device))
    last = inputs[0][0, places_of_ends.to(inputs[0].device)]
    return [QueryScores(*pair) for pair in zip(scores, last, strict=True)]
