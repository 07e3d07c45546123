"""How many floating-point operations the tokens that matter need: the work no engine can avoid.

One multiply-add counts as two. Per token: two for every weight of the body's linear layers, and
4·H·D for each key it attends to in each layer; per row of logits: two for every weight of the
output embedding. Norms, activations and softmaxes are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from deepthink.engine.packing import common_beginning, pack
from deepthink.engine.prepack import PackedLinear
from deepthink.structures import Tokens


@dataclass(frozen=True)
class Costs:
    """A model's operations: per token, per token and attended key, and per row of logits."""

    token: int
    key: int
    row: int

    @classmethod
    def of(cls, model: PreTrainedModel) -> "Costs":
        """Counted from the model's layers."""
        head = model.get_output_embeddings()
        layers = [
            module
            for module in model.modules()
            if isinstance(module, nn.Linear | Conv1D | PackedLinear) and module is not head
        ]
        config = model.config.get_text_config()
        width = (
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        )
        return cls(
            token=2 * sum(layer.weight.shape.numel() for layer in layers),
            key=4 * config.num_attention_heads * width * config.num_hidden_layers,
            row=2 * head.weight.shape.numel(),
        )


def thinking_flops(costs: Costs, length: int, step: int) -> int:
    """One iteration over L demonstration tokens; from the second on they also see L of history."""
    keys = length * (length + 1) // 2 + (length * length if step > 1 else 0)
    return costs.token * length + costs.key * keys


def scoring_flops(
    costs: Costs, length: int, queries: Sequence[Tokens], candidates: Sequence[Sequence[Tokens]]
) -> int:
    """Scoring every candidate of every query once against a memory of L tokens."""
    shared = common_beginning(queries)
    packs = [pack(q[shared:], row) for q, row in zip(queries, candidates, strict=True)]
    depths = [*range(shared), *(shared + d for packed in packs for d in packed.depths)]
    rows = sum(len({i for answer in packed.reads for i in answer}) for packed in packs)
    keys = sum(length + depth + 1 for depth in depths)
    return costs.token * len(depths) + costs.key * keys + costs.row * rows
