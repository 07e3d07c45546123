"""Frozen linear layers in oneDNN's blocked weight layout: the same product, faster on a CPU.

A frozen model never changes its weights, so the reordering that a float32 matrix product performs
on every call can be paid once. PyTorch's compiler does the same behind its freezing option; this
calls the two operators it uses, without a compiler.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from deepthink.engine.allocation import keep_freed_memory

_AFTER = {"": ("none", ""), "relu": ("relu", ""), "gelu_tanh": ("gelu", "tanh")}
"""What oneDNN can do to a product before it leaves the processor's registers, by its two names."""


def multiplies(*tensors: Tensor) -> bool:
    """Whether oneDNN multiplies these tensors faster: float32 on a CPU whose PyTorch has it."""
    return torch.backends.mkldnn.is_available() and all(
        x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, after: str = "") -> Tensor:
    """X · Wᵀ + b by oneDNN, and `after` it "relu" or "gelu_tanh": […, in] to […, out].

    weight: [out, in] in any layout, blocked or not; float32 on a CPU.

    >>> product(torch.tensor([[3.0]]), torch.tensor([[2.0]]), torch.tensor([1.0]))
    tensor([[7.]])
    """
    operators: Any = torch.ops.mkldnn
    name, algorithm = _AFTER[after]
    result: Tensor = operators._linear_pointwise(x, weight, bias, name, [], algorithm)
    return result


class PackedLinear(nn.Module):
    """x ↦ xWᵀ + b with W [out, in] held only in the blocked layout; float32 on a CPU.

    Differentiable in x; W and b are frozen, and copies of what was given.

    >>> double = PackedLinear(torch.tensor([[2.0]]), torch.tensor([1.0]))
    >>> x = torch.tensor([[3.0]], requires_grad=True)
    >>> double(x).backward()
    >>> double(x).item(), x.grad.item()
    (7.0, 2.0)
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous())
        self.bias = None if bias is None else bias.detach().clone()

    def forward(self, x: Tensor, after: str = "") -> Tensor:
        """[…, in] to […, out]; after: as `product`'s, where autograd does not follow."""
        if not x.requires_grad:
            return product(x, self.weight, self.bias, after)
        follow: Any = _Product.apply
        followed: Tensor = follow(x, self.weight, self.bias)
        return followed


class _Product(torch.autograd.Function):
    """The blocked product, of which PyTorch knows no derivative: ∂/∂x = (∂/∂y) W."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.weight = weight
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The weight is converted back, one layer at a time: a copy, which costs no product."""
        return product(gradient, ctx.weight.to_dense().T), None, None


def prepack(model: PreTrainedModel) -> PreTrainedModel:
    """Replace, in place, the linear layers of a float32 CPU model by packed ones.

    The process keeps the memory that it frees from then on, see `allocation`.

    The output layer stays as it is: it often is the embedding too, of which a second layout would
    be a second copy. Any other model, or a PyTorch without oneDNN, is returned untouched.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)).eval()
    >>> prepack(model) is model
    True
    """
    if {(x.device.type, x.dtype) for x in model.parameters()} != {("cpu", torch.float32)}:
        return model
    if not torch.backends.mkldnn.is_available():
        return model
    keep_freed_memory()
    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if child is head:
                continue
            if type(child) is nn.Linear:
                setattr(parent, name, PackedLinear(child.weight, child.bias))
            elif type(child) is Conv1D:
                setattr(parent, name, PackedLinear(child.weight.T, child.bias))
    return model
