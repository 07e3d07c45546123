"""Attention over blocks of written-out scores, against its definition in float64."""

import random

import pytest
import torch
from torch import Tensor

from deepthink.engine import blocked_attention
from deepthink.engine.attention import merge, over_itself, over_memory
from deepthink.engine.layout import Layout, single
from deepthink.engine.packing import layout, pack

CPU = torch.device("cpu")
HEADS, GROUPS, WIDTH = 6, 2, 16


def packed(kind: str, lengths: tuple[int, ...]) -> Layout:
    """Chains, or trees whose queries have candidates of several tokens."""
    if kind == "single":
        return single(sum(lengths), CPU)
    rng = random.Random(3)
    answers = [[1], [2, 3, 4], [2, 3, 5, 6], [7, 8]] if kind == "trees" else [[1]]
    group = [pack([rng.randrange(9) for _ in range(length)], answers) for length in lengths]
    return layout(group, CPU)[0]


def drawn(tokens: int, slots: int) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor] | None]:
    torch.manual_seed(tokens + slots)
    q = torch.randn(HEADS, tokens, WIDTH)
    # as a model's layers give them: heads side by side in each token's row
    k, v = (torch.randn(tokens, GROUPS, WIDTH).transpose(0, 1) for _ in range(2))
    if not slots:
        return q, k, v, None
    return q, k, v, (torch.randn(GROUPS, slots, WIDTH), torch.randn(GROUPS, slots, WIDTH))


def by_definition(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    past: tuple[Tensor, Tensor] | None,
    window: int | None,
    places: Layout,
) -> Tensor:
    q, k, v = q.double(), k.double(), v.double()
    alone = over_itself(q, k, v, 0.3, window, places)
    if past is None:
        return alone[0]
    keys, values = past[0].double(), past[1].double()
    return merge(over_memory(q, keys, values, 0.3, window, places), alone)


@pytest.mark.parametrize("window", [None, 9, 40])
@pytest.mark.parametrize("slots", [0, 1, 30, 150])
@pytest.mark.parametrize("lengths", [(1,), (5, 5, 5), (2, 7, 19), (40, 100), (300,)])
@pytest.mark.parametrize("kind", ["single", "chains", "trees"])
def test_it_is_attention(
    kind: str, lengths: tuple[int, ...], slots: int, window: int | None
) -> None:
    places = packed(kind, lengths)
    q, k, v, past = drawn(len(places.depths), slots)
    ours = blocked_attention.attended(q, k, v, past, 0.3, window, places)
    assert (ours - by_definition(q, k, v, past, window, places)).abs().max() < 2e-6


@pytest.mark.parametrize("lengths", [(2, 7, 19), (40, 100)])
def test_slots_can_be_hidden_from_tokens(lengths: tuple[int, ...]) -> None:
    plain = packed("chains", lengths)
    q, k, v, past = drawn(len(plain.depths), 30)
    visible = torch.rand(len(plain.depths), 30) > 0.5
    visible[3] = False
    hidden = Layout(
        plain.depths, plain.lengths, plain.deepest, plain.gather, plain.scatter, slots=visible
    )
    ours = blocked_attention.attended(q, k, v, past, 0.3, None, hidden)
    assert (ours - by_definition(q, k, v, past, None, hidden)).abs().max() < 2e-6
    assert (ours - by_definition(q, k, v, past, None, plain)).abs().max() > 1e-2


@pytest.mark.parametrize("lengths", [(2, 7, 19), (40, 100)])
def test_scores_far_apart_lose_nothing(lengths: tuple[int, ...]) -> None:
    """A token may attend to the memory alone, or to its own sequence alone."""
    places = packed("chains", lengths)
    q, k, v, past = drawn(len(places.depths), 30)
    assert past is not None
    for much, little in ((past[0], k), (k, past[0])):
        much.mul_(60)
        ours = blocked_attention.attended(q, k, v, past, 0.3, None, places)
        exact = by_definition(q, k, v, past, None, places)
        assert ours.isfinite().all()
        # scores of some hundreds in float32 are known to some 1e-5 only
        assert (ours - exact).abs().max() < 2e-3
        little.mul_(60)


def test_blocks_of_rows_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for lengths in ((2, 7, 19), (40, 100)):
        places = packed("chains", lengths)
        q, k, v, past = drawn(len(places.depths), 30)
        whole = blocked_attention.attended(q, k, v, past, 0.3, None, places)
        with monkeypatch.context() as patch:
            patch.setattr(blocked_attention, "ROWS", 7)
            patch.setattr(blocked_attention, "SCORES", 200)
            parts = blocked_attention.attended(q, k, v, past, 0.3, None, places)
        assert (whole - parts).abs().max() < 1e-6
