"""The test stage (§3.2): candidates of every query scored against a memory (Eq. 1 and 6).

Tokens are packed without padding, and no token is computed twice: see `packing`. There, log p(a b)
= log p(a | …q2) + log p(b | …q2 a). What the queries of a call have in common at their beginning
(the template's first words) is computed once and joins the memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice, takewhile
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from deepthink.engine.forward import Forward
from deepthink.engine.layout import single
from deepthink.engine.memory import Memory
from deepthink.engine.out_of_memory import allocating
from deepthink.engine.packing import Packed, branch, common_beginning, layout, pack
from deepthink.engine.support import check_model, iterated, vocabulary
from deepthink.errors import UserError, unknown
from deepthink.settings import ANSWER_SCORES
from deepthink.structures import Tokens, token_ids

_HEAD_ROWS = 64
"""Rows of logits normalised at a time, so that the vocabulary-wide intermediates stay small."""

_HEAD_WEIGHTS = 1 << 22
"""Weights of the output layer widened to float32 at a time (16 MiB)."""

_TREE_TOKENS = 512
"""The most a tree of one context and its queries may hold: every token attends to all of them."""


@dataclass
class TokenBudget:
    """How many tokens one forward may carry; halved for good whenever memory runs out."""

    tokens: int

    @classmethod
    def default(cls, device: torch.device) -> "TokenBudget":
        """1,024 on a CPU, where more gains nothing; 16,384 on an accelerator."""
        return cls(1024 if device.type == "cpu" else 16_384)

    def give_way(self, group: Sequence[Packed]) -> None:
        """Halve after `group` ran out of memory; UserError if it was a single query."""
        if len(group) == 1:
            raise UserError(
                f"a single query of {len(group[0].tokens)} tokens does not fit into memory: "
                "use a smaller model or a narrower dtype"
            )
        self.tokens = sum(len(packed.tokens) for packed in group) // 2


@dataclass(frozen=True)
class Read:
    """What came out for one packed query: a score per candidate, and its state.

    state: [d], the input of the output layer at the query's last token, before any answer.
    """

    scores: list[float]
    state: Tensor


def score(
    model: PreTrainedModel,
    memory: Memory | None,
    queries: Sequence[Tokens],
    candidates: Sequence[Sequence[Tokens]],
    answer_score: str = "sum",
    budget: TokenBudget | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[list[float]]:
    """Score each query's candidates given the memory of the demonstrations (Eq. 1 and 6).

    Args:
        model: the model the memory was made with, in eval mode.
        memory: from `think`, and queries stand at positions L, L+1, …; None scores the queries
            by themselves, from position 0 (zero-shot).
        queries: Q lists of token ids, none empty.
        candidates: per query, its candidates' token ids, none empty; numbers may differ.
        answer_score: "sum" of the answer tokens' log-probabilities (nats), their "mean", or the
            "probability" sum (of probabilities, §4.3 taken literally).
        budget: tokens per forward; a default by device. Never changes a score beyond rounding.
        progress: called with the number of queries just finished.

    Returns:
        Q rows, one number per candidate, in the order given; the highest is the prediction.

    Raises:
        UserError: an empty query or candidate, ids that are not the model's, a memory of another
            model, or a single query that does not fit into memory.
    """
    read = _read(model, memory, queries, candidates, answer_score, budget, progress)
    return [one.scores for one in read]


def score_with_states(
    model: PreTrainedModel,
    queries: Sequence[Tokens],
    candidates: Sequence[Sequence[Tokens]],
    answer_score: str = "sum",
    budget: TokenBudget | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[list[list[float]], Tensor]:
    """The zero-shot scores of `score`, and from the same forwards the queries' states.

    Returns the scores and [Q, d] float32 on the CPU: the input of the output layer (after the
    final norm, where there is one) at each query's last token. Arguments and errors as `score`'s.
    """
    read = _read(model, None, queries, candidates, answer_score, budget, progress)
    return [one.scores for one in read], torch.stack([one.state for one in read]).float().cpu()


def score_after(
    model: PreTrainedModel,
    contexts: Sequence[Tokens],
    queries: Sequence[Sequence[Tokens]],
    candidates: Sequence[Sequence[Sequence[Tokens]]],
    answer_score: str = "sum",
    budget: TokenBudget | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[list[list[float]]]:
    """Score queries after each of many plain prompts (T = 1), many prompts in a forward.

    A context and its queries are one tree, in which the context and whatever queries share at
    their beginning is computed once; trees are packed side by side. A context with more queries
    than a tree should hold is read once and remembered for them.

    contexts are S lists of token ids, which may be empty (zero-shot); queries and candidates, for
    each context, are as in `score`, and so are the other arguments and errors. Returns for each
    context the rows that `score` returns.
    """
    results: list[list[list[float]]] = [[] for _ in contexts]
    small: list[int] = []
    for index, (context, own, answers) in enumerate(
        zip(contexts, queries, candidates, strict=True)
    ):
        _check(own, answers)
        if len(context) and len(context) + sum(map(len, own)) <= _TREE_TOKENS:
            small.append(index)
            continue
        whole = [[*context, *query] for query in own]
        results[index] = score(model, None, whole, answers, answer_score, budget, progress)
    if not small:
        return results
    with iterated(model) as forward:
        trees = [branch(contexts[i], queries[i], candidates[i]) for i in small]
        sizes = [len(queries[i]) for i in small]

        def advance(done: Sequence[int]) -> None:
            if progress:
                progress(sum(sizes[i] for i in done))

        reads = _read_packed(forward, None, trees, answer_score, budget, advance)
    for index, read in zip(small, reads, strict=True):
        numbers = iter(read.scores)
        results[index] = [list(islice(numbers, len(row))) for row in candidates[index]]
    return results


def _check(queries: Sequence[Tokens], candidates: Sequence[Sequence[Tokens]]) -> None:
    if len(queries) != len(candidates):
        raise UserError(f"{len(queries)} queries but {len(candidates)} lists of candidates")
    if not all(queries) or not all(all(row) and row for row in candidates):
        raise UserError("every query and every candidate needs at least one token")


def _plain(
    model: PreTrainedModel, queries: Iterable[Any], candidates: Iterable[Any]
) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Queries and candidates, arrays or tensors too, as lists of the model's token ids."""
    size = vocabulary(model)
    try:
        return (
            [token_ids(ids, size, "a query") for ids in queries],
            [[token_ids(ids, size, "a candidate") for ids in row] for row in candidates],
        )
    except TypeError as error:
        raise UserError(
            "queries must be a list of lists of token ids, candidates for each query such a list"
        ) from error


