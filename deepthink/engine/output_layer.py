"""A model's output layer: log-probabilities of tokens, from logits in float32 or wider."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from deepthink.engine.prepack import multiplies, product
from deepthink.engine.transfer import sent

ROWS = 256
"""States whose logits are computed at a time."""

WORDS = 4096
"""Logits of each state that a CPU computes and sums at a time, so that they stay in its cache."""

WIDENED_WEIGHTS = 1 << 22
"""Weights of the output layer widened to float32 at a time (16 MiB)."""


@dataclass(frozen=True)
class OutputLayer:
    """From states, which are the inputs of a model's output layer, to log-probabilities.

    plain: whether the model's logits are what its output layer returns. Otherwise the model's own
        code makes them of the states, whatever it does with them (a scale, a soft cap).

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=8)
    >>> model = GPT2LMHeadModel(config).eval().requires_grad_(False)
    >>> _ = torch.nn.init.zeros_(model.lm_head.weight)
    >>> OutputLayer(model, plain=True).log_probabilities(torch.ones(2, 8), [0, 1], [5, 6])
    tensor([-2.0794, -2.0794])
    """

    model: PreTrainedModel
    plain: bool

    def log_probabilities(
        self, states: Tensor, rows: Sequence[int], tokens: Sequence[int]
    ) -> Tensor:
        """Log p, in nats, of n tokens, each by one of R states.

        Logits of half precision are so coarse that candidates get equal scores: these are computed
        in float32 or wider from states of any dtype. The vocabulary is normalised in parts.

        states [R, d]; rows and tokens: n indices of a state and of a token. Returns [n], in float32
        or wider; differentiable in the states.
        """
        logs = self._in_float32(states)
        at, words = torch.tensor(rows), torch.tensor(tokens)
        blocks = at // ROWS
        places = [(blocks == number).nonzero()[:, 0] for number in range(-(-len(states) // ROWS))]
        device = states.device
        parts = [
            logs(block, sent(at[place] % ROWS, device), sent(words[place], device))
            for block, place in zip(states.split(ROWS), places, strict=True)
        ]
        order = sent(torch.cat(places).argsort(), device)
        return torch.cat(parts)[order]

    def distributions(self, states: Tensor) -> Tensor:
        """Log p, in nats, of every token by each of R states: [R, V], in float32 or wider.

        Logits are computed as for `log_probabilities`. The whole vocabulary is held at once.
        """
        head: Any = self.model.get_output_embeddings()
        logits = partial(_plain_logits, head) if self.plain else self._logits
        rows = [logits(block) for block in states.split(ROWS)]
        wide = [block.to(torch.promote_types(block.dtype, torch.float32)) for block in rows]
        return torch.cat([block.log_softmax(-1) for block in wide])

    def likeliest(self, states: Tensor) -> Tensor:
        """The token that each of R states, [R, d], gives the highest probability: [R] int64.

        Of tokens that share it, one. Logits are computed as for `log_probabilities`.
        """
        head: Any = self.model.get_output_embeddings()
        logits = partial(_plain_logits, head) if self.plain else self._logits
        return torch.cat(
            [logits(block).argmax(-1).to(states.device) for block in states.split(ROWS)]
        )

    def _in_float32(self, states: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """A function of a block of states, of rows in it and of tokens: the tokens' log p."""
        head: Any = self.model.get_output_embeddings()
        followed = torch.is_grad_enabled() and states.requires_grad
        if self.plain and not followed and multiplies(states, head.weight):
            return partial(_streamed, head)
        return partial(_whole, partial(_plain_logits, head) if self.plain else self._logits)

    def _logits(self, states: Tensor) -> Tensor:
        """The logits [R, V] that the model's own code makes of states."""
        body: Any = self.model.get_decoder()
        head: Any = self.model.get_output_embeddings()
        given = _States(last_hidden_state=states[None])
        tokens = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
        with _replaced(body, lambda *_, **__: given), _widened(head):
            logits: Tensor = self.model(input_ids=tokens, use_cache=False).logits[0]
        return logits


class _States(BaseModelOutputWithPast):
    """What a model's body returns: states, and of anything else nothing."""

    def __getattr__(self, name: str) -> None:
        return None


@contextmanager
def states_only(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Collects what the output layer is given, [1, N, d], and computes nothing of it."""
    collected: list[Tensor] = []

    def collect(states: Tensor) -> Tensor:
        collected.append(states)
        return states[..., :1]

    with _replaced(model.get_output_embeddings(), collect):
        yield collected


@contextmanager
def _replaced(module: nn.Module, forward: Callable[..., object]) -> Iterator[None]:
    """Has a module compute something else meanwhile."""
    # accelerate's forward brings inputs and weights together, and then calls the module's own
    name = "_old_forward" if "_old_forward" in module.__dict__ else "forward"
    before = module.__dict__.get(name)
    module.__dict__[name] = forward
    try:
        yield
    finally:
        del module.__dict__[name]
        if before is not None:
            module.__dict__[name] = before


@contextmanager
def _widened(head: Any) -> Iterator[None]:
    """Has an output layer compute in float32 or wider."""
    with _replaced(head, partial(wide_logits, head)):
        yield


def _plain_logits(head: nn.Module, states: Tensor) -> Tensor:
    with _widened(head):
        logits: Tensor = head(states[None])[0]
    return logits


def _whole(
    logits_of: Callable[[Tensor], Tensor], states: Tensor, rows: Tensor, tokens: Tensor
) -> Tensor:
    """Log p from logits over the whole vocabulary."""
    logits = logits_of(states)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    rows, tokens = rows.to(logits.device), tokens.to(logits.device)
    return logits[rows, tokens] - logits.logsumexp(-1)[rows]


def _streamed(head: nn.Linear, states: Tensor, rows: Tensor, tokens: Tensor) -> Tensor:
    """Log p from logits of a part of the vocabulary at a time."""
    logs = states.new_empty(len(tokens))
    totals = []
    for first in range(0, len(head.weight), WORDS):
        part = slice(first, first + WORDS)
        logits = product(states, head.weight[part], None if head.bias is None else head.bias[part])
        totals.append(logits.logsumexp(-1))
        here = (tokens >= first) & (tokens < first + WORDS)
        logs[here] = logits[rows[here], tokens[here] - first]
    return logs - torch.stack(totals).logsumexp(0)[rows]


def wide_logits(head: nn.Linear, inputs: Tensor) -> Tensor:
    """The output layer in float32 or wider, whose weights are widened a part at a time.

    inputs [..., d] of any dtype to logits [..., V].

    >>> head = nn.Linear(2, 3, bias=False, dtype=torch.bfloat16)
    >>> wide_logits(head, torch.zeros(1, 2, dtype=torch.bfloat16))
    tensor([[0., 0., 0.]], grad_fn=<ViewBackward0>)
    """
    if head.weight.dtype.itemsize >= torch.float32.itemsize:
        return nn.functional.linear(inputs, head.weight, head.bias)
    rows = inputs.flatten(0, -2)
    logits: Tensor
    if inputs.is_cuda and not inputs.requires_grad:
        # products of half precision are exact in float32, and these are summed in it
        logits = torch.mm(rows, head.weight.T, out_dtype=torch.float32)
    else:
        words = max(1, WIDENED_WEIGHTS // rows.shape[-1])
        parts = head.weight.split(words)
        logits = torch.cat([rows.float() @ part.float().T for part in parts], dim=-1)
    logits = logits.view(*inputs.shape[:-1], -1)
    return logits if head.bias is None else logits + head.bias.float()
