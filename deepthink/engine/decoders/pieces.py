"""The parts that decoders are made of: functions of tensors, which call a model's own modules."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import GELUTanh, NewGELUActivation

from deepthink.engine.prepack import PackedLinear

Function = Callable[[Tensor], Tensor]
"""From [N, …] to [N, …]; its result is a new tensor, which may be written into."""


def same(x: Tensor) -> Tensor:
    """The argument itself, where a family has no such part."""
    return x


def rms_norm(module: nn.Module, eps: float, offset: float = 0.0) -> Function:
    """The function x ↦ x / √(mean x² + ε) · (offset + g) in float32, by few steps.

    In other precisions it is the module itself, which computes in float32 too.

    >>> class Norm(nn.Module):
    ...     weight = torch.ones(2)
    >>> round(rms_norm(Norm(), eps=0.0)(torch.tensor([[3.0, 4.0]])).square().mean().item(), 5)
    1.0
    """
    weight: Any = module.weight
    if weight.dtype != torch.float32:
        return module
    gain = weight + offset if offset else weight

    def normed(x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        scaled: Tensor = (x * scale).mul_(gain)
        return scaled

    return normed


def activated(layer: nn.Module, activation: nn.Module) -> Function:
    """The function x ↦ activation(layer(x)), in one step where the layer can do both.

    Both of transformers' forms of the tanh approximation are computed by PyTorch's.
    """
    tanh = type(activation) in (NewGELUActivation, GELUTanh) or (
        type(activation) is nn.GELU and activation.approximate == "tanh"
    )
    if isinstance(layer, PackedLinear) and (tanh or type(activation) is nn.ReLU):
        name = "gelu_tanh" if tanh else "relu"
        return lambda x: layer(x, name)
    if tanh:
        return lambda x: functional.gelu(layer(x), approximate="tanh")
    return lambda x: activation(layer(x))


def feed_forward(up: nn.Module, activation: nn.Module, down: nn.Module) -> Function:
    """The function x ↦ down(activation(up(x)))."""
    first = activated(up, activation)
    return lambda x: down(first(x))


def gated_feed_forward(
    gate: nn.Module, activation: nn.Module, up: nn.Module, down: nn.Module
) -> Function:
    """The function x ↦ down(activation(gate(x)) · up(x))."""
    opening = activated(gate, activation)
    return lambda x: down(opening(x).mul_(up(x)))


def rotated(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions: turns the pairs (i, i + R) of each head, of which 2R dimensions rotate.

    x [N, H, D]; turn: the cosines and sines of each token's angles, [N, 1, R]. Dimensions from 2R
    on stay as they are.

    >>> x = torch.tensor([[[1.0, 0.0, 5.0]]])
    >>> rotated(x, (torch.tensor([[[0.0]]]), torch.tensor([[[1.0]]]))).flatten().tolist()
    [0.0, 1.0, 5.0]
    """
    cos, sin = turn
    half = cos.shape[-1]
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    out = torch.empty_like(x)
    torch.mul(first, cos, out=out[..., :half]).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=out[..., half : 2 * half]).addcmul_(first, sin)
    if rest.shape[-1]:
        out[..., 2 * half :] = rest
    return out
