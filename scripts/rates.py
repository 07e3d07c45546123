"""How fast this machine multiplies matrices in the shapes of a model's linear layers.

That is what an engine can reach at best, whatever else it does: a model's layers are many and
small, and no product of two large matrices says how fast they can be.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from deepthink.engine.prepack import PackedLinear

ROWS = (128, 256, 512, 1024)
"""How many tokens are multiplied at a time; the best counts."""

HEAD_ROWS = (64, 256)
"""The same for the output layer, which reads the rows of candidates alone."""

TRIES = 8

Shape = tuple[int, int]
"""A layer's inputs and outputs."""

Preparation = Callable[[Tensor], Callable[[Tensor], Tensor]]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Rates:
    """FLOP/s by the way of multiplying, of the layers of a model's body and of its output layer.

    "matmul" is PyTorch's own product of two dense matrices. "blocked" is oneDNN's with the weights
    in the layout of `prepack`; it is there for float32 on a CPU alone.
    """

    body: dict[str, float]
    head: dict[str, float]

    @property
    def best(self) -> float:
        """The better way's rate in the body."""
        return max(self.body.values())


def rates_of(model: PreTrainedModel) -> Rates:
    """The rates at the shapes of a model's linear layers, in its dtype and on its device.

    The rate of the body is all its operations by the time that they take, each layer with that of
    `ROWS` at which it is fastest.

    model: as transformers has it, not packed.
    """
    head = model.get_output_embeddings()
    layers = Counter(
        shape_of(module)
        for module in model.modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    )
    body, last = {}, {}
    for way, prepare in _ways(model.device, model.dtype).items():
        rates = {shape: _best(prepare, shape, ROWS, model) for shape in layers}
        last[way] = _best(prepare, shape_of(head), HEAD_ROWS, model)
        body[way] = together({shape: (layers[shape], rates[shape]) for shape in layers})
    return Rates(body, last)


def together(layers: Mapping[Shape, tuple[int, float]]) -> float:
    """The rate of a token's way through all layers.

    layers: shape → how many there are, and their rate.

    Twice as many operations at half the rate take four of five parts of the time:

    >>> together({(1, 1): (1, 4.0), (1, 2): (1, 2.0)})
    2.4
    """
    work = {shape: count * shape[0] * shape[1] for shape, (count, _) in layers.items()}
    return sum(work.values()) / sum(work[shape] / rate for shape, (_, rate) in layers.items())


def shape_of(layer: nn.Module) -> Shape:
    """Inputs and outputs of a linear layer.

    >>> shape_of(nn.Linear(2, 3)), shape_of(Conv1D(3, 2))
    ((2, 3), (2, 3))
    """
    weight: Any = layer.weight
    first, second = weight.shape
    return (first, second) if isinstance(layer, Conv1D) else (second, first)


def _ways(device: torch.device, dtype: torch.dtype) -> dict[str, Preparation]:
    """From a layer's weights [out, in] to the product of rows [n, in] with them."""
    ways: dict[str, Preparation] = {"matmul": lambda weight: lambda rows: rows @ weight.T}
    if device.type == "cpu" and dtype == torch.float32:
        ways["blocked"] = lambda weight: PackedLinear(weight, None)
    return ways


def _best(
    prepare: Preparation, shape: Shape, counts: Sequence[int], like: PreTrainedModel
) -> float:
    """The highest FLOP/s of a layer of this shape over these numbers of rows."""
    inner, outer = shape
    layer = prepare(torch.randn(outer, inner, dtype=like.dtype, device=like.device))
    best = 0.0
    for count in counts:
        rows = torch.randn(count, inner, dtype=like.dtype, device=like.device)
        with torch.no_grad():
            seconds = min(timed(partial(layer, rows), like.device)[0] for _ in range(TRIES))
        best = max(best, 2 * count * inner * outer / seconds)
    return best


def timed(call: Callable[[], Result], device: torch.device) -> tuple[float, Result]:
    """Seconds of a call, until the accelerator is idle, and the result of the call."""
    begin = time.perf_counter()
    result = call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin, result
