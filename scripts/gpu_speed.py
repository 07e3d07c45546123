"""How fast is the engine on a GPU, and what would the GPU's matrix products allow?"""

import statistics
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from gpu_work import Work
from torch import nn
from torch.profiler import ProfilerActivity, profile
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from deepthink import score
from deepthink.engine import reference
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.flops import Costs, scoring_flops
from deepthink.engine.refinements import iterate
from deepthink.engine.thinking import refined
from deepthink.engine.token_budget import TokenBudget

STEP_SIZE = 0.1
ITERATIONS = 2
ROUNDS = 3
PRODUCTS = 10

SPEC = {"A100": 312.0, "H100": 989.0, "H200": 989.0}
"""Dense bf16 TFLOP/s in NVIDIA's specifications, by a part of the GPU's name."""

Value = TypeVar("Value")


def spec_tflops(name: str | None) -> float | None:
    """The specified rate of a GPU of this name; None of another, or of none."""
    return next((rate for part, rate in SPEC.items() if part in (name or "")), None)


def timed(call: Callable[[], Value], device: torch.device) -> tuple[float, Value]:
    """Seconds of a call until the device is idle, and what the call returns."""
    synchronise(device)
    begin = time.perf_counter()
    value = call()
    synchronise(device)
    return time.perf_counter() - begin, value


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def linear_layers(model: PreTrainedModel) -> Counter[tuple[int, int]]:
    """How often the body has a linear layer of so many outputs and inputs."""
    head = model.get_output_embeddings()
    shapes: Counter[tuple[int, int]] = Counter()
    for layer in model.modules():
        if isinstance(layer, nn.Linear | Conv1D) and layer is not head:
            rows, columns = layer.weight.shape
            shapes[(rows, columns) if isinstance(layer, nn.Linear) else (columns, rows)] += 1
    return shapes


def repeatedly(call: Callable[[], object]) -> None:
    """Call several times, so that the time of beginning and ending is small beside it."""
    for _ in range(PRODUCTS):
        call()


def product_rate(model: PreTrainedModel, tokens: int) -> float:
    """FLOP/s of plain matrix products in the shapes of a body's linear layers, for so many tokens.

    All products of one forward over the time they take, each the median of several rounds.
    """
    device, dtype = model.device, model.dtype
    operations = seconds = 0.0
    for (outputs, inputs), count in linear_layers(model).items():
        x = torch.randn(tokens, inputs, dtype=dtype, device=device)
        w = torch.randn(outputs, inputs, dtype=dtype, device=device)
        several = partial(repeatedly, partial(nn.functional.linear, x, w))
        several()
        median = statistics.median(timed(several, device)[0] for _ in range(ROUNDS))
        seconds += count * median / PRODUCTS
        operations += count * 2.0 * tokens * outputs * inputs
    return operations / seconds


def products(model: PreTrainedModel, name: str | None) -> dict[str, Any]:
    """The rate of plain matrix products of this shape, and the share of the specified one."""
    tokens = TokenBudget.of(model).tokens
    rate = product_rate(model, tokens)
    spec = spec_tflops(name)
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "dtype": str(model.dtype).removeprefix("torch."),
        "tokens": tokens,
        "tflops": rate / 1e12,
        "spec_tflops": spec,
        "of_spec": None if spec is None else rate / 1e12 / spec,
    }


def engine(model: PreTrainedModel, work: Work) -> Callable[[], list[list[list[float]]]]:
    """Thinking a few iterations and scoring all queries after each."""
    shown = Demonstrations(model, work.demonstrations)

    def run() -> list[list[list[float]]]:
        refine = partial(iterate.refine, step_size=STEP_SIZE)
        memories = refined(shown, refine, ITERATIONS)
        return [score(model, memory, work.queries, work.candidates) for memory in memories]

    return run


def straightforward(model: PreTrainedModel, work: Work) -> Callable[[], list[list[list[float]]]]:
    """The same by the program as printed, see `reference`."""

    def run() -> list[list[list[float]]]:
        memories = reference.think(model, work.demonstrations, ITERATIONS, STEP_SIZE)
        return [
            reference.score(model, memory, work.queries, work.candidates) for memory in memories
        ]

    return run


def useful_flops(model: PreTrainedModel, work: Work) -> int:
    """The operations that no program can avoid, see `flops`."""
    shown = Demonstrations(model, work.demonstrations)
    for _ in refined(shown, partial(iterate.refine, step_size=STEP_SIZE), ITERATIONS):
        pass
    once = scoring_flops(Costs.of(model), len(work.demonstrations), work.queries, work.candidates)
    return shown.operations + ITERATIONS * once


def busy_seconds(call: Callable[[], object], device: torch.device) -> float | None:
    """Seconds in which kernels run on the GPU during a call; None where nothing counts them."""
    if device.type != "cuda":
        return None
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        timed(call, device)
    total: float = sum(
        event.self_device_time_total
        for event in profiled.key_averages()
        if event.device_type.name == "CUDA"
    )
    return total / 1e6 or None


def speed(model: PreTrainedModel, work: Work, rate: float, slow_queries: int) -> dict[str, Any]:
    """Times of the engine and of the straightforward path on some of the queries.

    rate: FLOP/s of plain matrix products in the same shapes.
    """
    device = model.device
    operations = useful_flops(model, work)
    run = engine(model, work)
    run()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds, ours = zip(*(timed(run, device) for _ in range(ROUNDS)), strict=True)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    median = statistics.median(seconds)
    busy = busy_seconds(run, device)
    part = work.first(slow_queries)
    straightforward(model, part.first(2))()
    slow, theirs = timed(straightforward(model, part), device)
    per_query = median / len(work.queries) / ITERATIONS
    slow_per_query = slow / len(part.queries) / ITERATIONS
    return {
        "queries": len(work.queries),
        "demonstration_tokens": len(work.demonstrations),
        "engine_seconds": list(seconds),
        "engine_ms": per_query * 1e3,
        "tflops": operations / median / 1e12,
        "mfu": operations / median / rate,
        "waiting": None if busy is None else max(0.0, 1 - busy / median),
        "peak_memory_gib": None if peak is None else peak / 2**30,
        "straightforward_queries": len(part.queries),
        "straightforward_ms": slow_per_query * 1e3,
        "ratio": slow_per_query / per_query,
        "difference": max(
            abs(a - b)
            for one, other in zip(ours[-1], theirs, strict=True)
            for row, plain in zip(one, other, strict=False)  # of the first queries alone
            for a, b in zip(row, plain, strict=True)
        ),
    }
