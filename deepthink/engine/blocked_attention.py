"""Iterated attention on a CPU in float32, by oneDNN's products over blocks of rows.

PyTorch's fused kernel for CPUs multiplies at the rate of its plain matrix product, which on recent
processors is half of oneDNN's. Here the scores of a block of rows are written out, a block small
enough to stay in the processor's cache. Two ways, which give the same numbers up to rounding:

    long sequences    each by itself: its tokens over [memory | their predecessors], one softmax
    short sequences   all of them at once over themselves; the log-sum-exp of that is one more
                      column of the memory's scores, so that the softmax over these columns says how
                      much of a token's attention goes to its own sequence

The slots' gains are the bias of the product that makes their scores, and cost nothing.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional

from deepthink.engine import sight
from deepthink.engine.layout import Layout
from deepthink.engine.prepack import product

LONG = 64
"""Sequences of so many tokens on average are attended one by one."""

ROWS = 384
"""Rows of scores, one for each token and query head of a key head, in a block of one sequence."""

PADDING = 1.1
"""By how much the longest of sequences that are attended together may exceed the shortest."""

SCORES = 1 << 20
"""Scores over the memory in a block of rows (4 MiB)."""

Past = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class _Part:
    """Neighbouring sequences of similar length: how many, the first, their tokens, the longest."""

    first: int
    count: int
    tokens: slice
    longest: int


def attended(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    past: Past | None,
    scale: float,
    window: int | None,
    layout: Layout,
) -> Tensor:
    """As `kernels.attended`; float32 on a CPU, and autograd does not follow.

    >>> from deepthink.engine.layout import single
    >>> q = k = torch.zeros(1, 2, 1)
    >>> v = torch.tensor([[[1.0], [3.0]]])
    >>> attended(q, k, v, (k, v), 1.0, None, single(2, q.device)).flatten().round(decimals=4)
    tensor([1.6667, 2.0000])
    """
    heads, tokens, width = q.shape
    groups = k.shape[0]
    # [G, N, R, D]: the R query heads of a key head are neighbouring rows, so that a sequence's
    # tokens and heads are one block of rows
    rows = q.new_empty(groups, tokens, heads // groups, width)
    torch.mul(q.unflatten(0, (groups, -1)).transpose(1, 2), scale, out=rows)
    out = q.new_empty(tokens, groups, heads // groups, v.shape[-1])
    if tokens >= LONG * len(layout.lengths):
        _one_by_one(rows, k, v, past, window, layout, out)
    else:
        _together(rows, k, v, past, window, layout, out)
    return out.flatten(1, 2).transpose(0, 1)


def _one_by_one(
    rows: Tensor,
    k: Tensor,
    v: Tensor,
    past: Past | None,
    window: int | None,
    layout: Layout,
    out: Tensor,
) -> None:
    """Each sequence over the memory and itself; writes [N, G, R, D] into `out`."""
    groups, _, shared, _ = rows.shape
    length = 0 if past is None else past[0].shape[1]
    step = max(1, ROWS // shared)
    gains = _gains(layout, length, max(layout.lengths))
    ends = list(accumulate(layout.lengths))
    for sequence, (end, size) in enumerate(zip(ends, layout.lengths, strict=True)):
        begin = end - size
        hidden = _hidden(layout, sequence, slice(begin, end), length, window)
        for group in range(groups):
            # oneDNN is slow where rows do not follow each other in memory
            keys, values = k[group, begin:end].contiguous(), v[group, begin:end].contiguous()
            if past is not None:
                keys = torch.cat((past[0][group], keys))
                values = torch.cat((past[1][group], values))
            for first in range(0, size, step):
                stop = min(first + step, size)
                seen = length + stop  # what follows is hidden from all of these tokens
                scores = product(
                    rows[group, begin + first : begin + stop].flatten(0, 1),
                    keys[:seen],
                    None if gains is None else gains[:seen],
                )
                by_token = scores.unflatten(0, (-1, shared))
                if hidden is None:
                    by_token[..., length + first :].add_(_future(layout, stop - first)[:, None])
                else:
                    by_token.add_(hidden[first:stop, None, :seen])
                mixed = product(torch.softmax(scores, -1), values[:seen].T)
                out[begin + first : begin + stop, group] = mixed.unflatten(0, (-1, shared))


def _together(
    rows: Tensor,
    k: Tensor,
    v: Tensor,
    past: Past | None,
    window: int | None,
    layout: Layout,
    out: Tensor,
) -> None:
    """All sequences over themselves, then all tokens over the memory; writes into `out`."""
    groups, tokens, shared, _ = rows.shape
    alone, totals = _over_themselves(rows, k, v, window, layout)
    if past is None:
        out.copy_(alone.transpose(0, 1))
        return
    length = past[0].shape[1]
    # one more slot, whose scores are the log-sum-exps, and whose value is added afterwards
    keys, values = (functional.pad(part, (0, 0, 0, 1)) for part in past)
    hidden = _hidden_slots(layout, length, window)
    gains = _gains(layout, length, 1)
    step = max(1, SCORES // ((length + 1) * shared))
    for group in range(groups):
        for first in range(0, tokens, step):
            part = slice(first, first + step)
            scores = product(rows[group, part].flatten(0, 1), keys[group], gains)
            scores[:, length] = totals[group, part].flatten()
            if hidden is not None:
                scores.unflatten(0, (-1, shared))[..., :length].add_(hidden[part, None])
            weights = torch.softmax(scores, -1)
            mixed = product(weights, values[group].T)
            mixed.addcmul_(weights[:, length:], alone[group, part].flatten(0, 1))
            out[part, group] = mixed.unflatten(0, (-1, shared))


def _over_themselves(
    rows: Tensor, k: Tensor, v: Tensor, window: int | None, layout: Layout
) -> tuple[Tensor, Tensor]:
    """Every sequence over itself: [G, N, R, D], and the log-sum-exps of its scores, [G, N, R]."""
    alone = rows.new_empty(*rows.shape[:-1], v.shape[-1])
    totals = rows.new_empty(rows.shape[:-1])
    for part in _alike(layout.lengths):
        gather, scatter = _places(layout, part)
        queries, keys, values = (
            x[:, part.tokens] if gather is None else x[:, gather] for x in (rows, k, v)
        )
        hidden = _hidden_keys(layout, part, window)
        mixed, total = _side_by_side(queries, keys, values, hidden, part)
        if scatter is not None:
            mixed, total = mixed[:, scatter], total[:, scatter]
        alone[:, part.tokens], totals[:, part.tokens] = mixed, total
    return alone, totals


def _side_by_side(
    queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor, part: _Part
) -> tuple[Tensor, Tensor]:
    """Sequences of M tokens each: queries [G, B·M, R, D] and keys, as `_over_themselves`."""
    groups, shared, longest = len(queries), queries.shape[-2], part.longest
    size = groups * part.count
    queries = queries.reshape(size, longest * shared, -1)
    keys, values = (x.reshape(size, longest, -1) for x in (keys, values))
    # keys are the rows here: along a column, sums and maxima of short sequences are fast
    scores = torch.bmm(keys, queries.mT)
    scores.view(groups, -1, longest, longest, shared).add_(hidden)
    highest = scores.amax(1, keepdim=True)
    weights = scores.sub_(highest).exp_()
    sums = weights.sum(1)
    mixed = torch.bmm(weights.mT, values).div_(sums[..., None])
    totals = sums.log_().add_(highest[:, 0])
    tokens = part.count * longest
    return mixed.view(groups, tokens, shared, -1), totals.view(groups, tokens, shared)


@lru_cache(maxsize=16)  # the layers of a forward ask for the same
def _alike(lengths: tuple[int, ...]) -> tuple[_Part, ...]:
    """Sequences in parts whose longest is not much longer than any other: padding costs twice."""
    parts = []
    first = token = 0
    while first < len(lengths):
        last, shortest, longest = first, lengths[first], lengths[first]
        while last < len(lengths):
            lowest, highest = min(shortest, lengths[last]), max(longest, lengths[last])
            if highest > lowest * PADDING + 1:
                break
            last, shortest, longest = last + 1, lowest, highest
        size = sum(lengths[first:last])
        parts.append(_Part(first, last - first, slice(token, token + size), longest))
        first, token = last, token + size
    return tuple(parts)


def _places(layout: Layout, part: _Part) -> tuple[Tensor | None, Tensor | None]:
    """The packed index at each place of a part's sequences, and back; None if nothing is padded."""
    if part.tokens.stop - part.tokens.start == part.count * part.longest:
        return None, None
    assert layout.gather is not None
    gather = layout.gather[part.first : part.first + part.count, : part.longest].flatten()
    lengths = layout.lengths[part.first : part.first + part.count]

    def back() -> Tensor:
        rows = (torch.arange(n) + i * part.longest for i, n in enumerate(lengths))
        return torch.cat(list(rows))

    return gather, sight.once(layout, ("back", part.first), back)


