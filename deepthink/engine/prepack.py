"""Frozen linear layers in oneDNN's blocked weight layout: the same product, faster on a CPU.

A frozen model never changes its weights, so the reordering that a float32 matrix product performs
on every call can be paid once. PyTorch's compiler does the same behind its freezing option; this
calls the two operators it uses, without a compiler.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D


class PackedLinear(nn.Module):
    """x ↦ xWᵀ + b with W [out, in] held only in the blocked layout; float32 on a CPU."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous())
        self.bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """[…, in] to […, out]."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


def prepack(model: PreTrainedModel) -> PreTrainedModel:
    """Replace, in place, the linear layers of a float32 CPU model by packed ones.

    The output embedding stays as it is. In the blocked layout its sums are rounded half as finely,
    and answers of many tokens add that up; it would gain one to four percent of the time.
    Any other model, or a PyTorch without oneDNN, is returned untouched.
    """
    if model.device.type != "cpu" or model.dtype != torch.float32:
        return model
    if not torch.backends.mkldnn.is_available():
        return model
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
