"""The gradient of blocked attention, against that of its definition in float64."""

from dataclasses import replace

import pytest
import torch
from test_blocked_attention import GROUPS, WIDTH, by_definition, drawn, packed
from torch import Tensor

from deepthink.engine import blocked_gradient
from deepthink.engine.layout import Layout

Past = tuple[Tensor, Tensor] | None


def check(q: Tensor, k: Tensor, v: Tensor, past: Past, window: int | None, places: Layout) -> None:
    """Both gradients of one random sum of what comes out."""
    inputs = [q, k, v, *(past or ())]
    before = [x.clone() for x in inputs]
    found = []
    for dtype in (torch.float32, torch.float64):
        leaves = [x.to(dtype).detach().requires_grad_() for x in inputs]
        own = leaves[0], leaves[1], leaves[2]
        slots: Past = (leaves[3], leaves[4]) if past else None
        if dtype == torch.float32:
            out = blocked_gradient.attended(*own, slots, 0.3, window, places)
        else:
            out = by_definition(*own, slots, window, places)
        torch.manual_seed(0)
        weights = torch.randn(out.shape)
        slopes = torch.autograd.grad((out * weights.to(dtype)).sum(), leaves, allow_unused=True)
        found.append((out, slopes))
    (ours, our_slopes), (exact, slopes) = found
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=2e-5)
    for a, b in zip(our_slopes, slopes, strict=True):
        assert a is not None
        expected = torch.zeros_like(a, dtype=torch.float64) if b is None else b
        assert (a - expected).norm() <= 1e-5 * expected.norm() + 1e-5
    assert all(map(torch.equal, inputs, before))  # nothing was written into


@pytest.mark.parametrize("window", [None, 9, 40])
@pytest.mark.parametrize("slots", [0, 1, 30, 150])
@pytest.mark.parametrize("lengths", [(1,), (5, 5, 5), (2, 7, 19), (40, 100)])
@pytest.mark.parametrize("kind", ["single", "chains", "trees"])
def test_it_is_the_gradient_of_attention(
    kind: str, lengths: tuple[int, ...], slots: int, window: int | None
) -> None:
    places = packed(kind, lengths)
    check(*drawn(len(places.depths), slots), window, places)


@pytest.mark.parametrize("window", [None, 9])
@pytest.mark.parametrize("kind", ["single", "chains"])
def test_hidden_slots_have_no_gradient(kind: str, window: int | None) -> None:
    places = packed(kind, (2, 7, 19))
    q, k, v, past = drawn(len(places.depths), 30)
    seen = torch.rand(len(places.depths), 30, generator=torch.Generator().manual_seed(0)) < 0.5
    seen[3] = False  # a token that sees no slot
    seen[:, 11:14] = False
    hidden = replace(places, slots=seen)
    check(q, k, v, past, window, hidden)
    assert past is not None
    leaves = [part.requires_grad_() for part in past]
    out = blocked_gradient.attended(q, k, v, (leaves[0], leaves[1]), 0.3, window, hidden)
    for slope in torch.autograd.grad(out.square().sum(), leaves):
        assert not slope[:, 11:14].any()
        assert slope[:, -1].any()


@pytest.mark.parametrize("window", [None, 9])
def test_gains_of_slots_are_in_the_gradient(window: int | None) -> None:
    places = packed("chains", (2, 7, 19))
    weighed = replace(places, gains=((10, -1.5), (20, 0.7)))
    check(*drawn(len(places.depths), 30), window, weighed)


def test_a_memory_whose_rows_do_not_follow_each_other_takes_no_longer() -> None:
    """As `clone` leaves what a model's layers gave: oneDNN alone would take much longer."""
    places = packed("chains", (20, 30, 40))
    q, k, v, _ = drawn(len(places.depths), 0)
    past = tuple(torch.randn(150, GROUPS, WIDTH).transpose(0, 1) for _ in range(2))
    check(q, k, v, (past[0], past[1]), None, places)