def _read(
    model: PreTrainedModel,
    memory: Memory | None,
    queries: Sequence[Tokens],
    candidates: Sequence[Sequence[Tokens]],
    answer_score: str,
    budget: TokenBudget | None,
    progress: Callable[[int], object] | None,
) -> list[Read]:
    check_model(model)
    queries, candidates = _plain(model, queries, candidates)
    _check(queries, candidates)
    if not queries:
        return []
    if not isinstance(memory, Memory | None):
        raise UserError(
            f"memory must be one of those that think yields, not {type(memory).__name__}"
        )
    with iterated(model) as forward:
        memory, queries = share_beginning(
            forward, memory.to(model.dtype) if memory else None, queries
        )
        packs = [pack(q, row) for q, row in zip(queries, candidates, strict=True)]

        def advance(done: Sequence[int]) -> None:
            if progress:
                progress(len(done))

        return _read_packed(forward, memory, packs, answer_score, budget, advance)


def _read_packed(
    forward: Forward,
    memory: Memory | None,
    packs: Sequence[Packed],
    answer_score: str,
    budget: TokenBudget | None,
    advance: Callable[[Sequence[int]], None],
) -> list[Read]:
    """Forward the packs, shortest first, as many at a time as the budget holds."""
    if answer_score not in ANSWER_SCORES:
        raise unknown("value of answer_score", answer_score, ANSWER_SCORES)
    budget = budget or TokenBudget.default(forward.model.device)
    waiting = sorted(range(len(packs)), key=lambda i: len(packs[i].tokens))
    found: dict[int, Read] = {}
    while waiting:
        taken = waiting[: _fitting(waiting, packs, budget.tokens)]
        group = [packs[i] for i in taken]
        try:
            with allocating():
                reads = _read_group(forward, memory, group, answer_score)
        except torch.OutOfMemoryError:
            budget.give_way(group)
            continue
        found.update(zip(taken, reads, strict=True))
        del waiting[: len(taken)]
        advance(taken)
    return [found[i] for i in range(len(packs))]


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


def _fitting(waiting: Sequence[int], packs: Sequence[Packed], budget: int) -> int:
    """How many of the waiting queries, at least one, stay within the budget together."""
    totals = accumulate(len(packs[i].tokens) for i in waiting)
    return max(1, sum(1 for _ in takewhile(lambda total: total <= budget, totals)))


def _read_group(
    forward: Forward,
    memory: Memory | None,
    group: Sequence[Packed],
    answer_score: str,
) -> list[Read]:
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
    with _output_layer(forward.model) as inputs:
        logits, _, _ = forward(tokens, places, memory, start=_begin(memory), rows=rows)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    totals = torch.cat([part.logsumexp(-1) for part in logits.split(_HEAD_ROWS)])
    logs = logits[inverse, torch.tensor(targets, device=device)] - totals[inverse]
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
    asked = [start + packed.reads[0][0] for start, packed in zip(starts, group, strict=True)]
    last = inputs[0][0, torch.searchsorted(rows, torch.tensor(asked, device=device))]
    return [Read(*pair) for pair in zip(scores, last, strict=True)]


@contextmanager
def _output_layer(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Collects the inputs [1, rows, d] of the output layer, which computes in float32 or wider.

    Logits of half precision are so coarse that candidates get equal scores. Whatever the model
    does with its logits afterwards (a scale, a soft cap) is then done in float32 too.
    """
    inputs: list[Tensor] = []
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    if head.weight.dtype.itemsize < torch.float32.itemsize:
        head.__dict__["forward"] = partial(_wide_logits, head)
    try:
        yield inputs
    finally:
        hook.remove()
        head.__dict__.pop("forward", None)


def _wide_logits(head: nn.Linear, inputs: Tensor) -> Tensor:
    """The output layer in float32, whose weights are widened a part of the vocabulary at a time."""
    rows = inputs.float()
    words = max(1, _HEAD_WEIGHTS // rows.shape[-1])
    logits = torch.cat([rows @ part.float().T for part in head.weight.split(words)], dim=-1)
    return logits if head.bias is None else logits + head.bias.float()
