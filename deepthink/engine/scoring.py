"""The test stage (§3.2): candidates of every query scored against a memory (Eq. 1 and 6).

Tokens are packed without padding, and no token is computed twice: see `packing`. There, log p(a b)
= log p(a | …q2) + log p(b | …q2 a). What the queries of a call have in common at their beginning
(the template's first words) is computed once and joins the memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from deepthink.engine.forward import Forward, Passed
from deepthink.engine.given import asked, check_asked, memory_for
from deepthink.engine.layout import Layout
from deepthink.engine.memory import Memory
from deepthink.engine.packed_scores import (
    GroupLogs,
    GroupStates,
    QueryScores,
    in_batches,
    logs_of,
    scores_of,
    share_beginning,
    states_of,
)
from deepthink.engine.packing import Packed, branch, pack
from deepthink.engine.support import check_model, iterated
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import unknown
from deepthink.settings import ANSWER_SCORES
from deepthink.structures import GivenTokens, Tokens

PENDING = 1024
"""States that wait for the output layer, which is fast for many of them together."""

Progress = Callable[[int], object]
"""Called with the number of queries just finished."""


def score(
    model: PreTrainedModel,
    memory: Memory | None,
    queries: Iterable[GivenTokens] | GivenTokens,
    candidates: Iterable[Iterable[GivenTokens] | GivenTokens],
    answer_score: str = "sum",
    budget: TokenBudget | None = None,
    progress: Progress | None = None,
) -> list[list[float]]:
    """Score each query's candidates given the memory of the demonstrations (Eq. 1 and 6).

    The score of the candidate y = y_1 … y_n of the query x is, for "sum",

        log p(y | K̃, Ṽ, x) = Σ_i log p(y_i | K̃, Ṽ, x, y_1 … y_{i-1})

    Args:
        model: the model the memory was made with, in eval mode.
        memory: from `think`, and queries stand at positions L, L+1, …; None scores the queries
            by themselves, from position 0 (zero-shot).
        queries: Q lists of token ids, none empty: lists, arrays, tensors or what a tokenizer
            returns, the padding of which is left out.
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

    Example:
        A model whose output layer is zero gives each of its 8 tokens the probability 1/8:

        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> from deepthink import think
        >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=8)
        >>> model = GPT2LMHeadModel(config).eval()
        >>> _ = torch.nn.init.zeros_(model.lm_head.weight)
        >>> (memory,) = think(model, [1, 2, 3], iterations=1)
        >>> rows = score(model, memory, [[4], [5, 6]], [[[1], [2, 3]], [[1]]])
        >>> [[round(nats, 4) for nats in row] for row in rows]
        [[-2.0794, -4.1589], [-2.0794]]
    """
    return Scorer(model, answer_score, budget, progress).score(memory, queries, candidates)


class Scorer:
    """Scores queries with one model, one way and within one budget of tokens per forward.

    Args:
        model: a causal language model in eval mode.
        answer_score: as `score`'s.
        progress: as `score`'s.
        budget: as `score`'s. A budget that was halved stays so.
        tree_tokens: the most tokens that a tree of one context and its queries may hold, each of
            which attends to all of them; see `after`.

    Attributes:
        forwards: the number of tokens of every forward so far.

    Raises:
        UserError: an answer_score that does not exist.

    Example:
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=8)
        >>> model = GPT2LMHeadModel(config).eval()
        >>> _ = torch.nn.init.zeros_(model.lm_head.weight)
        >>> scorer = Scorer(model, answer_score="probability")
        >>> scorer.score(None, [[4]], [[[1], [2, 3]]])
        [[0.125, 0.25]]
        >>> scores, states = scorer.with_states([[4], [5, 6]], [[[1]], [[2]]])
        >>> scores, states.shape
        ([[0.125], [0.125]], torch.Size([2, 8]))
        >>> scorer.with_greedy(None, [[4]], [[[0], [1]]])  # of equal ones, one is the likeliest
        [[(0.125, True), (0.125, False)]]
        >>> scorer.after([[1, 2], []], [[[4]], [[5]]], [[[[1]]], [[[2], [3]]]])
        [[[0.125]], [[0.125, 0.125]]]
        >>> scorer.forwards
        [2, 3, 1, 1, 3]
    """

    def __init__(
        self,
        model: PreTrainedModel,
        answer_score: str = "sum",
        budget: TokenBudget | None = None,
        progress: Progress | None = None,
        tree_tokens: int = 512,
    ) -> None:
        if answer_score not in ANSWER_SCORES:
            raise unknown("value of answer_score", answer_score, ANSWER_SCORES)
        check_model(model)
        self._model = model
        self._answer_score = answer_score
        self._budget = budget or TokenBudget.of(model)
        self._progress = progress or (lambda queries: None)
        self._tree_tokens = tree_tokens
        self.forwards: list[int] = []

    def score(
        self,
        memory: Memory | None,
        queries: Iterable[GivenTokens] | GivenTokens,
        candidates: Iterable[Iterable[GivenTokens] | GivenTokens],
    ) -> list[list[float]]:
        """As the function `score`."""
        return [query.scores for query in self._queries(memory, queries, candidates)]

    def with_greedy(
        self,
        memory: Memory | None,
        queries: Iterable[GivenTokens] | GivenTokens,
        candidates: Iterable[Iterable[GivenTokens] | GivenTokens],
    ) -> list[list[tuple[float, bool]]]:
        """As `score`; beside each score, whether greedy decoding writes that candidate."""
        scored = self._queries(memory, queries, candidates, greedy=True)
        return [list(zip(query.scores, query.greedy, strict=True)) for query in scored]

    def with_states(
        self, queries: Iterable[GivenTokens] | GivenTokens, candidates: Sequence[Sequence[Tokens]]
    ) -> tuple[list[list[float]], Tensor]:
        """The zero-shot scores, and from the same forwards the states of the queries.

        Returns the scores and [Q, d] float32 on the CPU: the input of the output layer (after the
        final norm, where there is one) at each query's last token. Arguments and errors as
        `score`'s.
        """
        scored = self._queries(None, queries, candidates)
        states = torch.stack([query.state for query in scored]).float().cpu()
        return [query.scores for query in scored], states

    def after(
        self,
        contexts: Sequence[Tokens],
        queries: Sequence[Sequence[Tokens]],
        candidates: Sequence[Sequence[Sequence[Tokens]]],
    ) -> list[list[list[float]]]:
        """Score queries after each of many plain prompts (T = 1), many prompts in a forward.

        A context and its queries are one tree, in which the context and whatever queries share at
        their beginning is computed once; trees are packed side by side. A context with more
        queries than a tree should hold is read once and remembered for them.

        contexts are S lists of token ids, which may be empty (zero-shot); queries and candidates,
        for each context, are as in `score`, and so are the errors. Returns for each context the
        rows that `score` returns.
        """
        results: list[list[list[float]]] = [[] for _ in contexts]
        small: list[int] = []
        for index, (context, texts, answers) in enumerate(
            zip(contexts, queries, candidates, strict=True)
        ):
            check_asked(texts, answers)
            if len(context) and len(context) + sum(map(len, texts)) <= self._tree_tokens:
                small.append(index)
            else:
                whole = [[*context, *query] for query in texts]
                results[index] = self.score(None, whole, answers)
        if not small:
            return results
        trees = [branch(contexts[i], queries[i], candidates[i]) for i in small]
        with self._counted() as forward:
            scored = self._packs(forward, None, trees, [len(queries[i]) for i in small])
        for index, tree in zip(small, scored, strict=True):
            numbers = iter(tree.scores)
            results[index] = [list(islice(numbers, len(row))) for row in candidates[index]]
        return results

    def _queries(
        self,
        memory: Memory | None,
        queries: Iterable[GivenTokens] | GivenTokens,
        candidates: Iterable[Iterable[GivenTokens] | GivenTokens],
        greedy: bool = False,
    ) -> list[QueryScores]:
        texts, answers = asked(self._model, queries, candidates)
        memory = memory_for(self._model, memory)
        if not texts:
            return []
        if memory is not None:
            memory = memory.to(self._model.dtype)
        with self._counted() as forward:
            memory, rest = share_beginning(forward, memory, texts)
            packs = [pack(query, row) for query, row in zip(rest, answers, strict=True)]
            return self._packs(forward, memory, packs, [1] * len(packs), greedy)

    @contextmanager
    def _counted(self) -> Iterator[Forward]:
        with iterated(self._model) as forward:

            def run(
                tokens: Tokens, layout: Layout, memory: Memory | None, start: int, rows: Any
            ) -> Passed:
                passed = forward.run(tokens, layout, memory, start, rows)
                self.forwards.append(len(tokens))
                return passed

            yield replace(forward, run=run)

    def _packs(
        self,
        forward: Forward,
        memory: Memory | None,
        packs: Sequence[Packed],
        sizes: Sequence[int],
        greedy: bool = False,
    ) -> list[QueryScores]:
        """The scores of packs of so many queries each; see `in_batches`."""
        order, finished = list[int](), list[GroupLogs]()
        pending: list[GroupStates] = []
        for taken, part in in_batches(
            packs, self._budget, lambda taken: states_of(forward, memory, [packs[i] for i in taken])
        ):
            order += taken
            pending.append(part)
            if len(order) == len(packs) or sum(len(each.states) for each in pending) >= PENDING:
                finished.append(logs_of(forward, pending, greedy))
                pending.clear()
            self._progress(sum(sizes[i] for i in taken))
        placed = dict(zip(order, scores_of(finished, self._answer_score), strict=True))
        return [placed[i] for i in range(len(packs))]
