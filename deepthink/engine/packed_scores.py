"""The scores of packed queries: states by forwards, and from these the candidates' scores."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

from deepthink.engine.forward import Forward
from deepthink.engine.layout import single
from deepthink.engine.memory import Memory
from deepthink.engine.out_of_memory import allocating
from deepthink.engine.packing import Packed, common_beginning, layout
from deepthink.engine.token_budget import TokenBudget
from deepthink.engine.transfer import sent
from deepthink.errors import UserError
from deepthink.structures import Tokens

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class QueryScores:
    """What came out for one packed query: a score per candidate, and its state.

    state: [d], the input of the output layer at the query's last token, before any answer.
    greedy: for each candidate, whether each of its tokens is the likeliest at its place; empty
        where this was not asked for.
    """

    scores: list[float]
    state: Tensor
    greedy: list[bool]


@dataclass(frozen=True)
class GroupStates:
    """The states of a group's queries at every token whose successor is predicted.

    states: [R, d]. rows: for each token of each candidate of each query, in this order, the state
    that predicts it. ends: for each query the state at its last token.
    """

    group: Sequence[Packed]
    states: Tensor
    rows: list[int]
    ends: list[int]


def share_beginning(
    forward: Forward, memory: Memory | None, queries: Sequence[Tokens]
) -> tuple[Memory | None, Sequence[Tokens]]:
    """Move the tokens that all queries begin with into the memory, or make one of them.

    Exact, since every query sees those tokens in the same context: the memory alone. They are the
    queries' own and have no gain.
    """
    shared = common_beginning(queries)
    if not shared:
        return memory, queries
    return grown(forward, memory, queries[0][:shared]), [query[shared:] for query in queries]


def grown(forward: Forward, memory: Memory | None, tokens: Tokens) -> Memory | None:
    """A memory followed by tokens that are read beside it; None for neither."""
    if not tokens:
        return memory
    places = single(len(tokens), forward.model.device)
    keys, values = forward.read(tokens, places, memory, _begin(memory))
    if memory is None:
        return Memory(tuple(keys), tuple(values), step=1)
    return memory.extended(keys, values)


def _begin(memory: Memory | None) -> int:
    """The position of a query's first token."""
    return memory.begin if memory else 0


def in_batches(
    packs: Sequence[Packed], budget: TokenBudget, run: Callable[[list[int]], T]
) -> Iterator[tuple[list[int], T]]:
    """Run packs by their indices, shortest first, as many at a time as the budget holds.

    Yields the indices that were run together, and what `run` made of them. The budget is halved
    where they do not fit into memory; UserError where a single one does not.
    """
    waiting = sorted(range(len(packs)), key=lambda i: len(packs[i].tokens))
    while waiting:
        taken = waiting[: budget.fitting([packs[i] for i in waiting])]
        try:
            with allocating():
                result = run(taken)
        except torch.OutOfMemoryError:
            budget.give_way([packs[i] for i in taken])
            continue
        del waiting[: len(taken)]
        yield taken, result


def states_of(forward: Forward, memory: Memory | None, group: Sequence[Packed]) -> GroupStates:
    """One forward over a group's queries."""
    device = forward.model.device
    places, starts = layout(group, device)
    reads = [
        start + index
        for start, packed in zip(starts, group, strict=True)
        for candidate in packed.reads
        for index in candidate
    ]
    wanted = sorted(set(reads))
    row = {index: number for number, index in enumerate(wanted)}
    tokens = [token for packed in group for token in packed.tokens]
    rows = sent(torch.tensor(wanted), device)
    states = forward.states(tokens, places, memory, _begin(memory), rows)
    ends = [row[start + packed.reads[0][0]] for start, packed in zip(starts, group, strict=True)]
    return GroupStates(group, states, [row[index] for index in reads], ends)


@dataclass(frozen=True)
class GroupLogs:
    """What groups leave: log p of each token of each candidate of each query [n], on the device.

    states: [Q, d], those at the queries' last tokens.
    likeliest: [n] bool, whether each token is the likeliest; None where this was not asked for.
    """

    packs: list[Packed]
    logs: Tensor
    states: Tensor
    likeliest: Tensor | None


def logs_of(forward: Forward, parts: Sequence[GroupStates], greedy: bool = False) -> GroupLogs:
    """The output layer over the states of some groups, one group after the other.

    greedy: whether to ask for the likeliest token, too.
    """
    firsts = _firsts([len(part.states) for part in parts])
    states = torch.cat([part.states for part in parts])
    rows = [first + row for first, part in zip(firsts, parts, strict=True) for row in part.rows]
    packs = [packed for part in parts for packed in part.group]
    targets = [token for packed in packs for candidate in packed.candidates for token in candidate]
    ends = [first + end for first, part in zip(firsts, parts, strict=True) for end in part.ends]
    logs = forward.log_probabilities(states, rows, targets)
    likeliest = None
    if greedy:
        best = forward.likeliest(states)[sent(torch.tensor(rows), states.device)]
        likeliest = best == sent(torch.tensor(targets), states.device)
    return GroupLogs(packs, logs, states[sent(torch.tensor(ends), states.device)], likeliest)


def scores_of(parts: Sequence[GroupLogs], answer_score: str) -> Iterator[QueryScores]:
    """The scores of all queries. The device is waited for here, and not before."""
    for part in parts:
        logs = part.logs.exp() if answer_score == "probability" else part.logs
        per_token = logs.tolist()
        if any(map(math.isnan, per_token)):
            raise UserError(
                "the model's scores are not numbers: use model.dtype=bfloat16 or float32"
            )
        combine = _mean if answer_score == "mean" else sum
        scores = _by_candidate(part.packs, per_token, combine)
        greedy: Iterator[list[bool]] = iter([[]] * len(part.packs))
        if part.likeliest is not None:
            greedy = _by_candidate(part.packs, part.likeliest.tolist(), all)
        yield from map(QueryScores, scores, part.states, greedy)


def _by_candidate(
    packs: Sequence[Packed], per_token: Iterable[T], combine: Callable[[list[T]], U]
) -> Iterator[list[U]]:
    """What `combine` makes of the tokens of each candidate of each query."""
    tokens = iter(per_token)
    for packed in packs:
        yield [combine(list(islice(tokens, len(answer)))) for answer in packed.candidates]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _firsts(sizes: Sequence[int]) -> list[int]:
    """Where each of several lists begins in all of them, one behind the other."""
    firsts = [0]
    for size in sizes:
        firsts.append(firsts[-1] + size)
    return firsts[:-1]
