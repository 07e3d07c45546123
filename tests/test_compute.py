"""Operation counts against PyTorch's own counter, and by hand."""

import pytest
import torch
from tiny_models import CONFIGS, tiny
from torch.utils.flop_counter import FlopCounterMode

from deepthink.engine.flops import Costs, scoring_flops
from deepthink.engine.prepack import prepack


@pytest.mark.parametrize("architecture", CONFIGS)
def test_linear_layers_are_counted_as_pytorch_counts_them(architecture: str) -> None:
    model, tokens = tiny(architecture), 11
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.arange(tokens)[None], logits_to_keep=1)
    counted = counter.get_flop_counts()["Global"]
    products = sum(n for op, n in counted.items() if "addmm" in str(op) or str(op) == "aten.mm")
    costs = Costs.of(model)
    assert costs.token * tokens + costs.row == products


def test_attention_by_hand() -> None:
    # a score and a weighted value for each key: 2·8 + 2·8 operations in 4 heads of 3 layers
    assert Costs.of(tiny("gpt2")).key == (16 + 16) * 4 * 3


def test_packed_layers_count_the_same() -> None:
    plain, packed = (Costs.of(m) for m in (tiny("gpt2"), prepack(tiny("gpt2", torch.float32))))
    assert plain == packed


def test_work_by_hand() -> None:
    costs = Costs(token=100, key=10, row=1000)
    # L = 5; queries (1 2) and (1 3 4) share their first token: 1 | 2, 3, 4 and the node 7 of (7 8)
    # after each: keys 6 | 7, 8 and 7, 8, 9; rows: two for each query
    queries, candidates = [[1, 2], [1, 3, 4]], [[[7, 8], [9]]] * 2
    assert scoring_flops(costs, 5, queries, candidates) == 6 * 100 + 45 * 10 + 4 * 1000
