"""How many floating-point operations the tokens that matter need: the work no engine can avoid.

One multiply-add counts as two. Per token: two for every weight of the body's linear layers, and
4·H·D for each key it attends to in each layer; per row of logits: two for every weight of the
output embedding. Norms, activations and softmaxes are left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from deepthink.engine.packing import common_beginning, pack
from deepthink.engine.prepack import PackedLinear
from deepthink.structures import Tokens


@dataclass(frozen=True)
class Costs:
    """A model's operations: per token, per token and attended key, and per row of logits.

    >>> costs = Costs(token=100, key=10, row=1000)
    >>> costs.forward(tokens=3, keys=6), costs.forward(tokens=3, keys=6, rows=1)
    (360, 1360)
    >>> costs.with_gradient(tokens=3, keys=6, rows=1)
    2780
    """

    token: int
    key: int
    row: int

    def forward(self, tokens: int, keys: int, rows: int = 0) -> int:
        """A forward of tokens that attend to so many keys together, with rows of logits."""
        return self.token * tokens + self.key * keys + self.row * rows

    def with_gradient(self, tokens: int, keys: int, rows: int = 0) -> int:
        """A forward and the gradient with regard to a memory; the weights' own is not wanted.

        Backwards a linear layer is one product, as forwards; attention's two products are four:
        the gradients of queries, keys, values and weights.
        """
        return self.forward(2 * tokens, 3 * keys, 2 * rows)

    @classmethod
    def of(cls, model: PreTrainedModel) -> "Costs":
        """Counted from the model's layers.

        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> Costs.of(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)))
        Costs(token=1536, key=32, row=176)
        """
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


def attended(depths: Iterable[int], slots: int) -> int:
    """Keys that tokens attend to together, each to all slots of a memory and its predecessors.

    depths: each token's distance from the first of its sequence.

    >>> attended(range(3), slots=5)  # 5 + 1, 5 + 2, 5 + 3
    21
    """
    return sum(slots + depth + 1 for depth in depths)


def channel_flops(
    costs: Costs, length: int, texts: Sequence[Tokens], parts: Sequence[Tokens]
) -> int:
    """Scoring every text behind every part once against a memory of L tokens, see `channel`.

    >>> channel_flops(Costs(token=100, key=10, row=1000), 5, [[1, 2], [3]], [[7], [8]])
    4660
    """
    shared = common_beginning(parts)
    depths = [*range(shared)]
    for part in parts:
        depths += range(shared, len(part))
        depths += [len(part) + place for text in texts for place in range(len(text) - 1)]
    rows = len(parts) * (1 + sum(len(text) - 1 for text in texts))
    return costs.forward(len(depths), attended(depths, length), rows)


def scoring_flops(
    costs: Costs, length: int, queries: Sequence[Tokens], candidates: Sequence[Sequence[Tokens]]
) -> int:
    """Scoring every candidate of every query once against a memory of L tokens.

    >>> scoring_flops(Costs(token=100, key=10, row=1000), 5, [[1, 2]], [[[7, 8], [9]]])
    2510
    """
    shared = common_beginning(queries)
    packs = [pack(q[shared:], row) for q, row in zip(queries, candidates, strict=True)]
    depths = [*range(shared), *(shared + d for packed in packs for d in packed.depths)]
    rows = sum(len({i for answer in packed.reads for i in answer}) for packed in packs)
    return costs.forward(len(depths), attended(depths, length), rows)
