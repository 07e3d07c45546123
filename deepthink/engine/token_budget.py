"""How many tokens one forward may carry."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile

import psutil
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from deepthink.engine.packing import Packed
from deepthink.errors import UserError

ON_A_CPU = 1024
"""Tokens of a forward on a CPU, where more gain nothing."""

MOST = 16_384
"""Tokens of a forward on an accelerator, where more gain nothing."""

LEAST = 256
"""Tokens that are tried however little memory is free; they are halved if it does not suffice."""

SHARE = 0.75
"""Of the free memory, what a forward may take: memories and what is not counted need the rest."""

LOGIT_ROWS = 1024
"""Rows of float32 logits, twice, that are set aside."""


@dataclass
class TokenBudget:
    """How many tokens one forward may carry; halved for good whenever memory runs out.

    >>> from deepthink.engine.packing import pack
    >>> TokenBudget(5).fitting([pack([1, 2], []), pack([3, 4, 5], []), pack([6], [])])
    2
    """

    tokens: int

    @classmethod
    def of(cls, model: PreTrainedModel) -> "TokenBudget":
        """What fits on the model's device now, a power of two on a GPU; see `bytes_per_token`.

        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> TokenBudget.of(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8)))
        TokenBudget(tokens=1024)
        """
        if model.device.type == "cpu":
            return cls(ON_A_CPU)
        if model.device.type != "cuda":
            return cls(MOST)
        cards = {model.device, *(weight.device for weight in model.parameters() if weight.is_cuda)}
        free = SHARE * min(map(_free_bytes, cards)) - _logits_bytes(model)
        fitting = int(free / bytes_per_token(model))
        power = 1 << max(fitting, 1).bit_length() - 1
        return cls(min(max(power, LEAST), MOST))

    def fitting(self, waiting: Sequence[Packed]) -> int:
        """How many of the waiting queries, at least one, stay within the budget together."""
        totals = accumulate(len(packed.tokens) for packed in waiting)
        return max(1, sum(1 for _ in takewhile(lambda total: total <= self.tokens, totals)))

    def give_way(self, group: Sequence[Packed]) -> None:
        """Halve after `group` ran out of memory; UserError if it was a single query."""
        if len(group) == 1:
            raise UserError(
                f"a single query of {len(group[0].tokens)} tokens does not fit into memory: "
                "use a smaller model or a narrower dtype"
            )
        self.tokens = sum(len(packed.tokens) for packed in group) // 2


def bytes_per_token(model: PreTrainedModel) -> int:
    """What a token of a forward holds at most, while one layer is computed, in bytes.

    With hidden size d, I the widest output of the body's linear layers and w bytes a number:
    w·(16·d + 4·I). The residual, its norm, queries, keys and values, their rotated or padded
    copies, and both attentions with their joint in float32 stay below 16·d. The gate, the
    projection, their product and its copy are 4·I. Layers follow each other and share this.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> bytes_per_token(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8)))
    1024
    """
    head = model.get_output_embeddings()
    body = (
        layer
        for layer in model.modules()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not head
    )
    widest = max((max(layer.weight.shape) for layer in body), default=0)
    width: int = model.config.get_text_config().hidden_size
    return model.dtype.itemsize * (16 * width + 4 * widest)


def slots_fitting(model: PreTrainedModel, layers: Sequence[tuple[Tensor, Tensor]]) -> int:
    """How many slots of keys and values the free memory holds, of all rows of a cache together.

    layers: a memory's keys and values [G, L, D] of each layer. Without any, a slot is taken to be
    as wide as the model. While a layer's cache grows there are two of it, so half of the memory is
    left free.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> slots_fitting(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8)), []) > 1000
    True
    """
    config = model.config.get_text_config()
    each = 2 * config.num_hidden_layers * config.hidden_size * model.dtype.itemsize
    if layers:
        each = sum(x[:, :1].nbytes for pair in layers for x in pair)
    cards = {weight.device for weight in model.parameters() if weight.is_cuda}
    free = min(map(_free_bytes, cards), default=psutil.virtual_memory().available)
    return int(free / 2 / each)


def _logits_bytes(model: PreTrainedModel) -> int:
    words = len(model.get_output_embeddings().weight)
    return 2 * torch.float32.itemsize * LOGIT_ROWS * words


def _free_bytes(device: torch.device) -> int:
    """Bytes that the GPU has free, with those that PyTorch keeps and uses for nothing."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept
