"""What packed tokens see, as kernels want it: offsets of sequences, masks, biases of 0 and -inf.

Everything is made once for a layout, whose layers share it. Nobody waits for the device.
"""

import math
from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor

from deepthink.engine.layout import Layout
from deepthink.engine.transfer import sent

MULTIPLE = 16
"""Rows of a bias begin at multiples of so many numbers, as the kernel wants them aligned."""


def offsets(layout: Layout, lengths: tuple[int, ...]) -> Tensor:
    """Where sequences of these lengths begin, and the end of the last, on the layout's device.

    Returns int32 [B + 1].

    >>> offsets(Layout(torch.arange(1), (1,), 0), (3, 2))
    tensor([0, 3, 5], dtype=torch.int32)
    """
    device = layout.depths.device

    def made() -> Tensor:
        return sent(torch.tensor([0, *accumulate(lengths)], dtype=torch.int32), device)

    return once(layout, ("offsets", lengths), made)


def of_own(layout: Layout, window: int | None, dtype: torch.dtype) -> Tensor:
    """What each token sees of its own sequence, as a bias [B, 1, M, M], of chains [1, 1, M, M].

    window: how many tokens a token sees at most, itself included.

    >>> of_own(Layout(torch.arange(3), (3,), 2), window=2, dtype=torch.float32)[0, 0]
    tensor([[0., -inf, -inf],
            [0., 0., -inf],
            [-inf, 0., 0.]])
    """
    name = ("own", window, dtype)
    return once(layout, name, lambda: _aligned(own(layout, window), dtype))


def of_memory(
    layout: Layout, length: int, window: int | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """What each token sees of L slots: a bias [N, L], and [N], True where it sees none of them.

    A token sees a slot as `memory` says. A bias of float32 or wider has the slots' gains in it.

    >>> bias, blind = of_memory(Layout(torch.arange(3), (3,), 2), 2, 3, torch.float32)
    >>> bias
    tensor([[0., 0.],
            [-inf, 0.],
            [-inf, -inf]])
    >>> blind
    tensor([False, False,  True])
    """
    key = length, window

    def made() -> Tensor:
        visible = _aligned(memory(layout, length, window), dtype)
        return visible.add_(gains(layout, dtype)) if layout.gains else visible

    bias = once(layout, ("memory", *key, dtype), made)
    return bias, once(layout, ("blind", *key), lambda: ~memory(layout, length, window).any(-1))


def own(layout: Layout, window: int | None) -> Tensor:
    """Whether each token sees each of its own sequence, [B, 1, M, M], of chains [1, 1, M, M].

    >>> own(Layout(torch.arange(3), (3,), 2), window=2)[0, 0].long()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [0, 1, 1]])
    """
    if layout.tree is not None and layout.gather is not None:
        seen, places = layout.tree, layout.depths[layout.gather]
    else:
        size = max(layout.lengths)
        places = torch.arange(size, device=layout.depths.device)[None]
        seen = torch.ones(size, size, dtype=torch.bool, device=places.device).tril()[None, None]
    if window is None:
        return seen
    return seen & (places[:, None, :, None] - places[:, None, None, :] < window)


def memory(layout: Layout, length: int, window: int | None) -> Tensor:
    """Whether each token sees each of L slots, [N, L].

    A token at depth d sees a slot that stands b positions before depth 0 if b + d < window. In a
    row the slot s stands L - s before it. In a group each slot stands as if no other group were.

    >>> memory(Layout(torch.arange(3), (3,), 2), length=2, window=3).long()
    tensor([[1, 1],
            [0, 1],
            [0, 0]])
    >>> beside = Layout(torch.arange(1), (1,), 0, groups=(1, 2))
    >>> memory(beside, length=3, window=2).long()
    tensor([[1, 0, 1]])
    """
    depths = layout.depths
    seen = layout.slots
    if seen is None:
        seen = torch.ones(len(depths), length, dtype=torch.bool, device=depths.device)
    if window is None:
        return seen
    return seen & (_before(layout, length) + depths[:, None] < window)


def _before(layout: Layout, length: int) -> Tensor:
    """[L], how many positions before depth 0 each slot stands."""
    device, rest = layout.depths.device, length - sum(layout.groups)
    rows = [torch.arange(rest + size, rest, -1, device=device) for size in layout.groups]
    return torch.cat([*rows, torch.arange(rest, 0, -1, device=device)])


def parts(layout: Layout, length: int) -> list[tuple[slice, float]]:
    """The L slots in runs of one gain each, with it.

    >>> parts(Layout(torch.arange(1), (1,), 0, gains=((2, -1.0), (1, 0.0))), length=3)
    [(slice(0, 2, None), -1.0), (slice(2, 3, None), 0.0)]
    """
    runs = layout.gains or ((length, 0.0),)
    ends = accumulate(size for size, _ in runs)
    return [(slice(end - size, end), gain) for end, (size, gain) in zip(ends, runs, strict=True)]


def gains(layout: Layout, dtype: torch.dtype, further: int = 0) -> Tensor:
    """The gain of every slot, and 0 for so many keys behind them: [L + further].

    >>> gains(Layout(torch.arange(1), (1,), 0, gains=((2, -1.0),)), torch.float32, further=1)
    tensor([-1., -1.,  0.])
    """

    def made() -> Tensor:
        each = [gain for size, gain in (*layout.gains, (further, 0.0)) for _ in range(size)]
        return sent(torch.tensor(each, dtype=dtype), layout.depths.device)

    return once(layout, ("gains", dtype, further), made)


def cutting(layout: Layout, window: int | None, length: int = 0) -> int | None:
    """The window, if it hides something from the deepest token behind L slots; else None.

    >>> places = Layout(torch.arange(3), (3,), deepest=2)
    >>> cutting(places, 3), cutting(places, 3, length=1), cutting(places, None)
    (None, 3, None)
    """
    reach = length - (sum(layout.groups) - max(layout.groups) if layout.groups and length else 0)
    return window if window is not None and reach + layout.deepest >= window else None


def once(layout: Layout, name: tuple[object, ...], make: Callable[[], Tensor]) -> Tensor:
    """What is made of a layout, the same for all layers: the first of them makes it.

    >>> places = Layout(torch.arange(3), (3,), deepest=2)
    >>> once(places, ("one",), lambda: torch.ones(1)) is once(places, ("one",), lambda: None)
    True
    """
    if name not in layout.derived:
        layout.derived[name] = make()
    return layout.derived[name]


def bias(seen: Tensor) -> Tensor:
    """What is added to float32 scores: 0 where `seen` is True, -inf elsewhere.

    >>> bias(torch.tensor([True, False]))
    tensor([0., -inf])
    """
    return torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, -math.inf)


def _aligned(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """As `bias` of [..., M, S], its rows aligned."""
    columns = seen.shape[-1]
    aligned = columns + -columns % MULTIPLE
    zeros = torch.zeros(*seen.shape[:-1], aligned, dtype=dtype, device=seen.device)
    return zeros[..., :columns].masked_fill_(~seen, -math.inf)
