"""Pretended graphics cards: tensors that compute on the CPU, and refuse to meet another card's.

A tensor on a pretended card says that it is on "cuda:1". Every operation of PyTorch on it goes
through `_compute`, which raises `Mixed` where tensors of two devices meet, as a real card does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class Mixed(AssertionError):
    """Tensors of two devices met in one operation."""


class OnCard(Tensor):
    """A tensor that says it is on a card. `held` are its numbers, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(
        cls, held: Tensor, device: torch.device | None = None, requires_grad: bool = False
    ) -> Any:
        if device is None:  # as a class of parameters
            if not isinstance(held, OnCard):
                return torch.nn.Parameter(held, requires_grad=False)
            held, device = held.held, held.device
        made: OnCard = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=device,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _compute(func, args, kwargs or {})

    # what PyTorch computes outside of its dispatcher, or where it asks for the card's own library

    def __getitem__(self, index: Any) -> Any:
        return _compute(lambda held, at: held[at], (self, index), {})

    def copy_(self, other: Tensor, *_: object) -> Any:
        return torch.ops.aten.copy_.default(self, other)

    def __invert__(self) -> Any:
        return torch.ops.aten.bitwise_not.default(self)

    def nonzero(self, **_: object) -> Any:
        return torch.ops.aten.nonzero.default(self)

    def __repr__(self, **_: object) -> str:  # type: ignore[override]
        return f"OnCard({self.held}, {self.device})"

    def __int__(self) -> int:
        return int(self.held)

    def __bool__(self) -> bool:
        return bool(self.held)

    def __float__(self) -> float:
        return float(self.held)

    def contiguous(self, *_: object) -> Any:
        return torch.ops.aten.contiguous.default(self)

    def tolist(self) -> Any:
        return self.held.tolist()

    def data_ptr(self) -> int:
        return self.held.data_ptr()


class _Cards(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


@contextmanager
def pretended_cards() -> Iterator[None]:
    """Tensors can be made on "cuda:0", "cuda:1", … and be copied there. Nothing is recorded.

    The cards have no fused kernels and plenty of memory, and the host has no pinned memory.
    """
    with (
        patch("torch.cuda._lazy_init", lambda: None),
        patch("deepthink.engine.cuda_attention.DTYPES", ()),
        patch.object(Tensor, "pin_memory", lambda host: host),
        patch("deepthink.engine.token_budget._free_bytes", lambda _: 1 << 34),
        torch.no_grad(),
        _Cards(),
    ):
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor copies where it is seen
        try:
            yield
        finally:
            torch._C._set_only_lift_cpu_tensors(False)


def _compute(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    # a number may be on the CPU, as on a real machine
    devices = {x.device for x in tensors if isinstance(x, OnCard) or x.ndim}
    if len(devices) > 1 and function not in _COPIES:
        raise Mixed(f"{function} of tensors on {', '.join(sorted(map(str, devices)))}")
    if kwargs.get("device") is not None:
        target = torch.device(kwargs["device"])
    else:
        target = args[0].device if function in _COPIES else next(iter(devices), torch.device("cpu"))
    if target.type == "cuda" and "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if function is torch.ops.aten.mm.dtype:  # float32 sums of half precision, which CPUs lack
        function, args = torch.ops.aten.mm.default, [x.to(args[2]) for x in args[:2]]
    out = function(*tree_map(_plain, args), **tree_map(_plain, kwargs))
    if target.type != "cuda":
        return out
    known = {id(x.held): x for x in tensors if isinstance(x, OnCard)}

    def on_card(x: Any) -> Any:
        return known[id(x)] if id(x) in known else OnCard(x, target) if isinstance(x, Tensor) else x

    return tree_map(on_card, out)


def _plain(value: Any) -> Any:
    return value.held if isinstance(value, OnCard) else value
