"""States of a model at the last tokens of queries, before any answer: read, and replaced.

A readout of the memory compares such states, or puts one of them in the place of another. What
stands between two layers is reached in the model's own code, which is slower than its decoder.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from deepthink.engine.memory import Memory
from deepthink.engine.output_layer import OutputLayer
from deepthink.engine.packed_scores import (
    in_batches,
    logs_of,
    scores_of,
    share_beginning,
    states_of,
)
from deepthink.engine.packing import Packed, pack
from deepthink.engine.support import iterated
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.structures import Tokens

ANY = [[0]]
"""An answer of one token, which adds nothing to what a query reads."""


def last_states(
    model: PreTrainedModel, memory: Memory | None, queries: Sequence[Tokens], budget: TokenBudget
) -> Tensor:
    """[Q, d]: the input of the output layer at each query's last token, read after a memory.

    The states are in the model's dtype, on the device of its output layer. Errors as `score`'s.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> last_states(model, None, [[5, 6], [7]], TokenBudget(64)).shape
    torch.Size([2, 8])
    """
    memory = memory and memory.to(model.dtype)
    with iterated(model) as forward:
        memory, rest = share_beginning(forward, memory, queries)
        packs = [pack(query, ANY) for query in rest]
        return _placed(
            in_batches(
                packs,
                budget,
                lambda taken: states_of(forward, memory, [packs[i] for i in taken]).states,
            )
        )


def log_distributions(model: PreTrainedModel, states: Tensor) -> Tensor:
    """[R, V], in float32 or wider: log p of every token after states as `last_states` gives them.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> logs = log_distributions(model, last_states(model, None, [[5, 6]], TokenBudget(64)))
    >>> logs.shape, round(float(logs.exp().sum()), 4)
    (torch.Size([1, 11]), 1.0)
    """
    with iterated(model) as forward:
        return OutputLayer(model, forward.plain).distributions(states)


def layer_states(
    model: PreTrainedModel, memory: Memory | None, queries: Sequence[Tokens], budget: TokenBudget
) -> Tensor:
    """[Q, layers, d]: what each layer gives on at each query's last token, read after a memory.

    The last of them is not normalised yet. Dtype and errors are those of `last_states`.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> config = GPT2Config(n_layer=3, n_head=2, n_embd=8, vocab_size=11)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> layer_states(model, None, [[5, 6], [7]], TokenBudget(64)).shape
    torch.Size([2, 3, 8])
    """
    memory, layers = memory and memory.to(model.dtype), layers_of(model)
    with iterated(model, own_code=True) as forward:
        memory, rest = share_beginning(forward, memory, queries)
        packs = [pack(query, ANY) for query in rest]

        def read(taken: list[int]) -> Tensor:
            group = [packs[i] for i in taken]
            ends, seen = _ends(group), list[Tensor]()

            def keep(states: Tensor) -> Tensor:
                seen.append(states[0, ends].to(model.device))
                return states

            with _through(layers, keep):
                states_of(forward, memory, group)
            return torch.stack(seen, dim=1)

        return _placed(in_batches(packs, budget, read))


def scores_replaced(
    model: PreTrainedModel,
    queries: Sequence[Tokens],
    candidates: Sequence[Sequence[Tokens]],
    layer: int,
    states: Tensor,
    budget: TokenBudget,
    answer_score: str = "sum",
) -> list[list[float]]:
    """Score candidates as `score` does without a memory, with a state of each query replaced.

    What layer `layer`, from 1 to the number of layers, gives on at the query's last token gives way
    to the query's row of `states` [Q, d]. Later layers see it there, as do the answer's tokens.

    Raises:
        UserError: there is no such layer, or as `score`.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> config = GPT2Config(n_layer=3, n_head=2, n_embd=8, vocab_size=11)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> queries, answers, budget = [[5, 6], [7]], [[[1], [2]]] * 2, TokenBudget(64)
    >>> own = layer_states(model, None, queries, budget)[:, 1]
    >>> scores = scores_replaced(model, queries, answers, 2, own, budget)
    >>> from deepthink import score
    >>> torch.allclose(torch.tensor(scores), torch.tensor(score(model, None, queries, answers)))
    True
    """
    layers = layers_of(model)
    if not 1 <= layer <= len(layers):
        raise UserError(
            f"there is no layer {layer}: {type(model).__name__} has layers 1 to {len(layers)}"
        )
    with iterated(model, own_code=True) as forward:
        memory, rest = share_beginning(forward, None, queries)
        packs = [pack(query, row) for query, row in zip(rest, candidates, strict=True)]

        def read(taken: list[int]) -> list[list[float]]:
            group = [packs[i] for i in taken]
            ends = _ends(group)

            def replace(given: Tensor) -> Tensor:
                changed = given.clone()
                changed[0, ends] = states[taken].to(given)
                return changed

            with _through(layers[layer - 1 : layer], replace):
                part = states_of(forward, memory, group)
            logs = logs_of(forward, [part])
            return [query.scores for query in scores_of([logs], answer_score)]

        batches = [*in_batches(packs, budget, read)]
    placed = {i: row for taken, rows in batches for i, row in zip(taken, rows, strict=True)}
    return [placed[i] for i in range(len(packs))]


def layers_of(model: PreTrainedModel) -> list[nn.Module]:
    """The layers of a model's decoder, in their order; UserError where they stand in no list.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=8, vocab_size=11))
    >>> [type(layer).__name__ for layer in layers_of(model)]
    ['GPT2Block', 'GPT2Block']
    """
    count: int = model.config.get_text_config().num_hidden_layers
    body: Any = model.get_decoder()
    for module in body.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return [*module]
    raise UserError(f"{type(model).__name__} has no list of its {count} layers")


def _ends(group: Sequence[Packed]) -> list[int]:
    """The packed index of the last token of each query of a group."""
    starts = accumulate((len(packed.tokens) for packed in group), initial=0)
    return [start + packed.reads[0][0] for start, packed in zip(starts, group, strict=False)]


@contextmanager
def _through(layers: Sequence[nn.Module], change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Has what the layers give on, [1, N, d] each, go through `change` meanwhile."""

    def hook(_module: nn.Module, _given: object, output: Any) -> Any:
        if isinstance(output, tuple):
            return (change(output[0]), *output[1:])
        return change(output)

    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _placed(batches: Iterator[tuple[list[int], Tensor]]) -> Tensor:
    """The rows of all batches in the order of the queries."""
    parts = [*batches]
    order = torch.tensor([i for taken, _ in parts for i in taken])
    rows = torch.cat([part for _, part in parts])
    return rows[order.argsort().to(rows.device)]
