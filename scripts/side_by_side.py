"""Both paths on the same token ids and weights, in turns: their seconds and their scores."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from unittest.mock import patch

import profiling
from rates import timed
from rich.console import Console
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D
from workloads import Workload

from deepthink import score
from deepthink.app.progress_bar import watching
from deepthink.engine import reference
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.flops import Costs, scoring_flops
from deepthink.engine.prepack import PackedLinear
from deepthink.engine.refinements import iterate
from deepthink.engine.thinking import refined

STEP_SIZE = 0.1
ENGINE_REPETITIONS = 3  # in a round: the engine's times are shorter, hence noisier

Scores = list[list[list[float]]]
"""Log-probabilities by step, query and candidate."""


@dataclass(frozen=True)
class Engine:
    """Seconds of this engine's thinking and of its scoring, in one run of all iterations."""

    thinking: float
    scoring: float
    scores: Scores


@dataclass(frozen=True)
class Measured:
    """Every run of both paths, the useful operations of a run, and the largest score difference.

    milliseconds: of one run by `profiling.GROUPS`, if that was asked for.
    """

    workload: Workload
    iterations: int
    engine: list[Engine]
    straightforward: list[float]
    thinking_flops: int
    scoring_flops: int
    difference: float
    milliseconds: dict[str, float] | None


def measure(
    console: Console,
    fast: PreTrainedModel,
    plain: PreTrainedModel,
    workload: Workload,
    options: argparse.Namespace,
) -> Measured:
    """Alternate the two paths; the first engine round warms up and is not counted."""
    iterations = options.iterations
    shown = Demonstrations(fast, workload.demonstrations)

    def straightforward() -> Scores:
        memories = reference.think(plain, workload.demonstrations, iterations, STEP_SIZE)
        return [
            reference.score(plain, memory, workload.queries, workload.candidates)
            for memory in memories
        ]

    engine = partial(think_and_score, shown, workload, iterations)
    with counted() as linear:
        memories = [*refined(shown, partial(iterate.refine, step_size=STEP_SIZE), iterations)]
    with counted() as linear_of_scoring:
        for memory in memories:
            score(fast, memory, workload.queries, workload.candidates)
    costs, length = Costs.of(fast), len(workload.demonstrations)
    of_attention = shown.operations - iterations * costs.token * length
    thinking_flops = of_attention + sum(linear)
    runs, others = [], []
    for turn in range(options.rounds):
        with watching(console) as watch:
            watch.stage(f"{workload.name}: round {turn + 1} of {options.rounds}")
            runs += [engine() for _ in range(ENGINE_REPETITIONS)]
            seconds, theirs = timed(straightforward, plain.device)
            others.append(seconds)
    rest = scoring_flops(replace(costs, token=0), length, workload.queries, workload.candidates)
    return Measured(
        workload,
        iterations,
        runs,
        others,
        thinking_flops,
        iterations * rest + sum(linear_of_scoring),
        apart(runs[-1].scores, theirs),
        profiling.milliseconds(engine) if options.profile else None,
    )


@contextmanager
def counted() -> Iterator[list[int]]:
    """The operations of each call of a linear layer: not all of the last block's are needed."""
    operations: list[int] = []

    def counting(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(layer: nn.Module, x: Tensor, *options: str) -> Tensor:
            out = forward(layer, x, *options)
            operations.append(2 * x.numel() * out.shape[-1])
            return out

        return call

    with ExitStack() as stack:
        for kind in (nn.Linear, Conv1D, PackedLinear):
            stack.enter_context(patch.object(kind, "forward", counting(kind.forward)))
        yield operations


def think_and_score(shown: Demonstrations, workload: Workload, iterations: int) -> Engine:
    """One run of this engine: every iteration thinks, then scores all queries."""
    device = shown.model.device
    memories = refined(shown, partial(iterate.refine, step_size=STEP_SIZE), iterations)
    thinking = scoring = 0.0
    scores = []
    for _ in range(iterations):
        seconds, memory = timed(partial(next, memories), device)
        thinking += seconds
        call = partial(score, shown.model, memory, workload.queries, workload.candidates)
        seconds, of_step = timed(call, device)
        scoring += seconds
        scores.append(of_step)
    return Engine(thinking, scoring, scores)


def apart(ours: Scores, theirs: Scores) -> float:
    """The largest difference between two log-probabilities of one candidate.

    >>> apart([[[-1.0, -2.0]]], [[[-1.0, -2.5]]])
    0.5
    """
    return max(
        abs(a - b)
        for step, other in zip(ours, theirs, strict=True)
        for row, plain_row in zip(step, other, strict=True)
        for a, b in zip(row, plain_row, strict=True)
    )
