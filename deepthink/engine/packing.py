"""Tokens of queries and their candidates, laid side by side without padding or repetition.

For the query q0 q1 q2 with the candidates (a b), (a c) and (d) a forward carries

    packed       q0   q1   q2   a          every token sees its ancestors
    logits of              ^    ^
    predicts               a d  b c

so a candidate of one token adds nothing to the query, and the last token of a candidate is never
fed. Pure lists and index tensors: no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import torch

from deepthink.engine.layout import Layout, single
from deepthink.engine.transfer import sent
from deepthink.structures import Tokens


@dataclass(frozen=True)
class Packed:
    """One query's tokens with those of its candidates that must be fed, as a tree.

    tokens: the query, then one node for each distinct proper prefix of a candidate.
    parents: index of each token's predecessor within `tokens` (-1 for the first).
    depths: each token's distance from the first, which sets its position.
    reads: per candidate, per token of it: the index whose logits predict that token.

    A context with many queries is such a tree too, whose candidates are the queries' candidates.
    """

    tokens: list[int]
    parents: list[int]
    depths: list[int]
    reads: list[list[int]]
    candidates: Sequence[Tokens]

    @property
    def chain(self) -> bool:
        """Whether every token follows the one before it, so that a causal mask is right."""
        return self.depths[-1] == len(self.tokens) - 1


def pack(query: Tokens, candidates: Sequence[Tokens]) -> Packed:
    """Merge a query and its candidates into one tree of tokens.

    >>> packed = pack([1, 2], [[7, 8], [7, 9], [5]])
    >>> packed.tokens, packed.parents, packed.reads
    ([1, 2, 7], [-1, 0, 1], [[1, 2], [1, 2], [1]])
    """
    tokens = list(query)
    parents = list(range(-1, len(query) - 1))
    depths = list(range(len(query)))
    nodes: dict[tuple[int, ...], int] = {(): len(query) - 1}
    for candidate in candidates:
        for end in range(1, len(candidate)):
            prefix = tuple(candidate[:end])
            if prefix not in nodes:
                parent = nodes[prefix[:-1]]
                nodes[prefix] = len(tokens)
                tokens.append(prefix[-1])
                parents.append(parent)
                depths.append(depths[parent] + 1)
    reads = [[nodes[tuple(row[:end])] for end in range(len(row))] for row in candidates]
    return Packed(tokens, parents, depths, reads, candidates)


def branch(
    context: Tokens, queries: Sequence[Tokens], candidates: Sequence[Sequence[Tokens]]
) -> Packed:
    """A context with every query's candidates branching off it, each read at its own tokens.

    The candidates of the whole are those of the first query, then of the second, and so on.

    >>> tree = branch([1, 2], [[3], [4]], [[[7]], [[8]]])
    >>> tree.tokens, tree.parents, tree.reads, tree.candidates
    ([1, 2, 3, 4], [-1, 0, 1, 1], [[2], [3]], [[7], [8]])
    """
    pairs = [
        (len(query), [*query, *answer])
        for query, row in zip(queries, candidates, strict=True)
        for answer in row
    ]
    packed = pack(context, [path for _, path in pairs])
    return replace(
        packed,
        reads=[row[cut:] for row, (cut, _) in zip(packed.reads, pairs, strict=True)],
        candidates=[path[cut:] for cut, path in pairs],
    )


def common_beginning(queries: Sequence[Tokens]) -> int:
    """How many tokens all queries begin with, leaving each at least one of its own.

    >>> common_beginning([[5, 6, 1], [5, 6, 2, 3]]), common_beginning([[5, 6], [5, 6]])
    (2, 1)
    """
    shortest = min(queries, key=len)
    limit = len(shortest) - 1 if len(queries) > 1 else 0
    return next((i for i in range(limit) if len({query[i] for query in queries}) > 1), limit)


def ending_together(lengths: Sequence[int], device: torch.device) -> Layout:
    """The layout of causal sequences that do not see each other, and end at one position.

    >>> ending_together([1, 3], torch.device("cpu")).depths
    tensor([2, 0, 1, 2])
    """
    if len(lengths) == 1:
        return single(lengths[0], device)
    places, _ = layout([pack(range(length), []) for length in lengths], device)
    longest = max(lengths)
    behind = [longest - length for length in lengths for _ in range(length)]
    shifted = places.depths + sent(torch.tensor(behind), device)
    return replace(places, depths=shifted, deepest=longest - 1)


def layout(group: Sequence[Packed], device: torch.device) -> tuple[Layout, list[int]]:
    """The layout of a group, and the packed index at which each of its queries starts.

    >>> places, starts = layout([pack([1, 2], []), pack([3, 4, 5], [])], torch.device("cpu"))
    >>> places.depths.tolist(), places.gather.tolist(), starts
    ([0, 1, 0, 1, 2], [[0, 1, 0], [2, 3, 4]], [0, 2])
    """
    lengths = [len(packed.tokens) for packed in group]
    starts = [0, *accumulate(lengths)][:-1]
    longest = max(lengths)
    gather = torch.zeros(len(group), longest, dtype=torch.long)
    scatter = torch.empty(sum(lengths), dtype=torch.long)
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        gather[row, :length] = torch.arange(start, start + length)
        scatter[start : start + length] = torch.arange(length) + row * longest
    tree = None
    if not all(packed.chain for packed in group):
        ancestors = np.zeros((len(group), longest, longest), dtype=bool)
        for sees, packed in zip(ancestors, group, strict=True):
            np.fill_diagonal(sees, True)
            for node, parent in enumerate(packed.parents[1:], start=1):
                sees[node, : parent + 1] = sees[parent, : parent + 1]
        tree = sent(torch.from_numpy(ancestors)[:, None], device)
    depths = [depth for packed in group for depth in packed.depths]
    places = Layout(
        sent(torch.tensor(depths), device),
        tuple(lengths),
        max(depths),
        sent(gather, device),
        sent(scatter, device),
        tree,
    )
    return places, starts
