"""One knob: how much the memory, or its first token, weighs against what reads it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch

from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.errors import UserError

WEIGHTS = (0.125, 0.25, 0.5, 2.0, 4.0, 8.0)
"""Factors e^b of the weight; 1/M is what a query sees of M groups in structured prompting."""


def refine(
    shown: Demonstrations,
    weights: tuple[float, ...] = WEIGHTS,
    slots: Literal["all", "first"] = "all",
) -> Iterator[Memory]:
    """Yield the plain reading, then the same memory with one weight after another.

        w_s ← w_s e^b / Σ_u w_u e^{b_u},   b = log of the factor for the chosen slots, else 0

    where w are the attention weights of a token that reads the memory. Keys and values stay as they
    are and nothing is read again, so t chosen on dev is the factor chosen on dev. T is at most
    1 + the number of weights.

    weights: the factors e^b, at t = 2, 3, ….
    slots: "all", or "first": the first token of the demonstrations, of each group's if there are
        several, as in ZeroTuning (Han et al., ICLR 2026, github FeijiangHan/ZeroTuning, factors
        0.5, 2, 4 and 8, in all heads and layers). Their program changes the attention of the
        demonstrations' tokens too; here it is that of queries alone.

    Raises:
        UserError: a factor that is not positive, or none, or more iterations than there are
            factors.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)).eval()
    >>> memories = refine(Demonstrations(model, [5, 6, 7]), weights=(0.5,), slots="first")
    >>> [memory.runs for memory in memories]  # log 0.5
    [(), ((1, -0.6931471824645996), (2, 0.0))]
    """
    _check(weights)
    memory = shown.read()
    chosen = torch.ones(shown.length)
    if slots == "first":
        chosen.zero_()[[sequence.start for sequence in shown.sequences]] = 1
    plain = torch.zeros(shown.length) if memory.gains is None else memory.gains
    yield memory
    for weight in weights:
        yield replace(memory, gains=plain + math.log(weight) * chosen)


def _check(weights: Sequence[float]) -> None:
    if not weights or not all(0 < weight < math.inf for weight in weights):
        raise UserError(
            f"weights is {list(weights)}: give one positive factor or more, such as [0.5, 2]"
        )