def _gains(layout: Layout, length: int, further: int) -> Tensor | None:
    """[L + further], the slots' gains and zeros; None where there are none, or no slots."""
    return sight.gains(layout, torch.float32, further) if layout.gains and length else None


def _future(layout: Layout, size: int) -> Tensor:
    """[size, size], -inf above the diagonal."""
    visible = torch.ones(size, size, dtype=torch.bool)
    return sight.once(layout, ("future", size), lambda: sight.bias(visible.tril_()))


def _hidden_keys(layout: Layout, part: _Part, window: int | None) -> Tensor:
    """[1 or B, M, M, 1]: -inf where a key (row) is hidden from a token of its sequence (column)."""
    limit = sight.cutting(layout, window)

    def make() -> Tensor:
        visible = sight.own(layout, limit)[:, 0, : part.longest, : part.longest]
        if len(visible) > 1:
            visible = visible[part.first : part.first + part.count]
        return sight.bias(visible).mT[..., None].contiguous()

    return sight.once(layout, ("keys", part.first, limit), make)


def _hidden_slots(layout: Layout, length: int, window: int | None) -> Tensor | None:
    """[N, L], -inf where a slot is hidden from a token; None if all are seen."""
    limit = sight.cutting(layout, window, length)
    if limit is None and layout.slots is None:
        return None
    name = ("slots", length, limit)
    return sight.once(layout, name, lambda: sight.bias(sight.memory(layout, length, limit)))


def _hidden(
    layout: Layout, sequence: int, tokens: slice, length: int, window: int | None
) -> Tensor | None:
    """[M, L + M], -inf where a slot or a key is hidden from a token of one sequence.

    None if only the tokens behind it are.
    """
    slots = _hidden_slots(layout, length, window) if length else None
    limit = sight.cutting(layout, window)
    if slots is None and limit is None and layout.tree is None:
        return None

    def make() -> Tensor:
        size = tokens.stop - tokens.start
        visible = sight.own(layout, limit)
        keys = sight.bias(visible[sequence % len(visible), 0, :size, :size])
        before = torch.zeros(size, length) if slots is None else slots[tokens]
        return torch.cat((before, keys), dim=1)

    return sight.once(layout, ("sequence", sequence, length, window), make)
